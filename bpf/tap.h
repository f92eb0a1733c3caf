/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * bpf: the eBPF programs at the taps, and the headers that they share with user space.
 *
 *   packet.h   the one packet parser, compiled into the BPF programs and into the pcap reader
 *   events.h   flow keys, flow records and ring-buffer events: what the kernel side writes
 *   flow.bpf.c the program at each tap: keeps flows, sends events
 *   tap.h      (this) loading, pinning, attaching: for the process that has the privilege
 *
 * One set of programs and maps serves every tap of the host, pinned under /sys/fs/bpf/cordon so that
 * they outlive whoever loaded them. Flows are kept in one map a VM (map in map by ifindex), so that
 * one VM's flood cannot evict another's.
 */
#ifndef CORDON_BPF_TAP_H
#define CORDON_BPF_TAP_H

#include <stdbool.h>
#include <stdint.h>

struct tap_watch; /* the loaded or re-opened set of programs and maps */

/* Opens the pinned set, or loads and pins it. 0 or negative errno; *why, if not NULL, names the step. */
int tap_watch_open(struct tap_watch **watch, const char **why);
/* The same with room for that many flows at each tap, rounded up to sets (8, a power of two of them; at most half a
 * million flows; 360 bytes each, locked in kernel memory). tap_watch_open() has room for 16,384. A set that was
 * pinned with another room takes no taps. */
int tap_watch_open_sized(struct tap_watch **watch, uint32_t flows, const char **why);
void tap_watch_close(struct tap_watch *watch);

/* Attaches both directions to the tap (down or up) and gives it a flow map of its own.
 * Returns an fd of that flow map, owned by the caller, or a negative errno. */
int tap_watch_attach(struct tap_watch *watch, unsigned int ifindex, const uint8_t guest_mac[6]);
/* 0 also when the tap is gone already. */
int tap_watch_detach(struct tap_watch *watch, unsigned int ifindex);

/* fd of the events ring buffer; the caller does not own it. */
int tap_watch_events(const struct tap_watch *watch);
/* An fd of an attached tap's flow map, owned by the caller, or a negative errno (recovery). */
int tap_watch_flows(struct tap_watch *watch, unsigned int ifindex);

/* Removes all pins; the kernel then frees what nobody holds. 0 when there were none. */
int tap_watch_unpin(void);

bool tap_watch_host_check(const char **missing);

#endif
