/* xfer.c — the transfer threads. Owns every connection whose peer is to be waited for, and the file of a running answer. Knows no HTTP.
 * Threads: one for answers, one for bodies, each with a lane of its own; the three ways in only leave the connection in an inbox.
 *
 * Jobs of one kind have equal deadlines, counted from their last progress. A job that moves goes to the end of its list, so the head of
 * each list expires next. A turn is bounded, and addresses take turns, not connections (rota.h): five hundred fast peers behind one
 * address keep another one waiting for one turn. A connection is armed for one event, which puts it into the rota. One whose file must
 * come from the disk first leaves the lane until it is read (cold.h). */
#include "http/xfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "base/ip.h"
#include "base/logmsg.h"
#include "base/pulse.h"
#include "base/rota.h"
#include "http/cold.h"
#include "http/gate.h"
#include "net/seats.h"

#define TURN_BYTES (256 * 1024)
#define CHUNK_BYTES (64 * 1024)
#define TURNS_A_WAKE 16                       /* then it is looked who else is ready */
#define TURN_READS (TURN_BYTES / CHUNK_BYTES) /* also if each brings a few bytes only */
/* Bytes of a large answer that may wait in the kernel unsent: else each slow reader holds megabytes there. */
#define UNSENT_BYTES (128 * 1024)

enum kind { SENDING, RECEIVING, LINGERING, KINDS };

struct xfer_job {
	struct rota_item item; /* first: the rota's */
	struct hconn *c;
	bool is_ready;           /* in the rota: it waits for its turn, not for its peer */
	bool is_over;            /* its time is up, although it is ready */
	bool had_turn;           /* and nothing moved, since its deadline was set */
	struct cold_piece piece; /* of send.fd, the last that was cold */
	enum kind kind;
	struct xfer_send send;
	struct xfer_body body;
	size_t copy_done;
	int64_t window_ms; /* since then, not counting waits for a turn, window_bytes moved */
	int64_t ready_ms;
	uint64_t window_bytes;
};

struct lane {
	const char *name;
	struct cold *cold;  /* of the lane that sends files */
	struct rota *ready; /* the thread's own */
	int epoll, kick;
	int idle_ms[KINDS], window_ms;
	_Atomic uint64_t rate;
	pthread_t thread;
	struct hconn_list jobs[KINDS]; /* the thread's own */
	uint8_t chunk[CHUNK_BYTES];

	pthread_mutex_t lock;
	struct hconn_list inbox;
	bool wants_stop, is_stopped;
};

struct xfer {
	struct lane sends, receives; /* a disk that takes its time with bodies delays no answer */
};

/* Of all doors. */
static atomic_int files_open;

int xfer_files(void)
{
	return atomic_load_explicit(&files_open, memory_order_relaxed);
}

static void job_free(struct hconn *c)
{
	struct xfer_job *job = c->job;
	if (job->kind == SENDING) {
		free(job->send.copy);
		if (job->send.fd >= 0) {
			close(job->send.fd);
			seat_count_file(c->seat, -1);
			atomic_fetch_sub_explicit(&files_open, 1, memory_order_relaxed);
		}
	}
	free(job);
	c->job = NULL;
}

/* c is in no list and not registered: its job is over, for good or ill. A body's owner hears of it in any case. */
static void abandon(struct hconn *c, enum xfer_end end)
{
	struct xfer_body body = c->job->body;
	bool is_body = c->job->kind == RECEIVING;
	job_free(c);
	if (is_body)
		body.done(body.arg, c, end);
	else
		gate_close(c);
}

static void post(struct lane *x, struct hconn *c)
{
	uint64_t one = 1;
	bool is_stopped;
	pthread_mutex_lock(&x->lock);
	is_stopped = x->is_stopped;
	bool was_empty = TAILQ_EMPTY(&x->inbox);
	if (!is_stopped)
		TAILQ_INSERT_TAIL(&x->inbox, c, link);
	pthread_mutex_unlock(&x->lock);
	if (is_stopped) {
		abandon(c, XFER_BROKEN);
	} else if (was_empty) {
		ssize_t ignored = write(x->kick, &one, sizeof(one));
		(void)ignored;
	}
}

