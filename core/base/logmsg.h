/* logmsg.h — the server's log: one line an event, on standard error.
 *
 * Never message text at the default level; every value that came from a peer is escaped (no raw control bytes). Any thread; one
 * write(2) a line. Threads that serve people never wait for the reader of the log. Lines that it does not take are lost; the next line that
 * it takes says how many. Text: `2026-01-31T12:00:00.123Z info  listening address=127.0.0.1:8080`. Under systemd (JOURNAL_STREAM set and
 * matching stderr) the time is left out and `<N>` put before. */
#ifndef WC_LOGMSG_H
#define WC_LOGMSG_H

#include "base/wc.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
const char *log_level_name(enum log_level level);         /* error warn info debug */
bool log_level_parse(const char *s, enum log_level *out); /* error warn info debug */

/* log_event(LOG_INFO, "listening", "address=%s", a): the event's name is a fixed word or two, the rest is key=value pairs; a value
 * with spaces is the caller's to quote with log_quote. */
void log_event(enum log_level level, const char *event, const char *fmt, ...) WC_PRINTF(3, 4);
#define log_error(event, ...) log_event(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) (log_get_level() >= LOG_DEBUG ? log_event(LOG_DEBUG, event, __VA_ARGS__) : (void)0)

/* For lines that strangers can cause as often as they like: true at most once in gap_ms, and *missed is how many there were since the last
 * one. */
struct log_gap {
	_Atomic int64_t next_ms;
	_Atomic uint64_t missed;
};
bool log_gap_is_over(struct log_gap *g, int64_t gap_ms, uint64_t *missed);

/* s in double quotes with control bytes, quotes, backslashes and invalid UTF-8 escaped, cut to 120 bytes. Returns out. */
const char *log_quote(char out[512], struct str s);

#endif
