/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * set: how flows lie in memory, and how one is found there: for the table (table.h), and for who only
 * reads it (reader.c).
 *
 * A flow's hash names one set of FLOW_WAYS, and the way in it that the flow has if that one is free when it
 * comes, as it mostly is. There it has half a cache line for each direction, struct flow_hot, with all that a packet
 * of a known flow looks at or changes; its record is elsewhere, and is put together from all three (flow_load()) for
 * whatever else happens to the flow. What a packet costs is mostly the lines that are not in the cache: so two
 * flows share one, the hash's way and its neighbour, which is where a flow is whose way was taken.
 *
 * In the hot half stands for the key a second hash of it, of 48 bits. Two flows of one VM in the same set that have it
 * in common would be counted as one, by chance with one of 2^45 that come into a full set; to bring it about, a guest
 * would have to know the seed, which the kernel made for this tap. The whole way compares the key. The hash
 * that names the set is symmetric in the flow's two ends, so that offline, where nobody says which end is the
 * guest, both ways round meet in the same set.
 *
 * Two kinds of lock, each a sequence count whose lowest bit, FLOW_LOCKED, is set while it is held: the set's, for who
 * looks for a flow that may not be there, and makes room for it; and one of each half, for any change in it. Who
 * holds several took the set's first and the guest's half's before the peer's. A packet of a known flow takes its
 * half's alone, if it has not moved since all was read that the packet changes. Who only reads copies between two
 * looks at the counts.
 */
#ifndef CORDON_BPF_SET_H
#define CORDON_BPF_SET_H

#include "bpf/flow.h"

enum {
	FLOW_WAYS = 8,
	FLOW_SETS_DEFAULT = 2048, /* a power of two */
	FLOW_SETS_MAX = 1 << 16,
	FLOW_TAP_MAGIC = 0x43465407,
};

enum flow_hot_flags {
	FLOW_HOT_WHOLE = 1, /* the next packet goes the whole way, */
	FLOW_HOT_HEAD = 2,  /* the same: or that with the next payload bytes */
	FLOW_HOT_ENDED = 4,
	FLOW_HOT_ANSWERED = 8,
	FLOW_HOT_LONG = 16, /* idle after FLOW_IDLE_TCP_NS */
};

/* In a lock's word: its count, above what else is there. */
#define FLOW_LOCKED (1u << 16)

/* What quick.h needs and changes of one direction. Counts are those since the record was written: packets and bytes as
 * what is left until the whole way has to look. Words are shared so that two fit a cache line. */
struct flow_hot {
	union {
		uint64_t id; /* its upper 48 bits; 0: free */
		struct {
			uint8_t flags; /* enum flow_hot_flags */
			uint8_t tcp_flags;
		};
	};
	uint64_t last; /* 40 bits of the ns when it was last used, then 24 of payload bytes */
	uint32_t lock; /* its count, then 16 bits of packets left */
	uint32_t seq_next;
	union {
		uint32_t bytes_left; /* the upper 24 bits */
		uint8_t ttl_min;
	};
	union {
		uint32_t
		        due; /* when an update is, in units of flow_record.sent: the upper 24 bits */
		uint8_t ttl_max;
	};
};

enum { FLOW_HOT_PACKETS_MAX = (1 << 16) - 1, FLOW_HOT_BYTES_MAX = (1 << 24) - 1 };
#define FLOW_HOT_ID (~0xffffull)

enum { FLOW_COLD_WAYS = 2, FLOW_COLD_SETS = FLOW_WAYS / FLOW_COLD_WAYS };

/* An element of a tap's flow map: the tap, then `sets` of these, then FLOW_COLD_SETS times as many with the
 * records of FLOW_COLD_WAYS ways each. */
