/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of tries, and when they are findings (scan.c has the theory and the limits). Each kind has a
 * table of fixed size in which a group may be in one of eight places; when all are taken, a finding
 * is worth more than failures, and failures more than being recent.
 */
#include "monitor/scan_group.h"

#include "base/base.h"
#include "bpf/packet.h"

enum { GROUP_PLACES = 8, GROUP_P2P_PEERS = 8, GROUP_RARE = 3 };

bool scan_has_ports(uint8_t proto, uint8_t family)
{
	return family != FLOW_ARP && (proto == PACKET_PROTO_TCP || proto == PACKET_PROTO_UDP ||
	                              proto == PACKET_PROTO_SCTP);
}

uint32_t scan_group_failed(const struct scan_group *group, enum scan_kind kind)
{
	/* a health check connects and goes, but not to many ports of one host */
	return group->count[SCAN_REFUSED] + group->count[SCAN_UNANSWERED] +
	       group->count[SCAN_HALF_OPEN] +
	       (kind == SCAN_VERTICAL ? group->count[SCAN_EMPTY] : 0);
}

static uint32_t group_bits(const uint64_t halves[2][SCAN_DAY_WORDS])
{
	int bits = 0;

	for (size_t i = 0; i < SCAN_DAY_WORDS; i++)
		bits += __builtin_popcountll(halves[0][i] | halves[1][i]);
	return (uint32_t)bits;
}

void scan_group_remember(struct scan_work *work, struct scan_group *group, const struct scan_try *t,
                         bool failed)
{
	const uint32_t half_day = (uint32_t)(t->first_ns / SCAN_HALF_DAY_NS);
	const uint64_t hash = scan_hash(work->scan, t->flow.peer, t->flow.peer_port);
	const size_t word = hash >> 6 & (SCAN_DAY_WORDS - 1);

	if (half_day > group->half_day) {
		group->day_first_ns[1] =
		        half_day == group->half_day + 1 ? group->day_first_ns[0] : 0;
		group->day_first_ns[0] = 0;
		const bool next = half_day == group->half_day + 1;

		for (size_t i = 0; i < SCAN_DAY_WORDS; i++) {
			group->day_failed[1][i] = next ? group->day_failed[0][i] : 0;
			group->day_answered[1][i] = next ? group->day_answered[0][i] : 0;
			group->day_failed[0][i] = group->day_answered[0][i] = 0;
		}
		group->half_day = half_day;
	}
	if (failed && !group->day_first_ns[0])
		group->day_first_ns[0] = t->first_ns;
	(failed ? group->day_failed : group->day_answered)[0][word] |= 1ull << (hash & 63);
}

bool scan_is_ping(const struct scan_try *t)
{
	const uint16_t type = t->flow.guest_port;

	/* echo; time stamp and address mask are asked for by nobody else (RFC 6918) */
	return (t->flow.proto == PACKET_PROTO_ICMP && t->flow.family == FLOW_IPV4 &&
	        (type == 8 || type == 13 || type == 17)) ||
	       (t->flow.proto == PACKET_PROTO_ICMP6 && t->flow.family == FLOW_IPV6 && type == 128);
}

bool scan_is_neighbour(const struct scan_try *t)
{
	return t->flow.family == FLOW_ARP ||
	       (t->flow.proto == PACKET_PROTO_ICMP6 && t->flow.family == FLOW_IPV6 &&
	        t->flow.guest_port == 135);
}

bool scan_is_sweep(const struct scan_try *t)
{
	return scan_is_ping(t) || scan_is_neighbour(t) || t->probe == SCAN_PROBE_ACK;
}

static uint32_t group_tried(const struct scan_group *group)
{
	return scan_group_failed(group, SCAN_VERTICAL) + group->count[SCAN_ANSWERED] +
	       group->count[SCAN_SILENT] + group->count[SCAN_IGNORED];
}

uint32_t scan_group_evidence(const struct scan_group *group, enum scan_kind kind)
{
	uint32_t failed = scan_group_failed(group, kind);

	if (group->dense)
		return group_tried(group);
	if (group->silent)
		failed += group->count[SCAN_SILENT];
	return BASE_MAX(failed, group_bits(group->day_failed));
}

