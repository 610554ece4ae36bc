// Anything at all on the port: an HTTP error, an error frame or the right close code; a bystander chats on, memory comes back.
import assert from 'node:assert/strict';
import { bad, exact, fence, isError, judgeDelay, noise, patience, serverTest, slack, sleep, worstOf } from './lib.mjs';
import { OP, Raw, clientFrame } from './raw.mjs';

const MB = 1 << 20;

/** Two people who chat all the while, first in calm; `stop` judges the worst delay. */
async function chatting(s) {
	const [a, b] = await s.joinAll('bystander', 'friend');
	let n = 0, worst = 0, stopped = false;
	const turn = async () => {
		a.text(`chat ${n}`);
		await b.next({ text: `chat ${n++}` });
	};
	const calm = await worstOf(30, turn);
	const loop = (async () => {
		while (!stopped) {
			worst = Math.max(worst, await worstOf(1, turn));
			await sleep(10);
		}
	})();
	loop.catch(() => {});
	return {
		a, b,
		stop: async least => {
			stopped = true;
			await loop;
			assert.ok(n > 30);
			judgeDelay(worst, calm, 'the bystander', least);
			for (const x of [a, b]) assert.ok(x.frames.every(f => ['init', 'users', 'system', 'text'].includes(f.type)), x.story());
		},
	};
}

serverTest('garbage instead of a request', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const cases = [
		Buffer.from('garbage\r\n\r\n'), Buffer.from('\r\n\r\n'), Buffer.from('GET\r\n\r\n'), Buffer.from('GET / HTTP/9.9\r\n\r\n'),
		Buffer.from('\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + 'x'.repeat(200) + '\r\n\r\n', 'latin1'), // a TLS hello
		Buffer.from('SSH-2.0-OpenSSH_9.2\r\n\r\n'), Buffer.concat([noise(4000), Buffer.from('\r\n\r\n')]), Buffer.concat([Buffer.alloc(4000), Buffer.from('\r\n\r\n')]),
		Buffer.from(`GET /${'a'.repeat(100000)} HTTP/1.1\r\nHost: x\r\n\r\n`), Buffer.from(`GET / HTTP/1.1\r\n${'X: y\r\n'.repeat(20000)}\r\n`),
		Buffer.from(`GET / HTTP/1.1\r\nX: ${'y'.repeat(200000)}\r\n\r\n`), Buffer.from('GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n'),
		Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n'), Buffer.from('GET / HTTP/1.1\r\nno colon here\r\n\r\n'),
		Buffer.from('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx'), Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
		Buffer.from('GET http://other.example/ HTTP/1.1\r\nHost: x\r\n\r\n'), Buffer.from('CONNECT other.example:443 HTTP/1.1\r\nHost: x\r\n\r\n'),
	];
	for (const bytes of cases) {
		const r = await Raw.connect(s);
		r.socket.write(bytes);
		const head = await r.head(12000); // an HTTP answer, or a plain end
		if (head) assert.match(head, /^HTTP\/1\.[01] [2345]\d\d /, bytes.subarray(0, 40).toString('latin1'));
		r.destroy();
	}
	assert.equal(await (await s.get('/health')).text(), 'ok');
	await chat.stop();
});

serverTest('half requests hold nobody up and are let go', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const half = [];
	for (let i = 0; i < 200; i++) {
		const r = await Raw.connect(s);
		r.socket.write(['', 'G', 'GET / HTTP/1.1\r\nHost:', 'GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n', 'POST /upload?size=5 HTTP/1.1\r\nContent-Length: 5\r\n'][i % 5]);
		half.push(r);
	}
	for (let i = 0; i < 5; i++) assert.equal(await (await s.get('/health')).text(), 'ok');
	const c = await s.join('newcomer');
	await fence(c, [c]);
	const left = half.filter(r => !r.ended).length;
	assert.ok(left >= 200, `answered while they are there, not behind them: ${left} are left`);
	for (const r of half) await r.end(15000);
	await chat.stop();
});

serverTest('a request dripped a byte now and then does not live for ever', { timeout: 60000, args: ['--header-timeout', '2'] }, async s => {
	const r = await Raw.connect(s);
	const drip = setInterval(() => r.socket.writable && r.socket.write('X'), 200);
	r.socket.write('GET / HTTP/1.1\r\nX: ');
	await r.end(20000).finally(() => clearInterval(drip));
});

serverTest('a megabyte of [[[[ is an error to its sender', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const c = await s.join('nester');
	for (const bomb of ['['.repeat(MB), '{"a":'.repeat(MB / 5), `{"type":"text","text":${'['.repeat(MB / 2)}${']'.repeat(MB / 2)}}`, '['.repeat(500) + ']'.repeat(500)]) {
		c.send(bomb, bad);
		exact(await c.next('error'), isError);
	}
	c.text('unharmed');
	await c.next({ text: 'unharmed' });
	await chat.stop();
});

