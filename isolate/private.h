/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate, inside: the pieces that isolate_spawn() and isolate_enter() put together.
 *
 * All of them run between clone and exec in a copy of a process that may have had threads, so they
 * are system calls and stack only: no allocation, no locks, no stdio. setresuid() and its like are
 * called raw, because the C library would wait for threads that the copy does not have. Each returns
 * 0 or a negative errno.
 */
#ifndef CORDON_ISOLATE_PRIVATE_H
#define CORDON_ISOLATE_PRIVATE_H

#include "isolate/isolate.h"

/* Gives the process exactly `fds`, and /dev/null for 0, 1, 2 that it has no other for. */
int isolate_fds_arrange(const struct isolate_fd *fds, size_t count);

int isolate_namespaces_enter(unsigned int flags);

/* Pivots to a read-only root that holds `binds` (NULL: nothing), and detaches the old one. */
int isolate_root_enter(const char *const *binds);

int isolate_limits_set(uint64_t file_size_max, uint64_t open_files_max, uint64_t memory_locked_max);

/* Own uid and gid, no groups, no capability in any set but `keep` (bits), no way to get one. */
int isolate_identity_take(uid_t uid, gid_t gid, uint64_t keep);

/* The part of it that needs no privilege: no capability, no new ones. */
int isolate_privileges_drop(void);

/* -EINVAL for root and for "no change", which would leave it what its parent is. */
int isolate_identity_check(uid_t uid, gid_t gid);

int isolate_keyring_leave(void);

/* Denies all files but `binary` (-1: none) and `binds` (NULL: none), and TCP unless keep_net. */
int isolate_landlock_enter(int binary, const char *const *binds, bool keep_net);

/* The running kernel's Landlock ABI version; 0: it has none. */
int isolate_landlock_version(void);

/* A bind's path, without the "w:" of a writable one. */
static inline const char *isolate_bind_path(const char *bind, bool *writable)
{
	*writable = bind[0] == 'w' && bind[1] == ':';
	return *writable ? bind + 2 : bind;
}

#endif
