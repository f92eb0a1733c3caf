// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_start: runs cordon-vmm by itself, for the rig's tests of the machine: opens what cordond would
 * open, makes the guest's memory, and becomes the vmm.
 *
 *   vmm_start VMM KERNEL INITRD|- MEMORY_MIB [OPTION OF THE VMM...]
 */
#include <fcntl.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"

enum { START_ARGUMENTS_MAX = 64, START_FIXED = 5 };

static char *start_number(uint64_t number)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return strdup(text);
}

int main(int argc, char *argv[])
{
	char *list[START_ARGUMENTS_MAX];
	uint64_t memory;
	int count = 0;

	if (argc < START_FIXED || argc > START_ARGUMENTS_MAX - 16) {
		fprintf(stderr, "usage: vmm_start VMM KERNEL INITRD|- MEMORY_MIB [OPTION...]\n");
		return 2;
	}
	memory = strtoull(argv[4], NULL, 10) << 20;
	list[count++] = argv[1];
	list[count++] = (char *)"--kvm";
	list[count++] = start_number((uint64_t)open("/dev/kvm", O_RDWR));
	list[count++] = (char *)"--memory";
	list[count++] = start_number(memory);
	list[count++] = (char *)"--memfd";
	list[count++] = start_number((uint64_t)fcntl(vmm_fixture_memfd(memory), F_DUPFD, 10));
	list[count++] = (char *)"--kernel";
	list[count++] = start_number((uint64_t)open(argv[2], O_RDONLY));
	if (strcmp(argv[3], "-") != 0) {
		list[count++] = (char *)"--initrd";
		list[count++] = start_number((uint64_t)open(argv[3], O_RDONLY));
	}
	for (int i = START_FIXED; i < argc; i++)
		list[count++] = argv[i];
	list[count] = NULL;
	execv(argv[1], list);
	perror(argv[1]);
	return 127;
}
