/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Scans whose tries have no port or host in common that would gather them.
 *
 *   scan.protocol  which IP protocols a host speaks (nmap -sO): a guest that sends one host packets of five
 *                  protocols, beside those that a host has reason to speak (ICMP, TCP, UDP and SCTP; tunnels:
 *                  IP in IP, IPv6, GRE, ESP, AH; routing and its like: IGMP, OSPF, PIM, VRRP). IANA's registry
 *                  names about 140, of which one guest seldom uses two.
 *   scan.version   what program is behind a port (nmap -sV): connections to one port that begin as four
 *                  different protocols do, within ten minutes. Where the first tries tell already (a web
 *                  server), there are not so many, and nothing is said.
 *   scan.distributed  ports of one host, or hosts on one port below 1024, that three guests or more try together:
 *                  twice as many failed targets in half an hour as would be a scan of one of them, and less
 *                  than a third of them answered (T1046 from several machines of one owner, or a botnet's). It
 *                  is said once, of the guest with which it became enough; world.c does the counting.
 *   scan.spread    1,000 targets by TCP in ten seconds of which not one in ten was answered, whatever they are:
 *                  a scan of random hosts and ports, or a flood. Peer-to-peer programs open connections at a
 *                  limited rate (libtorrent's connection_speed is 30 a second).
 */
#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/scan_group.h"

enum {
	REST_PROTOCOLS = 5,
	REST_VERSIONS = 4,
	REST_SPREAD = 1000,
	REST_SPREAD_MUCH = 10000,
	REST_FUTILE = 8,
	REST_FUTILE_HOSTS = 4,
	REST_FUTILE_PORTS = 2,
};
#define REST_SPREAD_NS   (10 * SCAN_SECOND_NS)
#define REST_VERSIONS_NS (600 * SCAN_SECOND_NS)

static void rest_fill(struct alert *alert, const struct flow_key *flow, uint64_t first_ns,
                      uint64_t last_ns)
{
	alert->detector = DETECTOR_SCAN;
	alert->technique = "T1046";
	alert->technique_name = "Network Service Discovery";
	alert->tactic = "TA0007";
	alert->tactic_name = "Discovery";
	alert->confidence = 80;
	alert->family = flow->family;
	alert->proto = flow->proto;
	memcpy(alert->source, flow->guest, 16);
	alert->flows[0] = *flow;
	alert->flow_count = 1;
	alert->first_ns = first_ns;
	alert->last_ns = last_ns;
}

/* --- protocols --- */

static bool rest_is_usual(uint8_t proto)
{
	static const uint8_t usual[] = {0,  1,  2,  4,  6,  17, 41,  43,  44, 47,
	                                50, 51, 58, 59, 60, 89, 103, 112, 132};

	return memchr(usual, proto, sizeof(usual)) != NULL;
}

static uint32_t rest_protocols(const struct scan_protocols *host)
{
	int bits = 0;

	for (size_t i = 0; i < BASE_COUNT(host->bits); i++)
		bits += __builtin_popcountll(host->bits[i]);
	return (uint32_t)bits;
}

static void rest_protocols_alert(const struct scan_protocols *host, struct alert *alert)
{
	char address[46], span[28];

	rest_fill(alert, &host->flow, host->first_ns, host->last_ns);
	alert->rule = "scan.protocol";
	memcpy(alert->target, host->flow.peer, 16);
	alert_fact(alert, "protocols", rest_protocols(host));
	alert_address(address, host->flow.peer, host->flow.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "tried %u unusual IP protocols of %s in %s", rest_protocols(host), address,
	         finding_span(span, host->last_ns - host->first_ns));
}

static void rest_protocols_end(struct scan_work *work, struct scan_protocols *host)
{
	const struct detector_out out = {work->emit, work->data};
	struct alert alert = {0};

	if (host->finding.severity) {
		rest_protocols_alert(host, &alert);
		finding_end(&host->finding, &alert, &out);
	}
	memset(host, 0, sizeof(*host));
}

static void rest_protocol(struct scan_work *work, const struct scan_try *t)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_protocols *host = NULL;
	struct alert alert = {0};

	for (size_t i = 0; i < SCAN_PROTOCOL_HOSTS; i++) {
		struct scan_protocols *other = &work->scan->rest.hosts[i];

		if (other->flow.family == t->flow.family &&
		    memcmp(other->flow.peer, t->flow.peer, 16) == 0) {
			host = other;
			break;
		}
		if (!host || other->last_ns < host->last_ns)
			host = other;
	}
	if (memcmp(host->flow.peer, t->flow.peer, 16) != 0 || host->flow.family != t->flow.family) {
		rest_protocols_end(work, host);
		host->flow = t->flow;
		host->first_ns = t->first_ns;
	}
	host->bits[t->flow.proto / 64] |= 1ull << (t->flow.proto & 63);
	host->last_ns = t->first_ns;
	if (rest_protocols(host) < REST_PROTOCOLS ||
	    !finding_due(&host->finding, ALERT_MEDIUM, rest_protocols(host)))
		return;
	rest_protocols_alert(host, &alert);
	finding_say(&host->finding, &alert, ALERT_MEDIUM, rest_protocols(host), &out);
}

/* --- versions --- */

/* How a client begins, as a bit; 0: as nothing that is known here. Protocols without a beginning of their own
 * (encrypted ones begin with chance) say nothing. */
static uint32_t rest_head(const uint8_t *head)
{
	static const struct {
		const char *bytes;
		uint8_t size, bit;
	} heads[] = {
	        {"GET ", 4, 0},
	        {"POST", 4, 0},
	        {"HEAD", 4, 0},
	        {"PUT ", 4, 0},
	        {"OPTI", 4, 0},
	        {"\x16\x03", 2, 1},
	        {"\r\n\r\n", 4, 2},
	        {"HELP", 4, 3},
	        {"EHLO", 4, 4},
	        {"HELO", 4, 4},
	        {"USER", 4, 5},
	        {"SSH-", 4, 6},
	        {"\x03\0\0", 3, 7},
	        {"\x80\0\0\x28", 4, 8}, /* RPC, as a record */
	        {"\0\x1e\0\x06", 4, 9},
	        {"\0\x0c\0\0", 4, 9},    /* DNS */
	        {"\0\0\0\xa4", 4, 10},   /* SMB */
	        {"\x6c\0\x0b\0", 4, 11}, /* X11 */
	        {"\x30\x0c\x02\x01", 4, 12},
	        {"\x30\x84\0\0", 4, 12}, /* LDAP */
	        {"\x12\x01\0", 3, 13},   /* SQL Server */
	        {"JRMI", 4, 14},
	        {"DIST", 4, 15},
	        {"DmdT", 4, 16},
	        {"\0\x3a\0\0", 4, 17}, /* Oracle */
	        {"\x01"
	         "def",
	         4, 18},
	        {"\0\0\0\x71", 4, 19}, /* LPD, Kerberos */
	        {"stat", 4, 20},
	        {"PING", 4, 21},
	        {"\x04\x01\0", 3, 22}, /* SOCKS */
	        {"\x05\x04\0", 3, 22},
	        {"AMQP", 4, 23},
	};

	for (size_t i = 0; i < BASE_COUNT(heads); i++)
		if (memcmp(head, heads[i].bytes, heads[i].size) == 0)
			return 1u << heads[i].bit;
	return 0;
}

static void rest_versions_alert(const struct scan_versions *service, struct alert *alert)
{
	char address[46], span[28];

	rest_fill(alert, &service->flow, service->first_ns, service->last_ns);
	alert->rule = "scan.version";
	memcpy(alert->target, service->flow.peer, 16);
	alert->port = service->flow.peer_port;
	alert_fact(alert, "protocols", (uint64_t)__builtin_popcount(service->heads));
	alert_address(address, service->flow.peer, service->flow.family);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "spoke %d protocols to port %u of %s in %s, to see which one is there",
	         __builtin_popcount(service->heads), alert->port, address,
	         finding_span(span, service->last_ns - service->first_ns));
}

