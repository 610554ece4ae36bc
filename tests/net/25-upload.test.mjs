// Files by URL: uploads that go on where they stopped, downloads by range, and what a hostile one gets.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { metric } from './admin.mjs';
import { makeCold } from './disk.mjs';
import { bad, exact, fence, noise, nothingFor, serverTest, slack, sleep } from './lib.mjs';
import { beginUpload, error2, file2, isUrl, join2, newKey, request, upload, uploadPath, voice2 } from './v2.mjs';

const MB = 1 << 20;
const auth = token => ({ authorization: `Bearer ${token}` });
const sha = b => crypto.createHash('sha256').update(b).digest('hex');

/** Shares `body` and gives the message as its sender and as `other` saw it. */
async function share(s, from, other, body, more = {}) {
	const blob = await upload(s, from.token, body);
	from.send({ type: 'file', blob, filename: 'f.bin', ...more });
	return [await from.next('file'), await other.next('file')];
}

serverTest('uploaded, shared, fetched: the same bytes', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(300_001);
	const blob = await upload(s, a.token, body);
	a.send({ type: 'file', blob, filename: 'фото один.png', mime: 'image/png', width: 10, height: 20, cid: 'c' });
	const more = { filename: 'фото один.png', mime: 'image/png', size: body.length, width: 10, height: 20 };
	const own = exact(await a.next('file'), file2(a, { ...more, self: true, cid: 'c' }));
	const got = exact(await b.next('file'), file2(a, more));
	assert.equal(got.url, own.url);
	const r = await request(s, 'GET', got.url);
	assert.equal(r.status, 200);
	assert.ok(r.body.equals(body));
	assert.equal(r.headers['content-type'], 'image/png');
	assert.match(r.headers['cache-control'], /immutable/);
	assert.equal(r.headers['x-content-type-options'], 'nosniff');
	assert.match(r.headers['content-security-policy'], /sandbox/);
	assert.ok(r.headers.etag);
	const head = await request(s, 'HEAD', got.url);
	assert.equal(Number(head.headers['content-length']), body.length);
	assert.equal((await request(s, 'GET', got.url, { headers: { 'if-none-match': r.headers.etag } })).status, 304);
	const old = await s.join('old');
	assert.equal(old.init.history[0].data, null); // past the 256 KiB that a history inlines
});

serverTest('a file that the disk alone has is read by others than those who send', async (s, t) => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(3 << 20), [{ url }] = await share(s, a, b, body);
	if (!makeCold(path.join(s.dir, 'data', 'blobs'))) return t.skip('this file system does not tell');
	assert.equal(await metric(s, 'cold_reads_total'), 0);
	const all = await Promise.all([request(s, 'GET', url), request(s, 'GET', url, { headers: { range: 'bytes=1000000-2500000' } }), request(s, 'GET', url)]);
	assert.deepEqual(all.map(r => r.status), [200, 206, 200]);
	assert.ok(all[0].body.equals(body) && all[2].body.equals(body) && all[1].body.equals(body.subarray(1000000, 2500001)));
	const reads = await metric(s, 'cold_reads_total');
	assert.ok(reads >= 1, `${reads} reads`);
	assert.ok((await request(s, 'GET', url)).body.equals(body));
	assert.equal(await metric(s, 'cold_reads_total'), reads, 'now it is in memory');
});

