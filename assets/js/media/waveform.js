// Loudness over time: packed into the message as base64 digits (0..63 each), drawn as bars.
import { svg } from '../base/dom.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const MAX_POINTS = 64;
const BARS = 44;

// Any number of levels (0..1) → at most `points` levels: each the loudest of its share.
function resample(levels, points) {
	if (!levels.length) return [];
	const out = [];
	for (let i = 0; i < points; i++) {
		const from = Math.floor(i * levels.length / points), to = Math.max(from + 1, Math.floor((i + 1) * levels.length / points));
		let top = 0;
		for (let j = from; j < to; j++) top = Math.max(top, levels[j]);
		out.push(top);
	}
	return out;
}

// Quiet recordings are scaled up so that speech shows, silence stays flat.
export function packWaveform(levels) {
	const top = Math.max(0.08, ...levels);
	return resample(levels, Math.min(MAX_POINTS, Math.max(1, levels.length))).map((v) => DIGITS[Math.round(Math.min(1, v / top) * 63)]).join('');
}

function unpackWaveform(text) {
	if (typeof text !== 'string' || !text) return [];
	return [...text.slice(0, 128)].map((c) => Math.max(0, DIGITS.indexOf(c)) / 63);
}

// A recording without a waveform (an old client's) gets a still swell rather than noise pretending to be speech.
const swell = Array.from({ length: BARS }, (_, i) => 0.18 + 0.1 * Math.sin(i / 3));

function barsPath(levels, height) {
	const mid = height / 2;
	let d = '';
	levels.forEach((v, i) => {
		const half = Math.max(1, v * (mid - 1.5));
		d += `M${i * 4 + 2} ${(mid - half).toFixed(1)}V${(mid + half).toFixed(1)}`;
	});
	return d;
}

// Two layers: what is played lies over the whole and is clipped by --played (0..1).
export function waveformView(text) {
	const levels = unpackWaveform(text);
	const height = 32, d = barsPath(levels.length ? resample(levels, BARS) : swell, height);
	return svg('svg', { class: 'wave', viewBox: `0 0 ${BARS * 4} ${height}`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
		svg('path', { d, class: 'wave-rest' }), svg('path', { d, class: 'wave-played' }));
}
