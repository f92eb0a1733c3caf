/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What seccompgen compiles, tried on the kernel: every kind of condition with arguments that it lets
 * through and with some that it does not. The list under test:
 *
 * #syscall rules: getpid - a call without conditions
 * #syscall rules: fcntl(arg1 = F_GETFL) - one value
 * #syscall rules: fcntl(arg1 = F_GETFD) - or another
 * #syscall rules: lseek(arg1 <= 100) - a bound
 * #syscall rules: dup3(arg2 !& O_CLOEXEC) - a bit that is clear
 * #syscall rules: socket(0 = AF_UNIX, 1 & 0xf = SOCK_STREAM) - two conditions, one of them masked
 * #syscall rules: madvise(arg2 = MADV_DONTNEED) - a constant
 * #syscall rules: fallocate(arg1 = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE) - two constants
 * #syscall rules: futex(arg1 & FUTEX_CMD_MASK = FUTEX_WAKE) - threads end
 * #syscall rules: mprotect(arg2 !& PROT_EXEC) - wider than nothing, never executable
 */
#include "base/base.h"
#include "isolate/isolate.h"
#include "tests/unit/list_rules.h"

#include <check.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { X32 = 0x40000000 };
#define HIGH (1UL << 32) /* of an argument that is an int to the kernel */

static const struct {
	const char *what;
	bool allowed;
	long call;
	unsigned long args[6];
} cases[] = {
        {"a call on the list", true, SYS_getpid, {0}},
        {"a call that is not", false, SYS_getppid, {0}},
        {"the x32 variant of a call on the list", false, SYS_getpid + X32, {0}},
        {"an unknown call", false, 1023, {0}},
        {"equal", true, SYS_fcntl, {0, F_GETFL}},
        {"equal to the alternative", true, SYS_fcntl, {0, F_GETFD}},
        {"not equal", false, SYS_fcntl, {0, F_SETFD}},
        {"equal in the low half only", false, SYS_fcntl, {0, F_GETFL | HIGH}},
        {"below the bound", true, SYS_lseek, {0, 0, 99}},
        {"at the bound", true, SYS_lseek, {0, 100, 99}},
        {"above the bound", false, SYS_lseek, {0, 101, 99}},
        {"above the bound in the high half", false, SYS_lseek, {0, HIGH, 99}},
        {"negative", false, SYS_lseek, {0, -1UL, 99}},
        {"bit clear", true, SYS_dup3, {0, 0, 0}},
        {"another bit set", true, SYS_dup3, {0, 0, O_NONBLOCK}},
        {"bit set", false, SYS_dup3, {0, 0, O_CLOEXEC}},
        {"bit set among others", false, SYS_dup3, {0, 0, O_CLOEXEC | O_NONBLOCK}},
        {"both conditions", true, SYS_socket, {AF_UNIX, SOCK_STREAM, -1}},
        {"both, and bits beyond the mask",
         true,
         SYS_socket,
         {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, -1}},
        {"the first condition only", false, SYS_socket, {AF_UNIX, SOCK_DGRAM, 0}},
        {"the second condition only", false, SYS_socket, {AF_INET, SOCK_STREAM, 0}},
        {"a constant", true, SYS_madvise, {0, 0, MADV_DONTNEED}},
        {"another constant", false, SYS_madvise, {0, 0, MADV_MERGEABLE}},
        {"both constants", true, SYS_fallocate, {-1UL, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE}},
        {"one of two constants", false, SYS_fallocate, {-1UL, FALLOC_FL_KEEP_SIZE}},
        {"no constant", false, SYS_fallocate, {-1UL, 0}},
        {"memory",
         true,
         SYS_mmap,
         {0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
        {"executable memory",
         false,
         SYS_mmap,
         {0, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
        {"readable memory", true, SYS_mprotect, {0, 0, PROT_READ}},
        {"memory made executable", false, SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}},
        {"standard error", true, SYS_write, {2, 0, 0}},
        {"standard output", false, SYS_write, {1, 0, 0}},
};

/* Makes the call in a child that has the list; its wait status. */
static int try_call(long call, const unsigned long args[6])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (isolate_lock(&list_rules) < 0)
			syscall(SYS_exit_group, 1);
		syscall(call, args[0], args[1], args[2], args[3], args[4], args[5]);
		syscall(SYS_exit_group, 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static bool was_killed(int status)
{
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

START_TEST(test_conditions)
{
	int status = try_call(cases[_i].call, cases[_i].args);

	if (cases[_i].allowed)
		ck_assert_msg(status == 0, "%s: status %x", cases[_i].what, status);
	else
		ck_assert_msg(was_killed(status), "%s: status %x", cases[_i].what, status);
}
END_TEST

START_TEST(test_the_32_bit_calls_are_killed)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		long call = 20; /* i386's getpid */

		if (isolate_lock(&list_rules) < 0)
			syscall(SYS_exit_group, 1);
		__asm__ volatile("int $0x80" : "+a"(call) : : "memory", "r8", "r9", "r10", "r11");
		syscall(SYS_exit_group, call == -ENOSYS ? 2 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	/* SIGSEGV: a kernel without 32-bit calls. */
	ck_assert_msg(was_killed(status) || (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV),
	              "status %x", status);
}
END_TEST

static void *wait_and_violate(void *locked)
{
	while (!atomic_load((atomic_bool *)locked))
		;
	syscall(SYS_getppid);
	return NULL;
}

START_TEST(test_a_list_is_for_all_threads)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		atomic_bool locked = false;
		pthread_t thread;

		if (pthread_create(&thread, NULL, wait_and_violate, &locked) != 0 ||
		    isolate_lock(&list_rules) < 0)
			_exit(1);
		atomic_store(&locked, true);
		syscall(SYS_exit, 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(was_killed(status));
}
END_TEST

START_TEST(test_the_calls_are_explained)
{
	size_t shared = 0;

	for (size_t i = 0; i < BASE_COUNT(list_rules_calls); i++) {
		ck_assert_str_ne(list_rules_calls[i].reason, "");
		shared += strcmp(list_rules_calls[i].name, "exit_group") == 0;
	}
	ck_assert_uint_eq(shared, 1);
	ck_assert_str_eq(list_rules_calls[0].name, "getpid");
	ck_assert_str_eq(list_rules_calls[0].rule, "");
	ck_assert_str_eq(list_rules_calls[0].reason, "a call without conditions");
	ck_assert_str_eq(list_rules_calls[5].rule, "0 = AF_UNIX, 1 & 0xf = SOCK_STREAM");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_rules");
	TCase *tests = tcase_create("rules");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, test_conditions, 0, BASE_COUNT(cases));
	tcase_add_test(tests, test_the_32_bit_calls_are_killed);
	tcase_add_test(tests, test_a_list_is_for_all_threads);
	tcase_add_test(tests, test_the_calls_are_explained);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
