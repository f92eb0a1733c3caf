/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Wrong uses of the bus: config space that is not there, ports in odd widths, BARs that are moved onto
 * memory, onto the machine's own registers and onto each other, and decoding that stops, while queues run.
 */
#include "tests/hostile/class.h"

enum {
	PORT_ADDRESS = 0xcf8,
	PORT_DATA = 0xcfc,
	CAPABILITY_WINDOW = 5,
	IOAPIC_VERSION = 1, /* a register of it */
};

static const unsigned int widths[] = {1, 2, 4, 8};

static const char *ecam_outside(struct device *unused)
{
	static const uint64_t outside[] = {ECAM_BASE + ECAM_SIZE,       ECAM_BASE + 2 * ECAM_SIZE,
	                                   ECAM_BASE + 255 * ECAM_SIZE, ECAM_BASE - 8,
	                                   ECAM_BASE + 31 * 0x8000ul,   ECAM_BASE + 0x1000,
	                                   ECAM_BASE + 0x8000 + 0x7000};

	(void)unused;
	for (unsigned int i = 0; i < COUNT(outside); i++)
		for (unsigned int w = 0; w < COUNT(widths); w++) {
			mmio_write(outside[i], 0, widths[w]);
			if (mmio_read(outside[i], widths[w]) != all_ones(widths[w]))
				return why("%lx answers", outside[i]);
		}
	for (unsigned int function = 1; function < 8; function++) /* of every slot */
		for (unsigned int slot = 0; slot < 32; slot++)
			if (mmio_read(ecam(slot, function << 12), 4) != 0xffffffff)
				return why("function %u of slot %u answers", function, slot);
	/* across the edge, across a dword, and all of the bridge's config space */
	for (unsigned int w = 1; w < COUNT(widths); w++)
		(void)mmio_read(ECAM_BASE + ECAM_SIZE - 1, widths[w]);
	for (unsigned int at = 0; at < 256; at++)
		for (unsigned int w = 0; w < COUNT(widths); w++) {
			mmio_write(ecam(0, at), ~0ul, widths[w]);
			(void)mmio_read(ecam(0, at), widths[w]);
		}
	return NULL;
}

static const char *cf8_odd(struct device *unused)
{
	const uint32_t id = (uint32_t)mmio_read(ecam(1, 0), 4);

	(void)unused;
	for (uint32_t address = 0; address < 8; address++) { /* what is no address at all */
		/* but for the port that resets, which has these bits in the middle */
		port_write8((uint16_t)(PORT_ADDRESS + address % 4), (uint8_t)address & ~4u);
		port_write16((uint16_t)(PORT_ADDRESS + address % 3), 0xffff);
		(void)port_read8((uint16_t)(PORT_ADDRESS + address));
		(void)port_read16((uint16_t)(PORT_ADDRESS + address));
		(void)port_read32((uint16_t)(PORT_ADDRESS + address));
	}
	for (unsigned int bus = 0; bus < 256; bus += 5)
		for (unsigned int slot = 0; slot < 32; slot += 3) {
			port_write32(PORT_ADDRESS, 0x80000000 | bus << 16 | slot << 11 | 1 << 8);
			if (port_read32(PORT_DATA) != 0xffffffff)
				return why("function 1 of bus %u, slot %u answers", bus, slot);
		}
	port_write32(PORT_ADDRESS, 1 << 11); /* not enabled */
	if (port_read32(PORT_DATA) != 0xffffffff)
		return why("CFC answers while CF8 is not enabled");
	port_write32(PORT_ADDRESS, 0xff000003 | 1 << 11); /* reserved bits */
	(void)port_read32(PORT_DATA);
	for (uint32_t at = 0; at < 256; at += 4) {
		port_write32(PORT_ADDRESS, 0x80000000 | 1 << 11 | at);
		for (uint16_t i = 0; i < 4; i++) {
			(void)port_read8(PORT_DATA + i);
			(void)port_read16(PORT_DATA + i);
			(void)port_read32(PORT_DATA + i);
		}
	}
	port_write32(PORT_ADDRESS, 0x80000000 | 1 << 11);
	if (port_read32(PORT_DATA) != id)
		return why("slot 1 is %x by ports, %x by ECAM", port_read32(PORT_DATA), id);
	return NULL;
}

