// v2.mjs — what the tests of the second dialect share: joining, shapes, uploads.
import assert from 'node:assert/strict';
import http from 'node:http';
import https from 'node:https';
import { isId, isNow, patience, sleep } from './lib.mjs';

/** Connected and joined in the second dialect; `.init`, `.id`, `.name` and, where one was issued or used, `.token` are kept. */
export async function join2(s, name, more = {}, how = {}) {
	const c = await s.connect(how);
	await rejoin2(c, name, more);
	return c;
}

export async function rejoin2(c, name, more = {}) {
	c.send({ type: 'join', v: 2, name, ...more });
	const init = await c.take(15000);
	assert.equal(init.type, 'init', c.story());
	assert.equal(init.v, 2);
	Object.assign(c, { init, id: init.my_id, name: init.my_name, token: init.token || more.token });
	return init;
}

export const isAt = v => Number.isSafeInteger(v) && isNow(v);
export const isToken = v => typeof v === 'string' && v.length >= 43 && /^[A-Za-z0-9_-]+$/.test(v);
const message = (type, from, more) => ({ type, id: isId, at: isAt, dm: false, from_id: from.id, from_name: from.name, ...more });
export const text2 = (from, text, more) => message('text', from, { text, ...more });
export const dm2 = (from, to, text, more) => message('text', from, { dm: true, to_id: to.id, to_name: to.name, text, ...more });
export const isUrl = v => typeof v === 'string' && /^\/f\/[A-Za-z0-9_-]{16,}\/[^/]+$/.test(v);
export const file2 = (from, more) => message('file', from, { url: isUrl, ...more });
export const voice2 = (from, more) => message('voice', from, { url: isUrl, mime: v => typeof v === 'string', ...more });
export const error2 = (code, more) => ({ type: 'error', code, text: v => typeof v === 'string' && v.length > 0, ...more });

/** Messages among frames: what has an id and stands in the order. */
export const messages = frames => frames.filter(f => ['text', 'file', 'voice'].includes(f.type));

/** An HTTP request with a body, or without; nothing decoded or retried. */
export function request(s, method, path, { headers = {}, body, endEarly = false } = {}) {
	return new Promise((resolve, reject) => {
		const req = (s.isSecure ? https : http).request({ host: '127.0.0.1', port: s.port, method, path, headers, agent: false, rejectUnauthorized: false }, res => {
			const parts = [];
			res.on('data', d => parts.push(d));
			res.on('end', () => {
				const bytes = Buffer.concat(parts);
				let json = null;
				try { json = JSON.parse(bytes.toString()); } catch { /* not everything is */ }
				resolve({ status: res.statusCode, headers: res.headers, body: bytes, json });
			});
			res.on('error', reject);
		});
		req.on('error', reject);
		if (endEarly) { // the line breaks in mid-body
			req.write(body);
			setTimeout(() => req.destroy(new Error('broken off')), endEarly).unref();
		} else req.end(body);
	});
}

let keys = 0;
export const newKey = () => `key-${process.pid}-${++keys}`;

export const uploadPath = (key, size, offset = 0) => `/upload?key=${encodeURIComponent(key)}&size=${size}&offset=${offset}`;

/** An upload of `size` bytes whose first `bytes` are stored when this resolves: `{ goOn, breakOff }`. goOn sends more and resolves to the status. */
export async function beginUpload(s, token, key, size, bytes, headers = {}) {
	const auth = { authorization: `Bearer ${token}` };
	let answered, broken;
	const req = (s.isSecure ? https : http).request({ host: '127.0.0.1', port: s.port, method: 'POST', path: uploadPath(key, size), headers: { ...auth, 'content-length': size, ...headers }, agent: false, rejectUnauthorized: false });
	const status = new Promise(resolve => {
		req.on('response', res => { answered = true; res.resume(); resolve(res.statusCode); });
		req.on('error', e => { broken = e; resolve(e.code); });
	});
	req.write(bytes);
	for (const end = Date.now() + 10000 * patience; (await request(s, 'GET', `/upload?key=${key}`, { headers: { ...auth, ...headers } })).json?.offset !== bytes.length;) {
		assert.ok(!answered && !broken && Date.now() < end, `the first bytes were not stored: ${broken || (answered ? 'answered' : 'too slow')}`);
		await sleep(10);
	}
	return { goOn: more => { req.write(more); return status; }, breakOff: () => req.destroy() };
}

/** Uploads body in one go; the handle. */
export async function upload(s, token, body, key = newKey()) {
	const r = await request(s, 'POST', uploadPath(key, body.length), { headers: { authorization: `Bearer ${token}`, 'content-length': body.length }, body });
	assert.equal(r.status, 200, `${r.status} ${r.body}`);
	assert.equal(r.json.size, body.length);
	assert.ok(r.json.blob, 'a handle');
	return r.json.blob;
}
