/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Contact with addresses and names that lists know to be bad (intel_list.h). A list is somebody's knowledge, not a
 * shape of traffic, so one contact is enough, and the severity goes by what came of it:
 *
 *   intel.address  the guest spoke to a listed address: critical where that answered (TCP: SYN/ACK; else any packet
 *                  back), high where it did not. A listed address spoke to the guest: high where the guest
 *                  answered, low where it did not: the whole Internet is scanned by such all day. The same of a
 *                  capture's address that is listed itself, and so counts as a VM.
 *   intel.name     the guest asked DNS for a listed name, or one below it: high, as nothing was sent there yet
 *   intel.tls      the guest asked for such a name in a TLS hello: critical, as the other end has the connection
 *
 * (T1071 Application Layer Protocol, its parts for DNS and the web; T1595 Active Scanning for what comes in.)
 *
 * Limits. It is as good as the lists: an address that many share (a CDN, a sinkhole, a NAT) brings false alarms, and a
 * name that is hidden (DNS over TLS or HTTPS, Encrypted Client Hello, QUIC's hello) or behind the first segment of a
 * hello is not seen; its address may be. Of a reload only what happens afterwards is judged, of connections
 * that stand already at their next sign of life. Each thing is one finding, which ends after an hour without; 64
 * are remembered of each VM.
 */
#include "monitor/intel_list.h"

#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/detectors.h"
#include "monitor/dns.h"
#include "monitor/finding.h"
#include "monitor/tls.h"

enum { INTEL_MAX = 64 };
#define INTEL_QUIET_NS DETECTOR_HOUR_NS

enum intel_kind { INTEL_OUT, INTEL_IN, INTEL_SELF, INTEL_NAME, INTEL_TLS };

struct intel_one {
	bool used;
	uint8_t kind;        /* enum intel_kind */
	uint64_t what;       /* hash of the address or the name */
	struct flow_key key; /* of the last one */
	uint64_t first_ns, last_ns;
	uint32_t contacts, answered, line;
	char list[INTEL_NAME_MAX];
	char name[ALERT_NAME_MAX];
	struct flow_key flows[ALERT_FLOWS_MAX];
	size_t flow_count;
	struct finding finding;
};

struct intel {
	const struct intel_set *set;
	struct intel_one all[INTEL_MAX];
};

struct intel_hit {
	const struct intel_list *list;
	uint32_t line; /* 0: none lists it */
};

/* --- findings --- */

static void intel_words(const struct intel_one *one, struct alert *alert)
{
	static const struct {
		const char *rule, *technique, *name, *tactic, *tactic_name;
	} rules[] = {
	        [INTEL_OUT] = {"intel.address", "T1071", "Application Layer Protocol", "TA0011",
	                       "Command and Control"},
	        [INTEL_IN] = {"intel.address", "T1595", "Active Scanning", "TA0043",
	                      "Reconnaissance"},
	        [INTEL_SELF] = {"intel.address", "T1595", "Active Scanning", "TA0043",
	                        "Reconnaissance"},
	        [INTEL_NAME] = {"intel.name", "T1071.004", "DNS", "TA0011", "Command and Control"},
	        [INTEL_TLS] = {"intel.tls", "T1071.001", "Web Protocols", "TA0011",
	                       "Command and Control"},
	};
	char host[46], count[28], answered[28];

	alert->rule = rules[one->kind].rule;
	alert->technique = rules[one->kind].technique;
	alert->technique_name = rules[one->kind].name;
	alert->tactic = rules[one->kind].tactic;
	alert->tactic_name = rules[one->kind].tactic_name;
	alert_address(host, one->key.peer, one->key.family);
	finding_number(count, one->contacts);
	finding_number(answered, one->answered);
	if (one->kind == INTEL_NAME || one->kind == INTEL_TLS)
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "asked %s %s for %s, %s times; line %u of the list %s has it",
		         one->kind == INTEL_NAME ? "DNS of" : "TLS of", host, alert->name, count,
		         one->line, one->list);
	else
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "%s %s, port %u, %s times, %s answered; line %u of the list %s has it",
		         one->kind == INTEL_IN     ? "was spoken to by"
		         : one->kind == INTEL_SELF ? "is listed, and spoke to"
		                                   : "spoke to",
		         host, one->kind == INTEL_IN ? one->key.guest_port : one->key.peer_port,
		         count, answered, one->line, one->list);
}

