/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one NIC adds in `netdev cordon`: a base chain at ingress of its tap, ahead of everything else that
 * reads the frame, where the guest can only be itself. The policy has no say in it.
 *
 * The chain's own policy is drop; a frame passes only at the end of the chain of its protocol:
 *
 *   ARP   Ethernet/IPv4 requests and replies whose sender is the guest; an address probe (RFC 5227
 *         section 2.1.1, sender 0.0.0.0) only for the guest's own address.
 *   IPv4  the guest's own source, and 0.0.0.0 only for DHCP (RFC 2131 section 4.1). No options (source
 *         routing, RFC 7126), no DHCP server, no multicast, no broadcast but DHCP's. Fragments pass and
 *         are put together by conntrack before any rule looks at a port, except those that no honest
 *         sender makes: a first fragment under the 68 bytes that every network carries (RFC 791), and
 *         one that begins at byte 8, over the TCP flags (RFC 1858).
 *   IPv6  the guest's own /128, any fe80::/64 address, and :: for duplicate address detection. No
 *         routing header (RFC 5095), no extension header behind a fragment header (RFC 7112), no
 *         fragmented neighbour discovery (RFC 6980), no router advertisement, no redirect, no DHCPv6
 *         server. Neighbour messages speak of the guest's own addresses and of its own MAC only, in
 *         the first option, and carry at most that one.
 *
 * Anything else (VLAN tags, other EtherTypes) is dropped.
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
	rule(s, "_arp", "accept");
}

static void write_ip4(const struct spoof *s)
{
	const char *dhcp = "ip daddr 255.255.255.255 udp sport 68 udp dport 67 accept";

	rule(s, "_ip4", "ip version != 4 counter drop comment \"malformed ipv4\"");
	rule(s, "_ip4", "ip hdrlength != 5 counter drop comment \"ipv4 options\"");
	rule(s, "_ip4", "ip frag-off & 0x1fff == 1 counter drop comment \"tiny fragment\"");
	rule(s, "_ip4",
	     "ip frag-off & 0x3fff == 0x2000 ip length < 68 counter drop comment \"tiny "
	     "fragment\"");
	rule(s, "_ip4", "ip saddr 0.0.0.0 %s", dhcp);
	rule(s, "_ip4", "ip saddr != %s counter drop comment \"spoofed ipv4 source\"", s->ip4);
	rule(s, "_ip4", "%s", dhcp);
	rule(s, "_ip4", "udp sport 67 counter drop comment \"dhcp server\"");
	rule(s, "_ip4",
	     "ip daddr 224.0.0.0/3 counter drop comment \"ipv4 multicast or broadcast\"");
	rule(s, "_ip4", "accept");
}

/* :: as a source is for duplicate address detection of the guest's own addresses (RFC 4862 section 5.4). */
static void write_ip6(const struct spoof *s)
{
	const char *vm = s->plan->policy->vm.name;
	const char *probe =
	        "ip6 saddr :: ip6 hoplimit 255 ip6 length <= 32 icmpv6 type nd-neighbor-solicit";

	rule(s, "_ip6", "ip6 version != 6 counter drop comment \"malformed ipv6\"");
	rule(s, "_ip6", "exthdr rt exists counter drop comment \"ipv6 routing header\"");
	rule(s, "_ip6", "frag nexthdr 0 counter drop comment \"hidden ipv6 header\"");
	rule(s, "_ip6", "frag nexthdr 43 counter drop comment \"hidden ipv6 header\"");
	rule(s, "_ip6", "frag nexthdr 44 counter drop comment \"hidden ipv6 header\"");
	rule(s, "_ip6", "frag nexthdr 60 counter drop comment \"hidden ipv6 header\"");
	rule(s, "_ip6", "frag nexthdr 58 counter drop comment \"fragmented icmpv6\"");
	rule(s, "_ip6", "ip6 saddr %s goto vm_%s_%zu_ip6_own", s->ip6, vm, s->index);
	rule(s, "_ip6", "ip6 saddr fe80::/64 goto vm_%s_%zu_ip6_own", vm, s->index);
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
	rule(s, "_ip6_own", "ip6 daddr ff00::/8 counter drop comment \"ipv6 multicast\"");
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
