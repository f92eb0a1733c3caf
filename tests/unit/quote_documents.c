/* SPDX-License-Identifier: GPL-2.0-or-later */
/* quote_documents: see quote_documents.h. */
#include "tests/unit/quote_documents.h"

#include <check.h>

#include "base/base.h"

const struct quote_options quote_plain = {.svns = {3, 3, 2, 2, 2, 1, 0, 2}, .pce_svn = 11};

const struct quote_documents quote_current = {"50806f000000",
                                              "2024-12-01T00:00:00Z",
                                              "2025-02-01T00:00:00Z",
                                              "UpToDate",
                                              "UpToDate",
                                              "UpToDate",
                                              3,
                                              7,
                                              11,
                                              5,
                                              4,
                                              0};

/* 16 components: the third of them is the one of TDX that module and platform share. */
static void components(char *out, size_t size, int first, int svn, size_t at)
{
	size_t length = 0;

	for (size_t i = 0; i < 16; i++)
		length += (size_t)snprintf(out + length, size - length, "%s{\"svn\": %d}",
		                           i ? "," : "",
		                           i == at ? svn
		                           : i     ? 0
		                                   : first);
}

static char *level(const struct quote_documents *document, int below, const char *status)
{
	char sgx[512], tdx[512], *text = NULL;

	components(sgx, sizeof(sgx), 0, document->svn - below, 0);
	components(tdx, sizeof(tdx), BASE_MAX(document->tdx_first - below, 0),
	           document->tdx - below, 2);
	ck_assert_int_gt(asprintf(&text,
	                          "{\"tcb\": {\"sgxtcbcomponents\": [%s],\"pcesvn\": %d,"
	                          "\"tdxtcbcomponents\": [%s]},"
	                          "\"tcbDate\": \"2024-11-13T00:00:00Z\",\"tcbStatus\": \"%s\"}",
	                          sgx, document->pce - below, tdx, status),
	                 0);
	return text;
}

char *quote_tcb_info(const struct quote_documents *document)
{
	static const char module[] = "\"mrsigner\": \"%0*d\",\"attributes\": \"0000000000000000\","
	                             "\"attributesMask\": \"FFFFFFFFFFFFFFFF\"";
	BASE_AUTO_FREE char *first = level(document, 0, document->status);
	BASE_AUTO_FREE char *second = level(document, 1, "OutOfDate");
	char who[256], *text = NULL;

	snprintf(who, sizeof(who), module, 96, 0);
	ck_assert_int_gt(
	        asprintf(&text,
	                 "{\"id\": \"TDX\",\"version\": 3,\"issueDate\": \"%s\",\"nextUpdate\": "
	                 "\"%s\","
	                 "\"fmspc\": \"%s\",\"pceId\": \"0000\",\"tdxModule\": {%s},"
	                 "\"tdxModuleIdentities\": [{\"id\": \"TDX_03\",%s,\"tcbLevels\": []},"
	                 "{\"id\": \"TDX_01\",%s,\"tcbLevels\": [{\"tcb\": {\"isvsvn\": %d},"
	                 "\"tcbStatus\": \"%s\"}]}],\"tcbLevels\": [%s,%s]}",
	                 document->issued, document->next, document->fmspc, who, who, who,
	                 document->module_svn, document->module, first, second),
	        0);
	return text;
}

char *quote_qe_identity(const struct quote_documents *document)
{
	char *text = NULL;

	ck_assert_int_gt(
	        asprintf(&text,
	                 "{\"id\": \"TD_QE\",\"version\": 2,\"issueDate\": \"%s\","
	                 "\"nextUpdate\": \"%s\",\"miscselect\": \"00000000\","
	                 "\"miscselectMask\": \"FFFFFFFF\","
	                 "\"attributes\": \"11000000000000000000000000000000\","
	                 "\"attributesMask\": \"FBFFFFFFFFFFFFFF0000000000000000\","
	                 "\"mrsigner\": "
	                 "\"DC9E2A7C6F948F17474E34A7FC43ED030F7C1563F1BABDDF6340C82E0E54A8C5\","
	                 "\"isvprodid\": 2,\"tcbLevels\": [{\"tcb\": {\"isvsvn\": %d},"
	                 "\"tcbStatus\": \"%s\"}]}",
	                 document->issued, document->next, document->qe_svn, document->qe),
	        0);
	return text;
}

void quote_documents_add(const struct quote *quote, struct attest_collateral *collateral,
                         const struct quote_documents *document, unsigned int flags)
{
	BASE_AUTO_FREE char *info = quote_tcb_info(document), *qe = quote_qe_identity(document);

	quote_document(quote, collateral, "tcbInfo", info, flags & QUOTE_SPOIL_INFO);
	quote_document(quote, collateral, "enclaveIdentity", qe, flags & QUOTE_SPOIL_QE);
}

void quote_lists(const struct quote *quote, struct attest_collateral *collateral)
{
	for (int i = QUOTE_ROOT; i <= QUOTE_CA; i++)
		attest_issue_crl(collateral, quote->certs[i], quote->keys[i], NULL, false,
		                 "2024-12-01", "2025-06-01");
}
