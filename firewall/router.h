/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * router: what a guest is told of IPv6, as bytes. A router advertisement (RFC 4861 section 4.2) says that the host is the
 * router and that addresses are had by DHCPv6; DHCPv6 (RFC 8415) gives the one address that is the guest's.
 */
#ifndef CORDON_FIREWALL_ROUTER_H
#define CORDON_FIREWALL_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	ROUTER_REPLY_MAX = 1024,
	ROUTER_LIFETIME_S = 1800, /* that an advertisement is good for */
	ROUTER_INTERVAL_S = 300,  /* between two that nobody asked for */
	ROUTER_LEASE_S = 3600,    /* of an address, as that of IPv4 */
	ROUTER_FD_FIRST =
	        3, /* cordon-router's sockets: two for each NIC, as firewall_router_open() makes them */
	ROUTER_FDS = 2,
};

/* What one NIC's guest is told. */
struct router_nic {
	uint8_t guest[16], gateway[16];
	uint16_t mtu;
	bool dns; /* the gateway answers DNS */
};

/* Writes an advertisement without its checksum, which the kernel adds; returns its size. */
size_t router_advertise(const struct router_nic *nic, uint8_t out[ROUTER_REPLY_MAX]);
/*
 * The answer to one DHCPv6 message, which is hostile; 0: there is none, because it is cut short, is no client's, is
 * meant for another server, or says nothing that has an answer.
 */
size_t router_dhcp(const struct router_nic *nic, const uint8_t *message, size_t size,
                   uint8_t out[ROUTER_REPLY_MAX]);

#endif
