// Pictures in full: zoom by wheel, pinch, double tap and keys; the neighbours by arrows and swipe; a pull downwards closes.
import { h, icon, fill } from '../base/dom.js';
import { clamp } from '../base/util.js';
import { on } from '../base/bus.js';
import { t, fmtFull } from '../base/i18n.js';
import { conv, keyOf, neighbours } from '../talk/model.js';
import { isPicture, urlOf } from './message.js';
import { showModal } from './dialog.js';

const MAX_ZOOM = 8, SWIPE_PX = 70, PULL_PX = 110;

function openViewer(first) {
	let m = first, zoom = 1, x = 0, y = 0;
	const pointers = new Map();
	let startDistance = 0, startZoom = 1, moved = 0, swipe = 0, pull = 0, tapAt = -1e4;

	const img = h('img', { alt: '', draggable: 'false' });
	const stage = h('div', { class: 'viewer-stage' }, img);
	const caption = h('div', { class: 'viewer-caption' });
	const save = h('a', { class: 'icon-button' }, icon('download'));
	const control = (name, label, run) => h('button', { class: `icon-button viewer-${name}`, type: 'button', 'aria-label': t(label), title: t(label), onclick: run }, icon(name));
	const prev = control('prev', 'prev', () => go('before')), next = control('next', 'next', () => go('after'));
	const dialog = h('dialog', { class: 'viewer', 'aria-label': t('viewer') },
		h('div', { class: 'viewer-bar' }, caption, control('minus', 'zoomOut', () => zoomBy(1 / 1.5)), control('plus', 'zoomIn', () => zoomBy(1.5)), save,
			control('close', 'close', () => dialog.close())), stage, prev, next);

	function place(isSmooth = false) {
		const limitX = Math.max(0, (img.clientWidth * zoom - stage.clientWidth) / 2), limitY = Math.max(0, (img.clientHeight * zoom - stage.clientHeight) / 2);
		x = clamp(x, -limitX, limitX);
		y = clamp(y, -limitY, limitY);
		img.classList.toggle('smooth', isSmooth);
		img.style.transform = `translate(${x + swipe}px, ${y + pull}px) scale(${zoom})`;
		stage.classList.toggle('zoomed', zoom > 1);
	}

	// Zooms so that the point under the pointer stays under it.
	function zoomTo(to, cx = 0, cy = 0, isSmooth = true) {
		to = clamp(to, 1, MAX_ZOOM);
		x = cx - (cx - x) * to / zoom;
		y = cy - (cy - y) * to / zoom;
		zoom = to;
		if (zoom === 1) x = y = 0;
		place(isSmooth);
	}

	const zoomBy = (factor) => zoomTo(zoom * factor);
	const fromCentre = (event) => {
		const box = stage.getBoundingClientRect();
		return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
	};
	const around = () => (m.id ? neighbours(conv(keyOf(m)), m.id, isPicture) : { before: null, after: null });

	function show() {
		zoom = 1;
		x = y = swipe = pull = 0;
		img.src = urlOf(m);
		img.alt = t('pictureOf', { name: m.filename, from: m.from_name });
		fill(caption, h('b', { dir: 'auto' }, m.from_name), h('span', { dir: 'auto' }, `${m.filename} · ${fmtFull(m.at)}`));
		save.href = urlOf(m);
		save.download = m.filename;
		save.setAttribute('aria-label', t('download', { name: m.filename }));
		const { before, after } = around();
		prev.hidden = !before;
		next.hidden = !after;
		place();
	}

	function go(side) {
		const to = around()[side];
		swipe = pull = 0;
		if (to) {
			m = to;
			show();
		} else place(true);
	}

	function distance() {
		const [a, b] = [...pointers.values()];
		return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
	}

	stage.addEventListener('wheel', (event) => {
		event.preventDefault();
		zoomTo(zoom * Math.exp(-event.deltaY * 0.002), ...fromCentre(event), false);
	}, { passive: false });

	stage.addEventListener('pointerdown', (event) => {
		stage.setPointerCapture(event.pointerId);
		pointers.set(event.pointerId, event);
		moved = 0;
		if (pointers.size === 2) {
			startDistance = distance();
			startZoom = zoom;
		}
	});
	stage.addEventListener('pointermove', (event) => {
		const last = pointers.get(event.pointerId);
		if (!last) return;
		const dx = event.clientX - last.clientX, dy = event.clientY - last.clientY;
		pointers.set(event.pointerId, event);
		moved += Math.abs(dx) + Math.abs(dy);
		if (pointers.size === 2) zoomTo(startZoom * distance() / startDistance, ...fromCentre(event), false);
		else if (zoom > 1) {
			x += dx;
			y += dy;
			place();
		} else {
			// One way or the other, as it began.
			if (pull || !swipe && Math.abs(dy) > Math.abs(dx)) pull += dy;
			else swipe += dx;
			place();
		}
	});
	const up = (event) => {
		if (!pointers.delete(event.pointerId)) return;
		if (pointers.size) return;
		if (Math.abs(swipe) > SWIPE_PX) return go(swipe > 0 ? 'before' : 'after');
		if (pull > PULL_PX) return dialog.close();
		swipe = pull = 0;
		place(true);
		if (moved > 8) return;
		if (event.timeStamp - tapAt < 320) zoomTo(zoom > 1 ? 1 : 2.5, ...fromCentre(event));
		else if (event.target === stage && zoom === 1) dialog.close();
		tapAt = event.timeStamp;
	};
	stage.addEventListener('pointerup', up);
	stage.addEventListener('pointercancel', up);

	dialog.addEventListener('keydown', (event) => {
		const run = { ArrowLeft: () => go('before'), ArrowRight: () => go('after'), '+': () => zoomBy(1.5), '=': () => zoomBy(1.5), '-': () => zoomBy(1 / 1.5), 0: () => zoomTo(1) }[event.key];
		if (!run) return;
		event.preventDefault();
		run();
	});
	showModal(dialog);
	show();
}

export function initViewer() {
	on('view', openViewer);
}
