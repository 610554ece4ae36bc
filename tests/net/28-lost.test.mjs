// Files that no row explains, and rows whose files are gone: nothing leaves the disk unasked, and what is missing comes back.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { ctl, ctlRaw, metric } from './admin.mjs';
import { Server, isNow, noise, patience, run } from './lib.mjs';
import { join2 } from './v2.mjs';
import { aWhile, age, allServed, blobPath, data, inline, isStored, lines, lostPath, refused, send, shaOf, soon, ways, withFiles } from './lost.mjs';

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
	await soon('it is counted', async () => await metric(s, 'files_unexplained') === 6);
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
