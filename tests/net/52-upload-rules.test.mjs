// Uploads obey the rules of messages: sanctions, the password, limits by person and address; and they can be given up.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ctl, metric } from './admin.mjs';
import { exact, noise, patience, serverTest, sleep } from './lib.mjs';
import { isStored, soon } from './lost.mjs';
import { beginUpload, error2, join2, newKey, request, uploadPath } from './v2.mjs';
import { Raw } from './raw.mjs';

const MB = 1 << 20;
const auth = token => ({ authorization: `Bearer ${token}` });
const post = (s, token, body, { key = newKey(), headers = {} } = {}) =>
	request(s, 'POST', uploadPath(key, body.length), { headers: { ...auth(token), 'content-length': body.length, ...headers }, body });
const drop = (s, token, key) => request(s, 'DELETE', `/upload?key=${key}`, { headers: auth(token) });

serverTest('a banned token uploads nothing, asks nothing; a muted one uploads nothing', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), body = noise(1000), key = newKey();
	assert.equal((await post(s, a.token, body, { key })).status, 200);
	await ctl(s, ['mute', 'b', '--for', '1h', '--reason', 'calm "down"']);
	const muted = await post(s, b.token, body);
	assert.equal(muted.status, 403);
	exact(muted.json, { error: 'muted', text: /calm "down"/, retry_ms: v => v > 3500_000 && v <= 3600_000 });
	assert.equal((await request(s, 'GET', '/upload?key=x', { headers: auth(b.token) })).status, 404);
	await ctl(s, ['ban', 'a', '--reason', 'spam']);
	for (const r of [await post(s, a.token, body), await request(s, 'GET', `/upload?key=${key}`, { headers: auth(a.token) }), await drop(s, a.token, key)]) {
		assert.equal(r.status, 403);
		exact(r.json, { error: 'banned', text: /spam/ });
	}
	assert.equal(await metric(s, 'refused_total{reason="upload_leave"}'), 4);
	await ctl(s, ['unban', 'a']);
	await ctl(s, ['unmute', 'b']);
	for (const c of [a, b]) assert.equal((await post(s, c.token, body)).status, 200);
	assert.equal((await post(s, 'nobody', body)).status, 401);
});

serverTest('a ban breaks off the uploads of its person, name or address, and nobody else\'s', { args: ['--trust-proxy', '127.0.0.1'] }, async s => {
	const people = [], uploads = [];
	for (const name of ['a', 'b', 'c', 'd']) people.push(await join2(s, name));
	for (const [i, c] of people.entries()) uploads.push(await beginUpload(s, c.token, newKey(), 2000, noise(1000), { 'x-forwarded-for': `203.0.113.${i}` }));
	await ctl(s, ['ban', `id:${people[0].id}`]);
	await ctl(s, ['ban', '--name', 'b']);
	await ctl(s, ['ban', '--ip', '203.0.113.2']);
	assert.deepEqual(await Promise.all(uploads.map(u => u.goOn(noise(1000)))), [403, 403, 403, 200]);
});

serverTest('an address that is muted uploads nothing either', { args: ['--trust-proxy', '127.0.0.1'] }, async s => {
	const a = await join2(s, 'a'), body = noise(1000);
	await ctl(s, ['mute', '--ip', '203.0.113.0/24']);
	assert.equal((await post(s, a.token, body, { headers: { 'x-forwarded-for': '203.0.113.7' } })).status, 403);
	assert.equal((await post(s, a.token, body, { headers: { 'x-forwarded-for': '203.0.114.7' } })).status, 200);
});

serverTest('bytes of uploads are limited, and those that never came are not counted', { limits: true, args: ['--byte-burst-mb', '4', '--byte-rate-kb', '64'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), body = noise(2 * MB);
	// Broken off again and again: a network like that uses nothing up.
	for (let i = 0; i < 6; i++)
		(await beginUpload(s, a.token, `k${i}`, 2 * MB, body.subarray(0, 1000))).breakOff();
	await sleep(200);
	const statuses = [];
	let last;
	for (let i = 0; i < 5; i++) statuses.push((last = await post(s, a.token, body)).status);
	// A file passes while any bytes are left, and some come back meanwhile.
	assert.deepEqual([...statuses.slice(0, 2), ...statuses.slice(3)], [200, 200, 429, 429]);
	exact(last.json, { error: 'rate_limited', retry_ms: v => v > 0 && v < 120_000 });
	assert.ok(Number(last.headers['retry-after']) > 0);
	assert.ok(await metric(s, 'limited_total{limit="uploads"}') >= 2);
	assert.equal((await post(s, b.token, body)).status, 200, 'others have their own');
	a.send({ type: 'text', text: 'words go on' });
	await a.next('text');
});

serverTest('a token of before a changed password uploads nothing', async s => {
	const file = path.join(s.dir, 'password'), a = await join2(s, 'a');
	assert.equal((await post(s, a.token, noise(10))).status, 200);
	fs.writeFileSync(file, 'sesame\n', { mode: 0o600 });
	await s.stop();
	s.options.args = ['--join-password-file', file];
	await s.restart();
	const r = await post(s, a.token, noise(10));
	assert.equal(r.status, 403);
	exact(r.json, { error: 'password_required' });
	await join2(s, '', { token: a.token, password: 'sesame' });
	assert.equal((await post(s, a.token, noise(10))).status, 200);
});

