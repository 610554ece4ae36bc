/* ctl.h — the shared part of wavechatctl: main.c (arguments, help), client.c (HTTP over the socket), out.c (tables, safe text), and a file
 * for each group of verbs. One thread. */
#ifndef CTL_H
#define CTL_H

#include <stdio.h>

#include "admin/verbs.h"
#include "base/buf.h"
#include "base/wc.h"

#define PROGRAM "wavechatctl"

struct json_object;

enum exit_code {
	EXIT_DONE = 0,
	EXIT_REFUSED = 1, /* the server refused or failed, or this program could not go on */
	EXIT_USAGE = 2,
	EXIT_NO_SERVER = 3,
	EXIT_DENIED = 4,
	EXIT_NOT_FOUND = 5, /* nobody and nothing by that name or id, or several */
	EXIT_UNWELL = 6,    /* status: the server answers, and is not well */
	EXIT_LATE = 7,      /* the server did not answer in time */
};

struct option {
	const char *name;  /* without -- */
	const char *value; /* what help calls it; NULL: takes none */
	const char *help;
	const char *choices; /* words that the value may be, with blanks between; NULL: anything */
};

#define VERB_OPTIONS_MAX 16
struct ctl;

struct verb {
	const char *name;
	const char *operands; /* for usage: "USER", "[QUERY]", "MSG..." */
	const char *choices;  /* words that an operand may be, with blanks between; NULL: anything */
	const char *help;
	int least, most; /* operands; most -1: any number */
	int (*run)(struct ctl *c);
	struct option options[VERB_OPTIONS_MAX]; /* besides those every verb has; ends with a NULL name */
};

struct ctl {
	const struct verb *verbs;             /* all; ends with a NULL name */
	const struct verb *verb;              /* the one that was given */
	const char *values[VERB_OPTIONS_MAX]; /* of verb->options, as given; "" for one without a value */
	char **operands;
	int count;
	const char *socket; /* --socket */
	bool json;
	int64_t timeout_ms; /* --timeout; 0: none */
	bool is_long;       /* the limit is for the silence between two bytes, not for a request as a whole */
	/* client.c */
	int fd;
	int64_t until_ms; /* monotonic: the limit of the request under way */
	bool is_asking;   /* for a word on what hangs: it does not ask again when it is late itself */
	char *path;       /* of the socket that answered */
	int hold;         /* the connection of client_hold; -1: none */
	int64_t beat_ms;  /* monotonic: when something was last sent on it */
	bool is_lost;     /* the last request failed for want of a server: it may be there again later */
};

/* --- client.c */
/* Finds the server; says so if there is none. 0 or an exit code. Done by the calls below when it has to be. */
int client_connect(struct ctl *c);
void client_close(struct ctl *c);
/* GET path, or POST with this body (taken). *out, if not NULL, gets the answer; the caller puts it. 0, or an exit code after the reason was
 * said. */
int api_get(struct ctl *c, const char *path, struct json_object **out);
int api_post(struct ctl *c, const char *path, struct json_object *body, struct json_object **out);
/* The answer's bytes as they come. sink non-zero ends it with EXIT_REFUSED. *length (may be NULL) is what was announced. */
typedef int (*sink_fn)(void *arg, const void *data, size_t n);
int api_stream(struct ctl *c, const char *path, sink_fn sink, void *arg);
/* The same, where a refusal is an answer too: 404 and 507 are not complained of. */
struct fetch {
	bool (*begin)(void *arg, uint64_t length); /* false: not wanted */
	sink_fn sink;
	void *arg;
	/* out */
	int status;
	uint64_t length;
	bool is_short;  /* the connection ended within the bytes */
	char error[32]; /* the code of a refusal */
};
int api_fetch(struct ctl *c, const char *path, struct fetch *f);
/* A POST on a second connection, whose body never ends: what it begins lasts as long as this process, and a server hears at once when it is
 * killed. client_beat, called at least every 20 s, shows that it is not merely stopped. */
int client_hold(struct ctl *c, const char *path);
void client_beat(struct ctl *c);
void client_release(struct ctl *c);
void put_query(struct buf *b, const char *name, const char *value); /* "?name=value" or "&name=value", escaped; NULL: nothing */

