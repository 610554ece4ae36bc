/* tls_own.c — makes, keeps and renews the certificate of --tls-self-signed. Owns the file in the data directory. Main thread.
 *
 * Nobody vouches for it, so a browser warns once, and the fingerprint printed at the start is what a person compares. So it is made anew as
 * seldom as can be. The new one takes over the old one's names: a machine that wanders between networks comes to rest at one
 * certificate. */
#include "net/tls_own.h"
#include "net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define FILE_NAME "tls-self-signed.pem"
#define VALID_DAYS 820 /* some browsers refuse more than 825, also from an authority */
#define RENEW_DAYS 30
#define NAMES_MAX 64

/* --- Names: DNS or addresses */

static bool has_name(const GENERAL_NAMES *names, const GENERAL_NAME *name)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		if (GENERAL_NAME_cmp(sk_GENERAL_NAME_value(names, i), (GENERAL_NAME *)(uintptr_t)name) == 0)
			return true;
	return false;
}

/* Takes it; drops what is there already or would be too many. */
static void add_name(GENERAL_NAMES *names, GENERAL_NAME *name)
{
	if (!name || has_name(names, name) || sk_GENERAL_NAME_num(names) >= NAMES_MAX || !sk_GENERAL_NAME_push(names, name))
		GENERAL_NAME_free(name);
}

static GENERAL_NAME *new_name(int type, const void *data, size_t n)
{
	ASN1_STRING *s = ASN1_STRING_type_new(type == GEN_DNS ? V_ASN1_IA5STRING : V_ASN1_OCTET_STRING);
	GENERAL_NAME *name = GENERAL_NAME_new();
	WC_ASSERT(s && name && ASN1_STRING_set(s, data, (int)n));
	GENERAL_NAME_set0_value(name, type, s);
	return name;
}

static void add_dns(GENERAL_NAMES *names, const char *dns)
{
	if (*dns && strspn(dns, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == strlen(dns))
		add_name(names, new_name(GEN_DNS, dns, strlen(dns)));
}

/* How this machine is called, as far as it knows itself. */
static GENERAL_NAMES *machine_names(void)
{
	static const uint8_t loopback_4[4] = { 127, 0, 0, 1 }, loopback_6[16] = { [15] = 1 };
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();
	char host[HOST_NAME_MAX + 8] = "";
	struct ifaddrs *list = NULL;

	WC_ASSERT(names);
	add_dns(names, "localhost");
	if (gethostname(host, HOST_NAME_MAX) == 0) {
		host[HOST_NAME_MAX] = '\0';
		add_dns(names, host);
		if (*host && !strchr(host, '.')) {
			strncat(host, ".local", 7); /* what multicast DNS calls it */
			add_dns(names, host);
		}
	}
	add_name(names, new_name(GEN_IPADD, loopback_4, 4));
	add_name(names, new_name(GEN_IPADD, loopback_6, 16));
	if (getifaddrs(&list) < 0)
		return names;
	for (const struct ifaddrs *i = list; i; i = i->ifa_next) {
		if (!i->ifa_addr || !(i->ifa_flags & IFF_UP))
			continue;
		if (i->ifa_addr->sa_family == AF_INET)
			add_name(names, new_name(GEN_IPADD, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr, 4));
		/* Of IPv6, those that others can type; temporary ones would have the certificate made anew each day. */
		const struct in6_addr *v6 = &((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr;
		if (i->ifa_addr->sa_family == AF_INET6 && (v6->s6_addr[0] & 0xfe) == 0xfc)
			add_name(names, new_name(GEN_IPADD, v6, 16));
	}
	freeifaddrs(list);
	return names;
}

/* --- The pair */

static bool add_extension(X509 *cert, int nid, void *value)
{
	return value && X509_add1_ext_i2d(cert, nid, value, nid == NID_basic_constraints || nid == NID_key_usage, 0) == 1;
}

static X509 *make_cert(EVP_PKEY *key, GENERAL_NAMES *names)
{
	X509 *cert = X509_new();
	X509_NAME *subject = X509_NAME_new();
	BASIC_CONSTRAINTS *basic = BASIC_CONSTRAINTS_new();
	ASN1_BIT_STRING *usage = ASN1_BIT_STRING_new();
	EXTENDED_KEY_USAGE *purpose = sk_ASN1_OBJECT_new_null();
	BIGNUM *number = BN_new();
	uint8_t serial[16];
	wc_random(serial, sizeof(serial));
	serial[0] &= 0x7f;
	bool ok = cert && subject && basic && usage && purpose && number && sk_ASN1_OBJECT_push(purpose, OBJ_nid2obj(NID_server_auth)) &&
	          BN_bin2bn(serial, sizeof(serial), number) && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert)) &&
	          X509_set_version(cert, X509_VERSION_3) && X509_gmtime_adj(X509_getm_notBefore(cert), -86400) && /* clocks differ */
	          X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) && X509_set_pubkey(cert, key) &&
	          X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)"WaveChat", -1, -1, 0) &&
	          X509_set_subject_name(cert, subject) && X509_set_issuer_name(cert, subject) && ASN1_BIT_STRING_set_bit(usage, 0, 1) &&
	          add_extension(cert, NID_basic_constraints, basic) && add_extension(cert, NID_key_usage, usage) &&
	          add_extension(cert, NID_ext_key_usage, purpose) && add_extension(cert, NID_subject_alt_name, names) &&
	          X509_sign(cert, key, EVP_sha256());
	X509_NAME_free(subject);
	BASIC_CONSTRAINTS_free(basic);
	ASN1_BIT_STRING_free(usage);
	sk_ASN1_OBJECT_free(purpose); /* the object itself is OpenSSL's constant */
	BN_free(number);
	if (ok)
		return cert;
	X509_free(cert);
	return NULL;
}

