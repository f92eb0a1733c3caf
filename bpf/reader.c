// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * reader: flow maps and the events ring, through their mapped memory.
 *
 * A flow map is mapped once for its header, which says how many sets follow, and then whole. A
 * record is copied between two looks at its sequence count; if the count is odd or has moved, a CPU was
 * writing, and the copy is taken again. A record that never comes to rest is skipped rather than waited
 * for.
 *
 * The ring is the kernel's: a page with the consumer's position, a page with the producer's, then the
 * data twice in a row, so that no message is split. Each message starts with its length and two bits:
 * busy (its writer is not done) and discarded.
 *
 * What the kernel wrote is trusted for its structure; what guests put into it is only bytes here.
 */
#include <sys/mman.h>

#include "base/base.h"
#include "bpf/maps.h"
#include "bpf/reader.h"
#include "bpf/set.h"

enum {
	RECORD_TRIES = 1000,
	RING_BUSY = 1 << 31,
	RING_DISCARD = 1 << 30,
	RING_LENGTH = RING_DISCARD - 1
};

struct flow_map {
	size_t size;
	uint32_t sets;
	uint64_t seed;
	const struct flow_tap *tap;
	const struct flow_set *set; /* [flow_elements(sets) - 1] */
};

static size_t page_round(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int flow_map_open(int fd, struct flow_map **out)
{
	size_t size = page_round(sizeof(struct flow_set));
	const struct flow_tap *tap = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	struct flow_map *map;
	uint32_t magic, sets;
	uint64_t seed;

	if (tap == MAP_FAILED)
		return -errno;
	magic = tap->magic;
	sets = tap->sets;
	seed = tap->seed;
	munmap((void *)tap, size);
	if (magic != FLOW_TAP_MAGIC || sets == 0 || sets > FLOW_SETS_MAX || (sets & (sets - 1)))
		return -EPROTO;
	size = page_round((size_t)flow_elements(sets) * sizeof(struct flow_set));
	tap = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (tap == MAP_FAILED)
		return -errno;
	map = malloc(sizeof(*map));
	if (!map) {
		munmap((void *)tap, size);
		return -ENOMEM;
	}
	*map = (struct flow_map){.size = size, .sets = sets, .seed = seed, .tap = tap};
	map->set = (const struct flow_set *)tap + 1;
	*out = map;
	return 0;
}

void flow_map_close(struct flow_map *map)
{
	if (!map)
		return;
	munmap((void *)map->tap, map->size);
	free(map);
}

/* A copy of the record as it was between two writes. False when there was no such moment, or no flow. */
static bool record_copy(const struct flow_map *map, uint32_t at, uint32_t way,
                        struct flow_record *copy)
{
	const struct flow_set *set = &map->set[at];
	const struct flow_set *rest = &map->set[flow_cold_index(map->sets, at, way)];
	const uint32_t *guest = &set->hot[FLOW_GUEST][way].lock;
	const uint32_t *peer = &set->hot[FLOW_PEER][way].lock;

	for (int i = 0; i < RECORD_TRIES; i++) {
		const uint32_t seen[] = {__atomic_load_n(guest, __ATOMIC_ACQUIRE),
		                         __atomic_load_n(peer, __ATOMIC_ACQUIRE)};

		if ((seen[0] | seen[1]) & FLOW_LOCKED)
			continue;
		flow_load(copy, set, way, &rest->cold[way % FLOW_COLD_WAYS]);
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		copy->lock = 0;
		if (__atomic_load_n(guest, __ATOMIC_RELAXED) == seen[0] &&
		    __atomic_load_n(peer, __ATOMIC_RELAXED) == seen[1])
			return copy->state != 0;
	}
	return false;
}

static bool goes_idle(const struct flow_set *set, uint32_t way, uint64_t since, uint64_t until)
{
	const uint64_t at = flow_set_idle_at(set, way, until);

	return at > since && at <= until;
}

/* Flows that go idle after `since` and until `until`; with 0, all. */
static int each_idle(const struct flow_map *map, uint64_t since, uint64_t until,
                     int (*each)(const struct flow_record *, void *), void *data)
{
	struct flow_record copy;

	for (uint32_t i = 0; i < map->sets; i++) {
		const struct flow_set *set = &map->set[i];

		for (uint32_t way = 0; way < FLOW_WAYS; way++) {
			int stop = 0;

			if (set->tags[way] && (!until || goes_idle(set, way, since, until)) &&
			    record_copy(map, i, way, &copy))
				stop = each(&copy, data);
			if (stop)
				return stop;
		}
	}
	return 0;
}

int flow_map_each(const struct flow_map *map, int (*each)(const struct flow_record *, void *),
                  void *data)
{
	return each_idle(map, 0, 0, each, data);
}

int flow_map_idle(const struct flow_map *map, uint64_t since, uint64_t now,
                  int (*each)(const struct flow_record *, void *), void *data)
{
	return each_idle(map, since, now, each, data);
}

uint64_t flow_idle_at(const struct flow_record *record)
{
	return record->last_ns + flow_idle_ns(record);
}

int flow_map_find(const struct flow_map *map, const struct flow_key *key,
                  struct flow_record *record)
{
	uint64_t hash = flow_hash(key, map->seed);
	uint32_t set = flow_set_index(hash, map->sets);
	uint32_t way = flow_set_find(&map->set[set], flow_id(key, map->seed), flow_tag(hash));

	/* between the two looks the place may have been given to another flow */
	return way < FLOW_WAYS && record_copy(map, set, way, record) &&
	                       flow_key_equal(&record->key, key)
	               ? 0
	               : -ENOENT;
}

static int count_record(const struct flow_record *record, void *data)
{
	struct tap_stats *stats = data;

	for (int side = 0; side < 2; side++) {
		stats->packets[side] += record->sides[side].packets;
		stats->bytes[side] += record->sides[side].bytes;
	}
	return 0;
}

void flow_map_stats(const struct flow_map *map, struct tap_stats *stats)
{
	*stats = map->tap->stats;
	flow_map_each(map, count_record, stats);
}

struct event_ring {
	size_t page;
	unsigned long *consumer;
	const unsigned long *producer;
	const uint8_t *data; /* EVENTS_RING_BYTES of it, twice */
};

int event_ring_open(int fd, struct event_ring **out)
{
	size_t page = page_round(1);
	struct event_ring *ring = calloc(1, sizeof(*ring));
	void *consumer, *producer;

	if (!ring)
		return -ENOMEM;
	consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (consumer == MAP_FAILED) {
		free(ring);
		return -errno;
	}
	producer = mmap(NULL, page + 2 * (size_t)EVENTS_RING_BYTES, PROT_READ, MAP_SHARED, fd,
	                (off_t)page);
	if (producer == MAP_FAILED) {
		int error = -errno;

		munmap(consumer, page);
		free(ring);
		return error;
	}
	*ring = (struct event_ring){page, consumer, producer, (const uint8_t *)producer + page};
	*out = ring;
	return 0;
}

void event_ring_close(struct event_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->consumer, ring->page);
	munmap((void *)ring->producer, ring->page + 2 * (size_t)EVENTS_RING_BYTES);
	free(ring);
}

int event_ring_read(struct event_ring *ring, int max,
                    void (*each)(const struct flow_event_header *, void *), void *data)
{
	unsigned long at = __atomic_load_n(ring->consumer, __ATOMIC_ACQUIRE);
	int count = 0;

	while (count < max && at < __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE)) {
		const uint8_t *message = ring->data + (at & (EVENTS_RING_BYTES - 1));
		uint32_t word = __atomic_load_n((const uint32_t *)message, __ATOMIC_ACQUIRE);
		uint32_t length = word & RING_LENGTH;

		if (word & RING_BUSY)
			break;
		if (!(word & RING_DISCARD) && length >= sizeof(struct flow_event_header)) {
			each((const struct flow_event_header *)(message + 8), data);
			count++;
		}
		at += (length + 8 + 7) & ~7ul;
		__atomic_store_n(ring->consumer, at, __ATOMIC_RELEASE);
	}
	return count;
}
