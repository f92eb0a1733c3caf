/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: who the process is, and what it can no longer become.
 */
#include "isolate/private.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	TASKS_MAX = 128,      /* a vmm's vCPUs and their helpers; every role has a uid of its own */
	OPEN_FILES_MORE = 16, /* beyond the highest number that may be handed */
	SECURE_BITS = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED |
	              SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
	              SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
};

static int limit(int resource, rlim_t value)
{
	const struct rlimit both = {.rlim_cur = value, .rlim_max = value};

	return setrlimit((__rlimit_resource_t)resource, &both) < 0 ? -errno : 0;
}

int isolate_limits_set(uint64_t file_size_max, uint64_t open_files_max, uint64_t memory_locked_max)
{
	const struct {
		int resource;
		rlim_t value;
	} limits[] = {
	        {RLIMIT_CORE, 0}, /* a core has the guest's memory in it */
	        {RLIMIT_FSIZE, file_size_max},
	        {RLIMIT_NOFILE, open_files_max ? open_files_max : ISOLATE_FD_END + OPEN_FILES_MORE},
	        {RLIMIT_NPROC, TASKS_MAX},
	        {RLIMIT_MSGQUEUE, 0},
	};
	int error = 0;

	/* A file that is full is an error of the write, and not the end of the process. */
	signal(SIGXFSZ, SIG_IGN);
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]) && error == 0; i++)
		error = limit(limits[i].resource, limits[i].value);
	if (!error && memory_locked_max)
		error = limit(RLIMIT_MEMLOCK, memory_locked_max);
	umask(077);
	return error;
}

/* Sets all three sets, `more` beside `keep` in those that are not inherited. */
static int capabilities_set(uint64_t keep, uint64_t more)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	for (size_t i = 0; i < _LINUX_CAPABILITY_U32S_3; i++) {
		data[i].permitted = data[i].effective = (uint32_t)((keep | more) >> (32 * i));
		data[i].inheritable = (uint32_t)(keep >> (32 * i));
	}
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int privileges_end(uint64_t keep)
{
	int error = capabilities_set(keep, 0);

	if (error < 0)
		return error;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int isolate_privileges_drop(void)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return privileges_end(0);
}

/*
 * After the uid: what is kept has to be ambient to survive the exec, as the file has none. With `keep` the
 * secure bits are closed here and not before, since one of them forbids just that.
 */
static int capability_keep(uint64_t keep)
{
	int error = capabilities_set(keep, 1ull << CAP_SETPCAP);

	for (int cap = 0; cap < 64 && error == 0; cap++)
		if (keep & 1ull << cap &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			error = -errno;
	if (error == 0 && prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) < 0)
		error = -errno;
	return error < 0 ? error : privileges_end(keep);
}

int isolate_identity_check(uid_t uid, gid_t gid)
{
	return uid == 0 || uid == (uid_t)-1 || gid == 0 || gid == (gid_t)-1 ? -EINVAL : 0;
}

int isolate_identity_take(uid_t uid, gid_t gid, uint64_t keep)
{
	/* The bounding set and the secure bits need CAP_SETPCAP, so they come before the uid. */
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(cap < 64 && keep & 1ull << cap) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	if (prctl(PR_SET_SECUREBITS, keep ? SECBIT_NOROOT | SECBIT_KEEP_CAPS : SECURE_BITS, 0, 0,
	          0) < 0)
		return -errno;
	if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, gid, gid, gid) < 0 ||
	    syscall(SYS_setresuid, uid, uid, uid) < 0)
		return -errno;
	return keep ? capability_keep(keep) : isolate_privileges_drop();
}

int isolate_keyring_leave(void)
{
	/* A kernel without keyrings has none to leave. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

int isolate_core_new(void)
{
	if (prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0, PR_SCHED_CORE_SCOPE_THREAD_GROUP, 0) == 0)
		return 0;
	/* EINVAL: a kernel without it. ENODEV: no SMT. */
	return errno == EINVAL ? -ENODEV : -errno;
}
