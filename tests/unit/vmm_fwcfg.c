// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_fwcfg: the device that firmware asks, by its ports and by its commands, as firmware does it and as a hostile
 * guest would.
 */
#include <check.h>
#include <endian.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/fw_cfg.h"

enum { MEMORY = 4 << 20, AT = 0x1000, TO = 0x2000, BIG = 3 << 20 };

static struct machine m;
static struct fwcfg f;
static int memfd;
static uint8_t big[BIG];

static void setup(void)
{
	char why[WHY_MAX] = "";

	memfd = vmm_fixture_memfd(MEMORY);
	vm_init(&m, "test");
	ck_assert_msg(vm_memory_map(&m, memfd, MEMORY, why) == 0, "%s", why);
	for (size_t i = 0; i < BIG; i++)
		big[i] = (uint8_t)(i * 7 + i / 256);
	fwcfg_init(&f, &m);
	ck_assert_int_eq(fwcfg_add_number(&f, FWCFG_NB_CPUS, 3, 2), 0);
	ck_assert_int_eq(fwcfg_add(&f, FWCFG_KERNEL_DATA, big, BIG), 0);
	ck_assert_int_eq(fwcfg_add_file(&f, "etc/first", "one", 3), 0);
	ck_assert_int_eq(fwcfg_add_file(&f, "etc/second", "twofold", 7), 0);
	ck_assert_int_eq(machine_io_add(&m, MACHINE_PIO, FWCFG_PORT, FWCFG_PORTS, &fwcfg_io, &f),
	                 0);
}

static void teardown(void)
{
	fwcfg_destroy(&f);
	vm_memory_unmap(&m);
	close(memfd);
}

static void out(uint16_t port, uint32_t value, unsigned int size)
{
	ck_assert(iobus_write(&m.pio, port, &value, size));
}

static uint32_t in(uint16_t port, unsigned int size)
{
	uint32_t value = 0;

	ck_assert(iobus_read(&m.pio, port, &value, size));
	return value;
}

static void read_item(uint16_t key, void *to, size_t size)
{
	out(FWCFG_PORT, key, 2);
	for (size_t i = 0; i < size; i++)
		((uint8_t *)to)[i] = (uint8_t)in(FWCFG_PORT + 1, 1);
}

/* Runs a command that lies at `at`, and gives what became of its control word. */
static uint32_t command_at(uint64_t at, uint32_t control, uint32_t size, uint64_t address)
{
	const uint32_t words[] = {htobe32(control), htobe32(size),
	                          htobe32((uint32_t)(address >> 32)), htobe32((uint32_t)address)};
	uint8_t *memory = machine_memory(&m, at, sizeof(words));

	if (memory)
		memcpy(memory, words, sizeof(words));
	if (at >> 32)
		out(FWCFG_PORT + 4, htobe32((uint32_t)(at >> 32)), 4);
	out(FWCFG_PORT + 8, htobe32((uint32_t)at), 4);
	return memory ? base_be32(memory) : UINT32_MAX;
}

static uint32_t command(uint32_t control, uint32_t size, uint64_t address)
{
	return command_at(AT, control, size, address);
}

static uint32_t select_and(uint16_t key, uint32_t what)
{
	return (uint32_t)key << 16 | FWCFG_DMA_SELECT | what;
}

START_TEST(says_what_it_is)
{
	uint8_t bytes[8];

	read_item(FWCFG_SIGNATURE, bytes, 6);
	ck_assert_mem_eq(bytes, "QEMU\0\0", 6);
	read_item(FWCFG_ID, bytes, 4);
	ck_assert_uint_eq(base_le32(bytes), 3);
	ck_assert_uint_eq(in(FWCFG_PORT + 4, 4), base_le32("QEMU"));
	ck_assert_uint_eq(in(FWCFG_PORT + 8, 4), base_le32(" CFG"));
	ck_assert_uint_eq(in(FWCFG_PORT + 11, 1), 'G');
	read_item(FWCFG_NB_CPUS, bytes, 4);
	ck_assert_uint_eq(base_le32(bytes), 3);
}
END_TEST

START_TEST(files_are_found_by_name)
{
	uint8_t directory[4 + 3 * FWCFG_FILE_ENTRY], text[8];
	const uint8_t *entry = directory + 4;

	read_item(FWCFG_FILE_DIR, directory, sizeof(directory));
	ck_assert_uint_eq(base_be32(directory), 2);
	ck_assert_str_eq((const char *)entry + 8, "etc/first");
	entry += FWCFG_FILE_ENTRY;
	ck_assert_str_eq((const char *)entry + 8, "etc/second");
	ck_assert_uint_eq(base_be32(entry), 7);
	read_item(base_be16(entry + 4), text, 8);
	ck_assert_mem_eq(text, "twofold", 8);
	ck_assert_uint_eq(directory[4 + 2 * FWCFG_FILE_ENTRY + 8], 0);
}
END_TEST

