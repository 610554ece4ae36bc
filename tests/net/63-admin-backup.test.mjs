// backup: one file, as of one moment, made while people write; restored with the command it prints, and complete.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after } from 'node:test';
import { Server, fence, noise, serverTest, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlRaw, ctlBinary, adminRequest, socketOf } from './admin.mjs';

serverTest('backup under writing, restored: every message acknowledged before it, files, people, bans; nothing twice', { timeout: 60000 }, async (s, t) => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const bytes = noise(700000);
	a.send({ type: 'file', filename: 'big.bin', data: bytes.toString('base64') });
	const file = await a.next('file');
	a.send({ type: 'voice', duration: 1, data: noise(900).toString('base64') });
	a.text('private', { to_id: b.id });
	for (let i = 0; i < 3000; i++) a.text(`before ${i}`, { cid: `b${i}` });
	await fence(a, [a, b]);
	await ctl(s, ['ban', '--name', 'Mallory']);
	let n = 0;
	const writing = setInterval(() => { for (let i = 0; i < 40; i++) b.text(`during ${n++}`, { cid: `d${n}` }); }, 10);
	await b.next({ type: 'text', text: 'during 5' }); // it is under way
	const out = path.join(s.dir, 'b.tar');
	const r = await ctl(s, ['backup', out]);
	clearInterval(writing);
	await fence(b, [a, b]);
	assert.match(r.stdout, /^backed up: .*, the database checked and 2 files compared with their hashes\nto restore: wavechatctl restore .* DIR\n$/);
	assert.equal(fs.statSync(out).mode & 0o777, 0o600);
	assert.ok(!fs.existsSync(`${out}.part`));
	assert.ok(!fs.readdirSync(path.join(s.dir, 'data')).some(f => f.startsWith('backup')), 'nothing is left in the data directory');
	assert.equal((await ctl(s, ['backup', out], { status: 1 })).stderr, `wavechatctl: ${out} is there already: name another file, or add --force\n`);
	const sent = b.frames.filter(f => f.type === 'text' && f.self);
	assert.ok(n > 0 && sent.length >= n, `${sent.length} of ${n} came back; ${JSON.stringify(b.frames.filter(f => f.type === 'error')[0])}`);

	const dir = path.join(s.dir, 'restored');
	fs.mkdirSync(path.join(dir, 'data'), { recursive: true, mode: 0o700 });
	execFileSync('tar', ['-xf', out, '-C', path.join(dir, 'data')]);
	const s2 = await Server.start({ dir });
	t.after(() => s2.cleanUp());
	const back = await join2(s2, '', { token: a.token, since: file.id - 1 });
	const events = [...back.init.history];
	for (let more = back.init.gap; more;) {
		back.send({ type: 'sync', since: events.at(-1).id });
		const page = await back.next('sync');
		events.push(...page.events);
		more = page.more;
	}
	const texts = events.filter(e => e.type === 'text').map(e => e.text);
	for (let i = 0; i < 3000; i++) assert.ok(texts[i + 1] === `before ${i}`, `before ${i} is there, once, in its place`);
	assert.equal(texts[0], 'private');
	// what came during it is a prefix of what was acknowledged, without a hole
	const during = texts.filter(x => x.startsWith('during '));
	during.forEach((x, i) => assert.equal(x, `during ${i}`));
	assert.equal(new Set(events.map(e => e.id)).size, events.length);
	const got = await s2.get(events.find(e => e.type === 'file').url);
	assert.ok(Buffer.from(await got.arrayBuffer()).equals(bytes));
	const banned = await s2.connect();
	banned.send({ type: 'join', name: 'mallory' });
	assert.equal((await banned.closed).code, 4002);
	// ids go on above everything the first server gave, also what the backup does not know
	back.text('new');
	assert.ok((await back.next({ type: 'text', text: 'new' })).id > Math.max(...events.map(e => e.id)));
	const check = await ctlRaw(['--socket', socketOf(s2), 'status', '--json']);
	assert.equal(JSON.parse(check.stdout).storage_ok, true);
	await s2.stop();
});

