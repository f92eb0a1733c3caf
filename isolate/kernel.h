/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Definitions of Linux's user-space ABI that Debian 12's headers (6.1) lack: Landlock ABI 3 to 6. */
#ifndef CORDON_ISOLATE_KERNEL_H
#define CORDON_ISOLATE_KERNEL_H

#include <linux/landlock.h>
#include <linux/types.h>

/* struct landlock_ruleset_attr as of ABI 6; an older kernel is given as many bytes as it knows. */
struct isolate_landlock_ruleset {
	__u64 handled_access_fs;
	__u64 handled_access_net; /* ABI 4 */
	__u64 scoped;             /* ABI 6 */
};
_Static_assert(sizeof(struct isolate_landlock_ruleset) == 24, "as the kernel has it");

#define ISOLATE_LANDLOCK_FS_TRUNCATE         (1ULL << 14) /* ABI 3 */
#define ISOLATE_LANDLOCK_FS_IOCTL_DEV        (1ULL << 15) /* ABI 5 */
#define ISOLATE_LANDLOCK_NET_BIND_TCP        (1ULL << 0)
#define ISOLATE_LANDLOCK_NET_CONNECT_TCP     (1ULL << 1)
#define ISOLATE_LANDLOCK_SCOPE_ABSTRACT_UNIX (1ULL << 0)
#define ISOLATE_LANDLOCK_SCOPE_SIGNAL        (1ULL << 1)

#endif
