// contract.mjs — the shapes of man/wavechat-protocol.7 as a judge of frames: a frame of a page, `Client`, `Raw` or the checker has no member that the man
// page does not know, lacks none that it promises, and each has the type that it says. A frame that is bad on purpose is sent with `bad` (lib.mjs) and not judged.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const page = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../man/wavechat-protocol.7');

/** What a value in capitals stands for. A client may send an id as a string of digits, see READING AND WRITING. */
const isNumber = v => typeof v === 'number' && v >= 0;
const isWhole = v => isNumber(v) && Number.isSafeInteger(v);
const isString = v => typeof v === 'string';
const kinds = {
	STRING: isString, HANDLE: isString, BOOL: v => typeof v === 'boolean', N: isWhole, MS: isWhole, BYTES: isWhole, SECONDS: isNumber,
	ID: (v, from) => isWhole(v) || (from === 'C' && isString(v) && /^\s*\d+\s*$/.test(v)),
	TIME: v => isString(v) && /^(\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)$/.test(v),
	BASE64: (v, from) => isString(v) && (from === 'C' || /^[A-Za-z0-9+/]*={0,2}$/.test(v.slice(-4096))),
	PATH: v => isString(v) && v.startsWith('/'),
};

/** One shape, as the page writes it: {"name"?:TYPE|TYPE, ...}, [TYPE,...]. */
function parse(text) {
	const tokens = text.match(/"[^"]*"|\.\.\.|[{}[\],:?|]|[A-Za-z0-9]+/g);
	let at = 0;
	const take = want => {
		if (want && tokens[at] !== want) throw new Error(`${page}: ${want} expected, not ${tokens[at]}, in ${text}`);
		return tokens[at++];
	};
	const one = () => {
		if (tokens[at] === '{') {
			const members = {};
			take('{');
			for (;;) {
				const name = take().slice(1, -1);
				const isOptional = tokens[at] === '?' && Boolean(take());
				take(':');
				members[name] = { isOptional, type: type() };
				if (take() === '}') return { members };
			}
		}
		if (tokens[at] === '[') {
			take('[');
			const each = type();
			take(','); take('...'); take(']');
			return { each };
		}
		const word = take();
		if (word.startsWith('"')) return { literal: word.slice(1, -1) };
		if (/^(true|false|null|\d+)$/.test(word)) return { literal: JSON.parse(word) };
		if (!kinds[word] && !['MESSAGE', 'EVENT', 'CODE'].includes(word)) throw new Error(`${page}: what is ${word}?`);
		return { kind: word };
	};
	const type = () => {
		const any = [one()];
		while (tokens[at] === '|') {
			take();
			any.push(one());
		}
		return any.length > 1 ? { any } : any[0];
	};
	return type();
}

/** shapes[dialect][from][type], and the codes of errors. */
function read() {
	const shapes = { 1: { C: {}, S: {} }, 2: { C: {}, S: {} } }, codes = new Set();
	let dialect = 0, inCodes = false, isLiteral = false, shape = '';
	const end = () => {
		if (!shape) return;
		const [, from, text] = /^([CS]): (.*)$/s.exec(shape);
		const s = parse(text);
		shapes[dialect][from][s.members.type.type.literal] = s;
		shape = '';
	};
	for (const line of fs.readFileSync(page, 'utf8').split('\n')) {
		const heading = /^\.Sh (.*)/.exec(line)?.[1];
		if (heading) {
			dialect = { 'THE FIRST DIALECT': 1, 'THE SECOND DIALECT': 2 }[heading] || 0;
			inCodes = heading === 'ERROR CODES';
		}
		const code = inCodes && /^\.It Cm (\w+)/.exec(line)?.[1];
		if (code) codes.add(code);
		if (line.startsWith('.Bd -literal')) isLiteral = dialect > 0;
		else if (line.startsWith('.Ed')) { end(); isLiteral = false; }
		else if (isLiteral && /^[CS]: /.test(line)) { end(); shape = line; }
		else if (isLiteral && shape) shape += ` ${line}`;
	}
	// "Everything of the first dialect holds": what the second does not write anew, it has from the first.
	for (const from of ['C', 'S']) shapes[2][from] = { ...shapes[1][from], ...shapes[2][from] };
	delete shapes[2].S.users;
	// "data in its place, as in the first dialect, is taken as well"
	for (const kind of ['file', 'voice']) {
		const of2 = shapes[2].C[kind].members;
		of2.data = { ...shapes[1].C[kind].members.data, isOptional: true };
		of2.blob.isOptional = true;
	}
	return { shapes, codes };
}

