/* embed.c — makes the client of assets/ into C: one page with its styles and scripts inside, its Content-Security-Policy, the icons.
 * A program of the build, single-threaded; nothing of it runs in the server. Usage: embed ASSETS_DIR OUT.c VERSION
 *
 * Its work on the parts, and its demands on them (it stops with file and line where they are not met):
 *
 * - index.html: the <link rel="stylesheet" href="…"> lines become one <style>, the one <script type="module" src="…"></script> line one
 *   inline module. Everything else stays; indentation and whole-line comments go.
 * - scripts: every module becomes a function of its own, run once, in the order of the imports; the function returns its exports.
 *       import { a, b } from './x.js';   →  const { a, b } = M3;
 *       export const c = …               →  const c = …  and at the end  return { c };
 *   So imports and exports stand at the start of a line, one name to an export. Refused are default, "as", "export let" (the importer would
 * hold a copy), cycles, await outside functions, and template literals over several lines.
 * - comments: lines beginning with two slashes go, and what follows three spaces and two slashes. Nothing cleverer is tried: gzip does the
 * rest.
 * - "__VERSION__" becomes VERSION everywhere, "__BUILD__" in sw.js a digest of the page, so that the worker changes whenever the page does.
 * - icon-192.png and icon-512.png are drawn here from the same curve as icon.svg; no binary file is kept in the tree. */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/evp.h>
#include <zlib.h>

#define MODULES_MAX 128
#define NAMES_MAX 128

struct text {
	char *p;
	size_t len, cap;
};

struct module {
	char path[256];         /* relative to assets/ */
	char *names[NAMES_MAX]; /* what it exports */
	int names_len;
	bool is_done; /* false while its imports are being read: meeting it then is a cycle */
};

static const char *assets_dir, *version;
static struct module modules[MODULES_MAX];
static int modules_len;

static void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
static void die(const char *format, ...)
{
	va_list args;

	fputs("embed: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static void text_add(struct text *t, const void *bytes, size_t len)
{
	if (t->len + len + 1 > t->cap) {
		t->cap = (t->len + len + 1) * 2;
		t->p = realloc(t->p, t->cap);
		if (!t->p)
			die("out of memory");
	}
	memcpy(t->p + t->len, bytes, len);
	t->len += len;
	t->p[t->len] = 0;
}

static void text_puts(struct text *t, const char *s)
{
	text_add(t, s, strlen(s));
}

static void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text_printf(struct text *t, const char *format, ...)
{
	char line[4096];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line))
		die("a line is too long");
	text_add(t, line, (size_t)n);
}

static char *copy_of(const char *p, size_t len)
{
	struct text t = { 0 };

	text_add(&t, p, len);
	return t.p;
}

static struct text file_read(const char *name)
{
	struct text t = { 0 };
	char path[1024], chunk[65536];
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", assets_dir, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		die("%s: %s", path, strerror(errno));
	text_puts(&t, "");
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		text_add(&t, chunk, n);
	if (ferror(f))
		die("%s: cannot be read", path);
	fclose(f);
	if (memchr(t.p, 0, t.len))
		die("%s: holds a zero byte, so it is not text", path);
	return t;
}

static struct text replaced(const struct text *in, const char *what, const char *with)
{
	struct text out = { 0 };
	const char *from = in->p, *hit;

	text_puts(&out, "");
	while ((hit = strstr(from, what))) {
		text_add(&out, from, (size_t)(hit - from));
		text_puts(&out, with);
		from = hit + strlen(what);
	}
	text_puts(&out, from);
	return out;
}

