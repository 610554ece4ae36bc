/* client.c — the workers: connect, shake hands, join, talk, and read as cheaply as a socket can be read.
 *
 * A worker owns a share of the clients: every nth, or all readers of files, or all that chat amid a storm. No other thread touches them
 * until it has ended. Frames are told apart by their headers; a delivery that is byte for byte what another client got at the same place
 * costs one comparison. Everything else (own copies, DMs, init, lists) goes the slow way. */
#include "wavebench.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES ((size_t)256 * 1024)  /* stays in the second-level cache */
#define FRAME_KEPT ((size_t)8 << 20)     /* a larger frame is passed over, its beginning judged */
#define READER_KEPT ((size_t)512 * 1024) /* a reader's: files alone are larger */
#define SOURCES 16                       /* loopback addresses that connections come from */

struct run run;

void clients_say(const char *what, const struct client *c)
{
	static _Atomic int said;
	if (atomic_fetch_add(&said, 1) < 8)
		fprintf(stderr, "wavebench: client %u at place %llu: %s\n", c->index, (unsigned long long)c->place, what);
}

static struct client *client_of(struct worker *w, int i)
{
	return &run.clients[w->first + i * w->stride];
}

/* --- Writing */

static void watch(struct worker *w, struct client *c, bool out)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLRDHUP | (out ? EPOLLOUT : 0), .data.ptr = c };
	if (epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &e) == 0)
		c->wants_out = out;
}

static void out_keep(struct client *c, const char *p, size_t n)
{
	if (c->out_at + c->out_len + n > c->out_room) {
		c->out_room = (c->out_at + c->out_len + n) * 2;
		c->out = xrealloc(c->out, c->out_room);
	}
	memcpy(c->out + c->out_at + c->out_len, p, n);
	c->out_len += n;
}

void client_send(struct worker *w, struct client *c, const char *p, size_t n)
{
	if (c->fd < 0)
		return;
	if (c->out_len == 0) {
		ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
		if (sent == (ssize_t)n)
			return;
		if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		} else if (sent < 0 && errno != EAGAIN) {
			return; /* the read side will see the end of it */
		}
	}
	out_keep(c, p, n);
	if (!c->wants_out)
		watch(w, c, true);
}

static void client_flush(struct worker *w, struct client *c)
{
	if (c->out_len) {
		ssize_t sent = send(c->fd, c->out + c->out_at, c->out_len, MSG_NOSIGNAL);
		if (sent > 0) {
			c->out_at += (size_t)sent;
			c->out_len -= (size_t)sent;
		}
	}
	if (c->out_len == 0 && c->wants_out) {
		free(c->out);
		c->out = NULL;
		c->out_at = c->out_room = 0;
		watch(w, c, false);
	}
}

size_t frame_write(char *out, int opcode, const char *payload, size_t n)
{
	static const unsigned char mask[4] = { 0x5a, 0xc3, 0x17, 0x8e };
	unsigned char *p = (unsigned char *)out;
	*p++ = (unsigned char)(0x80 | opcode);
	if (n < 126) {
		*p++ = (unsigned char)(0x80 | n);
	} else if (n < 65536) {
		*p++ = 0x80 | 126;
		*p++ = (unsigned char)(n >> 8);
		*p++ = (unsigned char)n;
	} else {
		*p++ = 0x80 | 127;
		for (int i = 7; i >= 0; i--)
			*p++ = (unsigned char)((uint64_t)n >> (8 * i));
	}
	memcpy(p, mask, 4);
	p += 4;
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)payload[i] ^ mask[i & 3];
	return (size_t)(p - (unsigned char *)out) + n;
}

static void send_frame(struct worker *w, struct client *c, int opcode, const char *payload, size_t n)
{
	char frame[1024];
	WC_ASSERT(n + 14 <= sizeof(frame));
	client_send(w, c, frame, frame_write(frame, opcode, payload, n));
}

#define FRAME_ROOM (4000 + MARKER_LEN + 256)

