// What a moderator does, as the people in the room see it: the real wavechatctl at the real server.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Person, Server, launch, until } from './lib.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const wavechatctl = path.resolve(process.env.WAVECHATCTL || path.join(root, 'build/wavechatctl'));

let browser, server;
before(async () => {
	browser = await launch();
	server = await Server.start();
});
after(async () => {
	await browser?.close();
	await server?.close();
});

function ctl(...args) {
	const { status, stdout, stderr } = spawnSync(wavechatctl, ['--socket', path.join(server.dir, 'data/admin.sock'), ...args], { encoding: 'utf8' });
	assert.equal(status, 0, `wavechatctl ${args.join(' ')}: ${stdout}${stderr}`);
}

test('an announcement and a deletion reach everyone; who is muted is told why a message stays', async () => {
	const ada = await Person.open(browser, server, 'Ada'), boris = await Person.open(browser, server, 'Борис', { locale: 'ru-RU' });
	ctl('say', 'Tea at five <everyone>');
	await ada.page.waitForSelector('#announcements .announce:has-text("Tea at five <everyone>")');
	await boris.page.waitForSelector('#announcements .announce');
	await boris.say('not for this room');
	await ada.sees('not for this room');
	ctl('delete', String(ada.frames.findLast((f) => f.text === 'not for this room').id));
	await ada.sees('This message was removed');
	await boris.sees('Это сообщение удалено');
	ctl('mute', 'Борис', '--for', '1h');
	await boris.say('may I?');
	await boris.page.waitForSelector('.row.failed:has-text("запретил вам писать")');
	ctl('unmute', 'Борис');
	await boris.page.click('.failure button');
	await ada.sees('may I?');
	await ada.page.reload();
	await ada.ready();
	await ada.sees('This message was removed');
	assert.ok(!(await ada.texts()).includes('not for this room'));
	await ada.close();
	await boris.close();
});

test('kicked: told why, comes back only by choice; banned: stays out, also after a reload', async () => {
	const ada = await Person.open(browser, server, 'Rowdy');
	ctl('kick', 'Rowdy', '--reason', 'a short break');
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("asked to leave")');
	assert.match(await ada.page.textContent('#expelled'), /a short break/);
	await ada.page.click('#expelled button');
	await ada.ready();
	await ada.say('sorry');
	await until(async () => (await ada.page.locator('.row.pending').count()) === 0, 'the confirmation');
	ctl('ban', 'Rowdy', '--for', '1h', '--reason', 'enough');
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	assert.match(await ada.page.textContent('#expelled'), /enough/);
	await ada.page.reload();
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	await ada.close();
});

test('an address banned while the page was away: told at the first try, and no further one', async () => {
	const ada = await Person.open(browser, server, 'Away', { mayBeDown: true });
	await ada.context.setOffline(true);
	await server.restart();
	ctl('ban', '--ip', '127.0.0.1', '--for', '1h', '--force');
	await ada.context.setOffline(false);
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	// The browser itself says of a refused request what the test is about.
	ada.complaints = ada.complaints.filter((line) => !/status of 403 \(Forbidden\) \(\S+\/health\)$/.test(line));
	let dials = 0;
	ada.page.on('websocket', () => dials++);
	await ada.page.evaluate(() => window.dispatchEvent(new Event('focus')));
	await new Promise((resolve) => setTimeout(resolve, 2500));
	assert.equal(dials, 0);
	ctl('unban', '--ip', '127.0.0.1');
	await ada.close();
});
