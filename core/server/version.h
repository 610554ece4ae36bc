/* version.h — the parts of this program, for --version. Main thread. */
#ifndef WC_VERSION_H
#define WC_VERSION_H

/* The program's name and version, and those of the libraries linked in, as they themselves report it. */
void version_print(const char *program);

#endif
