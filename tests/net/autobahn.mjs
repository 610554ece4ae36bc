// autobahn.mjs — the case list of the Autobahn test suite (sections 1 to 7, 9 and 10), by its numbers, as this server has to answer it.
//
// Autobahn tests a server that echoes. This one is a chat: it sends a text message back to who sent it, refuses binary ones, and answers
// what is no JSON with an error. So each case says the same thing in other words:
//
//   - a text that would be echoed is a message of the chat whose frame has exactly that many bytes, and it comes back;
//   - a text that is no message of the chat (an empty one, bare bytes of valid UTF-8) is read as one and answered with `error`;
//   - a binary message is refused with 1003, at its first byte: nothing of it is waited for;
//   - 64 KB to 16 MB are a file's frame.
//
// A case is a list of connections to make. Each sends its `send` (bytes; `octets` and `chops`: many writes; `wait`: what has to be there before
// the next one; `quiet`: ms in which nothing may come) and must then have got exactly `expect`; what of it are messages, all others must have seen
// as well, and no more. Where no close is expected, the connection must still chat, and then close cleanly with 1000.
import { OP, clientFrame, closePayload } from './raw.mjs';

const KB = 1024, MB = 1024 * KB;

export const cases = [];
const add = (number, what, ...connections) => cases.push({ number, what, connections });
/** Numbers that end in 1, 2, 3 … */
const each = (prefix, list, what, make) => list.forEach((x, i) => add(`${prefix}.${i + 1}`, what(x), ...[make(x)].flat()));

// --- What is sent

const bytes = s => (Buffer.isBuffer(s) ? s : Buffer.from(s));
const text = s => JSON.stringify({ type: 'text', text: s });
/** A text message whose frame has a payload of n bytes. */
const textOf = n => text('*'.repeat(n - text('').length));
/** A file message whose frame has a payload of n bytes; `data` is what comes back. */
function fileOf(n) {
	const frame = (filename, data) => `{"type":"file","filename":"${filename}","data":"${data}"}`;
	const rest = n - frame('', '').length;
	const filename = 'f'.repeat(1 + (rest - 1) % 4); // base64 in groups of four
	const data = 'BAsd7jh2'.repeat(Math.ceil(rest / 8)).slice(0, rest - filename.length);
	return { payload: frame(filename, data), data };
}
const messageOf = n => (n <= 4000 ? { payload: textOf(n), event: ['text', JSON.parse(textOf(n)).text] } : { payload: fileOf(n).payload, event: ['file', fileOf(n).data] });

const frame = clientFrame;
const ping = (payload = '', more) => frame(payload, { opcode: OP.ping, ...more });
const pong = (payload = '', more) => frame(payload, { opcode: OP.pong, ...more });
const close = (payload = closePayload(1000), more) => frame(payload, { opcode: OP.close, ...more });
const binary = (payload, more) => frame(payload, { opcode: OP.binary, ...more });
const first = (payload, more) => frame(payload, { fin: false, ...more });
const middle = (payload, more) => frame(payload, { opcode: OP.cont, fin: false, ...more });
const last = (payload, more) => frame(payload, { opcode: OP.cont, ...more });
/** The frames of one message, `size` bytes of payload each. */
function fragments(payload, size, opcode = OP.text) {
	const whole = bytes(payload), frames = [];
	for (let at = 0; at < whole.length; at += size)
		frames.push(frame(whole.subarray(at, at + size), { opcode: at ? OP.cont : opcode, fin: at + size >= whole.length }));
	return frames;
}

const chops = (size, ...frames) => ({ bytes: Buffer.concat(frames), size });
const octets = (...frames) => chops(1, ...frames);
const together = (...frames) => [Buffer.concat(frames)];
const wait = (...events) => ({ wait: events });
const quiet = ms => ({ quiet: ms });

// --- What has to come of it

