// One person in several places: names, tabs, devices.
import assert from 'node:assert/strict';
import test from 'node:test';
import WebSocket from 'ws';
import { Person, PHONE, stage, until } from './lib.mjs';

const server = stage();

test('a taken name is told, and the same browser comes back as itself', async () => {
	const [first, second] = [await Person.open(server, 'Same'), await Person.open(server, 'same')];
	await second.page.waitForSelector('.toast:has-text("taken")');
	const named = await second.page.locator('#people .person', { hasText: 'you' }).textContent();
	await second.say('still me?');
	await first.sees('still me?');
	await second.page.reload();
	await second.ready();
	assert.equal(await second.page.locator('#people .person', { hasText: 'you' }).textContent(), named);
	assert.equal(await second.page.locator('.row.mine', { hasText: 'still me?' }).count(), 1);
	await first.close();
	await second.close();
});

test('a second tab is the same person and shows what the first one sends', async () => {
	const ada = await Person.open(server, 'Ada4');
	const firstTab = ada.page;
	await ada.tab();
	await ada.ready();
	await firstTab.fill('#input', 'from the first tab');
	await firstTab.press('#input', 'Enter');
	await ada.sees('from the first tab');
	assert.equal(await ada.page.locator('.row.mine', { hasText: 'from the first tab' }).count(), 1);
	await ada.close();
});

