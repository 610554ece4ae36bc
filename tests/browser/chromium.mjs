// chromium.mjs — the Chromium of the browser tests, and how it is started. The headless shell is preferred: the same engine without a desktop's
// windows around it, at half the cost.
import fs from 'node:fs';
import { chromium } from 'playwright-core';

const options = {
	executablePath: process.env.CHROMIUM || ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium'].find((file) => fs.existsSync(file)),
	args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync',
		'--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream', '--autoplay-policy=no-user-gesture-required',
		// A name that is not localhost, and so no secure context over plain HTTP.
		'--host-resolver-rules=MAP insecure.test 127.0.0.1'],
};

/** One process for several test files; wsEndpoint() is what they connect to. */
export const serve = () => chromium.launchServer({ ...options, host: '127.0.0.1' });

/** The browser that CHROMIUM_ENDPOINT names (setup.mjs), else one of its own. Closing it closes its contexts alone where it is shared. */
export const launch = () => process.env.CHROMIUM_ENDPOINT ? chromium.connect(process.env.CHROMIUM_ENDPOINT) : chromium.launch(options);
