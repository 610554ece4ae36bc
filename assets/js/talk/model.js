// The page's knowledge: me, people, conversations and their messages. Keeps messages in order and each only once. No DOM, no network.
import { emit } from '../base/bus.js';
import { recall, recallEntry, rememberEntry } from '../base/prefs.js';
import { debounce, wordEdge } from '../base/util.js';

export const GENERAL = 0;   // the key of the general chat; a private one has its other person's id

export const me = { id: 0, name: '' };
export const limits = { max_file_mb: 25, max_voice_mb: 10, max_text: 4000, history_limit: 200 };
// lockdown: null, or {isReadOnly, until}; until is 0 where no end is known.
export const world = { online: 0, openKey: null, server: '', lockdown: null };
export const users = new Map();   // id → {id, name, online}
export const convs = new Map();   // key → conversation

const PASSERS_BY = 3000;
const GENERAL_CAP = 12000, GENERAL_KEEP = 8000;   // a tab left open for weeks must not grow without end

export function conv(key) {
	let c = convs.get(key);
	if (!c) {
		c = {
			key,
			items: [],            // confirmed messages by id
			byId: new Map(),
			pending: [],          // the outbox's entries, oldest first
			unread: 0,
			mentions: 0,
			lastRead: recallEntry('read', key) ?? 0,
			newLine: 0,           // "new messages" stands before the first message of others past this id
			isLoaded: false,      // the newest page is here
			isComplete: false,    // the first message is here
			isLoading: false,
			lastId: 0,            // newest id known to exist, even where it is not loaded
			typing: new Map(),    // id → until
			version: 0,
		};
		convs.set(key, c);
	}
	return c;
}

export const isReadOnly = () => !!world.lockdown?.isReadOnly;
export const isDm = (key) => key !== GENERAL;
export const keyOf = (m) => (m.dm ? (m.from_id === me.id ? m.to_id ?? m.from_id : m.from_id) : GENERAL);
export const isMine = (m) => m.from_id === me.id;
export const nameOf = (id) => (id === me.id ? me.name : users.get(id)?.name ?? '?');
export const isMuted = (key) => !!recallEntry('mute', key);

export function setMuted(key, isOn) {
	rememberEntry('mute', key, isOn || null);
	emit('conv', conv(key));
	emit('list');
}

// People

export function knowUser({ id, name }, isOnline) {
	if (!Number.isSafeInteger(id) || typeof name !== 'string') return null;
	let u = users.get(id);
	if (!u) users.set(id, u = { id, name, online: false });
	u.name = name;
	if (isOnline !== undefined) u.online = isOnline;
	return u;
}

export function findByName(name) {
	const wanted = name.normalize('NFKC').toLowerCase();
	for (const u of users.values()) {
		if (u.name.normalize('NFKC').toLowerCase() === wanted) return u;
	}
	return null;
}

// A tab may be open for weeks in a crowd. People who left and were never talked to are forgotten.
export function forgetPassersBy() {
	if (users.size < PASSERS_BY) return;
	for (const u of users.values()) if (!u.online && !convs.has(u.id) && u.id !== me.id) users.delete(u.id);
}

// Messages

// First index whose id is at least `id`.
export function lowerBound(items, id) {
	let lo = 0, hi = items.length;
	while (lo < hi) {
		const mid = (lo + hi) >> 1;
		if (items[mid].id < id) lo = mid + 1;
		else hi = mid;
	}
	return lo;
}

// The nearest wanted messages on both sides of message `id` in a conversation: {before, after}, null where there is none.
export function neighbours(c, id, isWanted) {
	const at = lowerBound(c.items, id);
	let before = null, after = null;
	for (let i = at - 1; i >= 0 && !before; i--) if (isWanted(c.items[i])) before = c.items[i];
	for (let i = at + 1; i < c.items.length && !after; i++) if (isWanted(c.items[i])) after = c.items[i];
	return { before, after };
}

function isShape(m) {
	return Number.isSafeInteger(m.id) && m.id > 0 && Number.isFinite(m.at) && Number.isSafeInteger(m.from_id) && typeof m.from_name === 'string';
}

