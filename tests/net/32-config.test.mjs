// Settings: a file of them, several addresses, and what SIGHUP changes while people chat.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { once } from 'node:events';
import { execFileSync } from 'node:child_process';
import tls from 'node:tls';
import { Server, binary, patience, run, slack, sleep, within } from './lib.mjs';
import { ctl, ctlJson } from './admin.mjs';
import { error2, join2 } from './v2.mjs';

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
		await s.says(/(unknown variable[^]*){2}\n/);
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
		['127.0.0.1,::ffff:127.0.0.1', /127\.0\.0\.1 is given twice/], ['::,[::ffff:127.0.0.1],0.0.0.0', /0\.0\.0\.0 includes 127\.0\.0\.1/],
	]) {
		const r = await run(['--listen', listen, '--port', '0', '--data', ':memory:']);
		assert.equal(r.status, 2);
		assert.match(r.stderr, line);
	}
	if (hasIPv6) {
		const link = await run(['--listen', 'fe80::1', '--port', '0', '--data', ':memory:']);
		assert.equal(link.status, 1);
		assert.match(link.stderr, /fe80::1 port 0: .*choose another with --listen/);
	}
	const holder = net.createServer().listen(0, '127.0.0.2');
	await once(holder, 'listening');
	const r = await run(['--listen', '127.0.0.1,127.0.0.2', '--port', String(holder.address().port), '--data', ':memory:']);
	holder.close();
	assert.equal(r.status, 1);
	assert.match(r.stderr, new RegExp(`127\\.0\\.0\\.2 port ${holder.address()?.port ?? ''}`));
});

/** A server with a settings file. s.change(text, said): replaces the file, sends SIGHUP, waits for the log to say so. */
async function withServer(text, options, fn) {
	await withFile(text, async (file, put, dir) => {
		const s = await Server.start({ limits: true, ...options, args: ['--config', file, ...(options.args || [])] });
		s.file = file;
		s.change = async (content, said = /settings reloaded/) => {
			const before = s.output.length;
			if (content !== null) put(content);
			s.child.kill('SIGHUP');
			const end = Date.now() + 10000 * patience;
			while (!said.test(s.output.slice(before))) {
				assert.ok(Date.now() < end, `the log to say ${said}, it said ${s.output.slice(before)}`);
				await sleep(10);
			}
			return s.output.slice(before);
		};
		try {
			await fn(s, put, dir);
			if (s.alive()) await s.stop();
			else s.checkOutput();
		} finally {
			await s.cleanUp();
		}
	});
}

test('SIGHUP: limits change for those who are connected, nobody is dropped', { timeout: 60000 * patience }, async () => {
	await withServer('WAVECHAT_MESSAGE_RATE=1\nWAVECHAT_MESSAGE_BURST=2\n', {}, async s => {
		const a = await join2(s, 'ann');
		const pass = async (n, limited) => {
			for (let i = 0; i < n; i++) a.text(`m${i}`);
			const got = [];
			for (let i = 0; i < n; i++) got.push((await a.next(f => f.type === 'text' || f.type === 'error')).type);
			assert.equal(got.includes('error'), limited, got.join(' '));
		};
		await pass(5, true);
		// Somebody over the old limit may go on at once under the new one.
		const said = await s.change('WAVECHAT_MESSAGE_RATE=1000\nWAVECHAT_MESSAGE_BURST=1000\n');
		assert.match(said, /setting changed option=message-rate was="1" now="1000" from=".*settings:1"/);
		assert.match(said, /setting changed option=message-burst/);
		assert.match(said, /settings reloaded changed=2 waiting=0/);
		await pass(100, false);
		await s.change('WAVECHAT_MESSAGE_RATE=0\n');
		await pass(200, false);
		// A line that is gone is the default again.
		const gone = await s.change('#\n');
		assert.match(gone, /option=message-rate was="0" now="5" from="default"/);
		await pass(100, true);
		assert.equal(a.end, undefined, 'still connected');
	});
});