static bool starts(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

static void sha256(const void *bytes, size_t len, uint8_t out[static 32])
{
	if (!EVP_Digest(bytes, len, out, NULL, EVP_sha256(), NULL))
		die("SHA-256 failed");
}

/* --- Styles --- */

/* Comments and indentation go, and the line ends that separate nothing. Strings are passed over as they are. */
static void add_style(struct text *out, const char *name)
{
	struct text css = file_read(name);
	char quote = 0;

	for (const char *p = css.p; *p; p++) {
		if (quote) {
			if (*p == '\n')
				die("%s: a string runs over the end of its line", name);
			if (*p == quote)
				quote = 0;
		} else if (p[0] == '/' && p[1] == '*') {
			p = strstr(p + 2, "*/");
			if (!p)
				die("%s: a comment without end", name);
			p++;
			continue;
		} else if (*p == '"' || *p == '\'') {
			quote = *p;
		} else if (*p == '\n' || *p == '\t') {
			if (out->len && strchr("{};,", out->p[out->len - 1]))
				continue;
			if (*p == '\t')
				die("%s: a tab inside a line", name);
		}
		text_add(out, p, 1);
	}
	free(css.p);
}

/* --- Scripts --- */

/* "js/ui/a.js" and "../b.js" → "js/b.js" */
static void path_join(char *out, size_t cap, const char *base, const char *relative)
{
	char dir[256];

	snprintf(dir, sizeof(dir), "%s", base);
	char *slash = strrchr(dir, '/');
	if (slash)
		*slash = 0;
	else
		dir[0] = 0;
	for (;;) {
		if (starts(relative, "./")) {
			relative += 2;
		} else if (starts(relative, "../")) {
			relative += 3;
			slash = strrchr(dir, '/');
			if (!dir[0])
				die("%s: an import leads out of the assets", base);
			if (slash)
				*slash = 0;
			else
				dir[0] = 0;
		} else {
			break;
		}
	}
	int n = dir[0] ? snprintf(out, cap, "%s/%s", dir, relative) : snprintf(out, cap, "%s", relative);
	if (n < 0 || (size_t)n >= cap)
		die("%s: a path is too long", base);
}

static bool is_name_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$';
}

static size_t name_length(const char *p)
{
	size_t n = 0;

	while (is_name_char(p[n]))
		n++;
	return n;
}

static size_t count_char(const char *p, size_t len, char c)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += p[i] == c;
	return n;
}

/* The length of the line without its trailing comment. Inside an open string nothing is a comment. */
static size_t code_length(const char *line, size_t len)
{
	for (size_t i = 0; i + 5 <= len; i++) {
		if (memcmp(line + i, "   //", 5) != 0)
			continue;
		if (count_char(line, i, '\'') % 2 || count_char(line, i, '"') % 2 || count_char(line, i, '`') % 2)
			continue;
		return i;
	}
	return len;
}

static int module_add(const char *path);

/* One "import { a, b } from './x.js';" → "const{a,b}=M3;" */
static void add_import(struct text *out, struct module *m, const char *line, size_t len, int line_no)
{
	char statement[2048], path[256], target[200];

	if (len >= sizeof(statement))
		die("%s:%d: an import is too long", m->path, line_no);
	memcpy(statement, line, len);
	statement[len] = 0;
	char *open = strchr(statement, '{'), *close = strchr(statement, '}');
	char *quote = close ? strchr(close, '\'') : NULL, *end = quote ? strchr(quote + 1, '\'') : NULL;
	if (!open || !close || !end || !starts(end, "';") || quote[1] != '.' || end - quote - 1 >= (long)sizeof(target))
		die("%s:%d: an import must read: import { a, b } from './x.js';", m->path, line_no);
	snprintf(target, sizeof(target), "%.*s", (int)(end - quote - 1), quote + 1);
	path_join(path, sizeof(path), m->path, target);

	int index = module_add(path);
	const struct module *from = &modules[index];
	text_puts(out, "const{");
	bool is_first = true;
	for (char *p = open + 1; p < close;) {
		size_t n = name_length(p);
		if (!n) {
			if (!strchr(", \t\n", *p))
				die("%s:%d: only plain names can be imported", m->path, line_no);
			p++;
			continue;
		}
		bool is_there = false;
		for (int i = 0; i < from->names_len; i++)
			is_there |= strlen(from->names[i]) == n && memcmp(from->names[i], p, n) == 0;
		if (!is_there)
			die("%s:%d: %s exports no %.*s", m->path, line_no, path, (int)n, p);
		text_printf(out, "%s%.*s", is_first ? "" : ",", (int)n, p);
		is_first = false;
		p += n;
	}
	text_printf(out, "}=M%d;\n", index);
}

