// The list at the side: conversations, people who are here, and the search among them.
import { $, h, icon, avatar, toggle } from '../base/dom.js';
import { throttle, debounce } from '../base/util.js';
import { on, emit } from '../base/bus.js';
import { t, tn, fmtWhen, fmtNumber } from '../base/i18n.js';
import { conv, convs, GENERAL, isDm, isMine, isMuted, me, nameOf, users, world } from '../talk/model.js';
import { askWho, typingIn } from '../talk/session.js';
import { asMessage } from '../talk/outbox.js';
import { net } from '../talk/net.js';
import { summary } from './message.js';
import { draftOf } from './composer.js';
import { copyText } from './toast.js';

const talks = $('#talks'), people = $('#people'), search = $('#search'), more = $('#more-people'), clear = $('#search-clear');
const byName = new Intl.Collator(undefined, { numeric: true });   // much faster than localeCompare in a crowd
const SHOWN_PEOPLE = 300;      // more than anybody scrolls through; the rest is found by name

let query = '';
let afterId = 0, hasMore = false;

const shows = (name) => !query || name.toLowerCase().includes(query);

function lastOf(c) {
	const entry = c.pending.at(-1);
	return entry ? asMessage(entry) : c.items.at(-1) ?? null;
}

function lastAt(c) {
	// Ids begin with the time (Unix seconds × 2^20), good enough for order where the message itself is not loaded.
	const m = lastOf(c);
	return m ? m.at : c.lastId / 1048.576;
}

function previewOf(c) {
	const typing = typingIn(c);
	if (typing.length) return h('span', { class: 'typing' }, isDm(c.key) ? t('typingDm') : t('typingOne', { a: nameOf(typing[0]) }), '…');
	const draft = c.key === world.openKey ? '' : draftOf(c.key);
	if (draft) return [icon('pencil', 'mini'), h('bdi', {}, draft)];
	const m = lastOf(c);
	if (!m) return isDm(c.key) ? '' : t('generalSub');
	const from = isMine(m) ? t('you') : isDm(c.key) ? '' : m.from_name;
	return [from && [h('bdi', { class: 'from' }, from), ': '], h('bdi', {}, summary(m))];
}

// "50+" where unread messages go on before those that are loaded.
const unreadText = (c) => fmtNumber(c.unread) + (c.isLoaded && !c.isComplete && c.items[0]?.id > c.lastRead ? '+' : '');

function talkRow(c) {
	const name = c.key === GENERAL ? t('general') : c.key === me.id ? t('notes') : nameOf(c.key);
	const m = lastOf(c);
	const isOnline = isDm(c.key) && users.get(c.key)?.online;
	const face = c.key === GENERAL ? h('span', { class: 'avatar wave-face', 'aria-hidden': 'true' }, icon('wave')) : avatar(c.key, name);
	const badge = c.unread ? h('span', { class: `badge ${isMuted(c.key) ? 'quiet' : ''}` }, c.mentions && !isDm(c.key) ? '@' : null, unreadText(c)) : null;
	return h('button', { class: `talk ${isDm(c.key) ? 'is-dm' : ''}`, type: 'button', 'aria-current': c.key === world.openKey ? 'page' : null,
		data: { key: c.key }, onclick: () => emit('open', c.key) },
	h('span', { class: `face ${isOnline ? 'online' : ''}` }, face),
	h('span', { class: 'talk-body' },
		h('span', { class: 'talk-top' }, h('span', { class: 'talk-name', dir: 'auto' }, name, isOnline && h('span', { class: 'vh' }, ` (${t('online')})`)),
			isMuted(c.key) && icon('muted', 'mini'), m && h('time', { class: 'talk-time' }, fmtWhen(m.at))),
		h('span', { class: 'talk-bottom' }, h('span', { class: 'talk-last' }, previewOf(c)),
			badge, badge && h('span', { class: 'vh' }, tn('unread', c.unread)))));
}

function personRow(u) {
	return h('button', { class: 'person', type: 'button', data: { user: u.id }, title: t('writePrivately', { name: u.name }), onclick: () => emit('openDm', u.id) },
		avatar(u.id, u.name, 'small'), h('span', { class: 'person-name', dir: 'auto' }, u.name),
		u.id === me.id && h('span', { class: 'person-note' }, t('youSuffix')));
}

