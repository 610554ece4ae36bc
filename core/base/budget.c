/* budget.c — see budget.h. Owns nothing, and reads only what the kernel says of this process. Main thread. */
#include "base/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/logmsg.h"

#define MB ((uint64_t)1 << 20)
#define PATH_BYTES 4096

/* --- The limit */

/* The whole of a small file, terminated; from malloc, or NULL. /proc gives a page at a time. */
static char *read_all(const char *root, const char *path)
{
	char full[PATH_BYTES];
	struct buf b;

	if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full))
		return NULL;
	int fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	buf_init(&b, MB);
	for (ssize_t n = 1; n > 0 && buf_reserve(&b, 4096);) {
		n = read(fd, b.p + b.len, b.room - b.len);
		if (n > 0)
			b.len += (size_t)n;
		else if (n < 0 && errno == EINTR)
			n = 1;
	}
	close(fd);
	char *text = buf_take(&b, NULL);
	buf_fini(&b);
	return text;
}

static void lower(struct memory_limit *l, uint64_t bytes, const char *source)
{
	if (bytes == 0 || (l->bytes && l->bytes <= bytes))
		return;
	l->bytes = bytes;
	size_t len = WC_MIN(strlen(source), sizeof(l->source) - 1);
	memcpy(l->source, source, len);
	l->source[len] = '\0';
}

/* "max" and what is no number limit nothing. */
static void lower_by_file(struct memory_limit *l, const char *root, const char *path)
{
	char *text = read_all(root, path), *end;

	if (text && *text >= '0' && *text <= '9') {
		errno = 0;
		unsigned long long bytes = strtoull(text, &end, 10);
		if (errno == 0 && (*end == '\n' || *end == '\0'))
			lower(l, bytes, path);
	}
	free(text);
}

/* The group's folder and those above it, up to where the hierarchy is mounted. */
static void lower_by_group(struct memory_limit *l, const char *root, const char *mount, const char *group, const char *const files[2])
{
	char dir[PATH_BYTES], path[PATH_BYTES + 64];

	if (snprintf(dir, sizeof(dir), "%s%s", mount, group) >= (int)sizeof(dir))
		return;
	size_t least = strlen(mount);
	for (size_t n = strlen(dir); n > least && dir[n - 1] == '/';)
		dir[--n] = '\0';
	for (;;) {
		for (int i = 0; i < 2 && files[i]; i++) {
			snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
			lower_by_file(l, root, path);
		}
		char *slash = strrchr(dir, '/');
		if (strlen(dir) <= least || !slash || (size_t)(slash - dir) < least)
			break;
		*slash = '\0';
	}
}

/* In a list parted by commas. */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		if (n == len && memcmp(p, word, n) == 0)
			return true;
		p += n + (p[n] == ',');
	}
	return false;
}

/* The group that the controllers' line of /proc/self/cgroup names ("" is the line of version 2); false: there is none. */
static bool find_group(const char *cgroup, const char *controller, char out[PATH_BYTES])
{
	for (const char *line = cgroup; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
		size_t len = strcspn(line, "\n");
		char names[256];

		if (!path || path > line + len || (size_t)(path - list) > sizeof(names))
			continue;
		memcpy(names, list + 1, (size_t)(path - list - 1));
		names[path - list - 1] = '\0';
		if (*controller ? !has_word(names, controller) : *names != '\0')
			continue;
		len -= (size_t)(path + 1 - line);
		if (len >= PATH_BYTES)
			continue;
		memcpy(out, path + 1, len);
		out[len] = '\0';
		return true;
	}
	return false;
}

/* Where a hierarchy is mounted: line after line "id parent dev root mountpoint options … - type source options". */
static void lower_by_mount(struct memory_limit *l, const char *root, char *line, const char *cgroup)
{
	static const char *const files_2[2] = { "memory.max", "memory.high" }, *const files_1[2] = { "memory.limit_in_bytes", NULL };
	char *field[5], *rest = line, *type = strstr(line, " - "), *words[3] = { NULL };
	char group[PATH_BYTES];

	if (!type)
		return;
	*type = '\0';
	type += 3;
	for (int i = 0; i < 5; i++)
		if (!(field[i] = strsep(&rest, " ")))
			return;
	for (int i = 0; i < 3; i++)
		words[i] = strsep(&type, " ");
	const bool is_2 = words[0] && strcmp(words[0], "cgroup2") == 0;
	const bool is_1 = words[0] && strcmp(words[0], "cgroup") == 0 && words[2] && has_word(words[2], "memory");
	if ((!is_1 && !is_2) || !find_group(cgroup, is_1 ? "memory" : "", group))
		return;
	/* A container may see a part of the hierarchy under the whole one's names. */
	const char *top = field[3], *below = group;
	size_t n = strcmp(top, "/") == 0 ? 0 : strlen(top);
	if (strncmp(below, top, n) == 0 && (n == 0 || below[n] == '/' || below[n] == '\0'))
		below += n;
	else
		below = "";
	if (strstr(below, "/.."))
		below = ""; /* outside of what is seen here */
	lower_by_group(l, root, field[4], below, is_2 ? files_2 : files_1);
}

