/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scan is many targets tried by one guest of which few answer. A target is (address, port,
 * protocol), and counts once, however often it is tried: what an ordinary client repeats is the same
 * few targets, what a scanner does not repeat is targets. Each target's result is
 *
 *   refused      the first answer was RST, or an ICMP error
 *   unanswered   none in SCAN_ANSWER_NS (TCP, ICMP, ARP; silence is ordinary in UDP and counts nothing)
 *   half open    SYN/ACK, and the guest did not complete the handshake in that time
 *   answered     anything else
 *
 * of which the first three have failed. It is added to its groups:
 *
 *   vertical     ports of one host; also by ACK alone, where RST is the one answer that counts
 *   horizontal   one port of many hosts; hosts asked for by ping, ARP or neighbour discovery (a
 *                sweep), where pings of neighbouring addresses count also when they are answered
 *   stealth      of one host: TCP packets that begin no connection (RFC 9293, 3.10.7: NULL, FIN, Xmas,
 *                SYN+FIN), where each is a reason by itself
 *
 * A group with enough failed targets, and at least SCAN_FAILED_FOR_ONE_ANSWERED times as many as
 * answered, is a finding. The rule by failed outcomes follows Zeek's scan policy and Jung et al., "Fast
 * Portscan Detection Using Sequential Hypothesis Testing" (2004), after which a few failures without one
 * success are worth a first look: SCAN_EARLY of them are an alert of low severity, which becomes medium
 * when enough follow. The tables are of fixed size, so a flood costs evictions, not memory.
 *
 * Limits. Targets are remembered for SCAN_WINDOW_NS: 15 targets an hour (one every 4 minutes) are found
 * as medium, 5 an hour (one every 12) as low, slower ones not at all. Not seen: a scan that completes its
 * connections and finds more than a quarter open; UDP where closed ports are silent; one spread over
 * several VMs, or over so many ports and hosts that no host and no port gathers enough; ACK probes that a
 * firewall swallows. More than SCAN_TRIES targets an hour push the oldest out, which a real scan reaches
 * long after it was found. A scan of one high port by a guest that also talks to many peers on ports of
 * their own is taken for peer-to-peer, and is an alert of low severity only. A guest that is denied all
 * its egress looks like one that scans what it wants to reach.
 */
#include "monitor/scan_group.h"

#include "base/base.h"
#include "bpf/packet.h"

uint64_t scan_hash(const struct scan *scan, const uint8_t peer[16], uint32_t rest)
{
	return detector_mix(detector_mix(base_le64(peer) ^ scan->seed) +
	                    detector_mix(base_le64(peer + 8) + rest));
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
	scan->seed = detector_mix((uint64_t)(uintptr_t)scan);
	memset(scan->slots, 0xff, sizeof(scan->slots));
	return scan;
}

void scan_destroy(struct scan *scan)
{
	free(scan);
}

/* --- results --- */

static bool scan_in_kind(const struct scan_try *t, enum scan_kind kind)
{
	switch (kind) {
	case SCAN_VERTICAL:
		return scan_has_ports(t->flow.proto, t->flow.family) &&
		       t->probe < SCAN_PROBE_STEALTH;
	case SCAN_HORIZONTAL: return t->probe == SCAN_PROBE_ORDINARY;
	default: return t->probe >= SCAN_PROBE_STEALTH;
	}
}

static bool scan_is_failure(enum scan_result result)
{
	return result == SCAN_REFUSED || result == SCAN_UNANSWERED || result == SCAN_HALF_OPEN;
}

/* The try has a result: from what its group counted before to this. */
static void scan_settle_in(struct scan_work *work, struct scan_try *t, enum scan_kind kind,
                           enum scan_result before, enum scan_result result)
{
	struct scan_group *group = scan_group_find(work, kind, t, true);

