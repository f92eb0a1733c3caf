/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See evasion.h: IPv6, its extension headers, and neighbour discovery. */
#include "base/base.h"
#include "tests/traffic/evasion_rows.h"

static const uint8_t other6[16] = {0xfd, 0x77, [6] = 0x77, [15] = 2}, zero6[16];
static const uint8_t local6[16] = {0xfe, 0x80, [15] = 0x22}, nodes6[16] = {0xff, 2, [15] = 1};
static const uint8_t routers6[16] = {0xff, 2, [15] = 2}, reports6[16] = {0xff, 2, [15] = 0x16};
static const uint8_t mdns6[16] = {0xff, 2, [15] = 0xfb}, loopback6[16] = {[15] = 1};
static const uint8_t mapped6[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, 77, 0, 2};

static size_t sent_from(const struct frame_net *n, struct frame *f, const uint8_t from[16],
                        const uint8_t to[16], unsigned int source, unsigned int dest)
{
	struct frame u = frame_sum6(frame_udp(source, dest, EVASION_BAD), from, to, 17);

	f[0] = frame_ip6(n, from, to, 17, 64, &u);
	return 1;
}

struct frame evasion_honest6(const struct frame_net *n, const char *text)
{
	struct frame u = frame_sum6(frame_udp(1000, 2000, text), n->own6, n->world6, 17);

	return frame_ip6(n, n->own6, n->world6, 17, 64, &u);
}

BAD(from_other)
{
	return sent_from(n, f, other6, n->world6, 1000, 2000);
}
BAD(from_gateway)
{
	return sent_from(n, f, n->gateway6, n->world6, 1000, 2000);
}
BAD(from_loopback)
{
	return sent_from(n, f, loopback6, n->world6, 1000, 2000);
}
BAD(from_mapped)
{
	return sent_from(n, f, mapped6, n->world6, 1000, 2000);
}
BAD(from_group)
{
	return sent_from(n, f, nodes6, n->world6, 1000, 2000);
}
BAD(from_none)
{
	return sent_from(n, f, zero6, n->world6, 1000, 2000);
}
BAD(from_world)
{
	return sent_from(n, f, n->world6, n->own6, 1000, 2000);
}
BAD(dhcp_server)
{
	return sent_from(n, f, n->own6, n->world6, 547, 546);
}
BAD(dhcp_server_local)
{
	return sent_from(n, f, local6, nodes6, 547, 546);
}
BAD(to_nodes)
{
	return sent_from(n, f, n->own6, nodes6, 1000, 2000);
}
BAD(to_group)
{
	return sent_from(n, f, n->own6, (uint8_t[16]){0xff, 5, [15] = 9}, 1000, 2000);
}
GOOD(to_allowed_group)
{
	sent_from(n, f, n->own6, mdns6, 5353, 5353);
	memcpy(f[0].bytes, (uint8_t[]){0x33, 0x33, 0, 0, 0, 0xfb}, 6);
	return 1;
}
BAD(multicast_frame)
{
	f[0] = evasion_honest6(n, EVASION_BAD);
	memcpy(f[0].bytes, (uint8_t[]){0x33, 0x33, 0, 0, 0, 1}, 6);
	return 1;
}
BAD(broadcast_frame)
{
	f[0] = evasion_honest6(n, EVASION_BAD);
	memset(f[0].bytes, 0xff, 6);
	return 1;
}
BAD(version6)
{
	f[0] = evasion_honest6(n, EVASION_BAD);
	f[0].bytes[14] = 0x45;
	return 1;
}
BAD(cut_header)
{
	f[0] = evasion_honest6(n, EVASION_BAD);
	f[0].size = 14 + 20;
	return 1;
}

/* ---- extension headers ---- */

