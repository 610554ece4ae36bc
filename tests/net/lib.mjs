// lib.mjs — the harness of the wire tests: starts the real server, talks to it as clients do, and says what went wrong.
//
// Every test gets a server of its own (port 0, its own data directory, ended by its own pid), so no test sees another's people.
// WAVECHATD names the binary; a sanitizer build works as well. No test sleeps to see that nothing came: it sends a fence (a public
// message) behind the action, and since a connection's order holds, whatever the action caused is there before the fence.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Contract, judge } from '../contract.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
export const binary = path.resolve(process.env.WAVECHATD || path.join(root, 'build/wavechatd'));
/** Sanitizers hold freed memory back and are slow: bounds on memory and time are multiplied by this. */
export const slack = /asan|tsan/.test(binary) ? 6 : 1;
/** What ends a wait that is in vain is multiplied by this: a busy machine makes nothing fail. */
export const patience = 4 * slack;

/** The coverage build writes down what it reached when it ends, where the sandbox would not let it. */
const isCovered = /\/build\/cov\//.test(binary);

/** OVER_TLS=1: the same tests over TLS, with the server's own certificate. */
export const overTls = Boolean(process.env.OVER_TLS);
if (overTls) process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0'; // for fetch

export const sleep = ms => new Promise(resolve => setTimeout(resolve, ms));

/** Stops a process with SIGSTOP; resolves when the last of its threads has stopped, which on a busy machine is not at once. */
export async function stopInItsTracks(pid) {
	process.kill(pid, 'SIGSTOP');
	const tasks = `/proc/${pid}/task`, stateOf = id => /\) (\S)/.exec(fs.readFileSync(`${tasks}/${id}/stat`, 'latin1'))[1];
	for (const end = Date.now() + 10000 * patience; !fs.readdirSync(tasks).every(id => stateOf(id) === 'T');) {
		assert.ok(Date.now() < end, `process ${pid} goes on`);
		await sleep(5);
	}
}

/** Every name below a folder, as readdir with `recursive`, which in Node 18 takes a socket for a folder. */
export function namesBelow(dir) {
	return fs.readdirSync(dir, { withFileTypes: true }).flatMap(e =>
		[e.name, ...(e.isDirectory() ? namesBelow(path.join(dir, e.name)).map(n => path.join(e.name, n)) : [])]);
}

