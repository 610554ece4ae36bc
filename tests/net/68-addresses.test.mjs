// Where people came from: kept for a while, found and banned after they left, shown to the admin and to nobody else.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, fence, isNow, patience, serverTest, sleep } from './lib.mjs';
import { Raw } from './raw.mjs';
import { join2, rejoin2 } from './v2.mjs';
import { ctl, ctlJson, adminRequest } from './admin.mjs';

const proxied = { args: ['--trust-proxy', '127.0.0.1'] };
async function come(s, name, address, more) {
	const c = await s.connect({ headers: address ? { 'X-Forwarded-For': address } : {} });
	if (more?.v === 1) await c.join(name);
	else await rejoin2(c, name, more);
	return c;
}
const everybody = async (s, ...args) => (await ctl(s, ['users', '--json', ...args])).stdout.trim().split('\n').filter(Boolean).map(l => JSON.parse(l));
const lastOf = async s => Object.fromEntries((await everybody(s, '--all')).map(u => [u.name, u.addresses[0] ?? u.last_address ?? null]));
/** Until the room has seen them go: a guest at once, an identity after its grace. */
async function gone(s, names, present = []) {
	for (const deadline = Date.now() + 15000 * patience; ; await sleep(100)) {
		const online = (await everybody(s)).map(u => u.name);
		if (!names.some(n => online.includes(n))) return;
		assert.ok(Date.now() < deadline, `${online} instead of ${present}`);
	}
}
/** Another place that a server of the same data listens on. */
const bans = async s => (await ctlJson(s, ['bans'])).sanctions;

serverTest('who left is found: by users --all, users --ip, history --addresses; after a restart, too', proxied, async s => {
	const ann = await come(s, 'Ann', '203.0.113.5'), eve = await come(s, 'Eve', '198.51.100.77', { v: 1 }), six = await come(s, 'Six', '2001:db8:9::1');
	const here = await come(s, 'here', '203.0.113.6');
	eve.text('rude');
	ann.text('hello');
	await fence(here, [ann, eve, six, here]);
	assert.deepEqual(await lastOf(s), { Ann: '203.0.113.5', Eve: '198.51.100.77', Six: '2001:db8:9::1', here: '203.0.113.6' });
	for (const c of [ann, eve, six]) await c.close();
	await gone(s, ['Ann', 'Eve', 'Six']);
	const check = async () => {
		assert.deepEqual(await lastOf(s), { Ann: '203.0.113.5', Eve: '198.51.100.77', Six: '2001:db8:9::1', here: '203.0.113.6' });
		const [guest] = await everybody(s, '--ip', '198.51.100.0/24');
		assert.deepEqual([guest.id, guest.name, guest.identity, guest.online, guest.last_address], [eve.id, 'Eve', false, false, '198.51.100.77']);
		assert.ok(isNow(guest.last_address_at));
		assert.deepEqual((await everybody(s, '--ip', '203.0.113.0/24')).map(u => u.name).sort(), ['Ann', 'here']);
		assert.deepEqual((await everybody(s, '--ip', '203.0.113.5')).map(u => u.name), ['Ann']);
		assert.deepEqual((await everybody(s, '--ip', '2001:db8:9::/48')).map(u => u.name), ['Six']);
		assert.deepEqual(await everybody(s, '--ip', '192.0.2.0/24'), []);
		assert.deepEqual((await everybody(s, '--all', 'eV')).map(u => u.name), ['Eve']);
		assert.match((await ctl(s, ['users', '--all'])).stdout, new RegExp(`^ *${eve.id}  Eve +guest +0  \\d{4}-[^ ]+ [^ ]+ +198\\.51\\.100\\.77$`, 'm'));
		assert.match((await ctl(s, ['history', '--addresses'])).stdout, /  Eve \[198\.51\.100\.77\]: rude\n.*  Ann \[203\.0\.113\.5\]: hello\n/);
	};
	await check();
	assert.match((await ctl(s, ['users', '--ip', '198.51.100.0/33'], { status: 2 })).stderr, /neither an address nor a network/);
	await s.stop();
	await s.restart();
	const again = await come(s, '', '203.0.113.6', { token: here.token });
	await check();
	// the newest counts
	await (await come(s, '', '192.0.2.200', { token: ann.token })).close();
	await gone(s, ['Ann']);
	assert.equal((await lastOf(s)).Ann, '192.0.2.200');
	assert.deepEqual((await everybody(s, '--ip', '203.0.113.0/24')).map(u => u.name), ['here']);
	await again.close();
});