const { shapes, codes } = read();

/** Why `value` is not of that type; null if it is. */
function fault(value, type, where, side) {
	if (type.any) return type.any.some(t => !fault(value, t, where, side)) ? null : `${where} is ${brief(value)}`;
	if (type.members) return faultOfMembers(value, type.members, where, side);
	if (type.each) {
		if (!Array.isArray(value)) return `${where} is no list: ${brief(value)}`;
		for (const [i, v] of value.entries()) {
			const f = fault(v, type.each, `${where}[${i}]`, side);
			if (f) return f;
		}
		return null;
	}
	if ('literal' in type) return value === type.literal || (side.from === 'C' && type.literal === 2 && value >= 2) ? null : `${where} is ${brief(value)}, not ${type.literal}`;
	if (type.kind === 'CODE') return codes.has(value) ? null : `${where}: ${brief(value)} is not among the codes`;
	if (type.kind === 'MESSAGE' || type.kind === 'EVENT') {
		const names = ['text', 'file', 'voice', ...(type.kind === 'EVENT' ? ['delete'] : [])];
		if (!names.includes(value?.type)) return `${where} is no ${type.kind.toLowerCase()}: ${brief(value)}`;
		return faultOfMembers(value, shapes[side.dialect].S[value.type].members, where, side);
	}
	return kinds[type.kind](value, side.from) ? null : `${where} is no ${type.kind}: ${brief(value)}`;
}

function faultOfMembers(value, members, where, side) {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) return `${where} is no object: ${brief(value)}`;
	let known = members;
	if (value.deleted === true && side.dialect === 2 && members.text || value.deleted === true && side.dialect === 2 && members.url) {
		// "true in place of all members behind to_name, except self and cid"
		const names = Object.keys(members);
		known = Object.fromEntries(names.slice(0, names.indexOf('to_name') + 1).concat('self', 'cid').map(n => [n, members[n]]));
		known.deleted = { type: { literal: true } };
	}
	for (const [name, v] of Object.entries(value)) {
		if (v === undefined || (side.from === 'C' && v === null)) continue; // not sent, or as good as absent
		if (!known[name]) return `${where}.${name} is not on the page`;
		const f = fault(v, known[name].type, `${where}.${name}`, side);
		if (f) return f;
	}
	for (const [name, m] of Object.entries(known)) if (!m.isOptional && (value[name] === undefined || (side.from === 'C' && value[name] === null))) return `${where}.${name} is missing`;
	return null;
}

const brief = v => String(JSON.stringify(v)).slice(0, 80);

/** Why this frame of `from` ("C" or "S") is not what the page says of that dialect; null if it is. */
export function breach(frame, from, dialect) {
	const shape = typeof frame?.type === 'string' && Object.hasOwn(shapes[dialect][from], frame.type) && shapes[dialect][from][frame.type];
	if (!shape) return `${from}: no frame of dialect ${dialect} has the type ${brief(frame?.type)}`;
	const f = faultOfMembers(frame, shape.members, frame.type, { from, dialect });
	return f && `${from}: ${f}`;
}

/** Fails the test that runs: a breach is nobody's answer that somebody waits for. CONTRACT=list only prints them. */
export function judge(why) {
	if (!why) return;
	if (process.env.CONTRACT === 'list') return console.error(`contract: ${why}`);
	throw new Error(`wavechat-protocol(7) is broken: ${why}`);
}

/** One connection as the page sees it: which dialect it has, and what is wrong with a frame. */
export class Contract {
	dialect = 1; // of the join under way, or that succeeded
	isJoined = false;

	/** A frame of the client, before it is sent: an object, or a text that may be one. */
	sent(frame) {
		if (typeof frame === 'string') try { frame = JSON.parse(frame); } catch { return null; } // whoever sends no JSON knows why

		if (frame?.type === 'join' && !this.isJoined) this.dialect = frame.v >= 2 ? 2 : 1;
		return breach(frame, 'C', this.dialect);
	}

	/** A frame of the server. */
	got(frame) {
		if (frame?.type === 'init') {
			this.isJoined = true;
			this.dialect = frame.v === 2 ? 2 : 1;
		}
		// "An error before join has succeeded has the members of the second dialect too."
		if (frame?.type === 'error' && !this.isJoined) return breach(frame, 'S', 2) && breach(frame, 'S', 1);
		return breach(frame, 'S', this.dialect);
	}
}
