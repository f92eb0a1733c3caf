/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sample: robust statistics of a few numbers: order, not sums, so that one odd value moves nothing.
 */
#ifndef CORDON_MONITOR_SAMPLE_H
#define CORDON_MONITOR_SAMPLE_H

#include <stddef.h>
#include <stdint.h>

enum { SAMPLE_MAX = 64 };

struct sample { /* in ascending order */
	uint32_t values[SAMPLE_MAX];
	size_t count;
};

/* Takes at most SAMPLE_MAX of the values. */
void sample_take(struct sample *sample, const uint32_t *values, size_t count);
/* The value below which so many percent lie; 0 of none. */
uint32_t sample_at(const struct sample *sample, unsigned int percent);
/* Median of the distances to the median. */
uint32_t sample_deviation(const struct sample *sample);

#endif
