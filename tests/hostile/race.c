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

/* Registers, but for the rings' addresses: those could have the device write over this guest itself. */
static void write_registers(void *argument)
{
	static const uint8_t states[] = {0, 1, 3, 0xb, 0xf, 0x80, 0xff, 4};
	const struct device *d = argument;
	uint32_t n = 1;

	while (!cpu_second_stopping()) {
		n = n * 1664525 + 1013904223;
		switch (n >> 28) {
		case 0: status_write(d, states[n >> 16 & 7]); break;
		case 1: common_write(d, QUEUE_SELECT, n >> 16 & 7, 2); break;
		case 2: common_write(d, QUEUE_SIZE, 1u << (n >> 16 & 15), 2); break;
		case 3: common_write(d, QUEUE_ENABLE, n >> 16 & 1, 2); break;
		case 4: common_write(d, QUEUE_VECTOR, n >> 16 & 7, 2); break;
		case 5: common_write(d, CONFIG_VECTOR, n >> 16 & 7, 2); break;
		case 6: common_write(d, ACCEPTED, n, 4); break;
		case 7: common_write(d, ACCEPTED_SELECT, n >> 16 & 3, 4); break;
		case 8: mmio_write(d->bar + d->msix_table + 12, n >> 16 & 1, 4); break;
		case 9: config_write(d, d->msix + 3u, n >> 16 & 0xc0, 1); break;
		case 10: config_write(d, PCI_COMMAND, n >> 16 & 7, 2); break;
		case 11: (void)common_read(d, STATUS, 1); break;
		default: mmio_write(d->bar + d->notify.offset + (n >> 16 & 31), n, 2); break;
		}
	}
}

/* One processor brings the device up, the other one does all it can against that. */
static const char *register_race(struct device *d)
{
	uint64_t end = time_ms() + RACE_MS;

	if (!cpu_second_run(write_registers, d))
		return why("there is no second processor");
	while (time_ms() < end) {
		(void)device_negotiate(d, features_of_kind(d));
		for (unsigned int i = 0; i < d->queues_used; i++)
			(void)queue_setup(d, i, QUEUE_SIZE_MAX);
		status_write(d, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
	}
	cpu_second_stop();
	config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	msix_enable(d);
	return NULL;
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
        {"register_race", register_race, false},
        {NULL, NULL, false},
};