serverTest('a backup that cannot be written says so and leaves nothing; one at a time', async s => {
	const a = await join2(s, 'a');
	a.text('x');
	await fence(a);
	const r = await ctl(s, ['backup', path.join(s.dir, 'no', 'such', 'x.tar')], { status: 1 });
	assert.match(r.stderr, /^wavechatctl: cannot write .*: No such file or directory\n$/);
	// a disk that is full, as far as a process can have one of its own: no file may grow past 20 KB
	const full = spawnSync('bash', ['-c', `ulimit -f 20; trap '' XFSZ; exec ${ctlBinary} --socket ${socketOf(s)} backup ${path.join(s.dir, 'x.tar')}`]);
	assert.equal(full.status, 1);
	assert.match(String(full.stderr), /^wavechatctl: cannot write: File too large\n$/);
	assert.deepEqual(fs.readdirSync(s.dir).filter(f => f.startsWith('x.tar')), []);
	fs.mkdirSync(path.join(s.dir, 'folder'));
	assert.match((await ctl(s, ['backup', '--force', path.join(s.dir, 'folder')], { status: 1 })).stderr, /is no regular file/);
	assert.equal((await adminRequest(s, 'POST', '/v1/backup', {})).status, 200);
	assert.match((await ctl(s, ['backup', path.join(s.dir, 'x.tar')], { status: 1 })).stderr, /another backup is under way/);
	assert.ok(!fs.existsSync(path.join(s.dir, 'x.tar.part')));
	assert.equal((await adminRequest(s, 'POST', '/v1/backup/end', {})).status, 200);
	await ctl(s, ['backup', path.join(s.dir, 'x.tar')]);
	assert.deepEqual((await adminRequest(s, 'GET', '/v1/audit')).json.audit.map(x => x.verb), ['backup', 'backup', 'backup']); // what was refused for want of a turn is none
});

const sock = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-backup-')), 'admin.sock');
after(() => fs.rmSync(path.dirname(sock), { recursive: true }));

serverTest('nothing is kept, nothing is backed up', { args: ['--data', ':memory:', '--admin-socket', sock] }, async s => {
	const r = await ctlRaw(['--socket', sock, 'backup', path.join(s.dir, 'x.tar')]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /keeps nothing/);
	const a = await s.join('a');
	a.text('kept for now');
	await fence(a);
	assert.match((await ctlRaw(['--socket', sock, 'history'])).stdout, /a: kept for now\n/);
	assert.equal((await ctlRaw(['--socket', sock, 'purge', 'a'])).stdout, `deleted 2 messages of a (id ${a.id})\n`);
});

const blobsOf = dir => fs.readdirSync(path.join(dir, 'blobs'), { recursive: true, withFileTypes: true }).filter(e => e.isFile()).map(e => path.join(e.parentPath ?? e.path, e.name)).sort();
const shaOf = file => path.basename(path.dirname(file)) + path.basename(file);

async function send(c, ...sizes) {
	const sent = [];
	for (const [i, n] of sizes.entries()) {
		const data = noise(n, n + i);
		c.send({ type: 'file', filename: `file ${i}.bin`, data: data.toString('base64') });
		sent.push({ ...(await c.next('file')), data });
	}
	return sent;
}

