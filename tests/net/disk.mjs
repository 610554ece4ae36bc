// disk.mjs — what the tests of a full disk share: a small file system of its own, ballast, and what lies in a data folder.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Server, namesBelow, patience } from './lib.mjs';

const isRoot = process.getuid() === 0;

/** A small file system of its own below a temporary folder; needs root. DISK_FS=ext4: of that kind, in a file, in place of one in memory. */
export function smallDisk(megabytes) {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-disk-'));
	try {
		if (process.env.DISK_FS === 'ext4')
			execFileSync('sh', ['-c', `truncate -s ${megabytes}M ${dir}.img && mkfs.ext4 -q ${dir}.img && mount -o loop ${dir}.img ${dir}; code=$?; rm ${dir}.img; exit $code`], { stdio: 'pipe' });
		else
			execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'tmpfs', dir], { stdio: 'pipe' });
	} catch (e) {
		fs.rmdirSync(dir);
		throw e;
	}
	return { dir, remove() { execFileSync('umount', ['-l', dir]); fs.rmdirSync(dir); } };
}

/** What unshare(1) needs for mounts that nobody else sees. In a chroot the root is no mount point, and its propagation cannot be changed. */
export const ownMounts = () => ['-m', ...(spawnSync('unshare', ['-m', 'true']).status === 0 ? [] : ['--propagation', 'unchanged'])];

/** Leaves the large files below this folder to the disk alone. False: its file system does not tell a program whether they are. */
export function makeCold(dir) {
	const isTold = [0xEF53, 0x58465342, 0x9123683E].includes(fs.statfsSync(dir).type); // ext4, XFS, Btrfs
	for (const name of isTold ? namesBelow(dir) : []) {
		const file = path.join(dir, name);
		if (fs.statSync(file).size > 100_000) execFileSync('dd', [`if=${file}`, 'iflag=nocache', 'count=0', 'status=none']);
	}
	return isTold;
}

/** Takes all but nothing of what is free. */
export function fillUp(file) {
	const fd = fs.openSync(file, 'a'), piece = Buffer.alloc(4096);
	try {
		for (;;) fs.writeSync(fd, piece);
	} catch (e) {
		assert.equal(e.code, 'ENOSPC');
	} finally {
		fs.closeSync(fd);
	}
}

export function freeBytes(dir) {
	const { bavail, bsize } = fs.statfsSync(dir);
	return bavail * bsize;
}

/** A file that leaves so many bytes free. */
export function leaveFree(file, bytes) {
	const piece = Buffer.alloc(65536), fd = fs.openSync(file, 'a');
	while (freeBytes(path.dirname(file)) > bytes + piece.length) fs.writeSync(fd, piece);
	fs.closeSync(fd);
}

/** Bytes of all files below a folder. */
export function bytesBelow(dir) {
	let sum = 0;
	for (const e of fs.readdirSync(dir, { withFileTypes: true, recursive: true })) {
		try {
			if (e.isFile()) sum += fs.statSync(path.join(e.parentPath ?? e.path, e.name)).size;
		} catch (error) { // it went meanwhile
			assert.equal(error.code, 'ENOENT');
		}
	}
	return sum;
}

/** A test with a server whose data folder is on a disk of its own. Skipped, with the reason, where none can be mounted. */
export function diskTest(title, { megabytes, timeout = 60000, ...options }, fn) {
	test(title, { timeout: timeout * patience, skip: !isRoot && 'a file system is mounted by root alone' }, async t => {
		let disk, s;
		try {
			disk = smallDisk(megabytes);
		} catch (e) { // a container may not, though its user is root
			return t.skip(e.message);
		}
		try {
			s = await Server.start({ dir: disk.dir, ...options });
			await fn(s, disk.dir, t);
			await s.stop();
		} catch (e) {
			if (s && !e.message.includes(s.output)) e.message += `\n--- the server said:\n${s.output.slice(-3000)}`;
			throw e;
		} finally {
			await s?.cleanUp();
			disk.remove();
		}
	});
}
