// Purging with care: counted before, asked for on a terminal, bounded by time and network; and verbs that name nobody fail. Who acted by sudo is in the audit.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fence, noise, patience, serverTest, sleep, within } from './lib.mjs';
import { join2, rejoin2 } from './v2.mjs';
import { ctl, ctlBinary, ctlJson, ctlRaw, adminRequest, socketOf } from './admin.mjs';

const stored = async s => (await ctl(s, ['history', '--json'])).stdout.trim().split('\n').filter(Boolean).map(l => JSON.parse(l)).map(m => [m.id, m.from_name, m.text ?? m.filename ?? null, Boolean(m.deleted)]);
const audited = async s => (await adminRequest(s, 'GET', '/v1/audit')).json.audit;

/** wavechatctl with a terminal as its standard input, which is given `typed` once it asks. */
async function onTerminal(s, args, typed) {
	const quote = a => `'${String(a).replaceAll("'", "'\\''")}'`;
	const child = spawn('script', ['-qec', [ctlBinary, '--socket', socketOf(s), ...args].map(quote).join(' '), '/dev/null'], { stdio: ['pipe', 'pipe', 'pipe'] });
	let out = '', sent = false;
	child.stdout.setEncoding('utf8').on('data', d => {
		out += d;
		if (sent || !out.includes('[y/N]')) return;
		sent = true;
		child.stdin.write(typed);
	});
	const [status] = await within(20000 * patience, once(child, 'close'), () => `an answer to ${args}; it said ${out}`).finally(() => child.kill('SIGKILL'));
	return { status, out: out.replaceAll('\r', ''), asked: sent };
}

async function talk(s) {
	const ann = await join2(s, 'Ann'), bob = await join2(s, 'Bob');
	for (const t of ['one', 'two', 'three']) ann.text(t);
	ann.text('private', { to_id: bob.id });
	ann.send({ type: 'file', filename: 'x.bin', data: noise(3000).toString('base64') });
	const file = await bob.next('file');
	bob.text('stays');
	await fence(bob, [ann, bob]);
	return { ann, bob, file };
}

serverTest('a dry run counts and changes nothing; then the sentence says whose and how many', async s => {
	const { ann, bob, file } = await talk(s);
	const before = await stored(s), acts = (await audited(s)).length;
	const dry = await ctl(s, ['purge', 'Ann', '--dry-run']);
	assert.equal(dry.stdout, `would delete 5 messages of Ann (id ${ann.id}), with 1 file; nothing was deleted\n`);
	assert.deepEqual(await ctlJson(s, ['purge', String(ann.id), '--dry-run']), { id: ann.id, messages: 5, files: 1, people: [{ id: ann.id, name: 'Ann', messages: 5, files: 1 }], dry_run: true });
	assert.deepEqual(await stored(s), before);
	assert.equal((await s.get(file.url)).status, 200);
	assert.equal((await audited(s)).length, acts, 'nothing was done');
	for (const word of ['true', 'yes', '', 2, null, []]) { // is not taken for a no
		const r = await adminRequest(s, 'POST', '/v1/purge', { user: 'Ann', dry_run: word });
		assert.deepEqual([r.status, r.json.text], [400, 'dry_run is true or false']);
	}
	assert.deepEqual(await stored(s), before);
	const done = await ctl(s, ['purge', 'Ann', '--reason', 'spam']);
	assert.equal(done.stdout, `deleted 5 messages of Ann (id ${ann.id}), with 1 file\n`);
	assert.deepEqual((await stored(s)).filter(m => !m[3]), before.filter(m => m[1] === 'Bob'));
	assert.equal((await s.get(file.url)).status, 404);
	assert.equal((await ctl(s, ['purge', 'Ann'])).stdout, `deleted 0 messages of Ann (id ${ann.id})\n`, 'known, and has nothing left');
	assert.equal((await ctl(s, ['purge', 'Bob', '--yes'])).stdout, `deleted 2 messages of Bob (id ${bob.id})\n`);
	assert.deepEqual((await audited(s)).map(a => [a.verb, a.args.id_named, a.reason]), [['purge', 'Ann', 'spam'], ['purge', 'Ann', undefined], ['purge', 'Bob', undefined]]);
});