/* A key that means to write reads the same; one that nobody knows reads as zeros; no port writes. */
START_TEST(ports_only_read)
{
	uint8_t bytes[4];

	read_item(FWCFG_SIGNATURE | 0x4000, bytes, 4);
	ck_assert_mem_eq(bytes, "QEMU", 4);
	read_item(0x7777 & 0x3fff, bytes, 4);
	ck_assert_uint_eq(base_le32(bytes), 0);
	read_item(FWCFG_SIGNATURE | 0x8000, bytes, 4);
	ck_assert_uint_eq(base_le32(bytes), 0);
	out(FWCFG_PORT, FWCFG_SIGNATURE, 2);
	out(FWCFG_PORT + 1, 0, 1);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 'Q');
	ck_assert_uint_eq(in(FWCFG_PORT, 2), 0xffff);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 'E');
}
END_TEST

START_TEST(commands_read_and_skip)
{
	uint8_t *to = machine_memory(&m, TO, 4096);

	ck_assert_uint_eq(command(select_and(FWCFG_KERNEL_DATA, FWCFG_DMA_READ), 100, TO), 0);
	ck_assert_mem_eq(to, big, 100);
	ck_assert_uint_eq(command(FWCFG_DMA_SKIP, 1000, 0), 0);
	ck_assert_uint_eq(command(FWCFG_DMA_READ, 50, TO), 0);
	ck_assert_mem_eq(to, big + 1100, 50);
	/* port and command share where they are */
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), big[1150]);
	/* all of it at once */
	ck_assert_uint_eq(command(select_and(FWCFG_KERNEL_DATA, FWCFG_DMA_READ), BIG - 8192, TO),
	                  0);
	ck_assert_mem_eq(to, big, BIG - 8192);
	/* a length of 0 needs no memory; a command of nothing is done; one that selects alone, too */
	ck_assert_uint_eq(command(FWCFG_DMA_READ, 0, ~0ull), 0);
	ck_assert_uint_eq(command(0, 0, 0), 0);
	ck_assert_uint_eq(command(select_and(FWCFG_SIGNATURE, 0), 0, 0), 0);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 'Q');
}
END_TEST

START_TEST(behind_the_end_are_zeros)
{
	uint8_t *to = machine_memory(&m, TO, 64);

	memset(to, 0xee, 64);
	ck_assert_uint_eq(command(select_and(FWCFG_SIGNATURE, FWCFG_DMA_READ), 16, TO), 0);
	ck_assert_mem_eq(to, "QEMU\0\0\0\0\0\0\0\0\0\0\0\0\xee", 17);
	/* no number of skips comes around to the start */
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(command(FWCFG_DMA_SKIP, UINT32_MAX, 0), 0);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 0);
	ck_assert_uint_eq(command(select_and(0x3abc, FWCFG_DMA_READ), 16, TO), 0);
	ck_assert_uint_eq(to[0], 0);
}
END_TEST

static const struct {
	uint32_t control, size;
	uint64_t address;
} wrong[] = {
        {FWCFG_DMA_READ, 16, MEMORY},
        {FWCFG_DMA_READ, 16, MEMORY - 15},
        {FWCFG_DMA_READ, 16, UINT64_MAX - 7},
        {FWCFG_DMA_READ, 16, FWCFG_PORT | 1ull << 52},
        {FWCFG_DMA_READ, UINT32_MAX, 0},
        {FWCFG_DMA_READ, FWCFG_DMA_MAX + 1, 0},
        {FWCFG_DMA_WRITE, 4, TO},
        {FWCFG_DMA_WRITE | FWCFG_DMA_SKIP, 4, TO},
};

/* Nothing of the guest's memory changes, and the guest is where it was in the item. */
START_TEST(a_wrong_command_does_nothing)
{
	uint8_t *all = machine_memory(&m, 0, MEMORY);

	memset(all, 0xaa, MEMORY);
	out(FWCFG_PORT, FWCFG_SIGNATURE, 2);
	ck_assert_uint_eq(command(wrong[_i].control, wrong[_i].size, wrong[_i].address),
	                  FWCFG_DMA_ERROR);
	memset(all + AT, 0xaa, FWCFG_COMMAND);
	ck_assert(all[0] == 0xaa && memcmp(all, all + 1, MEMORY - 1) == 0);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 'Q');
}
END_TEST

