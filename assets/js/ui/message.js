// One message as DOM: its bubble by kind, its state, its actions. A row is rebuilt when the message changes; grouping is only classes.
import { h, icon, avatar, fill } from '../base/dom.js';
import { clamp, hueOf } from '../base/util.js';
import { emit } from '../base/bus.js';
import { t, fmtTime, fmtFull, fmtSize, fmtDuration, fmtNumber, fmtDay } from '../base/i18n.js';
import { isMine, limits, me, mentionsMe } from '../talk/model.js';
import { net } from '../talk/net.js';
import { markup } from '../media/markup.js';
import { isEmojiOnly } from '../media/emoji.js';
import { discard, previews, retry } from '../talk/outbox.js';
import { waveformView } from '../media/waveform.js';
import { copyText } from './toast.js';
import { player, playerKey, togglePlay, seekTo, nextRate, currentRate } from '../media/player.js';

const IMAGES = ['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif'];
const VIDEOS = ['video/mp4', 'video/webm'];
const AUDIOS = ['audio/mpeg', 'audio/mp3', 'audio/ogg', 'audio/wav', 'audio/x-wav', 'audio/mp4', 'audio/x-m4a', 'audio/aac', 'audio/webm'];
const BOX_W = 360, BOX_H = 380;

// A URL of the server's own files, or of this tab's blobs; nothing else is ever fetched or linked.
function safeUrl(url) {
	if (typeof url !== 'string') return null;
	return /^\/f\/[^\\]+$/.test(url) || url.startsWith(`blob:${location.origin}/`) ? url : null;
}

// Files sent by this tab are shown from memory, also after the echo: no flicker, no second transfer.
export const urlOf = (m) => (m.deleted || m.gone ? null : safeUrl(m.cid && previews.get(m.cid)) ?? safeUrl(m.url));

const mimeOf = (m) => String(m.mime ?? '').split(';')[0].trim().toLowerCase();
export const isPicture = (m) => m.type === 'file' && IMAGES.includes(mimeOf(m)) && !!urlOf(m);

// In one line, for lists and notifications.
export function summary(m) {
	if (m.deleted) return t('deletedMessage');
	if (m.type === 'voice') return t('voice');
	if (m.type === 'file') return IMAGES.includes(mimeOf(m)) ? t('photo') : VIDEOS.includes(mimeOf(m)) ? t('video') : String(m.filename ?? t('file'));
	return String(m.text ?? '').replace(/```(?:\w+\n)?|`/g, '').replace(/\s+/g, ' ').trim();
}

function progressRing(entry) {
	const ring = h('button', { class: 'ring', type: 'button', 'aria-label': t('cancel'), onclick: () => discard(entry) }, icon('close'));
	const show = () => {
		ring.style.setProperty('--p', entry.progress);
		ring.title = t('uploading', { percent: Math.round(entry.progress * 100) + '%' });
	};
	show();
	ring.dataset.cid = entry.cid;
	return ring;
}

export function showProgress(row, entry) {
	const ring = row.querySelector('.ring');
	if (!ring) return;
	ring.style.setProperty('--p', entry.progress);
	ring.title = t('uploading', { percent: Math.round(entry.progress * 100) + '%' });
	const note = row.querySelector('.file-note');
	if (note) note.textContent = `${fmtSize(entry.blob.size * entry.progress)} / ${fmtSize(entry.blob.size)}`;
}

const isMoving = (m) => m.entry && m.entry.state !== 'failed' && m.entry.blob;

function boxOf(m) {
	const w = Number(m.width), hgt = Number(m.height);
	if (!(w > 0 && hgt > 0 && w < 1e5 && hgt < 1e5)) return { w: 280, h: 210, known: false };
	const scale = Math.min(1, BOX_W / w, BOX_H / hgt);
	return { w: clamp(w * scale, 96, BOX_W), h: clamp(hgt * scale, 64, BOX_H), known: true };
}

function sized(el, box) {
	el.style.width = box.w + 'px';
	el.style.aspectRatio = `${box.w} / ${box.h}`;
	return el;
}

function pictureView(m, url) {
	const img = h('img', { src: url, alt: t('pictureOf', { name: m.filename, from: m.from_name }), decoding: 'async', draggable: 'false' });
	img.addEventListener('error', () => img.closest('.bubble')?.classList.add('broken'));
	const button = h('button', { class: 'pic', type: 'button', onclick: () => emit('view', m) }, img);
	return h('div', { class: 'media' }, sized(button, boxOf(m)), isMoving(m) && progressRing(m.entry));
}

