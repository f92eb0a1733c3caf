/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a back end is told of its rings. The order is the one that QEMU has, as back ends are tested with
 * it: features, inflight region, memory table, map of shared pages, log, then each ring (size, base, addresses,
 * call, error, kick, enable) when the guest's driver is ready; enable 0 and GET_VRING_BASE when it is not.
 *
 * Rings and regions are named by address. A front end usually sends its own virtual addresses; here
 * the guest's physical ones stand for them, so that a back end learns nothing of the vmm's layout.
 *
 * After a back end's death nobody can be asked where it was. The used ring says what it has finished, so the
 * next one begins there: a back end that finishes in order takes again what the first one had begun, one
 * that does not keeps a list in its inflight region, whose fd is kept here and handed on unread.
 *
 * #syscall vmm: fstat - the size of a region that a back end has made
 * #syscall vmm: newfstatat - the same, as glibc calls it
 * #syscall vmm: fcntl(arg1 = F_GET_SEALS) - whether it can still be cut short
 */
#include "vmm/vhost_front_private.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/base.h"
#include "vmm/eventfd.h"

enum {                           /* device status, virtio 1.2, 2.1 */
       STATUS_READY = 1 | 2 | 8, /* ACKNOWLEDGE, DRIVER, FEATURES_OK */
       STATUS_RUNS = STATUS_READY | 4,
       /* Others leave the padding at the end of the inflight message out. */
       INFLIGHT_SHORT = 20,
};

/* ---- unfinished requests ---- */

void vhost_front_inflight_drop(struct vhost_front *front)
{
	base_close(&front->inflight_fd);
	front->inflight = (struct vhost_user_inflight){};
}

/* A file of that size, which nobody can make smaller under whoever maps it. */
static bool inflight_sound(const struct vhost_user_inflight *region, int fd)
{
	struct stat facts;
	uint64_t end;
	int seals = fcntl(fd, F_GET_SEALS);

	return region->mmap_size > 0 && region->mmap_size <= VHOST_FRONT_INFLIGHT_MAX &&
	       !__builtin_add_overflow(region->mmap_offset, region->mmap_size, &end) &&
	       fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_size >= 0 &&
	       (uint64_t)facts.st_size >= end && seals >= 0 && seals & F_SEAL_SHRINK;
}

/* The first back end of a run makes the region. Some want it back before they use it: all get it. */
static int inflight_get(struct vhost_front *front, unsigned int count, uint16_t size)
{
	struct vhost_message message = {
	        .payload.inflight = {.queue_count = (uint16_t)count, .queue_size = size}};
	int error = vhost_front_send(front, &message, VHOST_USER_GET_INFLIGHT_FD,
	                             sizeof(message.payload.inflight));

	if (!error)
		error = vhost_front_receive_any(front, &message, VHOST_USER_GET_INFLIGHT_FD,
		                                INFLIGHT_SHORT, sizeof(message.payload.inflight));
	if (error)
		return error;
	if (message.fd_count != 1 || !inflight_sound(&message.payload.inflight, message.fds[0])) {
		vhost_message_close(&message);
		return vhost_front_fail(
		        front, -EPROTO,
		        "its inflight region is no sealed file of the size it says");
	}
	front->inflight_fd = message.fds[0];
	front->inflight = message.payload.inflight;
	front->inflight.queue_count = (uint16_t)count;
	front->inflight.queue_size = size;
	return 0;
}

static int send_inflight(struct vhost_front *front, const struct vhost_front_queue *queues,
                         unsigned int count)
{
	struct vhost_message message = {};
	uint16_t size = 0;
	int error = 0;

	if (!vhost_front_has(front, VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD))
		return 0;
	for (unsigned int i = 0; i < count; i++)
		if (queues[i].enabled)
			size = BASE_MAX(size, queues[i].size);
	if (size == 0)
		return 0; /* a driver may run without queues; there is no record of nothing */
	if (front->inflight_fd < 0)
		error = inflight_get(front, count, size);
	if (error)
		return error;
	message.payload.inflight = front->inflight;
	message.fds[message.fd_count++] = front->inflight_fd;
	return vhost_front_tell_surely(front, &message, VHOST_USER_SET_INFLIGHT_FD,
	                               sizeof(message.payload.inflight));
}

/* ---- memory and log ---- */

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
	return vhost_front_tell_surely(front, &message, VHOST_USER_SET_MEM_TABLE,
	                               VHOST_USER_MEMORY_SIZE(count));
}

