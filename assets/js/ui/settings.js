// Settings: looks, language, notifications, a second device, leaving. Also applies the theme.
import { $, h, fill, avatar } from '../base/dom.js';
import { on, emit } from '../base/bus.js';
import { t, tn, LANGS, setLang } from '../base/i18n.js';
import { me, world } from '../talk/model.js';
import { recall, remember } from '../base/prefs.js';
import { send } from '../talk/net.js';
import { qrView } from '../media/qr.js';
import { canNotify, notifyOn, playTone, setNotify, setSound, soundOn } from './notify.js';
import { ask, openDialog } from './dialog.js';
import { copyText } from './toast.js';

const dark = matchMedia('(prefers-color-scheme: dark)');
let installPrompt = null;

function applyTheme() {
	const chosen = recall('theme');
	const isDark = chosen ? chosen === 'dark' : dark.matches;
	document.documentElement.dataset.theme = isDark ? 'dark' : 'light';
	$('meta[name=theme-color]').content = isDark ? '#101d21' : '#ffffff';
}

function choice(label, name, options, current, pick) {
	return h('fieldset', { class: 'choice' }, h('legend', {}, label), h('div', { class: 'segments' }, options.map(([value, text]) =>
		h('label', {}, h('input', { type: 'radio', name, value, checked: value === current, onchange: () => pick(value || null) }), h('span', {}, text)))));
}

function flag(label, help, isOn, isEnabled, flip) {
	const box = h('input', { type: 'checkbox', role: 'switch', checked: isOn, disabled: !isEnabled, onchange: async () => { box.checked = await flip(box.checked); } });
	return h('label', { class: 'flag' }, h('span', {}, h('b', {}, label), h('small', {}, help)), box);
}

function deviceLink() {
	const place = h('div', { class: 'device' });
	const button = h('button', { class: 'button', type: 'button', onclick: () => send({ type: 'link' }) }, t('makeLink'));
	fill(place, h('div', { class: 'device-text' }, h('b', {}, t('otherDevice')), h('small', {}, t('otherDeviceHelp'))), button);
	const off = on('link', (f) => {
		const link = `${location.origin}/#link=${encodeURIComponent(f.code)}`;
		const field = h('input', { class: 'field', readonly: true, value: link, 'aria-label': t('otherDevice'), onfocus: () => field.select() });
		fill(place, h('p', {}, t('linkText', { m: tn('minutes', Math.max(1, Math.round((f.expires_in ?? 300) / 60))) })), qrView(link, t('qrLabel')),
			h('div', { class: 'device-link' }, field, h('button', { class: 'button', type: 'button', onclick: () => copyText(link) }, t('copyLink'))));
		field.focus();
	});
	return { place, off };
}

function openSettings() {
	const device = deviceLink();
	const dialog = openDialog(t('settings'), () => [
		h('div', { class: 'profile' }, avatar(me.id, me.name || '?', 'large'), h('div', {}, h('b', { dir: 'auto' }, me.name), h('small', {}, `#${me.id}`))),
		choice(t('appearance'), 'theme', [['', t('themeAuto')], ['light', t('themeLight')], ['dark', t('themeDark')]], recall('theme') ?? '', (value) => {
			remember('theme', value);
			applyTheme();
		}),
		choice(t('language'), 'lang', [['', t('langAuto')], ...Object.entries(LANGS).map(([code, { name }]) => [code, name])], recall('lang') ?? '', (value) => {
			setLang(value);
			dialog.close();
			openSettings();
		}),
		h('div', { class: 'flags' },
			flag(t('notifications'), t(!canNotify() ? 'notifyInsecure' : Notification.permission === 'denied' ? 'notifyBlocked' : 'notifyHelp'), notifyOn(),
				canNotify() && Notification.permission !== 'denied', setNotify),
			flag(t('sound'), t('soundHelp'), soundOn(), true, (isOn) => {
				setSound(isOn);
				if (isOn) playTone();
				return isOn;
			})),
		device.place,
		h('div', { class: 'dialog-foot' },
			installPrompt && h('button', { class: 'button', type: 'button', onclick: () => { installPrompt.prompt(); installPrompt = null; dialog.close(); } }, t('install')),
			h('button', { class: 'button danger', type: 'button', onclick: async () => {
				dialog.close();
				if (await ask(t('signOutTitle'), t('signOutText', { name: me.name }), t('signOut'), t('cancel'), true)) emit('signOut');
			} }, t('signOut'))),
		h('p', { class: 'version' }, t('version', { v: world.server.replace(/^wavechatd /, '') || '__VERSION__' })),
	], { cls: 'settings', onclose: device.off });
}

export function initSettings() {
	applyTheme();
	dark.addEventListener('change', applyTheme);
	addEventListener('beforeinstallprompt', (event) => {
		event.preventDefault();
		installPrompt = event;
	});
	$('#settings').addEventListener('click', openSettings);
}
