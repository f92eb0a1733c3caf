/* SPDX-License-Identifier: GPL-2.0-or-later */
/* confidential_fixture: firmware that the tests make: a table of GUIDed entries, and what it points to. */
#ifndef CORDON_TESTS_CONFIDENTIAL_FIXTURE_H
#define CORDON_TESTS_CONFIDENTIAL_FIXTURE_H

#include <stddef.h>
#include <stdint.h>

#include "confidential/confidential.h"

enum { FIXTURE_SIZE = 0x4000, FIXTURE_METADATA = 0x800 /* before the end */ };

enum fixture_flag {
	FIXTURE_NO_RESET = 1,
	FIXTURE_NO_HASHES = 2,       /* no entry for them */
	FIXTURE_HASHES_AT_0 = 4,     /* an entry that says that there are none */
	FIXTURE_NO_HASH_SECTION = 8, /* in the metadata */
	FIXTURE_TWICE = 16,          /* two reset entries */
};

/* An OVMF image of FIXTURE_SIZE bytes, always the same; the caller frees it. */
uint8_t *fixture_ovmf(unsigned int flags);
/* One with TDVF sections: a volume that is measured, memory that is not, memory that comes later. */
uint8_t *fixture_tdvf(bool table);
/* An IGVM file for native, SEV-SNP and TDX; *size is its size. */
uint8_t *fixture_igvm(size_t *size);
/* Puts the checksum right after a test has changed something. */
void fixture_igvm_seal(uint8_t *file, size_t size);
/* Where in that file the first header of a type is (its content). */
uint8_t *fixture_igvm_find(uint8_t *file, uint32_t type);

void fixture_put(uint8_t *to, uint64_t value, size_t size);
/* Writes an IGVM header whose fields are value and width, up to a width of 0. Returns where the next one goes. */
uint8_t *fixture_header(uint8_t *to, uint32_t type, const uint64_t fields[][2]);
#define FIXTURE_HEADER(to, type, ...) \
	fixture_header(to, type, (const uint64_t[][2]){__VA_ARGS__, {0, 0}})

#endif
