/* prepare.h — the blocking half of a file or voice message: its bytes go into the blob store, and come out of it as base64.
 *
 * Owns the event while it works on it. Never touches the room or a connection. Thread: helper. */
#ifndef WC_PREPARE_H
#define WC_PREPARE_H

#include "files/blob.h"
#include "wire/event.h"

/* Decodes the data of an EV_FILE or EV_VOICE, or resolves its upload handle for identity_id (0: nobody's, which is refused). Checks the
 * size against max_file_mb or the limit for voices, stores the bytes, and sets sha, size, hold, and data64 if that takes at most data64_max
 * bytes; is_short, if there was no room for those. *e may be replaced, by the same without its data or by an EV_BAD (storage: the disk
 * refused; busy: no memory). */
void prepare_file(struct event **e, struct blobs *blobs, uint64_t identity_id, int max_file_mb, size_t data64_max);
/* Later, for an event that was prepared without data64: sets it from the blob, whatever its size, or is_short; or *e becomes an EV_BAD. */
void prepare_data64(struct event **e, struct blobs *blobs);

#endif
