/* SPDX-License-Identifier: GPL-2.0-or-later */
/* See evasion.h. Rows by layer: Ethernet and ARP here and IPv4; IPv6 and neighbours in evasion6.c. */
#include "tests/traffic/evasion_rows.h"

#include "base/base.h"

const uint8_t evasion_other_mac[6] = {2, 0, 0, 0, 0, 99};
static const uint8_t other4[4] = {10, 77, 200, 200}, zero4[4], broadcast4[4] = {255, 255, 255, 255};

struct frame evasion_honest4(const struct frame_net *n, const char *text)
{
	struct frame u = frame_udp(1000, 2000, text);

	return frame_ip4(n, n->own4, n->world4, 17, 0, &u);
}

/* A frame of that type with our mark in it, behind what a header of it would be. */
static size_t typed(const struct frame_net *n, struct frame *f, unsigned int type,
                    const void *header, size_t size)
{
	*f = frame_ethernet(n, type);
	frame_put(f, header, size);
	frame_put(f, EVASION_BAD, sizeof(EVASION_BAD));
	return 1;
}

/* ---- Ethernet ---- */

BAD(spoofed_mac)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	memcpy(f[0].bytes + 6, evasion_other_mac, 6);
	return 1;
}
BAD(group_mac)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	memset(f[0].bytes + 6, 0xff, 6);
	return 1;
}

/* The honest packet behind tags: type and number of each. */
static size_t tagged(const struct frame_net *n, struct frame *f, const uint8_t *tags, size_t size)
{
	struct frame honest = evasion_honest4(n, EVASION_BAD);

	f->size = 0;
	frame_put(f, honest.bytes, 12);
	frame_put(f, tags, size);
	frame_put(f, honest.bytes + 12, honest.size - 12);
	return 1;
}
BAD(vlan)
{
	return tagged(n, f, (uint8_t[]){0x81, 0, 0, 5}, 4);
}
BAD(priority_tag)
{
	return tagged(n, f, (uint8_t[]){0x81, 0, 0xe0, 0}, 4);
}
BAD(qinq)
{
	return tagged(n, f, (uint8_t[]){0x88, 0xa8, 0, 5}, 4);
}
BAD(double_tag)
{
	return tagged(n, f, (uint8_t[]){0x88, 0xa8, 0, 5, 0x81, 0, 0, 6}, 8);
}
BAD(old_qinq)
{
	return tagged(n, f, (uint8_t[]){0x91, 0, 0, 5}, 4);
}
BAD(llc)
{
	return typed(n, f, 40, (uint8_t[]){0xaa, 0xaa, 3, 0, 0, 0, 8, 0}, 8);
}
BAD(bpdu)
{
	typed(n, f, 38, (uint8_t[]){0x42, 0x42, 3, 0, 0, 0, 0}, 7);
	memcpy(f[0].bytes, (uint8_t[]){1, 0x80, 0xc2, 0, 0, 0}, 6);
	return 1;
}
BAD(lldp)
{
	return typed(n, f, 0x88cc, "", 0);
}
BAD(pppoe)
{
	return typed(n, f, 0x8863, (uint8_t[]){0x11, 9, 0, 0, 0, 4}, 6);
}
BAD(mpls)
{
	return typed(n, f, 0x8847, (uint8_t[]){0, 1, 1, 64}, 4);
}
BAD(eapol)
{
	return typed(n, f, 0x888e, (uint8_t[]){1, 1, 0, 0}, 4);
}
BAD(rarp)
{
	return typed(n, f, 0x8035, (uint8_t[]){0, 1, 8, 0, 6, 4, 0, 4}, 8);
}
BAD(broadcast_frame4)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	memset(f[0].bytes, 0xff, 6);
	return 1;
}
BAD(multicast_frame4)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	memcpy(f[0].bytes, (uint8_t[]){1, 0, 0x5e, 0, 0, 1}, 6);
	return 1;
}

/* ---- ARP ---- */

