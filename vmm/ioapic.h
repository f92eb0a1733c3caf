/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ioapic: the I/O APIC's registers (Intel 82093AA, version 0x20 with its EOI register), 24 pins. */
#ifndef CORDON_VMM_IOAPIC_H
#define CORDON_VMM_IOAPIC_H

#include "vmm/machine.h"

/* What a pin's redirection entry stands for, as a message to the local APICs. */
struct ioapic_message {
	uint64_t address;
	uint32_t data;
	bool live; /* false: masked, or nothing that can be sent */
};

/* What the I/O APIC asks of the machine. */
struct ioapic_host {
	/* The pin's message changed. */
	void (*route)(void *self, unsigned int pin, const struct ioapic_message *message);
	/* Deliver the message once, now. */
	void (*signal)(void *self, const struct ioapic_message *message);
	void *self;
};

struct ioapic {
	struct ioapic_host host;
	uint64_t entries[MACHINE_GSI_PINS];
	uint32_t select, id;
	uint32_t level;   /* bit a pin: its input line */
	uint32_t pending; /* bit a pin: an edge that came while masked */
};

extern const struct machine_io_ops ioapic_io;
enum { IOAPIC_SIZE = 0x1000 };

void ioapic_init(struct ioapic *ioapic, const struct ioapic_host *host);
/* Drives a pin's input line (active high). */
void ioapic_set(struct ioapic *ioapic, unsigned int pin, bool high);
/* A local APIC's end of interrupt for a level-triggered vector (KVM_EXIT_IOAPIC_EOI). */
void ioapic_eoi(struct ioapic *ioapic, uint8_t vector);
struct ioapic_message ioapic_message(const struct ioapic *ioapic, unsigned int pin);

#endif
