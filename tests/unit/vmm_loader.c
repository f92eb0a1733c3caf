// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_loader: kernels made here, whole and broken: cut off at each byte, with sizes that overflow or
 * point outside, and packed in a way that does not unpack.
 */
#include <check.h>
#include <elf.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/loader.h"
#include "vmm/unpack.h"

enum { MEMORY = 8 << 20, ENTRY = 0x100040, CODE = 0x1000, SECTORS = 1 };

static struct machine m;
static char why[WHY_MAX];

struct elf_file {
	Elf64_Ehdr header;
	Elf64_Phdr load, note;
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint64_t entry;
	} pvh;
	uint8_t code[128];
};

static const struct elf_file good_elf = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                   .e_machine = EM_X86_64,
                   .e_phoff = offsetof(struct elf_file, load),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 2},
        .load = {.p_type = PT_LOAD,
                 .p_offset = offsetof(struct elf_file, code),
                 .p_paddr = 0x100000,
                 .p_filesz = 128,
                 .p_memsz = 4096},
        .note = {.p_type = PT_NOTE, .p_offset = offsetof(struct elf_file, pvh), .p_filesz = 24},
        .pvh = {.head = {4, 8, 18}, .name = "Xen", .entry = ENTRY},
        .code = {0xf4},
};

struct bzimage_file {
	uint8_t before[0x1f1];
	struct setup_header header;
	uint8_t after[1024 - 0x1f1 - sizeof(struct setup_header)];
	uint8_t code[CODE];
} __attribute__((packed));

static struct bzimage_file good_bzimage(void)
{
	struct bzimage_file file = {0};

	file.header = (struct setup_header){
	        .setup_sects = SECTORS,
	        .syssize = CODE / 16,
	        .boot_flag = 0xaa55,
	        .jump = 0x6aeb,
	        .header = 0x53726448,
	        .version = 0x20f,
	        .loadflags = LOADED_HIGH,
	        .xloadflags = XLF_KERNEL_64,
	        .kernel_alignment = 0x200000,
	        .relocatable_kernel = 1,
	        .pref_address = 0x200000,
	        .init_size = 0x10000,
	        .initrd_addr_max = 0x7fffffff,
	        .cmdline_size = 2047,
	        .payload_offset = 0x100,
	        .payload_length = 0x100,
	};
	return file;
}

static int load(const void *data, size_t size)
{
	int fd BASE_AUTO_FD = vmm_fixture_file(data, size);
	struct loader_kernel kernel;

	return loader_kernel(&m, fd, &kernel, why);
}

static void setup(void)
{
	vm_init(&m, "test");
	ck_assert_int_eq(vm_memory_map(&m, vmm_fixture_memfd(MEMORY), MEMORY, why), 0);
}

static void teardown(void)
{
	close(machine_memfd(&m));
	vm_memory_unmap(&m);
}

START_TEST(memory_is_checked)
{
	struct machine other;
	int loose BASE_AUTO_FD = vmm_fixture_file("", 0);
	int sealed BASE_AUTO_FD = vmm_fixture_memfd(MEMORY);

	vm_init(&other, "other");
	ck_assert_int_eq(ftruncate(loose, MEMORY), 0);
	ck_assert_int_eq(vm_memory_map(&other, loose, MEMORY, why), -EPERM);
	ck_assert_int_eq(vm_memory_map(&other, sealed, MEMORY * 2, why), -EINVAL);
	ck_assert_int_eq(vm_memory_map(&other, sealed, MEMORY + 1, why), -EINVAL);
	ck_assert_ptr_null(machine_memory(&m, MEMORY, 1));
	ck_assert_ptr_null(machine_memory(&m, MEMORY - 1, 2));
	ck_assert_ptr_null(machine_memory(&m, 1, UINT64_MAX));
	ck_assert_ptr_null(machine_memory(&m, UINT64_MAX, 2));
	ck_assert_ptr_nonnull(machine_memory(&m, MEMORY - 1, 1));
}
END_TEST

START_TEST(a_pvh_kernel_is_loaded)
{
	int fd BASE_AUTO_FD = vmm_fixture_file(&good_elf, sizeof(good_elf));
	struct loader_kernel kernel;

	ck_assert_msg(loader_kernel(&m, fd, &kernel, why) == 0, "%s", why);
	ck_assert_int_eq(kernel.protocol, LOADER_PVH);
	ck_assert_uint_eq(kernel.entry, ENTRY);
	ck_assert_uint_eq(kernel.end, 0x101000);
	ck_assert_uint_eq(*(uint8_t *)machine_memory(&m, 0x100000, 1), 0xf4);
}
END_TEST

