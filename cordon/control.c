/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vmm's control socket: fixed-size messages to and from a process that may be hostile, so that
 * there is nothing to parse: a message of another size is no message.
 */
#include "cordon/host.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/base.h"

int64_t control_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int control_connect(const char *vm)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[POLICY_PATH_MAX];
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	registry_path(path, vm, "vmm.sock");
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

/* Waits for one whole message; -ETIMEDOUT, or -ECONNRESET when the vmm has hung up. */
static int control_receive(int fd, struct vmm_message *message, int64_t deadline)
{
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - control_now_ms();
		ssize_t n;

		if (left <= 0 || poll(&ready, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = recv(fd, message, sizeof(*message), MSG_TRUNC);
		if (n == (ssize_t)sizeof(*message))
			return 0;
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			return -EPROTO;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

int control_call(const char *vm, enum vmm_verb verb, struct vmm_message *answer, int timeout_ms)
{
	struct vmm_message request = {.verb = verb};
	int64_t deadline = control_now_ms() + timeout_ms;
	BASE_AUTO_FD int fd = control_connect(vm);
	int err;

	if (fd < 0)
		return fd;
	if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) < 0)
		return -errno;
	err = control_receive(fd, answer, deadline);
	if (err)
		return err;
	if (answer->verb == VMM_REFUSED)
		return answer->error < 0 ? answer->error : -EPROTO;
	return answer->verb == VMM_STATE ? 0 : -EPROTO;
}
