// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * power: four ports with which the guest says that it is done (S5 or reset), and learns that somebody
 * wants it to be (the power button, through a generic event device). Kernels that do not believe in
 * ACPI's reset pull the keyboard controller's line (reboot=k) or write to port CF9 (pci.c).
 */
#include "vmm/power.h"

#include <string.h>

#include "vmm/vmm.h"

enum {
	SLEEP_ENABLE = 1 << 5,
	KEYBOARD_PULSE = 0xf0, /* pulls the lines low whose bits, 0 to 3, are clear */
	KEYBOARD_RESET_LINE = 1 << 0,
};

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
		machine_reset(power->machine, "ACPI");
}

/* Nothing in the buffers, so that a kernel that waits for room to write its command does not. */
static void power_keyboard_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	(void)self;
	(void)offset;
	memset(data, 0, size);
}

static void power_keyboard_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct power *power = self;
	uint8_t command = *(const uint8_t *)data;

	(void)offset;
	(void)size;
	if ((command & KEYBOARD_PULSE) == KEYBOARD_PULSE && !(command & KEYBOARD_RESET_LINE))
		machine_reset(power->machine, "the keyboard controller");
}

void power_event(struct power *power, uint8_t events)
{
	power->events |= events;
	power->interrupt(power->self, true);
}

const struct machine_io_ops power_io = {.read = power_read, .write = power_write};
const struct machine_io_ops power_keyboard_io = {.read = power_keyboard_read,
                                                 .write = power_keyboard_write};