BAD(arp_mac)
{
	f[0] = frame_arp(n, 2, evasion_other_mac, n->own4, n->gateway4);
	return 1;
}
BAD(arp_reply_gateway)
{
	f[0] = frame_arp(n, 2, n->own_mac, n->gateway4, n->own4);
	return 1;
}
BAD(arp_request_other)
{
	f[0] = frame_arp(n, 1, n->own_mac, other4, n->gateway4);
	return 1;
}
BAD(arp_probe_other)
{
	f[0] = frame_arp(n, 1, n->own_mac, zero4, other4);
	return 1;
}
BAD(arp_probe_gateway)
{
	f[0] = frame_arp(n, 1, n->own_mac, zero4, n->gateway4);
	return 1;
}
GOOD(arp_probe_own)
{
	f[0] = frame_arp(n, 1, n->own_mac, zero4, n->own4);
	return 1;
}
BAD(arp_reply_zero)
{
	f[0] = frame_arp(n, 2, n->own_mac, zero4, n->own4);
	return 1;
}
BAD(arp_gratuitous_gateway)
{
	f[0] = frame_arp(n, 1, n->own_mac, n->gateway4, n->gateway4);
	memset(f[0].bytes, 0xff, 6);
	return 1;
}
GOOD(arp_gratuitous_own)
{
	f[0] = frame_arp(n, 1, n->own_mac, n->own4, n->own4);
	memset(f[0].bytes, 0xff, 6);
	return 1;
}
GOOD(arp_request_own)
{
	f[0] = frame_arp(n, 1, n->own_mac, n->own4, n->gateway4);
	return 1;
}

/* An honest request with one byte of its header changed. */
static size_t arp_changed(const struct frame_net *n, struct frame *f, size_t at, uint8_t value)
{
	f[0] = frame_arp(n, 1, n->own_mac, n->own4, n->gateway4);
	f[0].bytes[14 + at] = value;
	return 1;
}
BAD(arp_hardware)
{
	return arp_changed(n, f, 1, 6);
}
BAD(arp_protocol)
{
	return arp_changed(n, f, 2, 0x86);
}
BAD(arp_hardware_size)
{
	return arp_changed(n, f, 4, 8);
}
BAD(arp_protocol_size)
{
	return arp_changed(n, f, 5, 16);
}
BAD(arp_reverse)
{
	return arp_changed(n, f, 7, 3);
}
BAD(arp_inverse)
{
	return arp_changed(n, f, 7, 8);
}
BAD(arp_short)
{
	arp_changed(n, f, 7, 1);
	f[0].size = 14 + 12;
	return 1;
}

/* ---- IPv4 ---- */

static size_t sent_from(const struct frame_net *n, struct frame *f, const uint8_t from[4],
                        const uint8_t to[4], unsigned int source, unsigned int dest)
{
	struct frame u = frame_udp(source, dest, EVASION_BAD);

	f[0] = frame_ip4(n, from, to, 17, 0, &u);
	return 1;
}
BAD(from_other)
{
	return sent_from(n, f, other4, n->world4, 1000, 2000);
}
BAD(from_gateway)
{
	return sent_from(n, f, n->gateway4, n->world4, 1000, 2000);
}
BAD(from_zero)
{
	return sent_from(n, f, zero4, n->world4, 1000, 2000);
}
BAD(from_loopback)
{
	return sent_from(n, f, (uint8_t[]){127, 0, 0, 1}, n->world4, 1000, 2000);
}
BAD(from_broadcast)
{
	return sent_from(n, f, broadcast4, n->world4, 1000, 2000);
}
BAD(from_group)
{
	return sent_from(n, f, (uint8_t[]){224, 0, 0, 1}, n->world4, 1000, 2000);
}
BAD(from_world)
{
	return sent_from(n, f, n->world4, n->own4, 1000, 2000);
}
BAD(dhcp_server)
{
	return sent_from(n, f, n->own4, n->world4, 67, 68);
}
BAD(dhcp_server_broadcast)
{
	return sent_from(n, f, n->own4, broadcast4, 67, 68);
}
BAD(dhcp_from_other)
{
	return sent_from(n, f, other4, broadcast4, 68, 67);
}
BAD(dhcp_zero_unicast)
{
	return sent_from(n, f, zero4, n->gateway4, 68, 67);
}
GOOD(dhcp_client)
{
	sent_from(n, f, zero4, broadcast4, 68, 67);
	memset(f[0].bytes, 0xff, 6);
	return 1;
}
BAD(to_broadcast)
{
	return sent_from(n, f, n->own4, broadcast4, 1000, 2000);
}
BAD(to_all_hosts)
{
	return sent_from(n, f, n->own4, (uint8_t[]){224, 0, 0, 1}, 1000, 2000);
}
BAD(to_group)
{
	return sent_from(n, f, n->own4, (uint8_t[]){239, 1, 2, 3}, 5353, 5353);
}
GOOD(to_allowed_group)
{
	sent_from(n, f, n->own4, (uint8_t[]){224, 0, 0, 251}, 5353, 5353);
	memcpy(f[0].bytes, (uint8_t[]){1, 0, 0x5e, 0, 0, 251}, 6);
	return 1;
}
BAD(to_reserved)
{
	return sent_from(n, f, n->own4, (uint8_t[]){240, 0, 0, 1}, 1000, 2000);
}

