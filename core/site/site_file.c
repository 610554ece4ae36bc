/* site_file.c — GET /f/<secret>/<name>: a message's file, for anybody who has its unguessable URL.
 *
 * Strangers made these files. So a file is shown only if its stored type is on a short list of things that cannot run. Even then it is
 * sandboxed; everything else is a download. The name in the URL is decoration. The transfer thread sends the file from its descriptor, so
 * this unit never reads it. Threads: a worker takes the request, a helper looks it up and answers. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/sha256.h"
#include "base/utf8.h"
#include "files/blob.h"
#include "http/negotiate.h"
#include "site/impl.h"
#include "store/store.h"
#include "wire/msg.h"

#define URL_NAME_BYTES 2048 /* decoded; the longest name there can be has 800 */
#define ETAG_HEX 16

/* --- Types. */

/* No text/html, no SVG, no XML: those run scripts. A PDF may as well, in readers that are none of our business: it is a download. */
static const struct site_media media[] = {
	{ "image/png", "image/png", "png", true },        { "image/jpeg", "image/jpeg", "jpg", true },
	{ "image/jpg", "image/jpeg", "jpg", true },       { "image/gif", "image/gif", "gif", true },
	{ "image/webp", "image/webp", "webp", true },     { "image/avif", "image/avif", "avif", true },
	{ "video/mp4", "video/mp4", "mp4", true },        { "video/webm", "video/webm", "webm", true },
	{ "audio/mpeg", "audio/mpeg", "mp3", true },      { "audio/mp3", "audio/mpeg", "mp3", true },
	{ "audio/ogg", "audio/ogg", "ogg", true },        { "audio/wav", "audio/wav", "wav", true },
	{ "audio/x-wav", "audio/wav", "wav", true },      { "audio/wave", "audio/wav", "wav", true },
	{ "audio/mp4", "audio/mp4", "m4a", true },        { "audio/x-m4a", "audio/mp4", "m4a", true },
	{ "audio/webm", "audio/webm", "webm", true },     { "application/pdf", "application/pdf", "pdf", false },
	{ "", "application/octet-stream", "bin", false }, /* last: everything else */
};

const struct site_media *site_media(struct str mime)
{
	const struct site_media *m = media;
	for (; *m->mime; m++)
		if (strlen(m->mime) == mime.len && strncasecmp(m->mime, mime.p, mime.len) == 0)
			break;
	return m;
}

/* --- The name of a download. */

#define NAME_BYTES 480 /* of a name; three times that in percents still leaves the header well under what proxies take */
#define FALLBACK_BYTES 120
#define EXTENSION_BYTES 16

