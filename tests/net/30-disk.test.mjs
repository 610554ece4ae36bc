// The room on the disk: how much files may take, what stays free, and what still works when nothing is free. On the real server, with real file
// systems that fill up and empty again; what was accepted is compared before and after.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { ctl, ctlJson, ctlRaw, metric, socketOf } from './admin.mjs';
import { bytesBelow, diskTest, fillUp, freeBytes, leaveFree } from './disk.mjs';
import { noise, serverTest, sleep } from './lib.mjs';
import { join2, messages, newKey, request, upload, uploadPath } from './v2.mjs';

const MB = 1 << 20;
const RECORD = 8192; // of the disk, for the record of an upload
const allow = /storage|database|store|blob|reserve|bound|checkpoint/;
const bearer = token => ({ authorization: `Bearer ${token}` });

/** What `status` says, also of a server that is not well: then it exits with 6. */
const statusText = async (s, ...more) => {
	const r = await ctlRaw(['--socket', socketOf(s), ...more, 'status']);
	assert.ok([0, 6].includes(r.status), r.stderr);
	return r.stdout;
};
const status = async s => JSON.parse(await statusText(s, '--json'));
const reserveBytes = dir => fs.statSync(path.join(dir, 'data', 'reserve'), { throwIfNoEntry: false })?.blocks * 512 || 0;

async function until(what, fn, ms = 15000) {
	for (const end = Date.now() + ms; ;) {
		if (await fn()) return;
		assert.ok(Date.now() < end, `it never came to this: ${what}`);
		await sleep(50);
	}
}

/** What the server has: its public history, whole. */
async function history(s, token) {
	const c = await join2(s, '', { token });
	const all = [];
	for (let before; ;) {
		c.send({ type: 'history', limit: 200, ...(before && { before }) });
		const { messages: page, more } = await c.next('history');
		all.unshift(...page);
		if (!more) break;
		before = page[0].id;
	}
	c.ws.close();
	return all;
}

/** An upload that announces all and sends a part of it; `more()` sends the rest and gives the answer. */
function slowUpload(s, token, body, first, key = newKey()) {
	const req = http.request({ host: '127.0.0.1', port: s.port, method: 'POST', path: uploadPath(key, body.length), agent: false,
		headers: { ...bearer(token), 'content-length': body.length } });
	const answer = new Promise(resolve => {
		req.on('response', res => res.resume().on('end', () => resolve(res.statusCode)));
		req.on('error', e => resolve(e.code));
	});
	req.write(body.subarray(0, first));
	return { key, answer, more() { req.end(body.subarray(first)); return answer; }, breakOff() { req.destroy(); return answer; } };
}

