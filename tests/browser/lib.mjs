// lib.mjs — the harness of the browser tests: the real server, real Chromium, and a watch over everything that must not happen.
//
// Every page is watched: an error on the console, an uncaught exception, a CSP report, a dialog or a frame that wavechat-protocol(7) does not
// know fails the test that opened it. The frames each page received are kept, so that a test can show what was not sent and not only what was not drawn.
// A file begins with `const server = stage();` and opens people with `Person.open(server, …)`: a context of its own for each.
// WAVECHATD and WAVECHATCTL name other binaries, CHROMIUM another browser.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { Contract, judge } from '../contract.mjs';
import { launch } from './chromium.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = path.resolve(process.env.WAVECHATD || path.join(root, 'build/wavechatd'));
const wavechatctl = path.resolve(process.env.WAVECHATCTL || path.join(root, 'build/wavechatctl'));

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `probe` gives something true. */
export async function until(probe, what, ms = 30000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await probe();
		if (value) return value;
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
		await sleep(20);
	}
}

/** What one person may do a second; a test that writes as fast as it can is about something else. Options that follow win. */
const unlimited = ['--message-rate', '0', '--byte-rate-kb', '0', '--request-rate', '0', '--typing-rate', '0', '--new-people', '0', '--address-rate', '0', '--address-bytes-kb', '0', '--address-requests', '0'];

export class Server {
	constructor(args = []) {
		this.args = [...unlimited, ...args];
	}

	async start() {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-browser-'));
		await this.spawn(0);
		return this;
	}

	async spawn(port) {
		this.output = '';
		this.child = spawn(binary, ['--port', String(port), '--listen', '127.0.0.1', '--data', path.join(this.dir, 'data'), ...this.args],
			{ stdio: ['ignore', 'pipe', 'pipe'] });
		this.gone = new Promise((resolve) => this.child.once('close', resolve));
		for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (bytes) => (this.output += bytes));
		const hit = await until(() => /ready port=(\d+)/.exec(this.output), `the server to be ready, it said: ${this.output}`);
		this.port = Number(hit[1]);
		this.url = `http://localhost:${this.port}`;
	}

	/** SIGKILL unless told otherwise: what was confirmed must survive the worst. */
	async stop(signal = 'SIGKILL') {
		this.child.kill(signal);
		await this.gone;
	}

	async restart(signal) {
		await this.stop(signal);
		await this.spawn(this.port);
	}

	/** An administrator's command, by the real wavechatctl. */
	ctl(...args) {
		const { status, stdout, stderr } = spawnSync(wavechatctl, ['--socket', path.join(this.dir, 'data/admin.sock'), ...args], { encoding: 'utf8' });
		assert.equal(status, 0, `wavechatctl ${args.join(' ')}: ${stdout}${stderr}`);
	}

	async close() {
		if (this.child) await this.stop('SIGTERM');
		if (this.dir) fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

/** Sends as the server's own client would, without a page: {frames, onFrame(fn), init, send(frame, {isBad}), say(text), close()}. */
export async function peer(server, name) {
	const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
	const frames = [], listeners = new Set(), contract = new Contract();
	socket.on('message', (data) => {
		const frame = JSON.parse(data);
		judge(contract.got(frame));
		frames.push(frame);
		for (const fn of listeners) fn(frame);
	});
	await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
	const send = (frame, { isBad = false } = {}) => {
		const why = contract.sent(frame);
		if (!isBad) judge(why);
		socket.send(JSON.stringify(frame));
	};
	send({ type: 'join', v: 2, name });
	const init = await until(() => frames.find((f) => f.type === 'init'), `${name} to be in`);
	return { frames, init, send, onFrame: (fn) => listeners.add(fn), say: (text) => send({ type: 'text', text }), close: () => socket.close() };
}

let browser;   // of this process

/** Starts the browser and this server. */
export async function begin(server) {
	browser = await launch();
	await server.start();
}

export async function end(server) {
	await browser?.close();
	await server.close();
}

/** A server with these options and the browser, for the tests of one file. */
export function stage(args = []) {
	const server = new Server(args);
	before(() => begin(server));
	after(() => end(server));
	return server;
}

/** What a page may say on the console: the browser's own line about a server that is down, when the test takes it down. */
/** An upload that is given up may not have begun: not found is an answer, and no browser lets a page take it quietly. */
const GIVEN_UP = /status of 404 .*\/upload\?key=[\w-]+\)$/;
const DOWN = /WebSocket connection to .* failed|Failed to load resource: net::ERR_|ERR_CONNECTION/;

export class Person {
	/**
	 * A context of its own (own storage) at the server; joins under `name` unless it is null.
	 * hasClock: the page's time can be wound on (context.clock); it goes by itself otherwise.
	 */
	static async open(server, name, { viewport = DESKTOP, locale = 'en-US', mayBeDown = false, hasClock = false, path: at = '/', ...rest } = {}) {
		const person = new Person();
		const isPhone = person.isPhone = viewport.width < 760;
		person.context = await browser.newContext({ viewport, locale, hasTouch: isPhone, isMobile: isPhone, permissions: ['clipboard-read', 'clipboard-write'], ...rest });
		person.context.setDefaultTimeout(60000);   // a deadline for what hangs, not a judgement of speed
		if (hasClock) await person.context.clock.install();
		person.server = server;
		person.complaints = [];
		person.mayBeDown = mayBeDown;
		await person.tab(at);
		if (name != null) await person.join(name);
		return person;
	}

