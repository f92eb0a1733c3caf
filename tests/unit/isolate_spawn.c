/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate_spawn(), seen from both sides: what the started program can do (tests/unit/isolate_probe.c
 * says), what /proc says of it, and what is left when a stage fails.
 */
#include "base/base.h"
#include "isolate/isolate.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { UID = 2000000007, GID = 2000000008, SKIP = 77 };

struct probe {
	pid_t pid;
	int in;          /* the write end of its fd 0: closed, it ends */
	char said[4096]; /* by its fd 1, up to `locked` */
};

static int open_probe(void)
{
	int fd = open(PROBE, O_RDONLY | O_CLOEXEC);

	ck_assert_msg(fd >= 0, "cannot open %s", PROBE);
	return fd;
}

static void read_until_locked(struct probe *probe, int out)
{
	size_t length = 0;

	while (length < sizeof(probe->said) - 1 && !strstr(probe->said, "locked\n")) {
		ssize_t n = read(out, probe->said + length, sizeof(probe->said) - 1 - length);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
}

/* Starts the probe with pipes on 0 and 1, and whatever else `process` says. */
static void start(struct probe *probe, struct isolate_process *process, const char *mode)
{
	char outsider[16];
	char *argv[] = {(char *)"probe", outsider, (char *)mode, NULL};
	int in[2], out[2];
	const char *stage = NULL;
	struct isolate_fd fds[8];

	*probe = (struct probe){.pid = 0};
	snprintf(outsider, sizeof(outsider), "%d", getpid());
	ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
	fds[0] = (struct isolate_fd){in[0], 0};
	fds[1] = (struct isolate_fd){out[1], 1};
	for (size_t i = 0; i < process->fd_count; i++)
		fds[2 + i] = process->fds[i];
	process->fds = fds;
	process->fd_count += 2;
	process->name = "probe";
	process->binary = open_probe();
	process->argv = argv;
	process->uid = UID;
	process->gid = GID;
	process->cgroup = -1;
	probe->pid = isolate_spawn(process, &stage);
	ck_assert_msg(probe->pid > 0, "%s: %s", stage, strerror(-probe->pid));
	close(process->binary);
	close(in[0]);
	close(out[1]);
	read_until_locked(probe, out[0]);
	close(out[0]);
	probe->in = in[1];
}

/* Its wait status. */
static int finish(struct probe *probe)
{
	int status;

	close(probe->in);
	ck_assert_int_eq(waitpid(probe->pid, &status, 0), probe->pid);
	return status;
}

static long said(const struct probe *probe, const char *name)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "%s=", name);
	at = strstr(probe->said, line);
	ck_assert_msg(at != NULL, "the probe did not say %s; it said: %s", name, probe->said);
	return strtol(at + strlen(line), NULL, 10);
}

/* What /proc/PID/FILE has after `label`. */
static void proc_field(pid_t pid, const char *file, const char *label, char *value, size_t size)
{
	char path[64], text[8192] = "";
	FILE *stream BASE_AUTO_FILE = NULL;
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	stream = fopen(path, "re");
	ck_assert_ptr_nonnull(stream);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, stream), 0);
	at = strstr(text, label);
	ck_assert_msg(at != NULL, "%s has no %s", path, label);
	at += strlen(label);
	at += strspn(at, " \t");
	snprintf(value, size, "%.*s", (int)strcspn(at, "\n"), at);
}

static void expect_field(pid_t pid, const char *file, const char *label, const char *expected)
{
	char value[256];

	proc_field(pid, file, label, value, sizeof(value));
	ck_assert_msg(strcmp(value, expected) == 0, "%s %s is '%s', not '%s'", file, label, value,
	              expected);
}

static long count_entries(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	long count = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return count;
}

START_TEST(test_it_is_somebody_else_without_privileges)
{
	struct isolate_process process = {.flags = ISOLATE_PDEATHSIG};
	struct probe probe;

	start(&probe, &process, NULL);
	expect_field(probe.pid, "status", "Uid:", "2000000007\t2000000007\t2000000007\t2000000007");
	expect_field(probe.pid, "status", "Gid:", "2000000008\t2000000008\t2000000008\t2000000008");
	expect_field(probe.pid, "status", "Groups:", "");
	expect_field(probe.pid, "status", "CapInh:", "0000000000000000");
	expect_field(probe.pid, "status", "CapPrm:", "0000000000000000");
	expect_field(probe.pid, "status", "CapEff:", "0000000000000000");
	expect_field(probe.pid, "status", "CapBnd:", "0000000000000000");
	expect_field(probe.pid, "status", "CapAmb:", "0000000000000000");
	expect_field(probe.pid, "status", "NoNewPrivs:", "1");
	expect_field(probe.pid, "status", "Seccomp:", "2");
	expect_field(probe.pid, "status", "SigBlk:", "0000000000000000");
	expect_field(probe.pid, "status", "SigIgn:", "0000000000000000");
	ck_assert_int_eq(WEXITSTATUS(finish(&probe)), 42);
}
END_TEST

START_TEST(test_its_world_is_empty)
{
	struct isolate_process process = {.flags = 0};
	char path[64];
	struct probe probe;

	start(&probe, &process, NULL);
	snprintf(path, sizeof(path), "/proc/%d/root/", probe.pid);
	ck_assert_int_eq(count_entries(path), 0);
	ck_assert_int_lt(open(path, O_TMPFILE | O_WRONLY, 0600), 0);
	ck_assert_int_eq(said(&probe, "pid"), 1);
	ck_assert_int_eq(said(&probe, "environment"), 0);
	ck_assert_int_eq(said(&probe, "umask"), 077);
	ck_assert_int_eq(said(&probe, "root_entries"), -EACCES);
	ck_assert_int_eq(said(&probe, "stat_etc"), ENOENT);
	ck_assert_int_eq(said(&probe, "open_passwd"), ENOENT);
	ck_assert_int_eq(said(&probe, "open_up"), ENOENT);
	ck_assert_int_ne(said(&probe, "create"), 0);
	ck_assert_int_ne(said(&probe, "mkdir"), 0);
	ck_assert_int_eq(said(&probe, "kill"), ESRCH);
	ck_assert_int_eq(said(&probe, "ptrace"), ESRCH);
	ck_assert_int_eq(said(&probe, "mount"), EPERM);
	ck_assert_int_eq(said(&probe, "setuid"), EPERM);
	ck_assert_int_ne(said(&probe, "connect_loopback"), 0);
	ck_assert_int_ne(said(&probe, "connect_elsewhere"), 0);
	ck_assert_int_eq(said(&probe, "raw_socket"), EPERM);
	ck_assert_int_eq(said(&probe, "interfaces"), 1);
	ck_assert_int_eq(said(&probe, "lo_up"), 0);
	finish(&probe);
}
END_TEST

START_TEST(test_its_list_is_in_force)
{
	struct isolate_process process = {.flags = 0};
	struct probe probe;
	int status;

	start(&probe, &process, "violate");
	status = finish(&probe);
	ck_assert_ptr_nonnull(strstr(probe.said, "locked\n"));
	ck_assert(WIFSIGNALED(status));
	ck_assert_int_eq(WTERMSIG(status), SIGSYS);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("isolate_spawn");
	TCase *tests = tcase_create("spawn");
	SRunner *runner;
	int failed;

	if (geteuid() != 0) {
		printf("SKIP: starting a process in a role needs root\n");
		return SKIP;
	}
	tcase_add_test(tests, test_it_is_somebody_else_without_privileges);
	tcase_add_test(tests, test_its_world_is_empty);
	tcase_add_test(tests, test_its_list_is_in_force);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
