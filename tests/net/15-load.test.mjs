// The load generator against the real server: what it checks must hold with a thousand clients as it does with three.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { serverTest, slack } from './lib.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const tool = process.env.WAVEBENCH || path.join(root, 'build/wavebench');

/** One run of wavebench; its JSON. It must be content with what it saw. */
async function bench(s, ...args) {
	assert.ok(fs.existsSync(tool), `${tool} is not built`);
	const { status, stdout, stderr } = await new Promise(resolve =>
		execFile(tool, ['--json', '--pid', String(s.pid), ...args.map(String), `127.0.0.1:${s.port}`], { timeout: 100000 * slack },
			(e, out, err) => resolve({ status: e ? e.code : 0, stdout: out, stderr: err })));
	assert.equal(status, 0, `${stdout}\n${stderr}`);
	const r = JSON.parse(stdout);
	assert.equal(r.ok, true, stdout);
	return r;
}

const full = slack === 1; // a sanitizer build gets a smaller load

serverTest('a thousand clients join, and every one gets every message of 32 senders in one order', { timeout: 60000 }, async s => {
	const r = await bench(s, '--clients', full ? 1000 : 100, '--senders', 32, '--seconds', 2);
	assert.ok(r.join_s <= 2 * slack, `joined in ${r.join_s} s`);
	assert.ok(r.deliveries > 10000, `${r.deliveries} deliveries`);
});

serverTest('one sender, ever so many in flight', { timeout: 60000 }, async s => {
	await bench(s, '--clients', full ? 200 : 30, '--senders', 1, '--window', 500, '--seconds', 2, '--size', 1000);
});

serverTest('DMs of many pairs', { timeout: 60000 }, async s => {
	const r = await bench(s, '--workload', 'dm', '--clients', 100, '--senders', 50, '--seconds', 2);
	assert.ok(r.deliveries > 1000);
});

serverTest('stalled clients are let go and delay nobody', { timeout: 90000 }, async s => {
	const r = await bench(s, '--workload', 'stall', '--clients', 60, '--stalled', 10, '--size', 4000, '--window', 4, '--seconds', full ? 3 : 10);
	if (r.deliveries / 50 * 4000 > 60e6) assert.equal(r.stalled_dropped, 10, 'tens of megabytes passed them by');
	assert.ok(r.latency_ms['p99.9'] < 500 * slack, `p99.9 ${r.latency_ms['p99.9']} ms`);
});

serverTest('people who come and go amid the talk', { timeout: 90000 }, async s => {
	const r = await bench(s, '--workload', 'churn', '--clients', 30, '--senders', 3, '--rate', 300, '--connects', full ? 3000 : 300);
	assert.ok(r.connects >= (full ? 3000 : 300));
});

serverTest('a storm of joins while others chat', { timeout: 90000 }, async s => {
	const r = await bench(s, '--workload', 'storm', '--clients', full ? 1000 : 100, '--chatters', 50, '--senders', 5, '--rate', 50, '--preload', 200);
	assert.ok(r.latency_ms.p99 < 500 * slack, `the chatters' p99 was ${r.latency_ms.p99} ms`);
	// init with 200 messages, and at most 64 KB/s of lists: bytes do not grow with the square of the joiners.
	assert.ok(r.storm_bytes_per_client < 600 * 1024, `${r.storm_bytes_per_client} bytes a joiner`);
});

serverTest('ten thousand idle clients cost at most 1 KB of memory each', { timeout: 120000 }, async s => {
	const n = full ? 9500 : 300;
	const r = await bench(s, '--workload', 'idle', '--clients', n, '--seconds', full ? 12 : 1, '--burst', 512); // long enough for the heap to be trimmed
	if (!full) return;
	const each = (r.private_kb.joined - r.private_kb.before) / n;
	assert.ok(each <= 1, `${each} KB each`);
});
