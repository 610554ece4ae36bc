// The service worker: the page opens without the network, and takes the newest page whenever there is one.
// Its bytes change with the page's (the generator writes __BUILD__), so that browsers install it anew on an update.
const CACHE = 'wave-__BUILD__';
const SHELL = ['/', '/icon.svg', '/icon-192.png', '/manifest.webmanifest'];
const PATIENCE_MS = 3000;

self.addEventListener('install', (event) => {
	event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(SHELL)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
	event.waitUntil(caches.keys()
		.then((names) => Promise.all(names.filter((name) => name.startsWith('wave-') && name !== CACHE).map((name) => caches.delete(name))))
		.then(() => self.clients.claim()));
});

// The network first, since it may have a newer page; the kept one when it is silent or gone.
async function page(request) {
	const cache = await caches.open(CACHE);
	const kept = await cache.match('/');
	const fresh = fetch(request).then((response) => {
		if (response.ok) cache.put('/', response.clone());
		// A redirect, to a proxy's sign-in for one, is the browser's to follow.
		return response.ok || response.type === 'opaqueredirect' || !kept ? response : kept;
	});
	if (!kept) return fresh;
	const tired = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, kept));
	return Promise.race([fresh.catch(() => kept), tired]);
}

self.addEventListener('fetch', (event) => {
	const url = new URL(event.request.url);
	if (event.request.method !== 'GET' || url.origin !== location.origin) return;
	if (event.request.mode === 'navigate' && url.pathname === '/') event.respondWith(page(event.request));
	else if (SHELL.includes(url.pathname)) event.respondWith(fetch(event.request).catch(() => caches.match(event.request)));
});

self.addEventListener('notificationclick', (event) => {
	event.notification.close();
	event.waitUntil(self.clients.matchAll({ type: 'window' }).then(async (all) => {
		const client = all.find((one) => one.focused) ?? all[0];
		if (!client) return self.clients.openWindow('/');
		await client.focus();
		client.postMessage({ open: event.notification.data?.key });
	}));
});
