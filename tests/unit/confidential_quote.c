/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TDX quotes: published ones with their documented verdicts, changed in every byte and cut everywhere; and quotes
 * under an authority of the test's own.
 */
#include <check.h>

#include "tests/unit/quote_fixture.h"

#include "base/base.h"
#include "confidential/attest.h"

/* --- published samples --- */

#define V4     "tdx_prod_quote_SPR_E4.dat"
#define V5     "quote_v5_sample.dat"
#define COS    "cos-113-tdx-quote.dat"
#define UNSEEN "revocation tcb-level qe-identity"

static const struct sample {
	const char *quote, *files[6], *day;
	bool trim;
	const char *failed, *skipped;
} samples[] = {
        /* its makers have put a line behind it, which is in no field of it */
        {V4, {0}, "2023-07-01", false, "length", UNSEEN},
        {V4, {0}, "2023-07-01", true, "", UNSEEN},
        {V4, {"pckcrl", "rootcrl.der"}, "2023-07-01", true, "", "tcb-level qe-identity"},
        {V4, {"pckcrl", "rootcrl.der"}, "2023-08-01", true, "revocation", "tcb-level qe-identity"},
        {V4, {"pckcrl", "rootcrl.der"}, "2023-06-01", true, "revocation", "tcb-level qe-identity"},
        {V4, {0}, "2017-01-01", true, "validity", UNSEEN},
        {V4, {0}, "2040-01-01", true, "validity", UNSEEN},
        /* a platform that has not been updated: its makers' verifier finds no level for it either */
        {V4,
         {"sample_tcbInfo_response", "sample_qeIdentity_response", "tcb_signing.pem", "pckcrl",
          "rootcrl.der"},
         "2023-07-01",
         true,
         "tcb-level",
         ""},
        /* the same, and nobody says who has signed that */
        {V4,
         {"sample_tcbInfo_response", "sample_qeIdentity_response", "pckcrl", "rootcrl.der"},
         "2023-07-01",
         true,
         "tcb-level",
         "tcb-info-signature tdx-module qe-identity-signature qe-identity"},
        {V5, {0}, "2026-02-10", false, "", UNSEEN},
        {V5,
         {"sample_tcbinfo_response_v5"},
         "2026-02-10",
         false,
         "",
         "revocation tcb-info-signature tdx-module tcb-level qe-identity"},
        {V5,
         {"sample_tcbinfo_response_v5"},
         "2026-04-01",
         false,
         "tcb-info-current",
         "revocation tcb-info-signature tdx-module tcb-level qe-identity"},
        {V5,
         {"sample_tcbinfo_response_v5", "tcb_signing.pem"},
         "2026-02-10",
         false,
         "tcb-info-validity",
         "revocation tcb-info-revocation qe-identity"},
        {V5, {"sample_tcbInfo_response"}, "2026-02-10", false, "", UNSEEN},
        {V5, {"cert_chain_milan"}, "2026-02-10", false, "", UNSEEN},
        {COS, {0}, "2025-01-01", false, "", UNSEEN},
};

static void expect_skipped(const struct attest_verdict *verdict, const char *skipped)
{
	char has[512] = "";

	for (size_t i = 0; i < verdict->count; i++)
		if (verdict->checks[i].status == ATTEST_SKIPPED)
			snprintf(has + strlen(has), sizeof(has) - strlen(has), "%s%s",
			         *has ? " " : "", verdict->checks[i].name);
	ck_assert_str_eq(has, skipped);
}

START_TEST(test_samples)
{
	const struct sample *sample = &samples[_i];
	const char *files[7] = {NULL};
	struct attest_input input = {.at = attest_day(sample->day), .trim = sample->trim};
	BASE_AUTO_FREE uint8_t *quote = attest_file(sample->quote, &input.size);
	struct attest_verdict verdict;

	memcpy(files, sample->files, sizeof(sample->files));
	ATTEST_AUTO_COLLATERAL *collateral = attest_files(files);
	input.collateral = collateral;
	input.report = quote;
	attest_verify(&input, &verdict);
	attest_expect(&verdict, sample->failed);
	expect_skipped(&verdict, sample->skipped);
	input.strict = true;
	attest_verify(&input, &verdict);
	ck_assert(!verdict.accepted);
}
END_TEST

/* A quote in a buffer of just its size, so that a read behind it is seen. */
static void verify_cut(struct attest_input *input, const uint8_t *quote, size_t size,
                       const char *failed)
{
	BASE_AUTO_FREE uint8_t *cut = malloc(size ? size : 1);
	struct attest_verdict verdict;

	memcpy(cut, quote, size);
	input->report = cut;
	input->size = size;
	attest_verify(input, &verdict);
	attest_expect(&verdict, failed);
}