serverTest('on a terminal it says what goes and asks; anything but yes deletes nothing', async s => {
	const { ann } = await talk(s);
	const before = await stored(s);
	for (const typed of ['n\n', '\n', 'maybe\n', '\u0004']) {
		const r = await onTerminal(s, ['purge', 'Ann'], typed);
		assert.ok(r.asked, r.out);
		assert.match(r.out, new RegExp(`this deletes 5 messages of Ann \\(id ${ann.id}\\), with 1 file, for good\\. Go on\\? \\[y/N\\]`));
		assert.match(r.out, /wavechatctl: nothing was deleted\n/);
		assert.equal(r.status, 1, r.out);
		assert.deepEqual(await stored(s), before);
	}
	assert.ok(!(await onTerminal(s, ['purge', 'Ann', '--dry-run'])).asked);
	const yes = await onTerminal(s, ['purge', 'Ann'], 'y\n');
	assert.equal(yes.status, 0, yes.out);
	assert.match(yes.out, /deleted 5 messages of Ann/);
	assert.ok((await stored(s)).filter(m => m[1] === 'Ann').every(m => m[3]));
	const nothing = await onTerminal(s, ['purge', 'Ann']); // is no question
	assert.deepEqual([nothing.asked, nothing.status], [false, 0]);
	assert.match(nothing.out, /deleted 0 messages of Ann/);
	const other = await onTerminal(s, ['purge', 'Bob', '--yes']);
	assert.deepEqual([other.asked, other.status], [false, 0]);
	assert.equal((await onTerminal(s, ['purge', 'nosuch'])).status, 5);
});

serverTest('--since spares what is older', async s => {
	const ann = await join2(s, 'Ann');
	ann.text('old');
	await fence(ann);
	await sleep(1500);
	const since = new Date();
	await sleep(1100);
	ann.text('new');
	await fence(ann);
	const before = await stored(s);
	const r = await adminRequest(s, 'POST', '/v1/purge', { user: 'Ann', since: since.getTime(), dry_run: true });
	assert.deepEqual([r.json.messages, r.json.more], [2, false]);
	assert.equal((await ctl(s, ['purge', 'Ann', '--since', '1s', '--dry-run'])).status, 0);
	assert.deepEqual((await adminRequest(s, 'POST', '/v1/purge', { user: 'Ann', since: since.getTime() })).json.deleted, 2);
	assert.deepEqual((await stored(s)).map(m => m[3]), [false, false, true, true]);
	assert.deepEqual((await stored(s)).slice(0, 2), before.slice(0, 2));
	assert.match((await ctl(s, ['purge', 'Ann', '--since', '1h'])).stdout, /^deleted 2 messages of Ann/);
	assert.match((await ctl(s, ['purge', 'Ann', '--since', 'yesterday'], { status: 2 })).stderr, /--since "yesterday": a time is/);
	assert.equal((await adminRequest(s, 'POST', '/v1/purge', { user: 'Ann', since: 'x' })).status, 400);
});

