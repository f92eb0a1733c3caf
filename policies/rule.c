/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a firewall rule speaks of: protocol, ports, ICMP types, services by name. (Whom: peers.c.)
 */
#include "policies/internal.h"

/* A list's items, or a single scalar. */
void policy_each_item(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule,
                      policy_item_fn add)
{
	if (node->type == POLICY_NODE_LIST && !node->first)
		policy_walk_refuse(walk, node, "at least one");
	else if (node->type == POLICY_NODE_LIST)
		for (struct policy_node *item = node->first; item; item = item->next)
			add(walk, item, rule);
	else
		add(walk, node, rule);
}

/* ---- ports ---- */

static void add_ports(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule)
{
	struct policy *policy = walk->policy;
	struct policy_ports ports;
	struct policy_error *error;
	char range[POLICY_FORMAT_MAX];
	int result;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	result = node->type == POLICY_NODE_TEXT ? policy_value_ports(node->text, &ports) : -EINVAL;
	if (result) {
		error = policy_walk_refuse(walk, node,
		                           "a port from 1 to 65535, or a range such as 8000-8080");
		if (node->type == POLICY_NODE_TEXT && strchr(node->text, ':'))
			policy_error_hint(error, "a range is written with '-'");
		else if (node->type == POLICY_NODE_TEXT && result == -ERANGE &&
		         strchr(node->text, '-'))
			policy_error_hint(error, "a range goes from the lower port to the higher");
		return;
	}
	for (size_t i = rule->ports.first; i < policy->port_count; i++) {
		const struct policy_ports *old = &policy->ports[i];

		if (ports.first > old->last || ports.last < old->first)
			continue;
		error = policy_walk_refuse(walk, node, "ports that do not overlap");
		policy_error_hint(error, "it overlaps with %s in the same rule",
		                  policy_format_ports(old, range));
		return;
	}
	if (policy->port_count == POLICY_PORTS_MAX) {
		policy_walk_refuse(walk, node, "at most %d ports in one policy", POLICY_PORTS_MAX);
		return;
	}
	policy->ports[policy->port_count++] = ports;
	rule->ports.count++;
}

static void read_ports(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	struct policy_rule *rule = base;

	rule->ports.first = (uint16_t)walk->policy->port_count;
	if (value->type == POLICY_NODE_MAP)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_each_item(walk, value, rule, add_ports);
}

const struct policy_kind policy_kind_ports = {
        .noun = "ports such as [80, 443, 8000-8080]",
        .read = read_ports,
};

/* ---- proto ---- */

static const struct policy_word protocols[] = {
        {"any", POLICY_PROTO_ANY},       {"tcp", POLICY_PROTO_TCP},
        {"udp", POLICY_PROTO_UDP},       {"icmp", POLICY_PROTO_ICMP},
        {"icmpv4", POLICY_PROTO_ICMPV4}, {"icmpv6", POLICY_PROTO_ICMPV6},
        {"sctp", POLICY_PROTO_SCTP},
};

/* Assigned Internet Protocol Numbers (IANA) that have a name here; others are written as numbers. */
static const struct policy_word numbers[] = {
        {"igmp", 2}, {"ipip", 4},  {"dccp", 33}, {"ipv6", 41},  {"gre", 47},   {"esp", 50},
        {"ah", 51},  {"ospf", 89}, {"pim", 103}, {"vrrp", 112}, {"l2tp", 115}, {"udplite", 136},
};

static bool store_protocol(struct policy_rule *rule, uint64_t number)
{
	static const struct {
		uint8_t number;
		enum policy_proto proto;
	} known[] = {{1, POLICY_PROTO_ICMPV4},
	             {6, POLICY_PROTO_TCP},
	             {17, POLICY_PROTO_UDP},
	             {58, POLICY_PROTO_ICMPV6},
	             {132, POLICY_PROTO_SCTP}};

	if (number < 1 || number > 255)
		return false;
	rule->proto = POLICY_PROTO_NUMBER;
	rule->protocol = (uint8_t)number;
	for (size_t i = 0; i < BASE_COUNT(known); i++)
		if (number == known[i].number) {
			rule->proto = known[i].proto;
			rule->protocol = 0;
		}
	return true;
}

