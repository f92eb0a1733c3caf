// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_cpus: bare-metal guests that count their processors and reach for the ends of their memory, on this
 * machine's own KVM (or the rig's). Skipped where there is no /dev/kvm or it lacks something.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/power.h"

enum {
	CODE = 0x1000,  /* where the first vCPU begins, and by SIPI vector 1 the others */
	COUNT = 0x2000, /* vCPUs that have come up */
	IDS = 0x3000,   /* a byte for each x2APIC id */
	TABLES = 0x9000,
	VCPUS = VMM_VCPUS_MAX,
};
#define GIB (1ull << 30)

static int kvm = -1;
static struct machine m;
static struct power power;

static void ignore_interrupt(void *self, bool high)
{
	(void)self;
	(void)high;
}

/* False, with `why`, when this host cannot. */
static bool guest_create(uint64_t memory, unsigned int vcpus, const void *code, size_t size,
                         const struct vcpu_start *start, char *why)
{
	int memfd = vmm_fixture_memfd(memory);

	vm_init(&m, "test");
	ck_assert_msg(vm_memory_map(&m, memfd, memory, why) == 0, "%s", why);
	if (vm_create(&m, kvm, why) < 0)
		return false;
	power = (struct power){.machine = &m, .interrupt = ignore_interrupt};
	ck_assert_int_eq(
	        machine_io_add(&m, MACHINE_PIO, POWER_PORT, POWER_PORTS, &power_io, &power), 0);
	memcpy(machine_memory(&m, CODE, size), code, size);
	ck_assert_msg(vcpus_create(&m, vcpus, start, why) == 0, "%s", why);
	ck_assert_msg(vcpus_launch(&m, why) == 0, "%s", why);
	return true;
}

static void guest_run(void)
{
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	ck_assert_int_eq(loop_run(&m), 0);
	vcpus_destroy(&m);
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
}

static void guest_destroy(void)
{
	close(machine_memfd(&m));
	vm_destroy(&m);
}

/*
 * The first vCPU switches its APIC to x2APIC mode, sends INIT and SIPI to all others, and waits until all
 * are there. Each one puts a mark at its id, from CPUID leaf 0xb, counts itself and halts.
 */
static const uint8_t count_code[] = {
        0x31, 0xc0,                          /*    xor ax, ax */
        0x8e, 0xd8,                          /*    mov ds, ax */
        0x66, 0xb8, 0x0b, 0x00, 0x00,  0x00, /*    mov eax, 0xb */
        0x66, 0x31, 0xc9,                    /*    xor ecx, ecx */
        0x0f, 0xa2,                          /*    cpuid */
        0x89, 0xd3,                          /*    mov bx, dx */
        0xfe, 0x87, 0x00, 0x30,              /*    inc byte [bx + 0x3000] */
        0xf0, 0xff, 0x06, 0x00, 0x20,        /*    lock inc word [0x2000] */
        0x85, 0xdb,                          /*    test bx, bx */
        0x74, 0x03,                          /*    jz 1f */
        0xf4,                                /* 0: hlt */
        0xeb, 0xfd,                          /*    jmp 0b */
        0x66, 0xb9, 0x1b, 0x00, 0x00,  0x00, /* 1: mov ecx, IA32_APIC_BASE */
        0x0f, 0x32,                          /*    rdmsr */
        0x80, 0xcc, 0x0c,                    /*    or ah, 0xc: enabled, x2APIC */
        0x0f, 0x30,                          /*    wrmsr */
        0x66, 0xb9, 0x30, 0x08, 0x00,  0x00, /*    mov ecx, ICR */
        0x66, 0x31, 0xd2,                    /*    xor edx, edx */
        0x66, 0xb8, 0x00, 0x45, 0x0c,  0x00, /*    mov eax, INIT to all but this one */
        0x0f, 0x30,                          /*    wrmsr */
        0x66, 0xb8, 0x01, 0x46, 0x0c,  0x00, /*    mov eax, SIPI to them, vector 1 */
        0x0f, 0x30,                          /*    wrmsr */
        0xf3, 0x90,                          /* 2: pause */
        0x83, 0x3e, 0x00, 0x20, VCPUS,       /*    cmp word [0x2000], 64 */
        0x75, 0xf7,                          /*    jne 2b */
        0xba, 0x00, 0x06,                    /*    mov dx, 0x600 */
        0xb0, 0x34,                          /*    mov al, SLP_EN | S5 */
        0xee,                                /*    out dx, al */
        0xf4,                                /*    hlt */
};

