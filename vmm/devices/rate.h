/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rate: a token bucket. It holds at most a tenth of a second's worth. Something may be taken whenever the
 * bucket is not empty, however much it is: what is missing is a debt that time has to pay first, so that a
 * request larger than the bucket still passes, and the mean holds. Time is given, never looked up.
 */
#ifndef CORDON_VMM_DEVICES_RATE_H
#define CORDON_VMM_DEVICES_RATE_H

#include <stdint.h>

enum { RATE_SECOND = 1000000000, RATE_MAX = RATE_SECOND };

struct rate {
	uint64_t per_second; /* 0: no limit; at most 2^40 */
	int64_t tokens;      /* negative: a debt */
	uint64_t counted;    /* the time up to which tokens have been added, ns; 0: not yet begun */
};

/* How long to wait before something may be taken, ns: 0 for now, at most RATE_MAX. */
uint32_t rate_wait(struct rate *rate, uint64_t now_ns);

/* Takes `amount` after rate_wait() has said 0. */
void rate_take(struct rate *rate, uint64_t amount);

#endif
