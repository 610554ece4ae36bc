// Descriptors: a limit too low to serve anybody is refused with the number, the lowest that is accepted really serves, and more is never promised.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { adminRequest } from './admin.mjs';
import { Server, binary, noise, overTls, patience, serverTest, sleep, within } from './lib.mjs';
import { join2, newKey, request, upload, uploadPath } from './v2.mjs';

const LINE = /^wavechatd: too few descriptors: (\d+) are needed to serve anybody, and this process may have (\d+): raise the limit of open files \(ulimit -n \1, LimitNOFILE=\1\)\n$/;

/** Runs it under a limit of n, to its end. */
const runWith = (n, args) => new Promise(resolve => execFile('/bin/sh', ['-c', `ulimit -n ${n}; exec "$0" "$@"`, binary, '--port', '0', '--listen', '127.0.0.1', ...args],
	{ timeout: 10000 * patience, env: { PATH: process.env.PATH } }, (e, stdout, stderr) => resolve({ status: e ? e.code : 0, stdout, stderr })));

const kinds = [
	['on disk', dir => ['--data', dir]],
	['in memory', () => ['--data', ':memory:']],
	['with metrics and four threads', dir => ['--data', dir, '--metrics', '127.0.0.1:0', '--threads', '4']],
	['without an admin socket', dir => ['--data', dir, '--admin-socket', 'none']],
];

for (const [what, args] of kinds)
	test(`the lowest accepted number serves everything at once, one less is refused: ${what}`, { timeout: 60000 * patience }, async () => {
		const top = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-few-')), dir = path.join(top, 'data');
		const tls = overTls ? ['--tls-self-signed'] : [];
		try {
			const poor = await runWith(24, [...args(dir), ...tls]);
			assert.equal(poor.status, 1);
			const [, needed, found] = LINE.exec(poor.stderr) || assert.fail(poor.stderr);
			assert.equal(Number(found), 24);
			assert.ok(!fs.existsSync(dir), 'nothing was made');
			for (const more of [[], ['--check']]) {
				const r = await runWith(Number(needed) - 1, [...args(dir), ...tls, ...more]);
				assert.equal(r.status, 1, `${more} ${r.stdout}`);
				assert.equal(LINE.exec(r.stderr)?.[2], String(needed - 1), r.stderr);
			}
			const ok = await runWith(Number(needed), [...args(dir), ...tls, '--check']);
			assert.equal(ok.status, 0, ok.stderr);

			const s = await Server.start({ nofile: Number(needed), args: args(dir), allow: /no admin socket/ });
			try {
				const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await s.join('c');
				const body = noise(3_000_001), second = noise(2_000_003, 2);
				const blob = await upload(s, a.token, body);
				a.send({ type: 'file', blob, filename: 'f.bin' });
				const { url } = await b.next('file');
				await c.next('file');
				for (let i = 0; i < 20; i++) { // with an end that is let go each time: nothing may leak
					const up = upload(s, b.token, second), down = request(s, 'GET', url);
					a.text(`meanwhile ${i}`);
					await Promise.all([b.next({ text: `meanwhile ${i}` }), c.next({ text: `meanwhile ${i}` })]);
					assert.ok((await within(20000 * patience, down, 'the download')).body.equals(body));
					b.send({ type: 'file', blob: await within(20000 * patience, up, 'the upload'), filename: 'g.bin' });
					await a.next(f => f.type === 'file' && f.from_id === b.id);
				}
				// Every place taken: who comes then is told so, those inside go on.
				const others = [];
				for (let i = 0; i < 40; i++) others.push(s.connect().catch(e => e));
				const results = await Promise.all(others);
				assert.ok(results.some(r => r instanceof Error), 'some were refused');
				a.text('to the end');
				await Promise.all([b.next({ text: 'to the end' }), c.next({ text: 'to the end' })]);
				assert.doesNotMatch(s.output, /cannot accept/);
				await s.stop();
			} finally {
				await s.cleanUp();
			}
		} finally {
			fs.rmSync(top, { recursive: true, force: true });
		}
	});

