// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_private_kvm: small guests with private memory on a KVM that has it (in the rig: ./dev test
 * --private-memory): what KVM says when a guest touches private memory that there is not, and that a conversion is
 * seen by the guest and by nobody else. Skipped elsewhere, with KVM's lack as the reason.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/power.h"

enum { MEMORY = 2 << 20, CODE = 0x1000, RESULT = 0x2000, DATA = 0x100000 };
#define NOWHERE 0x40000000ull

static int kvm = -1;
static struct machine m;
static struct power power;

static void ignore_interrupt(void *self, bool high)
{
	(void)self;
	(void)high;
}

static void guest_create(const void *code, size_t size)
{
	struct vcpu_start start = {.rip = CODE, .gdt = BOOT_GDT};
	char why[WHY_MAX] = "";

	vm_init(&m, "test");
	m.private.type = CC_X86_SW_PROTECTED_VM;
	ck_assert_msg(vm_memory_map(&m, vmm_fixture_memfd(MEMORY), MEMORY, why) == 0, "%s", why);
	ck_assert_msg(vm_create(&m, kvm, why) == 0, "%s", why);
	power = (struct power){.machine = &m, .interrupt = ignore_interrupt};
	ck_assert_int_eq(
	        machine_io_add(&m, MACHINE_PIO, POWER_PORT, POWER_PORTS, &power_io, &power), 0);
	memcpy(machine_memory(&m, CODE, size), code, size);
	ck_assert_msg(vcpus_create(&m, 1, &start, why) == 0, "%s", why);
	ck_assert_msg(vcpus_launch(&m, why) == 0, "%s", why);
}

static void guest_run(void)
{
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	ck_assert_int_eq(loop_run(&m), 0);
	vcpus_destroy(&m);
}

static void guest_destroy(void)
{
	close(m.memfd);
	vm_destroy(&m);
}

#define POWER_OFF                                         \
	0x66, 0xba, 0x00, 0x06, /* mov dx, 0x600 */       \
	        0xb0, 0x34,     /* mov al, SLP_EN | S5 */ \
	        0xee,           /* out dx, al */          \
	        0xf4            /* hlt */

/* KVM has been told of private memory where there is none; a guest cannot bring that about by itself. */
START_TEST(private_memory_that_is_not_there)
{
	static const uint8_t code[] = {
	        0xa1,      0x00, 0x00, 0x00, 0x40, /* mov eax, [0x40000000] */
	        POWER_OFF,
	};
	struct cc_memory_attributes nowhere = {.address = NOWHERE,
	                                       .size = PRIVATE_PAGE,
	                                       .attributes = CC_MEMORY_ATTRIBUTE_PRIVATE};
	int log = vmm_fixture_file("", 0);
	char text[512] = "";

	guest_create(code, sizeof(code));
	ck_assert_int_eq(ioctl(m.vm, CC_SET_MEMORY_ATTRIBUTES, &nowhere), 0);
	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_MEMORY);
	ck_assert_int_gt(pread(log, text, sizeof(text) - 1, 0), 0);
	ck_assert_msg(strstr(text, "vCPU 0: the guest touched private memory where it has none: "
	                           "address 0x40000000, 4096 bytes, flags 0x8") != NULL,
	              "%s", text);
	ck_assert_ptr_null(strstr(text, "rip"));
	guest_destroy();
}
END_TEST

/* The guest's word goes to its private page; what is mapped here stays empty, and so it does when it is shared. */
START_TEST(nobody_else_sees_it)
{
	static const uint8_t code[] = {
	        0xb8,      0x0c, 0x00, 0x00, 0x00, /* mov eax, KVM_HC_MAP_GPA_RANGE */
	        0xbb,      0x00, 0x00, 0x10, 0x00, /* mov ebx, 0x100000 */
	        0xb9,      0x02, 0x00, 0x00, 0x00, /* mov ecx, 2 */
	        0xba,      0x10, 0x00, 0x00, 0x00, /* mov edx, private */
	        0x0f,      0x01, 0xd9,             /* vmmcall */
	        0xa3,      0x00, 0x20, 0x00, 0x00, /* mov [0x2000], eax */
	        0xa1,      0x00, 0x00, 0x10, 0x00, /* mov eax, [0x100000] */
	        0xa3,      0x04, 0x20, 0x00, 0x00, /* mov [0x2004], eax */
	        0xb8,      0x78, 0x56, 0x34, 0x12, /* mov eax, 0x12345678 */
	        0xa3,      0x00, 0x00, 0x10, 0x00, /* mov [0x100000], eax */
	        0xa3,      0x00, 0x10, 0x10, 0x00, /* mov [0x101000], eax */
	        0xa1,      0x00, 0x00, 0x10, 0x00, /* mov eax, [0x100000] */
	        0xa3,      0x08, 0x20, 0x00, 0x00, /* mov [0x2008], eax */
	        POWER_OFF,
	};
	uint32_t *result, *data;
	uint8_t byte;

	guest_create(code, sizeof(code));
	result = machine_memory(&m, RESULT, 3 * sizeof(*result));
	data = machine_memory(&m, DATA, 2 * PRIVATE_PAGE);
	memset(data, 0x77, 2 * PRIVATE_PAGE);
	result[0] = 1;
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	ck_assert_uint_eq(result[0], 0);
	ck_assert_uint_eq(result[1], 0); /* not what was there when it was shared */
	ck_assert_uint_eq(result[2], 0x12345678);
	ck_assert_uint_eq(data[0], 0);
	ck_assert_uint_eq(data[PRIVATE_PAGE / 4], 0);
	ck_assert(!machine_shared(&m, DATA, 1) && machine_shared(&m, DATA + 2 * PRIVATE_PAGE, 1));
	/* KVM's file can neither be read nor mapped nor made smaller. */
	ck_assert_int_lt(pread(m.private.memfd, &byte, 1, DATA), 0);
	ck_assert_ptr_eq(mmap(NULL, PRIVATE_PAGE, PROT_READ, MAP_SHARED, m.private.memfd, DATA),
	                 MAP_FAILED);
	ck_assert_int_lt(ftruncate(m.private.memfd, 0), 0);
	ck_assert_int_eq(private_convert(&m, DATA, PRIVATE_PAGE, false), 0);
	ck_assert_uint_eq(data[0], 0);
	guest_destroy();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_private_kvm");
	TCase *tests = tcase_create("guests");
	char why[WHY_MAX] = "";
	SRunner *runner;
	int failed;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		printf("skipped: no /dev/kvm here\n");
		return 77;
	}
	if (private_check(kvm, CC_X86_SW_PROTECTED_VM, why) != 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, private_memory_that_is_not_there);
	tcase_add_test(tests, nobody_else_sees_it);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
