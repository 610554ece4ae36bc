// stranger.mjs — one stranger takes all that the defaults allow, and people who chat must not notice: `make hostile`, in short net/38-stranger.test.mjs.
//
//   node tests/net/stranger.mjs [--rounds N] [--seconds S] [--elsewhere S] [--disk-mb N]
//
// --elsewhere: seconds a round for the second server; 0: as many as here.
// --disk-mb (4096): each server has a small disk of its own in memory, so that the bounds are reached; 0: the machine's, also where none can be mounted.
// Two servers with the defaults run side by side. Bystanders chat on the first throughout (wavebench checks one order, no gap, no duplicate). The same
// stranger attacks the first and the second in turns, so that each round compares like with like: what the stranger's own work costs this machine
// is in both. The stranger has one address and four names; it keeps sixteen uploads and twelve large frames under way, and sends texts and asks for
// pages as fast as it is let.
// Judged: the bystanders' p99 as a ratio of the two, the data folder against the storage bound, and the memory against the budgets that the
// server itself states.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import { Server, noise, patience, slack, sleep, within } from './lib.mjs';
import { ctlJson, metric } from './admin.mjs';
import { chatters } from './load.mjs';
import { canMount } from './checker-disturb.mjs';
import { bytesBelow, smallDisk } from './disk.mjs';

const here = fileURLToPath(import.meta.url);
const MB = 1 << 20;
const median = list => list.slice().sort((a, b) => a - b)[list.length >> 1];

// --- The stranger: a process of its own. A line "at it" once it got something of everything, or was refused it; at SIGTERM it ends with a
// line of JSON: what it got.

const address = '127.0.77.1';

async function stranger(port) {
	const got = { uploaded: 0, frames: 0, texts: 0, pages: 0, refused: {}, joins: 0 };
	let isOver = false, isAtIt = false;
	const refused = why => {
		got.refused[why] = (got.refused[why] || 0) + 1;
		const hasUploads = got.uploaded || got.refused['HTTP 507']; // in a later round the room for files is used up
		if (!isAtIt && hasUploads && got.frames) process.stdout.write('at it\n');
		isAtIt ||= Boolean(hasUploads && got.frames);
	};
	process.once('SIGTERM', () => {
		isOver = true;
		process.stdout.write(`${JSON.stringify(got)}\n`, () => process.exit(0));
	});
	const connect = (name, version) => new Promise(resolve => {
		const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false, localAddress: address, maxPayload: 1 << 30 });
		ws.on('error', () => resolve(null));
		ws.on('close', () => resolve(null));
		ws.on('open', () => ws.send(JSON.stringify({ type: 'join', name, ...(version ? { v: 2 } : {}) })));
		ws.on('message', data => {
			const head = data.subarray(0, 300).toString();
			if (/"type":\s*"error"/.test(head)) {
				const { code, text } = JSON.parse(data.toString());
				refused(code || text.slice(0, 40));
			}
			if (/"type":\s*"init"/.test(head)) {
				got.joins++;
				const f = JSON.parse(data.toString());
				resolve({ ws, token: f.token });
			}
		});
	});
	const file = noise(25 * MB, 7);
	let serial = 0;
	const upload = token => new Promise(resolve => {
		const size = 1 + (serial++ * 7919) % file.length; // another content each time
		const req = http.request({ host: '127.0.0.1', port, localAddress: address, method: 'POST', path: `/upload?key=s${process.pid}x${serial}&size=${size}&offset=0`, agent: false,
			headers: { authorization: `Bearer ${token}`, 'content-length': size } }, res => {
			res.resume();
			res.on('end', () => {
				if (res.statusCode === 200) got.uploaded += size;
				else refused(`HTTP ${res.statusCode}`);
				resolve();
			});
		});
		req.on('error', () => resolve());
		req.end(file.subarray(0, size));
	});
	const forever = async fn => { while (!isOver) await Promise.all([fn(), sleep(1)]); };
	const people = [];
	for (let i = 0; i < 4; i++) { // names of the second dialect: uploads, texts, pages
		const p = await connect(`stranger${i}`, 2);
		if (!p) continue;
		people.push(p);
		for (let j = 0; j < 4; j++)
			forever(async () => {
				await upload(p.token);
				if (p.ws.readyState !== WebSocket.OPEN) await sleep(500);
			});
		forever(async () => {
			if (p.ws.readyState === WebSocket.OPEN && p.ws.bufferedAmount < MB) {
				p.ws.send(JSON.stringify({ type: 'text', text: 'y'.repeat(3900), cid: `${i}.${++serial}` }));
				p.ws.send(JSON.stringify({ type: 'history', before: 0, limit: 200 }));
				got.texts++;
				got.pages++;
			}
			await sleep(20);
		});
	}
	const frame = JSON.stringify({ type: 'file', filename: 'large.bin', mime: 'application/octet-stream', data: file.subarray(0, 24 * MB).toString('base64') });
	for (let i = 0; i < 12; i++) // large frames of the first dialect, twelve at once
		forever(async () => {
			const p = await connect(`large${i}`, 0);
			if (!p) return sleep(500);
			if (i % 3 === 0) p.ws._socket.pause(); // and some do not read what comes of it
			p.ws.send(frame);
			got.frames++;
			await Promise.race([once(p.ws, 'close'), sleep(5000)]).catch(() => {});
			p.ws.terminate();
		});
	await new Promise(() => {});
}

// --- The judge

