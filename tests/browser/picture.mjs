// picture.mjs — makes docs/chat.webp, the picture in the README, of the real page with invented people: node browser/picture.mjs [FILE]
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { begin, end, Person, Server, sleep } from './lib.mjs';

const file = process.argv[2] ?? fileURLToPath(new URL('../../docs/chat.webp', import.meta.url));
const server = new Server();
await begin(server);

/** A seascape drawn by the browser. */
const seascape = person => person.page.evaluate(() => {
	const canvas = Object.assign(document.createElement('canvas'), { width: 720, height: 400 }), g = canvas.getContext('2d');
	const sky = g.createLinearGradient(0, 0, 0, 240);
	sky.addColorStop(0, '#27698f');
	sky.addColorStop(1, '#ffd9a0');
	g.fillStyle = sky;
	g.fillRect(0, 0, 720, 400);
	g.fillStyle = '#fff0d0';
	g.arc(490, 200, 40, 0, 7);
	g.fill();
	for (let i = 0; i < 7; i++) {
		g.fillStyle = `hsl(193 55% ${46 - i * 5}% / .92)`;
		g.beginPath();
		g.moveTo(0, 400);
		for (let x = 0; x <= 720; x += 4) g.lineTo(x, 222 + i * 26 + Math.sin(x / (42 + i * 9) + i * 2.1) * (4 + i * 2));
		g.lineTo(720, 400);
		g.fill();
	}
	return canvas.toDataURL('image/jpeg', 0.9).split(',')[1];
}).then(text => Buffer.from(text, 'base64'));

async function send(person, name, mimeType, buffer) {
	await person.sendFiles({ name, mimeType, buffer });
	await person.settled();
}

const open = (name, more) => Person.open(server, name, { mayBeDown: true, ...more });
const mira = await open('Mira', { viewport: { width: 1200, height: 780 } });
const jonas = await open('Jonas'), anya = await open('Аня', { locale: 'ru-RU' }), lea = await open('Léa');
await jonas.say('Morning! The ferry timetable for the weekend is out.');
await lea.say('The 7:40 is early, but fine by me.');
await mira.say('`make tide` says:\n```\nhigh  06:12  3.4 m\nlow   12:31  0.9 m\n```\nSo 7:40 is just right.');
await anya.say('@Mira вот это было вчера вечером:');
await send(anya, 'вечер.jpg', 'image/jpeg', await seascape(anya));
const mic = await lea.page.locator('#mic').boundingBox();
await lea.page.mouse.move(mic.x + mic.width / 2, mic.y + mic.height / 2);
await lea.page.mouse.down();
await sleep(4200);
await lea.page.mouse.up();
await mira.page.waitForSelector('.row.theirs .voice-play');
await anya.openTalk('Mira');
await anya.say('Торт забираю в шесть, свечи с тебя.');
await mira.page.waitForSelector('.talk.is-dm .badge');
await lea.page.locator('#input').pressSequentially('See you ');
await sleep(600);
await mira.page.mouse.move(2, 2);

const png = await mira.page.screenshot();
const webp = await mira.page.context().newPage().then(page => page.evaluate(async text => {
	const image = new Image();
	image.src = `data:image/png;base64,${text}`;
	await image.decode();
	const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
	canvas.getContext('2d').drawImage(image, 0, 0);
	return canvas.toDataURL('image/webp', 0.85).split(',')[1];
}, png.toString('base64')));
fs.writeFileSync(file, Buffer.from(webp, 'base64'));
console.log(`${file}: ${fs.statSync(file).size} bytes`);

for (const person of [mira, jonas, anya, lea]) await person.close();
await end(server);
