// dump.mjs — what a dump of a million messages takes of both programs, and of the living.
//
//   node tests/bench/dump.mjs [--messages N] [--rounds R]
//
// Fills a server, then measures the delay of chat with and without a dump under way, in turn, R times each, in this one run. Prints the
// medians, the memory of both programs, and exits with 1 if a dump takes over 8 MB of either or delays the 99th percentile by 10 ms.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs, promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Server, binary, sleep } from '../net/lib.mjs';
import { ctlBinary, ctlJson, socketOf } from '../net/admin.mjs';

const { values } = parseArgs({ options: { messages: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '3' } } });
const wavebench = path.resolve(process.env.WAVEBENCH || path.join(path.dirname(binary), 'wavebench'));
const bench = async (s, ...args) => JSON.parse((await promisify(execFile)(wavebench, [...args, '--json', `127.0.0.1:${s.port}`].map(String), { maxBuffer: 1 << 26 })).stdout);
const own = pid => {
	try {
		const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
		return [...text.matchAll(/^Private_\w+:\s+(\d+) kB/gm)].reduce((n, m) => n + Number(m[1]), 0) / 1024;
	} catch {
		return 0;
	}
};
const median = v => [...v].sort((a, b) => a - b)[v.length >> 1];

const messages = Number(values.messages), rounds = Number(values.rounds);
const s = await Server.start({ startMs: 30000 });
let failed = false;
try {
	const filled = Date.now();
	await bench(s, '--clients', 4, '--senders', 4, '--preload', messages, '--rate', 10, '--seconds', 1, '--warmup', 0, '--drain', 60);
	console.log(`filled with ${messages} messages in ${((Date.now() - filled) / 1000).toFixed(1)} s; the database has ${((await ctlJson(s, ['status'])).store_bytes / (1 << 20)).toFixed(0)} MB`);
	const chat = () => bench(s, '--clients', 200, '--senders', 20, '--rate', 200, '--seconds', 6, '--warmup', 1);

	let going, dumps = 0, bytes = 0, ctlMb = 0, before = 0, serverMb = 0, ms = 0;
	const dump = async () => {
		while (going) {
			const began = Date.now();
			let n = 0;
			const child = spawn(ctlBinary, ['--socket', socketOf(s), 'history', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
			child.stdout.on('data', d => (n += d.length));
			const sample = setInterval(() => {
				ctlMb = Math.max(ctlMb, own(child.pid));
				serverMb = Math.max(serverMb, own(s.pid) - before);
			}, 50);
			const ended = once(child, 'close');
			while (going && child.exitCode === null) await Promise.race([ended, sleep(100)]);
			if (child.exitCode === 0) {
				dumps++;
				bytes = n;
				ms = Date.now() - began;
			} else child.kill('SIGKILL');
			clearInterval(sample);
		}
	};
	const plain = [], loaded = [];
	for (let i = 0; i < rounds; i++) {
		plain.push((await chat()).latency_ms);
		before = own(s.pid);
		going = true;
		const running = dump();
		loaded.push((await chat()).latency_ms);
		going = false;
		await running;
	}
	const show = (name, v) => console.log(`${name}  p50 ${median(v.map(x => x.p50)).toFixed(2)} ms  p99 ${median(v.map(x => x.p99)).toFixed(2)} ms  (p99 of each: ${v.map(x => x.p99.toFixed(2)).join(' ')})`);
	show('alone        ', plain);
	show('with a dump  ', loaded);
	// One that runs to its end, if none did: what it takes in all.
	if (!dumps) {
		before = own(s.pid);
		going = true;
		const running = dump();
		while (!dumps) await sleep(100);
		going = false;
		await running;
	}
	const late = median(loaded.map(x => x.p99)) - median(plain.map(x => x.p99));
	console.log(`a dump: ${(bytes / (1 << 20)).toFixed(0)} MB in ${(ms / 1000).toFixed(1)} s (${dumps} ran to their ends); memory: wavechatctl ${ctlMb.toFixed(1)} MB, the server ${serverMb.toFixed(1)} MB more than before it`);
	console.log(`the 99th percentile is ${late.toFixed(2)} ms later`);
	failed = ctlMb > 8 || serverMb > 8 || late >= 10;
	console.log(failed ? '0 passed, 1 failed' : '1 passed, 0 failed');
	await s.stop();
} finally {
	await s.cleanUp();
}
process.exit(failed ? 1 : 0);
