// Calls back to the tab, for private messages and mentions: the title, notifications and a tone. Of a muted conversation only mentions call.
import { on, emit } from '../base/bus.js';
import { t } from '../base/i18n.js';
import { isDm, isMuted, mentionsMe, totals, world } from '../talk/model.js';
import { recall, recallEntry, remember } from '../base/prefs.js';
import { calm, throttle } from '../base/util.js';
import { isPicture, summary } from './message.js';

const CALL_AFTER_MS = 500;   // another tab's read marks are known by then

let context = null, soundedAt = -Infinity, shownUnread = 0;

export const soundOn = () => recall('sound', true);
export const setSound = (isOn) => remember('sound', isOn);

// Two soft sines a fifth apart, the second rising: a small wave.
export function playTone() {
	try {
		context ??= new AudioContext();
		if (context.state === 'suspended') context.resume();
		const now = context.currentTime;
		for (const [hz, at] of [[587, 0], [880, 0.11]]) {
			const tone = context.createOscillator(), gain = context.createGain();
			tone.frequency.value = hz;
			gain.gain.setValueAtTime(0, now + at);
			gain.gain.linearRampToValueAtTime(0.16, now + at + 0.02);
			gain.gain.exponentialRampToValueAtTime(0.001, now + at + 0.4);
			tone.connect(gain).connect(context.destination);
			tone.start(now + at);
			tone.stop(now + at + 0.45);
		}
	} catch { /* no sound card, no tone */ }
}

export const canNotify = () => window.isSecureContext && 'Notification' in window;
export const notifyOn = () => canNotify() && Notification.permission === 'granted' && recall('notify', false);

// Must come from a click: browsers ask only then. Returns whether notifications are on afterwards.
export async function setNotify(isOn) {
	if (isOn && Notification.permission !== 'granted' && await Notification.requestPermission() !== 'granted') return false;
	remember('notify', isOn);
	return isOn;
}

async function popUp(c, m) {
	const title = isDm(c.key) ? t('dmTitle', { name: m.from_name }) : m.from_name;
	const body = m.type === 'text' ? summary(m) : m.type === 'voice' ? t('notifyVoice') : isPicture(m) ? t('notifyPhoto') : `${t('notifyFile')}: ${m.filename}`;
	// One per conversation: a newer message takes the place of the older one.
	const options = { body: calm(body.slice(0, 180)), tag: 'wave-' + c.key, icon: '/icon-192.png', badge: '/icon-192.png', data: { key: c.key }, silent: true };
	const worker = await navigator.serviceWorker?.getRegistration();
	try {
		if (worker?.active) return await worker.showNotification(calm(title), options);
		const note = new Notification(calm(title), options);
		note.onclick = () => {
			window.focus();
			emit('open', c.key);
			note.close();
		};
	} catch { /* some systems allow them only to a worker that is not there yet */ }
}

function onNews(c, m) {
	const isLooking = !document.hidden && document.hasFocus();
	if (isLooking && world.openKey === c.key) return;
	const mention = mentionsMe(m);
	if (isMuted(c.key) ? !mention : !isDm(c.key) && !mention) return;
	// Another tab may be showing the message already; of the rest, one is enough to call.
	if (!isLooking) setTimeout(() => oneTab(() => recall('called', 0) < m.id && !(recallEntry('read', c.key) >= m.id) && call(c, m, isLooking)), CALL_AFTER_MS);
	else call(c, m, isLooking);
}

const oneTab = (run) => (navigator.locks ? navigator.locks.request('wave:call', run) : run());

function call(c, m, isLooking) {
	remember('called', m.id);
	if (soundOn() && performance.now() - soundedAt > 1500) {
		soundedAt = performance.now();
		playTone();
	}
	if (!isLooking && notifyOn()) popUp(c, m);
}

function showTotals() {
	const { unread } = totals();
	if (unread === shownUnread) return;
	shownUnread = unread;
	document.title = unread ? `(${unread > 99 ? '99+' : unread}) WaveChat` : 'WaveChat';
	if (unread) navigator.setAppBadge?.(unread).catch(() => {});
	else navigator.clearAppBadge?.().catch(() => {});
}

export function initNotify() {
	on('news', onNews);
	on('list', throttle(showTotals, 200));
	navigator.serviceWorker?.addEventListener('message', (event) => {
		if (Number.isSafeInteger(event.data?.open)) emit('open', event.data.open);
	});
}
