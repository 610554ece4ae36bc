// presence, who, and what they cost: the second dialect.
import assert from 'node:assert/strict';
import { bad, exact, isId, patience, serverTest, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';

const isPerson = p => isId(p.id) && typeof p.name === 'string' && Object.keys(p).length === 2;
const shape = { type: 'presence', online: v => Number.isInteger(v) && v >= 0, joined: v => v.every(isPerson), left: v => v.every(isId) };

/** Who is there, as `c` was told: init.users with every presence since. */
function told(c) {
	const there = new Map(c.init.users.map(u => [u.id, u.name]));
	let online = c.init.online;
	for (const p of c.frames.filter(f => f.type === 'presence')) {
		exact(p, shape);
		p.joined.forEach(u => there.set(u.id, u.name));
		p.left.forEach(id => there.delete(id));
		online = p.online;
	}
	return { there, online };
}

async function until(what, ok, ms = 12000) {
	const deadline = Date.now() + ms * patience;
	while (!ok()) {
		if (Date.now() > deadline) throw new Error(`never came: ${what()}`);
		await sleep(20);
	}
}

serverTest('joins and leaves are presence, and nothing else', async s => {
	const a = await join2(s, 'a');
	const b = await join2(s, 'b'), old = await s.join('old');
	await until(() => JSON.stringify(told(a)), () => told(a).online === 3);
	assert.deepEqual([...told(a).there.values()].sort(), ['a', 'b', 'old']);
	await old.close();
	await until(() => a.story(), () => told(a).online === 2);
	await b.close(); // a token holder may be back in a few seconds: its leave is told late
	await until(() => a.story(), () => told(a).online === 1, 30000);
	assert.deepEqual([...told(a).there.keys()], [a.id]);
	assert.ok(!a.frames.some(f => ['users', 'system'].includes(f.type)));
});

serverTest('a token\'s quick reconnect is no leave and no join, in either dialect', async s => {
	const a = await join2(s, 'a'), old = await s.join('old');
	let b = await join2(s, 'b');
	await until(() => a.story(), () => told(a).online === 3);
	const before = [a.frames.length, old.frames.length];
	for (let i = 0; i < 3; i++) {
		b.ws.terminate();
		await sleep(150);
		b = await join2(s, '', { token: b.token });
		await sleep(300);
	}
	const since = [...a.frames.slice(before[0]), ...old.frames.slice(before[1])];
	assert.ok(!since.some(f => f.type === 'system' || (f.type === 'presence' && (f.joined.some(u => u.id === b.id) || f.left.includes(b.id)))), JSON.stringify(since).slice(0, 500));
});

serverTest('the first dialect hears of the second by its lines and lists', async s => {
	const old = await s.join('old');
	const b = await join2(s, 'b');
	await old.next({ type: 'system', text: 'b joined 👋' });
	await old.next(f => f.type === 'users' && f.users.length === 2);
	await b.close();
	await old.next({ type: 'system', text: 'b left the chat' }, 20000);
	await old.next(f => f.type === 'users' && f.users.length === 1, 20000);
});

serverTest('a crowd: init is at most 200 people, presence at most a KB/s, who has the rest', { timeout: 90000 }, async s => {
	const a = await join2(s, 'watch');
	const t0 = Date.now();
	const crowd = [];
	for (let i = 0; i < 400; i += 50) crowd.push(...await Promise.all(Array.from({ length: 50 }, (_, k) => join2(s, `Person ${String(i + k).padStart(3, '0')}`))));
	const late = await join2(s, 'late');
	assert.ok(late.init.users.length <= 200, `${late.init.users.length} users`);
	assert.ok(late.init.users.some(u => u.id === late.id), 'oneself');
	assert.equal(late.init.online, 402);
	await until(() => JSON.stringify(told(a).online), () => told(a).online === 402);
	const seconds = (Date.now() - t0) / 1000;
	const bytes = a.frames.filter(f => f.type === 'presence').reduce((n, f) => n + Buffer.byteLength(JSON.stringify(f)), 0);
	assert.ok(bytes < 1024 * (seconds + 4) * 2, `${bytes} bytes of presence in ${seconds} s`);
	for (const f of a.frames.filter(f => f.type === 'presence')) exact(f, shape);

	// who pages through everyone, by id, each once.
	const everyone = [];
	for (let after = 0, more = true; more;) {
		late.send({ type: 'who', after, limit: 100 });
		const page = await late.next('who');
		assert.ok(page.users.length <= 100 && page.users.every(isPerson));
		assert.ok(page.users.every(u => u.id > after), 'by id');
		everyone.push(...page.users);
		more = page.more;
		assert.ok(page.users.length || !more);
		if (page.users.length) after = page.users.at(-1).id;
	}
	assert.equal(everyone.length, 402);
	assert.equal(new Set(everyone.map(u => u.id)).size, 402);
	late.send({ type: 'who', q: 'PERSON 39', limit: 50 });
	const found = await late.next('who');
	assert.deepEqual(found.users.map(u => u.name).sort(), Array.from({ length: 10 }, (_, i) => `Person 39${i}`));
	assert.equal(found.more, false);
	assert.equal(found.q, 'PERSON 39');
	late.send({ type: 'who', q: 'nobody at all' });
	assert.deepEqual((await late.next('who')).users, []);
	for (const limit of [0, -1, 1e9]) {
		late.send({ type: 'who', limit }, bad);
		const answer = await late.next(f => f.type === 'who' || f.type === 'error');
		if (answer.type === 'who') assert.ok(answer.users.length <= 1000);
	}
});

serverTest('init.users has one\'s DM partners', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	a.text('hello', { to_id: b.id });
	await b.next('text');
	for (let i = 0; i < 250; i += 50) await Promise.all(Array.from({ length: 50 }, (_, k) => join2(s, `p${i + k}`)));
	const again = await join2(s, '', { token: a.token });
	assert.ok(again.init.users.some(u => u.id === b.id));
	assert.ok(again.init.users.some(u => u.id === a.id));
	assert.ok(again.init.users.length <= 200);
});
