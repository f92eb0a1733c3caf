/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * world: what the VMs of one host have in common, for detectors that judge one of them by the others. One for
 * all of them, of fixed size.
 */
#ifndef CORDON_MONITOR_WORLD_H
#define CORDON_MONITOR_WORLD_H

#include <stdbool.h>

#include "bpf/events.h"

struct detector_world;

/* About 256 KiB. NULL when memory is short. */
struct detector_world *world_create(void);
void world_destroy(struct detector_world *world);

/* The guest of this flow talks to its peer at its port. `world` may be NULL, in this and in the next. */
void world_seen(struct detector_world *world, const struct flow_key *key);

/* How many guests were seen to do so lately, as far as is remembered; at most 64. */
unsigned int world_prevalence(const struct detector_world *world, const struct flow_key *key);

/*
 * What the guests together try: ports of one host, or hosts on one port. Tells the world of a target's result, and
 * returns how many different targets of this host (of this port) have failed in the last half hour or so, when at
 * least three guests tried them and not one in three was answered; 0 otherwise, and after it was said once.
 */
enum world_scan { WORLD_HOST, WORLD_PORT };
unsigned int world_tried(struct detector_world *world, enum world_scan scan,
                         const struct flow_key *key, bool failed, uint64_t now_ns,
                         unsigned int enough, unsigned int *guests);

#endif
