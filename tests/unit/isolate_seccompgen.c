/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What seccompgen refuses, and how it says so: the program is run on small sources.
 */
#include "base/base.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { OUTPUT_SIZE = 4096 };

static const struct {
	const char *source;
	const char *error; /* with the line number, after the file's name */
} refusals[] = {
        {"#syscall t: getpid", ":1: error: expected ' - ' and the reason why getpid"},
        {"#syscall t: getpid -", ":1: error: expected ' - ' and the reason"},
        {"#syscall t: getpid -   ", ":1: error: expected ' - ' and the reason"},
        {"\n\n * #syscall t: getpidd - why", ":3: error: 'getpidd' is not a system call"},
        {"#syscall t: socketcall - why", ":1: error: 'socketcall' is not a system call of x86-64"},
        {"#syscall other: getpidd - why", ":1: error: 'getpidd' is not a system call"},
        {"#syscall t: fcntl(arg1 = F_GETFLL) - why", ":1: error: unknown constant 'F_GETFLL'"},
        {"#syscall t: fcntl(arg1 = 12a) - why", ":1: error: '12a' is not a number"},
        {"#syscall t: fcntl(arg1 = 0x10000000000000000) - why", "is not a number"},
        {"#syscall t: fcntl(arg6 = 1) - why", ":1: error: expected an argument, arg0 to arg5"},
        {"#syscall t: fcntl(arg1 > 1) - why", ":1: error: expected '=', '<=', '&' or '!&' at '> 1"},
        {"#syscall t: fcntl(arg1 & 1) - why", ":1: error: expected '= VALUE' after the mask"},
        {"#syscall t: fcntl(arg1 & 1 = 2) - why",
         ":1: error: the value has bits that the mask has not"},
        {"#syscall t: fcntl(arg1 = 1, arg1 = 2) - why", ":1: error: an argument can have one"},
        {"#syscall t: fcntl(arg1 = 1 - why", ":1: error: expected ')'"},
        {"#syscall t: fcntl() - why", ":1: error: expected an argument"},
        {"#syscall t getpid - why", ":1: error: expected ':' after the roles"},
        {"#syscall : getpid - why", ":1: error: expected a role"},
        {"#syscall t: getpid - a\n#syscall t: getpid - b", ":2: error: getpid is redundant beside"},
        {"#syscall t: fcntl - a\n#syscall t: fcntl(arg1 = 1) - b", ":2: error: fcntl is redundant"},
        {"#syscall t: fcntl(arg1 = 1) - a\n#syscall t: fcntl - b", ":2: error: fcntl is redundant"},
        {"#syscall t: fcntl(1 = 1) - a\n#syscall t: fcntl(arg1 = 0x1) - b", ":2: error: fcntl is"},
        {"#syscall all: brk - a\n#syscall t: brk - b", ":2: error: brk is redundant"},
        {"#syscall g: getpid - a\n#syscall t: getpid - b", ":2: error: getpid is redundant beside"},
        {"#syscall t: mmap - why", ":1: error: mmap must rule out PROT_EXEC"},
        {"#syscall t: mmap(arg2 !& PROT_WRITE) - why", ":1: error: mmap must rule out PROT_EXEC"},
        {"#syscall t: mmap(arg3 !& PROT_EXEC) - why", ":1: error: mmap must rule out PROT_EXEC"},
        {"#syscall t: mprotect(arg2 = PROT_READ|PROT_EXEC) - why", "must rule out PROT_EXEC"},
        {"#syscall t: mprotect(arg2 <= 4) - why", "must rule out PROT_EXEC"},
        {"#syscall t: pkey_mprotect(arg2 & 7 = 5) - why", "must rule out PROT_EXEC"},
        {"#syscall t: execve - why", ":1: error: execve is never allowed"},
        {"#syscall t: execveat - why", ":1: error: execveat is only allowed of one fd"},
        {"#syscall t: execveat(arg4 = AT_EMPTY_PATH) - why", "execveat is only allowed of one fd"},
        {"#syscall t: ptrace - why", ":1: error: ptrace is never allowed"},
        {"#syscall t: io_uring_setup - why", ":1: error: io_uring_setup is never allowed"},
        {"#syscall t: io_uring_enter - why",
         ":1: error: io_uring_enter is only allowed of a registered ring"},
        {"#syscall t: io_uring_enter(arg0 = 0) - why",
         ":1: error: io_uring_enter is only allowed of a registered ring"},
        {"#syscall t: io_uring_enter(arg3 & 16 = 16) - why",
         ":1: error: io_uring_enter is only allowed of a registered ring"},
        {"#syscall t: io_uring_enter(arg0 = 0, arg3 & 16 = 0) - why",
         ":1: error: io_uring_enter is only allowed of a registered ring"},
        {"#syscall t: shmat - why", ":1: error: shmat is never allowed"},
        {"#syscall other: getpid - why", "no #syscall line names the role 't'"},
        {"/* see #syscall t: getpid - in the middle */", "no #syscall line names"},
        {"", "no #syscall line names the role 't'"},
};

