/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The table is short (a vmm shares one or two regions), so a linear look from the front is as quick
 * as anything. All ends are checked at map time not to overflow, which makes every later check one
 * subtraction and two comparisons.
 */
#include "vmm/devices/memory.h"

#include <sys/mman.h>

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

/* Whether the log has a bit for every byte below `end`. */
static bool log_reaches(const struct device_mapping *log, uint64_t end)
{
	return !log->bytes || (end - 1) / DEVICE_PAGE / 8 < log->size;
}

int device_memory_add(struct device_memory *memory, uint64_t guest, uint64_t size, uint64_t user,
                      uint64_t offset, int fd, const char **why)
{
	struct device_region *r = &memory->region[memory->count];
	struct device_mapping mapping;
	int error;

	*why = "the table is full";
	if (memory->count == DEVICE_MEMORY_REGIONS)
		return -ENOSPC;
	*why = region_refused(memory, guest, size, user);
	if (*why)
		return -EINVAL;
	*why = "the dirty log does not reach that far";
	if (!log_reaches(&memory->log, guest + size))
		return -ERANGE;
	error = device_mapping_make(&mapping, fd, offset, size, true, why);
	if (error < 0)
		return error;
	*r = (struct device_region){
	        .guest = guest,
	        .size = size,
	        .user = user,
	        .host = mapping.bytes,
	        .mapping = mapping,
	};
	memory->count++;
	return 0;
}

int device_memory_remove(struct device_memory *memory, uint64_t guest, uint64_t size, uint64_t user)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		struct device_region *r = &memory->region[i];

		if (r->guest != guest || r->size != size || r->user != user)
			continue;
		device_mapping_drop(&r->mapping);
		*r = memory->region[--memory->count];
		return 0;
	}
	return -ENOENT;
}

void device_memory_clear(struct device_memory *memory)
{
	for (unsigned int i = 0; i < memory->count; i++)
		device_mapping_drop(&memory->region[i].mapping);
	memory->count = 0;
}

int device_memory_shared_set(struct device_memory *memory, int fd, uint64_t offset, uint64_t size,
                             const char **why)
{
	struct device_mapping map;
	int error = device_mapping_make(&map, fd, offset, size, false, why);

	if (error < 0)
		return error;
	device_mapping_drop(&memory->shared);
	memory->shared = map;
	return 0;
}

bool device_memory_is_shared(const struct device_memory *memory, uint64_t guest, uint64_t size)
{
	const struct device_mapping *map = &memory->shared;
	uint64_t last;

	if (!map->bytes || size == 0)
		return true;
	if (__builtin_add_overflow(guest, size - 1, &last) || last / DEVICE_PAGE / 8 >= map->size)
		return false;
	last /= DEVICE_PAGE;
	for (uint64_t page = guest / DEVICE_PAGE; page <= last;) {
		bool whole = page % 8 == 0 && last - page >= 7;
		unsigned int wanted = whole ? 0xff : 1u << page % 8;

		/* The vmm changes bits at any time: what counts is what they are now. */
		if ((__atomic_load_n(&map->bytes[page / 8], __ATOMIC_ACQUIRE) & wanted) != wanted)
			return false;
		page += whole ? 8 : 1;
	}
	return true;
}

void *device_memory_at(const struct device_memory *memory, uint64_t guest, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];
		uint64_t into = guest - r->guest;

		if (guest >= r->guest && into < r->size && size <= r->size - into)
			return device_memory_is_shared(memory, guest, size) ? r->host + into : NULL;
	}
	return NULL;
}

void *device_memory_at_user(const struct device_memory *memory, uint64_t user, uint64_t size,
                            uint64_t *guest)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];
		uint64_t into = user - r->user;

		if (user < r->user || into >= r->size || size > r->size - into)
			continue;
		*guest = r->guest + into;
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
		if (!device_memory_is_shared(memory, guest, piece))
			return -EACCES;
		list[used++] = (struct iovec){.iov_base = r->host + into, .iov_len = piece};
		guest += piece; /* at most the region's end, which is known not to overflow */
		size -= piece;
	}
	return (int)used;
}

int device_memory_log_set(struct device_memory *memory, int fd, uint64_t offset, uint64_t size,
                          const char **why)
{
	struct device_mapping log;
	int error = device_mapping_make(&log, fd, offset, size, true, why);

	if (error < 0)
		return error;
	*why = "the dirty log does not reach as far as guest memory";
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];

		if (log_reaches(&log, r->guest + r->size))
			continue;
		device_mapping_drop(&log);
		return -ERANGE;
	}
	device_mapping_drop(&memory->log);
	memory->log = log;
	return 0;
}

void device_memory_mark(const struct device_memory *memory, uint64_t guest, uint64_t size)
{
	const struct device_mapping *log = &memory->log;
	uint64_t end;

	if (!log->bytes || size == 0 || __builtin_add_overflow(guest, size - 1, &end))
		return;
	for (uint64_t page = guest / DEVICE_PAGE; page <= end / DEVICE_PAGE; page++) {
		if (page / 8 >= log->size)
			return;
		/* The front end takes bits away at any time. Release: the bytes were written before. */
		__atomic_fetch_or(&log->bytes[page / 8], (uint8_t)(1u << page % 8),
		                  __ATOMIC_RELEASE);
	}
}

void device_memory_mark_host(const struct device_memory *memory, const void *host, uint64_t size)
{
	for (unsigned int i = 0; i < memory->count; i++) {
		const struct device_region *r = &memory->region[i];
		uint64_t into = (uintptr_t)host - (uintptr_t)r->host;

		if ((uintptr_t)host >= (uintptr_t)r->host && into < r->size) {
			device_memory_mark(memory, r->guest + into, BASE_MIN(size, r->size - into));
			return;
		}
	}
}
