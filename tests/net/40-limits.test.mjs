// How fast people may send, and what comes of it: refused with the moment to go on, muted for a while, sent away.
import assert from 'node:assert/strict';
import { exact, fence, isError, noise, serverTest, sleep } from './lib.mjs';
import { error2, join2, messages, rejoin2, upload } from './v2.mjs';
import { metric } from './admin.mjs';

const tight = ['--message-rate', '5', '--message-burst', '10'];
const echoes = frames => messages(frames).filter(f => f.self);

/** A ping behind everything sent: when its pong is here, so are all answers. */
async function settled(c) {
	c.send({ type: 'ping' });
	await c.next('pong', 15000);
	return c.drain();
}

serverTest('more messages than a burst: the rest is refused with the moment to go on, and passes then', { limits: true, args: tight }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 14; i++) a.text(`m${i}`, { cid: `c${i}` });
	const got = await settled(a);
	assert.deepEqual(echoes(got).map(m => m.text), Array.from({ length: 10 }, (_, i) => `m${i}`));
	const refused = got.filter(f => f.type === 'error');
	assert.deepEqual(refused.map(f => f.cid), ['c10', 'c11', 'c12', 'c13']);
	for (const f of refused) exact(f, error2('rate_limited', { cid: f.cid, retry_ms: v => v > 0 && v <= 200 }));
	assert.equal(await metric(s, 'limited_total{limit="messages"}'), 4);
	for (const f of refused) {
		// The moment is that of the refusal: those before it have taken some since.
		let answer = f;
		for (let tries = 0; tries < 3 && answer.type === 'error'; tries++) {
			await sleep(answer.retry_ms + 5);
			a.text(`again ${f.cid}`, { cid: f.cid });
			answer = await a.next(m => m.cid === f.cid);
		}
		assert.equal(answer.type, 'text');
	}
	assert.equal(await metric(s, 'flood_mutes_total'), 0);
});

serverTest('tabs of one person share their limits; other people do not', { limits: true, args: tight }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const a2 = await join2(s, 'a', { token: a.token });
	for (let i = 0; i < 6; i++) a.text(`one ${i}`, { cid: `x${i}` });
	await settled(a);
	for (let i = 0; i < 6; i++) a2.text(`two ${i}`, { cid: `y${i}` });
	const got = await settled(a2);
	assert.deepEqual(got.filter(f => f.type === 'error').map(f => f.cid), ['y4', 'y5']);
	for (let i = 0; i < 10; i++) b.text(`b ${i}`);
	assert.equal(echoes(await settled(b)).length, 10);
});

serverTest('what was stored already is answered, not counted, and not refused', { limits: true, args: tight }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 9; i++) a.text(`m${i}`, { cid: `c${i}` });
	await settled(a);
	// The line breaks before the echoes are read; all of it goes again, five times.
	for (let n = 0; n < 5; n++) for (let i = 0; i < 9; i++) a.text(`m${i}`, { cid: `c${i}` });
	assert.equal(echoes(await settled(a)).length, 45);
	a.text('the tenth', { cid: 'c9' });
	a.text('one too many', { cid: 'c10' });
	a.text('the tenth', { cid: 'c9' }); // over the limit, and stored: its echo is due all the same
	const got = await settled(a);
	assert.deepEqual(got.map(f => [f.type, f.cid]), [['text', 'c9'], ['error', 'c10'], ['text', 'c9']]);
});

serverTest('repetitions are requests: no way to flood with them', { limits: true, args: ['--request-rate', '2'] }, async s => {
	const a = await join2(s, 'a');
	a.text('once', { cid: 'c' });
	await a.next('text');
	for (let i = 0; i < 30; i++) a.text('once', { cid: 'c' });
	await sleep(600);
	const got = a.drain();
	assert.ok(echoes(got).length >= 19 && echoes(got).length <= 21, `${echoes(got).length} echoes`);
	for (const f of got.filter(f => f.type === 'error')) exact(f, error2('rate_limited', { cid: 'c', retry_ms: v => v > 0 && v <= 500 }));
});

