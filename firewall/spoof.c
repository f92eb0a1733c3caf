/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `netdev cordon`: each tap has a base chain at its ingress, ahead of everything else that reads the frame, and
 * all of them go to the same chains, where a guest can only be itself. Who that is stand in sets, by the tap's
 * name, so that a VM more is a handful of elements and no rules. The policy has a say in groups and routing
 * headers only: a tap whose policy allows groups has a chain for them, in the map `groups`.
 *
 * The base chain's policy is drop; a frame passes only at the end of the chain of its protocol, by a match
 * that says what it is: a header that is cut short matches nothing, and is dropped. A tap that is in no set
 * has no address that it could send from.
 *
 *   ARP   Ethernet/IPv4 requests and replies whose sender is the guest, gratuitous ones too (RFC 5227
 *         section 3); an address probe (section 2.1.1, sender 0.0.0.0) only for the guest's own address.
 *   IPv4  the guest's own source, and 0.0.0.0 only for DHCP (RFC 2131 section 4.1). No options (source
 *         routing, RFC 7126), no DHCP server, no broadcast but DHCP's, no unicast in a broadcast frame
 *         (RFC 1122 section 3.3.6). Fragments pass and are put together by conntrack before any rule
 *         looks at a port, except those that no honest sender makes: a first fragment under the 68
 *         bytes that every network carries (RFC 791), and one that begins at byte 8, over the TCP flags
 *         (RFC 1858).
 *   IPv6  the guest's own /128, any fe80::/64 address, and :: for duplicate address detection. No
 *         hop-by-hop or destination options (RFC 9288), no routing header but of the types that the
 *         policy allows (type 0 never, RFC 5095), no extension header behind a fragment header (RFC
 *         7112), no fragment of nothing (RFC 8021), none but the last under the 1280 bytes that every
 *         link carries (RFC 8200 section 5), no fragmented ICMPv6 (RFC 6980), no router advertisement,
 *         no redirect, no DHCPv6 server. Neighbour messages speak of the guest's own addresses and of
 *         its own MAC only, in the first option, and carry at most that one; so do questions for a
 *         router, which go to all routers from a link-local address or from ::.
 *
 * Multicast and broadcast pass to the groups that an egress rule allows by an address of their own. On a
 * bridge, multicast listener reports (RFC 3810 section 5) pass too: without them the guest would have no
 * neighbours behind a switch that snoops.
 *
 * Anything else (VLAN tags, 802.3 with LLC, other EtherTypes) is dropped.
 */
#include <arpa/inet.h>

#include "base/base.h"
#include "firewall/rules.h"

#define PROBE   "ip6 saddr :: ip6 hoplimit 255 ip6 length <= 32 icmpv6 type nd-neighbor-solicit"
#define SOLICIT "icmpv6 type nd-neighbor-solicit "
#define ADVERT  "icmpv6 type nd-neighbor-advert "
#define ROUTER  "ip6 hoplimit 255 ip6 nexthdr 58 icmpv6 type nd-router-solicit "

/* One rule of a chain that all taps share: its match, and why it drops. */
struct shared {
	const char *chain, *match, *drops; /* `drops` NULL: the match ends with its verdict */
};