serverTest('a 10 MB name is refused or cut, and its memory comes back', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const before = s.memory().own;
	for (let i = 0; i < 5; i++) {
		const c = await s.connect();
		c.send({ type: 'join', name: 'n'.repeat(10 * MB) });
		const answer = await c.answer(10000);
		assert.ok(['init', 'error', '(closed)'].includes(answer.type), answer.type);
		if (answer.type === 'init') assert.equal(answer.my_name, 'n'.repeat(32));
		c.ws.terminate();
	}
	await chat.stop();
	await settles(s, before + 16 * MB);
});

/** Memory falls under `limit` within a few seconds. */
async function settles(s, limit) {
	if (slack > 1) return; // a sanitizer keeps what was freed
	const deadline = Date.now() + 8000;
	let own;
	while ((own = s.memory().own) > limit) {
		assert.ok(Date.now() < deadline, `memory stays at ${own / MB} MB; ${limit / MB} would be right`);
		await sleep(100);
	}
}

serverTest('headers that claim the world take no memory', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const before = s.memory().own;
	const many = await Promise.all(Array.from({ length: 100 }, (_, i) => Raw.join(s, `claim${i}`)));
	for (const r of many) r.frame('{"type":"file","data":"', { claim: 30 * MB }); // within the limit of a file's frame, and then never sent
	await sleep(300);
	assert.ok(s.memory().own - before < 12 * MB * slack, `100 claims of 30 MB cost ${(s.memory().own - before) / MB} MB`);
	for (const r of many) r.destroy();
	await chat.stop();
});

serverTest('unfinished large messages are bounded in all', { timeout: 90000 }, async s => {
	const chat = await chatting(s);
	const before = s.memory().own;
	const chunk = Buffer.alloc(MB, 'A');
	const many = await Promise.all(Array.from({ length: 24 }, (_, i) => Raw.join(s, `hoard${i}`)));
	for (const r of many) {
		r.frame(Buffer.concat([Buffer.from('{"type":"file","data":"'), chunk]), { claim: 30 * MB });
		for (let k = 0; k < 20; k++) r.socket.write(chunk); // unmasked content does not matter: it is never finished
	}
	await sleep(1500);
	const held = s.memory().own - before;
	if (slack === 1) assert.ok(held < 400 * MB, `480 MB of unfinished messages hold ${held / MB} MB`);
	for (const r of many) r.destroy();
	await chat.stop(400); // this very process sends the 480 MB
	await settles(s, before + 48 * MB);
});

serverTest('every hostile frame at once, and people chat on', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const before = s.memory().own;
	for (let round = 0; round < 8; round++) {
		const acts = [
			r => r.frame('x', { claim: 2n ** 62n }), r => r.frame('x', { masked: false }), r => r.frame('x', { opcode: OP.binary }),
			r => r.frame(Buffer.from([0xff])), r => r.socket.write(noise(65536, round)), r => r.frame('['.repeat(MB)),
			r => r.frame('{"type":"text","text":"', { fin: false }), r => r.socket.write(clientFrame('{"type":"text","text":"cut"}').subarray(0, 9)),
			r => r.frame(Buffer.alloc(125), { opcode: OP.ping }), r => r.frame('{"type":"join","name":"' + 'n'.repeat(MB) + '"}'),
		];
		const rs = await Promise.all(acts.map(() => Raw.open(s)));
		rs.forEach((r, i) => { r.frame('{"type":"join","name":"h"}'); acts[i](r); });
		await sleep(50);
		rs.forEach(r => r.destroy());
	}
	await chat.stop();
	await settles(s, before + 24 * MB);
	assert.equal(await (await s.get('/health')).text(), 'ok');
});

serverTest('500 connections that come and go leave nothing behind', { timeout: 60000 }, async s => {
	const a = await s.join('stays');
	await sleep(200);
	const fds = s.fds();
	for (let round = 0; round < 10; round++) {
		const rs = await Promise.all(Array.from({ length: 50 }, (_, i) => (i % 2 ? Raw.open(s) : Raw.connect(s))));
		rs.forEach((r, i) => {
			if (i % 4 === 1) r.frame('{"type":"join","name":"brief"}');
			i % 3 ? r.destroy() : r.socket.end();
		});
	}
	const deadline = Date.now() + 8000 * patience;
	while (s.fds() > fds) {
		assert.ok(Date.now() < deadline, `${s.fds()} descriptors, ${fds} at first`);
		await sleep(50);
	}
	await fence(a);
});

serverTest('a flood of pings answers pings and starves nobody', { timeout: 60000 }, async s => {
	const chat = await chatting(s);
	const r = await Raw.join(s, 'pinger');
	const burst = Buffer.concat(Array.from({ length: 1000 }, () => clientFrame('flood', { opcode: OP.ping })));
	for (let i = 0; i < 50; i++) {
		r.socket.write(burst);
		await sleep(5);
		r.buffer = Buffer.alloc(0); // it reads, and throws away
	}
	r.destroy();
	await chat.stop();
});
