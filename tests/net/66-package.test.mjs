// What is packed around the programs: how versions sort, what the unit allows, what a removal leaves, and the image. What needs the packages
// themselves is in tests/packages.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { binary, patience, serverTest, slack, sleep, stopInItsTracks } from './lib.mjs';
import { ownMounts } from './disk.mjs';
import { renderEnv } from './hostile.mjs';
import { join2 } from './v2.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const isRoot = process.getuid() === 0;

function temp(t) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-pack-'));
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
}
function run(command, args, options = {}) {
	const r = spawnSync(command, args, { encoding: 'utf8', timeout: 30000 * patience, ...options });
	assert.equal(r.status, 0, `${command} ${args.join(' ')}: ${r.error || ''}${r.stdout}${r.stderr}`);
	return r.stdout.trim();
}

// --- Versions

const debVersion = v => v.replace('-', '~').replaceAll('-', '.'); // as packaging/package.sh makes it of the program's
const isBefore = (a, b) => spawnSync('dpkg', ['--compare-versions', debVersion(a), 'lt', debVersion(b)]).status === 0;

test('versions sort by time, are valid for dpkg, and are the same wherever they are made', t => {
	const dir = temp(t), git = (...args) => run('git', ['-C', dir, '-c', 'user.name=x', '-c', 'user.email=x@example.org', ...args], { env });
	let env = { ...process.env, GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_SYSTEM: '/dev/null' };
	const version = more => run(path.join(dir, 'tools/version.sh'), ['0.1.0'], { env: { ...env, ...more } });
	fs.mkdirSync(path.join(dir, 'tools'));
	fs.copyFileSync(path.join(root, 'tools/version.sh'), path.join(dir, 'tools/version.sh'));
	assert.equal(version(), '0.1.0', 'without git, the base version alone');

	git('init', '-q');
	git('add', '.');
	const made = [];
	const commit = at => {
		env = { ...env, GIT_COMMITTER_DATE: at, GIT_AUTHOR_DATE: '2001-01-01T00:00:00Z' };
		git('commit', '-q', '--allow-empty', '-m', at);
		made.push(version());
	};
	for (const day of ['2026-01-31', '2026-02-01', '2026-09-30', '2026-10-01', '2026-11-26', '2027-01-01', '2030-12-31']) {
		commit(`${day}T23:30:00+0000`);
		assert.match(made.at(-1), new RegExp(`^0\\.1\\.0\\+git${day.replaceAll('-', '')}\\.[0-9a-f]{7}$`));
	}
	commit('2031-01-01T00:30:00+0300');
	assert.match(made.at(-1), /\+git20301231\./, 'the day is UTC');
	made.pop();
	assert.equal(version({ TZ: 'Asia/Kamchatka', LC_ALL: 'C.UTF-8' }), version());
	for (let i = 1; i < made.length; i++) assert.ok(isBefore(made[i - 1], made[i]), `${made[i - 1]} before ${made[i]}`);
	for (const old of ['0.1.0', '0.1.0+g5c9a08e', '0.1.0+gffffff0', '0.1.0+g5c9a08e-dirty']) assert.ok(isBefore(old, made[0]), `what there was, ${old}, before ${made[0]}`);

	fs.appendFileSync(path.join(dir, 'tools/version.sh'), '# changed\n');
	assert.equal(version(), `${run('git', ['-C', dir, 'log', '-1', '--abbrev=7', '--format=0.1.0+git20301231.%h'])}.dirty`);
	assert.ok(isBefore(made.at(-2), version()));
	git('checkout', '-q', '.');

	env = { ...env, GIT_COMMITTER_DATE: '2032-01-01T00:00:00Z' };
	git('commit', '-q', '--allow-empty', '-m', 'to be tagged');
	git('tag', 'v1.0.0-rc1');
	assert.equal(version(), '1.0.0-rc1');
	made.push(version());
	commit('2032-01-02T00:00:00Z');
	assert.match(made.at(-1), /^1\.0\.0-rc1\+git20320102\.[0-9a-f]{7}$/);
	git('commit', '-q', '--allow-empty', '-m', 'to be tagged');
	git('tag', '-a', '-m', 'one', 'v1.0.0');
	made.push(version());
	assert.equal(version(), '1.0.0');
	commit('2032-02-01T00:00:00Z');
	commit('2032-02-03T00:00:00Z');
	for (let i = 1; i < made.length; i++) assert.ok(isBefore(made[i - 1], made[i]), `${made[i - 1]} before ${made[i]}`);
	for (const v of made) run('dpkg', ['--validate-version', debVersion(v)]);
	assert.ok(isBefore(made.at(-1), '1.0.1'));

	fs.mkdirSync(path.join(dir, 'within/tools'), { recursive: true });
	fs.copyFileSync(path.join(root, 'tools/version.sh'), path.join(dir, 'within/tools/version.sh'));
	assert.equal(run(path.join(dir, 'within/tools/version.sh'), ['0.1.0'], { env }), '0.1.0', 'the repository around an unpacked tarball is not asked');
});