START_TEST(sixty_four_vcpus_come_up)
{
	/* A SIPI of vector 1 begins at 0100:0000; the code reads no data of its own by CS. */
	const struct vcpu_start start = {.real_mode = true, .rip = CODE};
	char why[WHY_MAX] = "";
	uint8_t *ids;

	ck_assert_msg(guest_create(2 << 20, VCPUS, count_code, sizeof(count_code), &start, why),
	              "%s", why);
	guest_run();
	ids = machine_memory(&m, IDS, VCPUS + 1);
	for (size_t i = 0; i < VCPUS; i++)
		ck_assert_msg(ids[i] == 1, "id %zu was seen %u times", i, ids[i]);
	ck_assert_uint_eq(ids[VCPUS], 0);
	guest_destroy();
}
END_TEST

/* Adds one to the byte at each address of the list at RSI, which a zero ends. */
static const uint8_t reach_code[] = {
        0x48, 0x8b, 0x06,       /*    mov rax, [rsi] */
        0x48, 0x85, 0xc0,       /*    test rax, rax */
        0x74, 0x08,             /*    jz 1f */
        0xfe, 0x00,             /*    inc byte [rax] */
        0x48, 0x83, 0xc6, 0x08, /*    add rsi, 8 */
        0xeb, 0xf0,             /*    jmp 0 */
        0x66, 0xba, 0x00, 0x06, /* 1: mov dx, 0x600 */
        0xb0, 0x34,             /*    mov al, SLP_EN | S5 */
        0xee,                   /*    out dx, al */
        0xf4,                   /*    hlt */
};

/* One to one in 2 MiB pages around each address: as many tables as are needed, from TABLES on. */
static void map_page(uint64_t address)
{
	static uint64_t next;
	uint64_t table = TABLES;

	if (address == 0)
		next = TABLES + 4096;
	for (int shift = 39; shift >= 21; shift -= 9) {
		uint64_t *entry = machine_memory(&m, table + (address >> shift & 511) * 8, 8);

		if (shift == 21) {
			*entry = (address & ~0x1fffffull) | 0x83;
		} else if (!*entry) {
			*entry = next | 0x3;
			next += 4096;
		}
		table = *entry & ~0xfffull;
	}
}

static void reach(uint64_t memory)
{
	const struct vcpu_start start = {
	        .long_mode = true, .rip = CODE, .rsi = COUNT, .cr3 = TABLES, .gdt = BOOT_GDT};
	const uint64_t addresses[] = {3 * GIB - 1, 4 * GIB, 4 * GIB + (memory - 3 * GIB) / 2,
	                              memory + GIB - 1};
	uint64_t *list;
	char why[WHY_MAX] = "";
	uint8_t *gdt;

	if (!guest_create(memory, 1, reach_code, sizeof(reach_code), &start, why)) {
		printf("skip: memory_of_%llu_gib_is_reached: %s\n",
		       (unsigned long long)(memory / GIB), why);
		guest_destroy();
		return;
	}
	gdt = machine_memory(&m, BOOT_GDT, 8 * BOOT_GDT_ENTRIES);
	memcpy(gdt + BOOT_SELECTOR_CODE, &(uint64_t){0x00af9b000000ffffull}, 8);
	memcpy(gdt + BOOT_SELECTOR_DATA, &(uint64_t){0x00cf93000000ffffull}, 8);
	list = machine_memory(&m, COUNT, sizeof(addresses) + 8);
	map_page(0);
	for (size_t i = 0; i < BASE_COUNT(addresses); i++) {
		list[i] = addresses[i];
		map_page(addresses[i]);
	}
	guest_run();
	for (size_t i = 0; i < BASE_COUNT(addresses); i++)
		ck_assert_msg(*(uint8_t *)machine_memory(&m, addresses[i], 1) == 1,
		              "nothing was written at %#llx", (unsigned long long)addresses[i]);
	guest_destroy();
}

