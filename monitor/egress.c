/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ways out that are unusual. All of them are low: each is ordinary somewhere, and worth knowing beside another
 * alert about the same VM.
 *
 *   egress.first  the first answered connection to the Internet of a VM that was watched for an hour without one
 *   egress.port   a protocol on another's port (T1571): SSH anywhere but on 22 and 2222, TLS or HTTP on SSH's,
 *                 mail's or DNS's port, or on 443 something that begins with printable text but is no HTTP, to
 *                 an address in the Internet
 *   dns.dot       DNS over TLS or QUIC (RFC 7858, RFC 9250: port 853), which no resolver of the host sees
 *   dns.doh       TLS or QUIC on port 443 to a resolver that is known to speak DNS over HTTPS (RFC 8484), by its
 *                 address or by the name that the guest asks for
 *   dns.bypass    DNS to such a public resolver by a guest that also asks one in a private network
 *
 * The known resolvers are those that their operators publish for everybody (Cloudflare, Google, Quad9, OpenDNS,
 * AdGuard, NextDNS, CleanBrowsing, Mullvad).
 *
 * Limits. Unknown resolvers, names hidden by Encrypted Client Hello, and a hello's name that is behind its first
 * segment are not seen. Protocols are known by their first bytes. Each correspondent is said once an hour; 64 are
 * remembered of each VM.
 */
#include <ctype.h>

#include "base/base.h"
#include "bpf/packet.h"
#include "monitor/address.h"
#include "monitor/detectors.h"
#include "monitor/finding.h"
#include "monitor/tls.h"

enum { EGRESS_MAX = 64 };
#define EGRESS_QUIET_NS DETECTOR_HOUR_NS

enum egress_rule { EGRESS_FIRST, EGRESS_PORT, EGRESS_DOT, EGRESS_DOH, EGRESS_BYPASS };

struct egress_one {
	bool used;
	uint8_t rule; /* enum egress_rule */
	struct flow_key key;
	uint64_t first_ns, last_ns;
	uint32_t count;
	char name[ALERT_NAME_MAX];
	const char *what; /* the protocol */
	struct finding finding;
};

struct egress {
	uint64_t since_ns;     /* of the first event */
	bool went_out;         /* to the Internet */
	bool private_resolver; /* one was asked */
	struct egress_one all[EGRESS_MAX];
};

/* --- who speaks DNS over HTTPS --- */

static bool egress_is_resolver(const struct flow_key *key)
{
	static const uint8_t known4[][4] = {
	        {1, 1, 1, 1},      {1, 0, 0, 1},         {8, 8, 8, 8},        {8, 8, 4, 4},
	        {9, 9, 9, 9},      {149, 112, 112, 112}, {208, 67, 222, 222}, {208, 67, 220, 220},
	        {94, 140, 14, 14}, {94, 140, 15, 15},    {45, 90, 28, 0},     {45, 90, 30, 0},
	        {194, 242, 2, 2},  {185, 228, 168, 168},
	};
	static const uint8_t known6[][16] = {
	        {0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x11, 0x11},
	        {0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x10, 0x01},
	        {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x88},
	        {0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, 0x44},
	        {0x26, 0x20, 0, 0xfe, [15] = 0xfe},
	        {0x26, 0x20, 0, 0xfe, [15] = 0x09},
	};

	for (size_t i = 0; key->family == FLOW_IPV4 && i < BASE_COUNT(known4); i++)
		if (memcmp(known4[i], key->peer, 4) == 0)
			return true;
	for (size_t i = 0; key->family == FLOW_IPV6 && i < BASE_COUNT(known6); i++)
		if (memcmp(known6[i], key->peer, 16) == 0)
			return true;
	return false;
}

static bool egress_is_resolver_name(const char *name)
{
	static const char *const known[] = {"dns.google",      "cloudflare-dns.com",
	                                    "one.one.one.one", "dns.quad9.net",
	                                    "doh.opendns.com", "dns.adguard-dns.com",
	                                    "dns.nextdns.io",  "doh.cleanbrowsing.org",
	                                    "dns.mullvad.net", "doh.dns.sb"};
	const size_t length = strlen(name);

	for (size_t i = 0; i < BASE_COUNT(known); i++) {
		const size_t size = strlen(known[i]);

		if (length >= size && strcmp(name + length - size, known[i]) == 0 &&
		    (length == size || name[length - size - 1] == '.'))
			return true;
	}
	return false;
}

/* --- protocols by their first bytes --- */

