// The outbox's shelf: unconfirmed messages and their files, in IndexedDB. Where that is denied, they live until the tab closes.
const NAME = 'wavechat', STORE = 'outbox';
let opening = null;

function open() {
	opening ??= new Promise((resolve) => {
		try {
			const request = indexedDB.open(NAME, 1);
			request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'cid' });
			request.onsuccess = () => {
				request.result.onversionchange = () => request.result.close();
				resolve(request.result);
			};
			request.onerror = request.onblocked = () => resolve(null);
		} catch {
			resolve(null);
		}
	});
	return opening;
}

// Resolves with the request's result, or undefined: a shelf that fails must not fail the sending.
async function run(mode, ask) {
	const db = await open();
	if (!db) return undefined;
	return new Promise((resolve) => {
		try {
			const tx = db.transaction(STORE, mode);
			const request = ask(tx.objectStore(STORE));
			tx.oncomplete = () => resolve(request.result);
			tx.onerror = tx.onabort = () => resolve(undefined);
		} catch {
			resolve(undefined);
		}
	});
}

export const shelfPut = (entry) => run('readwrite', (store) => store.put(entry));
export const shelfDrop = (cid) => run('readwrite', (store) => store.delete(cid));
export const shelfAll = async () => (await run('readonly', (store) => store.getAll())) ?? [];
