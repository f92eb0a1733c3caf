// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_unpack IN OUT: unpacks a bzImage to the ELF in it, as `cordon image import` does. */
#include <fcntl.h>

#include "base/base.h"
#include "vmm/vmm.h"
#include "base/why.h"

int main(int argc, char *argv[])
{
	char why[WHY_MAX] = "";
	int in, out;

	if (argc != 3)
		return 2;
	in = open(argv[1], O_RDONLY | O_CLOEXEC);
	out = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (in < 0 || out < 0) {
		perror(in < 0 ? argv[1] : argv[2]);
		return 1;
	}
	if (vmm_image_unpack(in, out, why) < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], why);
		return 1;
	}
	return 0;
}