/* What is spoken, if that is odd on this port; or NULL. */
static const char *egress_odd(const struct flow_record *record)
{
	const uint8_t *head = record->first[FLOW_GUEST].head;
	const uint16_t port = record->key.peer_port;
	const bool service = port == 22 || port == 25 || port == 53;
	size_t text = 0;

	if (record->sides[FLOW_GUEST].head_size < 8)
		return NULL;
	if (memcmp(head, "SSH-", 4) == 0)
		return port == 22 || port == 2222 ? NULL : "SSH";
	if (head[0] == 0x16 && head[1] == 3)
		return service ? "TLS" : NULL;
	if (memcmp(head, "GET ", 4) == 0 || memcmp(head, "POST", 4) == 0 ||
	    memcmp(head, "CONN", 4) == 0)
		return service ? "HTTP" : NULL;
	while (text < 8 && (isprint(head[text]) || isspace(head[text])))
		text++;
	return port == 443 && text == 8 ? "plain text" : NULL;
}

/* --- findings --- */

static void egress_words(const struct egress_one *one, struct alert *alert)
{
	static const struct {
		const char *rule, *technique, *name, *words;
	} rules[] = {
	        [EGRESS_FIRST] = {"egress.first", "T1071", "Application Layer Protocol",
	                          "connected to the Internet for the first time:"},
	        [EGRESS_PORT] = {"egress.port", "T1571", "Non-Standard Port", "spoke"},
	        [EGRESS_DOT] = {"dns.dot", "T1071.004", "DNS", "asked for names by TLS or QUIC:"},
	        [EGRESS_DOH] = {"dns.doh", "T1071.004", "DNS",
	                        "may have asked for names by HTTPS:"},
	        [EGRESS_BYPASS] = {"dns.bypass", "T1071.004", "DNS",
	                           "asked a public resolver beside its own:"},
	};
	char host[46];

	alert_address(host, one->key.peer, one->key.family);
	alert->rule = rules[one->rule].rule;
	alert->technique = rules[one->rule].technique;
	alert->technique_name = rules[one->rule].name;
	snprintf(alert->sentence, sizeof(alert->sentence), "%s%s%s %s%s%s%s, port %u, %u times",
	         rules[one->rule].words, one->what ? " " : "", one->what ? one->what : "",
	         one->what ? "with " : "", host, one->name[0] ? " as " : "", one->name,
	         one->key.peer_port, one->count);
}

static void egress_alert(const struct egress_one *one, struct alert *alert)
{
	alert->detector = DETECTOR_EGRESS;
	alert->tactic = "TA0011";
	alert->tactic_name = "Command and Control";
	alert->confidence = 40;
	alert->family = one->key.family;
	alert->proto = one->key.proto;
	memcpy(alert->source, one->key.guest, 16);
	memcpy(alert->target, one->key.peer, 16);
	alert->port = one->key.peer_port;
	alert->first_ns = one->first_ns;
	alert->last_ns = one->last_ns;
	alert->flows[0] = one->key;
	alert->flow_count = 1;
	base_copy_string(alert->name, sizeof(alert->name), one->name);
	alert_fact(alert, "connections", one->count);
	egress_words(one, alert);
}

static void egress_end(struct egress_one *one, const struct detector_out *out)
{
	struct alert alert = {0};

	if (one->finding.severity) {
		egress_alert(one, &alert);
		finding_end(&one->finding, &alert, out);
	}
	memset(one, 0, sizeof(*one));
}

static void egress_say(struct egress *egress, enum egress_rule rule, const struct flow_key *key,
                       uint64_t now, const char *name, const char *what,
                       const struct detector_out *out)
{
	struct egress_one *one = NULL;
	struct alert alert = {0};

	for (size_t i = 0; i < EGRESS_MAX; i++) {
		struct egress_one *other = &egress->all[i];

		if (other->used && other->rule == rule && other->key.peer_port == key->peer_port &&
		    memcmp(other->key.peer, key->peer, 16) == 0) {
			one = other;
			break;
		}
		if (!one || (one->used && (!other->used || other->last_ns < one->last_ns)))
			one = other;
	}
	if (!one->used || one->rule != rule || one->key.peer_port != key->peer_port ||
	    memcmp(one->key.peer, key->peer, 16) != 0) {
		egress_end(one, out);
		*one = (struct egress_one){.used = true,
		                           .rule = (uint8_t)rule,
		                           .key = *key,
		                           .first_ns = now,
		                           .what = what};
		base_copy_string(one->name, sizeof(one->name), name);
	}
	one->last_ns = BASE_MAX(one->last_ns, now);
	one->count++;
	if (one->finding.severity)
		return;
	egress_alert(one, &alert);
	finding_say(&one->finding, &alert, ALERT_LOW, one->count, out);
}

/* --- events --- */

