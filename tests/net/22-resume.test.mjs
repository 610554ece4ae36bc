// since, gap, sync, reset: whoever comes back has everything, once, in order.
import assert from 'node:assert/strict';
import { bad, exact, fence, serverTest, sleep } from './lib.mjs';
import { dm2, join2, messages, text2 } from './v2.mjs';

const texts = list => list.map(m => m.text);

/** All that `token` missed since `since`, by init and as many syncs as it takes. */
async function catchUp(s, token, since) {
	const c = await join2(s, '', { token, since });
	const got = [...c.init.history];
	let more = c.init.gap === true, pages = 1;
	while (more) {
		const from = got.at(-1).id;
		c.send({ type: 'sync', since: from });
		const page = exact(await c.next('sync', 10000), { type: 'sync', since: from, events: Array.isArray, more: v => typeof v === 'boolean' });
		assert.ok(page.events.length <= 1000);
		assert.ok(page.events.length > 0 || !page.more, 'no endless pages');
		got.push(...page.events);
		more = page.more;
		pages++;
	}
	return { c, got, pages };
}

function rising(list) {
	for (let i = 1; i < list.length; i++) assert.ok(list[i].id > list[i - 1].id, `${list[i - 1].id} then ${list[i].id}`);
}

serverTest('since brings what was missed, public and one\'s own DMs, in order', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c');
	a.text('seen', { cid: 's' });
	const { id: since } = await b.next('text');
	b.ws.terminate();
	a.text('public 1');
	a.text('for b', { to_id: b.id });
	a.text('for c', { to_id: c.id });
	c.text('from c for b', { to_id: b.id });
	await c.next({ text: 'from c for b' });
	await a.next({ text: 'for c' });
	a.text('public 2', { cid: 'p2' });
	await a.next({ text: 'public 2' });
	const back = await join2(s, 'ignored', { token: b.token, since });
	assert.equal(back.id, b.id);
	rising(back.init.history);
	assert.deepEqual(texts(back.init.history).sort(), ['for b', 'from c for b', 'public 1', 'public 2']);
	exact(back.init.history.find(m => m.text === 'for b'), dm2(a, b, 'for b'));
	exact(back.init.history.find(m => m.text === 'public 2'), text2(a, 'public 2'));
	assert.ok(!('gap' in back.init) && !('reset' in back.init));
	const again = await join2(s, '', { token: a.token, since });
	exact(again.init.history.find(m => m.text === 'public 2'), text2(a, 'public 2', { self: true, cid: 'p2' }));
	exact(again.init.history.find(m => m.text === 'for b'), dm2(a, b, 'for b', { self: true }));
	const third = await join2(s, '', { token: c.token, since });
	assert.deepEqual(texts(third.init.history).sort(), ['for c', 'from c for b', 'public 1', 'public 2']);
});

serverTest('since at the head is an empty history', async s => {
	const a = await join2(s, 'a');
	a.text('x');
	const { id } = await a.next('text');
	const back = await join2(s, '', { token: a.token, since: id });
	assert.deepEqual(back.init.history, []);
	assert.equal(back.init.head, id);
	assert.ok(!back.init.gap && !back.init.reset);
});

serverTest('a since from the future or before all time is reset to the latest page', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 5; i++) a.text(`n${i}`);
	const { id: head } = await a.next({ text: 'n4' });
	for (const since of [head + 1, head + 2 ** 40, 2 ** 52, Number.MAX_SAFE_INTEGER]) {
		const c = await join2(s, '', { token: a.token, since });
		assert.equal(c.init.reset, true, `since ${since}`);
		assert.deepEqual(texts(c.init.history), ['n0', 'n1', 'n2', 'n3', 'n4']);
		c.ws.terminate();
	}
	for (const since of ['x', {}, -1, 1.5, true]) {
		const c = await s.connect();
		c.send({ type: 'join', v: 2, token: a.token, since }, bad);
		const answer = await c.answer();
		assert.ok(['error', '(closed)'].includes(answer.type) || answer.reset === true, `${JSON.stringify(since)} got ${answer.type}`);
	}
});

serverTest('more than a page: gap, then sync to the end, while others talk on', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	a.text('seen');
	const { id: since } = await b.next('text');
	b.ws.terminate();
	for (let i = 0; i < 2600; i++) {
		a.text(`n${i}`, i % 7 === 0 ? { to_id: b.id } : {});
		if (i % 200 === 199) await a.next({ text: `n${i}` }, 10000);
	}
	let live = 0, done = false;
	const talk = (async () => { while (!done) { a.text(`live ${live++}`); await sleep(1); } })();
	const { c, got, pages } = await catchUp(s, b.token, since);
	done = true;
	await talk;
	await c.next({ text: `live ${live - 1}` });
	assert.ok(pages >= 3, `${pages} pages`);
	assert.equal(c.init.history.length, 1000, 'the oldest page first');
	assert.equal(c.init.gap, true);
	rising(got);
	// Pages and live frames overlap or meet, but by id there is each message once and none is missing.
	const all = new Map([...got, ...messages(c.frames)].map(m => [m.id, m.text]));
	const order = [...all].sort((x, y) => x[0] - y[0]).map(([, t]) => t);
	assert.deepEqual(order, [...Array.from({ length: 2600 }, (_, i) => `n${i}`), ...Array.from({ length: live }, (_, i) => `live ${i}`)]);
});

