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
 * counters. The array is mapped read-only by the monitor, so a set's lock doubles as a sequence
 * count: odd while a CPU writes, and different afterwards.
 *
 * Who includes this first defines `struct flow_context` (whatever it needs to remember), and
 *   static struct flow_set *flow_table_set(struct flow_context *, uint32_t hash);
 *   static bool flow_set_lock(struct flow_set *), void flow_set_unlock(struct flow_set *);
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
static inline bool flow_set_lock(struct flow_set *set);
static inline void flow_set_unlock(struct flow_set *set);
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

/* A free way, or the one whose record is worth least. */
PACKET_FUNCTION uint32_t flow_set_victim(const struct flow_set *set)
{
	uint64_t least = UINT64_MAX;
	uint32_t victim = 0;

	if (!set)
		return 0;
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

/* The record leaves its way, and is sent as ended. */
PACKET_INLINE void flow_set_end(struct flow_context *context, struct flow_set *set, uint32_t way)
{
	flow_send(context, FLOW_EVENT_END, &set->records[way]);
	set->tags[way] = 0;
}

/* Gives the way to a new flow. */
PACKET_INLINE void flow_set_replace(struct flow_context *context, struct flow_set *set,
                                    uint32_t way, const struct flow_key *key, uint32_t tag,
                                    struct tap_stats *stats, bool evicts)
{
	struct flow_record *record = &set->records[way];

	if (set->tags[way]) {
		flow_set_end(context, set, way);
		if (evicts && record->state != FLOW_STATE_CLOSED &&
		    record->state != FLOW_STATE_RESET)
			flow_add(&stats->evicted, 1);
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->key = *key;
	set->tags[way] = tag;
	flow_add(&stats->flows, 1);
}

/* The packet's effect on its flow in the set that it hashes to, which is locked. */
PACKET_INLINE void flow_set_packet(struct flow_context *context, struct flow_set *set,
                                   const struct flow_key *key, uint32_t tag,
                                   const struct packet *packet, enum flow_side_index side,
                                   struct tap_stats *stats, uint64_t now)
{
	uint32_t way = flow_set_find(set, key, tag);
	const bool found = way < FLOW_WAYS;
	struct flow_record *record;
	unsigned int send, kind;

	if (!found)
		way = flow_set_victim(set);
	way &= FLOW_WAYS - 1;
	record = &set->records[way];
	if (!found || flow_stale(record, packet, now))
		flow_set_replace(context, set, way, key, tag, stats, !found);
	send = flow_update(record, packet, side, now);
	if (send & FLOW_TAKE_HEAD) {
		uint32_t size = packet->payload_captured;

		if (size > FLOW_HEAD_MAX)
			size = FLOW_HEAD_MAX;
		flow_take_head(context, packet, record->first[side].head, size);
		record->sides[side].head_size = (uint8_t)size;
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
	set = flow_table_set(context, (uint32_t)(hash >> 32) & (tap->sets - 1));
	if (!set || !flow_set_lock(set))
		return false;
	way = flow_set_find(set, &key, flow_tag(hash));
	if (way < FLOW_WAYS) {
		struct flow_record *record = &set->records[way & (FLOW_WAYS - 1)];

		if (flow_error(record, packet, side, now))
			flow_send(context, FLOW_EVENT_OUTCOME, record);
	}
	flow_set_unlock(set);
	return way < FLOW_WAYS;
}

/* True when the guest sends with another address than its own. */
PACKET_INLINE bool flow_tap_foreign(const struct flow_tap *tap, const struct packet *packet)
{
	uint8_t set = 0, differs = 0;

	for (int i = 0; i < 6; i++) {
		set |= tap->guest_mac[i];
		differs |= tap->guest_mac[i] ^ packet->src_mac[i];
	}
	return set && differs;
}

/* Everything that one packet does to its tap's table and counters; `side` is its sender. */
PACKET_INLINE void flow_table_packet(struct flow_context *context, struct flow_tap *tap,
                                     struct packet *packet, enum flow_side_index side, uint64_t now)
{
	struct tap_stats *stats = &tap->stats;
	struct flow_key key = {0};
	struct flow_set *set;
	uint64_t hash;

	flow_add(&stats->packets[side], 1);
	flow_add(&stats->bytes[side], packet->wire);
	if (packet->flags & (PACKET_TRUNCATED | PACKET_MALFORMED))
		flow_add(&stats->unparsed, 1);
	if (side == FLOW_GUEST && flow_tap_foreign(tap, packet)) {
		packet->flags |= PACKET_FOREIGN_MAC;
		flow_add(&stats->foreign_mac, 1);
	}
	if (flow_table_error(context, tap, packet, side, now))
		return;
	if (!flow_key_of(packet, side, &key)) {
		if (packet->family == PACKET_OTHER &&
		    !(packet->flags & (PACKET_TRUNCATED | PACKET_MALFORMED)))
			flow_add(&stats->not_ip, 1);
		return;
	}
	hash = flow_hash(&key, tap->seed);
	set = flow_table_set(context, (uint32_t)(hash >> 32) & (tap->sets - 1));
	if (!set || !flow_set_lock(set)) {
		flow_add(&stats->contended, 1);
		return;
	}
	flow_set_packet(context, set, &key, flow_tag(hash), packet, side, stats, now);
	flow_set_unlock(set);
}

#endif
