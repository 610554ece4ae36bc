/* pace.h — how fast one person may send: buckets for messages, their bytes, requests and typing, and what comes of ignoring them.
 *
 * A bucket is one number: the moment at which it will be full again. Sending pushes that moment ahead, at most a burst ahead of now.
 * Checking one is an addition and a comparison, with the time of the batch: no lock, no clock, no memory. Pure; the owner of the person
 * owns the pace. */
#ifndef WC_PACE_H
#define WC_PACE_H

#include "base/wc.h"

struct pace_rate {
	int64_t cost_us;  /* of one; 0: no limit */
	int64_t ahead_us; /* how far ahead of now the bucket may be for another one to pass */
};

struct pace_limits {
	struct pace_rate message, request, typing;
	int64_t bytes_per_s, bytes_ahead_us; /* 0: no limit */
	int64_t mute_us;                     /* 0: those who persist are refused for ever, and nothing worse */
};

/* Of one person, whatever the number of its connections. Zero-initialised: everything is full. */
struct pace {
	int64_t message_us, bytes_us, upload_us, request_us, typing_us, strikes_us; /* monotonic µs */
	int64_t silent_until_us;
};

enum pace_verdict {
	PACE_PASS,
	PACE_WAIT,  /* refused: *wait_us says when it would pass */
	PACE_MUTED, /* refused too often: nothing passes before *wait_us are over */
	PACE_CLOSE, /* and goes on regardless */
};

enum pace_kind { PACE_MESSAGE, PACE_REQUEST };

/* Refusals that are forgiven at once, and how many more each second. A client that waits as told has one for each message, a client that
 * sends its backlog at once a few dozen, a flood hundreds. */
#define PACE_STRIKES 200
#define PACE_STRIKES_S 10
/* A refused file costs the server the bytes it read: a strike for each share of this size. */
#define PACE_STRIKE_BYTES (1024 * 1024)

/* One message with `bytes` of text or file, or one request (bytes: 0). least_us: what another limit makes it wait; 0: nothing. */
enum pace_verdict pace_check(struct pace *p, const struct pace_limits *l, int64_t now_us, enum pace_kind kind, uint64_t bytes,
                             int64_t least_us, int64_t *wait_us);
/* The message that had passed was there already: it is given back. */
void pace_give_back(struct pace *p, const struct pace_limits *l, uint64_t bytes);
/* One request, of which nothing worse comes than the wait: 0 if it passes, else µs until it would. */
int64_t pace_request(struct pace *p, const struct pace_limits *l, int64_t now_us);
/* One upload, or a question about one (bytes 0), at the price of a request. Its bytes have a bucket of their own, as large and as fast as
 * that of messages: a file is uploaded before it is said, and neither may use up the other's. */
enum pace_verdict pace_upload(struct pace *p, const struct pace_limits *l, int64_t now_us, uint64_t bytes, int64_t least_us,
                              int64_t *wait_us);
void pace_upload_give_back(struct pace *p, const struct pace_limits *l, uint64_t bytes); /* they never came */
/* May this one's typing be passed on? There is no punishment in it. */
bool pace_typing(struct pace *p, const struct pace_limits *l, int64_t now_us);

#endif
