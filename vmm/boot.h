/* SPDX-License-Identifier: GPL-2.0-or-later */
/* boot: what lies in guest memory before the first instruction, and how the boot vCPU enters it. */
#ifndef CORDON_VMM_BOOT_H
#define CORDON_VMM_BOOT_H

#include "confidential/confidential.h"
#include "vmm/vm.h"

/* The layout below 1 MiB, all ours until the kernel takes it. */
enum {
	BOOT_GDT = 0x500,
	BOOT_START_INFO = 0x6000,  /* PVH */
	BOOT_ZERO_PAGE = 0x7000,   /* bzImage */
	BOOT_PAGE_TABLES = 0x9000, /* PML4, PDPT, four PDs */
	BOOT_CMDLINE = 0x20000,
	BOOT_CMDLINE_MAX = 4096, /* with its NUL */
	BOOT_LOW_RAM_END = 0x9fc00,
	BOOT_GENERATION = 0xdf000, /* the VM generation id, on a page of its own */
	BOOT_ACPI = 0xe0000,       /* to 1 MiB: where a kernel would also search for the RSDP */
	BOOT_ACPI_SIZE = 0x1f000,
	BOOT_RESET_VECTOR = 0xffff0, /* F000:FFF0 */
	BOOT_HIGH = 0x100000,

	BOOT_FILE_MAX = 1 << 30, /* of what is read whole */

	BOOT_GDT_ENTRIES = 5,
	BOOT_SELECTOR_CODE = 0x10, /* __BOOT_CS and __BOOT_DS of the 64-bit boot protocol */
	BOOT_SELECTOR_DATA = 0x18,
	BOOT_SELECTOR_TASK = 0x20,
};

struct boot_source {
	int kernel;          /* readable; an ELF with a PVH note, a bzImage, or an IGVM file */
	int initrd;          /* readable, or -1 */
	const char *cmdline; /* at most BOOT_CMDLINE_MAX - 1 bytes */
	bool watchdog;       /* there is one, and the tables tell of it */
};

/* Loads all of it, writes the ACPI tables, and says how the boot vCPU starts. */
int boot_prepare(struct machine *m, const struct boot_source *source, unsigned int vcpus,
                 struct vcpu_start *start, char *why);

enum { BOOT_MAP_MAX = 6, BOOT_MAP_RAM = 1, BOOT_MAP_RESERVED = 2 };
struct boot_map { /* types as in e820 and in PVH's memory map */
	uint64_t base, size;
	uint32_t type;
};
/* The memory map that the guest is told. Returns the number of entries. */
size_t boot_map(const struct machine *m, struct boot_map map[BOOT_MAP_MAX]);

/* boot_igvm.c: a guest that is described by a file of its own. */
enum { BOOT_MADT_MAX = 1024 };
struct boot_host { /* what such a guest is told of its host */
	struct launch_host told;
	struct launch_range map[BOOT_MAP_MAX];
	uint8_t madt[BOOT_MADT_MAX];
};
/* The cmdline stays the caller's; `host` is not to be moved. -ENOSPC with `why`. */
int boot_igvm_host(const struct machine *m, const char *cmdline, unsigned int vcpus,
                   struct boot_host *host, char *why);
/* A file of at most `max` bytes in memory, for the caller to free, with a byte of 0 behind it. `what` it is, for `why`. */
int boot_read(int fd, const char *what, uint64_t max, uint8_t **bytes, size_t *size, char *why);
/* The same of an IGVM file. -ENOEXEC: it is none. */
int boot_igvm_read(int fd, uint8_t **bytes, size_t *size, char *why);
/* boot_prepare() for an IGVM file, of its platform without encryption. -ENOEXEC: it is another file. */
int boot_igvm(struct machine *m, const struct boot_source *source, unsigned int vcpus,
              struct vcpu_start *start, char *why);
/* The ACPI tables, and code that resets the guest. */
int boot_tables(struct machine *m, const struct boot_source *source, unsigned int vcpus, char *why);

#endif
