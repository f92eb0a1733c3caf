// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_firmware: what a guest that starts from firmware finds: tables that come out of the script as they are in any other
 * guest's memory, a clock and a timer. What it is given is vmm_measured_firmware's.
 */
#include <check.h>

#include "base/base.h"
#include "vmm/acpi.h"
#include "vmm/chipset.h"

/* ---- the script, carried out as firmware does it ---- */

enum { TABLES_AT = 0x7f000000 };

static uint8_t *file_of(struct acpi_loader *loader, const char *name, size_t *size)
{
	if (strcmp(name, ACPI_LOADER_TABLES_FILE) == 0) {
		*size = loader->tables_size;
		return loader->tables;
	}
	ck_assert_str_eq(name, ACPI_LOADER_RSDP_FILE);
	*size = sizeof(loader->rsdp);
	return loader->rsdp;
}

static void add_pointer(struct acpi_loader *loader, const uint8_t *at)
{
	const uint32_t offset = base_le32(at + 112);
	uint64_t value;
	size_t size;
	uint8_t *bytes = file_of(loader, (const char *)at, &size);

	ck_assert_str_eq((const char *)at + 56, ACPI_LOADER_TABLES_FILE);
	ck_assert_uint_eq(at[116], 8);
	ck_assert_uint_le(offset + 8, size);
	value = base_le64(bytes + offset);
	ck_assert_uint_lt(value, loader->tables_size);
	value += TABLES_AT;
	memcpy(bytes + offset, &value, sizeof(value));
}

static void add_sum(struct acpi_loader *loader, const uint8_t *at)
{
	const uint32_t to = base_le32(at + 56), start = base_le32(at + 60),
	               length = base_le32(at + 64);
	uint8_t sum = 0;
	size_t size;
	uint8_t *bytes = file_of(loader, (const char *)at, &size);

	ck_assert_uint_lt(to, size);
	ck_assert_uint_le(start + length, size);
	ck_assert_uint_eq(bytes[to], 0);
	for (uint32_t i = 0; i < length; i++)
		sum += bytes[start + i];
	bytes[to] = (uint8_t)-sum;
}

static void carry_out(struct acpi_loader *loader)
{
	unsigned int allocated = 0;

	for (size_t i = 0; i < loader->script_size; i += ACPI_LOADER_COMMAND) {
		const uint8_t *at = loader->script + i;

		switch (base_le32(at)) {
		case 1: allocated++; break;
		case 2: add_pointer(loader, at + 4); break;
		case 3: add_sum(loader, at + 4); break;
		default: ck_abort_msg("command %u", base_le32(at));
		}
	}
	ck_assert_uint_eq(allocated, 2);
}

START_TEST(the_script_makes_the_same_tables)
{
	static uint8_t same[ACPI_LOADER_TABLES];
	const struct acpi_config config = {.vcpus = 3, .watchdog = _i & 1, .no_generation = _i & 2};
	BASE_AUTO_FREE struct acpi_loader *loader = calloc(1, sizeof(*loader));
	size_t size = acpi_write(same, TABLES_AT, sizeof(same), &config);

	ck_assert(acpi_loader_make(loader, &config));
	carry_out(loader);
	ck_assert_uint_eq(loader->tables_size, size);
	ck_assert_mem_eq(loader->rsdp, same, 36);
	ck_assert_mem_eq(loader->tables + 36, same + 36, size - 36);
	ck_assert_int_eq(memmem(same, size, "VGEN", 4) != NULL, !config.no_generation);
}
END_TEST

/* ---- the board ---- */

static uint64_t now, date;

static uint64_t clock_now(void *self)
{
	(void)self;
	return now;
}

static uint64_t clock_date(void *self)
{
	(void)self;
	return date;
}

static unsigned int offs;

static void count_off(void *self)
{
	(void)self;
	offs++;
}

static struct chipset chipset = {.host = {clock_now, clock_date, count_off, NULL}};

static uint8_t cmos(uint8_t index)
{
	uint8_t value = 0;

	chipset_cmos_io.write(&chipset, 0, &index, 1);
	chipset_cmos_io.read(&chipset, 1, &value, 1);
	return value;
}

