/* conn.c — one connection: from a taken socket to freed memory, its pauses, and what others may ask of it.
 *
 * input.c reads it, output.c writes it, tick.c ends it when it takes too long. Thread: its hub's; the accessors say which. */
#include "hub/conn.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/ip.h"
#include "base/logmsg.h"
#include "hub/impl.h"
#include "hub/lists.h"
#include "net/seats.h"

/* --- Life */

struct conn *conn_new(struct hub *h, const struct taken *t)
{
	struct conn *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->hub = h;
	c->io = (struct transport){ .fd = t->fd, .tls = t->tls };
	c->seat = t->seat;
	c->stash = t->early;
	c->stash_len = (uint32_t)t->early_len;
	c->list = LIST_NEW;
	if (ip_bytes(&t->peer, c->addr)) /* else a unix socket's, and "::" says so */
		c->port = ntohs(t->peer.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)(const void *)&t->peer)->sin6_port
		                                              : ((const struct sockaddr_in *)(const void *)&t->peer)->sin_port);
	c->in.owner = holder_of(0, toll_is_exempt(h->all->toll, c->addr) ? NULL : c->addr);
	ws_budget_add(h->all->o.limits.budget, stash_share(c, c->stash_len));
	metric_add(M_CONNECTIONS, 1);
	metric_add(M_CONNECTS, 1);
	return c;
}

void conn_discard(struct conn *c)
{
	transport_close(&c->io);
	seat_leave(c->seat);
	free(c->stash);
	free(c);
}

void conn_open(struct hub *h, struct conn *c)
{
	c->all_next = h->all_conns;
	if (h->all_conns)
		h->all_conns->all_prev = c;
	h->all_conns = c;
	c->rx_s = h->now_s;
	/* The first ping comes up to a quarter sooner, depending on the port: a crowd that came at once is not pinged in one second for
	 * ever. */
	uint32_t interval_s = (uint32_t)(h->all->o.ping_interval_ms / 1000);
	c->ping_s = h->now_s + interval_s - c->port % (interval_s / 4 + 1);
	c->deadline_s = h->now_s + (uint32_t)((h->all->o.join_timeout_ms + 999) / 1000);
	list_add(h, c, LIST_NEW);
	/* Edge-triggered, both ways, once: no epoll_ctl is ever needed again. */
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c };
	if (epoll_ctl(h->epoll, EPOLL_CTL_ADD, c->io.fd, &ev) < 0) {
		conn_kill(c, M_EVICTED_MEMORY, "epoll");
		return;
	}
	conn_mark_ready(c);
}

#define DROPPED_LOG_MS 60000
_Static_assert(M_EVICTED_FIRST == M_EVICTED_LAG && M_EVICTED_BUDGET == M_EVICTED_LAG + 7, "the order of `dropped`");

/* Of clients that are too slow an admin hears, once a minute for each reason. The metrics count all. */
static void tell_dropped(enum metric why)
{
	static struct {
		const char *reason, *detail;
		struct log_gap gap;
	} dropped[] = {
		{ "lag", "read more slowly than the chat is written", { 0 } },
		{ "inserts", "read more slowly than private frames come", { 0 } },
		{ "stalled", "read nothing for 30 seconds", { 0 } },
		{ "pending", "do not read while memory for output is short; more with --pending-out-mb", { 0 } },
		{ "large", "read slowly while others want the memory; more with --pending-out-mb", { 0 } },
		{ "late", "did not finish a large frame in time", { 0 } },
		{ "unfinished", "did not finish a message in time; longer with --message-timeout", { 0 } },
		{ "budget", "too many large frames at once; more with --pending-in-mb", { 0 } },
	};
	uint64_t missed;
	if (why > M_EVICTED_BUDGET || !log_gap_is_over(&dropped[why - M_EVICTED_FIRST].gap, DROPPED_LOG_MS, &missed))
		return;
	log_info("slow client dropped", "reason=%s detail=\"%s\" more_since_the_last_line=%llu", dropped[why - M_EVICTED_FIRST].reason,
	         dropped[why - M_EVICTED_FIRST].detail, (unsigned long long)missed);
}

/* Exactly once for each connection, whatever else happens to it on its way out. */
void conn_count_end(struct conn *c, enum metric why)
{
	WC_ASSERT(why >= M_EVICTED_FIRST && why <= M_END_LAST);
	if (c->is_counted)
		return;
	c->is_counted = true;
	metric_add(why, 1);
	tell_dropped(why);
}

void conn_drop_stash(struct conn *c)
{
	free(c->stash);
	ws_budget_give(c->hub->all->o.limits.budget, stash_share(c, c->stash_len));
	c->stash = NULL;
	c->stash_len = c->stash_at = 0;
}

void conn_drop_inserts(struct conn *c)
{
	while (c->first) {
		struct mail *m = c->first;
		c->first = m->next;
		mail_free(m);
	}
	c->last = NULL;
	count_inserts(c, -(int64_t)c->insert_bytes);
	count_large(c, -(int64_t)c->large_bytes);
}

