/* upload.c — uploads: taking bytes in, resuming after a loss, and the handle at the end.
 *
 * Owns struct upload, one for each writer. The record of an upload lies with upload_disk.c or blob_mem.c. A client's length or offset is
 * only compared with what is there, never trusted. Thread: HTTP workers, the transfer thread and helpers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/logmsg.h"
#include "base/steady.h"
#include "files/impl.h"

#define HANDLE_RANDOM_BYTES 16

struct upload {
	struct sending sending; /* first: what b->sending lists is this upload */
	struct blobs *b;
	int refs;             /* its owner, and the writer that is taking it over; b->lock */
	pthread_mutex_t lock; /* the rest; held while bytes are written, and through begin and finish */
	bool is_taken;        /* another writer sends this upload now */
	bool is_counted;      /* all of its size is set aside (space.h); else only the stored bytes */
	struct upload_record rec;
	int fd;
	EVP_MD_CTX *md; /* over all bytes; NULL: some were written before, so hash at the end */
};

/* --- Who is sending. */

static void unref(struct upload *u)
{
	struct blobs *b = u->b;
	bool is_last;

	pthread_mutex_lock(&b->lock);
	is_last = --u->refs == 0;
	pthread_mutex_unlock(&b->lock);
	if (!is_last)
		return;
	if (u->fd >= 0)
		close(u->fd);
	EVP_MD_CTX_free(u->md);
	pthread_mutex_destroy(&u->lock);
	free(u);
}

/* Sets no more aside than the bytes that came. With u->lock held. */
static void release(struct upload *u)
{
	if (!u->is_counted)
		return;
	u->is_counted = false;
	space_wrote(u->b->space, u->rec.size - u->rec.stored);
	space_set(u->b->space, u->rec.size, u->rec.stored);
}

/* Ends the owner's part in it. */
static void let_go(struct upload *u)
{
	pthread_mutex_lock(&u->b->lock);
	sending_remove(u->b, &u->sending);
	pthread_mutex_unlock(&u->b->lock);
	unref(u);
}

/* Puts u in the place of the writer that sends the same upload now. Waits for a write under way, or for a finish, which may take long;
 * after that the old writer changes nothing. Call with u->lock held, so that a third writer waits in turn. */
static void take_over(struct blobs *b, struct upload *u)
{
	struct upload *old;

	pthread_mutex_lock(&b->lock);
	old = (struct upload *)sending_find(b, u->rec.identity_id, u->rec.name);
	if (old) {
		old->refs++;
		sending_remove(b, &old->sending);
	}
	sending_add(b, &u->sending);
	pthread_mutex_unlock(&b->lock);
	if (!old)
		return;
	pthread_mutex_lock(&old->lock);
	old->is_taken = true;
	release(old);
	pthread_mutex_unlock(&old->lock);
	unref(old);
}

/* --- Names and states. */

static int make_name(uint8_t name[UPLOAD_NAME_BYTES], uint64_t identity_id, struct str key)
{
	static const char purpose[] = "wavechat upload";
	uint8_t sha[WC_SHA_BYTES];
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1 && EVP_DigestUpdate(md, purpose, sizeof(purpose)) == 1 &&
	          EVP_DigestUpdate(md, &identity_id, sizeof(identity_id)) == 1 && EVP_DigestUpdate(md, key.p, key.len) == 1 &&
	          EVP_DigestFinal_ex(md, sha, NULL) == 1;

	EVP_MD_CTX_free(md);
	if (!ok)
		return -WC_ENOMEM;
	memcpy(name, sha, UPLOAD_NAME_BYTES);
	return 0;
}

static void make_handle(struct upload_record *rec)
{
	uint8_t bytes[UPLOAD_NAME_BYTES + HANDLE_RANDOM_BYTES];

	_Static_assert(2 * sizeof(bytes) < sizeof(rec->handle), "a handle and its end");
	memcpy(bytes, rec->name, UPLOAD_NAME_BYTES);
	wc_random(bytes + UPLOAD_NAME_BYTES, HANDLE_RANDOM_BYTES);
	wc_hex(rec->handle, bytes, sizeof(bytes));
}

