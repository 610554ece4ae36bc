/* decode.h — from a client's JSON frame to an event. With the admin unit the only place that knows json-c.
 *
 * Pure but for memory; any thread. The text is valid UTF-8 already (framing saw to it). */
#ifndef WC_DECODE_H
#define WC_DECODE_H

#include "wire/event.h"

/* Frames longer than this are decoded by a helper, not on an I/O thread. */
#define WC_DECODE_INLINE 65536

/* Frames of clients in the field are read kindly, never loosely: null is absent; an id may be 3, 3.0 or " 3 ". A field of the wrong type is
 * an error if the frame's type has that field, else it is ignored. A lone surrogate escape becomes U+FFFD, NULs are dropped from every
 * string (a cid with one is refused). Filenames and MIME types are cleaned (filefield.h), a negative duration is 0, pixels and waveforms
 * that make no sense are left out. With a blob, data is not looked at.
 *
 * 0 and *out: an event (EV_BAD for what deserves an error), owned by the caller. 0 and NULL: to be ignored (unknown type, empty text).
 * -WC_ENOMEM: no memory for what the peer sent. */
int decode_frame(const char *json, size_t len, struct conn *conn, struct event **out) WC_MUSTCHECK;
/* The same for a frame that the caller may write to: the data of a file is not copied but unescaped there, and event's data points to it.
 * The frame must outlive that: until the file is prepared (flow/prepare.h), or until data is set empty. */
int decode_frame_in_place(char *json, size_t len, struct conn *conn, struct event **out) WC_MUSTCHECK;
/* Frames with more than this beside their data are refused as too large; at first any are taken. Any thread. */
void decode_bound(size_t bytes);

#endif
