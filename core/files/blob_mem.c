/* blob_mem.c — blobs and uploads in memory: each blob and each part is a memfd, and their sum is bounded.
 *
 * Owns the memory fields of struct blobs. Never touches a filesystem. Thread: any but room and I/O; all under the one lock, because nothing
 * here waits.
 *
 * Descriptors of one blob share their position, because there may be no /proc to open it anew: read with pread or with sendfile's own
 * offset. Never map one: a removed blob is cut to nothing at once, so that no slow reader keeps its memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "base/steady.h"
#include "files/impl.h"

#define MEM_DONE_MAX 10000

/* A blob takes whole pages. */
static uint64_t cost(uint64_t size)
{
	return (size + 4095) & ~(uint64_t)4095;
}

static int new_memfd(void)
{
	return memfd_create("wavechat", MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

static struct mem_blob *find(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	for (size_t i = 0; i < b->mem_count; i++)
		if (memcmp(b->mem[i].sha, sha, WC_SHA_BYTES) == 0)
			return &b->mem[i];
	return NULL;
}

/* Readers that are still at it meet the end of the file. */
static void give_up(int fd)
{
	if (ftruncate(fd, 0) < 0)
		log_warn("blob", "step=ftruncate error=\"%s\"", strerror(errno));
	close(fd);
}

static void drop(struct blobs *b, struct mem_blob *m)
{
	give_up(m->fd);
	atomic_fetch_sub(&b->bytes, m->size);
	*m = b->mem[--b->mem_count];
}

static uint64_t used_bytes(struct blobs *b)
{
	uint64_t sum = b->part_bytes;

	for (size_t i = 0; i < b->mem_count; i++)
		sum += cost(b->mem[i].size);
	return sum;
}

static void drop_upload(struct blobs *b, struct mem_upload **at)
{
	struct mem_upload *u = *at;

	*at = u->next;
	if (u->part_fd >= 0) {
		give_up(u->part_fd);
		b->part_bytes -= u->rec.stored;
		b->parts--;
	}
	free(u);
}

/* Makes room for `more` bytes and `files` descriptors. The oldest unused blobs go first, then idle uploads, then the oldest blobs. */
static int make_room(struct blobs *b, uint64_t more, size_t files)
{
	int64_t young_ms = boot_ms() - 60 * 1000;
	struct mem_upload **at, **idle;

	if (more > b->cap_bytes)
		return -WC_ESTORAGE;
	while (used_bytes(b) + more > b->cap_bytes || b->mem_count + b->parts + files > b->files_max) {
		const bool wants_bytes = used_bytes(b) + more > b->cap_bytes;
		struct mem_blob *oldest = NULL, *unused = NULL;

		for (size_t i = 0; i < b->mem_count; i++) {
			struct mem_blob *m = &b->mem[i];

			if (!oldest || m->put_ms < oldest->put_ms)
				oldest = m;
			/* within a minute the message that it was stored for is there */
			if (!m->is_used && m->put_ms < young_ms && (!unused || m->put_ms < unused->put_ms))
				unused = m;
		}
		idle = NULL;
		for (at = &b->mem_uploads; *at; at = &(*at)->next) /* newest first */
			if ((*at)->part_fd >= 0 && ((*at)->rec.stored || !wants_bytes) &&
			    !sending_find(b, (*at)->rec.identity_id, (*at)->rec.name))
				idle = at;
		if (unused)
			drop(b, unused);
		else if (idle)
			drop_upload(b, idle);
		else if (oldest)
			drop(b, oldest);
		else
			return -WC_ESTORAGE;
	}
	return 0;
}

/* Takes fd, also on failure. */
static int adopt(struct blobs *b, int fd, const uint8_t sha[WC_SHA_BYTES], uint64_t size, bool is_pending)
{
	struct mem_blob *m = find(b, sha);
	int rc = 0;

	if (m) {
		m->put_ms = boot_ms();
		m->is_pending &= is_pending;
		give_up(fd);
		return 0;
	}
	/* From now on nothing writes to it; only give_up cuts it. */
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0)
		rc = -WC_ESTORAGE;
	if (rc == 0)
		rc = make_room(b, cost(size), 1);
	if (rc) {
		give_up(fd);
		return rc;
	}
	if (!b->mem)
		b->mem = xcalloc(MEM_FILES_MAX, sizeof(*b->mem));
	m = &b->mem[b->mem_count++];
	*m = (struct mem_blob){ .fd = fd, .size = size, .put_ms = boot_ms(), .is_pending = is_pending };
	memcpy(m->sha, sha, WC_SHA_BYTES);
	atomic_fetch_add(&b->bytes, size);
	return 0;
}

/* Room first, bytes after: two helpers that write at once must stay within the cap together. */
int mem_put(struct blobs *b, const void *data, size_t n, const uint8_t sha[WC_SHA_BYTES], bool is_pending)
{
	int fd = -1, rc;

	pthread_mutex_lock(&b->lock);
	rc = make_room(b, cost(n), 1);
	if (rc == 0) {
		b->part_bytes += cost(n);
		b->parts++;
	}
	pthread_mutex_unlock(&b->lock);
	if (rc)
		return rc;
	fd = new_memfd();
	if (fd < 0 || file_write_all(fd, data, n, 0) != 0)
		rc = -WC_ESTORAGE;
	pthread_mutex_lock(&b->lock);
	b->part_bytes -= cost(n);
	b->parts--;
	if (rc == 0)
		rc = adopt(b, fd, sha, n, is_pending);
	else if (fd >= 0)
		give_up(fd);
	pthread_mutex_unlock(&b->lock);
	return rc;
}

int mem_get(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	struct mem_blob *m;
	int fd = -WC_ENOENT;

	pthread_mutex_lock(&b->lock);
	m = find(b, sha);
	if (m) {
		*size = m->size;
		fd = fcntl(m->fd, F_DUPFD_CLOEXEC, 3);
		if (fd < 0)
			fd = -WC_ESTORAGE;
	}
	pthread_mutex_unlock(&b->lock);
	return fd;
}

int mem_touch(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], uint64_t *size)
{
	struct mem_blob *m;

	pthread_mutex_lock(&b->lock);
	m = find(b, sha);
	if (m) {
		m->put_ms = boot_ms();
		*size = m->size;
	}
	pthread_mutex_unlock(&b->lock);
	return m ? 0 : -WC_ENOENT;
}

