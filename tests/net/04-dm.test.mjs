// Direct messages: their two ends and nobody else, and what the server makes of an id.
import assert from 'node:assert/strict';
import { bad, common, dmText, exact, fence, isError, nothingFor, publicText, serverTest } from './lib.mjs';

serverTest('a DM reaches its two ends and nobody else', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	a.text('between us', { to_id: b.id });
	exact(await b.next('text'), dmText(a, b, 'between us'));
	exact(await a.next('text'), dmText(a, b, 'between us', { self: true }));
	await nothingFor(a, [a, b, c]);
	assert.ok(!c.frames.some(f => JSON.stringify(f).includes('between us')));
});

serverTest('a numeric string is an id', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	a.text('by string', { to_id: String(b.id) });
	exact(await b.next('text'), dmText(a, b, 'by string'));
	exact(await a.next('text'), dmText(a, b, 'by string', { self: true }));
	a.send({ type: 'typing', to_id: String(b.id) });
	assert.equal((await b.next('typing')).dm, true);
	a.send({ type: 'dm_history', peer_id: String(b.id) });
	assert.equal((await a.next('dm_history')).peer_id, b.id);
	await nothingFor(a, [c]);
});

serverTest('to_id absent, null or 0 is everyone', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const [text, more] of [['absent', {}], ['null', { to_id: null }], ['zero', { to_id: 0 }]]) {
		a.text(text, more);
		exact(await b.next('text'), publicText(a, text));
		exact(await a.next('text'), publicText(a, text, { self: true }));
	}
});

serverTest('a to_id that is no id at all is refused, never made public', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const to_id of ['x', '12x', {}, [], 1.5, true, '1.5', '1e3']) {
		a.text('not for everyone', { to_id }, bad);
		exact(await a.next('error'), isError);
	}
	await nothingFor(a, [a, b]);
});

serverTest('a DM to nobody is echoed with to_name "?"', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	const guest = c.id;
	await c.close();
	await a.next({ type: 'system', text: 'c left the chat' });
	for (const to_id of [999999, guest, Number.MAX_SAFE_INTEGER]) {
		a.text('anyone?', { to_id });
		exact(await a.next('text'), dmText(a, { id: to_id, name: '?' }, 'anyone?', { self: true }));
	}
	for (const to_id of [-1, 2 ** 60, '99999999999999999999999999']) a.text('out of range', { to_id }, bad);
	await fence(a, [a, b]);
	assert.ok(!b.frames.some(f => JSON.stringify(f).includes('out of range')), 'never public');
	assert.deepEqual(b.drain(), []);
});

serverTest('a DM to oneself arrives once', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	a.text('note to self', { to_id: a.id });
	exact(await a.next('text'), dmText(a, a, 'note to self', { self: true }));
	await nothingFor(a, [a, b]);
	a.send({ type: 'dm_history', peer_id: a.id });
	assert.equal((await a.next('dm_history')).messages.length, 1);
});

serverTest('a DM obeys the limits of a text', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	a.text('🌊'.repeat(4001), { to_id: b.id });
	exact(await a.next('error'), isError);
	a.text('   ', { to_id: b.id });
	a.text(' 🌊 ', { to_id: b.id });
	exact(await b.next('text'), dmText(a, b, '🌊'));
	await a.next('text');
	await nothingFor(a, [a, b]);
});

serverTest('dm_history is what the two said, oldest first, each shaped as its live frame', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	const live = [];
	for (const [from, to, text] of [[a, b, 'one'], [b, a, 'two'], [a, b, 'three']]) {
		from.text(text, { to_id: to.id });
		live.push(await to.next('text'));
		await from.next('text');
	}
	a.text('to c', { to_id: c.id });
	await c.next('text');
	c.text('b and c', { to_id: b.id });
	await b.next('text');
	a.text('public');
	for (const [asker, peer] of [[a, b], [b, a]]) {
		asker.send({ type: 'dm_history', peer_id: peer.id });
		const h = exact(await asker.next('dm_history'), { type: 'dm_history', peer_id: peer.id, messages: m => m.length === 3 });
		assert.deepEqual(h.messages.map(common), live);
		for (const m of h.messages) assert.ok(!m.self || m.from_id === asker.id);
	}
	c.send({ type: 'dm_history', peer_id: a.id });
	assert.deepEqual((await c.next('dm_history')).messages.map(m => m.text), ['to c']);
	await fence(a, [a, b, c]);
	for (const x of [a, b]) assert.ok(!x.frames.some(f => f.type !== 'text' && JSON.stringify(f).includes('between')), 'asked alone');
	assert.deepEqual(b.drain().map(f => f.text), ['public']);
});

serverTest('dm_history with somebody never written to is empty', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const peer_id of [b.id, 999999]) {
		a.send({ type: 'dm_history', peer_id });
		exact(await a.next('dm_history'), { type: 'dm_history', peer_id, messages: [] });
	}
	for (const peer_id of ['x', {}, [], true, 1.5]) {
		a.send({ type: 'dm_history', peer_id }, bad);
		exact(await a.next('error'), isError);
	}
	await nothingFor(a, [a, b]);
});

serverTest('dm_history holds the last HISTORY_LIMIT', { args: ['--history-limit', '3'] }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 8; i++) (i % 2 ? a : b).text(`dm${i}`, { to_id: (i % 2 ? b : a).id });
	for (const x of [a, b]) await Promise.all([...Array(8).keys()].map(i => x.next({ text: `dm${i}` })));
	a.send({ type: 'dm_history', peer_id: b.id });
	const h = await a.next('dm_history');
	assert.equal(h.messages.length, 3);
	const live = a.frames.filter(f => f.type === 'text' && f.dm).map(f => f.text).slice(-3);
	assert.deepEqual(h.messages.map(m => m.text), live);
});

serverTest('DMs are in no public history and not counted in it', { args: ['--history-limit', '5'] }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 5; i++) a.text(`public ${i}`);
	for (let i = 0; i < 10; i++) a.text(`secret ${i}`, { to_id: b.id });
	await fence(a, [a, b]);
	const c = await s.join('c');
	assert.deepEqual(c.init.history.slice(0, 4).map(m => m.text), ['public 1', 'public 2', 'public 3', 'public 4']);
	assert.equal(c.init.history.length, 5);
	assert.ok(!JSON.stringify(c.frames).includes('secret'));
});

serverTest('own DMs stand in order amid public messages', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	for (let i = 0; i < 300; i++) a.text(`n${i}`, i % 3 ? { to_id: b.id } : {});
	c.text('meanwhile');
	await fence(a, [a, b, c]);
	const all = Array.from({ length: 300 }, (_, i) => `n${i}`);
	for (const x of [a, b]) assert.deepEqual(x.drain().filter(f => f.from_id === a.id).map(f => f.text), all);
	assert.deepEqual(c.drain().filter(f => f.from_id === a.id).map(f => f.text), all.filter((_, i) => i % 3 === 0));
});
