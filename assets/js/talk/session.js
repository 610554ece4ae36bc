// The talk with the server in dialect 2: join, resume, history pages, presence. Turns frames into changes of the model.
import { emit, on } from '../base/bus.js';
import { recall, remember, forgetIdentity } from '../base/prefs.js';
import { endTokens, giveUp, isEnded } from './farewell.js';
import { net, connect, disconnect, send, setReady } from './net.js';
import { me, limits, world, users, convs, conv, GENERAL, isDm, knowUser, addMessage, countUnread, recount, setRead, trimGeneral, forgetMessages, forgetPassersBy,
	forgetEverything, keyOf } from './model.js';

const PAGE = 50;
const PREVIEWS = 12;          // private conversations whose last messages are fetched ahead of opening them; of those with news, four times as many
const TYPING_SHOWN_MS = 5000;
const PAGE_TIMEOUT_MS = 8000;   // a page that was refused or lost may be asked for again after this

const LOCKED_OUT_MS = 30000, LOCKED_OUT_SPREAD_MS = 5000;   // until a lockdown is asked about again

let syncedTo = 0;             // everything up to this id is here (public, and my own private)
let liveMax = 0;              // newest id seen while a gap is still open
let inGap = false;
let syncTimer = 0;
let wantedName = '', linkCode = '', password = '';
let admissionTimer = 0;
let isLeaving = false;
let joinedAs = 0;             // the identity whose messages the model holds

export const session = { get isSyncing() { return inGap; } };

let usedToken = null;         // lets this tab's connection in

export const token = () => recall('token');
// Not if somebody has joined in another tab meanwhile: what the browser remembers is that person's.
const isOurs = () => !usedToken || !token() || token() === usedToken;

export function start(name, code = '', secret = '') {
	clearTimeout(admissionTimer);
	wantedName = name;
	linkCode = code;
	password = secret;
	connect();
}

const SIGN_OUT_MS = 3000;     // the end of the token is waited for that long

// The server ends the token, so that nobody can come in with a copy of it. Where it cannot now, that is done as soon as it can (farewell.js).
export function signOut() {
	giveUp(usedToken ?? token());
	if (net.state !== 'ready' || !send({ type: 'sign_out' })) return emit('signedOut', false);
	isLeaving = true;
	setTimeout(() => emit('signedOut', false), SIGN_OUT_MS);
}

export function leave(hasEnded) {
	if (hasEnded) isEnded(usedToken);
	disconnect();
	if (isOurs()) forgetIdentity();
	forgetEverything();
	joinedAs = syncedTo = 0;
}

function join() {
	const frame = { type: 'join', v: 2, name: wantedName || recall('me')?.name || '' };
	if (linkCode) frame.code = linkCode;
	else if (token()) frame.token = usedToken = token();
	if (password) frame.password = password;
	if (joinedAs && !linkCode) frame.since = syncedTo; // 0: nothing had been said yet
	send(frame);
}

function onInit(f) {
	const isResumed = joinedAs === f.my_id && !f.reset;
	// Another identity than this browser's last: what was remembered for that one is not this one's.
	const last = recall('me');
	if (f.token && last && last.id !== f.my_id) forgetIdentity();
	if (f.token) remember('token', usedToken = f.token);
	if (joinedAs && joinedAs !== f.my_id) forgetEverything();
	me.id = f.my_id;
	me.name = f.my_name;
	if (password) endTokens(password);
	linkCode = password = ''; // from here on the token is what lets this browser in
	remember('me', { id: me.id, name: me.name });
	Object.assign(limits, f.limits);
	world.server = f.server ?? '';

	for (const u of users.values()) u.online = false;
	knowUser({ id: me.id, name: me.name }, true);
	for (const u of f.users ?? []) knowUser(u, true);
	world.online = f.online ?? 1;
	for (const p of f.peers ?? []) {
		if (!knowUser(p, !!p.online)) continue;
		const c = conv(p.id);
		c.lastId = Math.max(c.lastId, p.last_id ?? 0);
	}

	if (!isResumed) forgetMessages();
	joinedAs = me.id;
	const events = f.history ?? [];
	const fresh = events.map(addMessage).filter(Boolean);
	const general = conv(GENERAL);
	general.lastId = Math.max(general.lastId, general.items.at(-1)?.id ?? 0);
	inGap = isResumed && !!f.gap;
	if (inGap) {
		syncedTo = events.at(-1)?.id ?? syncedTo;
		liveMax = f.head ?? 0;
		askSync();
	} else {
		syncedTo = Math.max(f.head ?? 0, events.at(-1)?.id ?? 0, isResumed ? syncedTo : 0);
	}
	if (isResumed) takeNews(fresh);
	else startReading(general, events);

	setLockdown(f.lockdown);
	setReady();
	emit('init', { isResumed, isNewHere: !!f.token, askedName: wantedName });
	for (const c of convs.values()) emit('conv', c);
	emit('list');
	emit('people');
	if (!isResumed) loadPreviews();
	else if (world.openKey != null) openHistory(conv(world.openKey));
}

