/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows that were answered become rules: one for each direction, protocol and port, or ICMP type, with all the peers
 * that it was seen with; ports that have the same peers share one. What always passes or never (ARP, neighbour
 * discovery, DHCP, multicast) needs no rule. What nobody answered was maybe a scan, or a service that was away: it is
 * written as a comment, which a reviewer can make a rule. Where a rule has more than LEARN_PEERS peers, networks
 * stand for them, and its comment says so.
 */
#include "cordon/learn.h"

#include <arpa/inet.h>

#include "base/base.h"
#include "cordon/flow_json.h"
#include "cordon/learn_base.h"
#include "policies/policies.h"

enum {
	LEARN_FLOWS = 1 << 18, /* places; half of them are used */
	LEARN_TRIES_MAX = 16384,
	LEARN_SLOTS = 32768,
	LEARN_PEERS = 64,
	LEARN_PORTS = 64,
	LEARN_COMMENTS = 32,
	LEARN_TIME = 25,
};

struct learn_try { /* what was tried with one peer */
	bool incoming, answered;
	uint8_t family, proto; /* family: 4 or 6 */
	uint16_t port;         /* the service's; of ICMP its type */
	uint8_t peer[16];
	uint64_t flows, bytes;
	char first[LEARN_TIME], last[LEARN_TIME];
};

struct learn_seen {
	uint64_t id; /* 0: free */
	uint64_t bytes;
};

struct learn {
	struct learn_try tries[LEARN_TRIES_MAX];
	size_t count;
	uint16_t slots[LEARN_SLOTS]; /* index of a try, plus one */
	struct learn_seen *seen;
	size_t seen_count;
	struct learn_numbers numbers;
};

struct learn *learn_new(void)
{
	struct learn *learn = calloc(1, sizeof(*learn));

	if (!learn)
		return NULL;
	learn->seen = calloc(LEARN_FLOWS, sizeof(*learn->seen));
	if (learn->seen)
		return learn;
	free(learn);
	return NULL;
}

void learn_free(struct learn *learn)
{
	if (learn)
		free(learn->seen);
	free(learn);
}

struct learn_numbers learn_numbers(const struct learn *learn)
{
	struct learn_numbers numbers = learn->numbers;

	for (size_t i = 0; i < learn->count; i++)
		*(learn->tries[i].answered ? &numbers.answered : &numbers.unanswered) +=
		        learn->tries[i].flows;
	return numbers;
}

/* --- flows --- */

static uint64_t learn_hash(uint64_t hash, const void *data, size_t size)
{
	const uint8_t *at = data;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ at[i]) * 0x100000001b3;
	return hash;
}

static bool learn_is_icmp(const struct learn_try *try)
{
	return try->proto == (try->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6);
}

static bool learn_is_ported(const struct learn_try *try)
{
	return try->proto == IPPROTO_TCP || try->proto == IPPROTO_UDP || try->proto == IPPROTO_SCTP;
}

/* Digits and what is between them: it becomes a comment, and must not end one. */
static bool learn_is_time(const char *text)
{
	size_t length = strlen(text);

	return length > 0 && length < LEARN_TIME && strspn(text, "0123456789-T:.Z") == length;
}

/* What a rule can say: fragments have no ports, and a scan has protocols that there are not. */
static bool learn_is_sayable(const struct learn_try *try)
{
	if (learn_is_ported(try))
		return try->port > 0;
	/* either one's ICMP in the other IP */
	if (try->proto == (try->family == 4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP))
		return false;
	return learn_is_icmp(try) ? try->port < 255 : try->proto > 0;
}

/* False for what is no flow of IP, or nothing that a rule could say. */
static bool learn_read(const json_t *flow, struct learn_try *try)
{
	const bool incoming = strcmp(flow_json_text(flow, "network", "direction"), "ingress") == 0;
	const char *type = flow_json_text(flow, "network", "type");

	memset(try, 0, sizeof(*try));
	try->family = strcmp(type, "ipv6") == 0 ? 6 : 4;
	try->incoming = incoming;
	try->proto = (uint8_t)strtoul(flow_json_text(flow, "network", "iana_number"), NULL, 10);
	try->answered = strcmp(flow_json_text(flow, "event", "outcome"), "success") == 0;
	if (strcmp(type, "arp") == 0 ||
	    inet_pton(try->family == 6 ? AF_INET6 : AF_INET,
	              flow_json_text(flow, incoming ? "source" : "destination", "ip"),
	              try->peer) != 1)
		return false;
	try->port = (uint16_t)flow_json_number(flow, learn_is_icmp(try) ? "source" : "destination",
	                                       "port");
	if (!learn_is_icmp(try) && !learn_is_ported(try))
		try->port = 0;
	try->bytes = (uint64_t)BASE_MAX(flow_json_number(flow, "network", "bytes"), 0);
	base_copy_string(try->first, sizeof(try->first), flow_json_text(flow, "event", "start"));
	base_copy_string(try->last, sizeof(try->last), flow_json_text(flow, "event", "end"));
	return learn_is_sayable(try) && learn_is_time(try->first) && learn_is_time(try->last);
}

