// What the server can say beside messages: refusals, gaps, deletions, files gone, announcements. Where waiting for a real one would take days, the
// frame is put between the real server and the page.
import assert from 'node:assert/strict';
import test from 'node:test';
import { peer, Person, sleep, stage, until } from './lib.mjs';

const server = stage();

/** A person whose socket passes through `onSend(frame, inject)`: true there means that the server does not get it. */
async function between(name, onSend = () => false) {
	const person = await Person.open(server, null, { mayBeDown: true });
	await person.page.routeWebSocket(/\/ws$/, (socket) => {
		const upstream = socket.connectToServer();
		person.inject = (frame) => socket.send(JSON.stringify(frame));
		person.cut = () => socket.close({ code: 1012 });
		socket.onMessage((text) => onSend(JSON.parse(text), person.inject) || upstream.send(text));
	});
	await person.page.reload();
	await person.join(name);
	return person;
}

test('a refused message says why, and goes through when it is tried again', async () => {
	const seen = [];
	const ada = await between('Ada', (f, inject) => {
		if (f.text !== 'am I allowed?') return false;
		seen.push(f.cid);
		if (seen.length > 1) return false;
		inject({ type: 'error', code: 'muted', text: 'muted', cid: f.cid });
		return true;
	});
	await ada.say('am I allowed?');
	const failure = ada.page.locator('.row.failed .failure');
	await failure.waitFor();
	assert.match(await failure.textContent(), /Not sent.*muted/);
	await ada.page.reload();
	await ada.ready();
	await failure.waitFor();
	await failure.locator('button').first().click();
	await until(async () => (await ada.page.locator('.row.mine:not(.pending)', { hasText: 'am I allowed?' }).count()) === 1, 'it to be sent');
	assert.equal(new Set(seen).size, 1, 'the same cid both times');
	await ada.close();
});

test('too fast: the page waits as long as it is told, and sends', async () => {
	let first = 0, second = 0;
	const ada = await between('Ada2', (f, inject) => {
		if (f.text !== 'in a hurry') return false;
		if (first) {
			second = Date.now();
			return false;
		}
		first = Date.now();
		inject({ type: 'error', code: 'rate_limited', text: 'slow down', cid: f.cid, retry_ms: 900 });
		return true;
	});
	await ada.say('in a hurry');
	await until(async () => (await ada.page.locator('.row.mine:not(.pending)', { hasText: 'in a hurry' }).count()) === 1, 'it to be sent');
	assert.ok(second - first >= 900, `${second - first} ms`);
	assert.equal(await ada.page.locator('.row.failed').count(), 0);
	await ada.close();
});

test('away for more than a thousand messages: all of them come, in order, while new ones arrive', async () => {
	const ada = await between('Ada3');
	const flood = await peer(server, 'Flood'), { say } = flood;
	say('g0');
	await ada.sees('g0');
	await ada.context.setOffline(true);
	await ada.cut();
	await ada.page.waitForSelector('#app:not([data-net=ready])', { state: 'attached' });
	for (let i = 1; i <= 2300; i++) {
		say(`g${i}`);
		if (i % 100 === 0) await sleep(10);
	}
	await until(() => flood.frames.some((f) => f.text === 'g2300'), 'all of them to be stored');
	await ada.context.setOffline(false);
	for (let i = 2301; i <= 2340; i++) {
		say(`g${i}`);
		await sleep(15);
	}
	await ada.ready();
	await until(() => ada.frames.some((f) => f.type === 'sync' && !f.more), 'the gap to be closed');
	await ada.page.locator('#jump').click({ timeout: 1000 }).catch(() => {});
	await ada.sees('g2340');
	// Every one once and in order: read upwards through the window.
	const got = await ada.page.evaluate(async () => {
		const scroller = document.querySelector('#scroller'), found = [];
		for (let i = 0; i < 1500; i++) {
			const shown = [...document.querySelectorAll('#log .text')].map((el) => el.textContent).filter((text) => /^g\d+$/.test(text)).map((text) => Number(text.slice(1)));
			for (let n = 1; n < shown.length; n++) if (shown[n] !== shown[n - 1] + 1) return { broken: [shown[n - 1], shown[n]] };
			found.push(...shown);
			if (shown.includes(1)) break;
			scroller.scrollTop -= 3000;
			await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
		}
		return { count: new Set(found).size };
	});
	assert.ok(got.count >= 2340, JSON.stringify(got));
	flood.close();
	await ada.close();
});

test('deleted messages, files no longer kept, and announcements', async () => {
	const ada = await between('Ada4'), boris = await Person.open(server, 'Boris4');
	await boris.say('regrettable');
	await ada.sees('regrettable');
	const message = ada.frames.findLast((f) => f.text === 'regrettable');
	await ada.inject({ type: 'delete', id: message.id + 1, at: Date.now(), target: message.id });
	await ada.sees('This message was removed');
	assert.ok(!(await ada.texts()).includes('regrettable'));
	const common = { at: Date.now(), dm: false, from_id: message.from_id, from_name: 'Boris4' };
	await ada.inject({ ...common, type: 'file', id: message.id + 2, filename: 'old.png', mime: 'image/png', size: 12345, url: null, gone: true });
	await ada.page.waitForSelector('.row:has-text("old.png"):has-text("No longer kept")');
	assert.equal(await ada.page.locator('.row:has-text("old.png") a').count(), 0);
	await ada.inject({ ...common, type: 'voice', id: message.id + 3, duration: 3, url: null, gone: true });
	assert.ok(await ada.page.locator('.row .voice-play').last().isDisabled());
	// A URL that is not the server's own is not used, whoever sends it.
	await ada.inject({ ...common, type: 'file', id: message.id + 4, filename: 'evil.png', mime: 'image/png', size: 1, url: 'https://elsewhere.example/x.png' });
	await ada.page.waitForSelector('.row:has-text("evil.png")');
	assert.equal(await ada.page.locator('.row:has-text("evil.png") :is(a, img)').count(), 0);
	await ada.inject({ type: 'system', text: 'The server restarts at <noon>', at: Date.now() });
	await ada.page.waitForSelector('.announce:has-text("The server restarts at <noon>")');
	await ada.page.click('.announce button');
	assert.equal(await ada.page.locator('#announcements .announce').count(), 0);
	await ada.close();
	await boris.close();
});
