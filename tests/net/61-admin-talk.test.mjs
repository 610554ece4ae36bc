// The admin's acts on what was said: deletions live and in every later history, purging, dumps, the audit.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { exact, fence, noise, serverTest } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlBinary, socketOf, adminRequest, metric } from './admin.mjs';

const isAt = v => Number.isSafeInteger(v) && Math.abs(Date.now() - v) < 60000;
const jsonl = r => r.stdout.split('\n').filter(Boolean).map(l => JSON.parse(l));

serverTest('a deleted message goes live, from histories of both dialects, resumed or not, and after a restart', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), old = await s.join('old');
	const texts = [];
	for (const t of ['one', 'two', 'three']) {
		a.text(t);
		texts.push(await b.next({ type: 'text', text: t }));
	}
	await old.next({ type: 'text', text: 'three' });
	const r = await ctl(s, ['delete', texts[1].id, '--reason', 'rude']);
	assert.equal(r.stdout, 'deleted 1 message\n');
	const event = await b.next('delete');
	exact(event, { type: 'delete', id: v => v > texts[2].id, at: isAt, target: texts[1].id });
	assert.deepEqual(await a.next('delete'), event);
	await fence(old);
	assert.ok(!old.frames.some(f => f.type === 'delete'), 'the first dialect has no deletions');
	const check = async () => {
		const fresh = await join2(s, 'fresh');
		const gone = fresh.init.history.find(m => m.id === texts[1].id);
		exact(gone, { type: 'text', id: texts[1].id, at: isAt, dm: false, from_id: a.id, from_name: 'a', deleted: true });
		assert.ok(!fresh.init.history.some(m => m.type === 'delete'), 'a history holds messages');
		const old2 = await s.join('old2');
		assert.deepEqual(old2.init.history.filter(m => m.from_name === 'a').map(m => m.text), ['one', 'three']);
		// who was away learns of it, from wherever it goes on
		const back = await join2(s, '', { token: b.token, since: texts[2].id });
		assert.deepEqual(back.init.history.filter(m => m.type === 'delete'), [event]);
		assert.ok(back.init.history.every((m, i, all) => !i || m.id > all[i - 1].id), 'in the order of ids');
		const head = await join2(s, '', { token: b.token, since: event.id });
		assert.ok(!head.init.history.some(m => m.type === 'delete'));
		back.send({ type: 'sync', since: texts[0].id });
		const sync = await back.next('sync');
		assert.deepEqual(sync.events.filter(m => m.type === 'delete'), [event]);
		assert.equal(sync.events.find(m => m.id === texts[1].id).deleted, true);
		back.send({ type: 'history', limit: 10 });
		const page = await back.next('history');
		assert.ok(!page.messages.some(m => m.type === 'delete'));
		assert.equal(page.messages.find(m => m.id === texts[1].id).deleted, true);
		for (const c of [fresh, old2, back, head]) await c.close();
	};
	await check();
	await s.kill9();
	await s.restart();
	await check();
	const again = await ctl(s, ['delete', texts[1].id, texts[0].id, '--json']);
	assert.deepEqual(JSON.parse(again.stdout), { deleted: [texts[0].id], already: [texts[1].id], missing: [] });
	assert.match((await ctl(s, ['delete', 12345], { status: 5 })).stderr, /no such message/);
});

serverTest('a deleted DM: its ends are told, nobody else, also when they resume', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c');
	a.text('secret', { to_id: b.id });
	const m = await b.next({ type: 'text', text: 'secret' });
	await ctl(s, ['delete', m.id]);
	for (const end of [a, b]) assert.equal((await end.next('delete')).target, m.id);
	await fence(c, [c]);
	assert.ok(!c.frames.some(f => f.type === 'delete'));
	for (const [who, sees] of [[a, 1], [b, 1], [c, 0]]) {
		const back = await join2(s, '', { token: who.token, since: m.id - 1 });
		assert.equal(back.init.history.filter(f => f.type === 'delete' && f.target === m.id).length, sees, who.name);
		assert.equal(back.init.history.filter(f => f.id === m.id && f.deleted).length, sees, who.name);
	}
	const back = await join2(s, '', { token: a.token });
	back.send({ type: 'dm_history', peer_id: b.id });
	assert.deepEqual((await back.next('dm_history')).messages.map(x => [x.id, x.deleted]), [[m.id, true]]);
});

serverTest('a deleted file is not served any more', async s => {
	const a = await join2(s, 'a');
	a.send({ type: 'file', filename: 'x.bin', data: noise(5000).toString('base64') });
	const m = await a.next('file');
	assert.equal((await s.get(m.url)).status, 200);
	await ctl(s, ['delete', m.id]);
	assert.equal((await s.get(m.url)).status, 404);
});

