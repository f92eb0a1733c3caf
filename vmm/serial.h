/* SPDX-License-Identifier: GPL-2.0-or-later */
/* serial: the registers of a 16550A at COM1, without its modem. */
#ifndef CORDON_VMM_SERIAL_H
#define CORDON_VMM_SERIAL_H

#include "vmm/machine.h"

enum {
	SERIAL_PORT = 0x3f8,
	SERIAL_PORTS = 8,
	SERIAL_PIN = 4,
	SERIAL_INPUT_MAX = 64, /* received bytes that the guest has not read yet */
};

struct serial_host {
	void (*transmit)(void *self, uint8_t byte);
	void (*interrupt)(void *self, bool high);
	void (*drained)(void *self); /* there is room for input again */
	void *self;
};

struct serial {
	struct serial_host host;
	uint8_t interrupt_enable, line_control, modem_control, scratch;
	uint8_t divisor[2];
	bool fifo, transmit_interrupt, overrun, line;
	uint8_t input[SERIAL_INPUT_MAX];
	size_t first, count;
};

extern const struct machine_io_ops serial_io;

void serial_init(struct serial *serial, const struct serial_host *host);
/* How many bytes serial_receive() would take now. */
size_t serial_room(const struct serial *serial);
/* Bytes from outside; what does not fit is lost, and shows as an overrun, as on a wire. */
void serial_receive(struct serial *serial, const uint8_t *data, size_t size);

#endif