async function phase(target, bystanders, o) {
	const child = spawn('nice', ['-n', '19', process.execPath, here, '--attack', String(target.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '';
	let begun;
	const atIt = new Promise(resolve => (begun = resolve));
	child.stdout.on('data', d => { out += d; if (out.includes('at it')) begun(); });
	const closed = once(child, 'close');
	let peak = 0, isOver = false;
	const watching = (async () => {
		while (!isOver) {
			peak = Math.max(peak, target.memory().own);
			await sleep(200);
		}
	})();
	try {
		await sleep(2000 * slack); // the stranger is in
		const r = await chatters(bystanders, o);
		// On a busy machine the stranger, who has the lowest priority, needs longer to get to all of it.
		await within(60000 * patience, atIt, () => `the stranger to be at it: ${out}`);
		return { p50: r.latency_ms.p50, p99: r.latency_ms.p99, peak };
	} finally {
		child.kill('SIGTERM');
		await within(20000 * patience, closed, 'the stranger to end').finally(() => child.kill('SIGKILL'));
		isOver = true;
		await watching;
		if (out) o.got.push(JSON.parse(out.trim().split('\n').at(-1)));
	}
}

/** Returns the ratio of the bystanders' p99, and what was taken of disk and memory. `say` is given a line a phase. */
export async function strangerRounds(o, say = () => {}) {
	const disks = o.diskMb && canMount() ? [smallDisk(o.diskMb), smallDisk(o.diskMb)] : [], servers = [];
	o.got = [];
	try {
		// Loopback is exempt from limits by address: here it is not, for the stranger comes from there.
		for (const i of [0, 1]) servers.push(await Server.start({ limits: true, args: ['--exempt', 'none'], allow: /./, dir: disks[i]?.dir }));
		const [first, second] = servers;
		const attacked = [], other = [];
		for (let i = 0; i < o.rounds; i++)
			for (const target of i % 2 ? [second, first] : [first, second]) {
				const r = await phase(target, first, target === second && o.elsewhere ? { ...o, seconds: o.elsewhere } : o), got = o.got.at(-1) || {};
				(target === first ? attacked : other).push(r);
				say(`round ${i + 1} against ${target === first ? 'this server ' : 'another one '} p50 ${r.p50.toFixed(2)} ms  p99 ${r.p99.toFixed(2)} ms  memory ${(r.peak / MB).toFixed(0)} MB` +
					`  disk ${(bytesBelow(path.join(target.dir, 'data')) / MB).toFixed(0)} MB  uploaded ${((got.uploaded || 0) / MB).toFixed(0)} MB, frames ${got.frames}, refused ${JSON.stringify(got.refused)}`);
			}
		const status = await ctlJson(first, ['status']);
		const result = {
			p99: median(attacked.map(r => r.p99)), other: median(other.map(r => r.p99)),
			peak: Math.max(...attacked.map(r => r.peak)), status, got: o.got,
			files: bytesBelow(path.join(first.dir, 'data', 'blobs')) + bytesBelow(path.join(first.dir, 'data', 'uploads')),
			errors: await metric(first, 'errors_total{code="storage"}').catch(() => 0),
		};
		result.ratio = result.p99 / result.other;
		assert.ok((await first.get('/health')).ok);
		await first.stop('SIGTERM', 15000);
		return result;
	} finally {
		for (const s of servers) await s.cleanUp();
		for (const d of disks) d.remove();
	}
}

/** What the server states that it may take: its budgets, itself (logs, SQLite's caches, stacks), and 16 KB a connection. */
export const memoryBound = ({ memory }) => memory.sum + 80 * MB + 200 * 16 * 1024;

/** The bounds; the delays are for who measures on a quiet machine. */
export function judge(r) {
	assert.ok(r.files <= r.status.files_bound_bytes, `files take ${r.files} bytes, the bound is ${r.status.files_bound_bytes}`);
	assert.ok(r.peak < memoryBound(r.status), `${r.peak} bytes of memory, the bound is ${memoryBound(r.status)}`);
	const sum = key => r.got.reduce((n, got) => n + got[key], 0);
	assert.ok(sum('uploaded') > 0 && sum('frames') > 0 && r.got.some(got => Object.keys(got.refused).length), `the stranger was at it, and was refused: ${JSON.stringify(r.got)}`);
}

export const load = { people: 40, talkers: 8, rate: 40, seconds: 60, rounds: 10, elsewhere: 20, diskMb: 4096 };

if (process.argv[1] === here) {
	const { values: { attack, ...values } } = parseArgs({ options: { attack: { type: 'string' }, rounds: { type: 'string' }, seconds: { type: 'string' }, elsewhere: { type: 'string' }, 'disk-mb': { type: 'string' } } });
	if (attack) await stranger(Number(attack));
	const { 'disk-mb': diskMb, ...given } = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Number(v)]));
	const r = await strangerRounds({ ...load, ...given, ...(diskMb === undefined ? {} : { diskMb }) }, line => console.log(line));
	console.log(`the bystanders: p99 ${r.p99.toFixed(2)} ms with the stranger here, ${r.other.toFixed(2)} ms with the stranger elsewhere: ${r.ratio.toFixed(2)} times (below 2 is wanted)`);
	console.log(`files ${(r.files / MB).toFixed(0)} MB, bound ${(r.status.files_bound_bytes / MB).toFixed(0)} MB; memory ${(r.peak / MB).toFixed(0)} MB at most, bound ${(memoryBound(r.status) / MB).toFixed(0)} MB`);
	judge(r);
	assert.ok(r.ratio < 2, `p99 is ${r.ratio.toFixed(2)} times as long`);
}
