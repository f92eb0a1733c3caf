/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fuzzes TDX quotes with the certificates that are in them, as a guest hands them over. */
#include "base/base.h"
#include "confidential/confidential.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct attest_input input = {.size = size, .collateral = collateral, .at = 1770681600};
	uint8_t *copy = malloc(size ? size : 1);
	struct attest_verdict verdict;

	require(copy && collateral);
	memcpy(copy, data, size);
	input.report = copy;
	attest_verify(&input, &verdict);
	require(verdict.count > 0 && verdict.count < ATTEST_CHECKS_MAX);
	for (size_t i = 0; i < verdict.count; i++)
		require(verdict.checks[i].status != ATTEST_FAILED || !verdict.accepted);
	/* there is no CRL here, so nothing is accepted where nothing may be skipped */
	input.strict = true;
	attest_verify(&input, &verdict);
	require(!verdict.accepted);
	free(copy);
	attest_collateral_free(collateral);
	return 0;
}
