/* test_store.c — what is stored and read: messages, pages, identities, retention. Files in a folder of its own, and in memory. */
#include "store_test.h"

/* Every test of this kind runs on disk and in memory. */
struct both {
	char *dir;
	struct store *s;
	struct store_reader *r;
};

static int set_up(void **state, bool is_memory)
{
	struct both *t = calloc(1, sizeof(*t));

	if (!is_memory)
		t->dir = make_dir();
	t->s = open_store(t->dir);
	t->r = open_reader(t->s);
	*state = t;
	return 0;
}

static int set_up_disk(void **state)
{
	return set_up(state, false);
}

static int set_up_memory(void **state)
{
	return set_up(state, true);
}

static int tear_down(void **state)
{
	struct both *t = *state;

	store_reader_close(t->r);
	store_close(t->s);
	if (t->dir)
		remove_tree(t->dir);
	free(t);
	return 0;
}

static int check_whole(void *arg, const struct msg *m)
{
	const struct msg *want = arg;

	assert_int_equal(m->id, want->id);
	assert_int_equal(m->at_ms, want->at_ms);
	assert_int_equal(m->kind, want->kind);
	assert_int_equal(m->flags, want->flags);
	assert_int_equal(m->from_id, want->from_id);
	assert_true(str_eq(m->from_name, want->from_name));
	assert_int_equal(m->is_dm, want->is_dm);
	assert_int_equal(m->to_id, want->is_dm ? want->to_id : 0);
	assert_true(str_eq(m->to_name, want->is_dm ? want->to_name : (struct str){ "", 0 }));
	assert_true(str_eq(m->cid, want->cid));
	assert_true(str_eq(m->text, want->text));
	assert_true(str_eq(m->filename, want->filename));
	assert_true(str_eq(m->mime, want->mime));
	assert_true(str_eq(m->waveform, want->waveform));
	assert_int_equal(m->size, want->size);
	assert_true(m->duration >= want->duration && m->duration <= want->duration);
	assert_int_equal(m->width, want->width);
	assert_int_equal(m->height, want->height);
	assert_memory_equal(m->sha, want->sha, sizeof(m->sha));
	assert_memory_equal(m->secret, want->secret, sizeof(m->secret));
	return 0;
}

static void keeps_every_field(void **state)
{
	struct both *t = *state;
	struct msg all[] = {
		text_msg(1, 7, 0, "cid one"),
		text_msg((1ull << 53) - 1, 7, 8, ""),
		file_msg(5, 9, 0, 0xab, 1ull << 40),
		file_msg(6, 9, 7, 0xab, 1ull << 40),
	};

	all[0].text = (struct str){ "a\0b", 3 }; /* "\u0000" in JSON is text like any other */
	all[1].text = (struct str){ NULL, 0 };
	all[2].flags = MSG_DELETED;
	assert_int_equal(store_begin(t->s), 0);
	for (size_t i = 0; i < WC_LEN(all); i++)
		assert_int_equal(store_put_msg(t->s, &all[i]), 0);
	assert_int_equal(store_commit(t->s), 0);
	for (size_t i = 0; i < WC_LEN(all); i++)
		assert_int_equal(store_read_since(t->r, 7, all[i].id - 1, all[i].id, 10, check_whole, &all[i]), 1);
	assert_int_equal(store_last_id(t->s), (1ull << 53) - 1);
}

static void uncommitted_is_unseen(void **state)
{
	struct both *t = *state;
	struct msg a = text_msg(1, 1, 0, ""), b = text_msg(2, 1, 0, "");

	put_one(t->s, a);
	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_put_msg(t->s, &b), 0);
	assert_int_equal(store_last_id(t->s), 2);
	if (t->dir) /* in memory the reader would wait for the commit instead */
		assert_int_equal(count_public(t->r), 1);
	store_rollback(t->s);
	assert_int_equal(count_public(t->r), 1);
	assert_int_equal(store_last_id(t->s), 1);
	put_one(t->s, b);
	assert_int_equal(count_public(t->r), 2);
}

