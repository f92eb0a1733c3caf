/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memory: guest memory as a device process sees it: the regions that the front end shared, mapped
 * here. Every address that a guest wrote becomes a host pointer in this file or not at all. While the
 * guest is migrated, each page of it that is written is marked in the front end's dirty log.
 *
 * A guest with private memory shares some pages of it, and the front end keeps a map of them, a bit a page,
 * that is mapped here read-only. What is not wholly shared is then treated as what is not there. The check
 * comes first and the use later, and between them the guest may take the page back. That gives nothing
 * away: its private memory is other pages (KVM's guest_memfd), which no process has mapped. What is mapped
 * here is the shared memory behind the same address: the vmm has KVM give the guest the private page, takes the
 * bit away, and punches the shared one out of its file (vmm/private.c). A late read finds what the guest had shared, or
 * zeros, and a late write lands in a page that the guest does not see while its own is private.
 */
#ifndef CORDON_VMM_DEVICES_MEMORY_H
#define CORDON_VMM_DEVICES_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "vmm/devices/mapping.h"

enum { DEVICE_MEMORY_REGIONS = 32, DEVICE_PAGE = 4096 };

struct device_region {
	uint64_t guest; /* guest-physical address of its first byte */
	uint64_t size;
	uint64_t user; /* the same byte in the front end's address space: ring addresses use it */
	uint8_t *host; /* the same byte here */
	struct device_mapping mapping;
};

struct device_memory {
	unsigned int count;
	struct device_region region[DEVICE_MEMORY_REGIONS];
	struct device_mapping log;    /* a bit a page of guest memory */
	bool logging;                 /* what is written is to be marked there */
	struct device_mapping shared; /* a bit a page that the guest shares; not mapped: all are */
};

/*
 * Maps one more region from `offset` of `fd`; the fd stays the caller's. -EINVAL for an empty, overflowing
 * or overlapping region, -ENOSPC when the table is full, -ERANGE when the dirty log does not reach that
 * far, else as device_mapping_make(); *why then is one static phrase.
 */
int device_memory_add(struct device_memory *memory, uint64_t guest, uint64_t size, uint64_t user,
                      uint64_t offset, int fd, const char **why);

/* Unmaps the region with these two addresses and this size. -ENOENT when there is none. */
int device_memory_remove(struct device_memory *memory, uint64_t guest, uint64_t size,
                         uint64_t user);

/* Unmaps every region; the log and the map of shared pages stay. */
void device_memory_clear(struct device_memory *memory);

/* [guest, guest + size), when it lies wholly inside one region and is shared; else NULL. */
void *device_memory_at(const struct device_memory *memory, uint64_t guest, uint64_t size);

/*
 * For an address of the front end's own, which rings have: that, shared or not, and the guest's address for
 * device_memory_is_shared(), as a ring is there longer than one look at the map is worth.
 */
void *device_memory_at_user(const struct device_memory *memory, uint64_t user, uint64_t size,
                            uint64_t *guest);

/*
 * Gives what the host keeps behind the whole pages of [host, host + size) back to it; the range is one of
 * device_memory_split(). Everybody who has this memory mapped finds zeros there. Returns the bytes of those
 * pages, or a negative errno.
 */
int64_t device_memory_discard(void *host, uint64_t size);

/*
 * Splits [guest, guest + size) into at most `max` pieces at region borders. Returns how many, -EFAULT
 * when a byte of it is outside, -EACCES when one is private, -E2BIG when `max` are not enough.
 */
int device_memory_split(const struct device_memory *memory, uint64_t guest, uint64_t size,
                        struct iovec *list, unsigned int max);

/*
 * Takes `size` bytes from `offset` of `fd` as the dirty log, in place of the one that there is. -ERANGE
 * when it is too short for a region, else as device_mapping_make().
 */
int device_memory_log_set(struct device_memory *memory, int fd, uint64_t offset, uint64_t size,
                          const char **why);

/*
 * Takes `size` bytes from `offset` of `fd` as the map of shared pages, in place of the one that there is. A
 * page beyond it is private. Errors as of device_mapping_make().
 */
int device_memory_shared_set(struct device_memory *memory, int fd, uint64_t offset, uint64_t size,
                             const char **why);

/* Whether the guest shares all of [guest, guest + size); always, without a map. */
bool device_memory_is_shared(const struct device_memory *memory, uint64_t guest, uint64_t size);

/* Marks [guest, guest + size) in the log. What the log has no bit for is passed over. */
void device_memory_mark(const struct device_memory *memory, uint64_t guest, uint64_t size);

/* The same for pointers that device_memory_at() or device_memory_split() gave. Only while `logging`. */
void device_memory_mark_host(const struct device_memory *memory, const void *host, uint64_t size);

/* To be called after the first `bytes` of the buffers in `list` were written. */
static inline void device_memory_wrote(const struct device_memory *memory, const struct iovec *list,
                                       unsigned int count, uint64_t bytes)
{
	if (!memory->logging)
		return;
	for (unsigned int i = 0; i < count && bytes > 0; i++) {
		uint64_t part = list[i].iov_len < bytes ? list[i].iov_len : bytes;

		device_memory_mark_host(memory, list[i].iov_base, part);
		bytes -= part;
	}
}

#endif
