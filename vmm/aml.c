// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * aml: see aml.h. Package lengths are written in their three-byte form whatever they are (20.2.4
 * allows it), so that a length can be filled in afterwards without moving what it spans.
 */
#include "vmm/aml.h"

#include <string.h>

enum {
	AML_NAME = 0x08,
	AML_BYTE = 0x0a,
	AML_WORD = 0x0b,
	AML_DWORD = 0x0c,
	AML_STRING = 0x0d,
	AML_QWORD = 0x0e,
	AML_SCOPE = 0x10,
	AML_BUFFER = 0x11,
	AML_PACKAGE = 0x12,
	AML_METHOD = 0x14,
	AML_DUAL = 0x2e,
	AML_MULTI = 0x2f,
	AML_EXTENDED = 0x5b,
	AML_DEVICE = 0x82,
	AML_LENGTH_SIZE = 3,
	AML_METHOD_SERIALIZED = 8,
	AML_SEGMENT = 4,

	RESOURCE_IO = 0x47,
	RESOURCE_END = 0x79,
	RESOURCE_MEMORY32 = 0x86,
	RESOURCE_DWORD_SPACE = 0x87,
	RESOURCE_WORD_SPACE = 0x88,
	RESOURCE_INTERRUPT = 0x89,
	SPACE_MEMORY = 0,
	SPACE_BUS = 2,
	SPACE_FIXED = 0x0c, /* minimum and maximum are fixed; produced, decoded positively */
};

void aml_bytes(struct aml *aml, const void *bytes, size_t size)
{
	if (aml->full || size > aml->size - aml->used) {
		aml->full = true;
		return;
	}
	memcpy(aml->data + aml->used, bytes, size);
	aml->used += size;
}

void aml_byte(struct aml *aml, uint8_t byte)
{
	aml_bytes(aml, &byte, 1);
}

void aml_le(struct aml *aml, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		aml_byte(aml, (uint8_t)(value >> (8 * i)));
}