serverTest('purge takes all of a person, files and private talk too, and nothing of others', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), guest = await s.join('guest');
	for (let i = 0; i < 600; i++) a.text(`a${i}`);
	a.text('private', { to_id: b.id });
	a.send({ type: 'file', filename: 'x.bin', data: noise(3000).toString('base64') });
	const file = await b.next('file');
	b.text('stays');
	guest.text('from a guest');
	await fence(b, [a, b, guest]);
	const r = await ctl(s, ['purge', 'a', '--reason', 'spam']);
	assert.equal(r.stdout, `deleted 602 messages of a (id ${a.id}), with 1 file\n`);
	assert.equal((await s.get(file.url)).status, 404);
	await b.next(f => f.type === 'delete' && f.target === file.id);
	const d = await join2(s, 'd');
	assert.ok(d.init.history.filter(m => m.from_id === a.id).every(m => m.deleted));
	assert.ok(d.init.history.some(m => m.text === 'stays'));
	await guest.close();
	assert.match((await ctl(s, ['purge', 'guest'])).stdout, /^deleted 1 message of /); // who has left is known by what was written
	assert.match((await ctl(s, ['purge', 'nobody'], { status: 5 })).stderr, /"nobody": nobody known here/);
	const g1 = await s.join('twin'); g1.text('1'); await fence(g1); await g1.close();
	const g2 = await s.join('twin'); g2.text('2'); await fence(g2); await g2.close();
	const both = await ctl(s, ['purge', 'twin'], { status: 5 });
	assert.match(both.stderr, /several people wrote under this name/);
	assert.match(both.stderr, new RegExp(`^ +${g1.id} +twin +\\(not online\\)$`, 'm'));
	assert.match(both.stderr, new RegExp(`^ +${g2.id} +twin`, 'm'));
	await ctl(s, ['purge', `id:${g1.id}`]);
});

serverTest('history: every shape, every filter, in pages', async s => {
	const a = await join2(s, 'Аня'), b = await join2(s, 'b');
	for (let i = 0; i < 2500; i++) a.text(`line ${i}`);
	await fence(a);
	b.text('<b>& "quoted"</b>\nsecond line\u001b[31m red \u009b32m \u202e');
	b.send({ type: 'file', filename: 'пример.bin', data: noise(2048).toString('base64') });
	a.text('only for b', { to_id: b.id });
	await fence(b, [a, b]);
	const all = jsonl(await ctl(s, ['history', '--json']));
	assert.equal(all.length, 2504);
	assert.ok(all.every((m, i) => !i || m.id > all[i - 1].id));
	assert.ok(!all.some(m => m.text === 'only for b'), 'private talk is not public');
	const text = (await ctl(s, ['history', '--user', 'b'])).stdout;
	assert.match(text, /^\d+  \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  b: <b>& "quoted"<\/b>\n    second line\\x1b\[31m red \\x9b32m \\u202e\n/);
	assert.match(text, /\[file пример\.bin, application\/octet-stream, 2\.0 KB\]/);
	assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
	const raw = await ctl(s, ['history', '--json', '--user', 'b']);
	assert.doesNotMatch(raw.stdout, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
	assert.equal(jsonl(raw)[0].text, '<b>& "quoted"</b>\nsecond line\u001b[31m red \u009b32m \u202e');
	const html = (await ctl(s, ['history', '--format', 'html'])).stdout;
	assert.ok(html.startsWith('<!doctype html>'));
	assert.ok(/&#60;b&#62;&#38; &#34;quoted&#34;&#60;\/b&#62;/.test(html));
	assert.ok(!/<script|<b>&|src=|https?:/.test(html), 'no markup of theirs, nothing from outside');
	assert.ok(html.endsWith('</html>\n'));
	assert.doesNotMatch(html, /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202e]/);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--grep', 'LINE 24'])).length, 111);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--last', '3'])).length, 3);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--user', 'аня', '--last', '100'])).length, 97);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--since', '1h'])).length, 2504);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--until', '1h'])).length, 0);
	assert.equal(jsonl(await ctl(s, ['history', '--json', '--since', '2099-01-01'])).length, 0);
	const files = (await ctl(s, ['files'])).stdout;
	assert.match(files, /^ *ID  WHEN +FROM +SIZE  TYPE +NAME\n *\d+  .*  b +2\.0 KB  application\/octet-stream  пример\.bin\n$/);
	assert.match((await ctl(s, ['history', '--since', 'yesterday'], { status: 2 })).stderr, /a time is/);
});

serverTest('private talk is dumped only by naming both ends, and the audit says so', async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b'), c = await join2(s, 'c');
	for (let i = 0; i < 1200; i++) a.text(`dm ${i}`, { to_id: b.id });
	c.text('other', { to_id: b.id });
	await fence(c, [a, b, c]);
	assert.match((await ctl(s, ['history', '--dm', 'a'], { status: 2 })).stderr, /two ends/);
	assert.match((await ctl(s, ['history', '--dm', 'a', '--with', 'zzz'], { status: 5 })).stderr, /nobody known/);
	const dm = jsonl(await ctl(s, ['history', '--json', '--dm', 'a', '--with', 'b']));
	assert.equal(dm.length, 1200);
	assert.ok(dm.every(m => m.dm && m.text.startsWith('dm ')));
	assert.match((await ctl(s, ['history', '--dm', 'b', '--with', 'c'])).stdout, / c → b: other\n/);
	const audit = jsonl(await ctl(s, ['audit', '--json'])).filter(x => x.verb === 'history');
	assert.deepEqual(audit.map(x => [x.args.dm, x.args.with]), [[a.id, b.id], [b.id, c.id]]); // once a dump, however many pages
	assert.equal(audit[0].uid, process.getuid());
	const answer = await adminRequest(s, 'GET', `/v1/history?dm=${a.id}`);
	assert.equal(answer.status, 400);
});

