// checker-actors.mjs — the people of the checker: identities with one or two devices, guests of the first dialect, and what each of
// them saw. They know nothing of what the server is put through; they only reconnect, resume and send again, as a page would.
import crypto from 'node:crypto';
import WebSocket from 'ws';
import { Contract } from '../contract.mjs';
import { noise, patience, sleep } from './lib.mjs';
import { clientFrame } from './raw.mjs';
import { isVictim } from './checker-disturb.mjs';
import { newKey, request, uploadPath } from './v2.mjs';

/** A generator that gives the same numbers for the same seed. */
export function rng(seed) {
	let x = (seed * 2654435761 + 1013904223) >>> 0 || 1;
	const next = () => {
		x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0;
		return x / 2 ** 32;
	};
	return { next, int: n => Math.floor(next() * n), pick: list => list[Math.floor(next() * list.length)], chance: p => next() < p };
}

const sha = b => crypto.createHash('sha256').update(b).digest('hex');
export const isMessage = f => f.type === 'text' || f.type === 'file' || f.type === 'voice';

/** What must be the same of one message in every eye that sees it. */
export const essence = m => JSON.stringify([m.type, m.dm, m.from_id, m.from_name, m.dm ? m.to_id : 0, m.text, m.filename, m.duration, m.size, m.url]);
/** What names a message where it has no id: every one of the checker's is unlike any other. */
export const tokenOf = m => m.text ?? m.filename ?? `voice ${m.duration}`;

/** State shared by all: the world the actors live in. */
export class World {
	problems = [];
	counts = { sent: 0, acked: 0, reconnects: 0, resent: 0, cuts: 0, stalls: 0, files: 0, broken: 0 };
	running = true;  // new messages are made
	ending = false;  // nobody reconnects any more
	serial = 0;
	durations = 0;

	constructor(server, seed, rate) {
		this.server = server;
		this.random = rng(seed);
		this.rate = rate;
	}

	problem(text) {
		if (this.problems.length < 200) this.problems.push(text);
	}
}

/** One connection at a time of one identity, with a memory of all it ever saw. */
class Device {
	view = new Map();  // id → essence
	frontier = 0;      // everything up to this id has been seen
	ready = false;     // joined, and caught up
	wantsUp = true;

	constructor(actor, number) {
		this.actor = actor;
		this.world = actor.world;
		this.label = `${actor.name}/${number}`;
	}

	async run() {
		let first = true;
		while (!this.world.ending) {
			if (!first) this.world.counts.reconnects++;
			first = false;
			await this.session();
			this.ready = false;
			await sleep(20 + this.world.random.int(150));
		}
	}

	/** From connecting to the end of that connection. */
	session() {
		return new Promise(resolve => {
			const ws = new WebSocket(`ws://127.0.0.1:${this.world.server.port}/ws`, { perMessageDeflate: false });
			this.ws = ws;
			this.contract = new Contract();
			this.catching = true;
			this.lastLive = 0;
			const patience = setTimeout(() => ws.terminate(), 20000); // a handshake or an init that never comes
			ws.on('error', () => {});
			ws.on('open', () => {
				const { actor } = this;
				this.send({ type: 'join', v: 2, name: actor.name, ...(actor.token ? { token: actor.token, since: this.frontier } : {}) });
			});
			ws.on('message', data => {
				try {
					const frame = JSON.parse(data.toString());
					this.judge(this.contract.got(frame));
					this.onFrame(frame, patience);
				} catch (e) {
					this.world.problem(`${this.label}: ${e.stack}`);
				}
			});
			ws.on('close', code => {
				clearTimeout(patience);
				if ([1002, 1003, 1007, 1009, 1011].includes(code)) this.world.problem(`${this.label}: closed with ${code}`);
				resolve();
			});
		});
	}

