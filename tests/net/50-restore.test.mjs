// restore: a backup becomes a data folder with all that was in it, and what is no whole, sound backup is refused, named, with nothing touched.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Server, binary, sleep } from './lib.mjs';
import { ctl, ctlBinary, ctlRaw } from './admin.mjs';
import { archiveEnd, blobPath, copyOf, entriesOf, entry, fill, portrait, sha256, snapshot, tree } from './rest.mjs';

const needsRoot = process.getuid() !== 0 && 'only root can';
let dir, tar, good, people, original, server;

before(async () => {
	dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-restore-'));
	fs.chmodSync(dir, 0o755);
	fs.mkdirSync(path.join(dir, 's'), { mode: 0o700 });
	server = await Server.start({ dir: path.join(dir, 's') });
	people = await fill(server);
	tar = path.join(dir, 'good.tar');
	original = await portrait(server, people);
	await ctl(server, ['backup', tar]);
	good = fs.readFileSync(tar);
});
after(async () => {
	await server.stop();
	await server.cleanUp();
	fs.rmSync(dir, { recursive: true, force: true });
});

const place = () => {
	const p = fs.mkdtempSync(path.join(dir, 'place-'));
	return p;
};

/** A server on what was restored shows what the first one showed. */
async function sameChat(t, data, { missing = [] } = {}) {
	const home = fs.mkdtempSync(path.join(dir, 'home-'));
	fs.renameSync(data, path.join(home, 'data'));
	const s = await Server.start({ dir: home, allow: missing.length ? / files missing / : null });
	try {
		const now = await portrait(s, people);
		const want = { ...original, files: original.files.map((f, i) => (missing.includes(i) ? now.files[i] : f)) };
		assert.deepEqual(now, want);
		for (const i of missing) assert.equal(now.files[i][0], 410);
		await s.stop();
	} finally {
		await s.cleanUp();
		fs.rmSync(home, { recursive: true, force: true });
	}
}

function isPrivate(data) {
	for (const f of ['', ...tree(data), 'blobs']) {
		const st = fs.lstatSync(path.join(data, f));
		assert.equal(st.mode & 0o777, st.isDirectory() ? 0o700 : 0o600, f);
	}
}

test('a backup becomes a data folder: made, or put into an empty one, from a file or a pipe, and all is there', async t => {
	const p = place();
	const r = await ctlRaw(['restore', tar, path.join(p, 'made') + '/']);
	assert.equal(r.status, 0, r.stderr);
	assert.equal(r.stderr, '');
	const messages = original.events.trimEnd().split('\n').length;
	assert.match(r.stdout, new RegExp(`^restored: ${messages} messages, 2 people, 4 files, .*; the newest message is of 20\\d\\d-`));
	assert.match(r.stdout, new RegExp(`^next: wavechatd --data ${path.join(p, 'made')}$`, 'm'));
	assert.deepEqual(fs.readdirSync(p), ['made']);
	isPrivate(path.join(p, 'made'));
	assert.deepEqual(tree(path.join(p, 'made')), ['wavechat.db', ...people.files.map(f => path.relative(p, blobPath(p, f.sha)))].sort());

	fs.mkdirSync(path.join(p, 'empty'));
	fs.chmodSync(path.join(p, 'empty'), 0o755);
	fs.mkdirSync(path.join(p, 'empty', 'lost+found'));
	assert.equal((await ctlRaw(['restore', tar, path.join(p, 'empty')])).status, 0);
	fs.rmdirSync(path.join(p, 'empty', 'lost+found'));
	isPrivate(path.join(p, 'empty'));

	fs.mkdirSync(path.join(p, 'elsewhere'));
	fs.symlinkSync('elsewhere', path.join(p, 'link'));
	const piped = spawnSync(ctlBinary, ['--json', 'restore', '-', path.join(p, 'link')], { input: good });
	assert.equal(piped.status, 0, String(piped.stderr));
	const said = JSON.parse(String(piped.stdout));
	assert.deepEqual([said.messages, said.people, said.files, said.bytes, said.bad], [messages, 2, 4, good.length, []]);
	assert.ok(fs.lstatSync(path.join(p, 'link')).isSymbolicLink());

	for (const name of ['made', 'empty', 'elsewhere']) await sameChat(t, path.join(p, name));
});

