// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * generation: 128 random bits in a page of their own, which the memory map calls reserved and the DSDT's
 * device VGEN points to (Microsoft, "Virtual Machine Generation ID", 2012; Linux: drivers/virt/vmgenid.c,
 * which feeds them to its random number generator). A reset does not change it, as the specification has
 * it: our reset is a new process, and so a new id, which is always allowed.
 */
#include "vmm/generation.h"

#include <errno.h>
#include <sys/random.h>

#include "confidential/uapi.h"
#include "vmm/boot.h"

/* #syscall vmm: getrandom - a new generation id */
int generation_create(struct machine *m)
{
	uint8_t *id = machine_memory(m, BOOT_GENERATION, GENERATION_SIZE);

	/* no tables tell such a guest of it, and the page is its own, encrypted or not */
	if (machine_hidden(m) && m->private.type != CC_X86_SW_PROTECTED_VM)
		return 0;
	if (getrandom(id, GENERATION_SIZE, 0) != GENERATION_SIZE)
		return -EIO;
	return 0;
}

int generation_change(struct machine *m, struct power *power)
{
	int error = generation_create(m);

	if (!error)
		power_event(power, POWER_EVENT_GENERATION);
	return error;
}
