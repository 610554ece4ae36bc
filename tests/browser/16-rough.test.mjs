// Rough handling: switched in haste, dropped and pasted, pulled off the disk, left open for long, at midnight, in two tabs, over an update.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import test from 'node:test';
import { Person, PHONE, stage, until } from './lib.mjs';
import { png } from './pictures.mjs';

const server = stage();

test('the harness itself: a page that complains fails its test', async () => {
	for (const complain of [() => console.error('something is wrong'), () => setTimeout(() => { throw new Error('thrown'); }),
		() => { document.body.style.background = 'url(https://elsewhere.example/x.png)'; }, () => setTimeout(() => alert('a dialog'))]) {
		const ada = await Person.open(server, null);
		await ada.page.evaluate(complain);
		await until(() => ada.complaints.length > 0, `a complaint about ${complain}`);
		await assert.rejects(() => ada.close());
	}
});

test('every draft stays in its conversation, however fast one goes from one to the next, and after the tab closes', async () => {
	const ada = await Person.open(server, 'Ada'), boris = await Person.open(server, 'Boris'), chen = await Person.open(server, 'Chen');
	await ada.meets('Boris', 'Chen');
	await boris.openTalk('Ada');
	await boris.say('hi');
	await chen.openTalk('Ada');
	await chen.say('hi');
	await ada.page.waitForSelector('.talk:has-text("Chen")');
	await ada.page.waitForSelector('.talk:has-text("Boris")');
	await ada.page.evaluate(() => {
		const input = document.querySelector('#input');
		for (let round = 0; round < 3; round++) {
			for (const el of [...document.querySelectorAll('.talk')]) {
				el.click();
				input.value = `draft for ${document.querySelector('#chat-title').textContent}`;
				input.dispatchEvent(new Event('input', { bubbles: true }));
			}
		}
	});
	for (const name of ['General', 'Boris', 'Chen']) {
		await ada.openTalk(name);
		assert.equal(await ada.page.inputValue('#input'), `draft for ${name}`);
	}
	await ada.page.fill('#input', 'the last words before closing');
	await ada.page.close({ runBeforeUnload: false });
	await ada.tab();
	await ada.ready();
	await ada.openTalk('Chen');
	assert.equal(await ada.page.inputValue('#input'), 'the last words before closing');
	for (const p of [ada, boris, chen]) await p.close();
});

test('a reload in a private talk comes back to it; a leave forgets where one was', async () => {
	const ada = await Person.open(server, 'Ада', { locale: 'ru-RU' }), boris = await Person.open(server, 'Боря');
	await ada.openTalk('Боря');
	await ada.say('сюда вернусь');
	await ada.page.reload();
	await ada.ready();
	assert.equal(await ada.page.textContent('#chat-title'), 'Боря');
	await ada.sees('сюда вернусь');
	await ada.page.fill('#input', 'чужим не видно');
	await ada.page.click('#settings');
	await ada.page.click('dialog .button.danger');
	await ada.page.click('dialog .button.danger:has-text("Выйти")');
	await ada.page.waitForSelector('#entry:not([hidden])');
	await ada.join('Ада снова');
	assert.equal(await ada.page.textContent('#chat-title'), 'Общий чат');
	assert.equal(await ada.page.evaluate(() => localStorage.getItem('wave.drafts')), null);
	await ada.close();
	await boris.close();
});

