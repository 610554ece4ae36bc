/* pace.c — see pace.h. */
#include "state/pace.h"

static int64_t debt_of(int64_t full_us, int64_t now_us)
{
	return full_us > now_us ? full_us - now_us : 0;
}

/* The time that the bucket lacks for one more: 0 if it would pass. */
static int64_t lack(int64_t full_us, int64_t now_us, int64_t ahead_us)
{
	int64_t debt = debt_of(full_us, now_us);
	return debt > ahead_us ? debt - ahead_us : 0;
}

static int64_t bytes_us(const struct pace_limits *l, uint64_t bytes)
{
	return l->bytes_per_s ? (int64_t)(bytes * 1000000 / (uint64_t)l->bytes_per_s) : 0;
}

static enum pace_verdict strike(struct pace *p, const struct pace_limits *l, int64_t now_us, uint64_t bytes, int64_t *wait_us)
{
	const int64_t one_us = 1000000 / PACE_STRIKES_S, most_us = PACE_STRIKES * one_us;
	if (!l->mute_us)
		return PACE_WAIT;
	int64_t debt = debt_of(p->strikes_us, now_us) + one_us * (1 + (int64_t)(bytes / PACE_STRIKE_BYTES));
	bool is_silent = p->silent_until_us > now_us, is_end = is_silent && debt > 2 * most_us;
	/* A person who comes back after a close is still muted, but may make a mistake or two. */
	p->strikes_us = now_us + (is_end ? most_us * 3 / 2 : WC_MIN(debt, 2 * most_us));
	if (!is_silent && debt <= most_us)
		return PACE_WAIT;
	if (!is_silent)
		p->silent_until_us = now_us + l->mute_us;
	*wait_us = p->silent_until_us - now_us;
	return is_end ? PACE_CLOSE : PACE_MUTED;
}

enum pace_verdict pace_check(struct pace *p, const struct pace_limits *l, int64_t now_us, enum pace_kind kind, uint64_t bytes,
                             int64_t least_us, int64_t *wait_us)
{
	const struct pace_rate *rate = kind == PACE_MESSAGE ? &l->message : &l->request;
	int64_t *full_us = kind == PACE_MESSAGE ? &p->message_us : &p->request_us;
	bool is_silent = kind == PACE_MESSAGE && p->silent_until_us > now_us;

	*wait_us = rate->cost_us ? WC_MAX(least_us, lack(*full_us, now_us, rate->ahead_us)) : least_us;
	/* Bytes are let pass while there are any left: a file may be larger than a whole burst, and is then paid for afterwards. */
	if (bytes && l->bytes_per_s)
		*wait_us = WC_MAX(*wait_us, lack(p->bytes_us, now_us, l->bytes_ahead_us));
	if (*wait_us || is_silent)
		return strike(p, l, now_us, bytes, wait_us);
	if (rate->cost_us)
		*full_us = WC_MAX(*full_us, now_us) + rate->cost_us;
	if (bytes && l->bytes_per_s)
		p->bytes_us = WC_MAX(p->bytes_us, now_us) + bytes_us(l, bytes);
	return PACE_PASS;
}

void pace_give_back(struct pace *p, const struct pace_limits *l, uint64_t bytes)
{
	p->message_us -= l->message.cost_us;
	p->bytes_us -= bytes_us(l, bytes);
}

int64_t pace_request(struct pace *p, const struct pace_limits *l, int64_t now_us)
{
	const int64_t wait_us = l->request.cost_us ? lack(p->request_us, now_us, l->request.ahead_us) : 0;
	if (!wait_us && l->request.cost_us)
		p->request_us = WC_MAX(p->request_us, now_us) + l->request.cost_us;
	return wait_us;
}

enum pace_verdict pace_upload(struct pace *p, const struct pace_limits *l, int64_t now_us, uint64_t bytes, int64_t least_us,
                              int64_t *wait_us)
{
	*wait_us = WC_MAX(least_us, l->request.cost_us ? lack(p->request_us, now_us, l->request.ahead_us) : 0);
	if (bytes && l->bytes_per_s)
		*wait_us = WC_MAX(*wait_us, lack(p->upload_us, now_us, l->bytes_ahead_us));
	if (*wait_us || (bytes && p->silent_until_us > now_us))
		return strike(p, l, now_us, 0, wait_us);
	if (l->request.cost_us)
		p->request_us = WC_MAX(p->request_us, now_us) + l->request.cost_us;
	if (bytes && l->bytes_per_s)
		p->upload_us = WC_MAX(p->upload_us, now_us) + bytes_us(l, bytes);
	return PACE_PASS;
}

void pace_upload_give_back(struct pace *p, const struct pace_limits *l, uint64_t bytes)
{
	p->upload_us -= bytes_us(l, bytes);
}

bool pace_typing(struct pace *p, const struct pace_limits *l, int64_t now_us)
{
	if (!l->typing.cost_us)
		return true;
	if (lack(p->typing_us, now_us, l->typing.ahead_us))
		return false;
	p->typing_us = WC_MAX(p->typing_us, now_us) + l->typing.cost_us;
	return true;
}
