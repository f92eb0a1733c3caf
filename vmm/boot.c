// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * boot: puts the kernel, its initrd and command line, a memory map and the ACPI tables into guest
 * memory, and says how the boot vCPU enters. Two protocols:
 *   PVH         32-bit protected mode, paging off, EBX = hvm_start_info (xen/include/public/arch-x86/
 *               hvm/start_info.h)
 *   LINUX64     64-bit mode with the first 4 GiB mapped one to one, RSI = the zero page
 *               (Documentation/arch/x86/boot.rst, "64-bit Boot Protocol")
 * An IGVM file needs neither: boot_igvm.c.
 */
#include "vmm/boot.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/base.h"
#include "vmm/acpi.h"
#include "vmm/loader.h"
#include "vmm/power.h"

enum {
	BOOT_PAGE = 4096,
	BOOT_LOADER_UNDEFINED = 0xff,
	BOOT_PTE_TABLE = 0x3,  /* present, writable */
	BOOT_PTE_LARGE = 0x83, /* and a 2 MiB page */
	BOOT_PVH_MAGIC = 0x336ec578,
	BOOT_PVH_VERSION = 1,
};

struct boot_pvh_module {
	uint64_t address, size, cmdline, reserved;
};
struct boot_pvh_map {
	uint64_t base, size;
	uint32_t type, reserved;
};
struct boot_pvh_info {
	uint32_t magic, version, flags, modules;
	uint64_t module_list, cmdline, rsdp;
	uint64_t map; /* from version 1 */
	uint32_t map_entries, reserved;
};
struct boot_pvh_page { /* all of it, at BOOT_START_INFO */
	struct boot_pvh_info info;
	struct boot_pvh_module module;
	struct boot_pvh_map map[BOOT_MAP_MAX];
};
_Static_assert(sizeof(struct boot_pvh_info) == 56, "hvm_start_info version 1");
_Static_assert(sizeof(struct boot_pvh_page) < BOOT_PAGE, "fits before the zero page");

struct boot_initrd {
	uint64_t address, size;
};

int boot_read(int fd, const char *what, uint64_t max, uint8_t **bytes, size_t *size, char *why)
{
	BASE_AUTO_FREE uint8_t *file = NULL;
	struct stat status;
	int error;

	if (fstat(fd, &status) < 0)
		return why_set(why, -errno, "the %s cannot be examined", what);
	if (status.st_size < 0 || (uint64_t)status.st_size > max)
		return why_set(why, -EFBIG, "the %s has %lld bytes, where %llu are allowed", what,
		               (long long)status.st_size, (unsigned long long)max);
	*size = (size_t)status.st_size;
	file = malloc(*size + 1);
	if (!file)
		return why_set(why, -ENOMEM, "no memory for the %s of %zu bytes", what, *size);
	error = base_read_at(fd, file, *size, 0);
	if (error)
		return why_set(why, error, "the %s cannot be read: %s", what, strerror(-error));
	file[*size] = 0;
	*bytes = file;
	file = NULL;
	return 0;
}

size_t boot_map(const struct machine *m, struct boot_map map[BOOT_MAP_MAX])
{
	struct machine_region regions[2];
	size_t regions_count = machine_regions(m, regions), count = 0;

	map[count++] = (struct boot_map){0, BOOT_LOW_RAM_END, BOOT_MAP_RAM};
	map[count++] = (struct boot_map){BOOT_LOW_RAM_END, BOOT_HIGH - BOOT_LOW_RAM_END,
	                                 BOOT_MAP_RESERVED};
	map[count++] = (struct boot_map){BOOT_HIGH, regions[0].size - BOOT_HIGH, BOOT_MAP_RAM};
	map[count++] = (struct boot_map){MACHINE_ECAM_BASE, MACHINE_ECAM_SIZE, BOOT_MAP_RESERVED};
	if (regions_count > 1)
		map[count++] = (struct boot_map){regions[1].guest, regions[1].size, BOOT_MAP_RAM};
	return count;
}

