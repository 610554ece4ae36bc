/* gate.c — the epoll gate. Owns the listening sockets and every connection that waits for a request header. Never answers, never parses
 * more than httpcheck does, never blocks but on a civetweb queue that is full (workers do not block, so it drains). Thread: gate, but for
 * gifts.
 *
 * A connection is registered once and disarmed by each event (EPOLLONESHOT). While a worker has it, nothing can fire; giving it back is one
 * EPOLL_CTL_MOD. All deadlines of one kind are equally long, so a list in order of arrival is a timer queue. */
#include "http/gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/logmsg.h"
#include "base/metrics.h"
#include "base/pulse.h"
#include "http/forwarded.h"
#include "net/ipban.h"
#include "net/listener.h"
#include "net/seats.h"
#include "net/tls.h"

#define ACCEPTS_A_WAKE 512  /* then those inside get their turn */
#define ACCEPT_PAUSE_MS 100 /* when descriptors or memory ran out */
#define SHED_AT_ONCE 64     /* idle connections closed to make room */
#define QUIET_MS 10000      /* such a shortage is over after that long without one, and may be logged again */
#define HOST_LOG_MS 60000   /* between two lines about refused hosts */
#define AWAY_LOG_MS 60000   /* and about those turned away for one reason */
#define PIECES_MOST 512     /* of one header: it fits 12 packets, and every piece costs a turn of this thread */
#define TAG_KICK 0          /* event tags below any pointer; 1 + i is listener i */

struct gate {
	struct gate_opts o;
	int epoll, kick;
	pthread_t thread;
	atomic_size_t open;

	/* The gate thread's own. */
	struct hconn_list waiting; /* part of a header, or nothing yet: deadline head_ms */
	bool is_short;             /* a descriptor was wanting since the last look */
	int64_t resume_ms;         /* accepting is paused until then; 0: it is not */
	int64_t last_shortage_ms;
	bool said_nameless, said_untrusted; /* hints, once each */
	uint8_t scratch[HTTP_HEAD_BYTES + 1];

	pthread_mutex_t lock; /* the rest */
	pthread_cond_t paused_cond;
	struct hconn_list idle;  /* between requests: deadline idle_ms */
	struct hconn_list ready; /* given back with a further request already in hand */
	bool wants_pause, is_paused, wants_stop, is_stopped;
	const struct gate_limits *new_limits; /* to be taken over; NULL: taken */
};

static void kick(struct gate *g)
{
	uint64_t one = 1;
	ssize_t ignored = write(g->kick, &one, sizeof(one));
	(void)ignored; /* full means that it is awake already */
}

size_t gate_connections(const struct gate *g)
{
	return atomic_load_explicit(&g->open, memory_order_relaxed);
}

void gate_close(struct hconn *c)
{
	transport_close(&c->io);
	seat_leave(c->seat);
	atomic_fetch_sub_explicit(&c->gate->open, 1, memory_order_relaxed);
	free(c->buf);
	free(c);
}

void gate_release(struct hconn *c)
{
	if (c->is_registered)
		epoll_ctl(c->gate->epoll, EPOLL_CTL_DEL, c->io.fd, NULL);
	atomic_fetch_sub_explicit(&c->gate->open, 1, memory_order_relaxed);
	free(c->buf);
	free(c);
}

/* False: the kernel has no memory for it. After true, an event may already have come. */
static bool arm(struct gate *g, struct hconn *c)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLRDHUP | EPOLLONESHOT, .data.ptr = c };
	if (c->wants_write)
		ev.events = EPOLLOUT | EPOLLRDHUP | EPOLLONESHOT;
	else if (transport_buffered(&c->io))
		ev.events |= EPOLLOUT; /* what a record brought along would else lie there unseen: this comes at once */
	int op = c->is_registered ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	c->is_registered = true;
	return epoll_ctl(g->epoll, op, c->io.fd, &ev) == 0;
}

