// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Prints how many thousand times a second this machine's time-stamp counter ticks. The rig's counter is this
 * machine's own, and its kernel is told: on a busy machine it would find out wrongly, by looking for a few
 * milliseconds at an emulated timer, and its seconds would then be shorter or longer than ours.
 */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <x86intrin.h>

struct moment {
	uint64_t ticks, ns;
};

/* Both clocks at once: the closest of a few tries, as one may be interrupted between them. */
static struct moment moment_take(void)
{
	struct moment best = {0};
	uint64_t closest = UINT64_MAX;

	for (int i = 0; i < 16; i++) {
		struct timespec now;
		uint64_t before = __rdtsc(), after;

		clock_gettime(CLOCK_MONOTONIC, &now);
		after = __rdtsc();
		if (after - before < closest) {
			closest = after - before;
			best = (struct moment){before + (after - before) / 2,
			                       (uint64_t)now.tv_sec * 1000000000u +
			                               (uint64_t)now.tv_nsec};
		}
	}
	return best;
}

int main(void)
{
	const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
	struct moment first = moment_take(), last;

	nanosleep(&pause, NULL);
	last = moment_take();
	/* below 2^64 for three minutes of any counter */
	printf("%" PRIu64 "\n", (last.ticks - first.ticks) * 1000000 / (last.ns - first.ns));
	return 0;
}
