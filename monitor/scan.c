/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scan is many targets tried by one guest of which few answer. A target is (address, port,
 * protocol), and counts once, however often it is tried: what an ordinary client repeats is the same
 * few targets, what a scanner does not repeat is targets. Each target's result is
 *
 *   refused      the first answer was RST, or an ICMP error
 *   unanswered   none in SCAN_ANSWER_NS (TCP, ICMP, ARP; silence is ordinary in UDP and counts nothing)
 *   answered     anything else
 *
 * and is added to two groups: the host's (vertical: many ports of one host) and the port's
 * (horizontal: one port of many hosts). A group with enough failed targets, and at least
 * SCAN_FAILED_FOR_ONE_ANSWERED times as many as answered, is a finding. The rule by failed outcomes
 * follows Zeek's scan policy and Jung et al., "Fast Portscan Detection Using Sequential Hypothesis
 * Testing" (2004); the groups are bounded so that a flood costs evictions, not memory.
 *
 * Limits. Targets are remembered for SCAN_WINDOW_NS: a scan slower than threshold targets an hour (15:
 * one every 4 minutes) is not seen, nor one that finds more than a quarter of its targets open, nor
 * one spread over several VMs. More than SCAN_TRIES targets an hour push the oldest out, which a real
 * scan reaches only long after it was found.
 */
#include "monitor/scan.h"

#include "base/base.h"
#include "bpf/packet.h"

enum {
	SCAN_TRIES = 2048,   /* targets remembered; a power of two */
	SCAN_SLOTS = 4096,   /* hash slots for them */
	SCAN_GROUPS = 512,   /* of each kind; a power of two */
	SCAN_FAILED_FOR_ONE_ANSWERED = 3,
	SCAN_HIGH_AT = 100, /* failed targets that make a finding severe */
};
#define SCAN_SECOND_NS 1000000000ull
#define SCAN_ANSWER_NS (3 * SCAN_SECOND_NS)
#define SCAN_WINDOW_NS (3600 * SCAN_SECOND_NS)
#define SCAN_QUIET_NS  (60 * SCAN_SECOND_NS)

enum scan_result { SCAN_PENDING, SCAN_REFUSED, SCAN_UNANSWERED, SCAN_ANSWERED, SCAN_IGNORED, SCAN_RESULTS };

struct scan_try { /* the target is flow.peer, flow.peer_port, flow.proto */
	struct flow_key flow; /* the first flow to it */
	uint64_t first_ns;    /* 0: free */
	int32_t next;	      /* in its hash slot, or -1 */
	uint8_t result;	      /* enum scan_result */
};

enum scan_kind { SCAN_VERTICAL, SCAN_HORIZONTAL };

struct scan_group {
	uint8_t peer[16]; /* vertical */
	uint16_t port;	  /* horizontal */
	uint8_t proto, family;
	uint32_t count[SCAN_RESULTS];
	uint64_t first_ns, last_ns; /* of its failures; last_ns 0: the slot is free */
	uint32_t said;		    /* failures when the finding was last emitted; 0: no finding */
	uint32_t serial;
	struct flow_key flows[ALERT_FLOWS_MAX];
	uint8_t flow_count;
	uint8_t source[16];
};

struct scan {
	struct scan_config config;
	uint64_t seed;
	uint32_t serial;
	uint32_t head;	  /* the next try's index; the oldest is there when the table is full */
	uint32_t pending; /* index from which tries may still be pending */
	struct scan_try tries[SCAN_TRIES];
	int32_t slots[SCAN_SLOTS];
	struct scan_group groups[2][SCAN_GROUPS];
};

static uint64_t scan_mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x7fb5d329728ea185ull;
	x ^= x >> 27;
	x *= 0x81dadef4bc2dd44dull;
	return x ^ x >> 33;
}

static uint64_t scan_hash(const struct scan *scan, const uint8_t peer[16], uint32_t rest)
{
	return scan_mix(scan_mix(base_le64(peer) ^ scan->seed) + scan_mix(base_le64(peer + 8) + rest));
}

struct scan *scan_create(const struct scan_config *config)
{
	struct scan *scan = calloc(1, sizeof(*scan));

	if (!scan)
		return NULL;
	scan->config = *config;
	if (scan->config.ports == 0)
		scan->config.ports = SCAN_PORTS_DEFAULT;
	if (scan->config.hosts == 0)
		scan->config.hosts = SCAN_HOSTS_DEFAULT;
	/* Addresses of a heap that ASLR moves: enough that a guest cannot aim at one slot. */
	scan->seed = scan_mix((uint64_t)(uintptr_t)scan);
	memset(scan->slots, 0xff, sizeof(scan->slots));
	return scan;
}

