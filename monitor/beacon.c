/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections at regular intervals (T1071, T1573): an implant asks its server for orders. Regularity is judged
 * as RITA does it (Active Countermeasures; and Hu et al., "BAYWATCH", DSN 2016), by order statistics of the
 * intervals between check-ins with one port of one host: the median, the median absolute deviation (MAD), and
 * the range between the tenth and the ninetieth percentile. For a timer T with jitter spread evenly over
 * T +- 50 %, the worst that is looked for, MAD is .25 and the range .8 of the median; for arrivals by chance
 * (Poisson) .69 and 3.2; people are burstier still. So the limits are .32 and 1.0.
 *
 * Connections that begin within a second of the one before are one check-in, and a check-in has to be at least
 * two seconds after the one before on the median.
 *
 * Regularity alone is no attack: pollers, exporters, health checks and time servers are as regular. So 12
 * regular intervals that span at least three minutes are low, if the correspondent is in the Internet, and no
 * more than four are said at a time. Medium takes 20, sizes that are regular too (MAD of the
 * bytes at most an eighth of their median), and one of
 *
 *   jitter     the intervals spread over at least an eighth of the median, evenly (half of them between the
 *              quartiles, which are at least .4 of the range apart), at a median from 5 s on: implants add
 *              chance to their timers, while a poller's delays are a peak with outliers
 *   port       a public address on a port where no well-known service is
 *   hurry      a public address asked at least 150 times, with a new connection every time, more often than
 *              every 10 s: who writes a poller for that keeps its connection
 *
 * If VMs of other owners have the same correspondent, or had it for long (prevalence: world.c), it is low again: what
 * they all poll is a public service. If no other has it, where there are others, or if it was met within the last day by
 * a VM that is known for three days, confidence is higher by 15. A correspondent is an address: what name a
 * guest asks for there is the guest's word, and an implant may say the name of a service that everybody uses. Time and
 * name services (UDP 123, 53) are left out: their protocols say that they are asked at intervals.
 *
 * beacon.strobe is RITA's other term: very many connections to one port of one host, 86,400 in a day, however they are
 * spread. Medium if that is a public address that is not common to many VMs, on a port where no well-known service is;
 * else low, as load tests, health checks and clients that don't keep connections do it too. Of a day that began within
 * the monitor's sight it is known from the moment when the number is reached.
 *
 * Limits. 20 intervals are needed, so a beacon an hour is found after 20 hours; one slower than a day never.
 * Check-ins inside of one connection, and of one UDP flow that never rests for two minutes, are not seen. 256
 * correspondents are remembered of each VM, those with most check-ins. A benign agent that adds jitter of its
 * own to its timer looks the same, but for its prevalence. What a service has behind many addresses is counted at each
 * of them. Who has VMs of two owners on the host for a day can make a server common.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/beacon.h"
#include "monitor/detectors.h"

/* What the intervals are like. */
struct beacon_shape {
	uint32_t median, deviation, low, high, quarter, three_quarters; /* ms */
	uint32_t size, size_deviation;
	bool regular, even, same_size;
};

static bool beacon_wants(const struct flow_event_header *header)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)header;
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const struct flow_key *key = &record->key;

	if (header->type == FLOW_EVENT_PAYLOAD)
		return payload->kind == FLOW_PAYLOAD_TLS && payload->offset == 0 &&
		       payload->side == FLOW_GUEST && !(payload->flags & FLOW_FLAG_PEER_OPENED);
	if (key->family == FLOW_ARP ||
	    record->flags & (FLOW_FLAG_PEER_OPENED | FLOW_FLAG_BACKSCATTER))
		return false;
	if (key->proto == PACKET_PROTO_TCP)
		return !(record->flags & FLOW_FLAG_MIDSTREAM);
	return key->proto == PACKET_PROTO_UDP && key->peer_port != 53 && key->peer_port != 123;
}

/* --- correspondents --- */

static void beacon_judge_alert(const struct beacon *beacon, const struct beacon_peer *peer,
                               const struct beacon_shape *shape, unsigned int severity,
                               struct alert *alert);
