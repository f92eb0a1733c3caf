/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rate: a token bucket. Something may be taken whenever the bucket is not empty, however much it is: what
 * is missing is a debt that time has to pay first, so that a request larger than the bucket still passes,
 * and the mean holds. What the bucket holds at most is the burst that may follow a pause. Time is given,
 * never looked up.
 */
#ifndef CORDON_VMM_DEVICES_RATE_H
#define CORDON_VMM_DEVICES_RATE_H

#include <stdint.h>

enum { RATE_SECOND = 1000000000, RATE_WAIT_MAX = RATE_SECOND };
#define RATE_MAX (1ull << 40) /* of per_second and of burst */

struct rate {
	uint64_t per_second; /* 0: no limit; at most RATE_MAX */
	uint64_t burst;      /* what the bucket holds; 0: a tenth of a second's worth */
	int64_t tokens;      /* negative: a debt */
	uint64_t counted;    /* the time up to which tokens have been added, ns; 0: not yet begun */
};

/*
 * Changes the limit: what was saved or owed under the old one stays, cut to the new bucket; a bucket that
 * had no limit begins full. Values above RATE_MAX count as RATE_MAX.
 */
void rate_set(struct rate *rate, uint64_t per_second, uint64_t burst, uint64_t now_ns);

/* How long to wait before something may be taken, ns: 0 for now, at most RATE_WAIT_MAX. */
uint32_t rate_wait(struct rate *rate, uint64_t now_ns);

/* Takes `amount` after rate_wait() has said 0. */
void rate_take(struct rate *rate, uint64_t amount);

#endif