/* Notes the exported name; returns where the declaration itself begins. */
static const char *take_export(struct module *m, const char *line, int line_no)
{
	static const char *const kinds[] = { "const ", "function ", "async function ", "class ", NULL };
	const char *declaration = line + strlen("export ");

	for (int i = 0; kinds[i]; i++) {
		if (!starts(declaration, kinds[i]))
			continue;
		const char *name = declaration + strlen(kinds[i]);
		size_t n = name_length(name);
		if (!n || m->names_len == NAMES_MAX)
			break;
		m->names[m->names_len++] = copy_of(name, n);
		return declaration;
	}
	die("%s:%d: only \"export const|function|async function|class NAME\" is understood", m->path, line_no);
}

static struct text bundle; /* the modules that are finished, in order */

/* Reads a module and, before it, what it imports. Returns its number. */
static int module_add(const char *path)
{
	for (int i = 0; i < modules_len; i++) {
		if (strcmp(modules[i].path, path) != 0)
			continue;
		if (!modules[i].is_done)
			die("%s: imports itself by a circle", path);
		return i;
	}
	if (modules_len == MODULES_MAX)
		die("more than %d modules", MODULES_MAX);
	int index = modules_len++;
	struct module *m = &modules[index];
	snprintf(m->path, sizeof(m->path), "%s", path);

	struct text source = file_read(path), body = { 0 };
	text_printf(&body, "const M%d=(()=>{\n", index);
	int line_no = 1;
	for (const char *line = source.p, *next; *line; line = next, line_no++) {
		const char *end = strchr(line, '\n');
		if (!end)
			die("%s: the last line has no end", path);
		next = end + 1;
		if (starts(line, "import ")) {
			/* A long import may be broken over lines; it ends with its semicolon. */
			const char *stop = strchr(line, ';');
			if (!stop)
				die("%s:%d: an import without end", path, line_no);
			end = strchr(stop, '\n');
			if (!end)
				die("%s: the last line has no end", path);
			add_import(&body, m, line, (size_t)(stop + 1 - line), line_no);
			line_no += (int)count_char(line, (size_t)(end - line), '\n');
			next = end + 1;
			continue;
		}
		const char *code = line;
		if (starts(line, "export "))
			code = take_export(m, line, line_no);
		while (*code == '\t')
			code++;
		size_t len = code_length(code, (size_t)(end - code));
		if (!len || starts(code, "//"))
			continue;
		if (starts(code, "/*"))
			die("%s:%d: comments here are of two slashes", path, line_no);
		if (count_char(code, len, '`') % 2)
			die("%s:%d: a template literal must end on its line", path, line_no);
		text_add(&body, code, len);
		text_puts(&body, "\n");
	}
	text_puts(&body, "return{");
	for (int i = 0; i < m->names_len; i++)
		text_printf(&body, "%s%s", i ? "," : "", m->names[i]);
	text_puts(&body, "};\n})();\n");
	text_add(&bundle, body.p, body.len);
	free(body.p);
	free(source.p);
	m->is_done = true;
	return index;
}

/* --- The page --- */

static char page_csp[2048];

/* The value of attribute in a line of index.html, e.g. href="…". */
static char *attribute(const char *line, const char *name)
{
	char key[64];

	snprintf(key, sizeof(key), "%s=\"", name);
	const char *from = strstr(line, key);
	const char *to = from ? strchr(from + strlen(key), '"') : NULL;
	if (!to)
		die("index.html: no %s in: %s", name, line);
	from += strlen(key);
	return copy_of(from, (size_t)(to - from));
}

static void digest_base64(const struct text *t, char out[static 48])
{
	uint8_t digest[32];

	sha256(t->p, t->len, digest);
	EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}

/* One <style> or <script> may hold anything but its own end. */
static void check_inline(const struct text *t, const char *tag)
{
	for (const char *p = t->p; (p = strchr(p, '<')); p++) {
		if (strncasecmp(p + 1, "!--", 3) == 0 || (p[1] == '/' && strncasecmp(p + 2, tag, strlen(tag)) == 0))
			die("the inlined %s holds \"%.12s\", which would end it", tag, p);
	}
}

static struct text make_page(void)
{
	struct text html = file_read("index.html"), out = { 0 }, style = { 0 }, script = { 0 };
	bool has_style = false, has_script = false;
	char style_hash[48], script_hash[48];

