/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes SEV-SNP reports, and what lies beside them: the size of the report in two bytes, the report, and one file of
 * certificates: a host's table of them, PEM or DER.
 */
#include "base/base.h"
#include "confidential/confidential.h"

static void require(bool holds)
{
	if (!holds)
		abort();
}

static uint8_t *copied(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	require(copy);
	memcpy(copy, data, size);
	return copy;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct attest_input input = {.collateral = collateral, .at = 1735689600};
	struct attest_verdict verdict;
	uint8_t *report, *certs;
	size_t rest;

	require(collateral);
	if (size >= 2) {
		input.size = BASE_MIN((size_t)base_le16(data), size - 2);
		rest = size - 2 - input.size;
		report = copied(data + 2, input.size);
		certs = copied(data + 2 + input.size, rest);
		attest_collateral_add(collateral, certs, rest);
		input.report = report;
		attest_verify(&input, &verdict);
		require(verdict.count > 0 && verdict.count < ATTEST_CHECKS_MAX);
		for (size_t i = 0; i < verdict.count; i++)
			require(verdict.checks[i].status != ATTEST_FAILED || !verdict.accepted);
		free(report);
		free(certs);
	}
	attest_collateral_free(collateral);
	return 0;
}
