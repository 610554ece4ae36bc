/* sending.c — the uploads that are being sent at the moment, one sender an upload.
 *
 * Owns the list struct blobs keeps of them. Looks at nothing but names. Thread: any, with b->lock held. */
#include <string.h>

#include "files/impl.h"

struct sending *sending_find(const struct blobs *b, uint64_t identity_id, const uint8_t name[UPLOAD_NAME_BYTES])
{
	for (struct sending *s = b->sending; s; s = s->next)
		if (s->identity_id == identity_id && memcmp(s->name, name, UPLOAD_NAME_BYTES) == 0)
			return s;
	return NULL;
}

void sending_add(struct blobs *b, struct sending *s)
{
	s->next = b->sending;
	b->sending = s;
}

void sending_remove(struct blobs *b, const struct sending *s)
{
	for (struct sending **at = &b->sending; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			return;
		}
	}
}
