/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which NUMA node a policy means, on hosts whose sysfs is made up here; and huge pages that are there or
 * not, on this one.
 */
#include "cordon/memory.h"

#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/base.h"

static struct host_error error;
static struct policy_isolation isolation;
static struct policy policy;

static void put(const char *path, const char *text)
{
	int fd BASE_AUTO_FD = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(base_write_all(fd, text, strlen(text)), 0);
}

/* Two nodes with CPUs, one with memory only, one with CPUs only. */
static void host(void)
{
	static const char *const lists[] = {"0-3,8-11\n", "4-7,12-15\n", "\n", "16\n"};

	mkdir("nodes", 0700);
	put("nodes/has_memory", "0-2\n");
	for (int i = 0; i < 4; i++) {
		char path[64];

		snprintf(path, sizeof(path), "nodes/node%d", i);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "nodes/node%d/cpulist", i);
		put(path, lists[i]);
	}
	memset(&isolation, 0, sizeof(isolation));
	memset(&error, 0, sizeof(error));
	isolation.line = 7;
}

static void cpu(unsigned int number)
{
	isolation.cpus[number / 8] |= (uint8_t)(1u << number % 8);
}

static char folder[] = "/tmp/cordon_memory.XXXXXX";

static void stay(void)
{
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
}

static void leave(void)
{
	pid_t child;

	ck_assert_int_eq(chdir("/"), 0);
	child = fork();
	if (child == 0) {
		execlp("rm", "rm", "-rf", "--", folder, NULL);
		_exit(1);
	}
	waitpid(child, NULL, 0);
}

START_TEST(no_node_unless_asked)
{
	host();
	cpu(3);
	ck_assert_int_eq(memory_node(&isolation, "nodes", &error), -1);
	ck_assert_int_eq(memory_node(&isolation, "nowhere", &error), -1);
}
END_TEST

START_TEST(a_node_by_number)
{
	char list[MEMORY_CPULIST_MAX];

	host();
	for (uint32_t node = 0; node < 3; node++) {
		isolation.numa = node + 1;
		ck_assert_int_eq(memory_node(&isolation, "nodes", &error), (int)node);
	}
	isolation.numa = 4;
	ck_assert_int_eq(memory_node(&isolation, "nodes", &error), -ENODEV);
	ck_assert_str_eq(error.text, "policy line 7: numa: this host has no NUMA node 3 with "
	                             "memory; it has 0-2");
	memset(&error, 0, sizeof(error));
	ck_assert_int_eq(memory_node(&isolation, "nowhere", &error), -ENODEV);
	ck_assert_str_eq(error.text,
	                 "policy line 7: numa: this host has no NUMA node 3 with memory");
	memory_node_cpus("nodes", 1, list);
	ck_assert_str_eq(list, "4-7,12-15");
	memory_node_cpus("nodes", 2, list);
	ck_assert_str_eq(list, "");
}
END_TEST

START_TEST(the_node_of_the_cpus)
{
	host();
	isolation.numa = POLICY_NUMA_AUTO;
	cpu(5);
	cpu(12);
	ck_assert_int_eq(memory_node(&isolation, "nodes", &error), 1);
	cpu(3);
	ck_assert_int_eq(memory_node(&isolation, "nodes", &error), -EXDEV);
	ck_assert_str_eq(error.text, "policy line 7: numa: auto: the CPUs are of the NUMA nodes 0 "
	                             "and 1; expected one");
	host();
	isolation.numa = POLICY_NUMA_AUTO;
	cpu(16); /* of a node without memory */
	ck_assert_int_eq(memory_node(&isolation, "nodes", &error), -ENODEV);
	ck_assert_str_eq(error.text, "policy line 7: numa: auto: no NUMA node of this host with "
	                             "memory has CPU 16");
}
END_TEST

START_TEST(memory_cannot_be_resized)
{
	int fd BASE_AUTO_FD = -1;

	policy.vm.memory = 64ull << 20;
	fd = memory_open(&policy, &error);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_lt(ftruncate(fd, 0), 0);
	ck_assert_int_lt(ftruncate(fd, 128 << 20), 0);
}
END_TEST

/* More than any host has: refused before anything is started, in a sentence that says what to do. */
START_TEST(too_few_huge_pages_are_said)
{
	policy.vm.memory = 1ull << 40;
	policy.isolation.huge_pages = 2 << 20;
	policy.isolation.line = 9;
	memset(&error, 0, sizeof(error));
	ck_assert_int_lt(memory_open(&policy, &error), 0);
	if (strstr(error.text, "cannot get 1048576 MiB")) {
		printf("skip: too_few_huge_pages_are_said: no hugetlbfs here\n");
		return;
	}
	ck_assert_ptr_nonnull(strstr(error.text,
	                             "policy line 9: huge_pages: the guest needs 524288 "
	                             "pages of 2 MiB; this host has "));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("cordon_memory");
	TCase *tests = tcase_create("memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, stay, leave);
	tcase_add_test(tests, no_node_unless_asked);
	tcase_add_test(tests, a_node_by_number);
	tcase_add_test(tests, the_node_of_the_cpus);
	tcase_add_test(tests, memory_cannot_be_resized);
	tcase_add_test(tests, too_few_huge_pages_are_said);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
