/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: puts a process into its role.
 *
 * A role is entered in named stages. isolate_spawn() does the first two from outside, so that the
 * program it starts has never run with more than its role:
 *   1. outside   fds gathered and numbered, cgroup chosen
 *   2. enclosed  new mount, network, IPC, UTS (and PID where asked) namespaces; an empty root;
 *                own uid and gid, no groups, no capabilities, no_new_privs, rlimits; Landlock
 *   3. locked    the program itself, as the last act before its first guest byte, installs the
 *                seccomp list of its role with isolate_lock()
 * isolate_enter() is stages 2 and 3 for a process that must open something as root first (capture,
 * the policy parser).
 *
 * The seccomp lists are written as comments beside the code that needs the call:
 *     #syscall blk: preadv - reads the disk for a guest's request
 *     #syscall all: mmap(2 !& PROT_EXEC) - malloc grows; never executable
 * and compiled into BPF when cordon is built (isolate/seccompgen). A line without a reason is refused.
 */
#ifndef CORDON_ISOLATE_H
#define CORDON_ISOLATE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct isolate_fd {
	int from; /* the caller's */
	int to;   /* the number that the program sees; 0, 1, 2 not named here are /dev/null */
};

enum isolate_flags {
	ISOLATE_KEEP_NET = 1,  /* stay in the caller's network namespace (dnsmasq) */
	ISOLATE_KEEP_ROOT = 2, /* the root is read-only binds of `binds` and nothing else */
	ISOLATE_PDEATHSIG = 4, /* SIGKILL when the thread that started it dies */
	/*
	 * isolate_enter() only, for a caller that is not root: keeps uid, gid and namespaces; the
	 * rest (fds, limits, capabilities, no_new_privs, Landlock, seccomp) is as for all.
	 */
	ISOLATE_UNPRIVILEGED = 8,
};

enum {
	ISOLATE_FDS_MAX = 64, /* that can be handed to one process */
	ISOLATE_BINDS_MAX = 32,
	ISOLATE_REPORT_FD = 96, /* targets are below; this and the next exist until the exec */
	ISOLATE_EXEC_FD = 97,
	ISOLATE_FD_END = 98,
};

struct isolate_process {
	const char *name;  /* for messages */
	int binary;        /* fd of the program; executed with execveat */
	char *const *argv; /* NULL-terminated */
	uid_t uid;
	gid_t gid;
	const struct isolate_fd *fds;
	size_t fd_count;
	int cgroup;         /* fd of a cgroup v2 directory, or -1 */
	unsigned int flags; /* enum isolate_flags */
	/*
	 * With ISOLATE_KEEP_ROOT: absolute paths, NULL-terminated; "w:/path" is writable. What is
	 * mounted below a path is not part of it.
	 */
	const char *const *binds;
	/*
	 * RLIMIT_FSIZE in bytes: a regular file cannot be written beyond it, whether it grows or not
	 * (SIGXFSZ). So it is the disk's size for a disk, the log's for a log; 0: no file is written.
	 */
	uint64_t file_size_max;
	uint64_t open_files_max;    /* RLIMIT_NOFILE; 0: just what it was handed and a few */
	uint64_t memory_locked_max; /* RLIMIT_MEMLOCK in bytes; 0: as it is */
	/* The one capability that it keeps, as a bit; 0 for all but who has nothing to do with guests' bytes. */
	uint64_t capability;
	/*
	 * NULL, or installed before exec (programs that are not ours). Such a list needs
	 * execveat(arg0 = 97, arg4 = AT_EMPTY_PATH) and write(arg0 = 96): ISOLATE_EXEC_FD, _REPORT_FD.
	 */
	const struct sock_fprog *list;
};

/*
 * Starts the program in its role, up to stage 2, with an empty environment. Returns its pid once the
 * program has been executed, or a negative errno that the child met (and *stage, when not NULL, names
 * the stage that failed, a static string). Nothing is left behind on failure. The caller reaps it.
 *
 * The program is the first of a PID namespace of its own: it sees no other process, what it might
 * leave dies with it, its getpid() is 1, and a signal that it has no handler for does nothing unless
 * it is SIGKILL, SIGSTOP or the kernel's own (a fault, seccomp).
 */
pid_t isolate_spawn(const struct isolate_process *process, const char **stage);

/*
 * Gives the calling process a core-scheduling cookie that nobody else has: while a thread with it
 * runs, a sibling hyperthread runs none without it. What it starts afterwards inherits the cookie, so
 * whoever starts a VM's processes takes one first. -ENODEV where the kernel or the processor (no SMT)
 * has no core scheduling.
 */
int isolate_core_new(void);

/*
 * A role that a running process puts itself into: stages 2 and 3 at once. It must have one thread
 * (else -EBUSY) and be root unless ISOLATE_UNPRIVILEGED; it stays in its PID namespace, because a
 * process cannot change that. After an error it is halfway in, and can only end.
 */
struct isolate_role {
	uid_t uid;
	gid_t gid;
	const struct isolate_fd *fds; /* every other fd is closed */
	size_t fd_count;
	unsigned int flags;
	uint64_t file_size_max;
	const struct sock_fprog *list;
};
int isolate_enter(const struct isolate_role *role);

/* Stage 3: installs a compiled list for all threads (TSYNC). Returns 0 or a negative errno. */
int isolate_lock(const struct sock_fprog *list);

/* What a role's list allows, for `check --explain`: made by seccompgen beside each list. */
struct isolate_syscall {
	const char *name;   /* the call */
	const char *rule;   /* the condition on its arguments, or "" */
	const char *reason; /* why the role needs it */
};

/* True when this kernel can do what roles need; else *missing names the first thing that it cannot. */
bool isolate_host_check(const char **missing);

/*
 * cgroup v2: /sys/fs/cgroup/cordon/NAME. isolate_cgroup_make() returns an O_PATH|O_DIRECTORY fd, or
 * -ENOTSUP where the host has no cgroup v2 hierarchy; memory_max, pids_max in bytes and tasks, 0: no
 * limit; cpus as a cpuset list ("2-3") or NULL. A limit that cannot be set is an error.
 */
struct isolate_limits {
	uint64_t memory_max;
	uint32_t pids_max;
	const char *cpus;
};
int isolate_cgroup_make(const char *name, const struct isolate_limits *limits);
/* Kills what is left in it and removes it; 0 also when there is none. */
int isolate_cgroup_remove(const char *name);

/* uids: each VM slot owns ISOLATE_UIDS_PER_VM of them, starting at ISOLATE_UID_BASE. */
enum { ISOLATE_UID_BASE = 2000000000, ISOLATE_UIDS_PER_VM = 32 };
static inline uid_t isolate_uid(uint32_t slot, uint32_t index)
{
	return (uid_t)ISOLATE_UID_BASE + slot * ISOLATE_UIDS_PER_VM + index;
}

#endif
