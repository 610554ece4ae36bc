// cgroup.mjs — a memory cgroup of its own for a server under test, of version 2 or 1, and what the kernel says of it afterwards.
//
// Needs root and a hierarchy that can be written to. Where there is none, `memoryGroup` says why: a test then skips with that reason.
import fs from 'node:fs';
import path from 'node:path';

const V2 = '/sys/fs/cgroup', V1 = '/sys/fs/cgroup/memory';
const read = file => fs.readFileSync(file, 'utf8').trim();

/** The folder below which a group of this version can be made; or why not. */
function place(version) {
	try {
		if (version === 2) {
			if (!read(`${V2}/cgroup.controllers`).split(' ').includes('memory')) return [null, 'cgroup v2 has no memory controller here'];
			if (!read(`${V2}/cgroup.subtree_control`).split(' ').includes('memory')) fs.writeFileSync(`${V2}/cgroup.subtree_control`, '+memory');
			return [V2, null];
		}
		read(`${V1}/memory.limit_in_bytes`);
		return [V1, null];
	} catch (e) {
		return [null, `cgroup v${version}: ${e.message}`];
	}
}

let groups = 0;

/** { procs, highest(), kills(), remove() } with a limit of `bytes`; or { why }. */
export function memoryGroup(bytes) {
	const reasons = [];
	for (const version of [2, 1]) {
		const [top, why] = place(version);
		if (!top) {
			reasons.push(why);
			continue;
		}
		const dir = path.join(top, `wavechat-test-${process.pid}-${++groups}`);
		try {
			fs.mkdirSync(dir);
			fs.writeFileSync(`${dir}/${version === 2 ? 'memory.max' : 'memory.limit_in_bytes'}`, String(bytes));
			if (version === 2 && fs.existsSync(`${dir}/memory.swap.max`)) fs.writeFileSync(`${dir}/memory.swap.max`, '0');
		} catch (e) {
			reasons.push(`cgroup v${version}: ${e.message}`);
			continue;
		}
		return {
			version, procs: `${dir}/cgroup.procs`,
			/** Bytes at the highest: also of what the kernel would give back for the asking, files on disk that were read or written. */
			highest: () => Number(read(`${dir}/${version === 2 ? 'memory.peak' : 'memory.max_usage_in_bytes'}`)),
			/** How often the kernel ended something for want of memory. */
			kills: () => Number(/^oom_kill (\d+)/m.exec(read(`${dir}/${version === 2 ? 'memory.events' : 'memory.oom_control'}`))?.[1] ?? 0),
			/** Of the kernel's own buffers for sockets, which version 1 counts apart. */
			sockets: () => (version === 1 && fs.existsSync(`${dir}/memory.kmem.tcp.max_usage_in_bytes`) ? Number(read(`${dir}/memory.kmem.tcp.max_usage_in_bytes`)) : 0),
			remove: () => {
				for (let i = 0; i < 50; i++)
					try {
						return fs.rmdirSync(dir);
					} catch { // what was in it is still ending
						Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
					}
			},
		};
	}
	return { why: `no memory cgroup can be made: ${reasons.join('; ')}` };
}
