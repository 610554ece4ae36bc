// The messages of the open conversation. Only a window of them is in the DOM. It slides with the scroll, and the text being read never jumps.
import { $, h, fill, icon, toggle } from '../base/dom.js';
import { debounce } from '../base/util.js';
import { on, emit } from '../base/bus.js';
import { t, tn, sameDay, fmtNumber } from '../base/i18n.js';
import { conv, isDm, isMine, lowerBound, markRead, me, nameOf, world } from '../talk/model.js';
import { net } from '../talk/net.js';
import { loadOlder } from '../talk/session.js';
import { asMessage } from '../talk/outbox.js';
import { messageRow, setRowFrame, showProgress } from './message.js';

const FIRST = 80;            // rows put in at opening
const STEP = 60;             // rows added at an edge
const MOST = 240;            // rows kept
const GROUP_MS = 5 * 60000;
const NEAR_END_PX = 80;

const scroller = $('#scroller'), list = $('#log'), top = $('#log-top'), jump = $('#jump');
const rows = new Map();      // key → {el, sig, m}

let c = null;                // the open conversation
let loId = 0;                // window: messages with id >= loId …
let hiId = Infinity;         // … and <= hiId; Infinity: up to and with the newest and the outbox
let stick = true;            // follow the newest
let isUnsettled = false;     // opened before its newest page was here
let lastTop = 0;
let lastSize = '';           // of the scroller: while it changes, no scroll is a hand's
let held = null;             // the anchor of what is about to be rebuilt
let hushTimer = 0;
let frame = 0;
const places = new Map();    // conversation → where it was left: {id, offset}

const rowKey = (m) => (m.self && m.cid ? 'c' + m.cid : 'm' + m.id);
const sigOf = (m) => `${m.id}.${m.rev ?? 0}.${m.entry ? m.entry.state + m.entry.rev : ''}`;

function windowed() {
	const { items } = c;
	const lo = lowerBound(items, loId);
	const hi = hiId === Infinity ? items.length : lowerBound(items, hiId + 1);
	return { lo, hi };
}

// The first row that is at least partly in view, and how far it is from the top.
function anchor() {
	const from = scroller.scrollTop;
	const kids = list.children;
	let lo = 0, hi = kids.length;
	while (lo < hi) {
		const mid = (lo + hi) >> 1;
		if (kids[mid].offsetTop + kids[mid].offsetHeight <= from) lo = mid + 1;
		else hi = mid;
	}
	return kids[lo] ? { el: kids[lo], key: kids[lo].dataset.key, offset: kids[lo].offsetTop - from } : null;
}

function render() {
	frame = 0;
	if (!c) return;
	if (isUnsettled && c.isLoaded) {
		isUnsettled = false;
		return settle();
	}
	const mark = stick ? null : held ?? anchor();
	held = null;
	const { items } = c;
	let { lo, hi } = windowed();

	// Too many rows: following the end, the oldest go; else those on the side that is farther from what is being read.
	if (hi - lo > MOST) {
		const at = mark ? lowerBound(items, rows.get(mark.key)?.m.id || Infinity) : hi;
		if (stick) lo = hi - FIRST;
		else if (at - lo < hi - at) hi = Math.max(lo + MOST, at + STEP);
		else lo = Math.min(hi - MOST, at - STEP);
		if (lo > 0) loId = items[lo].id;
		if (hi < items.length) hiId = items[hi - 1].id;
	}

	const shown = items.slice(lo, hi);
	if (hiId === Infinity) for (const entry of c.pending) shown.push(asMessage(entry));

	const wanted = new Set(shown.map(rowKey));
	for (const [key, row] of rows) {
		if (wanted.has(key)) continue;
		row.el.remove();
		rows.delete(key);
	}
	let isNewPlaced = false;
	let prev = items[lo - 1] ?? null;
	// Whether the line belongs above the window is decided by what precedes it.
	if (c.newLine && prev && prev.id > c.newLine && !isMine(prev)) isNewPlaced = true;
	let place = list.firstElementChild;
	shown.forEach((m, i) => {
		const key = rowKey(m), sig = sigOf(m), next = shown[i + 1];
		let row = rows.get(key);
		if (row && row.sig !== sig) {
			const fresh = messageRow(m);
			if (place === row.el) place = fresh;
			row.el.replaceWith(fresh);
			row = { el: fresh, sig };
			rows.set(key, row);
		} else if (!row) {
			row = { el: messageRow(m), sig };
			rows.set(key, row);
		}
		row.m = m;
		row.el.dataset.key = key;
		const day = !prev || !sameDay(prev.at, m.at);
		const isNew = !!c.newLine && !isNewPlaced && m.id > c.newLine && !isMine(m);
		isNewPlaced ||= isNew;
		const joins = (a, b) => a && b && a.from_id === b.from_id && Math.abs(b.at - a.at) < GROUP_MS && sameDay(a.at, b.at);
		setRowFrame(row.el, { first: day || isNew || !joins(prev, m), last: !joins(m, next), day, isNew, at: m.at });
		if (row.el === place) place = place.nextElementSibling;
		else list.insertBefore(row.el, place);
		prev = m;
	});
	renderTop(lo, shown.length);

	if (stick) pin();
	else if (mark) {
		const el = mark.el.isConnected ? mark.el : rows.get(mark.key)?.el;
		if (el) scroller.scrollTop = el.offsetTop - mark.offset;
		lastTop = scroller.scrollTop;
	}
	renderJump();
	list.setAttribute('aria-busy', c.isLoading);
	renderLive();
	fillUp();
}