	if (t->group[kind] == group->serial && group->count[before] > 0)
		group->count[before]--;
	t->group[kind] = group->serial;
	group->count[result]++;
	if (!scan_is_failure(result) &&
	    !(result == SCAN_ANSWERED && kind == SCAN_HORIZONTAL && scan_is_ping(t)))
		return;
	group->first_ns = BASE_MIN(group->first_ns, t->first_ns);
	group->last_ns = BASE_MAX(group->last_ns, t->first_ns);
	if (kind == SCAN_HORIZONTAL)
		group->family = t->flow.family;
	scan_group_touch(work, group);
	memcpy(group->source, t->flow.guest, 16);
	if (group->flow_count < ALERT_FLOWS_MAX)
		group->flows[group->flow_count++] = t->flow;
	scan_group_judge(work, group, kind, t);
}

static void scan_settle(struct scan_work *work, struct scan_try *t, enum scan_result result)
{
	enum scan_result before = t->result;

	t->result = (uint8_t)result;
	for (int kind = 0; kind < SCAN_KINDS; kind++)
		if (scan_in_kind(t, kind))
			scan_settle_in(work, t, kind, before, result);
}

/* What silence says of the try. */
static enum scan_result scan_silence(const struct scan_try *t)
{
	if (t->half)
		return SCAN_HALF_OPEN;
	if (t->flow.proto == PACKET_PROTO_UDP || t->probe == SCAN_PROBE_ACK)
		return SCAN_IGNORED;
	return SCAN_UNANSWERED;
}

/* --- tries --- */

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
		    t->flow.family == key->flow.family && t->probe == key->probe &&
		    memcmp(t->flow.peer, key->flow.peer, 16) == 0)
			return t;
	}
	return NULL;
}

/* Takes the try out of its slot and its groups. A finding keeps what is only old; `again`: the same target
 * takes this one's place. */
static void scan_try_drop(struct scan_work *work, struct scan_try *t, bool again)
{
	struct scan *scan = work->scan;
	int32_t index = (int32_t)(t - scan->tries);
	int32_t *link = scan_slot(scan, t);

	for (int kind = 0; kind < SCAN_KINDS; kind++) {
		struct scan_group *group =
		        t->group[kind] ? scan_group_find(work, kind, t, false) : NULL;

		if (group && group->serial == t->group[kind] && (again || !group->said) &&
		    group->count[t->result] > 0)
			group->count[t->result]--;
	}
	while (*link >= 0 && *link != index)
		link = &scan->tries[*link].next;
	if (*link == index)
		*link = t->next;
	t->first_ns = 0;
}

static struct scan_try *scan_try_add(struct scan_work *work, const struct scan_try *key)
{
	struct scan *scan = work->scan;
	struct scan_try *t = &scan->tries[scan->head];
	int32_t *slot;

	if (t->first_ns)
		scan_try_drop(work, t, false);
	*t = *key;
	slot = scan_slot(scan, t);
	t->next = *slot;
	*slot = (int32_t)scan->head;
	scan->head = (scan->head + 1) & (SCAN_TRIES - 1);
	if (scan->tail == scan->head)
		scan->tail = (scan->tail + 1) & (SCAN_TRIES - 1);
	if (scan->pending == scan->head)
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	return t;
}

/* --- events --- */

static enum scan_result scan_result_of(const struct flow_record *record)
{
	switch (record->outcome) {
	case FLOW_OUTCOME_NONE: return SCAN_PENDING;
	case FLOW_OUTCOME_UNREACHABLE:
	case FLOW_OUTCOME_RESET: return SCAN_REFUSED;
	case FLOW_OUTCOME_ANSWERED:
		return record->key.proto == PACKET_PROTO_TCP ? SCAN_PENDING : SCAN_ANSWERED;
	default: return SCAN_ANSWERED;
	}
}

/* Broadcast and multicast are asked of everybody and answered, if at all, from another address. */
static bool scan_is_multicast(const struct flow_key *flow)
{
	return flow->family == FLOW_IPV6 ? flow->peer[0] == 0xff : flow->peer[0] >= 0xe0;
}

/* How the flow began; false when it is no try at all: opened by somebody else, an answer to what was never
 * asked (backscatter), or data of a connection that is older than the flow table. */
