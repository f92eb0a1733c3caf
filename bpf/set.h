/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * set: how flows lie in memory, and how one is found there: for the table (table.h), and for who only
 * reads it (reader.c).
 *
 * A flow's hash names one set of FLOW_WAYS, and the way in it that the flow has if that one is free when it
 * comes, as it mostly is. There it has one cache line, struct flow_hot, with all that a packet of a known flow
 * looks at or changes; its record is elsewhere, and is put together from both (flow_load()) for whatever
 * else happens to the flow. What a packet costs is mostly the lines that are not in the cache.
 *
 * In the hot line stands for the key a second hash of it, of 64 bits. Two flows of one VM that have it in common
 * would be counted as one, by chance in one of 2^34 VMs that have a full table; to bring it about, a guest
 * would have to know the seed, which the kernel made for this tap. The whole way compares the key. The hash
 * that names the set is symmetric in the flow's two ends, so that offline, where nobody says which end is the
 * guest, both ways round meet in the same set.
 *
 * Two kinds of lock, each a sequence count that is odd while it is held: the set's, for who looks for a
 * flow that may not be there, and makes room for it; and each flow's, for any change in it. Who holds both
 * took the set's first. A packet of a known flow takes the flow's alone, if it has not moved since
 * the hash was compared. Who only reads copies between two looks at the count.
 */
#ifndef CORDON_BPF_SET_H
#define CORDON_BPF_SET_H

#include "bpf/flow.h"

enum {
	FLOW_WAYS = 8,
	FLOW_SETS_DEFAULT = 2048, /* a power of two */
	FLOW_SETS_MAX = 1 << 16,
	FLOW_TAP_MAGIC = 0x43465406,
};

enum flow_hot_flags {
	FLOW_HOT_WHOLE = 1, /* of a side, shifted by it: its next packet goes the whole way, */
	FLOW_HOT_HEAD = 4,  /* the same: or that with the next payload bytes */
	FLOW_HOT_ENDED = 16,
	FLOW_HOT_ANSWERED = 32,
	FLOW_HOT_LONG = 64, /* idle after FLOW_IDLE_TCP_NS */
};

/* What quick.h needs and changes; pairs by enum flow_side_index. Counts are those since the record was
 * written: packets and bytes as what is left until the whole way has to look. */
struct flow_hot {
	uint64_t id; /* 0: free */
	uint32_t lock;
	uint16_t flags; /* enum flow_hot_flags */
	uint8_t tcp_flags[2];
	uint64_t last_ns;
	uint32_t seq_next[2];
	uint8_t ttl_min[2], ttl_max[2];
	uint32_t packets_left[2];
	uint32_t bytes_left[2];
	uint32_t payload[2];
	uint32_t due; /* in units of flow_record.sent: when an update is */
};

enum { FLOW_COLD_WAYS = 2, FLOW_COLD_SETS = FLOW_WAYS / FLOW_COLD_WAYS };

/* An element of a tap's flow map: the tap, then `sets` of these, then FLOW_COLD_SETS times as many with the
 * records of FLOW_COLD_WAYS ways each. */
struct flow_set {
	union {
		struct {
			uint32_t sequence;
			uint16_t tags[FLOW_WAYS]; /* of the flow in each way; 0: free */
			uint32_t reserved[11];
			struct flow_hot hot[FLOW_WAYS];
		};
		struct flow_record cold[FLOW_COLD_WAYS];
	};
} __attribute__((aligned(64)));

/* The element, from 0 behind the tap's, in which this way's record is. */
PACKET_INLINE uint32_t flow_cold_index(uint32_t sets, uint32_t set, uint32_t way)
{
	return sets + set * FLOW_COLD_SETS + way / FLOW_COLD_WAYS;
}

PACKET_INLINE uint32_t flow_elements(uint32_t sets)
{
	return 1 + sets * (1 + FLOW_COLD_SETS);
}

enum flow_tap_flags { FLOW_TAP_MADE_CLSACT = 1 /* tap.c: the qdisc was not there before */ };

