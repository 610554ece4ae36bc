// load.mjs — wavebench against a server under test.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { patience } from './lib.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const tool = process.env.WAVEBENCH || path.join(root, 'build/wavebench');

/** One run of wavebench; its JSON. It must be content with what it saw. */
export async function bench(s, ...args) {
	assert.ok(fs.existsSync(tool), `${tool} is not built`);
	const { status, stdout, stderr } = await new Promise(resolve =>
		execFile(tool, ['--json', '--pid', String(s.pid), ...args.map(String), `127.0.0.1:${s.port}`], { timeout: 200000 * patience },
			(e, out, err) => resolve({ status: e ? e.code : 0, stdout: out, stderr: err })));
	assert.equal(status, 0, `people noticed more than delay:\n${stdout}\n${stderr}`);
	const r = JSON.parse(stdout);
	assert.equal(r.ok, true, stdout);
	return r;
}

/** People who chat amid what a test does to them: wavebench's figures. It must be content: one order, no gap, no duplicate, nobody dropped. */
export function chatters(s, { people, talkers, rate, seconds, warmup = 1 }) {
	return bench(s, '--dialect', 2, '--clients', people, '--senders', talkers, '--rate', rate, '--warmup', warmup, '--seconds', seconds, '--drain', 10 * patience);
}
