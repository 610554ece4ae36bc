// Joining and leaving: init, users, system, and what the server makes of a name.
import assert from 'node:assert/strict';
import { bad, exact, fence, isId, isTs, nothingFor, patience, serverTest, within } from './lib.mjs';

const people = users => users.map(u => u.id).sort((a, b) => a - b);

serverTest('the joiner gets init, then users, and nothing else', async s => {
	const a = await s.connect();
	a.send({ type: 'join', name: 'Аня' });
	const init = exact(await a.take(), { type: 'init', my_id: isId, my_name: 'Аня', history: [], users: u => u.length === 1 });
	assert.deepEqual(init.users, [{ id: init.my_id, name: 'Аня' }]);
	const users = exact(await a.take(), { type: 'users', users: u => u.length === 1 });
	assert.deepEqual(users.users, init.users);
	[a.id, a.name] = [init.my_id, init.my_name];
	await fence(a);
	assert.deepEqual(a.unread, [], 'no join line of one\'s own');
});

serverTest('the others get the system line, then users', async s => {
	const a = await s.join('first');
	const b = await s.join('second');
	exact(await a.take(), { type: 'system', text: 'second joined 👋', ts: isTs });
	const users = exact(await a.take(), { type: 'users', users: u => u.length === 2 });
	assert.deepEqual(people(users.users), people([{ id: a.id }, { id: b.id }]));
	for (const u of users.users) exact(u, { id: isId, name: v => typeof v === 'string' });
	assert.notEqual(a.id, b.id);
	assert.deepEqual(people(b.init.users), people(users.users));
});

serverTest('who goes is said to have left, then users', async s => {
	const a = await s.join('stays');
	const b = await s.join('goes');
	await a.next({ type: 'users' });
	a.unread.length = 0;
	await b.close();
	exact(await a.take(), { type: 'system', text: 'goes left the chat', ts: isTs });
	const users = exact(await a.take(), { type: 'users', users: u => u.length === 1 });
	assert.equal(users.users[0].id, a.id);
});

serverTest('a connection that is cut has left as well', async s => {
	const [a, b] = await s.joinAll('stays', 'cut');
	b.ws.terminate();
	await a.next({ type: 'system', text: 'cut left the chat' });
});

serverTest('who never joined never left', async s => {
	const a = await s.join('watcher');
	const b = await s.connect();
	b.ws.terminate();
	const c = await s.connect();
	await c.close();
	const d = await s.join('other'); // a join is seen, so a leave would have been
	await a.next({ type: 'system', text: 'other joined 👋' });
	await d.close();
	await a.next({ type: 'system', text: 'other left the chat' });
	assert.deepEqual(a.frames.filter(f => f.type === 'system').map(f => f.text), ['other joined 👋', 'other left the chat']);
	assert.ok(a.frames.filter(f => f.type === 'users').every(f => f.users.length <= 2));
});

const names = [
	['  both sides  ', 'both sides', 'trimmed'],
	['\u0085\u2003\u2028Ида\u3000\u00a0\u001f', 'Ида', 'trimmed of Unicode white space'],
	['x'.repeat(33), 'x'.repeat(32), 'cut to 32'],
	['🌊'.repeat(33), '🌊'.repeat(32), 'cut by code points, not by bytes or UTF-16 units'],
	['  ' + 'y'.repeat(32) + '  ', 'y'.repeat(32), 'trimmed before it is counted'],
	['<b>"\\\'&</b>', '<b>"\\\'&</b>', 'never rewritten for some other language'],
	['日本語', '日本語', 'any script'],
];
for (const [sent, made, why] of names) {
	serverTest(`a name is ${why}: ${JSON.stringify(sent.length > 40 ? sent.slice(0, 8) + '…' : sent)}`, async s => {
		const a = await s.join(sent);
		assert.equal(a.name, made);
		assert.deepEqual(a.init.users, [{ id: a.id, name: made }]);
	});
}

