// run.mjs — `make bench`: all servers side by side, round after round, one kind of load after another, so that what changes on the machine meanwhile
// meets them all. Every figure is a line of build/bench/rounds.jsonl; BENCH.md and the chart are made of their medians (report.mjs).
//
//   node run.mjs [--rounds N] [--minutes T] [--quick] [--resume] [--only STEP,…] [--also NAME=COMMAND]… [--report-only]
//
// --minutes: no new round begins when it is over. --resume: goes on with the rounds of an earlier run of the same commit. --quick: a round of a few
// seconds, to see that all works; writes no report.
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import { commit, writeReport } from './report.mjs';
import { addKind, built, kinds, nginx, root } from './servers.mjs';

const { values: opt } = parseArgs({ options: {
	rounds: { type: 'string', default: '7' }, minutes: { type: 'string', default: '25' }, quick: { type: 'boolean', default: false },
	resume: { type: 'boolean', default: false }, only: { type: 'string' }, also: { type: 'string', multiple: true, default: [] },
	'report-only': { type: 'boolean', default: false },
} });
const quick = opt.quick, also = opt.also.map(addKind);
const wavebench = process.env.WAVEBENCH || path.join(built, 'wavebench');
const results = path.join(built, 'bench', quick ? 'quick.jsonl' : 'rounds.jsonl');

function execJson(command, args, timeoutMs) {
	return new Promise((resolve, reject) => execFile(command, args.map(String), { timeout: timeoutMs, killSignal: 'SIGKILL' }, (e, out, err) => {
		try {
			resolve({ ...JSON.parse(out), said: err.slice(0, 500) || undefined });
		} catch {
			reject(new Error(`${command} ${args.join(' ')}: ${e ? e.message : 'no JSON'}\n${err}`));
		}
	}));
}

/** wavebench against a fresh server. Its own checks must hold. */
async function bench(kind, args, seconds = 120) {
	const s = await kinds[kind]();
	try {
		return await execJson(wavebench, ['--json', '--pid', s.pid, ...args, `127.0.0.1:${s.port}`], seconds * 1000);
	} finally {
		await s.stop();
	}
}

/** A file of 25 MB shown in the room, and a copy of it for nginx: the path of either. */
async function shareFile(s, dir, megabytes) {
	const bytes = Buffer.alloc(megabytes << 20, 'wavechat');
	fs.writeFileSync(path.join(dir, 'file.bin'), bytes);
	const ws = new WebSocket(`ws://127.0.0.1:${s.port}/ws`);
	const next = type => new Promise((resolve, reject) => {
		ws.on('message', d => { const m = JSON.parse(d); if (m.type === type) resolve(m); if (m.type === 'error') reject(new Error(m.text)); });
		ws.once('error', reject);
	});
	await new Promise((resolve, reject) => { ws.once('open', resolve); ws.once('error', reject); });
	ws.send(JSON.stringify({ type: 'join', name: 'bench', v: 2 }));
	await next('init');
	ws.send(JSON.stringify({ type: 'file', filename: 'file.bin', mime: 'application/octet-stream', size: bytes.length, data: bytes.toString('base64'), cid: 'f1' }));
	const { url } = await next('file');
	ws.close();
	return url;
}

async function fetchBoth(round) {
	const s = await kinds.wavechat();
	let other;
	try {
		const path = await shareFile(s, s.dir, quick ? 2 : 25);
		other = await nginx(s.dir);
		const load = (server, path) => execJson(wavebench, ['--json', '--pid', server.pid, '--workload', 'fetch', '--clients', 4, '--warmup', 0.3, '--seconds',
			quick ? 0.3 : 1.5, '--settle', 0, '--path', path, `127.0.0.1:${server.port}`], 60000);
		const turns = [['wavechat', s, path], ['nginx', other, '/file.bin']];
		const out = {};
		for (const [name, server, p] of round % 2 ? turns : turns.reverse()) out[name] = await load(server, p);
		return [{ server: 'wavechat', ...out.wavechat }, { server: 'nginx', ...out.nginx }];
	} finally {
		await other?.stop();
		await s.stop();
	}
}

const clients = quick ? 50 : 1000, crowd = quick ? 300 : 10000;
const talk = senders => ['--clients', clients, '--senders', senders, '--window', 4, '--warmup', quick ? 0.2 : 0.5, '--seconds', quick ? 0.3 : 1, '--drain', 20, '--settle', 0];
const pace = ['--clients', clients, '--senders', 50, '--rate', 50, '--warmup', quick ? 0.2 : 0.7, '--seconds', quick ? 0.5 : 3, '--settle', 0];
const servers = ['wavechat', 'Node ws', 'aiohttp', 'civetweb', ...also];
const storm = ['--workload', 'storm', '--dialect', 2, '--clients', crowd, '--burst', crowd, '--chatters', quick ? 10 : 50, '--senders', 5, '--rate', 50, '--preload', 200, '--settle', 0];
let frameBytes = 333; // of a delivery on the wire: as the latest run of wavechat had it

async function fanout(senders, round) {
	const out = [];
	for (let i = 0; i < servers.length; i++) {
		const server = servers[(i + round) % servers.length];
		out.push({ server, ...await bench(server, talk(senders)) });
	}
	const own = out.find(r => r.server === 'wavechat');
	if (own.deliveries_per_s) frameBytes = Math.round(own.bytes_per_s / own.deliveries_per_s);
	return out;
}

