// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * acpi: a hardware-reduced platform (ACPI 6.4, 4.1): no SCI, no PM timer, no legacy devices. Sleep and
 * reset are bytes at POWER_PORT; the power button comes through a generic event device (5.6.9). The
 * FADT says outright that there is no 8042, no VGA and no CMOS clock, so that nobody probes for them.
 */
#include "vmm/acpi.h"

#include <string.h>

#include "vmm/aml.h"
#include "vmm/boot.h"
#include "vmm/machine.h"
#include "vmm/power.h"
#include "vmm/pvpanic.h"
#include "vmm/serial.h"
#include "vmm/watchdog.h"

enum {
	ACPI_HEADER = 36,
	ACPI_RSDP = 36,
	ACPI_RSDP_V1 = 20, /* what its first checksum spans */
	ACPI_CHECKSUM = 9, /* of a table */

	FADT_SIZE = 276, /* revision 6 */
	FADT_REVISION = 6,
	FADT_MINOR_REVISION = 4,
	FADT_NO_VGA = 1 << 2,
	FADT_NO_CMOS = 1 << 5,
	FADT_WBINVD = 1 << 0,
	FADT_RESET = 1 << 10,
	FADT_REDUCED = 1 << 20,
	FADT_AT_BOOT_ARCH = 109,
	FADT_AT_FLAGS = 112,
	FADT_AT_RESET = 116,
	FADT_AT_RESET_VALUE = 128,
	FADT_AT_MINOR = 131,
	FADT_AT_X_DSDT = 140,
	FADT_AT_SLEEP_CONTROL = 244,
	FADT_AT_SLEEP_STATUS = 256,
	GAS_IO = 1,

	MADT_LAPIC = 0,
	MADT_IOAPIC = 1,
	MADT_LAPIC_NMI = 4,
	MADT_ENABLED = 1,

	/* Microsoft, "Hardware Watchdog Timers Design Specification": the table WDAT */
	WDAT_HEADER = 32,
	WDAT_NOT_PCI = 0xff,
	WDAT_ENABLED = 1,
	WDAT_READ_VALUE = 0,
	WDAT_READ_COUNT = 1,
	WDAT_WRITE_VALUE = 2,
	WDAT_WRITE_COUNT = 3,
};

/* The tables are one run of bytes; the AML writer's buffer does for all of them. */
struct acpi {
	struct aml out;
	uint64_t guest;
};

static void acpi_pad(struct acpi *acpi, size_t size)
{
	for (size_t i = 0; i < size; i++)
		aml_byte(&acpi->out, 0);
}

static uint8_t acpi_checksum(const uint8_t *data, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	return (uint8_t)-sum;
}

static size_t acpi_table_begin(struct acpi *acpi, const char *signature, uint8_t revision)
{
	size_t mark;

	acpi_pad(acpi, -acpi->out.used % 16);
	mark = acpi->out.used;
	aml_bytes(&acpi->out, signature, 4);
	aml_le(&acpi->out, 0, 4); /* length, at the end */
	aml_byte(&acpi->out, revision);
	aml_byte(&acpi->out, 0); /* checksum, at the end */
	aml_bytes(&acpi->out, "CORDONCORDONVM", 14);
	aml_le(&acpi->out, 1, 4);
	aml_bytes(&acpi->out, "CRDN", 4);
	aml_le(&acpi->out, 1, 4);
	return mark;
}

static uint64_t acpi_table_end(struct acpi *acpi, size_t mark)
{
	size_t size = acpi->out.used - mark;
	uint8_t *table = acpi->out.data + mark;

	if (acpi->out.full)
		return 0;
	for (int i = 0; i < 4; i++)
		table[4 + i] = (uint8_t)(size >> (8 * i));
	table[ACPI_CHECKSUM] = acpi_checksum(table, size);
	return acpi->guest + mark;
}

static void acpi_root_bridge(struct aml *aml)
{
	size_t device = aml_device(aml, "PCI0");
	struct aml_resources resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0A08");
	aml_name(aml, "_CID");
	aml_eisa_id(aml, "PNP0A03");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_SEG");
	aml_integer(aml, 0);
	aml_name(aml, "_BBN");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_bus_range(aml, 0, 0);
	aml_io(aml, 0xcf8, 8);
	aml_memory32_window(aml, MACHINE_MMIO32_BASE, MACHINE_MMIO32_SIZE);
	aml_resources_end(aml, resources);
	aml_name(aml, "_PRT"); /* no INTx: nothing to route */
	aml_end(aml, aml_package(aml, 0));
	aml_end(aml, device);
}

