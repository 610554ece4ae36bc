// Reading: pages of history, unread counts, the phone's one pane.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, PHONE, Server, stage, until } from './lib.mjs';

const server = stage();

test('older messages load on scrolling up, nothing jumps, and the first message is reached', async () => {
	const ada = await Person.open(server, 'Ada6'), boris = await Person.open(server, 'Boris6');
	await ada.openTalk('Boris6');
	await ada.write(Array.from({ length: 180 }, (_, i) => `line ${i}`));
	await boris.page.waitForSelector('.talk.is-dm .badge:has-text("180")');
	await boris.page.reload();
	await boris.ready();
	await boris.openTalk('Ada6');
	await boris.sees('line 179');
	// While a page comes in above, what is on the screen stays where it is.
	const jumped = await boris.page.evaluate(async () => {
		const scroller = document.querySelector('#scroller');
		const frame = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
		let worst = 0;
		for (let i = 0; i < 400; i++) {
			scroller.scrollTop -= 250;
			const at = scroller.getBoundingClientRect().top + 200;
			const row = document.elementFromPoint(700, at)?.closest('.row');
			const before = row?.getBoundingClientRect().top;
			await frame();
			if (row?.isConnected) worst = Math.max(worst, Math.abs(row.getBoundingClientRect().top - before));
			if (document.querySelector('.begin')) break;
			await new Promise((resolve) => setTimeout(resolve, 10));
		}
		return worst;
	});
	assert.ok(await boris.page.locator('.begin').count(), 'the beginning was reached');
	assert.ok((await boris.texts()).includes('line 0'));
	assert.ok(jumped <= 2, `what was read moved by ${jumped} px`);
	await boris.page.click('#jump');
	await boris.sees('line 179');
	for (const p of [ada, boris]) await p.close();
});

test('unread counts, the title and the new-messages line', async () => {
	const ada = await Person.open(server, 'Ada7'), boris = await Person.open(server, 'Boris7');
	await ada.openTalk('Boris7');
	await ada.say('first');
	await boris.openTalk('Ada7');
	await boris.sees('first');
	await boris.openTalk('General');
	await ada.say('second');
	await ada.say('third');
	await boris.page.waitForSelector('.talk.is-dm .badge:has-text("2")');
	await until(async () => /^\(\d+\) /.test(await boris.page.title()), 'a count in the title');
	await boris.openTalk('Ada7');
	await boris.sees('third');
	const row = boris.page.locator('.row:has(.sep.new)');
	assert.equal(await row.count(), 1);
	assert.match(await row.textContent(), /second/);
	await until(async () => (await boris.page.locator('.talk.is-dm .badge').count()) === 0, 'the badge to go');
	await ada.close();
	await boris.close();
});

test('alone in the room: the page says how to change that, and copies its address', async () => {
	const lone = await new Server().start();
	const ada = await Person.open(lone, 'Первая', { locale: 'ru-RU', viewport: PHONE });
	await ada.page.waitForSelector('.still:has-text("Полный штиль")');
	await ada.page.tap('#back');
	await ada.page.waitForSelector('#alone:has-text("Пока здесь только вы")');
	await ada.page.tap('#invite');
	await ada.page.waitForSelector('.toast:has-text("Скопировано")');
	assert.equal(await ada.page.evaluate(() => navigator.clipboard.readText()), lone.url + '/');
	const boris = await Person.open(lone, 'Второй');
	await ada.page.waitForSelector('#alone', { state: 'hidden' });
	await ada.close();
	await boris.close();
	await lone.close();
});

test('unread counts say when there are more than are loaded', async () => {
	const ada = await Person.open(server, 'Ada9'), boris = await Person.open(server, 'Boris9');
	await boris.openTalk('Ada9');
	await ada.page.waitForSelector('#people .person:has-text("Boris9")');
	await boris.write(['u0', 'u1']);
	await ada.page.waitForSelector('.talk.is-dm .badge:has-text("2")');
	assert.equal(await ada.page.textContent('.talk.is-dm .badge'), '2', 'all of them are here');
	await ada.openTalk('Boris9');
	await ada.sees('u1');
	await ada.openTalk('General');
	const read = ada.frames.find((f) => f.text === 'u1').id;
	await ada.kept('read', (marks) => Object.values(marks).includes(read), 'what was read to be noted');
	await boris.write(Array.from({ length: 70 }, (_, i) => `u${i + 2}`));
	await ada.page.waitForSelector('.talk.is-dm .badge:has-text("70")');
	await ada.page.reload();
	await ada.ready();
	await ada.page.waitForSelector('.talk.is-dm .badge:has-text("50+")');
	await ada.openTalk('Boris9');
	await ada.page.waitForSelector('.sep.new');
	await until(async () => {
		await ada.page.$eval('#scroller', (el) => el.scrollBy(0, -2000));
		return ada.page.evaluate(() => document.querySelector('.row:has(.sep.new) .text')?.textContent === 'u2');
	}, 'the line to be above the first unread one');
	await ada.close();
	await boris.close();
});

test('on a phone: one pane at a time, the list by the back button', async () => {
	const ada = await Person.open(server, 'Ada8', { viewport: PHONE, locale: 'ru-RU' }), boris = await Person.open(server, 'Boris8');
	assert.equal(await ada.page.textContent('#chat-title'), 'Общий чат');
	assert.ok(await ada.page.isHidden('#sidebar'));
	await ada.page.click('#back');
	await ada.page.waitForSelector('#sidebar', { state: 'visible' });
	assert.ok(await ada.page.isHidden('#chat'));
	await ada.openTalk('Boris8');
	assert.match(await ada.page.textContent('#chat-sub'), /Личное · в сети/);
	await ada.page.fill('#input', 'с телефона');
	await ada.page.tap('#send');
	await boris.page.waitForSelector('.talk.is-dm .badge');
	await ada.page.goBack();
	await ada.page.waitForSelector('#sidebar', { state: 'visible' });
	assert.ok(await ada.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing is wider than the screen');
	await ada.close();
	await boris.close();
});