	for (char *line = html.p, *next; line && *line; line = next) {
		char *end = strchr(line, '\n');
		next = end ? end + 1 : NULL;
		if (end)
			*end = 0;
		while (*line == '\t')
			line++;
		if (starts(line, "<link rel=\"stylesheet\"")) {
			char *name = attribute(line, "href");
			add_style(&style, name);
			free(name);
			continue;
		}
		if (style.len && !has_style) {
			struct text final = replaced(&style, "__VERSION__", version);
			check_inline(&final, "style");
			digest_base64(&final, style_hash);
			text_puts(&out, "<style>");
			text_add(&out, final.p, final.len);
			text_puts(&out, "</style>\n");
			free(final.p);
			has_style = true;
		}
		if (starts(line, "<script ")) {
			if (has_script)
				die("index.html: only one script");
			char *name = attribute(line, "src");
			module_add(name);
			script = replaced(&bundle, "__VERSION__", version);
			check_inline(&script, "script");
			digest_base64(&script, script_hash);
			text_puts(&out, "<script type=\"module\">");
			text_add(&out, script.p, script.len);
			text_puts(&out, "</script>\n");
			free(name);
			has_script = true;
			continue;
		}
		if (starts(line, "<!--") && strstr(line, "-->"))
			continue;
		if (strstr(line, "<style") || strstr(line, " style=") || strstr(line, " onclick="))
			die("index.html: no inline styles or handlers: %s", line);
		text_puts(&out, line);
		text_puts(&out, "\n");
	}
	if (!has_style || !has_script)
		die("index.html: a stylesheet and a module script are needed");
	/* No unsafe-anything: the one script and the one style by their hashes, the server itself for all else. */
	snprintf(page_csp, sizeof(page_csp),
	         "default-src 'none'; script-src 'sha256-%s'; style-src 'sha256-%s'; img-src 'self' blob: data:; media-src 'self' blob:; "
	         "connect-src 'self'; manifest-src 'self'; worker-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
	         "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types wave",
	         script_hash, style_hash);
	free(html.p);
	free(style.p);
	free(script.p);
	return out;
}

static struct text make_worker(const struct text *page)
{
	struct text source = file_read("sw.js"), out = { 0 };
	uint8_t digest[32];
	char build[32];

	sha256(page->p, page->len, digest);
	snprintf(build, sizeof(build), "%02x%02x%02x%02x%02x%02x", digest[0], digest[1], digest[2], digest[3], digest[4], digest[5]);
	struct text named = replaced(&source, "__BUILD__", build);
	for (const char *line = named.p, *next; *line; line = next) {
		const char *end = strchr(line, '\n');
		next = end ? end + 1 : line + strlen(line);
		while (*line == '\t')
			line++;
		if (!starts(line, "//"))
			text_add(&out, line, (size_t)(next - line));
	}
	free(named.p);
	free(source.p);
	return out;
}

/* --- Icons --- */

struct point {
	double x, y;
};

#define WAVE_POINTS 61

/* icon.svg's curve, M96 y q53-66 106.7 0 t106.7 0 106.6-4, as points: three arcs of a parabola, 33 above and below. */
static void wave_points(struct point out[static WAVE_POINTS], double y)
{
	static const struct point ends[4] = { { 96, 0 }, { 202.7, 0 }, { 309.4, 0 }, { 416, -4 } },
				  controls[3] = { { 149, -66 }, { 256.4, 66 }, { 362.4, -66 } };

	for (int arc = 0; arc < 3; arc++) {
		for (int i = 0; i <= 20; i++) {
			double t = i / 20.0, u = 1 - t;
			struct point a = ends[arc], b = controls[arc], c = ends[arc + 1];
			out[arc * 20 + i].x = u * u * a.x + 2 * u * t * b.x + t * t * c.x;
			out[arc * 20 + i].y = y + u * u * a.y + 2 * u * t * b.y + t * t * c.y;
		}
	}
}

static double least(double a, double b)
{
	return a < b ? a : b;
}

