/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Lateral movement (T1021): one guest that opens sessions of remote administration with many of its neighbours. A
 * session is a TCP connection to a private address at a port of such a service (SSH, telnet, RPC, NetBIOS, SMB, RDP,
 * VNC, WinRM) in which both sides sent at least 200 bytes, more than a look at its banner.
 *
 * Ten different hosts within an hour are medium, thirty are high; if all of them were by SSH they are low, as that
 * is what configuration management does. A workstation or server of a domain speaks to its controllers and
 * file servers, which are few.
 *
 * Limits. Hosts are counted by 256 bits, by hash, so that 40 are counted as about 37; whether somebody logged in is
 * not known. A host that administers others looks the same: switch it off in its policy.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"

enum { LATERAL_AT = 10, LATERAL_HIGH_AT = 30, LATERAL_BYTES = 200, LATERAL_WORDS = 4 };

struct lateral_set {
	uint64_t hosts[LATERAL_WORDS];
	uint64_t first_ns, last_ns;
	struct flow_key flows[ALERT_FLOWS_MAX];
	size_t flow_count;
	struct finding finding;
};

struct lateral {
	struct lateral_set ssh, others;
};

static bool lateral_wants(const struct flow_event_header *header)
{
	static const uint16_t ports[] = {22, 23, 135, 139, 445, 3389, 5900, 5985, 5986};
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	bool known = false;

	if (record->key.proto != PACKET_PROTO_TCP || record->outcome < FLOW_OUTCOME_ESTABLISHED ||
	    record->flags & FLOW_FLAG_PEER_OPENED || record->sides[0].payload < LATERAL_BYTES ||
	    record->sides[1].payload < LATERAL_BYTES || record->key.family == FLOW_ARP ||
	    address_is_public(record->key.peer, record->key.family))
		return false;
	for (size_t i = 0; i < BASE_COUNT(ports); i++)
		known = known || record->key.peer_port == ports[i];
	return known;
}

static uint32_t lateral_hosts(const struct lateral_set *set)
{
	int bits = 0;

	for (size_t i = 0; i < LATERAL_WORDS; i++)
		bits += __builtin_popcountll(set->hosts[i]);
	return (uint32_t)bits;
}

static void lateral_alert(const struct lateral_set *set, bool ssh, struct alert *alert)
{
	const struct flow_key *first = &set->flows[0];
	char span[28];

	alert->detector = DETECTOR_LATERAL;
	alert->rule = "lateral.sessions";
	alert->technique = ssh ? "T1021.004" : "T1021";
	alert->technique_name = ssh ? "SSH" : "Remote Services";
	alert->tactic = "TA0008";
	alert->tactic_name = "Lateral Movement";
	alert->confidence = ssh ? 40 : 65;
	alert->family = first->family;
	alert->proto = PACKET_PROTO_TCP;
	memcpy(alert->source, first->guest, 16);
	alert->first_ns = set->first_ns;
	alert->last_ns = set->last_ns;
	memcpy(alert->flows, set->flows, sizeof(alert->flows));
	alert->flow_count = set->flow_count;
	alert_fact(alert, "sessions_hosts", lateral_hosts(set));
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "had sessions of %s with %u hosts of private networks in %s",
	         ssh ? "SSH" : "remote administration", lateral_hosts(set),
	         finding_span(span, set->last_ns - set->first_ns));
}

static void lateral_end(struct lateral_set *set, bool ssh, const struct detector_out *out)
{
	struct alert alert = {0};

	if (set->finding.severity) {
		lateral_alert(set, ssh, &alert);
		finding_end(&set->finding, &alert, out);
	}
	memset(set, 0, sizeof(*set));
}

static void lateral_observe(void *self, const struct flow_event_header *header,
                            const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const bool ssh = record->key.peer_port == 22;
	const uint64_t hash = detector_hash_address(record->key.peer);
	struct lateral *lateral = self;
	struct lateral_set *set = ssh ? &lateral->ssh : &lateral->others;
	uint64_t *word = &set->hosts[hash >> 6 & (LATERAL_WORDS - 1)];
	struct alert alert = {0};
	unsigned int severity;
	uint32_t hosts;

	if (set->first_ns && !set->finding.severity &&
	    record->last_ns > set->first_ns + DETECTOR_HOUR_NS)
		memset(set, 0, sizeof(*set));
	if (!set->first_ns)
		set->first_ns = BASE_MIN(record->first_ns, record->last_ns);
	set->last_ns = BASE_MAX(set->last_ns, record->last_ns);
	if (*word & 1ull << (hash & 63))
		return;
	*word |= 1ull << (hash & 63);
	if (set->flow_count < ALERT_FLOWS_MAX)
		set->flows[set->flow_count++] = record->key;
	hosts = lateral_hosts(set);
	severity = hosts < LATERAL_AT        ? 0
	           : ssh                     ? ALERT_LOW
	           : hosts < LATERAL_HIGH_AT ? ALERT_MEDIUM
	                                     : ALERT_HIGH;
	if (!finding_due(&set->finding, severity, hosts))
		return;
	lateral_alert(set, ssh, &alert);
	finding_say(&set->finding, &alert, severity, hosts, out);
}

static void lateral_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct lateral *lateral = self;

	if (lateral->ssh.finding.severity && now_ns > lateral->ssh.last_ns + DETECTOR_HOUR_NS)
		lateral_end(&lateral->ssh, true, out);
	if (lateral->others.finding.severity && now_ns > lateral->others.last_ns + DETECTOR_HOUR_NS)
		lateral_end(&lateral->others, false, out);
}

static void *lateral_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct lateral));
}

const struct detector_ops lateral_detector = {
        .name = "lateral",
        .policy = offsetof(struct policy_monitor, lateral),
        .memory = sizeof(struct lateral),
        .types = 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_UPDATE,
        .wants = lateral_wants,
        .create = lateral_create,
        .destroy = free,
        .observe = lateral_observe,
        .tick = lateral_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
