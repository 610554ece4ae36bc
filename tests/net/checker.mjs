// checker.mjs — nothing is lost, nothing is doubled, nobody reads what is not for them: shown, not claimed.
//
//   node tests/net/checker.mjs [--seconds S] [--seed N] [--actors N] [--rate messages/s] [--backups N] [--crowd N] [--admin] [--disk]
//
// --admin: backups, verify, purges, lockdowns and mutes go on beside the kills. --disk: the server's disk fills and empties (needs root).
//
// People send and read while the server is killed and restarted, lines are cut in mid-frame, readers stall and uploads break off. At
// the end a newcomer reads the whole history, which is then the truth, and every device's own memory is held against it:
// every message whose sender saw its echo is there once, in one order for all, DMs at their two ends only, files byte for byte.
// Backups taken meanwhile are restored, each under a server of its own, and held against the same truth (checker-backup.mjs).
// Prints one line a phase and a summary; exit status 1 if anything is wrong. The moments of disturbance follow from the seed; how
// they fall amid the traffic does not.
import crypto from 'node:crypto';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { Server, sleep } from './lib.mjs';
import { Actor, Guest, World, essence, isMessage, rng, tokenOf } from './checker-actors.mjs';
import { auditBackup, killAmidBackup, takeBackup } from './checker-backup.mjs';
import { adminAtWork, diskFills, isVictim, together } from './checker-disturb.mjs';
import { smallDisk } from './disk.mjs';
import { join2, request } from './v2.mjs';

/** Options for check(): what goes on beside the traffic. On a disk that fills, a backup's copy may find no room: none is taken there. */
export const disturbance = ({ admin, disk }) => ({
	kills: true,
	...(admin || disk ? { disturb: together(...(admin ? [adminAtWork] : []), ...(disk ? [diskFills] : [])) } : {}),
	...(disk ? { diskMb: 512, backups: 0, args: ['--max-storage-mb', '0', '--free-reserve-mb', '8'] } : {}),
	allow: /sweep|blob|storage|store|database|disk|commit|checkpoint|reserve|retention|upload|lost|lockdown/,
});

export async function check({ seconds = 60, seed = 1, actors = 8, rate = 0, backups = 2, crowd = 0, env = {}, print = console.log,
	disturb = null, kills: mayKill = !disturb, calm = () => {}, allow = null, args = [], diskMb = 0 } = {}) {
	// A long run remembers as much as a short one: the rate goes down instead.
	rate = rate || Math.max(20, Math.min(250, 1_000_000 / seconds));
	const disk = diskMb ? smallDisk(diskMb) : null;
	const server = await Server.start({ env, args, allow, dir: disk?.dir });
	const world = new World(server, seed, rate);
	const random = rng(seed + 7);
	const started = Date.now();
	const clock = () => `${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s`;
	const summary = () => {
		const c = world.counts;
		return `sent ${c.sent} acked ${c.acked} files ${c.files} (${c.broken} breaks) reconnects ${c.reconnects} resent ${c.resent} cuts ${c.cuts} stalls ${c.stalls}`;
	};
	try {
		world.actors = Array.from({ length: actors }, (_, i) => new Actor(world, `actor${i}`, i % 2 ? 1 : 2));
		// Everyone is there before the first word, so that everyone's memory must be the whole.
		world.running = false;
		for (const a of world.actors) await a.start();
		world.guests = [new Guest(world, 'guest0'), new Guest(world, 'guest1')];
		world.guests.forEach(g => g.run());
		world.running = true;
		const devices = world.actors.flatMap(a => a.devices);
		let kills = 0;
		const taken = [];
		const cuts = async () => {
			for (let i = 0; i < 15; i++) {
				random.chance(0.15) ? random.pick(world.guests).cut() : random.pick(devices).cut();
				await sleep(random.int(120));
			}
		};
		// Something of the caller's goes on beside the traffic, in place of kills if not said otherwise; calm() ends what is left of it.
		const isOver = () => (Date.now() - started) / 1000 >= seconds || world.problems.length > 0;
		const disturbed = disturb?.({ server, world, random, isOver })?.catch(e => world.problem(e.stack || String(e)));
		while (!isOver()) {
			const isDue = Date.now() - started > (seconds * 1000 * (taken.length + 1)) / (backups + 1);
			const phase = isDue ? 'backup amid cuts' : !mayKill ? random.pick(['calm', 'calm', 'cuts', 'stalls'])
				: random.pick(['calm', 'cuts', 'stalls', 'kill -9', 'kill -9', 'kill -9', 'kill -9 twice', 'stop', 'kill -9 amid cuts', ...(backups ? ['kill amid backup'] : [])]);
			await sleep(300 + random.int(900));
			if (phase === 'cuts' || phase === 'kill -9 amid cuts') await cuts();
			if (phase === 'backup amid cuts') taken.push((await Promise.all([takeBackup(world, server, taken.length + 1, crowd), cuts()]))[0]);
			if (phase === 'kill amid backup') {
				world.isKilling = true;
				await killAmidBackup(world, server, random.int(150));
				world.isKilling = false;
				kills++;
			}
			if (phase === 'stalls') for (let i = 0; i < 4; i++) random.pick(devices).stall(500 + random.int(4000));
			if (phase.startsWith('kill -9')) {
				world.isKilling = true;
				for (let i = phase.endsWith('twice') ? 2 : 1; i > 0; i--) {
					await server.kill9();
					kills++;
					await sleep(random.int(300));
					await server.restart();
					if (i > 1) await sleep(random.int(150));
				}
				world.isKilling = false;
			}
			if (phase === 'stop') {
				world.isKilling = true;
				await server.stop();
				await sleep(random.int(300));
				await server.restart();
				world.isKilling = false;
			}
			print(`${clock()}  ${phase.padEnd(18)} ${summary()}`);
			if (world.problems.length) break;
		}
		await disturbed;
		calm();
		world.running = false;
		await settle(world, devices);
		print(`${clock()}  all is quiet        ${summary()}`);
		const found = await audit(world, devices);
		world.counts.backups = taken.length;
		for (const b of taken) print(`${clock()}  backup ${b.number}           ${await auditBackup(world, b, found, readBack)}`);
		world.ending = true;
		world.guests.forEach(g => g.cut());
		devices.forEach(d => d.ws.terminate());
		await server.stop();
		print(`${clock()}  audited            ${found.truth.length} public and ${found.dms.size} private messages, ${found.files} files, ${devices.length} devices, ` +
			`${found.stretches} guests' visits, ${kills} kills: ${world.problems.length ? `${world.problems.length} PROBLEMS` : 'all is right'}`);
	} catch (e) {
		world.problem(e.stack || String(e));
	} finally {
		world.ending = true;
		await server.cleanUp();
		disk?.remove();
	}
	for (const p of world.problems.slice(0, 20)) print(`  problem: ${p}`);
	return { problems: world.problems, counts: { ...world.counts, ...world.adminCounts, fills: world.fills } };
}

