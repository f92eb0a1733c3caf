/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * SEV-SNP reports: published ones with their documented verdicts, changed in every byte and cut everywhere; and
 * reports under an authority of the test's own, for what no sample has: VLEKs, versions above 2, Turin,
 * revocation.
 */
#include <check.h>

#include "tests/unit/attest_fixture.h"

#include "base/base.h"

enum { REPORT = 1184, SIGNED = 0x2a0, CHIP = 0x1a0, CHIP_SIZE = 64 };

static void free_collateral(struct attest_collateral **collateral)
{
	attest_collateral_free(*collateral);
}
#define AUTO_COLLATERAL __attribute__((cleanup(free_collateral))) struct attest_collateral

static uint8_t *milan(void)
{
	size_t size;
	BASE_AUTO_FREE uint8_t *hex = attest_file("report_milan.hex", &size);
	uint8_t *report = malloc(REPORT);
	unsigned int byte;

	ck_assert(report && size == 2 * REPORT);
	for (size_t i = 0; i < REPORT; i++) {
		ck_assert_int_eq(sscanf((const char *)hex + 2 * i, "%2x", &byte), 1);
		report[i] = (uint8_t)byte;
	}
	return report;
}

/* --- published samples --- */

static const struct sample {
	const char *report, *files[4], *day;
	bool debug;
	const char *failed;
} samples[] = {
        {"report_milan.hex", {"vcek_milan.der", "cert_chain_milan"}, "2025-01-01", false, ""},
        /* the right one is found among others */
        {"report_milan.hex",
         {"vcek_turin.der", "cert_chain_turin", "vcek_milan.der", "cert_chain_milan"},
         "2025-01-01",
         false,
         ""},
        {"report_milan.hex",
         {"vcek_turin.der", "cert_chain_turin"},
         "2025-01-01",
         false,
         "signature chip-id tcb"},
        {"report_milan.hex",
         {"vcek_milan.der", "ask_ark_genoa.pem"},
         "2025-01-01",
         false,
         "certificate-chain"},
        {"report_milan.hex",
         {"vcek_milan.der", "cert_chain_turin"},
         "2025-01-01",
         false,
         "certificate-chain"},
        {"report_milan.hex",
         {"vcek_milan.der", "ask_ark_milan_vlek.pem"},
         "2025-01-01",
         false,
         "certificate-chain"},
        {"report_milan.hex",
         {"vcek_milan.der", "trusted_root.pem"},
         "2025-01-01",
         false,
         "certificate-chain"},
        {"report_milan.hex", {"vcek_milan.der"}, "2025-01-01", false, "certificate-chain"},
        {"report_milan.hex", {"cert_chain_milan"}, "2025-01-01", false, "certificate"},
        {"report_milan.hex",
         {"vcek_debug.der", "cert_chain_milan"},
         "2025-01-01",
         false,
         "signature chip-id tcb"},
        {"report_milan.hex",
         {"vcek_milan.der", "cert_chain_milan"},
         "2030-04-04",
         false,
         "validity"},
        {"report_milan.hex",
         {"vcek_milan.der", "cert_chain_milan"},
         "2023-04-03",
         false,
         "validity"},
        {"report_debug.bin", {"vcek_debug.der", "cert_chain_milan"}, "2025-01-01", false, "debug"},
        {"report_debug.bin", {"vcek_debug.der", "cert_chain_milan"}, "2025-01-01", true, ""},
};

START_TEST(test_samples)
{
	const struct sample *sample = &samples[_i];
	const char *files[5] = {sample->files[0], sample->files[1], sample->files[2],
	                        sample->files[3]};
	AUTO_COLLATERAL *collateral = attest_files(files);
	struct attest_input input = {.collateral = collateral,
	                             .at = attest_day(sample->day),
	                             .allow_debug = sample->debug};
	BASE_AUTO_FREE uint8_t *report = attest_file(sample->report, &input.size);
	struct attest_verdict verdict;

	input.report = report;
	attest_verify(&input, &verdict);
	attest_expect(&verdict, sample->failed);
	/* there is no CRL: `strict` does not let that pass */
	input.strict = true;
	attest_verify(&input, &verdict);
	ck_assert(!verdict.accepted);
}
END_TEST

/* Each byte of the report, and each bit of a few of them: refused, and by the signature where it covers them. */
START_TEST(test_flips)
{
	AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	BASE_AUTO_FREE uint8_t *report = milan();
	const struct attest_input input = {.report = report,
	                                   .size = REPORT,
	                                   .collateral = collateral,
	                                   .at = attest_day("2025-01-01")};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	attest_expect(&verdict, "");
	for (size_t at = 0; at < REPORT; at++) {
		uint8_t flip = (uint8_t)(1 << at % 8);

		report[at] ^= flip;
		attest_verify(&input, &verdict);
		ck_assert_msg(!verdict.accepted, "byte 0x%zx was changed, and it is accepted", at);
		if (at < SIGNED && attest_status(&verdict, "signature") >= 0)
			ck_assert_int_eq(attest_status(&verdict, "signature"), ATTEST_FAILED);
		report[at] ^= flip;
	}
}
END_TEST

