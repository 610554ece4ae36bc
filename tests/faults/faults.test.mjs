// Faults made to order: memory that is not to be had, a slow disk, a clock that steps, threads that stall. The server goes on, those whom a fault
// did not meet notice nothing, and at the end the checker finds nothing lost. Needs a build of MODE=fault: `make faults`.
import assert from 'node:assert/strict';
import http from 'node:http';
import path from 'node:path';
import test from 'node:test';
import { Server, fence, noise, patience, sleep, within, worstOf } from '../net/lib.mjs';
import { ctl, metric } from '../net/admin.mjs';
import { check } from '../net/checker.mjs';
import { rng } from '../net/checker-actors.mjs';
import { makeCold } from '../net/disk.mjs';
import { join2, newKey, rejoin2, request, uploadPath } from '../net/v2.mjs';
import { Control } from './control.mjs';

/** What a server without memory or with a slow disk may say. */
const allow = /memory|storage|store|blob|database|upload|commit|checkpoint|thread hangs|clock|storage check|retention|file unread/;

function faultTest(title, options, fn) {
	test(title, { timeout: options.timeout || 120000 }, async t => {
		const control = new Control();
		const s = await Server.start({ args: options.args, env: control.env, allow });
		try {
			await fn(s, control, t);
			await s.stop();
		} catch (e) {
			if (!s.alive()) e.message = `the server is gone: ${JSON.stringify(await s.exited)}; ${e.message}`;
			e.message += `\n--- the server said:\n${s.output.slice(-2000)}`;
			throw e;
		} finally {
			await s.cleanUp();
			control.remove();
		}
	});
}

const seed = Number(process.env.CHECKER_SEED || 5);

/** The checker, with something going on beside it. */
function checkerTest(title, options, disturb) {
	test(`nothing is lost: ${title} (seed ${seed})`, { timeout: 180000 * patience }, async t => {
		const control = new Control();
		try {
			const { problems, counts } = await check({
				seconds: 12, seed, backups: 0, rate: 100, env: control.env, allow, print: line => t.diagnostic(line), ...options,
				disturb: ctx => disturb(control, ctx), calm: () => { for (const w of ['allocCountdown', 'syncMs']) control.set(w, 0); },
			});
			assert.deepEqual(problems, []);
			assert.ok(counts.acked > 50, JSON.stringify(counts));
		} finally {
			control.remove();
		}
	});
}

// --- Memory

/** Everything a peer can ask for, once; whatever is refused or broken off is no matter here. Resolves when all of it came to an end. */
async function askForEverything(s, n) {
	const give = (what, ms = 4000) => within(ms, what, 'an answer').catch(() => null);
	const quiet = async (method, path, options) => {
		const r = await give(request(s, method, path, options));
		assert.notEqual(r?.status, 400, `${method} ${path}: nothing was wrong with it`);
	};
	const c = await give(s.connect());
	if (!c) return false;
	const ask = async (frame, want) => { c.send(frame); return give(c.next(want, 1500), 1500); };
	const isOver = f => f.type === 'error' || f.cid === `c${n}`;
	const init = await ask({ type: 'join', v: 2, name: `victim${n}` }, f => f.type === 'init' || f.type === 'error');
	const { token, my_id } = init || {};
	if (!token) { c.ws.terminate(); return false; }
	await ask({ type: 'text', text: `t ${n}`, cid: `c${n}` }, isOver);
	await ask({ type: 'file', filename: 'small.bin', data: noise(1000, n).toString('base64'), cid: `c${n}` }, f => f.type === 'error' || f.type === 'file');
	const file = await ask({ type: 'file', filename: 'large.bin', data: noise(150_000, n).toString('base64') }, f => f.type === 'error' || f.type === 'file');
	await ask({ type: 'voice', duration: 1, data: noise(500, n).toString('base64') }, f => f.type === 'error' || f.type === 'voice');
	await ask({ type: 'text', to_id: my_id, text: `dm ${n}` }, f => f.type === 'error' || f.dm);
	for (const [frame, type] of [[{ type: 'history' }, 'history'], [{ type: 'history', peer_id: my_id }, 'history'], [{ type: 'sync', since: 1 }, 'sync'], [{ type: 'who', q: 'v' }, 'who'], [{ type: 'link' }, 'link']])
		await ask(frame, f => f.type === 'error' || f.type === type);
	c.ws.ping();
	const auth = { authorization: `Bearer ${token}` }, body = noise(90_000, n);
	await quiet('POST', uploadPath(newKey(), body.length), { headers: { ...auth, 'content-length': body.length }, body });
	await quiet('GET', `/upload?key=${newKey()}`, { headers: auth });
	if (file?.url) await quiet('GET', file.url, { headers: { range: 'bytes=5-' } });
	await quiet('GET', '/', { headers: { 'accept-encoding': 'gzip' } });
	await quiet('GET', '/nothing');
	const old = await give(s.connect());
	if (old) { old.send({ type: 'join', name: `old${n}` }); await give(old.next(f => f.type === 'init' || f.type === 'error', 1500), 1500); old.ws.terminate(); }
	const back = await give(s.connect());
	if (back) { back.send({ type: 'join', v: 2, token, since: 1 }); await give(back.next(f => f.type === 'init' || f.type === 'error', 1500), 1500); back.ws.terminate(); }
	c.ws.terminate();
	return true;
}

