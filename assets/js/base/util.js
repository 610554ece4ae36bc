// Small helpers without a DOM: calls held back, numbers, words, ids.

// At most one call per `ms`, the last one always kept.
export function throttle(fn, ms) {
	let timer = 0, last = -ms;
	return () => {
		if (timer) return;
		const wait = Math.max(0, last + ms - performance.now());
		timer = setTimeout(() => {
			timer = 0;
			last = performance.now();
			fn();
		}, wait);
	};
}

export function debounce(fn, ms) {
	let timer = 0;
	return (...args) => {
		clearTimeout(timer);
		timer = setTimeout(fn, ms, ...args);
	};
}

export const clamp = (n, lo, hi) => Math.min(hi, Math.max(lo, n));

// A stable hue for a person, spread so that neighbouring ids differ clearly.
export const hueOf = (id) => Math.round((id * 137.508) % 360);

const STACK = /[\p{M}\p{Cf}]{5,}/gu, MARK = /^[\p{Mn}\p{Me}]$/u, MARKS_MAX = 4;

// A text as it is drawn: with at most four combining marks on a letter, for a tower of them covers its neighbours.
export const calm = (text) => String(text).replace(STACK, (run) => {
	let marks = 0;
	return [...run].filter((c) => !MARK.test(c) || ++marks <= MARKS_MAX).join('');
});

// Nothing in it can be seen: the server drops such a text without a word.
const BLANK = /^[\s\p{Cc}\p{Cf}\p{Cs}\p{DI}\p{NChar}\u2800\ufff0-\ufff8\ufffc\u{13441}\u{13442}\u{16fe4}\u{1d159}]*$/u;
export const written = (text) => BLANK.test(text) ? '' : text.trim();

// A letter, digit or underscore: what a word is made of.
export const wordEdge = /[\p{L}\p{N}_]/u;

// 20 characters that nobody can guess and the server remembers as keys.
export function randomId() {
	const bytes = crypto.getRandomValues(new Uint8Array(15));
	return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_');
}
