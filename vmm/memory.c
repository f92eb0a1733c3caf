// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory: guest RAM is one memfd, mapped once, shared with the device processes. RAM ends at the PCI
 * hole; the rest of the file goes on at 4 GiB. The seals are what makes a host pointer safe: without
 * F_SEAL_SHRINK anyone with the fd could truncate it under us (SIGBUS).
 *
 * Firmware is memory too, but none that devices see: it is the vmm's own, behind no fd.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include "base/base.h"
#include "vmm/vm.h"

enum { MEMORY_PAGE = 4096 };
#define MEMORY_MIN (2ull << 20)
#define MEMORY_MAX (1ull << 40)

static int memory_check(int memfd, uint64_t size, char *why)
{
	struct stat status;
	int seals;

	if (size < MEMORY_MIN || size > MEMORY_MAX || size % MEMORY_PAGE != 0)
		return why_set(why, -EINVAL,
		               "memory is %llu bytes; expected 2 MiB to 1 TiB in whole pages",
		               (unsigned long long)size);
	if (fstat(memfd, &status) < 0)
		return why_set(why, -errno, "memory fd %d cannot be examined", memfd);
	if ((uint64_t)status.st_size != size)
		return why_set(why, -EINVAL, "memory fd %d holds %lld bytes; expected %llu", memfd,
		               (long long)status.st_size, (unsigned long long)size);
	seals = fcntl(memfd, F_GET_SEALS);
	if (seals < 0 || (seals & (F_SEAL_SHRINK | F_SEAL_GROW)) != (F_SEAL_SHRINK | F_SEAL_GROW))
		return why_set(why, -EPERM,
		               "memory fd %d is not a memfd sealed against shrinking and growing",
		               memfd);
	return 0;
}

/*
 * Of a memfd the policy is the file's, and so every process' that touches the page first; of one of huge
 * pages it is this mapping's. There a page that the node has not got would be a fault at any later time,
 * so all are taken now.
 */
static int memory_bind(int node, void *host, uint64_t size, bool huge, char *why)
{
	unsigned long nodes[VM_NODES_MAX / (8 * sizeof(long))] = {0};

	if (node < 0)
		return 0;
	nodes[(size_t)node / (8 * sizeof(long))] |= 1ul << (size_t)node % (8 * sizeof(long));
	if (syscall(SYS_mbind, host, size, MPOL_BIND, nodes, VM_NODES_MAX + 1, 0) < 0)
		return why_set(why, -errno, "guest memory cannot be bound to NUMA node %d: %s",
		               node, strerror(errno));
	if (huge && madvise(host, size, MADV_POPULATE_WRITE) < 0)
		return why_set(why, -errno, "NUMA node %d has not enough huge pages: %s", node,
		               strerror(errno));
	return 0;
}

int vm_memory_map(struct machine *m, int memfd, uint64_t size, char *why)
{
	uint64_t low = BASE_MIN(size, MACHINE_LOW_RAM_MAX);
	int error = memory_check(memfd, size, why);
	struct statfs status;
	char *host;

	if (error)
		return error;
	if (fstatfs(memfd, &status) < 0)
		return why_set(why, -errno, "memory fd %d cannot be examined", memfd);
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, memfd, 0);
	if (host == MAP_FAILED)
		return why_set(why, -errno, "guest memory cannot be mapped");
	madvise(host, size, MADV_DONTDUMP); /* guest secrets stay out of core files */
	/* Fewer exits at first touch, and shorter walks; where the host has none, small pages do. */
	madvise(host, size, MADV_HUGEPAGE);
	error = memory_bind(m->node, host, size, status.f_type == HUGETLBFS_MAGIC, why);
	if (error) {
		munmap(host, size);
		return error;
	}
	m->memfd = memfd;
	m->regions[0] = (struct machine_region){.guest = 0, .size = low, .offset = 0, .host = host};
	m->region_count = 1;
	if (size > low)
		m->regions[m->region_count++] = (struct machine_region){
		        .guest = MACHINE_HIGH_RAM_BASE,
		        .size = size - low,
		        .offset = low,
		        .host = host + low,
		};
	return 0;
}

int vm_rom_map(struct machine *m, uint64_t size, char *why)
{
	uint64_t after = 0;
	void *host;

	if (size == 0 || size > VM_ROM_MAX || size % MEMORY_PAGE != 0)
		return why_set(why, -EINVAL,
		               "the firmware has %llu bytes, where whole pages were expected, at "
		               "most %d MiB",
		               (unsigned long long)size, VM_ROM_MAX >> 20);
	host = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (host == MAP_FAILED)
		return why_set(why, -errno, "no memory for %llu bytes of firmware",
		               (unsigned long long)size);
	madvise(host, size, MADV_DONTDUMP);
	for (size_t i = 0; i < m->region_count; i++)
		after += m->regions[i].size;
	/* in private memory it comes behind all else */
	m->rom = (struct machine_region){
	        .guest = MACHINE_HIGH_RAM_BASE - size, .size = size, .offset = after, .host = host};
	return 0;
}

void vm_memory_unmap(struct machine *m)
{
	uint64_t size = 0;

	if (m->rom.size > 0)
		munmap(m->rom.host, m->rom.size);
	m->rom.size = 0;
	for (size_t i = 0; i < m->region_count; i++)
		size += m->regions[i].size;
	if (size > 0)
		munmap(m->regions[0].host, size);
	m->region_count = 0;
}

void *machine_memory(const struct machine *m, uint64_t guest, uint64_t size)
{
	for (size_t i = 0; i < m->region_count; i++) {
		const struct machine_region *region = &m->regions[i];

		if (guest >= region->guest && guest - region->guest <= region->size &&
		    size <= region->size - (guest - region->guest))
			return (char *)region->host + (guest - region->guest);
	}
	return NULL;
}

size_t machine_regions(const struct machine *m, struct machine_region list[2])
{
	memcpy(list, m->regions, m->region_count * sizeof(list[0]));
	return m->region_count;
}

int machine_memfd(const struct machine *m)
{
	return m->memfd;
}