void gate_give(struct gate *g, struct hconn *c)
{
	bool must_kick = false, must_close = false;
	hconn_next_request(c);
	if (c->is_proxied && c->seat)
		c->seat = seats_move_back(c->seat);
	pthread_mutex_lock(&g->lock);
	if (g->is_stopped) {
		must_close = true;
	} else if (c->len) {
		TAILQ_INSERT_TAIL(&g->ready, c, link);
		must_kick = true;
	} else {
		/* The gate sleeps without a timeout while there is nothing to time. */
		must_kick = TAILQ_EMPTY(&g->idle);
		c->place = HCONN_IDLE;
		c->deadline_ms = mono_ms() + g->o.idle_ms;
		TAILQ_INSERT_TAIL(&g->idle, c, link);
		if (!arm(g, c)) {
			TAILQ_REMOVE(&g->idle, c, link);
			must_close = true;
		}
	}
	pthread_mutex_unlock(&g->lock);
	if (must_close)
		gate_close(c);
	else if (must_kick)
		kick(g);
}

/* An administrator wants to know of a flood, but not to read a line for each of its drops. */
void gate_turned_away(const struct sockaddr_storage *peer, enum metric why, const char *limit)
{
	static struct log_gap gaps[M_COUNT]; /* of all doors */
	uint8_t addr[16];
	char text[IP_NET_TEXT] = "none";
	uint64_t missed;
	metric_add(why, 1);
	if (!log_gap_is_over(&gaps[why], AWAY_LOG_MS, &missed))
		return;
	if (ip_bytes(peer, addr))
		ip_net_text(addr, 128, text);
	log_info("turned away", "peer=%s limit=%s count=%llu", text, limit, (unsigned long long)missed + 1);
}

/* --- The gate thread: who may come in. */

/* The status to refuse with; 0: come in. */
static int judge_verdict(struct gate *g, const struct sockaddr_storage *peer, enum seats_verdict verdict)
{
	switch (verdict) {
	case SEATS_GIVEN: return 0;
	case SEATS_FULL:
		gate_turned_away(peer, M_REFUSED_FULL, "max-connections");
		g->is_short = true; /* those between two requests make room */
		return 503;
	case SEATS_ADDRESS_FULL: gate_turned_away(peer, M_REFUSED_ADDRESS_FULL, "max-connections-per-ip"); return 429;
	case SEATS_TOO_FAST: gate_turned_away(peer, M_REFUSED_TOO_FAST, "handshake-rate"); return 429;
	}
	return 503;
}

static bool is_banned(const struct sockaddr_storage *peer)
{
	if (!ban_ip_check(peer))
		return false;
	gate_turned_away(peer, M_REFUSED_BANNED, "ban");
	return true;
}

/* The client of a whole header. A trusted proxy names it, so only now it can be judged; and a ban may have come since the connection was
 * opened. The status to refuse with, or 0. */
static int judge_peer(struct gate *g, struct hconn *c)
{
	socklen_t len = sizeof(c->peer);
	if (!g->o.seats)
		return 0;
	if (c->is_proxied) {
		memset(&c->peer, 0, sizeof(c->peer));
		if (getpeername(c->io.fd, (struct sockaddr *)&c->peer, &len))
			return 400; /* gone */
		address_unmap(&c->peer);
		int named = forwarded_read(c->buf, c->head_len, &g->o.proxies, &c->peer, &c->is_https);
		if (named < 0)
			return 400;
		if (!named && c->check.is_websocket && !g->said_nameless) {
			g->said_nameless = true;
			log_info("proxy names no client", "remedy=\"let it set X-Forwarded-For, see wavechatd(8)\"");
		}
		int status = judge_verdict(g, &c->peer, seats_move(&c->seat, &c->peer, c->check.is_websocket));
		if (status)
			return status;
	}
	return is_banned(&c->peer) ? 403 : 0;
}

/* A proxy on this machine that was not declared: all its clients look like one. Logged once. */
static void hint_at_proxy(struct gate *g, const struct hconn *c)
{
	struct sockaddr_storage claimed = c->peer;
	struct ip_nets none = { 0 };
	uint8_t addr[16];
	bool ignored;
	if (g->said_untrusted || !g->o.seats || c->is_proxied || !c->check.is_websocket || !ip_bytes(&c->peer, addr) ||
	    !ip_is_loopback(addr) || forwarded_read(c->buf, c->head_len, &none, &claimed, &ignored) != 1)
		return;
	g->said_untrusted = true;
	log_info("proxy not trusted", "remedy=\"if a proxy on this machine is yours: --trust-proxy 127.0.0.1\"");
}