test('several pictures pasted at once, a folder dropped, a file of no type', async () => {
	const ada = await Person.open(server, 'Ada P'), boris = await Person.open(server, 'Boris P');
	await ada.page.evaluate((bytes) => {
		const data = new DataTransfer();
		for (const name of ['1.png', '2.png', '3.png']) data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
		document.querySelector('#input').dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
	}, [...png(30, 20)]);
	await until(async () => (await ada.page.locator('.chip img').count()) === 3, 'three chips');
	await ada.page.press('#input', 'Enter');
	await until(async () => (await boris.page.locator('.row.theirs .pic').count()) === 3, 'three pictures');
	// A synthetic drop cannot hold a folder, so the two calls by which the page tells one are answered as the browser would.
	await ada.page.evaluate(() => {
		const data = new DataTransfer();
		data.items.add(new File(['x'], 'Holiday'));
		data.items.add(new File(['a file'], 'README'));
		const proto = DataTransferItem.prototype, original = proto.webkitGetAsEntry;
		proto.webkitGetAsEntry = function () {
			const file = this.getAsFile();
			return { isDirectory: file.name === 'Holiday', name: file.name };
		};
		document.querySelector('#chat').dispatchEvent(new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
		proto.webkitGetAsEntry = original;
	});
	await ada.page.waitForSelector('.toast:has-text("“Holiday” is a folder")');
	await until(async () => (await ada.page.locator('.chip').count()) === 1, 'the file alone');
	await ada.page.press('#input', 'Enter');
	await boris.page.waitForSelector('.row.theirs a.file:has-text("README")');
	assert.equal(boris.frames.findLast((f) => f.type === 'file').mime, 'application/octet-stream');
	await ada.close();
	await boris.close();
});

test('a file that is gone from the disk before it is sent: said, and not tried for ever', async () => {
	const ada = await Person.open(server, 'Ada G', { viewport: PHONE, locale: 'ru-RU' });
	const file = path.join(os.tmpdir(), `wavechat-gone-${process.pid}.bin`);
	fs.writeFileSync(file, Buffer.alloc(200000));
	// By its path, as a person's file is chosen: playwright would hand over a copy of it.
	const cdp = await ada.context.newCDPSession(ada.page);
	const { root } = await cdp.send('DOM.getDocument'), { nodeId } = await cdp.send('DOM.querySelector', { nodeId: root.nodeId, selector: '#files' });
	await cdp.send('DOM.setFileInputFiles', { files: [file], nodeId });
	await ada.page.waitForSelector('.chip');
	fs.unlinkSync(file);
	await ada.page.tap('#send');
	await ada.page.waitForSelector('.row.failed .failure:has-text("больше нет")');
	await ada.page.tap('.failure button:has-text("Убрать")');
	await ada.page.waitForSelector('.row.failed', { state: 'detached' });
	ada.complaints = ada.complaints.filter((line) => !/ERR_FILE_NOT_FOUND|ERR_UPLOAD_FILE_CHANGED/.test(line));
	await ada.close();
});

test('the server dies in the middle of an upload: it goes on from where it was', async () => {
	const ada = await Person.open(server, 'Ada U', { mayBeDown: true }), boris = await Person.open(server, 'Boris U', { mayBeDown: true });
	const offsets = [];
	ada.page.on('request', (request) => request.method() === 'POST' && offsets.push(Number(new URL(request.url()).searchParams.get('offset'))));
	const cdp = await ada.context.newCDPSession(ada.page);
	await cdp.send('Network.enable');
	await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 2 << 20 });
	await ada.sendLarge('slow.bin', 20 << 20); // more than what lies in sockets
	await until(() => ada.page.evaluate(() => Number(document.querySelector('.ring')?.style.getPropertyValue('--p')) > 0.3), 'a third of it');
	// The browser itself repeats a request whose connection was reset, from its first byte. So the page hears of it only when nobody listens.
	await Promise.all([ada.page.waitForEvent('requestfailed'), server.stop()]);
	await server.spawn(server.port);
	await cdp.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1 });
	await boris.page.waitForSelector('a.file:has-text("slow.bin")');
	assert.ok(offsets.some((offset) => offset > 0), `offsets ${offsets}`);
	await ada.settled();
	await ada.close();
	await boris.close();
});

test('pictures that load late do not move what is read', async () => {
	const ada = await Person.open(server, 'Ada M'), boris = await Person.open(server, 'Boris M');
	for (let i = 0; i < 4; i++) await boris.sendFiles({ name: `${i}.png`, mimeType: 'image/png', buffer: png(300 + i, 500) });
	await boris.say('below the pictures');
	await boris.settled();
	let release;
	const held = new Promise((resolve) => (release = resolve));
	await ada.page.route('**/f/**', async (route) => {
		await held;
		await route.continue();
	});
	await ada.page.reload();
	await ada.ready();
	await ada.sees('below the pictures');
	const place = () => ada.page.evaluate(() => [...document.querySelectorAll('.row')].slice(-5).map((row) => Math.round(row.getBoundingClientRect().top)).join());
	const was = await place();
	release();
	await until(() => ada.page.evaluate(() => [...document.querySelectorAll('.pic img')].slice(-4).every((img) => img.complete && img.naturalHeight === 500)), 'the pictures');
	assert.equal(await place(), was);
	await ada.close();
	await boris.close();
});