test('other programs\' archives of the same are as good: GNU tar, "./" before the names, the files first, padded to whole records', async t => {
	const p = place(), x = path.join(p, 'x');
	fs.mkdirSync(x);
	execFileSync('tar', ['-xf', tar, '-C', x]);
	for (const [i, args] of [['-C', x, '--format=ustar', '-cf', 'OUT', 'wavechat.db', 'blobs'], ['-C', x, '--format=gnu', '-cf', 'OUT', '.'], ['-C', x, '-b', '1', '--format=gnu', '-cf', 'OUT', './blobs', './wavechat.db']].entries()) {
		const file = path.join(p, `${i}.tar`), to = path.join(p, `to${i}`);
		execFileSync('tar', args.map(a => (a === 'OUT' ? file : a)));
		const r = await ctlRaw(['restore', file, to]);
		assert.equal(r.status, 0, r.stderr);
		await sameChat(t, to);
	}
});

/** What is wrong with each, made of the good one, and the words that name it. */
function wrong() {
	const list = entriesOf(good), db = list[0], blob = list.find(e => /^blobs\/..\/./.test(e.name)), last = list.at(-1);
	const all = (...more) => Buffer.concat([...list.map(e => e.raw), ...more, archiveEnd]);
	const without = (e, ...instead) => Buffer.concat([...list.flatMap(x => (x === e ? instead : [x.raw])), archiveEnd]);
	const changed = (at, bytes) => {
		const copy = Buffer.from(good);
		Buffer.from(bytes).copy(copy, at);
		return copy;
	};
	const data = db.at + 512, u32 = n => [n >> 24 & 255, n >> 16 & 255, n >> 8 & 255, n & 255];
	const foreign = Buffer.from(people.files[0].data);
	const page = changed(data + 4096 * 2, Buffer.alloc(4096 * 6, 0x55));
	return {
		'nothing': [Buffer.alloc(0), /it is empty/],
		'noise': [Buffer.alloc(5000, 'noise'), /damaged, or this is no tar archive/],
		'an end and nothing else': [archiveEnd, /holds no wavechat.db/],
		'cut in its first header': [good.subarray(0, 300), /cut short/],
		'cut behind its first header': [good.subarray(0, 512), /wavechat.db: the archive is cut short there/],
		'cut in the database': [good.subarray(0, data + 20000), /wavechat.db: the archive is cut short there/],
		'cut behind the database': [good.subarray(0, db.raw.length), /cut short/],
		'cut in a file': [good.subarray(0, blob.at + 600), /blobs\/.*: the archive is cut short there.*--partial/],
		'cut between two files': [good.subarray(0, last.at), /cut short/],
		'cut before its end': [good.subarray(0, good.length - 1024), /cut short/],
		'cut in its end': [good.subarray(0, good.length - 512), /cut short/],
		'cut by a byte': [good.subarray(0, good.length - 1), /cut short/],
		'something behind its end': [Buffer.concat([good, Buffer.from('x')]), /behind the archive's end/],
		'a path that climbs': [all(entry('../escaped', Buffer.from('x'))), /"\.\.\/escaped", a path that climbs/],
		'a path that climbs later': [all(entry('blobs/../../escaped', Buffer.from('x'))), /a path that climbs/],
		'a path that climbs by its prefix': [all(entry('escaped', Buffer.from('x'), { prefix: 'blobs/../..' })), /"blobs\/\.\.\/\.\.\/escaped", a path that climbs/],
		'a folder that climbs': [all(entry('../escaped/', undefined, { type: '5' })), /a path that climbs/],
		'an absolute path': [all(entry(path.join(dir, 'escaped'), Buffer.from('x'))), /an absolute path/],
		'a symbolic link': [without(blob, entry(blob.name, undefined, { type: '2', link: '/etc/passwd' })), /blobs\/.*: it is a link/],
		'a link for a folder': [Buffer.concat([db.raw, entry('blobs', undefined, { type: '2', link: dir }), archiveEnd]), /blobs: it is a link/],
		'a hard link': [without(blob, entry(blob.name, undefined, { type: '1', link: '/etc/passwd' })), /it is a link/],
		'a device': [all(entry('blobs/aa', undefined, { type: '3' })), /it is a device or a pipe/],
		'a pipe': [all(entry('wavechat.db', undefined, { type: '6' })), /it is a device or a pipe/],
		'a long name of GNU\'s': [all(entry('././@LongLink', Buffer.from('wavechat.db\0'), { type: 'L' })), /of a kind that a backup does not have/],
		'an extended header': [Buffer.concat([entry('x', Buffer.from('20 path=../escaped\n'), { type: 'x' }), good]), /of a kind that a backup does not have/],
		'a file that no backup has': [all(entry('authorized_keys', Buffer.from('x'))), /it holds "authorized_keys"/],
		'a log beside the database': [all(entry('wavechat.db-wal', Buffer.from('x'))), /it holds "wavechat.db-wal"/],
		'a file in a wrong folder': [all(entry(`blobs/zz/${'0'.repeat(62)}`, Buffer.from('x'))), /it holds "blobs\/zz/],
		'a header with a wrong sum': [changed(blob.at + 10, 'z'), /a header is damaged/],
		'a newer version': [changed(data + 60, u32(99)), /of a newer version of WaveChat \(schema 99/],
		'another program\'s database': [changed(data + 68, u32(77)), /SQLite database of another program/],
		'no database at all': [changed(data, 'This is no database, it is a letter'), /is no SQLite database/],
		'an empty database': [without(db, entry('wavechat.db')), /wavechat.db is empty/],
		'damaged pages': [page, /its database is damaged/],
		'two databases': [all(db.raw), /wavechat.db twice/],
		'no database, but files': [without(db), /holds no wavechat.db/],
		'the same file twice': [all(blob.raw), /twice/],
		'a file whose hash is wrong': [changed(blob.at + 512, 'rotten'), /bad file [0-9a-f]{64}: rotten.*; message \d+, .*\n.*damaged: 1 of its files/],
		'a file of another length': [without(blob, entry(blob.name, blob.data.subarray(0, blob.size - 1))), /bad file .*; message/],
		'a file less': [without(blob), /bad file [0-9a-f]{64}: missing; message \d+, .*\n.*damaged: 1 of its files/],
		'a rotten file that no message stands for': [all(entry(`blobs/ab/${'0'.repeat(62)}`, foreign)), /bad file ab0+: rotten/],
		'compressed': [gzipSync(good), /is compressed|no tar archive/],
	};
}

test('what is no whole, sound backup is refused and named, and nothing is touched: as a file and by a pipe, for a folder that is there and one that is not', { timeout: 240000 }, async t => {
	const p = place(), file = path.join(p, 'bad.tar');
	fs.mkdirSync(path.join(p, 'empty'));
	const names = Object.keys(wrong());
	assert.ok(names.length > 40);
	for (const [name, [bytes, words]] of Object.entries(wrong())) {
		fs.writeFileSync(file, bytes);
		const was = snapshot(p).map(l => l.replace(/ \S+ \S+ (\S*)$/, ' $1')); // the folder's own times move when something beside is tried
		for (const from of ['file', 'pipe'])
			for (const to of ['empty', 'new']) {
				const r = spawnSync(ctlBinary, ['restore', from === 'file' ? file : '-', path.join(p, to)], from === 'pipe' ? { input: bytes } : {});
				const stderr = String(r.stderr);
				assert.equal(r.status, 1, `${name}, ${from}: ${stderr}${r.stdout}`);
				assert.match(stderr, words, `${name}, ${from}`);
				assert.ok(from === 'pipe' || stderr.includes(file), `${name}: ${stderr} names the file`);
				assert.equal(String(r.stdout), '', name);
				assert.deepEqual(snapshot(p).map(l => l.replace(/ \S+ \S+ (\S*)$/, ' $1')), was, `${name}, ${from}, ${to}`);
			}
		const v = spawnSync(ctlBinary, ['verify', file]);
		assert.equal(v.status, 1, `verify: ${name}: ${v.stdout}${v.stderr}`);
	}
	assert.ok(!fs.existsSync(path.join(dir, 'escaped')) && !fs.existsSync(path.join(p, 'escaped')));
	fs.writeFileSync(file, good);
	assert.equal(spawnSync(ctlBinary, ['restore', file, path.join(p, 'empty')]).status, 0, 'after all that it takes the good one');
});

test('--partial takes what is good: rotten and missing files, and an archive cut short, are named, and exit 1 says that it is not all', async t => {
	const p = place(), file = path.join(p, 'bad.tar');
	const w = wrong(), list = entriesOf(good), first = list.filter(e => /^blobs\/..\/./.test(e.name))[0];
	const index = people.files.findIndex(f => f.sha === first.name.replace(/^blobs|\//g, ''));
	for (const [name, missing] of [['a file whose hash is wrong', [index]], ['a file less', [index]], ['a file of another length', [index]],
		['cut in a file', [0, 1, 2, 3]], ['cut before its end', []], ['cut behind the database', [0, 1, 2, 3]]]) {
		fs.writeFileSync(file, w[name][0]);
		const r = await ctlRaw(['restore', '--partial', file, path.join(p, 'to')]);
		assert.equal(r.status, 1, name);
		assert.match(r.stdout, new RegExp(`^restored: .* ${4 - missing.length} files,`), name);
		assert.equal(r.stderr.split('bad file').length - 1, missing.length, `${name}: ${r.stderr}`);
		for (const i of missing) assert.match(r.stderr, new RegExp(`bad file ${people.files[i].sha}: .*; message ${people.files[i].id}, ${people.files[i].type === 'voice' ? 'a voice' : `"file ${i}.bin"`}`), name);
		await sameChat(t, path.join(p, 'to'), { missing });
	}
	// but no damaged database, nothing foreign, and no half of one
	for (const name of ['damaged pages', 'a path that climbs', 'cut in the database', 'a newer version', 'a symbolic link', 'nothing', 'something behind its end']) {
		fs.writeFileSync(file, w[name][0]);
		assert.equal((await ctlRaw(['restore', '--partial', file, path.join(p, 'to')])).status, 1, name);
		assert.ok(!fs.existsSync(path.join(p, 'to')), name);
	}
});

test('a backup that could not take everything is restored without an option, and says what it lacks', async t => {
	const p = place(), home = path.join(p, 'home');
	fs.mkdirSync(home, { mode: 0o700 });
	await ctlRaw(['restore', tar, path.join(home, 'data')]);
	const s = await Server.start({ dir: home, allow: / files missing / });
	t.after(() => s.cleanUp());
	fs.rmSync(blobPath(path.join(home, 'data'), people.files[1].sha));
	await ctl(s, ['backup', path.join(p, 'b.tar')], { status: 1 });
	await s.stop();
	const r = await ctlRaw(['restore', path.join(p, 'b.tar'), path.join(p, 'to')]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, new RegExp(`^wavechatctl: bad file ${people.files[1].sha}: not in the backup, for it was bad then: missing; message ${people.files[1].id}, "file 1.bin"\nwavechatctl: restored, but 1 files are not in it`));
	await sameChat(t, path.join(p, 'to'), { missing: [1] });
});

test('a folder that is in use, not empty, no folder, or cannot be written is left as it is', async t => {
	const p = place(), data = path.join(dir, 's', 'data');
	fs.writeFileSync(path.join(p, 'file'), 'mine');
	fs.mkdirSync(path.join(p, 'full'));
	fs.writeFileSync(path.join(p, 'full', 'mine'), 'mine');
	fs.mkdirSync(path.join(p, 'hidden'));
	fs.writeFileSync(path.join(p, 'hidden', '.mine'), 'mine');
	fs.symlinkSync('nowhere', path.join(p, 'dangling'));
	// in use, though nothing but the lock lies there
	fs.mkdirSync(path.join(p, 'locked'));
	fs.writeFileSync(path.join(p, 'locked', 'lock'), '');
	const holder = spawn('flock', ['--no-fork', '-x', path.join(p, 'locked', 'lock'), 'sleep', '60'], { stdio: 'ignore' });
	t.after(() => holder.kill('SIGKILL'));
	while (spawnSync('flock', ['-n', path.join(p, 'locked', 'lock'), 'true']).status === 0) await sleep(20);
	const was = snapshot(p), used = tree(data).filter(f => f !== 'admin.sock');
	for (const [to, words] of [[data, /is in use by a running wavechatd: stop it/], [path.join(p, 'locked'), /is in use by a running wavechatd/], [path.join(p, 'file'), /is no folder/],
		[path.join(p, 'full'), /is not empty \(it holds mine\): move it aside/], [path.join(p, 'hidden'), /is not empty \(it holds \.mine\)/], [path.join(p, 'no', 'such'), /cannot make .*No such file/],
		[path.join(p, 'file', 'below'), /cannot (use|make) .*Not a directory/], [path.join(p, 'dangling'), /cannot use .*No such file/], ['', /DIR is empty/]]) {
		const r = await ctlRaw(['restore', tar, to]);
		assert.ok(r.status === 1 || (to === '' && r.status === 2), `${to}: ${r.stderr}`);
		assert.match(r.stderr, words);
		assert.equal(r.stderr.trimEnd().split('\n').length, 1);
	}
	assert.deepEqual(snapshot(p), was);
	assert.deepEqual(tree(data).filter(f => f !== 'admin.sock'), used);
	assert.equal((await portrait(server, people)).events, original.events);
	for (const [args, status, words] of [[['restore', tar], 2, /something is missing/], [['restore', path.join(p, 'none.tar'), path.join(p, 'x')], 1, /cannot read .*none.tar: No such file/],
		[['restore', path.join(p, 'full'), path.join(p, 'x')], 1, /is a folder/]]) {
		const r = await ctlRaw(args);
		assert.equal(r.status, status, r.stderr);
		assert.match(r.stderr, words);
	}
	holder.kill('SIGKILL');
	await once(holder, 'close');
});

test('interrupted, it leaves nothing; killed, nothing that passes for a data folder', async t => {
	const p = place(), half = good.subarray(0, good.length >> 1);
	fs.mkdirSync(path.join(p, 'empty'));
	for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGKILL'])
		for (const to of ['empty', 'new']) {
			const child = spawn(ctlBinary, ['restore', '-', path.join(p, to)], { stdio: ['pipe', 'ignore', 'ignore'] });
			child.stdin.on('error', () => {});
			child.stdin.write(half);
			const begun = () => fs.readdirSync(p).concat(fs.readdirSync(path.join(p, 'empty'))).some(f => f.includes('.part-'));
			while (!begun()) await sleep(10);
			await sleep(50);
			child.kill(signal);
			if (signal !== 'SIGKILL') child.stdin.end(); // it waits in a read
			const [, by] = await once(child, 'close');
			assert.equal(by, signal);
			assert.ok(!fs.existsSync(path.join(p, 'new')) && !fs.existsSync(path.join(p, 'empty', 'wavechat.db')));
			if (signal !== 'SIGKILL') assert.deepEqual(tree(p), [], signal);
			for (const f of fs.readdirSync(p)) if (f !== 'empty') fs.rmSync(path.join(p, f), { recursive: true });
			for (const f of fs.readdirSync(path.join(p, 'empty'))) fs.rmSync(path.join(p, 'empty', f), { recursive: true });
		}
});

test('a disk that is full, or too small from the beginning: said, and left as it was; a mount point is a folder like any other', { skip: needsRoot }, async t => {
	const p = place();
	t.after(() => {
		for (const name of ['small', 'large']) spawnSync('umount', [path.join(p, name)]);
	});
	for (const [name, size] of [['small', '100k'], ['large', '64m']]) {
		fs.mkdirSync(path.join(p, name));
		execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},mode=700`, 'none', path.join(p, name)]);
	}
	const r = await ctlRaw(['restore', tar, path.join(p, 'small')]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /^wavechatctl: no room: .* has .*, and the disk of .* has .* left/);
	const piped = spawnSync(ctlBinary, ['restore', '-', path.join(p, 'small')], { input: good });
	assert.equal(piped.status, 1);
	assert.match(String(piped.stderr), /^wavechatctl: cannot write .*: No space left on device\n$/);
	assert.deepEqual(fs.readdirSync(path.join(p, 'small')), []);
	assert.equal((await ctlRaw(['restore', tar, path.join(p, 'large')])).status, 0);
	const out = await ctlRaw(['verify', path.join(p, 'large')]);
	assert.equal(out.status, 0, out.stdout + out.stderr);
});

test('run by root, all of it belongs to the owner of the folder, or of the one around it', { skip: needsRoot }, async t => {
	const p = place(), uid = 65534;
	fs.mkdirSync(path.join(p, 'theirs'), { mode: 0o700 });
	fs.chownSync(path.join(p, 'theirs'), uid, uid);
	fs.mkdirSync(path.join(p, 'home'));
	fs.chownSync(path.join(p, 'home'), uid, uid);
	for (const to of [path.join(p, 'theirs'), path.join(p, 'home', 'data')]) {
		const r = await ctlRaw(['restore', tar, to]);
		assert.equal(r.status, 0, r.stderr);
		assert.match(r.stdout, /^owner: user 65534, as of the folder/m);
		for (const f of ['', 'blobs', ...tree(to), ...fs.readdirSync(path.join(to, 'blobs')).map(n => `blobs/${n}`)]) assert.equal(fs.lstatSync(path.join(to, f)).uid, uid, f);
	}
	assert.match((await ctlRaw(['restore', tar, path.join(p, 'mine')])).stdout, /^owner: root;/m);
	// and the server of that user starts on it
	fs.chmodSync(p, 0o755);
	const child = spawn(binary, ['--port', '0', '--listen', '127.0.0.1', '--data', path.join(p, 'theirs')], { uid, gid: uid, stdio: ['ignore', 'pipe', 'pipe'] });
	let said = '';
	for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', d => { said += d; if (/ ready /.test(said)) child.kill('SIGTERM'); });
	const [status] = await once(child, 'close');
	assert.equal(status, 0, said);
});

test('a damaged database is refused with the words that help, and they do: restore, and .recover', async t => {
	const p = place(), data = path.join(p, 'data');
	await ctlRaw(['restore', tar, data]);
	const db = path.join(data, 'wavechat.db');
	const fd = fs.openSync(db, 'r+');
	fs.writeSync(fd, Buffer.alloc(700, 0x55), 0, 700, 4096 * 4); // a page
	fs.closeSync(fd);
	const was = snapshot(data);
	const start = spawnSync(binary, ['--port', '0', '--listen', '127.0.0.1', '--data', data]), check = spawnSync(binary, ['--check', '--data', data]), verify = spawnSync(ctlBinary, ['verify', data]);
	for (const r of [start, check]) {
		assert.equal(r.status, 1);
		const line = String(r.stderr).split('\n').filter(l => l.startsWith('wavechatd: '));
		assert.equal(line.length, 1);
		assert.ok(line[0].includes(`${data}/wavechat.db is damaged`), line[0]);
		assert.ok(line[0].includes(`mv ${data} ${data}.damaged`) && line[0].includes(`wavechatctl restore FILE ${data})`) && line[0].includes(`sqlite3 ${data}.damaged/wavechat.db .recover`), line[0]);
	}
	assert.equal(verify.status, 1);
	assert.match(String(verify.stderr), /database: .*\n[^]*wavechatctl restore FILE DIR.*\.recover/);
	assert.deepEqual(snapshot(data).filter(l => l.includes('blobs') || l.includes('wavechat.db ')), was.filter(l => l.includes('blobs') || l.includes('wavechat.db ')));
	fs.renameSync(data, `${data}.damaged`);
	assert.equal((await ctlRaw(['restore', tar, data])).status, 0);
	await sameChat(t, data);

	await ctlRaw(['restore', tar, path.join(p, 'sound')]);
	const sound = spawnSync('sqlite3', [path.join(p, 'sound', 'wavechat.db'), '.recover'], { maxBuffer: 64 << 20 });
	if (sound.error || sound.status !== 0 || /error/i.test(String(sound.stderr))) {
		t.diagnostic('the sqlite3 of this machine cannot .recover, not even what is sound: not tried');
		return;
	}
	fs.mkdirSync(data, { mode: 0o700 });
	fs.cpSync(path.join(`${data}.damaged`, 'blobs'), path.join(data, 'blobs'), { recursive: true });
	execFileSync('sh', ['-c', 'sqlite3 "$1.damaged/wavechat.db" .recover | sqlite3 "$1/wavechat.db"', 'sh', data]);
	const v = await ctlRaw(['--json', 'verify', data]);
	assert.ok(JSON.parse(v.stdout).messages > 0, v.stdout + v.stderr);
	fs.mkdirSync(path.join(p, 'home'));
	fs.renameSync(data, path.join(p, 'home', 'data'));
	const s = await Server.start({ dir: path.join(p, 'home'), allow: /./ });
	t.after(() => s.cleanUp());
	await s.stop();
});

test('a folder copied from a stopped server is as good as a backup', async t => {
	const p = place();
	const home = path.join(p, 'home');
	fs.mkdirSync(home);
	await ctlRaw(['restore', tar, path.join(home, 'data')]);
	const s = await Server.start({ dir: home });
	await s.stop();
	await s.cleanUp();
	await sameChat(t, copyOf(path.join(home, 'data'), path.join(p, 'copy')));
	assert.equal(sha256(fs.readFileSync(tar)), sha256(good));
});
