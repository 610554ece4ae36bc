// On a phone, by touch: the way back, the keyboard's room, a turn of the screen, fingers' targets, hold and slide, pinch and swipe.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, PHONE, sleep, stage, until } from './lib.mjs';
import { png } from './pictures.mjs';

const server = stage();

/** Fingers on the glass: points in, points moved, points out, as the browser gets them from a touch screen. */
async function fingers(person) {
	const cdp = await person.context.newCDPSession(person.page);
	const touch = (type, points) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints: points.map(([x, y], id) => ({ x, y, id })) });
	return {
		down: (...points) => touch('touchStart', points),
		move: (...points) => touch('touchMove', points),
		up: () => touch('touchEnd', []),
		async swipe([x, y], [dx, dy], steps = 8) {
			await touch('touchStart', [[x, y]]);
			for (let i = 1; i <= steps; i++) await touch('touchMove', [[x + dx * i / steps, y + dy * i / steps]]);
			await touch('touchEnd', []);
		},
	};
}

async function centre(locator) {
	const box = await locator.boundingBox();
	return [box.x + box.width / 2, box.y + box.height / 2];
}

const pane = (person) => person.page.getAttribute('body', 'data-pane');

for (const [locale, general, priv] of [['en-US', 'General', 'Private · online'], ['ru-RU', 'Общий чат', 'Личное · в сети']]) {
	test(`${locale}: back closes the dialog, then the conversation; a reload stays where it was`, async () => {
		const ada = await Person.open(server, 'Ada ' + locale, { viewport: PHONE, locale }), boris = await Person.open(server, 'Boris ' + locale);
		const { page } = ada;
		assert.equal(await page.textContent('#chat-title'), general);
		// From the very first conversation there is a way back to the list.
		await page.goBack();
		await until(async () => (await pane(ada)) === 'list', 'the list');
		await ada.openTalk('Boris ' + locale);
		assert.equal(await page.textContent('#chat-sub'), priv);
		await boris.say('waiting in the general chat');
		await page.waitForSelector('#back .badge:has-text("1")');
		await page.reload();
		await ada.ready();
		assert.equal(await page.textContent('#chat-title'), 'Boris ' + locale, 'the private talk, also after a reload');
		await boris.openTalk('Ada ' + locale);
		await boris.sendFiles({ name: 'sea.png', mimeType: 'image/png', buffer: png(80, 60) });
		await page.tap('.row.theirs .pic');
		await page.waitForSelector('dialog.viewer[open]');
		await page.goBack();
		await page.waitForSelector('dialog.viewer', { state: 'detached' });
		assert.equal(await pane(ada), 'chat', 'the conversation behind the picture is still open');
		// Closed by its cross, the picture leaves no step behind.
		await page.tap('.row.theirs .pic');
		await page.tap('dialog.viewer .viewer-close');
		await page.waitForSelector('dialog.viewer', { state: 'detached' });
		await until(() => page.evaluate(() => !history.state?.layer), 'the step to be gone');
		await page.goBack();
		await until(async () => (await pane(ada)) === 'list', 'the list');
		await page.reload();
		await page.waitForSelector('#sidebar', { state: 'visible' });
		assert.equal(await pane(ada), 'list', 'and the list stays the list');
		await ada.close();
		await boris.close();
	});
}

test('what is opened while a dialog is on its way out stays open', async () => {
	const ada = await Person.open(server, 'Ada Opens', { viewport: PHONE }), boris = await Person.open(server, 'Boris Waits');
	await ada.page.goBack();
	await until(async () => (await pane(ada)) === 'list', 'the list');
	await ada.page.tap('#settings');
	await ada.page.waitForSelector('dialog[open]');
	await ada.page.evaluate(() => new Promise((done) => {
		const dialog = document.querySelector('dialog[open]');
		addEventListener('popstate', () => setTimeout(done), { once: true });
		// The step back is on its way by then, and the browser has not taken it yet.
		dialog.addEventListener('close', () => setTimeout(() => document.querySelector('#talks .talk').click()));
		dialog.close();
	}));
	assert.equal(await pane(ada), 'chat');
	await ada.say('still here');
	await boris.page.waitForSelector('.row.theirs :text("still here")');
	await ada.page.goBack();
	await until(async () => (await pane(ada)) === 'list', 'the list again');
	await ada.close();
	await boris.close();
});

