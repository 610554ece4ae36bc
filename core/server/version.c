/* version.c — the versions of what is linked in (see version.h). Asks the libraries, so that a program built against one version and
 * linked with another says the truth. Owns nothing. */
#include "server/version.h"

#include <civetweb.h>
#include <json-c/json_c_version.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <utf8proc.h>
#include <zlib.h>

#include "base/wc.h"
#include "store/store.h"

void version_print(const char *program)
{
	printf("%s %s\n", program, wc_version());
	printf("civetweb %s, json-c %s, zlib %s, SQLite %s, OpenSSL %s, utf8proc %s\n", mg_version(), json_c_version(), zlibVersion(),
	       store_sqlite_version(), OpenSSL_version(OPENSSL_VERSION_STRING), utf8proc_version());
}
