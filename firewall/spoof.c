/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one NIC adds in `netdev cordon`: a base chain at ingress of its tap, ahead of everything else that
 * reads the frame, where the guest can only be itself. The policy has no say in it.
 *
 * The chain's own policy is drop; a frame passes only at the end of the chain of its protocol, by a match
 * that says what it is: a header that is cut short matches nothing, and is dropped.
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
 *         its own MAC only, in the first option, and carry at most that one.
 *
 * Multicast and broadcast pass to the groups that an egress rule allows by an address of their own. On a
 * bridge, router solicitations and multicast listener reports (RFC 3810 section 5) pass too: without
 * them the guest would have neither a router nor, behind a switch that snoops, neighbours.
 *
 * Anything else (VLAN tags, 802.3 with LLC, other EtherTypes) is dropped.
 */
#include <arpa/inet.h>
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

const char *const firewall_spoof_chains[] = {"arp", "ip4", "ip6", "ip6_own"};
const size_t firewall_spoof_chain_count = BASE_COUNT(firewall_spoof_chains);

struct spoof {
	const struct firewall_plan *plan;
	size_t index;
	char mac[18], mac_number[15];
	char ip4[INET_ADDRSTRLEN], ip6[INET6_ADDRSTRLEN], ip6_number[35];
};

static void BASE_PRINTF(3, 4) rule(const struct spoof *s, const char *suffix, const char *tail, ...)
{
	va_list arguments;

	fprintf(s->plan->out, "add rule netdev cordon vm_%s_%zu%s ", s->plan->policy->vm.name,
	        s->index, suffix);
	va_start(arguments, tail);
	vfprintf(s->plan->out, tail, arguments);
	va_end(arguments);
	fputc('\n', s->plan->out);
}

static void declare(const struct spoof *s)
{
	const char *vm = s->plan->policy->vm.name;

	fprintf(s->plan->out,
	        "add chain netdev cordon vm_%s_%zu { type filter hook ingress device \"%s\" "
	        "priority -500 ; "
	        "policy drop ; }\nflush chain netdev cordon vm_%s_%zu\n",
	        vm, s->index, s->plan->nics[s->index].tap, vm, s->index);
	for (size_t i = 0; i < firewall_spoof_chain_count; i++)
		fprintf(s->plan->out,
		        "add chain netdev cordon vm_%s_%zu_%s\nflush chain netdev cordon "
		        "vm_%s_%zu_%s\n",
		        vm, s->index, firewall_spoof_chains[i], vm, s->index,
		        firewall_spoof_chains[i]);
}

static void write_entry(const struct spoof *s, bool has4, bool has6)
{
	const char *vm = s->plan->policy->vm.name;

	rule(s, "", "ether saddr != %s counter drop comment \"spoofed mac\"", s->mac);
	if (has4) {
		rule(s, "", "ether type ip goto vm_%s_%zu_ip4", vm, s->index);
		rule(s, "", "ether type arp goto vm_%s_%zu_arp", vm, s->index);
	}
	if (has6)
		rule(s, "", "ether type ip6 goto vm_%s_%zu_ip6", vm, s->index);
	else
		rule(s, "", "ether type ip6 counter drop comment \"ipv6 without an address\"");
	rule(s, "", "ether type 8021q counter drop comment \"vlan tag\"");
	rule(s, "", "ether type 8021ad counter drop comment \"vlan tag\"");
	rule(s, "", "ether type < 0x0600 counter drop comment \"802.3 frame\"");
	rule(s, "", "counter drop comment \"other ethertype\"");
}

static void write_arp(const struct spoof *s)
{
	rule(s, "_arp", "arp htype != 1 counter drop comment \"malformed arp\"");
	rule(s, "_arp", "arp ptype != ip counter drop comment \"malformed arp\"");
	rule(s, "_arp", "arp hlen != 6 counter drop comment \"malformed arp\"");
	rule(s, "_arp", "arp plen != 4 counter drop comment \"malformed arp\"");
	rule(s, "_arp", "arp operation > 2 counter drop comment \"malformed arp\"");
	rule(s, "_arp", "arp saddr ether != %s counter drop comment \"spoofed arp mac\"", s->mac);
	rule(s, "_arp", "arp saddr ip 0.0.0.0 arp daddr ip %s arp operation request accept",
	     s->ip4);
	rule(s, "_arp", "arp saddr ip != %s counter drop comment \"spoofed arp ip\"", s->ip4);
	rule(s, "_arp", "arp saddr ip %s arp saddr ether %s accept", s->ip4, s->mac);
	rule(s, "_arp", "counter drop comment \"malformed arp\"");
}

