/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The elements of a record, in the order of the table: their numbers are IANA's (iana.org/assignments/ipfix), those
 * of what the other side sent are the same under the enterprise number of RFC 5103, 6.1. A record's source is
 * whoever opened the flow.
 *
 * Octets are IPFIX's, so without the link's headers (RFC 5102, 5.10.1): what the tap counted less 14 a packet,
 * and 4 more with a VLAN's tag. A frame that Ethernet has padded counts with its padding.
 *
 * Collectors such as nfdump 1.7 keep one place for a port and an ICMP type, and one for the flags of both sides, and the
 * last field that they read stays: so what counts more is behind, and pings have their type as a port, too.
 */
#include "monitor/ipfix.h"

#include "base/base.h"

enum {
	IPFIX_VERSION = 10,
	IPFIX_SET_TEMPLATE = 2,
	IPFIX_SET_HEADER = 4,
	IPFIX_TEMPLATE_4 = 256,
	IPFIX_TEMPLATE_6 = 257,
	IPFIX_ENTERPRISE = 0x8000,
	IPFIX_REVERSE = 29305,
	IPFIX_VARIABLE = 65535,
	IPFIX_LINK = 14,
	IPFIX_TAG = 4,
};

/* What of a flow a field is of. */
enum ipfix_value {
	VALUE_START,
	VALUE_END,
	VALUE_SOURCE,
	VALUE_TARGET,
	VALUE_SOURCE_PORT,
	VALUE_TARGET_PORT,
	VALUE_PROTOCOL,
	VALUE_VERSION,
	VALUE_OCTETS,
	VALUE_PACKETS,
	VALUE_TCP_FLAGS,
	VALUE_TTL_MIN,
	VALUE_TTL_MAX,
	VALUE_ICMP,
	VALUE_REASON,
	VALUE_DIRECTION,
	VALUE_BIFLOW,
	VALUE_VLAN,
	VALUE_INTERFACE,
	VALUE_NAME,
};

static const struct ipfix_field {
	enum ipfix_value value;
	bool reverse;
	uint16_t id4, id6;     /* the element's number, by the address family */
	uint16_t size4, size6; /* bytes */
} ipfix_fields[] = {
        {VALUE_START, false, 152, 152, 8, 8},     /* flowStartMilliseconds */
        {VALUE_END, false, 153, 153, 8, 8},       /* flowEndMilliseconds */
        {VALUE_SOURCE, false, 8, 27, 4, 16},      /* sourceIPv4Address, ...6... */
        {VALUE_TARGET, false, 12, 28, 4, 16},     /* destinationIPv4Address, ...6... */
        {VALUE_ICMP, false, 32, 139, 2, 2},       /* icmpTypeCodeIPv4, ...6 */
        {VALUE_SOURCE_PORT, false, 7, 7, 2, 2},   /* sourceTransportPort */
        {VALUE_TARGET_PORT, false, 11, 11, 2, 2}, /* destinationTransportPort */
        {VALUE_PROTOCOL, false, 4, 4, 1, 1},      /* protocolIdentifier */
        {VALUE_VERSION, false, 60, 60, 1, 1},     /* ipVersion */
        {VALUE_OCTETS, false, 1, 1, 8, 8},        /* octetDeltaCount */
        {VALUE_PACKETS, false, 2, 2, 8, 8},       /* packetDeltaCount */
        {VALUE_OCTETS, true, 1, 1, 8, 8},
        {VALUE_PACKETS, true, 2, 2, 8, 8},
        {VALUE_TCP_FLAGS, true, 6, 6, 2, 2},
        {VALUE_TCP_FLAGS, false, 6, 6, 2, 2},   /* tcpControlBits */
        {VALUE_TTL_MIN, false, 52, 52, 1, 1},   /* minimumTTL */
        {VALUE_TTL_MAX, false, 53, 53, 1, 1},   /* maximumTTL */
        {VALUE_REASON, false, 136, 136, 1, 1},  /* flowEndReason */
        {VALUE_DIRECTION, false, 61, 61, 1, 1}, /* flowDirection: 0 from the guest, 1 to it */
        {VALUE_BIFLOW, false, 239, 239, 1, 1}, /* biflowDirection: 1, the source is the initiator */
        {VALUE_VLAN, false, 58, 58, 2, 2},     /* vlanId */
        {VALUE_INTERFACE, false, 10, 10, 4, 4},                      /* ingressInterface */
        {VALUE_NAME, false, 83, 83, IPFIX_VARIABLE, IPFIX_VARIABLE}, /* interfaceDescription */
};

