/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all VMs share: the tables, the base chains, and the chains between those and a VM's own. They are written
 * once, and know VMs by sets and maps of tap names, so that a VM more is a few elements and the chains of what its
 * policy says. The kernel looks at every rule that a packet could meet with each transaction: of a VM those are
 * its policy's, and nothing that is the same for all.
 *
 * A packet of an interface that is not ours falls through untouched: the policy of every base chain is accept, and
 * no verdict of ours is final but drop. A tap of ours (their names begin with "cn") that is not in `vms` is dropped:
 * rules that were lost, or not yet loaded, close the tap instead of opening it.
 *
 * The way of a forwarded packet: quarantine of the sender; from_vm, whose `return` means "it may leave"; quarantine
 * of the receiver; to_vm. From VM to VM both have to agree, because no chain on the way accepts for the other.
 * host_from and host_to are the same for packets to and from the host itself. Each of the four:
 *
 *   services      what passes without a rule: the gateway's DHCP and DNS, neighbours; on a bridge ARP
 *   map_*_head    the VM's limits on packets, if it has any
 *   *_answer      what is an answer: known, or judged by the rules turned round, or dropped
 *   known_*       what the rules of now have allowed returns: see mark.c
 *   map_*         the chain of the VM's rules, which ends with its denial; without one, the denial is here
 *
 * dnsmasq holds no capability, so it cannot listen below 1024. The guest's 67 and 53 become its ports, and 547 that of
 * cordon-router, which is then in nobody's way, before conntrack sees the packet, and the answers' ports are set back after conntrack and the filter, so both of them
 * know one port on both ways and no state of theirs is needed for the change.
 *
 * On a bridge the guest is a member of somebody's network, so what every member needs passes without a rule: ARP and
 * neighbour discovery, DHCP as a client, and to the guest router advertisements and listener queries. A `foreign`
 * tap is in such a network too. Its bridge often is one whose host routes for its members, as libvirt's networks do:
 * what comes in for the host there is either for the host itself, by one of its addresses as they are when the rules
 * are loaded, or on its way to the world; and so what the host sends.
 */
#include "base/base.h"
#include "firewall/rules.h"

const char *const firewall_families[2] = {"inet", "bridge"};

enum { IN_INET = 1, IN_BRIDGE = 2, IN_BOTH = 3 };

/* One rule of a shared chain: its match and verdict; or its match, and why it drops. */
struct shared {
	int families;
	const char *chain, *rule, *drops;
};

#define KNOWN_OUT(interface)   interface " . ct mark & 0xfff00000 @known_out return"
#define KNOWN_IN(interface)    interface " . ct mark & 0x0000fff0 @known_in return"
#define UNMAPPED               "counter drop comment \"tap without rules\""
#define PASSED(set, interface) " update @" set " { " interface " } return"
#define REWRITTEN(ip, way, protocol)                                              \
	"iifname . " ip " daddr @gateways" way " " protocol " dport 53 " protocol \
	" dport set iifname map @dns_ports"
#define RESTORED(ip, way, protocol)                                   \
	"oifname . " ip " saddr @gateways" way " oifname . " protocol \
	" sport @dns_listens " protocol " sport set 53"
#define ASKED(ip, way, protocol)                                      \
	"iifname . " ip " daddr @gateways" way " iifname . " protocol \
	" dport @dns_listens" PASSED("passed_dns", "iifname")
#define ANSWERED(ip, way, protocol)                                                      \
	"ct direction reply oifname . " ip " saddr @gateways" way " oifname . " protocol \
	" sport @dns_listens" PASSED("passed_dns_answer", "oifname")
/* ICMPv6 types by number: RFC 4861, RFC 2710, RFC 3810 */
#define MEMBER_FROM(chain)                                                                       \
	{IN_BRIDGE, chain, "ether type arp" PASSED("passed_arp", "iifname"), NULL},              \
	        {IN_BRIDGE, chain,                                                               \
	         "icmpv6 type { 133, 135, 136, 143 }" PASSED("passed_neighbours", "iifname"),    \
	         NULL},                                                                          \
	        {IN_BRIDGE, chain, "udp sport 68 udp dport 67" PASSED("passed_dhcp", "iifname"), \
	         NULL},                                                                          \
	{                                                                                        \
		IN_BRIDGE, chain,                                                                \
		        "ip6 daddr ff02::1:2 udp sport 546 udp dport 547" PASSED("passed_dhcp",  \
		                                                                 "iifname"),     \
		        NULL                                                                     \
	}
