/* publish.c — see publish.h. */
#include "flow/publish.h"

#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"

#define WAIT_MS 1000 /* between complaints that an I/O thread does not sweep */

struct chain {
	struct mail *newest, *oldest;
};

struct publisher {
	struct hubs *hubs;
	struct bcast *rings[DIALECTS];
	const uint32_t *readers;
	bool has_written;
	uint64_t frames, bytes, inserts, deliveries; /* since the last flush */
	struct chain chains[BCAST_READERS_MAX];      /* one a hub */
};

struct publisher *publisher_new(struct hubs *hubs, const uint32_t readers[DIALECTS])
{
	struct publisher *p = xcalloc(1, sizeof(*p));
	p->hubs = hubs;
	p->readers = readers;
	for (int d = 0; d < DIALECTS; d++)
		p->rings[d] = hubs_ring(hubs, d);
	return p;
}

void publisher_free(struct publisher *p)
{
	free(p);
}

uint64_t publish_position(struct publisher *p, enum dialect d)
{
	return bcast_tail(p->rings[d]);
}

uint64_t publish_end(struct publisher *p, const struct conn *c)
{
	const struct session *s = conn_session(c);
	return s ? publish_position(p, s->dialect) : MAIL_AT_HEAD; /* before it joined there is no log for it */
}

size_t publish_frame_max(struct publisher *p, enum dialect d)
{
	return bcast_frame_max(p->rings[d]) - WS_HEADER_MAX;
}

uint64_t publish_frame(struct publisher *p, enum dialect d, const void *payload, size_t payload_len, size_t *len)
{
	uint8_t header[WS_HEADER_MAX];
	size_t n = ws_header(header, WS_TEXT, payload_len);
	uint8_t *to;
	while (!(to = bcast_reserve(p->rings[d], n + payload_len))) {
		publish_flush(p);
		metric_add(M_LOG_WAITS, 1);
		bcast_wait(p->rings[d], n + payload_len, WAIT_MS);
	}
	memcpy(to, header, n);
	memcpy(to + n, payload, payload_len);
	*len = n + payload_len;
	p->has_written = true;
	p->frames++;
	p->deliveries += p->readers[d];
	p->bytes += *len;
	return bcast_commit(p->rings[d], *len);
}

void publish_mail(struct publisher *p, struct mail *m)
{
	struct chain *chain = &p->chains[hub_number(conn_hub(m->conn))];
	m->next = chain->newest;
	chain->newest = m;
	if (!chain->oldest)
		chain->oldest = m;
	p->inserts++;
}

void publish_insert(struct publisher *p, const struct session *s, uint64_t at, size_t skip, struct shbuf *a, struct shbuf *b,
                    struct shbuf *c)
{
	struct mail *m = mail_new(MAIL_INSERT, s->conn);
	m->at = at;
	m->skip = (uint32_t)skip;
	p->deliveries += a && !skip; /* one in place of the log's is counted there */
	mail_part(m, a);
	mail_part(m, b);
	mail_part(m, c);
	publish_mail(p, m);
}

void publish_close(struct publisher *p, struct conn *c, enum metric why, int code, const char *reason)
{
	struct mail *m = mail_new(MAIL_CLOSE, c);
	WC_ASSERT(why >= M_EVICTED_FIRST && why <= M_END_LAST);
	m->why = (uint8_t)(why - M_EVICTED_FIRST);
	m->at = publish_end(p, c);
	m->skip = (uint32_t)code;
	mail_part(m, shbuf_copy(reason, strlen(reason)));
	publish_mail(p, m);
}

void publish_flush(struct publisher *p)
{
	bool has_mail = false, has_moved = false;
	for (int i = 0; i < hubs_count(p->hubs); i++) {
		struct chain *chain = &p->chains[i];
		if (!chain->newest)
			continue;
		hub_post(conn_hub(chain->newest->conn), chain->newest, chain->oldest);
		*chain = (struct chain){ 0 };
		has_mail = true;
	}
	if (p->has_written)
		for (int d = 0; d < DIALECTS; d++)
			has_moved |= bcast_release(p->rings[d]);
	p->has_written = false;
	if (has_moved)
		hubs_wake(p->hubs);
	if (p->frames) {
		metric_add(M_PUBLISHED_FRAMES, p->frames);
		metric_add(M_PUBLISHED_BYTES, p->bytes);
	}
	if (has_mail)
		metric_add(M_INSERTS, p->inserts);
	if (p->deliveries)
		metric_add(M_DELIVERIES, p->deliveries);
	p->frames = p->bytes = p->inserts = p->deliveries = 0;
}
