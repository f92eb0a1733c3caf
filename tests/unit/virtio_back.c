/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The test's back end: one switch over the requests, and one over the ways to go wrong. */
#include "tests/unit/virtio_back.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/base.h"

enum { LIMIT_MS = 60000 };

static void keep_fd(struct vhost_message *message, int *fd)
{
	base_close(fd);
	if (message->fd_count == 1) {
		*fd = message->fds[0];
		message->fds[0] = -1;
	}
}

static int make_inflight(struct back *back, struct vhost_message *message)
{
	struct vhost_user_inflight *region = &message->payload.inflight;

	region->mmap_size = 64u * region->queue_count * region->queue_size;
	back->inflight = *region;
	base_close(&back->inflight_fd);
	back->inflight_fd = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (ftruncate(back->inflight_fd, (off_t)region->mmap_size) != 0 ||
	    fcntl(back->inflight_fd, F_ADD_SEALS, back->inflight_seals) < 0)
		abort();
	return sizeof(*region);
}

/* Does the request. The size of its answer, or 0 when it has none; -1 when this is no request. */
static int handle(struct back *back, struct vhost_message *message)
{
	union vhost_user_payload *payload = &message->payload;
	struct back_queue *queue = &back->queues[payload->state.index % BACK_QUEUES];

	switch (message->header.request) {
	case VHOST_USER_GET_FEATURES: payload->u64 = back->features; return 8;
	case VHOST_USER_GET_PROTOCOL_FEATURES: payload->u64 = back->protocol_features; return 8;
	case VHOST_USER_GET_QUEUE_NUM: payload->u64 = back->queue_count; return 8;
	case VHOST_USER_SET_FEATURES: back->accepted = payload->u64; return 0;
	case VHOST_USER_SET_PROTOCOL_FEATURES: back->accepted_protocol = payload->u64; return 0;
	case VHOST_USER_SET_MEM_TABLE: back->memory = payload->memory; return 0;
	case VHOST_USER_SET_VRING_NUM: queue->size = payload->state.num; return 0;
	case VHOST_USER_SET_VRING_BASE: queue->base = payload->state.num; return 0;
	case VHOST_USER_SET_VRING_ADDR: queue->address = payload->address; return 0;
	case VHOST_USER_SET_VRING_ENABLE: queue->enabled = payload->state.num; return 0;
	case VHOST_USER_SET_VRING_KICK: keep_fd(message, &queue->kick); return 0;
	case VHOST_USER_SET_VRING_CALL: keep_fd(message, &queue->call); return 0;
	case VHOST_USER_SET_VRING_ERR: keep_fd(message, &queue->error); return 0;
	case VHOST_USER_SET_BACKEND_REQ_FD: keep_fd(message, &back->requests); return 0;
	case VHOST_USER_GET_VRING_BASE: return 8;
	case VHOST_USER_GET_CONFIG:
		memcpy(payload->config.bytes, back->config, payload->config.size);
		return (int)message->header.size;
	case VHOST_USER_SET_CONFIG:
		memcpy(back->config + payload->config.offset, payload->config.bytes,
		       payload->config.size);
		return 0;
	case VHOST_USER_GET_INFLIGHT_FD: return make_inflight(back, message);
	case VHOST_USER_SET_INFLIGHT_FD:
		back->inflight = payload->inflight;
		keep_fd(message, &back->inflight_fd);
		return 0;
	case VHOST_USER_SET_SHARED_MAP:
		back->shared_map = payload->log;
		if (message->fd_count != 1 || fstat(message->fds[0], &back->shared_file) < 0)
			abort();
		return 0;
	case VHOST_USER_SET_LOG_BASE: back->dirty = payload->log; return 8;
	case VHOST_USER_SET_STATUS: back->status = payload->u64; return 0;
	case VHOST_USER_SET_OWNER:
	case VHOST_USER_RESET_DEVICE: return 0;
	default: return -1;
	}
}