static void a_savepoint_is_one_event(void **state)
{
	struct both *t = *state;
	struct msg m[] = { text_msg(1, 1, 0, ""), file_msg(2, 1, 5, 1, 10), text_msg(3, 1, 0, "") };
	static struct ids ids;

	assert_int_equal(store_begin(t->s), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_savepoint(t->s), 0);
		assert_int_equal(store_put_msg(t->s, &m[i]), 0);
		if (i == 1)
			store_rollback_to(t->s);
		else
			assert_int_equal(store_release(t->s), 0);
	}
	assert_int_equal(store_commit(t->s), 0);
	ids.count = 0;
	assert_int_equal(store_read_since(t->r, 1, 0, 100, 100, collect_id, &ids), 2);
	assert_int_equal(ids.id[1], 3);
	assert_int_equal(store_read_blob_refs(t->r, m[1].sha), 0);
}

static void a_cid_is_stored_once(void **state)
{
	struct both *t = *state;
	struct msg first = text_msg(1, 7, 0, "same"), again = text_msg(2, 7, 0, "same"), other = text_msg(2, 8, 0, "same");
	struct msg none = text_msg(3, 7, 0, ""), none_too = text_msg(4, 7, 0, "");
	static struct ids ids;

	put_one(t->s, first);
	assert_int_equal(store_begin(t->s), 0);
	again.text = STR("other words");
	assert_int_equal(store_put_msg(t->s, &again), -WC_EEXIST);
	assert_int_equal(store_find_cid(t->s, 7, again.cid, check_whole, &first), 0);
	assert_int_equal(store_find_cid(t->s, 7, STR("sam"), collect_id, &ids), -WC_ENOENT);
	assert_int_equal(store_find_cid(t->s, 9, STR("same"), collect_id, &ids), -WC_ENOENT);
	/* the answer is no failure: the batch goes on */
	assert_int_equal(store_put_msg(t->s, &other), 0);
	assert_int_equal(store_put_msg(t->s, &none), 0);
	assert_int_equal(store_put_msg(t->s, &none_too), 0);
	assert_int_equal(store_commit(t->s), 0);
	assert_int_equal(count_public(t->r), 4);
	if (!t->dir)
		return;
	store_reader_close(t->r);
	store_close(t->s);
	t->s = open_store(t->dir);
	t->r = open_reader(t->s);
	assert_int_equal(store_begin(t->s), 0);
	again.id = 9;
	assert_int_equal(store_put_msg(t->s, &again), -WC_EEXIST);
	assert_int_equal(store_find_cid(t->s, 7, again.cid, check_whole, &first), 0);
	assert_int_equal(store_commit(t->s), 0);
}

/* --- Pages, against a model: the whole list, filtered. */

enum { MODEL_ROWS = 600, MODEL_PEOPLE = 5 };

static bool may_see(const struct msg *m, uint64_t me)
{
	return !m->is_dm || (me && (m->from_id == me || m->to_id == me));
}

static bool is_of_pair(const struct msg *m, uint64_t a, uint64_t b)
{
	return m->is_dm && ((m->from_id == a && m->to_id == b) || (m->from_id == b && m->to_id == a));
}

static void check_ids(const struct ids *got, int count, const uint64_t *want, int n)
{
	assert_int_equal(count, n);
	assert_int_equal(got->count, n);
	for (int i = 0; i < n; i++)
		assert_int_equal(got->id[i], want[i]);
}

static void check_since(struct both *t, const struct msg *model, uint64_t me, uint64_t since, uint64_t upto, int limit)
{
	static struct ids got;
	uint64_t want[MODEL_ROWS];
	int n = 0, count;

	for (int i = 0; i < MODEL_ROWS && n < limit; i++)
		if (model[i].id > since && model[i].id <= upto && may_see(&model[i], me))
			want[n++] = model[i].id;
	got.count = 0;
	count = store_read_since(t->r, me, since, upto, limit, collect_id, &got);
	check_ids(&got, count, want, n);
}