/** Until everything said is acked and everyone has caught up. */
async function settle(world, devices) {
	const deadline = Date.now() + 60000;
	const behind = () => devices.filter(d => !d.ready || d.stalls).map(d => d.label);
	const unacked = () => world.actors.flatMap(a => (a.isSaying ? [`what ${a.name} is saying`] : [...a.outbox.keys()]));
	let nudge = Date.now();
	while (behind().length || unacked().length) {
		if (Date.now() > deadline) {
			world.problem(`never settled: not ready ${behind().slice(0, 5)}, not acked ${unacked().slice(0, 5)}`);
			return;
		}
		if (Date.now() - nudge > 5000) { // an echo that was lost with its connection comes when the message is sent again
			nudge = Date.now();
			for (const a of world.actors) for (const m of a.outbox.values()) a.devices.find(d => d.ready)?.send(m.frame);
		}
		await sleep(50);
	}
	await sleep(500);
}

/** The whole of the public history and of `peer`'s, by pages, oldest first. */
async function pages(world, c, more = {}) {
	const all = [];
	for (let before = 0; ;) {
		c.send({ type: 'history', before, limit: 200, ...more });
		const page = await c.next('history', 20000);
		all.unshift(...page.messages);
		if (!page.more || !page.messages.length) break;
		before = page.messages[0].id;
	}
	for (let i = 1; i < all.length; i++) if (all[i].id <= all[i - 1].id) world.problem(`history goes from ${all[i - 1].id} to ${all[i].id}`);
	return all;
}

/** What a server keeps, as people read it: the public history by id, DMs by id with who has them, and where each thing said stands. */
async function readBack(world, server) {
	const newcomer = await join2(server, 'newcomer');
	const everything = await pages(world, newcomer);
	const truth = everything.filter(m => isMessage(m) && !isVictim(m.from_name) && !m.deleted);
	const byId = new Map(truth.map(m => [m.id, essence(m)]));
	newcomer.ws.terminate();
	if (truth.some(m => m.dm)) world.problem('a DM in the public history');

	// Said once: no text, file or voice stands twice.
	const place = new Map();
	truth.forEach((m, i) => {
		const token = tokenOf(m);
		if (place.has(token)) world.problem(`twice in the history: ${token.slice(0, 60)}`);
		place.set(token, i);
	});

	// What the two of a conversation read back is the truth of DMs.
	const dms = new Map();
	for (const a of world.actors) {
		const c = await join2(server, '', { token: a.token });
		for (const peer of world.actors)
			for (const m of await pages(world, c, { peer_id: peer.id })) {
				if (![m.from_id, m.to_id].includes(a.id) || ![m.from_id, m.to_id].includes(peer.id)) world.problem(`a page of ${a.name} and ${peer.name} has ${essence(m)}`);
				const known = dms.get(m.id);
				if (known && known.essence !== essence(m)) world.problem(`DM ${m.id} differs between its ends`);
				dms.set(m.id, { essence: essence(m), ends: [m.from_id, m.to_id], seen: (known ? known.seen : new Set()).add(a.id) });
			}
		c.ws.terminate();
	}
	for (const [id, d] of dms) if (!d.ends.every(e => d.seen.has(e))) world.problem(`DM ${id} is in the history of one end only: ${d.essence}`);
	return { everything, truth, byId, place, dms };
}

