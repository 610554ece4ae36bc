// The text field and what it becomes: drafts, the person a message is for, sending.
// Completion, emoji and files to send have files of their own beside this one; voice is ui/voice.js.
import { $, h, fill, icon, narrow, toggle } from '../base/dom.js';
import { calm, debounce, written } from '../base/util.js';
import { on, emit } from '../base/bus.js';
import { t, tn } from '../base/i18n.js';
import { recallEntry, rememberEntry } from '../base/prefs.js';
import { findByName, GENERAL, isDm, isReadOnly, limits, me, nameOf } from '../talk/model.js';
import { net } from '../talk/net.js';
import { post } from '../talk/outbox.js';
import { askWho, sendTyping } from '../talk/session.js';
import { complete, expandShortcode } from './complete.js';
import { initEmojiPanel, toggleEmojiPanel } from './emoji_panel.js';
import { closePopup, popup, popupKey } from './popup.js';
import { toast } from './toast.js';
import { attachedCount, initTray, openTray, postTray } from './tray.js';

const input = $('#input'), sendButton = $('#send'), micButton = $('#mic'), notice = $('#composer-notice');

let key = GENERAL, draft = '';   // the draft as it is kept
let isTargetOff = false;         // the writer chose to send "@name …" to everyone

const isTouch = matchMedia('(hover: none) and (pointer: coarse)').matches;
const countOf = (text) => [...text].length;

// "@name text" at the start of a general message: to that person alone. The longest known name wins, since names may hold spaces.
function targetOf(text) {
	if (isDm(key) || !text.startsWith('@')) return null;
	const words = text.slice(1).split(/(\s+)/);
	for (let n = Math.min(words.length, 15); n > 0; n--) {
		const name = words.slice(0, n).join('');
		if (!name.trim() || /\s$/.test(name)) continue;
		const u = findByName(name) ?? (n === 1 ? findByName(name.replace(/[,:]$/, '')) : null);
		if (u && u.id !== me.id) return { user: u, rest: written(words.slice(n).join('')), name };
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
	const canSend = (written(text) && over <= 0) || attachedCount();
	toggle(sendButton, !!written(text) || attachedCount() > 0);
	toggle(micButton, !written(text) && !attachedCount());
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

// On a touch screen the text must not take the focus: its keyboard would come up over the panel.
function insert(char) {
	if (!isTouch) return replace(input.selectionStart, input.selectionEnd, char);
	input.setRangeText(char, input.selectionStart, input.selectionEnd, 'end');
	changed();
}

// Completion for the word at the caret.
const offer = () => complete(input, !isDm(key), (from, to, text, user) => {
	if (user) isTargetOff = false;
	replace(from, to, text);
});

function submit() {
	if (isReadOnly()) return;   // what is written stays as it is
	const text = written(input.value);
	if (countOf(text) > limits.max_text || (!text && !attachedCount())) return;
	const target = isTargetOff ? null : targetOf(text);
	const to = target?.user ? target.user.id : key;
	const body = target?.user ? target.rest : text;
	if (target?.user && !body && !attachedCount()) return;
	postTray(to);
	if (body) post(to, { type: 'text', text: body });
	if (to !== key) toast(t('sentPrivately', { name: target.user.name }), { label: t('open'), run: () => emit('openDm', to) });
	input.value = '';
	isTargetOff = false;
	closePopup();
	keepDraft();
	changed();
}

export function openComposer(where) {
	closePopup();
	toggleEmojiPanel(false);
	keepDraft();
	key = where;
	openTray(key);
	isTargetOff = false;
	input.value = draft = recallEntry('drafts', key) ?? '';
	label();
	grow();
	renderNotice();
	if (!isTouch) input.focus({ preventScroll: true });
}

function label() {
	const text = isReadOnly() ? t('writeLocked') : isDm(key) ? t('writeTo', { name: nameOf(key) }) : t('write');
	input.placeholder = calm(text);
	input.setAttribute('aria-label', text);
}

function sendTypingFor() {
	if (isReadOnly()) return;
	const target = isTargetOff ? null : targetOf(input.value);
	// What is being written to one person is no news for everyone.
	sendTyping(target?.user ? target.user.id : key);
}

export function initComposer() {
	$('#composer').addEventListener('submit', (event) => {
		event.preventDefault();
		submit();
		input.focus();
	});
	input.addEventListener('input', (event) => {
		if (!event.isComposing) expandShortcode(input, replace);
		if (!input.value.startsWith('@')) isTargetOff = false;
		changed();
		offer();
		if (written(input.value)) sendTypingFor();
	});
	input.addEventListener('keydown', (event) => {
		if (event.isComposing || event.keyCode === 229) return;
		if (popupKey(event)) return;
		if (event.key === 'Enter' && !event.shiftKey && !event.altKey && !(isTouch && !event.ctrlKey)) {
			event.preventDefault();
			submit();
		}
	});
	input.addEventListener('click', offer);
	input.addEventListener('blur', () => setTimeout(() => document.activeElement === input || closePopup(), 150));
	initTray(() => {
		renderNotice();
		input.focus();
	});
	initEmojiPanel(insert, () => input.focus());
	addEventListener('pagehide', keepDraft);
	on('signOut', () => input.value = draft = '');
	on('focusComposer', () => {
		toggleEmojiPanel(false);
		input.focus({ preventScroll: true });
	});
	on('people', renderNotice);
	on('who', () => popup.isOpen && offer());
	on('net', renderNotice);
	on('lockdown', () => {
		micButton.disabled = isReadOnly();
		label();
		renderNotice();
	});
	on('lang', () => {
		label();
		delete notice.dataset.state;
		renderNotice();
	});
	// Typing anywhere writes here, as long as nothing else wants the key.
	document.addEventListener('keydown', (event) => {
		if (event.ctrlKey || event.metaKey || event.altKey || event.key.length !== 1 || event.key === ' ') return;
		if (document.querySelector('dialog[open]') || document.body.dataset.pane === 'list' && narrow.matches) return;
		if (event.target.closest('input, textarea, select, button, a, audio, video, [role=slider]') || $('#app').hidden) return;
		input.focus();
	});
}

export const draftOf = (where) => (where === key ? input.value : recallEntry('drafts', where) ?? '').trim();
