// firefox.mjs — Firefox for flows.mjs, by WebDriver BiDi: what the browser itself speaks over a WebSocket, without a driver beside it.
// Each tab has a container and a window of its own: nothing of one is seen by another, and all of them are drawn.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import WebSocket from 'ws';
import { until } from '../lib.mjs';

/** A plain value as BiDi hands it over, and back again. */
const toRemote = (value) => Array.isArray(value) ? { type: 'array', value: value.map(toRemote) } : value == null ? { type: 'null' } : { type: typeof value, value };
const fromRemote = ({ type, value }) => type === 'array' ? value.map(fromRemote) : type === 'object' ? Object.fromEntries(value.map(([k, v]) => [k, fromRemote(v)])) : value;

class Tab {
	constructor(send, context) {
		Object.assign(this, { send, context });
	}

	go(url) {
		return this.send('browsingContext.navigate', { context: this.context, url, wait: 'complete' });
	}

	reload() {
		return this.send('browsingContext.reload', { context: this.context, wait: 'complete' });
	}

	async run(fn, ...args) {
		const { type, result, exceptionDetails } = await this.send('script.callFunction',
			{ functionDeclaration: String(fn), arguments: args.map(toRemote), awaitPromise: true, target: { context: this.context } });
		if (type === 'exception') throw new Error(exceptionDetails.text);
		return fromRemote(result);
	}

	async find(selector) {
		const { nodes } = await this.send('browsingContext.locateNodes', { context: this.context, locator: { type: 'css', value: selector }, maxNodeCount: 1 });
		if (!nodes.length) throw new Error(`no ${selector} on the page`);
		return { sharedId: nodes[0].sharedId };
	}

	async click(selector) {
		const element = await this.find(selector);
		await this.send('input.performActions', { context: this.context, actions: [{ type: 'pointer', id: 'mouse', actions: [
			{ type: 'pointerMove', x: 0, y: 0, origin: { type: 'element', element } }, { type: 'pointerDown', button: 0 }, { type: 'pointerUp', button: 0 }] }] });
	}

	/** Into what has the focus; '\uE007' is Enter. */
	keys(text) {
		const actions = [...text].flatMap((value) => [{ type: 'keyDown', value }, { type: 'keyUp', value }]);
		return this.send('input.performActions', { context: this.context, actions: [{ type: 'key', id: 'keyboard', actions }] });
	}

	async files(selector, ...files) {
		await this.send('input.setFiles', { context: this.context, element: await this.find(selector), files });
	}

	resize(width, height) {
		return this.send('browsingContext.setViewport', { context: this.context, viewport: { width, height } });
	}

	close() {
		return this.send('browsingContext.close', { context: this.context });
	}
}

export async function firefox() {
	const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-firefox-'));
	const child = spawn(process.env.FIREFOX || 'firefox-esr', ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0'], { stdio: ['ignore', 'ignore', 'pipe'] });
	const gone = new Promise((resolve) => child.once('close', resolve));
	child.on('error', () => {});
	let said = '';
	child.stderr.on('data', (bytes) => (said += bytes));
	const [, url] = await until(() => {
		if (child.exitCode !== null || child.pid === undefined) throw new Error(`Firefox did not start: ${said}`);
		return /WebDriver BiDi listening on (ws:\S+)/.exec(said);
	}, 'Firefox to listen', 60000);
	const socket = new WebSocket(`${url}/session`), waiting = new Map();
	await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
	socket.on('message', (data) => {
		const { id, type, result, error, message } = JSON.parse(data);
		if (id == null || !waiting.has(id)) return;
		const { resolve, reject } = waiting.get(id);
		waiting.delete(id);
		if (type === 'success') resolve(result);
		else reject(new Error(`${error}: ${message}`));
	});
	let last = 0;
	const send = (method, params) => new Promise((resolve, reject) => {
		waiting.set(++last, { resolve, reject });
		socket.send(JSON.stringify({ id: last, method, params }));
	});
	const { capabilities } = await send('session.new', { capabilities: {} });
	return {
		name: `Firefox ${capabilities.browserVersion}`,
		async open() {
			const { userContext } = await send('browser.createUserContext', {});
			const { context } = await send('browsingContext.create', { type: 'window', userContext });
			return new Tab(send, context);
		},
		async close() {
			socket.close();
			child.kill('SIGTERM');
			await gone;
			fs.rmSync(profile, { recursive: true, force: true });
		},
	};
}