static void check_history(struct both *t, const struct msg *model, bool is_dm, uint64_t me, uint64_t peer, uint64_t before, int limit)
{
	static struct ids got;
	uint64_t want[MODEL_ROWS];
	int n = 0, first, count;

	for (int i = 0; i < MODEL_ROWS; i++)
		if ((before == 0 || model[i].id < before) && (is_dm ? is_of_pair(&model[i], me, peer) : !model[i].is_dm))
			want[n++] = model[i].id;
	first = WC_MAX(0, n - limit);
	got.count = 0;
	count = store_read_history(t->r, is_dm, me, peer, before, limit, collect_id, &got);
	for (int i = 0; i < got.count / 2; i++) {
		const uint64_t id = got.id[i];
		got.id[i] = got.id[got.count - 1 - i];
		got.id[got.count - 1 - i] = id;
	}
	check_ids(&got, count, want + first, n - first);
}

struct peers {
	uint64_t peer[MODEL_PEOPLE], last[MODEL_PEOPLE];
	int count;
};

static int collect_peer(void *arg, uint64_t peer_id, struct str name, uint64_t last_id)
{
	struct peers *p = arg;

	(void)name;
	assert_true(p->count < MODEL_PEOPLE);
	p->peer[p->count] = peer_id;
	p->last[p->count++] = last_id;
	return 0;
}

static void check_peers(struct both *t, const struct msg *model, uint64_t me, int limit)
{
	struct peers got = { .count = 0 }, want = { .count = 0 };

	for (int i = MODEL_ROWS - 1; i >= 0 && want.count < limit; i--) {
		uint64_t peer = model[i].from_id == me ? model[i].to_id : model[i].from_id;
		bool is_known = false;

		if (!model[i].is_dm || (model[i].from_id != me && model[i].to_id != me))
			continue;
		for (int k = 0; k < want.count; k++)
			is_known |= want.peer[k] == peer;
		if (!is_known)
			collect_peer(&want, peer, STR(""), model[i].id);
	}
	assert_int_equal(store_read_peers(t->r, me, limit, collect_peer, &got), want.count);
	assert_memory_equal(got.peer, want.peer, sizeof(got.peer));
	assert_memory_equal(got.last, want.last, sizeof(got.last));
}

static void pages_are_what_a_plain_walk_gives(void **state)
{
	struct both *t = *state;
	static struct msg model[MODEL_ROWS];
	uint64_t id = 0;
	static struct ids tail;

	srand(1);
	assert_int_equal(store_begin(t->s), 0);
	for (int i = 0; i < MODEL_ROWS; i++) {
		uint64_t to = rand() % 3 ? 0 : 1 + (uint64_t)(rand() % MODEL_PEOPLE); /* to oneself as well */

		id += 1 + (uint64_t)(rand() % 5);
		model[i] = rand() % 4 ? text_msg(id, 1 + (uint64_t)(rand() % MODEL_PEOPLE), to, "")
		                      : file_msg(id, 1 + (uint64_t)(rand() % MODEL_PEOPLE), to, (uint8_t)rand(), 10);
		assert_int_equal(store_put_msg(t->s, &model[i]), 0);
	}
	assert_int_equal(store_commit(t->s), 0);
	for (int i = 0; i < 2000; i++) {
		uint64_t me = (uint64_t)(rand() % (MODEL_PEOPLE + 2)), since = (uint64_t)rand() % (id + 10);

		check_since(t, model, me, since, rand() % 2 ? UINT64_MAX : since + (uint64_t)(rand() % 300), rand() % 40);
		check_history(t, model, rand() % 2, 1 + (uint64_t)(rand() % MODEL_PEOPLE), 1 + (uint64_t)(rand() % MODEL_PEOPLE),
		              rand() % 3 ? (uint64_t)rand() % (id + 10) : 0, rand() % 40);
	}
	check_since(t, model, 1, 0, UINT64_MAX, MODEL_ROWS);
	check_since(t, model, 0, 0, UINT64_MAX, MODEL_ROWS);
	for (uint64_t me = 0; me <= MODEL_PEOPLE + 1; me++)
		for (int limit = 0; limit <= MODEL_PEOPLE; limit++)
			check_peers(t, model, me, limit);
	tail.count = 0;
	assert_int_equal(store_tail(t->s, 17, collect_id, &tail), 17);
	check_history(t, model, false, 0, 0, 0, 17);
	for (int i = 1; i < 17; i++)
		assert_true(tail.id[i] > tail.id[i - 1]);
	/* a walk that is stopped counts what it told, and the reader is good for the next one */
	tail.count = 0;
	tail.stop_after = 3;
	assert_int_equal(store_read_since(t->r, 1, 0, UINT64_MAX, 100, collect_id, &tail), 3);
	tail.count = 0;
	assert_int_equal(store_read_history(t->r, false, 0, 0, 0, 100, collect_id, &tail), 3);
	tail.stop_after = 0;
	check_since(t, model, 2, 0, UINT64_MAX, 50);
}

