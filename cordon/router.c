// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-router, one for all NICs of a VM that have IPv6 from this host: its words and its sockets, which it gets in the
 * same order, at the VM's start and when it is started again.
 */
#include "cordon/router.h"

#include "base/base.h"
#include "firewall/router.h"

static const uint8_t none[16];

bool router_serves(const struct firewall_nic *nic)
{
	return nic->mode != POLICY_NIC_BRIDGE && memcmp(nic->ip6, none, sizeof(none)) != 0 &&
	       network_has_ipv6(nic->tap);
}

size_t router_count(const struct host_vm *vm)
{
	size_t count = 0;

	for (size_t i = 0; i < vm->nic_count; i++)
		count += router_serves(&vm->nics[i]);
	return count;
}

void router_close(int fds[ROUTER_SOCKETS])
{
	for (size_t i = 0; i < ROUTER_SOCKETS; i++)
		base_close(&fds[i]);
}

int router_open(const struct host_vm *vm, int fds[ROUTER_SOCKETS], struct isolate_fd *to)
{
	size_t count = 0;
	int err = 0;

	for (size_t i = 0; i < ROUTER_SOCKETS; i++)
		fds[i] = -1;
	for (size_t i = 0; i < vm->nic_count && !err; i++) {
		if (!router_serves(&vm->nics[i]))
			continue;
		err = firewall_router_open(&vm->nics[i], &fds[count]);
		count += ROUTER_FDS;
	}
	for (size_t i = 0; i < count && !err; i++)
		to[i] = (struct isolate_fd){.from = fds[i], .to = ROUTER_FD_FIRST + (int)i};
	if (err)
		router_close(fds);
	return err ? err : (int)count;
}
