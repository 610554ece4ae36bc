/* fuzz_admin.c — requests to the administrator's socket of a whole server, by the user who may do everything: verbs, queries, bodies.
 * Nothing of it may end or hang the server, and every answer is JSON, or the metrics' text.
 *
 * Input: a line "METHOD /path?query", then the body. */
#include <json-c/json.h>

#include "base/logmsg.h"
#include "fuzz_door.h"
#include "server/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct server *server;

static void stop(void)
{
	server_stop(server);
}

static void start(void)
{
	static struct options o;
	static char data[80];
	char *argv[] = { (char *)"wavechatd", (char *)"--port",    (char *)"0",  (char *)"--listen",
		         (char *)"127.0.0.1", (char *)"--data",    data,         (char *)"--threads",
		         (char *)"1",         (char *)"--sandbox", (char *)"off" };
	char *cause = NULL;

	door_make_dir();
	atexit(stop); /* before the folder goes */
	snprintf(data, sizeof(data), "%s/data", door_dir);
	WC_ASSERT(options_parse(&o, WC_LEN(argv), argv) == OPTIONS_RUN);
	log_set_level(LOG_ERROR);
	wc_thread_is(ROLE_MAIN, "");
	if (server_start(&server, &o, &cause) < 0) {
		fprintf(stderr, "%s\n", cause);
		abort();
	}
}

static void judge_body(const char *answer, const char *body, int status)
{
	struct json_object *o;

	if (!*body || !strstr(answer, "\r\nContent-Type: application/json\r\n") || strlen(body) > 100 * 1024)
		return; /* HEAD; the metrics; a copy's bytes; one that does not fit here */
	o = json_tokener_parse(body);
	WC_ASSERT(o && json_object_is_type(o, json_type_object));
	WC_ASSERT(status < 400 || json_object_object_get_ex(o, "error", NULL));
	json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static char answer[256 * 1024], request[80 * 1024];
	const char *body, *eol = n ? memchr(data, '\n', n) : NULL;
	size_t line = eol ? (size_t)(eol - (const char *)data) : n, rest = eol ? n - line - 1 : 0, len;
	int head, status;

	if (!server)
		start();
	if (line > 4096 || rest > 64 * 1024)
		return 0;
	head = snprintf(request, sizeof(request), "%.*s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n", (int)line,
	                (const char *)data, rest);
	if (rest)
		memcpy(request + head, eol + 1, rest);
	len = door_ask(server_admin_path(server), (uint8_t *)request, (size_t)head + rest, answer, sizeof(answer));
	status = door_judge(answer, len, &body);
	WC_ASSERT(status != 500 && status != 507); /* the disk is well */
	judge_body(answer, body, status);
	log_set_level(LOG_ERROR); /* one of the verbs */
	return 0;
}
