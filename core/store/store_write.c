/* store_write.c — the writer: messages, identities, tokens, counters, and what a start reads.
 *
 * Owns the writer's statements. Never publishes anything and never touches a blob. Thread: main until the room runs, then the room;
 * store_read.c is everybody else's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/impl.h"

/* --- The writer's statements. */

/* clang-format off */
const char *const store_writer_sql[W_LAST] = {
	[W_BEGIN] = "BEGIN IMMEDIATE",
	[W_COMMIT] = "COMMIT",
	[W_ROLLBACK] = "ROLLBACK",
	[W_SAVEPOINT] = "SAVEPOINT event",
	[W_RELEASE] = "RELEASE event",
	[W_ROLLBACK_TO] = "ROLLBACK TO event",
	[W_PUT_MSG] = "INSERT INTO messages (id, at, kind, flags, from_id, from_name, to_id, to_name, cid, text) VALUES (?,?,?,?,?,?,?,?,?,?)",
	[W_PUT_FILE] = "INSERT INTO files (msg_id, secret, sha, is_live, size, filename, mime, duration, width, height, waveform)"
	               " VALUES (?,?,?,?,?,?,?,?,?,?,?)",
	[W_PUT_PEER] = "INSERT INTO dm_peers (owner_id, peer_id, peer_name, last_id) VALUES (?,?,?,?)"
	               " ON CONFLICT (owner_id, peer_id) DO UPDATE SET peer_name = excluded.peer_name, last_id = excluded.last_id",
	[W_FIND_CID] = "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_cid") "WHERE m.cid IS NOT NULL AND m.from_id = ? AND m.cid = ?",
	[W_PUT_IDENTITY] = "INSERT INTO identities (id, name, key, created, seen) VALUES (?,?,?,?,?)"
	                   " ON CONFLICT (id) DO UPDATE SET name = excluded.name, key = excluded.key, seen = excluded.seen",
	[W_PUT_TOKEN] = "INSERT INTO tokens (identity_id, hash, created) VALUES (?,?,?)",
	[W_END_TOKEN] = "DELETE FROM tokens WHERE hash = ?1",
	[W_ADMIT_TOKEN] = "UPDATE tokens SET created = ?2 WHERE hash = ?1",
	[W_TOUCH] = "UPDATE identities SET seen = ?2 WHERE id = ?1",
	[W_SET_SPOKE] = "UPDATE identities SET spoke = 1 WHERE id = ?1",
	[W_SET_FLOOR] = "UPDATE identities SET floor = ?2 WHERE id = ?1",
	[W_HAS_PEER] = "SELECT 1 FROM dm_peers WHERE owner_id = ?1 AND peer_id = ?2",
	[W_DROP_IDENTITY] = "DELETE FROM identities WHERE id = ?",
	[W_GET_META] = "SELECT value FROM meta WHERE name = ?",
	[W_SET_META] = "INSERT INTO meta (name, value) VALUES (?,?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	[W_LAST_ID] = "SELECT max(id) FROM messages",
	[W_OLDEST] = "SELECT " MSG_COLUMNS MSG_FROM("") "ORDER BY m.id LIMIT 1",
	/* Deletions that everybody is told of are to 0. */
	[W_OLDEST_PUBLIC] = "SELECT " MSG_COLUMNS MSG_FROM("") "WHERE m.id = min("
	                    "coalesce((SELECT id FROM messages INDEXED BY messages_public WHERE to_id IS NULL ORDER BY id LIMIT 1), 1 << 62),"
	                    "coalesce((SELECT id FROM messages INDEXED BY messages_dm_to WHERE to_id IS NOT NULL AND to_id = 0 ORDER BY id"
	                    " LIMIT 1), 1 << 62))",
	[W_OLDEST_PRIVATE] = "SELECT " MSG_COLUMNS MSG_FROM("NOT INDEXED") "WHERE m.id > ? AND m.to_id > 0 ORDER BY m.id LIMIT 1",
	[W_DELETE_FILE] = "DELETE FROM files WHERE msg_id = ?",
	[W_DELETE_MSG] = "DELETE FROM messages WHERE id = ?",
	[W_DELETE_PEER] = "DELETE FROM dm_peers WHERE owner_id = ? AND peer_id = ? AND last_id <= ?",
	[W_COUNT_ROWS] = "SELECT coalesce(sum(coalesce(to_id, 0) = 0), 0), coalesce(sum(to_id > 0), 0) FROM messages",
	[W_OLDEST_FILE] = "SELECT " MSG_COLUMNS " FROM files f INDEXED BY files_live JOIN messages m ON m.id = f.msg_id"
	                  " WHERE f.is_live = 1 ORDER BY f.msg_id LIMIT 1",
	[W_FILE_GONE] = "UPDATE files SET is_live = 0 WHERE msg_id = ?",
	[W_MSG_GONE] = "UPDATE messages SET flags = flags | ?2 WHERE id = ?1",
	[W_FORGET_RELEASED] = "DELETE FROM released WHERE id = ?",
	/* A deleted message of somebody's has an event of its own, which is newer. */
	[W_EACH_IDENTITY] = "SELECT id, name, key, created, seen, spoke, floor, newest, iif(newest + floor = 0, 0,"
	                    " (SELECT max(m.id) FROM messages m INDEXED BY messages_dm_to WHERE m.to_id IS NOT NULL AND m.to_id = i.id))"
	                    " FROM (SELECT *, coalesce((SELECT max(last_id) FROM dm_peers INDEXED BY dm_peers_last"
	                    " WHERE owner_id = identities.id), 0) AS newest FROM identities) i ORDER BY id",
	[W_EACH_TOKEN] = "SELECT identity_id, hash, created FROM tokens ORDER BY created",
	[W_TAIL_LOW] = "SELECT min(id) FROM (SELECT m.id FROM messages m INDEXED BY messages_public WHERE m.to_id IS NULL"
	               " ORDER BY m.id DESC LIMIT ?)",
	[W_TAIL] = "SELECT " MSG_COLUMNS MSG_FROM("INDEXED BY messages_public") "WHERE m.to_id IS NULL AND m.id >= ? ORDER BY m.id",
};
/* clang-format on */