serverTest('an upload can be given up, and then its bytes are gone', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), body = noise(3 * MB), kept = noise(2 * MB, 5);
	for (let i = 0; i < 20; i++) { // more than a person may leave open
		(await beginUpload(s, a.token, `k${i}`, body.length, body.subarray(0, 5000))).breakOff();
		assert.equal((await drop(s, b.token, `k${i}`)).status, 404, 'by its owner alone');
		assert.equal((await drop(s, a.token, `k${i}`)).status, 204);
		assert.equal((await drop(s, a.token, `k${i}`)).status, 404);
	}
	const whole = await post(s, a.token, body, { key: 'whole' }), used = await post(s, a.token, kept, { key: 'used' });
	a.send({ type: 'file', blob: used.json.blob, filename: 'used' });
	await a.next('file');
	assert.equal((await drop(s, a.token, 'whole')).status, 204);
	a.send({ type: 'file', blob: whole.json.blob, filename: 'dropped', cid: 'd' });
	exact(await a.next('error'), error2('bad_request', { cid: 'd' }));
	await soon('an upload that was given up', () => !isStored(s, body));
	await drop(s, a.token, 'used');
	await sleep(1500 * patience / 4);
	assert.ok(isStored(s, kept), 'a message has these');
	assert.ok(!fs.existsSync(path.join(s.dir, 'data', 'lost')));
});

serverTest('one address has at most half of the places', { args: ['--max-uploads', '8', '--trust-proxy', '127.0.0.1', '--exempt', 'none'], timeout: 60000 }, async s => {
	const held = [];
	const people = await Promise.all(Array.from({ length: 8 }, (_, i) => join2(s, `p${i}`)));
	/** Holds a place; resolves to the status of a refusal, or null. */
	const hold = async (c, from) => {
		const r = await Raw.connect(s);
		r.socket.write(`POST ${uploadPath(newKey(), 1000)} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: ${from}\r\nAuthorization: Bearer ${c.token}\r\nContent-Length: 1000\r\n\r\nx`);
		const answer = await Promise.race([new Promise(resolve => r.socket.once('data', resolve)), sleep(400 * patience / 4)]);
		held.push(r);
		return answer ? Number(String(answer).split(' ')[1]) : null;
	};
	const statuses = [];
	for (const c of people) statuses.push(await hold(c, '198.51.100.9'));
	assert.deepEqual(statuses, [null, null, null, null, 429, 429, 429, 429]);
	assert.equal((await post(s, people[0].token, noise(10), { headers: { 'x-forwarded-for': '198.51.100.10' } })).status, 200);
	// An IPv6 customer has a /48 of networks.
	const six = [];
	for (const [i, c] of people.entries()) six.push(await hold(c, `2001:db8:1:${i}::1`));
	assert.deepEqual(six.slice(0, 4), [null, null, null, null]);
	assert.ok(six.slice(4).every(status => status === 429), String(six));
	assert.ok(await metric(s, 'refused_total{reason="uploads"}') >= 8);
	held.forEach(r => r.destroy());
});

serverTest('two addresses that hold all places hold up nobody else', { args: ['--max-uploads', '4', '--trust-proxy', '127.0.0.1', '--exempt', 'none'], timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c'), under = [], keys = [];
	for (const from of ['198.51.100.9', '2001:db8:1::1'])
		for (let i = 0; i < 2; i++) {
			keys.push(newKey());
			under.push(await beginUpload(s, i ? a.token : b.token, keys.at(-1), 1000, noise(500), { 'x-forwarded-for': from }));
		}
	// One of them, the slowest of an address, loses its place to an address that has none, and can be resumed.
	assert.equal((await post(s, c.token, noise(10), { headers: { 'x-forwarded-for': '198.51.100.10' } })).status, 200);
	const statuses = await Promise.all(under.map(u => u.goOn(noise(500))));
	assert.deepEqual(statuses.sort(), [200, 200, 200, 503]);
	assert.equal(await metric(s, 'refused_total{reason="uploads"}'), 1);
	await s.says(/upload refused.*reason=displaced/);
	const states = await Promise.all(keys.map(async (key, i) => (await request(s, 'GET', `/upload?key=${key}`, { headers: auth(i % 2 ? a.token : b.token) })).json.offset));
	assert.deepEqual(states.sort(), [1000, 1000, 1000, 500]);
	// Among those with as many places nobody displaces anybody.
	const more = [];
	for (const [i, from] of ['198.51.100.9', '198.51.100.10', '198.51.100.11', '198.51.100.12'].entries())
		more.push(await beginUpload(s, [a, b, c][i % 3].token, newKey(), 1000, noise(500), { 'x-forwarded-for': from }));
	assert.equal((await post(s, c.token, noise(10), { headers: { 'x-forwarded-for': '198.51.100.13' } })).status, 503);
	assert.deepEqual(await Promise.all(more.map(u => u.goOn(noise(500)))), [200, 200, 200, 200]);
});
