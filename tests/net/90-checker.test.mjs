// The checker, for about a minute. `make soak` runs it for longer: node tests/net/checker.mjs --seconds S.
import assert from 'node:assert/strict';
import test from 'node:test';
import { slack } from './lib.mjs';
import { check } from './checker.mjs';

const seconds = Number(process.env.CHECKER_SECONDS || 50);
const seed = Number(process.env.CHECKER_SEED || Date.now() % 100000);

test(`nothing is lost in ${seconds} s of kills, cuts, stalls and broken uploads (seed ${seed})`, { timeout: (seconds * 2 + 180) * 1000 * slack }, async t => {
	const { problems, counts } = await check({ seconds, seed, rate: slack > 1 ? 60 : 0, print: line => t.diagnostic(line) });
	assert.deepEqual(problems, []);
	assert.ok(counts.acked > 100 && counts.reconnects > 10, JSON.stringify(counts));
});
