// People coming and going in numbers: merged per tick, bounded per client, and still the truth at the end.
import assert from 'node:assert/strict';
import { exact, isTs, patience, serverTest, sleep } from './lib.mjs';

/** Waits until the newest list `c` got satisfies `ok`. */
async function lastUsers(c, ok, timeout = 10000) {
	const deadline = Date.now() + timeout * patience;
	for (;;) {
		const last = [...c.frames].reverse().find(f => f.type === 'users' || f.type === 'init');
		if (last && ok(last.users)) return last.users;
		if (Date.now() > deadline) throw new Error(`no such list; the last has ${last && last.users.length}\n${c.story()}`);
		await sleep(20);
	}
}

const names = users => users.map(u => u.name).sort();

serverTest('up to 5 in a tick keep their exact lines', async s => {
	const a = await s.join('watch');
	const many = await Promise.all([1, 2, 3, 4, 5].map(() => s.connect()));
	many.forEach((c, i) => c.send({ type: 'join', name: `p${i}` }));
	await lastUsers(a, u => u.length === 6);
	const lines = a.frames.filter(f => f.type === 'system');
	assert.deepEqual(lines.map(f => f.text).sort(), [0, 1, 2, 3, 4].map(i => `p${i} joined 👋`));
	lines.forEach(f => exact(f, { type: 'system', text: /./, ts: isTs }));
	assert.ok(a.frames.filter(f => f.type === 'users').length <= 6, 'lists are merged, too');
});

serverTest('many at once are few lines and few lists, and nobody is missing', async s => {
	const a = await s.join('watch');
	const many = await Promise.all(Array.from({ length: 60 }, () => s.connect()));
	many.forEach((c, i) => c.send({ type: 'join', name: `p${i}` }));
	const users = await lastUsers(a, u => u.length === 61);
	assert.deepEqual(names(users), ['watch', ...Array.from({ length: 60 }, (_, i) => `p${i}`)].sort());
	for (const c of many) await c.next('init');
	const lines = a.frames.filter(f => f.type === 'system');
	assert.ok(lines.length >= 1 && lines.length <= 20, `${lines.length} lines for 60 joins`);
	const lists = a.frames.filter(f => f.type === 'users').length;
	assert.ok(lists <= 12, `${lists} lists for 60 joins`);
	a.unread.length = 0;
	many.forEach(c => c.ws.close());
	await lastUsers(a, u => u.length === 1);
	const gone = a.unread.filter(f => f.type === 'system');
	assert.ok(gone.length >= 1 && gone.length <= 20, `${gone.length} lines for 60 leaves`);
});

serverTest('every list is right after a mixture of joins and leaves', { timeout: 60000 }, async s => {
	const a = await s.join('watch');
	let alive = [];
	for (let round = 0; round < 6; round++) {
		alive.splice(0, 7).forEach(c => (round % 2 ? c.ws.terminate() : c.ws.close()));
		const fresh = await Promise.all(Array.from({ length: 12 }, () => s.connect()));
		fresh.forEach((c, i) => c.send({ type: 'join', name: `r${round}n${i}` }));
		await Promise.all(fresh.map(async c => (c.init = await c.next('init'))));
		alive.push(...fresh);
	}
	const want = ['watch', ...alive.map(c => c.init.my_name)].sort();
	await lastUsers(a, u => JSON.stringify(names(u)) === JSON.stringify(want));
	await lastUsers(alive.at(-1), u => JSON.stringify(names(u)) === JSON.stringify(want));
});

serverTest('past 500 people a list is 500, oneself among them', { timeout: 60000 }, async s => {
	const a = await s.join('watch');
	const t0 = Date.now();
	const many = [];
	for (let i = 0; i < 540; i += 60) many.push(...await Promise.all(Array.from({ length: 60 }, () => s.connect())));
	many.forEach((c, i) => c.send({ type: 'join', name: `person number ${i}` }));
	await Promise.all(many.map(async c => (c.init = await c.next('init', 15000))));
	await lastUsers(a, u => u.length === 500);
	for (const c of [many[0], many[270], many[539]]) {
		assert.ok(c.init.users.length <= 500);
		assert.ok(c.init.users.some(u => u.id === c.init.my_id), 'the joiner is in its own init');
		const users = await lastUsers(c, u => u.length === 500);
		assert.ok(users.some(u => u.id === c.init.my_id), 'and in its list');
	}
	assert.ok(a.firstUsers.users.length === 1);
	const list = a.frames.filter(f => f.type === 'users');
	assert.ok(list.every(f => f.users.length <= 500));
	assert.equal(new Set(list.at(-1).users.map(u => u.id)).size, 500, 'nobody twice');
	// Whole lists cost a client at most about 64 KB/s.
	const seconds = (Date.now() - t0) / 1000;
	const bytes = list.reduce((n, f) => n + Buffer.byteLength(JSON.stringify(f)), 0);
	assert.ok(bytes <= 64 * 1024 * (seconds + 2) * 1.5, `${bytes} bytes of lists in ${seconds} s`);

	// Who was active last is in it.
	many[5].send({ type: 'text', text: 'I am here' });
	many[538].ws.terminate();
	await lastUsers(a, u => u.length === 500 && u.some(p => p.id === many[5].init.my_id));

	// Below 500 it is everyone again.
	many.slice(100, 200).forEach(c => c.ws.terminate());
	const rest = await lastUsers(a, u => u.length === 440, 15000);
	assert.ok(rest.some(u => u.id === a.id));
});

serverTest('nobody hears of what was before its own join', async s => {
	const watch = await s.join('watch');
	for (let round = 0; round < 10; round++) { // within one tick, mostly
		const a = await s.connect();
		a.send({ type: 'join', name: `early ${round}` });
		await a.next('init');
		await a.close();
		const b = await s.connect();
		b.send({ type: 'join', name: `late ${round}` });
		await b.next('init');
		await watch.next({ type: 'system', text: `late ${round} joined 👋` });
		const c = await s.join(`fence ${round}`);
		await b.next({ type: 'system', text: `fence ${round} joined 👋` });
		const told = b.frames.filter(f => f.type === 'system').map(f => f.text);
		assert.ok(!told.some(t => t.includes('early') || t.includes('late')), told.join(' | '));
		const seen = watch.frames.filter(f => f.type === 'system' && f.text.includes(`early ${round}`)).map(f => f.text);
		assert.deepEqual(seen, [`early ${round} joined 👋`, `early ${round} left the chat`]);
		await Promise.all([b.close(), c.close()]);
		await watch.next({ type: 'system', text: `fence ${round} left the chat` });
	}
});
