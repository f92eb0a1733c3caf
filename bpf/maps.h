/* SPDX-License-Identifier: GPL-2.0-or-later */
/* maps: sizes of the kernel objects, for the programs and for those who open them. */
#ifndef CORDON_BPF_MAPS_H
#define CORDON_BPF_MAPS_H

#include <linux/bpf.h>

enum {
	EVENTS_RING_BYTES = 1 << 22,
	TAPS_MAX = 16384,
	TAP_SLOTS = 4096, /* a power of two: a tap's is its ifindex modulo this */
	/* Mapped by the monitor. Without BPF_F_INNER_MAP: all have the same number of elements, so that the verifier puts a
	 * few instructions in the place of each lookup's call, a third of what a packet costs. */
	FLOW_MAP_FLAGS = BPF_F_MMAPABLE,
};

#endif
