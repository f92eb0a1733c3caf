// SPDX-License-Identifier: GPL-2.0-or-later
/* vmm_registers: the bus, the I/O APIC and the serial port, register by register, without a guest. */
#include <check.h>

#include "base/base.h"
#include "vmm/ioapic.h"
#include "vmm/iobus.h"
#include "vmm/serial.h"

static struct iobus bus;
static uint64_t last_offset;

static void note_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	last_offset = offset;
	memset(data, *(uint8_t *)self, size);
}

static void note_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	last_offset = offset;
	memcpy(self, data, BASE_MIN(size, 1u));
}

static const struct machine_io_ops note = {note_read, note_write};

START_TEST(bus_finds_the_range)
{
	uint8_t a = 0xa, b = 0xb;
	uint64_t value = 0;

	memset(&bus, 0, sizeof(bus));
	ck_assert_int_eq(iobus_add(&bus, 0x2000, 0x100, &note, &b), 0);
	ck_assert_int_eq(iobus_add(&bus, 0x1000, 0x100, &note, &a), 0);
	ck_assert_int_eq(iobus_add(&bus, 0x10ff, 2, &note, &a), -EEXIST);
	ck_assert_int_eq(iobus_add(&bus, 0x0, 0x10000, &note, &a), -EEXIST);
	ck_assert_int_eq(iobus_add(&bus, 0x3000, 0, &note, &a), -EINVAL);
	ck_assert_int_eq(iobus_add(&bus, UINT64_MAX, 2, &note, &a), -EINVAL);
	ck_assert_int_eq(iobus_add(&bus, UINT64_MAX, 1, &note, &a), 0);
	ck_assert(iobus_read(&bus, 0x20fc, &value, 4));
	ck_assert_uint_eq(last_offset, 0xfc);
	ck_assert_uint_eq(value, 0x0b0b0b0b);
	ck_assert(iobus_write(&bus, 0x1004, "\x55", 1));
	ck_assert_uint_eq(a, 0x55);
	ck_assert_int_eq(iobus_remove(&bus, 0x1001), -ENOENT);
	ck_assert_int_eq(iobus_remove(&bus, 0x1000), 0);
	ck_assert(!iobus_write(&bus, 0x1004, "\x66", 1));
}
END_TEST

START_TEST(bus_answers_ones_where_nothing_is)
{
	uint8_t self = 0;
	uint64_t value = 0;

	memset(&bus, 0, sizeof(bus));
	ck_assert_int_eq(iobus_add(&bus, 0x1000, 8, &note, &self), 0);
	ck_assert(!iobus_read(&bus, 0xfff, &value, 2));
	ck_assert_uint_eq(value, 0xffff);
	ck_assert(!iobus_read(&bus, 0x1006, &value, 4)); /* across its end */
	ck_assert_uint_eq(value, 0xffffffff);
	ck_assert(!iobus_read(&bus, 0x1000, &value, 3));
	ck_assert(!iobus_read(&bus, UINT64_MAX - 1, &value, 8));
	ck_assert_uint_eq(value, UINT64_MAX);
}
END_TEST

START_TEST(bus_is_never_larger_than_it_is)
{
	uint8_t self = 0;

	memset(&bus, 0, sizeof(bus));
	for (uint64_t i = 0; i < IOBUS_RANGES_MAX; i++)
		ck_assert_int_eq(iobus_add(&bus, i * 16, 16, &note, &self), 0);
	ck_assert_int_eq(iobus_add(&bus, 0x100000, 16, &note, &self), -ENOSPC);
}
END_TEST

static struct ioapic ioapic;
static struct ioapic_message sent, routed;
static unsigned int sent_count;

static void note_route(void *self, unsigned int pin, const struct ioapic_message *message)
{
	(void)self;
	(void)pin;
	routed = *message;
}

static void note_signal(void *self, const struct ioapic_message *message)
{
	(void)self;
	sent = *message;
	sent_count++;
}

static void ioapic_set_register(uint32_t index, uint32_t value)
{
	ioapic_io.write(&ioapic, 0x00, &index, 4);
	ioapic_io.write(&ioapic, 0x10, &value, 4);
}

static uint32_t ioapic_register(uint32_t index)
{
	uint32_t value = 0;

	ioapic_io.write(&ioapic, 0x00, &index, 4);
	ioapic_io.read(&ioapic, 0x10, &value, 4);
	return value;
}

static void ioapic_reset(void)
{
	ioapic_init(&ioapic, &(struct ioapic_host){note_route, note_signal, NULL});
	sent_count = 0;
}

START_TEST(ioapic_has_24_masked_pins)
{
	ioapic_reset();
	ck_assert_uint_eq(ioapic_register(1), 0x00170020);
	for (uint32_t pin = 0; pin < MACHINE_GSI_PINS; pin++)
		ck_assert_uint_eq(ioapic_register(0x10 + 2 * pin), 0x10000);
	ck_assert_uint_eq(ioapic_register(0x10 + 2 * MACHINE_GSI_PINS), 0xffffffff);
	ioapic_set_register(0xff, 0x12345678);
}
END_TEST

