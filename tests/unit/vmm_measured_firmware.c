// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_measured_firmware: cordon-vmm with confidential guests that start from OVMF or TDVF, against the model of KVM and
 * of the firmware below it: the digest is the one that is measured offline of the same image and kernel, and what the
 * guest is given by fw_cfg is what was hashed.
 */
#include <check.h>

#include "base/base.h"
#include "confidential/hash.h"
#include "tests/unit/confidential_fixture.h"
#include "tests/unit/measured_model.h"
#include "vmm/firmware.h"
#include "vmm/pci.h"

enum { LARGE = 10 << 20, BASE = 0x100000 }; /* the fixture's sections are behind 8 MiB */

/* What a bzImage has: "MZ", the number of its sectors before the kernel, the boot flag, "HdrS". */
enum { KERNEL = 3000, KERNEL_SETUP = 1024 };
static char kernel[KERNEL];

static void make_kernel(void)
{
	for (size_t i = 0; i < KERNEL; i++)
		kernel[i] = (char)(i * 13 + 1);
	memcpy(kernel, "MZ", 2);
	kernel[0x1f1] = KERNEL_SETUP / 512 - 1;
	memcpy(kernel + 0x1fe, "\x55\xaaxxHdrS", 8);
}

static const struct fw_case {
	enum confidential_type type;
	uint32_t vcpus;
	bool kernel;
	const char *initrd, *cmdline;
} fw_cases[] = {
        {CONFIDENTIAL_SEV, 1, false, NULL, ""},
        {CONFIDENTIAL_SEV, 2, true, "an initrd", "console=ttyS0 quiet"},
        {CONFIDENTIAL_SEV_ES, 3, true, NULL, ""},
        {CONFIDENTIAL_SEV_ES, 1, true, "an initrd", "a"},
        {CONFIDENTIAL_SEV_SNP, 1, false, NULL, ""},
        {CONFIDENTIAL_SEV_SNP, 4, true, "an initrd", "console=ttyS0 quiet"},
        {CONFIDENTIAL_SEV_SNP, 2, true, NULL, ""},
        {CONFIDENTIAL_TDX, 2, false, NULL, ""},
        {CONFIDENTIAL_TDX, 1, true, "an initrd", "console=ttyS0"},
};

static struct model_given given_of(const struct fw_case *each)
{
	make_kernel();
	return (struct model_given){.kernel = each->kernel ? kernel : NULL,
	                            .kernel_size = KERNEL,
	                            .initrd = each->initrd,
	                            .cmdline = each->cmdline};
}

/* As `cordon measure` has it, by code of its own: libcrypto's EVP, and the text's NUL. */
static void measured_offline(const struct fw_case *each, const uint8_t *image,
                             struct confidential_digest *digest)
{
	struct confidential_kernel hashes;
	struct launch_input input = {.type = each->type,
	                             .vcpus = each->vcpus,
	                             .features = 1,
	                             .cpu_signature = model_told(1)->eax,
	                             .bytes = image,
	                             .size = FIXTURE_SIZE};
	const char *initrd = each->initrd ?: "";
	char why[WHY_MAX] = "";

	ck_assert_int_eq(hash_once(HASH_SHA256, kernel, KERNEL, hashes.kernel), 0);
	ck_assert_int_eq(hash_once(HASH_SHA256, initrd, strlen(initrd), hashes.initrd), 0);
	ck_assert_int_eq(confidential_hash_command_line(each->cmdline, hashes.command_line), 0);
	if (each->kernel && each->type != CONFIDENTIAL_TDX)
		input.kernel = &hashes;
	ck_assert_msg(confidential_measure(&input, digest, why) == 0, "%s", why);
}

static uint8_t *image_of(enum confidential_type type)
{
	return type == CONFIDENTIAL_TDX ? fixture_tdvf(true) : fixture_ovmf(0);
}

/* The list of memory that a trust domain's firmware gets (PI 1.7, volume 3, 5): all of it, and not the image. */
static void look_at_hob(void)
{
	enum { RESOURCE = 3, END = 0xffff, START_AT = 32, LENGTH_AT = 40 };
	const uint8_t *at = model.fake.hob;
	uint64_t next = 0;

	for (; base_le16(at) != END; at += base_le16(at + 2)) {
		ck_assert_uint_gt(base_le16(at + 2), 0);
		if (base_le16(at) != RESOURCE)
			continue;
		ck_assert_uint_eq(base_le64(at + START_AT), next);
		next += base_le64(at + LENGTH_AT);
	}
	ck_assert_uint_eq(next, LARGE);
}

