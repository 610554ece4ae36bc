// One stranger takes all that the defaults allow: what it gets of disk and memory stays within what the server states, and nobody who chats loses
// anything. In short; `make hostile` does it for ten minutes and judges the delays.
import test from 'node:test';
import { patience, slack } from './lib.mjs';
import { judge, load, strangerRounds } from './stranger.mjs';

test('a stranger against the defaults: disk and memory stay within their bounds', { timeout: 120000 * patience, skip: slack > 1 ? 'a sanitizer keeps what is freed' : false }, async t => {
	const r = await strangerRounds({ ...load, people: 20, seconds: 5, elsewhere: 0, rounds: 1, diskMb: 2048 }, line => t.diagnostic(line));
	t.diagnostic(`p99 is ${r.ratio.toFixed(2)} times as long`);
	judge(r);
});
