// verify: the database, every file by its hash, and what no message stands for; of a server, of a folder at rest, of a backup. It changes nothing.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { Server, binary, fence, noise, serverTest, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';
import { adminRequest, ctl, ctlBinary, ctlRaw, socketOf } from './admin.mjs';
import { blobPath, copyOf, fill, portrait, sha256, snapshot } from './rest.mjs';

const needsRoot = process.getuid() !== 0 && 'only root can';
const json = r => JSON.parse(r.stdout);

function temp(t) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-verify-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
}

/** A file's bytes changed, and nothing else of it. */
function rot(file, at = 5) {
	const st = fs.statSync(file), fd = fs.openSync(file, 'r+');
	const was = Buffer.alloc(1);
	fs.readSync(fd, was, 0, 1, at);
	fs.writeSync(fd, Buffer.from([was[0] ^ 1]), 0, 1, at);
	fs.closeSync(fd);
	fs.utimesSync(file, st.atime, st.mtime);
}

serverTest('a running server: all is well; then one file each is missing, short and rotten, and each is named; nothing is changed by looking', { timeout: 60000 }, async s => {
	const people = await fill(s), data = path.join(s.dir, 'data');
	const before = await portrait(s, people);
	const r = await ctl(s, ['verify']);
	assert.match(r.stdout, /^database +sound: \d+ messages, 2 people\nfiles +4 compared with their hashes, .*; 0 bad\norphans +0 /);
	const good = json(await ctl(s, ['--json', 'verify']));
	assert.deepEqual([good.ok, good.files, good.bytes, good.bad, good.faults, good.orphans], [true, 4, people.files.reduce((n, f) => n + f.data.length, 0), [], [], 0]);
	assert.deepEqual(await portrait(s, people), before);
	assert.ok((await adminRequest(s, 'GET', '/v1/audit')).json.audit.filter(a => a.verb === 'verify').length === 2);

	const [missing, short, rotten] = people.files, voice = people.files[3];
	const rows = [[missing, 'missing'], [short, '999 bytes of 1000'], [rotten, 'rotten: its bytes are not those that were stored'], [voice, 'rotten: its bytes are not those that were stored']];
	fs.rmSync(blobPath(data, missing.sha));
	fs.truncateSync(blobPath(data, short.sha), 999);
	rot(blobPath(data, rotten.sha), 69999);
	rot(blobPath(data, voice.sha));
	const bytes = () => snapshot(path.join(data, 'blobs')).map(l => l.replace(/ \d+( \d+){3} \S+ \S+ /, ' ')); // modes and times are the collector's own marks
	const was = bytes();
	const bad = await ctl(s, ['verify'], { status: 1 });
	for (const [f, what] of rows)
		assert.ok(bad.stderr.includes(`wavechatctl: bad file ${f.sha}: ${what}; message ${f.id}, ${f === voice ? 'a voice' : `"${f.filename}"`}\n`), bad.stderr);
	assert.match(bad.stdout, /; 4 bad\n/);
	const found = json(await ctl(s, ['--json', 'verify'], { status: 1 }));
	assert.deepEqual([found.ok, found.bad.map(b => [b.sha, b.what, b.message, b.filename])], [false, rows.map(([f, what]) => [f.sha, what, f.id, f.filename ?? '']).sort()]);
	assert.deepEqual(bytes(), was);
	// put back, all is well again
	for (const [f] of rows) fs.writeFileSync(blobPath(data, f.sha), f.data);
	await ctl(s, ['verify']);
	assert.deepEqual(await portrait(s, people), before);
});

serverTest('orphans are counted: a few are uploads on their way; a tenth of all says that the database does not belong to the files', { timeout: 60000 }, async s => {
	await fill(s);
	const blobs = path.join(s.dir, 'data', 'blobs');
	const put = (n, seed) => {
		const data = noise(n, seed), file = blobPath(path.join(s.dir, 'data'), sha256(data));
		fs.mkdirSync(path.dirname(file), { recursive: true, mode: 0o700 });
		fs.writeFileSync(file, data);
		return sha256(data);
	};
	const three = [1, 2, 3].map(i => put(1000 * i, 1000 + i)).sort();
	fs.writeFileSync(path.join(blobs, 'note.txt'), 'mine');
	const r = json(await ctl(s, ['--json', 'verify']));
	assert.deepEqual([r.ok, r.orphans, r.orphan_bytes, r.orphan_list.sort()], [true, 3, 6000, three]);
	for (let i = 0; i < 20; i++) put(100, 2000 + i);
	await ctl(s, ['verify']); // just put: their messages may be on their way
	const ago = Date.now() / 1000 - 3600;
	for (const e of fs.readdirSync(blobs, { recursive: true, withFileTypes: true })) fs.utimesSync(path.join(e.parentPath ?? e.path, e.name), ago, ago);
	const many = await ctl(s, ['verify'], { status: 1 });
	assert.match(many.stderr, /^wavechatctl: 23 of 27 stored files belong to no message: is the database older than the files\?/);
	assert.match(many.stdout, /orphans +23 that no message stands for/);
});