static void state_of(const struct upload_record *rec, struct upload_state *state)
{
	memset(state, 0, sizeof(*state));
	state->size = rec->size;
	state->offset = rec->is_done ? rec->size : rec->stored;
	if (rec->is_done)
		memcpy(state->handle, rec->handle, sizeof(state->handle));
}

/* A handle in force: young enough, and its blob is still there (which then stays for a while). */
static bool is_good(struct blobs *b, const struct upload_record *rec)
{
	uint64_t size;

	return rec->is_done && !rec->is_gone && rec->at_ms >= steady_file_cut_ms(UPLOAD_LIFE_MS) &&
	       b->ops->touch(b, rec->sha, &size) == 0 && size == rec->size;
}

static int upload_new(struct upload **out, struct blobs *b, uint64_t identity_id, struct str key)
{
	struct upload *u = xcalloc(1, sizeof(*u));
	int rc;

	u->b = b;
	u->refs = 1;
	u->fd = -1;
	u->rec.identity_id = identity_id;
	pthread_mutex_init(&u->lock, NULL);
	rc = make_name(u->rec.name, identity_id, key);
	if (rc) {
		unref(u);
		return rc;
	}
	u->sending.identity_id = identity_id;
	memcpy(u->sending.name, u->rec.name, UPLOAD_NAME_BYTES);
	*out = u;
	return 0;
}

/* --- Beginning. */

struct unsent {
	const struct upload *but; /* this one is counted by itself */
	size_t count;
	uint64_t bytes;
};

static void add_unsent(void *arg, const struct upload_record *rec)
{
	struct unsent *n = arg;

	if (rec->is_used || rec->is_gone || memcmp(rec->name, n->but->rec.name, UPLOAD_NAME_BYTES) == 0)
		return;
	n->count++;
	n->bytes += rec->size;
}

/* Files that nobody is sent must not fill the disk that is there for messages. */
static bool has_too_much_unsent(const struct upload *u)
{
	struct unsent n = { .but = u };

	u->b->ops->record_each_own(u->b, u->rec.identity_id, true, add_unsent, &n);
	return n.count >= WC_UPLOADS_UNSENT || n.bytes + u->rec.size > WC_MAX(WC_UPLOADS_UNSENT_BYTES, u->rec.size);
}

/* had: bytes of a part that is there. */
static int start_over(struct upload *u, bool is_new, uint64_t had)
{
	struct blobs *b = u->b;
	pthread_mutex_t *lock = &b->create_locks[u->rec.identity_id % WC_LEN(b->create_locks)];
	int rc = 0;

	pthread_mutex_lock(lock);
	b->ops->record_trim(b, u->rec.identity_id);
	if ((is_new && b->ops->record_count_open(b, u->rec.identity_id) >= WC_UPLOADS_OPEN) || has_too_much_unsent(u))
		rc = -WC_ETOOBIG;
	if (rc == 0)
		rc = space_take(b->space, had, u->rec.size, u->rec.size);
	if (rc == 0) {
		rc = b->ops->record_create(b, &u->rec, &u->fd);
		u->is_counted = true;
	}
	pthread_mutex_unlock(lock);
	if (rc) {
		release(u); /* nothing is stored: the old part is gone, too */
		return rc;
	}
	u->md = EVP_MD_CTX_new();
	if (u->md && EVP_DigestInit_ex(u->md, EVP_sha256(), NULL) != 1) {
		EVP_MD_CTX_free(u->md);
		u->md = NULL; /* then it is hashed at the end */
	}
	return 0;
}

/* 0 with u->fd open, or complete (u->rec.is_done), or -WC_E… */
static int begin(struct upload *u, uint64_t size, uint64_t offset, struct upload_state *state)
{
	struct upload_record was;
	int rc = u->b->ops->record_load(u->b, u->rec.identity_id, u->rec.name, &was);
	bool is_there = rc == 0, is_open = is_there && !was.is_done;

	if (rc && rc != -WC_ENOENT)
		return rc;
	if (is_there && was.size == size && is_good(u->b, &was)) {
		u->rec = was;
		return 0;
	}
	if (offset == 0)
		return start_over(u, !is_open, is_open ? was.stored : 0);
	if (!is_open || was.size != size || was.stored != offset) {
		/* An upload of another size, or a dead one, cannot be resumed. */
		state->size = size;
		state->offset = is_open && was.size == size ? was.stored : 0;
		return -WC_ECONFLICT;
	}
	rc = space_take(u->b->space, was.stored, size, size - was.stored);
	if (rc)
		return rc;
	u->rec = was;
	u->is_counted = true;
	rc = u->b->ops->record_resume(u->b, &u->rec, &u->fd);
	if (rc)
		release(u);
	return rc;
}

