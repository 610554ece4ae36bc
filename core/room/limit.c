/* limit.c — how much and how fast people may send: the settings' limits as buckets (pace.h, iprate.h), and words for those beyond.
 *
 * Buckets belong to a person, so several tabs share them, and last as long as the room knows the person. Beside them stand those of the
 * address, so that new names bring nothing. Beyond a limit, people are told when to go on; if they ignore it they are muted, and at last
 * disconnected. All is decided before the store is asked: refusing must be cheap. Thread: room. */
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/ip.h"
#include "base/logmsg.h"
#include "base/metrics.h"
#include "files/leave.h"
#include "hub/toll.h"
#include "room/impl.h"
#include "state/lockdown.h"

#define REQUEST_BURST_S 10
#define TYPING_BURST_S 3
#define NEW_PEOPLE_S 600
#define ADDRESS_BURST_S 60 /* of messages and bytes: a class of 40 may send what its outboxes held */
#define SPREAD_SHARE 64    /* of an address's bytes: 256 KB a second by default, which every client must take */
#define SPREAD_LEAST 32768 /* bytes a second, so that a small option leaves room for talk */
#define SPREAD_BURST_S 16  /* 4 MB by default: as much as a client may lag behind the log */
#define LOG_GAP_MS 60000
#define WHO_SHARE 1000       /* people online: for as many, a list on demand costs one more request */
#define DEVICE_WAIT_MS 10000 /* of a page that finds too many others of its person: it comes in by itself once some are closed */
#define UNREAD_WAIT_MS 1000  /* for a file whose bytes were thrown away while its sender was over a limit */

/* burst of them at once, then one each cost_us. */
static struct pace_rate rate(int64_t cost_us, int64_t burst)
{
	return (struct pace_rate){ cost_us, WC_MAX(burst - 1, 0) * cost_us };
}

/* An address limit with n a second, and burst_s as much at once; 0: none. Buckets of another one are forgotten. */
static void address_limit_set(struct address_limit *l, int64_t per_s, int64_t burst_s)
{
	if (l->per_s == per_s)
		return;
	iprate_free(l->table);
	*l = (struct address_limit){ 0 };
	if (per_s)
		*l = (struct address_limit){ iprate_new(), per_s, burst_s * 1000000 - WC_MAX(1000000 / per_s, 1) };
}

/* Fills every bucket: what was used under other limits means nothing now. Muted people stay muted. */
static void refill_all(struct room *r)
{
	size_t at = 0;
	for (struct user *u; (u = map_next(&r->users.by_id, &at));)
		u->pace = (struct pace){ .silent_until_us = u->pace.silent_until_us };
}

void limits_set(struct room *r, const struct room_settings *was)
{
	const struct room_settings *o = &r->settings;
	struct pace_limits *p = &r->limits.pace, old = *p;
	*p = (struct pace_limits){ 0 };
	if (o->message_rate)
		p->message = rate(1000000 / o->message_rate, o->message_burst);
	if (o->request_rate)
		p->request = rate(1000000 / o->request_rate, (int64_t)o->request_rate * REQUEST_BURST_S);
	if (o->typing_rate)
		p->typing = rate(1000000 / o->typing_rate, (int64_t)o->typing_rate * TYPING_BURST_S);
	p->bytes_per_s = (int64_t)o->byte_rate_kb * 1024;
	if (p->bytes_per_s)
		p->bytes_ahead_us = (int64_t)o->byte_burst_mb * 1024 * 1024 * 1000 / p->bytes_per_s * 1000 - 1;
	p->mute_us = (int64_t)o->flood_mute_s * 1000000;
	if (was && memcmp(p, &old, sizeof(old)) != 0)
		refill_all(r);
	struct address_limit *by = r->limits.by_address;
	address_limit_set(&by[BY_MESSAGES], o->address_rate, ADDRESS_BURST_S);
	address_limit_set(&by[BY_BYTES], (int64_t)o->address_bytes_kb * 1024, ADDRESS_BURST_S);
	const int64_t spread = o->address_bytes_kb ? WC_MAX((int64_t)o->address_bytes_kb * 1024 / SPREAD_SHARE, SPREAD_LEAST) : 0;
	address_limit_set(&by[BY_SPREAD], spread, SPREAD_BURST_S);
	address_limit_set(&by[BY_UPLOADS], (int64_t)o->address_bytes_kb * 1024, ADDRESS_BURST_S);
	address_limit_set(&by[BY_REQUESTS], o->address_requests, REQUEST_BURST_S);
	address_limit_set(&by[BY_TYPING], o->typing_rate ? o->address_rate : 0, ADDRESS_BURST_S);
	if (was && was->new_people == o->new_people)
		return;
	iprate_free(r->limits.new_by_ip);
	r->limits.new_by_ip = NULL;
	if (o->new_people) {
		r->limits.new_people = rate((int64_t)NEW_PEOPLE_S * 1000000 / o->new_people, o->new_people);
		r->limits.new_by_ip = iprate_new();
	}
}

