/* SPDX-License-Identifier: GPL-2.0-or-later */
/* pvpanic: the port on which a guest's kernel says that it has panicked. */
#ifndef CORDON_VMM_PVPANIC_H
#define CORDON_VMM_PVPANIC_H

#include "vmm/vm.h"

enum {
	PVPANIC_PORT = 0x505,
	PVPANIC_PANICKED = 1 << 0,
	PVPANIC_CRASH_LOADED = 1 << 1, /* a crash kernel takes over */
};

struct pvpanic {
	struct machine *machine;
	enum vmm_action action; /* VMM_ACTION_STOP, PAUSE or LOG */
	bool said; /* in the log: a guest that says it again and again does not fill it */
};

extern const struct machine_io_ops pvpanic_io;

#endif