/* The honest packet behind headers whose last names UDP. */
static size_t behind(const struct frame_net *n, struct frame *f, uint8_t first, const void *headers,
                     size_t size)
{
	struct frame payload = {.size = 0};
	struct frame u = frame_sum6(frame_udp(1000, 2000, EVASION_BAD), n->own6, n->world6, 17);

	frame_put(&payload, headers, size);
	frame_put(&payload, u.bytes, u.size);
	f[0] = frame_ip6(n, n->own6, n->world6, first, 64, &payload);
	return 1;
}
BAD(routing_0)
{
	return behind(n, f, 43, (uint8_t[]){17, 0, 0, 0, 0, 0, 0, 0}, 8);
}
BAD(routing_0_address)
{
	uint8_t header[24] = {17, 2, 0, 1};

	memcpy(header + 8, other6, 16);
	return behind(n, f, 43, header, sizeof(header));
}
BAD(routing_2)
{
	uint8_t header[24] = {17, 2, 2, 1};

	memcpy(header + 8, n->own6, 16);
	return behind(n, f, 43, header, sizeof(header));
}
BAD(routing_4)
{
	uint8_t header[24] = {17, 2, 4, 1};

	memcpy(header + 8, other6, 16);
	return behind(n, f, 43, header, sizeof(header));
}
GOOD(routing_allowed)
{
	struct frame payload = {.size = 0};
	struct frame u = frame_sum6(frame_udp(1000, 2000, EVASION_GOOD), n->own6, n->world6, 17);

	frame_put(&payload, (uint8_t[]){17, 0, 253, 0, 0, 0, 0, 0}, 8);
	frame_put(&payload, u.bytes, u.size);
	f[0] = frame_ip6(n, n->own6, n->world6, 43, 64, &payload);
	return 1;
}
BAD(hop_by_hop)
{
	return behind(n, f, 0, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8);
}
BAD(hop_router_alert)
{
	return behind(n, f, 0, (uint8_t[]){17, 0, 5, 2, 0, 0, 1, 0}, 8);
}
BAD(hop_jumbo)
{
	return behind(n, f, 0, (uint8_t[]){17, 0, 0xc2, 4, 0, 1, 0, 0}, 8);
}
BAD(destination)
{
	return behind(n, f, 60, (uint8_t[]){17, 0, 1, 4, 0, 0, 0, 0}, 8);
}
BAD(destination_twice)
{
	return behind(n, f, 60, (uint8_t[]){60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0}, 16);
}
BAD(routing_after_destination)
{
	return behind(n, f, 60, (uint8_t[]){43, 0, 1, 4, 0, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0, 0}, 16);
}

/* ---- fragments (RFC 8200 section 4.5) ---- */

static size_t hidden(const struct frame_net *n, struct frame *f, uint8_t next)
{
	uint8_t headers[16] = {next, 0, 0, 1, 0, 0, 0, 1, 17, 0, 1, 4};

	return behind(n, f, 44, headers, sizeof(headers));
}
BAD(hides_hop)
{
	return hidden(n, f, 0);
}
BAD(hides_routing)
{
	return hidden(n, f, 43);
}
BAD(hides_fragment)
{
	return hidden(n, f, 44);
}
BAD(hides_destination)
{
	return hidden(n, f, 60);
}
BAD(hides_icmp)
{
	return hidden(n, f, 58);
}
BAD(of_nothing)
{
	return behind(n, f, 44, (uint8_t[]){17, 0, 0, 0, 0, 0, 0, 1}, 8);
}
BAD(tiny_first)
{
	return behind(n, f, 44, (uint8_t[]){17, 0, 0, 1, 0, 0, 0, 1}, 8);
}
BAD(tiny_middle)
{
	return behind(n, f, 44, (uint8_t[]){17, 0, 0, 9, 0, 0, 0, 1}, 8);
}

