// Files whose rows are gone, and rows whose files are gone: what a deletion releases leaves the disk, and nothing else ever does unasked.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { adminRequest, ctl, ctlRaw, metric } from './admin.mjs';
import { Server, isNow, namesBelow, noise, patience, run, serverTest, sleep } from './lib.mjs';
import { join2, request, upload } from './v2.mjs';

const shaOf = bytes => createHash('sha256').update(bytes).digest('hex');
const data = s => path.join(s.dir, 'data');
const blobPath = (s, bytes) => path.join(data(s), 'blobs', shaOf(bytes).slice(0, 2), shaOf(bytes).slice(2));
const lostPath = (s, bytes) => path.join(data(s), 'lost', shaOf(bytes));
const isStored = (s, bytes) => fs.existsSync(blobPath(s, bytes));

/** Waits for what the server promises within a minute. */
async function soon(what, is) {
	for (const until = Date.now() + 60000 * patience; !is();) {
		assert.ok(Date.now() < until, `not within a minute: ${what}`);
		await sleep(100);
	}
}

/** Some turns of the collector, which comes every second. */
const aWhile = () => sleep(3500);

let n = 0;
async function send(c, frame) {
	const cid = `lost-${++n}`;
	c.send({ type: 'file', filename: `${cid}.bin`, ...frame, cid });
	const f = await c.next(g => g.cid === cid);
	assert.equal(f.type, 'file', JSON.stringify(f));
	return f;
}
const inline = bytes => ({ data: bytes.toString('base64') });
const ways = { inline: async (s, c, bytes) => inline(bytes), uploaded: (s, c, bytes) => uploaded(s, c, bytes) };
const uploaded = async (s, c, bytes) => ({ blob: await upload(s, c.token, bytes) });

/** Everything in the folder: names, contents, times. */
function snapshot(dir) {
	const all = {};
	for (const name of namesBelow(dir).sort()) {
		const file = path.join(dir, name), st = fs.lstatSync(file);
		if (st.isFile()) all[name] = [st.ino, st.mtimeMs, st.mode & 0o777, shaOf(fs.readFileSync(file))];
	}
	delete all.lock; // taken, and let go
	return all;
}

async function refused(s, ...words) {
	const before = snapshot(data(s));
	for (const args of [[], ['--check']]) {
		const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', data(s), ...args]);
		assert.equal(r.status, 1, `${args} ${r.stdout}${r.stderr}`);
		assert.equal(r.stderr.trim().split('\n').filter(l => l.startsWith('wavechatd: ')).length, 1, r.stderr);
		for (const word of [...words, 'wavechatctl restore FILE DIR', '--accept-orphans']) assert.ok(r.stderr.includes(word), `no "${word}" in: ${r.stderr}`);
		assert.deepEqual(snapshot(data(s)), before, 'nothing was made or changed');
	}
}

/** Half an hour ago, for files that would else be too young. */
const age = (file, hours) => fs.utimesSync(file, Date.now() / 1000 - hours * 3600, Date.now() / 1000 - hours * 3600);
const lines = (s, event) => s.output.split('\n').filter(l => l.includes(` ${event} `));

/* --- What is deleted goes. */

