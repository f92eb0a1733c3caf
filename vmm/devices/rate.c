/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The time that a whole token did not come for is kept for the next time, so that low rates are exact too. */
#include "vmm/devices/rate.h"

#include "base/base.h"

/* A debt of this much is never paid; more of it would only overflow. */
#define RATE_DEBT_MAX (INT64_MIN / 2)

static int64_t rate_full(const struct rate *r)
{
	return (int64_t)BASE_MAX(r->burst ? r->burst : r->per_second / 10, 1ull);
}

static void rate_refill(struct rate *r, uint64_t now_ns)
{
	int64_t full = rate_full(r);
	unsigned __int128 gained;
	uint64_t elapsed;

	if (r->counted == 0) {
		r->counted = now_ns;
		r->tokens = full;
		return;
	}
	elapsed = now_ns > r->counted ? now_ns - r->counted : 0;
	gained = (unsigned __int128)elapsed * r->per_second / RATE_SECOND;
	/* full is at most 2^40 and a debt at most 2^62, so their difference fits */
	if (r->tokens >= full || gained >= (uint64_t)(full - r->tokens)) {
		r->tokens = full;
		r->counted = BASE_MAX(now_ns, r->counted);
		return;
	}
	r->tokens += (int64_t)gained;
	/* rounded up, which is at most `elapsed`: a part of a nanosecond may be lost, never won */
	r->counted += (uint64_t)((gained * RATE_SECOND + r->per_second - 1) / r->per_second);
}

void rate_set(struct rate *r, uint64_t per_second, uint64_t burst, uint64_t now_ns)
{
	if (r->per_second != 0)
		rate_refill(r, now_ns);
	else
		r->counted = 0;
	r->per_second = BASE_MIN(per_second, RATE_MAX);
	r->burst = BASE_MIN(burst, RATE_MAX);
	r->tokens = BASE_MIN(r->tokens, rate_full(r));
	/* the part of a token that was on its way was one of the old rate */
	if (r->counted != 0)
		r->counted = BASE_MAX(now_ns, r->counted);
}

uint32_t rate_wait(struct rate *r, uint64_t now_ns)
{
	unsigned __int128 wait;
	uint64_t since;

	if (r->per_second == 0)
		return 0;
	rate_refill(r, now_ns);
	if (r->tokens > 0)
		return 0;
	wait = ((unsigned __int128)(1 - r->tokens) * RATE_SECOND + r->per_second - 1) /
	       r->per_second;
	since = now_ns - BASE_MIN(r->counted, now_ns);
	wait = wait > since ? wait - since : 1;
	return (uint32_t)BASE_MIN(wait, (unsigned __int128)RATE_WAIT_MAX);
}

void rate_take(struct rate *r, uint64_t amount)
{
	if (r->per_second == 0)
		return;
	if (amount > INT64_MAX || __builtin_sub_overflow(r->tokens, (int64_t)amount, &r->tokens) ||
	    r->tokens < RATE_DEBT_MAX)
		r->tokens = RATE_DEBT_MAX;
}