/* --- finding one's group --- */

/* Bytes of an address that name its network: /24, /64. */
static size_t group_prefix(const struct flow_key *flow)
{
	return flow->family == FLOW_IPV6 ? 8 : 3;
}

/* A port is the same service over IPv4 and IPv6, so that a guest whose IPv6 leads nowhere does not scan. */
static bool group_is(const struct scan_group *group, enum scan_kind kind,
                     const struct flow_key *flow)
{
	if (!group->serial || group->proto != flow->proto)
		return false;
	if (kind == SCAN_BLOCK)
		return group->family == flow->family &&
		       memcmp(group->peer, flow->peer, group_prefix(flow)) == 0;
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
	if (kind == SCAN_BLOCK) {
		uint8_t network[16] = {0};

		memcpy(network, flow->peer, group_prefix(flow));
		return scan_hash(scan, network, flow->proto);
	}
	return scan_hash(scan, flow->peer, (uint32_t)flow->proto << 8 | flow->family);
}

/* Findings, then failures, then how often it was tried at all (a group that comes anew has lost who answered), then
 * when. */
static uint64_t group_worth(const struct scan_group *group)
{
	const uint64_t failed =
	        BASE_MAX(scan_group_failed(group, SCAN_VERTICAL), group_bits(group->day_failed));
	const uint32_t tried = group_tried(group);
	const uint64_t often = (tried >= 4) + (tried >= 16) + (tried >= 64);

	return (group->said ? 1ull << 62 : 0) | BASE_MIN(failed, 1023ull) << 50 | often << 48 |
	       group->last_ns >> 14;
}

/* A finding has ended when it was quiet for much longer than its tries lay apart. */
static uint64_t group_patience(const struct scan_group *group, enum scan_kind kind)
{
	uint64_t apart =
	        (group->last_ns - group->first_ns) / BASE_MAX(scan_group_evidence(group, kind), 1u);

	return BASE_MIN(BASE_MAX(4 * apart, SCAN_QUIET_NS), SCAN_HALF_DAY_NS / 2);
}

/* Hosts that are asked for at once, of which several are not there: few for a sweep, and many for anything else. */
static bool group_is_brisk(const struct scan_group *group, enum scan_kind kind)
{
	return kind == SCAN_HORIZONTAL && !scan_has_ports(group->proto, group->family) &&
	       scan_group_failed(group, kind) >= SCAN_EARLY &&
	       group_tried(group) >= SCAN_HOSTS_DEFAULT &&
	       group->last_ns - group->first_ns < SCAN_DENSE_TCP_NS;
}

static bool group_is_early(const struct scan_group *group, enum scan_kind kind)
{
	if (!group->said && group_is_brisk(group, kind))
		return true;
	return !group->said && kind <= SCAN_HORIZONTAL &&
	       scan_group_failed(group, kind) >= SCAN_EARLY && group->count[SCAN_ANSWERED] == 0 &&
	       scan_has_ports(group->proto, group->family);
}

/* When the group has to be looked at next, if nothing more comes. */
static uint64_t group_due(const struct scan_group *group, enum scan_kind kind)
{
	if (group->said)
		return group->last_ns + group_patience(group, kind);
	return group->last_ns +
	       (group_is_early(group, kind) ? SCAN_EARLY_NS : 2 * SCAN_HALF_DAY_NS);
}

void scan_group_note(struct scan_work *work, const struct scan_group *group, enum scan_kind kind)
{
	struct scan_places *places = &work->scan->places[kind];
	const size_t at = (size_t)(group - work->scan->groups[kind]);

	places->worths[at] = group->serial ? 1 + group_worth(group) : 0;
	places->due_ns[at] = group->serial ? group_due(group, kind) : UINT64_MAX;
	if (!group->serial)
		places->tags[at] = 0;
}

static void group_free(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	if (!group->serial)
		return;
	if (group->said)
		scan_group_emit(work, group, kind, ALERT_END);
	memset(group, 0, sizeof(*group));
	scan_group_note(work, group, kind);
}

