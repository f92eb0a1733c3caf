/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Much more going out than usual (T1048), by destination, against the VM's own baseline.
 *
 * The VM's bytes out are summed over intervals of ten minutes; of the last 60 that had any (so up to ten
 * hours of work, whenever that was) the median and the median absolute deviation are its baseline. These do
 * not move when one interval in three is wild (Rousseeuw and Croux, "Alternatives to the Median Absolute
 * Deviation", 1993), so an attacker cannot teach them quickly, and a backup each night is a wild one. A
 * destination is looked at by what it got in the last hour or less, and only if it got at least five times as
 * much as it gave: a download's acknowledgements are no upload.
 *
 *   with a baseline (6 intervals)   medium, if it got at least 4 MiB, and more than ten scaled deviations (a
 *                                   fifth of the median each, at least) above what six median intervals have
 *   without                         low from 8 MiB, medium from 32 MiB: all that can be said of a VM that
 *                                   has just begun is that this is much
 *
 * It is low, however much it is, within private networks: backups go there, and nothing has left yet. While nothing is
 * learnt it is low as well where the peer opened the connection and came for it, as with a web server's downloads, and
 * by UDP to the relays of calls, and for a guest that speaks to 8 public addresses an hour on ports without a service,
 * as in a file-sharing swarm, and to servers that VMs of other owners call as well, or for long (world.c), as their
 * backups do. What is known to be unusual of this VM is not excused by what others do.
 *
 * Ten times as much as would be medium is high. It is said again when it has doubled. All this is exfil.volume; where
 * the policy says how much is expected, it is expect.c's instead.
 *
 *   exfil.destination  low: the guest sent something into a network (known.h) that it never spoke to, is known
 *                      for three days, and had no more than three new ones in a week, this one included
 *
 * Bytes are counted when a flow tells of itself, which is at powers of two from 64 KiB, every ten minutes,
 * and at its end (bpf/events.h): at any time, up to half of what a flow has sent may be still unsaid.
 *
 * Limits. What is spread over many destinations or hours stays below; so does what a VM sends that sends as
 * much every day. Names of the destinations are not known here. 128 destinations are remembered of each VM,
 * and 512 flows that are under way.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/detectors.h"
#include "monitor/expect.h"
#include "monitor/finding.h"
#include "monitor/known.h"
#include "monitor/sample.h"

enum {
	EXFIL_PEERS = 128, /* powers of two */
	EXFIL_FLOWS = 512,
	EXFIL_PLACES = 8,
	EXFIL_INTERVALS = 60,
	EXFIL_LEARNT = 6,
	EXFIL_RATIO = 5,
	EXFIL_OLD_MINUTES = 3 * 24 * 60,
	EXFIL_ODD = 4, /* a power of two */
	EXFIL_SWARM = 8,
	EXFIL_FEW = 3, /* new networks a week */
};
#define EXFIL_MIB         (1ull << 20)
#define EXFIL_INTERVAL_NS (10 * DETECTOR_MINUTE_NS)

struct exfil_peer {
	bool used;
	struct flow_key key; /* of the last flow */
	uint64_t window_ns;  /* when the hour began */
	uint64_t window_out, window_in;
	uint64_t first_ns, last_ns;
	uint64_t out, in; /* of the finding, or what it would be */
	uint64_t limit;   /* what was the limit when it was last passed */
	bool learnt;
	bool served;            /* the peer opened the last flow: it came for it */
	uint32_t known_minutes; /* since anything was sent to its network first */
	struct finding finding;
};

struct exfil_flow { /* what is counted already */
	uint64_t hash;
	uint64_t out, in;
	uint64_t last_ns;
};

struct exfil {
	struct detector_world *world;
	struct world_guest guest;
	bool expected; /* the policy says how much is: expect.c judges */
	struct expect expect;
	struct known known;
	uint64_t odd_ns,
	        odd[2]
	           [EXFIL_ODD]; /* hashes of public addresses on odd ports: of this hour, the last */
	struct finding fresh;   /* of the last destination that was new */
	struct flow_key fresh_key;
	uint64_t fresh_ns;
	uint64_t interval;                   /* number of the current one */
	uint64_t out;                        /* in it */
	uint32_t intervals[EXFIL_INTERVALS]; /* KiB */
	uint32_t interval_count;
	struct exfil_peer peers[EXFIL_PEERS];
	struct exfil_flow flows[EXFIL_FLOWS];
};

/* A public address that the guest has called on a port where no service is. */
static bool exfil_is_odd(const struct flow_record *record)
{
	const struct flow_key *key = &record->key;

	return !(record->flags & FLOW_FLAG_PEER_OPENED) &&
	       (key->proto == PACKET_PROTO_TCP || key->proto == PACKET_PROTO_UDP) &&
	       !port_is_common(key->proto, key->peer_port) &&
	       address_is_public(key->peer, key->family);
}

static bool exfil_is_little(const struct flow_event_header *header)
{
	return header->type == FLOW_EVENT_OUTCOME &&
	       ((const struct flow_event *)header)->record.sides[FLOW_GUEST].bytes <
	               FLOW_UPDATE_BYTES;
}

static bool exfil_wants(const struct flow_event_header *header)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;

	/* little that has just ended is counted when its flow is forgotten; who answers on odd ports, at once */
	if (exfil_is_little(header))
		return record->outcome == FLOW_OUTCOME_ANSWERED && exfil_is_odd(record);
	/* what was never answered was perhaps not received */
	return record->key.family != FLOW_ARP && record->sides[FLOW_PEER].packets &&
	       record->sides[FLOW_GUEST].payload &&
	       !address_is_many(record->key.peer, record->key.family);
}

