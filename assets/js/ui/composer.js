// Where one writes: text with completion, drafts, the "only X will see this" bar, files waiting to be sent. Voice is ui/voice.js.
import { $, h, fill, icon, avatar, narrow, toggle } from '../base/dom.js';
import { debounce } from '../base/util.js';
import { on, emit } from '../base/bus.js';
import { t, tn, fmtSize } from '../base/i18n.js';
import { findByName, GENERAL, isDm, isReadOnly, limits, me, nameOf, users, world } from '../talk/model.js';
import { recallEntry, rememberEntry } from '../base/prefs.js';
import { askWho, sendTyping } from '../talk/session.js';
import { maxBytes, post } from '../talk/outbox.js';
import { emoji, emojiOf, findEmoji } from '../media/emoji.js';
import { closePopup, openPopup, popup, popupKey } from './popup.js';
import { toast } from './toast.js';
import { net } from '../talk/net.js';

const input = $('#input'), sendButton = $('#send'), micButton = $('#mic'), notice = $('#composer-notice'), tray = $('#tray');
const picker = $('#emoji-panel'), pickerButton = $('#emoji');

let key = GENERAL, draft = '';   // the draft as it is kept
let isTargetOff = false;      // the writer chose to send "@name …" to everyone
let attached = [];            // {file, url}
const trays = new Map();      // conversation → what is attached there

const isTouch = matchMedia('(hover: none) and (pointer: coarse)').matches;
const countOf = (text) => [...text].length;

// "@name text" at the start of a general message: to that person alone. The longest known name wins, since names may hold spaces.
export function targetOf(text) {
	if (isDm(key) || !text.startsWith('@')) return null;
	const words = text.slice(1).split(/(\s+)/);
	for (let n = Math.min(words.length, 15); n > 0; n--) {
		const name = words.slice(0, n).join('');
		if (!name.trim() || /\s$/.test(name)) continue;
		const u = findByName(name) ?? (n === 1 ? findByName(name.replace(/[,:]$/, '')) : null);
		if (u && u.id !== me.id) return { user: u, rest: words.slice(n).join('').trim(), name };
	}
	const name = words[0].replace(/[,:]$/, '');
	return name && words.length > 1 ? { user: null, name, rest: '' } : null;
}

const lookUp = debounce((name) => askWho(name), 250);
let lookedUp = '';

function renderNotice() {
	const text = input.value;
	const target = targetOf(text);
	const over = countOf(text.trim()) - limits.max_text;
	let state = '';
	if (over > 0) {
		state = 'over' + over;
		if (notice.dataset.state !== state) fill(notice, h('span', { class: 'notice-bad' }, tn('tooLong', over)));
	} else if (target?.user && !isTargetOff) {
		state = 'to' + target.user.id + target.user.name;
		if (notice.dataset.state !== state) {
			fill(notice, icon('lock'), h('span', { dir: 'auto' }, t('privately', { name: target.user.name })),
				h('button', { class: 'link', type: 'button', onclick: () => { isTargetOff = true; renderNotice(); input.focus(); } }, t('privatelyOff')));
		}
	} else if (target && !target.user) {
		state = 'no' + target.name;
		if (notice.dataset.state !== state) fill(notice, h('span', { dir: 'auto' }, t('unknownTarget', { name: target.name })));
		if (lookedUp !== target.name) lookUp(lookedUp = target.name);
	} else if (net.state !== 'ready' && net.state !== 'offline' && net.everReady && text) {
		state = 'off';
		if (notice.dataset.state !== state) fill(notice, h('span', {}, t('writeDisabled')));
	}
	notice.dataset.state = state;
	toggle(notice, !!state);
	const isPrivate = isDm(key) || (!!target?.user && !isTargetOff);
	$('#composer').classList.toggle('private', isPrivate);
	const canSend = (text.trim() && over <= 0) || attached.length;
	toggle(sendButton, !!text.trim() || attached.length > 0);
	toggle(micButton, !text.trim() && !attached.length);
	sendButton.disabled = !canSend || isReadOnly();
}

function grow() {
	input.style.height = 'auto';
	input.style.height = Math.min(input.scrollHeight, 220) + 'px';
}

