/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * isolate: starts a program in its role.
 *
 * The child is cloned into its cgroup and into a PID namespace of its own (so that it sees no other
 * process before its seccomp list is there, and so that what it leaves dies with it), then goes
 * through the named stages below. The first that fails is written to a pipe as {stage, errno}, and the
 * child ends; the pipe's other end closes by the exec, which is how the parent knows of success.
 * Signals are blocked across the clone, so that no handler of the parent runs in the child.
 */
#include "isolate/private.h"
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int stage_fds(const struct isolate_process *process)
{
	return isolate_fds_arrange(process->fds, process->fd_count);
}

static int stage_session(const struct isolate_process *process)
{
	sigset_t none;

	(void)process;
	/* Exec resets handlers by itself, but leaves ignored signals ignored. */
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	sigemptyset(&none);
	if (sigprocmask(SIG_SETMASK, &none, NULL) < 0 || setsid() < 0 || personality(PER_LINUX) < 0)
		return -errno;
	return 0;
}

static int stage_namespaces(const struct isolate_process *process)
{
	return isolate_namespaces_enter(process->flags);
}

static int stage_root(const struct isolate_process *process)
{
	return isolate_root_enter(process->binds);
}

static int stage_limits(const struct isolate_process *process)
{
	return isolate_limits_set(process->file_size_max, process->open_files_max,
	                          process->memory_locked_max);
}

static int stage_identity(const struct isolate_process *process)
{
	return isolate_identity_take(process->uid, process->gid, process->capability);
}

static int stage_keyring(const struct isolate_process *process)
{
	(void)process;
	return isolate_keyring_leave();
}

/* After the uid, whose change would clear it. The parent's end of the pipe tells if it died before. */
static int stage_parent(const struct isolate_process *process)
{
	struct pollfd report = {.fd = ISOLATE_REPORT_FD};

	if (!(process->flags & ISOLATE_PDEATHSIG))
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || poll(&report, 1, 0) < 0)
		return -errno;
	return report.revents & POLLERR ? -ESRCH : 0;
}

static int stage_landlock(const struct isolate_process *process)
{
	return isolate_landlock_enter(ISOLATE_EXEC_FD, process->binds,
	                              process->flags & ISOLATE_KEEP_NET);
}

static int stage_seccomp(const struct isolate_process *process)
{
	return process->list ? isolate_lock(process->list) : 0;
}

static int stage_exec(const struct isolate_process *process)
{
	char *const environment[] = {NULL};

	syscall(SYS_execveat, ISOLATE_EXEC_FD, "", process->argv, environment, AT_EMPTY_PATH);
	return -errno;
}

static const struct {
	const char *name;
	int (*enter)(const struct isolate_process *process);
} stages[] = {
        {"file descriptors", stage_fds},
        {"session", stage_session},
        {"namespaces", stage_namespaces},
        {"root", stage_root},
        {"limits", stage_limits},
        {"identity", stage_identity},
        {"keyring", stage_keyring},
        {"parent", stage_parent},
        {"Landlock", stage_landlock},
        {"seccomp", stage_seccomp},
        {"exec", stage_exec},
};

struct report {
	int32_t stage;
	int32_t error;
};

/* The child: never returns. `report` is the pipe until the fds are arranged. */
static _Noreturn void enter_stages(const struct isolate_process *process, int report)
{
	for (size_t i = 0; i < BASE_COUNT(stages); i++) {
		struct report failed = {.stage = (int32_t)i};

		failed.error = stages[i].enter(process);
		if (failed.error == 0) {
			if (stages[i].enter == stage_fds)
				report = ISOLATE_REPORT_FD;
			continue;
		}
		base_write_all(report, &failed, sizeof(failed));
		break;
	}
	_exit(127);
}

static pid_t clone_child(int cgroup)
{
	struct clone_args arguments = {
	        .flags = CLONE_NEWPID,
	        .exit_signal = SIGCHLD,
	};
	long pid;

	if (cgroup >= 0) {
		arguments.flags |= CLONE_INTO_CGROUP;
		arguments.cgroup = (uint64_t)cgroup;
	}
	pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
	return pid < 0 ? -errno : (pid_t)pid;
}

static int check_arguments(const struct isolate_process *process)
{
	if (!process->argv || !process->argv[0] || process->fd_count > ISOLATE_FDS_MAX ||
	    (process->flags & ISOLATE_UNPRIVILEGED) ||
	    !process->binds != !(process->flags & ISOLATE_KEEP_ROOT))
		return -EINVAL;
	for (size_t i = 0; i < process->fd_count; i++)
		if (process->fds[i].to < 0 || process->fds[i].to >= ISOLATE_REPORT_FD)
			return -EINVAL;
	return isolate_identity_check(process->uid, process->gid);
}

static pid_t start(const struct isolate_process *process, int report)
{
	sigset_t all, before;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = clone_child(process->cgroup);
	if (pid == 0)
		enter_stages(process, report);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

/* Waits for the exec, or for what went wrong before it; then the child is gone. */
static pid_t await(pid_t pid, int report, const char **stage)
{
	struct report failed;
	ssize_t length;

	do
		length = read(report, &failed, sizeof(failed));
	while (length < 0 && errno == EINTR);
	if (length != sizeof(failed))
		return pid;
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	*stage = stages[failed.stage].name;
	return failed.error;
}

pid_t isolate_spawn(const struct isolate_process *process, const char **stage)
{
	struct isolate_process child = *process;
	struct isolate_fd fds[ISOLATE_FDS_MAX + 2];
	int ends[2];
	const char *unused;
	pid_t pid;

	if (!stage)
		stage = &unused;
	*stage = "arguments";
	pid = check_arguments(process);
	if (pid < 0)
		return pid;
	*stage = "pipe";
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	if (process->fd_count > 0)
		memcpy(fds, process->fds, process->fd_count * sizeof(fds[0]));
	fds[child.fd_count++] = (struct isolate_fd){.from = ends[1], .to = ISOLATE_REPORT_FD};
	fds[child.fd_count++] = (struct isolate_fd){.from = process->binary, .to = ISOLATE_EXEC_FD};
	child.fds = fds;
	*stage = "clone";
	pid = start(&child, ends[1]);
	close(ends[1]);
	if (pid > 0)
		pid = await(pid, ends[0], stage);
	close(ends[0]);
	return pid;
}
