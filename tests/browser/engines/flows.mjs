// flows.mjs — what people do, in an engine that is not Chromium: join, talk, send files, reload, lose the server, change the language, use a phone.
// A few real flows, by real keys and clicks; the rest of the page's behaviour is tested once, in Chromium.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { Server, until } from '../lib.mjs';
import { png } from '../pictures.mjs';

const ENTER = '\uE007';

class Person {
	static async open(engine, server, name) {
		const person = new Person();
		person.tab = await engine.open();
		person.server = server;
		await person.tab.go(server.url);
		await person.watch();
		if (name) await person.join(name);
		return person;
	}

	/** From here on, what goes wrong in the page is kept. */
	watch() {
		return this.tab.run(() => {
			window.complaints = [];
			addEventListener('error', (event) => window.complaints.push(`error: ${event.message}`));
			addEventListener('unhandledrejection', (event) => window.complaints.push(`rejection: ${event.reason}`));
			addEventListener('securitypolicyviolation', (event) => window.complaints.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
			return true;
		});
	}

	is(probe, what, ...args) {
		return until(() => this.tab.run(probe, ...args), what);
	}

	async join(name) {
		await this.tab.click('#name');
		await this.tab.keys(name + ENTER);
		await this.ready();
	}

	ready() {
		return this.is(() => !!document.querySelector('#app[data-net=ready]:not([hidden])'), 'the page to be ready');
	}

	async say(text) {
		await this.tab.click('#input');
		await this.tab.keys(text + ENTER);
	}

	texts() {
		return this.tab.run(() => [...document.querySelectorAll('#log .text')].map((el) => el.textContent));
	}

	sees(text) {
		return until(async () => (await this.texts()).includes(text), `“${text}” on the page`);
	}

	settled() {
		return this.is(() => !document.querySelector('.row.pending'), 'everything to be confirmed');
	}

	async reload() {
		await this.noComplaints();
		await this.tab.reload();
		await this.watch();
	}

	async noComplaints() {
		assert.deepEqual(await this.tab.run(() => window.complaints), []);
	}

	async close() {
		await this.noComplaints();
		await this.tab.close();
	}
}

/** The tests, for an engine that `start` starts. */
export function flows(start) {
	const server = new Server();
	let engine;
	before(async () => {
		await server.start();
		engine = await start();
	});
	after(async () => {
		await engine?.close();
		await server.close();
	});
	const open = (name) => Person.open(engine, server, name);

	test('two people join, see each other typing, and read what each writes, once and in one order', async (t) => {
		const ada = await open('Ada'), boris = await open('Борис');
		t.diagnostic(engine.name);
		await ada.is(() => document.querySelectorAll('#people .person').length === 2, 'both in the list');
		await boris.tab.click('#input');
		await boris.tab.keys('h');
		await ada.is(() => document.querySelector('#chat-sub').classList.contains('typing'), 'the other to be seen typing');
		await boris.tab.keys('ello' + ENTER);
		await ada.sees('hello');
		await ada.say('and hello to you');
		await boris.sees('and hello to you');
		for (const p of [ada, boris]) {
			await p.settled();
			assert.deepEqual(await p.texts(), ['hello', 'and hello to you']);
			await p.close();
		}
	});

	test('a private message is read by its two ends alone', async () => {
		const ada = await open('Ada P'), boris = await open('Boris P'), chen = await open('Chen P');
		await ada.is(() => [...document.querySelectorAll('#people .person-name')].some((el) => el.textContent === 'Boris P'), 'the other in the list');
		await ada.say('@Boris P between us');
		await boris.is(() => !!document.querySelector('.talk.is-dm .badge'), 'a private talk');
		await boris.tab.click('.talk.is-dm');
		await boris.sees('between us');
		await ada.say('for everyone');
		await chen.sees('for everyone');
		assert.ok(!(await chen.texts()).includes('between us'));
		for (const p of [ada, boris, chen]) await p.close();
	});

	test('a picture is drawn, a file arrives byte for byte', async () => {
		const ada = await open('Ada F'), boris = await open('Boris F');
		const picture = path.join(server.dir, 'sea.png'), file = path.join(server.dir, 'notes.bin'), bytes = crypto.randomBytes(300000);
		fs.writeFileSync(picture, png(120, 80));
		fs.writeFileSync(file, bytes);
		for (const [name, count] of [[picture, 1], [file, 2]]) {
			await ada.tab.files('#files', name);
			await ada.is(() => !!document.querySelector('.chip'), 'the file in the tray');
			await ada.tab.click('#send');
			await boris.is((n) => document.querySelectorAll('.row.theirs :is(.pic, a.file)').length === n, 'the file at the other end', count);
		}
		await boris.is(() => document.querySelector('.row.theirs .pic img')?.naturalWidth === 120, 'the picture to be drawn');
		const href = await boris.tab.run(() => document.querySelector('.row.theirs a.file').getAttribute('href'));
		assert.deepEqual(Buffer.from(await (await fetch(server.url + href)).arrayBuffer()), bytes);
		for (const p of [ada, boris]) await p.close();
	});

	test('a reload comes back as the same person, with the draft; a server that was away gets what was written meanwhile, once', async () => {
		const ada = await open('Ada R');
		await ada.say('before the reload');
		await ada.settled();
		await ada.tab.click('#input');
		await ada.tab.keys('a draft');
		await ada.is(() => JSON.parse(localStorage.getItem('wave.drafts') ?? '{}')[0] === 'a draft', 'the draft to be kept');
		await ada.reload();
		await ada.ready();
		await ada.sees('before the reload');
		assert.deepEqual(await ada.tab.run(() => [document.querySelector('.row.mine .text')?.textContent, document.querySelector('#input').value]),
			['before the reload', 'a draft']);
		await server.stop();
		await ada.is(() => document.querySelector('#app').dataset.net !== 'ready', 'the loss to be noticed');
		await ada.tab.click('#input');
		await ada.tab.keys(', sent in the dark' + ENTER);
		await ada.is(() => document.querySelectorAll('.row.pending').length === 1, 'it to wait');
		await server.spawn(server.port);
		await ada.ready();
		await ada.settled();
		assert.equal((await ada.texts()).filter((text) => text === 'a draft, sent in the dark').length, 1);
		await ada.close();
	});

	test('the language is changed by hand, at once, and stays', async () => {
		const ada = await open('Ada L');
		await ada.tab.click('#settings');
		await ada.is(() => !!document.querySelector('dialog[open] input[name=lang][value=ru]'), 'the settings');
		await ada.tab.click('label:has(input[name=lang][value=ru])');
		await ada.is(() => document.querySelector('#chat-title').textContent === 'Общий чат', 'Russian');
		await ada.tab.keys('\uE00C');
		await ada.is(() => !document.querySelector('dialog[open]'), 'Escape to close the dialog');
		await ada.reload();
		await ada.ready();
		assert.equal(await ada.tab.run(() => document.querySelector('#chat-title').textContent), 'Общий чат');
		await ada.close();
	});

	test('at the width of a phone: one pane at a time, and nothing wider than the screen', async () => {
		const ada = await open('Ada S'), boris = await open('Boris S');
		await ada.tab.resize(390, 844);
		await ada.is(() => innerWidth < 760, 'a narrow page');
		await ada.reload();
		await ada.ready();
		const shown = () => ada.tab.run(() => ['#sidebar', '#chat'].filter((id) => document.querySelector(id).checkVisibility()).join());
		assert.equal(await shown(), '#chat');
		await ada.tab.click('#back');
		await until(async () => (await shown()) === '#sidebar', 'the list');
		await ada.is(() => [...document.querySelectorAll('#people .person-name')].some((el) => el.textContent === 'Boris S'), 'the other in the list');
		await ada.tab.run(() => {
			[...document.querySelectorAll('#people .person')].find((el) => el.textContent.includes('Boris S')).click();
			return true;
		});
		await until(async () => (await shown()) === '#chat', 'the conversation');
		await ada.tab.click('#input');
		await ada.tab.keys('from a narrow page');
		await ada.tab.click('#send');
		await boris.is(() => !!document.querySelector('.talk.is-dm .badge'), 'it at the other end');
		assert.ok(await ada.tab.run(() => document.documentElement.scrollWidth <= innerWidth));
		for (const p of [ada, boris]) await p.close();
	});
}
