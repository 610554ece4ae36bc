// What a joiner is told of the past.
import assert from 'node:assert/strict';
import { common, fence, noise, serverTest } from './lib.mjs';

serverTest('history is the last HISTORY_LIMIT, oldest first, each shaped as its live frame', { args: ['--history-limit', '7'] }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 10; i++) (i % 2 ? a : b).text(`line ${i}`);
	a.send({ type: 'file', filename: 'f.txt', mime: 'text/plain', data: Buffer.from('file').toString('base64'), size: 4 });
	b.send({ type: 'voice', data: Buffer.from('voice').toString('base64'), duration: 1.5 });
	await fence(a, [a, b]);
	await fence(b, [a, b]);
	const live = b.frames.filter(f => ['text', 'file', 'voice'].includes(f.type)).map(common);
	const c = await s.join('c');
	assert.deepEqual(c.init.history, live.slice(-7));
	assert.ok(c.init.history.some(m => m.type === 'file') && c.init.history.some(m => m.type === 'voice'));
	a.send({ type: 'join', name: 'again' });
	const d = await s.join('d');
	assert.deepEqual(d.init.history, c.init.history, 'the same for everyone');
});

serverTest('HISTORY_LIMIT 0 keeps nothing from the joiner\'s past', { args: ['--history-limit', '0'] }, async s => {
	const a = await s.join('a');
	a.text('gone');
	await fence(a);
	assert.deepEqual((await s.join('b')).init.history, []);
});

serverTest('the default is 200', async s => {
	const a = await s.join('a');
	for (let i = 0; i < 250; i++) a.text(`n${i}`);
	await a.next({ text: 'n249' });
	const b = await s.join('b');
	assert.deepEqual(b.init.history.map(m => m.text), Array.from({ length: 200 }, (_, i) => `n${i + 50}`));
});

serverTest('system lines, typing and presence are not history', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	a.send({ type: 'typing' });
	await b.close();
	await fence(a);
	assert.deepEqual((await s.join('c')).init.history.map(m => m.type), ['text']);
});

// 90 KB are 120 KB of base64: two fit 256 KiB and a third does not, whichever of the two is counted.
serverTest('init inlines at most 256 KiB of data, newest first', async s => {
	const a = await s.join('a');
	const bodies = [1, 2, 3, 4].map(i => noise(90 * 1024, i));
	bodies.forEach((body, i) => a.send({ type: 'file', filename: `f${i}`, data: body.toString('base64'), size: body.length }));
	a.text('last');
	await a.next({ text: 'last' }, 10000);
	const live = a.frames.filter(f => f.type === 'file').map(common);
	const b = await s.join('b');
	assert.deepEqual(b.init.history.map(m => m.filename || m.text), ['f0', 'f1', 'f2', 'f3', 'last']);
	for (const [i, m] of b.init.history.slice(0, 4).entries()) {
		assert.deepEqual(m, i < 2 ? { ...live[i], data: null } : live[i]);
		assert.equal(m.size, 90 * 1024);
	}
});

serverTest('an entry larger than 256 KiB is there without its data', async s => {
	const a = await s.join('a');
	a.send({ type: 'voice', data: noise(400_000).toString('base64'), duration: 3 });
	a.text('after');
	await a.next({ text: 'after' }, 10000);
	const [voice] = (await s.join('b')).init.history;
	assert.equal(voice.type, 'voice');
	assert.equal(voice.data, null);
	assert.equal(voice.duration, 3);
});

serverTest('dm_history inlines by the same rule', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 4; i++) (i % 2 ? a : b).send({ type: 'file', filename: `f${i}`, data: noise(90 * 1024, i + 1).toString('base64'), to_id: (i % 2 ? b : a).id });
	await Promise.all([a, b].map(x => Promise.all([0, 1, 2, 3].map(i => x.next({ filename: `f${i}` })))));
	const live = a.frames.filter(f => f.type === 'file').map(common);
	a.send({ type: 'dm_history', peer_id: b.id });
	const h = await a.next('dm_history');
	assert.deepEqual(h.messages.map(common), live.map((m, i) => (i < 2 ? { ...m, data: null } : m)));
	assert.deepEqual((await s.join('c')).init.history, []);
});

serverTest('a joiner misses nothing between init and its first live frame', { timeout: 60000 }, async s => {
	const a = await s.join('a');
	let n = 0, done = false;
	const talk = (async () => {
		while (!done) {
			for (let i = 0; i < 5; i++) a.text(`n${n++}`);
			await new Promise(resolve => setTimeout(resolve, 1));
		}
	})();
	for (let round = 0; round < 20; round++) {
		const b = await s.join(`b${round}`);
		await b.next('text');
		await b.next('text');
		const seen = [...b.init.history, ...b.frames.filter(f => f.type === 'text')].map(m => Number(m.text.slice(1)));
		for (let i = 1; i < seen.length; i++) assert.equal(seen[i], seen[i - 1] + 1, `round ${round}: ${seen.slice(Math.max(0, i - 3), i + 3)}`);
		await b.close();
	}
	done = true;
	await talk;
});
