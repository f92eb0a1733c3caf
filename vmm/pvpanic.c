// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pvpanic: one port of one byte, in the ISA form that ACPI announces as QEMU0001 (QEMU's
 * docs/specs/pvpanic). Reading gives the events that there are, writing says that one has happened. The
 * PCI form (1b36:0011) would say the same with a function, a BAR and a config space more.
 */
#include "vmm/pvpanic.h"

#include <string.h>

static void pvpanic_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	(void)self;
	(void)offset;
	memset(data, 0, size);
	*(uint8_t *)data = PVPANIC_PANICKED | PVPANIC_CRASH_LOADED;
}

static void pvpanic_say(struct pvpanic *pvpanic, const char *what)
{
	if (!pvpanic->said)
		machine_log(pvpanic->machine, "%s", what);
	pvpanic->said = true;
}

static void pvpanic_panicked(struct pvpanic *pvpanic)
{
	struct machine *m = pvpanic->machine;

	m->panics++;
	pvpanic_say(pvpanic, "the guest's kernel has panicked");
	if (pvpanic->action == VMM_ACTION_STOP)
		machine_end(m, VMM_END_PANIC);
	else if (pvpanic->action == VMM_ACTION_PAUSE)
		machine_pause(m, VMM_END_PANIC);
}

static void pvpanic_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	uint8_t events = *(const uint8_t *)data;

	(void)offset;
	(void)size;
	if (events & PVPANIC_PANICKED)
		pvpanic_panicked(self);
	else if (events & PVPANIC_CRASH_LOADED)
		pvpanic_say(self, "the guest's kernel has panicked; its crash kernel takes over");
}

const struct machine_io_ops pvpanic_io = {.read = pvpanic_read, .write = pvpanic_write};