/** A backup that goes no further, for nobody reads what it writes. */
function stuckBackup(s) {
	const child = spawn(ctlBinary, ['--socket', socketOf(s), 'backup', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
	child.stdout.pause();
	return child;
}

serverTest('files that are missing, short or rotten do not stop a backup: each is named, the rest is in it, and it says so', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	const files = await send(a, 300000, 400000, 500000, 600000);
	a.send({ type: 'voice', duration: 1, data: noise(900).toString('base64') });
	const voice = await a.next('voice');
	a.send({ type: 'file', filename: 'the same again.bin', data: files[1].data.toString('base64') });
	await a.next('file');
	const { createHash } = await import('node:crypto');
	const fileOf = data => { const h = createHash('sha256').update(data).digest('hex'); return path.join(s.dir, 'data', 'blobs', h.slice(0, 2), h.slice(2)); };
	fs.unlinkSync(fileOf(files[0].data));
	fs.truncateSync(fileOf(files[1].data), 1000);
	const fd = fs.openSync(fileOf(files[2].data), 'r+');
	fs.writeSync(fd, 'rot', 77777);
	fs.closeSync(fd);
	fs.rmSync(fileOf(noise(900)));
	fs.mkdirSync(fileOf(noise(900))); // no file at all
	s.allow = /step=/;
	const named = [[files[0], 'missing', 'message ID, "file 0.bin"'], [files[1], '1000 bytes of 400000', 'message ID, "file 1.bin", and 1 more'],
		[files[2], 'rotten: its bytes are not those that were stored', 'message ID, "file 2.bin"'], [{ ...voice, data: noise(900) }, 'cannot be read: the server\'s log says why', 'message ID, a voice']];
	const lines = named.map(([f, what, of]) => `wavechatctl: bad file ${shaOf(fileOf(f.data))}: ${what}; ${of.replace('ID', f.id)}`).sort();
	const out = path.join(s.dir, 'bad.tar');
	const check = (r, stderr) => {
		assert.equal(r.status, 1);
		assert.deepEqual(stderr.split('\n').filter(l => l.includes('bad file')).sort(), lines);
		assert.match(stderr, /4 of 5 files are bad and were left out; all else is in the backup/);
		const inside = execFileSync('tar', ['-tf', out]).toString().split('\n');
		assert.deepEqual(inside.filter(n => /^blobs\/..\/./.test(n)), [path.relative(path.join(s.dir, 'data'), fileOf(files[3].data))]);
		assert.deepEqual(execFileSync('tar', ['-xOf', out, 'BAD-FILES']).toString().split('\n').filter(Boolean).map(l => l.slice(0, 64)), named.map(([f]) => shaOf(fileOf(f.data))).sort());
	};
	const r = await ctl(s, ['backup', out], { status: 1 });
	check(r, r.stderr);
	assert.match(r.stdout, /^backed up: .*, the database checked and 1 files compared/);
	const json = JSON.parse((await ctl(s, ['--json', 'backup', '--force', out], { status: 1 })).stdout);
	assert.deepEqual(json.bad.map(b => [b.message, b.filename, b.messages]).sort(), [[files[0].id, 'file 0.bin', 1], [files[1].id, 'file 1.bin', 2], [files[2].id, 'file 2.bin', 1], [voice.id, '', 1]].sort());
	// through a pipe it is the same
	const piped = await ctlRaw(['--socket', socketOf(s), 'backup', '-']);
	fs.writeFileSync(out, piped.bytes);
	check(piped, piped.stderr);
});

serverTest('a large rotten file that went into a pipe already is named behind it, and what follows is whole', { timeout: 60000, args: ['--max-file-mb', '40'] }, async s => {
	const a = await join2(s, 'a');
	const [large] = await send(a, 20 << 20), more = await send(a, 5000, 6000, 7000);
	const big = blobsOf(path.join(s.dir, 'data')).find(f => fs.statSync(f).size === 20 << 20);
	const fd = fs.openSync(big, 'r+');
	fs.writeSync(fd, 'rot', 19 << 20);
	fs.closeSync(fd);
	const piped = await ctlRaw(['--socket', socketOf(s), 'backup', '-']);
	assert.equal(piped.status, 1);
	assert.match(piped.stderr, new RegExp(`bad file ${shaOf(big)}: rotten: .*; message ${large.id}, "file 0.bin"\n`));
	const out = path.join(s.dir, 'out.tar');
	fs.writeFileSync(out, piped.bytes);
	const r = await ctlRaw(['restore', out, path.join(s.dir, 'restored')]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, new RegExp(`bad file ${shaOf(big)}: not in the backup, for it was bad then: rotten`));
	assert.deepEqual(blobsOf(path.join(s.dir, 'restored')).map(f => fs.statSync(f).size).sort(), more.map(f => f.data.length).sort());
});

serverTest('backup - goes to standard output, at most one copy of the database on the disk; a reader that leaves is an error, a terminal is refused', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	const files = await send(a, 700000, 800000, 900000, 3 << 20);
	const data = path.join(s.dir, 'data'), before = fs.readdirSync(data).sort();
	const piped = await ctlRaw(['--socket', socketOf(s), 'backup', '-']);
	assert.equal(piped.status, 0);
	assert.match(piped.stderr, /^backed up: .*4 files compared with their hashes\nto restore: wavechatctl restore - DIR\n$/);
	fs.writeFileSync(path.join(s.dir, 'p.tar'), piped.bytes);
	assert.equal((await ctlRaw(['restore', path.join(s.dir, 'p.tar'), path.join(s.dir, 'restored')])).status, 0);
	assert.deepEqual(blobsOf(path.join(s.dir, 'restored')).map(f => fs.readFileSync(f).length).sort(), files.map(f => f.data.length).sort());

	// While it waits for its reader there is one copy of the database, private, and nothing of the files.
	const stuck = stuckBackup(s);
	while (!fs.existsSync(path.join(data, 'backup.tmp'))) await sleep(10);
	await sleep(300);
	assert.deepEqual(fs.readdirSync(data).sort(), [...before, 'backup.tmp'].sort());
	assert.equal(fs.statSync(path.join(data, 'backup.tmp')).mode & 0o777, 0o600);
	assert.equal(stuck.exitCode, null);
	let said = '';
	stuck.stderr.setEncoding('utf8').on('data', d => (said += d));
	stuck.stdout.destroy(); // the reader leaves
	const [status, signal] = await once(stuck, 'close');
	assert.deepEqual([status, signal, said], [1, null, 'wavechatctl: cannot write: Broken pipe\n']);
	await ctl(s, ['backup', path.join(s.dir, 'after.tar')]);
	assert.deepEqual(fs.readdirSync(data).sort(), before);

	const tty = spawnSync('script', ['-qec', `${ctlBinary} --socket ${socketOf(s)} backup -`, '/dev/null'], { stdio: ['ignore', 'pipe', 'pipe'] });
	if (!tty.error) { // no script(1) here: nothing to try it with
		assert.equal(tty.status, 2);
		assert.match(String(tty.stdout), /^wavechatctl: backup: standard output is a terminal/);
	}
});

