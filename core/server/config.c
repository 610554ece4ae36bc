/* config.c — the grammar of a settings file (see config.h). Owns nothing but what it returns; never expands or runs anything. Thread: main.
 *
 *	file    = { blank line | comment | setting }
 *	comment = blanks ("#" | ";") anything
 *	setting = blanks NAME blanks "=" blanks value blanks
 *	value   = { plain | "\" any | '…' | "…" }      in "…", \ stands before " \ $ ` only
 *
 * Text that systemd and a shell take differently, a comment behind a value or a $, is refused rather than guessed at. */
#include "server/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/logmsg.h"
#include "base/utf8.h"

struct reader {
	const char *path;
	int line;
	char **cause;
};

static int refuse(const struct reader *r, const char *what)
{
	wc_cause(r->cause, "%s:%d: %s", r->path, r->line, what);
	return -WC_EBAD;
}

static bool is_blank(char ch)
{
	return ch == ' ' || ch == '\t';
}

static bool is_in_name(char ch)
{
	return (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '_' || ch == '-';
}

/* From behind the opening quote to behind the closing one; NULL: said what is wrong. */
static const char *take_quoted(const struct reader *r, const char *p, const char *end, char quote, struct buf *out)
{
	for (; p < end && *p != quote; p++) {
		if (quote == '"' && *p == '\\' && p + 1 < end && strchr("\"\\$`", p[1]))
			p++;
		else if (quote == '"' && (*p == '$' || *p == '`'))
			return refuse(r, "nothing is expanded here: put the value in single quotes, or write \\ before the $"), NULL;
		buf_putc(out, *p);
	}
	if (p == end)
		return refuse(r, quote == '"' ? "a double quote is not closed on its line" : "a single quote is not closed on its line"),
		       NULL;
	return p + 1;
}

/* Blanks within a plain value belong to it, those at its end do not. */
static int take_value(const struct reader *r, const char *p, const char *end, struct buf *out)
{
	size_t kept = 0;

	while (p < end && is_blank(*p))
		p++;
	for (const char *start = p; p < end;) {
		const bool is_plain_blank = is_blank(*p);

		if (*p == '\'' || *p == '"') {
			p = take_quoted(r, p + 1, end, *p, out);
			if (!p)
				return -WC_EBAD;
		} else if (*p == '\\') {
			if (p + 1 == end)
				return refuse(r, "a line cannot go on in the next one: write the value on one line");
			buf_putc(out, p[1]);
			p += 2;
		} else if (*p == '$' || *p == '`') {
			return refuse(r, "nothing is expanded here: put the value in single quotes if it holds a $ or a backquote");
		} else if (*p == '#' && (p == start || is_blank(p[-1]))) {
			return refuse(r, "a comment needs a line of its own; put the value in quotes if it holds a #");
		} else {
			buf_putc(out, *p++);
		}
		if (!is_plain_blank)
			kept = out->len;
	}
	out->len = kept;
	return 0;
}

static bool is_text(const char *p, const char *end)
{
	for (const char *at = p; at < end; at++)
		if (((unsigned char)*at < ' ' && *at != '\t') || *at == 0x7f)
			return false;
	return utf8_valid(p, (size_t)(end - p));
}

/* One line, without its end. */
static int take_line(const struct reader *r, const char *p, const char *end, struct config *out)
{
	struct buf value;
	const char *name;
	int rc;

	if (p < end && end[-1] == '\r') /* an editor of another system ends lines so */
		end--;
	while (p < end && is_blank(*p))
		p++;
	if (p == end || *p == '#' || *p == ';')
		return 0;
	if (!is_text(p, end))
		return refuse(r, "a control character, or no UTF-8: write plain text");
	for (name = p; p < end && is_in_name(*p); p++)
		continue;
	size_t name_len = (size_t)(p - name);
	while (p < end && is_blank(*p))
		p++;
	if (name_len == 0 || p == end || *p != '=')
		return refuse(r, "not a setting: a line is NAME=VALUE, or a comment that begins with #");
	buf_init_sure(&value, CONFIG_BYTES + 1);
	rc = take_value(r, p + 1, end, &value);
	buf_putc(&value, '\0');
	if (rc == 0) {
		out->v = xrealloc(out->v, (out->n + 1) * sizeof(*out->v));
		out->v[out->n++] = (struct config_line){ strndup(name, name_len), xstrdup(value.p), r->line };
		WC_ASSERT(out->v[out->n - 1].name);
	}
	buf_fini(&value);
	return rc;
}

int config_parse(struct config *out, const char *path, const char *text, size_t len, char **cause)
{
	struct reader r = { path, 0, cause };
	const char *p = text, *end = text + len;

	*out = (struct config){ 0 };
	if (len >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) /* the mark that some editors begin a text with */
		p += 3;
	while (p < end) {
		const char *stop = memchr(p, '\n', (size_t)(end - p));

		stop = stop ? stop : end;
		r.line++;
		if (take_line(&r, p, stop, out) < 0) {
			config_fini(out);
			return -WC_EBAD;
		}
		p = stop + (stop < end);
	}
	return 0;
}

/* Up to room bytes. -1: errno says why. */
static ssize_t read_some(int fd, char *buf, size_t room)
{
	size_t have = 0;
	ssize_t n = 0;

	while (have < room && ((n = read(fd, buf + have, room - have)) > 0 || (n < 0 && errno == EINTR)))
		have += n > 0 ? (size_t)n : 0;
	return n < 0 ? -1 : (ssize_t)have;
}

int config_read(struct config *out, const char *name, char **cause)
{
	char *path = xstrdup(name);
	int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = -WC_EIO; /* a pipe without a writer must not hold us up */
	struct stat st;
	char *text = NULL;
	ssize_t n = -1;

	*out = (struct config){ 0 };
	int error = errno;
	for (char *p = path; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?'; /* as it is shown */
	errno = error;
	if (fd < 0 || fstat(fd, &st) < 0) {
		rc = errno == ENOENT ? -WC_ENOENT : -WC_EIO;
		if (errno == EACCES || errno == EPERM)
			wc_cause(cause, "cannot read --config %s: %s: make it readable for user %u (chmod, chown), or name another file",
			         path, strerror(errno), (unsigned)geteuid());
		else
			wc_cause(cause, "cannot read --config %s: %s: make it, name another file, or leave --config away", path,
			         strerror(errno));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		wc_cause(cause, "cannot read --config %s: it is no file; it is read again at SIGHUP, so name a regular file", path);
		goto out;
	}
	text = xmalloc(CONFIG_BYTES + 1);
	n = read_some(fd, text, CONFIG_BYTES + 1);
	if (n < 0)
		wc_cause(cause, "cannot read --config %s: %s: name another file, or leave --config away", path, strerror(errno));
	else if (n > CONFIG_BYTES)
		wc_cause(cause, "cannot read --config %s: more than %d bytes; name a file of NAME=VALUE lines", path, CONFIG_BYTES);
	else
		rc = config_parse(out, path, text, (size_t)n, cause);
out:
	free(text);
	free(path);
	if (fd >= 0)
		close(fd);
	return rc;
}

void config_fini(struct config *c)
{
	for (size_t i = 0; i < c->n; i++) {
		free(c->v[i].name);
		free(c->v[i].value);
	}
	free(c->v);
	*c = (struct config){ 0 };
}
