// The start of the page and its routes: the screen shown, the open conversation, keys, updates, the service worker.
// The parts find each other through base/bus.js; the generator inlines all of them in the order of their imports.
import { $, narrow, toggle } from './base/dom.js';
import { on, emit } from './base/bus.js';
import { initLang, reasonOf, t } from './base/i18n.js';
import { recall } from './base/prefs.js';
import { conv, GENERAL, isDm, keyOf, knowUser, me, nameOf, neighbours, takeReadMarks, users, world } from './talk/model.js';
import { watchNetwork } from './talk/net.js';
import { endTokens } from './talk/farewell.js';
import { initSession, leave, openHistory, signOut, start, token } from './talk/session.js';
import { forgetOutbox, initOutbox } from './talk/outbox.js';
import { initPlayer, togglePlay } from './media/player.js';
import { errorText, urlOf } from './ui/message.js';
import { ask, tookLayerBack, topDialog } from './ui/dialog.js';
import { closeEntry, initEntry, showEntry } from './ui/entry.js';
import { toast } from './ui/toast.js';
import { initComposer, openComposer } from './ui/composer.js';
import { initVoice, isRecording } from './ui/voice.js';
import { initTimeline, leaveTimeline, openTimeline } from './ui/timeline.js';
import { initSidebar, siblingTalk } from './ui/sidebar.js';
import { initHeader } from './ui/header.js';
import { initViewer } from './ui/viewer.js';
import { initNotify } from './ui/notify.js';
import { initSettings } from './ui/settings.js';

const VERSION = '__VERSION__';

// Screens

function showApp() {
	closeEntry();
	if (!$('#app').hidden) return;
	toggle($('#app'), true);
	// A reload comes back to where it was.
	const { pane, key, name } = history.state ?? {};
	if (narrow.matches && pane === 'list') return showPane('list');
	if (name) knowUser({ id: key, name });
	if (narrow.matches && !pane) history.replaceState({ pane: 'list' }, '');
	open(world.openKey ?? key ?? GENERAL);
}

function showPane(pane) {
	document.body.dataset.pane = pane;
}

// On a phone the open conversation is a step of its own in the history, so that "back" leads to the list.
function open(key, isStepping = false) {
	showPane('chat');
	const at = history.state, state = { ...at, pane: narrow.matches ? 'chat' : at?.pane, key, name: isDm(key) ? nameOf(key) : '' };
	if (narrow.matches && !isStepping && at?.pane !== 'chat') history.pushState(state, '');
	else history.replaceState(state, '');
	if (world.openKey !== key) {
		$('#app').dataset.kind = isDm(key) ? 'dm' : 'general';
		openTimeline(key);
		openComposer(key);
		openHistory(conv(key));
	}
	$('#chat').focus({ preventScroll: true });
	if (!narrow.matches) emit('focusComposer');
	emit('opened', key);
	emit('people');
}

function showList() {
	if (history.state?.pane === 'chat') return history.back();
	history.replaceState({ pane: 'list' }, '');
	showPane('list');
	closeTalk();
}

// What was opened while a dialog's step was on its way back has lost its own step to it.
function onStep({ state }) {
	if (tookLayerBack()) {
		if (narrow.matches && !topDialog() && document.body.dataset.pane === 'chat' && state?.pane !== 'chat' && world.openKey != null) open(world.openKey);
		return;
	}
	const dialog = topDialog();
	if (dialog) return dialog.close();
	if (!narrow.matches || document.body.dataset.pane === (state?.pane ?? 'list') && (state?.key ?? null) === world.openKey) return;
	if (state?.pane === 'chat') return open(state.key, true);
	showPane('list');
	closeTalk();
}

// With the list alone on the screen nothing is being read.
function closeTalk() {
	leaveTimeline();
	emit('opened', null);
}

function onInit({ isResumed, isNewHere, askedName }) {
	showApp();
	if (!isResumed && world.openKey != null) {
		const key = world.openKey;
		leaveTimeline();
		// Another identity may know nobody of that id.
		if (isDm(key) && key !== me.id && !users.has(key)) open(GENERAL, true);
		else {
			openTimeline(key);
			openHistory(conv(key));
			emit('opened', key);
		}
	}
	if (isNewHere && askedName && askedName.trim() !== me.name) toast(t('nameTaken', { name: me.name }));
	watchVersion();
}

// The server was updated while this page stayed open: a page nobody is writing in takes the new one, else it offers to.
function watchVersion() {
	const server = world.server.replace(/^wavechatd /, '');
	if (!server || VERSION.startsWith('__') || server === VERSION) return;
	try {
		if (sessionStorage.getItem('wave.reloaded') === server) return;
		sessionStorage.setItem('wave.reloaded', server);
	} catch {
		return;
	}
	if (document.hidden && !$('#input').value && !isRecording()) return location.reload();
	toast(t('updated'), { label: t('reload'), run: () => location.reload() });
}