static struct xfer_job *job_new(struct hconn *c, enum kind kind)
{
	struct xfer_job *job = xcalloc(1, sizeof(*job));
	job->c = c;
	job->kind = kind;
	job->send.fd = -1;
	c->job = job;
	return job;
}

void xfer_send(struct xfer *x, struct hconn *c, const struct xfer_send *send)
{
	job_new(c, SENDING)->send = *send;
	if (send->fd >= 0) {
		seat_count_file(c->seat, 1);
		atomic_fetch_add_explicit(&files_open, 1, memory_order_relaxed);
	}
	post(&x->sends, c);
}

void xfer_receive(struct xfer *x, struct hconn *c, const struct xfer_body *body)
{
	job_new(c, RECEIVING)->body = *body;
	post(&x->receives, c);
}

void xfer_linger(struct xfer *x, struct hconn *c)
{
	transport_shutdown(&c->io);
	job_new(c, LINGERING);
	post(&x->sends, c);
}

/* --- The thread. Each of these returns true while the job goes on; false when c has left. */

static void leave(struct lane *x, struct hconn *c)
{
	TAILQ_REMOVE(&x->jobs[c->job->kind], c, link);
	epoll_ctl(x->epoll, EPOLL_CTL_DEL, c->io.fd, NULL);
}

static void drop(struct lane *x, struct hconn *c)
{
	leave(x, c);
	abandon(c, XFER_BROKEN);
}

static void drop_slow(struct lane *x, struct hconn *c)
{
	if (c->job->kind != LINGERING) /* nothing is wanted of that one */
		gate_turned_away(&c->peer, M_REFUSED_SLOW, "min-body-rate");
	leave(x, c);
	abandon(c, XFER_TOO_SLOW);
}

static void get_in_line(struct lane *x, struct hconn *c)
{
	struct rota_owner owner = { 0 };
	if (c->job->is_ready)
		return;
	c->job->is_ready = true;
	c->job->ready_ms = mono_ms();
	(void)ip_bytes(&c->peer, owner.addr);
	rota_put(x->ready, &owner, &c->job->item);
}

/* Its next event puts it into the rota. */
static bool wait_for_peer(struct lane *x, struct hconn *c)
{
	struct epoll_event ev = { .events = (c->job->kind == SENDING ? EPOLLOUT : EPOLLIN) | EPOLLONESHOT, .data.ptr = c };
	return epoll_ctl(x->epoll, EPOLL_CTL_MOD, c->io.fd, &ev) == 0;
}

static bool enter(struct lane *x, struct hconn *c)
{
	struct epoll_event ev = { .events = EPOLLONESHOT, .data.ptr = c };
	c->job->window_ms = mono_ms(); /* anew after a wait for the disk, which is not the peer's fault */
	c->job->window_bytes = 0;
	c->job->had_turn = false;
	c->deadline_ms = c->job->window_ms + x->idle_ms[c->job->kind];
	TAILQ_INSERT_TAIL(&x->jobs[c->job->kind], c, link);
	if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, c->io.fd, &ev) == 0) {
		get_in_line(x, c);
		return true;
	}
	TAILQ_REMOVE(&x->jobs[c->job->kind], c, link);
	abandon(c, XFER_BROKEN);
	return false;
}

/* n bytes moved: the deadline starts anew. False, and c is gone, if the peer is at it with a trickle. */
static bool progress(struct lane *x, struct hconn *c, uint64_t n)
{
	struct xfer_job *job = c->job;
	int64_t now = mono_ms();
	job->window_bytes += n;
	job->had_turn = false;
	if (now - job->window_ms >= x->window_ms) {
		if (job->window_bytes < (uint64_t)(now - job->window_ms) * x->rate / 1000) {
			drop_slow(x, c);
			return false;
		}
		job->window_ms = now;
		job->window_bytes = 0;
	}
	c->deadline_ms = now + x->idle_ms[job->kind];
	TAILQ_REMOVE(&x->jobs[job->kind], c, link);
	TAILQ_INSERT_TAIL(&x->jobs[job->kind], c, link);
	return true;
}