// Only what is new is read aloud: not what scrolling brings back, nor all that was said before a conversation was opened.
function renderLive() {
	const live = stick && !hushTimer ? 'polite' : 'off';
	if (list.getAttribute('aria-live') !== live) list.setAttribute('aria-live', live);
}

function hush() {
	clearTimeout(hushTimer);
	hushTimer = setTimeout(() => {
		hushTimer = 0;
		renderLive();
	}, 700);
	renderLive();
}

function pin() {
	scroller.scrollTop = scroller.scrollHeight;
	lastTop = scroller.scrollTop;
}

function renderTop(lo, count) {
	const isStart = c.isComplete && lo === 0;
	const isBare = isStart && count === 0;
	const name = isDm(c.key) ? nameOf(c.key) : '';
	const state = `${c.key} ${isStart} ${isBare} ${c.isLoading} ${name} ${t('back')}`;
	if (top.dataset.state === state) return;
	top.dataset.state = state;
	top.classList.toggle('bare', isBare);
	if (isBare) {
		fill(top, h('div', { class: 'still' }, icon('wave', 'still-mark'),
			h('h2', {}, isDm(c.key) ? (c.key === me.id ? t('notes') : name) : t('emptyTitle')),
			h('p', {}, isDm(c.key) ? t('emptyDmText', { name }) : t('emptyText'))));
	} else if (isStart) {
		fill(top, h('p', { class: 'begin' }, isDm(c.key) ? t('startOfDm', { name }) : t('startOfHistory')));
	} else {
		fill(top, h('div', { class: 'loading', role: 'status' }, h('span', { class: 'spinner', 'aria-hidden': 'true' }), h('span', { class: 'vh' }, t('loadingOlder'))));
	}
}

function renderJump() {
	const isAway = !stick && (hiId !== Infinity || scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight > 320);
	toggle(jump, isAway);
	if (!isAway) return;
	fill($('.badge', jump), c.unread ? fmtNumber(c.unread) : null);
	toggle($('.badge', jump), c.unread > 0);
	jump.setAttribute('aria-label', c.unread ? `${t('jumpLatest')}, ${tn('unread', c.unread)}` : t('jumpLatest'));
}

// One render a frame however much arrives. A hidden tab gets no frames, and renders once when it is looked at.
function schedule() {
	frame ||= requestAnimationFrame(render);
}

// Widens the window where the scroll comes near its edge; asks the server where the loaded part ends.
function fillUp() {
	const near = scroller.clientHeight * 1.2;
	const { items } = c;
	const { lo, hi } = windowed();
	if (scroller.scrollTop < near) {
		if (lo > 0) {
			loId = items[Math.max(0, lo - STEP)].id;
			schedule();
		} else if (!c.isComplete && c.isLoaded && !c.isLoading && net.state === 'ready') {
			loId = 0;
			loadOlder(c);
		} else if (lo === 0) {
			// A page that has just come lies before the window's first message: let it in.
			loId = 0;
		}
	}
	if (hiId !== Infinity && scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < near) {
		const at = Math.min(items.length - 1, hi + STEP - 1);
		hiId = at >= items.length - 1 ? Infinity : items[at].id;
		schedule();
	}
}

const sizeNow = () => `${scroller.clientWidth} ${scroller.clientHeight}`;

