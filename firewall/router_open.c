/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The two sockets by which cordon-router speaks on one tap, made by whoever may: a raw one for ICMPv6, which hears nothing
 * but router solicitations, and one for DHCPv6 at the port that the firewall turns 547 into. Both are bound to the
 * tap, so that what is written to them leaves by it and by nothing else, and what is heard is its guest's.
 */
#include <linux/icmpv6.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/base.h"
#include "firewall/firewall.h"

enum { ROUTER_SOLICITATION = 133 };

static int join(int fd, unsigned int ifindex, const uint8_t group[16])
{
	struct ipv6_mreq request = {.ipv6mr_interface = ifindex};

	memcpy(&request.ipv6mr_multiaddr, group, 16);
	return setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof(request)) < 0 ? -errno
	                                                                                    : 0;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int bind_to(int fd, const char *tap)
{
	return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, tap, (socklen_t)strlen(tap) + 1) < 0
	               ? -errno
	               : 0;
}

static int open_icmp(const char *tap, unsigned int ifindex)
{
	static const uint8_t routers[16] = {0xff, 2, [15] = 2};
	struct icmp6_filter
	        filter; /* a set bit is a type that is not heard: RFC 3542 section 3.2 */
	BASE_AUTO_FD int fd =
	        socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);
	int error = fd < 0 ? -errno : bind_to(fd, tap);

	memset(&filter, 0xff, sizeof(filter));
	filter.data[ROUTER_SOLICITATION / 32] &= ~(1u << ROUTER_SOLICITATION % 32);
	if (!error && setsockopt(fd, IPPROTO_ICMPV6, ICMPV6_FILTER, &filter, sizeof(filter)) < 0)
		error = -errno;
	/* RFC 4861 section 6.1.2: who forwards has no part in it */
	if (!error)
		error = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255);
	if (!error)
		error = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0);
	if (!error)
		error = set(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)ifindex);
	if (!error)
		error = join(fd, ifindex, routers);
	return error ? error : base_take_fd(&fd);
}

static int open_dhcp(const char *tap, unsigned int ifindex, uint16_t port)
{
	static const uint8_t servers[16] = {0xff, 2, [13] = 1, [15] = 2};
	const struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	BASE_AUTO_FD int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = fd < 0 ? -errno : bind_to(fd, tap);

	if (!error)
		error = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (!error && bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		error = -errno;
	if (!error)
		error = join(fd, ifindex, servers);
	return error ? error : base_take_fd(&fd);
}

int firewall_router_open(const struct firewall_nic *nic, int fds[2])
{
	const unsigned int ifindex = if_nametoindex(nic->tap);

	fds[0] = fds[1] = -1;
	if (ifindex == 0)
		return -errno;
	fds[0] = open_icmp(nic->tap, ifindex);
	if (fds[0] < 0)
		return fds[0];
	fds[1] = open_dhcp(nic->tap, ifindex, nic->dhcp_port);
	if (fds[1] >= 0)
		return 0;
	base_close(&fds[0]);
	return fds[1];
}
