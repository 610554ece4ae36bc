// What `make bench` is made of: the peers speak enough of the wire to be driven, and the server's own figures are those that wavebench sees.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { kinds, built } from '../bench/servers.mjs';
import { drawChart } from '../bench/chart.mjs';
import { metric, ctlJson } from './admin.mjs';
import { patience, serverTest } from './lib.mjs';

const tool = process.env.WAVEBENCH || path.join(built, 'wavebench');

async function wavebench(port, ...args) {
	const r = await new Promise((resolve, reject) => execFile(tool, ['--json', ...args.map(String), `127.0.0.1:${port}`], { timeout: 60000 * patience }, (e, out, err) => {
		try { resolve({ ...JSON.parse(out), err }); } catch { reject(new Error(`${e}\n${err}`)); }
	}));
	assert.equal(r.ok, true, JSON.stringify(r));
	return r;
}

async function drive(kind, ...workloads) {
	const s = await kinds[kind]();
	try {
		for (const args of workloads) assert.ok((await wavebench(s.port, '--clients', 20, '--seconds', 0.3, '--warmup', 0.1, ...args)).deliveries > 100);
	} finally {
		await s.stop();
	}
}

test('wavebench drives a server of Node and ws: public messages and DMs, all its checks hold', { timeout: 60000 }, () =>
	drive('Node ws', ['--senders', 3], ['--workload', 'dm', '--senders', 5]));

test('and civetweb as it comes', { timeout: 60000, skip: !fs.existsSync(path.join(built, 'bench/peer-civetweb')) && 'not built (make bench-programs)' }, () =>
	drive('civetweb', ['--senders', 3]));

test('the floor is measured', { timeout: 20000, skip: !fs.existsSync(path.join(built, 'bench/floor')) && 'not built (make bench-programs)' }, async () => {
	const out = await new Promise((resolve, reject) => execFile(path.join(built, 'bench/floor'), ['20', '4', '300', '0.2'], (e, o) => (e ? reject(e) : resolve(o))));
	const r = JSON.parse(out);
	assert.ok(r.deliveries_per_s > 1000 && r.cpu_us_per_delivery > 0 && r.sweep_ms > 0, out);
});

test('a chart has a bar for each figure, also where one is missing', () => {
	const svg = drawChart([{ name: 'WaveChat', values: [1, 2e6, 3e3] }, { name: 'a & b', values: [NaN, 1, 2] }]);
	assert.equal(svg.match(/class="(own|bar)"/g).length, 6);
	assert.ok(svg.includes('a &#38; b') && svg.includes('2.00 M') && !svg.includes('NaN'));
});

serverTest('those who come back get what they missed, or the first page of it, and wavebench is content with either', { timeout: 60000 }, async s => {
	for (const [missed, page] of [[300, 300], [1300, 1000]]) {
		const r = await wavebench(s.port, '--workload', 'storm', '--dialect', 2, '--rejoin', '--clients', 60, '--chatters', 10, '--senders', 2, '--rate', 50, '--preload', missed, '--settle', 0);
		assert.ok(r.storm_bytes_per_client > page * 300, `${r.storm_bytes_per_client} bytes for ${missed} messages`);
		assert.ok(r.storm_bytes_per_client < page * 500, `${r.storm_bytes_per_client} bytes for ${missed} messages`);
	}
});

serverTest('the metrics, which top shows, agree with what wavebench sent and got', { timeout: 60000 }, async s => {
	const before = { messages: await metric(s, 'messages_total'), deliveries: await metric(s, 'deliveries_total') };
	const r = await wavebench(s.port, '--clients', 50, '--senders', 4, '--seconds', 1, '--pid', s.pid);
	assert.equal(await metric(s, 'messages_total') - before.messages, r.all_sent);
	const counted = await metric(s, 'deliveries_total') - before.deliveries;
	// Besides messages there are lists and lines about who came.
	assert.ok(counted >= r.all_deliveries && counted < r.all_deliveries + 50 * 200, `${counted} counted, ${r.all_deliveries} arrived`);
	assert.equal(r.all_deliveries, r.all_sent * 50);
	const status = await ctlJson(s, ['status']);
	assert.equal(status.messages, r.all_sent);
});

serverTest('a file to readers while others talk, and a path fetched again and again', { timeout: 60000 }, async s => {
	const r = await wavebench(s.port, '--workload', 'file', '--dialect', 2, '--clients', 10, '--senders', 2, '--readers', 5, '--file-mb', 2, '--files', 2, '--seconds', 0.5);
	assert.ok(r.latency_ms.count > 0 && r.quiet_ms.count > 0 && r.file_s > 0);
	assert.ok((await wavebench(s.port, '--workload', 'fetch', '--path', '/', '--clients', 2, '--seconds', 0.3)).fetches > 0);
});
