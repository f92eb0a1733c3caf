/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of `firewall`: rules, their parts, and limits. See keys.c for the others.
 */
#include "policies/internal.h"

static const struct policy_word words_proto[] = {
        {"any", POLICY_PROTO_ANY},
        {"tcp", POLICY_PROTO_TCP},
        {"udp", POLICY_PROTO_UDP},
        {"icmp", POLICY_PROTO_ICMP},
        {NULL, 0},
};
static const struct policy_word words_action[] = {
        {"allow", POLICY_ALLOW},
        {"drop", POLICY_DROP},
        {"reject", POLICY_REJECT},
        {NULL, 0},
};

/* The two directions differ in one key. The peer has to be said, if only to say `any`. */
/* clang-format off */
#define RULE_KEYS(peer, other, phrase) \
	{peer, &policy_kind_peers, 0, 0, .instead = other, .required = true, .help = phrase}, \
	{"proto", &policy_kind_word, FIELD(policy_rule, proto), .words = words_proto, \
	 .fallback = "any", .help = "the protocol; icmp is ICMPv6 too"}, \
	{"ports", &policy_kind_ports, FIELD(policy_rule, ports), .fallback = "every port", \
	 .help = "destination ports and ranges of tcp or udp"}, \
	{"action", &policy_kind_word, FIELD(policy_rule, action), .words = words_action, \
	 .fallback = "allow", .help = "what happens to a packet that matches"}, \
	{"log", &policy_kind_bool, FIELD(policy_rule, log), .fallback = "false", \
	 .help = "log new connections that match, at a limited rate"}
/* clang-format on */

static const struct policy_key keys_ingress[] = {
        RULE_KEYS("from", "to", "who may reach the guest")};
static const struct policy_key keys_egress[] = {
        RULE_KEYS("to", "from", "what the guest may reach")};
MAP(map_ingress, keys_ingress, .what = "an ingress rule",
    .line = offsetof(struct policy_rule, line), .check = policy_check_rule);
MAP(map_egress, keys_egress, .what = "an egress rule", .line = offsetof(struct policy_rule, line),
    .check = policy_check_rule);

static const struct policy_key keys_limits[] = {
        {"new_connections", &policy_kind_rate, FIELD(policy_firewall, new_connections), 1, 1000000,
         .fallback = "no limit", .help = "connections that the guest may open a second"},
        {"connections", &policy_kind_uint, FIELD(policy_firewall, connections), 1, 10000000,
         .fallback = "no limit", .help = "connections at once"},
        {"bandwidth", &policy_kind_bandwidth, FIELD(policy_firewall, bandwidth), 1000, 10000000000,
         .fallback = "no limit", .help = "each way, over all NICs"},
};
MAP(map_limits, keys_limits, .what = "limits", .line = POLICY_NO_OFFSET);

static const struct policy_key keys_firewall[] = {
        {"ingress", &policy_kind_list,
         ITEMS(policy_firewall, ingress, ingress_count, POLICY_RULES_MAX), .map = &map_ingress,
         .fallback = "nothing comes in",
         .help = "rules for connections to the guest, first match wins"},
        {"egress", &policy_kind_list,
         ITEMS(policy_firewall, egress, egress_count, POLICY_RULES_MAX), .map = &map_egress,
         .fallback = "nothing goes out",
         .help = "rules for connections from the guest, first match wins"},
        {"limits", &policy_kind_map, 0, 0, .map = &map_limits,
         .help = "how much the guest may use of what it may reach"},
        {"dns", &policy_kind_bool, FIELD(policy_firewall, dns), .fallback = "true",
         .help = "the guest may ask cordon's resolver"},
};
const struct policy_map policy_map_firewall = {
        .what = "firewall",
        .keys = keys_firewall,
        .count = BASE_COUNT(keys_firewall),
        .line = offsetof(struct policy_firewall, line),
        .check = policy_check_firewall,
};