START_TEST(firmware_has_the_measured_digest)
{
	const struct fw_case *each = &fw_cases[_i];
	BASE_AUTO_FREE uint8_t *image = image_of(each->type);
	const struct model_given given = given_of(each);
	struct confidential_digest offline;
	char words[64], text[1024];
	int end;

	model.memory = LARGE;
	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", confidential_type_name(each->type),
	         vmm_fixture_file(image, FIXTURE_SIZE), model.sev_fd);
	end = model_vmm(words, each->vcpus, &given, text);
	ck_assert_msg(end == VMM_END_POWEROFF && model.ran, "%d: %s", end, text);
	measured_offline(each, image, &offline);
	ck_assert_mem_eq(model.fake.digest, offline.bytes, offline.size);
	if (each->type == CONFIDENTIAL_TDX)
		look_at_hob();
}
END_TEST

/* The item as firmware reads it, by the port: `size` bytes, and zeros behind its end. */
static void item_read(struct machine *m, uint16_t key, void *to, size_t size)
{
	ck_assert(iobus_write(&m->pio, FWCFG_PORT, &key, 2));
	for (size_t i = 0; i < size; i++)
		ck_assert(iobus_read(&m->pio, FWCFG_PORT + 1, (uint8_t *)to + i, 1));
}

static uint32_t item_number(struct machine *m, uint16_t key)
{
	uint8_t bytes[4];

	item_read(m, key, bytes, sizeof(bytes));
	return base_le32(bytes);
}

/* What firmware puts together of the items is what was hashed: the kernel's two parts, and the text with its NUL. */
START_TEST(firmware_is_given_what_was_hashed)
{
	const struct fw_case *each = &fw_cases[_i];
	const struct model_given given = given_of(each);
	BASE_AUTO_FREE struct firmware *board = calloc(1, sizeof(*board));
	BASE_AUTO_FREE uint8_t *image = image_of(each->type);
	char words[64], why[WHY_MAX] = "", whole[KERNEL + 1], line[64];
	struct boot_source source = {.kernel = -1, .initrd = -1, .cmdline = each->cmdline};
	struct measured_options options;
	struct machine m;
	struct pci_bus *bus;

	if (given.kernel)
		source.kernel = vmm_fixture_file(kernel, KERNEL);
	if (given.initrd)
		source.initrd = vmm_fixture_file(given.initrd, strlen(given.initrd));
	model.memory = LARGE;
	vm_init(&m, "test");
	ck_assert_int_eq(vm_memory_map(&m, vmm_fixture_memfd(model.memory), model.memory, why), 0);
	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", confidential_type_name(each->type),
	         vmm_fixture_file(image, FIXTURE_SIZE), model.sev_fd);
	ck_assert_int_eq(measured_parse(&options, words, why), 0);
	ck_assert_msg(measured_open(&m, &options, each->vcpus, "", why) == 0, "%s", why);
	ck_assert_msg(vm_create(&m, model.kvm_fd, why) == 0, "%s", why);
	ck_assert_int_eq(pci_bus_create(&m, &bus), 0);
	ck_assert_msg(firmware_create(board, &m, bus, &source, each->vcpus, why) == 0, "%s", why);
	ck_assert_uint_eq(item_number(&m, FWCFG_NB_CPUS), each->vcpus);
	if (each->kernel) {
		ck_assert_uint_eq(item_number(&m, FWCFG_SETUP_SIZE), KERNEL_SETUP);
		ck_assert_uint_eq(item_number(&m, FWCFG_KERNEL_SIZE), KERNEL - KERNEL_SETUP);
		item_read(&m, FWCFG_SETUP_DATA, whole, KERNEL_SETUP);
		item_read(&m, FWCFG_KERNEL_DATA, whole + KERNEL_SETUP, KERNEL - KERNEL_SETUP + 1);
		ck_assert_mem_eq(whole, kernel, KERNEL);
		ck_assert_int_eq(whole[KERNEL], 0);
		ck_assert_uint_eq(item_number(&m, FWCFG_CMDLINE_SIZE), strlen(each->cmdline) + 1);
		item_read(&m, FWCFG_CMDLINE_DATA, line, strlen(each->cmdline) + 1);
		ck_assert_str_eq(line, each->cmdline);
	} else {
		ck_assert_uint_eq(item_number(&m, FWCFG_KERNEL_SIZE), 0);
	}
	ck_assert_uint_eq(item_number(&m, FWCFG_INITRD_SIZE),
	                  each->initrd ? strlen(each->initrd) : 0);
	/* devices never see the image, though it is the guest's memory */
	ck_assert(m.rom.guest + m.rom.size == 4ull << 30 && m.rom.size == FIXTURE_SIZE);
	ck_assert(!machine_memory(&m, m.rom.guest, 1) && !machine_shared(&m, m.rom.guest, 1));
	ck_assert_int_eq(m.region_count, 1);
	pci_bus_destroy(bus);
	vm_destroy(&m);
	firmware_destroy(board);
}
END_TEST