START_TEST(test_lengths)
{
	AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	BASE_AUTO_FREE uint8_t *report = milan();
	struct attest_input input = {.collateral = collateral, .at = attest_day("2025-01-01")};
	struct attest_verdict verdict;

	for (size_t size = 0; size < REPORT; size++) {
		BASE_AUTO_FREE uint8_t *cut = malloc(size ? size : 1);

		memcpy(cut, report, size);
		input.report = cut;
		input.size = size;
		attest_verify(&input, &verdict);
		attest_expect(&verdict, "length");
	}
	for (size_t more = 1; more < 4; more++) {
		BASE_AUTO_FREE uint8_t *longer = calloc(1, REPORT + more);

		memcpy(longer, report, REPORT);
		input.report = longer;
		input.size = REPORT + more;
		attest_verify(&input, &verdict);
		attest_expect(&verdict, "length");
	}
}
END_TEST

START_TEST(test_wanted)
{
	AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	BASE_AUTO_FREE uint8_t *report = milan();
	const uint64_t policy = 0x30000, other = 0x30001, low = 0x7308000000000003,
	               high = 0x7408000000000003;
	struct attest_input input = {.report = report,
	                             .size = REPORT,
	                             .collateral = collateral,
	                             .at = attest_day("2025-01-01"),
	                             .measurement = report + 0x90,
	                             .report_data = report + 0x50,
	                             .host_data = report + 0xc0,
	                             .policy = &policy,
	                             .min_tcb = &low};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	attest_expect(&verdict, "");
	input.min_tcb = &high;
	input.policy = &other;
	input.measurement = report + 0x50;
	input.report_data = report + 0x90;
	input.host_data = report + 0x50;
	attest_verify(&input, &verdict);
	attest_expect(&verdict, "tcb-minimum policy measurement report-data host-data");
}
END_TEST

/* --- an authority of our own --- */

static const uint8_t chip[CHIP_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8, [63] = 9};
static const uint8_t chip_short[CHIP_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};

static const struct authority_options milan_vcek = {.product = "Milan",
                                                    .named = "Milan-B0",
                                                    .chip = chip,
                                                    .chip_size = 64,
                                                    .svns = {[1] = 3, [3] = 8, [8] = 0xd5},
                                                    .from = "2024-01-01",
                                                    .to = "2030-01-01"};

/* A report that the authority's leaf says it is of, but for its signature. */
static void report_fill(uint8_t report[REPORT], uint32_t version, const uint8_t *id)
{
	static const uint8_t tcb[8] = {3, 0, 0, 0, 0, 0, 8, 0xd5};

	memset(report, 0, REPORT);
	report[0] = (uint8_t)version;
	report[0x0a] = 3; /* policy 0x30000 */
	report[0x34] = 1;
	memcpy(report + 0x38, tcb, 8);
	memcpy(report + 0x180, tcb, 8);
	memcpy(report + 0x1e0, tcb, 8);
	memcpy(report + CHIP, id, CHIP_SIZE);
	report[0x188] = 0x19;
	report[0x189] = 0x01;
}

static void verify(const struct authority *authority, struct attest_collateral *collateral,
                   uint8_t report[REPORT], const char *day, const char *failed)
{
	const struct attest_input input = {.report = report,
	                                   .size = REPORT,
	                                   .collateral = collateral,
	                                   .roots = &authority->root,
	                                   .root_count = 1,
	                                   .at = attest_day(day)};
	struct attest_verdict verdict;

	authority_sign(authority, report);
	attest_verify(&input, &verdict);
	attest_expect(&verdict, failed);
}

/* What is in the report, and what that leads to. */
static const struct change {
	size_t at;
	uint8_t value;
	const char *failed;
} changes[] = {
        {0, 2, ""},
        {0, 3, ""},
        {0, 5, ""},
        {0, 1, "format"},
        {0, 6, "format"},
        {0x34, 2, "format"},
        {0x48, 2 << 2, "format"},      /* signed by neither */
        {0x48, 1 << 2, "certificate"}, /* by a VLEK, which is not there */
        {0x0a, 0x0b, "debug"},
        {0x189, 0x11, "product"}, /* a Genoa's report */
        {0x188, 0x1a, "product"},
        {CHIP, 9, "chip-id"},
        {0x180, 4, "tcb tcb-order"},
        {0x180, 2, "tcb"},
        {0x187, 0xd4, "tcb"},
        {0x186, 7, "tcb"},
        {0x1e0, 2, "tcb-order"},
        {0x38, 2, "tcb-order"},
        {0x2a0 + 200, 1, "format"},
};

