/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * address: what an address is for, and what a port is.
 */
#ifndef CORDON_MONITOR_ADDRESS_H
#define CORDON_MONITOR_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Somewhere in the Internet: none of a private network, this link, this host, or many (RFC 6890). */
bool address_is_public(const uint8_t address[16], uint8_t family);

/* Broadcast or multicast. */
bool address_is_many(const uint8_t address[16], uint8_t family);

/* A port on which a well-known service is expected, so that a connection to it says nothing by itself. */
bool port_is_common(uint8_t proto, uint16_t port);

#endif