function keepDraft() {
	if (input.value !== draft) rememberEntry('drafts', key, draft = input.value);
}

const keepSoon = debounce(keepDraft, 300);

function changed() {
	grow();
	renderNotice();
	keepSoon();
	emit('draft');
}

// Replaces [from, to) of the text and sets the caret after it, in a way that undo knows.
function replace(from, to, text) {
	input.focus();
	input.setSelectionRange(from, to);
	if (!document.execCommand('insertText', false, text)) input.setRangeText(text, from, to, 'end');
	changed();
}

// Completion

function wordBefore() {
	const upTo = input.value.slice(0, input.selectionStart);
	if (input.selectionStart !== input.selectionEnd) return null;
	const m = /(?:^|[\s(])(?:@([^\s@]{0,32}(?: [^\s@]{1,12})?)|:([+\-\w]{2,20}))$/u.exec(upTo);
	if (!m) return null;
	const word = m[1] ?? m[2];
	return { kind: m[1] !== undefined ? '@' : ':', word, from: upTo.length - word.length - 1, to: upTo.length };
}

function peopleLike(word) {
	const q = word.toLowerCase();
	const out = [];
	for (const u of users.values()) {
		if (u.id === me.id) continue;
		const name = u.name.toLowerCase();
		const rank = name.startsWith(q) ? 0 : name.includes(' ' + q) ? 1 : name.includes(q) ? 2 : 9;
		if (rank < 9) out.push({ u, rank: rank * 2 + (u.online ? 0 : 1) });
	}
	return out.sort((a, b) => a.rank - b.rank || a.u.name.localeCompare(b.u.name)).slice(0, 7).map((x) => x.u);
}

const searchPeople = debounce((q) => askWho(q), 200);

function complete() {
	const at = wordBefore();
	if (!at) return closePopup();
	if (at.kind === '@') {
		const found = peopleLike(at.word);
		if (at.word && found.length < 7 && world.online > users.size) searchPeople(at.word);
		const isTarget = at.from === 0 && !isDm(key);
		openPopup(input, t('mentionList'), found.map((u) => ({
			value: u,
			view: [avatar(u.id, u.name, 'small'), h('span', { class: 'option-name', dir: 'auto' }, u.name), isTarget && icon('lock', 'option-note')],
		})), (u) => {
			isTargetOff = false;
			replace(at.from, at.to, `@${u.name} `);
		});
	} else {
		openPopup(input, t('emojiList'), findEmoji(at.word).map((e) => ({
			value: e.char,
			view: [h('span', { class: 'option-emoji' }, e.char), h('span', { class: 'option-name' }, `:${e.code}:`)],
		})), (char) => replace(at.from, at.to, char + ' '));
	}
}

// ":smile:" becomes its emoji with the closing colon.
function expandShortcode() {
	const upTo = input.value.slice(0, input.selectionStart);
	const m = /(?:^|\s):([+\-\w]{1,20}):$/.exec(upTo);
	const char = m && emojiOf(m[1]);
	if (char) replace(upTo.length - m[1].length - 2, upTo.length, char);
}

// Sending

export function submit() {
	if (isReadOnly()) return;   // what is written stays as it is
	const text = input.value.trim();
	if (countOf(text) > limits.max_text || (!text && !attached.length)) return;
	const target = isTargetOff ? null : targetOf(text);
	const to = target?.user ? target.user.id : key;
	const body = target?.user ? target.rest : text;
	if (target?.user && !body && !attached.length) return;
	for (const { file, url, ...size } of attached.splice(0)) {
		post(to, { type: 'file', blob: file, filename: file.name || 'file', mime: file.type || 'application/octet-stream', ...size });
		if (url) URL.revokeObjectURL(url);
	}
	if (body) post(to, { type: 'text', text: body });
	if (to !== key) toast(t('sentPrivately', { name: target.user.name }), { label: t('open'), run: () => emit('open-dm', to) });
	input.value = '';
	isTargetOff = false;
	closePopup();
	keepDraft();
	renderTray();
	changed();
}

// Files

async function measure(file, url) {
	try {
		if (file.type.startsWith('image/') && file.type !== 'image/svg+xml') {
			const img = new Image();
			img.src = url;
			await img.decode();
			return { width: img.naturalWidth, height: img.naturalHeight };
		}
		if (file.type.startsWith('video/')) {
			const video = document.createElement('video');
			video.preload = 'metadata';
			video.src = url;
			await new Promise((resolve, reject) => {
				video.onloadedmetadata = resolve;
				video.onerror = reject;
				setTimeout(reject, 4000);
			});
			if (video.videoWidth) return { width: video.videoWidth, height: video.videoHeight };
		}
	} catch { /* not what its type says: it goes as it is, without a size */ }
	return {};
}

export async function attach(files) {
	if (isReadOnly()) return;
	const where = key;
	const mine = attached;
	for (const file of files) {
		if (file.size > maxBytes('file')) {
			toast(t('tooLarge', { name: file.name, max: fmtSize(maxBytes('file')) }));
			continue;
		}
		if (!file.size) {
			toast(t('emptyFile', { name: file.name }));
			continue;
		}
		const isVisual = /^(image|video)\//.test(file.type);
		const url = isVisual ? URL.createObjectURL(file) : null;
		mine.push({ file, url, ...(isVisual ? await measure(file, url) : {}) });
	}
	if (where === key) {
		renderTray();
		renderNotice();
		input.focus();
	}
}

function renderTray() {
	toggle(tray, attached.length > 0);
	tray.setAttribute('aria-label', tn('attachments', attached.length));
	fill(tray, attached.map((item) => h('div', { class: 'chip' },
		item.url && item.file.type.startsWith('image/') ? h('img', { src: item.url, alt: '' }) : h('span', { class: 'chip-icon' }, icon('file')),
		h('span', { class: 'chip-text' }, h('span', { class: 'chip-name', dir: 'auto' }, item.file.name), h('span', { class: 'chip-note' }, fmtSize(item.file.size))),
		h('button', { class: 'chip-x', type: 'button', 'aria-label': t('removeAttachment', { name: item.file.name }), onclick: () => {
			attached.splice(attached.indexOf(item), 1);
			if (item.url) URL.revokeObjectURL(item.url);
			renderTray();
			renderNotice();
			input.focus();
		} }, icon('close')))));
}

// Emoji panel

function togglePicker(isOpen = picker.hidden) {
	if (isOpen && !picker.childElementCount) {
		fill(picker, emoji.map((e) => h('button', { type: 'button', 'aria-label': e.code.replace(/_/g, ' '), title: `:${e.code}:`,
			tabindex: '-1', onclick: () => insert(e.char) }, e.char)));
		picker.firstChild.tabIndex = 0;
	}
	toggle(picker, isOpen);
	pickerButton.setAttribute('aria-expanded', isOpen);
}

// On a touch screen the text must not take the focus: its keyboard would come up over the panel.
function insert(char) {
	if (!isTouch) return replace(input.selectionStart, input.selectionEnd, char);
	input.setRangeText(char, input.selectionStart, input.selectionEnd, 'end');
	changed();
}

// One stop for Tab; within, the arrows go.
function walkPicker(event) {
	const all = [...picker.children], at = all.indexOf(event.target);
	const row = all.findIndex((el) => el.offsetTop > all[0].offsetTop);
	const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: all.length - 1 }[event.key];
	if (event.key === 'Escape') {
		togglePicker(false);
		input.focus();
	} else if (to === undefined) return;
	else if (all[to]) {
		all[at].tabIndex = -1;
		all[to].tabIndex = 0;
		all[to].focus();
	}
	event.preventDefault();
	event.stopPropagation();
}