test('a file sent is let go: past 24 MB the oldest preview is the server’s', async () => {
	const ada = await Person.open(server, 'Ada B');
	await ada.page.evaluate(() => {
		window.open = new Set();
		const { createObjectURL, revokeObjectURL } = URL;
		URL.createObjectURL = (blob) => (window.open.add(createObjectURL(blob)), [...window.open].at(-1));
		URL.revokeObjectURL = (url) => (window.open.delete(url), revokeObjectURL(url));
	});
	for (let i = 0; i < 3; i++) {
		await ada.sendLarge(`big${i}.bin`, 11 << 20);
		await until(async () => (await ada.page.locator('.row.mine:not(.pending) a.file[download^=big]').count()) === i + 1, 'it to be sent');
	}
	const hrefs = () => ada.page.$$eval('a.file[download^=big]', (all) => all.map((a) => new URL(a.href).protocol));
	await until(async () => (await hrefs()).join() === 'http:,blob:,blob:', 'the first one to be the server’s');
	assert.equal(await ada.page.evaluate(() => window.open.size), 2);
	await ada.close();
});

test('midnight passes, the zone changes: days and hours follow, the place in the text stays', async () => {
	const ada = await Person.open(server, null, { hasClock: true });
	await ada.join('Ada C');
	await ada.say('just before midnight');
	await ada.settled();
	assert.equal((await ada.page.locator('.sep.day').last().textContent()), 'Today');
	const tomorrow = new Date();
	tomorrow.setHours(24, 0, 5, 0);
	await ada.page.clock.setSystemTime(tomorrow);
	await ada.page.clock.runFor(25000);
	await until(async () => (await ada.page.locator('.sep.day').last().textContent()) === 'Yesterday', 'yesterday');
	const hour = () => ada.page.locator('.row time').last().textContent();
	const was = await hour();
	const cdp = await ada.context.newCDPSession(ada.page);
	await cdp.send('Emulation.setTimezoneOverride', { timezoneId: 'Asia/Kathmandu' });
	await ada.page.clock.runFor(25000);
	await until(async () => (await hour()) !== was, 'the other zone’s hour');
	await ada.close();
});

test('awake after a long sleep: the dead socket is not waited for', async () => {
	const ada = await Person.open(server, null, { mayBeDown: true, hasClock: true });
	let dialled = 0, isDeaf = false;
	await ada.page.routeWebSocket(/\/ws$/, (socket) => {
		dialled++;
		const upstream = socket.connectToServer(), mine = dialled;
		socket.onMessage((text) => isDeaf && mine === 1 || upstream.send(text));
		upstream.onMessage((text) => isDeaf && mine === 1 || socket.send(text));
	});
	await ada.page.reload();
	await ada.join('Sleeper');
	isDeaf = true;
	// The page's time stands still: whatever it would wait for does not come.
	await ada.context.clock.pauseAt(Date.now() + 2000);
	await ada.page.evaluate(() => {
		const { now } = Date;
		Date.now = () => now() + 3600e3;
		document.dispatchEvent(new Event('resume'));
	});
	await until(() => dialled === 2, 'another socket');
	await ada.context.clock.resume();
	await ada.ready();
	await ada.say('good morning');
	await ada.settled();
	// And while it waits for its next try, the network's return is enough.
	await ada.context.setOffline(true);
	await server.stop();
	await ada.page.waitForSelector('#app:not([data-net=ready])', { state: 'attached' });
	await server.spawn(server.port);
	await ada.context.setOffline(false);
	await ada.ready();
	await ada.close();
});

