// What a moderator does, as the people in the room see it: the real wavechatctl at the real server.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, stage } from './lib.mjs';


const server = stage();

test('an announcement and a deletion reach everyone; who is muted is told why a message stays', async () => {
	const ada = await Person.open(server, 'Ada'), boris = await Person.open(server, 'Борис', { locale: 'ru-RU' });
	server.ctl('say', 'Tea at five <everyone>');
	await ada.page.waitForSelector('#announcements .announce:has-text("Tea at five <everyone>")');
	await boris.page.waitForSelector('#announcements .announce');
	await boris.say('not for this room');
	await ada.sees('not for this room');
	server.ctl('delete', String(ada.frames.findLast((f) => f.text === 'not for this room').id));
	await ada.sees('This message was removed');
	await boris.sees('Это сообщение удалено');
	server.ctl('mute', 'Борис', '--for', '1h');
	await boris.say('may I?');
	await boris.page.waitForSelector('.row.failed:has-text("запретил вам писать")');
	server.ctl('unmute', 'Борис');
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
	const ada = await Person.open(server, 'Rowdy');
	server.ctl('kick', 'Rowdy', '--reason', 'a short break');
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("asked to leave")');
	assert.match(await ada.page.textContent('#expelled'), /a short break/);
	await ada.page.click('#expelled button');
	await ada.ready();
	await ada.say('sorry');
	await ada.settled();
	server.ctl('ban', 'Rowdy', '--for', '1h', '--reason', 'enough');
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	assert.match(await ada.page.textContent('#expelled'), /enough/);
	await ada.page.reload();
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	await ada.close();
});

test('an address banned while the page was away: told at the first try, and no further one', async () => {
	const ada = await Person.open(server, 'Away', { mayBeDown: true, hasClock: true });
	await ada.context.setOffline(true);
	await server.restart();
	server.ctl('ban', '--ip', '127.0.0.1', '--for', '1h', '--force');
	await ada.context.setOffline(false);
	await ada.page.waitForSelector('#expelled:not([hidden]):has-text("cannot enter")');
	// The browser itself says of a refused request what the test is about.
	ada.complaints = ada.complaints.filter((line) => !/status of 403 \(Forbidden\) \(\S+\/health\)$/.test(line));
	let dials = 0;
	ada.page.on('websocket', () => dials++);
	await ada.page.evaluate(() => window.dispatchEvent(new Event('focus')));
	await ada.context.clock.runFor(120000);
	assert.equal(dials, 0);
	server.ctl('unban', '--ip', '127.0.0.1');
	await ada.close();
});
