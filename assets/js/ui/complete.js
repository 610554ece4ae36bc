// Completion while writing: people after an @, emoji after a colon, and a shortcode's closing colon.
// Knows the text field only as it is handed in; what is chosen goes back through `put`.
import { avatar, h, icon } from '../base/dom.js';
import { emojiOf, findEmoji } from '../media/emoji.js';
import { debounce } from '../base/util.js';
import { t } from '../base/i18n.js';
import { me, users, world } from '../talk/model.js';
import { askWho } from '../talk/session.js';
import { closePopup, openPopup } from './popup.js';

const SHOWN = 7;

// The word at the caret, if it is one to complete: {kind, word, from, to}.
function wordBefore(field) {
	const upTo = field.value.slice(0, field.selectionStart);
	if (field.selectionStart !== field.selectionEnd) return null;
	const m = /(?:^|[\s(])(?:@([^\s@]{0,32}(?: [^\s@]{1,12})?)|:([+\-\w]{2,20}))$/u.exec(upTo);
	if (!m) return null;
	const word = m[1] ?? m[2];
	return { kind: m[1] !== undefined ? '@' : ':', word, from: upTo.length - word.length - 1, to: upTo.length };
}

// Names that begin with the word, then those with a word that does, then the rest; people who are online first.
function peopleLike(word) {
	const q = word.toLowerCase();
	const out = [];
	for (const u of users.values()) {
		if (u.id === me.id) continue;
		const name = u.name.toLowerCase();
		const rank = name.startsWith(q) ? 0 : name.includes(' ' + q) ? 1 : name.includes(q) ? 2 : 9;
		if (rank < 9) out.push({ u, rank: rank * 2 + (u.online ? 0 : 1) });
	}
	return out.sort((a, b) => a.rank - b.rank || a.u.name.localeCompare(b.u.name)).slice(0, SHOWN).map((x) => x.u);
}

const searchPeople = debounce((q) => askWho(q), 200);

// Offers what fits the word at the caret. `isPublic`: an @name at the start makes a message private, and the list says so with a lock.
// put(from, to, text, user): the chosen text for that stretch; `user` where it is a person.
export function complete(field, isPublic, put) {
	const at = wordBefore(field);
	if (!at) return closePopup();
	if (at.kind === '@') {
		const found = peopleLike(at.word);
		if (at.word && found.length < SHOWN && world.online > users.size) searchPeople(at.word);
		const isTarget = at.from === 0 && isPublic;
		openPopup(field, t('mentionList'), found.map((u) => ({
			value: u,
			view: [avatar(u.id, u.name, 'small'), h('span', { class: 'option-name', dir: 'auto' }, u.name), isTarget && icon('lock', 'option-note')],
		})), (u) => put(at.from, at.to, `@${u.name} `, u));
	} else {
		openPopup(field, t('emojiList'), findEmoji(at.word).map((e) => ({
			value: e.char,
			view: [h('span', { class: 'option-emoji' }, e.char), h('span', { class: 'option-name' }, `:${e.code}:`)],
		})), (char) => put(at.from, at.to, char + ' '));
	}
}

// ":smile:" becomes its emoji with the closing colon.
export function expandShortcode(field, put) {
	const upTo = field.value.slice(0, field.selectionStart);
	const m = /(?:^|\s):([+\-\w]{1,20}):$/.exec(upTo);
	const char = m && emojiOf(m[1]);
	if (char) put(upTo.length - m[1].length - 2, upTo.length, char);
}
