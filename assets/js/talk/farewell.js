// Tokens that this browser has given up, until the server has ended them: a copy of one is good until then. Asks by a connection of its own, once the
// person has left.
import { emit } from '../base/bus.js';
import { recall, remember } from '../base/prefs.js';
import { socketUrl } from './net.js';

const AGAIN_MS = 20000, ANSWER_MS = 15000;
const MOST = 8;                                             // more than one person gives up without a connection
const PASSING = ['rate_limited', 'busy', 'storage'];        // errors that need not come again

const refused = new Set();                                  // tokens that wait for the next load, or for a password
let password = '', isAsking = false, hasTold = false, timer = 0;

const given = () => [recall('ending')].flat().filter((token) => token && typeof token === 'string');
const others = (token) => given().filter((other) => other !== token);

export function giveUp(token) {
	if (!token) return;
	remember('ending', [...others(token), token].slice(-MOST));
	remember('endingTold', null);
}

// The server has ended it, or never heard of it.
export function isEnded(token) {
	const left = others(token);
	remember('ending', left.length ? left : null);
}

// At each load, until it has ended: the person may be at somebody else's computer.
function tellLate() {
	if (!hasTold) emit('notice', 'signOutLate');
	hasTold = true;
}

// Once, not at each load: a ban may last.
function tellRefused() {
	if (!recall('endingTold')) emit('notice', 'signOutRefused');
	remember('endingTold', true);
}

// One after the other, for as long as the page is open. One that is refused holds up no other. A password lets a token in that was given up under
// the last one: until then, a copy of it is good for anybody who knows the password.
export function endTokens(secret = '') {
	clearTimeout(timer);
	if (secret) {
		password = secret;
		refused.clear();
	}
	if (isAsking) return;
	const token = given().find((other) => !refused.has(other)), used = password;
	if (!token) return void (password = '');
	const socket = new WebSocket(socketUrl());
	const patience = setTimeout(() => socket.close(), ANSWER_MS);
	let isRefused = false, wait = AGAIN_MS;
	isAsking = true;
	socket.onopen = () => socket.send(JSON.stringify({ type: 'join', v: 2, token, password: used || undefined }));
	socket.onmessage = ({ data }) => {
		const { type, code, retry_ms } = JSON.parse(data);
		if (type === 'init') socket.send(JSON.stringify({ type: 'sign_out' }));
		if (type !== 'error') return;
		if (code === 'bad_token') isEnded(token);
		else isRefused = !PASSING.includes(code);
		wait = Math.max(1000, retry_ms ?? AGAIN_MS);
		socket.close();
	};
	socket.onclose = ({ code, reason }) => {
		clearTimeout(patience);
		isAsking = false;
		if (code === 1000 && reason === 'signed out') isEnded(token);
		const isNext = !given().includes(token) || used !== password; // with the password that has come meanwhile
		if (isNext) return endTokens();
		if (isRefused || code === 4001 || code === 4002) {
			refused.add(token);
			tellRefused();
			return endTokens();
		}
		remember('ending', [...others(token), token]); // the next time it is another one's turn
		tellLate();
		timer = setTimeout(endTokens, wait);
	};
}
