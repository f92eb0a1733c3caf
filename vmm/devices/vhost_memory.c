/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The vhost-user requests that are about memory: guest memory itself, the dirty log, and the record of what
 * is in flight. Rings are stopped while what they point into changes.
 */
#include "vmm/devices/vhost_handle.h"

#include <fcntl.h>
#include <sys/mman.h>

/* Stops the rings that run and says which; memory can then change under them. */
static uint32_t rings_hold(struct vhost_back *back)
{
	uint32_t held = 0;

	for (unsigned int i = 0; i < back->ops->queues; i++) {
		held |= back->queue[i].started ? 1u << i : 0;
		vhost_queue_stop(back, i);
	}
	return held;
}

static int rings_resume(struct vhost_back *back, uint32_t held)
{
	int error = 0;

	for (unsigned int i = 0; i < back->ops->queues && error == 0; i++)
		if (held & 1u << i)
			error = vhost_queue_start(back, i);
	return error;
}

static int region_add(struct vhost_back *back, const struct vhost_user_region *r, int fd)
{
	const char *why;
	int error = device_memory_add(&back->memory, r->guest_address, r->size, r->user_address,
	                              r->mmap_offset, fd, &why);

	if (error < 0)
		device_log(back->ops->name, "guest memory 0x%llx of 0x%llx bytes is refused: %s",
		           (unsigned long long)r->guest_address, (unsigned long long)r->size, why);
	return error;
}

int vhost_set_mem_table(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_memory *table = &m->payload.memory;
	uint32_t held;

	if (m->header.size < VHOST_USER_MEMORY_SIZE(0) || table->region_count == 0 ||
	    table->region_count > VHOST_USER_REGIONS_MAX ||
	    m->header.size < VHOST_USER_MEMORY_SIZE(table->region_count))
		return vhost_refuse(back, "the memory table has a wrong size", m->header.size);
	if (m->fd_count != table->region_count)
		return vhost_refuse(back, "not one fd for each memory region", m->fd_count);
	held = rings_hold(back);
	device_memory_clear(&back->memory);
	for (uint32_t i = 0; i < table->region_count; i++) {
		int error = region_add(back, &table->regions[i], m->fds[i]);

		if (error < 0)
			return error;
	}
	return rings_resume(back, held);
}

int vhost_get_max_mem_slots(struct vhost_back *back, struct vhost_message *m)
{
	return vhost_answer_u64(back, m, DEVICE_MEMORY_REGIONS);
}

int vhost_add_mem_region(struct vhost_back *back, struct vhost_message *m)
{
	return region_add(back, &m->payload.region.region, m->fds[0]);
}

int vhost_remove_mem_region(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_region *r = &m->payload.region.region;
	uint32_t held = rings_hold(back);

	if (device_memory_remove(&back->memory, r->guest_address, r->size, r->user_address) < 0)
		return vhost_refuse(back, "there is no such memory region", r->guest_address);
	return rings_resume(back, held);
}

/* Logging is for a front end that asked for it and said where. */
void vhost_log_update(struct vhost_back *back)
{
	back->memory.logging =
	        back->memory.log.bytes && back->features & VHOST_USER_BIT(VHOST_F_LOG_ALL);
}

int vhost_set_log_base(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_log *log = &m->payload.log;
	const char *why;
	int error;

	if (m->fd_count != 1 ||
	    !(back->protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_LOG_SHMFD)))
		return vhost_refuse(back, "a dirty log that was not negotiated, or no fd",
		                    m->fd_count);
	error = device_memory_log_set(&back->memory, m->fds[0], log->offset, log->size, &why);
	if (error < 0) {
		device_log(back->ops->name, "the dirty log of 0x%llx bytes is refused: %s",
		           (unsigned long long)log->size, why);
		return error;
	}
	vhost_log_update(back);
	vhost_message_close(m); /* else it would go back with the answer */
	return vhost_answer_u64(back, m, 0);
}

/*
 * Which pages the guest shares. Rings that run go on, and are looked at again: what they lie in may be
 * private by this map.
 */
