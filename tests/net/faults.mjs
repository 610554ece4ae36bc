// faults.mjs — can the checker fail? Runs it against a server in which one fault after another is planted (core/base/fault.h), and against the
// same server with none. Needs `make MODE=fault`; then: WAVECHATD=build/fault/wavechatd node tests/net/faults.mjs
import { check } from './checker.mjs';

const plan = [['', 0], ['publish-early', 1], ['lost-cursor', 1], ['no-dedup', 1], ['leak-dm', 1]];
let wrong = 0;
for (const [fault, expected] of plan) {
	const { problems } = await check({ seconds: 25, seed: 11, env: { WAVECHAT_FAULT: fault }, print: () => {} });
	const isRight = (problems.length > 0) === (expected > 0);
	if (!isRight) wrong++;
	console.log(`${isRight ? 'ok    ' : 'WRONG '} ${(fault || 'no fault').padEnd(14)} ${problems.length} problems${problems.length ? `, the first: ${problems[0].slice(0, 140)}` : ''}`);
}
process.exit(wrong ? 1 : 0);
