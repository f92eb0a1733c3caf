/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The part of a policy that is its firewall, in words: see explain.c.
 */
#include "policies/internal.h"

static void explain_peers(FILE *out, const struct policy *policy, const struct policy_rule *rule)
{
	const char *comma = "";
	char text[POLICY_FORMAT_MAX];

	if (rule->any)
		fputs("any address", out);
	for (size_t i = 0; i < rule->cidrs.count; i++, comma = ", ")
		fprintf(out, "%s%s", comma,
		        policy_format_cidr(&policy->cidrs[rule->cidrs.first + i], text));
	for (size_t i = 0; i < rule->peers.count; i++, comma = ", ") {
		policy_peer_format(&policy->peers[rule->peers.first + i], text);
		fprintf(out, "%s%s", comma, text);
	}
	for (size_t i = 0; i < rule->names.count; i++, comma = ", ")
		fprintf(out, "%s%s", comma, policy->names[rule->names.first + i]);
}

static void explain_what(FILE *out, const struct policy_rule *rule)
{
	const char *comma = "";
	char text[POLICY_FORMAT_MAX];

	for (size_t i = 0; i < policy_service_count; i++)
		if (rule->services & 1ull << i) {
			fprintf(out, "%s%s", comma, policy_services[i].name);
			comma = ", ";
		}
	if (rule->services)
		return;
	policy_proto_format(rule, text);
	fputs(text, out);
	policy_types_format(out, rule);
}

/* Each limit that there is, between `before` and `after`. */
static void explain_limits(FILE *out, const struct policy_limits *limits, const char *before,
                           const char *after)
{
	char text[POLICY_FORMAT_MAX];

	if (limits->new_connections)
		fprintf(out, "%s%u new connections/s%s", before, limits->new_connections, after);
	if (limits->connections)
		fprintf(out, "%s%u connections at once%s", before, limits->connections, after);
	if (limits->bandwidth)
		fprintf(out, "%s%s/s%s%s", before, policy_format_bandwidth(limits->bandwidth, text),
		        *after ? " each way" : "", after);
	if (limits->packets)
		fprintf(out, "%s%u packets/s%s%s", before, limits->packets,
		        *after ? " each way" : "", after);
	if (limits->quota)
		fprintf(out, "%s%s in all%s", before, policy_format_size(limits->quota, text),
		        after);
}

static void explain_sets(FILE *out, const struct policy *policy)
{
	const struct policy_firewall *firewall = &policy->firewall;
	char text[POLICY_FORMAT_MAX];

	for (size_t i = 0; i < firewall->set_count; i++) {
		const struct policy_set *set = &firewall->sets[i];

		fprintf(out, "  set          %s:", set->name);
		for (size_t k = 0; k < set->cidrs.count; k++)
			fprintf(out, "%s %s", k ? "," : "",
			        policy_format_cidr(&policy->cidrs[set->cidrs.first + k], text));
		fprintf(out, "  (line %u)\n", set->line);
	}
}

static void explain_rules(FILE *out, const struct policy *policy, const char *title,
                          const char *word, const struct policy_rule *rules, size_t count)
{
	static const char *const actions[] = {"allow ", "drop  ", "reject"};
	char text[POLICY_FORMAT_MAX];

	fprintf(out, "  %s\n", title);
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *rule = &rules[i];

		fprintf(out, "    %s ", actions[rule->action]);
		explain_what(out, rule);
		for (size_t n = 0; n < rule->ports.count; n++)
			fprintf(out, "%s%s", n ? ", " : " ",
			        policy_format_ports(&policy->ports[rule->ports.first + n], text));
		fprintf(out, " %s ", word);
		explain_peers(out, policy, rule);
		fputs(rule->log ? ", logged" : "", out);
		explain_limits(out, &rule->limits, ", ", "");
		fprintf(out, "  (line %u)\n", rule->line);
	}
	fputs("    drop   everything else\n", out);
}

void policy_firewall_explain(FILE *out, const struct policy *policy)
{
	const struct policy_firewall *firewall = &policy->firewall;

	fputs("\nFirewall\n  always       false MAC, IPv4, IPv6, ARP and ND sources are dropped at "
	      "the tap\n",
	      out);
	explain_sets(out, policy);
	explain_rules(out, policy, "to the guest", "from", firewall->ingress,
	              firewall->ingress_count);
	explain_rules(out, policy, "from the guest", "to", firewall->egress,
	              firewall->egress_count);
	fprintf(out, "  resolver     %s\n", firewall->dns ? "the guest may ask cordon's" : "none");
	for (size_t i = 0; i < sizeof(firewall->routing_headers) * 8; i++)
		if (policy_bit(firewall->routing_headers, i))
			fprintf(out, "  may send     IPv6 routing headers of type %zu\n", i);
	explain_limits(out, &firewall->limits, "  limit        ", "\n");
}