void scan_destroy(struct scan *scan)
{
	free(scan);
}

/* --- groups --- */

static bool scan_group_is(const struct scan_group *group, enum scan_kind kind, const struct scan_try *t)
{
	if (group->proto != t->flow.proto || group->family != t->flow.family)
		return false;
	return kind == SCAN_VERTICAL ? memcmp(group->peer, t->flow.peer, 16) == 0 :
				       group->port == t->flow.peer_port;
}

/* What a group is worth keeping for: a finding, then failures, then being recent. */
static uint64_t scan_group_worth(const struct scan_group *group)
{
	uint64_t failed = group->count[SCAN_REFUSED] + group->count[SCAN_UNANSWERED];

	return (group->said ? 1ull << 62 : 0) | BASE_MIN(failed, 1023ull) << 50 | group->last_ns >> 14;
}

/* The try's group, or the slot of the least valuable of the eight it may be in. */
static struct scan_group *scan_group_find(struct scan *scan, enum scan_kind kind, const struct scan_try *t,
					  bool make)
{
	static const uint8_t any[16];
	uint32_t rest = (uint32_t)t->flow.proto << 8 | t->flow.family;
	uint64_t hash = scan_hash(scan, kind == SCAN_VERTICAL ? t->flow.peer : any,
				  rest | (kind == SCAN_HORIZONTAL ? (uint32_t)t->flow.peer_port << 16 : 0));
	struct scan_group *victim = NULL;

	for (uint32_t i = 0; i < 8; i++) {
		struct scan_group *group = &scan->groups[kind][(hash + i) & (SCAN_GROUPS - 1)];

		if (group->last_ns && scan_group_is(group, kind, t))
			return group;
		if (!victim || (victim->last_ns && (!group->last_ns ||
						    scan_group_worth(group) < scan_group_worth(victim))))
			victim = group;
	}
	if (!make)
		return NULL;
	memset(victim, 0, sizeof(*victim));
	victim->proto = t->flow.proto;
	victim->family = t->flow.family;
	if (kind == SCAN_VERTICAL)
		memcpy(victim->peer, t->flow.peer, 16);
	else
		victim->port = t->flow.peer_port;
	victim->first_ns = victim->last_ns = t->first_ns;
	victim->serial = ++scan->serial;
	return victim;
}

static uint32_t scan_failed(const struct scan_group *group)
{
	return group->count[SCAN_REFUSED] + group->count[SCAN_UNANSWERED];
}

/* --- alerts --- */

/* What has ports: what is found there are services; by ping or ARP, remote systems. */
static bool scan_has_ports(uint8_t proto, uint8_t family)
{
	return family != FLOW_ARP && (proto == PACKET_PROTO_TCP || proto == PACKET_PROTO_UDP ||
				      proto == PACKET_PROTO_SCTP);
}

/* 1994 -> "1,994" */
static const char *scan_number(char out[16], uint32_t n)
{
	if (n >= 1000000)
		snprintf(out, 16, "%u,%03u,%03u", n / 1000000, n / 1000 % 1000, n % 1000);
	else if (n >= 1000)
		snprintf(out, 16, "%u,%03u", n / 1000, n % 1000);
	else
		snprintf(out, 16, "%u", n);
	return out;
}

static void scan_sentence(struct alert *alert, enum scan_kind kind)
{
	char tried[16], refused[16], unanswered[16], target[46];
	uint64_t seconds = (alert->last_ns - alert->first_ns + SCAN_SECOND_NS - 1) / SCAN_SECOND_NS;
	char what[80];

	alert_address(target, alert->target, alert->family);
	if (kind == SCAN_VERTICAL)
		snprintf(what, sizeof(what), "%s ports of %s", scan_number(tried, alert->ports), target);
	else if (scan_has_ports(alert->proto, alert->family))
		snprintf(what, sizeof(what), "port %u of %s hosts", alert->port,
			 scan_number(tried, alert->hosts));
	else
		snprintf(what, sizeof(what), "%s hosts", scan_number(tried, alert->hosts));
	snprintf(alert->sentence, sizeof(alert->sentence), "tried %s in %llu s; %s refused, %s unanswered", what,
		 (unsigned long long)BASE_MAX(seconds, 1ull), scan_number(refused, alert->refused),
		 scan_number(unanswered, alert->unanswered));
}

