// backup: one file, as of one moment, made while people write; restored with the command it prints, and complete.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { Server, serverTest, fence, noise } from './lib.mjs';
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
	assert.match(r.stdout, /^backed up: .*, the database checked and 2 files compared with their hashes\nto restore: mkdir DIR && tar -xf .* -C DIR && wavechatd --data DIR\n$/);
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
	assert.deepEqual((await adminRequest(s, 'GET', '/v1/audit')).json.audit.map(x => x.verb), ['backup', 'backup', 'backup']);
});

serverTest('nothing is kept, nothing is backed up', { args: ['--data', ':memory:', '--admin-socket', `/tmp/wavechat-backup-${process.pid}.sock`] }, async s => {
	const sock = `/tmp/wavechat-backup-${process.pid}.sock`;
	const r = await ctlRaw(['--socket', sock, 'backup', path.join(s.dir, 'x.tar')]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /keeps nothing/);
	const a = await s.join('a');
	a.text('kept for now');
	await fence(a);
	assert.match((await ctlRaw(['--socket', sock, 'history'])).stdout, /a: kept for now\n/);
	assert.equal((await ctlRaw(['--socket', sock, 'purge', 'a'])).stdout, `deleted 2 messages of ${a.id}\n`);
});
