// setup.mjs — one Chromium process for all browser tests of a run. Each test has a context of its own: nothing of one is seen by another.
import { serve } from './chromium.mjs';

export async function start() {
	const browser = await serve();
	return { env: { CHROMIUM_ENDPOINT: browser.wsEndpoint() }, stop: () => browser.close() };
}
