/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the monitor has learnt of each VM's NIC: HOST_BASELINE_DIR/NAME.NIC, which it cannot open itself. The file goes
 * by the VM's name, so it is there when the VM is started again, and copied to another host it goes with the VM.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"

static void baseline_path(char out[POLICY_PATH_MAX], const char *vm, size_t nic)
{
	snprintf(out, POLICY_PATH_MAX, HOST_BASELINE_DIR "/%s.%zu", vm, nic);
}

/* Its folder, with those above it. */
static int baseline_folder(void)
{
	char path[] = HOST_BASELINE_DIR;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	return mkdir(path, 0700) < 0 && errno != EEXIST ? -errno : 0;
}

int baseline_open(const char *vm, size_t nic, struct host_error *error)
{
	char path[POLICY_PATH_MAX];
	struct stat facts;
	int err = baseline_folder();

	baseline_path(path, vm, nic);
	BASE_AUTO_FD int fd =
	        err ? err
	            : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (!err && (fd < 0 || fstat(fd, &facts) < 0))
		err = -errno;
	else if (!err && !S_ISREG(facts.st_mode))
		err = -EINVAL;
	if (err)
		return host_fail(error, err, 126, "cannot open the baseline %s: %s", path,
		                 strerror(-err));
	return base_take_fd(&fd);
}

void baseline_set_aside(const char *vm, size_t nic)
{
	char path[POLICY_PATH_MAX], aside[POLICY_PATH_MAX + 8];

	baseline_path(path, vm, nic);
	snprintf(aside, sizeof(aside), "%s.broken", path);
	fprintf(stderr,
	        "cordon: the baseline %s is broken: it is %s now, and '%s' is learnt anew\n", path,
	        rename(path, aside) == 0 ? aside : "left out", vm);
}