for (const isMemory of [false, true])
	test(`a deleted file is gone within a minute, however it came${isMemory ? ', in memory' : ''}`, { timeout: 180000 * patience }, async t => {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
		fs.mkdirSync(path.join(dir, 'data'), { mode: 0o700 });
		t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
		const s = await Server.start({ dir, args: isMemory ? ['--data', ':memory:', '--admin-socket', path.join(dir, 'data', 'admin.sock')] : [] });
		t.after(() => s.cleanUp());
		const bytesKept = () => metric(s, 'blob_bytes');
		const a = await join2(s, 'a'), b = await join2(s, 'b');
		const files = [10_001, 10_002, 10_003, 10_004, 10_005].map((size, i) => noise(size, i)), kept = files[4];
		const sent = [
			await send(a, inline(files[0])),
			await send(a, await uploaded(s, a, files[1])), // its handle is good for a day: that keeps nothing
			await send(a, { ...await uploaded(s, a, files[2]), to_id: b.id }),
		];
		await send(b, inline(files[3]));
		const stays = await send(a, inline(kept));
		await ctl(s, ['delete', ...sent.map(f => f.id), '--reason', 'test']);
			await ctl(s, ['purge', 'b']);
		for (const until = Date.now() + 60000 * patience; await bytesKept() !== kept.length; await sleep(100)) assert.ok(Date.now() < until, `${await bytesKept()} bytes are left`);
		if (!isMemory) {
			files.forEach((f, i) => assert.equal(isStored(s, f), i === 4, `file ${i}`));
			assert.ok(!fs.existsSync(path.join(data(s), 'lost')), 'nothing was taken for lost');
		}
		assert.ok(Buffer.from(await (await s.get(stays.url)).arrayBuffer()).equals(kept));
		for (const f of sent) assert.notEqual((await s.get(f.url)).status, 200);
		// The same bytes again are a new life, not a deleted one.
		const again = await send(a, inline(files[1]));
		await aWhile();
		assert.ok(Buffer.from(await (await s.get(again.url)).arrayBuffer()).equals(files[1]));
		// A message whose echo got lost is recognised, though its bytes are gone.
		const { blob } = await uploaded(s, a, files[2]);
		a.send({ type: 'file', blob, filename: 'x', cid: 'twice' });
		const first = await a.next(g => g.cid === 'twice');
		await ctl(s, ['delete', first.id]);
		for (const until = Date.now() + 60000 * patience; await bytesKept() !== kept.length + files[1].length; await sleep(100)) assert.ok(Date.now() < until);
		a.send({ type: 'file', blob, filename: 'x', cid: 'twice' });
		assert.equal((await a.next(g => g.cid === 'twice')).id, first.id);
		a.send({ type: 'file', blob, filename: 'x', cid: 'another' });
		assert.deepEqual(await a.next(g => g.cid === 'another'), { type: 'error', code: 'bad_request', text: 'unknown upload', cid: 'another' });
		await s.stop();
	});

serverTest('the same bytes go with the last message and the last upload that may still be sent', { timeout: 180000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), bytes = noise(20_000);
	const mine = await send(a, await uploaded(s, a, bytes)), theirs = await send(b, inline(bytes));
	const toSend = await uploaded(s, b, bytes);
	await ctl(s, ['delete', mine.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'another message has them');
	await ctl(s, ['delete', theirs.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'an upload of them may still be sent');
	const last = await send(b, toSend);
	assert.ok(Buffer.from(await (await s.get(last.url)).arrayBuffer()).equals(bytes));
	await ctl(s, ['delete', last.id]);
	await soon('the last message of these bytes went', () => !isStored(s, bytes));
});

serverTest('what a refused message brought goes, what was sent meanwhile stays', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), refused_ = noise(5_000, 1), shared = noise(5_000, 2);
	const there = await send(a, inline(shared));
	await ctl(s, ['mute', 'a']);
	for (const bytes of [refused_, shared]) {
		a.send({ type: 'file', ...inline(bytes), filename: 'f', cid: `r${++n}` });
		assert.equal((await a.next(g => g.cid === `r${n}`)).code, 'muted');
	}
	await soon('the bytes of a refused message', () => !isStored(s, refused_));
	assert.ok(isStored(s, shared));
	assert.equal(fs.statSync(blobPath(s, shared)).mode & 0o777, 0o600);
	assert.equal((await s.get(there.url)).status, 200);
});

