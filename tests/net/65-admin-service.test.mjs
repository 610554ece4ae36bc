// As a service: what the manager is told and when, what the log looks like to it and to people, and what never stands in it.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, binary, fence, patience, run, serverTest, sleep, stopInItsTracks, within } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlRaw, adminRequest, socketOf } from './admin.mjs';

function temp(t) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-svc-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
}

/** The manager's end: node has no datagram sockets of this kind, and perl is wherever Debian is. */
async function manager(t, sock) {
	const child = spawn('perl', ['-MSocket', '-e', `socket(S, AF_UNIX, SOCK_DGRAM, 0) or die; bind(S, sockaddr_un($ARGV[0])) or die; $| = 1; print "bound\\n";
		while (defined recv(S, $b, 4096, 0)) { $b =~ s/\\n/;/g; print "$b\\n" }`, sock], { stdio: ['ignore', 'pipe', 'inherit'] });
	t.after(() => child.kill('SIGKILL'));
	const m = { said: [] };
	let rest = '';
	child.stdout.setEncoding('utf8').on('data', d => {
		const lines = (rest + d).split('\n');
		rest = lines.pop();
		m.said.push(...lines);
	});
	m.until = async (re, from = 0) => {
		const find = () => m.said.findIndex((l, i) => i >= from && re.test(l));
		for (let i = 0; i < 200 * patience && find() < 0; i++) await sleep(25);
		assert.ok(find() >= 0, `${re} among ${m.said.slice(from)}`);
		return find();
	};
	await m.until(/^bound$/);
	return m;
}

test('a service manager is told: ready once it serves, alive while the room works, reloading and ready again, stopping', { timeout: 60000 * patience }, async t => {
	const sock = path.join(temp(t), 'notify'), m = await manager(t, sock);
	const s = await Server.start({ env: { NOTIFY_SOCKET: sock, WATCHDOG_USEC: '600000' }, allow: /room hangs/ });
	t.after(() => s.cleanUp());
	await m.until(/^READY=1$/);
	assert.equal(await (await s.get('/health')).text(), 'ok');
	let from = m.said.length;
	for (let i = 0; i < 3; i++) from = await m.until(/^WATCHDOG=1$/, from) + 1;
	from = m.said.length;
	s.child.kill('SIGHUP');
	const reloading = await m.until(/^RELOADING=1;MONOTONIC_USEC=\d+$/, from);
	await m.until(/^READY=1(;STATUS=.*)?$/, reloading);
	assert.equal(await (await s.get('/health')).text(), 'ok');
	// Stopped in its tracks, it says nothing: that is what the manager restarts it for.
	await stopInItsTracks(s.pid);
	await sleep(300);
	from = m.said.length;
	await sleep(1200);
	assert.deepEqual(m.said.slice(from), []);
	s.child.kill('SIGCONT');
	await m.until(/^WATCHDOG=1$/, from);
	from = m.said.length;
	await s.stop();
	await m.until(/^STOPPING=1$/, from);
});

test('a reload that fails is in the status that the manager shows, until one succeeds', { timeout: 60000 * patience }, async t => {
	const dir = temp(t), sock = path.join(dir, 'notify'), file = path.join(dir, 'settings'), m = await manager(t, sock);
	fs.writeFileSync(file, 'HISTORY_LIMIT=3\n');
	const s = await Server.start({ env: { NOTIFY_SOCKET: sock }, args: ['--config', file], allow: /settings not reloaded/ });
	t.after(() => s.cleanUp());
	await m.until(/^READY=1$/);
	const reload = async (text, ...wanted) => {
		fs.writeFileSync(file, text);
		let from = m.said.length;
		s.child.kill('SIGHUP');
		for (const re of [/^RELOADING=1;/, ...wanted, /^READY=1$/]) from = await m.until(re, from) + 1;
	};
	await reload('HISTORY_LIMITS=3\n', /^STATUS=Settings not reloaded: .*settings:1: .*did you mean HISTORY_LIMIT\?$/);
	await reload('HISTORY_LIMIT=x\n', /^STATUS=Settings not reloaded: .*settings:1: HISTORY_LIMIT/);
	await reload('HISTORY_LIMIT=4\n', /^STATUS=$/);
	const before = m.said.length;
	await reload('HISTORY_LIMIT=5\n');
	assert.ok(!m.said.slice(before).some(l => l.startsWith('STATUS')), 'nothing to say');
	await s.stop();
});

test('a name that is no socket is said in one line, and the chat runs', async t => {
	const s = await Server.start({ env: { NOTIFY_SOCKET: path.join(temp(t), 'nobody') }, allow: /warn +notify/ });
	t.after(() => s.cleanUp());
	for (let i = 0; i < 100 && !/warn +notify /.test(s.output); i++) await sleep(25);
	await s.says(/warn +notify /);
	assert.equal(await (await s.get('/health')).text(), 'ok');
	await s.stop();
});

