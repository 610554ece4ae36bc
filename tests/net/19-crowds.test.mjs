// The load generator against the real server: what it checks must hold with a thousand clients as it does with three.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Server, patience, serverTest, slack } from './lib.mjs';
import { bench } from './load.mjs';

const full = slack === 1; // a sanitizer build gets a smaller load

serverTest('a thousand clients join, and every one gets every message of 32 senders in one order', { timeout: 60000 }, async s => {
	const r = await bench(s, '--clients', full ? 1000 : 100, '--senders', 32, '--seconds', 1);
	assert.ok(r.deliveries > 10000, `${r.deliveries} deliveries`);
});

serverTest('one sender, ever so many in flight', { timeout: 60000 }, async s => {
	await bench(s, '--clients', full ? 200 : 30, '--senders', 1, '--window', 500, '--seconds', 1, '--size', 1000);
});

serverTest('DMs of many pairs', { timeout: 60000 }, async s => {
	const r = await bench(s, '--workload', 'dm', '--clients', 100, '--senders', 50, '--seconds', 1);
	assert.ok(r.deliveries > 1000);
});

serverTest('people who come and go amid the talk', { timeout: 90000 }, async s => {
	const r = await bench(s, '--workload', 'churn', '--clients', 30, '--senders', 3, '--rate', 300, '--connects', full ? 3000 : 300);
	assert.ok(r.connects >= (full ? 3000 : 300));
});

test('ten thousand idle clients cost at most 1 KB of memory each', { timeout: 300000 * patience }, async () => {
	const n = full ? 9500 : 300, cost = [];
	for (const seconds of full ? [12, 24, 48] : [1]) { // long enough for the heap to be trimmed, which a busy machine delays
		const s = await Server.start();
		try {
			const r = await bench(s, '--workload', 'idle', '--clients', n, '--seconds', seconds, '--burst', 512);
			await s.stop();
			cost.push((r.private_kb.joined - r.private_kb.before) / n);
			if (cost.at(-1) <= 1 || !full) return;
		} finally {
			await s.cleanUp();
		}
	}
	assert.fail(`${cost.map(c => c.toFixed(3))} KB each`);
});