test('a turn of the screen and the soft keyboard leave what is read where it is', async () => {
	const ada = await Person.open(server, 'Turner', { viewport: PHONE, hasClock: true });
	const { page } = ada;
	await ada.write(Array.from({ length: 60 }, (_, i) => `turn ${i} ` + 'and more of it '.repeat(i % 12)));
	await ada.settled();
	const left = () => page.$eval('#scroller', (el) => el.scrollHeight - el.scrollTop - el.clientHeight);
	const turned = { width: PHONE.height, height: PHONE.width };
	for (const size of [turned, PHONE, { width: PHONE.width, height: 480 }, PHONE]) {
		await page.setViewportSize(size);
		await until(async () => (await left()) < 2, `the end at ${size.width} × ${size.height}`);
	}
	// Reading further up: the same message is at the top after the turn.
	await until(async () => {
		await page.$eval('#scroller', (el) => el.scrollBy(0, -900));
		return page.isVisible('#jump');
	}, 'to be further up');
	const topmost = () => page.evaluate(() => {
		const from = document.querySelector('#scroller').getBoundingClientRect().top;
		return [...document.querySelectorAll('.row')].find((row) => row.getBoundingClientRect().bottom > from + 1).querySelector('.text').textContent.slice(0, 8);
	});
	await ada.context.clock.runFor(300);   // where one reads is noted when the scrolling has come to rest
	const reading = await topmost();
	await page.setViewportSize(turned);
	await until(async () => (await topmost()) === reading, `“${reading}” at the top`);
	await page.setViewportSize(PHONE);
	// What the keyboard leaves is what the page fills.
	await page.evaluate(() => {
		Object.defineProperty(visualViewport, 'height', { value: 500, configurable: true });
		visualViewport.dispatchEvent(new Event('resize'));
	});
	assert.equal(await page.$eval('#app', (el) => Math.round(el.getBoundingClientRect().height)), 500);
	assert.ok((await page.locator('#send, #mic').last().boundingBox()).y < 500);
	await ada.close();
});

test('whatever is to be pressed is large enough for a finger', async () => {
	const ada = await Person.open(server, 'Finger', { viewport: PHONE, locale: 'ru-RU' }), boris = await Person.open(server, 'Nail');
	await boris.say('hello');
	await ada.sees('hello');
	const small = () => ada.page.evaluate(() => [...document.querySelectorAll('button, a.file, [role=option], .segments label, .flag')]
		.filter((el) => el.checkVisibility() && !el.disabled && !el.closest('[inert]') && !el.ariaHidden && !el.matches('.who') && (!document.querySelector('dialog[open]') || el.closest('dialog')))
		.map((el) => {
			const box = el.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
			const mine = (dx, dy) => {
				const at = document.elementFromPoint(x + dx, y + dy);
				return el.contains(at) || at?.closest('label') === el.closest('label') && !!at?.closest('label');
			};
			if (x < 0 || y < 0 || x > innerWidth || y > innerHeight || !mine(0, 0)) return null;
			const tall = mine(0, -20.5) || mine(0, 20.5) && box.height >= 24, wide = box.width >= 44 || mine(-20.5, 0) || mine(20.5, 0);
			return tall && wide ? null : `${el.id || el.className} ${box.width.toFixed()}×${box.height.toFixed()}`;
		}).filter(Boolean));
	assert.deepEqual(await small(), [], 'in a conversation');
	await ada.page.tap('#emoji');
	assert.deepEqual(await small(), [], 'the emoji');
	await ada.page.tap('.emoji-panel button >> nth=3');
	assert.notEqual(await ada.page.inputValue('#input'), '');
	assert.notEqual(await ada.page.evaluate(() => document.activeElement.id), 'input', 'the keyboard stays down');
	await ada.page.tap('#emoji');
	await ada.page.fill('#input', '@na');
	await ada.page.locator('#input').pressSequentially('i');
	await ada.page.waitForSelector('#suggest .option');
	assert.deepEqual(await small(), [], 'the completion');
	await ada.page.tap('#suggest .option');
	assert.equal(await ada.page.inputValue('#input'), '@Nail ', 'a tap completes');
	await ada.page.fill('#input', '');
	await ada.page.tap('#back');
	await ada.page.waitForSelector('#sidebar', { state: 'visible' });
	assert.deepEqual(await small(), [], 'in the list');
	await ada.page.tap('#settings');
	await ada.page.waitForSelector('dialog[open]');
	assert.deepEqual(await small(), [], 'in the settings');
	await ada.close();
	await boris.close();
});

