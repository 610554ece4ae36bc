// Voice: recorded by hand and by keyboard, cancelled, locked, played, sought, and the next one after it.
import assert from 'node:assert/strict';
import test, { after, before } from 'node:test';
import { PHONE, Person, Server, launch, sleep, until } from './lib.mjs';

let browser, server, ada, boris;
before(async () => {
	browser = await launch();
	server = await Server.start();
	ada = await Person.open(browser, server, 'Ada');
	boris = await Person.open(browser, server, 'Борис', { locale: 'ru-RU' });
});
after(async () => {
	await ada?.close();
	await boris?.close();
	await browser?.close();
	await server?.close();
});

test('a held voice message is recorded, sent and really plays', async () => {
	const mic = await ada.page.locator('#mic').boundingBox();
	await ada.page.mouse.move(mic.x + mic.width / 2, mic.y + mic.height / 2);
	await ada.page.mouse.down();
	await ada.page.waitForSelector('#recording:not([hidden])');
	await sleep(2200);
	assert.match(await ada.page.textContent('#rec-time'), /^0:0[1-9]$/);
	await ada.page.mouse.up();
	await boris.page.waitForSelector('.row.theirs .voice-play');
	const message = await until(() => boris.frames.find((f) => f.type === 'voice'), 'the voice frame');
	assert.ok(message.duration > 1.5 && message.duration < 6, `${message.duration} s`);
	assert.match(message.waveform, /^[A-Za-z0-9+/]{10,128}$/);
	assert.ok(new Set(message.waveform).size > 2, 'the fake microphone beeps: its waveform is not flat');
	assert.match(message.mime, /^audio\//);
	await boris.page.click('.row.theirs .voice-play');
	const track = boris.page.locator('.row.theirs .voice-track');
	const played = () => track.evaluate((el) => Number(el.style.getPropertyValue('--played')));
	await until(async () => (await played()) > 0.15, 'the position to move');
	const at = await played();
	await until(async () => (await played()) > at + 0.1, 'the position to move on');
	assert.equal(await boris.page.locator('.row.theirs .voice-play').getAttribute('aria-label'), 'Пауза');
	await boris.page.click('.row.theirs .voice-speed');
	assert.match(await boris.page.textContent('.row.theirs .voice-speed'), /1,5×/);
	// Seeking back by the keyboard.
	await track.focus();
	for (let i = 0; i < 3; i++) await boris.page.keyboard.press('ArrowLeft');
	await until(async () => (await played()) < 0.6, 'to be near the beginning again');
	await until(async () => (await boris.page.locator('.row.theirs .voice-play').getAttribute('aria-label')) === 'Слушать', 'the end');
});

test('sliding away cancels, sliding up locks', async () => {
	const before = boris.frames.filter((f) => f.type === 'voice').length;
	const mic = await ada.page.locator('#mic').boundingBox();
	const x = mic.x + mic.width / 2, y = mic.y + mic.height / 2;
	const hold = async () => {
		await ada.page.mouse.move(x, y);
		await ada.page.mouse.down();
		await ada.page.waitForSelector('#recording:not([hidden])');
		await sleep(900);
	};
	await hold();
	await ada.page.mouse.move(x - 150, y, { steps: 5 });
	await ada.page.waitForSelector('#recording.cancelling');
	await ada.page.mouse.up();
	await ada.page.waitForSelector('#recording', { state: 'hidden' });
	await hold();
	await ada.page.mouse.move(x, y - 90, { steps: 5 });
	await ada.page.waitForSelector('#composer.locked');
	await ada.page.mouse.up();
	await sleep(300);
	await ada.page.click('#rec-send');
	await until(() => boris.frames.filter((f) => f.type === 'voice').length === before + 1, 'the locked recording, and it alone');
	await ada.say('voice fence');
	await boris.sees('voice fence');
	assert.equal(boris.frames.filter((f) => f.type === 'voice').length, before + 1);
});

test('what was recorded knows its length, so that players can seek in it', async () => {
	const message = boris.frames.find((f) => f.type === 'voice');
	const length = await boris.page.evaluate((url) => new Promise((resolve, reject) => {
		const audio = new Audio(url);
		audio.onloadedmetadata = () => resolve(audio.duration);
		audio.onerror = reject;
	}), message.url);
	assert.ok(Math.abs(length - message.duration) < 0.5, `${length} s in the file, ${message.duration} s in the message`);
});

test('when one has played, the next one plays', async () => {
	const buttons = boris.page.locator('.row.theirs .voice-play');
	assert.equal(await buttons.count(), 2);
	await buttons.first().click();
	await until(async () => (await buttons.nth(1).getAttribute('aria-label')) === 'Пауза', 'the second one to play', 15000);
	await until(async () => (await buttons.nth(1).getAttribute('aria-label')) === 'Слушать', 'the second one to end', 15000);
});

test('without a secure context the page says why there is no microphone', async () => {
	const vera = await Person.open(browser, server, 'Вера', { viewport: PHONE, locale: 'ru-RU', path: `http://insecure.test:${server.port}/` });
	assert.equal(await vera.page.evaluate(() => isSecureContext), false);
	await vera.page.tap('#mic');
	await vera.page.waitForSelector('dialog:has-text("защищённый адрес")');
	assert.match(await vera.page.textContent('dialog .dialog-body'), /https:\/\/.*insecure\.test/);
	await vera.page.tap('dialog .button');
	// All else works there.
	await vera.say('без микрофона');
	await boris.sees('без микрофона');
	// The browser remarks that a header for secure origins means nothing here; that is what this test is about.
	vera.complaints = vera.complaints.filter((line) => !/Cross-Origin-Opener-Policy/.test(line));
	await vera.close();
});
