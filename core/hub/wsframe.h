/* wsframe.h — RFC 6455 framing: a streaming, strict, server-side reader, and frame headers to send.
 *
 * Knows nothing of sockets or chat. Memory is taken for bytes that have arrived, never for what a header claims.
 * One thread at a time per reader. */
#ifndef WC_WSFRAME_H
#define WC_WSFRAME_H

#include <stdatomic.h>

#include "base/utf8.h"
#include "base/wc.h"
#include "hub/holdings.h"
#include "hub/slow.h"

enum ws_opcode { WS_CONT = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9, WS_PONG = 10 };

/* clang-format off */
enum ws_close { /* sent by the server, or by a client and answered with the same; the chat's own codes are in wire/msg.h */
	WS_CLOSE_NORMAL = 1000, WS_CLOSE_GOING_AWAY = 1001, WS_CLOSE_PROTOCOL = 1002, WS_CLOSE_UNSUPPORTED = 1003,
	WS_CLOSE_NO_STATUS = 1005, WS_CLOSE_BAD_UTF8 = 1007, WS_CLOSE_POLICY = 1008, WS_CLOSE_TOO_BIG = 1009,
	WS_CLOSE_RESTART = 1012, WS_CLOSE_TRY_LATER = 1013,
};
/* clang-format on */

/* Shared by all readers: bytes of unfinished messages over WS_SMALL that may be held in all. While more than half are spent, one person
 * may have an eighth, one address a quarter, an IPv6 network of /48 half. One message of each goes on regardless, so that they do not all
 * wait for each other. */
struct ws_budget {
	_Atomic size_t used_bytes;
	_Atomic size_t cap_bytes;
	/* When a reader last waited for long; the same, of one within its shares; when one over them got on. Monotonic. */
	_Atomic int64_t wanted_ms, owed_ms, moved_ms;
	struct holdings held;
	_Atomic(const void *) first[HOLDER_BYS][HOLDER_PLACES]; /* of each owner, the reader whose message may go past the share */
};

/* A part of it. */
struct ws_share {
	uint32_t bytes;
	holder owner;
};

/* They may change while readers read; a frame that has begun goes on as it was judged. */
struct ws_limits {
	_Atomic size_t soft_bytes; /* a longer message is read to its end and thrown away: WS_EV_OVERSIZE */
	_Atomic size_t hard_bytes; /* past this: WS_EV_FAIL with 1009, judged from the header where it can be */
	struct ws_budget *budget;  /* may be NULL */
};

#define WS_MESSAGE_MAX (UINT32_MAX / 2) /* bytes; soft_bytes may be as much */
#define WS_SMALL (16 * 1024)            /* bytes. The longest text is smaller, so texts go on when large frames have spent the budget */
#define WS_FRAMES_A_FEED 128            /* that complete nothing */
#define WS_NOISE_CONTROL 8              /* of a control frame */
#define WS_NOISE_FRAGMENT 1             /* of a fragment below WS_FRAGMENT_SMALL bytes */
#define WS_FRAGMENT_SMALL 32
#define WS_HEAD_KEPT 256 /* of an oversize message, so that the answer can name what it was */

enum ws_event {
	WS_EV_MORE,     /* all input used; nothing complete */
	WS_EV_MESSAGE,  /* a whole text message, unmasked, valid UTF-8 */
	WS_EV_OVERSIZE, /* a text message over soft_bytes ended, valid UTF-8; data: whole characters of its first WS_HEAD_KEPT bytes */
	WS_EV_PING,     /* data: up to 125 bytes to echo */
	WS_EV_PONG,
	WS_EV_CLOSE,   /* code (WS_CLOSE_NO_STATUS if none was sent), data: reason. Whatever follows is swallowed */
	WS_EV_BLOCKED, /* the budget is spent: feed what is left (data + *used, not touched) again later */
	WS_EV_FAIL,    /* protocol error; code: the close code to answer with, reason: a literal. The reader is dead */
	WS_EV_LATER,   /* many frames came that completed nothing: feed what is left at the next turn */
};

