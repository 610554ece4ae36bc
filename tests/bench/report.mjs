// report.mjs — from build/bench/rounds.jsonl to BENCH.md and its chart: medians over the rounds, ratios of figures of the same round.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { drawChart } from './chart.mjs';
import { root } from './servers.mjs';

/** Of what is measured: the report itself does not count, or writing it would make a run that is resumed begin anew. */
export function commit() {
	const git = (...args) => execFileSync('git', [...args, '--', '.', ':!BENCH.md', ':!tests/bench/chart.svg'], { cwd: root, encoding: 'utf8' }).trim();
	try {
		return git('log', '-1', '--format=%h') + (git('status', '--porcelain', '--untracked-files=no') ? '-dirty' : '');
	} catch {
		return 'unknown';
	}
}

function median(values) {
	const v = values.filter(Number.isFinite).sort((a, b) => a - b);
	if (!v.length) return NaN;
	return v.length % 2 ? v[(v.length - 1) / 2] : (v[v.length / 2 - 1] + v[v.length / 2]) / 2;
}

class Rounds {
	constructor(lines) {
		this.lines = lines;
	}

	of(step, server) {
		return this.lines.filter(r => r.step === step && r.server === server);
	}

	median(step, server, value) {
		return median(this.of(step, server).map(value));
	}

	/** The median of the rounds' ratios: what slows a round down slows both. */
	ratio([stepA, serverA, valueA], [stepB, serverB, valueB]) {
		const other = new Map(this.of(stepB, serverB).map(r => [r.round, valueB(r)]));
		return median(this.of(stepA, serverA).filter(r => other.has(r.round)).map(r => valueA(r) / other.get(r.round)));
	}
}

const n0 = v => (Number.isFinite(v) ? v.toLocaleString('en-US', { maximumFractionDigits: 0 }) : '–');
const n1 = v => (Number.isFinite(v) ? v.toLocaleString('en-US', { maximumFractionDigits: v < 10 ? 2 : 1 }) : '–');
const n3 = v => (Number.isFinite(v) ? v.toFixed(3) : '–');
const times = v => (Number.isFinite(v) ? `${n1(v)}×` : '–');
const rate = r => r.deliveries_per_s, cpu = r => r.cpu_us_per_delivery, p99 = r => r.latency_ms.p99;
const mb = kb => kb / 1024;
const eachKb = r => (r.private_kb.joined - r.private_kb.before) / r.clients;
const row = cells => `| ${cells.join(' | ')} |\n`;
const heading = cells => row(cells) + row(cells.map((c, i) => (i ? '--:' : '---')));