/* --- Waiting for headers. */

static void stop_waiting(struct gate *g, struct hconn *c)
{
	if (c->place == HCONN_WAITING)
		TAILQ_REMOVE(&g->waiting, c, link);
	c->place = HCONN_OUT;
}

/* The deadline runs from here the first time, and stays however many pieces follow: so the list stays in order, and a trickle is no life
 * line. */
static void wait_more(struct gate *g, struct hconn *c)
{
	if (c->place != HCONN_WAITING) {
		c->place = HCONN_WAITING;
		c->deadline_ms = mono_ms() + g->o.head_ms;
		TAILQ_INSERT_TAIL(&g->waiting, c, link);
	}
	if (!arm(g, c)) {
		stop_waiting(g, c);
		gate_close(c);
	}
}

/* Once a minute: where a proxy passes on no good Host header, everybody behind it is refused, and its admin is to learn why. */
static void log_host(const struct hconn *c)
{
	static struct log_gap gap;
	struct str name, value, host = STR("");
	char quoted[512];
	size_t at = 0;
	int hosts = 0;
	uint64_t missed;

	while (httpcheck_field(c->buf, c->head_len, &at, &name, &value))
		if (str_is_word(name, "Host") && hosts++ == 0)
			host = value;
	if (log_gap_is_over(&gap, HOST_LOG_MS, &missed))
		log_warn("host refused",
		         "host=%s headers=%d more=%llu "
		         "remedy=\"let the proxy in front send one Host header, with the name and port that the page has\"",
		         log_quote(quoted, host), hosts, (unsigned long long)missed);
	else
		log_debug("host refused", "host=%s headers=%d", log_quote(quoted, host), hosts);
}

/* c is waiting or in no list. Its bytes are a whole header, the beginning of one, or no header at all. */
static void judge(struct gate *g, struct hconn *c)
{
	/* RFC 9112 2.2: an empty line before the request is skipped; old clients send one after a body. */
	if (c->scan.at == 0 && c->len >= 2 && memcmp(c->buf, "\r\n", 2) == 0)
		memmove(c->buf, c->buf + 2, c->len -= 2);
	if (c->len == 0 || (c->len == 1 && c->buf[0] == '\r')) {
		wait_more(g, c);
		return;
	}
	int n = httpcheck_scan(&c->scan, c->buf, c->len);
	if (n > g->o.head_bytes || (n == 0 && (c->len >= (uint32_t)g->o.head_bytes || c->pieces > PIECES_MOST)))
		n = -431;
	if (n == 0) {
		wait_more(g, c);
		return;
	}
	stop_waiting(g, c);
	if (n < 0) {
		gate_turned_away(&c->peer, M_REFUSED_HEADER, "header");
		g->o.on_bad(g->o.arg, c, -n);
		return;
	}
	c->head_len = (uint32_t)n;
	int status = httpcheck_head(c->buf, c->head_len, &c->check);
	if (status) {
		gate_turned_away(&c->peer, M_REFUSED_HEADER, "header");
		if (c->check.is_host_bad)
			log_host(c);
	} else {
		status = judge_peer(g, c);
	}
	if (status) {
		g->o.on_bad(g->o.arg, c, status);
		return;
	}
	hint_at_proxy(g, c);
	n = (int)httpcheck_simplify((char *)c->buf, c->head_len, c->check.is_websocket);
	memmove(c->buf + n, c->buf + c->head_len, c->len - c->head_len);
	c->len -= c->head_len - (uint32_t)n;
	c->head_len = (uint32_t)n;
	c->body_left = c->check.content_length > 0 ? (uint64_t)c->check.content_length : 0;
	g->o.on_head(g->o.arg, c);
}

/* The way to a session of TLS, whose first byte is 22. Any other first byte is a plain request, to be redirected. False: not there yet, or
 * gone. */
