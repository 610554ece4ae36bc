// Frames that do nothing: what passes, when they close a connection, and that nobody else notices.
import assert from 'node:assert/strict';
import { fence, serverTest } from './lib.mjs';
import { join2 } from './v2.mjs';
import { metric } from './admin.mjs';
import { OP, Raw, clientFrame } from './raw.mjs';

const REASON = 'too many frames that do nothing';
const proxied = ['--trust-proxy', '127.0.0.1'];
const from = address => ({ headers: { 'X-Forwarded-For': address } });

/** Sends one frame n times, at once, on the socket below a client. */
function pour(c, frame, n) {
	c.ws._socket.write(Buffer.concat(Array(n).fill(frame)));
}

const kinds = {
	'an unknown type': clientFrame(JSON.stringify({ type: 'zzz' })),
	'blank texts': clientFrame(JSON.stringify({ type: 'text', text: ' \u3000 ' })),
	'pings of the WebSocket': clientFrame('x', { opcode: OP.ping }),
	'pongs that answer nothing': clientFrame('', { opcode: OP.pong }),
	typing: clientFrame(JSON.stringify({ type: 'typing' })),
};

for (const [what, frame] of Object.entries(kinds))
	serverTest(`a flood of ${what} is closed and counted; some are not`, { limits: true }, async s => {
		const a = await join2(s, 'a'), b = await join2(s, 'b');
		pour(a, frame, 600);
		await fence(a, [a, b]);
		pour(a, frame, 3000);
		assert.deepEqual(await a.closed, { code: 1008, reason: REASON });
		assert.equal(await metric(s, 'limited_total{limit="frames"}'), 1);
		assert.equal(await metric(s, 'evicted_total{reason="flood"}'), 1);
		await s.says(/flood closed/);
		await fence(b, [b]);
	});

serverTest('empty fragments are paid for, a text in fragments of a byte is not refused', { limits: true }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const text = Buffer.from(JSON.stringify({ type: 'text', text: 'x'.repeat(4000), cid: 'c' }));
	const pieces = [...text].map((v, i) => clientFrame(Buffer.of(v), { opcode: i ? OP.cont : OP.text, fin: i === text.length - 1 }));
	a.ws._socket.write(Buffer.concat(pieces));
	assert.equal((await b.next(f => f.type === 'text')).text.length, 4000);
	a.ws._socket.write(clientFrame('', { fin: false }));
	pour(a, clientFrame('', { opcode: OP.cont, fin: false }), 20000);
	assert.deepEqual(await a.closed, { code: 1008, reason: REASON });
	await fence(b, [b]);
});

serverTest('connections of one person share it, also the next one', { limits: true }, async s => {
	const a = await join2(s, 'a');
	const tabs = [];
	for (let i = 0; i < 5; i++) tabs.push(await join2(s, 'a', { token: a.token }));
	for (const c of tabs) pour(c, kinds['an unknown type'], 400);
	assert.equal((await Promise.any(tabs.map(c => c.closed))).code, 1008);
	for (const c of tabs) pour(c, kinds['an unknown type'], 400);
	for (const c of tabs) assert.equal((await c.closed).code, 1008);
	assert.equal(await metric(s, 'limited_total{limit="frames"}'), 5);
	a.text('I sent none of them', { cid: 'c' });
	assert.equal((await a.next(f => f.cid === 'c')).type, 'text');
});

serverTest('an address has a limit, and a neighbour who sends few is not closed for it', { limits: true, args: proxied }, async s => {
	const crowd = [];
	for (let i = 0; i < 12; i++) crowd.push(await join2(s, `n${i}`, {}, from('203.0.113.7')));
	const neighbour = await join2(s, 'neighbour', {}, from('203.0.113.7')), other = await join2(s, 'other', {}, from('203.0.113.8'));
	for (const c of [...crowd, other]) pour(c, kinds['an unknown type'], 900);
	assert.equal((await Promise.any(crowd.map(c => c.closed))).reason, REASON);
	pour(neighbour, kinds['an unknown type'], 20);
	await fence(neighbour, [neighbour, other]);
	pour(neighbour, kinds['an unknown type'], 100); // as loud as the others
	assert.equal((await neighbour.closed).reason, REASON);
	await fence(other, [other]);
});

serverTest('nothing is free before the join', { limits: true }, async s => {
	const r = await Raw.open(s);
	r.socket.write(Buffer.concat(Array(5000).fill(kinds['pings of the WebSocket'])));
	assert.equal(await r.closeCode(), 1008);
	assert.equal(await metric(s, 'limited_total{limit="frames"}'), 1);
});
