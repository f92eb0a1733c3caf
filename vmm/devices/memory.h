/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: guest memory as a device process sees it: the regions that the front end shared, mapped
 * here. Every address that a guest wrote becomes a host pointer in this file or not at all.
 */
#ifndef CORDON_VMM_DEVICES_MEMORY_H
#define CORDON_VMM_DEVICES_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { DEVICE_MEMORY_REGIONS = 8, DEVICE_PAGE = 4096 };

struct device_region {
	uint64_t guest; /* guest-physical address of its first byte */
	uint64_t size;
	uint64_t user; /* the same byte in the front end's address space: ring addresses use it */
	uint8_t *host; /* the same byte here */
	void *map;     /* what was mapped: starts at or before host */
	size_t map_size;
};

struct device_memory {
	unsigned int count;
	struct device_region region[DEVICE_MEMORY_REGIONS];
};

/*
 * Maps one more region from `offset` of `fd`, shared and never executable; the fd stays the caller's.
 * -EINVAL for an empty, overflowing or overlapping region or one that the file does not hold, -ENOSPC
 * when the table is full, else mmap's errno; *why then is one static phrase.
 */
int device_memory_add(struct device_memory *memory, uint64_t guest, uint64_t size, uint64_t user,
                      uint64_t offset, int fd, const char **why);

/* Unmaps the region that starts at `guest` and has this size. -ENOENT when there is none. */
int device_memory_remove(struct device_memory *memory, uint64_t guest, uint64_t size);

/* Unmaps everything. */
void device_memory_clear(struct device_memory *memory);

/* [guest, guest + size), when it lies wholly inside one region; else NULL. */
void *device_memory_at(const struct device_memory *memory, uint64_t guest, uint64_t size);

/* As device_memory_at(), for an address of the front end's own. */
void *device_memory_at_user(const struct device_memory *memory, uint64_t user, uint64_t size);

/*
 * Gives what the host keeps behind the whole pages of [host, host + size) back to it; the range is one of
 * device_memory_split(). Everybody who has this memory mapped finds zeros there. Returns the bytes of those
 * pages, or a negative errno.
 */
int64_t device_memory_discard(void *host, uint64_t size);

/*
 * Splits [guest, guest + size) into at most `max` pieces at region borders. Returns how many, -EFAULT
 * when a byte of it is outside, -E2BIG when `max` are not enough.
 */
int device_memory_split(const struct device_memory *memory, uint64_t guest, uint64_t size,
                        struct iovec *list, unsigned int max);

#endif
