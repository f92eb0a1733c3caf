/* SPDX-License-Identifier: GPL-2.0-or-later */
/* options: the command line of cordon-vmm (vmm.h has its description). */
#ifndef CORDON_VMM_OPTIONS_H
#define CORDON_VMM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/board.h"
#include "vmm/measured.h"
#include "vmm/vm.h"

struct options_device {
	char type[8];
	int fd;
	const char *options; /* key=value text, or "" */
};

struct options {
	const char *name, *cmdline;
	unsigned int vcpus;
	struct cpuid_model cpu;
	int node;         /* NUMA node of guest memory, or -1 */
	uint64_t memory;  /* bytes */
	uint32_t private; /* enum cc_vm_type */
	struct measured_options measured;
	int kvm, memfd, kernel, initrd, firmware, control, console, serial_log, serial_old,
	        last; /* -1: not given */
	bool stdio, sandbox;
	struct board_options board;
	struct options_device devices[VMM_DEVICES_MAX];
	unsigned int device_count;
};

/* 0, or -EINVAL with one sentence in why[WHY_MAX]. The strings are argv's. */
int options_parse(struct options *options, int argc, char *const argv[], char *why);

#endif
