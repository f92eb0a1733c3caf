/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * plan: a VM's processes before there are any: which program, with which arguments, which fd under which
 * number, as which uid. plan.c makes the plans from the policy and what launch opened; spawn.c starts them.
 */
#ifndef CORDON_PLAN_H
#define CORDON_PLAN_H

#include "cordon/launch.h"
#include "cordon/router.h"

enum { DEVICE_FD_VHOST = 3, DEVICE_FD_BACKEND, DEVICE_FD_LIMITS, DEVICE_FD_QUEUES };
enum { PLAN_RESTART_MS = 20000 }; /* how long a guest waits for a device that is started again */

struct plan_process {
	char role[16];      /* "blk0": the process's name in the registry */
	const char *device; /* the vmm's --device type, or NULL: it is no device */
	int binary;         /* owned */
	char *argv[LAUNCH_ARGS_MAX];
	size_t argc;
	struct isolate_fd fds[LAUNCH_FDS_MAX];
	size_t fd_count;
	char *binds[POLICY_VSOCK_MAX +
	            1]; /* owned: what it sees of the host's files, but dnsmasq's */
	struct firewall_dnsmasq *dnsmasq; /* owned: its argv and binds */
	int own[ROUTER_SOCKETS];          /* owned: fds that nobody else has a use for, or -1 */
	struct isolate_process process;
};

struct plan {
	struct plan_process list[HOST_PROCESSES_MAX];
	size_t count;
	int sockets[LAUNCH_DEVICES_MAX]; /* owned: the vmm's ends, in the order of the devices */
	size_t socket_count;
	struct host_error *error;
};

/* Plans every process of the VM, the vmm last; what it opens is the plan's. */
int plan_make(struct plan *plan, const struct launch *launch, const struct host_vm *vm);
/* True for a device that can be started again in place: it keeps nothing but what the guest's rings hold. */
bool plan_restarts(const struct plan_process *each);
/* Closes and frees what the plan owns, and the plan; for BASE_CLEANUP. */
void plan_free(struct plan **plan);

#endif