/* --- what is new in a flow --- */

static struct exfil_flow *exfil_flow_find(struct exfil *exfil, const struct flow_record *record)
{
	const struct flow_key *key = &record->key;
	const uint64_t hash =
	        detector_mix(detector_hash_address(key->peer) + detector_hash_address(key->guest) +
	                     ((uint64_t)key->guest_port << 32 | (uint64_t)key->peer_port << 8 |
	                      key->proto)) |
	        1;
	struct exfil_flow *victim = NULL;

	for (size_t i = 0; i < EXFIL_PLACES; i++) {
		struct exfil_flow *flow = &exfil->flows[(hash + i) & (EXFIL_FLOWS - 1)];

		if (flow->hash == hash) {
			victim = flow;
			break;
		}
		if (!victim || flow->last_ns < victim->last_ns)
			victim = flow;
	}
	/* another flow, or the same ports again */
	if (victim->hash != hash || victim->out > record->sides[FLOW_GUEST].bytes)
		*victim = (struct exfil_flow){.hash = hash};
	return victim;
}

/* --- destinations --- */

static void exfil_alert(const struct exfil_peer *peer, struct alert *alert)
{
	char host[46], sent[28], got[28], span[28], usual[28];

	alert->detector = DETECTOR_EXFILTRATION;
	alert->rule = "exfil.volume";
	alert->technique = "T1048";
	alert->technique_name = "Exfiltration Over Alternative Protocol";
	alert->tactic = "TA0010";
	alert->tactic_name = "Exfiltration";
	alert->confidence = peer->learnt ? 70 : 50;
	alert->family = peer->key.family;
	alert->proto = peer->key.proto;
	memcpy(alert->source, peer->key.guest, 16);
	memcpy(alert->target, peer->key.peer, 16);
	alert->port = peer->key.proto == PACKET_PROTO_TCP || peer->key.proto == PACKET_PROTO_UDP
	                      ? peer->key.peer_port
	                      : 0;
	alert->first_ns = peer->first_ns;
	alert->last_ns = peer->last_ns;
	alert->flows[0] = peer->key;
	alert->flow_count = 1;
	alert_fact(alert, "bytes_out", peer->out);
	alert_fact(alert, "bytes_in", peer->in);
	alert_fact(alert, "bytes_usual", peer->limit);
	alert_fact(alert, "network_known_minutes", peer->known_minutes);
	alert_address(host, peer->key.peer, peer->key.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "sent %s to %s in %s, and got %s back; %s%s", finding_bytes(sent, peer->out), host,
	         finding_span(span, peer->last_ns - peer->first_ns), finding_bytes(got, peer->in),
	         peer->learnt ? "in an hour it sends no more than "
	                      : "nothing is known yet of what is usual",
	         peer->learnt ? finding_bytes(usual, peer->limit) : "");
}

static void exfil_end(struct exfil_peer *peer, const struct detector_out *out)
{
	struct alert alert = {0};

	if (peer->finding.severity) {
		exfil_alert(peer, &alert);
		finding_end(&peer->finding, &alert, out);
	}
	memset(peer, 0, sizeof(*peer));
}

