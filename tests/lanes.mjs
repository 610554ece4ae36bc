// lanes.mjs — what run.mjs needs to know about the test files: which judge times, which wait longest, which tests may be skipped, and why.

/** These judge times, as ratios to the same without a load, record in real time, or have two tabs agree within 200 ms. They run one after another, with nothing beside them. */
const timed = /\/browser\/(09-load|10-voice|16-rough)\.test|\/net\/(11-stall|12-hostile|14-quick|15-load|73-http)\.test/;
/** These wait long: for deadlines, or through a play of kills. They start first. */
const long = /\/browser\/06-access\.test|\/net\/(90-long|91-checker|92-beside|93-fairness|28-lost|45-released|34-health|66-package|68-addresses|31-memory|29-migration|30-disk|35-metrics|37-descriptors|74-faults)\.test/;

export const isTimed = file => timed.test(`/${file}`);
export const waitsLong = file => Number(long.test(`/${file}`));

/** Skips that are no fault: file, reason as the test gives it. Any other skip is a test that silently ran no more: .ci/run fails. */
export const expectedSkips = [
	// a sanitizer holds freed memory back, and its program is dynamic
	{ file: /net\//, reason: /sanitizer|static program/ },
	// a container or a chroot without the kernel's control groups
	{ file: /net\/31-memory/, reason: /no memory cgroup can be made|cannot be mounted so here/ },
];