/* One message of c's, due at due_us, appended to out. */
static size_t message_write(char *out, struct client *c, int64_t due_us)
{
	char text[FRAME_ROOM];
	bool is_dm = run.opt.workload == LOAD_DM;
	int n = snprintf(text, sizeof(text), "{\"type\":\"text\",");
	if (is_dm)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\"to_id\":%llu,",
		              (unsigned long long)run.clients[run.opt.clients - 1 - (int)c->index].id);
	if (run.opt.dialect == 2)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "\"cid\":\"%x.%x.%x\",", run.id, c->index, c->sent);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\"text\":\"");
	struct marker m = { is_dm ? 'D' : 'P', c->index, c->sent, due_us };
	marker_write(text + n, run.id, &m);
	n += MARKER_LEN;
	memset(text + n, 'x', (size_t)(run.opt.size - MARKER_LEN));
	n += run.opt.size - MARKER_LEN;
	memcpy(text + n, "\"}", 2);
	c->sent++;
	c->in_flight++;
	atomic_fetch_add_explicit(&run.sent, 1, memory_order_relaxed);
	return frame_write(out, 1, text, (size_t)n + 2);
}

static bool may_talk(const struct client *c)
{
	if (c->in_flight >= (uint32_t)run.opt.window)
		return false;
	if (atomic_load_explicit(&run.is_preloading, memory_order_relaxed))
		return c->index == 0 && c->sent < (uint32_t)run.opt.preload;
	return run.opt.rate == 0 && (int)c->index < run.opt.senders && atomic_load_explicit(&run.is_talking, memory_order_relaxed);
}

/* As many messages as the window allows, in one write. */
static void talk(struct worker *w, struct client *c, int64_t now)
{
	char out[16 * (FRAME_ROOM + 14)];
	while (c->state == CL_READY && may_talk(c)) {
		size_t n = 0;
		for (int i = 0; i < 16 && may_talk(c); i++)
			n += message_write(out + n, c, now);
		client_send(w, c, out, n);
	}
}

/* --- Input (judge.c judges it) */

static void client_close(struct worker *w, struct client *c)
{
	if (c->fd < 0)
		return;
	close(c->fd);
	c->fd = -1;
	if (c->state == CL_CONNECTING || c->state == CL_HANDSHAKE || c->state == CL_JOINING)
		w->connecting--;
	if (c->state == CL_READY || c->state == CL_FETCHING)
		atomic_fetch_sub(&run.ready, 1);
	c->state = CL_CLOSED;
	c->carry_len = 0;
	c->skip = 0;
	c->out_at = c->out_len = 0;
	c->wants_out = false;
	free(c->carry);
	free(c->out);
	c->carry = c->out = NULL;
	c->carry_room = c->out_room = 0;
}

void client_lost(struct worker *w, struct client *c)
{
	if (c->fd < 0)
		return;
	if (atomic_load(&run.phase) < PHASE_END) {
		bool before_init = c->state != CL_READY && c->state != CL_FETCHING;
		if (before_init)
			w->tally.refused++;
		else
			w->tally.closed++;
		w->tally.last_code = c->close_code;
		char what[100];
		snprintf(what, sizeof(what), "closed by the server %s, code %u (%s)", before_init ? "before init" : "", c->close_code,
		         strerror(errno));
		clients_say(what, c);
	}
	client_close(w, c);
}

static void on_control(struct worker *w, struct client *c, int opcode, const char *p, size_t n)
{
	if (opcode == 9)
		send_frame(w, c, 10, p, n);
	else if (opcode == 8 && n >= 2)
		c->close_code = (uint16_t)((unsigned char)p[0] << 8 | (unsigned char)p[1]);
}

/* All whole frames in p[0..n); returns how many bytes they were. */
static size_t on_frames(struct worker *w, struct client *c, const char *p, size_t n, int64_t now)
{
	size_t at = 0;
	while (n - at >= 2) {
		const unsigned char *h = (const unsigned char *)p + at;
		size_t head = 2;
		uint64_t len = h[1] & 0x7f;
		if (len == 126) {
			if (n - at < 4)
				break;
			len = (uint64_t)h[2] << 8 | h[3];
			head = 4;
		} else if (len == 127) {
			if (n - at < 10)
				break;
			len = 0;
			for (int i = 2; i < 10; i++)
				len = len << 8 | h[i];
			head = 10;
		}
		if (h[1] & 0x80 || h[0] & 0x70 || len > (uint64_t)1 << 40) {
			w->tally.malformed++;
			clients_say("not a server's frame header", c);
			errno = EPROTO;
			client_lost(w, c);
			return n;
		}
		if (len > (c->is_reader ? READER_KEPT : FRAME_KEPT)) {
			size_t have = WC_MIN((uint64_t)(n - at - head), len);
			if (have < 4096 && have < len)
				break; /* its beginning is wanted */
			judge_text(w, c, p + at + head, have, now);
			c->skip = len - have;
			at += head + have;
			continue;
		}
		if (n - at - head < len)
			break;
		if ((h[0] & 15) == 1)
			judge_text(w, c, p + at + head, (size_t)len, now);
		else
			on_control(w, c, h[0] & 15, p + at + head, (size_t)len);
		at += head + (size_t)len;
		if (c->fd < 0)
			return n;
	}
	return at;
}

