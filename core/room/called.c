/* called.c — the ways in which an admin names a person: an id, a name, id:7 or name:7. Pure. */
#include <stdlib.h>

#include "room/impl.h"

static bool parse_id(const char *s, uint64_t *id)
{
	size_t n = strspn(s, "0123456789");
	if (n == 0 || n > 18 || s[n])
		return false;
	*id = strtoull(s, NULL, 10);
	return true;
}

struct called called_of(const char *wanted)
{
	const bool is_id = strncmp(wanted, "id:", 3) == 0, is_name = strncmp(wanted, "name:", 5) == 0;
	struct called c = { .name = is_id ? NULL : is_name ? wanted + 5 : wanted };
	if (!is_name && !parse_id(is_id ? wanted + 3 : wanted, &c.id))
		c.id = 0;
	return c;
}
