/* tls.c — contexts and sessions of TLS. Owns the context in use; a reload swaps it under a lock that is held for no longer than taking a
 * reference. Never touches a socket. Threads: main; tls_session from any. */
#include "net/tls.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "base/plainfile.h"
#include "net/tls_own.h"

struct tls {
	char *cert, *key; /* files; NULL: one's own */
	char *dir;
	pthread_mutex_t lock;
	SSL_CTX *ctx;
};

void tls_library_init(void)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	/* Does now the set-up of its first use: if memory were short at that moment, it would never work again. */
	(void)EVP_Digest("", 0, hash, NULL, EVP_sha256(), NULL);
}

/* The first thing OpenSSL complained of, in words: what follows are its callers. */
static const char *complaint(void)
{
	unsigned long e = ERR_peek_error();
	const char *words = ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
	return words ? words : "not in PEM form";
}

/* The remedy: a server that gave up root for --user can find that its files are root's alone. */
static const char *remedy(const char *otherwise)
{
	unsigned long e = ERR_peek_error();
	return ERR_SYSTEM_ERROR(e) && ERR_GET_REASON(e) == EACCES ? "make it readable for the user that the server runs as" : otherwise;
}

/* Browsers offer h2 too and take http/1.1; a client that offers neither is served all the same. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, ours, sizeof(ours) - 1, in, in_len) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

/* An encrypted key would have OpenSSL ask on the terminal. */
static int no_password(char *buf, int size, int for_writing, void *arg)
{
	bool *was_asked = arg;
	(void)buf;
	(void)size;
	(void)for_writing;
	*was_asked = true;
	return -1;
}

/* OpenSSL reads on by itself until a record brings bytes. Here ends what a client can do with records that bring none:
 * - a new key, which ends the read; tls_recv counts it and sets the mode back;
 * - a handshake in crumbs, or the wish for another one in TLS 1.2: after RECORDS_MOST the session has nothing to read from, and breaks. */
#define RECORDS_MOST 128

static void look_at_record(int is_written, int version, int type, const void *message, size_t n, SSL *ssl, void *arg)
{
	const uint8_t *p = message;
	(void)version;
	(void)arg;
	if (!is_written && type == SSL3_RT_HANDSHAKE && n && p[0] == SSL3_MT_KEY_UPDATE)
		SSL_clear_mode(ssl, SSL_MODE_AUTO_RETRY);
	const bool is_crumb = !is_written && type == SSL3_RT_HEADER && !SSL_is_init_finished(ssl);
	if (!is_crumb && !(is_written && type == SSL3_RT_ALERT && n == 2 && p[1] == SSL_AD_NO_RENEGOTIATION))
		return;
	const uintptr_t records = (uintptr_t)SSL_get_app_data(ssl) + 1;
	SSL_set_app_data(ssl, (void *)records);
	if (records > RECORDS_MOST)
		SSL_set0_rbio(ssl, NULL);
}

static SSL_CTX *new_context(char **cause)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	if (!ctx || !SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) ||
	    !SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") || !SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384")) {
		wc_cause(cause, "cannot set up TLS: %s", complaint());
		SSL_CTX_free(ctx);
		return NULL;
	}
	/* The client may ask for another key exchange for every one it paid for: not offered. An end without a farewell is an end. */
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                 SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* The bytes are a range of a log: they may lie elsewhere at the next try. Idle sessions give their buffers back. */
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
	/* A client that comes back brings its ticket; nothing is remembered here. */
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	SSL_CTX_set_msg_callback(ctx, look_at_record);
	return ctx;
}

static SSL_CTX *context_of_files(const char *cert, const char *key, char **cause)
{
	const char *files[] = { cert, key }, *what;
	bool was_asked = false;
	for (size_t i = 0; i < WC_LEN(files); i++)
		if (!file_is_plain(files[i], &what)) {
			wc_cause(cause, "cannot use the %s %s: it is %s; it is read again at SIGHUP, so name a regular file",
			         i ? "key" : "certificate", files[i], what);
			return NULL;
		}
	SSL_CTX *ctx = new_context(cause);
	if (!ctx)
		return NULL;
	ERR_clear_error();
	SSL_CTX_set_default_passwd_cb(ctx, no_password);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &was_asked);
	if (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1)
		wc_cause(cause, "cannot use the certificate %s: %s; %s", cert, complaint(), remedy("give a PEM file with --tls-cert"));
	else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1 && was_asked)
		wc_cause(cause, "cannot use the key %s: it is encrypted; take the passphrase off with openssl pkey", key);
	else if (ERR_GET_LIB(ERR_peek_error()) == ERR_LIB_X509)
		wc_cause(cause, "the key %s is not that of the certificate %s", key, cert);
	else if (!SSL_CTX_get0_privatekey(ctx))
		wc_cause(cause, "cannot use the key %s: %s; %s", key, complaint(),
		         remedy("give the certificate's private key as PEM with --tls-key"));
	else if (SSL_CTX_check_private_key(ctx) != 1)
		wc_cause(cause, "the key %s is not that of the certificate %s", key, cert);
	else {
		SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
		return ctx;
	}
	SSL_CTX_free(ctx);
	return NULL;
}

