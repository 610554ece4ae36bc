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

serverTest('files of one person to a reader who reads nothing wait; files of others go on', { args: ['--pending-out-mb', '64'], timeout: 90000 }, async s => {
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

serverTest('pages that one person does not read are refused past a share; others get theirs', { args: ['--pending-out-mb', '64'], timeout: 90000 }, async s => {
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
