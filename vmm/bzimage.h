/* SPDX-License-Identifier: GPL-2.0-or-later */
/* bzimage: the header of a Linux/x86 kernel image, checked (Documentation/arch/x86/boot.rst). */
#ifndef CORDON_VMM_BZIMAGE_H
#define CORDON_VMM_BZIMAGE_H

#include <asm/bootparam.h>
#include <stdint.h>

struct bzimage {
	struct setup_header header;
	uint64_t code, code_size;       /* the protected-mode kernel in the file */
	uint64_t payload, payload_size; /* the compressed kernel in the file */
};

/*
 * Reads and checks the header of the image in fd: every offset that *image names lies in the file.
 * 0; -ENOEXEC when it is no bzImage; another negative errno with one sentence in why[160].
 */
int bzimage_read(int fd, struct bzimage *image, char *why);

#endif
