// wavechatctl amid what goes wrong: servers that mean harm or do not answer, pipes that close, Ctrl+C, a restart while it watches.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fence, serverTest, sleep, within } from './lib.mjs';
import { join2 } from './v2.mjs';
import { ctl, ctlRaw, ctlBinary, socketOf } from './admin.mjs';

/** A server of the test's own at a unix socket; its path. */
async function pretend(t, server) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-ctl-')), sock = path.join(dir, 's');
	server.listen(sock);
	await once(server, 'listening');
	t.after(() => {
		server.close();
		server.closeAllConnections?.();
		fs.rmSync(dir, { recursive: true, force: true });
	});
	return sock;
}

const EVIL = 'x\n\u001b]0;title\u0007\u001b[31m\u009b2J\u202e\r\u0000y';
const RAW = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/;

test('whatever a server answers, nothing of it reaches the terminal raw, and no verb hangs or falls over it', { timeout: 120000 }, async t => {
	// Every member that any verb reads, with text where numbers are due, and numbers and lists where text is.
	const members = ['version', 'data', 'log_level', 'level', 'name', 'state', 'cause', 'text', 'error', 'wanted', 'reason', 'net', 'kind', 'type', 'filename',
		'mime', 'from_name', 'to_name', 'verb', 'dm_named', 'with_named', 'id_named', 'sha', 'sha256'];
	const object = value => Object.fromEntries([...members.map(m => [m, value]), ...['id', 'at', 'until', 'seen', 'uid', 'pid', 'size', 'upto', 'connections', 'sanction', 'online',
		'seconds', 'deleted'].map(m => [m, typeof value === 'string' ? 9e18 : value])]);
	const answers = [object(EVIL), object(7), object([1]), object(null), object({}), { id: -1, at: 1e300, until: -9e18 }];
	let answer;
	const sock = await pretend(t, http.createServer((req, res) => {
		req.resume();
		const lists = Object.fromEntries(['users', 'addresses', 'sanctions', 'lifted', 'messages', 'audit', 'candidates', 'verbs', 'blobs'].map(l => [l, [answer, { ...answer, addresses: [EVIL] }, 5, null]]));
		const body = req.url === '/v1/metrics' ? `a ${EVIL}` : JSON.stringify({ ...answer, ...lists, args: answer, more: false });
		res.writeHead(answer.status || 200, { 'Content-Length': Buffer.byteLength(body) }).end(body);
	}));
	const verbs = [['status'], ['top', '--interval', '0.1'], ['users'], ['kick', 'a'], ['ban', 'a'], ['unban', 'a'], ['bans'], ['mute', 'a'], ['unmute', 'a'], ['mutes'], ['slow', '1'],
		['say', 'x'], ['delete', '1'], ['purge', 'a'], ['history'], ['history', '--format', 'html'], ['history', '--dm', 'a', '--with', 'b'], ['files'], ['audit'], ['metrics'], ['log-level'],
		['backup', path.join(path.dirname(sock), 'b')]];
	for (answer of [...answers, { ...answers[0], status: 404 }, { ...answers[0], status: 403 }, { status: 500 }])
		for (const verb of verbs)
			for (const json of [[], ['--json']]) {
				if (verb[0] === 'backup' && answer.state !== EVIL) continue; // a state that never comes is waited for
				const r = await ctlRaw(['--socket', sock, ...verb, ...json]);
				const what = `${verb.join(' ')} ${json} on ${JSON.stringify(answer).slice(0, 60)}: ${JSON.stringify(r.stdout + r.stderr).slice(0, 300)}`;
				assert.ok(r.status >= 0 && r.status <= 6, what);
				assert.doesNotMatch(r.stdout + r.stderr, RAW, what);
			}
});

