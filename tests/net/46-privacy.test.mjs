// Direct messages are nobody else's: two runs of the same talk, with and without a thousand of them, must look the same to a third person.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { adminRequest, ctl } from './admin.mjs';
import { Server, patience, serverTest, sleep, stopInItsTracks } from './lib.mjs';
import { join2 } from './v2.mjs';

const MANY = 1000;

/** What a person got, but for the values of ids (their order stays) and of times, and for secrets. */
function seen(frames) {
	const ids = new Set(), isEvent = (k, v) => ['id', 'head', 'since', 'before', 'target', 'last_id'].includes(k) && v > 2 ** 40;
	JSON.stringify(frames, (k, v) => (isEvent(k, v) && ids.add(v), v));
	const rank = new Map([...ids].sort((x, y) => x - y).map((id, i) => [id, `event ${i}`]));
	return JSON.parse(JSON.stringify(frames, (k, v) => (isEvent(k, v) ? rank.get(v) : ['at', 'now', 'ts', 'iso', 'token', 'url'].includes(k) ? k : v)));
}

/** Each of `others` has been told that somebody came. */
async function told(others, name) {
	await Promise.all(others.map(c => (c.init.v === 2
		? c.next(f => f.type === 'presence' && f.joined.some(u => u.name === name))
		: Promise.all([c.next({ type: 'system', text: `${name} joined 👋` }), c.next(f => f.type === 'users' && f.users.some(u => u.name === name))]))));
}

async function say(c, text, others) {
	c.text(text);
	return (await Promise.all([c, ...others].map(x => x.next({ text }))))[0].id;
}

/** The talk of two people, if there is any, and everything that a third and a fourth one can ask meanwhile. */
async function run(t, withDms, args) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-privacy-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	fs.mkdirSync(path.join(dir, 'data'), { mode: 0o700 });
	const s = await Server.start({ dir, args: [...args, '--admin-socket', path.join(dir, 'data', 'admin.sock')] });
	t.after(() => s.cleanUp());
	const here = [], frames = {};
	const come = async (name, v) => {
		const c = v === 2 ? await join2(s, name) : await s.join(name);
		c.token ??= c.init.token;
		await told(here, name);
		here.push(c);
		return c;
	};
	const a = await come('Ann', 2), b = await come('Bob', 2), old = await come('Old', 1), c = await come('Cat', 2), d = await come('Dan', 1);
	const privately = async n => {
		if (!withDms) return [];
		for (let i = 0; i < n; i++) (i % 2 ? a : b).text(`dm ${i}`, { to_id: i % 3 ? (i % 2 ? b : a).id : old.id });
		a.send({ type: 'typing', to_id: b.id });
		a.send({ type: 'file', filename: 'f', data: 'YWJj', to_id: b.id });
		await b.next({ type: 'file' });
		await Promise.all([a.next({ text: `dm ${n - 1 - (n % 2)}` }), b.next({ text: `dm ${n - 2 + (n % 2)}` })]);
		return a.frames.filter(f => f.dm && f.id).slice(-3).map(f => f.id);
	};
	const first = await say(b, 'one', [a, c, d]);
	await say(a, 'two', [b, c, d]);
	const dms = await privately(MANY);
	const third = await say(c, 'three', [a, b, d]);
	await privately(10);
	for (const frame of [{ type: 'who' }, { type: 'history' }, { type: 'history', peer_id: a.id }, { type: 'dm_history', peer_id: b.id },
		{ type: 'sync', since: first }, { type: 'sync', since: third }, { type: 'sync', since: 0 }, { type: 'text', text: 'x', to_id: 999 }]) {
		c.send(frame);
		await c.next(frame.type === 'text' ? 'error' : frame.type);
	}
	d.text('x', { to_id: 999 });
	await d.next({ to_name: '?' });
	const f = await come('Fay', 2), g = await come('Gus', 1);
	// A moderator removes what everybody saw, and with it some of what two people said.
	await ctl(s, ['delete', ...[first, ...dms, third].map(String)]);
	await f.next({ type: 'delete', target: third });
	await privately(10);
	const back = async (name, since, more) => {
		const c2 = await join2(s, '', { token: c.token, since });
		frames[name] = c2.init;
		c2.ws.terminate();
		return Object.assign(c2.init, more);
	};
	const { head } = await back('from nothing', 0);
	await back('from the head', head);
	await back('from beyond', head + 1);
	await privately(10);
	await back('from the head again', head);
	assert.equal(frames['from the head'].reset ?? frames['from the head again'].reset, undefined);
	assert.equal(frames['from beyond'].reset, true);
	Object.assign(frames, { c: c.frames, d: d.frames, f: f.frames, g: g.frames });
	if (!args.includes(':memory:')) {
		await s.kill9();
		await s.restart();
		const { reset, head: still } = await back('after a restart', head);
		assert.equal(reset, undefined);
		assert.equal(still, head);
		await back('beyond it after a restart', head + 1);
	}
	await s.stop();
	return seen(frames);
}

