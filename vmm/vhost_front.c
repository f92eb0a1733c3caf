/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection itself: messages with their time limit, the handshake, the configuration space, and its
 * end. What the rings are told is in vhost_rings.c.
 *
 * Answers are waited for with the machine's lock held, which is why a call has one deadline for all its
 * messages, and a budget behind it (see vhost_front.h).
 *
 * A back end that has something to say by itself (its configuration has changed) says it over a channel of
 * its own, so that it cannot come between a question and its answer.
 *
 * #syscall vmm: recvfrom - has a back end hung up?
 */
#include "vmm/vhost_front_private.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>

#include "base/base.h"
#include "vmm/eventfd.h"

enum { RING_ERRORS_LOGGED = 8 }; /* a guest can break its rings as often as it likes */

/* CONFIGURE_MEM_SLOTS is left out: two regions, which never change, fit every back end's SET_MEM_TABLE. */
static const uint64_t known_protocol_features =
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_MQ) | VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
        VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_STATUS);

bool vhost_front_has(const struct vhost_front *front, enum vhost_user_protocol_feature feature)
{
	return front->protocol_features & VHOST_USER_BIT(feature);
}

/* ---- time ---- */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void vhost_front_begin(struct vhost_front *front)
{
	int64_t now = now_ms();

	front->budget_ms += (now - front->last_ms) / VHOST_FRONT_REFILL;
	front->budget_ms = BASE_MIN(front->budget_ms, VHOST_FRONT_LIMIT_MS);
	front->last_ms = now;
	front->deadline = now + front->budget_ms;
}

void vhost_front_finish(struct vhost_front *front)
{
	int64_t now = now_ms(), waited = now - front->last_ms;

	if (!front->asked)
		waited = BASE_MAX(waited - VHOST_FRONT_PROMPT_MS, 0);
	front->budget_ms = BASE_MAX(front->budget_ms - waited, 0);
	front->last_ms = now;
}

static int time_left(const struct vhost_front *front)
{
	return (int)BASE_MAX(front->deadline - now_ms(), 0);
}

/* ---- the end of a connection ---- */

static void disconnect(struct vhost_front *front)
{
	if (front->socket < 0)
		return;
	machine_unwatch(front->machine, front->socket);
	if (front->requests >= 0)
		machine_unwatch(front->machine, front->requests);
	vhost_front_errors_forget(front);
	base_close(&front->socket);
	base_close(&front->requests);
	front->running = 0;
}

int vhost_front_fail(struct vhost_front *front, int error, const char *what)
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

int vhost_front_send(struct vhost_front *front, struct vhost_message *message,
                     enum vhost_user_request request, size_t size)
{
	int error;

	if (front->socket < 0)
		return -ENOTCONN;
	message->header.request = request;
	message->header.size = (uint32_t)size;
	error = vhost_message_send(front->socket, message, time_left(front));
	return error ? vhost_front_fail(front, error, "it does not take messages") : 0;
}

int vhost_front_receive_any(struct vhost_front *front, struct vhost_message *answer,
                            enum vhost_user_request request, size_t least, size_t most)
{
	int error = vhost_message_receive(front->socket, answer, time_left(front));

	if (error == -EAGAIN)
		error = -ETIMEDOUT;
	if (error)
		return vhost_front_fail(front, error, "it does not answer");
	if (answer->header.request == request && answer->header.size >= least &&
	    answer->header.size <= most && answer->header.flags & VHOST_USER_REPLY)
		return 0;
	vhost_message_close(answer);
	return vhost_front_fail(front, -EPROTO, "its answer does not fit the question");
}

int vhost_front_receive(struct vhost_front *front, struct vhost_message *answer,
                        enum vhost_user_request request, size_t size)
{
	int error = vhost_front_receive_any(front, answer, request, size, size);
	bool fds = answer->fd_count > 0;

	if (error)
		return error;
	vhost_message_close(answer);
	return fds ? vhost_front_fail(front, -EPROTO, "its answer brings files along") : 0;
}

static int ask_u64(struct vhost_front *front, enum vhost_user_request request, uint64_t *value)
{
	struct vhost_message message = {};
	int error = vhost_front_send(front, &message, request, 0);

	if (!error)
		error = vhost_front_receive(front, &message, request, sizeof(message.payload.u64));
	if (!error)
		*value = message.payload.u64;
	return error;
}

int vhost_front_tell_surely(struct vhost_front *front, struct vhost_message *message,
                            enum vhost_user_request request, size_t size)
{
	int error;