// A lockdown by an admin: no new people, or nobody may write. Its end comes as a frame; the time is only shown.
function setLockdown(state) {
	world.lockdown = state ? { isReadOnly: !!state.read_only, until: state.retry_ms > 0 ? Date.now() + state.retry_ms : 0 } : null;
	emit('lockdown');
}

// On a first visit nothing is unread; on a return, everything newer than the read mark.
function startReading(general, events) {
	general.isLoaded = true;
	general.isComplete = !events.length;
	if (!general.lastRead) setRead(general, general.lastId);
	recount(general);
	if (world.openKey != null) openHistory(conv(world.openKey));
}

function takeNews(messages) {
	const touched = new Set();
	for (const m of messages) {
		const c = conv(keyOf(m));
		touched.add(c);
		c.typing.delete(m.from_id);
		if (countUnread(c, m)) emit('news', c, m);
	}
	for (const c of touched) emit('conv', c);
	if (touched.size) emit('list');
	trimGeneral();
}

function onLive(m) {
	if (Number.isSafeInteger(m.id)) {
		if (inGap) liveMax = Math.max(liveMax, m.id);
		else syncedTo = Math.max(syncedTo, m.id);
	}
	const added = addMessage(m);
	if (added) takeNews([added]);
}

// Gaps

function askSync() {
	send({ type: 'sync', since: syncedTo });
	emit('sync');
}

function onSync(f) {
	if (!inGap) return;
	const events = f.events ?? [];
	takeNews(events.map(addMessage).filter(Boolean));
	syncedTo = Math.max(syncedTo, events.at(-1)?.id ?? 0);
	if (f.more && events.length) return askSync();
	inGap = false;
	syncedTo = Math.max(syncedTo, liveMax);
	emit('sync');
}

// Pages of history

export function loadOlder(c) {
	if (c.isLoading || c.isComplete || net.state !== 'ready') return false;
	c.isLoading = true;
	const frame = { type: 'history', before: c.isLoaded ? c.items[0]?.id ?? 0 : 0, limit: PAGE };
	if (isDm(c.key)) frame.peer_id = c.key;
	send(frame);
	clearTimeout(c.pageTimer);
	c.pageTimer = setTimeout(() => {
		c.isLoading = false;
		emit('conv', c);
	}, PAGE_TIMEOUT_MS);
	emit('conv', c);
	return true;
}

// A conversation that was only heard of gets its newest page when it is opened.
export function openHistory(c) {
	if (!c.isLoaded) loadOlder(c);
}

function onHistory(f) {
	const c = conv(f.peer_id ?? GENERAL);
	const isFirstPage = !c.isLoaded;
	clearTimeout(c.pageTimer);
	c.isLoading = false;
	c.isLoaded = true;
	const messages = f.messages ?? [];
	messages.forEach(addMessage);
	if (!f.more) c.isComplete = true;
	if (isFirstPage && isDm(c.key)) {
		// Read marks of a browser that has never seen this conversation begin at its end.
		if (!c.lastRead && recall('read') == null) setRead(c, c.lastId);
		recount(c);
		emit('list');
	}
	emit('conv', c);
}

function loadPreviews() {
	const peers = [...convs.values()].filter((c) => isDm(c.key) && !c.isLoaded).sort((a, b) => b.lastId - a.lastId);
	peers.forEach((c, i) => (i < PREVIEWS || (c.lastRead && c.lastId > c.lastRead && i < 4 * PREVIEWS)) && loadOlder(c));
}

// Presence