const isText = s => ['text', s];
const isPong = s => ['pong', bytes(s)];
const isError = ['error'];
const isClose = code => ['close', code];
const fails = (send, code = 1002, ...before) => ({ send, expect: [...before, isClose(code)] });
const answers = (send, ...expect) => ({ send, expect });
/** Refused at the first byte of its header, and what follows is swallowed until both have closed. */
const refusesBinary = whole => fails([whole.subarray(0, 1), wait(isClose(1003)), whole.subarray(1)], 1003);

// --- 1 Framing

const lengths = [125, 126, 127, 128, 65535, 65536];
add('1.1.1', 'a text message of no payload', answers([frame('')], isError));
lengths.forEach((n, i) => add(`1.1.${i + 2}`, `a text message of ${n} bytes`, answers([frame(messageOf(n).payload)], messageOf(n).event)));
add('1.1.8', 'a text message of 65536 bytes in chops of 997', answers([chops(997, frame(messageOf(65536).payload))], messageOf(65536).event));

add('1.2.1', 'a binary message of no payload', fails([binary('')], 1003));
lengths.forEach((n, i) => add(`1.2.${i + 2}`, `a binary message of ${n} bytes`, refusesBinary(binary(Buffer.alloc(n, 0xfe)))));
add('1.2.8', 'a binary message of 65536 bytes in chops of 997', fails([chops(997, binary(Buffer.alloc(65536, 0xfe)))], 1003));

// --- 2 Pings and pongs

const raw = Buffer.from([0, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0, 0xff]);
const longest = Buffer.alloc(125, 0xfe);
add('2.1', 'a ping of no payload', answers([ping()], isPong('')));
add('2.2', 'a ping of text', answers([ping('Hello, world!')], isPong('Hello, world!')));
add('2.3', 'a ping of bytes that are not UTF-8', answers([ping(raw)], isPong(raw)));
add('2.4', 'a ping of 125 bytes', answers([ping(longest)], isPong(longest)));
add('2.5', 'a ping of 126 bytes', fails([ping(Buffer.alloc(126, 0xfe))]));
add('2.6', 'a ping of 125 bytes, octet by octet', answers([octets(ping(longest))], isPong(longest)));
add('2.7', 'an unsolicited pong of no payload', answers([pong()]));
add('2.8', 'an unsolicited pong with payload', answers([pong('unsolicited')]));
add('2.9', 'an unsolicited pong, then a ping', answers([pong('unsolicited'), ping('ping')], isPong('ping')));
const ten = Array.from({ length: 10 }, (_, i) => `payload-${i}`);
add('2.10', 'ten pings', answers(together(...ten.map(p => ping(p))), ...ten.map(isPong)));
add('2.11', 'ten pings, octet by octet', answers([octets(...ten.map(p => ping(p)))], ...ten.map(isPong)));

// --- 3 Reserved bits. Autobahn's rsv is the number of the three bits, as `rsv` of a frame here.

const hello = frame(text('Hello, world!')), isHello = isText('Hello, world!');
add('3.1', 'a text with RSV 1', fails([frame(text('Hello, world!'), { rsv: 1 })]));
add('3.2', 'a text, one with RSV 2, a ping', fails(together(hello, frame(text('Hello, world!'), { rsv: 2 }), ping()), 1002, isHello));
add('3.3', 'a text, one with RSV 3, a ping, a write each', fails([hello, frame(text('Hello, world!'), { rsv: 3 }), ping()], 1002, isHello));
add('3.4', 'a text, one with RSV 4, a ping, octet by octet', fails([octets(hello, frame(text('Hello, world!'), { rsv: 4 }), ping())], 1002, isHello));
add('3.5', 'a binary message with RSV 5', fails([binary(raw, { rsv: 5 })]));
add('3.6', 'a ping with RSV 6', fails([ping('Hello, world!', { rsv: 6 })]));
add('3.7', 'a close with RSV 7', fails([close('', { rsv: 7 })]));

// --- 4 Opcodes