serverTest('eviction and expiry release as a deletion does', { args: ['--max-storage-mb', '1', '--retain-days', '1'], timeout: 180000 }, async s => {
	const a = await join2(s, 'a'), files = [0, 1, 2, 3].map(i => noise(400_000, i)), old = noise(1_000, 9);
	const expires = await send(a, inline(old));
	for (const f of files) await send(a, await uploaded(s, a, f));
	await soon('the oldest files made room', () => !isStored(s, files[0]) && !isStored(s, files[1]));
	assert.ok(isStored(s, files[2]) && isStored(s, files[3]));
	await s.stop();
	execFileSync('sqlite3', [path.join(data(s), 'wavechat.db'), `UPDATE messages SET at = at - 2 * 86400000 WHERE id = ${expires.id}`]);
	await s.restart();
	await soon('what expired', () => !isStored(s, old));
	assert.ok(!fs.existsSync(path.join(data(s), 'lost')));
});

serverTest('a kill between the deletion and the unlink leaves nothing for ever', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), files = Array.from({ length: 30 }, (_, i) => noise(3_000, i)), kept = noise(3_000, 99);
	const ids = [];
	for (const f of files) ids.push((await send(a, inline(f))).id);
	await send(a, inline(kept));
	await aWhile();
	await ctl(s, ['delete', ...ids]);
	await s.kill9();
	assert.ok(files.some(f => isStored(s, f)), 'it was killed in time');
	await s.restart(); // thirty of thirty-one, and no word of it: the database lists them
	await soon('what was deleted before the kill', () => files.every(f => !isStored(s, f)));
	assert.ok(isStored(s, kept));
	assert.ok(!fs.existsSync(path.join(data(s), 'lost')));
});

serverTest('a kill amid files being sent is no reason to refuse the next start', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 40; i++) a.send({ type: 'file', ...inline(noise(30_000, i)), filename: 'f', cid: `k${i}` });
	while (!fs.readdirSync(path.join(data(s), 'blobs'), { recursive: true }).some(f => f.length > 60)) await sleep(1);
	await s.kill9();
	await s.restart();
	assert.equal((await request(s, 'GET', '/health')).status, 200);
});

serverTest('a backup under way keeps what is deleted meanwhile', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), bytes = noise(5_000), f = await send(a, inline(bytes));
	await aWhile();
	assert.equal((await adminRequest(s, 'POST', '/v1/backup', {})).status, 200);
	await ctl(s, ['delete', f.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'the backup counts on it');
	assert.equal((await adminRequest(s, 'POST', '/v1/backup/end', {})).status, 200);
	await soon('it goes once the backup is over', () => !isStored(s, bytes));
});

/* --- A database that does not know the files. */

/** A server with `count` files, stopped; and a database from before all but `early` of them. */
async function withFiles(t, count, early, way) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
	const s = await Server.start({ dir });
	t.after(async () => { await s.cleanUp(); fs.rmSync(dir, { recursive: true, force: true }); });
	const a = await join2(s, 'a'), files = Array.from({ length: count }, (_, i) => noise(2_000 + i, i)), urls = [];
	const db = path.join(data(s), 'wavechat.db');
	for (const [i, f] of files.entries()) {
		if (i === early) {
			await s.stop();
			fs.copyFileSync(db, path.join(dir, 'early.db'));
			await s.restart();
		}
		const c = i >= early ? await join2(s, '', { token: a.token }) : a;
		urls.push((await send(c, await ways[way || (i % 2 ? 'inline' : 'uploaded')](s, c, f))).url);
	}
	await aWhile(); // all is settled
	await s.stop();
	return { s, dir, db, files, urls, token: a.token };
}

async function allServed({ s, files, urls }) {
	for (const [i, url] of urls.entries()) {
		const r = await s.get(url);
		assert.equal(r.status, 200, `file ${i}`);
		assert.ok(Buffer.from(await r.arrayBuffer()).equals(files[i]), `file ${i} whole`);
	}
}

