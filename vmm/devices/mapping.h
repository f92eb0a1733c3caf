/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping: a part of a file that the front end sent: guest memory, the dirty log, the record of what is in
 * flight, and for reading only the map of shared pages.
 */
#ifndef CORDON_VMM_DEVICES_MAPPING_H
#define CORDON_VMM_DEVICES_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device_mapping {
	uint8_t *bytes; /* what was asked for; NULL: nothing is mapped */
	uint64_t size;
	void *map; /* what was mapped: starts at or before bytes */
	size_t map_size;
};

/*
 * Maps [offset, offset + size) of `fd`, for reading and perhaps for writing, shared and never executable, out
 * of core dumps; the fd stays the caller's. -EINVAL when the file does not hold it, -EPERM when the file might become shorter, else mmap's
 * errno; *why then is one static phrase.
 */
int device_mapping_make(struct device_mapping *mapping, int fd, uint64_t offset, uint64_t size,
                        bool writable, const char **why);

/* Unmaps it, if something is mapped. */
void device_mapping_drop(struct device_mapping *mapping);

#endif
