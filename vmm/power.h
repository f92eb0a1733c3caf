/* SPDX-License-Identifier: GPL-2.0-or-later */
/* power: the hardware-reduced ACPI registers (sleep, reset, events), and the old way to reset a PC. */
#ifndef CORDON_VMM_POWER_H
#define CORDON_VMM_POWER_H

#include "vmm/machine.h"

enum {
	POWER_PORT = 0x600,
	POWER_SLEEP_CONTROL = 0, /* ACPI 6.4, 4.8.3.7: SLP_TYP in bits 2-4, SLP_EN bit 5 */
	POWER_SLEEP_STATUS = 1,
	POWER_RESET = 2,  /* the FADT's reset register */
	POWER_EVENTS = 3, /* bits that the event device's _EVT reads; a read clears them */
	POWER_PORTS = 4,
	POWER_S5 = 5, /* SLP_TYP for S5, as the DSDT's \_S5 says */
	POWER_RESET_VALUE = 0x5a,
	POWER_EVENT_BUTTON = 1,
	POWER_EVENT_GENERATION = 2, /* the VM generation id is another one */
	POWER_PIN = 9,              /* the event device's interrupt, edge-triggered */

	POWER_KEYBOARD_PORT = 0x64, /* the 8042's commands */
};

struct power {
	struct machine *machine;
	void (*interrupt)(void *self, bool high);
	void *self;
	uint8_t events;
};

extern const struct machine_io_ops power_io;
/* The 8042 of which there is nothing but its reset line; `self` is a struct power too. */
extern const struct machine_io_ops power_keyboard_io;
/* Tells the guest of POWER_EVENT_* bits. Lock held. */
void power_event(struct power *power, uint8_t events);

#endif
