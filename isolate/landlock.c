/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: Landlock, the second wall behind the empty root.
 *
 * Everything that the running kernel's ABI can deny is denied. What remains is reading and executing
 * the program itself (it is executed from an fd after this, and has no name in its root) and, for
 * ISOLATE_KEEP_ROOT, the binds. Files opened before are not affected.
 */
#include "isolate/kernel.h"
#include "isolate/private.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define READ_ACCESS \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ALL_ACCESS_1 (LANDLOCK_ACCESS_FS_REFER - 1) /* ABI 1 has every bit below REFER */
#define FILE_ACCESS                                                     \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE |    \
	 LANDLOCK_ACCESS_FS_WRITE_FILE | ISOLATE_LANDLOCK_FS_TRUNCATE | \
	 ISOLATE_LANDLOCK_FS_IOCTL_DEV) /* the ones that a rule about a file may have */

int isolate_landlock_version(void)
{
	long version =
	        syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version < 0 ? 0 : (int)version;
}

static struct isolate_landlock_ruleset everything(int version, bool keep_net)
{
	struct isolate_landlock_ruleset all = {.handled_access_fs = ALL_ACCESS_1};

	if (version >= 2)
		all.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
	if (version >= 3)
		all.handled_access_fs |= ISOLATE_LANDLOCK_FS_TRUNCATE;
	if (version >= 4 && !keep_net)
		all.handled_access_net =
		        ISOLATE_LANDLOCK_NET_BIND_TCP | ISOLATE_LANDLOCK_NET_CONNECT_TCP;
	if (version >= 5)
		all.handled_access_fs |= ISOLATE_LANDLOCK_FS_IOCTL_DEV;
	if (version >= 6)
		all.scoped = ISOLATE_LANDLOCK_SCOPE_ABSTRACT_UNIX | ISOLATE_LANDLOCK_SCOPE_SIGNAL;
	return all;
}

static size_t known_size(int version)
{
	if (version >= 6)
		return sizeof(struct isolate_landlock_ruleset);
	if (version >= 4)
		return offsetof(struct isolate_landlock_ruleset, scoped);
	return offsetof(struct isolate_landlock_ruleset, handled_access_net);
}

static int allow(int ruleset, int fd, uint64_t access)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	rule.allowed_access = S_ISDIR(status.st_mode) ? access : access & FILE_ACCESS;
	/* EBADFD: a memfd, which has no place in the tree that a rule could name, and needs none. */
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 &&
	    errno != EBADFD)
		return -errno;
	return 0;
}

static int allow_bind(int ruleset, const char *bind, uint64_t handled)
{
	bool writable;
	int fd = open(isolate_bind_path(bind, &writable), O_PATH | O_CLOEXEC);
	int error;

	if (fd < 0)
		return -errno;
	error = allow(ruleset, fd, writable ? handled : READ_ACCESS);
	close(fd);
	return error;
}

int isolate_landlock_enter(int binary, const char *const *binds, bool keep_net)
{
	int version = isolate_landlock_version();
	const struct isolate_landlock_ruleset all = everything(version, keep_net);
	int ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, known_size(version), 0);
	int error = 0;

	if (ruleset < 0)
		return -errno;
	if (binary >= 0)
		error = allow(ruleset, binary,
		              LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE);
	for (size_t i = 0; binds && binds[i] && error == 0; i++)
		error = allow_bind(ruleset, binds[i], all.handled_access_fs);
	if (error == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		error = -errno;
	close(ruleset);
	return error;
}
