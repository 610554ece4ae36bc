// Several people in one room: joining, talking, private messages, typing, mentions.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, stage, until } from './lib.mjs';

const server = stage();

test('three people see each other and what each writes, once and in one order', async () => {
	const all = [];
	for (const name of ['Ada', 'Глеб', 'Chen']) all.push(await Person.open(server, name));
	const [ada, gleb, chen] = all;
	await ada.meets('Ada', 'Глеб', 'Chen');
	await ada.say('one');
	await gleb.sees('one');
	await gleb.say('two\nof two lines');
	await chen.sees('two\nof two lines');
	await chen.say('three');
	for (const p of all) {
		await p.sees('three');
		assert.deepEqual((await p.texts()).slice(-3), ['one', 'two\nof two lines', 'three']);
	}
	assert.equal(await ada.page.locator('.row.mine').count(), 1);
	assert.equal(await ada.page.locator('.row.pending').count(), 0);
	assert.equal(await gleb.page.locator('.row.theirs .who', { hasText: 'Ada' }).count(), 1);
	for (const p of all) await p.close();
});

test('a private message reaches its two ends and nobody else, not even as a frame', async () => {
	const [ada, boris, chen] = [await Person.open(server, 'Ada1'), await Person.open(server, 'Boris1'), await Person.open(server, 'Chen1')];
	await ada.openTalk('Boris1');
	assert.match(await ada.page.textContent('#chat-sub'), /Private/);
	await ada.say('meet me at the pier');
	await boris.page.waitForSelector('.talk.is-dm .badge:has-text("1")');
	await boris.openTalk('Ada1');
	await boris.sees('meet me at the pier');
	await boris.say('at nine');
	await ada.sees('at nine');
	await ada.openTalk('General');
	await ada.say('public fence');
	await chen.sees('public fence');
	const leaked = chen.frames.filter((f) => JSON.stringify(f).includes('pier') || JSON.stringify(f).includes('at nine') || f.dm);
	assert.deepEqual(leaked, []);
	assert.equal(await chen.page.locator('.talk.is-dm').count(), 0);
	assert.ok(!(await ada.texts()).includes('meet me at the pier'), 'the private message is not in the general chat');
	for (const p of [ada, boris, chen]) await p.close();
});

test('“@name text” goes to that person alone, and the composer says so before it is sent', async () => {
	const [ada, boris, chen] = [await Person.open(server, 'Ada2'), await Person.open(server, 'Борис Годунов'), await Person.open(server, 'Chen2')];
	await ada.meets('Борис Годунов', 'Chen2');
	await ada.page.locator('#input').pressSequentially('@бор');
	await ada.page.waitForSelector('#suggest .option:has-text("Борис Годунов")');
	await ada.page.press('#input', 'Enter');
	assert.equal(await ada.page.inputValue('#input'), '@Борис Годунов ');
	await ada.page.locator('#input').pressSequentially('between us');
	await ada.page.waitForSelector('#composer-notice:has-text("Only Борис Годунов will see this")');
	assert.ok(await ada.page.locator('#composer.private').count());
	await ada.page.press('#input', 'Enter');
	await boris.page.waitForSelector('.talk.is-dm .badge');
	await boris.openTalk('Ada2');
	await boris.sees('between us');
	// The same, sent to everyone by choice.
	await ada.page.fill('#input', '@Борис Годунов in front of all');
	await ada.page.click('#composer-notice button');
	await ada.page.press('#input', 'Enter');
	await chen.sees('@Борис Годунов in front of all');
	assert.deepEqual(chen.frames.filter((f) => JSON.stringify(f).includes('between us')), []);
	// A name nobody has is said to be one.
	await ada.page.fill('#input', '@Nobodyatall hello');
	await ada.page.waitForSelector('#composer-notice:has-text("everyone will see this")');
	for (const p of [ada, boris, chen]) await p.close();
});

test('typing shows to the others, and in a private talk to the other end alone', async () => {
	const [ada, boris, chen] = [await Person.open(server, 'Ada3'), await Person.open(server, 'Boris3'), await Person.open(server, 'Chen3')];
	await ada.page.locator('#input').pressSequentially('hm');
	await boris.page.waitForSelector('#chat-sub.typing:has-text("Ada3")');
	await ada.page.fill('#input', '');
	await boris.openTalk('Ada3');
	const before = ada.frames.length, chenBefore = chen.frames.length;
	await boris.page.locator('#input').pressSequentially('psst');
	await until(() => ada.frames.slice(before).some((f) => f.type === 'typing' && f.dm), 'a private typing frame');
	await boris.openTalk('General');
	await boris.say('typing fence');
	await chen.sees('typing fence');
	assert.deepEqual(chen.frames.slice(chenBefore).filter((f) => f.type === 'typing' && f.dm), []);
	for (const p of [ada, boris, chen]) await p.close();
});