/* --- Messages. */

static int put_peer(struct store *s, uint64_t owner, uint64_t peer, struct str peer_name, uint64_t id)
{
	struct binder b = bind_to(s->stmt[W_PUT_PEER]);

	bind_int(&b, (int64_t)owner);
	bind_int(&b, (int64_t)peer);
	bind_str(&b, peer_name);
	bind_int(&b, (int64_t)id);
	return store_run(s, W_PUT_PEER, &b);
}

static int put_file(struct store *s, const struct msg *m)
{
	struct binder b = bind_to(s->stmt[W_PUT_FILE]);

	bind_int(&b, (int64_t)m->id);
	bind_blob(&b, m->secret, sizeof(m->secret));
	bind_blob(&b, m->sha, sizeof(m->sha));
	bind_int(&b, !(m->flags & (MSG_GONE | MSG_DELETED)));
	bind_int(&b, (int64_t)m->size);
	bind_str_or_null(&b, m->filename);
	bind_str_or_null(&b, m->mime);
	bind_real(&b, m->duration);
	bind_int(&b, m->width);
	bind_int(&b, m->height);
	bind_str_or_null(&b, m->waveform);
	return store_run(s, W_PUT_FILE, &b);
}

int store_put_msg(struct store *s, const struct msg *m)
{
	struct binder b;
	int rc;

	WC_ASSERT(s->in_txn && m->id != 0);
	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_MSG]);
	bind_int(&b, (int64_t)m->id);
	bind_int(&b, m->at_ms);
	bind_int(&b, m->kind);
	bind_int(&b, m->flags);
	bind_int(&b, (int64_t)m->from_id);
	bind_str(&b, m->from_name);
	if (m->is_dm) {
		bind_int(&b, (int64_t)m->to_id);
		bind_str(&b, m->to_name);
	} else {
		bind_null(&b);
		bind_null(&b);
	}
	bind_str_or_null(&b, m->cid);
	bind_str_or_null(&b, m->text);
	rc = store_run(s, W_PUT_MSG, &b);
	/* The one unique index of the table; an id used twice is another code, and a failure. */
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return -WC_EEXIST;
	if (rc == SQLITE_OK && (m->kind == MSG_FILE || m->kind == MSG_VOICE))
		rc = put_file(s, m);
	if (rc == SQLITE_OK && m->is_dm)
		rc = put_peer(s, m->from_id, m->to_id, m->to_name, m->id);
	if (rc == SQLITE_OK && m->is_dm && m->from_id != m->to_id)
		rc = put_peer(s, m->to_id, m->from_id, m->from_name, m->id);
	if (rc != SQLITE_OK)
		return store_failed(s, "put_msg", rc);
	store_tally_add(s, m, 1);
	return 0;
}

int store_find_cid(struct store *s, uint64_t from_id, struct str cid, store_msg_fn fn, void *arg)
{
	struct binder b;
	struct msg m;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_FIND_CID]);
	bind_int(&b, (int64_t)from_id);
	bind_str(&b, cid);
	rc = b.rc == SQLITE_OK ? store_step(s, W_FIND_CID) : b.rc;
	if (rc == SQLITE_ROW) {
		store_row_msg(s->stmt[W_FIND_CID], &m);
		(void)fn(arg, &m);
	}
	store_done_with(s, W_FIND_CID);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : store_failed(s, "find_cid", rc);
}

