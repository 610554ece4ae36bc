// Memory is bounded by what the server may have: two strangers who want all of Render's 512 MB do not get it, and people chat on. `make hostile` measures
// the delays; here are the bounds, in short, and what a start says of them.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import test from 'node:test';
import { memoryGroup } from './cgroup.mjs';
import { memoryRounds, renderEnv, renderMemory } from './hostile.mjs';
import { Server, binary, noise, patience, run, serverTest, slack, sleep } from './lib.mjs';
import { ownMounts } from './disk.mjs';
import { join2, newKey, request, upload, uploadPath } from './v2.mjs';

const MB = 1 << 20;
const said = async s => Object.fromEntries([.../(\w+)=("[^"]*"|\S+)/g[Symbol.matchAll]((await s.says(/ memory (limit_mb=.*)\n/))[1])].map(m => [m[1], m[2]]));

test('two strangers want all of 512 MB: nobody who chats is dropped, nothing is lost, no memory is wanting', { timeout: 120000 * patience }, async t => {
	if (slack > 1) return t.skip('a sanitizer keeps what is freed');
	const r = await memoryRounds({ people: 40, talkers: 10, rate: 30, warmup: 3, seconds: 6, rounds: 1 }, line => t.diagnostic(line));
	if (r.why) return t.skip(r.why);
	t.diagnostic(`p99 is ${r.ratio.toFixed(2)} times as long`);
	assert.equal(r.kills, 0);
	assert.ok(r.highest < renderMemory, `${r.highest} bytes`);
	const fate = r.fates[0];
	assert.ok(fate.frames > 10 && fate.joins > 5 && Object.keys(fate.uploads).length > 0, `the strangers were at it: ${JSON.stringify(fate)}`);
	assert.ok(!fate.uploads.cut || fate.uploads.cut < 5, `refused by name, not cut: ${JSON.stringify(fate.uploads)}`);
});

test('the limit is the cgroup\'s, and every budget follows from it', { timeout: 30000 * patience }, async t => {
	const g = memoryGroup(300 * MB);
	if (g.why) return t.skip(g.why);
	const s = await Server.start({ cgroup: g.procs, env: renderEnv() });
	try {
		const b = await said(s);
		assert.equal(b.limit_mb, '300');
		assert.match(b.from, /cgroup.*wavechat-test-/);
		const sum = ['in_mb', 'out_mb', 'large_mb', 'files_mb', 'messages_mb', 'recent_mb', 'inbox_mb'].reduce((n, name) => n + Number(b[name]), 0);
		assert.ok(sum > 100 && sum < 300 - 64, JSON.stringify(b));
		await s.stop();
	} finally {
		await s.cleanUp();
		g.remove();
	}
});

test('a service that sees nothing of /proc but its own process knows the machine\'s memory', { timeout: 30000 * patience }, async t => {
	const has = spawnSync('unshare', [...ownMounts(), 'mount', '-t', 'proc', '-o', 'subset=pid', 'proc', '/proc']).status === 0;
	if (!has) return t.skip('/proc cannot be mounted so here');
	const child = spawn('unshare', [...ownMounts(), 'sh', '-c', 'mount -t proc -o subset=pid proc /proc && ! cat /proc/meminfo && exec "$0" "$@"', binary, '--port', '0', '--data', ':memory:'],
		{ stdio: ['ignore', 'pipe', 'pipe'] });
	try {
		let said = '';
		for (const stream of [child.stdout, child.stderr]) stream.on('data', d => (said += d));
		for (let i = 0; i < 200 && !/ ready port=/.test(said) && child.exitCode === null; i++) await sleep(50);
		const limit = Number(/ memory limit_mb=(\d+) /.exec(said)?.[1]);
		assert.ok(limit > 0 && limit <= os.totalmem() / MB, said);
	} finally {
		const ended = new Promise(resolve => child.once('close', resolve));
		child.kill('SIGTERM');
		await ended;
	}
});

test('--memory-mb, its variable, and each budget by itself', { timeout: 60000 * patience }, async () => {
	for (const [args, env, wanted] of [
		[['--memory-mb', '4000'], {}, { limit_mb: '4000', in_mb: '256', out_mb: '256', large_mb: '256', files_mb: '256', inbox_mb: '16', connections: '0' }],
		[[], { WAVECHAT_MEMORY_MB: '512' }, { limit_mb: '512', from: '"--memory-mb"' }],
		[['--memory-mb', '512', '--inbox-mb', '3'], { WAVECHAT_PENDING_IN_MB: '60', WAVECHAT_PENDING_OUT_MB: '50', WAVECHAT_RECENT_MB: '5', WAVECHAT_MEMORY_MESSAGES_MB: '6', WAVECHAT_MAX_STORAGE_MB: '7' },
			{ in_mb: '60', out_mb: '50', large_mb: '50', files_mb: '7', messages_mb: '6', recent_mb: '5', inbox_mb: '3' }],
	]) {
		const s = await Server.start({ args: ['--data', ':memory:', ...args], env });
		try {
			const b = await said(s);
			for (const [name, value] of Object.entries(wanted)) assert.equal(b[name], value, `${name} of ${JSON.stringify(b)}`);
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	}
	const s = await Server.start({ args: ['--data', ':memory:', '--memory-mb', '300', '--pending-out-mb', '400'], allow: /memory may not do/ });
	await s.says(/memory may not do limit_mb=300 budgets_mb=\d+ remedy="lower the budgets/);
	await s.stop();
	await s.cleanUp();
	assert.equal((await run(['--memory-mb', '-1'])).status, 2);
});

serverTest('in little memory files inside frames are bounded, and go by upload', { timeout: 60000, args: ['--data', ':memory:', '--memory-mb', '160'] }, async s => {
	const most = Number((await s.says(/memory bounds files in_one_message_mb=(\d+)/))[1]);
	assert.ok(most > 2 && most < 25);
	const a = await s.join('a'), b = await s.join('b'), c = await join2(s, 'c');
	a.send({ type: 'file', filename: 'fits.bin', data: noise((most - 1) * MB).toString('base64') });
	assert.equal((await b.next('file', 15000)).size, (most - 1) * MB);
	a.send({ type: 'file', filename: 'not.bin', data: noise((most + 2) * MB).toString('base64') });
	assert.match((await a.next('error', 15000)).text, /^Max \d+MB$/);
	const body = noise((most + 2) * MB, 2);
	c.send({ type: 'file', blob: await upload(s, c.token, body), filename: 'upload.bin' });
	const { url } = await c.next(f => f.filename === 'upload.bin', 15000);
	assert.equal((await b.next(f => f.filename === 'upload.bin')).size, body.length); // the first dialect hears of it, too
	assert.ok((await request(s, 'GET', url)).body.equals(body));
});

serverTest('a reader who does not read keeps no file that was removed', { timeout: 60000, args: ['--data', ':memory:', '--max-storage-mb', '30'] }, async s => {
	const a = await join2(s, 'a');
	const share = async (n, seed) => {
		a.send({ type: 'file', blob: await upload(s, a.token, noise(n, seed)), filename: 'f' });
		return (await a.next('file')).url;
	};
	const readers = [], seen = new Set();
	for (let i = 0; i < 12; i++) {
		const url = await share(9 * MB, i);
		const socket = net.connect(s.port, '127.0.0.1').pause();
		socket.on('error', () => {});
		socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\n\r\n`);
		readers.push(socket);
		await sleep(50);
	}
	// 108 MB were shared and are being read, 30 MB are kept. The files of the process say what they take, also those that have no name any more.
	let files = 0;
	for (const fd of fs.readdirSync(`/proc/${s.pid}/fd`)) {
		const at = `/proc/${s.pid}/fd/${fd}`;
		try {
			if (fs.readlinkSync(at).startsWith('/memfd:wavechat ')) {
				const st = fs.statSync(at);
				files = Math.max(files, 0) + (seen.has(st.ino) ? 0 : st.blocks * 512);
				seen.add(st.ino);
			}
		} catch { /* closed meanwhile */ }
	}
	assert.ok(seen.size >= 12, `${seen.size} files are still open`);
	assert.ok(files > 0 && files <= 31 * MB, `${(files / MB).toFixed(1)} MB`);
	for (const socket of readers) socket.destroy();
});

serverTest('parts of uploads that are begun and left do not take all descriptors', { timeout: 60000, nofile: 200, args: ['--data', ':memory:', '--max-uploads-per-user', '0'] }, async s => {
	const people = await Promise.all([...Array(12)].map((_, i) => join2(s, `p${i}`)));
	for (const p of people)
		await Promise.all([...Array(12)].map(() => request(s, 'POST', uploadPath(newKey(), 1000), { headers: { authorization: `Bearer ${p.token}`, 'content-length': 1000 }, body: Buffer.alloc(10), endEarly: 100 }).catch(() => {})));
	await sleep(300);
	assert.ok(s.fds() < 150, `${s.fds()} descriptors`);
	const blob = await upload(s, people[0].token, noise(1000));
	people[0].send({ type: 'file', blob, filename: 'f' });
	await people[1].next('file');
});

serverTest('messages in memory are bounded by their bytes', { timeout: 60000, args: ['--data', ':memory:', '--memory-messages-mb', '8', '--recent-mb', '1', '--inbox-mb', '1'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const last = 3000;
	for (let i = 1; i <= last; i++) {
		a.text(`${i} `.padEnd(4000, 'ж'), { cid: `c${i}` });
		if (i % 50 === 0) await b.next(f => f.text?.startsWith(`${i} `), 15000);
	}
	const errors = a.drain().filter(f => f.type === 'error');
	assert.deepEqual(errors, []); // 24 MB went through; the oldest made room in time
	await sleep(1500);
	const c = await join2(s, 'c');
	const history = c.init.history;
	assert.ok(history.length > 0 && history.at(-1).text.startsWith(`${last} `));
	for (let i = 1; i < history.length; i++) assert.equal(Number(history[i].text.split(' ')[0]), Number(history[i - 1].text.split(' ')[0]) + 1);
	// What the tail has no room for comes from the database, without a hole.
	c.send({ type: 'history', before: history[0].id, limit: 100 });
	const page = await c.next('history');
	assert.equal(page.messages.at(-1).text.split(' ')[0], String(Number(history[0].text.split(' ')[0]) - 1));
});

serverTest('pages that nobody reads are refused when there is no memory for more: busy', { seeds: 3, timeout: 60000, args: ['--data', ':memory:', '--memory-mb', '200'], allow: /./ }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 300; i++) {
		a.text(`(${'\u0001'.repeat(3988)})`);
		if (i % 20 === 0) {
			a.text(`so far ${i}`);
			await a.next({ text: `so far ${i}` }, 15000);
		}
	}
	const readers = await Promise.all([...Array(20)].map((_, i) => join2(s, `r${i}`)));
	for (const r of readers) r.ws._socket.pause();
	let peak = 0;
	for (let i = 0; i < 40; i++) {
		for (const r of readers) r.send({ type: 'history', limit: 300 });
		await sleep(50);
		peak = Math.max(peak, s.memory().own);
	}
	assert.ok(peak < 200 * MB * slack, `${(peak / MB).toFixed(0)} MB`);
	a.text('still here');
	await a.next({ text: 'still here' });
	for (const r of readers) r.ws.terminate();
	for (let i = 0; i < 100 && (await s.get('/health').then(r => r.ok)); i++) await sleep(20); // what they asked for is worked off
});
