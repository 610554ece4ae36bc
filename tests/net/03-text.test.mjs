// Public text: its fields, the sender's own copy, limits, and text that tries to be something else.
import assert from 'node:assert/strict';
import { bad, exact, fence, isError, nothingFor, publicText, serverTest } from './lib.mjs';

serverTest('a text reaches everyone; its sender once, with self', async s => {
	const [a, b, c] = await s.joinAll('a', 'b', 'c');
	a.text('привет 🌊');
	exact(await a.next('text'), publicText(a, 'привет 🌊', { self: true }));
	for (const other of [b, c]) exact(await other.next('text'), publicText(a, 'привет 🌊'));
	await fence(b, [a, b, c]);
	for (const x of [a, b, c]) assert.deepEqual(x.drain(), [], 'once');
});

serverTest('a client alone gets its own text once', async s => {
	const a = await s.join('alone');
	for (let i = 0; i < 50; i++) a.text(`n${i}`);
	for (let i = 0; i < 50; i++) exact(await a.next('text'), publicText(a, `n${i}`, { self: true }));
	await fence(a);
	assert.deepEqual(a.drain(), []);
});

serverTest('own copies stand in order amid others\' messages', async s => {
	const [a, b, watch] = await s.joinAll('a', 'b', 'watch');
	for (let i = 0; i < 200; i++) {
		a.text(`a${i}`);
		b.text(`b${i}`);
	}
	await fence(a, [a, b, watch]);
	await fence(b, [a, b, watch]);
	const seen = watch.drain().map(f => f.text);
	assert.equal(seen.length, 400);
	for (const x of [a, b]) {
		const got = x.drain();
		assert.deepEqual(got.map(f => f.text), seen);
		for (const f of got) assert.equal(f.self, f.from_id === x.id ? true : undefined);
	}
	for (const letter of 'ab') assert.deepEqual(seen.filter(t => t[0] === letter), Array.from({ length: 200 }, (_, i) => letter + i));
});

const kept = [
	['  spaces around  ', 'spaces around'],
	['\u0085\u2028\u2029\u3000\u00a0\u1680 trimmed as Unicode has it \u2003\u202f\u205f\v\f\u001c\u001f', 'trimmed as Unicode has it'],
	['in  the\u2028middle\u0085 stays', 'in  the\u2028middle\u0085 stays'],
	['a\u0000b\u0001\u001b[31m\u007f', 'ab\u0001\u001b[31m\u007f'], // a NUL alone is dropped: too much software ends a text there
	['"quotes" \\back\\ /slash/ \b\f\n\r\tend', '"quotes" \\back\\ /slash/ \b\f\n\r\tend'],
	['</script><img src=x onerror=alert(1)>', '</script><img src=x onerror=alert(1)>'],
	['👩‍👩‍👧‍👦 e\u0301 \u{10ffff} \ufffe', '👩‍👩‍👧‍👦 e\u0301 \u{10ffff} \ufffe'],
	['%s%n%d {0} ${x}', '%s%n%d {0} ${x}'],
];
for (const [sent, got] of kept) {
	serverTest(`text stays what it is: ${JSON.stringify(sent).slice(0, 40)}`, async s => {
		const [a, b] = await s.joinAll('a', 'b');
		a.text(sent);
		assert.equal((await b.next('text')).text, got);
		assert.equal((await a.next('text')).text, got);
	});
}

serverTest('empty text is ignored', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const text of ['', '   ', '\n\t', '\u0085\u2028\u3000']) a.text(text);
	await nothingFor(a, [a, b]);
});

serverTest('4000 code points pass, however many bytes they are', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const text of ['x'.repeat(4000), '🌊'.repeat(4000), 'ж'.repeat(4000)]) {
		a.text(`  ${text}\n`);
		assert.equal((await b.next('text')).text, text);
		assert.equal((await a.next('text')).text, text);
	}
	// The same with every character escaped: twelve bytes each on the wire.
	a.send(`{"type":"text","text":"${'\\ud83c\\udf0a'.repeat(4000)}"}`);
	assert.equal((await b.next('text')).text, '🌊'.repeat(4000));
});

serverTest('more than 4000 are refused to their sender alone', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const text of ['x'.repeat(4001), '🌊'.repeat(4001), 'y'.repeat(1_000_000)]) {
		a.text(text);
		exact(await a.next('error'), isError);
	}
	await nothingFor(a, [a, b]);
});

