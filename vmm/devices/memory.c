/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table is short (a vmm shares one or two regions), so a linear look from the front is as quick
 * as anything. All ends are checked at map time not to overflow, which makes every later check one
 * subtraction and two comparisons.
 */
#include "vmm/devices/memory.h"

#include <stdbool.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"

static bool ranges_meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static const char *region_refused(const struct device_memory *memory, uint64_t guest, uint64_t size,
                                  uint64_t user)
{
	uint64_t end;

	if (size == 0)
		return "the region is empty";
	if (__builtin_add_overflow(guest, size, &end) || __builtin_add_overflow(user, size, &end))
		return "the region wraps around the address space";
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];

		if (ranges_meet(guest, size, r->guest, r->size))
			return "the region overlaps another";
		if (ranges_meet(user, size, r->user, r->size))
			return "the region overlaps another in the front end's addresses";
	}
	return NULL;
}

/*
 * mmap() and munmap() are in every list already, without PROT_EXEC.
 * #syscall device: fstat - a memory region must fit into the file that holds it
 * #syscall device: newfstatat(arg3 = AT_EMPTY_PATH) - the same, as the C library asks it
 * #syscall device: madvise(arg2 = MADV_DONTDUMP) - keeps guest memory out of core dumps
 */
int device_memory_add(struct device_memory *memory, uint64_t guest, uint64_t size, uint64_t user,
                      uint64_t offset, int fd, const char **why)
{
	struct device_region *r = &memory->region[memory->count];
	uint64_t end, start, block;
	struct stat st;
	void *map;

	*why = "the table is full";
	if (memory->count == DEVICE_MEMORY_REGIONS)
		return -ENOSPC;
	*why = region_refused(memory, guest, size, user);
	if (*why)
		return -EINVAL;
	*why = "its file cannot be examined";
	if (fstat(fd, &st) < 0)
		return -errno;
	*why = "the region reaches past the end of its file";
	if (__builtin_add_overflow(offset, size, &end) || st.st_size < 0 ||
	    end > (uint64_t)st.st_size)
		return -EINVAL;

	/* A hugetlbfs file can be mapped only in whole huge pages: that is its block size. */
	block = st.st_blksize > 0 && st.st_blksize % DEVICE_PAGE == 0 ? (uint64_t)st.st_blksize
	                                                              : DEVICE_PAGE;
	start = offset - offset % block;
	*why = "it cannot be mapped";
	map = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
	           (off_t)start);
	if (map == MAP_FAILED)
		return -errno;
	(void)madvise(map, end - start, MADV_DONTDUMP); /* a kernel without it only dumps more */

	*r = (struct device_region){
	        .guest = guest,
	        .size = size,
	        .user = user,
	        .host = (uint8_t *)map + (offset - start),
	        .map = map,
	        .map_size = end - start,
	};
	memory->count++;
	*why = NULL;
	return 0;
}

int device_memory_remove(struct device_memory *memory, uint64_t guest, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		struct device_region *r = &memory->region[i];

		if (r->guest != guest || r->size != size)
			continue;
		munmap(r->map, r->map_size);
		*r = memory->region[--memory->count];
		return 0;
	}
	return -ENOENT;
}

void device_memory_clear(struct device_memory *memory)
{
	for (unsigned int i = 0; i < memory->count; i++)
		munmap(memory->region[i].map, memory->region[i].map_size);
	memory->count = 0;
}

void *device_memory_at(const struct device_memory *memory, uint64_t guest, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];
		uint64_t into = guest - r->guest;

		if (guest >= r->guest && into < r->size && size <= r->size - into)
			return r->host + into;
	}
	return NULL;
}

void *device_memory_at_user(const struct device_memory *memory, uint64_t user, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];
		uint64_t into = user - r->user;

		if (user >= r->user && into < r->size && size <= r->size - into)
			return r->host + into;
	}
	return NULL;
}

/*
 * A hole in the file, which the kernel makes smaller by itself where its pages are larger than ours.
 *
 * #syscall balloon: madvise(arg2 = MADV_REMOVE) - gives pages that the guest gave up back to the host
 */
int64_t device_memory_discard(void *host, uint64_t size)
{
	uint64_t skip = -(uintptr_t)host % DEVICE_PAGE;

	if (size < skip)
		return 0;
	size = (size - skip) / DEVICE_PAGE * DEVICE_PAGE;
	if (size > 0 && madvise((uint8_t *)host + skip, size, MADV_REMOVE) < 0)
		return -errno;
	return (int64_t)size;
}

int device_memory_split(const struct device_memory *memory, uint64_t guest, uint64_t size,
                        struct iovec *list, unsigned int max)
{
	unsigned int used = 0;

	while (size > 0) {
		const struct device_region *r = NULL;
		uint64_t into = 0, piece;

		for (unsigned int i = 0; i < memory->count && !r; i++) {
			into = guest - memory->region[i].guest;
			if (guest >= memory->region[i].guest && into < memory->region[i].size)
				r = &memory->region[i];
		}
		if (!r)
			return -EFAULT;
		if (used == max)
			return -E2BIG;
		piece = BASE_MIN(size, r->size - into);
		list[used++] = (struct iovec){.iov_base = r->host + into, .iov_len = piece};
		guest += piece; /* at most the region's end, which is known not to overflow */
		size -= piece;
	}
	return (int)used;
}