diskTest('without --max-storage-mb files take a tenth of the disk and no more, however many come at once; nothing is removed', { megabytes: 330, allow, timeout: 120000 }, async (s, dir) => {
	const { files_bound_bytes: bound, disk_bytes } = await status(s), bound_mb = Math.floor(bound / MB);
	assert.equal(bound, Math.floor(disk_bytes / 10));
	assert.ok(s.output.includes(`files     at most ${bound_mb} MB, then new ones are refused`), s.output);
	await until('it is logged', () => s.output.includes(`room for files bound_mb=${bound_mb} given=no used_mb=0`));
	const people = [];
	for (let i = 0; i < 8; i++) people.push(await join2(s, `p${i}`));
	const bodies = [], answers = await Promise.all(people.flatMap((p, i) => Array.from({ length: 14 }, (_, j) => {
		const body = noise(MB, 14 * i + j);
		bodies.push({ p, body });
		return request(s, 'POST', uploadPath(newKey(), MB), { headers: { ...bearer(p.token), 'content-length': MB }, body });
	})));
	const taken = answers.map((r, i) => ({ ...bodies[i], r })).filter(u => u.r.status === 200);
	const refused = answers.filter(r => r.status !== 200);
	// The record of a finished upload counts as well, with RECORD bytes; those that finish may go over the bound by theirs.
	assert.ok(taken.length <= Math.floor(bound / (MB + 4096)) && taken.length >= Math.floor(bound / (MB + 4096 + RECORD)), `${answers.map(r => r.status)}`);
	for (const r of refused) {
		assert.equal(r.status, 507);
		assert.deepEqual(r.json, { error: 'storage', text: r.json.text });
		assert.match(r.json.text, /room for files/);
	}
	assert.ok(bytesBelow(path.join(dir, 'data', 'blobs')) + bytesBelow(path.join(dir, 'data', 'uploads')) + bytesBelow(path.join(dir, 'data', 'tmp')) <= bound);

	// In frames as well, in both dialects; words go on.
	const [a, b] = people, old = await s.join('old');
	a.send({ type: 'file', data: noise(2 * MB).toString('base64'), filename: 'f', cid: 'f' });
	const error = await a.next(f => f.cid === 'f');
	assert.equal(error.code, 'storage');
	assert.match(error.text, /room for files/);
	a.send({ type: 'voice', data: noise(2 * MB).toString('base64'), duration: 1, cid: 'v' });
	assert.equal((await a.next(f => f.cid === 'v')).code, 'storage');
	old.send({ type: 'file', data: noise(2 * MB).toString('base64'), filename: 'f' });
	assert.match((await old.next('error')).text, /room for files/);
	old.text('words');
	await a.next('text');

	let st = await status(s);
	assert.deepEqual([st.files_bound_bytes, st.files_bound_given, st.files_bound_reached, st.disk_state], [bound, false, true, 'ok']);
	assert.ok(st.files_used_bytes <= st.files_bound_bytes + taken.length * RECORD && st.files_used_bytes > bound - MB - 4096, `${st.files_used_bytes}`);
	assert.match(await statusText(s), /at most \d+ MB.*REACHED/);
	assert.equal(await metric(s, 'refused_total{reason="storage"}'), refused.length + 3);

	// All that was taken can be sent and is whole, also after a restart, which counts the same.
	const urls = [];
	for (const { p, r } of taken) {
		p.send({ type: 'file', blob: r.json.blob, filename: 'f.bin' });
		urls.push((await p.next(f => f.type === 'file' && f.from_id === p.id && f.self)).url);
	}
	await s.kill9();
	await s.restart();
	for (const [i, url] of urls.entries()) assert.ok((await request(s, 'GET', url)).body.equals(taken[i].body), `file ${i}`);
	assert.equal((await status(s)).files_used_bytes, st.files_used_bytes);
	const c = await join2(s, '', { token: b.token });
	assert.equal((await request(s, 'POST', uploadPath(newKey(), MB), { headers: { ...bearer(c.token), 'content-length': MB }, body: noise(MB) })).status, 507);

	// What is set aside for an upload that breaks off is free again; what came counts.
	st = await status(s);
	const rest = noise(200_000);
	const u = slowUpload(s, c.token, rest, 50_000);
	await until('it is set aside', async () => (await status(s)).files_used_bytes > st.files_used_bytes + 200_000);
	u.breakOff();
	await until('it is given back', async () => (await status(s)).files_used_bytes < st.files_used_bytes + 60_000);
	const at = (await request(s, 'GET', `/upload?key=${u.key}`, { headers: bearer(c.token) })).json.offset;
	const done = await request(s, 'POST', uploadPath(u.key, rest.length, at), { headers: { ...bearer(c.token), 'content-length': rest.length - at }, body: rest.subarray(at) });
	assert.equal(done.status, 200, `${done.body}`);
	assert.equal((await status(s)).files_used_bytes, st.files_used_bytes + Math.ceil(200_000 / 4096) * 4096 + 4096 + RECORD);
});

diskTest('a value that the admin gave removes the oldest files, and still bounds uploads that no message names', { megabytes: 300, args: ['--max-storage-mb', '4'], allow }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 6; i++) {
		a.send({ type: 'file', blob: await upload(s, a.token, noise(900_000, i)), filename: `f${i}.bin` });
		await a.next('file');
	}
	await until('the oldest are gone', async () => {
		a.send({ type: 'history' });
		return (await a.next('history')).messages.filter(m => m.gone).length === 2;
	});
	const answers = [];
	for (let i = 0; i < 12; i++)
		answers.push((await request(s, 'POST', uploadPath(newKey(), 900_000), { headers: { ...bearer(a.token), 'content-length': 900_000 }, body: noise(900_000, 10 + i) })).status);
	assert.ok(answers.includes(507), `${answers}`);
	assert.ok(answers[0] === 200 || (await status(s)).files_used_bytes > 7 * MB, `${answers}`);
	const st = await status(s);
	assert.equal(st.files_bound_given, true);
	assert.ok(st.files_used_bytes <= 8 * MB, `${st.files_used_bytes}`);
});

