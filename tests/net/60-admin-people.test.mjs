// The admin's acts on people: each is seen on the wire at once, on every tab, says why, and outlives a restart.
import assert from 'node:assert/strict';
import { exact, fence, isError, nothingFor, overTls, serverTest } from './lib.mjs';
import { Raw } from './raw.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlJson, adminRequest, metric } from './admin.mjs';

/** Joins and says how that ended: the init, or the close. */
async function tryJoin(s, join) {
	const c = await s.connect();
	c.send({ type: 'join', ...join });
	const frames = [];
	for (;;) {
		const f = await c.answer();
		frames.push(f);
		if (f.type === 'init' || f.type === '(closed)') return { c, last: f, frames, reason: c.end && c.end.reason };
	}
}

serverTest('status and users tell who is here', async s => {
	const a = await join2(s, 'Аня 🌊'), b = await s.join('old');
	const tab = await join2(s, '', { token: a.token });
	const st = await ctlJson(s, ['status']);
	assert.equal(st.online, 2);
	assert.equal(st.connections, 3);
	assert.equal(st.sessions_v1, 1);
	assert.equal(st.sessions_v2, 2);
	assert.equal(st.pid, s.pid);
	assert.equal(st.port, s.port);
	const human = await ctl(s, ['status']);
	assert.match(human.stdout, /^online +2 people, 3 connections/m);
	const users = await ctl(s, ['users']);
	const lines = users.stdout.trimEnd().split('\n');
	assert.match(lines[0], /^ *ID  NAME +KIND +TABS  SEEN +STATE +ADDRESS$/);
	assert.match(lines[1], new RegExp(`^ *${a.id}  Аня 🌊 +identity +2  now +127\\.0\\.0\\.1$`));
	assert.match(lines[2], new RegExp(`^ *${b.id}  old +guest +1  now +127\\.0\\.0\\.1$`));
	assert.equal(lines[3], '2 online');
	// 🌊 takes two columns: the next column begins where the head's does
	const columns = t => [...t].reduce((n, ch) => n + (ch === '🌊' ? 2 : 1), 0);
	assert.equal(columns(lines[1].slice(0, lines[1].indexOf('identity'))), lines[0].indexOf('KIND'));
	await tab.close();
});

serverTest('kick closes every tab with 4001 and the reason; who was kicked may come back', async s => {
	const a = await join2(s, 'a'), old = await s.join('old'), b = await join2(s, 'b');
	const tab = await join2(s, '', { token: a.token });
	const r = await ctl(s, ['kick', 'a', '--reason', 'Причина: spam']);
	assert.match(r.stdout, /kicked a \(\d+\): 2 connections closed/);
	for (const c of [a, tab]) assert.deepEqual(await c.closed, { code: 4001, reason: 'Причина: spam' });
	await ctl(s, ['kick', String(old.id)]);
	exact(await old.next('error'), { type: 'error', text: /^You were sent out: / });
	assert.equal((await old.closed).code, 4001);
	const again = await join2(s, '', { token: a.token });
	assert.equal(again.id, a.id);
	await fence(again, [again, b]);
});

serverTest('what a kicked client had sent behind counts no more', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const kicked = ctl(s, ['kick', 'a']);
	let n = 0;
	const timer = setInterval(() => { for (let i = 0; i < 20; i++) a.text(`m${n++}`); }, 1);
	await a.closed;
	clearInterval(timer);
	await kicked;
	await fence(b);
	const texts = b.frames.filter(f => f.type === 'text' && f.from_id === a.id);
	await fence(b);
	assert.equal(b.frames.filter(f => f.type === 'text' && f.from_id === a.id).length, texts.length);
});

serverTest('a ban of an identity: out at once, not in again, by token or after a restart; lifted, in again', async s => {
	const a = await join2(s, 'a'), tab = await join2(s, '', { token: a.token }), b = await join2(s, 'b');
	const r = await ctl(s, ['ban', 'a', '--reason', 'no more']);
	assert.match(r.stdout, /^banned a \(\d+\) for good, number 1\n2 connections of theirs closed now\n$/);
	for (const c of [a, tab]) assert.deepEqual(await c.closed, { code: 4002, reason: 'no more' });
	await fence(b);
	for (let round = 0; round < 2; round++) {
		const t = await tryJoin(s, { v: 2, name: '', token: a.token });
		assert.deepEqual([t.last.type, t.last.code, t.reason], ['(closed)', 4002, 'no more']);
		if (round === 0) {
			await s.stop();
			await s.restart();
		}
	}
	assert.match((await ctl(s, ['bans'])).stdout, /identity +a \(\d+\) .* for good .* no more$/m);
	await ctl(s, ['unban', 'a']);
	assert.equal((await ctl(s, ['bans'])).stdout, 'nobody is banned\n');
	const back = await join2(s, '', { token: a.token });
	assert.equal(back.id, a.id);
	const audit = await adminRequest(s, 'GET', '/v1/verbs');
	assert.ok(audit.json.verbs.length > 10);
});

