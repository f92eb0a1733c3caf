/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * chipset: what OVMF takes for granted of a PC: a 440FX's power management and the CMOS that says how much memory there is.
 * Only a guest that starts from firmware has it; its PCI side is pci_bus_chipset().
 */
#ifndef CORDON_VMM_CHIPSET_H
#define CORDON_VMM_CHIPSET_H

#include "vmm/machine.h"

enum {
	CHIPSET_CMOS_PORT = 0x70,
	CHIPSET_CMOS_PORTS = 2,
	CHIPSET_POWER_PORT = 0xb000,
	CHIPSET_POWER_PORTS = 12,
	CHIPSET_CONTROL = 4, /* among these: PM1a_CNT, 2 bytes, and the PM timer, 4 */
	CHIPSET_TIMER = 8,
	CHIPSET_TIMER_HZ = 3579545,
};

struct chipset_host {
	uint64_t (*now)(void *self);  /* nanoseconds, that only grow */
	uint64_t (*date)(void *self); /* seconds since 1970 */
	void (*off)(void *self);      /* the guest is done */
	void *self;
};

struct chipset {
	struct chipset_host host;
	uint64_t low, high; /* bytes of memory below 4 GiB, and above */
	uint8_t index;
	uint16_t control;
};

extern const struct machine_io_ops chipset_cmos_io, chipset_power_io;

#endif
