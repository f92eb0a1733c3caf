/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The recording machine: every table is searched from its start, as all of them are tiny. */
#include "tests/unit/virtio_fake.h"

#include <poll.h>
#include <stdarg.h>
#include <sys/mman.h>

#include "base/base.h"

struct machine *fake_machine_create(void)
{
	struct machine *m = calloc(1, sizeof(*m));

	m->memfd = memfd_create("fake-guest", MFD_CLOEXEC);
	if (m->memfd < 0 || ftruncate(m->memfd, FAKE_LOW_RAM + FAKE_HIGH_RAM) != 0)
		abort();
	m->memory = mmap(NULL, FAKE_LOW_RAM + FAKE_HIGH_RAM, PROT_READ | PROT_WRITE, MAP_SHARED,
	                 m->memfd, 0);
	if (m->memory == MAP_FAILED)
		abort();
	m->gsi_count = MACHINE_GSI_PINS;
	m->shared_map = -1;
	return m;
}

void fake_machine_destroy(struct machine *m)
{
	if (m->range_count || m->irqfd_count || m->doorbell_count || m->watch_count)
		abort();
	munmap(m->memory, FAKE_LOW_RAM + FAKE_HIGH_RAM);
	close(m->memfd);
	free(m);
}

/* ---- the machine's side ---- */

int machine_io_add(struct machine *m, enum machine_space space, uint64_t base, uint64_t size,
                   const struct machine_io_ops *ops, void *self)
{
	for (size_t i = 0; i < m->range_count; i++) {
		struct fake_range *range = &m->ranges[i];

		if (range->space == space && base < range->base + range->size &&
		    range->base < base + size)
			return -EEXIST;
	}
	if (m->range_count == FAKE_RANGES)
		return -ENOSPC;
	m->ranges[m->range_count++] = (struct fake_range){space, base, size, ops, self};
	return 0;
}

int machine_io_remove(struct machine *m, enum machine_space space, uint64_t base)
{
	for (size_t i = 0; i < m->range_count; i++) {
		if (m->ranges[i].space != space || m->ranges[i].base != base)
			continue;
		m->ranges[i] = m->ranges[--m->range_count];
		return 0;
	}
	return -ENOENT;
}

void *machine_memory(const struct machine *m, uint64_t guest, uint64_t size)
{
	struct machine_region list[2];
	size_t count = machine_regions(m, list);

	for (size_t i = 0; i < count; i++)
		if (guest >= list[i].guest && guest - list[i].guest <= list[i].size &&
		    size <= list[i].size - (guest - list[i].guest))
			return (uint8_t *)list[i].host + (guest - list[i].guest);
	return NULL;
}

size_t machine_regions(const struct machine *m, struct machine_region list[2])
{
	list[0] = (struct machine_region){0, FAKE_LOW_RAM, 0, m->memory};
	list[1] = (struct machine_region){MACHINE_HIGH_RAM_BASE, FAKE_HIGH_RAM, FAKE_LOW_RAM,
	                                  m->memory + FAKE_LOW_RAM};
	return 2;
}

int machine_memfd(const struct machine *m)
{
	return m->memfd;
}

int machine_shared_map(const struct machine *m, uint64_t *size)
{
	*size = (MACHINE_HIGH_RAM_BASE + FAKE_HIGH_RAM) / 4096 / 8;
	return m->shared_map;
}

bool machine_hidden(const struct machine *m)
{
	return m->hidden || m->shared_map >= 0;
}

bool machine_shared(const struct machine *m, uint64_t guest, uint64_t size)
{
	return machine_memory(m, guest, size) &&
	       (guest >= m->private_end || guest + size <= m->private);
}

int machine_msi_alloc(struct machine *m)
{
	return m->gsi_count < FAKE_GSIS ? m->gsi_count++ : -ENOSPC;
}

int machine_msi_set(struct machine *m, int gsi, uint64_t address, uint32_t data)
{
	m->gsis[gsi].address = address;
	m->gsis[gsi].data = data;
	m->gsis[gsi].set++;
	return 0;
}

int machine_irqfd(struct machine *m, int eventfd, int gsi, bool assign)
{
	for (size_t i = 0; i < m->irqfd_count; i++) {
		if (m->irqfds[i].fd != eventfd)
			continue;
		if (assign)
			return -EBUSY; /* as KVM has it: one fd, one route */
		if (m->irqfds[i].gsi != gsi)
			continue;
		m->irqfds[i] = m->irqfds[--m->irqfd_count];
		return 0;
	}
	if (!assign)
		return -ENOENT;
	if (m->irqfd_count == FAKE_IRQFDS)
		return -ENOSPC;
	m->irqfds[m->irqfd_count++] = (struct fake_irqfd){eventfd, gsi};
	return 0;
}

