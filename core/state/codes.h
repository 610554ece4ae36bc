/* codes.h — the living codes with which a person lets another device in: one a person, each for a while, used once.
 *
 * Memory only: a restart ends them. Somebody else's codes never end another person's. Thread: room. */
#ifndef WC_CODES_H
#define WC_CODES_H

#include "base/map.h"
#include "base/wc.h"

#define CODE_LEN 16

struct code {
	char text[CODE_LEN + 1];
	uint64_t user_id;
	int64_t expires_ms;        /* monotonic */
	struct code *next, *older; /* by age */
};

struct codes {
	struct map by_text, by_user;
	struct code *oldest, *newest;
};

void codes_init(struct codes *cs);
void codes_fini(struct codes *cs);
/* Ends all of them. */
void codes_clear(struct codes *cs);

/* Makes the person's code; ends the one before it, and all that are too old. Borrowed, until the next call. All codes must live equally
 * long. */
const struct code *codes_make(struct codes *cs, uint64_t user_id, int64_t now_ms, int64_t expires_ms);
/* The living code with this text, which is used up by that: the caller frees it, or gives it back. NULL: none. */
struct code *codes_take(struct codes *cs, struct str text, int64_t now_ms);
/* Takes it: it was used for nothing, and is good again unless its person has a newer one. */
void codes_give_back(struct codes *cs, struct code *c);
/* Ends the person's code, if there is one. */
void codes_end(struct codes *cs, uint64_t user_id);

#endif