int vhost_set_shared_map(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_log *map = &m->payload.log;
	uint32_t held;
	const char *why;
	int error;

	if (m->fd_count != 1 ||
	    !(back->protocol_features & VHOST_USER_BIT(VHOST_USER_PROTOCOL_F_SHARED_MAP)))
		return vhost_refuse(back, "a map of shared pages that was not negotiated, or no fd",
		                    m->fd_count);
	held = rings_hold(back);
	error = device_memory_shared_set(&back->memory, m->fds[0], map->offset, map->size, &why);
	if (error < 0) {
		device_log(back->ops->name,
		           "the map of shared pages of 0x%llx bytes is refused: %s",
		           (unsigned long long)map->size, why);
		return error;
	}
	return rings_resume(back, held);
}

int vhost_set_log_fd(struct vhost_back *back, struct vhost_message *m)
{
	base_close(&back->log_fd);
	if (m->fd_count == 1)
		back->log_fd = base_take_fd(&m->fds[0]);
	return 0;
}

static bool inflight_fits(const struct vhost_back *back, const struct vhost_user_inflight *i)
{
	return back->ops->inflight && i->queue_count > 0 && i->queue_count <= back->ops->queues &&
	       i->queue_size > 0 && i->queue_size <= VRING_SIZE_MAX;
}

/*
 * The front end keeps the memory, and gives it to each back end that serves the device, this one first.
 *
 * #syscall blk: memfd_create(arg1 = MFD_CLOEXEC|MFD_ALLOW_SEALING) - the record of what is in flight
 * #syscall blk: ftruncate - gives it its size
 * #syscall blk: fcntl(arg1 = F_ADD_SEALS, arg2 = F_SEAL_SHRINK|F_SEAL_GROW|F_SEAL_SEAL) - for good
 */
static int inflight_make(uint64_t size)
{
	int fd BASE_AUTO_FD = memfd_create("inflight", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	return base_take_fd(&fd);
}

int vhost_get_inflight_fd(struct vhost_back *back, struct vhost_message *m)
{
	struct vhost_user_inflight *i = &m->payload.inflight;
	int fd;

	if (!inflight_fits(back, i))
		return vhost_refuse(back,
		                    "a record of what is in flight for rings that there are not",
		                    i->queue_count);
	i->mmap_size = i->queue_count * inflight_bytes(i->queue_size);
	i->mmap_offset = 0;
	fd = inflight_make(i->mmap_size);
	if (fd < 0)
		return vhost_refuse(back, "no memory for what is in flight", i->mmap_size);
	m->fds[0] = fd;
	m->fd_count = 1;
	return vhost_answer(back, m, sizeof(*i));
}

int vhost_set_inflight_fd(struct vhost_back *back, struct vhost_message *m)
{
	const struct vhost_user_inflight *i = &m->payload.inflight;
	uint64_t bytes = inflight_bytes(i->queue_size);
	const char *why;
	uint32_t held;
	int error;

	if (!inflight_fits(back, i) || m->fd_count != 1 || i->mmap_size < i->queue_count * bytes)
		return vhost_refuse(back, "a record of what is in flight that does not fit",
		                    i->mmap_size);
	held = rings_hold(back);
	vhost_inflight_drop(back);
	error = device_mapping_make(&back->inflight, m->fds[0], i->mmap_offset, i->mmap_size, true,
	                            &why);
	if (error < 0) {
		device_log(back->ops->name, "the record of what is in flight is refused: %s", why);
		return error;
	}
	for (unsigned int q = 0; q < i->queue_count; q++)
		if (inflight_attach(&back->queue[q].ring.inflight, back->inflight.bytes + q * bytes,
		                    i->queue_size) < 0)
			return vhost_refuse(back, "no record of what is in flight in ring", q);
	return rings_resume(back, held);
}

void vhost_inflight_drop(struct vhost_back *back)
{
	for (unsigned int i = 0; i < back->ops->queues; i++)
		back->queue[i].ring.inflight = (struct inflight){};
	device_mapping_drop(&back->inflight);
}
