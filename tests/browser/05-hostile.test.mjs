// Names, texts, file names, types and addresses that would like to be markup or script: all of it is drawn as text, and nothing of it runs.
// The page's policy would stop most of it; that not one report of the policy comes shows that nothing even tried.
import assert from 'node:assert/strict';
import http from 'node:http';
import test from 'node:test';
import { peer, Person, stage, until } from './lib.mjs';

const CORPUS = [
	'<script>window.pwned=1</script>',
	'<img src=x onerror="window.pwned=2">',
	'"><svg onload=window.pwned=3>',
	'\'"--></style></script><script>window.pwned=4</script>',
	'javascript:window.pwned=5',
	'[x](javascript:window.pwned=6)',
	'https://example.org/"onmouseover="window.pwned=7',
	'www.example.org/<b>x</b>',
	'http://javascript:window.pwned=8@x/',
	'data:text/html,<script>window.pwned=9</script>',
	'`<iframe srcdoc="<script>parent.pwned=10</script>">`',
	'```\n<template><script>window.pwned=11</script></template>\n```',
	'@<b>bold</b> :<i>: &lt;script&gt; &#60;b&#62; %3Cscript%3E',
	'__proto__ constructor toString {{7*7}} ${window.pwned=12}',
	'\u202Egnp.exe\u202C \u0000\uFFFE zalgo\u0301\u0301\u0301\u0301\u0301\u0301\u0301',
	'a'.repeat(3900),
	'💥'.repeat(900),
];

const server = stage();

async function inert(person) {
	const found = await person.page.evaluate(() => ({
		pwned: window.pwned,
		elements: document.querySelectorAll('#app script, #app iframe, #app object, #app embed, #app template, #app style, #app b[onclick], [onerror], [onload], [onmouseover], [srcdoc]').length,
		links: [...document.querySelectorAll('#app a')].map((a) => a.getAttribute('href')).filter((href) => !/^(https?:\/\/|\/f\/|blob:)/.test(href)),
		unsafe: [...document.querySelectorAll('#log a[target]')].filter((a) => !a.rel.includes('noopener')).length,
	}));
	assert.deepEqual(found, { pwned: undefined, elements: 0, links: [], unsafe: 0 });
}

test('texts are drawn as what they are', async () => {
	const ada = await Person.open(server, 'Ada');
	const mallory = await peer(server, 'Mallory');
	for (const text of CORPUS) mallory.send({ type: 'text', text });
	mallory.send({ type: 'text', text: 'corpus fence' });
	await ada.sees('corpus fence');
	const drawn = await ada.texts();
	for (const text of CORPUS.slice(0, 10)) assert.ok(drawn.includes(text), `drawn letter by letter: ${text}`);
	await inert(ada);
	assert.ok(await ada.page.evaluate(() => document.querySelector('#log').scrollWidth <= document.querySelector('#scroller').clientWidth), 'nothing widens the page');
	mallory.close();
	await ada.close();
});

test('so are names, in the list, in messages, in private talk and in the composer', async () => {
	const ada = await Person.open(server, 'Ada2');
	const names = ['<img src=x onerror=pwned=1>', '"><svg onload=pwned=2>', '<script>pwned=3</script>', '\u202Eevil\u202C', '{{pwned}}', '__proto__'];
	for (const name of names) {
		const mallory = await peer(server, name);
		mallory.send({ type: 'typing' });
		mallory.send({ type: 'text', text: `hello from ${name}` });
		mallory.send({ type: 'text', text: `just for you from ${name}`, to_id: Number(ada.frames.find((f) => f.type === 'init').my_id) });
		await ada.page.locator('.talk.is-dm .talk-name', { hasText: mallory.init.my_name }).waitFor();
		await ada.openTalk(mallory.init.my_name);
		await ada.page.fill('#input', ':smi');
		await ada.openTalk('General');
		await ada.page.fill('#input', '@' + mallory.init.my_name.slice(0, 3));
		await ada.page.fill('#input', `@${mallory.init.my_name} hi`);
		await ada.page.fill('#input', '');
		mallory.close();
	}
	await inert(ada);
	await ada.close();
});

test('a tower of marks is drawn four high, in texts and names, and a text of blanks is not sent', async () => {
	const ada = await Person.open(server, 'Ada3');
	const tower = 'Z' + '\u0301'.repeat(9), calm = 'Z' + '\u0301'.repeat(4);
	const mallory = await peer(server, `${tower}algo`);
	assert.equal(mallory.init.my_name, `${calm}algo`);
	mallory.send({ type: 'text', text: `${tower} \u0e01${'\u0e49'.repeat(50)} می\u200cخواهم e\u0301\u200d\u0302\u200d\u0303\u0304\u0305\u0306` });
	await ada.sees(`${calm} \u0e01${'\u0e49'.repeat(4)} می\u200cخواهم e\u0301\u200d\u0302\u200d\u0303\u0304`);
	await ada.page.fill('#input', '\u2800\u3164 \u200b');
	assert.ok(await ada.page.locator('#send').isHidden());
	await ada.page.press('#input', 'Enter');
	await ada.page.fill('#input', 'seen');
	await ada.page.press('#input', 'Enter');
	await ada.sees('seen');
	assert.ok(!(await ada.texts()).some((text) => text.includes('\u2800')));
	mallory.close();
	await ada.close();
});