function videoView(m, url) {
	const video = h('video', { src: url, controls: true, preload: 'metadata', playsinline: true, 'aria-label': m.filename });
	return h('div', { class: 'media' }, sized(video, boxOf(m)), isMoving(m) && progressRing(m.entry));
}

function extension(name) {
	const ext = /\.([\p{L}\p{N}]{1,5})$/u.exec(name)?.[1];
	return ext ? ext.toUpperCase() : '';
}

function fileView(m, url) {
	const name = String(m.filename ?? t('file'));
	const badge = isMoving(m) ? progressRing(m.entry) : h('span', { class: 'file-badge', 'aria-hidden': 'true' }, extension(name) || icon('file'));
	const note = h('span', { class: 'file-note' }, m.gone ? t('gone') : fmtSize(Number(m.size) || 0));
	const body = h('span', { class: 'file-text' }, h('span', { class: 'file-name', dir: 'auto' }, name), note);
	if (!url || isMoving(m)) return h('div', { class: 'file' }, badge, body);
	return h('a', { class: 'file', href: url, download: name, title: t('download', { name }) }, badge, body, icon('download', 'file-get'));
}

function audioView(m, url) {
	return [fileView(m, url), h('audio', { src: url, controls: true, preload: 'none', 'aria-label': m.filename })];
}

function voiceView(m, url) {
	const key = playerKey(m);
	const button = h('button', { class: 'voice-play', type: 'button', disabled: !url });
	const track = h('div', { class: 'voice-track', role: 'slider', tabindex: '0', 'aria-label': t('seek'), 'aria-valuemin': '0' }, waveformView(m.waveform));
	const time = h('span', { class: 'voice-time' });
	const speed = h('button', { class: 'voice-speed', type: 'button', onclick: nextRate });
	const duration = Number(m.duration) || 0;
	const voiced = { ...m, url };
	let was = '';

	function show() {
		const isLoaded = player.id === key, playing = isLoaded && player.isPlaying;
		const total = isLoaded ? player.duration || duration : duration;
		const at = isLoaded ? player.position : 0;
		track.style.setProperty('--played', total ? clamp(at / total, 0, 1) : 0);
		const state = `${playing} ${isLoaded} ${isLoaded && player.error} ${Math.floor(at)} ${currentRate()}`;
		if (state === was) return;
		was = state;
		fill(button, icon(playing ? 'pause' : 'play'));
		button.setAttribute('aria-label', t(playing ? 'pause' : 'play'));
		time.textContent = isLoaded && player.error ? t('voiceFailed') : m.gone ? t('gone') : fmtDuration(isLoaded && at ? at : total);
		track.setAttribute('aria-valuemax', Math.round(total));
		track.setAttribute('aria-valuenow', Math.round(at));
		track.setAttribute('aria-valuetext', `${fmtDuration(at)} / ${fmtDuration(total)}`);
		speed.textContent = `${fmtNumber(currentRate())}×`;
		speed.setAttribute('aria-label', `${t('speed')}: ${fmtNumber(currentRate())}×`);
		speed.hidden = !isLoaded;
	}

	button.addEventListener('click', () => togglePlay(voiced));
	const toPoint = (event) => {
		const box = track.getBoundingClientRect();
		seekTo(voiced, clamp((event.clientX - box.left) / box.width, 0, 1) * ((player.id === key && player.duration) || duration));
	};
	if (url) {
		track.addEventListener('pointerdown', (event) => {
			if (event.button) return;
			track.setPointerCapture(event.pointerId);
			// A finger may be about to scroll: it seeks when it goes sideways or lets go.
			if (event.pointerType !== 'touch') toPoint(event);
		});
		track.addEventListener('pointerup', (event) => event.pointerType === 'touch' && toPoint(event));
		track.addEventListener('pointermove', (event) => track.hasPointerCapture(event.pointerId) && toPoint(event));
		track.addEventListener('keydown', (event) => {
			const step = { ArrowRight: 2, ArrowUp: 2, ArrowLeft: -2, ArrowDown: -2 }[event.key];
			if (step) seekTo(voiced, (player.id === key ? player.position : 0) + step);
			else if (event.key === ' ' || event.key === 'Enter') togglePlay(voiced);
			else return;
			event.preventDefault();
		});
	}
	const view = h('div', { class: 'voice' }, isMoving(m) ? progressRing(m.entry) : button, h('div', { class: 'voice-body' }, track, h('div', { class: 'voice-foot' }, time, speed)));
	view.showPlayer = show;
	show();
	return view;
}

