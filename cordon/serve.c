/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where no daemon runs, each VM has one process like this: it listens for what the VM's alerts ask,
 * starts the monitor again when it has died, and ends with the VM. The VM does not need it to live,
 * nor to be cleaned up; that is the keeper's.
 */
#include "cordon/cli.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/base.h"

enum { SERVE_RETRY_MS = 500, SERVE_RETRY_MAX_MS = 30000 };

static int serve_monitor(void)
{
	struct host_error error = { 0 };
	int fd = watch_recover(&error);

	if (fd < 0)
		fprintf(stderr, "cordon: %s\n", error.text);
	host_error_clear(&error);
	return BASE_MAX(fd, -1);
}

static void serve_loop(const struct host_vm *vm)
{
	BASE_AUTO_FD int keeper = (int)syscall(SYS_pidfd_open, vm->keeper, 0);
	BASE_AUTO_FD int monitor = -1;
	int retry = SERVE_RETRY_MS;

	while (keeper >= 0 && registry_alive(vm)) {
		struct monitor_answer answer;

		if (monitor < 0 && vm->nic_count > 0) {
			monitor = serve_monitor();
			retry = monitor < 0 ? BASE_MIN(retry * 2, SERVE_RETRY_MAX_MS) : SERVE_RETRY_MS;
		}
		struct pollfd fds[] = {
			{ .fd = keeper, .events = POLLIN },
			{ .fd = monitor, .events = POLLIN },
		};
		if (poll(fds, BASE_COUNT(fds), monitor < 0 && vm->nic_count > 0 ? retry : -1) < 0)
			continue;
		if (fds[0].revents)
			break;
		if (!fds[1].revents)
			continue;
		ssize_t n = recv(monitor, &answer, sizeof(answer), MSG_TRUNC | MSG_DONTWAIT);
		/* Every server hears of every VM; each acts for its own. */
		if (n == (ssize_t)sizeof(answer) && answer.type == MONITOR_ACT &&
		    strncmp(answer.vm, vm->name, sizeof(answer.vm)) == 0)
			watch_act(&answer);
		else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			base_close(&monitor);
	}
	reap_stale(); /* a keeper that was killed has left everything */
}

int serve_start(const struct host_vm *vm)
{
	char path[POLICY_PATH_MAX];
	int log, null;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child != 0)
		return child < 0 ? -errno : 0;
	prctl(PR_SET_NAME, "cordon-serve");
	setsid();
	if (chdir("/") < 0)
		_exit(1);
	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.log", vm->name);
	log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	close_range(3, ~0U, 0);
	serve_loop(vm);
	_exit(0);
}
