/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Logins tried one after another (T1110), by the shape of the connections. A client that has its password
 * right logs in once and stays, or comes back now and then; who guesses comes back at once, again and again,
 * each time with nearly the same bytes, and each connection ends where a session would begin (Hofstede et al.,
 * "SSH Compromise Detection using NetFlow/IPFIX", CCR 2014; Sperotto et al., "Hidden Markov Model Modeling of
 * SSH Brute-Force Attacks", 2009).
 *
 * A try is a TCP connection that was established and has ended, whose first bytes say which service it is (on
 * any port), and which carried no more than a login does. Tries at one service of one host make a finding
 *
 *   fast   20 in 5 minutes; databases, which programs open anew for every request, 60 in one minute
 *   slow   30 in an hour (Zeek's detect-bruteforcing has 30 in 30 minutes); low if they come as regularly as a
 *          monitor's do (median absolute deviation of their intervals below a tenth of the median), and then of
 *          no more than four hosts at a time: who checks more is a monitor
 *
 * if at least two thirds of the last 20 have within a quarter of their median size (databases: nine tenths
 * within 24 bytes, as what refuses a login is always the same), and not one in four connections to it carried
 * more than a login: who works there knows the password. More than 200 are of high
 * severity; a connection that carries much more than the tries did, after at least as many of them as make a
 * finding and with none before, is taken for a guess that was right: critical. HTTP counts only where the first answer is 401 or
 * 403, and where each connection is one try.
 *
 * FTP, POP3 and IMAP let a client try several times in one connection: it counts as up to five, by what the
 * client has sent.
 *
 * Both directions are watched: what the guest tries on others, and what others try on the guest.
 *
 * Limits. What happens inside of one connection is not seen (several passwords in one SSH connection are one
 * try, HTTP over TLS and keep-alive are not seen); one try on each of many hosts is a horizontal scan rather;
 * slower than 30 an hour is not found. Programs that log in to the same host by SSH 20 times in five minutes,
 * for small things each time, look the same: suppress their pair.
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"
#include "monitor/sample.h"

enum {
	BRUTE_GROUPS = 64, /* a power of two */
	BRUTE_PLACES = 8,
	BRUTE_RING = 20,
	BRUTE_SLOW_AT = 30,
	BRUTE_HIGH_AT = 200,
	BRUTE_AGAIN_MAX = 5,
	BRUTE_LOW_MAX = 4, /* at a time */
	BRUTE_MORE = 4,    /* times the median: a session, no try */
	BRUTE_MORE_BYTES = 4096,
};
#define BRUTE_FAST_NS  (5 * DETECTOR_MINUTE_NS)
#define BRUTE_SLOW_NS  DETECTOR_HOUR_NS
#define BRUTE_QUIET_NS (10 * DETECTOR_MINUTE_NS)

enum brute_kind { BRUTE_LOGIN, BRUTE_DATABASE };

/* How a service's first bytes look, from one side. */
struct brute_service {
	const char *name, *rule;
	enum brute_kind kind;
	uint8_t side; /* enum flow_side_index of a flow that the guest has opened */
	uint8_t at, size;
	uint8_t bytes[9];
	uint32_t most; /* bytes that a login takes, either way */
	uint32_t
	        again; /* bytes from the client for each login in the same connection; 0: one a connection */
};

static const struct brute_service brute_services[] = {
        {"SSH", "brute.ssh", BRUTE_LOGIN, FLOW_PEER, 0, 4, "SSH-", 8192, 0},    /* RFC 4253, 4.2 */
        {"FTP", "brute.ftp", BRUTE_LOGIN, FLOW_GUEST, 0, 5, "USER ", 2048, 32}, /* RFC 959 */
        {"FTP", "brute.ftp", BRUTE_LOGIN, FLOW_GUEST, 0, 8, "AUTH TLS", 12288, 0}, /* RFC 4217 */
        {"POP3", "brute.pop3", BRUTE_LOGIN, FLOW_PEER, 0, 3, "+OK", 4096, 32},     /* RFC 1939 */
        {"IMAP", "brute.imap", BRUTE_LOGIN, FLOW_PEER, 0, 4, "* OK", 4096, 40},    /* RFC 9051 */
        {"telnet", "brute.telnet", BRUTE_LOGIN, FLOW_PEER, 0, 2, "\xff\xfd", 4096, 0}, /* RFC 854 */
        {"telnet", "brute.telnet", BRUTE_LOGIN, FLOW_PEER, 0, 2, "\xff\xfb", 4096, 0},
        {"VNC", "brute.vnc", BRUTE_LOGIN, FLOW_PEER, 0, 4, "RFB ", 1024, 0}, /* RFC 6143, 7.1.1 */
        {"RDP", "brute.rdp", BRUTE_LOGIN, FLOW_GUEST, 5, 1, "\xe0", 16384,
         0}, /* RFC 1006, 6; X.224 */
        {"SMB", "brute.smb", BRUTE_LOGIN, FLOW_GUEST, 4, 4, "\xfeSMB", 16384,
         0}, /* MS-SMB2, 2.2.1 */
        {"SMB", "brute.smb", BRUTE_LOGIN, FLOW_GUEST, 4, 4, "\xffSMB", 16384, 0},
        {"HTTP", "brute.http", BRUTE_LOGIN, FLOW_PEER, 8, 4, " 401", 16384,
         0}, /* RFC 9110, 15.5.2 */
        {"HTTP", "brute.http", BRUTE_LOGIN, FLOW_PEER, 8, 4, " 403", 16384, 0},
        {"MySQL", "brute.database", BRUTE_DATABASE, FLOW_PEER, 2, 3, "\0\0\x0a", 1024, 0},
        {"PostgreSQL", "brute.database", BRUTE_DATABASE, FLOW_GUEST, 4, 4, "\0\3\0\0", 1024, 0},
        {"PostgreSQL", "brute.database", BRUTE_DATABASE, FLOW_GUEST, 4, 4, "\x04\xd2\x16\x2f", 8192,
         0},
        {"SQL Server", "brute.database", BRUTE_DATABASE, FLOW_GUEST, 0, 2, "\x12\x01", 8192,
         0}, /* MS-TDS */
        {"Redis", "brute.database", BRUTE_DATABASE, FLOW_GUEST, 8, 4, "AUTH", 1024, 0},
        {"Redis", "brute.database", BRUTE_DATABASE, FLOW_GUEST, 0, 4, "AUTH", 1024, 0},
        {"LDAP", "brute.ldap", BRUTE_DATABASE, FLOW_GUEST, 2, 4, "\x02\x01\x01\x60", 2048,
         0}, /* RFC 4511 */
};

struct brute_group {
	uint8_t peer[16];
	uint16_t port; /* of the service */
	uint8_t family, service;
	bool used, incoming;
	uint32_t tries, in_hour; /* in_hour: since hour_ns */
	uint64_t hour_ns, first_ns, last_ns;
	uint64_t times[BRUTE_RING]; /* of the last tries, by their ends */
	uint32_t sizes[BRUTE_RING];
	uint32_t sessions; /* connections that carried more than a login, before it was a finding */
	uint32_t more;     /* after it */
	struct finding finding;
	struct flow_key flows[ALERT_FLOWS_MAX];
};

struct brute {
	struct brute_group groups[BRUTE_GROUPS];
};

/* --- what a connection was --- */

static bool brute_head_is(const struct flow_record *record, const struct brute_service *service,
                          enum flow_side_index side)
{
	const uint32_t end = (uint32_t)service->at + service->size;

	return record->sides[side].head_size >= end &&
	       memcmp(record->first[side].head + service->at, service->bytes, service->size) == 0;
}

/* The service, or the number of services. */
static size_t brute_service_of(const struct flow_record *record)
{
	const bool incoming = record->flags & FLOW_FLAG_PEER_OPENED;
	size_t i = 0;

	for (; i < BASE_COUNT(brute_services); i++) {
		const struct brute_service *service = &brute_services[i];
		const unsigned int side = service->side ^ (incoming ? 1u : 0u);

		if (brute_head_is(record, service, side))
			break;
	}
	return i;
}

static bool brute_wants(const struct flow_event_header *header)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;

	return record->key.proto == PACKET_PROTO_TCP && record->key.family != FLOW_ARP &&
	       record->outcome == FLOW_OUTCOME_CLOSED && record->sides[0].head_size &&
	       record->sides[1].head_size && record->state >= FLOW_STATE_CLOSED;
}

/* --- groups --- */

static uint64_t brute_worth(const struct brute_group *group)
{
	if (!group->used)
		return 0;
	return (group->finding.severity ? 1ull << 62 : 0) |
	       (uint64_t)BASE_MIN(group->tries, 255u) << 48 | group->last_ns >> 16;
}

static void brute_alert(const struct brute_group *group, struct alert *alert);

static void brute_end(struct brute_group *group, const struct detector_out *out)
{
	struct alert alert = {0};

	if (group->finding.severity) {
		brute_alert(group, &alert);
		finding_end(&group->finding, &alert, out);
	}
	memset(group, 0, sizeof(*group));
}

static struct brute_group *brute_group_find(struct brute *brute, const struct flow_key *key,
                                            bool incoming, size_t service,
                                            const struct detector_out *out)
{
	const uint16_t port = incoming ? key->guest_port : key->peer_port;
	const uint64_t hash = detector_mix(detector_hash_address(key->peer) + port + incoming);
	struct brute_group *victim = NULL;

	for (size_t i = 0; i < BRUTE_PLACES; i++) {
		struct brute_group *group = &brute->groups[(hash + i) & (BRUTE_GROUPS - 1)];

		if (group->used && group->port == port && group->incoming == incoming &&
		    group->family == key->family && memcmp(group->peer, key->peer, 16) == 0)
			return group;
		if (!victim || brute_worth(group) < brute_worth(victim))
			victim = group;
	}
	brute_end(victim, out);
	victim->used = true;
	victim->incoming = incoming;
	victim->port = port;
	victim->family = key->family;
	victim->service = (uint8_t)service;
	memcpy(victim->peer, key->peer, 16);
	return victim;
}

/* --- judging --- */

static uint32_t brute_median(const struct brute_group *group)
{
	struct sample sizes;

	sample_take(&sizes, group->sizes, BASE_MIN(group->tries, (uint32_t)BRUTE_RING));
	return sample_at(&sizes, 50);
}

static bool brute_is_flat(const struct brute_group *group, bool database)
{
	const uint32_t median = brute_median(group);
	const uint32_t most = database ? 24 : BASE_MAX(median / 4, 64u);
	uint32_t near = 0;

	for (size_t i = 0; i < BRUTE_RING; i++) {
		uint32_t size = group->sizes[i];
		uint32_t apart = size > median ? size - median : median - size;

		near += apart <= most;
	}
	return database ? near * 10 >= BRUTE_RING * 9 : near * 3 >= BRUTE_RING * 2;
}

/* As a monitor's checks come. */
static bool brute_is_regular(const struct brute_group *group)
{
	uint32_t intervals[BRUTE_RING - 1];
	struct sample sample;

	for (uint32_t i = 1; i < BRUTE_RING; i++) {
		uint64_t at = group->times[(group->tries + i) % BRUTE_RING];
		uint64_t before = group->times[(group->tries + i - 1) % BRUTE_RING];

		intervals[i - 1] = (uint32_t)BASE_MIN((at - before) / 1000000, UINT32_MAX / 2);
	}
	sample_take(&sample, intervals, BRUTE_RING - 1);
	return sample_deviation(&sample) * 10ull < sample_at(&sample, 50);
}

static unsigned int brute_severity(const struct brute_group *group)
{
	const bool database = brute_services[group->service].kind == BRUTE_DATABASE;
	const uint64_t oldest = group->times[group->tries % BRUTE_RING];
	const uint64_t lasted = group->last_ns - BASE_MIN(oldest, group->last_ns);
	bool fast;

	if (group->tries < BRUTE_RING || group->sessions * 4 > group->tries ||
	    !brute_is_flat(group, database))
		return 0;
	fast = database ? lasted * 3 <= DETECTOR_MINUTE_NS && group->tries >= 60
	                : lasted <= BRUTE_FAST_NS;
	if (!fast && (database || group->in_hour < BRUTE_SLOW_AT))
		return 0;
	if (!fast && brute_is_regular(group))
		return ALERT_LOW;
	return group->tries > BRUTE_HIGH_AT ? ALERT_HIGH : ALERT_MEDIUM;
}

static void brute_alert(const struct brute_group *group, struct alert *alert)
{
	const struct brute_service *service = &brute_services[group->service];
	const struct flow_key *first = &group->flows[0];
	char host[46], tries[28], span[28];

	alert->detector = DETECTOR_BRUTE_FORCE;
	alert->rule = service->rule;
	alert->technique = "T1110";
	alert->technique_name = "Brute Force";
	alert->tactic = "TA0006";
	alert->tactic_name = "Credential Access";
	alert->confidence = group->tries > BRUTE_HIGH_AT ? 90 : 75;
	alert->family = group->family;
	alert->proto = PACKET_PROTO_TCP;
	memcpy(alert->source, group->incoming ? first->peer : first->guest, 16);
	memcpy(alert->target, group->incoming ? first->guest : first->peer, 16);
	alert->port = group->port;
	alert->first_ns = group->first_ns;
	alert->last_ns = group->last_ns;
	alert->flow_count = BASE_MIN(group->tries, (uint32_t)ALERT_FLOWS_MAX);
	memcpy(alert->flows, group->flows, sizeof(alert->flows));
	alert_fact(alert, "tries", group->tries);
	alert_fact(alert, "median_bytes", brute_median(group));
	alert_fact(alert, "longer_sessions", group->more);
	alert_address(host, group->peer, group->family);
	snprintf(alert->sentence, sizeof(alert->sentence), "%s %s: %s %s logins at port %u in %s%s",
	         group->incoming ? "was tried by" : "tried", host,
	         finding_number(tries, group->tries), service->name, group->port,
	         finding_span(span, group->last_ns - group->first_ns),
	         group->more ? ", after which a session followed" : "");
}

/* Findings of low severity. */
static size_t brute_low(const struct brute *brute)
{
	size_t low = 0;

	for (size_t i = 0; i < BRUTE_GROUPS; i++)
		low += brute->groups[i].finding.severity == ALERT_LOW;
	return low;
}

static void brute_say(struct brute_group *group, unsigned int severity,
                      const struct detector_out *out)
{
	struct alert alert = {0};

	if (!finding_due(&group->finding, severity, group->tries))
		return;
	brute_alert(group, &alert);
	finding_say(&group->finding, &alert, severity, group->tries, out);
}

static void brute_try(const struct brute *brute, struct brute_group *group,
                      const struct flow_record *record, uint32_t size,
                      const struct detector_out *out)
{
	const uint64_t now = record->last_ns;
	unsigned int severity;

	if (group->tries == 0)
		group->first_ns = record->first_ns;
	if (group->tries < ALERT_FLOWS_MAX)
		group->flows[group->tries] = record->key;
	if (now > group->hour_ns + BRUTE_SLOW_NS) {
		group->hour_ns = now;
		group->in_hour = 0;
	}
	group->in_hour++;
	group->last_ns = BASE_MAX(group->last_ns, now);
	group->times[group->tries % BRUTE_RING] = group->last_ns;
	group->sizes[group->tries % BRUTE_RING] = size;
	group->tries++;
	severity = brute_severity(group);
	if (severity != ALERT_LOW || group->finding.severity || brute_low(brute) < BRUTE_LOW_MAX)
		brute_say(group, severity, out);
}

/* How many logins one connection may have held: servers close it after a few that failed. */
static uint32_t brute_logins(const struct brute_service *service, uint64_t sent)
{
	if (!service->again)
		return 1;
	return (uint32_t)BASE_MIN(BASE_MAX(sent / service->again, 1ull), (uint64_t)BRUTE_AGAIN_MAX);
}

/* --- as one of the detectors --- */

static void *brute_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct brute));
}