/* In the order in which they are met. */
static const struct shared shared[] = {
        {"tap", "iifname . ether saddr != @macs", "spoofed mac"},
        {"tap", "iifname @with4 ether type ip goto tap_ip4", NULL},
        {"tap", "iifname @with4 ether type arp goto tap_arp", NULL},
        {"tap", "iifname @with6 ether type ip6 goto tap_ip6", NULL},
        {"tap", "ether type ip6", "ipv6 without an address"},
        {"tap", "ether type 8021q", "vlan tag"},
        {"tap", "ether type 8021ad", "vlan tag"},
        {"tap", "ether type < 0x0600", "802.3 frame"},
        {"tap", "", "other ethertype"},

        {"tap_arp", "arp htype != 1", "malformed arp"},
        {"tap_arp", "arp ptype != ip", "malformed arp"},
        {"tap_arp", "arp hlen != 6", "malformed arp"},
        {"tap_arp", "arp plen != 4", "malformed arp"},
        {"tap_arp", "arp operation > 2", "malformed arp"},
        {"tap_arp", "iifname . arp saddr ether != @macs", "spoofed arp mac"},
        {"tap_arp",
         "arp saddr ip 0.0.0.0 iifname . arp daddr ip @addresses4 arp operation request accept",
         NULL},
        {"tap_arp", "iifname . arp saddr ip != @addresses4", "spoofed arp ip"},
        {"tap_arp", "iifname . arp saddr ip @addresses4 iifname . arp saddr ether @macs accept",
         NULL},
        {"tap_arp", "", "malformed arp"},

        {"tap_ip4", "ip version != 4", "malformed ipv4"},
        {"tap_ip4", "ip hdrlength != 5", "ipv4 options"},
        {"tap_ip4", "ip frag-off & 0x8000 != 0", "malformed ipv4"},
        {"tap_ip4", "ip frag-off & 0x1fff == 1", "tiny fragment"},
        {"tap_ip4", "ip frag-off & 0x3fff == 0x2000 ip length < 68", "tiny fragment"},
        {"tap_ip4", "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept",
         NULL},
        {"tap_ip4", "iifname . ip saddr != @addresses4", "spoofed ipv4 source"},
        {"tap_ip4", "ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept", NULL},
        {"tap_ip4", "udp sport 67", "dhcp server"},
        {"tap_ip4", "meta pkttype broadcast ip daddr < 224.0.0.0", "unicast in a broadcast frame"},
        {"tap_ip4", "meta pkttype multicast ip daddr < 224.0.0.0", "unicast in a broadcast frame"},
        {"tap_ip4", "iifname vmap @groups", NULL},
        {"tap_ip4", "ip daddr 224.0.0.0/3", "ipv4 multicast or broadcast"},
        {"tap_ip4", "iifname . ip saddr @addresses4 accept", NULL},
        {"tap_ip4", "", "malformed ipv4"},

        {"tap_ip6", "ip6 version != 6", "malformed ipv6"},
        {"tap_ip6", "iifname @members goto tap_member", NULL},
        {"tap_ip6", "goto tap_ip6_any", NULL},
        /* what a switch that snoops has to hear: reports in a packet with a router alert, from a local address */
        {"tap_member",
         "ip6 saddr fe80::/64 ip6 daddr ff02::16 ip6 hoplimit 1 ip6 nexthdr 0 hbh nexthdr 58 "
         "icmpv6 type mld2-listener-report accept",
         NULL},
        {"tap_member",
         "ip6 saddr :: ip6 daddr ff02::16 ip6 hoplimit 1 ip6 nexthdr 0 hbh nexthdr 58 icmpv6 type "
         "mld2-listener-report accept",
         NULL},
        {"tap_member", "goto tap_ip6_any", NULL},
        {"tap_ip6_any", "frag nexthdr 0", "hidden ipv6 header"},
        {"tap_ip6_any", "frag nexthdr 43", "hidden ipv6 header"},
        {"tap_ip6_any", "frag nexthdr 44", "hidden ipv6 header"},
        {"tap_ip6_any", "frag nexthdr 60", "hidden ipv6 header"},
        {"tap_ip6_any", "frag nexthdr 58", "fragmented icmpv6"},
        {"tap_ip6_any", "exthdr hbh exists", "ipv6 hop-by-hop options"},
        {"tap_ip6_any", "exthdr dst exists", "ipv6 destination options"},
        {"tap_ip6_any", "exthdr rt exists iifname vmap @routing", NULL},
        {"tap_ip6_any", "frag frag-off 0 frag more-fragments 0", "ipv6 fragment of nothing"},
        /* 1280 less the header, rounded down as fragments are: RFC 8200 section 4.5 */
        {"tap_ip6_any", "frag more-fragments 1 ip6 length < 1233", "tiny fragment"},
        {"tap_ip6_any", "iifname . ip6 saddr @addresses6 goto tap_ip6_own", NULL},
        {"tap_ip6_any", "ip6 saddr fe80::/64 goto tap_ip6_own", NULL},
        /* :: is for duplicate address detection of the guest's own addresses: RFC 4862 section 5.4 */
        {"tap_ip6_any", PROBE " ip6 length > 24 @th,192,16 0x0101",
         "spoofed neighbour solicitation"},
        {"tap_ip6_any", PROBE " iifname . @th,64,128 @targets accept", NULL},
        {"tap_ip6_any", PROBE " @th,64,64 0xfe80000000000000 accept", NULL},
        {"tap_ip6_any", "ip6 saddr :: ip6 daddr ff02::2 " ROUTER "ip6 length 8 accept", NULL},
        {"tap_ip6_any", "ip6 saddr ::", "unspecified ipv6 source"},
        {"tap_ip6_any", "", "spoofed ipv6 source"},

        {"tap_routed", "", "ipv6 routing header"},

        {"tap_ip6_own", "icmpv6 type nd-router-advert", "router advertisement"},
        {"tap_ip6_own", "icmpv6 type nd-redirect", "icmpv6 redirect"},
        /* 24 bytes are the message alone, 32 with one option of 8 (RFC 4861 section 4.3, 4.4) */
        {"tap_ip6_own", SOLICIT "ip6 length > 32", "spoofed neighbour solicitation"},
        {"tap_ip6_own", SOLICIT "ip6 nexthdr != 58", "spoofed neighbour solicitation"},
        {"tap_ip6_own", SOLICIT "ip6 length > 24 @th,192,16 != 0x0101",
         "spoofed neighbour solicitation"},
        {"tap_ip6_own", SOLICIT "ip6 length > 24 iifname . @th,208,48 != @options",
         "spoofed neighbour solicitation"},
        {"tap_ip6_own", ADVERT "ip6 length > 32", "spoofed neighbour advertisement"},
        {"tap_ip6_own", ADVERT "ip6 nexthdr != 58", "spoofed neighbour advertisement"},
        {"tap_ip6_own", ADVERT "ip6 length > 24 @th,192,16 != 0x0201",
         "spoofed neighbour advertisement"},
        {"tap_ip6_own", ADVERT "ip6 length > 24 iifname . @th,208,48 != @options",
         "spoofed neighbour advertisement"},
        {"tap_ip6_own", ADVERT "iifname . @th,64,128 @targets accept", NULL},
        {"tap_ip6_own", ADVERT "@th,64,64 0xfe80000000000000 accept", NULL},
        {"tap_ip6_own", ADVERT, "spoofed neighbour advertisement"},
        /* 8 bytes are the message alone, 16 with one option of 8 (RFC 4861 section 4.1) */
        {"tap_ip6_own", ROUTER "ip6 length > 16", "spoofed router solicitation"},
        {"tap_ip6_own", ROUTER "ip6 length > 8 @th,64,16 != 0x0101", "spoofed router solicitation"},
        {"tap_ip6_own", ROUTER "ip6 length > 8 iifname . @th,80,48 != @options",
         "spoofed router solicitation"},
        {"tap_ip6_own", "ip6 saddr fe80::/64 ip6 daddr ff02::2 " ROUTER "accept", NULL},
        {"tap_ip6_own", "udp sport 547", "dhcp server"},
        {"tap_ip6_own", "ip6 daddr ff02::1:ff00:0/104 icmpv6 type nd-neighbor-solicit accept",
         NULL},
        {"tap_ip6_own", "ip6 daddr ff02::1:2 udp sport 546 udp dport 547 accept", NULL},
        {"tap_ip6_own", "iifname vmap @groups", NULL},
        {"tap_ip6_own", "ip6 daddr ff00::/8", "ipv6 multicast"},
        {"tap_ip6_own", "meta pkttype broadcast", "unicast in a broadcast frame"},
        {"tap_ip6_own", "meta pkttype multicast", "unicast in a broadcast frame"},
        {"tap_ip6_own", "accept", NULL},
};

