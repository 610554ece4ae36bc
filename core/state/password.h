/* password.h — the password that a join may ask for: read from a file, kept as a digest, compared in constant time.
 *
 * Pure but for the file. The text is wiped once its digest is made. */
#ifndef WC_PASSWORD_H
#define WC_PASSWORD_H

#include "base/wc.h"
#include "wire/msg.h"

#define PASSWORD_DIGEST_BYTES 32

struct password {
	bool is_set;
	uint8_t salt[PASSWORD_DIGEST_BYTES], digest[PASSWORD_DIGEST_BYTES]; /* of this process: nobody else sees them */
	uint64_t mark; /* the same for the same password and `mark_salt`, below 2^63: tells across restarts whether it was changed */
};

/* The first line of the file. On failure *cause says what to do, and *p is as it was. Takes a tenth of a second: guessing from a stolen
 * mark must be slow. Any thread. */
int password_read(struct password *p, const char *path, uint64_t mark_salt, char **cause) WC_MUSTCHECK;
/* Is it this one? Always false if none is set. */
bool password_matches(const struct password *p, struct str given);

#endif
