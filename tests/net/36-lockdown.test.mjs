// A lockdown: no new people, or nobody writes; told to clients, kept through any end of the server, over at its time, and nothing accepted is lost.
import assert from 'node:assert/strict';
import test from 'node:test';
import { adminRequest, ctl, ctlJson, ctlRaw, metric, socketOf } from './admin.mjs';
import { Server, exact, serverTest, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';

const refusedJoin = { type: 'error', code: 'lockdown', text: /lets no new people in/ };
const refusedText = cid => ({ type: 'error', code: 'lockdown', text: /^Nobody can write now/, ...(cid && { cid }) });
const texts = async (s, c) => {
	c.send({ type: 'history', limit: 1000 });
	return (await c.next('history')).messages.map(m => m.text ?? m.filename);
};
const upload = (s, token, key, body, offset = 0) => fetch(`${s.url}/upload?key=${key}&size=${body.length}&offset=${offset}`,
	{ method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: body.subarray(offset) });
/** Joins that are to be refused: the answer, and how the connection ends. */
async function refused(s, frame) {
	const c = await s.connect();
	c.send(frame);
	const error = await c.next('error');
	return { error, end: await c.closed };
}

serverTest('no new people: guests and newcomers are refused and closed, everyone known comes and goes', async s => {
	const a = await join2(s, 'a'), old = await s.join('old');
	a.send({ type: 'link' });
	const { code } = await a.next('link');
	assert.equal((await ctl(s, ['lockdown'])).stdout, 'lockdown: off\n');
	assert.equal((await ctl(s, ['lockdown', 'on', '--reason', 'a flood'])).stdout, 'lockdown: no new people are let in, until it is ended\n');
	exact(await a.next('lockdown'), { type: 'lockdown', on: true, read_only: false });

	const newcomer = await refused(s, { type: 'join', v: 2, name: 'b' });
	exact(newcomer.error, refusedJoin);
	assert.equal(newcomer.end.code, 1008);
	const guest = await refused(s, { type: 'join', name: 'guest' });
	assert.equal(guest.error.code, 'lockdown');
	assert.equal(guest.end.code, 1008);

	const again = await join2(s, '', { token: a.token });
	assert.equal(again.id, a.id);
	exact(again.init.lockdown, { read_only: false });
	const device = await join2(s, '', { code });
	assert.equal(device.id, a.id, 'a link of somebody known lets another device in');
	a.text('we go on');
	for (const c of [again, device, old]) await c.next({ type: 'text', text: 'we go on' });
	old.text('me too');
	await a.next({ type: 'text', text: 'me too' });

	assert.equal(await metric(s, 'lockdown'), 1);
	assert.equal(await metric(s, 'lockdown_refused_total{what="joins"}'), 2);
	assert.equal(await metric(s, 'error_codes_total{code="lockdown"}'), 2);
	exact((await ctlJson(s, ['status'])).lockdown, { on: true, read_only: false, until: 0 });
	assert.match((await ctl(s, ['status'])).stdout, /^lockdown +no new people are let in, until it is ended$/m);

	assert.equal((await ctl(s, ['lockdown', 'off'])).stdout, 'lockdown: off\n');
	exact(await a.next('lockdown'), { type: 'lockdown', on: false, read_only: false });
	const b = await join2(s, 'b');
	assert.equal(b.init.lockdown, undefined);
	assert.match((await ctl(s, ['status'])).stdout, /^lockdown +off$/m);
	assert.match((await ctl(s, ['audit'])).stdout, /lockdown +no new people +a flood\n.*lockdown +off *$/m);
	assert.equal(old.unread.filter(f => f.type === 'lockdown').length, 0, 'the first dialect is sent no frame that it does not know');
});

serverTest('read-only: texts, private ones, files, voices, typing and uploads are refused; the admin still speaks; nothing is stored', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), old = await s.join('old');
	a.text('before', { cid: 'c0' });
	await b.next({ type: 'text', text: 'before' });
	const up = await (await upload(s, a.token, 'k0', Buffer.from('stored before'))).json();
	const head = (await ctlJson(s, ['status'])).head;
	await ctl(s, ['lockdown', 'on', '--read-only', '--for', '1h']);
	exact(await a.next('lockdown'), { type: 'lockdown', on: true, read_only: true, retry_ms: v => v > 3590e3 && v <= 3600e3 });

	const data = Buffer.from('hello').toString('base64');
	const frames = [{ type: 'text', text: 't' }, { type: 'text', text: 'dm', to_id: b.id }, { type: 'file', filename: 'f', data }, { type: 'voice', data },
		{ type: 'file', filename: 'g', blob: up.blob }, { type: 'file', filename: 'big', data: 'A'.repeat(400000) }];
	for (const [i, frame] of frames.entries()) {
		a.send({ ...frame, cid: `c${i + 1}` });
		exact(await a.next('error'), { ...refusedText(`c${i + 1}`), text: /^Nobody can write now.*\(until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\)$/, retry_ms: v => v > 3590e3 && v <= 3600e3 });
	}
	a.send({ type: 'typing' });
	old.text('a guest');
	exact(await old.next('error'), { type: 'error', text: /^Nobody can write now/ });
	const answer = await upload(s, a.token, 'k1', Buffer.from('not now'));
	assert.equal(answer.status, 423);
	assert.ok(Number(answer.headers.get('retry-after')) > 3500);
	exact(await answer.json(), { error: 'lockdown', retry_ms: v => v > 3590e3 && v <= 3600e3 });

	// What was stored before is still answered with its echo; what is read is read.
	a.text('before', { cid: 'c0' });
	assert.equal((await a.next({ type: 'text', cid: 'c0' })).text, 'before');
	assert.deepEqual(await texts(s, b), ['before']);
	await ctl(s, ['say', 'we are looking into it']);
	await b.next({ type: 'system', text: 'we are looking into it' });
	assert.deepEqual(b.unread.filter(f => ['text', 'file', 'voice', 'typing'].includes(f.type)), []);

	exact(await ctlJson(s, ['lockdown']), { on: true, read_only: true, until: v => Math.abs(v - Date.now() - 3600e3) < 60e3 });
	assert.equal((await ctlJson(s, ['status'])).head, head);
	assert.equal(await metric(s, 'lockdown'), 2);
	assert.equal(await metric(s, 'lockdown_refused_total{what="messages"}'), 7, 'a repetition, which has its echo, is none; the guest is one');
	assert.equal(await metric(s, 'lockdown_refused_total{what="uploads"}'), 1);
	assert.equal(await metric(s, 'lockdown_refused_total{what="typing"}'), 1);

	await ctl(s, ['lockdown', 'off']);
	await a.next({ type: 'lockdown', on: false });
	a.send({ ...frames[0], cid: 'c1' });
	assert.equal((await a.next({ type: 'text', cid: 'c1' })).text, 't', 'the same message is taken when it is over');
	assert.deepEqual(await texts(s, b), ['before', 't']);
});