for (const way of ['inline', 'uploaded'])
	test(`wavechat.db missing or empty: no start, nothing touched; put back, all is there (${way})`, { timeout: 120000 * patience }, async t => {
		const w = await withFiles(t, 3, 0, way), { s, db, dir } = w, aside = path.join(dir, 'aside.db');
		fs.renameSync(db, aside);
		await refused(s, '3 files', 'missing or empty');
		fs.writeFileSync(db, '');
		await refused(s, '3 files', 'missing or empty');
		execFileSync('sqlite3', [db, 'PRAGMA auto_vacuum=2; VACUUM']); // a start that was cut off
		await refused(s, '3 files');
		fs.rmSync(db);
		fs.renameSync(aside, db);
		await s.restart();
		await allServed(w);
		await s.stop();
	});

test('wavechat.db missing or empty beside its log: no start, the log stays; put back, all is there', { timeout: 120000 * patience }, async t => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
	const s = await Server.start({ dir }), db = path.join(data(s), 'wavechat.db'), aside = path.join(dir, 'aside.db');
	t.after(async () => { await s.cleanUp(); fs.rmSync(dir, { recursive: true, force: true }); });
	const a = await join2(s, 'a'), said = ['one', 'two', 'three'];
	for (const text of said) {
		a.send({ type: 'text', text, cid: text });
		await a.next(g => g.cid === text);
	}
	await s.kill9();
	const log = fs.readFileSync(`${db}-wal`);
	assert.ok(log.length > 0, 'what was said is in the log');
	fs.copyFileSync(db, aside);
	fs.rmSync(db);
	await refused(s, 'missing or empty', `holds ${log.length} bytes`);
	fs.writeFileSync(db, '');
	await refused(s, 'missing or empty', `holds ${log.length} bytes`);
	fs.copyFileSync(aside, db);
	await s.restart();
	assert.deepEqual((await join2(s, 'b')).init.history.map(m => m.text), said);
	// Begun anew on purpose, the log is kept, and good with its database.
	await s.kill9();
	fs.copyFileSync(db, aside);
	const last = fs.readFileSync(`${db}-wal`);
	fs.rmSync(db);
	s.allow = /log set aside/;
	s.options.args.push('--accept-orphans');
	await s.restart();
	assert.deepEqual((await join2(s, 'c')).init.history, []);
	const kept = fs.readdirSync(data(s)).filter(n => /^wavechat\.db-wal\.\d{8}-\d{6}$/.test(n));
	assert.equal(kept.length, 1, 'under another name');
	assert.ok(fs.readFileSync(path.join(data(s), kept[0])).equals(last));
	assert.match(lines(s, 'log set aside')[0], new RegExp(`bytes=${last.length} `));
	await s.stop();
	fs.copyFileSync(aside, db);
	fs.renameSync(path.join(data(s), kept[0]), `${db}-wal`);
	s.options.args.pop();
	s.allow = null;
	await s.restart();
	assert.deepEqual((await join2(s, 'd')).init.history.map(m => m.text), said);
	await s.stop();
});

test('wavechat.db is no file: no start, no waiting, and it stays what it is', { timeout: 60000 * patience }, async t => {
	const w = await withFiles(t, 1, 0), { s, db, dir } = w;
	fs.renameSync(db, path.join(dir, 'aside.db'));
	for (const [make, remove] of [[() => fs.mkdirSync(db), () => fs.rmdirSync(db)], [() => execFileSync('mkfifo', [db]), () => fs.unlinkSync(db)]]) {
		make();
		for (const args of [[], ['--check']]) {
			const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', data(s), ...args]);
			assert.equal(r.status, 1, r.stderr);
			assert.match(r.stderr, /wavechat\.db is no regular file: move it aside/);
		}
		remove();
	}
	fs.renameSync(path.join(dir, 'aside.db'), db);
	await s.restart();
	await allServed(w);
	await s.stop();
});

