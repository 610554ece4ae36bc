/* hostile.c — hostile peers: a crowd of connections that each hold on to something, while another wavebench measures the effect on the
 * others.
 *
 * Owns its connections. Every connection is of one kind, told by its number. A connection that is thrown out comes back, at most --rate a
 * second in all. Nothing is judged here: the server must only go on serving. One thread. */
#include "wavebench.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define TURN_MS 10
#define CLAIM_BYTES (30u << 20)

enum kind {
	SLOWLORIS,  /* a header that never ends, a line at a time */
	HALF_OPEN,  /* nothing, or half a request or body, and then silence */
	GARBAGE,    /* random bytes, as a request and as frames; broken JSON */
	STALLED,    /* joins and asks, and reads nothing at all */
	OVERSIZED,  /* a frame that claims 30 MB and drips, or claims the world */
	JOIN_FLOOD, /* a new person each time, gone at once */
	KINDS,
};
static const char *const kind_names[KINDS] = { "slowloris", "half_open", "garbage", "stalled", "oversized", "join_flood" };

struct foe {
	int fd;
	uint32_t number;
	uint16_t step; /* acts since it connected */
	bool is_connected;
	int64_t next_us; /* its next act */
};

static struct {
	int epoll;
	struct foe *foes;
	int count, open, next; /* next: where to look for one to connect */
	uint64_t opened[KINDS], thrown_out[KINDS], failed;
	int most_open;
} crowd;

static volatile sig_atomic_t is_over;

static void on_signal(int sig)
{
	(void)sig;
	is_over = 1;
}

static enum kind kind_of(const struct foe *f)
{
	return (enum kind)(run.opt.kind >= 0 ? (unsigned)run.opt.kind : f->number % KINDS);
}

int hostile_kind(const char *name)
{
	for (int k = 0; k < KINDS; k++)
		if (strcmp(kind_names[k], name) == 0)
			return k;
	return -1;
}

/* Which of its kind it is, for variants. */
static unsigned variant_of(const struct foe *f)
{
	return f->number / KINDS;
}

static void leave(struct foe *f)
{
	close(f->fd);
	f->fd = -1;
	crowd.open--;
}

static void say(struct foe *f, const void *p, size_t n)
{
	(void)!send(f->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT); /* what does not fit is left out: it means harm anyway */
}

static size_t put_header(uint8_t *out, uint64_t len)
{
	static const uint8_t no_mask[4] = { 0 };
	size_t n = 0;
	out[n++] = 0x81;
	if (len < 126) {
		out[n++] = (uint8_t)(0x80 | len);
	} else {
		out[n++] = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			out[n++] = (uint8_t)(len >> 8 * i);
	}
	memcpy(out + n, no_mask, 4);
	return n + 4;
}

static void say_text(struct foe *f, const char *text)
{
	uint8_t frame[256];
	size_t len = strlen(text), n = put_header(frame, len);
	memcpy(frame + n, text, len);
	say(f, frame, n + len);
}

static void say_upgrade(struct foe *f)
{
	static const char request[] = "GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
				      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	say(f, request, sizeof(request) - 1);
}

/* The frames behind the request do not wait for its answer. */
static void say_join(struct foe *f)
{
	char join[80];
	say_upgrade(f);
	snprintf(join, sizeof(join), "{\"type\":\"join\",\"name\":\"foe %u\"%s}", f->number, variant_of(f) % 2 ? ",\"v\":2" : "");
	say_text(f, join);
}

static void say_random(struct foe *f)
{
	uint8_t bytes[300];
	wc_random(bytes, sizeof(bytes));
	say(f, bytes, sizeof(bytes));
}

static int slowloris(struct foe *f)
{
	if (f->step == 0)
		say(f, "GET /ws HTTP/1.1\r\nHost: chat\r\n", 30);
	else
		say(f, "X-Y: z\r\n", 8);
	return 500;
}

static int half_open(struct foe *f)
{
	static const char *const halves[] = {
		"", "G", "GET / HTTP/1.1\r\nHost:",
		"POST /upload?key=k&size=50000&offset=0 HTTP/1.1\r\nHost: chat\r\nContent-Length: 50000\r\n\r\nx",
		"GET /ws HTTP/1.1\r\nHost: chat\r\nUpgrade: websocket\r\n"
	};
	const char *half = halves[variant_of(f) % WC_LEN(halves)];
	if (f->step == 0 && *half)
		say(f, half, strlen(half));
	return 5000;
}

static int garbage(struct foe *f)
{
	switch (variant_of(f) % 3) {
	case 0: say_random(f); return 1000;
	case 1:
		if (f->step == 0)
			say_upgrade(f);
		else
			say_random(f);
		return 500;
	default:
		if (f->step == 0)
			say_join(f);
		else
			say_text(f, f->step % 2 ? "{\"type\":\"text\",\"text\":[[[[[[[[" : "{\"type\":\"history\",\"before\":1e999}");
		return 500;
	}
}

static int stalled(struct foe *f)
{
	if (f->step == 0)
		say_join(f);
	else
		say_text(f, f->step % 2 ? "{\"type\":\"dm_history\",\"peer_id\":1}" : "{\"type\":\"who\",\"limit\":200}");
	return 200;
}

