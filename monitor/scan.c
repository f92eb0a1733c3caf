/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A scan is many targets tried by one guest of which few answer. A target is (address, port,
 * protocol), and counts once, however often it is tried: what an ordinary client repeats is the same
 * few targets, what a scanner does not repeat is targets. Each target's result is
 *
 *   refused      the first answer was RST, or an ICMP error
 *   unanswered   none in SCAN_ANSWER_NS, or sooner where many wait: scan_patience() (TCP, ICMP, ARP)
 *   half open    SYN/ACK, and the guest did not complete the handshake in that time, or reset it
 *   answered     anything else
 *   empty        a TCP connection that ended without a byte from the guest, and with no more than a greeting
 *   silent       UDP without an answer, which is ordinary there
 *   ignored      packets that lived too short, and traceroute's ports: a path is looked at
 *
 * of which the first three have failed. It is added to its groups:
 *
 *   vertical     ports of one host; also by ACK alone, where RST is the one answer that counts. Empty
 *                connections have failed here. UDP: 30 silent targets for each three answered make one too, or 15 if
 *                five of them were refused.
 *   horizontal   one port of many hosts; hosts asked for by ping, ARP or neighbour discovery (a
 *                sweep). Of neighbouring addresses, what answers counts as well: pings in five minutes,
 *                empty connections, ACKs of no connection and ARP in ten seconds; of pings and ARP, if three in four
 *                are answered, fewer than 128 are low, as monitors ask so. UDP: 30 silent ones at a port below 1024, or 50.
 *   block        several ports of several hosts of one network (/24, /64), if neither gathers enough
 *   stealth      of one host: TCP packets that begin no connection (RFC 9293, 3.10.7: NULL, FIN, Xmas,
 *                SYN+FIN), where each is a reason by itself
 *
 * A group with enough failed targets, and at least SCAN_FAILED_FOR_ONE_ANSWERED times as many as
 * answered, is a finding. The rule by failed outcomes follows Zeek's scan policy and Jung et al., "Fast
 * Portscan Detection Using Sequential Hypothesis Testing" (2004), after which a few failures without one
 * success are worth a first look: SCAN_EARLY of them are an alert of low severity, which becomes medium
 * when enough follow. The tables are of fixed size, so a flood costs evictions, not memory. What is in no
 * group is in scan_rest.c.
 *
 * Tries are remembered for an hour; groups for a day, with 128 bits each for targets that failed and that
 * answered, by hash: what is slower than the hour is found by counting bits.
 *
 * Limits. Two targets whose hashes meet count once: of scans of 18 targets a day one in twenty is missed.
 * 15 targets in 12 hours are found as medium, of one host or on one port, if they are three times as many as were
 * answered, and in 24 hours where these begin at noon or midnight (UTC); of web servers (TCP 80, 443) 15 an hour, as
 * their addresses change.
 * Below that nothing is said but that 5 in an hour without an answer are low. Not seen: a scan that completes its connections, sends something,
 * and finds more than a quarter open; UDP where closed ports are silent, below 30 an hour; ACK probes that a
 * firewall swallows; one spread over so many networks that none gathers enough, below 100 targets a second.
 * More than SCAN_TRIES targets an hour push the oldest out, which a real scan reaches
 * long after it was found. A scan of a port that peer-to-peer programs use, or of one high port by a guest that
 * also talks to many peers on ports of their own, is taken for peer-to-peer, and is an alert of low severity
 * only. A guest that is denied all its egress looks like one that scans what it wants to reach; so does a
 * health check of 30 neighbours within ten seconds.
 */
#include "monitor/scan_group.h"

#include "base/base.h"
#include "bpf/packet.h"

uint64_t scan_hash(const struct scan *scan, const uint8_t peer[16], uint32_t rest)
{
	return detector_mix(detector_mix(base_le64(peer) ^ scan->seed) +
	                    detector_mix(base_le64(peer + 8) + rest));
}

static struct scan *scan_begin(struct scan *scan, const struct scan_config *config)
{
	if (!scan)
		return NULL;
	scan->config = *config;
	if (scan->config.ports == 0)
		scan->config.ports = SCAN_PORTS_DEFAULT;
	if (scan->config.hosts == 0)
		scan->config.hosts = SCAN_HOSTS_DEFAULT;
	/* Addresses of a heap that ASLR moves: enough that a guest cannot aim at one slot. */
	scan->seed = detector_mix(config->seed ? config->seed : (uint64_t)(uintptr_t)scan);
	memset(scan->slots, 0xff, sizeof(scan->slots));
	return scan;
}