	onFrame(f, patience) {
		const { actor, world } = this;
		if (f.type === 'init') {
			clearTimeout(patience);
			if (f.reset) world.problem(`${this.label}: reset, though everything since ${this.frontier} was kept`);
			if (actor.id && f.my_id !== actor.id) world.problem(`${this.label}: the token brought back ${f.my_id} in place of ${actor.id}`);
			if (!actor.token) {
				actor.token = f.token;
				actor.id = f.my_id;
				this.frontier = f.head;
				f.history = [];
			}
			this.page(f.history, f.gap === true);
		} else if (f.type === 'sync') {
			this.page(f.events, f.more);
		} else if (isMessage(f)) {
			this.see(f, 'live');
			if (f.id > this.lastLive) this.lastLive = f.id;
			else if (!(f.self && f.cid)) world.problem(`${this.label}: ${f.id} came live after ${this.lastLive}`);
			if (!this.catching && f.id > this.frontier && !this.isLateEcho(f)) this.frontier = f.id;
			if (f.self) actor.onEcho(f, this);
		} else if (f.type === 'error') {
			actor.onError(f, this);
		}
	}

	/** An echo that answers a message sent again says nothing of where the order has come to. */
	isLateEcho(f) {
		return f.self && f.id < this.lastLive;
	}

	page(events, more) {
		let last = this.frontier;
		for (const e of events) {
			if (e.id <= last) this.world.problem(`${this.label}: a page goes from ${last} to ${e.id}`);
			last = e.id;
			this.see(e, 'page');
			if (e.self) this.actor.onEcho(e, this);
		}
		this.frontier = last;
		if (more) {
			this.send({ type: 'sync', since: last });
			return;
		}
		this.catching = false;
		this.frontier = Math.max(last, this.lastLive);
		this.ready = true;
		for (const m of this.actor.outbox.values()) {
			this.world.counts.resent++;
			this.send(m.frame);
		}
	}

	see(m, how) {
		if (!isMessage(m) || isVictim(m.from_name)) return; // a deletion, or what the admin purges
		if (!Number.isSafeInteger(m.id)) return this.world.problem(`${this.label}: no id in ${JSON.stringify(m).slice(0, 200)}`);
		const known = this.view.get(m.id), now = essence(m);
		if (known === undefined) this.view.set(m.id, now);
		else if (known !== now) this.world.problem(`${this.label}: ${m.id} was ${known} and is (${how}) ${now}`);
		if (m.dm && m.from_id !== this.actor.id && m.to_id !== this.actor.id) this.world.problem(`${this.label}: sees a DM of others: ${now}`);
		if ((m.self === true) !== (m.from_id === this.actor.id)) this.world.problem(`${this.label}: self is wrong on ${now}`);
	}

	send(frame) {
		if (this.ws.readyState !== WebSocket.OPEN) return;
		this.judge(this.contract.sent(frame));
		this.ws.send(JSON.stringify(frame));
	}

	judge(breach) {
		if (breach) this.world.problem(`${this.label}: wavechat-protocol(7) is broken: ${breach}`);
	}

	/** The line breaks, in one of the ways lines break. */
	cut() {
		const socket = this.ws?._socket;
		if (!socket || this.ws.readyState !== WebSocket.OPEN) return;
		this.world.counts.cuts++;
		switch (this.world.random.int(4)) {
		case 0: this.ws.terminate(); break;
		case 1: this.ws.close(1000); break;
		case 2: socket.resetAndDestroy ? socket.resetAndDestroy() : socket.destroy(); break;
		default: { // in the middle of a frame that could have been a message
			const whole = clientFrame(JSON.stringify({ type: 'text', text: `half a frame ${this.world.serial++}` }));
			socket.write(whole.subarray(0, 1 + this.world.random.int(whole.length - 1)), () => socket.destroy());
		}
		}
	}

	stall(ms) {
		const socket = this.ws?._socket;
		if (!socket || this.ws.readyState !== WebSocket.OPEN) return;
		this.world.counts.stalls++;
		socket.pause();
		this.stalls = (this.stalls || 0) + 1;
		setTimeout(() => {
			this.stalls--;
			socket.resume();
		}, ms);
	}
}