void firewall_text_spoof_tables(FILE *out)
{
	static const char *const chains[] = {"tap",        "tap_arp",    "tap_ip4",
	                                     "tap_ip6",    "tap_member", "tap_ip6_any",
	                                     "tap_routed", "tap_ip6_own"};

	firewall_tally_tables(out, "netdev");
	fputs("add set netdev cordon macs { type ifname . ether_addr ; }\n"
	      "add set netdev cordon addresses4 { type ifname . ipv4_addr ; }\n"
	      "add set netdev cordon addresses6 { type ifname . ipv6_addr ; }\n"
	      "add set netdev cordon with4 { type ifname ; }\n"
	      "add set netdev cordon with6 { type ifname ; }\n"
	      "add set netdev cordon members { type ifname ; }\n"
	      "add set netdev cordon targets { typeof iifname . @th,64,128 ; }\n"
	      "add set netdev cordon options { typeof iifname . @th,208,48 ; }\n"
	      "add map netdev cordon routing { type ifname : verdict ; }\n"
	      "add map netdev cordon groups { type ifname : verdict ; }\n",
	      out);
	for (size_t i = 0; i < BASE_COUNT(chains); i++)
		fprintf(out, "add chain netdev cordon %s\nflush chain netdev cordon %s\n",
		        chains[i], chains[i]);
	fputs("add element netdev cordon routing { * : goto tap_routed }\n", out);
	for (size_t i = 0; i < BASE_COUNT(shared); i++) {
		fprintf(out, "add rule netdev cordon %s %s ", shared[i].chain, shared[i].match);
		if (shared[i].drops)
			firewall_tally_drop(out, "from", shared[i].drops);
		else
			fputc('\n', out);
	}
}

