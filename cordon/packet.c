/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as a person writes it:
 *
 *   PROTOCOL FROM > TO [type N]
 *
 * with an address and, where the protocol has ports, :PORT behind it; IPv6 addresses in brackets when a port
 * follows. `guest` is the guest's own address; a host name is one of the world's, of which the guest knows it. A port of the sender that is left out is some high one.
 */
#include "cordon/packet.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/base.h"

enum { PACKET_PORT_ANY = 49152, PACKET_WORDS = 6, PACKET_ECHO4 = 8, PACKET_ECHO6 = 128 };

struct packet_end {
	bool guest, has_port;
	uint8_t family; /* 0: the guest's */
	uint8_t address[16];
	uint16_t port;
	char name[POLICY_DNS_NAME_MAX]; /* or "" */
};

static bool packet_number(const char *text, unsigned long max, unsigned long *value)
{
	char *end;

	errno = 0;
	*value = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *value <= max;
}

static bool packet_protocol(const char *word, struct firewall_packet *packet)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} names[] = {{"tcp", IPPROTO_TCP},   {"udp", IPPROTO_UDP},     {"sctp", IPPROTO_SCTP},
	             {"icmp", IPPROTO_ICMP}, {"icmpv4", IPPROTO_ICMP}, {"icmpv6", IPPROTO_ICMPV6},
	             {"gre", IPPROTO_GRE},   {"esp", IPPROTO_ESP}};
	unsigned long number;

	for (size_t i = 0; i < BASE_COUNT(names); i++)
		if (strcmp(names[i].name, word) == 0) {
			packet->protocol = names[i].protocol;
			return true;
		}
	if (!packet_number(word, 255, &number))
		return false;
	packet->protocol = (uint8_t)number;
	return true;
}

static bool packet_address(const char *text, struct packet_end *end)
{
	static const uint8_t some[4] = {203, 0, 113, 254}; /* nobody's (RFC 5737) */

	end->guest = strcmp(text, "guest") == 0;
	end->family = inet_pton(AF_INET, text, end->address) == 1    ? 4
	              : inet_pton(AF_INET6, text, end->address) == 1 ? 6
	                                                             : 0;
	if (!end->guest && !end->family && policy_value_dns_name(text, end->name) == 0) {
		end->family = 4;
		memcpy(end->address, some, sizeof(some));
	}
	return end->guest || end->family;
}

/* "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT" */
static bool packet_read_end(const char *word, struct packet_end *end)
{
	char text[POLICY_DNS_NAME_MAX + 16], *port = NULL;
	unsigned long number = 0;
	bool bracket = word[0] == '[';

	*end = (struct packet_end){0};
	if (base_copy_string(text, sizeof(text), word + bracket))
		return false;
	if (bracket) {
		port = strchr(text, ']');
		if (!port || (port[1] && port[1] != ':'))
			return false;
		*port++ = '\0';
		port = *port ? port : NULL;
	} else if (strchr(text, ':') == strrchr(text, ':')) {
		port = strchr(text, ':');
	}
	if (port) {
		*port++ = '\0';
		if (!packet_number(port, 65535, &number) || number == 0)
			return false;
		end->has_port = true;
		end->port = (uint16_t)number;
	}
	return packet_address(text, end) && (!bracket || end->family == 6);
}

static bool packet_ported(uint8_t protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_SCTP;
}

static int packet_refuse(struct host_error *error, const char *text, const char *why)
{
	return host_fail(
	        error, -EINVAL, 125,
	        "packet '%.100s': %s; it is written as 'tcp 10.77.0.2:4444 > 1.2.3.4:443' or "
	        "'icmp guest > 2001:db8::1 type 128'",
	        text, why);
}

/* The two ends are of one family, which the one that is no `guest` says; where both are, IPv4. */
static int packet_join(const struct firewall_nic *nic, struct packet_end *from,
                       struct packet_end *to, struct firewall_packet *packet)
{
	struct packet_end *ends[] = {from, to};

	packet->family = from->family ? from->family : to->family ? to->family : 4;
	for (size_t i = 0; i < 2; i++) {
		if (ends[i]->guest)
			memcpy(ends[i]->address, packet->family == 4 ? nic->ip4 : nic->ip6,
			       packet->family == 4 ? 4 : 16);
		else if (ends[i]->family != packet->family)
			return -EINVAL;
	}
	memcpy(packet->from, from->address, sizeof(packet->from));
	memcpy(packet->to, to->address, sizeof(packet->to));
	memcpy(packet->name, to->name[0] ? to->name : from->name, sizeof(packet->name));
	return 0;
}

static int packet_rest(const char *text, char **words, size_t count, struct packet_end *from,
                       struct packet_end *to, struct firewall_packet *packet,
                       struct host_error *error)
{
	bool typed = packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6;
	unsigned long type;

	/* `icmp` is of both families, as in a policy */
	if (typed)
		packet->protocol = packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	if (packet_ported(packet->protocol) != to->has_port || (from->has_port && !to->has_port))
		return packet_refuse(error, text,
		                     to->has_port ? "that protocol has no ports"
		                                  : "its destination has no port");
	packet->sport = from->has_port ? from->port : PACKET_PORT_ANY;
	packet->dport = to->port;
	packet->type = packet->family == 4 ? PACKET_ECHO4 : PACKET_ECHO6;
	if (count == 4)
		return 0;
	if (count != 6 || strcmp(words[4], "type") != 0 || !typed ||
	    !packet_number(words[5], 255, &type))
		return packet_refuse(
		        error, text,
		        "only ICMP has something behind its destination, a type from 0 "
		        "to 255");
	packet->type = (uint8_t)type;
	return 0;
}

int packet_parse(const char *text, const struct firewall_nic *nic, struct firewall_packet *packet,
                 struct host_error *error)
{
	BASE_AUTO_FREE char *copy = strdup(text);
	char *words[PACKET_WORDS + 1], *rest = copy, *word;
	struct packet_end from, to;
	size_t count = 0;

	*packet = (struct firewall_packet){0};
	while (copy && count <= PACKET_WORDS && (word = strsep(&rest, " ")))
		if (*word)
			words[count++] = word;
	if (count < 4 || count > PACKET_WORDS || strcmp(words[2], ">") != 0)
		return packet_refuse(error, text, "it is not PROTOCOL FROM > TO");
	if (!packet_protocol(words[0], packet))
		return packet_refuse(error, text,
		                     "its protocol is neither a name nor a number to 255");
	if (!packet_read_end(words[1], &from) || !packet_read_end(words[3], &to))
		return packet_refuse(error, text,
		                     "an end is no address, or its port none from 1 to 65535");
	if (packet_join(nic, &from, &to, packet))
		return packet_refuse(error, text, "its ends are of different families");
	return packet_rest(text, words, count, &from, &to, packet, error);
}
