/* SPDX-License-Identifier: GPL-2.0-or-later */
/* iobus: which register file answers an address. Sorted ranges of fixed number, found by halving. */
#ifndef CORDON_VMM_IOBUS_H
#define CORDON_VMM_IOBUS_H

#include "vmm/machine.h"

enum { IOBUS_RANGES_MAX = 96 };

struct iobus_range {
	uint64_t base, last; /* inclusive, so that the top of the address space needs no overflow */
	const struct machine_io_ops *ops;
	void *self;
};

struct iobus {
	size_t count;
	struct iobus_range ranges[IOBUS_RANGES_MAX];
};

/* 0; -EEXIST when it overlaps; -EINVAL for an empty or wrapping range; -ENOSPC. */
int iobus_add(struct iobus *bus, uint64_t base, uint64_t size, const struct machine_io_ops *ops,
              void *self);
/* The range that begins at `base`: 0 or -ENOENT. */
int iobus_remove(struct iobus *bus, uint64_t base);

/*
 * False when no single range holds all `size` bytes, or size is not 1, 2, 4 or 8: a read has then
 * given all-ones, a write has gone nowhere.
 */
bool iobus_read(const struct iobus *bus, uint64_t address, void *data, unsigned int size);
bool iobus_write(const struct iobus *bus, uint64_t address, const void *data, unsigned int size);

#endif