struct scan_group *scan_group_find(struct scan_work *work, enum scan_kind kind,
                                   const struct scan_try *t, bool make)
{
	struct scan *scan = work->scan;
	const struct scan_places *places = &scan->places[kind];
	const uint64_t hash = group_hash(scan, kind, &t->flow);
	const uint32_t tag = (uint32_t)(hash >> 32) | 1, first = hash & (SCAN_GROUPS - 1);
	struct scan_group *victim;
	uint32_t least = first;

	for (uint32_t i = 0; i < GROUP_PLACES; i++) {
		const uint32_t at = (first + i) & (SCAN_GROUPS - 1);

		if (places->tags[at] == tag && group_is(&scan->groups[kind][at], kind, &t->flow))
			return &scan->groups[kind][at];
	}
	if (!make)
		return NULL;
	for (uint32_t i = 1; i < GROUP_PLACES; i++) {
		const uint32_t at = (first + i) & (SCAN_GROUPS - 1);

		if (places->worths[at] < places->worths[least])
			least = at;
	}
	victim = &scan->groups[kind][least];
	group_free(work, victim, kind);
	scan->places[kind].tags[least] = tag;
	victim->proto = t->flow.proto;
	victim->family = t->flow.family;
	if (kind == SCAN_HORIZONTAL)
		victim->port = t->flow.peer_port;
	else
		memcpy(victim->peer, t->flow.peer,
		       kind == SCAN_BLOCK ? group_prefix(&t->flow) : 16);
	victim->first_ns = victim->last_ns = t->first_ns;
	victim->serial = ++scan->serial ? scan->serial : ++scan->serial;
	scan_group_note(work, victim, kind);
	scan_group_touch(work, victim);
	return victim;
}

/* --- judging --- */

/*
 * Peer-to-peer programs try many hosts of which most are gone, and often on one port, which looks like a
 * horizontal scan of it. Some have ports that nothing else is looked for at; and what a scan does not have is
 * the rest: peers that are tried on one port each, and each on another high port.
 */
static bool group_is_peer_to_peer(struct scan_work *work, const struct scan_group *group)
{
	/* IPFS, eDonkey, Gnutella, BitTorrent, Bitcoin and its like, Tor, Monero, Ethereum */
	static const uint16_t usual[] = {4001, 4662, 4672,  6346,  6347,  6881, 6882, 6883,
	                                 6884, 6885, 6886,  6887,  6888,  6889, 8333, 8334,
	                                 9001, 9333, 18080, 30303, 30304, 51413};
	uint32_t spread = 0;

	/* where nothing else is let through, peers are on web servers' ports, too */
	if (group->port < 1024 && group->port != 80 && group->port != 443)
		return false;
	for (size_t i = 0; i < BASE_COUNT(usual); i++)
		if (group->port == usual[i])
			return true;
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
	return spread >= GROUP_P2P_PEERS &&
	       spread >= scan_group_evidence(group, SCAN_HORIZONTAL) / 4;
}

/*
 * Pings that are all answered are a monitor's work or a sweep of a lively network. A sweep takes addresses as
 * they come: twice as many as failures would be enough, within 256 neighbours, in one go. The same is true of
 * neighbours that are asked for, ACKs of no connection, connections that carry nothing, and silent UDP; but for
 * most of these one go is shorter, as ordinary hosts and health checks take their time.
 */
static bool group_is_dense(struct scan_work *work, const struct scan_group *group,
                           const struct scan_try *t)
{
	const size_t prefix = t->flow.family == FLOW_IPV6 ? 15 : 3;
	const bool sweep = scan_is_sweep(t);
	const uint64_t window =
	        scan_is_ping(t) || t->result == SCAN_SILENT ? SCAN_DENSE_NS : SCAN_DENSE_TCP_NS;
	uint32_t neighbours = 0, enough = 2 * work->scan->config.hosts;

	/* once in a while: this looks at every try */
	if (!(sweep || t->result == SCAN_EMPTY || t->result == SCAN_SILENT) ||
	    (t->result == SCAN_SILENT &&
	     group->count[SCAN_SILENT] <
	             SCAN_FAILED_FOR_ONE_ANSWERED * group->count[SCAN_ANSWERED]) ||
	    group_tried(group) < enough || group_tried(group) % 8 != 0)
		return false;
	for (uint32_t i = 0; i < SCAN_TRIES; i++) {
		const struct scan_try *other = &work->scan->tries[i];

		neighbours += other->first_ns && other->flow.peer_port == t->flow.peer_port &&
		              other->flow.proto == t->flow.proto && other->probe == t->probe &&
		              (sweep || other->result == t->result) &&
		              other->flow.family == t->flow.family &&
		              memcmp(other->flow.peer, t->flow.peer, prefix) == 0 &&
		              other->first_ns + window > t->first_ns;
	}
	return neighbours >= enough;
}