/* The firewall has rules of its own for it. */
static bool learn_is_housekeeping(const struct learn_try *try)
{
	if (learn_is_icmp(try))
		return try->family == 6 && try->port >= 130 && try->port <= 137;
	return try->proto == IPPROTO_UDP &&
	       (try->port == 67 || try->port == 68 || try->port == 546 || try->port == 547);
}

static bool learn_is_multicast(const struct learn_try *try)
{
	return try->family == 6 ? try->peer[0] == 0xff : try->peer[0] >= 224 || try->peer[0] == 0;
}

/* Two of one direction, protocol and port; 0: they are. */
static int learn_same(const struct learn_try *a, const struct learn_try *b)
{
	if (a->incoming != b->incoming)
		return a->incoming ? -1 : 1;
	/* ICMP's types are those of its family */
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	return a->port == b->port ? 0 : a->port < b->port ? -1 : 1;
}

static struct learn_try *learn_find(struct learn *learn, const struct learn_try *try)
{
	const uint8_t what[] = {try->incoming, try->family, try->proto, (uint8_t)(try->port >> 8),
	                        (uint8_t)try->port};
	uint64_t hash = learn_hash(learn_hash(0xcbf29ce484222325, what, sizeof(what)), try->peer,
	                           sizeof(try->peer));
	size_t slot = (hash ^ hash >> 32) & (LEARN_SLOTS - 1);

	for (; learn->slots[slot]; slot = (slot + 1) & (LEARN_SLOTS - 1)) {
		struct learn_try *there = &learn->tries[learn->slots[slot] - 1];

		if (learn_same(there, try) == 0 && there->family == try->family &&
		    memcmp(there->peer, try->peer, sizeof(try->peer)) == 0)
			return there;
	}
	if (learn->count == LEARN_TRIES_MAX)
		return NULL;
	learn->tries[learn->count] = *try;
	learn->tries[learn->count].flows = learn->tries[learn->count].bytes = 0;
	learn->slots[slot] = (uint16_t)++learn->count;
	return &learn->tries[learn->count - 1];
}

/* What the flow was when it was seen last; NULL when no more can be remembered. */
static struct learn_seen *learn_seen_of(struct learn *learn, const json_t *flow)
{
	const char *names[][2] = {{"network", "community_id"},
	                          {"event", "start"},
	                          {"network", "direction"},
	                          {"source", "ip"},
	                          {"destination", "ip"}};
	uint64_t id = FLOW_JSON_HASH;
	size_t slot;

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		id = flow_json_hash(id, flow_json_text(flow, names[i][0], names[i][1]));
	id |= 1;
	for (slot = (id ^ id >> 32) & (LEARN_FLOWS - 1); learn->seen[slot].id;
	     slot = (slot + 1) & (LEARN_FLOWS - 1))
		if (learn->seen[slot].id == id)
			return &learn->seen[slot];
	if (learn->seen_count == LEARN_FLOWS / 2)
		return NULL;
	learn->seen_count++;
	learn->seen[slot].id = id;
	learn->seen[slot].bytes = UINT64_MAX; /* it is new */
	learn->numbers.flows++;
	return &learn->seen[slot];
}

void learn_flow(struct learn *learn, const json_t *flow)
{
	struct learn_try try, *there;
	struct learn_seen *seen;
	bool fresh;

	if (!learn_read(flow, &try) || learn_is_housekeeping(&try))
		return;
	seen = learn_seen_of(learn, flow);
	fresh = seen && seen->bytes == UINT64_MAX;
	there = seen && !learn_is_multicast(&try) ? learn_find(learn, &try) : NULL;
	if (!there) {
		learn->numbers.left_out += fresh || !seen;
		if (seen)
			seen->bytes = try.bytes;
		return;
	}
	there->answered |= try.answered;
	there->flows += fresh;
	there->bytes += fresh ? try.bytes : try.bytes - BASE_MIN(try.bytes, seen->bytes);
	seen->bytes = try.bytes;
	if (strcmp(try.first, there->first) < 0)
		memcpy(there->first, try.first, sizeof(try.first));
	if (strcmp(try.last, there->last) > 0)
		memcpy(there->last, try.last, sizeof(try.last));
}

/* --- rules --- */

/* Tries of one direction, protocol and port, and what else has the same peers. */
struct learn_rule {
	const struct learn_try *tries;
	size_t count;
	uint16_t ports[LEARN_PORTS];
	size_t port_count;
	uint64_t flows, bytes;
	char first[LEARN_TIME], last[LEARN_TIME];
	bool merged; /* into another one */
};

