/* xfer.c — the transfer thread. Owns every connection whose peer is to be waited for, and the file of a running answer. Knows no HTTP.
 * Thread: xfer; the three ways in only leave the connection in its inbox.
 *
 * Jobs of one kind have equal deadlines, counted from their last progress. A job that moves goes to the end of its list, so the head of
 * each list expires next. A turn is bounded, so that one fast peer with a large file does not keep the others waiting. */
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

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/pulse.h"
#include "http/gate.h"

#define TURN_BYTES (256 * 1024)
#define CHUNK_BYTES (64 * 1024)
#define TURN_READS (TURN_BYTES / CHUNK_BYTES) /* also if each brings a few bytes only */
/* Bytes of a large answer that may wait in the kernel unsent: else each slow reader holds megabytes there. */
#define UNSENT_BYTES (128 * 1024)

enum kind { SENDING, RECEIVING, LINGERING, KINDS };

struct xfer_job {
	enum kind kind;
	struct xfer_send send;
	struct xfer_body body;
	size_t copy_done;
	int64_t window_ms; /* since then, window_bytes moved */
	uint64_t window_bytes;
};

struct xfer {
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

static void post(struct xfer *x, struct hconn *c)
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
	job->kind = kind;
	job->send.fd = -1;
	c->job = job;
	return job;
}

void xfer_send(struct xfer *x, struct hconn *c, const struct xfer_send *send)
{
	job_new(c, SENDING)->send = *send;
	if (send->fd >= 0)
		atomic_fetch_add_explicit(&files_open, 1, memory_order_relaxed);
	post(x, c);
}

void xfer_receive(struct xfer *x, struct hconn *c, const struct xfer_body *body)
{
	job_new(c, RECEIVING)->body = *body;
	post(x, c);
}

void xfer_linger(struct xfer *x, struct hconn *c)
{
	transport_shutdown(&c->io);
	job_new(c, LINGERING);
	post(x, c);
}

/* --- The thread. Each of these returns true while the job goes on; false when c has left. */

static void leave(struct xfer *x, struct hconn *c)
{
	TAILQ_REMOVE(&x->jobs[c->job->kind], c, link);
	epoll_ctl(x->epoll, EPOLL_CTL_DEL, c->io.fd, NULL);
}

static void drop(struct xfer *x, struct hconn *c)
{
	leave(x, c);
	abandon(c, XFER_BROKEN);
}

static void drop_slow(struct xfer *x, struct hconn *c)
{
	if (c->job->kind != LINGERING) /* nothing is wanted of that one */
		metric_add(M_REFUSED_SLOW, 1);
	leave(x, c);
	abandon(c, XFER_TOO_SLOW);
}

static bool enter(struct xfer *x, struct hconn *c)
{
	struct epoll_event ev = { .events = c->job->kind == SENDING ? EPOLLOUT : EPOLLIN, .data.ptr = c };
	c->job->window_ms = mono_ms();
	c->deadline_ms = c->job->window_ms + x->idle_ms[c->job->kind];
	TAILQ_INSERT_TAIL(&x->jobs[c->job->kind], c, link);
	if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, c->io.fd, &ev) == 0)
		return true;
	TAILQ_REMOVE(&x->jobs[c->job->kind], c, link);
	abandon(c, XFER_BROKEN);
	return false;
}

