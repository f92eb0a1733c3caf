/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who answers a guest's DHCP and DNS, started again while the VM runs: dnsmasq; cordon-router, which is the same and a
 * router for IPv6; and, where the policy has names, cordon-names and cordon-sets, which are joined by a socket pair and so end and begin together. Until they are there the guest gets no
 * answers, and names fail closed: what is open by name stays so until its time is up, and nothing is added.
 *
 * Nothing of the dead ones is used again but what launch wrote down: each gets new sockets, and the list of names as it is
 * by now.
 */
#include "cordon/respawn.h"

#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "firewall/names_fds.h"

enum { RESOLVER_END_MS = 5000 };

static const char *const resolvers[] = {"dnsmasq", "names", "sets", "router"};

/* The number after the word, or NULL. */
static const char *resolver_number(const char *role)
{
	for (size_t i = 0; i < BASE_COUNT(resolvers); i++) {
		size_t length = strlen(resolvers[i]), digits;

		if (strncmp(role, resolvers[i], length) != 0)
			continue;
		digits = strspn(role + length, "0123456789");
		if (digits > 0 && role[length + digits] == '\0')
			return role + length;
	}
	return NULL;
}

bool resolver_is(const char *role)
{
	return resolver_number(role) != NULL;
}

static struct host_process *resolver_find(struct host_vm *vm, const char *kind, const char *number)
{
	for (size_t i = 0; i < vm->process_count; i++)
		if (strncmp(vm->processes[i].role, kind, strlen(kind)) == 0 &&
		    strcmp(vm->processes[i].role + strlen(kind), number) == 0)
			return &vm->processes[i];
	return NULL;
}

/* Ends what is left of it, and waits for that: the keeper takes note of its end before it hears of another. */
static int resolver_end(const struct host_process *process)
{
	BASE_AUTO_FD int fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
	struct pollfd ended = {.fd = fd, .events = POLLIN};

	if (fd < 0 || process_uid(process->pid) != (int64_t)process->uid)
		return 0;
	syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0);
	return poll(&ended, 1, RESOLVER_END_MS) == 1 ? 0 : -EBUSY;
}

static int resolver_start(const struct respawn *respawn, struct host_process *process)
{
	pid_t pid = respawn_process(respawn, process->role);

	if (pid < 0)
		return pid;
	process->pid = pid;
	base_copy_string(process->state, sizeof(process->state), "running");
	return 0;
}

static int resolver_sets(const struct respawn *like, struct host_process *process, int requests)
{
	BASE_AUTO_FD int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	BASE_AUTO_FD int lock = firewall_lock_open();
	struct respawn respawn = *like;

	if (netlink < 0 || lock < 0)
		return lock < 0 ? lock : -errno;
	respawn.fds[0] = (struct isolate_fd){.from = requests, .to = NAMES_FD_REQUESTS};
	respawn.fds[1] = (struct isolate_fd){.from = netlink, .to = NAMES_FD_NETLINK};
	respawn.fds[2] = (struct isolate_fd){.from = lock, .to = NAMES_FD_LOCK};
	respawn.fd_count = 3;
	return resolver_start(&respawn, process);
}

static int resolver_names(const struct respawn *like, struct host_process *process, int requests)
{
	BASE_AUTO_FD int list = names_reopen(like->vm);
	struct respawn respawn = *like;

	if (list < 0)
		return list;
	respawn.fds[0] = (struct isolate_fd){.from = requests, .to = NAMES_FD_REQUESTS};
	respawn.fds[1] = (struct isolate_fd){.from = list, .to = NAMES_FD_LIST};
	respawn.fd_count = 2;
	return resolver_start(&respawn, process);
}

/* Both or neither: who is alone ends, and is what died next. */
static int resolver_pair(struct host_vm *vm, const struct respawn *respawn, const char *number)
{
	struct host_process *names = resolver_find(vm, "names", number),
	                    *sets = resolver_find(vm, "sets", number);
	int pair[2], err;

	if (!names || !sets)
		return -ENOENT;
	err = resolver_end(names);
	if (!err)
		err = resolver_end(sets);
	if (err)
		return err;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	err = resolver_sets(respawn, sets, pair[0]);
	if (!err)
		err = resolver_names(respawn, names, pair[1]);
	close(pair[0]);
	close(pair[1]);
	return err;
}

static int resolver_router(const struct host_vm *vm, const struct respawn *like,
                           struct host_process *process)
{
	struct respawn respawn = *like;
	int fds[ROUTER_SOCKETS], count = router_open(vm, fds, respawn.fds), err;

	if (count < 0)
		return count;
	respawn.fd_count = (size_t)count;
	err = resolver_start(&respawn, process);
	router_close(fds);
	return err;
}

int resolver_restart(struct host_vm *vm, const struct respawn *respawn, const char *role)
{
	const char *number = resolver_number(role);
	struct host_process *dnsmasq, *router;

	if (!number)
		return -EINVAL;
	router = resolver_find(vm, "router", number);
	if (router && strcmp(router->role, role) == 0)
		return resolver_router(vm, respawn, router);
	if (strncmp(role, "dnsmasq", strlen("dnsmasq")) != 0)
		return resolver_pair(vm, respawn, number);
	dnsmasq = resolver_find(vm, "dnsmasq", number);
	return dnsmasq ? resolver_start(respawn, dnsmasq) : -ENOENT;
}