serverTest('an address reaches no client, no page and no export', proxied, async s => {
	const ann = await come(s, 'Ann', '203.0.113.5'), bob = await come(s, 'Bob', '198.51.100.77'), old = await come(s, 'old', '192.0.2.44', { v: 1 });
	ann.text('public');
	ann.text('private', { to_id: bob.id });
	await fence(bob, [ann, bob, old]);
	bob.send({ type: 'who', q: '' });
	await old.close();
	const late = await come(s, 'late', '192.0.2.45');
	await ctl(s, ['users', '--all']); // all is stored by now
	const pattern = /203\.0\.113\.5|198\.51\.100\.77|192\.0\.2\.4/;
	for (const c of [ann, bob, old, late]) assert.doesNotMatch(JSON.stringify(c.frames), pattern, c.name);
	for (const args of [['history'], ['history', '--json'], ['history', '--format', 'jsonl'], ['history', '--format', 'html'], ['history', '--dm', 'Ann', '--with', 'Bob'], ['files'], ['audit'],
		['purge', 'Ann', '--dry-run']])
		assert.doesNotMatch((await ctl(s, args)).stdout, pattern, args.join(' '));
	for (const form of [['--json'], ['--format', 'jsonl'], ['--format', 'html'], ['--json', '--format', 'html']])
		assert.match((await ctl(s, ['history', '--addresses', ...form], { status: 2 })).stderr, /^wavechatctl: --addresses is for your eyes: text alone/);
	assert.match((await ctl(s, ['history', '--addresses', '--dm', 'Ann', '--with', 'Bob'])).stdout, /Ann \[203\.0\.113\.5\] → Bob|Ann → Bob \[203\.0\.113\.5\]/);
	for (const p of ['/', '/health', '/v1/users?all=1']) assert.doesNotMatch(await (await s.get(p)).text(), pattern, p);
});

serverTest('ban --with-ip of somebody who left bans the last address, or does nothing and says so', proxied, async s => {
	const ann = await come(s, 'Ann', '203.0.113.5'), eve = await come(s, 'Eve', '198.51.100.77', { v: 1 }), six = await come(s, 'Six', '2001:db8:9:1::77');
	await come(s, 'local', null);
	const bob = await come(s, 'Bob', '203.0.113.5');
	for (const c of [ann, eve, six]) await c.close();
	await gone(s, ['Ann', 'Eve', 'Six']);
	// Bob came by the same address: nothing of it is done
	assert.match((await ctl(s, ['ban', 'Ann', '--with-ip'], { status: 1 })).stderr, /1 other person .*Bob/);
	assert.deepEqual(await bans(s), []);
	await bob.close();
	await gone(s, ['Bob']);
	await ctl(s, ['ban', 'Ann', '--with-ip', '--reason', 'rude']);
	await ctl(s, ['ban', String(eve.id), '--with-ip']); // a guest by its number, though nobody has it now
	await ctl(s, ['ban', 'Six', '--with-ip']);
	assert.deepEqual((await bans(s)).map(b => b.net ?? b.name), ['Ann', '203.0.113.5', 'Eve', '198.51.100.77', 'Six', '2001:db8:9:1::/64']);
	for (const address of ['203.0.113.5', '198.51.100.77', '2001:db8:9:1::77', '2001:db8:9:1:a:b:c:d'])
		await assert.rejects(s.connect({ headers: { 'X-Forwarded-For': address } }), /403/, address);
	await (await s.connect({ headers: { 'X-Forwarded-For': '2001:db8:9:2::77' } })).close();
	await ctl(s, ['unban', 'Eve']);
	await ctl(s, ['unban', '--ip', '198.51.100.77']);
	assert.match((await ctl(s, ['ban', 'nosuch', '--with-ip'], { status: 5 })).stderr, /"nosuch": nobody known here/);
	// the same name at two addresses: which one?
	for (const address of ['198.51.100.1', '198.51.100.2']) {
		const c = await come(s, 'Twin', address, { v: 1 });
		await c.close();
		await gone(s, ['Twin']);
	}
	const before = await bans(s);
	const both = await ctl(s, ['ban', 'Twin', '--with-ip'], { status: 5 });
	assert.match(both.stderr, /several people who left had this name, at several addresses: say id:N\n( +\d+ +Twin +\(not online\)\n){2}$/);
	assert.deepEqual(await bans(s), before);
	await ctl(s, ['ban', 'Twin']); // the name is one
	assert.equal((await bans(s)).length, before.length + 1);
});