// Keyboard

function onKey(event) {
	if ($('#app').hidden || document.querySelector('dialog[open]')) return;
	const command = event.ctrlKey || event.metaKey;
	if (command && event.key.toLowerCase() === 'k') {
		event.preventDefault();
		showPane('list');
		$('#search').focus();
	} else if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
		event.preventDefault();
		const key = siblingTalk(event.key === 'ArrowDown' ? 1 : -1);
		if (Number.isSafeInteger(key)) open(key);
	} else if ((event.key === 'PageUp' || event.key === 'PageDown') && event.target.id === 'input') {
		event.preventDefault();
		const scroller = $('#scroller');
		scroller.scrollBy(0, (event.key === 'PageUp' ? -0.85 : 0.85) * scroller.clientHeight);
	} else if (event.key === 'Escape' && !event.defaultPrevented && !isRecording()) emit('focusComposer');
}

// The height that the soft keyboard leaves.
function watchHeight() {
	const { visualViewport: view } = window;
	if (!view) return;
	const fit = () => {
		// Pinch zoom also changes the visual viewport; that is no keyboard.
		if (view.scale > 1.01) return;
		document.documentElement.style.setProperty('--app-height', `${Math.round(view.height)}px`);
		if (view.offsetTop) scrollTo(0, 0);
	};
	view.addEventListener('resize', fit);
	view.addEventListener('scroll', fit);
	fit();
}

// Trusted Types allow a worker's URL only from a named policy; this one knows a single URL.
function startWorker() {
	if (!navigator.serviceWorker || !window.isSecureContext) return;
	const policy = window.trustedTypes?.createPolicy('wave', { createScriptURL: () => '/sw.js' });
	navigator.serviceWorker.register(policy ? policy.createScriptURL('') : '/sw.js').catch(() => {});
}

// The code of a sign-in link, if the person wants to use it; '' otherwise. A link may come from anybody: nobody is signed in without being asked.
async function takeLinkCode() {
	const link = /^#link=(.*)$/.exec(location.hash);
	if (!link) return '';
	history.replaceState(null, '', location.pathname);
	if (!/^[A-Z0-9]{4,64}$/.test(link[1])) {
		if (token()) toast(t('linkBad'));
		else showEntry('linkBad');
		return '';
	}
	const old = token() && recall('me');
	if (!old) showEntry();
	const isWanted = old ? await ask(t('linkReplaceTitle'), t('linkReplace', { name: old.name }), t('continue'), t('stay', { name: old.name }))
		: await ask(t('linkAskTitle'), t('linkAsk'), t('signIn'), t('notNow'));
	return isWanted ? link[1] : '';
}

async function enter() {
	const code = await takeLinkCode();
	if (code) {
		start('', code);
	} else if (token()) {
		start(recall('me')?.name ?? '');
		// The shell at once, and the messages as soon as they are here.
		me.id = recall('me')?.id ?? 0;
		me.name = recall('me')?.name ?? '';
		showApp();
	} else if ($('#entry').hidden) showEntry();
}

function boot() {
	initLang();
	initSettings();
	initSession();
	initOutbox();
	initPlayer();
	initComposer();
	initVoice();
	initTimeline();
	initSidebar();
	initHeader();
	initViewer();
	initEntry();
	initNotify();
	watchNetwork();
	watchHeight();

	on('init', onInit);
	on('open', open);
	on('openDm', (id) => {
		if (id === me.id || users.has(id)) open(id);
	});
	on('showList', showList);
	on('notice', (key) => toast(t(key)));
	on('refused', (f) => !f.cid && f.code !== 'rate_limited' && toast(errorText(f.code) + (f.code === 'muted' ? '. ' + reasonOf(f.text) : '')));
	on('played', (m) => {
		const { after } = neighbours(conv(keyOf(m)), m.id, (other) => other.type === 'voice' && !!urlOf(other));
		if (m.id && after) togglePlay({ ...after, url: urlOf(after) });
	});
	on('signOut', signOut);
	on('signedOut', (hasEnded) => {
		forgetOutbox();
		leave(hasEnded);
		leaveTimeline();
		history.replaceState(null, '');
		location.reload();
	});
	addEventListener('popstate', onStep);
	narrow.addEventListener('change', () => {
		if (!narrow.matches && world.openKey == null) open(GENERAL, true);
	});
	addEventListener('storage', (event) => event.key === 'wave.read' && takeReadMarks());
	addEventListener('keydown', onKey);
	addEventListener('hashchange', () => location.hash.startsWith('#link=') && location.reload());
	enter();
	endTokens();
	startWorker();
}

boot();
