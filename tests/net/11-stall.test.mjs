// A client that stops reading: it delays nobody, costs its socket buffer and its cursor, and is dropped.
import assert from 'node:assert/strict';
import { judgeDelay, patience, serverTest, slack, sleep, within } from './lib.mjs';
import { Raw } from './raw.mjs';

const MB = 1 << 20;
const line = '🌊'.repeat(3960); // 16 KB on the wire
const now = () => Number(process.hrtime.bigint()) / 1e6;

/** `sender` says n lines, never more than `window` ahead of what `reader` has seen; the worst of the delays. */
async function talk(sender, reader, n, window, tag) {
	let seen = 0, worst = 0;
	const sent = [];
	const done = (async () => {
		for (let i = 0; i < n; i++) {
			const f = await reader.next('text', 10000);
			assert.ok(f.text.startsWith(`${tag} ${i} `), `in order: ${f.text.slice(0, 20)}`);
			worst = Math.max(worst, now() - sent[i]);
			seen++;
		}
	})();
	for (let i = 0; i < n; i++) {
		while (i - seen >= window) await Promise.race([sleep(1), done]);
		sent[i] = now();
		sender.text(`${tag} ${i} ${line}`);
	}
	await done;
	return worst;
}

serverTest('a stalled client delays nobody and is dropped', { timeout: 120000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const c of [a, b]) c.ws.on('message', () => { c.frames.length = 0; });
	a.ws.on('message', () => { a.unread.length = 0; });
	// First what a busy room holds anyway: recent messages in both dialects, and the database's cache.
	const calm = await talk(a, b, 1000, 8, 'calm');
	const before = s.memory();
	const stalled = [];
	for (let i = 0; i < 3; i++) {
		const r = await Raw.join(s, `stalled${i}`);
		r.socket.pause();
		stalled.push(r);
	}
	b.unread.length = 0;
	const worst = await talk(a, b, 3300, 8, 'storm'); // 52 MB
	const after = s.memory();
	judgeDelay(worst, calm, 'the reader');
	if (slack === 1) assert.ok(after.own - before.own < 12 * MB, `memory grew by ${(after.own - before.own) / MB} MB`);
	for (const i of [0, 1, 2]) await b.next({ type: 'system', text: `stalled${i} left the chat` }, 10000);
	for (const r of stalled) {
		let bytes = 0;
		r.socket.removeAllListeners('data');
		r.socket.on('data', d => (bytes += d.length));
		r.socket.resume();
		if (!r.socket.destroyed) await within(5000 * patience, new Promise(resolve => r.socket.once('close', resolve)), 'its socket to be closed').catch(() => {});
		assert.ok(r.ended || r.socket.destroyed, 'its socket is closed');
		assert.ok(bytes < 40 * MB, `${bytes} bytes were kept for it`);
	}
});

serverTest('a stalled client that sends on is bounded as well', { timeout: 60000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const calm = await talk(a, b, 50, 4, 'calm');
	const before = s.memory();
	const r = await Raw.join(s, 'mute reader');
	r.socket.pause();
	// Each of these is answered to it alone; it reads none of the answers.
	const payload = JSON.stringify({ type: 'dm_history', peer_id: a.id });
	a.text(line, { to_id: r.id });
	await a.next('text');
	for (let i = 0; i < 3000 && !r.ended; i++) {
		r.frame(payload);
		if (i % 100 === 0) await sleep(1);
	}
	b.unread.length = 0;
	judgeDelay(await talk(a, b, 50, 4, 'meanwhile'), calm, 'the others');
	if (slack === 1) assert.ok(s.memory().own - before.own < 40 * MB, `memory grew by ${(s.memory().own - before.own) / MB} MB`);
	r.destroy();
});

serverTest('a slow reader that keeps reading gets everything', { timeout: 60000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const r = await Raw.join(s, 'slow');
	let got = 0, last = '';
	const slow = (async () => {
		while (last !== 'end') {
			const f = await r.json('text', 10000);
			last = f.text;
			got++;
			if (got % 10 === 0) {
				r.socket.pause();
				await sleep(10);
				r.socket.resume();
			}
		}
	})();
	for (let i = 0; i < 1000; i++) {
		a.text(`s${i} ${'x'.repeat(500)}`);
		if (i % 20 === 0) await sleep(1);
	}
	a.text('end');
	await b.next({ text: 'end' });
	await slow;
	assert.equal(got, 1001);
	r.destroy();
});