static void intel_alert(const struct intel_one *one, struct alert *alert)
{
	const bool in = one->kind == INTEL_IN;

	alert->detector = DETECTOR_INTEL;
	alert->confidence = in || one->kind == INTEL_SELF ? 60 : 90;
	alert->family = one->key.family;
	alert->proto = one->key.proto;
	memcpy(alert->source, in ? one->key.peer : one->key.guest, 16);
	memcpy(alert->target, in ? one->key.guest : one->key.peer, 16);
	alert->first_ns = one->first_ns;
	alert->last_ns = one->last_ns;
	memcpy(alert->flows, one->flows, sizeof(alert->flows));
	alert->flow_count = one->flow_count;
	base_copy_string(alert->name, sizeof(alert->name), one->name);
	alert_fact(alert, "contacts", one->contacts);
	if (one->kind <= INTEL_SELF)
		alert_fact(alert, "answered", one->answered);
	alert_fact(alert, "list_line", one->line);
	base_copy_string(alert->list, sizeof(alert->list), one->list);
	intel_words(one, alert);
}

static void intel_end(struct intel_one *one, const struct detector_out *out)
{
	struct alert alert = {0};

	if (one->finding.severity) {
		intel_alert(one, &alert);
		finding_end(&one->finding, &alert, out);
	}
	memset(one, 0, sizeof(*one));
}

static unsigned int intel_severity(const struct intel_one *one)
{
	if (one->kind == INTEL_TLS || (one->kind == INTEL_OUT && one->answered))
		return ALERT_CRITICAL;
	return one->kind == INTEL_OUT || one->kind == INTEL_NAME || one->answered ? ALERT_HIGH
	                                                                          : ALERT_LOW;
}

static struct intel_one *intel_find(struct intel *intel, enum intel_kind kind, uint64_t what,
                                    const struct detector_out *out)
{
	struct intel_one *victim = &intel->all[0];

	for (size_t i = 0; i < INTEL_MAX; i++) {
		struct intel_one *one = &intel->all[i];

		if (one->used && one->kind == kind && one->what == what)
			return one;
		/* the least severe, then the one that is quiet for longest */
		if (!one->used
		            ? victim->used
		            : victim->used && (one->finding.severity < victim->finding.severity ||
		                               (one->finding.severity == victim->finding.severity &&
		                                one->last_ns < victim->last_ns)))
			victim = one;
	}
	intel_end(victim, out);
	victim->used = true;
	victim->kind = (uint8_t)kind;
	victim->what = what;
	return victim;
}

/* --- what has happened --- */

struct intel_contact {
	enum intel_kind kind;
	const struct flow_key *key;
	uint64_t now_ns;
	const char *name; /* or NULL */
	size_t name_size;
	bool begins, answered; /* a contact; its answer */
};

/* Of the line of the list: one finding for all names below the one that stands there. */
static uint64_t intel_line_hash(const struct intel_hit *hit)
{
	uint64_t hash = hit->line;

	for (const char *c = intel_list_name(hit->list); *c; c++)
		hash = detector_mix(hash + (uint8_t)*c);
	return hash;
}

static void intel_seen(struct intel *intel, const struct intel_contact *contact,
                       const struct intel_hit *hit, const struct detector_out *out)
{
	const uint64_t what = contact->name ? intel_line_hash(hit)
	                      : contact->kind == INTEL_SELF
	                              ? detector_hash_address(contact->key->guest)
	                              : detector_hash_address(contact->key->peer);
	struct intel_one *one = intel_find(intel, contact->kind, what, out);
	struct alert alert = {0};

	if (!one->contacts) {
		one->first_ns = contact->now_ns;
		one->line = hit->line;
		base_copy_string(one->list, sizeof(one->list), intel_list_name(hit->list));
		if (contact->name) {
			alert_name(&alert, (const uint8_t *)contact->name, contact->name_size);
			base_copy_string(one->name, sizeof(one->name), alert.name);
		}
	}
	one->key = *contact->key;
	one->last_ns = BASE_MAX(one->last_ns, contact->now_ns);
	/* a connection that stood before the list did is a contact too */
	one->contacts += contact->begins || !one->contacts;
	one->answered += contact->answered && one->answered < one->contacts;
	if ((contact->begins || !one->flow_count) && one->flow_count < ALERT_FLOWS_MAX)
		one->flows[one->flow_count++] = *contact->key;
	if (!finding_due(&one->finding, intel_severity(one), one->contacts))
		return;
	intel_alert(one, &alert);
	finding_say(&one->finding, &alert, intel_severity(one), one->contacts, out);
}

static struct intel_hit intel_hit_address(const struct intel_set *set, const uint8_t address[16],
                                          uint8_t family)
{
	struct intel_hit hit = {NULL, 0};

	for (size_t i = 0; i < set->count && !hit.line; i++) {
		hit.list = set->lists[i];
		hit.line = intel_list_address(hit.list, address, family);
	}
	return hit;
}