/* --- Identities, tokens, counters. */

int store_put_identity(struct store *s, const struct identity *who)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_IDENTITY]);
	bind_int(&b, (int64_t)who->id);
	bind_str(&b, who->name);
	bind_str(&b, who->key);
	bind_int(&b, who->created_ms);
	bind_int(&b, who->seen_ms);
	rc = store_run(s, W_PUT_IDENTITY, &b);
	if (rc == SQLITE_CONSTRAINT_UNIQUE)
		return -WC_EEXIST;
	return rc == SQLITE_OK ? 0 : store_failed(s, "put_identity", rc);
}

int store_put_token(struct store *s, uint64_t identity_id, const uint8_t hash[WC_SHA_BYTES], int64_t now_ms)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_PUT_TOKEN]);
	bind_int(&b, (int64_t)identity_id);
	bind_blob(&b, hash, WC_SHA_BYTES);
	bind_int(&b, now_ms);
	rc = store_run(s, W_PUT_TOKEN, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "put_token", rc);
}

int store_admit_token(struct store *s, const uint8_t hash[WC_SHA_BYTES], int64_t at_ms)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_ADMIT_TOKEN]);
	bind_blob(&b, hash, WC_SHA_BYTES);
	bind_int(&b, at_ms);
	rc = store_run(s, W_ADMIT_TOKEN, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "admit_token", rc);
}

int store_drop_token(struct store *s, const uint8_t hash[WC_SHA_BYTES])
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_END_TOKEN]);
	bind_blob(&b, hash, WC_SHA_BYTES);
	rc = store_run(s, W_END_TOKEN, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "drop_token", rc);
}

int store_end_token(struct store *s, const uint8_t hash[WC_SHA_BYTES])
{
	return store_begin(s) < 0 ? -WC_ESTORAGE : store_finish(s, store_drop_token(s, hash));
}

int store_touch(struct store *s, uint64_t identity_id, int64_t now_ms)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_TOUCH]);
	bind_int(&b, (int64_t)identity_id);
	bind_int(&b, now_ms);
	rc = store_run(s, W_TOUCH, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "touch", rc);
}

int store_set_spoke(struct store *s, uint64_t identity_id)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_SET_SPOKE]);
	bind_int(&b, (int64_t)identity_id);
	rc = store_run(s, W_SET_SPOKE, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "set_spoke", rc);
}

int store_has_peer(struct store *s, uint64_t owner_id, uint64_t peer_id)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_HAS_PEER]);
	bind_int(&b, (int64_t)owner_id);
	bind_int(&b, (int64_t)peer_id);
	rc = b.rc == SQLITE_OK ? store_step(s, W_HAS_PEER) : b.rc;
	store_done_with(s, W_HAS_PEER);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : store_failed(s, "has_peer", rc);
}

int store_drop_identity(struct store *s, uint64_t identity_id)
{
	struct binder b;
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	b = bind_to(s->stmt[W_DROP_IDENTITY]);
	bind_int(&b, (int64_t)identity_id);
	rc = store_run(s, W_DROP_IDENTITY, &b);
	return rc == SQLITE_OK ? 0 : store_failed(s, "drop_identity", rc);
}

int store_get_meta(struct store *s, const char *name, uint64_t *out)
{
	struct binder b = bind_to(s->stmt[W_GET_META]);
	int rc;

	*out = 0;
	bind_str(&b, (struct str){ name, strlen(name) });
	rc = b.rc == SQLITE_OK ? store_step(s, W_GET_META) : b.rc;
	if (rc == SQLITE_ROW)
		*out = (uint64_t)sqlite3_column_int64(s->stmt[W_GET_META], 0);
	store_done_with(s, W_GET_META);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? SQLITE_OK : rc;
}

int store_set_meta(struct store *s, const char *name, uint64_t value)
{
	struct binder b = bind_to(s->stmt[W_SET_META]);

	bind_str(&b, (struct str){ name, strlen(name) });
	bind_int(&b, (int64_t)value);
	return store_run(s, W_SET_META, &b);
}

/* Apart from the store's own numbers in the same table. */
static const char *counter_name(char out[80], const char *name)
{
	int n = snprintf(out, 80, "counter.%s", name);

	WC_ASSERT(n > 0 && n < 80);
	return out;
}

