// The server limits how fast a person may send: the page waits as told and sends again, in order, and nothing is ever shown as failed for it.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Person, stage, until } from './lib.mjs';

const server = stage(['--message-rate', '10', '--message-burst', '5']);

const lines = Array.from({ length: 50 }, (_, i) => `line ${i}`);

/** Watches for a row that says “Not sent”, however briefly. */
const watch = (person) => person.page.evaluate(() => {
	window.failures = 0;
	new MutationObserver(() => (window.failures += document.querySelectorAll('.row.failed').length))
		.observe(document.querySelector('#log'), { childList: true, subtree: true, attributes: true });
});

test('fifty messages written while the server was away arrive in order, at the pace it allows', async () => {
	const ada = await Person.open(server, 'Ada', { mayBeDown: true });
	await watch(ada);
	await server.stop();
	for (const line of lines) await ada.say(line);
	assert.equal(await ada.page.locator('.row.pending').count(), lines.length);
	await server.spawn(server.port);
	await ada.page.waitForSelector('#app[data-net=ready]');
	await until(() => ada.frames.some((f) => f.code === 'rate_limited'), 'a refusal: else this shows nothing');
	assert.equal(await ada.page.$eval('.row.pending .meta .vh', (el) => el.textContent), 'Sending');
	await ada.settled(30000);
	assert.equal(await ada.page.evaluate(() => window.failures), 0);
	const bob = await Person.open(server, 'Bob');
	await bob.sees(lines.at(-1));
	assert.deepEqual((await bob.texts()).filter((text) => lines.includes(text)), lines);
	await ada.close();
	await bob.close();
});
