// told.mjs — all that a server tells each person: what is public, their private messages, and how the first dialect sees it.
import { createHash } from 'node:crypto';

/** The same for each server that has the same data: no times of now, no online people. */
export async function told(s, tokens) {
	const all = {};
	for (const [name, token] of Object.entries(tokens)) {
		const c = await s.connect();
		c.send({ type: 'join', v: 2, name: '', token, since: 0 });
		c.init = await c.answer();
		if (c.init.type !== 'init') { // banned
			all[name] = c.init.code;
			continue;
		}
		const events = [...c.init.history];
		for (let more = c.init.gap; more;) {
			c.send({ type: 'sync', since: events.at(-1).id });
			const page = await c.next('sync');
			events.push(...page.events);
			more = page.more;
		}
		c.send({ type: 'history' });
		const page = (await c.next('history')).messages;
		const peers = {};
		for (const { id } of c.init.peers || []) {
			c.send({ type: 'history', peer_id: id });
			peers[id] = (await c.next('history')).messages;
		}
		all[name] = { id: c.init.my_id, name: c.init.my_name, events, page, peers, dm_peers: (c.init.peers || []).map(({ online, ...p }) => p) };
		c.ws.terminate();
	}
	const old = await s.join('Onlooker');
	all.old = old.init.history.map(({ ts, iso, data, ...m }) => ({ ...m, sha: data && createHash('sha256').update(data).digest('hex') }));
	old.ws.terminate();
	return JSON.parse(JSON.stringify(all)); // as it is read back
}