faultTest('every allocation that a peer can cause may fail: the server lives, and who did not ask notices nothing', { timeout: 900000 }, async (s, control, t) => {
	const a = await s.join('ann'), b = await s.join('ben');
	const step = Number(process.env.FAULT_STEP || 9);
	let met = 0, n = 1 + rng(seed).int(step);
	for (let missed = 0; missed < 3; n += step) {
		assert.ok(n < 20000, 'it never comes to an end');
		const before = control.get('allocsFailed');
		control.set('allocCountdown', n);
		await askForEverything(s, n);
		control.set('allocCountdown', 0);
		const isMet = control.get('allocsFailed') > before;
		met += isMet;
		missed = isMet ? 0 : missed + 1;
		assert.ok(s.alive(), `allocation ${n}`);
		await fence(a, [a, b]);
	}
	t.diagnostic(`${met} allocations failed, the last the ${n}th of a session`);
	assert.ok(met > 10, `${met} only`);
	assert.equal(await (await s.get('/health')).text(), 'ok');
	assert.equal(await askForEverything(s, 0), true);
});

checkerTest('under allocations that fail now and then', {}, async (control, { isOver, random }) => {
	while (!isOver()) {
		control.set('allocCountdown', 1 + random.int(300));
		await sleep(40);
	}
	assert.ok(control.get('allocsFailed') > 20, `${control.get('allocsFailed')} failed`);
});

// --- The disk

faultTest('a slow disk: messages wait for it, one batch a sync, and nothing else does', { args: ['--durability', 'full'] }, async (s, control) => {
	const a = await s.join('ann'), b = await s.join('ben');
	await fence(a, [a, b]);
	control.set('syncMs', 400);
	const began = Date.now();
	for (let i = 0; i < 100; i++) a.text(`slow ${i}`);
	const health = [];
	for (let i = 0; i < 10; i++) {
		const t = Date.now();
		await s.get('/health');
		health.push(Date.now() - t);
		await sleep(20);
	}
	for (let i = 0; i < 100; i++) assert.equal((await b.next('text', 20000)).text, `slow ${i}`);
	const took = Date.now() - began;
	assert.ok(took >= 350, `nobody sees what is not on the disk: ${took} ms`);
	assert.ok(took < 100 * 400 / 2, `a hundred messages are a few batches, not a hundred: ${took} ms`);
	assert.ok(health.filter(ms => ms < 400).length > 5, `/health waits for no disk: ${health}`);
	control.set('syncMs', 0);
	await sleep(500);
	const again = [];
	for (let i = 0; i < 5; i++) again.push(await worstOf(1, () => fence(a, [a, b])));
	assert.ok(Math.min(...again) < 400, `and it is quick again with the disk: ${again}`);
});

checkerTest('with a disk that is slow now and then', {}, async (control, { isOver, random }) => {
	while (!isOver()) {
		control.set('syncMs', random.chance(0.5) ? random.int(300) : 0);
		await sleep(200 + random.int(600));
	}
});

// --- The clock