/* Writes to every byte of config space, in every width; then what a driver needs is put back. */
static const char *config_space(struct device *d)
{
	static const uint64_t values[] = {~0ul, 0, 0x5aa55aa5a55aa55a};
	const uint32_t bar = (uint32_t)d->bar;
	const char *bad = device_start(d);

	if (bad)
		return bad;
	for (unsigned int v = 0; v < COUNT(values); v++)
		for (unsigned int at = 0; at < 264; at++)
			for (unsigned int w = 0; w < COUNT(widths); w++)
				mmio_write(ecam(d->slot, at), values[v], widths[w]);
	config_write(d, PCI_BAR0, bar, 4);
	config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	msix_enable(d);
	return NULL;
}

/* The window onto the BAR in config space (4.1.4.9): any BAR, any offset, any length. */
static const char *config_window(struct device *d)
{
	static const uint32_t lengths[] = {1, 2, 4, 0, 3, 8, 0xffffffff};
	unsigned int at = config_read(d, PCI_CAPABILITIES, 1);
	const char *bad = device_start(d);

	while (at != 0 &&
	       (config_read(d, at, 1) != 9 || config_read(d, at + 3, 1) != CAPABILITY_WINDOW))
		at = config_read(d, at + 1, 1);
	if (at == 0 || bad)
		return bad; /* a device need not have one for long */
	for (unsigned int i = 0; i < COUNT(lengths); i++)
		for (uint32_t offset = 0; offset < d->bar_size + PAGE; offset += 601) {
			config_write(d, at + 4, offset % 5 == 0 ? 1 : 0, 1);
			config_write(d, at + 8, offset % 7 == 0 ? 0u - offset : offset, 4);
			config_write(d, at + 12, lengths[i], 4);
			/* not a message of MSI-X: such a one can be an NMI */
			if (offset % 64 >= 32 && offset / PAGE != d->msix_table / PAGE)
				config_write(d, at + 16, offset * 2654435761u, 4);
			(void)config_read(d, at + 16 + offset % 4, 1);
			(void)config_read(d, at + 16, 4);
		}
	bad = device_start(d);
	msix_enable(d);
	/* notifications by this way, which an eventfd does not catch: many, and one that counts */
	config_write(d, at + 4, 0, 1);
	config_write(d, at + 12, 2, 4);
	for (unsigned int i = 0; i < 64 && !bad; i++) {
		const struct queue *q = &d->queues[i % d->queues_used];

		config_write(d, at + 8, (uint32_t)(q->doorbell - d->bar), 4);
		config_write(d, at + 16, q->index, 2);
	}
	return bad ? bad : d->kind->good(d);
}

static void bar_put(struct device *d, uint32_t base)
{
	config_write(d, PCI_BAR0, base, 4);
}

/* With the BAR at `base`, what was there is still there. */
static const char *bar_onto(struct device *d, uint32_t base)
{
	const struct device *other = d == devices ? &devices[device_count - 1] : devices;
	const uint32_t id = (uint32_t)mmio_read(ecam(0, 0), 4);
	const char *bad = NULL;

	bar_put(d, base);
	for (unsigned int i = 0; i < d->queues_used; i++) /* the old doorbells ring nobody */
		queue_notify(&d->queues[i]);
	if (base + 0x8000ul <= memory_end()) {
		volatile uint64_t *ram = (void *)(uint64_t)base;

		*ram = 0x1122334455667788;
		if (*ram != 0x1122334455667788)
			bad = why("memory at %x is covered", base);
	} else if (base >= MMIO_BASE && base < MMIO_BASE + MMIO_SIZE) {
		bad = other->kind->good((struct device *)other);
	} else {
		mmio_write(base, 0, 4);
		(void)mmio_read(base, 4);
	}
	if ((uint32_t)mmio_read(ecam(0, 0), 4) != id)
		bad = why("with the BAR at %x, config space is gone", base);
	mmio_write(IOAPIC_BASE, IOAPIC_VERSION, 4);
	if ((mmio_read(IOAPIC_BASE + 0x10, 4) & 0xff) != 0x20)
		bad = why("with the BAR at %x, the I/O APIC is gone", base);
	bar_put(d, (uint32_t)d->bar);
	return bad ? bad : d->kind->good(d);
}