START_TEST(ioapic_sends_an_edge_once)
{
	ioapic_reset();
	ioapic_set_register(0x10 + 2 * 4 + 1, 3u << 24);
	ioapic_set(&ioapic, 4, true); /* masked: kept */
	ck_assert_uint_eq(sent_count, 0);
	ioapic_set_register(0x10 + 2 * 4, 0x31);
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent.address, 0xfee03000);
	ck_assert_uint_eq(sent.data, 0x31);
	ck_assert(routed.live);
	ioapic_set(&ioapic, 4, true); /* no edge */
	ck_assert_uint_eq(sent_count, 1);
	ioapic_set(&ioapic, 4, false);
	ioapic_set(&ioapic, 4, true);
	ck_assert_uint_eq(sent_count, 2);
	ioapic_set(&ioapic, 24, true);
	ioapic_set(&ioapic, UINT32_MAX, true);
	ck_assert_uint_eq(sent_count, 2);
}
END_TEST

START_TEST(ioapic_repeats_a_level_after_its_eoi)
{
	ioapic_reset();
	ioapic_set_register(0x10 + 2 * 9, 0x8041);
	ioapic_set(&ioapic, 9, true);
	ck_assert_uint_eq(sent_count, 1);
	ck_assert_uint_eq(sent.data, 0xc041);
	ck_assert_uint_eq(ioapic_register(0x10 + 2 * 9), 0xc041); /* remote IRR */
	ioapic_eoi(&ioapic, 0x42);
	ck_assert_uint_eq(sent_count, 1);
	ioapic_eoi(&ioapic, 0x41);
	ck_assert_uint_eq(sent_count, 2);
	ioapic_set(&ioapic, 9, false);
	ioapic_eoi(&ioapic, 0x41);
	ck_assert_uint_eq(sent_count, 2);
}
END_TEST

START_TEST(ioapic_sends_no_illegal_vector)
{
	ioapic_reset();
	ioapic_set_register(0x10, 0x0f);
	ioapic_set(&ioapic, 0, true);
	ck_assert_uint_eq(sent_count, 0);
	ck_assert(!routed.live);
}
END_TEST

static struct serial serial;
static uint8_t transmitted[64];
static size_t transmitted_count;
static bool line;
static unsigned int drained_count;

static void note_transmit(void *self, uint8_t byte)
{
	(void)self;
	transmitted[transmitted_count++ % sizeof(transmitted)] = byte;
}

static void note_line(void *self, bool high)
{
	(void)self;
	line = high;
}

static void note_drained(void *self)
{
	(void)self;
	drained_count++;
}

static void serial_reset(void)
{
	serial_init(&serial, &(struct serial_host){note_transmit, note_line, note_drained, NULL});
	transmitted_count = drained_count = 0;
	line = false;
}

static uint8_t in(uint64_t offset)
{
	uint8_t byte;

	serial_io.read(&serial, offset, &byte, 1);
	return byte;
}

static void out(uint64_t offset, uint8_t byte)
{
	serial_io.write(&serial, offset, &byte, 1);
}

START_TEST(serial_is_a_16550a)
{
	serial_reset();
	out(7, 0x5a); /* scratch, as Linux probes */
	ck_assert_uint_eq(in(7), 0x5a);
	ck_assert_uint_eq(in(2), 0x01);
	out(2, 0x01);
	ck_assert_uint_eq(in(2), 0xc1);
	out(3, 0x80);
	out(0, 0x0c);
	out(1, 0x34);
	ck_assert_uint_eq(in(0), 0x0c);
	ck_assert_uint_eq(in(1), 0x34);
	out(3, 0x03);
	ck_assert_uint_eq(in(1), 0x00);
	ck_assert_uint_eq(transmitted_count, 0);
	out(4, 0x1a); /* loopback: RTS and OUT2 show as CTS and DCD */
	ck_assert_uint_eq(in(6), 0x90);
}
END_TEST

START_TEST(serial_interrupts_when_it_is_empty)
{
	serial_reset();
	out(1, 0x02);
	ck_assert(line);
	ck_assert_uint_eq(in(2), 0x02); /* shown, and so dropped */
	ck_assert(!line);
	ck_assert_uint_eq(in(2), 0x01);
	out(0, 'x');
	ck_assert(line);
	ck_assert_uint_eq(transmitted[0], 'x');
	out(1, 0x00);
	ck_assert(!line);
}
END_TEST

START_TEST(serial_input_is_bounded)
{
	static const uint8_t flood[SERIAL_INPUT_MAX + 100] = {'a', 'b'};

	serial_reset();
	out(1, 0x01);
	serial_receive(&serial, flood, sizeof(flood));
	ck_assert(line);
	ck_assert_uint_eq(serial_room(&serial), 0);
	ck_assert_uint_eq(in(5), 0x63); /* ready, overrun, idle */
	ck_assert_uint_eq(in(5), 0x61);
	ck_assert_uint_eq(in(0), 'a');
	ck_assert_uint_eq(in(0), 'b');
	for (size_t i = 2; i < SERIAL_INPUT_MAX; i++)
		in(0);
	ck_assert(!line);
	ck_assert_uint_eq(drained_count, 1);
	ck_assert_uint_eq(in(5), 0x60);
	ck_assert_uint_eq(in(0), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_registers");
	TCase *tests = tcase_create("registers");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, bus_finds_the_range);
	tcase_add_test(tests, bus_answers_ones_where_nothing_is);
	tcase_add_test(tests, bus_is_never_larger_than_it_is);
	tcase_add_test(tests, ioapic_has_24_masked_pins);
	tcase_add_test(tests, ioapic_sends_an_edge_once);
	tcase_add_test(tests, ioapic_repeats_a_level_after_its_eoi);
	tcase_add_test(tests, ioapic_sends_no_illegal_vector);
	tcase_add_test(tests, serial_is_a_16550a);
	tcase_add_test(tests, serial_interrupts_when_it_is_empty);
	tcase_add_test(tests, serial_input_is_bounded);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
