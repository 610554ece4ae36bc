/* join.c — arriving (guests, identities, second devices) and leaving. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/ip.h"
#include "base/metrics.h"
#include "base/sha256.h"
#include "room/impl.h"

#define SESSIONS_MAX 64     /* of one person: each private message and each own echo is copied to all of them */
#define JOIN_TRIES 5        /* of one connection */
#define USER_ID_BLOCK 10000 /* ids reserved in the store at a time: a guest costs no write */

static bool is_dialect_2(const struct action *a)
{
	return a->e->join.version >= 2;
}

static void hash_token(struct str token, uint8_t hash[WC_SHA_BYTES])
{
	sha256(hash, token.p, token.len);
}

/* The token as the client keeps it. */
static void token_text(const uint8_t token[WC_TOKEN_BYTES], char out[BASE64_LEN(WC_TOKEN_BYTES) + 1])
{
	base64url_encode(out, token, WC_TOKEN_BYTES);
}

static int new_token(struct room *r, struct action *a)
{
	char text[BASE64_LEN(WC_TOKEN_BYTES) + 1];
	wc_random(a->token, WC_TOKEN_BYTES);
	token_text(a->token, text);
	hash_token((struct str){ text, strlen(text) }, a->token_hash);
	a->has_token = true;
	return store_put_token(r->o.store, a->user->id, a->token_hash, admit_stamp(r));
}

static int new_user_id(struct room *r, struct action *a, uint64_t *id)
{
	if (r->next_user_id >= r->user_id_reserved) {
		int rc = store_set_counter(r->o.store, "next_user_id", r->user_id_reserved + USER_ID_BLOCK);
		if (rc < 0)
			return rc;
		r->user_id_reserved += USER_ID_BLOCK;
		a->reserved_ids = a->is_stored = true; /* a guest's join is to be committed, too, then */
	}
	*id = r->next_user_id++;
	return 0;
}

static void prepare_new(struct room *r, struct action *a)
{
	uint64_t id;
	if (sanction_bars_guest(r, a) || !limit_new_person(r, a))
		return;
	if (new_user_id(r, a, &id) < 0) {
		limit_new_person_undo(r, a);
		refuse(a, ERR_STORAGE);
		return;
	}
	char name[WC_NAME_BYTES + 1];
	user_free_name(&r->users, is_dialect_2(a) ? &r->mod.names : NULL, a->e->join.name, id, name);
	a->user = user_new(&r->users, id, (struct str){ name, strlen(name) }, is_dialect_2(a));
	a->user->created_ms = a->user->seen_ms = r->now_ms;
	a->user->is_tentative = a->is_new = true;
	a->user->peers_are_known = true;
	if (!is_dialect_2(a))
		return;
	struct identity who = { .id = id,
		                .name = { a->user->name, a->user->name_len },
		                .key = { a->user->key, strlen(a->user->key) },
		                .created_ms = r->now_ms,
		                .seen_ms = r->now_ms };
	if (store_put_identity(r->o.store, &who) < 0 || new_token(r, a) < 0)
		refuse(a, ERR_STORAGE);
	else
		a->is_stored = true;
}

static struct user *user_of_code(struct room *r, struct action *a, struct str code)
{
	a->code = codes_take(&r->codes, code, r->mono_now_ms);
	return a->code ? user_get(&r->users, a->code->user_id) : NULL;
}

/* Room for one more connection of this person? False: refused. The joins of one group are not counted: there are a handful at most. */
static bool has_place(struct action *a, const struct user *u)
{
	int count = 0;
	for (const struct session *s = u->sessions; s; s = s->next)
		count++;
	if (count >= SESSIONS_MAX)
		limit_refuse_device(a);
	return count < SESSIONS_MAX;
}

/* In use by a connection, or by a join of this group. */
static bool is_token_used(const struct room *r, const struct token *t)
{
	for (const struct session *s = t->user->sessions; s; s = s->next)
		if (s->token == t)
			return true;
	for (int i = 0; i < r->action_count; i++)
		if (r->actions[i].comes_by == t)
			return true;
	return false;
}

/* A person with all tokens there may be loses one: of those that never let anybody in again the idlest, else the idlest of all. False:
 * refused, the action says why. */
