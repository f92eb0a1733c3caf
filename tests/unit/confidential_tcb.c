/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Intel's documents say of a platform and of its quoting enclave: levels, statuses, signatures, times. The
 * documents are the test's own, as no published one is signed for every status.
 */
#include <check.h>

#include "tests/unit/quote_documents.h"

#include "base/base.h"

/* A quote, and what vouches for documents about its platform. */
static void open_signed(struct quote *quote, uint16_t version, struct attest_collateral *collateral)
{
	quote_open(quote, version, &quote_plain);
	quote_make(quote);
	attest_issue_add(collateral, quote->certs[QUOTE_SIGNER]);
	attest_issue_add(collateral, quote->certs[QUOTE_ROOT]);
}

/* With everything that there is to check, unless something is left out: nothing may be skipped. */
static void verify(const struct quote *quote, const struct attest_collateral *collateral,
                   uint32_t tcb, bool strict, const char *failed)
{
	const struct attest_input input = {.report = quote->bytes,
	                                   .size = quote->size,
	                                   .collateral = collateral,
	                                   .roots = &quote->root,
	                                   .root_count = 1,
	                                   .tcb = tcb,
	                                   .strict = strict,
	                                   .at = attest_day("2025-01-01")};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	if (strict && !*failed)
		for (size_t i = 0; i < verdict.count; i++)
			ck_assert_msg(verdict.checks[i].status == ATTEST_PASSED, "%s: %s",
			              verdict.checks[i].name, verdict.checks[i].why);
	attest_expect(&verdict, failed);
}

/* --- statuses --- */

static const struct status {
	const char *name;
	bool acceptable;
} statuses[] = {
        {"UpToDate", true},
        {"SWHardeningNeeded", true},
        {"ConfigurationNeeded", true},
        {"ConfigurationAndSWHardeningNeeded", true},
        {"OutOfDate", true},
        {"OutOfDateConfigurationNeeded", true},
        {"Revoked", false},
        {"Splendid", false},
        {"uptodate", false},
        {"", false},
};

/* Each status, of the platform, of the module, of the quoting enclave: what is asked for alone lets it pass. */
START_TEST(test_statuses)
{
	const struct status *status = &statuses[_i];
	static const char *const checks[] = {"tcb-level", "tdx-module", "qe-identity"};

	for (size_t where = 0; where < BASE_COUNT(checks); where++) {
		struct quote_documents document = quote_current;
		ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
		uint32_t bit = attest_tcb_parse(status->name);
		struct quote quote;

		*(where == 0   ? &document.status
		  : where == 1 ? &document.module
		               : &document.qe) = status->name;
		open_signed(&quote, 5, collateral);
		quote_lists(&quote, collateral);
		quote_documents_add(&quote, collateral, &document, 0);
		verify(&quote, collateral, 0, true, _i == 0 ? "" : checks[where]);
		verify(&quote, collateral, bit, true, status->acceptable ? "" : checks[where]);
		verify(&quote, collateral, ~bit, true, _i == 0 ? "" : checks[where]);
		quote_close(&quote);
	}
}
END_TEST

/* --- levels --- */

static const struct stale {
	size_t field;
	int value;
	uint16_t version;
	const char *failed, *tolerant; /* with OutOfDate accepted */
} stale[] = {
        {offsetof(struct quote_documents, svn), 3, 4, "", ""},
        {offsetof(struct quote_documents, svn), 4, 4, "tcb-level", ""}, /* the second level */
        {offsetof(struct quote_documents, svn), 5, 4, "tcb-level", "tcb-level"},
        {offsetof(struct quote_documents, pce), 12, 4, "tcb-level", ""},
        {offsetof(struct quote_documents, pce), 13, 4, "tcb-level", "tcb-level"},
        {offsetof(struct quote_documents, tdx), 8, 4, "tcb-level", ""},
        {offsetof(struct quote_documents, tdx), 8, 5, "tcb-level", ""},
        {offsetof(struct quote_documents, tdx), 9, 5, "tcb-level", "tcb-level"},
        {offsetof(struct quote_documents, tdx_first), 5, 4, "", ""},
        {offsetof(struct quote_documents, tdx_first), 6, 4, "tcb-level", ""},
        {offsetof(struct quote_documents, tdx_first), 200, 5, "", ""},
        {offsetof(struct quote_documents, module_svn), 6, 4, "",
         ""}, /* of version 0 there is none */
        {offsetof(struct quote_documents, module_svn), 5, 5, "", ""},
        {offsetof(struct quote_documents, module_svn), 6, 5, "tdx-module", "tdx-module"},
        {offsetof(struct quote_documents, qe_svn), 5, 5, "qe-identity", "qe-identity"},
        {offsetof(struct quote_documents, qe_svn), 3, 5, "", ""},
};