static void rest_versions_end(struct scan_work *work, struct scan_versions *service)
{
	const struct detector_out out = {work->emit, work->data};
	struct alert alert = {0};

	if (service->finding.severity) {
		rest_versions_alert(service, &alert);
		finding_end(&service->finding, &alert, &out);
	}
	memset(service, 0, sizeof(*service));
}

void scan_rest_end(struct scan_work *work, const struct flow_record *record)
{
	const struct detector_out out = {work->emit, work->data};
	const struct flow_key *key = &record->key;
	const uint64_t hash = detector_hash_address(key->peer) + key->peer_port;
	const uint32_t bit = record->sides[FLOW_GUEST].head_size < 4
	                             ? 0
	                             : rest_head(record->first[FLOW_GUEST].head);
	struct scan_versions *service = &work->scan->rest.services[hash & (SCAN_VERSION_PORTS - 1)];
	struct alert alert = {0};

	if (!bit)
		return;
	if (service->flow.peer_port != key->peer_port ||
	    memcmp(service->flow.peer, key->peer, 16) != 0 ||
	    work->now_ns > service->last_ns + REST_VERSIONS_NS) {
		rest_versions_end(work, service);
		service->flow = *key;
		service->first_ns = record->first_ns;
	}
	service->last_ns = BASE_MAX(record->last_ns, service->last_ns);
	service->heads |= bit;
	if (__builtin_popcount(service->heads) < REST_VERSIONS ||
	    !finding_due(&service->finding, ALERT_MEDIUM,
	                 (uint64_t)__builtin_popcount(service->heads)))
		return;
	rest_versions_alert(service, &alert);
	finding_say(&service->finding, &alert, ALERT_MEDIUM,
	            (uint64_t)__builtin_popcount(service->heads), &out);
}

