/* data64.h — the base64 of blobs, as clients of the first dialect get it: one shared copy of each for all messages and readers.
 *
 * Owns a table of the copies that live. Never keeps one alive: the last reader's reference ends it. Thread: any that may wait for a
 * disk. */
#ifndef WC_DATA64_H
#define WC_DATA64_H

#include "base/shbuf.h"
#include "files/blob.h"

/* Gives a reference to the base64 of a blob, made of the blob's bytes if no copy lives. The owner is charged for one that is made. 0, or
 * -WC_ENOMEM: there is no room for it, or somebody is making it just now; -WC_EIO, or an error of blob_get: it cannot be read. */
int data64_of_blob(struct blobs *blobs, const uint8_t sha[WC_SHA_BYTES], uint64_t size, shbuf_owner owner, struct shbuf **out) WC_MUSTCHECK;
/* The same of bytes that are at hand and have this hash. 0 or -WC_ENOMEM. */
int data64_of_bytes(const void *bytes, uint64_t size, const uint8_t sha[WC_SHA_BYTES], shbuf_owner owner, struct shbuf **out) WC_MUSTCHECK;
size_t data64_count(void); /* copies that live or are being made. Any thread */

#endif
