// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * ioapic: with a split irqchip the local APICs are KVM's and this is ours. Each redirection entry is
 * turned into the MSI that has the same effect; the machine keeps that MSI in KVM's routing table
 * (so that KVM knows which vectors' EOIs to report) and sends it when a pin goes up.
 *
 * Registers: 82093AA datasheet 3.1 and 3.2 (IOREGSEL 0x00, IOWIN 0x10); EOI register at 0x40 as in
 * version 0x20. A masked edge is remembered and sent at unmasking, as Linux expects.
 */
#include "vmm/ioapic.h"

#include <string.h>

#include "base/base.h"

enum {
	IOAPIC_REG_SELECT = 0x00,
	IOAPIC_REG_WINDOW = 0x10,
	IOAPIC_REG_EOI = 0x40,
	IOAPIC_INDEX_ID = 0x00,
	IOAPIC_INDEX_VERSION = 0x01,
	IOAPIC_INDEX_ARBITRATION = 0x02,
	IOAPIC_INDEX_ENTRIES = 0x10,
	IOAPIC_VERSION = 0x20,
	IOAPIC_MODE_EXTINT = 7,
};

#define IOAPIC_STATUS     (1ull << 12) /* delivery status: read-only, always idle here */
#define IOAPIC_REMOTE_IRR (1ull << 14)
#define IOAPIC_LEVEL      (1ull << 15)
#define IOAPIC_MASKED     (1ull << 16)
#define IOAPIC_WRITABLE   (0xff0000000001afffull & ~IOAPIC_STATUS)

void ioapic_init(struct ioapic *ioapic, const struct ioapic_host *host)
{
	memset(ioapic, 0, sizeof(*ioapic));
	ioapic->host = *host;
	for (unsigned int pin = 0; pin < MACHINE_GSI_PINS; pin++)
		ioapic->entries[pin] = IOAPIC_MASKED;
}

struct ioapic_message ioapic_message(const struct ioapic *ioapic, unsigned int pin)
{
	uint64_t entry = ioapic->entries[pin];
	uint32_t vector = entry & 0xff, mode = entry >> 8 & 7;
	uint32_t logical = entry >> 11 & 1, destination = (uint32_t)(entry >> 56);
	bool level = entry & IOAPIC_LEVEL;

	/* Fixed and lowest-priority vectors below 16 are illegal (SDM vol. 3, 10.5.2). */
	return (struct ioapic_message){
	        .address = MACHINE_LAPIC_BASE | (uint64_t)destination << 12 | logical << 2,
	        .data = vector | mode << 8 | (level ? 3u << 14 : 0),
	        .live = !(entry & IOAPIC_MASKED) && mode != IOAPIC_MODE_EXTINT &&
	                (mode > 1 || vector >= 16),
	};
}

/* Sends what a pin owes: a remembered edge, or a level that no one has been told of yet. */
static void ioapic_deliver(struct ioapic *ioapic, unsigned int pin)
{
	struct ioapic_message message = ioapic_message(ioapic, pin);
	uint32_t bit = 1u << pin;

	if (!message.live)
		return;
	if (ioapic->entries[pin] & IOAPIC_LEVEL) {
		if (!(ioapic->level & bit) || (ioapic->entries[pin] & IOAPIC_REMOTE_IRR))
			return;
		ioapic->entries[pin] |= IOAPIC_REMOTE_IRR;
	} else {
		if (!(ioapic->pending & bit))
			return;
		ioapic->pending &= ~bit;
	}
	ioapic->host.signal(ioapic->host.self, &message);
}

void ioapic_set(struct ioapic *ioapic, unsigned int pin, bool high)
{
	uint32_t bit;

	if (pin >= MACHINE_GSI_PINS)
		return;
	bit = 1u << pin;
	if (high && !(ioapic->level & bit) && !(ioapic->entries[pin] & IOAPIC_LEVEL))
		ioapic->pending |= bit;
	ioapic->level = high ? ioapic->level | bit : ioapic->level & ~bit;
	ioapic_deliver(ioapic, pin);
}

void ioapic_eoi(struct ioapic *ioapic, uint8_t vector)
{
	for (unsigned int pin = 0; pin < MACHINE_GSI_PINS; pin++) {
		uint64_t entry = ioapic->entries[pin];

		if ((entry & 0xff) != vector || !(entry & IOAPIC_LEVEL))
			continue;
		ioapic->entries[pin] &= ~IOAPIC_REMOTE_IRR;
		ioapic_deliver(ioapic, pin);
	}
}

static uint32_t ioapic_window_read(const struct ioapic *ioapic)
{
	uint32_t index = ioapic->select;

	switch (index) {
	case IOAPIC_INDEX_ID:
	case IOAPIC_INDEX_ARBITRATION: return ioapic->id << 24;
	case IOAPIC_INDEX_VERSION: return IOAPIC_VERSION | (MACHINE_GSI_PINS - 1) << 16;
	default: break;
	}
	index -= IOAPIC_INDEX_ENTRIES;
	if (index >= 2 * MACHINE_GSI_PINS)
		return 0xffffffff;
	return (uint32_t)(ioapic->entries[index / 2] >> (index % 2 ? 32 : 0));
}

static void ioapic_window_write(struct ioapic *ioapic, uint32_t value)
{
	uint32_t index = ioapic->select;
	struct ioapic_message message;
	uint64_t writable, *entry;

	if (index == IOAPIC_INDEX_ID)
		ioapic->id = value >> 24 & 0xf;
	index -= IOAPIC_INDEX_ENTRIES;
	if (index >= 2 * MACHINE_GSI_PINS)
		return;
	entry = &ioapic->entries[index / 2];
	writable = IOAPIC_WRITABLE & (index % 2 ? 0xffffffff00000000ull : 0xffffffffull);
	*entry = (*entry & ~writable) | ((uint64_t)value << (index % 2 ? 32 : 0) & writable);
	/* An edge-triggered pin has no remote IRR: Linux clears a stuck one by this switch. */
	if (!(*entry & IOAPIC_LEVEL))
		*entry &= ~IOAPIC_REMOTE_IRR;
	message = ioapic_message(ioapic, index / 2);
	ioapic->host.route(ioapic->host.self, index / 2, &message);
	ioapic_deliver(ioapic, index / 2);
}

static void ioapic_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	struct ioapic *ioapic = self;
	uint32_t value = 0xffffffff;

	memset(data, 0xff, size);
	if (size < 4)
		return; /* the registers are 32 bits wide, and read so */
	if (offset == IOAPIC_REG_SELECT)
		value = ioapic->select;
	else if (offset == IOAPIC_REG_WINDOW)
		value = ioapic_window_read(ioapic);
	memcpy(data, &value, sizeof(value));
}

static void ioapic_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct ioapic *ioapic = self;
	uint32_t value;

	if (offset == IOAPIC_REG_SELECT) {
		ioapic->select = *(const uint8_t *)data;
		return;
	}
	if (size < 4)
		return;
	value = base_le32(data);
	if (offset == IOAPIC_REG_WINDOW)
		ioapic_window_write(ioapic, value);
	else if (offset == IOAPIC_REG_EOI)
		ioapic_eoi(ioapic, value & 0xff);
}

const struct machine_io_ops ioapic_io = {.read = ioapic_read, .write = ioapic_write};
