// Files whose rows are gone: what a deletion releases leaves the disk, however the file came and whatever else happens.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { adminRequest, ctl, metric } from './admin.mjs';
import { Server, noise, patience, serverTest, sleep } from './lib.mjs';
import { join2, request } from './v2.mjs';
import { aWhile, blobPath, data, inline, isStored, send, soon, uploaded } from './lost.mjs';

/* --- What is deleted goes. */

for (const isMemory of [false, true])
	test(`a deleted file is gone within a minute, however it came${isMemory ? ', in memory' : ''}`, { timeout: 180000 * patience }, async t => {
		const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
		fs.mkdirSync(path.join(dir, 'data'), { mode: 0o700 });
		t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
		const s = await Server.start({ dir, args: isMemory ? ['--data', ':memory:', '--admin-socket', path.join(dir, 'data', 'admin.sock')] : [] });
		t.after(() => s.cleanUp());
		const bytesKept = () => metric(s, 'blob_bytes');
		const a = await join2(s, 'a'), b = await join2(s, 'b');
		const files = [10_001, 10_002, 10_003, 10_004, 10_005].map((size, i) => noise(size, i)), kept = files[4];
		const sent = [
			await send(a, inline(files[0])),
			await send(a, await uploaded(s, a, files[1])), // its handle is good for a day: that keeps nothing
			await send(a, { ...await uploaded(s, a, files[2]), to_id: b.id }),
		];
		await send(b, inline(files[3]));
		const stays = await send(a, inline(kept));
		await ctl(s, ['delete', ...sent.map(f => f.id), '--reason', 'test']);
			await ctl(s, ['purge', 'b']);
		for (const until = Date.now() + 60000 * patience; await bytesKept() !== kept.length; await sleep(100)) assert.ok(Date.now() < until, `${await bytesKept()} bytes are left`);
		if (!isMemory) {
			files.forEach((f, i) => assert.equal(isStored(s, f), i === 4, `file ${i}`));
			assert.ok(!fs.existsSync(path.join(data(s), 'lost')), 'nothing was taken for lost');
		}
		assert.ok(Buffer.from(await (await s.get(stays.url)).arrayBuffer()).equals(kept));
		for (const f of sent) assert.notEqual((await s.get(f.url)).status, 200);
		// The same bytes again are a new life, not a deleted one.
		const again = await send(a, inline(files[1]));
		await aWhile();
		assert.ok(Buffer.from(await (await s.get(again.url)).arrayBuffer()).equals(files[1]));
		// A message whose echo got lost is recognised, though its bytes are gone.
		const { blob } = await uploaded(s, a, files[2]);
		a.send({ type: 'file', blob, filename: 'x', cid: 'twice' });
		const first = await a.next(g => g.cid === 'twice');
		await ctl(s, ['delete', first.id]);
		for (const until = Date.now() + 60000 * patience; await bytesKept() !== kept.length + files[1].length; await sleep(100)) assert.ok(Date.now() < until);
		a.send({ type: 'file', blob, filename: 'x', cid: 'twice' });
		assert.equal((await a.next(g => g.cid === 'twice')).id, first.id);
		a.send({ type: 'file', blob, filename: 'x', cid: 'another' });
		assert.deepEqual(await a.next(g => g.cid === 'another'), { type: 'error', code: 'bad_request', text: 'unknown upload', cid: 'another' });
		await s.stop();
	});

serverTest('the same bytes go with the last message and the last upload that may still be sent', { timeout: 180000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c'), bytes = noise(20_000);
	const mine = await send(a, await uploaded(s, a, bytes)), theirs = await send(b, inline(bytes));
	const toSend = await uploaded(s, c, bytes);
	await ctl(s, ['delete', mine.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'another message has them');
	await ctl(s, ['delete', theirs.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'an upload of them may still be sent');
	const last = await send(c, toSend);
	assert.ok(Buffer.from(await (await s.get(last.url)).arrayBuffer()).equals(bytes));
	await ctl(s, ['delete', last.id]);
	await soon('the last message of these bytes went', () => !isStored(s, bytes));
});

serverTest('what a refused message brought goes, what was sent meanwhile stays', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), refused_ = noise(5_000, 1), shared = noise(5_000, 2);
	const there = await send(a, inline(shared));
	await ctl(s, ['mute', 'a']);
	for (const [i, bytes] of [refused_, shared].entries()) {
		a.send({ type: 'file', ...inline(bytes), filename: 'f', cid: `r${i}` });
		assert.equal((await a.next(g => g.cid === `r${i}`)).code, 'muted');
	}
	await soon('the bytes of a refused message', () => !isStored(s, refused_));
	assert.ok(isStored(s, shared));
	assert.equal(fs.statSync(blobPath(s, shared)).mode & 0o777, 0o600);
	assert.equal((await s.get(there.url)).status, 200);
});

