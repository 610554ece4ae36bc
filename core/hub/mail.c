/* mail.c — mail, its way into a hub's mailbox, and text frames to put into it. Any thread. */
#include "hub/mail.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "hub/impl.h"

struct mail *mail_new(enum mail_kind kind, struct conn *c)
{
	struct mail *m = xcalloc(1, sizeof(*m));
	m->kind = (uint8_t)kind;
	m->conn = c;
	return m;
}

void mail_part(struct mail *m, struct shbuf *part)
{
	if (!part)
		return;
	WC_ASSERT(m->nparts < MAIL_PARTS);
	m->parts[m->nparts++] = part;
}

static void wake(struct hub *h)
{
	if (atomic_load(&h->is_sleeping) && atomic_exchange(&h->is_sleeping, false)) {
		uint64_t one = 1;
		if (write(h->event, &one, sizeof(one)) < 0)
			log_error("eventfd", "error=\"%s\"", strerror(errno));
	}
}

void hub_post(struct hub *h, struct mail *newest, struct mail *oldest)
{
	struct mail *top = atomic_load_explicit(&h->mailbox, memory_order_relaxed);
	do {
		oldest->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&h->mailbox, &top, newest, memory_order_seq_cst, memory_order_relaxed));
	wake(h);
}

void hub_post_one(struct mail *m)
{
	hub_post(m->conn->hub, m, m);
}

void hubs_wake(struct hubs *hs)
{
	/* Orders what the caller published before the looks at is_sleeping. */
	atomic_thread_fence(memory_order_seq_cst);
	for (int i = 0; i < hs->count; i++)
		wake(hs->v[i]);
}

/* --- Frames */

static struct shbuf *make_frame(const void *payload, size_t len, bool is_sure)
{
	uint8_t header[WS_HEADER_MAX];
	size_t n = ws_header(header, WS_TEXT, len);
	struct shbuf *f = is_sure ? shbuf_new_sure(n + len) : shbuf_new(n + len);
	if (!f)
		return NULL;
	memcpy(f->data, header, n);
	memcpy(f->data + n, payload, len);
	return f;
}

struct shbuf *frame_of(const void *payload, size_t len)
{
	return make_frame(payload, len, false);
}

struct shbuf *frame_of_buf(const struct buf *b)
{
	return b->failed ? NULL : make_frame(b->p, b->len, b->is_sure);
}