void limits_fini(struct room *r)
{
	iprate_free(r->limits.new_by_ip);
	for (int k = 0; k < BY_ADDRESS; k++)
		iprate_free(r->limits.by_address[k].table);
}

static int64_t now_us(const struct room *r)
{
	return r->mono_now_ms * 1000;
}

/* --- By address */

/* False: this connection's address is not limited. */
static bool is_counted(const struct room *r, const struct conn *c, uint8_t addr[16])
{
	return conn_address(c, addr) && !ip_in_nets(addr, &r->settings.exempt);
}

static int64_t address_wait(const struct room *r, enum by_address kind, const uint8_t addr[16])
{
	const struct address_limit *l = &r->limits.by_address[kind];
	return l->table ? iprate_wait(l->table, addr, now_us(r), l->ahead_us) : 0;
}

/* n below 0: gives them back. */
static void address_pay(const struct room *r, enum by_address kind, const uint8_t addr[16], int64_t n)
{
	const struct address_limit *l = &r->limits.by_address[kind];
	if (l->table)
		iprate_add(l->table, addr, now_us(r), n * 1000000 / l->per_s);
}

/* --- Refusing */

/* A limit that made an action wait. */
struct cause {
	enum metric metric;
	const char *words, *option;
};

static const struct cause by_person_messages = { M_LIMITED_MESSAGES, "Too many messages at once", "--message-rate, --byte-rate-kb" },
			  by_person_requests = { M_LIMITED_REQUESTS, "Too many requests at once", "--request-rate" },
			  by_person_joins = { M_LIMITED_REQUESTS, "Too many joins at once", "--request-rate" },
			  by_person_repeats = { M_LIMITED_REQUESTS, "Too many repetitions at once", "--request-rate" },
			  by_person_typing = { M_LIMITED_TYPING, "", "--typing-rate" },
			  by_person_uploads = { M_LIMITED_UPLOADS, "", "--byte-rate-kb, --request-rate" },
			  address_causes[] = {
				  [BY_MESSAGES] = { M_LIMITED_ADDRESS_MESSAGES, "Too many messages from your address", "--address-rate" },
				  [BY_BYTES] = { M_LIMITED_ADDRESS_BYTES, "Too many bytes from your address", "--address-bytes-kb" },
				  [BY_SPREAD] = { M_LIMITED_ADDRESS_BYTES, "Too much text for everybody from your address",
	                                          "--address-bytes-kb" },
				  [BY_REQUESTS] = { M_LIMITED_ADDRESS_REQUESTS, "Too many requests from your address",
	                                            "--address-requests" },
				  [BY_UPLOADS] = { M_LIMITED_ADDRESS_BYTES, "", "--address-bytes-kb" },
				  [BY_TYPING] = { M_LIMITED_ADDRESS_TYPING, "", "--address-rate" },
			  };

/* Counts a refusal. Once a minute for each limit, the log says so. */
static void tell(const struct cause *c)
{
	static struct log_gap gaps[M_COUNT]; /* the room's thread alone */
	uint64_t missed;
	metric_add(c->metric, 1);
	if (log_gap_is_over(&gaps[c->metric], LOG_GAP_MS, &missed))
		log_info("limit reached", "option=\"%s\" more_since_the_last_line=%llu", c->option, (unsigned long long)missed);
}

/* Acts on a verdict. True: the action passes. */
static bool obey(struct action *a, enum pace_verdict verdict, bool was_silent, int64_t wait_us, const struct cause *cause)
{
	if (verdict == PACE_PASS)
		return true;
	a->is_over = true;
	if (verdict == PACE_WAIT)
		refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, cause->words);
	else
		refuse_for(a, ERR_MUTED, (wait_us + 999) / 1000, "You went on sending too fast and are muted");
	tell(cause);
	if (verdict == PACE_MUTED && !was_silent)
		metric_add(M_FLOOD_MUTES, 1);
	if (verdict == PACE_CLOSE) {
		a->closes = true;
		a->session->is_sent_away = true;
	}
	return false;
}

static bool is_void(struct action *a)
{
	a->is_void = a->session->is_sent_away;
	return a->is_void;
}

/* Takes the sizes that the message is charged for: both are read several times. Text counts as JSON has it; `spread` is what the message
 * adds to the log that every client reads. */
static void take_sizes(const struct room *r, struct action *a)
{
	const struct event *e = a->e;
	if (e->kind == EV_TEXT) {
		a->bytes = json_str_len(e->text) - 2;
		a->spread = e->has_to ? 0 : a->bytes;
		return;
	}
	const uint64_t data = BASE64_LEN(e->file.size);
	a->bytes = e->file.size;
	a->spread = !e->has_to && r->users.session_count[DIALECT_1] && data <= LOG_DATA_MAX ? data : 0;
}