static int oversized(struct foe *f)
{
	static char drip[16 * 1024];
	uint8_t head[32];
	if (f->step == 0) {
		memset(drip, 'A', sizeof(drip));
		say_join(f);
		bool is_mad = variant_of(f) % 4 == 0;
		say(f, head, put_header(head, is_mad ? (uint64_t)1 << 62 : CLAIM_BYTES));
		say(f, "{\"type\":\"file\",\"data\":\"", 23);
		for (int i = 0; i < 16 && !is_mad; i++)
			say(f, drip, sizeof(drip));
		return 500;
	}
	say(f, drip, 1024);
	return 500;
}

static int join_flood(struct foe *f)
{
	if (f->step == 0) {
		say_join(f);
		return 100;
	}
	leave(f);
	return 0;
}

static void act(struct foe *f, int64_t now)
{
	static int (*const acts[KINDS])(struct foe *) = { slowloris, half_open, garbage, stalled, oversized, join_flood };
	int wait_ms = acts[kind_of(f)](f);
	f->step++;
	f->next_us = now + (int64_t)wait_ms * 1000;
}

static void come(struct foe *f)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	int small = 4096;

	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fd < 0) {
		crowd.failed++;
		return;
	}
	f->step = 0;
	f->is_connected = false;
	crowd.open++;
	crowd.most_open = WC_MAX(crowd.most_open, crowd.open);
	if (kind_of(f) == STALLED)
		setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	from.sin_addr.s_addr = htonl(0x7f004200u + 1 + f->number % (unsigned)run.opt.sources); /* 127.0.66.1 … */
	struct epoll_event e = { .events = EPOLLOUT | EPOLLRDHUP | (kind_of(f) == STALLED ? 0 : EPOLLIN) | EPOLLET, .data.ptr = f };
	if (bind(f->fd, (struct sockaddr *)&from, sizeof(from)) < 0 ||
	    (connect(f->fd, (const struct sockaddr *)&run.opt.addr, sizeof(run.opt.addr)) < 0 && errno != EINPROGRESS) ||
	    epoll_ctl(crowd.epoll, EPOLL_CTL_ADD, f->fd, &e) < 0) {
		crowd.failed++;
		leave(f);
	}
}

static void see(struct foe *f, uint32_t events, int64_t now)
{
	static char scrap[65536];
	bool is_out = events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);

	if (f->fd < 0)
		return;
	if (!f->is_connected && events & EPOLLOUT && !is_out) {
		f->is_connected = true;
		f->next_us = now;
		crowd.opened[kind_of(f)]++;
	}
	for (ssize_t got = 1; events & EPOLLIN && got > 0 && kind_of(f) != STALLED;) {
		got = recv(f->fd, scrap, sizeof(scrap), 0);
		is_out |= got == 0 || (got < 0 && errno != EAGAIN);
	}
	if (is_out) {
		if (f->is_connected)
			crowd.thrown_out[kind_of(f)]++;
		else
			crowd.failed++;
		leave(f);
	}
}

static void print_crowd(void)
{
	printf("{\"workload\":\"hostile\",\"connections\":%d,\"most_open\":%d,\"failed\":%llu", crowd.count, crowd.most_open,
	       (unsigned long long)crowd.failed);
	for (int k = 0; k < KINDS; k++)
		printf(",\"%s\":{\"opened\":%llu,\"thrown_out\":%llu}", kind_names[k], (unsigned long long)crowd.opened[k],
		       (unsigned long long)crowd.thrown_out[k]);
	puts("}");
}

int hostile_main(void)
{
	struct epoll_event events[512];
	int64_t start = mono_us(), end = start + (int64_t)(run.opt.seconds * 1e6);
	double rate = run.opt.rate > 0 ? run.opt.rate : 1000;
	uint64_t come_total = 0;

	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	crowd.count = run.opt.clients;
	crowd.epoll = epoll_create1(EPOLL_CLOEXEC);
	crowd.foes = xcalloc((size_t)crowd.count, sizeof(*crowd.foes));
	for (int i = 0; i < crowd.count; i++)
		crowd.foes[i] = (struct foe){ .fd = -1, .number = (uint32_t)i };
	for (int64_t now = start; now < end && !is_over; now = mono_us()) {
		/* An unused part of the rate is not made up for. */
		uint64_t due = (uint64_t)((double)(now - start) / 1e6 * rate),
			 room = WC_MIN(due - WC_MIN(come_total, due), (uint64_t)rate / 20 + 1);
		come_total = due;
		for (int looked = 0; room && looked < crowd.count; looked++) {
			struct foe *f = &crowd.foes[crowd.next];
			crowd.next = (crowd.next + 1) % crowd.count;
			if (f->fd < 0) {
				come(f);
				room--;
			}
		}
		for (int i = 0; i < crowd.count; i++)
			if (crowd.foes[i].fd >= 0 && crowd.foes[i].is_connected && crowd.foes[i].next_us <= now)
				act(&crowd.foes[i], now);
		for (int64_t left = TURN_MS; left > 0; left = TURN_MS - (mono_us() - now) / 1000) {
			int n = epoll_wait(crowd.epoll, events, WC_LEN(events), (int)left);
			for (int i = 0; i < n; i++)
				see(events[i].data.ptr, events[i].events, now);
		}
	}
	print_crowd();
	free(crowd.foes);
	return 0;
}