static struct exfil_peer *exfil_peer_find(struct exfil *exfil, const struct flow_record *record,
                                          const struct detector_out *out)
{
	const uint64_t hash = detector_hash_address(record->key.peer);
	struct exfil_peer *victim = NULL;
	uint64_t least = UINT64_MAX;

	for (size_t i = 0; i < EXFIL_PLACES; i++) {
		struct exfil_peer *peer = &exfil->peers[(hash + i) & (EXFIL_PEERS - 1)];
		/* a MiB is worth a second */
		uint64_t worth = !peer->used ? 0
		                 : peer->finding.severity
		                         ? UINT64_MAX - 1
		                         : (peer->out >> 20) * DETECTOR_SECOND_NS + peer->last_ns;

		if (peer->used && memcmp(peer->key.peer, record->key.peer, 16) == 0)
			return peer;
		if (worth < least) {
			least = worth;
			victim = peer;
		}
	}
	exfil_end(victim, out);
	victim->used = true;
	victim->key = record->key;
	return victim;
}

/* --- judging --- */

/* The bytes in an hour from which on it is much; true when that is learnt. */
static bool exfil_limit(const struct exfil *exfil, uint64_t *limit)
{
	struct sample sample;
	uint64_t median, apart;

	*limit = 32 * EXFIL_MIB;
	if (exfil->interval_count < EXFIL_LEARNT)
		return false;
	sample_take(&sample, exfil->intervals,
	            BASE_MIN(exfil->interval_count, (uint32_t)EXFIL_INTERVALS));
	median = sample_at(&sample, 50);
	/* 1.4826 of them are a standard deviation of normal numbers */
	apart = BASE_MAX(sample_deviation(&sample) * 14826ull / 10000, median / 5);
	*limit = BASE_MAX((6 * median + 10 * apart) * 1024, 4 * EXFIL_MIB);
	return true;
}

/* It speaks to many on ports where no service is: a swarm, in which everybody sends to everybody. */
static bool exfil_is_swarm(const struct exfil *exfil)
{
	int odd = 0;

	for (size_t i = 0; i < EXFIL_ODD; i++)
		odd += __builtin_popcountll(exfil->odd[0][i] | exfil->odd[1][i]);
	return odd >= EXFIL_SWARM;
}

/* Calls and shared screens, by way of a relay (RFC 8656; 19302 to 19309 are Google's). */
static bool exfil_is_media(const struct flow_key *key)
{
	return key->proto == PACKET_PROTO_UDP &&
	       ((key->peer_port >= 3478 && key->peer_port <= 3481) ||
	        (key->peer_port >= 19302 && key->peer_port <= 19309));
}

/* Others on this host call that server, too. */
static bool exfil_is_common(const struct exfil *exfil, const struct exfil_peer *peer)
{
	return world_share(exfil->world, &peer->key, world_guest_or(exfil->guest, peer->key.guest),
	                   peer->last_ns)
	        .common;
}

/* What there is an ordinary reason for. */
static bool exfil_is_ordinary(const struct exfil *exfil, const struct exfil_peer *peer, bool learnt)
{
	return !address_is_public(peer->key.peer, peer->key.family) ||
	       (!learnt && (peer->served || exfil_is_swarm(exfil) || exfil_is_media(&peer->key) ||
	                    exfil_is_common(exfil, peer)));
}

static void exfil_judge(struct exfil *exfil, struct exfil_peer *peer,
                        const struct detector_out *out)
{
	unsigned int severity = 0;
	struct alert alert = {0};
	uint64_t limit;
	bool learnt;

	if (exfil->expected)
		return;
	if (peer->window_out < 4 * EXFIL_MIB || peer->window_out < EXFIL_RATIO * peer->window_in)
		return;
	learnt = exfil_limit(exfil, &limit);
	if (peer->window_out >= limit)
		severity = peer->window_out >= 10 * limit ? ALERT_HIGH : ALERT_MEDIUM;
	else if (!learnt && peer->window_out >= limit / 4)
		severity = ALERT_LOW;
	if (severity > ALERT_LOW && exfil_is_ordinary(exfil, peer, learnt))
		severity = ALERT_LOW;
	if (!finding_due(&peer->finding, severity, peer->out))
		return;
	peer->limit = limit;
	peer->learnt = learnt;
	if (address_is_public(peer->key.peer, peer->key.family))
		peer->known_minutes =
		        known_seen(&exfil->known, peer->key.peer, peer->key.family, peer->last_ns);
	exfil_alert(peer, &alert);
	finding_say(&peer->finding, &alert, severity, peer->out, out);
}

