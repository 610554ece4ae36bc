// --join-password-file: who gets in, who does not, what a change of it means, and how guesses are slowed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, bad, exact, isError, run, serverTest, sleep, within } from './lib.mjs';
import { error2, join2, rejoin2 } from './v2.mjs';
import { metric } from './admin.mjs';

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-password-'));
process.on('exit', () => fs.rmSync(dir, { recursive: true, force: true }));

let files = 0;
/** A file with this content; its path. */
function file(content) {
	const at = path.join(dir, `p${++files}`);
	fs.writeFileSync(at, content, { mode: 0o600 });
	return at;
}

/** A test whose server has this password; `s.change` writes another one and has it read. */
function passwordTest(title, password, { args = [], ...options }, fn) {
	const at = file(`${password}\nwhat follows does not matter\n`);
	serverTest(title, { args: ['--join-password-file', at, ...args], ...options }, async s => {
		s.passwordFile = at;
		s.change = async (content, said = /join password changed=yes/) => {
			fs.writeFileSync(at, content);
			const before = s.output.length;
			s.child.kill('SIGHUP');
			const end = Date.now() + 10000;
			while (!said.test(s.output.slice(before))) {
				assert.ok(Date.now() < end, `the log to say ${said}, it said ${s.output.slice(before)}`);
				await sleep(10);
			}
		};
		await fn(s);
	});
}

async function tryJoin(s, frame, from) {
	const c = await s.connect({ localAddress: from });
	c.send({ type: 'join', v: 2, name: 'x', ...frame });
	return [await c.take(), c];
}

passwordTest('the right one lets in, none and a wrong one do not, and the connection may try again', 'Тихий океан 42', {}, async s => {
	const c = await s.connect();
	c.send({ type: 'join', v: 2, name: 'a' });
	exact(await c.take(), error2('password_required'));
	for (const password of ['тихий океан 42', 'Тихий океан 4', 'Тихий океан 421', ' ', 'x'.repeat(100000)]) {
		const [answer, other] = await tryJoin(s, { password });
		exact(answer, error2('bad_password'));
		other.ws.terminate();
	}
	c.send({ type: 'join', v: 2, name: 'a', password: '' });
	exact(await c.take(), error2('password_required'));
	await rejoin2(c, 'a', { password: 'Тихий океан 42' });
	assert.equal(c.name, 'a');
	assert.equal(await metric(s, 'error_codes_total{code="bad_password"}'), 5);
	c.send({ type: 'join', v: 2, name: 'a', password: 7 }, bad);
	assert.equal((await c.next('error')).code, 'bad_request');
});

passwordTest('an old client says it, or is told and closed', 'pass', {}, async s => {
	const a = await s.connect();
	await a.join('a', { password: 'pass' });
	for (const frame of [{}, { password: 'wrong' }]) {
		const c = await s.connect();
		c.send({ type: 'join', name: 'x', ...frame });
		const { code, ...shown } = await c.take();
		exact(shown, isError);
		assert.equal((await c.closed).code, 1008);
	}
	a.text('still here');
	await a.next('text');
});

passwordTest('a token comes back without it, also after a restart, and a code needs none', 'pass', {}, async s => {
	const a = await join2(s, 'a', { password: 'pass' });
	const again = await join2(s, 'a', { token: a.token });
	assert.equal(again.id, a.id);
	a.send({ type: 'link' });
	const { code } = await a.next('link');
	const phone = await join2(s, '', { code });
	assert.equal(phone.id, a.id);
	await s.stop();
	await s.restart();
	assert.equal((await join2(s, 'a', { token: a.token })).id, a.id);
	assert.equal((await join2(s, 'a', { token: phone.token })).id, a.id);
	const [answer] = await tryJoin(s, { token: 'A'.repeat(43) });
	assert.equal(answer.code, 'bad_token');
});

passwordTest('a change: who is here stays, but every token needs the new one once', 'old', {}, async s => {
	const a = await join2(s, 'a', { password: 'old' }), b = await join2(s, 'b', { password: 'old' });
	a.send({ type: 'link' });
	const { code } = await a.next('link');
	await s.change('old\r\nanother second line\n', /join password changed=no/);
	await join2(s, 'a', { token: a.token });
	await s.change('new\n');
	a.text('still here');
	await b.next('text');
	assert.equal((await tryJoin(s, { code }))[0].code, 'bad_code'); // a door left open
	a.send({ type: 'link' });
	assert.equal((await a.next('error')).code, 'password_required');
	assert.equal((await tryJoin(s, { token: a.token }))[0].code, 'password_required');
	assert.equal((await tryJoin(s, { token: a.token, password: 'old' }))[0].code, 'bad_password');
	assert.equal((await tryJoin(s, { password: 'old' }))[0].code, 'bad_password');
	const back = await join2(s, 'a', { token: a.token, password: 'new' });
	assert.equal(back.id, a.id);
	assert.equal(back.init.token, undefined);
	await join2(s, 'a', { token: a.token });
	back.send({ type: 'link' });
	await back.next('link');
	await s.stop();
	await s.restart(); // it is remembered whose token was let in, and whose was not
	await join2(s, 'a', { token: a.token });
	assert.equal((await tryJoin(s, { token: b.token }))[0].code, 'password_required');
});