int machine_ioeventfd(struct machine *m, uint64_t address, unsigned int size, int eventfd,
                      bool assign)
{
	for (size_t i = 0; i < m->doorbell_count; i++) {
		if (m->doorbells[i].address != address)
			continue;
		if (assign)
			return -EEXIST;
		m->doorbells[i] = m->doorbells[--m->doorbell_count];
		return 0;
	}
	if (!assign)
		return -ENOENT;
	if (m->doorbell_count == FAKE_DOORBELLS)
		return -ENOSPC;
	m->doorbells[m->doorbell_count++] = (struct fake_doorbell){address, size, eventfd};
	return 0;
}

int machine_watch(struct machine *m, int fd, uint32_t events, machine_ready_fn ready, void *self)
{
	(void)events;
	if (m->watch_count == FAKE_WATCHES)
		return -ENOSPC;
	m->watches[m->watch_count++] = (struct fake_watch){fd, ready, self};
	return 0;
}

int machine_unwatch(struct machine *m, int fd)
{
	for (size_t i = 0; i < m->watch_count; i++) {
		if (m->watches[i].fd != fd)
			continue;
		m->watches[i] = m->watches[--m->watch_count];
		return 0;
	}
	return -ENOENT;
}

void machine_end(struct machine *m, unsigned int end)
{
	(void)m;
	(void)end;
	abort(); /* nothing that is plugged in may end the VM */
}

void machine_reset(struct machine *m, const char *how)
{
	(void)how;
	m->resets++;
}

void machine_log(struct machine *m, const char *format, ...)
{
	char line[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	for (const char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			abort();
	m->log_lines++;
}

void machine_lock(struct machine *m)
{
	(void)m;
}

void machine_unlock(struct machine *m)
{
	(void)m;
}

/* ---- the test's side ---- */

static struct fake_range *range_at(struct machine *m, enum machine_space space, uint64_t address,
                                   unsigned int size)
{
	for (size_t i = 0; i < m->range_count; i++) {
		struct fake_range *range = &m->ranges[i];

		if (range->space == space && address >= range->base &&
		    address - range->base < range->size &&
		    size <= range->size - (address - range->base))
			return range;
	}
	return NULL;
}

bool fake_read(struct machine *m, enum machine_space space, uint64_t address, void *data,
               unsigned int size)
{
	struct fake_range *range = range_at(m, space, address, size);

	if (range)
		range->ops->read(range->self, address - range->base, data, size);
	else
		memset(data, 0xff, size);
	return range;
}

bool fake_write(struct machine *m, enum machine_space space, uint64_t address, const void *data,
                unsigned int size)
{
	struct fake_range *range = range_at(m, space, address, size);

	if (range)
		range->ops->write(range->self, address - range->base, data, size);
	return range;
}

uint64_t fake_get(struct machine *m, enum machine_space space, uint64_t address, unsigned int size)
{
	uint64_t value = 0;

	fake_read(m, space, address, &value, size);
	return value;
}

void fake_put(struct machine *m, enum machine_space space, uint64_t address, unsigned int size,
              uint64_t value)
{
	fake_write(m, space, address, &value, size);
}

int fake_irqfd_gsi(const struct machine *m, int fd)
{
	for (size_t i = 0; i < m->irqfd_count; i++)
		if (m->irqfds[i].fd == fd)
			return m->irqfds[i].gsi;
	return -1;
}

int fake_doorbell_fd(const struct machine *m, uint64_t address)
{
	for (size_t i = 0; i < m->doorbell_count; i++)
		if (m->doorbells[i].address == address)
			return m->doorbells[i].fd;
	return -1;
}

unsigned int fake_loop(struct machine *m)
{
	unsigned int ran = 0;

	for (size_t i = 0; i < m->watch_count; i++) {
		struct fake_watch watch = m->watches[i];
		struct pollfd entry = {.fd = watch.fd, .events = POLLIN | POLLRDHUP};

		if (poll(&entry, 1, 0) <= 0)
			continue;
		watch.ready(watch.self, (uint32_t)entry.revents);
		ran++;
	}
	return ran;
}
