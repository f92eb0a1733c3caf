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
	static const enum confidential_type types[] = {CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_TDX};

	for (size_t i = 0; i < BASE_COUNT(types); i++) {
		const struct launch_input input = {
		        .type = types[i], .igvm = true, .bytes = file, .size = size};
		char why[WHY_MAX] = "";
		uint64_t sum = 0;
		int err = launch_walk(&input, touch, &sum, why);

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
