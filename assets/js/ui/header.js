// The bar above the messages: the other person or the room, typing, mute. Below it: the connection's state, a lockdown, announcements.
import { $, h, fill, icon, avatar, toggle } from '../base/dom.js';
import { throttle } from '../base/util.js';
import { on, emit } from '../base/bus.js';
import { fmtDay, fmtNumber, fmtTime, sameDay, t, tn } from '../base/i18n.js';
import { conv, convs, GENERAL, isDm, isMuted, me, nameOf, setMuted, users, world } from '../talk/model.js';
import { net, retryNow } from '../talk/net.js';
import { session, typingIn } from '../talk/session.js';

const title = $('#chat-title'), sub = $('#chat-sub'), face = $('#chat-face'), mute = $('#mute'), status = $('#status');

function typingText(c) {
	const names = typingIn(c).map(nameOf);
	if (!names.length) return null;
	if (isDm(c.key)) return t('typingDm');
	if (names.length === 1) return t('typingOne', { a: names[0] });
	if (names.length === 2) return t('typingTwo', { a: names[0], b: names[1] });
	return tn('typingMany', names.length);
}

function renderSub() {
	const c = conv(world.openKey ?? GENERAL);
	const typing = typingText(c);
	const state = !isDm(c.key) ? tn('onlineCount', world.online) : c.key === me.id ? t('youSuffix')
		: t('privateWith', { state: users.get(c.key)?.online ? t('online') : t('offline') });
	// Without a connection nobody's presence is known, so nothing is said about it.
	const text = net.state !== 'ready' ? t(net.state === 'offline' ? 'offline' : 'connecting') : typing ?? state;
	sub.classList.toggle('typing', !!typing);
	if (sub.dataset.text === text) return;
	sub.dataset.text = text;
	fill(sub, !typing && isDm(c.key) && icon('lock', 'mini'), typing && h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i')), text);
}

function renderHead() {
	const key = world.openKey ?? GENERAL;
	const name = !isDm(key) ? t('general') : key === me.id ? t('notes') : nameOf(key);
	fill(title, name);
	fill(face, isDm(key) ? avatar(key, name) : h('span', { class: 'avatar wave-face', 'aria-hidden': 'true' }, icon('wave')));
	face.classList.toggle('online', isDm(key) && !!users.get(key)?.online);
	const isOff = isMuted(key);
	fill(mute, icon(isOff ? 'muted' : 'bell'));
	mute.setAttribute('aria-label', t(isOff ? 'unmute' : 'mute'));
	mute.title = t(isOff ? 'unmute' : 'mute');
	mute.setAttribute('aria-pressed', isOff);
	renderSub();
}

// On a phone the list is out of sight, so the button that leads there counts the unread messages.
function renderBack() {
	let n = 0;
	for (const c of convs.values()) if (c.key !== world.openKey && !isMuted(c.key)) n += c.unread;
	$('#back .badge').textContent = fmtNumber(n);
	toggle($('#back .badge'), n > 0);
	$('#back').setAttribute('aria-label', t('back') + (n ? `, ${tn('unread', n)}` : ''));
}

let shownSince = 0, timer = 0;

// For screen readers: a change is said once, and not each second of a countdown.
function say(text) {
	if ($('#status-said').textContent !== text) $('#status-said').textContent = text;
}

function renderStatus() {
	clearTimeout(timer);
	const { state } = net;
	const isBad = state !== 'ready' && state !== 'stopped';
	$('#app').dataset.net = state;
	$('#net-dot').dataset.state = state;
	$('#net-dot').title = t(state === 'ready' ? 'connected' : state === 'offline' ? 'offline' : 'connecting');
	if (!isBad && !session.isSyncing) {
		shownSince = 0;
		if (!status.hidden) say(t('connected'));
		return toggle(status, false);
	}
	// A blink of a reconnect is not worth alarming anybody.
	shownSince ||= performance.now();
	if (net.everReady && performance.now() - shownSince < 700) {
		timer = setTimeout(renderStatus, 750);
		return;
	}
	toggle(status, true);
	status.dataset.state = state;
	const seconds = Math.max(1, Math.ceil((net.retryAt - performance.now()) / 1000));
	const isCounting = state === 'waiting' && seconds > 1;
	const text = t(state === 'ready' ? 'syncing' : state === 'offline' ? 'netOffline' : isCounting ? 'noAnswer' : net.everReady ? 'reconnecting' : 'connecting');
	$('#status-text').textContent = text + (isCounting ? ' ' + t('nextTry', { s: seconds }) : '');
	say(text);
	toggle($('#status-try'), state === 'waiting' || state === 'offline');
	if (state === 'waiting') timer = setTimeout(renderStatus, 500);
}

function announce(f) {
	const bar = h('div', { class: 'announce', role: 'status' }, icon('wave'), h('span', { dir: 'auto' }, f.text),
		h('button', { class: 'icon-button', type: 'button', 'aria-label': t('close'), onclick: () => bar.remove() }, icon('close')));
	const shelf = $('#announcements');
	while (shelf.children.length > 1) shelf.firstChild.remove();
	shelf.append(bar);
}

// As long as an admin lets no new people in, or nobody write.
function renderLockdown() {
	const { lockdown } = world, bar = $('#lockdown');
	toggle(bar, !!lockdown);
	if (!lockdown) return;
	const { isReadOnly, until } = lockdown;
	const time = until && (sameDay(until, Date.now()) ? fmtTime(until) : `${fmtDay(until)}, ${fmtTime(until)}`);
	fill(bar, icon('lock'), h('span', {}, isReadOnly ? until ? t('lockdownReadUntil', { time }) : t('lockdownRead') : until ? t('lockdownNewUntil', { time }) : t('lockdownNew')));
}

export function initHeader() {
	on('opened', renderHead);
	on('people', renderHead);
	on('typing', (c) => c.key === world.openKey && renderSub());
	on('conv', (c) => c.key === world.openKey && renderSub());
	on('net', () => {
		renderStatus();
		renderSub();
	});
	on('sync', renderStatus);
	on('system', announce);
	on('lockdown', renderLockdown);
	on('list', throttle(renderBack, 200));
	on('opened', renderBack);
	on('lang', () => {
		renderBack();
		renderHead();
		renderStatus();
		renderLockdown();
	});
	$('#status-try').addEventListener('click', retryNow);
	mute.addEventListener('click', () => {
		setMuted(world.openKey, !isMuted(world.openKey));
		renderHead();
	});
	$('#back').addEventListener('click', () => emit('showList'));
}
