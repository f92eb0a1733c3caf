/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may connect is decided by the socket's permissions. A client that sends something else than a
 * message, does not read its answers or cannot stop is dropped; so is one too many. The loop tells of each
 * fd once, so everything that is there is taken.
 *
 * #syscall balloon: accept4 - somebody on the host has something to ask
 * #syscall balloon: recvfrom - what it asks
 * #syscall balloon: sendto - and what it is told
 */
#include "vmm/devices/control.h"

#include <sys/epoll.h>
#include <sys/socket.h>

enum { MESSAGES_AT_ONCE = 64 };

enum { TAG_LISTENER, TAG_CLIENTS };

/* 1: answered; 0: there is nothing more for now; -1: this is no client. */
static int serve_message(const struct device_control *control, int fd)
{
	_Alignas(uint64_t) char message[DEVICE_CONTROL_MESSAGE_MAX];
	ssize_t size = recv(fd, message, sizeof(message), MSG_DONTWAIT | MSG_TRUNC);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EAGAIN ? 0 : 1;
	if (size != (ssize_t)control->size)
		return -1;
	control->answer(control->self, message);
	return send(fd, message, control->size, MSG_DONTWAIT | MSG_NOSIGNAL) == size ? 1 : -1;
}

static void serve_client(struct device_control *control, int *fd)
{
	int got = 1;

	for (unsigned int i = 0; got > 0 && i < MESSAGES_AT_ONCE; i++)
		got = serve_message(control, *fd);
	if (got != 0)
		base_close(fd);
}

static void take_client(struct device_control *control, int *fd)
{
	for (uint16_t i = 0; i < DEVICE_CONTROL_CLIENTS; i++) {
		if (control->clients[i] >= 0)
			continue;
		if (vhost_back_watch_tag(control->back, *fd, EPOLLIN, TAG_CLIENTS + i) == 0)
			control->clients[i] = base_take_fd(fd);
		return;
	}
}

static void serve_listener(struct device_control *control)
{
	for (;;) {
		int fd BASE_AUTO_FD =
		        accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			return;
		take_client(control, &fd);
	}
}

void device_control_ready(struct device_control *control, uint16_t tag)
{
	if (tag == TAG_LISTENER)
		serve_listener(control);
	else if (control->clients[tag - TAG_CLIENTS] >= 0)
		serve_client(control, &control->clients[tag - TAG_CLIENTS]);
}

int device_control_open(struct device_control *control, struct vhost_back *back, int listener,
                        size_t size, void (*answer)(void *self, void *message), void *self)
{
	*control = (struct device_control){
	        .back = back,
	        .listener = listener,
	        .size = size,
	        .answer = answer,
	        .self = self,
	};
	for (size_t i = 0; i < DEVICE_CONTROL_CLIENTS; i++)
		control->clients[i] = -1;
	return vhost_back_watch_tag(back, listener, EPOLLIN, TAG_LISTENER);
}