/* A datagram of 1272 bytes in two parts: one of 1232, and what follows from byte `at`. */
static size_t in_two(const struct frame_net *n, struct frame *f, const char *text, size_t at)
{
	struct frame whole = frame_udp(1000, 2000, text), part = {.size = 0};
	uint8_t header[8] = {17, 0, (uint8_t)(at >> 8), (uint8_t)at, 0, 0, 0, 7};

	memcpy(whole.bytes + 4, (uint8_t[]){1272 >> 8, 1272 & 0xff}, 2);
	whole.size = 1272;
	whole = frame_sum6(whole, n->own6, n->world6, 17);
	frame_put(&part, (uint8_t[]){17, 0, 0, 1, 0, 0, 0, 7}, 8);
	frame_put(&part, whole.bytes, 1232);
	f[0] = frame_ip6(n, n->own6, n->world6, 44, 64, &part);
	part.size = 0;
	frame_put(&part, header, sizeof(header));
	frame_put(&part, whole.bytes + at, 1272 - at);
	f[1] = frame_ip6(n, n->own6, n->world6, 44, 64, &part);
	return 2;
}
BAD(overlapping)
{
	return in_two(n, f, EVASION_BAD, 1000);
}
GOOD(fragments)
{
	return in_two(n, f, EVASION_GOOD, 1232);
}

/* ---- neighbour discovery (RFC 4861) ---- */

GOOD(solicits)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 135, n->gateway6, 1, n->own_mac);
	return 1;
}
GOOD(advertises)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 136, n->own6, 2, n->own_mac);
	return 1;
}
BAD(solicits_as_other_card)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 135, n->gateway6, 1, evasion_other_mac);
	return 1;
}
BAD(solicits_with_target_option)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 135, n->gateway6, 2, n->own_mac);
	return 1;
}
BAD(solicits_as_gateway)
{
	f[0] = frame_nd(n, n->gateway6, n->own6, 135, n->own6, 1, n->own_mac);
	return 1;
}

static size_t two_options(const struct frame_net *n, struct frame *f, uint8_t type, uint8_t option)
{
	struct frame m = {.size = 0};

	frame_put(&m, (uint8_t[]){type, 0, 0, 0, 0, 0, 0, 0}, 8);
	frame_put(&m, n->own6, 16);
	for (int i = 0; i < 2; i++) {
		frame_put(&m, (uint8_t[]){option, 1}, 2);
		frame_put(&m, i ? evasion_other_mac : n->own_mac, 6);
	}
	m = frame_sum6(m, n->own6, n->gateway6, 58);
	f[0] = frame_ip6(n, n->own6, n->gateway6, 58, 255, &m);
	return 1;
}
BAD(solicits_twice)
{
	return two_options(n, f, 135, 1);
}
BAD(advertises_twice)
{
	return two_options(n, f, 136, 2);
}
BAD(advertises_other_card)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 136, n->own6, 2, evasion_other_mac);
	return 1;
}
BAD(advertises_gateway)
{
	f[0] = frame_nd(n, n->own6, n->gateway6, 136, n->gateway6, 2, n->own_mac);
	return 1;
}
BAD(advertises_other)
{
	f[0] = frame_nd(n, n->own6, nodes6, 136, other6, 2, n->own_mac);
	return 1;
}
BAD(advertises_bare)
{
	f[0] = frame_nd(n, local6, n->gateway6, 136, other6, 0, NULL);
	return 1;
}
BAD(advertises_router)
{
	f[0] = frame_nd(n, n->own6, nodes6, 134, zero6, 0, NULL);
	return 1;
}
BAD(advertises_router_local)
{
	f[0] = frame_nd(n, local6, nodes6, 134, zero6, 1, n->own_mac);
	return 1;
}
BAD(redirects)
{
	f[0] = frame_nd(n, local6, n->own6, 137, n->world6, 0, NULL);
	return 1;
}
BAD(probes_other)
{
	f[0] = frame_nd(n, zero6, (uint8_t[16]){0xff, 2, [11] = 1, [12] = 0xff, [15] = 2}, 135,
	                other6, 0, NULL);
	return 1;
}
GOOD(probes_own)
{
	uint8_t to[16] = {0xff, 2, [11] = 1, [12] = 0xff};

	memcpy(to + 13, n->own6 + 13, 3);
	f[0] = frame_nd(n, zero6, to, 135, n->own6, 0, NULL);
	memcpy(f[0].bytes, (uint8_t[]){0x33, 0x33, 0xff, to[13], to[14], to[15]}, 6);
	return 1;
}
BAD(probes_with_option)
{
	f[0] = frame_nd(n, zero6, (uint8_t[16]){0xff, 2, [11] = 1, [12] = 0xff, [15] = 2}, 135,
	                n->own6, 1, n->own_mac);
	return 1;
}
GOOD(asks_for_router)
{
	f[0] = frame_nd(n, local6, routers6, 133, NULL, 1, n->own_mac);
	return 1;
}
GOOD(asks_from_none)
{
	f[0] = frame_nd(n, zero6, routers6, 133, NULL, 0, NULL);
	return 1;
}
BAD(asks_as_other_card)
{
	f[0] = frame_nd(n, local6, routers6, 133, NULL, 1, evasion_other_mac);
	return 1;
}
BAD(asks_with_target_option)
{
	f[0] = frame_nd(n, local6, routers6, 133, NULL, 2, n->own_mac);
	return 1;
}
BAD(asks_twice)
{
	struct frame m = {.size = 0};

	frame_put(&m, (uint8_t[]){133, 0, 0, 0, 0, 0, 0, 0}, 8);
	for (int i = 0; i < 2; i++) {
		frame_put(&m, (uint8_t[]){1, 1}, 2);
		frame_put(&m, i ? evasion_other_mac : n->own_mac, 6);
	}
	m = frame_sum6(m, local6, routers6, 58);
	f[0] = frame_ip6(n, local6, routers6, 58, 255, &m);
	return 1;
}
BAD(asks_from_none_with_option)
{
	f[0] = frame_nd(n, zero6, routers6, 133, NULL, 1, n->own_mac);
	return 1;
}
BAD(asks_from_own)
{
	f[0] = frame_nd(n, n->own6, routers6, 133, NULL, 1, n->own_mac);
	return 1;
}
BAD(asks_as_other_host)
{
	f[0] = frame_nd(n, other6, routers6, 133, NULL, 1, n->own_mac);
	return 1;
}
BAD(reports)
{
	struct frame payload = {.size = 0};

	frame_put(&payload, (uint8_t[]){58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0}, 16);
	f[0] = frame_ip6(n, local6, reports6, 0, 1, &payload);
	return 1;
}

