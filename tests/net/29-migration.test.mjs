// An update: databases of every released schema, written by the programs of their time, opened by today's, with all that is in them; and the way back.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { told } from '../schemas/told.mjs';
import { ctl } from './admin.mjs';
import { Server, binary, namesBelow, noise, patience, run, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';

const schemas = fileURLToPath(new URL('../schemas/', import.meta.url));
const released = fs.readdirSync(schemas).filter(f => /^\d+\.sql$/.test(f)).map(f => Number.parseInt(f, 10)).sort((a, b) => a - b);
const sql = (db, text, options) => execFileSync('sqlite3', [db], { input: text, maxBuffer: 1 << 26, ...options }).toString();
const shaOf = bytes => createHash('sha256').update(bytes).digest('hex');

/** A data folder as the program of that schema left it. */
function folder(t, schema, { withWal = false } = {}) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-schema-')), data = path.join(dir, 'data'), db = path.join(data, 'wavechat.db');
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	fs.mkdirSync(data, { mode: 0o700 });
	const was = JSON.parse(fs.readFileSync(`${schemas}${schema}.json`, 'utf8'));
	// With its log as a kill leaves it: not moved into the file.
	const text = fs.readFileSync(`${schemas}${schema}.sql`, 'utf8');
	if (withWal) {
		sql(db, 'PRAGMA auto_vacuum=2; PRAGMA journal_mode=WAL; VACUUM;');
		sql(db, `PRAGMA wal_autocheckpoint=0;\n.dbconfig no_ckpt_on_close on\n${text}`);
		assert.ok(fs.statSync(`${db}-wal`).size > 10_000, 'all of it is in the log');
	} else sql(db, `${text}PRAGMA journal_mode=WAL;`);
	fs.chmodSync(db, 0o600);
	const live = sql(':memory:', `${text}SELECT lower(hex(sha)) FROM blob_refs;`).split('\n');
	for (const [seed, size] of Object.values(was.blobs)) {
		const bytes = noise(size, seed), sha = shaOf(bytes);
		if (!live.includes(sha)) continue;
		fs.mkdirSync(path.join(data, 'blobs', sha.slice(0, 2)), { recursive: true, mode: 0o700 });
		fs.writeFileSync(path.join(data, 'blobs', sha.slice(0, 2), sha.slice(2)), bytes, { mode: 0o600 });
	}
	return { dir, data, db, was };
}