serverTest('a ban of a name holds for who looks alike, whatever dialect, and not for others', async s => {
	const b = await s.join('Boris');
	await ctl(s, ['ban', 'boris']); // a guest: it is the name
	exact(await b.next('error'), { type: 'error', text: /^You are banned: / });
	assert.equal((await b.closed).code, 4002);
	for (const join of [{ name: 'BORIS' }, { name: ' Boris\u200b' }, { v: 2, name: 'boris' }, { name: 'Ｂoris' },
		{ name: '\u0412\u043eris' }, { v: 2, name: '\u0412oris' }]) {
		const t = await tryJoin(s, join);
		assert.deepEqual([t.last.type, t.last.code], ['(closed)', 4002], JSON.stringify(join));
	}
	await s.join('Boris 3');
	await ctl(s, ['ban', '--name', 'Nobody Yet', '--for', '1h', '--reason', 'why']);
	const t = await tryJoin(s, { v: 2, name: 'nobody yet' });
	assert.match(t.reason, /^why \(until \d{4}-\d\d-\d\d \d\d:\d\d UTC\)$/);
	await ctl(s, ['unban', '--name', 'NOBODY yet']);
	assert.equal((await tryJoin(s, { v: 2, name: 'nobody yet' })).last.type, 'init');
});

serverTest('a guest banned under a number does not get it again, nor does anybody else', async s => {
	await join2(s, 'Ann');
	const guest = await tryJoin(s, { name: 'Ann' });
	assert.equal(guest.last.my_name, 'Ann 2');
	await ctl(s, ['ban', 'Ann 2']);
	assert.equal((await guest.c.closed).code, 4002);
	const again = await tryJoin(s, { name: 'Ann' });
	assert.deepEqual([again.last.type, again.last.code], ['(closed)', 4002]);
	const other = await tryJoin(s, { v: 2, name: 'Ann' });
	assert.equal(other.last.my_name, 'Ann 3');
	await other.c.close();
	assert.equal((await tryJoin(s, { v: 2, token: other.last.token })).last.my_name, 'Ann 3');
});

serverTest('bans of addresses and networks meet everybody there, before anything else does', async s => {
	const a = await join2(s, 'a'), old = await s.join('old');
	const turnedAway = () => assert.rejects(s.connect(), overTls ? /disconnected|ECONNRESET|hang up/ : /403/);
	const kept = overTls ? null : await Raw.connect(s); // open since before the ban, and between two requests
	const ask = async () => {
		kept.socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
		return (await kept.response()).status;
	};
	if (kept) assert.equal(await ask(), 200);
	await ctl(s, ['ban', '--ip', '127.0.0.0/8', '--reason', 'net', '--force']);
	for (const c of [a, old]) assert.deepEqual(await c.closed, { code: 4002, reason: 'net' });
	await turnedAway();
	if (kept) {
		assert.equal(await ask(), 403);
		await kept.end();
		assert.equal((await s.get('/')).status, 403);
	}
	await ctl(s, ['unban', '--ip', '127.0.0.0/8']);
	await ctl(s, ['ban', '--ip', '127.0.0.2', '--force']);
	await ctl(s, ['ban', '--ip', '2001:db8::/32']);
	assert.equal((await tryJoin(s, { name: 'x' })).last.type, 'init');
	const bans = await ctlJson(s, ['bans']);
	assert.deepEqual(bans.sanctions.map(b => [b.kind, b.net]), [['ip', '127.0.0.2'], ['cidr', '2001:db8::/32']]);
	const c = await join2(s, 'c');
	await ctl(s, ['ban', 'c', '--with-ip', '--force']);
	assert.equal((await c.closed).code, 4002);
	await turnedAway();
	await ctl(s, ['unban', '--number', '5']);
	assert.equal((await tryJoin(s, { name: 'somebody else' })).last.type, 'init');
	assert.ok(await metric(s, 'refused_total{reason="banned"}') >= 2);
});

