// memory-foes.mjs — a process of its own: two strangers who want all of a server's memory at once. PORT is its one argument; ends at SIGTERM with a
// line of JSON that says what became of them.
//
// Each of the two has eight uploads of 25 MB under way at any time, six connections that send files of 25 MB inside frames of the first dialect (half
// of them never read), others that claim such a frame and send a part of it, and joins one after another. Whoever is thrown out comes back.
import crypto from 'node:crypto';
import net from 'node:net';

const port = Number(process.argv[2]), MB = 1 << 20, FILE = 25 * MB;
const count = { uploads: {}, frames: 0, frames_ended: 0, claims_ended: 0, joins: 0, pages: 0, errors: {} };
const body = Buffer.alloc(FILE, 'x'), sleep = ms => new Promise(r => setTimeout(r, ms));
let over = false;

/** Masked with a key of zeros, which changes nothing and costs nothing. */
function frame(payload, claimed = payload.length) {
	const head = Buffer.alloc(14);
	head[0] = 0x81;
	if (claimed < 126) {
		head[1] = 0x80 | claimed;
		return Buffer.concat([head.subarray(0, 6), payload]);
	}
	head[1] = 0xff;
	head.writeBigUInt64BE(BigInt(claimed), 2);
	return Buffer.concat([head, payload]);
}

/** A socket that has shaken hands and sent `first`; what comes is looked at for errors, or not read at all. */
function chat(first, reads, onFrame) {
	return new Promise((resolve, reject) => {
		const s = net.connect(port, '127.0.0.1');
		s.setNoDelay(true);
		s.once('error', reject);
		s.write(`GET /ws HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${crypto.randomBytes(16).toString('base64')}\r\n\r\n`);
		s.write(frame(Buffer.from(JSON.stringify(first))));
		let text = '', joined = false;
		s.on('data', d => {
			if (d.length < 4096 || !joined) text = (text + d.toString('latin1')).slice(-65536);
			if (!joined && text.includes('"init"')) {
				joined = true;
				s.removeListener('error', reject);
				s.on('error', () => {});
				const token = /"token":"([^"]+)"/.exec(text);
				s.token = token && token[1];
				if (!reads) s.pause();
				resolve(s);
			}
			for (const [, code] of text.matchAll(/"code":"([a-z_]+)"/g)) count.errors[code] = (count.errors[code] || 0) + 1;
			if (joined) text = text.slice(-12);
			if (onFrame) onFrame(d);
		});
		s.once('close', () => reject(new Error('closed')));
		setTimeout(() => reject(new Error('no init')), 15000).unref();
	});
}
const closed = s => new Promise(r => (s.destroyed ? r() : s.once('close', r)));

async function upload(token) {
	const status = await new Promise(resolve => {
		const s = net.connect(port, '127.0.0.1');
		let got = '';
		s.on('error', () => {});
		s.on('data', d => {
			got += d.toString('latin1');
			if (got.includes('\r\n\r\n')) s.destroy();
		});
		s.once('close', () => resolve(/^HTTP\/1\.1 (\d+)/.exec(got)?.[1] || 'cut'));
		s.write(`POST /upload?key=${crypto.randomBytes(12).toString('hex')}&size=${FILE}&offset=0 HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${token}\r\nContent-Length: ${FILE}\r\n\r\n`);
		s.write(body);
		setTimeout(() => s.destroy(), 30000).unref();
	});
	count.uploads[status] = (count.uploads[status] || 0) + 1;
}

const forever = async fn => {
	while (!over) {
		try {
			await fn();
		} catch { /* thrown out: again */ }
		await sleep(50);
	}
};

const fileFrame = n => frame(Buffer.from(JSON.stringify({ type: 'file', filename: 'x.bin', data: body.toString('base64', 0, n) })));
const big = fileFrame(FILE), smaller = fileFrame(MB); // those of 25 MB wait for each other: some get through all the time
let serial = 0;

for (const who of ['mallory', 'trudy']) {
	forever(async () => {
		const me = await chat({ type: 'join', v: 2, name: who }, true);
		const end = closed(me);
		await Promise.all([...Array(8)].map(() => forever(async () => {
			if (me.destroyed) throw await sleep(1000);
			await upload(me.token);
		})).concat(end));
	});
	for (let i = 0; i < 6; i++)
		forever(async () => {
			const s = await chat({ type: 'join', name: `${who}${++serial}` }, i % 2 === 0);
			const end = closed(s);
			while (!s.destroyed && !over) {
				count.frames++;
				await Promise.race([end, new Promise(r => s.write(i < 1 ? big : smaller, r))]);
				await Promise.race([end, sleep(200)]);
			}
			count.frames_ended++;
		});
	for (let i = 0; i < 4; i++)
		forever(async () => {
			const s = await chat({ type: 'join', name: `${who}c${++serial}` }, true);
			s.write(frame(Buffer.concat([Buffer.from('{"type":"file","data":"'), Buffer.alloc(MB, 'x')]), big.length - 14));
			await closed(s);
			count.claims_ended++;
		});
	forever(async () => {
		const s = await chat({ type: 'join', v: 2, name: `${who}j${++serial}`, since: 1 }, true);
		count.joins++;
		s.destroy();
	});
	// The longest texts, and then pages of them that nobody reads.
	forever(async () => {
		const s = await chat({ type: 'join', v: 2, name: `${who}p${++serial}` }, false);
		const text = frame(Buffer.from(JSON.stringify({ type: 'text', text: `(${'\u0001'.repeat(3998)})` })));
		for (let i = 0; i < 50; i++) s.write(text);
		for (let i = 0; i < 100 && !s.destroyed; i++) {
			s.write(frame(Buffer.from(JSON.stringify({ type: 'history', limit: 1000 }))));
			count.pages++;
			await sleep(20);
		}
		s.destroy();
	});
}

process.once('SIGTERM', () => {
	over = true;
	console.log(JSON.stringify(count));
	process.exit(0);
});
