// wavechatctl itself: exit codes, suggestions, where it looks, what it never prints; and the socket it talks to.
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, fence, run, serverTest } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlRaw, ctlJson, ctlBinary, socketOf, adminRequest } from './admin.mjs';

const temp = t => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-ctl-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
};

test('usage: every wrong word is one line with the nearest right one, exit 2', async () => {
	const cases = [
		[['staus'], /^wavechatctl: no verb "staus"; did you mean status\?\n$/],
		[['xyzzy'], /^wavechatctl: no verb "xyzzy"; see wavechatctl --help\n$/],
		[['kick', 'a', '--reson', 'x'], /^wavechatctl: kick: no option "--reson"; did you mean --reason\?\n$/],
		[['--sokcet', 'x', 'status'], /did you mean --socket\?\n$/],
		[['kick'], /^wavechatctl: kick: something is missing\nusage: wavechatctl kick USER \[OPTION\]\.\.\.\n$/],
		[['status', 'x'], /^wavechatctl: status: too much\n/],
		[['status', '--json=1'], /^wavechatctl: --json takes no value\n$/],
		[['kick', 'a', '--reason'], /^wavechatctl: --reason needs a value/],
		[['ban'], /^wavechatctl: ban: name one person, or one of --name and --ip\n$/],
		[['ban', 'a', '--ip', '1.2.3.4'], /name one person/],
		[['ban', 'a', '--for', 'soon'], /^wavechatctl: --for "soon": a time is/],
		[['slow', 'down'], /^wavechatctl: slow: "down" is no number/],
		[['delete', '12x'], /^wavechatctl: delete: "12x" is no message's id/],
		[['unban', '--number', 'x'], /^wavechatctl: --number "x": wavechatctl bans shows the numbers\n$/],
		[['history', '--since', '2026-02-30'], /^wavechatctl: "2026-02-30": a time is/],
		[['history', '--format', 'pdf'], /none of text, jsonl, html/],
		[['completion', 'cmd'], /none of bash, zsh, fish/],
		[['\u001b[31mred'], /^wavechatctl: no verb "\\x1b\[31mred"; see/],
		[['-x'], /^wavechatctl: no option "-x"/],
	];
	for (const [args, wanted] of cases) {
		const r = await ctlRaw(['--socket', '/nonexistent/socket', ...args].slice(args[0].startsWith('--sok') ? 2 : 0));
		assert.equal(r.status, 2, `${args.join(' ')}: ${r.stderr}`);
		assert.match(r.stderr, wanted);
		assert.equal(r.stdout, '');
	}
	assert.equal((await ctlRaw([])).status, 2);
});

test('help and completion come from the one table', async t => {
	const help = (await ctlRaw(['--help'])).stdout;
	const verbs = [...help.matchAll(/^  ([a-z][a-z-]*)(?: \[?[A-Z]|  )/gm)].map(m => m[1]);
	assert.ok(verbs.length >= 20, verbs.join(' '));
	for (const v of verbs) {
		const one = await ctlRaw(['help', v]);
		assert.equal(one.status, 0);
		assert.match(one.stdout, new RegExp(`^usage: wavechatctl ${v}`));
		assert.deepEqual((await ctlRaw([v, '--help'])).stdout, one.stdout);
	}
	for (const shell of ['bash', 'zsh', 'fish']) {
		const r = await ctlRaw(['completion', shell]);
		assert.equal(r.status, 0);
		for (const v of verbs) assert.ok(r.stdout.includes(v), `${shell}: ${v}`);
		const script = path.join(temp(t), shell);
		fs.writeFileSync(script, r.stdout);
		const said = spawnSync(shell, ['-n', script]);
		if (said.error?.code !== 'ENOENT') assert.deepEqual([said.status, String(said.stderr)], [0, ''], shell);
	}
	const file = path.join(temp(t), 'c');
	fs.writeFileSync(file, (await ctlRaw(['completion', 'bash'])).stdout);
	const complete = (...words) => execFileSync('bash', ['-c', `. ${file}; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _wavechatctl; echo "\${COMPREPLY[*]}"`, 'x', 'wavechatctl', ...words])
		.toString().trim().split(' ');
	assert.deepEqual(complete('sta'), ['status']);
	assert.deepEqual(complete('un'), ['unban', 'unmute']);
	assert.deepEqual(complete('kick', '--r'), ['--reason']);
	assert.deepEqual(complete('--socket', 'x', 'completion', 'z'), ['zsh']);
	assert.deepEqual(complete('history', '--format', 'j'), ['jsonl']);
	assert.match((await ctlRaw(['--version'])).stdout, /^wavechatctl \d/);
});

test('no server: one line, exit 3; it looks where servers are', async t => {
	const dir = temp(t), sock = path.join(dir, 'a.sock');
	assert.match((await ctlRaw(['status'], { cwd: dir })).stderr, /^wavechatctl: no server found [^\n]*--socket PATH\n$/);
	for (const args of [['--socket', sock, 'status'], ['status', `--socket=${sock}`]]) {
		const r = await ctlRaw(args);
		assert.equal(r.status, 3);
		assert.match(r.stderr, /^wavechatctl: no server at [^\n]+\n$/);
	}
	const stale = net.createServer().listen(sock);
	await once(stale, 'listening');
	fs.renameSync(sock, `${sock}.kept`); // closing would remove it
	stale.close();
	assert.match((await ctlRaw(['--socket', `${sock}.kept`, 'status'])).stderr, /^wavechatctl: no server answers at /);
	// one that accepts and says nothing sensible
	const odd = net.createServer(c => c.end('hello\n')).listen(sock);
	await once(odd, 'listening');
	const r = await ctlRaw(['--socket', sock, 'status']);
	odd.close();
	assert.equal(r.status, 1);
	assert.match(r.stderr, /ended the connection without an answer/);
});

test('a server of another version: says so', async t => {
	const sock = path.join(temp(t), 's');
	const http = await import('node:http');
	const srv = http.createServer((req, res) => {
		const body = req.url === '/v1/bans' ? '{"new":true}' : '{"error":"no_such_verb","text":"x"}';
		res.writeHead(req.url === '/v1/bans' ? 200 : 404, { 'Content-Length': body.length }).end(body);
	}).listen(sock);
	await once(srv, 'listening');
	const r = await ctlRaw(['--socket', sock, 'status']);
	assert.equal(r.status, 1);
	assert.match(r.stderr, /^wavechatctl: the server is of another version and does not know this; wavechatctl is \d/);
	assert.equal((await ctlRaw(['--socket', sock, 'bans'])).stdout, 'nobody is banned\n');
	srv.close();
});

serverTest('the usual places are found: environment and current directory', async s => {
	const data = path.join(s.dir, 'data');
	for (const env of [{ WAVECHAT_SOCKET: socketOf(s) }, { STATE_DIRECTORY: data }, { STATE_DIRECTORY: `${data}:/x` }])
		assert.equal((await ctlRaw(['status', '--json'], { env, cwd: os.tmpdir() })).status, 0, JSON.stringify(env));
	fs.symlinkSync(data, path.join(s.dir, 'wavechat-data'));
	assert.equal((await ctlRaw(['status'], { cwd: s.dir })).status, 0);
});

serverTest('people: ids and names, an ambiguous one lists who it may be, exit 5', async s => {
	const a = await join2(s, 'Alice'), b = await join2(s, 'Alina');
	const two = await join2(s, String(a.id)); // a name that is another's id
	const none = await ctl(s, ['kick', 'ali'], { status: 5 });
	assert.match(none.stderr, new RegExp(`^wavechatctl: "ali": nobody known here has this id or name\n(  \\d+ +Ali(ce|na)\n){2}$`));
	const both = await ctl(s, ['kick', a.id], { status: 5 });
	assert.match(both.stderr, new RegExp(`id:N or name:NAME\n  ${a.id} +Alice\n  ${two.id} +${a.id}\n$`));
	await ctl(s, ['kick', `name:${a.id}`]);
	assert.equal((await two.closed).code, 4001);
	await ctl(s, ['kick', `id:${a.id}`]);
	assert.equal((await a.closed).code, 4001);
	await ctl(s, ['kick', 'ＡＬＩＮＡ']);
	assert.equal((await b.closed).code, 4001);
	assert.match((await ctl(s, ['unban', 'nobody'], { status: 5 })).stderr, /there is no such ban/);
	assert.match((await ctl(s, ['unmute', '--number', '77'], { status: 5 })).stderr, /there is no such mute/);
	assert.match((await ctl(s, ['ban', '--ip', '10.0.0.0/33'], { status: 2 })).stderr, /neither an address nor a network/);
	assert.match((await ctl(s, ['log-level', 'loud'], { status: 2 })).stderr, /error, warn, info or debug/);
});

serverTest('reasons and file names cannot reach the terminal raw', async s => {
	const a = await join2(s, 'a');
	await ctl(s, ['mute', 'a', '--reason', 'line\n\u001b]0;title\u0007 \u009b31m \u202eabc']);
	for (const args of [['mutes'], ['audit'], ['mutes', '--json'], ['audit', '--json']]) {
		const r = await ctl(s, args);
		assert.doesNotMatch(r.stdout.trimEnd().replace(/\n/g, ''), /[\u0000-\u001f\u007f-\u009f\u202e]/, args.join(' '));
		assert.match(r.stdout, /line\\n/);
	}
	assert.ok((await ctlJson(s, ['mutes'])).sanctions[0].reason.includes('\u001b]0;title'));
	await a.close();
});

serverTest('the socket: mode 0600, every bad request answered, nothing of it on TCP', async s => {
	assert.equal(fs.statSync(socketOf(s)).mode & 0o777, 0o600);
	const bad = [
		['GET', '/v1/nothing', undefined, 404], ['GET', '/v1/kick', undefined, 405], ['POST', '/v1/status', {}, 405],
		['POST', '/v1/kick', 'nonsense', 400], ['POST', '/v1/kick', '[1]', 400], ['POST', '/v1/kick', '{"user":"a"} x', 400],
		['POST', '/v1/kick', '{"user":"a","reson":"x"}', 400], ['POST', '/v1/kick', {}, 400], ['POST', '/v1/kick', '{"user":"\ud800"}', 404],
		['POST', '/v1/ban', { user: 'a', net: '1.2.3.4' }, 400], ['POST', '/v1/ban', { net: '1.2.3.4', for_s: -1 }, 400],
		['POST', '/v1/ban', { net: '1.2.3.4', for_s: 'x' }, 400], ['POST', '/v1/ban', { name: '\u200b' }, 400],
		['POST', '/v1/kick', { user: 'a', reason: 'x'.repeat(401) }, 400], ['POST', '/v1/delete', { ids: [] }, 400],
		['POST', '/v1/delete', { ids: ['1'] }, 400], ['POST', '/v1/delete', { ids: Array(1001).fill(1) }, 400], ['POST', '/v1/delete', { ids: [1e300] }, 400],
		['POST', '/v1/slow', { seconds: 1e9 }, 400], ['POST', '/v1/say', { text: ' \u3000 ' }, 400], ['POST', '/v1/say', { text: 'x'.repeat(4001) }, 400],
		['POST', '/v1/say', `{"text":"${'x'.repeat(300000)}"}`, 413], ['POST', '/v1/say', '['.repeat(100000), 400], ['POST', '/v1/say', '{"text":1', 400],
		['GET', '/v1/users?bogus=1&after=x', undefined, 200], ['GET', '/v1/history?dm=1', undefined, 400], ['GET', '/v1/backup', undefined, 409],
	];
	for (const [method, p, body, status] of bad) {
		const r = await adminRequest(s, method, p, body);
		assert.equal(r.status, status, `${method} ${p} ${JSON.stringify(body || '').slice(0, 80)}: ${r.text.slice(0, 200)}`);
		if (status !== 200) assert.ok(r.json.error && r.json.text, r.text.slice(0, 200));
	}
	for (const p of ['/v1/status', '/v1/kick', '/v1/verbs']) assert.equal((await s.get(p)).status, 404);
	assert.equal((await adminRequest(s, 'GET', '/health')).status, 404);
	const { verbs } = (await adminRequest(s, 'GET', '/v1/verbs')).json;
	for (const v of verbs) {
		assert.ok(['look', 'moderate', 'operate'].includes(v.role), v.path);
		if (v.method === 'GET') assert.notEqual((await adminRequest(s, 'GET', v.path)).status, 404, v.path);
	}
	const a = await join2(s, 'a');
	await fence(a);
});

test('a peer without permission: exit 4, and the server says who', { skip: process.getuid() !== 0 && 'needs root, to be somebody else' }, async t => {
	const s = await Server.start({ allow: /admin refused/ });
	t.after(() => s.cleanUp());
	const asNobody = args => new Promise((resolve, reject) => {
		const child = spawn(ctlBinary, args, { uid: 65534, gid: 65534, cwd: '/', env: {}, stdio: ['ignore', 'pipe', 'pipe'] });
		let text = '';
		child.stdout.on('data', d => (text += d));
		child.stderr.on('data', d => (text += d));
		child.on('error', reject).on('close', status => resolve({ status, text }));
	});
	const shut = await asNobody(['--socket', socketOf(s), 'status']);
	assert.deepEqual([shut.status, /not permitted/.test(shut.text)], [4, true], shut.text);
	// the file's mode is not the only guard
	for (const p of [s.dir, path.join(s.dir, 'data')]) fs.chmodSync(p, 0o755);
	fs.chmodSync(socketOf(s), 0o666);
	const open = await asNobody(['--socket', socketOf(s), 'status']);
	assert.deepEqual([open.status, /only the user the server runs as/.test(open.text)], [4, true], open.text);
	await s.says(/admin refused uid=65534/);
	await s.stop();
});

test('the socket\'s place: given, stale, live, too open, too long, none', async t => {
	const dir = temp(t), sock = path.join(dir, 'x.sock');
	const start = async (args, more) => {
		const s = await Server.start({ args, ...more });
		t.after(() => s.cleanUp());
		return s;
	};
	const first = await start(['--admin-socket', sock]);
	assert.equal((await ctlRaw(['--socket', sock, 'status'])).status, 0);
	const taken = await run(['--port', '0', '--data', path.join(dir, 'd2'), '--admin-socket', sock]);
	assert.equal(taken.status, 1);
	assert.match(taken.words, /^wavechatd: [^\n]*a running server answers there[^\n]*\n$/);
	await first.kill9(); // leaves its socket behind
	assert.ok(fs.existsSync(sock));
	const second = await start(['--admin-socket', sock]);
	assert.equal((await ctlRaw(['--socket', sock, 'status'])).status, 0);
	await second.stop();
	assert.ok(!fs.existsSync(sock), 'removed at the end');
	const open = path.join(dir, 'open');
	fs.mkdirSync(open);
	fs.chmodSync(open, 0o777);
	const refused = await run(['--port', '0', '--data', path.join(dir, 'd3'), '--admin-socket', path.join(open, 's')]);
	assert.equal(refused.status, 1);
	assert.match(refused.words, /^wavechatd: others can write in [^\n]*chmod go-w[^\n]*\n$/);
	fs.chmodSync(open, 0o1777); // as /tmp: others may take the name first
	const shared = await run(['--port', '0', '--data', path.join(dir, 'd3'), '--admin-socket', path.join(open, 's')]);
	assert.equal(shared.status, 1);
	assert.match(shared.words, /^wavechatd: others can write in [^\n]*: name another with --admin-socket\n$/);
	const none = await start(['--admin-socket', 'none']);
	assert.ok(!fs.existsSync(socketOf(none)));
	await none.stop();
	const memory = await start(['--data', ':memory:']);
	assert.match(memory.output, /admin +wavechatctl --socket \S*\/wavechat\S*\/\d+\.sock status/); // see 39-memory-socket
	await memory.stop();
	const deep = path.join(dir, 'x'.repeat(60), 'y'.repeat(60));
	fs.mkdirSync(deep, { recursive: true });
	const long = await start([], { dir: deep });
	assert.ok(socketOf(long).length > 107);
	assert.equal((await ctlRaw(['--socket', socketOf(long), 'status', '--json'])).status, 0);
	await long.stop();
	assert.ok(!fs.existsSync(socketOf(long)));
	const runtime = await start([], { env: { RUNTIME_DIRECTORY: dir } });
	assert.equal((await ctlRaw(['status'], { env: { RUNTIME_DIRECTORY: dir }, cwd: '/' })).status, 0);
	await runtime.stop();
});

serverTest('top: one look without a terminal', async s => {
	const a = await join2(s, 'a');
	const r = await ctl(s, ['top', '--interval', '0.2']);
	assert.match(r.stdout, /^wavechatd \d/);
	assert.match(r.stdout, /^people +1 +connections +1$/m);
	assert.doesNotMatch(r.stdout, /\u001b/);
	assert.match((await ctl(s, ['top', '--interval', '0'], { status: 2 })).stderr, /0\.1 to 3600/);
	await a.close();
});

serverTest('a person called id:7 or name:Ann makes an admin hit nobody else', { args: ['--keep-addresses', '0'] }, async s => {
	const ann = await join2(s, 'Ann'), eve = await join2(s, `id:${ann.id}`), mal = await s.join('name:Ann');
	assert.deepEqual([eve.name, mal.name], [`id:${ann.id}`, 'name:Ann']);
	const say = `id:${String(ann.id).padStart(40, '0')}`;
	const twice = await ctl(s, ['mute', `id:${ann.id}`], { status: 5 });
	assert.match(twice.stderr, new RegExp(`this fits two people.*\n  ${ann.id} +Ann  \\(say ${say}\\)\n  ${eve.id} +id:${ann.id}  \\(say id:${eve.id}\\)\n$`));
	assert.match((await ctl(s, ['ban', 'name:Ann'], { status: 5 })).stderr, /this fits two people/);
	assert.match((await ctl(s, ['history', '--user', `id:${ann.id}`], { status: 5 })).stderr, /this fits two people/);
	for (const c of [ann, eve, mal]) c.text(`of ${c.name}`);
	await fence(ann, [ann, eve, mal]);
	await ctl(s, ['kick', say]);
	assert.equal((await ann.closed).code, 4001);
	// who left is known by what was written alone
	await mal.close();
	const old = await s.join(String(eve.id));
	old.text('under an id');
	await fence(old, [old, eve]);
	await old.close();
	await ctl(s, ['kick', `id:${eve.id}`]);
	const purge = async user => { const r = await adminRequest(s, 'POST', '/v1/purge', { user, dry_run: true }); return [r.status, r.json.error ?? r.json.people.map(p => p.name)]; };
	assert.deepEqual(await purge(say), [200, ['Ann']]);
	assert.deepEqual(await purge('name:Ann'), [409, 'ambiguous']);
	assert.deepEqual(await purge(String(eve.id)), [409, 'ambiguous']);
	assert.deepEqual(await purge(`id:${eve.id}`), [200, [eve.name]]);
	assert.deepEqual(await purge('name:name:Ann'), [200, ['name:Ann']]);
});

serverTest('the id of somebody who left hits nobody who has it as a name', { args: ['--keep-addresses', '0'] }, async s => {
	const bad = await s.join('Bad'), id = bad.id;
	bad.text('spam');
	await fence(bad);
	await bad.close();
	const bare = await join2(s, String(id)), exact = await join2(s, `id:${id}`), far = await join2(s, '987654');
	assert.deepEqual([bare.name, exact.name, far.name], [String(id), `id:${id}`, '987654']);
	for (const c of [bare, exact, far]) c.text(`of ${c.name}`);
	await fence(bare, [bare, exact, far]);
	const zeros = `id:${String(id).padStart(40, '0')}`;
	for (const verb of ['ban', 'mute', 'kick', 'purge', 'history --user']) {
		const one = await ctl(s, [...verb.split(' '), String(id)], { status: 5 });
		assert.match(one.stderr, new RegExp(`had it as an id and left: say id:N or name:NAME\n  ${bare.id} +${id}  \\(say id:${bare.id}\\)\n  ${id} .*\\(say id:${id}\\)\n$`), verb);
		const two = await ctl(s, [...verb.split(' '), `id:${id}`], { status: 5 });
		assert.match(two.stderr, new RegExp(`had this id and left: say what.*\n  ${exact.id} +id:${id}  \\(say id:${exact.id}\\)\n  ${id} .*\\(say ${zeros}\\)\n$`), verb);
	}
	// Each of the three can be said, and an id that nobody has had is a name.
	const purge = async user => (await adminRequest(s, 'POST', '/v1/purge', { user, dry_run: true })).json.people.map(p => [p.id, p.name]);
	assert.deepEqual(await purge(zeros), [[id, 'Bad']]);
	assert.deepEqual(await purge(`name:${id}`), [[bare.id, bare.name]]);
	assert.deepEqual(await purge(`name:id:${id}`), [[exact.id, exact.name]]);
	assert.deepEqual(await purge('987654'), [[far.id, far.name]]);
	await ctl(s, ['purge', zeros]);
	await ctl(s, ['kick', `name:${id}`]);
	assert.equal((await bare.closed).code, 4001);
});
