// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_memory: where guest RAM lies, for sizes around the PCI hole and up to the most that there is. */
#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"

#define MIB (1ull << 20)
#define GIB (1ull << 30)

static struct machine m;

static void map(uint64_t size)
{
	char why[WHY_MAX] = "";
	int memfd = vmm_fixture_memfd(size);

	vm_init(&m, "test");
	ck_assert_int_ge(memfd, 0);
	ck_assert_msg(vm_memory_map(&m, memfd, size, why) == 0, "%s", why);
}

static void unmap(void)
{
	close(machine_memfd(&m));
	vm_memory_unmap(&m);
}

static const uint64_t sizes[] = {64 * MIB, 3 * GIB - 2 * MIB, 3 * GIB,   3 * GIB + 2 * MIB,
                                 4 * GIB,  64 * GIB,          511 * GIB, 1024 * GIB};

/* Nothing of RAM in the hole, and every byte of it somewhere. */
START_TEST(ram_lies_around_the_hole)
{
	struct machine_region regions[2];
	uint64_t size = sizes[_i], low = BASE_MIN(size, 3 * GIB);
	size_t count;

	map(size);
	count = machine_regions(&m, regions);
	ck_assert_uint_eq(count, size > 3 * GIB ? 2 : 1);
	ck_assert_uint_eq(regions[0].guest, 0);
	ck_assert_uint_eq(regions[0].offset, 0);
	ck_assert_uint_eq(regions[0].size, low);
	if (count == 2) {
		ck_assert_uint_eq(regions[1].guest, 4 * GIB);
		ck_assert_uint_eq(regions[1].offset, low);
		ck_assert_uint_eq(regions[1].size, size - low);
		ck_assert_ptr_eq(regions[1].host, (char *)regions[0].host + low);
		ck_assert_ptr_eq(machine_memory(&m, 4 * GIB, size - low), regions[1].host);
		ck_assert_ptr_null(machine_memory(&m, 4 * GIB - 1, 2));
		ck_assert_ptr_null(machine_memory(&m, 4 * GIB, size - low + 1));
	}
	ck_assert_ptr_nonnull(machine_memory(&m, low - 1, 1));
	ck_assert_ptr_null(machine_memory(&m, low - 1, 2));
	ck_assert_ptr_null(machine_memory(&m, low, 1));
	ck_assert_ptr_null(machine_memory(&m, UINT64_MAX, 1));
	ck_assert_ptr_null(machine_memory(&m, 0, UINT64_MAX));
	unmap();
}
END_TEST

/* What the guest is told: in order, without overlap, all RAM but what is ours below 1 MiB. */
START_TEST(the_map_says_so)
{
	struct boot_map entries[BOOT_MAP_MAX];
	uint64_t size = sizes[_i], end = 0, ram = 0;
	size_t count;

	map(size);
	count = boot_map(&m, entries);
	ck_assert_uint_le(count, BOOT_MAP_MAX);
	for (size_t i = 0; i < count; i++) {
		bool in_hole = entries[i].base + entries[i].size > 3 * GIB && end < 4 * GIB &&
		               entries[i].base < 4 * GIB;

		ck_assert_uint_ge(entries[i].base, end);
		ck_assert_uint_gt(entries[i].size, 0);
		end = entries[i].base + entries[i].size;
		if (entries[i].type != BOOT_MAP_RAM)
			continue;
		ck_assert(!in_hole);
		ck_assert_ptr_nonnull(machine_memory(&m, entries[i].base, entries[i].size));
		ram += entries[i].size;
	}
	ck_assert_uint_eq(ram, size - (BOOT_HIGH - BOOT_LOW_RAM_END));
	unmap();
}
END_TEST

/* The ends of each region are memory, and the file's own bytes. */
START_TEST(both_ends_can_be_written)
{
	struct machine_region regions[2];
	uint64_t size = sizes[_i];
	size_t count;
	uint8_t byte;

	map(size);
	count = machine_regions(&m, regions);
	for (size_t i = 0; i < count; i++) {
		uint64_t last = regions[i].size - 1;

		*(uint8_t *)machine_memory(&m, regions[i].guest, 1) = (uint8_t)(0x10 + i);
		*(uint8_t *)machine_memory(&m, regions[i].guest + last, 1) = (uint8_t)(0x20 + i);
		ck_assert_int_eq(pread(machine_memfd(&m), &byte, 1, (off_t)regions[i].offset), 1);
		ck_assert_uint_eq(byte, 0x10 + i);
		ck_assert_int_eq(
		        pread(machine_memfd(&m), &byte, 1, (off_t)(regions[i].offset + last)), 1);
		ck_assert_uint_eq(byte, 0x20 + i);
	}
	unmap();
}
END_TEST

START_TEST(wrong_memory_is_refused)
{
	int memfd BASE_AUTO_FD = vmm_fixture_memfd(64 * MIB), open_end BASE_AUTO_FD = -1;
	char why[WHY_MAX] = "";

	vm_init(&m, "test");
	ck_assert_int_eq(vm_memory_map(&m, memfd, 128 * MIB, why), -EINVAL);
	ck_assert_int_eq(vm_memory_map(&m, memfd, 64 * MIB + 1, why), -EINVAL);
	ck_assert_int_eq(vm_memory_map(&m, memfd, 2048 * GIB, why), -EINVAL);
	open_end = memfd_create("unsealed", MFD_CLOEXEC);
	ck_assert_int_eq(ftruncate(open_end, 64 * MIB), 0);
	ck_assert_int_eq(vm_memory_map(&m, open_end, 64 * MIB, why), -EPERM);
	m.node = VM_NODES_MAX - 1;
	ck_assert_int_lt(vm_memory_map(&m, memfd, 64 * MIB, why), 0);
	ck_assert_ptr_nonnull(strstr(why, "cannot be bound to NUMA node 1023: "));
}
END_TEST

/* Bound before it is touched: the kernel says so of the mapping. */
START_TEST(memory_is_bound_to_its_node)
{
	char line[256], address[32], why[WHY_MAX] = "";
	FILE *maps BASE_AUTO_FILE = NULL;
	bool bound = false;
	int memfd = vmm_fixture_memfd(64 * MIB);

	vm_init(&m, "test");
	m.node = 0;
	if (vm_memory_map(&m, memfd, 64 * MIB, why) < 0) {
		printf("skip: memory_is_bound_to_its_node: %s\n", why);
		close(memfd);
		return;
	}
	snprintf(address, sizeof(address), "%lx ", (unsigned long)(uintptr_t)m.regions[0].host);
	maps = fopen("/proc/self/numa_maps", "re");
	while (maps && fgets(line, sizeof(line), maps))
		bound |= strncmp(line, address, strlen(address)) == 0 &&
		         strncmp(line + strlen(address), "bind:0 ", 7) == 0;
	if (maps)
		ck_assert(bound);
	else
		printf("skip: memory_is_bound_to_its_node: no /proc/self/numa_maps\n");
	unmap();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_memory");
	TCase *tests = tcase_create("memory");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, ram_lies_around_the_hole, 0, BASE_COUNT(sizes));
	tcase_add_loop_test(tests, the_map_says_so, 0, BASE_COUNT(sizes));
	tcase_add_loop_test(tests, both_ends_can_be_written, 0, BASE_COUNT(sizes));
	tcase_add_test(tests, wrong_memory_is_refused);
	tcase_add_test(tests, memory_is_bound_to_its_node);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
