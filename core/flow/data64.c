/* data64.c — see data64.h: a table under a mutex, of buffers that it does not hold.
 *
 * A copy's last reference may be dropped by any thread. `gone` then takes it out of the table, before its memory goes; a look-up in between
 * sees that it is dying and makes another. A copy that is being made has its place in the table already, so nobody makes it twice. */
#include "flow/data64.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"

#define PIECE_BYTES (48 * 1024) /* a multiple of 3, so that pieces of base64 join without padding */
#define CHAINS 256

struct copy {
	struct shbuf_watch watch; /* first: it is the copy */
	struct copy *next;
	struct shbuf *b; /* NULL: being made. No reference */
	uint8_t sha[WC_SHA_BYTES];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct copy *chains[CHAINS];
static size_t count;

static struct copy **chain_of(const uint8_t sha[WC_SHA_BYTES])
{
	return &chains[sha[0] % CHAINS];
}

/* Under the lock. */
static void take_out(struct copy *c)
{
	struct copy **at = chain_of(c->sha);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	count--;
}

static void gone(struct shbuf_watch *w)
{
	struct copy *c = (struct copy *)w;
	pthread_mutex_lock(&lock);
	take_out(c);
	pthread_mutex_unlock(&lock);
	free(c);
}

/* A reference to the copy that lives; or a place for one to be made, *mine. Neither: it is being made. */
static struct shbuf *find(const uint8_t sha[WC_SHA_BYTES], struct copy **mine)
{
	struct shbuf *b = NULL;
	bool is_being_made = false;
	struct copy *c = xcalloc(1, sizeof(*c));
	c->watch.gone = gone;
	memcpy(c->sha, sha, WC_SHA_BYTES);
	*mine = NULL;
	pthread_mutex_lock(&lock);
	for (const struct copy *other = *chain_of(sha); other && !b && !is_being_made; other = other->next) {
		if (memcmp(other->sha, sha, WC_SHA_BYTES) != 0)
			continue;
		is_being_made = !other->b;
		b = other->b ? shbuf_ref_living(other->b) : NULL;
	}
	if (!b && !is_being_made) {
		c->next = *chain_of(sha);
		*chain_of(sha) = *mine = c;
		count++;
		c = NULL;
	}
	pthread_mutex_unlock(&lock);
	free(c);
	return b;
}

/* The place's copy is made; b NULL: it could not be. */
static void made(struct copy *c, struct shbuf *b)
{
	pthread_mutex_lock(&lock);
	if (b) {
		b->watch = &c->watch;
		c->b = b;
		c = NULL;
	} else {
		take_out(c);
	}
	pthread_mutex_unlock(&lock);
	free(c);
}

size_t data64_count(void)
{
	pthread_mutex_lock(&lock);
	const size_t n = count;
	pthread_mutex_unlock(&lock);
	return n;
}

int data64_of_bytes(const void *bytes, uint64_t size, const uint8_t sha[WC_SHA_BYTES], shbuf_owner owner, struct shbuf **out)
{
	struct copy *mine;
	*out = find(sha, &mine);
	if (!mine)
		return *out ? 0 : -WC_ENOMEM;
	*out = shbuf_new_spare(BASE64_LEN(size), owner);
	if (*out)
		base64_encode((char *)(*out)->data, bytes, (size_t)size);
	made(mine, *out);
	return *out ? 0 : -WC_ENOMEM;
}

/* Writes the base64 of size bytes, read piecewise. */
static int encode_file(int fd, uint64_t size, char *out)
{
	char piece[PIECE_BYTES];
	uint64_t offset = 0;
	size_t want, have;
	ssize_t n;

	while (offset < size) {
		want = (size_t)WC_MIN(size - offset, (uint64_t)PIECE_BYTES);
		for (have = 0; have < want; have += (size_t)n) {
			n = pread(fd, piece + have, want - have, (off_t)(offset + have));
			if (n < 0 && errno == EINTR)
				n = 0;
			else if (n <= 0)
				return -WC_EIO;
		}
		base64_encode(out, piece, want);
		out += BASE64_LEN(want);
		offset += want;
	}
	return 0;
}

static int make_of_blob(struct blobs *blobs, const uint8_t sha[WC_SHA_BYTES], uint64_t size, shbuf_owner owner, struct shbuf **out)
{
	uint64_t have = 0;
	*out = shbuf_new_spare(BASE64_LEN(size), owner); /* before the disk is asked */
	if (!*out)
		return -WC_ENOMEM;
	int fd = blob_get(blobs, sha, &have);
	int rc = fd < 0 ? fd : have != size ? -WC_EIO : encode_file(fd, size, (char *)(*out)->data);
	if (fd >= 0)
		close(fd);
	if (rc < 0) {
		shbuf_unref(*out);
		*out = NULL;
	}
	return rc;
}

int data64_of_blob(struct blobs *blobs, const uint8_t sha[WC_SHA_BYTES], uint64_t size, shbuf_owner owner, struct shbuf **out)
{
	struct copy *mine;
	*out = find(sha, &mine);
	if (!mine)
		return *out ? 0 : -WC_ENOMEM;
	int rc = make_of_blob(blobs, sha, size, owner, out);
	made(mine, *out);
	return rc;
}
