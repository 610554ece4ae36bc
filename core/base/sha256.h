/* sha256.h — SHA-256 of what is short and in memory: tokens, secrets. It cannot fail, for it takes no memory. Any thread. */
#ifndef WC_SHA256_H
#define WC_SHA256_H

#include "base/wc.h"

#define SHA256_BYTES 32

void sha256(uint8_t out[SHA256_BYTES], const void *data, size_t n);

#endif