static bool group_refuses(const struct scan_group *group, enum scan_kind kind)
{
	return kind == SCAN_VERTICAL && group->count[SCAN_REFUSED] >= SCAN_EARLY &&
	       group->last_ns - group->first_ns < SCAN_QUIET_NS;
}

/*
 * UDP that nobody answers: many ports of one host, or one port of many hosts where a service would be. Where
 * QUIC is not let through, programs try it everywhere and go on with TCP. A host that refuses some ports is there, and
 * sends only so many refusals (RFC 1812, 4.3.2.8; Linux six, then one a second), so within a minute its silence about
 * the others says as much as TCP's.
 */
static bool group_is_silent(struct scan_work *work, const struct scan_group *group,
                            enum scan_kind kind)
{
	const uint32_t silent = group->count[SCAN_SILENT] + group->count[SCAN_REFUSED];

	if (group->proto != PACKET_PROTO_UDP || kind == SCAN_STEALTH || kind == SCAN_BLOCK ||
	    silent < (group_refuses(group, kind) ? work->scan->config.ports : SCAN_SILENT_AT) ||
	    silent < SCAN_SILENT_FOR_ONE_ANSWERED * group->count[SCAN_ANSWERED])
		return false;
	if (kind == SCAN_VERTICAL)
		return true;
	return group->port != 443 && (group->port < 1024 || silent >= SCAN_SILENT_HIGH_PORT_AT) &&
	       !group_is_peer_to_peer(work, group);
}

static uint32_t group_enough(const struct scan_work *work, enum scan_kind kind)
{
	const struct scan_config *config = &work->scan->config;

	switch (kind) {
	case SCAN_STEALTH: return SCAN_STEALTH_AT;
	case SCAN_VERTICAL: return config->ports;
	case SCAN_BLOCK: return SCAN_BLOCK_AT;
	default: return config->hosts;
	}
}

/* Where web servers are, addresses come and go, and a guest that may not reach any meets many in a day. */
static bool group_is_web(const struct scan_group *group, enum scan_kind kind)
{
	return kind == SCAN_HORIZONTAL && group->proto == PACKET_PROTO_TCP &&
	       (group->port == 80 || group->port == 443);
}

/* Neighbours of which most answer: up to half of a /24 that is what a monitor asks, and its ARP. */
static bool group_is_lively(const struct scan_group *group, enum scan_kind kind)
{
	return group->dense && !scan_has_ports(group->proto, group->family) &&
	       group_tried(group) < SCAN_LIVELY &&
	       group->count[SCAN_ANSWERED] >=
	               SCAN_FAILED_FOR_ONE_ANSWERED * scan_group_failed(group, kind);
}

enum alert_severity scan_group_severity(struct scan_work *work, const struct scan_group *group,
                                        enum scan_kind kind)
{
	const uint32_t evidence = scan_group_evidence(group, kind),
	               enough = group_enough(work, kind);

	if (evidence < enough || group_is_lively(group, kind))
		return ALERT_LOW;
	if (kind == SCAN_HORIZONTAL && scan_has_ports(group->proto, group->family) &&
	    !group->dense && group_is_peer_to_peer(work, group))
		return ALERT_LOW;
	if (group_is_web(group, kind) && scan_group_failed(group, kind) < enough && !group->dense)
		return ALERT_LOW;
	return evidence >= SCAN_HIGH_AT ? ALERT_HIGH : ALERT_MEDIUM;
}

/* What another finding says already is not said of its block, and what the block says not of its ports and
 * hosts, unless it is much. */