static void beacon_measure(const struct beacon_peer *peer, struct beacon_shape *shape);

static struct world_guest beacon_guest(const struct beacon *beacon, const struct beacon_peer *peer)
{
	return world_guest_or(beacon->guest, peer->key.guest);
}

void beacon_tell(struct beacon *beacon, const struct beacon_peer *peer)
{
	world_calls(beacon->world, &peer->key, beacon_guest(beacon, peer), peer->first_ns,
	            peer->last_ns);
}

static struct world_share beacon_share(const struct beacon *beacon, const struct beacon_peer *peer)
{
	return world_share(beacon->world, &peer->key, beacon_guest(beacon, peer), peer->last_ns);
}

/* What all alerts about a correspondent have in common. */
static void beacon_base(const struct beacon_peer *peer, struct alert *alert)
{
	alert->detector = DETECTOR_BEACON;
	alert->technique = "T1071";
	alert->technique_name = "Application Layer Protocol";
	alert->tactic = "TA0011";
	alert->tactic_name = "Command and Control";
	alert->family = peer->key.family;
	alert->proto = peer->key.proto;
	memcpy(alert->source, peer->key.guest, 16);
	memcpy(alert->target, peer->key.peer, 16);
	alert->port = peer->key.peer_port;
	alert->first_ns = peer->first_ns;
	alert->last_ns = peer->last_ns;
	alert->flow_count = BASE_MIN(peer->connections, (uint32_t)ALERT_FLOWS_MAX);
	memcpy(alert->flows, peer->flows, sizeof(alert->flows));
	base_copy_string(alert->name, sizeof(alert->name), peer->name);
	base_copy_string(alert->ja4, sizeof(alert->ja4), peer->ja4);
}

static void beacon_strobe_alert(const struct beacon_peer *peer, unsigned int severity,
                                struct alert *alert)
{
	char host[46], count[28], span[28];

	beacon_base(peer, alert);
	alert->rule = "beacon.strobe";
	alert->confidence = severity >= ALERT_MEDIUM ? 60 : 40;
	alert->first_ns = BASE_MIN(peer->day_ns, peer->last_ns);
	alert_fact(alert, "connections", peer->day_connections);
	alert_address(host, peer->key.peer, peer->key.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "connected %s times to %s, port %u, in %s",
	         finding_number(count, peer->day_connections), host, peer->key.peer_port,
	         finding_span(span, peer->last_ns - alert->first_ns));
}

static void beacon_strobe_end(struct beacon_peer *peer, const struct detector_out *out)
{
	struct alert alert = {0};

	if (!peer->strobe.severity)
		return;
	beacon_strobe_alert(peer, peer->strobe.severity, &alert);
	finding_end(&peer->strobe, &alert, out);
}

/* One more connection today. */
static void beacon_strobe(struct beacon *beacon, struct beacon_peer *peer, uint64_t now,
                          const struct detector_out *out)
{
	struct alert alert = {0};
	unsigned int severity = 0;

	if (now >= peer->day_ns + DETECTOR_DAY_NS) {
		beacon_strobe_end(peer, out);
		peer->day_ns = now;
		peer->day_connections = 0;
	}
	if (++peer->day_connections < BEACON_STROBE)
		return;
	severity = address_is_public(peer->key.peer, peer->key.family) &&
	                           !port_is_common(peer->key.proto, peer->key.peer_port) &&
	                           !beacon_share(beacon, peer).common
	                   ? ALERT_MEDIUM
	                   : ALERT_LOW;
	if (!finding_due(&peer->strobe, severity, peer->day_connections))
		return;
	beacon->found = true;
	beacon_strobe_alert(peer, BASE_MAX(severity, (unsigned int)peer->strobe.severity), &alert);
	finding_say(&peer->strobe, &alert, severity, peer->day_connections, out);
}