// Brings the rows of `box` to what `list` wants, keeping the elements: one that is being pressed or has the focus must not be swapped for a twin.
// `sigOf` gives a row's contents in short, for long lists: a row is then only made where they differ.
function refill(box, list, make, idOf, sigOf = () => null) {
	const old = new Map([...box.children].map((el) => [el.rowKey, el]));
	let place = box.firstElementChild;
	for (const item of list) {
		const key = idOf(item), sig = sigOf(item);
		let el = old.get(key);
		const isSame = sig !== null && el?.sig === sig, fresh = isSame ? null : make(item), look = isSame ? el.look : fresh.outerHTML;
		old.delete(key);
		if (!el) el = fresh;
		else if (el.look !== look) {
			for (const { name } of [...el.attributes]) el.removeAttribute(name);
			for (const { name, value } of fresh.attributes) el.setAttribute(name, value);
			el.replaceChildren(...fresh.childNodes);
		}
		el.rowKey = key;
		el.look = look;
		el.sig = sig;
		if (el === place) place = place.nextElementSibling;
		else box.insertBefore(el, place);
	}
	for (const el of old.values()) el.remove();
}

function renderTalks() {
	const dms = [...convs.values()].filter((c) => isDm(c.key) && (c.items.length || c.pending.length || c.lastId || c.key === world.openKey || draftOf(c.key)));
	dms.sort((a, b) => (b.items.length || b.pending.length || b.lastId ? lastAt(b) : Infinity) - (a.items.length || a.pending.length || a.lastId ? lastAt(a) : Infinity));
	const list = [conv(GENERAL), ...dms].filter((c) => shows(c.key === GENERAL ? t('general') : nameOf(c.key)));
	refill(talks, list, talkRow, (c) => c.key);
}

function renderPeople() {
	const here = [...users.values()].filter((u) => u.online);
	const found = here.filter((u) => shows(u.name));
	found.sort((a, b) => (b.id === me.id) - (a.id === me.id) || byName.compare(a.name, b.name));
	refill(people, found.slice(0, SHOWN_PEOPLE), personRow, (u) => u.id, (u) => u.name + '\n' + t('youSuffix') + (u.id === me.id));
	$('#people-title').textContent = query ? t('peopleFound') : t('people');
	$('#people-count').textContent = query ? fmtNumber(found.length) : fmtNumber(world.online);
	const isAlone = !query && world.online <= 1 && net.everReady;
	toggle($('#alone'), isAlone);
	toggle($('#nobody'), !!query && !found.length);
	toggle(more, found.length < SHOWN_PEOPLE && (query ? hasMore : here.length < world.online));
	toggle(clear, !!query);
}

const ask = debounce(() => {
	afterId = 0;
	askWho(query);
}, 200);

function setQuery(text) {
	query = text.trim().toLowerCase();
	hasMore = false;
	if (query) ask();
	renderTalks();
	renderPeople();
}

// Arrows walk through both lists as one.
function walk(event) {
	if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
	const rows = [...$('#sidebar').querySelectorAll('.talk, .person')];
	const at = rows.indexOf(document.activeElement);
	const next = event.key === 'ArrowDown' ? rows[at + 1] : at > 0 ? rows[at - 1] : search;
	if (!next) return;
	event.preventDefault();
	next.focus();
}

export function initSidebar() {
	const later = throttle(renderTalks, 150), laterPeople = throttle(renderPeople, 400);
	for (const type of ['list', 'conv', 'draft', 'typing']) on(type, later);
	on('people', () => {
		later();
		laterPeople();
	});
	on('lang', () => {
		renderTalks();
		renderPeople();
	});
	on('opened', (key) => {
		// Found, and so no longer sought.
		if (query && key != null) {
			search.value = '';
			setQuery('');
		} else renderTalks();
	});
	on('who', (f) => {
		if ((f.q ?? '').toLowerCase() !== query) return;
		hasMore = !!f.more;
		afterId = f.users?.at(-1)?.id ?? afterId;
	});
	search.addEventListener('input', () => setQuery(search.value));
	search.addEventListener('keydown', (event) => {
		if (event.key === 'Escape' && search.value) {
			event.stopPropagation();
			search.value = '';
			setQuery('');
		} else if (event.key === 'Enter') {
			$('#sidebar').querySelector('.talk, .person')?.click();
		}
	});
	clear.addEventListener('click', () => {
		search.value = '';
		setQuery('');
		search.focus();
	});
	$('#invite').addEventListener('click', () => copyText(location.origin + '/'));
	more.addEventListener('click', () => askWho(query, afterId));
	$('#sidebar').addEventListener('keydown', walk);
}

// The conversation `step` places from the open one, as the list shows them.
export function siblingTalk(step) {
	const keys = [...talks.children].map((el) => Number(el.dataset.key));
	return keys[(keys.indexOf(world.openKey) + step + keys.length) % keys.length];
}