static bool secure(struct gate *g, struct hconn *c)
{
	uint8_t first;
	ssize_t n;
	int rc = 0;
	if (c->awaits_tls) {
		n = recv(c->io.fd, &first, 1, MSG_PEEK | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			wait_more(g, c);
			return false;
		}
		c->awaits_tls = false;
		c->is_redirect = n == 1 && first != 22;
		if (n == 1 && first == 22)
			c->io.tls = tls_session(g->o.tls, c->io.fd);
		if (n != 1 || (first == 22 && !c->io.tls))
			rc = -WC_EIO;
	}
	if (rc == 0)
		rc = transport_handshake(&c->io, &c->wants_write);
	if (rc == 0)
		return true;
	if (rc == -WC_EAGAIN) {
		wait_more(g, c);
	} else {
		metric_add(M_TLS_FAILURES, 1);
		stop_waiting(g, c);
		gate_close(c);
	}
	return false;
}

static void on_readable(struct gate *g, struct hconn *c)
{
	pthread_mutex_lock(&g->lock);
	if (c->place == HCONN_IDLE) {
		TAILQ_REMOVE(&g->idle, c, link);
		c->place = HCONN_OUT;
	}
	pthread_mutex_unlock(&g->lock);

	if ((c->awaits_tls || c->io.tls) && !secure(g, c))
		return;
	ssize_t n = transport_recv(&c->io, g->scratch, sizeof(g->scratch) - c->len);
	c->pieces += transport_has_more(&c->io) ? TRANSPORT_RECORDS : 1;
	if (n == -WC_EAGAIN && c->pieces <= PIECES_MOST) {
		wait_more(g, c);
	} else if (n <= 0 || !hconn_append(c, g->scratch, (size_t)n)) {
		stop_waiting(g, c);
		gate_close(c);
	} else {
		judge(g, c);
	}
}

static void admit(struct gate *g, int fd, struct sockaddr_storage *peer, bool is_redirect)
{
	bool is_proxied = false;
	struct seat *seat = NULL;
	struct hconn *c = NULL;
	uint8_t addr[16];
	int status = 0;
	address_unmap(peer);
	if (g->o.max_connections && gate_connections(g) >= (size_t)g->o.max_connections)
		status = 503;
	if (g->o.seats) {
		is_proxied = ip_bytes(peer, addr) && ip_in_nets(addr, &g->o.proxies);
		status = !is_proxied && is_banned(peer) ? 403
		                                        : judge_verdict(g, peer, seats_take(g->o.seats, is_proxied ? NULL : peer, &seat));
	}
	if (!status)
		c = calloc(1, sizeof(*c));
	if (!c) {
		seat_leave(seat);
		/* Inside TLS nothing can be said before a handshake, which is what costs most. */
		if (g->o.tls && !is_redirect)
			close(fd);
		else
			g->o.on_turned_away(g->o.arg, fd, status ? status : 503);
		return;
	}
	atomic_fetch_add_explicit(&g->open, 1, memory_order_relaxed);
	c->seat = seat;
	c->is_proxied = is_proxied;
	c->io.fd = fd;
	c->gate = g;
	c->peer = *peer;
	c->is_redirect = is_redirect;
	c->awaits_tls = g->o.tls && !is_redirect;
	wait_more(g, c);
}

static void listen_events(struct gate *g, int op, uint32_t events)
{
	for (int i = 0; i < g->o.listener_count; i++) {
		struct epoll_event ev = { .events = events, .data.u64 = (uint64_t)i + 1 };
		if (g->o.listeners[i] >= 0)
			epoll_ctl(g->epoll, op, g->o.listeners[i], &ev);
	}
}

/* A listener that cannot be served stays readable: without a pause the thread would spin until somebody closes a socket. */
static void pause_accepting(struct gate *g, int error)
{
	int64_t now = mono_ms();
	if (!g->last_shortage_ms || now - g->last_shortage_ms > QUIET_MS)
		log_warn("cannot accept", "error=\"%s\" remedy=\"raise the limit of open files (ulimit -n, LimitNOFILE=)\"",
		         strerror(error));
	g->last_shortage_ms = now;
	g->is_short = true;
	g->resume_ms = now + ACCEPT_PAUSE_MS;
	listen_events(g, EPOLL_CTL_MOD, 0);
}

