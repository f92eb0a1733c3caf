/* SPDX-License-Identifier: GPL-2.0-or-later */
/* packet: 'tcp 10.77.0.2:4444 > 1.2.3.4:443' as a struct firewall_packet. */
#ifndef CORDON_PACKET_H
#define CORDON_PACKET_H

#include "cordon/host.h"

/* Reads it; `guest` in it is the NIC's address. What the other end is, is the caller's to find out. */
int packet_parse(const char *text, const struct firewall_nic *nic, struct firewall_packet *packet,
                 struct host_error *error);

#endif