void mem_unlink(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	struct mem_blob *m = find(b, sha);

	if (m)
		drop(b, m);
}

bool mem_is_pending(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	const struct mem_blob *m = find(b, sha);

	return m && m->is_pending;
}

void mem_decide(struct blobs *b, const uint8_t sha[WC_SHA_BYTES])
{
	struct mem_blob *m = find(b, sha);

	if (m)
		m->is_pending = false;
}

int mem_each(struct blobs *b, blob_fn fn, void *arg)
{
	struct mem_blob *copy;
	size_t count;

	/* A copy, so that fn may ask for or remove blobs. */
	pthread_mutex_lock(&b->lock);
	count = b->mem_count;
	copy = xmalloc(count * sizeof(*copy));
	if (count)
		memcpy(copy, b->mem, count * sizeof(*copy));
	pthread_mutex_unlock(&b->lock);
	for (size_t i = 0; i < count; i++)
		if (fn(arg, copy[i].sha, copy[i].size, boot_ms() - copy[i].put_ms))
			break;
	free(copy);
	return 0;
}

void mem_mark_used(struct blobs *b, const uint8_t sha[WC_SHA_BYTES], bool is_used)
{
	struct mem_blob *m;

	pthread_mutex_lock(&b->lock);
	m = find(b, sha);
	if (m)
		m->is_used = is_used;
	pthread_mutex_unlock(&b->lock);
}