/* Element 0 of a tap's flow map; sets follow it. */
struct flow_tap {
	uint32_t magic;
	uint32_t ifindex;
	uint64_t seed;
	uint32_t sets;
	uint8_t guest_mac[6];  /* all zero: any will do */
	uint16_t flags;        /* enum flow_tap_flags */
	uint32_t window_bytes; /* sent while the ring was crowded, since window_ns */
	uint64_t window_ns;
	uint32_t window_payloads; /* payload events sent since payload_ns */
	uint32_t tick_ns;         /* of the kernel's timer */
	uint64_t payload_ns;
	uint64_t clock_ns; /* when its count of ticks was 0 */
	struct tap_stats stats;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct flow_hot) == 64, "one cache line");
_Static_assert(sizeof(struct flow_set) == 64 + FLOW_WAYS * 64, "sets fill cache lines");
_Static_assert(sizeof(struct flow_tap) <= sizeof(struct flow_set), "element 0 holds the tap");

PACKET_INLINE uint64_t flow_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9fb21c651e98df25ull;
	return x ^ x >> 29;
}

/* The port by the seed too: what a guest puts into an address must not make up for another port. */
PACKET_INLINE uint64_t flow_hash_end(const uint8_t *address, uint16_t port, uint64_t seed)
{
	const uint64_t *words = (const uint64_t *)address;
	const uint64_t by = seed * 0xd6e8feb86659fd93ull | 1;

	return flow_mix(flow_mix((words[0] ^ seed) + port * by) ^ words[1]);
}

/* The upper half picks the set, the lower half is the tag. */
PACKET_INLINE uint64_t flow_hash(const struct flow_key *key, uint64_t seed)
{
	const uint64_t other = (uint64_t)key->vlan << 16 | (uint64_t)key->proto << 8 | key->family;

	return flow_mix(flow_hash_end(key->guest, key->guest_port, seed) +
	                flow_hash_end(key->peer, key->peer_port, seed) + other);
}

/* Another one, that is not the same both ways round; never 0. */
PACKET_INLINE uint64_t flow_id(const struct flow_key *key, uint64_t seed)
{
	const uint64_t guest = flow_hash_end(key->guest, key->guest_port, seed);
	const uint64_t peer = flow_hash_end(key->peer, key->peer_port, seed);
	const uint64_t other = (uint64_t)key->vlan << 16 | (uint64_t)key->proto << 8 | key->family;

	return flow_mix((guest << 23 | guest >> 41) + peer + (other << 32 | other >> 32)) | 1;
}

PACKET_INLINE uint16_t flow_tag(uint64_t hash)
{
	return (uint16_t)hash | 1;
}

/* The way that the flow has if it can; else its neighbour, if that can be. */
PACKET_INLINE uint32_t flow_way(uint64_t hash)
{
	return (uint32_t)hash >> 16 & (FLOW_WAYS - 1);
}

PACKET_INLINE uint32_t flow_set_index(uint64_t hash, uint32_t sets)
{
	return (uint32_t)(hash >> 32) & (sets - 1);
}

/* The least power of two that is above x. */
PACKET_INLINE uint64_t flow_power_above(uint64_t x)
{
	x |= x >> 1;
	x |= x >> 2;
	x |= x >> 4;
	x |= x >> 8;
	x |= x >> 16;
	return (x | x >> 32) + 1;
}

/* How much may be added to a count before it reaches the next power of two from `least` on; or 2^30, after which
 * the whole way looks, and finds that it may go on. */
PACKET_INLINE uint32_t flow_left(uint64_t count, uint64_t least)
{
	const uint64_t above = flow_power_above(count | (least - 1));
	const uint64_t left = above - 1 - count;

	return left < 1u << 30 ? (uint32_t)left : 1u << 30;
}

