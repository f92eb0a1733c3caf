/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * expect: what the policy says that a VM sends in a day, against what it does. A part of exfil.c, which counts.
 */
#ifndef CORDON_MONITOR_EXPECT_H
#define CORDON_MONITOR_EXPECT_H

#include "monitor/finding.h"

enum { EXPECT_BITS = 16384 }; /* a power of two */

struct expect {
	uint64_t egress;       /* bytes a day; 0: nothing is said of it */
	uint32_t destinations; /* the same */
	uint64_t day;          /* number of it, UTC */
	uint64_t first_ns, last_ns, out;
	uint32_t met; /* destinations, of which these bits are hashes: */
	uint64_t seen[EXPECT_BITS / 64];
	struct flow_key key,
	        last[ALERT_FLOWS_MAX]; /* of who got most at once; of the last new ones */
	uint64_t most;
	struct finding volume, fan_out;
};

void expect_begin(struct expect *expect, const struct detector_config *config);
/* The guest sent so many bytes more in this flow. */
void expect_observe(struct expect *expect, const struct flow_record *record, uint64_t sent,
                    uint64_t now_ns, const struct detector_out *out);
void expect_tick(struct expect *expect, uint64_t now_ns, const struct detector_out *out);

void expect_save(const struct expect *expect, struct baseline_out *out);
bool expect_load(struct expect *expect, struct baseline_in *in, uint64_t now_ns);

#endif