test('the program says the version that its sources have', t => {
	if (!fs.existsSync(path.join(root, '.git'))) return t.skip('no repository');
	const said = run(binary, ['--version']).split('\n')[0];
	assert.match(said, /^wavechatd \d+\.\d+\.\d+(-[0-9A-Za-z.]+)?(\+(git\d{8}\.[0-9a-f]{7,}(\.dirty)?|dirty))?$/);
	run('dpkg', ['--validate-version', debVersion(said.split(' ')[1])]);
});

// --- Licences

test('--licenses prints the licence, and the notice of every package that is linked in', t => {
	const licence = fs.readFileSync(path.join(root, 'LICENSE'), 'utf8'), said = run(binary, ['--licenses']);
	assert.match(licence, /^MIT License\n\nCopyright \(c\) \d{4} the WaveChat authors\n/);
	assert.ok(said.startsWith(licence));
	assert.ok(fs.readFileSync(path.join(root, 'packaging/copyright'), 'utf8').includes(licence), 'the package says the same');
	if (spawnSync('dpkg-query', ['--version']).error) return t.skip('no packages on this machine');
	assert.doesNotMatch(said, /^===== Not found/m);
	const libraries = run('make', ['-s', '-C', root, '--eval', 'libraries:; @echo $(LIBS)', 'libraries']).split(' ');
	assert.ok(libraries.length > 4, libraries.join());
	const source = path.join(temp(t), 'empty.c');
	fs.writeFileSync(source, 'int main(void) { return 0; }\n');
	const opened = run('cc', ['-static-pie', '-Wl,--trace', '-o', `${source}.out`, source, ...libraries]).split('\n').filter(f => /\.[ao]$/.test(f) && f.startsWith('/usr'));
	const files = [...new Set(opened.map(f => fs.realpathSync(f)))];
	assert.ok(files.some(f => f.endsWith('/libc.a')) && files.some(f => f.endsWith('/libssl.a')), files.join());
	for (const file of files) {
		const owner = run('dpkg-query', ['-S', file]).split(':')[0];
		assert.match(said, new RegExp(`^===== .* \\(${owner}\\) =====$`, 'm'), `${file} is of ${owner}`);
	}
	for (const phrase of ['The CivetWeb developers', 'L. Peter Deutsch', 'GNU LESSER GENERAL PUBLIC LICENSE', 'Apache License', 'GCC RUNTIME LIBRARY EXCEPTION']) {
		assert.ok(said.includes(phrase), phrase);
	}
});

// --- The unit

const unit = fs.readFileSync(path.join(root, 'packaging/wavechatd.service'), 'utf8');
const families = /^RestrictAddressFamilies=(.*)$/m.exec(unit)[1];

