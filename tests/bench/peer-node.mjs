// A peer to measure against: Node with `ws`, the usual way to write a chat server. Speaks as much of the wire's Part 1 as wavebench needs:
// join, init, text to all and to one. It keeps nothing, tells nobody who is here, checks no limits.
//   node peer-node.mjs      prints "listening PORT"
import { WebSocketServer } from 'ws';

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws', perMessageDeflate: false, clientTracking: false });
const people = new Map(); // id → {id, name, socket}
let nextId = 1;

function now() {
	const d = new Date(), two = n => String(n).padStart(2, '0');
	return {
		ts: `${two(d.getHours())}:${two(d.getMinutes())}`,
		iso: `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}T${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`,
	};
}

function onText(me, m) {
	const to = m.to_id ? people.get(Number(m.to_id)) : null;
	const message = { type: 'text', dm: Boolean(m.to_id), from_id: me.id, from_name: me.name, text: String(m.text).trim(), ...now() };
	if (m.to_id) Object.assign(message, { to_id: Number(m.to_id), to_name: to ? to.name : '?' });
	const own = Buffer.from(JSON.stringify({ ...message, self: true })), frame = Buffer.from(JSON.stringify(message));
	me.socket.send(own, { binary: false });
	if (to && to !== me) to.socket.send(frame, { binary: false });
	if (!m.to_id)
		for (const p of people.values())
			if (p !== me) p.socket.send(frame, { binary: false });
}

server.on('connection', socket => {
	let me = null;
	socket.on('message', data => {
		const m = JSON.parse(data);
		if (me && m.type === 'text') onText(me, m);
		if (me || m.type !== 'join') return;
		me = { id: nextId++, name: m.name, socket };
		people.set(me.id, me);
		socket.send(JSON.stringify({ type: 'init', my_id: me.id, my_name: me.name, history: [], users: [{ id: me.id, name: me.name }] }));
	});
	socket.on('close', () => me && people.delete(me.id));
	socket.on('error', () => {});
});
server.on('listening', () => console.log(`listening ${server.address().port}`));