for (const [section, opcodes] of [['4.1', [3, 4, 5, 6, 7]], ['4.2', [11, 12, 13, 14, 15]]]) {
	const [a, b, c, d, e] = opcodes;
	add(`${section}.1`, `opcode ${a}`, fails([frame('', { opcode: a })]));
	add(`${section}.2`, `opcode ${b} with payload`, fails([frame('reserved', { opcode: b })]));
	add(`${section}.3`, `a text, opcode ${c}, a ping`, fails(together(hello, frame('', { opcode: c }), ping()), 1002, isHello));
	add(`${section}.4`, `a text, opcode ${d} with payload, a ping`, fails(together(hello, frame('reserved', { opcode: d }), ping()), 1002, isHello));
	add(`${section}.5`, `a text, opcode ${e} with payload, a ping, octet by octet`,
		fails([octets(hello, frame('reserved', { opcode: e }), ping())], 1002, isHello));
}

// --- 5 Fragmentation

const [half1, half2] = ['{"type":"text","te', 'xt":"in two"}'], isTwo = isText('in two');
add('5.1', 'a ping in two fragments', fails(together(ping('fragment1', { fin: false }), last('fragment2'))));
add('5.2', 'a pong in two fragments', fails(together(pong('fragment1', { fin: false }), last('fragment2'))));
add('5.3', 'a text in two fragments', answers(together(first(half1), last(half2)), isTwo));
add('5.4', 'a text in two fragments, a write each', answers([first(half1), last(half2)], isTwo));
add('5.5', 'a text in two fragments, octet by octet', answers([octets(first(half1), last(half2))], isTwo));
add('5.6', 'a ping between two fragments', answers(together(first(half1), ping('between'), last(half2)), isPong('between'), isTwo));
add('5.7', 'a ping between two fragments, a write each', answers([first(half1), ping('between'), last(half2)], isPong('between'), isTwo));
add('5.8', 'a ping between two fragments, octet by octet', answers([octets(first(half1), ping('between'), last(half2))], isPong('between'), isTwo));
const lone = { final: last('continues nothing'), open: middle('continues nothing') };
let number = 9;
for (const [what, f] of [['a last', lone.final], ['a middle', lone.open]]) {
	add(`5.${number++}`, `${what} fragment of nothing, then a text`, fails(together(f, hello)));
	add(`5.${number++}`, `${what} fragment of nothing, then a text, a write each`, fails([f, hello]));
	add(`5.${number++}`, `${what} fragment of nothing, then a text, octet by octet`, fails([octets(f, hello)]));
}
add('5.15', 'a text in two fragments, a fragment of nothing, a text', fails(together(first(half1), last(half2), lone.open, hello), 1002, isTwo));
const twice = f => fails(together(f, first(half1), last(half2), f, first(half1), last(half2)));
add('5.16', 'twice: a middle fragment of nothing, then a text in two', twice(lone.open));
add('5.17', 'twice: a last fragment of nothing, then a text in two', twice(lone.final));
add('5.18', 'two fragments that both say text', fails(together(first(half1), frame(half2))));
const five = ['{"type":', '"text",', '"text":"f', 'iv', 'e"}'];
const slowly = (join = x => [x]) => answers([...join([first(five[0]), middle(five[1]), ping('1!')]).flat(), wait(isPong('1!')),
	...join([middle(five[2]), middle(five[3]), ping('2!'), last(five[4])]).flat()], isPong('1!'), isPong('2!'), isText('five'));
add('5.19', 'five fragments, pings after the second and the fourth', slowly(frames => together(...frames)));
add('5.20', 'five fragments, pings after the second and the fourth, a write each', slowly());

// --- 6 UTF-8. In a message: between two letters, so that it would be shown. Bare: as Autobahn sends it, which is no message of the chat.

const inMessage = s => Buffer.concat([Buffer.from('{"type":"text","text":"a'), bytes(s), Buffer.from('z"}')]);
const isShown = s => isText(`a${bytes(s).toString()}z`);
const valid = s => answers([frame(s), wait(isError), frame(inMessage(s))], isError, isShown(s));
const invalid = s => [fails([frame(s)], 1007), fails([frame(inMessage(s))], 1007)];