serverTest('--keep-addresses 0 keeps none and removes what was kept; ban --with-ip then says that none is known', proxied, async s => {
	const ann = await come(s, 'Ann', '203.0.113.5'), eve = await come(s, 'Eve', '198.51.100.77', { v: 1 });
	await eve.close();
	await ann.close();
	await gone(s, ['Ann', 'Eve']);
	assert.deepEqual((await everybody(s, '--all')).map(u => u.last_address), ['203.0.113.5', '198.51.100.77']);
	await s.stop();
	const bytes = address => Buffer.from([0xff, 0xff, ...address.split('.').map(Number)]);
	const holds = address => ['wavechat.db', 'wavechat.db-wal'].some(f => {
		const p = path.join(s.dir, 'data', f);
		return fs.existsSync(p) && fs.readFileSync(p).includes(bytes(address));
	});
	assert.ok(holds('203.0.113.5') && holds('198.51.100.77'));
	s.options.args = [...proxied.args, '--keep-addresses', '0'];
	await s.restart();
	assert.deepEqual((await everybody(s, '--all')).map(u => [u.name, u.last_address]), [['Ann', undefined]]);
	const none = await ctl(s, ['ban', 'Ann', '--with-ip'], { status: 5 });
	assert.match(none.stderr, /^wavechatctl: nothing was done: no address of Ann is known \(--keep-addresses 0 keeps none\)[^\n]*\n$/);
	assert.deepEqual(await bans(s), []);
	assert.deepEqual(await everybody(s, '--ip', '0.0.0.0/0'), []);
	const bob = await come(s, 'Bob', '192.0.2.9');
	bob.text('hi');
	await fence(bob);
	assert.match((await ctl(s, ['history', '--addresses'])).stdout, /Bob \[no address\]: hi/);
	assert.deepEqual((await everybody(s, '--ip', '192.0.2.9')).map(u => u.name), ['Bob'], 'who is here is here');
	await bob.close();
	await gone(s, ['Bob']);
	await s.stop();
	for (const a of ['203.0.113.5', '198.51.100.77', '192.0.2.9']) assert.ok(!holds(a), `${a} is still in the file`);
});

test('SIGHUP: 0 removes what was kept while the server runs; a number keeps anew', { timeout: 60000 * patience }, async t => {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-net-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	const file = path.join(dir, 'settings');
	fs.writeFileSync(file, 'WAVECHAT_KEEP_ADDRESSES=30\n');
	const s = await Server.start({ dir, args: [...proxied.args, '--config', file] });
	t.after(() => s.cleanUp());
	const ann = await come(s, 'Ann', '203.0.113.5'), eve = await come(s, 'Eve', '198.51.100.77', { v: 1 });
	await Promise.all([ann, eve].map(c => c.close()));
	await gone(s, ['Ann', 'Eve']);
	assert.deepEqual(await lastOf(s), { Ann: '203.0.113.5', Eve: '198.51.100.77' });
	const reload = async days => {
		fs.writeFileSync(file, `WAVECHAT_KEEP_ADDRESSES=${days}\n`);
		s.child.kill('SIGHUP');
		for (const end = Date.now() + 10000 * patience; (await adminRequest(s, 'GET', '/v1/config')).json.settings.find(x => x.name === 'keep-addresses').value !== String(days); await sleep(20))
			assert.ok(Date.now() < end);
	};
	await reload(0);
	assert.deepEqual(await lastOf(s), { Ann: null });
	await sleep(2500); // two turns of the chores: the rows are gone, too
	await reload(30);
	assert.deepEqual(await lastOf(s), { Ann: null }, 'what was removed does not come back');
	await (await come(s, '', '203.0.113.6', { token: ann.token })).close();
	await gone(s, ['Ann']);
	assert.deepEqual(await lastOf(s), { Ann: '203.0.113.6' });
	await s.stop();
});