/** Rejects with the message `what()` gives when `promise` is not settled in time. */
export function within(ms, promise, what) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${typeof what === 'function' ? what() : what}`)), ms);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Runs the binary to its end; for options and refusals. */
export async function run(args, { env = {}, timeout = 10000 } = {}) {
	const child = spawn(binary, args, { env: { ...cleanEnv(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
	let stdout = '', stderr = '';
	child.stdout.on('data', d => (stdout += d));
	child.stderr.on('data', d => (stderr += d));
	try {
		const [status, signal] = await within(timeout, once(child, 'close'), () => `${args.join(' ')} to end`);
		// `words`: without the log before them
		return { status, signal, stdout, stderr, words: stderr.replace(/^\d{4}-\d\d-\d\dT\S+Z (?:info|warn) .*\n/gm, '') };
	} finally {
		child.kill('SIGKILL');
	}
}

/** The environment without what would change the server's options. */
function cleanEnv() {
	const env = { ...process.env };
	for (const name of Object.keys(env))
		if (/^(PORT|LISTEN|MAX_FILE_MB|HISTORY_LIMIT|STATE_DIRECTORY|JOURNAL_STREAM|WAVECHAT_.*)$/.test(name)) delete env[name];
	return env;
}

/** Tests send faster than people do. Unless one asks for the server's own limits (`limits: true`), or gives values, there are none. */
const unlimited = ['--message-rate', '0', '--byte-rate-kb', '0', '--request-rate', '0', '--typing-rate', '0', '--new-people', '0', '--address-rate', '0', '--address-bytes-kb', '0', '--address-requests', '0'];

const SANITIZER = /AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehaviorSanitizer|runtime error:/;
/** A line of level error or warn, as text, as JSON or with systemd's prefix. */
const COMPLAINT = /^(?:\S+Z )?(?:error|warn)\b|"level":"(?:error|warn)"|^<[0-4]>/;

export class Server {
	clients = new Set();

	/** nofile: how many descriptors it may have, hard and soft. cgroup: a file of one that takes its process (cgroup.mjs). */
	static async start({ args = [], env = {}, dir, allow = null, startMs = 10000, listen = '127.0.0.1', limits = false, nofile, cgroup, port } = {}) {
		const s = new Server();
		s.options = { args, env, allow, startMs, listen, limits, nofile, cgroup, port };
		s.allow = allow;
		s.ownsDir = !dir;
		s.dir = dir || fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-net-'));
		await s.spawn();
		return s;
	}

	/**
	 * Without a port it takes one below those that the kernel gives for 0. One of those could be another's after a restart.
	 */
	async spawn({ port = this.options.port } = {}) {
		for (let tries = 0; port === undefined && tries < 5; tries++) {
			try {
				return await this.#spawnAt(10240 + Math.floor(Math.random() * (32768 - 10240)));
			} catch (e) {
				if (!/another program listens there/.test(e.message)) throw e;
			}
		}
		return this.#spawnAt(port ?? 0);
	}

	async #spawnAt(port) {
		const { args, env, startMs, listen, limits, nofile, cgroup } = this.options;
		const before = (nofile ? `ulimit -n ${nofile}; ` : '') + (cgroup ? `echo $$ >${cgroup}; ` : '');
		const [program, first] = before ? ['/bin/sh', ['-ec', `${before}exec "$0" "$@"`, binary]] : [binary, []];
		this.output = '';
		const data = args.includes('--data') || env.WAVECHAT_DATA ? [] : ['--data', path.join(this.dir, 'data')];
		this.child = spawn(program, [...first, '--port', String(port), '--listen', listen, ...(limits ? [] : unlimited), ...(isCovered ? ['--sandbox', 'off'] : []), ...(overTls && !args.some(a => a.startsWith('--tls')) ? ['--tls-self-signed'] : []), ...data, ...args],
			{ env: { ...cleanEnv(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
		this.pid = this.child.pid;
		this.exited = new Promise(resolve => {
			this.child.once('error', e => resolve({ status: null, signal: null, error: e }));
			this.child.once('close', (status, signal) => resolve({ status, signal }));
		});
		let ready;
		const up = new Promise(resolve => (ready = resolve));
		const see = chunk => {
			this.output += chunk;
			const m = /https?:\/\/(?:127\.0\.0\.1|localhost|\[::1?\]|[\d.]+):(\d+)/.exec(this.output);
			if (m) ready(Number(m[1]));
		};
		this.child.stdout.setEncoding('utf8').on('data', see);
		this.child.stderr.setEncoding('utf8').on('data', see);
		this.port = await within(startMs * patience, Promise.race([up, this.exited.then(e => {
			throw new Error(`server ended at start: ${JSON.stringify(e)} ${e.error || ''}\n${this.output}`);
		})]), () => `the server's ready line; it said:\n${this.output}`);
		this.host = listen === '::1' ? '[::1]' : '127.0.0.1';
		this.isSecure = this.output.includes('https://');
		this.url = `http${this.isSecure ? 's' : ''}://${this.host}:${this.port}`;
	}

	/** What it has said that matches; the log comes on another pipe than the banner, so it may be a moment later. */
	async says(pattern, ms = 5000) {
		for (const end = Date.now() + ms * patience; Date.now() < end && !pattern.test(this.output);) await sleep(20);
		assert.match(this.output, pattern);
		return pattern.exec(this.output);
	}

	/** Ends it as an administrator would and checks that it took that well. */
	async stop(signal = 'SIGTERM', withinMs = 5000) {
		this.child.kill(signal);
		const end = await within(withinMs * patience, this.exited, () => `exit after ${signal}; it said:\n${this.output}`)
			.finally(() => this.child.kill('SIGKILL'));
		this.checkOutput();
		assert.deepEqual(end, { status: 0, signal: null }, `exit after ${signal}; it said:\n${this.output}`);
	}

	/** As a power cut for the process: nothing can be flushed. */
	async kill9() {
		this.child.kill('SIGKILL');
		await this.exited;
		this.checkOutput();
	}

	/** The same data directory and, so that clients find it again, the same port. */
	async restart() {
		await this.spawn({ port: this.port });
	}

	checkOutput() {
		if (SANITIZER.test(this.output)) throw new Error(`sanitizer report:\n${this.output}`);
		for (const line of this.output.split('\n'))
			if (COMPLAINT.test(line) && !(this.allow && this.allow.test(line))) throw new Error(`the server complained: ${line}`);
	}

	alive() {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	/** Bytes of memory that are this process's own: proportional set size, and what nobody shares. */
	memory() {
		const text = fs.readFileSync(`/proc/${this.pid}/smaps_rollup`, 'utf8');
		const kb = name => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)[1]) * 1024;
		return { pss: kb('Pss'), own: kb('Private_Dirty') + kb('Private_Clean') };
	}

	/** Seconds of processor time used so far. */
	cpu() {
		const f = fs.readFileSync(`/proc/${this.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
		return (Number(f[11]) + Number(f[12])) / 100;
	}

	fds() {
		return fs.readdirSync(`/proc/${this.pid}/fd`).length;
	}

	get(pathname, options) {
		return fetch(this.url + pathname, options);
	}

	/** Connected and joined with Part 1; `init` and the first `users` are read off (kept in .init, .firstUsers). */
	async join(name, options) {
		const c = await this.connect(options);
		await c.join(name);
		return c;
	}

	async joinAll(...names) {
		return Promise.all(names.map(n => this.join(n)));
	}

	/** A bare WebSocket, nothing sent yet. */
	async connect(options) {
		const c = new Client(this, options);
		this.clients.add(c);
		await c.opened;
		return c;
	}

	async cleanUp() {
		for (const c of this.clients) c.ws.terminate();
		this.child.kill('SIGKILL');
		await this.exited;
		if (this.ownsDir) fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

/** The test's function with a server of its own: started before, stopped and judged after. */
async function withServer(options, fn, t) {
	const s = await Server.start(options), kill = () => s.child.kill('SIGKILL');
	// A test that ran out of time never comes to its end: its server must not keep the whole run waiting.
	t.signal.addEventListener('abort', kill);
	try {
		await fn(s, t);
		if (s.alive()) await s.stop();
		else s.checkOutput();
	} catch (e) {
		e.isChance = s.alive();
		if (!s.alive()) e.message = `the server is gone: ${JSON.stringify(await s.exited)}; ${e.message}`;
		if (s.output && !e.message.includes(s.output)) {
			const said = `\n--- the server said:\n${s.output.slice(-3000)}`;
			e.message += said;
			e.stack += said; // which was made of the message before, and is what a report shows
		}
		throw e;
	} finally {
		t.signal.removeEventListener('abort', kill);
		await s.cleanUp();
	}
}

/**
 * A test with a server of its own. `seeds`: with so many servers, one after another, until it passes. For those that judge who is refused: sums of
 * what people hold are kept by a hash with a random seed, and of twenty people one in fifty shares the sum of another.
 */
export function serverTest(title, options, fn) {
	if (typeof options === 'function') [options, fn] = [{}, options];
	const seeds = options.seeds || 1;
	test(title, { timeout: (options.timeout || 30000) * patience * seeds }, async t => {
		for (let i = 1; ; i++)
			try {
				return await withServer(options, fn, t);
			} catch (e) {
				if (i === seeds || !e.isChance) throw e;
				t.diagnostic(`with another seed once more: ${e.message.slice(0, 200)}`);
			}
	});
}

const brief = frame => {
	const s = JSON.stringify(frame, (k, v) => (typeof v === 'string' && v.length > 80 ? `${v.slice(0, 60)}…(${v.length})` : v));
	return s.length > 300 ? s.slice(0, 300) + '…' : s;
};

const matches = want => {
	if (typeof want === 'function') return want;
	if (typeof want === 'string') return f => f.type === want;
	return f => Object.entries(want).every(([k, v]) => f[k] === v);
};

/** Marks a frame that is not what the protocol's page says, on purpose: c.send(frame, bad). */
export const bad = { bad: true };

/** A client over the `ws` package, an implementation that is not ours. */
export class Client {
	frames = []; // everything that came, in order
	unread = []; // of it, what no test has asked for yet
	waiters = [];
	contract = new Contract();

	constructor(server, { headers, host, ca, localAddress } = {}) {
		this.server = server;
		this.ws = new WebSocket(`ws${server.isSecure ? 's' : ''}://${host || server.host}:${server.port}/ws`, { headers, ca, localAddress, rejectUnauthorized: Boolean(ca), maxPayload: 1 << 30 });
		this.opened = new Promise((resolve, reject) => {
			this.ws.once('open', resolve);
			this.ws.once('error', reject);
		});
		this.closed = new Promise(resolve => this.ws.once('close', (code, reason) => {
			this.end = { code, reason: String(reason) };
			for (const w of this.waiters.splice(0)) w.reject(new Error(`closed with ${code} while waiting for ${w.what}\n${this.story()}`));
			resolve(this.end);
		}));
		this.ws.on('error', () => {});
		this.ws.on('message', (data, isBinary) => {
			const frame = isBinary ? { type: '(binary)' } : JSON.parse(data.toString());
			if (!isBinary) judge(this.contract.got(frame));
			this.frames.push(frame);
			this.unread.push(frame);
			this.bytes = (this.bytes || 0) + data.length;
			this.serve();
		});
	}

	serve() {
		for (const w of [...this.waiters]) {
			const i = this.unread.findIndex(w.match);
			if (i < 0) continue;
			this.waiters.splice(this.waiters.indexOf(w), 1);
			w.resolve(this.unread.splice(i, 1)[0]);
		}
	}

	story() {
		return `${this.name || 'unnamed'} got ${this.frames.length} frames, the last:\n  ` + this.frames.slice(-8).map(brief).join('\n  ');
	}

	/** The first unread frame that matches (a type, a partial object or a function), waiting for it if need be. */
	next(want, timeout = 5000) {
		const match = matches(want);
		const what = typeof want === 'function' ? want.toString() : JSON.stringify(want);
		const i = this.unread.findIndex(match);
		if (i >= 0) return Promise.resolve(this.unread.splice(i, 1)[0]);
		if (this.end) return Promise.reject(new Error(`already closed with ${this.end.code}; wanted ${what}\n${this.story()}`));
		const w = { match, what };
		const found = new Promise((resolve, reject) => Object.assign(w, { resolve, reject }));
		this.waiters.push(w);
		return within(timeout * patience, found, () => {
			this.waiters.splice(this.waiters.indexOf(w), 1);
			return `${what}\n${this.story()}`;
		});
	}

	/** The very next unread frame, whatever it is. */
	take(timeout) {
		return this.next(() => true, timeout);
	}

	/** What came and was not asked for, without people coming and going; empties it. */
	drain() {
		return this.unread.splice(0).filter(f => !['system', 'users', 'presence'].includes(f.type));
	}

	/** The very next frame, or `{type: '(closed)'}` where the server closes instead. */
	answer(timeout) {
		const end = this.closed.then(({ code }) => ({ type: '(closed)', code }));
		return this.unread.length ? this.take() : Promise.race([this.take(timeout).catch(e => (this.end ? end : Promise.reject(e))), end]);
	}

	send(frame, { bad = false } = {}) {
		if (!bad) judge(this.contract.sent(frame));
		else if (typeof frame !== 'string') this.contract.sent(frame); // a join is one, however bad
		this.ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
	}

	text(text, more, options) {
		this.send({ type: 'text', text, ...more }, options);
	}

	async join(name, more, options) {
		this.send({ type: 'join', name, ...more }, options);
		const first = await this.take();
		assert.equal(first.type, 'init', `the first frame after join\n${this.story()}`);
		this.init = first;
		this.id = first.my_id;
		this.name = first.my_name;
		this.firstUsers = await this.next('users');
		return first;
	}

	async close(code = 1000) {
		this.ws.close(code);
		return within(5000 * patience, this.closed, () => `the close handshake\n${this.story()}`);
	}
}