static void send_join(struct worker *w, struct client *c)
{
	char join[512];
	int n = snprintf(join, sizeof(join), "{\"type\":\"join\",\"name\":\"w%04x-%u\"", run.id, c->index);
	if (run.opt.dialect == 2 && !c->is_reader) {
		n += snprintf(join + n, sizeof(join) - (size_t)n, ",\"v\":2");
		if (c->token)
			n += snprintf(join + n, sizeof(join) - (size_t)n, ",\"token\":\"%s\",\"since\":%llu", c->token,
			              (unsigned long long)c->head);
	}
	join[n++] = '}';
	c->state = CL_JOINING;
	c->join_us = mono_us();
	send_frame(w, c, 1, join, (size_t)n);
}

/* The answer to the handshake; returns bytes used, 0 for not yet. */
static size_t on_handshake(struct worker *w, struct client *c, const char *p, size_t n)
{
	const char *end = memmem(p, n, "\r\n\r\n", 4);
	if (!end)
		return 0;
	if (n < 12 || memcmp(p, "HTTP/1.1 101", 12) != 0 || !memmem(p, (size_t)(end - p), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28)) {
		char what[120];
		snprintf(what, sizeof(what), "handshake refused: %.*s", (int)WC_MIN(n, (size_t)60), p);
		clients_say(what, c);
		client_lost(w, c);
		return n;
	}
	send_join(w, c);
	return (size_t)(end + 4 - p);
}

static void carry_keep(struct client *c, const char *p, size_t n)
{
	if (n > c->carry_room) {
		free(c->carry);
		c->carry_room = WC_MAX(n * 2, (size_t)512);
		c->carry = xmalloc(c->carry_room);
	}
	memcpy(c->carry, p, n);
	c->carry_len = n;
}

/* The unfinished frame is larger than the buffer: it grows where it lies. */
static void read_large(struct worker *w, struct client *c, int64_t now)
{
	if (c->carry_room < c->carry_len + READ_BYTES) {
		c->carry_room = c->carry_len * 2 + READ_BYTES;
		c->carry = xrealloc(c->carry, c->carry_room);
	}
	ssize_t got = recv(c->fd, c->carry + c->carry_len, c->carry_room - c->carry_len, 0);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			client_lost(w, c);
		return;
	}
	w->tally.all_bytes += (uint64_t)got;
	c->carry_len += (size_t)got;
	size_t used = on_frames(w, c, c->carry, c->carry_len, now);
	if (c->fd >= 0) {
		memmove(c->carry, c->carry + used, c->carry_len - used);
		c->carry_len -= used;
		if (c->carry_len < 4096 && c->carry_room > READ_BYTES) {
			char rest[4096];
			size_t n = c->carry_len;
			memcpy(rest, c->carry, n);
			free(c->carry);
			c->carry = NULL;
			c->carry_room = c->carry_len = 0;
			if (n)
				carry_keep(c, rest, n);
		}
	}
}

static void client_read(struct worker *w, struct client *c)
{
	if (c->carry_len > READ_BYTES / 2) {
		read_large(w, c, mono_us());
		return;
	}
	char *b = w->buffer;
	size_t have = c->carry_len;
	if (have)
		memcpy(b, c->carry, have);
	ssize_t got = recv(c->fd, b + have, READ_BYTES - have, 0);
	if (got <= 0) {
		if (got == 0 || errno != EAGAIN)
			client_lost(w, c);
		return;
	}
	int64_t now = mono_us();
	w->tally.all_bytes += (uint64_t)got;
	if (atomic_load_explicit(&run.phase, memory_order_relaxed) == PHASE_MEASURE)
		w->tally.bytes += (uint64_t)got;
	size_t n = have + (size_t)got, at = 0;
	if (c->skip) {
		size_t pass = (size_t)WC_MIN(c->skip, (uint64_t)n);
		c->skip -= pass;
		at = pass;
		if (c->skip == 0 && c->is_reader)
			file_whole(c);
		if (c->skip == 0 && c->state == CL_FETCHING)
			fetch_ask(w, c);
	}
	if (c->state == CL_FETCHING) {
		if (c->skip == 0 && at < n)
			at += fetch_answer(w, c, b + at, n - at, now);
	} else if (c->state == CL_HANDSHAKE)
		at += on_handshake(w, c, b + at, n - at);
	if (c->fd >= 0 && c->state != CL_HANDSHAKE && c->state != CL_FETCHING)
		at += on_frames(w, c, b + at, n - at, now);
	if (c->fd < 0)
		return;
	c->carry_len = 0;
	if (at < n) {
		carry_keep(c, b + at, n - at);
	} else if (c->carry_room > 4096) {
		free(c->carry);
		c->carry = NULL;
		c->carry_room = 0;
	}
	talk(w, c, now);
}

