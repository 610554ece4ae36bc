// Is the server well? /health?deep and status say what fails; wavechatctl waits for nothing longer than it was told and names what hangs.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { Server, fence, patience, serverTest, sleep, stopInItsTracks } from './lib.mjs';
import { adminRequest, ctl, ctlBinary, ctlJson, ctlRaw, metric, socketOf } from './admin.mjs';
import { join2 } from './v2.mjs';

const isRoot = process.getuid() === 0;
const deep = (s, options) => s.get('/health?deep', options);

/** Asks until the answer has this status; a stranger's answer may be a second old. */
async function becomes(s, status, tries = 40) {
	let r, body;
	for (let i = 0; i < tries; i++) {
		r = await deep(s);
		body = await r.text();
		if (r.status === status) break;
		await sleep(250);
	}
	assert.equal(r.status, status, body);
	return { r, body };
}

/** What an admin sees of a server that is not well in this one respect. */
async function isUnwell(s, check, words, detail) {
	const json = await ctl(s, ['status', '--json'], { status: 6 });
	const o = JSON.parse(json.stdout);
	assert.equal(o.well, false);
	assert.deepEqual(o.trouble.map(t => t.check), [check]);
	assert.match(o.trouble[0].text, detail);
	const text = await ctl(s, ['status'], { status: 6 });
	assert.match(text.stdout, new RegExp(`^health +NOT WELL: ${words}: `, 'm'));
	assert.equal(await metric(s, `health_ok{check="${check}"}`), 0);
	return o;
}

async function isWell(s) {
	await becomes(s, 200);
	assert.equal((await ctlJson(s, ['status'])).well, true);
	assert.match((await ctl(s, ['status'])).stdout, /^health +well$/m);
	for (const check of ['storage', 'room', 'threads', 'disk']) assert.equal(await metric(s, `health_ok{check="${check}"}`), 1);
}

/** Holds the writer's lock of the database, as another program might: byte 120 of its index. */
async function holdLock(s) {
	const perl = 'open(F, "+<", $ARGV[0]) or die; my $l = pack("s s x4 q q i x4", F_WRLCK, 0, 120, 1, 0); fcntl(F, F_SETLKW, $l) or die $!; $| = 1; print "held\\n"; sleep 600';
	const child = spawn('perl', ['-MFcntl', '-e', perl, path.join(s.dir, 'data', 'wavechat.db-shm')], { stdio: ['ignore', 'pipe', 'inherit'] });
	await Promise.race([once(child.stdout, 'data'), once(child, 'close').then(() => assert.fail('no lock'))]);
	return async () => { child.kill('SIGKILL'); await once(child, 'close'); };
}

const hasPerl = spawnSync('perl', ['-MFcntl', '-e', '1']).status === 0;

// --- All is well

serverTest('/health says that the program answers, /health?deep that it could take a message', async s => {
	for (const p of ['/health', '/health?deep', '/health?deep=1', '/health?x=y&deep'])
		for (const method of ['GET', 'HEAD']) {
			const r = await s.get(p, { method });
			assert.equal(r.status, 200, `${method} ${p}`);
			assert.equal(await r.text(), method === 'GET' ? 'ok' : '');
			assert.equal(r.headers.get('cache-control'), 'no-store');
			assert.match(r.headers.get('content-type'), /^text\/plain/);
		}
	assert.equal((await s.get('/health?deep', { method: 'POST' })).status, 405);
	await isWell(s);
});

serverTest('in memory all is well, too', { args: ['--data', ':memory:'] }, async s => {
	assert.equal(await (await deep(s)).text(), 'ok');
});

// --- The storage

