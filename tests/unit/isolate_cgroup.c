/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cgroup of a VM, on the host's cgroup v2 hierarchy, or one that the test mounts where the library
 * looks for it. Which controllers are there is the host's business: a limit is either in force or an error.
 */
#include "tests/unit/isolate_fixture.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define HIERARCHY "/sys/fs/cgroup"

/* In a mount namespace of the test's own. */
static bool find_hierarchy(void)
{
	struct statfs status;

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return false;
	if (statfs(HIERARCHY, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
		return true;
	return mount("cgroup2", HIERARCHY, "cgroup2", 0, NULL) == 0;
}

static void path_of(char path[128], const char *name, const char *file)
{
	snprintf(path, 128, HIERARCHY "/cordon/%s/%s", name, file);
}

static const char *test_name(void)
{
	static char name[32];

	snprintf(name, sizeof(name), "unit-test-%d", getppid());
	return name;
}

static bool exists(const char *name)
{
	char path[128];

	path_of(path, name, "");
	return access(path, F_OK) == 0;
}

START_TEST(test_a_process_starts_in_it_and_ends_with_it)
{
	const struct isolate_limits limits = {0};
	struct isolate_process process = fixture_process();
	struct fixture_probe probe;
	char expected[64];
	int status;

	process.cgroup = isolate_cgroup_make(test_name(), &limits);
	ck_assert_int_ge(process.cgroup, 0);
	fixture_start(&probe, &process, NULL);
	snprintf(expected, sizeof(expected), "/cordon/%s", test_name());
	fixture_expect(probe.pid, "cgroup", "0::", expected);
	ck_assert_int_eq(isolate_cgroup_make(test_name(), &limits), -EEXIST);
	ck_assert_int_eq(isolate_cgroup_remove(test_name()), 0);
	ck_assert(!exists(test_name()));
	status = fixture_finish(&probe);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	ck_assert_int_eq(isolate_cgroup_remove(test_name()), 0);
}
END_TEST

static void expect_limit(const struct isolate_limits *limits, const char *file,
                         const char *expected)
{
	int cgroup = isolate_cgroup_make(test_name(), limits);
	char path[128], text[64] = "";
	int fd;

	if (cgroup < 0) {
		printf("%s is not for this host: %s\n", file, strerror(-cgroup));
		ck_assert(!exists(test_name()));
		return;
	}
	path_of(path, test_name(), file);
	fd = open(path, O_RDONLY);
	ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	close(fd);
	close(cgroup);
	ck_assert_int_eq(isolate_cgroup_remove(test_name()), 0);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_a_limit_is_in_force_or_an_error)
{
	expect_limit(&(struct isolate_limits){.memory_max = 1048576}, "memory.max", "1048576\n");
	expect_limit(&(struct isolate_limits){.pids_max = 7}, "pids.max", "7\n");
	expect_limit(&(struct isolate_limits){.cpus = "0"}, "cpuset.cpus", "0\n");
}
END_TEST

START_TEST(test_a_limit_that_makes_no_sense_leaves_nothing)
{
	const struct isolate_limits limits = {.cpus = "no cpu"};

	ck_assert_int_lt(isolate_cgroup_make(test_name(), &limits), 0);
	ck_assert(!exists(test_name()));
}
END_TEST

START_TEST(test_names_are_names)
{
	static const char *const wrong[] = {"",     ".",   "..",           "a/b",
	                                    "../a", "a b", "cgroup.procs", "a\n"};
	const struct isolate_limits limits = {0};

	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		ck_assert_int_eq(isolate_cgroup_make(wrong[i], &limits), -EINVAL);
		ck_assert_int_eq(isolate_cgroup_remove(wrong[i]), -EINVAL);
	}
}
END_TEST

START_TEST(test_without_a_hierarchy)
{
	const struct isolate_limits limits = {0};

	ck_assert_int_eq(mount("none", HIERARCHY, "tmpfs", 0, NULL), 0);
	ck_assert_int_eq(isolate_cgroup_make(test_name(), &limits), -ENOTSUP);
	ck_assert_int_eq(isolate_cgroup_remove(test_name()), 0);
	ck_assert_int_eq(umount(HIERARCHY), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_cgroup");
	TCase *tests = tcase_create("cgroup");
	bool was_there;
	int status;

	if (geteuid() != 0 || !find_hierarchy()) {
		printf("SKIP: a cgroup v2 hierarchy cannot be mounted (root and cgroup2 are "
		       "needed)\n");
		return FIXTURE_SKIP;
	}
	was_there = exists("");
	tcase_add_test(tests, test_a_process_starts_in_it_and_ends_with_it);
	tcase_add_test(tests, test_a_limit_is_in_force_or_an_error);
	tcase_add_test(tests, test_a_limit_that_makes_no_sense_leaves_nothing);
	tcase_add_test(tests, test_names_are_names);
	tcase_add_test(tests, test_without_a_hierarchy);
	suite_add_tcase(suite, tests);
	status = fixture_run(suite, true);
	if (!was_there)
		rmdir(HIERARCHY "/cordon");
	return status;
}