/* --- Coming and going */

static void client_connect(struct worker *w, struct client *c)
{
	static _Atomic unsigned source;
	int one = 1;
	c->start_us = mono_us();
	c->close_code = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		fprintf(stderr, "wavebench: socket: %s (raise the limit on open files: ulimit -n)\n", strerror(errno));
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if ((ntohl(run.opt.addr.sin_addr.s_addr) >> 24) == 127) {
		/* One address has some 28,000 ports, less what lies in TIME_WAIT. */
		struct sockaddr_in from = { .sin_family = AF_INET };
		from.sin_addr.s_addr = htonl(0x7f000001u + atomic_fetch_add(&source, 1) % SOURCES);
		setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
			clients_say("cannot bind a loopback address", c);
	}
	c->state = CL_CONNECTING;
	w->connecting++;
	w->tally.connects++;
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = c };
	if (connect(c->fd, (struct sockaddr *)&run.opt.addr, sizeof(run.opt.addr)) != 0 && errno != EINPROGRESS) {
		client_lost(w, c);
		return;
	}
	epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &e);
}

static void on_connected(struct worker *w, struct client *c)
{
	int error = 0;
	socklen_t len = sizeof(error);
	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 || error) {
		errno = error;
		client_lost(w, c);
		return;
	}
	watch(w, c, false);
	if (run.opt.workload == LOAD_FETCH) {
		w->connecting--;
		c->state = CL_FETCHING;
		atomic_fetch_add(&run.ready, 1);
		fetch_ask(w, c);
		return;
	}
	c->state = CL_HANDSHAKE;
	char request[400];
	int n = snprintf(request, sizeof(request),
	                 "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
	                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
	                 run.opt.host);
	client_send(w, c, request, (size_t)n);
}

static void client_leave(struct worker *w, struct client *c)
{
	if (c->index & 1) { /* every other one cuts the line instead of closing it */
		struct linger abrupt = { .l_onoff = 1 };
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
	} else {
		send_frame(w, c, 8, "\x03\xe8", 2);
	}
	w->tally.leaves++;
	client_close(w, c);
}

static void connect_more(struct worker *w)
{
	int limit = atomic_load(&run.connect_limit);
	while (w->next_client < w->count && w->connecting < run.opt.burst) {
		struct client *c = client_of(w, w->next_client);
		if ((int)c->index >= limit)
			return;
		client_connect(w, c);
		w->next_client++;
	}
}

static void churn(struct worker *w, int64_t now)
{
	int first = run.opt.clients;
	for (int i = (first - w->first + w->stride - 1) / w->stride; i < w->count; i++) {
		struct client *c = client_of(w, i);
		if (c->state == CL_READY && now >= c->leave_us)
			client_leave(w, c);
		if (c->fd < 0 && c->state == CL_CLOSED && atomic_load(&run.is_talking) && w->connecting < run.opt.burst &&
		    atomic_fetch_add(&run.connects, 1) < (uint64_t)run.opt.connects)
			client_connect(w, c);
	}
}

/* Open loop: messages are due at fixed times, spread over the senders; those of one worker are every threads-th. */
static int64_t pace(struct worker *w, int64_t now)
{
	if (!atomic_load(&run.is_talking)) {
		w->paced_from = 0;
		return INT64_MAX;
	}
	double gap = 1e6 / run.opt.rate;
	int senders = (run.opt.senders - w->first + w->stride - 1) / w->stride;
	if (senders <= 0)
		return INT64_MAX;
	if (w->paced_from == 0) {
		w->paced_from = now;
		w->due_count = (uint64_t)w->pace_first;
	}
	for (;;) {
		int64_t due = w->paced_from + (int64_t)((double)w->due_count * gap);
		if (due > now)
			return due;
		struct client *c = client_of(w, (int)(w->due_count / (uint64_t)w->pace_step % (uint64_t)senders));
		if (c->state == CL_READY) {
			char out[FRAME_ROOM + 14];
			client_send(w, c, out, message_write(out, c, due));
		}
		w->due_count += (uint64_t)w->pace_step;
	}
}

