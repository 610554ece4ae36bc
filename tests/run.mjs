// run.mjs — the runner of the test files: node run.mjs FILE…
//
// Each file is a process of its own. Most files wait more than they compute: they run side by side (JOBS of them, 11 unless told otherwise). The
// files that judge times (lanes.mjs) follow, one at a time with nothing beside them. A line for each file, the whole output of those that fail, and
// a closing line for each folder: "FOLDER: N passed, N failed, N skipped". A skip that lanes.mjs does not expect is named; with STRICT_SKIPS=1 it is a failure.
// Logs stay in build/test-logs. A folder of tests may have a setup.mjs: its start() runs before the files, gives them variables of the
// environment (`env`) and is undone by `stop()`.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { expectedSkips, isTimed, waitsLong } from './lanes.mjs';

const here = path.dirname(fileURLToPath(import.meta.url));
const files = process.argv.slice(2).map(f => path.relative('', f));
if (!files.length) {
	console.error('usage: node run.mjs FILE…');
	process.exit(2);
}
const jobs = Number(process.env.JOBS) || 11;
const mode = /\/build\/(\w+)\/wavechatd$/.exec(process.env.WAVECHATD || '')?.[1] || 'release';
const folderOf = file => path.basename(path.dirname(path.resolve(file)));
const logs = path.join(here, '../build/test-logs', mode);
/** No file takes this long: one that does is ended with all its children, and has failed. */
const LONGEST = 15 * 60000;

const totals = Object.fromEntries(files.map(f => [folderOf(f), { passed: 0, failed: 0, skipped: 0 }]));
const running = new Set();
const endAll = signal => {
	for (const child of running) try { process.kill(-child.pid, signal); } catch {}
};
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
	process.on(signal, () => { endAll('SIGKILL'); process.exit(1); });

function runFile(file, env) {
	const base = path.basename(file).replace(/\.test\.mjs$/, '');
	const log = path.join(logs, folderOf(file), `${base}.log`), results = `${log.slice(0, -4)}.results`;
	fs.mkdirSync(path.dirname(log), { recursive: true });
	fs.rmSync(results, { force: true });
	const out = fs.openSync(log, 'w'), began = Date.now();
	// a process group of its own: what a file that hangs has started ends with it
	const child = spawn(process.execPath, [`--test-reporter=${pathToFileURL(path.join(here, 'results.mjs'))}`, `--test-reporter-destination=${results}`,
		'--test-reporter=spec', '--test-reporter-destination=stdout', file], { stdio: ['ignore', out, out], detached: true, env: { ...process.env, ...env } });
	running.add(child);
	const timer = setTimeout(() => {
		fs.writeSync(out, `\nnot done after ${LONGEST / 60000} minutes: ended\n`);
		try { process.kill(-child.pid, 'SIGKILL'); } catch {}
	}, LONGEST);
	return new Promise(resolve => child.once('close', (status, signal) => {
		clearTimeout(timer);
		running.delete(child);
		fs.closeSync(out);
		report(file, log, results, signal || status, (Date.now() - began) / 1000);
		resolve();
	}));
}

function report(file, log, results, status, seconds) {
	const lines = fs.existsSync(results) ? fs.readFileSync(results, 'utf8').split('\n').filter(Boolean).map(l => JSON.parse(l)) : [];
	const passed = lines.filter(l => l.ok && !l.skip).length;
	let failed = lines.filter(l => !l.ok).length;
	const skipped = lines.filter(l => l.ok && l.skip);
	const unexpected = skipped.filter(l => !expectedSkips.some(e => e.file.test(file) && e.reason.test(l.skip)));
	if (process.env.STRICT_SKIPS) failed += unexpected.length;
	// a file that ended badly, or holds no test, has failed whatever it had counted by then
	if ((status !== 0 || !lines.length) && !failed) failed = 1;
	console.log(`  ${failed ? 'FAIL' : 'PASS'}    ${file.replace(/\.test\.mjs$/, '').padEnd(28)} ${String(passed).padStart(4)} ${seconds.toFixed(1).padStart(7)} s` +
		(skipped.length ? `  ${skipped.length} skipped` : '') + (failed && status !== 0 ? `  (${failed} failed, exit status ${status})` : ''));
	for (const l of unexpected) console.log(`          an unexpected skip: ${l.name}: ${l.skip}`);
	if (failed || process.env.V) console.log(fs.readFileSync(log, 'utf8').replace(/^/gm, '          '));
	const total = totals[folderOf(file)];
	total.passed += passed;
	total.failed += failed;
	total.skipped += skipped.length;
}

/** How many files of pages run at once. */
const PAGES = Math.min(3, jobs);
const isPage = file => folderOf(file) === 'browser';
const waiting = files.filter(f => !isTimed(f)).sort((a, b) => waitsLong(b) - waitsLong(a));
const setups = [];
const env = {};
for (const folder of new Set(files.map(f => path.dirname(path.resolve(f))))) {
	const setup = path.join(folder, 'setup.mjs');
	if (!fs.existsSync(setup)) continue;
	const s = await (await import(pathToFileURL(setup))).start();
	setups.push(s);
	Object.assign(env, s.env);
}
try {
	// The next file is of the first kind that has a place free: a browser computes more than it waits.
	const pages = waiting.filter(isPage), others = waiting.filter(f => !isPage(f));
	let open = 0; // files of pages under way
	await Promise.all(Array.from({ length: jobs }, async () => {
		while (pages.length || others.length) {
			const takesPage = pages.length > 0 && open < PAGES;
			if (!takesPage && !others.length) return; // those that are at the pages do the rest
			open += takesPage;
			await runFile((takesPage ? pages : others).shift(), env);
			open -= takesPage;
		}
	}));
	for (const file of files.filter(isTimed)) await runFile(file, env);
} finally {
	for (const s of setups) await s.stop();
}
for (const [folder, total] of Object.entries(totals)) console.log(`${folder}: ${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(Object.values(totals).some(total => total.failed || !total.passed) ? 1 : 0);
