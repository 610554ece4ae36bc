// Memory of what waits for peers that do not read: taken from a budget before it is made, once for each file, and shared out by person.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { serverTest, slack, sleep } from './lib.mjs';
import { join2, upload } from './v2.mjs';
import { metric } from './admin.mjs';
import { Raw } from './raw.mjs';

const MB = 1 << 20;

/** The highest value of a metric until stop() is called. */
function highest(s, name) {
	let most = 0, isOver = false;
	const watching = (async () => {
		for (; !isOver; await sleep(50)) most = Math.max(most, await metric(s, name));
	})();
	watching.catch(() => {}); // judged at stop
	return async () => {
		isOver = true;
		await watching;
		return most;
	};
}

/** A guest of the first dialect that reads nothing any more. */
async function deafGuest(s, name) {
	const r = await Raw.join(s, name);
	r.socket.pause();
	return r;
}

const until = async (s, name, ok, what) => {
	for (let i = 0; i < 1200; i++, await sleep(50)) if (ok(await metric(s, name))) return;
	assert.fail(what || `${name} is ${await metric(s, name)}`);
};

serverTest('the base64 of a file exists once, however many messages have it for a reader who reads nothing', { timeout: 60000 }, async s => {
	const a = await join2(s, 'a'), deaf = await deafGuest(s, 'deaf');
	const blob = await upload(s, a.token, crypto.randomBytes(6 * MB));
	const before = s.memory().own, stop = highest(s, 'pending_large_bytes');
	for (let i = 0; i < 200; i++) a.send({ type: 'file', filename: 'f', to_id: deaf.id, blob, cid: `c${i}` });
	for (let i = 0; i < 200; i++) assert.equal((await a.next(f => f.cid === `c${i}`, 20000)).type, 'file', a.story());
	const most = await stop();
	assert.ok(most <= 8 * MB + 65536, `${most} bytes`);
	assert.ok(slack > 1 || s.memory().own - before < 24 * MB, `${(s.memory().own - before) / MB} MB`);
	deaf.destroy();
	await until(s, 'pending_large_bytes', n => n === 0);
});

serverTest('files of one person to a reader who reads nothing wait; files of others go on', { args: ['--pending-out-mb', '64'], seeds: 3, timeout: 90000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), deaf = await deafGuest(s, 'deaf'), good = await s.join('good');
	const blobs = [];
	for (let i = 0; i < 8; i++) blobs.push(await upload(s, a.token, crypto.randomBytes(3 * MB)));
	const theirs = await upload(s, b.token, crypto.randomBytes(3 * MB));
	const stop = highest(s, 'pending_large_bytes');
	blobs.forEach((blob, i) => a.send({ type: 'file', filename: 'f', to_id: deaf.id, blob, cid: `c${i}` }));
	await a.next(f => f.cid === 'c0', 20000);
	b.send({ type: 'file', filename: 'theirs', to_id: good.id, blob: theirs, cid: 'b' });
	await good.next(f => f.filename === 'theirs' && f.data.length === 4 * MB, 20000);
	// The reader who pins a's share is dropped, and a goes on: nothing is refused as busy.
	for (let i = 1; i < 8; i++) {
		const f = await a.next(f => f.cid === `c${i}`, 20000);
		assert.ok(f.type === 'file' || f.code === 'no_such_user', a.story());
	}
	assert.ok(await metric(s, 'evicted_total{reason="large"}') >= 1);
	const most = await stop();
	assert.ok(most <= 13 * MB, `${most} bytes`); // a's eighth, and b's file
});

serverTest('a reader who reads a little all the time is let be, until somebody wants the memory', { args: ['--memory-mb', '1000', '--pending-out-mb', '64'], seeds: 3, timeout: 90000 }, async s => {
	const a = await join2(s, 'a'), good = await s.join('good');
	let isSlow = false;
	const callback = (n, bytes) => {
		slow.socket.emit('data', Buffer.from(bytes.subarray(0, n)));
		return !isSlow;
	};
	const slow = await Raw.connect(s, { onread: { buffer: Buffer.alloc(16384), callback } });
	await slow.upgrade();
	slow.send({ type: 'join', name: 'slow' });
	slow.id = (await slow.json('init')).my_id;
	await slow.json('users');
	const first = await upload(s, a.token, crypto.randomBytes(6 * MB)), second = await upload(s, a.token, crypto.randomBytes(3 * MB));
	// About 64 KB a second: something goes out all the time.
	isSlow = true;
	const timer = setInterval(() => slow.socket.resume(), 250);
	try {
		a.send({ type: 'file', filename: 'f', to_id: slow.id, blob: first, cid: 'first' });
		assert.equal((await a.next(f => f.cid === 'first', 20000)).type, 'file', a.story());
		await sleep(12000);
		assert.equal(await metric(s, 'evicted_total{reason="large"}'), 0);
		assert.ok(!slow.ended && (await metric(s, 'pending_large_bytes')) > 7 * MB);
		a.send({ type: 'file', filename: 'second', to_id: good.id, blob: second, cid: 'second' });
		assert.equal((await a.next(f => f.cid === 'second', 20000)).type, 'file', a.story());
		await good.next(f => f.filename === 'second' && f.data.length === 4 * MB, 20000);
		assert.equal(await metric(s, 'evicted_total{reason="large"}'), 1);
		await s.says(/ slow client dropped reason=large detail="[^"]*--pending-out-mb" more_since_the_last_line=0\n/);
	} finally {
		clearInterval(timer);
		slow.destroy();
	}
	const back = await s.join('slow');
	a.send({ type: 'file', filename: 'again', to_id: back.id, blob: first, cid: 'again' });
	await back.next(f => f.filename === 'again' && f.data.length === 8 * MB, 20000);
});

