/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One PCI bus: config space through ECAM (PCI Express 7.2.2) and through ports CF8/CFC (PCI Local Bus
 * 3.0, 3.2.2.3.2), both ways to the same bytes.
 *
 * A device's config space is 256 bytes and a mask of the bits that a guest may change, so that a
 * write is a merge and BAR sizing needs no code: the low bits of a BAR just do not change. An access is 1,
 * 2 or 4 bytes inside one dword, as the bus itself has it; others read all-ones and write nothing,
 * as do absent functions. Extended config space (above 256) is there and empty.
 *
 * The host bridge forwards [MACHINE_MMIO32_BASE, + MACHINE_MMIO32_SIZE) to the bus and nothing else. A BAR
 * that a guest moves out of it (onto RAM, ECAM or the APICs), or onto another BAR, answers
 * nowhere; whenever a BAR goes away, those that stood in its way are tried again.
 */
#include "vmm/pci.h"

#include <endian.h>

#include "base/base.h"

enum {
	PORT_ADDRESS = 0xcf8,
	PORT_DATA_OFFSET = 4, /* 0xcfc */
	PORT_SIZE = 8,
	PORT_RESET_OFFSET = 1, /* 0xcf9, inside the address's dword: the reset control register */
	RESET_NOW = 1 << 2,
	RESET_KIND = 1 << 1 | 1 << 3,

	CHIPSET_SLOT = 1,
	CHIPSET_POWER = 3,
	CHIPSET_MULTIFUNCTION = 0x80,
	CHIPSET_PMBA = 0x40,      /* PIIX4's: bits 6 to 15 are the address */
	CHIPSET_PMREGMISC = 0x80, /* bit 0: the ports answer */
};

struct pci_bus {
	struct machine *machine;
	struct pci_device *slots[PCI_SLOTS];
	struct pci_device bridge;
	struct pci_device isa, power; /* of pci_bus_chipset() */
	uint64_t next_bar;
	uint32_t port_address; /* what CF8 holds */
	uint8_t reset_control;
};

static void put16(uint8_t *at, uint16_t value)
{
	value = htole16(value);
	memcpy(at, &value, sizeof(value));
}

static void put32(uint8_t *at, uint32_t value)
{
	value = htole32(value);
	memcpy(at, &value, sizeof(value));
}

/* ---- the devices' side ---- */

void pci_device_init(struct pci_device *device, const struct pci_identity *identity,
                     uint32_t bar_size)
{
	memset(device, 0, sizeof(*device));
	put16(device->config + PCI_VENDOR, identity->vendor);
	put16(device->config + PCI_DEVICE, identity->device);
	put32(device->config + PCI_REVISION, identity->class << 8 | identity->revision);
	put16(device->config + PCI_SUBSYSTEM_VENDOR, identity->subsystem_vendor);
	put16(device->config + PCI_SUBSYSTEM, identity->subsystem);
	put16(device->writable + PCI_COMMAND,
	      PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_INTX_OFF);
	device->writable[PCI_INTERRUPT_LINE] = 0xff;
	device->bar_size = bar_size;
	if (bar_size > 0)
		put32(device->writable + PCI_BAR0, ~(bar_size - 1));
	device->last_link = PCI_CAPABILITIES;
	device->config_end = PCI_CAPABILITY_START;
}

unsigned int pci_device_capability(struct pci_device *device, uint8_t id, const void *body,
                                   size_t size)
{
	unsigned int at = device->config_end;

	if (size % 4 != 0 || size < 4 || size > PCI_CONFIG_SIZE - at)
		abort();
	memcpy(device->config + at, body, size);
	device->config[at] = id;
	device->config[at + 1] = 0;
	device->config[device->last_link] = (uint8_t)at;
	device->config[PCI_STATUS] |= PCI_STATUS_CAPABILITIES;
	device->last_link = at + 1;
	device->config_end = at + (unsigned int)size;
	return at;
}

/* ---- BARs ---- */

/* Where the registers say that the BAR should be; 0: decoding is off, or not in the window. */
static uint64_t bar_wanted(const struct pci_device *device)
{
	uint64_t base = base_le32(device->config + PCI_BAR0) & ~(device->bar_size - 1);

	if (device->bar_size == 0 || !(device->config[PCI_COMMAND] & PCI_COMMAND_MEMORY))
		return 0;
	if (base < MACHINE_MMIO32_BASE ||
	    base - MACHINE_MMIO32_BASE > MACHINE_MMIO32_SIZE - device->bar_size)
		return 0;
	return base;
}

