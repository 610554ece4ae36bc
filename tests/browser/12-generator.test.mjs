// The parts of the page and the generator that embeds them: its output is small, whole and the same each time. It refuses what parts must not do,
// and says where.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import os from 'node:os';
import path from 'node:path';
import zlib from 'node:zlib';
import test, { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Server } from './lib.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..');
const embed = path.resolve(process.env.EMBED || path.join(root, 'build/tools/embed'));

let dir, server;
before(async () => {
	dir = fs.mkdtempSync(path.join(os.tmpdir(), 'wavechat-embed-'));
	server = await new Server().start();
});
after(async () => {
	await server?.close();
	fs.rmSync(dir, { recursive: true, force: true });
});

const PAGE = '<!doctype html>\n<link rel="stylesheet" href="a.css">\n<body>\n<script type="module" src="main.js"></script>\n';

/** Runs the generator over a page of these parts. */
function run(parts, out = 'out.c') {
	const assets = path.join(dir, 'assets');
	fs.rmSync(assets, { recursive: true, force: true });
	fs.mkdirSync(assets);
	const all = { 'index.html': PAGE, 'a.css': 'p { color: red; }\n', 'main.js': 'export const x = 1;\n', 'sw.js': "const V = '__BUILD__';\n",
		'manifest.webmanifest': '{}\n', 'icon.svg': '<svg/>\n', ...parts };
	for (const [name, text] of Object.entries(all)) fs.writeFileSync(path.join(assets, name), text);
	const file = path.join(dir, out);
	fs.rmSync(file, { force: true });
	const { status, stderr } = spawnSync(embed, [assets, file, '1.2.3'], { encoding: 'utf8' });
	return { status, stderr, text: fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : null };
}

/** The plain bytes of the n-th asset of a generated file. */
function plain(text, n) {
	const bytes = new RegExp(`plain_${n}\\[\\d+\\] = \\{([\\d,\\s]*)\\}`).exec(text)[1];
	return Buffer.from(bytes.split(',').filter((b) => b.trim()).map(Number)).toString();
}

test('modules are run once each, in the order of their imports, and keep their names to themselves', () => {
	const parts = {
		'main.js': "import { a } from './a.js';\nimport { b, log } from './b.js';\nlog.push('main');\nconst own = 3;   // mine\n// not shipped\nglobalThis.result = { a, b, own, log };\n",
		'a.js': "import { log } from './b.js';\nconst own = 1;\nlog.push('a');\nexport const a = own;\n",
		'b.js': "const own = 2;\nexport const log = [];\nlog.push('b');\nexport function b() {\n\treturn own;\n}\n",
	};
	const { status, stderr, text } = run(parts);
	assert.equal(status, 0, stderr);
	const page = plain(text, 0);
	const script = /<script type="module">([\s\S]*)<\/script>/.exec(page)[1];
	new Function(script)();
	const { a, b, own, log } = globalThis.result;
	assert.deepEqual([a, b(), own, log], [1, 2, 3, ['b', 'a', 'main']]);
	assert.doesNotMatch(script, /not shipped|mine/);
	assert.equal(run(parts, 'again.c').text, text, 'the same input, the same bytes');
	assert.doesNotMatch(plain(text, 1), /__BUILD__/);
	assert.notEqual(plain(run({ ...parts, 'a.css': 'p{}\n' }).text, 1), plain(text, 1), 'another page, another worker');
});

for (const [what, parts, said] of [
	['a circle of imports', { 'main.js': "import { a } from './a.js';\nexport const m = a;\n", 'a.js': "import { m } from './main.js';\nexport const a = 1;\n" }, /circle/],
	['a name that is not exported', { 'main.js': "import { nope } from './a.js';\n", 'a.js': 'export const a = 1;\n' }, /main\.js:1: a\.js exports no nope/],
	['an export that would be copied', { 'main.js': 'export let a = 1;\n' }, /main\.js:1/],
	['a default export', { 'main.js': '\nexport default 1;\n' }, /main\.js:2/],
	['a renamed import', { 'main.js': "import { a as b } from './a.js';\n", 'a.js': 'export const a = 1;\n' }, /exports no as/],
	['a star import', { 'main.js': "import * as b from './a.js';\n", 'a.js': 'export const a = 1;\n' }, /must read/],
	['an import from elsewhere', { 'main.js': "import { a } from 'https://example.org/a.js';\n" }, /must read/],
	['an import out of the assets', { 'main.js': "import { a } from '../a.js';\n" }, /leads out/],
	['a template literal over lines', { 'main.js': 'const a = `x\ny`;\n' }, /main\.js:1: a template/],
	['a script that would end its element', { 'main.js': "const a = '</script>';\n" }, /would end it/],
	['an HTML comment in a script', { 'main.js': "const a = '<!--';\n" }, /would end it/],
	['a style that would end its element', { 'a.css': 'p::after { content: "</style>"; }\n' }, /would end it/],
	['an inline style', { 'index.html': PAGE + '<p style="color: red">\n' }, /no inline styles/],
	['an inline handler', { 'index.html': PAGE + '<p onclick="x()">\n' }, /no inline/],
	['a missing part', { 'main.js': "import { a } from './none.js';\n" }, /none\.js/],
]) {
	test(`refused: ${what}`, () => {
		const { status, stderr, text } = run(parts);
		assert.equal(status, 1);
		assert.match(stderr, said);
		assert.equal(text, null, 'nothing is left that looks like a result');
	});
}

function get(headers, at = '/') {
	return new Promise((resolve, reject) => http.get(`http://127.0.0.1:${server.port}${at}`, { headers }, (response) => {
		const chunks = [];
		response.on('data', (chunk) => chunks.push(chunk));
		response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) }));
	}).on('error', reject));
}

test('the page is at most 64 KB on the wire, complete in one file, and names nobody else', async (t) => {
	const packed = await get({ 'Accept-Encoding': 'gzip' });
	assert.equal(packed.headers['content-encoding'], 'gzip');
	t.diagnostic(`${packed.body.length} bytes gzipped`);
	assert.ok(packed.body.length <= 64 * 1024, `${packed.body.length} bytes`);
	const whole = await get({});
	assert.equal(whole.headers['content-encoding'], undefined);
	assert.deepEqual(zlib.gunzipSync(packed.body), whole.body);
	const html = whole.body.toString();
	assert.doesNotMatch(html, /<script[^>]*\ssrc=|<link rel="stylesheet"/);
	const hosts = new Set([...html.matchAll(/(?:https?:)?\/\/([a-z0-9-]+(?:\.[a-z0-9-]+)+)/gi)].map((m) => m[1]));
	assert.deepEqual([...hosts], ['www.w3.org'], 'only the namespace of SVG');
	const again = await get({ 'Accept-Encoding': 'gzip', 'If-None-Match': packed.headers.etag });
	assert.equal(again.status, 304);
	assert.equal(again.body.length, 0);
});

test('an event that is not in the table of the bus throws, at both ends', async () => {
	const source = fs.readFileSync(path.join(root, 'assets/js/base/bus.js'));
	const { emit, on } = await import('data:text/javascript;base64,' + source.toString('base64'));
	const heard = [];
	const off = on('draft', (...args) => heard.push(args));
	emit('draft', 1, 2);
	off();
	emit('draft', 3);
	assert.deepEqual(heard, [[1, 2]]);
	assert.throws(() => on('drafts', () => {}), /no event "drafts"/);
	assert.throws(() => emit('drafts'), /no event "drafts"/);
});
