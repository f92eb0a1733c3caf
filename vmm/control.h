/* SPDX-License-Identifier: GPL-2.0-or-later */
/* control: the vmm's side of its control socket (vmm.h has the messages). */
#ifndef CORDON_VMM_CONTROL_H
#define CORDON_VMM_CONTROL_H

#include "vmm/power.h"
#include "vmm/vm.h"

/* Gives the device of that name another back end's socket (owned by the callee), or (-1) says there is none. */
typedef int (*control_device_fn)(void *self, const char *name, int vhost_fd);

struct control_client {
	struct control *control;
	int fd; /* -1: free */
};

struct control {
	struct machine *machine;
	struct power *power;
	control_device_fn device; /* NULL: there are none */
	void *device_self;
	int listener; /* listening seqpacket socket; the caller's */
	struct control_client clients[VMM_CONTROL_CLIENTS_MAX];
};

/* Watches the listener. 0 or a negative errno. */
int control_create(struct control *control, struct machine *m, struct power *power, int listener);
/* What it is asked for, and what it announces. Lock held, or no vCPU running. */
struct vmm_message control_state(const struct control *control);
/* Tells every client the state. Lock held, or no vCPU running. */
void control_announce(struct control *control);
void control_destroy(struct control *control);

#endif