/* A service may be shown no file of /proc but its own (ProcSubset=pid of the unit): the kernel is asked itself, too. */
static void lower_by_machine(struct memory_limit *l, const char *root)
{
	static const char source[] = "the machine's memory";
	char *text = read_all(root, "/proc/meminfo"), *at = text ? strstr(text, "MemTotal:") : NULL;
	struct sysinfo info;

	if (at)
		lower(l, strtoull(at + 9, NULL, 10) * 1024, source);
	if (!*root && sysinfo(&info) == 0)
		lower(l, (uint64_t)info.totalram * info.mem_unit, source);
	free(text);
}

void memory_limit_read(struct memory_limit *out, const char *root)
{
	char *cgroup = read_all(root, "/proc/self/cgroup"), *mounts = read_all(root, "/proc/self/mountinfo"), *rest = mounts, *line;

	*out = (struct memory_limit){ .bytes = 0 };
	lower_by_machine(out, root); /* first: a group that allows more than there is limits nothing */
	while (cgroup && rest && (line = strsep(&rest, "\n")))
		lower_by_mount(out, root, line, cgroup);
	free(cgroup);
	free(mounts);
}

/* --- The shares. */

#define FIXED (64 * MB)
/* The budgets where memory is plentiful. */
#define PENDING_MOST (256 * MB)
#define FILES_MOST (256 * MB)
#define MESSAGES_MOST (256 * MB)
#define RECENT_MOST (128 * MB)
#define INBOX_MOST (16 * MB)
#define CONNECTION_BYTES (12 * 1024)     /* the kernel's socket and ours, and what of a message is mostly there */
#define CONNECTION_TLS_BYTES (64 * 1024) /* a session's buffers */
#define PLENTY (1280 * MB)               /* to be shared: enough for all of the above */

/* Hundredths of what is to be shared. Without data in memory, what that would take goes to what is on its way. */
struct shares {
	unsigned in, out, files, messages, recent, inbox, connections;
};
static const struct shares in_memory = { 20, 20, 32, 9, 6, 2, 11 }, on_disk = { 35, 35, 0, 0, 8, 4, 18 };

static uint64_t named(int mb, uint64_t otherwise)
{
	return mb > 0 ? (uint64_t)mb * MB : mb == 0 ? SIZE_MAX : otherwise;
}

static uint64_t cap(uint64_t n, uint64_t most)
{
	return WC_MIN(n, most);
}

/* For adding up: no bound is none of the sum's. */
static uint64_t bounded(uint64_t n)
{
	return n == SIZE_MAX ? 0 : n;
}

uint64_t budgets_sum(const struct budgets *b)
{
	return b->fixed + bounded(b->pending_in) + bounded(b->pending_out) + bounded(b->large) + bounded(b->files) + bounded(b->messages) +
	       bounded(b->recent) + bounded(b->inbox) + b->connections_bytes;
}

