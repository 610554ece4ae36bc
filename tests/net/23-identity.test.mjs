// Tokens, several devices of one person, names that stay one's own, and DMs to people who are away.
import assert from 'node:assert/strict';
import { bad, exact, fence, isId, serverTest } from './lib.mjs';
import { dm2, error2, isToken, join2, messages, rejoin2, text2 } from './v2.mjs';

serverTest('a token brings back id and name, and no second token', async s => {
	const a = await join2(s, 'Аня');
	a.ws.terminate();
	const back = await join2(s, 'somebody else', { token: a.token });
	assert.equal(back.id, a.id);
	assert.equal(back.name, 'Аня');
	assert.ok(!('token' in back.init));
	await s.kill9();
	await s.restart();
	const later = await join2(s, '', { token: a.token });
	assert.equal(later.id, a.id);
	assert.equal(later.name, 'Аня');
});

serverTest('tokens are hard to guess and stored only as hashes', async s => {
	const tokens = new Set();
	for (let i = 0; i < 20; i++) tokens.add((await join2(s, `n${i}`)).token);
	assert.equal(tokens.size, 20);
	const { execFileSync } = await import('node:child_process');
	for (const t of tokens) {
		assert.ok(isToken(t));
		assert.throws(() => execFileSync('grep', ['-rqaF', t, s.dir]), 'not on disk');
	}
});

serverTest('a wrong token of any kind is bad_token, and one may join as new', async s => {
	const a = await join2(s, 'a');
	const flipped = a.token.slice(0, -2) + (a.token.at(-2) === 'A' ? 'B' : 'A') + a.token.at(-1);
	for (const token of ['', 'x', flipped, a.token + 'A', a.token.slice(0, -1), 'ж'.repeat(43), 'A'.repeat(100000)]) {
		const c = await s.connect();
		c.send({ type: 'join', v: 2, name: 'b', token });
		const answer = await c.take();
		if (token === '' && answer.type === 'init') continue; // an empty token may count as none
		exact(answer, error2('bad_token'));
		await rejoin2(c, 'b');
		assert.notEqual(c.id, a.id);
		await c.close();
	}
	for (const token of [5, {}, []]) {
		const c = await s.connect();
		c.send({ type: 'join', v: 2, name: 'b', token }, bad);
		assert.ok(['error', '(closed)'].includes((await c.answer()).type));
	}
});

serverTest('all devices of a token are one user, each gets everything', async s => {
	const a1 = await join2(s, 'a'), b = await join2(s, 'b');
	const a2 = await join2(s, '', { token: a1.token });
	assert.equal(a2.id, a1.id);
	assert.equal(a2.init.online, 2, 'one person is one person');
	a1.text('from the first', { cid: 'c1' });
	for (const c of [a1, a2]) exact(await c.next('text'), text2(a1, 'from the first', { self: true, cid: 'c1' }));
	exact(await b.next('text'), text2(a1, 'from the first'));
	a2.text('to b', { to_id: b.id, cid: 'c2' });
	for (const c of [a1, a2]) exact(await c.next('text'), dm2(a1, b, 'to b', { self: true, cid: 'c2' }));
	exact(await b.next('text'), dm2(a1, b, 'to b'));
	b.text('to a', { to_id: a1.id });
	for (const c of [a1, a2]) exact(await c.next('text'), dm2(b, a1, 'to a'));
	exact(await b.next('text'), dm2(b, a1, 'to a', { self: true }));
	b.send({ type: 'typing', to_id: a1.id });
	for (const c of [a1, a2]) exact(await c.next('typing'), { type: 'typing', from_id: b.id, from_name: 'b', dm: true });
	a1.send({ type: 'typing' });
	await b.next('typing');
	a1.text('note', { to_id: a1.id });
	for (const c of [a1, a2]) exact(await c.next('text'), dm2(a1, a1, 'note', { self: true }));
	await fence(b, [a1, a2, b]);
	for (const c of [a1, a2, b]) assert.deepEqual(c.drain(), [], 'typing never comes back to who types, on any device');
	await a1.close();
	a2.text('still here');
	await b.next({ text: 'still here' });
	assert.ok(!b.frames.some(f => f.type === 'presence' && f.left.includes(a1.id)), 'one device less is no leave');
});

