// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A VM's processes, planned by plan.c, are started by a child that becomes their keeper:
 *
 *   this process ── fork ──▶ child ── isolate_spawn() each ──▶ exec cordon-keeper
 *
 * so that their parent is there for as long as they are, whatever becomes of the daemon: it gets every
 * exit status, it can kill without mistaking a pid, and it starts the clean-up. The child reports each
 * pid, or what failed, on a pipe that the exec closes.
 */
#include "cordon/plan.h"
#include "cordon/respawn.h"
#include "cordon/revive.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/base.h"

struct spawn_report {
	pid_t pid; /* or a negative errno */
	uint32_t plan;
	char stage[32];
};

/* --- in the child that becomes the keeper: from here on only what is safe after fork --- */

/* ROLE=PID, and what the keeper holds for another process of that role. */
static void spawn_name(char *name, size_t size, const struct plan_process *each, pid_t pid)
{
	int n = snprintf(name, size, "%s=%d", each->role, pid);
	char mark = ':';

	if (!plan_restarts(each) && !resolver_is(each->role))
		return;
	for (size_t i = 0; plan_restarts(each) && i < each->fd_count && n > 0 && (size_t)n < size;
	     i++) {
		const struct isolate_fd *fd = &each->fds[i];

		if (fd->to == DEVICE_FD_VHOST || fd->to == STDERR_FILENO)
			continue;
		fcntl(fd->from, F_SETFD, 0);
		n += snprintf(name + n, size - (size_t)n, "%c%d/%d", mark, fd->from, fd->to);
		mark = ',';
	}
	if (each->process.cgroup < 0 || n < 0 || (size_t)n >= size)
		return;
	fcntl(each->process.cgroup, F_SETFD, 0);
	snprintf(name + n, size - (size_t)n, "%c%d/%d", mark, each->process.cgroup, REVIVE_CGROUP);
}

static void spawn_keeper_exec(const struct plan *plan, const struct launch *launch,
                              const struct host_vm *vm, const pid_t *pids, int keeper,
                              const char *cordon)
{
	char names[HOST_PROCESSES_MAX][192], numbers[3][16];
	char *argv[HOST_PROCESSES_MAX + 20];
	size_t argc = 0;

	snprintf(numbers[0], sizeof(numbers[0]), "%d", pids[plan->count - 1]);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", launch->status);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", launch->record);
	argv[argc++] = (char *)"cordon-keeper";
	argv[argc++] = (char *)"--name";
	argv[argc++] = (char *)vm->name;
	argv[argc++] = (char *)"--vmm";
	argv[argc++] = numbers[0];
	argv[argc++] = (char *)"--reap";
	argv[argc++] = (char *)cordon;
	if (launch->status >= 0) {
		argv[argc++] = (char *)"--status-fd";
		argv[argc++] = numbers[1];
		fcntl(launch->status, F_SETFD, 0);
	}
	argv[argc++] = (char *)"--revive";
	argv[argc++] = (char *)"--record-fd";
	argv[argc++] = numbers[2];
	fcntl(launch->record, F_SETFD, 0);
	for (size_t i = 0; i < plan->count; i++) {
		spawn_name(names[i], sizeof(names[i]), &plan->list[i], pids[i]);
		argv[argc++] = names[i];
	}
	argv[argc] = NULL;
	fexecve(keeper, argv, (char *[]){NULL});
}

/* A keeper belongs to no terminal and to no caller: what it says goes to the VM's log. */
static void spawn_detach(const struct launch *launch)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t term;

	setsid();
	if (chdir("/") < 0)
		_exit(1); /* a keeper must not hold on to where its VM was started */
	/* what a process leaves behind is the keeper's to reap; a SIGTERM waits until it can be taken */
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(launch->log, STDERR_FILENO);
}