int upload_begin(struct blobs *b, uint64_t identity_id, struct str key, uint64_t size, uint64_t offset, struct upload **out,
                 struct upload_state *state)
{
	struct upload *u;
	int rc = upload_new(&u, b, identity_id, key);

	*out = NULL;
	memset(state, 0, sizeof(*state));
	if (rc)
		return rc;
	u->rec.size = size;
	pthread_mutex_lock(&u->lock);
	take_over(b, u);
	rc = begin(u, size, offset, state);
	if (rc == 0)
		state_of(&u->rec, state);
	pthread_mutex_unlock(&u->lock);
	if (rc || u->fd < 0)
		let_go(u);
	else
		*out = u;
	return rc;
}

/* --- Bytes. */

static int write_locked(struct upload *u, const void *data, size_t n)
{
	uint64_t came;
	int rc;

	if (u->is_taken)
		return -WC_ECLOSED;
	if (space_is_low(u->b->space))
		return -WC_ESTORAGE;
	if (n > u->rec.size - u->rec.stored)
		return -WC_ETOOBIG;
	rc = u->b->ops->record_grow(u->b, &u->rec, n);
	if (rc)
		return rc;
	if (file_write_all(u->fd, data, n, u->rec.stored) != 0) {
		log_warn("blob", "step=upload error=\"%s\"", strerror(errno));
		/* A full disk takes a part of a write: these bytes stay, and the next write goes on from there. */
		came = u->b->ops->record_came(u->b, &u->rec, u->fd);
		space_wrote(u->b->space, came - u->rec.stored);
		u->rec.stored = came;
		EVP_MD_CTX_free(u->md);
		u->md = NULL;
		return -WC_ESTORAGE;
	}
	u->rec.stored += n;
	space_wrote(u->b->space, n);
	if (u->md && EVP_DigestUpdate(u->md, data, n) != 1) {
		EVP_MD_CTX_free(u->md);
		u->md = NULL;
	}
	return 0;
}

int upload_write(struct upload *u, const void *data, size_t n)
{
	int rc;

	pthread_mutex_lock(&u->lock);
	rc = write_locked(u, data, n);
	pthread_mutex_unlock(&u->lock);
	return rc;
}

void upload_suspend(struct upload *u)
{
	if (!u)
		return;
	pthread_mutex_lock(&u->lock);
	release(u);
	pthread_mutex_unlock(&u->lock);
	let_go(u);
}

/* --- The end. */

static int hash(struct upload *u, uint8_t sha[WC_SHA_BYTES])
{
	uint64_t size;
	int rc;

	if (u->md)
		return EVP_DigestFinal_ex(u->md, sha, NULL) == 1 ? 0 : -WC_ENOMEM;
	rc = file_hash(u->fd, u->rec.size, NULL, NULL, &size, sha);
	return rc == -WC_EIO || (rc == 0 && size < u->rec.size) ? -WC_ESTORAGE : rc;
}

static int finish_locked(struct upload *u, struct upload_state *state)
{
	struct upload_record rec = u->rec;
	struct blob_hold *hold;
	int rc;

	if (u->is_taken)
		return -WC_ECLOSED;
	if (rec.stored != rec.size) {
		state_of(&rec, state);
		return -WC_ECONFLICT;
	}
	rc = hash(u, rec.sha);
	if (rc)
		return rc;
	make_handle(&rec);
	rec.is_done = true;
	rec.at_ms = steady_ms();
	hold = blob_hold_new(u->b, rec.sha, NULL);
	rc = u->b->ops->record_finish(u->b, &rec, u->fd);
	if (rc) {
		blob_hold_drop(hold);
		return rc;
	}
	blob_hold_fresh(hold); /* handles that were gathered before do not include this one */
	state_of(&rec, state);
	return 0;
}