static void bar_place(struct pci_device *device, uint64_t base)
{
	device->bar_base = base;
	if (device->ops->bar_moved)
		device->ops->bar_moved(device->self, base);
}

static void bars_update(struct pci_bus *bus)
{
	for (size_t i = 0; i < PCI_SLOTS; i++) {
		struct pci_device *device = bus->slots[i];

		if (!device || device->bar_base == 0 || bar_wanted(device) == device->bar_base)
			continue;
		machine_io_remove(bus->machine, MACHINE_MMIO, device->bar_base);
		bar_place(device, 0);
	}
	for (size_t i = 0; i < PCI_SLOTS; i++) {
		struct pci_device *device = bus->slots[i];
		uint64_t base = device ? bar_wanted(device) : 0;

		if (base == 0 || device->bar_base != 0)
			continue;
		if (machine_io_add(bus->machine, MACHINE_MMIO, base, device->bar_size,
		                   device->bar_ops, device->self) == 0)
			bar_place(device, base);
	}
}

/* ---- config space ---- */

static bool inside_dword(unsigned int offset, unsigned int size)
{
	return (size == 1 || size == 2 || size == 4) && offset % 4 + size <= 4;
}

static void config_read(struct pci_device *device, unsigned int offset, void *data,
                        unsigned int size)
{
	if (offset >= PCI_CONFIG_SIZE) {
		memset(data, 0, size);
		return;
	}
	if (device->ops->config_read)
		device->ops->config_read(device->self, offset, size);
	memcpy(data, device->config + offset, size);
}

static void config_write(struct pci_bus *bus, struct pci_device *device, unsigned int offset,
                         const void *data, unsigned int size)
{
	const uint8_t *bytes = data;

	if (offset >= PCI_CONFIG_SIZE)
		return;
	for (unsigned int i = 0; i < size; i++) {
		uint8_t mask = device->writable[offset + i];
		uint8_t *at = &device->config[offset + i];

		*at = (uint8_t)((*at & ~mask) | (bytes[i] & mask));
	}
	if (offset / 4 == PCI_COMMAND / 4 || offset / 4 == PCI_BAR0 / 4)
		bars_update(bus);
	if (device->ops->config_written)
		device->ops->config_written(device->self, offset, size);
}

static struct pci_device *device_at(struct pci_bus *bus, unsigned int slot, unsigned int function)
{
	if (slot == CHIPSET_SLOT && function == CHIPSET_POWER && bus->slots[slot] == &bus->isa)
		return &bus->power;
	return function == 0 ? bus->slots[slot] : NULL;
}

/* ECAM: bus 0 only, so an offset is slot (5 bits), function (3), register (12). */

static void ecam_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct pci_device *device = device_at(self, offset >> 15 & 31, offset >> 12 & 7);
	unsigned int at = offset & 0xfff;

	if (device && inside_dword(at, size))
		config_read(device, at, data, size);
	else
		memset(data, 0xff, size);
}

static void ecam_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct pci_device *device = device_at(self, offset >> 15 & 31, offset >> 12 & 7);
	unsigned int at = offset & 0xfff;

	if (device && inside_dword(at, size))
		config_write(self, device, at, data, size);
}

static const struct machine_io_ops ecam_ops = {.read = ecam_read, .write = ecam_write};

/* CF8 (dword only) holds enable, bus, slot, function, dword; CFC..CFF are that dword's bytes. */

static struct pci_device *port_device(struct pci_bus *bus, uint64_t offset, unsigned int size)
{
	uint32_t address = bus->port_address;

	if (!(address & 0x80000000) || (address >> 16 & 0xff) != 0)
		return NULL;
	if (offset < PORT_DATA_OFFSET || !inside_dword((unsigned int)offset, size))
		return NULL;
	return device_at(bus, address >> 11 & 31, address >> 8 & 7);
}

static unsigned int port_register(const struct pci_bus *bus, uint64_t offset)
{
	return (bus->port_address & 0xfc) + (unsigned int)offset - PORT_DATA_OFFSET;
}

static void port_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct pci_bus *bus = self;
	struct pci_device *device = port_device(bus, offset, size);

	if (device)
		config_read(device, port_register(bus, offset), data, size);
	else if (offset == 0 && size == 4)
		put32(data, bus->port_address);
	else if (offset == PORT_RESET_OFFSET && size == 1)
		*(uint8_t *)data = bus->reset_control;
	else
		memset(data, 0xff, size);
}

/* A chipset's reset control register (reboot=p): which kind of reset, and then to do it. */
static void port_reset(struct pci_bus *bus, uint8_t control)
{
	bus->reset_control = control & RESET_KIND;
	if (control & RESET_NOW)
		machine_reset(bus->machine, "port CF9");
}