faultTest('the clock steps: the order stands, no deadline comes early, none is missed', {}, async (s, control) => {
	const hour = 3600_000;
	const a = await s.join('ann');
	let last = 0;
	for (const offset of [0, 5 * hour, -30 * 24 * hour, 2 * hour, -hour, 0]) {
		control.set('clockMs', offset);
		await sleep(300);
		const b = await s.join(`at ${offset}`);
		a.text(`at ${offset}`);
		const m = await b.next(f => f.type === 'text' && f.text === `at ${offset}`);
		assert.ok(m);
		b.ws.close();
	}
	assert.equal(a.end, undefined, 'nobody was dropped for being silent');
	await s.stop();
	control.set('clockMs', -100 * 24 * hour);
	await s.restart();
	const c = await s.join('later');
	const ids = c.init.history.filter(m => m.text).map(m => m.text);
	assert.equal(ids.length, 6);
	c.text('after a start in the past');
	await c.next('text');
	const d = await s.join('last');
	assert.equal(d.init.history.filter(m => m.text).at(-1).text, 'after a start in the past');
	last = d.init.history.length;
	assert.ok(last >= 7);
	control.set('clockMs', 0);
});

faultTest('the clock is 100 days ahead for a while: nobody and nothing expires, and no stamp is of that time',
	{ args: ['--retain-days', '30', '--name-hold-days', '30'] }, async (s, control) => {
		const a = await join2(s, 'Ann'), b = await join2(s, 'Ben');
		a.text('before');
		await b.next({ type: 'text', text: 'before' });
		await b.close();
		control.set('clockMs', 100 * 86400_000);
		await s.says(/warn +clock stepped/);
		await sleep(2500); // turns of the chores
		a.text('meanwhile');
		const meanwhile = await a.next({ type: 'text', text: 'meanwhile' });
		assert.ok(Math.abs(meanwhile.at - Date.now()) < 60_000, 'the time goes on as before');
		control.set('clockMs', 0);
		await sleep(2500);
		const again = await s.connect();
		await rejoin2(again, undefined, { token: b.token });
		assert.equal(again.name, 'Ben');
		assert.deepEqual(again.init.history.map(m => m.text), ['before', 'meanwhile']);
		assert.ok(await metric(s, 'clock_steps_total') >= 1);
	});

checkerTest('with a clock that steps back and forth', {}, async (control, { isOver, random }) => {
	while (!isOver()) {
		control.set('clockMs', (random.int(20) - 10) * 600_000);
		await sleep(100 + random.int(300));
	}
	control.set('clockMs', 0);
});

// --- Threads

faultTest('a thread that stalls is counted while it does and afterwards; a long stall is in the log', {}, async (s, control) => {
	const a = await s.join('ann'), b = await s.join('ben');
	for (const [word, stall] of [['roomStallMs', 2500], ['ioStallMs', 1500], ['roomStallMs', 7000]]) {
		const before = await metric(s, 'thread_stalls_total');
		control.set(word, stall);
		a.text(`through ${word} ${stall}`); // wakes it
		let longest = 0;
		for (let i = 0; i < stall / 100; i++) {
			longest = Math.max(longest, 1000 * await metric(s, 'thread_stall_seconds'));
			await sleep(100);
		}
		assert.ok(longest > stall * 0.6, `${word} ${stall}: ${longest} ms seen`);
		await b.next(f => f.text === `through ${word} ${stall}`, 10000);
		await sleep(200);
		assert.equal(await metric(s, 'thread_stalls_total'), before + 1);
		assert.ok(await metric(s, 'thread_stall_seconds') < 0.5);
	}
	assert.match(s.output, /warn +thread hangs thread=room ms=\d{4}/);
	assert.equal(s.output.match(/thread hangs/g).length, 1, 'said once');
	await fence(a, [a, b]);
});

/** Asks for the health until it says this, or nothing else for a while. */
async function health(s, words, tries = 60) {
	let body = '';
	for (let i = 0; i < tries && body !== words; i++) {
		const r = await s.get('/health?deep');
		body = await r.text();
		assert.equal(r.status, body === 'ok' ? 200 : 503);
		if (body !== words) await sleep(200);
	}
	assert.equal(body, words);
}