struct scan *scan_create(const struct scan_config *config)
{
	return scan_begin(calloc(1, sizeof(struct scan)), config);
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
	case SCAN_HORIZONTAL: return t->probe < SCAN_PROBE_STEALTH;
	case SCAN_BLOCK:
		return t->probe == SCAN_PROBE_ORDINARY &&
		       scan_has_ports(t->flow.proto, t->flow.family);
	default: return t->probe >= SCAN_PROBE_STEALTH;
	}
}

static bool scan_is_failure(enum scan_result result)
{
	return result == SCAN_REFUSED || result == SCAN_UNANSWERED || result == SCAN_HALF_OPEN;
}

/* Results after which the group may have become a finding. */
static bool scan_tells(const struct scan_try *t, enum scan_kind kind, enum scan_result result)
{
	if (scan_is_failure(result))
		return true;
	if (kind == SCAN_HORIZONTAL && (result == SCAN_ANSWERED || result == SCAN_IGNORED))
		return scan_is_sweep(t) && t->result != SCAN_IGNORED;
	return kind <= SCAN_HORIZONTAL && (result == SCAN_EMPTY || result == SCAN_SILENT);
}

/* The try has a result: from what its group counted before to this. */
static void scan_settle_in(struct scan_work *work, struct scan_try *t, enum scan_kind kind,
                           enum scan_result before, enum scan_result result)
{
	struct scan_group *group = scan_group_find(work, kind, t, true);

	/* an old connection's other end may be gone, too: that alone makes no failure of a port */
	if (kind == SCAN_HORIZONTAL && t->probe == SCAN_PROBE_ACK) {
		before = before == SCAN_REFUSED ? SCAN_IGNORED : before;
		result = SCAN_IGNORED;
	}
	if (t->group[kind] == group->serial && group->count[before] > 0)
		group->count[before]--;
	t->group[kind] = group->serial;
	group->count[result]++;
	if ((scan_is_failure(result) || result == SCAN_ANSWERED) &&
	    !(kind == SCAN_HORIZONTAL && t->probe == SCAN_PROBE_ACK))
		scan_group_remember(work, group, t, result != SCAN_ANSWERED);
	if (!scan_tells(t, kind, result)) {
		scan_group_note(work, group, kind);
		return;
	}
	group->first_ns = BASE_MIN(group->first_ns, t->first_ns);
	group->last_ns = BASE_MAX(group->last_ns, t->first_ns);
	if (kind == SCAN_HORIZONTAL)
		group->family = t->flow.family;
	if (kind == SCAN_BLOCK) {
		group->hosts |= 1ull << (scan_hash(work->scan, t->flow.peer, 0) & 63);
		group->ports |= 1ull << (detector_mix(t->flow.peer_port) & 63);
	}
	scan_group_touch(work, group);
	memcpy(group->source, t->flow.guest, 16);
	if (group->flow_count < ALERT_FLOWS_MAX)
		group->flows[group->flow_count++] = t->flow;
	scan_group_judge(work, group, kind, t);
	scan_group_note(work, group, kind);
}

static void scan_settle(struct scan_work *work, struct scan_try *t, enum scan_result result)
{
	enum scan_result before = t->result;

	t->result = (uint8_t)result;
	work->scan->waiting -= before == SCAN_PENDING;
	if (t->probe == SCAN_PROBE_ORDINARY && scan_has_ports(t->flow.proto, t->flow.family)) {
		if (scan_is_failure(result) || result == SCAN_ANSWERED)
			scan_rest_together(work, t, result != SCAN_ANSWERED);
		scan_rest_result(work, t, scan_is_failure(result));
	}
	for (int kind = 0; kind < SCAN_KINDS; kind++)
		if (scan_in_kind(t, kind))
			scan_settle_in(work, t, kind, before, result);
}

/* Three packets for each of 30 hops; the port's registered for it. */
static bool scan_is_traceroute(uint8_t proto, uint16_t port)
{
	return proto == PACKET_PROTO_UDP && port >= 33434 && port < 33434 + 90;
}

/* What silence says of the try. */
static enum scan_result scan_silence(const struct scan_try *t)
{
	if (t->half)
		return SCAN_HALF_OPEN;
	if (t->probe == SCAN_PROBE_ACK || scan_is_traceroute(t->flow.proto, t->flow.peer_port))
		return SCAN_IGNORED;
	return t->flow.proto == PACKET_PROTO_UDP && t->flow.family != FLOW_ARP ? SCAN_SILENT
	                                                                       : SCAN_UNANSWERED;
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
		    group->count[t->result] > 0) {
			group->count[t->result]--;
			scan_group_note(work, group, (enum scan_kind)kind);
		}
	}
	while (*link >= 0 && *link != index)
		link = &scan->tries[*link].next;
	if (*link == index)
		*link = t->next;
	scan->waiting -= t->result == SCAN_PENDING;
	t->first_ns = 0;
}