void conn_kill(struct conn *c, enum metric why, const char *reason)
{
	if (c->is_dead)
		return;
	struct hub *h = c->hub;
	log_debug("connection closed", "reason=\"%s\"", reason);
	conn_count_end(c, why);
	list_remove(h, c);
	transport_close(&c->io); /* takes it out of epoll: the descriptor was never duplicated */
	seat_leave(c->seat);
	c->is_dead = true;
	atomic_store_explicit(&c->is_gone, true, memory_order_relaxed);
	metric_sub(M_CONNECTIONS, 1);
	conn_drop_inserts(c);
	if (c->pause & PAUSE_BUDGET)
		h->budget_waiters--;
	ws_in_fini(&c->in, &h->all->o.limits);
	conn_drop_stash(c);
	/* While a helper has its frame, an event for it is still to come: closed must be the last. */
	if (!(c->pause & PAUSE_HELPER))
		h->all->o.ops.closed(h->all->o.ops.arg, c);
	c->pause &= PAUSE_HELPER;
}

void conn_free(struct conn *c)
{
	struct hub *h = c->hub;
	if (c->all_prev)
		c->all_prev->all_next = c->all_next;
	else
		h->all_conns = c->all_next;
	if (c->all_next)
		c->all_next->all_prev = c->all_prev;
	free(c);
}

void conn_forget(struct conn *c)
{
	if (c->is_dead && c->is_released && !c->waits)
		conn_free(c);
}

/* --- Pauses */

void conn_resume(struct conn *c, int pause)
{
	if (c->is_dead) {
		if ((pause & PAUSE_HELPER) && (c->pause & PAUSE_HELPER)) {
			c->pause = 0;
			c->hub->all->o.ops.closed(c->hub->all->o.ops.arg, c);
		}
		return;
	}
	if ((pause & PAUSE_BUDGET) && (c->pause & PAUSE_BUDGET))
		c->hub->budget_waiters--;
	c->pause &= ~pause & (PAUSE_HELPER | PAUSE_BUDGET);
	/* Mostly nothing came meanwhile, and thousands that have just joined need not be asked. */
	if (!c->pause && (c->is_held || c->stash_len))
		conn_mark_ready(c);
}

void conn_subscribe(struct conn *c, int ring, uint64_t at, uint64_t identity)
{
	c->identity = identity;
	/* A message under way stays with the share that it took. The address stays as it was counted, whatever is exempt by now. */
	if (!ws_in_reserved(&c->in))
		c->in.owner = holder_address(c->in.owner) | holder_of(identity, NULL);
	c->deadline_s = 0;
	if (!c->is_closing) {
		list_remove(c->hub, c);
		list_add(c->hub, c, ring);
		c->serial = c->hub->subscribed++;
		c->cursor = at;
		conn_mark_dirty(c);
	}
	conn_resume(c, PAUSE_HELPER);
}

/* --- A connection as others see it */

struct hub *conn_hub(const struct conn *c)
{
	return c->hub;
}

void conn_peer(const struct conn *c, struct sockaddr_storage *out)
{
	memset(out, 0, sizeof(*out));
	if (ip_is_v4(c->addr)) {
		struct sockaddr_in *a = (void *)out;
		a->sin_family = AF_INET;
		memcpy(&a->sin_addr, c->addr + 12, 4);
		a->sin_port = htons(c->port);
	} else if (memcmp(c->addr, (const uint8_t[16]){ 0 }, 16) == 0) {
		out->ss_family = AF_UNIX;
	} else {
		struct sockaddr_in6 *a = (void *)out;
		a->sin6_family = AF_INET6;
		memcpy(&a->sin6_addr, c->addr, 16);
		a->sin6_port = htons(c->port);
	}
}

struct rota_owner conn_owner(const struct conn *c, uint64_t person)
{
	struct rota_owner o = { .person = person };
	memcpy(o.addr, c->addr, sizeof(o.addr));
	return o;
}

bool conn_is_gone(const struct conn *c)
{
	return atomic_load_explicit(&c->is_gone, memory_order_relaxed);
}

uint64_t conn_identity(const struct conn *c)
{
	return c->identity;
}

bool conn_is_subscribed(const struct conn *c)
{
	return c->list != LIST_NEW;
}

void conn_refuse_files(struct conn *c, int64_t until_ms)
{
	atomic_store_explicit(&c->no_files_until_ms, until_ms, memory_order_relaxed);
}

bool conn_files_are_refused(const struct conn *c)
{
	int64_t until_ms = atomic_load_explicit(&c->no_files_until_ms, memory_order_relaxed);
	return until_ms && mono_ms() < until_ms;
}

void conn_charge(struct conn *c, uint32_t units)
{
	atomic_fetch_add_explicit(&c->dues, WC_MIN(units, (uint32_t)TOLL_MOST), memory_order_relaxed);
}

void conn_set_buffer_owner(struct conn *c, shbuf_owner owner)
{
	atomic_store_explicit(&c->buffer_owner, owner, memory_order_relaxed);
}

shbuf_owner conn_buffer_owner(const struct conn *c, enum shbuf_kind kind)
{
	return shbuf_for(atomic_load_explicit(&c->buffer_owner, memory_order_relaxed), kind);
}

void *conn_session(const struct conn *c)
{
	return c->session;
}

void conn_set_session(struct conn *c, void *session)
{
	c->session = session;
}

int conn_count_refusal(struct conn *c)
{
	return ++c->refusals;
}