#define MEMBER_TO(chain)                                                                       \
	{IN_BRIDGE, chain, "ether type arp" PASSED("passed_arp", "oifname"), NULL},            \
	        {IN_BRIDGE, chain,                                                             \
	         "icmpv6 type { 130, 134, 135, 136 }" PASSED("passed_neighbours", "oifname"),  \
	         NULL},                                                                        \
	        {IN_BRIDGE, chain,                                                             \
	         "udp sport 67 udp dport 68" PASSED("passed_dhcp_answer", "oifname"), NULL},   \
	        {IN_BRIDGE, chain,                                                             \
	         "udp sport 547 udp dport 546" PASSED("passed_dhcp_answer", "oifname"), NULL}, \
	{                                                                                      \
		IN_BRIDGE, chain, "ether type != ip ether type != ip6", "other ethertype"      \
	}
/* What becomes of a packet of one side: SIDE's own rules, and those of the other one's answers. */
#define JUDGED(chain, interface, side, known, answer, invalid)             \
	{IN_BOTH, chain, interface " vmap @map_" side "_head", NULL},      \
	        {IN_BOTH, chain, "ct direction reply goto " answer, NULL}, \
	        {IN_BOTH, chain, known, NULL},                             \
	{                                                                  \
		IN_BOTH, chain, "ct state invalid", invalid                \
	}
#define DENIED(chain, interface, side, denial)                \
	{IN_BOTH, chain, interface " vmap @map_" side, NULL}, \
	{                                                     \
		IN_BOTH, chain, "", denial                    \
	}

