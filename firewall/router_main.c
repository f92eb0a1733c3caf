/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-router GUEST GATEWAY MTU DNS...: the IPv6 router of one VM's NICs, and its DHCPv6 server; four words for each
 * NIC, whose sockets it was handed (router_open.c).
 *
 * dnsmasq could do both, with CAP_NET_RAW for the advertisements and port 547 for DHCPv6, and it reads what a guest
 * wrote: here it is a process that has no capability, no file and no network of its own, and whose sockets
 * speak on the guests' taps and nowhere else. That somebody asks for a router is all that is read of it.
 *
 * #syscall router: poll - waits for a guest, or until it is time to advertise
 * #syscall router: recvfrom - what guests ask
 * #syscall router: sendto - answers, by sockets that are bound to the guests' taps
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "firewall/list_router.h"
#include "firewall/router.h"
#include "isolate/isolate.h"

enum {
	NICS_MAX = 4,
	WORDS = 4,          /* of a NIC */
	TURNS = 16,         /* a guest that asks without end keeps no other NIC waiting */
	MESSAGE_MAX = 1500, /* what is longer is cut, and then no whole message */
	PORT_CLIENT = 546,
};

struct router {
	struct router_nic nics[NICS_MAX];
	size_t count;
	uint8_t message[MESSAGE_MAX], reply[ROUTER_REPLY_MAX];
};

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int fd_of(size_t i, size_t which)
{
	return ROUTER_FD_FIRST + (int)(i * ROUTER_FDS + which);
}

/* To all nodes of the wire, which is the guest; a tap that is down takes nothing, and the next one is soon. */
static void advertise(struct router *router, size_t i)
{
	const struct sockaddr_in6 nodes = {.sin6_family = AF_INET6,
	                                   .sin6_addr = {{{0xff, 2, [15] = 1}}}};
	const size_t size = router_advertise(&router->nics[i], router->reply);

	sendto(fd_of(i, 0), router->reply, size, MSG_DONTWAIT, (const struct sockaddr *)&nodes,
	       sizeof(nodes));
}

static void take_solicitations(struct router *router, size_t i)
{
	bool asked = false;

	for (int turn = 0; turn < TURNS; turn++)
		if (recvfrom(fd_of(i, 0), router->message, sizeof(router->message), MSG_DONTWAIT,
		             NULL, NULL) >= 0)
			asked = true;
		else
			break;
	if (asked)
		advertise(router, i);
}

/* False when there is no more to read. */
static bool take_message(struct router *router, size_t i)
{
	struct sockaddr_in6 from = {0};
	socklen_t from_size = sizeof(from);
	ssize_t n = recvfrom(fd_of(i, 1), router->message, sizeof(router->message), MSG_DONTWAIT,
	                     (struct sockaddr *)&from, &from_size);
	size_t size;

	if (n < 0)
		return false;
	if (from_size != sizeof(from) || ntohs(from.sin6_port) != PORT_CLIENT)
		return true;
	size = router_dhcp(&router->nics[i], router->message, (size_t)n, router->reply);
	if (size)
		sendto(fd_of(i, 1), router->reply, size, MSG_DONTWAIT,
		       (const struct sockaddr *)&from, sizeof(from));
	return true;
}

static int serve(struct router *router)
{
	int64_t next = now_ms();
	struct pollfd fds[NICS_MAX * ROUTER_FDS];

	for (size_t i = 0; i < router->count * ROUTER_FDS; i++)
		fds[i] = (struct pollfd){.fd = ROUTER_FD_FIRST + (int)i, .events = POLLIN};
	for (;;) {
		int64_t left = next - now_ms();

		for (size_t i = 0; i < router->count && left <= 0; i++)
			advertise(router, i);
		if (left <= 0) {
			left = (int64_t)ROUTER_INTERVAL_S * 1000;
			next = now_ms() + left;
		}
		if (poll(fds, router->count * ROUTER_FDS, (int)left) < 0)
			return 1;
		for (size_t i = 0; i < router->count; i++) {
			if ((fds[i * ROUTER_FDS].revents | fds[i * ROUTER_FDS + 1].revents) &
			    POLLNVAL)
				return 1; /* no such fd: it would be no end of waking up */
			/* an error of a socket's, such as that its tap was down, is taken with what is read */
			if (fds[i * ROUTER_FDS].revents)
				take_solicitations(router, i);
			for (int turn = 0; fds[i * ROUTER_FDS + 1].revents && turn < TURNS; turn++)
				if (!take_message(router, i))
					break;
		}
	}
}

static bool read_nic(char *const *words, struct router_nic *nic)
{
	unsigned long mtu = strtoul(words[2], NULL, 10);

	nic->mtu = (uint16_t)mtu;
	nic->dns = strcmp(words[3], "dns") == 0;
	return inet_pton(AF_INET6, words[0], nic->guest) == 1 &&
	       inet_pton(AF_INET6, words[1], nic->gateway) == 1 && mtu >= 1280 &&
	       mtu <= UINT16_MAX && (nic->dns || strcmp(words[3], "none") == 0);
}

/* Without stdio, which would be as large as all the rest. */
static void say(const char *words)
{
	base_write_all(STDERR_FILENO, words, strlen(words));
}

int main(int argc, char **argv)
{
	static struct router router;
	bool right = argc > 1 && (argc - 1) % WORDS == 0 && argc - 1 <= NICS_MAX * WORDS;

	for (int i = 1; right && i < argc; i += WORDS)
		right = read_nic(&argv[i], &router.nics[router.count++]);
	if (!right) {
		say("cordon-router: it takes GUEST GATEWAY MTU dns|none for each NIC\n");
		return 2;
	}
	if (isolate_lock(&list_router) < 0) {
		say("cordon-router: its seccomp list could not be installed\n");
		return 126;
	}
	return serve(&router);
}