serverTest('amid talk, deletions and a purge there is no false alarm, and nothing is lost', { timeout: 90000 }, async s => {
	const a = await join2(s, 'Ann'), b = await join2(s, 'Bob');
	let n = 0, stop = false;
	const sent = [];
	const talk = (async () => {
		while (!stop) {
			const data = noise(20000, ++n);
			a.send({ type: 'file', filename: `${n}.bin`, data: data.toString('base64') });
			const f = await a.next(m => m.type === 'file' && m.self);
			sent.push({ ...f, data });
			if (n % 3 === 0) await ctl(s, ['delete', f.id]).then(() => sent.pop());
			b.text(`and ${n}`);
		}
	})();
	talk.catch(() => {}); // awaited below
	for (let i = 0; i < 6 || sent.length <= 5; i++) {
		const r = await ctlRaw(['--socket', socketOf(s), '--json', 'verify']);
		assert.equal(r.status, 0, r.stdout + r.stderr);
		if (i === 3) await ctl(s, ['purge', `id:${b.id}`].concat((await ctlRaw(['help', 'purge'])).stdout.includes('--yes') ? ['--yes'] : []));
		if (i === 4) await ctl(s, ['backup', '--force', path.join(s.dir, 'b.tar')]);
	}
	stop = true;
	await talk;
	await fence(a, [a]);
	assert.ok(sent.length > 5);
	for (const f of sent) assert.ok(Buffer.from(await (await s.get(f.url)).arrayBuffer()).equals(f.data));
	assert.equal((await ctlRaw(['verify', path.join(s.dir, 'b.tar')])).status, 0);
});

const memorySocket = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-verify-')), 'admin.sock');
after(() => fs.rmSync(path.dirname(memorySocket), { recursive: true }));

serverTest('a server that keeps nothing has nothing to verify', { args: ['--data', ':memory:', '--admin-socket', memorySocket] }, async () => {
	const r = await ctlRaw(['--socket', memorySocket, 'verify']);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /^wavechatctl: the server keeps nothing/);
});