/* clang-format off */
static const struct shared lines[] = {
	{IN_INET, "prerouting", "iifname @vms jump ports_in", NULL},
	{IN_BOTH, "forward", "iifname vmap @quarantine_from", NULL},
	{IN_BOTH, "forward", "iifname @vms jump from_vm", NULL},
	{IN_BOTH, "forward", "iifname \"cn*\" iifname != @vms " UNMAPPED, NULL},
	{IN_BOTH, "forward", "goto onward", NULL},
	{IN_BOTH, "onward", "oifname vmap @quarantine_to", NULL},
	{IN_BOTH, "onward", "oifname @vms goto to_vm", NULL},
	{IN_BOTH, "onward", "oifname \"cn*\" " UNMAPPED, NULL},
	{IN_BOTH, "input", "iifname vmap @quarantine_from", NULL},
	{IN_BOTH, "input", "iifname @vms goto host_from", NULL},
	{IN_BOTH, "input", "iifname \"cn*\" " UNMAPPED, NULL},
	{IN_BOTH, "output", "oifname vmap @quarantine_to", NULL},
	{IN_BOTH, "output", "oifname @vms goto host_to", NULL},
	{IN_BOTH, "output", "oifname \"cn*\" " UNMAPPED, NULL},
	{IN_INET, "output_ports", "oifname @vms jump ports_out", NULL},
	{IN_INET, "postrouting", "iifname . ip saddr @nat4 oifname != \"cn*\" masquerade", NULL},
	{IN_INET, "postrouting", "iifname . ip6 saddr @nat6 oifname != \"cn*\" masquerade", NULL},
	{IN_INET, "forward_ports",
	 "iifname != @vms fib daddr type local meta l4proto . th dport vmap @forwards", NULL},

	{IN_INET, "ports_in", "udp sport 68 udp dport 67 udp dport set iifname map @dhcp_ports", NULL},
	{IN_INET, "ports_in",
	 "meta nfproto ipv6 udp sport 546 udp dport 547 udp dport set iifname map @dhcp_ports", NULL},
	{IN_INET, "ports_in", REWRITTEN("ip", "4", "udp"), NULL},
	{IN_INET, "ports_in", REWRITTEN("ip", "4", "tcp"), NULL},
	{IN_INET, "ports_in", REWRITTEN("ip6", "6", "udp"), NULL},
	{IN_INET, "ports_in", REWRITTEN("ip6", "6", "tcp"), NULL},
	{IN_INET, "ports_out", "oifname . udp sport @dhcp_listens udp dport 68 udp sport set 67", NULL},
	{IN_INET, "ports_out", "oifname . udp sport @dhcp_listens udp dport 546 udp sport set 547", NULL},
	{IN_INET, "ports_out", RESTORED("ip", "4", "udp"), NULL},
	{IN_INET, "ports_out", RESTORED("ip", "4", "tcp"), NULL},
	{IN_INET, "ports_out", RESTORED("ip6", "6", "udp"), NULL},
	{IN_INET, "ports_out", RESTORED("ip6", "6", "tcp"), NULL},

	{IN_BOTH, "from_vm", "update @sent { iifname }", NULL},
	{IN_INET, "from_vm", "iifname @host_only oifname != @vms", "egress of a host-only nic"},
	MEMBER_FROM("from_vm"),
	{IN_BOTH, "from_vm", "goto from_vm_rules", NULL},
	JUDGED("from_vm_rules", "iifname", "egress", KNOWN_OUT("iifname"), "from_vm_answer", "egress invalid"),
	{IN_BOTH, "from_vm_rules", "ip daddr @metadata4 goto from_vm_metadata", NULL},
	{IN_BOTH, "from_vm_rules", "ip6 daddr @metadata6 goto from_vm_metadata", NULL},
	DENIED("from_vm_rules", "iifname", "egress", "egress default deny"),
	{IN_BOTH, "from_vm_metadata", "iifname vmap @map_metadata", NULL},
	{IN_BOTH, "from_vm_metadata", "", "cloud metadata"},
	{IN_BOTH, "from_vm_answer", KNOWN_IN("iifname"), NULL},
	DENIED("from_vm_answer", "iifname", "ingress_back", "ingress connection no longer allowed"),

	MEMBER_TO("to_vm"),
	{IN_INET, "to_vm", "oifname @host_only iifname != @vms", "ingress of a host-only nic"},
	{IN_BOTH, "to_vm", "update @received { oifname }", NULL},
	{IN_BOTH, "to_vm", "goto to_vm_rules", NULL},
	JUDGED("to_vm_rules", "oifname", "ingress", KNOWN_IN("oifname"), "to_vm_answer", "ingress invalid"),
	DENIED("to_vm_rules", "oifname", "ingress", "ingress default deny"),
	{IN_BOTH, "to_vm_answer", KNOWN_OUT("oifname"), NULL},
	DENIED("to_vm_answer", "oifname", "egress_back", "egress connection no longer allowed"),

	{IN_INET, "host_from", "udp sport 68 iifname . udp dport @dhcp_listens" PASSED("passed_dhcp", "iifname"), NULL},
	{IN_INET, "host_from",
	 "iifname @with6 meta nfproto ipv6 udp sport 546 iifname . udp dport @dhcp_listens"
	 PASSED("passed_dhcp", "iifname"), NULL},
	{IN_INET, "host_from", ASKED("ip", "4", "udp"), NULL},
	{IN_INET, "host_from", ASKED("ip", "4", "tcp"), NULL},
	{IN_INET, "host_from", ASKED("ip6", "6", "udp"), NULL},
	{IN_INET, "host_from", ASKED("ip6", "6", "tcp"), NULL},
	{IN_INET, "host_from",
	 "iifname . ip daddr @gateways4 icmp type echo-request" PASSED("passed_ping", "iifname"), NULL},
	{IN_INET, "host_from",
	 "iifname . ip6 daddr @gateways6 icmpv6 type echo-request" PASSED("passed_ping", "iifname"), NULL},
	{IN_INET, "host_from",
	 "iifname @with6 icmpv6 type { 133, 135, 136 }" PASSED("passed_neighbours", "iifname"), NULL},
	/* in somebody else's network: what members tell routers, and DHCPv6 (RFC 8415) */
	{IN_INET, "host_from",
	 "iifname @with6 iifname @foreign icmpv6 type 143" PASSED("passed_neighbours", "iifname"), NULL},
	{IN_INET, "host_from",
	 "iifname @with6 iifname @foreign meta nfproto ipv6 udp sport 546 udp dport 547"
	 PASSED("passed_dhcp", "iifname"), NULL},
	MEMBER_FROM("host_from"),
	{IN_BRIDGE, "host_from", "iifname @foreign ether type ip ip daddr != @host4 goto from_vm_rules", NULL},
	{IN_BRIDGE, "host_from", "iifname @foreign ether type ip6 ip6 daddr != @host6 goto from_vm_rules", NULL},
	{IN_BRIDGE, "host_from", "iifname @foreign ether type != ip ether type != ip6 goto from_vm_rules", NULL},
	{IN_BOTH, "host_from", "goto host_from_rules", NULL},
	JUDGED("host_from_rules", "iifname", "host", KNOWN_OUT("iifname"), "host_from_answer", "host invalid"),
	DENIED("host_from_rules", "iifname", "host", "host default deny"),
	{IN_BOTH, "host_from_answer", KNOWN_IN("iifname"), NULL},
	DENIED("host_from_answer", "iifname", "local_back", "ingress connection no longer allowed"),

	{IN_INET, "host_to", "oifname . udp sport @dhcp_listens udp dport 68" PASSED("passed_dhcp_answer", "oifname"), NULL},
	{IN_INET, "host_to",
	 "oifname @with6 meta nfproto ipv6 udp dport 546 oifname . udp sport @dhcp_listens"
	 PASSED("passed_dhcp_answer", "oifname"), NULL},
	{IN_INET, "host_to", ANSWERED("ip", "4", "udp"), NULL},
	{IN_INET, "host_to", ANSWERED("ip", "4", "tcp"), NULL},
	{IN_INET, "host_to", ANSWERED("ip6", "6", "udp"), NULL},
	{IN_INET, "host_to", ANSWERED("ip6", "6", "tcp"), NULL},
	{IN_INET, "host_to",
	 "ct direction reply oifname . ip saddr @gateways4 icmp type echo-reply" PASSED("passed_ping", "oifname"), NULL},
	{IN_INET, "host_to",
	 "ct direction reply oifname . ip6 saddr @gateways6 icmpv6 type echo-reply" PASSED("passed_ping", "oifname"), NULL},
	{IN_INET, "host_to", "oifname @with6 icmpv6 type { 134, 135, 136 }" PASSED("passed_neighbours", "oifname"), NULL},
	{IN_INET, "host_to",
	 "oifname @with6 oifname @foreign icmpv6 type 130" PASSED("passed_neighbours", "oifname"), NULL},
	{IN_INET, "host_to",
	 "oifname @with6 oifname @foreign meta nfproto ipv6 udp sport 547 udp dport 546"
	 PASSED("passed_dhcp_answer", "oifname"), NULL},
	MEMBER_TO("host_to"),
	/* the host's own word that a packet of the guest's was rejected, too large, or too old */
	{IN_BOTH, "host_to", "ct state related" PASSED("passed_errors", "oifname"), NULL},
	{IN_BRIDGE, "host_to", "oifname @foreign ether type ip ip saddr != @host4 goto to_vm_rules", NULL},
	{IN_BRIDGE, "host_to", "oifname @foreign ether type ip6 ip6 saddr != @host6 goto to_vm_rules", NULL},
	{IN_BOTH, "host_to", "goto host_to_rules", NULL},
	JUDGED("host_to_rules", "oifname", "local", KNOWN_IN("oifname"), "host_to_answer", "ingress invalid"),
	DENIED("host_to_rules", "oifname", "local", "ingress default deny"),
	{IN_BOTH, "host_to_answer", KNOWN_OUT("oifname"), NULL},
	DENIED("host_to_answer", "oifname", "host_back", "egress connection no longer allowed"),
};
/* clang-format on */

