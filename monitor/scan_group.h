/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan_group: the scan detector's inner parts, for scan.c and scan_group.c only.
 *
 * A try is one target of the guest's; a group is what tries have in common (a host, a port, a host
 * probed by stealth), counts their results, and becomes a finding when enough have failed.
 */
#ifndef CORDON_MONITOR_SCAN_GROUP_H
#define CORDON_MONITOR_SCAN_GROUP_H

#include "monitor/scan.h"

enum {
	SCAN_TRIES = 2048, /* targets remembered; a power of two */
	SCAN_SLOTS = 4096, /* hash slots for them */
	SCAN_GROUPS = 512, /* of each kind; a power of two */
	SCAN_FAILED_FOR_ONE_ANSWERED = 3,
	SCAN_EARLY = 5,      /* failed targets, and none answered, that are worth a low alert */
	SCAN_STEALTH_AT = 3, /* packets that no connection begins with */
	SCAN_HIGH_AT = 100,  /* failed targets that make a finding severe */
};
#define SCAN_SECOND_NS 1000000000ull
#define SCAN_ANSWER_NS (3 * SCAN_SECOND_NS)
#define SCAN_WINDOW_NS (3600 * SCAN_SECOND_NS)
#define SCAN_EARLY_NS \
	(10 * SCAN_SECOND_NS) /* the rest, of a scan that is only beginning, may come */
#define SCAN_DENSE_NS (300 * SCAN_SECOND_NS)
#define SCAN_QUIET_NS (60 * SCAN_SECOND_NS)

enum scan_result {
	SCAN_PENDING,
	SCAN_REFUSED,
	SCAN_UNANSWERED,
	SCAN_HALF_OPEN, /* SYN/ACK came, and the guest did not go on */
	SCAN_ANSWERED,
	SCAN_IGNORED, /* silence in UDP says nothing */
	SCAN_RESULTS,
};

enum scan_kind { SCAN_VERTICAL, SCAN_HORIZONTAL, SCAN_STEALTH, SCAN_KINDS };

/* How a target is tried: with packets that begin a connection or not. */
enum scan_probe {
	SCAN_PROBE_ORDINARY = 0,
	SCAN_PROBE_ACK = 1, /* TCP, ACK alone: a probe, or a connection older than the flow table */
	SCAN_PROBE_STEALTH =
	        128, /* plus the TCP flags: without SYN, ACK and RST, or SYN with FIN */
};

struct scan_try {                   /* the target is flow.peer, flow.peer_port, flow.proto, probe */
	struct flow_key flow;       /* the first flow to it */
	uint64_t first_ns;          /* 0: free */
	int32_t next;               /* in its hash slot, or -1 */
	uint8_t result;             /* enum scan_result */
	uint8_t probe;              /* enum scan_probe */
	bool half;                  /* SYN/ACK has come */
	uint32_t group[SCAN_KINDS]; /* serial of the group that counts it; 0: none */
};

struct scan_group {
	uint8_t peer[16]; /* vertical, stealth */
	uint16_t port;    /* horizontal */
	uint8_t proto, family;
	uint32_t serial; /* 0: the slot is free */
	uint32_t count[SCAN_RESULTS];
	uint64_t first_ns, last_ns; /* of its failures */
	uint64_t id;                /* of the finding, made with it */
	uint32_t said;              /* failures when the finding was last emitted; 0: no finding */
	uint8_t severity;           /* enum alert_severity it was last emitted with */
	uint8_t flow_count;
	bool dense; /* pings of neighbouring addresses: a sweep, whoever answers */
	struct flow_key flows[ALERT_FLOWS_MAX];
	uint8_t source[16];
};

struct scan {
	struct scan_config config;
	uint64_t seed;
	uint32_t serial;
	uint32_t head;     /* the next try's index; the oldest is there when the table is full */
	uint32_t tail;     /* the oldest try's index */
	uint32_t pending;  /* index from which tries may still be pending */
	uint64_t check_ns; /* before this, no group has to be looked at for its time */
	struct scan_try tries[SCAN_TRIES];
	int32_t slots[SCAN_SLOTS];
	struct scan_group groups[SCAN_KINDS][SCAN_GROUPS];
};

/* The detector and where its alerts go, while one event or tick is worked on. */
struct scan_work {
	struct scan *scan;
	uint64_t now_ns;
	detector_emit_fn *emit;
	void *data;
};

uint64_t scan_hash(const struct scan *scan, const uint8_t peer[16], uint32_t rest);

/* The group of this kind that the try belongs to. When there is none: NULL, or with `make` a new one, for
 * which the least valuable of those that share its place is ended. */
struct scan_group *scan_group_find(struct scan_work *work, enum scan_kind kind,
                                   const struct scan_try *t, bool make);

uint32_t scan_group_failed(const struct scan_group *group);

/* Pings, of which also those that are answered tell something. */
bool scan_is_ping(const struct scan_try *t);

/* After the group has got this try's failure (or a ping's answer): a new finding, an update, or nothing yet. */
void scan_group_judge(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                      const struct scan_try *t);

/* The group has changed: its time comes not before this. */
void scan_group_touch(struct scan_work *work, const struct scan_group *group);

/* Small findings, and the ends of those that are quiet. */
void scan_groups_tick(struct scan_work *work);

/* Protocols with ports: what is found there are services; by ping or ARP, remote systems. */
bool scan_has_ports(uint8_t proto, uint8_t family);

#endif