static bool make_token_room(struct room *r, struct action *a)
{
	struct token *last = NULL, *last_unused = NULL;
	int count = 0;
	for (struct token *t = a->user->tokens; t; t = t->next)
		count++;
	if (count < USER_TOKENS)
		return true;
	for (struct token *t = a->user->tokens; t; t = t->next)
		if (!is_token_used(r, t)) {
			last = t;
			last_unused = t->came_back ? last_unused : t;
		}
	last = last_unused ? last_unused : last;
	if (!last) {
		limit_refuse_device(a);
		return false;
	}
	if (store_drop_token(r->o.store, last->hash) < 0) {
		refuse(a, ERR_STORAGE);
		return false;
	}
	user_detach_token(&r->users, last);
	a->ends = last;
	return true;
}

static void prepare_by_code(struct room *r, struct action *a)
{
	a->user = user_of_code(r, a, a->e->join.code);
	if (!a->user)
		refuse(a, ERR_BAD_CODE);
	else if (sanction_bars(r, a, a->user) || !limit_return(r, a, a->user) || !has_place(a, a->user) || !make_token_room(r, a))
		return;
	else if (new_token(r, a) < 0)
		refuse(a, ERR_STORAGE);
	else
		a->is_stored = true;
}

struct token *join_token(const struct room *r, const struct event *e)
{
	uint8_t hash[WC_SHA_BYTES];
	if (e->join.version < 2 || !e->join.token.len)
		return NULL;
	hash_token(e->join.token, hash);
	return user_token(&r->users, hash);
}

void join_prepare(struct room *r, struct action *a)
{
	if (a->session) {
		refuse(a, ERR_BAD_REQUEST);
		return;
	}
	const struct event *e = a->e;
	if (sanction_bars(r, a, NULL)) /* by address or name; a code is not used up by it */
		return;
	if (is_dialect_2(a) && e->join.token.len) {
		struct token *t = join_token(r, e);
		if (!t)
			refuse(a, ERR_BAD_TOKEN);
		else if (!sanction_bars(r, a, t->user) && limit_return(r, a, t->user) && has_place(a, t->user) && admit_by_token(r, a, t)) {
			a->user = t->user;
			a->comes_by = t;
		}
		return;
	}
	if (is_dialect_2(a) && e->join.code.len) {
		prepare_by_code(r, a);
		return;
	}
	if (admit_by_password(r, a))
		prepare_new(r, a);
}

void join_undo(struct room *r, struct action *a)
{
	if (a->is_new && a->user) {
		user_remove(&r->users, a->user);
		limit_new_person_undo(r, a);
	}
	a->user = NULL;
	a->is_new = false;
	if (a->reserved_ids) /* not written after all: the next join reserves again */
		r->user_id_reserved = r->next_user_id;
	a->reserved_ids = false;
	if (a->code) /* it brought nobody in: good for another try */
		codes_give_back(&r->codes, a->code);
	a->code = NULL;
	if (a->ends)
		user_attach_token(&r->users, a->ends);
	a->comes_by = a->ends = NULL;
}

/* --- init */

struct init {
	struct session *session;
	struct shbuf *history; /* `"history":[…]}`; taken */
	const uint8_t *token;  /* NULL: none to tell */
	bool gap, reset;
};

static void put_peers(struct room *r, const struct user *u)
{
	struct buf *b = &r->scratch;
	buf_puts(b, ",\"peers\":[");
	for (int i = u->peer_count; i-- > 0;) {
		const struct peer *p = &u->peers[i];
		const struct user *known = user_get(&r->users, p->id);
		buf_puts(b, "{\"id\":");
		buf_u64(b, p->id);
		buf_puts(b, ",\"name\":");
		json_str(b, known ? (struct str){ known->name, known->name_len } : (struct str){ p->name, strlen(p->name) });
		buf_puts(b, known && known->is_online ? ",\"online\":true,\"last_id\":" : ",\"online\":false,\"last_id\":");
		buf_u64(b, p->last_id);
		buf_puts(b, i ? "}," : "}");
	}
	buf_putc(b, ']');
}