static _Noreturn void spawn_child(const struct plan *plan, const struct launch *launch,
                                  const struct host_vm *vm, int report, int keeper,
                                  const char *cordon)
{
	struct spawn_report message = {0};
	pid_t pids[HOST_PROCESSES_MAX];
	size_t started = 0;

	spawn_detach(launch);
	/* One cookie for the VM: no hyperthread sibling runs anything else while one of these runs. */
	if (launch->policy->isolation.core_scheduling)
		message = (struct spawn_report){.pid = isolate_core_new(),
		                                .stage = "core scheduling"};
	while (message.pid >= 0 && started < plan->count) {
		const char *stage = "";

		message.plan = (uint32_t)started;
		message.pid = isolate_spawn(&plan->list[started].process, &stage);
		base_copy_string(message.stage, sizeof(message.stage), stage ? stage : "");
		if (message.pid > 0)
			pids[started++] = message.pid;
		if (message.pid > 0 && base_write_all(report, &message, sizeof(message)) < 0)
			break;
	}
	if (message.pid > 0) {
		spawn_keeper_exec(plan, launch, vm, pids, keeper, cordon);
		message = (struct spawn_report){.pid = -errno, .stage = "cordon-keeper"};
	}
	for (size_t i = 0; i < started; i++)
		kill(pids[i], SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		continue;
	base_write_all(report, &message, sizeof(message));
	_exit(1);
}

/* Reads the child's reports until the exec (or its death) closes the pipe. */
static int spawn_collect(const struct plan *plan, struct host_vm *vm, int pipe)
{
	struct spawn_report message;
	ssize_t n;

	while ((n = read(pipe, &message, sizeof(message))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(message))
			return host_fail(plan->error, -EIO, 125,
			                 "the keeper's child was cut short");
		if (message.pid < 0)
			return host_fail(plan->error, message.pid, 126, "cannot start %s: %s: %s",
			                 message.plan < plan->count ? plan->list[message.plan].role
			                                            : "",
			                 message.stage, strerror(-message.pid));
		struct host_process *process = &vm->processes[vm->process_count++];

		*process = (struct host_process){.pid = message.pid, .state = "running"};
		process->uid = plan->list[message.plan].process.uid;
		base_copy_string(process->role, sizeof(process->role),
		                 plan->list[message.plan].role);
	}
	if (vm->process_count != plan->count)
		return host_fail(plan->error, -EIO, 125, "the keeper's child died");
	return 0;
}

static int spawn_run(const struct plan *plan, const struct launch *launch, struct host_vm *vm)
{
	char cordon[POLICY_PATH_MAX];
	BASE_AUTO_FD int keeper = programs_open("cordon-keeper", plan->error);
	int pipe[2], err;
	pid_t child;

	if (keeper < 0)
		return keeper;
	if (programs_path(cordon, "cordon") < 0 || pipe2(pipe, O_CLOEXEC) < 0)
		return host_fail(plan->error, -errno, 125, "cannot start a keeper: %s",
		                 strerror(errno));
	child = fork();
	if (child == 0)
		spawn_child(plan, launch, vm, pipe[1], keeper, cordon);
	close(pipe[1]);
	err = child < 0 ? host_fail(plan->error, -errno, 125, "fork: %s", strerror(errno))
	                : spawn_collect(plan, vm, pipe[0]);
	close(pipe[0]);
	if (child > 0 && err) {
		waitpid(child, NULL, 0);
		return err;
	}
	vm->keeper = child;
	vm->keeper_start = registry_start_time(child);
	return err;
}

int spawn_vm(const struct launch *launch, struct host_vm *vm, struct host_error *error)
{
	BASE_CLEANUP(plan_free) struct plan *plan = calloc(1, sizeof(*plan));
	int err;

	if (!plan)
		return host_fail(error, -ENOMEM, 125, "out of memory");
	plan->error = error;
	err = plan_make(plan, launch, vm);
	for (size_t i = 0; i < plan->count && !err; i++)
		if (plan_restarts(&plan->list[i]) || resolver_is(plan->list[i].role))
			err = respawn_note(vm->name, &plan->list[i], error);
	return err ? err : spawn_run(plan, launch, vm);
}