function content(m) {
	if (m.deleted) return h('p', { class: 'text deleted' }, t('deletedMessage'));
	const url = urlOf(m);
	if (m.type === 'text') {
		const text = String(m.text ?? '');
		return h('div', { class: `text ${isEmojiOnly(text) ? 'big' : ''}`, dir: 'auto' }, markup(text, me.name));
	}
	if (m.type === 'voice') return voiceView(m, url);
	const mime = mimeOf(m);
	if (url && IMAGES.includes(mime)) return pictureView(m, url);
	if (url && VIDEOS.includes(mime)) return videoView(m, url);
	if (url && AUDIOS.includes(mime) && !m.entry) return audioView(m, url);
	return fileView(m, url);
}

export function errorText(code) {
	const key = 'err_' + code, text = t(key, { max: fmtSize(limits.max_file_mb * 1048576) });
	return text === key ? t('err_unknown') : text;
}

function stateIcon(m) {
	if (!m.entry) return icon('sent', 'state');
	return m.entry.state === 'failed' ? icon('failed', 'state') : icon('clock', 'state');
}

function stateLabel(m) {
	if (!m.entry) return t('sent');
	if (m.entry.state === 'failed') return t('failed');
	return t(m.entry.state === 'queued' && net.state !== 'ready' ? 'waiting' : 'sending');
}

function meta(m) {
	return h('span', { class: 'meta' },
		h('time', { datetime: new Date(m.at).toISOString(), title: fmtFull(m.at) }, fmtTime(m.at)),
		isMine(m) && [stateIcon(m), h('span', { class: 'vh' }, stateLabel(m))]);
}

function failure(m) {
	if (m.entry?.state !== 'failed') return null;
	return h('div', { class: 'failure' },
		h('span', {}, `${t('failed')}. ${errorText(m.entry.error)}`),
		h('button', { type: 'button', onclick: () => retry(m.entry) }, t('retry')),
		h('button', { type: 'button', onclick: () => discard(m.entry) }, t('discard')));
}

function actions(m) {
	if (m.deleted || m.type !== 'text' || m.entry) return null;
	return h('button', { class: 'act', type: 'button', 'aria-label': t('copy'), title: t('copy'), onclick: () => copyText(m.text) }, icon('copy'));
}

const isVisual = (m) => !m.deleted && m.type === 'file' && [...IMAGES, ...VIDEOS].includes(mimeOf(m)) && !!urlOf(m);

export function messageRow(m) {
	const mine = isMine(m), name = String(m.from_name);
	const openDm = () => emit('openDm', m.from_id);
	const who = mine
		? h('span', { class: 'vh' }, t('you'))
		: h('button', { class: 'who', type: 'button', dir: 'auto', title: t('writePrivately', { name }), vars: { '--hue': hueOf(m.from_id) }, onclick: openDm }, name);
	const face = mine ? null : h('button', { class: 'face', type: 'button', tabindex: '-1', 'aria-hidden': 'true', onclick: openDm }, avatar(m.from_id, name));
	const body = content(m);
	const kind = m.deleted ? 'is-text' : m.type === 'text' && body.classList.contains('big') ? 'is-jumbo' : isVisual(m) ? 'is-visual' : 'is-' + m.type;
	const bubble = h('div', { class: `bubble ${kind} ${mentionsMe(m) && !mine ? 'at-me' : ''}` }, who, body, meta(m));
	const line = h('div', { class: 'line' }, face, h('div', { class: 'stack' }, bubble, failure(m)), actions(m));
	const row = h('div', { class: `row ${mine ? 'mine' : 'theirs'} ${m.entry?.state === 'failed' ? 'failed' : ''} ${m.entry ? 'pending' : ''}` }, line);
	row.showPlayer = body.showPlayer;
	return row;
}

// The lines above a row: the day, "new messages". Rebuilt only when they change.
export function setRowFrame(row, { first, last, day, isNew, at }) {
	row.classList.toggle('first', first);
	row.classList.toggle('last', last);
	const frame = `${day ? fmtDay(at) : ''}|${isNew ? t('newMessages') : ''}`;
	if (row.frame === frame) return;
	row.frame = frame;
	row.querySelectorAll(':scope > .sep').forEach((el) => el.remove());
	if (isNew) row.prepend(h('div', { class: 'sep new' }, h('span', {}, t('newMessages'))));
	if (day) row.prepend(h('div', { class: 'sep day' }, h('span', {}, fmtDay(at))));
}
