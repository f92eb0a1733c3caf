/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Denied egress: what a guest tried to reach and its policy does not allow, from the firewall's log. One finding for
 * each kind of destination and family: the Internet, private networks, cloud metadata services
 * (T1552.005), each IPv4 and IPv6. It ends after an hour without. And denied ingress: what tried to reach the guest, a
 * finding for the Internet and one for private networks, where other guests are too.
 *
 * It is low at first: a time server that nobody thought of is denied too, and so is what an image asks of a cloud that
 * it is not in. From 32 different destinations (address and port) within an hour it is medium: a program
 * has the few that it was written for, and what tries so many looks for a way out (T1046). What comes in stays low
 * (T1595 from the Internet, T1046 from near).
 *
 * Limits. A tap has 10 packets a second logged, after 40 at once; of those beyond, of all taps together, every 1,024th
 * stands for all, so those of one tap are counted to within that, of several that flood at once by chance, and only the
 * logged ones tell of destinations. These are counted by 256 bits, by
 * hash, so that 40 count as about 37. What is dropped for a false source is not egress, and not here.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/denied.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"
#include "policies/policies.h"

enum { DENIED_MANY = 32, DENIED_WORDS = 4, DENIED_NEWS = 16 };
enum denied_kind {
	DENIED_INTERNET,
	DENIED_PRIVATE,
	DENIED_METADATA,
	DENIED_FROM_INTERNET,
	DENIED_FROM_PRIVATE,
	DENIED_KINDS
};
#define DENIED_QUIET_NS DETECTOR_HOUR_NS

struct denied_one {
	uint64_t targets[DENIED_WORDS];
	uint64_t packets, more;
	uint64_t first_ns, last_ns;
	uint32_t line; /* of the first packet */
	struct flow_key flows[ALERT_FLOWS_MAX];
	size_t flow_count;
	struct finding finding;
};

struct denied {
	struct denied_one all[DENIED_KINDS][2];
};

static enum denied_kind denied_kind_of(const struct flow_key *key, bool inward)
{
	if (inward)
		return address_is_public(key->peer, key->family) ? DENIED_FROM_INTERNET
		                                                 : DENIED_FROM_PRIVATE;
	if (policy_is_metadata(key->family == FLOW_IPV6 ? 6 : 4, key->peer))
		return DENIED_METADATA;
	return address_is_public(key->peer, key->family) ? DENIED_INTERNET : DENIED_PRIVATE;
}

static uint32_t denied_targets(const struct denied_one *one)
{
	int bits = 0;

	for (size_t i = 0; i < DENIED_WORDS; i++)
		bits += __builtin_popcountll(one->targets[i]);
	return (uint32_t)bits;
}

static bool denied_inward(enum denied_kind kind)
{
	return kind == DENIED_FROM_INTERNET || kind == DENIED_FROM_PRIVATE;
}

/* What comes in is others' doing: it makes nobody act against the guest, which only findings of medium and above do. */
static unsigned int denied_severity(const struct denied_one *one, enum denied_kind kind)
{
	return denied_targets(one) >= DENIED_MANY && !denied_inward(kind) ? ALERT_MEDIUM
	                                                                  : ALERT_LOW;
}

static void denied_words(const struct denied_one *one, enum denied_kind kind, struct alert *alert)
{
	static const char *const kinds[] = {"the Internet", "private networks",
	                                    "a cloud's metadata service", "the Internet",
	                                    "private networks"};
	const struct flow_key *first = &one->flows[0];
	const bool in = denied_inward(kind);
	const uint32_t targets = denied_targets(one);
	char host[46], packets[28], by[48] = "no rule allows it", port[16] = "";

	alert_address(host, first->peer, first->family);
	if (one->line)
		snprintf(by, sizeof(by), "by line %u of its policy", one->line);
	if (first->proto == PACKET_PROTO_TCP || first->proto == PACKET_PROTO_UDP)
		snprintf(port, sizeof(port), " %sport %u", in ? "to " : "",
		         in ? first->guest_port : first->peer_port);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "%s %s: %s packet%s %s %u %s%s, the first %s%s%s; %s",
	         in ? "was not to be reached from" : "was denied", kinds[kind],
	         finding_number(packets, one->packets + one->more),
	         one->packets + one->more == 1 ? "" : "s", in ? "of" : "to", targets,
	         in ? "sender and port" : "destination", targets == 1 ? "" : "s", in ? "from " : "",
	         host, port, by);
}