/* The honest packet with options of 4 bytes a word (RFC 791 section 3.1). */
static size_t with_options(const struct frame_net *n, struct frame *f, const uint8_t *options,
                           size_t size)
{
	struct frame honest = evasion_honest4(n, EVASION_BAD);

	f->size = 0;
	frame_put(f, honest.bytes, 34);
	frame_put(f, options, size);
	frame_put(f, honest.bytes + 34, honest.size - 34);
	f->bytes[14] = (uint8_t)(0x45 + size / 4);
	f->bytes[17] = (uint8_t)(f->bytes[17] + size);
	frame_ip4_sum(f);
	return 1;
}
BAD(record_route)
{
	return with_options(n, f, (uint8_t[]){7, 7, 4, 0, 0, 0, 0, 0}, 8);
}
BAD(loose_route)
{
	return with_options(n, f, (uint8_t[]){131, 7, 4, 192, 0, 2, 77, 0}, 8);
}
BAD(strict_route)
{
	return with_options(n, f, (uint8_t[]){137, 7, 4, 192, 0, 2, 77, 0}, 8);
}
BAD(timestamp)
{
	return with_options(n, f, (uint8_t[]){68, 8, 5, 0, 0, 0, 0, 0}, 8);
}
BAD(router_alert)
{
	return with_options(n, f, (uint8_t[]){148, 4, 0, 0}, 4);
}
BAD(no_operation)
{
	return with_options(n, f, (uint8_t[]){1, 1, 1, 0}, 4);
}
BAD(version4)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	f[0].bytes[14] = 0x65;
	return 1;
}
BAD(short_length4)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	f[0].bytes[14] = 0x44;
	return 1;
}
BAD(cut_header4)
{
	f[0] = evasion_honest4(n, EVASION_BAD);
	f[0].size = 14 + 14;
	return 1;
}
BAD(reserved_flag)
{
	struct frame u = frame_udp(1000, 2000, EVASION_BAD);

	f[0] = frame_ip4(n, n->own4, n->world4, 17, 0x8000, &u);
	return 1;
}
BAD(tiny_first4)
{
	struct frame u = frame_udp(1000, 2000, EVASION_BAD);

	f[0] = frame_ip4(n, n->own4, n->world4, 17, 0x2000, &u);
	return 1;
}
BAD(tiny_tcp4)
{
	struct frame s = frame_syn(1000, 2000, EVASION_BAD);

	s.size = 8; /* the ports, and not the flags: RFC 1858 */
	f[0] = frame_ip4(n, n->own4, n->world4, 6, 0x2000, &s);
	return 1;
}
BAD(over_flags4)
{
	struct frame s = frame_syn(1000, 2000, EVASION_BAD);

	f[0] = frame_ip4(n, n->own4, n->world4, 6, 0x0001, &s);
	return 1;
}
BAD(fragment_from_other)
{
	struct frame u = frame_udp(1000, 2000, EVASION_BAD);

	f[0] = frame_ip4(n, other4, n->world4, 17, 0x0004, &u);
	return 1;
}