serverTest('history --follow goes on with what comes', async s => {
	const a = await join2(s, 'a');
	a.text('before');
	await fence(a);
	const child = spawn(ctlBinary, ['--socket', socketOf(s), 'history', '--follow'], { stdio: ['ignore', 'pipe', 'inherit'] });
	let out = '';
	child.stdout.setEncoding('utf8').on('data', d => (out += d));
	const until = async re => {
		for (let i = 0; i < 200 && !re.test(out); i++) await new Promise(r => setTimeout(r, 50));
		assert.match(out, re);
	};
	await until(/: before\n/);
	a.text('after');
	await until(/: after\n/);
	child.kill('SIGINT');
	const [code] = await new Promise(r => child.on('close', (...x) => r(x)));
	assert.equal(code, 0);
});

serverTest('the audit: who, when, what, why; only added to', async s => {
	const a = await join2(s, 'a');
	a.text('x');
	const m = await a.next('text');
	await ctl(s, ['mute', 'a', '--for', '5m', '--reason', 'why not']);
	await ctl(s, ['unmute', 'a']);
	await ctl(s, ['delete', m.id, '--reason', 'rude']);
	await ctl(s, ['slow', '5']);
	await ctl(s, ['slow', '0']);
	await ctl(s, ['say', 'hello']);
	await ctl(s, ['kick', 'a', '--reason', 'bye']);
	await ctl(s, ['ban', '--name', 'x']);
	await ctl(s, ['kick', 'nobody'], { status: 5 });
	await ctl(s, ['status']);
	const rows = jsonl(await ctl(s, ['audit', '--json']));
	assert.deepEqual(rows.map(r => [r.verb, r.reason]), [['mute', 'why not'], ['unmute', undefined], ['delete', 'rude'], ['slow', undefined],
		['slow', undefined], ['say', undefined], ['kick', 'bye'], ['ban', undefined]]);
	assert.deepEqual(rows[2].args, { ids: [m.id] });
	assert.ok(rows.every(r => r.uid === process.getuid() && r.pid > 1 && isAt(r.at)));
	assert.equal(jsonl(await ctl(s, ['audit', '--json', '--last', '2'])).length, 2);
	assert.match((await ctl(s, ['audit'])).stdout, /^NUMBER  WHEN +WHO +PROCESS  VERB +WHAT +REASON\n +1  .*  mute +a \(\d+\) until .*  why not\n/);
	await s.stop();
	await s.restart();
	assert.equal(jsonl(await ctl(s, ['audit', '--json'])).length, 8);
});

serverTest('metrics: what happened is counted, over the socket and, if asked for, over TCP', { args: ['--metrics', '127.0.0.1:0'] }, async s => {
	const a = await join2(s, 'a'), b = await join2(s, 'b');
	for (let i = 0; i < 10; i++) a.text('x');
	await fence(a, [a, b]);
	a.text('x'.repeat(4001));
	await a.next('error');
	assert.equal(await metric(s, 'messages_total'), 11);
	assert.equal(await metric(s, 'connections'), 2);
	assert.equal(await metric(s, 'error_codes_total{code="too_long"}'), 1);
	assert.ok(await metric(s, 'deliveries_total') >= 22);
	assert.ok(await metric(s, 'commit_seconds_count') >= 1);
	const { text } = await adminRequest(s, 'GET', '/v1/metrics');
	const types = new Map();
	for (const line of text.trimEnd().split('\n')) {
		const type = /^# TYPE (\S+) (counter|gauge|histogram)$/.exec(line);
		if (type) {
			assert.ok(!types.has(type[1]), `${type[1]} is declared once`);
			types.set(type[1], type[2]);
		} else if (!/^# HELP (wavechat|process)_\w+ \S/.test(line)) {
			assert.match(line, /^(wavechat|process)_\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? -?[\d.e+-]+$/);
			assert.ok(types.has(line.replace(/[{ ].*/, '')) || types.has(line.replace(/_(bucket|sum|count)[{ ].*/, '')), line);
		}
	}
	const port = /metrics +port (\d+)/.exec(s.output)[1];
	const tcp = await fetch(`http://127.0.0.1:${port}/metrics`);
	assert.equal(tcp.status, 200);
	assert.match(tcp.headers.get('content-type'), /^text\/plain; version=0\.0\.4/);
	assert.match(await tcp.text(), /^wavechat_online 2$/m);
	for (const p of ['/v1/status', '/v1/metrics', '/']) {
		assert.equal((await fetch(`http://127.0.0.1:${port}${p}`)).status, 404);
		if (p !== '/') assert.equal((await s.get(p)).status, 404);
	}
});
