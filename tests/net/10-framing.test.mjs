// RFC 6455 to the letter, over a bare socket: fragments, control frames, masking, UTF-8, the close handshake.
import assert from 'node:assert/strict';
import { fence, serverTest, slack, sleep } from './lib.mjs';
import { OP, Raw, clientFrame, closePayload } from './raw.mjs';

const text = t => JSON.stringify({ type: 'text', text: t });

serverTest('a message in fragments, with control frames between', async s => {
	const r = await Raw.join(s, 'r');
	const whole = Buffer.from(text('в кусках 🌊'));
	for (let size = 1; size <= 7; size += 3) {
		for (let at = 0; at < whole.length; at += size) {
			r.frame(whole.subarray(at, at + size), { opcode: at ? OP.cont : OP.text, fin: at + size >= whole.length });
			r.frame(`p${at}`, { opcode: OP.ping });
		}
		for (let at = 0; at < whole.length; at += size) {
			const f = await r.nextFrame();
			if (f.opcode === OP.text) { at -= size; continue; }
			assert.deepEqual([f.opcode, f.payload.toString()], [OP.pong, `p${at}`]);
		}
		r.send({ type: 'text', text: 'end' });
		const got = [];
		while (got.at(-1) !== 'end') got.push((await r.json('text')).text);
	}
	const b = await s.join('b');
	assert.deepEqual(b.init.history.map(m => m.text), ['в кусках 🌊', 'end', 'в кусках 🌊', 'end', 'в кусках 🌊', 'end']);
	r.destroy();
});

serverTest('empty fragments, many fragments', async s => {
	const r = await Raw.join(s, 'r');
	r.frame('', { fin: false });
	for (let i = 0; i < 1000; i++) r.frame('', { opcode: OP.cont, fin: false });
	r.frame(text('after nothing'), { opcode: OP.cont, fin: false });
	r.frame('', { opcode: OP.cont });
	assert.equal((await r.json('text')).text, 'after nothing');
	r.destroy();
});

serverTest('a frame a byte at a time', async s => {
	const r = await Raw.join(s, 'r');
	for (const byte of clientFrame(text('slowly'))) {
		r.socket.write(Buffer.from([byte]));
		await new Promise(resolve => setImmediate(resolve));
	}
	assert.equal((await r.json('text')).text, 'slowly');
	r.destroy();
});

serverTest('many frames in one write', async s => {
	const r = await Raw.join(s, 'r');
	r.socket.write(Buffer.concat(Array.from({ length: 500 }, (_, i) => clientFrame(text(`n${i}`)))));
	for (let i = 0; i < 500; i++) assert.equal((await r.json('text')).text, `n${i}`);
	r.destroy();
});

serverTest('every length form', async s => {
	const r = await Raw.join(s, 'r');
	const b = await s.join('b');
	for (const n of [1, 90, 98, 99, 100, 125, 126, 1000, 4000]) {
		r.frame(text('x'.repeat(n)));
		assert.equal((await b.next('text')).text.length, n);
	}
	for (const n of [65000, 65535, 65536, 70000, 300000]) { // refused as text, but read as frames
		r.frame(text('x'.repeat(n)));
		await r.json('error');
	}
	r.destroy();
});

serverTest('a ping is answered with its own payload, in turn', async s => {
	const r = await Raw.join(s, 'r');
	for (const payload of [Buffer.alloc(0), Buffer.from('x'), Buffer.alloc(125, 0xff)]) {
		r.frame(payload, { opcode: OP.ping });
		let f;
		do f = await r.nextFrame(); while (f && f.opcode === OP.text);
		assert.equal(f.opcode, OP.pong);
		assert.deepEqual(f.payload, payload);
	}
	r.frame('unasked', { opcode: OP.pong });
	r.frame(text('still here'));
	assert.equal((await r.json('text')).text, 'still here');
	r.destroy();
});

