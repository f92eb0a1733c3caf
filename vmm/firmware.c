// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * firmware: what a guest that starts from OVMF finds beside its memory. The device fw_cfg has
 *
 *   numbers of processors, size of memory, etc/e820     OVMF sizes itself by them
 *   etc/acpi/rsdp, etc/acpi/tables, etc/table-loader    the tables that any other guest has in its memory
 *   kernel, initrd, command line                        what OVMF starts, if there is one
 *
 * A kernel is given as its file has it, its setup code and the rest one behind the other: that is what a hash of it is
 * of. It is read once, and that copy is both hashed and given. OVMF starts EFI programs only, as a bzImage is one.
 */
#include "vmm/firmware.h"

#include <endian.h>
#include <errno.h>
#include <time.h>

#include "base/base.h"
#include "vmm/measured.h"
#include "vmm/pci.h"

enum {
	FIRMWARE_E820 = 20, /* address (8), size (8), type (4) */
	FIRMWARE_SECTOR = 512,
	FIRMWARE_SETUP_SECTORS = 0x1f1, /* boot.rst: setup_sects, boot_flag, header */
	FIRMWARE_BOOT_FLAG = 0x1fe,
	FIRMWARE_HEADER = 0x202,
	FIRMWARE_HEADER_END = 0x206,
	FIRMWARE_SECTORS_DEFAULT = 4,
};

int firmware_load(struct machine *m, int fd, char *why)
{
	BASE_AUTO_FREE uint8_t *bytes = NULL;
	size_t size;
	int error = boot_read(fd, "firmware", VM_ROM_MAX, &bytes, &size, why);

	if (!error)
		error = vm_rom_map(m, size, why);
	if (error)
		return error;
	memcpy(m->rom.host, bytes, size);
	return 0;
}

/* ---- what fw_cfg has ---- */

static void firmware_map(struct firmware *firmware, const struct machine *m, uint32_t *size)
{
	*size = 0;
	for (size_t i = 0; i < m->region_count; i++) {
		const uint64_t fields[] = {htole64(m->regions[i].guest),
		                           htole64(m->regions[i].size)};
		const uint32_t type = htole32(BOOT_MAP_RAM);

		memcpy(firmware->e820 + *size, fields, sizeof(fields));
		memcpy(firmware->e820 + *size + sizeof(fields), &type, sizeof(type));
		*size += FIRMWARE_E820;
	}
}

static int firmware_tables(struct firmware *firmware, const struct acpi_config *config)
{
	struct acpi_loader *acpi = &firmware->acpi;
	struct fwcfg *f = &firmware->fwcfg;

	if (!acpi_loader_make(acpi, config))
		return -ENOSPC;
	return fwcfg_add_file(f, ACPI_LOADER_RSDP_FILE, acpi->rsdp, sizeof(acpi->rsdp))
	               ?: fwcfg_add_file(f, ACPI_LOADER_TABLES_FILE, acpi->tables,
	                                 (uint32_t)acpi->tables_size)
	               ?: fwcfg_add_file(f, ACPI_LOADER_SCRIPT_FILE, acpi->script,
	                                 (uint32_t)acpi->script_size);
}

static int firmware_machine(struct firmware *firmware, const struct machine *m,
                            const struct boot_source *source, unsigned int vcpus)
{
	const struct acpi_config config = {
	        .vcpus = vcpus, .watchdog = source->watchdog, .no_generation = machine_hidden(m)};
	struct fwcfg *f = &firmware->fwcfg;
	uint64_t memory = 0;
	uint32_t size;

	for (size_t i = 0; i < m->region_count; i++)
		memory += m->regions[i].size;
	firmware_map(firmware, m, &size);
	return fwcfg_add_number(f, FWCFG_NB_CPUS, vcpus, 2)
	               ?: fwcfg_add_number(f, FWCFG_MAX_CPUS, vcpus, 2)
	               ?: fwcfg_add_number(f, FWCFG_RAM_SIZE, memory, 8)
	               ?: fwcfg_add_file(f, "etc/e820", firmware->e820, size)
	               ?: firmware_tables(firmware, &config);
}

/* How much of a bzImage comes before its kernel; 0 of any other file. */
static uint32_t firmware_setup_size(const uint8_t *kernel, size_t size)
{
	uint32_t sectors;

	if (size < FIRMWARE_HEADER_END || base_le16(kernel + FIRMWARE_BOOT_FLAG) != 0xaa55 ||
	    memcmp(kernel + FIRMWARE_HEADER, "HdrS", 4) != 0)
		return 0;
	sectors = kernel[FIRMWARE_SETUP_SECTORS] ?: FIRMWARE_SECTORS_DEFAULT;
	return BASE_MIN((sectors + 1) * FIRMWARE_SECTOR, (uint32_t)size);
}