static const struct {
	uint64_t date;
	uint8_t century, year, month, day, weekday, hour, minute, second;
} dates[] = {
        {0, 0x19, 0x70, 0x01, 0x01, 5, 0, 0, 0},
        {951782399, 0x20, 0x00, 0x02, 0x28, 2, 0x23, 0x59, 0x59},
        {951782400, 0x20, 0x00, 0x02, 0x29, 3, 0, 0, 0},
        {1709251199, 0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x59},
        {1735689599, 0x20, 0x24, 0x12, 0x31, 3, 0x23, 0x59, 0x59},
        {4107542400, 0x21, 0x00, 0x03, 0x01, 2, 0, 0, 0},
};

START_TEST(the_clock_tells_the_date)
{
	date = dates[_i].date;
	ck_assert_uint_eq(cmos(0x32), dates[_i].century);
	ck_assert_uint_eq(cmos(0x09), dates[_i].year);
	ck_assert_uint_eq(cmos(0x08), dates[_i].month);
	ck_assert_uint_eq(cmos(0x07), dates[_i].day);
	ck_assert_uint_eq(cmos(0x06), dates[_i].weekday);
	ck_assert_uint_eq(cmos(0x04), dates[_i].hour);
	ck_assert_uint_eq(cmos(0x02), dates[_i].minute);
	ck_assert_uint_eq(cmos(0x00), dates[_i].second);
	ck_assert_uint_eq(cmos(0x0d), 0x80);
}
END_TEST

START_TEST(cmos_tells_the_memory)
{
	chipset.low = 3ull << 30;
	chipset.high = 5ull << 30;
	ck_assert_uint_eq(cmos(0x34) | cmos(0x35) << 8, ((3ull << 30) - (16 << 20)) >> 16);
	ck_assert_uint_eq(cmos(0x5b) | cmos(0x5c) << 8 | cmos(0x5d) << 16, (5ull << 30) >> 16);
	chipset.low = 4 << 20;
	ck_assert_uint_eq(cmos(0x34) | cmos(0x35) << 8, 0);
	ck_assert_uint_eq(cmos(0xff), 0);
}
END_TEST

START_TEST(the_timer_counts)
{
	uint32_t ticks = 0;
	uint8_t byte = 0;

	now = 2000000000;
	chipset_power_io.read(&chipset, CHIPSET_TIMER, &ticks, 4);
	ck_assert_uint_eq(ticks, 2 * CHIPSET_TIMER_HZ);
	chipset_power_io.read(&chipset, CHIPSET_TIMER + 2, &byte, 1);
	ck_assert_uint_eq(byte, 2 * CHIPSET_TIMER_HZ >> 16);
	now = 86400ull * 365 * 1000000000; /* 24 bits, however long the host is up */
	chipset_power_io.read(&chipset, CHIPSET_TIMER, &ticks, 4);
	ck_assert_uint_eq(ticks, 86400ull * 365 * CHIPSET_TIMER_HZ & 0xffffff);
}
END_TEST

/* As OVMF does it: the type of sleep first, and then the bit that means it. */
START_TEST(it_switches_off)
{
	static const struct {
		uint16_t value;
		uint64_t at;
		unsigned int size;
		bool off;
	} writes[] = {{0x0001, 4, 2, false},
	              {0x2401, 4, 2, false},
	              {0x20, 5, 1, false},
	              {0x2000, 0, 2, false},
	              {0x2001, 4, 2, true}};
	uint16_t control;

	for (size_t i = 0; i < BASE_COUNT(writes); i++) {
		offs = 0;
		chipset_power_io.write(&chipset, writes[i].at, &writes[i].value, writes[i].size);
		ck_assert_int_eq(offs, writes[i].off);
	}
	chipset_power_io.read(&chipset, CHIPSET_CONTROL, &control, 2);
	ck_assert_uint_eq(control, 1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_firmware");
	TCase *tests = tcase_create("board");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, the_script_makes_the_same_tables, 0, 4);
	tcase_add_loop_test(tests, the_clock_tells_the_date, 0, BASE_COUNT(dates));
	tcase_add_test(tests, cmos_tells_the_memory);
	tcase_add_test(tests, the_timer_counts);
	tcase_add_test(tests, it_switches_off);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
