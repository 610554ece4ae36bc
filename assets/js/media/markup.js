// A message's text as DOM: paragraphs, links, mentions, `code` and ```blocks```. Only text nodes and elements made here.
import { h } from '../base/dom.js';
import { wordEdge } from '../base/util.js';

// An @ within a word (an address) is no mention; that is asked below, for older browsers cannot look behind.
const TOKEN = /`([^`\n]+)`|(https?:\/\/[^\s<>"'`]+|www\.[^\s<>"'`]+\.[^\s<>"'`]+)|@([\p{L}\p{N}_][\p{L}\p{N}_.\-]*)/gu;

// Punctuation that ends a sentence is not the link's; a closing bracket is, if the link opened it.
function trimUrl(raw) {
	let url = raw.replace(/[.,!?;:…»]+$/u, '');
	while (url.endsWith(')') && url.split('(').length < url.split(')').length) url = url.slice(0, -1).replace(/[.,!?;:]+$/, '');
	return url;
}

function link(raw) {
	let url;
	try {
		url = new URL(raw.startsWith('www.') ? 'https://' + raw : raw);
	} catch {
		return null;
	}
	if (url.protocol !== 'https:' && url.protocol !== 'http:') return null;
	return h('a', { href: url.href, target: '_blank', rel: 'noopener noreferrer' }, raw);
}

// The reader's own name may hold spaces; the pattern above cannot know that.
function mention(text, at, reader) {
	const mine = '@' + reader;
	if (reader && text.slice(at, at + mine.length).toLowerCase() === mine.toLowerCase()) {
		return { node: h('span', { class: 'mention me' }, text.slice(at, at + mine.length)), length: mine.length };
	}
	return null;
}

function inline(text, out, reader) {
	let from = 0;
	TOKEN.lastIndex = 0;
	for (let m; (m = TOKEN.exec(text));) {
		let node = null, length = m[0].length;
		if (m[1] !== undefined) {
			node = h('code', {}, m[1]);
		} else if (m[2] !== undefined) {
			const url = trimUrl(m[2]);
			node = link(url);
			length = url.length;
		} else if (m.index && wordEdge.test(text[m.index - 1])) {
			continue;
		} else {
			const own = mention(text, m.index, reader);
			node = own?.node ?? h('span', { class: 'mention' }, m[0]);
			length = own?.length ?? length;
		}
		if (!node) continue;
		if (m.index > from) out.push(text.slice(from, m.index));
		out.push(node);
		from = TOKEN.lastIndex = m.index + length;
	}
	if (from < text.length) out.push(text.slice(from));
}

export function markup(text, reader) {
	const out = [];
	const parts = text.split(/```(?:[\w+#-]*\n)?([\s\S]*?)```\n?/);
	parts.forEach((part, i) => {
		if (i % 2) out.push(h('pre', { tabindex: '0' }, h('code', {}, part.replace(/\n$/, ''))));
		else if (part) inline(part, out, reader);
	});
	return out;
}
