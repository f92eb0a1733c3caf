// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * boot_igvm: a plain guest that starts from an IGVM file: what the file has for its platform without encryption lies in
 * guest memory, with the ACPI tables of any other guest beside it, and the boot processor has the registers that the
 * file gives it. The walk through the file is the one that confidential guests are launched with.
 */
#include <errno.h>

#include "base/base.h"
#include "vmm/acpi.h"
#include "vmm/boot.h"

int boot_igvm_read(int fd, uint8_t **bytes, size_t *size, char *why)
{
	uint8_t magic[4] = {0};

	/* what is shorter, or cannot be read so, is no such file */
	if (base_read_at(fd, magic, sizeof(magic), 0) != 0 || !igvm_is(magic, sizeof(magic)))
		return -ENOEXEC;
	return boot_read(fd, "IGVM file", BOOT_FILE_MAX, bytes, size, why);
}

/* In whole pages: what is reserved grows, what is memory shrinks. Where nothing of the machine is in it, all of it is memory. */
static void boot_igvm_map(const struct machine *m, struct boot_host *host)
{
	const uint64_t page = CONFIDENTIAL_PAGE;
	struct machine_region regions[2];
	struct boot_map map[BOOT_MAP_MAX];
	size_t count = boot_map(m, map);

	host->told.memory = host->map;
	host->told.memory_count = 0;
	for (size_t i = 0; i < count && !m->measured; i++) {
		bool reserved = map[i].type != BOOT_MAP_RAM;
		uint64_t from = map[i].base, to = from + map[i].size;

		from = reserved ? from & ~(page - 1) : (from + page - 1) & ~(page - 1);
		to = reserved ? (to + page - 1) & ~(page - 1) : to & ~(page - 1);
		host->map[host->told.memory_count++] =
		        (struct launch_range){from, to - from, reserved};
	}
	if (!m->measured)
		return;
	count = machine_regions(m, regions);
	for (size_t i = 0; i < count; i++) {
		host->map[host->told.memory_count++] =
		        (struct launch_range){regions[i].guest, regions[i].size, false};
		if (i == 0)
			host->map[host->told.memory_count++] =
			        (struct launch_range){MACHINE_ECAM_BASE, MACHINE_ECAM_SIZE, true};
	}
}

int boot_igvm_host(const struct machine *m, const char *cmdline, unsigned int vcpus,
                   struct boot_host *host, char *why)
{
	*host = (struct boot_host){
	        .told = {.mmio = {MACHINE_MMIO32_BASE, MACHINE_MMIO32_SIZE, true},
	                 .command_line = cmdline,
	                 .all_shared = !m->measured}};
	boot_igvm_map(m, host);
	host->told.madt = host->madt;
	host->told.madt_size = acpi_write_madt(host->madt, sizeof(host->madt), vcpus);
	return host->told.madt_size ? 0 : why_set(why, -ENOSPC, "the MADT does not fit");
}

/* ---- the file's pages and registers, in guest memory ---- */

struct boot_igvm {
	struct machine *machine;
	struct vcpu_start *start;
	char *why;
};

static int boot_igvm_vcpu(struct boot_igvm *boot, const struct launch_region *region)
{
	if (region->vcpu != 0)
		return why_set(boot->why, -EINVAL,
		               "the IGVM file has registers for processor %u; those of a plain "
		               "guest but the first wait for INIT and SIPI",
		               region->vcpu);
	boot->start->native = true;
	memcpy(boot->start->context, region->bytes, sizeof(boot->start->context));
	return 0;
}

static int boot_igvm_region(void *data, const struct launch_region *region)
{
	struct boot_igvm *boot = data;
	uint8_t *memory;

	if (region->kind == LAUNCH_VMSA)
		return boot_igvm_vcpu(boot, region);
	memory = machine_memory(boot->machine, region->gpa, region->size);
	if (!memory)
		return why_set(boot->why, -EINVAL,
		               "the IGVM file wants 0x%llx bytes at 0x%llx, where the guest has no "
		               "memory",
		               (unsigned long long)region->size, (unsigned long long)region->gpa);
	if (region->gpa < BOOT_HIGH && region->gpa + region->size > BOOT_GENERATION)
		return why_set(boot->why, -EINVAL,
		               "the IGVM file wants 0x%llx bytes at 0x%llx, where the machine's "
		               "tables are (0x%x to 0x%x)",
		               (unsigned long long)region->size, (unsigned long long)region->gpa,
		               BOOT_GENERATION, BOOT_HIGH);
	if (region->filled > 0)
		memcpy(memory, region->bytes, region->filled);
	memset(memory + region->filled, 0, (size_t)region->size - region->filled);
	return 0;
}

int boot_igvm(struct machine *m, const struct boot_source *source, unsigned int vcpus,
              struct vcpu_start *start, char *why)
{
	BASE_AUTO_FREE struct boot_host *host = calloc(1, sizeof(*host));
	BASE_AUTO_FREE uint8_t *file = NULL;
	struct launch_input input = {.igvm = true, .vcpus = vcpus};
	struct boot_igvm boot = {.machine = m, .start = start, .why = why};
	int error = host ? boot_igvm_read(source->kernel, &file, &input.size, why)
	                 : why_set(why, -ENOMEM, "no memory");

	if (error)
		return error;
	if (source->initrd >= 0)
		return why_set(why, -EINVAL,
		               "there is an initrd beside an IGVM file, which has its own");
	*start = (struct vcpu_start){0};
	input.bytes = file;
	input.host = &host->told;
	error = boot_igvm_host(m, source->cmdline, vcpus, host, why);
	if (!error)
		error = launch_walk_native(&input, boot_igvm_region, &boot, why);
	if (!error && !start->native)
		error = why_set(why, -EINVAL,
		                "the IGVM file has no registers for a guest without encryption");
	return error ? error : boot_tables(m, source, vcpus, why);
}