/* --- Identities. */

struct people {
	int count, tokens;
	int64_t admitted_ms;
	struct identity last;
	char name[64], key[64];
	uint8_t hash[WC_SHA_BYTES];
};

static int collect_identity(void *arg, const struct identity *who)
{
	struct people *p = arg;

	p->count++;
	p->last = *who;
	snprintf(p->name, sizeof(p->name), "%.*s", (int)who->name.len, who->name.p);
	snprintf(p->key, sizeof(p->key), "%.*s", (int)who->key.len, who->key.p);
	return 0;
}

static int collect_token(void *arg, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t admitted_ms)
{
	struct people *p = arg;

	p->tokens++;
	p->admitted_ms += admitted_ms;
	assert_int_equal(identity_id, 7);
	memcpy(p->hash, hash, WC_SHA_BYTES);
	return 0;
}

static int check_peer_name(void *arg, uint64_t peer_id, struct str name, uint64_t last_id)
{
	(void)peer_id;
	(void)last_id;
	assert_true(str_eq(name, s_of(arg)));
	return 0;
}

static void identities_and_tokens(void **state)
{
	struct both *t = *state;
	struct identity who = { .id = 7, .name = STR("Аня"), .key = STR("аня"), .created_ms = 1000, .seen_ms = 2000 }, other = who;
	uint8_t one[WC_SHA_BYTES] = { 1 }, two[WC_SHA_BYTES] = { 2 }, none[WC_SHA_BYTES] = { 3 };
	struct people p = { .count = 0 };
	static char name_was[] = "Bob", name_is[] = "Robert";
	uint64_t id = 0;

	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_put_identity(t->s, &who), 0);
	assert_int_equal(store_put_token(t->s, 7, one, 5), 0);
	assert_int_equal(store_put_token(t->s, 7, two, 5), 0);
	assert_int_equal(store_admit_token(t->s, two, 1000), 0);
	assert_int_equal(store_set_counter(t->s, "next_user", 8), 0);
	other.id = 8;
	assert_int_equal(store_put_identity(t->s, &other), -WC_EEXIST); /* a name is one person's */
	who.created_ms = 9999;
	who.name = STR("Anna");
	assert_int_equal(store_put_identity(t->s, &who), 0);
	assert_int_equal(store_touch(t->s, 7, 3000), 0);
	assert_int_equal(store_commit(t->s), 0);

	assert_int_equal(store_read_token(t->r, one, &id), 0);
	assert_int_equal(id, 7);
	assert_int_equal(store_read_token(t->r, none, &id), -WC_ENOENT);
	assert_int_equal(store_each_identity(t->s, collect_identity, &p), 0);
	assert_int_equal(store_each_token(t->s, collect_token, &p), 0);
	assert_int_equal(p.count, 1);
	assert_int_equal(p.tokens, 2);
	assert_int_equal(p.admitted_ms, 5 + 1000);
	assert_string_equal(p.name, "Anna");
	assert_string_equal(p.key, "аня");
	assert_int_equal(p.last.created_ms, 1000);
	assert_int_equal(p.last.seen_ms, 3000);
	assert_false(p.last.has_dms);
	assert_int_equal(store_counter(t->s, "next_user"), 8);
	assert_int_equal(store_counter(t->s, "floor"), 0); /* not the store's own number of that name */

	/* a peer goes by the name it has now, or by the one it had */
	put_one(t->s, text_msg(1, 7, 8, ""));
	assert_int_equal(store_read_peers(t->r, 7, 10, check_peer_name, name_was), 1);
	other.name = STR("Robert");
	other.key = STR("robert");
	assert_int_equal(store_put_identity(t->s, &other), 0);
	assert_int_equal(store_read_peers(t->r, 7, 10, check_peer_name, name_is), 1);
	assert_int_equal(store_drop_identity(t->s, 8), 0);
	assert_int_equal(store_read_peers(t->r, 7, 10, check_peer_name, name_was), 1);
	assert_int_equal(store_each_identity(t->s, collect_identity, &p), 0);
	assert_true(p.last.has_dms);
	assert_int_equal(p.last.dm_id, 1);
	assert_int_equal(p.last.dm_floor, 0);
	assert_false(p.last.has_spoken);
	assert_int_equal(store_has_peer(t->s, 7, 8), 1);
	assert_int_equal(store_has_peer(t->s, 7, 9), 0);

	/* what retention removed is remembered, for those that it was of */
	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_set_spoke(t->s, 7), 0);
	assert_int_equal(store_expire(t->s, INT64_MAX, 10, NULL, NULL), 1);
	assert_int_equal(store_commit(t->s), 0);
	assert_int_equal(store_each_identity(t->s, collect_identity, &p), 0);
	assert_true(p.last.has_spoken);
	assert_false(p.last.has_dms);
	assert_int_equal(p.last.dm_id, 1);
	assert_int_equal(p.last.dm_floor, 1);
	assert_int_equal(store_public_floor(t->s), 1); /* none */
	assert_int_equal(store_has_peer(t->s, 7, 8), 0);

	assert_int_equal(store_drop_identity(t->s, 7), 0);
	assert_int_equal(store_read_token(t->r, one, &id), -WC_ENOENT);
	assert_int_equal(store_read_token(t->r, two, &id), -WC_ENOENT);
}

