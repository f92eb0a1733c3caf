/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a NIC of mode bridge adds in `bridge cordon`. The packets of such a guest are switched and not
 * routed, so the inet table never sees them; here the same rules stand in the bridge family, whose
 * connections the kernel tracks by nf_conntrack_bridge. netdev ingress guards the tap as always.
 *
 *   I_from, I_to       between the guest's port and another port of the bridge
 *   I_input, I_output  between the guest and the host, if the bridge has an address
 *
 * The guest is a member of somebody's network, so what every member needs passes without a rule: ARP and
 * neighbour discovery, DHCP as a client, and to the guest router advertisements and listener queries.
 *
 * The bridge of a foreign tap often is one whose host routes for its members, as libvirt's networks do. What
 * comes in for the host there is either for the host itself, by one of its addresses as they are when the rules
 * are loaded, or on its way to the world; and so what the host sends.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

struct bridge_text {
	const struct firewall_plan *plan;
	size_t index;
};

static void BASE_PRINTF(3, 4)
        rule(const struct bridge_text *t, const char *suffix, const char *tail, ...)
{
	va_list arguments;

	fprintf(t->plan->out, "add rule bridge cordon vm_%s_%zu_%s ", t->plan->policy->vm.name,
	        t->index, suffix);
	va_start(arguments, tail);
	vfprintf(t->plan->out, tail, arguments);
	va_end(arguments);
	fputc('\n', t->plan->out);
}

/* ICMPv6 types by number (RFC 4861, RFC 2710, RFC 3810). */
static void write_types(const struct bridge_text *t, const char *suffix, const uint8_t *types,
                        size_t count)
{
	for (size_t i = 0; i < count; i++)
		rule(t, suffix, "icmpv6 type %u counter return comment \"neighbour discovery\"",
		     types[i]);
}

static void write_from(const struct bridge_text *t, const char *suffix)
{
	static const uint8_t types[] = {133, 135, 136, 143};

	rule(t, suffix, "ether type arp counter return comment \"arp\"");
	write_types(t, suffix, types, BASE_COUNT(types));
	rule(t, suffix, "udp sport 68 udp dport 67 counter return comment \"dhcp\"");
	rule(t, suffix,
	     "ip6 daddr ff02::1:2 udp sport 546 udp dport 547 counter return comment "
	     "\"dhcp\"");
}

static void write_to(const struct bridge_text *t, const char *suffix)
{
	static const uint8_t types[] = {130, 134, 135, 136};

	rule(t, suffix, "ether type arp counter return comment \"arp\"");
	write_types(t, suffix, types, BASE_COUNT(types));
	rule(t, suffix, "udp sport 67 udp dport 68 counter return comment \"dhcp answer\"");
	rule(t, suffix, "udp sport 547 udp dport 546 counter return comment \"dhcp answer\"");
	rule(t, suffix,
	     "ether type != ip ether type != ip6 counter drop comment \"other ethertype\"");
}

/* The host's own addresses; of those that cannot be read, none: nothing is let in for their want. */
static void write_host_sets(FILE *out)
{
	struct ifaddrs *list = NULL;
	char text[INET6_ADDRSTRLEN];

	fputs("add set bridge cordon host4 { type ipv4_addr ; }\n"
	      "add set bridge cordon host6 { type ipv6_addr ; }\n"
	      "flush set bridge cordon host4\nflush set bridge cordon host6\n",
	      out);
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET &&
		    inet_ntop(AF_INET, &((struct sockaddr_in *)at->ifa_addr)->sin_addr, text,
		              sizeof(text)))
			fprintf(out, "add element bridge cordon host4 { %s }\n", text);
		if (family == AF_INET6 &&
		    inet_ntop(AF_INET6, &((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, text,
		              sizeof(text)))
			fprintf(out, "add element bridge cordon host6 { %s }\n", text);
	}
	freeifaddrs(list);
}

/* Through a host that routes: its own packets are judged as the host's, all others as the network's. */
static void write_routed(const struct bridge_text *t, const char *suffix, const char *word,
                         const char *own, const char *other)
{
	const char *vm = t->plan->policy->vm.name;

	rule(t, suffix, "ip %s @host4 goto vm_%s_%s", word, vm, own);
	rule(t, suffix, "ip6 %s @host6 goto vm_%s_%s", word, vm, own);
	rule(t, suffix, "goto vm_%s_%s", vm, other);
}

void firewall_text_bridge(const struct firewall_plan *plan, size_t i)
{
	const char *vm = plan->policy->vm.name, *tap = plan->nics[i].tap;
	struct bridge_text t = {plan, i};
	char record[FIREWALL_RECORD_MAX];

	firewall_spoof_record(record, sizeof(record), &plan->nics[i]);
	rule(&t, "from", "counter comment \"sent, %s\"", record);
	write_from(&t, "from");
	rule(&t, "from", "goto vm_%s_egress", vm);
	write_to(&t, "to");
	rule(&t, "to", "counter comment \"received, tap %s\"", tap);
	rule(&t, "to", "goto vm_%s_ingress", vm);
	write_from(&t, "input");
	if (plan->nics[i].foreign) {
		write_host_sets(plan->out);
		write_routed(&t, "input", "daddr", "host", "egress");
	} else {
		rule(&t, "input", "goto vm_%s_host", vm);
	}
	write_to(&t, "output");
	rule(&t, "output", "ct state related counter return comment \"error message\"");
	if (plan->nics[i].foreign)
		write_routed(&t, "output", "saddr", "local", "ingress");
	else
		rule(&t, "output", "goto vm_%s_local", vm);
	for (size_t m = 0; m < firewall_maps_of("bridge"); m++)
		fprintf(plan->out, "add element bridge cordon %s { \"%s\" : jump vm_%s_%zu_%s }\n",
		        firewall_maps[m].map, tap, vm, i, firewall_maps[m].suffix);
}
