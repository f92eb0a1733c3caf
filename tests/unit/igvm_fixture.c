// SPDX-License-Identifier: GPL-2.0-or-later
/* igvm_fixture: see igvm_fixture.h. */
#include "tests/unit/igvm_fixture.h"

#include "base/base.h"

enum {
	HEADERS = 24,
	HEADERS_ROOM = 0x4000,
	PAGE = 4096,
	ALL = IGVM_ON_NATIVE | IGVM_ON_SNP | IGVM_ON_TDX | IGVM_ON_SEV | IGVM_ON_ES,
	HIDDEN = ALL & ~IGVM_ON_NATIVE,
	AREA = 7,
};
/* Pages in the file, in order. */
enum { DATA_CODE, DATA_PATTERN, DATA_NATIVE, DATA_VMSA_ES, DATA_VMSA_SNP, DATA_PAGES };

static void segment(uint8_t *vmsa, size_t at, uint16_t selector, uint16_t attributes)
{
	fixture_put(vmsa + at, selector, 2);
	fixture_put(vmsa + at + 2, attributes, 2);
	fixture_put(vmsa + at + 4, 0xffffffff, 4);
}

/* 32-bit mode without paging (APM volume 2, table B-4). */
static void make_vmsa(const struct igvm_guest *guest, uint8_t *vmsa, uint64_t features)
{
	for (size_t at = 0; at < 0x60; at += 0x10)
		segment(vmsa, at, at == 0x10 ? 0x8 : 0x10, at == 0x10 ? 0xc9b : 0xc93);
	fixture_put(vmsa + 0x64, 0x17, 4); /* GDTR */
	fixture_put(vmsa + 0x68, 0x500, 8);
	segment(vmsa, 0x70, 0, 0x82);
	segment(vmsa, 0x90, 0, 0x8b);
	fixture_put(vmsa + 0xd0, 0x1000, 8); /* EFER.SVME */
	fixture_put(vmsa + 0x148, 0x40, 8);  /* CR4.MCE */
	fixture_put(vmsa + 0x158, 0x11, 8);
	fixture_put(vmsa + 0x160, 0x400, 8);
	fixture_put(vmsa + 0x168, 0xffff0ff0, 8);
	fixture_put(vmsa + 0x170, 2, 8);
	fixture_put(vmsa + 0x178, guest->base, 8);
	fixture_put(vmsa + 0x1d8, guest->base + IGVM_ZEROS, 8);
	fixture_put(vmsa + 0x1f8, 0xaa, 8);
	fixture_put(vmsa + 0x268, 0x0007040600070406, 8);
	for (size_t at = 0x308; at < 0x380; at += 8)
		fixture_put(vmsa + at, at == 0x320 ? 0 : at * 0x1001, 8);
	fixture_put(vmsa + 0x3b0, features, 8);
	fixture_put(vmsa + 0x3e8, 1, 8);
	fixture_put(vmsa + 0x408, 0x1f80, 4);
	fixture_put(vmsa + 0x410, 0x37f, 2);
	if (guest->vmsa_at)
		vmsa[guest->vmsa_at] = 0x77;
}

/* The format's context of a processor without encryption. */
static void make_native(const struct igvm_guest *guest, uint8_t *to)
{
	fixture_put(to + 32, guest->base + IGVM_ZEROS + PAGE, 8); /* RSP */
	fixture_put(to + 48, guest->base + IGVM_PARAMETERS, 8);   /* RSI */
	fixture_put(to + 128, guest->base, 8);                    /* RIP */
	fixture_put(to + 136, 2, 8);                              /* RFLAGS */
	fixture_put(to + 158, 0x17, 2);                           /* GDTR */
	fixture_put(to + 160, 0x500, 8);
	fixture_put(to + 168, 0x8, 2);
	fixture_put(to + 170, 0xc09b, 2);
	fixture_put(to + 176, 0xffffffff, 4);
	fixture_put(to + 180, 0x10, 2);
	fixture_put(to + 182, 0xc093, 2);
	fixture_put(to + 188, 0xffffffff, 4);
	fixture_put(to + 200, 0x11, 8); /* CR0 */
}

static uint8_t *put_platform(uint8_t *to, uint32_t mask, enum igvm_platform_type type)
{
	return FIXTURE_HEADER(to, IGVM_SUPPORTED_PLATFORM, {mask, 4}, {0, 1}, {type, 1}, {1, 2},
	                      {0, 8});
}

static uint8_t *put_page(uint8_t *to, uint32_t mask, uint64_t gpa, int data, uint32_t flags,
                         enum igvm_page_type type)
{
	return FIXTURE_HEADER(to, IGVM_PAGE_DATA, {gpa, 8}, {mask, 4},
	                      {data < 0 ? 0 : HEADERS_ROOM + (uint64_t)data * PAGE, 4}, {flags, 4},
	                      {type, 2}, {0, 2});
}

