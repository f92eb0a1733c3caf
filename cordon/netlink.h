/* SPDX-License-Identifier: GPL-2.0-or-later */
/* One rtnetlink request at a time: what network.c and bridge.c share. */
#ifndef CORDON_NETLINK_H
#define CORDON_NETLINK_H

#include <stdint.h>

struct nlmsghdr;

enum { NETLINK_MESSAGE_MAX = 8192 }; /* more than any request here, and its acknowledgement */

/* A message about one interface, in a buffer of NETLINK_MESSAGE_MAX bytes. */
struct nlmsghdr *netlink_link(char *buffer, unsigned int ifindex, uint16_t type, uint8_t family);
/* Sends it and reads its acknowledgement (rtnetlink(7)). 0 or a negative errno. */
int netlink_request(struct nlmsghdr *message);

/*
 * denied.c: a socket on which the kernel tells of the packets that the rules log to FIREWALL_DENIED_GROUP, which one reader
 * can have. It does not block. An fd, or a negative errno.
 */
int denied_open(void);

#endif
