/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * program: what the device programs share: their command line, the socket, the sandbox, main().
 * Each device file NAME.c defines `device_NAME`; the name by which cordon-device was started, cordon-NAME, says
 * which of them a process is.
 */
#ifndef CORDON_VMM_DEVICES_PROGRAM_H
#define CORDON_VMM_DEVICES_PROGRAM_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vmm/devices/vhost_back.h"

struct device_option {
	const char *name;  /* as on the command line, without the dashes */
	const char *value; /* what to call its value in the usage, or NULL when it takes none */
	bool required;
	/* Negative errno for a value that is not possible. */
	int (*set)(void *self, const char *value);
};

struct device_program {
	const struct vhost_device_ops *ops;
	const struct device_option *options;
	size_t option_count;
	size_t state_size;             /* of `self`, zeroed before the first option is set */
	const struct sock_fprog *list; /* its seccomp list */
	/*
	 * After the options, before the sandbox: examines the fds that it was given, and watches the
	 * one that guest data does not come from. On failure *why is one phrase.
	 */
	int (*open)(void *self, struct vhost_back *back, const char **why);
};

/* What every device program is told. */
struct device_arguments {
	int vhost;
	const char *socket;
	bool sandbox;
	uint32_t given; /* a bit a device option */
};

/* Sets *a, and the device's options in `self`. -EINVAL or -ENOENT when something is wrong, which is logged. */
int device_arguments_parse(const struct device_program *program, void *self, char **argv,
                           struct device_arguments *a);
void device_usage(const struct device_program *program);

/* A decimal number in [low, high]. -EINVAL for anything else. */
int device_number(const char *text, uint64_t low, uint64_t high, uint64_t *number);
/* An fd that was handed over: none of the three standard ones. The same errors. */
int device_fd(const char *text, int *fd);

#endif
