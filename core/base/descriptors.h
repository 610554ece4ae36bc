/* descriptors.h — how many descriptors the server needs, and how those it may have are shared out.
 *
 * Main thread, before anything is opened. */
#ifndef WC_DESCRIPTORS_H
#define WC_DESCRIPTORS_H

#include "base/wc.h"

struct descriptors {
	int limit;           /* what this process may have open */
	int least;           /* below this nothing works */
	int for_peers;       /* of them, for connections and for the files that these send and receive */
	int connections_max; /* of those, for connections */
	int connections;     /* --max-connections, or all of these where that is 0 */
	int uploads;         /* of for_peers, for files that are received, beside their connections */
	int downloads;       /* the same for files that are sent */
	int files;           /* for files and parts of uploads in memory, which hold one each; 0 with data on disk */
};

/* Raises the soft limit to the hard one: each client is one descriptor. */
void descriptors_raise(void);
/* The doors and files that the server is to open. */
struct descriptor_opts {
	bool in_memory;          /* the data */
	int threads;             /* of I/O */
	int listeners;           /* sockets of the public door, a redirect's included */
	bool has_admin;          /* the admin's socket */
	int metrics_connections; /* at once, at the metrics' own door; 0: there is none */
	int max_connections;     /* 0: as many as can be */
	int inherited;           /* open before anything is opened here: descriptors_inherited() */
};

/* How many are open: the parent may have left some. Before anything is opened. */
int descriptors_inherited(void);

/* Shares out what the limit allows. -WC_EBAD and one line in *cause if it is too low to serve anybody. Opens nothing. */
int descriptors_plan(struct descriptors *out, const struct descriptor_opts *o, char **cause) WC_MUSTCHECK;

#endif