START_TEST(test_levels)
{
	const struct stale *test = &stale[_i];
	struct quote_documents document = quote_current;
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	memcpy((char *)&document + test->field, &test->value, sizeof(test->value));
	open_signed(&quote, test->version, collateral);
	quote_lists(&quote, collateral);
	quote_documents_add(&quote, collateral, &document, 0);
	verify(&quote, collateral, 0, true, test->failed);
	verify(&quote, collateral, ATTEST_TCB_OUT_OF_DATE, true, test->tolerant);
	quote_close(&quote);
}
END_TEST

/* --- who has signed it, and when --- */

static const struct trust {
	unsigned int flags;
	const char *issued, *next;
	const char *failed;
} trusts[] = {
        {0, "2024-12-01T00:00:00Z", "2025-02-01T00:00:00Z", ""},
        {QUOTE_SPOIL_INFO, "2024-12-01T00:00:00Z", "2025-02-01T00:00:00Z", "tcb-info-signature"},
        {QUOTE_SPOIL_QE, "2024-12-01T00:00:00Z", "2025-02-01T00:00:00Z", "qe-identity-signature"},
        {0, "2024-11-01T00:00:00Z", "2024-12-31T00:00:00Z", "tcb-info-current qe-identity-current"},
        {0, "2025-01-02T00:00:00Z", "2025-02-01T00:00:00Z", "tcb-info-current qe-identity-current"},
        {0, "yesterday", "2025-02-01T00:00:00Z", "tcb-info-current qe-identity-current"},
        {0, "2024-12-01T00:00:00Z", "2025-02-01", "tcb-info-current qe-identity-current"},
};

START_TEST(test_trust)
{
	const struct trust *test = &trusts[_i];
	struct quote_documents document = quote_current;
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	document.issued = test->issued;
	document.next = test->next;
	open_signed(&quote, 5, collateral);
	quote_documents_add(&quote, collateral, &document, test->flags);
	verify(&quote, collateral, 0, false, test->failed);
	quote_close(&quote);
}
END_TEST

/* Without its signer's certificate a document refuses what it calls bad, and lets nothing pass. */
START_TEST(test_unsigned)
{
	struct quote_documents document = quote_current;
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	document.status = document.qe = _i ? "Revoked" : "UpToDate";
	quote_open(&quote, 5, &quote_plain);
	quote_make(&quote);
	quote_lists(&quote, collateral);
	quote_documents_add(&quote, collateral, &document, 0);
	verify(&quote, collateral, 0, false, _i ? "tcb-level qe-identity" : "");
	if (_i == 0) {
		const struct attest_input input = {.report = quote.bytes,
		                                   .size = quote.size,
		                                   .collateral = collateral,
		                                   .roots = &quote.root,
		                                   .root_count = 1,
		                                   .strict = true,
		                                   .at = attest_day("2025-01-01")};
		struct attest_verdict verdict;

		attest_verify(&input, &verdict);
		ck_assert(!verdict.accepted);
		ck_assert_int_eq(attest_status(&verdict, "tcb-level"), ATTEST_SKIPPED);
		ck_assert_int_eq(attest_status(&verdict, "tdx-module"), ATTEST_SKIPPED);
		ck_assert_int_eq(attest_status(&verdict, "qe-identity"), ATTEST_SKIPPED);
	}
	quote_close(&quote);
}
END_TEST

/* The signer is revoked by the root; the newest document of this platform is the one that counts. */
START_TEST(test_signer_revoked)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	open_signed(&quote, 5, collateral);
	attest_issue_crl(collateral, quote.certs[QUOTE_ROOT], quote.keys[QUOTE_ROOT],
	                 quote.certs[QUOTE_SIGNER], false, "2024-12-01", "2025-06-01");
	quote_documents_add(&quote, collateral, &quote_current, 0);
	verify(&quote, collateral, 0, false, "tcb-info-revocation qe-identity-revocation");
	quote_close(&quote);
}
END_TEST