static void beacon_end(struct beacon *beacon, struct beacon_peer *peer,
                       const struct detector_out *out)
{
	struct beacon_shape shape;
	struct alert alert = {0};

	beacon_strobe_end(peer, out);

	if (peer->finding.severity) {
		beacon->low -= peer->finding.severity == ALERT_LOW;
		beacon_measure(peer, &shape);
		beacon_judge_alert(beacon, peer, &shape, peer->finding.severity, &alert);
		finding_end(&peer->finding, &alert, out);
	}
	memset(peer, 0, offsetof(struct beacon_peer, intervals));
	memset(&beacon->places[peer - beacon->peers], 0, sizeof(beacon->places[0]));
}

static uint64_t beacon_worth(const struct beacon_place *place, uint64_t now)
{
	if (!place->tag || now > place->last_ns + BEACON_STALE_NS)
		return 0;
	return (place->found ? 1ull << 62 : 0) | (uint64_t)place->count << 48 |
	       place->last_ns >> 16;
}

/* The peer has changed. */
void beacon_note(struct beacon *beacon, const struct beacon_peer *peer)
{
	struct beacon_place *place = &beacon->places[peer - beacon->peers];

	place->last_ns = peer->last_ns;
	place->count = (uint16_t)BASE_MIN(peer->count, (uint32_t)BEACON_COUNT_WORTH);
	place->found = peer->finding.severity || peer->strobe.severity;
	beacon->found |= place->found;
}

static bool beacon_is(const struct beacon_peer *peer, const struct flow_key *key)
{
	return peer->key.peer_port == key->peer_port && peer->key.proto == key->proto &&
	       peer->key.family == key->family && memcmp(peer->key.peer, key->peer, 16) == 0;
}

struct beacon_peer *beacon_find(struct beacon *beacon, const struct flow_key *key, uint64_t now,
                                bool make, const struct detector_out *out)
{
	const uint64_t hash =
	        detector_mix(detector_hash_address(key->peer) + key->peer_port + key->proto);
	const uint32_t tag = (uint32_t)(hash >> 32) | 1;
	struct beacon_peer *peer;
	uint64_t least = UINT64_MAX;
	size_t victim = 0;

	for (size_t i = 0; i < BEACON_PLACES; i++) {
		const size_t at = (hash + i) & (BEACON_PEERS - 1);
		const uint64_t worth = beacon_worth(&beacon->places[at], now);

		if (beacon->places[at].tag == tag && beacon_is(&beacon->peers[at], key))
			return &beacon->peers[at];
		if (worth < least) {
			least = worth;
			victim = at;
		}
	}
	if (!make)
		return NULL;
	peer = &beacon->peers[victim];
	beacon_end(beacon, peer, out);
	peer->key = *key;
	peer->first_ns = peer->last_ns = now;
	beacon->places[victim].tag = tag;
	beacon_note(beacon, peer);
	return peer;
}

/* --- judging --- */

static void beacon_measure(const struct beacon_peer *peer, struct beacon_shape *shape)
{
	struct sample sample;
	uint32_t range;

	sample_take(&sample, peer->intervals, BASE_MIN(peer->count, (uint32_t)BEACON_RING));
	shape->median = sample_at(&sample, 50);
	shape->deviation = sample_deviation(&sample);
	shape->low = sample_at(&sample, 10);
	shape->high = sample_at(&sample, 90);
	shape->quarter = sample_at(&sample, 25);
	shape->three_quarters = sample_at(&sample, 75);
	range = shape->high - shape->low;
	shape->regular = shape->median >= 2000 &&
	                 shape->deviation * 100ull <= shape->median * 32ull &&
	                 range <= shape->median;
	shape->even = range >= shape->median / 8 &&
	              (shape->three_quarters - shape->quarter) * 10ull >= range * 4ull;
	sample_take(&sample, peer->sizes, BASE_MIN(peer->size_count, (uint32_t)BEACON_RING));
	shape->size = sample_at(&sample, 50);
	shape->size_deviation = sample_deviation(&sample);
	shape->same_size =
	        peer->size_count >= BEACON_SIZES && shape->size_deviation * 8ull <= shape->size;
}