serverTest('pages that one person does not read are refused past a share; others get theirs', { args: ['--pending-out-mb', '64'], seeds: 3, timeout: 90000 }, async s => {
	const a = await join2(s, 'a'), other = await join2(s, 'other');
	for (let i = 0; i < 300; i++) {
		a.text('"'.repeat(4000)); // 8 KB each in JSON
		await a.next('text', 20000);
	}
	const hoard = [];
	for (let i = 0; i < 6; i++) {
		const c = await join2(s, 'hoard', hoard.length ? { token: hoard[0].token } : {});
		hoard.push(c);
		c.ws.pause();
	}
	const stop = highest(s, 'pending_large_bytes');
	for (let turn = 0; turn < 400 && !(await metric(s, 'refused_total{reason="memory"}')); turn++) {
		for (const c of hoard) c.send({ type: 'history', limit: 300 });
		await sleep(50);
	}
	assert.ok(await metric(s, 'refused_total{reason="memory"}') >= 1, 'nothing was refused');
	await s.says(/ memory refused large_mb=\d+ /);
	other.send({ type: 'history', limit: 50 });
	assert.equal((await other.next(f => f.type === 'history' || f.type === 'error', 20000)).type, 'history', other.story());
	const back = await join2(s, 'back', { token: other.token, since: 1 });
	assert.ok(back.init.history.length > 0 || back.init.gap);
	const most = await stop();
	assert.ok(most <= 24 * MB, `${most} bytes`); // a person's eighth; what is made for the others
});

const OWN = ['--memory-mb', '200', '--max-file-mb', '1', '--exempt', 'none', '--new-people', '0'];
const HOARD = '127.0.9.1', AWAY = '127.0.9.2';

/** Long texts of a newcomer at this address: more than a megabyte of JSON. */
async function fillTail(s, localAddress) {
	const a = await join2(s, 'a', {}, { localAddress });
	for (let i = 0; i < 45; i++) {
		a.text(`(${'\u0001'.repeat(3988)})`);
		await a.next('text', 20000);
	}
	return a;
}

/** Joins and reads nothing from then on. */
async function joinDeaf(s, join, from = HOARD) {
	const r = await Raw.open(s, { localAddress: from });
	r.socket.pause();
	r.send({ type: 'join', ...join });
	return r;
}

serverTest('pages of joins that nobody reads count as their person and address: others join', { args: OWN, seeds: 3, timeout: 60000 }, async s => {
	const a = await fillTail(s, HOARD);
	const hoard = await Promise.all(Array.from({ length: 50 }, () => joinDeaf(s, { v: 2, token: a.token })));
	await until(s, 'refused_total{reason="memory"}', n => n >= 1, 'nothing was refused');
	await s.says(/ memory refused large_mb=\d+ /);
	const near = await join2(s, 'near', {}, { localAddress: HOARD }); // another person there
	assert.ok(near.init.history.length > 40);
	const away = await join2(s, 'away', {}, { localAddress: AWAY });
	assert.ok(away.init.history.length > 40);
	hoard.forEach(r => r.destroy());
	await until(s, 'pending_large_bytes', n => n < 4 * MB);
	await join2(s, 'a', { token: a.token }, { localAddress: HOARD });
});

serverTest('old versions of the history that nobody reads keep nobody out', { args: OWN, seeds: 3, timeout: 60000 }, async s => {
	const a = await fillTail(s, AWAY);
	const hoard = [];
	for (let i = 0; i < 30; i++) { // another version for each guest
		hoard.push(await joinDeaf(s, { name: `deaf ${i}` }));
		a.text(`version ${i}`);
		await a.next({ text: `version ${i}` }, 20000);
	}
	await until(s, 'refused_total{reason="memory"}', n => n >= 1, 'nothing was refused');
	const second = await join2(s, 'second', {}, { localAddress: AWAY });
	assert.equal(second.init.history.at(-1).text, 'version 29');
	const first = await s.join('first', { localAddress: AWAY });
	assert.equal(first.init.history.at(-1).text, 'version 29');
	hoard.forEach(r => r.destroy());
});

for (const [what, address] of [['one address', () => null], ['the networks of one /48', i => `2001:db8:7:${i}::1`]])
	serverTest(`pages that ${what} does not read leave room for others'`, { args: [...OWN, '--trust-proxy', HOARD], seeds: 3, timeout: 60000 }, async s => {
		await fillTail(s, AWAY);
		const away = await join2(s, 'away', {}, { localAddress: '127.0.9.3' });
		const hoard = [];
		for (let i = 0; i < 20; i++) {
			const client = address(i) || '192.0.2.7';
			const r = await Raw.connect(s, { localAddress: HOARD });
			await r.upgrade('', `X-Forwarded-For: ${client}\r\n`);
			r.send({ type: 'join', v: 2, name: `hoard ${i}` });
			hoard.push(r);
			await r.json();
			r.socket.pause();
		}
		for (let i = 0; i < 100 && !(await metric(s, 'refused_total{reason="memory"}')); i++) {
			for (const r of hoard) r.send({ type: 'history', limit: 300 });
			await sleep(30);
		}
		away.send({ type: 'history', limit: 300 });
		assert.equal((await away.next(f => f.type === 'history' || f.type === 'error', 20000)).type, 'history', away.story());
		assert.ok(await metric(s, 'refused_total{reason="memory"}') >= 1, 'nothing was refused');
		hoard.forEach(r => r.destroy());
	});