/* The square of the distance from the wave. */
static double distance_squared(const struct point *points, double x, double y)
{
	double best = 1e9;

	for (int i = 0; i + 1 < WAVE_POINTS; i++) {
		double dx = points[i + 1].x - points[i].x, dy = points[i + 1].y - points[i].y;
		double t = ((x - points[i].x) * dx + (y - points[i].y) * dy) / (dx * dx + dy * dy);
		t = t < 0 ? 0 : t > 1 ? 1 : t;
		double ex = points[i].x + t * dx - x, ey = points[i].y + t * dy - y;
		best = least(best, ex * ex + ey * ey);
	}
	return best;
}

static void png_chunk(struct text *out, const char *type, const uint8_t *data, size_t len)
{
	uint8_t word[4] = { (uint8_t)(len >> 24), (uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len };
	uLong crc = crc32(crc32(0, (const Bytef *)type, 4), data, (uInt)len);

	text_add(out, word, 4);
	text_add(out, type, 4);
	text_add(out, data, len);
	for (int i = 0; i < 4; i++)
		word[i] = (uint8_t)(crc >> (24 - 8 * i));
	text_add(out, word, 4);
}

/* The mark to the very edge, without rounded corners: the system that shows it cuts its own shape. */
static struct text make_icon(int size)
{
	static const double top[3] = { 0x14, 0xa0, 0x98 }, bottom[3] = { 0x0a, 0x5f, 0x6b };
	struct point waves[2][WAVE_POINTS];
	size_t row = 1 + (size_t)size * 3, raw_len = row * (size_t)size;
	uint8_t *raw = calloc(1, raw_len);
	double scale = 512.0 / size;

	if (!raw)
		die("out of memory");
	wave_points(waves[0], 212);
	wave_points(waves[1], 322);
	for (int py = 0; py < size; py++) {
		double y = (py + 0.5) * scale;
		for (int px = 0; px < size; px++) {
			double x = (px + 0.5) * scale, d2 = least(distance_squared(waves[0], x, y), distance_squared(waves[1], x, y));
			/* How far inside the 38 wide stroke, in pixels. Exact at the edge, which is where it shows; saves the root. */
			double inside = (19 * 19 - d2) / (2 * 19) / scale + 0.5, white = inside < 0 ? 0 : least(inside, 1);
			for (int c = 0; c < 3; c++) {
				double ground = top[c] + (bottom[c] - top[c]) * y / 512;
				raw[(size_t)py * row + 1 + (size_t)px * 3 + (size_t)c] = (uint8_t)(ground + (255 - ground) * white + 0.5);
			}
		}
	}

	uLongf packed_len = compressBound(raw_len);
	uint8_t *packed = malloc(packed_len);
	if (!packed || compress2(packed, &packed_len, raw, raw_len, 9) != Z_OK)
		die("zlib failed");
	uint8_t head[13] = { 0, 0, (uint8_t)(size >> 8), (uint8_t)size, 0, 0, (uint8_t)(size >> 8), (uint8_t)size, 8, 2, 0, 0, 0 };
	struct text out = { 0 };
	text_add(&out, "\x89PNG\r\n\x1a\n", 8);
	png_chunk(&out, "IHDR", head, sizeof(head));
	png_chunk(&out, "IDAT", packed, packed_len);
	png_chunk(&out, "IEND", (const uint8_t *)"", 0);
	free(packed);
	free(raw);
	return out;
}

/* --- Output --- */

static struct text gzipped(const struct text *plain)
{
	z_stream z = { 0 };
	struct text out = { 0 };

	/* 15 + 16: a gzip wrapper; zlib leaves its time stamp zero, so equal input makes equal output. */
	if (deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 9, Z_DEFAULT_STRATEGY) != Z_OK)
		die("zlib failed");
	out.cap = deflateBound(&z, plain->len) + 64;
	out.p = malloc(out.cap);
	if (!out.p)
		die("out of memory");
	z.next_in = (Bytef *)plain->p;
	z.avail_in = (uInt)plain->len;
	z.next_out = (Bytef *)out.p;
	z.avail_out = (uInt)out.cap;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		die("zlib failed");
	out.len = z.total_out;
	deflateEnd(&z);
	return out;
}

