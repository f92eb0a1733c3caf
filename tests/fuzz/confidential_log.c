/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes event logs: each is read twice, and leads to the same registers. */
#include "base/base.h"
#include "confidential/attest.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1), first[4][48], second[4][48];
	char why[WHY_MAX] = "";
	bool read;

	require(copy);
	memcpy(copy, data, size);
	read = attest_ccel_replay(copy, size, first, why);
	require(why[0]);
	require(attest_ccel_replay(copy, size, second, why) == read);
	require(memcmp(first, second, sizeof(first)) == 0);
	free(copy);
	return 0;
}
