/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Data hidden in pings (T1095). "The data received in the echo message must be returned in the echo reply"
 * (RFC 792; RFC 4443, 4.2), and programs that only want an answer send the same bytes again and again, but
 * for a time stamp at the front. A tunnel has to break the one or the other:
 *
 *   sizes    requests and replies differ in their mean size by more than 8 bytes, or more replies come than
 *            were asked for, a quarter more
 *   content  behind the first 16 bytes, where time stamps are, most of the requests looked at differ from
 *            each other. Those looked at are the 1st, 2nd, 4th, 8th and so on of each direction.
 *   nested   two of them are whole IPv4 packets by themselves (length and checksum: RFC 791, 3.1)
 *
 * One sign is a finding of medium severity from 20 packets one way, 4 the other, and 2 KiB in all on; two, or 64 KiB,
 * high. Not 20 each way: a tunnel that fetches has its replies come without being asked for, hundreds to a request.
 * Much data without a sign (from 4 MiB) is low: somebody tests a path.
 *
 * Limits. A tunnel in one direction that sends the same size always, and whose content does not change behind
 * 16 bytes, is not found; nor one below 20 packets, nor one in other ICMP types. A program that pings with
 * random content (a path test that looks for compression) looks like a tunnel.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"

enum {
	ICMP_PAIRS = 32, /* a power of two */
	ICMP_PLACES = 8,
	ICMP_STAMP = 16,
	ICMP_LOOKED_AT = 32, /* bytes behind the time stamp */
	ICMP_PACKETS = 20,
	ICMP_PACKETS_BACK = 4,
	ICMP_BYTES = 2048,
	ICMP_APART = 8,
	ICMP_LOOKS = 4,
	ICMP_MUCH = 64 * 1024,
	ICMP_VOLUME = 4 << 20,
};
/* A flow that lives says so every ten minutes at least (bpf/events.h). */
#define ICMP_QUIET_NS (20 * DETECTOR_MINUTE_NS)

enum { ICMP_SIZES = 1, ICMP_CONTENT = 2, ICMP_NESTED = 4 };

struct icmp_pair {
	bool used;
	struct flow_key key;
	uint64_t first_ns, last_ns;
	uint64_t ended[2][2]; /* of flows that have ended: packets and payload of each side */
	uint64_t now[2][2];   /* of the one that has not */
	uint32_t looks[2], differ[2], nested;
	uint64_t contents[2][8]; /* hashes of the last ones */
	struct finding finding;
};

struct icmp {
	struct icmp_pair pairs[ICMP_PAIRS];
};

static bool icmp_is_echo(const struct flow_key *key)
{
	const uint16_t a = BASE_MIN(key->guest_port, key->peer_port);
	const uint16_t b = BASE_MAX(key->guest_port, key->peer_port);

	if (key->family == FLOW_IPV4)
		return key->proto == PACKET_PROTO_ICMP && a == 0 && b == 8;
	return key->family == FLOW_IPV6 && key->proto == PACKET_PROTO_ICMP6 && a == 128 && b == 129;
}

static bool icmp_wants(const struct flow_event_header *header)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)header;
	const struct flow_event *event = (const struct flow_event *)header;

	return header->type == FLOW_EVENT_PAYLOAD ? payload->kind == FLOW_PAYLOAD_ICMP
	                                          : icmp_is_echo(&event->record.key);
}

/* --- pairs --- */

static void icmp_alert(const struct icmp_pair *pair, struct alert *alert);

static void icmp_end(struct icmp_pair *pair, const struct detector_out *out)
{
	struct alert alert = {0};

	if (pair->finding.severity) {
		icmp_alert(pair, &alert);
		finding_end(&pair->finding, &alert, out);
	}
	memset(pair, 0, sizeof(*pair));
}

