/* called.c — the ways in which an admin names a person: an id, a name, id:7 or name:7. Pure.
 *
 * People choose their names: one may be called 7, id:7 or name:Ann. So every way that fits counts, and an id with more digits than a name
 * can have is nobody's name. */
#include <stdio.h>
#include <stdlib.h>

#include "room/impl.h"
#include "wire/name.h"

#define LONGEST_ID 100 /* characters, with zeros in front */

static bool parse_id(const char *s, uint64_t *id)
{
	const size_t n = strspn(s, "0123456789");
	const char *digits = s + strspn(s, "0");
	*id = 0;
	if (n == 0 || n > LONGEST_ID || s[n] || strlen(digits) > 18)
		return false;
	*id = strtoull(digits, NULL, 10);
	return true;
}

struct called called_of(const char *wanted)
{
	struct called c = { .name = wanted };
	uint64_t id;
	if (strncmp(wanted, "id:", 3) == 0) {
		if (parse_id(wanted + 3, &id))
			c = (struct called){ .id = id, .literal = wanted };
	} else if (strncmp(wanted, "name:", 5) == 0) {
		c = (struct called){ .name = wanted + 5, .literal = wanted };
	} else if (parse_id(wanted, &id)) {
		c.id = id;
	}
	return c;
}

void called_say(char out[CALLED_SAY], const char *wanted, uint64_t id)
{
	snprintf(out, CALLED_SAY, "id:%llu", (unsigned long long)id);
	char *key = name_key(str_of(wanted));
	if (strcmp(key, out) == 0)
		snprintf(out, CALLED_SAY, "id:%040llu", (unsigned long long)id);
	free(key);
}