void mem_close(struct blobs *b)
{
	while (b->mem_count)
		drop(b, &b->mem[0]);
	while (b->mem_uploads)
		drop_upload(b, &b->mem_uploads);
	free(b->mem);
}

/* --- Uploads. */

static struct mem_upload **find_upload(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES])
{
	struct mem_upload **at;

	for (at = &b->mem_uploads; *at; at = &(*at)->next)
		if ((*at)->rec.identity_id == identity_id && memcmp((*at)->rec.name, name, UPLOAD_NAME_BYTES) == 0)
			break;
	return at;
}

int mem_record_load(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], struct upload_record *out)
{
	struct mem_upload *u;

	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, identity_id, name);
	if (u)
		*out = u->rec;
	pthread_mutex_unlock(&b->lock);
	return u ? 0 : -WC_ENOENT;
}

void mem_record_use(struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES], const char *handle)
{
	struct mem_upload *u;

	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, identity_id, name);
	if (u && u->rec.is_done && strcmp(u->rec.handle, handle) == 0)
		u->rec.is_used = true;
	pthread_mutex_unlock(&b->lock);
}

/* Newest first: those behind the newest of one person go, and those behind the newest of all. */
void mem_record_trim(struct blobs *b, uint64_t identity_id)
{
	size_t own = 0, all = 0;

	pthread_mutex_lock(&b->lock);
	for (struct mem_upload **at = &b->mem_uploads; *at;) {
		const struct upload_record *rec = &(*at)->rec;
		const bool is_old = rec->is_used || rec->is_gone;

		own += is_old && rec->identity_id == identity_id;
		all += is_old;
		if (is_old && ((rec->identity_id == identity_id && own > USED_MOST) || all > 16 * USED_MOST))
			drop_upload(b, at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&b->lock);
}

void mem_record_end(struct blobs *b, const struct upload_record *rec)
{
	struct mem_upload *u;

	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, rec->identity_id, rec->name);
	if (u && u->rec.is_done && strcmp(u->rec.handle, rec->handle) == 0) {
		u->rec.is_used = false;
		u->rec.is_gone = true;
	}
	pthread_mutex_unlock(&b->lock);
}

void mem_record_remove(struct blobs *b, const struct upload_record *rec)
{
	struct mem_upload **at;

	pthread_mutex_lock(&b->lock);
	at = find_upload(b, rec->identity_id, rec->name);
	if (*at)
		drop_upload(b, at);
	pthread_mutex_unlock(&b->lock);
}

/* Copies, so that fn may ask for changes and for the database. identity_id 0: of everybody, those that are done and not used. */
static void each_copy(struct blobs *b, uint64_t identity_id, void (*fn)(void *arg, const struct upload_record *rec), void *arg)
{
	struct upload_record *copy = NULL;
	size_t count = 0, room = 0;

	pthread_mutex_lock(&b->lock);
	for (const struct mem_upload *u = b->mem_uploads; u; u = u->next) {
		if (identity_id ? u->rec.identity_id != identity_id : !u->rec.is_done || u->rec.is_used)
			continue;
		if (count == room)
			copy = xrealloc(copy, (room = room ? 2 * room : 64) * sizeof(*copy));
		copy[count++] = u->rec;
	}
	pthread_mutex_unlock(&b->lock);
	for (size_t i = 0; i < count; i++)
		fn(arg, &copy[i]);
	free(copy);
}

void mem_record_each_own(struct blobs *b, uint64_t identity_id, bool unused, void (*fn)(void *arg, const struct upload_record *rec),
                         void *arg)
{
	(void)unused; /* they are few, and fn looks */
	each_copy(b, identity_id, fn, arg);
}

void mem_record_each_handle(struct blobs *b, void (*fn)(void *arg, const struct upload_record *rec), void *arg)
{
	each_copy(b, 0, fn, arg);
}

