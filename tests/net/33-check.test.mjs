// --check fails exactly when a start would: each set-up here is tried both ways, and both have to agree. It changes nothing on the disk.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Server, binary, namesBelow, patience, run, sleep, within } from './lib.mjs';
import { ctl } from './admin.mjs';
import { join2 } from './v2.mjs';

const isRoot = process.getuid() === 0;
const hasIPv6 = Object.values(os.networkInterfaces()).flat().some(i => i.address === '::1');
const uid = 65534;

/** A folder that another user can walk through, gone afterwards. */
async function withFolder(fn) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-check-'));
	fs.chmodSync(dir, 0o755);
	try {
		return await fn(dir);
	} finally {
		fs.rmSync(dir, { recursive: true, force: true });
	}
}

/** Every name below dir with its kind, mode, owner, size, time of change and content. */
function picture(dir) {
	const all = {};
	const walk = at => {
		for (const name of fs.readdirSync(at).sort()) {
			const p = path.join(at, name), st = fs.lstatSync(p);
			all[p] = [st.mode, st.uid, st.gid, st.size, st.mtimeMs, st.ino, st.isFile() && st.size < 1 << 20 ? fs.readFileSync(p, 'base64') : ''].join(' ');
			if (st.isDirectory()) walk(p);
		}
	};
	walk(dir);
	return all;
}