/* Spoils an answer. False: there is none. */
static bool spoil(struct back *back, struct vhost_message *answer)
{
	switch (back->fault) {
	case BACK_SILENT: return false;
	case BACK_HANGS_UP: shutdown(back->socket, SHUT_RDWR); return false;
	case BACK_WRONG_REQUEST: answer->header.request++; break;
	case BACK_WRONG_SIZE: answer->header.size--; break;
	case BACK_NO_REPLY_FLAG: answer->header.flags = 0; break;
	case BACK_SENDS_FD:
		answer->fds[0] = back->socket;
		answer->fd_count = 1;
		break;
	case BACK_REFUSES: answer->payload.u64 = 1; break;
	case BACK_WRONG_CONTENT: answer->payload.u64 ^= 1; break;
	case BACK_HALF_AN_ANSWER:
		answer->header.flags |= VHOST_USER_VERSION;
		send(back->socket, &answer->header, sizeof(answer->header), MSG_NOSIGNAL);
		shutdown(back->socket, SHUT_WR);
		return false;
	case BACK_HUGE_ANSWER:
		answer->header.flags |= VHOST_USER_VERSION;
		answer->header.size = 0x10000;
		send(back->socket, &answer->header, sizeof(answer->header), MSG_NOSIGNAL);
		return false;
	default: break;
	}
	return true;
}

static void answer(struct back *back, struct vhost_message *message, size_t size)
{
	bool fault = back->fault != BACK_GOOD && back->fault_at == message->header.request;

	vhost_message_close(message);
	message->header.size = (uint32_t)size;
	if (message->header.request == VHOST_USER_GET_INFLIGHT_FD)
		message->fds[message->fd_count++] = back->inflight_fd;
	message->header.flags = VHOST_USER_REPLY;
	if (!fault || spoil(back, message))
		vhost_message_send(back->socket, message, LIMIT_MS);
	message->fd_count = 0;
}

static void *run(void *self)
{
	struct back *back = self;

	for (;;) {
		struct vhost_message message;
		bool acknowledge;
		int size;

		if (vhost_message_receive(back->socket, &message, LIMIT_MS) != 0)
			return NULL;
		acknowledge = message.header.flags & VHOST_USER_NEED_REPLY;
		size = handle(back, &message);
		if (back->log_count < BACK_LOG) {
			back->log[back->log_count] = (uint8_t)message.header.request;
			__atomic_store_n(&back->log_count, back->log_count + 1, __ATOMIC_RELEASE);
		}
		if (size == 0 && acknowledge) {
			message.payload.u64 = 0;
			size = 8;
		}
		if (size > 0)
			answer(back, &message, (size_t)size);
		else
			vhost_message_close(&message);
	}
}

void back_init(struct back *back)
{
	memset(back, 0, sizeof(*back));
	back->socket = back->requests = back->inflight_fd = -1;
	back->inflight_seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	back->queue_count = 1;
	back->features = VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | 1ull << 32 | 1ull << 28;
	back->protocol_features = VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_MQ) |
	                          VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
	                          VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG) |
	                          VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE);
	for (int i = 0; i < BACK_QUEUES; i++)
		back->queues[i].kick = back->queues[i].call = back->queues[i].error = -1;
}

int back_start(struct back *back)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
		abort();
	back->socket = pair[1];
	if (pthread_create(&back->thread, NULL, run, back) != 0)
		abort();
	return pair[0];
}

void back_join(struct back *back)
{
	pthread_join(back->thread, NULL);
	base_close(&back->socket);
	base_close(&back->requests);
	base_close(&back->inflight_fd);
	for (int i = 0; i < BACK_QUEUES; i++) {
		base_close(&back->queues[i].kick);
		base_close(&back->queues[i].call);
		base_close(&back->queues[i].error);
	}
}

unsigned int back_count(const struct back *back, enum vhost_user_request request)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < back->log_count; i++)
		count += back->log[i] == request;
	return count;
}

void back_wait(const struct back *back, enum vhost_user_request request, unsigned int count)
{
	for (unsigned int done = 0, i = 0; done < count;) {
		if (i == __atomic_load_n(&back->log_count, __ATOMIC_ACQUIRE))
			usleep(1000); /* the test's own time limit ends a wait for what never comes */
		else
			done += back->log[i++] == request;
	}
}