test('an older database that explains a few of a few files: no start', { timeout: 120000 * patience }, async t => {
	for (const [early, count] of [[1, 4], [2, 7]]) {
		const w = await withFiles(t, count, early), { s, db, dir } = w, right = path.join(dir, 'right.db');
		fs.renameSync(db, right);
		fs.copyFileSync(path.join(dir, 'early.db'), db);
		await refused(s, `explains ${early} of the ${count} files`);
		fs.copyFileSync(right, db);
		await s.restart();
		await allServed(w);
		await s.stop();
	}
});

test('an older database beside files of the server\'s last second before a kill: no start', { timeout: 120000 * patience }, async t => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
	const s = await Server.start({ dir }), db = path.join(data(s), 'wavechat.db'), whole = ['', '-wal', '-shm'];
	t.after(async () => { await s.cleanUp(); fs.rmSync(dir, { recursive: true, force: true }); });
	let a = await join2(s, 'a');
	const files = Array.from({ length: 9 }, (_, i) => noise(2_000 + i, i)), urls = [(await send(a, inline(files[0]))).url];
	await aWhile();
	await s.stop();
	fs.copyFileSync(db, path.join(dir, 'early.db'));
	await s.restart();
	a = await join2(s, '', { token: a.token });
	for (const f of files.slice(1)) urls.push((await send(a, inline(f))).url);
	await s.kill9();
	for (const suffix of whole) fs.renameSync(db + suffix, path.join(dir, `right.db${suffix}`));
	fs.copyFileSync(path.join(dir, 'early.db'), db);
	await refused(s, 'explains 1 of the 9 files');
	for (const suffix of whole) fs.renameSync(path.join(dir, `right.db${suffix}`), db + suffix);
	await s.restart();
	await allServed({ s, files, urls });
	await s.stop();
});

test('a database made anew, or older than the files: no start; with --accept-orphans they go to lost/, and come back', { timeout: 240000 * patience }, async t => {
	const w = await withFiles(t, 24, 2), { s, db, dir, files } = w, right = path.join(dir, 'right.db');
	fs.renameSync(db, right);
	fs.copyFileSync(path.join(dir, 'early.db'), db);
	await refused(s, 'explains 2 of the 24 files');
	// one of a start that had nothing beside it
	const empty = await Server.start();
	await empty.stop();
	fs.copyFileSync(path.join(empty.dir, 'data', 'wavechat.db'), db);
	await empty.cleanUp();
	await refused(s, 'explains 0 of the 24 files');

	fs.copyFileSync(path.join(dir, 'early.db'), db);
	s.allow = /orphans accepted|files moved/;
	s.options.args.push('--accept-orphans');
	await s.restart();
	await soon('they are moved', () => files.slice(2).every(f => fs.existsSync(lostPath(s, f))));
	assert.ok(files.slice(0, 2).every(f => isStored(s, f)), 'what the database knows stays');
	assert.equal(fs.statSync(path.join(data(s), 'lost')).mode & 0o777, 0o700);
	const bytes = files.slice(2).reduce((sum, f) => sum + f.length, 0);
	await soon('it says so', () => lines(s, 'files moved').length);
	assert.match(lines(s, 'files moved').join('\n'), new RegExp(`files=22 bytes=${bytes} of=24 to=lost`));
	assert.equal(await metric(s, 'lost_bytes'), bytes);
	await aWhile();
	await s.stop();
	for (const f of files.slice(2)) assert.equal(shaOf(fs.readFileSync(lostPath(s, f))), shaOf(f), 'not one was unlinked');

	// The right one is put back: they come back by themselves.
	s.options.args.pop();
	fs.copyFileSync(right, db);
	await s.restart();
	await allServed(w);
	await soon('all are blobs again', () => files.every(f => isStored(s, f)));
	assert.deepEqual(fs.readdirSync(path.join(data(s), 'lost')), []);
	await s.stop();
});

