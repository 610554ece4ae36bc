// WebM as browsers record it, mended: the duration that MediaRecorder leaves out is put in. Bytes in, bytes out.

// A player cannot seek in a recording without a duration. A stream that is not laid out as browsers do it comes back unchanged.
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
