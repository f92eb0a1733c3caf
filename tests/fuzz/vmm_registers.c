// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_registers: the register files that every guest has (serial port, I/O APIC, power, keyboard
 * controller, panic port, watchdog), driven by any sequence of accesses through the bus, and by time.
 * An input is records of eleven bytes: what, offset, size, value.
 */
#include "base/base.h"
#include "vmm/ioapic.h"
#include "vmm/iobus.h"
#include "vmm/power.h"
#include "vmm/pvpanic.h"
#include "vmm/serial.h"
#include "vmm/vm.h"
#include "vmm/watchdog.h"

enum { RECORD = 11, IOAPIC_AT = 0x10000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct iobus bus;
static struct serial serial;
static struct ioapic ioapic;
static struct power power;
static struct machine m;
static struct pvpanic pvpanic;
static struct watchdog watchdog;
static uint64_t now, armed;

static void no_route(void *self, unsigned int pin, const struct ioapic_message *message)
{
	(void)self;
	if (pin >= MACHINE_GSI_PINS || (message->live && message->address >> 20 != 0xfee))
		abort();
}

static void no_signal(void *self, const struct ioapic_message *message)
{
	(void)self;
	if (!message->live)
		abort();
}

static void no_byte(void *self, uint8_t byte)
{
	(void)self;
	(void)byte;
}

static void serial_line(void *self, bool high)
{
	(void)self;
	ioapic_set(&ioapic, SERIAL_PIN, high);
}

static void no_drain(void *self)
{
	(void)self;
}

static void power_line(void *self, bool high)
{
	(void)self;
	ioapic_set(&ioapic, POWER_PIN, high);
}

static uint64_t clock_now(void *self)
{
	(void)self;
	return now;
}

/* It is armed only while it runs, and never further away than its count goes. */
static void clock_arm(void *self, uint64_t deadline)
{
	(void)self;
	if (deadline && (!watchdog.running || deadline < now ||
	                 deadline - now > (uint64_t)WATCHDOG_COUNT_MAX * WATCHDOG_TICK_MS))
		abort();
	armed = deadline;
}

static void clock_expired(void *self)
{
	(void)self;
	if (armed || watchdog.running || watchdog.held)
		abort();
}

static void pass(uint32_t ms)
{
	now += ms;
	if (armed && now >= armed)
		watchdog_check(&watchdog);
}

static void start(void)
{
	memset(&bus, 0, sizeof(bus));
	memset(&m, 0, sizeof(m));
	m.wake = -1;
	m.state = VMM_ENDED; /* an end that is asked for is none then, and is not logged */
	ioapic_init(&ioapic, &(struct ioapic_host){no_route, no_signal, NULL});
	serial_init(&serial, &(struct serial_host){no_byte, serial_line, no_drain, NULL});
	power = (struct power){.machine = &m, .interrupt = power_line};
	iobus_add(&bus, SERIAL_PORT, SERIAL_PORTS, &serial_io, &serial);
	iobus_add(&bus, POWER_PORT, POWER_PORTS, &power_io, &power);
	iobus_add(&bus, IOAPIC_AT, IOAPIC_SIZE, &ioapic_io, &ioapic);
	pvpanic = (struct pvpanic){.machine = &m, .action = VMM_ACTION_LOG, .said = true};
	now = 1;
	armed = 0;
	watchdog_init(&watchdog, &(struct watchdog_host){clock_now, clock_arm, clock_expired, NULL},
	              true);
	iobus_add(&bus, POWER_KEYBOARD_PORT, 1, &power_keyboard_io, &power);
	iobus_add(&bus, PVPANIC_PORT, 1, &pvpanic_io, &pvpanic);
	iobus_add(&bus, WATCHDOG_PORT, WATCHDOG_PORTS, &watchdog_io, &watchdog);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t bases[] = {SERIAL_PORT,         POWER_PORT,       IOAPIC_AT,
	                                 IOAPIC_AT + 0x10,    WATCHDOG_PORT,    PVPANIC_PORT,
	                                 POWER_KEYBOARD_PORT, WATCHDOG_PORT + 8};
	uint8_t value[8];

	start();
	for (; size >= RECORD; data += RECORD, size -= RECORD) {
		uint64_t address = bases[data[0] & 7] + (int8_t)data[1];
		unsigned int width = data[2] % 8 + 1;

		switch (data[0] >> 3 & 15) {
		case 0: serial_receive(&serial, data + 3, width); break;
		case 1: power_event(&power, data[3]); break;
		case 2: ioapic_set(&ioapic, data[3], data[4] & 1); break;
		case 3: ioapic_eoi(&ioapic, data[3]); break;
		case 4: pass(base_le32(data + 3)); break;
		case 5: watchdog_hold(&watchdog, data[3] & 1); break;
		case 6: watchdog_check(&watchdog); break;
		case 7:
		case 8:
		case 9: iobus_read(&bus, address, value, width); break;
		default: iobus_write(&bus, address, data + 3, width); break;
		}
	}
	return 0;
}
