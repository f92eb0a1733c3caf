/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listens for what alerts ask, and starts the monitor again when it has died. The daemon has one such
 * process for all VMs. Where no daemon runs, each VM has one, which ends with it; the VM does not need
 * it to live, nor to be cleaned up: that is the keeper's, and here only what a keeper that was killed
 * has left.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"

enum { SERVE_RETRY_MS = 500, SERVE_RETRY_MAX_MS = 30000, SERVE_STALE_MS = 5000 };

struct serve {
	const struct host_vm *vm; /* NULL: all */
	int keeper, monitor;
	int retry_ms;
	int64_t reaped; /* when the stale ones were looked for */
};

/* A monitor that cannot be had is asked for less and less often: each time says so in a log. */
static void serve_monitor(struct serve *serve)
{
	struct host_error error = {0};

	if (serve->monitor >= 0 || !(serve->vm ? serve->vm->nic_count > 0 : watch_needed())) {
		serve->retry_ms = SERVE_RETRY_MS;
		return;
	}
	serve->monitor = watch_recover(&error);
	if (serve->monitor < 0 && error.text[0])
		fprintf(stderr, "cordon: %s\n", error.text);
	serve->retry_ms = serve->monitor < 0 ? BASE_MIN(serve->retry_ms * 2, SERVE_RETRY_MAX_MS)
	                                     : SERVE_RETRY_MS;
	host_error_clear(&error);
}

/* Reads one action, or finds that the monitor is gone. */
static void serve_answer(struct serve *serve)
{
	struct monitor_answer answer;
	ssize_t n = recv(serve->monitor, &answer, sizeof(answer), MSG_TRUNC | MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(answer) && answer.type == MONITOR_ACT) {
		/* Every server hears of every VM; each acts for its own. */
		if (!serve->vm || strncmp(answer.vm, serve->vm->name, sizeof(answer.vm)) == 0)
			watch_act(&answer);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		base_close(&serve->monitor);
	}
}

static int serve_timeout(const struct serve *serve)
{
	int monitor = serve->monitor < 0 ? serve->retry_ms : -1;

	if (serve->vm)
		return serve->vm->nic_count > 0 ? monitor : -1;
	return monitor < 0 ? SERVE_STALE_MS : BASE_MIN(monitor, SERVE_STALE_MS);
}

static void serve_loop(struct serve *serve)
{
	while (!serve->vm || registry_alive(serve->vm)) {
		if (!serve->vm && control_now_ms() - serve->reaped >= SERVE_STALE_MS) {
			reap_stale();
			serve->reaped = control_now_ms();
		}
		serve_monitor(serve);
		struct pollfd fds[] = {
		        {.fd = serve->keeper, .events = POLLIN},
		        {.fd = serve->monitor, .events = POLLIN},
		};
		if (poll(fds, BASE_COUNT(fds), serve_timeout(serve)) < 0)
			continue;
		if (fds[0].revents)
			break;
		if (fds[1].revents)
			serve_answer(serve);
	}
	base_close(&serve->monitor);
	reap_stale(); /* a keeper that was killed has left everything */
}

_Noreturn void serve_all(void)
{
	struct serve serve = {
	        .keeper = -1, .monitor = -1, .retry_ms = SERVE_RETRY_MS, .reaped = -SERVE_STALE_MS};

	prctl(PR_SET_NAME, "cordond-serve");
	for (;;)
		serve_loop(&serve);
}

int serve_ensure(const char *name)
{
	BASE_AUTO_FREE struct host_vm *vm = calloc(1, sizeof(*vm));
	BASE_AUTO_FD int daemon = rpc_connect();

	if (daemon >= 0)
		return 0;
	if (!vm || registry_load(name, vm) < 0)
		return -ENOENT; /* it has ended already */
	return serve_start(vm);
}

int serve_start(const struct host_vm *vm)
{
	struct serve serve = {.vm = vm, .keeper = -1, .monitor = -1, .retry_ms = SERVE_RETRY_MS};
	char path[POLICY_PATH_MAX];
	sigset_t none;
	int log, null;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child != 0)
		return child < 0 ? -errno : 0;
	prctl(PR_SET_NAME, "cordon-serve");
	setsid();
	sigemptyset(&none); /* who starts a VM again has SIGTERM blocked */
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (chdir("/") < 0)
		_exit(1);
	snprintf(path, sizeof(path), HOST_LOG_DIR "/%s.log", vm->name);
	log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(log >= 0 ? log : null, STDERR_FILENO);
	close_range(3, ~0U, 0);
	serve.keeper = (int)syscall(SYS_pidfd_open, vm->keeper, 0);
	if (serve.keeper >= 0)
		serve_loop(&serve);
	_exit(0);
}