for (const args of [[], ['--data', ':memory:']])
	test(`a third person cannot tell whether others write to each other${args.length ? ', also in memory' : ''}`, { timeout: 60000 * patience }, async t => {
		const without = await run(t, false, args), withThem = await run(t, true, args);
		assert.deepEqual(Object.keys(withThem), Object.keys(without));
		for (const name of Object.keys(without)) assert.deepEqual(withThem[name], without[name], name);
	});

serverTest('a gap between two ids is the time between them, however much was sent in it', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c');
	const units = ms => ms * 1048.576;
	for (const dms of [0, MANY, 0, MANY]) {
		const from = performance.now();
		c.text('before');
		const one = await c.next({ text: 'before' }), early = performance.now();
		for (let i = 0; i < dms; i++) a.text(`${i}`, { to_id: b.id });
		if (dms) await b.next({ text: `${dms - 1}` });
		await sleep(20);
		const late = performance.now();
		c.text('after');
		const gap = (await c.next({ text: 'after' })).id - one.id, to = performance.now();
		assert.ok(gap >= units(late - early) * 0.99 - 1100, `${gap} in ${late - early} ms`);
		assert.ok(gap <= units(to - from) * 1.01 + 1100, `${gap} in ${to - from} ms`);
	}
	// In one batch, too: the server was held up while all of it arrived.
	await stopInItsTracks(s.pid);
	c.text('before');
	for (let i = 0; i < MANY; i++) a.text(`${i}`, { to_id: b.id });
	await sleep(50);
	b.text('after');
	await sleep(50);
	s.child.kill('SIGCONT');
	const [x, y] = await Promise.all([c.next({ text: 'before' }), c.next({ text: 'after' })]);
	assert.notEqual(Math.abs(y.id - x.id), MANY + 1);
	// The time of day is of the same moment: the two differ by the same everywhere, whatever was stored before in the batch.
	const texts = a.frames.filter(f => f.type === 'text' && f.dm).concat(c.frames.filter(f => f.type === 'text')).sort((p, q) => p.id - q.id);
	const offsets = texts.map(f => f.id / 1048.576 - f.at).sort((p, q) => p - q), low = offsets[100], high = offsets.at(-100);
	assert.ok(high - low < 4, `${low} to ${high} ms`); // but for a few, while another program ran
	for (let i = 1; i < texts.length; i++) assert.ok(texts[i].at >= texts[i - 1].at, 'and it never goes back');
});

serverTest('in memory, direct messages of others push out nothing that is public', { timeout: 60000, args: ['--data', ':memory:', '--message-rate', '0'] }, async s => {
	const ann = await join2(s, 'Ann'), bob = await join2(s, 'Bob'), cat = await join2(s, 'Cat');
	const first = await say(cat, 'hello', [ann, bob]);
	for (let i = 0; i < 21; i++) {
		for (let j = 0; j < 500; j++) ann.text(`${i} ${j}`, { to_id: bob.id });
		await ann.next({ text: `${i} 499` });
		ann.unread.length = 0; // is searched for each frame
	}
	// A turn of retention later the oldest of them are gone.
	for (let oldest = ''; oldest !== null;) {
		await sleep(200);
		ann.send({ type: 'history', peer_id: bob.id, before: ann.frames.find(f => f.text === '0 1').id });
		oldest = (await ann.next('history')).messages[0] ?? null;
	}
	cat.send({ type: 'history' });
	assert.deepEqual((await cat.next('history')).messages.map(m => m.text), ['hello']);
	const back = await join2(s, '', { token: cat.token ?? cat.init.token, since: first - 1 }), dan = await join2(s, 'Dan');
	assert.equal(back.init.reset, undefined);
	for (const c of [back, dan]) assert.deepEqual(c.init.history.map(m => m.text), ['hello']);
});