static void kick_off(struct worker *w, int64_t now)
{
	for (int i = 0; i < w->count; i++)
		talk(w, client_of(w, i), now);
}

/* While draining: who has not got all there is? */
static int count_missing(struct worker *w)
{
	uint64_t all = atomic_load(&run.sent);
	int missing = 0;
	for (int i = 0; i < w->count; i++) {
		struct client *c = client_of(w, i);
		if (c->state != CL_READY || c->is_stalled || c->is_churner || c->is_reader)
			continue;
		/* A client that always read first is placed now that the others have read, too. */
		if (c->place == PLACE_UNKNOWN && c->unplaced > 0)
			try_place(w, c);
		if (c->echoed != c->sent)
			missing++;
		else if (run.opt.workload == LOAD_DM)
			missing += c->dm_next != run.clients[run.opt.clients - 1 - (int)c->index].sent;
		else
			missing += c->place == PLACE_UNKNOWN ? c->unplaced > 0 : c->place != all;
	}
	return missing;
}

/* Everyone but the chatters goes, to come back. */
static void part_to_return(struct worker *w)
{
	w->next_client = w->count;
	for (int i = w->count - 1; i >= 0; i--) {
		struct client *c = client_of(w, i);
		if ((int)c->index < run.opt.chatters)
			break;
		client_close(w, c);
		c->state = CL_IDLE;
		w->next_client = i;
	}
	w->has_parted = true;
}

/* Stalled clients are read at last, to see whether the server let go of them. */
static void judge_stalled(struct worker *w)
{
	for (int i = 0; i < w->count; i++) {
		struct client *c = client_of(w, i);
		if (!c->is_stalled || c->fd < 0)
			continue;
		for (;;) {
			ssize_t got = recv(c->fd, w->buffer, READ_BYTES, 0);
			if (got > 0)
				continue;
			if (got == 0 || errno != EAGAIN)
				atomic_fetch_add(&run.closed_stalled, 1);
			break;
		}
	}
}

static void part(struct worker *w)
{
	for (int i = 0; i < w->count; i++)
		client_close(w, client_of(w, i));
}

void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct epoll_event events[256];
	bool was_talking = false, was_preloading = false;
	w->buffer = xmalloc(READ_BYTES);
	while (atomic_load(&run.phase) != PHASE_END) {
		int64_t now = mono_us(), until = INT64_MAX;
		connect_more(w);
		if (run.opt.workload == LOAD_CHURN)
			churn(w, now);
		if (atomic_load(&run.is_parting) && !w->has_parted)
			part_to_return(w);
		bool is_talking = atomic_load(&run.is_talking), is_preloading = atomic_load(&run.is_preloading);
		if (run.opt.rate > 0)
			until = pace(w, now);
		if (client_of(w, 0)->is_reader && atomic_exchange(&run.is_file_due, false))
			file_send(w, client_of(w, 0));
		if ((is_talking && !was_talking) || (is_preloading && !was_preloading))
			kick_off(w, now);
		was_talking = is_talking;
		was_preloading = is_preloading;
		if (atomic_load(&run.phase) == PHASE_DRAIN)
			atomic_store(&w->missing, count_missing(w));
		int64_t wait_us = WC_MIN(WC_MAX(until - mono_us(), (int64_t)0), (int64_t)2000);
		struct timespec ts = { 0, wait_us * 1000 };
		int n = epoll_pwait2(w->epoll, events, WC_LEN(events), &ts, NULL);
		for (int i = 0; i < n; i++) {
			struct client *c = events[i].data.ptr;
			if (c->fd < 0)
				continue;
			if (c->state == CL_CONNECTING) {
				on_connected(w, c);
				continue;
			}
			if (events[i].events & EPOLLOUT)
				client_flush(w, c);
			if (c->fd >= 0 && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
				client_read(w, c);
		}
	}
	judge_stalled(w);
	part(w);
	free(w->buffer);
	return NULL;
}
