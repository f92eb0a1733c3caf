/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * MSI-X: masks of every kind, pending bits, vectors and accesses out of range, messages that change under
 * an unmasked vector.
 */
#include <check.h>
#include <sys/eventfd.h>

#include "base/base.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/eventfd.h"
#include "vmm/msix.h"

enum { VECTORS = 3, ENABLE = 0x8000, FUNCTION_MASK = 0x4000 };

static struct machine *machine;
static struct pci_device pci;
static struct msix msix;
static int fds[4];
static unsigned int sources[4];

static void control(uint16_t value)
{
	unsigned int at = msix.capability + 2;

	pci.config[at + 1] = (uint8_t)(value >> 8);
	msix_config_written(&msix, at, 2);
}

static void put(uint64_t offset, unsigned int size, uint64_t value)
{
	msix_table_write(&msix, offset, &value, size);
}

static uint64_t get(uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	msix_table_read(&msix, offset, &value, size);
	return value;
}

static uint64_t pending(uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	msix_pending_read(&msix, offset, &value, size);
	return value;
}

static void signal_source(int i)
{
	uint64_t one = 1;

	ck_assert_int_eq(base_write_all(fds[i], &one, sizeof(one)), 0);
}

static void message(unsigned int vector, uint64_t address, uint32_t data)
{
	put(vector * 16, 8, address);
	put(vector * 16 + 8, 4, data);
}

static void mask(unsigned int vector, bool masked)
{
	put(vector * 16 + 12, 4, masked);
}

static void setup(void)
{
	static const struct pci_identity identity = {.vendor = 0x1af4};

	machine = fake_machine_create();
	pci_device_init(&pci, &identity, 0x8000);
	msix_init(&msix, machine, &pci, VECTORS, 0x4000, 0x5000);
	for (int i = 0; i < 4; i++) {
		fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		sources[i] = msix_source_add(&msix, fds[i]);
	}
}

static void teardown(void)
{
	msix_destroy(&msix);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	fake_machine_destroy(machine);
}

START_TEST(the_capability)
{
	const uint8_t *at = pci.config + msix.capability;

	ck_assert_uint_eq(at[0], PCI_CAPABILITY_MSIX);
	ck_assert_uint_eq(base_le16(at + 2), VECTORS - 1);
	ck_assert_uint_eq(base_le32(at + 4), 0x4000);
	ck_assert_uint_eq(base_le32(at + 8), 0x5000);
	ck_assert_uint_eq(base_le16(pci.writable + msix.capability + 2), ENABLE | FUNCTION_MASK);
	for (unsigned int i = 0; i < VECTORS; i++)
		ck_assert_uint_eq(get(i * 16 + 12, 4), 1); /* masked */
}
END_TEST

START_TEST(delivers_only_when_nothing_masks)
{
	ck_assert_uint_eq(msix_source_set(&msix, sources[0], 1), 1);
	message(1, 0xfee01000, 0x4041);
	mask(1, false);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), -1); /* not enabled */
	control(ENABLE | FUNCTION_MASK);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), -1);
	control(ENABLE);
	int gsi = fake_irqfd_gsi(machine, fds[0]);
	ck_assert_int_ge(gsi, MACHINE_GSI_PINS);
	ck_assert_uint_eq(machine->gsis[gsi].address, 0xfee01000);
	ck_assert_uint_eq(machine->gsis[gsi].data, 0x4041);
	ck_assert_uint_eq(machine->gsis[gsi].set, 1);
	mask(1, true);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), -1);
	mask(1, false);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), gsi); /* the same route again */
	control(0);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), -1);
	ck_assert_int_eq(machine->gsi_count, MACHINE_GSI_PINS + 1); /* only what was used */
}
END_TEST

START_TEST(a_message_that_changes_while_unmasked)
{
	msix_source_set(&msix, sources[0], 0);
	control(ENABLE);
	mask(0, false);
	int gsi = fake_irqfd_gsi(machine, fds[0]);
	put(0, 4, 0xfee02000);
	ck_assert_uint_eq(machine->gsis[gsi].address, 0xfee02000);
	put(4, 4, 1);
	ck_assert_uint_eq(machine->gsis[gsi].address, 0x1fee02000);
	put(8, 8, 0x77); /* data and control at once */
	ck_assert_uint_eq(machine->gsis[gsi].data, 0x77);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), gsi);
}
END_TEST

