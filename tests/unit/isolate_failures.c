/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_spawn() that fails: each stage that can be made to fail is named, with its errno, and leaves
 * no child and no fd.
 */
#include "tests/unit/isolate_fixture.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void expect_failure(const struct isolate_process *process, const char *stage, int error)
{
	long fds = fixture_count(getpid(), "fd");
	const char *failed = NULL;
	pid_t pid = isolate_spawn(process, &failed);

	ck_assert_msg(pid == error, "%s: %s, not %s", failed, strerror(-pid), strerror(-error));
	ck_assert_str_eq(failed, stage);
	ck_assert_int_eq(fixture_count(getpid(), "fd"), fds);
	ck_assert_int_eq(waitpid(-1, NULL, __WALL), -1);
	ck_assert_int_eq(errno, ECHILD);
	/* Nobody has to ask for the stage. */
	ck_assert_int_eq(isolate_spawn(process, NULL), error);
}

START_TEST(test_arguments)
{
	const struct isolate_fd beyond = {0, ISOLATE_REPORT_FD}, negative = {0, -1};
	const char *const binds[] = {NULL};
	struct isolate_process process = fixture_process();

	process.uid = 0;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.gid = 0;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.uid = (uid_t)-1;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.argv = NULL;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.fds = &beyond;
	process.fd_count = 1;
	expect_failure(&process, "arguments", -EINVAL);
	process.fds = &negative;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.fd_count = ISOLATE_FDS_MAX + 1;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.flags = ISOLATE_KEEP_ROOT;
	expect_failure(&process, "arguments", -EINVAL);
	process.flags = 0;
	process.binds = binds;
	expect_failure(&process, "arguments", -EINVAL);
	process = fixture_process();
	process.flags = ISOLATE_UNPRIVILEGED;
	expect_failure(&process, "arguments", -EINVAL);
}
END_TEST

START_TEST(test_clone)
{
	struct isolate_process process = fixture_process();

	process.cgroup = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);
	expect_failure(&process, "clone", -EBADF);
}
END_TEST

START_TEST(test_file_descriptors)
{
	const struct isolate_fd closed = {999, 3}, twice[] = {{0, 3}, {1, 3}};
	struct isolate_process process = fixture_process();

	process.fds = &closed;
	process.fd_count = 1;
	expect_failure(&process, "file descriptors", -EBADF);
	process.fds = twice;
	process.fd_count = 2;
	expect_failure(&process, "file descriptors", -EINVAL);
}
END_TEST

START_TEST(test_root)
{
	const char *const missing[] = {"/no/such/path", NULL}, *const relative[] = {"etc", NULL};
	struct isolate_process process = fixture_process();

	process.flags = ISOLATE_KEEP_ROOT;
	process.binds = missing;
	expect_failure(&process, "root", -ENOENT);
	ck_assert_int_eq(chdir("/"), 0);
	process.binds = relative;
	expect_failure(&process, "root", -EINVAL);
}
END_TEST

START_TEST(test_limits)
{
	struct isolate_process process = fixture_process();

	process.open_files_max = UINT64_MAX - 1;
	expect_failure(&process, "limits", -EPERM);
}
END_TEST

START_TEST(test_seccomp)
{
	const struct sock_fprog nothing = {.len = 0};
	struct isolate_process process = fixture_process();

	process.list = &nothing;
	expect_failure(&process, "seccomp", -EINVAL);
}
END_TEST

START_TEST(test_exec)
{
	struct isolate_process process = fixture_process();
	int text = memfd_create("text", MFD_CLOEXEC);
	char path[32];

	ck_assert_int_eq(fchmod(text, 0755), 0);
	ck_assert_int_eq(base_write_all(text, "no program", 10), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", text);
	process.binary = open(path, O_RDONLY | O_CLOEXEC);
	close(text);
	expect_failure(&process, "exec", -ENOEXEC);
	process.binary = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	expect_failure(&process, "exec", -EACCES);
}
END_TEST

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "%s", path);
	ck_assert_int_eq(base_write_all(fd, text, strlen(text)), 0);
	close(fd);
}

/* In a user namespace of our own the limits on namespaces are ours, and there is one uid. */
START_TEST(test_namespaces_and_identity)
{
	struct isolate_process process = fixture_process();

	ck_assert_int_eq(unshare(CLONE_NEWUSER), 0);
	write_text("/proc/self/uid_map", "0 0 1");
	write_text("/proc/self/setgroups", "deny");
	write_text("/proc/self/gid_map", "0 0 1");
	expect_failure(&process, "identity", -EPERM);
	write_text("/proc/sys/user/max_uts_namespaces", "0");
	expect_failure(&process, "namespaces", -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_failures");
	TCase *tests = tcase_create("failures");

	tcase_add_test(tests, test_arguments);
	tcase_add_test(tests, test_clone);
	tcase_add_test(tests, test_file_descriptors);
	tcase_add_test(tests, test_root);
	tcase_add_test(tests, test_limits);
	tcase_add_test(tests, test_seccomp);
	tcase_add_test(tests, test_exec);
	tcase_add_test(tests, test_namespaces_and_identity);
	suite_add_tcase(suite, tests);
	return fixture_run(suite, true);
}
