/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * table: keeps flows, as shared inline code: a set-associative table of fixed size (set.h).
 *
 * Nothing is allocated, nothing is relinked, no list is shared between CPUs. When all ways of a set
 * are taken the least valuable record goes: one whose connection has ended, else one that was never
 * answered, else any; the longest quiet of them. So a flood of probes cannot push out an established
 * connection unless the whole set is established. What goes is sent as FLOW_EVENT_END, and counted
 * when it had not ended.
 *
 * In the kernel each tap has an array map of these (4.1 MiB for the default of 2,048 sets, 16,384
 * flows), so one VM's flood stays within its own memory. Element 0 holds the tap's settings and
 * counters. The array is mapped read-only by the monitor. What a tap has counted is the sum of its records
 * and of what its counters have kept of those that left.
 *
 * Who includes this first defines `struct flow_context` (whatever it needs to remember), and
 *   static struct flow_set *flow_table_set(struct flow_context *, uint32_t hash);
 *   static bool flow_lock(uint32_t *sequence), void flow_unlock(uint32_t *sequence);
 *   static void flow_send(struct flow_context *, enum flow_event_type, const struct flow_record *);
 *   static void flow_take_head(struct flow_context *, const struct packet *, uint8_t *head, uint32_t size);
 *   static void flow_send_payload(struct flow_context *, const struct flow_record *, const struct packet *,
 *                                 enum flow_side_index, unsigned int kind);
 * and passes the tap's counters as `stats`, whose fields are only ever added to with flow_add().
 */
#ifndef CORDON_BPF_TABLE_H
#define CORDON_BPF_TABLE_H

#include "bpf/set.h"

struct flow_context;
static inline struct flow_set *flow_table_set(struct flow_context *context, uint32_t hash);
static inline bool flow_lock(uint32_t *sequence);
static inline void flow_unlock(uint32_t *sequence);
static inline void flow_send(struct flow_context *context, enum flow_event_type type,
                             const struct flow_record *record);
static inline void flow_take_head(struct flow_context *context, const struct packet *packet,
                                  uint8_t *head, uint32_t size);
static inline void flow_send_payload(struct flow_context *context, const struct flow_record *record,
                                     const struct packet *packet, enum flow_side_index side,
                                     unsigned int kind);
static inline void flow_add(uint64_t *counter, uint64_t amount);

/*
 * What the record is worth: nothing when its state is 0 or ended (sign bit of state - CLOSED clear),
 * more when it was answered, and the later it was used. Without branches, whose paths the verifier
 * would have to multiply over all ways.
 */
PACKET_INLINE uint64_t flow_worth(const struct flow_record *record)
{
	const uint64_t lives = ((uint64_t)record->state - FLOW_STATE_CLOSED) >> 63;
	const uint64_t answered = (FLOW_OUTCOME_RESET - (uint64_t)record->outcome) >> 63;

	return lives << 63 | answered << 62 | record->last_ns >> 2;
}

/* A free way, `wanted` before others, or the one whose record is worth least. */
PACKET_FUNCTION uint32_t flow_set_victim(const struct flow_set *set, uint32_t wanted)
{
	uint64_t least = UINT64_MAX;
	uint32_t victim = 0;

	if (!set)
		return 0;
	wanted &= FLOW_WAYS - 1;
	if (!set->tags[wanted])
		return wanted;
	for (uint32_t way = 0; way < FLOW_WAYS; way++) {
		uint64_t worth;

		if (!set->tags[way])
			return way;
		worth = flow_worth(&set->records[way]);
		if (worth < least) {
			least = worth;
			victim = way;
		}
	}
	return victim;
}

/* The record, which is locked, leaves its way, and is sent as ended. */
PACKET_INLINE void flow_set_end(struct flow_context *context, struct flow_set *set, uint32_t way,
                                struct tap_stats *stats)
{
	struct flow_record *record = &set->records[way];

	flow_send(context, FLOW_EVENT_END, record);
	for (int side = 0; side < 2; side++) {
		flow_add(&stats->packets[side], record->sides[side].packets);
		flow_add(&stats->bytes[side], record->sides[side].bytes);
	}
	record->state = 0;
	set->tags[way] = 0;
}

/* Gives the way to a new flow. Its record is locked, and stays so. */
PACKET_INLINE void flow_set_replace(struct flow_context *context, struct flow_set *set,
                                    uint32_t way, const struct flow_key *key, uint16_t tag,
                                    struct tap_stats *stats, bool evicts)
{
	struct flow_record *record = &set->records[way];

	if (set->tags[way]) {
		if (evicts && record->state != FLOW_STATE_CLOSED &&
		    record->state != FLOW_STATE_RESET)
			flow_add(&stats->evicted, 1);
		flow_set_end(context, set, way, stats);
	}
	/* all but the lock, and the key, which follows */
	record->last_ns = 0;
	__builtin_memset(&record->state, 0,
	                 __builtin_offsetof(struct flow_record, lock) -
	                         __builtin_offsetof(struct flow_record, state));
	__builtin_memset(record->sides, 0,
	                 sizeof(*record) - __builtin_offsetof(struct flow_record, sides));
	record->key = *key;
	set->tags[way] = tag;
	flow_add(&stats->flows, 1);
}

/* The packet's effect on its flow, which has this way of the set or gets it. Both are locked. */
PACKET_INLINE void flow_way_packet(struct flow_context *context, struct flow_set *set, uint32_t way,
                                   bool found, const struct flow_key *key, uint16_t tag,
                                   const struct packet *packet, enum flow_side_index side,
                                   struct tap_stats *stats, uint64_t now)
{
	struct flow_record *record = &set->records[way];
	unsigned int send, kind;

