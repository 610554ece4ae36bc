// Around the chat: installing, opening without a network, being sent out, being called back by a notification.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, stage, until } from './lib.mjs';

const server = stage();

test('the manifest is complete, and its icons are what they say', async () => {
	const page = (await Person.open(server, null));
	const manifest = await page.page.evaluate(async () => (await fetch(document.querySelector('link[rel=manifest]').href)).json());
	assert.equal(manifest.display, 'standalone');
	for (const { src, sizes, type } of manifest.icons) {
		const got = await page.page.evaluate(async (url) => {
			const response = await fetch(url);
			const type = response.headers.get('content-type');
			const img = new Image();
			img.src = URL.createObjectURL(await response.blob());
			await img.decode();
			return { type, width: img.naturalWidth };
		}, src);
		assert.equal(got.type, type);
		if (sizes !== 'any') assert.equal(got.width, parseInt(sizes, 10));
	}
	await page.close();
});

test('the service worker opens the shell while the server is away, and the messages come when it is back', async () => {
	const ada = await Person.open(server, 'Ada', { mayBeDown: true });
	await ada.say('before the night');
	await ada.page.evaluate(async () => {
		await navigator.serviceWorker.ready;
	});
	await until(() => ada.page.evaluate(async () => (await Promise.all((await caches.keys()).map(async (name) => (await caches.open(name)).match('/')))).some(Boolean)), 'the shell in the cache');
	await ada.page.reload();
	await ada.ready();
	await server.stop();
	await ada.page.reload();
	await ada.page.waitForSelector('#app:not([hidden]) #status:not([hidden])');
	await ada.say('written in the dark');
	assert.equal(await ada.page.locator('.row.pending').count(), 1);
	await server.spawn(server.port);
	await ada.ready();
	await ada.sees('before the night');
	await ada.settled();
	assert.deepEqual((await ada.texts()).slice(-2), ['before the night', 'written in the dark']);
	await ada.close();
});

for (const [code, isBan, word] of [[4001, false, 'asked to leave'], [4002, true, 'cannot enter']]) {
	test(`close code ${code}: told why, and no reconnecting`, async () => {
		const ada = await Person.open(server, null, { hasClock: true });
		let dialled = 0, cut;
		await ada.page.routeWebSocket(/\/ws$/, (socket) => {
			dialled++;
			const upstream = socket.connectToServer();
			cut = () => socket.close({ code, reason: 'noise <b>at night</b>' }).then(() => upstream.close());
		});
		await ada.page.reload();
		await ada.join('Out' + code);
		await cut();
		await ada.page.waitForSelector(`#expelled:not([hidden]):has-text("${word}")`);
		assert.match(await ada.page.textContent('#expelled'), /noise <b>at night<\/b>/);
		await ada.context.clock.runFor(120000);   // longer than between any two tries
		assert.equal(dialled, 1, 'it did not dial again');
		assert.equal(await ada.page.locator('#expelled button').count(), isBan ? 0 : 1);
		if (!isBan) {
			await ada.page.click('#expelled button');
			await ada.ready();
			assert.equal(dialled, 2);
		}
		await ada.close();
	});
}

test('notifications: for private messages and mentions while the tab is hidden, none for the rest', async () => {
	const ada = await Person.open(server, null, { permissions: ['notifications'], serviceWorkers: 'block' });
	await ada.page.addInitScript(() => {
		window.shown = [];
		window.Notification = class {
			static permission = 'granted';
			static requestPermission = async () => 'granted';
			constructor(title, options) {
				window.shown.push({ title, ...options });
			}
			close() {}
		};
	});
	await ada.page.reload();
	await ada.join('Ada N');
	const boris = await Person.open(server, 'Boris N');
	await boris.meets('Ada N');
	await ada.page.click('#settings');
	await ada.page.check('.flags input >> nth=0', { force: true });
	await ada.page.keyboard.press('Escape');
	await ada.hide(true);
	await boris.say('nothing for you');
	await boris.page.fill('#input', 'ahoy @Ada N, look');
	await boris.page.press('#input', 'Enter');
	await boris.openTalk('Ada N');
	await boris.say('in private <b>');
	const shown = await until(async () => {
		const all = await ada.page.evaluate(() => window.shown);
		return all.length >= 2 && all;
	}, 'two notifications');
	assert.deepEqual(shown.map((n) => [n.title, n.body]), [['Boris N', 'ahoy @Ada N, look'], ['Boris N · private', 'in private <b>']]);
	await until(async () => (await ada.page.title()) === '(3) WaveChat', 'all three in the title');
	await ada.hide(false);
	await ada.page.waitForSelector('.sep.new');
	await ada.close();
	await boris.close();
});