int upload_finish(struct upload *u, struct upload_state *state)
{
	int rc;

	memset(state, 0, sizeof(*state));
	pthread_mutex_lock(&u->lock);
	rc = finish_locked(u, state);
	if (rc == 0)
		u->is_counted = false; /* it goes on counting as the blob */
	release(u);
	pthread_mutex_unlock(&u->lock);
	let_go(u);
	return rc;
}

/* --- Giving up. */

int upload_drop(struct blobs *b, uint64_t identity_id, struct str key)
{
	struct upload_record rec;
	struct upload *u = NULL;
	int rc = upload_new(&u, b, identity_id, key);

	if (rc)
		return rc;
	pthread_mutex_lock(&u->lock);
	take_over(b, u); /* a writer that is at it changes nothing any more */
	rc = b->ops->record_load(b, identity_id, u->rec.name, &rec);
	if (rc == 0 && rec.is_done && (rec.is_used || rec.is_gone))
		rc = -WC_ENOENT;
	if (rc == 0 && rec.is_done) {
		b->ops->record_end(b, &rec);
		blob_hold_give_up(blob_hold_new(b, rec.sha, &rec));
	} else if (rc == 0) {
		b->ops->record_remove(b, &rec);
	}
	pthread_mutex_unlock(&u->lock);
	let_go(u);
	return rc;
}

/* --- Asking. */

/* The record says "done" a moment before the blob has its name. Meanwhile all bytes are there, and there is no handle yet. */
static bool is_being_finished(struct blobs *b, const struct upload_record *rec)
{
	bool is_active;

	pthread_mutex_lock(&b->lock);
	is_active = sending_find(b, rec->identity_id, rec->name) != NULL;
	pthread_mutex_unlock(&b->lock);
	return is_active;
}

int upload_find(struct blobs *b, uint64_t identity_id, struct str key, struct upload_state *state)
{
	uint8_t name[UPLOAD_NAME_BYTES];
	struct upload_record rec;
	int rc = make_name(name, identity_id, key);

	memset(state, 0, sizeof(*state));
	if (rc == 0)
		rc = b->ops->record_load(b, identity_id, name, &rec);
	if (rc == 0 && rec.is_done && !is_good(b, &rec)) {
		if (is_being_finished(b, &rec)) {
			rec.is_done = false;
			rec.stored = rec.size;
		} else if (!is_good(b, &rec)) { /* it may have been finished between the two looks */
			rc = -WC_ENOENT;
		}
	}
	if (rc == 0)
		state_of(&rec, state);
	return rc;
}

int upload_resolve_held(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size,
                        struct blob_hold **hold)
{
	uint8_t bytes[UPLOAD_NAME_BYTES + HANDLE_RANDOM_BYTES];
	struct upload_record rec;
	int rc;

	*hold = NULL;
	if (wc_unhex(bytes, sizeof(bytes), handle) != 0)
		return -WC_ENOENT;
	/* The name leads to the record. The random rest proves that the client was given the handle, the folder that it is the client's
	 * own. */
	rc = b->ops->record_load(b, identity_id, bytes, &rec);
	if (rc)
		return rc;
	if (!rec.is_done || handle.len != strlen(rec.handle) || !wc_equal_ct(rec.handle, handle.p, handle.len))
		return -WC_ENOENT;
	*hold = blob_hold_new(b, rec.sha, &rec); /* before the look: a blob that is there then stays */
	if (!is_good(b, &rec)) {
		blob_hold_drop(*hold);
		*hold = NULL;
		if (!rec.is_used && !rec.is_gone)
			return -WC_ENOENT;
		rc = -WC_ECLOSED;
	}
	memcpy(sha, rec.sha, WC_SHA_BYTES);
	*size = rec.size;
	return rc;
}

int upload_resolve(struct blobs *b, uint64_t identity_id, struct str handle, uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	struct blob_hold *hold;
	int rc = upload_resolve_held(b, identity_id, handle, sha, size, &hold);

	if (hold)
		blob_hold_drop(hold);
	return rc;
}