	if (!found || flow_stale(record, packet, now))
		flow_set_replace(context, set, way, key, tag, stats, !found);
	send = flow_update(record, packet, side, now);
	if (send & FLOW_TAKE_HEAD) {
		uint32_t size = packet->payload_captured;

		if (size > FLOW_HEAD_MAX)
			size = FLOW_HEAD_MAX;
		flow_take_head(context, packet, record->first[side].head, size);
		record->sides[side].head_size = (uint8_t)size;
		record->flags |= flow_stream(record, side);
	}
	if (send & (FLOW_SEND_NEW | FLOW_SEND_OUTCOME | FLOW_SEND_UPDATE))
		flow_send(context,
		          send & FLOW_SEND_NEW       ? FLOW_EVENT_NEW
		          : send & FLOW_SEND_OUTCOME ? FLOW_EVENT_OUTCOME
		                                     : FLOW_EVENT_UPDATE,
		          record);
	kind = flow_payload_kind(record, packet, side);
	if (kind)
		flow_send_payload(context, record, packet, side, kind);
}

/* The packet's effect on its flow in the set that it hashes to, which is locked. False: a record stayed
 * locked for too long. */
PACKET_INLINE bool flow_set_packet(struct flow_context *context, struct flow_set *set,
                                   const struct flow_key *key, uint64_t hash,
                                   const struct packet *packet, enum flow_side_index side,
                                   struct tap_stats *stats, uint64_t now)
{
	uint32_t way = flow_set_find(set, key, flow_tag(hash));
	const bool found = way < FLOW_WAYS;

	if (!found)
		way = flow_set_victim(set, flow_way(hash));
	way &= FLOW_WAYS - 1;
	if (!flow_lock(&set->records[way].lock))
		return false;
	flow_way_packet(context, set, way, found, key, flow_tag(hash), packet, side, stats, now);
	flow_unlock(&set->records[way].lock);
	return true;
}

/* An ICMP error's effect on the flow that it is about. False when there is no such flow. */
PACKET_INLINE bool flow_table_error(struct flow_context *context, const struct flow_tap *tap,
                                    const struct packet *packet, enum flow_side_index side,
                                    uint64_t now)
{
	struct flow_key key = {0};
	struct flow_set *set;
	uint64_t hash;
	uint32_t way;

	if (!flow_key_quoted(packet, side, &key))
		return false;
	hash = flow_hash(&key, tap->seed);
	set = flow_table_set(context, flow_set_index(hash, tap->sets));
	if (!set || !flow_lock(&set->sequence))
		return false;
	way = flow_set_find(set, &key, flow_tag(hash));
	if (way < FLOW_WAYS) {
		struct flow_record *record = &set->records[way & (FLOW_WAYS - 1)];

		if (flow_lock(&record->lock)) {
			if (flow_error(record, packet, side, now))
				flow_send(context, FLOW_EVENT_OUTCOME, record);
			flow_unlock(&record->lock);
		}
	}
	flow_unlock(&set->sequence);
	return way < FLOW_WAYS;
}

/* True when the guest sends with another address than its own. */
PACKET_INLINE bool flow_tap_foreign(const struct flow_tap *tap, const uint8_t *src_mac)
{
	uint8_t set = 0, differs = 0;

	for (int i = 0; i < 6; i++) {
		set |= tap->guest_mac[i];
		differs |= tap->guest_mac[i] ^ src_mac[i];
	}
	return set && differs;
}

/* A packet that no record counts. */
PACKET_INLINE void flow_count_apart(struct tap_stats *stats, const struct packet *packet,
                                    enum flow_side_index side)
{
	flow_add(&stats->packets[side], 1);
	flow_add(&stats->bytes[side], packet->wire);
}

/* Everything that one packet does to its tap's table and counters; `side` is its sender. */
PACKET_INLINE void flow_table_packet(struct flow_context *context, struct flow_tap *tap,
                                     struct packet *packet, enum flow_side_index side, uint64_t now)
{
	struct tap_stats *stats = &tap->stats;
	struct flow_key key = {0};
	struct flow_set *set;
	bool counted = false;
	uint64_t hash;

	if (packet->flags & (PACKET_TRUNCATED | PACKET_MALFORMED))
		flow_add(&stats->unparsed, 1);
	if (side == FLOW_GUEST && flow_tap_foreign(tap, packet->src_mac)) {
		packet->flags |= PACKET_FOREIGN_MAC;
		flow_add(&stats->foreign_mac, 1);
	}
	if (flow_table_error(context, tap, packet, side, now)) {
		flow_count_apart(stats, packet, side);
		return;
	}
	if (!flow_key_of(packet, side, &key)) {
		flow_count_apart(stats, packet, side);
		if (packet->family == PACKET_OTHER &&
		    !(packet->flags & (PACKET_TRUNCATED | PACKET_MALFORMED)))
			flow_add(&stats->not_ip, 1);
		return;
	}
	hash = flow_hash(&key, tap->seed);
	set = flow_table_set(context, flow_set_index(hash, tap->sets));
	if (set && flow_lock(&set->sequence)) {
		counted = flow_set_packet(context, set, &key, hash, packet, side, stats, now);
		flow_unlock(&set->sequence);
	}
	if (!counted) {
		flow_count_apart(stats, packet, side);
		flow_add(&stats->contended, 1);
	}
}

#endif
