// What takes a minute of silence, side by side: the join deadline, the heartbeats, and a backup whose maker stopped.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Server, fence, noise, patience, sleep, stopInItsTracks } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlBinary, socketOf } from './admin.mjs';
import { OP, Raw } from './raw.mjs';

/** What only time shows: the join deadline, the heartbeat, and peers that are dead. One server, everything at once. */
async function deadlines(s) {
	const start = Date.now();
	const seconds = () => (Date.now() - start) / 1000;
	const live = await s.join('live');

	const never = (async () => { // opened, never joins
		const c = await s.connect();
		const end = await c.closed;
		assert.ok(seconds() > 13, `closed after ${seconds()} s with ${end.code}`);
		assert.ok([1000, 1002, 1008].includes(end.code), `closed with ${end.code}`);
	})();

	const pinger = (async () => { // pings do not count as joining
		const r = await Raw.open(s);
		const timer = setInterval(() => r.socket.writable && r.frame('x', { opcode: OP.ping }), 1000);
		await r.end(25000).finally(() => clearInterval(timer));
		assert.ok(seconds() > 13, `closed after ${seconds()} s`);
	})();

	const half = (async () => { // half a join does not either
		const r = await Raw.open(s);
		r.frame('{"type":"join"', { fin: false });
		await r.end(25000);
	})();

	const beat = (async () => { // answers pings: stays
		const r = await Raw.join(s, 'beating');
		const pings = [];
		while (pings.length < 2) {
			const f = await r.nextFrame(40000);
			assert.ok(f, 'still connected');
			if (f.opcode !== OP.ping) continue;
			pings.push(seconds());
			r.frame(f.payload, { opcode: OP.pong });
		}
		assert.ok(pings[0] > 10, `first ping after ${pings[0]} s`);
		assert.ok(pings[1] - pings[0] > 20, `pings at ${pings}`);
		r.send({ type: 'text', text: 'heart beats' });
		await r.json('text');
		r.destroy();
	})();

	const dead = (async () => { // its socket lives, but it never answers
		const r = await Raw.join(s, 'dead');
		let pinged = 0;
		for (;;) {
			const f = await r.nextFrame(80000);
			if (!f || f.opcode === OP.close) break;
			if (f.opcode === OP.ping) pinged++;
		}
		assert.ok(pinged >= 1, 'it was asked');
		await live.next({ type: 'system', text: 'dead left the chat' });
	})();

	await Promise.all([never, pinger, half, beat, dead]);
	await sleep(100);
	await fence(live); // the library answers pings: the bystander was there all the while
}

/** A backup whose maker stopped without ending does not hold the server for ever: a minute without a sign ends it. */
async function abandoned(s) {
	const a = await join2(s, 'a');
	a.send({ type: 'file', filename: 'file.bin', data: noise(1 << 20).toString('base64') });
	await a.next('file');
	const child = spawn(ctlBinary, ['--socket', socketOf(s), 'backup', '-'], { stdio: ['ignore', 'pipe', 'pipe'] });
	child.stdout.pause();
	const copy = path.join(s.dir, 'data', 'backup.tmp');
	while (!fs.existsSync(copy)) await sleep(10);
	await stopInItsTracks(child.pid);
	try {
		await ctl(s, ['backup', path.join(s.dir, 'x.tar')], { status: 1 });
		while (fs.existsSync(copy)) await sleep(500);
		await ctl(s, ['backup', path.join(s.dir, 'x.tar')]);
	} finally {
		child.kill('SIGCONT');
	}
	child.stdout.resume();
	const [status] = await once(child, 'close');
	assert.equal(status, 1, 'what goes on after that is told that it is over');
}

async function withServer(fn) {
	const s = await Server.start();
	try {
		await fn(s);
		await s.stop();
	} finally {
		await s.cleanUp();
	}
}

test('what takes a minute', { timeout: 180000 * patience, concurrency: 2 }, t => Promise.all([
	t.test('deadlines and heartbeats', () => withServer(deadlines)),
	t.test('one whose maker stopped without ending does not hold the server for ever: a minute without a sign ends it', () => withServer(abandoned)),
]));
