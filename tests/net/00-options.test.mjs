// Options: --help, --version, --check, bad values, and who beats whom. No client connects here.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import test from 'node:test';
import { Server, run, serverTest, sleep } from './lib.mjs';

const tmp = () => fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-net-'));

test('--help names what most servers need, and fits a screen', async () => {
	const r = await run(['--help']), lines = r.stdout.trimEnd().split('\n');
	assert.equal(r.status, 0);
	assert.equal(r.stderr, '');
	assert.ok(lines.length < 24, `${lines.length} lines`);
	for (const line of lines) assert.ok(line.length <= 80, line);
	for (const option of ['--port N', '--data DIR', '--tls-cert FILE', '--join-password-file FILE', '--check', '--version', '--help all'])
		assert.ok(r.stdout.includes(option), `${option} in --help`);
	assert.deepEqual(await run(['-h']), r);
	assert.deepEqual(await run(['--help', '--port', '99999']), r, 'what follows is not looked at');
});

test('--help all names every option and goes to stdout', async () => {
	const r = await run(['--help', 'all']);
	assert.equal(r.status, 0);
	assert.equal(r.stderr, '');
	assert.deepEqual(await run(['--help=all']), r);
	const other = await run(['--help=some']);
	assert.equal(other.status, 2);
	assert.match(other.stderr, /^wavechatd: --help takes no value but all: .*\n$/);
	for (const option of ['--data', '--port', '--listen', '--max-file-mb', '--history-limit', '--threads', '--log-level', '--version', '--help', '--check'])
		assert.ok(r.stdout.includes(option), `${option} in --help`);
	for (const variable of ['PORT', 'MAX_FILE_MB', 'HISTORY_LIMIT', 'WAVECHAT_DATA']) assert.ok(r.stdout.includes(variable), `${variable} in --help`);
});

test('--version says what this is', async () => {
	const r = await run(['--version']);
	assert.equal(r.status, 0);
	assert.match(r.stdout, /^wavechatd \d/);
	assert.equal(r.stderr, '');
});

const refused = [
	[['--port', '65536'], {}, /--port.*65536.*65535/],
	[['--port', '-1'], {}, /--port.*-1/],
	[['--port', '80x'], {}, /--port.*80x/],
	[['--port', ''], {}, /--port/],
	[['--max-file-mb', '0'], {}, /--max-file-mb.*0.*1/],
	[['--max-file-mb', '99999999999999999999'], {}, /--max-file-mb.*99999999999999999999/],
	[['--history-limit', '10001'], {}, /--history-limit.*10001.*10000/],
	[['--log-level', 'loud'], {}, /--log-level.*loud.*info/],
	[['--listen', 'not an address'], {}, /--listen.*not an address/],
	[['--port'], {}, /--port/],
	[['--prot', '80'], {}, /--prot.*--port/],
	[['stray'], {}, /stray/],
	[[], { PORT: 'web' }, /PORT.*web/],
	[[], { MAX_FILE_MB: '2000' }, /MAX_FILE_MB.*2000/],
	[[], { HISTORY_LIMIT: '-5' }, /HISTORY_LIMIT.*-5/],
];
for (const [args, env, line] of refused) {
	test(`refused in one line: ${args.join(' ') || JSON.stringify(env)}`, async () => {
		const r = await run(args, { env });
		assert.equal(r.status, 2, r.stderr);
		assert.equal(r.stdout, '');
		assert.match(r.stderr, line);
		assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
	});
}

test('--check validates and starts nothing', async () => {
	const dir = tmp();
	const r = await run(['--check', '--data', path.join(dir, 'data')]);
	assert.equal(r.status, 0, r.stderr);
	assert.equal((await run(['--check', '--port', 'x'])).status, 2);
	// What a start would refuse, a check does not pass.
	for (const data of [path.join(dir, 'nowhere', 'data'), '/proc/version']) {
		const refused = await run(['--check', '--data', data]), start = await run(['--port', '0', '--data', data]);
		assert.deepEqual([refused.status, start.status], [1, 1], data);
		assert.match(refused.stderr, /--data/);
	}
	fs.rmSync(dir, { recursive: true });
});

