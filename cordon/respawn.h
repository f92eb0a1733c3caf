/* SPDX-License-Identifier: GPL-2.0-or-later */
/* respawn: starts a process of a running VM again, as it was started first. */
#ifndef CORDON_RESPAWN_H
#define CORDON_RESPAWN_H

#include "cordon/plan.h"

/* Whose process, and what it is given: the caller's. */
struct respawn {
	const char *vm;
	struct isolate_fd fds[LAUNCH_FDS_MAX]; /* standard error is added, which is the VM's log */
	size_t fd_count;
	int cgroup;
	int report; /* where the keeper hears of new children, or -1 */
};

/* Writes down, in the VM's folder, how a process is started. */
int respawn_note(const char *vm, const struct plan_process *each, struct host_error *error);
/*
 * Starts that role from what was written down; the keeper is told before anything of it can be heard otherwise. It does
 * not end with its parent. Its pid or a negative errno, which was said.
 */
pid_t respawn_process(const struct respawn *respawn, const char *role);

/* --- resolver.c --- */

/* True for who answers a guest's DHCP and DNS: dnsmasq, cordon-names, cordon-sets and cordon-router, each with a number. */
bool resolver_is(const char *role);
/*
 * Starts one of them again, and cordon-names and cordon-sets together, as what is between them goes with either. The
 * new pids are in `vm`, which the caller saves. 0 or a negative errno.
 */
int resolver_restart(struct host_vm *vm, const struct respawn *respawn, const char *role);

#endif