serverTest('an upload under way stops where it is, and goes on from there afterwards', async s => {
	const a = await join2(s, 'a');
	const body = Buffer.alloc(3 << 20, 7);
	const { request } = await import('node:http');
	const answered = new Promise((resolve, reject) => {
		const r = request(`${s.url}/upload?key=u&size=${body.length}&offset=0`, { method: 'POST', headers: { Authorization: `Bearer ${a.token}`, 'Content-Length': body.length } }, resolve);
		r.on('error', reject);
		r.write(body.subarray(0, 1 << 20));
		(async () => {
			const state = () => fetch(`${s.url}/upload?key=u`, { headers: { Authorization: `Bearer ${a.token}` } }).then(x => x.json());
			while (!((await state()).offset > 0)) await sleep(20);
			await ctl(s, ['lockdown', 'on', '--read-only']);
			r.end(body.subarray(1 << 20));
		})().catch(reject);
	});
	const answer = await answered;
	assert.equal(answer.statusCode, 423);
	answer.resume();
	await ctl(s, ['lockdown', 'off']);
	const { offset } = await (await fetch(`${s.url}/upload?key=u`, { headers: { Authorization: `Bearer ${a.token}` } })).json();
	assert.ok(offset > 0 && offset < body.length, `${offset} bytes were kept`);
	const done = await (await upload(s, a.token, 'u', body, offset)).json();
	a.send({ type: 'file', filename: 'whole', blob: done.blob, cid: 'f' });
	const { url, size } = await a.next({ type: 'file', cid: 'f' });
	assert.equal(size, body.length);
	assert.ok(body.equals(Buffer.from(await (await s.get(url)).arrayBuffer())));
});

