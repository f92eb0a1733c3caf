/* SPDX-License-Identifier: GPL-2.0-or-later */
/* igvm_fixture: an IGVM file with a small guest in it, which each type of guest can start, and plain ones too. */
#ifndef CORDON_TESTS_IGVM_FIXTURE_H
#define CORDON_TESTS_IGVM_FIXTURE_H

#include "tests/unit/confidential_fixture.h"

/* What is where, from the base on: each is a page. */
enum igvm_fixture_page {
	IGVM_CODE = 0x0000,
	IGVM_ZEROS = 0x1000,
	IGVM_FROM_HOST = 0x2000,  /* not measured */
	IGVM_SHARED = 0x3000,     /* not encrypted either */
	IGVM_PARAMETERS = 0x4000, /* what the host fills: where in it is below */
	IGVM_SECRET = 0x5000,     /* sev-snp */
	IGVM_CPUIDS = 0x6000,     /* sev-snp */
	IGVM_END = 0x7000,

	IGVM_AT_COUNT = 0,
	IGVM_AT_ENVIRONMENT = 4,
	IGVM_AT_MMIO = 8,
	IGVM_AT_LINE = 0x100,
	IGVM_AT_MAP = 0x800,
	IGVM_AT_MADT = 0xc00,
};
/* Masks of its platforms. */
enum { IGVM_ON_NATIVE = 1, IGVM_ON_SNP = 2, IGVM_ON_TDX = 4, IGVM_ON_SEV = 8, IGVM_ON_ES = 16 };

struct igvm_guest {
	uint64_t base;
	uint32_t vcpus;
	const void *code; /* at most a page; entered in 32-bit mode at the base */
	size_t code_size;
	/* what a test has otherwise than KVM takes it; all zero: nothing */
	uint64_t vmsa_gpa;    /* of sev-snp; 0: where KVM has them */
	size_t vmsa_at;       /* a byte in each VMSA that is 0x77 */
	bool page_behind;     /* a page behind the processors */
	uint32_t parameter;   /* and one more parameter of this type */
	uint32_t native_vcpu; /* whose registers a plain guest is given */
	bool no_native;       /* none */
};

/* The file, and its size; the caller frees it. */
uint8_t *igvm_fixture(const struct igvm_guest *guest, size_t *size);

#endif