static int learn_order(const void *a, const void *b)
{
	const struct learn_try *x = a, *y = b;
	int order = x->answered == y->answered ? learn_same(x, y) : x->answered ? -1 : 1;

	if (order)
		return order;
	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	return memcmp(x->peer, y->peer, sizeof(x->peer));
}

static void learn_rule_add(struct learn_rule *rule, const struct learn_rule *more)
{
	rule->flows += more->flows;
	rule->bytes += more->bytes;
	if (strcmp(more->first, rule->first) < 0)
		memcpy(rule->first, more->first, sizeof(rule->first));
	if (strcmp(more->last, rule->last) > 0)
		memcpy(rule->last, more->last, sizeof(rule->last));
}

/* The rule of the tries that begin there. */
static void learn_rule_make(struct learn_rule *rule, const struct learn_try *tries, size_t most)
{
	*rule = (struct learn_rule){.tries = tries, .port_count = 1, .ports = {tries[0].port}};
	memcpy(rule->first, tries[0].first, sizeof(rule->first));
	while (rule->count < most && tries[rule->count].answered == tries[0].answered &&
	       learn_same(&tries[rule->count], &tries[0]) == 0) {
		const struct learn_try *try = &tries[rule->count++];
		struct learn_rule one = {.flows = try->flows, .bytes = try->bytes};

		memcpy(one.first, try->first, sizeof(one.first));
		memcpy(one.last, try->last, sizeof(one.last));
		learn_rule_add(rule, &one);
	}
}

static bool learn_same_peers(const struct learn_rule *a, const struct learn_rule *b)
{
	if (a->count != b->count || a->tries->proto != b->tries->proto ||
	    a->tries->incoming != b->tries->incoming || a->tries->answered != b->tries->answered ||
	    !learn_is_ported(a->tries))
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->tries[i].family != b->tries[i].family ||
		    memcmp(a->tries[i].peer, b->tries[i].peer, sizeof(a->tries[i].peer)) != 0)
			return false;
	return true;
}

static void learn_merge(struct learn_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (size_t n = i + 1; n < count && !rules[i].merged; n++)
			if (!rules[n].merged && rules[i].port_count < LEARN_PORTS &&
			    learn_same_peers(&rules[i], &rules[n])) {
				rules[i].ports[rules[i].port_count++] = rules[n].ports[0];
				learn_rule_add(&rules[i], &rules[n]);
				rules[n].merged = true;
			}
}

/* --- what is written --- */

static const char *learn_bytes(char out[24], uint64_t bytes)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < BASE_COUNT(units); unit++)
		value /= 1024;
	snprintf(out, 24, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return out;
}

/* An address, or the network around it. */
static void learn_peer(FILE *out, const struct learn_try *try, unsigned int prefix)
{
	uint8_t network[16];
	char text[INET6_ADDRSTRLEN];

	memcpy(network, try->peer, sizeof(network));
	for (size_t i = prefix / 8; i < sizeof(network); i++)
		network[i] = 0;
	inet_ntop(try->family == 6 ? AF_INET6 : AF_INET, network, text, sizeof(text));
	fprintf(out, try->family == 6 ? "\"%s/%u\"" : "%s/%u", text, prefix);
}

/* How many bits of the addresses stand: all, or, of many peers, those of a network. 0: any. */
static unsigned int learn_prefix(const struct learn_rule *rule, uint8_t family)
{
	unsigned int prefix = family == 6 ? 128 : 32, step = family == 6 ? 64 : 8;

	for (; prefix > 0; prefix -= BASE_MIN(step, prefix), step = family == 6 ? 16 : 8) {
		const struct learn_try *before = NULL;
		size_t networks = 0;

		for (size_t i = 0; i < rule->count; i++) {
			const struct learn_try *try = &rule->tries[i];

			if (try->family != family)
				continue;
			networks += !before || memcmp(before->peer, try->peer, prefix / 8) != 0;
			before = try;
		}
		if (networks <= LEARN_PEERS)
			return prefix;
	}
	return 0;
}

static void learn_peers(FILE *out, const struct learn_rule *rule, const unsigned int prefix[2])
{
	const struct learn_try *before = NULL;

	for (size_t i = 0; i < rule->count; i++) {
		const struct learn_try *try = &rule->tries[i];
		unsigned int bits = prefix[try->family == 6];

		if (before && before->family == try->family &&
		    memcmp(before->peer, try->peer, bits / 8) == 0)
			continue;
		fputs(before ? ", " : "[", out);
		learn_peer(out, try, bits);
		before = try;
	}
	fputc(']', out);
}

