/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan: the detector of port scans and sweeps by what came of the tries. Pure: it is given events with
 * their own times, and gives alerts; the same code runs live, on a pcap and in a test. What it finds
 * and what it cannot is in scan.c.
 */
#ifndef CORDON_MONITOR_SCAN_H
#define CORDON_MONITOR_SCAN_H

#include "monitor/detector.h"

enum { SCAN_PORTS_DEFAULT = 15, SCAN_HOSTS_DEFAULT = 15 };

struct scan_config {
	uint32_t ports; /* failed ports of one host that make a vertical scan; 0: the default */
	uint32_t hosts; /* failed hosts on one port that make a horizontal one; 0: the default */
	struct detector_world *world; /* or NULL */
	uint64_t seed; /* of its hashes, which guests must not know; 0: one of its own */
};

extern const struct detector_ops scan_detector;

struct scan;

/* NULL when memory is short. About 700 KiB, allocated once and touched as it is needed: a guest cannot
 * make it grow. */
struct scan *scan_create(const struct scan_config *config);
void scan_destroy(struct scan *scan);

/* One event of the VM's, times in Unix ns, not going backwards by much. */
void scan_observe(struct scan *scan, const struct flow_event *event, detector_emit_fn *emit,
                  void *data);

/* Time passes: tries that nobody answered fail, old ones leave, quiet findings end. Call it once a
 * second or so, and at the end once with DETECTOR_END. */
void scan_tick(struct scan *scan, uint64_t now_ns, detector_emit_fn *emit, void *data);

#endif