/* Chains that are no base chains, and what the sets and maps hold. */
static const struct {
	int families;
	const char *name, *hook; /* NULL: no base chain */
} chains[] = {
        {IN_BOTH, "onward", NULL},
        {IN_BOTH, "from_vm", NULL},
        {IN_BOTH, "from_vm_rules", NULL},
        {IN_BOTH, "from_vm_metadata", NULL},
        {IN_BOTH, "from_vm_answer", NULL},
        {IN_BOTH, "to_vm", NULL},
        {IN_BOTH, "to_vm_rules", NULL},
        {IN_BOTH, "to_vm_answer", NULL},
        {IN_BOTH, "host_from", NULL},
        {IN_BOTH, "host_from_rules", NULL},
        {IN_BOTH, "host_from_answer", NULL},
        {IN_BOTH, "host_to", NULL},
        {IN_BOTH, "host_to_rules", NULL},
        {IN_BOTH, "host_to_answer", NULL},
        {IN_INET, "ports_in", NULL},
        {IN_INET, "ports_out", NULL},
        {IN_INET, "prerouting", "filter hook prerouting priority raw"},
        {IN_BOTH, "forward", "filter hook forward priority filter"},
        {IN_BOTH, "input", "filter hook input priority filter"},
        {IN_BOTH, "output", "filter hook output priority filter"},
        /* after conntrack and the filter, which know the service by the port that it listens on */
        {IN_INET, "output_ports", "filter hook output priority 10"},
        {IN_INET, "postrouting", "nat hook postrouting priority srcnat"},
        {IN_INET, "forward_ports", "nat hook prerouting priority dstnat"},
};
static const struct {
	int families;
	const char *kind, *name, *type;
} sets[] = {
        {IN_BOTH, "map", "quarantine_from", "type ifname : verdict"},
        {IN_BOTH, "map", "quarantine_to", "type ifname : verdict"},
        {IN_BOTH, "set", "known_out", "typeof iifname . ct mark"},
        {IN_BOTH, "set", "known_in", "typeof iifname . ct mark"},
        {IN_BOTH, "set", "foreign", "type ifname"},
        {IN_BRIDGE, "set", "host4", "type ipv4_addr"},
        {IN_BRIDGE, "set", "host6", "type ipv6_addr"},
        {IN_INET, "map", "forwards", "type inet_proto . inet_service : verdict"},
        {IN_INET, "map", "dhcp_ports", "type ifname : inet_service"},
        {IN_INET, "map", "dns_ports", "type ifname : inet_service"},
        {IN_INET, "set", "dhcp_listens", "type ifname . inet_service"},
        {IN_INET, "set", "dns_listens", "type ifname . inet_service"},
        {IN_INET, "set", "gateways4", "type ifname . ipv4_addr"},
        {IN_INET, "set", "gateways6", "type ifname . ipv6_addr"},
        {IN_INET, "set", "nat4", "type ifname . ipv4_addr"},
        {IN_INET, "set", "nat6", "type ifname . ipv6_addr"},
        {IN_INET, "set", "with6", "type ifname"},
        {IN_INET, "set", "host_only", "type ifname"},
};