/* A datagram of 80 bytes in two parts, the second from byte `at`. */
static size_t in_two4(const struct frame_net *n, struct frame *f, const char *text, size_t at)
{
	struct frame whole = frame_udp(1000, 2000, text), part = {.size = 0};

	whole.bytes[5] = 80;
	whole.size = 80;
	frame_put(&part, whole.bytes, 64);
	f[0] = frame_ip4(n, n->own4, n->world4, 17, 0x2000, &part);
	part.size = 0;
	frame_put(&part, whole.bytes + at, 80 - at);
	f[1] = frame_ip4(n, n->own4, n->world4, 17, (unsigned int)at / 8, &part);
	return 2;
}
BAD(overlapping4)
{
	return in_two4(n, f, EVASION_BAD, 40);
}
GOOD(fragments4)
{
	return in_two4(n, f, EVASION_GOOD, 64);
}

static const struct evasion rows4[] = {
        {"ethernet source is another card", "spoofed mac", spoofed_mac, NULL, false, false},
        {"ethernet source is a group", "spoofed mac", group_mac, NULL, false, false},
        {"vlan tag", "vlan tag", vlan, NULL, false, false},
        {"vlan priority tag", "vlan tag", priority_tag, NULL, false, false},
        {"vlan QinQ", "vlan tag", qinq, NULL, false, false},
        {"vlan two tags", "vlan tag", double_tag, NULL, false, false},
        {"vlan old QinQ type", "other ethertype", old_qinq, NULL, false, false},
        {"802.3 with LLC and SNAP", "802.3 frame", llc, NULL, false, false},
        {"802.3 spanning tree", "802.3 frame", bpdu, NULL, false, false},
        {"ethertype LLDP", "other ethertype", lldp, NULL, false, false},
        {"ethertype PPPoE", "other ethertype", pppoe, NULL, false, false},
        {"ethertype MPLS", "other ethertype", mpls, NULL, false, false},
        {"ethertype EAPOL", "other ethertype", eapol, NULL, false, false},
        {"ethertype RARP", "other ethertype", rarp, NULL, false, false},
        {"ipv4 unicast in a broadcast frame", "unicast in a broadcast frame", broadcast_frame4,
         NULL, false, false},
        {"ipv4 unicast in a multicast frame", "unicast in a broadcast frame", multicast_frame4,
         NULL, false, false},
        {"arp sender is another card", "spoofed arp mac", arp_mac, arp_request_own, false, true},
        {"arp reply for the gateway", "spoofed arp ip", arp_reply_gateway, arp_request_own, false,
         true},
        {"arp request from another host", "spoofed arp ip", arp_request_other, arp_request_own,
         false, true},
        {"arp probe for another host", "spoofed arp ip", arp_probe_other, arp_probe_own, false,
         true},
        {"arp probe for the gateway", "spoofed arp ip", arp_probe_gateway, arp_probe_own, false,
         true},
        {"arp reply from 0.0.0.0", "spoofed arp ip", arp_reply_zero, arp_probe_own, false, true},
        {"arp gratuitous for the gateway", "spoofed arp ip", arp_gratuitous_gateway,
         arp_gratuitous_own, false, true},
        {"arp of another hardware", "malformed arp", arp_hardware, arp_request_own, false, true},
        {"arp of another protocol", "malformed arp", arp_protocol, arp_request_own, false, true},
        {"arp hardware address size", "malformed arp", arp_hardware_size, arp_request_own, false,
         true},
        {"arp protocol address size", "malformed arp", arp_protocol_size, arp_request_own, false,
         true},
        {"arp reverse request", "malformed arp", arp_reverse, arp_request_own, false, true},
        {"arp inverse request", "malformed arp", arp_inverse, arp_request_own, false, true},
        {"arp cut short", "malformed arp", arp_short, arp_request_own, false, true},
        {"ipv4 source is another host", "spoofed ipv4 source", from_other, NULL, false, false},
        {"ipv4 source is the gateway", "spoofed ipv4 source", from_gateway, NULL, false, false},
        {"ipv4 source 0.0.0.0", "spoofed ipv4 source", from_zero, NULL, false, false},
        {"ipv4 source is loopback", "spoofed ipv4 source", from_loopback, NULL, false, false},
        {"ipv4 source is broadcast", "spoofed ipv4 source", from_broadcast, NULL, false, false},
        {"ipv4 source is a group", "spoofed ipv4 source", from_group, NULL, false, false},
        {"ipv4 source is its own peer", "spoofed ipv4 source", from_world, NULL, false, false},
        {"dhcp server", "dhcp server", dhcp_server, dhcp_client, false, true},
        {"dhcp server, broadcast", "dhcp server", dhcp_server_broadcast, dhcp_client, false, true},
        {"dhcp client of another address", "spoofed ipv4 source", dhcp_from_other, dhcp_client,
         false, true},
        {"dhcp client of none, unicast", "spoofed ipv4 source", dhcp_zero_unicast, dhcp_client,
         false, true},
        {"ipv4 broadcast", "ipv4 multicast or broadcast", to_broadcast, NULL, false, false},
        {"ipv4 all hosts", "ipv4 multicast or broadcast", to_all_hosts, to_allowed_group, false,
         true},
        {"ipv4 group that no rule names", "ipv4 multicast or broadcast", to_group, to_allowed_group,
         false, true},
        {"ipv4 reserved destination", "ipv4 multicast or broadcast", to_reserved, NULL, false,
         false},
        {"ipv4 option record route", "ipv4 options", record_route, NULL, false, false},
        {"ipv4 option loose source route", "ipv4 options", loose_route, NULL, false, false},
        {"ipv4 option strict source route", "ipv4 options", strict_route, NULL, false, false},
        {"ipv4 option timestamp", "ipv4 options", timestamp, NULL, false, false},
        {"ipv4 option router alert", "ipv4 options", router_alert, NULL, false, false},
        {"ipv4 option no operation", "ipv4 options", no_operation, NULL, false, false},
        {"ipv4 version 6", "malformed ipv4", version4, NULL, false, false},
        {"ipv4 header of 16 bytes", "ipv4 options", short_length4, NULL, false, false},
        {"ipv4 header cut short", "malformed ipv4", cut_header4, NULL, false, false},
        {"ipv4 reserved flag", "malformed ipv4", reserved_flag, NULL, false, false},
        {"ipv4 tiny first fragment", "tiny fragment", tiny_first4, fragments4, false, false},
        {"ipv4 first fragment without TCP's flags", "tiny fragment", tiny_tcp4, fragments4, false,
         false},
        {"ipv4 fragment over TCP's flags", "tiny fragment", over_flags4, fragments4, false, false},
        {"ipv4 fragment from another host", "spoofed ipv4 source", fragment_from_other, fragments4,
         false, false},
        {"ipv4 fragments that overlap", NULL, overlapping4, fragments4, false, false},
};

const struct evasion *evasion_at(size_t i)
{
	return i < BASE_COUNT(rows4) ? &rows4[i] : evasion_at6(i - BASE_COUNT(rows4));
}

size_t evasion_count(void)
{
	return BASE_COUNT(rows4) + evasion_count6();
}

size_t evasion_good(const struct evasion *e, const struct frame_net *n, struct frame *f)
{
	if (e->good)
		return e->good(n, f);
	f[0] = e->six ? evasion_honest6(n, EVASION_GOOD) : evasion_honest4(n, EVASION_GOOD);
	return 1;
}
