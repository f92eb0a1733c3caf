// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon_confidential: what a policy says of a confidential guest is what cordon-vmm is told, by the reader that
 * cordon-vmm has for it; and this host, whatever it is, refuses with a reason, or not at all.
 */
#include <check.h>

#include "base/base.h"
#include "cordon/launch.h"
#include "vmm/measured.h"

static struct policy policy;
static struct launch launch;

/* Four fds that are nothing but numbers here. */
static void setup(void)
{
	memset(&policy, 0, sizeof(policy));
	memset(&launch, 0xff, sizeof(launch)); /* each fd is -1 */
	launch.policy = &policy;
	policy.vm.memory = 64 << 20;
	policy.confidential.smt = true;
	launch.firmware = 70;
}

static size_t plan(struct isolate_process *process, struct isolate_fd fds[LAUNCH_CC_FDS],
                   struct measured_options *told)
{
	static const char name[] = "--confidential=";
	char option[LAUNCH_CC_TEXT], why[WHY_MAX] = "";
	size_t count = launch_confidential_plan(&launch, 12, process, fds, option);

	ck_assert(strncmp(option, name, strlen(name)) == 0);
	ck_assert_msg(measured_parse(told, option + strlen(name), why) == 0, "%s", why);
	return count;
}

START_TEST(all_of_it)
{
	struct isolate_process process = {.file_size_max = 1};
	struct isolate_fd fds[LAUNCH_CC_FDS];
	struct measured_options told;

	policy.confidential.type = POLICY_CC_SEV_SNP;
	policy.confidential.debug = true;
	policy.confidential.smt = false;
	policy.confidential.abi_major = 255;
	policy.confidential.abi_minor = 255;
	memset(policy.confidential.host_data, 0xe7, 31);
	launch.sev = 71;
	launch.id_block = 72;
	launch.id_auth = 73;
	ck_assert_uint_eq(plan(&process, fds, &told), 4);
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(fds[i].from, 70 + i);
		ck_assert_int_eq(fds[i].to, 12 + i);
	}
	ck_assert_int_eq(told.type, CONFIDENTIAL_SEV_SNP);
	ck_assert(told.firmware == 12 && told.sev == 13 && told.id_block == 14 &&
	          told.id_auth == 15);
	ck_assert(told.wishes.debug && !told.wishes.smt);
	ck_assert_uint_eq(told.wishes.abi_major, 255);
	ck_assert_uint_eq(told.wishes.abi_minor, 255);
	ck_assert_mem_eq(told.wishes.host_data, policy.confidential.host_data, 32);
	ck_assert_uint_eq(process.memory_locked_max, 0);
	ck_assert_uint_gt(process.file_size_max, 1); /* the map of shared pages */
}
END_TEST

START_TEST(little_of_it)
{
	static const enum confidential_type types[] = {CONFIDENTIAL_SEV, CONFIDENTIAL_SEV_ES,
	                                               CONFIDENTIAL_SEV_SNP, CONFIDENTIAL_TDX};
	struct isolate_process process = {.file_size_max = 1};
	struct isolate_fd fds[LAUNCH_CC_FDS];
	struct measured_options told;

	policy.confidential.type = (enum policy_confidential_type)(POLICY_CC_SEV + _i);
	ck_assert_uint_eq(plan(&process, fds, &told), 1);
	ck_assert_int_eq(told.type, types[_i]);
	ck_assert(told.firmware == 12 && told.sev < 0 && told.id_block < 0);
	ck_assert(!told.wishes.debug && told.wishes.smt && !told.wishes.host_data[0]);
	if (types[_i] <= CONFIDENTIAL_SEV_ES)
		ck_assert_uint_gt(process.memory_locked_max, policy.vm.memory);
	else
		ck_assert_uint_eq(process.memory_locked_max, 0);
}
END_TEST

START_TEST(for_tests_only)
{
	struct isolate_process process = {0};
	struct isolate_fd fds[LAUNCH_CC_FDS];
	char option[LAUNCH_CC_TEXT];

	policy.confidential.type = POLICY_CC_SW_PROTECTED;
	ck_assert_uint_eq(launch_confidential_plan(&launch, 12, &process, fds, option), 0);
	ck_assert_str_eq(option, "--private=sw-protected");
}
END_TEST

/* Without the hardware each type is refused, and by its name. */
START_TEST(this_host)
{
	struct host_error error = {0};
	int err;

	policy.confidential.type = (enum policy_confidential_type)(POLICY_CC_SEV + _i);
	policy.confidential.line = 7;
	err = host_confidential_can(&policy, &error);
	ck_assert(err == 0 || (err == -ENOTSUP && error.exit == 126));
	if (err)
		ck_assert_msg(strstr(error.text, "policy line 7: this host has no "), "%s",
		              error.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_confidential");
	TCase *tests = tcase_create("plan");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, NULL);
	tcase_add_test(tests, all_of_it);
	tcase_add_loop_test(tests, little_of_it, 0, 4);
	tcase_add_test(tests, for_tests_only);
	tcase_add_loop_test(tests, this_host, 0, 4);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
