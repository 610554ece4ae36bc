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

// A letter, digit or underscore: what a word is made of.
export const wordEdge = /[\p{L}\p{N}_]/u;

// 20 characters that nobody can guess and the server remembers as keys.
export function randomId() {
	const bytes = crypto.getRandomValues(new Uint8Array(15));
	return btoa(String.fromCharCode(...bytes)).replace(/\+/g, '-').replace(/\//g, '_');
}
