/* msg.h — the message as it is stored and published, its kinds and flags, the dialects, the wire's error codes and limits.
 *
 * Plain data without a function; any thread. */
#ifndef WC_MSG_H
#define WC_MSG_H

#include "base/wc.h"

#define WC_CID_BYTES 64
#define WC_SECRET_BYTES 16 /* of a file's URL */
#define WC_TOKEN_BYTES 32
#define WC_SHA_BYTES 32
#define WC_PASSWORD_BYTES 256 /* of the password that a join may ask for */
#define WC_TEXT_POINTS 4000   /* code points of a text; in the words of its error, too */
#define WC_FILENAME_POINTS 200
#define WC_MIME_BYTES 127
#define WC_WAVEFORM_BYTES 128
#define WC_VOICE_BYTES (10 * 1024 * 1024)

enum msg_kind {
	MSG_TEXT = 1,
	MSG_FILE = 2,
	MSG_VOICE = 3,
	MSG_DELETE = 5 /* 4 edit, 6 react … take their ids from the same order, later */
};
/* The reason beside 1000: the token was ended, on this connection or on another one with it. */
#define SIGNED_OUT "signed out"

/* The chat's own close codes; those of RFC 6455 are in hub/wsframe.h. */
enum { CLOSE_KICKED = 4001, CLOSE_BANNED = 4002 };

enum { MSG_GONE = 1 /* the blob was removed by retention */, MSG_DELETED = 2 /* by a moderator or its author */ };

/* One message, as it is stored and as it is published. */
struct msg {
	uint64_t id;   /* the total order; 0 until the room gives one */
	int64_t at_ms; /* Unix time */
	enum msg_kind kind;
	uint32_t flags;
	uint64_t from_id;
	struct str from_name;
	uint64_t to_id; /* meaningful if is_dm */
	struct str to_name;
	bool is_dm;
	struct str cid;  /* empty: none */
	struct str text; /* MSG_TEXT */
	/* MSG_FILE, MSG_VOICE */
	struct str filename, mime, waveform;
	uint64_t size;   /* bytes, decoded */
	double duration; /* seconds */
	uint32_t width, height;
	uint8_t sha[WC_SHA_BYTES];
	uint8_t secret[WC_SECRET_BYTES];
};

enum dialect { DIALECT_1, DIALECT_2, DIALECTS }; /* also the number of the ring */

/* Error codes of the wire; event.c has their names, the room their words. */
/* clang-format off */
enum error_code {
	ERR_BAD_REQUEST, ERR_TOO_LONG, ERR_TOO_LARGE, ERR_BAD_TOKEN, ERR_BAD_CODE, ERR_PASSWORD_REQUIRED, ERR_BAD_PASSWORD,
	ERR_NO_SUCH_USER, ERR_CID_REUSED, ERR_STORAGE,
	ERR_RATE_LIMITED, ERR_MUTED, ERR_LOCKDOWN, ERR_BUSY, ERR_COUNT
};
/* clang-format on */

#endif
