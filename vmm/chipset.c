// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * chipset: two register files.
 *
 *   0x70, 0x71  CMOS: an index, and the byte there (Motorola MC146818A). The time in BCD, read only; memory between
 *               16 MiB and 4 GiB (0x34, 0x35) and above (0x5b to 0x5d) in units of 64 KiB, as QEMU and Bochs have it
 *   0xb004      ACPI's PM1a control (ACPI 6.4, 4.8.3.2.1): S5, which is type 0 on a PIIX4, is how OVMF's runtime service
 *               switches off, and that is how a kernel does it that has EFI and a hardware-reduced platform
 *   0xb008      the ACPI PM timer (4.8.3.3), 24 bits, with which OVMF counts its delays
 *
 * The ports at 0xb000 are where OVMF puts them on a 440FX.
 */
#include "vmm/chipset.h"

#include "base/base.h"

enum {
	CMOS_SECONDS = 0x00,
	CMOS_MINUTES = 0x02,
	CMOS_HOURS = 0x04,
	CMOS_WEEKDAY = 0x06,
	CMOS_DAY = 0x07,
	CMOS_MONTH = 0x08,
	CMOS_YEAR = 0x09,
	CMOS_A = 0x0a,
	CMOS_B = 0x0b,
	CMOS_D = 0x0d,
	CMOS_CENTURY = 0x32,
	CMOS_LOW = 0x34,
	CMOS_HIGH = 0x5b,

	CMOS_A_VALUE = 0x26, /* 32,768 Hz, no update under way */
	CMOS_B_24_HOURS = 0x02,
	CMOS_D_VALID = 0x80,
	CMOS_INDEX = 0x7f, /* bit 7 masks NMIs, and there are none */
	CMOS_UNIT = 64 << 10,
	CMOS_FROM = 16 << 20,
	DAY_SECONDS = 86400,
	TIMER_MASK = 0xffffff,
	CONTROL_SLEEP = 1 << 13,
	CONTROL_TYPE = 7 << 10,
};

struct cmos_date {
	unsigned int year, month, day, weekday;
};

/* Days since 1970 as a date of the Gregorian calendar: years that begin in March have the leap day last. */
static struct cmos_date cmos_date(uint64_t days)
{
	const uint64_t since = days + 719468, era = since / 146097;
	const unsigned int at = (unsigned int)(since % 146097);
	const unsigned int year = (at - at / 1460 + at / 36524 - at / 146096) / 365;
	const unsigned int day = at - (365 * year + year / 4 - year / 100);
	const unsigned int month = (5 * day + 2) / 153;
	const bool next = month >= 10;

	return (struct cmos_date){.year = (unsigned int)(era * 400) + year + next,
	                          .month = next ? month - 9 : month + 3,
	                          .day = day - (153 * month + 2) / 5 + 1,
	                          .weekday = (unsigned int)((days + 4) % 7) + 1};
}

static uint8_t cmos_bcd(uint64_t value)
{
	return (uint8_t)(value / 10 % 10 << 4 | value % 10);
}

static uint8_t cmos_byte(const struct chipset *chipset)
{
	const uint64_t now = chipset->host.date(chipset->host.self);
	const struct cmos_date date = cmos_date(now / DAY_SECONDS);
	const uint64_t low = BASE_MAX(chipset->low, (uint64_t)CMOS_FROM) - CMOS_FROM;

	switch (chipset->index) {
	case CMOS_SECONDS: return cmos_bcd(now % 60);
	case CMOS_MINUTES: return cmos_bcd(now / 60 % 60);
	case CMOS_HOURS: return cmos_bcd(now / 3600 % 24);
	case CMOS_WEEKDAY: return cmos_bcd(date.weekday);
	case CMOS_DAY: return cmos_bcd(date.day);
	case CMOS_MONTH: return cmos_bcd(date.month);
	case CMOS_YEAR: return cmos_bcd(date.year);
	case CMOS_CENTURY: return cmos_bcd(date.year / 100);
	case CMOS_A: return CMOS_A_VALUE;
	case CMOS_B: return CMOS_B_24_HOURS;
	case CMOS_D: return CMOS_D_VALID;
	case CMOS_LOW:
	case CMOS_LOW + 1: return (uint8_t)(low / CMOS_UNIT >> 8 * (chipset->index - CMOS_LOW));
	case CMOS_HIGH:
	case CMOS_HIGH + 1:
	case CMOS_HIGH + 2:
		return (uint8_t)(chipset->high / CMOS_UNIT >> 8 * (chipset->index - CMOS_HIGH));
	default: return 0;
	}
}

static void cmos_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	memset(data, 0xff, size);
	if (offset == 1 && size == 1)
		*(uint8_t *)data = cmos_byte(self);
}

static void cmos_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct chipset *chipset = self;

	(void)size;
	if (offset == 0)
		chipset->index = *(const uint8_t *)data & CMOS_INDEX;
}

static uint32_t power_timer(const struct chipset *chipset)
{
	const uint64_t ns = chipset->host.now(chipset->host.self);
	/* the seconds by themselves: their product with the frequency has no more than 64 bits for 160,000 years */
	const uint64_t ticks = ns / 1000000000 * CHIPSET_TIMER_HZ +
	                       ns % 1000000000 * CHIPSET_TIMER_HZ / 1000000000;

	return (uint32_t)(ticks & TIMER_MASK);
}

static void power_read(void *self, uint64_t offset, void *data, unsigned int size)
{
	const struct chipset *chipset = self;
	const uint32_t timer = offset >= CHIPSET_TIMER ? power_timer(chipset) : 0;

	for (unsigned int i = 0; i < size; i++) {
		const uint64_t at = offset + i;
		uint8_t *byte = (uint8_t *)data + i;

		if (at >= CHIPSET_TIMER)
			*byte = (uint8_t)(timer >> 8 * (at - CHIPSET_TIMER));
		else if (at == CHIPSET_CONTROL || at == CHIPSET_CONTROL + 1)
			*byte = (uint8_t)(chipset->control >> 8 * (at - CHIPSET_CONTROL));
		else
			*byte = 0;
	}
}

static void power_write(void *self, uint64_t offset, const void *data, unsigned int size)
{
	struct chipset *chipset = self;
	uint16_t value;

	if (offset != CHIPSET_CONTROL || size != 2)
		return;
	value = base_le16(data);
	chipset->control = value & (uint16_t)~CONTROL_SLEEP;
	if ((value & CONTROL_SLEEP) && !(value & CONTROL_TYPE))
		chipset->host.off(chipset->host.self);
}

const struct machine_io_ops chipset_cmos_io = {.read = cmos_read, .write = cmos_write};
const struct machine_io_ops chipset_power_io = {.read = power_read, .write = power_write};
