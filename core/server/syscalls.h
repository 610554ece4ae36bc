/* syscalls.h — the system calls that the program needs, and a filter that lets no others pass. */
#ifndef WC_SYSCALLS_H
#define WC_SYSCALLS_H

#include "base/wc.h"

/* For every thread that is and will be. False: this kernel (or architecture) has no such filters. Cannot be undone. no_new_privs is set. */
bool syscalls_restrict(void) WC_MUSTCHECK;

#endif
