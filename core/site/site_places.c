/* site_places.c — the places for uploads under way: how many there are in all, for one person and for one address.
 *
 * Owns the list in struct site and its count. Never waits, never answers. Thread: any; a lock inside. */
#include <pthread.h>
#include <string.h>

#include "base/ip.h"
#include "site/impl.h"

#define SITE_BITS 48 /* of IPv6: what one customer may be given; a /64 lies within */

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_same_site(const struct upload_place *a, const struct upload_place *b)
{
	const bool is_v4 = ip_is_v4(a->address);
	return is_v4 == ip_is_v4(b->address) && ip_in_net(a->address, b->address, is_v4 ? 128 : SITE_BITS);
}

int places_take(struct site *site, struct upload_place *p, bool has_descriptor)
{
	const int max = site->max_uploads, max_own = site->max_uploads_per_user;
	int own = 0, same = 0, near = 0, status = 0;
	pthread_mutex_lock(&places_lock);
	for (const struct upload_place *other = site->uploads; other; other = other->next) {
		if (other->identity_id == p->identity_id)
			own += strcmp(other->key, p->key) != 0 || same++ > 0;
		near += p->is_counted && other->is_counted && is_same_site(p, other);
	}
	if ((max_own && own >= max_own) || (max && near - (same > 0) >= (max + 1) / 2))
		status = 429;
	else if ((max && site->upload_count >= max) || !has_descriptor)
		status = 503;
	if (!status) {
		p->next = site->uploads;
		site->uploads = p;
		site->upload_count++;
		atomic_fetch_add(&site->upload_descriptors, 1);
	}
	pthread_mutex_unlock(&places_lock);
	return status;
}

void places_leave(struct site *site, struct upload_place *p)
{
	struct upload_place **at = &site->uploads;
	pthread_mutex_lock(&places_lock);
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	site->upload_count--;
	atomic_fetch_sub(&site->upload_descriptors, 1);
	pthread_mutex_unlock(&places_lock);
}