test('a one-time link signs in a second device', async () => {
	const ada = await Person.open(server, 'Ada5'), boris = await Person.open(server, 'Boris5');
	await ada.openTalk('Boris5');
	await ada.say('kept for my phone');
	await ada.page.click('#settings');
	await ada.page.click('.device .button');
	const link = await ada.page.inputValue('.device-link input');
	assert.match(link, /\/#link=/);
	assert.ok(await ada.page.locator('svg.qr').count());
	const phone = await Person.open(server, null, { viewport: PHONE, path: new URL(link).pathname + new URL(link).hash });
	// A link may come from anybody: it is asked first.
	await phone.page.click('dialog button:has-text("Sign in")');
	await phone.ready();
	await phone.openTalk('Boris5');
	await phone.sees('kept for my phone');
	assert.equal(await phone.page.locator('.row.mine', { hasText: 'kept for my phone' }).count(), 1);
	await phone.say('from my phone');
	await ada.page.keyboard.press('Escape');
	await ada.sees('from my phone');
	// The code was for one use.
	const late = await Person.open(server, null, { path: new URL(link).pathname + new URL(link).hash });
	await late.page.click('dialog button:has-text("Sign in")');
	await late.page.waitForSelector('#entry-error:has-text("used or is too old")');
	await late.page.waitForSelector('#entry:not([hidden]) #name');
	for (const p of [ada, boris, phone, late]) await p.close();
});

test('a sign-in link that is declined, or is none, leaves the way in by a name', async () => {
	const ada = await Person.open(server, null, { path: '/#link=ABCDEFGHJKLMNPQR' });
	await ada.page.click('dialog button:has-text("Not now")');
	await ada.page.waitForSelector('dialog', { state: 'detached' });
	await ada.join('Declined');
	assert.equal(ada.frames.filter((f) => f.type === 'error').length, 0, 'the code was not sent');
	for (const hash of ['#link=', '#link=%E0%A4%A', '#link=' + 'A'.repeat(300), '#link=<b>']) {
		const eve = await Person.open(server, null, { path: '/' + hash });
		await eve.page.waitForSelector('#entry:not([hidden]) #entry-error:has-text("no whole sign-in link")');
		assert.equal(new URL(eve.page.url()).hash, '');
		await eve.close();
	}
	// Somebody who is signed in stays so.
	await ada.page.goto(server.url + '/#link=%'); // the page reloads itself for it
	await ada.page.waitForSelector('.toast:has-text("no whole sign-in link")');
	await ada.ready();
	await ada.close();
});

test('leaving ends the token, in all tabs of the browser; other devices stay', async () => {
	const ada = await Person.open(server, 'Ada Leaves');
	const token = await tokenOf(ada);
	await ada.page.click('#settings');
	await ada.page.click('.device .button');
	const link = new URL(await ada.page.inputValue('.device-link input'));
	await ada.page.keyboard.press('Escape');
	const phone = await Person.open(server, null, { viewport: PHONE, path: link.pathname + link.hash });
	await phone.page.click('dialog button:has-text("Sign in")');
	await phone.ready();
	const first = ada.page, second = await ada.tab();
	await ada.ready();
	await leaves(ada);
	for (const page of [first, second]) await page.waitForSelector('#entry:not([hidden]) #name');
	assert.equal(await first.evaluate(() => localStorage.getItem('wave.token')), null);
	assert.equal((await knock(token)).code, 'bad_token');
	await phone.say('still here');
	await phone.settled();
	for (const p of [ada, phone]) await p.close();
});

/** What the server says to somebody who comes with this token, or with none. */
function knock(token) {
	const socket = new WebSocket(`ws://127.0.0.1:${server.port}/ws`);
	return new Promise((resolve, reject) => {
		socket.on('open', () => socket.send(JSON.stringify({ type: 'join', v: 2, token, name: 'Knock' }))).on('error', reject);
		socket.on('message', (data) => {
			socket.close();
			resolve(JSON.parse(data));
		});
	});
}

async function leaves({ page }) {
	await page.click('#settings');
	await page.click('.dialog button:has-text("Leave and forget me here")');
	await page.click('.dialog button.danger');
}

const tokenOf = ({ page }) => page.evaluate(() => JSON.parse(localStorage.getItem('wave.token')));

test('leaving while the server is down: the token ends when it is there again, and until then the page says so', async () => {
	const ada = await Person.open(server, 'Ada Offline', { mayBeDown: true }), token = await tokenOf(ada);
	await ada.page.evaluate(() => navigator.serviceWorker.ready);
	await server.stop();
	await ada.page.waitForSelector('#status:not([hidden])');
	await leaves(ada);
	await ada.page.waitForSelector('.toast:has-text("has not ended your sign-in")');
	await ada.page.waitForSelector('#entry:not([hidden]) #name');
	assert.equal(await tokenOf(ada), null);
	await server.spawn(server.port);
	assert.equal((await knock(token)).type, 'init', 'nobody has told the server yet');
	await ada.page.reload();
	await until(() => ada.page.evaluate(() => localStorage.getItem('wave.ending') === null), 'the token to be ended');
	assert.equal((await knock(token)).code, 'bad_token');
	await ada.join('Somebody else');
	await ada.close();
});

test('leaving that the server refuses at first is done all the same', async () => {
	const ada = await Person.open(server, 'Ada Refused'), token = await tokenOf(ada);
	let refusals = 0;
	await ada.page.routeWebSocket('**/ws', (ws) => {
		const there = ws.connectToServer();
		ws.onMessage((text) => {
			if (JSON.parse(text).type !== 'sign_out' || refusals === 2) return there.send(text);
			refusals++;
			ws.send(JSON.stringify({ type: 'error', code: refusals === 1 ? 'storage' : 'rate_limited', text: 'not now', retry_ms: 10 }));
		});
	});
	await ada.page.reload();
	await ada.ready();
	await leaves(ada);
	await ada.page.waitForSelector('#entry:not([hidden]) #name');
	await until(() => ada.page.evaluate(() => localStorage.getItem('wave.ending') === null), 'the token to be ended');
	assert.equal(refusals, 2);
	assert.equal((await knock(token)).code, 'bad_token');
	await ada.close();
});

test('a token whose end is refused holds up no other, and is told of once', async () => {
	const ada = await Person.open(server, 'Ada Held Up'), held = await tokenOf(ada), other = (await knock()).token;
	let refusals = 0;
	await ada.page.routeWebSocket('**/ws', (ws) => {
		const there = ws.connectToServer();
		ws.onMessage((text) => {
			const frame = JSON.parse(text);
			if (frame.type !== 'join' || frame.token !== held) return there.send(text);
			refusals++;
			ws.send(JSON.stringify({ type: 'error', code: 'password_required', text: 'password required' }));
		});
	});
	await ada.page.evaluate((tokens) => {
		localStorage.removeItem('wave.token');
		localStorage.setItem('wave.ending', JSON.stringify(tokens));
	}, [held, other]);
	await ada.page.reload();
	await ada.page.waitForSelector('.toast:has-text("does not end your sign-in")');
	await until(async () => (await knock(other)).code === 'bad_token', 'the other token to be ended');
	await ada.kept('ending', (left) => left.length === 1 && left[0] === held, 'the first token to be left');
	assert.equal(refusals, 1);
	await ada.page.reload();
	await until(() => refusals === 2, 'another try');
	await ada.join('Ada Lets Go');
	assert.equal(await ada.page.locator('.toast:has-text("sign-in")').count(), 0);
	await ada.close();
});

test('a token that ends late takes nothing from the person who has joined in another tab meanwhile', async () => {
	const ada = await Person.open(server, 'Ada Late'), old = await tokenOf(ada), first = ada.page;
	const { token, my_id, my_name } = await knock();
	const second = await ada.tab();
	await ada.ready();
	await first.evaluate(([ending, next, me]) => {
		localStorage.setItem('wave.ending', JSON.stringify([ending]));
		localStorage.setItem('wave.token', JSON.stringify(next));
		localStorage.setItem('wave.me', JSON.stringify(me));
		localStorage.setItem('wave.drafts', JSON.stringify({ general: 'half a word' }));
	}, [old, token, { id: my_id, name: my_name }]);
	const reloaded = second.waitForEvent('framenavigated');
	await first.reload();
	await reloaded; // it has heard that its token has ended
	for (const page of [first, second]) {
		await page.waitForSelector('#app[data-net=ready]:not([hidden])');
		await page.locator('#people .person', { hasText: 'you' }).filter({ hasText: my_name }).waitFor({ state: 'attached' });
	}
	assert.equal(await tokenOf(ada), token);
	assert.equal(await first.evaluate(() => localStorage.getItem('wave.drafts')), '{"general":"half a word"}');
	assert.equal(await first.evaluate(() => localStorage.getItem('wave.ending')), null);
	assert.equal((await knock(old)).code, 'bad_token');
	await ada.close();
});

test('a token the server does not know: in anew under the same name, and told so', async () => {
	const ada = await Person.open(server, 'Forgotten');
	await ada.page.evaluate(() => localStorage.setItem('wave.token', JSON.stringify('A'.repeat(43))));
	await ada.page.reload();
	await ada.page.waitForSelector('.toast:has-text("no longer knows this browser")');
	await ada.ready();
	await ada.say('here I am again');
	await ada.sees('here I am again');
	await ada.settled();
	assert.equal(await ada.page.locator('.row.mine').count(), 1);
	await ada.close();
});
