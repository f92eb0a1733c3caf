/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acpi: the tables that tell a guest what machine it is in; and those tables as firmware loads them. */
#ifndef CORDON_VMM_ACPI_H
#define CORDON_VMM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acpi_config {
	unsigned int vcpus;
	bool watchdog;
	bool no_generation; /* there is no page with a generation id */
};

/*
 * Writes RSDP, XSDT, FADT, MADT, MCFG, DSDT and, for a watchdog, WDAT to memory[size], which the guest
 * sees at `guest`; the RSDP comes first. Returns the bytes used, 0 when they do not fit.
 */
size_t acpi_write(void *memory, uint64_t guest, size_t size, const struct acpi_config *config);
/* The MADT alone, for guests that are told of their processors otherwise. */
size_t acpi_write_madt(void *memory, size_t size, unsigned int vcpus);

/*
 * acpi_loader.c: the same tables for firmware to place where it likes: with offsets where there would be addresses,
 * and a script of what is to be added and summed (QEMU's "table-loader"; hw/acpi/bios-linker-loader.c describes it).
 */
enum { ACPI_LOADER_TABLES = 0x10000, ACPI_LOADER_COMMAND = 128, ACPI_LOADER_COMMANDS = 32 };
struct acpi_loader {
	uint8_t rsdp[36];
	uint8_t tables[ACPI_LOADER_TABLES];
	size_t tables_size;
	uint8_t script[ACPI_LOADER_COMMANDS * ACPI_LOADER_COMMAND];
	size_t script_size;
};
#define ACPI_LOADER_RSDP_FILE   "etc/acpi/rsdp"
#define ACPI_LOADER_TABLES_FILE "etc/acpi/tables"
#define ACPI_LOADER_SCRIPT_FILE "etc/table-loader"
/* False: they do not fit. */
bool acpi_loader_make(struct acpi_loader *loader, const struct acpi_config *config);

#endif
