// lib.mjs — the harness of the browser tests: the real server, real Chromium, and a watch over everything that must not happen.
//
// Every page is watched: an error on the console, an uncaught exception, a CSP report or a dialog fails the test that opened it, and the
// frames each page received are kept, so that a test can show what was not sent and not only what was not drawn.
// WAVECHATD names another binary, CHROMIUM another browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const binary = path.resolve(process.env.WAVECHATD || path.join(root, 'build/wavechatd'));

export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Polls until `probe` gives something true. */
export async function until(probe, what, ms = 10000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await probe();
		if (value) return value;
		if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
		await sleep(20);
	}
}

/** What one person may do a second; a test that writes as fast as it can is about something else. Options that follow win. */
const unlimited = ['--message-rate', '0', '--byte-rate-kb', '0', '--request-rate', '0', '--typing-rate', '0', '--new-people', '0'];

export class Server {
	static async start(args = []) {
		const server = new Server();
		server.args = [...unlimited, ...args];
		server.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-browser-'));
		await server.spawn(0);
		return server;
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

	async close() {
		await this.stop('SIGTERM');
		fs.rmSync(this.dir, { recursive: true, force: true });
	}
}

export function launch() {
	return chromium.launch({
		executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
			'--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required',
			// A name that is not localhost, and so no secure context over plain HTTP.
			'--host-resolver-rules=MAP insecure.test 127.0.0.1'],
	});
}

/** What a page may say on the console: the browser's own line about a server that is down, when the test takes it down. */
const DOWN = /WebSocket connection to .* failed|Failed to load resource: net::ERR_|ERR_CONNECTION/;

export class Person {
	/** A browser of its own (own storage) at the server; joins under `name` unless it is null. */
	static async open(browser, server, name, { viewport = DESKTOP, locale = 'en-US', mayBeDown = false, path: at = '/', ...rest } = {}) {
		const person = new Person();
		const isPhone = person.isPhone = viewport.width < 760;
		person.context = await browser.newContext({ viewport, locale, hasTouch: isPhone, isMobile: isPhone, permissions: ['clipboard-read', 'clipboard-write'], ...rest });
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
			this.complaints.push(`console: ${message.text()} (${message.location().url})`);
		});
		page.on('pageerror', (error) => this.complaints.push(`exception: ${error.stack}`));
		page.on('dialog', (dialog) => {
			this.complaints.push(`dialog: ${dialog.message()}`);
			dialog.dismiss();
		});
		page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(JSON.parse(payload))));
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

	/** Texts of the messages in the open conversation, as drawn. */
	texts() {
		return this.page.$$eval('#log .text', (all) => all.map((el) => el.textContent));
	}

	sees(text, ms = 10000) {
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