/* --- limit.c */
void limit_start(struct ctl *c); /* of a request */
void limit_heard(struct ctl *c); /* bytes came or went */
bool limit_is_over(const struct ctl *c);
/* Waits until fd is ready, as poll has it. False: the limit is over (errno is EAGAIN), or is_stopped (EINTR). */
bool limit_wait(const struct ctl *c, int fd, short events);
/* Reports that the server did not do `what` in time, and what hangs, if that can be found out: from its process, or by `ask`, which returns
 * true if it wrote the answer to out. fd: connected, or -1. Returns EXIT_LATE. */
int limit_over(struct ctl *c, int fd, const char *what, bool (*ask)(const struct ctl *c, char out[256]));
int limit_parse(const char *text, int64_t *ms); /* --timeout; 0, or an exit code after the reason was said */

/* --- out.c */
/* The value of an option, or NULL. */
const char *option(const struct ctl *c, const char *name);
/* One line on stderr, and the code back. */
int complain(int code, const char *fmt, ...) WC_PRINTF(2, 3);
void hush(bool on); /* while on, nothing is said */
bool is_hushed(void);

const char *jstr(struct json_object *o, const char *name); /* "" if there is none */
int64_t jint(struct json_object *o, const char *name);     /* 0 if there is none */
bool jbool(struct json_object *o, const char *name);
struct json_object *jarray(struct json_object *o, const char *name); /* never NULL; may be empty */
struct json_object *jget(struct json_object *o, const char *name);   /* or NULL */

/* Text that came from people, so that no control sequence and no trick of direction reaches the terminal. */
void put_safe(struct buf *b, const char *s);
uint32_t code_point(const uint8_t *p, size_t n); /* the one of these n valid bytes */
bool is_harmful(uint32_t code_point);
void print_safe(FILE *f, const char *s);
/* The server's answer as one line; control characters that JSON would let through are escaped. */
void print_json(struct json_object *o);

#define COLUMNS_MAX 12
struct table {
	const char *heads[COLUMNS_MAX];
	bool is_right[COLUMNS_MAX];
	int columns;
	char **cells;
	size_t count, room;
};
/* Heads with blanks between; one that starts with '>' is set flush right. */
void table_init(struct table *t, const char *heads);
void table_cell(struct table *t, const char *text);                   /* from people: made safe; row by row */
void table_cell_cut(struct table *t, const char *text, size_t width); /* no wider than this many columns */
void table_cellf(struct table *t, const char *fmt, ...) WC_PRINTF(2, 3);
void table_drop(struct table *t);                     /* frees it without a word; one that was printed is empty */
void table_print(struct table *t, const char *empty); /* and frees; `empty` is said if there is no row */

#define TIME_TEXT 32
const char *time_text(char out[TIME_TEXT], int64_t unix_ms); /* local */
const char *duration_text(char out[TIME_TEXT], int64_t ms);  /* "3d 4h" */
const char *bytes_text(char out[TIME_TEXT], uint64_t bytes); /* "1.5 MB" */
const char *uid_text(char out[TIME_TEXT], int64_t uid);      /* "name" or "uid 7" */
bool duration_parse(const char *s, int64_t *seconds);        /* 90, 45s, 30m, 2h, 1h30m, 7d, 2w */
bool time_parse(const char *s, int64_t *unix_ms);            /* 2026-01-31, 2026-01-31T12:00[:30], or how long ago */
bool is_terminal(FILE *f);
bool shows_progress(void); /* standard error is a terminal, and standard output a file */
/* Complains of a list that claims more rows and has none, so that the caller does not ask for ever. Returns EXIT_REFUSED. */
int complain_endless(void);
/* SIGINT, SIGTERM and SIGHUP are noted, so that what was begun can be tidied up; the second of a kind ends the program at once. */
void catch_signals(void);
bool is_stopped(void);
void end_stopped(void); /* if there was a signal, ends the process by it; call it when all is tidied up */

/* The words for a message's file or voice; out has `room` bytes, 512 are enough. */
const char *file_words(char *out, size_t room, struct json_object *m);

#define SANCTION_TEXT 320
const char *sanction_text(char out[SANCTION_TEXT], struct json_object *s); /* people.c: whom it meets, and until when */

#define LOCKDOWN_TEXT 192
const char *lockdown_text(char out[LOCKDOWN_TEXT], struct json_object *o); /* talk.c: "off", or what is barred and until when */

/* --- verbs: run_<id> of each row in admin/verbs.h. They return an exit code. */
#define NO_REQUEST_DECLARED(...)
#define DECLARE_COMMAND(id, ...) int run_##id(struct ctl *c);
ADMIN_VERBS(NO_REQUEST_DECLARED, DECLARE_COMMAND)

#endif
