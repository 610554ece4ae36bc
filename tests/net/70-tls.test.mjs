// TLS: certificates of files and of the server's own, reloading them under load, redirects, and everything large or slow over it.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import tls from 'node:tls';
import { Server, fence, noise, patience, run, serverTest, sleep, within } from './lib.mjs';
import { Raw } from './raw.mjs';
import { join2 } from './v2.mjs';

const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-tls-'));
test.after(() => fs.rmSync(scratch, { recursive: true, force: true }));

let serial = 0;
/** A certificate and its key, made by the openssl program: not by what is tested. */
function certificate({ type = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], days = 365 } = {}) {
	const base = path.join(scratch, String(++serial));
	execFileSync('openssl', ['req', '-x509', ...type, '-nodes', '-keyout', `${base}.key`, '-out', `${base}.crt`, '-days', String(days),
		'-subj', `/CN=test ${serial}`, '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'], { stdio: 'ignore' });
	return { cert: `${base}.crt`, key: `${base}.key`, args: ['--tls-cert', `${base}.crt`, '--tls-key', `${base}.key`] };
}

const first = certificate();

/** One request over a connection that believes `ca` alone. */
function request(s, { ca, pathname = '/health', method = 'GET', headers, body, agent } = {}) {
	return within(20000 * patience, new Promise((resolve, reject) => {
		const r = https.request({ host: '127.0.0.1', port: s.port, path: pathname, method, headers, ca, agent: agent || false, rejectUnauthorized: Boolean(ca) }, res => {
			const parts = [];
			res.on('data', d => parts.push(d));
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts) }));
			res.on('error', reject);
		});
		r.on('error', reject);
		r.end(body);
	}), `${method} ${pathname}`);
}

const peerCertificate = async s => {
	const socket = tls.connect({ host: '127.0.0.1', port: s.port, rejectUnauthorized: false });
	await once(socket, 'secureConnect');
	const c = socket.getPeerCertificate();
	socket.destroy();
	return c;
};

serverTest('files: a client that believes this certificate alone is served, with HSTS', { args: first.args }, async s => {
	assert.ok(s.isSecure, s.output);
	const r = await request(s, { ca: fs.readFileSync(first.cert) });
	assert.equal(r.status, 200);
	assert.equal(String(r.body), 'ok');
	assert.match(r.headers['strict-transport-security'], /^max-age=\d{7,}$/);
	const c = await s.connect({ ca: fs.readFileSync(first.cert) });
	await c.join('ann');
	await fence(c);
});

