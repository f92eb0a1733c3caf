/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: what every role needs, and isolate_lock(), the last act before a role's first guest byte.
 *
 * These are the calls that the C library makes by itself in a static program, and the ways to end.
 * Nothing here opens, connects, starts or maps anything executable. Each further call is declared
 * beside the code that makes it.
 *
 * #syscall all: exit_group - the process ends
 * #syscall all: exit - a thread ends
 * #syscall all: rt_sigreturn - a signal handler returns
 * #syscall all: restart_syscall - the kernel restarts a sleep that a stop interrupted
 * #syscall all: brk - malloc grows
 * #syscall all: mmap(arg2 !& PROT_EXEC) - malloc grows; never executable
 * #syscall all: munmap - free gives memory back
 * #syscall all: clock_gettime - the time, where the vDSO cannot tell it
 * #syscall all: write(arg0 = 2) - messages to standard error
 * #syscall all: writev(arg0 = 2) - the C library's last words
 */
#include "isolate/isolate.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int isolate_lock(const struct sock_fprog *list)
{
	/*
	 * Exec has made the process dumpable again since isolate_spawn(); from here on nobody of the
	 * same uid may trace it or read its memory.
	 */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
	            SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, list) < 0)
		return -errno;
	return 0;
}
