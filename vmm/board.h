/* SPDX-License-Identifier: GPL-2.0-or-later */
/* board: what is soldered on: power and reset registers, panic port, watchdog, VM generation id. */
#ifndef CORDON_VMM_BOARD_H
#define CORDON_VMM_BOARD_H

#include "vmm/power.h"
#include "vmm/pvpanic.h"
#include "vmm/watchdog.h"

struct board_options {
	enum vmm_action panic;    /* VMM_ACTION_STOP, PAUSE or LOG */
	enum vmm_action watchdog; /* VMM_ACTION_NONE: there is none; STOP, PAUSE or RESET */
	bool watchdog_fired;
};

struct board {
	struct machine *machine;
	struct board_options options;
	struct power power;
	struct pvpanic pvpanic;
	struct watchdog watchdog;
	int timer; /* timerfd of the watchdog; -1 without one */
};

/* Puts all of it on the machine, and a generation id into its memory. 0 or a negative errno. */
int board_create(struct board *board, struct machine *m, const struct board_options *options);

#endif
