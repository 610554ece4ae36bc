// control.mjs — the numbers of core/base/fault.h in a file that the server maps: faults made to order, in a build of MODE=fault.
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const words = ['allocCountdown', 'allocsFailed', 'syncMs', 'clockMs', 'roomStallMs', 'ioStallMs', 'helperStallMs', 'helperPatienceMs', 'coldStallMs', 'coldBroken'];

export class Control {
	constructor() {
		this.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-faults-'));
		this.path = path.join(this.dir, 'control');
		fs.writeFileSync(this.path, Buffer.alloc(words.length * 8));
		this.fd = fs.openSync(this.path, 'r+');
		this.env = { WAVECHAT_FAULT_CONTROL: this.path };
	}

	set(word, value) {
		const b = Buffer.alloc(8);
		b.writeBigInt64LE(BigInt(Math.round(value)));
		fs.writeSync(this.fd, b, 0, 8, words.indexOf(word) * 8);
	}

	get(word) {
		const b = Buffer.alloc(8);
		fs.readSync(this.fd, b, 0, 8, words.indexOf(word) * 8);
		return Number(b.readBigInt64LE());
	}

	remove() {
		fs.closeSync(this.fd);
		fs.rmSync(this.dir, { recursive: true });
	}
}
