/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * launch: what is gathered before a VM's first process starts. open.c opens it, plan.c says who gets what of
 * it, spawn.c starts them, launch.c keeps the order.
 */
#ifndef CORDON_LAUNCH_H
#define CORDON_LAUNCH_H

#include "cordon/host.h"
#include "isolate/isolate.h"

enum {
	LAUNCH_ARGS_MAX = 128,
	LAUNCH_FDS_MAX = 48,
	LAUNCH_DEVICES_MAX = VMM_DEVICES_MAX,
	LAUNCH_CMDLINE_MAX = POLICY_CMDLINE_MAX + 256
};

struct launch {
	const struct policy *policy;
	int kvm, memory, kernel, initrd;      /* fds; initrd may be -1 */
	int firmware, sev, id_block, id_auth; /* of a confidential guest, or -1 */
	int control, console, balloon;        /* listening sockets; balloon may be -1 */
	int console_size, console_log;        /* of a virtio console, or -1 */
	int vsock;   /* listening, for those who connect to the guest, or -1 */
	int dial[2]; /* cordon-vsock's end and cordon-dial's, or -1 */
	int serial_log, serial_old, log;
	int last;            /* what the vmm leaves its last counters in */
	bool again;          /* after a reset: the logs go on */
	bool watchdog_fired; /* and why */
	int limits;          /* the page that devices read */
	int names;           /* the file with the policy's names, or -1 */
	int disks[POLICY_DISKS_MAX];
	bool disk_read_only[POLICY_DISKS_MAX];
	size_t disk_count;
	uint64_t disk_size_max;
	int taps[POLICY_NICS_MAX][POLICY_QUEUES_MAX]; /* the queues of each */
	int vhosts[POLICY_VHOST_MAX]; /* connected sockets of back ends that are not ours */
	int cgroup;
	int node;           /* NUMA node of guest memory, or -1 */
	int status, record; /* the keeper's: pipe to whoever watches, file that outlives it */
	char cmdline[LAUNCH_CMDLINE_MAX];
};

void launch_init(struct launch *launch, const struct policy *policy);
void launch_close(struct launch *launch);
/* Opens all but the taps; on failure what is open stays launch_close()'s. */
int launch_open(struct launch *launch, const char *dir, struct host_error *error);
/* A socket in the VM's folder: listening, unless it is for datagrams. An fd, or a negative errno. */
int launch_listen(const char *vm, const char *file, int type, mode_t mode, bool group);

/* vsock.c: the part of launch_open() that is the vsock's. */
int launch_vsock(struct launch *launch, struct host_error *error);

/*
 * Starts the devices, dnsmasq and the vmm, each in its role, as children of a keeper; fills in
 * vm->processes and vm->keeper. On failure everything that it started is dead and reaped.
 */
int spawn_vm(const struct launch *launch, struct host_vm *vm, struct host_error *error);

/* limit.c: makes the VM's page of limits from the policy; an fd for reading it, or a negative errno. */
int limit_create(const struct policy_vm *vm);

/*
 * confidential.c: what such a guest starts with, and /dev/sev where its type needs it. launch_confidential_plan() is how
 * cordon-vmm has them: its fds from number `first` on, how many, its option, and what its limits have to be then.
 */
enum { LAUNCH_CC_FDS = 4, LAUNCH_CC_TEXT = 256 };
int launch_confidential(struct launch *launch, const char *dir, struct host_error *error);
size_t launch_confidential_plan(const struct launch *launch, int first,
                                struct isolate_process *process,
                                struct isolate_fd fds[LAUNCH_CC_FDS], char option[LAUNCH_CC_TEXT]);

/* images.c: opens a kernel by path or by an image's name; *initrd and *disk are -1 where it has none. */
int images_open(const char *kernel, const char *dir, int *kernel_fd, int *initrd_fd, int *disk_fd,
                struct host_error *error);
/* Opens a path that is absolute or relative to `dir`. */
int images_open_path(const char *path, const char *dir, int flags, struct host_error *error);
bool images_has_vhost_disk(const struct policy_vm *vm);
/* The kernel's command line, of at most LAUNCH_CMDLINE_MAX bytes with its NUL: cordon's part, and the policy's. */
void images_cmdline(const struct policy_vm *vm, bool image_disk, char *text, size_t size);

#endif