START_TEST(test_changes)
{
	const struct change *change = &changes[_i];
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	uint8_t report[REPORT];

	authority_open(&authority, &milan_vcek);
	authority_add(&authority, collateral);
	report_fill(report, 3, chip);
	report[change->at] = change->value;
	verify(&authority, collateral, report, "2025-01-01", change->failed);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

START_TEST(test_kinds)
{
	struct authority_options options = milan_vcek;
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority made;
	uint8_t report[REPORT];

	report_fill(report, 3, chip);
	switch (_i) {
	case 0: /* a VLEK, of no chip */
		options.vlek = true;
		options.chip = NULL;
		report[0x48] = 1 << 2;
		memset(report + CHIP, 0, CHIP_SIZE);
		break;
	case 1: /* Turin: another order, and a short id */
		options.product = options.named = "Turin";
		options.chip_size = 8;
		memcpy(options.svns, (uint8_t[10]){[9] = 1, [1] = 2, [2] = 3, [3] = 4, [8] = 5},
		       10);
		for (size_t i = 0; i < 3; i++)
			memcpy(report + (const size_t[]){0x38, 0x180, 0x1e0}[i],
			       (uint8_t[8]){1, 2, 3, 4, 0, 0, 0, 5}, 8);
		memcpy(report + CHIP, chip_short, CHIP_SIZE);
		report[0x188] = 0x1a;
		report[0x189] = 0x02;
		break;
	case 2: options.named = "Genoa-B1"; break;
	case 3: options.chip_size = 8; break; /* the rest of the report's is not zero */
	case 4: options.chip = NULL; break;
	default: memset(report + CHIP, 0, CHIP_SIZE); break;
	}
	authority_open(&made, &options);
	authority_add(&made, collateral);
	verify(&made, collateral, report, "2025-01-01",
	       (const char *const[]){"", "", "product", "chip-id", "chip-id", "chip-id"}[_i]);
	attest_collateral_free(collateral);
	authority_close(&made);
}
END_TEST

static const struct revocation {
	int issuer, signer, revoked;
	const char *from, *to, *failed;
} revocations[] = {
        {0, 0, -1, "2024-06-01", "2025-06-01", ""},
        {1, 1, -1, "2024-06-01", "2025-06-01", ""},
        {0, 0, 1, "2024-06-01", "2025-06-01", "revocation"},
        {1, 1, 2, "2024-06-01", "2025-06-01", "revocation"},
        {0, 2, -1, "2024-06-01", "2025-06-01", "revocation"}, /* somebody else's signature */
        {0, 0, -1, "2024-06-01", "2024-12-31", "revocation"}, /* stale */
        {0, 0, -1, "2025-02-01", "2025-06-01", "revocation"}, /* not valid yet */
};

START_TEST(test_revocations)
{
	const struct revocation *test = &revocations[_i];
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	uint8_t report[REPORT];

	authority_open(&authority, &milan_vcek);
	authority_add(&authority, collateral);
	authority_crl(&authority, collateral, test->issuer, test->signer, test->revoked, test->from,
	              test->to);
	report_fill(report, 3, chip);
	verify(&authority, collateral, report, "2025-01-01", test->failed);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

/* A chain that is whole, to a root that nobody has pinned; and a root alone. */
START_TEST(test_not_pinned)
{
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority authority;
	struct attest_verdict verdict;
	uint8_t report[REPORT];
	struct attest_input input = {.report = report,
	                             .size = REPORT,
	                             .collateral = collateral,
	                             .at = attest_day("2025-01-01")};

	authority_open(&authority, &milan_vcek);
	authority_add(&authority, collateral);
	report_fill(report, 3, chip);
	authority_sign(&authority, report);
	attest_verify(&input, &verdict);
	attest_expect(&verdict, "certificate-chain");
	/* both CRLs, and nothing is left unchecked: that passes where nothing may be skipped */
	authority_crl(&authority, collateral, 0, 0, -1, "2024-06-01", "2025-06-01");
	authority_crl(&authority, collateral, 1, 1, -1, "2024-06-01", "2025-06-01");
	input.roots = &authority.root;
	input.root_count = 1;
	input.strict = true;
	attest_verify(&input, &verdict);
	attest_expect(&verdict, "");
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_report");
	TCase *test = tcase_create("report");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 170);
	tcase_add_loop_test(test, test_samples, 0, BASE_COUNT(samples));
	tcase_add_test(test, test_flips);
	tcase_add_test(test, test_lengths);
	tcase_add_test(test, test_wanted);
	tcase_add_loop_test(test, test_changes, 0, BASE_COUNT(changes));
	tcase_add_loop_test(test, test_kinds, 0, 6);
	tcase_add_loop_test(test, test_revocations, 0, BASE_COUNT(revocations));
	tcase_add_test(test, test_not_pinned);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