/** Every file up to this id, byte for byte. Returns how many there are. */
export async function checkFiles(world, server, upto = Infinity) {
	let files = 0;
	for (const a of world.actors)
		for (const [cid, { id, message, url }] of a.acked) {
			if (!message.sha || id > upto) continue;
			const r = await request(server, 'GET', url);
			files++;
			if (r.status !== 200 || crypto.createHash('sha256').update(r.body).digest('hex') !== message.sha)
				world.problem(`the file of ${cid} at ${url}: ${r.status}, ${r.body.length} bytes, another SHA-256`);
		}
	return files;
}

async function audit(world, devices) {
	const { server } = world, found = await readBack(world, server);
	const { truth, byId, place, dms } = found;

	// Everything there was said by somebody, whole.
	const said = new Set(world.guests.flatMap(g => [...g.acked, ...g.maybe]));
	for (const a of world.actors) for (const { message } of a.acked.values()) if (!message.to) said.add(tokenOf(message.frame));
	for (const m of truth) if (!said.has(tokenOf(m))) world.problem(`nobody said ${essence(m)}`);

	// Acked is stored, under the id of the echo; stored is acked, because everyone sent until it was.
	for (const a of world.actors)
		for (const [cid, { id, message }] of a.acked) {
			const stored = message.to ? dms.get(id)?.essence : byId.get(id);
			if (!stored) world.problem(`acked and gone: ${cid} as ${id}`);
			else if (!stored.includes(`"${message.frame.text ?? message.frame.filename ?? ''}`)) world.problem(`${cid} was acked as ${id}, which is ${stored}`);
		}

	// Every device saw all of it, and nothing else.
	for (const d of devices) {
		const mine = new Map(byId);
		for (const [id, m] of dms) if (m.ends.includes(d.actor.id)) mine.set(id, m.essence);
		let missing = 0, strange = 0, example = '';
		for (const [id, e] of mine) if (d.view.get(id) !== e) { missing++; example ||= `${id} ${e} (it has ${d.view.get(id)})`; }
		for (const [id, e] of d.view) if (!mine.has(id)) { strange++; example ||= `${id} ${e} is not in the history`; }
		if (missing || strange) world.problem(`${d.label}: ${missing} of ${mine.size} missing or different, ${strange} that do not exist: ${example}`);
	}

	// A purge that was confirmed leaves no word.
	const words = new Set(world.purged);
	for (const m of found.everything) if (words.has(m.text)) world.problem(`purged, and still there: ${essence(m)}`);

	// Guests: acked once, unacked at most once (seen above), and each visit one stretch of the order.
	let stretches = 0;
	for (const g of world.guests) {
		for (const t of g.acked) if (!place.has(t)) world.problem(`${g.name}: acked and gone: ${t}`);
		for (const s of g.stretches) {
			stretches++;
			for (let i = 0; i < s.length; i++) {
				const at = place.get(s[i]);
				if (at === undefined) { world.problem(`${g.name}: saw ${s[i].slice(0, 60)}, which does not exist`); break; }
				if (i && at !== place.get(s[i - 1]) + 1) { world.problem(`${g.name}: after ${s[i - 1].slice(0, 40)} came ${s[i].slice(0, 40)}, ${at - place.get(s[i - 1])} places on`); break; }
			}
		}
	}

	return { ...found, stretches, files: await checkFiles(world, server) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
	const { values: { admin, disk, ...values } } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' }, actors: { type: 'string' }, rate: { type: 'string' },
		backups: { type: 'string' }, crowd: { type: 'string' }, admin: { type: 'boolean' }, disk: { type: 'boolean' } } });
	const number = Object.fromEntries(Object.entries(values).map(([k, v]) => [k, Number(v)]));
	const seed = number.seed ?? Date.now() % 100000;
	console.log(`checker: ${number.seconds ?? 60} s, seed ${seed}${admin ? ', an admin at work' : ''}${disk ? ', a disk that fills and empties' : ''}`);
	const { problems } = await check({ ...number, seed, ...disturbance({ admin, disk }) });
	process.exit(problems.length ? 1 : 0);
}