/** Every table's rows, by the columns that it had then. */
function tables(db, like = db) {
	const all = {};
	for (const name of sql(like, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name").trim().split('\n')) {
		const columns = sql(like, `SELECT name FROM pragma_table_info('${name}')`).trim().split('\n').map(c => `replace(quote("${c}"), char(10), '\\n')`);
		all[name] = sql(db, `SELECT ${columns.join(" || '|' || ")} FROM ${name} ORDER BY 1`).trim().split('\n');
	}
	return all;
}

function snapshot(dir) {
	const all = {};
	for (const name of namesBelow(dir).sort()) {
		const file = path.join(dir, name), st = fs.lstatSync(file);
		if (st.isFile() && name !== 'lock') all[name] = [st.ino, st.mtimeMs, st.size, shaOf(fs.readFileSync(file))];
	}
	return all;
}

const copies = data => fs.readdirSync(data).filter(f => f.startsWith('wavechat.db.v')).sort();

test('there is a database of every schema before this one', async t => {
	const s = await Server.start();
	await s.stop();
	const version = Number(sql(path.join(s.dir, 'data', 'wavechat.db'), 'PRAGMA user_version'));
	await s.cleanUp();
	assert.deepEqual(released, Array.from({ length: version - 1 }, (_, i) => i + 1));
});

for (const schema of released) for (const withWal of [false, true])
	test(`schema ${schema}${withWal ? ', killed' : ''}: all of it is there, by table, on the wire and to the admin; and the database of before beside it`, { timeout: 120000 * patience }, async t => {
		const w = folder(t, schema, { withWal }), { dir, data, db, was } = w;
		const before = path.join(dir, 'before.db');
		fs.copyFileSync(db, before);
		if (withWal) fs.copyFileSync(`${db}-wal`, `${before}-wal`);
		const content = tables(before);
		assert.ok(content.messages.length > 10 && content.files.length > 5 && content.identities.length === 4 && content.tokens.length === 5);

		// First a start and no people: what a migration alone does to the tables.
		const s = await Server.start({ dir });
		t.after(() => s.cleanUp());
		await s.says(new RegExp(`database migrated from=${schema} to=`));
		await s.stop();
		const copy = path.join(data, `wavechat.db.v${schema}`);
		assert.deepEqual(copies(data), [path.basename(copy)]);
		assert.equal(fs.statSync(copy).mode & 0o777, 0o600);
		assert.equal(sql(copy, 'PRAGMA user_version; PRAGMA application_id; PRAGMA auto_vacuum; PRAGMA integrity_check').trim(), `${schema}\n1467368296\n2\nok`);
		assert.deepEqual(tables(copy, before), content, 'the way back');
		const { meta, released: left, ...rest } = tables(db, before), { meta: metaThen, released: leftThen, ...restThen } = content;
		assert.deepEqual(rest, restThen);
		for (const row of metaThen) assert.ok(meta.includes(row), row);
		if (left) assert.ok(left.every(row => !row || leftThen.includes(row)), 'the start only works that list off');

		// Then what people and admins are told.
		await s.restart();
		assert.deepEqual(await told(s, was.tokens), was.told);
		let files = 0;
		for (const { url, size } of was.told.anna.events.filter(e => e.url)) {
			const sha = shaOf(Buffer.from(await (await s.get(url)).arrayBuffer()));
			assert.ok(Object.values(was.blobs).some(([seed, n]) => n === size && shaOf(noise(n, seed)) === sha), url);
			files++;
		}
		assert.ok(files >= 6);
		for (const verb of ['bans', 'mutes', 'audit', 'history', 'files'].filter(v => was[v] !== undefined)) {
			const read = text => text.trim().split('\n').map(l => JSON.parse(l));
			const now = read((await ctl(s, ['--json', verb])).stdout), then = read(was[verb]);
			then.forEach((row, i) => { for (const [k, v] of Object.entries(row)) assert.deepEqual(now[i][k], v, `${verb} ${i} ${k}`); });
			assert.equal(now.length, then.length, verb);
		}
		// And it goes on: ids above, cids recognised, names held.
		const anna = await join2(s, '', { token: was.tokens.anna });
		const first = was.told.anna.events.find(e => e.cid && e.type === 'text' && e.from_id === anna.id);
		anna.send({ type: 'text', text: first.text, cid: first.cid, ...(first.dm && { to_id: first.to_id }) });
		assert.equal((await anna.next(f => f.cid === first.cid)).id, first.id);
		await sleep(schema >= 2 ? 3000 : 0); // slow mode, of that time
		anna.send({ type: 'text', text: 'after the update', cid: 'after' });
		const after = await anna.next(f => f.cid === 'after');
		assert.ok(after.id > Math.max(...was.told.anna.events.map(e => e.id)));
		assert.equal((await join2(s, 'ANNA')).name === 'ANNA', false, 'the name is held');
		await s.stop();
		assert.deepEqual(tables(copy, before), content, 'the copy stays as it was');

		// The way back, as INSTALL has it; and forward again.
		for (const f of ['wavechat.db-wal', 'wavechat.db-shm']) fs.rmSync(path.join(data, f), { force: true });
		fs.renameSync(copy, db);
		assert.deepEqual(tables(db), content);
		await s.restart();
		assert.deepEqual(await told(s, was.tokens), was.told);
		assert.deepEqual(copies(data), [path.basename(copy)]);
		await s.stop();
	});

test('an older copy goes with the next migration, a newer one stays; what is unfinished goes with any start', { timeout: 60000 * patience }, async t => {
	const w = folder(t, 2);
	for (const f of ['wavechat.db.v1', 'wavechat.db.v1.tmp', 'wavechat.db.v2.tmp', 'wavechat.db.v2.tmp-journal']) fs.writeFileSync(path.join(w.data, f), 'x');
	for (const f of ['wavechat.db.vault', 'wavechat.db.v2.mine', 'wavechat.db.v']) fs.writeFileSync(path.join(w.data, f), 'mine');
	const s = await Server.start({ dir: w.dir });
	t.after(() => s.cleanUp());
	await s.stop();
	assert.deepEqual(copies(w.data), ['wavechat.db.v', 'wavechat.db.v2', 'wavechat.db.v2.mine', 'wavechat.db.vault']);
	fs.writeFileSync(path.join(w.data, 'wavechat.db.v1'), 'x');
	await s.restart();
	await s.stop();
	assert.deepEqual(copies(w.data), ['wavechat.db.v', 'wavechat.db.v1', 'wavechat.db.v2', 'wavechat.db.v2.mine', 'wavechat.db.vault'], 'no migration, nothing goes');
});

test('kill -9 while it copies or migrates: the folder starts, and all is there', { timeout: 240000 * patience }, async t => {
	const w = folder(t, 1), { dir, data, db, was } = w;
	// Large enough to take a while.
	sql(db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 60000) INSERT INTO messages (id, at, kind, flags, from_id, from_name, text)
		SELECT i, 1700000000000 + i, 1, 0, 1, 'Anna', printf('%.500c', 'x') FROM n; PRAGMA wal_checkpoint(TRUNCATE);`);
	const content = tables(db), size = fs.statSync(db).size, seen = new Set();
	const pristine = path.join(dir, 'pristine.db');
	fs.copyFileSync(db, pristine);
	for (let i = 0; i < 25; i++) {
		if (copies(data).includes('wavechat.db.v1') && Number(sql(db, 'PRAGMA user_version')) > 1) { // it came through: once more from the start
			for (const f of fs.readdirSync(data).filter(f => f.startsWith('wavechat.db'))) fs.rmSync(path.join(data, f));
			fs.copyFileSync(pristine, db);
		}
		const child = spawn(binary, ['--port', '0', '--listen', '127.0.0.1', '--data', data], { stdio: 'ignore' });
		const ended = once(child, 'close');
		await sleep(5 + i * 12);
		seen.add(copies(data).join() || 'nothing yet');
		child.kill('SIGKILL');
		await ended;
		const version = Number(sql(pristine, `ATTACH '${db}' AS d; PRAGMA d.user_version`));
		assert.ok(version === 1 || copies(data).includes('wavechat.db.v1'), 'never migrated without a copy');
		if (copies(data).includes('wavechat.db.v1')) assert.equal(sql(path.join(data, 'wavechat.db.v1'), 'PRAGMA quick_check; SELECT count(*) FROM messages').trim(), `ok\n${content.messages.length}`);
	}
	assert.ok(seen.size > 1, `killed at ${[...seen]} of ${size} bytes`);
	const s = await Server.start({ dir });
	t.after(() => s.cleanUp());
	await s.stop();
	assert.deepEqual(tables(db, pristine).messages, content.messages);
	assert.deepEqual(tables(path.join(data, 'wavechat.db.v1'), pristine), content);
	assert.deepEqual(copies(data), ['wavechat.db.v1']);
	assert.ok(Object.keys(was.tokens).length);
});

test('no room for the copy: refused with the bytes needed and free, and nothing touched', { timeout: 60000 * patience, skip: process.getuid() !== 0 && 'a file system is mounted by root alone' }, async t => {
	const w = folder(t, 2), disk = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-disk-'));
	sql(w.db, `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4000) INSERT INTO messages (id, at, kind, flags, from_id, from_name, text)
		SELECT i, 1700000000000 + i, 1, 0, 1, 'Anna', printf('%.500c', 'x') FROM n; PRAGMA wal_checkpoint(TRUNCATE);`);
	try {
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=5m', 'tmpfs', disk]);
	} catch (e) {
		return t.skip(e.message);
	}
	try {
		execFileSync('cp', ['-a', w.data, disk]);
		const data = path.join(disk, 'data'), before = snapshot(data);
		for (const args of [[], ['--check']]) {
			const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', data, ...args]);
			assert.equal(r.status, 1);
			const m = /no room for the copy of .*wavechat\.db .* from 2 to \d+: (\d+) bytes are needed, (\d+) are free/.exec(r.stderr);
			assert.ok(m && Number(m[1]) > Number(m[2]), r.stderr);
			assert.deepEqual(snapshot(data), before);
		}
		execFileSync('mount', ['-o', 'remount,size=20m', disk]);
		const s = await Server.start({ dir: disk, allow: /room|reserve|storage/ });
		await s.stop();
		await s.cleanUp();
		assert.deepEqual(copies(data), ['wavechat.db.v2']);
	} finally {
		execFileSync('umount', ['-l', disk]);
		fs.rmdirSync(disk);
	}
});

for (const withWal of [false, true])
	test(`a database of a newer schema is refused, named, and not touched${withWal ? ': also where its log alone says so' : ''}`, { timeout: 60000 * patience }, async t => {
		const w = folder(t, 2);
		if (withWal) execFileSync('sqlite3', [w.db], { input: '.dbconfig no_ckpt_on_close on\nPRAGMA wal_autocheckpoint=0;\nPRAGMA user_version=99;\n' });
		else sql(w.db, 'PRAGMA user_version=99;');
		if (withWal) fs.writeFileSync(`${w.db}-shm`, Buffer.alloc(32768, 1)); // whatever lies there
		fs.mkdirSync(path.join(w.data, 'lost'));
		fs.writeFileSync(path.join(w.data, 'lost', 'a'.repeat(64)), 'x');
		const before = snapshot(w.data);
		assert.equal(Boolean(before['wavechat.db-wal']), withWal);
		const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', w.data]);
		assert.equal(r.status, 1);
		assert.match(r.stderr, /^wavechatd: .*wavechat\.db was written by a newer wavechatd \(schema 99, this one knows \d+\): run that version/m);
		assert.deepEqual(snapshot(w.data), before);
	});