int mem_record_count_open(struct blobs *b, uint64_t identity_id)
{
	int count = 0;

	pthread_mutex_lock(&b->lock);
	for (struct mem_upload *u = b->mem_uploads; u; u = u->next)
		count += u->rec.identity_id == identity_id && !u->rec.is_done;
	pthread_mutex_unlock(&b->lock);
	return count;
}

int mem_record_create(struct blobs *b, const struct upload_record *rec, int *fd)
{
	struct mem_upload *u, **at;
	int part = -1, rc;

	*fd = -1;
	pthread_mutex_lock(&b->lock);
	at = find_upload(b, rec->identity_id, rec->name);
	if (*at)
		drop_upload(b, at);
	rc = make_room(b, 0, 1);
	if (rc == 0)
		part = new_memfd();
	pthread_mutex_unlock(&b->lock);
	*fd = part < 0 ? -1 : fcntl(part, F_DUPFD_CLOEXEC, 3);
	if (*fd < 0) {
		if (part >= 0)
			close(part);
		return -WC_ESTORAGE;
	}
	u = xcalloc(1, sizeof(*u));
	u->rec = *rec;
	u->rec.stored = 0;
	u->part_fd = part;
	pthread_mutex_lock(&b->lock);
	u->next = b->mem_uploads;
	b->mem_uploads = u;
	b->parts++;
	pthread_mutex_unlock(&b->lock);
	return 0;
}

int mem_record_resume(struct blobs *b, const struct upload_record *rec, int *fd)
{
	struct mem_upload *u;

	*fd = -1;
	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, rec->identity_id, rec->name);
	if (u && u->part_fd >= 0)
		*fd = fcntl(u->part_fd, F_DUPFD_CLOEXEC, 3);
	pthread_mutex_unlock(&b->lock);
	return *fd >= 0 ? 0 : -WC_ESTORAGE;
}

int mem_record_grow(struct blobs *b, const struct upload_record *rec, uint64_t more)
{
	struct mem_upload *u;
	int rc = -WC_ECLOSED;

	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, rec->identity_id, rec->name);
	if (u && u->part_fd >= 0)
		rc = make_room(b, more, 0);
	if (rc == 0) {
		u->rec.stored += more;
		u->rec.at_ms = steady_ms();
		b->part_bytes += more;
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

/* Nothing of a failed write counts. */
uint64_t mem_record_came(struct blobs *b, const struct upload_record *rec, int fd)
{
	(void)b;
	(void)fd;
	return rec->stored;
}

int mem_record_finish(struct blobs *b, const struct upload_record *rec, int fd)
{
	struct mem_upload *u;
	int count = 0, rc = -WC_ESTORAGE;

	(void)fd;
	pthread_mutex_lock(&b->lock);
	u = *find_upload(b, rec->identity_id, rec->name);
	if (u && u->part_fd >= 0) {
		int part = u->part_fd;

		b->part_bytes -= u->rec.stored;
		u->part_fd = -1;
		b->parts--;
		rc = adopt(b, part, rec->sha, rec->size, false);
		if (rc)
			drop_upload(b, find_upload(b, rec->identity_id, rec->name));
		else
			u->rec = *rec;
	}
	/* The list is newest first: handles past the bound are forgotten from its end. */
	for (struct mem_upload **at = &b->mem_uploads; *at;) {
		if ((*at)->rec.is_done && ++count > MEM_DONE_MAX)
			drop_upload(b, at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&b->lock);
	return rc;
}

void mem_record_sweep(struct blobs *b, bool (*fn)(void *arg, const struct upload_record *rec), void *arg)
{
	pthread_mutex_lock(&b->lock);
	for (struct mem_upload **at = &b->mem_uploads; *at;) {
		if (fn(arg, &(*at)->rec))
			drop_upload(b, at);
		else
			at = &(*at)->next;
	}
	pthread_mutex_unlock(&b->lock);
}
