/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who a firewall rule speaks of: addresses, names, peers such as `world` or `vm:db`, and the sets of
 * hosts that rules share. All of them end up as spans of the policy's pools.
 */
#include <arpa/inet.h>

#include "policies/internal.h"

/* As enum policy_peer_kind has them; those that end with ':' have a name behind it. */
static const char *const entities[] = {"host", "world", "vms", "metadata", "vm:", "group:", "set:"};

static void refuse_peer(struct policy_walk *walk, const struct policy_node *node)
{
	struct policy_error *error =
	        policy_walk_refuse(walk, node, "an address or a CIDR such as 10.0.0.0/8");
	char name[POLICY_DNS_NAME_MAX];
	const char *near;

	if (node->type != POLICY_NODE_TEXT || !node->text[0])
		return;
	near = policy_suggest(node->text, entities, BASE_COUNT(entities));
	if (policy_value_dns_name(node->text, name) == 0 && walk->egress)
		policy_error_hint(error, "write a name as {names: [%s]}", name);
	else if (strcmp(node->text, "any") == 0)
		policy_error_hint(error, "any stands by itself, not in a list");
	else if (near)
		policy_error_hint(error, "did you mean %s?", near);
}

/* Reads the scalar into *cidr, or reports it. */
static bool read_cidr(struct policy_walk *walk, const struct policy_node *node,
                      struct policy_cidr *cidr)
{
	char network[POLICY_FORMAT_MAX];
	bool host_bits;
	int result;

	if (node->type == POLICY_NODE_REFUSED)
		return false;
	result = node->type == POLICY_NODE_TEXT ? policy_value_cidr(node->text, cidr, &host_bits)
	                                        : -EINVAL;
	if (result == -ERANGE)
		policy_walk_refuse(walk, node, "a prefix of at most %d",
		                   cidr->family == 4 ? 32 : 128);
	else if (result)
		refuse_peer(walk, node);
	else if (host_bits)
		policy_error_hint(
		        policy_walk_refuse(walk, node, "a network: no bits set past its prefix"),
		        "did you mean %s?", policy_format_cidr(cidr, network));
	else
		return true;
	return false;
}