	if (!vhost_front_has(front, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return vhost_front_send(front, message, request, size);
	message->header.flags = VHOST_USER_NEED_REPLY;
	error = vhost_front_send(front, message, request, size);
	if (!error)
		error = vhost_front_receive(front, message, request, sizeof(message->payload.u64));
	if (!error && message->payload.u64 != 0)
		error = vhost_front_fail(front, -EREMOTEIO, "it refused a message");
	return error;
}

int vhost_front_tell_u64(struct vhost_front *front, enum vhost_user_request request, uint64_t value)
{
	struct vhost_message message = {.payload.u64 = value};

	return vhost_front_send(front, &message, request, sizeof(value));
}

int vhost_front_tell_state(struct vhost_front *front, enum vhost_user_request request,
                           unsigned int index, uint32_t num)
{
	struct vhost_message message = {.payload.state = {index, num}};

	return vhost_front_send(front, &message, request, sizeof(message.payload.state));
}

int vhost_front_tell_fd(struct vhost_front *front, enum vhost_user_request request,
                        unsigned int index, int fd)
{
	struct vhost_message message = {.payload.u64 = index, .fds = {fd}, .fd_count = 1};

	return vhost_front_send(front, &message, request, sizeof(message.payload.u64));
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
		vhost_front_fail(front, -ENOTCONN, "it has hung up");
	else if (n > 0)
		vhost_front_fail(front, -EPROTO, "it spoke without being asked");
	else if (errno != EAGAIN && errno != EINTR)
		vhost_front_fail(front, -errno, "its connection is broken");
}

static void error_ready(void *self, uint32_t events)
{
	struct vhost_front *front = self;

	(void)events;
	/* Once is enough until the next start: a back end could signal this without end. */
	vhost_front_errors_forget(front);
	if (front->ring_errors++ < RING_ERRORS_LOGGED)
		machine_log(front->machine, "the back end of device %s reports an error in a ring",
		            front->name);
	if (front->failed)
		front->failed(front->self);
}

int vhost_front_errors_watch(struct vhost_front *front)
{
	return machine_watch(front->machine, front->error_event, EPOLLIN, error_ready, front);
}

void vhost_front_errors_forget(struct vhost_front *front)
{
	if (front->error_event >= 0)
		machine_unwatch(front->machine, front->error_event);
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
		vhost_front_fail(front, error, "its requests cannot be read");
		return;
	}
	if (message.header.request != VHOST_USER_BACKEND_CONFIG_CHANGE) {
		vhost_front_fail(front, -EPROTO, "it requests what was not offered");
		return;
	}
	front->asked = true;
	if (front->config_changed)
		front->config_changed(front->self);
	front->asked = false;
	/* the owner may have lost the back end over it */
	if (front->requests >= 0 && message.header.flags & VHOST_USER_NEED_REPLY &&
	    vhost_message_acknowledge(front->requests, &message, 0, 0) != 0)
		vhost_front_fail(front, -EPROTO, "it does not take the answer that it asked for");
}

/* ---- handshake ---- */

/* A channel for the back end's own requests; it gets one end. */
static int open_requests(struct vhost_front *front)
{
	struct vhost_message message = {.fd_count = 1};
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return vhost_front_fail(front, -errno, "no socket pair can be made");
	front->requests = pair[0];
	message.fds[0] = pair[1];
	error = vhost_front_send(front, &message, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	close(pair[1]);
	if (error)
		return error;
	error = machine_watch(front->machine, front->requests, EPOLLIN, request_ready, front);
	return error ? vhost_front_fail(front, error, "its requests cannot be watched") : 0;
}

/*
 * The map of shared pages is asked for where there is one. A back end that does not know it would use whatever
 * address a ring has: it would find nothing of the guest's behind private ones, and is refused all the same.
 */
static int check_shared(struct vhost_front *front)
{
	uint64_t size;

	if (machine_shared_map(front->machine, &size) < 0 ||
	    vhost_front_has(front, VHOST_USER_PROTOCOL_F_SHARED_MAP))
		return 0;
	return vhost_front_fail(front, -ENOTSUP,
	                        "it cannot keep to the pages that the guest shares");
}

static uint64_t wanted_protocol_features(const struct vhost_front *front)
{
	uint64_t size;

	return known_protocol_features | (machine_shared_map(front->machine, &size) >= 0
	                                          ? VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP)
	                                          : 0);
}

static int handshake(struct vhost_front *front)
{
	uint64_t offered = 0;
	struct vhost_message message = {};
	int error = ask_u64(front, VHOST_USER_GET_FEATURES, &front->features);

	if (!error && front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES)) {
		error = ask_u64(front, VHOST_USER_GET_PROTOCOL_FEATURES, &offered);
		offered &= wanted_protocol_features(front);
		if (!error)
			error = vhost_front_tell_u64(front, VHOST_USER_SET_PROTOCOL_FEATURES,
			                             offered);
		front->protocol_features = offered;
	}
	if (!error)
		error = check_shared(front);
	if (!error && vhost_front_has(front, VHOST_USER_PROTOCOL_F_MQ))
		error = ask_u64(front, VHOST_USER_GET_QUEUE_NUM, &front->queue_count_max);
	if (!error)
		error = vhost_front_send(front, &message, VHOST_USER_SET_OWNER, 0);
	if (!error && vhost_front_has(front, VHOST_USER_PROTOCOL_F_BACKEND_REQ))
		error = open_requests(front);
	return error;
}

