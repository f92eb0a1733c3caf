/* SPDX-License-Identifier: GPL-2.0-or-later */
/* loader: the two kernel formats, read from a file into guest memory. */
#ifndef CORDON_VMM_LOADER_H
#define CORDON_VMM_LOADER_H

#include <asm/bootparam.h>

#include "vmm/vm.h"

enum loader_protocol { LOADER_PVH, LOADER_LINUX64 };

struct loader_kernel {
	enum loader_protocol protocol;
	uint64_t entry;
	uint64_t end;               /* guest memory below this, from 1 MiB on, is the kernel's */
	uint64_t initrd_max;        /* the initrd's last byte lies below this */
	size_t cmdline_max;         /* bytes, with the NUL */
	struct setup_header header; /* LOADER_LINUX64: as in the file */
};

/* Reads the kernel in fd into memory, whichever format it is. 0, or a negative errno with `why`. */
int loader_kernel(struct machine *m, int fd, struct loader_kernel *kernel, char *why);

/* The formats, for loader_kernel() and for tests. -ENOEXEC: not this format at all. */
int loader_elf(struct machine *m, int fd, struct loader_kernel *kernel, char *why);
int loader_bzimage(struct machine *m, int fd, struct loader_kernel *kernel, char *why);

#endif
