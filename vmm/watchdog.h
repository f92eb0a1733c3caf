/* SPDX-License-Identifier: GPL-2.0-or-later */
/* watchdog: the countdown that a guest has to reload, or else it is taken to hang. */
#ifndef CORDON_VMM_WATCHDOG_H
#define CORDON_VMM_WATCHDOG_H

#include "vmm/machine.h"

enum {
	WATCHDOG_PORT = 0x610,
	WATCHDOG_COUNT = 0,   /* dword: ticks to count down from; a write reloads */
	WATCHDOG_LEFT = 4,    /* dword, read-only: ticks left */
	WATCHDOG_CONTROL = 8, /* byte: 1 runs, 0 does not */
	WATCHDOG_RELOAD = 9,  /* byte: any write reloads */
	WATCHDOG_STATUS =
	        10, /* byte: 1 when this start is the watchdog's doing; a write clears it */
	WATCHDOG_REBOOT = 11, /* byte, read-only: 1, its end is a reboot */
	WATCHDOG_PORTS = 12,

	WATCHDOG_TICK_MS = 100,
	WATCHDOG_COUNT_MIN = 10,    /* 1 s */
	WATCHDOG_COUNT_MAX = 36000, /* 1 h */
	WATCHDOG_COUNT_START = 300,
};

struct watchdog_host {
	uint64_t (*now)(void *self); /* milliseconds of a clock that does not jump */
	/* Call watchdog_check() at that time; 0: not at all. */
	void (*arm)(void *self, uint64_t deadline);
	void (*expired)(void *self);
	void *self;
};

struct watchdog {
	struct watchdog_host host;
	uint32_t count; /* ticks */
	bool running, held, fired;
	uint64_t deadline; /* while it runs and is not held */
	uint64_t left;     /* ms, while it is held */
};

extern const struct machine_io_ops watchdog_io;

/* Stopped. `fired`: the guest is told that a watchdog has ended its last run. */
void watchdog_init(struct watchdog *watchdog, const struct watchdog_host *host, bool fired);
/* Expires if it is time; else does nothing. It runs no more then, until the guest starts it again. */
void watchdog_check(struct watchdog *watchdog);
/* The guest is paused, or goes on: what is left stays as it is in between. */
void watchdog_hold(struct watchdog *watchdog, bool held);

#endif