let fences = 0;
/** A public message from `sender`, awaited at each of `receivers`: whatever the sender did before has been delivered. */
export async function fence(sender, receivers = [sender]) {
	const text = `fence ${++fences} ${process.pid}`;
	sender.text(text);
	await Promise.all(receivers.map(r => r.next(f => f.type === 'text' && f.text === text)));
}

/** Nothing but people coming and going reaches any of `clients` from what `sender` did. */
export async function nothingFor(sender, clients) {
	await fence(sender, [...new Set([sender, ...clients])]);
	for (const c of clients) assert.deepEqual(c.drain(), [], `${c.name} should have got nothing`);
}

/** Exactly these fields, each equal to a value, matching a RegExp or satisfying a function. */
export function exact(frame, shape) {
	assert.deepEqual(Object.keys(frame).sort(), Object.keys(shape).sort(), `fields of ${brief(frame)}`);
	for (const [k, want] of Object.entries(shape)) {
		const got = frame[k];
		if (want instanceof RegExp) assert.match(String(got), want, `${k} of ${brief(frame)}`);
		else if (typeof want === 'function') assert.ok(want(got), `${k} = ${brief(got)} in ${brief(frame)} (${want})`);
		else assert.deepEqual(got, want, `${k} of ${brief(frame)}`);
	}
	return frame;
}