serverTest('lone surrogates become U+FFFD and pairs stay', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	const cases = [
		['x\\ud800y', 'x\ufffdy'], ['x\\udc00y', 'x\ufffdy'], ['\\ud83c', '\ufffd'], ['\\ud83c\\udf0a', '🌊'],
		['\\udf0a\\ud83c', '\ufffd\ufffd'], ['\\ud83c\\ud83c\\udf0a', '\ufffd🌊'], ['\\ud800\\u0041', '\ufffdA'],
	];
	for (const [escaped, text] of cases) {
		a.send(`{"type":"text","text":"${escaped}"}`);
		assert.equal((await b.next('text')).text, text, escaped);
		assert.equal((await a.next('text')).text, text, escaped);
	}
});

const refused = [
	'garbage', '', ' ', '[1]', '"string"', '123', 'null', 'true', '{', '{"type":"text","text":"x"', '{"type":"text","text":"x"} trailing',
	'{"type":"text","text":"x"}{"type":"text","text":"y"}', '{type:"text",text:"x"}', "{'type':'text','text':'x'}", '{"type":"text","text":"x",}',
	'{"type":"text","text":5}', '{"type":"text","text":{"a":1}}', '{"type":"text","text":["x"]}', '{"type":"text","text":true}',
	'{"type":"text","text":"x","to_id":"x"}', '{"type":"text","text":"x","to_id":{}}', '{"type":"text","text":"x","to_id":[1]}',
	'{"type":"text","text":"x","to_id":1.5}', '{"type":"text","text":"x","to_id":NaN}', '{"type":"text","text":"x","to_id":1e999}',
	'{"type":"text","text":"x","to_id":Infinity}', '{"type":"voice","data":"AAAA","duration":NaN}', '{"type":"voice","data":"AAAA","duration":1e999}',
	'{"type":"voice","data":"AAAA","duration":{}}', '{"type":"voice","data":5,"duration":1}', '{"type":"file","filename":5,"data":"AAAA"}',
	'{"type":"file","filename":"x","data":{}}', '{"type":"file","filename":"x","data":"!!!!"}', '{"type":"file","filename":"x","mime":[],"data":"AAAA"}',
	'{"type":"typing","to_id":"x"}', '{"type":"dm_history","peer_id":"x"}', '{"type":"dm_history","peer_id":{}}', '{"type":5}', '{"type":null}',
	'{"type":["text"],"text":"x"}', '{"type":"text","text":"bad escape \\x"}', '{"type":"text","text":"short \\u12"}', '{"type":"text","text":"raw\nnewline"}',
	'/* comment */ {"type":"text","text":"x"}', '{"type":"text","text":"x","to_id":01}',
];
for (const frame of refused) {
	serverTest(`an error for its sender, nothing for others: ${frame.slice(0, 60)}`, async s => {
		const [a, b] = await s.joinAll('a', 'b');
		a.send(frame, bad);
		exact(await a.next('error'), isError);
		await nothingFor(a, [a, b]);
	});
}

serverTest('an unknown type is ignored', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const f of [{ type: 'reaction', x: 1 }, { type: '' }, { type: 'TEXT', text: 'x' }, { type: 'init', my_id: 1 }, { type: 'system', text: 'x' }, { type: 'users' },
		{ type: 'error', text: 'x' }, { type: 'sync', since: 1 }, { type: 'x'.repeat(10000) }, { type: 'text\u0000', text: 'x' }]) a.send(f, bad);
	await nothingFor(a, [a, b]);
});

serverTest('unknown fields are ignored and never passed on', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	a.text('plain', { from_id: b.id, from_name: 'b', self: true, dm: true, ts: '00:00', iso: 'x', id: 7, cid: 'c', at: 1, extra: { deep: [1] } }, bad);
	exact(await b.next('text'), publicText(a, 'plain'));
	exact(await a.next('text'), publicText(a, 'plain', { self: true }));
});

serverTest('what goes out survives a hostile name and text together', async s => {
	const [a, b] = await s.joinAll('"\\\u2028</x>', 'b');
	a.send('{"type":"text","text":"\\u2028\\ud800\\u0000\\"\\\\"}');
	const f = await b.next('text');
	assert.equal(f.text, '\ufffd"\\', 'leading U+2028 is white space, the NUL is dropped');
	assert.equal(f.from_name, a.name);
});