serverTest('it outlives a stop and kill -9, with what was written before, and a later one takes its place', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 20; i++) a.text(`m${i}`, { cid: `m${i}` });
	await a.next({ type: 'text', cid: 'm19' });
	await ctl(s, ['lockdown', 'on', '--read-only']);
	s.allow = /lockdown level=/; // said at a start, where it might be forgotten
	for (const end of ['stop', 'kill9']) {
		await s[end]();
		await s.restart();
		const c = await join2(s, '', { token: a.token });
		exact(c.init.lockdown, { read_only: true });
		c.text('no', { cid: `no-${end}` });
		exact(await c.next('error'), refusedText(`no-${end}`));
		exact((await refused(s, { type: 'join', v: 2, name: 'b' })).error, refusedJoin);
		assert.deepEqual(await texts(s, c), Array.from({ length: 20 }, (_, i) => `m${i}`));
	}
	const { stdout } = await ctl(s, ['lockdown', 'on']);
	assert.match(stdout, /^lockdown: no new people are let in, until it is ended\nbefore: nobody writes, and no new people are let in, until it is ended\n$/);
	const c = await join2(s, '', { token: a.token });
	exact(c.init.lockdown, { read_only: false });
	c.text('now again', { cid: 'x' });
	await c.next({ type: 'text', cid: 'x' });
	await s.kill9();
	await s.restart();
	exact(await ctlJson(s, ['lockdown']), { on: true, read_only: false, until: 0 });
	await ctl(s, ['lockdown', 'off']);
	await s.kill9();
	await s.restart();
	exact(await ctlJson(s, ['lockdown']), { on: false, read_only: false, until: 0 });
	assert.equal((await ctl(s, ['audit'])).stdout.match(/\blockdown\b/g)?.length, 3);
});

serverTest('with a time it ends by itself, live and across a restart, and clients are told', async s => {
	const a = await join2(s, 'a');
	await ctl(s, ['lockdown', 'on', '--read-only', '--for', '2s']);
	await a.next({ type: 'lockdown', on: true });
	a.text('held', { cid: 'h' });
	const { retry_ms } = await a.next('error');
	assert.ok(retry_ms > 0 && retry_ms <= 2000);
	exact(await a.next('lockdown', 10000), { type: 'lockdown', on: false, read_only: false });
	a.text('held', { cid: 'h' });
	await a.next({ type: 'text', cid: 'h' });
	await join2(s, 'b');
	assert.equal(await metric(s, 'lockdown'), 0);
	exact(await ctlJson(s, ['lockdown']), { on: false, read_only: false, until: 0 });

	await ctl(s, ['lockdown', 'on', '--for', '1s']);
	await s.kill9();
	await sleep(1100);
	await s.restart();
	exact(await ctlJson(s, ['lockdown']), { on: false, read_only: false, until: 0 });
	await join2(s, 'c');
});

serverTest('what makes no sense is refused, by the program and at the socket, and changes nothing', async s => {
	for (const args of [['lockdown', 'maybe'], ['lockdown', 'off', '--for', '1h'], ['lockdown', '--read-only'], ['lockdown', 'on', '--for', 'soon'], ['lockdown', 'on', 'off']]) {
		const r = await ctlRaw(['--socket', socketOf(s), ...args]);
		assert.equal(r.status, 2, args.join(' '));
		assert.match(r.stderr, /lockdown|--for/);
	}
	for (const body of [{}, { on: 'yes' }, { on: 1 }, { on: false, read_only: true }, { on: false, for_s: 5 }, { on: true, for_s: 0 }, { on: true, for_s: -1 }, { on: true, for_s: 1e12 },
		{ on: true, reason: 'x'.repeat(401) }, { on: true, nonsense: 1 }])
		assert.equal((await adminRequest(s, 'POST', '/v1/lockdown', body)).status, 400, JSON.stringify(body).slice(0, 80));
	exact(await ctlJson(s, ['lockdown']), { on: false, read_only: false, until: 0 });
	assert.equal((await ctl(s, ['audit'])).stdout.match(/lockdown/g), null);
});

test('a flood of people and messages that a lockdown refuses costs the store nothing', { timeout: 60000 }, async () => {
	const s = await Server.start({ limits: true, args: ['--handshake-rate', '0', '--max-connections-per-ip', '0'] });
	try {
		const a = await join2(s, 'a');
		await ctl(s, ['lockdown', 'on', '--read-only']);
		const commits = await metric(s, 'commits_total');
		for (let i = 0; i < 100; i++) assert.equal((await refused(s, { type: 'join', v: 2, name: `n${i}` })).error.code, 'lockdown');
		for (let i = 0; i < 300; i++) a.text('spam', { cid: `s${i}` });
		// Whoever goes on regardless is over the limits as ever.
		await a.next({ type: 'error', code: 'rate_limited' });
		assert.equal(await metric(s, 'commits_total'), commits);
		assert.equal(await metric(s, 'lockdown_refused_total{what="joins"}'), 100);
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});
