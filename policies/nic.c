/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NIC has beyond single values: the host's ports that are its own (mode nat), and its addresses
 * (mode bridge, where cordon gives none). And the IPv6 routing headers that the guest may send.
 */
#include "policies/internal.h"

/* ---- forward ---- */

static const struct policy_word words_transport[] = {
        {"tcp", POLICY_PROTO_TCP},
        {"udp", POLICY_PROTO_UDP},
        {NULL, 0},
};

static void default_forward(void *base)
{
	((struct policy_forward *)base)->proto = POLICY_PROTO_TCP;
}

static void check_forward(struct policy_walk *walk, struct policy_node *map, void *base)
{
	struct policy_forward *forward = base;

	(void)walk;
	if (!map->bad && !forward->guest)
		forward->guest = forward->host;
}

static const struct policy_key keys_forward[] = {
        {"host", &policy_kind_uint, FIELD(policy_forward, host), 1, 65535, .required = true,
         .help = "the host's port, on each of its addresses"},
        {"guest", &policy_kind_uint, FIELD(policy_forward, guest), 1, 65535,
         .fallback = "the host's port",
         .help = "the guest's port, which an ingress rule has to allow"},
        {"proto", &policy_kind_word, FIELD(policy_forward, proto), .words = words_transport,
         .fallback = "tcp", .help = "the protocol"},
};
const struct policy_map policy_map_forward = {
        .what = "a forward",
        .keys = keys_forward,
        .count = BASE_COUNT(keys_forward),
        .line = offsetof(struct policy_forward, line),
        .defaults = default_forward,
        .check = check_forward,
};

/* ---- addresses: one of each family ---- */

static void read_address(struct policy_walk *walk, struct policy_node *node, struct policy_nic *nic)
{
	static const uint8_t none[16];
	struct policy_cidr cidr;
	bool host_bits, taken;
	size_t size;
	uint8_t *to;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	if (node->type != POLICY_NODE_TEXT || strchr(node->text, '/') ||
	    policy_value_cidr(node->text, &cidr, &host_bits)) {
		policy_walk_refuse(walk, node, "an address such as 192.0.2.20 or 2001:db8::20");
		return;
	}
	size = cidr.family == 4 ? 4 : 16;
	to = cidr.family == 4 ? nic->ip4 : nic->ip6;
	taken = memcmp(to, none, size) != 0;
	if (memcmp(cidr.addr, none, size) == 0 || cidr.addr[0] >= (cidr.family == 4 ? 224 : 0xff))
		policy_walk_refuse(walk, node, "the address of one machine");
	else if (taken)
		policy_walk_refuse(walk, node, "at most one address of each family");
	else
		memcpy(to, cidr.addr, size);
}

static void read_addresses(struct policy_walk *walk, const struct policy_key *key,
                           struct policy_node *value, void *base)
{
	if (value->type == POLICY_NODE_MAP || (value->type == POLICY_NODE_LIST && !value->first))
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else if (value->type == POLICY_NODE_LIST)
		for (struct policy_node *item = value->first; item; item = item->next)
			read_address(walk, item, base);
	else
		read_address(walk, value, base);
}

const struct policy_kind policy_kind_addresses = {
        .noun = "addresses such as [192.0.2.20, 2001:db8::20]",
        .read = read_addresses,
};

/* ---- firewall.routing_headers ---- */

static void read_routing(struct policy_walk *walk, const struct policy_key *key,
                         struct policy_node *value, void *base)
{
	struct policy_firewall *firewall = base;
	struct policy_node *item = value->type == POLICY_NODE_LIST ? value->first : value;

	if (value->type == POLICY_NODE_MAP || !item) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	for (; item; item = item == value ? NULL : item->next) {
		uint64_t type;

		if (item->type == POLICY_NODE_REFUSED)
			continue;
		if (item->type != POLICY_NODE_TEXT || item->quoted ||
		    policy_value_uint(item->text, &type) || type > 255)
			policy_walk_refuse(walk, item, "%s", key->kind->noun);
		else if (type == 0)
			policy_error_hint(
			        policy_walk_refuse(walk, item, "a type from 1 to 255"),
			        "type 0 was withdrawn, as it multiplies traffic (RFC 5095)");
		else
			policy_bit_set(firewall->routing_headers, type);
	}
}

const struct policy_kind policy_kind_routing = {
        .noun = "types of routing headers such as [2, 4], from 1 to 255",
        .read = read_routing,
};
