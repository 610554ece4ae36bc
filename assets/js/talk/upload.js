// One file on its way to POST /upload: progress, cancelling, and going on where a broken transfer stopped.
import { token } from './session.js';

function uploadUrl(entry, offset) {
	return `/upload?key=${encodeURIComponent(entry.key)}&size=${entry.blob.size}&offset=${offset}`;
}

// XMLHttpRequest, since fetch tells nothing of the progress of a body.
function request(method, url, body, entry, onProgress) {
	return new Promise((resolve, reject) => {
		const xhr = new XMLHttpRequest();
		entry.abort = () => xhr.abort();
		xhr.open(method, url);
		xhr.setRequestHeader('Authorization', `Bearer ${token()}`);
		if (onProgress) xhr.upload.onprogress = (event) => onProgress(event.loaded);
		xhr.onload = () => {
			let answer = {};
			try {
				answer = JSON.parse(xhr.responseText);
			} catch { /* a proxy's page: the status says enough */ }
			resolve({ status: xhr.status, answer });
		};
		xhr.onerror = () => reject(new Error('network'));
		xhr.onabort = () => reject(new Error('cancelled'));
		xhr.send(body);
	});
}

// Resolves {blob: handle} | {error: code} | {retry: ms}; rejects 'network' or 'cancelled'.
export async function uploadOnce(entry, onProgress) {
	let offset = 0;
	if (entry.isBegun) {
		const { status, answer } = await request('GET', `/upload?key=${encodeURIComponent(entry.key)}`, null, entry);
		if (status === 200 && answer.blob) return { blob: answer.blob };
		if (status === 200 && answer.size === entry.blob.size) offset = answer.offset;
	}
	entry.isBegun = true;
	for (let tries = 0; tries < 4; tries++) {
		onProgress(offset);
		const body = offset ? entry.blob.slice(offset) : entry.blob;
		const { status, answer } = await request('POST', uploadUrl(entry, offset), body, entry, (sent) => onProgress(offset + sent));
		if (status === 200 && answer.blob) return { blob: answer.blob };
		if (status === 409 && Number.isSafeInteger(answer.offset) && answer.offset <= entry.blob.size) {
			offset = answer.offset;
			continue;
		}
		if (status === 413) return { error: 'too_large' };
		if (status === 507) return { error: 'storage' };
		// Muted by a moderator for long is an answer; without the room's admission the page asks for it by itself.
		if (status === 403 && answer.error === 'muted' && !(answer.retry_ms <= 60000)) return { error: 'muted' };
		if (status === 403 && answer.error) return { retry: Math.max(5000, answer.retry_ms ?? 0) };
		if (status === 429 && answer.retry_ms) return { retry: Math.min(60000, Math.max(1000, answer.retry_ms)) };
		if (status === 429 || status === 503 || status === 502 || status === 504) return { retry: 3000 };
		if (status === 423) return { retry: Math.min(60000, Math.max(1000, answer.retry_ms ?? 5000)) };
		if (status === 401) return { retry: 5000 };
		return { error: 'bad_request' };
	}
	return { retry: 5000 };
}

const toGiveUp = new Map(); // key → token, of those whose end the server has not confirmed; a broken network tries again with the next one

// Tells the server that an upload is not wanted any more, so that it holds neither place nor bytes. Its beginning may still be on the way: not found
// is asked once more.
export async function giveUp(key) {
	if (key) toGiveUp.set(key, token());
	for (const [one, owner] of [...toGiveUp]) {
		toGiveUp.delete(one);
		const drop = () => fetch(`/upload?key=${encodeURIComponent(one)}`, { method: 'DELETE', headers: { Authorization: `Bearer ${owner}` }, keepalive: true });
		try {
			let { status } = await drop();
			if (status === 404) {
				await new Promise((later) => setTimeout(later, 3000));
				({ status } = await drop());
			}
			if (status === 429 || status >= 500) toGiveUp.set(one, owner);
		} catch {
			toGiveUp.set(one, owner);
		}
	}
}
