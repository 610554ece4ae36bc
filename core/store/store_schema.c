/* store_schema.c — the schema of the database, as the steps that made it what it is. Data alone.
 *
 * Step i brings the schema from version i to i + 1; a step that was released is never edited. */
#include "store/impl.h"

const char *const store_migrations[] = {
	/* 1 */
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('blob_bytes', 0);"

	"CREATE TABLE identities (id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,"
	" seen INTEGER NOT NULL);"
	"CREATE TABLE tokens (hash BLOB PRIMARY KEY, identity_id INTEGER NOT NULL REFERENCES identities(id) ON DELETE CASCADE,"
	" created INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE INDEX tokens_identity ON tokens(identity_id);"

	/* kind tells what an event is; later kinds (edits, deletions, reactions) take ids from the same order and get tables of their own.
	 * Ids of people are no foreign keys: a guest's messages outlive the guest. to_id NULL: to everyone. */
	"CREATE TABLE messages (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, flags INTEGER NOT NULL,"
	" from_id INTEGER NOT NULL, from_name TEXT NOT NULL, to_id INTEGER, to_name TEXT, cid TEXT, text TEXT);"
	/* Each ends in the rowid, that is in the message's id: a page is one range of one index. */
	"CREATE INDEX messages_public ON messages(to_id) WHERE to_id IS NULL;"
	"CREATE INDEX messages_dm_from ON messages(from_id) WHERE to_id IS NOT NULL;"
	"CREATE INDEX messages_dm_to ON messages(to_id) WHERE to_id IS NOT NULL;"
	"CREATE INDEX messages_pair ON messages(min(from_id, to_id), max(from_id, to_id)) WHERE to_id IS NOT NULL;"
	"CREATE UNIQUE INDEX messages_cid ON messages(from_id, cid) WHERE cid IS NOT NULL;"

	"CREATE TABLE dm_peers (owner_id INTEGER NOT NULL, peer_id INTEGER NOT NULL, peer_name TEXT NOT NULL, last_id INTEGER NOT NULL,"
	" PRIMARY KEY (owner_id, peer_id)) WITHOUT ROWID;"
	"CREATE INDEX dm_peers_last ON dm_peers(owner_id, last_id);"

	/* is_live: the message still stands for the bytes. blob_refs and its sum follow by triggers, so that whatever ends a file later
	 * (retention, a moderator) cannot forget them. */
	"CREATE TABLE files (msg_id INTEGER PRIMARY KEY REFERENCES messages(id) ON DELETE CASCADE, secret BLOB NOT NULL UNIQUE,"
	" sha BLOB NOT NULL, is_live INTEGER NOT NULL, size INTEGER NOT NULL, filename TEXT, mime TEXT, duration REAL, width INTEGER,"
	" height INTEGER, waveform TEXT);"
	"CREATE INDEX files_live ON files(msg_id) WHERE is_live = 1;"
	"CREATE TABLE blob_refs (sha BLOB PRIMARY KEY, size INTEGER NOT NULL, refs INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TRIGGER files_added AFTER INSERT ON files WHEN new.is_live = 1 BEGIN"
	" INSERT INTO blob_refs (sha, size, refs) VALUES (new.sha, new.size, 1) ON CONFLICT (sha) DO UPDATE SET refs = refs + 1; END;"
	"CREATE TRIGGER files_gone AFTER UPDATE OF is_live ON files WHEN old.is_live = 1 AND new.is_live = 0 BEGIN"
	" UPDATE blob_refs SET refs = refs - 1 WHERE sha = old.sha; DELETE FROM blob_refs WHERE sha = old.sha AND refs <= 0; END;"
	"CREATE TRIGGER files_removed AFTER DELETE ON files WHEN old.is_live = 1 BEGIN"
	" UPDATE blob_refs SET refs = refs - 1 WHERE sha = old.sha; DELETE FROM blob_refs WHERE sha = old.sha AND refs <= 0; END;"
	"CREATE TRIGGER blob_added AFTER INSERT ON blob_refs BEGIN"
	" UPDATE meta SET value = value + new.size WHERE name = 'blob_bytes'; END;"
	"CREATE TRIGGER blob_removed AFTER DELETE ON blob_refs BEGIN"
	" UPDATE meta SET value = value - old.size WHERE name = 'blob_bytes'; END;",

	/* 2: the admin's side. act: 1 a ban, 2 a mute; kind: 1 an identity, 2 a name, 3 a network. */
	"CREATE TABLE sanctions (id INTEGER PRIMARY KEY AUTOINCREMENT, act INTEGER NOT NULL, kind INTEGER NOT NULL, user_id INTEGER NOT NULL,"
	" name TEXT, key TEXT, addr BLOB, bits INTEGER NOT NULL, at INTEGER NOT NULL, until INTEGER NOT NULL, reason TEXT, uid INTEGER NOT NULL);"
	"CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, uid INTEGER NOT NULL, pid INTEGER NOT NULL,"
	" verb TEXT NOT NULL, args TEXT NOT NULL, reason TEXT);"
	"CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;"
	"CREATE TRIGGER audit_remains BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit is only added to'); END;",

	/* 3: addresses: where each person was last connected from. No foreign key: a guest is stored nowhere else. addr: 16 bytes, IPv4 as
	 * ::ffff:a.b.c.d, so that a network is one range of the index; key: name_key(). via: on whose behalf root acted. */
	"CREATE TABLE addresses (user_id INTEGER PRIMARY KEY, name TEXT NOT NULL, key TEXT NOT NULL, is_guest INTEGER NOT NULL, addr BLOB NOT NULL,"
	" at INTEGER NOT NULL);"
	"CREATE INDEX addresses_at ON addresses(at);"
	"CREATE INDEX addresses_addr ON addresses(addr);"
	"CREATE INDEX addresses_key ON addresses(key);"
	"ALTER TABLE audit ADD COLUMN via TEXT;"

	/* released: bytes that no message stands for any more, until they are unlinked. An id is never used twice: a hash that is taken and
	 * released again meanwhile is another row. Files released before this list was kept go onto it now. */
	"CREATE TABLE released (id INTEGER PRIMARY KEY AUTOINCREMENT, sha BLOB NOT NULL UNIQUE);"
	"CREATE TRIGGER blob_released AFTER DELETE ON blob_refs BEGIN INSERT INTO released (sha) VALUES (old.sha); END;"
	"CREATE TRIGGER blob_taken AFTER INSERT ON blob_refs BEGIN DELETE FROM released WHERE sha = new.sha; END;"
	"INSERT INTO released (sha) SELECT DISTINCT sha FROM files WHERE is_live = 0 AND sha NOT IN (SELECT sha FROM blob_refs);",

	/* 4: what a person may know. spoke: wrote to everyone. floor: the highest id of the person's direct messages that retention
	 * removed; of those before this step it is known only that they are not above the floor of all. */
	"ALTER TABLE identities ADD COLUMN spoke INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE identities ADD COLUMN floor INTEGER NOT NULL DEFAULT 0;"
	"UPDATE identities SET spoke = 1 WHERE id IN (SELECT from_id FROM messages WHERE to_id IS NULL);"
	"UPDATE identities SET floor = coalesce((SELECT value FROM meta WHERE name = 'floor'), 0);"
	"INSERT INTO meta SELECT 'floor.public', value FROM meta WHERE name = 'floor';",
};
const int store_version = WC_LEN(store_migrations);
