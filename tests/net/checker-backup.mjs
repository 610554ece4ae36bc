// checker-backup.mjs — backups taken while the checker's people talk, restored by wavechatctl, with a verify of the server beside them under a server of their own. A
// backup is of one moment: of the truth at the end it holds everything up to some id and nothing behind it.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Server, binary, sleep } from './lib.mjs';
import { ctlRaw, socketOf } from './admin.mjs';
import { essence, isMessage } from './checker-actors.mjs';
import { isVictim } from './checker-disturb.mjs';
import { checkFiles } from './checker.mjs';
import { join2 } from './v2.mjs';

const dataOf = server => path.join(server.dir, 'data');

const wavebench = path.resolve(process.env.WAVEBENCH || path.join(path.dirname(binary), 'wavebench'));

/** As many others talk in private, as fast as they can, for some seconds: a server under full load, and nothing that the checker reads. */
async function crowd(server, people) {
	const child = spawn(wavebench, ['--workload', 'dm', '--clients', people, '--senders', people / 2, '--warmup', 0, '--seconds', 5, '--drain', 5,
		`127.0.0.1:${server.port}`].map(String), { stdio: 'ignore' });
	const ended = once(child, 'close');
	ended.catch(() => {});
	await sleep(1000); // they are in
	return () => ended;
}

/** Takes one, and remembers what had been acknowledged when it began. */
export async function takeBackup(world, server, number, people = 0) {
	const crowdGone = people ? await crowd(server, people) : null;
	const file = path.join(server.dir, `backup${number}.tar`);
	const acked = world.actors.flatMap(a => [...a.acked].map(([cid, { id, message }]) => ({ cid, id, to: message.to })));
	const guests = world.guests.flatMap(g => [...g.acked]);
	const sent = world.counts.sent, begun = Date.now();
	const [r, v] = await Promise.all([['backup', file], ['verify']].map(args => ctlRaw(['--socket', socketOf(server), ...args], { timeout: 60000 })));
	const meanwhile = world.counts.sent - sent, ms = Date.now() - begun;
	if (r.status !== 0) world.problem(`backup ${number} failed with ${r.status}: ${r.stderr}`);
	if (v.status !== 0) world.problem(`verify beside backup ${number} ended with ${v.status}: ${v.stdout}${v.stderr}`);
	if (fs.existsSync(`${file}.part`)) world.problem(`backup ${number} left its .part`);
	if (crowdGone) await crowdGone();
	return { number, file, acked, guests, meanwhile, ms };
}

/** The server dies while one is made: there is no file that could be taken for a backup, and nothing stays in the data directory. */
export async function killAmidBackup(world, server, ms) {
	const file = path.join(server.dir, 'killed.tar');
	const backup = ctlRaw(['--socket', socketOf(server), 'backup', '--force', file], { timeout: 60000 });
	await sleep(ms);
	await server.kill9();
	const { status } = await backup;
	await server.restart();
	if ((status === 0) !== fs.existsSync(file) || fs.existsSync(`${file}.part`)) world.problem(`a backup cut short ended with ${status} and left ${fs.readdirSync(server.dir)}`);
	fs.rmSync(file, { force: true });
	const backups = () => fs.readdirSync(dataOf(server)).filter(f => f.startsWith('backup'));
	let left;
	for (let i = 0; i < 200 && (left = backups()).length; i++) await sleep(50); // an admin beside may have begun another one
	if (left.length) world.problem(`a backup cut short left ${left} in the data directory`);
}

/** All events after `since` that this identity is given, and whether it had to start over. */
async function resume(server, token, since) {
	const c = await join2(server, '', { token, since });
	const events = [...c.init.history];
	for (let more = c.init.gap === true; more;) {
		c.send({ type: 'sync', since: events.at(-1).id });
		const page = await c.next('sync', 20000);
		events.push(...page.events);
		more = page.more;
	}
	return { c, events, reset: c.init.reset === true };
}

