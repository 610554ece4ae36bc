/* unread.h — answers to frames that are not read: beyond a limit, no JSON, or without memory for them.
 *
 * A page marks its message as failed by the cid. So that is looked for where clients put it: in the first 256 bytes, then in the last. One
 * with an escape in it is not found. Never reads the rest. Pure but for memory; any thread. */
#ifndef WC_UNREAD_H
#define WC_UNREAD_H

#include "wire/event.h"

/* An EV_BAD with these words and the frame's cid. Never NULL. A string that the last 256 bytes begin within is no danger: quotes in it are
 * escaped. */
struct event *unread_bad(const char *json, size_t len, struct conn *conn, enum error_code code, const char *text);
/* The same where nobody had memory for the frame. */
struct event *unread_no_memory(const char *json, size_t len, struct conn *conn);
/* The answer to a message that was too long to keep: its first bytes, head, tell a voice from a file, and its cid if it stands there. */
struct event *unread_oversize(const char *head, size_t len, struct conn *conn, int max_file_mb);

#endif