PACKET_INLINE void flow_load_side(struct flow_side *side, const struct flow_hot *hot, int i)
{
	side->seq_next = hot->seq_next[i];
	side->tcp_flags = hot->tcp_flags[i];
	side->ttl_min = hot->ttl_min[i];
	side->ttl_max = hot->ttl_max[i];
	side->packets += flow_left(side->packets, FLOW_UPDATE_PACKETS) - hot->packets_left[i];
	side->bytes += flow_left(side->bytes, FLOW_UPDATE_BYTES) - hot->bytes_left[i];
	side->payload += hot->payload[i];
}

/* The record as it is by now, of a way that is not free. */
PACKET_INLINE void flow_load(struct flow_record *record, const struct flow_hot *hot,
                             const struct flow_record *cold)
{
	__builtin_memcpy(record, cold, sizeof(*record));
	record->last_ns = hot->last_ns;
	record->lock = hot->lock;
	flow_load_side(&record->sides[0], hot, 0);
	flow_load_side(&record->sides[1], hot, 1);
}

PACKET_INLINE void flow_store_side(const struct flow_side *side, struct flow_hot *hot, int i)
{
	hot->seq_next[i] = side->seq_next;
	hot->tcp_flags[i] = side->tcp_flags;
	hot->ttl_min[i] = side->ttl_min;
	hot->ttl_max[i] = side->ttl_max;
	hot->packets_left[i] = flow_left(side->packets, FLOW_UPDATE_PACKETS);
	hot->bytes_left[i] = flow_left(side->bytes, FLOW_UPDATE_BYTES);
	hot->payload[i] = 0;
}

/* What the next packet of this side may not do in short. */
PACKET_INLINE unsigned int flow_hot_side(const struct flow_record *record, int i)
{
	const int opener = record->flags & FLOW_FLAG_PEER_OPENED ? FLOW_PEER : FLOW_GUEST;
	/* the one state in which this sender's next packet changes it */
	const uint8_t state = opener == i ? FLOW_STATE_ANSWERED : FLOW_STATE_OPENED;
	unsigned int flags = 0;

	if (record->sides[i].packets == 0 || record->state == state)
		flags |= FLOW_HOT_WHOLE << i;
	if (record->sides[i].head_size == 0 || record->flags & FLOW_FLAG_STREAM(i))
		flags |= FLOW_HOT_HEAD << i;
	return flags;
}

/* Writes the record to its two places. The lock, which is held, is not written. */
PACKET_INLINE void flow_store(const struct flow_record *record, uint64_t id, struct flow_hot *hot,
                              struct flow_record *cold)
{
	unsigned int flags = flow_hot_side(record, 0) | flow_hot_side(record, 1);

	if (record->state >= FLOW_STATE_CLOSED)
		flags |= FLOW_HOT_ENDED;
	if (record->outcome > FLOW_OUTCOME_RESET)
		flags |= FLOW_HOT_ANSWERED;
	if (flow_idle_ns(record) == FLOW_IDLE_TCP_NS)
		flags |= FLOW_HOT_LONG;
	__builtin_memcpy(cold, record, sizeof(*cold));
	hot->id = id;
	hot->flags = (uint16_t)flags;
	hot->last_ns = record->last_ns;
	hot->due = record->sent + FLOW_UPDATE_UNITS;
	flow_store_side(&record->sides[0], hot, 0);
	flow_store_side(&record->sides[1], hot, 1);
}

/* When the flow has ended if nothing more comes. */
PACKET_INLINE uint64_t flow_hot_idle_at(const struct flow_hot *hot)
{
	return hot->last_ns + (hot->flags & FLOW_HOT_LONG ? FLOW_IDLE_TCP_NS : FLOW_IDLE_NS);
}

/* The way that holds the flow with this id, or FLOW_WAYS. */
PACKET_FUNCTION uint32_t flow_set_find(const struct flow_set *set, uint64_t id, uint32_t tag)
{
	if (!set)
		return FLOW_WAYS;
	for (uint32_t way = 0; way < FLOW_WAYS; way++)
		if (set->tags[way] == tag && set->hot[way].id == id)
			return way;
	return FLOW_WAYS;
}

#endif
