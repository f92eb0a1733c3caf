// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * power: four ports with which the guest says that it is done (S5 or reset), and learns that somebody
 * wants it to be (the power button, through a generic event device).
 */
#include "vmm/power.h"

#include <string.h>

#include "vmm/vmm.h"

enum { SLEEP_ENABLE = 1 << 5 };

static void power_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct power *power = self;
	uint8_t *bytes = data;

	memset(bytes, 0, size);
	if (offset > POWER_EVENTS || offset + size <= POWER_EVENTS)
		return;
	bytes[POWER_EVENTS - offset] = power->events;
	power->events = 0;
	power->interrupt(power->self, false);
}

static void power_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct power *power = self;
	uint8_t byte = *(const uint8_t *)data;

	if (size != 1)
		return;
	if (offset == POWER_SLEEP_CONTROL && (byte & SLEEP_ENABLE) && (byte >> 2 & 7) == POWER_S5)
		machine_end(power->machine, VMM_END_POWEROFF);
	else if (offset == POWER_RESET && byte == POWER_RESET_VALUE)
		machine_end(power->machine, VMM_END_RESET);
}

void power_button(struct power *power)
{
	power->events |= POWER_EVENT_BUTTON;
	power->interrupt(power->self, true);
}

const struct machine_io_ops power_io = {.read = power_read, .write = power_write};
