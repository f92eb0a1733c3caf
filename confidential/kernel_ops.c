// SPDX-License-Identifier: GPL-2.0-or-later
/* kernel_ops: the table of flow.h, as the kernel itself. */
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "confidential/flow.h"

static int kernel_open(void *self, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	(void)self;
	return fd < 0 ? -errno : fd;
}

static int kernel_call(void *self, int fd, uint32_t request, void *argument)
{
	int result = ioctl(fd, (unsigned long)request, argument);

	(void)self;
	return result < 0 ? -errno : result;
}

static void kernel_close(void *self, int fd)
{
	(void)self;
	close(fd);
}

const struct cc_ops cc_kernel = {kernel_open, kernel_call, kernel_close};