static void put_head_2(struct room *r, const struct init *in)
{
	struct buf *b = &r->scratch;
	const struct room_settings *o = &r->settings;
	buf_puts(b, ",\"v\":2,\"head\":");
	buf_u64(b, sight_head(r, in->session->user));
	if (in->token) {
		char text[BASE64_LEN(WC_TOKEN_BYTES) + 1];
		token_text(in->token, text);
		buf_printf(b, ",\"token\":\"%s\"", text);
	}
	if (in->gap)
		buf_puts(b, ",\"gap\":true");
	if (in->reset)
		buf_puts(b, ",\"reset\":true");
	lockdown_put_init(r);
	buf_printf(b, ",\"online\":%zu,\"now\":%lld,\"server\":\"wavechatd %s\"", r->users.online, (long long)r->now_ms, wc_version());
	buf_printf(b, ",\"limits\":{\"max_file_mb\":%d,\"max_voice_mb\":%d,\"max_text\":%d,\"history_limit\":%d}", o->max_file_mb,
	           WC_VOICE_BYTES / (1024 * 1024), WC_TEXT_POINTS, o->history_limit);
	put_peers(r, in->session->user);
}

/* Composes init and sends it: in place of the hold if there is one, else as an insert where the session's log begins. */
static void send_init(struct room *r, const struct init *in, bool is_held)
{
	struct session *s = in->session;
	buf_reset(&r->scratch);
	buf_puts(&r->scratch, "{\"type\":\"init\",\"my_id\":");
	buf_u64(&r->scratch, s->user->id);
	buf_puts(&r->scratch, ",\"my_name\":");
	json_str(&r->scratch, (struct str){ s->user->name, s->user->name_len });
	if (s->dialect == DIALECT_2)
		put_head_2(r, in);
	buf_putc(&r->scratch, ',');
	presence_put_users(r, &r->scratch, s->dialect, s->user);
	uint8_t header[WS_HEADER_MAX];
	size_t rest = in->history ? in->history->len : 0;
	size_t n = ws_header(header, WS_TEXT, r->scratch.len + rest);
	const shbuf_owner owner = conn_buffer_owner(s->conn, SHBUF_JOIN);
	struct shbuf *first = in->history && !r->scratch.failed ? shbuf_new_spare(n + r->scratch.len, owner) : NULL;
	if (!first) {
		/* No memory for a joiner: it may come again. The error takes the place of its first frame. */
		answer_count_memory(r);
		answer_count_error(ERR_BUSY);
		shbuf_unref(in->history);
		buf_reset(&r->scratch);
		encode_error(&r->scratch, s->dialect, ERR_BUSY, STR("The server is short of memory. Come again in a moment"), STR(""));
		struct mail *sorry = mail_new(is_held ? MAIL_FILL : MAIL_INSERT, s->conn);
		sorry->at = publish_position(r->pub, s->dialect);
		mail_part(sorry, frame_of_buf(&r->scratch));
		publish_mail(r->pub, sorry);
		publish_close(r->pub, s->conn, M_EVICTED_MEMORY, WS_CLOSE_TRY_LATER, "short of memory");
		return;
	}
	memcpy(first->data, header, n);
	memcpy(first->data + n, r->scratch.p, r->scratch.len);
	struct mail *m = mail_new(is_held ? MAIL_FILL : MAIL_INSERT, s->conn);
	m->at = publish_position(r->pub, s->dialect);
	mail_part(m, first);
	mail_part(m, in->history);
	publish_mail(r->pub, m);
}

static void subscribe(struct room *r, const struct session *s)
{
	struct mail *m = mail_new(MAIL_SUBSCRIBE, s->conn);
	m->at = publish_position(r->pub, s->dialect);
	m->skip = s->dialect;
	m->id = s->user->id;
	publish_mail(r->pub, m);
}