START_TEST(a_cut_elf_is_refused)
{
	for (size_t size = 0; size < sizeof(good_elf); size++)
		ck_assert_msg(load(&good_elf, size) < 0, "%zu bytes", size);
}
END_TEST

#define REFUSED(type, base, change)                                                    \
	do {                                                                           \
		struct type file = base;                                               \
		change;                                                                \
		ck_assert_msg(load(&file, sizeof(file)) < 0, "not refused: " #change); \
	} while (0)

START_TEST(a_wrong_elf_is_refused)
{
	REFUSED(elf_file, good_elf, file.header.e_ident[EI_CLASS] = ELFCLASS32);
	REFUSED(elf_file, good_elf, file.header.e_machine = EM_AARCH64);
	REFUSED(elf_file, good_elf, file.header.e_phoff = UINT64_MAX);
	REFUSED(elf_file, good_elf, file.header.e_phnum = 0);
	REFUSED(elf_file, good_elf, file.header.e_phnum = 65535);
	REFUSED(elf_file, good_elf, file.header.e_phentsize = 1);
	REFUSED(elf_file, good_elf, file.load.p_paddr = 0x1000);
	REFUSED(elf_file, good_elf, file.load.p_paddr = UINT64_MAX - 10);
	REFUSED(elf_file, good_elf, file.load.p_paddr = MEMORY - 100);
	REFUSED(elf_file, good_elf, file.load.p_memsz = UINT64_MAX);
	REFUSED(elf_file, good_elf, file.load.p_memsz = 1);
	REFUSED(elf_file, good_elf, file.load.p_filesz = 4096);
	REFUSED(elf_file, good_elf, file.load.p_offset = UINT64_MAX);
	REFUSED(elf_file, good_elf, file.note.p_offset = UINT64_MAX);
	REFUSED(elf_file, good_elf, file.note.p_filesz = 20);
	REFUSED(elf_file, good_elf, file.pvh.head.n_namesz = UINT32_MAX);
	REFUSED(elf_file, good_elf, file.pvh.head.n_descsz = UINT32_MAX);
	REFUSED(elf_file, good_elf, file.pvh.head.n_descsz = 3);
	REFUSED(elf_file, good_elf, file.pvh.name[0] = 'Y');
	REFUSED(elf_file, good_elf, file.pvh.entry = 0x1000);
	REFUSED(elf_file, good_elf, file.pvh.entry = 0x101000);
	REFUSED(elf_file, good_elf, file.pvh.entry = UINT64_MAX);
}
END_TEST

START_TEST(a_bzimage_is_loaded)
{
	const struct bzimage_file good = good_bzimage();
	int fd BASE_AUTO_FD = vmm_fixture_file(&good, sizeof(good));
	struct loader_kernel kernel;

	ck_assert_msg(loader_kernel(&m, fd, &kernel, why) == 0, "%s", why);
	ck_assert_int_eq(kernel.protocol, LOADER_LINUX64);
	ck_assert_uint_eq(kernel.entry, 0x200200);
	ck_assert_uint_eq(kernel.end, 0x210000);
	ck_assert_uint_eq(kernel.cmdline_max, 2048);
	for (size_t size = 0; size < sizeof(good) - 15; size++)
		ck_assert_msg(load(&good, size) < 0, "%zu bytes", size);
}
END_TEST

START_TEST(a_wrong_bzimage_is_refused)
{
	const struct bzimage_file good = good_bzimage();

	REFUSED(bzimage_file, good, file.header.boot_flag = 0);
	REFUSED(bzimage_file, good, file.header.header = 0);
	REFUSED(bzimage_file, good, file.header.version = 0x20b);
	REFUSED(bzimage_file, good, file.header.loadflags = 0);
	REFUSED(bzimage_file, good, file.header.xloadflags = 0);
	REFUSED(bzimage_file, good, file.header.kernel_alignment = 0);
	REFUSED(bzimage_file, good, file.header.kernel_alignment = 3);
	REFUSED(bzimage_file, good, file.header.setup_sects = 255);
	REFUSED(bzimage_file, good, file.header.syssize = UINT32_MAX);
	REFUSED(bzimage_file, good, file.header.syssize = 0);
	REFUSED(bzimage_file, good, file.header.pref_address = UINT64_MAX);
	REFUSED(bzimage_file, good, file.header.pref_address = 0x1000);
	REFUSED(bzimage_file, good, file.header.pref_address = MEMORY);
	REFUSED(bzimage_file, good, file.header.init_size = UINT32_MAX);
	REFUSED(bzimage_file, good, file.header.payload_offset = UINT32_MAX);
	REFUSED(bzimage_file, good, file.header.payload_length = UINT32_MAX);
}
END_TEST

START_TEST(what_does_not_fit_is_refused)
{
	const struct bzimage_file good = good_bzimage();
	int kernel BASE_AUTO_FD = vmm_fixture_file(&good, sizeof(good));
	int initrd BASE_AUTO_FD = vmm_fixture_memfd(MEMORY);
	char cmdline[4096];
	struct boot_source source = {kernel, -1, "console=ttyS0", false};
	struct vcpu_start start;

	ck_assert_msg(boot_prepare(&m, &source, 2, &start, why) == 0, "%s", why);
	ck_assert(start.long_mode);
	ck_assert_str_eq(machine_memory(&m, BOOT_CMDLINE, 16), "console=ttyS0");
	source.initrd = initrd;
	ck_assert_int_eq(boot_prepare(&m, &source, 2, &start, why), -ENOSPC);
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[2048] = '\0';
	source = (struct boot_source){kernel, -1, cmdline, false};
	ck_assert_int_eq(boot_prepare(&m, &source, 2, &start, why), -E2BIG);
}
END_TEST

static uint8_t unpacked[64];

static int keep(void *self, const void *data, size_t size)
{
	size_t *used = self;

	ck_assert_uint_le(size, sizeof(unpacked) - *used);
	memcpy(unpacked + *used, data, size);
	*used += size;
	return 0;
}

START_TEST(lz4_is_unpacked_inside_its_bounds)
{
	/* four literals, a match of eight at distance four, two last literals */
	static const uint8_t good[] = {0x02, 0x21, 0x4c, 0x18, 10,   0,   0,   0,  0x44, 'a', 'b',
	                               'c',  'd',  4,    0,    0x20, 'e', 'f', 14, 0,    0,   0};
	uint8_t block[] = {0x44, 'a', 'b', 'c', 'd', 4, 0, 0x20, 'e', 'f'}, room[14];
	size_t used = 0;
	struct unpack_sink sink = {.write = keep, .self = &used};

	ck_assert_msg(unpack(good, sizeof(good), &sink, why) == 0, "%s", why);
	ck_assert_uint_eq(used, 14);
	ck_assert_mem_eq(unpacked, "abcdabcdabcdef", 14);
	ck_assert_int_eq(unpack_lz4_block(block, sizeof(block), room, sizeof(room)), 14);
	ck_assert_int_eq(unpack_lz4_block(block, sizeof(block), room, 13), -EILSEQ);
	for (size_t size = 0; size < sizeof(block); size++)
		if (size != 5) /* the first literals are a block, too */
			ck_assert_int_eq(unpack_lz4_block(block, size, room, sizeof(room)),
			                 -EILSEQ);
	block[5] = 0; /* distance zero */
	ck_assert_int_eq(unpack_lz4_block(block, sizeof(block), room, sizeof(room)), -EILSEQ);
	block[5] = 5; /* before the start */
	ck_assert_int_eq(unpack_lz4_block(block, sizeof(block), room, sizeof(room)), -EILSEQ);
	ck_assert_int_eq(unpack((const uint8_t *)"none of them", 12, &sink, why), -ENOEXEC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_loader");
	TCase *tests = tcase_create("kernels");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_test(tests, memory_is_checked);
	tcase_add_test(tests, a_pvh_kernel_is_loaded);
	tcase_add_test(tests, a_cut_elf_is_refused);
	tcase_add_test(tests, a_wrong_elf_is_refused);
	tcase_add_test(tests, a_bzimage_is_loaded);
	tcase_add_test(tests, a_wrong_bzimage_is_refused);
	tcase_add_test(tests, what_does_not_fit_is_refused);
	tcase_add_test(tests, lz4_is_unpacked_inside_its_bounds);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
