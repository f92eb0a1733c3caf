/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes DNS messages apart and shows them to what watches them. Over UDP an event is a message; over TCP it
 * is a segment, whose messages have their lengths before them (RFC 1035, 4.2.2), and of which those are read
 * that begin in the first segment of their direction.
 */
#include "monitor/dns_detector.h"

#include <ctype.h>

#include "base/base.h"
#include "bpf/packet.h"

struct dns_detector {
	uint32_t off;
	struct dns_tunnel tunnel;
	struct dns_names names;
};

bool dns_bit_new(uint64_t *now, const uint64_t *before, size_t bits, uint64_t hash)
{
	const size_t at = hash & (bits - 1);
	const uint64_t bit = 1ull << (at & 63);
	const bool new = !((now[at / 64] | before[at / 64]) & bit);

	now[at / 64] |= bit;
	return new;
}

static uint64_t dns_zone_hash(const struct dns_name *name, size_t labels)
{
	uint64_t hash = 0xcbf29ce484222325ull;

	if (labels == 0)
		return 1;
	for (size_t i = name->at[name->labels - labels]; i < name->size; i++)
		hash = (hash ^ (uint64_t)tolower(name->text[i])) * 0x100000001b3ull;
	return detector_mix(hash) | 1;
}

static void dns_message_seen(struct dns_detector *dns, const struct flow_payload_event *event,
                             const uint8_t *bytes, size_t size, const struct detector_out *out)
{
	struct dns_message message;
	struct dns_seen seen = {
	        .message = &message, .flow = &event->key, .now_ns = event->header.time_ns};

	if (dns_parse(bytes, size, &message) < 0 || message.name.labels == 0 ||
	    dns_is_reverse(&message.name))
		return;
	/* what others ask of the guest is theirs; what it answers, too */
	if ((event->side == FLOW_GUEST) == message.response)
		return;
	seen.zone = dns_zone_labels(&message.name);
	seen.zone_hash = dns_zone_hash(&message.name, seen.zone);
	if (!(dns->off & 1u << DETECTOR_DNS_TUNNEL))
		dns_tunnel_observe(&dns->tunnel, &seen, out);
	if (!(dns->off & 1u << DETECTOR_DNS_NAMES))
		dns_names_observe(&dns->names, &seen, out);
}

static void dns_event(void *self, const struct flow_event_header *header,
                      const struct detector_out *out)
{
	const struct flow_payload_event *event = (const struct flow_payload_event *)header;
	size_t at = 0;

	if (event->key.proto != PACKET_PROTO_TCP) {
		dns_message_seen(self, event, event->bytes, event->captured, out);
		return;
	}
	while (event->offset == 0 && event->captured - at > 2) {
		size_t length = base_be16(event->bytes + at);
		size_t there = (size_t)event->captured - at - 2;

		dns_message_seen(self, event, event->bytes + at + 2, BASE_MIN(length, there), out);
		if (length >= there)
			return;
		at += 2 + length;
	}
}

static bool dns_wants(const struct flow_event_header *header)
{
	const struct flow_payload_event *event = (const struct flow_payload_event *)header;

	return event->kind == FLOW_PAYLOAD_DNS;
}

static void *dns_create(const struct detector_config *config)
{
	struct dns_detector *dns = detector_take(config, sizeof(*dns));

	if (dns)
		dns->off = config->off;
	return dns;
}

static void dns_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct dns_detector *dns = self;

	dns_tunnel_tick(&dns->tunnel, now_ns, out);
	dns_names_tick(&dns->names, now_ns, out);
}

const struct detector_ops dns_tunnel_detector = {
        .name = "dns_tunnel",
        .policy = offsetof(struct policy_monitor, dns_tunnel),
        .memory = sizeof(struct dns_detector),
        .types = 1u << FLOW_EVENT_PAYLOAD,
        .always = true,
        .wants = dns_wants,
        .create = dns_create,
        .destroy = free,
        .observe = dns_event,
        .tick = dns_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};

const struct detector_ops dns_names_detector = {
        .name = "dns_names",
        .policy = offsetof(struct policy_monitor, dns_names),
};