function onScroll() {
	if (!c || lastSize !== sizeNow()) return;
	const left = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
	// Only a hand moves up; being farther from the end without that means that content has grown, and the end is followed.
	const isMovedUp = scroller.scrollTop < lastTop - 2;
	lastTop = scroller.scrollTop;
	stick = hiId === Infinity && (left < NEAR_END_PX || (stick && !isMovedUp));
	if (stick) seen();
	renderJump();
	fillUp();
	remember();
}

const remember = debounce(() => {
	if (!c) return;
	const mark = stick ? null : anchor();
	const id = mark && rows.get(mark.key)?.m.id;
	if (id) places.set(c.key, { id, offset: mark.offset });
	else places.delete(c.key);
}, 120);

// The newest is on the screen and somebody is looking.
function seen() {
	if (c && stick && !document.hidden && document.hasFocus() && (c.unread || c.lastRead < c.lastId)) markRead(c);
}

const isFollowing = (key) => c?.key === key && stick && !document.hidden && document.hasFocus();

function jumpToEnd() {
	const { items } = c;
	if (hiId !== Infinity) hush();
	hiId = Infinity;
	loId = items[Math.max(0, items.length - FIRST)]?.id ?? 0;
	stick = true;
	render();
	seen();
}

export function openTimeline(key) {
	leaveTimeline();
	hush();
	c = conv(key);
	world.openKey = key;
	rows.clear();
	list.replaceChildren();
	delete top.dataset.state;
	c.newLine = c.lastRead && (c.unread || (!c.isLoaded && c.lastId > c.lastRead)) ? c.lastRead : 0;
	isUnsettled = !c.isLoaded;
	settle();
}

// The window from some rows before message number `at` on.
function windowAt(at) {
	const { items } = c;
	loId = items[Math.max(0, at - STEP)]?.id ?? 0;
	hiId = at + 2 * STEP >= items.length ? Infinity : items[at + 2 * STEP].id;
	stick = false;
	render();
}

function goTo({ id, offset }) {
	const el = [...rows.values()].find((row) => row.m.id === id)?.el;
	if (el) scroller.scrollTop = el.offsetTop - offset;
}

// Where to begin reading: where it was left, else at the first unread, else at the end.
function settle() {
	const { items } = c;
	lastSize = sizeNow();
	hush();
	const place = places.get(c.key);
	if (place && !c.newLine) {
		windowAt(lowerBound(items, place.id));
		goTo(place);
	} else if (c.newLine && items.length) {
		windowAt(lowerBound(items, c.newLine + 1));
		const line = list.querySelector('.sep.new');
		scroller.scrollTop = line ? line.closest('.row').offsetTop - 60 : scroller.scrollHeight;
	} else {
		hiId = Infinity;
		stick = true;
		loId = items.length > FIRST ? items[items.length - FIRST].id : 0;
		render();
	}
	onScroll();
}

export function leaveTimeline() {
	if (!c) return;
	c.newLine = 0;
	c = null;
	world.openKey = null;
}

export function initTimeline() {
	scroller.addEventListener('scroll', onScroll, { passive: true });
	jump.addEventListener('click', () => {
		jumpToEnd();
		emit('focusComposer');
	});
	on('conv', (changed) => changed === c && schedule());
	on('posted', (where) => where === c && jumpToEnd());
	on('progress', (entry) => {
		const row = rows.get('c' + entry.cid);
		if (row) showProgress(row.el, entry);
	});
	on('player', () => {
		for (const row of rows.values()) row.el.showPlayer?.();
	});
	on('news', (where) => {
		if (where !== c) return;
		// While nobody looks, what comes is new: the line marks where looking stopped.
		if (isFollowing(c.key)) queueMicrotask(seen);
		else if (!c.newLine && (document.hidden || !document.hasFocus())) c.newLine = c.lastRead;
	});
	const look = () => {
		if (c && !document.hidden) {
			render();
			seen();
		}
	};
	addEventListener('focus', look);
	document.addEventListener('visibilitychange', look);
	on('lang', () => {
		held = c && !stick ? anchor() : null;
		hush();
		rows.clear();
		list.replaceChildren();
		delete top.dataset.state;
		if (c) render();
	});
	on('sync', hush);
	// The room for messages changes with the keyboard, with what is being written and with a turn of the phone: the end, or what is being read,
	// stays in view.
	new ResizeObserver(() => {
		if (!c || lastSize === sizeNow()) return;
		lastSize = sizeNow();
		if (stick) pin();
		else if (places.has(c.key)) goTo(places.get(c.key));
	}).observe(scroller);
	new ResizeObserver(() => {
		if (c && stick) pin();
	}).observe(list);
}
