// Of two bans or mutes of the same target the longer stands, whatever the order; --replace shortens. And a network that hits others wants --force.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { fence, serverTest } from './lib.mjs';
import { join2, rejoin2 } from './v2.mjs';
import { ctl, ctlJson, adminRequest } from './admin.mjs';

const proxied = { args: ['--trust-proxy', '127.0.0.1'] };
/** In from this address, as the proxy says. */
async function come(s, name, address, more) {
	const c = await s.connect({ headers: { 'X-Forwarded-For': address } });
	if (more?.v === 1) await c.join(name);
	else await rejoin2(c, name, more);
	return c;
}
const listed = async (s, verb) => (await ctlJson(s, [verb])).sanctions;
const audited = async s => (await adminRequest(s, 'GET', '/v1/audit')).json.audit;

for (const [act, undo, list, done] of [['ban', 'unban', 'bans', 'banned'], ['mute', 'unmute', 'mutes', 'muted']]) {
	serverTest(`a shorter ${act} keeps the longer one, of each kind, and says so; --replace shortens`, async s => {
		const a = await join2(s, 'Ann'), guest = await s.join('Gast');
		const kinds = [[['Ann'], `Ann (${a.id})`], [['--name', 'Nobody'], 'the name Nobody'], [['--ip', '203.0.113.7'], '203.0.113.7'], [['--ip', '198.51.100.0/24'], '198.51.100.0/24'],
			[['Gast'], 'the name Gast']];
		for (const [who, words] of kinds) {
			await ctl(s, [act, ...who, '--reason', 'first']);
			const [before] = await listed(s, list);
			const kept = await ctl(s, [act, ...who, '--for', '1h', '--reason', 'second']);
			assert.equal(kept.stdout, `${words} stays ${done} for good, number ${before.sanction}: that is longer; --replace shortens it\n`);
			assert.deepEqual(await listed(s, list), [before], 'nothing of it changed');
			const last = (await audited(s)).at(-1);
			assert.deepEqual([last.verb, last.args[0].kept, last.args[0].reason], [act, true, 'first']);
			await ctl(s, [act, ...who, '--for', '1h', '--reason', 'third', '--replace']);
			const [short, ...others] = await listed(s, list);
			assert.deepEqual(others, []);
			assert.equal(short.reason, 'third');
			assert.ok(short.until > Date.now() + 3500e3 && short.until <= Date.now() + 3600e3);
			assert.match((await ctl(s, [act, ...who, '--for', '10m'])).stdout, /stays .* until .*that is longer/);
			assert.equal((await listed(s, list))[0].until, short.until);
			await ctl(s, [act, ...who, '--for', '2h', '--reason', 'longer']); // the longer needs no word
			assert.equal((await listed(s, list))[0].reason, 'longer');
			await ctl(s, [act, ...who]);
			const [forGood] = await listed(s, list);
			assert.deepEqual([forGood.until, forGood.reason], [undefined, undefined]);
			await ctl(s, [act, ...who, '--reason', 'another']); // as long: the newer reason
			assert.equal((await listed(s, list))[0].reason, 'another');
			await ctl(s, [undo, ...who]);
			assert.deepEqual(await listed(s, list), []);
		}
		await guest.close();
	});
}

serverTest('a kept ban outlives a restart; what is over is no longer one; a network within a banned one is a ban of its own', async s => {
	const a = await join2(s, 'Ann');
	await ctl(s, ['ban', 'Ann']);
	await ctl(s, ['ban', 'Ann', '--for', '1s']);
	await ctl(s, ['ban', '--ip', '203.0.113.0/24']);
	await ctl(s, ['ban', '--ip', '203.0.113.7', '--for', '1s']);
	assert.equal((await listed(s, 'bans')).length, 3);
	await s.stop();
	await s.restart();
	await new Promise(r => setTimeout(r, 1100));
	assert.deepEqual((await listed(s, 'bans')).map(b => [b.kind, b.until]), [['identity', undefined], ['cidr', undefined]]);
	const back = await s.connect();
	back.send({ type: 'join', v: 2, token: a.token });
	assert.equal((await back.closed).code, 4002);
	await ctl(s, ['ban', '--ip', '203.0.113.7', '--for', '1h']); // the one before is over
	assert.equal((await listed(s, 'bans')).length, 3);
	await ctl(s, ['unban', '--ip', '203.0.113.7']);
	assert.deepEqual((await listed(s, 'bans')).map(b => b.net ?? b.name), ['Ann', '203.0.113.0/24']);
	assert.match((await ctl(s, ['unban', '--ip', '203.0.113.7'], { status: 5 })).stderr, /there is no such ban/);
	assert.match((await ctl(s, ['unban', '--ip', 'nonsense'], { status: 2 })).stderr, /neither an address nor a network/);
});

