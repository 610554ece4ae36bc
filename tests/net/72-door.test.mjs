// Who may come in, and how much one address may have: origins, trusted proxies, bans, limits. Each limit has its metric.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { bad, overTls, patience, serverTest, sleep } from './lib.mjs';
import { Raw } from './raw.mjs';
import { join2, newKey, request, uploadPath } from './v2.mjs';
import { adminRequest, ctl, metric } from './admin.mjs';

const refused = (s, why) => metric(s, `refused_total{reason="${why}"}`);
const lines = headers => Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('');

/** One request on a connection of its own, or on `on`. */
async function ask(s, start, headers = {}, { on, ...options } = {}) {
	const r = on || await Raw.connect(s, options);
	r.socket.write(`${start} HTTP/1.1\r\n${lines({ Host: 'chat.example', ...headers })}\r\n`);
	const answer = await r.response();
	if (!on) r.destroy();
	return answer;
}

/** A WebSocket's handshake: the open connection, or the status that refused it. */
async function knock(s, headers = {}, { on, ...options } = {}) {
	const r = on || await Raw.connect(s, options);
	r.socket.write('GET /ws HTTP/1.1\r\n' + lines({ Host: 'chat.example', Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Version': '13',
		'Sec-WebSocket-Key': crypto.randomBytes(16).toString('base64'), ...headers }) + '\r\n');
	const answer = await r.response();
	if (answer && answer.status === 101) return r;
	r.destroy();
	return answer ? answer.status : null;
}

async function enters(s, headers, options) {
	const r = await knock(s, headers, options);
	assert.equal(typeof r, 'object', `${JSON.stringify(headers)} got ${r}`);
	return r;
}

/** Waits until `probe` gives `wanted`; says what it gave last. */
async function becomes(wanted, probe, ms = 5000) {
	const deadline = Date.now() + ms * patience;
	for (;;) {
		const got = await probe();
		if (got === wanted) return;
		assert.ok(Date.now() < deadline, `${got} instead of ${wanted}`);
		await sleep(20);
	}
}

const join = async (r, name, token) => {
	r.send({ type: 'join', v: 2, name, token });
	return r.json('init');
};

serverTest('only pages of its own reach the WebSocket and uploads', { allow: /origin refused/ }, async s => {
	const own = overTls ? 'https://chat.example' : 'http://chat.example';
	const cases = [
		[{}, 101], [{ Origin: own }, 101], [{ Origin: 'https://chat.example' }, 101], [{ Origin: own.toUpperCase() }, 101],
		[{ Origin: `${own}:8080`, Host: 'chat.example:8080' }, 101],
		[{ Origin: 'http://chat.example' }, overTls ? 403 : 101], // over TLS a page that anybody on the way could have written is not its own
		[{ Origin: 'https://evil.example' }, 403], [{ Origin: 'https://chat.example.evil.example' }, 403], [{ Origin: 'null' }, 403],
		[{ Origin: `${own}:8080` }, 403], [{ Origin: own, Host: 'chat.example:8080' }, 403], [{ Origin: 'file://' }, 403],
		[{ Origin: 'chat.example' }, 403], [{ Origin: '' }, 403], [{ Origin: '*' }, 403],
	];
	let foreign = 0;
	for (const [headers, status] of cases) {
		const r = await knock(s, headers);
		assert.equal(typeof r === 'object' ? 101 : r, status, JSON.stringify(headers));
		if (typeof r === 'object') r.destroy();
		const post = await ask(s, 'POST /upload?key=k&size=1', { 'Content-Length': 0, ...headers });
		assert.equal(post.status, status === 101 ? 401 : 403, `POST of ${JSON.stringify(headers)}`);
		foreign += 2 * (status === 403);
		assert.equal((await ask(s, 'GET /health', headers)).status, 200, 'who only reads may come from anywhere');
	}
	assert.equal(await refused(s, 'origin'), foreign);
	assert.equal((await ask(s, 'OPTIONS /upload', { Origin: 'https://evil.example', 'Access-Control-Request-Method': 'POST' })).status, 405);
	assert.doesNotMatch((await ask(s, 'GET /health', { Origin: 'https://evil.example' })).head, /Access-Control/i);
});

