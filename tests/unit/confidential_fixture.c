/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confidential_fixture: see confidential_fixture.h. */
#include "tests/unit/confidential_fixture.h"

#include "base/base.h"

static const uint8_t footer[16] = {0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
                                   0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d};
static const uint8_t reset[16] = {0xde, 0x71, 0xf7, 0x00, 0x7e, 0x1a, 0xcb, 0x4f,
                                  0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e};
static const uint8_t hashes[16] = {0x1f, 0x37, 0x55, 0x72, 0x3b, 0x3a, 0x04, 0x4b,
                                   0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54};
static const uint8_t sev[16] = {0x66, 0x65, 0x88, 0xdc, 0x4a, 0x98, 0x98, 0x47,
                                0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc};
static const uint8_t tdx[16] = {0x35, 0x65, 0x7a, 0xe4, 0x4a, 0x98, 0x98, 0x47,
                                0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2};

static const uint8_t metadata[16] = {0xf3, 0xf9, 0xea, 0xe9, 0x8e, 0x16, 0xd5, 0x44,
                                     0xa8, 0xeb, 0x7f, 0x4d, 0x87, 0x38, 0xf6, 0xae};

void fixture_put(uint8_t *to, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

static uint8_t *fixture_bytes(size_t size)
{
	uint8_t *bytes = malloc(size);

	if (!bytes)
		abort();
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(i * 31 + (i >> 8) * 17 + 5);
	return bytes;
}

/* Writes an entry before `end`, and returns where it starts. */
static uint8_t *fixture_entry(uint8_t *end, const uint8_t guid[16], const void *data, size_t size)
{
	memcpy(end - 16, guid, 16);
	fixture_put(end - 18, size + 18, 2);
	memcpy(end - 18 - size, data, size);
	return end - 18 - size;
}

static void fixture_footer(uint8_t *image, const uint8_t *start)
{
	uint8_t *end = image + FIXTURE_SIZE - 32;

	memcpy(end - 16, footer, 16);
	fixture_put(end - 18, (uint64_t)(end - start), 2);
}

uint8_t *fixture_ovmf(unsigned int flags)
{
	static const uint32_t sections[][3] = {{0x800000, 0x9000, 1}, {0x80d000, 0x1000, 2},
	                                       {0x80e000, 0x1000, 3}, {0x80f000, 0x1000, 4},
	                                       {0x811000, 0xf000, 1}, {0x810000, 0x1000, 0x10}};
	const size_t count = BASE_COUNT(sections) - (flags & FIXTURE_NO_HASH_SECTION ? 1 : 0);
	uint8_t *image = fixture_bytes(FIXTURE_SIZE), *to = image + FIXTURE_SIZE - FIXTURE_METADATA;
	uint8_t *at = image + FIXTURE_SIZE - 32 - 18, data[8];

	memcpy(to, "ASEV", 4);
	fixture_put(to + 4, 16 + 12 * count, 4);
	fixture_put(to + 8, 1, 4);
	fixture_put(to + 12, count, 4);
	for (size_t i = 0; i < count; i++)
		for (size_t n = 0; n < 3; n++)
			fixture_put(to + 16 + 12 * i + 4 * n, sections[i][n], 4);
	fixture_put(data, 0x80b004, 4);
	if (!(flags & FIXTURE_NO_RESET))
		at = fixture_entry(at, reset, data, 4);
	if (flags & FIXTURE_TWICE)
		at = fixture_entry(at, reset, data, 4);
	fixture_put(data, flags & FIXTURE_HASHES_AT_0 ? 0 : 0x810400, 4);
	fixture_put(data + 4, 0x400, 4);
	if (!(flags & FIXTURE_NO_HASHES))
		at = fixture_entry(at, hashes, data, 8);
	fixture_put(data, FIXTURE_METADATA, 4);
	at = fixture_entry(at, sev, data, 4);
	fixture_footer(image, at);
	return image;
}

uint8_t *fixture_tdvf(bool table)
{
	static const uint64_t sections[][6] = {
	        /* data, its size, address, size, type, attributes */
	        {0, 0x2000, 0xffffc000, 0x2000, 0, 1}, {0x2000, 0x1000, 0xffffe000, 0x1000, 1, 0},
	        {0, 0, 0x810000, 0x3000, 3, 0},        {0, 0, 0x809000, 0x1000, 2, 0},
	        {0, 0, 0x40000000, 0x40000000, 4, 2},
	};
	static const uint8_t widths[] = {4, 4, 8, 8, 4, 4};
	uint8_t *image = fixture_bytes(FIXTURE_SIZE), *to = image + FIXTURE_SIZE - FIXTURE_METADATA;
	uint8_t *at = image + FIXTURE_SIZE - 32 - 18, data[4];

	memcpy(to - 16, metadata, 16); /* td-shim has it before the descriptor */
	memcpy(to, "TDVF", 4);
	fixture_put(to + 4, 16 + 32 * BASE_COUNT(sections), 4);
	fixture_put(to + 8, 1, 4);
	fixture_put(to + 12, BASE_COUNT(sections), 4);
	to += 16;
	for (size_t i = 0; i < BASE_COUNT(sections); i++)
		for (size_t n = 0; n < BASE_COUNT(widths); n++) {
			fixture_put(to, sections[i][n], widths[n]);
			to += widths[n];
		}
	fixture_put(data, FIXTURE_METADATA, 4);
	if (table)
		fixture_footer(image, fixture_entry(at, tdx, data, 4));
	else
		fixture_put(image + FIXTURE_SIZE - 32, FIXTURE_SIZE - FIXTURE_METADATA, 4);
	return image;
}

/* --- IGVM --- */

enum { FIXTURE_IGVM_HEADERS = 24, FIXTURE_IGVM_DATA = 512, FIXTURE_IGVM_SIZE = 512 + 3 * 4096 };

static uint32_t fixture_crc(uint32_t crc, const uint8_t *at, size_t size)
{
	for (size_t i = 0; i < size; i++)
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ ((crc ^ (uint32_t)at[i] >> bit) & 1 ? 0xedb88320u : 0);
	return crc;
}

void fixture_igvm_seal(uint8_t *file, size_t size)
{
	size_t headers = base_le32(file + 12);

	if (size < FIXTURE_IGVM_HEADERS || headers > size - FIXTURE_IGVM_HEADERS)
		return;
	fixture_put(file + 20, 0, 4);
	fixture_put(file + 20, ~fixture_crc(~0u, file, FIXTURE_IGVM_HEADERS + headers), 4);
}

uint8_t *fixture_igvm_find(uint8_t *file, uint32_t type)
{
	uint8_t *at = file + FIXTURE_IGVM_HEADERS;

	while (base_le32(at) != type)
		at += 8 + (base_le32(at + 4) + 7) / 8 * 8;
	return at + 8;
}

uint8_t *fixture_header(uint8_t *to, uint32_t type, const uint64_t fields[][2])
{
	uint8_t *start = to;

	fixture_put(to, type, 4);
	to += 8;
	for (size_t i = 0; fields[i][1]; i++) {
		fixture_put(to, fields[i][0], fields[i][1]);
		to += fields[i][1];
	}
	fixture_put(start + 4, (uint64_t)(to - start) - 8, 4);
	return start + (to - start + 7) / 8 * 8;
}

#define HEADER(type, ...) to = FIXTURE_HEADER(to, type, __VA_ARGS__)

uint8_t *fixture_igvm(size_t *size)
{
	uint8_t *file = fixture_bytes(FIXTURE_IGVM_SIZE), *to = file + FIXTURE_IGVM_HEADERS;

	memset(file, 0, FIXTURE_IGVM_DATA);
	HEADER(IGVM_SUPPORTED_PLATFORM, {1, 4}, {0, 1}, {IGVM_NATIVE, 1}, {1, 2}, {0, 8});
	HEADER(IGVM_SUPPORTED_PLATFORM, {2, 4}, {0, 1}, {IGVM_SEV_SNP, 1}, {1, 2}, {0, 8});
	HEADER(IGVM_SUPPORTED_PLATFORM, {4, 4}, {0, 1}, {IGVM_TDX, 1}, {1, 2}, {0, 8});
	HEADER(IGVM_GUEST_POLICY, {0x30000, 8}, {2, 4}, {0, 4});
	HEADER(IGVM_PARAMETER_AREA, {0x2000, 8}, {7, 4}, {0, 4});
	HEADER(IGVM_PAGE_DATA, {0x1000, 8}, {7, 4}, {FIXTURE_IGVM_DATA, 4}, {0, 4}, {0, 2}, {0, 2});
	HEADER(IGVM_PAGE_DATA, {0x2000, 8}, {7, 4}, {0, 4}, {0, 4}, {0, 2}, {0, 2});
	HEADER(IGVM_PAGE_DATA, {0x3000, 8}, {6, 4}, {FIXTURE_IGVM_DATA + 4096, 4},
	       {IGVM_PAGE_UNMEASURED, 4}, {0, 2}, {0, 2});
	HEADER(IGVM_PAGE_DATA, {0x4000, 8}, {2, 4}, {0, 4}, {0, 4}, {IGVM_PAGE_SECRETS, 2}, {0, 2});
	HEADER(IGVM_PAGE_DATA, {0x5000, 8}, {2, 4}, {0, 4}, {0, 4}, {IGVM_PAGE_CPUID, 2}, {0, 2});
	HEADER(IGVM_PAGE_DATA, {0x6000, 8}, {7, 4}, {0, 4}, {IGVM_PAGE_SHARED, 4}, {0, 2}, {0, 2});
	HEADER(IGVM_MEMORY_MAP, {7, 4}, {0, 4});
	HEADER(IGVM_PARAMETER_INSERT, {0x8000, 8}, {7, 4}, {7, 4});
	HEADER(IGVM_VP_CONTEXT, {0xfffffffff000, 8}, {2, 4}, {FIXTURE_IGVM_DATA + 8192, 4}, {0, 2},
	       {0, 2});
	HEADER(0x80000399, {1, 8});
	memcpy(file, "IGVM", 4);
	fixture_put(file + 4, 1, 4);
	fixture_put(file + 8, FIXTURE_IGVM_HEADERS, 4);
	fixture_put(file + 12, (uint64_t)(to - file) - FIXTURE_IGVM_HEADERS, 4);
	fixture_put(file + 16, FIXTURE_IGVM_SIZE, 4);
	fixture_igvm_seal(file, FIXTURE_IGVM_SIZE);
	*size = FIXTURE_IGVM_SIZE;
	return file;
}