serverTest('networks that hit others, this machine, a private network or the proxy are not banned without --force', proxied, async s => {
	const bad = await come(s, 'bad', '203.0.113.9'), bob = await come(s, 'Bob', '203.0.113.9'), eve = await come(s, 'Eve', '198.51.100.4', { v: 1 });
	const tab = await come(s, '', '203.0.113.9', { token: bob.token });
	const six = await come(s, 'six', '2001:db8:0:5::1'), near = await come(s, 'near', '2001:db8:0:5::2');
	const admin = await join2(s, 'admin'); // by the proxy itself
	const refused = [
		[['bad', '--with-ip'], /^wavechatctl: nothing was done: 1 other person connected from there would be sent out: Bob \(\d+\); --force bans it all the same\n$/],
		[['six', '--with-ip'], /1 other person .*near/],
		[['admin', '--with-ip'], /nothing was done: 127\.0\.0\.1 is a proxy of --trust-proxy, and nobody else is connected from there/],
		[['--ip', '203.0.113.9'], /2 people .*(bad|Bob).*(bad|Bob)/],
		[['--ip', '198.51.100.0/24'], /1 person connected from there would be sent out: Eve/],
		[['--ip', '0.0.0.0/0'], /0\.0\.0\.0\/0 contains .*4 people/],
		[['--ip', '::/0'], /::\/0 contains .*6 people .* and 1 more/],
		[['--ip', '127.0.0.1'], /127\.0\.0\.1 is a proxy .*1 person/],
		[['--ip', '127.0.0.2'], /127\.0\.0\.2 is a loopback address, and nobody is connected from there/],
		[['--ip', '192.168.1.1'], /private/], [['--ip', 'fd00::1'], /private/], [['--ip', '169.254.9.9'], /link-local/], [['--ip', '100.64.1.1'], /provider/],
		[['--ip', '32.0.0.0/5'], /wider than a \/8/],
	];
	const before = await listed(s, 'bans');
	for (const act of ['ban', 'mute'])
		for (const [who, words] of refused) {
			const r = await ctl(s, [act, ...who], { status: 1 });
			assert.match(r.stderr, act === 'ban' ? words : new RegExp(words.source.replace('sent out', 'muted').replace('bans it', 'mutes it')), `${act} ${who}`);
			assert.equal(r.stderr.split('\n').length, 2, 'one line');
		}
	assert.deepEqual([await listed(s, 'bans'), await listed(s, 'mutes'), before], [[], [], []], 'nothing was done');
	await fence(admin, [bad, bob, tab, eve, six, near, admin]); // nobody left, nobody is muted
	assert.deepEqual((await audited(s)).filter(x => /ban|mute/.test(x.verb)), []);
	const api = await adminRequest(s, 'POST', '/v1/ban', { net: '203.0.113.0/24' });
	assert.deepEqual([api.status, api.json.error, api.json.hit], [409, 'hits_others', 2]);
	// a person alone at an address; and with force, the network, all of it
	await ctl(s, ['ban', 'Eve', '--with-ip']);
	assert.equal((await eve.closed).code, 4002);
	assert.deepEqual((await listed(s, 'bans')).map(b => b.net ?? b.name), ['Eve', '198.51.100.4']);
	assert.equal((await adminRequest(s, 'POST', '/v1/ban', { net: '203.0.113.0/24', force: true, for_s: 3600 })).status, 200);
	for (const c of [bad, bob, tab]) assert.equal((await c.closed).code, 4002);
	await ctl(s, ['mute', 'six', '--with-ip', '--force']);
	for (const c of [six, near]) assert.equal((await c.next('error')).code, 'muted');
	assert.deepEqual((await listed(s, 'mutes')).map(b => b.net ?? b.name), ['six', '2001:db8:0:5::/64']);
	admin.text('still here');
	await near.next({ type: 'text', text: 'still here' });
});