	async tab(at = '/') {
		const url = /^http/.test(at) ? at : this.server.url + at;
		const page = this.page = await this.context.newPage();
		const frames = this.frames = [];
		page.on('console', (message) => {
			if (message.type() !== 'error' || (this.mayBeDown && DOWN.test(message.text()))) return;
			const line = `console: ${message.text()} (${message.location().url})`;
			if (!GIVEN_UP.test(line)) this.complaints.push(line);
		});
		page.on('pageerror', (error) => this.complaints.push(`exception: ${error.stack}`));
		page.on('dialog', (dialog) => {
			this.complaints.push(`dialog: ${dialog.message()}`);
			dialog.dismiss();
		});
		page.on('websocket', (socket) => {
			const contract = new Contract();
			const watch = (why) => why && this.complaints.push(`wavechat-protocol(7) is broken: ${why}`);
			socket.on('framesent', ({ payload }) => watch(contract.sent(payload)));
			socket.on('framereceived', ({ payload }) => {
				const frame = JSON.parse(payload);
				watch(contract.got(frame));
				frames.push(frame);
			});
		});
		await page.exposeFunction('reportViolation', (text) => this.complaints.push(`csp: ${text}`));
		await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) =>
			window.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`)));
		await page.goto(url);
		return page;
	}

	async join(name) {
		await this.page.fill('#name', name);
		await this.page.press('#name', 'Enter');
		await this.ready();
	}

	ready() {
		return this.page.waitForSelector('#app[data-net=ready]:not([hidden])');
	}

	async say(text) {
		await this.page.fill('#input', text);
		// On a phone, Enter begins a line.
		if (this.isPhone) await this.page.tap('#send');
		else await this.page.press('#input', 'Enter');
	}

	/** As fast as the page takes them: one message for each text. */
	write(texts) {
		return this.page.evaluate((all) => {
			const input = document.querySelector('#input');
			for (const text of all) {
				input.value = text;
				input.dispatchEvent(new Event('input', { bubbles: true }));
				document.querySelector('#composer').requestSubmit();
			}
		}, texts);
	}

	/** Puts files ({name, mimeType, buffer}) into the tray and sends them. */
	async sendFiles(...files) {
		await this.page.setInputFiles('#files', files);
		await until(async () => (await this.page.locator('.chip').count()) === files.length, 'the files in the tray');
		await this.page.click('#send');
	}

	/** Sends a file of random bytes that the page itself makes: nothing large goes between a test and the browser. Returns its SHA-256. */
	async sendLarge(name, size) {
		const sha256 = await this.page.evaluate(async ([filename, length]) => {
			const bytes = new Uint8Array(length), data = new DataTransfer(), field = document.querySelector('#files');
			for (let at = 0; at < length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536));
			data.items.add(new File([bytes], filename));
			field.files = data.files;
			field.dispatchEvent(new Event('change'));
			return [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].join();
		}, [name, size]);
		await this.page.waitForSelector('.chip');
		await this.page.click('#send');
		return sha256;
	}

	/** Nothing waits to be confirmed any more. */
	settled(ms) {
		return until(async () => (await this.page.locator('.row.pending').count()) === 0, 'everything to be confirmed', ms);
	}

	/** Leaves the tab, or comes back to it, as the page sees that. */
	hide(isHidden, page = this.page) {
		return page.evaluate((hidden) => {
			Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
			document.hasFocus = () => !hidden;
			document.dispatchEvent(new Event('visibilitychange'));
		}, isHidden);
	}

	/** Waits until this browser has kept what satisfies `probe` under a key of prefs.js. */
	kept(key, probe, what) {
		return until(async () => probe(JSON.parse(await this.page.evaluate((name) => localStorage.getItem('wave.' + name), key)) ?? {}), what);
	}

	/** Texts of the messages in the open conversation, as drawn. */
	texts() {
		return this.page.$$eval('#log .text', (all) => all.map((el) => el.textContent));
	}

	sees(text, ms) {
		return until(async () => (await this.texts()).includes(text), `“${text}” on the page`, ms);
	}

	/** Waits until everyone of these is in the list of people. */
	async meets(...names) {
		for (const name of names) await this.page.locator('#people .person', { hasText: name }).first().waitFor({ state: 'attached' });
	}

	/** Opens the conversation with a person (in the list of talks, else of people). */
	async openTalk(name) {
		const isHidden = await this.page.$eval('#sidebar', (el) => getComputedStyle(el).display === 'none');
		if (isHidden) await this.page.click('#back');
		const talk = this.page.locator('#talks .talk', { has: this.page.locator('.talk-name', { hasText: name }) });
		const row = (await talk.count()) ? talk : this.page.locator('#people .person', { hasText: name });
		await row.first().click();
		await until(async () => (await this.page.textContent('#chat-title')) === name, `the conversation with ${name}`);
	}

	async close() {
		await this.context.close();
		assert.deepEqual(this.complaints, []);
	}
}