test('a folder at rest, after a stop and after a kill: checked with what its log holds, on a medium that cannot be written too, and not a byte or a time changes', { timeout: 90000 }, async t => {
	const dir = temp(t);
	const s = await Server.start({ dir });
	t.after(() => s.cleanUp());
	const people = await fill(s);
	const messages = (await portrait(s, people)).events.trimEnd().split('\n').length;
	const data = path.join(dir, 'data');
	assert.match((await ctlRaw(['verify', data])).stderr, /is in use by a running wavechatd: wavechatctl --socket .*\/admin.sock verify asks that one\n$/);
	await s.kill9();
	assert.ok(fs.statSync(path.join(data, 'wavechat.db-wal')).size > 0, 'a log was left');
	const killed = copyOf(data, path.join(dir, 'killed'));
	await s.restart();
	await s.stop();
	const stopped = copyOf(data, path.join(dir, 'stopped'));
	assert.ok(!fs.existsSync(path.join(stopped, 'wavechat.db-wal')));
	// without the index of the log, as a copy may be
	const bare = copyOf(killed, path.join(dir, 'bare'));
	fs.rmSync(path.join(bare, 'wavechat.db-shm'));
	fs.rmSync(path.join(bare, 'lock'));
	for (const folder of [killed, stopped, bare]) {
		const was = snapshot(folder);
		const r = await ctlRaw(['--json', 'verify', folder]);
		assert.equal(r.status, 0, r.stdout + r.stderr);
		assert.deepEqual([json(r).messages, json(r).files, json(r).bytes], [messages, 4, people.files.reduce((n, f) => n + f.data.length, 0)]);
		assert.deepEqual(snapshot(folder), was);
		if (process.getuid() === 0) {
			execFileSync('mount', ['--bind', folder, folder]);
			execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
			try {
				assert.throws(() => fs.writeFileSync(path.join(folder, 'x'), ''), /EROFS/);
				const ro = await ctlRaw(['--json', 'verify', folder]);
				assert.deepEqual([ro.status, json(ro).messages, json(ro).files], [0, messages, 4], ro.stderr);
			} finally {
				execFileSync('umount', [folder]);
			}
		}
		// what is wrong is found there, too
		const f = people.files[0];
		fs.rmSync(blobPath(folder, f.sha));
		rot(blobPath(folder, people.files[1].sha));
		const bad = await ctlRaw(['verify', folder]);
		assert.equal(bad.status, 1);
		assert.ok(bad.stderr.includes(`bad file ${f.sha}: missing; message ${f.id}, "file 0.bin"\n`) && bad.stderr.includes(`bad file ${people.files[1].sha}: rotten`), bad.stderr);
	}
	// a file that the server would fetch back from lost/ is not missing
	fs.mkdirSync(path.join(stopped, 'lost'), { mode: 0o700 });
	fs.writeFileSync(path.join(stopped, 'lost', people.files[0].sha), people.files[0].data);
	assert.equal(json(await ctlRaw(['--json', 'verify', stopped])).bad.length, 1);
	// a damaged page of the database
	const fd = fs.openSync(path.join(stopped, 'wavechat.db'), 'r+');
	fs.writeSync(fd, Buffer.alloc(3000, 0x55), 0, 3000, 4096 * 7);
	fs.closeSync(fd);
	const damaged = await ctlRaw(['verify', stopped]);
	assert.equal(damaged.status, 1);
	assert.match(damaged.stderr, /^wavechatctl: database: /);
	assert.match(damaged.stdout, /^database +DAMAGED/);
	assert.match(damaged.stderr, /restore a backup \(wavechatctl restore FILE DIR\)/);
});