serverTest('a backup that was killed is over: the next one begins at once, and so it is after any other end', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	await send(a, 3 << 20, 2 << 20);
	const data = path.join(s.dir, 'data');
	for (const signal of ['SIGKILL', 'SIGTERM', 'SIGKILL', 'SIGINT']) {
		const child = stuckBackup(s);
		while (!fs.existsSync(path.join(data, 'backup.tmp'))) await sleep(10);
		await sleep(200);
		assert.match((await ctl(s, ['backup', path.join(s.dir, 'no.tar')], { status: 1 })).stderr, /^wavechatctl: another backup is under way\n$/);
		const ended = once(child, 'exit');
		child.kill(signal);
		child.stdout.destroy();
		assert.equal((await ended)[1], signal);
		await ctl(s, ['backup', '--force', path.join(s.dir, 'x.tar')]);
		assert.ok(!fs.existsSync(path.join(data, 'backup.tmp')));
	}
	assert.ok(!fs.existsSync(path.join(s.dir, 'no.tar')) && !fs.existsSync(path.join(s.dir, 'no.tar.part')));
	// killed while it writes a file, what it leaves is in nobody's way
	fs.writeFileSync(path.join(s.dir, 'y.tar.part'), 'half of one, and longer than');
	await ctl(s, ['backup', path.join(s.dir, 'y.tar')]);
	assert.equal((await ctlRaw(['verify', path.join(s.dir, 'y.tar')])).status, 0);
	// the server stops amid one: it stops in time, and nothing stays
	const child = stuckBackup(s);
	while (!fs.existsSync(path.join(data, 'backup.tmp'))) await sleep(10);
	const closed = once(child, 'close'); // it may be over before the server is
	await s.stop();
	child.stdout.resume();
	await closed;
	assert.ok(child.exitCode === 1 || child.exitCode === 3, String(child.exitCode)); // broken off, or nobody there to be asked for more
	assert.deepEqual(fs.readdirSync(data).filter(f => f.startsWith('backup')), []);
});

serverTest('only one of several that begin at once gets its turn; the others say so', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	await send(a, 1 << 20);
	const answers = await Promise.all(Array.from({ length: 8 }, () => adminRequest(s, 'POST', '/v1/backup', {})));
	assert.deepEqual(answers.map(r => r.status).sort(), [200, ...Array(7).fill(409)]);
	assert.equal((await adminRequest(s, 'POST', '/v1/backup/end', {})).status, 200);
	assert.equal((await adminRequest(s, 'POST', '/v1/backup/hold', '')).status, 400);
	await ctl(s, ['backup', path.join(s.dir, 'x.tar')]);
});