for (const name of ['wavechat.db', 'wavechat.db-wal', 'wavechat.db-shm'])
	serverTest(`${name} that is gone from its place is found though nobody writes`, { allow: /storage check|database replaced/ }, async s => {
		const file = path.join(s.dir, 'data', name), aside = path.join(s.dir, 'aside');
		fs.renameSync(file, aside);
		const { r, body } = await becomes(s, 503);
		assert.equal(body, 'the storage fails');
		assert.equal(r.headers.get('cache-control'), 'no-store');
		assert.equal((await deep(s, { method: 'HEAD' })).status, 503);
		assert.equal(await (await s.get('/health')).text(), 'ok', 'the shallow question is another one');
		const o = await isUnwell(s, 'storage', 'the storage fails', new RegExp(`${name.replace('.', '\\.')} was removed`));
		assert.equal(o.storage_ok, false);
		fs.copyFileSync(aside, file);
		await isUnwell(s, 'storage', 'the storage fails', /replaced under the server/);
		fs.renameSync(aside, file);
		await isWell(s);
		await s.says(/error +storage check failed found=".*removed/);
		await s.says(/warn +storage check passes again/);
	});

serverTest('a database that cannot be read any more is found though nobody reads', { allow: /storage|store|checkpoint/ }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 20; i++) a.text(`message ${i} ${'x'.repeat(3000)}`);
	await fence(a);
	await a.close();
	await s.stop();
	await s.restart(); // all of the log is in the file now
	const file = path.join(s.dir, 'data', 'wavechat.db');
	const was = fs.readFileSync(file);
	const fd = fs.openSync(file, 'r+');
	fs.writeSync(fd, Buffer.alloc(was.length, 0x5a), 0, was.length, 0);
	fs.closeSync(fd);
	const { body } = await becomes(s, 503, 60);
	assert.equal(body, 'the storage fails');
	await s.kill9();
});

serverTest('a data folder that cannot be written any more is found', { timeout: 60000, allow: /storage check|database replaced/ }, async s => {
	const tmp = path.join(s.dir, 'data', 'tmp');
	await becomes(s, 200); // the probe at the start is over: its file would go aside with the folder
	fs.renameSync(tmp, `${tmp}.aside`);
	await becomes(s, 503);
	await isUnwell(s, 'storage', 'the storage fails', /data folder\/tmp cannot be written/);
	fs.renameSync(`${tmp}.aside`, tmp);
	await isWell(s);
	// A probe may be at it just now; one that lost its folder on the way is cleared by the next, half a minute later.
	for (let i = 0; i < 800 && fs.readdirSync(tmp).length; i++) await sleep(50);
	assert.deepEqual(fs.readdirSync(tmp), [], 'the probe leaves nothing');
});

serverTest('the folder as a whole, moved away', { allow: /storage|collect|database replaced/ }, async s => {
	const data = path.join(s.dir, 'data');
	fs.renameSync(data, `${data}.aside`);
	await becomes(s, 503);
	fs.renameSync(`${data}.aside`, data);
	await isWell(s);
});

