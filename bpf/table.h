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
 * In the kernel each tap has an array map of these (5.6 MiB for the default of 2,048 sets, 16,384
 * flows), so one VM's flood stays within its own memory. Element 0 holds the tap's settings and
 * counters. The array is mapped read-only by the monitor. What a tap has counted is the sum of its records
 * and of what its counters have kept of those that left.
 *
 * Who includes this first defines `struct flow_context` (whatever it needs to remember), and
 *   static struct flow_set *flow_table_set(struct flow_context *, uint32_t index); (an element, from 0 behind the tap's)
 *   static struct flow_record *flow_table_record(struct flow_context *), room for one to be worked on in
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
static inline struct flow_set *flow_table_set(struct flow_context *context, uint32_t index);
static inline struct flow_record *flow_table_record(struct flow_context *context);
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
 * What the flow is worth: nothing when it has ended, more when it was answered, and the later it was used.
 * Without branches, whose paths the verifier would have to multiply over all ways.
 */
PACKET_INLINE uint64_t flow_worth(const struct flow_set *set, uint32_t way, uint64_t now)
{
	const uint8_t flags = set->hot[FLOW_GUEST][way].flags;
	const uint64_t lives = !(flags & FLOW_HOT_ENDED);
	const uint64_t answered = !!(flags & FLOW_HOT_ANSWERED);

	return lives << 63 | answered << 62 | flow_set_last(set, way, now) >> 2;
}

/* A free way, `wanted` and its neighbour before others, or the one whose record is worth least. */
PACKET_FUNCTION uint32_t flow_set_victim(const struct flow_set *set, uint32_t wanted, uint64_t now)
{
	uint64_t least = UINT64_MAX;
	uint32_t victim = 0;

	if (!set)
		return 0;
	wanted &= FLOW_WAYS - 1;
	if (!set->tags[wanted])
		return wanted;
	if (!set->tags[wanted ^ 1])
		return wanted ^ 1;
	for (uint32_t way = 0; way < FLOW_WAYS; way++) {
		uint64_t worth;

		if (!set->tags[way])
			return way;
		worth = flow_worth(set, way, now);
		if (worth < least) {
			least = worth;
			victim = way;
		}
	}
	return victim;
}

/* The flow is over: it's sent as ended, and the tap's counters keep what it counted. */
PACKET_INLINE void flow_end(struct flow_context *context, const struct flow_record *record,
                            struct tap_stats *stats)
{
	flow_send(context, FLOW_EVENT_END, record);
	for (int side = 0; side < 2; side++) {
		flow_add(&stats->packets[side], record->sides[side].packets);
		flow_add(&stats->bytes[side], record->sides[side].bytes);
	}
}

/* Makes the record, which was another flow's if it has a state, a new flow's. */
PACKET_INLINE void flow_replace(struct flow_context *context, struct flow_record *record,
                                const struct flow_key *key, struct tap_stats *stats, bool evicts)
{
	if (record->state) {
		if (evicts && record->state != FLOW_STATE_CLOSED &&
		    record->state != FLOW_STATE_RESET)
			flow_add(&stats->evicted, 1);
		flow_end(context, record, stats);
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->key = *key;
	flow_add(&stats->flows, 1);
}

/* The packet's effect on the record of its flow. */
PACKET_INLINE void flow_record_packet(struct flow_context *context, struct flow_record *record,
                                      const struct packet *packet, enum flow_side_index side,
                                      uint64_t now)
{
	unsigned int send = flow_update(record, packet, side, now), kind;

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

/* A flow's two hashes, and where it is by them. */
struct flow_place {
	uint64_t hash, id;
	uint32_t index;
	struct flow_set *set;
};

PACKET_INLINE void flow_place_of(struct flow_context *context, const struct flow_tap *tap,
                                 const struct flow_key *key, struct flow_place *place)
{
	place->hash = flow_hash(key, tap->seed);
	place->id = flow_id(key, tap->seed);
	place->index = flow_set_index(place->hash, tap->sets);
	place->set = flow_table_set(context, place->index);
}

PACKET_INLINE bool flow_lock_way(struct flow_set *set, uint32_t way)
{
	if (!flow_lock(&set->hot[FLOW_GUEST][way].lock))
		return false;
	if (flow_lock(&set->hot[FLOW_PEER][way].lock))
		return true;
	flow_unlock(&set->hot[FLOW_GUEST][way].lock);
	return false;
}

/* Loads the record of this way for work on it. Returns where it has to be stored, or NULL: it stayed locked
 * for too long. A way that is free has a record of zeroes. */
PACKET_INLINE struct flow_record *flow_open(struct flow_context *context,
                                            const struct flow_tap *tap,
                                            const struct flow_place *place, uint32_t way)
{
	struct flow_set *rest =
	        flow_table_set(context, flow_cold_index(tap->sets, place->index, way));
	struct flow_record *record = flow_table_record(context), *cold;

	if (!rest || !flow_lock_way(place->set, way))
		return 0;
	cold = &rest->cold[way & (FLOW_COLD_WAYS - 1)];
	if (place->set->tags[way])
		flow_load(record, place->set, way, cold);
	else
		__builtin_memset(record, 0, sizeof(*record));
	return cold;
}

PACKET_INLINE void flow_close(struct flow_context *context, const struct flow_place *place,
                              uint32_t way, struct flow_record *cold)
{
	flow_store(flow_table_record(context), place->id, place->set, way, cold);
	place->set->tags[way] = flow_tag(place->hash);
	flow_unlock(&place->set->hot[FLOW_PEER][way].lock);
	flow_unlock(&place->set->hot[FLOW_GUEST][way].lock);
}

/* The packet's effect on its flow in the set that it hashes to, which is locked. False: what is needed stayed
 * locked for too long. */
PACKET_INLINE bool flow_set_packet(struct flow_context *context, struct flow_tap *tap,
                                   const struct flow_place *place, const struct flow_key *key,
                                   const struct packet *packet, enum flow_side_index side,
                                   uint64_t now)
{
	struct flow_record *record = flow_table_record(context), *cold;
	uint32_t way = flow_set_find(place->set, place->id, flow_tag(place->hash));
	bool found = way < FLOW_WAYS;

	if (!found)
		way = flow_set_victim(place->set, flow_way(place->hash), now);
	way &= FLOW_WAYS - 1;
	cold = flow_open(context, tap, place, way);
	if (!cold)
		return false;
	found = found && flow_key_equal(&record->key, key);
	if (!found || flow_stale(record, packet, now))
		flow_replace(context, record, key, &tap->stats, !found);
	flow_record_packet(context, record, packet, side, now);
	flow_close(context, place, way, cold);
	return true;
}

/* An ICMP error's effect on the flow that it is about. False when there is no such flow. */
PACKET_INLINE bool flow_table_error(struct flow_context *context, const struct flow_tap *tap,
                                    const struct packet *packet, enum flow_side_index side,
                                    uint64_t now)
{
	struct flow_record *cold = 0;
	struct flow_place place;
	struct flow_key key = {0};
	uint32_t way;

	if (!flow_key_quoted(packet, side, &key))
		return false;
	flow_place_of(context, tap, &key, &place);
	if (!place.set || !flow_lock(&place.set->sequence))
		return false;
	way = flow_set_find(place.set, place.id, flow_tag(place.hash));
	if (way < FLOW_WAYS)
		cold = flow_open(context, tap, &place, way & (FLOW_WAYS - 1));
	if (cold) {
		if (flow_error(flow_table_record(context), packet, side, now))
			flow_send(context, FLOW_EVENT_OUTCOME, flow_table_record(context));
		flow_close(context, &place, way & (FLOW_WAYS - 1), cold);
	}
	flow_unlock(&place.set->sequence);
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
	struct flow_place place;
	bool counted = false;

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
	flow_place_of(context, tap, &key, &place);
	if (place.set && flow_lock(&place.set->sequence)) {
		counted = flow_set_packet(context, tap, &place, &key, packet, side, now);
		flow_unlock(&place.set->sequence);
	}
	if (!counted) {
		flow_count_apart(stats, packet, side);
		flow_add(&stats->contended, 1);
	}
}

#endif