/* Over the socket that is there; owns up to a failure only once the caller has the connection. */
static int introduce(struct vhost_front *front, void (*failed)(void *self))
{
	int error;

	front->failed = NULL;
	front->protocol_features = front->queue_count_max = 0;
	vhost_front_begin(front);
	error = handshake(front);
	vhost_front_finish(front);
	if (!error) {
		error = machine_watch(front->machine, front->socket, EPOLLIN | EPOLLRDHUP,
		                      socket_ready, front);
		if (error)
			vhost_front_fail(front, error, "its socket cannot be watched");
	}
	front->failed = failed;
	return error;
}

int vhost_front_open(struct vhost_front *front, struct machine *m, const char *name, int socket,
                     void (*failed)(void *self), void *self)
{
	*front = (struct vhost_front){.machine = m,
	                              .name = name,
	                              .socket = socket,
	                              .self = self,
	                              .budget_ms = VHOST_FRONT_LIMIT_MS,
	                              .last_ms = now_ms(),
	                              .requests = -1,
	                              .inflight_fd = -1,
	                              .log = {.fd = -1}};
	front->error_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (front->error_event < 0)
		return vhost_front_fail(front, -errno, "no eventfd can be made");
	return introduce(front, failed);
}

int vhost_front_reopen(struct vhost_front *front, int socket)
{
	disconnect(front);
	eventfd_drain(front->error_event);
	front->socket = socket;
	front->budget_ms = VHOST_FRONT_LIMIT_MS; /* whoever it was that took it is gone */
	return introduce(front, front->failed);
}

void vhost_front_give_up(struct vhost_front *front)
{
	disconnect(front);
}

void vhost_front_close(struct vhost_front *front)
{
	disconnect(front);
	base_close(&front->error_event);
	vhost_front_inflight_drop(front);
}

/* ---- configuration space ---- */

int vhost_front_config_get(struct vhost_front *front, void *bytes, uint32_t size)
{
	struct vhost_message message = {.payload.config.size = size};
	int error;

	if (!vhost_front_has(front, VHOST_USER_PROTOCOL_F_CONFIG) || size > VHOST_USER_CONFIG_MAX)
		return -ENOTSUP;
	vhost_front_begin(front);
	error = vhost_front_send(front, &message, VHOST_USER_GET_CONFIG,
	                         VHOST_USER_CONFIG_SIZE(size));
	if (!error)
		error = vhost_front_receive(front, &message, VHOST_USER_GET_CONFIG,
		                            VHOST_USER_CONFIG_SIZE(size));
	vhost_front_finish(front);
	if (error)
		return error;
	if (message.payload.config.offset != 0 || message.payload.config.size != size)
		return vhost_front_fail(front, -EPROTO,
		                        "its configuration is not the part that was asked for");
	memcpy(bytes, message.payload.config.bytes, size);
	return 0;
}

int vhost_front_config_set(struct vhost_front *front, uint32_t offset, const void *bytes,
                           uint32_t size)
{
	struct vhost_message message = {.payload.config = {.offset = offset,
	                                                   .size = size,
	                                                   .flags = VHOST_USER_CONFIG_WRITABLE}};
	int error;

	if (!vhost_front_has(front, VHOST_USER_PROTOCOL_F_CONFIG) || size > VHOST_USER_CONFIG_MAX)
		return -ENOTSUP;
	memcpy(message.payload.config.bytes, bytes, size);
	vhost_front_begin(front);
	error = vhost_front_send(front, &message, VHOST_USER_SET_CONFIG,
	                         VHOST_USER_CONFIG_SIZE(size));
	vhost_front_finish(front);
	return error;
}
