// admin.mjs — what the tests of the admin's side share: wavechatctl, and the socket it speaks to.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import path from 'node:path';
import { binary, patience, within } from './lib.mjs';

export const ctlBinary = path.resolve(process.env.WAVECHATCTL || path.join(path.dirname(binary), 'wavechatctl'));
export const socketOf = s => path.join(s.dir, 'data', 'admin.sock');

/** Runs wavechatctl to its end; rejects nothing, asserts nothing. */
export async function ctlRaw(args, { env = {}, cwd, timeout = 20000, input } = {}) {
	const clean = { ...process.env };
	for (const name of ['WAVECHAT_SOCKET', 'RUNTIME_DIRECTORY', 'STATE_DIRECTORY']) delete clean[name];
	const child = spawn(ctlBinary, args.map(String), { env: { ...clean, ...env }, cwd, stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
	const out = [];
	let stderr = '';
	child.stdout.on('data', d => out.push(d));
	child.stderr.setEncoding('utf8').on('data', d => (stderr += d));
	try {
		const [status, signal] = await within(timeout * patience, once(child, 'close'), () => `wavechatctl ${args.join(' ')} to end; it said ${stderr}`);
		assert.doesNotMatch(stderr, /Sanitizer|runtime error:/);
		const bytes = Buffer.concat(out);
		return { status, signal, bytes, stdout: bytes.toString(), stderr };
	} finally {
		child.kill('SIGKILL');
	}
}

/** The same against this server, with the exit status that is expected. */
export async function ctl(s, args, { status = 0, ...options } = {}) {
	const r = await ctlRaw(['--socket', socketOf(s), ...args], options);
	assert.equal(r.status, status, `wavechatctl ${args.join(' ')}: ${r.stdout}${r.stderr}`);
	if (status === 0) assert.equal(r.stderr, '', `wavechatctl ${args.join(' ')} complained`);
	return r;
}

export const ctlJson = async (s, args, options) => JSON.parse((await ctl(s, ['--json', ...args], options)).stdout);

/** A request over the admin socket, as curl --unix-socket makes it. */
export function adminRequest(s, method, pathname, body) {
	return new Promise((resolve, reject) => {
		const r = http.request({ socketPath: socketOf(s), method, path: pathname, agent: false,
			headers: body === undefined ? {} : { 'Content-Type': 'application/json' } }, res => {
			let text = '';
			res.setEncoding('utf8').on('data', d => (text += d)).on('end', () => {
				let json = null;
				try { json = JSON.parse(text); } catch {}
				resolve({ status: res.statusCode, headers: res.headers, text, json });
			});
		});
		r.on('error', reject);
		r.end(body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body));
	});
}

/** A metric's value by its whole name. */
export async function metric(s, name) {
	const { text } = await adminRequest(s, 'GET', '/v1/metrics');
	const line = text.split('\n').find(l => l.startsWith(`${name.startsWith('process_') ? '' : 'wavechat_'}${name} `));
	assert.ok(line, `no metric ${name}`);
	return Number(line.split(' ')[1]);
}