serverTest('who goes on regardless is muted for a while and told why, then closed', { limits: true, args: [...tight, '--flood-mute', '2'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let i = 0; i < 230; i++) a.text(`flood ${i}`, { cid: `f${i}` });
	const muted = await a.next(f => f.code === 'muted');
	exact(muted, error2('muted', { cid: muted.cid, text: /too fast and are muted/, retry_ms: v => v > 1000 && v <= 2000 }));
	assert.equal(await metric(s, 'flood_mutes_total'), 1);
	await settled(a);
	// Reading goes on, writing and typing do not; nobody else is concerned.
	b.text('hello');
	await a.next(f => f.text === 'hello');
	a.send({ type: 'typing' });
	await fence(b, [b]);
	assert.ok(b.drain().every(f => f.type !== 'typing'));
	await sleep(muted.retry_ms + 10);
	a.text('sorry', { cid: 'sorry' });
	assert.equal((await a.next(f => f.cid === 'sorry')).type, 'text');
	// A flood that does not end.
	for (let i = 0; i < 500; i++) a.text(`more ${i}`, { cid: `m${i}` });
	const end = await a.closed;
	assert.deepEqual(end, { code: 1008, reason: 'too fast for too long' });
	assert.equal(a.frames.at(-1).code, 'muted', 'told before it is closed');
	assert.equal(await metric(s, 'evicted_total{reason="flood"}'), 1);
	// Coming back is no way out; waiting is.
	const again = await join2(s, 'a', { token: a.token });
	again.text('here again', { cid: 'again' });
	const answer = await again.next(f => f.cid === 'again');
	assert.equal(answer.code, 'muted');
	await sleep(answer.retry_ms + 10);
	again.text('here again', { cid: 'again' });
	assert.equal((await again.next(f => f.cid === 'again')).type, 'text');
	await fence(b, [b]);
});

serverTest('an old client is told in words, and closed in the end', { limits: true, args: [...tight, '--flood-mute', '3'] }, async s => {
	const a = await s.join('a');
	for (let i = 0; i < 11; i++) a.text(`m${i}`);
	exact(await a.next('error'), { ...isError, text: 'Too many messages at once: wait 1 s' });
	for (let i = 0; i < 450; i++) a.text(`m${i}`);
	await a.next(f => f.type === 'error' && /too fast and are muted: wait 3 s/.test(f.text));
	assert.equal((await a.closed).code, 1008);
});

serverTest('requests have a limit of their own', { limits: true, args: ['--request-rate', '3'] }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 40; i++) a.send({ type: 'who', limit: 1 });
	await a.next(f => f.code === 'rate_limited');
	a.text('talk is another matter', { cid: 't' });
	assert.equal((await a.next(f => f.cid === 't')).type, 'text');
	const got = a.drain();
	assert.ok(Math.abs(got.filter(f => f.type === 'who').length - 30) <= 1);
	const refused = got.find(f => f.type === 'error');
	exact(refused, error2('rate_limited', { retry_ms: v => v > 20 && v <= 334 }));
	await sleep(refused.retry_ms + 5);
	a.send({ type: 'who', limit: 1 });
	await a.next('who');
	assert.ok(await metric(s, 'limited_total{limit="requests"}') >= 9);
});

serverTest('bytes: files in frames and by handle count, a text after them waits', { limits: true, args: ['--byte-rate-kb', '1024', '--byte-burst-mb', '3'] }, async s => {
	const a = await join2(s, 'a');
	const bytes = noise(1 << 20);
	const handle = await upload(s, a.token, bytes);
	a.send({ type: 'file', blob: handle, filename: 'one', cid: 'f1' });
	a.send({ type: 'file', data: bytes.toString('base64'), filename: 'two', cid: 'f2' });
	a.send({ type: 'file', blob: handle, filename: 'three', cid: 'f3' });
	a.send({ type: 'file', blob: handle, filename: 'four', cid: 'f4' });
	for (const cid of ['f1', 'f2', 'f3']) assert.equal((await a.next(f => f.cid === cid)).type, 'file');
	const last = await a.next(f => f.cid === 'f4');
	if (last.type === 'file') { // slow machine: a megabyte's time went by
		a.text('x', { cid: 'f5' });
		return;
	}
	exact(last, error2('rate_limited', { cid: 'f4', retry_ms: v => v > 0 && v <= 1000 }));
	// Until then a frame's bytes are not even stored.
	a.send({ type: 'file', data: noise(1 << 20, 2).toString('base64'), filename: 'five', cid: 'f6' });
	assert.equal((await a.next(f => f.cid === 'f6')).code, 'rate_limited');
	await sleep(1100);
	a.send({ type: 'file', data: noise(1 << 20, 2).toString('base64'), filename: 'five', cid: 'f6' });
	assert.equal((await a.next(f => f.cid === 'f6')).type, 'file');
});

