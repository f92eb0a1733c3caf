/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changes while it is read: a second processor writes over headers, descriptors and indexes of
 * requests that are on their way; and devices are reset with requests on their way. A device that was reset
 * has stopped writing to memory (virtio 1.2, 2.4).
 */
#include "tests/hostile/class.h"

enum {
	RACE_MS = 1500,    /* for each device */
	MANY_FIRST = 8192, /* where in the buffer the requests of reset_midway() are */
	MANY_EACH = 1024,
	MANY = 16,
	QUIET_MS = 5,
	RESETS = 8,
};

#define HIGH 0x80000000u
#define MARK 0x5a5a5a5a5a5a5a5aul

/* The header, between right and wrong. No number names memory of ours that a balloon could take. */
static void write_headers(void *argument)
{
	struct device *d = argument;
	volatile uint32_t *header = (void *)d->buffer;
	uint32_t n = 1;

	while (!cpu_second_stopping()) {
		n = n * 1664525 + 1013904223;
		header[n >> 30] = n & 1 ? 0 : n >> 28;
		header[2] = n & 2 ? 64 : n | HIGH;
		header[3] = n & 4 ? 0 : n | HIGH;
		header[4] = n | HIGH;
	}
}

static void write_rings(void *argument)
{
	struct device *d = argument;
	uint32_t n = 1;

	while (!cpu_second_stopping()) {
		struct queue *q = &d->queues[(n >> 8) % d->queues_used];
		volatile struct descriptor *one = &q->descriptors[(n >> 12) % 4];

		n = n * 1664525 + 1013904223;
		switch (n >> 16 & 7) {
		case 0: one->length = n; break;
		case 1: one->address = (uint64_t)n << 12 | BIT(40); break;
		case 2: one->flags = (uint16_t)(n >> 20 & 7); break;
		case 3: one->next = (uint16_t)(n >> 20 & 63); break;
		case 4: q->available->ring[n >> 24 & 63] = (uint16_t)(n >> 20 & 3); break;
		case 5: q->available->flags = n & 1; break;
		default: /* mostly right */
			one->address = (uint64_t)d->buffer;
			one->length = 512;
			one->flags = (n >> 20 & 1) ? NEXT : WRITE;
			break;
		}
	}
}

/* Sends requests while the other processor does `work`; a ring that broke is started again. */
static const char *race(struct device *d, void (*work)(void *argument))
{
	uint64_t end = time_ms() + RACE_MS;
	const char *bad = device_start(d);

	if (bad)
		return bad;
	if (!cpu_second_run(work, d))
		return why("there is no second processor");
	while (!bad && time_ms() < end) {
		for (unsigned int i = 0; i < d->queues_used; i++) {
			struct queue *q = &d->queues[i];

			if (request_lay_at(q, 0, 0) > 0)
				request_send(q, 0);
		}
		if (status(d) & NEEDS_RESET)
			bad = device_start(d);
		relax();
	}
	cpu_second_stop();
	return bad;
}

static const char *header_race(struct device *d)
{
	return race(d, write_headers);
}

static const char *ring_race(struct device *d)
{
	return race(d, write_rings);
}

/* The bytes that requests may be writing to, all of them the mark. */
static bool untouched(const struct device *d)
{
	const volatile uint64_t *at = (const void *)(d->buffer + MANY_FIRST);

	for (unsigned int i = 0; i < MANY * MANY_EACH / sizeof(*at); i++)
		if (at[i] != MARK)
			return false;
	return true;
}

static const char *reset_midway(struct device *d)
{
	const char *bad = NULL;

	for (unsigned int n = 0; n < RESETS && !bad; n++) {
		uint16_t used[QUEUES_MAX];

		bad = device_start(d);
		if (bad)
			return bad;
		for (unsigned int i = 0; i < d->queues_used; i++) {
			struct queue *q = &d->queues[i];

			for (unsigned int r = 0; r < MANY; r++) {
				uint16_t first = (uint16_t)(r * 4);
				uint32_t into = MANY_FIRST + r * MANY_EACH;

				if (d->kind->fill)
					d->kind->fill(d, i);
				memory_copy(d->buffer + into, d->buffer, 64);
				if (request_lay_at(q, first, into) > 0)
					request_offer(q, first);
			}
			queue_notify(q);
		}
		for (volatile unsigned int spin = 0; spin < n * 1000; spin++)
			continue;
		bad = device_reset(d);
		memory_fill(d->buffer + MANY_FIRST, (uint8_t)MARK, MANY * MANY_EACH);
		for (unsigned int i = 0; i < d->queues_used; i++)
			used[i] = d->queues[i].used->index;
		pause_ms(QUIET_MS);
		if (!bad && !untouched(d))
			bad = why("it wrote to a buffer after its reset");
		for (unsigned int i = 0; i < d->queues_used && !bad; i++)
			if (d->queues[i].used->index != used[i])
				bad = why("it wrote to a ring after its reset");
	}
	return bad;
}

const struct hostile_class race_classes[] = {
        {"reset_midway", reset_midway, false},
        {"header_race", header_race, false},
        {"ring_race", ring_race, false},
        {NULL, NULL, false},
};
