/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * detector: what every detector is, and the set of them that each VM has. A detector is pure: it is given
 * events with their own times and gives alerts, so the same code runs live, over a capture, and in a test.
 * It has no clock, reads no file, and its memory is bounded by `memory`, whatever the guest does.
 *
 * Severity and confidence mean the same in all of them:
 *
 *   low       21  odd, or too little of it to say: for context beside other alerts. Ordinary guests do such
 *                 things now and then, so nobody should be called for it alone.
 *   medium    47  the shape of an attack technique, with enough of it that an ordinary guest does not get
 *                 there: each detector's first comment says why its numbers are what they are.
 *   high      73  the same, and so much of it that chance is excluded, or a second sign beside the first.
 *   critical  99  it seems to have succeeded, or the other end is on a list of known bad ones.
 *
 *   Confidence, in percent, is how sure the detector is that it is this technique, whatever the damage:
 *   40 where benign programs are known to look the same, 60 to 80 by one sign, from 90 by two or more.
 */
#ifndef CORDON_MONITOR_DETECTOR_H
#define CORDON_MONITOR_DETECTOR_H

#include "monitor/alert.h"
#include "monitor/arena.h"
#include "monitor/baseline.h"
#include "monitor/world.h"

/* Called for each alert; what it points at is valid until it returns. */
typedef void detector_emit_fn(const struct alert *alert, void *data);

struct detector_out {
	detector_emit_fn *emit;
	void *data;
};

struct intel_set;

struct detector_config { /* zero is the default of each */
	uint32_t off;    /* bit 1 << enum detector_id: not watched for */
	uint32_t scan_ports, scan_hosts;
	uint64_t expect_egress;        /* bytes a day */
	uint32_t expect_destinations;  /* a day */
	struct detector_world *world;  /* all VMs'; stays the caller's, and may be NULL */
	struct world_guest guest;      /* who it is in there; .vm 0: whose address a flow has */
	const struct intel_set *intel; /* the same; what it points at may change between events */
	struct arena *arena; /* what memory is taken from; stays the caller's. NULL: the heap */
	uint64_t seed;       /* of hashes that guests must not know; 0: a detector finds its own */
};

#define DETECTOR_SECOND_NS 1000000000ull
#define DETECTOR_MINUTE_NS (60 * DETECTOR_SECOND_NS)
#define DETECTOR_HOUR_NS   (60 * DETECTOR_MINUTE_NS)
#define DETECTOR_DAY_NS    (24 * DETECTOR_HOUR_NS)
/* The time of the last tick: everything ends. */
#define DETECTOR_END (UINT64_MAX / 2)

struct detector_ops {
	const char *name; /* its key in a policy's `monitor` */
	size_t policy;    /* offset of its struct policy_detector in struct policy_monitor */
	size_t memory;    /* bytes of one VM's, at most; taken at the first event it wants */
	unsigned int
	        types; /* events it wants: bits 1 << enum flow_event_type; 0: it has no calls */
	bool always; /* also where the policy has switched it off: another one's work is done here */
	/* May be NULL: every event of these types. Says so without knowing anything else. */
	bool (*wants)(const struct flow_event_header *event);
	void *(*create)(const struct detector_config *config); /* NULL when memory is short */
	void (*destroy)(void *self);
	/* Times are Unix ns, and don't go back by much. The event is whole: its size fits its type. */
	void (*observe)(void *self, const struct flow_event_header *event,
	                const struct detector_out *out);
	/* Time passes: what is quiet ends. Not more often than each period_ns (0: as often as somebody asks, about
	 * once a second), and at the end with DETECTOR_END. */
	uint64_t period_ns;
	void (*tick)(void *self, uint64_t now_ns, const struct detector_out *out);
	/* May be NULL: when it has something to say that is not to wait for the next tick; UINT64_MAX: it has not. */
	uint64_t (*due)(const void *self);
	/* What it has learnt, for baseline.h; NULL: nothing that is worth to be kept. `load` is called before the first
	 * event, and false when what it reads makes no sense. */
	void (*save)(const void *self, struct baseline_out *out);
	bool (*load)(void *self, struct baseline_in *in, uint64_t now_ns);
	uint32_t state_version;
};

extern const struct detector_ops *const detector_table[DETECTORS];

/* Which of a policy's detectors this one goes by. */
const struct policy_detector *detector_policy(const struct policy_monitor *policy,
                                              enum detector_id id);
void detector_config_of(const struct policy_monitor *policy, struct detector_config *config);

/* --- all detectors of one VM --- */

struct detectors;

/* NULL when memory is short. */
struct detectors *detectors_create(const struct detector_config *config);
void detectors_destroy(struct detectors *all);
/* Bytes that those of one VM use at most. */
size_t detectors_memory(void);
/* `event` as it came: events of unknown types or of a size that does not fit are left out. */
void detectors_observe(struct detectors *all, const struct flow_event_header *event,
                       const struct detector_out *out);
void detectors_tick(struct detectors *all, uint64_t now_ns, const struct detector_out *out);
/* When a tick is wanted before the next second's, or UINT64_MAX. For who has a clock: over a capture its packets are it. */
uint64_t detectors_due(const struct detectors *all);

/* The one of this id, or NULL where it has had no event. For who keeps what it has learnt, as the next. */
const void *detectors_one(const struct detectors *all, int id);
/* The same, made if need be; NULL when it is off or memory is short. */
void *detectors_make(struct detectors *all, int id);

/* --- for detectors --- */

/* `size` zero bytes for a detector, or NULL. detectors_destroy() gives them back to where they are from. */
void *detector_take(const struct detector_config *config, size_t size);
/* 64 well-mixed bits of x. */
uint64_t detector_mix(uint64_t x);
uint64_t detector_hash_address(const uint8_t address[16]);

#endif
