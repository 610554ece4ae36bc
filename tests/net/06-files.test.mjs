// Files and voices carried as base64 in frames, and their limits to the byte.
import assert from 'node:assert/strict';
import { bad, exact, fence, isError, isIso, isTs, noise, nothingFor, serverTest } from './lib.mjs';
import { Raw } from './raw.mjs';

const MB = 1 << 20;
const bytes = f => Buffer.from(f.data, 'base64');
const fileFrom = (from, more) => ({ type: 'file', dm: false, from_id: from.id, from_name: from.name, ts: isTs, iso: isIso, ...more });
const voiceFrom = (from, more) => ({ type: 'voice', dm: false, from_id: from.id, from_name: from.name, ts: isTs, iso: isIso, ...more });
const is64 = v => typeof v === 'string' && /^[A-Za-z0-9+/]*={0,2}$/.test(v) && v.length % 4 === 0;

serverTest('a file reaches everyone whole; its sender with self', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const body = noise(100_001);
	a.send({ type: 'file', filename: 'фото.png', mime: 'image/png', data: body.toString('base64'), size: body.length });
	for (const [x, more] of [[b, {}], [a, { self: true }]]) {
		const f = exact(await x.next('file'), fileFrom(a, { filename: 'фото.png', mime: 'image/png', data: is64, size: body.length, ...more }));
		assert.ok(bytes(f).equals(body));
	}
	await nothingFor(a, [a, b]);
});

serverTest('a DM file is for its two ends', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	const body = noise(5000);
	a.send({ type: 'file', filename: 'x.bin', data: body.toString('base64'), size: 5000, to_id: b.id });
	for (const [x, more] of [[b, {}], [a, { self: true }]]) {
		const f = exact(await x.next('file'), fileFrom(a, { dm: true, to_id: b.id, to_name: 'b', filename: 'x.bin', mime: 'application/octet-stream', data: is64, size: 5000, ...more }));
		assert.ok(bytes(f).equals(body));
	}
	a.send({ type: 'voice', data: body.toString('base64'), duration: 2, to_id: b.id });
	for (const [x, more] of [[b, {}], [a, { self: true }]])
		exact(await x.next('voice'), voiceFrom(a, { dm: true, to_id: b.id, to_name: 'b', duration: 2, data: is64, ...more }));
	await nothingFor(a, [a, b, c]);
});

serverTest('what a file leaves out is filled in', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const data = Buffer.from('hello').toString('base64');
	for (const [more, filename, mime] of [
		[{}, 'file', 'application/octet-stream'],
		[{ filename: '', mime: '' }, 'file', 'application/octet-stream'],
		[{ filename: '  spaced.txt \u2028', mime: 'text/plain' }, 'spaced.txt', 'text/plain'],
		[{ filename: '🌊'.repeat(250) }, '🌊'.repeat(200), 'application/octet-stream'],
		[{ filename: '../../etc/passwd' }, v => typeof v === 'string' && v.length > 0, 'application/octet-stream'],
	]) {
		a.send({ type: 'file', data, ...more });
		exact(await b.next('file'), fileFrom(a, { filename, mime, data, size: 5 }));
	}
});

serverTest('size is what was decoded, whatever the sender claims', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const size of [0, -5, 1e15, '7', null]) {
		a.send({ type: 'file', filename: 'x', data: Buffer.from('hello').toString('base64'), size }, bad);
		const f = await b.next(f => f.type === 'file' || f.text === `unsized`, 3000).catch(() => null);
		if (f) assert.equal(f.size, 5);
		else exact(await a.next('error'), isError); // a size of the wrong type may be refused
	}
});

serverTest('padding is optional, all lengths', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (let n = 1; n <= 9; n++) {
		const body = noise(n, n);
		a.send({ type: 'file', filename: `f${n}`, data: body.toString('base64').replace(/=+$/, ''), size: n });
		const f = await b.next('file');
		assert.ok(is64(f.data) || /^[A-Za-z0-9+/]+$/.test(f.data));
		assert.ok(bytes(f).equals(body));
		assert.equal(f.size, n);
	}
});

serverTest('what is not base64 is refused', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const data of ['!!!!', 'AAAA*AAA', 'A', 'AAAA=A==', 'data:text/plain;base64,AAAA', 'жжжж', 'AA\u0000A']) {
		a.send({ type: 'file', filename: 'x', data });
		exact(await a.next('error'), isError);
	}
	a.send({ type: 'voice', data: '!!!!', duration: 1 });
	exact(await a.next('error'), isError);
	await nothingFor(a, [a, b]);
});