static const char *bar_moved(struct device *d)
{
	const struct device *other = d == devices ? &devices[device_count - 1] : devices;
	const uint32_t places[] = {0,
	                           0x2000000,
	                           (uint32_t)memory_end() - 0x8000,
	                           (uint32_t)memory_end() & ~0x7fffu,
	                           ECAM_BASE,
	                           ECAM_BASE + 0x8000,
	                           IOAPIC_BASE & ~0x7fffu,
	                           LAPIC_BASE,
	                           0xffff8000,
	                           MMIO_BASE - 0x8000,
	                           MMIO_BASE + MMIO_SIZE,
	                           (uint32_t)other->bar};
	const uint64_t home = d->bar;
	const char *bad = device_start(d);

	for (unsigned int i = 0; i < COUNT(places) && !bad; i++)
		bad = bar_onto(d, places[i]);
	if (bad)
		return bad;
	/* a place that is right: the device, its doorbells and its interrupts are there */
	d->bar = MMIO_BASE + MMIO_SIZE - 0x8000;
	bar_put(d, (uint32_t)d->bar);
	bad = device_start(d);
	if (!bad)
		bad = d->kind->good(d);
	d->bar = home;
	bar_put(d, (uint32_t)home);
	return bad;
}

/* All BARs in one place; each of them is there again once it has its own. */
static const char *bars_together(struct device *unused)
{
	const char *bad = NULL;

	(void)unused;
	for (unsigned int i = 0; i < device_count; i++)
		bar_put(&devices[i], MMIO_BASE + MMIO_SIZE / 2);
	for (unsigned int n = 0; n < 64; n++)
		for (unsigned int w = 0; w < COUNT(widths); w++)
			(void)mmio_read(MMIO_BASE + MMIO_SIZE / 2 + n, widths[w]);
	for (unsigned int i = device_count; i-- > 0;)
		bar_put(&devices[i], (uint32_t)devices[i].bar);
	for (unsigned int i = 0; i < device_count && !bad; i++)
		bad = device_revive(&devices[i]);
	return bad;
}

/* Memory decoding and bus mastering go while a request is on its way, and come back. */
static const char *decode_off(struct device *d)
{
	const char *bad = device_start(d);

	for (unsigned int n = 0; n < 20 && !bad; n++) {
		uint32_t keep = n % 2 ? PCI_COMMAND_MASTER : 0;

		config_write(d, PCI_COMMAND, keep, 2);
		for (unsigned int i = 0; i < d->queues_used; i++)
			queue_notify(&d->queues[i]);
		if (mmio_read(d->bar + d->common.offset + STATUS, 1) != 0xff)
			bad = why("it answers while decoding is off");
		config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
		config_write(d, PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
		if (!bad)
			bad = d->kind->good(d);
	}
	return bad;
}

const struct hostile_class pci_classes[] = {
        {"ecam_outside", ecam_outside, true},  {"cf8_odd", cf8_odd, true},
        {"config_space", config_space, false}, {"config_window", config_window, false},
        {"bar_moved", bar_moved, false},       {"bars_together", bars_together, true},
        {"decode_off", decode_off, false},     {NULL, NULL, false},
};