serverTest('ranges, as a player asks for them', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(100_000);
	const [, m] = await share(s, a, b, body, { filename: 'v.webm', mime: 'video/webm' });
	const get = range => request(s, 'GET', m.url, { headers: { range } });
	for (const [range, from, to] of [['bytes=0-', 0, 99_999], ['bytes=0-0', 0, 0], ['bytes=500-999', 500, 999], ['bytes=99999-', 99_999, 99_999], ['bytes=-10', 99_990, 99_999],
		['bytes=99990-200000', 99_990, 99_999], ['bytes=-200000', 0, 99_999]]) {
		const r = await get(range);
		assert.equal(r.status, 206, range);
		assert.equal(r.headers['content-range'], `bytes ${from}-${to}/100000`);
		assert.ok(r.body.equals(body.subarray(from, to + 1)), range);
	}
	const past = await get('bytes=100000-');
	assert.equal(past.status, 416);
	assert.equal(past.headers['content-range'], 'bytes */100000');
	for (const range of ['bytes=5-2', 'lines=1-2', 'bytes=x-', 'bytes=', 'bytes=99999999999999999999-']) assert.ok([200, 206, 416].includes((await get(range)).status), range);
	const several = await get('bytes=0-1,5-6');
	assert.ok([200, 206].includes(several.status));
	const first = await request(s, 'GET', m.url);
	assert.match(first.headers['accept-ranges'] || '', /bytes/);
	const stale = await request(s, 'GET', m.url, { headers: { range: 'bytes=0-9', 'if-range': '"other"' } });
	assert.equal(stale.status, 200, 'if-range of another version is the whole');
	assert.equal((await request(s, 'GET', m.url, { headers: { range: 'bytes=0-9', 'if-range': first.headers.etag } })).status, 206);
});

serverTest('only a safe list is shown inline, all else is an attachment', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(100);
	for (const [filename, mime, inline] of [
		['a.png', 'image/png', true], ['a.jpg', 'image/jpeg', true], ['a.webp', 'image/webp', true], ['a.mp4', 'video/mp4', true], ['a.ogg', 'audio/ogg', true],
		['a.html', 'text/html', false], ['a.svg', 'image/svg+xml', false], ['a.js', 'text/javascript', false], ['a.xhtml', 'application/xhtml+xml', false],
		['a.pdf', 'application/pdf', false], ['a.png', 'text/html', false], ['a', 'image/png; charset=x', null], ['a.txt', 'nonsense\r\nX-Evil: 1', null], ['a"b\\.bin', 'application/x-any', false],
	]) {
		const [, m] = await share(s, a, b, body, { filename, mime });
		const r = await request(s, 'GET', m.url);
		assert.equal(r.status, 200, filename);
		const disposition = r.headers['content-disposition'] || 'inline';
		if (inline !== null) assert.match(disposition, inline ? /^inline/ : /^attachment/, `${filename} as ${mime}`);
		if (!/^inline/.test(disposition) || inline === null) assert.doesNotMatch(r.headers['content-type'] || '', /html|svg|javascript|xml/, mime);
		assert.equal(r.headers['x-evil'], undefined);
	}
});

serverTest('an upload that broke off goes on where it stopped, also after kill -9', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	const body = noise(5 * MB), key = newKey();
	const where = async () => request(s, 'GET', `/upload?key=${key}`, { headers: auth(a.token) });
	assert.equal((await where()).status, 404);
	(await beginUpload(s, a.token, key, body.length, body.subarray(0, 2 * MB))).breakOff();
	let r = await where();
	assert.equal(r.status, 200);
	assert.equal(r.json.size, body.length);
	const offset = r.json.offset;
	assert.ok(offset > 0 && offset <= 2 * MB, `offset ${offset}`);
	for (const wrong of [0 + 1, offset + 1, offset - 1, body.length]) {
		const w = await request(s, 'POST', uploadPath(key, body.length, wrong), { headers: { ...auth(a.token), 'content-length': body.length - wrong }, body: body.subarray(wrong) });
		assert.equal(w.status, 409, `offset ${wrong}`);
		assert.equal(w.json.offset, offset);
	}
	await s.kill9();
	await s.restart();
	const after = (await where()).json.offset;
	assert.ok(after > 0 && after <= offset);
	const rest = await request(s, 'POST', uploadPath(key, body.length, after), { headers: { ...auth(a.token), 'content-length': body.length - after }, body: body.subarray(after) });
	assert.equal(rest.status, 200, String(rest.body));
	exact(rest.json, { blob: v => typeof v === 'string' && v.length > 10, size: body.length, offset: body.length });
	// Asked again, complete is complete, and the handle is the same.
	const again = await where();
	assert.equal(again.json.blob, rest.json.blob);
	const back = await join2(s, '', { token: a.token });
	back.send({ type: 'file', blob: rest.json.blob, filename: 'big' });
	const m = await back.next('file');
	assert.equal(sha((await request(s, 'GET', m.url)).body), sha(body));
});

