// Messages not yet confirmed: queued → (uploading) → sending → gone by its echo, or failed with a reason and a way to retry.
// The same cid goes with every attempt, so that the server stores it once however often it is tried; also after the tab was closed.
import { emit, on } from '../base/bus.js';
import { net, send } from './net.js';
import { conv, isDm, isReadOnly, keyOf, limits, me } from './model.js';
import { randomId } from '../base/util.js';
import { shelfAll, shelfDrop, shelfPut } from '../base/idb.js';
import { giveUp, uploadOnce } from './upload.js';

const UPLOADS_AT_ONCE = 2;
const AT_ONCE_MAX = 20;        // messages sent before all of them are settled; after a refusal one, until nothing is left to send
const PATIENCE_MS = 60000;     // a longer wait counts as a failure, with a button to try again

let atOnceMax = AT_ONCE_MAX, sentAtOnce = 0;
const heldUntil = { public: 0, private: 0 };   // the server has said when it takes more; slow mode is of public talk alone
const kindOf = (entry) => isDm(entry.conv) ? 'private' : 'public';
const PREVIEWS_BYTES = 24 << 20;   // of files that this tab sent and the server confirmed; past it, older ones are shown from the server
const all = new Map();         // cid → entry, oldest first
const echoed = new Set();      // cids the server has confirmed to this tab
export const previews = new Map();   // cid → object URL of a file sent from this tab: its echo shows without a download
const shown = [];              // {m, bytes} of the confirmed ones, oldest first

// What survives in the shelf; the rest of an entry is this tab's business.
const KEPT = ['cid', 'key', 'conv', 'type', 'text', 'blob', 'filename', 'mime', 'width', 'height', 'duration', 'waveform', 'at', 'state', 'error', 'isBegun'];

function keep(entry) {
	const row = {};
	for (const field of KEPT) if (entry[field] !== undefined) row[field] = entry[field];
	if (row.state !== 'failed') row.state = 'queued';
	shelfPut(row);
}

function show(entry) {
	const c = conv(entry.conv);
	c.version++;
	emit('conv', c);
	emit('list');
}

function set(entry, state, error) {
	entry.state = state;
	entry.error = error;
	entry.rev = (entry.rev ?? 0) + 1;
	show(entry);
}

function adopt(entry) {
	all.set(entry.cid, entry);
	const c = conv(entry.conv);
	if (!c.pending.includes(entry)) c.pending.push(entry);
	if (entry.blob && !previews.has(entry.cid)) previews.set(entry.cid, URL.createObjectURL(entry.blob));
}

function forget(entry) {
	all.delete(entry.cid);
	const c = conv(entry.conv);
	c.pending = c.pending.filter((other) => other !== entry);
	shelfDrop(entry.cid);
	entry.release?.();
}

// Posts {type, text | blob, …} to the conversation `key`.
export function post(key, body) {
	const cid = randomId();
	const entry = { ...body, cid, key: cid, conv: key, at: Date.now(), state: 'queued', rev: 0, progress: 0 };
	adopt(entry);
	keep(entry);
	claim(entry);
	show(entry);
	emit('posted', conv(key), entry);
	pump();
	return entry;
}

export function retry(entry) {
	if (entry.state !== 'failed') return;
	// A refused upload must not go on under its old key.
	if (entry.blob && entry.isBegun) giveUp(entry.key);
	entry.key = randomId();
	entry.isBegun = false;
	entry.handle = null;
	entry.progress = 0;
	set(entry, 'queued');
	keep(entry);
	pump();
}

export function discard(entry) {
	entry.isCancelled = true;
	entry.abort?.();
	if (entry.blob && entry.isBegun) giveUp(entry.key);
	forget(entry);
	dropPreview(entry.cid);
	show(entry);
}

function dropPreview(cid) {
	const url = previews.get(cid);
	if (url) URL.revokeObjectURL(url);
	previews.delete(cid);
}

// A tab open for weeks must not hold every file it ever sent.
function trimPreviews() {
	let bytes = shown.reduce((sum, other) => sum + other.bytes, 0);
	while (bytes > PREVIEWS_BYTES && shown.length > 1) {
		const { m, bytes: freed } = shown.shift();
		bytes -= freed;
		dropPreview(m.cid);
		m.rev = (m.rev ?? 0) + 1;
		emit('conv', conv(keyOf(m)));
	}
}

// A leftover belongs to the tab that holds its lock; without locks (an insecure context) the cid alone keeps it from doubling.
function claim(entry) {
	if (!navigator.locks) return Promise.resolve(true);
	return new Promise((decided) => {
		navigator.locks.request('wave:' + entry.cid, { ifAvailable: true }, (lock) => {
			decided(!!lock);
			return lock && new Promise((release) => entry.release = release);
		}).catch(() => decided(true));
	});
}

async function takeLeftovers() {
	// The model may have been emptied meanwhile (another identity): what is still to be sent belongs into its conversations again.
	for (const entry of all.values()) adopt(entry);
	giveUp();
	const rows = (await shelfAll()).filter((row) => !all.has(row.cid)).sort((a, b) => a.at - b.at);
	for (const row of rows) {
		if (echoed.has(row.cid)) {
			shelfDrop(row.cid);
			continue;
		}
		const entry = { ...row, rev: 0, progress: 0 };
		if (!await claim(entry)) continue;
		if (all.has(entry.cid)) continue;
		adopt(entry);
		show(entry);
	}
	pump();
}

