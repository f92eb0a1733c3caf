/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The PCI bus: config space by both ways and in every width at every offset, write masks, BAR sizing and
 * moving (off, onto RAM, ECAM, the APICs and each other).
 */
#include <check.h>

#include "base/base.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/pci.h"

enum { BAR = 0x4000, TEST_DEVICES = 2 };

struct test_device {
	struct pci_device pci;
	uint64_t bar; /* the last bar_moved */
	unsigned int moves;
	uint64_t offset; /* the last access to the BAR */
	unsigned int size;
	bool destroyed;
};

static struct machine *machine;
static struct pci_bus *bus;
static struct test_device devices[TEST_DEVICES];

static void bar_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct test_device *device = self;

	device->offset = offset;
	device->size = size;
	memset(data, 0x5a, size);
}

static void bar_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct test_device *device = self;

	(void)data;
	device->offset = offset;
	device->size = size;
}

static void bar_moved(void *self, uint64_t base)
{
	struct test_device *device = self;

	device->bar = base;
	device->moves++;
}

static void destroyed(void *self)
{
	((struct test_device *)self)->destroyed = true;
}

static const struct machine_io_ops bar_ops = {.read = bar_read, .write = bar_write};
static const struct pci_device_ops device_ops = {.bar_moved = bar_moved, .destroy = destroyed};

static void setup(void)
{
	static const struct pci_identity identity = {.vendor = 0x1af4,
	                                             .device = 0x1041,
	                                             .subsystem_vendor = 0x1af4,
	                                             .subsystem = 0x1100,
	                                             .revision = 1,
	                                             .class = 0x020000};
	uint8_t capability[16] = {[4] = 0xaa};

	machine = fake_machine_create();
	ck_assert_int_eq(pci_bus_create(machine, &bus), 0);
	for (int i = 0; i < TEST_DEVICES; i++) {
		struct test_device *device = &devices[i];

		memset(device, 0, sizeof(*device));
		pci_device_init(&device->pci, &identity, BAR);
		pci_device_capability(&device->pci, PCI_CAPABILITY_VENDOR, capability, 16);
		pci_device_capability(&device->pci, PCI_CAPABILITY_MSIX, capability, 12);
		device->pci.ops = &device_ops;
		device->pci.bar_ops = &bar_ops;
		device->pci.self = device;
		ck_assert_int_eq(pci_bus_add(bus, &device->pci), i + 1);
	}
}

static void teardown(void)
{
	pci_bus_destroy(bus);
	for (int i = 0; i < TEST_DEVICES; i++)
		ck_assert(devices[i].destroyed);
	fake_machine_destroy(machine);
}

static uint64_t ecam(unsigned int slot, unsigned int function, unsigned int at)
{
	return MACHINE_ECAM_BASE + (slot << 15 | function << 12 | at);
}

static uint64_t config(unsigned int slot, unsigned int at, unsigned int size)
{
	return fake_get(machine, MACHINE_MMIO, ecam(slot, 0, at), size);
}

static void config_put(unsigned int slot, unsigned int at, unsigned int size, uint64_t value)
{
	fake_put(machine, MACHINE_MMIO, ecam(slot, 0, at), size, value);
}

static uint64_t ports(unsigned int slot, unsigned int at, unsigned int size)
{
	fake_put(machine, MACHINE_PIO, 0xcf8, 4, 0x80000000 | slot << 11 | (at & 0xfc));
	return fake_get(machine, MACHINE_PIO, 0xcfc + (at & 3), size);
}

static uint64_t ones(unsigned int size)
{
	return size == 8 ? UINT64_MAX : (1ull << size * 8) - 1;
}

