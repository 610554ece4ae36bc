// Recording by hand: hold to record, release to send, slide away to cancel, slide up to lock. By keyboard: press to start, then Send or Cancel.
import { $, toggle } from '../base/dom.js';
import { clamp } from '../base/util.js';
import { on } from '../base/bus.js';
import { t, fmtDuration } from '../base/i18n.js';
import { isReadOnly, world } from '../talk/model.js';
import { startRecording } from '../media/recorder.js';
import { maxBytes, post } from '../talk/outbox.js';
import { stopPlayer } from '../media/player.js';
import { tell } from './dialog.js';
import { toast } from './toast.js';

const TAP_MS = 350;            // shorter than this was a tap, not a hold
const MIN_SECONDS = 0.6;
const CANCEL_PX = 110, LOCK_PX = 70;

const mic = $('#mic'), bar = $('#recording'), meter = $('#rec-level'), clock = $('#rec-time'), hint = $('#rec-hint');

let rec = null;                // the running recording, or null
let isStarting = false, isWanted = false, wasTap = false;
let where = 0;                 // the conversation it began in: it is sent there
let isLocked = false, willCancel = false;
let startX = 0, startY = 0, pressedAt = 0;
const levels = [];

export const isRecording = () => !!rec || isStarting;

function render() {
	const isOn = !!rec;
	toggle(bar, isOn);
	$('#composer').classList.toggle('is-recording', isOn);
	$('#composer').classList.toggle('locked', isOn && isLocked);
	bar.classList.toggle('cancelling', willCancel);
	if (isOn) hint.textContent = t(isLocked ? 'locked' : willCancel ? 'releaseCancel' : 'slideCancel');
	toggle($('#rec-lock'), isOn && !isLocked);
}

// The last levels as bars, newest at the right.
function drawLevel() {
	const box = meter.getBoundingClientRect(), scale = devicePixelRatio || 1;
	if (meter.width !== Math.round(box.width * scale)) {
		meter.width = Math.round(box.width * scale);
		meter.height = Math.round(box.height * scale);
	}
	const g = meter.getContext('2d'), step = 5 * scale, mid = meter.height / 2;
	g.clearRect(0, 0, meter.width, meter.height);
	g.strokeStyle = getComputedStyle(meter).color;
	g.lineWidth = 3 * scale;
	g.lineCap = 'round';
	g.beginPath();
	for (let i = 0; i < levels.length; i++) {
		const x = meter.width - (levels.length - i) * step + step / 2;
		if (x < 0) continue;
		const half = Math.max(0.5, levels[i] * (mid - 3 * scale));
		g.moveTo(x, mid - half);
		g.lineTo(x, mid + half);
	}
	g.stroke();
}

async function begin() {
	if (rec || isStarting || isReadOnly()) return;
	isStarting = isWanted = true;
	where = world.openKey;
	levels.length = 0;
	stopPlayer();
	try {
		const started = await startRecording({
			maxBytes: maxBytes('voice'),
			onLevel(level, seconds) {
				levels.push(level);
				if (levels.length > 200) levels.shift();
				clock.textContent = fmtDuration(Math.floor(seconds));   // a second shows when it is over, as on any stopwatch
				drawLevel();
			},
			onFull: finish,
		});
		isStarting = false;
		// The hand let go while the browser was asking for permission.
		if (!isWanted) {
			started.cancel();
			return wasTap || toast(t('holdHint'));
		}
		rec = started;
		clock.textContent = fmtDuration(0);
		navigator.vibrate?.(15);
		render();
	} catch (e) {
		isStarting = false;
		reset();
		explain(e.kind ?? 'failed');
	}
}

function explain(kind) {
	if (kind === 'insecure') tell(t('micInsecureTitle'), t('micInsecure', { origin: location.origin }));
	else if (kind === 'denied') tell(t('micDeniedTitle'), t('micDenied'));
	else if (kind === 'missing') tell(t('micMissingTitle'), t('micMissing'));
	else toast(t('micFailed'));
}

function reset() {
	rec = null;
	isWanted = isLocked = willCancel = false;
	mic.style.transform = '';
	render();
}

function cancel() {
	rec?.cancel();
	reset();
}

async function finish() {
	const done = rec, to = where;
	if (!done) return reset();
	reset();
	const { blob, mime, duration, waveform } = await done.stop();
	if (duration < MIN_SECONDS || !blob.size) return toast(t('recTooShort'));
	post(to, { type: 'voice', blob, mime, duration, waveform });
}

function lock() {
	isLocked = true;
	willCancel = false;
	mic.style.transform = '';
	render();
	$('#rec-send').focus();
}

function onDown(event) {
	if (event.button || rec || isStarting) return;
	event.preventDefault();
	mic.setPointerCapture(event.pointerId);
	startX = event.clientX;
	startY = event.clientY;
	pressedAt = performance.now();
	begin();
}

function onMove(event) {
	if (!rec || isLocked || !mic.hasPointerCapture(event.pointerId)) return;
	const dx = event.clientX - startX, dy = event.clientY - startY;
	const away = getComputedStyle(mic).direction === 'rtl' ? dx : -dx;
	const wasCancel = willCancel;
	willCancel = away > CANCEL_PX;
	// The button follows the hand along one of the two ways it can go.
	mic.style.transform = Math.abs(dx) > Math.abs(dy) ? `translateX(${clamp(dx, -CANCEL_PX, 0)}px)` : `translateY(${clamp(dy, -LOCK_PX, 0)}px)`;
	if (dy < -LOCK_PX && away < CANCEL_PX / 2) return lock();
	if (wasCancel !== willCancel) render();
}

function onUp() {
	if (isLocked) return;
	wasTap = performance.now() - pressedAt < TAP_MS;
	isWanted = false;
	if (wasTap) {
		cancel();
		if (window.isSecureContext) toast(t('holdHint'));
	} else if (willCancel) cancel();
	else if (rec) finish();
}

export function initVoice() {
	mic.addEventListener('pointerdown', onDown);
	mic.addEventListener('pointermove', onMove);
	mic.addEventListener('pointerup', onUp);
	mic.addEventListener('pointercancel', () => isLocked || cancel());
	mic.addEventListener('contextmenu', (event) => event.preventDefault());
	// A click without a pointer is the keyboard's or a screen reader's: it cannot hold, so it locks at once.
	mic.addEventListener('click', async (event) => {
		if (event.detail !== 0) return;
		await begin();
		if (rec) lock();
	});
	$('#rec-cancel').addEventListener('click', () => {
		cancel();
		$('#input').focus();
	});
	$('#rec-send').addEventListener('click', () => {
		finish();
		$('#input').focus();
	});
	document.addEventListener('keydown', (event) => {
		if (event.key === 'Escape' && rec) {
			event.preventDefault();
			cancel();
		}
	});
	on('expelled', cancel);
	on('lang', render);
}
