// One attacker after another at a server with the defaults (fairness.mjs): memory and disk stay within their bounds, nobody else loses anything, and the
// attacker is refused and counted. In short, and without the delays, which `make hostile` judges.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { makeSeed, rowText, rows, runRow } from './fairness.mjs';
import { patience, slack } from './lib.mjs';

const skip = slack > 1 ? 'a sanitizer keeps what is freed' : false;
let seed;
before(async () => { if (!skip) seed = await makeSeed(); });
after(() => seed?.remove());

for (const row of rows)
	test(`${row.name}: ${row.what}`, { timeout: 60000 * patience, skip }, async t => {
		const r = await runRow(row, seed, { rounds: 1, seconds: 2, judgesTimes: false });
		t.diagnostic(rowText(row, r));
		assert.deepEqual(r.faults, [], rowText(row, r));
	});
