/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the verbs share: text that a terminal can be shown, sizes, ages and times. */
#include <check.h>
#include <limits.h>
#include <time.h>

#include "base/base.h"
#include "cordon/cli.h"

json_t *method_call_any(const char *method, json_t *params, struct host_error *error)
{
	(void)method, (void)params;
	host_fail(error, -ENOENT, 127, "there is no guest");
	return NULL;
}

static void expect_escaped(const char *text, size_t size, const char *want)
{
	BASE_AUTO_FREE char *got = NULL;
	size_t length;
	FILE *out = open_memstream(&got, &length);

	cli_print_escaped(out, text, size);
	fclose(out);
	ck_assert_str_eq(got, want);
}

START_TEST(escapes)
{
	char all[256];

	expect_escaped("a\tb\n", 4, "a\tb\n");
	expect_escaped("a\r\nb\r", 5, "a\nb\\x0d");
	expect_escaped("\x1b[2J\x07", 5, "\\x1b[2J\\x07");
	expect_escaped("\x9b\xc2\x9b\x7f", 4, "\\x9b\\xc2\\x9b\\x7f");
	expect_escaped("a\0b", 3, "a\\x00b");
	for (int i = 0; i < 256; i++)
		all[i] = (char)i;
	BASE_AUTO_FREE char *got = NULL;
	size_t length;
	FILE *out = open_memstream(&got, &length);

	cli_print_escaped(out, all, sizeof(all));
	fclose(out);
	for (size_t i = 0; i < length; i++)
		ck_assert(got[i] == '\n' || got[i] == '\t' || (got[i] >= 0x20 && got[i] < 0x7f));
}
END_TEST

START_TEST(durations)
{
	static const struct {
		const char *text;
		long seconds;
	} good[] = {{"1", 1},     {"10s", 10},      {"5m", 300},
	            {"2h", 7200}, {"168h", 604800}, {"604800", 604800}};
	static const char *const bad[] = {"",
	                                  "0",
	                                  "0h",
	                                  "-1",
	                                  "+1",
	                                  " 1",
	                                  "s",
	                                  "m",
	                                  "1d",
	                                  "1ms",
	                                  "1 s",
	                                  "10s ",
	                                  "1.5s",
	                                  "169h",
	                                  "604801",
	                                  "9223372036854775807m",
	                                  "99999999999999999999",
	                                  "153722867280912931h",
	                                  "0x10"};
	long seconds;

	for (size_t i = 0; i < BASE_COUNT(good); i++) {
		ck_assert_msg(cli_duration(good[i].text, 604800, &seconds), "%s", good[i].text);
		ck_assert_int_eq(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < BASE_COUNT(bad); i++)
		ck_assert_msg(!cli_duration(bad[i], 604800, &seconds), "%s", bad[i]);
}
END_TEST

START_TEST(byte_counts)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = {{0, "0B"},
	             {1023, "1023B"},
	             {1024, "1K"},
	             {1536, "1.5K"},
	             {512 << 20, "512M"},
	             {3ULL << 40, "3T"},
	             {UINT64_MAX, "16777216T"}};
	char text[16];

	for (size_t i = 0; i < BASE_COUNT(sizes); i++) {
		cli_bytes(text, sizes[i].bytes);
		ck_assert_str_eq(text, sizes[i].text);
	}
}
END_TEST

START_TEST(ages)
{
	char text[24];

	cli_age(text, 0);
	ck_assert_str_eq(text, "0s");
	cli_age(text, INT64_MAX);
	ck_assert_str_eq(text, "0s");
	cli_age(text, (int64_t)(time(NULL) - 7200) * 1000);
	ck_assert_ptr_nonnull(strstr(text, "2h 0m"));
	cli_age(text, INT64_MIN);
	ck_assert_int_lt(strlen(text), sizeof(text));
}
END_TEST

START_TEST(formats)
{
	bool json = false;

	ck_assert(cli_format("json", &json) && json);
	ck_assert(cli_format("table", &json) && !json);
	ck_assert(!cli_format("JSON", &json));
	ck_assert(!cli_format("", &json));
}
END_TEST

START_TEST(failures)
{
	ck_assert_int_eq(cli_vm_call("vm.kill", "web0", false, "killed"), 127);
	struct host_error error = {0};

	ck_assert_int_eq(cli_failed(&error, true), 125);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_cli");
	TCase *all = tcase_create("all");

	tcase_add_test(all, escapes);
	tcase_add_test(all, durations);
	tcase_add_test(all, byte_counts);
	tcase_add_test(all, ages);
	tcase_add_test(all, formats);
	tcase_add_test(all, failures);
	suite_add_tcase(suite, all);
	SRunner *runner = srunner_create(suite);

	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);

	srunner_free(runner);
	return failed ? 1 : 0;
}
