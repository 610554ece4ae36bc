// The checker: people, files and backups amid kills, cuts and stalls, then an audit of everything. In short; `make soak` runs it for longer.
import assert from 'node:assert/strict';
import test from 'node:test';
import { patience, slack } from './lib.mjs';
import { check } from './checker.mjs';

const seconds = Number(process.env.CHECKER_SECONDS || 25);
const seed = Number(process.env.CHECKER_SEED || 4);

test(`nothing is lost in ${seconds} s of kills, cuts, stalls and broken uploads, nor in backups taken amid them (seed ${seed})`,
	{ timeout: (seconds * 2 + 120) * 1000 * patience }, async t => {
		const { problems, counts } = await check({ seconds, seed, rate: slack > 1 ? 60 : 0, crowd: slack > 1 ? 0 : 60, print: line => t.diagnostic(line) });
		assert.deepEqual(problems, []);
		assert.ok(counts.acked > 100 && counts.reconnects > 10 && counts.backups >= 1, JSON.stringify(counts));
	});