add('6.1.1', 'a text of no payload', answers([frame('')], isError));
add('6.1.2', 'three empty fragments', answers(together(first(''), middle(''), last('')), isError));
add('6.1.3', 'three fragments, the first and the last empty', answers(together(first(''), middle(text('middle')), last('')), isText('middle')));

const latin = 'Hello-µ@ßöäüàá-UTF-8!!', kosme = Buffer.from('κ\u1f79σμε');
const latinText = text(latin), cut = latinText.indexOf('ü');
add('6.2.1', 'valid in one frame', answers([frame(latinText)], isText(latin)));
add('6.2.2', 'valid in two fragments, between characters', answers(together(first(latinText.slice(0, cut)), last(latinText.slice(cut))), isText(latin)));
add('6.2.3', 'valid in fragments of one octet', answers(together(...fragments(latinText, 1)), isText(latin)));
add('6.2.4', 'valid in fragments of one octet, once more', answers(together(...fragments(text(String(kosme)), 1)), isText(String(kosme))));

const surrogate = Buffer.concat([kosme, Buffer.from([0xed, 0xa0, 0x80]), Buffer.from('edited')]);
add('6.3.1', 'a surrogate in one frame', ...invalid(surrogate));
add('6.3.2', 'a surrogate in fragments of one octet', ...[surrogate, inMessage(surrogate)].map(s => fails(together(...fragments(s, 1)), 1007)));

// Told at the octet that makes it wrong: the connection closes although nothing more is sent.
const [good, over, rest] = [inMessage(kosme).subarray(0, -2), Buffer.from([0xf4, 0x90, 0x80, 0x80]), Buffer.from('edited"}')];
const whole = Buffer.concat([good, over, rest]), wrongAt = good.length + 1;
const alive = [ping('alive'), wait(isPong('alive'))];
add('6.4.1', 'past U+10FFFF in the second of three fragments', fails([first(good), ...alive, middle(over)], 1007, isPong('alive')));
add('6.4.2', 'past U+10FFFF, the second fragment only its wrong octet',
	fails([first(whole.subarray(0, wrongAt)), ...alive, middle(whole.subarray(wrongAt, wrongAt + 1))], 1007, isPong('alive')));
const unfinished = (from, to) => { // one frame, sent up to `from`, then up to `to`; the rest never comes
	const f = frame(whole), head = f.length - whole.length;
	return fails([ping('alive'), f.subarray(0, head + from), wait(isPong('alive')), quiet(50), f.subarray(head + from, head + to)], 1007, isPong('alive'));
};
add('6.4.3', 'past U+10FFFF in the second of three chops of a frame', unfinished(good.length, good.length + over.length));
add('6.4.4', 'past U+10FFFF, the second chop only its wrong octet', unfinished(wrongAt, wrongAt + 1));

const hex = s => Buffer.from(s.replace(/ /g, ''), 'hex');
const named = (what, x) => `${what}: ${bytes(x).toString('hex')}`;
const utf8 = (section, what, isValid, list) => each(section, list, x => named(what, x), isValid ? valid : invalid);
const range = (from, to, step = x => x) => Buffer.concat(Array.from({ length: to - from }, (_, i) => Buffer.from([from + i].map(step).flat())));

utf8('6.5', 'valid', true, ['hello$world', 'hello¢world', 'hello€world', 'hello\u{24b62}world', kosme]);
each('6.6', Array.from(kosme, (_, i) => kosme.subarray(0, i + 1)), x => named('a prefix', x), x => {
	const ends = kosme.length === x.length || (kosme[x.length] & 0xc0) !== 0x80; // between characters
	return ends ? valid(x) : [...invalid(x), fails([frame(inMessage(x).subarray(0, -2))], 1007)];
});
// JSON takes U+0000 as an escape alone, and the chat drops it.
add('6.7.1', 'U+0000', answers([frame('\0'), wait(isError), frame(inMessage('\0')), wait(isError, isError), frame(inMessage('\\u0000'))],
	isError, isError, isShown('')));
