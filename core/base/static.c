/* static.c — safe replacements for parts of libc that a static program must not use.
 *
 * glibc's resolver and dlopen load shared objects of the very glibc they were built with. The machine may have another one or none. Linking
 * them draws three warnings, and calling them can crash. Nothing here needs them: addresses are numeric (--listen, civetweb's ports),
 * OpenSSL's and SQLite's loadable modules are not used. So these take their places, and the linker leaves libc's out. Linked into static
 * programs only; the sanitizers' builds use libc's own. Any thread. */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A decimal port, or nothing (port 0). */
static bool parse_port(const char *s, in_port_t *out)
{
	char *end = NULL;
	unsigned long n = 0;

	if (s && *s) {
		if (*s < '0' || *s > '9')
			return false;
		n = strtoul(s, &end, 10);
		if (*end != '\0' || n > 65535)
			return false;
	}
	*out = htons((uint16_t)n);
	return true;
}

/* Numeric hosts only, as with AI_NUMERICHOST | AI_NUMERICSERV: one result. */
int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict out)
{
	struct entry {
		struct addrinfo info;
		struct sockaddr_storage address;
	} * e;
	int family = hints ? hints->ai_family : AF_UNSPEC;
	bool is_passive = hints && (hints->ai_flags & AI_PASSIVE);
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	in_port_t port;

	if (!parse_port(service, &port))
		return EAI_SERVICE;
	v4.sin_port = v6.sin6_port = port;
	if (!node) {
		v4.sin_addr.s_addr = htonl(is_passive ? INADDR_ANY : INADDR_LOOPBACK);
		v6.sin6_addr = is_passive ? in6addr_any : in6addr_loopback;
		if (family == AF_UNSPEC)
			family = AF_INET;
	} else if (family != AF_INET6 && inet_pton(AF_INET, node, &v4.sin_addr) == 1) {
		family = AF_INET;
	} else if (family != AF_INET && inet_pton(AF_INET6, node, &v6.sin6_addr) == 1) {
		family = AF_INET6;
	} else {
		return EAI_NONAME;
	}
	if (family != AF_INET && family != AF_INET6)
		return EAI_FAMILY;
	e = calloc(1, sizeof(*e));
	if (!e)
		return EAI_MEMORY;
	e->info.ai_family = family;
	e->info.ai_socktype = hints ? hints->ai_socktype : SOCK_STREAM;
	e->info.ai_protocol = hints ? hints->ai_protocol : 0;
	e->info.ai_addrlen = family == AF_INET ? sizeof(v4) : sizeof(v6);
	e->info.ai_addr = (struct sockaddr *)&e->address;
	memcpy(&e->address, family == AF_INET ? (void *)&v4 : (void *)&v6, e->info.ai_addrlen);
	*out = &e->info;
	return 0;
}

void freeaddrinfo(struct addrinfo *info)
{
	/* the entry begins with it, and is one allocation */
	free(info);
}

/* Numbers for both, whatever the flags ask. */
int getnameinfo(const struct sockaddr *restrict address, socklen_t len, char *restrict host, socklen_t host_room, char *restrict service,
                socklen_t service_room, int flags)
{
	const void *bytes;
	in_port_t port;

	(void)flags;
	if (address->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
		bytes = &((const struct sockaddr_in *)address)->sin_addr;
		port = ((const struct sockaddr_in *)address)->sin_port;
	} else if (address->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		bytes = &((const struct sockaddr_in6 *)address)->sin6_addr;
		port = ((const struct sockaddr_in6 *)address)->sin6_port;
	} else {
		return EAI_FAMILY;
	}
	if (host && host_room > 0 && !inet_ntop(address->sa_family, bytes, host, host_room))
		return EAI_OVERFLOW;
	if (service && service_room > 0 && snprintf(service, service_room, "%u", ntohs(port)) >= (int)service_room)
		return EAI_OVERFLOW;
	return 0;
}

struct hostent *gethostbyaddr(const void *address, socklen_t len, int family)
{
	(void)address;
	(void)len;
	(void)family;
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

struct servent *getservbyname(const char *name, const char *protocol)
{
	(void)name;
	(void)protocol;
	return NULL;
}

struct hostent *gethostbyname(const char *name)
{
	(void)name;
	h_errno = HOST_NOT_FOUND;
	return NULL;
}

/* By this name through the linker's --wrap: libc's own character-set conversion keeps the real one in the program. */
void *__wrap_dlopen(const char *file, int mode);
void *__wrap_dlopen(const char *file, int mode)
{
	(void)file;
	(void)mode;
	return NULL;
}

void *dlsym(void *restrict handle, const char *restrict name)
{
	(void)handle;
	(void)name;
	return NULL;
}

int dladdr(const void *address, Dl_info *info)
{
	(void)address;
	(void)info;
	return 0;
}

int dlclose(void *handle)
{
	(void)handle;
	return 0;
}

char *dlerror(void)
{
	static char text[] = "a static program loads no modules";

	return text;
}