test('changed while the server was down, taken away and put back', { timeout: 60000 }, async () => {
	const at = file('one\n');
	const s = await Server.start({ args: ['--join-password-file', at] });
	try {
		const a = await join2(s, 'a', { password: 'one' });
		await s.kill9();
		fs.writeFileSync(at, 'two');
		await s.restart();
		assert.equal((await tryJoin(s, { token: a.token }))[0].code, 'password_required');
		await s.stop();
		s.options.args = [];
		await s.restart();
		const free = await join2(s, 'free'); // nobody is asked now
		await join2(s, 'a', { token: a.token });
		await s.stop();
		s.options.args = ['--join-password-file', at];
		await s.restart();
		assert.equal((await tryJoin(s, { token: a.token }))[0].code, 'password_required');
		await join2(s, 'free', { token: free.token }); // made since the password is what it is
		await join2(s, 'a', { token: a.token, password: 'two' });
		await s.stop();
	} finally {
		await s.cleanUp();
	}
});

passwordTest('a file that cannot be used at SIGHUP changes nothing', 'pass', { allow: /join password not reloaded/ }, async s => {
	await s.change('\n', /join password not reloaded error=".*has no join password/);
	await s.change(`${'x'.repeat(257)}\n`, /not reloaded error=".*at most 256 bytes/);
	fs.rmSync(s.passwordFile);
	await join2(s, 'a', { password: 'pass' });
	assert.doesNotMatch(s.output, /xxxx/);
});

test('at the start, and with --check, it must be there and say something', async () => {
	for (const [at, said] of [[path.join(dir, 'none'), /cannot read the join password from .*No such file/], [file(''), /has no join password: write it into the first line/], [file('a\0b\n'), /must be text/]])
		for (const more of [[], ['--check']]) {
			const r = await run(['--port', '0', '--data', ':memory:', '--join-password-file', at, ...more]);
			assert.equal(r.status, 1);
			assert.match(r.stderr, said);
		}
	const r = await run(['--check', '--data', ':memory:'], { env: { WAVECHAT_JOIN_PASSWORD_FILE: file(`${'я'.repeat(128)}\n`) } });
	assert.equal(r.status, 0, r.stderr);
});

passwordTest('guesses: after some, the address waits, even with the right one; a token does not', 'pass', { args: ['--join-guesses', '6'] }, async s => {
	const a = await join2(s, 'a', { password: 'pass' });
	for (let i = 0; i < 6; i++) assert.equal((await tryJoin(s, { password: `guess ${i}` }))[0].code, 'bad_password');
	const [answer, c] = await tryJoin(s, { password: 'pass' });
	exact(answer, error2('rate_limited', { text: /wrong passwords from your address/, retry_ms: v => v > 5000 && v <= 10000 }));
	assert.equal((await tryJoin(s, {}))[0].code, 'password_required'); // no guess
	await join2(s, 'a', { token: a.token });
	assert.equal(await metric(s, 'limited_total{limit="guesses"}'), 1);
	await sleep(answer.retry_ms + 10);
	await within(5000, rejoin2(c, 'late', { password: 'pass' }), 'the right one after the wait');
});

passwordTest('guesses of many addresses at once leave each of the others a few', 'pass', { args: ['--join-guesses', '4'], timeout: 60000 }, async s => {
	const guess = async from => (await tryJoin(s, { password: 'wrong' }, from))[0].code;
	const guesses = async (from, n) => {
		const codes = [];
		for (let i = 0; i < n; i++) codes.push(await guess(from));
		return codes.map(c => (c === 'bad_password' ? 'w' : c === 'rate_limited' ? 'l' : c)).join('');
	};
	assert.equal(await guesses('127.0.0.2', 6), 'wwwwll');
	assert.equal((await tryJoin(s, { password: 'pass' }, '127.0.0.2'))[0].code, 'rate_limited');
	assert.equal((await tryJoin(s, { password: 'pass' }, '127.0.0.3'))[0].type, 'init', 'nobody locks others out');
	let before = ''; // four each, until eighty in a moment are a storm
	for (let i = 10; i < 40; i++) before += await guesses(`127.0.0.${i}`, 4);
	assert.match(before, /^w{70,84}l{0,3}(wwll)+$/);
	assert.equal(await guesses('127.0.0.40', 4), 'wwll');
	assert.equal(await guess('127.0.0.41'), 'bad_password');
	assert.equal((await tryJoin(s, { password: 'pass' }, '127.0.0.41'))[0].type, 'init', 'an honest mistake is forgiven');
});
