/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Namespaces for network tests: a "host" that the test itself is in, guests behind veth pairs whose
 * host ends play taps, and a "world" beyond the host. Nothing of the machine's own network is touched:
 * the test leaves it for good with net_open().
 *
 *   guest i: g0 10.77.0.(4i+2)/30, fd77::i:2   --  host: cnI 10.77.0.(4i+1)
 *            02:00:00:00:00:(16+i)                02:00:00:00:01:(16+i)
 *   world:   w0 192.0.2.10/24, 2001:db8::10    --  host: up0 192.0.2.1, 2001:db8::1
 *
 * The world knows no route to the guests' IPv4 addresses, so an answer proves masquerading.
 */
#ifndef CORDON_TESTS_NET_H
#define CORDON_TESTS_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_GUESTS = 2, NET_HOST = -1, NET_WORLD = -2 };

struct net {
	int host, world, guests[NET_GUESTS];
};

/* True when namespaces can be made here; else prints why not. */
bool net_possible(void);
/* Makes all of it, with the guests' taps still down. Aborts the test on failure. */
void net_open(struct net *net);
void net_close(struct net *net);
/* Enters a namespace: NET_HOST, NET_WORLD or a guest's number. Sockets stay where they were opened. */
void net_enter(const struct net *net, int where);
/* Runs a command line (split at spaces, no shell) in a namespace; its exit status. */
int net_run(const struct net *net, int where, const char *command);
/* The same with its standard output, which the caller frees. */
char *net_output(const struct net *net, int where, const char *command);
/* Sets guest i's tap up. */
void net_tap_up(const struct net *net, int i);

/* A TCP or UDP socket (type SOCK_STREAM or SOCK_DGRAM) in a namespace, bound to address:port. */
int net_bound(const struct net *net, int where, int type, const char *address, uint16_t port);
/* Starts to connect without waiting. */
int net_connecting(const struct net *net, int where, const char *address, uint16_t port);
/* Waits until the connection stands (true) or has failed, or `ms` have passed (false). */
bool net_connected(int fd, int ms);
/* Connects, waits and closes. */
bool net_reaches(const struct net *net, int where, const char *address, uint16_t port, int ms);
/* One echo request from a namespace, and its answer. */
bool net_pings(const struct net *net, int where, const char *address, int ms);
/* Waits for something to read. */
bool net_readable(int fd, int ms);

/* A packet socket on a link of a namespace, for whole frames. */
int net_packet(const struct net *net, int where, const char *link);

#endif