static unsigned int beacon_severity(const struct beacon *beacon, const struct beacon_peer *peer,
                                    const struct beacon_shape *shape)
{
	const bool public = address_is_public(peer->key.peer, peer->key.family);
	const bool odd = public && !port_is_common(peer->key.proto, peer->key.peer_port);
	const bool hurry = public && peer->count >= BEACON_HURRY_AT &&
	                   shape->median < BEACON_HURRY_MS &&
	                   peer->connections <= peer->count + peer->count / 8;

	if (!shape->regular || peer->last_ns < peer->first_ns + BEACON_SPAN_NS)
		return 0;
	if (peer->count >= BEACON_AT && shape->same_size && !beacon_share(beacon, peer).common &&
	    ((shape->even && shape->median >= BEACON_JITTER_MS) || odd || hurry))
		return ALERT_MEDIUM;
	/* checks among neighbours are what makes a data centre */
	return public && beacon->low < BEACON_LOW_MAX ? ALERT_LOW : 0;
}

/* Met lately, by a VM that has had its correspondents for long. */
static bool beacon_is_new(const struct beacon *beacon, const struct beacon_peer *peer)
{
	return peer->first_ns > beacon->since_ns + BEACON_NEW_AFTER_NS &&
	       peer->last_ns < peer->first_ns + BEACON_NEW_NS;
}

static void beacon_judge_alert(const struct beacon *beacon, const struct beacon_peer *peer,
                               const struct beacon_shape *shape, unsigned int severity,
                               struct alert *alert)
{
	const struct world_share share = beacon_share(beacon, peer);
	char host[46], count[28], size[28];

	beacon_base(peer, alert);
	alert->rule = shape->even && severity >= ALERT_MEDIUM ? "beacon.jitter" : "beacon.regular";
	alert->confidence = severity >= ALERT_MEDIUM ? 70 : 40;
	if (!share.common && (share.sole || beacon_is_new(beacon, peer)))
		alert->confidence += 15;
	alert_fact(alert, "check_ins", peer->count + 1);
	alert_fact(alert, "interval_ms", shape->median);
	alert_fact(alert, "interval_deviation_ms", shape->deviation);
	alert_fact(alert, "interval_low_ms", shape->low);
	alert_fact(alert, "interval_high_ms", shape->high);
	alert_fact(alert, "bytes", shape->size);
	alert_fact(alert, "bytes_deviation", shape->size_deviation);
	alert_fact(alert, "other_callers", share.others);
	alert_address(host, peer->key.peer, peer->key.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "called %s, port %u, %s times, every %u.%u s (%u.%u to %u.%u s), with %s each",
	         host, peer->key.peer_port, finding_number(count, peer->count + 1),
	         shape->median / 1000, shape->median / 100 % 10, shape->low / 1000,
	         shape->low / 100 % 10, shape->high / 1000, shape->high / 100 % 10,
	         finding_bytes(size, shape->size));
}

static void beacon_judge(struct beacon *beacon, struct beacon_peer *peer,
                         const struct detector_out *out)
{
	struct beacon_shape shape;
	struct alert alert = {0};
	unsigned int severity;

	/* the sorting is worth its time now and then */
	if (peer->count < BEACON_LOW_AT || peer->count % 4 != 0)
		return;
	beacon_measure(peer, &shape);
	severity = beacon_severity(beacon, peer, &shape);
	if (!finding_due(&peer->finding, severity, peer->count))
		return;
	beacon->low -= peer->finding.severity == ALERT_LOW;
	beacon_judge_alert(beacon, peer, &shape, severity, &alert);
	finding_say(&peer->finding, &alert, severity, peer->count, out);
	beacon->low += peer->finding.severity == ALERT_LOW;
}

/* --- events --- */