for (const [name, options, good] of [
	['TLS 1.3', { minVersion: 'TLSv1.3' }, 'TLSv1.3'],
	['TLS 1.2', { maxVersion: 'TLSv1.2' }, 'TLSv1.2'],
	['TLS 1.1', { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' }, null],
	['TLS 1.2 without forward secrecy', { maxVersion: 'TLSv1.2', ciphers: 'AES128-GCM-SHA256' }, null],
	['TLS 1.2 with CBC', { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA' }, null],
]) {
	serverTest(`${name} is ${good ? 'spoken' : 'refused'}`, { args: first.args }, async s => {
		const socket = tls.connect({ host: '127.0.0.1', port: s.port, rejectUnauthorized: false, ALPNProtocols: ['h2', 'http/1.1'], ...options });
		const outcome = await within(5000 * patience, once(socket, 'secureConnect').then(() => socket.getProtocol(), () => null), 'an outcome');
		assert.equal(outcome, good);
		if (good) assert.equal(socket.alpnProtocol, 'http/1.1');
		socket.destroy();
		assert.equal((await request(s)).status, 200);
	});
}

serverTest('an RSA key with TLS 1.2, and a session that is gone on with', { args: certificate({ type: ['-newkey', 'rsa:2048'] }).args }, async s => {
	let session;
	const a = tls.connect({ host: '127.0.0.1', port: s.port, rejectUnauthorized: false, maxVersion: 'TLSv1.2' });
	a.on('session', got => (session = got));
	await once(a, 'secureConnect');
	a.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
	await once(a, 'data');
	a.destroy();
	const b = tls.connect({ host: '127.0.0.1', port: s.port, rejectUnauthorized: false, maxVersion: 'TLSv1.2', session });
	await once(b, 'secureConnect');
	assert.ok(b.isSessionReused());
	b.destroy();
});

test('--tls-self-signed: kept over a restart, its fingerprint printed, mode 0600, names of this machine', async () => {
	const s = await Server.start({ args: ['--tls-self-signed'] });
	try {
		const printed = /(?:[0-9A-F]{2}:){31}[0-9A-F]{2}/.exec(s.output)[0];
		const c = await peerCertificate(s);
		assert.equal(c.fingerprint256, printed);
		assert.match(c.subjectaltname, /DNS:localhost/);
		assert.match(c.subjectaltname, /IP Address:127\.0\.0\.1/);
		const file = path.join(s.dir, 'data', 'tls-self-signed.pem');
		assert.equal(fs.statSync(file).mode & 0o777, 0o600);
		assert.equal((await request(s, { ca: fs.readFileSync(file) })).status, 200, 'it is good for those who believe it');
		assert.equal((await request(s)).headers['strict-transport-security'], undefined);
		await s.stop();
		await s.restart();
		assert.equal((await peerCertificate(s)).fingerprint256, printed);
		await s.stop();
		fs.writeFileSync(file, fs.readFileSync(file, 'utf8').slice(0, 400));
		const broken = await run(['--port', '0', '--listen', '127.0.0.1', '--tls-self-signed', '--data', path.join(s.dir, 'data')]);
		assert.equal(broken.status, 1);
		assert.match(broken.stderr, /tls-self-signed\.pem.*remove it/);
	} finally {
		await s.cleanUp();
	}
});

serverTest('with :memory: nothing of it is written', { args: ['--tls-self-signed', '--data', ':memory:'] }, async s => {
	assert.equal((await request(s)).status, 200);
	assert.deepEqual(fs.readdirSync(s.dir), []);
});

test('SIGHUP: new connections get the new certificate, nobody is dropped, a bad file changes nothing', async () => {
	const live = path.join(scratch, 'live');
	fs.mkdirSync(live);
	const put = from => {
		for (const what of ['cert', 'key']) {
			fs.copyFileSync(from[what], path.join(live, `${what}.new`));
			fs.renameSync(path.join(live, `${what}.new`), path.join(live, what));
		}
	};
	put(first);
	const s = await Server.start({ args: ['--tls-cert', path.join(live, 'cert'), '--tls-key', path.join(live, 'key')], allow: /not reloaded/ });
	try {
		const [ann, bob] = await s.joinAll('ann', 'bob');
		const before = (await peerCertificate(s)).fingerprint256;
		put(certificate());
		let talks = true, sent = 0;
		const talk = (async () => { while (talks) { await fence(ann, [ann, bob]); sent++; } })();
		s.child.kill('SIGHUP');
		await within(5000 * patience, (async () => { while ((await peerCertificate(s)).fingerprint256 === before) await sleep(20); })(), 'the new certificate');
		const now = (await peerCertificate(s)).fingerprint256;
		fs.writeFileSync(path.join(live, 'cert'), 'no certificate');
		s.child.kill('SIGHUP');
		await within(5000 * patience, (async () => { while (!/not reloaded/.test(s.output)) await sleep(20); })(), 'the complaint');
		assert.equal((await peerCertificate(s)).fingerprint256, now);
		talks = false;
		await talk;
		assert.ok(sent > 0 && !ann.end && !bob.end);
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

const other = certificate();
for (const [title, args, line] of [
	['a certificate without a key', ['--tls-cert', first.cert], /--tls-key/],
	['a redirect without TLS', ['--redirect-http', '8081'], /--redirect-http.*--tls/],
	['two kinds at once', ['--tls-self-signed', ...first.args], /give one/],
	['no such file', ['--tls-cert', '/nonexistent', '--tls-key', first.key], /\/nonexistent.*No such file/],
	["another's key", ['--tls-cert', first.cert, '--tls-key', other.key], /is not that of/],
	['a key that is a certificate', ['--tls-cert', first.cert, '--tls-key', first.cert], /key/],
]) {
	test(`refused in one line: ${title}`, async () => {
		const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', ':memory:', ...args]);
		assert.ok(r.status === 1 || r.status === 2, r.stderr);
		assert.match(r.stderr, line);
		assert.equal(r.stderr.trimEnd().split('\n').filter(l => l.startsWith('wavechatd:')).length, 1, r.stderr);
	});
}

test('an encrypted key is refused and never asked about', async () => {
	const key = path.join(scratch, 'locked.key');
	execFileSync('openssl', ['pkey', '-in', first.key, '-aes128', '-passout', 'pass:secret', '-out', key]);
	const r = await run(['--port', '0', '--data', ':memory:', '--tls-cert', first.cert, '--tls-key', key]);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /encrypted/);
});

const freePort = async () => {
	const probe = net.createServer().listen(0, '127.0.0.1');
	await once(probe, 'listening');
	const { port } = probe.address();
	probe.close();
	await once(probe, 'close');
	return port;
};

test('plain HTTP is redirected, on the port of its own and on that of HTTPS', async () => {
	const port = await freePort();
	const s = await Server.start({ args: [...first.args, '--redirect-http', String(port)], allow: /host refused/ });
	try {
		for (const [p, request, location] of [
			[port, 'GET /f/a%20b?q=1 HTTP/1.1\r\nHost: chat.example:80\r\n\r\n', `https://chat.example:${s.port}/f/a%20b?q=1`],
			[s.port, 'GET / HTTP/1.1\r\nhost:  [::1]:8080 \r\n\r\n', `https://[::1]:${s.port}/`],
			[s.port, 'POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello', `https://a:${s.port}/upload`],
			[port, 'GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n', `https://a:${s.port}/ws`],
		]) {
			const r = await Raw.connect({ port: p });
			r.socket.write(request);
			const { status, head } = await r.response();
			assert.equal(status, 308, head);
			assert.equal(/^Location: (.*)\r$/m.exec(head)[1], location);
			await r.end();
		}
		for (const [p, request, status] of [
			[port, 'GET / HTTP/1.0\r\n\r\n', 426],
			[s.port, 'GET / HTTP/1.0\r\nHost:\r\n\r\n', 400],
			[s.port, 'GET / HTTP/1.0\r\nA:\r\n\r\n', 426],
			[port, 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
			[port, 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
			[port, 'GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
			[s.port, 'nonsense\r\n\r\n', 400],
		]) {
			const r = await Raw.connect({ port: p });
			r.socket.write(request);
			assert.equal((await r.response()).status, status, request);
			await r.end();
		}
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

serverTest('garbage, half a handshake and silence cost the peer its connection and nobody else', { args: first.args, timeout: 40000 }, async s => {
	const silent = [];
	for (let i = 0; i < 200; i++) {
		const socket = net.connect(s.port, '127.0.0.1').on('error', () => {}).resume();
		silent.push(socket);
		if (i % 4 === 1) socket.write(Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]));
		if (i % 4 === 2) socket.write(Buffer.concat([Buffer.from([22, 3, 1, 0x40, 0]), noise(16384, i)]));
		if (i % 4 === 3) socket.write(Buffer.from([22, 3, 1, 0, 0]));
	}
	for (let i = 0; i < 20; i++) assert.equal((await request(s)).status, 200);
	const left = silent.filter(x => !x.closed).length;
	assert.ok(left >= 150, `answered while they are there, not behind them: ${left} are left`); // a quarter sent what is refused at once
	await within(12000 * patience, Promise.all(silent.map(x => x.closed || once(x, 'close'))), 'all of them to be closed');
	assert.ok(s.fds() < 60, `${s.fds()} descriptors`);
});

serverTest('25 MB up and down, whole and in ranges, and pipelined requests behind a body', { args: first.args, timeout: 60000 }, async s => {
	const ann = await join2(s, 'ann');
	const bytes = noise(25 * 1024 * 1024, 7);
	const up = await request(s, { method: 'POST', pathname: `/upload?key=k&size=${bytes.length}&offset=0`, headers: { Authorization: `Bearer ${ann.token}`, 'Content-Length': bytes.length }, body: bytes });
	assert.equal(up.status, 200, String(up.body));
	ann.send({ type: 'file', blob: JSON.parse(up.body).blob, filename: 'noise.bin', mime: 'application/octet-stream' });
	const { url } = await ann.next('file');
	const down = await request(s, { pathname: url });
	assert.equal(down.status, 200);
	assert.ok(down.body.equals(bytes));
	const part = await request(s, { pathname: url, headers: { Range: 'bytes=1000003-20000001' } });
	assert.equal(part.status, 206);
	assert.ok(part.body.equals(bytes.subarray(1000003, 20000002)));

	/* Much in few records, more than a header's buffer: nothing may be left lying in a record. */
	const r = await Raw.connect(s);
	const one = `GET /health HTTP/1.1\r\nHost: x\r\nX-Pad: ${'p'.repeat(900)}\r\n\r\n`;
	r.socket.write(one.repeat(200));
	for (let i = 0; i < 200; i++) assert.equal((await r.response()).status, 200, `answer ${i}`);
	r.destroy();
});

serverTest('a slow reader of a file and one of the chat delay nobody, and get everything', { args: first.args, timeout: 60000 }, async s => {
	const [ann, bob] = await s.joinAll('ann', 'bob');
	const slow = await Raw.join(s, 'slow');
	slow.socket.pause();
	const texts = [];
	for (let i = 0; i < 400; i++) {
		const text = `${i} ${'x'.repeat(3000)}`;
		texts.push(text);
		ann.text(text);
		await bob.next(f => f.type === 'text' && f.text === text);
	}
	slow.socket.resume();
	for (const text of texts) assert.equal((await slow.json('text')).text, text);
	slow.destroy();
});

serverTest('an end with and without a farewell is noticed', { args: first.args }, async s => {
	const [ann] = await s.joinAll('ann');
	const bob = await Raw.join(s, 'bob');
	bob.socket.end(); // close_notify, then the end
	await ann.next(f => f.type === 'system' && /bob/.test(f.text) && /left/.test(f.text));
	const cid = await Raw.join(s, 'cid');
	cid.socket._handle && cid.socket.destroy();
	await ann.next(f => f.type === 'system' && /cid/.test(f.text) && /left/.test(f.text));
});
