// A QR code for the sign-in link: bytes, error correction M, versions 1–10. After ISO/IEC 18004; only what a link needs.
import { svg } from '../base/dom.js';

// Per version, level M: data codewords per block ×count (two groups), error correction codewords per block.
const LAYOUT = [null, [10, 1, 16, 0, 0], [16, 1, 28, 0, 0], [26, 1, 44, 0, 0], [18, 2, 32, 0, 0], [24, 2, 43, 0, 0], [16, 4, 27, 0, 0], [18, 4, 31, 0, 0],
	[22, 2, 38, 2, 39], [22, 3, 36, 2, 37], [26, 4, 43, 1, 44]];
const ALIGN = [null, [], [6, 18], [6, 22], [6, 26], [6, 30], [6, 34], [6, 22, 38], [6, 24, 42], [6, 26, 46], [6, 28, 50]];

const EXP = new Uint8Array(512), LOG = new Uint8Array(256);
for (let i = 0, x = 1; i < 255; i++) {
	EXP[i] = EXP[i + 255] = x;
	LOG[x] = i;
	x = x << 1 ^ (x & 0x80 ? 0x11d : 0);
}
const mul = (a, b) => (a && b ? EXP[LOG[a] + LOG[b]] : 0);

function correction(data, count) {
	let gen = [1];
	for (let i = 0; i < count; i++) {
		const next = new Array(gen.length + 1).fill(0);
		gen.forEach((g, j) => {
			next[j] ^= g;
			next[j + 1] ^= mul(g, EXP[i]);
		});
		gen = next;
	}
	const rest = [...data, ...new Array(count).fill(0)];
	for (let i = 0; i < data.length; i++) {
		const lead = rest[i];
		if (lead) gen.forEach((g, j) => rest[i + j] ^= mul(g, lead));
	}
	return rest.slice(data.length);
}

function codewords(bytes) {
	for (let version = 1; version < LAYOUT.length; version++) {
		const [ec, n1, k1, n2, k2] = LAYOUT[version], room = n1 * k1 + n2 * k2;
		const lengthBits = version < 10 ? 8 : 16;
		if (bytes.length * 8 + 4 + lengthBits > room * 8) continue;
		let bits = '0100' + bytes.length.toString(2).padStart(lengthBits, '0');
		for (const b of bytes) bits += b.toString(2).padStart(8, '0');
		bits += '0000'.slice(0, room * 8 - bits.length);
		bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '0');
		const data = bits.match(/.{8}/g).map((b) => parseInt(b, 2));
		for (let pad = 0xec; data.length < room; pad ^= 0xec ^ 0x11) data.push(pad);
		const blocks = [];
		for (let i = 0, at = 0; i < n1 + n2; i++) {
			const k = i < n1 ? k1 : k2;
			blocks.push(data.slice(at, at += k));
		}
		const checks = blocks.map((block) => correction(block, ec));
		const out = [];
		for (let i = 0; i < Math.max(k1, k2); i++) for (const block of blocks) if (i < block.length) out.push(block[i]);
		for (let i = 0; i < ec; i++) for (const check of checks) out.push(check[i]);
		return { version, out };
	}
	return null;
}

const MASKS = [(r, c) => (r + c) % 2 === 0, (r) => r % 2 === 0, (r, c) => c % 3 === 0, (r, c) => (r + c) % 3 === 0,
	(r, c) => ((r >> 1) + Math.floor(c / 3)) % 2 === 0, (r, c) => r * c % 2 + r * c % 3 === 0,
	(r, c) => (r * c % 2 + r * c % 3) % 2 === 0, (r, c) => ((r + c) % 2 + r * c % 3) % 2 === 0];

function remainder(value, poly, bits) {
	let rest = value << bits;
	for (let i = 31 - Math.clz32(rest); rest && i >= bits; i = 31 - Math.clz32(rest)) rest ^= poly << (i - bits);
	return value << bits | rest;
}