static void address_pay_message(const struct room *r, const uint8_t addr[16], const struct action *a, int64_t sign)
{
	address_pay(r, BY_MESSAGES, addr, sign);
	address_pay(r, BY_BYTES, addr, sign * (int64_t)a->bytes);
	if (a->spread)
		address_pay(r, BY_SPREAD, addr, sign * (int64_t)a->spread);
}

bool limit_message(struct room *r, struct action *a)
{
	struct pace *p = &a->session->user->pace;
	const bool was_silent = p->silent_until_us > now_us(r);
	const struct cause *cause = &by_person_messages;
	uint8_t addr[16];
	int64_t least_us = 0, wait_us = 0;
	if (is_void(a))
		return false;
	take_sizes(r, a);
	const bool is_by_address = is_counted(r, a->e->conn, addr);
	for (enum by_address k = BY_MESSAGES; is_by_address && k <= BY_SPREAD; k++) {
		if (k == BY_SPREAD && !a->spread)
			continue;
		wait_us = address_wait(r, k, addr);
		if (wait_us <= least_us)
			continue;
		least_us = wait_us;
		cause = &address_causes[k];
	}
	enum pace_verdict verdict = pace_check(p, &r->limits.pace, now_us(r), PACE_MESSAGE, a->bytes, least_us, &wait_us);
	if (verdict == PACE_PASS && a->e->kind != EV_TEXT && a->e->file.is_unread && !lockdown_is_read_only()) {
		pace_give_back(p, &r->limits.pace, a->bytes);
		verdict = PACE_WAIT;
		wait_us = UNREAD_WAIT_MS * 1000;
	}
	if (obey(a, verdict, was_silent, wait_us, wait_us > least_us ? &by_person_messages : cause)) {
		if (is_by_address)
			address_pay_message(r, addr, a, 1);
		a->is_charged = true;
		return true;
	}
	/* The next file of this connection is not worth a disk's work before then. */
	conn_refuse_files(a->e->conn, r->mono_now_ms + a->retry_ms);
	return false;
}

void limit_give_back(struct room *r, struct action *a)
{
	uint8_t addr[16];
	if (!a->is_charged)
		return;
	a->is_charged = false;
	pace_give_back(&a->session->user->pace, &r->limits.pace, a->bytes);
	if (is_counted(r, a->e->conn, addr))
		address_pay_message(r, addr, a, -1);
}

/* n more requests than the one that passed. */
static void pay_more(struct room *r, struct action *a, int64_t n)
{
	struct pace *p = &a->session->user->pace;
	uint8_t addr[16];
	p->request_us += n * r->limits.pace.request.cost_us;
	if (is_counted(r, a->e->conn, addr))
		address_pay(r, BY_REQUESTS, addr, n);
}

/* A request, by person and by address. */
static bool pay_request(struct room *r, struct action *a, const struct cause *cause)
{
	struct pace *p = &a->session->user->pace;
	const bool was_silent = p->silent_until_us > now_us(r);
	uint8_t addr[16];
	int64_t wait_us = 0;
	const bool is_by_address = is_counted(r, a->e->conn, addr);
	const int64_t least_us = is_by_address ? address_wait(r, BY_REQUESTS, addr) : 0;
	enum pace_verdict verdict = pace_check(p, &r->limits.pace, now_us(r), PACE_REQUEST, 0, least_us, &wait_us);
	if (!obey(a, verdict, was_silent, wait_us, least_us && wait_us <= least_us ? &address_causes[BY_REQUESTS] : cause))
		return false;
	if (is_by_address)
		address_pay(r, BY_REQUESTS, addr, 1);
	return true;
}

void limit_repeat(struct room *r, struct action *a)
{
	limit_give_back(r, a);
	a->is_over = false;
	if (!pay_request(r, a, &by_person_repeats))
		a->is_repeat = false;
}

bool limit_request(struct room *r, struct action *a)
{
	if (is_void(a))
		return false;
	if (pay_request(r, a, &by_person_requests)) {
		if (a->e->kind == EV_WHO)
			pay_more(r, a, (int64_t)r->users.online / WHO_SHARE);
		return true;
	}
	answer_error_retry(r, a->e->conn, a->error, (struct str){ a->words, strlen(a->words) }, a->e->cid, a->retry_ms);
	limit_close(r, a);
	return false;
}

void limit_refuse_device(struct action *a)
{
	static const struct cause by_person_devices = { M_LIMITED_DEVICES, "", "none: devices of one person" };
	refuse(a, ERR_RATE_LIMITED);
	a->words = "You are here in too many places at once: close some of them, or sign out there";
	a->retry_ms = DEVICE_WAIT_MS;
	tell(&by_person_devices);
}

