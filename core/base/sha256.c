/* sha256.c — by OpenSSL's plain functions (see sha256.h). Owns nothing.
 *
 * The newer ones look an implementation up and allocate at each call. Where memory is short they fail, and a hash that was not made must
 * not be taken for one. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <openssl/sha.h>

_Static_assert(SHA256_BYTES == SHA256_DIGEST_LENGTH, "a SHA-256 has 32 bytes");

void sha256(uint8_t out[SHA256_BYTES], const void *data, size_t n)
{
	SHA256_CTX c;

	WC_ASSERT(SHA256_Init(&c) && SHA256_Update(&c, data, n) && SHA256_Final(out, &c)); /* none has a way to fail */
}
