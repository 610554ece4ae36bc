/* store_dump_people.c — reads about people for the admin: what one wrote, who wrote under a name, addresses (see store_admin.h,
 * store_addr.h).
 *
 * Owns nothing: the connection is the dump's (store_dump.c). Each call is one short read. Thread: the dump's owner. */
#include <stdlib.h>
#include <string.h>

#include "base/ip.h"
#include "base/logmsg.h"
#include "store/impl.h"
#include "store/store_addr.h"
#include "store/store_admin.h"

static int failed(const char *what, int rc)
{
	log_error("store", "step=%s error=\"%s\" code=%d", what, sqlite3_errstr(rc), rc);
	return -WC_ESTORAGE;
}

/* --- What people wrote. */

/* How long a look at public ones takes does not depend on direct messages. Those have no index by id alone. */
#define SENT(from) "SELECT id, from_id, flags, kind, at, to_id IS NOT NULL FROM messages" from " id > ?1 ORDER BY id LIMIT ?2"

int store_dump_sent(struct store_dump *d, const struct sent_filter *f, uint64_t *after, int limit, int scan_limit, store_sent_fn fn,
                    void *arg, bool *more)
{
	sqlite3_stmt *stmt = NULL;
	int count = 0, scanned = 0, rc = store_dump_enter(d);

	*more = false;
	if (rc != SQLITE_OK)
		return failed("dump_sent", rc);
	rc = store_dump_skip_older(d, f->since_ms, after);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(d->db, f->is_private ? SENT(" WHERE") : SENT(" INDEXED BY messages_public WHERE to_id IS NULL AND"),
		                        -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_int(&b, (int64_t)*after);
		bind_int(&b, scan_limit);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && count < limit && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct sent m = { (uint64_t)sqlite3_column_int64(stmt, 0), (uint64_t)sqlite3_column_int64(stmt, 1), false };
		int flags = sqlite3_column_int(stmt, 2), kind = sqlite3_column_int(stmt, 3);

		rc = SQLITE_OK;
		scanned++;
		*after = m.id;
		if (sqlite3_column_int(stmt, 5) != f->is_private || (flags & MSG_DELETED) || kind == MSG_DELETE ||
		    sqlite3_column_int64(stmt, 4) < f->since_ms || !bsearch(&m.from_id, f->people, f->count, sizeof(m.from_id), wc_by_id))
			continue;
		m.has_file = (kind == MSG_FILE || kind == MSG_VOICE) && !(flags & MSG_GONE);
		count++;
		fn(arg, &m);
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	if (rc != SQLITE_OK && rc != SQLITE_DONE)
		return failed("dump_sent", rc);
	*more = count == limit || scanned == scan_limit;
	return count;
}

/* --- Who wrote. */

int store_dump_authors(struct store_dump *d, struct str name, int limit, store_author_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int count = 0, rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed("dump_authors", rc);
	rc = sqlite3_prepare_v2(
		d->db,
		"SELECT from_id, from_name FROM messages WHERE from_name = ?1 COLLATE NOCASE AND from_id > 0 GROUP BY from_id LIMIT ?2", -1,
		&stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_str(&b, name);
		bind_int(&b, limit);
		rc = b.rc;
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		rc = SQLITE_OK;
		count++;
		if (fn(arg, (uint64_t)sqlite3_column_int64(stmt, 0), store_column_str(stmt, 1)))
			break;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? count : failed("dump_authors", rc);
}

/* The statement has one parameter, the id. Returns SQLITE_ROW, SQLITE_DONE or an error; *stmt is the caller's to finalize. */
static int first_row(sqlite3 *db, const char *sql, uint64_t id, sqlite3_stmt **stmt)
{
	int rc = sqlite3_prepare_v2(db, sql, -1, stmt, NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_bind_int64(*stmt, 1, (int64_t)WC_MIN(id, (uint64_t)INT64_MAX));
	return rc == SQLITE_OK ? sqlite3_step(*stmt) : rc;
}

int store_dump_author(struct store_dump *d, uint64_t id, store_author_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	int rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed("dump_author", rc);
	rc = first_row(d->db, "SELECT from_name FROM messages WHERE from_id = ?1 AND from_id > 0 ORDER BY id DESC LIMIT 1", id, &stmt);
	if (rc == SQLITE_ROW)
		(void)fn(arg, id, store_column_str(stmt, 0));
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : failed("dump_author", rc);
}

int store_dump_has_dms(struct store_dump *d, uint64_t id)
{
	sqlite3_stmt *stmt = NULL;
	int rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed("dump_has_dms", rc);
	rc = first_row(
		d->db,
		"SELECT 1 WHERE EXISTS (SELECT 1 FROM messages INDEXED BY messages_dm_from WHERE to_id IS NOT NULL AND from_id = ?1)"
		" OR EXISTS (SELECT 1 FROM messages INDEXED BY messages_dm_to WHERE to_id IS NOT NULL AND to_id = ?1 AND from_id > 0)",
		id, &stmt);
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_ROW ? 1 : rc == SQLITE_DONE ? 0 : failed("dump_has_dms", rc);
}

/* --- Addresses. */

#define WIDE_BITS 112 /* of a network with room for more people than it pays to look up: then the table is read in its own order */

static const char *addresses_sql(const struct ip_net *net)
{
	if (!net)
		return "SELECT " ADDRESS_COLUMNS " FROM addresses WHERE user_id > ?1 AND at >= ?2 ORDER BY user_id LIMIT ?3";
	if (net->bits < WIDE_BITS)
		return "SELECT " ADDRESS_COLUMNS " FROM addresses NOT INDEXED WHERE user_id > ?1 AND at >= ?2 AND addr BETWEEN ?4 AND ?5"
		       " ORDER BY user_id LIMIT ?3";
	return "SELECT " ADDRESS_COLUMNS
	       " FROM addresses INDEXED BY addresses_addr WHERE user_id > ?1 AND at >= ?2 AND addr BETWEEN ?4 AND ?5"
	       " ORDER BY user_id LIMIT ?3";
}

int store_dump_addresses(struct store_dump *d, uint64_t after, int64_t since_ms, const struct ip_net *net, int limit, store_address_fn fn,
                         void *arg)
{
	sqlite3_stmt *stmt = NULL;
	uint8_t last[16];
	int count = 0, rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed("dump_addresses", rc);
	rc = sqlite3_prepare_v2(d->db, addresses_sql(net), -1, &stmt, NULL);
	if (rc == SQLITE_OK) {
		struct binder b = bind_to(stmt);

		bind_int(&b, (int64_t)WC_MIN(after, (uint64_t)INT64_MAX));
		bind_int(&b, since_ms);
		bind_int(&b, limit);
		if (net) {
			memcpy(last, net->addr, sizeof(last));
			for (int i = net->bits; i < 128; i++)
				last[i / 8] |= (uint8_t)(0x80 >> (i % 8));
			bind_blob(&b, net->addr, sizeof(net->addr));
			bind_blob(&b, last, sizeof(last));
		}
		rc = b.rc;
	}
	while (rc == SQLITE_OK && (rc = sqlite3_step(stmt)) == SQLITE_ROW) {
		struct address a;

		rc = SQLITE_OK;
		store_row_address(stmt, &a);
		count++;
		if (fn(arg, &a))
			break;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_OK || rc == SQLITE_DONE ? count : failed("dump_addresses", rc);
}

int store_dump_address(struct store_dump *d, uint64_t id, int64_t since_ms, store_address_fn fn, void *arg)
{
	sqlite3_stmt *stmt = NULL;
	struct address a = { .at_ms = 0 };
	int rc = store_dump_enter(d);

	if (rc != SQLITE_OK)
		return failed("dump_address", rc);
	rc = first_row(d->db, "SELECT " ADDRESS_COLUMNS " FROM addresses WHERE user_id = ?1", id, &stmt);
	if (rc == SQLITE_ROW) {
		store_row_address(stmt, &a);
		if (a.at_ms >= since_ms)
			(void)fn(arg, &a);
		else
			rc = SQLITE_DONE;
	}
	sqlite3_finalize(stmt);
	store_dump_leave(d);
	return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -WC_ENOENT : failed("dump_address", rc);
}
