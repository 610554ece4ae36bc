// fairness-foes.mjs — the attackers of the fairness suite, a row each, and the process that plays one: node fairness-foes.mjs ROW PORT SEED.
//
// An attacker has the addresses 127.0.77.x and the tokens in SEED, a file of JSON. It prints "at it" with its first answer, and at SIGTERM a line of
// JSON: what it sent, and how it was refused. It judges nothing: fairness.mjs does.
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { fileURLToPath } from 'node:url';

const MB = 1 << 20, home = '127.0.77.1';
const sleep = ms => new Promise(r => setTimeout(r, ms));

// --- Frames of a client, masked with zeros, which changes nothing and costs nothing.

function frame(payload, { opcode = 1, fin = true } = {}) {
	const body = Buffer.isBuffer(payload) ? payload : Buffer.from(typeof payload === 'string' ? payload : JSON.stringify(payload)), n = body.length;
	const head = Buffer.alloc(n < 126 ? 6 : n < 65536 ? 8 : 14);
	head[0] = (fin ? 0x80 : 0) | opcode;
	head[1] = 0x80 | (n < 126 ? n : n < 65536 ? 126 : 127);
	if (n >= 65536) head.writeBigUInt64BE(BigInt(n), 2);
	else if (n >= 126) head.writeUInt16BE(n, 2);
	return Buffer.concat([head, body]);
}

/** One frame again and again, about `bytes` of them. */
const many = (one, bytes = 16384) => Buffer.concat(Array(Math.max(1, Math.floor(bytes / one.length))).fill(one));

// --- What an attacker does with a server

export class Foe {
	got = { sent: 0, joins: 0, answers: 0, uploaded: 0, refused: {} };
	isOver = false;
	#serial = 0;

	/** isQuiet: it does not say that it is at it. patienceMs: how long it waits for `init`. */
	constructor(port, seed, { isQuiet = false, patienceMs = 20000 } = {}) {
		Object.assign(this, { port, seed, isQuiet, patienceMs });
	}

	static frame(object) {
		return frame(object);
	}

	next() {
		return ++this.#serial;
	}

	answered() {
		if (!this.got.answers++ && !this.isQuiet) process.stdout.write('at it\n');
	}

	/** For an attacker that needs a while to be ready: it is at it when it says so. */
	prepares() {
		this.isQuiet = true;
	}

	begins() {
		if (this.isQuiet) process.stdout.write('at it\n');
		this.isQuiet = false;
		this.got.answers++;
	}

	refused(why) {
		this.got.refused[why] = (this.got.refused[why] || 0) + 1;
		this.answered();
	}

	/** Again and again until the end, `n` side by side. */
	forever(fn, { n = 1, pause = 20 } = {}) {
		for (let i = 0; i < n; i++)
			(async () => {
				while (!this.isOver) {
					try {
						await fn(i);
					} catch { /* thrown out: again */ }
					await sleep(pause);
				}
			})();
	}

