// English and Russian: complete, with the same gaps to fill, right plurals, chosen by the browser and by hand; drafts, themes, mute.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import test from 'node:test';
import { Person, PHONE, stage, until } from './lib.mjs';

const server = stage();

const assets = new URL('../../assets/', import.meta.url);
const source = (name) => fs.readFileSync(new URL(name, assets), 'utf8');
const table = async (code) => (await import('data:text/javascript;base64,' + Buffer.from(source(`js/base/lang/${code}.js`)).toString('base64')))[code];

test('both tables have the same words, the same gaps, and every plural form their language has', async () => {
	const [en, ru] = [await table('en'), await table('ru')];
	assert.deepEqual(Object.keys(ru), Object.keys(en));
	const gaps = (value) => [...new Set((typeof value === 'string' ? value : Object.values(value).join(' ')).match(/\{\w+\}/g) ?? [])].sort();
	for (const key of Object.keys(en)) {
		assert.equal(typeof ru[key], typeof en[key], key);
		assert.deepEqual(gaps(ru[key]), gaps(en[key]), `${key}: ${JSON.stringify(ru[key])}`);
		if (typeof en[key] === 'object' && !Array.isArray(en[key])) {
			for (const [code, entry] of [['en', en[key]], ['ru', ru[key]]]) {
				assert.deepEqual(Object.keys(entry).sort(), [...new Intl.PluralRules(code).resolvedOptions().pluralCategories].sort(), `${code}.${key}`);
			}
		}
		if (typeof ru[key] === 'string' && key !== 'appName') assert.match(ru[key], /[а-яё]/i, `${key} is not Russian`);
	}
});

test('every word that is asked for exists, and every word is asked for', async () => {
	const en = await table('en');
	const files = fs.readdirSync(new URL('js/', assets), { recursive: true }).filter((name) => name.endsWith('.js') && !name.includes('lang')).map((name) => source('js/' + name));
	const all = files.join('\n') + source('index.html');
	const asked = new Set([...all.matchAll(/\btn?\('(\w+)'/g), ...all.matchAll(/data-t(?:-[a-z-]+)?="(\w+)"/g)].map((m) => m[1]));
	for (const key of asked) assert.ok(key in en, `“${key}” is asked for and is not in the table`);
	for (const key of Object.keys(en)) assert.ok(asked.has(key) || key.startsWith('err_') || all.includes(`'${key}'`) || all.includes(`.${key}`), `“${key}” is in the table and nobody asks for it`);
});

test('Russian counts people as Russian does', async () => {
	const ada = await Person.open(server, 'Ада', { locale: 'ru-RU' });
	assert.equal(await ada.page.textContent('#chat-sub'), '1 человек в сети');
	const more = [await Person.open(server, 'Б', { locale: 'en-GB' }), await Person.open(server, 'В')];
	await until(async () => (await ada.page.textContent('#chat-sub')) === '3 человека в сети', 'three');
	assert.equal(await more[0].page.textContent('#chat-sub'), '3 people online');
	assert.equal(await ada.page.getAttribute('html', 'lang'), 'ru');
	for (const p of [ada, ...more]) await p.close();
});

test('another language of the browser is taken at once, unless one was chosen here', async () => {
	const ada = await Person.open(server, 'Chameleon');
	const become = (tag) => ada.page.evaluate((wish) => {
		Object.defineProperty(navigator, 'languages', { value: [wish, 'en'], configurable: true });
		dispatchEvent(new Event('languagechange'));
	}, tag);
	await become('ru-RU');
	assert.equal(await ada.page.textContent('#chat-title'), 'Общий чат');
	await become('de-DE');
	assert.equal(await ada.page.textContent('#chat-title'), 'General', 'a language that is not there: English');
	await ada.close();
});

test('the switch changes everything at once and is remembered; so are theme and drafts', async () => {
	const ada = await Person.open(server, 'Switch');
	await ada.say('a message from today');
	await ada.page.fill('#input', 'not finished');
	await ada.kept('drafts', (drafts) => drafts[0] === 'not finished', 'the draft to be kept');
	await ada.page.click('#settings');
	await ada.page.check('input[name=lang][value=ru]', { force: true });
	await ada.page.waitForSelector('dialog:has-text("Настройки")');
	await ada.page.check('input[name=theme][value=dark]', { force: true });
	await ada.page.keyboard.press('Escape');
	assert.equal(await ada.page.textContent('#chat-title'), 'Общий чат');
	assert.equal(await ada.page.textContent('.sep.day span'), 'Сегодня');
	await ada.page.reload();
	await ada.ready();
	assert.equal(await ada.page.textContent('#chat-title'), 'Общий чат');
	assert.equal(await ada.page.getAttribute('html', 'data-theme'), 'dark');
	assert.equal(await ada.page.inputValue('#input'), 'not finished');
	const left = await ada.page.evaluate(() => [...document.querySelectorAll('#app *')].filter((el) => !el.closest('#log, #talks, #people') && el.children.length === 0
		&& /[A-Za-z]{3,}/.test(el.textContent)).map((el) => el.textContent).filter((text) => !/WaveChat/.test(text)));
	assert.deepEqual(left, [], 'no English is left');
	await ada.close();
});

test('a muted conversation is quiet: no count in the title, the badge pale', async () => {
	const ada = await Person.open(server, 'Muter'), boris = await Person.open(server, 'Noisy', { viewport: PHONE });
	await ada.openTalk('Noisy');
	await ada.page.click('#mute');
	assert.equal(await ada.page.getAttribute('#mute', 'aria-pressed'), 'true');
	await ada.openTalk('General');
	await boris.page.click('#back');
	await boris.openTalk('Muter');
	await boris.say('anybody?');
	await ada.page.waitForSelector('.talk.is-dm .badge.quiet');
	// The one that is not muted is counted, and it alone.
	const chen = await Person.open(server, 'Loud');
	await chen.openTalk('Muter');
	await chen.say('I am here');
	await until(async () => (await ada.page.title()) !== 'WaveChat', 'a count in the title');
	assert.equal(await ada.page.title(), '(1) WaveChat');
	for (const p of [ada, boris, chen]) await p.close();
});