static void intel_name(struct intel *intel, struct intel_contact *contact,
                       const struct detector_out *out)
{
	for (size_t i = 0; i < intel->set->count; i++) {
		const struct intel_hit hit = {
		        intel->set->lists[i],
		        intel_list_domain(intel->set->lists[i], contact->name, contact->name_size)};

		if (hit.line) {
			intel_seen(intel, contact, &hit, out);
			return;
		}
	}
}

/* --- events --- */

static bool intel_wants(const struct flow_event_header *header)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)header;
	const struct flow_record *record = &((const struct flow_event *)header)->record;

	if (header->type == FLOW_EVENT_PAYLOAD)
		return payload->side == FLOW_GUEST && payload->offset == 0 &&
		       (payload->kind == FLOW_PAYLOAD_DNS || payload->kind == FLOW_PAYLOAD_TLS);
	return record->key.family != FLOW_ARP && !(record->flags & FLOW_FLAG_BACKSCATTER);
}

static void intel_payload(struct intel *intel, const struct flow_payload_event *event,
                          const struct detector_out *out)
{
	/* over TCP a message has its length before it; over UDP each datagram is one */
	const size_t skip = event->key.proto == PACKET_PROTO_TCP ? 2 : 0;
	struct intel_contact contact = {
	        .key = &event->key, .now_ns = event->header.time_ns, .begins = true};
	struct dns_message message;
	struct tls_hello hello;

	if (event->kind == FLOW_PAYLOAD_TLS) {
		if (event->flags & FLOW_FLAG_PEER_OPENED ||
		    tls_hello_parse(event->bytes, event->captured, false, &hello) < 0)
			return;
		contact.kind = INTEL_TLS;
		contact.name = hello.name;
		contact.name_size = strlen(hello.name);
	} else {
		if (event->captured < skip ||
		    dns_parse(event->bytes + skip, event->captured - skip, &message) < 0 ||
		    message.response)
			return;
		contact.kind = INTEL_NAME;
		contact.name = (const char *)message.name.text;
		contact.name_size = message.name.size;
	}
	intel_name(intel, &contact, out);
}

static void intel_observe(void *self, const struct flow_event_header *header,
                          const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const bool in = record->flags & FLOW_FLAG_PEER_OPENED;
	struct intel *intel = self;
	struct intel_contact contact = {.kind = in ? INTEL_IN : INTEL_OUT,
	                                .key = &record->key,
	                                .now_ns = header->time_ns,
	                                .begins = header->type == FLOW_EVENT_NEW};
	struct intel_hit hit;

	if (header->type == FLOW_EVENT_PAYLOAD) {
		intel_payload(intel, (const struct flow_payload_event *)header, out);
		return;
	}
	hit = intel_hit_address(intel->set, record->key.peer, record->key.family);
	if (!hit.line && !in) {
		hit = intel_hit_address(intel->set, record->key.guest, record->key.family);
		contact.kind = INTEL_SELF;
	}
	if (!hit.line)
		return;
	/* once a flow: by the first outcome that is an answer, or, of one that stood before, by its next sign of life */
	contact.answered =
	        record->outcome == FLOW_OUTCOME_ANSWERED ||
	        (record->outcome > FLOW_OUTCOME_ANSWERED &&
	         (header->type == FLOW_EVENT_UPDATE || record->flags & FLOW_FLAG_MIDSTREAM));
	if (contact.begins || header->type == FLOW_EVENT_UPDATE || contact.answered)
		intel_seen(intel, &contact, &hit, out);
}

static void intel_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct intel *intel = self;

	for (size_t i = 0; i < INTEL_MAX; i++)
		if (intel->all[i].used && now_ns > intel->all[i].last_ns + INTEL_QUIET_NS)
			intel_end(&intel->all[i], out);
}

static void *intel_create(const struct detector_config *config)
{
	static const struct intel_set none;
	struct intel *intel = detector_take(config, sizeof(*intel));

	if (intel)
		intel->set = config->intel ? config->intel : &none;
	return intel;
}

const struct detector_ops intel_detector = {
        .name = "intel",
        .policy = offsetof(struct policy_monitor, intel),
        .memory = sizeof(struct intel),
        .types = 1u << FLOW_EVENT_NEW | 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_UPDATE |
                 1u << FLOW_EVENT_PAYLOAD,
        .wants = intel_wants,
        .create = intel_create,
        .destroy = free,
        .observe = intel_observe,
        .tick = intel_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
