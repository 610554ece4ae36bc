// A start far past the last time that was stored: nothing expires for an hour. Steps while it runs: tests/unit/room/test_clock.c, tests/faults.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { serverTest } from './lib.mjs';
import { join2, rejoin2 } from './v2.mjs';
import { ctl, metric } from './admin.mjs';

const day = 86400000;
const sql = (s, text) => execFileSync('sqlite3', [path.join(s.dir, 'data', 'wavechat.db')], { input: text }).toString().trim();

/** The store as it would be, had it been written this many days ago. */
function age(s, days, { clock = days } = {}) {
	sql(s, `UPDATE identities SET seen = seen - ${days * day}, created = created - ${days * day}; UPDATE messages SET at = at - ${days * day};
		UPDATE addresses SET at = at - ${days * day}; UPDATE sanctions SET until = until - ${days * day} WHERE until > 0;
		UPDATE meta SET value = value - ${clock * day} WHERE name = 'counter.clock_ms';`);
}

const quit = async people => { for (const c of people) await c.close(); };

serverTest('a start 100 days past the last stored time expires nothing for an hour, and says so',
	{ args: ['--retain-days', '30', '--name-hold-days', '30'], allow: /clock is/ }, async s => {
		const people = [];
		for (const name of ['Ann', 'Ben', 'Cid']) people.push(await join2(s, name));
		people[0].text('of old');
		const { at } = await people[0].next({ type: 'text', text: 'of old' });
		await ctl(s, ['mute', 'Ben', '--for', '1h']);
		await quit(people);
		await s.stop();
		assert.ok(Number(sql(s, "SELECT value FROM meta WHERE name = 'counter.clock_ms'")) >= at, `the time of day is stored at the end: ${sql(s, 'SELECT * FROM meta')}`);
		age(s, 100);
		const began = Date.now();
		await s.restart();
		await s.says(/warn +clock is far ahead .*expires="nothing for an hour"/);
		await new Promise(resolve => setTimeout(resolve, 2500)); // two turns of the chores
		const [ann, ben] = people, again = await s.connect();
		await rejoin2(again, undefined, { token: ann.token });
		assert.equal(again.name, 'Ann');
		assert.deepEqual(again.init.history.map(m => m.text), ['of old']);
		const muted = await s.connect();
		await rejoin2(muted, undefined, { token: ben.token });
		muted.text('too early');
		const refusal = await muted.next('error');
		assert.equal(refusal.code, 'muted');
		// the hour that nothing ends in, less what of it has passed
		assert.ok(refusal.retry_ms >= 3600000 - (Date.now() - began) && refusal.retry_ms <= 3600000, refusal.retry_ms);
		assert.equal(await metric(s, 'clock_steps_total'), 0);
		// what begins within the hour ends in its time
		await ctl(s, ['mute', 'Ann', '--for', '1s']);
		assert.equal((await again.next('error')).code, 'muted');
		await new Promise(resolve => setTimeout(resolve, 1100));
		again.text('heard');
		await again.next({ type: 'text', text: 'heard' });
	});

serverTest('a start within a day of the last stored time expires what is due', { args: ['--retain-days', '30', '--name-hold-days', '30'] }, async s => {
	const ann = await join2(s, 'Ann');
	ann.text('of old');
	await ann.next({ type: 'text', text: 'of old' });
	await quit([ann]);
	await s.stop();
	age(s, 100, { clock: 0 });
	await s.restart();
	await new Promise(resolve => setTimeout(resolve, 2500));
	const again = await s.connect();
	again.send({ type: 'join', v: 2, token: ann.token });
	assert.equal((await again.next('error')).code, 'bad_token');
	assert.deepEqual((await join2(s, 'Ann')).init.history, []);
	assert.doesNotMatch(s.output, /clock is/);
});