/** What must hold: words, figure, bound. */
function promises(r) {
	const floorOf = (frames, step) => [step, `floor, ${frames} a send`];
	const list = [
		['32 senders: deliveries a second, times aiohttp', r.ratio(['fanout-32', 'wavechat', rate], ['fanout-32', 'aiohttp', rate]), '≥', 40],
		['32 senders: deliveries a second, times Node `ws`', r.ratio(['fanout-32', 'wavechat', rate], ['fanout-32', 'Node ws', rate]), '≥', 10],
		['1 sender: CPU a delivery, times the floor at 4 frames a send', r.ratio(['fanout-1', 'wavechat', cpu], [...floorOf(4, 'floor'), cpu]), '≤', 1.1],
		['32 senders: CPU a delivery, times the floor at 32 frames a send', r.ratio(['fanout-32', 'wavechat', cpu], [...floorOf(32, 'floor'), cpu]), '≤', 0.7],
		['50 messages/s: p99, times one sweep of 1,000 sends', r.ratio(['even', 'wavechat', p99], [...floorOf(1, 'even'), f => f.sweep_ms]), '≤', 3],
		['50 messages/s: p99.9, times p99', r.median('even', 'wavechat', b => b.latency_ms['p99.9'] / b.latency_ms.p99), '≤', 2],
		['10,000 idle clients: KB of user memory each', r.median('idle', 'wavechat', eachKb), '≤', 1],
		['fixed memory: MB before anyone came', r.median('idle', 'wavechat', b => mb(b.private_kb.before)), '≤', 24],
		['50,000 connects and disconnects: memory after, times before', r.median('churn', 'wavechat', b => b.churned_kb.private / b.private_kb.joined), '≤', 1.1],
		['10,000 arrive at once: s until all have `init`', r.median('storm', 'wavechat', b => b.storm_s), '≤', 5],
		['10,000 arrive at once: p99 of those who chat, ms', r.median('storm', 'wavechat', p99), '<', 100],
		['10,000 come back at once: s until all have `init`', r.median('return', 'wavechat', b => b.storm_s), '≤', 5],
		['10,000 come back at once: p99 of those who chat, ms', r.median('return', 'wavechat', p99), '<', 100],
		['a 25 MB file to 100 clients adds to the others\' p99, ms', r.median('file', 'wavechat', b => p99(b) - b.quiet_ms.p99), '<', 10],
		['download of 25 MB, times nginx', r.ratio(['fetch', 'wavechat', b => b.bytes_per_s], ['fetch', 'nginx', b => b.bytes_per_s]), '≥', 0.8],
	];
	const holds = (v, op, bound) => (op === '≥' ? v >= bound : op === '≤' ? v <= bound : v < bound);
	let s = heading(['what', 'bound', 'measured', '']);
	for (const [what, value, op, bound] of list)
		s += row([what, `${op} ${bound}`, n1(value), !Number.isFinite(value) ? 'not measured' : holds(value, op, bound) ? 'holds' : '**does not hold**']);
	return s;
}

function fanoutTable(r, servers) {
	let s = heading(['deliveries a second (WaveChat times as many)', '1 sender', '4 senders', '32 senders']);
	for (const server of servers)
		s += row([server === 'wavechat' ? '**WaveChat**' : server, ...[1, 4, 32].map(k => {
			const value = n0(r.median(`fanout-${k}`, server, rate));
			return server === 'wavechat' ? `**${value}**` : `${value} (${times(r.ratio([`fanout-${k}`, 'wavechat', rate], [`fanout-${k}`, server, rate]))})`;
		})]);
	s += '\n' + heading(['CPU a delivery, µs', '1 sender', '4 senders', '32 senders']);
	for (const server of servers)
		s += row([server === 'wavechat' ? '**WaveChat**' : server, ...[1, 4, 32].map(k => n3(r.median(`fanout-${k}`, server, cpu)))]);
	s += row(['nothing but `send`, of 1, 4 and 32 messages at once', ...[1, 4, 32].map(k => n3(r.median('floor', `floor, ${k} a send`, cpu)))]);
	s += '\n' + heading(['latency p50 / p99, ms', '1 sender', '4 senders', '32 senders']);
	for (const server of servers)
		s += row([server === 'wavechat' ? '**WaveChat**' : server, ...[1, 4, 32].map(k =>
			`${n1(r.median(`fanout-${k}`, server, b => b.latency_ms.p50))} / ${n1(r.median(`fanout-${k}`, server, p99))}`)]);
	return s;
}

function evenTable(r, servers) {
	let s = heading(['ms', 'p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max']);
	for (const server of servers)
		s += row([server === 'wavechat' ? '**WaveChat**' : server, ...['p50', 'p90', 'p99', 'p99.9', 'p99.99', 'max'].map(q => n1(r.median('even', server, b => b.latency_ms[q])))]);
	return s + `\nOne sweep of 1,000 sends takes ${n1(r.median('even', 'floor, 1 a send', f => f.sweep_ms))} ms here, with somebody reading.\n`;
}