test('with the address families that the unit allows, a certificate of its own is for the addresses of the machine', { timeout: 60000 * patience }, async t => {
	if (!isRoot || os.arch() !== 'x64' || slack > 1) return t.skip('needs root, x86-64 and a program without sanitizers');
	// A network of its own, with an address that no other machine has.
	const start = async (allowed, name) => {
		const dir = path.join(temp(t), name);
		const r = spawnSync('unshare', ['-n', 'sh', '-c', 'ip link set lo up && ip addr add 10.9.8.7/32 dev lo && exec timeout -s TERM 3 perl "$@"', 'sh',
			path.join(root, 'tests/packages/families.pl'), allowed, binary, '--port', '0', '--data', dir, '--tls-self-signed', '--sandbox', 'require'], { encoding: 'utf8' });
		const file = path.join(dir, 'tls-self-signed.pem');
		assert.ok(fs.existsSync(file), r.stdout + r.stderr);
		assert.match(r.stderr, / ready port=/);
		return new X509Certificate(/-----BEGIN CERTIFICATE-----[^]*/.exec(fs.readFileSync(file, 'utf8'))[0]).subjectAltName;
	};
	assert.match(await start(families, 'unit'), /IP Address:10\.9\.8\.7/);
	assert.doesNotMatch(await start(families.replace(' AF_NETLINK', ''), 'without'), /10\.9\.8\.7/, 'this test can tell');
});

test('the unit allows no more address families than the program uses', () => {
	assert.deepEqual(families.split(' ').sort(), ['AF_INET', 'AF_INET6', 'AF_NETLINK', 'AF_UNIX']);
});

// --- Removal

test('the removal of the package says where the data stay and how much they are, and removes none of it', t => {
	if (!isRoot) return t.skip('needs root, for a /var of its own');
	const script = path.join(root, 'packaging/deb/postrm');
	const inside = `set -e; mount -t tmpfs none /var; mkdir -p /var/lib/private/wavechat/blobs /var/backups/wavechat /tmp
		"$0" purge; echo "== left empty"; ls -A /var/lib/private
		mkdir -p /var/lib/private/wavechat/blobs; ln -s private/wavechat /var/lib/wavechat; head -c 5000000 /dev/urandom >/var/lib/private/wavechat/blobs/x
		sum() { find /var/lib/private -type f -exec sha256sum {} +; }; sum >/dev/shm/before.$$
		for act in upgrade remove purge; do echo "== $act"; "$0" $act 2>&1; done; sum | cmp - /dev/shm/before.$$; rm /dev/shm/before.$$; readlink /var/lib/wavechat`;
	const dir = temp(t), copy = path.join(dir, 'postrm');
	fs.copyFileSync(script, copy);
	fs.writeFileSync(path.join(dir, 'deb-systemd-helper'), '#!/bin/sh\n'); // the real one works within dpkg alone
	for (const name of ['postrm', 'deb-systemd-helper']) fs.chmodSync(path.join(dir, name), 0o755);
	const said = run('unshare', [...ownMounts(), 'sh', '-c', inside, copy], { env: { ...process.env, PATH: `${dir}:${process.env.PATH}` } });
	const line = 'wavechat: left as it is, with what people wrote: /var/lib/private/wavechat (4.8M). rm -r /var/lib/private/wavechat deletes it for good.';
	const [, empty, upgrade, remove, purge] = said.split(/^== .*$/m).map(part => part.trim());
	// The folder had only an empty folder in it, which is no data; yet nothing that somebody made is removed.
	assert.equal(upgrade, '');
	assert.equal(remove, line);
	assert.equal(purge, `${line}\nprivate/wavechat`);
	assert.match(empty, /^(wavechat)?$/);
});

// --- The image