test('held by a finger: sliding away cancels, sliding up locks, letting go sends', async () => {
	const ada = await Person.open(server, 'Holder', { viewport: PHONE, locale: 'ru-RU' }), boris = await Person.open(server, 'Listener');
	const touch = await fingers(ada);
	const mic = await centre(ada.page.locator('#mic'));
	const voices = () => boris.frames.filter((f) => f.type === 'voice').length;
	const hold = async () => {
		await touch.down(mic);
		await ada.page.waitForSelector('#recording:not([hidden])');
		await until(async () => /0:0[1-9]/.test(await ada.page.textContent('#rec-time')), 'a second of it');
	};
	await hold();
	assert.match(await ada.page.textContent('#rec-hint'), /Сдвиньте/);
	for (let i = 1; i <= 6; i++) await touch.move([mic[0] - i * 25, mic[1]]);
	await ada.page.waitForSelector('#recording.cancelling');
	assert.match(await ada.page.textContent('#rec-hint'), /Отпустите/);
	await touch.up();
	await ada.page.waitForSelector('#recording', { state: 'hidden' });
	await hold();
	for (let i = 1; i <= 6; i++) await touch.move([mic[0], mic[1] - i * 15]);
	await ada.page.waitForSelector('#composer.locked');
	await sleep(150);   // lifted in full flight, a finger leaves a fling behind, and the browser takes the next tap for stopping it
	await touch.move([mic[0], mic[1] - 90]);
	await touch.up();
	await ada.page.tap('#rec-cancel');
	await ada.page.waitForSelector('#recording', { state: 'hidden' });
	await hold();
	await touch.up();
	await boris.page.waitForSelector('.row.theirs .voice-play');
	assert.equal(voices(), 1, 'of three recordings one was sent');
	assert.ok(boris.frames.find((f) => f.type === 'voice').duration >= 1, 'the second that the clock showed was over');
	// A tap is no recording; it says how to make one.
	await ada.page.tap('#mic');
	await ada.page.waitForSelector('.toast:has-text("Удерживайте")');
	await ada.close();
	await boris.close();
});

test('in the viewer: pinch and double tap zoom, a swipe goes on, a pull closes', async () => {
	const ada = await Person.open(server, 'Pincher', { viewport: PHONE }), boris = await Person.open(server, 'Painter');
	for (const [name, width] of [['one.png', 300], ['two.png', 310]]) {
		await boris.sendFiles({ name, mimeType: 'image/png', buffer: png(width, 200) });
		await ada.page.waitForSelector(`.row.theirs .pic img[alt*="${name}"]`);
	}
	await ada.page.tap('.row.theirs .pic img[alt*="two.png"]');
	const caption = ada.page.locator('.viewer-caption'), img = ada.page.locator('.viewer-stage img');
	await until(async () => /two/.test(await caption.textContent()), 'the second picture');
	const touch = await fingers(ada), [x, y] = await centre(ada.page.locator('.viewer-stage'));
	const zoom = () => img.evaluate((el) => new DOMMatrix(getComputedStyle(el).transform).a);
	await touch.down([x - 30, y], [x + 30, y]);
	for (let i = 1; i <= 6; i++) await touch.move([x - 30 - i * 10, y], [x + 30 + i * 10, y]);
	await touch.up();
	await until(async () => (await zoom()) > 2, 'the pinch to zoom');
	for (let i = 0; i < 2; i++) {
		await touch.down([x, y]);
		await touch.up();
	}
	await until(async () => (await zoom()) === 1, 'the double tap to zoom out again');
	await touch.swipe([x, y], [140, 4]);
	await until(async () => /one/.test(await caption.textContent()), 'the one before');
	await touch.swipe([x, y], [-140, 4]);
	await until(async () => /two/.test(await caption.textContent()), 'the one after');
	await touch.swipe([x, y], [3, 60]);
	assert.ok(await ada.page.locator('dialog.viewer').count(), 'a short pull does nothing');
	await touch.swipe([x, y], [3, 200]);
	await ada.page.waitForSelector('dialog.viewer', { state: 'detached' });
	await ada.close();
	await boris.close();
});