/* --- Retention. */

static int check_gone(void *arg, const struct msg *m)
{
	assert_true(m->flags & MSG_GONE);
	return collect_id(arg, m);
}

static void files_go_oldest_first(void **state)
{
	struct both *t = *state;
	static struct ids ids;
	uint8_t a[WC_SHA_BYTES], b[WC_SHA_BYTES], secret[WC_SECRET_BYTES] = { 0 };
	struct msg m;

	memset(a, 0xa, sizeof(a));
	memset(b, 0xb, sizeof(b));
	put_one(t->s, file_msg(1, 1, 0, 0xa, 100));
	put_one(t->s, file_msg(2, 1, 0, 0xb, 50));
	put_one(t->s, file_msg(3, 2, 9, 0xa, 100)); /* the same bytes: stored once, counted once */
	put_one(t->s, text_msg(4, 1, 0, ""));
	m = file_msg(5, 1, 0, 0xa, 100);
	m.flags = MSG_DELETED;
	put_one(t->s, m);
	assert_int_equal(store_read_blob_refs(t->r, a), 2);
	assert_int_equal(store_evict_files(t->s, 150, 10, collect_id, &ids), 0);

	ids.count = 0;
	assert_int_equal(store_evict_files(t->s, 149, 10, check_gone, &ids), 2); /* 1 frees nothing, 2 frees 50 */
	assert_int_equal(ids.id[0], 1);
	assert_int_equal(ids.id[1], 2);
	assert_int_equal(store_read_blob_refs(t->r, a), 1);
	assert_int_equal(store_read_blob_refs(t->r, b), 0);
	secret[0] = 2;
	assert_int_equal(store_read_file(t->r, secret, collect_id, &ids), -WC_ENOENT);
	secret[0] = 3;
	ids.count = 0;
	assert_int_equal(store_read_file(t->r, secret, collect_id, &ids), 0);
	assert_int_equal(ids.id[0], 3);
	secret[0] = 5;
	assert_int_equal(store_read_file(t->r, secret, collect_id, &ids), -WC_ENOENT);
	ids.count = 0;
	assert_int_equal(store_read_since(t->r, 0, 0, 2, 10, check_gone, &ids), 2);

	assert_int_equal(store_evict_files(t->s, 0, 10, NULL, NULL), 1);
	assert_int_equal(store_evict_files(t->s, 0, 10, NULL, NULL), 0);
	put_one(t->s, file_msg(6, 1, 0, 0xc, 7));
	assert_int_equal(store_evict_files(t->s, 7, 10, NULL, NULL), 0); /* the sum came back to nothing */
	assert_int_equal(store_evict_files(t->s, 6, 10, NULL, NULL), 1);
}

