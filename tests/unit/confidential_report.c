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
	ATTEST_AUTO_COLLATERAL *collateral = attest_files(files);
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
	ATTEST_AUTO_COLLATERAL *collateral =
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

/* Evidence in a buffer of just its size, so that a read behind it is seen. */
static void verify_copy(struct attest_input *input, const void *bytes, size_t size,
                        const char *failed)
{
	BASE_AUTO_FREE uint8_t *copy = malloc(size ? size : 1);
	struct attest_verdict verdict;

	memcpy(copy, bytes, size);
	input->report = copy;
	input->size = size;
	attest_verify(input, &verdict);
	attest_expect(&verdict, failed);
}

START_TEST(test_lengths)
{
	ATTEST_AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	BASE_AUTO_FREE uint8_t *report = milan(), *longer = calloc(1, REPORT + 4);
	struct attest_input input = {.collateral = collateral, .at = attest_day("2025-01-01")};

	memcpy(longer, report, REPORT);
	for (size_t size = 0; size < REPORT + 4; size++)
		verify_copy(&input, longer, size, size == REPORT ? "" : "length");
}
END_TEST

/* A report in digits, as tools print it: the same, wherever it is cut and whatever follows it. */
START_TEST(test_digits)
{
	ATTEST_AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	size_t size;
	BASE_AUTO_FREE uint8_t *text = attest_file("report_milan.hex", &size);
	BASE_AUTO_FREE uint8_t *longer = calloc(1, size + 4);
	struct attest_input input = {.collateral = collateral, .at = attest_day("2025-01-01")};
	static const struct {
		const char *more, *failed;
	} tails[] = {{"", ""},        {"\n", ""},        {"\r\n", ""},
	             {"0", "length"}, {"00", "length"},  {"0\n", "length"},
	             {"x", "length"}, {"\nx", "length"}, {"\n\n\n", "length"},
	             {"\1", "length"}};

	memcpy(longer, text, size);
	for (size_t cut = 0; cut < size; cut++)
		verify_copy(&input, text, cut, "length");
	for (size_t i = 0; i < BASE_COUNT(tails); i++) {
		memcpy(longer + size, tails[i].more, strlen(tails[i].more));
		verify_copy(&input, longer, size + strlen(tails[i].more), tails[i].failed);
	}
	text[1000] = 'g';
	verify_copy(&input, text, size, "format");
}
END_TEST

START_TEST(test_wanted)
{
	ATTEST_AUTO_COLLATERAL *collateral =
	        attest_files((const char *const[]){"vcek_milan.der", "cert_chain_milan", NULL});
	BASE_AUTO_FREE uint8_t *report = milan();
	const uint64_t policy = 0x30000, other = 0x30001, low = 0x7308000000000003,
	               high = 0x7408000000000003, vmpl = 0, user = 3;
	struct attest_input input = {.report = report,
	                             .size = REPORT,
	                             .collateral = collateral,
	                             .at = attest_day("2025-01-01"),
	                             .measurement = report + 0x90,
	                             .report_data = report + 0x50,
	                             .host_data = report + 0xc0,
	                             .policy = &policy,
	                             .min_tcb = &low,
	                             .vmpl = &vmpl};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	attest_expect(&verdict, "");
	input.min_tcb = &high;
	input.policy = &other;
	input.vmpl = &user;
	input.measurement = report + 0x50;
	input.report_data = report + 0x90;
	input.host_data = report + 0x50;
	attest_verify(&input, &verdict);
	attest_expect(&verdict, "tcb-minimum policy vmpl measurement report-data host-data");
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
        {0x0a, 0x07, "migration"},
        {0x0a, 0x0f, "debug migration"},
        {0x30, 3, ""},
        {0x30, 4, "vmpl"},
        {0x33, 0xff, "vmpl"},     /* its host has asked for it */
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
	case 5: options.issuer = "SEV-VLEK-Milan"; break; /* which issues no VCEK */
	default: memset(report + CHIP, 0, CHIP_SIZE); break;
	}
	authority_open(&made, &options);
	authority_add(&made, collateral);
	verify(&made, collateral, report, "2025-01-01",
	       (const char *const[]){"", "", "product", "chip-id", "chip-id", "product",
	                             "chip-id"}[_i]);
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
/* What `strict` needs: AMD gives out CRLs of its roots, and none of those that sign for chips. */
static const struct strict {
	bool root, middle, names_crl, accepted;
} stricts[] = {
        {true, false, false, true},  {true, true, false, true},  {false, false, false, false},
        {false, true, false, false}, {true, false, true, false}, {true, true, true, true},
};