static const char *const accepted[] = {
        "#syscall t: getpid - why",
        "x = getpid(); /* #syscall t: getpid - why */",
        "/* #syscall t: getpid - why */",
        "\t * #syscall t: getpid - why",
        "// #syscall a,t , b: getpid - why - and more",
        "#syscall t: fcntl(arg1 = F_GETFL) - a\n#syscall t: fcntl(arg1 = F_GETFD) - b",
        "#syscall all: write(arg0 = 2) - a\n#syscall t: write - wider, for this role",
        "#syscall t: write - wider, for this role\n#syscall all: write(arg0 = 2) - a",
        "#syscall t: getpid - a\n#syscall u: getpid - b",
        "#syscall g: getpid - why",
        "#syscall u,g: getpid - why\n#syscall t: fcntl - why",
        "#syscall t: mprotect(arg2 <= 3) - why",
        "#syscall t: mprotect(arg2 & 7 = PROT_READ) - why",
        "#syscall t: execveat(arg0 = 97, arg4 = AT_EMPTY_PATH) - why",
        "#syscall t: getpid - it's \"quoted\" and has a \\ in it",
};

static int write_source(const char *text)
{
	int fd = memfd_create("source.c", 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(base_write_all(fd, text, strlen(text)), 0);
	return fd;
}

/* Compiles the text for the role t of the group g. Its exit status; what it says, and whether it wrote anything. */
static int compile(const char *text, char said[OUTPUT_SIZE], bool *wrote)
{
	int source BASE_AUTO_FD = write_source(text);
	int message BASE_AUTO_FD = memfd_create("message", 0);
	int output BASE_AUTO_FD = memfd_create("output", 0);
	char source_path[32], output_path[32];
	struct stat status;
	ssize_t length;
	pid_t pid;
	int result;

	snprintf(source_path, sizeof(source_path), "/proc/self/fd/%d", source);
	snprintf(output_path, sizeof(output_path), "/proc/self/fd/%d", output);
	pid = fork();
	if (pid == 0) {
		dup2(message, STDERR_FILENO);
		execl(SECCOMPGEN, "seccompgen", "--role", "t", "--group", "g", "-o", output_path,
		      source_path, NULL);
		_exit(99);
	}
	ck_assert_int_eq(waitpid(pid, &result, 0), pid);
	length = pread(message, said, OUTPUT_SIZE - 1, 0);
	said[length > 0 ? length : 0] = '\0';
	*wrote = fstat(output, &status) == 0 && status.st_size > 0;
	return WIFEXITED(result) ? WEXITSTATUS(result) : -1;
}

START_TEST(test_refusals)
{
	char said[OUTPUT_SIZE];
	bool wrote;
	int status = compile(refusals[_i].source, said, &wrote);

	ck_assert_msg(status == 1, "'%s': status %d, '%s'", refusals[_i].source, status, said);
	ck_assert_msg(strstr(said, refusals[_i].error) != NULL, "'%s': '%s'", refusals[_i].source,
	              said);
	ck_assert(!wrote);
}
END_TEST

START_TEST(test_acceptances)
{
	char said[OUTPUT_SIZE];
	bool wrote;
	int status = compile(accepted[_i], said, &wrote);

	ck_assert_msg(status == 0, "'%s': status %d, '%s'", accepted[_i], status, said);
	ck_assert(wrote);
}
END_TEST

START_TEST(test_all_mistakes_are_said_at_once)
{
	char said[OUTPUT_SIZE];
	bool wrote;

	ck_assert_int_eq(
	        compile("#syscall t: a - b\n#syscall t: getpid\n#syscall t: c - d", said, &wrote),
	        1);
	ck_assert_ptr_nonnull(strstr(said, ":1: error"));
	ck_assert_ptr_nonnull(strstr(said, ":2: error"));
	ck_assert_ptr_nonnull(strstr(said, ":3: error"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_seccompgen");
	TCase *tests = tcase_create("seccompgen");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, test_refusals, 0, BASE_COUNT(refusals));
	tcase_add_loop_test(tests, test_acceptances, 0, BASE_COUNT(accepted));
	tcase_add_test(tests, test_all_mistakes_are_said_at_once);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