/* n bytes moved: the deadline starts anew. False, and c is gone, if the peer is at it with a trickle. */
static bool progress(struct xfer *x, struct hconn *c, uint64_t n)
{
	struct xfer_job *job = c->job;
	int64_t now = mono_ms();
	job->window_bytes += n;
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

static bool sent_all(struct xfer *x, struct hconn *c)
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

/* TLS needs the bytes in memory; a plain socket takes them from the page cache. */
static ssize_t send_file(struct xfer *x, struct hconn *c)
{
	struct xfer_send *s = &c->job->send;
	off_t at = (off_t)s->fd_offset;
	ssize_t n;
	if (c->io.tls) {
		n = pread(s->fd, x->chunk, WC_MIN(s->fd_len, sizeof(x->chunk)), at);
		if (n > 0) {
			struct iovec iov = { x->chunk, (size_t)n };
			n = transport_sendv(&c->io, &iov, 1);
		} else {
			n = -WC_EIO;
		}
	} else {
		do {
			n = sendfile(c->io.fd, s->fd, &at, WC_MIN(s->fd_len, TURN_BYTES));
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

static bool go_on_sending(struct xfer *x, struct hconn *c)
{
	struct xfer_job *job = c->job;
	uint64_t moved = 0;
	ssize_t n = 0;
	while (moved < TURN_BYTES && n >= 0) {
		if (job->copy_done < job->send.copy_len || job->send.body_len)
			n = send_memory(c);
		else if (job->send.fd_len)
			n = send_file(x, c);
		else
			return sent_all(x, c);
		if (n > 0)
			moved += (uint64_t)n;
	}
	if (n < 0 && n != -WC_EAGAIN) {
		drop(x, c);
		return false;
	}
	return moved == 0 || progress(x, c, moved);
}

static void body_done(struct xfer *x, struct hconn *c)
{
	struct xfer_body body = c->job->body;
	leave(x, c);
	job_free(c);
	body.done(body.arg, c, XFER_DONE);
}

/* Hands over n bytes. False: the receiver wants no more, or that was all, and c has left. */
static bool take_body(struct xfer *x, struct hconn *c, const void *data, size_t n)
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
static bool take_early(struct xfer *x, struct hconn *c)
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

static bool go_on_receiving(struct xfer *x, struct hconn *c)
{
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
static void go_on_lingering(struct xfer *x, struct hconn *c)
{
	for (int reads = 0; reads < TURN_READS; reads++) {
		ssize_t n = transport_recv(&c->io, x->chunk, sizeof(x->chunk));
		if (n == -WC_EAGAIN)
			return;
		if (n <= 0) {
			drop(x, c);
			return;
		}
	}
}

static void begin(struct xfer *x, struct hconn *c)
{
	int unsent = UNSENT_BYTES;
	if (!enter(x, c))
		return;
	if (c->job->kind == SENDING) {
		setsockopt(c->io.fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
		go_on_sending(x, c);
	} else if (c->job->kind == RECEIVING && take_early(x, c)) {
		go_on_receiving(x, c);
	}
}

/* Returns true when the thread is to end. */
static bool on_kick(struct xfer *x)
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

static int expire(struct xfer *x)
{
	int64_t now = mono_ms(), next = INT64_MAX;
	for (int kind = 0; kind < KINDS; kind++) {
		struct hconn *c;
		while ((c = TAILQ_FIRST(&x->jobs[kind])) && c->deadline_ms <= now)
			drop_slow(x, c);
		if (c)
			next = WC_MIN(next, c->deadline_ms);
	}
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static void *xfer_main(void *arg)
{
	struct xfer *x = arg;
	struct epoll_event events[64];
	bool stop = false;
	sigset_t pipe;

	/* sendfile has no MSG_NOSIGNAL. */
	sigemptyset(&pipe);
	sigaddset(&pipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe, NULL);
	wc_thread_is(ROLE_HTTP, "xfer");
	while (!stop) {
		int timeout = expire(x);
		pulse_rest();
		int n = epoll_wait(x->epoll, events, WC_LEN(events), timeout);
		pulse_work();

		for (int i = 0; i < n; i++) {
			struct hconn *c = events[i].data.ptr;
			if (!c)
				stop = on_kick(x);
			else if (c->job->kind == SENDING)
				go_on_sending(x, c);
			else if (c->job->kind == RECEIVING)
				go_on_receiving(x, c);
			else
				go_on_lingering(x, c);
		}
	}
	for (int kind = 0; kind < KINDS; kind++)
		while (!TAILQ_EMPTY(&x->jobs[kind]))
			drop(x, TAILQ_FIRST(&x->jobs[kind]));
	pulse_end();
	return NULL;
}

/* --- The main thread. */

void xfer_set_rate(struct xfer *x, int rate)
{
	x->rate = (uint64_t)rate;
}

int xfer_start(struct xfer **out, int idle_ms, int rate, char **cause)
{
	struct xfer *x = xcalloc(1, sizeof(*x));
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = NULL };
	for (int kind = 0; kind < KINDS; kind++)
		TAILQ_INIT(&x->jobs[kind]);
	x->idle_ms[SENDING] = idle_ms ? idle_ms : XFER_SEND_IDLE_MS;
	x->idle_ms[RECEIVING] = idle_ms ? idle_ms : XFER_RECV_IDLE_MS;
	x->idle_ms[LINGERING] = XFER_LINGER_MS;
	x->window_ms = idle_ms ? idle_ms : XFER_WINDOW_MS;
	x->rate = (uint64_t)rate;
	TAILQ_INIT(&x->inbox);
	pthread_mutex_init(&x->lock, NULL);
	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	x->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (x->epoll < 0 || x->kick < 0 || epoll_ctl(x->epoll, EPOLL_CTL_ADD, x->kick, &ev)) {
		wc_cause(cause, "cannot start the transfer thread: %s; raise the limit of open files (ulimit -n)", strerror(errno));
		goto fail;
	}
	if (pthread_create(&x->thread, NULL, xfer_main, x)) {
		wc_cause(cause, "cannot start the transfer thread; raise the limit of processes (ulimit -u)");
		goto fail;
	}
	*out = x;
	return 0;
fail:
	x->is_stopped = true;
	xfer_free(x);
	return -WC_EIO;
}

void xfer_stop(struct xfer *x)
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

void xfer_free(struct xfer *x)
{
	if (!x)
		return;
	WC_ASSERT(x->is_stopped);
	if (x->epoll >= 0)
		close(x->epoll);
	if (x->kick >= 0)
		close(x->kick);
	pthread_mutex_destroy(&x->lock);
	free(x);
}
