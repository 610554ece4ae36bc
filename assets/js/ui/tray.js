// Files waiting to be sent, each conversation its own: chosen, pasted or dropped, measured, shown as chips, posted.
import { $, fill, h, icon, toggle } from '../base/dom.js';
import { on } from '../base/bus.js';
import { fmtSize, t, tn } from '../base/i18n.js';
import { GENERAL, isReadOnly } from '../talk/model.js';
import { maxBytes, post } from '../talk/outbox.js';
import { toast } from './toast.js';

const tray = $('#tray');
const trays = new Map();      // conversation → what is attached there

let key = GENERAL;
let attached = [];            // {file, url, width, height}; url and size for pictures and films alone
let onChange = null;

export const attachedCount = () => attached.length;

// Width and height of a picture or film.
async function measure(file, url) {
	try {
		if (file.type.startsWith('image/') && file.type !== 'image/svg+xml') {
			const img = new Image();
			img.src = url;
			await img.decode();
			return { width: img.naturalWidth, height: img.naturalHeight };
		}
		if (file.type.startsWith('video/')) {
			const video = document.createElement('video');
			video.preload = 'metadata';
			video.src = url;
			await new Promise((resolve, reject) => {
				video.onloadedmetadata = resolve;
				video.onerror = reject;
				setTimeout(reject, 4000);
			});
			if (video.videoWidth) return { width: video.videoWidth, height: video.videoHeight };
		}
	} catch { /* not what its type says: it goes as it is, without a size */ }
	return {};
}

async function attach(files) {
	if (isReadOnly()) return;
	const where = key;
	const mine = attached;
	for (const file of files) {
		if (file.size > maxBytes('file')) {
			toast(t('tooLarge', { name: file.name, max: fmtSize(maxBytes('file')) }));
			continue;
		}
		if (!file.size) {
			toast(t('emptyFile', { name: file.name }));
			continue;
		}
		const isVisual = /^(image|video)\//.test(file.type);
		const url = isVisual ? URL.createObjectURL(file) : null;
		mine.push({ file, url, ...(isVisual ? await measure(file, url) : {}) });
	}
	if (where === key) {
		render();
		onChange();
	}
}

function remove(item) {
	attached.splice(attached.indexOf(item), 1);
	if (item.url) URL.revokeObjectURL(item.url);
	render();
	onChange();
}

function render() {
	toggle(tray, attached.length > 0);
	tray.setAttribute('aria-label', tn('attachments', attached.length));
	fill(tray, attached.map((item) => h('div', { class: 'chip' },
		item.url && item.file.type.startsWith('image/') ? h('img', { src: item.url, alt: '' }) : h('span', { class: 'chip-icon' }, icon('file')),
		h('span', { class: 'chip-text' }, h('span', { class: 'chip-name', dir: 'auto' }, item.file.name), h('span', { class: 'chip-note' }, fmtSize(item.file.size))),
		h('button', { class: 'chip-x', type: 'button', 'aria-label': t('removeAttachment', { name: item.file.name }), onclick: () => remove(item) }, icon('close')))));
}

export function openTray(where) {
	trays.set(key, attached);
	key = where;
	attached = trays.get(key) ?? [];
	render();
}

// Everything in the tray goes to the conversation `to`.
export function postTray(to) {
	for (const { file, url, ...size } of attached.splice(0)) {
		post(to, { type: 'file', blob: file, filename: file.name || 'file', mime: file.type || 'application/octet-stream', ...size });
		if (url) URL.revokeObjectURL(url);
	}
	render();
}

function initDrop() {
	const zone = $('#chat'), veil = $('#drop');
	let depth = 0;
	const hasFiles = (event) => event.dataTransfer?.types.includes('Files');
	zone.addEventListener('dragenter', (event) => {
		if (!hasFiles(event)) return;
		depth++;
		toggle(veil, true);
	});
	zone.addEventListener('dragleave', (event) => {
		if (hasFiles(event) && --depth <= 0) toggle(veil, false);
	});
	// A file dropped beside the chat must not replace the page.
	addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
	addEventListener('drop', (event) => {
		if (!hasFiles(event)) return;
		event.preventDefault();
		depth = 0;
		toggle(veil, false);
		if (!zone.contains(event.target)) return;
		const things = [...event.dataTransfer.items].map((item) => [item.webkitGetAsEntry?.(), item.getAsFile()]);
		for (const [entry] of things) if (entry?.isDirectory) toast(t('isFolder', { name: entry.name }));
		attach(things.filter(([entry, file]) => file && !entry?.isDirectory).map(([, file]) => file));
	});
}

// changed() after each file that came or went in the open conversation.
export function initTray(changed) {
	onChange = changed;
	const chooser = $('#files');
	$('#attach').addEventListener('click', () => chooser.click());
	chooser.addEventListener('change', () => {
		attach([...chooser.files]);
		chooser.value = '';
	});
	$('#input').addEventListener('paste', (event) => {
		const files = [...event.clipboardData?.files ?? []];
		// Office programs put a picture of a copied text beside the text: the text is meant.
		if (!files.length || event.clipboardData.types.includes('text/plain')) return;
		event.preventDefault();
		attach(files);
	});
	initDrop();
	on('lockdown', () => {
		$('#attach').disabled = isReadOnly();
	});
	on('lang', render);
}