static void denied_alert(const struct denied_one *one, enum denied_kind kind, struct alert *alert)
{
	static const struct {
		const char *technique, *name, *tactic, *tactic_name;
	} attack[] = {
	        {"T1071", "Application Layer Protocol", "TA0011", "Command and Control"},
	        {"T1046", "Network Service Discovery", "TA0007", "Discovery"},
	        {"T1552.005", "Cloud Instance Metadata API", "TA0006", "Credential Access"},
	        {"T1595", "Active Scanning", "TA0043", "Reconnaissance"},
	};
	const struct flow_key *first = &one->flows[0];
	const bool many = denied_targets(one) >= DENIED_MANY, in = denied_inward(kind);
	const size_t at = kind == DENIED_METADATA        ? 2
	                  : kind == DENIED_FROM_INTERNET ? 3
	                  : many || in                   ? 1
	                                                 : 0;

	alert->detector = DETECTOR_DENIED;
	alert->rule = in ? "ingress.denied" : "egress.denied";
	alert->technique = attack[at].technique;
	alert->technique_name = attack[at].name;
	alert->tactic = attack[at].tactic;
	alert->tactic_name = attack[at].tactic_name;
	alert->confidence = many ? 80 : 40;
	alert->family = first->family;
	alert->proto = first->proto;
	/* no port: the finding's id is made of it, and others may follow */
	if (in || denied_targets(one) == 1)
		memcpy(alert->target, in ? first->guest : first->peer, 16);
	if (!in || denied_targets(one) == 1)
		memcpy(alert->source, in ? first->peer : first->guest, 16);
	alert->first_ns = one->first_ns;
	alert->last_ns = one->last_ns;
	memcpy(alert->flows, one->flows, sizeof(alert->flows));
	alert->flow_count = one->flow_count;
	alert_fact(alert, "denied_packets", one->packets);
	alert_fact(alert, "denied_unlogged", one->more);
	alert_fact(alert, in ? "denied_senders_and_ports" : "denied_destinations",
	           denied_targets(one));
	alert_fact(alert, "policy_line", one->line);
	denied_words(one, kind, alert);
}

static void denied_end(struct denied_one *one, enum denied_kind kind,
                       const struct detector_out *out)
{
	struct alert alert = {0};

	if (one->finding.severity) {
		denied_alert(one, kind, &alert);
		finding_end(&one->finding, &alert, out);
	}
	memset(one, 0, sizeof(*one));
}

static void denied_count(struct denied_one *one, const struct denied_event *event)
{
	const uint64_t hash = detector_mix(
	        detector_hash_address(event->key.peer) +
	        ((uint64_t)(event->inward ? event->key.guest_port : event->key.peer_port) << 8) +
	        event->key.proto);
	uint64_t *word = &one->targets[hash >> 6 & (DENIED_WORDS - 1)];

	if (!one->packets) {
		one->first_ns = event->header.time_ns;
		one->line = event->line;
	}
	one->last_ns = BASE_MAX(one->last_ns, event->header.time_ns);
	one->packets++;
	one->more += event->more;
	if (*word & 1ull << (hash & 63))
		return;
	*word |= 1ull << (hash & 63);
	if (one->flow_count < ALERT_FLOWS_MAX)
		one->flows[one->flow_count++] = event->key;
}

static void denied_observe(void *self, const struct flow_event_header *header,
                           const struct detector_out *out)
{
	const struct denied_event *event = (const struct denied_event *)header;
	const enum denied_kind kind = denied_kind_of(&event->key, event->inward);
	struct denied *denied = self;
	struct denied_one *one = &denied->all[kind][event->key.family == FLOW_IPV6];
	struct alert alert = {0};
	unsigned int severity;
	uint64_t evidence;

	denied_count(one, event);
	severity = denied_severity(one, kind);
	/* a connection is tried again a few times: that is no news */
	evidence = 1 + (one->packets + one->more) / DENIED_NEWS;
	if (!finding_due(&one->finding, severity, evidence))
		return;
	denied_alert(one, kind, &alert);
	finding_say(&one->finding, &alert, severity, evidence, out);
}

static void denied_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct denied *denied = self;

	for (int kind = 0; kind < DENIED_KINDS; kind++)
		for (size_t v6 = 0; v6 < 2; v6++) {
			struct denied_one *one = &denied->all[kind][v6];

			if (one->packets && now_ns > one->last_ns + DENIED_QUIET_NS)
				denied_end(one, (enum denied_kind)kind, out);
		}
}

static void *denied_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct denied));
}

const struct detector_ops denied_detector = {
        .name = "denied",
        .policy = offsetof(struct policy_monitor, denied),
        .memory = sizeof(struct denied),
        .types = 1u << DENIED_EVENT,
        .create = denied_create,
        .destroy = free,
        .observe = denied_observe,
        .tick = denied_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
