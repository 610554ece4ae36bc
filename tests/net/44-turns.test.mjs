// Slow work in turns: pages, resumptions and large frames of one person delay no download and no page of others.
import assert from 'node:assert/strict';
import { metric } from './admin.mjs';
import { exact, fence, serverTest } from './lib.mjs';
import { Raw } from './raw.mjs';
import { error2, join2, request, upload } from './v2.mjs';

const LONG = 'x'.repeat(3990);

/** A chat with so many long texts, and a file; who wrote them, and where the file is. */
async function fill(s, texts) {
	const a = await join2(s, 'ann');
	for (let i = 0; i < texts; i++) {
		a.text(`${LONG}${i}`);
		if (i % 100 === 99) await fence(a, [a]);
	}
	a.send({ type: 'file', blob: await upload(s, a.token, Buffer.from('picture')), filename: 'p.png', mime: 'image/png' });
	return { a, url: (await a.next('file')).url };
}

/** Tabs of one person that throw away what they get, and count it. */
async function openTabs(s, token, n, join = {}) {
	const tabs = [];
	for (let i = 0; i < n; i++) {
		const r = await Raw.open(s);
		r.socket.removeAllListeners('data');
		r.received = 0;
		r.socket.on('data', d => { r.received += d.length; });
		r.send({ type: 'join', v: 2, token, ...join });
		tabs.push(r);
	}
	return tabs;
}

const bytesOf = tabs => tabs.reduce((sum, r) => sum + r.received, 0);

serverTest('a download and a page of somebody else come before the pages of 25 tabs', { timeout: 60000 }, async s => {
	const { a, url } = await fill(s, 1000);
	const b = await join2(s, 'bob');
	const tabs = await openTabs(s, a.token, 25);
	await fence(b, [b]);
	const before = bytesOf(tabs);
	for (const r of tabs) for (let i = 0; i < 8; i++) r.send({ type: 'history', limit: 1000 });
	await fence(b, [b]); // the server has them
	const [file] = await Promise.all([
		request(s, 'GET', url),
		(async () => { b.send({ type: 'history', limit: 1 }); await b.next('history', 10000); })(),
	]);
	assert.equal(file.status, 200);
	const bytes = bytesOf(tabs) - before;
	assert.ok(bytes < 100e6, `${bytes} bytes of the tabs' pages came first`); // of 200 pages of 1 to 4 MB
	for (const r of tabs) r.destroy();
});

serverTest('resumptions of one person do not hold up somebody else\'s', { timeout: 60000 }, async s => {
	const { a } = await fill(s, 1000);
	const b = await join2(s, 'bob');
	b.text('for ann', { to_id: a.id }); // with direct messages a resumption reads the database
	a.text('for bob', { to_id: b.id });
	await fence(b, [a, b]);
	const tabs = await openTabs(s, a.token, 100, { since: 1 });
	const back = await join2(s, '', { token: b.token, since: 1 });
	assert.equal(back.init.gap, true);
	assert.ok(tabs.some(r => !r.received || r.received < 1e5), 'some of the tabs still wait');
	for (const r of tabs) r.destroy();
	await fence(back, [back]);
});

serverTest('the end does not wait for what is queued', { timeout: 60000 }, async s => {
	const { a } = await fill(s, 1000);
	const tabs = await openTabs(s, a.token, 100, { since: 1 });
	for (const r of tabs) for (let i = 0; i < 8; i++) r.send({ type: 'history', limit: 1000 });
	await fence(a, [a]);
	for (const r of tabs) r.socket.pause();
	await s.stop(); // within 5 s
	for (const r of tabs) r.destroy();
});

serverTest('pages are cut at about 1 MB, and say that there is more', { timeout: 60000 }, async s => {
	const { a } = await fill(s, 600);
	const b = await join2(s, 'bob');
	assert.ok(JSON.stringify(b.init).length < 1.2e6);
	for (const [type, from, list] of [['sync', 'since', 'events'], ['history', 'before', 'messages']]) {
		const got = [];
		for (let at = 0, more = true, pages = 0; more; pages++) {
			b.send({ type, [from]: at, ...(type === 'history' ? { limit: 1000 } : {}) });
			const page = await b.next(type, 10000);
			const bytes = JSON.stringify(page).length;
			assert.ok(bytes < 1.2e6 && (bytes > 5e5 || !page.more), `${bytes} bytes`);
			more = page.more;
			got.push(...page[list]);
			at = page[list].at(type === 'sync' ? -1 : 0).id;
			assert.ok(pages < 10);
		}
		assert.equal(new Set(got.map(m => m.id)).size, 607); // with the fences' lines and the file
		assert.equal(got.length, 607);
	}
	const back = await join2(s, '', { token: a.token, since: 1 });
	assert.equal(back.init.gap, true);
	assert.ok(back.init.history.every(m => m.self));
	assert.ok(JSON.stringify(back.init).length < 1.2e6);
});

serverTest('joins with one token are limited as requests are, and counted', { limits: true, args: ['--request-rate', '1'] }, async s => {
	const a = await join2(s, 'ann');
	for (let i = 0; i < 10; i++) (await join2(s, '', { token: a.token })).ws.terminate();
	const c = await s.connect();
	c.send({ type: 'join', v: 2, token: a.token });
	exact(await c.next('error'), error2('rate_limited', { retry_ms: v => v > 0 && v <= 1000 }));
	await join2(s, 'bob');
	assert.ok(await metric(s, 'limited_total{limit="requests"}') >= 1);
});