	/** A socket that has sent a handshake and the frame `first`, once it has joined. What comes is looked at for refusals, or with `reads: false` left
	 * in the socket from then on. With `waits: false` the socket is given as soon as the frames are on their way. */
	chat(first, { from = home, reads = true, waits = true, client } = {}) {
		return new Promise((resolve, reject) => {
			const s = net.connect({ port: this.port, host: '127.0.0.1', localAddress: from });
			let text = '', isIn = false;
			s.setNoDelay(true);
			s.on('error', e => (s.why = e.code));
			s.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${this.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n${client ? `X-Forwarded-For: ${client}\r\n` : ''}` +
				`Sec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}\r\n\r\n`);
			s.write(frame(first), () => { if (!waits) resolve(s); });
			s.on('data', d => {
				const head = d.toString('latin1', 0, 4096);
				for (let at = -1; (at = d.indexOf('"type":"error"', at + 1)) >= 0;) this.refused(/"code":"([a-z_]+)"/.exec(d.toString('latin1', at, at + 48))?.[1] || 'error');
				if (isIn) return;
				text = (text + head).slice(-65536);
				const status = /^HTTP\/1\.1 (\d+)/.exec(text)?.[1];
				if (status && status !== '101') this.refused(`HTTP ${status}`);
				if (!text.includes('"init"')) return;
				isIn = true;
				s.token = /"token":"([^"]+)"/.exec(text)?.[1];
				s.id = Number(/"my_id":(\d+)/.exec(text)?.[1]);
				this.got.joins++;
				this.answered();
				if (!reads) s.pause();
				resolve(s);
			});
			s.once('close', () => {
				if (!this.isOver && !s.isMine) this.refused(s.why || 'closed');
				reject(new Error(`closed${isIn ? '' : ' before init'}: ${JSON.stringify(this.got)}`));
			});
			const timer = setTimeout(() => { if (!isIn && waits) this.end(s); }, this.patienceMs);
			timer.unref();
			s.once('close', () => clearTimeout(timer));
		});
	}

	/** An identity that the server knows from before. */
	known(i, more = {}) {
		return { type: 'join', v: 2, token: this.seed.foes[i % this.seed.foes.length].token, ...more };
	}

	end(s) {
		s.isMine = true;
		s.destroy();
	}

	/** Writes until the socket takes no more; false once it is closed. */
	async write(s, bytes, count = 1) {
		if (s.destroyed || this.isOver) return false;
		this.got.sent += count;
		if (!s.write(bytes)) await Promise.race([new Promise(r => s.once('drain', r)), new Promise(r => s.once('close', r)), sleep(5000)]);
		return !s.destroyed;
	}

	/** `n` connections of four people, or of one each, that send the same bytes as fast as they are taken. */
	flood(bytes, { n = 200, join = i => this.known(1 + i % 4), before, from } = {}) {
		const count = Math.max(1, Math.round(bytes.length / 64));
		this.forever(async i => {
			const s = await this.chat(join(i), { from: from?.(i) });
			if (before) await this.write(s, before);
			while (await this.write(s, bytes, count)) await sleep(1);
		}, { n, pause: 250 });
	}

	/** `n` connections that send `ask` and wait for the answer of `size` bytes or more, or a refusal, `deep` of them at a time. */
	asking(ask, { n = 25, deep = 8, join = () => this.known(0), reads = true, from, rest = 1 } = {}) {
		this.forever(async i => {
			const s = await this.chat(join(i), { reads, from: from?.(i) });
			let had = s.bytesRead;
			for (;;) {
				if (!await this.write(s, many(frame(ask(i)), deep * frame(ask(i)).length), deep)) return;
				if (!reads) {
					await sleep(50);
					continue;
				}
				for (let j = 0; j < 200 && s.bytesRead === had && !s.destroyed; j++) await sleep(5);
				had = s.bytesRead;
				await sleep(rest);
			}
		}, { n, pause: 100 });
	}

	/** Joins that are refused, five on a connection, 50 connections. */
	knocking(join) {
		this.forever(async () => {
			const s = await this.chat({ type: 'join', v: 2, ...join() }, { waits: false });
			s.write(Buffer.concat([1, 2, 3, 4].map(() => frame({ type: 'join', v: 2, ...join() }))));
			for (let i = 0; i < 20 && !s.destroyed && !s.bytesRead; i++) await sleep(10);
			await sleep(20);
			this.end(s);
		}, { n: 50 });
	}

	/** Requests over `n` connections that stay, 50 on their way on each. */
	keeping(target, { n = 50, headers = '' } = {}) {
		this.forever(async () => {
			const s = net.connect({ port: this.port, host: '127.0.0.1', localAddress: home });
			let owed = 0;
			s.on('error', e => (s.why = e.code));
			s.on('data', d => {
				for (const [, status] of d.toString('latin1').matchAll(/HTTP\/1\.1 (\d\d\d)/g)) {
					owed--;
					if (['429', '503', '431', '400'].includes(status)) this.refused(`HTTP ${status}`);
					else this.answered();
				}
			});
			s.once('close', () => { if (!this.isOver) this.refused(s.why || 'closed'); });
			const ask = () => `GET ${target()} HTTP/1.1\r\nHost: 127.0.0.1:${this.port}\r\n${headers}\r\n`;
			for (;;) {
				const count = 50 - owed;
				owed += count;
				if (count && !await this.write(s, Buffer.from(Array.from({ length: count }, ask).join('')), count)) return;
				await sleep(2);
				if (s.destroyed || this.isOver) return;
			}
		}, { n, pause: 100 });
	}

	/** One HTTP request; its status, or "cut". */
	request(method, path, { headers = {}, body, from = home, breakAfter, reads = true } = {}) {
		return new Promise(resolve => {
			const req = http.request({ host: '127.0.0.1', port: this.port, localAddress: from, method, path, headers, agent: false }, res => {
				this.answered();
				if (res.statusCode >= 400 && res.statusCode !== 404) this.refused(`HTTP ${res.statusCode}`);
				if (!reads) {
					setTimeout(() => { req.destroy(); resolve(res.statusCode); }, 20000).unref();
					return;
				}
				let text = '';
				res.on('data', d => (text = (text + d.toString('latin1', 0, 1024)).slice(0, 1024)));
				res.on('end', () => resolve({ status: res.statusCode, text }));
			});
			req.setTimeout(30000, () => req.destroy());
			req.on('error', () => resolve({ status: 'cut', text: '' }));
			req.on('close', () => resolve({ status: 'cut', text: '' }));
			this.got.sent++;
			if (breakAfter === undefined) req.end(body);
			else {
				req.flushHeaders();
				if (body) req.write(body);
				setTimeout(() => req.destroy(), breakAfter);
			}
		});
	}

	async upload(token, body, { size = body.length, from, ...more } = {}) {
		const r = await this.request('POST', `/upload?key=f${process.pid}x${this.next()}&size=${size}&offset=0`,
			{ headers: { authorization: `Bearer ${token}`, 'content-length': size }, body, from, ...more });
		if (r.status === 200) this.got.uploaded += body.length;
		return /"blob":"([^"]+)"/.exec(r.text)?.[1];
	}
}

// --- The rows. `line`: 1 slow work, 2 memory, 3 uploads, 4 cheap frames, 5 addresses, 9 tokens. `counted`: one of these metrics must grow. `disk`:
// megabytes that the data may grow by (100). `memoryMb`: --memory-mb (512); where that is more, the bound is what the server itself states.
// `isBlind`: it reads nothing, reads too late, or is made to wait, so it cannot tell that it is refused. `optional`: it may be served, if bystanders do not notice.

const crowd = f => i => ({ type: 'join', v: 2, name: `crowd ${i} ${f.next()}` });
const guests = f => i => ({ type: 'join', name: `guest ${i} ${f.next()}` });
const body = (n, serial) => { const b = Buffer.alloc(n, 'x'); b.write(`${process.pid} ${serial} `); return b; };
const REQUESTS = [/limited_total/, /refused_total.*(queue|memory|handshakes)/, /evicted_total.*(memory|flood)/, /error_codes_total.*(rate_limited|busy)/];
const MESSAGES = [/limited_total/, /flood_mutes/, /evicted_total.*flood/, /error_codes_total.*(rate_limited|muted)/];
const CHEAP = [/limited_total/, /evicted_total.*(flood|protocol|inserts|pending)/, /flood_mutes/, /error_codes_total.*rate_limited/];
const UPLOADS = [/refused_total.*(upload|storage|slow|queue|memory)/, /limited_total/];
const MEMORY = [/error_codes_total.*(busy|rate_limited|storage)/, /evicted_total.*(pending|large|inserts|lag|stalled|budget|flood)/, /limited_total/, /budget_waits/];
const DOOR = [/refused_total/, /limited_total/, /evicted_total.*(not_joined|not_let_in|protocol|join_timeout|flood)/];

/** A row whose attacker sends one cheap frame from 200 connections of four people, since a person has 64 at most. */
const cheap = (name, what, one, more = {}) => ({ name, line: 4, what: `${what}, 200 connections of four people`, counted: CHEAP, attack: f => f.flood(many(one), more) });

export const rows = [
	// 1. Slow work
	{ name: 'pages', line: 1, what: '25 tabs of one person page through their history', counted: REQUESTS, attack: f => f.asking(() => ({ type: 'history', limit: 1000 })) },
	{ name: 'old-pages', line: 1, what: 'the same, each page at another place', counted: REQUESTS,
		attack: f => f.asking(() => ({ type: 'history', limit: 1000, before: f.seed.first + 1 + Math.floor(Math.random() * (f.seed.last - f.seed.first)) })) },
	{ name: 'syncs', line: 1, what: '25 tabs of one person ask for everything since the beginning', counted: REQUESTS, attack: f => f.asking(() => ({ type: 'sync', since: f.seed.first })) },
	{ name: 'guests-pages', line: 1, what: '25 guests of the first dialect ask for direct messages', counted: REQUESTS,
		attack: f => f.asking(() => ({ type: 'dm_history', peer_id: 1 }), { join: guests(f) }) },
	{ name: 'joins', line: 1, what: 'one token joins again and again with `since`', counted: [...REQUESTS, /evicted_total.*not_let_in/], args: ['--request-rate', '2'],
		attack: f => f.forever(async () => f.end(await f.chat(f.known(0, { since: f.seed.first }))), { n: 40 }) },
	{ name: 'dead-joins', line: 1, what: 'the same, each gone before its answer', isBlind: true, counted: [...REQUESTS, /refused_total/, /jobs_dropped/],
		attack: f => f.forever(async () => { const s = await f.chat(f.known(0, { since: f.seed.first }), { waits: false }); await sleep(5); f.end(s); f.answered(); }, { n: 10 }) },
	{ name: 'crowd-joins', line: 1, what: '20 tokens of one address join again and again with `since`', counted: [...REQUESTS, ...DOOR], args: ['--request-rate', '2', '--address-requests', '10'],
		attack: f => f.forever(async i => f.end(await f.chat(f.known(i, { since: f.seed.first }))), { n: 60 }) },
	{ name: 'lookups', line: 1, what: 'downloads of files that are not there, 50 at once', counted: [/limited_total/, /refused_total/],
		attack: f => f.forever(() => f.request('GET', `/f/${crypto.randomBytes(16).toString('base64url')}/x`), { n: 50, pause: 1 }) },
	{ name: 'fast-downloads', line: 1, what: '200 downloads of 1 MB by one address, read at full speed, again and again', counted: [/limited_total/, /refused_total/], optional: true, attack: async f => {
		f.prepares();
		const path = await ownFile(f, MB);
		f.begins();
		f.forever(() => f.request('GET', path), { n: 200 });
	} },
	{ name: 'upload-looks', line: 1, what: 'one person asks how far an upload got, 50 at once', counted: [...REQUESTS, /refused_total/],
		attack: f => f.forever(i => f.request('GET', `/upload?key=k${i}`, { headers: { authorization: `Bearer ${f.seed.foes[0].token}` } }), { n: 50, pause: 1 }) },
	{ name: 'kept-lookups', line: 1, what: 'the same over 50 connections that stay', counted: [/limited_total/, /refused_total/], optional: true,
		attack: f => f.keeping(() => `/f/${crypto.randomBytes(16).toString('base64url')}/x`) },
	{ name: 'kept-upload-looks', line: 1, what: 'one person asks how far an upload got, over 50 connections that stay', counted: [/limited_total/, /refused_total/], optional: true,
		attack: f => f.keeping(() => `/upload?key=k${f.next()}`, { headers: `Authorization: Bearer ${f.seed.foes[0].token}\r\n` }) },
	{ name: 'small-uploads', line: 1, what: 'one person uploads 8 bytes, 16 at once, again and again', counted: UPLOADS,
		attack: f => f.forever(() => f.upload(f.seed.foes[0].token, Buffer.from(String(f.next()).padStart(8, '0'))), { n: 16, pause: 1 }) },
	{ name: 'lists', line: 1, what: '25 tabs of one person search the list of people', counted: REQUESTS, attack: f => f.asking(() => ({ type: 'who', q: 'zzzz' }), { deep: 50 }) },

	// 2. Memory of what waits
	{ name: 'unread-files', line: 2, what: 'one file of 25 MB, again and again to guests who do not read', counted: MEMORY, memoryMb: 8192, attack: f => unreadFiles(f, 1) },
	{ name: 'unread-crowd', line: 2, what: 'the same from ten senders, to everyone', counted: MEMORY, memoryMb: 8192, disk: 700, attack: f => unreadFiles(f, 10, true) },
	{ name: 'unread-pages', line: 2, what: '40 tabs ask for pages that nobody reads', isBlind: true, memoryMb: 8192, counted: [...MEMORY, ...REQUESTS], attack: f => f.asking(() => ({ type: 'history', limit: 1000 }), { n: 40, reads: false }) },
	{ name: 'unread-pages-crowd', line: 2, what: '100 tabs of 20 people of one address do the same', isBlind: true, memoryMb: 8192, counted: [...MEMORY, ...REQUESTS],
		attack: f => f.asking(() => ({ type: 'history', limit: 1000 }), { n: 100, join: i => f.known(i), reads: false }) },
	{ name: 'unread-joins', line: 2, what: 'joins with `since` whose answer nobody reads, 200 open', isBlind: true, memoryMb: 8192, args: ['--request-rate', '2'], counted: [...MEMORY, ...REQUESTS],
		attack: f => f.forever(async i => { const s = await f.chat(f.known(i % 4, { since: f.seed.first }), { waits: false }); s.pause(); await sleep(700); f.end(s); f.answered(); }, { n: 200 }) },
	{ name: 'unread-tail', line: 2, what: 'somebody whose long messages are the newest joins from 60 connections and reads nothing', isBlind: true, counted: [...MEMORY, ...REQUESTS, /refused_total.*memory/],
		attack: async f => {
			f.prepares();
			const talker = await f.chat(f.known(0)), long = Foe.frame({ type: 'text', text: `(${'\u0001'.repeat(3998)})` });
			await f.write(talker, many(long, 44 * long.length), 44);
			await sleep(500);
			f.begins();
			f.forever(() => f.write(talker, long), { pause: 250 });
			f.forever(async () => { const s = await f.chat(f.known(0), { waits: false }); s.pause(); await sleep(2000); f.end(s); }, { n: 60 });
		} },
	{ name: 'own-tail', line: 2, what: 'somebody whose long messages are the newest joins again and again', counted: [...REQUESTS, ...DOOR], args: ['--request-rate', '2'],
		attack: f => f.forever(async () => f.end(await f.chat(f.known(0))), { n: 20 }) },
	{ name: 'unread-downloads', line: 2, what: '200 downloads of 25 MB that nobody reads', counted: [/refused_total/, /limited_total/], optional: true, attack: async f => {
		f.prepares();
		const path = await ownFile(f, 25 * MB);
		f.begins();
		f.forever(() => f.request('GET', path, { reads: false }), { n: 200, pause: 50 });
	} },
	{ name: 'large-frames', line: 2, what: 'frames of 25 MB from 24 guests, whole ones and halves', counted: [...MEMORY, ...MESSAGES], isBlind: true, args: ['--address-bytes-kb', '512'], disk: 200, attack: f => {
		const text = Buffer.concat([Buffer.from('{"type":"file","filename":"x","data":"'), Buffer.alloc(32 * MB, 'x'), Buffer.from('"}')]), whole = frame(text);
		f.forever(async i => {
			const s = await f.chat(guests(f)(i));
			await f.write(s, i % 2 ? whole : whole.subarray(0, 20 * MB));
			await Promise.race([new Promise(r => s.once('close', r)), sleep(2000)]);
			f.end(s);
		}, { n: 24, pause: 500 });
	} },
	{ name: 'slow-frames', line: 2, what: 'frames of 33 MB from 24 guests of three addresses, a quarter of each, and then a byte now and then', counted: [...MEMORY, ...MESSAGES], isBlind: true, attack: f => {
		const claimed = frame(Buffer.concat([Buffer.from('{"type":"file","filename":"x","data":"'), Buffer.alloc(33 * MB, 'x')]));
		f.forever(async i => {
			const s = await f.chat(guests(f)(i), { from: `127.0.77.${1 + i % 3}` });
			await f.write(s, claimed.subarray(0, 9 * MB));
			for (let at = 9 * MB; await f.write(s, claimed.subarray(at, at + 1)); at++) await sleep(1000);
		}, { n: 24, pause: 500 });
	} },
	{ name: 'slow-pages', line: 2, what: '64 tabs of two people ask for pages, and read 16 KB of them in two seconds', counted: [...MEMORY, ...REQUESTS], isBlind: true, attack: f =>
		f.forever(async i => {
			const s = await f.chat(f.known(i % 2), { reads: false });
			for (let n = 0; await f.write(s, Foe.frame({ type: 'history', limit: 1000 })); n++)
				for (let turns = 0; turns < 4 && !s.destroyed; turns++) {
					await sleep(2000);
					s.read(16384);
				}
		}, { n: 64, pause: 200 }) },

	// 3. Uploads
	{ name: 'upload-bytes', line: 3, what: 'one person uploads new files of 10 MB without a message', counted: UPLOADS, args: ['--byte-burst-mb', '60'], disk: 130,
		attack: f => f.forever(() => f.upload(f.seed.foes[0].token, body(10 * MB, f.next())), { n: 4 }) },
	{ name: 'upload-crowd', line: 3, what: '20 people of one address do the same', counted: UPLOADS, args: ['--address-bytes-kb', '2048'], disk: 230,
		attack: f => f.forever(i => f.upload(f.seed.foes[i].token, body(10 * MB, f.next())), { n: 20 }) },
	{ name: 'upload-places', line: 3, what: '16 people of one address hold 256 uploads open', counted: UPLOADS, uploads: true,
		attack: f => f.forever(i => f.upload(f.seed.foes[i % 16].token, Buffer.alloc(1200), { size: MB, breakAfter: 20000 }), { n: 320, pause: 200 }) },
	{ name: 'upload-breaks', line: 3, what: 'uploads begun and broken off, 40 at once', counted: UPLOADS, uploads: true,
		attack: f => f.forever(i => f.upload(f.seed.foes[i % 16].token, Buffer.alloc(1000), { size: MB, breakAfter: 30 }), { n: 40 }) },
	{ name: 'upload-tokens', line: 3, what: 'uploads with tokens that do not exist', counted: [...UPLOADS, /error_codes_total.*bad_token/, /refused_total/], optional: true,
		attack: f => f.forever(() => f.upload(crypto.randomBytes(32).toString('base64url'), Buffer.alloc(100)), { n: 40, pause: 1 }) },

	// 4. Cheap frames
	cheap('unknown-types', 'frames of a type that does not exist', frame({ type: 'zzz' })),
	cheap('blank-texts', 'texts of blanks', frame({ type: 'text', text: '  \u3000 ' })),
	cheap('typing', 'typing', frame({ type: 'typing' })),
	cheap('typing-dm', 'typing to one person', frame({ type: 'typing', to_id: 1 })),
	cheap('empty-fragments', 'fragments without a byte', frame('', { opcode: 0, fin: false }), { before: frame('{', { fin: false }) }),
	cheap('empty-messages', 'messages without a byte', frame('')),
	cheap('ws-pings', 'pings of the WebSocket', frame(Buffer.alloc(100), { opcode: 9 })),
	cheap('ws-pongs', 'pongs that answer nothing', frame('', { opcode: 10 })),
	cheap('pings', 'pings', frame({ type: 'ping' })),
	cheap('no-json', 'frames that are no JSON', frame('{')),
	cheap('wide-json', 'frames of 256 values, of an unknown type', frame({ type: 'zzz', a: Array(240).fill('\u0416\\'.repeat(20)) })),
	cheap('wrong-types', 'members of a wrong type', frame({ type: 'text', text: 5 })),
	cheap('too-long', 'texts of 4001 characters', frame({ type: 'text', text: 'x'.repeat(4001) })),
	cheap('second-joins', 'joins of somebody who has joined', frame({ type: 'join', v: 2, name: 'again' })),
	cheap('nobody', 'messages to nobody', frame({ type: 'text', text: 'x', to_id: 999999999, cid: 'n' })),
	cheap('repeats', 'one `cid` again and again', frame({ type: 'text', text: 'the same', cid: 'again' })),
	cheap('reused', 'one `cid` with other texts', Buffer.concat([frame({ type: 'text', text: 'one', cid: 'reused' }), frame({ type: 'text', text: 'two', cid: 'reused' })])),
	cheap('bad-blobs', 'files with a handle that does not exist', frame({ type: 'file', blob: 'A'.repeat(22), cid: 'b' })),
	cheap('bad-base64', 'files that are no base64', frame({ type: 'file', data: '!!!!' })),
	cheap('links', 'requests for links', frame({ type: 'link' })),
	cheap('mixed', 'a mixture of all these', Buffer.concat([{ type: 'zzz' }, { type: 'text', text: ' ' }, { type: 'typing' }, { type: 'ping' }, { type: 'link' }, { type: 'text', text: 5 }, { type: 'who' }].map(x => frame(x)))),
	{ name: 'unread-errors', line: 4, what: 'frames that are refused, from 100 connections that do not read', isBlind: true, counted: CHEAP, attack: f => f.forever(async i => {
		const s = await f.chat(f.known(1 + i % 4), { reads: false });
		while (await f.write(s, many(frame('{')), 2000)) await sleep(1);
	}, { n: 100, pause: 250 }) },
	{ name: 'trickles', line: 4, what: 'frames a byte at a time, 400 connections', counted: [...CHEAP, ...REQUESTS], optional: true, attack: f => {
		const one = frame({ type: 'zzz', pad: 'x'.repeat(100) });
		f.forever(async i => {
			const s = await f.chat(f.known(i % 20));
			for (let j = 0; await f.write(s, one.subarray(j, j + 1)); j = (j + 1) % one.length) await sleep(2);
		}, { n: 400, pause: 250 });
	} },
	{ name: 'guests-typing', line: 4, what: 'typing from 150 guests of one address', counted: CHEAP, attack: f => f.flood(many(frame({ type: 'typing' })), { n: 150, join: guests(f) }) },

	// 5. Addresses
	{ name: 'crowd-texts', line: 5, what: '200 new people of one address talk as fast as they can', counted: MESSAGES, attack: f => f.forever(async i => {
		const s = await f.chat(crowd(f)(i));
		for (let n = 0; ; n++) {
			if (!await f.write(s, many(frame({ type: 'text', text: `crowd ${i} ${n} ${'y'.repeat(200)}` }), n ? 300 : 18000))) return;
			await sleep(n ? 150 : 1000);
		}
	}, { n: 200, pause: 500 }) },
	{ name: 'crowd-dms', line: 5, what: '200 new people of one address write to each other', counted: MESSAGES, attack: f => f.forever(async i => {
		const s = await f.chat(crowd(f)(i));
		for (let n = 0; ; n++) {
			if (!await f.write(s, many(frame({ type: 'text', text: `dm ${n} ${'y'.repeat(200)}`, to_id: f.seed.foes[i % 20].id }), n ? 300 : 18000), n ? 1 : 60)) return;
			await sleep(n ? 150 : 1000);
		}
	}, { n: 200, pause: 500 }) },
	{ name: 'crowd-requests', line: 5, what: '100 new people of one address ask for pages and lists', counted: REQUESTS,
		attack: f => f.asking(i => (i % 2 ? { type: 'history', limit: 200 } : { type: 'who', q: 'z' }), { n: 100, join: crowd(f) }) },
	{ name: 'crowd-bytes', line: 5, what: '40 guests of one address send files of 1 MB', counted: [...MESSAGES, ...MEMORY], isBlind: true, args: ['--address-bytes-kb', '100'], disk: 100, attack: f => {
		f.forever(async i => {
			const s = await f.chat(guests(f)(i));
			while (await f.write(s, frame({ type: 'file', filename: 'x', data: body(MB, f.next()).toString('base64') }))) await sleep(300);
		}, { n: 40, pause: 500 });
	} },
	{ name: 'new-names', line: 5, what: 'new people of one address, one after another', counted: [/limited_total.*new_people/], attack: f => f.forever(async i => f.end(await f.chat(crowd(f)(i))), { n: 20 }) },
	{ name: 'one-name', line: 5, what: 'new people of many addresses who all want one name', counted: [/limited_total/, /refused_total/], optional: true,
		attack: f => f.forever(async i => f.end(await f.chat({ type: 'join', name: 'Ann' }, { from: `127.0.78.${1 + i}` })), { n: 40 }) },
	{ name: 'networks', line: 5, what: 'a crowd with an address in each /64 of one /48', counted: [/limited_total/], isBlind: true, args: ['--trust-proxy', '127.0.77.0/24'],
		attack: f => f.forever(async i => {
			const s = await f.chat(crowd(f)(i), { client: `2001:db8:77:${(1 + f.next() % 60000).toString(16)}::1` });
			for (let n = 0; n < 20; n++) if (!await f.write(s, many(frame({ type: 'text', text: `network ${i} ${'y'.repeat(100)}` }), 6000))) return;
			await sleep(500);
			f.end(s);
		}, { n: 200 }) },
	{ name: 'handshakes', line: 5, what: 'connections that never join, 100 at once', counted: DOOR, attack: f => f.forever(async () => { const s = await f.chat({ type: 'text', text: 'x' }, { waits: false }); await sleep(10); f.end(s); }, { n: 100, pause: 5 }) },
	{ name: 'gets', line: 5, what: 'the page, 100 connections', counted: [/refused_total/, /limited_total/], optional: true, attack: f => f.forever(() => f.request('GET', '/'), { n: 100, pause: 1 }) },
	{ name: 'healths', line: 5, what: '/health?deep, 50 connections', counted: [/refused_total/, /limited_total/], optional: true, attack: f => f.forever(() => f.request('GET', '/health?deep'), { n: 50, pause: 1 }) },
	{ name: 'kept-gets', line: 5, what: 'the page, over 50 connections that stay', counted: [/refused_total/, /limited_total/], optional: true, attack: f => f.keeping(() => '/') },
	{ name: 'kept-healths', line: 5, what: '/health?deep, over 50 connections that stay', counted: [/refused_total/, /limited_total/], optional: true, attack: f => f.keeping(() => '/health?deep') },
	{ name: 'heads', line: 5, what: 'headers that are refused, 50 connections', counted: [/refused_total.*header/], attack: f => f.forever(() => f.request('GET', `/${'x'.repeat(9000)}`), { n: 50, pause: 1 }) },

	// 9. Tokens, codes, passwords
	{ name: 'bad-tokens', line: 9, what: 'joins with tokens that do not exist, 50 connections', counted: [...DOOR, /error_codes_total.*(bad_token|rate_limited)/],
		attack: f => f.knocking(() => ({ token: crypto.randomBytes(32).toString('base64url') })) },
	{ name: 'bad-codes', line: 9, what: 'joins with codes that do not exist, 50 connections', counted: [...DOOR, /error_codes_total.*(bad_code|rate_limited)/],
		attack: f => f.knocking(() => ({ code: crypto.randomBytes(8).toString('base64url') })) },
	{ name: 'codes', line: 9, what: '20 people ask for a link each, again and again', counted: [...REQUESTS, ...CHEAP], attack: f => f.asking(() => ({ type: 'link' }), { n: 40, deep: 50, join: i => f.known(i) }) },
	{ name: 'guesses', line: 9, what: 'guesses of the password of the chat, 50 connections', counted: [/limited_total.*guesses/], password: true,
		attack: f => f.knocking(() => ({ name: 'guess', password: `guess ${f.next()}` })) },
];

async function unreadFiles(f, senders, isPublic = false) {
	const ids = [];
	f.prepares();
	f.forever(async i => {
		const s = await f.chat(guests(f)(i), { reads: false });
		ids[i] = s.id;
		await new Promise(r => s.once('close', r));
	}, { n: 6, pause: 500 });
	f.forever(async i => {
		const s = await f.chat(f.known(i)), blob = await f.upload(f.seed.foes[i].token, body(25 * MB, f.next()));
		if (!blob) return sleep(1000);
		for (let n = 0; ; n++) {
			const one = frame({ type: 'file', blob, filename: 'x', ...(isPublic ? {} : { to_id: ids[n % 6] || 1 }) });
			if (!await f.write(s, n ? one : many(one, 50 * one.length), n ? 1 : 50)) return;
			f.begins();
			await sleep(n ? 250 : 1000);
		}
	}, { n: senders, pause: 500 });
}

/** The path of a file that the attacker has sent. */
async function ownFile(f, size) {
	for (;;) {
		const blob = await f.upload(f.seed.foes[0].token, body(size, f.next()));
		const s = blob && await f.chat(f.known(0)).catch(() => null);
		if (!s) {
			await sleep(500);
			continue;
		}
		const path = new Promise(r => s.on('data', d => { const m = /"url":"(\/f\/[^"]+)"[^}]*"self":true|"url":"(\/f\/[^"]+)"/.exec(d.toString('latin1')); if (m) r(m[1] || m[2]); }));
		s.write(frame({ type: 'file', blob, filename: 'x' }));
		return path;
	}
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const [name, port, seed] = process.argv.slice(2);
	const f = new Foe(Number(port), JSON.parse(fs.readFileSync(seed, 'utf8')));
	process.once('SIGTERM', () => {
		f.isOver = true;
		process.stdout.write(`${JSON.stringify(f.got)}\n`, () => process.exit(0));
	});
	process.stdin.on('end', () => process.exit(1)).resume(); // the judge is gone
	await rows.find(r => r.name === name).attack(f);
	setInterval(() => {}, 1000);
}