serverTest('--ip meets everybody whose last address lies there, and nobody else', { args: ['--trust-proxy', '127.0.0.1'] }, async s => {
	const come = async (name, address, more) => {
		const c = await s.connect({ headers: { 'X-Forwarded-For': address } });
		if (more?.v === 1) await c.join(name);
		else await rejoin2(c, name, more);
		c.text(`by ${name || 'a tab'}`);
		await fence(c);
		return c;
	};
	const spam = await come('spam', '203.0.113.7'), guest = await come('guest', '203.0.113.8', { v: 1 }), good = await come('good', '198.51.100.1');
	const moved = await come('moved', '203.0.113.9');
	await guest.close();
	await moved.close();
	await (await come('', '198.51.100.2', { token: moved.token })).close();
	const before = await stored(s);
	const dry = await ctl(s, ['purge', '--ip', '203.0.113.0/24', '--dry-run']);
	assert.equal(dry.stdout, `would delete 4 messages of 2 people; nothing was deleted\n  2 messages of spam (id ${spam.id})\n  2 messages of guest (id ${guest.id})\n`);
	assert.deepEqual(await stored(s), before);
	assert.match((await ctl(s, ['purge', '--ip', '203.0.113.0/24'])).stdout, /^deleted 4 messages of 2 people\n/);
	assert.deepEqual((await stored(s)).filter(m => !m[3]), before.filter(m => ['good', 'moved'].includes(m[1])));
	assert.match((await ctl(s, ['audit'])).stdout, new RegExp(` purge +spam \\(${spam.id}\\), guest \\(${guest.id}\\), last at 203\\.0\\.113\\.0/24`));
	assert.match((await ctl(s, ['purge', '--ip', '192.0.2.0/24'], { status: 5 })).stderr, /nobody who is remembered was last connected from there/);
	assert.match((await ctl(s, ['purge', '--ip', 'here'], { status: 2 })).stderr, /neither an address nor a network/);
	for (const args of [[], ['good', '--ip', '198.51.100.1']]) assert.match((await ctl(s, ['purge', ...args], { status: 2 })).stderr, /name one person, or --ip/);
	await fence(good);
});

