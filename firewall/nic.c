/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one NIC adds in `inet cordon`: the chains that the shared maps send its packets to.
 *
 *   I_from, I_to            forwarded packets: count, then on to the VM's egress or ingress chain
 *   I_input                 to the host: DHCP and DNS of this NIC's own gateway, echo requests, and
 *                           what the policy's rules name exactly
 *   I_output                from the host: the DHCP answer, then the VM's ingress chain
 *   I_ports_in, I_ports_out DHCP's and DNS's ports, rewritten without state
 *   I_nat                   masquerading, of this guest's address only
 *   I_forwards              ports of the host that are the guest's, if it has any
 *
 * dnsmasq holds no capability, so it cannot listen below 1024. The guest's 67 and 53 become its ports
 * before conntrack sees the packet, and the answers' ports are set back after conntrack and the filter,
 * so both of them know one port on both ways and no state of theirs is needed for the change.
 */
#include <arpa/inet.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

struct nic_text {
	const struct firewall_plan *plan;
	const struct firewall_nic *nic;
	size_t index;
	char gateway4[INET_ADDRSTRLEN], gateway6[INET6_ADDRSTRLEN];
	bool has4, has6;
};

/* The tail is a whole rule, from its matches to its verdict. */
static void BASE_PRINTF(3, 4)
        rule(const struct nic_text *t, const char *suffix, const char *tail, ...)
{
	va_list arguments;

	fprintf(t->plan->out, "add rule inet cordon vm_%s_%zu_%s ", t->plan->policy->vm.name,
	        t->index, suffix);
	va_start(arguments, tail);
	vfprintf(t->plan->out, tail, arguments);
	va_end(arguments);
	fputc('\n', t->plan->out);
}

void firewall_text_chains(const struct firewall_plan *plan)
{
	for (size_t i = 0; i < firewall_vm_chain_count; i++)
		firewall_text_chain(plan, firewall_vm_chains[i]);
	for (size_t i = 0; i < plan->nic_count; i++)
		for (size_t m = 0; m < firewall_maps_of(plan->family); m++) {
			char suffix[32];

			snprintf(suffix, sizeof(suffix), "%zu_%s", i, firewall_maps[m].suffix);
			if (firewall_nic_in(&plan->nics[i], plan->family))
				firewall_text_chain(plan, suffix);
		}
	firewall_mark_chains(plan);
}

static void write_forward(const struct nic_text *t)
{
	const char *vm = t->plan->policy->vm.name;
	bool host_only = t->nic->mode == POLICY_NIC_HOST_ONLY;
	char record[FIREWALL_RECORD_MAX];

	/* the comment also tells firewall_state_read() which tap and guest are this NIC's */
	firewall_spoof_record(record, sizeof(record), t->nic);
	rule(t, "from", "counter comment \"sent, %s\"", record);
	if (host_only) {
		rule(t, "from",
		     "oifname != @vms counter drop comment \"egress of a host-only nic\"");
		rule(t, "to",
		     "iifname != @vms counter drop comment \"ingress of a host-only nic\"");
	}
	rule(t, "from", "goto vm_%s_egress", vm);
	rule(t, "to", "counter comment \"received, tap %s\"", t->nic->tap);
	rule(t, "to", "goto vm_%s_ingress", vm);
}

/* In somebody else's network: what members and routers tell each other, and DHCPv6 (RFC 4861, 3810, 8415). */
static void write_members(const struct nic_text *t, const char *suffix, unsigned int router,
                          unsigned int listener, unsigned int sport, unsigned int dport)
{
	if (!t->has6)
		return;
	rule(t, suffix, "icmpv6 type %u counter return comment \"neighbour discovery\"", router);
	rule(t, suffix, "icmpv6 type %u counter return comment \"neighbour discovery\"", listener);
	rule(t, suffix, "meta nfproto ipv6 udp sport %u udp dport %u counter return comment \"%s\"",
	     sport, dport, sport == 546 ? "dhcp" : "dhcp answer");
}

