/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * revive: what is done about a process of a VM that has died while the VM runs on.
 */
#ifndef CORDON_REVIVE_H
#define CORDON_REVIVE_H

#include "cordon/plan.h"

enum {
	REVIVE_CGROUP = -1, /* in the place of a number that a process sees: the VM's cgroup */
	REVIVE_MAX = 3,     /* restarts of one role in REVIVE_WINDOW_MS */
	REVIVE_WINDOW_MS = 60000,
};

/* Writes down, in the VM's folder, how a device is started. */
int revive_note(const char *vm, const struct plan_process *each, struct host_error *error);

/* What is known of a death. */
struct death {
	const char *role;
	pid_t pid;
	int status;        /* as wait(2) gives it */
	uint32_t restarts; /* of the role so far, this one in */
	const char *
	        became; /* what was done: "started again", or why not; "" for the vmm, which ends its VM */
};

/*
 * death.c: writes one line to standard error and one alert to the host's alert log. A death by SIGSYS is a
 * system call that the role's list does not have: an escape attempt (ATT&CK T1611).
 */
void death_report(const char *vm, const struct death *death);

#endif
