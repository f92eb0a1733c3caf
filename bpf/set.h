/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * set: how flows lie in memory, and how one is found there: for the table (table.h), and for who only
 * reads it (reader.c).
 *
 * A flow's hash names one set of FLOW_WAYS records, and the way that it has if that one is free when it
 * comes, as it mostly is. The set's first line holds a 16-bit tag of each record, for when it is not. So a
 * packet of a known flow touches two lines: key and state, counters. The hash is keyed with a seed that
 * the guest cannot know, and symmetric in its two ends, so that offline, where nobody says which end is
 * the guest, both ways round meet in the same set.
 *
 * Two kinds of lock, each a sequence count that is odd while it is held: the set's, for who looks for a
 * flow that may not be there, and makes room for it; and each record's, for any change in it. Who holds both
 * took the set's first. A packet of a known flow takes the record's alone, if it has not moved since
 * the key was compared. Who only reads copies a record between two looks at its count.
 */
#ifndef CORDON_BPF_SET_H
#define CORDON_BPF_SET_H

#include "bpf/flow.h"

enum {
	FLOW_WAYS = 8,
	FLOW_SETS_DEFAULT = 2048, /* a power of two */
	FLOW_SETS_MAX = 1 << 16,
	FLOW_TAP_MAGIC = 0x43465404,
};

struct flow_set {
	uint32_t sequence;
	uint16_t tags[FLOW_WAYS]; /* of the record in each way; 0: free */
	uint32_t reserved[11];
	struct flow_record records[FLOW_WAYS];
} __attribute__((aligned(64)));

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
	uint32_t reserved0;
	uint64_t payload_ns;
	uint8_t reserved[8];
	struct tap_stats stats;
} __attribute__((aligned(64)));

_Static_assert(sizeof(struct flow_set) == 64 + FLOW_WAYS * 256, "sets fill cache lines");
_Static_assert(sizeof(struct flow_tap) <= sizeof(struct flow_set), "element 0 holds the tap");

PACKET_INLINE uint64_t flow_mix(uint64_t x)
{
	x ^= x >> 32;
	x *= 0x9fb21c651e98df25ull;
	return x ^ x >> 29;
}

PACKET_INLINE uint64_t flow_hash_end(const uint8_t *address, uint16_t port, uint64_t seed)
{
	const uint64_t *words = (const uint64_t *)address;

	return flow_mix(flow_mix((words[0] ^ seed) + (uint64_t)port * 0xd6e8feb86659fd93ull) ^
	                words[1]);
}

/* The upper half picks the set, the lower half is the tag. */
PACKET_INLINE uint64_t flow_hash(const struct flow_key *key, uint64_t seed)
{
	const uint64_t other = (uint64_t)key->vlan << 16 | (uint64_t)key->proto << 8 | key->family;

	return flow_mix(flow_hash_end(key->guest, key->guest_port, seed) +
	                flow_hash_end(key->peer, key->peer_port, seed) + other);
}

PACKET_INLINE uint16_t flow_tag(uint64_t hash)
{
	return (uint16_t)hash | 1;
}

/* The way that the flow has if it can. */
PACKET_INLINE uint32_t flow_way(uint64_t hash)
{
	return (uint32_t)hash >> 16 & (FLOW_WAYS - 1);
}

PACKET_INLINE uint32_t flow_set_index(uint64_t hash, uint32_t sets)
{
	return (uint32_t)(hash >> 32) & (sets - 1);
}

/* The way that holds the key, or FLOW_WAYS. */
PACKET_FUNCTION uint32_t flow_set_find(const struct flow_set *set, const struct flow_key *key,
                                       uint32_t tag)
{
	if (!set || !key)
		return FLOW_WAYS;
	for (uint32_t way = 0; way < FLOW_WAYS; way++)
		if (set->tags[way] == tag && flow_key_equal(&set->records[way].key, key))
			return way;
	return FLOW_WAYS;
}

#endif
