// HTTP as RFC 9110 and 9112 have it, and nothing else: each malformed request refused by name, a crowd that holds on to what it can, and
// descriptors that run out.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { once } from 'node:events';
import { judgeDelay, noise, overTls, patience, serverTest, slack, sleep } from './lib.mjs';
import { Raw } from './raw.mjs';
import { join2, newKey, upload, uploadPath } from './v2.mjs';
import { ctl, metric } from './admin.mjs';

const HOST = 'Host: chat.example\r\n';
const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n', V13 = 'Sec-WebSocket-Version: 13\r\n';
const UPGRADE = 'Upgrade: websocket\r\nConnection: Upgrade\r\n';
const get = rest => `GET /health HTTP/1.1\r\n${rest}\r\n`;
const post = rest => `POST /upload?size=3 HTTP/1.1\r\n${HOST}${rest}\r\nabc`;
const shake = (rest, start = 'GET /ws HTTP/1.1') => `${start}\r\n${HOST}${rest}\r\n`;

/** What every answer carries, whatever it answers. */
function checkHeaders(head, name) {
	for (const wanted of [/^Content-Security-Policy: .*default-src 'none'/m, /^X-Content-Type-Options: nosniff\r$/m, /^Referrer-Policy: no-referrer\r$/m,
		/^Permissions-Policy: .*microphone=\(self\)/m, /^Cross-Origin-Resource-Policy: /m, /^Date: /m])
		assert.match(head, wanted, name);
	if (overTls) assert.match(head, /^Cross-Origin-Opener-Policy: same-origin\r$/m, name);
	else assert.doesNotMatch(head, /^Cross-Origin-Opener-Policy/m, `${name}: browsers complain of it over plain HTTP`);
	assert.doesNotMatch(head, /^(Server|X-Powered-By|Strict-Transport-Security):/mi, name); // HSTS is not for a certificate of one's own
}

