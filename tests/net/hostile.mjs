// hostile.mjs — a crowd that means harm, and what people who chat notice of it: `make hostile`, and in short net/17-hostile-load.test.mjs.
//
// All come from loopback addresses, the good from 127.0.0.1 to .16, the crowd from 127.0.66.1 to .50. Loopback is exempt from the limits by address, so those
// act on the crowd only with ARGS="--exempt 127.0.0.0/24".
//
// The good are 200 people of whom 20 talk, 50 messages a second in all (wavebench, which also checks one order, no gap and no duplicate, and
// that nobody was dropped). The crowd is another wavebench: some 2,000 connections at any time, a sixth each of slowloris, half-open, garbage, readers
// that stall, claims of 30 MB and more, and joins one after another; who is thrown out comes back, 500 a second in all. Rounds alternate between the
// good alone and both; the crowd comes while the good are there already. The two programs and the server share this machine, so the crowd
// runs at the lowest priority: its own work must not count as the server's.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { memoryGroup } from './cgroup.mjs';
import { chatters, tool } from './load.mjs';
import { Server, patience, sleep, within } from './lib.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const MB = 1 << 20;

const median = list => list.slice().sort((a, b) => a - b)[list.length >> 1];

/** The crowd; `stop` ends it and gives what became of it. */
function crowd(s, { foes, foeRate, kind }) {
	const child = spawn('nice', ['-n', '19', tool, '--workload', 'hostile', '--clients', foes, '--rate', foeRate, '--seconds', 1000, ...(kind ? ['--kind', kind] : []), `127.0.0.1:${s.port}`].map(String),
		{ stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '', closed = false;
	child.stdout.on('data', d => (out += d));
	child.once('close', () => (closed = true));
	return {
		stop: async () => {
			child.kill('SIGTERM');
			if (!closed) await within(20000 * patience, once(child, 'close'), 'the crowd to end').finally(() => child.kill('SIGKILL'));
			return JSON.parse(out);
		},
	};
}

/** One phase of a round: p99 and p50 of the good in ms, the server's memory at its highest, and the crowd's fate. */
async function phase(s, o, isHostile) {
	let peak = 0, isOver = false;
	const cpu = s.cpu();
	const watching = (async () => {
		while (!isOver) {
			peak = Math.max(peak, s.memory().own);
			await sleep(200);
		}
	})();
	const chatting = chatters(s, o);
	chatting.catch(() => {}); // judged below
	await sleep(500);
	const foes = isHostile ? crowd(s, o) : null;
	try {
		const r = await chatting;
		return { p50: r.latency_ms.p50, p99: r.latency_ms.p99, peak, cpu: s.cpu() - cpu, fate: foes && await foes.stop() };
	} finally {
		if (foes) await foes.stop();
		isOver = true;
		await watching;
	}
}

/** All rounds on one server; what came of them. `say` is given a line now and then. */
export async function hostileRounds(s, o, say = () => {}) {
	const calm = [], hostile = [];
	for (let i = 0; i < o.rounds; i++)
		for (const isHostile of i % 2 ? [true, false] : [false, true]) {
			const r = await phase(s, o, isHostile);
			(isHostile ? hostile : calm).push(r);
			say(`round ${i + 1} ${isHostile ? 'hostile' : 'calm   '}  p50 ${r.p50.toFixed(2)} ms  p99 ${r.p99.toFixed(2)} ms  server ${r.cpu.toFixed(2)} s  memory ${(r.peak / MB).toFixed(1)} MB` +
				(r.fate ? `  ${r.fate.most_open} foes at once: ${Object.entries(r.fate).filter(([, v]) => v.opened).map(([k, v]) => `${k} ${v.opened}/${v.thrown_out}`).join(', ')}` : ''));
			await sleep(1000); // what the crowd had is closed
		}
	return {
		calm_p99: median(calm.map(r => r.p99)), hostile_p99: median(hostile.map(r => r.p99)),
		ratio: median(hostile.map(r => r.p99)) / median(calm.map(r => r.p99)),
		peak: Math.max(...hostile.map(r => r.peak)), most_open: Math.max(...hostile.map(r => r.fate.most_open)), fates: hostile.map(r => r.fate),
	};
}

export const load = { people: 200, talkers: 20, rate: 50, foes: 3300, foeRate: 500, warmup: 6, seconds: 5, rounds: 7 };

/** Small enough for the crowd to reach what is bounded in all. */
const pendingMb = 48;
export const limits = ['--pending-in-mb', pendingMb, '--pending-out-mb', pendingMb].map(String);
/** What the server may take at most with these: itself (two logs of 8 MB, the inbox, SQLite's caches), 16 KB a connection, what is being received, and what
 * waits to be sent: private output and large frames. */
export const memoryBound = connections => 64 * MB + connections * 16 * 1024 + 3 * pendingMb * MB;

/** What render.yaml sets, as the environment of a server: data in memory, and the proxies there, of which loopback is none. */
export function renderEnv() {
	const env = {};
	let key = null;
	for (const line of fs.readFileSync(path.join(root, 'render.yaml'), 'utf8').split('\n')) {
		const m = /^\s*(?:- )?(key|value): *"?([^"#]*?)"? *$/.exec(line);
		if (m && m[1] === 'key') key = m[2];
		else if (m && key) env[key] = m[2];
	}
	assert.equal(env.WAVECHAT_DATA, ':memory:', 'render.yaml says that nothing is kept');
	return env;
}

export const renderMemory = 512 * MB; // the free plan's

/** Two strangers who want all memory (memory-foes.mjs); `stop` ends them and gives what became of them. */
function gluttons(s) {
	const child = spawn('nice', ['-n', '19', process.execPath, path.join(root, 'tests/net/memory-foes.mjs'), String(s.port)], { stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '', closed = false;
	child.stdout.on('data', d => (out += d));
	child.once('close', () => (closed = true));
	return {
		stop: async () => {
			child.kill('SIGTERM');
			if (!closed) await within(20000 * patience, once(child, 'close'), 'the strangers to end').finally(() => child.kill('SIGKILL'));
			return JSON.parse(out);
		},
	};
}

/** People chat on a server that has Render's memory and environment, while two strangers want all of it. They are compared with the same people while the
 * same strangers are at a second server, which is otherwise idle: so what the strangers themselves take of this machine is in both. */
export async function memoryRounds(o, say = () => {}) {
	const groups = [memoryGroup(renderMemory), memoryGroup(renderMemory)];
	if (groups[0].why) return { why: groups[0].why };
	const servers = [];
	try {
		for (const g of groups) servers.push(await Server.start({ limits: true, cgroup: g.procs, env: { ...renderEnv(), ...o.env }, allow: /slow|memory|hang/ }));
		const [s, other] = servers, beside = [], amid = [], fates = [];
		for (let i = 0; i < o.rounds; i++)
			for (const isHostile of i % 2 ? [true, false] : [false, true]) {
				const foes = gluttons(isHostile ? s : other);
				let r, fate;
				try {
					await sleep(1500); // they are at it before the good come: those join amid it as well
					r = await chatters(s, o);
				} finally {
					fate = await foes.stop();
				}
				assert.ok(s.alive() && other.alive(), `a server ended: ${s.output}${other.output}`);
				(isHostile ? amid : beside).push(r.latency_ms.p99);
				if (isHostile) fates.push(fate);
				say(`round ${i + 1} strangers ${isHostile ? 'here     ' : 'elsewhere'}  p50 ${r.latency_ms.p50.toFixed(2)} ms  p99 ${r.latency_ms.p99.toFixed(2)} ms  highest ${(groups[0].highest() / MB).toFixed(0)} MB  ${JSON.stringify(fate)}`);
				await sleep(500);
			}
		const r = { beside: median(beside), amid: median(amid), ratio: median(amid) / median(beside), fates, version: groups[0].version,
			highest: Math.max(...groups.map(g => g.highest() + g.sockets())), kills: groups.reduce((sum, g) => sum + g.kills(), 0) };
		assert.ok((await s.get('/health')).ok);
		for (const one of servers) await one.stop('SIGTERM', 15000);
		return r;
	} finally {
		for (const one of servers) await one.cleanUp();
		for (const g of groups) g.remove?.();
	}
}

async function memoryMain() {
	const r = await memoryRounds({ people: 100, talkers: 20, rate: 50, warmup: 4, seconds: 15, rounds: 3 }, line => console.log(line));
	if (r.why) {
		console.log(`not run, two strangers against 512 MB: ${r.why}`);
		return;
	}
	console.log(`512 MB: p99 ${r.amid.toFixed(2)} ms with two strangers who want all of it, ${r.beside.toFixed(2)} ms while they are elsewhere: ${r.ratio.toFixed(2)} times (below 2 is wanted)`);
	console.log(`memory: ${(r.highest / MB).toFixed(0)} MB at the highest of ${renderMemory / MB} (cgroup v${r.version}), ended for want of it: ${r.kills}; nobody good dropped, one order, no gap, no duplicate`);
	assert.equal(r.kills, 0);
	assert.ok(r.highest < renderMemory, 'too much memory');
	assert.ok(r.ratio < 2, `p99 is ${r.ratio.toFixed(2)} times as long`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	await memoryMain();
	const s = await Server.start({ limits: true, args: [...limits, ...process.argv.slice(2)] });
	try {
		const r = await hostileRounds(s, load, line => console.log(line));
		const bound = memoryBound(load.foes);
		console.log(`the good: p99 ${r.calm_p99.toFixed(2)} ms alone, ${r.hostile_p99.toFixed(2)} ms with ${r.most_open} foes: ${r.ratio.toFixed(2)} times (below 2 is wanted)`);
		console.log(`memory: ${(r.peak / MB).toFixed(1)} MB at most, bound ${(bound / MB).toFixed(1)} MB; nobody good dropped, one order, no gap, no duplicate`);
		await s.stop();
		assert.ok(r.most_open >= 2000, `only ${r.most_open} foes at once`);
		assert.ok(r.peak < bound, 'too much memory');
		assert.ok(r.ratio < 2, `p99 is ${r.ratio.toFixed(2)} times as long`);
	} finally {
		await s.cleanUp();
	}
}