test('SIGHUP: sizes, history, retention, log level and format, origins, connections', { timeout: 60000 * patience }, async () => {
	await withServer('MAX_FILE_MB=1\nHISTORY_LIMIT=1\n', { allow: /needs a restart|origin refused/ }, async s => {
		const a = await s.join('ann');
		const tooLarge = async words => {
			a.send({ type: 'file', filename: 'x', data: Buffer.alloc((2 << 20) + 1).toString('base64') });
			assert.equal((await a.next('error')).text, words);
		};
		for (const text of ['one', 'two', 'three']) a.text(text);
		await a.next({ text: 'three' });
		await tooLarge('Max 1MB');
		const history = async () => (await s.join(`late${Math.random()}`)).init.history.map(m => m.text);
		assert.deepEqual(await history(), ['three']);
		const origin = { headers: { Origin: 'https://elsewhere.example' } };
		await assert.rejects(s.connect(origin), /403/);

		await s.change('MAX_FILE_MB=2\nHISTORY_LIMIT=3\nWAVECHAT_ALLOW_ORIGIN=https://elsewhere.example\nWAVECHAT_LOG_LEVEL=debug\nWAVECHAT_RETAIN_DAYS=1\n');
		await tooLarge('Max 2MB');
		assert.deepEqual(await history(), ['one', 'two', 'three']);
		await s.connect(origin);
		assert.equal((await ctlJson(s, ['status'])).log_level, 'debug');

		const json = await s.change('HISTORY_LIMIT=2\nWAVECHAT_LOG_FORMAT=json\nWAVECHAT_EXEMPT=none\nWAVECHAT_MAX_CONNECTIONS_PER_IP=3\n');
		assert.ok(json.split('\n').some(l => l.startsWith('{') && JSON.parse(l).event === 'settings reloaded'), json);
		assert.deepEqual(await history(), ['two', 'three']);
		await assert.rejects(s.connect(origin), /403/, 'the origin is off the list');
		const more = [];
		await assert.rejects((async () => { for (let i = 0; i < 10; i++) more.push(await s.connect()); })(), /429/);
		assert.equal((await ctlJson(s, ['status'])).log_level, 'info');
		// More history than there is at hand waits.
		const waits = await s.change('HISTORY_LIMIT=5000\n');
		assert.match(waits, /needs a restart.*history-limit/);
		assert.deepEqual((await s.join('last')).init.history.length, 2);
	});
});