static struct icmp_pair *icmp_pair_find(struct icmp *icmp, const struct flow_key *key, uint64_t now,
                                        const struct detector_out *out)
{
	const uint64_t hash = detector_hash_address(key->peer);
	struct icmp_pair *victim = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < ICMP_PLACES; i++) {
		struct icmp_pair *pair = &icmp->pairs[(hash + i) & (ICMP_PAIRS - 1)];
		/* a sweep's hosts have a packet each, and make room for each other */
		uint64_t packets = pair->now[0][0] + pair->ended[0][0];
		uint64_t worth =
		        pair->used ? BASE_MIN(packets, 1023ull) << 50 | pair->last_ns >> 14 : 0;

		if (pair->used && memcmp(&pair->key, key, sizeof(*key)) == 0)
			return pair;
		if (worth < least) {
			least = worth;
			victim = pair;
		}
	}
	icmp_end(victim, out);
	victim->used = true;
	victim->key = *key;
	victim->first_ns = victim->last_ns = now;
	return victim;
}

static uint64_t icmp_packets(const struct icmp_pair *pair, int side)
{
	return pair->ended[side][0] + pair->now[side][0];
}

static uint64_t icmp_bytes(const struct icmp_pair *pair, int side)
{
	return pair->ended[side][1] + pair->now[side][1];
}

/* --- judging --- */

static unsigned int icmp_signs(const struct icmp_pair *pair)
{
	const uint64_t packets[2] = {icmp_packets(pair, 0), icmp_packets(pair, 1)};
	const uint64_t bytes[2] = {icmp_bytes(pair, 0), icmp_bytes(pair, 1)};
	const int asked = pair->key.guest_port == 8 || pair->key.guest_port == 128 ? 0 : 1;
	unsigned int signs = 0;
	uint64_t means[2];

	if (BASE_MAX(packets[0], packets[1]) < ICMP_PACKETS ||
	    BASE_MIN(packets[0], packets[1]) < ICMP_PACKETS_BACK ||
	    bytes[0] + bytes[1] < ICMP_BYTES)
		return 0;
	means[0] = bytes[0] / packets[0];
	means[1] = bytes[1] / packets[1];
	if (means[0] > means[1] + ICMP_APART || means[1] > means[0] + ICMP_APART ||
	    packets[!asked] * 4 > packets[asked] * 5)
		signs |= ICMP_SIZES;
	for (int side = 0; side < 2; side++)
		if (pair->looks[side] >= ICMP_LOOKS && pair->differ[side] * 2 > pair->looks[side])
			signs |= ICMP_CONTENT;
	if (pair->nested >= 2)
		signs |= ICMP_NESTED;
	return signs;
}

static unsigned int icmp_severity(const struct icmp_pair *pair)
{
	const uint64_t total = icmp_bytes(pair, 0) + icmp_bytes(pair, 1);
	const unsigned int signs = icmp_signs(pair);

	if (!signs)
		return total >= ICMP_VOLUME ? ALERT_LOW : 0;
	return signs & (signs - 1) || total >= ICMP_MUCH ? ALERT_HIGH : ALERT_MEDIUM;
}

static void icmp_alert(const struct icmp_pair *pair, struct alert *alert)
{
	const bool tunnel = pair->finding.severity >= ALERT_MEDIUM || icmp_signs(pair);
	char host[46], sent[28], got[28], span[28];

	alert->detector = DETECTOR_ICMP_TUNNEL;
	alert->rule = tunnel ? "icmp.tunnel" : "icmp.volume";
	alert->technique = "T1095";
	alert->technique_name = "Non-Application Layer Protocol";
	alert->tactic = "TA0011";
	alert->tactic_name = "Command and Control";
	alert->confidence = !tunnel ? 40 : pair->finding.severity >= ALERT_HIGH ? 90 : 70;
	alert->family = pair->key.family;
	alert->proto = pair->key.proto;
	memcpy(alert->source, pair->key.guest, 16);
	memcpy(alert->target, pair->key.peer, 16);
	alert->first_ns = pair->first_ns;
	alert->last_ns = pair->last_ns;
	alert->flows[0] = pair->key;
	alert->flow_count = 1;
	alert_fact(alert, "packets_out", icmp_packets(pair, FLOW_GUEST));
	alert_fact(alert, "packets_in", icmp_packets(pair, FLOW_PEER));
	alert_fact(alert, "payload_out", icmp_bytes(pair, FLOW_GUEST));
	alert_fact(alert, "payload_in", icmp_bytes(pair, FLOW_PEER));
	alert_fact(alert, "contents_looked_at", pair->looks[0] + pair->looks[1]);
	alert_fact(alert, "contents_that_differ", pair->differ[0] + pair->differ[1]);
	alert_address(host, pair->key.peer, pair->key.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "exchanged pings with %s that %s: %s out and %s in, in %s", host,
	         tunnel ? "carry data" : "carry much",
	         finding_bytes(sent, icmp_bytes(pair, FLOW_GUEST)),
	         finding_bytes(got, icmp_bytes(pair, FLOW_PEER)),
	         finding_span(span, pair->last_ns - pair->first_ns));
}

