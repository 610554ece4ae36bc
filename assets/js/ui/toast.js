// Passing notes at the lower edge, and dialogs that want an answer.
import { $, h, icon } from '../dom.js';
import { on } from '../bus.js';
import { t } from '../i18n.js';

export function toast(text, action) {
	const shelf = $('#toasts');
	const note = h('div', { class: 'toast' }, h('span', { dir: 'auto' }, text),
		action && h('button', { type: 'button', onclick: () => { action.run(); note.remove(); } }, action.label));
	while (shelf.children.length > 2) shelf.firstChild.remove();
	shelf.append(note);
	setTimeout(() => note.remove(), action ? 9000 : 5000);
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
	dialog.addEventListener('close', () => {
		dialog.remove();
		onclose?.();
	});
	document.body.append(dialog);
	dialog.showModal();
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

export function initToasts() {
	on('toast', toast);
}
