/* licenses.c — prints the licences that the build put into the program (see licenses.h). Owns nothing. Main thread. */
#include "server/licenses.h"

#include <stdio.h>
#include <zlib.h>

#include "base/wc.h"

void licenses_print(void)
{
	uint8_t out[16 * 1024];
	z_stream z = { .next_in = (Bytef *)(uintptr_t)wc_licenses_gz, .avail_in = (uInt)wc_licenses_gz_len };
	int rc = inflateInit2(&z, 15 + 16); /* 16: a gzip wrapper */

	while (rc == Z_OK) {
		z.next_out = out;
		z.avail_out = sizeof(out);
		rc = inflate(&z, Z_NO_FLUSH);
		fwrite(out, 1, sizeof(out) - z.avail_out, stdout);
	}
	inflateEnd(&z);
	WC_ASSERT(rc == Z_STREAM_END); /* the build made it */
}