void aml_name_string(struct aml *aml, const char *path)
{
	size_t segments;

	if (*path == '\\') {
		aml_byte(aml, '\\');
		path++;
	}
	segments = (strlen(path) + 1) / (AML_SEGMENT + 1);
	if (segments == 2)
		aml_byte(aml, AML_DUAL);
	if (segments > 2) {
		aml_byte(aml, AML_MULTI);
		aml_byte(aml, (uint8_t)segments);
	}
	for (size_t i = 0; i < segments; i++)
		aml_bytes(aml, path + i * (AML_SEGMENT + 1), AML_SEGMENT);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	if (value <= 1) { /* ZeroOp, OneOp */
		aml_byte(aml, (uint8_t)value);
	} else if (value <= UINT8_MAX) {
		aml_byte(aml, AML_BYTE);
		aml_le(aml, value, 1);
	} else if (value <= UINT16_MAX) {
		aml_byte(aml, AML_WORD);
		aml_le(aml, value, 2);
	} else if (value <= UINT32_MAX) {
		aml_byte(aml, AML_DWORD);
		aml_le(aml, value, 4);
	} else {
		aml_byte(aml, AML_QWORD);
		aml_le(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_byte(aml, AML_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint32_t aml_hex(char digit)
{
	return digit <= '9' ? (uint32_t)(digit - '0') : (uint32_t)(digit - 'A' + 10);
}

/* "PNP0A08" in 32 bits: three letters of five bits and four hex digits, high byte first (19.3.4). */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = (uint32_t)(id[0] - 0x40) << 26 | (uint32_t)(id[1] - 0x40) << 21 |
	                 (uint32_t)(id[2] - 0x40) << 16;

	for (int i = 0; i < 4; i++)
		value |= aml_hex(id[3 + i]) << (12 - 4 * i);
	aml_byte(aml, AML_DWORD);
	aml_le(aml, __builtin_bswap32(value), 4);
}

void aml_name(struct aml *aml, const char *path)
{
	aml_byte(aml, AML_NAME);
	aml_name_string(aml, path);
}

static size_t aml_begin(struct aml *aml)
{
	size_t mark = aml->used;

	aml_le(aml, 0, AML_LENGTH_SIZE);
	return mark;
}

void aml_end(struct aml *aml, size_t mark)
{
	size_t length = aml->used - mark;

	if (aml->full)
		return;
	aml->data[mark] = (uint8_t)((AML_LENGTH_SIZE - 1) << 6 | (length & 0xf));
	aml->data[mark + 1] = (uint8_t)(length >> 4);
	aml->data[mark + 2] = (uint8_t)(length >> 12);
}

size_t aml_scope(struct aml *aml, const char *path)
{
	size_t mark;

	aml_byte(aml, AML_SCOPE);
	mark = aml_begin(aml);
	aml_name_string(aml, path);
	return mark;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t mark;

	aml_byte(aml, AML_EXTENDED);
	aml_byte(aml, AML_DEVICE);
	mark = aml_begin(aml);
	aml_name_string(aml, name);
	return mark;
}

size_t aml_method(struct aml *aml, const char *name, unsigned int arguments)
{
	size_t mark;

	aml_byte(aml, AML_METHOD);
	mark = aml_begin(aml);
	aml_name_string(aml, name);
	aml_byte(aml, (uint8_t)(arguments | AML_METHOD_SERIALIZED));
	return mark;
}

size_t aml_package(struct aml *aml, uint8_t count)
{
	size_t mark;

	aml_byte(aml, AML_PACKAGE);
	mark = aml_begin(aml);
	aml_byte(aml, count);
	return mark;
}

struct aml_resources aml_resources_begin(struct aml *aml)
{
	struct aml_resources resources;

	aml_byte(aml, AML_BUFFER);
	resources.mark = aml_begin(aml);
	aml_byte(aml, AML_WORD);
	resources.size_at = aml->used;
	aml_le(aml, 0, 2);
	return resources;
}

void aml_resources_end(struct aml *aml, struct aml_resources resources)
{
	size_t size;

	aml_byte(aml, RESOURCE_END);
	aml_byte(aml, 0); /* no checksum */
	if (aml->full)
		return;
	size = aml->used - resources.size_at - 2;
	aml->data[resources.size_at] = (uint8_t)size;
	aml->data[resources.size_at + 1] = (uint8_t)(size >> 8);
	aml_end(aml, resources.mark);
}

void aml_io(struct aml *aml, uint16_t base, uint8_t size)
{
	aml_byte(aml, RESOURCE_IO);
	aml_byte(aml, 1); /* 16-bit decode */
	aml_le(aml, base, 2);
	aml_le(aml, base, 2);
	aml_byte(aml, 1); /* alignment */
	aml_byte(aml, size);
}

void aml_memory32(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_byte(aml, RESOURCE_MEMORY32);
	aml_le(aml, 9, 2);
	aml_byte(aml, 1); /* writable */
	aml_le(aml, base, 4);
	aml_le(aml, size, 4);
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
	aml_byte(aml, RESOURCE_INTERRUPT);
	aml_le(aml, 6, 2);
	aml_byte(aml, 0x3); /* consumer, edge, active high, exclusive */
	aml_byte(aml, 1);
	aml_le(aml, gsi, 4);
}

/* One fixed address space descriptor; `width` bytes a field. */
static void aml_space(struct aml *aml, uint8_t type, uint8_t flags, size_t width, uint64_t base,
                      uint64_t size)
{
	aml_byte(aml, width == 2 ? RESOURCE_WORD_SPACE : RESOURCE_DWORD_SPACE);
	aml_le(aml, 3 + 5 * width, 2);
	aml_byte(aml, type);
	aml_byte(aml, SPACE_FIXED);
	aml_byte(aml, flags);
	aml_le(aml, 0, width); /* granularity */
	aml_le(aml, base, width);
	aml_le(aml, base + size - 1, width);
	aml_le(aml, 0, width); /* translation */
	aml_le(aml, size, width);
}

void aml_bus_range(struct aml *aml, uint16_t first, uint16_t last)
{
	aml_space(aml, SPACE_BUS, 0, 2, first, (uint64_t)last - first + 1);
}

void aml_memory32_window(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_space(aml, SPACE_MEMORY, 1 /* writable, not cacheable */, 4, base, size);
}
