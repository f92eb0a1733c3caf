/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Wrong uses of the machine: ports and addresses that nothing answers, string instructions, MSRs, the I/O APIC. */
#include "tests/hostile/class.h"

enum {
	PORTS = 0x10000,
	PORTS_KNOWN = 256, /* fewer than these may answer */
	PCI_PORTS = 0xcf8,
	IOAPIC_WINDOW = 0x10,
	IOAPIC_EOI = 0x40,
	IOAPIC_ENTRIES = 0x10,
	IOAPIC_PINS = 24,
	IOAPIC_MASKED = 0x10000,
	SERIAL_PIN = 4,
	STRING_IN = 6000,
	STRING_OUT = 100, /* each of them is an exit */
};

static const unsigned int widths[] = {1, 2, 4, 8};

/* Not to be written to: the console, the bus, and what ends or stops the machine. */
static bool port_spared(unsigned int port)
{
	return (port >= SERIAL - 3 && port < SERIAL + 8) ||
	       (port >= PCI_PORTS - 3 && port < PCI_PORTS + 8) ||
	       (port >= POWER - 3 && port < POWER + 8);
}

static const char *ports(struct device *unused)
{
	unsigned int answer = 0;

	(void)unused;
	for (unsigned int port = 0; port < PORTS; port++)
		answer += port_read8((uint16_t)port) != 0xff;
	for (unsigned int port = 0; port < PORTS; port += 61) {
		answer += port_read16((uint16_t)port) != 0xffff;
		answer += port_read32((uint16_t)port) != 0xffffffff;
		if (port_spared(port))
			continue;
		port_write8((uint16_t)port, 0);
		port_write16((uint16_t)port, 0);
		port_write32((uint16_t)port, 0);
	}
	(void)port_read16(0xffff);
	(void)port_read32(0xffff);
	if (answer > PORTS_KNOWN)
		return why("%u ports answer", answer);
	return NULL;
}

/* Values that are nearly S5, nearly a reset, and in the wrong width. */
static const char *power_ports(struct device *unused)
{
	(void)unused;
	for (unsigned int value = 0; value < 256; value++)
		if ((value & 0x20) == 0 || (value >> 2 & 7) != 5)
			port_write8(POWER, (uint8_t)value);
	port_write16(POWER, 0xffff);
	port_write32(POWER, 0xffffffff);
	port_write8(POWER + 1, 0xff);
	for (unsigned int at = 0; at < 4; at++) {
		(void)port_read8((uint16_t)(POWER + at));
		(void)port_read16((uint16_t)(POWER + at));
		(void)port_read32((uint16_t)(POWER + at));
	}
	return NULL;
}

/* REP INS and OUTS, across pages, from ports that are there and from some that are not. */
static const char *string_io(struct device *unused)
{
	static const uint16_t ports_in[] = {0x80,          SERIAL + 5, PCI_PORTS,
	                                    PCI_PORTS + 4, POWER + 1,  0xffff};
	static const uint16_t ports_out[] = {0x80, SERIAL + 7, PCI_PORTS, PCI_PORTS + 4, 0xfffe};
	uint8_t *buffer = devices[0].buffer;

	(void)unused;
	for (unsigned int i = 0; i < COUNT(ports_in); i++) {
		uint64_t count = STRING_IN;
		void *at = buffer + 1;

		__asm__ volatile("rep insb" : "+D"(at), "+c"(count) : "d"(ports_in[i]) : "memory");
		count = STRING_IN;
		__asm__ volatile("rep insw" : "+D"(at), "+c"(count) : "d"(ports_in[i]) : "memory");
		count = STRING_IN;
		__asm__ volatile("rep insl" : "+D"(at), "+c"(count) : "d"(ports_in[i]) : "memory");
	}
	memory_fill(buffer, 0, 2 * PAGE);
	for (unsigned int i = 0; i < COUNT(ports_out); i++) {
		const void *at = buffer + PAGE - STRING_OUT;
		uint64_t count = STRING_OUT;

		__asm__ volatile("rep outsb"
		                 : "+S"(at), "+c"(count)
		                 : "d"(ports_out[i])
		                 : "memory");
		count = STRING_OUT;
		__asm__ volatile("rep outsl"
		                 : "+S"(at), "+c"(count)
		                 : "d"(ports_out[i])
		                 : "memory");
	}
	return NULL;
}