async function floors() {
	const out = [];
	for (const frames of [1, 4, 32])
		out.push({ server: `floor, ${frames} a send`, ...await execJson(path.join(built, 'bench/floor'), [clients, frames, frameBytes, quick ? 0.2 : 1], 30000) });
	return out;
}

async function even(round) {
	const out = [];
	const who = ['wavechat', 'Node ws', ...also];
	for (let i = 0; i < who.length; i++) out.push({ server: who[(i + round) % who.length], ...await bench(who[(i + round) % who.length], pace) });
	out.push({ server: 'floor, 1 a send', ...await execJson(path.join(built, 'bench/floor'), [clients, 1, frameBytes, quick ? 0.2 : 1], 30000) });
	return out;
}

const own = (args, seconds) => async () => [{ server: 'wavechat', ...await bench('wavechat', args, seconds) }];
const steps = {
	'fanout-1': round => fanout(1, round),
	'fanout-4': round => fanout(4, round),
	'fanout-32': round => fanout(32, round),
	floor: floors,
	even,
	idle: own(['--workload', 'idle', '--clients', crowd, '--burst', 512, '--seconds', quick ? 1 : 12, '--settle', 0]),
	churn: own(['--workload', 'churn', '--clients', crowd / 10, '--rate', 5, '--churners', 200, '--connects', quick ? 500 : 50000], 180),
	storm: own(storm),
	return: own([...storm, '--rejoin']),
	file: own(['--workload', 'file', '--dialect', 2, '--clients', 100, '--senders', 10, '--rate', 50, '--readers', quick ? 10 : 100, '--file-mb', quick ? 2 : 25,
		'--files', quick ? 1 : 3, '--seconds', quick ? 0.5 : 3, '--settle', 0]),
	fetch: fetchBoth,
};

async function main() {
	fs.mkdirSync(path.dirname(results), { recursive: true });
	const began = Date.now(), head = commit();
	let lines = fs.existsSync(results) && opt.resume ? fs.readFileSync(results, 'utf8').split('\n').filter(Boolean).map(JSON.parse).filter(r => r.commit === head) : [];
	fs.writeFileSync(results, lines.map(r => JSON.stringify(r) + '\n').join(''));
	const wanted = opt.only ? opt.only.split(',') : Object.keys(steps);
	for (const step of wanted) if (!steps[step]) throw new Error(`--only ${step}: there are ${Object.keys(steps).join(', ')}`);
	const rounds = quick ? 1 : Number(opt.rounds);
	let failures = 0;
	const load = Number(os.loadavg()[0].toFixed(1)); // what else the machine does
	for (let round = 1; round <= rounds; round++) {
		for (const step of wanted) {
			if (lines.some(r => r.round === round && r.step === step)) continue;
			if (Date.now() - began > Number(opt.minutes) * 60000) {
				console.log(`bench: ${opt.minutes} minutes are over in round ${round}; --resume goes on`);
				return failures;
			}
			const from = Date.now();
			let found;
			try {
				found = await steps[step](round);
			} catch (e) {
				console.error(`bench: round ${round}, ${step}: ${e.message}`);
				failures++;
				continue;
			}
			for (const r of found) {
				const line = { commit: head, load, round, step, ...r };
				lines.push(line);
				fs.appendFileSync(results, JSON.stringify(line) + '\n');
				if (r.ok === false) {
					failures += r.server === 'wavechat';
					console.error(`bench: round ${round}, ${step}, ${r.server}: a check failed\n${JSON.stringify(r)}`);
				}
			}
			console.log(`round ${round}/${rounds}  ${step.padEnd(10)} ${((Date.now() - from) / 1000).toFixed(1).padStart(5)} s  ${brief(step, found)}`);
		}
	}
	return failures;
}

function brief(step, found) {
	const n = v => (v >= 1e6 ? `${(v / 1e6).toFixed(2)} M` : v >= 1e3 ? `${(v / 1e3).toFixed(0)} k` : String(Math.round(v)));
	if (/fanout|floor/.test(step)) return found.map(r => `${r.server} ${n(r.deliveries_per_s)}/s`).join(', ');
	if (step === 'even') return found.map(r => `${r.server} ${r.latency_ms ? `p99 ${r.latency_ms.p99} ms` : `sweep ${r.sweep_ms} ms`}`).join(', ');
	if (step === 'fetch') return found.map(r => `${r.server} ${n(r.bytes_per_s / 1e6)} MB/s`).join(', ');
	const [r] = found;
	if (step === 'idle') return `${((r.private_kb.joined - r.private_kb.before) / r.clients).toFixed(2)} KB a client`;
	if (step === 'churn') return `${(r.private_kb.joined / 1024).toFixed(1)} MB before, ${(r.churned_kb.private / 1024).toFixed(1)} after`;
	if (step === 'file') return `p99 ${r.quiet_ms.p99} ms without, ${r.latency_ms.p99} with`;
	return `all had init in ${r.storm_s} s, p99 of those chatting ${r.latency_ms.p99} ms`;
}

let failures = 0;
if (!opt['report-only']) failures = await main();
if (!quick && !opt.only) writeReport(results, root);
process.exitCode = failures ? 1 : 0;