void budgets_plan(struct budgets *out, const struct budget_opts *o, const struct memory_limit *limit)
{
	const struct shares *s = o->in_memory ? &in_memory : &on_disk;
	const uint64_t per_connection = o->has_tls ? CONNECTION_TLS_BYTES : CONNECTION_BYTES;

	*out = (struct budgets){ .limit = *limit, .fixed = FIXED };
	if (o->memory_mb) {
		out->limit.bytes = (uint64_t)o->memory_mb * MB;
		snprintf(out->limit.source, sizeof(out->limit.source), "--memory-mb");
	}
	out->margin = out->limit.bytes / 8;
	/* A limit below what the program itself takes leaves crumbs: it starts, and says so. */
	uint64_t all = out->limit.bytes ? out->limit.bytes - WC_MIN(out->limit.bytes, out->margin + FIXED) : PLENTY;
	all = WC_MAX(all, 16 * MB);
	out->is_scarce = all < PLENTY;

	const uint64_t in = cap(all * s->in / 100, PENDING_MOST), waiting = all * s->out / 100;
	out->pending_in = named(o->pending_in_mb, in);
	/* One option names two budgets: most of it is for large frames. */
	out->pending_out = named(o->pending_out_mb, cap(waiting / 4, PENDING_MOST));
	out->large = named(o->pending_out_mb, cap(waiting / 4 * 3, PENDING_MOST));
	if (!out->is_scarce && o->pending_out_mb < 0)
		out->pending_out = out->large = PENDING_MOST;
	/* One of the largest messages always fits, and its file into three quarters of what is for large frames; or it is refused as too
	 * large. */
	const uint64_t large_least = (uint64_t)o->frame_bytes / 3 * 4 + MB;
	if (o->pending_in_mb >= 0)
		out->pending_in = WC_MAX(out->pending_in, (uint64_t)o->frame_bytes);
	if (o->pending_in_mb >= 0 || o->pending_out_mb >= 0)
		out->large = WC_MAX(out->large, large_least);
	if (o->frame_bytes > out->pending_in || large_least > out->large)
		out->frame = WC_MIN(out->pending_in, out->large / 4 * 3);
	if (o->in_memory) {
		out->files = o->max_storage_mb > 0 ? (uint64_t)o->max_storage_mb * MB : cap(all * s->files / 100, FILES_MOST);
		out->messages = named(o->memory_messages_mb, cap(all * s->messages / 100, MESSAGES_MOST));
	}
	out->recent = named(o->recent_mb, out->is_scarce ? cap(all * s->recent / 100, RECENT_MOST) : SIZE_MAX);
	out->inbox = named(o->inbox_mb, cap(WC_MAX(all * s->inbox / 100, MB), INBOX_MOST));
	if (out->is_scarce)
		out->connections = (int)(all * s->connections / 100 / per_connection);
	const uint64_t connections = o->max_connections ? (uint64_t)o->max_connections : (uint64_t)out->connections;
	out->connections_bytes = out->is_scarce ? connections * per_connection : 0;
	out->is_over = out->limit.bytes && budgets_sum(out) > out->limit.bytes;
}

static void put_mb(struct buf *b, const char *name, uint64_t bytes)
{
	if (bytes == SIZE_MAX)
		buf_printf(b, ",\"%s\":null", name);
	else
		buf_printf(b, ",\"%s\":%llu", name, (unsigned long long)bytes);
}

void budgets_json(const struct budgets *b, struct buf *out)
{
	buf_printf(out, "{\"limit\":%llu,\"source\":", (unsigned long long)b->limit.bytes);
	json_str(out, (struct str){ b->limit.source, strlen(b->limit.source) });
	put_mb(out, "pending_in", b->pending_in);
	put_mb(out, "pending_out", b->pending_out);
	put_mb(out, "large", b->large);
	put_mb(out, "files", b->files);
	put_mb(out, "messages", b->messages);
	put_mb(out, "recent", b->recent);
	put_mb(out, "inbox", b->inbox);
	put_mb(out, "sum", budgets_sum(b));
	buf_printf(out, ",\"connections\":%d}", b->connections);
}

static const char *mb_text(char out[24], uint64_t bytes)
{
	if (bytes == SIZE_MAX)
		return "unbounded";
	snprintf(out, 24, "%llu", (unsigned long long)(bytes / MB));
	return out;
}

void budgets_log(const struct budgets *b)
{
	char quoted[512], t[8][24];

	log_info("memory",
	         "limit_mb=%s from=%s in_mb=%s out_mb=%s large_mb=%s files_mb=%s messages_mb=%s recent_mb=%s inbox_mb=%s connections=%d",
	         mb_text(t[0], b->limit.bytes), log_quote(quoted, (struct str){ b->limit.source, strlen(b->limit.source) }),
	         mb_text(t[1], b->pending_in), mb_text(t[2], b->pending_out), mb_text(t[3], b->large), mb_text(t[4], b->files),
	         mb_text(t[5], b->messages), mb_text(t[6], b->recent), mb_text(t[7], b->inbox), b->connections);
	if (b->is_over)
		log_warn("memory may not do",
		         "limit_mb=%s budgets_mb=%s remedy=\"lower the budgets that options name, or allow more memory\"",
		         mb_text(t[0], b->limit.bytes), mb_text(t[1], budgets_sum(b)));
	if (b->frame)
		log_info("memory bounds files",
		         "in_one_message_mb=%s remedy=\"larger ones go by upload; more memory, or --pending-in-mb, lifts it\"",
		         mb_text(t[0], b->frame / 4 * 3));
}
