// lanes.mjs — what run.mjs needs to know about the test files: which judge times, which wait longest, which tests may be skipped, and why.

/** These judge times and memory under load. They run one after another, with nothing beside them. */
const timed = /\/net\/(11-stall|15-load|16-autobahn|17-hostile-load|18-bench|31-memory|38-stranger)\.test/;
/** These wait long, for deadlines or through a play of kills: they start first. */
const long = /\/net\/(90-long|91-beside|62-admin-ctl|50-restore|28-lost|29-migration|71-process|34-health)\.test/;

export const isTimed = file => timed.test(`/${file}`);
export const waitsLong = file => Number(long.test(`/${file}`));

/** Skips that are no fault: file, reason as the test gives it. Any other skip is a test that silently ran no more: .ci/run fails. */
export const expectedSkips = [
	// a sanitizer holds freed memory back, and its program is dynamic
	{ file: /net\//, reason: /sanitizer|static program/ },
];