static bool sent_all(struct lane *x, struct hconn *c)
{
	bool keeps_alive = c->job->send.keeps_alive;
	leave(x, c);
	job_free(c);
	if (keeps_alive) {
		transport_unsent_default(c->io.fd); /* it may become a WebSocket yet */
		gate_give(c->gate, c);
		return false;
	}
	transport_shutdown(&c->io);
	job_new(c, LINGERING);
	return enter(x, c);
}

/* The rest of the copy, then of the static body. Bytes moved, or an error. */
static ssize_t send_memory(struct hconn *c)
{
	struct xfer_job *job = c->job;
	struct xfer_send *s = &job->send;
	struct iovec iov[2];
	int parts = 0;
	if (job->copy_done < s->copy_len)
		iov[parts++] = (struct iovec){ s->copy + job->copy_done, s->copy_len - job->copy_done };
	if (s->body_len)
		iov[parts++] = (struct iovec){ (void *)(uintptr_t)s->body, WC_MIN(s->body_len, TURN_BYTES) };
	ssize_t n = transport_sendv(&c->io, iov, parts);
	if (n <= 0)
		return n;
	size_t of_copy = WC_MIN((size_t)n, s->copy_len - job->copy_done);
	size_t of_body = (size_t)n - of_copy;
	job->copy_done += of_copy;
	if (of_body) {
		s->body = (const uint8_t *)s->body + of_body;
		s->body_len -= of_body;
	}
	return n;
}

/* How much of the file may be sent without waiting for a disk; 0: its next bytes are cold. A piece that others have just read goes on
 * unasked, however soon the page cache loses it. */
static size_t warm_bytes(const struct xfer_job *job)
{
	const struct xfer_send *s = &job->send;
	const uint64_t read_to = job->piece.offset + job->piece.len;
	size_t len = WC_MIN(s->fd_len, (uint64_t)TURN_BYTES);
	if (s->fd_offset >= job->piece.offset && s->fd_offset < read_to)
		return WC_MIN(len, read_to - s->fd_offset);
	return cold_is(s->fd, s->fd_offset, len) ? 0 : len;
}

/* The next piece of the file is on the disk alone. So others read it, and c comes back through the inbox. */
static void wait_for_disk(struct lane *x, struct hconn *c)
{
	struct xfer_job *job = c->job;
	struct rota_owner owner = { 0 };
	leave(x, c);
	job->piece = (struct cold_piece){ .fd = job->send.fd,
		                          .offset = job->send.fd_offset,
		                          .len = WC_MIN(job->send.fd_len, (uint64_t)TURN_BYTES) };
	(void)ip_bytes(&c->peer, owner.addr);
	cold_read(x->cold, &job->piece, &owner);
}

static void piece_read(struct cold_piece *p, void *arg)
{
	struct xfer_job *job = (struct xfer_job *)((char *)p - offsetof(struct xfer_job, piece));
	post(arg, job->c);
}