/* --- events --- */

/* The interval is over: if anything was sent in it, it is one that is learnt from. */
static void exfil_interval(struct exfil *exfil, uint64_t now_ns)
{
	const uint64_t interval = now_ns / EXFIL_INTERVAL_NS;

	if (interval <= exfil->interval)
		return;
	if (exfil->out) {
		exfil->intervals[exfil->interval_count++ % EXFIL_INTERVALS] =
		        (uint32_t)BASE_MIN(exfil->out / 1024, UINT32_MAX / 64ull);
		/* the ring stays full when its number wraps */
		if (exfil->interval_count == 2 * EXFIL_INTERVALS)
			exfil->interval_count = EXFIL_INTERVALS;
	}
	exfil->out = 0;
	exfil->interval = interval;
}

static void exfil_count(struct exfil_peer *peer, const struct flow_record *record, uint64_t sent,
                        uint64_t got, uint64_t now)
{
	if (now >= peer->window_ns + DETECTOR_HOUR_NS) {
		peer->window_ns = now;
		peer->window_out = peer->window_in = 0;
		if (!peer->finding.severity) {
			peer->first_ns = BASE_MIN(record->first_ns, now);
			peer->out = peer->in = 0;
		}
	}
	peer->key = record->key;
	peer->served = record->flags & FLOW_FLAG_PEER_OPENED;
	peer->last_ns = BASE_MAX(peer->last_ns, now);
	peer->window_out += sent;
	peer->window_in += got;
	peer->out += sent;
	peer->in += got;
}

/* --- new destinations --- */

static void exfil_fresh_alert(const struct exfil *exfil, struct alert *alert)
{
	const struct flow_key *key = &exfil->fresh_key;
	char host[46];

	alert->detector = DETECTOR_EXFILTRATION;
	alert->rule = "exfil.destination";
	alert->technique = "T1048";
	alert->technique_name = "Exfiltration Over Alternative Protocol";
	alert->tactic = "TA0010";
	alert->tactic_name = "Exfiltration";
	alert->confidence = 40;
	alert->family = key->family;
	alert->proto = key->proto;
	memcpy(alert->source, key->guest, 16);
	memcpy(alert->target, key->peer, 16);
	alert->first_ns = alert->last_ns = exfil->fresh_ns;
	alert->flows[0] = *key;
	alert->flow_count = 1;
	alert_fact(alert, "networks_new_this_week", known_fresh(&exfil->known, exfil->fresh_ns));
	alert_address(host, key->peer, key->family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "sent something to the network of %s, port %u, for the first time; it has few new "
	         "ones",
	         host, key->peer_port);
}

static void exfil_fresh_end(struct exfil *exfil, const struct detector_out *out)
{
	struct alert alert = {0};

	if (!exfil->fresh.severity)
		return;
	exfil_fresh_alert(exfil, &alert);
	finding_end(&exfil->fresh, &alert, out);
}

/* A network that is new to a VM which is known for days and has had hardly a new one all week. */
static void exfil_fresh(struct exfil *exfil, const struct flow_record *record, uint64_t now,
                        const struct detector_out *out)
{
	const bool old = known_age(&exfil->known, now) >= EXFIL_OLD_MINUTES;
	struct alert alert = {0};

	if (record->flags & FLOW_FLAG_PEER_OPENED ||
	    !address_is_public(record->key.peer, record->key.family) ||
	    known_seen(&exfil->known, record->key.peer, record->key.family, now) || !old ||
	    known_fresh(&exfil->known, now) > EXFIL_FEW)
		return;
	exfil_fresh_end(exfil, out);
	exfil->fresh_key = record->key;
	exfil->fresh_ns = now;
	exfil_fresh_alert(exfil, &alert);
	finding_say(&exfil->fresh, &alert, ALERT_LOW, 1, out);
}

static void exfil_odd(struct exfil *exfil, const struct flow_record *record, uint64_t now)
{
	const uint64_t hash = detector_hash_address(record->key.peer);

	if (now >= exfil->odd_ns + DETECTOR_HOUR_NS) {
		memcpy(exfil->odd[1], exfil->odd[0], sizeof(exfil->odd[1]));
		memset(exfil->odd[0], 0, sizeof(exfil->odd[0]));
		exfil->odd_ns = now;
	}
	exfil->odd[0][hash >> 6 & (EXFIL_ODD - 1)] |= 1ull << (hash & 63);
}