function frameOf(entry) {
	const frame = { type: entry.type, cid: entry.cid };
	if (isDm(entry.conv)) frame.to_id = entry.conv;
	if (entry.type === 'text') frame.text = entry.text;
	else frame.blob = entry.handle;
	for (const field of ['filename', 'mime', 'width', 'height', 'duration', 'waveform']) {
		if (entry[field] !== undefined && entry[field] !== '') frame[field] = entry[field];
	}
	return frame;
}

const isReadable = (blob) => blob.slice(0, 1).arrayBuffer().then(() => true, () => false);

async function upload(entry) {
	set(entry, 'uploading');
	let outcome;
	const wasBegun = entry.isBegun;
	try {
		const going = uploadOnce(entry, (sent) => {
			entry.progress = entry.blob.size ? sent / entry.blob.size : 0;
			emit('progress', entry);
		});
		if (!wasBegun) keep(entry);
		outcome = await going;
	} catch (e) {
		// A network that broke comes back; a file that was moved or changed on its disk does not.
		outcome = await isReadable(entry.blob) ? { retry: 2000 } : { error: 'lost' };
	}
	if (entry.isCancelled) return;
	if (outcome.blob) {
		entry.handle = outcome.blob;
		set(entry, 'queued');
	} else if (outcome.error) {
		fail(entry, outcome.error);
	} else {
		set(entry, 'queued');
		entry.notBefore = performance.now() + outcome.retry;
		setTimeout(pump, outcome.retry);
	}
	pump();
}

// Sends what may go now. Texts go in the order written. A file goes when its bytes are on the server, and after the files chosen before it. When
// the server says that this is too fast, everything waits in its order: a later message never passes a refused one.
function pump() {
	if (net.state !== 'ready' || isReadOnly()) return;
	const now = performance.now();
	let uploads = 0, isSettled = true;
	for (const entry of all.values()) {
		if (entry.state === 'uploading') uploads++;
		if (entry.state === 'sending') isSettled = false;
	}
	// Were more sent with each echo, the ninth could pass while the refusal of the eighth is still on its way.
	if (isSettled) sentAtOnce = 0;
	const awaited = new Set(); // conversations with a file whose bytes are not on the server yet
	for (const entry of all.values()) {
		const isAwaited = entry.blob && entry.state !== 'failed' && !entry.handle;
		if (isAwaited) awaited.add(entry.conv);
		if (entry.state !== 'queued' || entry.notBefore > now) continue;
		if (isAwaited) {
			if (uploads < UPLOADS_AT_ONCE) {
				uploads++;
				upload(entry);
			}
			continue;
		}
		if (entry.blob && awaited.has(entry.conv)) continue;
		if (heldUntil[kindOf(entry)] > now || sentAtOnce >= atOnceMax) continue;
		if (!send(frameOf(entry))) return;
		sentAtOnce++;
		set(entry, 'sending');
	}
}

function fail(entry, code) {
	set(entry, 'failed', code);
	keep(entry);
}

function hold(kind, { retry_ms }) {
	const wait = Math.min(PATIENCE_MS, Math.max(50, retry_ms ?? 1000)) + 20;
	heldUntil[kind] = Math.max(heldUntil[kind], performance.now() + wait);
	atOnceMax = 1;
	setTimeout(pump, wait);
}

function onRefused(f) {
	const entry = all.get(f.cid);
	// Where memory was too short to read a frame, the answer cannot say which: what is on its way goes again, and its cid settles the matter.
	if (!entry && f.code === 'busy' && !f.cid) {
		hold('public', f);
		hold('private', f);
		onLost();
		return;
	}
	if (!entry) return;
	// Muted for a moment is a limit, too; muted by a moderator for an hour, or for good, is an answer.
	if (f.code === 'rate_limited' || f.code === 'busy' || (f.code === 'muted' && f.retry_ms <= PATIENCE_MS)) {
		hold(kindOf(entry), f);
		set(entry, 'queued');
		return;
	}
	// A read-only lockdown: the message waits for its end, in its place.
	if (f.code === 'lockdown') {
		hold('public', f);
		hold('private', f);
		set(entry, 'queued');
		return;
	}
	fail(entry, f.code ?? 'unknown');
	pump();
}

// Nothing is sent during a read-only lockdown. At its end everything goes at once.
function onLockdown() {
	if (isReadOnly()) return;
	heldUntil.public = heldUntil.private = 0;
	for (const entry of all.values()) entry.notBefore = 0;
	pump();
}

function onEcho(m) {
	echoed.add(m.cid);
	const entry = all.get(m.cid);
	if (!entry) return;
	forget(entry);
	if (!all.size) atOnceMax = AT_ONCE_MAX;
	if (entry.blob) {
		shown.push({ m, bytes: entry.blob.size });
		trimPreviews();
	}
	pump();
}

// What was on the wire when it broke may or may not have arrived: it goes again, and its cid settles the matter.
function onLost() {
	for (const entry of all.values()) if (entry.state === 'sending') set(entry, 'queued');
}

export function maxBytes(type) {
	return (type === 'voice' ? limits.max_voice_mb : limits.max_file_mb) * 1048576;
}

export function initOutbox() {
	on('echo', onEcho);
	on('refused', onRefused);
	on('lost', onLost);
	on('lockdown', onLockdown);
	on('init', takeLeftovers);
}

export function forgetOutbox() {
	for (const entry of [...all.values()]) discard(entry);
}

// An entry in the shape of a message, for the views.
export function asMessage(entry) {
	return { id: 0, type: entry.type, at: entry.at, dm: isDm(entry.conv), from_id: me.id, from_name: me.name, text: entry.text, filename: entry.filename,
		mime: entry.mime, size: entry.blob?.size, width: entry.width, height: entry.height, duration: entry.duration, waveform: entry.waveform,
		url: previews.get(entry.cid), cid: entry.cid, entry, self: true };
}
