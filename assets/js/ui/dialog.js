// Dialogs over the page: the modal frame, a notice and a question.
// On a phone "back" closes what lies over the page: while a dialog is open, the history has one step more, marked `layer`.
import { h, icon, narrow } from '../base/dom.js';
import { t } from '../base/i18n.js';

export const topDialog = () => [...document.querySelectorAll('dialog[open]')].at(-1);

let isTakingBack = false;     // the last dialog has gone, and its step goes: the browser says so later

// Once for each such step. A dialog that was opened meanwhile gets a step of its own again.
export function tookLayerBack() {
	const took = isTakingBack;
	isTakingBack = false;
	if (took && topDialog()) addLayer();
	return took;
}

function addLayer() {
	if (narrow.matches && !history.state?.layer) history.pushState({ ...history.state, layer: true }, '');
}

export function showModal(dialog, onclose) {
	dialog.addEventListener('close', () => {
		dialog.remove();
		onclose?.();
		// One dialog may have opened the next: the step goes when the last is closed.
		setTimeout(() => {
			if (isTakingBack || topDialog() || !history.state?.layer) return;
			isTakingBack = true;
			history.back();
		});
	});
	document.body.append(dialog);
	dialog.showModal();
	addLayer();
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