diskTest('--max-storage-mb 0 sets no bound; the free reserve stops files, also one under way, and not words', { megabytes: 260, args: ['--max-storage-mb', '0', '--free-reserve-mb', '40'], allow }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast');
	const a = await join2(s, 'a');
	assert.equal((await status(s)).files_bound_bytes, 0);
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	leaveFree(ballast, 60 * MB);
	await upload(s, a.token, noise(10 * MB));
	const refused = await request(s, 'POST', uploadPath(newKey(), 20 * MB), { headers: { ...bearer(a.token), 'content-length': 20 * MB }, body: noise(20 * MB) });
	assert.equal(refused.status, 507);
	assert.match(refused.json.text, /disk/);

	// One is let in, and then something else takes the disk: it stops, and goes on from there when there is room.
	const body = noise(4 * MB, 7), u = slowUpload(s, a.token, body, MB);
	await until('a part is there', () => bytesBelow(path.join(dir, 'data', 'uploads')) >= MB);
	leaveFree(ballast, 35 * MB);
	await until('it is low', async () => (await status(s)).disk_state === 'low');
	assert.match(await statusText(s), /LOW: files are refused/);
	assert.ok([507, 'EPIPE', 'ECONNRESET'].includes(await u.more()));
	a.send({ type: 'file', data: noise(100_000).toString('base64'), filename: 'f', cid: 'f' });
	assert.equal((await a.next(f => f.cid === 'f')).code, 'storage');
	a.send({ type: 'text', text: 'words', cid: 'w' });
	assert.equal((await a.next(f => f.cid === 'w')).type, 'text');
	fs.rmSync(ballast);
	const { offset } = (await request(s, 'GET', `/upload?key=${u.key}`, { headers: bearer(a.token) })).json;
	assert.ok(offset >= MB / 2 && offset < body.length, `${offset}`);
	const r = await request(s, 'POST', uploadPath(u.key, body.length, offset), { headers: { ...bearer(a.token), 'content-length': body.length - offset }, body: body.subarray(offset) });
	assert.equal(r.status, 200, `${r.body}`);
	a.send({ type: 'file', blob: r.json.blob, filename: 'f' });
	assert.ok((await request(s, 'GET', (await a.next('file')).url)).body.equals(body));
	await until('it is well', async () => (await status(s)).disk_state === 'ok');
	await s.says(/storage is low/);
	await s.says(/storage has room again/);
});

diskTest('words alone do not fill the disk: they stop at a floor, and begin again when there is room', { megabytes: 160, allow, timeout: 120000 }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast');
	const { message_floor_bytes: floor, disk_bytes } = await status(s);
	assert.equal(floor, Math.floor(disk_bytes / 20));
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	leaveFree(ballast, 20 * MB);
	const people = [];
	for (let i = 0; i < 4; i++) people.push(await join2(s, `p${i}`));
	const acked = new Map(), text = '€'.repeat(4000);
	let isOver = false, round = 0;
	const write = async () => {
		for (isOver = false; round === 0 || (await status(s)).disk_state !== 'full'; round++, isOver = false)
			await Promise.all(people.map(async (p, i) => {
				for (let n = 1000 * round; !isOver; n++) {
					const cids = Array.from({ length: 20 }, (_, k) => `${i}-${n}-${k}`);
					for (const cid of cids) p.send({ type: 'text', text: cid + text.slice(cid.length), cid });
					for (const cid of cids) {
						const f = await p.next(g => g.cid === cid && (g.type === 'error' || g.self), 20000);
						if (f.type === 'error') {
							assert.equal(f.code, 'storage');
							isOver = true;
						} else acked.set(f.id, cid);
					}
					p.frames.length = 0;
					p.unread.length = 0;
				}
			}));
	};
	// A checkpoint may give some room back at any time: on until there is none. Then nobody new comes in.
	for (let code, i = 0; code !== 'storage'; i++) {
		await write();
		const late = await s.connect();
		late.send({ type: 'join', v: 2, name: `late${i}` });
		({ code } = await late.take());
	}
	assert.ok(acked.size > 100, `${acked.size}`);
	assert.ok(freeBytes(dir) > MB, `${freeBytes(dir)} bytes are free`);
	assert.ok(reserveBytes(dir) >= 32 * MB, 'the reserve is not for words');
	// Nobody is kept from reading; a message that is stored already is answered.
	const [p] = people, again = [...acked.values()].find(cid => cid.startsWith('0-'));
	p.send({ type: 'text', text: again + text.slice(again.length), cid: again });
	assert.equal((await p.next(f => f.cid === again)).type, 'text');
	const have = await history(s, p.token);
	assert.deepEqual(have.map(m => m.id), [...acked.keys()].sort((x, y) => x - y));
	fs.rmSync(ballast);
	await until('words pass again', async () => {
		p.send({ type: 'text', text: 'on', cid: 'on' });
		return (await p.next(f => f.cid === 'on')).type === 'text';
	});
	assert.deepEqual((await history(s, p.token)).slice(0, -1), have);
});

