// history: back to the first message, public and private, page by page.
import assert from 'node:assert/strict';
import { bad, exact, fence, serverTest } from './lib.mjs';
import { dm2, join2, messages } from './v2.mjs';

/** Every message from the newest page to the first, oldest first. */
async function everything(c, more, limit) {
	const all = [];
	for (let before = 0; ;) {
		c.send({ type: 'history', before, limit, ...more });
		const page = await c.next('history', 10000);
		exact(page, { type: 'history', before, messages: m => m.length <= limit, more: v => typeof v === 'boolean', ...(more.peer_id ? { peer_id: more.peer_id } : {}) });
		for (let i = 1; i < page.messages.length; i++) assert.ok(page.messages[i].id > page.messages[i - 1].id, 'oldest first');
		all.unshift(...page.messages);
		if (!page.more) return all;
		assert.ok(page.messages.length > 0);
		before = page.messages[0].id;
	}
}

serverTest('public pages back to the first message', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let i = 0; i < 700; i++) a.text(`n${i}`, i % 10 === 3 ? { to_id: b.id } : {});
	await fence(a, [a, b]);
	const want = messages(a.frames).filter(m => !m.dm).map(m => m.id);
	for (const limit of [50, 200]) {
		const all = await everything(b, {}, limit);
		assert.deepEqual(all.map(m => m.id), want);
		assert.ok(all.every(m => !m.dm && !m.self && !m.cid));
	}
	const old = await s.join('old');
	old.send({ type: 'history', before: 0, limit: 5 }, bad);
	await fence(old);
	assert.ok(!old.frames.some(f => f.type === 'history'), 'not a word of the first dialect');
});

serverTest('private pages, for the two of them alone', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c');
	for (let i = 0; i < 300; i++) (i % 2 ? a : b).text(`dm${i}`, { to_id: (i % 2 ? b : a).id, cid: `c${i}` });
	c.text('c to a', { to_id: a.id });
	await a.next({ text: 'c to a' });
	a.text('public');
	for (const x of [a, b]) await fence(x, [a, b]);
	const want = messages(a.frames).filter(m => m.dm && (m.from_id === b.id || m.to_id === b.id)).map(m => m.id);
	assert.equal(want.length, 300);
	for (const [me, peer] of [[a, b], [b, a]]) {
		const all = await everything(me, { peer_id: peer.id }, 70);
		assert.deepEqual(all.map(m => m.id), want);
		for (const m of all) {
			if (m.from_id === me.id) exact(m, dm2(me, peer, m.text, { self: true, cid: v => v[0] === 'c' }));
			else exact(m, dm2(peer, me, m.text));
		}
	}
	assert.deepEqual((await everything(c, { peer_id: b.id }, 50)), []);
	assert.deepEqual((await everything(c, { peer_id: a.id }, 50)).map(m => m.text), ['c to a']);
});

serverTest('pages are the same after a restart, and limits are kept', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 30; i++) a.text(`n${i}`);
	await a.next({ text: 'n29' });
	const before = await everything(a, {}, 7);
	await s.kill9();
	await s.restart();
	const back = await join2(s, '', { token: a.token });
	assert.deepEqual(await everything(back, {}, 7), before);
	back.send({ type: 'history' });
	assert.equal((await back.next('history')).messages.length, 30, 'without before and limit: the newest');
	for (const limit of [0, -1, 1e6]) {
		back.send({ type: 'history', before: 0, limit }, bad);
		const answer = await back.next(f => f.type === 'history' || f.type === 'error');
		if (answer.type === 'history') assert.ok(answer.messages.length <= 1000);
	}
	back.send({ type: 'history', before: before[0].id, limit: 10 });
	exact(await back.next('history'), { type: 'history', before: before[0].id, messages: [], more: false });
});