serverTest('eviction and expiry release as a deletion does', { args: ['--max-storage-mb', '1', '--retain-days', '1'], timeout: 180000 }, async s => {
	const a = await join2(s, 'a'), files = [0, 1, 2, 3].map(i => noise(400_000, i)), old = noise(1_000, 9);
	const expires = await send(a, inline(old));
	for (const f of files) await send(a, await uploaded(s, a, f));
	await soon('the oldest files made room', () => !isStored(s, files[0]) && !isStored(s, files[1]));
	assert.ok(isStored(s, files[2]) && isStored(s, files[3]));
	await s.stop();
	execFileSync('sqlite3', [path.join(data(s), 'wavechat.db'), `UPDATE messages SET at = at - 2 * 86400000 WHERE id = ${expires.id}`]);
	await s.restart();
	await soon('what expired', () => !isStored(s, old));
	assert.ok(!fs.existsSync(path.join(data(s), 'lost')));
});

serverTest('a kill between the deletion and the unlink leaves nothing for ever', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), files = Array.from({ length: 30 }, (_, i) => noise(3_000, i)), kept = noise(3_000, 99);
	const ids = [];
	for (const f of files) ids.push((await send(a, inline(f))).id);
	await send(a, inline(kept));
	await aWhile();
	await ctl(s, ['delete', ...ids]);
	await s.kill9();
	assert.ok(files.some(f => isStored(s, f)), 'it was killed in time');
	await s.restart(); // thirty of thirty-one, and no word of it: the database lists them
	await soon('what was deleted before the kill', () => files.every(f => !isStored(s, f)));
	assert.ok(isStored(s, kept));
	assert.ok(!fs.existsSync(path.join(data(s), 'lost')));
});

serverTest('a kill amid files being sent is no reason to refuse the next start', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 40; i++) a.send({ type: 'file', ...inline(noise(30_000, i)), filename: 'f', cid: `k${i}` });
	while (!fs.readdirSync(path.join(data(s), 'blobs'), { recursive: true }).some(f => f.length > 60)) await sleep(1);
	await s.kill9();
	await s.restart();
	assert.equal((await request(s, 'GET', '/health')).status, 200);
});

serverTest('a backup under way keeps what is deleted meanwhile', { timeout: 120000 }, async s => {
	const a = await join2(s, 'a'), bytes = noise(5_000), f = await send(a, inline(bytes));
	await aWhile();
	assert.equal((await adminRequest(s, 'POST', '/v1/backup', {})).status, 200);
	await ctl(s, ['delete', f.id]);
	await aWhile();
	assert.ok(isStored(s, bytes), 'the backup counts on it');
	assert.equal((await adminRequest(s, 'POST', '/v1/backup/end', {})).status, 200);
	await soon('it goes once the backup is over', () => !isStored(s, bytes));
});

serverTest('a deletion ends the author\'s other handles of those bytes, and nobody else\'s', { timeout: 180000 }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), bytes = noise(20_000), shared = noise(20_000, 2), words = `secret-${'w'.repeat(40)}`;
	const say = async (c, frame, cid) => { c.send({ type: 'file', filename: 'f', ...frame, cid }); return c.next(g => g.cid === cid); };
	const sent = await send(a, await uploaded(s, a, bytes)), spare = await uploaded(s, a, bytes);
	const sentShared = await send(a, await uploaded(s, a, shared)), spareShared = await uploaded(s, a, shared), others = await uploaded(s, b, shared);
	a.send({ type: 'text', text: words });
	const text = await a.next('text');
	await ctl(s, ['delete', sent.id, sentShared.id, text.id]);
	await soon('the bytes, though the author had another handle', () => !isStored(s, bytes));
	const inFiles = () => fs.readdirSync(data(s)).filter(f => f.startsWith('wavechat.db')).some(f => fs.readFileSync(path.join(data(s), f)).includes(words));
	await soon('the text in the database and its log', () => !inFiles());
	for (const [i, frame] of [spare, spareShared].entries()) assert.equal((await say(a, frame, `gone${i}`)).code, 'bad_request');
	assert.equal((await say(b, others, 'theirs')).type, 'file', 'another person\'s handle stands');
	const again = await send(a, await uploaded(s, a, bytes)); // a new upload is a new handle
	assert.equal((await s.get(again.url)).status, 200);
});
