/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of messages is the one that QEMU has, as back ends are tested with it: features, protocol
 * features, owner at the beginning; features, memory table, then each ring (size, base, addresses, call,
 * error, kick, enable) when the guest's driver is ready; enable 0 and GET_VRING_BASE when it is not.
 *
 * Rings and regions are named by address. A front end usually sends its own virtual addresses; here
 * the guest's physical ones stand for them, so that a back end learns nothing of the vmm's layout.
 *
 * Answers are waited for with the machine's lock held: a back end that says nothing can stop its VM for
 * VHOST_FRONT_ANSWER_MS once, and then has lost its connection.
 *
 * A back end that has something to say by itself (its configuration has changed) says it over a channel of
 * its own, so that it cannot come between a question and its answer.
 *
 * #syscall vmm: recvfrom - has a back end hung up?
 */
#include "vmm/vhost_front.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/base.h"
#include "vmm/eventfd.h"

enum { RING_ERRORS_LOGGED = 8 }; /* a guest can break its rings as often as it likes */

static const uint64_t known_protocol_features = VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_MQ) |
                                                VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
                                                VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
                                                VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
                                                VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE);

static bool has(const struct vhost_front *front, enum vhost_user_protocol_feature feature)
{
	return front->protocol_features & VHOST_USER_BIT(feature);
}

/* ---- the end of a connection ---- */

static void disconnect(struct vhost_front *front)
{
	if (front->socket < 0)
		return;
	machine_unwatch(front->machine, front->socket);
	if (front->error_event >= 0)
		machine_unwatch(front->machine, front->error_event);
	if (front->requests >= 0)
		machine_unwatch(front->machine, front->requests);
	base_close(&front->socket);
	base_close(&front->error_event);
	base_close(&front->requests);
	front->running = 0;
}

static int fail(struct vhost_front *front, int error, const char *what)
{
	if (front->socket < 0)
		return -ENOTCONN;
	machine_log(front->machine, "the back end of device %s is given up: %s (%s)", front->name,
	            what, strerror(-error));
	disconnect(front);
	if (front->failed)
		front->failed(front->self);
	return error;
}

/* ---- one message ---- */

static int send_message(struct vhost_front *front, struct vhost_message *message,
                        enum vhost_user_request request, size_t size)
{
	int error;

	if (front->socket < 0)
		return -ENOTCONN;
	message->header.request = request;
	message->header.size = (uint32_t)size;
	error = vhost_message_send(front->socket, message, VHOST_FRONT_ANSWER_MS);
	return error ? fail(front, error, "it does not take messages") : 0;
}

/* The answer to `request`, of exactly `size` bytes and without fds. */
static int receive_answer(struct vhost_front *front, struct vhost_message *answer,
                          enum vhost_user_request request, size_t size)
{
	int error = vhost_message_receive(front->socket, answer, VHOST_FRONT_ANSWER_MS);
	bool fds;

	if (error == -EAGAIN)
		error = -ETIMEDOUT;
	if (error)
		return fail(front, error, "it does not answer");
	fds = answer->fd_count > 0;
	vhost_message_close(answer);
	if (fds || answer->header.request != request || answer->header.size != size ||
	    !(answer->header.flags & VHOST_USER_REPLY))
		return fail(front, -EPROTO, "its answer does not fit the question");
	return 0;
}

static int ask_u64(struct vhost_front *front, enum vhost_user_request request, uint64_t *value)
{
	struct vhost_message message = {};
	int error = send_message(front, &message, request, 0);

	if (!error)
		error = receive_answer(front, &message, request, sizeof(message.payload.u64));
	if (!error)
		*value = message.payload.u64;
	return error;
}

/* Sends what has no answer of its own, and waits for an acknowledgement where there can be one. */
static int tell_surely(struct vhost_front *front, struct vhost_message *message,
                       enum vhost_user_request request, size_t size)
{
	int error;