START_TEST(pending_while_masked_and_gone_after)
{
	control(ENABLE);
	msix_source_set(&msix, sources[2], 2);
	ck_assert_uint_eq(pending(0, 8), 0);
	signal_source(2);
	ck_assert_uint_eq(pending(0, 8), 4);
	ck_assert_uint_eq(pending(0, 1), 4);
	ck_assert_uint_eq(pending(1, 1), 0);
	ck_assert_uint_eq(pending(0xff8, 8), 0);
	mask(2, false); /* KVM finds the count as it binds; it is not delivered twice */
	ck_assert_int_ge(fake_irqfd_gsi(machine, fds[2]), 0);
	ck_assert_uint_eq(pending(0, 8), 0);
	ck_assert(!eventfd_pending(fds[2]));
	mask(2, true);
	ck_assert_uint_eq(pending(0, 8), 0);
}
END_TEST

START_TEST(several_sources_on_one_vector)
{
	control(ENABLE);
	for (int i = 0; i < 3; i++)
		msix_source_set(&msix, sources[i], 1);
	mask(1, false);
	int gsi = fake_irqfd_gsi(machine, fds[0]);
	ck_assert_int_ge(gsi, 0);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[1]), gsi);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[2]), gsi);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[3]), -1);
	msix_source_set(&msix, sources[1], MSIX_NO_VECTOR);
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[1]), -1);
	msix_source_set(&msix, sources[3], 1); /* joins a vector that delivers */
	ck_assert_int_eq(fake_irqfd_gsi(machine, fds[3]), gsi);
	ck_assert_uint_eq(machine->irqfd_count, 3);
}
END_TEST

START_TEST(what_came_before_the_vector_is_not_delivered)
{
	signal_source(0);
	msix_source_set(&msix, sources[0], 0);
	ck_assert_uint_eq(pending(0, 8), 0);
}
END_TEST

START_TEST(vectors_out_of_range)
{
	static const uint16_t wrong[] = {VECTORS, VECTORS + 1, 63, 64, 255, 2048, 0xfffe, 0xffff};

	control(ENABLE);
	mask(0, false);
	for (size_t i = 0; i < BASE_COUNT(wrong); i++) {
		msix_source_set(&msix, sources[0], 0);
		ck_assert_uint_eq(msix_source_set(&msix, sources[0], wrong[i]), MSIX_NO_VECTOR);
		ck_assert_int_eq(fake_irqfd_gsi(machine, fds[0]), -1);
	}
}
END_TEST

START_TEST(table_accesses_that_are_not_whole)
{
	struct msix_vector before[VECTORS];

	memcpy(before, msix.vectors, sizeof(before));
	for (uint64_t offset = 0; offset < 0x1000; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (size >= 4 && offset % size == 0 && offset < VECTORS * 16)
				continue;
			put(offset, size, UINT64_MAX);
			ck_assert_uint_eq(get(offset, size),
			                  size == 8 ? UINT64_MAX : (1ull << size * 8) - 1);
		}
	ck_assert_mem_eq(before, msix.vectors, sizeof(before));
	put(12, 4, 0xffffffff); /* only the mask bit is there */
	ck_assert_uint_eq(get(12, 4), 1);
	put(8, 8, 0xfffffffe00000000);
	ck_assert_uint_eq(get(8, 8), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_msix");
	TCase *tests = tcase_create("msix");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_capability);
	tcase_add_test(tests, delivers_only_when_nothing_masks);
	tcase_add_test(tests, a_message_that_changes_while_unmasked);
	tcase_add_test(tests, pending_while_masked_and_gone_after);
	tcase_add_test(tests, several_sources_on_one_vector);
	tcase_add_test(tests, what_came_before_the_vector_is_not_delivered);
	tcase_add_test(tests, vectors_out_of_range);
	tcase_add_test(tests, table_accesses_that_are_not_whole);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