/* Idle it owns no heap memory, once the feed after the last event has said WS_EV_MORE. Zero-initialise, ws_in_fini to drop. */
struct ws_in {
	uint8_t *msg;       /* the unfinished message's bytes so far; NULL when there are none */
	uint8_t *control;   /* a control frame's payload when it came in pieces; else NULL */
	uint64_t remaining; /* payload of the current frame still to come */
	union {
		uint64_t discarded; /* is_oversize: bytes of the message thrown away so far */
		struct stride pace; /* else its owner's, to judge how fast it comes; 0 at first */
	};
	uint32_t msg_len, msg_room; /* both at most WS_MESSAGE_MAX */
	holder owner;               /* whose share of the budget it takes. To be changed only while ws_in_reserved is 0 */
	uint8_t header[14], header_len;
	uint8_t mask[4], mask_at;
	uint8_t opcode : 4, fin : 1, in_frame : 1, in_message : 1, is_oversize : 1;
	uint8_t is_dead;
	uint8_t control_len;
	uint8_t noise; /* of this feed: control frames and small fragments, in WS_NOISE_…; the caller sets it back to 0 */
	struct utf8 utf8;
};

struct ws_out {
	enum ws_event event;
	uint8_t *data; /* within the input or owned by the reader; valid until the next ws_in_feed */
	size_t len;
	int code;
	const char *reason;
};

/* Reads from data[0..n): unmasks in place, stops after one event. *used is how far it got (a caller loops until
 * WS_EV_MORE). A whole unfragmented message inside the input is returned without a copy. */
enum ws_event ws_in_feed(struct ws_in *w, const struct ws_limits *limits, uint8_t *data, size_t n, size_t *used, struct ws_out *out);
/* After WS_EV_MESSAGE whose data the reader owns: the caller takes the heap block (free() it; its share of the budget goes with it,
 * to be returned with ws_budget_give). NULL, and a share of no bytes, when the data lies in the input or was small. */
uint8_t *ws_in_take(struct ws_in *w, const struct ws_limits *limits, struct ws_share *share);
static inline uint32_t ws_in_reserved(const struct ws_in *w) /* bytes of an unfinished message that are counted in the budget */
{
	return w->msg_room > WS_SMALL ? w->msg_room : 0;
}
void ws_budget_give(struct ws_budget *b, struct ws_share s);
void ws_budget_add(struct ws_budget *b, struct ws_share s); /* counts what is there already, past the cap as well; NULL is ignored */
bool ws_budget_is_short(const struct ws_budget *b);         /* three quarters are spent; NULL never is */
bool ws_budget_is_over_share(const struct ws_budget *b, const struct ws_in *w); /* its person or address is, and not by its message alone */
/* A reader has waited for long. Then those who hold much, or send slowly, are to make room. */
void ws_budget_want(struct ws_budget *b, const struct ws_in *waiter, int64_t now_ms);
bool ws_budget_is_wanted(const struct ws_budget *b, int64_t now_ms); /* lately; NULL never is */
void ws_budget_move(struct ws_budget *b, int64_t now_ms);            /* a message of an owner over its shares gets on … */
bool ws_budget_moves(const struct ws_budget *b, int64_t now_ms);     /* … lately, so that waiting for one may help */
bool ws_budget_is_owed(const struct ws_budget *b, int64_t now_ms);   /* the same, by a reader within its shares */
/* Did a message, or its first header, begin that has not ended? */
bool ws_in_is_unfinished(const struct ws_in *w);
void ws_in_fini(struct ws_in *w, const struct ws_limits *limits);

/* Server frames are unmasked and unfragmented. Writes the header for a payload of len bytes; returns its size (2, 4 or 10). */
#define WS_HEADER_MAX 10
size_t ws_header(uint8_t out[WS_HEADER_MAX], enum ws_opcode opcode, uint64_t len);
/* May a peer send this code in a close frame (RFC 6455 7.4, IANA's registry, 3000..4999)? */
bool ws_close_code_ok(int code);

#endif
