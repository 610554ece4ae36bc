// make.mjs — a small database of a released schema, made by the program of that time: run once for each schema, with its binaries, and committed.
//   WAVECHATD=…/wavechatd WAVECHATCTL=…/wavechatctl node schemas/make.mjs N
// Writes N.sql (the tables as text) and N.json (tokens, files, and all that the program of that time said of them). Never made anew with a later program:
// what it is good for is that it was written then.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Server, noise } from '../net/lib.mjs';
import { ctl, ctlJson } from '../net/admin.mjs';
import { join2, upload } from '../net/v2.mjs';
import { told } from './told.mjs';

const here = path.dirname(fileURLToPath(import.meta.url)), schema = Number(process.argv[2]);
const s = await Server.start({ limits: true, args: ['--max-storage-mb', '1'], allow: /./ });
const db = path.join(s.dir, 'data', 'wavechat.db');
const out = { tokens: {}, blobs: {}, told: {} };

const anna = await join2(s, 'Anna'), boris = await join2(s, 'Борис'), vika = await join2(s, 'Vika 🦊'), trouble = await join2(s, 'Trouble'), old = await s.join('Guest');
const people = { anna, boris, vika, trouble };
for (const [name, c] of Object.entries(people)) out.tokens[name] = c.token;
anna.send({ type: 'link' });
const phone = await join2(s, '', { code: (await anna.next('link')).code });
out.tokens.phone = phone.token;

let n = 0;
const say = async (c, frame) => {
	const cid = `cid-${++n}`;
	c.send({ ...frame, cid });
	return (await c.next(f => f.cid === cid)).id;
};
const file = (seed, size) => {
	const bytes = noise(size, seed);
	out.blobs[`${seed}/${size}`] = [seed, size];
	return bytes;
};
await say(anna, { type: 'text', text: 'Hello, everyone' });
await say(boris, { type: 'text', text: 'Привет 👋\nsecond line' });
const doomed = await say(trouble, { type: 'text', text: 'something nobody should read' });
await say(anna, { type: 'text', to_id: boris.id, text: 'a private word' });
await say(boris, { type: 'text', to_id: anna.id, text: 'and one back' });
const doomedDm = await say(boris, { type: 'text', to_id: vika.id, text: 'a private word that goes' });
await say(vika, { type: 'text', to_id: vika.id, text: 'a note to myself' });
// The first two make room for those that follow.
await say(anna, { type: 'file', blob: await upload(s, anna.token, file(1, 600_000)), filename: 'large one.bin' });
await say(boris, { type: 'file', blob: await upload(s, boris.token, file(2, 600_000)), filename: 'large two.bin' });
await say(anna, { type: 'file', data: file(3, 2000).toString('base64'), filename: 'photo & more.png', mime: 'image/png', width: 640, height: 480 });
await say(vika, { type: 'file', data: file(3, 2000).toString('base64'), filename: 'the same bytes.png' });
await say(boris, { type: 'file', to_id: anna.id, blob: await upload(s, boris.token, file(4, 3000)), filename: 'for Anna alone.pdf' });
await say(vika, { type: 'voice', data: file(5, 4000).toString('base64'), mime: 'audio/webm', duration: 2.5, waveform: '0123456789abcdefZ' });
const doomedFile = await say(trouble, { type: 'file', data: file(6, 5000).toString('base64'), filename: 'unwanted.exe' });
const doomedShared = await say(trouble, { type: 'file', data: file(5, 4000).toString('base64'), filename: 'shared.ogg' });
old.send({ type: 'text', text: 'from the first dialect' });
await vika.next(f => f.text === 'from the first dialect');
old.send({ type: 'file', data: file(7, 1000).toString('base64'), filename: 'old.txt', mime: 'text/plain' });
await vika.next(f => f.filename === 'old.txt');
for (let i = 0; ; i++) { // until the oldest files have made room
	anna.send({ type: 'history' });
	if ((await anna.next('history')).messages.filter(m => m.gone).length) break;
	if (i > 100) throw new Error('nothing was evicted');
	await new Promise(r => setTimeout(r, 100));
}
if (schema >= 2) {
	await ctl(s, ['delete', doomed, doomedDm, '--reason', 'rude']);
	await ctl(s, ['delete', doomedFile, doomedShared]);
	await ctl(s, ['mute', 'Trouble', '--for', '3650d', '--reason', 'enough']);
	await ctl(s, ['ban', '--name', 'Nobody Nice', '--reason', 'earlier trouble']);
	await ctl(s, ['ban', '--ip', '203.0.113.0/24']);
	await ctl(s, ['ban', 'Trouble', '--reason', 'for good']);
	await ctl(s, ['slow', 3]);
	await ctl(s, ['say', 'be kind']);
}
await say(anna, { type: 'text', text: 'the last word' });
out.told = await told(s, out.tokens);
if (schema >= 2)
	for (const verb of ['bans', 'mutes', 'audit', 'history', 'files']) out[verb] = (await ctl(s, ['--json', verb])).stdout;
await s.stop();
const pragma = name => execFileSync('sqlite3', [db, `PRAGMA ${name}`]).toString().trim();
if (Number(pragma('user_version')) !== schema) throw new Error(`this program makes schema ${pragma('user_version')}`);
fs.writeFileSync(path.join(here, `${schema}.sql`), `PRAGMA auto_vacuum=${pragma('auto_vacuum')};\nPRAGMA application_id=${pragma('application_id')};\n` +
	execFileSync('sqlite3', [db, '.dump']).toString() + `PRAGMA user_version=${schema};\n`);
fs.writeFileSync(path.join(here, `${schema}.json`), JSON.stringify(out) + '\n');
await s.cleanUp();