serverTest('nobody, nothing and nonsense are failures of every verb, named; nothing changes and nothing is audited', async s => {
	const { ann, bob } = await talk(s);
	const gone = await s.join('Gone');
	gone.text('was here');
	await fence(gone);
	await gone.close();
	const before = await stored(s);
	const none = [
		['purge', '999'], ['purge', 'id:999'], ['purge', 'nosuch'], ['purge', '999', '--dry-run'], ['purge', 'nosuch', '--yes'], ['history', '--user', 'nosuch'], ['history', '--user', '999'],
		['history', '--user', 'name:nosuch', '--json'], ['history', '--user', 'nosuch', '--format', 'html'], ['history', '--user', 'nosuch', '--last', '5'], ['files', '--user', 'nosuch'],
		['files', '--user', 'id:999'], ['history', '--dm', 'Ann', '--with', '999'], ['history', '--dm', '999', '--with', 'Ann'], ['history', '--dm', 'nosuch', '--with', 'Ann'],
		['files', '--dm', 'Ann', '--with', '999'], ['kick', '999'], ['kick', 'nosuch'], ['ban', '999'], ['ban', 'nosuch'], ['ban', 'nosuch', '--with-ip'], ['mute', '999'], ['unban', 'nosuch'],
		['unban', '999'], ['unban', '--number', '99'], ['unban', '--name', 'nosuch'], ['unban', '--ip', '203.0.113.1'], ['unmute', 'Ann'], ['unmute', '--number', '0'],
		['delete', '999'], ['delete', '--', '999', '998'],
	];
	for (const args of none) {
		const r = await ctl(s, args, { status: args.join(' ') === 'unmute --number 0' ? 2 : 5 });
		assert.match(r.stderr, /^wavechatctl: [^\n]+\n/, args.join(' '));
		if (args[0] === 'history' && !args.includes('html')) assert.equal(r.stdout.replace(/^\{"error".*\n/, ''), '', args.join(' '));
	}
	const wrong = [
		['audit', '--last', '0'], ['audit', '--last', '-3'], ['audit', '--last', 'x'], ['audit', '--last', '5x'], ['audit', '--last', '99999999999999999999'], ['history', '--last', '99999999999999999999'],
		['history', '--user', ''], ['history', '--dm', '', '--with', ''], ['history', '--since', ''], ['files', '--user='], ['purge', ''], ['purge', '--ip', ''], ['kick', ''], ['ban', ''],
		['ban', '--ip', ''], ['unban', '--name', ''], ['--socket', '', 'status'], ['users', '--ip', ''],
	];
	for (const args of wrong) {
		const r = await ctl(s, args, { status: 2 });
		assert.match(r.stderr, /^wavechatctl: [^\n]+\n$/, args.join(' '));
		assert.equal(r.stdout, '', args.join(' '));
	}
	for (const p of ['/v1/history?last=x', '/v1/history?user=', '/v1/history?dm=&with=', '/v1/history?since=1d', '/v1/audit?last=-1', '/v1/files?limit=0'])
		assert.equal((await adminRequest(s, 'GET', p)).status, 400, p);
	for (const body of [{}, { user: '' }, { people: [] }, { people: ['1'] }, { people: [0] }, { user: 'Ann', people: [1] }, { user: 'Ann', net: '1.2.3.4' }, { people: [ann.id, -1] }])
		assert.equal((await adminRequest(s, 'POST', '/v1/purge', body)).status, 400, JSON.stringify(body));
	assert.equal((await adminRequest(s, 'POST', '/v1/purge', { people: [ann.id, 999] })).status, 404);
	assert.deepEqual(await stored(s), before);
	assert.deepEqual(await audited(s), []);
	// who left and wrote is somebody; missing ids among others fail, and are named, in JSON too
	assert.match((await ctl(s, ['history', '--user', 'gone'])).stdout, /Gone: was here/);
	assert.match((await ctl(s, ['history', '--user', String(gone.id)])).stdout, /Gone: was here/);
	const mine = before.find(m => m[2] === 'stays')[0];
	const some = await ctl(s, ['--json', 'delete', mine, '999'], { status: 5 });
	assert.deepEqual([JSON.parse(some.stdout).deleted, JSON.parse(some.stdout).missing], [[mine], [999]]);
	await fence(bob, [ann]);
});

serverTest('the audit says on whose behalf root acted', async s => {
	const { ann } = await talk(s);
	const isRoot = process.getuid() === 0;
	const as = (env, ...args) => ctl(s, args, { env });
	await as({ SUDO_USER: 'ann' }, 'mute', 'Ann', '--for', '1h');
	await as({ DOAS_USER: 'bob.2' }, 'unmute', 'Ann');
	await as({ SUDO_USER: 'root' }, 'slow', '5');
	await as({ SUDO_USER: '' }, 'slow', '0');
	await as({ SUDO_USER: `x"\u001b[31m\r\nX: y${'z'.repeat(200)}` }, 'purge', 'Ann');
	await as({ SUDO_USER: 'ann' }, 'history', '--dm', 'Ann', '--with', 'Bob');
	const list = await audited(s);
	assert.deepEqual(list.map(a => [a.verb, a.via]), isRoot
		? [['mute', 'ann'], ['unmute', 'bob.2'], ['slow', undefined], ['slow', undefined], ['purge', list[4].via], ['history', 'ann']]
		: list.map(a => [a.verb, undefined]), 'of root alone it is believed');
	const shown = (await ctl(s, ['audit'])).stdout;
	assert.doesNotMatch(shown, /\u001b/);
	if (isRoot) {
		assert.match(shown, /root \(via ann\) .* mute +Ann \(/);
		assert.match(list[4].via, /^[!-~]{1,64}$/);
		assert.doesNotMatch(list[4].via, /["\\]/);
		await s.says(/info  admin verb=mute uid=0 via=ann pid=/);
	}
	await s.stop();
	await s.restart();
	assert.deepEqual(await audited(s), list);
	const raw = await ctlRaw(['--socket', socketOf(s), 'audit', '--last', '1', '--json']);
	assert.equal(JSON.parse(raw.stdout).verb, 'history');
	assert.ok(ann.id);
});
