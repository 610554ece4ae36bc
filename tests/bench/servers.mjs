// servers.mjs — starts what is measured, each on a port of its own choice on loopback and in a folder of its own, and ends it by its pid.
import { spawn, spawnSync, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const root = path.resolve(here, '../..');
export const built = path.join(root, 'build');
const wavechatd = process.env.WAVECHATD || path.join(built, 'wavechatd');

/** Limits stay on, raised to what a load test from one address needs; an option that this build has not is left out. */
const LIMITS = {
	'--message-rate': 10000, '--message-burst': 100000, '--byte-rate-kb': 10000000, '--byte-burst-mb': 1000000, '--request-rate': 10000,
	'--new-people': 1000000, '--address-rate': 100000, '--address-bytes-kb': 10000000, '--address-requests': 100000,
	'--exempt': 'none', '--max-connections-per-ip': 100000, '--handshake-rate': 100000,
};
let help;
function raisedLimits() {
	help ??= execFileSync(wavechatd, ['--help'], { encoding: 'utf8' });
	return Object.entries(LIMITS).flatMap(([option, value]) => (help.includes(option) ? [option, String(value)] : []));
}

/** One that has aiohttp: Debian's own comes with it, another that stands before it in the path may not. */
function python() {
	const has = p => spawnSync(p, ['-c', 'import aiohttp'], { stdio: 'ignore' }).status === 0;
	return ['python3', '/usr/bin/python3'].find(has) || 'python3';
}

async function launch(command, args, ready, { env = {}, dir = null } = {}) {
	const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	const exited = once(child, 'close').catch(() => {}); // also when it could not be started
	let output = '', timer;
	const port = await new Promise((resolve, reject) => {
		timer = setTimeout(() => reject(new Error(`${command} did not get ready; it said:\n${output}`)), 20000);
		const see = chunk => {
			output = (output + chunk).slice(-20000);
			const m = ready.exec(output);
			if (m) resolve(Number(m[1]));
		};
		child.stdout.setEncoding('utf8').on('data', see);
		child.stderr.setEncoding('utf8').on('data', see);
		child.once('error', reject);
		exited.then(() => reject(new Error(`${command} ended at start; it said:\n${output}`)));
	}).finally(() => clearTimeout(timer)).catch(e => {
		child.kill('SIGKILL');
		if (dir) fs.rmSync(dir, { recursive: true, force: true });
		throw e;
	});
	return {
		port, pid: child.pid, dir,
		async stop() {
			child.kill('SIGTERM');
			const forced = setTimeout(() => child.kill('SIGKILL'), 5000);
			await exited;
			clearTimeout(forced);
			if (dir) fs.rmSync(dir, { recursive: true, force: true });
		},
	};
}

const tempDir = () => fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-bench-'));

const LISTENING = /^listening (\d+)$/m;
export const kinds = {
	wavechat: () => {
		const dir = tempDir();
		const env = Object.fromEntries(Object.keys(process.env).filter(n => /^(PORT|LISTEN|MAX_FILE_MB|HISTORY_LIMIT|STATE_DIRECTORY|WAVECHAT_.*)$/.test(n)).map(n => [n, '']));
		return launch(wavechatd, ['--port', '0', '--listen', '127.0.0.1', '--data', path.join(dir, 'data'), ...raisedLimits()], /https?:\/\/127\.0\.0\.1:(\d+)/, { dir, env });
	},
	'Node ws': () => launch(process.execPath, [path.join(here, 'peer-node.mjs')], LISTENING),
	aiohttp: () => launch(python(), [path.join(here, 'peer-aiohttp.py')], LISTENING),
	civetweb: () => launch(path.join(built, 'bench/peer-civetweb'), [], LISTENING),
};

/** Further servers for a comparison of one's own: NAME=COMMAND, a program that prints "listening PORT". */
export function addKind(spec) {
	const [, name, command] = /^([^=]+)=(.+)$/.exec(spec) || [];
	if (!name) throw new Error(`--also ${spec}: NAME=COMMAND is wanted`);
	kinds[name] = () => launch('/bin/sh', ['-c', `exec ${command}`], LISTENING);
	return name;
}

async function freePort() {
	const s = net.createServer().listen(0, '127.0.0.1');
	await once(s, 'listening');
	const { port } = s.address();
	s.close();
	await once(s, 'close');
	return port;
}

/** nginx with one worker that serves the files of `files` at /. */
export async function nginx(files) {
	const dir = tempDir(), port = await freePort();
	fs.writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; worker_processes 1; pid ${dir}/pid; error_log stderr notice;
${process.getuid() === 0 ? 'user root;' : ''}
events { worker_connections 1024; }
http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_body_temp_path ${dir}/body; proxy_temp_path ${dir}/proxy;
fastcgi_temp_path ${dir}/f; uwsgi_temp_path ${dir}/u; scgi_temp_path ${dir}/s;
server { listen 127.0.0.1:${port}; root ${files}; } }
`);
	const s = await launch('nginx', ['-c', path.join(dir, 'nginx.conf'), '-p', dir], /(start worker process)/, { dir });
	return { ...s, port };
}
