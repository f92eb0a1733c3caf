/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: a running process puts itself into a role (stages 2 and 3), after it has opened what it
 * needs as root; and what the host has to be able to do for that.
 */
#include "isolate/private.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

static int enter_privileged(const struct isolate_role *role)
{
	int error = isolate_namespaces_enter(role->flags);

	if (error == 0)
		error = isolate_root_enter(NULL);
	if (error == 0)
		error = isolate_limits_set(role->file_size_max, 0, 0);
	if (error == 0)
		error = isolate_identity_take(role->uid, role->gid, 0);
	return error;
}

static int enter_unprivileged(const struct isolate_role *role)
{
	int error = isolate_limits_set(role->file_size_max, 0, 0);

	return error < 0 ? error : isolate_privileges_drop();
}

int isolate_enter(const struct isolate_role *role)
{
	bool unprivileged = role->flags & ISOLATE_UNPRIVILEGED;
	int error;

	if (!role->list || (role->flags & (ISOLATE_KEEP_ROOT | ISOLATE_PDEATHSIG)))
		return -EINVAL;
	error = unprivileged ? 0 : isolate_identity_check(role->uid, role->gid);
	if (error < 0)
		return error;
	/* Does nothing for one thread, and is refused to more: each of them would have to do it all. */
	if (unshare(CLONE_THREAD) < 0)
		return -EBUSY;
	error = isolate_fds_arrange(role->fds, role->fd_count);
	if (error == 0)
		error = unprivileged ? enter_unprivileged(role) : enter_privileged(role);
	if (error == 0)
		error = isolate_keyring_leave();
	if (error == 0)
		error = isolate_landlock_enter(-1, NULL, role->flags & ISOLATE_KEEP_NET);
	return error < 0 ? error : isolate_lock(role->list);
}

static bool has_call(long number)
{
	/* With no valid argument it does nothing, and says so by any error but ENOSYS. */
	return syscall(number, -1, NULL, 0, NULL, 0) >= 0 || errno != ENOSYS;
}

static bool has_namespace(const char *path)
{
	return access(path, F_OK) == 0;
}

static bool has_kill_process(void)
{
	unsigned int action = SECCOMP_RET_KILL_PROCESS;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

bool isolate_host_check(const char **missing)
{
	const struct {
		bool there;
		const char *what;
	} needs[] = {
	        {has_namespace("/proc/self/ns/mnt"), "mount namespaces"},
	        {has_namespace("/proc/self/ns/net"), "network namespaces"},
	        {has_namespace("/proc/self/ns/ipc"), "IPC namespaces"},
	        {has_namespace("/proc/self/ns/uts"), "UTS namespaces"},
	        {has_namespace("/proc/self/ns/pid"), "PID namespaces"},
	        {has_namespace("/proc/self/ns/cgroup"), "cgroup namespaces"},
	        {has_kill_process(), "seccomp filters that kill the process (Linux 4.14)"},
	        {has_call(SYS_clone3), "clone3 (Linux 5.3)"},
	        {has_call(SYS_close_range), "close_range (Linux 5.9)"},
	        {has_call(SYS_mount_setattr), "mount_setattr (Linux 5.12)"},
	        {isolate_landlock_version() > 0, "Landlock (Linux 5.13, and lsm=landlock,...)"},
	};

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (!needs[i].there) {
			*missing = needs[i].what;
			return false;
		}
	return true;
}