static uint8_t *ipfix_put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = size; i-- > 0; value >>= 8)
		to[i] = (uint8_t)value;
	return to + size;
}

/* One flow, seen from whoever opened it. */
struct ipfix_flow {
	const struct flow_record *record;
	const struct ipfix_origin *origin;
	enum ipfix_end end;
	bool by_peer, icmp;
	uint16_t icmp_type_code;
};

static struct ipfix_flow ipfix_flow_of(const struct flow_record *record,
                                       const struct ipfix_origin *origin, enum ipfix_end end)
{
	const struct flow_key *key = &record->key;
	struct ipfix_flow flow = {.record = record, .origin = origin, .end = end};
	uint16_t own;

	flow.by_peer = record->flags & FLOW_FLAG_PEER_OPENED;
	flow.icmp = key->proto == (key->family == FLOW_IPV6 ? 58 : 1);
	own = flow.by_peer ? key->peer_port : key->guest_port;
	if (flow.icmp && record->flags & FLOW_FLAG_ONE_WAY)
		flow.icmp_type_code =
		        (uint16_t)(own << 8 | (flow.by_peer ? key->guest_port : key->peer_port));
	else if (flow.icmp)
		flow.icmp_type_code =
		        (uint16_t)(own << 8 | (record->icmp_type == own ? record->icmp_code : 0));
	return flow;
}

static uint64_t ipfix_number(const struct ipfix_flow *flow, enum ipfix_value value, bool reverse)
{
	const struct flow_record *record = flow->record;
	const struct flow_side *side = &record->sides[flow->by_peer != reverse];
	const struct flow_key *key = &record->key;
	const uint64_t link = IPFIX_LINK + (key->vlan ? IPFIX_TAG : 0);

	switch (value) {
	case VALUE_START: return (record->first_ns + flow->origin->clock_ns) / 1000000;
	case VALUE_END: return (record->last_ns + flow->origin->clock_ns) / 1000000;
	case VALUE_SOURCE_PORT:
		return flow->icmp ? 0 : flow->by_peer ? key->peer_port : key->guest_port;
	case VALUE_TARGET_PORT:
		return flow->icmp      ? flow->icmp_type_code
		       : flow->by_peer ? key->guest_port
		                       : key->peer_port;
	case VALUE_PROTOCOL: return key->proto;
	case VALUE_VERSION: return key->family;
	case VALUE_OCTETS: return side->bytes - BASE_MIN(side->bytes, link * side->packets);
	case VALUE_PACKETS: return side->packets;
	case VALUE_TCP_FLAGS: return side->tcp_flags;
	case VALUE_TTL_MIN: return side->ttl_min;
	case VALUE_TTL_MAX: return side->ttl_max;
	case VALUE_ICMP: return flow->icmp_type_code;
	case VALUE_REASON: return flow->end;
	case VALUE_DIRECTION: return flow->by_peer;
	case VALUE_BIFLOW: return 1;
	case VALUE_VLAN: return key->vlan;
	case VALUE_INTERFACE: return flow->origin->ifindex;
	default: return 0;
	}
}

static uint8_t *ipfix_field_put(uint8_t *to, const struct ipfix_flow *flow,
                                const struct ipfix_field *field)
{
	const struct flow_key *key = &flow->record->key;
	const size_t size = key->family == FLOW_IPV6 ? field->size6 : field->size4;
	const char *name = flow->origin->vm;

	switch (field->value) {
	case VALUE_SOURCE: memcpy(to, flow->by_peer ? key->peer : key->guest, size); break;
	case VALUE_TARGET: memcpy(to, flow->by_peer ? key->guest : key->peer, size); break;
	case VALUE_NAME:
		/* RFC 7011, 7: a length of one byte */
		*to = (uint8_t)strnlen(name, IPFIX_NAME_MAX);
		memcpy(to + 1, name, *to);
		return to + 1 + *to;
	default: return ipfix_put(to, ipfix_number(flow, field->value, field->reverse), size);
	}
	return to + size;
}