serverTest('typing above its rate is dropped without a word', { limits: true, args: ['--typing-rate', '1'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	const a2 = await join2(s, 'a', { token: a.token });
	for (let i = 0; i < 20; i++) (i % 2 ? a : a2).send({ type: 'typing' });
	await settled(a);
	await settled(a2);
	await fence(a, [a, b]);
	assert.ok(Math.abs(b.drain().filter(f => f.type === 'typing').length - 3) <= 1);
	assert.ok(a.drain().concat(a2.drain()).every(f => f.type === 'text'));
	assert.ok(await metric(s, 'limited_total{limit="typing"}') >= 16);
});

/** Several people of one address each, as a trusted proxy names it. */
const from = address => ({ headers: { 'X-Forwarded-For': address } });
const proxied = ['--trust-proxy', '127.0.0.1'];

serverTest('messages of one address have a limit that new names do not widen', { limits: true, args: [...proxied, '--address-rate', '1'] }, async s => {
	const crowd = [];
	for (let i = 0; i < 4; i++) crowd.push(await join2(s, `n${i}`, {}, from('203.0.113.7')));
	const other = await join2(s, 'other', {}, from('203.0.113.8'));
	for (const c of crowd) for (let i = 0; i < 20; i++) c.text(`${i}`, { cid: `c${i}` });
	let stored = 0;
	for (const c of crowd) {
		const got = await settled(c);
		stored += echoes(got).length;
		for (const f of got.filter(f => f.type === 'error')) exact(f, error2('rate_limited', { cid: f.cid, text: /from your address/, retry_ms: v => v > 0 && v <= 1000 }));
	}
	assert.ok(stored >= 60 && stored <= 62, `${stored} stored`);
	assert.ok(await metric(s, 'limited_total{limit="address_messages"}') >= 18);
	assert.equal(await metric(s, 'limited_total{limit="messages"}'), 0);
	await s.says(/limit reached option="?--address-rate/);
	other.text('I am elsewhere', { cid: 'o' });
	assert.equal((await other.next(f => f.cid === 'o')).type, 'text');
});

serverTest('an IPv6 network of 48 bits may do four times what one of 64 may', { limits: true, args: [...proxied, '--address-requests', '1'] }, async s => {
	let pongs = 0;
	for (let i = 0; i < 6; i++) {
		const c = await join2(s, `n${i}`, {}, from(`2001:db8:1:${i}::1`));
		for (let k = 0; k < 12; k++) c.send({ type: 'ping' });
		c.text('behind them', { cid: 'end' });
		await c.next(f => f.cid === 'end');
		const here = c.drain().filter(f => f.type === 'pong').length;
		assert.ok(here <= 11, `${here} pongs in one /64`);
		pongs += here;
	}
	assert.ok(pongs >= 34 && pongs <= 45, `${pongs} pongs`);
	assert.ok(await metric(s, 'limited_total{limit="address_requests"}') >= 27);
});

serverTest('bytes of one address have a limit', { limits: true, args: [...proxied, '--address-bytes-kb', '20'] }, async s => {
	const a = await join2(s, 'a', {}, from('203.0.113.7')), b = await join2(s, 'b', {}, from('203.0.113.7'));
	const data = noise(1300 * 1024).toString('base64'); // a minute's worth is 1200 KB
	a.send({ type: 'file', data, filename: 'one', cid: 'f1' });
	assert.equal((await a.next(f => f.cid === 'f1')).type, 'file');
	b.text('x', { cid: 'c' });
	exact(await b.next(f => f.cid === 'c'), error2('rate_limited', { cid: 'c', text: /bytes from your address/, retry_ms: v => v > 0 && v <= 5001 }));
	assert.equal(await metric(s, 'limited_total{limit="address_bytes"}'), 1);
});

serverTest('new people from one address: the next is told when, a token is not new', { limits: true, args: ['--new-people', '6', '--exempt', 'none'] }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 5; i++) await join2(s, `n${i}`);
	const late = await s.connect();
	late.send({ type: 'join', v: 2, name: 'late' });
	exact(await late.take(), error2('rate_limited', { text: /new people from your address/, retry_ms: v => v > 90000 && v <= 100000 }));
	await rejoin2(late, 'a', { token: a.token }); // the connection is still good
	const old = await s.connect();
	old.send({ type: 'join', name: 'old' });
	assert.match((await old.take()).text, /new people from your address/);
	assert.equal((await old.closed).code, 1008);
	assert.equal(await metric(s, 'limited_total{limit="new_people"}'), 2);
});

serverTest('who is exempt is not counted', { limits: true, args: ['--new-people', '1'] }, async s => {
	for (let i = 0; i < 5; i++) await join2(s, `n${i}`);
});

serverTest('joining again and again is no way to be a nuisance', { limits: true, args: ['--request-rate', '2'] }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 25; i++) a.send({ type: 'join', v: 2, name: 'a' });
	for (let i = 0; i < 20; i++) assert.equal((await a.next('error')).code, 'bad_request');
	assert.equal((await a.next('error')).code, 'rate_limited');
});

