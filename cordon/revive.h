/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * revive: what is done about a process of a VM that has died while the VM runs on.
 */
#ifndef CORDON_REVIVE_H
#define CORDON_REVIVE_H

enum {
	REVIVE_CGROUP = -1, /* in the place of a number that a process sees: the VM's cgroup */
	REVIVE_MAX = 3,     /* restarts of one role in REVIVE_WINDOW_MS */
	REVIVE_WINDOW_MS = 60000,
};

#endif