const EVIL = 'ab\u001b]0;t\u0007"\\ level=error x';
const SECRETS = ['secret-public-text', 'secret-private-text', 'secret-file-name', 'secret-announcement', 'secret-search'];

/** Much of what can be logged, with harm in whatever people choose. */
async function live(s) {
	const a = await join2(s, 'Аня'), b = await join2(s, EVIL), old = await s.join('old\nname');
	a.text(SECRETS[0]);
	a.text(SECRETS[1], { to_id: b.id });
	a.send({ type: 'file', filename: `${SECRETS[2]}\n.txt`, data: Buffer.from(SECRETS[0]).toString('base64') });
	a.text(`${SECRETS[0]} `.repeat(1000)); // too long: an error
	a.send(`{"type":"text","text":"${SECRETS[0]}`); // and one that is no JSON
	await fence(a, [a, b, old]);
	await ctl(s, ['say', SECRETS[3]]);
	await ctl(s, ['history', '--grep', SECRETS[4]]);
	await ctl(s, ['history', '--dm', 'Аня', '--with', `id:${b.id}`, '--grep', SECRETS[4]]);
	await ctl(s, ['mute', `id:${b.id}`, '--reason', `${EVIL}\n2026-01-31T12:00:00.123Z error forged\n<0>forged`]);
	await ctl(s, ['ban', '--name', `${EVIL}\nforged`, '--reason', '{"level":"error"}\n']);
	await ctl(s, ['kick', `id:${old.id}`, '--reason', 'x\ny']);
	await ctl(s, ['delete', (await a.next('text')).id]);
	await old.closed;
}

for (const level of ['info', 'debug']) {
	serverTest(`the log as text, level ${level}: a line an event, nothing forged, no word of the talk`, { args: ['--log-level', level] }, async s => {
		await live(s);
		await s.stop();
		const lines = s.output.slice(s.output.indexOf('  stop ')).split('\n').slice(1).filter(Boolean);
		assert.ok(lines.filter(l => / admin verb=/.test(l)).length >= 6);
		for (const l of lines) assert.match(l, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn |info |debug) [a-z][a-z ]*(?= |$)/);
		for (const l of lines) assert.doesNotMatch(l, /[\u0000-\u001f\u007f-\u009f]/);
		for (const secret of SECRETS) assert.ok(!s.output.includes(secret), secret);
		if (level === 'info') assert.ok(!lines.some(l => / debug /.test(l)));
	});

	serverTest(`the log as JSON, level ${level}: an object an event`, { args: ['--log-level', level, '--log-format', 'json'] }, async s => {
		await live(s);
		await s.stop();
		const lines = s.output.slice(s.output.indexOf('  stop ')).split('\n').slice(1).filter(Boolean);
		const events = lines.map(l => JSON.parse(l));
		for (const e of events) {
			assert.ok(['error', 'warn', 'info', 'debug'].includes(e.level) && !Number.isNaN(Date.parse(e.time)) && e.event, JSON.stringify(e));
			assert.ok(!('note' in e), JSON.stringify(e));
			assert.ok(Object.values(e).every(v => typeof v === 'string'));
		}
		const ban = events.find(e => e.event === 'admin' && e.verb === 'ban');
		assert.ok(ban && ban.args.includes('forged') && ban.uid === String(process.getuid()));
		for (const secret of SECRETS) assert.ok(!s.output.includes(secret), secret);
	});
}

test('into the journal: a priority before each line and no time, if standard error is what the journal named, and only then', async t => {
	const dir = temp(t);
	for (const [isJournal, format] of [[true, 'text'], [true, 'json'], [false, 'text']]) {
		const file = path.join(dir, `log-${isJournal}-${format}`), fd = fs.openSync(file, 'w'), st = fs.fstatSync(fd, { bigint: true });
		const child = spawn(binary, ['--port', '0', '--listen', '127.0.0.1', '--data', path.join(dir, 'data'), '--log-format', format],
			{ env: { PATH: process.env.PATH, JOURNAL_STREAM: `${st.dev}:${st.ino + (isJournal ? 0n : 1n)}` }, stdio: ['ignore', 'pipe', fd] });
		let said = '';
		child.stdout.on('data', d => (said += d));
		await within(10000 * patience, (async () => { while (!/ready/.test(fs.readFileSync(file, 'utf8'))) await sleep(20); })(), 'its being ready');
		const ended = new Promise(resolve => child.on('close', resolve));
		child.kill('SIGTERM');
		await within(10000 * patience, ended, 'its end');
		const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
		assert.ok(lines.length >= 3, lines.join('\n'));
		for (const l of lines) assert.match(l, !isJournal ? /^\d{4}-\d\d-\d\dT/ : format === 'json' ? /^<6>\{"time":.*\}$/ : /^<6>info  [a-z]/);
		fs.closeSync(fd);
		// What is for people is not for the journal: there the log says it.
		assert.equal(said === '', isJournal, said);
		assert.equal(lines.some(l => /listening.*http:\/\/127\.0\.0\.1:\d+/.test(l)), isJournal, lines.join('\n'));
		assert.doesNotMatch(said, /Ctrl/, 'nobody presses keys where standard output is no terminal');
	}
});