START_TEST(memory_above_four_gib_is_reached)
{
	reach(5 * GIB);
}
END_TEST

START_TEST(memory_above_half_a_tib_is_reached)
{
	reach(600 * GIB);
}
END_TEST

START_TEST(all_of_a_tib_is_reached)
{
	reach(1024 * GIB);
}
END_TEST

/*
 * Reads a performance counter's control, then Hyper-V's id: both have to fault. The vector table at 0 sends
 * #GP to a handler that counts, and goes on behind the two bytes of RDMSR.
 */
static const uint8_t msr_code[] = {
        0x31, 0xc0,                                     /*    xor ax, ax */
        0x8e, 0xd8,                                     /*    mov ds, ax */
        0x8e, 0xd0,                                     /*    mov ss, ax */
        0xbc, 0x00, 0x80,                               /*    mov sp, 0x8000 */
        0xc7, 0x06, 0x34, 0x00, 0x3b, 0x10,             /*    mov word [13 * 4], handler */
        0xc7, 0x06, 0x36, 0x00, 0x00, 0x00,             /*    mov word [13 * 4 + 2], 0 */
        0x66, 0xb9, 0x86, 0x01, 0x00, 0x00, 0x0f, 0x32, /*    rdmsr PERFEVTSEL0 */
        0x66, 0xb9, 0x00, 0x00, 0x00, 0x40, 0x0f, 0x32, /*    rdmsr HV_X64_GUEST_OS_ID */
        0x66, 0xb9, 0x77, 0x02, 0x00, 0x00, 0x0f, 0x32, /*    rdmsr PAT: it is there */
        0xba, 0x00, 0x06,                               /*    mov dx, 0x600 */
        0xb0, 0x34,                                     /*    mov al, SLP_EN | S5 */
        0xee,                                           /*    out dx, al */
        0xf4,                                           /*    hlt */
        0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,       /*    nop */
        /* handler, at 0x103b: */
        0xff, 0x06, 0x00, 0x20, /*    inc word [0x2000] */
        0x55,                   /*    push bp */
        0x89, 0xe5,             /*    mov bp, sp */
        0x83, 0x46, 0x02, 0x02, /*    add word [bp + 2], 2 */
        0x5d,                   /*    pop bp */
        0xcf,                   /*    iret */
};
_Static_assert(sizeof(msr_code) == 0x3b + 13, "the handler is where the table says");

START_TEST(an_msr_that_is_not_allowed_faults)
{
	const struct vcpu_start start = {.real_mode = true, .rip = CODE};
	char why[WHY_MAX] = "";

	if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) <= 0) {
		printf("skip: an_msr_that_is_not_allowed_faults: KVM has no MSR filter\n");
		return;
	}
	ck_assert_msg(guest_create(2 << 20, 1, msr_code, sizeof(msr_code), &start, why), "%s", why);
	guest_run();
	ck_assert_uint_eq(base_le16(machine_memory(&m, COUNT, 2)), 2);
	guest_destroy();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_cpus");
	TCase *tests = tcase_create("native");
	SRunner *runner;
	struct machine probe;
	char why[WHY_MAX] = "";
	int failed;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	vm_init(&probe, "probe");
	if (kvm < 0 || vm_create(&probe, kvm, why) != 0) {
		printf("skipped: %s\n", kvm < 0 ? "no /dev/kvm here" : why);
		return 77;
	}
	vm_destroy(&probe);
	tcase_add_test(tests, sixty_four_vcpus_come_up);
	tcase_add_test(tests, memory_above_four_gib_is_reached);
	tcase_add_test(tests, memory_above_half_a_tib_is_reached);
	tcase_add_test(tests, all_of_a_tib_is_reached);
	tcase_add_test(tests, an_msr_that_is_not_allowed_faults);
	tcase_set_timeout(tests, 120);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
