// lost.mjs — what the tests of files without rows and rows without files share.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Server, namesBelow, noise, patience, run, sleep } from './lib.mjs';
import { join2, upload } from './v2.mjs';

export const shaOf = bytes => createHash('sha256').update(bytes).digest('hex');
export const data = s => path.join(s.dir, 'data');
export const blobPath = (s, bytes) => path.join(data(s), 'blobs', shaOf(bytes).slice(0, 2), shaOf(bytes).slice(2));
export const lostPath = (s, bytes) => path.join(data(s), 'lost', shaOf(bytes));
export const isStored = (s, bytes) => fs.existsSync(blobPath(s, bytes));

/** Waits for what the server promises within a minute. */
export async function soon(what, is) {
	for (const until = Date.now() + 60000 * patience; !is();) {
		assert.ok(Date.now() < until, `not within a minute: ${what}`);
		await sleep(100);
	}
}

/** Some turns of the collector, which comes every second. */
export const aWhile = () => sleep(3500);

let n = 0;
export async function send(c, frame) {
	const cid = `lost-${++n}`;
	c.send({ type: 'file', filename: `${cid}.bin`, ...frame, cid });
	const f = await c.next(g => g.cid === cid);
	assert.equal(f.type, 'file', JSON.stringify(f));
	return f;
}
export const inline = bytes => ({ data: bytes.toString('base64') });
export const ways = { inline: async (s, c, bytes) => inline(bytes), uploaded: (s, c, bytes) => uploaded(s, c, bytes) };
export const uploaded = async (s, c, bytes) => ({ blob: await upload(s, c.token, bytes) });

/** Everything in the folder: names, contents, times. */
export function snapshot(dir) {
	const all = {};
	for (const name of namesBelow(dir).sort()) {
		const file = path.join(dir, name), st = fs.lstatSync(file);
		if (st.isFile()) all[name] = [st.ino, st.mtimeMs, st.mode & 0o777, shaOf(fs.readFileSync(file))];
	}
	delete all.lock; // taken, and let go
	return all;
}

export async function refused(s, ...words) {
	const before = snapshot(data(s));
	for (const args of [[], ['--check']]) {
		const r = await run(['--port', '0', '--listen', '127.0.0.1', '--data', data(s), ...args]);
		assert.equal(r.status, 1, `${args} ${r.stdout}${r.stderr}`);
		assert.equal(r.stderr.trim().split('\n').filter(l => l.startsWith('wavechatd: ')).length, 1, r.stderr);
		for (const word of [...words, 'wavechatctl restore FILE DIR', '--accept-orphans']) assert.ok(r.stderr.includes(word), `no "${word}" in: ${r.stderr}`);
		assert.deepEqual(snapshot(data(s)), before, 'nothing was made or changed');
	}
}

/** Half an hour ago, for files that would else be too young. */
export const age = (file, hours) => fs.utimesSync(file, Date.now() / 1000 - hours * 3600, Date.now() / 1000 - hours * 3600);
export const lines = (s, event) => s.output.split('\n').filter(l => l.includes(` ${event} `));


/* --- A database that does not know the files. */

/** A server with `count` files, stopped; and a database from before all but `early` of them. */
export async function withFiles(t, count, early, way) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-lost-'));
	const s = await Server.start({ dir });
	t.after(async () => { await s.cleanUp(); fs.rmSync(dir, { recursive: true, force: true }); });
	const a = await join2(s, 'a'), files = Array.from({ length: count }, (_, i) => noise(2_000 + i, i)), urls = [];
	const db = path.join(data(s), 'wavechat.db');
	for (const [i, f] of files.entries()) {
		if (i === early) {
			await s.stop();
			fs.copyFileSync(db, path.join(dir, 'early.db'));
			await s.restart();
		}
		const c = i >= early ? await join2(s, '', { token: a.token }) : a;
		urls.push((await send(c, await ways[way || (i % 2 ? 'inline' : 'uploaded')](s, c, f))).url);
	}
	await aWhile(); // all is settled
	await s.stop();
	return { s, dir, db, files, urls, token: a.token };
}

export async function allServed({ s, files, urls }) {
	for (const [i, url] of urls.entries()) {
		const r = await s.get(url);
		assert.equal(r.status, 200, `file ${i}`);
		assert.ok(Buffer.from(await r.arrayBuffer()).equals(files[i]), `file ${i} whole`);
	}
}
