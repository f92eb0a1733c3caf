/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_spawn(), seen from both sides: what the started program can do (tests/unit/isolate_probe.c
 * says), and what /proc says of it. A list for a program that is not ours, of what the probe calls from
 * its first instruction on:
 *
 * #syscall foreign: execveat(arg0 = 97, arg4 = AT_EMPTY_PATH) - starts the program
 * #syscall foreign: write(arg0 = 96) - says that it could not
 * #syscall foreign: write(arg0 = 1) - says what it saw
 * #syscall foreign: read(arg0 = 0) - waits for its end
 * #syscall foreign: getpid - the probe's own
 * #syscall foreign: getuid - what the probe's own list lacks
 * #syscall foreign: arch_prctl - the C library's start
 * #syscall foreign: set_tid_address - the C library's start
 * #syscall foreign: set_robust_list - the C library's start
 * #syscall foreign: rseq - the C library's start
 * #syscall foreign: prlimit64 - the C library's start
 * #syscall foreign: readlink - the C library's start
 * #syscall foreign: getrandom - the C library's start
 * #syscall foreign: mprotect(arg2 !& PROT_EXEC) - the C library's start
 * #syscall foreign: prctl - the probe locks its own list
 * #syscall foreign: seccomp - the probe locks its own list
 */
#include "tests/unit/isolate_fixture.h"
#include "tests/unit/list_foreign.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* NOROOT and NO_CAP_AMBIENT_RAISE, and all of them locked: see capabilities(7). */
enum { SECURE_BITS = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 };

START_TEST(test_it_is_somebody_else_without_privileges)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	sigset_t some;
	long keyring;

	/* What it must not inherit. */
	ck_assert_int_eq(setgroups(1, &(gid_t){4}), 0);
	keyring = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "isolate-test");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&some);
	sigaddset(&some, SIGUSR1);
	sigprocmask(SIG_BLOCK, &some, NULL);
	personality(ADDR_NO_RANDOMIZE);
	fixture_start(&probe, &process, NULL);
	fixture_expect_role(probe.pid);
	fixture_expect(probe.pid, "status", "SigBlk:", "0000000000000000");
	fixture_expect(probe.pid, "status", "SigIgn:", "0000000001000000"); /* SIGXFSZ alone */
	fixture_expect(probe.pid, "personality", "0000", "0000");
	ck_assert_int_eq(getsid(probe.pid), probe.pid);
	ck_assert_int_eq(fixture_said(&probe, "securebits"), SECURE_BITS);
	ck_assert_int_ne(fixture_said(&probe, "session_keyring"), keyring);
	ck_assert_int_eq(WEXITSTATUS(fixture_finish(&probe)), 42);
}
END_TEST

/* cordon-sets: one capability, in every set, for the program itself; nothing else of a role is different. */
START_TEST(test_it_keeps_the_one_capability_that_it_is_given)
{
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;

	process.capability = 1ull << CAP_NET_ADMIN;
	fixture_start(&probe, &process, NULL);
	for (size_t i = 0; i < BASE_COUNT(sets); i++)
		fixture_expect(probe.pid, "status", sets[i], "0000000000001000");
	fixture_expect(probe.pid, "status",
	               "Uid:", "2000000007\t2000000007\t2000000007\t2000000007");
	fixture_expect(probe.pid, "status", "NoNewPrivs:", "1");
	fixture_expect(probe.pid, "status", "Seccomp:", "2");
	ck_assert_int_eq(fixture_said(&probe, "securebits"), SECURE_BITS);
	ck_assert_int_eq(fixture_said(&probe, "setuid"), EPERM);
	ck_assert_int_eq(fixture_said(&probe, "mount"), EPERM);
	ck_assert_int_eq(WEXITSTATUS(fixture_finish(&probe)), 42);
}
END_TEST

START_TEST(test_its_world_is_empty)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;

	fixture_start(&probe, &process, NULL);
	ck_assert_int_eq(fixture_count(probe.pid, "root/"), 0);
	ck_assert_int_eq(fixture_said(&probe, "pid"), 1);
	ck_assert_int_eq(fixture_said(&probe, "environment"), 0);
	ck_assert_int_eq(fixture_said(&probe, "umask"), 077);
	ck_assert_int_eq(fixture_said(&probe, "host_is_cordon"), 1);
	ck_assert_int_eq(fixture_said(&probe, "root_entries"), -EACCES);
	ck_assert_int_eq(fixture_said(&probe, "stat_etc"), ENOENT);
	ck_assert_int_eq(fixture_said(&probe, "open_passwd"), ENOENT);
	ck_assert_int_eq(fixture_said(&probe, "open_up"), ENOENT);
	ck_assert_int_ne(fixture_said(&probe, "create"), 0);
	ck_assert_int_ne(fixture_said(&probe, "mkdir"), 0);
	ck_assert_int_eq(fixture_said(&probe, "kill"), ESRCH);
	ck_assert_int_eq(fixture_said(&probe, "ptrace"), ESRCH);
	ck_assert_int_eq(fixture_said(&probe, "mount"), EPERM);
	ck_assert_int_eq(fixture_said(&probe, "setuid"), EPERM);
	ck_assert_int_ne(fixture_said(&probe, "connect_loopback"), 0);
	ck_assert_int_ne(fixture_said(&probe, "connect_elsewhere"), 0);
	ck_assert_int_eq(fixture_said(&probe, "raw_socket"), EPERM);
	ck_assert_int_eq(fixture_said(&probe, "interfaces"), 1);
	ck_assert_int_eq(fixture_said(&probe, "lo_up"), 0);
	fixture_finish(&probe);
}
END_TEST

