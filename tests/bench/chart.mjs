// chart.mjs — deliveries a second as bars, an SVG that reads well on light and on dark.
const NAME = 100, BAR = 560, ROW = 22, GAP = 14, TOP = 62;
const GROUPS = ['1 sender', '4 senders', '32 senders'];

const short = v => (v >= 1e6 ? `${(v / 1e6).toFixed(v < 1e7 ? 2 : 1)} M` : v >= 1e3 ? `${Math.round(v / 1e3)} k` : String(Math.round(v)));
const escape = s => s.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

/** servers: [{name, values: a number for each group}], ours first. Each group has a scale of its own. */
export function drawChart(servers) {
	const groupHeight = 24 + servers.length * ROW + GAP;
	const width = NAME + BAR + 90, height = TOP + GROUPS.length * groupHeight;
	let s = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-labelledby="t">
<title id="t">Messages delivered a second to 1,000 clients, by server and number of senders</title>
<style>
text { font: 13px system-ui, sans-serif; fill: #24303c } .h { font-size: 16px; font-weight: 600 } .g { font-weight: 600 } .q { fill: #5b6875 }
.bar { fill: #9fb0c0 } .own { fill: #1673c9 } .track { fill: #8894a01f }
@media (prefers-color-scheme: dark) { text { fill: #e4e9ee } .q { fill: #9aa7b4 } .bar { fill: #5c6b7a } .own { fill: #4aa3f5 } }
</style>
<text class="h" x="0" y="18">Messages delivered a second</text>
<text class="q" x="0" y="38">1,000 clients in one room, 200 bytes, 4 messages in flight for each sender; every group to its own scale</text>
`;
	GROUPS.forEach((group, g) => {
		const y0 = TOP + g * groupHeight, most = Math.max(...servers.map(x => x.values[g] || 0), 1);
		s += `<text class="g" x="0" y="${y0 + 14}">${group}</text>\n`;
		servers.forEach((server, i) => {
			const y = y0 + 22 + i * ROW, value = server.values[g], w = Number.isFinite(value) ? Math.max(1, (value / most) * BAR) : 0;
			s += `<text x="0" y="${y + 13}">${escape(server.name)}</text><rect class="track" x="${NAME}" y="${y}" width="${BAR}" height="16" rx="3"/>` +
				`<rect class="${i === 0 ? 'own' : 'bar'}" x="${NAME}" y="${y}" width="${w.toFixed(1)}" height="16" rx="3"/>` +
				`<text x="${NAME + BAR + 8}" y="${y + 13}">${Number.isFinite(value) ? short(value) : '–'}</text>\n`;
		});
	});
	return s + '</svg>\n';
}