/** The stages of the Dockerfile: what each is from, and its instructions in order. */
function stages() {
	const text = fs.readFileSync(path.join(root, 'Dockerfile'), 'utf8').replace(/^#.*\n/gm, '').replace(/\\\n/g, ' ');
	const all = [];
	for (const line of text.split('\n').filter(l => l.trim())) {
		const [, word, rest] = /^([A-Z]+) +(.*)$/.exec(line);
		if (word === 'FROM') all.push({ from: rest.split(/ +AS +/)[0], name: rest.split(/ +AS +/)[1], lines: [] });
		else all.at(-1).lines.push([word, rest]);
	}
	return all;
}
const of = (stage, word) => stage.lines.filter(([w]) => w === word).map(([, rest]) => rest);
const limitOf = stage => Number(/--timeout=(\d+)s/.exec(of(stage, 'HEALTHCHECK')[0])[1]);
const health = stage => JSON.parse(/ CMD (\[.*\])$/.exec(of(stage, 'HEALTHCHECK')[0])[1]);

test('both images are of the programs alone, and check their health by wavechatctl without a shell', () => {
	const [build, ...images] = stages();
	assert.equal(build.name, 'build');
	assert.equal(images.length, 2);
	for (const image of images) {
		assert.equal(image.from, 'scratch');
		assert.deepEqual(of(image, 'RUN'), [], 'there is nothing in it that could run a command');
		assert.deepEqual(JSON.parse(of(image, 'ENTRYPOINT')[0]), ['/bin/wavechatd']);
		assert.equal(of(image, 'HEALTHCHECK').length, 1);
		assert.equal(health(image)[0], '/bin/wavechatctl');
		assert.ok(of(image, 'COPY').some(c => c.includes('build/wavechatd') && c.includes('build/wavechatctl') && c.endsWith(' /bin/')));
		// Longer than wavechatctl's own limit: its words about what hangs are kept.
		assert.ok(limitOf(image) > 10);
	}
	assert.match(of(build, 'RUN').at(-1), /build\/wavechatctl/);
	const ignored = fs.readFileSync(path.join(root, '.dockerignore'), 'utf8').split('\n');
	for (const program of ['wavechatd', 'wavechatctl']) assert.ok(ignored.includes(`!build/${program}`), `prebuilt finds ${program}`);
	assert.ok(!ignored.some(l => /^\.git\/?$|^tools|^packaging/.test(l)), 'the version comes from git');
	const render = fs.readFileSync(path.join(root, 'render.yaml'), 'utf8');
	assert.match(render, /dockerfilePath: \.\/Dockerfile/);
	assert.match(render, /healthCheckPath: \/health/);
});

const onRender = { ...renderEnv(), WAVECHAT_TRUST_PROXY: `127.0.0.1 ${renderEnv().WAVECHAT_TRUST_PROXY}`, WAVECHAT_NEW_PEOPLE: '1' };
serverTest('the blueprint for Render: its proxies name the client, and limits by address hold', { limits: true, env: onRender }, async s => {
	assert.ok(!renderEnv().WAVECHAT_EXEMPT, 'nobody is exempt');
	const from = address => ({ headers: { 'X-Forwarded-For': `198.51.100.1, ${address}, 104.16.3.4, 10.1.2.3` } }); // the first is the client's own word
	await join2(s, 'a', {}, from('203.0.113.7'));
	const again = await s.connect(from('203.0.113.7'));
	again.send({ type: 'join', v: 2, name: 'again' });
	assert.match((await again.take()).text, /new people from your address/);
	await join2(s, 'other', {}, from('203.0.113.8'));
});

/** The root folder that the image's instructions make, with what an engine adds: /dev and /proc. */
function assemble(t, image) {
	const at = temp(t);
	fs.chmodSync(at, 0o755);
	const built = { '/src/build/wavechatd': binary, '/src/build/wavechatctl': path.join(path.dirname(binary), 'wavechatctl'), 'build/wavechatd': binary,
		'build/wavechatctl': path.join(path.dirname(binary), 'wavechatctl') };
	const env = {};
	let user = '0:0';
	for (const [word, rest] of image.lines) {
		if (word === 'ENV') env[rest.split('=')[0]] = rest.split('=')[1];
		if (word === 'USER') user = rest;
		if (word === 'WORKDIR' || word === 'VOLUME') fs.mkdirSync(path.join(at, rest), { recursive: true });
		if (word !== 'COPY') continue;
		const words = rest.split(/ +/), flags = words.filter(w => w.startsWith('--')), [to, ...from] = words.filter(w => !w.startsWith('--')).reverse();
		const owner = flags.find(f => f.startsWith('--chown='))?.slice(8) ?? '0:0';
		fs.mkdirSync(path.join(at, to), { recursive: true });
		for (const source of from) {
			if (built[source]) fs.copyFileSync(built[source], path.join(at, to, path.basename(source)));
			else if (source === '/image') {
				fs.mkdirSync(path.join(at, 'tmp'));
				fs.chmodSync(path.join(at, 'tmp'), 0o1777);
			} else assert.equal(source, '/data', 'the test knows all that is copied');
			if (source !== '/data') continue;
			fs.chmodSync(path.join(at, to), 0o700);
			run('chown', [owner, path.join(at, to)]);
		}
	}
	fs.mkdirSync(path.join(at, 'dev'), { recursive: true });
	fs.mkdirSync(path.join(at, 'proc'));
	run('mknod', ['-m', '666', path.join(at, 'dev/null'), 'c', '1', '3']);
	return { at, env, user };
}

for (const [i, name, more] of [[0, 'prebuilt', {}], [1, 'built in a container', {}], [0, 'prebuilt, data in memory', { WAVECHAT_DATA: ':memory:' }],
	[1, 'built in a container, data in memory', { WAVECHAT_DATA: ':memory:' }]]) {
	test(`the image ${name}: it starts from its folder alone, is healthy while it is well, and not when it hangs or has ended`, { timeout: 90000 * patience }, async t => {
		if (!isRoot || /dynamically/.test(spawnSync('file', ['-L', binary], { encoding: 'utf8' }).stdout) || slack > 1) return t.skip('needs root and a static program');
		const image = stages()[i + 1], { at, env, user } = assemble(t, image);
		const vars = Object.entries({ ...env, PORT: '0', LISTEN: '127.0.0.1', ...more }).map(([k, v]) => `${k}=${v}`);
		const enter = 'root=$0; user=$1; shift; mount -t proc proc "$root/proc" && exec env -i "$@"';
		const words = command => [...ownMounts(), 'sh', '-c', enter, at, user, ...vars, '/usr/sbin/chroot', `--userspec=${user}`, at, ...command];
		const server = spawn('unshare', words(JSON.parse(of(image, 'ENTRYPOINT')[0])), { stdio: ['ignore', 'pipe', 'pipe'] });
		let said = '';
		for (const stream of [server.stdout, server.stderr]) stream.on('data', d => (said += d));
		const ended = new Promise(resolve => server.once('close', (status, signal) => resolve({ status, signal })));
		const check = () => {
			// As the engine does it: a check that takes longer is ended, and has failed.
			const r = spawnSync('unshare', words(health(image)), { encoding: 'utf8', timeout: limitOf(image) * 1000 });
			return { status: r.status, said: r.stdout + r.stderr };
		};
		try {
			for (let n = 0; n < 200 * patience && !/ ready port=/.test(said) && server.exitCode === null; n++) await sleep(50);
			assert.match(said, / ready port=/);
			const well = check();
			assert.equal(well.status, 0, well.said + said);
			assert.match(well.said, /^online +0 people/m);
			await stopInItsTracks(server.pid);
			const hung = check();
			assert.notEqual(hung.status, 0, hung.said);
			assert.notEqual(hung.status, null, 'it gives up by itself, sooner than the engine, and says why');
			assert.match(hung.said, /^wavechatctl: .+\n$/);
			server.kill('SIGCONT');
			assert.equal(check().status, 0);
			server.kill('SIGTERM');
			assert.deepEqual(await ended, { status: 0, signal: null }, said);
			assert.notEqual(check().status, 0);
		} finally {
			server.kill('SIGKILL');
			await ended;
		}
	});
}
