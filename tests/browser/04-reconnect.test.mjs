// The connection breaks, the server dies, the tab closes: nothing is lost, nothing comes twice, and the page says what is going on.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, stage, until } from './lib.mjs';

const server = stage();

const counted = (list) => list.filter((text) => /^[nd]\d+$/.test(text));

test('killed while two people write: every message once, in the same order at both', async () => {
	const [ada, boris] = [await Person.open(server, 'Ada', { mayBeDown: true }), await Person.open(server, 'Boris', { mayBeDown: true })];
	const wanted = [];
	for (let i = 0; i < 30; i++) {
		if (i === 10 || i === 20) await server.stop();
		wanted.push(`n${i}`);
		await (i % 2 ? ada : boris).say(`n${i}`);
		if (i === 12 || i === 23) await server.spawn(server.port);
	}
	for (const p of [ada, boris]) {
		await until(async () => new Set(counted(await p.texts())).size === 30 && (await p.page.locator('.row.pending').count()) === 0, 'all thirty, confirmed');
	}
	const [a, b] = [counted(await ada.texts()), counted(await boris.texts())];
	assert.equal(a.length, 30, `no doubles: ${a}`);
	assert.deepEqual(a, b);
	assert.deepEqual([...a].sort(), [...wanted].sort());
	// And the server's own memory of it is the same.
	await ada.page.reload();
	await ada.ready();
	await ada.sees('n29');
	assert.deepEqual(counted(await ada.texts()), b);
	await ada.close();
	await boris.close();
});

test('while it is down the page says so, keeps what is written, and marks it as waiting', async () => {
	const ada = await Person.open(server, 'Ada2', { mayBeDown: true, locale: 'ru-RU' });
	await server.stop();
	await ada.page.waitForSelector('#status:not([hidden])');
	await ada.say('напишу пока без сети');
	await ada.page.waitForSelector('.row.pending:has-text("напишу пока без сети")');
	assert.match(await ada.page.textContent('.row.pending .meta'), /Ждёт соединения/);
	await server.spawn(server.port);
	await ada.ready();
	await ada.page.waitForSelector('#status', { state: 'hidden' });
	await ada.settled();
	assert.equal((await ada.texts()).filter((text) => text === 'напишу пока без сети').length, 1);
	await ada.close();
});

test('written offline, the tab closed: another tab delivers it, once', async () => {
	const ada = await Person.open(server, 'Ada3', { mayBeDown: true }), boris = await Person.open(server, 'Boris3', { mayBeDown: true });
	await server.stop();
	await ada.say('posted before closing');
	await ada.sendFiles({ name: 'left.txt', mimeType: 'text/plain', buffer: Buffer.from('left behind') });
	await until(async () => (await ada.page.locator('.row.pending').count()) === 2, 'two waiting');
	await until(() => ada.page.evaluate(() => new Promise((resolve) => {
		indexedDB.open('wavechat').onsuccess = ({ target: { result: db } }) => {
			db.transaction('outbox').objectStore('outbox').count().onsuccess = ({ target }) => {
				resolve(target.result === 2);
				db.close();
			};
		};
	})), 'both on the shelf');
	await ada.page.close();
	await server.spawn(server.port);
	await ada.tab();
	await ada.ready();
	await boris.sees('posted before closing');
	await boris.page.waitForSelector('a.file:has-text("left.txt")');
	await ada.settled();
	for (const p of [ada, boris]) {
		assert.equal((await p.texts()).filter((text) => text === 'posted before closing').length, 1);
		assert.equal(await p.page.locator('a.file:has-text("left.txt")').count(), 1);
	}
	await ada.close();
	await boris.close();
});

test('private messages and public ones missed while away are there after the return', async () => {
	const ada = await Person.open(server, 'Ada4', { mayBeDown: true }), boris = await Person.open(server, 'Boris4', { mayBeDown: true });
	await boris.openTalk('Ada4');
	await ada.context.setOffline(true);
	// Cutting the network does not cut open sockets in this browser: the server's end does it.
	await server.restart();
	await boris.ready();
	for (let i = 0; i < 5; i++) await boris.say(`d${i}`);
	await boris.openTalk('General');
	await boris.say('while you were away');
	await boris.settled();
	await ada.page.waitForSelector('#status[data-state=offline]:not([hidden]), #status[data-state=waiting]:not([hidden])');
	await ada.context.setOffline(false);
	await ada.ready();
	await ada.sees('while you were away');
	await ada.page.waitForSelector('.talk.is-dm .badge:has-text("5")');
	await ada.openTalk('Boris4');
	await ada.sees('d4');
	assert.deepEqual(counted(await ada.texts()), ['d0', 'd1', 'd2', 'd3', 'd4']);
	await ada.close();
	await boris.close();
});

test('an upload broken off by a crash goes on and arrives whole', async () => {
	const ada = await Person.open(server, 'Ada5', { mayBeDown: true }), boris = await Person.open(server, 'Boris5', { mayBeDown: true });
	let posts = 0;
	await ada.page.route('**/upload?*', async (route) => {
		if (route.request().method() === 'POST' && ++posts === 1) await server.restart();
		await route.continue().catch(() => {});
	});
	await ada.sendLarge('big.bin', 3 << 20);
	await boris.page.waitForSelector('a.file:has-text("big.bin")');
	assert.equal(await boris.page.locator('a.file:has-text("big.bin")').count(), 1);
	await ada.close();
	await boris.close();
});
