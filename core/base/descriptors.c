/* descriptors.c — see descriptors.h. Owns nothing. Main thread. */
#include "base/descriptors.h"

#include <dirent.h>
#include <sys/resource.h>

/* Descriptors that the parts open at start and keep, measured; a door is its listener, and the wakers of its four threads. */
#define OF_DOOR 8
#define OF_ADMIN (OF_DOOR + 1 + 8) /* the socket's folder; some at work */
#define OF_THREAD 2                /* of I/O */
#define OF_DISK 20                 /* the database of a writer and five readers, folders, the lock */
#define OF_MEMORY 2
#define OF_MOMENTS 16 /* a blob written, a folder read, a certificate read again, a backup */

#define CONNECTIONS_LEAST 8
/* Uploads and downloads hold one more than their connection. This is kept for them; of what connections leave they may have more, but
 * never so much that slow ones keep people out. Each sort has half of it. */
#define TRANSFERS_LEAST 8
#define TRANSFERS_SHARE 32 /* a share: one in this many */
#define TRANSFERS_MOST 4   /* … and at most, one in this many */
/* With data in memory each file holds one as well. */
#define FILES_LEAST 8
#define FILES_MOST 1000
#define FILES_SHARE 4

void descriptors_raise(void)
{
	struct rlimit rl;
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0 && rl.rlim_cur < rl.rlim_max) {
		rl.rlim_cur = rl.rlim_max;
		setrlimit(RLIMIT_NOFILE, &rl);
	}
}

/* The one that reads the folder is not among them. */
int descriptors_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");
	int count = -1;
	if (!d)
		return 3;
	for (struct dirent *e; (e = readdir(d));)
		count += *e->d_name != '.';
	closedir(d);
	return count;
}

int descriptors_plan(struct descriptors *out, const struct descriptor_opts *o, char **cause)
{
	struct rlimit rl;
	int own = o->inherited + OF_DOOR + OF_THREAD * o->threads + (o->in_memory ? OF_MEMORY : OF_DISK) + OF_MOMENTS;
	*out = (struct descriptors){ .limit = 1 << 30 };
	own += o->listeners - 1; /* one is the door's */
	own += (o->has_admin ? OF_ADMIN : 0) + (o->metrics_connections ? OF_DOOR + o->metrics_connections : 0);
	if (getrlimit(RLIMIT_NOFILE, &rl) == 0)
		out->limit = (int)WC_MIN(rl.rlim_cur, (rlim_t)1 << 30);

	const int wanted = o->max_connections ? WC_MIN(o->max_connections, CONNECTIONS_LEAST) : CONNECTIONS_LEAST;
	out->least = own + TRANSFERS_LEAST + (o->in_memory ? FILES_LEAST : 0) + wanted;
	if (out->limit < out->least) {
		wc_cause(
			cause,
			"too few descriptors: %d are needed to serve anybody, and this process may have %d: raise the limit of open files (ulimit -n %d, "
			"LimitNOFILE=%d)",
			out->least, out->limit, out->least, out->least);
		return -WC_EBAD;
	}
	/* Shares of what is beyond the least, so that at the least everything has its own. */
	const int more = out->limit - out->least;
	out->files = o->in_memory ? FILES_LEAST + WC_MIN(more / FILES_SHARE, FILES_MOST - FILES_LEAST) : 0;
	out->for_peers = out->limit - own - out->files;
	out->connections_max = out->for_peers - TRANSFERS_LEAST - more / TRANSFERS_SHARE;
	out->uploads = out->downloads = (TRANSFERS_LEAST + more / TRANSFERS_MOST) / 2;
	out->connections = o->max_connections ? WC_MIN(o->max_connections, out->connections_max) : out->connections_max;
	return 0;
}
