/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * aml: writes ACPI machine language (ACPI 6.4, chapter 20) into a buffer of fixed size. A buffer that
 * is too small sets `full`, and nothing more is written; the caller looks once, at the end.
 */
#ifndef CORDON_VMM_AML_H
#define CORDON_VMM_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *data;
	size_t size, used;
	bool full;
};

void aml_bytes(struct aml *aml, const void *bytes, size_t size);
void aml_byte(struct aml *aml, uint8_t byte);
void aml_le(struct aml *aml, uint64_t value, size_t size);

/* A name: segments of four characters joined by dots, "\\" first for the root ("\\_SB.PWRB"). */
void aml_name_string(struct aml *aml, const char *path);
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id);

/* Name(path, ...): the object follows. */
void aml_name(struct aml *aml, const char *path);

/* Things with a length: begin returns a mark for aml_end(). */
size_t aml_scope(struct aml *aml, const char *path);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_method(struct aml *aml, const char *name, unsigned int arguments);
size_t aml_package(struct aml *aml, uint8_t count);
void aml_end(struct aml *aml, size_t mark);

/* A resource template: descriptors between begin and end (6.4). */
struct aml_resources {
	size_t mark, size_at;
};
struct aml_resources aml_resources_begin(struct aml *aml);
void aml_resources_end(struct aml *aml, struct aml_resources resources);
void aml_io(struct aml *aml, uint16_t base, uint8_t size);
void aml_memory32(struct aml *aml, uint32_t base, uint32_t size);
void aml_interrupt(struct aml *aml, uint32_t gsi);
void aml_bus_range(struct aml *aml, uint16_t first, uint16_t last);
void aml_memory32_window(struct aml *aml, uint32_t base, uint32_t size);

#endif
