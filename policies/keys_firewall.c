/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The keys of `firewall`: rules, their parts, and limits. See keys.c for the others.
 */
#include "policies/internal.h"

static const struct policy_word words_action[] = {
        {"allow", POLICY_ALLOW},
        {"drop", POLICY_DROP},
        {"reject", POLICY_REJECT},
        {NULL, 0},
};

/* Limits of a rule and of a VM: the same keys, with what differs in words. */
/* clang-format off */
#define LIMITS_KEYS(whose) \
	{"new_connections", &policy_kind_rate, FIELD(policy_limits, new_connections), 1, 1000000, \
	 .fallback = "no limit", .help = "connections that may be opened a second"}, \
	{"connections", &policy_kind_uint, FIELD(policy_limits, connections), 1, 10000000, \
	 .fallback = "no limit", .help = "connections at once"}, \
	{"bandwidth", &policy_kind_bandwidth, FIELD(policy_limits, bandwidth), 1000, 10000000000, \
	 .fallback = "no limit", .help = "bytes a second, " whose}, \
	{"packets", &policy_kind_rate, FIELD(policy_limits, packets), 1, 100000000, \
	 .fallback = "no limit", .help = "packets a second, " whose}, \
	{"quota", &policy_kind_size, FIELD(policy_limits, quota), 1024, 1ull << 50, \
	 .fallback = "no limit", .help = "bytes in all, both ways together; then nothing passes"}
/* clang-format on */

static const struct policy_key keys_limits[] = {LIMITS_KEYS("each way, over all NICs")};
static const struct policy_key keys_rule_limits[] = {LIMITS_KEYS("both ways together")};
MAP(map_limits, keys_limits, .what = "limits", .line = POLICY_NO_OFFSET);
MAP(map_rule_limits, keys_rule_limits, .what = "limits of a rule", .line = POLICY_NO_OFFSET);

/* The two directions differ in one key. The peer has to be said, if only to say `any`. */
/* clang-format off */
#define RULE_KEYS(peer, other, phrase) \
	{peer, &policy_kind_peers, 0, 0, .instead = other, .required = true, .help = phrase}, \
	{"proto", &policy_kind_proto, 0, 0, .fallback = "any", \
	 .help = "the protocol; icmp is ICMPv6 too"}, \
	{"ports", &policy_kind_ports, FIELD(policy_rule, ports), .fallback = "every port", \
	 .help = "destination ports and ranges of tcp, udp or sctp"}, \
	{"types", &policy_kind_types, 0, 0, .fallback = "every type", \
	 .help = "types of icmp, icmpv4 or icmpv6"}, \
	{"service", &policy_kind_service, 0, 0, .instead = "services", \
	 .help = "services by name, in place of proto, ports and types"}, \
	{"action", &policy_kind_word, FIELD(policy_rule, action), .words = words_action, \
	 .fallback = "allow", .help = "what happens to a packet that matches"}, \
	{"log", &policy_kind_bool, FIELD(policy_rule, log), .fallback = "false", \
	 .help = "log new connections that match, at a limited rate"}, \
	{"limits", &policy_kind_map, FIELD(policy_rule, limits), .map = &map_rule_limits, \
	 .help = "how much may use what the rule allows"}
/* clang-format on */

static const struct policy_key keys_ingress[] = {
        RULE_KEYS("from", "to", "who may reach the guest")};
static const struct policy_key keys_egress[] = {
        RULE_KEYS("to", "from", "what the guest may reach")};
MAP(map_ingress, keys_ingress, .what = "an ingress rule",
    .line = offsetof(struct policy_rule, line), .check = policy_check_rule);
MAP(map_egress, keys_egress, .what = "an egress rule", .line = offsetof(struct policy_rule, line),
    .check = policy_check_rule);

static const struct policy_key keys_firewall[] = {
        {"ingress", &policy_kind_list,
         ITEMS(policy_firewall, ingress, ingress_count, POLICY_RULES_MAX), .map = &map_ingress,
         .fallback = "nothing comes in",
         .help = "rules for connections to the guest, first match wins"},
        {"egress", &policy_kind_list,
         ITEMS(policy_firewall, egress, egress_count, POLICY_RULES_MAX), .map = &map_egress,
         .fallback = "nothing goes out",
         .help = "rules for connections from the guest, first match wins"},
        {"sets", &policy_kind_sets, 0, 0, .help = "sets of hosts, which rules name as set:NAME"},
        {"limits", &policy_kind_map, FIELD(policy_firewall, limits), .map = &map_limits,
         .help = "how much the guest may use of what it may reach"},
        {"dns", &policy_kind_bool, FIELD(policy_firewall, dns), .fallback = "true",
         .help = "the guest may ask cordon's resolver"},
        {"routing_headers", &policy_kind_routing, 0, 0, .fallback = "none",
         .help = "types of IPv6 routing headers that the guest may send"},
};
const struct policy_map policy_map_firewall = {
        .what = "firewall",
        .keys = keys_firewall,
        .count = BASE_COUNT(keys_firewall),
        .line = offsetof(struct policy_firewall, line),
        .check = policy_check_firewall,
};