static void answer_refusal(struct room *r, struct action *a)
{
	if (a->rc == -WC_EDENIED) {
		answer_turn_away(r, a->e->conn, !is_dialect_2(a), CLOSE_BANNED, a->words);
		publish_mail(r->pub, mail_new(MAIL_RESUME, a->e->conn)); /* the join has been dealt with: nothing holds its memory */
		return;
	}
	struct str words = a->words                      ? (struct str){ a->words, strlen(a->words) }
	                   : a->error == ERR_BAD_REQUEST ? STR("already joined")
	                                                 : STR("");
	answer_error_retry(r, a->e->conn, a->error, words, STR(""), a->retry_ms);
	if (a->session)
		return;
	/* It may try again, within its 15 seconds; an old client, which does not know that it may, does so by connecting again. In a
	 * lockdown no other try would help, and nobody is to hold a place for it. */
	if (!is_dialect_2(a) || a->error == ERR_LOCKDOWN || conn_count_refusal(a->e->conn) >= JOIN_TRIES)
		publish_close(r->pub, a->e->conn, M_EVICTED_NOT_LET_IN, WS_CLOSE_POLICY, "not let in");
	publish_mail(r->pub, mail_new(MAIL_RESUME, a->e->conn));
}

static void count_sessions(struct room *r)
{
	const uint32_t *n = r->users.session_count;
	atomic_store_explicit(&r->dialect_1_count, n[DIALECT_1], memory_order_relaxed);
	metric_set(M_SESSIONS_1, n[DIALECT_1]);
	metric_set(M_SESSIONS_2, n[DIALECT_2]);
}

static void page_ready(void *arg)
{
	struct join_page *p = arg;
	struct room *r = p->room;
	struct session *s = p->session;
	struct user *u = s->user;
	if (!s->is_closed) {
		if (!u->peers_are_known && p->rc == 0) {
			u->peers_are_known = true;
			for (int i = p->peer_count; i-- > 0;)
				user_add_peer(u, p->peer_ids[i], (struct str){ p->peer_names[i], strlen(p->peer_names[i]) },
				              p->peer_last[i]);
		}
		struct init in = { .session = s, .token = p->is_new_token ? p->token : NULL, .gap = p->gap, .reset = p->reset };
		in.history = p->tail;
		p->tail = NULL;
		if (p->wants_page && p->rc == 0)
			in.history = buf_share(&p->history);
		send_init(r, &in, true);
	}
	for (int i = 0; i < p->peer_count; i++)
		free(p->peer_names[i]);
	buf_fini(&p->history);
	shbuf_unref(p->tail);
	free(p);
	session_done(r, s);
}

/* Large buffers that are made for this connection count as this person's and, where addresses are limited, as its address's. */
static void own_buffers(struct room *r, const struct session *s)
{
	uint8_t addr[16];
	const bool is_limited = conn_address(s->conn, addr) && !ip_in_nets(addr, &r->settings.exempt);
	conn_set_buffer_owner(s->conn, shbuf_owner_of(s->user->id, is_limited ? addr : NULL));
}

/* NULL: there is no memory for it, or what other pages of this person or address still hold is all that these may have. */
static struct shbuf *page_of_tail(struct room *r, const struct session *s, bool has_since, uint64_t since, bool *gap)
{
	const shbuf_owner owner = conn_buffer_owner(s->conn, SHBUF_JOIN);
	return has_since ? tail_since(r->tail, since, s->user->id, owner, gap) : tail_history(r->tail, s->dialect, s->user->id, owner);
}