/* There is no place for an answer: nothing happens. The upper half of an address is for one command. */
START_TEST(a_command_nowhere)
{
	static const uint64_t nowhere[] = {MEMORY, MEMORY - 15, 1ull << 32, UINT64_MAX};

	for (size_t i = 0; i < BASE_COUNT(nowhere); i++)
		command_at(nowhere[i], select_and(FWCFG_KERNEL_DATA, FWCFG_DMA_READ), 64, TO);
	out(FWCFG_PORT, FWCFG_SIGNATURE, 2);
	ck_assert_uint_eq(in(FWCFG_PORT + 1, 1), 'Q');
	ck_assert_uint_eq(command(select_and(FWCFG_KERNEL_DATA, FWCFG_DMA_READ), 64, TO), 0);
}
END_TEST

/* Where memory is private, a command and what it fills have to be shared. */
START_TEST(private_pages_are_not_touched)
{
	uint8_t map[MEMORY / 4096 / 8] = {0}, *to = machine_memory(&m, TO, 8192);

	m.private.map = map;
	map[0] = 1 << (TO / 4096); /* and not where the command is */
	memset(to, 0xaa, 8192);
	ck_assert_uint_eq(command(select_and(FWCFG_SIGNATURE, FWCFG_DMA_READ), 4, TO),
	                  select_and(FWCFG_SIGNATURE, FWCFG_DMA_READ));
	ck_assert_uint_eq(to[0], 0xaa);
	map[0] |= 1 << (AT / 4096);
	ck_assert_uint_eq(command(select_and(FWCFG_SIGNATURE, FWCFG_DMA_READ), 4097, TO),
	                  FWCFG_DMA_ERROR);
	ck_assert_uint_eq(to[0], 0xaa);
	ck_assert_uint_eq(command(select_and(FWCFG_SIGNATURE, FWCFG_DMA_READ), 4096, TO), 0);
	ck_assert_mem_eq(to, "QEMU", 4);
	m.private.map = NULL;
}
END_TEST

/* Such a command would hold up the whole machine, though the guest has the memory for it. */
START_TEST(a_command_is_bounded)
{
	const uint64_t size = (uint64_t)FWCFG_DMA_MAX + (2 << 20);
	const struct machine_region small = m.regions[0];
	struct machine large;
	char why[WHY_MAX] = "";
	int fd = vmm_fixture_memfd(size);

	vm_init(&large, "large");
	ck_assert_msg(vm_memory_map(&large, fd, size, why) == 0, "%s", why);
	m.regions[0] = large.regions[0];
	ck_assert_uint_eq(command(FWCFG_DMA_READ, FWCFG_DMA_MAX + 1, 0x10000), FWCFG_DMA_ERROR);
	ck_assert_uint_eq(command(FWCFG_DMA_READ, FWCFG_DMA_MAX, 0x10000), 0);
	m.regions[0] = small;
	vm_memory_unmap(&large);
	close(fd);
}
END_TEST

START_TEST(there_is_an_end_of_room)
{
	char name[FWCFG_NAME_MAX + 1];
	int error = 0;

	memset(name, 'n', FWCFG_NAME_MAX);
	name[FWCFG_NAME_MAX] = '\0';
	ck_assert_int_eq(fwcfg_add_file(&f, name, "", 0), -ENAMETOOLONG);
	for (int i = 0; i < FWCFG_FILES_MAX - 2; i++)
		ck_assert_int_eq(fwcfg_add_file(&f, name + 1, "", 0), 0);
	ck_assert_int_eq(fwcfg_add_file(&f, name + 1, "", 0), -ENOSPC);
	for (int i = 0; i < FWCFG_ITEMS_MAX && !error; i++)
		error = fwcfg_add_number(&f, 0x100, 0, 4);
	ck_assert_int_eq(error, -ENOSPC);
	ck_assert_int_eq(fwcfg_keep(&f, NULL), -ENOMEM);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_fwcfg");
	TCase *tests = tcase_create("device");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, says_what_it_is);
	tcase_add_test(tests, files_are_found_by_name);
	tcase_add_test(tests, ports_only_read);
	tcase_add_test(tests, commands_read_and_skip);
	tcase_add_test(tests, behind_the_end_are_zeros);
	tcase_add_loop_test(tests, a_wrong_command_does_nothing, 0, BASE_COUNT(wrong));
	tcase_add_test(tests, a_command_nowhere);
	tcase_add_test(tests, private_pages_are_not_touched);
	tcase_add_test(tests, a_command_is_bounded);
	tcase_add_test(tests, there_is_an_end_of_room);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
