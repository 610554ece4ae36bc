// A disk that fills up and empties again, and files that make room for newer ones: on the real server, with a real file system.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { diskTest, fillUp } from './disk.mjs';
import { noise, serverTest, sleep } from './lib.mjs';
import { error2, join2, messages, request, upload } from './v2.mjs';

diskTest('a full disk: who sends is told, the server lives, and goes on when there is room', { megabytes: 12, allow: /storage|database|store|blob|checkpoint/ }, async (s, dir) => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), old = await s.join('old');
	a.send({ type: 'text', text: 'before', cid: 'before' });
	const before = await b.next('text');
	a.send({ type: 'link' });
	const { code } = await a.next('link');
	fillUp(path.join(dir, 'ballast'));

	// What is in place can take a little more; then each one is refused, by its cid, and nobody sees it.
	const acked = new Set([before.id]);
	let refused = 0, n = 0;
	for (; n < 3000 && refused < 5; n++) {
		a.send({ type: 'text', text: `full ${n} ${'x'.repeat(3000)}`, cid: `full ${n}` });
		const f = await a.next(g => g.cid === `full ${n}`);
		if (f.type === 'error') {
			assert.deepEqual({ ...f, text: '' }, { type: 'error', code: 'storage', cid: `full ${n}`, text: '' });
			refused++;
		} else {
			acked.add(f.id);
		}
	}
	assert.equal(refused, 5, `a full disk took ${n} messages`);
	old.text('also refused');
	assert.match((await old.next('error')).text, /disk|save/);
	a.send({ type: 'file', data: noise(50_000).toString('base64'), filename: 'f', cid: 'file' });
	assert.equal((await a.next(g => g.cid === 'file')).code, 'storage');
	const r = await request(s, 'POST', '/upload?size=50000&offset=0&key=k1', { headers: { authorization: `Bearer ${a.token}` }, body: noise(50_000) });
	assert.equal(r.status, 507);

	// All that needs no disk goes on.
	assert.equal((await request(s, 'GET', '/health')).body.toString(), 'ok');
	b.send({ type: 'typing' });
	await a.next('typing');
	const guest = await s.join('guest');
	const second = await s.connect();
	second.send({ type: 'join', v: 2, code });
	assert.equal((await second.take()).code, 'storage');
	assert.ok(guest.init.history.some(m => m.text === 'before'));

	// Room again: what was refused is sent again and stored once.
	fs.rmSync(path.join(dir, 'ballast'));
	for (let i = 0; ; i++) {
		a.send({ type: 'text', text: 'again', cid: 'again' });
		const f = await a.next(g => g.cid === 'again');
		if (f.type === 'text') { acked.add(f.id); break; }
		assert.ok(i < 20, 'it never recovered');
		await sleep(250);
	}
	second.send({ type: 'join', v: 2, code });
	assert.equal((await second.next('init')).my_id, a.id, 'a code that let nobody in is still good');
	const seen = messages(b.frames).map(m => m.id);
	await s.kill9();
	await s.restart();
	const c = await join2(s, '', { token: b.token, since: before.id - 1 });
	const stored = [...messages(c.init.history)];
	for (let more = c.init.gap; more;) {
		c.send({ type: 'sync', since: stored.at(-1).id });
		const page = await c.next('sync');
		stored.push(...page.events);
		more = page.more;
	}
	assert.deepEqual(stored.map(m => m.id), [...acked], 'exactly what was acknowledged is stored');
	assert.deepEqual(seen.filter(id => !acked.has(id)), [], 'nobody saw what was refused');
});

serverTest('--max-storage-mb: the oldest files make room, and their messages say so', { args: ['--max-storage-mb', '1'], timeout: 60000 }, async s => {
	const a = await join2(s, 'a');
	const urls = [];
	for (let i = 0; i < 5; i++) {
		a.send({ type: 'file', blob: await upload(s, a.token, noise(300_000, i)), filename: `f${i}.bin` });
		urls.push((await a.next('file')).url);
	}
	a.send({ type: 'text', text: 'words stay' });
	await a.next('text');
	// 5 × 300,000 do not fit into a megabyte, three do.
	let now;
	for (let i = 0; i < 100; i++) {
		a.send({ type: 'history' });
		now = (await a.next('history')).messages;
		if (now.filter(m => m.gone).length >= 2) break;
		await sleep(100);
	}
	assert.deepEqual(now.map(m => m.gone === true), [true, true, false, false, false, false]);
	assert.deepEqual(now.map(m => m.url), [null, null, ...urls.slice(2), undefined]);
	for (const [i, url] of urls.entries()) assert.ok((i < 2 ? [404, 410] : [200]).includes((await request(s, 'GET', url)).status), `file ${i}`);
	// In both dialects, to who joins later and after a restart.
	const late = await join2(s, 'late'), old = await s.join('old');
	assert.deepEqual(late.init.history.map(m => m.gone === true), now.map(m => m.gone === true));
	assert.deepEqual(old.init.history.slice(0, 2).map(m => m.data), [null, null]);
	await s.stop();
	await s.restart();
	assert.deepEqual((await join2(s, 'later')).init.history.map(m => m.gone === true), now.map(m => m.gone === true));
});