serverTest('--allow-origin lets other pages in, with all that their browsers ask for',
	{ args: ['--allow-origin', 'https://www.example:443', '--allow-origin', 'null'], allow: /origin refused/ }, async s => {
		for (const Origin of ['https://www.example', 'null']) {
			(await enters(s, { Origin })).destroy();
			const pre = await ask(s, 'OPTIONS /upload', { Origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'authorization' });
			assert.equal(pre.status, 204);
			assert.match(pre.head, /^Access-Control-Allow-Methods: .*POST/m);
			assert.match(pre.head, /^Access-Control-Allow-Methods: .*DELETE/m, 'an upload can be given up from there, too');
			assert.match(pre.head, /^Access-Control-Allow-Headers: .*Authorization/m);
			for (const answer of [pre, await ask(s, 'POST /upload?key=k&size=1', { Origin, 'Content-Length': 0 }), await ask(s, 'GET /nothing', { Origin })]) {
				assert.ok(answer.head.includes(`\r\nAccess-Control-Allow-Origin: ${Origin}\r\n`), answer.head);
				assert.match(answer.head, /^Vary: .*Origin/m);
			}
		}
		(await enters(s, { Origin: overTls ? 'https://chat.example' : 'http://chat.example' })).destroy();
		for (const Origin of ['http://www.example', 'https://www.example:8443', 'https://evil.example']) {
			assert.equal(await knock(s, { Origin }), 403);
			assert.doesNotMatch((await ask(s, 'GET /nothing', { Origin })).head, /Access-Control/i);
		}
	});

