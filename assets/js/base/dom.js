// Building the DOM. Everything becomes text nodes and attributes: there is no path from a string to markup here.
import { calm, hueOf } from './util.js';

const SVG = 'http://www.w3.org/2000/svg';

const DRAWN = new Set(['title', 'placeholder', 'alt']);   // attributes that are seen

// The page's one breakpoint: below it a single pane is shown, the list or a conversation. The styles ask the same.
export const narrow = matchMedia('(max-width: 759px)');

function append(el, kids) {
	for (const kid of kids.flat(Infinity)) {
		if (kid != null && kid !== false) el.append(kid instanceof Node ? kid : calm(kid));
	}
	return el;
}

// h('button', {class: 'x', onclick: fn, 'aria-label': '…'}, 'text', child, [more])
export function h(tag, props, ...kids) {
	const el = document.createElement(tag);
	for (const [key, value] of Object.entries(props ?? {})) {
		if (value == null || value === false) continue;
		if (key.startsWith('on')) el.addEventListener(key.slice(2), value);
		else if (key === 'data') Object.assign(el.dataset, value);
		else if (key === 'vars') for (const [name, v] of Object.entries(value)) el.style.setProperty(name, v);
		else el.setAttribute(key, value === true ? '' : DRAWN.has(key) ? calm(value) : value);
	}
	return append(el, kids);
}

export function svg(tag, props, ...kids) {
	const el = document.createElementNS(SVG, tag);
	for (const [key, value] of Object.entries(props ?? {})) el.setAttribute(key, value);
	return append(el, kids);
}

// An icon of the sprite in index.html. Always decoration: its control carries the label.
export function icon(name, cls = '') {
	return svg('svg', { class: `icon ${cls}`, viewBox: '0 0 24 24', 'aria-hidden': 'true' }, svg('use', { href: `#i-${name}` }));
}

export const $ = (selector, root = document) => root.querySelector(selector);

export function fill(el, ...kids) {
	el.replaceChildren();
	return append(el, kids);
}

export function toggle(el, isShown) {
	el.hidden = !isShown;
}

export function avatar(id, name, cls = '') {
	const first = [...name.replace(/^[^\p{L}\p{N}\p{Extended_Pictographic}]+/u, '')][0] ?? [...name][0] ?? '?';
	return h('span', { class: `avatar ${cls}`, 'aria-hidden': 'true', vars: { '--hue': hueOf(id) } }, first.toUpperCase());
}