function onPresence(f) {
	world.online = f.online ?? world.online;
	for (const u of f.joined ?? []) knowUser(u, true);
	for (const id of f.left ?? []) {
		const u = users.get(id);
		if (u && id !== me.id) u.online = false;
	}
	forgetPassersBy();
	emit('people');
}

export function askWho(q, after = 0) {
	send({ type: 'who', q, after, limit: 50 });
}

function onWho(f) {
	for (const u of f.users ?? []) knowUser(u, true);
	emit('who', f);
	emit('people');
}

function onTyping(f) {
	if (f.from_id === me.id) return;
	knowUser({ id: f.from_id, name: f.from_name });
	const c = conv(f.dm ? f.from_id : GENERAL);
	c.typing.set(f.from_id, performance.now() + TYPING_SHOWN_MS);
	emit('typing', c);
	setTimeout(() => emit('typing', c), TYPING_SHOWN_MS + 50);
}

export function typingIn(c) {
	const now = performance.now();
	for (const [id, until] of c.typing) if (until <= now) c.typing.delete(id);
	return [...c.typing.keys()];
}

let typedAt = 0, typedKey = null;

export function sendTyping(key) {
	const now = performance.now();
	if (typedKey === key && now - typedAt < 3000) return;
	typedAt = now;
	typedKey = key;
	send(isDm(key) ? { type: 'typing', to_id: key } : { type: 'typing' });
}

// Not let in: the connection is closed until the person has answered or the wait is over.
function onUnadmitted(f) {
	const wait = f.retry_ms ?? 0;
	disconnect();
	if (f.code !== 'rate_limited' || password) {
		password = '';
		return emit('needPassword', f.code, wait);
	}
	emit('crowded', wait, Boolean(linkCode || token()));
	admissionTimer = setTimeout(connect, wait);
}

// A lockdown keeps new people out. The page asks again now and then, each at its own moment: an admin may end it early.
function onLockedOut({ retry_ms }) {
	disconnect();
	emit('lockedOut', retry_ms ?? 0);
	admissionTimer = setTimeout(connect, Math.min(retry_ms > 0 ? retry_ms : Infinity, LOCKED_OUT_MS) + Math.random() * LOCKED_OUT_SPREAD_MS);
}

function onError(f) {
	if (isLeaving && !f.cid) return emit('signedOut', false); // most likely it was not carried out
	if (f.code === 'lockdown' && net.state === 'joining') return onLockedOut(f);
	if (f.code === 'password_required' && net.state === 'ready') return emit('notice', 'passwordChanged'); // for a link
	if (f.code === 'password_required' || f.code === 'bad_password' || (f.code === 'rate_limited' && net.state === 'joining')) return onUnadmitted(f);
	if (f.code === 'bad_token') {
		// The server has forgotten this identity: come in as new under the same name, and say so.
		if (isOurs()) {
			remember('token', null);
			emit('notice', 'tokenLost');
		}
		usedToken = null;
		syncedTo = joinedAs = 0;
		forgetEverything();
		return join();
	}
	if (f.code === 'bad_code') {
		linkCode = '';
		if (token()) {
			emit('notice', 'linkExpired');
			return join();
		}
		disconnect();
		return emit('needName', 'linkExpired');
	}
	// Catching up goes on where it was told to wait.
	if (inGap && !f.cid && (f.code === 'rate_limited' || f.code === 'busy')) {
		clearTimeout(syncTimer);
		syncTimer = setTimeout(() => inGap && net.state === 'ready' && askSync(), f.retry_ms ?? 1000);
		return;
	}
	emit('refused', f);
}

const handlers = {
	init: onInit,
	text: onLive,
	file: onLive,
	voice: onLive,
	delete: onLive,
	sync: onSync,
	history: onHistory,
	presence: onPresence,
	who: onWho,
	typing: onTyping,
	error: onError,
	lockdown: (f) => setLockdown(f.on ? f : null),
	link: (f) => emit('link', f),
	system: (f) => typeof f.text === 'string' && emit('system', f),
};

export function initSession() {
	on('socketOpen', join);
	on('frame', (f) => Object.hasOwn(handlers, f.type) && handlers[f.type](f));
	on('lost', () => {
		for (const c of convs.values()) c.isLoading = false;
		if (world.openKey != null) emit('conv', conv(world.openKey));
	});
}
