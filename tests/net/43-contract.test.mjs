// The judge of frames itself (contract.mjs): it finds what it is there for.
import assert from 'node:assert/strict';
import test from 'node:test';
import { Contract, breach } from '../contract.mjs';

const text1 = { type: 'text', dm: false, from_id: 1, from_name: 'a', text: 'x', ts: '12:00', iso: '2026-01-01T12:00:00' };
const text2 = { type: 'text', id: 7, at: 5, dm: false, from_id: 1, from_name: 'a', text: 'x' };
const file2 = { type: 'file', id: 7, at: 5, dm: false, from_id: 1, from_name: 'a', filename: 'f', mime: 'a/b', size: 1, url: '/f/x/f' };

test('what the page says is no breach', () => {
	for (const [frame, from, dialect] of [[text1, 'S', 1], [text2, 'S', 2], [file2, 'S', 2], [{ ...file2, url: null, gone: true }, 'S', 2],
		[{ type: 'text', id: 7, at: 5, dm: false, from_id: 1, from_name: 'a', deleted: true, self: true }, 'S', 2],
		[{ type: 'sync', since: 0, more: false, events: [text2, { type: 'delete', id: 9, at: 5, target: 7 }] }, 'S', 2],
		[{ type: 'text', text: 'x', to_id: '12' }, 'C', 1], [{ type: 'text', text: 'x', to_id: null }, 'C', 1], [{ type: 'typing' }, 'C', 2],
		[{ type: 'file', data: 'aGk=', cid: 'c' }, 'C', 2]]) assert.equal(breach(frame, from, dialect), null);
});

test('a member that the page does not know, a wrong type, one that is missing, a type of the other dialect', () => {
	for (const [frame, from, dialect, words] of [[{ ...text1, extra: 1 }, 'S', 1, /extra is not on the page/], [{ ...text2, at: '5' }, 'S', 2, /at is no MS/],
		[{ ...text2, id: undefined }, 'S', 2, /id is missing/], [text2, 'S', 1, /not on the page|is missing/], [{ ...text2, deleted: true }, 'S', 2, /text is not on the page/],
		[{ type: 'users', users: [] }, 'S', 2, /has the type/], [{ type: 'sync', since: 0, events: [], more: 1 }, 'S', 2, /more is no BOOL/],
		[{ type: 'error', code: 'strange', text: 'x' }, 'S', 2, /not among the codes/], [{ type: 'history', before: 0, messages: [{ ...text2, at: -1 }], more: false }, 'S', 2, /messages\[0\]\.at/],
		[{ type: 'text', text: 5 }, 'C', 1, /no STRING/], [{ type: 'nonsense' }, 'C', 2, /has the type/], [null, 'C', 1, /has the type/]])
		assert.match(breach(frame, from, dialect) || '', words);
});

test('a connection has the dialect of its join', () => {
	const c = new Contract();
	assert.equal(c.sent({ type: 'join', v: 2, name: 'a' }), null);
	assert.equal(c.got({ type: 'error', code: 'bad_token', text: 'x' }), null);
	assert.match(c.got(text1), /S: /);
	assert.equal(c.got(text2), null);
	assert.match(c.sent({ type: 'text', text: 'x', wrong: 1 }), /wrong is not on the page/);
	assert.equal(c.sent('no JSON'), null);
});