serverTest('joins and leaves are logged with id, name and address; a storm is summed up, and a log that nobody reads holds up nobody', { ...proxied, timeout: 60000, allow: /origin refused/ }, async s => {
	const a = await come(s, 'Ann "A" \u202e=x', '203.0.113.5');
	const until = async pattern => {
		for (const end = Date.now() + 10000 * patience; !pattern.test(s.output); await sleep(20)) assert.ok(Date.now() < end, `${pattern} in ${s.output.slice(-2000)}`);
	};
	await until(new RegExp(`^\\S+ info  joined id=${a.id} name="Ann \\\\"A\\\\" =x" address=203\\.0\\.113\\.5 dialect=2 connections=1$`, 'm'));
	const tab = await come(s, '', '203.0.113.6', { token: a.token });
	await until(new RegExp(`^\\S+ info  joined id=${a.id} .*address=203\\.0\\.113\\.6 dialect=2 connections=2$`, 'm'));
	await tab.close();
	await until(new RegExp(`^\\S+ info  left id=${a.id} .*address=203\\.0\\.113\\.6 dialect=2 connections=1$`, 'm'));
	for (let i = 0; i < 400; i += 50) await Promise.all(Array.from({ length: 50 }, async (_, k) => (await come(s, `n${i + k}`, null, { v: 1 })).close()));
	await until(/^\S+ info  joined and left more_joined=[1-9]\d* more_left=[1-9]\d*/m);
	assert.ok((s.output.match(/ (joined|left) id=/g) || []).length < 700, 'not a line for each');
	assert.equal((await everybody(s, '--all')).length, 401, 'each is remembered, whether it had a line or not');
	// now nobody reads
	s.child.stderr.pause();
	s.child.stdout.pause();
	await ctl(s, ['log-level', 'debug']);
	const b = await come(s, 'b', null);
	for (let i = 0; i < 40; i++) {
		await Promise.all(Array.from({ length: 50 }, async () => {
			const r = await Raw.connect(s);
			r.socket.write(`POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nOrigin: https://${'\u00ff'.repeat(100)}\r\n\r\n`);
			await r.response();
			r.destroy();
		}));
		await (await come(s, `m${i}`, null, { v: 1 })).close();
	}
	await fence(b, [b]);
	await ctl(s, ['log-level', 'info']);
	s.child.stderr.resume();
	s.child.stdout.resume();
	await sleep(200);
	await ctl(s, ['log-level', 'info']); // a line, behind which the lost ones are counted
	await until(/^\S+ info  log lines lost count=[1-9]\d*$/m);
});

serverTest('a refused origin or host is warned of with the remedy, once a minute', { allow: /(origin|host) refused/ }, async s => {
	const knock = async headers => assert.rejects(s.connect({ headers }), /403/);
	for (let i = 0; i < 5; i++) await knock({ Origin: `https://chat${i}.example` });
	const lines = what => s.output.split('\n').filter(l => l.includes(what));
	for (const end = Date.now() + 5000 * patience; !lines('origin refused').length; await sleep(20)) assert.ok(Date.now() < end);
	const r = await Raw.connect(s);
	for (let i = 0; i < 3; i++) {
		const bad = await Raw.connect(s);
		bad.socket.write(['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 'GET / HTTP/1.1\r\n\r\n', 'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n'][i]);
		assert.equal((await bad.response()).status, 400);
	}
	r.destroy();
	for (const end = Date.now() + 5000 * patience; !lines('host refused').length; await sleep(20)) assert.ok(Date.now() < end);
	await fence(await join2(s, 'x'));
	assert.equal(lines('origin refused').length, 1);
	assert.equal(lines('host refused').length, 1);
	assert.match(lines('origin refused')[0], /warn  origin refused origin="https:\/\/chat0\.example" host="127\.0\.0\.1:\d+" more=0 remedy="--allow-origin https:\/\/chat0\.example" or="let the proxy in front pass on the page's own Host header"/);
	assert.match(lines('host refused')[0], /warn  host refused host="a b" headers=1 more=0 remedy="let the proxy in front send one Host header/);
	assert.deepEqual((await adminRequest(s, 'GET', '/v1/status')).status, 200);
});
