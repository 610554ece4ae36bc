// A lockdown as people in the room, and before its door, see it: the real wavechatctl at the real server, in both languages.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Person, PHONE, sleep, stage, until } from './lib.mjs';

const folder = process.env.SCREENSHOTS; // to be looked at

const server = stage();

async function shot(person, name) {
	if (!folder) return;
	await sleep(400);
	fs.mkdirSync(folder, { recursive: true });
	await person.page.screenshot({ path: path.join(folder, `${name}.png`) });
}
/** The browser itself says of refused requests what these tests are about: an upload that nobody may send, or that had not begun. */
const forgiveUpload = (person) => person.complaints = person.complaints.filter((line) => !/status of (423|404) \(.*\/upload\?/.test(line));
const bar = (person, text) => person.page.waitForSelector(`#lockdown:not([hidden]):has-text("${text}")`);
const noBar = (person) => person.page.waitForSelector('#lockdown', { state: 'hidden' });

test('read-only: a line says so, nothing can be sent, the draft stays, and it works again when it is over', async () => {
	const ada = await Person.open(server, 'Ada'), boris = await Person.open(server, 'Борис', { locale: 'ru-RU', viewport: PHONE, colorScheme: 'dark' });
	await ada.say('before');
	await boris.sees('before');
	server.ctl('lockdown', 'on', '--read-only', '--for', '1h');
	await bar(ada, 'Nobody can write here until');
	await bar(boris, 'здесь никто не может писать');
	await shot(ada, 'read-only-en-light');
	await shot(boris, 'read-only-ru-phone-dark');
	assert.equal(await boris.page.getAttribute('#input', 'placeholder'), 'Писать пока нельзя');
	for (const button of ['#attach', '#mic']) assert.ok(await ada.page.isDisabled(button), button);
	await ada.page.fill('#input', 'a draft');
	assert.ok(await ada.page.isDisabled('#send'));
	await ada.page.press('#input', 'Enter');
	assert.equal(await ada.page.inputValue('#input'), 'a draft');
	assert.equal(await ada.page.locator('.row.pending').count(), 0);
	// Whoever reloads finds it so.
	await ada.page.reload();
	await ada.ready();
	await bar(ada, 'Nobody can write here until');
	assert.equal(await ada.page.inputValue('#input'), 'a draft');
	server.ctl('lockdown', 'off');
	await noBar(ada);
	await noBar(boris);
	for (const button of ['#attach', '#send']) assert.ok(await ada.page.isEnabled(button), button);
	await ada.page.press('#input', 'Enter');
	await boris.sees('a draft');
	assert.deepEqual(await boris.texts(), ['before', 'a draft']);
	await ada.close();
	await boris.close();
});

test('what was written offline waits for the end of a lockdown, also across a reload, and goes in its order, once', async () => {
	const ada = await Person.open(server, 'Offline', { mayBeDown: true, hasClock: true }), eve = await Person.open(server, 'Eve');
	await ada.context.setOffline(true);
	const lines = ['one', 'two', 'three', 'four', 'five'];
	for (const line of lines) await ada.say(line);
	await ada.sendFiles({ name: 'six.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(1000, 6) });
	server.ctl('lockdown', 'on', '--read-only');
	await ada.context.setOffline(false);
	await ada.ready();
	await bar(ada, 'Nobody can write here now');
	await ada.context.clock.runFor(5000);   // time enough to try
	assert.equal(await ada.page.locator('.row.pending').count(), 6);
	assert.equal(await ada.page.locator('.row.failed').count(), 0);
	await ada.page.reload();
	await ada.ready();
	await bar(ada, 'Nobody can write here now');
	await until(async () => (await ada.page.locator('.row.pending').count()) === 6, 'all six are kept');
	assert.deepEqual((await eve.texts()).filter((text) => lines.includes(text)), []);
	server.ctl('lockdown', 'off');
	await eve.sees('five');
	await eve.page.waitForSelector('.file-name:has-text("six.bin")');
	await ada.settled();
	assert.deepEqual((await eve.texts()).filter((text) => lines.includes(text)), lines);
	forgiveUpload(ada);
	await ada.close();
	await eve.close();
});

test('a message and an upload that are refused on their way are kept and go later, the text before what follows it', async () => {
	const ada = await Person.open(server, 'Racer'), eve = await Person.open(server, 'Witness');
	// The page is not told: as when the refusal and the frame about it cross.
	await ada.page.routeWebSocket(/\/ws$/, (socket) => {
		const up = socket.connectToServer();
		socket.onMessage((m) => up.send(m));
		up.onMessage((m) => JSON.parse(m).type !== 'lockdown' && socket.send(m));
	});
	await ada.page.reload();
	await ada.ready();
	server.ctl('lockdown', 'on', '--read-only', '--for', '6s');
	await ada.say('kept one');
	await ada.say('kept two');
	await ada.sendFiles({ name: 'kept.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(1000, 7) });
	await until(() => ada.frames.some((f) => f.code === 'lockdown'), 'a refusal');
	assert.equal(await ada.page.locator('.row.failed').count(), 0);
	await eve.sees('kept two');
	await eve.page.waitForSelector('.file-name:has-text("kept.bin")');
	assert.deepEqual((await eve.texts()).filter((text) => text.startsWith('kept')), ['kept one', 'kept two']);
	forgiveUpload(ada);
	await ada.close();
	await eve.close();
});

test('no new people: those inside go on, a newcomer is told so, waits calmly and comes in when it is over', async () => {
	const ada = await Person.open(server, 'Inside');
	server.ctl('lockdown', 'on');
	await bar(ada, 'No new people are let in now.');
	await shot(ada, 'new-people-en');
	await ada.say('still here');
	await ada.sees('still here');
	const eve = await Person.open(server, null, { viewport: PHONE, hasClock: true }), vera = await Person.open(server, null, { locale: 'ru-RU' });
	let dials = 0;
	eve.page.on('websocket', () => dials++);
	for (const [person, name, text] of [[eve, 'Newcomer', 'No new people are let in now'], [vera, 'Вера', 'не впускают новых людей']]) {
		await person.page.fill('#name', name);
		await person.page.press('#name', 'Enter');
		await person.page.waitForSelector(`#entry-error.note:has-text("${text}")`);
		await shot(person, `refused-${name}`);
	}
	await eve.context.clock.runFor(20000);
	assert.equal(dials, 1, 'one try, and then patience');
	await ada.page.reload();
	await ada.ready();
	await bar(ada, 'No new people are let in now.');
	// With a time it is asked again then.
	server.ctl('lockdown', 'on', '--for', '8s');
	const kim = await Person.open(server, null);
	await kim.page.fill('#name', 'Kim');
	await kim.page.press('#name', 'Enter');
	await kim.page.waitForSelector('#entry-error.note:has-text("You will be let in automatically in about 0:")');
	await kim.page.waitForSelector('#app[data-net=ready]:not([hidden])');
	await noBar(ada);
	for (const person of [ada, eve, vera, kim]) await person.close();
});
