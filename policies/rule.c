/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parts of a firewall rule that can be written in more than one way: `to`/`from` and `ports`.
 * Both end up as spans of the policy's pools.
 */
#include <arpa/inet.h>

#include "policies/internal.h"

static void add_cidr(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule)
{
	struct policy *policy = walk->policy;
	struct policy_cidr cidr;
	char network[POLICY_FORMAT_MAX];
	struct policy_error *error;
	bool host_bits;
	int result;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	if (node->type != POLICY_NODE_TEXT || !node->text[0]) {
		policy_walk_refuse(walk, node, "an address or a CIDR such as 10.0.0.0/8");
		return;
	}
	result = policy_value_cidr(node->text, &cidr, &host_bits);
	if (result == -ERANGE) {
		policy_walk_refuse(walk, node, "a prefix of at most %d",
		                   cidr.family == 4 ? 32 : 128);
		return;
	}
	if (result) {
		char name[POLICY_DNS_NAME_MAX];

		error = policy_walk_refuse(walk, node, "an address or a CIDR such as 10.0.0.0/8");
		if (policy_value_dns_name(node->text, name) == 0 && walk->egress)
			policy_error_hint(error, "write a name as {names: [%s]}", name);
		else if (strcmp(node->text, "any") == 0)
			policy_error_hint(error, "any stands by itself, not in a list");
		return;
	}
	if (host_bits) {
		policy_format_cidr(&cidr, network);
		error = policy_walk_refuse(walk, node, "a network: no bits set past its prefix");
		policy_error_hint(error, "did you mean %s?", network);
		return;
	}
	for (size_t i = rule->cidrs.first; i < policy->cidr_count; i++) {
		const struct policy_cidr *old = &policy->cidrs[i];

		if (!policy_cidr_contains(old, &cidr) && !policy_cidr_contains(&cidr, old))
			continue;
		error = policy_walk_refuse(walk, node, "networks that do not overlap");
		policy_error_hint(error, "it overlaps with %s in line %u",
		                  policy_format_cidr(old, network), old->line);
		return;
	}
	if (policy->cidr_count == POLICY_CIDRS_MAX) {
		policy_walk_refuse(walk, node, "at most %d addresses in one policy",
		                   POLICY_CIDRS_MAX);
		return;
	}
	cidr.line = node->line;
	policy->cidrs[policy->cidr_count++] = cidr;
	rule->cidrs.count++;
}

static void add_name(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule)
{
	struct policy *policy = walk->policy;
	struct policy_cidr cidr;
	char name[POLICY_DNS_NAME_MAX];
	struct policy_error *error;
	bool host_bits;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	if (node->type != POLICY_NODE_TEXT || policy_value_dns_name(node->text, name)) {
		error = policy_walk_refuse(walk, node, "a full host name such as www.example.org");
		if (node->type != POLICY_NODE_TEXT)
			return;
		if (strncmp(node->text, "*.", 2) == 0)
			policy_error_hint(error, "each name has to be written out");
		else if (policy_value_cidr(node->text, &cidr, &host_bits) == 0)
			policy_error_hint(error, "an address belongs in cidrs");
		return;
	}
	for (size_t i = rule->names.first; i < policy->name_count; i++)
		if (strcmp(policy->names[i], name) == 0) {
			policy_error_found(policy_walk_refuse(walk, node, "each name once"),
			                   "\"%.60s\" a second time in this rule", name);
			return;
		}
	if (policy->name_count == POLICY_NAMES_MAX) {
		policy_walk_refuse(walk, node, "at most %d names in one policy", POLICY_NAMES_MAX);
		return;
	}
	memcpy(policy->names[policy->name_count++], name, sizeof(name));
	rule->names.count++;
}

typedef void (*add_fn)(struct policy_walk *walk, struct policy_node *node,
                       struct policy_rule *rule);

/* A list's items, or a single scalar. */
static void add_each(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule,
                     add_fn add)
{
	if (node->type == POLICY_NODE_LIST && !node->first)
		policy_walk_refuse(walk, node, "at least one");
	else if (node->type == POLICY_NODE_LIST)
		for (struct policy_node *item = node->first; item; item = item->next)
			add(walk, item, rule);
	else
		add(walk, node, rule);
}

static void read_peer_map(struct policy_walk *walk, const struct policy_node *map,
                          struct policy_rule *rule)
{
	static const char *const keys[] = {"cidrs", "names"};

	for (struct policy_node *name = map->first; name; name = name->next->next) {
		struct policy_error *error;
		const char *near;

		if (name->type == POLICY_NODE_REFUSED)
			continue;
		if (strcmp(name->text, "cidrs") == 0) {
			add_each(walk, name->next, rule, add_cidr);
			continue;
		}
		if (strcmp(name->text, "names") == 0 && walk->egress) {
			add_each(walk, name->next, rule, add_name);
			continue;
		}
		error = policy_walk_refuse(walk, name, walk->egress ? "cidrs or names" : "cidrs");
		near = policy_suggest(name->text, keys, walk->egress ? 2 : 1);
		if (near)
			policy_error_hint(error, "did you mean %s?", near);
		if (strcmp(name->text, "names") != 0)
			continue;
		policy_error_found(error, "names in an ingress rule");
		policy_error_hint(error,
		                  "a name can be looked up, but a sender cannot be known by it");
	}
}

static void read_peers(struct policy_walk *walk, const struct policy_key *key,
                       struct policy_node *value, void *base)
{
	struct policy_rule *rule = base;

	rule->cidrs.first = (uint16_t)walk->policy->cidr_count;
	rule->names.first = (uint16_t)walk->policy->name_count;
	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type == POLICY_NODE_TEXT && strcmp(value->text, "any") == 0)
		rule->any = true;
	else if (value->type == POLICY_NODE_MAP && value->count)
		read_peer_map(walk, value, rule);
	else if (value->type == POLICY_NODE_MAP ||
	         (value->type == POLICY_NODE_TEXT && !value->text[0]))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		add_each(walk, value, rule, add_cidr);
}

const struct policy_kind policy_kind_peers = {
        .noun = "any, an address, a CIDR, a list of them, or {cidrs: [...], names: [...]}",
        .read = read_peers,
};

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
		add_each(walk, value, rule, add_ports);
}

const struct policy_kind policy_kind_ports = {
        .noun = "ports such as [80, 443, 8000-8080]",
        .read = read_ports,
};