static void scan_emit(struct scan_group *group, enum scan_kind kind, enum alert_stage stage,
		      scan_emit_fn emit, void *data)
{
	struct alert alert = { .stage = stage, .family = group->family, .proto = group->proto };
	uint32_t failed = scan_failed(group), tried = failed + group->count[SCAN_ANSWERED];
	bool services = scan_has_ports(group->proto, group->family);

	alert.severity = failed >= SCAN_HIGH_AT ? ALERT_HIGH : ALERT_MEDIUM;
	alert.confidence = group->count[SCAN_REFUSED] >= group->count[SCAN_UNANSWERED] ? 95 : 80;
	alert.rule = kind == SCAN_VERTICAL ? "scan.vertical" : services ? "scan.horizontal" : "scan.sweep";
	alert.technique = services ? "T1046" : "T1018";
	alert.technique_name = services ? "Network Service Discovery" : "Remote System Discovery";
	alert.tactic = "TA0007";
	alert.tactic_name = "Discovery";
	memcpy(alert.source, group->source, 16);
	memcpy(alert.target, group->peer, 16);
	alert.port = services ? group->port : 0;
	alert.ports = kind == SCAN_VERTICAL ? tried : 1;
	alert.hosts = kind == SCAN_VERTICAL ? 1 : tried;
	alert.failed = failed;
	alert.refused = group->count[SCAN_REFUSED];
	alert.unanswered = group->count[SCAN_UNANSWERED];
	alert.answered = group->count[SCAN_ANSWERED];
	alert.first_ns = group->first_ns;
	alert.last_ns = group->last_ns;
	memcpy(alert.flows, group->flows, sizeof(alert.flows));
	alert.flow_count = group->flow_count;
	/* The same for the same finding, live and from a pcap of it. */
	snprintf(alert.id, sizeof(alert.id), "%016llx-%08x",
		 (unsigned long long)scan_mix(group->first_ns ^ scan_mix(base_le64(group->peer) +
									 base_le64(group->peer + 8))),
		 (unsigned int)kind << 24 | (unsigned int)group->proto << 16 | group->port);
	scan_sentence(&alert, kind);
	group->said = stage == ALERT_END ? 0 : failed;
	emit(&alert, data);
}

static void scan_judge(struct scan *scan, struct scan_group *group, enum scan_kind kind, scan_emit_fn emit,
		       void *data)
{
	uint32_t failed = scan_failed(group);
	uint32_t enough = kind == SCAN_VERTICAL ? scan->config.ports : scan->config.hosts;

	if (group->said) {
		if (failed >= 2 * group->said)
			scan_emit(group, kind, ALERT_UPDATE, emit, data);
		return;
	}
	if (failed >= enough && failed >= SCAN_FAILED_FOR_ONE_ANSWERED * group->count[SCAN_ANSWERED])
		scan_emit(group, kind, ALERT_NEW, emit, data);
}

/* --- tries --- */

/* Moves the try from its old result to the new one, in both groups. */
static void scan_settle(struct scan *scan, struct scan_try *t, enum scan_result result, uint64_t now,
			scan_emit_fn emit, void *data)
{
	bool failed = result == SCAN_REFUSED || result == SCAN_UNANSWERED;
	enum scan_result before = t->result;

	t->result = (uint8_t)result;
	for (int kind = SCAN_VERTICAL; kind <= SCAN_HORIZONTAL; kind++) {
		struct scan_group *group;

		/* without ports, a host is no group of targets */
		if (kind == SCAN_VERTICAL && !scan_has_ports(t->flow.proto, t->flow.family))
			continue;
		group = scan_group_find(scan, kind, t, failed || result == SCAN_ANSWERED);
		if (!group)
			continue;
		if (group->count[before] > 0)
			group->count[before]--;
		group->count[result]++;
		if (!failed)
			continue;
		group->first_ns = BASE_MIN(group->first_ns, t->first_ns);
		group->last_ns = BASE_MAX(group->last_ns, now);
		memcpy(group->source, t->flow.guest, 16);
		if (group->flow_count < ALERT_FLOWS_MAX)
			group->flows[group->flow_count++] = t->flow;
		scan_judge(scan, group, kind, emit, data);
	}
}

static int32_t *scan_slot(struct scan *scan, const struct scan_try *t)
{
	const struct flow_key *flow = &t->flow;
	uint32_t rest = (uint32_t)flow->peer_port << 16 | (uint32_t)flow->proto << 8 | flow->family;

	return &scan->slots[scan_hash(scan, flow->peer, rest) & (SCAN_SLOTS - 1)];
}

static struct scan_try *scan_try_find(struct scan *scan, const struct scan_try *key)
{
	for (int32_t i = *scan_slot(scan, key); i >= 0; i = scan->tries[i].next) {
		struct scan_try *t = &scan->tries[i];

		if (t->flow.peer_port == key->flow.peer_port && t->flow.proto == key->flow.proto &&
		    t->flow.family == key->flow.family && memcmp(t->flow.peer, key->flow.peer, 16) == 0)
			return t;
	}
	return NULL;
}

