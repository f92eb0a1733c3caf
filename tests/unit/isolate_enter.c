/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_enter(): a running process in its role, as root and as somebody else.
 */
#include "tests/unit/isolate_fixture.h"
#include "tests/unit/list_probe.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* A list that lets everything through, so that what else stops a call is seen. */
static struct sock_filter allow_filter[] = {BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
static const struct sock_fprog allow_all = {.len = 1, .filter = allow_filter};

static struct isolate_role a_role(void)
{
	return (struct isolate_role){.uid = FIXTURE_UID, .gid = FIXTURE_GID, .list = &list_probe};
}

/* A child that enters the role, says `locked`, and waits, as the probe does. */
static void enter_in_child(struct fixture_probe *child, struct isolate_role role)
{
	int in[2], out[2];

	ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	*child = (struct fixture_probe){.in = in[1], .out = out[0]};
	child->pid = fork();
	if (child->pid == 0) {
		const struct isolate_fd fds[] = {{in[0], 0}, {out[1], 1}};
		char byte;

		role.fds = fds;
		role.fd_count = BASE_COUNT(fds);
		if (isolate_enter(&role) < 0 || write(1, "locked\n", 7) != 7)
			syscall(SYS_exit_group, 1);
		syscall(SYS_exit_group, read(0, &byte, 1) == 0 ? 42 : 1);
	}
	close(in[0]);
	close(out[1]);
	fixture_read(child);
	ck_assert_str_eq(child->said, "locked\n");
}

START_TEST(test_as_root)
{
	struct fixture_probe child;

	if (geteuid() != 0) {
		printf("skip: test_as_root: it needs root\n");
		return;
	}
	ck_assert_int_ge(open("/dev/zero", O_RDONLY), 0); /* what it must not keep */
	enter_in_child(&child, a_role());
	fixture_expect_role(child.pid);
	ck_assert_int_eq(fixture_count(child.pid, "root/"), 0);
	ck_assert_int_eq(fixture_count(child.pid, "fd"), 3);
	ck_assert_int_eq(WEXITSTATUS(fixture_finish(&child)), 42);
}
END_TEST

START_TEST(test_as_somebody_else)
{
	struct isolate_role role = a_role();
	struct fixture_probe child;

	ck_assert_int_ge(open("/dev/zero", O_RDONLY), 0);
	/* Where this runs as root, it becomes the very user that the role would have. */
	if (geteuid() == 0)
		ck_assert(setgid(FIXTURE_GID) == 0 && setuid(FIXTURE_UID) == 0);
	role.flags = ISOLATE_UNPRIVILEGED;
	enter_in_child(&child, role);
	fixture_expect(child.pid, "status", "NoNewPrivs:", "1");
	fixture_expect(child.pid, "status", "Seccomp:", "2");
	fixture_expect(child.pid, "status", "CapPrm:", "0000000000000000");
	ck_assert_int_eq(WEXITSTATUS(fixture_finish(&child)), 42);
}
END_TEST

/* What a child with `allow_all` gets from the call; its errno, or 0. */
static int what_landlock_says(long (*attempt)(void))
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct isolate_role role = a_role();

		role.flags = ISOLATE_UNPRIVILEGED;
		role.list = &allow_all;
		if (isolate_enter(&role) < 0)
			_exit(255);
		_exit(attempt() < 0 ? errno : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static long open_passwd(void)
{
	return open("/etc/passwd", O_RDONLY);
}

static long list_root(void)
{
	return open("/", O_RDONLY | O_DIRECTORY);
}

static long create_file(void)
{
	return open("/tmp", O_TMPFILE | O_WRONLY, 0600);
}

static long execute(void)
{
	return execl("/bin/true", "true", NULL);
}

static long signal_parent(void)
{
	return kill(getppid(), 0);
}

/* Its mount namespace is the caller's, so that only Landlock is in the way. */
START_TEST(test_landlock_is_in_the_way_by_itself)
{
	ck_assert_int_eq(what_landlock_says(open_passwd), EACCES);
	ck_assert_int_eq(what_landlock_says(list_root), EACCES);
	ck_assert_int_eq(what_landlock_says(create_file), EACCES);
	ck_assert_int_eq(what_landlock_says(execute), EACCES);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 6)
		ck_assert_int_eq(what_landlock_says(signal_parent), EPERM);
}
END_TEST

static void expect_refused(const struct isolate_role *role, int error)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(isolate_enter(role) == error ? 0 : 1);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}

static void *wait_for_ever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

START_TEST(test_what_it_refuses)
{
	struct isolate_role role = a_role();

	role.list = NULL;
	expect_refused(&role, -EINVAL);
	role = a_role();
	role.uid = 0;
	expect_refused(&role, -EINVAL);
	role = a_role();
	role.flags = ISOLATE_KEEP_ROOT;
	expect_refused(&role, -EINVAL);
}
END_TEST

START_TEST(test_a_process_with_threads_is_refused)
{
	struct isolate_role role = a_role();
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, wait_for_ever, NULL), 0);
	ck_assert_int_eq(isolate_enter(&role), -EBUSY);
}
END_TEST

START_TEST(test_the_host_can_do_it)
{
	const char *missing = NULL;

	ck_assert_msg(isolate_host_check(&missing), "%s", missing);
}
END_TEST

/* What it starts has its cookie, and what was there before has not. */
START_TEST(test_a_core_cookie_is_inherited)
{
	uint64_t before = 0, mine = 0, child = 0;
	int error, status;
	pid_t pid;

	prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0, &before);
	error = isolate_core_new();
	if (error == -ENODEV) {
		printf("skip: test_a_core_cookie_is_inherited: no core scheduling here\n");
		return;
	}
	ck_assert_int_eq(error, 0);
	pid = fork();
	if (pid == 0)
		pause();
	ck_assert_int_eq(prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, 0, 0, &mine), 0);
	ck_assert_int_eq(prctl(PR_SCHED_CORE, PR_SCHED_CORE_GET, pid, 0, &child), 0);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	ck_assert_uint_ne(mine, 0);
	ck_assert_uint_ne(mine, before);
	ck_assert_uint_eq(child, mine);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_enter");
	TCase *tests = tcase_create("enter");

	tcase_add_test(tests, test_as_root);
	tcase_add_test(tests, test_as_somebody_else);
	tcase_add_test(tests, test_landlock_is_in_the_way_by_itself);
	tcase_add_test(tests, test_what_it_refuses);
	tcase_add_test(tests, test_a_process_with_threads_is_refused);
	tcase_add_test(tests, test_the_host_can_do_it);
	tcase_add_test(tests, test_a_core_cookie_is_inherited);
	suite_add_tcase(suite, tests);
	return fixture_run(suite, false);
}
