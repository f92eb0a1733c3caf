// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_acpi: the tables' checksums and links, and what iasl, where there is one, reads in them.
 */
#include <check.h>
#include <sys/wait.h>

#include "base/base.h"
#include "vmm/acpi.h"
#include "vmm/power.h"

enum { GUEST = 0xe0000, SIZE = 0x20000 };
static const struct acpi_config two = {.vcpus = 2};

static uint8_t tables[SIZE];

static uint8_t sum(const uint8_t *data, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++)
		total += data[i];
	return total;
}

static const uint8_t *table_at(uint64_t address)
{
	ck_assert_uint_ge(address, GUEST);
	ck_assert_uint_lt(address, GUEST + SIZE - 36);
	return tables + (address - GUEST);
}

/* The table of that signature, checked, by way of RSDP, XSDT and FADT. */
static const uint8_t *find(const char *signature)
{
	const uint8_t *xsdt = table_at(base_le64(tables + 24)), *table = NULL;
	uint32_t size = base_le32(xsdt + 4);

	ck_assert_mem_eq(xsdt, "XSDT", 4);
	ck_assert_uint_eq(sum(xsdt, size), 0);
	for (uint32_t at = 36; at + 8 <= size; at += 8) {
		const uint8_t *each = table_at(base_le64(xsdt + at));

		if (memcmp(signature, "DSDT", 4) == 0 && memcmp(each, "FACP", 4) == 0)
			each = table_at(base_le64(each + 140));
		if (memcmp(each, signature, 4) == 0)
			table = each;
	}
	ck_assert_msg(table, "no %s", signature);
	ck_assert_uint_eq(sum(table, base_le32(table + 4)), 0);
	return table;
}

START_TEST(every_table_is_linked_and_summed)
{
	static const char *const names[] = {"FACP", "APIC", "MCFG", "DSDT", "WDAT"};

	ck_assert_uint_gt(acpi_write(tables, GUEST, SIZE,
	                             &(struct acpi_config){.vcpus = 64, .watchdog = true}),
	                  0);
	ck_assert_mem_eq(tables, "RSD PTR ", 8);
	ck_assert_uint_eq(sum(tables, 20), 0);
	ck_assert_uint_eq(sum(tables, 36), 0);
	for (size_t i = 0; i < BASE_COUNT(names); i++)
		find(names[i]);
}
END_TEST

START_TEST(the_madt_has_every_processor)
{
	const uint8_t *madt;
	unsigned int seen = 0;
	uint32_t size;

	acpi_write(tables, GUEST, SIZE, &(struct acpi_config){.vcpus = 64, .watchdog = true});
	madt = find("APIC");
	size = base_le32(madt + 4);
	for (uint32_t at = 44; at < size; at += madt[at + 1]) {
		ck_assert_uint_gt(madt[at + 1], 1);
		if (madt[at] == 0)
			ck_assert_uint_eq(madt[at + 3], seen++);
	}
	ck_assert_uint_eq(seen, 64);
}
END_TEST

START_TEST(too_little_room_is_refused)
{
	size_t size = acpi_write(tables, GUEST, SIZE, &two);
	uint8_t *exact = malloc(size);

	ck_assert_uint_eq(acpi_write(exact, GUEST, size, &two), size);
	ck_assert_uint_eq(acpi_write(exact, GUEST, size - 1, &two), 0);
	ck_assert_uint_eq(acpi_write(exact, GUEST, 40, &two), 0);
	free(exact);
}
END_TEST

/* Has iasl disassemble the table; what it makes of it, in text[size]. */
static void disassemble(const char *signature, char *text, size_t size)
{
	char folder[] = "/tmp/vmm_acpi.XXXXXX", in[64], out[64], *end;
	const uint8_t *table = find(signature);
	FILE *file;
	int status;
	pid_t pid;

	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(in, sizeof(in), "%s/table.aml", folder);
	snprintf(out, sizeof(out), "%s/table.dsl", folder);
	file = fopen(in, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(table, base_le32(table + 4), 1, file), 1);
	fclose(file);
	pid = fork();
	if (pid == 0) {
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stdout));
		ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
		execlp("iasl", "iasl", "-d", in, NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	file = fopen(out, "r");
	ck_assert_ptr_nonnull(file);
	end = text + fread(text, 1, size - 1, file);
	*end = '\0';
	fclose(file);
	unlink(in);
	unlink(out);
	rmdir(folder);
}

static void want(const char *text, const char *part)
{
	if (!strstr(text, part))
		printf("%s", text);
	ck_assert_msg(strstr(text, part) != NULL, "no '%s' in what iasl makes of it", part);
}

START_TEST(iasl_reads_the_same)
{
	static char text[64 * 1024];

	if (access("/usr/bin/iasl", X_OK) < 0) {
		printf("skip: iasl_reads_the_same: no iasl here (package acpica-tools)\n");
		return;
	}
	acpi_write(tables, GUEST, SIZE, &two);
	disassemble("DSDT", text, sizeof(text));
	want(text, "Name (_HID, EisaId (\"PNP0A08\")");
	want(text, "Name (_HID, \"ACPI0013\"");
	want(text, "Name (_HID, EisaId (\"PNP0C0C\")");
	want(text, "Notify (\\_SB.PWRB, 0x80)");
	want(text, "Notify (\\_SB.VGEN, 0x80)");
	want(text, "\"VM_Gen_Counter\"");
	want(text, "\"VMGENCTR\"");
	want(text, "Name (_HID, \"QEMU0001\"");
	want(text, "OperationRegion (EREG, SystemIO, 0x0603, One)");
	want(text, "Name (\\_S5, Package (0x02)");
	ck_assert_msg(!strstr(text, "Error"), "%s", text);
	disassemble("FACP", text, sizeof(text));
	want(text, "Hardware Reduced (V5) : 1");
	want(text, "Reset Register Supported (V2) : 1");
	want(text, "Value to cause reset : 5A");
	disassemble("MCFG", text, sizeof(text));
	want(text, "Base Address : 00000000E0000000");
	acpi_write(tables, GUEST, SIZE, &(struct acpi_config){.vcpus = 2, .watchdog = true});
	disassemble("WDAT", text, sizeof(text));
	want(text, "Enabled : 1");
	want(text, "Timer Period : 00000064");
	want(text, "Watchdog Entry Count : 0000000B");
	want(text, "PCI Segment : 00FF");
	want(text, "PCI Bus : FF");
	want(text, "Address : 0000000000000610");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_acpi");
	TCase *tests = tcase_create("tables");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, every_table_is_linked_and_summed);
	tcase_add_test(tests, the_madt_has_every_processor);
	tcase_add_test(tests, too_little_room_is_refused);
	tcase_add_test(tests, iasl_reads_the_same);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
