/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * known: where a VM has sent anything before, and since when: by the first 16 bits of an IPv4 address and the first
 * 32 of an IPv6 one, which is about what one operator announces, so that a service that moves among its own
 * addresses stays known. Of fixed size; the prefix that was quiet for longest makes room. Pure.
 */
#ifndef CORDON_MONITOR_KNOWN_H
#define CORDON_MONITOR_KNOWN_H

#include "monitor/baseline.h"

enum { KNOWN_PLACES = 512, KNOWN_DAYS = 7 }; /* a power of two; days that new ones are counted of */

struct known_one {
	uint32_t tag;         /* of the prefix; 0: free */
	uint32_t first, last; /* Unix minutes */
};

struct known {
	uint32_t since;             /* Unix minute of the first of all */
	uint32_t day;               /* Unix day of the last one */
	uint16_t fresh[KNOWN_DAYS]; /* new ones of each day, by day modulo their number */
	struct known_one all[KNOWN_PLACES];
};

/* It was sent something now. Returns the minutes since it was first: 0 when this is the first time. */
uint32_t known_seen(struct known *known, const uint8_t address[16], uint8_t family,
                    uint64_t now_ns);
/* Minutes since anything was seen first. */
uint32_t known_age(const struct known *known, uint64_t now_ns);
/* How many were new in the last week, with today's. */
uint32_t known_fresh(const struct known *known, uint64_t now_ns);

void known_save(const struct known *known, struct baseline_out *out);
/* False when it makes no sense. */
bool known_load(struct known *known, struct baseline_in *in, uint64_t now_ns);

#endif
