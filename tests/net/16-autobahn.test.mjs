// RFC 6455 to the letter: every case of the Autobahn test suite's sections 1 to 7, 9 and 10, by its number (autobahn.mjs has the table).
// permessage-deflate, of which its sections 12 and 13 are, is not offered.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';
import { serverTest, slack, sleep } from './lib.mjs';
import { OP, Raw, clientFrame, closePayload } from './raw.mjs';
import { cases } from './autobahn.mjs';
import { join2 } from './v2.mjs';

/** Events as they are compared and shown: a long one by its length and hash. */
const brief = ([kind, what]) => {
	if (typeof what === 'string') what = Buffer.from(what);
	if (!Buffer.isBuffer(what)) return what === undefined ? kind : `${kind} ${what}`;
	return `${kind} ${what.length > 200 ? `${what.length} bytes ${crypto.createHash('sha256').update(what).digest('hex').slice(0, 16)}` : JSON.stringify(what.toString('latin1'))}`;
};

/** What one connection is told, without who comes and goes; reads on by itself. */
class Reader {
	events = [];

	constructor(raw) {
		this.raw = raw;
	}

	#add(f) {
		if (f.opcode === OP.pong) this.events.push(['pong', Buffer.from(f.payload)]);
		else if (f.opcode === OP.close) this.events.push(['close', f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 1005]);
		else {
			assert.equal(f.opcode, OP.text);
			const o = JSON.parse(f.payload.toString());
			if (o.type === 'system' || o.type === 'users') return;
			if (o.type === 'text' || o.type === 'file') assert.equal(o.self, true);
			this.events.push(o.type === 'text' ? ['text', o.text] : o.type === 'file' ? ['file', o.data] : [o.type]);
		}
	}

	/** Reads one more; false when the connection has ended. */
	async next() {
		for (const n = this.events.length; this.events.length === n;) {
			const f = await this.raw.nextFrame(10000);
			if (!f) return false;
			this.#add(f);
		}
		return true;
	}

	/** Reads what is here already. */
	look() {
		for (let f; (f = this.raw.takeFrame()); ) this.#add(f);
	}

	async have(n) {
		while (this.events.length < n && await this.next());
	}

	is(expected) {
		assert.deepEqual(this.events.map(brief), expected.map(brief));
	}
}

async function send(r, reader, item) {
	if (Buffer.isBuffer(item)) {
		r.socket.write(item);
		await new Promise(resolve => setImmediate(resolve)); // a write each
	} else if (item.wait) {
		await reader.have(item.wait.length);
		reader.is(item.wait);
	} else if (item.quiet) {
		const had = [...reader.events];
		await sleep(item.quiet * slack);
		reader.look();
		reader.is(had);
		assert.ok(!r.ended, 'it should live');
	} else if (item.times) {
		for (let i = 0; i < item.times; i++) {
			r.socket.write(item.bytes);
			reader.events = [];
			await reader.have(1);
			reader.is([item.event]);
		}
		reader.events = [];
	} else {
		for (let at = 0; at < item.bytes.length && !r.ended; at += item.size) {
			r.socket.write(item.bytes.subarray(at, at + item.size));
			await new Promise(resolve => setImmediate(resolve));
		}
	}
}

/** One connection of a case: what came back, and what the others saw. */
async function connection(s, witness, name, { send: items, expect }) {
	const r = await Raw.open(s);
	r.send({ type: 'join', name });
	r.id = (await r.json('init')).my_id;
	const reader = new Reader(r);
	witness.unread.length = 0;
	for (const item of items) await send(r, reader, item);
	await reader.have(expect.length);
	reader.is(expect);
	if (expect.at(-1)?.[0] !== 'close') {
		const fence = `after ${name}`;
		r.frame(JSON.stringify({ type: 'text', text: fence }));
		await reader.have(expect.length + 1);
		reader.is([...expect, ['text', fence]]);
		expect = [...expect, ['text', fence], ['close', 1000]];
		r.frame(closePayload(1000), { opcode: OP.close });
		await reader.have(expect.length);
		reader.is(expect);
	}
	assert.equal(await reader.next(), false, 'nothing follows a close');
	r.destroy();

	const said = expect.filter(([kind]) => kind === 'text' || kind === 'file').map(([kind, what]) => (kind === 'text' ? what : kind));
	if (items.some(i => i.times)) return;
	witness.text(`seen ${name}`);
	await witness.next(f => f.self && f.text === `seen ${name}`);
	assert.deepEqual(witness.drain().filter(f => f.from_id === r.id).map(f => (f.type === 'text' ? f.text : f.type)), said, 'what the others saw');
}

test('every number is there, once', () => {
	const count = {};
	for (const { number } of cases) count[number.replace(/\.\d+$/, '')] = (count[number.replace(/\.\d+$/, '')] || 0) + 1;
	assert.equal(new Set(cases.map(c => c.number)).size, cases.length);
	assert.deepEqual(count, {
		1.1: 8, 1.2: 8, 2: 11, 3: 7, 4.1: 5, 4.2: 5, 5: 20, 6.1: 3, 6.2: 4, 6.3: 2, 6.4: 4, 6.5: 5, 6.6: 11, 6.7: 4, 6.8: 2, 6.9: 4, '6.10': 3, 6.11: 5, 6.12: 8, 6.13: 5,
		6.14: 10, 6.15: 1, 6.16: 3, 6.17: 5, 6.18: 5, 6.19: 5, '6.20': 7, 6.21: 8, 6.22: 34, 6.23: 7, 7.1: 6, 7.3: 6, 7.5: 1, 7.7: 13, 7.9: 9, 7.13: 2, 9.1: 6, 9.2: 6, 9.3: 9,
		9.4: 9, 9.5: 6, 9.6: 6, 9.7: 6, 9.8: 6, 10.1: 1,
	});
});

serverTest('the cases', { timeout: 180000, args: ['--history-limit', '1'] }, async (s, t) => {
	const witness = await join2(s, 'witness');
	const failed = [];
	for (const { number, what, connections } of cases)
		await t.test(`${number} ${what}`, async () => {
			failed.push(number);
			for (const [i, c] of connections.entries()) await connection(s, witness, `${number}/${i}`, c);
			failed.pop();
		});
	assert.deepEqual(failed, []);
});

serverTest('compression that a client offers is not accepted, and a compressed frame is refused', async s => {
	for (const offer of ['permessage-deflate', 'permessage-deflate; client_max_window_bits', 'permessage-deflate; server_no_context_takeover, x-webkit-deflate-frame']) {
		const r = await Raw.connect(s);
		await r.upgrade('', `Sec-WebSocket-Extensions: ${offer}\r\n`); // judges the answer's headers
		r.socket.write(clientFrame('{"type":"join","name":"r"}'));
		assert.equal((await r.json()).type, 'init');
		r.frame(Buffer.from('f248cdc9c90700', 'hex'), { rsv: 4 });
		assert.equal(await r.closeCode(), 1002);
		await r.end();
	}
});
