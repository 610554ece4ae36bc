// Names that look alike, joiners, towers of marks, blanks, and crowds of one name.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { ctl } from './admin.mjs';
import { exact, fence, publicText, serverTest } from './lib.mjs';
import { join2, rejoin2 } from './v2.mjs';

const ZWNJ = '\u200c', ZWJ = '\u200d';

serverTest('a look-alike of a name that is held gets a number, in both dialects', async s => {
	assert.equal((await join2(s, 'Mark')).name, 'Mark');
	for (const [wanted, name] of [
		['M\u0430rk', 'M\u0430rk 2'], // Cyrillic а
		['\u041cARK', '\u041cARK 3'], // Cyrillic М, and another case
		['Mar\u043a', 'Mar\u043a 4'], // Cyrillic к
		['\u13b7ark', '\u13b7ark 5'], // Cherokee
		['Rnark', 'Rnark 6'],
		['Марк', 'Марк'], // another name, whose letters are other ones
		['Márk', 'Márk'],
	]) {
		const c = await s.connect();
		c.send({ type: 'join', name: wanted });
		assert.equal((await c.take()).my_name, name);
		await c.close();
		const d = await join2(s, wanted);
		assert.equal(d.name, name);
	}
	// A guest's name is held while the guest is there, and free afterwards.
	const guest = await s.join('Ольга');
	assert.equal((await join2(s, 'Oльгa')).name, 'Oльгa 2');
	await guest.close();
	const late = await s.connect();
	late.send({ type: 'join', name: 'Ольгa' });
	assert.equal((await late.take()).my_name, 'Ольгa');
});

serverTest('names that are stored and look alike stay', async s => {
	const people = [await join2(s, 'Kate'), await join2(s, 'Oleg')];
	await s.stop();
	execFileSync('sqlite3', [path.join(s.dir, 'data', 'wavechat.db')], { input: "UPDATE identities SET name='Кate', key='кate' WHERE name='Oleg';\n" });
	await s.restart();
	assert.deepEqual([await rejoin2(await s.connect(), '', { token: people[0].token }), await rejoin2(await s.connect(), '', { token: people[1].token })].map(i => i.my_name), ['Kate', 'Кate']);
	assert.equal((await join2(s, 'kate')).name, 'kate 2');
});

serverTest('joiners stay where a script needs them, and tell no two names apart', async s => {
	for (const name of [`می${ZWNJ}خواهم`, `അവന്${ZWJ}`, `ශ්${ZWJ}රී ලංකා`, '👩\u200d🚀']) assert.equal((await join2(s, name)).name, name);
	assert.equal((await join2(s, 'میخواهم')).name, 'میخواهم 2');
	for (const [wanted, name] of [[`Ol${ZWNJ}i${ZWJ}ver`, 'Oliver'], [`${ZWNJ}دارا${ZWNJ}`, 'دارا'], [`ا${ZWNJ}ب`, 'اب']]) assert.equal((await join2(s, wanted)).name, name);
});

serverTest('four marks stay on a letter of a name; blanks are spaces, and a name of blanks is none', async s => {
	assert.equal((await join2(s, `Z${'\u0301'.repeat(20)}o\u0302`)).name, `Z${'\u0301'.repeat(4)}o\u0302`);
	assert.equal((await join2(s, 'A\u2800\u{1d159}\ufffcb\u3164')).name, 'A b');
	const nobody = await join2(s, '\u2800\u{1d159}\u3164\u115f\u2065\u{e0100}');
	assert.equal(nobody.name, `User${nobody.id}`);
});

serverTest('a text without anything to be seen is dropped; towers and joiners pass as they are', async s => {
	const [a, b] = await s.joinAll('a', 'b');
	for (const text of ['\u2800', '\u3164\u200b', ` ${ZWJ}\u00ad\u{1d159} `, '\ufe0f', '\u{e0041}\u{e007f}', '\u2800'.repeat(4000)]) a.send({ type: 'text', text });
	await fence(a, [a, b]);
	const text = `Z${'\u0301'.repeat(50)} می${ZWNJ}خواهم`;
	a.send({ type: 'text', text });
	exact(await b.next('text'), publicText(a, text));
	assert.equal(b.frames.filter(f => f.type === 'text').length, 2, 'the fence, and this one');
});

serverTest('a crowd of one name is numbered without gaps, also after a restart', async s => {
	const people = [];
	for (let i = 0; i < 40; i++) people.push(await join2(s, i % 2 ? 'crowd' : 'сrоwd'));
	assert.deepEqual(people.map(p => p.name.replace(/^\S+ ?/, '')), ['', ...Array.from({ length: 39 }, (_, i) => String(i + 2))]);
	await s.kill9();
	await s.restart();
	assert.equal((await join2(s, 'CROWD')).name, 'CROWD 41');
});

serverTest('wavechatctl draws four marks on a letter, and gives programs all of them', async s => {
	const a = await s.join('a'), tower = `Z${'\u0301'.repeat(20)}`, calm = `Z${'\u0301'.repeat(4)}`;
	a.send({ type: 'text', text: `${tower}!` });
	await fence(a);
	for (const format of ['text', 'html']) {
		const { stdout } = await ctl(s, ['history', '--format', format]);
		assert.ok(stdout.includes(`${calm}!`) && !stdout.includes(`${calm}\u0301`), stdout);
	}
	assert.ok((await ctl(s, ['history', '--format', 'jsonl'])).stdout.includes(`${tower}!`));
	assert.equal((await ctl(s, ['say', '\u2800\u3164'], { status: 2 })).stdout, '');
});
