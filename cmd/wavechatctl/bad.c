/* bad.c — files that are not what they should be (see bad.h). Owns the list alone. */
#include "bad.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

void bad_add(struct bad_files *b, const char *sha, const char *what)
{
	struct bad_file *f;

	if (b->count == b->room) {
		b->room = b->room ? 2 * b->room : 16;
		b->v = xrealloc(b->v, b->room * sizeof(*b->v));
	}
	f = &b->v[b->count++];
	*f = (struct bad_file){ .filename = NULL };
	snprintf(f->sha, sizeof(f->sha), "%s", sha);
	snprintf(f->what, sizeof(f->what), "%s", what);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct bad_file *)a)->sha, ((const struct bad_file *)b)->sha);
}

static struct bad_file *find(const struct bad_files *b, const char *sha)
{
	struct bad_file wanted = { .filename = NULL };

	snprintf(wanted.sha, sizeof(wanted.sha), "%s", sha);
	return b->count ? bsearch(&wanted, b->v, b->count, sizeof(*b->v), compare) : NULL;
}

const char *bad_why(const struct bad_files *b, const char *sha)
{
	for (size_t i = 0; i < b->count; i++)
		if (strcmp(b->v[i].sha, sha) == 0)
			return b->v[i].what;
	return NULL;
}

static void note(struct bad_files *b, const char *sha, uint64_t message, const char *filename, size_t len)
{
	struct bad_file *f = find(b, sha);

	if (!f)
		return;
	if (f->messages++ == 0) {
		f->message = message;
		f->filename = xcalloc(1, len + 1);
		memcpy(f->filename, filename, len);
	}
}

static void sort(struct bad_files *b)
{
	if (b->count)
		qsort(b->v, b->count, sizeof(*b->v), compare);
}

void bad_name_live(struct bad_files *b, struct ctl *c)
{
	char path[96];
	bool more = b->count > 0;

	sort(b);
	snprintf(path, sizeof(path), "/v1/verify/files");
	hush(true);
	while (more) {
		struct json_object *o, *list;

		client_beat(c);
		if (api_get(c, path, &o))
			break;
		list = jarray(o, "files");
		for (size_t i = 0; i < json_object_array_length(list); i++) {
			struct json_object *f = json_object_array_get_idx(list, i);
			const char *name = jstr(f, "filename");

			note(b, jstr(f, "sha"), (uint64_t)jint(f, "message"), name, strlen(name));
		}
		more = jbool(o, "more") && json_object_array_length(list) > 0;
		snprintf(path, sizeof(path), "/v1/verify/files?after=%.32s", jstr(o, "upto"));
		json_object_put(o);
	}
	hush(false);
}

static void on_file(void *arg, uint64_t message, const uint8_t sha[WC_SHA_BYTES], struct str filename)
{
	char hex[2 * WC_SHA_BYTES + 1];

	wc_hex(hex, sha, WC_SHA_BYTES);
	note(arg, hex, message, filename.p ? filename.p : "", filename.len);
}

void bad_name_rest(struct bad_files *b, struct store_verify *v)
{
	uint64_t upto = 0;

	sort(b);
	while (b->count && store_verify_files(v, upto, 1000, on_file, b, &upto) == 1000)
		;
}

void bad_print(const struct bad_files *b)
{
	for (size_t i = 0; i < b->count; i++) {
		const struct bad_file *f = &b->v[i];
		char others[64] = "";

		if (f->messages > 1)
			snprintf(others, sizeof(others), ", and %llu more", (unsigned long long)f->messages - 1);
		if (!f->filename)
			complain(0, "bad file %s: %s; its message is not known", f->sha, f->what);
		else if (*f->filename)
			complain(0, "bad file %s: %s; message %llu, \"%s\"%s", f->sha, f->what, (unsigned long long)f->message, f->filename,
			         others);
		else
			complain(0, "bad file %s: %s; message %llu, a voice%s", f->sha, f->what, (unsigned long long)f->message, others);
	}
}

struct json_object *bad_json(const struct bad_files *b)
{
	struct json_object *list = json_object_new_array();

	for (size_t i = 0; i < b->count; i++) {
		const struct bad_file *f = &b->v[i];
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "sha", json_object_new_string(f->sha));
		json_object_object_add(o, "what", json_object_new_string(f->what));
		json_object_object_add(o, "messages", json_object_new_int64((int64_t)f->messages));
		if (f->filename) {
			json_object_object_add(o, "message", json_object_new_int64((int64_t)f->message));
			json_object_object_add(o, "filename", json_object_new_string(f->filename));
		}
		json_object_array_add(list, o);
	}
	return list;
}

void bad_fini(struct bad_files *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->v[i].filename);
	free(b->v);
	*b = (struct bad_files){ .v = NULL };
}