diskTest('a full disk: bans, mutes and deletions hold, the server starts again on it, and the reserve comes back', { megabytes: 200, args: ['--free-reserve-mb', '20', '--max-storage-mb', '0'], allow, timeout: 150000 }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast');
	const [a, , troll] = [await join2(s, 'ann'), await join2(s, 'ben'), await join2(s, 'troll')];
	const files = [];
	for (let i = 0; i < 4; i++) {
		a.send({ type: 'file', blob: await upload(s, a.token, noise(3 * MB, i)), filename: `f${i}` });
		files.push(await a.next('file'));
	}
	const texts = [];
	for (let i = 0; i < 300; i++) {
		troll.send({ type: 'text', text: `spam ${i} ${'€'.repeat(3900)}`, cid: `t${i}` });
		texts.push((await troll.next(f => f.cid === `t${i}`)).id);
	}
	a.send({ type: 'text', text: 'kept' });
	await a.next(f => f.text === 'kept');
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	const before = await history(s, a.token);
	assert.equal(before.length, 305);
	await until('the collector knows that the uploads were used', () => fs.readdirSync(path.join(dir, 'data', 'uploads'), { recursive: true }).filter(n => n.endsWith('.used')).length === 4);

	// Full to the last byte, killed, and started on the full disk: that needs the room of the log at least.
	fillUp(ballast);
	await s.kill9();
	fillUp(ballast);
	await s.restart();
	assert.deepEqual(await history(s, a.token), before);
	assert.match(await statusText(s), /FULL: messages and files are refused/);
	const a2 = await join2(s, '', { token: a.token });
	a2.send({ type: 'text', text: 'refused', cid: 'r' });
	assert.equal((await a2.next(f => f.cid === 'r')).code, 'storage');

	// The admin goes on.
	await ctl(s, ['ban', 'troll', '--reason', 'spam']);
	await ctl(s, ['mute', 'ben', '--for', '1h']);
	await ctl(s, ['slow', '5']);
	await ctl(s, ['delete', texts[0], texts[1], files[0].id]);
	for (let i = 2; i < 300; i += 100) await ctl(s, ['delete', ...texts.slice(i, i + 100)]);
	// A deletion makes room: that of the file, and of 3.5 MB of words.
	const blobs = path.join(dir, 'data', 'blobs');
	await until('the bytes are gone', () => bytesBelow(blobs) === 9 * MB, 70000);
	assert.ok(freeBytes(dir) > 2 * MB, `${freeBytes(dir)}`);
	await until('the database is smaller', () => fs.statSync(path.join(dir, 'data', 'wavechat.db')).size < 2 * MB && fs.statSync(path.join(dir, 'data', 'wavechat.db-wal')).size < MB, 30000);
	// Once something else has taken that as well, it is the reserve's turn.
	fillUp(ballast);
	for (let n = 0; reserveBytes(dir) > 0; n++) {
		assert.ok(n < 200, 'a full disk took all of it');
		await ctl(s, ['mute', '--name', `x${n}`, '--reason', 'r'.repeat(390)]);
		fillUp(ballast);
	}
	await s.says(/reserve given up/);
	assert.equal((await status(s)).reserve_file, false);
	const mutes = (await ctlJson(s, ['mutes'])).sanctions.length, bans = (await ctlJson(s, ['bans'])).sanctions;
	assert.equal(bans.length, 1);

	// What the reserve set free is not for words, not after a kill either; and all of it held.
	for (const isAgain of [false, true]) {
		if (isAgain) {
			await s.kill9();
			await s.restart();
		}
		const c = await join2(s, '', { token: a.token });
		c.send({ type: 'text', text: 'refused', cid: `r${isAgain}` });
		assert.equal((await c.next(f => f.cid === `r${isAgain}`)).code, 'storage');
		assert.deepEqual((await ctlJson(s, ['bans'])).sanctions, bans);
		assert.equal((await ctlJson(s, ['mutes'])).sanctions.length, mutes);
		const banned = await s.connect();
		banned.send({ type: 'join', v: 2, name: '', token: troll.token });
		assert.equal((await banned.closed).code, 4002);
		c.ws.close();
	}
	const gone = new Set([...texts, files[0].id]);
	const after = await history(s, a.token);
	assert.deepEqual(after.filter(m => !m.deleted), before.filter(m => !gone.has(m.id)));
	for (const [i, f] of files.entries()) {
		const r = await request(s, 'GET', f.url);
		if (i === 0) assert.ok([404, 410].includes(r.status));
		else assert.ok(r.body.equals(noise(3 * MB, i)), `file ${i}`);
	}

	// Room again.
	fs.rmSync(ballast);
	await until('the reserve is made again', () => reserveBytes(dir) >= 32 * MB);
	const d = await join2(s, '', { token: a.token });
	await until('words pass', async () => {
		d.send({ type: 'text', text: 'on', cid: 'on' });
		return (await d.next(f => f.cid === 'on')).type === 'text';
	});
	assert.deepEqual((await history(s, a.token)).slice(0, -1).map(m => m.id), after.map(m => m.id));
	assert.equal((await status(s)).disk_state, 'ok');
});

