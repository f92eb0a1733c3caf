/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that last for hours (T1571, T1572): a shell, a tunnel or a command channel that is held open. RITA
 * has them from one hour on, and from 4, 8 and 12 hours as ever more worth a look; Zeek's zeek-long-connections
 * from ten minutes. Long life alone is ordinary (SSH sessions, message queues, pushes to phones), so it is low,
 * and said again at each doubling.
 *
 * Medium from one hour on are TCP connections that the guest opened to a port where no well-known service is,
 * and that hardly carry anything (below 64 bytes a second, both ways together): the shape of a channel that is
 * kept open in case it is needed. Peer-to-peer programs have many such at a time: from four on they are low.
 *
 * Times are those of packets: a connection says that it lives every ten minutes, if it has packets by then
 * (bpf/events.h).
 *
 * Limits. Shorter than an hour is not found. 64 connections are remembered of each VM, the longest ones.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"

enum { LONG_MAX = 64, LONG_IDLE_RATE = 64, LONG_MANY = 4 };
#define LONG_AT_NS DETECTOR_HOUR_NS
/* from here on one is remembered, to know how many there are */
#define LONG_TRACKED_NS (9 * DETECTOR_MINUTE_NS)
#define LONG_QUIET_NS   (2 * DETECTOR_HOUR_NS + 20 * DETECTOR_MINUTE_NS)

struct longconn_one {
	bool used, odd;
	struct flow_key key;
	uint64_t first_ns, last_ns;
	uint64_t bytes[2];
	struct finding finding;
};

struct longconn {
	struct longconn_one all[LONG_MAX];
};

static bool longconn_wants(const struct flow_event_header *header)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;

	return record->last_ns >= record->first_ns + LONG_TRACKED_NS &&
	       (record->key.proto == PACKET_PROTO_TCP || record->key.proto == PACKET_PROTO_UDP) &&
	       record->key.family != FLOW_ARP && record->sides[0].packets &&
	       /* time is asked for all the time */
	       !(record->key.proto == PACKET_PROTO_UDP && record->key.peer_port == 123) &&
	       record->sides[1].packets;
}

static void longconn_alert(const struct longconn_one *one, struct alert *alert)
{
	const bool by_guest = one->odd || one->key.guest_port >= one->key.peer_port;
	char host[46], span[28], sent[28], got[28];

	alert->detector = DETECTOR_LONG_CONNECTION;
	alert->rule = "longconn.connection";
	alert->technique = "T1571";
	alert->technique_name = "Non-Standard Port";
	if (!one->odd) {
		alert->technique = "T1572";
		alert->technique_name = "Protocol Tunneling";
	}
	alert->tactic = "TA0011";
	alert->tactic_name = "Command and Control";
	alert->confidence = one->finding.severity >= ALERT_MEDIUM ? 60 : 40;
	alert->family = one->key.family;
	alert->proto = one->key.proto;
	memcpy(alert->source, one->key.guest, 16);
	memcpy(alert->target, one->key.peer, 16);
	alert->port = by_guest ? one->key.peer_port : one->key.guest_port;
	alert->first_ns = one->first_ns;
	alert->last_ns = one->last_ns;
	alert->flows[0] = one->key;
	alert->flow_count = 1;
	alert_fact(alert, "seconds", (one->last_ns - one->first_ns) / DETECTOR_SECOND_NS);
	alert_fact(alert, "bytes_out", one->bytes[FLOW_GUEST]);
	alert_fact(alert, "bytes_in", one->bytes[FLOW_PEER]);
	alert_address(host, one->key.peer, one->key.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "has held a connection with %s, port %u, for %s: %s out, %s in", host, alert->port,
	         finding_span(span, one->last_ns - one->first_ns),
	         finding_bytes(sent, one->bytes[FLOW_GUEST]),
	         finding_bytes(got, one->bytes[FLOW_PEER]));
}

static void longconn_end(struct longconn_one *one, const struct detector_out *out)
{
	struct alert alert = {0};

	if (one->finding.severity) {
		longconn_alert(one, &alert);
		finding_end(&one->finding, &alert, out);
	}
	memset(one, 0, sizeof(*one));
}

/* The connection's place, or the one of the shortest. */
static struct longconn_one *longconn_find(struct longconn *self, const struct flow_record *record,
                                          const struct detector_out *out)
{
	struct longconn_one *victim = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < LONG_MAX; i++) {
		struct longconn_one *one = &self->all[i];
		uint64_t lasted = one->used ? one->last_ns - one->first_ns : 0;

		/* live times move a little with the clock */
		if (one->used && memcmp(&one->key, &record->key, sizeof(one->key)) == 0 &&
		    record->first_ns < one->last_ns)
			return one;
		if (lasted < least) {
			least = lasted;
			victim = one;
		}
	}
	longconn_end(victim, out);
	victim->used = true;
	victim->key = record->key;
	victim->first_ns = record->first_ns;
	victim->odd = record->key.proto == PACKET_PROTO_TCP &&
	              !(record->flags & FLOW_FLAG_PEER_OPENED) &&
	              !port_is_common(record->key.proto, record->key.peer_port) &&
	              !port_is_common(record->key.proto, record->key.guest_port);
	return victim;
}

static unsigned int longconn_severity(const struct longconn *self, const struct longconn_one *one)
{
	const uint64_t seconds = (one->last_ns - one->first_ns) / DETECTOR_SECOND_NS;
	size_t odd = 0;

	for (size_t i = 0; i < LONG_MAX; i++)
		odd += self->all[i].odd;
	return one->odd && odd < LONG_MANY &&
	                       one->bytes[0] + one->bytes[1] < seconds * LONG_IDLE_RATE
	               ? ALERT_MEDIUM
	               : ALERT_LOW;
}

static void longconn_observe(void *self, const struct flow_event_header *header,
                             const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	struct longconn_one *one = longconn_find(self, record, out);
	struct alert alert = {0};
	unsigned int severity;
	uint64_t seconds;

	one->last_ns = record->last_ns;
	one->bytes[0] = record->sides[0].bytes;
	one->bytes[1] = record->sides[1].bytes;
	seconds = (one->last_ns - one->first_ns) / DETECTOR_SECOND_NS;
	severity = longconn_severity(self, one);
	if (seconds >= LONG_AT_NS / DETECTOR_SECOND_NS &&
	    finding_due(&one->finding, severity, seconds)) {
		longconn_alert(one, &alert);
		finding_say(&one->finding, &alert, severity, seconds, out);
	}
	if (header->type == FLOW_EVENT_END)
		longconn_end(one, out);
}

static void longconn_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct longconn *all = self;

	for (size_t i = 0; i < LONG_MAX; i++)
		if (all->all[i].used && now_ns > all->all[i].last_ns + LONG_QUIET_NS)
			longconn_end(&all->all[i], out);
}

static void *longconn_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct longconn));
}

const struct detector_ops longconn_detector = {
        .name = "long_connection",
        .policy = offsetof(struct policy_monitor, long_connection),
        .memory = sizeof(struct longconn),
        .types = 1u << FLOW_EVENT_UPDATE | 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_END,
        .wants = longconn_wants,
        .create = longconn_create,
        .destroy = free,
        .observe = longconn_observe,
        .tick = longconn_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