serverTest('a connection may try to join a few times', { limits: true }, async s => {
	const c = await s.connect();
	for (let i = 0; i < 5; i++) c.send({ type: 'join', v: 2, name: 'x', token: 'wrong'.repeat(9) });
	for (let i = 0; i < 5; i++) assert.equal((await c.take()).code, 'bad_token');
	assert.deepEqual(await c.closed, { code: 1008, reason: 'not let in' });
});

serverTest('0 is no limit', { limits: true, args: ['--message-rate', '0', '--request-rate', '0', '--typing-rate', '0', '--byte-rate-kb', '0', '--new-people', '0',
	'--exempt', 'none', '--address-rate', '0', '--address-bytes-kb', '0', '--address-requests', '0'] }, async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 1000; i++) a.text(`m${i}`, { cid: `c${i}` });
	for (let i = 0; i < 500; i++) a.send({ type: 'who', limit: 1 });
	const got = await settled(a);
	assert.equal(echoes(got).length, 1000);
	assert.equal(got.filter(f => f.type === 'error').length, 0);
});

serverTest('a class of 40 behind one address, all at once, twice over: nobody meets a limit', { limits: true, args: ['--exempt', 'none'] }, async s => {
	const all = await Promise.all(Array.from({ length: 40 }, (_, i) => join2(s, `pupil ${i}`)));
	await Promise.all(Array.from({ length: 40 }, (_, i) => join2(s, `pupil ${i} at another browser`)));
	for (const c of all) for (let i = 0; i < 50; i++) c.text(`${c.name} ${i}`, { cid: `${i}` }); // what an outbox held
	for (const c of all) {
		for (let i = 0; i < 5; i++) c.send({ type: 'history', limit: 50 });
		c.send({ type: 'typing' });
	}
	for (const c of all) {
		const got = await settled(c);
		assert.equal(echoes(got).length, 50);
		assert.deepEqual(got.filter(f => f.type === 'error'), []);
	}
	for (const limit of ['messages', 'requests', 'new_people', 'typing', 'frames', 'address_messages', 'address_bytes', 'address_requests', 'address_typing']) assert.equal(await metric(s, `limited_total{limit="${limit}"}`), 0);
});

serverTest('a person is in 64 places at most, and comes in again once one is left', { limits: true }, async s => {
	const a = await join2(s, 'a'), tabs = [];
	for (let i = 1; i < 64; i++) tabs.push(await join2(s, 'a', { token: a.token }));
	const late = await s.connect();
	late.send({ type: 'join', v: 2, name: 'a', token: a.token });
	exact(await late.next('error'), error2('rate_limited', { text: /too many places at once: close some/, retry_ms: 10000 }));
	assert.equal(await metric(s, 'limited_total{limit="devices"}'), 1);
	await s.says(/limit reached .*devices/);
	tabs[0].close();
	await tabs[0].closed;
	await fence(a, [a]);
	await rejoin2(late, 'a', { token: a.token });
});

serverTest('text for everybody has a limit by address, and escapes count', { limits: true, args: ['--exempt', 'none', '--address-bytes-kb', '1024'] }, async s => {
	const people = [await join2(s, 'a'), await join2(s, 'b')];
	for (let i = 0; i < 12; i++) for (const c of people) c.text('\u0001'.repeat(3990) + i); // 24 KB each, in JSON
	const got = await settled(people[0]);
	const refused = got.find(f => f.code === 'rate_limited') || (await settled(people[1])).find(f => f.code === 'rate_limited');
	assert.match(refused.text, /Too much text for everybody from your address/);
	assert.ok(await metric(s, 'limited_total{limit="address_bytes"}') >= 1);
	await s.says(/limit reached option="--address-bytes-kb"/);
});

serverTest('uploads with tokens of nobody are counted, and logged once', { limits: true }, async s => {
	for (const authorization of [`Bearer ${'A'.repeat(43)}`, 'Bearer x', `Bearer ${'B'.repeat(43)}`])
		assert.equal((await fetch(`http://127.0.0.1:${s.port}/upload?key=k`, { headers: { authorization } })).status, 401);
	assert.equal(await metric(s, 'refused_total{reason="token"}'), 3);
	await s.says(/upload refused reason=bad_token/);
});

serverTest('new people beyond their limit are logged, and typing beyond its own', { limits: true, args: ['--exempt', 'none', '--new-people', '1', '--typing-rate', '1'] }, async s => {
	const a = await join2(s, 'a'), late = await s.connect();
	late.send({ type: 'join', v: 2, name: 'b' });
	exact(await late.next('error'), error2('rate_limited', { text: /new people/, retry_ms: v => v > 0 }));
	await s.says(/limit reached option="--new-people"/);
	for (let i = 0; i < 10; i++) a.send({ type: 'typing' });
	await s.says(/limit reached option="--typing-rate"/);
});