const failures = [
	['an unmasked frame', 1002, r => r.frame(text('x'), { masked: false })],
	['RSV1', 1002, r => r.frame(text('x'), { rsv: 4 })],
	['RSV2', 1002, r => r.frame(text('x'), { rsv: 2 })],
	['RSV3', 1002, r => r.frame(text('x'), { rsv: 1 })],
	['a reserved data opcode', 1002, r => r.frame('x', { opcode: 3 })],
	['a reserved control opcode', 1002, r => r.frame('x', { opcode: 11 })],
	['a continuation of nothing', 1002, r => r.frame('x', { opcode: OP.cont })],
	['a new message inside another', 1002, r => { r.frame('{"type"', { fin: false }); r.frame(text('x')); }],
	['a fragmented ping', 1002, r => r.frame('x', { opcode: OP.ping, fin: false })],
	['a ping of 126 bytes', 1002, r => r.frame(Buffer.alloc(126), { opcode: OP.ping })],
	['a ping that claims 2^62', 1002, r => r.frame('', { opcode: OP.ping, claim: 2n ** 62n })],
	['a close of 1 byte', 1002, r => r.frame('x', { opcode: OP.close })],
	['close code 0', 1002, r => r.frame(closePayload(0), { opcode: OP.close })],
	['close code 999', 1002, r => r.frame(closePayload(999), { opcode: OP.close })],
	['close code 1005', 1002, r => r.frame(closePayload(1005), { opcode: OP.close })],
	['close code 1006', 1002, r => r.frame(closePayload(1006), { opcode: OP.close })],
	['close code 1015', 1002, r => r.frame(closePayload(1015), { opcode: OP.close })],
	['close code 5000', 1002, r => r.frame(closePayload(5000), { opcode: OP.close })],
	['a close reason of bad UTF-8', 1007, r => r.frame(Buffer.concat([closePayload(1000), Buffer.from([0xff])]), { opcode: OP.close })],
	['a length with its top bit set', [1002, 1009], r => r.frame('', { claim: 2n ** 63n })],
	['2^62 bytes claimed', 1009, r => r.frame('{"type":"text"', { claim: 2n ** 62n })],
	['2^32 bytes claimed', 1009, r => r.frame('{"type":"text"', { claim: 2n ** 32n })],
	['binary', 1003, r => r.frame('x', { opcode: OP.binary })],
	['binary in fragments', 1003, r => r.frame('x', { opcode: OP.binary, fin: false })],
	['bad UTF-8', 1007, r => r.frame(Buffer.from([0x22, 0xff, 0x22]))],
	['an overlong form', 1007, r => r.frame(Buffer.from([0x22, 0xc0, 0x80, 0x22]))],
	['a surrogate in UTF-8', 1007, r => r.frame(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))],
	['past U+10FFFF', 1007, r => r.frame(Buffer.from([0x22, 0xf4, 0x90, 0x80, 0x80, 0x22]))],
	['UTF-8 cut short at the end', 1007, r => r.frame(Buffer.from([0x22, 0xf0, 0x9f, 0x8c]))],
	['bad UTF-8 across fragments', 1007, r => { r.frame(Buffer.from([0x22, 0xf0, 0x9f]), { fin: false }); r.frame(Buffer.from([0x22]), { opcode: OP.cont }); }],
	['bad UTF-8 before the message has ended', 1007, r => r.frame(Buffer.from([0x22, 0xf4, 0x90]), { fin: false })],
	['binary before join', [1003, 1008], null],
];
for (const [what, code, act] of failures) {
	serverTest(`${what} is closed with ${code}`, async s => {
		const bystander = await s.join('bystander');
		const r = act ? await Raw.join(s, 'r') : await Raw.open(s);
		if (act) act(r);
		else r.frame('x', { opcode: OP.binary });
		r.socket.on('error', () => {});
		const got = await r.closeCode();
		assert.ok([code].flat().includes(got), `closed with ${got}`);
		await r.end(); // the server lets go without waiting for more
		if (act) await bystander.next({ type: 'system', text: 'r left the chat' });
		await fence(bystander);
	});
}

serverTest('the close handshake echoes the code and ends the connection', async s => {
	for (const [payload, want] of [[closePayload(1000, 'bye'), 1000], [closePayload(1001), 1001], [closePayload(3000), 3000], [closePayload(4999), 4999]]) {
		const r = await Raw.join(s, 'r');
		r.frame(payload, { opcode: OP.close });
		assert.equal(await r.closeCode(), want);
		await r.end();
	}
	const r = await Raw.join(s, 'r');
	r.frame('', { opcode: OP.close });
	assert.ok([1000, 1005].includes(await r.closeCode()));
	await r.end();
});

serverTest('what was sent before the close is still handled', async s => {
	const b = await s.join('b');
	const r = await Raw.join(s, 'r');
	r.socket.write(Buffer.concat([clientFrame(text('last words')), clientFrame(closePayload(1000), { opcode: OP.close }), clientFrame(text('too late'))]));
	await b.next({ text: 'last words' });
	await b.next({ type: 'system', text: 'r left the chat' });
	await fence(b);
	assert.deepEqual(b.drain(), []);
});

serverTest('half-closing after a message still delivers it', async s => {
	const b = await s.join('b');
	const r = await Raw.join(s, 'r');
	r.socket.end(clientFrame(text('and gone')));
	await b.next({ text: 'and gone' });
	await b.next({ type: 'system', text: 'r left the chat' });
});

serverTest('half-closing right behind a join delivers what lies between', async s => {
	const b = await s.join('b');
	for (const v of [undefined, 2]) {
		const r = await Raw.open(s);
		r.socket.end(Buffer.concat([clientFrame(JSON.stringify({ type: 'join', name: 'cron', v })), clientFrame(text('backup failed'))]));
		await b.next({ text: 'backup failed' });
		await b.next({ type: 'system', text: 'cron left the chat' });
	}
});

serverTest('a connection cut in mid-frame harms nobody', async s => {
	const b = await s.join('b');
	for (let cut = 1; cut < 40; cut += 3) {
		const r = await Raw.join(s, `r${cut}`);
		r.socket.write(clientFrame(text('never whole, whatever happens')).subarray(0, cut));
		await sleep(2 * slack);
		r.socket.resetAndDestroy && !s.isSecure ? r.socket.resetAndDestroy() : r.destroy();
	}
	await fence(b);
	assert.deepEqual(b.drain(), []);
});