static void brute_observe(void *self, const struct flow_event_header *header,
                          const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const uint64_t payload[2] = {record->sides[0].payload, record->sides[1].payload};
	const size_t service = brute_service_of(record);
	struct brute_group *group;
	uint64_t size = payload[0] + payload[1];

	if (service == BASE_COUNT(brute_services))
		return;
	group = brute_group_find(self, &record->key, record->flags & FLOW_FLAG_PEER_OPENED, service,
	                         out);
	if (BASE_MAX(payload[0], payload[1]) <= brute_services[service].most) {
		const unsigned int client =
		        record->flags & FLOW_FLAG_PEER_OPENED ? FLOW_PEER : FLOW_GUEST;

		for (uint32_t i = brute_logins(&brute_services[service], payload[client]); i > 0;
		     i--)
			brute_try(self, group, record, (uint32_t)size, out);
	} else if (group->finding.severity < ALERT_MEDIUM) {
		group->sessions++;
	} else if (group->sessions == 0 &&
	           size > BRUTE_MORE_BYTES + BRUTE_MORE * (uint64_t)brute_median(group)) {
		group->more++;
		brute_say(group, ALERT_CRITICAL, out);
	}
}

static void brute_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct brute *brute = self;

	for (size_t i = 0; i < BRUTE_GROUPS; i++) {
		struct brute_group *group = &brute->groups[i];
		uint64_t patience = group->finding.severity ? BRUTE_QUIET_NS : BRUTE_SLOW_NS;

		if (group->used && now_ns > group->last_ns + patience)
			brute_end(group, out);
	}
}

const struct detector_ops brute_detector = {
        .name = "brute_force",
        .policy = offsetof(struct policy_monitor, brute_force),
        .memory = sizeof(struct brute),
        .types = 1u << FLOW_EVENT_OUTCOME,
        .wants = brute_wants,
        .create = brute_create,
        .destroy = free,
        .observe = brute_observe,
        .tick = brute_tick,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
