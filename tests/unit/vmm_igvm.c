// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_igvm: a guest in an IGVM file, without encryption, on this machine's own KVM: it starts with the registers that
 * the file gives it and finds what its host told it. And files that are wrong for such a guest are refused by name.
 * Runs in the rig too. What needs KVM is skipped where there is none.
 */
#include <check.h>
#include <fcntl.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "tests/unit/igvm_fixture.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/power.h"

enum { MEMORY = 2 << 20, BASE = 0x100000, RESULT = 0x2000 };

/* 32-bit, at the base; ESI has the parameters' page. */
static const uint8_t code[] = {
        0x66, 0xba, 0xf8, 0x03,             /*    mov dx, 0x3f8 */
        0x8b, 0x06,                         /*    mov eax, [esi]: how many processors */
        0x04, 0x30,                         /*    add al, '0' */
        0xee,                               /*    out dx, al */
        0x8a, 0x46, 0x04,                   /*    mov al, [esi + 4]: the environment */
        0x04, 0x30,                         /*    add al, '0' */
        0xee,                               /*    out dx, al */
        0x81, 0xc6, 0x00, 0x01, 0x00, 0x00, /*    add esi, 0x100: the command line */
        0xac,                               /* 1: lodsb */
        0x84, 0xc0,                         /*    test al, al */
        0x74, 0x03,                         /*    jz 2f */
        0xee,                               /*    out dx, al */
        0xeb, 0xf8,                         /*    jmp 1b */
        0xa1, 0x00, 0x30, 0x10, 0x00,       /* 2: mov eax, [0x103000] */
        0xa3, 0x00, 0x20, 0x00, 0x00,       /*    mov [0x2000], eax */
        0x68, 0x78, 0x56, 0x34, 0x12,       /*    push 0x12345678 */
        0x66, 0xba, 0x00, 0x06,             /*    mov dx, 0x600 */
        0xb0, 0x34,                         /*    mov al, SLP_EN | S5 */
        0xee,                               /*    out dx, al */
        0xf4,                               /*    hlt */
};

/* Plain; and, where KVM has them, with private memory, of which all is shared at first. */
static const uint32_t types[] = {CC_X86_DEFAULT_VM, CC_X86_SW_PROTECTED_VM};
static int kvm = -1;
static struct machine m;
static struct console console;
static struct power power;

static void ignore_interrupt(void *self, bool high)
{
	(void)self;
	(void)high;
}

static int prepare(struct igvm_guest guest, int initrd, struct vcpu_start *start, char *why)
{
	BASE_AUTO_FREE uint8_t *file = NULL;
	size_t size;
	int fd BASE_AUTO_FD = -1;

	guest.code = code;
	guest.code_size = sizeof(code);
	file = igvm_fixture(&guest, &size);
	fd = vmm_fixture_file(file, size);
	return boot_prepare(
	        &m, &(struct boot_source){.kernel = fd, .initrd = initrd, .cmdline = "quiet now"},
	        1, start, why);
}