export function openComposer(where) {
	closePopup();
	togglePicker(false);
	keepDraft();
	trays.set(key, attached);
	key = where;
	attached = trays.get(key) ?? [];
	isTargetOff = false;
	input.value = draft = recallEntry('drafts', key) ?? '';
	renderTray();
	label();
	grow();
	renderNotice();
	if (!isTouch) input.focus({ preventScroll: true });
}

function label() {
	const text = isReadOnly() ? t('writeLocked') : isDm(key) ? t('writeTo', { name: nameOf(key) }) : t('write');
	input.placeholder = text;
	input.setAttribute('aria-label', text);
}

function initDrop() {
	const zone = $('#chat'), veil = $('#drop');
	let depth = 0;
	const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
	zone.addEventListener('dragenter', (event) => {
		if (!hasFiles(event)) return;
		depth++;
		toggle(veil, true);
	});
	zone.addEventListener('dragleave', (event) => {
		if (hasFiles(event) && --depth <= 0) toggle(veil, false);
	});
	// A file dropped beside the chat must not replace the page.
	addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
	addEventListener('drop', (event) => {
		if (!hasFiles(event)) return;
		event.preventDefault();
		depth = 0;
		toggle(veil, false);
		if (!zone.contains(event.target)) return;
		const things = [...event.dataTransfer.items].map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
		for (const [entry] of things) if (entry?.isDirectory) toast(t('isFolder', { name: entry.name }));
		attach(things.filter(([entry, file]) => file && !entry?.isDirectory).map(([, file]) => file));
	});
}

