/* sandbox.h — the rights that the process keeps after its start: a filter of system calls (seccomp) and of files (Landlock).
 *
 * Entered once, before the first thread and before anything that a peer or the data directory can influence is read. Open files stay open.
 * From then on an attacker inside the program has the data directory and the sockets, and nothing else of the machine. Main thread. */
#ifndef WC_SANDBOX_H
#define WC_SANDBOX_H

#include "base/wc.h"
#include "server/options.h"

struct sandbox_paths {
	const char *data;        /* may be read and written, all of it; NULL: nothing is kept */
	const char *socket_dir;  /* a unix socket is made and removed here; NULL: none is */
	const struct options *o; /* whose files may be read again, where they lie and where their symbolic links lead */
};

/* The kernel's answer. */
struct sandbox {
	bool no_new_privs;
	bool seccomp;
	int landlock; /* its version; 0: none, or too old to allow what we do */
};

/* Gives up the gaining of privileges, always; enters as much of the rest as mode asks for and the kernel has. SANDBOX_REQUIRE: an error
 * where one of both is not to be had. Nothing can be taken back. */
int sandbox_enter(enum sandbox_mode mode, const struct sandbox_paths *paths, struct sandbox *out, char **cause) WC_MUSTCHECK;

#endif