serverTest('sync at any time, for anything', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 10; i++) a.text(`n${i}`);
	await a.next({ text: 'n9' });
	const ids = messages(a.frames).map(f => f.id);
	a.send({ type: 'sync', since: ids[4] });
	const page = await a.next('sync');
	assert.deepEqual(page.events.map(e => e.id), ids.slice(5));
	assert.equal(page.more, false);
	page.events.forEach((e, i) => exact(e, text2(a, `n${i + 5}`, { self: true })));
	a.send({ type: 'sync', since: ids[9] });
	assert.deepEqual((await a.next('sync')).events, []);
});

serverTest('nothing falls between resume and live', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	let n = 0, done = false;
	const talk = (async () => { while (!done) { for (let i = 0; i < 4; i++) a.text(`n${n++}`); await sleep(1); } })();
	let c = b, seen = [], since = b.init.head;
	for (let round = 0; round < 25; round++) {
		c = await join2(s, '', { token: b.token, since });
		await sleep(15);
		c.ws.terminate();
		const here = [...c.init.history, ...messages(c.frames)];
		if (here.length) since = here.at(-1).id;
		seen.push(...here.map(m => m.text));
	}
	done = true;
	await talk;
	assert.ok(seen.length > 100);
	assert.deepEqual(seen, Array.from({ length: seen.length }, (_, i) => `n${i}`));
});

serverTest('resume across stop and kill -9, ids always ahead', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	let since = b.init.head, last = 0, count = 0;
	for (const how of ['stop', 'kill9', 'stop', 'kill9']) {
		const w = await join2(s, '', { token: a.token });
		for (let i = 0; i < 20; i++) w.text(`n${count++}`, i % 5 ? {} : { to_id: b.id });
		await w.next({ text: `n${count - 1}` });
		const ids = messages(w.frames).map(m => m.id);
		assert.ok(ids[0] > last, 'an id is never used twice');
		last = ids.at(-1);
		await s[how]();
		await s.restart();
	}
	const { got } = await catchUp(s, b.token, since);
	assert.deepEqual(texts(got), Array.from({ length: 80 }, (_, i) => `n${i}`));
	rising(got);
});

serverTest('ids go on from the clock also where nothing is stored', { args: ['--data', ':memory:'] }, async s => {
	const a = await join2(s, 'a');
	a.text('x');
	const { id } = await a.next('text');
	await s.stop();
	await new Promise(resolve => setTimeout(resolve, 1100));
	await s.restart();
	const b = await join2(s, 'b');
	b.text('y');
	assert.ok((await b.next('text')).id > id);
	const stale = await s.connect();
	stale.send({ type: 'join', v: 2, name: 'x', token: a.token, since: id });
	assert.equal((await stale.take()).code, 'bad_token');
});

serverTest('without since: the last HISTORY_LIMIT public messages, and no DMs', { args: ['--history-limit', '5'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let i = 0; i < 8; i++) a.text(`n${i}`);
	for (let i = 0; i < 8; i++) a.text(`dm${i}`, { to_id: b.id });
	await fence(a, [a]);
	const back = await join2(s, '', { token: b.token });
	assert.equal(back.init.history.length, 5);
	assert.ok(back.init.history.every(m => !m.dm));
	assert.deepEqual(texts(back.init.history).slice(0, 4), ['n4', 'n5', 'n6', 'n7']);
	assert.equal(back.init.limits.history_limit, 5);
});

serverTest('in memory the oldest messages go, and a since before what is left is answered with reset', { args: ['--data', ':memory:'], timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	a.text('first', { cid: 'first' });
	const first = await a.next('text');
	for (let n = 0; n < 10_500;) { // a batch at a time, so that nobody is dropped for reading too slowly
		for (let i = 0; i < 500; i++) a.text(`n${++n}`);
		await a.next({ text: `n${n}` }, 20000);
		a.unread.length = a.frames.length = 0; // thousands are slow to search
	}
	let c;
	for (let i = 0; i < 50; i++) { // it is done in slices, one a second
		c = await join2(s, '', { token: a.token, since: first.id });
		if (c.init.reset) break;
		c.ws.terminate();
		await sleep(200);
	}
	assert.equal(c.init.reset, true, 'what came after the first is not all there, and that is said');
	assert.equal(c.init.gap, undefined);
	assert.equal(c.init.history.at(-1).text, 'n10500');
	// What is left can be gone on with, from just behind the first that is gone.
	let page = { messages: c.init.history, more: true };
	while (page.more) {
		c.send({ type: 'history', before: page.messages[0].id, limit: 1000 });
		page = await c.next('history', 10000);
	}
	const oldest = page.messages[0];
	const d = await join2(s, '', { token: a.token, since: oldest.id });
	assert.equal(d.init.reset, undefined);
	assert.equal(d.init.history[0].text, `n${Number(oldest.text.slice(1)) + 1}`);
});
