/* peer-civetweb.c — a peer to measure against: civetweb as it comes, a thread a client, `mg_websocket_write` in a loop. Speaks as much of
 * the wire's Part 1 as wavebench needs: join, init, text to all. It keeps nothing, tells nobody who is here, checks no limits.
 *
 *   peer-civetweb      prints "listening PORT" */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "civetweb.h"

#define PEOPLE_MAX 2000
#define THREADS "1100"

struct person {
	int id;
	char name[64];
	struct mg_connection *conn;
};
static struct person *people[PEOPLE_MAX];
static int people_count, next_id = 1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one order for all */

static void on_text(struct person *me, const char *text, int text_len)
{
	char frame[8192], own[8192], when[48];
	struct tm tm;
	time_t now = time(NULL);
	localtime_r(&now, &tm);
	strftime(when, sizeof(when), "\"ts\":\"%H:%M\",\"iso\":\"%Y-%m-%dT%H:%M:%S\"", &tm);
	int n = snprintf(frame, sizeof(frame), "{\"type\":\"text\",\"dm\":false,\"from_id\":%d,\"from_name\":\"%s\",\"text\":\"%.*s\",%s}",
	                 me->id, me->name, text_len, text, when);
	int own_n = snprintf(own, sizeof(own), "%.*s,\"self\":true}", n - 1, frame);
	for (int i = 0; i < people_count; i++)
		mg_websocket_write(people[i]->conn, MG_WEBSOCKET_OPCODE_TEXT, people[i] == me ? own : frame,
		                   (size_t)(people[i] == me ? own_n : n));
}

/* No JSON library here: strings are taken as wavebench writes them, which spares this peer the work. */
static int on_data(struct mg_connection *c, int bits, char *data, size_t len, void *arg)
{
	struct person *me = mg_get_user_connection_data(c);
	char m[8192], reply[256], *name, *text, *end;
	(void)arg;
	if ((bits & 15) != MG_WEBSOCKET_OPCODE_TEXT || len >= sizeof(m))
		return (bits & 15) != MG_WEBSOCKET_OPCODE_CONNECTION_CLOSE;
	memcpy(m, data, len);
	m[len] = 0;
	pthread_mutex_lock(&lock);
	if (me && (text = strstr(m, "\"text\":\"")) && (end = strrchr(m, '"')))
		on_text(me, text + 8, (int)(end - text - 8));
	if (!me && (name = strstr(m, "\"name\":\"")) && people_count < PEOPLE_MAX && (me = calloc(1, sizeof(*me)))) {
		me->id = next_id++;
		me->conn = c;
		snprintf(me->name, sizeof(me->name), "%.*s", (int)strcspn(name + 8, "\""), name + 8);
		mg_set_user_connection_data(c, me);
		people[people_count++] = me;
		int n = snprintf(reply, sizeof(reply), "{\"type\":\"init\",\"my_id\":%d,\"my_name\":\"%s\",\"history\":[],\"users\":[]}",
		                 me->id, me->name);
		mg_websocket_write(c, MG_WEBSOCKET_OPCODE_TEXT, reply, (size_t)n);
	}
	pthread_mutex_unlock(&lock);
	return 1;
}

int main(void)
{
	const char *options[] = { "listening_ports", "127.0.0.1:0", "num_threads", THREADS, "listen_backlog", "1024",
		                  "tcp_nodelay",     "1",           NULL };
	struct mg_server_port port;
	signal(SIGPIPE, SIG_IGN);
	struct mg_context *server = mg_start(NULL, NULL, options);
	if (!server || mg_get_server_ports(server, 1, &port) != 1)
		return 1;
	mg_set_websocket_handler(server, "/ws", NULL, NULL, on_data, NULL, NULL); /* it ends by a signal: nobody leaves the list */
	printf("listening %d\n", port.port);
	fflush(stdout);
	for (;;)
		pause();
}
