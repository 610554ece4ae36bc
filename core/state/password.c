/* password.c — see password.h. */
#include "state/password.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>
#include <unistd.h>

#include "base/plainfile.h"
#include "base/sha256.h"
#include "base/utf8.h"

#define MARK_ROUNDS 200000

static void digest_of(const uint8_t salt[PASSWORD_DIGEST_BYTES], struct str text, uint8_t out[PASSWORD_DIGEST_BYTES])
{
	uint8_t both[PASSWORD_DIGEST_BYTES + WC_PASSWORD_BYTES];
	memcpy(both, salt, PASSWORD_DIGEST_BYTES);
	memcpy(both + PASSWORD_DIGEST_BYTES, text.p, text.len);
	sha256(out, both, PASSWORD_DIGEST_BYTES + text.len);
	OPENSSL_cleanse(both, sizeof(both));
}

static uint64_t mark_of(struct str text, uint64_t salt)
{
	uint64_t mark = 0;
	WC_ASSERT(PKCS5_PBKDF2_HMAC(text.p, (int)text.len, (const uint8_t *)&salt, sizeof(salt), MARK_ROUNDS, EVP_sha256(), sizeof(mark),
	                            (uint8_t *)&mark) == 1);
	return (mark & INT64_MAX) | 1; /* never 0, which says that there was none */
}

/* At most a buffer of it: what follows the first line may be anything. */
static ssize_t read_head(const char *path, char *buf, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 0;
	if (fd < 0)
		return -1;
	while (have < room && ((n = read(fd, buf + have, room - have)) > 0 || (n < 0 && errno == EINTR)))
		have += n > 0 ? (size_t)n : 0;
	int saved = errno;
	close(fd);
	errno = saved;
	return n < 0 ? -1 : (ssize_t)have;
}

int password_read(struct password *p, const char *path, uint64_t mark_salt, char **cause)
{
	char buf[3 + WC_PASSWORD_BYTES + 3]; /* how a text may begin, the longest, and how its line may end */
	const char *what;
	if (!file_is_plain(path, &what)) {
		wc_cause(cause, "cannot read the join password from %s: it is %s; it is read again at SIGHUP, so name a regular file", path,
		         what);
		return -WC_EIO;
	}
	ssize_t have = read_head(path, buf, sizeof(buf));
	if (have < 0) {
		wc_cause(cause, "cannot read the join password from %s: %s", path, strerror(errno));
		return -WC_EIO;
	}
	const char *end = memchr(buf, '\n', (size_t)have);
	struct str text = { buf, end ? (size_t)(end - buf) : (size_t)have };
	if (text.len >= 3 && memcmp(text.p, "\xef\xbb\xbf", 3) == 0) { /* the mark that some editors begin a text with: nobody types it */
		text.p += 3;
		text.len -= 3;
	}
	while (text.len && text.p[text.len - 1] == '\r')
		text.len--;
	int rc = -WC_EBAD;
	if (text.len == 0) {
		wc_cause(cause, "%s has no join password: write it into the first line", path);
	} else if (text.len > WC_PASSWORD_BYTES || memchr(text.p, '\0', text.len) || !utf8_valid(text.p, text.len)) {
		wc_cause(cause, "the join password in %s must be text, in UTF-8, of at most %d bytes", path, WC_PASSWORD_BYTES);
	} else {
		p->is_set = true;
		wc_random(p->salt, sizeof(p->salt));
		digest_of(p->salt, text, p->digest);
		p->mark = mark_of(text, mark_salt);
		rc = 0;
	}
	OPENSSL_cleanse(buf, sizeof(buf));
	return rc;
}

bool password_matches(const struct password *p, struct str given)
{
	uint8_t digest[PASSWORD_DIGEST_BYTES];
	if (!p->is_set || given.len > WC_PASSWORD_BYTES)
		return false;
	digest_of(p->salt, given, digest);
	return wc_equal_ct(digest, p->digest, sizeof(digest));
}