START_TEST(test_newest)
{
	struct quote_documents document = quote_current;
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	open_signed(&quote, 5, collateral);
	quote_lists(&quote, collateral);
	/* another platform's, and an old one; then the one that is current; then one that is a week newer */
	document.fmspc = "90c06f000000";
	document.status = "Revoked";
	quote_documents_add(&quote, collateral, &document, 0);
	verify(&quote, collateral, 0, false, "");
	document.fmspc = quote_current.fmspc;
	document.issued = "2024-06-01T00:00:00Z";
	document.next = "2024-07-01T00:00:00Z";
	quote_documents_add(&quote, collateral, &document, 0);
	verify(&quote, collateral, 0, false, "tcb-info-current tcb-level");
	quote_documents_add(&quote, collateral, &quote_current, 0);
	verify(&quote, collateral, 0, true, "");
	document.issued = "2024-12-08T00:00:00Z";
	document.next = quote_current.next;
	quote_documents_add(&quote, collateral, &document, 0);
	verify(&quote, collateral, 0, true, "tcb-level");
	quote_close(&quote);
}
END_TEST

/* --- what is no document --- */

START_TEST(test_malformed)
{
	static const char zeros[] =
	        "00000000000000000000000000000000000000000000000000000000000000000000000000000000"
	        "000000000000000000000000000000000000000000000000000";
	static const struct {
		const char *before;
		int digits; /* between those two */
		const char *after;
		int added;
	} tests[] = {
	        {"{\"tcbInfo\":{},\"signature\":\"", 128, "\"}", 1},
	        {"{ \"tcbInfo\" : { } , \"signature\" : \"", 128, "\" }\n", 1},
	        {"{\"enclaveIdentity\":{\"a\":\"}\\\"{\"},\"signature\":\"", 128, "\"}", 1},
	        {"{\"tcbInfo\":{},\"signature\":\"", 128, "\"} more", 0},
	        {"{\"tcbInfo\":{},\"signature\":\"", 128, "\",\"more\":1}", 0},
	        {"{\"tcbInfo\":{},\"signature\":\"", 129, "\"}", 0},
	        {"{\"tcbInfo\":{},\"signature\":\"x", 127, "\"}", 0},
	        {"{\"tcbInfo\":{},\"signature\":\"", 126, "\"}", 0},
	        {"{\"tcbInfo\":[],\"signature\":\"", 128, "\"}", 0},
	        {"{\"tcbInfo\":{{},\"signature\":\"", 128, "\"}", 0},
	        {"{\"other\":{},\"signature\":\"", 128, "\"}", 0},
	        {"{\"signature\":\"", 128, "\",\"tcbInfo\":{}}", 0},
	        {"{\"tcbInfo\":{\"\\", 0, "", 0},
	        {"{", 0, "", 0},
	};

	for (size_t i = 0; i < BASE_COUNT(tests); i++) {
		ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
		BASE_AUTO_FREE char *text = NULL, *cut = NULL;
		int size = asprintf(&text, "%s%.*s%s", tests[i].before, tests[i].digits, zeros,
		                    tests[i].after);

		ck_assert_int_gt(size, 0);
		ck_assert_msg(attest_collateral_add(collateral, text, (size_t)size) ==
		                      tests[i].added,
		              "%s", text);
		/* it ends anywhere, and nothing is read behind that */
		for (int end = 0; end < size - 1; end++) {
			free(cut);
			cut = malloc((size_t)end + 1);
			memcpy(cut, text, (size_t)end);
			if (tests[i].added)
				ck_assert_int_eq(
				        attest_collateral_add(collateral, cut, (size_t)end), 0);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_tcb");
	TCase *test = tcase_create("tcb");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 170);
	tcase_add_loop_test(test, test_statuses, 0, BASE_COUNT(statuses));
	tcase_add_loop_test(test, test_levels, 0, BASE_COUNT(stale));
	tcase_add_loop_test(test, test_trust, 0, BASE_COUNT(trusts));
	tcase_add_loop_test(test, test_unsigned, 0, 2);
	tcase_add_test(test, test_signer_revoked);
	tcase_add_test(test, test_newest);
	tcase_add_test(test, test_malformed);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