/** A person with a token. */
export class Actor {
	outbox = new Map();  // cid → message not yet acked
	acked = new Map();   // cid → { id, message }
	devices = [];

	constructor(world, name, devices) {
		this.world = world;
		this.name = name;
		for (let i = 1; i <= devices; i++) this.devices.push(new Device(this, i));
	}

	/** The first device makes the identity; the others start from the same place. */
	async start() {
		const [first, ...rest] = this.devices;
		first.run();
		while (!first.ready) await sleep(10);
		for (const d of rest) {
			d.frontier = first.frontier;
			d.run();
		}
		this.life();
	}

	async life() {
		const { world } = this;
		while (!world.ending) {
			await sleep(5 + world.random.int(Math.max(10, (2000 * world.actors.length) / world.rate)));
			if (!world.running || this.outbox.size > 30) continue;
			this.isSaying = true; // an upload takes its time, and is not yet in the outbox
			try {
				await this.say();
			} catch (e) {
				world.problem(`${this.name}: ${e.stack}`);
			}
			this.isSaying = false;
		}
	}

	async say() {
		const { world } = this, { random } = world;
		const n = random.chance(0.2) ? 1 + random.int(8) : 1;
		for (let i = 0; i < n; i++) {
			const to = random.chance(0.25) ? random.pick(world.actors) : null;
			const cid = `${this.name}.${++world.serial}`;
			const frame = { type: 'text', cid, ...(to ? { to_id: to.id } : {}) };
			const m = { cid, frame, to };
			const kind = random.int(60);
			if (kind === 0) await this.withUpload(m);
			else if (kind === 1) {
				const body = noise(1 + random.int(30000), world.serial);
				m.sha = sha(body);
				Object.assign(frame, { type: 'voice', data: body.toString('base64'), duration: ++world.durations });
			} else frame.text = `${cid} ${'x'.repeat(random.int(random.chance(0.05) ? 3900 : 200))}`.trim();
			this.outbox.set(cid, m);
			world.counts.sent++;
			const device = random.pick(this.devices);
			if (device.ready) device.send(frame);
		}
		if (this.acked.size && random.chance(0.05)) { // said again, as after a lost echo
			const { message } = random.pick([...this.acked.values()].slice(-50));
			random.pick(this.devices).send(message.frame);
		}
		if (random.chance(0.1)) random.pick(this.devices).send({ type: 'typing' });
	}

	/** A file whose upload may break off anywhere and goes on. */
	async withUpload(m) {
		const { world } = this, { random, server } = world;
		const body = noise(1 + random.int(random.chance(0.1) ? 3_000_000 : 200_000), world.serial);
		const key = newKey(), headers = { authorization: `Bearer ${this.token}` };
		m.sha = sha(body);
		for (let tries = 0, blob; !blob; tries++) {
			if (tries > 600) throw new Error(`upload of ${body.length} bytes never ended`);
			let offset = 0;
			try {
				const state = await request(server, 'GET', `/upload?key=${key}`, { headers });
				if (state.status === 200) ({ offset, blob } = state.json);
				else if (state.status !== 404) throw new Error(`GET /upload: ${state.status}`);
				if (blob) { m.blob = blob; break; }
				const endEarly = random.chance(0.4);
				if (endEarly) world.counts.broken++;
				const rest = body.subarray(offset, endEarly ? offset + random.int(body.length - offset) : undefined);
				const r = await request(server, 'POST', uploadPath(key, body.length, offset), {
					headers: { ...headers, 'content-length': body.length - offset }, body: rest, endEarly: endEarly ? 5 + random.int(40) : 0,
				});
				if (r.status === 200) m.blob = blob = r.json.blob;
				else if (![403, 409, 423, 429, 503, 507].includes(r.status)) world.problem(`${this.name}: POST /upload at ${offset} of ${body.length}: ${r.status} ${r.body}`);
			} catch { /* the server is away, or the line broke: ask again */ }
			if (!blob) await sleep(50 + random.int(100));
		}
		Object.assign(m.frame, { type: 'file', blob: m.blob, filename: `${m.cid}.bin`, mime: 'application/octet-stream' });
		world.counts.files++;
	}