test('of two tabs, one calls; and none if the other one shows the message', async () => {
	const ada = await Person.open(server, null, { permissions: ['notifications'], serviceWorkers: 'block', hasClock: true });
	const prepare = (page) => page.addInitScript(() => {
		window.shown = [];
		window.tones = 0;
		window.Notification = class {
			static permission = 'granted';
			constructor(title, options) {
				window.shown.push({ title, ...options });
				window.last = this;
			}
			close() {}
		};
		const { createOscillator } = AudioContext.prototype;
		AudioContext.prototype.createOscillator = function () {
			window.tones++;
			return createOscillator.call(this);
		};
	});
	const first = ada.page;
	await prepare(first);
	await first.reload();
	await ada.join('Ada T');
	await first.evaluate(() => localStorage.setItem('wave.notify', 'true'));
	const second = await ada.tab();
	await prepare(second);
	await second.reload();
	await ada.ready();
	const boris = await Person.open(server, 'Boris T');
	await boris.openTalk('Ada T');
	for (const page of [first, second]) await ada.hide(true, page);
	/** Longer than any tab waits before it calls; and then until those have called that stood in line for it. */
	const waited = async () => {
		await ada.context.clock.runFor(5000);
		for (const page of [first, second]) await page.evaluate(() => navigator.locks.request('wave:call', () => {}));
	};
	await boris.say('is anybody there?');
	const shown = async () => (await Promise.all([first, second].map((page) => page.evaluate(() => window.shown.length)))).reduce((a, b) => a + b);
	await until(async () => (await shown()) > 0, 'a notification');
	await waited();
	assert.equal(await shown(), 1, 'one of the two');
	const tones = await Promise.all([first, second].map((page) => page.evaluate(() => window.tones)));
	assert.deepEqual(tones.sort(), [0, 2], 'and one tone, of two notes');
	// A click on it leads to the conversation.
	const caller = (await first.evaluate(() => window.shown.length)) ? first : second;
	await caller.evaluate(() => window.last.onclick());
	await until(async () => (await caller.textContent('#chat-title')) === 'Boris T', 'the conversation');
	// The other tab is looked at, and shows the message: nobody calls.
	await ada.hide(false, caller);
	await until(async () => (await caller.locator('.talk .badge').count()) === 0, 'all to be read');
	const marks = () => caller.evaluate(() => localStorage.getItem('wave.read')), before = await marks();
	await boris.say('seen at once');
	await until(async () => (await caller.locator('.text', { hasText: 'seen at once' }).count()) === 1, 'it on the page');
	await until(async () => (await marks()) !== before, 'its read mark, which the other tab looks at');
	await waited();
	assert.equal(await shown(), 1);
	await ada.close();
	await boris.close();
});

/** A small proxy in front of the server, through which `change(url, body)` may alter what a GET brings. */
async function inFront(change) {
	const front = http.createServer((request, response) => {
		const { 'accept-encoding': encoding, 'if-none-match': etag, ...headers } = request.headers;
		request.pipe(http.request({ host: '127.0.0.1', port: server.port, method: request.method, path: request.url, headers }, (answer) => {
			const chunks = [];
			answer.on('data', (chunk) => chunks.push(chunk));
			answer.on('end', () => {
				const body = change(request.url, Buffer.concat(chunks));
				response.writeHead(answer.statusCode, { ...answer.headers, 'content-length': body.length });
				response.end(body);
			});
		}));
	});
	front.on('upgrade', (request, socket) => {
		const lines = [`${request.method} ${request.url} HTTP/1.1`];
		for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
		const upstream = net.connect(server.port, '127.0.0.1', () => upstream.write(lines.join('\r\n') + '\r\n\r\n'));
		socket.pipe(upstream).pipe(socket);
		for (const end of [socket, upstream]) end.on('error', () => {});
	});
	await new Promise((resolve) => front.listen(0, '127.0.0.1', resolve));
	return { url: `http://localhost:${front.address().port}/`, close: () => front.close() };
}

test('a newer server: the page says so and takes the new page; the worker clears out the old', async () => {
	const front = await inFront((url, body) => (isNext && url === '/sw.js' ? Buffer.from(String(body).replace(/'wave-[0-9a-f]+'/, "'wave-next'")) : body));
	let isNext = false;
	const ada = await Person.open(server, null, { locale: 'ru-RU', path: front.url });
	await ada.page.evaluate(() => navigator.serviceWorker.ready.then(() => {}));
	await ada.page.routeWebSocket(/\/ws$/, (socket) => {
		const upstream = socket.connectToServer();
		upstream.onMessage((text) => {
			const frame = JSON.parse(text);
			if (frame.type === 'init') frame.server = 'wavechatd 9.9.9';
			socket.send(JSON.stringify(frame));
		});
	});
	await ada.page.reload();
	await ada.join('Updater');
	await ada.page.waitForSelector('.toast:has-text("Чат обновился")');
	await ada.page.evaluate(() => (window.isOld = true));
	await ada.page.click('.toast button');
	await ada.page.waitForFunction(() => !window.isOld);
	await ada.ready();
	// Said once for a version: the page does not reload for ever where a proxy keeps an old one.
	assert.equal(await ada.page.locator('.toast').count(), 0);
	// A worker of other bytes takes over and keeps nothing of the one before.
	isNext = true;
	await ada.page.evaluate(() => navigator.serviceWorker.getRegistration().then((worker) => worker.update()).then(() => {}));
	await until(() => ada.page.evaluate(async () => (await caches.keys()).join() === 'wave-next'), 'the new cache alone');
	await ada.close();
	front.close();
});