START_TEST(test_its_root_is_read_only_and_the_old_one_is_gone)
{
	struct isolate_process process = fixture_process();
	char path[64], mounts[4096] = "";
	struct fixture_probe probe;
	int fd;

	fixture_start(&probe, &process, NULL);
	snprintf(path, sizeof(path), "/proc/%d/root/new", probe.pid);
	ck_assert_int_lt(open(path, O_CREAT | O_WRONLY, 0600), 0);
	ck_assert_int_eq(errno, EROFS);
	snprintf(path, sizeof(path), "/proc/%d/mounts", probe.pid);
	fd = open(path, O_RDONLY);
	ck_assert_int_gt(read(fd, mounts, sizeof(mounts) - 1), 0);
	ck_assert_msg(strncmp(mounts, "cordon / tmpfs ro,nosuid,nodev,noexec", 37) == 0, "%s",
	              mounts);
	ck_assert_ptr_eq(strchr(mounts, '\n'), strrchr(mounts, '\n'));
	close(fd);
	fixture_finish(&probe);
}
END_TEST

START_TEST(test_it_has_namespaces_of_its_own)
{
	static const char *const names[] = {"mnt", "net", "ipc", "uts", "pid", "cgroup"};
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;

	fixture_start(&probe, &process, NULL);
	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		char path[64];
		struct stat its, mine;

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", probe.pid, names[i]);
		ck_assert_int_eq(stat(path, &its), 0);
		snprintf(path, sizeof(path), "/proc/self/ns/%s", names[i]);
		ck_assert_int_eq(stat(path, &mine), 0);
		ck_assert_msg(its.st_ino != mine.st_ino, "%s", names[i]);
	}
	fixture_finish(&probe);
}
END_TEST

START_TEST(test_its_limits)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;

	process.file_size_max = 1048576;
	process.open_files_max = 333;
	fixture_start(&probe, &process, NULL);
	fixture_expect(probe.pid, "limits", "Max core file size",
	               "0                    0                    bytes     ");
	fixture_expect(probe.pid, "limits", "Max file size",
	               "1048576              1048576              bytes     ");
	fixture_expect(probe.pid, "limits", "Max open files",
	               "333                  333                  files     ");
	fixture_expect(probe.pid, "limits", "Max processes",
	               "128                  128                  processes ");
	fixture_finish(&probe);
}
END_TEST

START_TEST(test_its_fds_are_those_that_it_was_handed)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	char path[64], link[64];
	int leaked = open("/dev/zero", O_RDONLY); /* without O_CLOEXEC */
	/* Two that change places, one that is in the way of the other, one handed over twice. */
	int a = fcntl(memfd_create("a", 0), F_DUPFD, 40),
	    b = fcntl(memfd_create("b", 0), F_DUPFD, 41);
	const struct isolate_fd fds[] = {{a, b}, {b, a}, {a, 5}, {a, 95}};
	const char *const expected[] = {"/memfd:b (deleted)", "/memfd:a (deleted)"};

	ck_assert(a == 40 && b == 41 && leaked >= 0);
	process.fds = fds;
	process.fd_count = BASE_COUNT(fds);
	fixture_start(&probe, &process, NULL);
	/* 0, 1, 2 and these. */
	ck_assert_int_eq(fixture_said(&probe, "open_fds"), 3 + 4);
	for (int fd = 40; fd <= 41; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", probe.pid, fd);
		length = readlink(path, link, sizeof(link) - 1);
		ck_assert_int_gt(length, 0);
		link[length] = '\0';
		ck_assert_str_eq(link, expected[fd - 40]);
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/2", probe.pid);
	ck_assert_int_gt(readlink(path, link, sizeof(link)), 0);
	ck_assert_int_eq(strncmp(link, "/dev/null", 9), 0);
	fixture_finish(&probe);
	ck_assert_int_eq(fcntl(a, F_GETFD), 0);
	ck_assert_int_eq(fcntl(b, F_GETFD), 0);
}
END_TEST

START_TEST(test_its_list_is_in_force)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	int status;

	fixture_start(&probe, &process, "violate");
	status = fixture_finish(&probe);
	ck_assert_ptr_nonnull(strstr(probe.said, "locked\n"));
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

