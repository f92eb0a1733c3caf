/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control sockets of the vmm and of devices: fixed-size messages to and from a process that may be
 * hostile, so that there is nothing to parse: a message of another size is no message.
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

int control_connect(const char *vm, const char *socket_name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char path[POLICY_PATH_MAX];
	BASE_AUTO_FD int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	registry_path(path, vm, socket_name);
	if (base_copy_string(address.sun_path, sizeof(address.sun_path), path))
		return -ENAMETOOLONG;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	return base_take_fd(&fd);
}

static int control_receive(int fd, void *message, size_t size, int64_t deadline)
{
	for (;;) {
		struct pollfd ready = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - control_now_ms();
		ssize_t n;

		if (left <= 0 || poll(&ready, 1, (int)left) == 0)
			return -ETIMEDOUT;
		n = recv(fd, message, size, MSG_TRUNC);
		if (n == (ssize_t)size)
			return 0;
		if (n == 0)
			return -ECONNRESET;
		if (n > 0)
			return -EPROTO;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
	}
}

int control_ask(int fd, void *message, size_t size, int64_t deadline)
{
	if (send(fd, message, size, MSG_NOSIGNAL) < 0)
		return -errno;
	return control_receive(fd, message, size, deadline);
}

static int control_answer(const struct vmm_message *answer)
{
	if (answer->verb == VMM_REFUSED)
		return answer->error < 0 ? answer->error : -EPROTO;
	return answer->verb == VMM_STATE ? 0 : -EPROTO;
}

int control_call(const char *vm, enum vmm_verb verb, struct vmm_message *answer, int timeout_ms)
{
	int64_t deadline = control_now_ms() + timeout_ms;
	BASE_AUTO_FD int fd = control_connect(vm, "vmm.sock");
	int err;

	if (fd < 0)
		return fd;
	*answer = (struct vmm_message){.verb = verb};
	err = control_ask(fd, answer, sizeof(*answer), deadline);
	return err ? err : control_answer(answer);
}

static int control_send_fd(int socket, const struct vmm_message *message, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.align = {.cmsg_len = CMSG_LEN(sizeof(int)),
	                       .cmsg_level = SOL_SOCKET,
	                       .cmsg_type = SCM_RIGHTS}};
	struct iovec vector = {(void *)(uintptr_t)message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd >= 0) {
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
	}
	return sendmsg(socket, &header, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int control_device(const char *vm, const char *device, int vhost_fd, int timeout_ms)
{
	struct vmm_message message = {.verb = vhost_fd < 0 ? VMM_DEVICE_LOST : VMM_DEVICE_REPLACE};
	BASE_AUTO_FD int fd = control_connect(vm, "vmm.sock");
	int err = BASE_MIN(fd, 0);

	if (!err && base_copy_string(message.device, sizeof(message.device), device))
		err = -ENAMETOOLONG;
	if (!err)
		err = control_send_fd(fd, &message, vhost_fd);
	if (!err)
		err = control_receive(fd, &message, sizeof(message), control_now_ms() + timeout_ms);
	return err ? err : control_answer(&message);
}
