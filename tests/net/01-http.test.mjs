// The HTTP side: the page in each encoding, its caching and policy, /health, and what is not there.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import zlib from 'node:zlib';
import http from 'node:http';
import https from 'node:https';
import { serverTest } from './lib.mjs';
import { Raw } from './raw.mjs';

/** A request that decodes nothing by itself. */
function request(s, { method = 'GET', path = '/', headers = {} } = {}) {
	return new Promise((resolve, reject) => {
		const req = (s.isSecure ? https : http).request({ host: '127.0.0.1', port: s.port, method, path, headers, agent: false, rejectUnauthorized: false }, res => {
			const parts = [];
			res.on('data', d => parts.push(d));
			res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts) }));
		});
		req.on('error', reject);
		req.end();
	});
}

serverTest('/health is 200 ok', async s => {
	const r = await request(s, { path: '/health' });
	assert.equal(r.status, 200);
	assert.equal(r.body.toString(), 'ok');
	assert.match(r.headers['content-type'], /^text\/plain/);
	assert.equal((await request(s, { path: '/health', method: 'HEAD' })).body.length, 0);
});

serverTest('/ is the page, gzipped for who accepts it and plain for who does not', async s => {
	const plain = await request(s);
	assert.equal(plain.status, 200);
	assert.match(plain.headers['content-type'], /^text\/html; *charset=utf-8$/i);
	assert.equal(plain.headers['content-encoding'], undefined);
	assert.equal(Number(plain.headers['content-length']), plain.body.length);
	assert.match(plain.body.toString(), /^<!doctype html>/i);
	const gz = await request(s, { headers: { 'accept-encoding': 'gzip, deflate, br' } });
	assert.equal(gz.headers['content-encoding'], 'gzip');
	assert.equal(Number(gz.headers['content-length']), gz.body.length);
	assert.deepEqual(zlib.gunzipSync(gz.body), plain.body);
	assert.match(gz.headers.vary || '', /accept-encoding/i);
	assert.match(plain.headers.vary || '', /accept-encoding/i);
	const refused = await request(s, { headers: { 'accept-encoding': 'gzip;q=0' } });
	assert.equal(refused.headers['content-encoding'], undefined, 'q=0 means no');
	assert.deepEqual(refused.body, plain.body);
});

serverTest('/ has an ETag, and a client that has it gets 304', async s => {
	for (const encoding of ['gzip', 'identity']) {
		const headers = { 'accept-encoding': encoding };
		const first = await request(s, { headers });
		const etag = first.headers.etag;
		assert.match(etag, /^(W\/)?"[^"]+"$/);
		const again = await request(s, { headers: { ...headers, 'if-none-match': etag } });
		assert.equal(again.status, 304);
		assert.equal(again.body.length, 0);
		assert.equal(again.headers.etag, etag);
		assert.equal((await request(s, { headers: { ...headers, 'if-none-match': `"other", ${etag}` } })).status, 304, 'in a list');
		assert.equal((await request(s, { headers: { ...headers, 'if-none-match': '"other"' } })).status, 200);
	}
	assert.doesNotMatch((await request(s)).headers['cache-control'] || 'no-cache', /immutable/, 'a new version must be seen');
});

serverTest('HEAD / has the headers of GET and no body', async s => {
	const get = await request(s), head = await request(s, { method: 'HEAD' });
	assert.equal(head.status, 200);
	assert.equal(head.body.length, 0);
	for (const h of ['content-length', 'content-type', 'etag']) assert.equal(head.headers[h], get.headers[h], h);
});

serverTest('the page\'s policy allows exactly its own inline parts', async s => {
	const r = await request(s);
	const csp = r.headers['content-security-policy'];
	assert.ok(csp, 'a Content-Security-Policy');
	assert.doesNotMatch(csp, /unsafe-inline|unsafe-eval/);
	assert.equal(r.headers['x-content-type-options'], 'nosniff');
	const html = r.body.toString();
	for (const [, tag, body] of html.matchAll(/<(script|style)\b[^>]*>([\s\S]*?)<\/\1>/gi)) {
		if (!body) continue;
		const hash = crypto.createHash('sha256').update(body).digest('base64');
		assert.ok(csp.includes(`'sha256-${hash}'`), `hash of a ${tag} in ${csp}`);
	}
	assert.doesNotMatch(html, /\son[a-z]+="/i, 'no inline handlers, which the policy would block');
});

serverTest('what is not there is 404, a wrong method 405', async s => {
	for (const path of ['/nothing', '/ws/x', '/../etc/passwd', '/%2e%2e/%2e%2e/etc/passwd', '/f/', '/index.php', '/%00', '/health/x'])
		assert.ok([400, 404].includes((await request(s, { path })).status), path);
	for (const [method, path] of [['POST', '/'], ['PUT', '/'], ['DELETE', '/health'], ['POST', '/health']]) {
		const r = await request(s, { method, path, headers: { 'content-length': '0' } });
		assert.equal(r.status, 405, `${method} ${path}`);
		assert.match(r.headers.allow || '', /GET/, `Allow for ${method} ${path}`);
	}
});

serverTest('requests follow each other on one connection', async s => {
	const r = await Raw.connect(s);
	for (let i = 0; i < 3; i++) {
		r.socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
		const answer = await r.response();
		assert.equal(answer.status, 200);
		assert.equal(answer.body.toString(), 'ok');
	}
	r.socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
	assert.equal((await r.response()).status, 200, 'first of two sent at once');
	assert.equal((await r.response()).status, 404, 'second of two sent at once');
	await r.end();
});

serverTest('a request in tiny pieces is still a request', async s => {
	const r = await Raw.connect(s);
	for (const c of 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n') {
		r.socket.write(c);
		await new Promise(resolve => setImmediate(resolve));
	}
	assert.equal((await r.response()).status, 200);
	r.destroy();
});

serverTest('HTTP/1.0 without a Host is served and closed', async s => {
	const r = await Raw.connect(s);
	r.socket.write('GET /health HTTP/1.0\r\n\r\n');
	const answer = await r.response();
	assert.equal(answer.status, 200);
	assert.equal(answer.body.toString(), 'ok');
	await r.end();
});

serverTest('/ws without a proper handshake is a plain HTTP error', async s => {
	const good = { Upgrade: 'websocket', Connection: 'Upgrade', 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version': '13' };
	const wrong = [
		[{}, [400, 426]],
		[{ ...good, 'Sec-WebSocket-Version': '8' }, [400, 426]],
		[{ ...good, 'Sec-WebSocket-Key': undefined }, [400]],
		[{ ...good, Upgrade: 'h2c' }, [400, 426]],
	];
	for (const [headers, statuses] of wrong) {
		const r = await Raw.connect(s);
		r.socket.write('GET /ws HTTP/1.1\r\nHost: x\r\n' + Object.entries(headers).filter(([, v]) => v).map(([k, v]) => `${k}: ${v}\r\n`).join('') + '\r\n');
		const answer = await r.response();
		assert.ok(answer, `an answer to ${JSON.stringify(headers)}`);
		assert.ok(statuses.includes(answer.status), `${answer.status} to ${JSON.stringify(headers)}`);
		r.destroy();
	}
	assert.equal(await (await s.get('/health')).text(), 'ok');
});
