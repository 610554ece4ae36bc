// The checker with more going on beside its people than kills and cuts: an admin at work, and a disk that fills and empties. In short;
// `make soak` runs both for as long as asked.
import assert from 'node:assert/strict';
import test from 'node:test';
import { patience, slack } from './lib.mjs';
import { check, disturbance } from './checker.mjs';
import { canMount } from './checker-disturb.mjs';

const seed = Number(process.env.CHECKER_SEED || 11);

function beside(title, what, judge) {
	const skip = what.disk && !canMount() ? 'a disk of its own needs the right to mount' : false;
	test(`nothing accepted is lost ${title} (seed ${seed})`, { timeout: 150000 * patience, skip }, async t => {
		const { problems, counts } = await check({ seconds: 18 * Math.min(slack, 2), seed, backups: 1, rate: 80, print: line => t.diagnostic(line), ...disturbance(what) });
		assert.deepEqual(problems, []);
		assert.ok(counts.acked > 50, JSON.stringify(counts));
		judge(counts);
	});
}

beside('while backups, verify, purges, lockdowns and mutes run', { admin: true }, counts => {
	for (const verb of ['backup', 'verify', 'purge', 'lockdown', 'sanction']) assert.ok(counts[verb] > 0, `${verb}: ${JSON.stringify(counts)}`);
});
beside('on a disk that fills and empties', { admin: true, disk: true }, counts => assert.ok(counts.fills > 1, JSON.stringify(counts)));
