/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Event logs: a published one, which leads to the registers of the quote beside it; changed in every byte and cut
 * everywhere, it does not.
 */
#include <check.h>

#include "tests/unit/attest_fixture.h"

#include "base/base.h"
#include "confidential/attest.h"

#define COS "cos-113-tdx-quote.dat"

static const char *replay(const uint8_t *log, size_t size)
{
	static char failed[64];
	size_t quote_size;
	BASE_AUTO_FREE uint8_t *quote = attest_file(COS, &quote_size);
	BASE_AUTO_FREE uint8_t *copy = malloc(size ? size : 1);
	ATTEST_AUTO_COLLATERAL *collateral = attest_collateral_new();
	const struct attest_input input = {.report = quote,
	                                   .size = quote_size,
	                                   .collateral = collateral,
	                                   .at = attest_day("2025-01-01"),
	                                   .ccel = memcpy(copy, log, size),
	                                   .ccel_size = size};
	struct attest_verdict verdict;

	attest_verify(&input, &verdict);
	failed[0] = '\0';
	for (size_t i = 0; i < verdict.count; i++)
		if (verdict.checks[i].status == ATTEST_FAILED)
			snprintf(failed, sizeof(failed), "%s", verdict.checks[i].name);
	return failed;
}

START_TEST(test_log)
{
	size_t size, end;
	BASE_AUTO_FREE uint8_t *log = attest_file("ccel_data.dat", &size);

	for (end = size; log[end - 1] == 0xff; end--)
		;
	ck_assert_str_eq(replay(log, size), "");
	ck_assert_str_eq(replay(log, end), "");
	/* something behind the end */
	log[size - 1] = 0;
	ck_assert_str_eq(replay(log, size), "event-log");
	log[size - 1] = 0xff;
	/* the first event's register: MRTD, which no event extends, and one that there is not */
	ck_assert_uint_eq(log[65], 1);
	for (size_t i = 0; i < 2; i++) {
		log[65] = i ? 5 : 0;
		ck_assert_str_eq(replay(log, size), "event-log");
	}
	log[65] = 1;
	/* a digest, a register, an algorithm, the number of digests, an event's size */
	for (size_t at = 0; at < 400; at++) {
		uint8_t rtmrs[4][48], same[4][48];
		char why[WHY_MAX];

		ck_assert(attest_ccel_replay(log, end, same, why));
		log[at] ^= 0x40;
		ck_assert(!attest_ccel_replay(log, end, rtmrs, why) ||
		          memcmp(rtmrs, same, sizeof(same)) == 0 ||
		          strcmp(replay(log, end), "event-log") == 0);
		log[at] ^= 0x40;
	}
}
END_TEST

/* Every byte: the registers are others, or it is malformed, unless the byte is an event's own text or type. */
START_TEST(test_log_flips)
{
	size_t size, end, at;
	BASE_AUTO_FREE uint8_t *log = attest_file("ccel_data.dat", &size);
	BASE_AUTO_FREE bool *counts = calloc(size, sizeof(*counts));
	uint8_t rtmrs[4][48], all[4][48];
	char why[WHY_MAX];

	for (end = size; log[end - 1] == 0xff; end--)
		;
	ck_assert(attest_ccel_replay(log, end, all, why));
	/* register, type, one digest and its algorithm, size, text */
	for (at = 32 + base_le32(log + 28); at < end; at += 66 + base_le32(log + at + 62)) {
		ck_assert_uint_eq(base_le32(log + at + 8), 1);
		for (size_t i = 0; i < 66; i++)
			counts[at + i] = i < 4 || i >= 8;
	}
	ck_assert_uint_eq(at, end);
	for (at = 32 + base_le32(log + 28); at < end; at++) {
		bool same;

		log[at] ^= 1 << at % 8;
		same = attest_ccel_replay(log, end, rtmrs, why) &&
		       memcmp(rtmrs, all, sizeof(all)) == 0;
		ck_assert_msg(!same || !counts[at], "byte %zu", at);
		log[at] ^= 1 << at % 8;
	}
}
END_TEST

/* Cut everywhere: it is malformed, or there are fewer events and another register. */
START_TEST(test_log_cut)
{
	size_t size, end, whole = 0;
	BASE_AUTO_FREE uint8_t *log = attest_file("ccel_data.dat", &size);
	uint8_t rtmrs[4][48], all[4][48];
	char why[WHY_MAX];

	for (end = size; log[end - 1] == 0xff; end--)
		;
	ck_assert(attest_ccel_replay(log, end, all, why));
	for (size_t cut = 0; cut < end; cut++) {
		BASE_AUTO_FREE uint8_t *copy = malloc(cut ? cut : 1);

		memcpy(copy, log, cut);
		if (!attest_ccel_replay(copy, cut, rtmrs, why)) {
			ck_assert(strstr(why, "malformed") || strstr(why, "begin"));
			continue;
		}
		ck_assert(memcmp(rtmrs, all, sizeof(all)) != 0);
		whole++;
	}
	ck_assert_uint_lt(whole, 64);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_ccel");
	TCase *test = tcase_create("log");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 170);
	tcase_add_test(test, test_log);
	tcase_add_test(test, test_log_flips);
	tcase_add_test(test, test_log_cut);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