static size_t ipfix_record(const struct ipfix_flow *flow, uint8_t out[IPFIX_RECORD_MAX])
{
	uint8_t *at = out;

	for (size_t i = 0; i < BASE_COUNT(ipfix_fields); i++)
		at = ipfix_field_put(at, flow, &ipfix_fields[i]);
	return (size_t)(at - out);
}

bool ipfix_add(struct ipfix_batch *batch, const struct flow_record *record,
               const struct ipfix_origin *origin, enum ipfix_end end)
{
	const struct ipfix_flow flow = ipfix_flow_of(record, origin, end);
	const uint16_t template =
	        record->key.family == FLOW_IPV6 ? IPFIX_TEMPLATE_6 : IPFIX_TEMPLATE_4;
	uint8_t bytes[IPFIX_RECORD_MAX];
	size_t size;
	bool fresh;

	if (record->key.family != FLOW_IPV4 && record->key.family != FLOW_IPV6)
		return true;
	size = ipfix_record(&flow, bytes);
	fresh = batch->size == 0 || base_be16(batch->bytes + batch->set) != template;
	if (batch->size + (fresh ? IPFIX_SET_HEADER : 0) + size > sizeof(batch->bytes))
		return false;
	if (fresh) {
		batch->set = batch->size;
		ipfix_put(batch->bytes + batch->set, template, 2);
		batch->size = (uint16_t)(batch->size + IPFIX_SET_HEADER);
	}
	memcpy(batch->bytes + batch->size, bytes, size);
	batch->size = (uint16_t)(batch->size + size);
	ipfix_put(batch->bytes + batch->set + 2, (uint16_t)(batch->size - batch->set), 2);
	batch->count++;
	return true;
}

enum ipfix_end ipfix_end_of(const struct flow_record *record, uint64_t now, uint64_t idle_at)
{
	if (record->state == FLOW_STATE_CLOSED || record->state == FLOW_STATE_RESET)
		return IPFIX_END_DETECTED;
	return idle_at <= now ? IPFIX_END_IDLE : IPFIX_END_RESOURCES;
}

size_t ipfix_spool(const struct ipfix_batch *batch, uint8_t out[IPFIX_SPOOLED_MAX])
{
	memcpy(ipfix_put(out, batch->count, 2), batch->bytes, batch->size);
	return 2 + (size_t)batch->size;
}

int ipfix_unspool(const void *from, size_t size, uint16_t *count)
{
	if (size < 2 + IPFIX_SET_HEADER || size > IPFIX_SPOOLED_MAX)
		return -EBADMSG;
	*count = base_be16(from);
	return 0;
}

void ipfix_header(uint8_t out[IPFIX_HEADER], size_t size, uint32_t export_s, uint32_t sequence,
                  uint32_t domain)
{
	out = ipfix_put(out, IPFIX_VERSION, 2);
	out = ipfix_put(out, size, 2);
	out = ipfix_put(out, export_s, 4);
	out = ipfix_put(out, sequence, 4);
	ipfix_put(out, domain, 4);
}

static uint8_t *ipfix_template(uint8_t *at, uint16_t id, bool v6)
{
	at = ipfix_put(at, id, 2);
	at = ipfix_put(at, BASE_COUNT(ipfix_fields), 2);
	for (size_t i = 0; i < BASE_COUNT(ipfix_fields); i++) {
		const struct ipfix_field *field = &ipfix_fields[i];
		const unsigned int element = v6 ? field->id6 : field->id4;

		at = ipfix_put(at, element | (field->reverse ? IPFIX_ENTERPRISE : 0), 2);
		at = ipfix_put(at, v6 ? field->size6 : field->size4, 2);
		if (field->reverse)
			at = ipfix_put(at, IPFIX_REVERSE, 4);
	}
	return at;
}

size_t ipfix_templates(uint8_t out[IPFIX_HEADER + IPFIX_TEMPLATES_MAX], uint32_t export_s,
                       uint32_t sequence, uint32_t domain)
{
	uint8_t *set = out + IPFIX_HEADER, *at = set + IPFIX_SET_HEADER;
	size_t size;

	at = ipfix_template(at, IPFIX_TEMPLATE_4, false);
	at = ipfix_template(at, IPFIX_TEMPLATE_6, true);
	ipfix_put(ipfix_put(set, IPFIX_SET_TEMPLATE, 2), (uint64_t)(at - set), 2);
	size = (size_t)(at - out);
	ipfix_header(out, size, export_s, sequence, domain);
	return size;
}
