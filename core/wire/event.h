/* event.h — an event for the room: one decoded frame of a peer, the end of a connection, or an internal wish.
 *
 * An event is one allocation (strings lie behind the struct) plus the buffers it names; it has one owner at a time and one free. */
#ifndef WC_EVENT_H
#define WC_EVENT_H

#include "base/shbuf.h"
#include "base/wc.h"
#include "wire/msg.h"

struct blob_hold;
struct conn;

/* clang-format off */
enum event_kind {
	/* from a peer's frame */
	EV_JOIN, EV_TEXT, EV_FILE, EV_VOICE, EV_TYPING, EV_DM_HISTORY,                    /* Part 1 */
	EV_SYNC, EV_HISTORY, EV_WHO, EV_LINK, EV_SIGN_OUT, EV_PING,                       /* Part 2 */
	EV_BAD,     /* a frame that gets an error: code, text and cid say which */
	/* from the server itself */
	EV_ENDING,  /* the peer said goodbye or broke the protocol: once all it sent before is answered, the close frame `end` */
	EV_CLOSED,  /* the connection is gone; its memory is freed after the room's MAIL_RELEASE */
	EV_CALL,    /* run call(arg) on the room thread, in order with the rest but for what waits for its turn (room/turn.c) */
	EV_ADMIN,   /* the same between two groups: what they did is committed and shown, and it may have a transaction of its own */
	EV_STOP,    /* close everyone and end */
};
/* clang-format on */

const char *error_code_name(enum error_code code); /* "bad_request" … */

struct event {
	struct event *next; /* the inbox's and the hub's lists */
	struct conn *conn;  /* whose; NULL for the server's own */
	enum event_kind kind;
	bool holds_conn; /* its connection is not read on until the room has dealt with it: a helper worked on the frame */
	bool has_to;     /* EV_TEXT, EV_FILE, EV_VOICE, EV_TYPING: to_id is given and not 0 */
	uint64_t to_id;  /* also peer_id, of EV_DM_HISTORY and EV_HISTORY */
	struct str cid;  /* at most WC_CID_BYTES; empty: none */
	union {
		struct {
			int version;                  /* 1, or 2 and up (served as 2) */
			struct str name, token, code; /* as sent; name not yet cleaned; token and code at most 128 bytes */
			struct str password;          /* cut behind what none can have */
			bool has_since;
			uint64_t since;
		} join;
		struct str text; /* EV_TEXT: trimmed, 1..4000 code points */
		struct {
			struct str filename, mime, waveform;
			struct str data; /* base64 as sent; empty once prepared */
			struct str blob; /* an upload's handle; empty: none */
			double duration;
			uint32_t width, height;
			uint64_t size;  /* set by the preparation, from the bytes */
			bool is_gone;   /* by a handle whose message was stored and whose bytes were released: at most that message again */
			bool is_short;  /* data64 is missing for want of memory, or is being made: to be tried again */
			bool is_unread; /* not prepared, because its sender was over a limit: size is about right, nothing is stored */
			uint8_t sha[WC_SHA_BYTES];
			shbuf_owner owner;      /* who is charged for data64, if it is made */
			int64_t short_since_ms; /* monotonic: when the room saw it short first; 0: never */
			struct shbuf *data64;   /* canonical base64 for dialect 1; may be NULL */
			struct blob_hold *hold; /* the bytes stay while the event is under way; NULL: not prepared, or is_gone */
			void (*end_hold)(struct blob_hold *hold); /* set with hold; any thread */
		} file;                                           /* EV_FILE and EV_VOICE */
		struct {
			uint64_t since, before, after;
			uint32_t limit; /* 0: none given */
			struct str q;
		} page; /* EV_SYNC, EV_HISTORY, EV_WHO, EV_DM_HISTORY */
		struct {
			enum error_code code;
			struct str text; /* what a person reads */
		} bad;
		struct {
			int code;
			const char *reason; /* a literal */
		} end;
		struct {
			void (*fn)(void *arg);
			void *arg;
		} call;
	};
	size_t cost; /* bytes it holds, for the inbox's bound */
};

struct event *event_new(enum event_kind kind, struct conn *conn, size_t extra); /* zeroed; `extra` bytes lie behind it. NULL: no memory */
struct event *event_new_small(enum event_kind kind, struct conn *conn, size_t extra); /* the same for what no peer sizes; never NULL */
/* An EV_BAD, never NULL. cid may be empty; past WC_CID_BYTES it is cut. */
struct event *event_bad(struct conn *conn, enum error_code code, struct str text, struct str cid);
void event_free(struct event *e); /* drops data64 too and ends the hold; NULL-safe */

#endif
