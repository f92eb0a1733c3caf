/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Touching a page beyond the end of a mapped file is SIGBUS, and whoever holds the file can move its end.
 * So only a file that is sealed against that is mapped: a memfd that has F_SEAL_SHRINK, or takes it now.
 * A plain file, on /dev/shm or on hugetlbfs, cannot be sealed, and is refused. The size is looked at after
 * the seal.
 */
#include "vmm/devices/mapping.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"

/*
 * #syscall device: fcntl(arg1 = F_GET_SEALS) - shared memory may not be able to shrink
 * #syscall device: fcntl(arg1 = F_ADD_SEALS, arg2 = F_SEAL_SHRINK) - and is kept from it
 */
static bool cannot_shrink(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & F_SEAL_SHRINK || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0);
}

/*
 * mmap() and munmap() are in every list already, without PROT_EXEC.
 * #syscall device: fstat - what is mapped must fit into the file that holds it
 * #syscall device: newfstatat(arg3 = AT_EMPTY_PATH) - the same, as the C library asks it
 * #syscall device: madvise(arg2 = MADV_DONTDUMP) - keeps guest memory out of core dumps
 */
int device_mapping_make(struct device_mapping *m, int fd, uint64_t offset, uint64_t size,
                        bool writable, const char **why)
{
	uint64_t end, start, block;
	struct stat st;
	void *map;

	*why = "its file can be made shorter: it is no memfd, or is sealed otherwise";
	if (!cannot_shrink(fd))
		return -EPERM;
	*why = "its file cannot be examined";
	if (fstat(fd, &st) < 0)
		return -errno;
	*why = "it reaches past the end of its file";
	if (size == 0 || __builtin_add_overflow(offset, size, &end) || st.st_size < 0 ||
	    end > (uint64_t)st.st_size)
		return -EINVAL;

	/* A hugetlbfs file can be mapped only in whole huge pages: that is its block size. */
	block = st.st_blksize > 0 && st.st_blksize % 4096 == 0 ? (uint64_t)st.st_blksize : 4096;
	start = offset - offset % block;
	*why = "it cannot be mapped";
	map = mmap(NULL, end - start, PROT_READ | (writable ? PROT_WRITE : 0),
	           MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
	if (map == MAP_FAILED)
		return -errno;
	(void)madvise(map, end - start, MADV_DONTDUMP); /* a kernel without it only dumps more */

	*m = (struct device_mapping){
	        .bytes = (uint8_t *)map + (offset - start),
	        .size = size,
	        .map = map,
	        .map_size = end - start,
	};
	*why = NULL;
	return 0;
}

void device_mapping_drop(struct device_mapping *m)
{
	if (m->bytes)
		munmap(m->map, m->map_size);
	*m = (struct device_mapping){};
}
