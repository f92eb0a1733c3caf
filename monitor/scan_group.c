/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of tries, and when they are findings (scan.c has the theory and the limits). Each kind has a
 * table of fixed size in which a group may be in one of eight places; when all are taken, a finding
 * is worth more than failures, and failures more than being recent.
 */
#include "monitor/scan_group.h"

#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/finding.h"

enum { GROUP_PLACES = 8, GROUP_P2P_PEERS = 8, GROUP_RARE = 3 };

bool scan_has_ports(uint8_t proto, uint8_t family)
{
	return family != FLOW_ARP && (proto == PACKET_PROTO_TCP || proto == PACKET_PROTO_UDP ||
	                              proto == PACKET_PROTO_SCTP);
}

uint32_t scan_group_failed(const struct scan_group *group)
{
	return group->count[SCAN_REFUSED] + group->count[SCAN_UNANSWERED] +
	       group->count[SCAN_HALF_OPEN];
}

bool scan_is_ping(const struct scan_try *t)
{
	return (t->flow.proto == PACKET_PROTO_ICMP && t->flow.family == FLOW_IPV4 &&
	        t->flow.guest_port == 8) ||
	       (t->flow.proto == PACKET_PROTO_ICMP6 && t->flow.family == FLOW_IPV6 &&
	        t->flow.guest_port == 128);
}

static uint32_t group_tried(const struct scan_group *group)
{
	return scan_group_failed(group) + group->count[SCAN_ANSWERED] + group->count[SCAN_IGNORED];
}

/* What a finding's size is. */
static uint32_t group_evidence(const struct scan_group *group)
{
	return group->dense ? group_tried(group) : scan_group_failed(group);
}

/* --- finding one's group --- */

/* A port is the same service over IPv4 and IPv6, so that a guest whose IPv6 leads nowhere does not scan. */
static bool group_is(const struct scan_group *group, enum scan_kind kind,
                     const struct flow_key *flow)
{
	if (!group->serial || group->proto != flow->proto)
		return false;
	if (kind == SCAN_HORIZONTAL && scan_has_ports(flow->proto, flow->family))
		return group->port == flow->peer_port && group->family != FLOW_ARP;
	if (group->family != flow->family)
		return false;
	return kind == SCAN_HORIZONTAL ? group->port == flow->peer_port
	                               : memcmp(group->peer, flow->peer, 16) == 0;
}

static uint64_t group_hash(const struct scan *scan, enum scan_kind kind,
                           const struct flow_key *flow)
{
	static const uint8_t any[16];

	if (kind == SCAN_HORIZONTAL)
		return scan_hash(scan, any, (uint32_t)flow->peer_port << 8 | flow->proto);
	return scan_hash(scan, flow->peer, (uint32_t)flow->proto << 8 | flow->family);
}

static uint64_t group_worth(const struct scan_group *group)
{
	uint64_t failed = scan_group_failed(group);

	return (group->said ? 1ull << 62 : 0) | BASE_MIN(failed, 1023ull) << 50 |
	       group->last_ns >> 14;
}

static void group_emit(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                       enum alert_stage stage);

static void group_free(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	if (!group->serial)
		return;
	if (group->said)
		group_emit(work, group, kind, ALERT_END);
	memset(group, 0, sizeof(*group));
}

struct scan_group *scan_group_find(struct scan_work *work, enum scan_kind kind,
                                   const struct scan_try *t, bool make)
{
	struct scan *scan = work->scan;
	uint64_t hash = group_hash(scan, kind, &t->flow);
	struct scan_group *victim = NULL;

	for (uint32_t i = 0; i < GROUP_PLACES; i++) {
		struct scan_group *group = &scan->groups[kind][(hash + i) & (SCAN_GROUPS - 1)];

		if (group_is(group, kind, &t->flow))
			return group;
		if (!victim || (victim->serial &&
		                (!group->serial || group_worth(group) < group_worth(victim))))
			victim = group;
	}
	if (!make)
		return NULL;
	group_free(work, victim, kind);
	victim->proto = t->flow.proto;
	victim->family = t->flow.family;
	if (kind == SCAN_HORIZONTAL)
		victim->port = t->flow.peer_port;
	else
		memcpy(victim->peer, t->flow.peer, 16);
	victim->first_ns = victim->last_ns = t->first_ns;
	victim->serial = ++scan->serial ? scan->serial : ++scan->serial;
	scan_group_touch(work, victim);
	return victim;
}

/* --- judging --- */

/*
 * Peer-to-peer programs try many hosts of which most are gone, and often on one port, which looks like a
 * horizontal scan of it. What a scan does not have is the rest: peers that are tried on one port each, and
 * each on another high port.
 */
static bool group_is_peer_to_peer(struct scan_work *work, const struct scan_group *group)
{
	uint32_t spread = 0;

	if (group->port < 1024)
		return false;
	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		const struct scan_try *t = &work->scan->tries[i];
		const struct scan_group *host, *port;

		if (!t->first_ns || t->flow.peer_port < 1024 || t->flow.peer_port == group->port ||
		    !scan_has_ports(t->flow.proto, t->flow.family))
			continue;
		host = scan_group_find(work, SCAN_VERTICAL, t, false);
		port = scan_group_find(work, SCAN_HORIZONTAL, t, false);
		spread += (!host || group_tried(host) <= GROUP_RARE) &&
		          (!port || group_tried(port) <= GROUP_RARE);
	}
	return spread >= GROUP_P2P_PEERS && spread >= scan_group_failed(group) / 4;
}