#define SIX  NULL, true, false
#define HOST true, true
static const struct evasion rows[] = {
        {"ipv6 source is another host", "spoofed ipv6 source", from_other, SIX},
        {"ipv6 source is the gateway", "spoofed ipv6 source", from_gateway, SIX},
        {"ipv6 source is loopback", "spoofed ipv6 source", from_loopback, SIX},
        {"ipv6 source is an IPv4 address", "spoofed ipv6 source", from_mapped, SIX},
        {"ipv6 source is a group", "spoofed ipv6 source", from_group, SIX},
        {"ipv6 source ::", "unspecified ipv6 source", from_none, SIX},
        {"ipv6 source is its own peer", "spoofed ipv6 source", from_world, SIX},
        {"dhcpv6 server", "dhcp server", dhcp_server, SIX},
        {"dhcpv6 server on the link", "dhcp server", dhcp_server_local, SIX},
        {"ipv6 all nodes", "ipv6 multicast", to_nodes, to_allowed_group, HOST},
        {"ipv6 group that no rule names", "ipv6 multicast", to_group, to_allowed_group, HOST},
        {"ipv6 unicast in a multicast frame", "unicast in a broadcast frame", multicast_frame, SIX},
        {"ipv6 unicast in a broadcast frame", "unicast in a broadcast frame", broadcast_frame, SIX},
        {"ipv6 version 4", "malformed ipv6", version6, SIX},
        {"ipv6 header cut short", "spoofed ipv6 source", cut_header, SIX},
        {"ipv6 routing header type 0", "ipv6 routing header", routing_0, routing_allowed, true,
         false},
        {"ipv6 routing header type 0 with an address", "ipv6 routing header", routing_0_address,
         routing_allowed, true, false},
        {"ipv6 routing header type 2", "ipv6 routing header", routing_2, routing_allowed, true,
         false},
        {"ipv6 segment routing header", "ipv6 routing header", routing_4, routing_allowed, true,
         false},
        {"ipv6 hop-by-hop padding", "ipv6 hop-by-hop options", hop_by_hop, SIX},
        {"ipv6 hop-by-hop router alert", "ipv6 hop-by-hop options", hop_router_alert, SIX},
        {"ipv6 hop-by-hop jumbo payload", "ipv6 hop-by-hop options", hop_jumbo, SIX},
        {"ipv6 destination options", "ipv6 destination options", destination, SIX},
        {"ipv6 destination options twice", "ipv6 destination options", destination_twice, SIX},
        {"ipv6 routing header behind options", "ipv6 destination options",
         routing_after_destination, SIX},
        {"ipv6 fragment hides hop-by-hop options", "hidden ipv6 header", hides_hop, fragments, true,
         false},
        {"ipv6 fragment hides a routing header", "hidden ipv6 header", hides_routing, fragments,
         true, false},
        {"ipv6 fragment in a fragment", "hidden ipv6 header", hides_fragment, fragments, true,
         false},
        {"ipv6 fragment hides destination options", "hidden ipv6 header", hides_destination,
         fragments, true, false},
        {"ipv6 fragment of ICMPv6", "fragmented icmpv6", hides_icmp, fragments, true, false},
        {"ipv6 fragment of nothing", "ipv6 fragment of nothing", of_nothing, fragments, true,
         false},
        {"ipv6 tiny first fragment", "tiny fragment", tiny_first, fragments, true, false},
        {"ipv6 tiny middle fragment", "tiny fragment", tiny_middle, fragments, true, false},
        {"ipv6 fragments that overlap", NULL, overlapping, fragments, true, false},
        {"nd solicitation from another card", "spoofed neighbour solicitation",
         solicits_as_other_card, solicits, HOST},
        {"nd solicitation with a wrong option", "spoofed neighbour solicitation",
         solicits_with_target_option, solicits, HOST},
        {"nd solicitation with two options", "spoofed neighbour solicitation", solicits_twice,
         solicits, HOST},
        {"nd solicitation as the gateway", "spoofed ipv6 source", solicits_as_gateway, solicits,
         HOST},
        {"router solicitation from another card", "spoofed router solicitation", asks_as_other_card,
         asks_for_router, HOST},
        {"router solicitation with a wrong option", "spoofed router solicitation",
         asks_with_target_option, asks_for_router, HOST},
        {"router solicitation with two options", "spoofed router solicitation", asks_twice,
         asks_for_router, HOST},
        {"router solicitation from :: with an option", "unspecified ipv6 source",
         asks_from_none_with_option, asks_from_none, HOST},
        {"router solicitation from no link-local address", "ipv6 multicast", asks_from_own,
         asks_for_router, HOST},
        {"router solicitation as another host", "spoofed ipv6 source", asks_as_other_host,
         asks_for_router, HOST},
        {"nd advertisement of another card", "spoofed neighbour advertisement",
         advertises_other_card, advertises, HOST},
        {"nd advertisement with two options", "spoofed neighbour advertisement", advertises_twice,
         advertises, HOST},
        {"nd advertisement of the gateway", "spoofed neighbour advertisement", advertises_gateway,
         advertises, HOST},
        {"nd advertisement of another host", "spoofed neighbour advertisement", advertises_other,
         advertises, HOST},
        {"nd advertisement without an option", "spoofed neighbour advertisement", advertises_bare,
         advertises, HOST},
        {"nd probe for another's address", "unspecified ipv6 source", probes_other, probes_own,
         HOST},
        {"nd probe with an option", "spoofed neighbour solicitation", probes_with_option,
         probes_own, HOST},
        {"router advertisement", "router advertisement", advertises_router, SIX},
        {"router advertisement from the link", "router advertisement", advertises_router_local,
         SIX},
        {"icmpv6 redirect", "icmpv6 redirect", redirects, SIX},
        {"multicast listener report", "ipv6 hop-by-hop options", reports, SIX},
};

const struct evasion *evasion_at6(size_t i)
{
	return &rows[i];
}

size_t evasion_count6(void)
{
	return BASE_COUNT(rows);
}