/* --- together --- */

static void rest_together_alert(const struct scan_together *together, struct alert *alert)
{
	char address[46];

	rest_fill(alert, &together->flow, together->first_ns, together->last_ns);
	alert->rule = "scan.distributed";
	alert->confidence = 60;
	alert_fact(alert, "targets", together->targets);
	alert_fact(alert, "guests", together->guests);
	alert->port = together->hosts ? together->flow.peer_port : 0;
	if (!together->hosts)
		memcpy(alert->target, together->flow.peer, 16);
	alert_address(address, together->flow.peer, together->flow.family);
	if (together->hosts)
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "and %u others together tried port %u of %u hosts, of which few answered",
		         together->guests - 1, alert->port, together->targets);
	else
		snprintf(alert->sentence, sizeof(alert->sentence),
		         "and %u others together tried %u ports of %s, of which few answered",
		         together->guests - 1, together->targets, address);
}

static void rest_together_end(struct scan_work *work)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_together *together = &work->scan->rest.together;
	struct alert alert = {0};

	if (!together->finding.severity)
		return;
	rest_together_alert(together, &alert);
	finding_end(&together->finding, &alert, &out);
	memset(together, 0, sizeof(*together));
}

void scan_rest_together(struct scan_work *work, const struct scan_try *t, bool failed)
{
	const struct detector_out out = {work->emit, work->data};
	const struct scan_config *config = &work->scan->config;
	struct scan_together *together = &work->scan->rest.together;
	unsigned int guests = 0, targets;
	struct alert alert = {0};
	bool hosts = false;

	targets = world_tried(config->world, WORLD_HOST, &t->flow, failed, t->first_ns,
	                      2 * config->ports, &guests);
	if (!targets && t->flow.peer_port < 1024) {
		hosts = true;
		targets = world_tried(config->world, WORLD_PORT, &t->flow, failed, t->first_ns,
		                      2 * config->hosts, &guests);
	}
	if (!targets)
		return;
	rest_together_end(work);
	*together = (struct scan_together){.flow = t->flow,
	                                   .targets = targets,
	                                   .guests = guests,
	                                   .hosts = hosts,
	                                   .first_ns = t->first_ns,
	                                   .last_ns = t->first_ns};
	rest_together_alert(together, &alert);
	finding_say(&together->finding, &alert, ALERT_MEDIUM, targets, &out);
}

/* --- targets without anything in common --- */

static void rest_spread_alert(const struct scan_rest *rest, struct alert *alert)
{
	char targets[28];

	rest_fill(alert, &rest->flow, rest->first_ns, rest->last_ns);
	alert->rule = "scan.spread";
	alert_fact(alert, "targets", rest->last_targets);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "tried %s hosts and ports within ten seconds, of which hardly any answered",
	         finding_number(targets, rest->last_targets));
}

/* Ten seconds are over. What is a finding by its ports or hosts already is not said again. */
static void rest_spread_judge(struct scan_work *work)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_rest *rest = &work->scan->rest;
	struct alert alert = {0};
	unsigned int severity;

	if (rest->told || rest->targets < REST_SPREAD || rest->answered * 10 > rest->targets)
		return;
	for (int kind = 0; kind < SCAN_KINDS; kind++)
		for (size_t i = 0; i < SCAN_GROUPS; i++)
			if (work->scan->groups[kind][i].severity >= ALERT_MEDIUM)
				return;
	severity = rest->targets >= REST_SPREAD_MUCH ? ALERT_HIGH : ALERT_MEDIUM;
	if (!rest->spread.severity)
		rest->first_ns = BASE_MIN(rest->spread_ns, rest->last_ns);
	rest->last_targets =
	        BASE_MAX(rest->targets, rest->spread.severity ? rest->last_targets : 0u);
	if (!finding_due(&rest->spread, severity, rest->targets))
		return;
	rest_spread_alert(rest, &alert);
	finding_say(&rest->spread, &alert, severity, rest->targets, &out);
}

static void rest_spread(struct scan_work *work)
{
	struct scan_rest *rest = &work->scan->rest;

	if (work->now_ns < rest->spread_ns + REST_SPREAD_NS)
		return;
	if (rest->targets)
		rest_spread_judge(work);
	rest->spread_ns = work->now_ns;
	rest->targets = rest->answered = 0;
	rest->told = false;
}

/* --- targets of which none answers --- */

static unsigned int rest_futile_count(const struct scan_futile *futile)
{
	return (unsigned int)(__builtin_popcountll(futile->bits[0]) +
	                      __builtin_popcountll(futile->bits[1]));
}