static void accept_many(struct gate *g, int number)
{
	for (int i = 0; i < ACCEPTS_A_WAKE; i++) {
		struct sockaddr_storage peer;
		socklen_t len = sizeof(peer);
		memset(&peer, 0, sizeof(peer));
		int fd = accept4(g->o.listeners[number], (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			admit(g, fd, &peer, number >= g->o.redirect_from);
		} else if (errno == EAGAIN || errno == EWOULDBLOCK) {
			return;
		} else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			pause_accepting(g, errno);
			return;
		}
		/* Anything else is the trouble of that one connection, gone before we took it. */
	}
}

static void close_listeners(struct gate *g)
{
	for (int i = 0; i < g->o.listener_count; i++) {
		if (g->o.listeners[i] >= 0)
			close(g->o.listeners[i]);
		g->o.listeners[i] = -1;
	}
}

static void take_limits(struct gate *g, const struct gate_limits *limits)
{
	g->o.head_ms = limits->head_ms ? limits->head_ms : GATE_HEAD_MS;
	g->o.head_bytes = limits->head_bytes ? limits->head_bytes : HTTP_HEAD_BYTES;
	g->o.proxies = limits->proxies;
	if (g->o.seats)
		seats_set_opts(g->o.seats, &limits->seats);
}

/* Returns true when the thread is to end. */
static bool on_kick(struct gate *g)
{
	struct hconn_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct hconn *c;
	uint64_t count;
	ssize_t ignored = read(g->kick, &count, sizeof(count));
	(void)ignored;
	pthread_mutex_lock(&g->lock);
	if (g->wants_pause && !g->is_paused) {
		close_listeners(g);
		g->is_paused = true;
		pthread_cond_broadcast(&g->paused_cond);
	}
	if (g->new_limits) {
		take_limits(g, g->new_limits);
		g->new_limits = NULL;
		pthread_cond_broadcast(&g->paused_cond);
	}
	TAILQ_CONCAT(&ready, &g->ready, link);
	bool stop = g->wants_stop;
	pthread_mutex_unlock(&g->lock);

	while ((c = TAILQ_FIRST(&ready))) {
		TAILQ_REMOVE(&ready, c, link);
		judge(g, c);
	}
	return stop;
}

/* Connections between two requests are the ones that can be spared: their peers expect to find them closed. Not in the middle of a turn,
 * since one of them may be among the events still to be looked at. */
static bool shed_idle(struct gate *g)
{
	struct hconn *c;
	int n = 0;
	pthread_mutex_lock(&g->lock);
	for (; n < SHED_AT_ONCE && (c = TAILQ_FIRST(&g->idle)); n++) {
		TAILQ_REMOVE(&g->idle, c, link);
		gate_close(c);
	}
	pthread_mutex_unlock(&g->lock);
	return n > 0;
}

/* Closes or answers what is overdue; returns how long to sleep, -1: until something happens. */
static int expire(struct gate *g)
{
	int64_t now = mono_ms(), next = INT64_MAX;
	struct hconn *c;
	while ((c = TAILQ_FIRST(&g->waiting)) && c->deadline_ms <= now) {
		stop_waiting(g, c);
		/* A peer that sent nothing gets no answer: browsers open spare connections and expect them to be closed silently. */
		if (!c->len) {
			gate_close(c);
			continue;
		}
		/* No event disarmed it, and it is about to be another thread's. */
		epoll_ctl(g->epoll, EPOLL_CTL_DEL, c->io.fd, NULL);
		c->is_registered = false;
		gate_turned_away(&c->peer, M_REFUSED_HEADER_TIME, "header-timeout");
		g->o.on_bad(g->o.arg, c, 408);
	}
	if (c)
		next = c->deadline_ms;

	pthread_mutex_lock(&g->lock);
	while ((c = TAILQ_FIRST(&g->idle)) && c->deadline_ms <= now) {
		TAILQ_REMOVE(&g->idle, c, link);
		gate_close(c);
	}
	pthread_mutex_unlock(&g->lock);
	if (c)
		next = WC_MIN(next, c->deadline_ms);

	if (g->is_short && shed_idle(g))
		g->resume_ms = now;
	g->is_short = false;
	if (g->resume_ms && g->resume_ms <= now) {
		g->resume_ms = 0;
		listen_events(g, EPOLL_CTL_MOD, EPOLLIN);
	}
	if (g->resume_ms)
		next = WC_MIN(next, g->resume_ms);
	return next == INT64_MAX ? -1 : (int)(next - now);
}

