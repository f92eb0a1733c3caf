/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cordon-keeper with children that do nothing: what it reports, whom it ends, what it becomes. This
 * program plays the launcher, and, executed by the keeper as `... reap NAME ...`, the reaper too,
 * which writes its arguments to the fd that its last one names.
 */
#include "base/base.h"
#include "cordon/keeper.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum { MEMORY_MAX_KIB = 100 };

struct vm {
	pid_t keeper;
	pid_t vmm;
	pid_t blk;
	pid_t net;
	int status; /* read ends */
	int reaper;
	int record;
	int held; /* write end that the keeper holds for devices, and hands to what revives one; or -1 */
	struct keeper_end ends[8]; /* read from status so far */
	size_t count;
};

static void leave(int number)
{
	_exit(number == SIGUSR1 ? 3 : 1);
}

/* A child that waits for its end, or leaves at SIGUSR1; with an fd, waits for the end of that. */
static pid_t fake(int fd, int exit_status)
{
	pid_t pid = fork();
	char byte;

	if (pid != 0)
		return pid;
	signal(SIGTERM, SIG_DFL);
	while (fd < 0)
		pause();
	_exit(read(fd, &byte, 1) == 0 ? exit_status : 1);
}

static _Noreturn void launch(const struct vm *vm, const int status[2], const int reaper[2],
                             const int socket[2], int pids)
{
	char vmm[16], blk[48], net[48], status_fd[16], record_fd[16], reaper_fd[16];
	const char *argv[] = {KEEPER,    "--name",      "web0",    "--vmm",   vmm,  "--status-fd",
	                      status_fd, "--record-fd", record_fd, "--reap",  NULL, blk,
	                      net,       "--",          "more",    reaper_fd, NULL, NULL};
	pid_t all[3];
	sigset_t blocked;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGHUP);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	signal(SIGUSR1, leave); /* the children's, from their first moment; not the keeper's */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	close(status[0]);
	close(reaper[0]);
	all[0] = fake(-1, 0);
	close(socket[1]); /* only the vmm has it: its end is how the net device learns of the vmm's */
	all[1] = fake(-1, 0);
	all[2] = fake(socket[0], 5);
	snprintf(vmm, sizeof(vmm), "%d", all[0]);
	snprintf(blk, sizeof(blk), "blk=%d", all[1]);
	snprintf(net, sizeof(net), "net=%d", all[2]);
	if (vm->held >= 0) {
		snprintf(blk, sizeof(blk), "blk=%d:%d/9", all[1], vm->held);
		snprintf(net, sizeof(net), "net=%d:%d/9", all[2], vm->held);
		memmove(argv + 12, argv + 11, 5 * sizeof(*argv));
		argv[11] = "--revive";
	}
	snprintf(status_fd, sizeof(status_fd), "%d", status[1]);
	snprintf(record_fd, sizeof(record_fd), "%d", vm->record);
	snprintf(reaper_fd, sizeof(reaper_fd), "%d", reaper[1]);
	argv[10] = getenv("KEEPER_TEST_SELF");
	base_write_all(pids, all, sizeof(all));
	close(pids);
	execv(KEEPER, (char *const *)argv);
	_exit(1);
}

static struct vm start_with(const int status[2], int held)
{
	struct vm vm = {.record = memfd_create("record", 0), .held = held};
	int reaper[2], socket[2], pids[2];
	pid_t all[3];

	ck_assert(pipe(reaper) == 0 && pipe(socket) == 0 && pipe(pids) == 0);
	vm.keeper = fork();
	if (vm.keeper == 0)
		launch(&vm, status, reaper, socket, pids[1]);
	close(status[1]);
	close(reaper[1]);
	close(socket[0]);
	close(socket[1]);
	close(pids[1]);
	ck_assert_int_eq(read(pids[0], all, sizeof(all)), sizeof(all));
	close(pids[0]);
	vm.vmm = all[0];
	vm.blk = all[1];
	vm.net = all[2];
	vm.status = status[0];
	vm.reaper = reaper[0];
	return vm;
}

static struct vm start(void)
{
	int status[2];

	ck_assert_int_eq(pipe(status), 0);
	return start_with(status, -1);
}

