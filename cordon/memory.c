// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * memory: a memfd of small (or transparent huge) pages costs nothing until the guest touches it. Huge pages of
 * the host's pool have to be there: a mapping that counts them reserves them for the file, for as long as
 * there is the file, so that no later touch of one can fail, whoever else takes from the pool.
 */
#include "cordon/memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>

#include "base/base.h"

#define MEMORY_POOL "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"

static int memory_read(const char *path, char *text, size_t size)
{
	BASE_AUTO_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return length < 0 ? -errno : 0;
}

/* Whether the kernel's list ("0-3,8") has the number. */
static bool memory_list_has(const char *list, unsigned long number)
{
	while (*list) {
		char *end;
		unsigned long first = strtoul(list, &end, 10), last = first;

		if (end == list)
			return false;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (number >= first && number <= last)
			return true;
		list = *end == ',' ? end + 1 : end;
	}
	return false;
}

void memory_node_cpus(const char *folder, int node, char list[MEMORY_CPULIST_MAX])
{
	char path[POLICY_PATH_MAX];

	snprintf(path, sizeof(path), "%s/node%d/cpulist", folder, node);
	memory_read(path, list, MEMORY_CPULIST_MAX);
}

/* The node of a CPU, or -1. */
static int memory_cpu_node(const char *folder, const char *nodes, unsigned int cpu)
{
	char cpus[MEMORY_CPULIST_MAX];

	for (int node = 0; node < POLICY_NODES; node++) {
		if (!memory_list_has(nodes, (unsigned long)node))
			continue;
		memory_node_cpus(folder, node, cpus);
		if (memory_list_has(cpus, cpu))
			return node;
	}
	return -1;
}

static int memory_auto_node(const struct policy_isolation *isolation, const char *folder,
                            const char *nodes, struct host_error *error)
{
	int found = -1;

	for (unsigned int cpu = 0; cpu < POLICY_CPUS_MAX; cpu++) {
		int node;

		if (!(isolation->cpus[cpu / 8] >> cpu % 8 & 1))
			continue;
		node = memory_cpu_node(folder, nodes, cpu);
		if (node < 0)
			return host_fail(
			        error, -ENODEV, 126,
			        "policy line %u: numa: auto: no NUMA node of this host with "
			        "memory has CPU %u",
			        isolation->line, cpu);
		if (found >= 0 && node != found)
			return host_fail(
			        error, -EXDEV, 126,
			        "policy line %u: numa: auto: the CPUs are of the NUMA nodes "
			        "%d and %d; expected one",
			        isolation->line, found, node);
		found = node;
	}
	return found;
}

int memory_node(const struct policy_isolation *isolation, const char *folder,
                struct host_error *error)
{
	char path[POLICY_PATH_MAX], nodes[MEMORY_CPULIST_MAX];
	uint32_t node = isolation->numa - 1;

	if (isolation->numa == 0)
		return -1;
	snprintf(path, sizeof(path), "%s/has_memory", folder);
	memory_read(path, nodes, sizeof(nodes));
	if (isolation->numa == POLICY_NUMA_AUTO)
		return memory_auto_node(isolation, folder, nodes, error);
	if (!memory_list_has(nodes, node))
		return host_fail(
		        error, -ENODEV, 126,
		        "policy line %u: numa: this host has no NUMA node %u with memory%s%s",
		        isolation->line, node, nodes[0] ? "; it has " : "", nodes);
	return (int)node;
}

/* Reserves every page of it. */
static int memory_reserve(int fd, const struct policy *policy, struct host_error *error)
{
	void *at = mmap(NULL, policy->vm.memory, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	int err = errno;
	char pages[32];

	if (at != MAP_FAILED) {
		munmap(at, policy->vm.memory); /* the reservation is the file's and stays */
		return 0;
	}
	memory_read(MEMORY_POOL, pages, sizeof(pages));
	return host_fail(
	        error, -err, 126,
	        "policy line %u: huge_pages: the guest needs %llu pages of 2 MiB; this host "
	        "has %s free (/proc/sys/vm/nr_hugepages)",
	        policy->isolation.line, (unsigned long long)policy->vm.memory >> 21,
	        pages[0] ? pages : "none");
}

int memory_open(const struct policy *policy, struct host_error *error)
{
	bool huge = policy->isolation.huge_pages > 0;
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (huge)
		flags |= MFD_HUGETLB | MFD_HUGE_2MB;
	BASE_AUTO_FD int fd = memfd_create("guest-memory", flags);
	if (fd < 0 || ftruncate(fd, (off_t)policy->vm.memory) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return host_fail(error, -errno, 126, "cannot get %llu MiB of guest memory: %s",
		                 (unsigned long long)policy->vm.memory >> 20, strerror(errno));
	if (huge && memory_reserve(fd, policy, error) < 0)
		return error->code;
	return base_take_fd(&fd);
}