test('an older database that explains most of them: a sweep that would move more than a tenth moves nothing', { timeout: 240000 * patience }, async t => {
	const w = await withFiles(t, 24, 18), { s, db, dir, files } = w, right = path.join(dir, 'right.db');
	fs.renameSync(db, right);
	fs.copyFileSync(path.join(dir, 'early.db'), db);
	for (const f of files) age(blobPath(s, f), 30);
	s.allow = /sweep stopped/;
	await s.restart();
	await soon('it says so', () => lines(s, 'sweep stopped').length);
	assert.match(lines(s, 'sweep stopped')[0], /^\S+ error sweep stopped files=24 unexplained=6 .*restore.*--accept-orphans/);
	assert.equal(await metric(s, 'files_unexplained'), 6);
	await aWhile();
	assert.ok(files.every(f => isStored(s, f)));
	assert.ok(!fs.existsSync(path.join(data(s), 'lost')));
	await s.stop();
	fs.copyFileSync(right, db);
	await s.restart();
	await allServed(w);
	await s.stop();
});

test('a few files that nothing explains lie in lost/ for a day, and what is asked for comes back', { timeout: 240000 * patience }, async t => {
	const w = await withFiles(t, 22, 22), { s } = w, strange = [noise(1_234, 77), noise(4_321, 78)];
	for (const f of strange) {
		fs.mkdirSync(path.dirname(blobPath(s, f)), { recursive: true });
		fs.writeFileSync(blobPath(s, f), f);
		age(blobPath(s, f), 100);
	}
	s.allow = /files moved/;
	await s.restart();
	await soon('they are moved', () => strange.every(f => fs.existsSync(lostPath(s, f))));
	await soon('it says so', () => lines(s, 'files moved').length);
	assert.match(lines(s, 'files moved').join('\n'), /warn\s+files moved files=2 bytes=5555 of=24 to=lost/);
	assert.ok(isNow(fs.statSync(lostPath(s, strange[0])).mtimeMs), 'its day begins with the move');
	await allServed(w);
	await s.stop();
	age(lostPath(s, strange[0]), 23);
	age(lostPath(s, strange[1]), 25);
	await s.restart();
	await soon('a day is over', () => !fs.existsSync(lostPath(s, strange[1])));
	await soon('it says so', () => lines(s, 'files removed').length);
	assert.match(lines(s, 'files removed').join('\n'), /info\s+files removed files=1 bytes=4321 from=lost/);
	assert.ok(fs.existsSync(lostPath(s, strange[0])));
	// Somebody sends the same bytes: a blob again, once.
	const c = await join2(s, 'c'), f = await send(c, inline(strange[0]));
	assert.ok(isStored(s, strange[0]) && !fs.existsSync(lostPath(s, strange[0])));
	assert.equal((await s.get(f.url)).status, 200);
	// What a row refers to and an admin has put there by mistake is served from there.
	fs.renameSync(blobPath(s, w.files[5]), lostPath(s, w.files[5]));
	await s.stop();
	s.allow = null;
	await s.restart();
	await allServed(w);
	await s.stop();
});

test('the database is replaced while the server runs: no file is removed until it is restarted', { timeout: 120000 * patience }, async t => {
	const w = await withFiles(t, 4, 4), { s, db, dir, files } = w;
	s.allow = /database replaced/;
	await s.restart();
	const c = await join2(s, '', { token: w.token });
	fs.renameSync(db, path.join(dir, 'moved.db'));
	fs.copyFileSync(path.join(dir, 'moved.db'), db);
	const [{ id }] = c.init.history;
	await ctl(s, ['delete', id]);
	await soon('it is noticed', () => lines(s, 'database replaced').length);
	await aWhile();
	assert.ok(files.every(f => isStored(s, f)));
	assert.equal(lines(s, 'database replaced').length, 1, 'said once');
	await s.stop();
});