/*
 * Pings that are all answered are a monitor's work or a sweep of a lively network. A sweep takes addresses as
 * they come: twice as many as failures would be enough, within 256 neighbours, in one go.
 */
static bool group_is_dense(struct scan_work *work, const struct scan_group *group,
                           const struct scan_try *t)
{
	size_t prefix = t->flow.family == FLOW_IPV6 ? 15 : 3;
	uint32_t neighbours = 0, enough = 2 * work->scan->config.hosts;

	/* once in a while: this looks at every try */
	if (!scan_is_ping(t) || group_tried(group) < enough || group_tried(group) % 8 != 0)
		return false;
	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		const struct scan_try *other = &work->scan->tries[i];

		neighbours += other->first_ns && scan_is_ping(other) &&
		              other->flow.family == t->flow.family &&
		              memcmp(other->flow.peer, t->flow.peer, prefix) == 0 &&
		              other->first_ns + SCAN_DENSE_NS > t->first_ns;
	}
	return neighbours >= enough;
}

static uint32_t group_enough(const struct scan_work *work, enum scan_kind kind)
{
	const struct scan_config *config = &work->scan->config;

	switch (kind) {
	case SCAN_STEALTH: return SCAN_STEALTH_AT;
	case SCAN_VERTICAL: return config->ports;
	default: return config->hosts;
	}
}

static enum alert_severity group_severity(struct scan_work *work, const struct scan_group *group,
                                          enum scan_kind kind)
{
	uint32_t evidence = group_evidence(group);

	if (evidence < group_enough(work, kind))
		return ALERT_LOW;
	if (kind == SCAN_HORIZONTAL && scan_has_ports(group->proto, group->family) &&
	    group_is_peer_to_peer(work, group))
		return ALERT_LOW;
	return evidence >= SCAN_HIGH_AT ? ALERT_HIGH : ALERT_MEDIUM;
}

void scan_group_judge(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                      const struct scan_try *t)
{
	uint32_t enough = group_enough(work, kind), evidence;
	bool mostly = scan_group_failed(group) >=
	              SCAN_FAILED_FOR_ONE_ANSWERED * group->count[SCAN_ANSWERED];

	if (kind == SCAN_HORIZONTAL && !group->dense)
		group->dense = group_is_dense(work, group, t);
	evidence = group_evidence(group);
	if (evidence < enough || !(mostly || group->dense || kind == SCAN_STEALTH))
		return;
	if (!group->said)
		group_emit(work, group, kind, ALERT_NEW);
	else if (evidence >= 2 * group->said || group->said < enough ||
	         (evidence >= SCAN_HIGH_AT && group->said < SCAN_HIGH_AT))
		group_emit(work, group, kind, ALERT_UPDATE);
}

/* --- alerts --- */

static void group_sentence(struct alert *alert, enum scan_kind kind)
{
	char tried[28], refused[28], unanswered[28], half[28], target[46];
	uint64_t seconds = (alert->last_ns - alert->first_ns + SCAN_SECOND_NS - 1) / SCAN_SECOND_NS;
	char what[80];
	int n;

	alert_address(target, alert->target, alert->family);
	if (kind == SCAN_STEALTH)
		snprintf(what, sizeof(what), "%s stealth probes of %s",
		         finding_number(tried, alert->ports), target);
	else if (kind == SCAN_VERTICAL)
		snprintf(what, sizeof(what), "%s ports of %s", finding_number(tried, alert->ports),
		         target);
	else if (scan_has_ports(alert->proto, alert->family))
		snprintf(what, sizeof(what), "port %u of %s hosts", alert->port,
		         finding_number(tried, alert->hosts));
	else
		snprintf(what, sizeof(what), "%s hosts", finding_number(tried, alert->hosts));
	n = snprintf(alert->sentence, sizeof(alert->sentence),
	             "tried %s in %llu s; %s refused, %s unanswered", what,
	             (unsigned long long)BASE_MAX(seconds, 1ull),
	             finding_number(refused, alert->refused),
	             finding_number(unanswered, alert->unanswered));
	if (alert->half_open)
		n += snprintf(alert->sentence + n, sizeof(alert->sentence) - (size_t)n,
		              ", %s open and let go", finding_number(half, alert->half_open));
	if (alert->answered)
		snprintf(alert->sentence + n, sizeof(alert->sentence) - (size_t)n, ", %s answered",
		         finding_number(half, alert->answered));
}

static const char *group_rule(enum scan_kind kind, bool services)
{
	if (kind == SCAN_STEALTH)
		return "scan.stealth";
	if (kind == SCAN_VERTICAL)
		return "scan.vertical";
	return services ? "scan.horizontal" : "scan.sweep";
}

