/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * flowtable: the flow engine in user space, for captures and tests. The same parser, state machine,
 * table and counters as at a tap, over packets that the caller hands in with their own times. Flows that
 * were idle for flow_idle_ns() end within FLOWTABLE_SWEEP_NS of the packets' time.
 */
#ifndef CORDON_BPF_FLOWTABLE_H
#define CORDON_BPF_FLOWTABLE_H

#include <stddef.h>

#include "bpf/events.h"
#include "bpf/packet.h"

#define FLOWTABLE_SWEEP_NS (30 * 1000000000ull)

struct flowtable;

/* The same events as in the ring buffer, valid during the call. */
typedef void flowtable_event_fn(const struct flow_event_header *event, void *data);

/* A table of `flows` records (rounded up to a power of two of sets; about 360 bytes each, all
 * allocated here). `event` may be NULL. 0, -EINVAL for more than half a million, or -ENOMEM. */
int flowtable_open(struct flowtable **table, size_t flows, uint64_t seed, flowtable_event_fn *event,
                   void *data);
void flowtable_close(struct flowtable *table);
/* It may become as large as for so many flows, when more than half of what it has room for are there; it
 * takes a third more memory for the moment. 0 or -EINVAL. */
int flowtable_may_grow(struct flowtable *table, size_t flows);

/* Who sent the packet, as far as the caller knows. EITHER: whoever is the guest of the flow that it
 * belongs to, or, if it opens one, its sender. */
enum flowtable_sender { FLOWTABLE_GUEST, FLOWTABLE_PEER, FLOWTABLE_EITHER };

/* One frame: `captured` bytes at `bytes`, `wire` bytes long on the wire, at `now` ns. */
void flowtable_packet(struct flowtable *table, const void *bytes, uint32_t captured, uint32_t wire,
                      enum flowtable_sender sender, uint64_t now);

struct flowtable_frame { /* the arguments of flowtable_packet() */
	const uint8_t *bytes;
	uint32_t captured, wire;
	enum flowtable_sender sender;
	uint64_t now;
};

/* The same as flowtable_packet() for each of them in turn, and quicker. */
void flowtable_frames(struct flowtable *table, const struct flowtable_frame *frames, size_t count);

/* No packet follows: every flow that is left ends, as FLOW_EVENT_END of this time. */
void flowtable_finish(struct flowtable *table, uint64_t now);

/* As flow_map_each(), flow_map_find() and flow_map_stats(). */
int flowtable_each(const struct flowtable *table, int (*each)(const struct flow_record *, void *),
                   void *data);
int flowtable_find(const struct flowtable *table, const struct flow_key *key,
                   struct flow_record *record);
struct tap_stats flowtable_stats(const struct flowtable *table);

#endif