test('a database that another program locks: found before anybody writes; the room that waits for it is named; all is well afterwards',
	{ timeout: 120000 * patience, skip: !hasPerl && 'needs perl for the lock' }, async () => {
		const s = await Server.start({ allow: /stor|thread hangs|retention|room hangs/ });
		try {
			const a = await join2(s, 'a'), b = await join2(s, 'b');
			await fence(a, [a, b]);
			let release = await holdLock(s);
			const { body } = await becomes(s, 503);
			assert.equal(body, 'the storage fails');
			await isUnwell(s, 'storage', 'the storage fails', /locked/);
			await release();
			await isWell(s);

			// Now somebody writes. Each message waits for the lock in vain, so that the room answers nobody for a while.
			release = await holdLock(s);
			for (let i = 0; i < 8; i++) (i % 2 ? a : b).text(`lost ${i}`, { cid: `c${i}` });
			let hung = null;
			for (let i = 0; i < 60 && !hung; i++) {
				const o = JSON.parse((await ctl(s, ['status', '--json'], { status: 6 })).stdout);
				hung = o.trouble.some(t => t.check === 'room') ? o : null;
				await sleep(100);
			}
			assert.ok(hung, 'status answers while the room hangs, and says that it does');
			assert.equal(hung.room_answers, false);
			assert.equal(typeof hung.version, 'string');
			assert.match(hung.trouble.find(t => t.check === 'room').text, /^the room hangs: it has not answered for \d+ s/);
			const words = await (await deep(s)).text();
			assert.match(words, /the storage fails/);
			assert.ok(!words.includes(s.dir), 'strangers learn nothing of the machine');
			await release();
			// Nobody writes now; the server itself tries, and finds that it works.
			await isWell(s);
			const late = await join2(s, 'late');
			await fence(late, [late]);
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	});

test('a failed write is forgotten only when one has passed', { timeout: 60000 * patience, skip: !isRoot && 'a file system is mounted by root alone' }, async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-health-'));
	execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'tmpfs', dir]);
	const s = await Server.start({ dir, args: ['--free-reserve-mb', '4'], allow: /stor|store|retention|reserve/ });
	try {
		const a = await join2(s, 'a');
		await fence(a);
		await isWell(s);
		const free = () => { const st = fs.statfsSync(dir); return st.bavail * st.bsize; };
		fs.writeFileSync(path.join(dir, 'ballast'), Buffer.alloc(free() - (2 << 20)));
		const { body } = await becomes(s, 503);
		assert.match(body, /the disk is below its reserve/);
		const o = JSON.parse((await ctl(s, ['status', '--json'], { status: 6 })).stdout);
		assert.match(o.trouble.find(t => t.check === 'disk').text, /^the disk is below its reserve: \d+ MB are free, 4 MB are its reserve/);
		assert.equal(await metric(s, 'health_ok{check="disk"}'), 0);
		assert.ok(await metric(s, 'disk_free_bytes') < await metric(s, 'disk_reserve_bytes'));
		fs.rmSync(path.join(dir, 'ballast'));
		await isWell(s);
		await s.stop();
	} finally {
		await s.cleanUp();
		execFileSync('umount', ['-l', dir]);
		fs.rmdirSync(dir);
	}
});

// --- It is no way to attack

serverTest('questions in any number are answered, and hold up nobody', { allow: /stor|database replaced/, timeout: 60000 }, async s => {
	const release = hasPerl ? await holdLock(s) : async () => {}; // a probe takes a while now
	await sleep(1100); // the last probe is too old for anybody
	let answered = 0;
	const few = Array.from({ length: 40 }, () => deep(s).then(r => r.text().then(() => { answered++; return r.status; })));
	assert.equal(await (await s.get('/health')).text(), 'ok');
	if (hasPerl) assert.ok(answered < 40, 'the shallow question did not wait for the probe');
	const many = Array.from({ length: 600 }, () => deep(s).then(r => r.text().then(() => r.status)));
	const page = await s.get('/');
	assert.equal(page.status, 200);
	await page.text();
	const statuses = await Promise.all([...few, ...many]);
	assert.equal(statuses.length, 640);
	for (const status of statuses) assert.ok([200, 503].includes(status), String(status));
	await release();
	await becomes(s, 200);
});

serverTest('a stop answers those who wait', { allow: /stor|database replaced/ }, async s => {
	if (!hasPerl) return;
	const release = await holdLock(s);
	await sleep(1100);
	const waiting = Array.from({ length: 20 }, () => deep(s).then(r => r.status, () => 'closed'));
	await sleep(100);
	const stopped = s.stop('SIGTERM', 20000);
	await release();
	for (const status of await Promise.all(waiting)) assert.ok([200, 503, 'closed'].includes(status), String(status));
	await stopped;
});

// --- What hangs is named, in time

serverTest('a server that is stopped is named as that, by every kind of verb', { timeout: 60000 }, async s => {
	await stopInItsTracks(s.pid);
	try {
		for (const verb of [['status'], ['users'], ['kick', 'a'], ['history'], ['metrics'], ['backup', path.join(s.dir, 'x.tar')], ['top']]) {
			const r = await ctlRaw(['--socket', socketOf(s), '--timeout', '0.5', ...verb]);
			assert.equal(r.status, 7, `${verb}: ${r.stderr}`);
			assert.match(r.stderr, new RegExp(`^wavechatctl: the server at .*admin\\.sock accepted the connection but did not answer within 0\\.5 s: process ${s.pid} is stopped; go on with: kill -CONT ${s.pid}\n$`));
		}
		assert.ok(!fs.existsSync(path.join(s.dir, 'x.tar')) && !fs.existsSync(path.join(s.dir, 'x.tar.part')));
	} finally {
		process.kill(s.pid, 'SIGCONT');
	}
	assert.equal((await ctl(s, ['status'])).status, 0);
});