void join_apply(struct room *r, struct action *a)
{
	if (a->rc) {
		answer_refusal(r, a);
		return;
	}
	struct user *u = a->user;
	u->is_tentative = false;
	u->seen_ms = r->now_ms;
	free(a->code);
	a->code = NULL;
	free(a->ends);
	a->ends = NULL;
	if (a->comes_by) {
		user_used_token(a->comes_by, admit_stamp(r));
		a->comes_by->came_back = true;
	}
	if (a->has_token)
		user_add_token(&r->users, u, a->token_hash, admit_stamp(r));
	else if (is_dialect_2(a))
		hash_token(a->e->join.token, a->token_hash);
	if (a->admits)
		a->admits->stored_ms = a->admits->admitted_ms;
	struct session *s = session_new(&r->users, u, a->e->conn, is_dialect_2(a) ? DIALECT_2 : DIALECT_1);
	s->is_admitted = true;
	s->token = s->dialect == DIALECT_2 ? user_token(&r->users, a->token_hash) : NULL;
	conn_set_session(s->conn, s);
	own_buffers(r, s);
	count_sessions(r);
	subscribe(r, s);
	presence_joined(r, u);
	address_came(r, s);

	const struct event *e = a->e;
	struct init in = { .session = s, .token = a->has_token ? a->token : NULL };
	bool has_since = s->dialect == DIALECT_2 && e->join.has_since;
	if (has_since && sight_resets(r, u, e->join.since)) {
		in.reset = true;
		has_since = false;
	}
	bool needs_page = has_since && (u->has_dms || !tail_covers(r->tail, e->join.since));
	if (s->dialect == DIALECT_1 || (!needs_page && u->peers_are_known)) {
		in.history = page_of_tail(r, s, has_since, e->join.since, &in.gap);
		send_init(r, &in, false);
		return;
	}
	if (r->is_quiet)
		return; /* its socket is closed already */
	struct mail *hold = mail_new(MAIL_HOLD, s->conn);
	hold->at = publish_position(r->pub, s->dialect);
	publish_mail(r->pub, hold);
	struct join_page *p = xcalloc(1, sizeof(*p));
	*p = (struct join_page){ .room = r,
		                 .session = s,
		                 .since = e->join.since,
		                 .upto = r->applied_id,
		                 .wants_page = needs_page,
		                 .reset = in.reset,
		                 .is_new_token = a->has_token,
		                 .ready = page_ready };
	memcpy(p->token, a->token, WC_TOKEN_BYTES);
	/* Take the page from the tail now: later the tail also holds messages that this session gets live. */
	if (!needs_page)
		p->tail = page_of_tail(r, s, has_since, e->join.since, &p->gap);
	s->jobs++;
	join_page_submit(r, p);
}

/* --- Leaving */

void leave_apply(struct room *r, struct conn *c)
{
	struct session *s = conn_session(c);
	if (!s) {
		answer_release(r, c);
		return;
	}
	struct user *u = s->user;
	if (s->token)
		user_used_token(s->token, s->is_admitted ? admit_stamp(r) : 0);
	session_unlink(&r->users, s);
	count_sessions(r);
	u->seen_ms = r->now_ms;
	address_went(r, s);
	if (!u->sessions)
		presence_left(r, u);
	s->is_closed = true;
	s->jobs++;
	session_done(r, s);
}

/* --- A second device */

void link_apply(struct room *r, struct action *a)
{
	struct session *s = a->session;
	if (!s) {
		answer_not_joined(r, a->e->conn);
		return;
	}
	if (s->dialect != DIALECT_2)
		return;
	if (r->admission.password.is_set && !s->is_admitted) {
		answer_error(r, a->e->conn, ERR_PASSWORD_REQUIRED, STR("The chat's password was changed: come in with it first"), STR(""));
		return;
	}
	const struct code *c = codes_make(&r->codes, s->user->id, r->mono_now_ms, r->mono_now_ms + LINK_CODE_S * 1000);
	buf_reset(&r->scratch);
	buf_printf(&r->scratch, "{\"type\":\"link\",\"code\":\"%s\",\"expires_in\":%d}", c->text, LINK_CODE_S);
	publish_insert(r->pub, s, publish_position(r->pub, DIALECT_2), 0, frame_of_buf(&r->scratch), NULL, NULL);
}

/* --- The end of a token */

void sign_out_apply(struct room *r, struct action *a)
{
	struct session *s = a->session;
	struct token *t = s ? s->token : NULL;
	if (!s) {
		answer_not_joined(r, a->e->conn);
		return;
	}
	if (!t) /* a guest has none */
		return;
	int rc = store_end_token(r->o.store, t->hash);
	if (rc < 0 && room_made_room(r))
		rc = store_end_token(r->o.store, t->hash);
	if (rc < 0) {
		answer_error(r, a->e->conn, ERR_STORAGE, STR(""), STR(""));
		return;
	}
	/* A code that this device asked for is not to let anybody in behind its back. */
	codes_end(&r->codes, s->user->id);
	for (struct session *each = s->user->sessions; each; each = each->next) {
		if (each->token != t)
			continue;
		each->token = NULL;
		each->is_sent_away = true;
		publish_close(r->pub, each->conn, M_LEFT_CLOSED, WS_CLOSE_NORMAL, SIGNED_OUT);
	}
	user_end_token(&r->users, t);
}