/** Holds a backup against the truth at the end. `readBack` reads what a server keeps. Returns what it saw, in words. */
export async function auditBackup(world, backup, final, readBack) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-restored-')), data = path.join(dir, 'data');
	const problem = text => world.problem(`backup ${backup.number}: ${text}`);
	const restored = await ctlRaw(['restore', backup.file, data], { timeout: 60000 });
	if (restored.status !== 0) problem(`restore ended with ${restored.status}: ${restored.stderr}`);
	const server = await Server.start({ dir, allow: /lockdown/ });
	try {
		await ctlRaw(['--socket', socketOf(server), 'lockdown', 'off']); // one that was on at the backup's moment is restored, too
		const copy = await readBack(world, server);
		const head = Math.max(0, ...copy.byId.keys(), ...copy.dms.keys());

		// All of the order up to its head, and nothing else; each end of a DM has it (readBack has seen to that).
		let count = 0;
		for (const [name, whole, part] of [['public', final.byId, copy.byId], ['private', new Map([...final.dms].map(([id, d]) => [id, d.essence])), new Map([...copy.dms].map(([id, d]) => [id, d.essence]))]]) {
			const expected = [...whole].filter(([id]) => id <= head);
			count += expected.length;
			for (const [id, e] of expected) if (part.get(id) !== e) problem(`${name} ${id} is ${part.get(id)}, not ${e}`);
			for (const [id, e] of part) if (!whole.has(id)) problem(`${name} ${id}, ${e}, never was`);
		}
		for (const { cid, id, to } of backup.acked) if (!(to ? copy.dms : copy.byId).has(id)) problem(`${cid} was acknowledged as ${id} before it began, and is not in it`);
		for (const token of backup.guests) if (!copy.place.has(token)) problem(`a guest's ${token} was acknowledged before it began, and is not in it`);
		const files = await checkFiles({ actors: world.actors, problem }, server, head);

		// Who was last at a place that it knows goes on from there; who has seen more starts over.
		const last = Math.max(...final.byId.keys(), ...final.dms.keys());
		const people = world.actors.slice(0, 3), connected = [];
		for (const a of people) {
			const mine = [...copy.byId.keys(), ...[...copy.dms].filter(([, d]) => d.ends.includes(a.id)).map(([id]) => id)].sort((x, y) => x - y);
			const middle = mine[mine.length >> 1];
			const back = await resume(server, a.token, middle);
			const got = back.events.filter(e => isMessage(e) && !isVictim(e.from_name)).map(e => e.id), due = mine.filter(id => id > middle);
			if (back.reset || got.join() !== due.join()) problem(`${a.name} resumed at ${middle} and got ${got.length} of ${due.length}${back.reset ? ', reset' : ''}`);
			const beyond = await resume(server, a.token, last);
			if (beyond.reset !== last > head) problem(`${a.name} had seen ${last}, the head is ${head}: reset is ${beyond.reset}`);
			back.c.ws.terminate();
			connected.push(beyond.c);
		}

		// What it has is not said twice; what it lacks can be said again, and comes behind everything that ever was.
		for (const [i, a] of people.entries()) {
			const texts = [...a.acked].filter(([, { message }]) => message.frame.text !== undefined);
			const kept = texts.findLast(([, { id }]) => id <= head), lost = texts.find(([, { id }]) => id > head);
			for (const [cid, { id, message }] of [kept, lost].filter(Boolean)) {
				connected[i].send(message.frame);
				const echo = await connected[i].next(f => f.cid === cid && f.self, 10000);
				if (id <= head ? echo.id !== id : echo.id <= last) problem(`${cid}, ${id <= head ? 'kept' : 'lost'} as ${id}, was said again and is ${echo.id}: ${essence(echo)}`);
			}
			connected[i].ws.terminate();
		}
		await server.stop();
		return `${count} messages and ${files} files, ${backup.acked.length + backup.guests.length} acknowledged before it began, ${backup.meanwhile} sent in the ${backup.ms} ms it took; ` +
			`${(fs.statSync(backup.file).size / (1 << 20)).toFixed(1)} MB`;
	} finally {
		await server.cleanUp();
		fs.rmSync(dir, { recursive: true, force: true });
	}
}
