// raw.mjs — a client made of a bare socket: for handshakes and frames that no library would send, and for judging every byte that
// comes back. Its reader accepts only what a server may send: unmasked, no reserved bits, shortest length form.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';
import tls from 'node:tls';
import { Contract, judge } from '../contract.mjs';
import { patience, sleep, within } from './lib.mjs';

export const OP = { cont: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

/** One client frame. `claim` overrides the length in the header (BigInt allowed); `form` forces 7, 16 or 64 bits of length. */
export function clientFrame(payload, { opcode = OP.text, fin = true, rsv = 0, masked = true, claim, form } = {}) {
	const body = Buffer.isBuffer(payload) ? Buffer.from(payload) : Buffer.from(String(payload));
	const len = BigInt(claim ?? body.length);
	const bits = form || (len < 126n ? 7 : len < 65536n ? 16 : 64);
	const head = Buffer.alloc(bits === 7 ? 2 : bits === 16 ? 4 : 10);
	head[0] = (fin ? 0x80 : 0) | (rsv << 4) | opcode;
	head[1] = (masked ? 0x80 : 0) | (bits === 7 ? Number(len) : bits === 16 ? 126 : 127);
	if (bits === 16) head.writeUInt16BE(Number(len), 2);
	if (bits === 64) head.writeBigUInt64BE(len, 2);
	if (!masked) return Buffer.concat([head, body]);
	const mask = crypto.randomBytes(4);
	for (let i = 0; i < body.length; i++) body[i] ^= mask[i & 3];
	return Buffer.concat([head, mask, body]);
}

export const closePayload = (code, reason = '') => {
	const b = Buffer.alloc(2 + Buffer.byteLength(reason));
	b.writeUInt16BE(code);
	b.write(reason, 2);
	return b;
};

export class Raw {
	ended = false; // by the peer, cleanly or not
	#chunks = []; // what came, joined only when it is looked at
	#bytes = 0;
	#wanted = 0; // do not wake for less
	contract = new Contract();
	wake = () => {};

	get buffer() {
		if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
		return this.#chunks[0];
	}

	set buffer(bytes) {
		this.#chunks = [bytes];
		this.#bytes = bytes.length;
	}

	#take(data) {
		this.#chunks.push(data);
		this.#bytes += data.length;
		if (this.#bytes >= this.#wanted) this.wake();
	}

	static async connect(server, options = {}) {
		const r = new Raw();
		r.socket = (server.isSecure && !options.plain ? tls : net).connect({ port: server.port, host: options.host || '127.0.0.1', rejectUnauthorized: false, ...options });
		r.socket.setNoDelay(true);
		r.socket.on('error', e => { r.error = e; r.ended = true; r.wake(); });
		await once(r.socket, r.socket.encrypted ? 'secureConnect' : 'connect');
		r.socket.on('data', d => r.#take(d));
		r.socket.on('end', () => { r.ended = true; r.wake(); });
		r.socket.on('close', () => { r.ended = true; r.wake(); });
		return r;
	}

	/** Connected, upgraded and joined with Part 1, everything up to `users` read. */
	static async join(server, name) {
		const r = await Raw.open(server);
		r.send({ type: 'join', name });
		const init = await r.json();
		assert.equal(init.type, 'init');
		r.id = init.my_id;
		r.name = init.my_name;
		await r.json('users');
		return r;
	}

	/** Upgraded, nothing sent yet. */
	static async open(server, options) {
		const r = await Raw.connect(server, options);
		await r.upgrade();
		return r;
	}

	async upgrade(early = '', headers = '') {
		const key = crypto.randomBytes(16).toString('base64');
		this.socket.write(Buffer.concat([Buffer.from('GET /ws HTTP/1.1\r\nHost: chat.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n' +
			`Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${headers}\r\n`), Buffer.from(early)]));
		const head = await this.head();
		assert.match(head, /^HTTP\/1\.1 101 /);
		const accept = crypto.createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
		assert.ok(new RegExp(`^sec-websocket-accept: ${accept.replace(/[+/]/g, '\\$&')}\\r$`, 'im').test(head), `accept key in ${head}`);
		assert.ok(!/^sec-websocket-extensions:/im.test(head), 'no extension is offered');
	}

	/** Waits until `ready()` is truthy, and gives that; null if the peer ended first. */
	async until(ready, what, timeout = 5000) {
		const deadline = Date.now() + timeout * patience;
		for (;;) {
			this.#wanted = 0;
			const got = ready();
			if (got) return got;
			if (this.ended) return null;
			const left = deadline - Date.now();
			if (left <= 0) throw new Error(`not within ${timeout} ms: ${what}; have ${this.buffer.length} bytes: ${JSON.stringify(this.buffer.subarray(0, 200).toString('latin1'))}`);
			await Promise.race([new Promise(resolve => (this.wake = resolve)), sleep(Math.min(left, 200))]);
		}
	}

	/** One HTTP response head; what follows stays in the buffer. Null if the peer closed instead. */
	async head(timeout) {
		return this.until(() => {
			const i = this.buffer.indexOf('\r\n\r\n');
			if (i < 0) return null;
			const head = this.buffer.subarray(0, i + 4).toString('latin1');
			this.buffer = this.buffer.subarray(i + 4);
			return head;
		}, 'a response head', timeout);
	}

	/** A whole response by Content-Length. */
	async response(timeout) {
		const head = await this.head(timeout);
		if (!head) return null;
		const status = Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)[1]);
		const m = /^content-length: *(\d+)\r$/im.exec(head);
		const n = m ? Number(m[1]) : 0;
		await this.until(() => this.buffer.length >= n, 'the body', timeout);
		const body = this.buffer.subarray(0, n);
		this.buffer = this.buffer.subarray(n);
		return { status, head, body };
	}

	frame(payload, options) {
		this.socket.write(clientFrame(payload, options));
	}

	/** As Client's; what goes by frame() is not judged. */
	send(object, { bad = false } = {}) {
		const why = this.contract.sent(object);
		if (!bad) judge(why);
		this.frame(JSON.stringify(object));
	}

	/** A frame from the server that is here whole, judged; else null. */
	takeFrame() {
		const b = this.buffer;
		if (b.length < 2) return null;
		const short = b[1] & 0x7f;
		const headLen = short === 127 ? 10 : short === 126 ? 4 : 2;
		if (b.length < headLen) return null;
		const len = short === 127 ? Number(b.readBigUInt64BE(2)) : short === 126 ? b.readUInt16BE(2) : short;
		assert.equal(b[0] & 0x70, 0, 'reserved bits in a server frame');
		assert.equal(b[1] & 0x80, 0, 'a masked server frame');
		if (short === 126) assert.ok(len >= 126, 'shortest length form');
		if (short === 127) assert.ok(len >= 65536, 'shortest length form');
		this.#wanted = headLen + len;
		if (b.length < headLen + len) return null;
		const frame = { fin: (b[0] & 0x80) !== 0, opcode: b[0] & 15, payload: b.subarray(headLen, headLen + len) };
		this.buffer = b.subarray(headLen + len);
		return frame;
	}

	/** The next frame from the server; null once the connection has ended. */
	async nextFrame(timeout) {
		return this.until(() => this.takeFrame(), 'a frame', timeout);
	}

	/** The next text frame, parsed (of that type, others skipped, pings answered). */
	async json(type, timeout) {
		for (;;) {
			const f = await this.nextFrame(timeout);
			assert.ok(f, `the connection ended while waiting for ${type || 'a message'}`);
			if (f.opcode === OP.ping) { this.frame(f.payload, { opcode: OP.pong }); continue; }
			if (f.opcode === OP.close) throw new Error(`closed with ${f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 'no code'} while waiting for ${type || 'a message'}`);
			assert.equal(f.opcode, OP.text);
			assert.ok(f.fin, 'server messages are not fragmented');
			const o = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(f.payload));
			judge(this.contract.got(o));
			if (!type || o.type === type) return o;
		}
	}

	/** Reads on to the close frame: its code (1005 if it had none), or null if the connection just ended. */
	async closeCode(timeout) {
		for (;;) {
			const f = await this.nextFrame(timeout);
			if (!f) return null;
			if (f.opcode === OP.close) return f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 1005;
		}
	}

	/** Waits for the peer to end the connection. */
	async end(timeout = 5000) {
		return within(timeout * patience, (async () => { while (!this.ended) { this.#wanted = 0; this.buffer = Buffer.alloc(0); await Promise.race([new Promise(resolve => (this.wake = resolve)), sleep(100)]); } })(),
			'the peer to end the connection');
	}

	destroy() {
		this.socket.destroy();
	}
}