/* Adds it to the span at the end of the pool. */
static void add_cidr(struct policy_walk *walk, struct policy_node *node, struct policy_span *span)
{
	struct policy *policy = walk->policy;
	struct policy_cidr cidr;
	char network[POLICY_FORMAT_MAX];
	struct policy_error *error;

	if (!read_cidr(walk, node, &cidr))
		return;
	for (size_t i = span->first; i < policy->cidr_count; i++) {
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
	span->count++;
}

static void add_rule_cidr(struct policy_walk *walk, struct policy_node *node,
                          struct policy_rule *rule)
{
	add_cidr(walk, node, &rule->cidrs);
}

/* "world", "vm:db", "group:web", "set:offices"; false for what is none of these. */
static bool read_entity(struct policy_walk *walk, const struct policy_node *node,
                        struct policy_peer *peer)
{
	*peer = (struct policy_peer){.line = node->line};
	for (size_t i = 0; i < BASE_COUNT(entities); i++) {
		size_t length = strlen(entities[i]);

		peer->kind = (enum policy_peer_kind)i;
		if (i < POLICY_PEER_VM) {
			if (strcmp(node->text, entities[i]) == 0)
				return true;
		} else if (strncmp(node->text, entities[i], length) == 0) {
			if (policy_value_name(node->text + length, peer->name))
				policy_walk_refuse(walk, node,
				                   "%sNAME, of at most 31 of a-z, 0-9 and '-'",
				                   entities[i]);
			return true;
		}
	}
	return false;
}

static void add_peer(struct policy_walk *walk, struct policy_node *node, struct policy_rule *rule)
{
	struct policy *policy = walk->policy;
	struct policy_peer peer;

	if (node->type != POLICY_NODE_TEXT || !read_entity(walk, node, &peer)) {
		add_cidr(walk, node, &rule->cidrs);
		return;
	}
	if (peer.kind == POLICY_PEER_METADATA && !walk->egress) {
		policy_error_found(
		        policy_walk_refuse(walk, node, "who may reach the guest, and connects"),
		        "metadata in an ingress rule");
		return;
	}
	for (size_t i = rule->peers.first; i < policy->peer_count; i++)
		if (policy->peers[i].kind == peer.kind &&
		    strcmp(policy->peers[i].name, peer.name) == 0) {
			policy_error_found(policy_walk_refuse(walk, node, "each peer once"),
			                   "\"%.40s\" a second time in this rule", node->text);
			return;
		}
	if (policy->peer_count == POLICY_PEERS_MAX) {
		policy_walk_refuse(walk, node, "at most %d such peers in one policy",
		                   POLICY_PEERS_MAX);
		return;
	}
	policy->peers[policy->peer_count++] = peer;
	rule->peers.count++;
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
	if (node->type != POLICY_NODE_TEXT || policy_value_dns_pattern(node->text, name)) {
		error = policy_walk_refuse(walk, node,
		                           "a full host name such as www.example.org, or all names "
		                           "below one: *.example.org");
		if (node->type != POLICY_NODE_TEXT)
			return;
		if (strchr(node->text, '*'))
			policy_error_hint(error, "a star is the whole first label, and at least "
			                         "two follow it");
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
			policy_each_item(walk, name->next, rule, add_rule_cidr);
			continue;
		}
		if (strcmp(name->text, "names") == 0 && walk->egress) {
			policy_each_item(walk, name->next, rule, add_name);
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
	rule->peers.first = (uint16_t)walk->policy->peer_count;
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
		policy_each_item(walk, value, rule, add_peer);
}

const struct policy_kind policy_kind_peers = {
        .noun = "any, an address, a CIDR, a peer such as world or vm:db, a list of them, "
                "or {cidrs: [...], names: [...]}",
        .read = read_peers,
};

/* ---- firewall.sets: NAME: [CIDR, …] ---- */

static void read_set(struct policy_walk *walk, struct policy_node *name, struct policy_set *set)
{
	struct policy_node *value = name->next;

	*set = (struct policy_set){.line = name->line,
	                           .cidrs.first = (uint16_t)walk->policy->cidr_count};
	if (policy_value_name(name->text, set->name)) {
		policy_walk_refuse(walk, name, "a set's name: at most 31 of a-z, 0-9 and '-'");
		return;
	}
	if (value->type == POLICY_NODE_LIST && !value->first)
		policy_walk_refuse(walk, value, "at least one");
	else if (value->type == POLICY_NODE_LIST)
		for (struct policy_node *item = value->first; item; item = item->next)
			add_cidr(walk, item, &set->cidrs);
	else
		add_cidr(walk, value, &set->cidrs);
}

static void read_sets(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	struct policy_firewall *firewall = base;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type != POLICY_NODE_MAP) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	for (struct policy_node *name = value->first; name; name = name->next->next) {
		if (name->type == POLICY_NODE_REFUSED)
			continue;
		if (firewall->set_count == POLICY_SETS_MAX) {
			policy_walk_refuse(walk, name, "at most %d sets", POLICY_SETS_MAX);
			return;
		}
		read_set(walk, name, &firewall->sets[firewall->set_count++]);
	}
}

const struct policy_kind policy_kind_sets = {
        .noun = "sets such as {offices: [192.0.2.0/24, 2001:db8::/32]}",
        .read = read_sets,
};

const struct policy_set *policy_set_find(const struct policy *policy, const char *name)
{
	for (size_t i = 0; i < policy->firewall.set_count; i++)
		if (strcmp(policy->firewall.sets[i].name, name) == 0)
			return &policy->firewall.sets[i];
	return NULL;
}

void policy_peer_format(const struct policy_peer *peer, char out[POLICY_FORMAT_MAX])
{
	snprintf(out, POLICY_FORMAT_MAX, "%s%s", entities[peer->kind], peer->name);
}

/* ---- vm.groups ---- */

static void read_groups(struct policy_walk *walk, const struct policy_key *key,
                        struct policy_node *value, void *base)
{
	struct policy_vm *vm = base;
	struct policy_node *item = value->type == POLICY_NODE_LIST ? value->first : value;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type == POLICY_NODE_MAP || !item) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	for (; item; item = item == value ? NULL : item->next) {
		char name[POLICY_NAME_MAX];
		bool twice = false;

		if (item->type == POLICY_NODE_REFUSED)
			continue;
		if (item->type != POLICY_NODE_TEXT || policy_value_name(item->text, name)) {
			policy_walk_refuse(walk, item, "%s", key->kind->noun);
			continue;
		}
		for (size_t i = 0; i < vm->group_count; i++)
			twice |= strcmp(vm->groups[i], name) == 0;
		if (twice)
			policy_walk_refuse(walk, item, "each group once");
		else if (vm->group_count == POLICY_GROUPS_MAX)
			policy_walk_refuse(walk, item, "at most %d groups", POLICY_GROUPS_MAX);
		else
			memcpy(vm->groups[vm->group_count++], name, sizeof(name));
	}
}

const struct policy_kind policy_kind_groups = {
        .noun = "groups such as [web, staging]: at most 31 of a-z, 0-9 and '-' each",
        .read = read_groups,
};