/* As high as the kernel allows, so that the kernel and what it unpacks have the room below. */
static int boot_initrd(struct machine *m, int fd, const struct loader_kernel *kernel,
                       struct boot_initrd *initrd, char *why)
{
	uint64_t top = BASE_MIN(m->regions[0].size, kernel->initrd_max + 1);
	struct stat status;
	int error;

	*initrd = (struct boot_initrd){0};
	if (fd < 0)
		return 0;
	if (fstat(fd, &status) < 0)
		return why_set(why, -errno, "the initrd cannot be examined");
	initrd->size = (uint64_t)status.st_size;
	if (status.st_size <= 0 || initrd->size > top || kernel->end > top - initrd->size)
		return why_set(
		        why, -ENOSPC,
		        "the initrd has %lld bytes; guest memory has %lld left beside the kernel",
		        (long long)status.st_size, (long long)(top - kernel->end));
	initrd->address = (top - initrd->size) & ~(BOOT_PAGE - 1ull);
	if (initrd->address < kernel->end)
		return why_set(why, -ENOSPC, "the initrd does not fit into guest memory");
	error = base_read_at(fd, machine_memory(m, initrd->address, initrd->size), initrd->size, 0);
	return error ? why_set(why, error, "the initrd cannot be read: %s", strerror(-error)) : 0;
}

static int boot_cmdline(struct machine *m, const char *cmdline, const struct loader_kernel *kernel,
                        char *why)
{
	size_t size = strlen(cmdline) + 1;

	if (size > kernel->cmdline_max)
		return why_set(why, -E2BIG,
		               "the command line has %zu bytes; the kernel takes at most %zu",
		               size - 1, kernel->cmdline_max - 1);
	memcpy(machine_memory(m, BOOT_CMDLINE, size), cmdline, size);
	return 0;
}

static void boot_gdt(struct machine *m, bool long_mode)
{
	const uint64_t gdt[BOOT_GDT_ENTRIES] = {
	        [BOOT_SELECTOR_CODE / 8] =
	                long_mode ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull,
	        [BOOT_SELECTOR_DATA / 8] = 0x00cf93000000ffffull,
	        [BOOT_SELECTOR_TASK / 8] = 0x00008b0000000067ull,
	};

	memcpy(machine_memory(m, BOOT_GDT, sizeof(gdt)), gdt, sizeof(gdt));
}

/*
 * The only firmware there is. On a hardware-reduced platform Linux wants to reset through EFI
 * (efi_reboot_required()), and without EFI it jumps to the reset vector, not to the FADT's register.
 */
static void boot_reset_vector(struct machine *m)
{
	static const uint8_t code[] = {
	        0xba,
	        (POWER_PORT + POWER_RESET) & 0xff,
	        (POWER_PORT + POWER_RESET) >> 8, /* mov dx */
	        0xb0,
	        POWER_RESET_VALUE, /* mov al */
	        0xee,              /* out dx, al */
	        0xf4,              /* hlt */
	        0xeb,
	        0xfd, /* jmp -1 */
	};

	memcpy(machine_memory(m, BOOT_RESET_VECTOR, sizeof(code)), code, sizeof(code));
}

/* The first 4 GiB, one to one, in 2 MiB pages. */
static void boot_page_tables(struct machine *m)
{
	uint64_t *pml4 = machine_memory(m, BOOT_PAGE_TABLES, 6 * BOOT_PAGE);
	uint64_t *pdpt = pml4 + 512, *pd = pdpt + 512;

	pml4[0] = (BOOT_PAGE_TABLES + BOOT_PAGE) | BOOT_PTE_TABLE;
	for (uint64_t i = 0; i < 4; i++)
		pdpt[i] = (BOOT_PAGE_TABLES + (2 + i) * BOOT_PAGE) | BOOT_PTE_TABLE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		pd[i] = i << 21 | BOOT_PTE_LARGE;
}

