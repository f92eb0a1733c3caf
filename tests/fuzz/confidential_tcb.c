/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fuzzes what Intel's documents and extensions say of a platform. The first byte says what the rest is: a document with
 * its signature, the inside of one, or a PCK's extension.
 */
#include "base/base.h"
#include "confidential/attest.h"

enum { KIND_DOCUMENT, KIND_TCB_INFO, KIND_QE_IDENTITY, KIND_EXTENSION, KINDS };

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void platform_fill(struct attest_platform *platform, const uint8_t qe[384], uint8_t version)
{
	static const uint8_t seam[48];

	*platform = (struct attest_platform){.pce_svn = 11,
	                                     .fmspc = {0x90, 0xc0, 0x6f},
	                                     .seam_signer = seam,
	                                     .seam_attributes = seam,
	                                     .qe_report = qe};
	memset(platform->sgx_svn, 3, sizeof(platform->sgx_svn));
	memset(platform->tee_svn, 3, sizeof(platform->tee_svn));
	platform->tee_svn[1] = version;
}

static void documents(uint8_t kind, const uint8_t *data, size_t size, uint8_t version)
{
	static const char zeros[] =
	        "0000000000000000000000000000000000000000000000000000000000000000";
	struct attest_collateral *collateral = attest_collateral_new();
	const struct attest_input input = {.collateral = collateral, .at = 1770681600};
	struct attest_verdict verdict = {.accepted = true};
	struct attest attest = {.input = &input, .verdict = &verdict};
	struct attest_platform platform;
	const uint8_t qe[384] = {[258] = 4};
	char *text = NULL;
	int length;

	require(collateral);
	if (kind == KIND_DOCUMENT)
		length = asprintf(&text, "%.*s", (int)size, (const char *)data);
	else
		length = asprintf(&text, "{\"%s\":%.*s,\"signature\":\"%s%s\"}",
		                  kind == KIND_TCB_INFO ? "tcbInfo" : "enclaveIdentity", (int)size,
		                  (const char *)data, zeros, zeros);
	require(length >= 0);
	attest_collateral_add(collateral, text, (size_t)length);
	platform_fill(&platform, qe, version);
	attest_pcs(&attest, &platform);
	/* nobody vouches for any of it */
	for (size_t i = 0; i < verdict.count; i++)
		require(verdict.checks[i].status != ATTEST_PASSED ||
		        strstr(verdict.checks[i].name, "-current"));
	free(text);
	attest_collateral_free(collateral);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct attest_platform platform = {0};
	uint8_t *copy;

	if (size == 0 || size > 1 << 16)
		return 0;
	copy = malloc(size);
	require(copy);
	memcpy(copy, data + 1, size - 1);
	if (data[0] % KINDS == KIND_EXTENSION)
		attest_pck_read((struct attest_rest){copy, size - 1}, &platform);
	else
		documents(data[0] % KINDS, copy, size - 1, data[0] / KINDS % 4);
	free(copy);
	return 0;
}
