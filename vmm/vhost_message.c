/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A message is a 12-byte header, with the fds beside its first byte (SCM_RIGHTS), and then as many
 * bytes of payload as the header says. The header is read alone, so that the payload's size is checked
 * before a byte of it is read and so that the fds can be told from the next message's. Sockets are
 * used with MSG_DONTWAIT and poll() against one deadline, whatever their own mode is.
 *
 * Control data is taken for VHOST_USER_FDS_MAX fds; the kernel itself drops what does not fit and says
 * so (MSG_CTRUNC), which ends the connection.
 *
 * #syscall vmm,device: sendmsg - speaks vhost-user
 * #syscall vmm,device: recvmsg - reads the other end's messages, and the fds with them
 * #syscall vmm,device: poll - waits for a message's rest, or for an answer, with a time limit
 * #syscall vmm,device: close - fds that came with a message and are not wanted
 */
#include "vmm/vhost_message.h"

#include <poll.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* 0 when the socket has one of `events` (or its end) to offer, -EAGAIN when the deadline has passed. */
static int wait_for(int socket, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd entry = {.fd = socket, .events = events};
		int64_t left = BASE_MAX(deadline - now_ms(), 0);
		int n = poll(&entry, 1, (int)left);

		if (n > 0)
			return 0;
		if (n == 0 && left == 0)
			return -EAGAIN;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int hung_up(int error)
{
	return error == EPIPE || error == ECONNRESET ? -ENOTCONN : -error;
}

/*
 * Reads exactly `size` bytes. The message's fds are beside its first byte and nowhere else: only the
 * first read has room for them, and what comes with a later one is dropped by the kernel.
 */
static int read_exactly(int socket, void *data, size_t size, struct msghdr *first, int64_t deadline)
{
	size_t done = 0;

	while (done < size) {
		struct iovec vector = {(char *)data + done, size - done};
		struct msghdr plain = {};
		struct msghdr *header = first && done == 0 ? first : &plain;
		ssize_t n;

		header->msg_iov = &vector;
		header->msg_iovlen = 1;
		n = recvmsg(socket, header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		if (n == 0)
			return -ENOTCONN;
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return hung_up(errno);

		if (wait_for(socket, POLLIN, deadline) != 0)
			return -ETIMEDOUT;
	}
	return 0;
}

static void take_fds(struct vhost_message *message, struct msghdr *header)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (message->fd_count < VHOST_USER_FDS_MAX)
				message->fds[message->fd_count++] = fd;
			else
				close(fd);
		}
	}
}

static int receive_header(int socket, struct vhost_message *message, int64_t deadline)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
	} control = {}; /* all zero: no control message, should the read fail */
	struct msghdr header = {.msg_control = control.bytes, .msg_controllen = sizeof(control)};
	int error;

	error = read_exactly(socket, &message->header, sizeof(message->header), &header, deadline);
	take_fds(message, &header);
	if (error)
		return error;
	if (header.msg_flags & MSG_CTRUNC)
		return -EPROTO;
	if ((message->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    message->header.size > sizeof(message->payload))
		return -EPROTO;
	return 0;
}

int vhost_message_receive(int socket, struct vhost_message *message, int limit_ms)
{
	int64_t deadline;
	int error;

	memset(message, 0, sizeof(*message));
	deadline = now_ms() + limit_ms;
	error = wait_for(socket, POLLIN, deadline);
	if (error)
		return error;
	deadline = BASE_MAX(deadline, now_ms() + VHOST_MESSAGE_REST_MS);
	error = receive_header(socket, message, deadline);
	if (!error)
		error = read_exactly(socket, &message->payload, message->header.size, NULL,
		                     deadline);
	if (error)
		vhost_message_close(message);
	return error;
}

static void put_fds(struct msghdr *header, void *control, const struct vhost_message *message)
{
	size_t size = message->fd_count * sizeof(int);
	struct cmsghdr *c = control;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), message->fds, size);
	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(size);
}

int vhost_message_send(int socket, const struct vhost_message *message, int limit_ms)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(VHOST_USER_FDS_MAX * sizeof(int))];
	} control = {};
	char bytes[sizeof(message->header) + sizeof(message->payload)];
	struct vhost_user_header start = message->header;
	size_t size = sizeof(start) + start.size;
	int64_t deadline = now_ms() + limit_ms;
	size_t done = 0;

	if (start.size > sizeof(message->payload) || message->fd_count > VHOST_USER_FDS_MAX)
		return -EINVAL;
	start.flags = (start.flags & ~(uint32_t)VHOST_USER_VERSION_MASK) | VHOST_USER_VERSION;
	memcpy(bytes, &start, sizeof(start));
	memcpy(bytes + sizeof(start), &message->payload, start.size);
	while (done < size) {
		struct iovec vector = {bytes + done, size - done};
		struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
		ssize_t n;

		if (done == 0 && message->fd_count > 0)
			put_fds(&header, &control, message);
		n = sendmsg(socket, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0) {
			done += (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return hung_up(errno);
		if (wait_for(socket, POLLOUT, deadline) != 0)
			return -ETIMEDOUT;
	}
	return 0;
}

void vhost_message_close(struct vhost_message *message)
{
	for (size_t i = 0; i < message->fd_count; i++)
		if (message->fds[i] >= 0)
			close(message->fds[i]);
	message->fd_count = 0;
}

int vhost_message_reply(int socket, struct vhost_message *message, size_t size, int limit_ms)
{
	message->header.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
	message->header.size = (uint32_t)size;
	return vhost_message_send(socket, message, limit_ms);
}

int vhost_message_acknowledge(int socket, const struct vhost_message *request, int error,
                              int limit_ms)
{
	struct vhost_message answer = {.header.request = request->header.request,
	                               .payload.u64 = error ? 1 : 0};

	return vhost_message_reply(socket, &answer, sizeof(answer.payload.u64), limit_ms);
}
