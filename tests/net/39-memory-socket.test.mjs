// With data in memory the admin socket lies in a folder of the user's own, which wavechatctl finds by itself and neither trusts when it is anybody else's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, patience, slack } from './lib.mjs';
import { ctlRaw } from './admin.mjs';

const isRoot = process.getuid() === 0;
const socketOf = s => /wavechatctl --socket (\S+) status/.exec(s.output)?.[1];
const ctl = (runtime, args, env = {}) => ctlRaw(args, { env: { XDG_RUNTIME_DIR: runtime, ...env }, cwd: runtime });

/** A server with its data in memory, and $XDG_RUNTIME_DIR. */
const start = (runtime, more = {}) => Server.start({ env: { WAVECHAT_DATA: ':memory:', XDG_RUNTIME_DIR: runtime }, ...more });

async function withRuntime(fn) {
	const runtime = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-runtime-'));
	fs.chmodSync(runtime, 0o700);
	const servers = [];
	try {
		await fn(runtime, async more => {
			const s = await start(runtime, more);
			servers.push(s);
			return s;
		});
		for (const s of servers) if (s.alive()) await s.stop();
	} finally {
		for (const s of servers) await s.cleanUp();
		fs.rmSync(runtime, { recursive: true, force: true });
	}
}

test('a server in memory is moderated without naming its socket', { timeout: 30000 * patience }, () => withRuntime(async (runtime, up) => {
	const s = await up({ args: slack === 1 ? ['--sandbox', 'require'] : [] });
	const socket = socketOf(s);
	assert.equal(socket, path.join(runtime, 'wavechat', `${s.pid}.sock`));
	assert.equal(fs.statSync(path.dirname(socket)).mode & 0o777, 0o700);
	assert.equal(fs.statSync(socket).mode & 0o777, 0o600);
	const a = await s.join('a'), b = await s.join('b');
	const status = await ctl(runtime, ['status']);
	assert.equal(status.status, 0, status.stderr);
	assert.match(status.stdout, /^memory .* of .*$/m);
	assert.match(status.stdout, /^budgets .*being received.*of files/m);
	assert.match(status.stdout, /^room for +\d+ connections, \d+ descriptors$/m);
	assert.equal((await ctl(runtime, ['kick', 'b'])).status, 0);
	assert.equal((await b.closed).code, 4001);
	assert.equal((await ctl(runtime, ['say', 'hello'])).status, 0);
	await a.next(f => JSON.stringify(f).includes('hello'));
	await s.stop();
	assert.ok(!fs.existsSync(socket), 'removed at the end');
	const after = await ctl(runtime, ['status']);
	assert.ok(!after.stdout.includes(`process ${s.pid},`));
}));

test('two servers: neither is taken for the other; what a killed one left is removed', { timeout: 30000 * patience }, () => withRuntime(async (runtime, up) => {
	const first = await up(), second = await up();
	const r = await ctl(runtime, ['status']);
	assert.equal(r.status, 2, r.stdout);
	assert.match(r.stderr, /^wavechatctl: 2 servers answer here; name one with --socket PATH: [^\n]*\n$/);
	for (const s of [first, second]) {
		assert.ok(r.stderr.includes(socketOf(s)));
		assert.match((await ctl(runtime, ['--socket', socketOf(s), 'status'])).stdout, new RegExp(`process ${s.pid},`));
	}
	const left = socketOf(first);
	await first.kill9();
	assert.ok(fs.existsSync(left));
	assert.match((await ctl(runtime, ['status'])).stdout, new RegExp(`process ${second.pid},`));
	await second.stop();
	const third = await up();
	assert.ok(!fs.existsSync(left), 'what the first left is gone');
	assert.match((await ctl(runtime, ['status'])).stdout, new RegExp(`process ${third.pid},`));
}));

for (const [what, spoil] of [
	['that others may enter', dir => { fs.mkdirSync(dir); fs.chmodSync(dir, 0o755); }],
	['that is a symbolic link', dir => { fs.mkdirSync(`${dir}.real`, { mode: 0o700 }); fs.symlinkSync(`${dir}.real`, dir); }],
	['that is a file', dir => fs.writeFileSync(dir, '')],
	['of another user', isRoot && (dir => { fs.mkdirSync(dir, { mode: 0o700 }); fs.chownSync(dir, 65534, 65534); })],
])
	test(`a folder ${what} is neither used nor trusted`, { timeout: 30000 * patience, skip: !spoil && 'needs root' }, () => withRuntime(async (runtime, up) => {
		const dir = path.join(runtime, 'wavechat');
		spoil(dir);
		const s = await up({ allow: /no admin socket/ });
		await s.says(/no admin socket cause="[^"]*wavechat is not a folder of user \d+ alone: remove it, or name another place/);
		assert.equal(socketOf(s), undefined);
		assert.ok(!fs.statSync(dir).isDirectory() || fs.readdirSync(dir).length === 0);
		assert.ok((await s.get('/health')).ok, 'the chat is worth more than the door');
		// One who can put a socket there must not be taken for the server.
		const there = fs.statSync(dir).isDirectory() ? dir : null;
		if (!there) return;
		const false_ = await Server.start({ env: { WAVECHAT_DATA: ':memory:', WAVECHAT_ADMIN_SOCKET: path.join(runtime, 'x.sock') } });
		try {
			fs.renameSync(path.join(runtime, 'x.sock'), path.join(there, '1.sock'));
			const r = await ctl(runtime, ['status']);
			assert.ok(!r.stdout.includes(`process ${false_.pid},`), r.stdout);
		} finally {
			await false_.cleanUp();
		}
	}));

test('started by root for another user: in that user\'s folder', { timeout: 30000 * patience, skip: !isRoot && 'needs root' }, () => withRuntime(async (runtime, up) => {
	const s = await up({ args: ['--user', '65534:65534'] }); // $XDG_RUNTIME_DIR is still root's
	const socket = socketOf(s);
	assert.equal(socket, `/tmp/wavechat-65534/${s.pid}.sock`);
	assert.equal(fs.statSync(path.dirname(socket)).uid, 65534);
	assert.match((await ctl(runtime, ['--socket', socket, 'status'])).stdout, new RegExp(`process ${s.pid},`));
	const found = await ctl(runtime, ['status']); // root's own does not look into it
	assert.ok(!found.stdout.includes(`process ${s.pid},`), found.stdout);
}));

test('$XDG_RUNTIME_DIR that cannot be written, or is no folder: in /tmp, and found there', { timeout: 30000 * patience }, () => withRuntime(async (runtime, up) => {
	const readOnly = isRoot && spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro,mode=0700', 'wavechat-test', runtime]).status === 0;
	if (!isRoot) fs.chmodSync(runtime, 0o500);
	try {
		if (isRoot && !readOnly) fs.rmSync(runtime, { recursive: true });
		const s = await up();
		assert.equal(socketOf(s), `/tmp/wavechat-${process.getuid()}/${s.pid}.sock`);
		assert.match((await ctlRaw(['--socket', socketOf(s), 'status'])).stdout, new RegExp(`process ${s.pid},`));
		await s.stop();
	} finally {
		if (readOnly) spawnSync('umount', [runtime]);
		else if (!isRoot) fs.chmodSync(runtime, 0o700);
	}
}));
