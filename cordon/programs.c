/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where cordon's other programs are: in the build tree when this command runs from there (build/cordon/
 * cordon has them at ../vmm and so on), else where meson installed them. Never $PATH: what is started
 * here gets fds that root opened.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>

#include "base/base.h"

static const char *const programs_folders[] = {
        "", "../vmm/", "../vmm/devices/", "../monitor/", "../firewall/", "../confidential/"};

int programs_path(char out[POLICY_PATH_MAX], const char *name)
{
	char self[POLICY_PATH_MAX - 64];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	dirname(self);
	for (size_t i = 0; i < BASE_COUNT(programs_folders); i++) {
		snprintf(out, POLICY_PATH_MAX, "%s/%s%s", self, programs_folders[i], name);
		if (access(out, R_OK) == 0)
			return 0;
	}
	snprintf(out, POLICY_PATH_MAX, "%s/%s", CORDON_LIBEXECDIR, name);
	return access(out, R_OK) == 0 ? 0 : -errno;
}

int programs_open(const char *name, struct host_error *error)
{
	char path[POLICY_PATH_MAX];
	struct stat facts;
	int err = programs_path(path, name);
	BASE_AUTO_FD int fd = err ? -1 : open(path, O_PATH | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &facts) < 0)
		return host_fail(error, err ? err : -errno, 125,
		                 "cannot find the program %s beside this command or in %s", name,
		                 CORDON_LIBEXECDIR);
	/* It will be run by root: nobody else may have written it. */
	if (!S_ISREG(facts.st_mode) || (facts.st_mode & S_IWOTH))
		return host_fail(error, -EPERM, 125, "%s is writable by anybody, and is not run",
		                 path);
	return base_take_fd(&fd);
}