/* Groups that the list names: networks that are multicast or broadcast as a whole. */
static size_t write_groups(FILE *out, const char *chain, const struct policy *policy,
                           struct policy_span cidrs)
{
	char text[INET6_ADDRSTRLEN + 4];
	size_t count = 0;

	for (size_t i = 0; i < cidrs.count; i++) {
		const struct policy_cidr *cidr = &policy->cidrs[cidrs.first + i];
		bool group = cidr->family == 4 ? cidr->addr[0] >= 224 && cidr->prefix >= 3
		                               : cidr->addr[0] == 0xff && cidr->prefix >= 8;

		if (!group)
			continue;
		count++;
		firewall_text_address(text, sizeof(text), cidr);
		if (out)
			fprintf(out, "add rule netdev cordon %s %s daddr %s accept\n", chain,
			        cidr->family == 4 ? "ip" : "ip6", text);
	}
	return count;
}

/* How many groups the policy allows; with `out`, their rules too. */
static size_t write_allowed_groups(FILE *out, const char *chain, const struct policy *policy)
{
	const struct policy_firewall *firewall = &policy->firewall;
	size_t count = 0;

	for (size_t i = 0; i < firewall->egress_count; i++) {
		const struct policy_rule *egress = &firewall->egress[i];

		if (egress->action != POLICY_ALLOW)
			continue;
		count += write_groups(out, chain, policy, egress->cidrs);
		for (size_t k = 0; k < egress->peers.count; k++) {
			const struct policy_peer *peer = &policy->peers[egress->peers.first + k];
			const struct policy_set *set = policy_set_find(policy, peer->name);

			if (peer->kind == POLICY_PEER_SET && set)
				count += write_groups(out, chain, policy, set->cidrs);
		}
	}
	return count;
}

/* The chain of one NIC for what its policy allows, in a map of the same name. */
static void open_chain(const struct firewall_plan *plan, size_t i, const char *map,
                       char chain[FIREWALL_NAME_MAX])
{
	snprintf(chain, FIREWALL_NAME_MAX, "vm_%s_%zu_%s", plan->policy->vm.name, i, map);
	fprintf(plan->out,
	        "add chain netdev cordon %s\nadd element netdev cordon %s { \"%s\" : jump %s }\n",
	        chain, map, plan->nics[i].tap, chain);
}

/* The types that the policy allows go on; type 0 is never among them. */
static void write_routing(const struct firewall_plan *plan, size_t i)
{
	const uint8_t *allowed = plan->policy->firewall.routing_headers;
	char chain[FIREWALL_NAME_MAX];
	bool any = false;

	for (unsigned int type = 1; type < 256; type++)
		any |= allowed[type / 8] & 1u << type % 8;
	if (!any)
		return;
	open_chain(plan, i, "routing", chain);
	fprintf(plan->out, "add rule netdev cordon %s ", chain);
	for (unsigned int type = 1; type < 256; type++)
		if (allowed[type / 8] & 1u << type % 8)
			fprintf(plan->out, "rt type != %u ", type);
	fputs("goto tap_routed\n", plan->out);
}