/* What the finding rests on begins with the oldest try that the group still counts. */
static void group_begin(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	uint64_t first = group->last_ns;

	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		const struct scan_try *t = &work->scan->tries[i];

		if (t->first_ns && t->group[kind] == group->serial && t->result != SCAN_PENDING)
			first = BASE_MIN(first, t->first_ns);
	}
	group->first_ns = first;
	/* by the second, as the clock that live times come from is set now and then */
	group->id = detector_mix(
	        first / SCAN_SECOND_NS +
	        detector_mix(base_le64(group->peer) ^ base_le64(group->source)) +
	        detector_mix(base_le64(group->peer + 8) ^ base_le64(group->source + 8)));
}

static void group_emit(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                       enum alert_stage stage)
{
	struct alert alert = {.detector = DETECTOR_SCAN,
	                      .stage = stage,
	                      .family = group->family,
	                      .proto = group->proto};
	uint32_t failed = scan_group_failed(group), tried = failed + group->count[SCAN_ANSWERED];
	bool services = scan_has_ports(group->proto, group->family);
	uint8_t before = group->severity;

	if (stage == ALERT_NEW)
		group_begin(work, group, kind);
	if (stage != ALERT_END)
		group->severity = (uint8_t)BASE_MAX(group_severity(work, group, kind), before);
	alert.severity = group->severity;
	alert.act = group->severity >= ALERT_MEDIUM && before < ALERT_MEDIUM;
	alert.confidence = group->severity == ALERT_LOW                                  ? 40
	                   : group->count[SCAN_REFUSED] >= group->count[SCAN_UNANSWERED] ? 95
	                                                                                 : 80;
	alert.rule = group_rule(kind, services);
	alert.technique = services ? "T1046" : "T1018";
	alert.technique_name = services ? "Network Service Discovery" : "Remote System Discovery";
	alert.tactic = "TA0007";
	alert.tactic_name = "Discovery";
	memcpy(alert.source, group->source, 16);
	memcpy(alert.target, group->peer, 16);
	alert.port = services ? group->port : 0;
	alert.ports = kind == SCAN_HORIZONTAL ? 1 : tried;
	alert.hosts = kind == SCAN_HORIZONTAL ? tried : 1;
	alert.failed = failed;
	alert.refused = group->count[SCAN_REFUSED];
	alert.unanswered = group->count[SCAN_UNANSWERED];
	alert.half_open = group->count[SCAN_HALF_OPEN];
	alert.answered = group->count[SCAN_ANSWERED];
	alert.first_ns = group->first_ns;
	alert.last_ns = group->last_ns;
	memcpy(alert.flows, group->flows, sizeof(alert.flows));
	alert.flow_count = group->flow_count;
	snprintf(alert.id, sizeof(alert.id), "%016llx-%08x", (unsigned long long)group->id,
	         (unsigned int)kind << 24 | (unsigned int)group->proto << 16 | group->port);
	group_sentence(&alert, kind);
	group->said = stage == ALERT_END ? 0 : BASE_MAX(group_evidence(group), 1u);
	work->emit(&alert, work->data);
}

/* --- time --- */

/* A finding has ended when it was quiet for much longer than its tries lay apart. */
static uint64_t group_patience(const struct scan_group *group)
{
	uint64_t apart = (group->last_ns - group->first_ns) / BASE_MAX(group_evidence(group), 1u);

	return BASE_MIN(BASE_MAX(4 * apart, SCAN_QUIET_NS), SCAN_WINDOW_NS);
}

static bool group_is_early(const struct scan_group *group, enum scan_kind kind)
{
	return !group->said && kind != SCAN_STEALTH && scan_group_failed(group) >= SCAN_EARLY &&
	       group->count[SCAN_ANSWERED] == 0 && scan_has_ports(group->proto, group->family);
}

/* When the group has to be looked at next, if nothing more comes. */
static uint64_t group_due(const struct scan_group *group, enum scan_kind kind)
{
	if (group->said)
		return group->last_ns + group_patience(group);
	return group->last_ns + (group_is_early(group, kind) ? SCAN_EARLY_NS : SCAN_WINDOW_NS);
}

void scan_group_touch(struct scan_work *work, const struct scan_group *group)
{
	work->scan->check_ns = BASE_MIN(work->scan->check_ns, group->last_ns + SCAN_EARLY_NS);
}

static void group_tick(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	/* a small scan that does not go on */
	if (work->now_ns >= group_due(group, kind) && group_is_early(group, kind))
		group_emit(work, group, kind, ALERT_NEW);
	if (work->now_ns >= group_due(group, kind))
		group_free(work, group, kind);
}

void scan_groups_tick(struct scan_work *work)
{
	struct scan *scan = work->scan;
	uint64_t next = UINT64_MAX;

	if (work->now_ns < scan->check_ns)
		return;
	for (int kind = 0; kind < SCAN_KINDS; kind++)
		for (size_t i = 0; i < SCAN_GROUPS; i++) {
			struct scan_group *group = &scan->groups[kind][i];

			if (group->serial)
				group_tick(work, group, kind);
			if (group->serial)
				next = BASE_MIN(next, group_due(group, kind));
		}
	scan->check_ns = next;
}
