// What the process is and may: another user, no way back, what the log says of it, secrets that are in no log and in no file, and how the
// program is built.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, binary, fence, namesBelow, noise, patience, run, serverTest, slack, sleep, within } from './lib.mjs';
import { adminRequest, ctl, ctlRaw, socketOf } from './admin.mjs';
import { join2, request, upload } from './v2.mjs';

const isRoot = process.getuid() === 0;
const needsRoot = !isRoot && 'only root becomes somebody else';
const isSanitized = slack > 1 && 'a sanitizer: the release is judged';
const uid = 65534, gid = 65533;

/** A folder that another user can walk through. */
function openFolder() {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-process-'));
	fs.chmodSync(dir, 0o755);
	return dir;
}

const statusOf = (pid, task = pid) => Object.fromEntries(fs.readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8').trim().split('\n').map(l => l.split(/:\s*/, 2)));
async function sandboxLine(s) {
	await s.says(/ sandbox user=.*\n/);
	return /^.* sandbox (user=.*)$/m.exec(s.output)[1];
}

/** A server that drops to `uid`, in a folder of its own; cleaned up whatever happens. */
async function withUser(options, fn) {
	const dir = openFolder();
	let s;
	try {
		s = await Server.start({ dir, ...options, args: ['--user', `${uid}:${gid}`, ...(options.args || [])] });
		await fn(s, dir);
		if (s.alive()) await s.stop();
	} finally {
		await s?.cleanUp();
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

serverTest('every thread is without new privileges and under the filter, and the log says so in one line', async s => {
	const line = await sandboxLine(s);
	assert.match(line, /^user=\d+:\d+ no_new_privs=on seccomp=(on|off) landlock=\d+ core=off$/);
	const tasks = fs.readdirSync(`/proc/${s.pid}/task`);
	assert.ok(tasks.length > 5, `${tasks.length} threads`);
	for (const task of tasks) {
		const status = statusOf(s.pid, task);
		assert.equal(status.NoNewPrivs, '1');
		if (!isSanitized) assert.equal(status.Seccomp, line.includes('seccomp=on') ? '2' : '0');
	}
	assert.match(fs.readFileSync(`/proc/${s.pid}/limits`, 'utf8'), /^Max core file size +[01] +[01] /m);
});

test('--sandbox off', { skip: isSanitized }, async () => {
	const s = await Server.start({ args: ['--sandbox', 'off'] });
	try {
		assert.match(await sandboxLine(s), /no_new_privs=on seccomp=off landlock=0/);
		assert.equal(statusOf(s.pid).Seccomp, '0');
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

test('--user: port, data and chat work; root is gone in every thread', { skip: needsRoot, timeout: 30000 * patience }, async () => {
	await withUser({}, async s => {
		assert.match(await sandboxLine(s), new RegExp(`^user=${uid}:${gid} `));
		for (const task of fs.readdirSync(`/proc/${s.pid}/task`)) {
			const status = statusOf(s.pid, task);
			assert.deepEqual([...new Set(status.Uid.split('\t'))], [String(uid)]);
			assert.deepEqual([...new Set(status.Gid.split('\t'))], [String(gid)]);
			assert.equal(status.Groups.trim(), '');
			for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) assert.match(status[set], /^0+$/, set);
		}
		const a = await join2(s, 'ann'), b = await s.join('ben');
		const blob = await upload(s, a.token, noise(200_000));
		a.send({ type: 'file', blob, filename: 'f.bin' });
		assert.equal((await a.next('file')).size, 200_000);
		await fence(b);
		// The administrator's socket is the new user's, and root may use it too.
		assert.equal(fs.statSync(socketOf(s)).uid, uid);
		await ctl(s, ['status']);
		const copy = path.join(s.dir, 'copy');
		await ctl(s, ['backup', copy]);
		assert.ok(fs.existsSync(copy));
		for (const name of fs.readdirSync(path.join(s.dir, 'data'))) assert.equal(fs.lstatSync(path.join(s.dir, 'data', name)).uid, uid, name);
		await s.stop();
		await s.restart();
		assert.equal((await s.join('cat')).init.history.length, 2);
	});
});

test('--user with a port that only root may open', { skip: needsRoot || Number(fs.readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start')) <= 900, timeout: 30000 * patience }, async () => {
	for (let port = 900; port < 1000; port++) {
		const probe = net.createServer().listen(port, '127.0.0.1');
		if (await once(probe, 'listening').then(() => false, () => true)) continue;
		await new Promise(done => probe.close(done));
		return withUser({ args: ['--port', String(port), '--metrics', `127.0.0.1:${port + 1}`] }, async s => {
			assert.equal(s.port, port);
			assert.equal(await (await s.get('/health')).text(), 'ok');
			assert.match(await (await fetch(`http://127.0.0.1:${port + 1}/metrics`)).text(), /^wavechat_connections /m);
			assert.equal(statusOf(s.pid).Uid.split('\t')[1], String(uid));
		});
	}
	assert.fail('no free port below 1000');
});

test('--user: a key of root alone is used; reloading it says why it cannot be, and works once it can', { skip: needsRoot, timeout: 30000 * patience }, async () => {
	const keys = openFolder();
	const make = () => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${keys}/new.key`,
		'-out', `${keys}/new.crt`, '-days', '90', '-subj', '/CN=x'], { stdio: 'ignore' });
	const place = mode => {
		make();
		fs.chmodSync(`${keys}/new.key`, mode);
		fs.renameSync(`${keys}/new.key`, `${keys}/key.pem`);
		fs.renameSync(`${keys}/new.crt`, `${keys}/cert.pem`);
	};
	place(0o600);
	try {
		await withUser({ args: ['--tls-cert', `${keys}/cert.pem`, '--tls-key', `${keys}/key.pem`], allow: /cannot be read again|not reloaded/ }, async s => {
			const certificates = () => s.output.match(/ certificate sha256=\S+/g) || [];
			await s.says(/warn +cannot be read again file=\S+key\.pem .*remedy=/);
			assert.doesNotMatch(s.output, /cannot be read again file=\S+cert\.pem/);
			assert.equal((await request(s, 'GET', '/health')).status, 200);
			place(0o600);
			s.child.kill('SIGHUP');
			for (let i = 0; !/certificate not reloaded/.test(s.output); i++) { assert.ok(i < 100); await sleep(50); }
			await s.says(/not reloaded.*key\.pem: Permission denied; make it readable for the user that the server runs as/);
			assert.equal((await request(s, 'GET', '/health')).status, 200);
			const before = certificates().length;
			place(0o644);
			s.child.kill('SIGHUP');
			for (let i = 0; certificates().length === before; i++) { assert.ok(i < 100, s.output); await sleep(50); }
			assert.notEqual(certificates().at(-1), certificates()[0]);
			assert.equal((await request(s, 'GET', '/health')).status, 200);
		});
	} finally {
		fs.rmSync(keys, { recursive: true });
	}
});

test('--user: what is wrong is one line with what to do', { skip: needsRoot }, async () => {
	const dir = openFolder(), data = path.join(dir, 'data');
	try {
		fs.mkdirSync(data);
		fs.writeFileSync(path.join(data, 'something'), '');
		for (const [args, want] of [
			[['--user', String(uid), '--data', data], /belongs to user 0, .*chown -R 65534/],
			[['--user', 'nobody-of-this-name', '--data', data], /no user nobody-of-this-name in \/etc\/passwd.*useradd/],
			[['--user', 'root', '--data', data], /that is root/],
			[['--user', 'nobody-of-this-name', '--check', '--data', data], /no user nobody-of-this-name/],
		]) {
			const r = await run(['--port', '0', '--listen', '127.0.0.1', ...args]);
			assert.equal(r.status, 1);
			assert.match(r.stderr, want);
			assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
		}
	} finally {
		fs.rmSync(dir, { recursive: true });
	}
});

test('--user by somebody who is not root', { skip: needsRoot }, async () => {
	const dir = openFolder();
	fs.chownSync(dir, uid, gid);
	const as = async user => {
		const child = spawn(binary, ['--port', '0', '--listen', '127.0.0.1', '--data', path.join(dir, 'data'), '--user', user], { uid, gid, cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
		let said = '';
		for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', d => { said += d; if (/ ready /.test(said)) child.kill('SIGTERM'); });
		const [status] = await within(10000 * patience, once(child, 'close'), () => said);
		return { status, said };
	};
	try {
		const other = await as('1:1');
		assert.equal(other.status, 1);
		assert.match(other.said, /only root can become somebody else, and this is user 65534/);
		const same = await as(`${uid}:${gid}`); // nothing to be done
		assert.equal(same.status, 0, same.said);
	} finally {
		fs.rmSync(dir, { recursive: true });
	}
});

test('started with its standard descriptors closed, it writes its log into nothing else', { timeout: 20000 * patience }, async () => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-process-'));
	const child = spawn('sh', ['-c', `exec "${binary}" --port 0 --listen 127.0.0.1 --log-level debug --data "${dir}/data" <&- >&- 2>&-`], { stdio: 'ignore' });
	const end = once(child, 'exit');
	try {
		const s = { dir };
		for (let i = 0; !fs.existsSync(socketOf(s)); i++) { assert.ok(i < 200); await sleep(50); }
		for (let i = 0; i < 3; i++) assert.equal((await adminRequest(s, 'GET', '/v1/status')).status, 200);
		child.kill('SIGTERM');
		assert.deepEqual(await within(8000 * patience, end, 'its end'), [0, null]);
		const r = await run(['--check', '--data', `${dir}/data`]);
		assert.equal(r.status, 0, r.stderr);
	} finally {
		child.kill('SIGKILL');
		fs.rmSync(dir, { recursive: true, force: true });
	}
});

test('tokens and codes are in no log, at any level, in no file and in no answer of the administrator', { timeout: 40000 * patience }, async () => {
	const s = await Server.start({ args: ['--log-level', 'debug'], allow: /./ });
	try {
		const a = await join2(s, 'ann');
		const blob = await upload(s, a.token, noise(100_000));
		a.send({ type: 'file', blob, filename: 'f.bin', cid: 'c1' });
		await a.next('file');
		a.send({ type: 'link' });
		const { code } = await a.next('link');
		const phone = await join2(s, '', { code });
		assert.equal(phone.id, a.id);
		await join2(s, '', { token: a.token });
		const c = await s.connect();
		const wrong = 'x'.repeat(a.token.length);
		c.send({ type: 'join', v: 2, token: wrong });
		await c.next('error');
		await request(s, 'GET', '/upload?key=nothing', { headers: { authorization: `Bearer ${a.token}` } });
		await request(s, 'GET', '/upload?key=nothing', { headers: { authorization: `Bearer ${wrong}` } });
		let admin = '';
		for (const verb of ['status', 'users?all=1', 'history', 'audit', 'metrics']) admin += (await adminRequest(s, 'GET', `/v1/${verb}`)).text;
		await ctl(s, ['kick', 'ann']);
		await ctlRaw(['--socket', socketOf(s), 'backup', path.join(s.dir, 'copy')]);
		await s.stop();
		await s.says(/ debug /); // it did log at that level
		const secrets = { 'a token': a.token, 'another token': phone.token, 'a wrong token': wrong, 'a code': code, 'a handle': blob };
		const files = namesBelow(s.dir).map(f => path.join(s.dir, f)).filter(f => fs.statSync(f).isFile());
		assert.ok(files.some(f => f.endsWith('wavechat.db')));
		for (const [what, secret] of Object.entries(secrets)) {
			assert.ok(secret?.length >= 6, `${what}: ${secret}`);
			assert.ok(!s.output.includes(secret), `${what} is in the log`);
			assert.ok(!admin.includes(secret), `${what} is in an answer`);
			if (what === 'a handle') continue; // kept until its upload is forgotten: it must outlive a restart
			for (const f of files) assert.ok(!fs.readFileSync(f).includes(secret), `${what} is in ${f}`);
		}
	} finally {
		await s.cleanUp();
	}
});

test('the program: no interpreter, no library, at a random address, its tables read-only, its stack not executable', { skip: isSanitized }, async () => {
	const elf = execFileSync('readelf', ['-W', '-h', '-l', '-d', binary], { encoding: 'utf8' });
	assert.match(elf, /Type: +DYN/);
	assert.doesNotMatch(elf, /INTERP|NEEDED|TEXTREL|RPATH|RUNPATH/);
	assert.match(elf, /GNU_RELRO/);
	assert.match(elf, /BIND_NOW|\(FLAGS_1\).*NOW/);
	assert.match(elf, /GNU_STACK +\S+ +\S+ +\S+ +\S+ +\S+ +RW +/);
	assert.doesNotMatch(elf, /LOAD.* RWE /);
	assert.match(execFileSync('file', [binary], { encoding: 'utf8' }), /static-pie linked|statically linked/);
	// Two starts, two places.
	const where = async () => {
		const s = await Server.start();
		try {
			return /^([0-9a-f]+)-/.exec(fs.readFileSync(`/proc/${s.pid}/maps`, 'utf8'))[1];
		} finally {
			await s.stop();
			await s.cleanUp();
		}
	};
	if (Number(fs.readFileSync('/proc/sys/kernel/randomize_va_space')) > 0 && isRoot) assert.notEqual(await where(), await where());
});