/* --- how long an answer is waited for --- */

/* Of targets that have the try's host in common, or its port; NULL: that many of them at once say nothing. */
static struct scan_burst *scan_burst(struct scan *scan, const struct scan_try *t, bool host)
{
	const bool ports = scan_has_ports(t->flow.proto, t->flow.family);
	const uint16_t port = t->flow.peer_port;
	const uint64_t what = (uint64_t)t->flow.proto << 16 | (uint64_t)t->flow.family << 24 | host;
	struct scan_burst *burst;
	uint64_t tag;

	if (t->probe == SCAN_PROBE_ACK)
		return NULL;
	/* browsers and peers call many hosts at once; and nobody one host's ports */
	if (host ? !ports
	         : !scan_is_sweep(t) && (t->flow.proto != PACKET_PROTO_TCP || port >= 1024 ||
	                                 port == 80 || port == 443))
		return NULL;
	tag = host ? scan_hash(scan, t->flow.peer, (uint32_t)what)
	           : detector_mix((what << 16 | (ports ? port : t->flow.guest_port)) ^ scan->seed);
	burst = &scan->bursts[host][tag >> 32 & (SCAN_BURSTS - 1)];
	if (burst->tag != tag)
		*burst = (struct scan_burst){.tag = tag};
	return burst;
}

/* One more waits: is it one of many, or of very many? */
static void scan_hurry(struct scan *scan, const struct scan_try *t)
{
	bool many = scan->waiting >= SCAN_MANY_WAIT, flood = scan->waiting >= SCAN_FLOOD_WAIT;

	for (int host = 0; host < 2; host++) {
		struct scan_burst *burst = scan_burst(scan, t, host);

		if (!burst)
			continue;
		if (t->first_ns > burst->last_ns + SCAN_BURST_NS)
			burst->count = 0;
		burst->last_ns = t->first_ns;
		burst->count++;
		many |= burst->count >= SCAN_BURST_AT;
		flood |= host && burst->count >= 2 * SCAN_BURST_AT;
	}
	if (many)
		scan->hurry_ns = BASE_MAX(scan->hurry_ns, t->first_ns);
	if (flood)
		scan->flood_ns = BASE_MAX(scan->flood_ns, t->first_ns);
}

/* Who answers is there, and others may be. */
static void scan_burst_ends(struct scan *scan, const struct scan_try *t)
{
	for (int host = 0; host < 2; host++) {
		struct scan_burst *burst = scan_burst(scan, t, host);

		if (burst)
			burst->count = host || burst->count < SCAN_FAILED_FOR_ONE_ANSWERED
			                       ? 0
			                       : burst->count - SCAN_FAILED_FOR_ONE_ANSWERED;
	}
}

/*
 * Where many wait at once it is less than TCP waits before it sends again for the first time (1 s: RFC 6298, 2), and
 * more than an answer takes by a satellite (some 600 ms), so that a fast scan is known within a second. On the guest's
 * own link nothing is as far away; and where very many wait, or 30 ports of one host, they were sent faster than
 * programs do that wait for answers. Also when those before it are no longer waited for: what was one of many is not
 * one of few by that.
 */
static uint64_t scan_patience(const struct scan *scan, const struct scan_try *t)
{
	if (t->first_ns > scan->hurry_ns)
		return SCAN_ANSWER_NS;
	if (scan_is_neighbour(t))
		return SCAN_LINK_NS;
	return t->first_ns <= scan->flood_ns ? SCAN_FLOOD_NS : SCAN_HURRY_NS;
}

/* --- tries that wait --- */

static struct scan_try *scan_try_add(struct scan_work *work, const struct scan_try *key)
{
	struct scan *scan = work->scan;
	struct scan_try *t = &scan->tries[scan->head];
	int32_t *slot;