/* A device can be gone before the vmm whose end it noticed, so they come in any order. */
static void expect_end(struct vm *vm, pid_t pid, const char *role, int status)
{
	const struct keeper_end *end = vm->ends;

	while (end < vm->ends + vm->count && end->pid != pid)
		end++;
	while (end == vm->ends + vm->count) {
		ck_assert_uint_lt(vm->count, BASE_COUNT(vm->ends));
		ck_assert_int_eq(read(vm->status, &vm->ends[vm->count], sizeof(*end)),
		                 sizeof(*end));
		end += vm->ends[vm->count++].pid != pid;
	}
	ck_assert_str_eq(end->role, role);
	ck_assert_int_eq(end->status, status);
}

/* What the keeper became says; then it is gone, and so are all children. */
static void expect_reaper(const struct vm *vm, const char *expected)
{
	char said[256] = "";
	ssize_t length;
	int status;

	length = read(vm->reaper, said, sizeof(said) - 1);
	ck_assert_int_gt(length, 0);
	ck_assert_str_eq(said, expected);
	ck_assert_int_eq(waitpid(vm->keeper, &status, 0), vm->keeper);
	ck_assert_int_eq(status, 0);
	ck_assert(kill(vm->vmm, 0) < 0 && kill(vm->blk, 0) < 0 && kill(vm->net, 0) < 0);
}

static int exited(int status)
{
	return status << 8;
}

/* A zombie, which its parent has not waited for. */
static bool has_ended(pid_t pid)
{
	char path[32], text[256] = "";
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return true;
	state = strrchr(text, ')');
	return state && state[1] == ' ' && state[2] == 'Z';
}

START_TEST(test_a_device_that_dies_is_only_reported)
{
	struct vm vm = start();
	struct pollfd nothing = {.fd = vm.status, .events = POLLIN};

	kill(vm.blk, SIGABRT);
	expect_end(&vm, vm.blk, "blk", SIGABRT);
	ck_assert_int_eq(poll(&nothing, 1, 300), 0);
	ck_assert_int_eq(kill(vm.vmm, 0), 0);
	ck_assert_int_eq(kill(vm.net, 0), 0);
	kill(vm.vmm, SIGSYS);
	expect_end(&vm, vm.vmm, "vmm", SIGSYS);
	expect_reaper(&vm, "reap web0 --status 31 more");
}
END_TEST

/* What be_reviver() was given, and what it started. */
struct revived {
	pid_t pid, other; /* `other`: in the role of "net", where SIGUSR2 ended the first */
	int ended, status;
	char role[8];
};

