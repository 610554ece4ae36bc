/* privilege.h — the user that the server is to become, and becoming it for good. Main thread, before any other runs.
 *
 * The files of users and groups are read here: libc's own look-ups load modules, which a static program must not. */
#ifndef WC_PRIVILEGE_H
#define WC_PRIVILEGE_H

#include "base/wc.h"

#define RUNNER_NAME_BYTES 33 /* 32 is the longest name that Linux's tools make */

struct runner {
	uid_t uid;
	gid_t gid;
	char name[RUNNER_NAME_BYTES]; /* terminated; digits if the user has none */
};

/* spec: NAME, UID, NAME:GROUP or UID:GID, each part by name or number. Without a group it is the user's own; a number that nobody has
 * stands for itself, for both. root is refused. files: a folder with passwd and group in it, /etc but in tests.
 * Returns 0; or an error and *cause, one line. */
int runner_find(struct runner *out, const char *spec, const char *files, char **cause) WC_MUSTCHECK;

/* Makes dir if it is missing, and then, or if root made it for nobody yet (it is empty), gives it to who. An error if it is another's. who
 * NULL: for ourselves. */
int privilege_make_dir(const char *dir, const struct runner *who, char **cause) WC_MUSTCHECK;

char *parent_of(const char *dir); /* where dir is, or would be made; from malloc */
/* Would that do? Makes nothing. *is_given: it would make dir, or give it to who; later writes there need not be checked now. */
int privilege_check_dir(const char *dir, const struct runner *who, bool *is_given, char **cause) WC_MUSTCHECK;

/* Becomes who, without any further group or capability, and makes sure that the way back is closed. who NULL: stays who it is, but gives up
 * what capabilities somebody other than root was given. Nothing is to be done for one who is that user already. */
int privilege_drop(const struct runner *who, char **cause) WC_MUSTCHECK;

/* No memory image is left by a crash: it would hold keys and private talk. */
void privilege_no_core(void);

#endif
