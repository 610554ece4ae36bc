// screenshots.mjs — eight states of the page as PNG files, for people to look at: node screenshots.mjs [FOLDER]
// (default build/screenshots). The real server, the real page, people who exist only here.
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { begin, end, Person, PHONE, Server, sleep } from './lib.mjs';

const folder = path.resolve(process.argv[2] ?? fileURLToPath(new URL('../../build/screenshots', import.meta.url)));
fs.mkdirSync(folder, { recursive: true });

const server = new Server();
await begin(server);
const shot = async (person, name, isHolding = false) => {
	await sleep(350);
	if (!isHolding) await person.page.mouse.move(2, 2);
	await person.page.screenshot({ path: path.join(folder, `${name}.png`) });
	console.log(`${name}.png`);
};

/** A picture worth a look, drawn by the browser: a sea under an evening sky. */
async function seascape(person, hue) {
	const url = await person.page.evaluate((h) => {
		const canvas = Object.assign(document.createElement('canvas'), { width: 1200, height: 800 });
		const g = canvas.getContext('2d');
		const sky = g.createLinearGradient(0, 0, 0, 480);
		sky.addColorStop(0, `hsl(${h} 60% 38%)`);
		sky.addColorStop(1, `hsl(${h - 170} 85% 78%)`);
		g.fillStyle = sky;
		g.fillRect(0, 0, 1200, 800);
		g.fillStyle = `hsl(${h - 170} 95% 88%)`;
		g.beginPath();
		g.arc(820, 400, 70, 0, 7);
		g.fill();
		for (let i = 0; i < 9; i++) {
			g.fillStyle = `hsl(${h - 20} 55% ${46 - i * 4}% / .9)`;
			g.beginPath();
			g.moveTo(0, 800);
			for (let x = 0; x <= 1200; x += 6) g.lineTo(x, 440 + i * 42 + Math.sin(x / (70 + i * 14) + i * 2.1) * (6 + i * 3));
			g.lineTo(1200, 800);
			g.fill();
		}
		return canvas.toDataURL('image/png');
	}, hue);
	return Buffer.from(url.split(',')[1], 'base64');
}

async function sendFile(person, name, mimeType, buffer) {
	await person.sendFiles({ name, mimeType, buffer });
	await person.settled();
}

async function record(person, ms, isLetGo = true) {
	const mic = await person.page.locator('#mic').boundingBox();
	await person.page.mouse.move(mic.x + mic.width / 2, mic.y + mic.height / 2);
	await person.page.mouse.down();
	await sleep(ms);
	if (isLetGo) await person.page.mouse.up();
}

const mira = await Person.open(server, 'Mira', { mayBeDown: true });
await shot(mira, '1-empty');

const jonas = await Person.open(server, 'Jonas', { mayBeDown: true });
const anya = await Person.open(server, 'Аня', { locale: 'ru-RU', mayBeDown: true });
const pavel = await Person.open(server, 'Павел', { viewport: PHONE, locale: 'ru-RU', mayBeDown: true });
await jonas.say('Morning! The ferry timetable for the weekend is out.');
await jonas.say('First one leaves at 7:40, which is brave of them.');
await anya.say('Доброе утро! Я возьму термос ☕');
await sendFile(jonas, 'ferry-weekend.pdf', 'application/pdf', crypto.randomBytes(184000));
await mira.say('Thanks! Who brings the map? https://www.openstreetmap.org');
await anya.say('@Mira карта у меня, и ещё вот это со вчерашнего вечера:');
await sendFile(anya, 'вечер.png', 'image/png', await seascape(anya, 210));
await jonas.say('🌊🌊');
await record(pavel, 3800);
await mira.page.waitForSelector('.row.theirs .voice-play');
await mira.say('Run `make tide` and you get:\n```\nhigh  06:12  3.4 m\nlow   12:31  0.9 m\n```\nSo 7:40 is just right.');
await anya.openTalk('Mira');
await anya.say('Слушай, а Павел знает, что мы готовим?');
await mira.page.waitForSelector('.talk.is-dm .badge');
await jonas.openTalk('Mira');
await jonas.say('Can you keep a seat for me?');
await sleep(500);
await anya.openTalk('Общий чат');
await anya.page.locator('#input').pressSequentially('Тогда ');
await shot(mira, '2-busy');

await mira.openTalk('Аня');
await mira.say('Ни слова. Это сюрприз 🤫');
await anya.openTalk('Mira');
await anya.say('Отлично. Торт забираю в шесть, свечи с тебя.');
await mira.sees('Отлично. Торт забираю в шесть, свечи с тебя.');
await mira.say('Договорились!');
await shot(mira, '3-private');

await mira.openTalk('General');
await mira.page.locator('.row .pic').click();
await shot(mira, '4-viewer');
await mira.page.keyboard.press('Escape');
await mira.page.click('#chat-title');

await record(mira, 2600, false);
await shot(mira, '5-recording', true);
await mira.page.mouse.move(300, 770, { steps: 4 });
await mira.page.mouse.up();

await shot(pavel, '6-phone');
await pavel.page.click('#back');
await shot(pavel, '6-phone-list');

await anya.page.emulateMedia({ colorScheme: 'dark' });
await anya.openTalk('Общий чат');
await shot(anya, '7-dark');
await pavel.page.emulateMedia({ colorScheme: 'dark' });
await pavel.openTalk('Общий чат');
await shot(pavel, '7-dark-phone');

await server.stop();
await mira.say('I am on the train, this will arrive when there is a network again.');
await mira.say('Seven forty it is!');
await mira.page.waitForSelector('#status:not([hidden])');
await shot(mira, '8-offline');
await server.spawn(server.port);

for (const person of [mira, jonas, anya, pavel]) await person.close();
await end(server);