test('a reload does not take the descriptors of clients for those of the parent', { timeout: 60000 * patience }, async () => {
	const top = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-few-')), file = path.join(top, 'settings');
	fs.writeFileSync(file, '');
	const s = await Server.start({ nofile: 256, args: ['--config', file] });
	try {
		const most = async () => (await adminRequest(s, 'GET', '/v1/status')).json.connections_max, before = await most();
		const clients = [];
		assert.ok(before > 100, `${before}`);
		for (let i = 0; i < 60; i++) clients.push(await s.connect());
		s.child.kill('SIGHUP');
		await s.says(/settings reloaded/);
		assert.equal(await most(), before);
		for (let i = clients.length; i < 100; i++) clients.push(await s.connect());
		await s.stop();
	} finally {
		await s.cleanUp();
		fs.rmSync(top, { recursive: true, force: true });
	}
});

serverTest('more connections than descriptors are not promised: both numbers are said', { timeout: 60000, nofile: 256, args: ['--max-connections', '100000'], allow: /max-connections lowered/ }, async s => {
	const [, asked, allowed, limit] = await s.says(/max-connections lowered asked=(\d+) allowed=(\d+) descriptors=(\d+) remedy="raise/);
	assert.equal(asked, '100000');
	assert.equal(limit, '256');
	const held = [];
	for (let i = 0; i < Number(allowed) + 60; i++) held.push(s.connect().then(c => c, () => null));
	const open = (await Promise.all(held)).filter(Boolean);
	assert.ok(open.length <= Number(allowed) && open.length > Number(allowed) / 2, `${open.length} of ${allowed}`);
	assert.doesNotMatch(s.output, /cannot accept/);
	assert.ok(s.fds() < 256);
});

// One by one, each upload takes both of its descriptors before the next one's connection takes any.
for (const [way, pause] of [['at once', 0], ['one by one', 30]]) serverTest(`with all uploads under way there are descriptors left for files and people: ${way}`, { timeout: 60000, nofile: 160, args: ['--max-uploads', '0', '--max-uploads-per-user', '0'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const blob = await upload(s, a.token, noise(1 << 20));
	a.send({ type: 'file', blob, filename: 'f.bin' });
	const { url } = await b.next('file');
	// Begun and not finished: each holds a connection and a part.
	const people = await Promise.all(['c', 'd', 'e'].map(n => join2(s, n)));
	const refused = [];
	for (let i = 0; i < 70; i++, pause && await sleep(pause))
		request(s, 'POST', uploadPath(newKey(), 1000), { headers: { authorization: `Bearer ${people[i % 3].token}`, 'content-length': 1000 }, body: Buffer.alloc(10), endEarly: 40000 * patience })
			.then(r => refused.push(r.status), () => {});
	for (let i = 0; i < 100 * patience && !refused.length; i++) await sleep(50);
	await sleep(300);
	assert.ok(refused.length > 0 && refused.length < 70 && refused.every(status => status === 503 || status === 429), `${refused}`);
	// Those that were refused are let go a moment later; the others are at it until the end.
	let status;
	for (let i = 0; i < 100 * patience && status !== 200; i++, await sleep(100)) status = (await request(s, 'GET', url)).status;
	assert.equal(status, 200);
	a.text('still here');
	await b.next({ text: 'still here' });
	assert.ok(s.fds() < 160);
	assert.doesNotMatch(s.output, /cannot accept/);
});

/** A download that reads its header and then nothing; the status. */
const slowDownload = (s, url, from) => new Promise((resolve, reject) => {
	const req = (s.isSecure ? https : http).request({ host: '127.0.0.1', port: s.port, path: url, agent: false, localAddress: from, rejectUnauthorized: false }, res => {
		res.pause();
		resolve({ status: res.statusCode, end: () => req.destroy() });
	});
	req.on('error', reject).end();
});

serverTest('slow downloads of one address leave some to others', { timeout: 60000, nofile: 160, args: ['--exempt', 'none'] }, async s => {
	const a = await join2(s, 'a');
	const blob = await upload(s, a.token, noise(8 << 20));
	a.send({ type: 'file', blob, filename: 'f.bin' });
	const { url } = await a.next('file'), slow = [];
	for (let i = 0; i < 30; i++) slow.push(await slowDownload(s, url, '127.0.0.2'));
	const count = status => slow.filter(d => d.status === status).length;
	assert.ok(count(200) >= 4 && count(503) > 0 && count(200) + count(503) === 30, `${slow.map(d => d.status)}`);
	const other = await slowDownload(s, url, '127.0.0.3');
	assert.equal(other.status, 200);
	for (const d of [...slow, other]) d.end();
});
