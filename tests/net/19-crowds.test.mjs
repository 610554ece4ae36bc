// The load generator against the real server: what it checks must hold with a thousand clients as it does with three.
import assert from 'node:assert/strict';
import { serverTest, slack } from './lib.mjs';
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
