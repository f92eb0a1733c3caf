/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The numbers under which cordon-names and cordon-sets find what they were handed. */
#ifndef CORDON_FIREWALL_NAMES_FDS_H
#define CORDON_FIREWALL_NAMES_FDS_H

enum {
	NAMES_FD_REQUESTS = 3, /* both: a socket pair, SOCK_SEQPACKET */
	NAMES_FD_NETLINK = 4,  /* cordon-sets: NETLINK_NETFILTER, in the host's network namespace */
	NAMES_FD_LOCK = 5,     /* cordon-sets: of firewall_lock_open() */
	NAMES_FD_LIST =
	        4, /* cordon-names: the policy's names, a line each, to be read again and again */
	/* and where it puts its own, as its list of system calls has their numbers */
	NAMES_FD_RESOLVER = 5, /* UDP, connected to dnsmasq */
	NAMES_FD_DIAL = 6,     /* a socket pair, SOCK_SEQPACKET: see front_dial.c */
	NAMES_FD_UDP = 7,      /* where the guest asks, an address of each family */
};

#endif