static uint8_t *put_vcpu(uint8_t *to, uint32_t mask, uint64_t gpa, int data, uint32_t index)
{
	return FIXTURE_HEADER(to, IGVM_VP_CONTEXT, {gpa, 8}, {mask, 4},
	                      {HEADERS_ROOM + (uint64_t)data * PAGE, 4}, {index, 2}, {0, 2});
}

static uint8_t *put_parameters(const struct igvm_guest *guest, uint8_t *to)
{
	static const uint32_t at[][2] = {
	        {IGVM_VP_COUNT, IGVM_AT_COUNT},   {IGVM_ENVIRONMENT_INFO, IGVM_AT_ENVIRONMENT},
	        {IGVM_MMIO_RANGES, IGVM_AT_MMIO}, {IGVM_COMMAND_LINE, IGVM_AT_LINE},
	        {IGVM_MEMORY_MAP, IGVM_AT_MAP},   {IGVM_MADT, IGVM_AT_MADT},
	};

	for (size_t i = 0; i < BASE_COUNT(at); i++)
		to = FIXTURE_HEADER(to, at[i][0], {AREA, 4}, {at[i][1], 4});
	if (guest->parameter)
		to = FIXTURE_HEADER(to, guest->parameter, {AREA, 4}, {0, 4});
	return FIXTURE_HEADER(to, IGVM_PARAMETER_INSERT, {guest->base + IGVM_PARAMETERS, 8},
	                      {ALL, 4}, {AREA, 4});
}

uint8_t *igvm_fixture(const struct igvm_guest *guest, size_t *size)
{
	const uint64_t base = guest->base;
	uint8_t *file, *to, *data;

	*size = HEADERS_ROOM + DATA_PAGES * PAGE;
	file = calloc(1, *size);
	if (!file)
		abort();
	data = file + HEADERS_ROOM;
	memcpy(data, guest->code, guest->code_size);
	memset(data + (size_t)DATA_PATTERN * PAGE, 0xa5, PAGE);
	make_native(guest, data + (size_t)DATA_NATIVE * PAGE);
	make_vmsa(guest, data + (size_t)DATA_VMSA_ES * PAGE, 0);
	make_vmsa(guest, data + (size_t)DATA_VMSA_SNP * PAGE, 1);
	to = file + HEADERS;
	to = put_platform(to, IGVM_ON_NATIVE, IGVM_NATIVE);
	to = put_platform(to, IGVM_ON_SNP, IGVM_SEV_SNP);
	to = put_platform(to, IGVM_ON_TDX, IGVM_TDX);
	to = put_platform(to, IGVM_ON_SEV, IGVM_SEV);
	to = put_platform(to, IGVM_ON_ES, IGVM_SEV_ES);
	to = FIXTURE_HEADER(to, IGVM_PARAMETER_AREA, {PAGE, 8}, {AREA, 4}, {0, 4});
	to = put_page(to, ALL, base + IGVM_CODE, DATA_CODE, 0, IGVM_PAGE_NORMAL);
	to = put_page(to, ALL, base + IGVM_ZEROS, -1, 0, IGVM_PAGE_NORMAL);
	to = put_page(to, ALL, base + IGVM_FROM_HOST, DATA_PATTERN, IGVM_PAGE_UNMEASURED,
	              IGVM_PAGE_NORMAL);
	to = put_page(to, ALL, base + IGVM_SHARED, DATA_PATTERN, IGVM_PAGE_SHARED,
	              IGVM_PAGE_NORMAL);
	to = put_parameters(guest, to);
	to = put_page(to, IGVM_ON_SNP, base + IGVM_SECRET, -1, 0, IGVM_PAGE_SECRETS);
	to = put_page(to, IGVM_ON_SNP, base + IGVM_CPUIDS, -1, 0, IGVM_PAGE_CPUID);
	if (!guest->no_native)
		to = put_vcpu(to, IGVM_ON_NATIVE, 0, DATA_NATIVE, guest->native_vcpu);
	for (uint32_t i = 0; i < guest->vcpus; i++) {
		to = put_vcpu(to, IGVM_ON_SEV | IGVM_ON_ES, 0, DATA_VMSA_ES, i);
		to = put_vcpu(to, IGVM_ON_SNP, guest->vmsa_gpa ? guest->vmsa_gpa : 0xfffffffff000,
		              DATA_VMSA_SNP, i);
	}
	if (guest->page_behind)
		to = put_page(to, HIDDEN, base + IGVM_END, -1, 0, IGVM_PAGE_NORMAL);
	memcpy(file, "IGVM", 4);
	fixture_put(file + 4, 1, 4);
	fixture_put(file + 8, HEADERS, 4);
	fixture_put(file + 12, (uint64_t)(to - file) - HEADERS, 4);
	fixture_put(file + 16, *size, 4);
	fixture_igvm_seal(file, *size);
	return file;
}