static void port_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct pci_bus *bus = self;
	struct pci_device *device = port_device(bus, offset, size);

	if (device)
		config_write(bus, device, port_register(bus, offset), data, size);
	else if (offset == 0 && size == 4)
		bus->port_address = base_le32(data) & 0x80fffffc;
	else if (offset == PORT_RESET_OFFSET && size == 1)
		port_reset(bus, *(const uint8_t *)data);
}

static const struct machine_io_ops port_ops = {.read = port_read, .write = port_write};

/* ---- the bus ---- */

int pci_bus_add(struct pci_bus *bus, struct pci_device *device)
{
	uint64_t base = bus->next_bar;
	int slot = 1;

	while (slot < PCI_SLOTS && bus->slots[slot])
		slot++;
	if (slot == PCI_SLOTS)
		return -ENOSPC;
	if (device->bar_size > 0) {
		base = (base + device->bar_size - 1) & ~((uint64_t)device->bar_size - 1);
		if (base - MACHINE_MMIO32_BASE > MACHINE_MMIO32_SIZE - device->bar_size)
			return -ENOSPC;
		put32(device->config + PCI_BAR0, (uint32_t)base);
		bus->next_bar = base + device->bar_size;
	}
	bus->slots[slot] = device;
	return slot;
}

static const struct pci_device_ops pci_no_ops;

int pci_bus_create(struct machine *m, struct pci_bus **created)
{
	static const struct pci_identity bridge = {
	        .vendor = 0x1b36, .device = 0x0008, .class = 0x060000}; /* a generic host bridge */
	struct pci_bus *bus = calloc(1, sizeof(*bus));
	int error;

	if (!bus)
		return -ENOMEM;
	bus->machine = m;
	bus->next_bar = MACHINE_MMIO32_BASE;
	pci_device_init(&bus->bridge, &bridge, 0);
	bus->bridge.ops = &pci_no_ops;
	bus->slots[0] = &bus->bridge;
	error = machine_io_add(m, MACHINE_MMIO, MACHINE_ECAM_BASE, MACHINE_ECAM_SIZE, &ecam_ops,
	                       bus);
	if (!error) {
		error = machine_io_add(m, MACHINE_PIO, PORT_ADDRESS, PORT_SIZE, &port_ops, bus);
		if (error)
			machine_io_remove(m, MACHINE_MMIO, MACHINE_ECAM_BASE);
	}
	if (error) {
		free(bus);
		return error;
	}
	*created = bus;
	return 0;
}

void pci_bus_destroy(struct pci_bus *bus)
{
	machine_io_remove(bus->machine, MACHINE_MMIO, MACHINE_ECAM_BASE);
	machine_io_remove(bus->machine, MACHINE_PIO, PORT_ADDRESS);
	for (size_t i = 0; i < PCI_SLOTS; i++) {
		struct pci_device *device = bus->slots[i];

		if (!device)
			continue;
		if (device->bar_base != 0) {
			machine_io_remove(bus->machine, MACHINE_MMIO, device->bar_base);
			bar_place(device, 0);
		}
		if (device->ops->destroy)
			device->ops->destroy(device->self);
	}
	free(bus);
}

int pci_bus_chipset(struct pci_bus *bus)
{
	static const struct pci_identity host = {
	        .vendor = 0x8086, .device = 0x1237, .class = 0x060000};
	static const struct pci_identity isa = {
	        .vendor = 0x8086, .device = 0x7000, .class = 0x060100};
	static const struct pci_identity power = {
	        .vendor = 0x8086, .device = 0x7113, .class = 0x068000};

	if (bus->slots[CHIPSET_SLOT])
		return -EEXIST;
	pci_device_init(&bus->bridge, &host, 0);
	pci_device_init(&bus->isa, &isa, 0);
	pci_device_init(&bus->power, &power, 0);
	bus->bridge.ops = bus->isa.ops = bus->power.ops = &pci_no_ops;
	bus->isa.config[PCI_HEADER_TYPE] = CHIPSET_MULTIFUNCTION;
	bus->power.config[CHIPSET_PMBA] = 1; /* ports */
	put16(bus->power.writable + CHIPSET_PMBA, 0xffc0);
	bus->power.writable[CHIPSET_PMREGMISC] = 1;
	bus->slots[CHIPSET_SLOT] = &bus->isa;
	return 0;
}

struct pci_device *pci_bus_at(const struct pci_bus *bus, unsigned int slot)
{
	return slot < PCI_SLOTS ? bus->slots[slot] : NULL;
}
