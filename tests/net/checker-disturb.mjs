// checker-disturb.mjs — what goes on beside the checker's traffic: an admin at work, and a disk that fills and empties. Each is a function for
// the checker's `disturb`; it reports into the world what did not go as it must, and never touches what the checker's people said.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { sleep } from './lib.mjs';
import { ctlRaw, socketOf } from './admin.mjs';
import { fillUp, smallDisk } from './disk.mjs';
import { join2, newKey, request, uploadPath } from './v2.mjs';

/** The names of people whom the admin purges: the checker's people see their messages and do not keep them. */
export const isVictim = name => typeof name === 'string' && name.startsWith('victim');

/** Runs wavechatctl; what a server says that is killed meanwhile does not count. Resolves with the result, or null. */
async function act(world, args, { want = [0], input } = {}) {
	const { server, isKilling } = world, { pid } = server;
	const r = await ctlRaw(['--socket', socketOf(server), ...args], { timeout: 60000, input }).catch(e => ({ status: null, stderr: String(e), stdout: '' }));
	if (want.includes(r.status)) return r;
	if (server.pid !== pid || !server.alive() || isKilling || world.isKilling) return null;
	if (world.mayLackRoom && args[0] === 'backup' && /space|room|full|storage/i.test(r.stderr)) return null; // a copy of the database needs some
	world.problem(`wavechatctl ${args.join(' ')}: ${r.status}, ${r.stderr || r.stdout}`);
	return null;
}

/** A person of a moment: some texts and a file. Resolves with the texts that were acknowledged. */
async function victim(world, name) {
	const said = [];
	let c;
	try {
		c = await join2(world.server, name);
		const body = Buffer.from(`file of ${name}`);
		const up = await request(world.server, 'POST', uploadPath(newKey(), body.length), { headers: { authorization: `Bearer ${c.token}`, 'content-length': body.length }, body });
		for (let i = 0; i < 5; i++) c.text(`said by ${name}, ${i}`, { cid: `v${i}` });
		if (up.status === 200) c.send({ type: 'file', blob: up.json.blob, filename: `${name}.bin`, mime: 'application/octet-stream', cid: 'f' });
		for (let i = 0; i < 5; i++) {
			const f = await c.next(g => g.cid === `v${i}`, 5000);
			if (f.type === 'text') said.push(f.text);
		}
	} catch { /* the server was away, closed to new people, or full */ }
	c?.ws.terminate();
	return said;
}

/** Backups, verify, purges, lockdowns, bans and mutes, one after another. */
export async function adminAtWork({ world, random, isOver }) {
	const out = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-admin-'));
	const count = { backup: 0, verify: 0, purge: 0, lockdown: 0, sanction: 0 };
	world.purged = [];
	world.adminCounts = count;
	try {
		for (let n = 0; !isOver(); n++) {
			await sleep(50 + random.int(250));
			const kind = Object.keys(count)[n % 5];
			let r = null;
			if (kind === 'backup') {
				const file = path.join(out, 'live.tar');
				r = await act(world, ['backup', '--force', file]);
				// What was taken beside the traffic is whole: every file has its hash, the database is sound.
				if (r) await act(world, ['verify', file]);
			} else if (kind === 'verify') r = await act(world, ['verify']);
			else if (kind === 'purge') {
				const name = `victim${n}`, said = await victim(world, name);
				if (said.length === 0) continue;
				r = await act(world, ['purge', '--yes', name]);
				if (r) world.purged.push(...said);
			} else if (kind === 'lockdown') {
				r = await act(world, random.chance(0.5) ? ['lockdown', 'on', '--read-only', '--for', '1m'] : ['lockdown', 'on', '--for', '1m']);
				await sleep(random.int(700));
				while (!(await act(world, ['lockdown', 'off']))) {
					if (world.problems.length) return;
					await sleep(200); // the server was killed meanwhile: a lockdown outlives that, and must be ended
				}
			} else {
				r = await act(world, ['mute', '--name', `nobody${n}`, '--for', '1h']);
				if (r) r = await act(world, ['unmute', '--name', `nobody${n}`]);
			}
			if (r) count[kind]++;
		}
	} finally {
		fs.rmSync(out, { recursive: true, force: true });
	}
}

/** Whether this user may mount one. */
export function canMount() {
	try {
		smallDisk(1).remove();
		return true;
	} catch {
		return false;
	}
}

/** Fills the disk that the server writes to, holds that for a moment, and gives it back. Meanwhile the admin's acts must get through. */
export async function diskFills({ server, world, random, isOver }) {
	world.mayLackRoom = true;
	const ballast = path.join(server.dir, 'ballast');
	world.fills = 0;
	for (let n = 0; !isOver(); n++) {
		await sleep(300 + random.int(1200));
		fillUp(ballast);
		world.fills++;
		const until = Date.now() + 300 + random.int(1500);
		while (Date.now() < until) {
			// A ban that was acknowledged stands, also after a kill: it can be lifted.
			if (await act(world, ['ban', '--name', `nobody-at-all${n}`, '--for', '1h'])) await act(world, ['unban', '--name', `nobody-at-all${n}`]);
			await sleep(100);
		}
		fs.rmSync(ballast);
	}
	fs.rmSync(ballast, { force: true });
}

/** Several at once. */
export const together = (...list) => ctx => Promise.all(list.map(fn => fn(ctx)));
