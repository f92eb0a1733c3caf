/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses by the registries of RFC 6890, ports by what ordinary programs use of IANA's registry.
 */
#include "monitor/address.h"

#include "base/base.h"
#include "bpf/events.h"
#include "bpf/packet.h"

bool address_is_many(const uint8_t address[16], uint8_t family)
{
	return family == FLOW_IPV6 ? address[0] == 0xff : address[0] >= 0xe0;
}

static bool address_is_public4(const uint8_t *a)
{
	return !(a[0] == 0 || a[0] == 10 || a[0] == 127 || (a[0] == 169 && a[1] == 254) ||
	         (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168) ||
	         (a[0] == 100 && (a[1] & 0xc0) == 64));
}

bool address_is_public(const uint8_t address[16], uint8_t family)
{
	if (family == FLOW_ARP || address_is_many(address, family))
		return false;
	if (family == FLOW_IPV4)
		return address_is_public4(address);
	/* all of 2000::/3 is; fc00::/7, fe80::/10 and ::1 are not in it */
	return (address[0] & 0xe0) == 0x20;
}

bool port_is_common(uint8_t proto, uint16_t port)
{
	static const uint16_t tcp[] = {
	        20,   21,   22,   23,   25,   53,   80,   88,   110,   135,   139,   143,
	        389,  443,  445,  464,  465,  554,  587,  631,  636,   853,   873,   989,
	        990,  993,  995,  1433, 1521, 1883, 2049, 3128, 3268,  3306,  3389,  5060,
	        5061, 5222, 5223, 5228, 5432, 5671, 5672, 5900, 5985,  5986,  6379,  8000,
	        8080, 8443, 8883, 9090, 9092, 9100, 9200, 9418, 10050, 10051, 11211, 27017};
	static const uint16_t udp[] = {53,  67,  68,   69,   123,  137,  138,  161,  162,  443,
	                               500, 514, 1194, 1900, 3478, 4500, 5060, 5353, 5355, 51820};
	const uint16_t *ports = proto == PACKET_PROTO_TCP ? tcp : udp;
	const size_t count = proto == PACKET_PROTO_TCP ? BASE_COUNT(tcp) : BASE_COUNT(udp);

	for (size_t i = 0; i < count; i++)
		if (ports[i] == port)
			return true;
	return false;
}