START_TEST(test_a_kept_root_has_the_binds_and_nothing_else)
{
	const char *const binds[] = {"/etc", "/etc/passwd", "w:/tmp", NULL};
	struct isolate_process process = fixture_process();
	char path[64];
	struct fixture_probe probe;

	process.flags = ISOLATE_KEEP_ROOT;
	process.binds = binds;
	fixture_start(&probe, &process, NULL);
	ck_assert_int_eq(fixture_count(probe.pid, "root/"), 2);
	ck_assert_int_eq(fixture_said(&probe, "stat_etc"), 0);
	ck_assert_int_eq(fixture_said(&probe, "open_passwd"), 0);
	ck_assert_int_eq(fixture_said(&probe, "create"), EROFS);
	ck_assert_int_eq(fixture_said(&probe, "create_in_etc"), EROFS);
	ck_assert_int_eq(fixture_said(&probe, "create_in_tmp"), 0);
	snprintf(path, sizeof(path), "/proc/%d/root/etc/new", probe.pid);
	ck_assert_int_lt(open(path, O_CREAT | O_WRONLY, 0600), 0);
	ck_assert_int_eq(errno, EROFS);
	fixture_finish(&probe);
}
END_TEST

/* Its fds are /dev/null, so that it does not wait for anything. */
static int run_to_its_end(const struct isolate_process *process, int *status)
{
	pid_t pid = isolate_spawn(process, NULL);

	if (pid < 0)
		return pid;
	return waitpid(pid, status, 0) == pid ? 0 : -errno;
}

/* A dynamic program's loader and libraries come from the binds, and can be executed there. */
START_TEST(test_a_dynamic_program_runs_with_the_binds_that_it_needs)
{
	const char *const binds[] = {"/usr", "/lib", "/lib64", NULL};
	struct isolate_process process = fixture_process();
	int status;

	process.binary = open("/usr/bin/true", O_RDONLY | O_CLOEXEC);
	process.flags = ISOLATE_KEEP_ROOT;
	process.binds = binds;
	ck_assert_int_eq(run_to_its_end(&process, &status), 0);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* Before its first instruction: with an argument, the probe makes calls that its list has not. */
START_TEST(test_a_program_that_is_not_ours_starts_in_its_list)
{
	struct isolate_process process = fixture_process();
	int status;

	process.list = &list_foreign;
	ck_assert_int_eq(run_to_its_end(&process, &status), 0);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 42, "status %x", status);
	process.argv = (char *[]){(char *)"probe", (char *)"1", NULL};
	ck_assert_int_eq(run_to_its_end(&process, &status), 0);
	ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "status %x", status);
}
END_TEST

START_TEST(test_a_kept_network_is_the_callers)
{
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	struct stat its, mine;
	char path[64];

	process.flags = ISOLATE_KEEP_NET;
	fixture_start(&probe, &process, NULL);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", probe.pid);
	ck_assert(stat(path, &its) == 0 && stat("/proc/self/ns/net", &mine) == 0);
	ck_assert_uint_eq(its.st_ino, mine.st_ino);
	fixture_finish(&probe);
}
END_TEST

/* In a child: starts a probe that holds `alive`, says so there, and waits to be killed. */
static _Noreturn void be_parent(int alive, const int until[2])
{
	const struct isolate_fd fds[] = {{alive, 3}};
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	char byte;

	process.flags = ISOLATE_PDEATHSIG;
	process.fds = fds;
	process.fd_count = 1;
	fixture_start(&probe, &process, NULL);
	if (fork() == 0) {
		/* Keeps the probe's fd 0 open, so that this is not why it ends. */
		close(alive);
		close(until[1]);
		_exit(read(until[0], &byte, 1) != 0);
	}
	base_write_all(alive, "r", 1);
	for (;;)
		pause();
}

START_TEST(test_it_dies_with_its_parent)
{
	int alive[2], until[2];
	pid_t parent;
	char byte;

	ck_assert(pipe(alive) == 0 && pipe(until) == 0);
	parent = fork();
	if (parent == 0)
		be_parent(alive[1], until);
	close(alive[1]);
	ck_assert_int_eq(read(alive[0], &byte, 1), 1);
	kill(parent, SIGKILL);
	ck_assert_int_eq(read(alive[0], &byte, 1), 0);
	waitpid(parent, NULL, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_spawn");
	TCase *tests = tcase_create("spawn");

	tcase_add_test(tests, test_it_is_somebody_else_without_privileges);
	tcase_add_test(tests, test_it_keeps_the_one_capability_that_it_is_given);
	tcase_add_test(tests, test_its_world_is_empty);
	tcase_add_test(tests, test_its_root_is_read_only_and_the_old_one_is_gone);
	tcase_add_test(tests, test_it_has_namespaces_of_its_own);
	tcase_add_test(tests, test_its_limits);
	tcase_add_test(tests, test_its_fds_are_those_that_it_was_handed);
	tcase_add_test(tests, test_its_list_is_in_force);
	tcase_add_test(tests, test_a_kept_root_has_the_binds_and_nothing_else);
	tcase_add_test(tests, test_a_dynamic_program_runs_with_the_binds_that_it_needs);
	tcase_add_test(tests, test_a_program_that_is_not_ours_starts_in_its_list);
	tcase_add_test(tests, test_a_kept_network_is_the_callers);
	tcase_add_test(tests, test_it_dies_with_its_parent);
	suite_add_tcase(suite, tests);
	return fixture_run(suite, true);
}