/* Groups that the list names: networks that are multicast or broadcast as a whole. */
static void write_groups(const struct spoof *s, struct policy_span cidrs, int family)
{
	const struct policy *policy = s->plan->policy;
	char text[INET6_ADDRSTRLEN + 4];

	for (size_t i = 0; i < cidrs.count; i++) {
		const struct policy_cidr *cidr = &policy->cidrs[cidrs.first + i];
		bool group = cidr->family == 4 ? cidr->addr[0] >= 224 && cidr->prefix >= 3
		                               : cidr->addr[0] == 0xff && cidr->prefix >= 8;

		if (cidr->family != family || !group)
			continue;
		firewall_text_address(text, sizeof(text), cidr);
		if (family == 4)
			rule(s, "_ip4", "ip daddr %s ip saddr %s accept", text, s->ip4);
		else
			rule(s, "_ip6_own", "ip6 daddr %s accept", text);
	}
}

static void write_allowed_groups(const struct spoof *s, int family)
{
	const struct policy *policy = s->plan->policy;
	const struct policy_firewall *firewall = &policy->firewall;

	for (size_t i = 0; i < firewall->egress_count; i++) {
		const struct policy_rule *egress = &firewall->egress[i];

		if (egress->action != POLICY_ALLOW)
			continue;
		write_groups(s, egress->cidrs, family);
		for (size_t k = 0; k < egress->peers.count; k++) {
			const struct policy_peer *peer = &policy->peers[egress->peers.first + k];
			const struct policy_set *set = policy_set_find(policy, peer->name);

			if (peer->kind == POLICY_PEER_SET && set)
				write_groups(s, set->cidrs, family);
		}
	}
}

static void write_ip4(const struct spoof *s)
{
	static const char *const casts[] = {"broadcast", "multicast"};
	const char *dhcp = "ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept";

	rule(s, "_ip4", "ip version != 4 counter drop comment \"malformed ipv4\"");
	rule(s, "_ip4", "ip hdrlength != 5 counter drop comment \"ipv4 options\"");
	rule(s, "_ip4", "ip frag-off & 0x8000 != 0 counter drop comment \"malformed ipv4\"");
	rule(s, "_ip4", "ip frag-off & 0x1fff == 1 counter drop comment \"tiny fragment\"");
	rule(s, "_ip4",
	     "ip frag-off & 0x3fff == 0x2000 ip length < 68 counter drop comment \"tiny "
	     "fragment\"");
	rule(s, "_ip4", "ip saddr 0.0.0.0 %s", dhcp);
	rule(s, "_ip4", "ip saddr != %s counter drop comment \"spoofed ipv4 source\"", s->ip4);
	rule(s, "_ip4", "%s", dhcp);
	rule(s, "_ip4", "udp sport 67 counter drop comment \"dhcp server\"");
	for (size_t i = 0; i < BASE_COUNT(casts); i++)
		rule(s, "_ip4",
		     "meta pkttype %s ip daddr < 224.0.0.0 counter drop comment \"unicast in a "
		     "broadcast frame\"",
		     casts[i]);
	write_allowed_groups(s, 4);
	rule(s, "_ip4",
	     "ip daddr 224.0.0.0/3 counter drop comment \"ipv4 multicast or broadcast\"");
	rule(s, "_ip4", "ip saddr %s accept", s->ip4);
	rule(s, "_ip4", "counter drop comment \"malformed ipv4\"");
}

