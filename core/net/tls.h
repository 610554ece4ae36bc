/* tls.h — the server's side of TLS: certificate and key, the settings of every session, a certificate of one's own.
 *
 * A struct tls can be given new files while it serves: sessions that live keep what they began with, new ones get the new. The sessions
 * themselves are moved by transport.h. Only tls*.c and transport.c include OpenSSL's ssl.h. */
#ifndef WC_TLS_H
#define WC_TLS_H

#include "base/wc.h"

struct tls;
struct ssl_st;

#define TLS_FINGERPRINT_BYTES 96 /* "AB:CD:…", terminated */

/* Before anything else of OpenSSL: no configuration file, no engine, no module of the machine is ever read. Thread: main. */
void tls_library_init(void);

/* cert: the certificate and those between it and a known authority, PEM. key: its private key, PEM, not encrypted. Thread: main. */
int tls_open(struct tls **out, const char *cert, const char *key, char **cause) WC_MUSTCHECK;
/* A certificate that this server signs itself, kept in dir with its key, in one file of mode 0600. It is made anew, with the same key, only
 * when it runs out or the machine got addresses that are not in it. dir NULL: kept in memory. Thread: main. */
int tls_open_own(struct tls **out, const char *dir, char **cause) WC_MUSTCHECK;
int tls_check_own(const char *dir, char **cause) WC_MUSTCHECK; /* is the file of tls_open_own, if there is one, of use? Makes nothing */
/* Reads the files again (of tls_open_own: looks at the dates and addresses again). On an error everything stays as it was. Thread: main. */
int tls_reload(struct tls *t, char **cause) WC_MUSTCHECK;
/* Serves from now on with what fresh was opened with; takes fresh. Thread: main. */
void tls_replace(struct tls *t, struct tls *fresh);
void tls_free(struct tls *t); /* sessions may outlive it; NULL is ignored */

bool tls_is_own(const struct tls *t);
void tls_fingerprint(struct tls *t, char out[TLS_FINGERPRINT_BYTES]); /* SHA-256 of the certificate */
int64_t tls_days_left(struct tls *t);                                 /* of the certificate; negative: it has run out */
int64_t tls_expiry_s(struct tls *t); /* when the certificate runs out, Unix seconds; 0: unknown. Thread: main */

/* A session on this socket, which stays the caller's. NULL: no memory. Any thread. */
struct ssl_st *tls_session(struct tls *t, int fd);

#endif
