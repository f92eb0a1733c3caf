/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes IGVM files, as they are and with the checksum that they should have. */
#include "tests/unit/confidential_fixture.h"

#include "base/base.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static int touch(void *data, const struct launch_region *region)
{
	uint64_t *sum = data;

	require(region->filled <= region->size);
	for (size_t at = 0; at < region->filled; at += 64)
		*sum += region->bytes[at];
	return 0;
}

static void once(const uint8_t *file, size_t size)
{
	static const struct launch_range memory = {0, 0x1000000, false};
	static const struct launch_host host = {.memory = &memory,
	                                        .memory_count = 1,
	                                        .command_line = "quiet",
	                                        .madt = (const uint8_t *)"APIC",
	                                        .madt_size = 4};

	/* each type as it is measured and as it is launched, and the platform without encryption */
	for (int i = 0; i <= 2 * CONFIDENTIAL_TYPES; i++) {
		const bool native = i == 2 * CONFIDENTIAL_TYPES;
		const struct launch_input input = {
		        .type = (enum confidential_type)(i % CONFIDENTIAL_TYPES),
		        .vcpus = 2,
		        .igvm = true,
		        .bytes = file,
		        .size = size,
		        .host = i >= CONFIDENTIAL_TYPES ? &host : NULL};
		char why[WHY_MAX] = "";
		uint64_t sum = 0;
		int err = native ? launch_walk_native(&input, touch, &sum, why)
		                 : launch_walk(&input, touch, &sum, why);

		require(err == 0 || (err == -EINVAL && why[0]));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	once(copy, size);
	if (size >= 24) {
		fixture_put(copy + 16, size, 4);
		fixture_igvm_seal(copy, size);
		once(copy, size);
	}
	free(copy);
	return 0;
}