/**
 * A delay under load is judged by the same thing's without the load, in the same run: at most ten times as long. Below `least` ms of calm the machine's
 * other work, or the test's own, is what is seen: that counts as calm.
 */
export function judgeDelay(ms, calm, what, least = 100) {
	assert.ok(ms < 10 * slack * Math.max(calm, least), `${what}: ${ms.toFixed(1)} ms; ${calm.toFixed(1)} ms in calm`);
}

/** The longest of `times` turns of `act`, in ms. */
export async function worstOf(times, act) {
	let worst = 0;
	for (let i = 0; i < times; i++) {
		const t = performance.now();
		await act(i);
		worst = Math.max(worst, performance.now() - t);
	}
	return worst;
}

/** When this file's tests began: whatever a server of theirs stamps is not older. */
export const began = Date.now();
/** A time in ms that lies within this run. */
export const isNow = ms => ms >= began - 1000 && ms <= Date.now() + 1000;

const two = n => String(n).padStart(2, '0');
const local = d => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
/** `"HH:MM"`, a minute of this run, server-local. */
export function isTs(v) {
	if (!/^\d\d:\d\d$/.test(v)) return false;
	for (let at = began - 1000; at < Date.now() + 60000; at += 60000) if (local(new Date(Math.min(at, Date.now()))).slice(11, 16) === v) return true;
	return false;
}
/** `"YYYY-MM-DDTHH:MM:SS"`, within this run, server-local, no zone. */
export const isIso = v => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/.test(v) && isNow(Number(new Date(v)));
export const isId = v => Number.isSafeInteger(v) && v > 0;

/** The shape of a public Part 1 text. */
export const publicText = (from, text, more) => ({
	type: 'text', dm: false, from_id: from.id, from_name: from.name, text, ts: isTs, iso: isIso, ...more,
});
/** The shape of a Part 1 DM. */
export const dmText = (from, to, text, more) => ({
	type: 'text', dm: true, from_id: from.id, from_name: from.name, to_id: to.id, to_name: to.name, text, ts: isTs, iso: isIso, ...more,
});
export const isError = { type: 'error', text: v => typeof v === 'string' && v.length > 0 };

/** A frame without what differs between its sender's copy and everyone else's. */
export function common(frame) {
	const { self, ...rest } = frame;
	assert.ok(self === undefined || self === true, `self of ${brief(frame)}`);
	return rest;
}

/** Bytes that no compressor and no accident makes: for files. */
export function noise(n, seed = 1) {
	const b = Buffer.allocUnsafe(n);
	let x = seed * 2654435761 >>> 0 || 1;
	for (let i = 0; i < n; i++) {
		x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0;
		b[i] = x;
	}
	return b;
}