for (const [label, more] of [['empty', { name: '' }], ['blank', { name: ' \t\u2003\u0085' }], ['missing', {}]]) {
	serverTest(`a name that is ${label} becomes User<id>`, async s => {
		const a = await s.connect();
		a.send({ type: 'join', ...more }, bad);
		const init = await a.next('init');
		assert.equal(init.my_name, `User${init.my_id}`);
		assert.deepEqual(init.users, [{ id: init.my_id, name: init.my_name }]);
	});
}

serverTest('any other first frame closes the connection', async s => {
	const bystander = await s.join('bystander');
	for (const first of [{ type: 'text', text: 'hello' }, { type: 'typing' }, { type: 'dm_history', peer_id: bystander.id }, { type: 'nonsense' }, {}, [], 'garbage']) {
		const c = await s.connect();
		c.send(first, bad);
		const end = await within(5000 * patience, c.closed, `the close after ${JSON.stringify(first)}`);
		assert.ok([1000, 1002, 1003, 1007, 1008].includes(end.code), `code ${end.code} for ${JSON.stringify(first)}`);
		assert.ok(c.frames.every(f => f.type === 'error'), `nothing is told: ${c.story()}`);
	}
	await nothingFor(bystander, [bystander]);
});

serverTest('a name of the wrong type joins nobody', async s => {
	const a = await s.join('bystander');
	for (const name of [5, {}, [], true]) {
		const c = await s.connect();
		c.send({ type: 'join', name }, bad);
		assert.equal((await c.take()).text, 'name must be a string');
		assert.equal((await c.closed).code, 1008);
	}
	const b = await s.join('fine');
	assert.deepEqual(people(b.init.users), people([{ id: a.id }, { id: b.id }]));
});

serverTest('who joins twice and is gone at once, in a crowd that joins, disturbs nobody', { timeout: 60000 }, async s => {
	const stays = await s.join('stays');
	// In groups, so that this process itself is in time with each join.
	for (let from = 0; from < 400; from += 100) await Promise.all(Array.from({ length: 100 }, async (_, k) => {
		const i = from + k, c = await s.connect();
		c.send({ type: 'join', name: `n${i}` });
		if (i % 4) return;
		await c.next({ type: 'init' });
		for (let again = 0; again < 20; again++) c.send({ type: 'join', name: 'again' });
		c.ws.terminate();
	}));
	stays.send({ type: 'text', text: 'still here' });
	assert.equal((await stays.next({ type: 'text' })).text, 'still here');
	assert.ok(s.alive());
});

serverTest('a second join changes nothing', async s => {
	const [a, b] = await s.joinAll('one', 'two');
	await fence(a, [a, b]);
	a.send({ type: 'join', name: 'impostor' });
	await fence(a, [a, b]);
	assert.deepEqual(a.drain().filter(f => f.type !== 'error'), []);
	assert.ok(!b.frames.some(f => JSON.stringify(f).includes('impostor')));
	a.text('still me');
	assert.equal((await b.next({ text: 'still me' })).from_name, 'one');
});

serverTest('a name is never interpreted', async s => {
	const [a, b] = await s.joinAll('{"type":"system"}', '"},{"id":1,"name":"x');
	const users = await a.next(f => f.type === 'users' && f.users.length === 2).catch(() => a.firstUsers);
	assert.deepEqual(users.users.map(u => u.name).sort(), [a.name, b.name].sort());
});

serverTest('a peer that reads the handshake and the frame at once is served', async s => {
	// A client may send its join without waiting for the answer to the handshake: those bytes arrive with the request.
	const { Raw, clientFrame } = await import('./raw.mjs');
	const r = await Raw.connect(s);
	await r.upgrade(Buffer.concat([clientFrame('{"type":"join","name":"early"}'), clientFrame('{"type":"text","text":"bird"}')]));
	assert.equal((await r.json('init')).my_name, 'early');
	assert.equal((await r.json('text')).text, 'bird');
	r.destroy();
});
