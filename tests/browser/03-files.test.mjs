// Files and pictures: what arrives is what was sent, byte for byte, and what can be shown or played is.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import test from 'node:test';
import { Person, stage, until } from './lib.mjs';
import { png } from './pictures.mjs';

const server = stage();
let pairs = 0;
async function pair() {
	const n = ++pairs;
	return [await Person.open(server, `Ada ${n}`), await Person.open(server, `Борис ${n}`, { locale: 'ru-RU' })];
}

async function download(person, selector) {
	const [got] = await Promise.all([person.page.waitForEvent('download'), person.page.click(selector)]);
	return { name: got.suggestedFilename(), bytes: Buffer.concat(await (await got.createReadStream()).toArray()) };
}

test('a picture arrives at a size known in advance, and opens in the viewer', async () => {
	const [ada, boris] = await pair();
	const bytes = png(600, 300);
	await ada.sendFiles({ name: 'море.png', mimeType: 'image/png', buffer: bytes });
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
	for (const p of [ada, boris]) await p.close();
});

test('in the viewer the arrows go from picture to picture', async () => {
	const [ada, boris] = await pair();
	await ada.openTalk((await boris.page.textContent('#people .person:has-text("вы") .person-name')));
	await ada.sendFiles(...['first', 'second', 'third'].map((name, i) => ({ name: `${name}.png`, mimeType: 'image/png', buffer: png(40 + i, 40) })));
	await boris.page.click('.talk.is-dm');
	await until(async () => (await boris.page.locator('.row.theirs .pic').count()) === 3, 'three pictures');
	await boris.page.locator('.row.theirs .pic').last().click();
	const caption = boris.page.locator('.viewer-caption');
	const first = await caption.textContent();
	await boris.page.keyboard.press('ArrowLeft');
	await until(async () => (await caption.textContent()) !== first, 'the one before');
	await boris.page.keyboard.press('ArrowLeft');
	await until(async () => /first\.png/.test(await caption.textContent()), 'the first picture');
	await boris.page.keyboard.press('Escape');
	for (const p of [ada, boris]) await p.close();
});

test('20 MB arrive with the same SHA-256', async () => {
	const [ada, boris] = await pair();
	const sha256 = await ada.sendLarge('архив 20.bin', 20 << 20);
	const link = boris.page.locator('.row.theirs a.file:has-text("архив 20.bin")');
	assert.equal(await link.getAttribute('download'), 'архив 20.bin');
	assert.equal(await link.evaluate(async (a) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', await (await fetch(a.href)).arrayBuffer()))].join()), sha256);
	await ada.settled();
	for (const p of [ada, boris]) await p.close();
});

test('too large and empty files are refused with a word, before they are sent', async () => {
	const [ada, boris] = await pair();
	await ada.page.evaluate(() => {
		const data = new DataTransfer();
		data.items.add(new File([new Uint8Array(27 << 20)], 'huge.bin'));
		data.items.add(new File([], 'empty.txt'));
		document.querySelector('#chat').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
	});
	await ada.page.waitForSelector('.toast:has-text("huge.bin")');
	await ada.page.waitForSelector('.toast:has-text("empty.txt")');
	assert.equal(await ada.page.locator('.chip').count(), 0);
	for (const p of [ada, boris]) await p.close();
});

test('files come in by paste and by drop as well', async () => {
	const [ada, boris] = await pair();
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
	for (const p of [ada, boris]) await p.close();
});

test('an upload can be cancelled', async () => {
	const [ada, boris] = await pair();
	let release;
	const held = new Promise((resolve) => (release = resolve));
	await ada.page.route('**/upload?*', async (route) => {
		await held;
		await route.continue().catch(() => {});
	});
	await ada.sendFiles({ name: 'never.bin', mimeType: 'application/octet-stream', buffer: crypto.randomBytes(100000) });
	await ada.page.click('.row.pending .ring');
	await ada.settled();
	release();
	await ada.page.unroute('**/upload?*', { behavior: 'wait' });
	await ada.say('after the cancel');
	await boris.sees('after the cancel');
	assert.equal(await boris.page.locator('a.file:has-text("never.bin")').count(), 0);
	for (const p of [ada, boris]) await p.close();
});

/** Three seconds of a tone as WAV. */
function wav() {
	const rate = 8000, samples = 3 * rate, out = Buffer.alloc(44 + samples * 2);
	out.write('RIFF');
	out.writeUInt32LE(out.length - 8, 4);
	out.write('WAVEfmt ', 8);
	out.writeUInt32LE(16, 16);
	out.writeUInt16LE(1, 20);
	out.writeUInt16LE(1, 22);
	out.writeUInt32LE(rate, 24);
	out.writeUInt32LE(rate * 2, 28);
	out.writeUInt16LE(2, 32);
	out.writeUInt16LE(16, 34);
	out.write('data', 36);
	out.writeUInt32LE(samples * 2, 40);
	for (let i = 0; i < samples; i++) out.writeInt16LE(Math.round(8000 * Math.sin(i / 3)), 44 + i * 2);
	return out;
}

test('sound and video play in their message and can be sought', async () => {
	const [ada, boris] = await pair();
	await ada.sendFiles({ name: 'tone.wav', mimeType: 'audio/wav', buffer: wav() });
	const audio = boris.page.locator('.row.theirs audio');
	await audio.waitFor();
	const at = await audio.evaluate(async (el) => {
		await el.play();
		el.currentTime = 2;
		await new Promise((resolve) => el.addEventListener('seeked', resolve, { once: true }));
		return [el.currentTime, Math.round(el.duration)];
	});
	assert.ok(at[0] >= 2 && at[1] === 3, `${at}`);
	const clip = Buffer.from(await ada.page.evaluate(async () => {
		const canvas = Object.assign(document.createElement('canvas'), { width: 320, height: 180 }), g = canvas.getContext('2d');
		const recorder = new MediaRecorder(canvas.captureStream(20), { mimeType: 'video/webm' }), parts = [];
		recorder.ondataavailable = (event) => parts.push(event.data);
		recorder.start();
		for (let i = 0; i < 30; i++) {
			g.fillStyle = `hsl(${i * 12} 80% 50%)`;
			g.fillRect(0, 0, 320, 180);
			await new Promise((resolve) => setTimeout(resolve, 40));
		}
		await new Promise((resolve) => {
			recorder.onstop = resolve;
			recorder.stop();
		});
		return [...new Uint8Array(await new Blob(parts).arrayBuffer())];
	}));
	await ada.sendFiles({ name: 'colours.webm', mimeType: 'video/webm', buffer: clip });
	const video = boris.page.locator('.row.theirs video');
	await video.waitFor();
	const box = await video.boundingBox();
	assert.ok(Math.abs(box.width / box.height - 16 / 9) < 0.03, 'its shape is known before it is loaded');
	await video.evaluate(async (el) => {
		el.muted = true;
		await el.play();
	});
	await until(() => video.evaluate((el) => el.currentTime > 0.3 && el.videoWidth === 320), 'the video to run');
	for (const p of [ada, boris]) await p.close();
});