serverTest('a purge is the same to those who watch, whatever direct messages go with it', async s => {
	const ann = await join2(s, 'Ann'), bob = await join2(s, 'Bob'), cat = await join2(s, 'Cat');
	const ends = { everybody: [], two: [] };
	for (let i = 0; i < 60; i++) {
		ann.text(`public ${i}`);
		for (let j = 0; j < 9; j++) ann.text(`private ${i} ${j}`, { to_id: bob.id });
	}
	await Promise.all([cat.next({ text: 'public 59' }), ann.next({ text: 'private 59 8' })]);
	for (const f of ann.frames.filter(f => f.type === 'text')) ends[f.dm ? 'two' : 'everybody'].push(f.id);
	assert.deepEqual([ends.everybody.length, ends.two.length], [60, 540]);
	// A request that is sent again goes on in the middle of either sort.
	const dry = await adminRequest(s, 'POST', '/v1/purge', { people: [ann.id], dry_run: true, after: ends.everybody[19] });
	assert.deepEqual([dry.json.messages, dry.json.more], [40 + 540, false]);
	const late = await adminRequest(s, 'POST', '/v1/purge', { people: [ann.id], dry_run: true, after: 2 ** 53 + ends.two.find(id => id % 2 === 0) });
	assert.equal(late.json.messages, 540 - 1 - ends.two.findIndex(id => id % 2 === 0));
	assert.match((await ctl(s, ['purge', 'Ann'])).stdout, /^deleted 600 messages of Ann/);
	await ann.next({ type: 'delete', target: ends.two.at(-1) });
	await cat.next({ type: 'delete', target: ends.everybody.at(-1) });
	assert.deepEqual(ann.frames.filter(f => f.type === 'delete').map(f => f.target), [...ends.everybody, ...ends.two]);
	assert.deepEqual(cat.frames.filter(f => f.type === 'delete').map(f => f.target), ends.everybody);
});

serverTest('direct messages in a list of deletions leave no gap between those of public ones', async s => {
	const ann = await join2(s, 'Ann'), bob = await join2(s, 'Bob'), cat = await join2(s, 'Cat');
	const gaps = { with: [], without: [] };
	ann.text('first');
	for (let i = 0; i < MANY; i++) ann.text(`${i}`, { to_id: bob.id });
	await ann.next({ text: `${MANY - 1}` });
	const dms = ann.frames.filter(f => f.dm).map(f => f.id).slice(0, 998);
	const remove = async ids => assert.equal((await adminRequest(s, 'POST', '/v1/delete', { ids })).status, 200);
	await remove(dms); // what is deleted already is looked at, too
	for (let round = 0; round < 5; round++)
		for (const [sort, ids] of [['with', dms], ['without', []]]) {
			const one = await say(ann, `a ${sort} ${round}`, [cat]), two = await say(ann, `b ${sort} ${round}`, [cat]);
			await remove([one, ...ids, two]);
			const deleted = await Promise.all([one, two].map(target => cat.next({ type: 'delete', target })));
			gaps[sort].push(deleted[1].id - deleted[0].id);
		}
	assert.ok(Math.min(...gaps.with) < 5 * Math.min(...gaps.without), JSON.stringify(gaps));
});

serverTest('nobody is told the name of somebody whom they cannot know', async s => {
	const a = await join2(s, 'Ann'), shy = await join2(s, 'Shy'), loud = await join2(s, 'Loud');
	shy.text('psst', { to_id: a.id });
	await a.next({ text: 'psst' });
	await say(loud, 'hello', [a]);
	for (const c of [shy, loud]) c.ws.terminate();
	await a.next(f => f.type === 'presence' && f.left.includes(shy.id), 20000);
	await s.kill9(); // what is known outlives a restart
	await s.restart();
	const b = await join2(s, 'Bob'), old = await s.join('Old');
	b.text('who are you?', { to_id: shy.id });
	assert.equal((await b.next('error')).code, 'no_such_user');
	old.text('who are you?', { to_id: shy.id });
	assert.equal((await old.next('text')).to_name, '?');
	// Everybody reads the name of somebody who wrote to everyone, and a person knows the ends of its own messages.
	for (const c of [b, old]) {
		c.text('hello yourself', { to_id: loud.id });
		assert.equal((await c.next({ text: 'hello yourself' })).to_name, 'Loud');
	}
	const again = await join2(s, '', { token: a.token });
	again.text('yes?', { to_id: shy.id });
	assert.equal((await again.next({ text: 'yes?' })).to_name, 'Shy');
	// It was kept for the one, and not for the other two.
	const back = await join2(s, '', { token: shy.token });
	assert.deepEqual(back.init.peers.map(p => p.name), ['Ann']);
	b.text('there you are', { to_id: shy.id });
	assert.equal((await b.next({ text: 'there you are' })).to_name, 'Shy');
});