	onEcho(f, device) {
		if (!f.cid) return this.world.problem(`${device.label}: an own message without its cid: ${essence(f)}`);
		const before = this.acked.get(f.cid);
		if (before) {
			if (before.id !== f.id) this.world.problem(`${device.label}: ${f.cid} was stored as ${before.id} and again as ${f.id}`);
			return;
		}
		const message = this.outbox.get(f.cid);
		if (!message) return this.world.problem(`${device.label}: an echo of ${f.cid}, which was never sent`);
		if (message.frame.text !== undefined && message.frame.text !== f.text) this.world.problem(`${device.label}: ${f.cid} came back as ${essence(f)}`);
		this.outbox.delete(f.cid);
		this.acked.set(f.cid, { id: f.id, message, url: f.url });
		this.world.counts.acked++;
	}

	onError(f, device) {
		if (['storage', 'rate_limited', 'busy', 'lockdown'].includes(f.code)) {
			const m = this.outbox.get(f.cid);
			if (m) setTimeout(() => device.ready && device.send(m.frame), (f.retry_ms || 300) + 50);
			return;
		}
		this.world.problem(`${device.label}: error ${JSON.stringify(f).slice(0, 200)}`);
	}
}

/** A guest of the first dialect: no token, no resume. What it saw in one connection must be one stretch of the order. */
export class Guest {
	acked = new Set();
	maybe = new Set();   // said, and the line broke before the echo
	stretches = [];      // of tokens, one a connection

	constructor(world, name) {
		this.world = world;
		this.name = name;
	}

	async run() {
		while (!this.world.ending) {
			await this.session();
			await sleep(50 + this.world.random.int(300));
		}
	}

	session() {
		const { world } = this, waiting = new Set(), contract = new Contract();
		return new Promise(resolve => {
			const ws = new WebSocket(`ws://127.0.0.1:${world.server.port}/ws`, { perMessageDeflate: false });
			this.ws = ws;
			const stretch = [];
			let joined = false, id = 0;
			const talk = setInterval(() => {
				if (!joined || !world.running || ws.readyState !== WebSocket.OPEN || waiting.size > 10) return;
				const text = `${this.name}.${++world.serial}`;
				waiting.add(text);
				ws.send(JSON.stringify({ type: 'text', text }));
			}, 60);
			ws.on('error', () => {});
			ws.on('open', () => ws.send(JSON.stringify({ type: 'join', name: this.name })));
			ws.on('message', data => {
				const f = JSON.parse(data.toString()), breach = contract.got(f);
				if (breach) world.problem(`${this.name}: wavechat-protocol(7) is broken: ${breach}`);
				if (f.type === 'init') {
					joined = true;
					id = f.my_id;
					for (const m of f.history) if (!isVictim(m.from_name)) stretch.push(tokenOf(m));
					this.stretches.push(stretch);
				} else if (isMessage(f)) {
					if (f.dm && f.from_id !== id && f.to_id !== id) world.problem(`${this.name}: sees a DM of others: ${tokenOf(f)}`);
					if (!f.dm && !isVictim(f.from_name)) stretch.push(tokenOf(f));
					if (f.self) {
						if (!waiting.delete(f.text)) world.problem(`${this.name}: its ${f.text} came back twice, or was never said`);
						this.acked.add(f.text);
					}
				} else if (f.type === 'error' && !/wait|slow|many|save|busy|memory|locked (it|this chat) down|disk/i.test(f.text)) world.problem(`${this.name}: error ${f.text}`);
			});
			ws.on('close', () => {
				clearInterval(talk);
				for (const t of waiting) this.maybe.add(t);
				resolve();
			});
		});
	}

	cut() {
		this.ws?.terminate();
	}
}
