/* SPDX-License-Identifier: GPL-2.0-or-later */
/* router: who tells a VM's guest of IPv6 (firewall/router.h), seen from the privileged side. */
#ifndef CORDON_ROUTER_H
#define CORDON_ROUTER_H

#include "cordon/host.h"
#include "isolate/isolate.h"

enum { ROUTER_SOCKETS = 2 * POLICY_NICS_MAX };

/* True for a NIC whose guest has its IPv6 from this host; the tap has to be there. */
bool router_serves(const struct firewall_nic *nic);
/* How many the VM has. */
size_t router_count(const struct host_vm *vm);
/* Opens the sockets of all of them; fds are the caller's, those that there are none of -1, and `to` has room for as many.
 * How many, or a negative errno. */
int router_open(const struct host_vm *vm, int fds[ROUTER_SOCKETS], struct isolate_fd *to);
void router_close(int fds[ROUTER_SOCKETS]);

#endif
