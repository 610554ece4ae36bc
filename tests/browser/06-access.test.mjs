// For everyone: axe-core over every state in both languages and themes, and a whole conversation by keyboard alone.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import test from 'node:test';
import { Person, PHONE, stage, until } from './lib.mjs';
import { png } from './pictures.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

const server = stage();

/** Serious and critical findings; there are to be none. bypassCSP is on in these contexts, for axe itself is a script that the page's policy stops. */
async function check(person, state) {
	if (!await person.page.evaluate(() => !!window.axe)) await person.page.evaluate(axe);
	// A colour half-way through a fade is nobody's contrast.
	await person.page.evaluate(() => Promise.race([
		Promise.all(document.getAnimations().filter((a) => a.effect?.getComputedTiming().endTime !== Infinity).map((a) => a.finished.catch(() => {}))),
		new Promise((r) => setTimeout(r, 2000)),
	]));
	const { violations } = await person.page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
	const grave = violations.filter((v) => ['serious', 'critical'].includes(v.impact))
		.map((v) => `${state}: ${v.id} — ${v.nodes.map((n) => n.target.join(' ') + ' ' + (n.any[0]?.message ?? '')).join('; ')}`);
	assert.deepEqual(grave, []);
}

for (const [locale, colorScheme, viewport] of [['en-US', 'light'], ['ru-RU', 'dark'], ['ru-RU', 'light', PHONE], ['en-US', 'dark', PHONE]]) {
	test(`axe-core: ${locale}, ${colorScheme}${viewport ? ', phone' : ''}`, async () => {
		const options = { locale, colorScheme, ...(viewport && { viewport }), bypassCSP: true };
		const suffix = locale + colorScheme + (viewport ? 'p' : '');
		const ada = await Person.open(server, null, { ...options, mayBeDown: true });
		let cut, out, isCut = false;
		await ada.page.routeWebSocket(/\/ws$/, (socket) => {
			out = () => socket.close({ code: 4001, reason: 'a short break' });
			if (isCut) return;
			socket.connectToServer();
			cut = () => {
				isCut = true;
				return socket.close({ code: 1012 });
			};
		});
		await ada.page.reload();
		await check(ada, 'entry');
		await ada.join('Ada ' + suffix);
		await check(ada, 'empty');
		const boris = await Person.open(server, 'Boris ' + suffix);
		await boris.say(`@Ada ${suffix} look: https://example.org and \`code\``);
		await boris.page.fill('#input', `hello @Ada ${suffix}, https://example.org and \`code\` 🙂`);
		await boris.page.press('#input', 'Enter');
		await boris.sendFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('x') });
		await ada.page.waitForSelector('a.file');
		await ada.say('an answer of mine');
		await ada.settled();
		await check(ada, 'busy');
		await ada.page.fill('#input', '@Boris');
		await ada.page.locator('#input').press('End');
		await ada.page.locator('#input').pressSequentially(' ');
		await ada.page.locator('#input').press('Backspace');
		await ada.page.waitForSelector('#suggest:not([hidden])');
		await check(ada, 'completion');
		await ada.page.fill('#input', '');
		await ada.page.click('#emoji');
		await check(ada, 'emoji');
		await ada.page.click('#emoji');
		if (viewport) {
			await ada.page.click('#back');
			await ada.page.waitForSelector('#sidebar', { state: 'visible' });
			await check(ada, 'list');
		}
		await ada.openTalk('Boris ' + suffix);
		await check(ada, 'private');
		await ada.page.setInputFiles('#files', { name: 'sea.png', mimeType: 'image/png', buffer: png(90, 60) });
		await ada.page.waitForSelector('.chip');
		await check(ada, 'files to send');
		await ada.page.click('#send');
		await ada.page.click('.row.mine:not(.pending) .pic');
		await check(ada, 'viewer');
		await ada.page.keyboard.press('Escape');
		await ada.page.focus('#mic');
		await ada.page.keyboard.press('Enter');
		await ada.page.waitForSelector('.composer.locked');
		await check(ada, 'recording');
		await ada.page.click('#rec-cancel');
		if (viewport) await ada.page.click('#back');
		await ada.page.click('#settings');
		await ada.page.click('.device .button');
		await ada.page.waitForSelector('svg.qr');
		await check(ada, 'settings');
		await ada.page.click('dialog .button.danger');
		await check(ada, 'question');
		await ada.page.keyboard.press('Escape');
		await ada.page.waitForSelector('dialog', { state: 'detached' });
		if (viewport) await ada.openTalk('Boris ' + suffix);
		await cut();
		await ada.page.waitForSelector('#status:not([hidden])');
		await ada.say('no network, no echo');
		await check(ada, 'disconnected');
		await out();
		await ada.page.waitForSelector('#expelled:not([hidden])');
		await check(ada, 'sent out');
		await boris.close();
		await ada.close();
	});
}

