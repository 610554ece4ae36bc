/* impl.h — the door from within: what httpd.c, http_req.c and httpd_answer.c share. For this folder alone. */
#ifndef WC_HTTPD_IMPL_H
#define WC_HTTPD_IMPL_H

#include <stdatomic.h>

#include "http/civet.h"
#include "http/gate.h"
#include "http/httpd.h"
#include "http/xfer.h"

struct httpd {
	struct httpd_opts o;
	struct http_route *routes;
	char *unix_path;
	struct gate *gate;
	struct civet *civet;
	struct xfer *xfer;
	int port;
	atomic_bool is_closing;
	atomic_uint refs; /* one is httpd_start's, one each request's */
};

/* One block: the struct, its headers, the text they point into, the path. */
struct http_req {
	struct httpd *h;
	struct hconn *c;
	struct http_body body;
	int64_t came_ms;
	const char *method, *path, *query;
	int header_count;
	struct civet_header headers[];
};

/* http_req.c. Any thread. */
struct http_req *httpd_req_new(struct httpd *h, struct hconn *c, const struct civet_request *q); /* NULL: no memory */
void httpd_req_free(struct http_req *r);
void httpd_unref(struct httpd *h); /* the last one frees the door */

/* httpd_answer.c. Any thread that owns c. All but the first two give c away: back to the gate, to the transfer thread, or to its end. */
struct str httpd_field(const struct hconn *c, const char *wanted); /* of the header being answered: a field's value, or an empty one */
bool httpd_is_https(const struct hconn *c);                        /* by TLS here or at a trusted proxy */
void httpd_answer(struct httpd *h, struct hconn *c, const struct http_reply *r, bool keeps_alive);
void httpd_refuse(struct httpd *h, struct hconn *c, int status); /* a header that never becomes a request */
void httpd_redirect(struct httpd *h, struct hconn *c);           /* to HTTPS */
void httpd_turn_away(void *h, int fd, int status);               /* a connection that is not even let in; closes fd */

#endif
