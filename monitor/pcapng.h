/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pcapng: writes capture files (IETF draft-ietf-opsawg-pcapng: section header, interface description,
 * enhanced packet and interface statistics blocks), one Ethernet interface, times in nanoseconds.
 */
#ifndef CORDON_MONITOR_PCAPNG_H
#define CORDON_MONITOR_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

enum { PCAPNG_SNAPLEN_MAX = 262144 };

/* All return 0 or a negative errno of the write; nothing is buffered, so a file that is cut short by
 * a full disk ends within one block. */
int pcapng_begin(int fd, const char *interface, const char *vm, uint32_t snaplen);
int pcapng_packet(int fd, uint64_t unix_ns, const void *data, uint32_t captured, uint32_t wire);
int pcapng_end(int fd, uint64_t unix_ns, uint64_t received, uint64_t dropped);

#endif