	if (!has(front, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return send_message(front, message, request, size);
	message->header.flags = VHOST_USER_NEED_REPLY;
	error = send_message(front, message, request, size);
	if (!error)
		error = receive_answer(front, message, request, sizeof(message->payload.u64));
	if (!error && message->payload.u64 != 0)
		error = fail(front, -EREMOTEIO, "it refused a message");
	return error;
}

static int tell_u64(struct vhost_front *front, enum vhost_user_request request, uint64_t value)
{
	struct vhost_message message = {.payload.u64 = value};

	return send_message(front, &message, request, sizeof(value));
}

static int tell_state(struct vhost_front *front, enum vhost_user_request request,
                      unsigned int index, uint32_t num)
{
	struct vhost_message message = {.payload.state = {index, num}};

	return send_message(front, &message, request, sizeof(message.payload.state));
}

static int tell_fd(struct vhost_front *front, enum vhost_user_request request, unsigned int index,
                   int fd)
{
	struct vhost_message message = {.payload.u64 = index, .fds = {fd}, .fd_count = 1};

	return send_message(front, &message, request, sizeof(message.payload.u64));
}

/* ---- what the event loop sees ---- */

/* A back end says nothing by itself: what can be read here is its end, or a breach of the protocol. */
static void socket_ready(void *self, uint32_t events)
{
	struct vhost_front *front = self;
	char byte;
	ssize_t n;

	(void)events;
	if (front->socket < 0)
		return;
	n = recv(front->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n == 0)
		fail(front, -ENOTCONN, "it has hung up");
	else if (n > 0)
		fail(front, -EPROTO, "it spoke without being asked");
	else if (errno != EAGAIN && errno != EINTR)
		fail(front, -errno, "its connection is broken");
}

static void error_ready(void *self, uint32_t events)
{
	struct vhost_front *front = self;

	(void)events;
	/* Once is enough until the next start: a back end could signal this without end. */
	machine_unwatch(front->machine, front->error_event);
	if (front->ring_errors++ < RING_ERRORS_LOGGED)
		machine_log(front->machine, "the back end of device %s reports an error in a ring",
		            front->name);
	if (front->failed)
		front->failed(front->self);
}

static void request_ready(void *self, uint32_t events)
{
	struct vhost_front *front = self;
	struct vhost_message message VHOST_MESSAGE_AUTO = {.fd_count = 0};
	int error;

	(void)events;
	if (front->requests < 0)
		return;
	error = vhost_message_receive(front->requests, &message, 0);
	if (error == -EAGAIN)
		return;
	if (error == -ENOTCONN) { /* whether it is gone altogether, the main socket tells */
		machine_unwatch(front->machine, front->requests);
		base_close(&front->requests);
		return;
	}
	if (error) {
		fail(front, error, "its requests cannot be read");
		return;
	}
	if (message.header.request != VHOST_USER_BACKEND_CONFIG_CHANGE) {
		fail(front, -EPROTO, "it requests what was not offered");
		return;
	}
	if (front->config_changed)
		front->config_changed(front->self);
	/* the owner may have lost the back end over it */
	if (front->requests >= 0 && message.header.flags & VHOST_USER_NEED_REPLY &&
	    vhost_message_acknowledge(front->requests, &message, 0, 0) != 0)
		fail(front, -EPROTO, "it does not take the answer that it asked for");
}

/* ---- handshake ---- */

/* A channel for the back end's own requests; it gets one end. */
static int open_requests(struct vhost_front *front)
{
	struct vhost_message message = {.fd_count = 1};
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail(front, -errno, "no socket pair can be made");
	front->requests = pair[0];
	message.fds[0] = pair[1];
	error = send_message(front, &message, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	close(pair[1]);
	if (error)
		return error;
	error = machine_watch(front->machine, front->requests, EPOLLIN, request_ready, front);
	return error ? fail(front, error, "its requests cannot be watched") : 0;
}

static int handshake(struct vhost_front *front)
{
	uint64_t offered = 0;
	struct vhost_message message = {};
	int error = ask_u64(front, VHOST_USER_GET_FEATURES, &front->features);

	if (!error && front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
		error = ask_u64(front, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
		offered &= known_protocol_features;
		if (!error)
			error = tell_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES, offered);
		front->protocol_features = offered;
	}
	if (!error && has(front, VHOST_USER_PROTOCOL_F_MQ))
		error = ask_u64(front, VHOST_USER_GET_QUEUE_NUM, &front->queue_count_max);
	if (!error)
		error = send_message(front, &message, VHOST_USER_SET_OWNER, 0);
	if (!error && has(front, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		error = open_requests(front);
	return error;
}

int vhost_front_open(struct vhost_front *front, struct machine *m, const char *name, int socket,
                     void (*failed)(void *self), void *self)
{
	int error;

	*front = (struct vhost_front){.machine = m, .name = name, .socket = socket, .requests = -1};
	front->error_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (front->error_event < 0)
		return fail(front, -errno, "no eventfd can be made");
	error = handshake(front);
	if (error)
		return error;
	error = machine_watch(m, socket, EPOLLIN | EPOLLRDHUP, socket_ready, front);
	if (error)
		return fail(front, error, "its socket cannot be watched");
	front->failed = failed;
	front->self = self;
	return 0;
}

void vhost_front_close(struct vhost_front *front)
{
	disconnect(front);
}

/* ---- configuration space ---- */

int vhost_front_config_get(struct vhost_front *front, void *bytes, uint32_t size)
{
	struct vhost_message message = {.payload.config.size = size};
	int error;

	if (!has(front, VHOST_USER_PROTOCOL_F_CONFIG) || size > VHOST_USER_CONFIG_MAX)
		return -ENOTSUP;
	error = send_message(front, &message, VHOST_USER_GET_CONFIG, VHOST_USER_CONFIG_SIZE(size));
	if (!error)
		error = receive_answer(front, &message, VHOST_USER_GET_CONFIG,
		                       VHOST_USER_CONFIG_SIZE(size));
	if (error)
		return error;
	if (message.payload.config.offset != 0 || message.payload.config.size != size)
		return fail(front, -EPROTO, "its configuration is not the part that was asked for");
	memcpy(bytes, message.payload.config.bytes, size);
	return 0;
}

int vhost_front_config_set(struct vhost_front *front, uint32_t offset, const void *bytes,
                           uint32_t size)
{
	struct vhost_message message = {.payload.config = {.offset = offset,
	                                                   .size = size,
	                                                   .flags = VHOST_USER_CONFIG_WRITABLE}};

	if (!has(front, VHOST_USER_PROTOCOL_F_CONFIG) || size > VHOST_USER_CONFIG_MAX)
		return -ENOTSUP;
	memcpy(message.payload.config.bytes, bytes, size);
	return send_message(front, &message, VHOST_USER_SET_CONFIG, VHOST_USER_CONFIG_SIZE(size));
}

/* ---- start and stop ---- */

static int send_memory(struct vhost_front *front)
{
	struct machine_region regions[2];
	size_t count = machine_regions(front->machine, regions);
	struct vhost_message message = {.payload.memory.region_count = (uint32_t)count};

	for (size_t i = 0; i < count; i++) {
		message.payload.memory.regions[i] =
		        (struct vhost_user_region){.guest_address = regions[i].guest,
		                                   .size = regions[i].size,
		                                   .user_address = regions[i].guest,
		                                   .mmap_offset = regions[i].offset};
		message.fds[message.fd_count++] = machine_memfd(front->machine);
	}
	return tell_surely(front, &message, VHOST_USER_SET_MEM_TABLE,
	                   VHOST_USER_MEMORY_SIZE(count));
}

static int send_ring(struct vhost_front *front, unsigned int index,
                     const struct vhost_front_queue *queue)
{
	struct vhost_message address = {.payload.address = {.index = index,
	                                                    .descriptor = queue->descriptors,
	                                                    .used = queue->device,
	                                                    .available = queue->driver}};
	int error = tell_state(front, VHOST_USER_SET_VRING_NUM, index, queue->size);

	if (!error)
		error = tell_state(front, VHOST_USER_SET_VRING_BASE, index, 0);
	if (!error)
		error = send_message(front, &address, VHOST_USER_SET_VRING_ADDR,
		                     sizeof(address.payload.address));
	if (!error)
		error = tell_fd(front, VHOST_USER_SET_VRING_CALL, index, queue->call);
	if (!error)
		error = tell_fd(front, VHOST_USER_SET_VRING_ERR, index, front->error_event);
	if (!error)
		error = tell_fd(front, VHOST_USER_SET_VRING_KICK, index, queue->kick);
	if (!error)
		front->running |= 1u << index;
	return error;
}

static int enable_ring(struct vhost_front *front, unsigned int index, bool enable)
{
	struct vhost_message message = {.payload.state = {index, enable}};

	if (!(front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return 0; /* such a back end's rings are enabled as they start */
	return tell_surely(front, &message, VHOST_USER_SET_VRING_ENABLE,
	                   sizeof(message.payload.state));
}

int vhost_front_start(struct vhost_front *front, uint64_t features,
                      const struct vhost_front_queue *queues, unsigned int count)
{
	int error;

	features &= front->features; /* some of the device's may be the vmm's own */
	features |= front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	error = tell_u64(front, VHOST_USER_SET_FEATURES, features);
	if (!error)
		error = send_memory(front);
	if (!error)
		error = machine_watch(front->machine, front->error_event, EPOLLIN, error_ready,
		                      front);
	for (unsigned int i = 0; i < count && !error; i++)
		if (queues[i].enabled)
			error = send_ring(front, i, &queues[i]);
	for (unsigned int i = 0; i < count && !error; i++)
		if (queues[i].enabled)
			error = enable_ring(front, i, true);
	return error;
}

static int stop_ring(struct vhost_front *front, unsigned int index)
{
	struct vhost_message message = {.payload.state.index = index};
	int error = enable_ring(front, index, false);

	if (!error)
		error = send_message(front, &message, VHOST_USER_GET_VRING_BASE,
		                     sizeof(message.payload.state));
	if (!error)
		error = receive_answer(front, &message, VHOST_USER_GET_VRING_BASE,
		                       sizeof(message.payload.state));
	if (!error && message.payload.state.index != index)
		error = fail(front, -EPROTO, "it stopped another ring");
	return error;
}

int vhost_front_stop(struct vhost_front *front)
{
	struct vhost_message message = {};
	int error = front->socket < 0 ? -ENOTCONN : 0;

	for (unsigned int i = 0; i < VHOST_FRONT_QUEUES_MAX && !error; i++)
		if (front->running & 1u << i)
			error = stop_ring(front, i);
	front->running = 0;
	if (!error) { /* what a ring signalled belongs to the run that is over */
		machine_unwatch(front->machine, front->error_event);
		eventfd_drain(front->error_event);
	}
	if (!error && has(front, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
		error = send_message(front, &message, VHOST_USER_RESET_DEVICE, 0);
	return error;
}
