/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One piece of memory for the packets' bytes and one for what is known of them, both as large as a file of that
 * size can need, so that nothing has to grow: what is not used is never touched.
 */
#include "monitor/capsort.h"

#include "base/base.h"
#include "base/sort.h"

/* The least that a packet takes in any kind of capture: pcap's header of one. */
enum { CAPSORT_RECORD_MIN = 16 };

struct capsort {
	uint8_t *bytes;
	size_t size, used;
	struct capfile_packet *packets;
	size_t max, count;
};

struct capsort *capsort_open(size_t size)
{
	struct capsort *sort = calloc(1, sizeof(*sort));

	if (!sort)
		return NULL;
	sort->size = BASE_MIN(size, (size_t)CAPSORT_FILE_MAX);
	sort->max = sort->size / CAPSORT_RECORD_MIN;
	sort->bytes = malloc(sort->size + 1);
	sort->packets = calloc(sort->max + 1, sizeof(*sort->packets));
	if (!sort->bytes || !sort->packets) {
		capsort_close(sort);
		return NULL;
	}
	return sort;
}

void capsort_close(struct capsort *sort)
{
	if (!sort)
		return;
	free(sort->bytes);
	free(sort->packets);
	free(sort);
}

bool capsort_add(struct capsort *sort, const struct capfile_packet *packet)
{
	struct capfile_packet *to = &sort->packets[sort->count];

	if (sort->count == sort->max || packet->captured > sort->size - sort->used)
		return false;
	*to = *packet;
	to->bytes = sort->bytes + sort->used;
	memcpy(sort->bytes + sort->used, packet->bytes, packet->captured);
	sort->used += packet->captured;
	sort->count++;
	return true;
}

/* Bytes lie in the order in which packets came; a packet of none lies where the next one does, and says nothing. */
static int capsort_compare(const void *a, const void *b)
{
	const struct capfile_packet *one = a, *other = b;

	if (one->unix_ns != other->unix_ns)
		return one->unix_ns < other->unix_ns ? -1 : 1;
	return one->bytes < other->bytes ? -1 : one->bytes > other->bytes;
}

const struct capfile_packet *capsort_all(struct capsort *sort, size_t *count)
{
	*count = sort->count;
	for (size_t i = 1; i < sort->count; i++)
		if (sort->packets[i].unix_ns < sort->packets[i - 1].unix_ns) {
			base_sort(sort->packets, sort->count, sizeof(*sort->packets),
			          capsort_compare);
			break;
		}
	sort->count = sort->used = 0;
	return sort->packets;
}
