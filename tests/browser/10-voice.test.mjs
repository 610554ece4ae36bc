// Voice: recorded by hand and by keyboard, cancelled, locked, played, sought, and the next one after it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, PHONE, stage, until } from './lib.mjs';

const server = stage();
let pairs = 0;
async function pair() {
	const n = ++pairs;
	const ada = await Person.open(server, `Ada ${n}`), boris = await Person.open(server, `Борис ${n}`, { locale: 'ru-RU' });
	await ada.openTalk(`Борис ${n}`);
	await boris.openTalk(`Ada ${n}`);
	return [ada, boris];
}

/** Presses the microphone's button and keeps it pressed until `seconds` are over on the clock beside it. */
async function hold(person, seconds = 1) {
	const mic = await person.page.locator('#mic').boundingBox();
	const x = mic.x + mic.width / 2, y = mic.y + mic.height / 2;
	await person.page.mouse.move(x, y);
	await person.page.mouse.down();
	// Both at one moment: the clock still shows the recording before.
	await until(() => person.page.evaluate(() => !document.querySelector('#recording').hidden && document.querySelector('#rec-time').textContent).then((shown) => shown >= `0:0${seconds}`), `${seconds} s on the clock`);
	return { x, y };
}

test('a held voice message is recorded, sent and really plays', async () => {
	const [ada, boris] = await pair();
	await hold(ada, 2);
	await ada.page.mouse.up();
	await boris.page.waitForSelector('.row.theirs .voice-play');
	const message = await until(() => boris.frames.find((f) => f.type === 'voice'), 'the voice frame');
	assert.ok(message.duration >= 2, `${message.duration} s: the two seconds that the clock showed were over`);
	assert.match(message.waveform, /^[A-Za-z0-9+/]{10,128}$/);
	assert.ok(new Set(message.waveform).size > 2, 'the fake microphone beeps: its waveform is not flat');
	assert.match(message.mime, /^audio\//);
	// What the button says meanwhile is kept: a short recording may be over before it is asked.
	await boris.page.$eval('.row.theirs .voice-play', (button) => {
		window.labels = new Set();
		new MutationObserver(() => window.labels.add(button.getAttribute('aria-label'))).observe(button, { attributes: true });
	});
	await boris.page.click('.row.theirs .voice-play');
	const track = boris.page.locator('.row.theirs .voice-track');
	const played = () => track.evaluate((el) => Number(el.style.getPropertyValue('--played')));
	await until(async () => (await played()) > 0.15, 'the position to move');
	const at = await played();
	await until(async () => (await played()) > Math.min(at + 0.1, 0.95), 'the position to move on');
	assert.ok(await boris.page.evaluate(() => window.labels.has('Пауза')), 'the button pauses while it plays');
	await boris.page.click('.row.theirs .voice-speed');
	assert.match(await boris.page.textContent('.row.theirs .voice-speed'), /1,5×/);
	// Seeking back by the keyboard.
	await track.focus();
	for (let i = 0; i < 3; i++) await boris.page.keyboard.press('ArrowLeft');
	await until(async () => (await played()) < 0.6, 'to be near the beginning again');
	await until(async () => (await boris.page.locator('.row.theirs .voice-play').getAttribute('aria-label')) === 'Слушать', 'the end');
	// What was recorded knows its length, so that players can seek in it.
	const length = await boris.page.evaluate((url) => new Promise((resolve, reject) => {
		const audio = new Audio(url);
		audio.onloadedmetadata = () => resolve(audio.duration);
		audio.onerror = reject;
	}), message.url);
	assert.ok(Math.abs(length - message.duration) < 0.5, `${length} s in the file, ${message.duration} s in the message`);
	for (const p of [ada, boris]) await p.close();
});

test('sliding away cancels, sliding up locks; when one recording has played, the next one plays', async () => {
	const [ada, boris] = await pair();
	const voices = () => boris.frames.filter((f) => f.type === 'voice').length;
	let at = await hold(ada);
	await ada.page.mouse.move(at.x - 150, at.y, { steps: 5 });
	await ada.page.waitForSelector('#recording.cancelling');
	await ada.page.mouse.up();
	await ada.page.waitForSelector('#recording', { state: 'hidden' });
	at = await hold(ada);
	await ada.page.mouse.move(at.x, at.y - 90, { steps: 5 });
	await ada.page.waitForSelector('#composer.locked');
	await ada.page.mouse.up();
	assert.ok(await ada.page.isVisible('#recording'), 'it goes on by itself');
	await ada.page.click('#rec-send');
	await until(() => voices() === 1, 'the locked recording');
	await hold(ada);
	await ada.page.mouse.up();
	await until(() => voices() === 2, 'another one');
	await ada.say('voice fence');
	await boris.sees('voice fence');
	assert.equal(voices(), 2, 'what was cancelled was not sent');
	const buttons = boris.page.locator('.row.theirs .voice-play');
	await buttons.nth(1).evaluate((button) => {
		window.labels = new Set();
		new MutationObserver(() => window.labels.add(button.getAttribute('aria-label'))).observe(button, { attributes: true });
	});
	await buttons.first().click();
	await until(() => boris.page.evaluate(() => window.labels.has('Пауза')), 'the second one to play');
	await until(async () => (await buttons.nth(1).getAttribute('aria-label')) === 'Слушать', 'the second one to end');
	for (const p of [ada, boris]) await p.close();
});

test('without a secure context the page says why there is no microphone', async () => {
	const vera = await Person.open(server, 'Вера', { viewport: PHONE, locale: 'ru-RU', path: `http://insecure.test:${server.port}/` });
	assert.equal(await vera.page.evaluate(() => isSecureContext), false);
	await vera.page.tap('#mic');
	await vera.page.waitForSelector('dialog:has-text("защищённый адрес")');
	assert.match(await vera.page.textContent('dialog .dialog-body'), /https:\/\/.*insecure\.test/);
	await vera.page.tap('dialog .button');
	// All else works there.
	await vera.say('без микрофона');
	await vera.sees('без микрофона');
	await vera.settled();
	// The browser remarks that a header for secure origins means nothing here; that is what this test is about.
	vera.complaints = vera.complaints.filter((line) => !/Cross-Origin-Opener-Policy/.test(line));
	await vera.close();
});
