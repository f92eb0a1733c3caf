// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * serial: a 16550A (National Semiconductor PC16550D datasheet, section 8). Transmitting takes no
 * time: the holding register is always empty again, and its interrupt is raised when it was written
 * or when it is enabled, and dropped when IIR shows it. The received bytes wait in a buffer of
 * fixed size; its owner stops reading its source while there is no room.
 *
 * Offsets 0 and 1 are the divisor while LCR's DLAB is set. The divisor is kept but means nothing.
 */
#include "vmm/serial.h"

#include <string.h>

enum {
	REG_DATA = 0,
	REG_INTERRUPT_ENABLE = 1,
	REG_INTERRUPT_ID = 2, /* written: FIFO control */
	REG_LINE_CONTROL = 3,
	REG_MODEM_CONTROL = 4,
	REG_LINE_STATUS = 5,
	REG_MODEM_STATUS = 6,
	REG_SCRATCH = 7,

	IER_RECEIVED = 1,
	IER_EMPTY = 2,
	IER_LINE = 4,
	IIR_NONE = 1,
	IIR_EMPTY = 2,
	IIR_RECEIVED = 4,
	IIR_LINE = 6,
	IIR_FIFO = 0xc0,
	FCR_ENABLE = 1,
	FCR_CLEAR_INPUT = 2,
	LCR_DLAB = 0x80,
	MCR_LOOP = 0x10,
	LSR_READY = 0x01,
	LSR_OVERRUN = 0x02,
	LSR_IDLE = 0x60,  /* holding and shift register empty */
	MSR_READY = 0xb0, /* CTS, DSR and carrier: somebody is there */
};

void serial_init(struct serial *serial, const struct serial_host *host)
{
	memset(serial, 0, sizeof(*serial));
	serial->host = *host;
	serial->divisor[0] = 1; /* 115200 baud, should anyone ask */
	serial->line_control = 3;
}

/* The interrupt with the highest priority that is enabled and pending (table 8-3). */
static uint8_t serial_cause(const struct serial *serial)
{
	if ((serial->interrupt_enable & IER_LINE) && serial->overrun)
		return IIR_LINE;
	if ((serial->interrupt_enable & IER_RECEIVED) && serial->count > 0)
		return IIR_RECEIVED;
	if ((serial->interrupt_enable & IER_EMPTY) && serial->transmit_interrupt)
		return IIR_EMPTY;
	return IIR_NONE;
}

static void serial_update(struct serial *serial)
{
	bool high = serial_cause(serial) != IIR_NONE;

	if (high == serial->line)
		return;
	serial->line = high;
	serial->host.interrupt(serial->host.self, high);
}

size_t serial_room(const struct serial *serial)
{
	return SERIAL_INPUT_MAX - serial->count;
}

void serial_receive(struct serial *serial, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		if (serial->count == SERIAL_INPUT_MAX) {
			serial->overrun = true;
			break;
		}
		serial->input[(serial->first + serial->count++) % SERIAL_INPUT_MAX] = data[i];
	}
	serial_update(serial);
}

static uint8_t serial_read_data(struct serial *serial)
{
	uint8_t byte;

	if (serial->count == 0)
		return 0;
	byte = serial->input[serial->first];
	serial->first = (serial->first + 1) % SERIAL_INPUT_MAX;
	serial->count--;
	if (serial->count == 0)
		serial->host.drained(serial->host.self);
	return byte;
}

static void serial_write_data(struct serial *serial, uint8_t byte)
{
	if (serial->modem_control & MCR_LOOP)
		serial_receive(serial, &byte, 1);
	else
		serial->host.transmit(serial->host.self, byte);
	/* Full for no time at all: the line falls, then rises with the next interrupt. */
	serial->transmit_interrupt = false;
	serial_update(serial);
	serial->transmit_interrupt = true;
}

static uint8_t serial_read_cause(struct serial *serial)
{
	uint8_t cause = serial_cause(serial);

	if (cause == IIR_EMPTY)
		serial->transmit_interrupt = false;
	return cause | (serial->fifo ? IIR_FIFO : 0);
}

static uint8_t serial_read_line_status(struct serial *serial)
{
	uint8_t status = LSR_IDLE | (serial->count > 0 ? LSR_READY : 0) |
	                 (serial->overrun ? LSR_OVERRUN : 0);

	serial->overrun = false;
	return status;
}

/* In loopback the modem's outputs are its inputs: DTR, RTS, OUT1, OUT2 to DSR, CTS, RI, DCD. */
static uint8_t serial_modem_status(const struct serial *serial)
{
	uint8_t control = serial->modem_control;

	if (!(control & MCR_LOOP))
		return MSR_READY;
	return (uint8_t)((control & 1) << 5 | (control & 2) << 3 | (control & 4) << 4 |
	                 (control & 8) << 4);
}

static uint8_t serial_read_register(struct serial *serial, uint64_t offset)
{
	bool divisor = serial->line_control & LCR_DLAB;

	switch (offset) {
	case REG_DATA: return divisor ? serial->divisor[0] : serial_read_data(serial);
	case REG_INTERRUPT_ENABLE: return divisor ? serial->divisor[1] : serial->interrupt_enable;
	case REG_INTERRUPT_ID: return serial_read_cause(serial);
	case REG_LINE_CONTROL: return serial->line_control;
	case REG_MODEM_CONTROL: return serial->modem_control;
	case REG_LINE_STATUS: return serial_read_line_status(serial);
	case REG_MODEM_STATUS: return serial_modem_status(serial);
	default: return serial->scratch;
	}
}

static void serial_write_fifo(struct serial *serial, uint8_t byte)
{
	serial->fifo = byte & FCR_ENABLE;
	if ((byte & FCR_CLEAR_INPUT) && serial->count > 0) {
		serial->count = 0;
		serial->host.drained(serial->host.self);
	}
}

static void serial_write_enable(struct serial *serial, uint8_t byte)
{
	uint8_t enabled = byte & ~serial->interrupt_enable;

	serial->interrupt_enable = byte & 0xf;
	if (enabled & IER_EMPTY)
		serial->transmit_interrupt = true;
}

static void serial_write_register(struct serial *serial, uint64_t offset, uint8_t byte)
{
	bool divisor = serial->line_control & LCR_DLAB;

	switch (offset) {
	case REG_DATA:
	case REG_INTERRUPT_ENABLE:
		if (divisor)
			serial->divisor[offset] = byte;
		else if (offset == REG_DATA)
			serial_write_data(serial, byte);
		else
			serial_write_enable(serial, byte);
		break;
	case REG_INTERRUPT_ID: serial_write_fifo(serial, byte); break;
	case REG_LINE_CONTROL: serial->line_control = byte; break;
	case REG_MODEM_CONTROL: serial->modem_control = byte & 0x1f; break;
	case REG_SCRATCH: serial->scratch = byte; break;
	default: break; /* the status registers are read-only */
	}
}

/* A wide access is so many accesses to neighbouring ports, as on an 8-bit bus. */
static void serial_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	uint8_t *bytes = data;

	for (unsigned int i = 0; i < size; i++)
		bytes[i] = serial_read_register(self, offset + i);
	serial_update(self);
}

static void serial_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	const uint8_t *bytes = data;

	for (unsigned int i = 0; i < size; i++)
		serial_write_register(self, offset + i, bytes[i]);
	serial_update(self);
}

const struct machine_io_ops serial_io = {.read = serial_read, .write = serial_write};