test('somebody else\'s folder, another program\'s database, a newer one, none, no permission: refused, named, untouched', async t => {
	const dir = temp(t);
	const make = (name, files) => {
		fs.mkdirSync(path.join(dir, name), { mode: 0o700 });
		for (const [f, bytes] of Object.entries(files)) fs.writeFileSync(path.join(dir, name, f), bytes, { mode: 0o600 });
		return path.join(dir, name);
	};
	const header = (version, id) => {
		const h = Buffer.alloc(4096);
		h.write('SQLite format 3\0');
		h.writeUInt32BE(version, 60);
		h.writeUInt32BE(id, 68);
		return h;
	};
	const cases = [
		[make('nothing', {}), /nothing is no data folder of WaveChat: it holds no wavechat.db/],
		[make('photos', { 'a.jpg': 'x', 'b.jpg': 'y' }), /photos is no data folder of WaveChat/],
		[make('other', { 'wavechat.db': header(3, 77) }), /other\/wavechat.db is an SQLite database of another program/],
		[make('unnamed', { 'wavechat.db': header(3, 0) }), /unnamed\/wavechat.db is an SQLite database of another program/],
		[make('newer', { 'wavechat.db': header(99, 0x57764368) }), /newer\/wavechat.db is of a newer version of WaveChat \(schema 99/],
		[make('letter', { 'wavechat.db': 'Dear friend, '.repeat(100) }), /letter\/wavechat.db is damaged \(not a database\)/],
		[make('void', { 'wavechat.db': '' }), /void is no data folder of WaveChat: .*wavechat.db is empty/],
		[path.join(dir, 'absent'), /cannot read .*absent: No such file/],
	];
	fs.mkdirSync(path.join(dir, 'folder-for-a-file'));
	fs.mkdirSync(path.join(dir, 'folder-for-a-file', 'wavechat.db'));
	cases.push([path.join(dir, 'folder-for-a-file'), /cannot read .*wavechat.db: Is a directory/]);
	fs.writeFileSync(path.join(dir, 'page.html'), '<p>no backup</p>'.repeat(99));
	cases.push([path.join(dir, 'page.html'), /page.html is no whole backup: a header is damaged, or this is no tar archive/]);
	const was = snapshot(dir);
	for (const [folder, words] of cases) {
		const r = await ctlRaw(['verify', folder]);
		assert.equal(r.status, 1, `${folder}: ${r.stdout}${r.stderr}`);
		assert.match(r.stderr, words);
		assert.equal(r.stdout, '');
		assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
	}
	assert.deepEqual(snapshot(dir), was);
	if (process.getuid() === 0) {
		fs.chmodSync(dir, 0o755);
		const r = spawnSync(ctlBinary, ['verify', path.join(dir, 'other')], { uid: 65534, gid: 65534 });
		assert.equal(r.status, 4);
		assert.match(String(r.stderr), /^wavechatctl: cannot read .*other: Permission denied\n$/);
		fs.chmodSync(path.join(dir, 'other'), 0o755);
		const file = spawnSync(ctlBinary, ['verify', path.join(dir, 'other')], { uid: 65534, gid: 65534 });
		assert.equal(file.status, 4);
		assert.match(String(file.stderr), /^wavechatctl: cannot read .*wavechat.db: Permission denied\n$/);
	}
});

serverTest('a backup is verified as it lies there or comes by a pipe, and leaves nothing behind', { timeout: 60000 }, async (s, t) => {
	const people = await fill(s), tmp = temp(t), tar = path.join(s.dir, 'b.tar');
	await ctl(s, ['backup', tar]);
	const env = { TMPDIR: tmp };
	const r = await ctlRaw(['verify', tar], { env });
	assert.deepEqual([r.status, r.stderr], [0, '']);
	assert.match(r.stdout, /^database +sound: .*\nfiles +4 compared/);
	const piped = spawnSync(ctlBinary, ['--json', 'verify', '-'], { input: fs.readFileSync(tar), env: { ...process.env, ...env } });
	assert.equal(piped.status, 0);
	assert.deepEqual([JSON.parse(piped.stdout).ok, JSON.parse(piped.stdout).files], [true, 4]);
	rot(tar, fs.readFileSync(tar).indexOf(people.files[0].data) + 100);
	const bad = await ctlRaw(['verify', tar], { env });
	assert.equal(bad.status, 1);
	assert.match(bad.stderr, new RegExp(`bad file ${people.files[0].sha}: rotten: .*; message ${people.files[0].id}, "file 0.bin"\n`));
	fs.truncateSync(tar, fs.statSync(tar).size - 512);
	assert.match((await ctlRaw(['verify', tar], { env })).stderr, /is cut short/);
	assert.deepEqual(fs.readdirSync(tmp), []);
	const none = await ctlRaw(['verify', tar], { env: { TMPDIR: path.join(tmp, 'none') } });
	assert.equal(none.status, 1);
	assert.match(none.stderr, /cannot write in .*none: No such file or directory: name another folder in TMPDIR/);
});

test('--check warns of files that are missing or short, starts nothing, and passes: a start would, too', async t => {
	const dir = temp(t);
	const s = await Server.start({ dir });
	t.after(() => s.cleanUp());
	const people = await fill(s), data = path.join(dir, 'data');
	const check = () => spawnSync(binary, ['--check', '--data', data]);
	const clean = check();
	assert.deepEqual([clean.status, String(clean.stderr)], [0, '']);
	fs.rmSync(blobPath(data, people.files[0].sha));
	fs.truncateSync(blobPath(data, people.files[1].sha), 10);
	rot(blobPath(data, people.files[2].sha)); // not seen: nothing is read
	const words = /^wavechatd: warning: 2 of 4 files are missing or of a wrong length: wavechatctl verify .* names them\n$/;
	for (let i = 0; i < 2; i++) {
		const r = check();
		assert.equal(r.status, 0);
		assert.match(String(r.stderr), words);
		if (i === 0) await s.stop();
	}
	s.allow = / files missing /;
	await s.restart();
	await s.stop();
});

serverTest('a check that nobody waits for ends, and the server stops in time amid one', { timeout: 60000 }, async s => {
	const a = await join2(s, 'Ann');
	for (let i = 0; i < 4000; i++) {
		a.text(`said ${i} ${'x'.repeat(900)}`);
		if (i % 500 === 499) await fence(a); // who writes without reading falls behind and is closed
	}
	for (let i = 0; i < 3; i++) {
		const child = spawn(ctlBinary, ['--socket', socketOf(s), 'verify'], { stdio: 'ignore' });
		const closed = once(child, 'close'); // it may be through before the kill
		await sleep(30);
		child.kill('SIGKILL');
		await closed;
	}
	await ctl(s, ['verify']);
	assert.equal((await adminRequest(s, 'POST', '/v1/verify', {})).status, 200);
	await s.stop();
});