START_TEST(it_runs_and_knows_its_host)
{
	int log = vmm_fixture_file("", 0), memfd = vmm_fixture_memfd(MEMORY);
	char why[WHY_MAX] = "", text[32] = "";
	struct vcpu_start start;
	const uint8_t *at;

	vm_init(&m, "test");
	m.private.type = types[_i];
	ck_assert_msg(vm_memory_map(&m, memfd, MEMORY, why) == 0, "%s", why);
	ck_assert_msg(vm_create(&m, kvm, why) == 0, "%s", why);
	ck_assert_int_eq(console_create(&console, &m, &(struct console_fds){-1, log, -1, false}),
	                 0);
	power = (struct power){.machine = &m, .interrupt = ignore_interrupt};
	ck_assert_int_eq(
	        machine_io_add(&m, MACHINE_PIO, POWER_PORT, POWER_PORTS, &power_io, &power), 0);
	memset(machine_memory(&m, BASE, IGVM_END), 0xee, IGVM_END);
	ck_assert_msg(prepare((struct igvm_guest){.base = BASE}, -1, &start, why) == 0, "%s", why);
	ck_assert_msg(vcpus_create(&m, 1, &start, why) == 0, "%s", why);
	ck_assert_msg(vcpus_launch(&m, why) == 0, "%s", why);
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	ck_assert_int_eq(loop_run(&m), 0);
	vcpus_destroy(&m);
	console_flush(&console);
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	ck_assert_int_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "11quiet now");
	ck_assert_uint_eq(*(uint32_t *)machine_memory(&m, RESULT, 4), 0xa5a5a5a5);
	/* its stack is the page of zeros, up to its end */
	at = machine_memory(&m, BASE + IGVM_ZEROS, 4096);
	ck_assert_uint_eq(base_le32(at + 4092), 0x12345678);
	ck_assert_uint_eq(at[0], 0);
	at = machine_memory(&m, BASE + IGVM_PARAMETERS, 4096);
	ck_assert_mem_eq(at + IGVM_AT_MADT, "APIC", 4);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MMIO), MACHINE_MMIO32_BASE / 4096);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 8), 0x9f); /* up to 0x9fc00 */
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 24), 0x9f);
	ck_assert_uint_eq(base_le16(at + IGVM_AT_MAP + 40), 1);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 48), 0x100);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 56), 0x100);
	ck_assert_mem_eq(machine_memory(&m, BOOT_ACPI, 8), "RSD PTR ", 8);
	console_destroy(&console);
	close(memfd);
	vm_destroy(&m);
	close(log);
}
END_TEST

static const struct refused {
	struct igvm_guest guest;
	bool initrd;
	int error;
	const char *why;
} refused[] = {
        {{.base = 0x200000}, false, -EINVAL, "at 0x200000, where the guest has no memory"},
        {{.base = 0xffffe000}, false, -EINVAL, "where the guest has no memory"},
        {{.base = 0xd9000}, false, 0, NULL},
        {{.base = 0xdb000},
         false,
         -EINVAL,
         "at 0xdf000, where the machine's tables are (0xdf000 to 0x100000)"},
        {{.base = 0xff000}, false, -EINVAL, "at 0xff000, where the machine's tables are"},
        {{.base = BASE}, true, -EINVAL, "an initrd beside an IGVM file"},
        {{.base = BASE, .native_vcpu = 1}, false, -EINVAL, "registers for processor 1"},
        {{.base = BASE, .no_native = true}, false, -EINVAL, "no registers for a guest without"},
        {{.base = BASE, .parameter = IGVM_DEVICE_TREE}, false, -EINVAL, "type 0x312"},
};

START_TEST(others_are_refused)
{
	int memfd = vmm_fixture_memfd(MEMORY), initrd = vmm_fixture_file("x", 1);
	const struct refused *each = &refused[_i];
	char why[WHY_MAX] = "";
	struct vcpu_start start;
	int error;

	vm_init(&m, "test");
	ck_assert_msg(vm_memory_map(&m, memfd, MEMORY, why) == 0, "%s", why);
	error = prepare(each->guest, each->initrd ? initrd : -1, &start, why);
	ck_assert_msg(error == each->error && (!each->why || strstr(why, each->why)), "%d %s",
	              error, why);
	close(memfd);
	close(initrd);
	vm_memory_unmap(&m);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_igvm");
	TCase *tests = tcase_create("files");
	char why[WHY_MAX] = "";
	SRunner *runner;
	bool private;
	int failed;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm_init(&m, "probe");
	if (kvm < 0 || vm_create(&m, kvm, why) != 0) {
		printf("skipped: %s\n", kvm < 0 ? "no /dev/kvm here" : why);
		return 77;
	}
	vm_destroy(&m);
	tcase_set_timeout(tests, 60);
	private = private_check(kvm, CC_X86_SW_PROTECTED_VM, why) == 0;
	printf("private memory: %s\n", private ? "too" : why);
	tcase_add_loop_test(tests, it_runs_and_knows_its_host, 0, private ? 2 : 1);
	tcase_add_loop_test(tests, others_are_refused, 0, BASE_COUNT(refused));
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
