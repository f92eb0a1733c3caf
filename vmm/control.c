// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * control: start, pause, resume, power button, reset, quit and query, from at most VMM_CONTROL_CLIENTS_MAX
 * clients. A client that sends something else than a message, or does not read its answers, is
 * dropped. Who may connect is decided by the socket's permissions.
 */
#include "vmm/control.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/base.h"

static void control_drop(struct control_client *client)
{
	machine_unwatch(client->control->machine, client->fd);
	base_close(&client->fd);
}

static void control_send(struct control_client *client, const struct vmm_message *message)
{
	if (send(client->fd, message, sizeof(*message), MSG_DONTWAIT | MSG_NOSIGNAL) !=
	    sizeof(*message))
		control_drop(client);
}

struct vmm_message control_state(const struct control *control)
{
	const struct machine *m = control->machine;

	return (struct vmm_message){
	        .verb = VMM_STATE,
	        .state = m->state,
	        .end = m->state == VMM_ENDED || m->state == VMM_PAUSED ? m->end : 0,
	        .exits = vcpus_exits(m),
	        .unknown_io = m->unknown_io,
	        .panics = m->panics,
	};
}

void control_announce(struct control *control)
{
	struct vmm_message message = control_state(control);

	for (size_t i = 0; i < VMM_CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			control_send(&control->clients[i], &message);
}

/* #syscall vmm: ioctl(arg1 = KVM_KVMCLOCK_CTRL) - tells a resumed guest that it was stopped, not stuck */
static void control_resume(struct machine *m)
{
	for (unsigned int i = 0; i < m->vcpu_count; i++)
		ioctl(m->vcpus[i].fd, KVM_KVMCLOCK_CTRL, 0); /* EINVAL: it has no kvmclock yet */
	m->end = 0;
	vm_state_set(m, VMM_RUNNING);
}

static int control_device(struct control *control, const struct vmm_message *request, int *fd)
{
	if (!control->device || memchr(request->device, '\0', sizeof(request->device)) == NULL ||
	    (*fd >= 0) != (request->verb == VMM_DEVICE_REPLACE))
		return -EINVAL;
	return control->device(control->device_self, request->device, base_take_fd(fd));
}

/* 0 or a negative errno that says why the state does not allow it. */
static int control_obey(struct control *control, const struct vmm_message *request, int *fd)
{
	struct machine *m = control->machine;

	switch (request->verb) {
	case VMM_START:
		if (m->state != VMM_READY)
			return -EALREADY;
		vm_state_set(m, VMM_RUNNING);
		return 0;
	case VMM_PAUSE:
		if (m->state != VMM_RUNNING)
			return -EALREADY;
		vm_state_set(m, VMM_PAUSED);
		return 0;
	case VMM_RESUME:
		if (m->state != VMM_PAUSED)
			return -EALREADY;
		control_resume(m);
		return 0;
	case VMM_POWER_BUTTON:
		if (m->state != VMM_RUNNING)
			return -EAGAIN;
		power_event(control->power, POWER_EVENT_BUTTON);
		return 0;
	case VMM_QUIT: machine_end(m, VMM_END_POWEROFF); return 0;
	case VMM_RESET: machine_end(m, VMM_END_RESTART); return 0;
	case VMM_QUERY: return 0;
	case VMM_DEVICE_REPLACE:
	case VMM_DEVICE_LOST: return control_device(control, request, fd);
	default: return -ENOSYS;
	}
}

static void control_answer(struct control_client *client, const struct vmm_message *request,
                           int *fd)
{
	struct control *control = client->control;
	int error = control_obey(control, request, fd);
	uint32_t verb = request->verb;
	struct vmm_message message = control_state(control);

	if (error) {
		message.verb = VMM_REFUSED;
		message.error = error;
		control_send(client, &message);
	} else if (verb == VMM_START || verb == VMM_PAUSE || verb == VMM_RESUME) {
		control_announce(control);
	} else {
		control_send(client, &message);
	}
}

/* One message and at most one fd; more of them the kernel drops, and the message is then none. */
static ssize_t control_receive(int socket, struct vmm_message *message, int *fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec vector = {message, sizeof(*message)};
	struct msghdr header = {.msg_iov = &vector,
	                        .msg_iovlen = 1,
	                        .msg_control = control.bytes,
	                        .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(socket, &header, MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
	const struct cmsghdr *c = size < 0 ? NULL : CMSG_FIRSTHDR(&header);

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(c), sizeof(*fd));
	return size >= 0 && header.msg_flags & MSG_CTRUNC ? 0 : size;
}

static void control_client_ready(void *self, uint32_t events)
{
	struct control_client *client = self;
	struct vmm_message message;
	int fd BASE_AUTO_FD = -1;
	ssize_t size = control_receive(client->fd, &message, &fd);

	(void)events;
	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size == (ssize_t)sizeof(message))
		control_answer(client, &message, &fd);
	else
		control_drop(client);
}

static void control_accept(void *self, uint32_t events)
{
	struct control *control = self;
	int fd BASE_AUTO_FD = accept4(control->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	for (size_t i = 0; fd >= 0 && i < VMM_CONTROL_CLIENTS_MAX; i++) {
		struct control_client *client = &control->clients[i];

		if (client->fd >= 0)
			continue;
		if (machine_watch(control->machine, fd, EPOLLIN, control_client_ready, client) == 0)
			client->fd = base_take_fd(&fd);
		return;
	}
}

int control_create(struct control *control, struct machine *m, struct power *power, int listener)
{
	*control = (struct control){.machine = m, .power = power, .listener = listener};
	for (size_t i = 0; i < VMM_CONTROL_CLIENTS_MAX; i++)
		control->clients[i] = (struct control_client){control, -1};
	return listener < 0 ? 0 : machine_watch(m, listener, EPOLLIN, control_accept, control);
}

void control_destroy(struct control *control)
{
	for (size_t i = 0; i < VMM_CONTROL_CLIENTS_MAX; i++)
		if (control->clients[i].fd >= 0)
			control_drop(&control->clients[i]);
}