diskTest('a full disk without a reserve: what is there is shown; where not even that goes, a start is refused in one line and touches nothing', { megabytes: 64, args: ['--free-reserve-mb', '0'], allow }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast'), a = await join2(s, 'a');
	await until('it says so', () => /no reserve file/.test(s.output));
	assert.equal(fs.existsSync(path.join(dir, 'data', 'reserve')), false, 'a disk too small for it');
	for (let i = 0; i < 100; i++) {
		a.send({ type: 'text', text: 'x'.repeat(4000), cid: `c${i}` });
		await a.next(f => f.cid === `c${i}`);
	}
	const before = await history(s, a.token);
	fillUp(ballast);
	await s.kill9();
	fillUp(ballast);
	await s.restart();
	assert.deepEqual(await history(s, a.token), before);
	const b = await join2(s, '', { token: a.token });
	let answer;
	for (let i = 0; i < 20 && answer?.code !== 'storage'; i++) { // the start and the upkeep give some back
		fillUp(ballast);
		b.send({ type: 'text', text: 'refused', cid: `r${i}` });
		answer = await b.next(f => f.cid === `r${i}`);
	}
	assert.equal(answer.code, 'storage');
	fs.rmSync(ballast);
	await s.stop();
	fillUp(ballast);
	const names = () => fs.readdirSync(path.join(dir, 'data')).filter(n => !/-(wal|shm)$/.test(n)), were = names(), db = fs.readFileSync(path.join(dir, 'data', 'wavechat.db'));
	await assert.rejects(s.restart());
	assert.match(s.output, /^wavechatd: cannot write .*wavechat\.db: No space left on device: free some space, or name a directory on another disk with --data\n$/);
	assert.deepEqual(names(), were);
	assert.ok(fs.readFileSync(path.join(dir, 'data', 'wavechat.db')).equals(db));
	fs.rmSync(ballast);
	await s.restart();
	assert.deepEqual(await history(s, a.token), before);
});

diskTest('a full disk with a reserve: also where the database cannot be opened without room, the server starts', { megabytes: 200, args: ['--free-reserve-mb', '0'], allow }, async (s, dir) => {
	const a = await join2(s, 'a');
	a.send({ type: 'text', text: 'kept' });
	await a.next('text');
	const before = await history(s, a.token);
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	await s.stop();
	fillUp(path.join(dir, 'ballast'));
	await s.restart();
	await s.says(/reserve given up/);
	assert.equal(reserveBytes(dir), 0);
	assert.deepEqual(await history(s, a.token), before);
	await ctl(s, ['ban', '--name', 'somebody']);
	fs.rmSync(path.join(dir, 'ballast'));
	await until('the reserve is made again', () => reserveBytes(dir) >= 32 * MB);
});