test('a conversation by keyboard alone', async () => {
	const boris = await Person.open(server, 'Boris K');
	const ada = await Person.open(server, null);
	const { keyboard } = ada.page;
	await keyboard.type('Ada K');
	await keyboard.press('Enter');
	await ada.ready();
	await ada.meets('Boris K');
	// The focus is in the composer: write at once.
	await keyboard.type('by keys');
	await keyboard.press('Shift+Enter');
	await keyboard.type('two lines');
	await keyboard.press('Enter');
	await boris.sees('by keys\ntwo lines');
	// Search a person, open the talk, write.
	await keyboard.press('Control+k');
	await keyboard.type('boris k');
	await until(async () => (await ada.page.locator('#people .person').count()) === 1, 'one found');
	await keyboard.press('ArrowDown');
	await keyboard.press('Enter');
	await until(async () => (await ada.page.textContent('#chat-title')) === 'Boris K', 'the private talk');
	await until(() => ada.page.evaluate(() => document.activeElement.id === 'input'), 'the focus in the composer');
	await keyboard.type('to you alone :smile: ');
	await keyboard.press('Enter');
	await boris.page.waitForSelector('.talk.is-dm .badge');
	await boris.openTalk('Ada K');
	await boris.sees('to you alone 😄');
	// A voice message: the button by Tab, Enter starts, Enter on “Send” sends.
	for (let i = 0; i < 6 && (await ada.page.evaluate(() => document.activeElement.id)) !== 'mic'; i++) await keyboard.press('Tab');
	assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'mic');
	await keyboard.press('Enter');
	await until(() => ada.page.evaluate(() => document.activeElement.id === 'rec-send'), 'the focus on the sending');
	await until(async () => (await ada.page.textContent('#rec-time')) === '0:01', 'a second of it');
	await keyboard.press('Enter');
	await boris.page.waitForSelector('.row.theirs .voice-play');
	// The emoji: one stop for Tab, arrows within, Escape back to the text.
	await ada.page.focus('#emoji');
	await keyboard.press('Enter');
	const focused = () => ada.page.evaluate(() => document.activeElement.getAttribute('title'));
	await until(async () => (await focused()) === ':smile:', 'the first emoji');
	await keyboard.press('ArrowRight');
	await keyboard.press('ArrowDown');
	await keyboard.press('ArrowUp');
	assert.equal(await focused(), ':joy:');
	await keyboard.press('Enter');
	assert.equal(await ada.page.inputValue('#input'), '😂');
	await ada.page.focus('#emoji-panel button[tabindex="0"]');
	await keyboard.press('Escape');
	assert.ok(await ada.page.isHidden('#emoji-panel'));
	assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'input');
	// From conversation to conversation, and a page of the messages up and down, without leaving the text.
	await keyboard.press('Alt+ArrowUp');
	await until(async () => (await ada.page.textContent('#chat-title')) === 'General', 'the one above');
	await keyboard.press('Alt+ArrowDown');
	await until(async () => (await ada.page.textContent('#chat-title')) === 'Boris K', 'the one below');
	// Dialogs give the focus back.
	await ada.page.focus('#settings');
	await keyboard.press('Enter');
	await ada.page.waitForSelector('dialog[open]');
	await keyboard.press('Escape');
	assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'settings');
	// Whatever has the focus shows it.
	const shown = await ada.page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
	assert.notEqual(shown, 'none');
	await ada.close();
	await boris.close();
});

test('read aloud is what is new: not the conversation that is opened, not a countdown', async () => {
	const ada = await Person.open(server, 'Ada R', { mayBeDown: true }), boris = await Person.open(server, 'Boris R');
	await boris.openTalk('Ada R');
	for (const text of ['one', 'two', 'three']) await boris.say(text);
	await ada.page.waitForSelector('.talk.is-dm .badge:has-text("3")');
	await ada.page.evaluate(() => {
		window.aloud = [];
		new MutationObserver((records) => {
			for (const { addedNodes, target } of records) for (const el of addedNodes) {
				const region = target.closest?.('[role=log]');
				if (region) window.aloud.push([el.querySelector?.('.text')?.textContent, region.getAttribute('aria-live')]);
			}
		}).observe(document.querySelector('#log'), { childList: true });
		window.said = [];
		new MutationObserver(() => window.said.push(document.querySelector('#status-said').textContent)).observe(document.querySelector('#status-said'), { childList: true });
	});
	await ada.openTalk('Boris R');
	await ada.sees('three');
	assert.ok((await ada.page.evaluate(() => window.aloud)).every(([, live]) => live === 'off'), 'what was there before stays silent');
	await ada.page.waitForSelector('#log[aria-live=polite]');
	await boris.say('four');
	await ada.sees('four');
	assert.deepEqual((await ada.page.evaluate(() => window.aloud)).at(-1), ['four', 'polite']);
	await server.stop();
	await ada.page.waitForSelector('#status-text:has-text("Next try")');
	await server.spawn(server.port);
	await ada.ready();
	await until(async () => (await ada.page.evaluate(() => window.said)).at(-1) === 'Connected', 'the good news');
	assert.ok((await ada.page.evaluate(() => window.said)).every((text) => !/\d/.test(text)), 'no seconds are counted aloud');
	boris.complaints = [];   // its server was away as well
	await ada.close();
	await boris.close();
});

test('people who want no motion get none', async () => {
	const moving = () => ada.page.evaluate(() => document.getAnimations().filter((a) => a.playState === 'running' && (a.effect.getComputedTiming().endTime > 100)).length);
	let ada = await Person.open(server, null, { reducedMotion: 'no-preference' });
	assert.ok(await moving() > 0, 'for others the sea moves');
	await ada.close();
	ada = await Person.open(server, null, { reducedMotion: 'reduce' });
	await until(async () => (await moving()) === 0, 'the sea to lie still');
	await ada.join('Ada S');
	await until(async () => (await moving()) === 0, 'the empty room to lie still');
	await ada.close();
});

test('the message list is a log with a name, and everything to press has one too', async () => {
	const ada = await Person.open(server, 'Ada L', { locale: 'ru-RU' });
	assert.equal(await ada.page.getAttribute('#log', 'role'), 'log');
	const nameless = await ada.page.$$eval('button, a, input:not([type=file]), textarea, [role=slider]', (all) => all
		.filter((el) => el.offsetParent && !el.ariaHidden && !(el.getAttribute('aria-label') || el.labels?.length || el.textContent.trim())).map((el) => el.outerHTML.slice(0, 120)));
	assert.deepEqual(nameless, []);
	await ada.close();
});
