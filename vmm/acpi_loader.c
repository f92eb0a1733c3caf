// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * acpi_loader: the tables of acpi.c, as if they lay at address 0, so that each address in them is an offset; and what
 * firmware has to do to make addresses of them again. Commands of 128 bytes, little-endian: a number, and then
 *
 *   1 allocate      file's name (56), alignment (4), zone (1): 1 anywhere, 2 where a kernel searches for the RSDP
 *   2 add pointer   name of the file with the pointer, name of the file that it points to, its offset (4), its size (1)
 *   3 add checksum  name, offset of the sum (4), start (4) and length (4) of what it is of
 *
 * A sum is zero in the file, so that it does not count when it is made.
 */
#include <string.h>

#include "base/base.h"
#include "vmm/acpi.h"

enum {
	LOADER_NAME = 56,
	LOADER_ALLOCATE = 1,
	LOADER_ADD_POINTER = 2,
	LOADER_ADD_CHECKSUM = 3,
	LOADER_ZONE_ANY = 1,
	LOADER_ZONE_LOW = 2,

	/* ACPI 6.4, 5.2.5 to 5.2.9 */
	RSDP_SIZE = 36,
	RSDP_SUM = 8,
	RSDP_V1_SIZE = 20,
	RSDP_XSDT = 24,
	RSDP_EXTENDED_SUM = 32,
	TABLE_LENGTH = 4,
	TABLE_SUM = 9,
	TABLE_HEADER = 36,
	FADT_X_DSDT = 140,
	POINTER = 8,
};

static void loader_put32(uint8_t *to, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		to[i] = (uint8_t)(value >> (8 * i));
}

/* The next command, zeros behind its number, or NULL when there is no room. */
static uint8_t *loader_command(struct acpi_loader *loader, uint32_t number)
{
	uint8_t *at = loader->script + loader->script_size;

	if (loader->script_size == sizeof(loader->script))
		return NULL;
	loader->script_size += ACPI_LOADER_COMMAND;
	memset(at, 0, ACPI_LOADER_COMMAND);
	loader_put32(at, number);
	return at + 4;
}

static bool loader_allocate(struct acpi_loader *loader, const char *file, uint32_t align,
                            uint8_t zone)
{
	uint8_t *at = loader_command(loader, LOADER_ALLOCATE);

	if (!at)
		return false;
	base_copy_string((char *)at, LOADER_NAME, file);
	loader_put32(at + LOADER_NAME, align);
	at[LOADER_NAME + 4] = zone;
	return true;
}

/* All of them point into the tables. */
static bool loader_pointer(struct acpi_loader *loader, const char *file, uint32_t offset)
{
	uint8_t *at = loader_command(loader, LOADER_ADD_POINTER);

	if (!at)
		return false;
	base_copy_string((char *)at, LOADER_NAME, file);
	base_copy_string((char *)at + LOADER_NAME, LOADER_NAME, ACPI_LOADER_TABLES_FILE);
	loader_put32(at + 2 * LOADER_NAME, offset);
	at[2 * LOADER_NAME + 4] = POINTER;
	return true;
}

static bool loader_sum(struct acpi_loader *loader, const char *file, uint8_t *bytes,
                       uint32_t sum_at, uint32_t start, uint32_t length)
{
	uint8_t *at = loader_command(loader, LOADER_ADD_CHECKSUM);

	if (!at)
		return false;
	bytes[sum_at] = 0;
	base_copy_string((char *)at, LOADER_NAME, file);
	loader_put32(at + LOADER_NAME, sum_at);
	loader_put32(at + LOADER_NAME + 4, start);
	loader_put32(at + LOADER_NAME + 8, length);
	return true;
}

static bool loader_table_sum(struct acpi_loader *loader, uint32_t table)
{
	return loader_sum(loader, ACPI_LOADER_TABLES_FILE, loader->tables, table + TABLE_SUM, table,
	                  base_le32(loader->tables + table + TABLE_LENGTH));
}

/* The XSDT's pointers, and the one that the FADT has. */
static bool loader_tables(struct acpi_loader *loader, uint32_t xsdt)
{
	const uint32_t end = xsdt + base_le32(loader->tables + xsdt + TABLE_LENGTH);
	bool fits = true;

	for (uint32_t at = xsdt + TABLE_HEADER; at < end && fits; at += POINTER) {
		const uint32_t table = (uint32_t)base_le64(loader->tables + at);

		fits = loader_pointer(loader, ACPI_LOADER_TABLES_FILE, at);
		if (memcmp(loader->tables + table, "FACP", 4) == 0)
			fits = fits &&
			       loader_pointer(loader, ACPI_LOADER_TABLES_FILE,
			                      table + FADT_X_DSDT) &&
			       loader_table_sum(loader, table);
	}
	return fits && loader_table_sum(loader, xsdt);
}

bool acpi_loader_make(struct acpi_loader *loader, const struct acpi_config *config)
{
	loader->script_size = 0;
	loader->tables_size = acpi_write(loader->tables, 0, sizeof(loader->tables), config);
	if (loader->tables_size == 0)
		return false;
	memcpy(loader->rsdp, loader->tables, RSDP_SIZE);
	memset(loader->tables, 0, RSDP_SIZE); /* it is a file of its own */
	return loader_allocate(loader, ACPI_LOADER_TABLES_FILE, 64, LOADER_ZONE_ANY) &&
	       loader_allocate(loader, ACPI_LOADER_RSDP_FILE, 16, LOADER_ZONE_LOW) &&
	       loader_tables(loader, (uint32_t)base_le64(loader->rsdp + RSDP_XSDT)) &&
	       loader_pointer(loader, ACPI_LOADER_RSDP_FILE, RSDP_XSDT) &&
	       loader_sum(loader, ACPI_LOADER_RSDP_FILE, loader->rsdp, RSDP_SUM, 0, RSDP_V1_SIZE) &&
	       loader_sum(loader, ACPI_LOADER_RSDP_FILE, loader->rsdp, RSDP_EXTENDED_SUM, 0,
	                  RSDP_SIZE);
}
