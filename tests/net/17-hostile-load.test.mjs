// People chat on amid a crowd that means harm (hostile.mjs): in short, and judged without its delays, which `make hostile` measures.
import assert from 'node:assert/strict';
import { serverTest, slack } from './lib.mjs';
import { hostileRounds, limits, load, memoryBound } from './hostile.mjs';

serverTest('nobody good is dropped, nothing is lost, memory stays bounded', { timeout: 90000, limits: true, args: limits }, async (s, t) => {
	const full = slack === 1;
	const o = { ...load, rounds: 1, warmup: 4, seconds: 2, ...(full ? { foes: 1500 } : { people: 40, talkers: 10, rate: 20, foes: 300, foeRate: 100 }) };
	const r = await hostileRounds(s, o, line => t.diagnostic(line));
	t.diagnostic(`p99 is ${r.ratio.toFixed(2)} times as long`);
	assert.ok(r.most_open > o.foes / 3, `only ${r.most_open} foes at once`);
	for (const fate of r.fates)
		for (const kind of ['slowloris', 'half_open', 'garbage', 'stalled', 'oversized', 'join_flood']) assert.ok(fate[kind].opened > 0, kind);
	if (full) assert.ok(r.peak < memoryBound(o.foes), `${r.peak} bytes`);
	assert.ok((await s.get('/health')).ok);
});
