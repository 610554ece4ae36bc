/* filefield.h — a peer's description of a file, made fit to be stored and shown. Pure functions on valid UTF-8; any thread. */
#ifndef WC_FILEFIELD_H
#define WC_FILEFIELD_H

#include "base/wc.h"
#include "wire/msg.h"

#define WC_FILENAME_BYTES (WC_FILENAME_POINTS * 4)

/* The bare name, without folders, control and bidi characters; at most WC_FILENAME_POINTS, never empty, "." or "..".
 * Lies in out, or is a constant. */
struct str filename_clean(char out[WC_FILENAME_BYTES], struct str raw);
/* type/subtype in lower case, without parameters: readers compare it, and some decide by it. Lies in out, or is `fallback`. */
struct str mime_clean(char out[WC_MIME_BYTES], struct str raw, struct str fallback);
/* A waveform is a decoration: one that is too long or not in base64's alphabet becomes empty. */
struct str waveform_clean(struct str s);
/* Undoes the escapes of a JSON string that json_scan has checked. Base64 needs none, but some encoders write "\/". White space stays; any
 * other escape becomes '*', which no base64 has. out has room for s.len bytes; returns how many there are. */
size_t base64_unescape(char *out, struct str s);

#endif
