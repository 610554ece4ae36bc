// The one voice message that plays: its position, speed and state. Views listen to 'player'.
import { emit } from '../base/bus.js';
import { recall, remember } from '../base/prefs.js';

const audio = new Audio();
audio.preload = 'auto';

export const player = {
	id: null,          // key of the message that is loaded
	message: null,
	error: false,
	get isPlaying() { return !audio.paused && !audio.ended; },
	get position() { return audio.currentTime; },
	get duration() { return Number.isFinite(audio.duration) && audio.duration > 0 ? audio.duration : player.message?.duration || 0; },
	get rate() { return audio.playbackRate; },
};

const RATES = [1, 1.5, 2];
let rate = RATES.includes(recall('rate')) ? recall('rate') : 1;
let ticking = false;

function announce() {
	emit('player', player);
}

// timeupdate comes four times a second, too coarse for a bar that should glide.
function tick() {
	announce();
	if (player.isPlaying) requestAnimationFrame(tick);
	else ticking = false;
}

export const playerKey = (m) => m.cid ?? m.id;

export async function togglePlay(m, from) {
	const key = playerKey(m);
	if (player.id === key && !player.error) {
		if (from !== undefined) audio.currentTime = from;
		else if (player.isPlaying) return audio.pause();
	} else {
		player.id = key;
		player.message = m;
		player.error = false;
		audio.src = m.url;
		audio.defaultPlaybackRate = audio.playbackRate = rate;
		if (from) audio.currentTime = from;
	}
	try {
		await audio.play();
	} catch (e) {
		if (e.name !== 'AbortError') {
			player.error = true;
			announce();
		}
	}
}

export function seekTo(m, seconds) {
	if (player.id !== playerKey(m)) return togglePlay(m, seconds);
	audio.currentTime = Math.min(Math.max(0, seconds), Math.max(0, player.duration - 0.05));
	announce();
}

export function nextRate() {
	rate = RATES[(RATES.indexOf(rate) + 1) % RATES.length];
	remember('rate', rate);
	audio.playbackRate = rate;
	announce();
}

export const currentRate = () => rate;

export function stopPlayer() {
	audio.pause();
}

export function initPlayer() {
	for (const type of ['pause', 'ended', 'seeked', 'loadedmetadata', 'ratechange']) audio.addEventListener(type, announce);
	audio.addEventListener('playing', () => {
		if (!ticking) {
			ticking = true;
			tick();
		}
	});
	audio.addEventListener('ended', () => emit('played', player.message));
	audio.addEventListener('error', () => {
		if (!audio.src) return;
		player.error = true;
		announce();
	});
}