function draw(version, words, mask) {
	const size = version * 4 + 17;
	const grid = Array.from({ length: size }, () => new Array(size).fill(null));
	const set = (r, c, v) => {
		if (r >= 0 && c >= 0 && r < size && c < size) grid[r][c] = v ? 1 : 0;
	};
	for (const [r0, c0] of [[0, 0], [0, size - 7], [size - 7, 0]]) {
		for (let r = -1; r < 8; r++) for (let c = -1; c < 8; c++) {
			const ring = Math.max(Math.abs(r - 3), Math.abs(c - 3));
			set(r0 + r, c0 + c, ring !== 2 && ring !== 4);
		}
	}
	const centres = ALIGN[version], lastCentre = centres.at(-1);
	for (const r0 of centres) for (const c0 of centres) {
		if (r0 === 6 && c0 === 6 || r0 === 6 && c0 === lastCentre || r0 === lastCentre && c0 === 6) continue;
		for (let r = -2; r < 3; r++) for (let c = -2; c < 3; c++) set(r0 + r, c0 + c, Math.max(Math.abs(r), Math.abs(c)) !== 1);
	}
	for (let i = 8; i < size - 8; i++) {
		set(6, i, i % 2 === 0);
		set(i, 6, i % 2 === 0);
	}
	const format = remainder(mask, 0x537, 10) ^ 0x5412;   // level M is 00
	for (let i = 0; i < 15; i++) {
		const bit = format >> i & 1;
		set(i < 6 ? i : i < 8 ? i + 1 : size - 15 + i, 8, bit);
		set(8, i < 8 ? size - 1 - i : i < 9 ? 7 : 14 - i, bit);
	}
	set(size - 8, 8, 1);
	if (version > 6) {
		const info = remainder(version, 0x1f25, 12);
		for (let i = 0; i < 18; i++) {
			set(Math.floor(i / 3), i % 3 + size - 11, info >> i & 1);
			set(i % 3 + size - 11, Math.floor(i / 3), info >> i & 1);
		}
	}
	let bit = 0;
	for (let right = size - 1, isUp = true; right > 0; right -= 2, isUp = !isUp) {
		if (right === 6) right--;
		for (let i = 0; i < size; i++) {
			const r = isUp ? size - 1 - i : i;
			for (const c of [right, right - 1]) {
				if (grid[r][c] !== null) continue;
				const v = words[bit >> 3] >> (7 - (bit & 7)) & 1;
				bit++;
				grid[r][c] = (v ?? 0) ^ (MASKS[mask](r, c) ? 1 : 0);
			}
		}
	}
	return grid;
}

// How hard a mask makes the code to read (rules 1, 2 and 4 of the standard; rule 3 seldom decides).
function penalty(grid) {
	const size = grid.length;
	let score = 0, dark = 0;
	for (let r = 0; r < size; r++) {
		for (const at of [(c) => grid[r][c], (c) => grid[c][r]]) {
			for (let c = 1, run = 1; c <= size; c++) {
				if (c < size && at(c) === at(c - 1)) run++;
				else {
					if (run > 4) score += run - 2;
					run = 1;
				}
			}
		}
		for (let c = 0; c < size; c++) {
			dark += grid[r][c];
			if (r && c && grid[r][c] + grid[r - 1][c] + grid[r][c - 1] + grid[r - 1][c - 1] === (grid[r][c] ? 4 : 0)) score += 3;
		}
	}
	return score + 10 * Math.floor(Math.abs(dark / size / size - 0.5) * 20);
}

function qrMatrix(text) {
	const coded = codewords(new TextEncoder().encode(text));
	if (!coded) return null;
	return MASKS.map((_, mask) => draw(coded.version, coded.out, mask)).reduce((best, grid) => (penalty(grid) < penalty(best) ? grid : best));
}

// Always dark on light, with the quiet zone that readers need, whatever the theme. Null where the text is too long.
export function qrView(text, label) {
	const grid = qrMatrix(text);
	if (!grid) return null;
	const n = grid.length;
	let d = '';
	grid.forEach((row, r) => row.forEach((v, c) => {
		if (v) d += `M${c + 4} ${r + 4}h1v1h-1z`;
	}));
	return svg('svg', { class: 'qr', viewBox: `0 0 ${n + 8} ${n + 8}`, role: 'img', 'aria-label': label, 'shape-rendering': 'crispEdges' },
		svg('rect', { width: n + 8, height: n + 8, fill: '#fff' }), svg('path', { d, fill: '#000' }));
}
