// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * iobus: the address decoder for ports and for MMIO. Nothing is allocated: a guest that moves its
 * BARs about can fill the table at most up to its fixed size.
 */
#include "vmm/iobus.h"

#include <errno.h>
#include <string.h>

/* The first range whose last address is not below `address`; count when there is none. */
static size_t iobus_find(const struct iobus *bus, uint64_t address)
{
	size_t low = 0, high = bus->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (bus->ranges[middle].last < address)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int iobus_add(struct iobus *bus, uint64_t base, uint64_t size, const struct machine_io_ops *ops,
              void *self)
{
	uint64_t last;
	size_t at;

	if (size == 0 || __builtin_add_overflow(base, size - 1, &last))
		return -EINVAL;
	at = iobus_find(bus, base);
	if (at < bus->count && bus->ranges[at].base <= last)
		return -EEXIST;
	if (bus->count == IOBUS_RANGES_MAX)
		return -ENOSPC;
	memmove(&bus->ranges[at + 1], &bus->ranges[at], (bus->count - at) * sizeof(bus->ranges[0]));
	bus->ranges[at] = (struct iobus_range){base, last, ops, self};
	bus->count++;
	return 0;
}

int iobus_remove(struct iobus *bus, uint64_t base)
{
	size_t at = iobus_find(bus, base);

	if (at == bus->count || bus->ranges[at].base != base)
		return -ENOENT;
	bus->count--;
	memmove(&bus->ranges[at], &bus->ranges[at + 1], (bus->count - at) * sizeof(bus->ranges[0]));
	return 0;
}

static const struct iobus_range *iobus_lookup(const struct iobus *bus, uint64_t address,
                                              unsigned int size)
{
	const struct iobus_range *range;
	uint64_t last;
	size_t at;

	if (size == 0 || size > 8 || (size & (size - 1)) != 0 ||
	    __builtin_add_overflow(address, size - 1, &last))
		return NULL;
	at = iobus_find(bus, address);
	if (at == bus->count)
		return NULL;
	range = &bus->ranges[at];
	return range->base <= address && last <= range->last ? range : NULL;
}

bool iobus_read(const struct iobus *bus, uint64_t address, void *data, unsigned int size)
{
	const struct iobus_range *range = iobus_lookup(bus, address, size);

	memset(data, 0xff, size);
	if (!range)
		return false;
	range->ops->read(range->self, address - range->base, data, size);
	return true;
}

bool iobus_write(const struct iobus *bus, uint64_t address, const void *data, unsigned int size)
{
	const struct iobus_range *range = iobus_lookup(bus, address, size);

	if (!range)
		return false;
	range->ops->write(range->self, address - range->base, data, size);
	return true;
}