/* Whole code points of s, at most n bytes. */
static size_t fit(struct str s, size_t n)
{
	if (s.len <= n)
		return s.len;
	while (n > 0 && ((uint8_t)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Too long a name loses its middle: what it ends in says what it is. Returns the length. */
static size_t shorten(char out[NAME_BYTES], struct str name)
{
	const char *dot = name.len ? memrchr(name.p, '.', name.len) : NULL;
	size_t tail = dot ? (size_t)(name.p + name.len - dot) : 0;
	if (tail > EXTENSION_BYTES)
		tail = 0;
	size_t head = fit(name, name.len > NAME_BYTES ? NAME_BYTES - tail : name.len);
	memcpy(out, name.p, head);
	if (head == name.len)
		return head;
	memcpy(out + head, name.p + name.len - tail, tail);
	return head + tail;
}

/* A character that any old client reads rightly in a quoted file name: no quote, escape, folder or percent (some clients decode it). */
static bool is_plain(uint8_t ch)
{
	return ch >= ' ' && ch < 0x7f && !strchr("\"\\%/:*?<>|;", ch);
}

/* RFC 8187's attr-char. */
static bool is_attr_char(uint8_t ch)
{
	return ch < 0x80 && (isalnum(ch) || (ch && strchr("!#$&+-.^_`|~", ch)));
}

void site_disposition(char out[SITE_DISPOSITION_BYTES], bool is_inline, struct str filename)
{
	char name[NAME_BYTES], fallback[FALLBACK_BYTES + 1], *p = out;
	size_t len = shorten(name, filename), n = 0;
	const char *dot = len ? memrchr(name, '.', len) : NULL;
	size_t extension = dot && (size_t)(name + len - dot) <= EXTENSION_BYTES ? (size_t)(name + len - dot) : 0;
	/* A code point becomes one underscore, an extension stays at the end. */
	for (size_t i = 0; i < len; i++) {
		uint8_t ch = (uint8_t)name[i];
		if ((ch & 0xc0) != 0x80 && (n < FALLBACK_BYTES - EXTENSION_BYTES || i >= len - extension))
			fallback[n++] = is_plain(ch) ? (char)ch : '_';
	}
	fallback[n] = '\0';
	p += sprintf(p, "%s; filename=\"%s\"; filename*=UTF-8''", is_inline ? "inline" : "attachment", fallback);
	for (size_t i = 0; i < len;) {
		size_t step = utf8_step((const uint8_t *)name + i, len - i);
		if (step == 0) {
			*p++ = '_'; /* the store has only valid UTF-8, and readers of this header rely on it */
			i++;
			continue;
		}
		for (; step > 0; step--, i++) {
			uint8_t ch = (uint8_t)name[i];
			if (is_attr_char(ch))
				*p++ = (char)ch;
			else if (ch < ' ' || ch == 0x7f || ch == '/' || ch == '\\')
				*p++ = '_';
			else
				p += sprintf(p, "%%%02X", ch);
		}
	}
	*p = '\0';
	WC_ASSERT((size_t)(p - out) < SITE_DISPOSITION_BYTES);
}

_Static_assert(64 + FALLBACK_BYTES + 3 * NAME_BYTES < SITE_DISPOSITION_BYTES, "a Content-Disposition always fits");

/* --- The answer. */

struct file_job {
	struct site *site;
	struct http_req *r;
	uint8_t secret[WC_SECRET_BYTES];
};

/* The parts of the message that are kept: its strings live for the call alone. */
struct found {
	const struct site_media *media;
	uint32_t flags;
	uint8_t sha[WC_SHA_BYTES];
	char disposition[SITE_DISPOSITION_BYTES];
};

static int take_msg(void *arg, const struct msg *m)
{
	struct found *f = arg;
	char plain_name[32];
	struct str name = m->filename;
	f->media = site_media(m->mime);
	f->flags = m->flags;
	memcpy(f->sha, m->sha, sizeof(f->sha));
	if (!name.len) {
		snprintf(plain_name, sizeof(plain_name), "%s.%s", m->kind == MSG_VOICE ? "voice" : "file", f->media->extension);
		name = (struct str){ plain_name, strlen(plain_name) };
	}
	site_disposition(f->disposition, f->media->is_inline, name);
	return 0;
}

/* An ETag of the bytes and the URL's secret, so that it tells nothing of the file's own hash. */
static void make_etag(char out[2 * ETAG_HEX], const uint8_t secret[WC_SECRET_BYTES], const uint8_t sha[WC_SHA_BYTES])
{
	uint8_t both[WC_SECRET_BYTES + WC_SHA_BYTES], hash[WC_SHA_BYTES];
	memcpy(both, secret, WC_SECRET_BYTES);
	memcpy(both + WC_SECRET_BYTES, sha, WC_SHA_BYTES);
	sha256(hash, both, sizeof(both));
	out[0] = '"';
	wc_hex(out + 1, hash, ETAG_HEX / 2);
	memcpy(out + 1 + ETAG_HEX, "\"", 2);
}

/* Opened by itself, a picture or a recording shows its own bytes and does nothing else; the styles are for the browser's player. A player
 * fetches its bytes once more, which the opaque origin of a plain sandbox forbids. So media keep their origin; without allow-scripts
 * nothing can use it. */
#define CSP_REST "default-src 'none'; frame-ancestors 'none'; img-src 'self'; media-src 'self'; style-src 'unsafe-inline'"
#define CSP_PICTURE "sandbox; " CSP_REST
#define CSP_MEDIA "sandbox allow-same-origin; " CSP_REST
#define CSP_DOWNLOAD "sandbox; default-src 'none'; frame-ancestors 'none'"
#define FOREVER "Cache-Control: private, max-age=31536000, immutable\r\n"

static const char *policy_of(const struct site_media *m)
{
	if (!m->is_inline)
		return CSP_DOWNLOAD;
	return strncmp(m->served_as, "image/", 6) == 0 ? CSP_PICTURE : CSP_MEDIA;
}

/* f is what r asks for, fd (taken) its bytes. */
static void send_file(struct http_req *r, const uint8_t secret[WC_SECRET_BYTES], const struct found *f, int fd, uint64_t size)
{
	char etag[2 * ETAG_HEX], headers[SITE_DISPOSITION_BYTES + 1024], content_range[96] = "";
	const char *range = http_header(r, "Range"), *if_range = http_header(r, "If-Range");
	struct http_reply reply = { .status = 200, .content_type = f->media->served_as, .headers = headers, .body_fd = fd, .fd_len = size };
	const char *policy = policy_of(f->media);
	enum http_range kind = RANGE_WHOLE;
	make_etag(etag, secret, f->sha);
	if (http_etag_matches(http_header(r, "If-None-Match"), etag)) {
		close(fd);
		/* The policy as well: a cache takes the headers of a 304 over. */
		snprintf(headers, sizeof(headers), "ETag: %s\r\n" FOREVER "Content-Security-Policy: %s\r\n", etag, policy);
		http_reply(r, &(struct http_reply){ .status = 304, .headers = headers });
		return;
	}
	/* Ranges are GET's alone; a date in If-Range cannot match, for there is no Last-Modified. */
	if (strcmp(http_method(r), "GET") == 0 && (!if_range || strcmp(if_range, etag) == 0))
		kind = http_parse_range(range, size, &reply.fd_offset, &reply.fd_len);
	if (kind == RANGE_OUTSIDE) {
		close(fd);
		snprintf(headers, sizeof(headers), "Accept-Ranges: bytes\r\nContent-Range: bytes */%llu\r\n", (unsigned long long)size);
		http_reply(r, &(struct http_reply){ .status = 416, .headers = headers, .body = "Range Not Satisfiable", .body_len = 21 });
		return;
	}
	if (kind == RANGE_PART) {
		reply.status = 206;
		snprintf(content_range, sizeof(content_range), "Content-Range: bytes %llu-%llu/%llu\r\n",
		         (unsigned long long)reply.fd_offset, (unsigned long long)(reply.fd_offset + reply.fd_len - 1),
		         (unsigned long long)size);
	}
	snprintf(headers, sizeof(headers),
	         "Accept-Ranges: bytes\r\nETag: %s\r\n" FOREVER "Content-Disposition: %s\r\n%sCross-Origin-Resource-Policy: same-origin\r\n"
	         "Content-Security-Policy: %s\r\n",
	         etag, f->disposition, content_range, policy);
	http_reply(r, &reply);
}

static void find_file(void *arg, struct store_reader *reader)
{
	struct file_job *job = arg;
	struct found f = { 0 };
	uint64_t size = 0;
	int rc = store_read_file(reader, job->secret, take_msg, &f);
	if (rc == 0 && (f.flags & MSG_DELETED))
		rc = -WC_ENOENT;
	int fd = rc == 0 && !(f.flags & MSG_GONE) ? blob_get(job->site->blobs, f.sha, &size) : rc;
	if (rc == -WC_ENOENT)
		http_text(job->r, 404, "Not Found");
	else if (rc == 0 && (fd == -WC_ENOENT || (f.flags & MSG_GONE)))
		http_text(job->r, 410, "Gone"); /* the message is there, its bytes are not any more */
	else if (fd < 0)
		http_text(job->r, 503, "Service Unavailable");
	else if (!http_may_have_file(job->r)) {
		close(fd);
		http_turned_away(job->r, M_REFUSED_DOWNLOADS, "descriptors");
		http_reply(job->r, &(struct http_reply){ .status = 503,
		                                         .headers = "Cache-Control: no-store\r\nRetry-After: 5\r\n",
		                                         .body = "Service Unavailable",
		                                         .body_len = 19 });
	} else
		send_file(job->r, job->secret, &f, fd, size);
	free(job);
}

static bool is_moot(const void *arg)
{
	const struct file_job *job = arg;
	return http_is_gone(job->r);
}

static void drop(void *arg)
{
	struct file_job *job = arg;
	http_text(job->r, 503, "Service Unavailable");
	free(job);
}

void site_file_get(void *arg, struct http_req *r)
{
	const char *p = http_path(r) + sizeof("/f/") - 1;
	size_t len = strcspn(p, "/");
	struct file_job asked = { .site = arg, .r = r }, *job;
	if (wc_unhex(asked.secret, sizeof(asked.secret), (struct str){ p, len }) != 0 || strlen(p + len) > URL_NAME_BYTES) {
		http_text(r, 404, "Not Found");
		return;
	}
	job = xmalloc(sizeof(*job));
	*job = asked;
	if (!site_submit(arg, r, (struct job){ .kind = JOB_LOOK_UP, .run = find_file, .arg = job, .drop = drop, .is_moot = is_moot }))
		free(job);
}
