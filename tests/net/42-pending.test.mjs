// What waits: messages that never end, large ones half received, output that nobody reads. Each bounded, for one and in all.
import assert from 'node:assert/strict';
import { exact, fence, isError, serverTest, sleep } from './lib.mjs';
import { join2 } from './v2.mjs';
import { metric } from './admin.mjs';
import { OP, Raw } from './raw.mjs';

/** Polls a metric until it is as wanted. */
async function until(s, name, ok, ms = 15000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await metric(s, name);
		if (ok(value)) return value;
		assert.ok(Date.now() < end, `${name} is ${value}`);
		await sleep(50);
	}
}

serverTest('a message that is never finished closes its connection, however lively that is otherwise', { args: ['--message-timeout', '2'], timeout: 40000 }, async s => {
	const a = await s.join('a');
	const fragment = await Raw.join(s, 'fragment'), header = await Raw.join(s, 'header'), slow = await Raw.join(s, 'slow'), fine = await Raw.join(s, 'fine');
	fragment.frame('{"type":"te', { fin: false });
	header.socket.write(Buffer.from([0x81]));
	slow.frame('{"type":"text","text":"', { fin: false });
	// All of them answer and ask pings all the time; one sends on, a byte at a time, for ever.
	const timer = setInterval(() => {
		for (const c of [fragment, slow, fine]) c.frame('x', { opcode: OP.ping });
		slow.frame('x', { opcode: OP.cont, fin: false });
	}, 200);
	try {
		for (const c of [fragment, header, slow]) assert.equal(await c.closeCode(10000), 1008);
	} finally {
		clearInterval(timer);
	}
	assert.equal(await metric(s, 'evicted_total{reason="unfinished"}'), 3);
	await s.says(/ slow client dropped reason=unfinished detail="[^"]*--message-timeout" more_since_the_last_line=0\n/);
	assert.equal(s.output.match(/slow client dropped/g).length, 1, 'once a minute, not for each');
	fine.send({ type: 'text', text: 'fine' });
	await a.next({ text: 'fine' });
	await sleep(3000); // nobody who is idle between messages is meant
	fine.send({ type: 'text', text: 'still fine' });
	await a.next({ text: 'still fine' });
});

serverTest('--max-message-kb: over it refused, over twice of it closed', { args: ['--max-message-kb', '64'] }, async s => {
	const a = await s.join('a');
	a.send({ type: 'file', filename: 'f', data: 'A'.repeat(100 * 1024) });
	exact(await a.next('error'), isError);
	await fence(a);
	a.send({ type: 'file', filename: 'f', data: 'A'.repeat(200 * 1024) });
	assert.equal((await a.closed).code, 1009);
});

serverTest('large messages being received have one budget; talk goes on without it', { args: ['--max-message-kb', '1024', '--pending-in-mb', '1'], timeout: 60000 }, async s => {
	const a = await s.join('a');
	const one = await Raw.join(s, 'one'), two = await Raw.join(s, 'two');
	const message = Buffer.from(JSON.stringify({ type: 'file', filename: 'f', data: 'A'.repeat(900 * 1024) }));
	for (const c of [one, two]) c.frame(message.subarray(0, 800 * 1024), { fin: false });
	await until(s, 'budget_waits_total', n => n > 0);
	assert.ok((await metric(s, 'pending_in_bytes')) <= (1 << 20) + 2 * 65536); // what was read already of those who wait is counted past the cap
	a.text('x'.repeat(4000)); // in pieces as well
	await a.next('text');
	const three = await Raw.join(s, 'three');
	three.frame('{"type":"text","text":"', { fin: false });
	three.frame(`${'y'.repeat(3900)}"}`, { opcode: OP.cont });
	await a.next(f => f.text?.startsWith('yyy'));
	// Half of each cannot be finished by the other: one is given up, and that lets the other through.
	for (const c of [one, two]) c.frame(message.subarray(800 * 1024), { opcode: OP.cont });
	await a.next(f => f.type === 'file' && f.size === 675 * 1024, 40000);
	await until(s, 'pending_in_bytes', n => n === 0, 40000);
});

serverTest('large messages of one address, never finished, leave room for others; then the address with most makes room', {
	args: ['--exempt', 'none', '--max-message-kb', '1024', '--pending-in-mb', '8'], seeds: 3, timeout: 90000,
}, async s => {
	const message = Buffer.from(JSON.stringify({ type: 'file', filename: 'f', data: 'A'.repeat(1000 * 1024) }));
	const guest = async (localAddress, name) => {
		const c = await Raw.open(s, { localAddress });
		c.send({ type: 'join', name });
		await c.json('users');
		return c;
	};
	const a = await s.join('a'), held = [];
	const hold = async (localAddress, n) => {
		for (let i = 0; i < n; i++) {
			const c = await guest(localAddress, `${localAddress} ${i}`);
			c.frame(message.subarray(0, 700 * 1024), { fin: false });
			held.push(c);
		}
	};
	// 6 KB a second: they are slow, and get on.
	const timer = setInterval(() => { for (const c of held) if (!c.ended) c.frame('A'.repeat(3072), { opcode: OP.cont, fin: false }); }, 500);
	try {
		await hold('127.0.0.2', 12);
		await until(s, 'budget_waits_total', n => n >= 8);
		const good = await guest('127.0.0.3', 'good');
		for (let i = 0; i < 3; i++) {
			good.frame(message);
			await a.next(f => f.type === 'file' && f.from_name === 'good', 10000);
		}
		assert.equal(await metric(s, 'evicted_total{reason="budget"}'), 0, 'nobody had to go for that');
		await hold('127.0.0.4', 3);
		await hold('127.0.0.5', 3);
		await until(s, 'pending_in_bytes', n => n > 7 << 20);
		good.frame(message);
		await a.next(f => f.type === 'file' && f.from_name === 'good', 14000);
		assert.ok(await metric(s, 'evicted_total{reason="budget"}') >= 1);
		assert.ok(held.slice(12).every(c => !c.ended), 'the address with most makes room');
	} finally {
		clearInterval(timer);
		for (const c of held) c.destroy();
	}
});

serverTest('output that nobody reads has one budget: hoarders go, readers stay', { args: ['--threads', '1', '--max-message-kb', '64', '--pending-out-mb', '1'], timeout: 90000 }, async s => {
	const a = await join2(s, 'a'), reader = await join2(s, 'reader');
	const deaf = [];
	for (let i = 0; i < 4; i++) {
		deaf.push(await join2(s, `deaf ${i}`));
		deaf[i].ws.pause();
	}
	const text = 'z'.repeat(4000);
	let most = 0, got = 0;
	for (let n = 0; n < 12000 && !(await metric(s, 'evicted_total{reason="pending"}')); n += 200) {
		for (let i = 0; i < 200; i++) a.text(text, { to_id: deaf[i % 4].id });
		a.text('read this', { to_id: reader.id });
		await reader.next(f => f.text === 'read this', 15000);
		got++;
		most = Math.max(most, await metric(s, 'pending_out_bytes'));
	}
	assert.ok(await metric(s, 'evicted_total{reason="pending"}') >= 1, `after ${got} rounds nobody was dropped; at most ${most} bytes waited`);
	assert.equal(await metric(s, 'evicted_total{reason="inserts"}'), 0, 'before any one of them had a megabyte');
	assert.ok(most < 2.5e6, `${most} bytes waited`);
	await fence(a, [reader]);
});