diskTest('a disk that fills and empties, and kills in between: what was accepted is there once, what was refused is not, and bans hold', { megabytes: 180, args: ['--free-reserve-mb', '10', '--max-storage-mb', '0'], allow, timeout: 150000 }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast'), acked = new Map(), refused = new Set(), files = new Map(), banned = [];
	const { token } = await join2(s, 'ann');
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	for (let round = 0; round < 8; round++) {
		const c = await join2(s, '', { token });
		if (round % 2) fillUp(ballast);
		else fs.rmSync(ballast, { force: true });
		let left = 40;
		const sender = (async () => {
			for (let n = 0; left > 0; n++, left--) {
				const cid = `${round}-${n}`, body = noise(30_000, 100 * round + n);
				c.send(n % 4 ? { type: 'text', text: `${cid} ${'€'.repeat(1000)}`, cid } : { type: 'file', data: body.toString('base64'), filename: cid, cid });
				const f = await c.next(g => g.cid === cid && (g.type === 'error' || g.self));
				if (f.type === 'error') refused.add(cid);
				else acked.set(f.id, cid);
				if (f.type === 'file') files.set(f.id, [f.url, body]);
			}
		})().catch(() => {});
		if (round % 2) {
			const name = `banned ${round}`;
			await ctl(s, ['ban', '--name', name, '--reason', 'r'.repeat(300)]);
			banned.push(name);
		}
		await until('half of it is sent', () => left <= 20 - round);
		await s.kill9();
		await sender;
		if (round % 2) fillUp(ballast);
		await s.restart();
		const sanctions = (await ctlJson(s, ['bans'])).sanctions.map(b => b.name);
		assert.deepEqual(sanctions, banned);
		const have = (await history(s, token)).map(m => m.id);
		assert.deepEqual(have.filter(id => acked.has(id)), [...acked.keys()].sort((x, y) => x - y), `round ${round}`);
		assert.ok(have.length <= acked.size + round + 1, 'at most the one that was under way was stored without a word');
	}
	assert.ok(refused.size > 0 && acked.size > 40, `${refused.size} refused, ${acked.size} accepted`);
	fs.rmSync(ballast, { force: true });
	for (const [url, body] of files.values()) assert.ok((await request(s, 'GET', url)).body.equals(body));
	// What was refused is sent again, and stored then.
	const d = await join2(s, '', { token });
	for (const cid of refused)
		await until(`${cid} is taken`, async () => {
			d.send({ type: 'text', text: cid, cid });
			return (await d.next(g => g.cid === cid)).type === 'text';
		});
	const texts = (await history(s, token)).filter(m => m.type === 'text').map(m => m.text.split(' ')[0]);
	assert.equal(new Set(texts).size, texts.length, 'nothing twice');
	for (const cid of refused) assert.ok(texts.includes(cid));
	await until('the reserve is made again', () => reserveBytes(dir) >= 32 * MB);
});

diskTest('a full disk: a purge of many goes through, a little at a time, with what the reserve sets free', { megabytes: 200, args: ['--free-reserve-mb', '0', '--max-storage-mb', '0'], allow, timeout: 120000 }, async (s, dir) => {
	const ballast = path.join(dir, 'ballast'), a = await join2(s, 'ann'), troll = await join2(s, 'troll');
	const kept = [];
	for (let i = 0; i < 2000; i++) {
		const who = i % 100 ? troll : a, cid = `c${i}`;
		who.send({ type: 'text', text: `${i} ${'x'.repeat(500)}`, cid });
		const f = await who.next(g => g.cid === cid);
		if (who === a) kept.push(f.id);
	}
	await until('the reserve file', () => reserveBytes(dir) >= 32 * MB);
	await s.kill9();
	fillUp(ballast);
	await s.restart();
	await ctl(s, ['purge', 'troll', '--yes'], { timeout: 60000 });
	assert.deepEqual((await history(s, a.token)).filter(m => !m.deleted).map(m => m.id), kept);
	await s.kill9();
	await s.restart();
	assert.deepEqual((await history(s, a.token)).filter(m => !m.deleted).map(m => m.id), kept);
});

serverTest('the bounds change at SIGHUP', {}, async s => {
	// The same server with a file of settings.
	const file = path.join(s.dir, 'settings');
	fs.writeFileSync(file, '');
	await s.stop();
	s.options.args = ['--config', file];
	await s.spawn();
	const was = await status(s);
	assert.equal(was.files_bound_given, false);
	fs.writeFileSync(file, 'WAVECHAT_MAX_STORAGE_MB=50\nWAVECHAT_FREE_RESERVE_MB=7\n');
	s.child.kill('SIGHUP');
	await until('they hold', async () => {
		const now = await status(s);
		return now.files_bound_bytes === 50 * MB && now.files_bound_given && now.free_reserve_bytes === 7 * MB;
	});
	fs.writeFileSync(file, '');
	s.child.kill('SIGHUP');
	await until('they are as they were', async () => (await status(s)).free_reserve_bytes === was.free_reserve_bytes);
});