/* Takes the try out of its groups and its slot; the groups' findings stay until they are quiet. */
static void scan_try_drop(struct scan *scan, struct scan_try *t)
{
	int32_t index = (int32_t)(t - scan->tries);
	int32_t *link = scan_slot(scan, t);

	for (int kind = SCAN_VERTICAL; kind <= SCAN_HORIZONTAL; kind++) {
		struct scan_group *group = scan_group_find(scan, kind, t, false);

		if (group && !group->said && group->count[t->result] > 0)
			group->count[t->result]--;
	}
	while (*link >= 0 && *link != index)
		link = &scan->tries[*link].next;
	if (*link == index)
		*link = t->next;
	t->first_ns = 0;
}

static struct scan_try *scan_try_add(struct scan *scan, const struct scan_try *key)
{
	struct scan_try *t = &scan->tries[scan->head];
	int32_t *slot;

	if (t->first_ns)
		scan_try_drop(scan, t);
	*t = *key;
	slot = scan_slot(scan, t);
	t->next = *slot;
	*slot = (int32_t)scan->head;
	scan->head = (scan->head + 1) & (SCAN_TRIES - 1);
	if (scan->pending == scan->head)
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	return t;
}

static enum scan_result scan_result_of(uint8_t outcome)
{
	switch (outcome) {
	case FLOW_OUTCOME_NONE: return SCAN_PENDING;
	case FLOW_OUTCOME_UNREACHABLE:
	case FLOW_OUTCOME_RESET: return SCAN_REFUSED;
	default: return SCAN_ANSWERED;
	}
}

/* Broadcast and multicast are asked of everybody and answered, if at all, from another address. */
static bool scan_is_multicast(const struct flow_key *flow)
{
	return flow->family == FLOW_IPV6 ? flow->peer[0] == 0xff : flow->peer[0] >= 0xe0;
}

void scan_observe(struct scan *scan, const struct flow_event *event, scan_emit_fn emit, void *data)
{
	const struct flow_record *record = &event->record;
	struct scan_try key = { .flow = record->key, .first_ns = event->header.time_ns, .next = -1 };
	enum scan_result result = scan_result_of(record->outcome);
	struct scan_try *t;

	if (event->header.type != FLOW_EVENT_NEW && event->header.type != FLOW_EVENT_OUTCOME)
		return;
	/* what somebody else opened, and answers to what was never asked (backscatter), are no tries */
	if (record->flags & (FLOW_FLAG_PEER_OPENED | FLOW_FLAG_BACKSCATTER) ||
	    scan_is_multicast(&record->key) || key.first_ns == 0)
		return;
	t = scan_try_find(scan, &key);
	if (!t)
		t = scan_try_add(scan, &key);
	/* One answer is enough for a target: a service that was restarting is not scanned. */
	if (result == SCAN_PENDING || t->result == SCAN_ANSWERED || t->result == result)
		return;
	scan_settle(scan, t, result, event->header.time_ns, emit, data);
}

static void scan_end_quiet(struct scan *scan, uint64_t now_ns, scan_emit_fn emit, void *data)
{
	for (int kind = SCAN_VERTICAL; kind <= SCAN_HORIZONTAL; kind++)
		for (size_t i = 0; i < SCAN_GROUPS; i++) {
			struct scan_group *group = &scan->groups[kind][i];

			if (!group->last_ns || now_ns < group->last_ns + SCAN_QUIET_NS)
				continue;
			if (group->said) {
				scan_emit(group, kind, ALERT_END, emit, data);
				memset(group, 0, sizeof(*group));
			} else if (now_ns > group->last_ns + SCAN_WINDOW_NS) {
				memset(group, 0, sizeof(*group));
			}
		}
}

void scan_tick(struct scan *scan, uint64_t now_ns, scan_emit_fn emit, void *data)
{
	/* Tries are in the order of their times, so both walks stop at the first that is too young. */
	while (scan->pending != scan->head) {
		struct scan_try *t = &scan->tries[scan->pending];

		if (t->first_ns && now_ns < t->first_ns + SCAN_ANSWER_NS)
			break;
		if (t->first_ns && t->result == SCAN_PENDING)
			scan_settle(scan, t,
				    t->flow.proto == PACKET_PROTO_UDP ? SCAN_IGNORED : SCAN_UNANSWERED,
				    t->first_ns, emit, data);
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	}
	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		struct scan_try *t = &scan->tries[(scan->head + i) & (SCAN_TRIES - 1)];

		if (!t->first_ns)
			continue;
		if (now_ns < t->first_ns + SCAN_WINDOW_NS)
			break;
		scan_try_drop(scan, t);
	}
	scan_end_quiet(scan, now_ns, emit, data);
}
