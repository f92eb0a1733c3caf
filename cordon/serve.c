/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Listens for what alerts ask, and starts the monitor again when it has died. The daemon has one such
 * process for all VMs. Where no daemon runs, each VM has one, cordon-serve (attend.c), which ends with it; the
 * VM does not need it to live, nor to be cleaned up: that is the keeper's, and here only what a keeper that
 * was killed has left. What cordon-serve cannot do itself it has `cordon attend` do, which is here too.
 */
#include "cordon/host.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/base.h"
#include "cordon/attend.h"
#include "cordon/repair.h"
#include "cordon/verbs.h"

enum { SERVE_RETRY_MS = 500, SERVE_RETRY_MAX_MS = 30000, SERVE_STALE_MS = 5000 };

struct serve {
	int monitor;
	int retry_ms;
	int64_t reaped; /* when the stale ones were looked for */
	int rules;      /* readable when somebody changed nftables */
	struct repair_watch repair;
};

/* A monitor that cannot be had is asked for less and less often: each time says so in a log. */
static void serve_monitor(struct serve *serve)
{
	struct host_error error = {0};

	if (serve->monitor >= 0 || !watch_needed()) {
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

	if (n == (ssize_t)sizeof(answer) &&
	    (answer.type == MONITOR_ACT || answer.type == MONITOR_RELOAD)) {
		watch_act(&answer);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		base_close(&serve->monitor);
	}
}

static void serve_step(struct serve *serve)
{
	struct pollfd ready[2];
	int timeout = SERVE_STALE_MS;

	if (control_now_ms() - serve->reaped >= SERVE_STALE_MS) {
		reap_stale();
		serve->reaped = control_now_ms();
	}
	serve_monitor(serve);
	ready[0] = (struct pollfd){.fd = serve->monitor, .events = POLLIN};
	ready[1] = (struct pollfd){.fd = serve->rules, .events = POLLIN};
	if (serve->monitor < 0)
		timeout = BASE_MIN(serve->retry_ms, SERVE_STALE_MS);
	if (poll(ready, BASE_COUNT(ready), timeout) <= 0)
		return;
	/* the rules first: what is open meanwhile is open to everybody */
	if (ready[1].revents)
		repair_check(&serve->repair);
	if (ready[0].revents)
		serve_answer(serve);
}

_Noreturn void serve_all(void)
{
	struct serve serve = {.monitor = -1, .retry_ms = SERVE_RETRY_MS, .reaped = -SERVE_STALE_MS};

	prctl(PR_SET_NAME, "cordond-serve");
	serve.rules = repair_start(&serve.repair);
	repair_missing(&serve.repair);
	for (;;)
		serve_step(&serve);
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

/* In the child: what it needs is opened while all of this program is still there. */
static _Noreturn void serve_become(const struct host_vm *vm)
{
	char cordon[POLICY_PATH_MAX], numbers[2][16] = {"", "-"};
	char *argv[] = {
	        (char *)"cordon-serve", (char *)vm->name, numbers[0], numbers[1], cordon, NULL};
	struct host_error error = {0};
	int program, keeper, monitor;

	close_range(3, ~0U, 0);
	program = programs_open("cordon-serve", &error);
	keeper = (int)syscall(SYS_pidfd_open, vm->keeper, 0);
	monitor = vm->nic_count > 0 ? watch_recover(&error) : -1;
	if (error.text[0])
		fprintf(stderr, "cordon: %s\n", error.text);
	if (program < 0 || keeper < 0 || programs_path(cordon, "cordon") < 0)
		_exit(VERB_FAILED);
	fcntl(keeper, F_SETFD, 0);
	if (monitor >= 0)
		fcntl(monitor, F_SETFD, 0);
	snprintf(numbers[0], sizeof(numbers[0]), "%d", keeper);
	if (vm->nic_count > 0)
		snprintf(numbers[1], sizeof(numbers[1]), "%d", BASE_MAX(monitor, -1));
	fexecve(program, argv, (char *[]){NULL});
	fprintf(stderr, "cordon: cannot execute cordon-serve: %s\n", strerror(errno));
	_exit(VERB_FAILED);
}

int serve_start(const struct host_vm *vm)
{
	char path[POLICY_PATH_MAX];
	sigset_t none;
	int log, null;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child != 0)
		return child < 0 ? -errno : 0;
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
	serve_become(vm);
}

/* The connection goes over the socket at fd 0, with one byte. */
static int attend_send(int monitor)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {.iov_base = (char *)"m", .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &monitor, sizeof(int));
	return sendmsg(STDIN_FILENO, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int verb_attend(int argc, char **argv)
{
	const char *what = argc == 2 ? argv[1] : "";
	struct host_error error = {0};
	struct monitor_answer answer;

	if (strcmp(what, ATTEND_JOIN) == 0) {
		BASE_AUTO_FD int monitor = watch_recover(&error);

		if (monitor < 0 && error.text[0])
			fprintf(stderr, "cordon: %s\n", error.text);
		return monitor >= 0 && attend_send(monitor) == 0 ? VERB_OK : VERB_FAILED;
	}
	if (strcmp(what, ATTEND_ACT) == 0) {
		/* it was written before this began, and a pipe gives all of it at once */
		if (read(STDIN_FILENO, &answer, sizeof(answer)) != (ssize_t)sizeof(answer))
			return VERB_FAILED;
		return watch_act(&answer) == 0 ? VERB_OK : VERB_FAILED;
	}
	if (strcmp(what, ATTEND_STALE) == 0) {
		reap_stale();
		return VERB_OK;
	}
	fprintf(stderr, "usage: cordon attend join|act|stale (started by cordon-serve)\n");
	return VERB_FAILED;
}