/* Muted people may still come in and read, so this mutes nobody. A connection has five tries. */
bool limit_return(struct room *r, struct action *a, struct user *u)
{
	uint8_t addr[16];
	const struct cause *cause = &address_causes[BY_REQUESTS];
	const bool is_by_address = is_counted(r, a->e->conn, addr);
	int64_t wait_us = is_by_address ? address_wait(r, BY_REQUESTS, addr) : 0;
	if (!wait_us) {
		wait_us = pace_request(&u->pace, &r->limits.pace, now_us(r));
		cause = &by_person_joins;
	}
	if (wait_us) {
		refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, cause->words);
		tell(cause);
		return false;
	}
	if (is_by_address)
		address_pay(r, BY_REQUESTS, addr, 1);
	return true;
}

void limit_close(struct room *r, struct action *a)
{
	if (a->closes)
		publish_close(r->pub, a->e->conn, M_EVICTED_FLOOD, WS_CLOSE_POLICY, "too fast for too long");
}

void limit_refuse_guess(struct action *a, int64_t wait_us)
{
	static const struct cause by_address_guesses = { M_LIMITED_GUESSES, "Too many wrong passwords from your address",
		                                         "--join-guesses" };
	refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, by_address_guesses.words);
	tell(&by_address_guesses);
}

bool limit_typing(struct room *r, struct action *a)
{
	struct pace *p = &a->session->user->pace;
	uint8_t addr[16];
	const bool is_by_address = is_counted(r, a->e->conn, addr);
	if (is_by_address && address_wait(r, BY_TYPING, addr)) {
		tell(&address_causes[BY_TYPING]);
		conn_charge(a->e->conn, TOLL_FRAME);
		return false;
	}
	if (p->silent_until_us > now_us(r) || !pace_typing(p, &r->limits.pace, now_us(r))) {
		tell(&by_person_typing);
		conn_charge(a->e->conn, TOLL_FRAME);
		return false;
	}
	if (is_by_address)
		address_pay(r, BY_TYPING, addr, 1);
	return true;
}

bool limit_upload(struct room *r, struct user *u, struct leave *l)
{
	const bool was_silent = u->pace.silent_until_us > now_us(r);
	const uint64_t bytes = l->writes ? l->bytes : 0;
	const struct cause *cause = &address_causes[BY_REQUESTS];
	int64_t least_us = l->is_exempt ? 0 : address_wait(r, BY_REQUESTS, l->address), wait_us = 0;
	if (bytes && !l->is_exempt && address_wait(r, BY_UPLOADS, l->address) > least_us) {
		cause = &address_causes[BY_UPLOADS];
		least_us = address_wait(r, BY_UPLOADS, l->address);
	}
	enum pace_verdict verdict = pace_upload(&u->pace, &r->limits.pace, now_us(r), bytes, least_us, &wait_us);
	if (verdict == PACE_PASS && !l->is_exempt) {
		address_pay(r, BY_REQUESTS, l->address, 1);
		address_pay(r, BY_UPLOADS, l->address, (int64_t)bytes);
	}
	if (verdict == PACE_PASS)
		return true;
	l->wait_ms = WC_MAX((wait_us + 999) / 1000, 1);
	if (verdict == PACE_MUTED && !was_silent)
		metric_add(M_FLOOD_MUTES, 1);
	tell(wait_us > least_us ? &by_person_uploads : cause);
	return false;
}

void limit_upload_give_back(struct room *r, struct user *u, const struct leave *l)
{
	pace_upload_give_back(&u->pace, &r->limits.pace, l->bytes);
	if (!l->is_exempt)
		address_pay(r, BY_UPLOADS, l->address, -(int64_t)l->bytes);
}

void limit_new_person_undo(struct room *r, struct action *a)
{
	struct limits *l = &r->limits;
	uint8_t addr[16];
	if (l->new_by_ip && is_counted(r, a->e->conn, addr))
		iprate_add(l->new_by_ip, addr, now_us(r), -l->new_people.cost_us);
}

bool limit_new_person(struct room *r, struct action *a)
{
	struct limits *l = &r->limits;
	uint8_t addr[16];
	if (!l->new_by_ip || !is_counted(r, a->e->conn, addr))
		return true;
	int64_t wait_us = iprate_wait(l->new_by_ip, addr, now_us(r), l->new_people.ahead_us);
	if (!wait_us) {
		iprate_add(l->new_by_ip, addr, now_us(r), l->new_people.cost_us);
		return true;
	}
	static const struct cause by_address_new = { M_LIMITED_NEW_PEOPLE, "Too many new people from your address", "--new-people" };
	refuse_for(a, ERR_RATE_LIMITED, (wait_us + 999) / 1000, by_address_new.words);
	tell(&by_address_new);
	return false;
}