/* What a switch that snoops has to hear: reports in a packet with a router alert, from a local address. */
static void write_bridged(const struct spoof *s)
{
	static const char *const sources[] = {"fe80::/64", "::"};

	for (size_t i = 0; i < BASE_COUNT(sources); i++) {
		rule(s, "_ip6",
		     "ip6 saddr %s ip6 daddr ff02::16 ip6 hoplimit 1 ip6 nexthdr 0 hbh nexthdr 58 "
		     "icmpv6 type mld2-listener-report accept",
		     sources[i]);
		rule(s, "_ip6",
		     "ip6 saddr %s ip6 daddr ff02::2 ip6 hoplimit 255 ip6 nexthdr 58 ip6 length <= "
		     "16 icmpv6 type nd-router-solicit accept",
		     sources[i]);
	}
}

static void write_routing(const struct spoof *s)
{
	const uint8_t *allowed = s->plan->policy->firewall.routing_headers;

	fprintf(s->plan->out, "add rule netdev cordon vm_%s_%zu_ip6 exthdr rt exists ",
	        s->plan->policy->vm.name, s->index);
	for (unsigned int type = 1; type < 256; type++)
		if (allowed[type / 8] & 1u << type % 8)
			fprintf(s->plan->out, "rt type != %u ", type);
	fputs("counter drop comment \"ipv6 routing header\"\n", s->plan->out);
}

static void write_extensions(const struct spoof *s)
{
	static const struct {
		uint8_t next;
		const char *what;
	} behind[] = {{0, "hidden ipv6 header"},
	              {43, "hidden ipv6 header"},
	              {44, "hidden ipv6 header"},
	              {60, "hidden ipv6 header"},
	              {58, "fragmented icmpv6"}};

	for (size_t i = 0; i < BASE_COUNT(behind); i++)
		rule(s, "_ip6", "frag nexthdr %u counter drop comment \"%s\"", behind[i].next,
		     behind[i].what);
	rule(s, "_ip6", "exthdr hbh exists counter drop comment \"ipv6 hop-by-hop options\"");
	rule(s, "_ip6", "exthdr dst exists counter drop comment \"ipv6 destination options\"");
	write_routing(s);
	rule(s, "_ip6",
	     "frag frag-off 0 frag more-fragments 0 counter drop comment \"ipv6 fragment of "
	     "nothing\"");
	/* 1280 less the header, rounded down as fragments are: RFC 8200 section 4.5 */
	rule(s, "_ip6",
	     "frag more-fragments 1 ip6 length < 1233 counter drop comment \"tiny fragment\"");
}

/* :: as a source is for duplicate address detection of the guest's own addresses (RFC 4862 section 5.4). */
static void write_ip6(const struct spoof *s)
{
	const char *vm = s->plan->policy->vm.name;
	const char *probe =
	        "ip6 saddr :: ip6 hoplimit 255 ip6 length <= 32 icmpv6 type nd-neighbor-solicit";

	rule(s, "_ip6", "ip6 version != 6 counter drop comment \"malformed ipv6\"");
	if (s->plan->nics[s->index].mode == POLICY_NIC_BRIDGE || s->plan->nics[s->index].foreign)
		write_bridged(s);
	write_extensions(s);
	rule(s, "_ip6", "ip6 saddr %s goto vm_%s_%zu_ip6_own", s->ip6, vm, s->index);
	rule(s, "_ip6", "ip6 saddr fe80::/64 goto vm_%s_%zu_ip6_own", vm, s->index);
	rule(s, "_ip6",
	     "%s ip6 length > 24 @th,192,16 0x0101 counter drop comment \"spoofed neighbour "
	     "solicitation\"",
	     probe);
	rule(s, "_ip6", "%s @th,64,128 %s accept", probe, s->ip6_number);
	rule(s, "_ip6", "%s @th,64,64 0xfe80000000000000 accept", probe);
	rule(s, "_ip6", "ip6 saddr :: counter drop comment \"unspecified ipv6 source\"");
	rule(s, "_ip6", "counter drop comment \"spoofed ipv6 source\"");
}

