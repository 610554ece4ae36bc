/* tls_own.h — a certificate that the server makes for itself. Used by tls.c alone. Main thread. */
#ifndef WC_TLS_OWN_H
#define WC_TLS_OWN_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/wc.h"

/* The kept pair, made or renewed if need be; the caller frees both. dir NULL: nothing is read or kept. *is_new: made or renewed. */
int tls_own_pair(const char *dir, EVP_PKEY **key, X509 **cert, bool *is_new, char **cause) WC_MUSTCHECK;

#endif