static SSL_CTX *own_context(const char *dir, char **cause)
{
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	SSL_CTX *ctx = NULL;
	bool is_new;
	if (tls_own_pair(dir, &key, &cert, &is_new, cause) == 0 && (ctx = new_context(cause)) &&
	    (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, key) != 1)) {
		wc_cause(cause, "cannot use the server's own certificate: %s", complaint());
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_PKEY_free(key);
	X509_free(cert);
	return ctx;
}

int tls_reload(struct tls *t, char **cause)
{
	SSL_CTX *ctx = t->cert ? context_of_files(t->cert, t->key, cause) : own_context(t->dir, cause);
	ERR_clear_error();
	if (!ctx)
		return -WC_EBAD;
	pthread_mutex_lock(&t->lock);
	SSL_CTX *old = t->ctx;
	t->ctx = ctx;
	pthread_mutex_unlock(&t->lock);
	SSL_CTX_free(old);
	return 0;
}

void tls_replace(struct tls *t, struct tls *fresh)
{
	char *cert = t->cert, *key = t->key;
	SSL_CTX *ctx;
	pthread_mutex_lock(&t->lock);
	ctx = t->ctx;
	t->ctx = fresh->ctx;
	pthread_mutex_unlock(&t->lock);
	t->cert = fresh->cert;
	t->key = fresh->key;
	fresh->ctx = ctx;
	fresh->cert = cert;
	fresh->key = key;
	tls_free(fresh);
}

static int open_with(struct tls **out, const char *cert, const char *key, const char *dir, char **cause)
{
	struct tls *t = xcalloc(1, sizeof(*t));
	t->cert = cert ? xstrdup(cert) : NULL;
	t->key = key ? xstrdup(key) : NULL;
	t->dir = dir ? xstrdup(dir) : NULL;
	pthread_mutex_init(&t->lock, NULL);
	if (tls_reload(t, cause) < 0) {
		tls_free(t);
		return -WC_EBAD;
	}
	*out = t;
	return 0;
}

int tls_open(struct tls **out, const char *cert, const char *key, char **cause)
{
	return open_with(out, cert, key, NULL, cause);
}

int tls_open_own(struct tls **out, const char *dir, char **cause)
{
	return open_with(out, NULL, NULL, dir, cause);
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	free(t->cert);
	free(t->key);
	free(t->dir);
	free(t);
}

bool tls_is_own(const struct tls *t)
{
	return !t->cert;
}

void tls_fingerprint(struct tls *t, char out[TLS_FINGERPRINT_BYTES])
{
	unsigned char sha[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	size_t at = 0;
	if (X509_digest(SSL_CTX_get0_certificate(t->ctx), EVP_sha256(), sha, &n) != 1)
		n = 0;
	out[0] = '\0';
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(out + at, TLS_FINGERPRINT_BYTES - at, "%s%02X", i ? ":" : "", sha[i]);
}

int64_t tls_days_left(struct tls *t)
{
	int days = 0, seconds = 0;
	if (!ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(SSL_CTX_get0_certificate(t->ctx))))
		return -1;
	return seconds < 0 ? days - 1 : days;
}

int64_t tls_expiry_s(struct tls *t)
{
	struct tm tm;
	return ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(t->ctx)), &tm) ? (int64_t)timegm(&tm) : 0;
}

struct ssl_st *tls_session(struct tls *t, int fd)
{
	SSL_CTX *ctx;
	pthread_mutex_lock(&t->lock);
	ctx = t->ctx;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&t->lock);
	SSL *ssl = SSL_new(ctx);
	SSL_CTX_free(ctx); /* the session has a reference of its own */
	if (ssl && SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		ssl = NULL;
	}
	if (ssl)
		SSL_set_accept_state(ssl);
	ERR_clear_error();
	return ssl;
}
