/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: one cgroup v2 a VM, /sys/fs/cgroup/cordon/NAME.
 *
 * Only the controllers that a limit needs are switched on, for all VMs, when the first one asks for
 * them. The cgroup is also how a VM is killed as a whole: cgroup.kill reaches every process in it,
 * those that are being forked included.
 */
#include "base/base.h"
#include "isolate/isolate.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define HIERARCHY "/sys/fs/cgroup"

enum { KILL_WAIT_MS = 5000, NAME_SIZE = 64 };

static bool is_name(const char *name)
{
	size_t length =
	        strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

	return length > 0 && length < NAME_SIZE && name[length] == '\0';
}

static int open_directory(int at, const char *path)
{
	int fd = openat(at, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_hierarchy(void)
{
	int fd BASE_AUTO_FD = open_directory(AT_FDCWD, HIERARCHY);
	struct statfs status;

	if (fd < 0)
		return fd == -ENOENT ? -ENOTSUP : fd;
	if (fstatfs(fd, &status) < 0)
		return -errno;
	return status.f_type == CGROUP2_SUPER_MAGIC ? base_take_fd(&fd) : -ENOTSUP;
}

static int write_file(int directory, const char *file, const char *text)
{
	int fd BASE_AUTO_FD = openat(directory, file, O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : base_write_all(fd, text, strlen(text));
}

static int write_number(int directory, const char *file, uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, number);
	return write_file(directory, file, text);
}

/* Switches a controller on from the top down to the children of `parent`. */
static int enable(int hierarchy, int parent, const char *controller)
{
	int error = write_file(hierarchy, "cgroup.subtree_control", controller);

	return error < 0 ? error : write_file(parent, "cgroup.subtree_control", controller);
}

static int set_limits(int hierarchy, int parent, int cgroup, const struct isolate_limits *limits)
{
	int error = 0;

	if (limits->memory_max > 0) {
		error = enable(hierarchy, parent, "+memory");
		if (error == 0)
			error = write_number(cgroup, "memory.max", limits->memory_max);
	}
	if (error == 0 && limits->pids_max > 0) {
		error = enable(hierarchy, parent, "+pids");
		if (error == 0)
			error = write_number(cgroup, "pids.max", limits->pids_max);
	}
	if (error == 0 && limits->cpus) {
		error = enable(hierarchy, parent, "+cpuset");
		if (error == 0)
			error = write_file(cgroup, "cpuset.cpus", limits->cpus);
	}
	return error;
}

int isolate_cgroup_make(const char *name, const struct isolate_limits *limits)
{
	int hierarchy BASE_AUTO_FD = open_hierarchy();
	int parent BASE_AUTO_FD = -1;
	int cgroup BASE_AUTO_FD = -1;
	int error;

	if (hierarchy < 0)
		return hierarchy;
	if (!is_name(name))
		return -EINVAL;
	if (mkdirat(hierarchy, "cordon", 0755) < 0 && errno != EEXIST)
		return -errno;
	parent = open_directory(hierarchy, "cordon");
	if (parent < 0)
		return parent;
	if (mkdirat(parent, name, 0755) < 0)
		return -errno;
	cgroup = open_directory(parent, name);
	error = cgroup < 0 ? cgroup : set_limits(hierarchy, parent, cgroup, limits);
	if (error < 0) {
		unlinkat(parent, name, AT_REMOVEDIR);
		return error;
	}
	return base_take_fd(&cgroup);
}

/* 1 when a process is in it, 0 when none is. */
static int is_populated(int events)
{
	char text[256];
	ssize_t length = pread(events, text, sizeof(text) - 1, 0);

	if (length < 0)
		return -errno;
	text[length] = '\0';
	return strstr(text, "populated 1") != NULL;
}

/* Kills what is in it, and waits until the kernel says that it is gone. */
static int empty(int cgroup)
{
	int events BASE_AUTO_FD = openat(cgroup, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd change = {.fd = events, .events = POLLPRI};
	int populated, ready, error;

	if (events < 0)
		return -errno;
	error = write_file(cgroup, "cgroup.kill", "1");
	if (error < 0)
		return error;
	for (;;) {
		populated = is_populated(events);
		if (populated <= 0)
			return populated;
		ready = poll(&change, 1, KILL_WAIT_MS);
		if (ready < 0 && errno != EINTR)
			return -errno;
		if (ready == 0)
			return -ETIMEDOUT;
	}
}

int isolate_cgroup_remove(const char *name)
{
	int parent BASE_AUTO_FD = -1;
	int cgroup BASE_AUTO_FD = -1;
	int hierarchy BASE_AUTO_FD = open_hierarchy();
	int error;

	if (hierarchy < 0)
		return hierarchy == -ENOTSUP ? 0 : hierarchy;
	if (!is_name(name))
		return -EINVAL;
	parent = open_directory(hierarchy, "cordon");
	if (parent >= 0)
		cgroup = open_directory(parent, name);
	if (parent == -ENOENT || cgroup == -ENOENT)
		return 0;
	if (parent < 0 || cgroup < 0)
		return parent < 0 ? parent : cgroup;
	error = empty(cgroup);
	if (error < 0)
		return error;
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}
