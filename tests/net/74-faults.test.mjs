// Faults that need no other build: descriptors that run out, and being told to stop amid everything. Memory, disk, clock and threads: ../faults.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import test from 'node:test';
import { fence, noise, patience, serverTest, slack, sleep, within } from './lib.mjs';
import { check } from './checker.mjs';
import { join2, request } from './v2.mjs';

const setLimit = (pid, soft) => execFileSync('prlimit', ['--pid', String(pid), `--nofile=${soft}:`]);
const softLimit = pid => Number(/^Max open files +(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/limits`, 'utf8'))[1]);
/** Hundredths of a second of the processor, so far. */
const ticks = pid => { const f = fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1].split(' '); return Number(f[11]) + Number(f[12]); };

/** A connection, or null where none is had. */
async function dial(s) {
	const c = net.connect(s.port, s.host);
	c.on('error', () => {});
	return within(2000, once(c, 'connect').then(() => c), 'a connection').catch(() => null);
}

serverTest('no descriptor left: those inside chat on, nothing spins, and there is room again afterwards',
	{ allow: /descriptor|blob|storage|accept|upload/, timeout: 60000 }, async s => {
		const a = await join2(s, 'ann'), b = await s.join('ben');
		const limit = softLimit(s.pid);
		setLimit(s.pid, s.fds() + 15);
		const outside = [];
		for (let i = 0; i < 80; i++) outside.push(await dial(s)); // the kernel takes them; the server cannot
		await sleep(300);
		const before = ticks(s.pid);
		await sleep(1500);
		const used = ticks(s.pid) - before;
		assert.ok(used < 50 * slack, `${used} hundredths of a second of work in 1.5 s in which nothing was to be done`);
		for (let i = 0; i < 20; i++) await fence(b, [a, b]);
		// What needs a descriptor is refused by name, or has to wait, and comes to an end.
		a.send({ type: 'file', filename: 'f', data: noise(1000).toString('base64'), cid: 'f' });
		const f = await a.next(g => g.cid === 'f', 15000);
		assert.ok(f.type === 'file' || f.code === 'storage' || f.code === 'busy', JSON.stringify(f));
		for (const c of outside) c?.destroy();
		await within(15000 * patience, (async () => {
			while ((await request(s, 'GET', '/health').catch(() => ({}))).status !== 200) await sleep(100);
		})(), 'room again');
		setLimit(s.pid, limit);
		const c = await join2(s, 'cat');
		await fence(b, [a, b, c]);
		a.send({ type: 'file', filename: 'f', data: noise(1000).toString('base64'), cid: 'g' });
		assert.equal((await a.next(g => g.cid === 'g')).type, 'file');
	});

const seed = Number(process.env.CHECKER_SEED || 7);
const checkerTest = (title, disturb, options) => test(`nothing is lost: ${title} (seed ${seed})`, { timeout: 120000 * patience }, async t => {
	const { problems, counts } = await check({ seconds: 10, seed, backups: 0, rate: 100, print: line => t.diagnostic(line), disturb, ...options });
	assert.deepEqual(problems, []);
	assert.ok(counts.acked > 50, JSON.stringify(counts));
});

checkerTest('with descriptors that run out now and then', async ({ server, random, isOver }) => {
	const limit = softLimit(server.pid);
	while (!isOver()) {
		setLimit(server.pid, Math.max(20, server.fds() - random.int(4)));
		await sleep(300 + random.int(900));
		setLimit(server.pid, limit);
		await sleep(300 + random.int(500));
	}
}, { allow: /descriptor|blob|storage|store|database|accept|upload|checkpoint|commit/ });

checkerTest('told to stop again and again amid the traffic', async ({ server, random, isOver }) => {
	while (!isOver()) {
		await sleep(500 + random.int(1000));
		await server.stop();
		await server.restart();
	}
});