static int send_shared_map(struct vhost_front *front)
{
	struct vhost_message message = {.fd_count = 1};

	message.fds[0] = machine_shared_map(front->machine, &message.payload.log.size);
	if (message.fds[0] < 0)
		return 0;
	return vhost_front_tell_surely(front, &message, VHOST_USER_SET_SHARED_MAP,
	                               sizeof(message.payload.log));
}

/* With LOG_SHMFD this message has an answer of its own. */
static int send_log(struct vhost_front *front)
{
	struct vhost_message message = {
	        .payload.log = {.size = front->log.size, .offset = front->log.offset},
	        .fds = {front->log.fd},
	        .fd_count = 1};
	int error = vhost_front_send(front, &message, VHOST_USER_SET_LOG_BASE,
	                             sizeof(message.payload.log));

	if (!error)
		error = vhost_front_receive_any(front, &message, VHOST_USER_SET_LOG_BASE, 0,
		                                sizeof(message.payload));
	if (!error)
		vhost_message_close(&message);
	return error;
}

static int send_features(struct vhost_front *front)
{
	uint64_t log = front->log.fd >= 0 ? VHOST_USER_BIT(VHOST_F_LOG_ALL) : 0;

	return vhost_front_tell_u64(front, VHOST_USER_SET_FEATURES, front->accepted | log);
}

static int send_address(struct vhost_front *front, unsigned int index,
                        const struct vhost_front_queue *queue)
{
	struct vhost_message address = {.payload.address = {.index = index,
	                                                    .descriptor = queue->descriptors,
	                                                    .used = queue->device,
	                                                    .available = queue->driver}};

	if (front->log.fd >= 0) {
		address.payload.address.flags = VHOST_USER_VRING_LOG;
		address.payload.address.log = queue->device;
	}
	return vhost_front_send(front, &address, VHOST_USER_SET_VRING_ADDR,
	                        sizeof(address.payload.address));
}

static bool can_log(const struct vhost_front *front)
{
	return front->features & VHOST_USER_BIT(VHOST_F_LOG_ALL) &&
	       vhost_front_has(front, VHOST_USER_PROTOCOL_F_LOG_SHMFD);
}

int vhost_front_log(struct vhost_front *front, const struct vhost_front_log *log,
                    const struct vhost_front_queue *queues, unsigned int count)
{
	int error = 0;

	if (front->socket < 0)
		return -ENOTCONN;
	if (!can_log(front))
		return -ENOTSUP;
	front->log = *log;
	if (!front->running)
		return 0; /* told when it starts */
	vhost_front_begin(front);
	if (log->fd >= 0)
		error = send_log(front);
	if (!error)
		error = send_features(front);
	for (unsigned int i = 0; i < count && !error; i++)
		if (front->running & 1u << i)
			error = send_address(front, i, &queues[i]);
	vhost_front_finish(front);
	return error;
}

/* ---- start and stop ---- */

static int send_status(struct vhost_front *front, uint64_t status)
{
	struct vhost_message message = {.payload.u64 = status};

	if (!vhost_front_has(front, VHOST_USER_PROTOCOL_F_STATUS))
		return 0;
	return vhost_front_tell_surely(front, &message, VHOST_USER_SET_STATUS,
	                               sizeof(message.payload.u64));
}

static int send_ring(struct vhost_front *front, unsigned int index,
                     const struct vhost_front_queue *queue, uint16_t base)
{
	int error = vhost_front_tell_state(front, VHOST_USER_SET_VRING_NUM, index, queue->size);

	if (!error)
		error = vhost_front_tell_state(front, VHOST_USER_SET_VRING_BASE, index, base);
	if (!error)
		error = send_address(front, index, queue);
	if (!error)
		error = vhost_front_tell_fd(front, VHOST_USER_SET_VRING_CALL, index, queue->call);
	if (!error)
		error = vhost_front_tell_fd(front, VHOST_USER_SET_VRING_ERR, index,
		                            front->error_event);
	if (!error)
		error = vhost_front_tell_fd(front, VHOST_USER_SET_VRING_KICK, index, queue->kick);
	if (!error)
		front->running |= 1u << index;
	return error;
}

static int enable_ring(struct vhost_front *front, unsigned int index, bool enable)
{
	struct vhost_message message = {.payload.state = {index, enable}};

	if (!(front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES)))
		return 0; /* such a back end's rings are enabled as they start */
	return vhost_front_tell_surely(front, &message, VHOST_USER_SET_VRING_ENABLE,
	                               sizeof(message.payload.state));
}

/* Where the used ring ends (virtio 1.2, 2.7.8): the guest may write it, and any number is a ring's index. */
static uint16_t used_index(const struct vhost_front *front, const struct vhost_front_queue *queue)
{
	const uint16_t *index = machine_memory(front->machine, queue->device + 2, sizeof(*index));

	return index ? __atomic_load_n(index, __ATOMIC_ACQUIRE) : 0;
}