test('started by a service manager it says its addresses, its data and its version in the log alone; by a person, on standard output', async t => {
	const dir = temp(t), m = await manager(t, path.join(dir, 'notify'));
	for (const [isService, env, option] of [[true, { NOTIFY_SOCKET: path.join(dir, 'notify') }, []], [true, { NOTIFY_SOCKET: path.join(dir, 'notify') }, ['--tls-self-signed']], [false, {}, []]]) {
		const s = await Server.start({ env, args: option });
		t.after(() => s.cleanUp());
		await s.stop();
		const banner = s.output.split('\n').filter(l => l && !/^\d{4}-\d\d-\d\dT\S+Z (info |warn )/.test(l));
		const ready = s.output.split('\n').find(l => / ready port=/.test(l));
		assert.equal(banner.length === 0, isService, banner.join('\n'));
		assert.match(ready, /data="[^"]*" version=\d\S* admin="[^"]*admin\.sock"$/);
		assert.equal(/ listening url=https?:\/\/127\.0\.0\.1:\d+ for=this_machine$/m.test(s.output), isService);
		if (option.length) await s.says(/ certificate sha256=[0-9A-F:]+/);
		if (!isService) await s.says(/^WaveChat \d.*\n {2}open {6}http:.*\n(.*\n)* {2}stop {6}kill \d+$/m);
	}
	await m.until(/^STOPPING=1$/);
	// A person's terminal, also where those variables were inherited.
	const typed = spawnSync('script', ['-qec', `timeout -s INT 2 ${binary} --port 0 --listen 127.0.0.1 --data ${path.join(dir, 'tty')}`, '/dev/null'],
		{ encoding: 'utf8', env: { ...process.env, NOTIFY_SOCKET: path.join(dir, 'notify') }, timeout: 20000 * patience });
	assert.match(typed.stdout, /stop {6}Ctrl\+C, or kill \d+/, typed.stdout + typed.stderr);
});

test('the admin socket lies wherever it is told to: digits, commas, blanks, long paths; too long a name is refused in one line', async t => {
	const dir = temp(t);
	for (const name of ['8s', '1r', '80s,8r', '443r8s.sock', 'a b,c+d', '*', '[::]:8s', 'x80', 'файл']) {
		const folder = path.join(dir, name);
		fs.mkdirSync(folder);
		const sock = path.join(folder, name);
		const s = await Server.start({ args: ['--admin-socket', sock] });
		t.after(() => s.cleanUp());
		assert.equal(fs.statSync(sock).mode & 0o777, 0o600, name);
		assert.equal((await ctlRaw(['--socket', sock, 'status'])).status, 0, name);
		const listening = fs.readFileSync('/proc/net/unix', 'utf8').split('\n').filter(l => l.endsWith(` ${sock}`) && l.split(' ')[3] === '00010000'); // listens
		assert.equal(listening.length, 1, name);
		await s.stop();
		assert.ok(!fs.existsSync(sock), name);
	}
	const refused = await run(['--port', '0', '--data', path.join(dir, 'd'), '--admin-socket', path.join(dir, 'x'.repeat(200))]);
	assert.equal(refused.status, 1);
	assert.match(refused.words, /^wavechatd: [^\n]*at most \d+ bytes; choose a shorter one\n$/);
	// A name so long that even its folder's descriptor does not help, and a thing that is no socket.
	fs.writeFileSync(path.join(dir, 'file'), 'mine');
	const taken = await run(['--port', '0', '--data', path.join(dir, 'd'), '--admin-socket', path.join(dir, 'file')]);
	assert.deepEqual([taken.status, fs.readFileSync(path.join(dir, 'file'), 'utf8')], [1, 'mine']);
	assert.match(taken.words, /^wavechatd: [^\n]*is not a socket[^\n]*\n$/);
});

serverTest('curl speaks to it, as the manual shows', async s => {
	const a = await join2(s, 'Ann');
	const curl = (...args) => {
		const r = spawnSync('curl', ['-sS', '--unix-socket', socketOf(s), ...args]);
		if (r.error?.code === 'ENOENT') return null;
		assert.equal(r.status, 0, String(r.stderr));
		return JSON.parse(r.stdout);
	};
	const status = curl('http://x/v1/status');
	if (!status) return; // no curl on this machine
	assert.equal(status.online, 1);
	const mute = curl('http://x/v1/mute', '-d', '{"user":"Ann","for_s":600,"reason":"too loud"}');
	assert.equal(mute.sanctions[0].name, 'Ann');
	assert.match((await a.next('error')).text, /too loud/);
	assert.equal(curl('http://x/v1/users?q=an').users.length, 1);
	assert.equal((await adminRequest(s, 'GET', '/v1/mutes')).json.sanctions.length, 1);
});
