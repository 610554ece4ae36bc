// What a mock cannot show: one order at every client, nothing missing, nothing twice.
import assert from 'node:assert/strict';
import { common, fence, serverTest } from './lib.mjs';

serverTest('many senders, one order at every client', { timeout: 60000 }, async s => {
	const all = [];
	for (let i = 0; i < 40; i++) all.push(await s.join(`c${i}`));
	const senders = all.slice(0, 10), each = 150;
	for (let n = 0; n < each; n++)
		for (const [i, c] of senders.entries()) {
			c.text(`${i}:${n}`);
			if (n % 10 === 0) c.text(`dm ${i}:${n}`, { to_id: all[(i + 13) % 40].id });
			if (n % 25 === 0) c.send({ type: 'typing' });
		}
	for (const c of senders) await fence(c, all);
	const sequence = all.map(c => c.drain().filter(f => f.type === 'text' && !f.dm));
	const first = sequence[39].map(f => f.text);
	assert.equal(first.length, each * senders.length);
	assert.equal(new Set(first).size, first.length, 'no duplicate');
	for (const [i] of senders.entries()) // each sender's own order
		assert.deepEqual(first.filter(t => t.startsWith(`${i}:`)), Array.from({ length: each }, (_, n) => `${i}:${n}`));
	sequence.forEach((got, i) => {
		assert.deepEqual(got.map(f => f.text), first, `client ${i}`);
		for (const f of got) assert.equal(f.self === true, f.from_id === all[i].id, 'self on one\'s own and on no other');
	});
	assert.deepEqual(sequence[3].map(common), sequence[39].map(common), 'the same frames');
	// DMs: their two ends, and nobody else.
	for (const [i, c] of all.entries())
		for (const f of c.frames.filter(f => f.dm === true && f.type === 'text')) assert.ok(f.from_id === c.id || f.to_id === c.id, `client ${i}`);
	const dms = all.flatMap(c => c.frames.filter(f => f.type === 'text' && f.dm));
	assert.equal(dms.length, senders.length * (each / 10) * 2);
	// History is that order as well.
	const late = await s.join('late');
	const tail = first.filter(t => !t.startsWith('fence')).slice(-100);
	assert.deepEqual(late.init.history.map(m => m.text).filter(t => !t.startsWith('fence')).slice(-100), tail);
});

serverTest('order holds while people come and go', { timeout: 60000 }, async s => {
	const stay = await s.joinAll('s0', 's1', 's2', 's3');
	let done = false, n = 0;
	const talk = stay.map(async c => {
		while (!done) {
			c.text(`${c.name}:${n++}`);
			await new Promise(resolve => setTimeout(resolve, 2));
		}
	});
	for (let round = 0; round < 15; round++) {
		const guests = await Promise.all(Array.from({ length: 6 }, (_, i) => s.join(`g${round}.${i}`)));
		guests.forEach((g, i) => g.text(`hello from ${round}.${i}`));
		await Promise.all(guests.map((g, i) => g.next({ text: `hello from ${round}.${i}`, self: true })));
		guests.forEach((g, i) => (i % 2 ? g.ws.terminate() : g.ws.close()));
	}
	done = true;
	await Promise.all(talk);
	for (const c of stay) await fence(c, stay);
	const [first, ...rest] = stay.map(c => c.frames.filter(f => f.type === 'text' && !f.dm).map(f => f.text));
	assert.equal(first.filter(t => t.startsWith('hello')).length, 90);
	assert.equal(new Set(first).size, first.length);
	for (const other of rest) {
		// They joined one after another, but all before the first text.
		assert.deepEqual(other, first);
	}
});
