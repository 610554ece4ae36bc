// What is quick without any load, judged by its like: the page by /health, a start by a start that only says its version.
import assert from 'node:assert/strict';
import { judgeDelay, run, serverTest, worstOf } from './lib.mjs';
import { request } from './v2.mjs';

serverTest('the first page is served at once', async s => {
	await request(s, 'GET', '/');
	const calm = await worstOf(20, () => request(s, 'GET', '/health'));
	judgeDelay(await worstOf(20, () => request(s, 'GET', '/', { headers: { 'accept-encoding': 'gzip' } })), calm, 'the page, against /health');
});

serverTest('from start to the first page is quick', async s => {
	await s.stop();
	const calm = await worstOf(3, () => run(['--version']));
	const start = await worstOf(1, async () => {
		await s.restart();
		assert.equal((await s.get('/')).status, 200);
	});
	judgeDelay(start, calm, 'a start, against --version');
});
