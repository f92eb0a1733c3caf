// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_fixture: guest memory and small machines for the tests of vmm/. */
#include "tests/unit/vmm_fixture.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/base.h"

int vmm_fixture_memfd(uint64_t size)
{
	int fd BASE_AUTO_FD = memfd_create("guest", MFD_ALLOW_SEALING | MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	return base_take_fd(&fd);
}

int vmm_fixture_file(const void *data, size_t size)
{
	int fd BASE_AUTO_FD = memfd_create("file", MFD_CLOEXEC);

	if (fd < 0 || base_write_all(fd, data, size) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return -1;
	return base_take_fd(&fd);
}