serverTest('a trusted proxy names its clients; nobody else names anybody', { args: ['--trust-proxy', '127.0.0.1'] }, async s => {
	const people = {};
	const come = async (name, forwarded, options) => {
		people[name] = await enters(s, forwarded, options);
		await join(people[name], name);
	};
	const addressOf = async name => (await adminRequest(s, 'GET', '/v1/users')).json.users.find(u => u.name === name).addresses[0];
	await come('plain', { 'X-Forwarded-For': '192.0.2.1' });
	await come('forger', { 'X-Forwarded-For': '203.0.113.9, 192.0.2.2' });
	await come('six', { 'X-Forwarded-For': '[2001:db8::6]:4711' });
	await come('standard', { Forwarded: 'for=203.0.113.9, for="192.0.2.3:80";proto=https' });
	await come('nobody', {});
	await come('stranger', { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1' }, { localAddress: '127.0.0.2' });
	const wanted = { plain: '192.0.2.1', forger: '192.0.2.2', six: '2001:db8::6', standard: '192.0.2.3', nobody: '127.0.0.1', stranger: '127.0.0.2' };
	for (const [name, address] of Object.entries(wanted)) assert.equal(await addressOf(name), address, name);
	await s.says(/proxy names no client/);

	// A ban meets the client, at its WebSocket and at each request, and not the others that share the proxy's connections.
	const shared = await Raw.connect(s);
	const as = address => ask(s, 'GET /health', { 'X-Forwarded-For': address }, { on: shared });
	assert.equal((await as('192.0.2.2')).status, 200);
	await ctl(s, ['ban', '--ip', '192.0.2.0/30', '--reason', 'net', '--force']);
	for (const name of ['plain', 'forger', 'standard']) assert.equal(await people[name].closeCode(), 4002, name);
	assert.equal(await knock(s, { 'X-Forwarded-For': '192.0.2.1' }), 403);
	assert.equal(await knock(s, { 'X-Forwarded-For': '198.51.100.1, 192.0.2.1' }), 403);
	for (const address of ['192.0.2.1, 198.51.100.1', '192.0.2.9']) (await enters(s, { 'X-Forwarded-For': address })).destroy();
	assert.equal((await as('192.0.2.9')).status, 200);
	assert.equal((await as('192.0.2.2')).status, 403);
	for (const name of ['six', 'nobody', 'stranger']) {
		people[name].send({ type: 'text', text: `still here ${name}`, cid: name });
		await people[name].json('text');
	}
	assert.equal(await refused(s, 'banned'), 3);
	// With --with-ip it is the client's address, too.
	await ctl(s, ['ban', 'six', '--with-ip']);
	assert.equal(await knock(s, { 'X-Forwarded-For': '2001:db8::6' }), 403);
	(await enters(s, {})).destroy();
});

serverTest('X-Forwarded-Proto counts from a trusted proxy alone', { args: ['--trust-proxy', '127.0.0.1'], allow: /origin refused/ }, async s => {
	const hasBoth = answer => [/^Strict-Transport-Security:/mi, /^Cross-Origin-Opener-Policy: same-origin/mi].map(p => p.test(answer.head));
	const https = { 'X-Forwarded-For': '192.0.2.1', 'X-Forwarded-Proto': 'https' };
	const isTls = overTls; // with a certificate of its own, which HSTS is not for
	assert.deepEqual(hasBoth(await ask(s, 'GET /', https)), [!isTls, true]);
	assert.deepEqual(hasBoth(await ask(s, 'GET /nothing', https)), [!isTls, true]);
	assert.deepEqual(hasBoth(await ask(s, 'GET /', { ...https, 'X-Forwarded-Proto': 'http' })), [false, isTls]);
	assert.deepEqual(hasBoth(await ask(s, 'GET /', https, { localAddress: '127.0.0.2' })), [false, isTls]);
	// The page was loaded by HTTPS, so one by HTTP is not it.
	assert.equal(await knock(s, { ...https, Origin: 'http://chat.example' }), 403);
	(await enters(s, { ...https, Origin: 'https://chat.example' })).destroy();
});

serverTest('connections of one address are limited, WebSockets for as long as they live', { args: ['--exempt', 'none', '--max-connections-per-ip', '5'] }, async s => {
	const from = { localAddress: '127.0.0.5' };
	const all = [await Raw.connect(s, from), await Raw.connect(s, from)];
	for (let i = 0; i < 3; i++) all.push(await enters(s, {}, from));
	await join(all[4], 'fifth');
	const sixth = () => ask(s, 'GET /health', {}, from).catch(() => null); // inside TLS: closed
	const answer = await sixth();
	assert.equal(answer ? answer.status : 429, 429);
	if (!overTls) {
		assert.match(answer.head, /^Retry-After: \d+\r$/m);
		assert.match(answer.head, /^X-Content-Type-Options: nosniff\r$/m);
		assert.match(answer.head, /^Content-Security-Policy: /m);
	}
	assert.ok(await refused(s, 'address') >= 1);
	assert.match(s.output, /turned away.*peer=127\.0\.0\.5.*limit=max-connections-per-ip/);
	assert.equal((await ask(s, 'GET /health', {}, { localAddress: '127.0.0.6' })).status, 200, 'another address');
	all[4].destroy(); // an I/O thread gives its seat back
	await becomes(200, async () => (await sixth())?.status);
	all[4] = await enters(s, {}, from);
	all[3].send({ type: 'nonsense' }, bad);
	all[0].destroy();
	await becomes(200, async () => (await sixth())?.status);
	for (const r of all) r.destroy();
	await becomes('object', async () => typeof (await knock(s, {}, from).catch(() => null)));
});

serverTest('through a proxy each request counts for its client', { args: ['--trust-proxy', '127.0.0.1', '--max-connections-per-ip', '3', '--handshake-rate', '1'] }, async s => {
	const a = { 'X-Forwarded-For': '192.0.2.1' }, b = { 'X-Forwarded-For': '192.0.2.2' };
	const sockets = [];
	for (let i = 0; i < 3; i++) sockets.push(await enters(s, a));
	assert.equal(await knock(s, a), 429);
	assert.equal((await ask(s, 'GET /health', a)).status, 429);
	assert.equal((await ask(s, 'GET /health', b)).status, 200);
	// On one connection of the proxy, kept alive: requests that are over count no more.
	const shared = await Raw.connect(s);
	for (let i = 0; i < 30; i++) assert.equal((await ask(s, 'GET /health', b, { on: shared })).status, 200);
	sockets.pop().destroy();
	await becomes(200, async () => (await ask(s, 'GET /health', a)).status);
	// Ten handshakes a second's worth at once; then no more.
	let open = 0;
	for (let i = 0; i < 12; i++) {
		const r = await knock(s, b);
		if (typeof r !== 'object') { assert.equal(r, 429); continue; }
		open++;
		r.destroy();
		await becomes(2, () => metric(s, 'connections'));
	}
	assert.ok(open >= 10 && open <= 11, `${open} handshakes`);
	assert.ok(await refused(s, 'handshakes') >= 1);
	assert.equal((await ask(s, 'GET /health', b)).status, 200, 'what is no handshake is not concerned');
});

serverTest('a /48 of IPv6 is limited as well as its /64s', { args: ['--trust-proxy', '127.0.0.1', '--max-connections-per-ip', '3', '--handshake-rate', '10'] }, async s => {
	const of = i => ({ 'X-Forwarded-For': `2001:db8:1:${i}::1` }), sockets = [];
	for (let i = 0; i < 12; i++) sockets.push(await enters(s, of(i >> 1)));
	assert.equal(await knock(s, of(100)), 429);
	assert.ok(await refused(s, 'address') >= 1);
	assert.equal((await ask(s, 'GET /health', { 'X-Forwarded-For': '2001:db8:2::1' })).status, 200, 'another /48');
	sockets.pop().destroy();
	await becomes(200, async () => (await ask(s, 'GET /health', of(100))).status);
	for (const r of sockets) r.destroy();
});

serverTest('where descriptors are few, one address does not take all', { nofile: 256, args: ['--exempt', 'none', '--handshake-rate', '0'] }, async s => {
	const from = { localAddress: '127.0.0.5' }, all = [];
	const enter = () => enters(s, {}, from).then(r => all.push(r), () => null);
	while (all.length < 250 && await enter());
	assert.ok(all.length > 20 && all.length < 129, `${all.length} of 256`);
	assert.ok(await refused(s, 'address') >= 1);
	assert.equal((await ask(s, 'GET /health', {}, { localAddress: '127.0.0.6' })).status, 200);
	for (const r of all) r.destroy();
});

serverTest('new connections of one address are limited by rate', { args: ['--exempt', 'none', '--handshake-rate', '2'] }, async s => {
	const from = { localAddress: '127.0.0.7' };
	let good = 0;
	for (let i = 0; i < 30; i++) good += (await ask(s, 'GET /health', {}, from).catch(() => null))?.status === 200;
	assert.ok(good >= 20 && good < 30, `${good} of 30`);
	assert.ok(await refused(s, 'handshakes') >= 1);
	assert.equal((await ask(s, 'GET /health', {}, { localAddress: '127.0.0.8' })).status, 200);
	await becomes(200, async () => (await ask(s, 'GET /health', {}, from).catch(() => null))?.status);
});

serverTest('connections in all are limited, and idle ones make room', { args: ['--max-connections', '8'] }, async s => {
	const all = [];
	for (let i = 0; i < 7; i++) all.push(await enters(s));
	const idle = await Raw.connect(s);
	assert.equal((await ask(s, 'GET /health', {}, { on: idle })).status, 200);
	// The ninth is told to come again, and finds room then: the idle one is gone.
	const first = await ask(s, 'GET /health').catch(() => null);
	assert.equal(first ? first.status : 503, 503);
	await idle.end();
	await becomes(200, async () => (await ask(s, 'GET /health').catch(() => null))?.status);
	assert.ok(await refused(s, 'connections') >= 1);
	all.push(await enters(s));
	assert.notEqual((await ask(s, 'GET /health').catch(() => null))?.status, 200, 'WebSockets are not sent away for others');
	await becomes(8, () => metric(s, 'connections'));
	for (const r of all) r.send({ type: 'join', v: 2, name: 'sits' });
	for (const r of all) await r.json('init');
});

// 40 people behind one address, 3 tabs and 6 other connections each: the arithmetic of wavechatd(8).
serverTest('a class of 40 behind one address never meets a limit, not even after a restart', { args: ['--exempt', 'none'], timeout: 90000 }, async s => {
	const from = { localAddress: '127.0.0.9' }, tokens = [];
	for (let round = 0; round < 2; round++) {
		const http = await Promise.all(Array.from({ length: 240 }, () => Raw.connect(s, from)));
		const tabs = await Promise.all(Array.from({ length: 120 }, () => Raw.connect(s, from)));
		await Promise.all(http.map(async r => assert.equal((await ask(s, 'GET /health', {}, { on: r })).status, 200)));
		await Promise.all(tabs.map(r => enters(s, {}, { on: r })));
		await Promise.all(Array.from({ length: 40 }, async (_, i) => {
			for (let tab = 0; tab < 3; tab++) tokens[i] = (await join(tabs[3 * i + tab], `pupil ${i}`, tokens[i])).token || tokens[i];
		}));
		for (const why of ['address', 'handshakes', 'connections']) assert.equal(await refused(s, why), 0, why);
		if (round === 0) {
			await s.stop();
			await s.restart();
		}
		for (const r of [...http, ...tabs]) r.destroy();
	}
});

serverTest('a header has a size and a time', { args: ['--max-header-bytes', '2048', '--header-timeout', '1'] }, async s => {
	assert.equal((await ask(s, 'GET /health', { 'X-Y': 'y'.repeat(1900) })).status, 200);
	assert.equal((await ask(s, 'GET /health', { 'X-Y': 'y'.repeat(2100) })).status, 431);
	const endless = await Raw.connect(s);
	endless.socket.write(`GET /health HTTP/1.1\r\nX: ${'y'.repeat(2100)}`); // no end in sight is enough
	assert.equal((await endless.response()).status, 431);
	assert.equal(await refused(s, 'header'), 2);
	const began = Date.now();
	const slow = await Raw.connect(s);
	slow.socket.write('GET /health HTTP/1.1\r\n');
	const drip = setInterval(() => slow.socket.writable && slow.socket.write('X'), 100);
	const late = await slow.response(4000).finally(() => clearInterval(drip));
	assert.equal(late.status, 408);
	assert.ok(Date.now() - began >= 900, `after ${Date.now() - began} ms`);
	assert.equal(await refused(s, 'header_time'), 1);
	const said = limit => s.output.match(new RegExp(`turned away.*limit=${limit} count=1`, 'g'))?.length;
	assert.deepEqual([said('header'), said('header-timeout')], [1, 1], 'each reason once a minute');
});

serverTest('one upload begun over and over takes no more places than others do', { args: ['--max-uploads-per-user', '2'] }, async s => {
	const a = await join2(s, 'a'), key = newKey(), under = [];
	/** All at offset 0 and without a byte of the body, so that each may go on where the last one is. */
	const begin = async () => {
		const r = await Raw.connect(s);
		under.push(r);
		r.socket.write(`POST ${uploadPath(key, 1000, 0)} HTTP/1.1\r\n${lines({ Host: 'chat.example', Authorization: `Bearer ${a.token}`, 'Content-Length': 1000, Expect: '100-continue' })}\r\n`);
		return Number(/^HTTP\/1\.1 (\d+)/.exec(await r.head())[1]);
	};
	const statuses = [];
	for (let i = 0; i < 6; i++) statuses.push(await begin());
	assert.deepEqual(statuses, [100, 100, 100, 429, 429, 429], 'two, and the one whose place the last takes');
	for (const r of under) r.destroy();
});

serverTest('uploads at once are limited, of one person and in all', { args: ['--max-uploads-per-user', '2', '--max-uploads', '3'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const under = [];
	/** An upload that stays under way: all but its last byte; or the status that refused it. */
	const begin = async (who, key, offset = 0) => {
		const r = await Raw.connect(s);
		const length = 1000 - offset;
		r.socket.write(`POST ${uploadPath(key, 1000, offset)} HTTP/1.1\r\n${lines({ Host: 'chat.example', Authorization: `Bearer ${who.token}`, 'Content-Length': length, Expect: '100-continue' })}\r\n`);
		const head = await r.head();
		const status = Number(/^HTTP\/1\.1 (\d+)/.exec(head)[1]);
		if (status !== 100) { r.destroy(); return status; }
		r.socket.write(Buffer.alloc(length - 1));
		under.push(r);
		return r;
	};
	const keys = [newKey(), newKey(), newKey(), newKey(), newKey()];
	await begin(a, keys[0]);
	await begin(a, keys[1]);
	assert.equal(await begin(a, keys[2]), 429);
	assert.equal(typeof await begin(b, keys[3]), 'object', 'another person');
	assert.equal(await begin(b, keys[4]), 503);
	assert.equal(await refused(s, 'uploads'), 2);
	// One ends, and there is room at once.
	under[0].socket.write(Buffer.alloc(1));
	assert.equal((await under[0].response()).status, 200);
	assert.equal(typeof await begin(a, keys[2]), 'object');
	// One breaks off.
	under[1].destroy();
	await becomes('object', async () => typeof await begin(b, keys[4]));
	// To go on with one's own, of which the server does not know yet that it broke, is no further one.
	const state = await request(s, 'GET', `/upload?key=${keys[2]}`, { headers: { authorization: `Bearer ${a.token}` } });
	assert.equal(state.json.size, 1000);
	for (const r of under) r.destroy();
	await becomes(200, async () => {
		const r = await request(s, 'POST', uploadPath(newKey(), 5), { headers: { authorization: `Bearer ${a.token}`, 'content-length': 5 }, body: 'hello' });
		return r.status;
	});
	assert.ok((await adminRequest(s, 'GET', '/v1/status')).status === 200);
});
