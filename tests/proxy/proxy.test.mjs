// The configurations in packaging/ against the real nginx and Caddy, on loopback: what a page does goes through them as it goes without.
// Only addresses, names and certificates are put in place of the examples'; a proxy that is not installed fails its test.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { serverTest, sleep, within } from '../net/lib.mjs';

const packaging = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../packaging');
const MB = 1 << 20;

async function freePort() {
	const s = net.createServer().listen(0, '127.0.0.1');
	await once(s, 'listening');
	const { port } = s.address();
	s.close();
	return port;
}

function replaced(text, pairs) {
	for (const [from, to] of pairs) {
		assert.ok(text.includes(from), `the example has ${from}`);
		text = text.replaceAll(from, to);
	}
	return text;
}

const proxies = {
	nginx(dir, port, back) {
		execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-keyout', 'key.pem', '-out', 'cert.pem'],
			{ cwd: dir, stdio: 'ignore' });
		const example = replaced(fs.readFileSync(path.join(packaging, 'nginx.conf'), 'utf8'), [
			['127.0.0.1:8080', `127.0.0.1:${back}`], ['listen 443', `listen 127.0.0.1:${port}`], ['listen [::]:443', `listen [::1]:${port}`],
			['/etc/letsencrypt/live/chat.example.com/fullchain.pem', `${dir}/cert.pem`], ['/etc/letsencrypt/live/chat.example.com/privkey.pem', `${dir}/key.pem`],
			['listen 80', `listen unix:${dir}/plain.sock`], ['listen [::]:80', `listen unix:${dir}/plain6.sock`], ['chat.example.com', 'localhost'],
		]);
		const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(n => `${n}_temp_path ${dir}/${n};`).join(' ');
		fs.writeFileSync(path.join(dir, 'nginx.conf'), `daemon off; master_process off; pid ${dir}/pid; error_log stderr warn;
events {} http { access_log off; ${temp}\n${example}}`);
		return ['nginx', ['-p', dir, '-c', path.join(dir, 'nginx.conf'), '-e', 'stderr']];
	},
	caddy(dir, port, back) {
		const example = replaced(fs.readFileSync(path.join(packaging, 'Caddyfile'), 'utf8'), [
			['127.0.0.1:8080', `127.0.0.1:${back}`], ['chat.example.com {', `https://localhost:${port} {\n\tbind 127.0.0.1\n\ttls internal`],
		]);
		fs.writeFileSync(path.join(dir, 'Caddyfile'), `{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n${example}`);
		return ['caddy', ['run', '--adapter', 'caddyfile', '--config', path.join(dir, 'Caddyfile')]];
	},
};