static void *gate_main(void *arg)
{
	struct gate *g = arg;
	struct epoll_event events[256];
	bool stop = false;
	wc_thread_is(ROLE_HTTP, "gate");
	while (!stop) {
		int timeout = expire(g);
		pulse_rest();
		int n = epoll_wait(g->epoll, events, WC_LEN(events), timeout);
		pulse_work();

		for (int i = 0; i < n; i++) {
			uint64_t tag = events[i].data.u64;
			if (tag == TAG_KICK)
				stop = on_kick(g);
			else if (tag > GATE_LISTENERS)
				on_readable(g, events[i].data.ptr);
			else if (g->o.listeners[tag - 1] >= 0 && !g->resume_ms)
				accept_many(g, (int)tag - 1);
		}
	}
	pulse_end();
	return NULL;
}

/* --- The main thread. */

int gate_start(struct gate **out, const struct gate_opts *opts, char **cause)
{
	struct gate *g = xcalloc(1, sizeof(*g));
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = TAG_KICK };
	g->o = *opts;
	g->o.head_ms = opts->head_ms ? opts->head_ms : GATE_HEAD_MS;
	g->o.idle_ms = opts->idle_ms ? opts->idle_ms : GATE_IDLE_MS;
	g->o.head_bytes = opts->head_bytes ? opts->head_bytes : HTTP_HEAD_BYTES;
	TAILQ_INIT(&g->waiting);
	TAILQ_INIT(&g->idle);
	TAILQ_INIT(&g->ready);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->paused_cond, NULL);
	g->is_stopped = true;
	g->epoll = epoll_create1(EPOLL_CLOEXEC);
	g->kick = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (g->epoll < 0 || g->kick < 0 || epoll_ctl(g->epoll, EPOLL_CTL_ADD, g->kick, &ev)) {
		wc_cause(cause, "cannot start the gate: %s; raise the limit of open files (ulimit -n)", strerror(errno));
		goto fail;
	}
	listen_events(g, EPOLL_CTL_ADD, EPOLLIN);
	g->is_stopped = false;
	*out = g; /* before the first connection, whose answer may ask for it */
	if (pthread_create(&g->thread, NULL, gate_main, g) == 0)
		return 0;
	*out = NULL;
	g->is_stopped = true;
	wc_cause(cause, "cannot start the gate's thread; raise the limit of processes (ulimit -u)");
fail:
	gate_free(g);
	return -WC_EIO;
}

void gate_set_limits(struct gate *g, const struct gate_limits *limits)
{
	pthread_mutex_lock(&g->lock);
	g->new_limits = limits;
	kick(g);
	while (g->new_limits && !g->is_stopped)
		pthread_cond_wait(&g->paused_cond, &g->lock);
	g->new_limits = NULL;
	pthread_mutex_unlock(&g->lock);
}

void gate_pause(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->wants_pause = true;
	kick(g);
	while (!g->is_paused && !g->is_stopped)
		pthread_cond_wait(&g->paused_cond, &g->lock);
	pthread_mutex_unlock(&g->lock);
}

static void close_all(struct hconn_list *list)
{
	struct hconn *c;
	while ((c = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, c, link);
		gate_close(c);
	}
}

void gate_stop(struct gate *g)
{
	pthread_mutex_lock(&g->lock);
	g->wants_stop = true;
	pthread_mutex_unlock(&g->lock);
	kick(g);
	pthread_join(g->thread, NULL);
	pthread_mutex_lock(&g->lock);
	g->is_stopped = true;
	close_all(&g->waiting);
	close_all(&g->idle);
	close_all(&g->ready);
	close_listeners(g);
	pthread_mutex_unlock(&g->lock);
}

void gate_free(struct gate *g)
{
	if (!g)
		return;
	WC_ASSERT(g->is_stopped && atomic_load(&g->open) == 0);
	close_listeners(g);
	if (g->epoll >= 0)
		close(g->epoll);
	if (g->kick >= 0)
		close(g->kick);
	pthread_mutex_destroy(&g->lock);
	pthread_cond_destroy(&g->paused_cond);
	free(g);
}
