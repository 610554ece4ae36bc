// The microphone: one recording at a time, its level while it runs, and at the end a blob with duration and waveform. No UI.
import { packWaveform } from './waveform.js';
import { webmWithDuration } from './webm.js';

// The first one plays in Safari, Firefox and Chrome alike; each browser records at least one of them.
const FORMATS = ['audio/mp4;codecs=mp4a.40.2', 'audio/webm;codecs=opus', 'audio/mp4', 'audio/ogg;codecs=opus', 'audio/webm'];
const LEVEL_EVERY_MS = 60;
const BITS_PER_SECOND = 32000;
const MAX_SECONDS = 1800;

class MicError extends Error {
	constructor(kind) {
		super(kind);
		this.kind = kind;   // insecure | denied | missing | failed
	}
}

async function openMic() {
	if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) throw new MicError('insecure');
	if (!('MediaRecorder' in window)) throw new MicError('failed');
	try {
		return await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 } });
	} catch (e) {
		if (e.name === 'NotAllowedError' || e.name === 'SecurityError') throw new MicError('denied');
		throw new MicError(e.name === 'NotFoundError' || e.name === 'OverconstrainedError' ? 'missing' : 'failed');
	}
}

// Starts recording. onLevel(level 0..1, seconds) comes about 16 times a second; onFull when the length or size limit is reached.
export async function startRecording({ maxBytes, onLevel, onFull }) {
	const stream = await openMic();
	const mimeType = FORMATS.find((type) => MediaRecorder.isTypeSupported(type));
	let recorder, context;
	try {
		recorder = new MediaRecorder(stream, { ...(mimeType && { mimeType }), audioBitsPerSecond: BITS_PER_SECOND });
		context = new AudioContext();
	} catch {
		stream.getTracks().forEach((track) => track.stop());
		throw new MicError('failed');
	}
	const analyser = context.createAnalyser();
	analyser.fftSize = 1024;
	context.resume();
	context.createMediaStreamSource(stream).connect(analyser);
	const samples = new Float32Array(analyser.fftSize);
	const chunks = [], levels = [];
	let size = 0, isFull = false, startedAt = performance.now();

	recorder.ondataavailable = (event) => {
		if (!event.data.size) return;
		chunks.push(event.data);
		size += event.data.size;
	};
	const seconds = () => (performance.now() - startedAt) / 1000;
	const timer = setInterval(() => {
		analyser.getFloatTimeDomainData(samples);
		let sum = 0;
		for (const v of samples) sum += v * v;
		const level = Math.min(1, Math.sqrt(sum / samples.length) * 3.2);
		levels.push(level);
		onLevel(level, seconds());
		if (!isFull && (seconds() >= MAX_SECONDS || size > maxBytes - 65536)) {
			isFull = true;
			onFull();
		}
	}, LEVEL_EVERY_MS);

	recorder.start(1000);
	startedAt = performance.now();

	function close() {
		clearInterval(timer);
		stream.getTracks().forEach((track) => track.stop());
		context.close();
	}

	return {
		seconds,
		cancel() {
			recorder.ondataavailable = null;
			if (recorder.state !== 'inactive') recorder.stop();
			close();
		},
		async stop() {
			const duration = seconds();
			if (recorder.state !== 'inactive') {
				await new Promise((resolve) => {
					recorder.onstop = resolve;
					recorder.stop();
				});
			}
			close();
			const mime = (recorder.mimeType || mimeType || 'audio/webm').split(';')[0];
			let blob = new Blob(chunks, { type: mime });
			if (mime === 'audio/webm') blob = new Blob([webmWithDuration(new Uint8Array(await blob.arrayBuffer()), duration * 1000)], { type: mime });
			return { blob, mime, duration: Math.round(duration * 10) / 10, waveform: packWaveform(levels) };
		},
	};
}