class Proxy {
	static async start(name, back) {
		const p = new Proxy();
		p.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-proxy-'));
		p.port = await freePort();
		const [program, args] = proxies[name](p.dir, p.port, back);
		p.said = '';
		p.child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, HOME: p.dir, XDG_DATA_HOME: p.dir, XDG_CONFIG_HOME: p.dir } });
		for (const stream of [p.child.stdout, p.child.stderr]) stream.on('data', d => (p.said += d));
		p.ended = new Promise(resolve => {
			p.child.once('error', e => resolve(e));
			p.child.once('close', status => resolve(new Error(`${name} ended with ${status}`)));
		});
		let up = false;
		p.ended.then(e => (up = e));
		for (let i = 0; !up && i < 200; i++) {
			up = await p.request('GET', '/health').then(r => r.status === 200, () => false);
			if (!up) await sleep(50);
		}
		assert.equal(up, true, `${up}\n${p.said}`);
		return p;
	}

	/** `parts`: the body in pieces; a function is called, and waited for, in between. */
	request(method, target, { headers = {}, parts = [] } = {}) {
		return new Promise((resolve, reject) => {
			const req = https.request({ host: '127.0.0.1', servername: 'localhost', port: this.port, method, path: target,
				headers: { host: `localhost:${this.port}`, ...headers }, rejectUnauthorized: false, agent: false }, res => {
				const got = [];
				res.on('data', d => got.push(d)).on('error', reject);
				res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, body: Buffer.concat(got) }));
			});
			req.on('error', reject);
			(async () => {
				for (const part of parts) {
					if (typeof part === 'function') await part();
					else req.write(part);
				}
				req.end();
			})().catch(e => req.destroy(e));
		});
	}

	async join(name) {
		const ws = new WebSocket(`wss://localhost:${this.port}/ws`, { rejectUnauthorized: false, origin: `https://localhost:${this.port}`,
			lookup: (host, options, done) => (options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) });
		const frames = [];
		let wake = () => {};
		ws.on('message', m => { frames.push(JSON.parse(m)); wake(); });
		await within(10000, once(ws, 'open'), 'the WebSocket to open');
		const next = type => within(20000, (async () => {
			for (;;) {
				const i = frames.findIndex(f => f.type === type);
				if (i >= 0) return frames.splice(i, 1)[0];
				await new Promise(resolve => (wake = resolve));
			}
		})(), `a ${type} frame; came: ${JSON.stringify(frames).slice(0, 500)}`);
		const send = o => ws.send(JSON.stringify(o));
		send({ type: 'join', v: 2, name });
		return { ws, next, send, init: await next('init') };
	}

	async stop() {
		this.child.kill('SIGTERM');
		await within(10000, this.ended, 'the proxy to end');
		fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

for (const name of Object.keys(proxies)) {
	serverTest(`${name}: page, WebSocket, uploads and downloads`, { timeout: 60000 }, async s => {
		const p = await Proxy.start(name, s.port);
		try {
			const page = await p.request('GET', '/', { headers: { 'accept-encoding': 'gzip' } });
			assert.equal(page.status, 200);
			assert.match(page.headers['content-security-policy'], /default-src/);

			const a = await p.join('a'), b = await p.join('b');
			a.send({ type: 'text', text: 'через прокси 🌊' });
			assert.equal((await b.next('text')).text, 'через прокси 🌊');

			// Half of a 25 MB upload must be with the server before the other half is sent: who loses the line then has half of it.
			const body = crypto.randomBytes(25 * MB), half = body.length / 2, headers = { authorization: `Bearer ${a.init.token}`, 'content-length': body.length };
			const key = `/upload?key=${name}&size=${body.length}`;
			const arrived = async () => {
				for (let i = 0; i < 200; i++) {
					const r = await fetch(`${s.url}${key}`, { headers: { authorization: headers.authorization } });
					const { offset } = r.status === 200 ? await r.json() : {};
					if (offset > half - MB) return;
					await sleep(50);
				}
				assert.fail('the first half of the upload does not come through before the second is sent');
			};
			const r = await p.request('POST', `${key}&offset=0`, { headers, parts: [body.subarray(0, half), arrived, body.subarray(half)] });
			assert.equal(r.status, 200, String(r.body));
			a.send({ type: 'file', blob: JSON.parse(r.body).blob, filename: 'f.bin' });
			const file = await b.next('file');
			const whole = await p.request('GET', file.url);
			assert.equal(whole.status, 200);
			assert.ok(whole.body.equals(body), 'the same 25 MB');
			const part = await p.request('GET', file.url, { headers: { range: 'bytes=1000-1999' } });
			assert.equal(part.status, 206);
			assert.ok(part.body.equals(body.subarray(1000, 2000)));

			// What is over the server's limit is the server's to refuse, with its words.
			const over = await p.request('POST', `/upload?key=over&size=${26 * MB}&offset=0`, { headers: { authorization: headers.authorization, 'content-length': 0 } });
			assert.equal(over.status, 413);
			assert.doesNotMatch(String(over.body), /<html/i);

			const closed = once(b.ws, 'close');
			a.ws.close();
			await s.stop(); // the close code comes through
			assert.equal((await within(10000, closed, 'the close'))[0], 1012);
		} catch (e) {
			e.message += `\n--- ${name} said:\n${p.said.slice(-3000)}`;
			throw e;
		} finally {
			await p.stop();
		}
	});
}