static bool egress_wants(const struct flow_event_header *header)
{
	const struct flow_payload_event *payload = (const struct flow_payload_event *)header;
	const struct flow_record *record = &((const struct flow_event *)header)->record;

	if (header->type == FLOW_EVENT_PAYLOAD)
		return payload->kind == FLOW_PAYLOAD_TLS && payload->offset == 0 &&
		       payload->side == FLOW_GUEST && !(payload->flags & FLOW_FLAG_PEER_OPENED);
	return record->key.family != FLOW_ARP && !(record->flags & FLOW_FLAG_PEER_OPENED) &&
	       record->outcome >= FLOW_OUTCOME_ANSWERED;
}

static void egress_hello(struct egress *egress, const struct flow_payload_event *event,
                         const struct detector_out *out)
{
	struct tls_hello hello;

	if (tls_hello_parse(event->bytes, event->captured, false, &hello) < 0)
		return;
	if (egress_is_resolver_name(hello.name))
		egress_say(egress, EGRESS_DOH, &event->key, event->header.time_ns, hello.name, NULL,
		           out);
}

static void egress_resolver(struct egress *egress, const struct flow_key *key, uint64_t now,
                            bool public, const struct detector_out *out)
{
	if (key->peer_port == 853) {
		egress_say(egress, EGRESS_DOT, key, now, "", NULL, out);
	} else if (key->peer_port == 443) {
		if (egress_is_resolver(key))
			egress_say(egress, EGRESS_DOH, key, now, "", NULL, out);
	} else if (key->peer_port == 53) {
		egress->private_resolver |= !public;
		if (public && egress->private_resolver && egress_is_resolver(key))
			egress_say(egress, EGRESS_BYPASS, key, now, "", NULL, out);
	}
}

static void egress_observe(void *self, const struct flow_event_header *header,
                           const struct detector_out *out)
{
	const struct flow_record *record = &((const struct flow_event *)header)->record;
	const struct flow_key *key = &record->key;
	struct egress *egress = self;
	const char *odd;
	bool public;

	if (!egress->since_ns)
		egress->since_ns = header->time_ns;
	if (header->type == FLOW_EVENT_PAYLOAD) {
		egress_hello(egress, (const struct flow_payload_event *)header, out);
		return;
	}
	public = address_is_public(key->peer, key->family);
	/* once a connection: when it is answered, or, where it says what it speaks, when it has ended */
	if (record->outcome == FLOW_OUTCOME_CLOSED) {
		odd = public && key->proto == PACKET_PROTO_TCP ? egress_odd(record) : NULL;
		if (odd)
			egress_say(egress, EGRESS_PORT, key, header->time_ns, "", odd, out);
		return;
	}
	if (record->outcome != FLOW_OUTCOME_ANSWERED)
		return;
	if (key->proto == PACKET_PROTO_TCP || key->proto == PACKET_PROTO_UDP)
		egress_resolver(egress, key, header->time_ns, public, out);
	if (public && !egress->went_out && header->time_ns > egress->since_ns + DETECTOR_HOUR_NS)
		egress_say(egress, EGRESS_FIRST, key, header->time_ns, "", NULL, out);
	egress->went_out |= public;
}

static void egress_tick(void *self, uint64_t now_ns, const struct detector_out *out)
{
	struct egress *egress = self;

	for (size_t i = 0; i < EGRESS_MAX; i++)
		if (egress->all[i].used && now_ns > egress->all[i].last_ns + EGRESS_QUIET_NS)
			egress_end(&egress->all[i], out);
}

static void *egress_create(const struct detector_config *config)
{
	return detector_take(config, sizeof(struct egress));
}

static void egress_save(const void *self, struct baseline_out *out)
{
	const struct egress *egress = self;

	baseline_put(out, egress->since_ns, 8);
	baseline_put(out, egress->went_out, 1);
	baseline_put(out, egress->private_resolver, 1);
}

static bool egress_load(void *self, struct baseline_in *in, uint64_t now_ns)
{
	struct egress *egress = self;

	egress->since_ns = baseline_get(in, 8);
	egress->since_ns = BASE_MIN(egress->since_ns, now_ns);
	egress->went_out = baseline_get(in, 1) == 1;
	egress->private_resolver = baseline_get(in, 1) == 1;
	return true;
}

const struct detector_ops egress_detector = {
        .name = "egress",
        .policy = offsetof(struct policy_monitor, egress),
        .memory = sizeof(struct egress),
        .types = 1u << FLOW_EVENT_OUTCOME | 1u << FLOW_EVENT_PAYLOAD,
        .wants = egress_wants,
        .create = egress_create,
        .destroy = free,
        .observe = egress_observe,
        .tick = egress_tick,
        .save = egress_save,
        .load = egress_load,
        .state_version = 1,
        .period_ns = 10 * DETECTOR_SECOND_NS,
};