serverTest('two devices send at once and see one order', { timeout: 60000 }, async s => {
	const a1 = await join2(s, 'a');
	const a2 = await join2(s, '', { token: a1.token }), a3 = await join2(s, '', { token: a1.token }), b = await join2(s, 'b');
	const all = [a1, a2, a3, b];
	for (let i = 0; i < 200; i++) {
		a1.text(`x${i}`, { cid: `x${i}` });
		a2.text(`y${i}`, { cid: `y${i}`, ...(i % 4 ? {} : { to_id: b.id }) });
		if (i % 3 === 0) b.text(`z${i}`, { to_id: a1.id });
	}
	for (const c of all) await fence(c, all);
	const [first, ...rest] = all.map(c => messages(c.frames).map(m => m.id));
	assert.equal(first.length, 200 + 200 + 67 + 4);
	for (const other of rest) assert.deepEqual(other, first);
});

serverTest('names are unique, by what people see', async s => {
	const names = [
		['Аня', 'Аня'], ['Аня', 'Аня 2'], ['аня', 'аня 3'], ['АНЯ', /^АНЯ \d$/], ['ﬁn', 'ﬁn'], ['fin', 'fin 2'], ['Ｆｉｎ', 'Ｆｉｎ 3'],
		['straße', 'straße'], ['STRASSE', 'STRASSE 2'], ['a\u200bb\u202ec', 'abc'], ['A\u00adbc', 'Abc 2'], ['x'.repeat(32), 'x'.repeat(32)],
	];
	const open = [];
	for (const [sent, made] of names) {
		const c = await join2(s, sent);
		open.push(c);
		if (made instanceof RegExp) assert.match(c.name, made);
		else assert.equal(c.name, made, `for ${JSON.stringify(sent)}`);
	}
	const long = await join2(s, 'X'.repeat(32));
	assert.ok([...long.name].length <= 32 && long.name !== 'x'.repeat(32) && /2$/.test(long.name), long.name);
	const old = await s.join('аня');
	assert.match(old.name, /^аня \d$/, 'Part 1 joins by the same rule');
});

serverTest('a guest\'s name is free when the guest goes, a token holder\'s is not', { timeout: 40000 }, async s => {
	const guest = await s.join('guest');
	const holder = await join2(s, 'holder');
	const watch = await join2(s, 'watch');
	await guest.close();
	await holder.close();
	const deadline = Date.now() + 15000;
	let second;
	do {
		second = await s.join('guest');
		await second.close();
		await new Promise(resolve => setTimeout(resolve, 300));
	} while (second.name !== 'guest' && Date.now() < deadline);
	assert.equal(second.name, 'guest');
	const third = await join2(s, 'Holder');
	assert.equal(third.name, 'Holder 2');
	await s.stop();
	await s.restart();
	assert.equal((await join2(s, 'holder')).name, 'holder 3');
	assert.equal((await join2(s, '', { token: holder.token })).name, 'holder');
	void watch;
});

serverTest('a DM to somebody away is kept for them', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const since = b.init.head;
	await b.close();
	a.text('are you there?', { to_id: b.id, cid: 'k' });
	exact(await a.next('text'), dm2(a, b, 'are you there?', { self: true, cid: 'k' }));
	await s.kill9();
	await s.restart();
	const back = await join2(s, '', { token: b.token, since });
	exact(back.init.history[0], dm2(a, b, 'are you there?'));
	const [peer] = back.init.peers;
	exact(peer, { id: a.id, name: 'a', online: v => typeof v === 'boolean', last_id: back.init.history[0].id });
	// A guest of the first dialect can write to somebody away as well.
	await back.close();
	const old = await s.join('old');
	old.text('from a guest', { to_id: b.id });
	assert.equal((await old.next('text')).to_name, 'b');
	const again = await join2(s, '', { token: b.token, since: back.init.head });
	assert.deepEqual(again.init.history.map(m => m.text), ['from a guest']);
});