/* Addresses between what is there, and far above memory. */
static const char *mmio(struct device *unused)
{
	static const uint64_t high[] = {0x100000000, 0x7fffe00000, 0xfffe00000, 0x8000000000 - 8};

	(void)unused;
	for (uint64_t at = (memory_end() + 0x1fffff) & ~0x1ffffful; at < 0x100000000;
	     at += 0x600000) {
		unsigned int w = (unsigned int)(at >> 21) % COUNT(widths);

		if (at >= ECAM_BASE && at < MMIO_BASE + (1 << 20))
			continue;
		mmio_write(at + 8, 0, widths[w]);
		if (mmio_read(at + 8, widths[w]) != all_ones(widths[w]) && at != IOAPIC_BASE &&
		    at != LAPIC_BASE)
			return why("%lx answers", at + 8);
	}
	for (unsigned int i = 0; i < COUNT(high); i++) {
		uint64_t at = memory_window(high[i]);

		mmio_write(at, 0, 8);
		if (mmio_read(at, 8) != ~0ul)
			return why("%lx answers", high[i]);
	}
	/* unaligned, across pages, and across the end of what answers */
	for (unsigned int i = 1; i < 8; i++) {
		(void)mmio_read(IOAPIC_BASE - i, 8);
		(void)mmio_read(IOAPIC_BASE + PAGE - i, 8);
		(void)mmio_read(ECAM_BASE - i, 8);
		mmio_write(IOAPIC_BASE + PAGE - i, 0, 8);
	}
	return NULL;
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	mmio_write(IOAPIC_BASE, index, 4);
	mmio_write(IOAPIC_BASE + IOAPIC_WINDOW, value, 4);
}

/* Every register, every pattern; pins with kinds of delivery that are none; ends of interrupts of all vectors. */
static const char *ioapic(struct device *unused)
{
	static const uint32_t values[] = {0x00000341, 0x0000ff00, 0x00008742,
	                                  0x0000a043, 0x00000b44, 0x00005045,
	                                  0x00000000, 0x0000000f, 0xfffeff00 & ~0x500u};

	(void)unused;
	for (unsigned int index = 0; index < 256; index++) {
		mmio_write(IOAPIC_BASE, index, 4);
		(void)mmio_read(IOAPIC_BASE + IOAPIC_WINDOW, 4);
		(void)mmio_read(IOAPIC_BASE + IOAPIC_WINDOW, 1);
		mmio_write(IOAPIC_BASE + IOAPIC_EOI, index, 4);
	}
	for (unsigned int at = 0; at < 0x60; at++)
		for (unsigned int w = 0; w < COUNT(widths); w++) {
			(void)mmio_read(IOAPIC_BASE + at, widths[w]);
			mmio_write(IOAPIC_BASE, 0xff,
			           4); /* whatever is written next goes nowhere */
			mmio_write(IOAPIC_BASE + at, 0xff, widths[w]);
		}
	for (unsigned int i = 0; i < COUNT(values); i++)
		for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++) {
			ioapic_write(IOAPIC_ENTRIES + 2 * pin + 1, i * 0x11000000);
			ioapic_write(IOAPIC_ENTRIES + 2 * pin,
			             values[i] | (pin == 2 ? IOAPIC_MASKED : 0));
		}
	for (unsigned int n = 0; n < 50;
	     n++) { /* level and edge, as the serial port's line changes */
		ioapic_write(IOAPIC_ENTRIES + 2 * SERIAL_PIN, (n & 1 ? 0x8000 : 0) | 0x46);
		port_write8(SERIAL + 1, n & 2 ? 2 : 0);
	}
	port_write8(SERIAL + 1, 0);
	for (unsigned int pin = 0; pin < IOAPIC_PINS; pin++)
		ioapic_write(IOAPIC_ENTRIES + 2 * pin, IOAPIC_MASKED);
	return NULL;
}

/* What has an MSR's number and is none faults; what is one is read. Few are written, with what they hold. */
static const char *msrs(struct device *unused)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {{0, 0x1200},
	              {0xc0000080, 0xc0000110},
	              {0xc0010000, 0xc0010140},
	              {0x40000000, 0x40000110},
	              {0x4b564d00, 0x4b564d10},
	              {0xfffffff0, 0xffffffff}};
	unsigned int there = 0;
	uint64_t value;

	(void)unused;
	for (unsigned int i = 0; i < COUNT(ranges); i++)
		for (uint32_t at = ranges[i].from; at < ranges[i].to; at++)
			there += msr_read(at, &value);
	if (msr_read(0xdeadbeef, &value) || msr_write(0xdeadbeef, ~0ul))
		return why("MSR deadbeef answers");
	return there > 0 ? NULL : why("no MSR answers");
}

const struct hostile_class machine_classes[] = {
        {"ports", ports, true}, {"power_ports", power_ports, true}, {"string_io", string_io, true},
        {"mmio", mmio, true},   {"ioapic", ioapic, true},           {"msrs", msrs, true},
        {NULL, NULL, false},
};
