/* look.h — how a name looks: keys that are equal where people would take one name for another (UTS 39).
 *
 * Pure functions; any thread. */
#ifndef WC_LOOK_H
#define WC_LOOK_H

#include "base/wc.h"

/* Names that differ in case only are one name. So a name stands for its other spellings, too, and each has a key:
 * as it is, small, with capitals at the beginning of words, and all in capitals. Equal keys are there once. */
#define LOOKS_OF_NAME 4
/* A name that asks has one more: where it reads as capitals alone, its small L may stand for a capital I. */
#define LOOKS_MAX (LOOKS_OF_NAME + 1)

struct looks {
	int count;
	char *key[LOOKS_MAX]; /* terminated, the holder's */
};

/* The keys of a name that somebody has. It is valid UTF-8. The caller ends them with looks_fini. */
void looks_of_name(struct looks *l, struct str name);
/* The keys of a name that somebody wants: it can be taken for another one, if one of these is among that one's looks_of_name. */
void looks_of_wish(struct looks *l, struct str name);
void looks_fini(struct looks *l);

/* Numbers behind names read alike in all keys: "Ann 10" has the keys of "Ann", each with a space and a word behind it for which this
 * gives 10. Returns the number, with the bytes before that space in *head; 0 if the key ends in no number of 2 to 9999999. */
uint32_t look_number(const char *key, size_t *head);

#endif