static void messages_expire_from_the_oldest(void **state)
{
	struct both *t = *state;
	static struct ids ids;
	uint8_t a[WC_SHA_BYTES];

	memset(a, 0xa, sizeof(a));
	assert_int_equal(store_floor(t->s), 1);
	put_one(t->s, text_msg(10, 1, 0, "x"));
	put_one(t->s, file_msg(11, 1, 2, 0xa, 100));
	put_one(t->s, text_msg(12, 1, 3, ""));
	put_one(t->s, text_msg(13, 2, 0, ""));
	put_one(t->s, text_msg(14, 3, 1, ""));
	ids.count = 0;
	assert_int_equal(store_expire(t->s, 100, 10, collect_id, &ids), 0); /* at_ms is 10 × id: none is older */
	assert_int_equal(store_floor(t->s), 1);
	assert_int_equal(store_expire(t->s, 125, 2, collect_id, &ids), 2); /* a slice */
	assert_int_equal(store_floor(t->s), 11);
	assert_int_equal(store_expire(t->s, 125, 2, collect_id, &ids), 1);
	assert_int_equal(store_expire(t->s, 125, 2, collect_id, &ids), 0);
	assert_int_equal(ids.count, 3);
	assert_int_equal(store_floor(t->s), 12);
	assert_int_equal(store_public_floor(t->s), 10); /* the two behind it were of two people each */
	assert_int_equal(store_read_blob_refs(t->r, a), 0);
	assert_int_equal(store_evict_files(t->s, 0, 10, NULL, NULL), 0);
	/* with 2 there is nothing left, with 3 there is */
	struct peers p = { .count = 0 };
	assert_int_equal(store_read_peers(t->r, 1, 10, collect_peer, &p), 1);
	assert_int_equal(p.peer[0], 3);
	assert_int_equal(store_read_peers(t->r, 2, 10, collect_peer, &p), 0);
	/* its cid may be used again, as if it were new */
	put_one(t->s, text_msg(20, 1, 0, "x"));

	/* within the caller's transaction, undone with it */
	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_expire(t->s, INT64_MAX, 10, NULL, NULL), 3);
	store_rollback(t->s);
	assert_int_equal(store_floor(t->s), 12);
	assert_int_equal(count_public(t->r), 2);
}

static void trims_to_a_number(void **state)
{
	struct both *t = *state;
	struct msg m = text_msg(1000, 1, 0, "");

	for (uint64_t id = 1; id <= 20; id++)
		put_one(t->s, text_msg(id, 1, 0, ""));
	assert_int_equal(store_trim(t->s, 20, 100, NULL, NULL), 0);
	assert_int_equal(store_trim(t->s, 15, 2, NULL, NULL), 2);
	assert_int_equal(store_trim(t->s, 15, 100, NULL, NULL), 3);
	assert_int_equal(store_trim(t->s, 15, 100, NULL, NULL), 0);
	/* what was rolled back does not count */
	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_put_msg(t->s, &m), 0);
	store_rollback(t->s);
	assert_int_equal(store_trim(t->s, 15, 100, NULL, NULL), 0);
	put_one(t->s, m);
	assert_int_equal(store_trim(t->s, 15, 100, NULL, NULL), 1);
	assert_int_equal(store_floor(t->s), 6);
	assert_int_equal(store_trim(t->s, 0, 100, NULL, NULL), 15);
	assert_int_equal(store_last_id(t->s), 0);
	assert_int_equal(store_floor(t->s), 1000);
}