serverTest('the same bytes twice are stored once, and nobody can tell', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(200_000);
	const [, one] = await share(s, a, b, body);
	const [, two] = await share(s, b, a, body).then(([x, y]) => [y, x]);
	assert.notEqual(one.url, two.url, 'each message has its own secret');
	assert.notEqual((await upload(s, a.token, body)), await upload(s, a.token, body), 'each upload its own handle');
	const files = [];
	const walk = dir => fs.readdirSync(dir, { withFileTypes: true }).forEach(e => (e.isDirectory() ? walk(path.join(dir, e.name)) : files.push(path.join(dir, e.name))));
	walk(path.join(s.dir, 'data'));
	assert.equal(files.filter(f => fs.statSync(f).size === body.length).length, 1, files.join(' '));
	const hash = sha(body);
	for (const f of [...a.frames, ...b.frames]) assert.ok(!JSON.stringify(f).includes(hash.slice(0, 16)), 'the hash is nobody\'s business');
});

serverTest('a handle is good for its uploader alone', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const blob = await upload(s, a.token, noise(1000));
	b.send({ type: 'file', blob, filename: 'stolen', cid: 'x' });
	exact(await b.next('error'), error2('bad_request', { cid: 'x' }));
	for (const wrong of ['', 'x', blob + 'A', '../../../etc/passwd', sha(noise(1000)), 5, {}]) {
		a.send({ type: 'file', blob: wrong, filename: 'f' }, bad);
		assert.equal((await a.next('error')).code, 'bad_request', JSON.stringify(wrong));
	}
	await nothingFor(a, [a, b]);
	const a2 = await join2(s, '', { token: a.token });
	a2.send({ type: 'file', blob, filename: 'from my other device' });
	await b.next('file');
});

serverTest('an upload needs a token, a length and a sane size', async s => {
	const a = await join2(s, 'a');
	const post = (p, headers, body = 'x') => request(s, 'POST', p, { headers, body });
	const ok = { ...auth(a.token), 'content-length': 1 };
	assert.equal((await post(uploadPath('k', 1), { 'content-length': 1 })).status, 401);
	assert.equal((await post(uploadPath('k', 1), { authorization: 'Bearer wrong', 'content-length': 1 })).status, 401);
	assert.equal((await post(uploadPath('k', 1), { authorization: `Basic ${a.token}`, 'content-length': 1 })).status, 401);
	assert.equal((await request(s, 'GET', '/upload?key=k')).status, 401);
	assert.equal((await post(uploadPath('k', 1), { ...auth(a.token), 'transfer-encoding': 'chunked' })).status, 411);
	for (const p of ['/upload', '/upload?key=k', '/upload?key=&size=1', `/upload?key=${'k'.repeat(65)}&size=1`, '/upload?key=../x&size=1', '/upload?key=k&size=-1',
		'/upload?key=k&size=x', '/upload?key=k&size=1&offset=-1', '/upload?key=k&size=1&offset=2', '/upload?key=k&size=99999999999999999999', '/upload?key=k%00&size=1'])
		assert.ok([400, 409, 413].includes((await post(p, ok)).status), p);
	assert.equal((await post(uploadPath('k', 5), ok)).status, 400, 'length is size less offset');
	const big = await post(uploadPath('k', 26 * MB), { ...auth(a.token), 'content-length': 26 * MB }).catch(() => ({ status: 413, json: { max_file_mb: 25 } }));
	assert.equal(big.status, 413);
	assert.equal(big.json.max_file_mb, 25);
	assert.equal((await request(s, 'PUT', uploadPath('k', 1), { headers: auth(a.token) })).status, 405);
	assert.equal(await (await s.get('/health')).text(), 'ok');
});

