/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest's driver for tests: one virtio device in slot 1 of a bus in the recording machine, with a test's
 * back end behind it, and the steps that a driver goes. Each test program includes this once.
 */
#ifndef CORDON_VIRTIO_DRIVER_H
#define CORDON_VIRTIO_DRIVER_H

#include <check.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/base.h"
#include "tests/unit/virtio_back.h"
#include "tests/unit/virtio_fake.h"
#include "vmm/eventfd.h"
#include "vmm/virtio_pci.h"

enum { /* virtio 1.2, 4.1.4.3 */
       FEATURE_SELECT = 0,
       FEATURE = 4,
       ACCEPT_SELECT = 8,
       ACCEPT = 12,
       CONFIG_VECTOR = 16,
       QUEUE_COUNT = 18,
       STATUS = 20,
       GENERATION = 21,
       QUEUE_SELECT = 22,
       QUEUE_SIZE = 24,
       QUEUE_VECTOR = 26,
       QUEUE_ENABLE = 28,
       QUEUE_NOTIFY = 30,
       QUEUE_DESCRIPTORS = 32,
       QUEUE_DRIVER = 40,
       QUEUE_DEVICE = 48,
};

static const uint64_t bar = MACHINE_MMIO32_BASE;
static struct machine *machine;
static struct pci_bus *bus;
static struct back back;

static inline uint64_t get(uint64_t at, unsigned int size)
{
	return fake_get(machine, MACHINE_MMIO, bar + at, size);
}

static inline void put(uint64_t at, unsigned int size, uint64_t value)
{
	fake_put(machine, MACHINE_MMIO, bar + at, size, value);
}

static inline uint64_t config(unsigned int at, unsigned int size)
{
	return fake_get(machine, MACHINE_MMIO, MACHINE_ECAM_BASE + 0x8000 + at, size);
}

static inline void config_put(unsigned int at, unsigned int size, uint64_t value)
{
	fake_put(machine, MACHINE_MMIO, MACHINE_ECAM_BASE + 0x8000 + at, size, value);
}

static inline void add_device(const char *type, const char *options)
{
	ck_assert_int_eq(virtio_device_add(machine, bus, type, back_start(&back), options), 0);
	config_put(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
}

static inline void setup(void)
{
	machine = fake_machine_create();
	back_init(&back);
	ck_assert_int_eq(pci_bus_create(machine, &bus), 0);
}

static inline void teardown(void)
{
	pci_bus_destroy(bus);
	if (back.socket >= 0)
		back_join(&back);
	fake_machine_destroy(machine);
}

/* Up to FEATURES_OK with these features; returns the status then. */
static inline unsigned int features(uint64_t accept)
{
	put(STATUS, 1, 0);
	put(STATUS, 1, VIRTIO_ACKNOWLEDGE);
	put(STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
	put(ACCEPT_SELECT, 4, 0);
	put(ACCEPT, 4, accept & 0xffffffff);
	put(ACCEPT_SELECT, 4, 1);
	put(ACCEPT, 4, accept >> 32);
	put(STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_FEATURES_OK);
	return (unsigned int)get(STATUS, 1);
}

static inline void queue(unsigned int index, unsigned int size)
{
	uint64_t base = 0x100000 + 0x10000 * index;

	put(QUEUE_SELECT, 2, index);
	put(QUEUE_SIZE, 2, size);
	put(QUEUE_DESCRIPTORS, 4, base);
	put(QUEUE_DESCRIPTORS + 4, 4, 0);
	put(QUEUE_DRIVER, 8, base + 0x4000);
	put(QUEUE_DEVICE, 8, base + 0x8000);
}

static inline void run(unsigned int queues)
{
	ck_assert_uint_eq(features(1ull << VIRTIO_F_VERSION_1), 11);
	for (unsigned int i = 0; i < queues; i++) {
		queue(i, 128);
		put(QUEUE_ENABLE, 2, 1);
	}
	put(STATUS, 1, 15);
	ck_assert_uint_eq(get(STATUS, 1), 15);
}

#endif
