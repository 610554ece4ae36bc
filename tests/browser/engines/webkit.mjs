// webkit.mjs — WebKit for flows.mjs: WebKitGTK's small browser on a screen of its own (Xvfb), by WebDriver.
// A driver takes one session, so each tab is a driver with a browser, and its storage is its own.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { until } from '../lib.mjs';

const BROWSER = process.env.WEBKIT || ['4.1', '6.0', '4.0'].flatMap((version) => ['x86_64', 'aarch64'].map((cpu) => `/usr/lib/${cpu}-linux-gnu/webkit2gtk-${version}/MiniBrowser`))
	.find((file) => fs.existsSync(file));
const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';   // the member of an answer that names an element, by the standard

function freePort() {
	return new Promise((resolve) => {
		const server = net.createServer().listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

class Tab {
	constructor(base, driver) {
		Object.assign(this, { base, driver });
	}

	/** One command: method, path below the session, body. */
	async ask(method, path, body) {
		const response = await fetch(this.base + path, { method, body: body && JSON.stringify(body) });
		const { value } = await response.json();
		if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
		return value;
	}

	go(url) {
		return this.ask('POST', '/url', { url });
	}

	reload() {
		return this.ask('POST', '/refresh', {});
	}

	run(fn, ...args) {
		return this.ask('POST', '/execute/sync', { script: `return (${fn})(...arguments)`, args });
	}

	async find(selector) {
		return (await this.ask('POST', '/element', { using: 'css selector', value: selector }))[ELEMENT];
	}

	async click(selector) {
		await this.ask('POST', `/element/${await this.find(selector)}/click`, {});
	}

	/** Into what has the focus; '\uE007' is Enter. */
	keys(text) {
		const actions = [...text].flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
		return this.ask('POST', '/actions', { actions: [{ type: 'key', id: 'keyboard', actions }] });
	}

	async files(selector, ...files) {
		await this.ask('POST', `/element/${await this.find(selector)}/value`, { text: files.join('\n') });
	}

	/** The width is the window's, which has a least one (about 450); a page may become wider than asked for. */
	resize(width, height) {
		return this.ask('POST', '/window/rect', { width, height });
	}

	async close() {
		await this.ask('DELETE', '').catch(() => {});
		this.driver.kill('SIGTERM');
	}
}

export async function webkit() {
	if (!BROWSER) throw new Error('no MiniBrowser of WebKitGTK here');
	const screen = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
	screen.on('error', () => {});
	let display = '';
	screen.stdio[3].on('data', (bytes) => (display += bytes));
	await until(() => {
		if (screen.exitCode !== null || screen.pid === undefined) throw new Error('Xvfb did not start');
		return display.includes('\n');
	}, 'Xvfb to be up', 60000);
	const env = { ...process.env, DISPLAY: `:${display.trim()}`, NO_AT_BRIDGE: '1', GDK_BACKEND: 'x11', LIBGL_ALWAYS_SOFTWARE: '1' };
	const drivers = [];
	let version = '';
	async function open() {
		const port = await freePort(), root = `http://127.0.0.1:${port}`;
		const driver = spawn('WebKitWebDriver', [`--port=${port}`, '--host=127.0.0.1'], { env, stdio: 'ignore' });
		drivers.push(driver);
		driver.on('error', () => {});
		await until(() => fetch(`${root}/status`).then((r) => r.ok, () => false), 'the driver to listen', 60000);
		const response = await fetch(`${root}/session`, { method: 'POST', body: JSON.stringify({ capabilities: { alwaysMatch: {
			'webkitgtk:browserOptions': { binary: BROWSER, args: ['--automation'] } } } }) });
		const { value } = await response.json();
		if (!response.ok) throw new Error(`${value.error}: ${value.message}`);
		version = value.capabilities.browserVersion;
		return new Tab(`${root}/session/${value.sessionId}`, driver);
	}
	return {
		get name() { return `WebKit ${version}`; },
		open,
		async close() {
			for (const driver of drivers) driver.kill('SIGTERM');
			screen.kill('SIGTERM');
		},
	};
}