static void read_proto(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	const char *names[BASE_COUNT(protocols) + BASE_COUNT(numbers)], *near;
	struct policy_rule *rule = base;
	struct policy_error *error;
	uint64_t number;
	size_t count = 0;

	if (!policy_walk_text(walk, key, value))
		return;
	for (size_t i = 0; i < BASE_COUNT(protocols); i++) {
		names[count++] = protocols[i].word;
		if (strcmp(value->text, protocols[i].word) == 0) {
			rule->proto = (enum policy_proto)protocols[i].value;
			return;
		}
	}
	for (size_t i = 0; i < BASE_COUNT(numbers); i++) {
		names[count++] = numbers[i].word;
		if (strcmp(value->text, numbers[i].word) == 0 &&
		    store_protocol(rule, numbers[i].value))
			return;
	}
	if (policy_value_uint(value->text, &number) == 0 && store_protocol(rule, number))
		return;
	error = policy_walk_refuse(walk, value, "%s", key->kind->noun);
	near = policy_suggest(value->text, names, count);
	if (near)
		policy_error_hint(error, "did you mean %s?", near);
}

const struct policy_kind policy_kind_proto = {
        .noun = "any, tcp, udp, icmp, icmpv4, icmpv6, sctp, gre, esp, or a number from 1 to 255",
        .read = read_proto,
};

void policy_proto_format(const struct policy_rule *rule, char out[POLICY_FORMAT_MAX])
{
	snprintf(out, POLICY_FORMAT_MAX, "%s",
	         rule->proto == POLICY_PROTO_ANY ? "any protocol" : "protocol");
	for (size_t i = 1; i < BASE_COUNT(protocols); i++)
		if (protocols[i].value == rule->proto)
			snprintf(out, POLICY_FORMAT_MAX, "%s", protocols[i].word);
	if (rule->proto != POLICY_PROTO_NUMBER)
		return;
	snprintf(out, POLICY_FORMAT_MAX, "protocol %u", rule->protocol);
	for (size_t i = 0; i < BASE_COUNT(numbers); i++)
		if (numbers[i].value == rule->protocol)
			snprintf(out, POLICY_FORMAT_MAX, "%s", numbers[i].word);
}

/* ---- types ---- */

/* RFC 792, RFC 4443: what has the same meaning has the same name; 255: not in this family. */
static const struct {
	const char *name;
	uint8_t v4, v6;
} types[] = {
        {"echo-request", 8, 128},          {"echo-reply", 0, 129},
        {"destination-unreachable", 3, 1}, {"packet-too-big", 255, 2},
        {"time-exceeded", 11, 3},          {"parameter-problem", 12, 4},
        {"timestamp-request", 13, 255},    {"timestamp-reply", 14, 255},
};

static bool store_type(struct policy_rule *rule, const char *text)
{
	uint64_t number;

	for (size_t i = 0; i < BASE_COUNT(types); i++) {
		if (strcmp(text, types[i].name) != 0)
			continue;
		if (types[i].v4 != 255)
			policy_bit_set(rule->types4, types[i].v4);
		if (types[i].v6 != 255)
			policy_bit_set(rule->types6, types[i].v6);
		return true;
	}
	if (policy_value_uint(text, &number) || number > 254)
		return false;
	policy_bit_set(rule->types4, (uint8_t)number);
	policy_bit_set(rule->types6, (uint8_t)number);
	return true;
}

static void add_type(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule)
{
	const char *names[BASE_COUNT(types)], *near;
	struct policy_error *error;

	if (node->type == POLICY_NODE_REFUSED ||
	    (node->type == POLICY_NODE_TEXT && store_type(rule, node->text)))
		return;
	for (size_t i = 0; i < BASE_COUNT(types); i++)
		names[i] = types[i].name;
	error = policy_walk_refuse(walk, node, "%s", policy_kind_types.noun);
	near = node->type == POLICY_NODE_TEXT ? policy_suggest(node->text, names, BASE_COUNT(types))
	                                      : NULL;
	if (near)
		policy_error_hint(error, "did you mean %s?", near);
}

static void read_types(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	if (value->type == POLICY_NODE_MAP)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_each_item(walk, value, base, add_type);
}

const struct policy_kind policy_kind_types = {
        .noun = "ICMP types such as echo-request or time-exceeded, or a number from 0 to 254",
        .read = read_types,
};

void policy_types_format(FILE *out, const struct policy_rule *rule)
{
	for (unsigned int type = 0; type < 255; type++) {
		const char *name = NULL;

		for (size_t i = 0; i < BASE_COUNT(types); i++)
			if (types[i].v4 == type && policy_bit(rule->types4, type))
				name = types[i].name;
			else if (types[i].v4 == 255 && types[i].v6 == type &&
			         policy_bit(rule->types6, type))
				name = types[i].name;
		if (name)
			fprintf(out, " %s", name);
		else if (policy_bit(rule->types4, type) && policy_bit(rule->types6, type))
			fprintf(out, " %u", type);
	}
}