export function initComposer() {
	$('#composer').addEventListener('submit', (event) => {
		event.preventDefault();
		submit();
		input.focus();
	});
	input.addEventListener('input', (event) => {
		if (!event.isComposing) expandShortcode();
		if (!input.value.startsWith('@')) isTargetOff = false;
		changed();
		complete();
		if (input.value.trim()) sendTypingFor();
	});
	input.addEventListener('keydown', (event) => {
		if (event.isComposing || event.keyCode === 229) return;
		if (popupKey(event)) return;
		if (event.key === 'Enter' && !event.shiftKey && !event.altKey && !(isTouch && !event.ctrlKey)) {
			event.preventDefault();
			submit();
		}
	});
	input.addEventListener('click', complete);
	input.addEventListener('blur', () => setTimeout(() => document.activeElement === input || closePopup(), 150));
	input.addEventListener('paste', (event) => {
		const files = [...event.clipboardData?.files ?? []];
		// Office programs put a picture of a copied text beside the text: the text is meant.
		if (!files.length || event.clipboardData.types.includes('text/plain')) return;
		event.preventDefault();
		attach(files);
	});
	const chooser = $('#files');
	$('#attach').addEventListener('click', () => chooser.click());
	chooser.addEventListener('change', () => {
		attach([...chooser.files]);
		chooser.value = '';
	});
	pickerButton.addEventListener('click', (event) => {
		togglePicker();
		// A click without a pointer is the keyboard's.
		if (!event.detail && !picker.hidden) $('[tabindex="0"]', picker).focus();
	});
	document.addEventListener('pointerdown', (event) => {
		if (!picker.hidden && !picker.contains(event.target) && !pickerButton.contains(event.target)) togglePicker(false);
	});
	picker.addEventListener('keydown', walkPicker);
	initDrop();
	addEventListener('pagehide', keepDraft);
	on('sign-out', () => input.value = draft = '');
	on('focus-composer', () => {
		togglePicker(false);
		input.focus({ preventScroll: true });
	});
	on('people', renderNotice);
	on('who', () => popup.isOpen && complete());
	on('net', renderNotice);
	on('lockdown', () => {
		$('#attach').disabled = micButton.disabled = isReadOnly();
		label();
		renderNotice();
	});
	on('lang', () => {
		label();
		delete notice.dataset.state;
		renderNotice();
		renderTray();
	});
	// Typing anywhere writes here, as long as nothing else wants the key.
	document.addEventListener('keydown', (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1 || event.key === ' ') return;
		if (document.querySelector('dialog[open]') || document.body.dataset.pane === 'list' && narrow.matches) return;
		if (event.target.closest('input, textarea, select, button, a, audio, video, [role=slider]') || $('#app').hidden) return;
		input.focus();
	});
}

function sendTypingFor() {
	if (isReadOnly()) return;
	const target = isTargetOff ? null : targetOf(input.value);
	// What is being written to one person is no news for everyone.
	sendTyping(target?.user ? target.user.id : key);
}

export const draftOf = (where) => (where === key ? input.value : recallEntry('drafts', where) ?? '').trim();
