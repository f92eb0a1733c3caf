/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Robust statistics of at most SAMPLE_MAX numbers.
 */
#include "monitor/sample.h"

#include "base/base.h"

static int sample_compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

void sample_take(struct sample *sample, const uint32_t *values, size_t count)
{
	sample->count = BASE_MIN(count, (size_t)SAMPLE_MAX);
	memcpy(sample->values, values, sample->count * sizeof(*values));
	qsort(sample->values, sample->count, sizeof(*values), sample_compare);
}

uint32_t sample_at(const struct sample *sample, unsigned int percent)
{
	return sample->count ? sample->values[(sample->count - 1) * percent / 100] : 0;
}

uint32_t sample_deviation(const struct sample *sample)
{
	const uint32_t median = sample_at(sample, 50);
	uint32_t apart[SAMPLE_MAX];
	struct sample sorted;

	for (size_t i = 0; i < sample->count; i++)
		apart[i] = sample->values[i] > median ? sample->values[i] - median
		                                      : median - sample->values[i];
	sample_take(&sorted, apart, sample->count);
	return sample_at(&sorted, 50);
}