static void emit_bytes(FILE *f, const char *name, int index, const struct text *t)
{
	fprintf(f, "static const uint8_t %s_%d[%zu] = {", name, index, t->len);
	for (size_t i = 0; i < t->len; i++)
		fprintf(f, "%s%u,", i % 32 ? "" : "\n\t", (uint8_t)t->p[i]);
	fputs("\n};\n", f);
}

struct output {
	const char *path, *content_type;
	bool is_page;
	struct text plain;
	struct text gz; /* p NULL: no gain */
	char etag[40];
};

/* Compresses where that pays, and tags what most browsers get. */
static void finish(struct output *o)
{
	uint8_t digest[32];

	o->gz = gzipped(&o->plain);
	if (o->gz.len + 64 >= o->plain.len) {
		free(o->gz.p);
		o->gz = (struct text){ 0 };
	}
	const struct text *tagged = o->gz.p ? &o->gz : &o->plain;
	sha256(tagged->p, tagged->len, digest);
	for (int b = 0; b < 12; b++)
		snprintf(o->etag + 2 * b, 3, "%02x", digest[b]);
}

static void emit_row(FILE *f, const struct output *o, int i)
{
	fprintf(f, "\t{.path = \"%s\", .content_type = \"%s\", .etag = \"\\\"%s\\\"\",\n", o->path, o->content_type, o->etag);
	if (o->is_page)
		fprintf(f, "\t .csp = \"%s\",\n", page_csp);
	if (o->gz.p)
		fprintf(f, "\t .gz = gz_%d, .gz_len = sizeof(gz_%d),\n", i, i);
	fprintf(f, "\t .plain = plain_%d, .plain_len = sizeof(plain_%d)},\n", i, i);
}

/* Written beside and renamed, so that an interrupted build leaves no half file that looks new. */
static void write_source(const char *path, const struct output *all, int count)
{
	char part[1024];

	snprintf(part, sizeof(part), "%s.part", path);
	FILE *f = fopen(part, "w");
	if (!f)
		die("%s: %s", part, strerror(errno));
	fputs("/* Generated by tools/embed.c from assets/. Not to be edited. */\n#include \"site/assets.h\"\n\n", f);
	for (int i = 0; i < count; i++) {
		emit_bytes(f, "plain", i, &all[i].plain);
		if (all[i].gz.p)
			emit_bytes(f, "gz", i, &all[i].gz);
	}
	fputs("\nconst struct asset wc_assets[] = {\n", f);
	for (int i = 0; i < count; i++)
		emit_row(f, &all[i], i);
	fputs("\t{.path = NULL},\n};\n", f);
	if (ferror(f) || fclose(f) != 0 || rename(part, path) != 0)
		die("%s: %s", path, strerror(errno));
}

static void free_modules(void)
{
	for (int i = 0; i < modules_len; i++) {
		for (int n = 0; n < modules[i].names_len; n++)
			free(modules[i].names[n]);
	}
	free(bundle.p);
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die("usage: embed ASSETS_DIR OUT.c VERSION");
	assets_dir = argv[1];
	version = argv[3];
	for (const char *p = version; *p; p++) {
		if (!isalnum((unsigned char)*p) && !strchr("._+-~", *p))
			die("the version \"%s\" may hold letters, digits and ._+-~ only", version);
	}

	/* clang-format off */
	struct output all[] = {
		{.path = "/", .content_type = "text/html; charset=utf-8", .is_page = true, .plain = make_page()},
		{.path = "/sw.js", .content_type = "text/javascript; charset=utf-8"},
		{.path = "/manifest.webmanifest", .content_type = "application/manifest+json", .plain = file_read("manifest.webmanifest")},
		{.path = "/icon.svg", .content_type = "image/svg+xml", .plain = file_read("icon.svg")},
		{.path = "/icon-192.png", .content_type = "image/png", .plain = make_icon(192)},
		{.path = "/icon-512.png", .content_type = "image/png", .plain = make_icon(512)},
	};
	/* clang-format on */
	const int count = (int)(sizeof(all) / sizeof(all[0]));
	all[1].plain = make_worker(&all[0].plain);

	for (int i = 0; i < count; i++)
		finish(&all[i]);
	write_source(argv[2], all, count);
	for (int i = 0; i < count; i++) {
		free(all[i].plain.p);
		free(all[i].gz.p);
	}
	free_modules();
	return 0;
}