static void exfil_observe(void *self, const struct flow_event_header *header,
                          const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const uint64_t sent = record->sides[FLOW_GUEST].bytes, got = record->sides[FLOW_PEER].bytes;
	struct exfil *exfil = self;
	struct exfil_flow *flow;
	struct exfil_peer *peer;
	uint64_t now = header->type == FLOW_EVENT_END ? record->last_ns : header->time_ns;

	if (exfil_is_odd(record))
		exfil_odd(exfil, record, now);
	if (exfil_is_little(header))
		return;
	flow = exfil_flow_find(exfil, record);
	exfil_interval(exfil, now);
	exfil->out += sent - flow->out;
	expect_observe(&exfil->expect, record, sent - flow->out, now, out);
	exfil_fresh(exfil, record, now, out);
	peer = exfil_peer_find(exfil, record, out);
	exfil_count(peer, record, sent - flow->out, got - BASE_MIN(flow->in, got), now);
	flow->out = sent;
	flow->in = got;
	flow->last_ns = now;
	/* an upload that ends is counted; one packet of it that comes later must not count it again */
	if (header->type == FLOW_EVENT_END)
		*flow = (struct exfil_flow){0};
	exfil_judge(exfil, peer, out);
}

static void exfil_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct exfil *exfil = self;

	for (size_t i = 0; i < EXFIL_PEERS; i++)
		if (exfil->peers[i].finding.severity &&
		    now_ns > exfil->peers[i].last_ns + 2 * EXFIL_INTERVAL_NS)
			exfil_end(&exfil->peers[i], out);
	if (now_ns > exfil->fresh_ns + 2 * EXFIL_INTERVAL_NS)
		exfil_fresh_end(exfil, out);
	expect_tick(&exfil->expect, now_ns, out);
}

static void *exfil_create(const struct detector_config *config)
{
	struct exfil *exfil = detector_take(config, sizeof(*exfil));

	if (exfil) {
		exfil->world = config->world;
		exfil->guest = config->guest;
		exfil->expected = config->expect_egress != 0;
		expect_begin(&exfil->expect, config);
	}
	return exfil;
}

/* --- what is kept --- */

static void exfil_save(const void *self, struct baseline_out *out)
{
	const struct exfil *exfil = self;
	const uint32_t count = BASE_MIN(exfil->interval_count, (uint32_t)EXFIL_INTERVALS);

	baseline_put(out, exfil->interval, 8);
	baseline_put(out, exfil->out, 8);
	baseline_put(out, exfil->interval_count, 4);
	for (uint32_t i = 0; i < count; i++)
		baseline_put(out, exfil->intervals[i], 4);
	known_save(&exfil->known, out);
	expect_save(&exfil->expect, out);
}

static bool exfil_load(void *self, struct baseline_in *in, uint64_t now_ns)
{
	struct exfil *exfil = self;

	exfil->interval = baseline_get(in, 8);
	exfil->out = baseline_get(in, 8);
	exfil->interval_count = (uint32_t)baseline_get(in, 4);
	/* sums of intervals have to stay within 64 bits, whoever wrote this */
	if (in->bad || exfil->interval_count >= 2 * EXFIL_INTERVALS ||
	    exfil->interval > now_ns / EXFIL_INTERVAL_NS + 1 || exfil->out > UINT64_MAX / 4)
		return false;
	for (uint32_t i = 0; i < BASE_MIN(exfil->interval_count, (uint32_t)EXFIL_INTERVALS); i++) {
		exfil->intervals[i] = (uint32_t)baseline_get(in, 4);
		if (exfil->intervals[i] > UINT32_MAX / 64)
			return false;
	}
	return known_load(&exfil->known, in, now_ns) && expect_load(&exfil->expect, in, now_ns);
}

const struct detector_ops exfil_detector = {
        .name = "exfiltration",
        .policy = offsetof(struct policy_monitor, exfiltration),
        .memory = sizeof(struct exfil),
        .types = 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_UPDATE | 1u << FLOW_EVENT_END,
        .wants = exfil_wants,
        .create = exfil_create,
        .destroy = free,
        .observe = exfil_observe,
        .tick = exfil_tick,
        .save = exfil_save,
        .load = exfil_load,
        .state_version = 1,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
