/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The time that a whole token did not come for is kept for the next time, so that low rates are exact too. */
#include "vmm/devices/rate.h"

#include "base/base.h"

static void rate_refill(struct rate *r, uint64_t now_ns)
{
	int64_t full = (int64_t)BASE_MAX(r->per_second / 10, 1ull);
	uint64_t elapsed, gained;

	if (r->counted == 0) {
		r->counted = now_ns;
		r->tokens = full;
		return;
	}
	elapsed = now_ns > r->counted ? now_ns - r->counted : 0;
	gained = (uint64_t)((unsigned __int128)elapsed * r->per_second / RATE_SECOND);
	if (r->tokens >= full || gained >= (uint64_t)(full - r->tokens)) {
		r->tokens = full;
		r->counted = now_ns;
		return;
	}
	r->tokens += (int64_t)gained;
	/* rounded up, which is at most `elapsed`: a part of a nanosecond may be lost, never won */
	r->counted += (uint64_t)(((unsigned __int128)gained * RATE_SECOND + r->per_second - 1) /
	                         r->per_second);
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
	return (uint32_t)BASE_MIN(wait, (unsigned __int128)RATE_MAX);
}

void rate_take(struct rate *r, uint64_t amount)
{
	if (r->per_second != 0)
		r->tokens -= (int64_t)BASE_MIN(amount, (uint64_t)INT32_MAX);
}
