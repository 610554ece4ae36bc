// The panel of emoji above the composer: one stop for Tab, arrows within.
import { $, fill, h, toggle } from '../base/dom.js';
import { emoji } from '../media/emoji.js';

const panel = $('#emoji-panel'), button = $('#emoji');

let onPick = null, onLeave = null;

export function toggleEmojiPanel(isOpen = panel.hidden) {
	if (isOpen && !panel.childElementCount) {
		fill(panel, emoji.map((e) => h('button', { type: 'button', 'aria-label': e.code.replace(/_/g, ' '), title: `:${e.code}:`,
			tabindex: '-1', onclick: () => onPick(e.char) }, e.char)));
		panel.firstChild.tabIndex = 0;
	}
	toggle(panel, isOpen);
	button.setAttribute('aria-expanded', isOpen);
}

function walk(event) {
	const all = [...panel.children], at = all.indexOf(event.target);
	const row = all.findIndex((el) => el.offsetTop > all[0].offsetTop);
	const to = { ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + row, ArrowUp: at - row, Home: 0, End: all.length - 1 }[event.key];
	if (event.key === 'Escape') {
		toggleEmojiPanel(false);
		onLeave();
	} else if (to === undefined) return;
	else if (all[to]) {
		all[at].tabIndex = -1;
		all[to].tabIndex = 0;
		all[to].focus();
	}
	event.preventDefault();
	event.stopPropagation();
}

// pick(char) for a chosen emoji; leave() when Escape closes the panel: the focus goes elsewhere.
export function initEmojiPanel(pick, leave) {
	onPick = pick;
	onLeave = leave;
	button.addEventListener('click', (event) => {
		toggleEmojiPanel();
		// A click without a pointer is the keyboard's.
		if (!event.detail && !panel.hidden) $('[tabindex="0"]', panel).focus();
	});
	document.addEventListener('pointerdown', (event) => {
		if (!panel.hidden && !panel.contains(event.target) && !button.contains(event.target)) toggleEmojiPanel(false);
	});
	panel.addEventListener('keydown', walk);
}