test('SIGHUP with a wrong file: the line is named, all old values stand, the server goes on', { timeout: 60000 * patience }, async () => {
	await withServer('HISTORY_LIMIT=1\n', { allow: /settings not reloaded/ }, async (s, put, dir) => {
		const a = await s.join('ann');
		for (const text of ['one', 'two', 'three']) a.text(text);
		await a.next({ text: 'three' });
		for (const [text, line] of [
			['HISTORY_LIMIT=3\nHISTORY_LIMITS=3\n', /settings not reloaded error=".*settings:2: .*did you mean HISTORY_LIMIT\?" kept=/],
			['HISTORY_LIMIT=2\nMAX_FILE_MB=0\n', /settings:2: MAX_FILE_MB '0'.*1 to 1024/],
			['HISTORY_LIMIT=2\nWAVECHAT_TLS_CERT=x\n', /settings:2: --tls-cert needs --tls-key/],
			[`HISTORY_LIMIT=2\nWAVECHAT_JOIN_PASSWORD_FILE=${dir}/nowhere\n`, /nowhere/],
		]) {
			const said = await s.change(text, /settings not reloaded/);
			assert.match(said, line);
			assert.deepEqual((await s.join(`late${Math.random()}`)).init.history.map(m => m.text), ['three']);
			assert.match((await ctl(s, ['config'])).stdout, /history-limit +1 /);
		}
		fs.rmSync(s.file);
		await s.change(null, /settings not reloaded error="cannot read --config .*settings/);
		// A file that the sandbox does not let it read: said, with where it may lie.
		if (/landlock=[1-9]/.test(s.output)) {
			const elsewhere = fs.mkdtempSync(path.join(os.homedir(), '.wavechat-elsewhere-'));
			fs.writeFileSync(path.join(elsewhere, 'word'), 'word\n');
			await s.change(`HISTORY_LIMIT=2\nWAVECHAT_JOIN_PASSWORD_FILE=${elsewhere}/word\n`, /settings not reloaded error=".*beside files that were named at the start/);
			fs.rmSync(elsewhere, { recursive: true });
		}
		await s.change('HISTORY_LIMIT=2\n');
		assert.deepEqual((await s.join('well')).init.history.map(m => m.text), ['two', 'three']);
	});
});

test('SIGHUP: what needs a restart is named with both values, and waits', { timeout: 60000 * patience }, async () => {
	await withServer('', { allow: /needs a restart/ }, async s => {
		const said = await s.change('WAVECHAT_THREADS=3\nWAVECHAT_DURABILITY=full\nHISTORY_LIMIT=7\n');
		assert.match(said, /setting needs a restart option=threads now="0" then="3"/);
		assert.match(said, /setting needs a restart option=durability now="normal" then="full"/);
		assert.match(said, /settings reloaded changed=1 waiting=2/);
		const shown = await ctlJson(s, ['config']);
		const of = name => shown.settings.find(x => x.name === name);
		assert.deepEqual([of('threads').value, of('threads').next, of('threads').from], ['0', '3', 'default']);
		assert.deepEqual([of('history-limit').value, of('history-limit').from, of('history-limit').next], ['7', `${s.file}:3`, undefined]);
		assert.deepEqual([of('port').value, of('port').from], [String(s.port), 'command line']);
		assert.equal(of('data').value, path.join(s.dir, 'data'));
		const text = (await ctl(s, ['config'])).stdout;
		assert.match(text, /threads +0 .*restart.*3/);
		assert.match(text, /history-limit +7 +.*settings:3/);
		// It is no longer waiting when the file says again what is in force; a log level set by hand is said to be.
		assert.match(await s.change('HISTORY_LIMIT=7\n'), /settings reloaded changed=0 waiting=0/);
		await ctl(s, ['log-level', 'debug']);
		await s.change(null);
		const level = (await ctlJson(s, ['config'])).settings.find(x => x.name === 'log-level');
		assert.deepEqual([level.value, level.from], ['debug', 'wavechatctl log-level']);
	});
});

test('SIGHUP: a join password is introduced, changed and ended', { timeout: 60000 * patience }, async () => {
	await withServer('#\n', { limits: false }, async (s, put, dir) => {
		const password = path.join(dir, 'password'), line = `WAVECHAT_JOIN_PASSWORD_FILE=${password}\n`;
		const refused = async (frame, code) => {
			const c = await s.connect();
			c.send({ type: 'join', v: 2, name: 'x', ...frame });
			assert.equal((await c.take()).code, code);
			c.ws.terminate();
		};
		const early = await join2(s, 'early');
		fs.writeFileSync(password, 'one\n');
		await s.change(line, /join password changed=introduced/);
		await refused({}, 'password_required');
		await refused({ password: 'two' }, 'bad_password');
		await refused({ token: early.token }, 'password_required');
		early.text('still here');
		await early.next({ text: 'still here' });
		const a = await join2(s, 'a', { password: 'one' });
		await join2(s, 'a', { token: a.token });
		await join2(s, 'early', { token: early.token, password: 'one' });
		// Another file with another word: everybody is asked again.
		fs.writeFileSync(`${password}2`, 'two\n');
		await s.change(`WAVECHAT_JOIN_PASSWORD_FILE=${password}2\n`, /join password changed=yes/);
		await refused({ token: a.token }, 'password_required');
		await join2(s, 'a', { token: a.token, password: 'two' });
		// Ended: nobody is asked, over a restart as well.
		await s.change('#\n', /join password changed=ended/);
		await join2(s, 'free');
		await join2(s, 'early', { token: early.token });
		await s.stop();
		await s.restart();
		await join2(s, 'free2');
		// And introduced once more, by a running server that was started without.
		await s.change(`WAVECHAT_JOIN_PASSWORD_FILE=${password}2\n`, /join password changed=introduced/);
		await refused({}, 'password_required');
		await refused({ token: early.token }, 'password_required');
		await join2(s, 'a', { token: a.token });
	});
});

test('a pipe, a folder or a device in the place of a password, certificate or key: refused at once at start, in a check and at SIGHUP', { timeout: 60000 * patience }, async () => {
	await withFile('#\n', async (file, put, dir) => {
		const at = name => path.join(dir, name);
		execFileSync('mkfifo', [at('pipe')]);
		fs.mkdirSync(at('folder'));
		fs.writeFileSync(at('password'), 'one\n');
		execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('key'), '-out', at('cert'), '-days', '90', '-subj', '/CN=x'],
			{ stdio: 'ignore' });
		const kinds = [[at('pipe'), 'a pipe'], [at('folder'), 'a folder'], ['/dev/zero', 'a device']];
		for (const [odd, what] of kinds)
			for (const set of [['--join-password-file', odd], ['--tls-cert', odd, '--tls-key', at('key')], ['--tls-cert', at('cert'), '--tls-key', odd]])
				for (const more of [['--check'], []]) {
					const r = await run([...more, '--data', ':memory:', '--port', '0', '--listen', '127.0.0.1', '--log-level', 'error', ...set]);
					assert.equal(r.status, 1, `${set} ${r.stdout}${r.stderr}`);
					assert.match(r.stderr, new RegExp(`${odd}: it is ${what}; .*name a regular file\n$`));
				}
		await withServer('#\n', { limits: false, allow: /not reloaded/ }, async (s, putSettings, own) => {
			const password = path.join(own, 'password'), line = `WAVECHAT_JOIN_PASSWORD_FILE=${password}\n`;
			for (const [odd, what] of kinds) { // another name of it
				fs.symlinkSync(odd, password);
				await s.change(line, new RegExp(`settings not reloaded error="cannot read the join password from .*: it is ${what}`));
				fs.unlinkSync(password);
			}
			fs.writeFileSync(password, 'one\n');
			await s.change(line, /changed=introduced/);
			fs.unlinkSync(password);
			execFileSync('mkfifo', [password]); // the same name, with other content
			await s.change(null, /join password not reloaded error=".*a pipe/);
			const c = await s.connect();
			c.send({ type: 'join', v: 2, name: 'x' });
			assert.equal((await c.take()).code, 'password_required');
			c.send({ type: 'join', v: 2, name: 'x', password: 'one' });
			await c.next('init');
			fs.unlinkSync(password);
			// What nobody can say is no password; the mark before a text is no part of it.
			fs.writeFileSync(password, Buffer.from('caf\xe9\n', 'latin1'));
			await s.change(null, /join password not reloaded error=".*must be text, in UTF-8/);
			fs.writeFileSync(password, '\ufeffcaf\u00e9\r\n');
			await s.change(null, /join password changed=yes/);
			const d = await s.connect();
			d.send({ type: 'join', v: 2, name: 'y', password: 'caf\u00e9' });
			await d.next('init');
			await s.change('#\n', /changed=ended/);
		});
		// What a shell's <(…) gives is written to by somebody, and read at the start as ever.
		const r = execFileSync('bash', ['-c', '"$0" --check --data :memory: --port 0 --join-password-file <(sleep 0.2; echo word)', binary], { encoding: 'utf8' });
		assert.match(r, /in order/);
	});
});

test('SIGHUP: another certificate by another name; without HTTPS at the start it waits', { timeout: 60000 * patience }, async () => {
	await withFile('', async (file, put, dir) => {
		const make = name => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${dir}/${name}.key`,
			'-out', `${dir}/${name}.crt`, '-days', '90', '-subj', `/CN=${name}`], { stdio: 'ignore' });
		const lines = name => `WAVECHAT_TLS_CERT=${dir}/${name}.crt\nWAVECHAT_TLS_KEY=${dir}/${name}.key\n`;
		make('one');
		make('two');
		await withServer(lines('one'), { allow: /settings not reloaded|needs a restart/ }, async s => {
			const subject = async () => {
				const c = tls.connect({ host: '127.0.0.1', port: s.port, rejectUnauthorized: false });
				await once(c, 'secureConnect');
				const { CN } = c.getPeerCertificate().subject;
				c.destroy();
				return CN;
			};
			assert.equal(await subject(), 'one');
			await s.change(lines('two'));
			assert.equal(await subject(), 'two');
			// One of a pair that does not fit changes nothing, the other lines included.
			await s.change(`HISTORY_LIMIT=3\n${lines('one').replace('one.key', 'two.key')}`, /settings not reloaded error=".*is not that of the certificate/);
			assert.equal(await subject(), 'two');
			assert.match((await ctl(s, ['config'])).stdout, /history-limit +200/);
			assert.match(await s.change('#\n'), /needs a restart option=tls-cert/);
			assert.equal(await subject(), 'two');
		});
		await withServer('#\n', { allow: /needs a restart/ }, async s => {
			assert.match(await s.change(lines('one')), /needs a restart option=tls-cert now="none"/);
			assert.equal(await (await s.get('/health')).text(), 'ok');
		});
	});
});

test('a file that need not be there is not to vanish while it runs: what it said stands', { timeout: 60000 * patience }, async () => {
	await withFile('HISTORY_LIMIT=1\n', async (file, put, dir) => {
		fs.writeFileSync(`${dir}/word`, 'word\n');
		put(`HISTORY_LIMIT=1\nWAVECHAT_JOIN_PASSWORD_FILE=${dir}/word\n`);
		const s = await Server.start({ limits: true, args: ['--config', `-${file}`], allow: /settings not reloaded/ });
		try {
			fs.rmSync(file);
			s.child.kill('SIGHUP');
			await within(10000 * patience, (async () => { while (!/settings not reloaded error=".*was there and is gone/.test(s.output)) await sleep(5); })(), () => s.output);
			const c = await s.connect();
			c.send({ type: 'join', v: 2, name: 'x' });
			assert.equal((await c.take()).code, 'password_required');
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	});
});

test('SIGHUP: more connections than the limit of open files allows are lowered with the warning that a start gives', { timeout: 60000 * patience }, async () => {
	await withServer('#\n', { allow: /max-connections lowered/ }, async s => {
		const said = await s.change('WAVECHAT_MAX_CONNECTIONS=2000000000\n');
		assert.match(said, /warn +max-connections lowered asked=2000000000 allowed=\d+/);
		assert.equal((await ctlJson(s, ['status'])).connections_max, Number(/lowered asked=\d+ allowed=(\d+)/.exec(said)[1]));
		assert.doesNotMatch(await s.change('WAVECHAT_MAX_CONNECTIONS=100\n'), /lowered/);
		assert.equal((await ctlJson(s, ['status'])).connections_max, 100);
	});
});

test('SIGHUP: a link to where the sandbox lets nothing be read says so, of settings and of a password', { timeout: 60000 * patience }, async () => {
	await withServer('#\n', { allow: /not reloaded/ }, async (s, put, dir) => {
		if (!/landlock=[1-9]/.test(s.output)) return; // no such kernel
		const elsewhere = tmp(), password = path.join(dir, 'password'), why = 'Permission denied.*while it runs, the server reads only in the data folder and beside files';
		try {
			fs.writeFileSync(path.join(elsewhere, 'settings'), 'HISTORY_LIMIT=3\n');
			fs.writeFileSync(path.join(elsewhere, 'password'), 'word\n');
			fs.writeFileSync(password, 'word\n');
			await s.change(`WAVECHAT_JOIN_PASSWORD_FILE=${password}\n`, /changed=introduced/);
			fs.unlinkSync(password);
			fs.symlinkSync(path.join(elsewhere, 'password'), password);
			await s.change(null, new RegExp(`join password not reloaded error=".*${why}`));
			fs.unlinkSync(s.file);
			fs.symlinkSync(path.join(elsewhere, 'settings'), s.file);
			await s.change(null, new RegExp(`settings not reloaded error=".*${why}`));
		} finally {
			fs.rmSync(elsewhere, { recursive: true });
		}
	});
});

test('a storm of SIGHUP while people chat: nothing is lost, memory stays', { timeout: 120000 * patience }, async () => {
	await withServer('WAVECHAT_MESSAGE_RATE=0\nWAVECHAT_REQUEST_RATE=0\n', {}, async (s, put) => {
		const [a, b] = [await join2(s, 'ann'), await join2(s, 'ben')];
		const round = async (n, text) => {
			for (let i = 0; i < n; i++) {
				put(`WAVECHAT_MESSAGE_RATE=0\nWAVECHAT_REQUEST_RATE=${i % 2}\nWAVECHAT_EXEMPT='10.0.0.${i % 2} ::1'\nHISTORY_LIMIT=${10 + i % 2}\n`);
				s.child.kill('SIGHUP');
				a.text(`${text}${i}`);
				if (i % 20 === 10) await b.next({ text: `${text}${i}` });
			}
			await b.next({ text: `${text}${n - 1}` });
		};
		await round(200, 'x');
		const before = s.memory().own;
		await round(1000, 'y');
		const texts = b.frames.filter(f => f.type === 'text').map(f => f.text);
		assert.deepEqual(texts, [...Array.from({ length: 200 }, (_, i) => `x${i}`), ...Array.from({ length: 1000 }, (_, i) => `y${i}`)]);
		assert.ok(s.memory().own - before < (8 << 20) * slack, `${s.memory().own - before} bytes more`);
		assert.ok(s.alive());
	});
});

test('SIGHUP while it starts is acted on once it runs', { timeout: 60000 * patience }, async () => {
	await withFile('HISTORY_LIMIT=1\n', async (file, put) => {
		const { spawn } = await import('node:child_process');
		const { binary } = await import('./lib.mjs');
		for (let i = 0; i < 10; i++) {
			const child = spawn(binary, ['--config', file, '--data', ':memory:', '--port', '0', '--listen', '127.0.0.1'], { stdio: ['ignore', 'pipe', 'pipe'] });
			let output = '';
			child.stderr.setEncoding('utf8').on('data', d => (output += d));
			child.stdout.setEncoding('utf8').on('data', d => (output += d));
			const exited = once(child, 'close');
			// Its own mask shows when it has begun; what comes before that is the system's.
			const isReady = () => /^SigBlk:\s*0*[1-9a-f]/m.test(fs.readFileSync(`/proc/${child.pid}/status`, 'utf8')) && fs.readFileSync(`/proc/${child.pid}/comm`, 'utf8').startsWith('wavechatd');
			for (let n = 0; n < 5000 && !isReady(); n++) await new Promise(setImmediate);
			child.kill('SIGHUP');
			await within(20000 * patience, (async () => { while (!/settings reloaded/.test(output) && child.exitCode === null) await sleep(5); })(), () => output);
			assert.match(output, / ready /);
			child.kill('SIGTERM');
			assert.deepEqual(await exited, [0, null], output);
		}
	});
});
