/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user requests, one function each (docs/interop/vhost-user.rst of QEMU). Each says what
 * payload it needs; sizes and fd counts are checked in one place before it runs. A function returns 0,
 * or a negative errno with the reason logged; VHOST_ANSWERED says that it has sent its own answer. Those
 * that are about memory are in vhost_memory.c.
 */
#include "vmm/devices/vhost_handle.h"

#include <linux/virtio_config.h>

enum { ANSWER_MS = 1000 };

#define RING_FEATURES                                                                        \
	(1ull << VIRTIO_F_VERSION_1 | 1ull << VRING_F_INDIRECT | 1ull << VRING_F_EVENT_IDX | \
	 VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES) | VHOST_USER_BIT(VHOST_F_LOG_ALL))

static uint64_t features_offered(const struct vhost_back *back)
{
	return RING_FEATURES | back->ops->features(back->self);
}

static uint64_t protocol_features_offered(const struct vhost_back *back)
{
	uint64_t offered = VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_MQ) |
	                   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) |
	                   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_RESET_DEVICE) |
	                   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD) |
	                   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIGURE_MEM_SLOTS) |
	                   VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP);

	if (back->ops->config_read)
		offered |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_CONFIG);
	if (back->ops->inflight)
		offered |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD);
	if (back->ops->config_changes)
		offered |= VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ);
	return offered;
}

int vhost_refuse(const struct vhost_back *back, const char *what, uint64_t value)
{
	device_log(back->ops->name, "the front end's message is refused: %s (0x%llx)", what,
	           (unsigned long long)value);
	return -EPROTO;
}

int vhost_answer(struct vhost_back *back, struct vhost_message *m, size_t size)
{
	int error = vhost_message_reply(back->socket, m, size, ANSWER_MS);

	if (error == 0)
		return VHOST_ANSWERED;
	device_log(back->ops->name, "the front end takes no answer: %s", strerror(-error));
	return error;
}

int vhost_answer_u64(struct vhost_back *back, struct vhost_message *m, uint64_t value)
{
	m->payload.u64 = value;
	return vhost_answer(back, m, sizeof(value));
}

static struct vhost_queue *queue_of(struct vhost_back *back, uint64_t index)
{
	if (index >= back->ops->queues) {
		vhost_refuse(back, "there is no such ring", index);
		return NULL;
	}
	return &back->queue[index];
}

static int get_features(struct vhost_back *back, struct vhost_message *m)
{
	return vhost_answer_u64(back, m, features_offered(back));
}