/** A socket at which something else than the server answers. */
async function impostor(onConnection, fn) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-health-'));
	const socket = path.join(dir, 'admin.sock');
	const held = new Set();
	const server = net.createServer(c => { held.add(c); c.on('error', () => {}); onConnection(c); });
	await new Promise(resolve => server.listen(socket, resolve));
	try {
		await fn(socket, dir);
	} finally {
		for (const c of held) c.destroy();
		server.close();
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

test('a server that takes the request and never answers', { timeout: 60000 * patience }, () => impostor(() => {}, async socket => {
	const r = await ctlRaw(['--socket', socket, '--timeout', '0.4', 'users']);
	assert.equal(r.status, 7);
	assert.match(r.stderr, /accepted the connection but did not answer within 0\.4 s: its room may hang; see wavechatctl status, and its log \(journalctl -u wavechatd\)/);
	const status = await ctlRaw(['--socket', socket, '--timeout', '0.4', 'status']);
	assert.equal(status.status, 7);
	assert.match(status.stderr, /did not answer within 0\.4 s: it hangs; its log/);
}));

test('a server that trickles: a request has its limit as a whole, a long dump counts the silence', { timeout: 60000 * patience }, async () => {
	const body = JSON.stringify({ messages: [], more: false, users: [] });
	const head = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`;
	/** A byte each 50 ms, from this byte on for ever: silent. */
	const trickle = (text, until) => c => c.once('data', () => {
		let i = 0;
		const timer = setInterval(() => (i < until && i < text.length ? c.write(text[i++]) : clearInterval(timer)), 50);
		c.on('close', () => clearInterval(timer));
	});
	await impostor(trickle(head + body, Infinity), async socket => {
		const r = await ctlRaw(['--socket', socket, '--timeout', '0.6', 'users']);
		assert.equal(r.status, 7, r.stderr);
		assert.match(r.stderr, /began its answer but did not finish it within 0\.6 s/);
		const long = await ctlRaw(['--socket', socket, '--timeout', '0.6', 'history', '--format', 'jsonl']);
		assert.equal(long.status, 0, long.stderr);
	});
	for (const [until, words] of [[10, /began its answer but did not finish it/], [head.length + 5, /stopped amid its answer: nothing came within 0\.6 s/]])
		await impostor(trickle(head + body, until), async socket => {
			const r = await ctlRaw(['--socket', socket, '--timeout', '0.6', 'history', '--format', 'jsonl']);
			assert.equal(r.status, 7, r.stderr);
			assert.match(r.stderr, words);
		});
});

test('Ctrl-C ends what waits for a server that says nothing, or that trickles', { timeout: 60000 * patience }, async () => {
	const trickle = c => {
		const timer = setInterval(() => c.write('HTTP/1.1 200 OK'.slice(0, 1)), 50);
		c.on('close', () => clearInterval(timer));
	};
	const out = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-signal-')), 'x.tar');
	for (const way of [() => {}, trickle])
		await impostor(way, async socket => {
			for (const [verb, end] of [[['verify'], 'SIGTERM'], [['backup', out], 'SIGINT'], [['history', '--follow'], 'SIGTERM'], [['users'], 'SIGINT']]) {
				const child = spawn(ctlBinary, ['--socket', socket, '--timeout', '0', ...verb], { stdio: ['ignore', 'pipe', 'pipe'] });
				let said = '';
				child.stderr.on('data', d => (said += d));
				const ended = new Promise(resolve => child.once('close', (code, signal) => resolve({ code, signal })));
				await sleep(300);
				assert.equal(child.exitCode, null, `${verb}: ${said}`);
				child.kill(end);
				const r = await Promise.race([ended, sleep(15000)]);
				child.kill('SIGKILL');
				assert.ok(r, `${verb} goes on`);
				assert.ok(r.signal === end || r.code === 1 || (verb[1] === '--follow' && r.code === 0), `${verb}: ${JSON.stringify(r)}`);
				assert.equal(said, '', `${verb}: nothing is to be said of the server`);
			}
		});
	assert.ok(!fs.existsSync(out) && !fs.existsSync(`${out}.part`));
	fs.rmSync(path.dirname(out), { recursive: true });
});

test('an answer without an end is refused with words', { timeout: 60000 * patience }, () => impostor(c => {
	const piece = Buffer.alloc(1 << 16, 'x'), more = () => { while (!c.destroyed && c.write(piece)); };
	c.on('drain', more);
	c.once('data', () => { c.write('HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n'); more(); });
}, async socket => {
	for (const verb of [['status'], ['users'], ['history'], ['verify']]) {
		const r = await ctlRaw(['--socket', socket, ...verb]);
		assert.equal(r.status, 1, verb[0]);
		assert.match(r.stderr, /^wavechatctl: the server's answer makes no sense: it is longer than 64 MB; [^\n]*\n$/, verb[0]);
	}
}));

test('a socket at which nobody accepts any more', { timeout: 60000 * patience, skip: !hasPerl && 'needs perl' }, async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-health-'));
	const socket = path.join(dir, 'admin.sock');
	// Listens with the shortest queue and fills it itself.
	const perl = 'use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un($ARGV[0])) or die; listen(S, 0); for (1..4) { socket(my $c, PF_UNIX, SOCK_STREAM, 0); fcntl($c, 4, 04000); connect($c, sockaddr_un($ARGV[0])); push @c, $c } $| = 1; print "full\\n"; sleep 600';
	const child = spawn('perl', ['-e', perl, socket], { stdio: ['ignore', 'pipe', 'inherit'] });
	try {
		await once(child.stdout, 'data');
		const r = await ctlRaw(['--socket', socket, '--timeout', '0.4', 'users']);
		assert.equal(r.status, 7, r.stderr);
		assert.match(r.stderr, /accepted no connection within 0\.4 s/);
	} finally {
		child.kill('SIGKILL');
		await once(child, 'close');
	}
	const dead = await ctlRaw(['--socket', socket, '--timeout', '0.4', 'users']);
	assert.equal(dead.status, 3);
	assert.match(dead.stderr, /no server answers at .*: it has ended/);
	fs.rmSync(dir, { recursive: true });
	const gone = await ctlRaw(['--socket', socket, 'users']);
	assert.equal(gone.status, 3);
	assert.match(gone.stderr, /no server at .*: No such file/);
});

serverTest('the limit is a number of seconds, and none is none', async s => {
	for (const bad of ['x', '-1', '1s', '1e9', 'nan', '0.0001']) {
		const r = await ctlRaw(['--socket', socketOf(s), '--timeout', bad, 'status']);
		assert.equal(r.status, 2, bad);
		assert.match(r.stderr, /--timeout ".*": a number of seconds up to 86400, or 0 for no limit/);
	}
	assert.equal((await ctl(s, ['--timeout=2.5', 'status'])).status, 0);
	assert.equal((await ctl(s, ['status', '--timeout', '0'])).status, 0);
	await stopInItsTracks(s.pid);
	const endless = ctlRaw(['--socket', socketOf(s), '--timeout', '0', 'users']);
	assert.equal(await Promise.race([endless, sleep(1500).then(() => 'waits')]), 'waits');
	process.kill(s.pid, 'SIGCONT');
	assert.equal((await endless).status, 0);
});

serverTest('an older server without the health in its status is judged by its storage', async s => {
	const { json } = await adminRequest(s, 'GET', '/v1/status');
	for (const [storage_ok, status] of [[true, 0], [false, 6]]) {
		const old = { ...json, storage_ok };
		for (const name of ['well', 'trouble', 'room_answers']) delete old[name];
		const body = JSON.stringify(old);
		await impostor(c => c.on('data', () => c.write(`HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)), async socket => {
			const r = await ctlRaw(['--socket', socket, 'status']);
			assert.equal(r.status, status, r.stdout + r.stderr);
			assert.match(r.stdout, storage_ok ? /^health +well$/m : /^health +NOT WELL: the storage fails/m);
		});
	}
});