function crowdTable(r) {
	const m = (step, f) => r.median(step, 'wavechat', f);
	let s = heading(['10,000 clients', '']);
	s += row(['memory each, idle', `${n1(m('idle', eachKb))} KB`]);
	s += row(['memory of the server before anyone came; with 10,000', `${n1(m('idle', b => mb(b.private_kb.before)))} MB; ${n1(m('idle', b => mb(b.private_kb.joined)))} MB`]);
	s += row(['1,000 clients: memory; after 50,000 others came and went', `${n1(m('churn', b => mb(b.private_kb.joined)))} MB; ${n1(m('churn', b => mb(b.churned_kb.private)))} MB`]);
	s += row(['connects a second meanwhile', n0(m('churn', b => b.connects / b.seconds))]);
	for (const [step, words] of [['storm', 'arrive at once'], ['return', 'come back at once, with token and `since`']]) {
		s += row([`${words}, 200 messages of history, 50 messages a second: the last has \`init\` after`, `${n1(m(step, b => b.storm_s))} s`]);
		s += row([`${words}: bytes a client`, `${n0(m(step, b => b.storm_bytes_per_client / 1024))} KB`]);
		s += row([`${words}: p50 / p99 of those who chat`, `${n1(m(step, b => b.latency_ms.p50))} / ${n1(m(step, p99))} ms`]);
	}
	s += '\n' + heading(['files', '']);
	s += row(['25 MB to 100 clients inside the frame: the last has it after', `${n1(m('file', b => b.file_s))} s`]);
	s += row(['p99 of 100 others, without and with files under way', `${n1(m('file', b => b.quiet_ms.p99))}; ${n1(m('file', p99))} ms`]);
	s += row(['download of 25 MB, 4 connections: WaveChat; nginx', `${n0(m('fetch', b => b.bytes_per_s / 1e6))} MB/s; ${n0(r.median('fetch', 'nginx', b => b.bytes_per_s / 1e6))} MB/s`]);
	return s;
}

export function writeReport(file, to) {
	const lines = fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
	if (!lines.length) throw new Error('no round was measured');
	const r = new Rounds(lines);
	const known = ['wavechat', 'Node ws', 'aiohttp', 'civetweb'];
	const servers = [...known, ...new Set(lines.filter(l => /^fanout/.test(l.step) && !known.includes(l.server)).map(l => l.server))];
	const rounds = Math.min(...[...new Set(lines.map(l => l.step))].map(step => new Set(lines.filter(l => l.step === step).map(l => l.round)).size));
	const cpus = os.cpus();
	const text = `# How fast

Made by \`make bench\` of commit ${lines[0].commit}, in ${rounds} interleaved round${rounds === 1 ? '' : 's'}, on ${cpus.length} cores (${cpus[0].model.trim() || os.arch()}), Linux
${os.release().replace(/^(\d+\.\d+).*/, '$1')}, Node ${process.versions.node.split('.')[0]}. Load generator and server share the machine, whose load was ${Math.max(...lines.map(l => l.load || 0))} before. Figures are medians over the rounds; ratios are medians
of the ratios within a round. WaveChat stores every message (SQLite, before it is seen) and keeps its limits on; the others store nothing, tell
nobody who is here and know no limits${servers.length > known.length ? `; ${servers.slice(known.length).join(', ')} was built aside and measured with \`--also\`` : ''}. Compare the ratios, not the figures: another machine has others.

![Deliveries a second](tests/bench/chart.svg)

## What must hold

${promises(r)}
## One message to everybody: 1,000 clients, 200 bytes, 4 in flight for each sender

${fanoutTable(r, servers)}
## Latency: 1,000 clients, 50 messages a second from 50 of them

From when a message was due to when a client had it.

${evenTable(r, servers.filter(s => r.of('even', s).length))}
## Crowds and files

${crowdTable(r)}`;
	fs.writeFileSync(path.join(to, 'BENCH.md'), text);
	fs.writeFileSync(path.join(to, 'tests/bench/chart.svg'), drawChart(servers.map(server => ({
		name: server === 'wavechat' ? 'WaveChat' : server, values: [1, 4, 32].map(k => r.median(`fanout-${k}`, server, rate)),
	}))));
	console.log(`bench: BENCH.md and tests/bench/chart.svg are written, from ${rounds} rounds`);
}