static bool group_is_told(struct scan_work *work, enum scan_kind of, const struct scan_try *t)
{
	if (of != SCAN_BLOCK) {
		const struct scan_group *block =
		        scan_has_ports(t->flow.proto, t->flow.family)
		                ? scan_group_find(work, SCAN_BLOCK, t, false)
		                : NULL;

		return block && block->said;
	}
	for (int kind = SCAN_VERTICAL; kind <= SCAN_HORIZONTAL; kind++) {
		const struct scan_group *group =
		        scan_group_find(work, (enum scan_kind)kind, t, false);

		if (group && group->severity >= ALERT_MEDIUM)
			return true;
	}
	return false;
}

static bool group_is_enough(struct scan_work *work, const struct scan_group *group,
                            enum scan_kind kind, const struct scan_try *t)
{
	const uint32_t failed = scan_group_failed(group, kind),
	               answered = group->count[SCAN_ANSWERED];
	const uint32_t day = group_bits(group->day_failed), enough = group_enough(work, kind);

	if (kind == SCAN_BLOCK && (__builtin_popcountll(group->hosts) < SCAN_BLOCK_SIDES ||
	                           __builtin_popcountll(group->ports) < SCAN_BLOCK_SIDES))
		return false;
	if (!group->said && kind != SCAN_STEALTH &&
	    (kind == SCAN_BLOCK || scan_group_evidence(group, kind) < SCAN_HIGH_AT) &&
	    group_is_told(work, kind, t))
		return false;
	if (group->dense || group->silent)
		return scan_group_evidence(group, kind) >= enough;
	if (failed >= enough &&
	    (kind == SCAN_STEALTH || failed >= SCAN_FAILED_FOR_ONE_ANSWERED * answered))
		return true;
	return kind != SCAN_STEALTH && day >= enough &&
	       day >= SCAN_FAILED_FOR_ONE_ANSWERED * group_bits(group->day_answered) &&
	       failed >= SCAN_FAILED_FOR_ONE_ANSWERED * answered;
}

void scan_group_judge(struct scan_work *work, struct scan_group *group, enum scan_kind kind,
                      const struct scan_try *t)
{
	uint32_t evidence;

	if (kind == SCAN_HORIZONTAL && !group->dense)
		group->dense = group_is_dense(work, group, t);
	if (!group->silent)
		group->silent = group_is_silent(work, group, kind);
	if (!group_is_enough(work, group, kind, t))
		return;
	evidence = scan_group_evidence(group, kind);
	if (!group->said)
		scan_group_emit(work, group, kind, ALERT_NEW);
	else if (evidence >= 2 * group->said || group->said < group_enough(work, kind) ||
	         (evidence >= SCAN_HIGH_AT && group->said < SCAN_HIGH_AT))
		scan_group_emit(work, group, kind, ALERT_UPDATE);
}

/* --- time --- */

void scan_group_touch(struct scan_work *work, const struct scan_group *group)
{
	work->scan->check_ns = BASE_MIN(work->scan->check_ns, group->last_ns + SCAN_EARLY_NS);
}

/* A host's ports, in a block that is a finding itself, or any small one while there is such a block. */
static bool group_is_in_block(struct scan_work *work, const struct scan_group *group,
                              enum scan_kind kind)
{
	for (size_t i = 0; i < SCAN_GROUPS; i++) {
		const struct scan_group *block = &work->scan->groups[SCAN_BLOCK][i];

		if (block->said && block->family == group->family && block->proto == group->proto &&
		    (kind == SCAN_HORIZONTAL ||
		     memcmp(block->peer, group->peer, group->family == FLOW_IPV6 ? 8 : 3) == 0))
			return true;
	}
	return false;
}

/* The group is due. */
static void group_tick(struct scan_work *work, struct scan_group *group, enum scan_kind kind)
{
	/* a small scan that does not go on */
	if (group_is_early(group, kind) && !group_is_in_block(work, group, kind))
		scan_group_emit(work, group, kind, ALERT_NEW);
	scan_group_note(work, group, kind);
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
			const uint64_t *due = &scan->places[kind].due_ns[i];

			if (scan->places[kind].tags[i] && work->now_ns >= *due)
				group_tick(work, &scan->groups[kind][i], kind);
			if (scan->places[kind].tags[i])
				next = BASE_MIN(next, *due);
		}
	scan->check_ns = next;
}