/* Claims ECAM and the power registers: Linux uses ECAM only where a device has it reserved. */
static void acpi_board(struct aml *aml)
{
	size_t device = aml_device(aml, "BORD");
	struct aml_resources resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C02");
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_memory32(aml, MACHINE_ECAM_BASE, MACHINE_ECAM_SIZE);
	aml_io(aml, POWER_PORT, POWER_PORTS);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

static void acpi_serial(struct aml *aml)
{
	size_t device = aml_device(aml, "COM1");
	struct aml_resources resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0501");
	aml_name(aml, "_UID");
	aml_integer(aml, 1);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_io(aml, SERIAL_PORT, SERIAL_PORTS);
	aml_interrupt(aml, SERIAL_PIN);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/* The port on which the guest says that it has panicked; Linux: pvpanic-mmio. */
static void acpi_panic(struct aml *aml)
{
	size_t device = aml_device(aml, "PNIC");
	struct aml_resources resources;

	aml_name(aml, "_HID");
	aml_string(aml, "QEMU0001");
	aml_name(aml, "_STA");
	aml_integer(aml, 0xf);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_io(aml, PVPANIC_PORT, 1);
	aml_resources_end(aml, resources);
	aml_end(aml, device);
}

/*
 * The VM generation id. Its compatible id is longer than ACPI allows, and kernels before 5.18 compare no
 * more than eight characters of it: VMGENCTR is Microsoft's second one, for them.
 */
static void acpi_generation(struct aml *aml)
{
	size_t device = aml_device(aml, "VGEN"), package;

	aml_name(aml, "_HID");
	aml_string(aml, "CRDN0001");
	aml_name(aml, "_CID");
	package = aml_package(aml, 2);
	aml_string(aml, "VM_Gen_Counter");
	aml_string(aml, "VMGENCTR");
	aml_end(aml, package);
	aml_name(aml, "_DDN");
	aml_string(aml, "VM_Gen_Counter");
	aml_name(aml, "ADDR"); /* the halves of its address */
	package = aml_package(aml, 2);
	aml_integer(aml, BOOT_GENERATION);
	aml_integer(aml, 0);
	aml_end(aml, package);
	aml_end(aml, device);
}

/* If (And (Local0, bit)) { Notify (path, 0x80) } */
static void acpi_notify(struct aml *aml, uint8_t bit, const char *path)
{
	size_t branch;

	aml_byte(aml, 0xa0); /* If */
	branch = aml->used;
	aml_le(aml, 0, 3);
	aml_bytes(aml, "\x7b\x60", 2); /* And (Local0, ... */
	aml_integer(aml, bit);
	aml_byte(aml, 0);    /* ..., no target) */
	aml_byte(aml, 0x86); /* Notify */
	aml_name_string(aml, path);
	aml_integer(aml, 0x80);
	aml_end(aml, branch);
}

/*
 * Device (PWRB) { _HID PNP0C0C }
 * Device (EVNT) {
 *   OperationRegion (EREG, SystemIO, POWER_PORT + POWER_EVENTS, 1)
 *   Field (EREG, ByteAcc, NoLock, WriteAsZeros) { EBIT, 8 }
 *   Method (_EVT, 1) {
 *     Store (EBIT, Local0)
 *     If (And (Local0, BUTTON)) { Notify (PWRB, 0x80) }
 *     If (And (Local0, GENERATION)) { Notify (VGEN, 0x80) }
 *   }
 * }
 */
static void acpi_events(struct aml *aml, bool generation)
{
	size_t device = aml_device(aml, "PWRB"), inner;
	struct aml_resources resources;

	aml_name(aml, "_HID");
	aml_eisa_id(aml, "PNP0C0C");
	aml_end(aml, device);

	device = aml_device(aml, "EVNT");
	aml_name(aml, "_HID");
	aml_string(aml, "ACPI0013");
	aml_name(aml, "_UID");
	aml_integer(aml, 0);
	aml_name(aml, "_CRS");
	resources = aml_resources_begin(aml);
	aml_interrupt(aml, POWER_PIN);
	aml_resources_end(aml, resources);

	aml_bytes(aml,
	          "\x5b\x80"
	          "EREG\x01",
	          7); /* OperationRegion, SystemIO */
	aml_integer(aml, POWER_PORT + POWER_EVENTS);
	aml_integer(aml, 1);
	/* Field: its length byte, region, ByteAcc | WriteAsZeros, then EBIT of 8 bits */
	aml_bytes(aml,
	          "\x5b\x81\x0b"
	          "EREG\x41"
	          "EBIT\x08",
	          13);

	inner = aml_method(aml, "_EVT", 1);
	aml_bytes(aml,
	          "\x70"
	          "EBIT\x60",
	          6); /* Store (EBIT, Local0) */
	acpi_notify(aml, POWER_EVENT_BUTTON, "\\_SB_.PWRB");
	if (generation)
		acpi_notify(aml, POWER_EVENT_GENERATION, "\\_SB_.VGEN");
	aml_end(aml, inner);
	aml_end(aml, device);
}

static uint64_t acpi_dsdt(struct acpi *acpi, bool generation)
{
	size_t table = acpi_table_begin(acpi, "DSDT", 2), mark;
	struct aml *aml = &acpi->out;

	aml_name(aml, "\\_S5_");
	mark = aml_package(aml, 2);
	aml_integer(aml, POWER_S5);
	aml_integer(aml, POWER_S5);
	aml_end(aml, mark);
	mark = aml_scope(aml, "\\_SB_");
	acpi_root_bridge(aml);
	acpi_board(aml);
	acpi_serial(aml);
	acpi_panic(aml);
	if (generation)
		acpi_generation(aml);
	acpi_events(aml, generation);
	aml_end(aml, mark);
	return acpi_table_end(acpi, table);
}

/* A generic address (5.2.3.2): one byte in I/O space. */
static void acpi_gas(uint8_t *at, uint64_t port)
{
	at[0] = GAS_IO;
	at[1] = 8; /* bits */
	at[3] = 1; /* accessed as a byte */
	for (int i = 0; i < 8; i++)
		at[4 + i] = (uint8_t)(port >> (8 * i));
}

static uint64_t acpi_fadt(struct acpi *acpi, uint64_t dsdt)
{
	const uint32_t flags = FADT_WBINVD | FADT_RESET | FADT_REDUCED;
	size_t table = acpi_table_begin(acpi, "FACP", FADT_REVISION);
	uint8_t *at;

	acpi_pad(acpi, FADT_SIZE - ACPI_HEADER);
	if (acpi->out.full)
		return 0;
	at = acpi->out.data + table;
	at[FADT_AT_BOOT_ARCH] = FADT_NO_VGA | FADT_NO_CMOS;
	for (int i = 0; i < 4; i++)
		at[FADT_AT_FLAGS + i] = (uint8_t)(flags >> (8 * i));
	acpi_gas(at + FADT_AT_RESET, POWER_PORT + POWER_RESET);
	at[FADT_AT_RESET_VALUE] = POWER_RESET_VALUE;
	at[FADT_AT_MINOR] = FADT_MINOR_REVISION;
	for (int i = 0; i < 8; i++)
		at[FADT_AT_X_DSDT + i] = (uint8_t)(dsdt >> (8 * i));
	acpi_gas(at + FADT_AT_SLEEP_CONTROL, POWER_PORT + POWER_SLEEP_CONTROL);
	acpi_gas(at + FADT_AT_SLEEP_STATUS, POWER_PORT + POWER_SLEEP_STATUS);
	return acpi_table_end(acpi, table);
}

static uint64_t acpi_madt(struct acpi *acpi, unsigned int vcpus)
{
	size_t table = acpi_table_begin(acpi, "APIC", 5);
	struct aml *out = &acpi->out;

	aml_le(out, MACHINE_LAPIC_BASE, 4);
	aml_le(out, 0, 4); /* no 8259s */
	for (unsigned int i = 0; i < vcpus; i++) {
		aml_bytes(out, (uint8_t[]){MADT_LAPIC, 8, (uint8_t)i, (uint8_t)i}, 4);
		aml_le(out, MADT_ENABLED, 4);
	}
	aml_bytes(out, (uint8_t[]){MADT_IOAPIC, 12, 0, 0}, 4);
	aml_le(out, MACHINE_IOAPIC_BASE, 4);
	aml_le(out, 0, 4); /* its first GSI */
	/* LINT1 of every processor is NMI, edge, active high */
	aml_bytes(out, (uint8_t[]){MADT_LAPIC_NMI, 6, 0xff, 5, 0, 1}, 6);
	return acpi_table_end(acpi, table);
}

static uint64_t acpi_mcfg(struct acpi *acpi)
{
	size_t table = acpi_table_begin(acpi, "MCFG", 1);

	aml_le(&acpi->out, 0, 8);
	aml_le(&acpi->out, MACHINE_ECAM_BASE, 8);
	aml_le(&acpi->out, 0, 4); /* segment 0, buses 0 to 0 */
	aml_le(&acpi->out, 0, 4);
	return acpi_table_end(acpi, table);
}

/* One instruction: 0 or more of them make an action. Registers are ports, of a byte or of four. */
static void acpi_wdat_entry(struct aml *out, uint8_t action, uint8_t instruction, uint8_t port,
                            uint32_t value)
{
	bool whole = port < WATCHDOG_CONTROL;

	aml_byte(out, action);
	aml_byte(out, instruction);
	aml_le(out, 0, 2);
	aml_byte(out, GAS_IO);
	aml_byte(out, whole ? 32 : 8);
	aml_byte(out, 0);
	aml_byte(out, whole ? 3 : 1); /* access size: a dword, a byte */
	aml_le(out, WATCHDOG_PORT + port, 8);
	aml_le(out, value, 4);
	aml_le(out, whole ? UINT32_MAX : UINT8_MAX, 4); /* the bits that count */
}

static uint64_t acpi_wdat(struct acpi *acpi)
{
	static const struct {
		uint8_t action, instruction, port;
		uint32_t value;
	} entries[] = {
	        {1, WDAT_WRITE_VALUE, WATCHDOG_RELOAD, 1},   /* reset the count */
	        {4, WDAT_READ_COUNT, WATCHDOG_LEFT, 0},      /* read what is left */
	        {5, WDAT_READ_COUNT, WATCHDOG_COUNT, 0},     /* read the count */
	        {6, WDAT_WRITE_COUNT, WATCHDOG_COUNT, 0},    /* set the count */
	        {8, WDAT_READ_VALUE, WATCHDOG_CONTROL, 1},   /* does it run? */
	        {9, WDAT_WRITE_VALUE, WATCHDOG_CONTROL, 1},  /* run */
	        {10, WDAT_READ_VALUE, WATCHDOG_CONTROL, 0},  /* is it stopped? */
	        {11, WDAT_WRITE_VALUE, WATCHDOG_CONTROL, 0}, /* stop */
	        {16, WDAT_READ_VALUE, WATCHDOG_REBOOT, 1},   /* does it reboot? */
	        {32, WDAT_READ_VALUE, WATCHDOG_STATUS, 1},   /* was it the last reboot's cause? */
	        {33, WDAT_WRITE_VALUE, WATCHDOG_STATUS, 0},  /* forget that */
	};
	size_t table = acpi_table_begin(acpi, "WDAT", 1);
	struct aml *out = &acpi->out;

	aml_le(out, WDAT_HEADER, 4);
	aml_le(out, WDAT_NOT_PCI, 2); /* segment */
	aml_bytes(out, (uint8_t[]){WDAT_NOT_PCI, WDAT_NOT_PCI, WDAT_NOT_PCI, 0, 0, 0}, 6);
	aml_le(out, WATCHDOG_TICK_MS, 4);
	aml_le(out, WATCHDOG_COUNT_MAX, 4);
	aml_le(out, WATCHDOG_COUNT_MIN, 4);
	aml_le(out, WDAT_ENABLED, 4);
	aml_le(out, sizeof(entries) / sizeof(entries[0]), 4);
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		acpi_wdat_entry(out, entries[i].action, entries[i].instruction, entries[i].port,
		                entries[i].value);
	return acpi_table_end(acpi, table);
}

static void acpi_rsdp(uint8_t *at, uint64_t xsdt)
{
	memcpy(at, "RSD PTR ", 8);
	memcpy(at + 9, "CORDON", 6);
	at[15] = 2; /* revision */
	at[20] = ACPI_RSDP;
	for (int i = 0; i < 8; i++)
		at[24 + i] = (uint8_t)(xsdt >> (8 * i));
	at[8] = acpi_checksum(at, ACPI_RSDP_V1);
	at[32] = acpi_checksum(at, ACPI_RSDP);
}

size_t acpi_write(void *memory, uint64_t guest, size_t size, const struct acpi_config *config)
{
	struct acpi acpi = {.out = {.data = memory, .size = size}, .guest = guest};
	uint64_t tables[4], xsdt;
	size_t mark, count = 0;

	acpi_pad(&acpi, ACPI_RSDP);
	tables[count++] = acpi_fadt(&acpi, acpi_dsdt(&acpi, !config->no_generation));
	tables[count++] = acpi_madt(&acpi, config->vcpus);
	tables[count++] = acpi_mcfg(&acpi);
	if (config->watchdog)
		tables[count++] = acpi_wdat(&acpi);
	mark = acpi_table_begin(&acpi, "XSDT", 1);
	for (size_t i = 0; i < count; i++)
		aml_le(&acpi.out, tables[i], 8);
	xsdt = acpi_table_end(&acpi, mark);
	if (acpi.out.full)
		return 0;
	acpi_rsdp(memory, xsdt);
	return acpi.out.used;
}

size_t acpi_write_madt(void *memory, size_t size, unsigned int vcpus)
{
	struct acpi acpi = {.out = {.data = memory, .size = size}};

	acpi_madt(&acpi, vcpus);
	return acpi.out.full ? 0 : acpi.out.used;
}
