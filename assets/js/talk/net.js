// The one WebSocket: connecting, noticing that it died, coming back. Knows frames only as JSON; what they mean is session.js.
import { emit } from '../base/bus.js';

// stopped: not wanted · connecting · joining: open, no init yet · ready · waiting: until retryAt · offline: until the network returns
export const net = { state: 'stopped', retryAt: 0, everReady: false };

const BACKOFF_MIN_MS = 500, BACKOFF_MAX_MS = 30000;
const OPEN_TIMEOUT_MS = 10000;   // from dialling to init
const SILENCE_MS = 50000;        // then ask whether anybody is there
const PONG_MS = 6000;
const ASLEEP_MS = 180000;

let ws = null, attempt = 0, retryTimer = 0, deadline = 0, lastHeard = 0, pingedAt = 0;

function setState(state) {
	if (net.state === state && state !== 'waiting') return;
	net.state = state;
	emit('net', state);
}

export function socketUrl() {
	return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`;
}

function drop(socket) {
	socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
	socket.close();
}

function dial() {
	clearTimeout(retryTimer);
	clearTimeout(deadline);
	if (ws) drop(ws);
	setState('connecting');
	const socket = ws = new WebSocket(socketUrl());
	pingedAt = 0;
	deadline = setTimeout(() => lost(socket), OPEN_TIMEOUT_MS);
	socket.onopen = () => {
		lastHeard = Date.now();
		socket.wasOpen = true;
		setState('joining');
		emit('socketOpen');
	};
	socket.onmessage = (event) => {
		lastHeard = Date.now();
		pingedAt = 0;
		let frame;
		try {
			frame = JSON.parse(event.data);
		} catch {
			return;
		}
		if (frame && typeof frame === 'object') emit('frame', frame);
	};
	socket.onclose = (event) => lost(socket, event);
}

function lost(socket, event) {
	if (socket !== ws) return;
	ws = null;
	drop(socket);
	clearTimeout(deadline);
	emit('lost');
	if (event?.code === 4001 || event?.code === 4002) {
		expelled(event.code === 4002, event.reason);
		return;
	}
	if (event?.code === 1000 && event.reason === 'signed out') { // here, or in another tab
		setState('stopped');
		return emit('signedOut', true);
	}
	retryLater();
	if (event && !socket.wasOpen) askWhy();
}

function expelled(isBan, reason) {
	clearTimeout(retryTimer);
	setState('stopped');
	emit('expelled', isBan, reason);
}

// A banned address is refused before there is a socket, and browsers do not tell a page why its handshake failed. So it asks.
async function askWhy() {
	const answer = await fetch('/health', { cache: 'no-store' }).catch(() => null);
	if (answer?.status === 403 && net.state === 'waiting') expelled(true, '');
}

// Full jitter: when a server comes back, its thousands of clients must not come back as one.
function retryLater() {
	if (!navigator.onLine) {
		setState('offline');
		// Some systems report "offline" wrongly: go on trying, only rarely.
		retryTimer = setTimeout(dial, BACKOFF_MAX_MS);
		return;
	}
	const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** attempt++);
	const wait = 150 + Math.random() * ceiling;
	net.retryAt = performance.now() + wait;
	retryTimer = setTimeout(dial, wait);
	setState('waiting');
}

export function connect() {
	attempt = 0;
	dial();
}

export function disconnect() {
	clearTimeout(retryTimer);
	clearTimeout(deadline);
	const socket = ws;
	ws = null;
	if (socket) drop(socket);
	setState('stopped');
}

// The session has its init: from here on the connection counts as good.
export function setReady() {
	clearTimeout(deadline);
	attempt = 0;
	net.everReady = true;
	setState('ready');
}

export function send(frame) {
	if (ws?.readyState !== WebSocket.OPEN) return false;
	ws.send(JSON.stringify(frame));
	return true;
}

export function retryNow() {
	if (net.state !== 'waiting' && net.state !== 'offline') return;
	attempt = 0;
	dial();
}

// A laptop that slept has a socket that looks open and is not: ask, and do not wait long for the answer.
function probe() {
	if (net.state !== 'ready' || pingedAt) return;
	const socket = ws, asked = pingedAt = Date.now();
	send({ type: 'ping' });
	setTimeout(() => {
		if (socket === ws && pingedAt === asked) {
			attempt = 0;
			lost(socket);
		}
	}, PONG_MS);
}

// By the wall's clock: the other one stands still while a laptop sleeps. That clock may have been set either way meanwhile.
const silence = () => Math.abs(Date.now() - lastHeard);

function wake() {
	retryNow();
	if (net.state !== 'ready') return;
	// So long a silence, with the timer below never asking, was sleep: that socket is dead, and waiting for it to say so is wasted.
	if (silence() > ASLEEP_MS) {
		lost(ws);
		retryNow();
	} else if (silence() > 5000) probe();
}

export function watchNetwork() {
	addEventListener('online', wake);
	addEventListener('focus', wake);
	addEventListener('pageshow', wake);
	document.addEventListener('resume', wake);
	document.addEventListener('visibilitychange', () => document.hidden || wake());
	addEventListener('offline', () => {
		if (net.state === 'waiting') {
			clearTimeout(retryTimer);
			retryLater();
		} else probe();
	});
	setInterval(() => silence() > SILENCE_MS && probe(), 10000);
}
