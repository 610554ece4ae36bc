// typing: to everyone, or to one alone; never back.
import assert from 'node:assert/strict';
import { exact, fence, nothingFor, serverTest } from './lib.mjs';

serverTest('typing goes to everyone but who types', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	a.send({ type: 'typing' });
	for (const x of [b, c]) exact(await x.next('typing'), { type: 'typing', from_id: a.id, from_name: 'a' });
	await nothingFor(a, [a, b, c]);
	b.send({ type: 'typing', to_id: null });
	for (const x of [a, c]) exact(await x.next('typing'), { type: 'typing', from_id: b.id, from_name: 'b' });
	await nothingFor(b, [a, b, c]);
});

serverTest('typing to one person is for that person alone', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	a.send({ type: 'typing', to_id: b.id });
	exact(await b.next('typing'), { type: 'typing', from_id: a.id, from_name: 'a', dm: true });
	await nothingFor(a, [a, b, c]);
});

serverTest('typing to oneself or to nobody goes nowhere', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	a.send({ type: 'typing', to_id: a.id });
	a.send({ type: 'typing', to_id: 999999 });
	await nothingFor(a, [a, b]);
});

serverTest('typing leaves no trace in history and does not lose its place', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 100; i++) {
		a.send({ type: 'typing' });
		a.text(`t${i}`);
	}
	await fence(a, [a, b]);
	const got = b.drain();
	assert.deepEqual(got.filter(f => f.type === 'text').map(f => f.text), Array.from({ length: 100 }, (_, i) => `t${i}`));
	assert.ok(got.filter(f => f.type === 'typing').length <= 100);
	assert.ok(a.drain().every(f => f.type === 'text'));
	const c = await s.join('c');
	assert.ok(c.init.history.every(m => m.type === 'text'));
});