struct firmware_file {
	uint8_t *bytes; /* the device's */
	size_t size;
};

static int firmware_file(struct firmware *firmware, int fd, const char *what,
                         struct firmware_file *file, char *why)
{
	int error = boot_read(fd, what, BOOT_FILE_MAX, &file->bytes, &file->size, why);

	if (error)
		return error;
	error = fwcfg_keep(&firmware->fwcfg, file->bytes);
	return error ? why_set(why, error, "no room for the %s", what) : 0;
}

static int firmware_give(struct fwcfg *f, const struct firmware_file *kernel,
                         const struct firmware_file *initrd, const char *cmdline)
{
	const uint32_t setup = firmware_setup_size(kernel->bytes, kernel->size);
	const uint32_t rest = (uint32_t)kernel->size - setup;
	const uint32_t line = (uint32_t)strlen(cmdline) + 1;

	return fwcfg_add_number(f, FWCFG_SETUP_SIZE, setup, 4)
	               ?: fwcfg_add(f, FWCFG_SETUP_DATA, kernel->bytes, setup)
	               ?: fwcfg_add_number(f, FWCFG_KERNEL_SIZE, rest, 4)
	               ?: fwcfg_add(f, FWCFG_KERNEL_DATA, kernel->bytes + setup, rest)
	               ?: fwcfg_add_number(f, FWCFG_INITRD_SIZE, initrd->size, 4)
	               ?: fwcfg_add(f, FWCFG_INITRD_DATA, initrd->bytes,
	                            (uint32_t)initrd->size)
	               ?: fwcfg_add_number(f, FWCFG_CMDLINE_SIZE, line, 4)
	               ?: fwcfg_add(f, FWCFG_CMDLINE_DATA, cmdline, line);
}

static int firmware_kernel(struct firmware *firmware, struct machine *m,
                           const struct boot_source *source, char *why)
{
	struct firmware_file kernel, initrd = {.bytes = NULL};
	struct confidential_kernel hashes;
	int error = firmware_file(firmware, source->kernel, "kernel", &kernel, why);

	if (!error && (kernel.size < 2 || memcmp(kernel.bytes, "MZ", 2) != 0))
		error = why_set(why, -ENOEXEC,
		                "the kernel is no EFI program, which is what firmware starts: a "
		                "bzImage was expected");
	if (!error && source->initrd >= 0)
		error = firmware_file(firmware, source->initrd, "initrd", &initrd, why);
	if (error)
		return error;
	if (m->measured) {
		confidential_kernel_hash(kernel.bytes, kernel.size, initrd.bytes, initrd.size,
		                         source->cmdline, &hashes);
		measured_kernel(m, &hashes);
	}
	error = firmware_give(&firmware->fwcfg, &kernel, &initrd, source->cmdline);
	return error ? why_set(why, error, "no room for the kernel: %s", strerror(-error)) : 0;
}

/* ---- the board ---- */

static uint64_t firmware_now(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t firmware_date(void *self)
{
	struct timespec now;

	(void)self;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec;
}

static void firmware_off(void *self)
{
	machine_end(self, VMM_END_POWEROFF);
}

static int firmware_board(struct firmware *firmware, struct machine *m, struct pci_bus *bus)
{
	firmware->chipset = (struct chipset){
	        .host = {firmware_now, firmware_date, firmware_off, m},
	        .low = m->regions[0].size,
	        .high = m->region_count > 1 ? m->regions[1].size : 0,
	};
	return pci_bus_chipset(bus)
	               ?: machine_io_add(m, MACHINE_PIO, CHIPSET_CMOS_PORT, CHIPSET_CMOS_PORTS,
	                                 &chipset_cmos_io, &firmware->chipset)
	               ?: machine_io_add(m, MACHINE_PIO, CHIPSET_POWER_PORT, CHIPSET_POWER_PORTS,
	                                 &chipset_power_io, &firmware->chipset)
	               ?: machine_io_add(m, MACHINE_PIO, FWCFG_PORT, FWCFG_PORTS, &fwcfg_io,
	                                 &firmware->fwcfg);
}

int firmware_create(struct firmware *firmware, struct machine *m, struct pci_bus *bus,
                    const struct boot_source *source, unsigned int vcpus, char *why)
{
	int error;

	fwcfg_init(&firmware->fwcfg, m);
	error = firmware_board(firmware, m, bus) ?: firmware_machine(firmware, m, source, vcpus);
	if (error)
		return why_set(why, error, "no board for firmware: %s", strerror(-error));
	return source->kernel < 0 ? 0 : firmware_kernel(firmware, m, source, why);
}

void firmware_destroy(struct firmware *firmware)
{
	fwcfg_destroy(&firmware->fwcfg);
}
