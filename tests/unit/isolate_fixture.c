/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/unit/isolate_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int fixture_open_probe(void)
{
	char path[4096] = "";
	int fd;

	/* It lies beside the test, wherever the build was put. */
	ck_assert_int_gt(readlink("/proc/self/exe", path, sizeof(path) - 32), 0);
	snprintf(strrchr(path, '/') + 1, 32, "isolate_probe");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "cannot open %s", path);
	return fd;
}

struct isolate_process fixture_process(void)
{
	static char *argv[] = {(char *)"probe", NULL};

	return (struct isolate_process){
	        .name = "probe",
	        .binary = fixture_open_probe(),
	        .argv = argv,
	        .uid = FIXTURE_UID,
	        .gid = FIXTURE_GID,
	        .cgroup = -1,
	};
}

void fixture_read(struct fixture_probe *probe)
{
	size_t length = 0;

	while (length < sizeof(probe->said) - 1 && !strstr(probe->said, "locked\n")) {
		ssize_t n =
		        read(probe->out, probe->said + length, sizeof(probe->said) - 1 - length);

		if (n <= 0)
			break;
		length += (size_t)n;
	}
}

void fixture_start(struct fixture_probe *probe, const struct isolate_process *process,
                   const char *mode)
{
	char outsider[16];
	char *argv[] = {(char *)"probe", outsider, (char *)mode, NULL};
	struct isolate_process mine = *process;
	struct isolate_fd fds[ISOLATE_FDS_MAX];
	const char *stage = NULL;
	int in[2], out[2];

	ck_assert(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	*probe = (struct fixture_probe){.in = in[1], .out = out[0]};
	snprintf(outsider, sizeof(outsider), "%d", getpid());
	mine.argv = argv;
	mine.fds = fds;
	fds[0] = (struct isolate_fd){in[0], 0};
	fds[1] = (struct isolate_fd){out[1], 1};
	for (size_t i = 0; i < process->fd_count; i++)
		fds[2 + i] = process->fds[i];
	mine.fd_count += 2;
	probe->pid = isolate_spawn(&mine, &stage);
	ck_assert_msg(probe->pid > 0, "%s: %s", stage, strerror(-probe->pid));
	close(in[0]);
	close(out[1]);
	fixture_read(probe);
}

int fixture_finish(struct fixture_probe *probe)
{
	int status;

	close(probe->in);
	close(probe->out);
	ck_assert_int_eq(waitpid(probe->pid, &status, 0), probe->pid);
	return status;
}

long fixture_said(const struct fixture_probe *probe, const char *name)
{
	char line[64];
	const char *at;

	snprintf(line, sizeof(line), "%s=", name);
	at = strstr(probe->said, line);
	ck_assert_msg(at != NULL, "the probe did not say %s; it said: %s", name, probe->said);
	return strtol(at + strlen(line), NULL, 10);
}

void fixture_expect(pid_t pid, const char *file, const char *label, const char *expected)
{
	char path[64], text[8192] = "", value[256];
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
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\n"), at);
	ck_assert_msg(strcmp(value, expected) == 0, "%s %s is '%s', not '%s'", file, label, value,
	              expected);
}

void fixture_expect_role(pid_t pid)
{
	static const char *const sets[] = {"CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"};
	struct stat status;
	char path[64];

	fixture_expect(pid, "status", "Uid:", "2000000007\t2000000007\t2000000007\t2000000007");
	fixture_expect(pid, "status", "Gid:", "2000000008\t2000000008\t2000000008\t2000000008");
	fixture_expect(pid, "status", "Groups:", "");
	for (size_t i = 0; i < BASE_COUNT(sets); i++)
		fixture_expect(pid, "status", sets[i], "0000000000000000");
	fixture_expect(pid, "status", "NoNewPrivs:", "1");
	fixture_expect(pid, "status", "Seccomp:", "2");
	/* A process that nobody may dump or trace has a /proc of root's. */
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_uid, 0);
}

long fixture_count(pid_t pid, const char *name)
{
	char path[64];
	DIR *directory;
	struct dirent *entry;
	long count = 0;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	closedir(directory);
	return count;
}

int fixture_run(Suite *suite, bool needs_root)
{
	SRunner *runner;
	int failed;

	if (needs_root && geteuid() != 0) {
		printf("SKIP: putting a process into a role needs root\n");
		return FIXTURE_SKIP;
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