/* Reads what was kept: 0 with both; 0 with none if there is no file; an error if it cannot be used. */
static int read_pair(const char *path, EVP_PKEY **key, X509 **cert, char **cause)
{
	FILE *f = fopen(path, "re");
	if (!f && errno == ENOENT)
		return 0;
	if (f) {
		*key = PEM_read_PrivateKey(f, NULL, NULL, (void *)(uintptr_t) "");
		*cert = PEM_read_X509(f, NULL, NULL, NULL);
		fclose(f);
	}
	if (*key && *cert && X509_check_private_key(*cert, *key) == 1)
		return 0;
	wc_cause(cause, "cannot read %s: %s; remove it to have a new certificate made", path, f ? "it is damaged" : strerror(errno));
	return -WC_EBAD;
}

/* Whole or not at all, and never readable to others, not for a moment. */
static int write_pair(const char *path, EVP_PKEY *key, X509 *cert, char **cause)
{
	char part[PATH_MAX];
	int fd = -1;
	FILE *f = NULL;
	bool ok = false;
	if (snprintf(part, sizeof(part), "%s.part", path) < (int)sizeof(part)) {
		unlink(part);
		fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		f = fd >= 0 ? fdopen(fd, "w") : NULL;
	}
	if (f)
		ok = PEM_write_PKCS8PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1 && PEM_write_X509(f, cert) == 1 && fflush(f) == 0 &&
		     fsync(fd) == 0;
	if (!ok)
		wc_cause(cause, "cannot keep the server's own certificate in %s: %s", path, strerror(errno));
	if (f)
		fclose(f);
	else if (fd >= 0)
		close(fd);
	if (ok && rename(part, path) < 0) {
		wc_cause(cause, "cannot keep the server's own certificate in %s: %s", path, strerror(errno));
		ok = false;
	}
	if (!ok && fd >= 0)
		unlink(part);
	return ok ? 0 : -WC_EIO;
}

/* Does it hold for long enough, and for every name? The names it has are added to `names`. */
static bool is_good(X509 *cert, GENERAL_NAMES *names)
{
	GENERAL_NAMES *old = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int days = 0, seconds = 0;
	bool ok = ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(cert)) && days >= RENEW_DAYS;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++)
		ok &= old && (has_name(old, sk_GENERAL_NAME_value(names, i)) || sk_GENERAL_NAME_num(old) >= NAMES_MAX);
	for (int i = 0; i < sk_GENERAL_NAME_num(old); i++)
		add_name(names, GENERAL_NAME_dup(sk_GENERAL_NAME_value(old, i)));
	GENERAL_NAMES_free(old);
	return ok;
}

int tls_check_own(const char *dir, char **cause)
{
	char path[PATH_MAX];
	EVP_PKEY *key = NULL;
	X509 *cert = NULL;
	int rc = snprintf(path, sizeof(path), "%s/%s", dir, FILE_NAME) < (int)sizeof(path) ? read_pair(path, &key, &cert, cause)
	                                                                                   : -WC_ETOOBIG;

	EVP_PKEY_free(key);
	X509_free(cert);
	ERR_clear_error();
	return rc;
}

int tls_own_pair(const char *dir, EVP_PKEY **key, X509 **cert, bool *is_new, char **cause)
{
	char path[PATH_MAX] = "";
	GENERAL_NAMES *names = NULL;
	int rc = 0;
	*key = NULL;
	*cert = NULL;
	*is_new = false;
	if (dir && snprintf(path, sizeof(path), "%s/%s", dir, FILE_NAME) >= (int)sizeof(path)) {
		wc_cause(cause, "the path of the data directory is too long");
		return -WC_ETOOBIG;
	}
	if (dir && (rc = read_pair(path, key, cert, cause)) < 0)
		goto out;
	names = machine_names();
	if (*cert && is_good(*cert, names))
		goto out;
	X509_free(*cert);
	if (!*key)
		*key = EVP_EC_gen("P-256");
	*cert = *key ? make_cert(*key, names) : NULL;
	*is_new = true;
	if (!*cert) {
		wc_cause(cause, "cannot make a certificate: %s", ERR_reason_error_string(ERR_peek_last_error()));
		rc = -WC_EIO;
	} else if (dir) {
		rc = write_pair(path, *key, *cert, cause);
	}
out:
	GENERAL_NAMES_free(names);
	if (rc) {
		EVP_PKEY_free(*key);
		X509_free(*cert);
		*key = NULL;
		*cert = NULL;
	}
	ERR_clear_error();
	return rc;
}