['c2 80', 'e0 a0 80', 'f0 90 80 80'].forEach((x, i) => add(`6.7.${i + 2}`, named('the first of its length', hex(x)), valid(hex(x))));
utf8('6.8', 'the first of five and six octets', false, ['f8 88 80 80 80', 'fc 84 80 80 80 80'].map(hex));
utf8('6.9', 'the last of its length', true, ['7f', 'df bf', 'ef bf bf', 'f4 8f bf bf'].map(hex));
utf8('6.10', 'the last of four, five and six octets', false, ['f7 bf bf bf', 'fb bf bf bf bf', 'fd bf bf bf bf bf'].map(hex));
['ed 9f bf', 'ee 80 80', 'ef bf bd', 'f4 8f bf bf'].forEach((x, i) => add(`6.11.${i + 1}`, named('a boundary', hex(x)), valid(hex(x))));
add('6.11.5', named('a boundary', over), ...invalid(over));
utf8('6.12', 'unexpected continuations', false, ['80', 'bf', '80 bf', '80 bf 80', '80 bf 80 bf', '80 bf 80 bf 80', '80 bf 80 bf 80 bf'].map(hex).concat([range(0x80, 0xbf)]));
utf8('6.13', 'lonely starts', false, [[0xc0, 0xdf], [0xe0, 0xef], [0xf0, 0xf7], [0xf8, 0xfb], [0xfc, 0xfd]].map(([a, b]) => range(a, b, x => [x, 0x20])));
const cutShort = ['c0', 'e0 80', 'f0 80 80', 'f8 80 80 80', 'fc 80 80 80 80', 'df', 'ef bf', 'f7 bf bf', 'fb bf bf bf', 'fd bf bf bf bf'].map(hex);
utf8('6.14', 'the last continuation missing', false, cutShort);
utf8('6.15', 'all of those', false, [Buffer.concat(cutShort)]);
utf8('6.16', 'impossible octets', false, ['fe', 'ff', 'fe fe ff ff'].map(hex));
utf8('6.17', 'an overlong slash', false, ['c0 af', 'e0 80 af', 'f0 80 80 af', 'f8 80 80 80 af', 'fc 80 80 80 80 af'].map(hex));
utf8('6.18', 'the longest overlong', false, ['c1 bf', 'e0 9f bf', 'f0 8f bf bf', 'f8 87 bf bf bf', 'fc 83 bf bf bf bf'].map(hex));
utf8('6.19', 'an overlong NUL', false, ['c0 80', 'e0 80 80', 'f0 80 80 80', 'f8 80 80 80 80', 'fc 80 80 80 80 80'].map(hex));
utf8('6.20', 'a surrogate', false, ['ed a0 80', 'ed ad bf', 'ed ae 80', 'ed af bf', 'ed b0 80', 'ed be 80', 'ed bf bf'].map(hex));
utf8('6.21', 'two surrogates', false, ['ed a0 80', 'ed ad bf', 'ed ae 80', 'ed af bf'].flatMap(a => ['ed b0 80', 'ed bf bf'].map(b => hex(a + b))));
const lastTwo = Array.from({ length: 17 }, (_, plane) => [0xfffe, 0xffff].map(x => String.fromCodePoint(plane * 0x10000 + x))).flat();
utf8('6.22', 'a non-character', true, lastTwo);
utf8('6.23', 'a special', true, [0xfff9, 0xfffa, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff].map(x => String.fromCodePoint(x)));

// --- 7 The closing handshake