	if (t->first_ns)
		scan_try_drop(work, t, false);
	*t = *key;
	scan->waiting++;
	scan_hurry(scan, t);
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

/*
 * True when all that is remembered still waits: then what comes is not waited for, so that the first of a flood wait for
 * as long as they have to, and the flood is known by them. Each in turn forgetting the one before it, none ever would.
 */
static bool scan_is_full(struct scan *scan)
{
	while (scan->pending != scan->head && (!scan->tries[scan->pending].first_ns ||
	                                       scan->tries[scan->pending].result != SCAN_PENDING))
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	return ((scan->head + 1) & (SCAN_TRIES - 1)) == scan->pending;
}

/* Tries that have waited long enough for an answer have none. They are in the order of their times, so the walk stops
 * at the first that is too young. */
static void scan_expire(struct scan_work *work)
{
	struct scan *scan = work->scan;

	while (scan->pending != scan->head) {
		struct scan_try *t = &scan->tries[scan->pending];
		const uint64_t patience = scan_patience(scan, t);

		if (t->first_ns && work->now_ns < t->first_ns + patience)
			break;
		if (t->first_ns && t->result == SCAN_PENDING)
			scan_settle(work, t, scan_silence(t));
		scan->pending = (scan->pending + 1) & (SCAN_TRIES - 1);
	}
}

/* A fast scan that nobody answers: when the first of those that wait has waited long enough. */
static uint64_t scan_due(const void *self)
{
	const struct scan *scan = self;
	const struct scan_try *t = &scan->tries[scan->pending];

	if (scan->pending == scan->head || t->first_ns > scan->hurry_ns)
		return UINT64_MAX;
	return t->first_ns + scan_patience(scan, t);
}

/* --- events --- */

/* An error that says that the packet lived too short: a path is looked at, not a port (RFC 792, RFC 4443). */
static bool scan_is_expired(const struct flow_record *record)
{
	return record->icmp_type == (record->key.family == FLOW_IPV6 ? 3 : 11);
}

static enum scan_result scan_result_of(const struct flow_record *record)
{
	const struct flow_side *sides = record->sides;

	switch (record->outcome) {
	case FLOW_OUTCOME_NONE: return SCAN_PENDING;
	case FLOW_OUTCOME_UNREACHABLE:
		return scan_is_expired(record) ||
		                       scan_is_traceroute(record->key.proto, record->key.peer_port)
		               ? SCAN_IGNORED
		               : SCAN_REFUSED;
	case FLOW_OUTCOME_RESET: return SCAN_REFUSED;
	case FLOW_OUTCOME_ANSWERED:
		if (record->key.proto != PACKET_PROTO_TCP)
			return SCAN_ANSWERED;
		return record->state == FLOW_STATE_RESET ? SCAN_HALF_OPEN : SCAN_PENDING;
	case FLOW_OUTCOME_CLOSED:
		return sides[FLOW_GUEST].payload == 0 && sides[FLOW_PEER].payload <= SCAN_BANNER_MAX
		               ? SCAN_EMPTY
		               : SCAN_ANSWERED;
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
	/* the rest of a packet whose beginning has the ports, and is a flow of its own */
	if (record->flags & FLOW_FLAG_FRAGMENTS && !record->key.guest_port &&
	    !record->key.peer_port)
		return false;
	/* a service that answers what the capture, or this guest, has not asked */
	if (record->key.proto == PACKET_PROTO_UDP && record->key.family != FLOW_ARP &&
	    record->key.guest_port < 1024 && record->key.peer_port >= 1024)
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
	if (record->outcome == FLOW_OUTCOME_CLOSED && !(record->flags & FLOW_FLAG_PEER_OPENED))
		scan_rest_end(&work, record);
	if (!scan_probe_of(record, &key.probe) || key.first_ns == 0)
		return;
	if (scan_due(scan) <= work.now_ns)
		scan_expire(&work);
	t = scan_try_find(scan, &key);
	/* A failed target that is tried again later is a try of that time. */
	if (t && event->header.type == FLOW_EVENT_NEW && scan_is_failure(t->result) &&
	    work.now_ns > t->first_ns + SCAN_QUIET_NS) {
		scan_try_drop(&work, t, true);
		t = NULL;
	}
	if (!t && result == SCAN_PENDING && scan_is_full(scan)) {
		scan_rest_try(&work, &key);
		return;
	}
	if (!t) {
		t = scan_try_add(&work, &key);
		scan_rest_try(&work, t);
	}
	t->half |=
	        record->key.proto == PACKET_PROTO_TCP && record->outcome == FLOW_OUTCOME_ANSWERED;
	/* One answer is enough for a target: a service that was restarting is not scanned. */
	if (result == SCAN_PENDING || t->result == result || t->result == SCAN_EMPTY ||
	    (t->result == SCAN_ANSWERED && result != SCAN_EMPTY))
		return;
	if (result == SCAN_ANSWERED) {
		scan_rest_answer(&work);
		scan_burst_ends(scan, t);
	}
	scan_settle(&work, t, result);
}

void scan_tick(struct scan *scan, uint64_t now_ns, detector_emit_fn *emit, void *data)
{
	struct scan_work work = {scan, now_ns, emit, data};

	scan_expire(&work);
	scan_groups_tick(&work);
	scan_rest_tick(&work);
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
	const struct scan_config own = {.ports = config->scan_ports,
	                                .hosts = config->scan_hosts,
	                                .world = config->world,
	                                .seed = config->seed};

	return scan_begin(detector_take(config, sizeof(struct scan)), &own);
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
        .due = scan_due,
};
