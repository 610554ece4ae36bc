/* replay_main.c — runs a fuzz target over files that are already there, without libFuzzer: the committed corpora become tests.
 *
 * Compiled with one target, with any compiler:
 *   cc -std=gnu11 -D_GNU_SOURCE -Icore tests/fuzz/replay_main.c tests/fuzz/fuzz_NAME.c LIBRARY -lutf8proc -o replay_NAME
 * Used: replay_NAME FILE-OR-FOLDER...   A target aborts on what it finds wrong; finding no file at all is an error too. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static unsigned long replayed;

static int replay_file(const char *path, size_t n)
{
	FILE *f = fopen(path, "rb");
	/* Just as large as the input, so that a sanitizer sees a step past its end. */
	uint8_t *data = malloc(n ? n : 1);
	int ret = -1;

	if (!f || !data || fread(data, 1, n, f) != n) {
		fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
		goto out;
	}
	/* Written first: a target that aborts does not say on what. */
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, n);
	replayed++;
	ret = 0;
out:
	free(data);
	if (f)
		fclose(f);
	return ret;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent **names;
	int ret = 0;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode))
		return replay_file(path, (size_t)st.st_size);
	int n = scandir(path, &names, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return -1;
	}
	for (int i = 0; i < n; i++) {
		if (names[i]->d_name[0] != '.') {
			char *inner;
			if (asprintf(&inner, "%s/%s", path, names[i]->d_name) < 0)
				abort();
			if (replay(inner) < 0)
				ret = -1;
			free(inner);
		}
		free(names[i]);
	}
	free(names);
	return ret;
}

int main(int argc, char **argv)
{
	int ret = 0;

	for (int i = 1; i < argc; i++)
		if (replay(argv[i]) < 0)
			ret = 1;
	if (!replayed) {
		fprintf(stderr, "%s: nothing to replay\n", argv[0]);
		ret = 1;
	}
	printf("%lu inputs replayed\n", replayed);
	return ret;
}
