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

/* Who talks, as hashes: the VM, and whom it belongs to, which is its first group, or itself where it has none. */
struct world_guest {
	uint32_t vm, group;
};

/* `group` may be "". */
struct world_guest world_guest(const char *vm, const char *group);
/* Where .vm is 0, only the address is known: that is who it is, and it belongs to itself. */
struct world_guest world_guest_or(struct world_guest guest, const uint8_t address[16]);

/* About 2 MiB, touched as they are needed. NULL when memory is short. */
struct detector_world *world_create(void);
void world_destroy(struct detector_world *world);

/* The guest calls the peer of this flow, at its port, again and again, and has done so since then. `world` may be NULL,
 * in this and in the next. */
void world_calls(struct detector_world *world, const struct flow_key *key, struct world_guest guest,
                 uint64_t since_ns, uint64_t now_ns);

struct world_share {
	unsigned int
	        others; /* VMs beside this one that call the same peer, as far as is remembered */
	unsigned int groups; /* to whom else they belong */
	bool common;         /* many do, or some for long: a public service */
	bool sole;           /* this VM is the only one, and there are others that could */
};

struct world_share world_share(const struct detector_world *world, const struct flow_key *key,
                               struct world_guest guest, uint64_t now_ns);

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