static void write_services(const struct nic_text *t)
{
	bool dns = t->nic->dns_port && t->plan->policy->firewall.dns;
	uint16_t port = t->nic->dns_port;

	if (t->has4 && t->nic->dhcp_port)
		rule(t, "input", "udp sport 68 udp dport %u counter return comment \"dhcp\"",
		     t->nic->dhcp_port);
	if (t->has4 && dns) {
		rule(t, "input", "ip daddr %s udp dport %u counter return comment \"dns\"",
		     t->gateway4, port);
		rule(t, "input", "ip daddr %s tcp dport %u counter return comment \"dns\"",
		     t->gateway4, port);
	}
	if (t->has6 && dns) {
		rule(t, "input", "ip6 daddr %s udp dport %u counter return comment \"dns\"",
		     t->gateway6, port);
		rule(t, "input", "ip6 daddr %s tcp dport %u counter return comment \"dns\"",
		     t->gateway6, port);
	}
	if (t->has4 && !t->nic->foreign)
		rule(t, "input",
		     "ip daddr %s icmp type echo-request counter return comment \"ping of the "
		     "gateway\"",
		     t->gateway4);
	if (t->has6) {
		rule(t, "input",
		     "icmpv6 type nd-neighbor-solicit counter return comment \"neighbour "
		     "discovery\"");
		rule(t, "input",
		     "icmpv6 type nd-neighbor-advert counter return comment \"neighbour "
		     "discovery\"");
	}
	if (t->has6 && !t->nic->foreign)
		rule(t, "input",
		     "ip6 daddr %s icmpv6 type echo-request counter return comment \"ping of the "
		     "gateway\"",
		     t->gateway6);
	if (t->nic->foreign)
		write_members(t, "input", 133, 143, 546, 547);
	rule(t, "input", "goto vm_%s_host", t->plan->policy->vm.name);
}

/* What answers a service, each with the state that the rule of the question made. */
static void write_answers(const struct nic_text *t, const char *family, const char *gateway)
{
	static const char *const protocols[] = {"udp", "tcp"};

	for (size_t i = 0; i < BASE_COUNT(protocols); i++)
		if (t->nic->dns_port && t->plan->policy->firewall.dns)
			rule(t, "output",
			     "ct direction reply %s saddr %s %s sport %u counter return comment "
			     "\"dns answer\"",
			     family, gateway, protocols[i], t->nic->dns_port);
	rule(t, "output",
	     "ct direction reply %s saddr %s %s type echo-reply counter return comment \"ping of "
	     "the gateway\"",
	     family, gateway, strcmp(family, "ip") == 0 ? "icmp" : "icmpv6");
}

static void write_output(const struct nic_text *t)
{
	if (t->has4 && t->nic->dhcp_port)
		rule(t, "output",
		     "udp sport %u udp dport 68 counter return comment \"dhcp answer\"",
		     t->nic->dhcp_port);
	if (t->has4 && !t->nic->foreign)
		write_answers(t, "ip", t->gateway4);
	if (t->has6 && !t->nic->foreign)
		write_answers(t, "ip6", t->gateway6);
	if (t->nic->foreign)
		write_members(t, "output", 134, 130, 547, 546);
	if (t->has6) {
		rule(t, "output",
		     "icmpv6 type nd-neighbor-solicit counter return comment \"neighbour "
		     "discovery\"");
		rule(t, "output",
		     "icmpv6 type nd-neighbor-advert counter return comment \"neighbour "
		     "discovery\"");
	}
	/* the host's own word that a packet of the guest's was rejected, too large, or too old */
	rule(t, "output", "ct state related counter return comment \"error message\"");
	rule(t, "output", "goto vm_%s_local", t->plan->policy->vm.name);
}

