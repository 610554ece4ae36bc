/* plainfile.c — see plainfile.h. Owns nothing. */
#include "base/plainfile.h"

#include <string.h>
#include <sys/stat.h>

static bool is_inherited(const char *path)
{
	static const char *const places[] = { "/dev/fd/", "/proc/self/fd/", "/dev/stdin" };

	for (size_t i = 0; i < WC_LEN(places); i++)
		if (strncmp(path, places[i], strlen(places[i])) == 0)
			return true;
	return false;
}

bool file_is_plain(const char *path, const char **what)
{
	struct stat st;

	*what = "";
	if (stat(path, &st) < 0 || S_ISREG(st.st_mode) || is_inherited(path))
		return true;
	*what = S_ISDIR(st.st_mode) ? "a folder" : S_ISFIFO(st.st_mode) ? "a pipe" : S_ISSOCK(st.st_mode) ? "a socket" : "a device";
	return false;
}