static int set_features(struct vhost_back *back, struct vhost_message *m)
{
	uint64_t wanted = m->payload.u64;
	int error = 0;

	if (wanted & ~features_offered(back))
		return vhost_refuse(back, "features that were not offered",
		                    wanted & ~features_offered(back));
	if (back->ops->features_set)
		error = back->ops->features_set(back->self, wanted);
	if (error < 0)
		return vhost_refuse(back, "the device cannot do these features", wanted);
	back->features = wanted;
	vhost_log_update(back);
	/* Without SET_VRING_ENABLE, which is part of the protocol features, rings are always on. */
	if (!(wanted & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		for (unsigned int i = 0; i < back->ops->queues; i++)
			back->queue[i].enabled = true;
	return 0;
}

static int get_protocol_features(struct vhost_back *back, struct vhost_message *m)
{
	return vhost_answer_u64(back, m, protocol_features_offered(back));
}

static int set_protocol_features(struct vhost_back *back, struct vhost_message *m)
{
	uint64_t extra = m->payload.u64 & ~protocol_features_offered(back);

	if (extra)
		return vhost_refuse(back, "protocol features that were not offered", extra);
	back->protocol_features = m->payload.u64;
	return 0;
}

static int nothing(struct vhost_back *back, struct vhost_message *m)
{
	(void)back;
	(void)m;
	return 0;
}

static int reset_device(struct vhost_back *back, struct vhost_message *m)
{
	(void)m;
	for (unsigned int i = 0; i < back->ops->queues; i++) {
		vhost_queue_stop(back, i);
		inflight_forget(&back->queue[i].ring.inflight);
		back->queue[i].base = 0;
		back->queue[i].enabled = false;
	}
	if (back->ops->reset)
		back->ops->reset(back->self);
	return 0;
}

static int set_vring_num(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_queue *q = queue_of(back, m->payload.state.index);
	uint32_t size = m->payload.state.num;

	if (!q)
		return -EPROTO;
	if (q->started)
		return vhost_refuse(back, "a running ring cannot change its size", size);
	if (size == 0 || size > VRING_SIZE_MAX || (size & (size - 1)) != 0)
		return vhost_refuse(back, "a ring's size is not a power of two up to 1024", size);
	q->ring.size = size;
	return 0;
}

static int set_vring_addr(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_vring_addr *a = &m->payload.address;
	struct vhost_queue *q = queue_of(back, a->index);
	bool running;

	if (!q)
		return -EPROTO;
	if (a->flags & ~(uint32_t)VHOST_USER_VRING_LOG)
		return vhost_refuse(back, "flags of a ring that there are not", a->flags);
	running = q->started;
	vhost_queue_stop(back, a->index);
	q->ring.descriptors_at = a->descriptor;
	q->ring.available_at = a->available;
	q->ring.used_at = a->used;
	q->ring.log_used = a->flags & VHOST_USER_VRING_LOG;
	q->ring.log_at = a->log;
	return running ? vhost_queue_start(back, a->index) : 0;
}

static int set_vring_base(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_queue *q = queue_of(back, m->payload.state.index);

	if (!q)
		return -EPROTO;
	if (q->started || m->payload.state.num > UINT16_MAX)
		return vhost_refuse(back, "the base of a running ring, or no index",
		                    m->payload.state.num);
	q->base = (uint16_t)m->payload.state.num;
	return 0;
}

static int get_vring_base(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_queue *q = queue_of(back, m->payload.state.index);

	if (!q)
		return -EPROTO;
	vhost_queue_stop(back, m->payload.state.index);
	inflight_forget(&q->ring.inflight);
	base_close(&q->kick);
	base_close(&q->call);
	m->payload.state.num = q->base;
	return vhost_answer(back, m, sizeof(m->payload.state));
}

/* The fd of SET_VRING_KICK, CALL or ERR into *slot; what was there is closed. */
static struct vhost_queue *vring_fd(struct vhost_back *back, struct vhost_message *m, int *fd)
{
	struct vhost_queue *q = queue_of(back, m->payload.u64 & VHOST_USER_VRING_INDEX_MASK);
	size_t expected = m->payload.u64 & VHOST_USER_VRING_NOFD ? 0 : 1;

	if (!q)
		return NULL;
	if (m->fd_count != expected) {
		vhost_refuse(back, "a wrong number of fds", m->fd_count);
		return NULL;
	}
	*fd = expected == 1 ? base_take_fd(&m->fds[0]) : -1;
	return q;
}

static int set_vring_kick(struct vhost_back *back, struct vhost_message *m)
{
	int fd;
	struct vhost_queue *q = vring_fd(back, m, &fd);

	if (!q)
		return -EPROTO;
	if (fd < 0)
		return vhost_refuse(back, "a ring without a kick fd; polling is not offered",
		                    m->payload.u64);
	vhost_queue_stop(back, (unsigned int)(q - back->queue));
	base_close(&q->kick);
	q->kick = fd;
	return vhost_queue_start(back, (unsigned int)(q - back->queue));
}

static int set_vring_call(struct vhost_back *back, struct vhost_message *m)
{
	int fd;
	struct vhost_queue *q = vring_fd(back, m, &fd);

	if (!q)
		return -EPROTO;
	base_close(&q->call);
	q->call = fd;
	q->ring.signalled_valid = false; /* what the old eventfd was told, the new one was not */
	if (q->started)
		vhost_signal(q->call); /* nor what was finished before there was any */
	return 0;
}

static int set_vring_err(struct vhost_back *back, struct vhost_message *m)
{
	int fd;
	struct vhost_queue *q = vring_fd(back, m, &fd);

	if (!q)
		return -EPROTO;
	base_close(&q->error);
	q->error = fd;
	return 0;
}

static int set_vring_enable(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_queue *q = queue_of(back, m->payload.state.index);

	if (!q)
		return -EPROTO;
	if (m->payload.state.num > 1)
		return vhost_refuse(back, "a ring is enabled by 1 or disabled by 0",
		                    m->payload.state.num);
	if (m->payload.state.num == 0)
		vhost_queue_settle(back, m->payload.state.index);
	q->enabled = m->payload.state.num == 1;
	back->runnable |= q->enabled ? 1u << m->payload.state.index : 0;
	return 0;
}

static int get_queue_num(struct vhost_back *back, struct vhost_message *m)
{
	return vhost_answer_u64(
	        back, m, back->ops->pairs ? back->ops->pairs(back->self) : back->ops->queue_num);
}

static int set_backend_requests(struct vhost_back *back, struct vhost_message *m)
{
	if (m->fd_count != 1 ||
	    !(back->protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_BACKEND_REQ)))
		return vhost_refuse(back,
		                    "a channel for requests that was not negotiated, or no fd",
		                    m->fd_count);
	base_close(&back->requests);
	back->requests = base_take_fd(&m->fds[0]);
	return 0;
}

static bool config_fits(const struct vhost_back *back, const struct vhost_message *m)
{
	const struct vhost_user_config *c = &m->payload.config;

	return back->ops->config_read && c->size <= VHOST_USER_CONFIG_MAX &&
	       c->offset <= VHOST_USER_CONFIG_MAX - c->size &&
	       m->header.size >= VHOST_USER_CONFIG_SIZE(c->size);
}

static int get_config(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_user_config *c = &m->payload.config;

	if (!config_fits(back, m) ||
	    back->ops->config_read(back->self, c->offset, c->bytes, c->size) < 0)
		c->size = 0; /* the protocol's way to say no */
	return vhost_answer(back, m, VHOST_USER_CONFIG_SIZE(c->size));
}

static int set_config(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_config *c = &m->payload.config;

	if (!config_fits(back, m))
		return vhost_refuse(back, "a part of the configuration space that there is not",
		                    c->offset);
	if (!back->ops->config_write)
		return 0; /* all of it is read-only: what the guest writes is lost */
	return back->ops->config_write(back->self, c->offset, c->bytes, c->size);
}

static const struct request {
	int (*handle)(struct vhost_back *back, struct vhost_message *m);
	uint16_t size; /* the least payload */
	uint8_t fds;   /* the most fds */
} requests[] = {
        [VHOST_USER_GET_FEATURES] = {get_features, 0, 0},
        [VHOST_USER_SET_FEATURES] = {set_features, 8, 0},
        [VHOST_USER_SET_OWNER] = {nothing, 0, 0},
        [VHOST_USER_RESET_OWNER] = {nothing, 0, 0},
        [VHOST_USER_SET_MEM_TABLE] = {vhost_set_mem_table, 8, VHOST_USER_REGIONS_MAX},
        [VHOST_USER_SET_LOG_BASE] = {vhost_set_log_base, 16, 1},
        [VHOST_USER_SET_LOG_FD] = {vhost_set_log_fd, 0, 1},
        [VHOST_USER_SET_VRING_NUM] = {set_vring_num, 8, 0},
        [VHOST_USER_SET_VRING_ADDR] = {set_vring_addr, 40, 0},
        [VHOST_USER_SET_VRING_BASE] = {set_vring_base, 8, 0},
        [VHOST_USER_GET_VRING_BASE] = {get_vring_base, 8, 0},
        [VHOST_USER_SET_VRING_KICK] = {set_vring_kick, 8, 1},
        [VHOST_USER_SET_VRING_CALL] = {set_vring_call, 8, 1},
        [VHOST_USER_SET_VRING_ERR] = {set_vring_err, 8, 1},
        [VHOST_USER_GET_PROTOCOL_FEATURES] = {get_protocol_features, 0, 0},
        [VHOST_USER_SET_PROTOCOL_FEATURES] = {set_protocol_features, 8, 0},
        [VHOST_USER_GET_QUEUE_NUM] = {get_queue_num, 0, 0},
        [VHOST_USER_SET_VRING_ENABLE] = {set_vring_enable, 8, 0},
        [VHOST_USER_SET_BACKEND_REQ_FD] = {set_backend_requests, 0, 1},
        [VHOST_USER_GET_CONFIG] = {get_config, 12, 0},
        [VHOST_USER_SET_CONFIG] = {set_config, 12, 0},
        [VHOST_USER_GET_INFLIGHT_FD] = {vhost_get_inflight_fd, 20, 0},
        [VHOST_USER_SET_INFLIGHT_FD] = {vhost_set_inflight_fd, 20, 1},
        [VHOST_USER_RESET_DEVICE] = {reset_device, 0, 0},
        [VHOST_USER_GET_MAX_MEM_SLOTS] = {vhost_get_max_mem_slots, 0, 0},
        [VHOST_USER_ADD_MEM_REG] = {vhost_add_mem_region, 40, 1},
        [VHOST_USER_REM_MEM_REG] = {vhost_remove_mem_region, 40, 1},
        [VHOST_USER_SET_SHARED_MAP] = {vhost_set_shared_map, 16, 1},
};

int vhost_handle(struct vhost_back *back, struct vhost_message *m)
{
	uint32_t number = m->header.request;
	const struct request *request = number < BASE_COUNT(requests) ? &requests[number] : NULL;
	int error;

	if (!request || !request->handle)
		error = vhost_refuse(back, "a request that is not offered", number);
	else if (m->header.size < request->size)
		error = vhost_refuse(back, "its payload is too short", m->header.size);
	else if (m->fd_count > request->fds)
		error = vhost_refuse(back, "more fds than it may have", m->fd_count);
	else if (number == VHOST_USER_ADD_MEM_REG && m->fd_count != 1)
		error = vhost_refuse(back, "a memory region without its fd", 0);
	else
		error = request->handle(back, m);
	if (error != VHOST_ANSWERED && m->header.flags & VHOST_USER_NEED_REPLY &&
	    back->protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK))
		(void)vhost_message_acknowledge(back->socket, m, error, ANSWER_MS);
	return error < 0 ? error : 0;
}
