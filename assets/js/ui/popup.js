// A list above the composer to pick from, by keyboard and by touch, while the focus stays in the text.
import { $, h, fill, toggle } from '../base/dom.js';

const box = $('#suggest');
let items = [], chosen = 0, onPick = null, input = null;

export const popup = { get isOpen() { return !box.hidden; } };

function mark() {
	[...box.children].forEach((el, i) => {
		el.setAttribute('aria-selected', i === chosen);
		if (i === chosen) el.scrollIntoView({ block: 'nearest' });
	});
	input.setAttribute('aria-activedescendant', 'suggest-' + chosen);
}

// entries: {view: nodes, value}; pick(value)
export function openPopup(field, label, entries, pick) {
	if (!entries.length) return closePopup();
	input = field;
	items = entries;
	onPick = pick;
	chosen = 0;
	box.setAttribute('aria-label', label);
	fill(box, entries.map((entry, i) => h('div', { class: 'option', role: 'option', id: 'suggest-' + i,
		onpointerdown: (event) => event.preventDefault(), onclick: () => choose(i) }, entry.view)));
	toggle(box, true);
	mark();
}

export function closePopup() {
	if (box.hidden) return;
	toggle(box, false);
	input.removeAttribute('aria-activedescendant');
}

function choose(i) {
	const { value } = items[i];
	closePopup();
	onPick(value);
}

// True if the key was the popup's.
export function popupKey(event) {
	if (box.hidden) return false;
	if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
		chosen = (chosen + (event.key === 'ArrowDown' ? 1 : items.length - 1)) % items.length;
		mark();
	} else if (event.key === 'Enter' || event.key === 'Tab') choose(chosen);
	else if (event.key === 'Escape') closePopup();
	else return false;
	event.preventDefault();
	event.stopPropagation();
	return true;
}