static void write_neighbours(const struct spoof *s)
{
	static const struct {
		const char *type, *option, *comment;
	} kinds[] = {{"nd-neighbor-solicit", "0x0101", "spoofed neighbour solicitation"},
	             {"nd-neighbor-advert", "0x0201", "spoofed neighbour advertisement"}};

	for (size_t i = 0; i < BASE_COUNT(kinds); i++) {
		const char *type = kinds[i].type, *option = kinds[i].option,
		           *comment = kinds[i].comment;

		/* 24 bytes are the message alone, 32 with one option of 8 (RFC 4861 section 4.3, 4.4) */
		rule(s, "_ip6_own", "icmpv6 type %s ip6 length > 32 counter drop comment \"%s\"",
		     type, comment);
		rule(s, "_ip6_own", "icmpv6 type %s ip6 nexthdr != 58 counter drop comment \"%s\"",
		     type, comment);
		rule(s, "_ip6_own",
		     "icmpv6 type %s ip6 length > 24 @th,192,16 != %s counter drop comment \"%s\"",
		     type, option, comment);
		rule(s, "_ip6_own",
		     "icmpv6 type %s ip6 length > 24 @th,208,48 != %s counter drop comment \"%s\"",
		     type, s->mac_number, comment);
	}
	rule(s, "_ip6_own", "icmpv6 type nd-neighbor-advert @th,64,128 %s accept", s->ip6_number);
	rule(s, "_ip6_own", "icmpv6 type nd-neighbor-advert @th,64,64 0xfe80000000000000 accept");
	rule(s, "_ip6_own",
	     "icmpv6 type nd-neighbor-advert counter drop comment \"spoofed neighbour "
	     "advertisement\"");
}

static void write_ip6_own(const struct spoof *s)
{
	rule(s, "_ip6_own",
	     "icmpv6 type nd-router-advert counter drop comment \"router advertisement\"");
	rule(s, "_ip6_own", "icmpv6 type nd-redirect counter drop comment \"icmpv6 redirect\"");
	write_neighbours(s);
	rule(s, "_ip6_own", "udp sport 547 counter drop comment \"dhcp server\"");
	rule(s, "_ip6_own", "ip6 daddr ff02::1:ff00:0/104 icmpv6 type nd-neighbor-solicit accept");
	rule(s, "_ip6_own", "ip6 daddr ff02::1:2 udp sport 546 udp dport 547 accept");
	write_allowed_groups(s, 6);
	rule(s, "_ip6_own", "ip6 daddr ff00::/8 counter drop comment \"ipv6 multicast\"");
	rule(s, "_ip6_own",
	     "meta pkttype broadcast counter drop comment \"unicast in a broadcast frame\"");
	rule(s, "_ip6_own",
	     "meta pkttype multicast counter drop comment \"unicast in a broadcast frame\"");
	rule(s, "_ip6_own", "accept");
}

void firewall_text_spoof(const struct firewall_plan *plan, size_t i)
{
	static const uint8_t none[16];
	const struct firewall_nic *nic = &plan->nics[i];
	const uint8_t *m = nic->mac;
	struct spoof s = {.plan = plan, .index = i};
	size_t at = 2;

	snprintf(s.mac, sizeof(s.mac), "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3],
	         m[4], m[5]);
	snprintf(s.mac_number, sizeof(s.mac_number), "0x%02x%02x%02x%02x%02x%02x", m[0], m[1], m[2],
	         m[3], m[4], m[5]);
	inet_ntop(AF_INET, nic->ip4, s.ip4, sizeof(s.ip4));
	inet_ntop(AF_INET6, nic->ip6, s.ip6, sizeof(s.ip6));
	snprintf(s.ip6_number, sizeof(s.ip6_number), "0x");
	for (size_t k = 0; k < sizeof(nic->ip6); k++, at += 2)
		snprintf(s.ip6_number + at, sizeof(s.ip6_number) - at, "%02x", nic->ip6[k]);
	declare(&s);
	write_entry(&s, memcmp(nic->ip4, none, sizeof(nic->ip4)) != 0,
	            memcmp(nic->ip6, none, sizeof(nic->ip6)) != 0);
	write_arp(&s);
	write_ip4(&s);
	write_ip6(&s);
	write_ip6_own(&s);
}
