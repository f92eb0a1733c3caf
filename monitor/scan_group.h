/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan_group: the scan detector's inner parts, for scan.c and scan_group.c only.
 *
 * A try is one target of the guest's; a group is what tries have in common (a host, a port, a host
 * probed by stealth), counts their results, and becomes a finding when enough have failed.
 */
#ifndef CORDON_MONITOR_SCAN_GROUP_H
#define CORDON_MONITOR_SCAN_GROUP_H

#include "monitor/finding.h"
#include "monitor/scan.h"

enum {
	SCAN_TRIES = 2048, /* targets remembered; a power of two */
	SCAN_SLOTS = 4096, /* hash slots for them */
	SCAN_GROUPS = 256, /* of each kind; a power of two */
	SCAN_FAILED_FOR_ONE_ANSWERED = 3,
	SCAN_MANY_WAIT = 30,   /* tries without an answer at a time that make it wait less, */
	SCAN_FLOOD_WAIT = 100, /* and so many still less */
	SCAN_BURST_AT =
	        15,       /* the same, where all are of one host, or of a port that is looked for */
	SCAN_BURSTS = 64, /* a power of two */
	SCAN_EARLY = 5,   /* failed targets, and none answered, that are worth a low alert */
	SCAN_STEALTH_AT = 3, /* packets that no connection begins with */
	SCAN_HIGH_AT = 100,  /* failed targets that make a finding severe */
	SCAN_LIVELY =
	        128, /* hosts asked for by ping and the like, of which most answer: low below it */
	SCAN_BANNER_MAX = 256,
	SCAN_SILENT_AT = 30, /* silent UDP targets, which say less; of many hosts at a high port: */
	SCAN_SILENT_HIGH_PORT_AT = 50,
	SCAN_SILENT_FOR_ONE_ANSWERED = 9,
	SCAN_BLOCK_AT = 30,   /* failed targets in one network, */
	SCAN_BLOCK_SIDES = 4, /* of at least so many hosts and so many ports */
	SCAN_DAY_WORDS =
	        2, /* a group's memory of a day: so many words of bits, by hash of the target */
};
#define SCAN_SECOND_NS 1000000000ull
#define SCAN_ANSWER_NS (3 * SCAN_SECOND_NS)
#define SCAN_HURRY_NS  (SCAN_SECOND_NS * 8 / 10)
#define SCAN_FLOOD_NS  (SCAN_SECOND_NS * 5 / 10)
#define SCAN_LINK_NS   (SCAN_SECOND_NS * 3 / 10)
/* A burst goes on in it: a scanner that hears nothing sends some, waits for them, and sends the next. */
#define SCAN_BURST_NS  (4 * SCAN_SECOND_NS)
#define SCAN_WINDOW_NS (3600 * SCAN_SECOND_NS)
#define SCAN_EARLY_NS \
	(10 * SCAN_SECOND_NS) /* the rest, of a scan that is only beginning, may come */
#define SCAN_DENSE_NS     (300 * SCAN_SECOND_NS)
#define SCAN_DENSE_TCP_NS (10 * SCAN_SECOND_NS)
#define SCAN_QUIET_NS     (60 * SCAN_SECOND_NS)
#define SCAN_HALF_DAY_NS  (12 * 3600 * SCAN_SECOND_NS)

enum scan_result {
	SCAN_PENDING,
	SCAN_REFUSED,
	SCAN_UNANSWERED,
	SCAN_HALF_OPEN, /* SYN/ACK came, and the guest did not go on */
	SCAN_ANSWERED,
	SCAN_EMPTY,   /* answered, and ended without a byte from the guest */
	SCAN_SILENT,  /* UDP, unanswered, which says little */
	SCAN_IGNORED, /* nothing can be said */
	SCAN_RESULTS,
};

enum scan_kind { SCAN_VERTICAL, SCAN_HORIZONTAL, SCAN_STEALTH, SCAN_BLOCK, SCAN_KINDS };

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
	uint8_t peer[16]; /* vertical, stealth; of a block, its network */
	uint16_t port;    /* horizontal */
	uint8_t proto, family;
	uint32_t serial; /* 0: the slot is free */
	uint32_t count[SCAN_RESULTS];
	uint64_t first_ns, last_ns; /* of its failures */
	/* By halves of days, this one and the one before, as tries are forgotten sooner: */
	uint32_t half_day;
	uint64_t day_first_ns[2];
	uint64_t day_failed[2][SCAN_DAY_WORDS], day_answered[2][SCAN_DAY_WORDS];
	uint64_t hosts, ports; /* block: bits by hash */
	uint64_t id;           /* of the finding, made with it */
	uint32_t said;         /* failures when the finding was last emitted; 0: no finding */
	uint8_t severity;      /* enum alert_severity it was last emitted with */
	uint8_t flow_count;
	bool dense;  /* pings of neighbouring addresses and the like: a sweep, whoever answers */
	bool silent; /* UDP: what nobody answers counts too */
	struct flow_key flows[ALERT_FLOWS_MAX];
	uint8_t source[16];
};

