// coverage.mjs — the lines that a run of MODE=cov reached, by folder of core/ and cmd/: node coverage.mjs BUILD. Reads what gcc's --coverage left there.
//
// A server that is killed writes nothing down, and the sandbox would not let it: lib.mjs starts servers of this build without it.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const build = process.argv[2];
const files = new Map(); // name: line: reached
for (const name of fs.readdirSync(build, { recursive: true }).filter(f => /^(core|cmd)\/.*\.gcno$/.test(f))) {
	const data = path.join(build, name.replace(/gcno$/, 'gcda'));
	// without data nothing was reached; gcov then reads the notes alone
	const out = execFileSync('gcov', ['--json-format', '--stdout', fs.existsSync(data) ? data : path.join(build, name)], { maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'ignore'] });
	for (const text of out.toString().split('\n').filter(Boolean))
		for (const f of JSON.parse(text).files) {
			if (!/^(core|cmd)\//.test(f.file)) continue;
			if (!files.has(f.file)) files.set(f.file, new Map());
			const lines = files.get(f.file);
			for (const l of f.lines) lines.set(l.line_number, lines.get(l.line_number) || l.count > 0);
		}
}

const folders = new Map();
for (const [name, lines] of files) {
	const folder = path.dirname(name), sum = folders.get(folder) || { lines: 0, reached: 0 };
	sum.lines += lines.size;
	sum.reached += [...lines.values()].filter(Boolean).length;
	folders.set(folder, sum);
}
const all = [...folders.values()].reduce((a, b) => ({ lines: a.lines + b.lines, reached: a.reached + b.reached }), { lines: 0, reached: 0 });
const row = (name, { lines, reached }) => `${name.padEnd(18)} ${String(lines).padStart(6)} ${String(reached).padStart(7)} ${(100 * reached / Math.max(lines, 1)).toFixed(1).padStart(6)} %`;
const table = ['folder              lines reached', ...[...folders].sort().map(([name, sum]) => row(name, sum)), row('all', all)].join('\n');
fs.writeFileSync(path.join(build, 'coverage.txt'), `${table}\n`);
console.log(table);