START_TEST(the_header_and_its_capabilities)
{
	ck_assert_uint_eq(config(0, PCI_VENDOR, 4), 0x00081b36);
	ck_assert_uint_eq(config(0, PCI_CLASS, 2) >> 8, 0x00);
	ck_assert_uint_eq(config(0, PCI_REVISION, 4) >> 8, 0x060000);
	ck_assert_uint_eq(config(1, PCI_VENDOR, 4), 0x10411af4);
	ck_assert_uint_eq(config(1, PCI_REVISION, 4), 0x02000001);
	ck_assert_uint_eq(config(1, PCI_SUBSYSTEM_VENDOR, 4), 0x11001af4);
	ck_assert_uint_eq(config(1, 0x3d, 1), 0); /* no INTx */
	ck_assert_uint_eq(config(1, 0x0e, 1), 0); /* type 0, one function */
	ck_assert_uint_eq(config(1, PCI_STATUS, 2), PCI_STATUS_CAPABILITIES);
	ck_assert_uint_eq(config(1, PCI_CAPABILITIES, 1), 0x40);
	ck_assert_uint_eq(config(1, 0x40, 2), 0x5009);
	ck_assert_uint_eq(config(1, 0x44, 1), 0xaa);
	ck_assert_uint_eq(config(1, 0x50, 2), 0x0011);
}
END_TEST

START_TEST(every_width_at_every_offset)
{
	static const unsigned int sizes[] = {1, 2, 4, 8};
	unsigned int size = sizes[_i];

	for (unsigned int at = 0; at < 4096; at++) {
		bool inside = size <= 4 && at % 4 + size <= 4;
		uint64_t expected = 0;

		if (!inside)
			expected = ones(size);
		else if (at < PCI_CONFIG_SIZE)
			memcpy(&expected, devices[0].pci.config + at, size);
		if (at + size <= 4096 || inside)
			ck_assert_uint_eq(config(1, at, size), expected);
		if (at < PCI_CONFIG_SIZE)
			ck_assert_uint_eq(ports(1, at, size),
			                  at % 4 + size <= 4 ? expected : ones(size));
	}
}
END_TEST

START_TEST(what_is_not_there_is_all_ones)
{
	for (unsigned int size = 1; size <= 4; size *= 2) {
		ck_assert_uint_eq(config(3, 0, size), ones(size));
		ck_assert_uint_eq(config(31, 0xf0, size), ones(size));
		for (unsigned int function = 1; function < 8; function++)
			ck_assert_uint_eq(
			        fake_get(machine, MACHINE_MMIO, ecam(1, function, 0), size),
			        ones(size));
	}
	/* Outside the bus: nothing answers. */
	uint32_t value;
	ck_assert(!fake_read(machine, MACHINE_MMIO, MACHINE_ECAM_BASE + MACHINE_ECAM_SIZE, &value,
	                     4));
	ck_assert(!fake_read(machine, MACHINE_MMIO, MACHINE_ECAM_BASE + MACHINE_ECAM_SIZE - 2,
	                     &value, 4));
}
END_TEST

START_TEST(ports_need_their_address)
{
	/* Not enabled; another bus; another function. */
	static const uint32_t addresses[] = {0x00000800, 0x80010800, 0x80000900};

	for (size_t i = 0; i < BASE_COUNT(addresses); i++) {
		fake_put(machine, MACHINE_PIO, 0xcf8, 4, addresses[i]);
		ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf8, 4), addresses[i]);
		ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcfc, 4), 0xffffffff);
		fake_put(machine, MACHINE_PIO, 0xcfc, 4, 0); /* and nothing is written */
	}
	/* Bytes and words of CF8 are not the address register. */
	fake_put(machine, MACHINE_PIO, 0xcf8, 4, 0xffffffff);
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf8, 4), 0x80fffffc);
	fake_put(machine, MACHINE_PIO, 0xcf8, 2, 0);
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf8, 4), 0x80fffffc);
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcfa, 1), 0xff);
	ck_assert_uint_eq(ports(1, 2, 2), 0x1041);
}
END_TEST

