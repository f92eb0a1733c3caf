// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cordon-serve: one sleeps beside each VM for as long as it lives, so it holds no more than two fds and
 * knows nothing of rules, policies or JSON. What there is to do is done by a `cordon attend` that is executed
 * for it and gone again. It runs as root and reads no guest data: messages come from the monitor, are of a
 * fixed size, and are checked by who acts on them.
 */
#include "cordon/attend.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/base.h"
#include "monitor/monitor.h"

enum { ATTEND_RETRY_MS = 500, ATTEND_RETRY_MAX_MS = 30000, ATTEND_FAILED = 125 };

struct attend {
	const char *name, *cordon;
	int keeper, monitor;
	int retry_ms; /* 0: there is no monitor to ask for */
};

/* Starts `cordon attend WHAT` with `input` for its fd 0. Its pid, or a negative errno. */
static pid_t attend_start(const struct attend *attend, const char *what, int input)
{
	pid_t child = fork();

	if (child != 0)
		return child < 0 ? -errno : child;
	if (input >= 0)
		dup2(input, STDIN_FILENO);
	execl(attend->cordon, "cordon", "attend", what, (char *)NULL);
	dprintf(STDERR_FILENO, "cordon-serve: cannot execute '%s': %s\n", attend->cordon,
	        strerror(errno));
	_exit(ATTEND_FAILED);
}

/* 0 when it succeeded. It has said what went wrong. */
static int attend_wait(pid_t child)
{
	int status;

	while (child > 0 && waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -ECHILD;
}

/* The fd that came with one byte, or a negative errno. */
static int attend_receive(int socket)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	char byte;
	struct iovec part = {.iov_base = &byte, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
	                         .msg_iovlen = 1,
	                         .msg_control = control.bytes,
	                         .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *header;
	int fd;

	if (recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) < 0)
		return -errno;
	header = CMSG_FIRSTHDR(&message);
	if (!header || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof(int)))
		return -EPROTO;
	memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

/* A monitor that cannot be had is asked for less and less often: each time says so in the VM's log. */
static void attend_join(struct attend *attend)
{
	int pair[2];

	if (attend->monitor >= 0 || attend->retry_ms == 0)
		return;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	if (attend_wait(attend_start(attend, ATTEND_JOIN, pair[1])) == 0)
		attend->monitor = attend_receive(pair[0]);
	close(pair[0]);
	close(pair[1]);
	attend->retry_ms = attend->monitor >= 0
	                           ? ATTEND_RETRY_MS
	                           : BASE_MIN(attend->retry_ms * 2, ATTEND_RETRY_MAX_MS);
}

static void attend_act(const struct attend *attend, const struct monitor_answer *answer)
{
	int pipe[2];

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return;
	if (base_write_all(pipe[1], answer, sizeof(*answer)) == 0)
		attend_wait(attend_start(attend, ATTEND_ACT, pipe[0]));
	close(pipe[0]);
	close(pipe[1]);
}

/* Reads one action, or finds that the monitor is gone. */
static void attend_answer(struct attend *attend)
{
	struct monitor_answer answer;
	ssize_t n = recv(attend->monitor, &answer, sizeof(answer), MSG_TRUNC | MSG_DONTWAIT);

	if (n == (ssize_t)sizeof(answer) &&
	    (answer.type == MONITOR_ACT || answer.type == MONITOR_RELOAD)) {
		/* Every server hears of every VM; each acts for its own. */
		if (strncmp(answer.vm, attend->name, sizeof(answer.vm)) == 0)
			attend_act(attend, &answer);
	} else if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
		base_close(&attend->monitor);
	}
}

/* True while the keeper lives. */
static bool attend_step(struct attend *attend)
{
	struct pollfd fds[2] = {{.fd = attend->keeper, .events = POLLIN}};
	int timeout;

	attend_join(attend);
	fds[1] = (struct pollfd){.fd = attend->monitor, .events = POLLIN};
	timeout = attend->monitor >= 0 || attend->retry_ms == 0 ? -1 : attend->retry_ms;
	if (poll(fds, BASE_COUNT(fds), timeout) < 0)
		return true;
	if (!fds[0].revents && fds[1].revents)
		attend_answer(attend);
	return !fds[0].revents;
}

int attend_main(int argc, char **argv)
{
	struct attend attend = {0};

	if (argc != 5) {
		dprintf(STDERR_FILENO, "usage: cordon-serve NAME PIDFD MONITOR-FD CORDON\n");
		return ATTEND_FAILED;
	}
	attend.name = argv[1];
	attend.keeper = (int)strtol(argv[2], NULL, 10);
	attend.monitor = strcmp(argv[3], "-") == 0 ? -1 : (int)strtol(argv[3], NULL, 10);
	attend.cordon = argv[4];
	attend.retry_ms = strcmp(argv[3], "-") == 0 ? 0 : ATTEND_RETRY_MS;
	prctl(PR_SET_NAME, "cordon-serve"); /* executed by its fd, it has that for a name */
	fcntl(attend.keeper, F_SETFD, FD_CLOEXEC);
	if (attend.monitor >= 0)
		fcntl(attend.monitor, F_SETFD, FD_CLOEXEC);
	signal(SIGPIPE, SIG_IGN);
	while (attend_step(&attend))
		continue;
	base_close(&attend.monitor);
	return attend_wait(attend_start(&attend, ATTEND_STALE, -1)) == 0 ? 0 : ATTEND_FAILED;
}