struct flow_set {
	union {
		struct {
			uint32_t sequence;
			uint16_t tags[FLOW_WAYS]; /* of the flow in each way; 0: free */
			uint32_t reserved[11];
			struct flow_hot hot[2][FLOW_WAYS]; /* by enum flow_side_index */
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

_Static_assert(sizeof(struct flow_hot) == 32, "half a cache line");
_Static_assert(sizeof(struct flow_set) == 64 + FLOW_WAYS * 2 * 32, "sets fill cache lines");
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

/* Another one, that is not the same both ways round: flow_hot.id without its flags, never 0. */
PACKET_INLINE uint64_t flow_id(const struct flow_key *key, uint64_t seed)
{
	const uint64_t guest = flow_hash_end(key->guest, key->guest_port, seed);
	const uint64_t peer = flow_hash_end(key->peer, key->peer_port, seed);
	const uint64_t other = (uint64_t)key->vlan << 16 | (uint64_t)key->proto << 8 | key->family;

	return (flow_mix((guest << 23 | guest >> 41) + peer + (other << 32 | other >> 32)) &
	        FLOW_HOT_ID) |
	       1 << 16;
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

/* How much may be added to a count before it reaches the next power of two from `least` on; or `most`, after which
 * the whole way looks, and finds that it may go on. */
PACKET_INLINE uint32_t flow_left(uint64_t count, uint64_t least, uint32_t most)
{
	const uint64_t above = flow_power_above(count | (least - 1));
	const uint64_t left = above - 1 - count;

	return left < most ? (uint32_t)left : most;
}

PACKET_INLINE uint32_t flow_packets_left(const struct flow_side *side)
{
	return flow_left(side->packets, FLOW_UPDATE_PACKETS, FLOW_HOT_PACKETS_MAX);
}

PACKET_INLINE uint32_t flow_bytes_left(const struct flow_side *side)
{
	return flow_left(side->bytes, FLOW_UPDATE_BYTES, FLOW_HOT_BYTES_MAX);
}

PACKET_INLINE void flow_load_side(struct flow_side *side, const struct flow_hot *hot)
{
	side->seq_next = hot->seq_next;
	side->tcp_flags = hot->tcp_flags;
	side->ttl_min = hot->ttl_min;
	side->ttl_max = hot->ttl_max;
	side->packets += flow_packets_left(side) - (hot->lock & FLOW_HOT_PACKETS_MAX);
	side->bytes += flow_bytes_left(side) - (hot->bytes_left >> 8);
	side->payload += hot->last & FLOW_HOT_BYTES_MAX;
}

/* How much later than the record's time this direction was used: an update is due before 40 bits are full. */
PACKET_INLINE uint64_t flow_hot_later(const struct flow_hot *hot, const struct flow_record *cold)
{
	return ((hot->last & ~(uint64_t)FLOW_HOT_BYTES_MAX) - (cold->last_ns << 24)) >> 24;
}

/* The record as it is by now, of a way that is not free. */
PACKET_INLINE void flow_load(struct flow_record *record, const struct flow_set *set, uint32_t way,
                             const struct flow_record *cold)
{
	const struct flow_hot *guest = &set->hot[FLOW_GUEST][way],
	                      *peer = &set->hot[FLOW_PEER][way];
	uint64_t later;

	__builtin_memcpy(record, cold, sizeof(*record));
	later = flow_hot_later(guest, record);
	if (flow_hot_later(peer, record) > later)
		later = flow_hot_later(peer, record);
	record->last_ns += later;
	flow_load_side(&record->sides[FLOW_GUEST], guest);
	flow_load_side(&record->sides[FLOW_PEER], peer);
}

/* What the next packet of this side may not do in short. */
PACKET_INLINE unsigned int flow_hot_side(const struct flow_record *record, int i)
{
	const int opener = record->flags & FLOW_FLAG_PEER_OPENED ? FLOW_PEER : FLOW_GUEST;
	/* the one state in which this sender's next packet changes it */
	const uint8_t state = opener == i ? FLOW_STATE_ANSWERED : FLOW_STATE_OPENED;
	unsigned int flags = 0;

	if (record->sides[i].packets == 0 || record->state == state)
		flags |= FLOW_HOT_WHOLE;
	if (record->sides[i].head_size == 0 || record->flags & FLOW_FLAG_STREAM(i))
		flags |= FLOW_HOT_HEAD;
	return flags;
}

PACKET_INLINE void flow_store_side(const struct flow_record *record, uint64_t id,
                                   struct flow_hot *hot, int i, unsigned int flags)
{
	const struct flow_side *side = &record->sides[i];
	const uint32_t unit = (uint32_t)(record->last_ns >> 30);
	uint32_t due = record->sent + FLOW_UPDATE_UNITS;

	flags |= flow_hot_side(record, i);
	/* ICMP errors came for so long: flow_hot_last() wants the two close together */
	if ((int32_t)(unit - due) >= 0) {
		due = unit;
		flags |= FLOW_HOT_WHOLE;
	}
	hot->id = id | (uint64_t)side->tcp_flags << 8 | flags;
	hot->last = record->last_ns << 24;
	hot->lock = (hot->lock & ~(uint32_t)FLOW_HOT_PACKETS_MAX) | flow_packets_left(side);
	hot->seq_next = side->seq_next;
	hot->bytes_left = flow_bytes_left(side) << 8 | side->ttl_min;
	hot->due = due << 8 | side->ttl_max;
}

/* Writes the record to its three places. The locks are held, and stay so. */
PACKET_INLINE void flow_store(const struct flow_record *record, uint64_t id, struct flow_set *set,
                              uint32_t way, struct flow_record *cold)
{
	unsigned int flags = 0;

	if (record->state >= FLOW_STATE_CLOSED)
		flags |= FLOW_HOT_ENDED;
	if (record->outcome > FLOW_OUTCOME_RESET)
		flags |= FLOW_HOT_ANSWERED;
	if (flow_idle_ns(record) == FLOW_IDLE_TCP_NS)
		flags |= FLOW_HOT_LONG;
	__builtin_memcpy(cold, record, sizeof(*cold));
	flow_store_side(record, id, &set->hot[FLOW_GUEST][way], FLOW_GUEST, flags);
	flow_store_side(record, id, &set->hot[FLOW_PEER][way], FLOW_PEER, flags);
}

/* When this direction was last used, by a clock that says `now`: its 40 bits are within 17 minutes of `due`, whose 24
 * bits are 208 days. */
PACKET_INLINE uint64_t flow_hot_last(const struct flow_hot *hot, uint64_t now)
{
	const uint64_t from = ((uint64_t)(hot->due >> 8) - FLOW_UPDATE_UNITS - 256) << 30;
	const uint64_t last = from + (((hot->last >> 24) - from) & ((1ull << 40) - 1));

	return now - (uint64_t)((int64_t)((now - last) << 10) >> 10);
}

/* The same of the flow in this way. */
PACKET_INLINE uint64_t flow_set_last(const struct flow_set *set, uint32_t way, uint64_t now)
{
	const uint64_t guest = flow_hot_last(&set->hot[FLOW_GUEST][way], now);
	const uint64_t peer = flow_hot_last(&set->hot[FLOW_PEER][way], now);

	return guest > peer ? guest : peer;
}

/* When the flow has ended if nothing more comes. */
PACKET_INLINE uint64_t flow_set_idle_at(const struct flow_set *set, uint32_t way, uint64_t now)
{
	return flow_set_last(set, way, now) +
	       (set->hot[FLOW_GUEST][way].flags & FLOW_HOT_LONG ? FLOW_IDLE_TCP_NS : FLOW_IDLE_NS);
}

/* The way that holds the flow with this id, or FLOW_WAYS. */
PACKET_FUNCTION uint32_t flow_set_find(const struct flow_set *set, uint64_t id, uint32_t tag)
{
	if (!set)
		return FLOW_WAYS;
	for (uint32_t way = 0; way < FLOW_WAYS; way++)
		if (set->tags[way] == tag && (set->hot[FLOW_GUEST][way].id & FLOW_HOT_ID) == id)
			return way;
	return FLOW_WAYS;
}

#endif
