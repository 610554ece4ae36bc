// cid: a message sent again is the message sent before, on this connection, on another, and after any restart.
import assert from 'node:assert/strict';
import { exact, fence, noise, nothingFor, serverTest } from './lib.mjs';
import { error2, join2, messages, text2, upload } from './v2.mjs';

serverTest('the same cid again is answered with the first echo and stored once', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	a.text('once', { cid: 'c1' });
	const first = await a.next('text');
	await b.next('text');
	for (let i = 0; i < 3; i++) {
		a.text('once', { cid: 'c1' });
		assert.deepEqual(await a.next('text'), first);
	}
	await nothingFor(a, [a, b]);
	const c = await join2(s, 'c');
	assert.equal(c.init.history.filter(m => m.text === 'once').length, 1);
});

serverTest('twice in one breath is still once', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let i = 0; i < 100; i++) {
		a.text(`m${i}`, { cid: `k${i}` });
		a.text(`m${i}`, { cid: `k${i}` });
	}
	await fence(a, [a, b]);
	assert.deepEqual(b.drain().map(f => f.text), Array.from({ length: 100 }, (_, i) => `m${i}`));
	const echoes = a.drain();
	for (let i = 0; i < 100; i++) assert.ok(new Set(echoes.filter(f => f.cid === `k${i}`).map(f => f.id)).size === 1, `m${i} has one id`);
	const c = await join2(s, 'c');
	assert.equal(c.init.history.length, 101);
});

serverTest('a cid is its identity\'s own', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	a.text('from a', { cid: 'same' });
	await b.next({ text: 'from a' });
	b.text('from b', { cid: 'same' });
	exact(await a.next({ text: 'from b' }), text2(b, 'from b'));
	exact(await b.next('text'), text2(b, 'from b', { self: true, cid: 'same' }));
});

serverTest('a cid with other content: the first stands, and the error says so', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	a.text('first', { cid: 'c' });
	await b.next({ text: 'first' });
	await a.next({ text: 'first' });
	a.text('second', { cid: 'c' });
	exact(await a.next('error'), error2('cid_reused', { cid: 'c' }));
	a.text('first', { cid: 'c', to_id: b.id });
	exact(await a.next('error'), error2('cid_reused', { cid: 'c' }));
	await nothingFor(a, [b]);
});

serverTest('any string of up to 64 bytes is a cid', async s => {
	const a = await join2(s, 'a');
	for (const cid of ['x', 'c'.repeat(64), '🌊'.repeat(16), '"\\\u0001<>&\u2028', ' spaces ', '0']) {
		a.text('t', { cid });
		assert.equal((await a.next('text')).cid, cid);
	}
	a.text('t', { cid: '🌊'.repeat(16) + 'x' });
	assert.equal((await a.next('error')).code, 'bad_request');
	a.text('no cid', { cid: '' });
	a.text('end');
	await a.next({ text: 'end' });
});

serverTest('resent on another connection, after a restart and after kill -9', { timeout: 60000 }, async s => {
	let a = await join2(s, 'a');
	const { token } = a;
	const b = await join2(s, 'b');
	a.text('public', { cid: 'p' });
	a.text('private', { cid: 'd', to_id: b.id });
	const blob = await upload(s, token, noise(2000));
	a.send({ type: 'file', blob, filename: 'f', cid: 'f' });
	const first = [await a.next({ cid: 'p' }), await a.next({ cid: 'd' }), await a.next({ cid: 'f' })];
	const bId = b.id;
	for (const how of ['reconnect', 'stop', 'kill9', 'kill9']) {
		if (how === 'reconnect') a.ws.terminate();
		else {
			await s[how]();
			await s.restart();
		}
		a = await join2(s, 'whoever', { token });
		a.text('public', { cid: 'p' });
		a.text('private', { cid: 'd', to_id: bId });
		a.send({ type: 'file', blob, filename: 'f', cid: 'f' });
		assert.deepEqual([await a.next({ cid: 'p' }), await a.next({ cid: 'd' }), await a.next({ cid: 'f' })], first, how);
		a.text('other', { cid: 'p' });
		assert.equal((await a.next('error')).code, 'cid_reused');
	}
	const late = await join2(s, 'late');
	assert.deepEqual(late.init.history.map(m => m.type), ['text', 'file']);
});

serverTest('what was echoed is there after kill -9, in the same order', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let round = 0; round < 3; round++) {
		const live = { a: await join2(s, '', { token: a.token }), b: await join2(s, '', { token: b.token }) };
		for (let i = 0; i < 50; i++) {
			live.a.text(`a${round}.${i}`, { cid: `a${round}.${i}` });
			live.b.text(`b${round}.${i}`, { cid: `b${round}.${i}` });
		}
		await Promise.all([live.a.next({ cid: `a${round}.49` }), live.b.next({ cid: `b${round}.49` })]);
		const seen = messages(live.a.frames).map(f => ({ id: f.id, text: f.text }));
		await s.kill9();
		await s.restart();
		const late = await join2(s, 'late');
		const stored = late.init.history.map(m => ({ id: m.id, text: m.text }));
		// What was seen, as far back as this page goes; what nobody had seen yet may stand behind it.
		const from = Math.max(seen[0].id, stored[0].id);
		assert.deepEqual(stored.filter(m => m.id >= from && m.id <= seen.at(-1).id), seen.filter(m => m.id >= from));
		late.ws.terminate();
	}
});