serverTest('of several that meet one person the last to end counts: a mute that ends leaves the longer one, and people are told its end', proxied, async s => {
	const ann = await come(s, 'Ann', '203.0.113.7'), admin = await join2(s, 'admin');
	const muted = async cid => {
		ann.text('may I?', { cid });
		const e = await ann.next(f => f.type === 'error' && f.cid === cid);
		assert.equal(e.code, 'muted');
		return e.retry_ms;
	};
	// The shorter one is the older: of the name, then of the address beside the person's.
	for (const short of [['--name', 'Ann'], ['--ip', '203.0.113.7', '--force']]) {
		await ctl(s, ['mute', ...short, '--for', '1s']);
		await ctl(s, ['mute', 'Ann', '--for', '1h']);
		assert.ok(await muted(`${short[0]}-1`) > 3590e3, 'the end of the longer one');
		await new Promise(r => setTimeout(r, 1200));
		assert.ok(await muted(`${short[0]}-2`) > 3590e3, 'and it holds when the shorter one is over');
		await ctl(s, ['unmute', 'Ann']);
	}
	await ctl(s, ['mute', 'Ann', '--for', '1s']);
	await ctl(s, ['mute', '--ip', '203.0.113.0/24', '--for', '1h', '--force']);
	assert.ok(await muted('net-1') > 3590e3);
	await new Promise(r => setTimeout(r, 1200));
	assert.ok(await muted('net-2') > 3590e3);
	await ctl(s, ['unmute', '--ip', '203.0.113.0/24']);
	ann.text('I may');
	await admin.next({ type: 'text', text: 'I may' });

	await ctl(s, ['ban', '--name', 'Ann', '--for', '1m', '--reason', 'short']);
	await ctl(s, ['ban', 'Ann', '--reason', 'long']);
	const back = await s.connect({ headers: { 'X-Forwarded-For': '203.0.113.7' } });
	back.send({ type: 'join', v: 2, token: ann.token });
	assert.match((await back.closed).reason.toString(), /^long/);
});

serverTest('10,000 bans and mutes are as many as there can be; those that are over, or that a new one replaces, do not count', async s => {
	await ctl(s, ['ban', '--ip', '8.8.4.4']);
	// 9.0.0.0 and the 9,998 after it, until then.
	const fill = async until => {
		await s.stop();
		execFileSync('sqlite3', [path.join(s.dir, 'data/wavechat.db')], { input: `DELETE FROM sanctions WHERE reason = 'many';
			WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 9998) INSERT INTO sanctions (act, kind, user_id, addr, bits, at, until, reason, uid)
			SELECT act, kind, 0, CAST(x'00000000000000000000ffff0900' || char(i / 100, i % 100) AS BLOB), 128, at, ${until}, 'many', uid FROM n, sanctions WHERE reason IS NULL;` });
		await s.restart();
	};
	await fill(Date.now() + 3600e3);
	assert.equal((await listed(s, 'bans')).length, 10000);
	assert.match((await ctl(s, ['ban', '--ip', '8.8.8.8'], { status: 1 })).stderr, /there are 10,000 bans and mutes already/);
	await ctl(s, ['ban', '--ip', '8.8.4.4', '--reason', 'another']); // in the place of the one that stands
	assert.match((await ctl(s, ['ban', '--ip', '8.8.4.4', '--for', '1h'])).stdout, /stays banned for good/);
	await ctl(s, ['ban', '--ip', '8.8.4.4', '--for', '1h', '--replace']);
	assert.equal((await listed(s, 'bans')).length, 10000);
	await ctl(s, ['unban', '--ip', '8.8.4.4']);
	await ctl(s, ['ban', '--ip', '8.8.4.4']);
	await fill(Date.now() - 1);
	assert.equal((await listed(s, 'bans')).length, 1);
	await ctl(s, ['ban', '--ip', '8.8.8.8']);
	assert.deepEqual((await listed(s, 'bans')).map(b => b.net), ['8.8.4.4', '8.8.8.8']);
});
