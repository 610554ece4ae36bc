// Tokens that this browser has given up, until the server has ended them: a copy of one is good until then. Asks by a connection of its own, once the
// person has left.
import { emit } from '../base/bus.js';
import { recall, remember } from '../base/prefs.js';
import { socketUrl } from './net.js';

const AGAIN_MS = 20000, ANSWER_MS = 15000;
const MOST = 8;                                             // more than one person gives up without a connection
const PASSING = ['rate_limited', 'busy', 'storage'];        // errors that need not come again

const given = () => [recall('ending')].flat().filter((token) => token && typeof token === 'string');

export function giveUp(token) {
	if (token) remember('ending', [...given(), token].slice(-MOST));
}

// The server has ended it, or never heard of it.
export function isEnded(token) {
	const left = given().filter((other) => other !== token);
	remember('ending', left.length ? left : null);
}

// One after the other, for as long as the page is open. The first failure is told: the person may be at somebody else's computer.
export function endTokens(isFirst = true) {
	const [token] = given();
	if (!token) return;
	const socket = new WebSocket(socketUrl());
	const timer = setTimeout(() => socket.close(), ANSWER_MS);
	let isAgain = true, wait = AGAIN_MS;
	socket.onopen = () => socket.send(JSON.stringify({ type: 'join', v: 2, token }));
	socket.onmessage = ({ data }) => {
		const { type, code, retry_ms } = JSON.parse(data);
		if (type === 'init') socket.send(JSON.stringify({ type: 'sign_out' }));
		if (type !== 'error') return;
		if (code === 'bad_token') isEnded(token);
		else isAgain = PASSING.includes(code); // else no copy of it gets in either, for now
		wait = Math.max(1000, retry_ms ?? AGAIN_MS);
		socket.close();
	};
	socket.onclose = ({ code, reason }) => {
		clearTimeout(timer);
		if (code === 1000 && reason === 'signed out') isEnded(token);
		else if (code === 4001 || code === 4002) isAgain = false;
		if (!given().includes(token)) return endTokens();
		if (isFirst) emit('notice', 'signOutLate');
		if (isAgain) setTimeout(endTokens, wait, false);
	};
}
