// fairness.mjs — the fairness suite: what bystanders notice of an attack, a row for each attack: `make hostile`; in short net/93-fairness.test.mjs.
//
//   node tests/net/fairness.mjs [--rows NAME,…] [--lines N,…] [--rounds N] [--seconds S] [--list] [-- OPTIONS OF THE SERVERS]
//
// Two servers with the defaults run side by side, with the same history, 512 MB of memory, and nobody exempt from a limit. Bystanders are on the
// first throughout. An attacker (fairness-foes.mjs, at the lowest priority) is at the first and at the second in turns, so that its own work on
// this machine is in both. Bystanders send texts and wait for the echo, download a file of 64 KB, and come back with their token and `since`.
// Judged: the p99 of each as a ratio of the two, below 2, for downloads below 10 and 1 s; nobody lost; memory below --memory-mb; the data's
// growth below the row's bound; the attacker refused, as it says itself, and counted by one of the row's metrics.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import WebSocket from 'ws';
import { adminRequest, ctlJson } from './admin.mjs';
import { bytesBelow } from './disk.mjs';
import { rows } from './fairness-foes.mjs';
import { Server, noise, patience, sleep, within } from './lib.mjs';
import { upload } from './v2.mjs';

export { rows };

const foesFile = path.join(path.dirname(fileURLToPath(import.meta.url)), 'fairness-foes.mjs');
const MB = 1 << 20, MEMORY_MB = 512, PASSWORD = 'let us in';
const median = list => list.slice().sort((a, b) => a - b)[list.length >> 1];
const quantile = (list, q) => list.slice().sort((a, b) => a - b)[Math.min(list.length - 1, Math.ceil(list.length * q) - 1)];

// --- A history that all servers begin with

/** A socket that has joined: `{ ws, init }`. Frames go to `onFrame` as bytes. */
function joined(port, join, { from = '127.0.0.1', onFrame, timeout = 30000 * patience } = {}) {
	const ws = new WebSocket(`ws://127.0.0.1:${port}/ws`, { perMessageDeflate: false, localAddress: from, maxPayload: 1 << 30 });
	return within(timeout, new Promise((resolve, reject) => {
		let isIn = false;
		ws.on('error', reject);
		ws.on('close', code => reject(new Error(`closed with ${code}`)));
		ws.on('open', () => ws.send(JSON.stringify({ type: 'join', v: 2, ...join })));
		ws.on('message', data => {
			if (isIn) return onFrame?.(data);
			const first = JSON.parse(data.toString());
			if (first.type !== 'init') return reject(new Error(`${first.code}: ${first.text}`));
			isIn = true;
			resolve({ ws, init: first });
		});
	}), 'init').catch(e => {
		ws.terminate();
		throw e;
	});
}

/** Says texts, each when the one before has been stored: its echo waits for nobody. */
async function say(port, person, texts) {
	let heard = () => {};
	const { ws } = await joined(port, { token: person.token }, { onFrame: d => { if (d.includes('"self":true')) heard(); } });
	for (let i = 0; i < texts.length; i += 10) {
		let left = Math.min(10, texts.length - i);
		const all = new Promise(r => (heard = () => { if (!--left) r(); }));
		for (const t of texts.slice(i, i + 10)) ws.send(JSON.stringify({ type: 'text', ...t }));
		await within(30000 * patience, all, () => `the history to be said; ${left} left`);
	}
	ws.terminate();
}

/** The newest id that a person may see. */
async function headOf(port, person) {
	const { ws, init } = await joined(port, { token: person.token });
	ws.terminate();
	return init.head;
}

