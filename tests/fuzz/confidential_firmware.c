/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes what walks OVMF and TDVF images: every type of launch of the same bytes, each region read. */
#include "base/base.h"
#include "confidential/confidential.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static int touch(void *data, const struct launch_region *region)
{
	uint64_t *sum = data;

	require(region->filled <= region->size && region->size <= CONFIDENTIAL_LAUNCH_MAX);
	for (size_t at = 0; at < region->filled; at += 64)
		*sum += region->bytes[at];
	if (region->filled)
		*sum += region->bytes[region->filled - 1];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct confidential_kernel kernel;
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	for (unsigned int i = 0; i < CONFIDENTIAL_TYPES * 2 * CONFIDENTIAL_VMMS; i++) {
		const struct launch_input input = {.type = i % CONFIDENTIAL_TYPES,
		                                   .vmm = i / CONFIDENTIAL_TYPES / 2,
		                                   .vcpus = 3,
		                                   .bytes = copy,
		                                   .size = size,
		                                   .kernel = i / CONFIDENTIAL_TYPES % 2 ? &kernel
		                                                                        : NULL};
		char why[WHY_MAX] = "";
		uint64_t sum = 0;
		int err = launch_walk(&input, touch, &sum, why);

		require(err == 0 || (err == -EINVAL && why[0]));
	}
	free(copy);
	return 0;
}