static void vacuum_shrinks_the_file(void **state)
{
	struct both *t = *state;
	char *path = in_dir(t->dir, STORE_FILE);
	struct stat full, shrunk;

	assert_int_equal(store_begin(t->s), 0);
	for (uint64_t id = 1; id <= 20000; id++) {
		struct msg m = text_msg(id, 1, 0, "");

		assert_int_equal(store_put_msg(t->s, &m), 0);
	}
	assert_int_equal(store_commit(t->s), 0);
	assert_int_equal(store_checkpoint(t->r), 0);
	assert_int_equal(stat(path, &full), 0);
	while (store_expire(t->s, 15000 * 10, 1000, NULL, NULL) > 0)
		;
	int left, turns = 0, before = INT32_MAX;
	while ((left = store_vacuum_some(t->s, 20)) > 0) {
		assert_true(left < before);
		before = left;
		turns++;
	}
	assert_int_equal(left, 0);
	assert_true(turns > 3); /* a little at a time */
	assert_int_equal(store_checkpoint(t->r), 0);
	assert_int_equal(stat(path, &shrunk), 0);
	assert_true(shrunk.st_size < full.st_size / 2);
	assert_int_equal(count_public(t->r), 4096 /* the walk's own limit */);
	free(path);
}

/* The end of begin, act, audit: a step's refusal, also store_begin's own, leaves nothing; anything else is committed. */
static void finish_commits_or_rolls_back(void **state)
{
	struct both *t = *state;
	struct msg m = text_msg(1, 1, 0, "");

	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_put_msg(t->s, &m), 0);
	assert_int_equal(store_finish(t->s, -WC_EEXIST), -WC_EEXIST);
	assert_int_equal(count_public(t->r), 0);
	for (int rc = 0; rc < 2; rc++) { /* a step may return a count */
		m.id = (uint64_t)rc + 1;
		assert_int_equal(store_begin(t->s), 0);
		assert_int_equal(store_put_msg(t->s, &m), 0);
		assert_int_equal(store_finish(t->s, rc), 0);
		assert_int_equal(count_public(t->r), rc + 1);
	}
	store_test_fail_after(t->s, 1, SQLITE_IOERR);
	assert_int_equal(store_finish(t->s, store_begin(t->s)), -WC_ESTORAGE);
	m.id = 3;
	assert_int_equal(store_begin(t->s), 0);
	assert_int_equal(store_put_msg(t->s, &m), 0);
	store_test_fail_after(t->s, 1, SQLITE_FULL);
	assert_int_equal(store_finish(t->s, 0), -WC_ESTORAGE); /* the commit failed */
	assert_int_equal(count_public(t->r), 2);
	put_one(t->s, m); /* the next transaction starts afresh */
	assert_int_equal(count_public(t->r), 3);
}

#define BOTH(test) \
	{ #test, test, set_up_disk, tear_down, NULL }, \
	{ \
#test "_in_memory", test, set_up_memory, tear_down, NULL \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(keeps_every_field),
		BOTH(uncommitted_is_unseen),
		BOTH(finish_commits_or_rolls_back),
		BOTH(a_savepoint_is_one_event),
		BOTH(a_cid_is_stored_once),
		BOTH(pages_are_what_a_plain_walk_gives),
		BOTH(identities_and_tokens),
		BOTH(files_go_oldest_first),
		BOTH(messages_expire_from_the_oldest),
		BOTH(trims_to_a_number),
		{ "vacuum_shrinks_the_file", vacuum_shrinks_the_file, set_up_disk, tear_down, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