test('files missing while rows know them: counted at the start, and no reason to refuse it', { timeout: 120000 * patience }, async t => {
	const w = await withFiles(t, 3, 3), { s, files, urls } = w;
	fs.renameSync(path.join(data(s), 'blobs'), path.join(data(s), 'blobs.away'));
	s.allow = /files missing|step=/;
	await s.restart();
	assert.match(lines(s, 'files missing').join('\n'), /warn\s+files missing files=3 of=3 .*wavechatctl verify/);
	assert.notEqual((await s.get(urls[0])).status, 200);
	await s.stop();
	fs.rmSync(path.join(data(s), 'blobs'), { recursive: true });
	fs.renameSync(path.join(data(s), 'blobs.away'), path.join(data(s), 'blobs'));
	fs.rmSync(blobPath(s, files[1]));
	await s.restart();
	assert.match(lines(s, 'files missing').join('\n'), /files=1 of=3/);
	await s.stop();
});

test('strange things among the files are left alone, and uploads/ removed costs nothing that was sent', { timeout: 120000 * patience }, async t => {
	const w = await withFiles(t, 4, 4), { s } = w, blobs = path.join(data(s), 'blobs');
	fs.rmSync(path.join(data(s), 'uploads'), { recursive: true });
	fs.writeFileSync(path.join(blobs, 'README'), 'mine');
	fs.mkdirSync(path.join(blobs, 'ab'), { recursive: true });
	fs.writeFileSync(path.join(blobs, 'ab', 'note.txt'), 'mine');
	fs.symlinkSync('/etc/hostname', path.join(blobs, 'ab', '0'.repeat(62)));
	fs.symlinkSync('/etc', path.join(blobs, 'e0'));
	fs.writeFileSync(path.join(data(s), 'tmp', 'left-over'), 'x');
	await s.restart();
	await allServed(w);
	await aWhile();
	await s.stop();
	for (const f of ['README', 'ab/note.txt', `ab/${'0'.repeat(62)}`, 'e0']) assert.ok(fs.lstatSync(path.join(blobs, f)), f);
	assert.deepEqual(fs.readdirSync(path.join(data(s), 'tmp')), []);
});

test('what has rotted, is cut short or is no file any more is whole again once the same bytes are sent; until then it holds nobody up', { timeout: 120000 * patience }, async t => {
	const w = await withFiles(t, 5, 5), { s, files, urls } = w, paths = files.map(f => blobPath(s, f));
	fs.writeFileSync(paths[0], noise(files[0].length, 99));
	fs.writeFileSync(paths[1], noise(files[1].length, 98));
	fs.truncateSync(paths[2], 100);
	for (const p of paths.slice(3)) {
		fs.rmSync(p);
		execFileSync('mkfifo', [p]);
	}
	s.allow = /files missing|warn +blob /;
	await s.restart();
	for (const url of urls.slice(3)) assert.notEqual((await s.get(url)).status, 200, 'a pipe is not waited for');
	const r = await ctlRaw(['--socket', path.join(data(s), 'admin.sock'), 'backup', path.join(w.dir, 'b.tar')]);
	assert.equal(r.status, 1);
	assert.equal(r.stderr.match(/: bad file /g)?.length, 5, r.stderr);
	const c = await join2(s, '', { token: w.token }), more = [];
	for (const [i, f] of files.entries()) more.push((await send(c, await ways[i % 2 ? 'uploaded' : 'inline'](s, c, f))).url);
	await allServed(w);
	await allServed({ s, files, urls: more });
	await aWhile();
	for (const p of paths) assert.equal(fs.lstatSync(p).mode & 0o7777, 0o600);
	await ctl(s, ['backup', path.join(w.dir, 'good.tar')]);
	assert.equal(await metric(s, 'blob_bytes'), files.reduce((sum, f) => sum + f.length, 0));
	await s.stop();
	s.allow = null;
	await s.restart();
	await allServed(w);
	await s.stop();
});