START_TEST(test_strict)
{
	const struct strict *test = &stricts[_i];
	struct attest_collateral *collateral = attest_collateral_new();
	struct authority_options options = milan_vcek;
	struct authority authority;
	struct attest_verdict verdict;
	uint8_t report[REPORT];
	struct attest_input input = {.report = report,
	                             .size = REPORT,
	                             .collateral = collateral,
	                             .roots = &authority.root,
	                             .root_count = 1,
	                             .strict = true,
	                             .at = attest_day("2025-01-01")};

	options.names_crl = test->names_crl;
	authority_open(&authority, &options);
	authority_add(&authority, collateral);
	if (test->root)
		authority_crl(&authority, collateral, 0, 0, -1, "2024-06-01", "2025-06-01");
	if (test->middle)
		authority_crl(&authority, collateral, 1, 1, -1, "2024-06-01", "2025-06-01");
	report_fill(report, 3, chip);
	authority_sign(&authority, report);
	attest_verify(&input, &verdict);
	ck_assert_int_eq(verdict.accepted, test->accepted);
	ck_assert_int_eq(attest_status(&verdict, "revocation") == ATTEST_PASSED, test->accepted);
	attest_collateral_free(collateral);
	authority_close(&authority);
}
END_TEST

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

/* A root's key is pinned, so a certificate of that key which it has not signed is not the root. */
START_TEST(test_forged_root)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct authority authority;
	uint8_t report[REPORT];
	X509 *forged;

	authority_open(&authority, &milan_vcek);
	forged = attest_issue(&(struct attest_issue){.name = "ARK-Milan",
	                                             .key = authority.keys[0],
	                                             .ca = true,
	                                             .serial = 1,
	                                             .from = "2000-01-01",
	                                             .to = "2100-01-01"});
	ck_assert_int_gt(X509_sign(forged, authority.keys[_i ? 1 : 0], EVP_sha384()), 0);
	attest_issue_add(collateral, forged);
	attest_issue_add(collateral, authority.certs[1]);
	attest_issue_add(collateral, authority.certs[2]);
	report_fill(report, 3, chip);
	verify(&authority, collateral, report, "2025-01-01", _i ? "certificate-chain" : "");
	X509_free(forged);
	authority_close(&authority);
}
END_TEST

/* --- the table of certificates that a host hands over --- */

static void put32(uint8_t *at, uint32_t value)
{
	for (size_t i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> 8 * i);
}

/* VCEK, ASK and ARK behind a table of them; its size. */
static size_t table_fill(const struct authority *authority, bool swapped, uint8_t out[8192])
{
	static const uint8_t guids[2][3][16] = {{{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64,
	                                          0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd},
	                                         {0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4,
	                                          0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82},
	                                         {0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52,
	                                          0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae}},
	                                        {{0x8d, 0x75, 0xda, 0x63, 0x64, 0xe6, 0x64, 0x45,
	                                          0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd},
	                                         {0x79, 0xb3, 0xb7, 0x4a, 0xac, 0xbb, 0xe4, 0x4f,
	                                          0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7, 0x82},
	                                         {0xa4, 0x06, 0xb4, 0xc0, 0x03, 0xa8, 0x52, 0x49,
	                                          0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0, 0xae}}};
	size_t end = 4 * 24;

	memset(out, 0, 8192);
	for (size_t i = 0; i < 3; i++) {
		unsigned char *at = out + end;
		int size = i2d_X509(authority->certs[2 - i], &at);

		ck_assert_int_gt(size, 0);
		memcpy(out + i * 24, guids[swapped][i], 16);
		put32(out + i * 24 + 16, (uint32_t)end);
		put32(out + i * 24 + 20, (uint32_t)size);
		end += (size_t)size;
	}
	return end;
}

START_TEST(test_table)
{
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	struct authority authority;
	uint8_t report[REPORT], table[8192];
	size_t size;

	authority_open(&authority, &milan_vcek);
	size = table_fill(&authority, _i, table);
	ck_assert_int_eq(attest_collateral_add(collateral, table, size), 1);
	report_fill(report, 3, chip);
	verify(&authority, collateral, report, "2025-01-01", "");
	/* cut anywhere it is none: each entry has to be within it */
	for (size_t cut = 1; cut < size; cut++) {
		BASE_AUTO_FREE uint8_t *copy = malloc(cut);

		memcpy(copy, table, cut);
		ck_assert_int_eq(attest_collateral_add(collateral, copy, cut), 0);
	}
	put32(table + 24 + 16, 0xfffffff0);
	ck_assert_int_eq(attest_collateral_add(collateral, table, size), 0);
	/* no end */
	size = table_fill(&authority, _i, table);
	memset(table + 3 * 24, 1, 16);
	ck_assert_int_eq(attest_collateral_add(collateral, table, size), 0);
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
	tcase_add_test(test, test_digits);
	tcase_add_test(test, test_wanted);
	tcase_add_loop_test(test, test_changes, 0, BASE_COUNT(changes));
	tcase_add_loop_test(test, test_kinds, 0, 7);
	tcase_add_loop_test(test, test_revocations, 0, BASE_COUNT(revocations));
	tcase_add_loop_test(test, test_strict, 0, BASE_COUNT(stricts));
	tcase_add_test(test, test_not_pinned);
	tcase_add_loop_test(test, test_forged_root, 0, 2);
	tcase_add_loop_test(test, test_table, 0, 2);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