static void write_group_chain(const struct firewall_plan *plan, size_t i)
{
	char chain[FIREWALL_NAME_MAX];

	if (!write_allowed_groups(NULL, "", plan->policy))
		return;
	open_chain(plan, i, "groups", chain);
	write_allowed_groups(plan->out, chain, plan->policy);
}

static bool is_set(const uint8_t *address, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (address[i])
			return true;
	return false;
}

/* The elements that say who the guest is. */
static void write_identity(FILE *out, const char *verb, const struct firewall_nic *nic, bool member)
{
	const uint8_t *m = nic->mac, *t = nic->ip6;
	char ip4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN], target[35] = "0x";

	fprintf(out,
	        "%s element netdev cordon macs { \"%s\" . %02x:%02x:%02x:%02x:%02x:%02x }\n"
	        "%s element netdev cordon options { \"%s\" . 0x%02x%02x%02x%02x%02x%02x }\n",
	        verb, nic->tap, m[0], m[1], m[2], m[3], m[4], m[5], verb, nic->tap, m[0], m[1],
	        m[2], m[3], m[4], m[5]);
	if (is_set(nic->ip4, sizeof(nic->ip4)))
		fprintf(out,
		        "%s element netdev cordon with4 { \"%s\" }\n"
		        "%s element netdev cordon addresses4 { \"%s\" . %s }\n",
		        verb, nic->tap, verb, nic->tap,
		        inet_ntop(AF_INET, nic->ip4, ip4, sizeof(ip4)));
	for (size_t k = 0; k < sizeof(nic->ip6); k++)
		snprintf(target + 2 + 2 * k, sizeof(target) - 2 - 2 * k, "%02x", t[k]);
	if (is_set(nic->ip6, sizeof(nic->ip6)))
		fprintf(out,
		        "%s element netdev cordon with6 { \"%s\" }\n"
		        "%s element netdev cordon addresses6 { \"%s\" . %s }\n"
		        "%s element netdev cordon targets { \"%s\" . %s }\n",
		        verb, nic->tap, verb, nic->tap,
		        inet_ntop(AF_INET6, nic->ip6, ip6, sizeof(ip6)), verb, nic->tap, target);
	if (member)
		fprintf(out, "%s element netdev cordon members { \"%s\" }\n", verb, nic->tap);
}

void firewall_text_spoof(const struct firewall_plan *plan, size_t i)
{
	const struct firewall_nic *nic = &plan->nics[i];
	const char *vm = plan->policy->vm.name;

	fprintf(plan->out,
	        "add chain netdev cordon vm_%s_%zu { type filter hook ingress device \"%s\" "
	        "priority -500 ; policy drop ; }\nflush chain netdev cordon vm_%s_%zu\n"
	        "add rule netdev cordon vm_%s_%zu goto tap\n",
	        vm, i, nic->tap, vm, i, vm, i);
	write_identity(plan->out, "add", nic, nic->mode == POLICY_NIC_BRIDGE || nic->foreign);
	write_routing(plan, i);
	write_group_chain(plan, i);
}

const char *const firewall_spoof_maps[] = {"groups", "routing"};
_Static_assert(BASE_COUNT(firewall_spoof_maps) == FIREWALL_SPOOF_MAPS, "one for each");

void firewall_text_unspoof(FILE *out, const char *vm, const struct firewall_state *old, size_t i)
{
	const struct firewall_nic *was = &old->nics[i].was;

	/* added first, so that one that somebody else has deleted is no reason to fail */
	write_identity(out, "add", was, true);
	write_identity(out, "delete", was, true);
	for (size_t m = 0; m < FIREWALL_SPOOF_MAPS; m++)
		if (old->nics[i].maps[m])
			fprintf(out,
			        "delete element netdev cordon %s { \"%s\" }\n"
			        "flush chain netdev cordon vm_%s_%zu_%s\n"
			        "delete chain netdev cordon vm_%s_%zu_%s\n",
			        firewall_spoof_maps[m], was->tap, vm, i, firewall_spoof_maps[m], vm,
			        i, firewall_spoof_maps[m]);
}
