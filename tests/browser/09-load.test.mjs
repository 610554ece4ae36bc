// How it feels: first paint, the time from one page to another, thousands of messages loaded, a crowd talking while one types.
// Nothing is judged in milliseconds: whatever else the machine does is measured along with the page. Each figure is compared with one of the same
// kind, taken in turns with it on the same machine, and the medians' ratio is what has a bound. The milliseconds are printed.
import assert from 'node:assert/strict';
import test from 'node:test';
import { peer, Person, Server, sleep, stage, until } from './lib.mjs';

const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];

const server = stage();

/** The medians of both, taken in turns, and how many times the first is as long as the second. */
async function compare(t, rounds, { what, measured, than, compared }) {
	const [a, b] = [[], []];
	for (let i = 0; i < rounds; i++) {
		a.push(await measured(i));
		b.push(await compared(i));
	}
	const ratio = median(a) / median(b);
	t.diagnostic(`${what}: ${median(a).toFixed(1)} ms; ${than}: ${median(b).toFixed(1)} ms; ${ratio.toFixed(2)} times (medians of ${rounds})`);
	return ratio;
}

test('with 200 messages of history, the first paint comes as quickly as that of an empty room', async (t) => {
	const empty = await new Server().start();
	const writer = await peer(server, 'Writer');
	for (let i = 0; i < 220; i++) writer.say(`history ${i}: ${'words '.repeat(i % 30)}`);
	const ada = await Person.open(server, 'Ada'), lone = await Person.open(empty, 'Ada');
	await ada.sees('history 219: ' + 'words '.repeat(9).trim());
	const paint = async (person, shown) => {
		await person.page.reload();
		await person.page.waitForSelector(shown);
		return until(() => person.page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime), 'the first paint');
	};
	const ratio = await compare(t, 7, { what: 'with 200 messages', measured: () => paint(ada, '.row'), than: 'with none', compared: () => paint(lone, '.still') });
	assert.ok(ratio < 3, `${ratio} times`);
	writer.close();
	for (const p of [ada, lone]) await p.close();
	await empty.close();
});

test('from sending on one page to seeing on another: little more than the way to a peer without a page and back', async (t) => {
	const [ada, boris] = [await Person.open(server, 'Ada2'), await Person.open(server, 'Boris2')], plain = await peer(server, 'Plain');
	await boris.page.evaluate(() => {
		window.seen = {};
		new MutationObserver(() => {
			for (const el of document.querySelectorAll('#log .text')) if (/^t\d+$/.test(el.textContent)) window.seen[el.textContent] ??= Date.now() + performance.now() % 1;
		}).observe(document.querySelector('#log'), { childList: true, subtree: true });
	});
	const seen = async (i) => {
		const text = `t${i}`;
		const sent = await ada.page.evaluate((line) => {
			const input = document.querySelector('#input');
			input.value = line;
			input.dispatchEvent(new Event('input', { bubbles: true }));
			const now = Date.now();
			document.querySelector('#composer').requestSubmit();
			return now;
		}, text);
		return await until(() => boris.page.evaluate((line) => window.seen[line], text), 'it on the other page') - sent;
	};
	// A message to the server and back, and the two frames of a screen that a page needs to draw it.
	const echoed = async (i) => {
		const from = performance.now(), text = `p${i}`;
		const hit = new Promise((resolve) => plain.onFrame((f) => f.text === text && resolve(performance.now())));
		plain.say(text);
		return await hit - from + await boris.page.evaluate(() => new Promise((resolve) => {
			const begun = performance.now();
			requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - begun)));
		}));
	};
	const ratio = await compare(t, 21, { what: 'seen', measured: seen, than: 'an echo and two frames', compared: echoed });
	assert.ok(ratio < 4, `${ratio} times`);
	plain.close();
	for (const p of [ada, boris]) await p.close();
});

test('ten thousand messages: a bounded part of them is in the DOM, scrolling reaches all of it', async (t) => {
	const writer = await peer(server, 'Flood');
	const ada = await Person.open(server, 'Ada3');
	for (let i = 0; i < 10000; i++) {
		writer.say(`m${i}`);
		if (i % 200 === 199) await sleep(20);
	}
	await ada.sees('m9999');
	const rows = await ada.page.locator('.row').count();
	assert.ok(rows <= 300, `${rows} rows in the DOM`);
	const { worst, first, reads } = await ada.page.evaluate(async () => {
		const scroller = document.querySelector('#scroller');
		let worst = 0, reads = 0;
		for (let i = 0; i < 150; i++) {
			const from = performance.now();
			scroller.scrollTop -= 2000;
			await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
			worst = Math.max(worst, performance.now() - from);
			reads = Math.max(reads, document.querySelectorAll('.row').length);
		}
		return { worst, reads, first: document.querySelector('.row .text').textContent };
	});
	t.diagnostic(`after 150 long strokes the first row is ${first}; at most ${reads} rows, ${worst.toFixed(0)} ms for the slowest two frames`);
	assert.ok(reads <= 400, `${reads} rows`);
	assert.ok(Number(first.slice(1)) < 9000, first);
	await ada.page.click('#jump');
	await ada.sees('m9999');
	writer.close();
	await ada.close();
});

test('fifty messages a second among five thousand people do not make typing stutter', async (t) => {
	const crowd = await Promise.all(Array.from({ length: 20 }, (_, i) => peer(server, `Crowd ${i}`)));
	const ada = await Person.open(server, null);
	// The messages are real; the thousands come and go as the server would tell a client of them (about 1 KB a second).
	let moves = 0;
	await ada.page.routeWebSocket(/\/ws$/, (socket) => {
		socket.connectToServer();
		const timer = setInterval(() => {
			const joined = Array.from({ length: 5 }, () => ({ id: 1e6 + moves, name: `Passer-by ${moves++}` }));
			socket.send(JSON.stringify({ type: 'presence', online: 5000 + moves % 7, joined, left: moves > 2000 ? joined.map((u) => u.id - 2000) : [] }));
		}, 200);
		t.after(() => clearInterval(timer)); // a page that goes away does not always say that its socket closed
		socket.onClose(() => clearInterval(timer));
	});
	await ada.page.reload();
	await ada.join('Ada4');
	// From a key to the next frame that could show its letter.
	await ada.page.evaluate(() => {
		window.waits = [];
		addEventListener('keydown', (event) => requestAnimationFrame(() => window.waits.push(performance.now() - event.timeStamp)), true);
	});
	const SENTENCE = 'typing goes on while everybody talks, ';
	const type = async () => {
		await ada.page.fill('#input', '');
		await ada.page.evaluate(() => { window.waits = []; });
		await ada.page.locator('#input').pressSequentially(SENTENCE, { delay: 40 });
		assert.equal(await ada.page.inputValue('#input'), SENTENCE);
		return median(await ada.page.evaluate(() => window.waits));
	};
	let isOn = false, isOver = false, sent = 0;
	const talk = (async () => {
		for (let due = 0; !isOver; await sleep(20)) {
			for (due += isOn; sent < due; sent++) crowd[sent % crowd.length].say(`message ${sent} of a crowd, https://example.org/${sent} and @Ada4`);
		}
	})();
	const during = (hasTalk) => () => {
		isOn = hasTalk;
		return type();
	};
	const ratio = await compare(t, 4, { what: 'a key while fifty messages a second come', measured: during(true), than: 'in silence', compared: during(false) });
	isOver = true;
	await talk;
	assert.ok(sent > 100, `${sent} messages`);
	assert.ok(ratio < 3, `${ratio} times`);
	for (const c of crowd) c.close();
	await ada.close();
});