serverTest('peers are everyone one has DMs with, online or not', async s => {
	const [a, b, c, d] = await Promise.all(['a', 'b', 'c', 'd'].map(n => join2(s, n)));
	a.text('1', { to_id: b.id });
	await b.next('text');
	c.text('2', { to_id: a.id });
	await a.next({ text: '2' });
	c.text('3', { to_id: d.id });
	await d.next('text');
	a.text('4', { to_id: b.id });
	const last = await b.next({ text: '4' });
	await b.close();
	const back = await join2(s, '', { token: a.token });
	assert.deepEqual(back.init.peers.map(p => p.name).sort(), ['b', 'c']);
	const peer = back.init.peers.find(p => p.id === b.id);
	exact(peer, { id: b.id, name: 'b', online: v => typeof v === 'boolean', last_id: last.id });
	assert.equal(back.init.peers.find(p => p.id === c.id).online, true);
	back.init.peers.forEach(p => assert.ok(isId(p.last_id)));
});

serverTest('a sign-out ends the token, everywhere and for good', async s => {
	const a = await join2(s, 'a'), tab = await join2(s, '', { token: a.token });
	a.send({ type: 'link' });
	const phone = await join2(s, '', { code: (await a.next('link')).code }), b = await join2(s, 'b');
	a.send({ type: 'link' });
	const { code } = await a.next('link');
	a.send({ type: 'sign_out' });
	a.text('behind it', {});
	for (const c of [a, tab]) assert.deepEqual(await c.closed, { code: 1000, reason: 'signed out' });
	phone.text('still here');
	await b.next({ text: 'still here' });
	assert.ok(!b.frames.some(f => f.text === 'behind it'));
	for (let kills = 0; kills < 2; kills++) {
		for (const [join, error] of [[{ token: a.token }, 'bad_token'], [{ code }, 'bad_code']]) {
			const c = await s.connect();
			c.send({ type: 'join', v: 2, name: '', ...join });
			exact(await c.take(), error2(error));
			await c.close();
		}
		const headers = { authorization: `Bearer ${a.token}` };
		assert.equal((await s.get('/upload?key=k', { headers })).status, 401);
		assert.equal((await join2(s, '', { token: phone.init.token })).id, a.id);
		await s.kill9();
		await s.restart();
	}
	const guest = await s.join('guest');
	guest.send({ type: 'sign_out' }, bad);
	guest.text('a guest has no token to end');
	await guest.next({ text: 'a guest has no token to end' });
});

serverTest('a link signs in a second device, once', async s => {
	const a = await join2(s, 'a');
	a.send({ type: 'link' });
	const link = exact(await a.next('link'), { type: 'link', code: v => typeof v === 'string' && v.length >= 6, expires_in: v => v >= 60 && v <= 3600 });
	const b = await join2(s, '', { code: link.code });
	assert.equal(b.id, a.id);
	assert.equal(b.name, 'a');
	assert.ok(isToken(b.init.token), 'a token of its own');
	assert.notEqual(b.init.token, a.token);
	const c = await s.connect();
	c.send({ type: 'join', v: 2, name: 'thief', code: link.code });
	exact(await c.take(), error2('bad_code'));
	for (const code of [5, {}, '']) {
		const d = await s.connect();
		d.send({ type: 'join', v: 2, name: 'x', code }, bad);
		const answer = await d.answer();
		assert.ok(['error', '(closed)'].includes(answer.type) || (code === '' && answer.type === 'init'), JSON.stringify(answer).slice(0, 100));
	}
	await s.kill9();
	await s.restart();
	for (const token of [a.token, b.init.token]) assert.equal((await join2(s, '', { token })).id, a.id, 'both tokens last');
	const old = await s.join('old');
	old.send({ type: 'link' }, bad);
	await fence(old);
	assert.ok(!old.frames.some(f => f.type === 'link'), 'not for who has no identity');
});
