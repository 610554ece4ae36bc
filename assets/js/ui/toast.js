// Passing notes at the lower edge, and copying with a note that it was done.
import { $, h } from '../base/dom.js';
import { t } from '../base/i18n.js';
import { topDialog } from './dialog.js';

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
		const field = h('textarea', { class: 'vh' }), was = document.activeElement;
		(topDialog() ?? document.body).append(field);
		field.value = text;
		field.select();
		document.execCommand('copy');
		field.remove();
		was?.focus();
	}
	toast(t('copied'));
}