static void rest_futile_alert(const struct scan_futile *futile, struct alert *alert)
{
	const unsigned int targets = rest_futile_count(futile);
	char span[28];

	rest_fill(alert, &futile->flow, futile->first_ns, futile->last_ns);
	alert->rule = "scan.spread";
	alert->confidence = 40;
	alert_fact(alert, "targets", targets);
	snprintf(alert->sentence, sizeof(alert->sentence),
	         "tried %u hosts and ports in %s, and nothing answered", targets,
	         finding_span(span, futile->last_ns - futile->first_ns));
}

static void rest_futile_end(struct scan_work *work)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_futile *futile = &work->scan->rest.futile;
	struct alert alert = {0};

	rest_futile_alert(futile, &alert);
	finding_end(&futile->finding, &alert, &out);
	memset(futile, 0, sizeof(*futile));
}

void scan_rest_result(struct scan_work *work, const struct scan_try *t, bool failed)
{
	struct scan_rest *rest = &work->scan->rest;
	struct scan_futile *futile = &rest->futile;
	const uint64_t hash = scan_hash(work->scan, t->flow.peer, t->flow.peer_port);
	const uint64_t day = 2 * SCAN_HALF_DAY_NS;

	if (t->flow.proto != PACKET_PROTO_TCP)
		return;
	if (!failed) {
		rest->answered_ns = BASE_MAX(rest->answered_ns, t->first_ns);
		rest_futile_end(work);
		return;
	}
	if (rest->answered_ns && t->first_ns < rest->answered_ns + day)
		return;
	if (t->first_ns > futile->first_ns + day)
		rest_futile_end(work);
	if (!futile->first_ns)
		futile->first_ns = t->first_ns;
	futile->flow = t->flow;
	futile->last_ns = BASE_MAX(futile->last_ns, t->first_ns);
	futile->bits[hash >> 6 & 1] |= 1ull << (hash & 63);
	futile->hosts |= 1ull << (scan_hash(work->scan, t->flow.peer, 0) & 63);
	futile->ports |= 1ull << (detector_mix(t->flow.peer_port) & 63);
}

/* A finding by ports or hosts says more, and is waited for. */
static void rest_futile_judge(struct scan_work *work)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_futile *futile = &work->scan->rest.futile;
	struct alert alert = {0};

	if (futile->told || futile->finding.severity || rest_futile_count(futile) < REST_FUTILE ||
	    __builtin_popcountll(futile->hosts) < REST_FUTILE_HOSTS ||
	    __builtin_popcountll(futile->ports) < REST_FUTILE_PORTS ||
	    work->now_ns < futile->last_ns + 2 * SCAN_EARLY_NS)
		return;
	rest_futile_alert(futile, &alert);
	finding_say(&futile->finding, &alert, ALERT_LOW, rest_futile_count(futile), &out);
}

void scan_rest_try(struct scan_work *work, const struct scan_try *t)
{
	struct scan_rest *rest = &work->scan->rest;

	if (t->flow.family == FLOW_ARP)
		return;
	if (t->flow.proto == PACKET_PROTO_TCP) {
		rest_spread(work);
		rest->targets++;
		rest->flow = t->flow;
		rest->last_ns = BASE_MAX(rest->last_ns, t->first_ns);
	} else if (!rest_is_usual(t->flow.proto)) {
		rest_protocol(work, t);
	}
}

void scan_rest_answer(struct scan_work *work)
{
	work->scan->rest.answered++;
}

void scan_rest_tick(struct scan_work *work)
{
	const struct detector_out out = {work->emit, work->data};
	struct scan_rest *rest = &work->scan->rest;
	struct alert alert = {0};

	rest_spread(work);
	rest_futile_judge(work);
	if (work->now_ns > rest->futile.last_ns + 2 * SCAN_HALF_DAY_NS)
		rest_futile_end(work);
	for (size_t i = 0; i < SCAN_PROTOCOL_HOSTS; i++)
		if (rest->hosts[i].last_ns &&
		    work->now_ns > rest->hosts[i].last_ns + SCAN_WINDOW_NS)
			rest_protocols_end(work, &rest->hosts[i]);
	if (work->now_ns > rest->together.last_ns + SCAN_WINDOW_NS)
		rest_together_end(work);
	for (size_t i = 0; i < SCAN_VERSION_PORTS; i++)
		if (rest->services[i].finding.severity &&
		    work->now_ns > rest->services[i].last_ns + REST_VERSIONS_NS)
			rest_versions_end(work, &rest->services[i]);
	if (!rest->spread.severity || work->now_ns < rest->last_ns + SCAN_QUIET_NS)
		return;
	rest_spread_alert(rest, &alert);
	finding_end(&rest->spread, &alert, &out);
}
