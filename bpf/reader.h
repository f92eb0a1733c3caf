/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reader: reads what the programs at the taps wrote, from a process without privileges. It needs the
 * two kinds of fd that tap.h gives and no bpf(2): both are memory that the kernel writes and this side
 * maps. Nothing here allocates by what is found there.
 */
#ifndef CORDON_BPF_READER_H
#define CORDON_BPF_READER_H

#include "bpf/events.h"

struct flow_map; /* one tap's flows and counters */

/* Maps the flow map `fd` (tap_watch_attach(), tap_watch_flows()) read-only; the fd may be closed
 * afterwards. 0 or a negative errno (-EPROTO: not a flow map of this version). */
int flow_map_open(int fd, struct flow_map **map);
void flow_map_close(struct flow_map *map);

/* Calls `each` with a consistent copy of every record; stops when it returns non-zero, and returns
 * that. Flows that come and go meanwhile may be missed or not. */
int flow_map_each(const struct flow_map *map, int (*each)(const struct flow_record *, void *),
                  void *data);

/* As flow_map_each(), but only flows whose flow_idle_ns() ran out after `since` and until `now` (both in
 * the kernel's CLOCK_MONOTONIC): called again and again, with the last call's `now` as `since`, it tells
 * of each flow that goes idle once. */
int flow_map_idle(const struct flow_map *map, uint64_t since, uint64_t now,
                  int (*each)(const struct flow_record *, void *), void *data);

/* When the flow has ended if nothing more comes. */
uint64_t flow_idle_at(const struct flow_record *record);

/* Copies the record with this key. 0, or -ENOENT. */
int flow_map_find(const struct flow_map *map, const struct flow_key *key,
                  struct flow_record *record);

void flow_map_stats(const struct flow_map *map, struct tap_stats *stats);

struct event_ring; /* the ring buffer of all taps */

/* Maps the events ring buffer (tap_watch_events()). The fd stays the caller's, who keeps it open and
 * may wait for it with epoll (readable: events are there). 0 or a negative errno. */
int event_ring_open(int fd, struct event_ring **ring);
void event_ring_close(struct event_ring *ring);

/* Hands up to `max` waiting events to `each`, each as a whole message in the ring (valid until `each`
 * returns; header->size is the true size). Returns how many. Never blocks. */
int event_ring_read(struct event_ring *ring, int max,
                    void (*each)(const struct flow_event_header *, void *), void *data);

#endif