/* Where each sample ends by its own lengths, and a day of its certificates. */
static const struct whole {
	const char *quote, *day;
	size_t end;
} wholes[] = {{COS, "2026-02-10", 4935}, {V5, "2026-02-10", 5006}, {V4, "2023-07-01", 4935}};

START_TEST(test_sample_lengths)
{
	const struct whole *whole = &wholes[_i];
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct attest_input input = {.collateral = collateral, .at = attest_day(whole->day)};
	const size_t end = whole->end;
	size_t size;
	BASE_AUTO_FREE uint8_t *quote = attest_file(whole->quote, &size);
	BASE_AUTO_FREE uint8_t *longer = calloc(1, size + 64);

	for (size_t cut = 0; cut < end; cut++)
		verify_cut(&input, quote, cut, "length");
	memcpy(longer, quote, end);
	verify_cut(&input, longer, end, "");
	/* padding is zeros */
	verify_cut(&input, longer, end + 33, "");
	for (size_t more = 1; more < 33; more++) {
		longer[end + more - 1] = 1;
		verify_cut(&input, longer, end + 33, "length");
		verify_cut(&input, longer, end + more, "length");
		longer[end + more - 1] = 0;
	}
	longer[end] = 1;
	input.trim = true;
	verify_cut(&input, longer, end + 33, "");
}
END_TEST

/* Each byte before the chain of certificates: what is signed, and each signature and key. */
START_TEST(test_sample_flips)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	size_t size;
	BASE_AUTO_FREE uint8_t *quote = attest_file(_i ? V5 : V4, &size);
	const struct attest_input input = {.report = quote,
	                                   .size = size,
	                                   .collateral = collateral,
	                                   .trim = true,
	                                   .at = attest_day(_i ? "2026-02-10" : "2023-07-01")};
	const size_t signed_size = _i ? 48 + 6 + 648 : 48 + 584;
	const uint8_t *pem = memmem(quote, size, "-----BEGIN", 10);
	struct attest_verdict verdict;

	ck_assert_ptr_nonnull(pem);
	for (size_t at = 0; at < (size_t)(pem - quote); at++) {
		const uint8_t flip = (uint8_t)(1 << at % 8);

		quote[at] ^= flip;
		attest_verify(&input, &verdict);
		ck_assert_msg(!verdict.accepted, "byte %zu was changed, and it is accepted", at);
		if (at < signed_size && attest_status(&verdict, "signature") >= 0)
			ck_assert_int_eq(attest_status(&verdict, "signature"), ATTEST_FAILED);
		quote[at] ^= flip;
	}
}
END_TEST

enum { CHAIN_STRIDE = 5 };

/* Bytes of the chain. A digit before a '=' has bits that are of no byte: with others it is the same chain. */
START_TEST(test_sample_chain_flips)
{
	const struct whole *whole = &wholes[_i];
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	size_t size;
	BASE_AUTO_FREE uint8_t *quote = attest_file(whole->quote, &size);
	const struct attest_input input = {.report = quote,
	                                   .size = whole->end,
	                                   .collateral = collateral,
	                                   .at = attest_day(whole->day)};
	const uint8_t *pem = memmem(quote, size, "-----BEGIN", 10);
	struct attest_verdict verdict;

	ck_assert_ptr_nonnull(pem);
	for (size_t at = (size_t)(pem - quote); at < whole->end; at += CHAIN_STRIDE) {
		const uint8_t flip = (uint8_t)(1 << at % 8);

		quote[at] ^= flip;
		attest_verify(&input, &verdict);
		ck_assert_msg(!verdict.accepted || quote[at + 1] == '=',
		              "byte %zu was changed, and it is accepted", at);
		quote[at] ^= flip;
	}
}
END_TEST

/* A first certificate that cannot be read: the one behind it, which is genuine, is not taken for a PCK's. */
START_TEST(test_sample_chain)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct attest_input input = {.collateral = collateral, .at = attest_day("2026-02-10")};
	BASE_AUTO_FREE uint8_t *quote = attest_file(V5, &input.size);
	uint8_t *pem = memmem(quote, input.size, "-----BEGIN", 10);
	static const size_t offsets[] = {0, 11, 28, 31, 100};

	ck_assert_ptr_nonnull(pem);
	for (size_t i = 0; i < BASE_COUNT(offsets); i++) {
		struct attest_verdict verdict;

		pem[offsets[i]] ^= 1;
		input.report = quote;
		attest_verify(&input, &verdict);
		attest_expect(&verdict, "certificate");
		pem[offsets[i]] ^= 1;
	}
}
END_TEST

