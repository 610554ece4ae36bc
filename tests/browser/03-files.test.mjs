// Files, pictures and voice: what arrives is what was sent, byte for byte, and what can be played plays.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import fs from 'node:fs';
import zlib from 'node:zlib';
import test, { after, before } from 'node:test';
import { Person, PHONE, Server, launch, sleep, until } from './lib.mjs';

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

const sha = (bytes) => crypto.createHash('sha256').update(bytes).digest('hex');

/** A PNG of noise in one colour channel, so that its size and its bytes are its own. */
function png(width, height) {
	const chunk = (type, data) => {
		const body = Buffer.concat([Buffer.from(type), data]), out = Buffer.alloc(body.length + 8);
		out.writeUInt32BE(data.length);
		body.copy(out, 4);
		out.writeUInt32BE(crc(body), body.length + 4);
		return out;
	};
	const head = Buffer.alloc(13);
	head.writeUInt32BE(width);
	head.writeUInt32BE(height, 4);
	head.set([8, 2, 0, 0, 0], 8);
	const rows = Buffer.alloc(height * (width * 3 + 1), 90);
	for (let y = 0; y < height; y++) rows[y * (width * 3 + 1)] = 0;
	return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', zlib.deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

function crc(bytes) {
	let c = ~0;
	for (const b of bytes) {
		c ^= b;
		for (let i = 0; i < 8; i++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
	}
	return ~c >>> 0;
}

async function download(person, selector) {
	const [got] = await Promise.all([person.page.waitForEvent('download'), person.page.click(selector)]);
	return { name: got.suggestedFilename(), bytes: fs.readFileSync(await got.path()) };
}

test('a picture arrives at a size known in advance, and opens in the viewer', async () => {
	const bytes = png(600, 300);
	await ada.page.setInputFiles('#files', { name: 'море.png', mimeType: 'image/png', buffer: bytes });
	await ada.page.waitForSelector('.chip img');
	await ada.page.click('#send');
	const img = boris.page.locator('.row.theirs .pic img');
	await img.waitFor();
	const message = await until(() => boris.frames.find((f) => f.type === 'file'), 'the file frame');
	assert.deepEqual([message.width, message.height, message.mime, message.size], [600, 300, 'image/png', bytes.length]);
	assert.equal(message.data, undefined, 'no bytes in the frame');
	await until(() => img.evaluate((el) => el.complete && el.naturalWidth === 600), 'the picture to load');
	const box = await boris.page.locator('.row.theirs .pic').boundingBox();
	assert.ok(Math.abs(box.width / box.height - 2) < 0.02, `shown ${box.width} × ${box.height}`);
	await img.click();
	const viewer = boris.page.locator('dialog.viewer');
	await viewer.waitFor();
	await boris.page.keyboard.press('+');
	await until(() => viewer.locator('.viewer-stage img').evaluate((el) => new DOMMatrix(getComputedStyle(el).transform).a > 1.2), 'the picture to grow');
	await boris.page.keyboard.press('Escape');
	await viewer.waitFor({ state: 'detached' });
});

test('in the viewer the arrows go from picture to picture', async () => {
	await ada.page.setInputFiles('#files', [{ name: 'a.png', mimeType: 'image/png', buffer: png(40, 40) }, { name: 'b.png', mimeType: 'image/png', buffer: png(50, 40) }]);
	await until(async () => (await ada.page.locator('.chip').count()) === 2, 'two chips');
	await ada.page.click('#send');
	await until(async () => (await boris.page.locator('.row.theirs .pic').count()) === 3, 'three pictures');
	await boris.page.locator('.row.theirs .pic').last().click();
	const caption = boris.page.locator('.viewer-caption');
	const first = await caption.textContent();
	await boris.page.keyboard.press('ArrowLeft');
	await until(async () => (await caption.textContent()) !== first, 'the one before');
	await boris.page.keyboard.press('ArrowLeft');
	await until(async () => /море\.png/.test(await caption.textContent()), 'the first picture');
	await boris.page.keyboard.press('Escape');
});

test('20 MB arrive with the same SHA-256, with progress on the way', async () => {
	const bytes = crypto.randomBytes(20 * 1024 * 1024);
	await ada.page.setInputFiles('#files', { name: 'архив 20.bin', mimeType: 'application/octet-stream', buffer: bytes });
	await ada.page.waitForSelector('.chip');
	await ada.page.click('#send');
	await boris.page.waitForSelector('.row.theirs a.file:has-text("архив 20.bin")', { timeout: 30000 });
	const got = await download(boris, '.row.theirs a.file:has-text("архив 20.bin")');
	assert.equal(got.name, 'архив 20.bin');
	assert.equal(sha(got.bytes), sha(bytes));
	await until(async () => (await ada.page.locator('.row.pending').count()) === 0, 'nothing pending');
});

test('too large and empty files are refused with a word, before they are sent', async () => {
	const large = new Array(27 * 1024).fill('x'.repeat(1024)).join('');
	await ada.page.evaluate((text) => {
		const data = new DataTransfer();
		data.items.add(new File([text], 'huge.bin'));
		data.items.add(new File([], 'empty.txt'));
		document.querySelector('#chat').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
	}, large);
	await ada.page.waitForSelector('.toast:has-text("huge.bin")');
	await ada.page.waitForSelector('.toast:has-text("empty.txt")');
	assert.equal(await ada.page.locator('.chip').count(), 0);
});

test('files come in by paste and by drop as well', async () => {
	await ada.page.evaluate(() => {
		const data = new DataTransfer();
		data.items.add(new File(['pasted text'], 'pasted.txt', { type: 'text/plain' }));
		document.querySelector('#input').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
		const more = new DataTransfer();
		more.items.add(new File(['dropped text'], 'dropped.txt', { type: 'text/plain' }));
		document.querySelector('#chat').dispatchEvent(new DragEvent('drop', { dataTransfer: more, bubbles: true, cancelable: true }));
	});
	await until(async () => (await ada.page.locator('.chip').count()) === 2, 'two chips');
	await ada.page.fill('#input', 'with a line');
	await ada.page.press('#input', 'Enter');
	await boris.sees('with a line');
	for (const [name, text] of [['pasted.txt', 'pasted text'], ['dropped.txt', 'dropped text']]) {
		await boris.page.waitForSelector(`.row.theirs a.file:has-text("${name}")`);
		assert.equal(String((await download(boris, `.row.theirs a.file:has-text("${name}")`)).bytes), text);
	}
});

test('an upload can be cancelled', async () => {
	await ada.page.route('**/upload?*', async (route) => {
		await sleep(1500);
		await route.continue().catch(() => {});
	});
	await ada.page.setInputFiles('#files', { name: 'never.bin', mimeType: 'application/octet-stream', buffer: crypto.randomBytes(100000) });
	await ada.page.waitForSelector('.chip');
	await ada.page.click('#send');
	await ada.page.click('.row.pending .ring');
	await until(async () => (await ada.page.locator('.row.pending').count()) === 0, 'the entry to go');
	await ada.page.unroute('**/upload?*');
	await ada.say('after the cancel');
	await boris.sees('after the cancel');
	assert.equal(await boris.page.locator('a.file:has-text("never.bin")').count(), 0);
});

test('a held voice message is recorded, sent and really plays', async () => {
	const mic = await ada.page.locator('#mic').boundingBox();
	await ada.page.mouse.move(mic.x + mic.width / 2, mic.y + mic.height / 2);
	await ada.page.mouse.down();
	await ada.page.waitForSelector('#recording:not([hidden])');
	await sleep(2200);
	assert.match(await ada.page.textContent('#rec-time'), /0:0[12]/);
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
	await vera.close();
});
