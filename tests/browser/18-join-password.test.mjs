// A chat with a password: the page asks for it, says what is wrong with an answer, and does not ask again until it is changed.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import test, { after } from 'node:test';
import { Person, PHONE, stage, until } from './lib.mjs';

const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-password-')), 'password');
fs.writeFileSync(file, 'blue lagoon\n', { mode: 0o600 });
const server = stage(['--join-password-file', file]);
after(() => fs.rmSync(path.dirname(file), { recursive: true }));

async function change(password) {
	fs.writeFileSync(file, `${password}\n`);
	const said = server.output.length;
	server.child.kill('SIGHUP');
	await until(() => server.output.slice(said).includes('join password changed=yes'), 'the password to be read');
}

const asked = (person) => person.page.waitForSelector('#password-part:not([hidden]) #password:focus');
const said = (person, text) => until(async () => (await person.page.textContent('#entry-error')).includes(text), `“${text}” at the entry`);

async function answer(person, password) {
	await person.page.fill('#password', password);
	await person.page.press('#password', 'Enter');
}

test('asked for, refused, let in; the browser is remembered by its token alone', async () => {
	const ada = await Person.open(server, null);
	await ada.page.fill('#name', 'Ada');
	assert.equal(await ada.page.isVisible('#password'), false, 'nobody is asked before it is known to be needed');
	await ada.page.press('#name', 'Enter');
	await asked(ada);
	await said(ada, 'Ask the person who invited you');
	assert.equal(await ada.page.inputValue('#name'), 'Ada');
	assert.equal(await ada.page.locator('label[for=password]').textContent(), 'Password of this chat');
	await ada.page.press('#password', 'Enter'); // nothing typed: the browser says so, nothing is sent
	await answer(ada, 'green lagoon');
	await said(ada, 'That is not the password');
	await asked(ada);
	assert.equal(await ada.page.getAttribute('#password', 'aria-invalid'), 'true');
	assert.equal(await ada.page.inputValue('#password'), '');
	await answer(ada, 'blue lagoon');
	await ada.ready();
	await ada.say('in at last');
	await ada.sees('in at last');
	const kept = await ada.page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie]));
	assert.ok(!kept.includes('lagoon'));
	await ada.page.reload();
	await ada.ready();
	await ada.sees('in at last');
	await ada.close();
});

test('changed while the page is open: asked once, in Russian, on a phone; nothing written is lost', async () => {
	const boris = await Person.open(server, null, { viewport: PHONE, locale: 'ru-RU', mayBeDown: true });
	await boris.page.fill('#name', 'Борис');
	await boris.page.press('#name', 'Enter');
	await asked(boris);
	await answer(boris, 'blue lagoon');
	await boris.ready();
	await boris.say('до смены');
	await boris.sees('до смены');
	await change('red lagoon');
	await boris.say('ещё здесь');
	await boris.sees('ещё здесь');
	await boris.settled();
	await server.stop();
	await boris.say('написано без связи');
	await server.spawn(server.port);
	await boris.page.waitForSelector('#password-part:not([hidden]) #password:focus');
	await said(boris, 'Пароль этого чата сменили');
	assert.equal(await boris.page.$eval('#name', (el) => el.readOnly), true);
	await answer(boris, 'blue lagoon');
	await said(boris, 'Пароль не подошёл');
	await answer(boris, 'red lagoon');
	await boris.ready();
	await boris.sees('до смены');
	await boris.sees('написано без связи');
	await boris.settled();
	await boris.page.reload();
	await boris.ready();
	await boris.close();
});

test('a token given up under the last password ends with the next one that is typed', async () => {
	const dora = await Person.open(server, null);
	await dora.page.fill('#name', 'Dora');
	await dora.page.press('#name', 'Enter');
	await asked(dora);
	await answer(dora, 'red lagoon');
	await dora.ready();
	await change('white lagoon');
	await dora.page.evaluate(() => {
		localStorage.setItem('wave.ending', JSON.stringify([JSON.parse(localStorage.getItem('wave.token'))]));
		localStorage.removeItem('wave.token');
	});
	await dora.page.reload();
	await dora.page.waitForSelector('.toast:has-text("does not end your sign-in")');
	await dora.page.fill('#name', 'Dora again');
	await dora.page.press('#name', 'Enter');
	await asked(dora);
	await answer(dora, 'white lagoon');
	await dora.ready();
	await until(() => dora.page.evaluate(() => localStorage.getItem('wave.ending') === null), 'the token to be ended');
	await dora.close();
});

test('too many guesses: the page says for how long to wait', async () => {
	const eve = await Person.open(server, null);
	await eve.page.fill('#name', 'Eve');
	await eve.page.press('#name', 'Enter');
	await asked(eve);
	for (let i = 0; i < 12 && !(await eve.page.textContent('#entry-error')).includes('Too many'); i++) {
		await answer(eve, `guess ${i}`);
		await eve.page.waitForSelector('#entry-form:not(.busy)');
	}
	await said(eve, 'Too many wrong passwords. Try again in 0:0');
	await eve.close();
});