/* What follows the chain, where its makers have a line's end and a zero. */
START_TEST(test_sample_chain_end)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct attest_input input = {.collateral = collateral, .at = attest_day("2026-02-10")};
	BASE_AUTO_FREE uint8_t *quote = attest_file(_i ? V5 : COS, &input.size);
	const size_t end = _i ? input.size : 4935;

	input.size = end;
	for (size_t at = end - 1; quote[at] != '-'; at--)
		for (unsigned int value = 0; value < 256; value++) {
			const uint8_t was = quote[at];
			struct attest_verdict verdict;

			quote[at] = (uint8_t)value;
			input.report = quote;
			attest_verify(&input, &verdict);
			attest_expect(&verdict,
			              value == '\n' || value == '\r' || value == 0 ? "" : "format");
			quote[at] = was;
		}
}
END_TEST

/* --- an authority of our own --- */

static const struct quote_options plain = {.svns = {3, 3, 2, 2, 2, 1, 0, 2}, .pce_svn = 11};

static void verify(struct quote *quote, const struct attest_collateral *collateral,
                   const char *failed)
{
	const struct attest_input input = {.report = quote->bytes,
	                                   .size = quote->size,
	                                   .collateral = collateral,
	                                   .roots = &quote->root,
	                                   .root_count = 1,
	                                   .at = attest_day("2025-01-01")};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	attest_expect(&verdict, failed);
}

enum part { HEADER, BODY, QE };
/* What is in the quote before it is signed, and what that leads to. */
static const struct change {
	enum part part;
	size_t at;
	uint8_t value;
	const char *failed;
} changes[] = {
        {HEADER, 8, 0, ""},
        {HEADER, 0, 3, "format"},
        {HEADER, 0, 6, "format"},
        {HEADER, 2, 3, "format"},  /* a key of P-384 */
        {HEADER, 4, 0, "format"},  /* of SGX */
        {HEADER, 12, 0, "format"}, /* another vendor's enclave */
        {BODY, QUOTE_ATTRIBUTES, 0x01, "debug"},
        {BODY, QUOTE_ATTRIBUTES, 0x80, "debug"},
        {BODY, QUOTE_ATTRIBUTES + 3, 0x30, "migration"},
        {BODY, QUOTE_SEAM_SIGNER + 47, 1, "seam-signer"},
        {BODY, QUOTE_SEAM_ATTRIBUTES, 1, "seam-signer"},
        {QE, 48, 0x13, "qe-debug"},
        {QE, 128, 0, "qe-signer"},
        {QE, 256, 1, "qe-signer"}, /* the quoting enclave of SGX */
        {QE, 320 + 63, 1, "qe-binding"},
};

START_TEST(test_changes)
{
	const struct change *change = &changes[_i / 2];
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	quote_open(&quote, _i % 2 ? 5 : 4, &plain);
	(change->part == HEADER ? quote.header
	 : change->part == BODY ? quote.body
	                        : quote.qe)[change->at] = change->value;
	quote_make(&quote);
	verify(&quote, collateral, change->failed);
	quote_close(&quote);
}
END_TEST

/* Whoever wants a guest that can be moved says so, by all of its attributes. */
START_TEST(test_migration)
{
	static const struct {
		uint64_t policy;
		const char *failed;
	} tests[] = {{0x30000000, ""}, {0x10000000, "migration policy"}, {0x30000001, "policy"}};
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct attest_verdict verdict;
	struct quote quote;

	quote_open(&quote, 4, &plain);
	quote.body[QUOTE_ATTRIBUTES + 3] = 0x30;
	quote_make(&quote);
	attest_verify(&(struct attest_input){.report = quote.bytes,
	                                     .size = quote.size,
	                                     .collateral = collateral,
	                                     .policy = &tests[_i].policy,
	                                     .roots = &quote.root,
	                                     .root_count = 1,
	                                     .at = attest_day("2025-01-01")},
	              &verdict);
	attest_expect(&verdict, tests[_i].failed);
	quote_close(&quote);
}
END_TEST

/* After it was signed: a field at its offset, from where the signature data begin. */
static const struct field {
	size_t at, size;
	uint32_t value;
	const char *failed;
} fields[] = {
        {4 + 128, 2, 5, "format"}, /* certified by a chain where a QE report is expected */
        {4 + 130, 4, 0, "format"}, /* an empty report, and something behind it */
        {4 + 130, 4, 0xffffffff, "length"},
        {4 + 134 + 448, 2, 0xffff, "length"},     /* authentication data */
        {4 + 134 + 448 + 2 + 32, 2, 3, "format"}, /* certified by something encrypted */
        {4 + 134 + 448 + 4 + 32, 4, 0, "format"}, /* a chain that is shorter than what is there */
        {4 + 134 + 448 + 4 + 32, 4, ~0u, "length"},
        {0, 4, 0, "length"},
        {0, 4, 0xfffffff0, "length"},
};