/* What has lately been tried of one host, or of one port, and was not answered; another one in its place takes it. */
struct scan_burst {
	uint64_t tag;
	uint64_t last_ns;
	uint32_t count;
};

/* What is looked at of groups that are not the one: apart from them, so that it's a few cache lines. */
struct scan_places {
	uint32_t tags[SCAN_GROUPS];   /* of the hash that the group is found by; 0: free */
	uint64_t worths[SCAN_GROUPS]; /* the least is the first to go; 0: free */
	uint64_t due_ns[SCAN_GROUPS]; /* when the group has to be looked at next */
};

enum { SCAN_PROTOCOL_HOSTS = 8, SCAN_VERSION_PORTS = 32 };

/* What is no group of tries (scan_rest.c): protocols of a host, programs behind a port, and targets that have
 * nothing in common. */
struct scan_rest {
	struct scan_protocols {
		struct flow_key flow;
		uint64_t bits[4]; /* protocols tried */
		uint64_t first_ns, last_ns;
		struct finding finding;
	} hosts[SCAN_PROTOCOL_HOSTS];
	struct scan_versions {
		struct flow_key flow;
		uint32_t heads; /* bits: how what the guest sends begins */
		uint64_t first_ns, last_ns;
		struct finding finding;
	} services[SCAN_VERSION_PORTS];
	struct scan_together {
		struct flow_key flow;
		uint32_t targets, guests;
		bool hosts; /* on one port; else ports of one host */
		uint64_t first_ns, last_ns;
		struct finding finding;
	} together;
	uint64_t spread_ns; /* when the current ten seconds began */
	uint32_t targets, answered;
	bool told; /* another finding has said something meanwhile */
	uint32_t last_targets;
	struct flow_key flow;
	uint64_t first_ns, last_ns;
	struct finding spread;
	struct scan_futile {
		struct flow_key flow;           /* the last */
		uint64_t bits[2], hosts, ports; /* targets, and what they are made of, by hash */
		uint64_t first_ns, last_ns;
		bool told; /* another finding has */
		struct finding finding;
	} futile;
	uint64_t answered_ns; /* the last target by TCP that answered */
};

struct scan {
	struct scan_config config;
	struct scan_rest rest;
	uint64_t seed;
	uint32_t serial;
	uint32_t head;     /* the next try's index; the oldest is there when the table is full */
	uint32_t tail;     /* the oldest try's index */
	uint32_t pending;  /* index from which tries may still be pending */
	uint32_t waiting;  /* how many are */
	uint64_t hurry_ns; /* tries up to this were among many that waited at once, */
	uint64_t flood_ns; /* and up to this among very many */
	struct scan_burst bursts[2][SCAN_BURSTS]; /* of ports, and of hosts */
	uint64_t check_ns; /* before this, no group has to be looked at for its time */
	struct scan_try tries[SCAN_TRIES];
	int32_t slots[SCAN_SLOTS];
	struct scan_places places[SCAN_KINDS];
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

uint32_t scan_group_failed(const struct scan_group *group, enum scan_kind kind);

/* A target of the group has failed or was answered: what it keeps for a day. */
void scan_group_remember(struct scan_work *work, struct scan_group *group, const struct scan_try *t,
                         bool failed);

/* Pings, of which also those that are answered tell something. */
bool scan_is_ping(const struct scan_try *t);

/* Asks who has an address in the guest's own network. */
bool scan_is_neighbour(const struct scan_try *t);

/* ... and other ways to ask who is there. */
bool scan_is_sweep(const struct scan_try *t);

/* After the group has got this try's failure (or a ping's answer): a new finding, an update, or nothing yet. */
void scan_group_judge(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                      const struct scan_try *t);

/* The size of what was found: of the last hour, or what is left of a day. */
uint32_t scan_group_evidence(const struct scan_group *group, enum scan_kind kind);

enum alert_severity scan_group_severity(struct scan_work *work, const struct scan_group *group,
                                        enum scan_kind kind);

/* Says it (scan_alert.c). */
void scan_group_emit(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                     enum alert_stage stage);

/* The group has changed; this has to be called before any other is looked for. */
void scan_group_note(struct scan_work *work, const struct scan_group *group, enum scan_kind kind);

/* The group has changed: its time comes not before this. */
void scan_group_touch(struct scan_work *work, const struct scan_group *group);

/* Small findings, and the ends of those that are quiet. */
void scan_groups_tick(struct scan_work *work);

/* --- scan_rest.c --- */

/* A new target; an answer from one. */
void scan_rest_try(struct scan_work *work, const struct scan_try *t);
void scan_rest_answer(struct scan_work *work);
/* A target has failed, or was answered: what other guests tried of it counts with this. */
void scan_rest_together(struct scan_work *work, const struct scan_try *t, bool failed);
/* A target has a result. */
void scan_rest_result(struct scan_work *work, const struct scan_try *t, bool failed);
/* A connection has ended. */
void scan_rest_end(struct scan_work *work, const struct flow_record *record);
void scan_rest_tick(struct scan_work *work);

/* Protocols with ports: what is found there are services; by ping or ARP, remote systems. */
bool scan_has_ports(uint8_t proto, uint8_t family);

#endif
