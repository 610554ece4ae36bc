// The defaults, met by nobody who means well: a class behind one address, photographs pasted at once, thousands who come back through one proxy after a
// restart. Loopback is not exempt here. No error, no refusal, and no metric of a limit moves.
import assert from 'node:assert/strict';
import test from 'node:test';
import { adminRequest } from './admin.mjs';
import { Foe } from './fairness-foes.mjs';
import { Server, noise, patience, slack, sleep, within } from './lib.mjs';

const LIMITS = /^wavechat_((?:limited|refused|dropped|flood_mutes|evicted)\w*_total\S*) (\S+)$/gm;

/** Whatever limit was met, by name. */
async function met(s) {
	const { text } = await adminRequest(s, 'GET', '/v1/metrics');
	return [...text.matchAll(LIMITS)].filter(([, , n]) => Number(n)).map(([, name, n]) => `${name} ${n}`);
}

/** A well-meaning client: frames in, answers counted by type. */
class Friend {
	types = {};
	constructor(socket) {
		this.socket = socket;
		socket.on('data', d => {
			for (const [, type] of d.toString('latin1').matchAll(/"type":"(\w+)"/g)) this.types[type] = (this.types[type] || 0) + 1;
		});
	}
	say(...frames) {
		for (const one of frames) this.socket.write(Foe.frame(one));
	}
	async has(type, n) {
		for (const end = Date.now() + 60000 * patience; (this.types[type] || 0) < n && Date.now() < end;) await sleep(10);
		assert.ok((this.types[type] || 0) >= n, `${n} × ${type} among ${JSON.stringify(this.types)}`);
	}
}

async function withServer(options, fn) {
	const s = await Server.start({ limits: true, ...options, args: ['--exempt', 'none', ...(options.args || [])] });
	try {
		await fn(s).catch(async e => {
			e.message += `; met ${await met(s)}; the server said ${s.output.slice(-1500)}`;
			throw e;
		});
		await s.stop('SIGTERM', 20000);
	} finally {
		await s.cleanUp();
	}
}

const friends = s => new Foe(s.port, {}, { isQuiet: true, patienceMs: 60000 * patience });

test('40 people behind one address join within a minute, with three tabs each, and talk', { timeout: 120000 * patience }, () => withServer({}, async s => {
	const f = friends(s), from = '127.0.88.1';
	await Promise.all([...Array(40).keys()].map(async i => {
		const parts = ['/', '/sw.js', '/manifest.webmanifest', '/icon.svg', '/icon-192.png', '/icon-512.png'];
		for (const r of await Promise.all(parts.map(p => f.request('GET', p, { from })))) assert.equal(r.status, 200);
		const first = await f.chat({ type: 'join', v: 2, name: `pupil ${i}` }, { from });
		const tabs = [first, ...await Promise.all([1, 2].map(() => f.chat({ type: 'join', v: 2, token: first.token }, { from })))];
		const me = new Friend(first);
		for (const tab of tabs.slice(1)) new Friend(tab).say({ type: 'who' }, { type: 'history' });
		me.say({ type: 'typing' }, { type: 'text', text: `hello, I am ${i}`, cid: `a${i}` }, { type: 'who' }, { type: 'history', limit: 200 });
		for (let n = 0; n < 8; n++) me.say({ type: 'text', text: `line ${n}`, cid: `b${n}` });
		await me.has('history', 1);
		await me.has('who', 1);
	}));
	const last = new Friend(await f.chat({ type: 'join', name: 'the teacher' }, { from }));
	last.say({ type: 'text', text: 'quiet, please' });
	await last.has('text', 1);
	assert.deepEqual(f.got.refused, {});
	assert.deepEqual(await met(s), []);
}));

test('10 photographs pasted at once, by each of four people behind one address', { timeout: 120000 * patience }, () => withServer({}, async s => {
	const f = friends(s), from = '127.0.88.1', photo = noise(4 << 20, 5);
	await Promise.all([...Array(4).keys()].map(async i => {
		const socket = await f.chat({ type: 'join', v: 2, name: `photographer ${i}` }, { from }), me = new Friend(socket);
		const queue = [...Array(10).keys()];
		await Promise.all([1, 2].map(async () => { // the page sends two at a time
			for (let n; (n = queue.shift()) !== undefined;) {
				const body = Buffer.from(photo);
				body.write(`photograph ${i} ${n}`);
				const blob = await f.upload(socket.token, body, { from });
				assert.ok(blob, JSON.stringify(f.got.refused));
				me.say({ type: 'file', blob, filename: `${n}.jpg`, mime: 'image/jpeg', cid: `p${n}` });
			}
		}));
		await me.has('file', 10);
	}));
	assert.deepEqual(f.got.refused, {});
	assert.deepEqual(await met(s), []);
}));

const COUNT = slack > 1 ? 500 : 5000;
test('5,000 people come back after a restart, all behind one proxy', { timeout: 240000 * patience }, () => withServer({ args: ['--trust-proxy', '127.0.99.1', '--header-timeout', '120'] }, async s => {
	const f = friends(s), from = '127.0.99.1', addressOf = i => `198.51.${(i / 40 / 250) | 0}.${1 + (((i / 40) | 0) % 250)}`; // 40 behind each address
	const tokens = Array(COUNT), sockets = new Set();
	const come = async (join, i, then) => {
		const socket = await f.chat(join, { from, client: addressOf(i) });
		sockets.add(socket);
		then?.(socket);
	};
	for (let i = 0; i < COUNT; i += 250)
		await Promise.all([...Array(250).keys()].map(j => come({ type: 'join', v: 2, name: `person ${i + j}` }, i + j, socket => (tokens[i + j] = socket.token))));
	const talker = new Friend([...sockets][0]);
	for (let n = 0; n < 20; n++) talker.say({ type: 'text', text: `before ${n}`, cid: `c${n}` });
	await talker.has('text', 20);
	assert.deepEqual(await met(s), []);
	for (const socket of sockets) f.end(socket);
	sockets.clear();
	await s.stop('SIGTERM', 20000);
	await s.restart();
	// A page waits for a random part of a second and more before it comes back: what is on its way at once is some hundreds.
	const queue = [...Array(COUNT).keys()];
	await within(180000 * patience, Promise.all(Array.from({ length: 500 }, async () => {
		for (let i; (i = queue.shift()) !== undefined;) await come({ type: 'join', v: 2, token: tokens[i], since: 1 }, i);
	})), () => `all to be back; ${queue.length} left`);
	assert.equal(sockets.size, COUNT);
	assert.deepEqual(f.got.refused, {});
	assert.deepEqual(await met(s), []);
	for (const socket of sockets) f.end(socket);
}));
