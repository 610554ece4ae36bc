// Passing notes at the lower edge, and dialogs that want an answer.
// On a phone "back" closes what lies over the page: while a dialog is open, the history has one step more, marked `layer`.
import { $, h, icon } from '../base/dom.js';
import { t } from '../base/i18n.js';

export const narrow = matchMedia('(max-width: 759px)');

export function toast(text, action) {
	const shelf = $('#toasts');
	// A popover lies over dialogs as well, if it was shown after them.
	shelf.hidePopover?.();
	shelf.showPopover?.();
	const note = h('div', { class: 'toast' }, h('span', { dir: 'auto' }, text),
		action && h('button', { type: 'button', onclick: () => { action.run(); note.remove(); } }, action.label));
	while (shelf.children.length > 2) shelf.firstChild.remove();
	shelf.append(note);
	setTimeout(() => note.remove(), action ? 9000 : 5000);
}

export async function copyText(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		// An insecure page has no clipboard, but may still copy what is selected. Within the dialog, since nothing outside takes the focus.
		const field = h('textarea', { class: 'vh' }, text), was = document.activeElement;
		(topDialog() ?? document.body).append(field);
		field.select();
		document.execCommand('copy');
		field.remove();
		was?.focus();
	}
	toast(t('copied'));
}

export const topDialog = () => [...document.querySelectorAll('dialog[open]')].at(-1);

export function showModal(dialog, onclose) {
	dialog.addEventListener('close', () => {
		dialog.remove();
		onclose?.();
		// One dialog may have opened the next: the step goes when the last is closed.
		setTimeout(() => !topDialog() && history.state?.layer && history.back());
	});
	document.body.append(dialog);
	dialog.showModal();
	if (narrow.matches && !history.state?.layer) history.pushState({ ...history.state, layer: true }, '');
}

// A modal with a heading; `fillBody(dialog)` returns its content. Escape, the backdrop and the cross close it.
export function openDialog(title, fillBody, { cls = '', onclose } = {}) {
	const dialog = h('dialog', { class: `dialog ${cls}`, 'aria-label': title });
	dialog.append(
		h('header', { class: 'dialog-head' }, h('h2', {}, title),
			h('button', { class: 'icon-button', type: 'button', 'aria-label': t('close'), onclick: () => dialog.close() }, icon('close'))),
		h('div', { class: 'dialog-body' }, fillBody(dialog)));
	// Only a press that began on the backdrop: the click of the tap that opened the dialog also ends there.
	let isPressed = false;
	dialog.addEventListener('pointerdown', (event) => isPressed = event.target === dialog);
	dialog.addEventListener('click', (event) => isPressed && event.target === dialog && dialog.close());
	showModal(dialog, onclose);
	return dialog;
}

export function tell(title, text) {
	openDialog(title, (dialog) => [h('p', {}, text),
		h('div', { class: 'dialog-foot' }, h('button', { class: 'button primary', type: 'button', autofocus: true, onclick: () => dialog.close() }, t('close')))]);
}

// Resolves true for yes, false for no and for closing.
export function ask(title, text, yes, no = t('cancel'), isGrave = false) {
	return new Promise((resolve) => {
		let answer = false;
		openDialog(title, (dialog) => [h('p', {}, text), h('div', { class: 'dialog-foot' },
			h('button', { class: 'button', type: 'button', onclick: () => dialog.close() }, no),
			h('button', { class: `button ${isGrave ? 'danger' : 'primary'}`, type: 'button', onclick: () => { answer = true; dialog.close(); } }, yes))],
		{ onclose: () => resolve(answer) });
	});
}