static void boot_linux64(struct machine *m, const struct loader_kernel *kernel,
                         const struct boot_initrd *initrd, uint64_t rsdp, struct vcpu_start *start)
{
	struct boot_params *zero = machine_memory(m, BOOT_ZERO_PAGE, sizeof(*zero));
	struct boot_map map[BOOT_MAP_MAX];
	size_t count = boot_map(m, map);

	memset(zero, 0, sizeof(*zero));
	zero->hdr = kernel->header;
	zero->hdr.type_of_loader = BOOT_LOADER_UNDEFINED;
	zero->hdr.cmd_line_ptr = BOOT_CMDLINE;
	zero->hdr.ramdisk_image = (uint32_t)initrd->address;
	zero->hdr.ramdisk_size = (uint32_t)initrd->size;
	zero->hdr.setup_data = 0;
	zero->acpi_rsdp_addr = rsdp;
	zero->e820_entries = (uint8_t)count;
	for (size_t i = 0; i < count; i++)
		zero->e820_table[i] =
		        (struct boot_e820_entry){map[i].base, map[i].size, map[i].type};
	boot_page_tables(m);
	*start = (struct vcpu_start){.long_mode = true,
	                             .rip = kernel->entry,
	                             .rsi = BOOT_ZERO_PAGE,
	                             .cr3 = BOOT_PAGE_TABLES,
	                             .gdt = BOOT_GDT};
}

static void boot_pvh(struct machine *m, const struct loader_kernel *kernel,
                     const struct boot_initrd *initrd, uint64_t rsdp, struct vcpu_start *start)
{
	struct boot_pvh_page *page = machine_memory(m, BOOT_START_INFO, sizeof(*page));
	struct boot_map map[BOOT_MAP_MAX];
	size_t count = boot_map(m, map);

	memset(page, 0, sizeof(*page));
	page->info = (struct boot_pvh_info){
	        .magic = BOOT_PVH_MAGIC,
	        .version = BOOT_PVH_VERSION,
	        .modules = initrd->size > 0,
	        .module_list = BOOT_START_INFO + offsetof(struct boot_pvh_page, module),
	        .cmdline = BOOT_CMDLINE,
	        .rsdp = rsdp,
	        .map = BOOT_START_INFO + offsetof(struct boot_pvh_page, map),
	        .map_entries = (uint32_t)count,
	};
	page->module = (struct boot_pvh_module){.address = initrd->address, .size = initrd->size};
	for (size_t i = 0; i < count; i++)
		page->map[i] = (struct boot_pvh_map){map[i].base, map[i].size, map[i].type, 0};
	*start = (struct vcpu_start){.rip = kernel->entry, .rbx = BOOT_START_INFO, .gdt = BOOT_GDT};
}

int boot_tables(struct machine *m, const struct boot_source *source, unsigned int vcpus, char *why)
{
	const struct acpi_config tables = {.vcpus = vcpus, .watchdog = source->watchdog};

	if (!acpi_write(machine_memory(m, BOOT_ACPI, BOOT_ACPI_SIZE), BOOT_ACPI, BOOT_ACPI_SIZE,
	                &tables))
		return why_set(why, -ENOSPC, "the ACPI tables do not fit");
	boot_reset_vector(m);
	return 0;
}

int boot_prepare(struct machine *m, const struct boot_source *source, unsigned int vcpus,
                 struct vcpu_start *start, char *why)
{
	struct boot_initrd initrd;
	struct loader_kernel kernel;
	int error = boot_igvm(m, source, vcpus, start, why);

	if (error != -ENOEXEC)
		return error;
	error = loader_kernel(m, source->kernel, &kernel, why);
	if (!error)
		error = boot_initrd(m, source->initrd, &kernel, &initrd, why);
	if (!error)
		error = boot_cmdline(m, source->cmdline, &kernel, why);
	if (!error)
		error = boot_tables(m, source, vcpus, why);
	if (error)
		return error;
	boot_gdt(m, kernel.protocol == LOADER_LINUX64);
	if (kernel.protocol == LOADER_LINUX64)
		boot_linux64(m, &kernel, &initrd, BOOT_ACPI, start);
	else
		boot_pvh(m, &kernel, &initrd, BOOT_ACPI, start);
	return 0;
}
