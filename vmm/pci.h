/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pci: what a device behind the bus of pci.c looks like. A device is one function with one 32-bit memory
 * BAR, a capability list and no INTx. Everything here is called with the machine's lock held.
 */
#ifndef CORDON_PCI_H
#define CORDON_PCI_H

#include "vmm/machine.h"

enum pci_register { /* PCI Local Bus 3.0, 6.1: the type-0 header */
	            PCI_VENDOR = 0x00,
	            PCI_DEVICE = 0x02,
	            PCI_COMMAND = 0x04,
	            PCI_STATUS = 0x06,
	            PCI_REVISION = 0x08,
	            PCI_CLASS = 0x09,
	            PCI_HEADER_TYPE = 0x0e,
	            PCI_BAR0 = 0x10,
	            PCI_SUBSYSTEM_VENDOR = 0x2c,
	            PCI_SUBSYSTEM = 0x2e,
	            PCI_CAPABILITIES = 0x34,
	            PCI_INTERRUPT_LINE = 0x3c,
	            PCI_CAPABILITY_START = 0x40,
	            PCI_CONFIG_SIZE = 256,
	            PCI_SLOTS = 32,
};

enum pci_bits {
	PCI_COMMAND_MEMORY = 0x0002,
	PCI_COMMAND_MASTER = 0x0004,
	PCI_COMMAND_INTX_OFF = 0x0400,
	PCI_STATUS_CAPABILITIES = 0x0010,
	PCI_CAPABILITY_VENDOR = 0x09,
	PCI_CAPABILITY_MSIX = 0x11,
};

struct pci_device_ops {
	/* Before the bytes at `offset` are read; after a write to them was merged into config[]. */
	void (*config_read)(void *self, unsigned int offset, unsigned int size);
	void (*config_written)(void *self, unsigned int offset, unsigned int size);
	/* The BAR answers at `base` from now on; 0: nowhere. */
	void (*bar_moved)(void *self, uint64_t base);
	void (*destroy)(void *self); /* with its bus */
};

struct pci_identity {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision;
	uint32_t class; /* class, subclass, interface: 24 bits */
};

struct pci_device {
	uint8_t config[PCI_CONFIG_SIZE];
	uint8_t writable[PCI_CONFIG_SIZE]; /* the bits that the guest may change */
	unsigned int config_end;           /* first byte behind the last capability */
	unsigned int last_link;            /* where the next capability's offset goes */

	uint32_t bar_size; /* a power of two, at least 16; 0: no BAR */
	uint64_t bar_base; /* where it answers; 0: nowhere */
	const struct machine_io_ops *bar_ops;

	const struct pci_device_ops *ops; /* any of them may be NULL */
	void *self;                       /* of ops and bar_ops */
};

/* Fills a device that its owner has allocated, with a BAR of `bar_size` bytes, not on a bus yet. */
void pci_device_init(struct pci_device *device, const struct pci_identity *identity,
                     uint32_t bar_size);

/*
 * Adds a capability of `size` bytes (its own first two are filled in here; a multiple of 4) and returns
 * its offset. The space is fixed at build time by the callers: running out is a programming error.
 */
unsigned int pci_device_capability(struct pci_device *device, uint8_t id, const void *body,
                                   size_t size);

/*
 * Puts the device into the next free slot, its BAR at the next free address of the 32-bit window.
 * Returns the slot (1..31) or -ENOSPC. The bus calls ops->destroy at its end.
 */
int pci_bus_add(struct pci_bus *bus, struct pci_device *device);
/*
 * For OVMF, which knows its platform by its host bridge: an Intel 440FX, an ISA bridge in slot 1, and as its function 3
 * the power management whose PM timer is at the ports that OVMF gives it. -EEXIST: there is something in that slot.
 */
int pci_bus_chipset(struct pci_bus *bus);
/* What is in a slot below PCI_SLOTS, or NULL. */
struct pci_device *pci_bus_at(const struct pci_bus *bus, unsigned int slot);

#endif