test('answers without an end, without sense, or without answer', { timeout: 60000 }, async t => {
	const endless = await pretend(t, http.createServer((req, res) => {
		req.resume();
		const body = '{"more":true,"upto":5,"users":[{"id":5}],"messages":[{"id":5}],"audit":[{"id":5}],"deleted":0}';
		res.writeHead(200, { 'Content-Length': body.length }).end(body);
	}));
	for (const verb of [['users'], ['history'], ['files'], ['audit'], ['purge', 'a']]) {
		const r = await ctlRaw(['--socket', endless, ...verb]);
		assert.equal(r.status, 1);
		assert.match(r.stderr, /^wavechatctl: the server's answers have no end: is it of another version\?\n$/);
	}
	const heads = ['HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}', 'HTTP/1.1 200 OK\r\n\r\n', 'HTTP/1.1 200 OK\r\nX: ',
		'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20000)}`, 'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[[[[[[[[[', 'HTTP/1.1 abc\r\n\r\n', '\0\0\0\r\n\r\n', ''];
	for (const head of heads) {
		const sock = await pretend(t, net.createServer(c => c.on('error', () => {}).end(head)));
		for (const verb of [['status'], ['kick', 'a'], ['metrics']]) {
			const r = await ctlRaw(['--socket', sock, ...verb]);
			assert.ok(r.status === 1 || verb[0] === 'metrics', `${verb}: ${JSON.stringify(head).slice(0, 60)}: ${r.status} ${r.stderr}`);
			assert.ok(r.stderr.split('\n').length <= 2 && !r.signal, r.stderr);
		}
	}
});

serverTest('a pipe that closes ends it as it ends every program: quietly', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 5000; i++) a.text(`line ${i} ${'x'.repeat(100)}`);
	await fence(a);
	for (const args of ['history', 'history --json', 'history --format html']) {
		const r = spawnSync('bash', ['-c', `${ctlBinary} --socket ${socketOf(s)} ${args} | head -n 1; echo "\${PIPESTATUS[0]}"`]);
		assert.equal(String(r.stderr), '', args);
		assert.equal(String(r.stdout).trimEnd().split('\n').pop(), '141', args);
	}
	const full = spawnSync('bash', ['-c', `${ctlBinary} --socket ${socketOf(s)} history >/dev/full`]);
	assert.equal(full.status, 1);
	assert.match(String(full.stderr), /^wavechatctl: cannot write: No space left on device\n$/);
});

serverTest('history --follow waits for a server that is restarted, and misses nothing', async s => {
	const a = await join2(s, 'a');
	a.text('before');
	await fence(a);
	const child = spawn(ctlBinary, ['--socket', socketOf(s), 'history', '--follow'], { stdio: ['ignore', 'pipe', 'pipe'] });
	let out = '', complaint = '';
	child.stdout.setEncoding('utf8').on('data', d => (out += d));
	child.stderr.setEncoding('utf8').on('data', d => (complaint += d));
	const until = async re => {
		for (let i = 0; i < 200 && !re.test(out); i++) await sleep(50);
		assert.match(out, re);
	};
	await until(/: before\n/);
	await s.stop();
	await sleep(700);
	await s.restart();
	const b = await join2(s, '', { token: a.token });
	b.text('after');
	await until(/: after\n/);
	assert.equal(out.match(/: before\n/g).length, 1);
	assert.equal(complaint.trimEnd().split('\n').length, 1, complaint); // said once that it is away
	child.kill('SIGINT');
	assert.deepEqual(await within(5000, once(child, 'close'), 'its end'), [0, null]);
});

serverTest('a backup that is interrupted leaves nothing, here or there', async s => {
	const a = await join2(s, 'a');
	for (let i = 0; i < 3000; i++) {
		a.text('x'.repeat(3000));
		if (i % 300 === 0) await fence(a);
	}
	await fence(a);
	let stopped = 0;
	for (let ms = 5; ms < 60; ms += 5) {
		const child = spawn(ctlBinary, ['--socket', socketOf(s), 'backup', path.join(s.dir, `${ms}.tar`)], { stdio: ['ignore', 'ignore', 'pipe'] });
		let complaint = '';
		child.stderr.on('data', d => (complaint += d));
		await sleep(ms);
		child.kill('SIGINT');
		const [status, signal] = await within(10000, once(child, 'close'), 'its end');
		assert.ok(status === 0 || signal === 'SIGINT', `${status} ${signal} ${complaint}`);
		assert.equal(complaint, '');
		stopped += signal === 'SIGINT';
		assert.deepEqual(fs.readdirSync(s.dir).filter(f => f.startsWith(`${ms}.`)), status === 0 ? [`${ms}.tar`] : []);
		await ctl(s, ['status']);
	}
	assert.ok(stopped > 0, 'one was caught in the act');
	await ctl(s, ['backup', path.join(s.dir, 'last.tar')]); // none is still under way
	assert.deepEqual(fs.readdirSync(path.join(s.dir, 'data')).filter(f => f.startsWith('backup')), []);
});
