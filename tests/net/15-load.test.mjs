// What a load costs those who are no part of it, against the same run without the load; and what ten thousand idle clients cost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Server, judgeDelay, patience, serverTest, slack } from './lib.mjs';
import { bench } from './load.mjs';

const full = slack === 1; // a sanitizer build gets a smaller load

serverTest('stalled clients are let go and delay nobody', { timeout: 180000 }, async s => {
	const people = ['--workload', 'stall', '--size', 4000, '--window', 4, '--clients'];
	const calm = await bench(s, ...people, 50, '--stalled', 0, '--seconds', 1);
	// Until enough has passed them by, whatever the machine's speed.
	for (let seconds = full ? 2 : 10; ; seconds *= 2) {
		const r = await bench(s, ...people, 60, '--stalled', 10, '--seconds', seconds);
		judgeDelay(r.latency_ms['p99.9'], calm.latency_ms['p99.9'], 'p99.9');
		if (r.stalled_dropped === 10) break;
		assert.ok(seconds < 60, `${r.stalled_dropped} of 10 were let go`);
	}
});

serverTest('a storm of joins while others chat', { timeout: 90000 }, async s => {
	const people = ['--workload', 'storm', '--chatters', 50, '--senders', 5, '--rate', 50, '--preload', 200, '--clients'];
	const calm = await bench(s, ...people, 60);
	const r = await bench(s, ...people, full ? 1000 : 100);
	judgeDelay(r.latency_ms.p99, calm.latency_ms.p99, 'the chatters\' p99');
	// init with 200 messages, and at most 64 KB/s of lists: bytes do not grow with the square of the joiners.
	assert.ok(r.storm_bytes_per_client < 600 * 1024, `${r.storm_bytes_per_client} bytes a joiner`);
});

test('ten thousand idle clients cost at most 1 KB of memory each', { timeout: 300000 * patience }, async () => {
	const n = full ? 9500 : 300, cost = [];
	for (const seconds of full ? [8, 16, 32] : [1]) { // long enough for the heap to be trimmed, which a busy machine delays
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