test('--check leaves the data as it finds it: at rest, in use, after a crash, whatever the folder is called', async () => {
	const dir = path.join(tmp(), 'a?b#c%20 d');
	fs.mkdirSync(dir);
	const data = path.join(dir, 'data'), files = () => fs.readdirSync(data).sort();
	const check = async () => {
		const before = files(), r = await run(['--check', '--data', data]);
		assert.deepEqual([r.status, r.stderr], [0, '']);
		assert.deepEqual(files(), before);
	};
	const s = await Server.start({ dir });
	try {
		for (let i = 0; i < 500 && !files().includes('reserve'); i++) await sleep(20); // made beside the start
		assert.ok(files().includes('reserve'));
		await check();
		await s.stop();
		assert.ok(!files().includes('wavechat.db-wal'));
		await check();
		await s.restart();
		await s.kill9();
		await check();
		await s.restart();
		await s.stop();
		const db = path.join(data, 'wavechat.db'), bytes = fs.readFileSync(db);
		bytes.fill(0x5a, 4096, 8192);
		fs.writeFileSync(db, bytes);
		const broken = await run(['--check', '--data', data]);
		assert.equal(broken.status, 1);
		assert.match(broken.stderr, /^wavechatd: [^\n]*wavechat\.db[^\n]*\n$/);
	} finally {
		await s.cleanUp();
		fs.rmSync(path.dirname(dir), { recursive: true });
	}
});

test('a taken port is one clear line and exit 1', async () => {
	const holder = net.createServer().listen(0, '127.0.0.1');
	await once(holder, 'listening');
	const { port } = holder.address();
	const dir = tmp();
	const r = await run(['--listen', '127.0.0.1', '--port', String(port), '--data', path.join(dir, 'data')]);
	holder.close();
	fs.rmSync(dir, { recursive: true });
	assert.equal(r.status, 1, r.stderr);
	assert.match(r.stderr, new RegExp(String(port)));
	assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
});

test('a data directory that cannot be made is one clear line and exit 1', async () => {
	const r = await run(['--listen', '127.0.0.1', '--port', '0', '--data', '/dev/null/data']);
	assert.equal(r.status, 1, r.stderr);
	assert.match(r.stderr, /\/dev\/null\/data/);
	assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
});

serverTest('starts on a port of its own and says where', { port: 0 }, async s => {
	assert.ok(s.port > 0);
	assert.ok(s.output.includes(path.join(s.dir, 'data')), 'it says where the data is');
	assert.ok(fs.statSync(path.join(s.dir, 'data')).isDirectory(), 'the data directory is made');
	await s.says(/Ctrl.?C|SIGTERM|stop/i); // how to stop it, too
	assert.equal(await (await s.get('/health')).text(), 'ok');
});

serverTest('the environment sets what no flag does', { env: { HISTORY_LIMIT: '1', MAX_FILE_MB: '1' } }, async s => {
	const a = await s.join('env');
	a.text('first');
	a.text('second');
	await a.next({ text: 'second' });
	const b = await s.join('late');
	assert.deepEqual(b.init.history.map(m => m.text), ['second']);
	a.send({ type: 'file', filename: 'x', data: Buffer.alloc((1 << 20) + 1).toString('base64') });
	assert.equal((await a.next('error')).text, 'Max 1MB');
});

serverTest('a flag beats the environment', { env: { HISTORY_LIMIT: '1' }, args: ['--history-limit', '2'] }, async s => {
	const a = await s.join('flag');
	for (const text of ['one', 'two', 'three']) a.text(text);
	await a.next({ text: 'three' });
	const b = await s.join('late');
	assert.deepEqual(b.init.history.map(m => m.text), ['two', 'three']);
});

serverTest('listens on IPv6 when told to', { listen: '::1' }, async s => {
	assert.equal(await (await s.get('/health')).text(), 'ok');
	const a = await s.join('six');
	a.text('over six');
	await a.next({ text: 'over six', self: true });
});

serverTest('--data :memory: touches no disk', { args: ['--data', ':memory:'] }, async s => {
	const a = await s.join('memory');
	a.text('kept nowhere');
	await a.next({ text: 'kept nowhere' });
	assert.deepEqual(fs.readdirSync(s.dir), []);
});
