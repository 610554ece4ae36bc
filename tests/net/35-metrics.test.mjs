// The metrics: what a monitor reads is well formed, complete and true.
import test from 'node:test';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { spawnSync } from 'node:child_process';
import { fence, isNow, serverTest } from './lib.mjs';
import { adminRequest, ctl, ctlJson, metric } from './admin.mjs';
import { join2 } from './v2.mjs';
import { Raw } from './raw.mjs';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const root = new URL('../../', import.meta.url);
const read = name => fs.readFileSync(new URL(name, root), 'utf8');
const sleep = ms => new Promise(r => setTimeout(r, ms));

/** All samples, by name with labels. */
export async function samples(s) {
	const { text } = await adminRequest(s, 'GET', '/v1/metrics');
	return { text, all: new Map(text.split('\n').filter(l => l && !l.startsWith('#')).map(l => [l.slice(0, l.lastIndexOf(' ')), Number(l.slice(l.lastIndexOf(' ') + 1))])) };
}

const sumOf = (all, family) => [...all].filter(([n]) => n.startsWith(`wavechat_${family}{`)).reduce((sum, [, v]) => sum + v, 0);

serverTest('promtool finds nothing to complain of', { args: ['--tls-self-signed'] }, async s => {
	const { text } = await samples(s);
	const names = new Set([...text.matchAll(/^# TYPE (\S+) /gm)].map(m => m[1]));
	for (const name of names) assert.match(text, new RegExp(`^# HELP ${name} \\S`, 'm'));
	if (!hasPromtool) return assert.ok(names.size > 40);
	const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
	assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});

serverTest('build, process, certificate: what they are', { args: ['--tls-self-signed'] }, async s => {
	const { all, text } = await samples(s);
	const build = /^wavechat_build_info\{version="([^"]+)",sqlite="([\d.]+)"\} 1$/m.exec(text);
	const version = (await ctl(s, ['--version'])).stdout;
	assert.ok(version.includes(build[1]), `${build[1]} in ${version}`);
	assert.ok(isNow(all.get('process_start_time_seconds') * 1000));
	assert.ok(all.get('process_cpu_seconds_total') > 0);
	assert.ok(all.get('process_resident_memory_bytes') > 1 << 20);
	assert.ok(all.get('process_virtual_memory_bytes') > all.get('process_resident_memory_bytes'));
	assert.ok(Math.abs(all.get('process_open_fds') - s.fds()) <= 4, `${all.get('process_open_fds')} of ${s.fds()}`);
	const limit = /^Max open files +(\d+)/m.exec(fs.readFileSync(`/proc/${s.pid}/limits`, 'utf8'))[1];
	assert.equal(all.get('process_max_fds'), Number(limit));
	const expiry = all.get('wavechat_certificate_expiry_timestamp_seconds');
	const pem = spawnSync('openssl', ['s_client', '-connect', `127.0.0.1:${s.port}`], { input: '', encoding: 'utf8' }).stdout;
	const end = spawnSync('openssl', ['x509', '-noout', '-enddate'], { input: pem, encoding: 'utf8' }).stdout;
	assert.equal(expiry, Date.parse(end.replace('notAfter=', '')) / 1000);
});

serverTest('without TLS there is no certificate to expire', {}, async s => {
	const { text } = await samples(s);
	if (!s.isSecure) assert.doesNotMatch(text, /certificate/);
});

serverTest('descriptors are counted as they come and go', {}, async s => {
	let before = Infinity; // a look at the disk, or another request, may have one open for a moment
	for (let i = 0; i < 5; i++, await sleep(50)) before = Math.min(before, await metric(s, 'process_open_fds'));
	const people = await s.joinAll('a', 'b', 'c', 'd', 'e');
	assert.ok(await metric(s, 'process_open_fds') >= before + 5);
	for (const p of people) await p.close();
	for (let i = 0; i < 50 && await metric(s, 'process_open_fds') > before + 1; i++) await sleep(100);
	assert.ok(await metric(s, 'process_open_fds') <= before + 1);
});

serverTest('every connection that came is open, evicted or gone, once; status sums the evictions', { args: ['--message-timeout', '1'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c'), d = await s.join('d'), e = await join2(s, 'e');
	await d.close();
	e.ws.terminate();
	assert.equal((await ctl(s, ['kick', 'b'])).status, 0);
	assert.equal((await ctl(s, ['ban', 'c'])).status, 0);
	await Promise.all([b.closed, c.closed]);
	const early = await s.connect();
	early.text('before joining');
	await early.closed;
	const rough = await Raw.join(s, 'rough');
	rough.socket.write(Buffer.from([0xff, 0x80, 0, 0, 0, 0])); // reserved bits
	const late = await Raw.join(s, 'late');
	late.socket.write(Buffer.from([0x81, 0x85, 0, 0, 0, 0, 0x61])); // a frame of five bytes, one of them sent
	const value = reason => metric(s, `evicted_total{reason="${reason}"}`);
	for (let i = 0; i < 100 && !(await value('unfinished')); i++) await sleep(100);
	for (let i = 0; i < 100 && await metric(s, 'connections') > 1; i++) await sleep(100);
	const { all } = await samples(s);
	for (const [reason, n] of Object.entries({ kicked: 1, banned: 1, not_joined: 1, protocol: 1, unfinished: 1, lag: 0, flood: 0, silent: 0 }))
		assert.equal(all.get(`wavechat_evicted_total{reason="${reason}"}`), n, reason);
	assert.equal(all.get('wavechat_disconnects_total{reason="closed"}'), 1);
	assert.equal(all.get('wavechat_disconnects_total{reason="broken"}'), 1);
	assert.equal(all.get('wavechat_connects_total'), 8);
	assert.equal(all.get('wavechat_connections'), 1);
	assert.equal(sumOf(all, 'evicted_total') + sumOf(all, 'disconnects_total') + 1, 8);
	assert.equal((await ctlJson(s, ['status'])).evicted, 5);
	await fence(a);
});

serverTest('messages are counted, also those of before the start, and deletions; the disk; the last backup', {}, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 10; i++) a.text(`m${i}`);
	await fence(a); // the eleventh
	for (let i = 0; i < 200 && !/^wavechat_stored_messages /m.test((await samples(s)).text); i++) await sleep(50); // they are counted beside the start
	assert.equal(await metric(s, 'stored_messages'), 11);
	assert.doesNotMatch((await samples(s)).text, /backup_timestamp/);
	await a.close();
	await s.stop();
	await s.restart();
	for (let i = 0; i < 50 && !(await samples(s)).all.has('wavechat_stored_messages'); i++) await sleep(100);
	assert.equal(await metric(s, 'stored_messages'), 11);
	const b = await join2(s, 'b');
	await fence(b);
	assert.equal(await metric(s, 'stored_messages'), 12);
	assert.equal(await metric(s, 'messages_total'), 1);
	const { all } = await samples(s);
	const disk = fs.statfsSync(s.dir), close = (x, y) => Math.abs(x - y) < 0.2 * y + (64 << 20);
	assert.equal(all.get('wavechat_disk_size_bytes'), disk.blocks * disk.bsize);
	assert.ok(close(all.get('wavechat_disk_free_bytes'), disk.bavail * disk.bsize));
	assert.ok(all.get('wavechat_disk_reserve_bytes') > 0);
	assert.ok(all.get('wavechat_files_bound_bytes') > 0);
	assert.equal(all.get('wavechat_files_used_bytes'), 0);
	await ctl(s, ['backup', `${s.dir}/b.tar`]);
	assert.ok(isNow(await metric(s, 'backup_timestamp_seconds') * 1000));
	await b.close();
	await s.stop();
	await s.restart();
	for (let i = 0; i < 50 && !(await samples(s)).all.has('wavechat_backup_timestamp_seconds'); i++) await sleep(100);
	assert.ok(isNow(await metric(s, 'backup_timestamp_seconds') * 1000));
});

serverTest('in memory there is no disk to tell of', { args: ['--data', ':memory:', '--metrics', '127.0.0.1:0'] }, async s => {
	const port = /metrics[ =]+(?:port )?(\d+)/.exec(s.output)[1];
	const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
	assert.doesNotMatch(text, /disk_(free|size|reserve)|files_(used|bound)/);
	assert.match(text, /^wavechat_stored_messages 0$/m);
	assert.match(text, /^wavechat_health_ok\{check="storage"\} 1$/m);
});

serverTest('people, sessions by dialect and lines of the log are counted', { allow: /admin refused|wavechat/ }, async s => {
	const lines = async () => Object.fromEntries(await Promise.all(['error', 'warn', 'info', 'debug'].map(async l => [l, await metric(s, `log_lines_total{level="${l}"}`)])));
	const one = await s.join('one'), two = await join2(s, 'two');
	assert.equal(await metric(s, 'online'), 2);
	assert.equal(await metric(s, 'sessions{dialect="1"}'), 1);
	assert.equal(await metric(s, 'sessions{dialect="2"}'), 1);
	const before = await lines(), written = s.output.split('\n').filter(l => / info +/.test(l)).length;
	assert.equal(before.info, written);
	assert.equal(before.error, 0);
	assert.equal(before.debug, 0);
	await ctl(s, ['log-level', 'debug']);
	await one.close();
	for (let i = 0; i < 50 && !(await lines()).debug; i++) await sleep(100);
	assert.ok((await lines()).debug > 0);
	assert.equal(await metric(s, 'sessions{dialect="1"}'), 0);
	await two.close();
});

// --- What is built on them

const rules = read('packaging/prometheus/wavechat.rules.yml'), ruleTests = read('tests/packages/wavechat.rules.test.yml');
const dashboard = JSON.parse(read('packaging/grafana/wavechat.json'));

/** The metrics that a query names, without what Prometheus makes of a histogram. */
const named = query => [...query.matchAll(/\b(?:wavechat|process)_\w+/g)].map(m => m[0].replace(/(wavechat_(?:commit_seconds|batch_size))_(bucket|sum|count)$/, '$1'));

serverTest('every metric and label that the alerts and the dashboard use exists', { args: ['--tls-self-signed'] }, async s => {
	await ctl(s, ['backup', `${s.dir}/b.tar`]);
	const { text } = await samples(s);
	const types = new Map([...text.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(m => [m[1], m[2]]));
	const queries = [...rules.matchAll(/^ +expr: (.*)$/gm)].map(m => m[1])
		.concat(dashboard.panels.flatMap(p => (p.targets || []).map(t => t.expr)), dashboard.templating.list.map(v => v.query));
	assert.ok(queries.length > 40);
	let used = 0;
	for (const query of queries) {
		for (const name of named(query)) {
			used++;
			assert.ok(types.has(name), `${name} in ${query}`);
			if (/\b(rate|increase)\(/.test(query) && !/histogram_quantile/.test(query)) assert.ok(['counter', 'histogram'].includes(types.get(name)), `${name} is no counter: ${query}`);
		}
		for (const [, name, label, value] of query.matchAll(/(wavechat_\w+)\{[^}]*?\b(check|reason|level|limit|code)[!=]~?="?([\w|]+)/g))
			for (const v of value.split('|')) assert.ok(text.includes(`${name}{${label}="${v}"}`), `${name}{${label}="${v}"} in ${query}`);
		for (const [, labels] of query.matchAll(/by \(([^)]*)\)/g))
			for (const label of labels.split(/, */)) assert.ok(['instance', 'le'].includes(label) || text.includes(`{${label}="`), `label ${label} in ${query}`);
	}
	assert.ok(used > 40);
});

test('the dashboard is one that Grafana can read', () => {
	const ids = dashboard.panels.map(p => p.id);
	assert.equal(new Set(ids).size, ids.length);
	const vars = dashboard.templating.list.map(v => v.name);
	for (const p of dashboard.panels) {
		assert.ok(p.title && p.type && p.gridPos.x + p.gridPos.w <= 24, p.title);
		if (p.type === 'row') continue;
		assert.ok(p.targets.length, p.title);
		for (const t of p.targets)
			for (const [, v] of t.expr.matchAll(/\$(\w+)/g)) assert.ok(v === '__rate_interval' || vars.includes(v), `${v} in ${t.expr}`);
	}
	const cells = dashboard.panels.flatMap(p => Array.from({ length: p.gridPos.w }, (_, x) => `${p.gridPos.x + x}/${p.gridPos.y}`));
	assert.equal(new Set(cells).size, cells.length, 'panels lie beside each other');
});

test('each alert is tried on what it is to fire for, and on what it is not', t => {
	const alerts = [...rules.matchAll(/^ +- alert: (\w+)$/gm)].map(m => m[1]);
	assert.ok(alerts.length >= 10);
	assert.equal(new Set(alerts).size, alerts.length);
	for (const alert of alerts) {
		const cases = ruleTests.split('alertname: ').slice(1).filter(c => c.startsWith(`${alert}\n`));
		assert.ok(cases.some(c => c.includes('exp_labels')), `${alert} is seen to fire`);
		assert.ok(cases.some(c => c.includes('exp_alerts: []')), `${alert} is seen not to fire`);
	}
	for (const block of rules.split(/^ +- alert: /m).slice(1)) {
		assert.match(block, /severity: (page|warning)\b/);
		assert.match(block, /summary: \S.*\n +description: \S/);
	}
	if (!hasPromtool) return t.diagnostic('promtool is not here: make check-packages runs it');
	for (const args of [['check', 'rules', 'packaging/prometheus/wavechat.rules.yml'], ['test', 'rules', 'tests/packages/wavechat.rules.test.yml']]) {
		const { status, stdout, stderr } = spawnSync('promtool', args, { cwd: root, encoding: 'utf8' });
		assert.equal(status, 0, stdout + stderr);
	}
});