/* TLS needs the bytes in memory; a plain socket takes them from the page cache. */
static ssize_t send_file(struct lane *x, struct hconn *c, size_t most)
{
	struct xfer_send *s = &c->job->send;
	off_t at = (off_t)s->fd_offset;
	ssize_t n;
	if (c->io.tls) {
		n = pread(s->fd, x->chunk, WC_MIN(most, sizeof(x->chunk)), at);
		if (n > 0) {
			struct iovec iov = { x->chunk, (size_t)n };
			n = transport_sendv(&c->io, &iov, 1);
		} else {
			n = -WC_EIO;
		}
	} else {
		do {
			n = sendfile(c->io.fd, s->fd, &at, most);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			n = errno == EAGAIN ? -WC_EAGAIN : -WC_EIO;
		else if (n == 0)
			n = -WC_EIO; /* the file is shorter than was promised */
	}
	if (n > 0) {
		s->fd_offset += (uint64_t)n;
		s->fd_len -= (uint64_t)n;
	}
	return n;
}

/* To send them would wait for the disk's retries once more, and so would all who take their turns behind it. */
static bool is_unreadable(const struct xfer_job *job)
{
	return job->piece.has_failed && job->send.fd_offset == job->piece.offset + job->piece.len;
}

static bool go_on_sending(struct lane *x, struct hconn *c)
{
	struct xfer_job *job = c->job;
	uint64_t moved = 0;
	size_t warm;
	ssize_t n = 0;
	while (moved < TURN_BYTES && n >= 0) {
		if (job->copy_done < job->send.copy_len || job->send.body_len)
			n = send_memory(c);
		else if (!job->send.fd_len)
			return sent_all(x, c);
		else if (is_unreadable(job))
			n = -WC_EIO;
		else if ((warm = warm_bytes(job)))
			n = send_file(x, c, warm);
		else {
			wait_for_disk(x, c);
			return false;
		}
		if (n > 0)
			moved += (uint64_t)n;
	}
	if (n < 0 && n != -WC_EAGAIN) {
		drop(x, c);
		return false;
	}
	return moved == 0 || progress(x, c, moved);
}

static void body_done(struct lane *x, struct hconn *c)
{
	struct xfer_body body = c->job->body;
	leave(x, c);
	job_free(c);
	body.done(body.arg, c, XFER_DONE);
}

/* Hands over n bytes. False: the receiver wants no more, or that was all, and c has left. */
static bool take_body(struct lane *x, struct hconn *c, const void *data, size_t n)
{
	struct xfer_job *job = c->job;
	int refused = job->body.write(job->body.arg, data, n);
	job->body.length -= n;
	c->body_left -= WC_MIN(c->body_left, n);
	if (refused || job->body.length == 0) {
		body_done(x, c);
		return false;
	}
	return progress(x, c, n);
}

/* Bytes that came together with the header are used first. Bytes behind the body stay for the next request. */
static bool take_early(struct lane *x, struct hconn *c)
{
	size_t n = WC_MIN((uint64_t)hconn_extra(c), c->job->body.length);
	if (n == 0) {
		if (c->job->body.length)
			return true;
		body_done(x, c);
		return false;
	}
	uint8_t *early = malloc(n);
	if (!early) {
		drop(x, c);
		return false;
	}
	memcpy(early, c->buf + c->head_len, n);
	c->len -= (uint32_t)n;
	memmove(c->buf + c->head_len, c->buf + c->head_len + n, hconn_extra(c));
	bool goes_on = take_body(x, c, early, n);
	free(early);
	return goes_on;
}

static bool go_on_receiving(struct lane *x, struct hconn *c)
{
	if (!take_early(x, c))
		return false;
	/* A turn ends, but not with bytes in hand that epoll knows nothing of. */
	size_t buffered = 0;
	for (int reads = 0; reads < TURN_READS || (buffered = transport_buffered(&c->io)); reads++) {
		size_t want = reads < TURN_READS ? sizeof(x->chunk) : WC_MIN(buffered, sizeof(x->chunk));
		ssize_t n = transport_recv(&c->io, x->chunk, WC_MIN(c->job->body.length, want));
		if (n == -WC_EAGAIN)
			return true;
		if (n <= 0) {
			drop(x, c);
			return false;
		}
		if (!take_body(x, c, x->chunk, (size_t)n))
			return false;
	}
	return true;
}

/* The deadline stays: a peer that goes on sending is cut off all the same. */
static bool go_on_lingering(struct lane *x, struct hconn *c)
{
	for (int reads = 0; reads < TURN_READS; reads++) {
		ssize_t n = transport_recv(&c->io, x->chunk, sizeof(x->chunk));
		if (n == -WC_EAGAIN)
			return true;
		if (n <= 0) {
			drop(x, c);
			return false;
		}
	}
	return true;
}

static void begin(struct lane *x, struct hconn *c)
{
	int unsent = UNSENT_BYTES;
	if (enter(x, c) && c->job->kind == SENDING)
		setsockopt(c->io.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

static void take_turn(struct lane *x, struct xfer_job *job)
{
	struct hconn *c = job->c;
	job->is_ready = false;
	pulse_rest();
	pulse_work();
	if (job->is_over) {
		drop(x, c);
		return;
	}
	job->window_ms += mono_ms() - job->ready_ms;
	job->had_turn = true;
	const bool goes_on = job->kind == SENDING     ? go_on_sending(x, c)
	                     : job->kind == RECEIVING ? go_on_receiving(x, c)
	                                              : go_on_lingering(x, c);
	if (goes_on && !c->job->is_ready && !wait_for_peer(x, c))
		drop(x, c);
}

/* Returns true when the thread is to end. */
static bool on_kick(struct lane *x)
{
	struct hconn_list inbox = TAILQ_HEAD_INITIALIZER(inbox);
	struct hconn *c;
	uint64_t count;
	ssize_t ignored = read(x->kick, &count, sizeof(count));
	(void)ignored;
	pthread_mutex_lock(&x->lock);
	TAILQ_CONCAT(&inbox, &x->inbox, link);
	bool stop = x->wants_stop;
	pthread_mutex_unlock(&x->lock);
	while ((c = TAILQ_FIRST(&inbox))) {
		TAILQ_REMOVE(&inbox, c, link);
		begin(x, c);
	}
	return stop;
}

/* That it did not move is not its peer's fault, unless it had its turn, as one has whose TLS records bring no bytes. A peer that has long
 * been cut off may not go on. */
static void wait_for_turn(struct lane *x, struct hconn *c, int64_t now)
{
	const enum kind kind = c->job->kind;
	c->job->is_over = kind == LINGERING || c->job->had_turn;
	c->job->had_turn = false;
	c->deadline_ms = now + x->idle_ms[kind];
	TAILQ_REMOVE(&x->jobs[kind], c, link);
	TAILQ_INSERT_TAIL(&x->jobs[kind], c, link);
}

static int expire(struct lane *x)
{
	int64_t now = mono_ms(), next = INT64_MAX;
	for (int kind = 0; kind < KINDS; kind++) {
		struct hconn *c;
		while ((c = TAILQ_FIRST(&x->jobs[kind])) && c->deadline_ms <= now)
			if (c->job->is_ready)
				wait_for_turn(x, c, now);
			else
				drop_slow(x, c);
		if (c)
			next = WC_MIN(next, c->deadline_ms);
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

/* Puts all that are ready into the rota: each fires once. Returns true when the thread is to end. */
static bool gather(struct lane *x, int timeout)
{
	struct epoll_event events[64];
	bool stop = false;
	int n;
	do {
		pulse_rest();
		n = epoll_wait(x->epoll, events, WC_LEN(events), timeout);
		pulse_work();
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				get_in_line(x, events[i].data.ptr);
			else
				stop = on_kick(x);
		timeout = 0;
	} while (n == WC_LEN(events) && !stop);
	return stop;
}

static void *xfer_main(void *arg)
{
	struct lane *x = arg;
	struct rota_item *item;
	sigset_t pipe;

	/* sendfile has no MSG_NOSIGNAL. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	wc_thread_is(ROLE_HTTP, x->name);
	for (;;) {
		const int timeout = expire(x);
		if (gather(x, rota_count(x->ready) ? 0 : timeout))
			break;
		for (int i = 0; i < TURNS_A_WAKE && (item = rota_take(x->ready)); i++)
			take_turn(x, (struct xfer_job *)item);
	}
	while ((item = rota_take(x->ready)))
		((struct xfer_job *)item)->is_ready = false;
	for (int kind = 0; kind < KINDS; kind++)
		while (!TAILQ_EMPTY(&x->jobs[kind]))
			drop(x, TAILQ_FIRST(&x->jobs[kind]));
	pulse_end();
	return NULL;
}

/* --- The main thread. */

void xfer_set_rate(struct xfer *x, int rate)
{
	x->sends.rate = (uint64_t)rate;
	x->receives.rate = (uint64_t)rate;
}

static int lane_start(struct lane *x, const char *name, int idle_ms, int rate, char **cause)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	x->name = name;
	for (int kind = 0; kind < KINDS; kind++)
		TAILQ_INIT(&x->jobs[kind]);
	x->idle_ms[SENDING] = idle_ms ? idle_ms : XFER_SEND_IDLE_MS;
	x->idle_ms[RECEIVING] = idle_ms ? idle_ms : XFER_RECV_IDLE_MS;
	x->idle_ms[LINGERING] = XFER_LINGER_MS;
	x->window_ms = idle_ms ? idle_ms : XFER_WINDOW_MS;
	x->rate = (uint64_t)rate;
	x->ready = rota_new();
	x->is_stopped = true;
	TAILQ_INIT(&x->inbox);
	pthread_mutex_init(&x->lock, NULL);
	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	x->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (x->epoll < 0 || x->kick < 0 || epoll_ctl(x->epoll, EPOLL_CTL_ADD, x->kick, &ev)) {
		wc_cause(cause, "cannot start the transfer threads: %s; raise the limit of open files (ulimit -n)", strerror(errno));
		return -WC_EIO;
	}
	x->is_stopped = false;
	if (pthread_create(&x->thread, NULL, xfer_main, x) == 0)
		return 0;
	x->is_stopped = true;
	wc_cause(cause, "cannot start the transfer threads; raise the limit of processes (ulimit -u)");
	return -WC_EIO;
}

static void lane_stop(struct lane *x)
{
	struct hconn_list inbox = TAILQ_HEAD_INITIALIZER(inbox);
	struct hconn *c;
	uint64_t one = 1;
	pthread_mutex_lock(&x->lock);
	x->wants_stop = true;
	pthread_mutex_unlock(&x->lock);
	ssize_t ignored = write(x->kick, &one, sizeof(one));
	(void)ignored;
	pthread_join(x->thread, NULL);
	pthread_mutex_lock(&x->lock);
	x->is_stopped = true;
	TAILQ_CONCAT(&inbox, &x->inbox, link);
	pthread_mutex_unlock(&x->lock);
	while ((c = TAILQ_FIRST(&inbox))) {
		TAILQ_REMOVE(&inbox, c, link);
		abandon(c, XFER_BROKEN);
	}
}

static void lane_fini(struct lane *x)
{
	WC_ASSERT(x->is_stopped);
	if (x->epoll >= 0)
		close(x->epoll);
	if (x->kick >= 0)
		close(x->kick);
	rota_free(x->ready);
	pthread_mutex_destroy(&x->lock);
}

int xfer_start(struct xfer **out, int idle_ms, int rate, char **cause)
{
	struct xfer *x = xcalloc(1, sizeof(*x));
	int rc = lane_start(&x->receives, "xfer/in", idle_ms, rate, cause);
	if (rc) {
		lane_fini(&x->receives);
		free(x);
		return rc;
	}
	rc = cold_start(&x->sends.cold, piece_read, &x->sends, cause);
	if (rc) {
		lane_stop(&x->receives);
		lane_fini(&x->receives);
		free(x);
		return rc;
	}
	rc = lane_start(&x->sends, "xfer/out", idle_ms, rate, cause);
	if (rc) {
		cold_stop(x->sends.cold);
		lane_stop(&x->receives);
		xfer_free(x);
		return rc;
	}
	*out = x;
	return 0;
}

void xfer_stop(struct xfer *x)
{
	lane_stop(&x->receives); /* what it ends may be answered yet */
	lane_stop(&x->sends);
	cold_stop(x->sends.cold); /* what waits there comes back, and is closed */
	x->sends.cold = NULL;
}

void xfer_free(struct xfer *x)
{
	if (!x)
		return;
	lane_fini(&x->receives);
	lane_fini(&x->sends);
	free(x);
}
