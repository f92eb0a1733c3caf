// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon_restart: after which ends a VM is started again, and that a SIGTERM calls it off before, and
 * reaches the new keeper after. What starts a VM is here a note that it was asked to.
 */
#include <check.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/base.h"
#include "cordon/host.h"

static struct policy as_written;
static unsigned int launches, serves;
static bool fired, launch_fails, term_during_launch;
static pid_t new_keeper;

int registry_policy(const char *name, struct policy *policy)
{
	if (strcmp(name, "gone") == 0)
		return -ENOENT;
	*policy = as_written;
	return 0;
}

int launch_again(struct host_vm *vm, bool watchdog_fired, struct host_error *error)
{
	launches++;
	fired = watchdog_fired;
	vm->keeper = new_keeper;
	if (term_during_launch)
		raise(SIGTERM);
	return launch_fails ? host_fail(error, -EIO, 125, "no") : 0;
}

int serve_ensure(const char *name)
{
	(void)name;
	serves++;
	return 0;
}

static void start(void)
{
	sigset_t term;

	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &term, NULL), 0);
	memset(&as_written, 0, sizeof(as_written));
	as_written.vm.on_reset = POLICY_THEN_STOP;
	launches = serves = 0;
	launch_fails = term_during_launch = fired = false;
}

static struct host_vm *vm_new(const char *name)
{
	static struct host_vm vm;

	memset(&vm, 0, sizeof(vm));
	base_copy_string(vm.name, sizeof(vm.name), name);
	vm.started = 1; /* 1970: there is nothing to wait for */
	return &vm;
}

/* A wait status as waitpid() gives it. */
static int exited(int code)
{
	return code << 8;
}

START_TEST(the_policy_says_after_what)
{
	static const struct {
		int end;
		enum policy_then on_reset, watchdog;
		bool wanted;
	} cases[] = {
	        {VMM_END_RESET, POLICY_THEN_STOP, POLICY_THEN_NONE, false},
	        {VMM_END_RESET, POLICY_THEN_RESTART, POLICY_THEN_NONE, true},
	        {VMM_END_TRIPLE_FAULT, POLICY_THEN_STOP, POLICY_THEN_NONE, false},
	        {VMM_END_TRIPLE_FAULT, POLICY_THEN_RESTART, POLICY_THEN_NONE, true},
	        {VMM_END_WATCHDOG, POLICY_THEN_RESTART, POLICY_THEN_STOP, false},
	        {VMM_END_WATCHDOG, POLICY_THEN_STOP, POLICY_THEN_RESTART, true},
	        {VMM_END_RESTART, POLICY_THEN_STOP, POLICY_THEN_NONE, true},
	        {VMM_END_POWEROFF, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	        {VMM_END_PANIC, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	        {VMM_END_KVM_ERROR, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	        {VMM_END_DEVICE, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	        {VMM_END_FAILED, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	        {255, POLICY_THEN_RESTART, POLICY_THEN_RESTART, false},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		as_written.vm.on_reset = cases[i].on_reset;
		as_written.vm.watchdog = cases[i].watchdog;
		ck_assert_msg(restart_wanted(vm_new("web0"), exited(cases[i].end)) ==
		                      cases[i].wanted,
		              "case %zu", i);
	}
}
END_TEST

/* Killed, not known how, never started, or without a policy: none comes back. */
START_TEST(what_did_not_end_by_itself_stays_ended)
{
	struct host_vm *vm = vm_new("web0");

	as_written.vm.on_reset = POLICY_THEN_RESTART;
	ck_assert(!restart_wanted(vm, -1));
	ck_assert(!restart_wanted(vm, SIGKILL));
	ck_assert(!restart_wanted(vm, SIGSYS));
	vm->started = 0;
	ck_assert(!restart_wanted(vm, exited(VMM_END_RESET)));
	ck_assert(!restart_wanted(vm_new("gone"), exited(VMM_END_RESET)));
}
END_TEST

START_TEST(it_is_started_and_served)
{
	ck_assert_int_eq(restart_vm(vm_new("web0"), exited(VMM_END_RESET)), 0);
	ck_assert_uint_eq(launches, 1);
	ck_assert_uint_eq(serves, 1);
	ck_assert(!fired);
	ck_assert_int_eq(restart_vm(vm_new("web0"), exited(VMM_END_WATCHDOG)), 0);
	ck_assert(fired);
	launch_fails = true;
	ck_assert_int_eq(restart_vm(vm_new("web0"), exited(VMM_END_RESET)), -EIO);
	ck_assert_uint_eq(serves, 2);
}
END_TEST

START_TEST(a_sigterm_calls_it_off)
{
	raise(SIGTERM);
	ck_assert_int_eq(restart_vm(vm_new("web0"), exited(VMM_END_RESET)), -ECANCELED);
	ck_assert_uint_eq(launches, 0);
}
END_TEST

START_TEST(a_sigterm_that_comes_late_is_the_new_keepers)
{
	sigset_t none;
	int status;

	new_keeper = fork();
	if (new_keeper == 0) {
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		for (;;)
			pause();
	}
	term_during_launch = true;
	ck_assert_int_eq(restart_vm(vm_new("web0"), exited(VMM_END_RESET)), 0);
	ck_assert_int_eq(waitpid(new_keeper, &status, 0), new_keeper);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_restart");
	TCase *tests = tcase_create("restart");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, start, NULL);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, the_policy_says_after_what);
	tcase_add_test(tests, what_did_not_end_by_itself_stays_ended);
	tcase_add_test(tests, it_is_started_and_served);
	tcase_add_test(tests, a_sigterm_calls_it_off);
	tcase_add_test(tests, a_sigterm_that_comes_late_is_the_new_keepers);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
