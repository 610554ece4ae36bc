// Loudness over time: packed into the message as base64 digits (0..63 each), drawn as bars.
import { svg } from '../base/dom.js';

const DIGITS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const MAX_POINTS = 64;
export const BARS = 44;

// Any number of levels (0..1) → at most `points` levels: each the loudest of its share.
export function resample(levels, points) {
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

export function unpackWaveform(text) {
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

// MediaRecorder leaves the duration out of its WebM, and a player without it cannot seek. Puts it in, given the stream is laid out as browsers do.
export function webmWithDuration(bytes, ms) {
	let at = 0;
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const vint = (keepMarker) => {
		const first = bytes[at];
		let length = 1;
		while (length <= 8 && !(first & (0x80 >> (length - 1)))) length++;
		if (length > 8 || at + length > bytes.length) throw new RangeError('vint');
		let value = keepMarker ? first : first & (0xff >> length), unknown = !keepMarker && value === (0xff >> length);
		for (let i = 1; i < length; i++) {
			value = value * 256 + bytes[at + i];
			unknown &&= bytes[at + i] === 0xff;
		}
		at += length;
		return unknown ? Infinity : value;
	};
	try {
		if (vint(true) !== 0x1a45dfa3) return bytes;
		const header = vint(false);
		at += header;
		if (vint(true) !== 0x18538067 || vint(false) !== Infinity) return bytes;
		for (;;) {
			const id = vint(true), sizeAt = at, size = vint(false), body = at;
			if (id === 0x1549a966) {
				let scale = 1e6;
				while (at < body + size) {
					const child = vint(true), length = vint(false);
					if (child === 0x4489) {
						if (length === 8) view.setFloat64(at, ms * 1e6 / scale);
						else if (length === 4) view.setFloat32(at, ms * 1e6 / scale);
						return bytes;
					}
					if (child === 0x2ad7b1) for (let i = scale = 0; i < length; i++) scale = scale * 256 + bytes[at + i];
					at += length;
				}
				const duration = new Uint8Array(11);
				duration.set([0x44, 0x89, 0x88]);
				new DataView(duration.buffer).setFloat64(3, ms * 1e6 / scale);
				const grown = size + 11, sizeBytes = new Uint8Array(8);
				new DataView(sizeBytes.buffer).setUint32(4, grown);
				sizeBytes[0] = 0x01;
				const out = new Uint8Array(bytes.length + 11 + 8 - (body - sizeAt));
				out.set(bytes.subarray(0, sizeAt));
				out.set(sizeBytes, sizeAt);
				out.set(bytes.subarray(body, body + size), sizeAt + 8);
				out.set(duration, sizeAt + 8 + size);
				out.set(bytes.subarray(body + size), sizeAt + 8 + size + 11);
				return out;
			}
			if (!Number.isFinite(size) || id === 0x1f43b675) return bytes;
			at = body + size;
		}
	} catch {
		return bytes;
	}
}