/* --- events --- */

/* True when the payload is an IPv4 packet. */
static bool icmp_is_packet(const struct flow_payload_event *event)
{
	const uint8_t *bytes = event->bytes;
	const size_t header = (size_t)(bytes[0] & 15) * 4;
	uint32_t sum = 0;

	if (event->captured < 20 || bytes[0] >> 4 != 4 || header < 20 || event->captured < header ||
	    base_be16(bytes + 2) != event->length)
		return false;
	for (size_t i = 0; i < header; i += 2)
		sum += base_be16(bytes + i);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff || sum + (sum >> 16) == 0xffff;
}

static void icmp_look(struct icmp_pair *pair, const struct flow_payload_event *event)
{
	const int side = event->side & 1;
	uint64_t hash = 0xcbf29ce484222325ull;
	bool known = false;

	pair->nested += icmp_is_packet(event);
	if (event->captured < ICMP_STAMP + ICMP_LOOKED_AT / 4)
		return;
	for (size_t i = ICMP_STAMP; i < event->captured && i < ICMP_STAMP + ICMP_LOOKED_AT; i++)
		hash = (hash ^ event->bytes[i]) * 0x100000001b3ull;
	for (size_t i = 0; i < BASE_COUNT(pair->contents[side]); i++)
		known = known || pair->contents[side][i] == hash;
	pair->contents[side][pair->looks[side] % BASE_COUNT(pair->contents[side])] = hash;
	pair->differ[side] += !known;
	pair->looks[side]++;
}

static void icmp_count(struct icmp_pair *pair, const struct flow_event *event)
{
	const bool ended = event->header.type == FLOW_EVENT_END;

	for (int side = 0; side < 2; side++) {
		const uint64_t now[2] = {event->record.sides[side].packets,
		                         event->record.sides[side].payload};

		for (int i = 0; i < 2; i++) {
			pair->ended[side][i] += ended ? now[i] : 0;
			pair->now[side][i] = ended ? 0 : now[i];
		}
	}
}

static void icmp_observe(void *self, const struct flow_event_header *header,
                         const struct detector_out *out)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)header;
	const struct flow_event *event = (const struct flow_event *)header;
	const bool sample = header->type == FLOW_EVENT_PAYLOAD;
	struct icmp_pair *pair = icmp_pair_find(self, sample ? &payload->key : &event->record.key,
	                                        header->time_ns, out);
	struct alert alert = {0};
	unsigned int severity;

	if (sample)
		icmp_look(pair, payload);
	else
		icmp_count(pair, event);
	pair->last_ns = BASE_MAX(pair->last_ns, sample ? header->time_ns : event->record.last_ns);
	severity = icmp_severity(pair);
	if (!finding_due(&pair->finding, severity, icmp_bytes(pair, 0) + icmp_bytes(pair, 1)))
		return;
	icmp_alert(pair, &alert);
	finding_say(&pair->finding, &alert, severity, icmp_bytes(pair, 0) + icmp_bytes(pair, 1),
	            out);
}

static void icmp_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct icmp *icmp = self;

	for (size_t i = 0; i < ICMP_PAIRS; i++)
		if (icmp->pairs[i].used && now_ns > icmp->pairs[i].last_ns + ICMP_QUIET_NS)
			icmp_end(&icmp->pairs[i], out);
}

static void *icmp_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct icmp));
}

const struct detector_ops icmp_detector = {
        .name = "icmp_tunnel",
        .policy = offsetof(struct policy_monitor, icmp_tunnel),
        .memory = sizeof(struct icmp),
        .types = 1u << FLOW_EVENT_NEW | 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_UPDATE |
                 1u << FLOW_EVENT_END | 1u << FLOW_EVENT_PAYLOAD,
        .wants = icmp_wants,
        .create = icmp_create,
        .destroy = free,
        .observe = icmp_observe,
        .tick = icmp_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
