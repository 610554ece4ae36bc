// The page's one event bus: models announce, views listen. Keeps the modules free of import cycles.
const listeners = new Map();

export function on(type, fn) {
	if (!listeners.has(type)) listeners.set(type, new Set());
	listeners.get(type).add(fn);
	return () => listeners.get(type).delete(fn);
}

export function emit(type, ...args) {
	for (const fn of listeners.get(type) ?? []) fn(...args);
}