START_TEST(test_a_device_that_dies_is_revived)
{
	struct revived first, second;
	int status[2], held[2];
	struct vm vm;

	ck_assert(pipe(status) == 0 && pipe(held) == 0);
	vm = start_with(status, held[1]);
	close(held[1]);
	kill(vm.blk, SIGABRT);
	expect_end(&vm, vm.blk, "blk", SIGABRT);
	ck_assert_int_eq(read(held[0], &first, sizeof(first)), sizeof(first));
	ck_assert_str_eq(first.role, "blk");
	ck_assert_int_eq(first.ended, vm.blk);
	ck_assert_int_eq(first.status, SIGABRT);
	/* The new one is the keeper's child under the same role, and is revived too. */
	kill(first.pid, SIGKILL);
	expect_end(&vm, first.pid, "blk", SIGKILL);
	ck_assert_int_eq(read(held[0], &second, sizeof(second)), sizeof(second));
	ck_assert_int_eq(second.ended, first.pid);
	ck_assert_int_eq(kill(second.pid, 0), 0);
	/* The vmm's end is nobody's death but its own. */
	kill(vm.vmm, SIGKILL);
	expect_end(&vm, second.pid, "blk", SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
	ck_assert_int_eq(read(held[0], &second, sizeof(second)), 0);
	ck_assert_int_lt(kill(second.pid, 0), 0);
}
END_TEST

/* Two that died are started again by one helper: the second has nothing left to be told of. */
START_TEST(test_one_helper_revives_two)
{
	struct revived first, none;
	int status[2], held[2];
	struct vm vm;

	ck_assert(pipe(status) == 0 && pipe(held) == 0);
	vm = start_with(status, held[1]);
	close(held[1]);
	kill(vm.net, SIGKILL);
	kill(vm.blk, SIGUSR2);
	expect_end(&vm, vm.net, "net", SIGKILL);
	expect_end(&vm, vm.blk, "blk", SIGUSR2);
	ck_assert_int_eq(read(held[0], &first, sizeof(first)), sizeof(first));
	/* of `net` it may have been told first, and alone */
	if (strcmp(first.role, "net") == 0)
		ck_assert_int_eq(read(held[0], &first, sizeof(first)), sizeof(first));
	ck_assert_str_eq(first.role, "blk");
	kill(vm.vmm, SIGKILL);
	expect_end(&vm, first.pid, "blk", SIGKILL);
	expect_end(&vm, first.other, "net", SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
	ck_assert_int_eq(read(held[0], &none, sizeof(none)), 0);
}
END_TEST

/* Of two that ended at once, the one that was killed: the other may have left because of it. */
START_TEST(test_the_killed_is_told_of_first)
{
	struct revived told[2];
	int status[2], held[2];
	struct vm vm;

	ck_assert(pipe(status) == 0 && pipe(held) == 0);
	vm = start_with(status, held[1]);
	close(held[1]);
	kill(vm.keeper, SIGSTOP);
	kill(vm.blk, SIGUSR1);
	kill(vm.net, SIGKILL);
	for (int i = 0; i < 100 && (!has_ended(vm.blk) || !has_ended(vm.net)); i++)
		usleep(50000);
	kill(vm.keeper, SIGCONT);
	expect_end(&vm, vm.blk, "blk", exited(3));
	expect_end(&vm, vm.net, "net", SIGKILL);
	for (size_t i = 0; i < BASE_COUNT(told); i++)
		ck_assert_int_eq(read(held[0], &told[i], sizeof(told[i])), sizeof(told[i]));
	ck_assert_str_eq(told[0].role, "net");
	ck_assert_str_eq(told[1].role, "blk");
	ck_assert_int_eq(told[1].status, exited(3));
	kill(vm.vmm, SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
}
END_TEST

START_TEST(test_the_end_of_the_vmm_is_the_end_of_all)
{
	struct vm vm = start();
	struct keeper_end ends[4];

	kill(vm.vmm, SIGKILL);
	expect_end(&vm, vm.vmm, "vmm", SIGKILL);
	expect_end(&vm, vm.net, "net", exited(5)); /* by itself, within the grace */
	expect_end(&vm, vm.blk, "blk", SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
	ck_assert_int_eq(pread(vm.record, ends, sizeof(ends), 0), 3 * sizeof(ends[0]));
	ck_assert(ends[0].pid == vm.vmm || ends[1].pid == vm.vmm);
	ck_assert_int_eq(ends[2].pid, vm.blk);
	ck_assert_str_eq(ends[2].role, "blk");
}
END_TEST

START_TEST(test_sigterm_ends_the_vm)
{
	struct vm vm = start();

	kill(vm.keeper, SIGTERM);
	expect_end(&vm, vm.vmm, "vmm", SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 --asked more");
}
END_TEST

START_TEST(test_nobody_has_to_listen)
{
	struct vm vm = start();

	close(vm.status);
	kill(vm.keeper, SIGHUP);
	kill(vm.blk, SIGKILL);
	kill(vm.vmm, SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
}
END_TEST

START_TEST(test_nobody_has_to_read)
{
	static const char filling[4096];
	int status[2];
	struct vm vm;

	ck_assert_int_eq(pipe(status), 0);
	ck_assert_int_eq(fcntl(status[1], F_SETPIPE_SZ, 4096), 4096);
	ck_assert_int_eq(write(status[1], filling, sizeof(filling)), sizeof(filling));
	vm = start_with(status, -1);
	kill(vm.blk, SIGKILL);
	kill(vm.vmm, SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
}
END_TEST

START_TEST(test_it_is_small)
{
	struct vm vm = start();
	struct pollfd started = {.fd = vm.status, .events = POLLIN};
	FILE *stream BASE_AUTO_FILE = NULL;
	char path[64], line[128];
	long kib = -1;

	kill(vm.blk, SIGKILL);
	ck_assert_int_eq(poll(&started, 1, -1), 1); /* it has been in its loop */
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", vm.keeper);
	stream = fopen(path, "re");
	ck_assert_ptr_nonnull(stream);
	while (fgets(line, sizeof(line), stream))
		if (sscanf(line, "Anonymous: %ld", &kib) == 1)
			break;
	printf("idle keeper: %ld KiB of its own\n", kib);
	ck_assert_int_gt(kib, 0);
	ck_assert_msg(SANITIZED || kib < MEMORY_MAX_KIB, "%ld KiB", kib);
	kill(vm.vmm, SIGKILL);
	expect_reaper(&vm, "reap web0 --status 9 more");
}
END_TEST

static int refused(const char *option, const char *value)
{
	pid_t pid = fork();
	int status, null;

	if (pid == 0) {
		null = open("/dev/null", O_WRONLY);
		dup2(null, STDERR_FILENO);
		execl(KEEPER, KEEPER, "--name", "x", "--vmm", "2147483646", "--reap", "/x", option,
		      value, NULL);
		_exit(1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

START_TEST(test_it_refuses_what_it_cannot_read)
{
	ck_assert_int_eq(refused("--vmm", "12x"), 125);
	ck_assert_int_eq(refused("--vmm", "0"), 125);
	ck_assert_int_eq(refused("--vmm", "99999999999"), 125);
	ck_assert_int_eq(refused("--status-fd", "-1"), 125);
	ck_assert_int_eq(refused("blk=", NULL), 125);
	ck_assert_int_eq(refused("blk", NULL), 125);
	ck_assert_int_eq(refused("a-name-of-16-abc=5", NULL), 125);
}
END_TEST

/* As the keeper executes it: SELF reap NAME --status W more FD */
static int be_reaper(int argc, char **argv)
{
	char text[256] = "";
	size_t length = 0;

	for (int i = 1; i < argc - 1; i++)
		length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%s",
		                           i > 1 ? " " : "", argv[i]);
	return base_write_all(atoi(argv[argc - 1]), text, strlen(text)) < 0;
}

static pid_t start_again(int report, const char *role, int held)
{
	struct keeper_revived revived = {.pid = fork()};

	if (revived.pid == 0) {
		close(held);
		while (true)
			pause();
	}
	base_copy_string(revived.role, sizeof(revived.role), role);
	if (base_write_all(report, &revived, sizeof(revived)) != 0)
		exit(1);
	return revived.pid;
}

/* SELF revive NAME ROLE --pid PID --status W --report FD --fds HELD/9 */
static int be_reviver(int argc, char **argv)
{
	struct revived revived = {.ended = atoi(argv[5]), .status = atoi(argv[7])};
	int held = argc > 11 ? atoi(argv[11]) : -1, report = atoi(argv[9]);

	base_copy_string(revived.role, sizeof(revived.role), argv[3]);
	revived.pid = start_again(report, argv[3], held);
	if (revived.status == SIGUSR2)
		revived.other = start_again(report, "net", held);
	return base_write_all(held, &revived, sizeof(revived)) < 0;
}

int main(int argc, char **argv)
{
	char self[4096] = "";
	SRunner *runner;
	Suite *suite;
	TCase *tests;
	int failed;

	if (argc > 1 && strcmp(argv[1], "reap") == 0)
		return be_reaper(argc, argv);
	if (argc > 10 && strcmp(argv[1], "revive") == 0)
		return be_reviver(argc, argv);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	setenv("KEEPER_TEST_SELF", self, 1);
	suite = suite_create("cordon_keeper");
	tests = tcase_create("keeper");
	tcase_add_test(tests, test_a_device_that_dies_is_only_reported);
	tcase_add_test(tests, test_a_device_that_dies_is_revived);
	tcase_add_test(tests, test_one_helper_revives_two);
	tcase_add_test(tests, test_the_killed_is_told_of_first);
	tcase_add_test(tests, test_the_end_of_the_vmm_is_the_end_of_all);
	tcase_add_test(tests, test_sigterm_ends_the_vm);
	tcase_add_test(tests, test_nobody_has_to_listen);
	tcase_add_test(tests, test_nobody_has_to_read);
	tcase_add_test(tests, test_it_is_small);
	tcase_add_test(tests, test_it_refuses_what_it_cannot_read);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
