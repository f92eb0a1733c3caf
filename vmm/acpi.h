/* SPDX-License-Identifier: GPL-2.0-or-later */
/* acpi: the tables that tell a guest what machine it is in. */
#ifndef CORDON_VMM_ACPI_H
#define CORDON_VMM_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct acpi_config {
	unsigned int vcpus;
	bool watchdog;
};

/*
 * Writes RSDP, XSDT, FADT, MADT, MCFG, DSDT and, for a watchdog, WDAT to memory[size], which the guest
 * sees at `guest`; the RSDP comes first. Returns the bytes used, 0 when they do not fit.
 */
size_t acpi_write(void *memory, uint64_t guest, size_t size, const struct acpi_config *config);
/* The MADT alone, for guests that are told of their processors otherwise. */
size_t acpi_write_madt(void *memory, size_t size, unsigned int vcpus);

#endif
