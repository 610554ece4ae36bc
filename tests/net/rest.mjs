// rest.mjs — what the tests of backups, restoring and verifying share: a chat with something of everything, what it looks like from outside, and
// archives made to order.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fence, noise } from './lib.mjs';
import { join2 } from './v2.mjs';
import { adminRequest, ctl } from './admin.mjs';

export const sha256 = data => createHash('sha256').update(data).digest('hex');
export const blobPath = (dir, sha) => path.join(dir, 'blobs', sha.slice(0, 2), sha.slice(2));

/** Public and private talk, files, a voice, a deletion, a ban, a mute. Returns the people and what was sent. */
export async function fill(s, { messages = 50 } = {}) {
	const a = await join2(s, 'Ann'), b = await join2(s, 'Bob');
	const files = [];
	for (let i = 0; i < messages; i++) a.text(`said ${i}`);
	for (const [i, n] of [200000, 1000, 70000].entries()) {
		const data = noise(n, 10 + i);
		a.send({ type: 'file', filename: `file ${i}.bin`, data: data.toString('base64'), ...(i === 2 ? { to_id: b.id } : {}) });
		files.push({ ...(await a.next('file')), data, sha: sha256(data) });
	}
	const voice = noise(900, 99);
	b.send({ type: 'voice', duration: 2, data: voice.toString('base64') });
	files.push({ ...(await b.next('voice')), data: voice, sha: sha256(voice) });
	b.text('in private', { to_id: a.id });
	a.text('to be deleted');
	const gone = await a.next({ type: 'text', text: 'to be deleted' });
	await fence(a, [a, b]);
	await ctl(s, ['delete', gone.id]);
	await ctl(s, ['ban', '--name', 'Mallory', '--reason', 'loud']);
	await ctl(s, ['mute', b.id]);
	return { a, b, files };
}

/** All that can be asked of a chat, but what the asking itself adds (the audit). */
export async function portrait(s, people) {
	const text = async (...args) => (await ctl(s, args)).stdout;
	const events = (await text('history', '--format', 'jsonl')) + (await text('history', '--format', 'jsonl', '--dm', `id:${people.a.id}`, '--with', `id:${people.b.id}`));
	const files = [];
	for (const f of people.files) {
		const r = await s.get(f.url);
		files.push([r.status, r.status === 200 ? sha256(Buffer.from(await r.arrayBuffer())) : null, r.headers.get('content-type')]);
	}
	const list = async (pathname, name) => (await adminRequest(s, 'GET', pathname)).json[name];
	const known = (await list('/v1/users?all=1&limit=1000', 'users')).map(u => [u.id, u.name]).sort((x, y) => x[0] - y[0]);
	const [banned, muted] = await Promise.all(['/v1/bans', '/v1/mutes'].map(async p => Object.values((await adminRequest(s, 'GET', p)).json).find(Array.isArray).map(({ until_ms, ...x }) => x)));
	assert.ok(known.length >= 2 && banned.length && muted.length);
	return { events, files, known, banned, muted };
}

/** Names, kinds, modes, owners, sizes, times and bytes of a folder, itself included: nothing can be done to it without a difference. */
export function snapshot(dir) {
	const all = [];
	const look = (p, name) => {
		const st = fs.lstatSync(p);
		const bytes = st.isFile() ? sha256(fs.readFileSync(p)) : st.isSymbolicLink() ? fs.readlinkSync(p) : '';
		all.push([name, st.mode, st.uid, st.gid, st.isDirectory() ? 0 : st.size, st.mtimeMs, st.ctimeMs, bytes].join(' '));
		if (st.isDirectory()) for (const n of fs.readdirSync(p).sort()) look(path.join(p, n), `${name}/${n}`);
	};
	look(dir, '');
	return all;
}

/** The files below a folder, by their names in it. */
export function tree(dir, under = '') {
	return fs.readdirSync(path.join(dir, under), { withFileTypes: true }).flatMap(e => (e.isDirectory() ? tree(dir, path.join(under, e.name)) : [path.join(under, e.name)])).sort();
}

/** The data of a stopped or killed server, somewhere else. */
export function copyOf(dir, to) {
	fs.cpSync(dir, to, { recursive: true, preserveTimestamps: true, filter: f => !fs.lstatSync(f).isSocket() });
	fs.chmodSync(to, 0o700);
	return to;
}

// --- Archives

const BLOCK = 512;

/** One entry: a header and its bytes, filled up. */
export function entry(name, data = Buffer.alloc(0), { type = '0', link = '', size = data.length, magic = 'ustar\x0000', prefix = '' } = {}) {
	const h = Buffer.alloc(BLOCK);
	h.write(name, 0, 100);
	h.write('0000600\0', 100);
	h.write('0000000\0', 108);
	h.write('0000000\0', 116);
	h.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
	h.write('00000000000\0', 136);
	h.write('        ', 148);
	h.write(type, 156);
	h.write(link, 157, 100);
	h.write(magic, 257);
	h.write(prefix, 345, 155);
	h.write(`${h.reduce((x, y) => x + y, 0).toString(8).padStart(6, '0')}\0 `, 148);
	return Buffer.concat([h, data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);
}

export const archiveEnd = Buffer.alloc(2 * BLOCK);

/** The entries of a backup, in order. */
export function entriesOf(tar) {
	const list = [];
	for (let at = 0; at + BLOCK <= tar.length && tar[at];) {
		const text = (from, n) => tar.toString('latin1', at + from, at + from + n).replace(/\0.*$/s, '');
		const size = parseInt(text(124, 12), 8), whole = BLOCK + Math.ceil(size / BLOCK) * BLOCK;
		list.push({ name: text(0, 100), size, at, raw: tar.subarray(at, at + whole), data: tar.subarray(at + BLOCK, at + BLOCK + size) });
		at += whole;
	}
	assert.ok(list.length > 1);
	return list;
}