static void write_ports(const struct nic_text *t)
{
	static const char *const protocols[] = {"udp", "tcp"};
	uint16_t dhcp = t->nic->dhcp_port,
	         dns = t->plan->policy->firewall.dns ? t->nic->dns_port : 0;

	if (t->has4 && dhcp && !t->nic->foreign) {
		rule(t, "ports_in", "udp sport 68 udp dport 67 udp dport set %u", dhcp);
		rule(t, "ports_out", "udp sport %u udp dport 68 udp sport set 67", dhcp);
	}
	for (size_t i = 0; i < BASE_COUNT(protocols) && dns; i++) {
		const char *p = protocols[i];

		if (t->has4) {
			rule(t, "ports_in", "ip daddr %s %s dport 53 %s dport set %u", t->gateway4,
			     p, p, dns);
			rule(t, "ports_out", "ip saddr %s %s sport %u %s sport set 53", t->gateway4,
			     p, dns, p);
		}
		if (t->has6) {
			rule(t, "ports_in", "ip6 daddr %s %s dport 53 %s dport set %u", t->gateway6,
			     p, p, dns);
			rule(t, "ports_out", "ip6 saddr %s %s sport %u %s sport set 53",
			     t->gateway6, p, dns, p);
		}
	}
}

static void write_nat(const struct nic_text *t)
{
	char text[INET6_ADDRSTRLEN];

	if (t->nic->mode != POLICY_NIC_NAT)
		return;
	if (t->has4)
		rule(t, "nat", "ip saddr %s oifname != \"cn*\" masquerade",
		     inet_ntop(AF_INET, t->nic->ip4, text, sizeof(text)));
	if (t->has6)
		rule(t, "nat", "ip6 saddr %s oifname != \"cn*\" masquerade",
		     inet_ntop(AF_INET6, t->nic->ip6, text, sizeof(text)));
}

static void write_forwards(const struct nic_text *t)
{
	const struct policy_nic *policy = &t->plan->policy->vm.nics[t->index];
	const char *vm = t->plan->policy->vm.name;
	char guest4[INET_ADDRSTRLEN], guest6[INET6_ADDRSTRLEN];

	if (!policy->forward_count)
		return;
	inet_ntop(AF_INET, t->nic->ip4, guest4, sizeof(guest4));
	inet_ntop(AF_INET6, t->nic->ip6, guest6, sizeof(guest6));
	fprintf(t->plan->out,
	        "add chain inet cordon vm_%s_%zu_forwards\nflush chain inet cordon "
	        "vm_%s_%zu_forwards\n",
	        vm, t->index, vm, t->index);
	for (size_t i = 0; i < policy->forward_count; i++) {
		const struct policy_forward *f = &policy->forwards[i];
		const char *proto = f->proto == POLICY_PROTO_TCP ? "tcp" : "udp";

		if (t->has4)
			rule(t, "forwards",
			     "%s dport %u counter dnat ip to %s:%u comment \"forward %s %u, line "
			     "%u\"",
			     proto, f->host, guest4, f->guest, proto, f->host, f->line);
		if (t->has6)
			rule(t, "forwards",
			     "%s dport %u counter dnat ip6 to [%s]:%u comment \"forward %s %u, "
			     "line "
			     "%u\"",
			     proto, f->host, guest6, f->guest, proto, f->host, f->line);
		fprintf(t->plan->out,
		        "add element inet cordon forwards { %s . %u : jump vm_%s_%zu_forwards }\n",
		        proto, f->host, vm, t->index);
	}
}

void firewall_text_nic(const struct firewall_plan *plan, size_t i)
{
	static const uint8_t none[16];
	struct nic_text t = {.plan = plan, .nic = &plan->nics[i], .index = i};

	t.has4 = memcmp(t.nic->ip4, none, sizeof(t.nic->ip4)) != 0;
	t.has6 = memcmp(t.nic->ip6, none, sizeof(t.nic->ip6)) != 0;
	inet_ntop(AF_INET, t.nic->gateway4, t.gateway4, sizeof(t.gateway4));
	inet_ntop(AF_INET6, t.nic->gateway6, t.gateway6, sizeof(t.gateway6));
	write_forward(&t);
	write_services(&t);
	write_output(&t);
	write_ports(&t);
	write_nat(&t);
	write_forwards(&t);
	for (size_t m = 0; m < firewall_maps_of("inet"); m++)
		fprintf(plan->out, "add element inet cordon %s { \"%s\" : jump vm_%s_%zu_%s }\n",
		        firewall_maps[m].map, t.nic->tap, plan->policy->vm.name, i,
		        firewall_maps[m].suffix);
}