const byCode = (send, code = 1000) => fails(send, code);
add('7.1.1', 'a message, then a close', fails([hello, wait(isHello), close()], 1000, isHello), fails(together(hello, close()), 1000, isHello));
add('7.1.2', 'two closes', byCode(together(close(), close(''))));
add('7.1.3', 'a ping after the close', byCode(together(close(), ping())));
add('7.1.4', 'a text after the close', byCode(together(close(), hello)));
add('7.1.5', 'a close inside a message', byCode(together(first(half1), close(), last(half2))));
const file256 = messageOf(256 * KB);
add('7.1.6', '256 KB, a text, a close, a ping, back to back', fails(together(frame(file256.payload), hello, close(), ping()), 1000, file256.event, isHello));
add('7.3.1', 'a close of no payload', byCode([close('')], 1005));
add('7.3.2', 'a close of one octet', fails([close('a')]));
add('7.3.3', 'a close with a code', byCode([close()]));
add('7.3.4', 'a close with code and reason', byCode([close(closePayload(1000, 'Hello World!'))]));
add('7.3.5', 'a close with a reason of 123 octets', byCode([close(closePayload(1000, '*'.repeat(123)))]));
add('7.3.6', 'a close with a reason of 124 octets', fails([close(closePayload(1000, '*'.repeat(124)))]));
add('7.5.1', 'a reason that is not UTF-8', fails([close(Buffer.concat([closePayload(1000), surrogate]))], 1007));
each('7.7', [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999], code => `code ${code}, valid`, code => byCode([close(closePayload(code))], code));
each('7.9', [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999], code => `code ${code}, invalid`, code => fails([close(closePayload(code))]));
each('7.13', [5000, 65535], code => `code ${code}, which the RFC leaves open`, code => fails([close(closePayload(code))]));

// --- 9 Limits

const size = n => (n < MB ? `${n / KB} KB` : `${n / MB} MB`);
/** The payload is made when it is sent, so that the table does not hold 200 MB. */
const lazily = make => ({ get send() { return make().send; }, get expect() { return make().expect; } });
const sends = (n, send) => lazily(() => {
	const m = messageOf(n);
	return answers([send(m.payload)].flat(), m.event);
});
const sizes = [64 * KB, 256 * KB, MB, 4 * MB, 8 * MB, 16 * MB];
each('9.1', sizes, n => `a text message of ${size(n)}`, n => sends(n, frame));
each('9.2', sizes, n => `a binary message of ${size(n)}`, n => lazily(() => refusesBinary(binary(Buffer.alloc(n, 0xfe)))));
const parts = [64, 256, KB, 4 * KB, 16 * KB, 64 * KB, 256 * KB, MB, 4 * MB];
each('9.3', parts, n => `a text message of 4 MB in fragments of ${n < KB ? n : size(n)}`, n => sends(4 * MB, payload => together(...fragments(payload, n))));
each('9.4', parts, n => `a binary message of 4 MB in fragments of ${n < KB ? n : size(n)}`,
	n => lazily(() => refusesBinary(Buffer.concat(fragments(Buffer.alloc(4 * MB, 0xfe), n, OP.binary)))));
const pieces = [64, 128, 256, 512, 1024, 2048];
each('9.5', pieces, n => `a text message of 1 MB in chops of ${n}`, n => sends(MB, payload => chops(n, frame(payload))));
each('9.6', pieces, n => `a binary message of 1 MB in chops of ${n}`, n => lazily(() => fails([chops(n, binary(Buffer.alloc(MB, 0xfe)))], 1003)));
// A thousand round trips. 4096 bytes are more characters than a message may have, unless they are of two bytes each.
const said = n => (n === 4096 ? 'ü'.repeat(n / 2) : '*'.repeat(n));
each('9.7', [0, 16, 64, 256, 1024, 4096], n => `a thousand times a text of ${n} bytes and its echo`, n => lazily(() => {
	const [message, event] = n ? [frame(text(said(n))), isText(said(n))] : [frame(''), isError];
	return { send: [{ bytes: message, times: 1000, event }], expect: [] };
}));
// The first of the thousand ends it.
each('9.8', [0, 16, 64, 256, 1024, 4096], n => `a binary message of ${n} bytes, the first of a thousand`, n => fails([binary(Buffer.alloc(n, 0xfe))], 1003));

// --- 10 Fragments that a library makes

const auto = messageOf(65536);
add('10.1.1', 'a text message of 65536 bytes in fragments of 1300', answers(together(...fragments(auto.payload, 1300)), auto.event));