static int run_rings(struct vhost_front *front, const struct vhost_front_queue *queues,
                     unsigned int count, bool resume)
{
	int error = vhost_front_errors_watch(front);

	for (unsigned int i = 0; i < count && !error; i++)
		if (queues[i].enabled)
			error = send_ring(front, i, &queues[i],
			                  resume ? used_index(front, &queues[i]) : 0);
	for (unsigned int i = 0; i < count && !error; i++)
		if (queues[i].enabled)
			error = enable_ring(front, i, true);
	return error;
}

static int run(struct vhost_front *front, uint64_t features, const struct vhost_front_queue *queues,
               unsigned int count, bool resume)
{
	int error;

	features &= front->features; /* some of the device's may be the vmm's own */
	/* To a back end it would mean addresses that somebody translates: the guest's are as they are. */
	features &= ~VHOST_USER_BIT(VHOST_F_ACCESS_PLATFORM);
	features |= front->features & VHOST_USER_BIT(VHOST_USER_F_PROTOCOL_FEATURES);
	front->accepted = features;
	if (front->log.fd >= 0 && !can_log(front))
		return vhost_front_fail(front, -ENOTSUP, "it cannot log what it writes");
	vhost_front_begin(front);
	error = send_features(front);
	if (!error)
		error = send_status(front, STATUS_READY);
	if (!error)
		error = send_inflight(front, queues, count);
	if (!error)
		error = send_memory(front);
	if (!error)
		error = send_shared_map(front);
	if (!error && front->log.fd >= 0)
		error = send_log(front);
	if (!error)
		error = run_rings(front, queues, count, resume);
	if (!error)
		error = send_status(front, STATUS_RUNS);
	vhost_front_finish(front);
	return error;
}

int vhost_front_start(struct vhost_front *front, uint64_t features,
                      const struct vhost_front_queue *queues, unsigned int count)
{
	if (front->socket < 0)
		return -ENOTCONN;
	vhost_front_inflight_drop(front);
	return run(front, features, queues, count, false);
}

int vhost_front_resume(struct vhost_front *front, uint64_t features,
                       const struct vhost_front_queue *queues, unsigned int count)
{
	return front->socket < 0 ? -ENOTCONN : run(front, features, queues, count, true);
}

/* `base` is where it stopped. */
static int stop_ring(struct vhost_front *front, unsigned int index, uint16_t *base)
{
	struct vhost_message message = {.payload.state.index = index};
	int error = enable_ring(front, index, false);

	if (!error)
		error = vhost_front_send(front, &message, VHOST_USER_GET_VRING_BASE,
		                         sizeof(message.payload.state));
	if (!error)
		error = vhost_front_receive(front, &message, VHOST_USER_GET_VRING_BASE,
		                            sizeof(message.payload.state));
	if (!error && message.payload.state.index != index)
		error = vhost_front_fail(front, -EPROTO, "it stopped another ring");
	if (!error)
		*base = (uint16_t)message.payload.state.num;
	return error;
}

int vhost_front_stop(struct vhost_front *front)
{
	struct vhost_message message = {};
	uint16_t base;
	int error = front->socket < 0 ? -ENOTCONN : 0;

	vhost_front_inflight_drop(front); /* its rings end here: nobody goes on where it stopped */
	vhost_front_begin(front);
	for (unsigned int i = 0; i < VHOST_FRONT_QUEUES_MAX && !error; i++)
		if (front->running & 1u << i)
			error = stop_ring(front, i, &base);
	front->running = 0;
	if (!error) { /* what a ring signalled belongs to the run that is over */
		vhost_front_errors_forget(front);
		eventfd_drain(front->error_event);
	}
	if (!error)
		error = send_status(front, 0);
	if (!error && vhost_front_has(front, VHOST_USER_PROTOCOL_F_RESET_DEVICE))
		error = vhost_front_send(front, &message, VHOST_USER_RESET_DEVICE, 0);
	vhost_front_finish(front);
	return error;
}

int vhost_front_kick(struct vhost_front *front, unsigned int index,
                     const struct vhost_front_queue *queue)
{
	uint16_t base = 0;
	int error;

	if (!(front->running & 1u << index))
		return -ENOTCONN;
	vhost_front_begin(front);
	/* Some take a kick eventfd for a ring that is stopped only (QEMU's virtiofsd). */
	error = stop_ring(front, index, &base);
	if (!error)
		error = send_ring(front, index, queue, base);
	if (!error)
		error = enable_ring(front, index, true);
	vhost_front_finish(front);
	return error;
}
