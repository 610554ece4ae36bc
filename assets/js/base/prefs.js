// The browser's memory of its person: token, settings, drafts, read marks. In localStorage, or in memory where that is denied.
const memory = new Map();

function read(key) {
	try {
		return localStorage.getItem(key);
	} catch {
		return memory.get(key) ?? null;
	}
}

export function recall(key, fallback = null) {
	const raw = memory.get('wave.' + key) ?? read('wave.' + key);
	if (raw == null) return fallback;
	try {
		return JSON.parse(raw);
	} catch {
		return fallback;
	}
}

export function remember(key, value) {
	const name = 'wave.' + key;
	try {
		if (value == null) localStorage.removeItem(name);
		else localStorage.setItem(name, JSON.stringify(value));
		memory.delete(name);
	} catch {
		if (value == null) memory.delete(name);
		else memory.set(name, JSON.stringify(value));
	}
}

// Everything that belongs to an identity rather than to the browser.
export function forgetIdentity() {
	for (const key of ['token', 'me', 'drafts', 'read', 'mute']) remember(key, null);
}

// One entry of a map kept under one key ("drafts", "read", "mute"). Re-read each time: another tab writes it too.
export function recallEntry(key, entry) {
	return recall(key, {})[entry];
}

export function rememberEntry(key, entry, value) {
	const map = recall(key, {});
	if (value == null || value === '') delete map[entry];
	else map[entry] = value;
	remember(key, map);
}