/** Starts it for real, until it is ready or ends: its exit status, 0 if it runs. */
async function start(args, env = {}) {
	const child = spawn(binary, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	let output = '';
	child.stdout.setEncoding('utf8').on('data', d => (output += d));
	child.stderr.setEncoding('utf8').on('data', d => (output += d));
	const end = once(child, 'close');
	try {
		await within(15000 * patience, (async () => { while (!/ ready port=/.test(output) && child.exitCode === null) await sleep(5); })(), () => output);
		if (child.exitCode === null) {
			child.kill('SIGTERM');
			await end;
			return { status: 0, output };
		}
		return { status: child.exitCode, output };
	} finally {
		child.kill('SIGKILL');
	}
}

/** --check of this set-up and then a start of it agree. The last line of what the start says is the check's line, unless told otherwise. */
async function agree(dir, args, { status, env = {}, line, data = path.join(dir, 'data'), says } = {}) {
	const all = ['--data', data, '--log-level', 'error', ...args];
	const before = picture(dir);
	const check = await run(['--check', ...all], { env });
	assert.deepEqual(picture(dir), before, 'the check changed nothing on the disk');
	const real = await start(['--data', data, ...(args.includes('--port') ? [] : ['--port', '0']), ...(args.includes('--listen') ? [] : ['--listen', '127.0.0.1']), ...args], env);
	assert.equal(check.status, real.status, `check said ${check.stdout}${check.stderr}; the start said ${real.output}`);
	if (status !== undefined) assert.equal(check.status, status, check.stderr);
	assert.equal((check.stdout + check.stderr).trimEnd().split('\n').length, 1, `one line: ${check.stdout}${check.stderr}`);
	if (check.status !== 0) {
		assert.match(check.stderr, line || /./);
		if (says !== false) assert.ok(real.output.includes(check.stderr.trimEnd()), `the start said another thing: ${check.stderr} against ${real.output}`);
	}
	return check;
}

const base = ['--port', '0', '--listen', '127.0.0.1'];

function certificates(dir) {
	const make = (name, more = []) => execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${dir}/${name}.key`,
		'-out', `${dir}/${name}.crt`, '-subj', `/CN=${name}`, ...(more.length ? more : ['-days', '90'])], { stdio: 'ignore' });
	make('one');
	make('two');
	fs.writeFileSync(`${dir}/junk.crt`, 'junk\n');
	return (cert, key) => ['--tls-cert', `${dir}/${cert}.crt`, '--tls-key', `${dir}/${key}.key`];
}

test('certificates: missing, foreign, damaged, good', { timeout: 60000 * patience }, async () => {
	await withFolder(async dir => {
		const use = certificates(dir);
		await agree(dir, [...base, ...use('one', 'one')], { status: 0 });
		await agree(dir, [...base, ...use('none', 'one')], { status: 1, line: /none\.crt/ });
		await agree(dir, [...base, ...use('one', 'none')], { status: 1, line: /none\.key/ });
		await agree(dir, [...base, ...use('one', 'two')], { status: 1, line: /is not that of the certificate/ });
		await agree(dir, [...base, ...use('junk', 'one')], { status: 1, line: /junk\.crt/ });
		await agree(dir, [...base, '--tls-self-signed'], { status: 0 });
		fs.writeFileSync(path.join(dir, 'data/tls-self-signed.pem'), 'junk\n');
		await agree(dir, [...base, '--tls-self-signed'], { status: 1, line: /tls-self-signed\.pem/ });
		await agree(dir, base, { status: 0 });
	});
});

test('addresses: not of this machine, taken by another program, twice the same port', { timeout: 60000 * patience }, async () => {
	await withFolder(async dir => {
		await agree(dir, ['--port', '0', '--listen', '192.0.2.1'], { status: 1, line: /no interface of this machine/ });
		await agree(dir, ['--port', '0', '--listen', '127.0.0.1,192.0.2.1'], { status: 1, line: /192\.0\.2\.1/, says: false });
		await agree(dir, ['--port', '0', '--listen', '127.0.0.1,127.0.0.2'], { status: 0 });
		if (hasIPv6) await agree(dir, ['--port', '0', '--listen', '::1'], { status: 0 });
		const holder = net.createServer().listen(0, '127.0.0.1');
		await once(holder, 'listening');
		const port = String(holder.address().port);
		await agree(dir, ['--port', port, '--listen', '127.0.0.1'], { status: 1, line: /another program listens there/ });
		await agree(dir, ['--port', port, '--listen', '127.0.0.2,127.0.0.1'], { status: 1, line: /127\.0\.0\.1 port/ });
		await agree(dir, ['--port', port, '--listen', '127.0.0.2'], { status: 0 });
		await agree(dir, [...base, '--metrics', `127.0.0.1:${port}`], { status: 1, line: /another program listens there/ });
		await agree(dir, [...base, '--metrics', '192.0.2.1:0'], { status: 1, line: /192\.0\.2\.1/ });
		await agree(dir, [...base, '--tls-self-signed', '--redirect-http', port], { status: 1, line: new RegExp(port) });
		holder.close();
		await once(holder, 'close');
		await agree(dir, ['--port', port, '--listen', '127.0.0.1', '--tls-self-signed', '--redirect-http', port], { status: 2, line: /a port of its own/ });
		await agree(dir, ['--port', port, '--listen', '127.0.0.1', '--metrics', `127.0.0.1:${port}`], { status: 2, line: /one of its own/ });
		await agree(dir, ['--port', port, '--listen', '127.0.0.1', '--metrics', `127.0.0.10:${port}`], { status: 0 });
	});
});

test('the data folder and what is in it', { timeout: 120000 * patience }, async () => {
	await withFolder(async dir => {
		const data = path.join(dir, 'data');
		await agree(dir, base, { status: 0 });
		await agree(dir, base, { status: 0, data: path.join(dir, 'other/') });
		await agree(dir, base, { status: 1, data: path.join(dir, 'none/data'), line: /none/ });
		fs.writeFileSync(path.join(dir, 'file'), '');
		await agree(dir, base, { status: 1, data: path.join(dir, 'file') });
		await agree(dir, base, { status: 1, data: path.join(dir, 'file/data'), says: false });
		await agree(dir, [], { status: 0, data: ':memory:' });
		// What stands in the place of what a start needs.
		for (const name of ['lock', 'blobs', 'tmp', 'uploads', 'wavechat.db']) {
			const kept = path.join(dir, 'kept');
			fs.renameSync(path.join(data, name), kept);
			const isFolder = fs.statSync(kept).isDirectory();
			isFolder ? fs.writeFileSync(path.join(data, name), 'x') : fs.mkdirSync(path.join(data, name));
			await agree(dir, base, { status: 1, line: new RegExp(name === 'lock' ? 'data' : name), says: false });
			fs.rmSync(path.join(data, name), { recursive: true });
			fs.renameSync(kept, path.join(data, name));
		}
		fs.writeFileSync(path.join(data, 'wavechat.db.kept'), fs.readFileSync(path.join(data, 'wavechat.db')));
		fs.writeFileSync(path.join(data, 'wavechat.db'), 'not a database, and long enough to have a header of one hundred bytes, which is what is looked at first of all');
		await agree(dir, base, { status: 1, line: /wavechat\.db is damaged/ });
		const newer = fs.readFileSync(path.join(data, 'wavechat.db.kept'));
		newer.writeUInt32BE(99, 60);
		fs.writeFileSync(path.join(data, 'wavechat.db'), newer);
		await agree(dir, base, { status: 1, line: /newer wavechatd/ });
	});
});

test('links to what is not there, such as a disk that is not mounted', { timeout: 60000 * patience }, async () => {
	await withFolder(async dir => {
		const data = path.join(dir, 'data');
		await agree(dir, base, { status: 0 });
		fs.symlinkSync(path.join(dir, 'absent'), path.join(dir, 'link'));
		await agree(dir, base, { status: 1, data: path.join(dir, 'link'), line: /is not a directory/ });
		for (const name of ['wavechat.db', 'wavechat.db-wal', 'wavechat.db-shm', 'lock', 'blobs', 'tmp', 'uploads']) {
			const at = path.join(data, name), kept = path.join(dir, 'kept');
			if (fs.existsSync(at)) fs.renameSync(at, kept);
			fs.symlinkSync(path.join(dir, 'absent/x'), at);
			await agree(dir, base, { status: 1, line: new RegExp(name === 'lock' ? 'data' : name), says: false });
			fs.rmSync(at);
			if (fs.existsSync(kept)) fs.renameSync(kept, at);
			for (const log of ['-wal', '-shm']) fs.rmSync(`${data}/wavechat.db${log}`, { force: true }); // of a start that failed
		}
		await agree(dir, base, { status: 0 });
	});
});

test('a disk without room: for a new folder, and for one with a database', { skip: !isRoot && 'only root mounts', timeout: 60000 * patience }, async () => {
	await withFolder(async dir => {
		const disk = path.join(dir, 'disk'), data = path.join(disk, 'data');
		fs.mkdirSync(disk);
		const mounted = async (options, fn) => {
			execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'none', disk]);
			try { await fn(); } finally { execFileSync('umount', ['-l', disk]); }
		};
		const fill = () => {
			const fd = fs.openSync(path.join(disk, 'fill'), 'w');
			try { for (;;) fs.writeSync(fd, Buffer.alloc(4096)); } catch (e) { assert.equal(e.code, 'ENOSPC'); } finally { fs.closeSync(fd); }
		};
		await mounted('size=1M', async () => { // too small for a reserve
			fs.mkdirSync(data);
			fill();
			await agree(dir, base, { status: 1, data, line: /No space left on device: free some space/ });
			fs.rmSync(path.join(disk, 'fill'));
			fs.rmSync(data, { recursive: true });
			await agree(dir, base, { status: 0, data });
			fill();
			await agree(dir, base, { status: 1, data, line: /No space left on device: free some space/ });
			fs.rmSync(path.join(disk, 'fill'));
			for (const log of ['-wal', '-shm']) fs.rmSync(`${data}/wavechat.db${log}`); // empty; a check would make the index anew
			await agree(dir, base, { status: 0, data });
		});
		await mounted('nr_inodes=2', async () => {
			fs.mkdirSync(data);
			await agree(dir, base, { status: 1, data, line: /No space left on device/, says: false });
		});
	});
});

test('password, admin socket, sandbox, settings file, descriptors', { timeout: 120000 * patience }, async () => {
	await withFolder(async dir => {
		await agree(dir, base, { status: 0 });
		const password = path.join(dir, 'password');
		await agree(dir, [...base, '--join-password-file', password], { status: 1, line: /password/ });
		fs.writeFileSync(password, '\n');
		await agree(dir, [...base, '--join-password-file', password], { status: 1, line: /has no join password/ });
		fs.writeFileSync(password, 'word\n');
		await agree(dir, [...base, '--join-password-file', password], { status: 0 });

		await agree(dir, [...base, '--admin-socket', path.join(dir, 'none/s')], { status: 1, line: /admin socket/ });
		await agree(dir, [...base, '--admin-socket', password], { status: 1, line: /is not a socket/ });
		await agree(dir, [...base, '--admin-socket', path.join(dir, 'x'.repeat(120))], { status: 1, line: /at most \d+ bytes; choose a shorter one/ });
		fs.mkdirSync(path.join(dir, 'open'));
		fs.chmodSync(path.join(dir, 'open'), 0o777);
		await agree(dir, [...base, '--admin-socket', path.join(dir, 'open/s')], { status: 1, line: /others can write/ });
		await agree(dir, [...base, '--admin-socket', 'none'], { status: 0 });
		await agree(dir, [...base, '--admin-socket', path.join(dir, 'fresh/s')], { status: 0, data: path.join(dir, 'fresh') });
		await agree(dir, [...base, '--sandbox', 'require'], {});

		const file = path.join(dir, 'settings');
		fs.writeFileSync(file, 'MAX_FILE_MB=0\n');
		await agree(dir, [...base, '--config', file], { status: 2, line: /settings:1/ });
		await agree(dir, [...base, '--config', path.join(dir, 'nosettings')], { status: 2, line: /nosettings/ });
		await agree(dir, [...base, '--config', `-${path.join(dir, 'nosettings')}`], { status: 0 });
		await agree(dir, [...base, '--user', 'nobodyofthatname'], { status: 1, line: /no user/ });
	});
});

test('another user: who cannot read or write what the start needs', { skip: !isRoot && 'only root becomes somebody else', timeout: 120000 * patience }, async () => {
	await withFolder(async dir => {
		const as = [...base, '--user', String(uid)], data = path.join(dir, 'data');
		await agree(dir, as, { status: 0 }); // made and given to it
		await agree(dir, as, { status: 0 });
		fs.mkdirSync(path.join(dir, 'empty'));
		await agree(dir, as, { status: 0, data: path.join(dir, 'empty') });
		fs.mkdirSync(path.join(dir, 'roots'));
		fs.writeFileSync(path.join(dir, 'roots/x'), '');
		await agree(dir, as, { status: 1, data: path.join(dir, 'roots'), line: /belongs to user 0/ });
		fs.mkdirSync(path.join(dir, 'closed'), { mode: 0o700 });
		await agree(dir, as, { status: 1, data: path.join(dir, 'closed/data'), says: false });
		fs.rmSync(path.join(dir, 'closed/data'), { recursive: true, force: true });
		// A file of root's in the user's folder; then the folder without a right to write.
		for (const name of ['wavechat.db', 'lock', 'blobs']) {
			fs.chownSync(path.join(data, name), 0, 0);
			fs.chmodSync(path.join(data, name), fs.statSync(path.join(data, name)).isDirectory() ? 0o700 : 0o600);
			await agree(dir, as, { status: 1, line: new RegExp(name === 'lock' ? 'data' : name), says: false });
			fs.chownSync(path.join(data, name), uid, uid);
		}
		fs.chmodSync(data, 0o500);
		await agree(dir, as, { status: 1, line: /cannot write/, says: false });
		fs.chmodSync(data, 0o700);
		const password = path.join(dir, 'password');
		fs.writeFileSync(password, 'word\n', { mode: 0o600 });
		await agree(dir, [...as, '--join-password-file', password], { status: 1, line: /Permission denied/ });
		fs.chmodSync(password, 0o644);
		await agree(dir, [...as, '--join-password-file', password], { status: 0 });
		// A key of root's alone is read before that, and a port below 1024 opened.
		const use = certificates(dir);
		await agree(dir, [...as, ...use('one', 'one')], { status: 0 });
		// And as that user, without --user: no such port, no becoming somebody else.
		const own = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-check-own-'));
		fs.chownSync(own, uid, uid);
		const low = Number(fs.readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start')) > 81;
		for (const [args, status] of [[base, 0], [[...base, '--user', '65533'], 1], [['--port', '81', '--listen', '127.0.0.1'], low ? 1 : undefined]]) {
			const both = [];
			for (const more of [['--check'], []]) {
				const child = spawn(binary, ['--data', path.join(own, 'data'), ...args, ...more], { uid, gid: uid, stdio: ['ignore', 'pipe', 'pipe'] });
				const end = once(child, 'close');
				let output = '';
				for (const s of [child.stdout, child.stderr]) s.setEncoding('utf8').on('data', d => (output += d));
				while (child.exitCode === null && !/ ready port=/.test(output)) await sleep(5);
				if (child.exitCode === null) child.kill('SIGTERM');
				both.push((await end)[0]);
			}
			assert.equal(both[0], both[1], args.join(' '));
			if (status !== undefined) assert.equal(both[0], status, args.join(' '));
		}
		fs.rmSync(own, { recursive: true });
	});
});

test('beside the folder\'s own server its ports, lock and socket are no fault; those of another one are', { timeout: 60000 * patience }, async () => {
	const probe = [net.createServer().listen(0, '127.0.0.1'), net.createServer().listen(0, '127.0.0.1')];
	await Promise.all(probe.map(p => once(p, 'listening')));
	const [metrics, redirect] = probe.map(p => p.address().port);
	await Promise.all(probe.map(p => new Promise(done => p.close(done))));
	await withFolder(async dir => {
		const socket = path.join(dir, 'admin.sock');
		const args = ['--metrics', `127.0.0.1:${metrics}`, '--tls-self-signed', '--redirect-http', String(redirect), '--admin-socket', socket];
		const s = await Server.start({ dir, args });
		try {
			const at = ['--port', String(s.port)], data = path.join(dir, 'data');
			const check = async (more, status, line) => {
				// The server itself makes the reserve, and now and then writes a probe.
				const names = () => namesBelow(dir).filter(n => !/reserve|^data\/tmp\/probe$/.test(n)).sort(), before = names();
				const r = await run(['--check', ...more]);
				assert.equal(r.status, status, `${more.join(' ')}: ${r.stderr}`);
				if (line) assert.match(r.stderr, line);
				assert.deepEqual(names(), before, 'no file made or gone');
			};
			const own = ['--data', data, ...at, '--listen', '127.0.0.1', ...args];
			await check(own, 0);
			await check(['--data', data, ...at, '--listen', '127.0.0.1,127.0.0.2'], 0);
			// The same ports for another folder are taken; so is its socket, and a port of this folder that another program has.
			const other = path.join(dir, 'other');
			await check(['--data', other, ...at, '--listen', '127.0.0.1'], 1, /another program listens there/);
			await check(['--data', other, '--port', '0', '--listen', '127.0.0.1', '--metrics', `127.0.0.1:${metrics}`], 1, /another program/);
			await check(['--data', other, '--port', '0', '--listen', '127.0.0.1', '--admin-socket', socket], 1, /a running server answers there/);
			const holder = net.createServer().listen(0, '127.0.0.1');
			await once(holder, 'listening');
			await check(['--data', data, '--port', String(holder.address().port), '--listen', '127.0.0.1'], 1, /another program listens there/);
			holder.close();
			// It serves on, and a killed one's claims mean nothing.
			await join2(s, 'ann');
			assert.ok(fs.existsSync(socket));
			await s.kill9();
			const taken = net.createServer().listen(s.port, '127.0.0.1');
			await once(taken, 'listening');
			await check(own, 1, /another program listens there/);
			taken.close();
			await once(taken, 'close');
			await check(own, 0);
			await s.restart();
			await s.stop();
		} finally {
			await s.cleanUp();
		}
	});
});

test('a check beside a start never keeps it from starting', { timeout: 60000 * patience }, async () => {
	await withFolder(async dir => {
		await agree(dir, base, { status: 0 });
		for (let i = 0; i < 5; i++) {
			const [real, ...checks] = await Promise.all([start([...base, '--data', path.join(dir, 'data')]),
				...Array.from({ length: 4 }, () => run(['--check', ...base, '--data', path.join(dir, 'data')]))]);
			assert.equal(real.status, 0, real.output);
			for (const c of checks) assert.equal(c.status, 0, c.stderr);
		}
	});
});