static void learn_proto(FILE *out, const struct learn_rule *rule)
{
	const struct learn_try *try = rule->tries;
	const char *key = learn_is_icmp(try) ? "types" : "ports";

	switch (try->proto) {
	case IPPROTO_TCP: fputs("proto: tcp", out); break;
	case IPPROTO_UDP: fputs("proto: udp", out); break;
	case IPPROTO_SCTP: fputs("proto: sctp", out); break;
	case IPPROTO_ICMP: fputs("proto: icmpv4", out); break;
	case IPPROTO_ICMPV6: fputs("proto: icmpv6", out); break;
	default: fprintf(out, "proto: %u", try->proto); return;
	}
	fprintf(out, ", %s: [%u", key, rule->ports[0]);
	for (size_t i = 1; i < rule->port_count; i++)
		fprintf(out, ", %u", rule->ports[i]);
	fputc(']', out);
}

static void learn_rule_write(FILE *out, const struct learn_rule *rule)
{
	const struct learn_try *try = rule->tries;
	const unsigned int prefix[2] = {learn_prefix(rule, 4), learn_prefix(rule, 6)};
	const bool wide = prefix[0] < 32 || prefix[1] < 128;
	char bytes[24];

	fprintf(out,
	        "    # %llu flow%s, %s, %s to %s%s\n    %s- {%s: ", (unsigned long long)rule->flows,
	        rule->flows == 1 ? "" : "s", learn_bytes(bytes, rule->bytes), rule->first,
	        rule->last,
	        !try->answered ? "; nobody answered"
	        : wide         ? "; too many peers to name, so their networks"
	                       : "",
	        try->answered ? "" : "# ", try->incoming ? "from" : "to");
	if (prefix[0] == 0 || prefix[1] == 0)
		fputs("any", out);
	else
		learn_peers(out, rule, prefix);
	fputs(", ", out);
	learn_proto(out, rule);
	fputs("}\n", out);
}

/* All rules of one direction; how many. */
static size_t learn_side(FILE *out, const struct learn_rule *rules, size_t count, bool incoming)
{
	size_t written = 0, comments = 0, more = 0;

	for (size_t i = 0; i < count; i++)
		if (rules[i].tries->incoming == incoming && rules[i].tries->answered &&
		    !rules[i].merged) {
			if (written++ == 0)
				fprintf(out, "  %s:\n", incoming ? "ingress" : "egress");
			learn_rule_write(out, &rules[i]);
		}
	for (size_t i = 0; i < count; i++)
		if (rules[i].tries->incoming == incoming && !rules[i].tries->answered &&
		    !rules[i].merged) {
			if (comments++ == 0)
				fprintf(out, "    # Not allowed, as it was not answered%s:\n",
				        incoming ? " by the guest" : "");
			if (comments <= LEARN_COMMENTS)
				learn_rule_write(out, &rules[i]);
			else
				more += rules[i].flows;
		}
	if (more)
		fprintf(out, "    # ... and %llu flows more\n", (unsigned long long)more);
	if (written == 0)
		fprintf(out, "  %s: []\n", incoming ? "ingress" : "egress");
	return written;
}

static int learn_rules(struct learn *learn, FILE *out)
{
	BASE_AUTO_FREE struct learn_rule *rules = calloc(learn->count + 1, sizeof(*rules));
	size_t count = 0, peers = 0;

	if (!rules)
		return -ENOMEM;
	qsort(learn->tries, learn->count, sizeof(learn->tries[0]), learn_order);
	memset(learn->slots, 0, sizeof(learn->slots));
	for (size_t at = 0; at < learn->count; at += rules[count++].count)
		learn_rule_make(&rules[count], &learn->tries[at], learn->count - at);
	learn_merge(rules, count);
	for (size_t i = 0; i < count; i++)
		peers += rules[i].merged || !rules[i].tries->answered
		                 ? 0
		                 : BASE_MIN(rules[i].count, 2 * (size_t)LEARN_PEERS);
	if (learn_side(out, rules, count, true) > POLICY_RULES_MAX ||
	    learn_side(out, rules, count, false) > POLICY_RULES_MAX || peers > POLICY_CIDRS_MAX)
		return -E2BIG;
	return 0;
}

int learn_write(struct learn *learn, FILE *out, const char *base)
{
	const struct learn_numbers numbers = learn_numbers(learn);
	const char *rest;
	int err;

	fprintf(out,
	        "# Suggested by cordon learn from %llu flows: %llu are allowed here, %llu were "
	        "not\n"
	        "# answered, %llu were left out (multicast, or too many). It is what the guest "
	        "did,\n"
	        "# not what it should do: review it.\n",
	        (unsigned long long)numbers.flows, (unsigned long long)numbers.answered,
	        (unsigned long long)numbers.unanswered, (unsigned long long)numbers.left_out);
	rest = learn_base_before(out, base);
	fputs("firewall:\n", out);
	err = learn_rules(learn, out);
	if (!err)
		learn_base_after(out, rest);
	return err;
}