static const struct fw_wrong {
	const char *type;
	unsigned int flags; /* of the image */
	size_t size;        /* of it; 0: as it is */
	const char *kernel, *why;
} fw_wrongs[] = {
        {"sev", FIXTURE_NO_HASHES, 0, "MZ", "has no table of kernel hashes"},
        {"sev-es", FIXTURE_HASHES_AT_0, 0, "MZ", "has no table of kernel hashes"},
        {"sev-snp", FIXTURE_NO_HASHES, 0, "MZ", "has no table of kernel hashes"},
        {"sev-snp", FIXTURE_NO_HASH_SECTION, 0, "MZ", "no section for kernel hashes"},
        {"sev-snp", 0, 0, "\177ELF", "the kernel is no EFI program"},
        {"sev-snp", 0, FIXTURE_SIZE - 16, NULL, "firmware has 16368 bytes, where whole pages"},
        {"sev-snp", 0, VM_ROM_MAX + 4096, NULL, "the firmware has 16781312 bytes"},
        {"sev-es", FIXTURE_NO_RESET, 0, NULL, "no SEV-ES reset block"},
};

START_TEST(firmware_that_does_not_fit)
{
	const struct fw_wrong *each = &fw_wrongs[_i];
	const struct model_given given = {.kernel = each->kernel,
	                                  .kernel_size = each->kernel ? strlen(each->kernel) : 0,
	                                  .cmdline = ""};
	BASE_AUTO_FREE uint8_t *image = fixture_ovmf(each->flags);
	const int fd = vmm_fixture_file(image, FIXTURE_SIZE);
	char words[64], text[1024];

	model.memory = LARGE;
	if (each->size)
		ck_assert_int_eq(ftruncate(fd, (off_t)each->size), 0);
	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, model.sev_fd);
	ck_assert_int_eq(model_vmm(words, 1, &given, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, each->why) && !model.ran, "%s", text);
}
END_TEST

/* An IGVM file has its own. */
START_TEST(a_kernel_beside_an_igvm_file)
{
	const struct model_given given = {.kernel = "MZ", .kernel_size = 2, .cmdline = ""};
	BASE_AUTO_FREE uint8_t *file = NULL;
	char words[64], text[1024];
	size_t size;
	static const uint8_t code[] = {0xf4};
	const struct igvm_guest guest = {
	        .base = BASE, .vcpus = 1, .code = code, .code_size = sizeof(code)};
	int fd;

	file = igvm_fixture(&guest, &size);
	fd = vmm_fixture_file(file, size);

	snprintf(words, sizeof(words), "sev-snp:firmware=%d,sev=%d", fd, model.sev_fd);
	ck_assert_int_eq(model_vmm(words, 1, &given, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, "beside an IGVM file") && !model.ran, "%s", text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_measured_firmware");
	TCase *tests = tcase_create("launch");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, model_setup, model_teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, firmware_has_the_measured_digest, 0, BASE_COUNT(fw_cases));
	tcase_add_loop_test(tests, firmware_is_given_what_was_hashed, 0, BASE_COUNT(fw_cases));
	tcase_add_loop_test(tests, firmware_that_does_not_fit, 0, BASE_COUNT(fw_wrongs));
	tcase_add_test(tests, a_kernel_beside_an_igvm_file);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
