/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: new namespaces, and a root with nothing in it.
 *
 * The new root is a tmpfs that is mounted over "/" and pivoted to. Binds (ISOLATE_KEEP_ROOT) are
 * taken as detached copies while the old root is still there, and attached after it is gone, so that
 * no symbolic link on the way can lead back into it.
 */
#include "isolate/private.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { EMPTY_ROOT = MS_NOSUID | MS_NODEV | MS_NOEXEC };

int isolate_namespaces_enter(unsigned int flags)
{
	static const char hostname[] = "cordon"; /* the host's own is nobody's business */
	int namespaces = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

	if (!(flags & ISOLATE_KEEP_NET))
		namespaces |= CLONE_NEWNET;
	if (unshare(namespaces) < 0 || sethostname(hostname, sizeof(hostname) - 1) < 0)
		return -errno;
	return 0;
}

/* A detached copy of what is mounted at the bind's path; returns its fd. */
static int detach_bind(const char *bind)
{
	struct mount_attr attributes = {.attr_set = MOUNT_ATTR_NOSUID};
	struct stat status;
	bool writable;
	const char *path = isolate_bind_path(bind, &writable);
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || fstat(fd, &status) < 0)
		return -errno;
	/* a bind that is itself a device (/dev/urandom) is meant to be that device */
	if (!S_ISCHR(status.st_mode))
		attributes.attr_set |= MOUNT_ATTR_NODEV;
	if (!writable)
		attributes.attr_set |= MOUNT_ATTR_RDONLY;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
		return -errno;
	return fd;
}

/* Makes the directories above the last name of the path. */
static int make_parents(char *path)
{
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		int failed;

		*slash = '\0';
		failed = mkdir(path, 0755) < 0 && errno != EEXIST;
		*slash = '/';
		if (failed)
			return -errno;
	}
	return 0;
}

static int attach_bind(int fd, const char *bind)
{
	bool writable;
	const char *wanted = isolate_bind_path(bind, &writable);
	char path[PATH_MAX];
	struct stat status;
	int error;

	if (wanted[0] != '/' || strlen(wanted) >= sizeof(path))
		return -EINVAL;
	memcpy(path, wanted, strlen(wanted) + 1);
	if (fstat(fd, &status) < 0)
		return -errno;
	error = make_parents(path);
	if (error < 0)
		return error;
	if (S_ISDIR(status.st_mode))
		error = mkdir(path, 0755);
	else
		error = mknod(path, S_IFREG | 0644, 0);
	if (error < 0 && errno != EEXIST)
		return -errno;
	if (syscall(SYS_move_mount, fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -errno;
	return 0;
}

/* Mounts the new root over "/", goes there, and lets the old one go. */
static int pivot(void)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if (mount("cordon", "/", "tmpfs", EMPTY_ROOT, "size=4k,nr_inodes=256,mode=0755") < 0)
		return -errno;
	/* A path from "/" still starts below the new mount; "/.." follows to what is mounted there. */
	if (chdir("/..") < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
		return -errno;
	/* The old root is now mounted over the new one. */
	return umount2(".", MNT_DETACH) < 0 ? -errno : 0;
}

int isolate_root_enter(const char *const *binds)
{
	int fds[ISOLATE_BINDS_MAX];
	size_t count = 0;
	mode_t mask;
	int error;

	for (; binds && binds[count]; count++) {
		if (count == ISOLATE_BINDS_MAX)
			return -EINVAL;
		fds[count] = detach_bind(binds[count]);
		if (fds[count] < 0)
			return fds[count];
	}
	error = pivot();
	mask = umask(022);
	for (size_t i = 0; i < count && error == 0; i++) {
		error = attach_bind(fds[i], binds[i]);
		close(fds[i]);
	}
	umask(mask);
	if (error < 0)
		return error;
	if (chdir("/") < 0 || mount(NULL, "/", NULL, MS_REMOUNT | MS_RDONLY | EMPTY_ROOT, NULL) < 0)
		return -errno;
	return 0;
}