const malformed = [
	['Content-Length with Transfer-Encoding', post('Content-Length: 3\r\nTransfer-Encoding: chunked\r\n'), 400],
	['Transfer-Encoding with Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 3\r\n'), 400],
	['two lengths', post('Content-Length: 3\r\nContent-Length: 4\r\n'), 400],
	['the same length twice', post('Content-Length: 3\r\nContent-Length: 3\r\n'), 400],
	['a list of lengths', post('Content-Length: 3, 3\r\n'), 400],
	['3x as a length', post('Content-Length: 3x\r\n'), 400],
	['+3 as a length', post('Content-Length: +3\r\n'), 400],
	['-3 as a length', post('Content-Length: -3\r\n'), 400],
	['a hexadecimal length', post('Content-Length: 0x3\r\n'), 400],
	['an empty length', post('Content-Length:\r\n'), 400],
	['a length past all numbers', post('Content-Length: 99999999999999999999\r\n'), 413],
	['a chunked body', post('Transfer-Encoding: chunked\r\n'), 411],
	['another coding', post('Transfer-Encoding: gzip, chunked\r\n'), 501],
	['a bare LF everywhere', `GET /health HTTP/1.1\n${HOST.replace('\r', '')}\n`, 400],
	['a bare LF after a field', 'GET /health HTTP/1.1\r\nHost: a\n\r\n', 400],
	['a bare CR inside a field', 'GET /health HTTP/1.1\r\nHost: a\rX: b\r\n\r\n', 400],
	['NUL in the target', 'GET /hea\0lth HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['NUL in a field', get(HOST + 'X: a\0b\r\n'), 400],
	['NUL as an escape', 'GET /health%00 HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['Host :', get('Host : a\r\n'), 400],
	['no Host', get(''), 400],
	['an empty Host', get('Host:\r\n'), 400],
	['two Hosts', get(HOST + HOST), 400],
	['a Host with a path', get('Host: a/b\r\n'), 400],
	['a Host with a user', get('Host: a@b\r\n'), 400],
	['an unclosed Host', get('Host: [::1\r\n'), 400],
	['a Host without brackets', get('Host: ::1\r\n'), 400],
	['a Host with a port that is none', get('Host: a:b\r\n'), 400],
	['absolute-form of another host', 'GET http://evil.example/health HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['absolute-form with a user', 'GET http://chat@chat.example/health HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['authority-form', 'CONNECT chat.example:443 HTTP/1.1\r\n' + HOST + '\r\n', 501],
	['asterisk-form', 'OPTIONS * HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['a fragment', 'GET /health#x HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['bytes past ASCII in the target', 'GET /hé HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['an escape cut short', 'GET /health%4 HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['a path that is no UTF-8', 'GET /f/%ff HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['two spaces', 'GET  /health HTTP/1.1\r\n' + HOST + '\r\n', 400],
	['no version', 'GET /health\r\n\r\n', 400],
	['HTTP/2.0', 'GET /health HTTP/2.0\r\n' + HOST + '\r\n', 505],
	['an unknown method', 'BREW /health HTTP/1.1\r\n' + HOST + '\r\n', 501],
	['a folded field', get(HOST + 'X: a\r\n b\r\n'), 400],
	['a field without a colon', get(HOST + 'nothing\r\n'), 400],
	['a field without a name', get(HOST + ': a\r\n'), 400],
	['a space inside a name', get(HOST + 'a b: c\r\n'), 400],
	['two Origins', get(HOST + 'Origin: http://a\r\nOrigin: http://b\r\n'), 400],
	['another expectation', get(HOST + 'Expect: 200-maybe\r\n'), 417],
	['a target of 9 KB', `GET /${'a'.repeat(9000)} HTTP/1.1\r\n${HOST}\r\n`, 414],
	['a header of 100 KB', get(HOST + `X: ${'y'.repeat(100000)}\r\n`), 431],
	['100 KB in small fields', get(HOST + 'X: y\r\n'.repeat(16000)), 431],
	['65 fields', get(HOST + 'X: y\r\n'.repeat(64)), 431],
	['garbage', 'garbage\r\n\r\n', 400],
	['a short WebSocket key', shake(UPGRADE + V13 + 'Sec-WebSocket-Key: c2hvcnQ=\r\n'), 400],
	['a long WebSocket key', shake(UPGRADE + V13 + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBpcyBsb25n\r\n'), 400],
	['a WebSocket key that is no base64', shake(UPGRADE + V13 + 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j-Q==\r\n'), 400],
	['no WebSocket key', shake(UPGRADE + V13), 400],
	['two WebSocket keys', shake(UPGRADE + V13 + KEY + KEY), 400],
	['an upgrade by POST', shake(UPGRADE + V13 + KEY, 'POST /ws HTTP/1.1'), 405],
	['an upgrade by HEAD', shake(UPGRADE + V13 + KEY, 'HEAD /ws HTTP/1.1'), 405],
	['an upgrade in HTTP/1.0', shake(UPGRADE + V13 + KEY, 'GET /ws HTTP/1.0'), 400],
	['an upgrade with a body', shake(UPGRADE + V13 + KEY + 'Content-Length: 3\r\n') + 'abc', 400],
	['another WebSocket version', shake(UPGRADE + KEY + 'Sec-WebSocket-Version: 8\r\n'), 426],
	['/ws without an upgrade', shake(''), 426],
	['an upgrade to something else', shake('Upgrade: h2c\r\nConnection: Upgrade\r\n' + V13 + KEY), 426],
];

serverTest('what is malformed is refused, each by its name', { timeout: 60000, allow: /(origin|host) refused/ }, async s => {
	for (const [name, bytes, status] of malformed) {
		const r = await Raw.connect(s);
		r.socket.write(Buffer.from(bytes, 'latin1'));
		const head = await r.head();
		assert.ok(head, `${name}: no answer`);
		assert.equal(Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)[1]), status, name);
		checkHeaders(head, name);
		await r.end(); // what follows cannot be told from a request that somebody smuggled
	}
	assert.ok(await metric(s, 'refused_total{reason="header"}') >= 40);
	assert.equal(await (await s.get('/health')).text(), 'ok');
});

serverTest('forms that HTTP allows, and few send', async s => {
	const ws = 'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n', upgrade = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';
	const taken = [
		['absolute-form', `GET http://chat.example/health HTTP/1.1\r\n${HOST}\r\n`, 200],
		['absolute-form with a port', 'GET http://chat.example:8080/health HTTP/1.1\r\nHost: chat.example:8080\r\n\r\n', 200],
		['absolute-form in capitals', `GET HTTP://CHAT.example/health?deep HTTP/1.1\r\n${HOST}\r\n`, 200],
		['absolute-form without a path', `GET http://chat.example HTTP/1.1\r\n${HOST}\r\n`, 200],
		['absolute-form of the WebSocket', `GET http://chat.example/ws HTTP/1.1\r\n${HOST}${upgrade}${ws}\r\n`, 101],
		['two Connection lines', `GET /ws HTTP/1.1\r\n${HOST}Connection: keep-alive\r\n${upgrade}${ws}\r\n`, 101],
		['two Connection lines, the other way round', `GET /ws HTTP/1.1\r\n${HOST}${upgrade}Connection: keep-alive\r\n${ws}\r\n`, 101],
		['several Upgrades', `GET /ws HTTP/1.1\r\n${HOST}Connection: keep-alive, Upgrade\r\nUpgrade: h2c\r\nUpgrade: foo, websocket\r\n${ws}\r\n`, 101],
		['an upgrade that is not ours', `GET /health HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: foo\r\n\r\n`, 200],
	];
	for (const [name, bytes, status] of taken) {
		const r = await Raw.connect(s);
		r.socket.write(bytes);
		assert.equal(Number(/^HTTP\/1\.1 (\d{3}) /.exec(await r.head())[1]), status, name);
		r.destroy();
	}
	// What stands behind such a request in the same packet is the next one.
	const r = await Raw.connect(s);
	r.socket.write(`GET http://chat.example/health HTTP/1.1\r\n${HOST}\r\nGET /nothing HTTP/1.1\r\n${HOST}\r\n`);
	assert.equal((await r.response()).status, 200);
	assert.equal((await r.response()).status, 404);
	r.destroy();
});

serverTest('a header in crumbs is refused before it is long', async s => {
	const before = await metric(s, 'refused_total{reason="header"}');
	const r = await Raw.connect(s);
	r.socket.setNoDelay(true);
	r.socket.write(`GET /health HTTP/1.1\r\n${HOST}X: `);
	const head = r.head(60000);
	let answer, sent = 0;
	head.then(h => { answer = h; });
	for (; !answer && sent < 15000; sent++) {
		r.socket.write('x');
		await sleep(0); // a packet of its own, and time for the server to read it
	}
	assert.match(await head, /^HTTP\/1\.1 431 /);
	assert.ok(sent >= 500 && sent < 15000, `${sent} bytes`); // the size of a header has another bound
	assert.ok(await metric(s, 'refused_total{reason="header"}') > before);
	r.destroy();
	// A hundred pieces are a slow network.
	const slow = await Raw.connect(s);
	slow.socket.setNoDelay(true);
	for (const ch of `GET /health HTTP/1.1\r\n${HOST}${'X: y\r\n'.repeat(10)}\r\n`) {
		slow.socket.write(ch);
		await sleep(0);
	}
	assert.match(await slow.head(60000), /^HTTP\/1\.1 200 /);
	slow.destroy();
});

serverTest('every kind of answer has the security headers', { args: ['--header-timeout', '2'], allow: /(origin|host) refused/ }, async s => {
	const a = await join2(s, 'a');
	a.send({ type: 'file', blob: await upload(s, a.token, noise(1000)), filename: 'f.bin' });
	const { url } = await a.next('file');
	const page = await Raw.connect(s);
	page.socket.write(`GET / HTTP/1.1\r\n${HOST}Accept-Encoding: gzip\r\n\r\n`);
	const etag = /^ETag: (.*)\r$/m.exec((await page.response()).head)[1];
	page.destroy();
	const kinds = [
		['GET /', 200], ['GET /health', 200], ['GET /sw.js', 200], ['GET /icon.svg', 200], [`GET ${url}`, 200], [`GET ${url}`, 206, 'Range: bytes=0-9\r\n'],
		[`GET ${url}`, 416, 'Range: bytes=5000-\r\n'], ['GET /', 304, `If-None-Match: ${etag}\r\n`], ['GET /nothing', 404], ['GET /f/0123456789abcdef0123456789abcdef/x', 404],
		['DELETE /health', 405], ['POST /', 405, 'Content-Length: 0\r\n'], ['POST /upload?size=3', 401, 'Content-Length: 3\r\n'], ['GET /upload?key=k', 401],
		['POST /upload?size=3', 411, `Authorization: Bearer ${a.token}\r\n`], ['POST /upload?size=x', 400, `Authorization: Bearer ${a.token}\r\nContent-Length: 3\r\n`],
		['POST /upload?size=99999999999', 413, `Authorization: Bearer ${a.token}\r\nContent-Length: 99999999999\r\n`],
		['POST /upload?size=3', 403, 'Origin: https://evil.example\r\nContent-Length: 3\r\n'], ['HEAD /', 200],
	];
	for (const [start, status, more = ''] of kinds) {
		const r = await Raw.connect(s);
		r.socket.write(`${start} HTTP/1.1\r\n${HOST}${more}Accept-Encoding: gzip\r\n\r\n`);
		const head = await r.head();
		const name = `${status} to ${start}`;
		assert.equal(Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)[1]), status, name);
		// Pages and files have policies of their own; all else is there, once.
		checkHeaders(head.replace(/^Content-Security-Policy: .*$/m, "Content-Security-Policy: default-src 'none'"), name);
		for (const field of ['Content-Security-Policy', 'X-Content-Type-Options', 'Referrer-Policy', 'Permissions-Policy'])
			assert.equal(head.match(new RegExp(`^${field}:`, 'gmi'))?.length, 1, `${field} of ${name}`);
		r.destroy();
	}
	const late = await Raw.connect(s);
	late.socket.write('GET /health HTTP/1.1\r\n');
	const timeout = await late.response(8000);
	assert.equal(timeout.status, 408);
	checkHeaders(timeout.head, '408');
});

const CROWD = slack > 1 ? 200 : 2000;
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** A socket that was asked for nothing more than to be there. */
async function hold(s, bytes) {
	const socket = net.connect({ port: s.port, host: '127.0.0.1' });
	socket.on('error', () => {});
	await once(socket, 'connect');
	socket.pause(); // reads nothing: what the server sends stays on its side once the kernel has enough
	if (bytes) socket.write(bytes);
	return socket;
}

/** In groups, so that the kernel's queue of the listener is no part of it. */
async function crowd(s, n, bytesOf) {
	const all = [];
	while (all.length < n) all.push(...await Promise.all(Array.from({ length: Math.min(100, n - all.length) }, (_, i) => hold(s, bytesOf(all.length + i)))));
	return all;
}

/** The median of /health, what nine of ten take, and the worst, each on a new connection, in milliseconds. */
async function health(s, times = 25) {
	const ms = [];
	for (let i = 0; i < times; i++) {
		const t = now();
		const r = await Raw.connect(s);
		r.socket.write(`GET /health HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
		assert.equal((await r.response()).body.toString(), 'ok');
		ms.push(now() - t);
		r.destroy();
		await sleep(10);
	}
	ms.sort((x, y) => x - y);
	return { median: ms[times >> 1], most: ms[Math.floor(times * 0.9)], worst: ms[times - 1] };
}

/** Not over TLS: there half-open is another thing, and the crowd's own handshakes are what a machine with few cores is busy with. */
if (!overTls) serverTest(`nobody holds a worker: /health under ${CROWD} each of half-open, slow header, slow body and slow download`,
	{ timeout: 180000, args: ['--header-timeout', '120', '--max-uploads', '0', '--max-uploads-per-user', '0', '--new-people', '0', '--max-file-mb', '25'] }, async (s, t) => {
		const people = [];
		for (let i = 0; i < Math.ceil(CROWD / 16); i++) people.push(await join2(s, `uploader ${i}`));
		people[0].send({ type: 'file', blob: await upload(s, people[0].token, noise(2 << 20)), filename: 'f.bin' });
		const { url } = await people[0].next('file');
		for (const c of people) c.ws.terminate();
		const kinds = {
			'half-open': () => '',
			'slow header': () => `GET /health HTTP/1.1\r\n${HOST}X: `,
			'slow body': i => `POST ${uploadPath(newKey(), 100000)} HTTP/1.1\r\n${HOST}Authorization: Bearer ${people[i >> 4].token}\r\nContent-Length: 100000\r\n\r\nxyz`,
			'slow download': () => `GET ${url} HTTP/1.1\r\n${HOST}\r\n`,
		};
		const calm = await health(s), before = s.fds(), all = [];
		let descriptors = 0; // of the crowd alone
		for (const [kind, bytesOf] of Object.entries(kinds)) {
			all.push(...await crowd(s, CROWD, bytesOf));
			// While they are worked off, and when they only wait: a body and a download have a file open then.
			const first = await health(s);
			descriptors += CROWD * (bytesOf(0).includes('/upload') || bytesOf(0).includes('/f/') ? 2 : 1);
			const deadline = Date.now() + 30000 * patience;
			while (s.fds() < descriptors) {
				assert.ok(Date.now() < deadline, `${s.fds()} descriptors instead of ${descriptors} with ${kind}`);
				await sleep(50);
			}
			const ms = await health(s);
			t.diagnostic(`/health with ${all.length} connections, the last ${CROWD} ${kind}: median ${first.median.toFixed(1)}, worst ${first.worst.toFixed(1)} ms while they come; then ` +
				`${ms.median.toFixed(1)} and ${ms.worst.toFixed(1)} ms`);
			judgeDelay(first.worst, calm.worst, `/health while they came, with ${kind}`);
			judgeDelay(ms.worst, calm.worst, `/health with ${kind}`);
		}
		// They are all still there: sending them away is not what made it fast.
		assert.ok(s.fds() >= descriptors, `${s.fds()} descriptors`);
		assert.equal(await metric(s, 'refused_total{reason="connections"}'), 0);
		const c = await s.join('newcomer');
		c.text('still here');
		await c.next({ text: 'still here' });
		for (const socket of all) socket.destroy();
		const deadline = Date.now() + 20000 * patience;
		while (s.fds() > before + 10) {
			assert.ok(Date.now() < deadline, `${s.fds()} descriptors, ${before} at first`);
			await sleep(100);
		}
	});

/** Seconds of CPU that the server has used, all threads. */
function cpu(s) {
	const fields = fs.readFileSync(`/proc/${s.pid}/stat`, 'latin1').split(') ')[1].split(' ');
	return (Number(fields[11]) + Number(fields[12])) / 100;
}

serverTest('descriptors run out: accepting waits without spinning, people chat on, and it goes on when there are some again',
	{ timeout: 60000, nofile: 600, args: ['--header-timeout', '120'], allow: /cannot accept/ }, async s => {
		execFileSync('prlimit', ['--pid', String(s.pid), '--nofile=256:']); // fewer than it was given at start
		const [a, b] = await s.joinAll('a', 'b');
		const held = [];
		for (let i = 0; i < 400; i++) held.push(await hold(s, overTls ? '\x16' : 'GET /health HTTP/1.1\r\n'));
		await sleep(300);
		assert.match(s.output, /cannot accept.*raise the limit of open files/);
		assert.ok(s.fds() >= 250, `${s.fds()} descriptors`);
		const used = cpu(s);
		await sleep(2000);
		assert.ok(cpu(s) - used < 0.2 * slack, `${cpu(s) - used} s of CPU in 2 s of waiting`);
		a.text('meanwhile');
		await b.next({ text: 'meanwhile' });
		const waiting = Raw.connect(s).then(async r => {
			r.socket.write(`GET /health HTTP/1.1\r\n${HOST}\r\n`);
			return (await r.response(15000)).status;
		});
		await sleep(200);
		for (const socket of held) socket.destroy();
		assert.equal(await waiting, 200);
		await (await s.connect()).join('late');
		assert.equal(s.output.match(/cannot accept/g).length, 1, 'said once, not at each attempt');
	});

serverTest('by default there are fewer connections than descriptors, and who is one too many hears so', { timeout: 60000, nofile: 256 }, async s => {
	const held = [];
	for (let i = 0; i < 300; i++) held.push(await hold(s, overTls ? '\x16' : 'GET /health HTTP/1.1\r\n'));
	// The kernel says connected before the server has seen any of them. They are accepted in order: when the last has its answer, all have.
	const last = await Raw.connect(s, { plain: true });
	const head = await last.head(5000);
	if (overTls) assert.equal(head, null, 'nothing can be said before a handshake');
	else assert.match(head, /^HTTP\/1\.1 503 /);
	await last.end();
	assert.ok(await metric(s, 'refused_total{reason="connections"}') > 50);
	assert.doesNotMatch(s.output, /cannot accept/);
	assert.ok(s.fds() < 240, `${s.fds()} descriptors`);
	assert.match((await ctl(s, ['status'])).stdout, /\S/); // the administrator still gets in
	for (const socket of held) socket.destroy();
	const deadline = Date.now() + 5000 * patience;
	while (!(await s.get('/health').then(r => r.ok, () => false))) assert.ok(Date.now() < deadline, 'nobody gets in again');
});