/** A data folder with people, 1,500 texts whose frames are as long as frames of texts get, direct messages, and a file. */
async function makeSeed() {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-fairness-'));
	const s = await Server.start({ dir, allow: /./ });
	try {
		const people = async (n, name) => {
			const list = [];
			for (let i = 0; i < n; i++) {
				const { ws, init } = await joined(s.port, { name: `${name} ${i}` });
				ws.terminate();
				list.push({ token: init.token, id: init.my_id });
			}
			return list;
		};
		const seed = { dir, foes: await people(20, 'Mallory'), talkers: await people(6, 'Ann'), back: await people(6, 'Ben') };
		seed.first = await headOf(s.port, seed.foes[0]) + 1;
		await say(s.port, seed.foes[0], Array(1500).fill({ text: `(${'\u0001'.repeat(3998)})` }));
		await say(s.port, seed.foes[0], Array(300).fill({ text: 'd'.repeat(1000), to_id: seed.foes[1].id }));
		await say(s.port, seed.talkers[0], Array(60).fill({ text: 'a line of talk' }));
		const blob = await upload(s, seed.talkers[0].token, noise(65536, 3));
		let url;
		const { ws } = await joined(s.port, { token: seed.talkers[0].token }, { onFrame: d => (url ||= /"url":"(\/f\/[^"]+)"/.exec(d.toString())?.[1]) });
		ws.send(JSON.stringify({ type: 'file', blob, filename: 'picture.bin' }));
		for (let i = 0; i < 100 * patience && !url; i++) await sleep(50);
		assert.ok(url, 'the file has an address');
		ws.terminate();
		seed.url = url;
		seed.last = await headOf(s.port, seed.back[0]);
		await s.stop();
		seed.file = path.join(dir, 'seed.json');
		fs.writeFileSync(seed.file, JSON.stringify(seed));
		return { ...seed, remove: () => fs.rmSync(dir, { recursive: true, force: true }) };
	} finally {
		await s.cleanUp();
	}
}

// --- The bystanders

class Bystanders {
	#talkers = [];
	#turn = 0;
	#waiting = new Map();
	newest = 0;

	constructor(server, seed, row) {
		Object.assign(this, { server, seed, row });
		this.more = row.password ? { password: PASSWORD } : {};
	}

	async come() {
		for (let i = 0; i < this.seed.talkers.length; i++) await this.#talker(i);
	}

	async #talker(i) {
		const { ws, init } = await joined(this.server.port, { token: this.seed.talkers[i].token, ...this.more }, { from: `127.0.0.${1 + i}`, onFrame: d => {
			if (d.length > 2048) return;
			const text = d.toString();
			const id = /^\{"type":\s*"text",\s*"id":\s*(\d+)/.exec(text)?.[1];
			if (id) this.newest = Math.max(this.newest, Number(id));
			const cid = /"cid":\s*"([^"]+)"/.exec(text)?.[1];
			if (cid) this.#waiting.get(cid)?.(!text.startsWith('{"type":"error"'));
		} });
		this.newest = Math.max(this.newest, init.head);
		this.#talkers[i] = ws;
	}

	async #echo(i) {
		if (this.#talkers[i].readyState !== WebSocket.OPEN) {
			await this.#talker(i);
			return false;
		}
		const cid = `${process.pid}.${++this.#turn}`;
		const answer = new Promise(r => this.#waiting.set(cid, r));
		this.#talkers[i].send(JSON.stringify({ type: 'text', text: `said ${this.#turn}`, cid }));
		return answer.finally(() => this.#waiting.delete(cid));
	}

	#http(method, pathname, from, { headers, body, size } = {}) {
		return new Promise(resolve => {
			const req = http.request({ host: '127.0.0.1', port: this.server.port, localAddress: from, method, path: pathname, headers, agent: false }, res => {
				let n = 0;
				res.on('data', d => (n += d.length));
				res.on('end', () => resolve(res.statusCode === 200 && (size === undefined || n === size)));
				res.on('error', () => resolve(false));
			});
			req.on('error', () => resolve(false));
			req.end(body);
		});
	}

	#download(i) {
		return this.#http('GET', this.seed.url, `127.0.0.${11 + i % 4}`, { size: 65536 });
	}

	#upload(i) {
		const body = Buffer.from(`upload ${process.pid} ${++this.#turn}`.padEnd(1000, '.'));
		return this.#http('POST', `/upload?key=b${process.pid}x${this.#turn}&size=${body.length}&offset=0`, `127.0.0.${31 + i % 4}`,
			{ headers: { authorization: `Bearer ${this.seed.talkers[i % this.seed.talkers.length].token}`, 'content-length': body.length }, body });
	}

	/** Back with what is newest already, so that the page is short whatever an attacker says. */
	async #resume(i) {
		const who = this.seed.back[i % this.seed.back.length];
		const { ws } = await joined(this.server.port, { token: who.token, since: Math.max(this.seed.last, this.newest - 1), ...this.more }, { from: `127.0.0.${21 + i % 6}` });
		ws.terminate();
		return true;
	}

	/** For `seconds`; `{ echo, download, resume, upload? }`, each `{ ms: [], lost }`. Times count from when a thing was due. */
	async watch(seconds) {
		const kinds = { echo: [24, i => this.#echo(i % 6)], download: [10, i => this.#download(i)], resume: [8, i => this.#resume(i)], ...(this.row.uploads ? { upload: [4, i => this.#upload(i)] } : {}) };
		const result = {};
		await Promise.all(Object.entries(kinds).map(async ([kind, [rate, act]]) => {
			const r = result[kind] = { ms: [], lost: 0 }, under = [], began = performance.now();
			for (let i = 0; i < rate * seconds; i++) {
				const due = began + (i * 1000) / rate;
				await sleep(Math.max(0, due - performance.now()));
				under.push(within(30000, act(i), kind).catch(() => false).then(ok => {
					r.ms.push(performance.now() - due);
					if (!ok) r.lost++;
				}));
			}
			await Promise.all(under);
		}));
		return result;
	}

	/** Until what an attack left behind is worked off, or for a minute. */
	async settle() {
		for (const end = Date.now() + 60000; Date.now() < end;) {
			const began = Date.now();
			await this.watch(0.5);
			if (Date.now() - began < 1500) return;
		}
	}

	leave() {
		for (const ws of this.#talkers) ws?.terminate();
	}
}

// --- A row

/** What the server states that it may take: its budgets, itself (logs, SQLite's caches, stacks), and 16 KB a connection. */
const stated = ({ memory }) => memory.sum + 80 * MB + 1000 * 16 * 1024;

function attack(row, server, seed) {
	const child = spawn('nice', ['-n', '19', process.execPath, foesFile, row.name, String(server.port), seed.file], { stdio: ['pipe', 'pipe', 'inherit'] });
	let out = '', begun;
	const atIt = new Promise(resolve => (begun = resolve));
	child.stdout.on('data', d => { out += d; if (out.includes('at it')) begun(); });
	const closed = once(child, 'close');
	return {
		begun: () => Promise.race([atIt, sleep(15000 * patience), closed]),
		stop: async () => {
			child.kill('SIGTERM');
			await within(20000 * patience, closed, 'the attacker to end').finally(() => child.kill('SIGKILL'));
			return JSON.parse(out.trim().split('\n').at(-1));
		},
	};
}

async function metrics(s) {
	const { text } = await adminRequest(s, 'GET', '/v1/metrics');
	return Object.fromEntries([...text.matchAll(/^wavechat_(\S+_total\S*) (\S+)$/gm)].map(([, name, value]) => [name, Number(value)]));
}

async function phase(row, target, first, bystanders, seed, o) {
	let peak = 0, isOver = false;
	const foe = attack(row, target, seed);
	const watching = (async () => {
		while (!isOver) {
			peak = Math.max(peak, target.memory().own);
			await sleep(200);
		}
	})().catch(() => {}); // it ended: seen below
	try {
		await foe.begun();
		const watched = await bystanders.watch(o.seconds);
		return { watched, peak };
	} finally {
		isOver = true;
		await watching;
		const got = await foe.stop();
		if (target === first) o.got.push(got);
	}
}

/** A row: its figures and `faults`, a list that is empty if all holds. With `judgesTimes` false the ratios are told, not judged. */
export async function runRow(row, seed, { rounds, seconds, extra = [], judgesTimes = true }) {
	const o = { seconds, got: [] }, servers = [], here = [], elsewhere = [];
	let peak = 0, bystanders;
	const passwordFile = path.join(seed.dir, 'password');
	if (row.password) fs.writeFileSync(passwordFile, `${PASSWORD}\n`, { mode: 0o600 });
	const args = ['--exempt', 'none', '--memory-mb', String(row.memoryMb || MEMORY_MB), ...(row.args || []), ...(row.password ? ['--join-password-file', passwordFile] : []), ...extra];
	try {
		for (let i = 0; i < (judgesTimes ? 2 : 1); i++) {
			const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-row-'));
			fs.cpSync(path.join(seed.dir, 'data'), path.join(dir, 'data'), { recursive: true });
			servers[i] = await Server.start({ limits: true, args, allow: /./, dir });
			servers[i].ownsDir = true;
		}
		const [first, second] = servers, data = path.join(first.dir, 'data');
		bystanders = new Bystanders(first, seed, row);
		await bystanders.come();
		await bystanders.watch(1); // the first of everything is slower
		const counts = await metrics(first), had = bytesBelow(data);
		for (let i = 0; i < rounds; i++)
			for (const target of judgesTimes ? [second, first] : [first]) {
				const r = await phase(row, target, first, bystanders, seed, o);
				if (target === first) peak = Math.max(peak, r.peak);
				(target === first ? here : elsewhere).push(r.watched);
				assert.ok(servers.every(s => s.alive()), `a server ended: ${servers.map(s => s.output.slice(-2000))}`);
				if (i < rounds - 1) await bystanders.settle();
			}
		const grown = bytesBelow(data) - had, after = await metrics(first);
		const bound = row.memoryMb ? stated(await ctlJson(first, ['status'])) : MEMORY_MB * MB;
		const r = judgeRow(row, { here, elsewhere, peak, bound, grown, got: o.got, judgesTimes,
			counted: Object.entries(after).filter(([name, v]) => v > (counts[name] || 0) && row.counted.some(re => re.test(name))).map(([name, v]) => `${name} +${v - (counts[name] || 0)}`) });
		bystanders.leave();
		const stopped = Date.now();
		await first.stop('SIGTERM', 15000).catch(e => r.faults.push(`stop: ${e.message.split('\n')[0]}`));
		if (judgesTimes && Date.now() - stopped > 5000) r.faults.push(`SIGTERM took ${((Date.now() - stopped) / 1000).toFixed(1)} s`);
		return r;
	} finally {
		bystanders?.leave();
		for (const s of servers) await s?.cleanUp();
	}
}

function judgeRow(row, { here, elsewhere, peak, bound, grown, got, counted, judgesTimes }) {
	const r = { name: row.name, peak, grown, counted, times: {}, faults: [] };
	const refused = {};
	for (const g of got) for (const [why, n] of Object.entries(g.refused)) refused[why] = (refused[why] || 0) + n;
	Object.assign(r, { refused, sent: got.reduce((n, g) => n + g.sent, 0), joins: got.reduce((n, g) => n + g.joins, 0) });
	for (const kind of Object.keys(here[0])) {
		const of = (list, q) => (list.length ? median(list.map(w => quantile(w[kind].ms, q))) : NaN);
		const t = r.times[kind] = { p50: of(here, 0.5), p99: of(here, 0.99), other50: of(elsewhere, 0.5), other99: of(elsewhere, 0.99), lost: here.reduce((n, w) => n + w[kind].lost, 0) };
		t.ratio = t.p99 / t.other99;
		if (t.lost) r.faults.push(`${t.lost} of the ${kind}s lost`);
		if (!judgesTimes) continue;
		if (kind === 'download' || kind === 'upload') {
			if (t.ratio > 10 || t.p99 > 1000) r.faults.push(`${kind} ${t.ratio.toFixed(1)} times, ${t.p99.toFixed(0)} ms`);
		} else if (t.ratio > 2) r.faults.push(`${kind} ${t.ratio.toFixed(1)} times`);
	}
	if (peak > bound) r.faults.push(`memory ${(peak / MB).toFixed(0)} MB, bound ${(bound / MB).toFixed(0)} MB`);
	const disk = row.disk ?? 100;
	if (grown > disk * MB) r.faults.push(`disk ${(grown / MB).toFixed(0)} MB more, bound ${disk} MB`);
	// A row that costs nobody anything may be answered; one that is refused must be counted.
	if (!row.optional && !row.isBlind && !Object.keys(refused).length) r.faults.push('not refused');
	if (!counted.length && !(row.optional && !Object.keys(refused).length)) r.faults.push('not counted');
	return r;
}

const ms = v => (v >= 100 ? v.toFixed(0) : v.toFixed(1));

/** A row as lines of text. */
export function rowText(row, r) {
	const times = Object.entries(r.times).map(([kind, t]) => `${kind} ${ms(t.p50)}/${ms(t.p99)}${Number.isNaN(t.ratio) ? '' : ` (${ms(t.other50)}/${ms(t.other99)}: ${t.ratio.toFixed(1)}×)`}`).join('  ');
	return `${r.faults.length ? 'FAULT' : 'ok   '} ${row.line} ${row.name}: ${row.what}\n      ${times}  memory ${(r.peak / MB).toFixed(0)} MB  disk +${(r.grown / MB).toFixed(0)} MB  sent ${r.sent}, joined ${r.joins}\n` +
		`      refused ${JSON.stringify(r.refused)}; counted ${r.counted.slice(0, 4).join(', ') || 'nothing'}${r.faults.length ? `\n      → ${r.faults.join('; ')}` : ''}`;
}

function table(results) {
	const cell = t => (t ? `${ms(t.p99)} ${t.ratio.toFixed(1)}×` : '').padStart(14);
	console.log(`\n${'row'.padEnd(20)}${'echo p99'.padStart(14)}${'download p99'.padStart(14)}${'resume p99'.padStart(14)}   memory    disk  verdict`);
	for (const { row, r } of results)
		console.log(`${row.name.padEnd(20)}${cell(r.times.echo)}${cell(r.times.download)}${cell(r.times.resume)}${`${(r.peak / MB).toFixed(0)} MB`.padStart(9)}${`+${(r.grown / MB).toFixed(0)}`.padStart(8)}  ${r.faults.join('; ') || 'ok'}`);
}

export { makeSeed };

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values: v, positionals: extra } = parseArgs({ allowPositionals: true,
		options: { rows: { type: 'string' }, lines: { type: 'string' }, rounds: { type: 'string', default: '3' }, seconds: { type: 'string', default: '6' }, list: { type: 'boolean' } } });
	for (const name of (v.rows || '').split(',').filter(Boolean)) assert.ok(rows.some(r => r.name === name), `no row ${name}; --list names them`);
	const wanted = rows.filter(r => (!v.rows || v.rows.split(',').includes(r.name)) && (!v.lines || v.lines.split(',').includes(String(r.line))));
	if (v.list) {
		for (const r of wanted) console.log(`${r.line} ${r.name.padEnd(20)} ${r.what}`);
		process.exit(0);
	}
	const seed = await makeSeed(), results = [];
	try {
		for (const row of wanted) {
			const r = await runRow(row, seed, { rounds: Number(v.rounds), seconds: Number(v.seconds), extra });
			results.push({ row, r });
			console.log(rowText(row, r));
		}
	} finally {
		seed.remove();
	}
	table(results);
	const bad = results.filter(({ r }) => r.faults.length);
	console.log(`\n${results.length - bad.length} of ${results.length} rows hold${bad.length ? `; not: ${bad.map(({ row }) => row.name).join(', ')}` : ''}`);
	process.exitCode = bad.length ? 1 : 0;
}