serverTest('a ban ends when its time is over', async s => {
	const a = await join2(s, 'a');
	await ctl(s, ['ban', 'a', '--for', '1s']);
	assert.equal((await a.closed).code, 4002);
	assert.equal((await tryJoin(s, { v: 2, token: a.token })).last.code, 4002);
	let last;
	for (let i = 0; i < 50 && (!last || last.type !== 'init'); i++) {
		await new Promise(r => setTimeout(r, 100));
		({ last } = await tryJoin(s, { v: 2, token: a.token }));
	}
	assert.equal(last.type, 'init');
	assert.equal((await ctl(s, ['bans'])).stdout, 'nobody is banned\n');
});

serverTest('a muted person reads, may not write, is told so, on every tab and after a restart', async s => {
	const a = await join2(s, 'a'), tab = await join2(s, '', { token: a.token }), b = await join2(s, 'b');
	a.text('before', { cid: 'c0' });
	await b.next({ type: 'text', text: 'before' });
	await ctl(s, ['mute', 'a', '--reason', 'calm down', '--for', '1h']);
	for (const c of [a, tab]) {
		const e = await c.next('error');
		assert.equal(e.code, 'muted');
		assert.match(e.text, /calm down/);
		assert.ok(e.retry_ms > 3500e3 && e.retry_ms <= 3600e3);
	}
	tab.text('now', { cid: 'c1' });
	exact(await tab.next('error'), { type: 'error', code: 'muted', text: /^You are muted: calm down/, cid: 'c1', retry_ms: v => v > 0 });
	a.text('dm', { to_id: b.id });
	assert.equal((await a.next('error')).code, 'muted');
	a.text('before', { cid: 'c0' }); // stored long ago: its echo, no refusal
	assert.equal((await a.next(f => f.cid === 'c0')).text, 'before');
	a.send({ type: 'typing' });
	b.text('read this');
	await a.next({ type: 'text', text: 'read this' });
	assert.ok(!b.frames.some(f => f.type === 'typing' || f.text === 'now' || f.text === 'dm'));
	await s.stop();
	await s.restart();
	const a2 = await join2(s, '', { token: a.token }), b2 = await join2(s, '', { token: b.token });
	a2.text('again');
	assert.equal((await a2.next('error')).code, 'muted');
	assert.match((await ctl(s, ['mutes'])).stdout, /identity +a \(\d+\) .*calm down$/m);
	await ctl(s, ['unmute', 'a']);
	a2.text('free');
	await Promise.all([a2, b2].map(c => c.next({ type: 'text', text: 'free' })));
	const guest = await s.join('guest');
	await ctl(s, ['mute', 'guest']);
	exact(await guest.next('error'), isError);
	guest.text('hello');
	exact(await guest.next('error'), isError);
	await nothingFor(b2, [a2, b2, guest]);
});

serverTest('slow mode: one public message a while, DMs apart; the refusal says how long', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), old = await s.join('old');
	assert.match((await ctl(s, ['slow', '600'])).stdout, /every 600 seconds/);
	a.text('one');
	await b.next({ type: 'text', text: 'one' });
	a.text('two', { cid: 'c2' });
	exact(await a.next('error'), { type: 'error', code: 'rate_limited', cid: 'c2', text: /Slow mode/, retry_ms: v => v > 590e3 && v <= 600e3 });
	a.text('dm', { to_id: b.id });
	await b.next({ type: 'text', text: 'dm' });
	old.text('first');
	await b.next({ type: 'text', text: 'first' });
	old.text('second');
	exact(await old.next('error'), isError);
	await s.stop();
	await s.restart();
	assert.match((await ctl(s, ['slow'])).stdout, /every 600 seconds/);
	await ctl(s, ['slow', '0']);
	const c = await join2(s, 'c');
	for (const t of ['x', 'y', 'z']) c.text(t);
	await c.next({ type: 'text', text: 'z' });
});

serverTest('say reaches everyone, in the words of each dialect', async s => {
	const a = await join2(s, 'a'), old = await s.join('old');
	await ctl(s, ['say', 'Перерыв', 'in 5 minutes']);
	exact(await a.next('system'), { type: 'system', text: 'Перерыв in 5 minutes', at: v => Math.abs(v - Date.now()) < 60000 });
	exact(await old.next({ type: 'system', text: 'Перерыв in 5 minutes' }), { type: 'system', text: 'Перерыв in 5 minutes', ts: /^\d\d:\d\d$/ });
});
