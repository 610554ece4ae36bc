/* encode.h — from what the room knows to the JSON of either dialect. Pure; any thread. */
#ifndef WC_ENCODE_H
#define WC_ENCODE_H

#include "base/buf.h"
#include "wire/event.h"
#include "wire/msg.h"

/* A message as an object. `self`: it is the viewer's own (dialect 2 adds cid). In dialect 1 a file's `data` is written from *data64, or as
 * null. */
void encode_msg(struct buf *b, enum dialect d, const struct msg *m, bool self, const struct str *data64);
/* Its sender's own, dialect 2, from what encode_msg made of it for others: a copy, without escaping all of it once more. */
void encode_own(struct buf *b, const struct msg *m, struct str others);
/* encode_msg around a `data` too large to copy: what stands before it and after it. Dialect 1, MSG_FILE and MSG_VOICE. */
void encode_msg_around(struct buf *before, struct buf *after, const struct msg *m, bool self);
/* A user as {"id":…,"name":…}. */
void encode_user(struct buf *b, uint64_t id, struct str name);
void encode_error(struct buf *b, enum dialect d, enum error_code code, struct str text, struct str cid);
/* With retry_ms where it is above 0: when the same would be taken. */
void encode_error_retry(struct buf *b, enum dialect d, enum error_code code, struct str text, struct str cid, int64_t retry_ms);
void encode_delete(struct buf *b, uint64_t id, int64_t at_ms, uint64_t target); /* dialect 2 alone has deletions */
void encode_system(struct buf *b, enum dialect d, struct str text, int64_t at_ms);
void encode_typing(struct buf *b, uint64_t from_id, struct str from_name, bool is_dm);

/* "/f/<secret>/<name>" of a message's file, percent-encoded. */
void encode_file_url(struct buf *b, const struct msg *m);

#endif
