// results.mjs — a reporter for run.mjs: each test's end as one line of JSON.
export default async function* results(source) {
	for await (const { type, data } of source) {
		if ((type !== 'test:pass' && type !== 'test:fail') || data.details?.type === 'suite') continue;
		const skip = data.skip === undefined || data.skip === false ? undefined : String(data.skip === true || data.skip === '' ? 'no reason' : data.skip);
		yield `${JSON.stringify({ name: data.name, ok: type === 'test:pass', skip, ms: Math.round(data.details?.duration_ms) })}\n`;
	}
}