serverTest('backup DIR --keep N: names by the time, the oldest of its own removed, and nothing else ever', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	await send(a, 10000);
	const dir = path.join(s.dir, 'backups');
	const ours = /^wavechat-\d{8}-\d{6}\.tar$/;
	await ctl(s, ['backup', dir, '--keep', '3']);
	assert.equal(fs.statSync(dir).mode & 0o777, 0o700);
	const first = fs.readdirSync(dir);
	assert.equal(first.length, 1);
	assert.match(first[0], ours);
	const utc = new Date().toISOString().replace(/[-:]/g, '').slice(0, 13).replace('T', '-');
	assert.ok(first[0].startsWith(`wavechat-${utc.slice(0, 8)}`));
	assert.equal(fs.statSync(path.join(dir, first[0])).mode & 0o777, 0o600);
	const others = ['wavechat-20200101-000000.tar.gz', 'wavechat-2020010-000000.tar', 'xwavechat-20200101-000000.tar', 'wavechat.tar', 'notes', 'wavechat-20200101-0000000.tar', 'wavechat-2020O101-000000.tar'];
	for (const name of others) fs.writeFileSync(path.join(dir, name), 'mine');
	fs.mkdirSync(path.join(dir, 'wavechat-20190101-000000.tar')); // a folder of that name is nobody's backup
	for (const old of ['wavechat-20200101-000000.tar', 'wavechat-20200102-000000.tar']) fs.writeFileSync(path.join(dir, old), 'old');
	// one that is later than now, from a clock that was wrong: it counts, and does not cost the new one its place
	fs.writeFileSync(path.join(dir, 'wavechat-20990101-000000.tar'), 'future');
	await ctl(s, ['backup', dir, '--keep', '3']);
	const kept = fs.readdirSync(dir).filter(n => ours.test(n) && fs.statSync(path.join(dir, n)).isFile()).sort();
	assert.deepEqual([kept.length, kept[0], kept[2]], [3, first[0], 'wavechat-20990101-000000.tar']);
	assert.ok(fs.statSync(path.join(dir, kept[1])).size > 10000);
	for (const name of [...others, 'wavechat-20190101-000000.tar']) assert.ok(fs.existsSync(path.join(dir, name)), name);
	// a faulty one is kept and removes nothing
	fs.rmSync(blobsOf(path.join(s.dir, 'data'))[0]);
	await ctl(s, ['backup', dir, '--keep', '1'], { status: 1 });
	assert.equal(fs.readdirSync(dir).filter(n => ours.test(n) && fs.statSync(path.join(dir, n)).isFile()).length, 4);
	assert.deepEqual(fs.readdirSync(dir).filter(n => n.endsWith('.part')), []);
	for (const [args, status] of [[[dir, '--keep', '0'], 2], [[dir, '--keep', 'x'], 2], [['-', '--keep', '2'], 2], [[path.join(dir, 'notes'), '--keep', '2'], 2], [[path.join(s.dir, 'no', 'such'), '--keep', '2'], 1]])
		await ctl(s, ['backup', ...args], { status });
	assert.match((await ctl(s, ['backup', dir], { status: 1 })).stderr, /is no regular file.*--keep N/);
});

serverTest('whatever is written is its owner\'s alone, and a data folder that others can enter is warned of', { timeout: 60000 }, async (s, t) => {
	const a = await join2(s, 'a');
	await send(a, 10000);
	const dir = path.join(s.dir, 'open');
	fs.mkdirSync(path.join(dir, 'data'), { recursive: true });
	fs.chmodSync(path.join(dir, 'data'), 0o755);
	const umask = process.umask(0);
	let s2;
	try {
		s2 = await Server.start({ dir, allow: /data folder open to others/ });
	} finally {
		process.umask(umask);
	}
	t.after(() => s2.cleanUp());
	await s2.says(/warn +data folder open to others data=.* mode=755 remedy="chmod 700/);
	const b = await join2(s2, 'b');
	await send(b, 20000, 3 << 20);
	const stuck = stuckBackup(s2);
	while (!fs.existsSync(path.join(dir, 'data', 'backup.tmp'))) await sleep(10);
	await sleep(100);
	for (const e of fs.readdirSync(path.join(dir, 'data'), { recursive: true, withFileTypes: true }))
		assert.equal(fs.lstatSync(path.join(e.parentPath ?? e.path, e.name)).mode & 0o077, 0, e.name);
	stuck.kill('SIGKILL');
	await s2.stop();
	assert.doesNotMatch(s.output, /data folder open/);
});

serverTest('with its standard output closed, a backup says that it cannot write, and writes nothing into anything else', { timeout: 60000 }, async s => {
	const sh = command => spawnSync('/bin/sh', ['-c', command, ctlBinary, socketOf(s)], { encoding: 'utf8' });
	const closed = sh('exec "$0" --socket "$1" backup - >&-');
	assert.equal(closed.status, 1);
	assert.equal(closed.stderr, 'wavechatctl: cannot write: Bad file descriptor\n');
	assert.notEqual(sh('exec "$0" --socket "$1" status >&- 2>&-').status, 0);
	assert.equal(sh('exec "$0" --socket "$1" status <&- 2>&-').status, 0);
});

serverTest('several backups under one name at once: one is made, the others refuse, and what has the name is whole', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), bytes = noise(100_000), out = path.join(s.dir, 'same.tar');
	a.send({ type: 'file', filename: 'f', data: bytes.toString('base64') });
	await a.next('file');
	for (let round = 0; round < 8; round++) {
		const all = await Promise.all([0, 1, 2].map(() => ctlRaw(['--socket', socketOf(s), 'backup', out, '--force'])));
		for (const r of all) assert.ok(r.status === 0 || /is being written by another backup|another backup is under way/.test(r.stderr), r.stderr);
		assert.ok(all.some(r => r.status === 0));
		const v = await ctlRaw(['verify', out]);
		assert.equal(v.status, 0, v.stderr);
		assert.ok(!fs.existsSync(`${out}.part`));
	}
});
