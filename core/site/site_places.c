/* site_places.c — the places for uploads under way: how many there are in all, for one person and for one address.
 *
 * Owns the list in struct site and its count. Never waits, never answers. Thread: any; a lock inside. */
#include <pthread.h>
#include <string.h>

#include "base/ip.h"
#include "site/impl.h"

#define HEAD_START_BYTES (64 * 1024)
#define SITE_BITS 48 /* of IPv6: what one customer may be given; a /64 lies within */

static pthread_mutex_t places_lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_same_site(const struct upload_place *a, const struct upload_place *b)
{
	const bool is_v4 = ip_is_v4(a->address);
	return is_v4 == ip_is_v4(b->address) && ip_in_net(a->address, b->address, is_v4 ? 128 : SITE_BITS);
}

/* Bytes a second; one that has just begun counts as fast for half a minute. */
static uint64_t pace_of(const struct upload_place *p, int64_t now_ms)
{
	return (atomic_load_explicit(&p->came, memory_order_relaxed) + HEAD_START_BYTES) * 1000 / (uint64_t)(now_ms - p->began_ms + 1000);
}

/* The slowest upload of the site that has most places; NULL if none has two more than `own`. The lock is held. */
static struct upload_place *to_displace(struct site *site, int own)
{
	const int64_t now_ms = mono_ms();
	struct upload_place *found = NULL;
	int most = own + 1;
	for (struct upload_place *p = site->uploads; p; p = p->next)
		p->is_seen = !p->is_counted || atomic_load(&p->is_over);
	for (struct upload_place *p = site->uploads; p; p = p->next) {
		struct upload_place *slowest = p;
		int count = 0;
		for (struct upload_place *q = p; q && !p->is_seen; q = q->next) {
			if (q->is_seen || !is_same_site(p, q))
				continue;
			q->is_seen = q != p;
			count++;
			if (pace_of(q, now_ms) < pace_of(slowest, now_ms))
				slowest = q;
		}
		if (count > most) {
			most = count;
			found = slowest;
		}
	}
	return found;
}

/* 0, or the status to refuse with. The lock is held. near: uploads of p's site, displaced ones as well. */
static int make_room(struct site *site, int near)
{
	struct upload_place *loser;
	if (!site->max_uploads || site->upload_count < site->max_uploads)
		return 0;
	loser = to_displace(site, near);
	if (!loser)
		return 503;
	atomic_store(&loser->is_over, true);
	site->upload_count--;
	return 0;
}

int places_take(struct site *site, struct upload_place *p, bool has_descriptor)
{
	const int max = site->max_uploads, max_own = site->max_uploads_per_user;
	int own = 0, same = 0, near = 0, status;
	pthread_mutex_lock(&places_lock);
	for (const struct upload_place *other = site->uploads; other; other = other->next) {
		if (other->identity_id == p->identity_id)
			own += strcmp(other->key, p->key) != 0 || same++ > 0;
		near += p->is_counted && other->is_counted && is_same_site(p, other);
	}
	if ((max_own && own >= max_own) || (max && near - (same > 0) >= (max + 1) / 2))
		status = 429;
	else
		status = has_descriptor ? make_room(site, near) : 503;
	if (!status) {
		p->began_ms = mono_ms();
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
	site->upload_count -= !atomic_load(&p->is_over);
	atomic_fetch_sub(&site->upload_descriptors, 1);
	pthread_mutex_unlock(&places_lock);
}
