// Settings: a file of them, several addresses, and what SIGHUP changes while people chat.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { once } from 'node:events';
import { run, Server, slack, within } from './lib.mjs';
import { ctl, ctlJson } from './admin.mjs';

const tmp = () => fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-config-'));
const hasIPv6 = Object.values(os.networkInterfaces()).flat().some(i => i.address === '::1');

/** A folder with a settings file; put() replaces the file as editors and package managers do, by renaming another over it. */
async function withFile(text, fn) {
	const dir = tmp(), file = path.join(dir, 'settings');
	const put = s => { fs.writeFileSync(`${file}.new`, s); fs.renameSync(`${file}.new`, file); };
	put(text);
	try {
		await fn(file, put, dir);
	} finally {
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

const connects = (port, host) => new Promise(resolve => {
	const s = net.connect(port, host, () => { s.destroy(); resolve(true); }).on('error', () => resolve(false));
});

test('a file of settings sets what neither a flag nor a variable does', async () => {
	await withFile("# ours\nHISTORY_LIMIT='1'\nMAX_FILE_MB=\"1\"\nWAVECHAT_RETAIN_DAYS=7\n", async (file, put) => {
		const s = await Server.start({ args: ['--config', file], env: { MAX_FILE_MB: '2' } });
		try {
			const a = await s.join('ann');
			a.text('first');
			a.text('second');
			await a.next({ text: 'second' });
			assert.deepEqual((await s.join('ben')).init.history.map(m => m.text), ['second']);
			a.send({ type: 'file', filename: 'x', data: Buffer.alloc((2 << 20) + 1).toString('base64') });
			assert.equal((await a.next('error')).text, 'Max 2MB');
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	});
});

test('a wrong file is refused with its line, what was expected, and the nearest name', async () => {
	const cases = [
		['PORT=1\nWAVECHAT_RETAINDAYS=3\n', /settings:2: .*"WAVECHAT_RETAINDAYS".*did you mean WAVECHAT_RETAIN_DAYS\?/],
		['\n\nMAX_FILE_MB=2000\n', /settings:3: MAX_FILE_MB "2000".*1 to 1024/],
		['PORT\n', /settings:1: .*NAME=VALUE/],
		["PORT='1\n", /settings:1: .*quote/],
	];
	for (const [text, line] of cases)
		await withFile(text, async file => {
			for (const extra of [[], ['--check'], ['--max-file-mb', '3', '--port', '0']]) {
				const r = await run(['--config', file, '--data', ':memory:', ...extra]);
				assert.equal(r.status, 2, text);
				assert.match(r.stderr, line);
				assert.equal(r.stderr.trimEnd().split('\n').length, 1, r.stderr);
			}
		});
});

test('a file that is not there, is a folder, or may not be read', async () => {
	const dir = tmp();
	const missing = path.join(dir, 'none'), closed = path.join(dir, 'closed');
	for (const name of [missing, dir]) {
		const r = await run(['--check', '--config', name, '--data', ':memory:']);
		assert.deepEqual([r.status, r.stderr.trimEnd().split('\n').length], [2, 1]);
		assert.ok(r.stderr.includes(name), r.stderr);
	}
	assert.equal((await run(['--check', '--config', `-${missing}`, '--data', ':memory:', '--port', '0'])).status, 0, 'a dash allows it to be missing');
	fs.writeFileSync(closed, 'PORT=1\n', { mode: 0o000 });
	if (process.getuid() !== 0) {
		const r = await run(['--check', '--config', closed, '--data', ':memory:']);
		assert.equal(r.status, 2);
		assert.match(r.stderr, /Permission denied.*readable/);
	}
	fs.rmSync(dir, { recursive: true });
});

test('a misspelt variable is warned of, with the nearest name; others are not', async () => {
	const s = await Server.start({ env: { WAVECHAT_RETAINDAYS: '3', WAVECHAT_SOCKET: '/x', WAVECHAT_PORT: '1', WAVECHAT_LOG_LEVEL: 'info' }, allow: /unknown variable/ });
	try {
		const warned = s.output.split('\n').filter(l => l.includes('unknown variable'));
		assert.equal(warned.length, 2, s.output);
		assert.ok(warned.some(l => /"WAVECHAT_RETAINDAYS".*did you mean WAVECHAT_RETAIN_DAYS/.test(l)), s.output);
		assert.ok(warned.some(l => /"WAVECHAT_PORT".*did you mean PORT/.test(l)), s.output);
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

test('several addresses: all are listened on at the same port, said at the start and in status', async () => {
	const listen = ['127.0.0.1', '127.0.0.2', '127.0.0.3', ...(hasIPv6 ? ['::1'] : [])];
	const s = await Server.start({ listen: `${listen[0]},${listen[1]}`, args: listen.slice(2).flatMap(a => ['--listen', a]) });
	try {
		for (const address of listen) {
			assert.ok(await connects(s.port, address), address);
			const shown = address.includes(':') ? `[${address}]` : address;
			assert.ok(s.output.includes(`://${shown}:${s.port}`), `${shown} in ${s.output}`);
		}
		assert.equal(await connects(s.port, '127.0.0.4'), false, 'no other address');
		assert.deepEqual((await ctlJson(s, ['status'])).listen, listen);
		for (const address of listen) assert.ok((await ctl(s, ['status'])).stdout.includes(address));
		// Two people at two addresses are in one room.
		const a = await s.join('ann');
		s.host = '127.0.0.2';
		s.url = s.url.replace('127.0.0.1', '127.0.0.2');
		const b = await s.join('ben');
		b.text('hello');
		await a.next({ text: 'hello' });
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

test('several addresses with HTTPS: each has a port that redirects', async () => {
	const probe = net.createServer().listen(0, '127.0.0.1');
	await once(probe, 'listening');
	const { port } = probe.address();
	await new Promise(done => probe.close(done));
	const s = await Server.start({ listen: '127.0.0.1,127.0.0.2', args: ['--tls-self-signed', '--redirect-http', String(port)] });
	try {
		for (const address of ['127.0.0.1', '127.0.0.2']) {
			const r = await fetch(`http://${address}:${port}/x`, { redirect: 'manual' });
			assert.ok(r.status === 301 || r.status === 308, `${r.status}`);
			assert.equal(r.headers.get('location'), `https://${address}:${s.port}/x`);
		}
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

test('an address that is given twice, or is in another one, is named; a taken one, too', async () => {
	for (const [listen, line] of [
		['127.0.0.1,127.0.0.1', /127\.0\.0\.1 is given twice/], ['::1,0:0:0:0:0:0:0:1', /::1 is given twice/], ['0.0.0.0,127.0.0.1', /0\.0\.0\.0 includes 127\.0\.0\.1/],
	]) {
		const r = await run(['--listen', listen, '--port', '0', '--data', ':memory:']);
		assert.equal(r.status, 2);
		assert.match(r.stderr, line);
	}
	const holder = net.createServer().listen(0, '127.0.0.2');
	await once(holder, 'listening');
	const r = await run(['--listen', '127.0.0.1,127.0.0.2', '--port', String(holder.address().port), '--data', ':memory:']);
	holder.close();
	assert.equal(r.status, 1);
	assert.match(r.stderr, new RegExp(`127\\.0\\.0\\.2 port ${holder.address()?.port ?? ''}`));
});