static void beacon_connection(struct beacon *beacon, struct beacon_peer *peer, uint64_t now,
                              const struct flow_key *key, const struct detector_out *out)
{
	const bool same = peer->connections && now < peer->last_ns + BEACON_SAME_NS;

	if (peer->connections < ALERT_FLOWS_MAX)
		peer->flows[peer->connections] = *key;
	peer->connections++;
	peer->last_ns = BASE_MAX(peer->last_ns, now);
	if (!beacon->since_ns)
		beacon->since_ns = now;
	if (peer->connections % BEACON_OFTEN == 0)
		beacon_tell(beacon, peer);
	beacon_strobe(beacon, peer, now, out);
	if (same)
		return;
	if (peer->connections > 1) {
		uint64_t ms = (now - BASE_MIN(peer->check_in_ns, now)) / 1000000;

		peer->intervals[peer->count % BEACON_RING] = (uint32_t)BASE_MIN(ms, UINT32_MAX / 4);
		peer->count++;
		if (peer->count == BEACON_KEPT_AT || peer->count % 4 == 0)
			beacon_tell(beacon, peer);
	}
	peer->check_in_ns = now;
	beacon_judge(beacon, peer, out);
}

static void beacon_hello(struct beacon *beacon, const struct flow_payload_event *event,
                         const struct detector_out *out)
{
	struct beacon_peer *peer =
	        beacon_find(beacon, &event->key, event->header.time_ns, false, out);
	struct tls_hello hello;

	if (!peer || peer->ja4[0] || peer->count < BEACON_HELLO_AT ||
	    tls_hello_parse(event->bytes, event->captured, true, &hello) < 0)
		return;
	memcpy(peer->ja4, hello.ja4, sizeof(peer->ja4));
	if (strlen(hello.name) < sizeof(peer->name))
		base_copy_string(peer->name, sizeof(peer->name), hello.name);
}

static void beacon_observe(void *self, const struct flow_event_header *header,
                           const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const bool new = header->type == FLOW_EVENT_NEW;
	const bool ended =
	        record->outcome == FLOW_OUTCOME_CLOSED ||
	        (header->type == FLOW_EVENT_END && record->key.proto == PACKET_PROTO_UDP);
	struct beacon *beacon = self;
	struct beacon_peer *peer;

	if (header->type == FLOW_EVENT_PAYLOAD) {
		beacon_hello(beacon, (const struct flow_payload_event *)header, out);
		return;
	}
	if (!new && !ended)
		return;
	if (new &&address_is_many(record->key.peer, record->key.family))
		return;
	peer = beacon_find(beacon, &record->key, header->time_ns, new, out);
	if (!peer)
		return;
	if (new) {
		beacon_connection(beacon, peer, header->time_ns, &record->key, out);
		beacon_note(beacon, peer);
	} else if (header->type != FLOW_EVENT_END || record->key.proto == PACKET_PROTO_UDP) {
		uint64_t size = record->sides[0].bytes + record->sides[1].bytes;

		peer->sizes[peer->size_count++ % BEACON_RING] =
		        (uint32_t)BASE_MIN(size, (uint64_t)UINT32_MAX / 4);
	}
}

/* It has ended when four check-ins are missing. */
static void beacon_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct beacon *beacon = self;

	for (size_t i = 0; i < BEACON_PEERS && beacon->found; i++) {
		struct beacon_peer *peer = &beacon->peers[i];
		struct beacon_shape shape;

		if (now_ns > peer->last_ns + DETECTOR_HOUR_NS)
			beacon_strobe_end(peer, out);
		if (!peer->finding.severity || now_ns < peer->last_ns + BEACON_SPAN_NS)
			continue;
		beacon_measure(peer, &shape);
		if (now_ns > peer->last_ns + 4000000ull * shape.high)
			beacon_end(beacon, peer, out);
	}
}

static void *beacon_create(const struct detector_config *config)
{
	struct beacon *beacon = detector_take(config, sizeof(*beacon));

	if (beacon) {
		beacon->world = config->world;
		beacon->guest = config->guest;
	}
	return beacon;
}

const struct detector_ops beacon_detector = {
        .name = "beacon",
        .policy = offsetof(struct policy_monitor, beacon),
        .memory = sizeof(struct beacon),
        .types = 1u << FLOW_EVENT_NEW | 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_END |
                 1u << FLOW_EVENT_PAYLOAD,
        .wants = beacon_wants,
        .create = beacon_create,
        .destroy = free,
        .observe = beacon_observe,
        .tick = beacon_tick,
        .save = beacon_save,
        .load = beacon_load,
        .state_version = 2,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
