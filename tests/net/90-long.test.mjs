// What takes about a minute, side by side: the heartbeats, which mostly wait, and the checker, which does not.
// `make soak` runs the checker for longer: node tests/net/checker.mjs --seconds S.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Server, fence, slack, sleep } from './lib.mjs';
import { OP, Raw } from './raw.mjs';
import { check } from './checker.mjs';

const seconds = Number(process.env.CHECKER_SECONDS || 50);
const seed = Number(process.env.CHECKER_SEED || Date.now() % 100000);

/** What only time shows: the join deadline, the heartbeat, and peers that are dead. One server, everything at once. */
async function deadlines(s) {
	const start = Date.now();
	const seconds = () => (Date.now() - start) / 1000;
	const live = await s.join('live');

	const never = (async () => { // opened, never joins
		const c = await s.connect();
		const end = await c.closed;
		assert.ok(seconds() > 13 && seconds() < 25, `closed after ${seconds()} s with ${end.code}`);
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
		assert.ok(pings[0] > 10 && pings[0] < 36, `first ping after ${pings[0]} s`);
		assert.ok(pings[1] - pings[0] > 25 && pings[1] - pings[0] < 36, `pings at ${pings}`);
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
		assert.ok(seconds() < 100, `dropped after ${seconds()} s`);
		await live.next({ type: 'system', text: 'dead left the chat' });
	})();

	await Promise.all([never, pinger, half, beat, dead]);
	await sleep(100);
	await fence(live); // the library answers pings: the bystander was there all the while
}

test('what takes a minute', { timeout: (seconds * 2 + 180) * 1000 * slack, concurrency: 2 }, async t => {
	const timers = t.test('deadlines and heartbeats', async () => {
		const s = await Server.start();
		try {
			await deadlines(s);
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	});
	const checker = t.test(`nothing is lost in ${seconds} s of kills, cuts, stalls and broken uploads, nor in backups taken amid them (seed ${seed})`, async tt => {
		const { problems, counts } = await check({ seconds, seed, rate: slack > 1 ? 60 : 0, crowd: slack > 1 ? 0 : 60, print: line => tt.diagnostic(line) });
		assert.deepEqual(problems, []);
		assert.ok(counts.acked > 100 && counts.reconnects > 10 && counts.backups >= 1, JSON.stringify(counts));
	});
	await Promise.all([timers, checker]);
});