function upload(token, bytes) {
	return new Promise((resolve, reject) => {
		const key = 'k' + Math.random().toString(36).slice(2);
		const request = http.request({ host: '127.0.0.1', port: server.port, method: 'POST', path: `/upload?key=${key}&size=${bytes.length}&offset=0`,
			headers: { Authorization: `Bearer ${token}`, 'Content-Length': bytes.length } }, (response) => {
			let body = '';
			response.on('data', (chunk) => (body += chunk));
			response.on('end', () => resolve(JSON.parse(body).blob));
		});
		request.on('error', reject);
		request.end(bytes);
	});
}

test('file names and types that lie stay files, and what they hold does not run', async () => {
	const ada = await Person.open(server, 'Ada3');
	const mallory = await peer(server, 'Mallory3');
	const html = Buffer.from('<!doctype html><script>opener&&(opener.pwned=1);parent.pwned=2;window.pwned=3</script>');
	const cases = [
		['<img src=x onerror=pwned=1>.png', 'image/png'],
		['page.html', 'text/html'],
		['vector.svg', 'image/svg+xml'],
		['"><script>pwned=1</script>', 'text/html"><script>pwned=4</script>'],
		['../../etc/passwd', 'application/x-\u202Eexe'],
		['a'.repeat(190) + '.pdf', 'application/pdf'],
		['clip.mp4', 'video/mp4'],
		['song.mp3', 'audio/mpeg'],
		['con\u0000trol\n.txt', 'text/plain'],
	];
	const bad = { isBad: true };
	for (const [filename, mime] of cases) mallory.send({ type: 'file', blob: await upload(mallory.init.token, html), filename, mime, width: -5, height: 1e308 }, bad);
	mallory.send({ type: 'voice', blob: await upload(mallory.init.token, html), mime: 'text/html', duration: 1e300, waveform: '<b>!</b>' }, bad);
	mallory.send({ type: 'text', text: 'file fence' });
	await ada.sees('file fence');
	await inert(ada);
	const image = await until(() => ada.page.$('.row.theirs .pic'), 'the one that says it is a picture');
	await image.click();
	await ada.page.keyboard.press('Escape');
	// Opening what claims to be a page gives a download or a document without powers, never a page of this origin.
	const hrefs = await ada.page.$$eval('#log a.file', (all) => all.map((a) => a.href));
	assert.ok(hrefs.length >= 4);
	for (const href of hrefs) {
		const { headers } = await new Promise((resolve, reject) => http.get(href, (response) => {
			response.resume();
			resolve(response);
		}).on('error', reject));
		assert.equal(headers['x-content-type-options'], 'nosniff', href);
		if (!/^(image|audio|video)\/[a-z0-9]+$/.test(headers['content-type'])) assert.match(headers['content-disposition'] ?? '', /^attachment/, href);
		assert.match(headers['content-security-policy'] ?? '', /sandbox/, href);
	}
	mallory.close();
	// A broken picture and clip are network noise of their own; nothing else may have been said.
	ada.complaints = ada.complaints.filter((line) => !/Failed to load resource|ERR_/.test(line));
	await ada.close();
});

test('the policy is strict, and the page keeps it', async () => {
	const response = await new Promise((resolve, reject) => http.get(`http://127.0.0.1:${server.port}/`, resolve).on('error', reject));
	response.resume();
	const policy = response.headers['content-security-policy'];
	assert.match(policy, /default-src 'none'/);
	assert.match(policy, /script-src 'sha256-[A-Za-z0-9+/=]{44}';/);
	assert.match(policy, /style-src 'sha256-[A-Za-z0-9+/=]{44}';/);
	assert.match(policy, /frame-ancestors 'none'/);
	assert.match(policy, /require-trusted-types-for 'script'/);
	assert.doesNotMatch(policy, /unsafe|https?:|\*/);
	// The policy is alive: a script that is none of the page's is stopped and reported.
	const ada = await Person.open(server, 'Ada4');
	await ada.page.evaluate(() => {
		const script = document.createElement('script');
		try {
			script.textContent = 'window.pwned = 1';
			document.body.append(script);
		} catch { /* trusted types refuse the text already */ }
	});
	await until(() => ada.complaints.length > 0, 'a report of the planted script');
	assert.equal(await ada.page.evaluate(() => window.pwned), undefined);
	ada.complaints = [];
	await ada.close();
});