uint64_t store_counter(struct store *s, const char *name)
{
	char full[80];
	uint64_t value;
	int rc = store_get_meta(s, counter_name(full, name), &value);

	if (rc != SQLITE_OK)
		store_failed(s, "counter", rc);
	return value;
}

int store_set_counter(struct store *s, const char *name, uint64_t value)
{
	char full[80];
	int rc;

	if (!store_is_usable(s))
		return -WC_ESTORAGE;
	rc = store_set_meta(s, counter_name(full, name), value);
	return rc == SQLITE_OK ? 0 : store_failed(s, "set_counter", rc);
}

uint64_t store_last_id(struct store *s)
{
	uint64_t id = 0;
	int rc = store_step(s, W_LAST_ID);

	if (rc == SQLITE_ROW)
		id = (uint64_t)sqlite3_column_int64(s->stmt[W_LAST_ID], 0);
	store_done_with(s, W_LAST_ID);
	if (rc != SQLITE_ROW)
		store_failed(s, "last_id", rc);
	return id;
}

static uint64_t floor_of(struct store *s, const char *name)
{
	uint64_t id;
	int rc = store_get_meta(s, name, &id);

	if (rc != SQLITE_OK)
		store_failed(s, "floor", rc);
	return WC_MAX(id, 1u);
}

uint64_t store_floor(struct store *s)
{
	return floor_of(s, STORE_FLOOR);
}

uint64_t store_public_floor(struct store *s)
{
	return floor_of(s, STORE_PUBLIC_FLOOR);
}

/* --- At start. */

int store_each_identity(struct store *s, store_identity_fn fn, void *arg)
{
	sqlite3_stmt *stmt = s->stmt[W_EACH_IDENTITY];
	int rc;

	while ((rc = store_step(s, W_EACH_IDENTITY)) == SQLITE_ROW) {
		struct identity who = {
			.id = (uint64_t)sqlite3_column_int64(stmt, 0),
			.name = store_column_str(stmt, 1),
			.key = store_column_str(stmt, 2),
			.created_ms = sqlite3_column_int64(stmt, 3),
			.seen_ms = sqlite3_column_int64(stmt, 4),
			.has_spoken = sqlite3_column_int(stmt, 5) != 0,
			.dm_floor = (uint64_t)sqlite3_column_int64(stmt, 6),
			.has_dms = sqlite3_column_int64(stmt, 7) != 0,
		};

		who.dm_id = WC_MAX((uint64_t)sqlite3_column_int64(stmt, 7), (uint64_t)sqlite3_column_int64(stmt, 8));
		who.dm_id = WC_MAX(who.dm_id, who.dm_floor);
		who.has_dms |= who.dm_id > who.dm_floor;
		if (fn(arg, &who))
			break;
	}
	store_done_with(s, W_EACH_IDENTITY);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_failed(s, "each_identity", rc);
}

int store_each_token(struct store *s, store_token_fn fn, void *arg)
{
	sqlite3_stmt *stmt = s->stmt[W_EACH_TOKEN];
	int rc;

	while ((rc = store_step(s, W_EACH_TOKEN)) == SQLITE_ROW) {
		const uint8_t *hash = sqlite3_column_blob(stmt, 1);

		if (hash && sqlite3_column_bytes(stmt, 1) == WC_SHA_BYTES &&
		    fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), hash, sqlite3_column_int64(stmt, 2)))
			break;
	}
	store_done_with(s, W_EACH_TOKEN);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : store_failed(s, "each_token", rc);
}

int store_tail(struct store *s, int limit, store_msg_fn fn, void *arg)
{
	struct binder b = bind_to(s->stmt[W_TAIL_LOW]);
	int64_t low = 0;
	struct msg m;
	int count = 0, rc;

	if (limit <= 0)
		return 0;
	bind_int(&b, limit);
	rc = b.rc == SQLITE_OK ? store_step(s, W_TAIL_LOW) : b.rc;
	if (rc == SQLITE_ROW)
		low = sqlite3_column_int64(s->stmt[W_TAIL_LOW], 0);
	store_done_with(s, W_TAIL_LOW);
	if (rc != SQLITE_ROW)
		return store_failed(s, "tail", rc);
	b = bind_to(s->stmt[W_TAIL]);
	bind_int(&b, low);
	for (rc = b.rc; rc == SQLITE_OK && (rc = store_step(s, W_TAIL)) == SQLITE_ROW; rc = SQLITE_OK) {
		store_row_msg(s->stmt[W_TAIL], &m);
		count++;
		if (fn(arg, &m)) {
			rc = SQLITE_DONE;
			break;
		}
	}
	store_done_with(s, W_TAIL);
	return rc == SQLITE_DONE ? count : store_failed(s, "tail", rc);
}
