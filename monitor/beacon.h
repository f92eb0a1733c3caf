/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * beacon: what is remembered of each correspondent. beacon.c judges it, beacon_keep.c keeps it over a restart.
 */
#ifndef CORDON_MONITOR_BEACON_H
#define CORDON_MONITOR_BEACON_H

#include "monitor/finding.h"
#include "monitor/sample.h"
#include "monitor/tls.h"

enum {
	BEACON_PEERS = 256, /* a power of two */
	BEACON_PLACES = 8,
	BEACON_COUNT_WORTH = 63,
	BEACON_RING = SAMPLE_MAX,
	BEACON_LOW_AT = 12,
	BEACON_AT = 20,
	BEACON_HURRY_AT = 150,
	BEACON_HURRY_MS = 10000,
	BEACON_JITTER_MS = 5000,
	BEACON_HELLO_AT = 8, /* check-ins after which it is worth to know who asks for what */
	BEACON_SIZES = 16,
	BEACON_OFTEN =
	        1024, /* connections after which who calls is told of also where they are not apart */
	BEACON_STROBE = 86400, /* connections in a day */
	BEACON_KEPT =
	        32, /* over a restart, with their intervals, of those that came back so often: */
	BEACON_KEPT_AT = 3,
	BEACON_LOW_MAX = 4, /* at a time: a guest with more of them is a monitor */
};
#define BEACON_SAME_NS  DETECTOR_SECOND_NS
#define BEACON_SPAN_NS  (3 * DETECTOR_MINUTE_NS)
#define BEACON_STALE_NS (2 * DETECTOR_DAY_NS)
/* A correspondent is new to a VM that is known for so long, and for so long after it was met. */
#define BEACON_NEW_AFTER_NS (3 * DETECTOR_DAY_NS)
#define BEACON_NEW_NS       DETECTOR_DAY_NS

struct beacon_peer {
	struct flow_key key; /* of the first flow */
	uint64_t first_ns, last_ns;
	uint64_t check_in_ns; /* when the last one began */
	uint32_t count, size_count, connections;
	struct finding finding;
	uint64_t day_ns; /* when the day began in which there were so many: */
	uint32_t day_connections;
	struct finding strobe;
	char name[64];         /* that the guest asked TLS for, "" if it did not or it is longer */
	char ja4[TLS_JA4_MAX]; /* of the program that did */
	/* of these as many are filled as the counts say: */
	uint32_t intervals[BEACON_RING]; /* ms */
	uint32_t sizes[BEACON_RING];     /* bytes both ways, of connections that have ended */
	struct flow_key flows[ALERT_FLOWS_MAX];
};

/* What is looked at of peers that are not the one: apart from them, so that it's a few cache lines. */
struct beacon_place {
	uint64_t last_ns;
	uint32_t tag;   /* of the hash that the peer is found by; 0: free */
	uint16_t count; /* up to BEACON_COUNT_WORTH */
	bool found;
};

struct beacon {
	struct detector_world *world;
	struct world_guest guest; /* the VM; .vm 0: known by its addresses only */
	uint64_t since_ns;        /* when the VM called anybody first, as far as is known */
	uint32_t low;             /* findings of low severity that have not ended */
	bool found;               /* there was one of any severity */
	struct beacon_place places[BEACON_PEERS];
	struct beacon_peer peers[BEACON_PEERS];
};

/* The place of a correspondent; where there is none, of one that is worth least, if it is to be made, or NULL. */
struct beacon_peer *beacon_find(struct beacon *beacon, const struct flow_key *key, uint64_t now,
                                bool make, const struct detector_out *out);
/* The peer has changed. */
void beacon_note(struct beacon *beacon, const struct beacon_peer *peer);

/* Tells the world of a correspondent that the VM calls again and again. */
void beacon_tell(struct beacon *beacon, const struct beacon_peer *peer);

/* --- beacon_keep.c --- */

void beacon_save(const void *self, struct baseline_out *out);
bool beacon_load(void *self, struct baseline_in *in, uint64_t now_ns);

#endif