faultTest('the health: a room, an I/O thread, a helper or a disk that hangs is named while it does, and then no more', {}, async (s, control) => {
	const a = await s.join('ann');
	await health(s, 'ok');

	control.set('roomStallMs', 9000);
	a.text('wakes the room');
	await health(s, 'the room hangs');
	const o = JSON.parse((await ctl(s, ['status', '--json'], { status: 6 })).stdout);
	assert.equal(o.room_answers, false);
	assert.match(o.trouble[0].text, /^the room hangs: it has not answered for \d+ s/);
	assert.match((await ctl(s, ['--timeout', '1', 'users'], { status: 7 })).stderr, /did not answer within 1 s: the room hangs: it has not answered for \d+ s/);
	await health(s, 'ok');
	await fence(a, [a]);

	control.set('ioStallMs', 9000);
	a.text('wakes its thread');
	await health(s, 'a thread hangs');
	assert.match(JSON.parse((await ctl(s, ['status', '--json'], { status: 6 })).stdout).trouble[0].text, /^a thread hangs: io\/\d has been at work for \d+ s/);
	await health(s, 'ok');

	control.set('helperPatienceMs', 2000);
	control.set('helperStallMs', 8000);
	a.send({ type: 'file', filename: 'f', mime: 'text/plain', data: Buffer.from('x').toString('base64') });
	await health(s, 'a thread hangs');
	assert.match(JSON.parse((await ctl(s, ['status', '--json'], { status: 6 })).stdout).trouble[0].text, /^a thread hangs: helper\/\d/);
	await health(s, 'ok');
	control.set('helperPatienceMs', 0);

	await sleep(10500); // a file is written and synced once in 10 s
	control.set('syncMs', 9000);
	await health(s, 'the storage fails', 20);
	control.set('syncMs', 0);
	await health(s, 'ok');
	await fence(a, [a]);
});

faultTest('a file that a disk takes its time with holds up no other download', {}, async (s, control, t) => {
	const a = await join2(s, 'ann'), urls = [];
	const share = async body => {
		a.send({ type: 'file', filename: 'f', data: body.toString('base64') });
		urls.push((await a.next('file')).url);
	};
	await share(noise(2 << 20));
	if (!makeCold(path.join(s.dir, 'data', 'blobs'))) return t.skip('this file system does not tell');
	await share(noise(1 << 20, 2)); // in memory
	control.set('coldStallMs', 5000);
	let isThere = false;
	const cold = request(s, 'GET', urls[0]).then(r => { isThere = true; return r; });
	while (control.get('coldStallMs')) await sleep(20); // it is under way
	for (let i = 0; i < 5; i++) assert.equal((await request(s, 'GET', urls[1])).body.length, 1 << 20);
	assert.ok(!isThere, 'the others came first');
	assert.equal((await cold).body.length, 2 << 20);
});

faultTest('a download of what a disk does not give ends there, and can be had once the disk gives it', {}, async (s, control, t) => {
	const a = await join2(s, 'ann');
	a.send({ type: 'file', filename: 'f', data: noise(1 << 20).toString('base64') });
	const { url } = await a.next('file');
	if (!makeCold(path.join(s.dir, 'data', 'blobs'))) return t.skip('this file system does not tell');
	control.set('coldBroken', 1);
	await assert.rejects(request(s, 'GET', url), 'closed before its end');
	assert.match(s.output, /file unread error=/);
	control.set('coldBroken', 0);
	assert.equal((await request(s, 'GET', url)).body.length, 1 << 20);
});

faultTest('the end takes less than 5 s, whatever waits for a slow disk', { args: ['--max-uploads-per-user', '200'] }, async (s, control) => {
	const people = [];
	for (let i = 0; i < 20; i++) people.push(await join2(s, `p${i}`));
	for (let i = 0; i < 300; i++) people[0].text('x'.repeat(3900));
	await fence(people[0], [people[0]]);
	control.set('syncMs', 500);
	const token = i => people[i % people.length].token;
	const uploads = Array.from({ length: 60 }, (_, i) => request(s, 'POST', uploadPath(newKey(), 8),
		{ headers: { authorization: `Bearer ${token(i)}`, 'content-length': 8 }, body: Buffer.from('12345678') }).then(r => r.status, () => 0));
	for (const p of people) p.send({ type: 'file', filename: 'f', mime: 'text/plain', data: Buffer.from(`${p.id}`).toString('base64') });
	for (const p of people) for (let i = 0; i < 8; i++) p.send({ type: 'history', limit: 1000 });
	await Promise.race(uploads); // one of 60, at two a second
	for (const p of people) p.ws._socket.pause();
	await s.stop(); // within 5 s
	assert.ok((await Promise.all(uploads)).filter(status => status !== 200).length > 10, 'it did not wait for all of them');
	control.set('syncMs', 0);
	await s.restart();
});

checkerTest('with threads that stall', {}, async (control, { isOver, random }) => {
	while (!isOver()) {
		control.set(random.pick(['roomStallMs', 'ioStallMs']), random.int(1500));
		await sleep(300 + random.int(1500));
	}
});