START_TEST(test_fields)
{
	const struct field *field = &fields[_i];
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	quote_open(&quote, 4, &plain);
	quote_make(&quote);
	for (size_t i = 0; i < field->size; i++)
		quote.bytes[quote.signed_size + field->at + i] = (uint8_t)(field->value >> 8 * i);
	verify(&quote, collateral, field->failed);
	quote_close(&quote);
}
END_TEST

START_TEST(test_platforms)
{
	struct quote_options options = plain;
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;
	const char *failed = "";

	switch (_i) {
	case 0: break;
	case 1:
	case 2:
	case 3:
		options.without = _i + 1;
		failed = "pck-extensions";
		break;
	case 4:
		options.twice = true;
		failed = "pck-extensions";
		break;
	case 5:
		options.to = "2024-12-31";
		failed = "validity";
		break;
	default:
		options.from = "2025-01-02";
		failed = "validity";
		break;
	}
	quote_open(&quote, 4, &options);
	quote_make(&quote);
	verify(&quote, collateral, failed);
	/* a chain that is whole, to a root that nobody has pinned */
	quote.root.spki[0] ^= 1;
	verify(&quote, collateral,
	       options.without || options.twice ? "certificate-chain pck-extensions"
	                                        : "certificate-chain");
	quote_close(&quote);
}
END_TEST

static const struct revocation {
	enum quote_who issuer, signer, revoked;
	bool delta;
	const char *from, *to, *failed;
} revocations[] = {
        {QUOTE_ROOT, QUOTE_ROOT, QUOTE_KEYS, false, "2024-06-01", "2025-06-01", ""},
        {QUOTE_CA, QUOTE_CA, QUOTE_KEYS, false, "2024-06-01", "2025-06-01", ""},
        {QUOTE_CA, QUOTE_CA, QUOTE_PCK, false, "2024-06-01", "2025-06-01", "revocation"},
        {QUOTE_ROOT, QUOTE_ROOT, QUOTE_CA, false, "2024-06-01", "2025-06-01", "revocation"},
        /* who was revoked once stays so, in a stale list too */
        {QUOTE_CA, QUOTE_CA, QUOTE_PCK, false, "2024-06-01", "2024-07-01", "revocation"},
        {QUOTE_CA, QUOTE_PCK, QUOTE_KEYS, false, "2024-06-01", "2025-06-01", "revocation"},
        {QUOTE_CA, QUOTE_CA, QUOTE_KEYS, false, "2024-06-01", "2024-12-31", "revocation"},
        {QUOTE_CA, QUOTE_CA, QUOTE_KEYS, false, "2025-02-01", "2025-06-01", "revocation"},
        {QUOTE_CA, QUOTE_CA, QUOTE_KEYS, true, "2024-06-01", "2025-06-01", "revocation"},
};

START_TEST(test_revocations)
{
	const struct revocation *test = &revocations[_i];
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	quote_open(&quote, 4, &plain);
	quote_make(&quote);
	attest_issue_crl(collateral, quote.certs[test->issuer], quote.keys[test->signer],
	                 test->revoked == QUOTE_KEYS ? NULL : quote.certs[test->revoked],
	                 test->delta, test->from, test->to);
	verify(&quote, collateral, test->failed);
	quote_close(&quote);
}
END_TEST

/* A newer list stands in for a stale one, whichever is read first. */
START_TEST(test_newer_crl)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct quote quote;

	quote_open(&quote, 4, &plain);
	quote_make(&quote);
	for (int i = 0; i < 2; i++)
		attest_issue_crl(collateral, quote.certs[QUOTE_CA], quote.keys[QUOTE_CA], NULL,
		                 false, i == _i ? "2024-12-01" : "2024-06-01",
		                 i == _i ? "2025-06-01" : "2024-12-01");
	verify(&quote, collateral, "");
	quote_close(&quote);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_quote");
	TCase *test = tcase_create("quote");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 170);
	tcase_add_loop_test(test, test_samples, 0, BASE_COUNT(samples));
	tcase_add_loop_test(test, test_sample_lengths, 0, BASE_COUNT(wholes));
	tcase_add_loop_test(test, test_sample_flips, 0, 2);
	tcase_add_loop_test(test, test_sample_chain_flips, 0, BASE_COUNT(wholes));
	tcase_add_test(test, test_sample_chain);
	tcase_add_loop_test(test, test_sample_chain_end, 0, 2);
	tcase_add_loop_test(test, test_changes, 0, 2 * BASE_COUNT(changes));
	tcase_add_loop_test(test, test_migration, 0, 3);
	tcase_add_loop_test(test, test_fields, 0, BASE_COUNT(fields));
	tcase_add_loop_test(test, test_platforms, 0, 7);
	tcase_add_loop_test(test, test_revocations, 0, BASE_COUNT(revocations));
	tcase_add_loop_test(test, test_newer_crl, 0, 2);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
