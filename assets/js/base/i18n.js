// Words, plurals, dates and sizes in the reader's language. A third language is one more table in LANGS.
import { en } from './lang/en.js';
import { ru } from './lang/ru.js';
import { emit } from './bus.js';
import { recall, remember } from './prefs.js';

export const LANGS = {
	en: { name: 'English', table: en },
	ru: { name: 'Русский', table: ru },
};

let lang, table, plurals, formats;

function pickLang() {
	const chosen = recall('lang');
	if (chosen in LANGS) return chosen;
	for (const wish of navigator.languages ?? []) {
		const base = wish.slice(0, 2).toLowerCase();
		if (base in LANGS) return base;
	}
	return 'en';
}

function useLang(code) {
	lang = code;
	table = LANGS[code].table;
	plurals = new Intl.PluralRules(code);
	// Of one language's countries, the reader's own: hours and the order of dates differ among them.
	const locale = navigator.languages?.find((wish) => wish.toLowerCase().startsWith(code)) ?? code;
	const of = (options) => new Intl.DateTimeFormat(locale, options);
	formats = {
		time: of({ hour: 'numeric', minute: '2-digit' }),
		weekday: of({ weekday: 'short' }),
		day: of({ day: 'numeric', month: 'long' }),
		dayYear: of({ day: 'numeric', month: 'long', year: 'numeric' }),
		short: of({ day: '2-digit', month: '2-digit' }),
		full: of({ dateStyle: 'full', timeStyle: 'medium' }),
		moment: of({ dateStyle: 'medium', timeStyle: 'short' }),
		number: new Intl.NumberFormat(code),
	};
	document.documentElement.lang = code;
}

export function initLang() {
	useLang(pickLang());
	translateStatic();
	// "Today" ends at midnight, and a traveller's clock changes its zone.
	const now = () => new Date().toDateString() + new Date().getTimezoneOffset();
	let day = now();
	const look = () => {
		if (day === now()) return;
		day = now();
		useLang(lang);
		emit('lang');
	};
	setInterval(look, 20000);
	addEventListener('languagechange', () => setLang(recall('lang')));
	document.addEventListener('visibilitychange', look);
}

// A moderator's reason without the server's English around it; the end of a mute or ban is given in the reader's language.
export function reasonOf(text) {
	return String(text ?? '').replace(/^(You are muted: )?(an admin decided so|You are banned from this chat)?/, '')
		.replace(/\(until (\S+) (\S+) UTC\)$/, (whole, day, time) => t('until', { time: formats.moment.format(new Date(`${day}T${time}Z`)) })).trim();
}

// Null goes back to the browser's choice.
export function setLang(code) {
	remember('lang', code);
	useLang(pickLang());
	translateStatic();
	emit('lang');
}

function put(text, vars) {
	return text.replace(/\{(\w+)\}/g, (whole, key) => vars[key] ?? whole);
}

export function t(key, vars = {}) {
	return put(table[key] ?? en[key] ?? key, vars);
}

export function tn(key, n, vars = {}) {
	const forms = table[key];
	return put(forms[plurals.select(n)] ?? forms.other, { ...vars, n: formats.number.format(n) });
}

// Markup that is there from the start names its words: data-t for the text, data-t-ATTR for an attribute.
function translateStatic() {
	for (const el of document.querySelectorAll('[data-t]')) el.textContent = t(el.dataset.t);
	for (const attr of ['aria-label', 'title', 'placeholder']) {
		for (const el of document.querySelectorAll(`[data-t-${attr}]`)) el.setAttribute(attr, t(el.getAttribute(`data-t-${attr}`)));
	}
}

const dayStart = (at) => new Date(at).setHours(0, 0, 0, 0);
export const sameDay = (a, b) => dayStart(a) === dayStart(b);

function daysAgo(at) {
	return Math.round((dayStart(Date.now()) - dayStart(at)) / 864e5);
}

export const fmtTime = (at) => formats.time.format(at);
export const fmtFull = (at) => formats.full.format(at);
export const fmtNumber = (n) => formats.number.format(n);

export function fmtDay(at) {
	const ago = daysAgo(at);
	if (ago === 0) return t('today');
	if (ago === 1) return t('yesterday');
	return (new Date(at).getFullYear() === new Date().getFullYear() ? formats.day : formats.dayYear).format(at);
}

// For the conversation list: as short as still tells when.
export function fmtWhen(at) {
	const ago = daysAgo(at);
	return ago <= 0 ? formats.time.format(at) : ago < 7 ? formats.weekday.format(at) : formats.short.format(at);
}

export function fmtSize(bytes) {
	const units = table.units;
	let unit = 0;
	while (bytes >= 1000 && unit < units.length - 1) {
		bytes /= 1024;
		unit++;
	}
	const digits = unit === 0 || bytes >= 100 ? 0 : 1;
	return new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(bytes) + '\u00a0' + units[unit];
}

export function fmtDuration(seconds) {
	const s = Math.max(0, Math.round(seconds));
	const tail = String(s % 60).padStart(2, '0');
	if (s < 3600) return `${Math.floor(s / 60)}:${tail}`;
	return `${Math.floor(s / 3600)}:${String(Math.floor(s / 60) % 60).padStart(2, '0')}:${tail}`;
}
