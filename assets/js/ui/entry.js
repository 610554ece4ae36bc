// The way in and the way out: the form with name and password, the wait for admission, and the notice to people who were sent out.
import { $, fill, h, icon, toggle } from '../base/dom.js';
import { on } from '../base/bus.js';
import { fmtDuration, reasonOf, t } from '../base/i18n.js';
import { recall } from '../base/prefs.js';
import { connect } from '../talk/net.js';
import { start, token } from '../talk/session.js';
import { topDialog } from './dialog.js';

const form = $('#entry-form');

// why: the key of a text that says what went wrong.
export function showEntry(why = '') {
	toggle($('#app'), false);
	toggle($('#entry'), true);
	form.classList.remove('busy');
	$('#name').value ||= recall('me')?.name ?? '';
	$('#name').focus();
	if (why) say(t(why));
}

// The person is in: nothing typed stays behind, and nothing said.
export function closeEntry() {
	form.classList.remove('busy');
	$('#password').value = '';
	say('');
	toggle($('#entry'), false);
}

function say(text, isError = true) {
	$('#entry-error').classList.toggle('note', !isError);
	$('#entry-error').textContent = text;
}

// A person whom the token brings back keeps the name and is asked for the password alone.
function askPassword(code, waitMs) {
	const isBack = !!token();
	showEntry();
	$('#name').readOnly = isBack;
	toggle($('#password-part'), true);
	$('#password').value = '';
	$('#password').required = true;
	$('#password').setAttribute('aria-invalid', String(code === 'bad_password'));
	$('#password').focus();
	if (code === 'password_required') return say(t(isBack ? 'passwordChanged' : 'passwordNeeded'), false);
	say(code === 'bad_password' ? t('passwordWrong') : t('passwordWait', { time: fmtDuration(waitMs / 1000 + 1) }));
}

function waitOutside(waitMs, isKnown) {
	showEntry();
	form.classList.add('busy');
	say(t(isKnown ? 'crowdedWithYou' : 'crowded', { time: fmtDuration(waitMs / 1000 + 1) }), false);
}

function stayLockedOut(waitMs) {
	showEntry();
	form.classList.add('busy');
	say(waitMs ? t('lockedOutFor', { time: fmtDuration(waitMs / 1000 + 1) }) : t('lockedOut'), false);
}

function expelled(isBan, words) {
	const text = t(isBan ? 'bannedText' : 'kickedText'), reason = reasonOf(words);
	fill($('#expelled'), h('div', { class: 'card', role: 'alertdialog', 'aria-labelledby': 'expelled-title' }, icon('wave', 'still-mark'),
		h('h1', { id: 'expelled-title' }, t(isBan ? 'bannedTitle' : 'kickedTitle')), h('p', {}, text), reason && h('p', { dir: 'auto' }, t('reason', { text: reason })),
		!isBan && h('button', { class: 'button primary', type: 'button', onclick: () => {
			toggle($('#expelled'), false);
			$('#app').inert = $('#entry').inert = false;
			connect();
		} }, t('comeBack'))));
	$('#app').inert = $('#entry').inert = true;
	topDialog()?.close();
	toggle($('#expelled'), true);
	$('#expelled button')?.focus();
}

function submit(event) {
	event.preventDefault();
	const name = $('#name').value.trim();
	if (!name || form.classList.contains('busy')) return;
	form.classList.add('busy');
	say('');
	start(name, '', $('#password').value.normalize('NFC'));
}

export function initEntry() {
	form.addEventListener('submit', submit);
	on('needName', showEntry);
	on('needPassword', askPassword);
	on('crowded', waitOutside);
	on('lockedOut', stayLockedOut);
	on('expelled', expelled);
}
