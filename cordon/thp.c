/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transparent huge pages for guest memory. Guest memory is a memfd, and for those Linux has them off:
 * each 4 KiB that a guest touches for the first time is a VM exit and a page fault, 33,000 of them
 * until Debian's init. "advise" gives them to mappings that ask (madvise(MADV_HUGEPAGE), as the vmm
 * does) and to nobody else. What the administrator has set to anything but "never" stays.
 */
#include <fcntl.h>

#include "base/base.h"
#include "cordon/host.h"

#define THP_SETTING "/sys/kernel/mm/transparent_hugepage/shmem_enabled"
#define THP_NOTE    HOST_RUN_DIR "/thp-was-never"

static int thp_write(const char *value)
{
	BASE_AUTO_FD int fd = open(THP_SETTING, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return base_write_all(fd, value, strlen(value));
}

/* Whether that is the setting: the kernel puts the one that is in force into brackets. */
static bool thp_is(const char *bracketed)
{
	char setting[128] = "";
	BASE_AUTO_FD int fd = open(THP_SETTING, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, setting, sizeof(setting) - 1) > 0 && strstr(setting, bracketed);
}

void thp_on(void)
{
	/* a kernel without them, or a container in which sysfs is read-only: small pages do too */
	if (!thp_is("[never]"))
		return;
	/* The note first: a crash between the two leaves a note to put back what is already so. */
	if (registry_write_file(THP_NOTE, "never\n", 6, 0600) < 0 || thp_write("advise\n") < 0)
		return;
	fprintf(stderr,
	        "cordon: memfds got no huge pages; while guests run, those that ask for them do\n");
}

void thp_restore(void)
{
	if (access(THP_NOTE, F_OK) < 0)
		return;
	/* somebody who has changed it meanwhile means it */
	if (!thp_is("[advise]") || thp_write("never\n") == 0)
		unlink(THP_NOTE);
}