serverTest('a voice reaches everyone with its duration', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const body = noise(30_000);
	for (const duration of [1, 12.5, 0, 600]) {
		a.send({ type: 'voice', data: body.toString('base64'), duration });
		for (const [x, more] of [[b, {}], [a, { self: true }]]) {
			const v = exact(await x.next('voice'), voiceFrom(a, { data: is64, duration, ...more }));
			assert.ok(bytes(v).equals(body));
		}
	}
});

serverTest('exactly MAX_FILE_MB passes; one byte over is refused and the connection stays', { args: ['--max-file-mb', '1'] }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const body = noise(MB + 1);
	a.send({ type: 'file', filename: 'exact', data: body.subarray(0, MB).toString('base64'), size: MB });
	const f = await b.next('file');
	assert.equal(f.size, MB);
	assert.ok(bytes(f).equals(body.subarray(0, MB)));
	await a.next('file');
	a.send({ type: 'file', filename: 'over', data: body.toString('base64'), size: MB + 1 });
	exact(await a.next('error'), { type: 'error', text: 'Max 1MB' });
	a.send({ type: 'file', filename: 'lying', data: noise(3 * MB).toString('base64'), size: 5 });
	exact(await a.next('error'), { type: 'error', text: 'Max 1MB' });
	await nothingFor(a, [a, b]);
});

serverTest('a voice of 10 MB passes, a byte more is refused, also where files are small', { args: ['--max-file-mb', '1'], timeout: 60000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const body = noise(10 * MB + 1);
	a.send({ type: 'voice', data: body.subarray(0, 10 * MB).toString('base64'), duration: 60 });
	assert.ok(bytes(await b.next('voice', 15000)).equals(body.subarray(0, 10 * MB)));
	await a.next('voice', 15000);
	a.send({ type: 'voice', data: body.toString('base64'), duration: 60 });
	exact(await a.next('error', 15000), { type: 'error', text: 'Voice max 10MB' });
	a.send({ type: 'voice', data: noise(13 * MB).toString('base64'), duration: 60 });
	exact(await a.next('error', 15000), { type: 'error', text: 'Voice max 10MB' });
	await nothingFor(a, [a, b]);
});

serverTest('the promised 25 MB are 25 MB; far over is 1009', { timeout: 90000 }, async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	const body = noise(25 * MB + 1);
	a.send({ type: 'file', filename: 'exact', data: body.subarray(0, 25 * MB).toString('base64'), size: 25 * MB });
	assert.ok(bytes(await b.next('file', 30000)).equals(body.subarray(0, 25 * MB)));
	await a.next('file', 30000);
	a.send({ type: 'file', filename: 'over', data: body.toString('base64') });
	exact(await a.next('error', 30000), { type: 'error', text: 'Max 25MB' });
	await fence(a, [a, b]);
	a.send({ type: 'file', filename: 'twice', data: 'A'.repeat(75 * MB) });
	const end = await a.closed;
	assert.ok([1009, 1006].includes(end.code), `closed with ${end.code}`);
	await nothingFor(b, [b]);
	// Judged from the header, before a byte of it is read.
	const r = await Raw.join(s, 'claims');
	r.frame('{"type":"file","data":"', { claim: 80 * MB });
	assert.equal(await r.closeCode(), 1009);
	r.destroy();
	await fence(b, [b, c]);
});

serverTest('a large file delays nobody\'s text', { timeout: 60000 }, async s => {
	const [a, b, c] = await s.joinAll('sender', 'chat1', 'chat2');
	const data = noise(20 * MB).toString('base64');
	let n = 0, done = false;
	const chatter = (async () => {
		while (!done) {
			b.text(`tick ${n}`);
			await c.next({ text: `tick ${n++}` });
			await new Promise(resolve => setTimeout(resolve, 5));
		}
	})();
	a.ws.send(JSON.stringify({ type: 'file', filename: 'big', data }));
	await Promise.all([a.next('file', 30000), b.next('file', 30000), c.next('file', 30000)]);
	done = true;
	await chatter;
	assert.ok(n > 5, `${n} texts meanwhile`);
});

serverTest('a sender\'s order holds across a large file', { timeout: 60000 }, async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const data = noise(2 * MB).toString('base64');
	for (let i = 0; i < 5; i++) {
		a.text(`before ${i}`);
		a.send({ type: 'file', filename: `f${i}`, data });
		a.text(`after ${i}`);
		a.text(`dm ${i}`, { to_id: b.id });
	}
	await fence(a, [a, b]);
	const want = [0, 1, 2, 3, 4].flatMap(i => [`before ${i}`, `f${i}`, `after ${i}`, `dm ${i}`]);
	for (const x of [a, b]) assert.deepEqual(x.drain().map(f => f.text || f.filename), want, x.name);
});
