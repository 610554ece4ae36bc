// How it ends, and how it starts again.
import assert from 'node:assert/strict';
import { serverTest } from './lib.mjs';
import { Raw } from './raw.mjs';

for (const signal of ['SIGTERM', 'SIGINT']) {
	serverTest(`${signal} closes everyone with 1012 or 1001 and exits 0`, async s => {
		const all = await s.joinAll('a', 'b', 'c');
		const unjoined = await s.connect();
		all[0].text('last line');
		await all[1].next({ text: 'last line' });
		await s.stop(signal);
		for (const c of [...all, unjoined]) assert.ok([1012, 1001].includes((await c.closed).code), `${c.name} was closed with ${c.end.code}`);
	});
}

serverTest('it ends in time though some do not read, half-ask or never answer the close', { timeout: 60000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const stalled = await Raw.join(s, 'stalled');
	stalled.socket.pause();
	const half = await Raw.connect(s);
	half.socket.write('GET / HT');
	const silent = await Raw.join(s, 'silent'); // reads, but never sends a close of its own
	const body = await Raw.connect(s);
	body.socket.write('POST /upload?key=k&size=100&offset=0 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf');
	for (let i = 0; i < 400; i++) a.text('x'.repeat(4000));
	await b.next('text');
	await s.stop();
	for (const r of [stalled, half, silent, body]) r.destroy();
});

serverTest('what was said before the end has reached those who read', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let i = 0; i < 100; i++) a.text(`n${i}`);
	await a.next({ text: 'n99' }); // its echo: it was accepted
	await s.stop();
	await b.closed;
	assert.equal(b.frames.filter(f => f.type === 'text').length, 100);
});

serverTest('it starts again on the same port and data at once', async s => {
	const a = await s.join('a');
	a.text('before');
	await a.next({ text: 'before' });
	await s.stop();
	await s.restart();
	const b = await s.join('b');
	b.text('after');
	await b.next({ text: 'after' });
	await s.kill9();
	await s.restart();
	await s.join('c');
});