serverTest('files of every size up to the limit', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (const n of [1, 2, 4095, 4096, 65536, MB + 1, 25 * MB]) {
		const body = noise(n, n);
		const [, m] = await share(s, a, b, body);
		assert.equal(m.size, n);
		assert.equal(sha((await request(s, 'GET', m.url)).body), sha(body), `${n} bytes`);
	}
	a.send({ type: 'voice', blob: await upload(s, a.token, noise(10 * MB)), duration: 5, mime: 'audio/webm' });
	exact(await b.next('voice'), voice2(a, { duration: 5, mime: 'audio/webm', size: 10 * MB }));
	a.send({ type: 'voice', blob: await upload(s, a.token, noise(10 * MB + 1)), duration: 5 });
	assert.equal((await a.next('error')).code, 'too_large');
});

serverTest('what is not a file\'s URL is 404', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const [, m] = await share(s, a, b, noise(100));
	const [, , secret, name] = m.url.split('/');
	const flip = (secret[0] === '0' ? '1' : '0') + secret.slice(1); // digits: a secret may be hex in either case
	for (const p of [`/f/${flip}/${name}`, `/f/${secret}x/${name}`, '/f/x/y', '/f//', '/f/%00/x', `/f/${'A'.repeat(5000)}/x`])
		assert.ok([400, 404, 414, 431].includes((await request(s, 'GET', p)).status), p.slice(0, 80));
	for (const p of [`/f/${secret}/other-name.bin`, `/f/${secret}`]) assert.ok([200, 404].includes((await request(s, 'GET', p)).status), p); // the secret is what counts
	assert.equal((await request(s, 'POST', m.url, { headers: { 'content-length': 0 } })).status, 405);
	assert.ok(isUrl(m.url));
});

serverTest('large transfers cost little memory and delay nobody', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const body = noise(25 * MB);
	const before = s.memory().own;
	let peak = 0, done = false, n = 0;
	const watch = (async () => {
		while (!done) {
			peak = Math.max(peak, s.memory().own);
			a.text(`t${n}`);
			await b.next({ text: `t${n++}` });
			await sleep(5);
		}
	})();
	const blob = await upload(s, a.token, body);
	a.send({ type: 'file', blob, filename: 'big' });
	const m = await a.next('file');
	const got = await Promise.all([0, 1, 2].map(() => request(s, 'GET', m.url)));
	done = true;
	await watch;
	got.forEach(r => assert.ok(r.body.equals(body)));
	if (slack === 1) assert.ok(peak - before < 6 * MB, `25 MB up and 3 × 25 MB down took ${(peak - before) / MB} MB`);
	assert.ok(n > 5, `${n} texts meanwhile`);
});

serverTest('readers that stall in mid-download hold nobody up', { timeout: 60000 }, async s => {
	const { Raw } = await import('./raw.mjs');
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const [, m] = await share(s, a, b, noise(20 * MB));
	const stalled = [];
	for (let i = 0; i < 40; i++) {
		const r = await Raw.connect(s);
		r.socket.write(`GET ${m.url} HTTP/1.1\r\nHost: x\r\n\r\n`);
		r.socket.pause();
		stalled.push(r);
	}
	const slow = []; // and uploads that drip
	for (let i = 0; i < 10; i++) {
		const r = await Raw.connect(s);
		r.socket.write(`POST ${uploadPath(newKey(), 1000)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${a.token}\r\nContent-Length: 1000\r\n\r\nx`);
		slow.push(r);
	}
	await sleep(300);
	for (let i = 0; i < 5; i++) {
		assert.equal(await (await s.get('/health')).text(), 'ok');
	}
	await upload(s, a.token, noise(1000));
	await fence(a, [a, b]);
	// All of them are still there: nobody waited for one to go.
	for (const r of [...stalled, ...slow]) assert.ok(!r.ended);
	[...stalled, ...slow].forEach(r => r.destroy());
});