/* To be raised with each change of what is shared. */
static const char layout[] = "layout_5";

static void write_lines(FILE *out, const char *family, int bit)
{
	for (size_t i = 0; i < BASE_COUNT(lines); i++) {
		if (!(lines[i].families & bit))
			continue;
		fprintf(out, "add rule %s cordon %s %s%s", family, lines[i].chain, lines[i].rule,
		        lines[i].drops ? " " : "\n");
		if (lines[i].drops)
			firewall_tally_drop(out, strstr(lines[i].chain, "from") ? "from" : "to",
			                    lines[i].drops);
	}
}

void firewall_text_tables(FILE *out, const char *family)
{
	const int bit = strcmp(family, "bridge") == 0 ? IN_BRIDGE : IN_INET;

	fprintf(out, "add table %s cordon\n%s", family,
	        bit == IN_INET ? "add table netdev cordon\n" : "");
	firewall_set_tables(out, family);
	for (size_t i = 0; i < BASE_COUNT(sets); i++)
		if (sets[i].families & bit)
			fprintf(out, "add %s %s cordon %s { %s ; }\n", sets[i].kind, family,
			        sets[i].name, sets[i].type);
	for (size_t i = 0; i < firewall_vm_chain_count; i++)
		if (firewall_vm_chains[i].verdict)
			fprintf(out, "add map %s cordon map_%s { type ifname : verdict ; }\n",
			        family, firewall_vm_chains[i].suffix);
	firewall_denied_tables(out, family);
	firewall_tally_tables(out, family);
	for (size_t i = 0; i < BASE_COUNT(chains); i++)
		if (chains[i].families & bit && chains[i].hook)
			fprintf(out, "add chain %s cordon %s { type %s ; policy accept ; }\n",
			        family, chains[i].name, chains[i].hook);
		else if (chains[i].families & bit)
			fprintf(out, "add chain %s cordon %s\n", family, chains[i].name);
	for (size_t i = 0; i < BASE_COUNT(chains); i++)
		if (chains[i].families & bit)
			fprintf(out, "flush chain %s cordon %s\n", family, chains[i].name);
	write_lines(out, family, bit);
	fprintf(out, "add chain %s cordon %s\n", family, layout);
	if (bit == IN_BRIDGE)
		return;
	firewall_text_spoof_tables(out);
	fprintf(out, "add chain netdev cordon %s\n", layout);
}

bool firewall_tables_there(struct firewall *fw, const char *family)
{
	return firewall_read_chain(fw, family, layout, NULL, NULL) == 0 &&
	       firewall_read_chain(fw, "netdev", layout, NULL, NULL) == 0;
}