/* As Linux does it (reboot=p): the kind, a while later the same with the bit that does it. */
START_TEST(port_cf9_resets)
{
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf9, 1), 0);
	fake_put(machine, MACHINE_PIO, 0xcf8, 4, 0xffffffff);
	fake_put(machine, MACHINE_PIO, 0xcf9, 2, 0x0606);
	fake_put(machine, MACHINE_PIO, 0xcf9, 1, 0xf2);
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf9, 1), 2);
	ck_assert_uint_eq(machine->resets, 0);
	fake_put(machine, MACHINE_PIO, 0xcf9, 1, 0x0e);
	ck_assert_uint_eq(machine->resets, 1);
	ck_assert_uint_eq(fake_get(machine, MACHINE_PIO, 0xcf8, 4), 0x80fffffc);
}
END_TEST

START_TEST(writes_keep_to_the_mask)
{
	uint8_t before[PCI_CONFIG_SIZE];

	memcpy(before, devices[0].pci.config, sizeof(before));
	for (unsigned int at = 0; at < 4096; at++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			config_put(1, at, size, UINT64_MAX);
	for (unsigned int at = 0; at < PCI_CONFIG_SIZE; at++)
		ck_assert_uint_eq(devices[0].pci.config[at],
		                  before[at] | devices[0].pci.writable[at]);
	ck_assert_uint_eq(config(1, PCI_COMMAND, 2),
	                  PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
	ck_assert_uint_eq(config(1, PCI_VENDOR, 4), 0x10411af4);
	ck_assert_uint_eq(config(2, PCI_COMMAND, 2), 0);
}
END_TEST

START_TEST(bar_is_assigned_sized_and_decoded)
{
	uint64_t base = config(1, PCI_BAR0, 4);
	uint8_t byte;

	ck_assert_uint_eq(base, MACHINE_MMIO32_BASE);
	ck_assert_uint_eq(config(2, PCI_BAR0, 4), MACHINE_MMIO32_BASE + BAR);
	ck_assert(!fake_read(machine, MACHINE_MMIO, base, &byte, 1));
	config_put(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	ck_assert_uint_eq(devices[0].bar, base);
	ck_assert(fake_read(machine, MACHINE_MMIO, base + 0x123, &byte, 1));
	ck_assert_uint_eq(devices[0].offset, 0x123);

	config_put(1, PCI_BAR0, 4, 0xffffffff); /* sizing, with decoding on */
	ck_assert_uint_eq(config(1, PCI_BAR0, 4), 0u - BAR);
	ck_assert_uint_eq(devices[0].bar, 0);
	config_put(1, PCI_BAR0, 4, base);
	ck_assert_uint_eq(devices[0].bar, base);
	config_put(1, PCI_BAR0 + 4, 4, 0xffffffff); /* no second BAR */
	ck_assert_uint_eq(config(1, PCI_BAR0 + 4, 4), 0);
	config_put(1, 0x30, 4, 0xffffffff); /* no ROM */
	ck_assert_uint_eq(config(1, 0x30, 4), 0);
	config_put(1, PCI_COMMAND, 2, 0);
	ck_assert_uint_eq(devices[0].bar, 0);
	ck_assert(!fake_read(machine, MACHINE_MMIO, base, &byte, 1));
}
END_TEST

START_TEST(bar_moves_byte_by_byte)
{
	config_put(1, PCI_COMMAND, 1, PCI_COMMAND_MEMORY);
	config_put(1, PCI_BAR0 + 3, 1, 0xf0);
	config_put(1, PCI_BAR0 + 2, 1, 0x12);
	ck_assert_uint_eq(devices[0].bar, 0xf0120000);
	config_put(1, PCI_BAR0 + 1, 1, 0xff); /* the bits below the size do not change */
	ck_assert_uint_eq(devices[0].bar, 0xf012c000);
}
END_TEST

START_TEST(bar_on_what_is_not_its_own)
{
	static const uint32_t bases[] = {0,
	                                 0x100000,
	                                 MACHINE_LOW_RAM_MAX - BAR,
	                                 MACHINE_ECAM_BASE,
	                                 MACHINE_MMIO32_BASE - BAR,
	                                 (uint32_t)(MACHINE_MMIO32_BASE + MACHINE_MMIO32_SIZE),
	                                 MACHINE_IOAPIC_BASE,
	                                 MACHINE_LAPIC_BASE,
	                                 0xffffc000};
	uint64_t home = config(1, PCI_BAR0, 4);
	uint8_t byte;

	config_put(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	for (size_t i = 0; i < BASE_COUNT(bases); i++) {
		config_put(1, PCI_BAR0, 4, bases[i]);
		ck_assert_uint_eq(config(1, PCI_BAR0, 4), bases[i]);
		ck_assert_uint_eq(devices[0].bar, 0);
		ck_assert_uint_eq(config(2, PCI_VENDOR, 2), 0x1af4); /* ECAM still answers */
	}
	ck_assert(!fake_read(machine, MACHINE_MMIO, home, &byte, 1));
	config_put(1, PCI_BAR0, 4, MACHINE_MMIO32_BASE + MACHINE_MMIO32_SIZE - BAR);
	ck_assert_uint_eq(devices[0].bar, MACHINE_MMIO32_BASE + MACHINE_MMIO32_SIZE - BAR);
}
END_TEST

START_TEST(bars_on_each_other)
{
	uint64_t first = config(1, PCI_BAR0, 4), second = config(2, PCI_BAR0, 4);
	uint8_t byte;

	config_put(1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	config_put(2, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	config_put(2, PCI_BAR0, 4, first);
	ck_assert_uint_eq(devices[1].bar, 0);
	ck_assert(fake_read(machine, MACHINE_MMIO, first, &byte, 1));
	ck_assert_uint_eq(devices[0].size, 1);
	ck_assert_uint_eq(devices[1].size, 0);
	/* The one in the way leaves: the other is there. */
	config_put(1, PCI_BAR0, 4, second);
	ck_assert_uint_eq(devices[0].bar, second);
	ck_assert_uint_eq(devices[1].bar, first);
	/* And swapped back through one place. */
	config_put(1, PCI_BAR0, 4, first);
	ck_assert_uint_eq(devices[0].bar, 0);
	config_put(2, PCI_BAR0, 4, second);
	ck_assert_uint_eq(devices[0].bar, first);
	ck_assert_uint_eq(devices[1].bar, second);
}
END_TEST

START_TEST(the_bus_is_full_at_32)
{
	static struct test_device more[32];
	static const struct pci_identity identity = {.vendor = 0x1af4};
	int slot = TEST_DEVICES;

	for (int i = 0; i < 29; i++) {
		pci_device_init(&more[i].pci, &identity, BAR);
		more[i].pci.ops = &device_ops;
		more[i].pci.self = &more[i];
		ck_assert_int_eq(pci_bus_add(bus, &more[i].pci), ++slot);
	}
	pci_device_init(&more[30].pci, &identity, BAR);
	more[30].pci.ops = &device_ops;
	more[30].pci.self = &more[30];
	ck_assert_int_eq(pci_bus_add(bus, &more[30].pci), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtio_pci_bus");
	TCase *tests = tcase_create("bus");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, the_header_and_its_capabilities);
	tcase_add_loop_test(tests, every_width_at_every_offset, 0, 4);
	tcase_add_test(tests, what_is_not_there_is_all_ones);
	tcase_add_test(tests, ports_need_their_address);
	tcase_add_test(tests, port_cf9_resets);
	tcase_add_test(tests, writes_keep_to_the_mask);
	tcase_add_test(tests, bar_is_assigned_sized_and_decoded);
	tcase_add_test(tests, bar_moves_byte_by_byte);
	tcase_add_test(tests, bar_on_what_is_not_its_own);
	tcase_add_test(tests, bars_on_each_other);
	tcase_add_test(tests, the_bus_is_full_at_32);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