static bool scan_probe_of(const struct flow_record *record, uint8_t *probe)
{
	uint8_t flags = record->first[FLOW_GUEST].tcp_flags;

	*probe = SCAN_PROBE_ORDINARY;
	if (record->flags & (FLOW_FLAG_PEER_OPENED | FLOW_FLAG_BACKSCATTER) ||
	    scan_is_multicast(&record->key))
		return false;
	if (record->key.proto != PACKET_PROTO_TCP || record->flags & FLOW_FLAG_FRAGMENTS)
		return true;
	if (flags & PACKET_SYN && flags & PACKET_FIN)
		*probe = (uint8_t)(SCAN_PROBE_STEALTH | (flags & 0x3f));
	if (!(record->flags & FLOW_FLAG_MIDSTREAM))
		return true;
	*probe = flags & PACKET_ACK ? SCAN_PROBE_ACK
	                            : (uint8_t)(SCAN_PROBE_STEALTH | (flags & 0x3f));
	return *probe != SCAN_PROBE_ACK || record->sides[FLOW_GUEST].payload == 0;
}

void scan_observe(struct scan *scan, const struct flow_event *event, detector_emit_fn *emit,
                  void *data)
{
	struct scan_work work = {scan, event->header.time_ns, emit, data};
	const struct flow_record *record = &event->record;
	struct scan_try key = {.flow = record->key, .first_ns = work.now_ns, .next = -1};
	enum scan_result result = scan_result_of(record);
	struct scan_try *t;

	if (event->header.type != FLOW_EVENT_NEW && event->header.type != FLOW_EVENT_OUTCOME)
		return;
	if (!scan_probe_of(record, &key.probe) || key.first_ns == 0)
		return;
	t = scan_try_find(scan, &key);
	/* A failed target that is tried again later is a try of that time. */
	if (t && event->header.type == FLOW_EVENT_NEW && scan_is_failure(t->result) &&
	    work.now_ns > t->first_ns + SCAN_QUIET_NS) {
		scan_try_drop(&work, t, true);
		t = NULL;
	}
	if (!t)
		t = scan_try_add(&work, &key);
	t->half |=
	        record->key.proto == PACKET_PROTO_TCP && record->outcome == FLOW_OUTCOME_ANSWERED;
	/* One answer is enough for a target: a service that was restarting is not scanned. */
	if (result == SCAN_PENDING || t->result == SCAN_ANSWERED || t->result == result)
		return;
	scan_settle(&work, t, result);
}

void scan_tick(struct scan *scan, uint64_t now_ns, detector_emit_fn *emit, void *data)
{
	struct scan_work work = {scan, now_ns, emit, data};

	/* Tries are in the order of their times, so both walks stop at the first that is too young. */
	while (scan->pending != scan->head) {
		struct scan_try *t = &scan->tries[scan->pending];

		if (t->first_ns && now_ns < t->first_ns + SCAN_ANSWER_NS)
			break;
		if (t->first_ns && t->result == SCAN_PENDING)
			scan_settle(&work, t, scan_silence(t));
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	}
	scan_groups_tick(&work);
	while (scan->tail != scan->pending) {
		struct scan_try *t = &scan->tries[scan->tail];

		if (t->first_ns && now_ns < t->first_ns + SCAN_WINDOW_NS)
			break;
		if (t->first_ns)
			scan_try_drop(&work, t, false);
		scan->tail = (scan->tail + 1) & (SCAN_TRIES - 1);
	}
}

/* --- as one of the detectors --- */

static void *scan_make(const struct detector_config *config)
{
	const struct scan_config own = {.ports = config->scan_ports, .hosts = config->scan_hosts};

	return scan_create(&own);
}

static void scan_free(void *self)
{
	scan_destroy(self);
}

static void scan_event(void *self, const struct flow_event_header *event,
                       const struct detector_out *out)
{
	scan_observe(self, (const struct flow_event *)event, out->emit, out->data);
}

static void scan_time(void *self, uint64_t now_ns, const struct detector_out *out)
{
	scan_tick(self, now_ns, out->emit, out->data);
}

const struct detector_ops scan_detector = {
        .name = "scan",
        .policy = offsetof(struct policy_monitor, scan),
        .memory = sizeof(struct scan),
        .types = 1u << FLOW_EVENT_NEW | 1u << FLOW_EVENT_OUTCOME,
        .create = scan_make,
        .destroy = scan_free,
        .observe = scan_event,
        .tick = scan_time,
};