export function mentionsMe(m) {
	if (m.type !== 'text' || typeof m.text !== 'string' || !me.name) return false;
	const text = m.text.toLowerCase(), needle = '@' + me.name.toLowerCase();
	for (let at = text.indexOf(needle); at >= 0; at = text.indexOf(needle, at + 1)) {
		const after = text[at + needle.length];
		if ((at === 0 || !wordEdge.test(text[at - 1])) && (after === undefined || !wordEdge.test(after))) return true;
	}
	return false;
}

// Puts one event where its id belongs. Returns the message if it is new, null if it is known, malformed or not a message.
export function addMessage(m) {
	if (m.type === 'delete') return applyDelete(m);
	if (!isShape(m)) return null;
	const c = conv(keyOf(m));
	if (c.byId.has(m.id)) return null;
	const { items } = c;
	if (!items.length || items[items.length - 1].id < m.id) items.push(m);
	else items.splice(lowerBound(items, m.id), 0, m);
	c.byId.set(m.id, m);
	c.lastId = Math.max(c.lastId, m.id);
	c.version++;
	if (!users.has(m.from_id)) knowUser({ id: m.from_id, name: m.from_name });
	if (m.dm && m.to_id && !users.has(m.to_id) && m.to_name && m.to_name !== '?') knowUser({ id: m.to_id, name: m.to_name });
	if (m.cid) emit('echo', m);
	return m;
}

function applyDelete(event) {
	for (const c of convs.values()) {
		const m = c.byId.get(event.target);
		if (!m) continue;
		m.deleted = true;
		m.text = m.url = null;
		m.rev = (m.rev ?? 0) + 1;
		c.version++;
		emit('conv', c);
		emit('list');
	}
	return null;
}

// Counts what others wrote past the read mark. Messages are counted once, when they are added.
export function countUnread(c, m) {
	if (isMine(m)) {
		// Written on another device of mine: there I have seen what was before it.
		if (m.id > c.lastRead) setRead(c, m.id);
		return false;
	}
	if (m.deleted || m.id <= c.lastRead) return false;
	c.unread++;
	if (mentionsMe(m)) c.mentions++;
	return true;
}

const saveRead = debounce(() => {
	for (const c of convs.values()) {
		if (c.lastRead > (recallEntry('read', c.key) ?? 0)) rememberEntry('read', c.key, c.lastRead);
	}
}, 300);

export function setRead(c, id) {
	c.lastRead = Math.max(c.lastRead, id);
	c.unread = c.mentions = 0;
	saveRead();
	emit('list');
}

export function markRead(c) {
	const last = Math.max(c.lastId, c.items[c.items.length - 1]?.id ?? 0);
	if (last > c.lastRead || c.unread) setRead(c, last);
}

// Another tab of this browser has read further.
export function takeReadMarks() {
	const marks = recall('read', {});
	for (const c of convs.values()) {
		if (!(marks[c.key] > c.lastRead)) continue;
		c.lastRead = marks[c.key];
		recount(c);
	}
	emit('list');
}

export function recount(c) {
	c.unread = c.mentions = 0;
	for (let i = lowerBound(c.items, c.lastRead + 1); i < c.items.length; i++) countUnread(c, c.items[i]);
}

// Memory of a long-lived tab: old general messages go, and are paged in again if anyone scrolls there.
export function trimGeneral() {
	const c = conv(GENERAL);
	if (c.items.length <= GENERAL_CAP) return;
	for (const m of c.items.splice(0, c.items.length - GENERAL_KEEP)) c.byId.delete(m.id);
	c.isComplete = false;
	c.version++;
}

// Loaded messages no longer join up with what the server has (reset, or another identity): forget them, keep the conversations.
export function forgetMessages() {
	for (const c of convs.values()) {
		c.items = [];
		c.byId.clear();
		c.isLoaded = c.isComplete = c.isLoading = false;
		c.unread = c.mentions = 0;
		c.version++;
		emit('conv', c);
	}
}

export function forgetEverything() {
	convs.clear();
	users.clear();
}

export function totals() {
	let unread = 0, loud = 0;
	for (const c of convs.values()) {
		const n = isMuted(c.key) ? c.mentions : c.unread;
		unread += n;
		loud += isDm(c.key) ? n : c.mentions;
	}
	return { unread, loud };
}
