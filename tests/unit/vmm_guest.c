// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_guest: small guests, written here byte by byte, on this machine's own KVM. They see that the run
 * loop answers what is there, answers all-ones where nothing is, and ends for the right reason.
 * Skipped where there is no /dev/kvm or it lacks something that the vmm needs.
 */
#include <check.h>
#include <fcntl.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/fw_cfg.h"
#include "vmm/power.h"
#include "vmm/pvpanic.h"

enum { MEMORY = 2 << 20, CODE = 0x1000, RESULT = 0x2000 };

static int kvm = -1;
static struct machine m;
static struct console console;
static struct power power;
static struct pvpanic pvpanic;
static enum vmm_action panic_action = VMM_ACTION_STOP;
static int log_fd = -1;

static void ignore_interrupt(void *self, bool high)
{
	(void)self;
	(void)high;
}

static void guest_create_mode(const void *code, size_t size, bool real_mode)
{
	struct vcpu_start start = {.real_mode = real_mode, .rip = CODE, .gdt = BOOT_GDT};
	char why[WHY_MAX] = "";
	int memfd = vmm_fixture_memfd(MEMORY);

	log_fd = vmm_fixture_file("", 0);
	vm_init(&m, "test");
	ck_assert_msg(vm_memory_map(&m, memfd, MEMORY, why) == 0, "%s", why);
	ck_assert_msg(vm_create(&m, kvm, why) == 0, "%s", why);
	ck_assert_int_eq(console_create(&console, &m, &(struct console_fds){-1, log_fd, -1, false}),
	                 0);
	power = (struct power){.machine = &m, .interrupt = ignore_interrupt};
	ck_assert_int_eq(
	        machine_io_add(&m, MACHINE_PIO, POWER_PORT, POWER_PORTS, &power_io, &power), 0);
	pvpanic = (struct pvpanic){.machine = &m, .action = panic_action};
	ck_assert_int_eq(machine_io_add(&m, MACHINE_PIO, PVPANIC_PORT, 1, &pvpanic_io, &pvpanic),
	                 0);
	memcpy(machine_memory(&m, CODE, size), code, size);
	ck_assert_msg(vcpus_create(&m, 1, &start, why) == 0, "%s", why);
	ck_assert_msg(vcpus_launch(&m, why) == 0, "%s", why);
}

static void guest_create(const void *code, size_t size)
{
	guest_create_mode(code, size, true);
}

/* Runs until the guest ends. Its memory stays for the test to look at. */
static void guest_run(void)
{
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	ck_assert_int_eq(loop_run(&m), 0);
	vcpus_destroy(&m);
	console_flush(&console);
}

static void guest_destroy(void)
{
	console_destroy(&console);
	close(machine_memfd(&m));
	vm_destroy(&m);
	close(log_fd);
}

START_TEST(says_hello_and_powers_off)
{
	static const uint8_t code[] = {
	        0xbe, 0x12, 0x10,                                          /*      mov si, 0x1012 */
	        0xba, 0xf8, 0x03,                                          /*      mov dx, 0x3f8 */
	        0xac,                                                      /* 1:   lodsb */
	        0x84, 0xc0,                                                /*      test al, al */
	        0x74, 0x03,                                                /*      jz 2f */
	        0xee,                                                      /*      out dx, al */
	        0xeb, 0xf8,                                                /*      jmp 1b */
	        0xeb, 0x08,                                                /* 2:   jmp 3f */
	        0x90, 0x90, 'h',  'e', 'l', 'l', 'o', 0, 0xba, 0x00, 0x06, /* 3:   mov dx, 0x600 */
	        0xb0, 0x34, /*      mov al, SLP_EN | S5 */
	        0xee,       /*      out dx, al */
	        0xf4,       /*      hlt */
	};
	char text[16] = "";

	guest_create(code, sizeof(code));
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	ck_assert_int_eq(pread(log_fd, text, sizeof(text), 0), 5);
	ck_assert_str_eq(text, "hello");
	ck_assert_uint_eq(m.unknown_io, 0);
	guest_destroy();
}
END_TEST

START_TEST(unknown_ports_and_memory_read_as_ones)
{
	static const uint8_t code[] = {
	        0xba, 0x34, 0x12, /* mov dx, 0x1234 */
	        0xb0, 0x00,       /* mov al, 0 */
	        0xec,             /* in al, dx */
	        0xa2, 0x00, 0x20, /* mov [0x2000], al */
	        0xed,             /* in ax, dx */
	        0xa3, 0x02, 0x20, /* mov [0x2002], ax */
	        0xee,             /* out dx, al */
	        0xba, 0x02, 0x06, /* mov dx, 0x602 */
	        0xb0, 0x5a,       /* mov al, reset */
	        0xee,             /* out dx, al */
	        0xf4,             /* hlt */
	};
	static const uint8_t ones[] = {0xff, 0x00, 0xff, 0xff};

	guest_create(code, sizeof(code));
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_RESET);
	ck_assert_mem_eq(machine_memory(&m, RESULT, 4), ones, 4);
	ck_assert_uint_eq(m.unknown_io, 3);
	guest_destroy();
}
END_TEST

/* As firmware does it: a string instruction at the data port, and a command for all at once. */
START_TEST(firmware_device_answers)
{
	static const uint8_t code[] = {
	        0xba, 0x10, 0x05,                         /* mov dx, 0x510 */
	        0x31, 0xc0,                               /* xor ax, ax: the signature */
	        0xef,                                     /* out dx, ax */
	        0x42,                                     /* inc dx */
	        0xbf, 0x00, 0x20,                         /* mov di, 0x2000 */
	        0xb9, 0x04, 0x00,                         /* mov cx, 4 */
	        0xfc,                                     /* cld */
	        0xf3, 0x6c,                               /* rep insb */
	        0xba, 0x18, 0x05,                         /* mov dx, 0x518 */
	        0x66, 0xb8, 0x00, 0x00, 0x21, 0x00,       /* mov eax, 0x2100, big-endian */
	        0x66, 0xef,                               /* out dx, eax */
	        0xba, 0x00, 0x06, 0xb0, 0x34, 0xee, 0xf4, /* off */
	};
	/* select the first file and read 8 bytes to 0x2008 */
	static const uint8_t command[FWCFG_COMMAND] = {0,    FWCFG_FILE_FIRST,
	                                               0,    FWCFG_DMA_SELECT | FWCFG_DMA_READ,
	                                               0,    0,
	                                               0,    8,
	                                               0,    0,
	                                               0,    0,
	                                               0,    0,
	                                               0x20, 0x08};
	struct fwcfg f;

	guest_create(code, sizeof(code));
	fwcfg_init(&f, &m);
	ck_assert_int_eq(fwcfg_add_file(&f, "etc/tables", "firmware", 8), 0);
	ck_assert_int_eq(machine_io_add(&m, MACHINE_PIO, FWCFG_PORT, FWCFG_PORTS, &fwcfg_io, &f),
	                 0);
	memcpy(machine_memory(&m, 0x2100, sizeof(command)), command, sizeof(command));
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	ck_assert_mem_eq(machine_memory(&m, RESULT, 16), "QEMU\0\0\0\0firmware", 16);
	ck_assert_mem_eq(machine_memory(&m, 0x2100, 4), "\0\0\0\0", 4);
	fwcfg_destroy(&f);
	guest_destroy();
}
END_TEST

START_TEST(triple_fault_ends_the_vm)
{
	static const uint8_t code[] = {
	        0x0f, 0x01, 0x1d, 0x00, 0x20, 0x00, 0x00, /* lidt [0x2000]: a limit of zero */
	        0x0f, 0x0b,                               /* ud2 */
	};

	guest_create_mode(code, sizeof(code), false);
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_TRIPLE_FAULT);
	guest_destroy();
}
END_TEST

/* What the vmm logs goes to a file from here on. */
static int log_caught(void)
{
	int fd = vmm_fixture_file("", 0);

	ck_assert_int_ge(dup2(fd, STDERR_FILENO), 0);
	return fd;
}

static const char *log_read(int fd)
{
	static char log[16384];
	ssize_t size = pread(fd, log, sizeof(log) - 1, 0);

	ck_assert_int_gt(size, 0);
	log[size] = '\0';
	return log;
}

static void log_wants(int fd, const char *text)
{
	const char *log = log_read(fd);

	ck_assert_msg(strstr(log, text), "no '%s' in:\n%s", text, log);
}

/*
 * What KVM cannot run: an instruction that lies where there is no memory, in 32-bit mode. Of a guest
 * that ends so, the log has the registers as they were.
 */
START_TEST(what_kvm_cannot_run_ends_with_the_registers)
{
	static const uint8_t code[] = {
	        0xb8, 0x67, 0x45, 0x23, 0x01, /* mov eax, 0x1234567 */
	        0xbe, 0x0d, 0xf0, 0xad, 0x0b, /* mov esi, 0xbadf00d */
	        0xba, 0x00, 0x00, 0x00, 0x40, /* mov edx, 0x40000000 */
	        0xff, 0xe2,                   /* jmp edx */
	};
	int fd = log_caught();

	guest_create_mode(code, sizeof(code), false);
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_KVM_ERROR);
	log_wants(fd, "vCPU 0: KVM internal error: suberror 1, data");
	log_wants(fd, "rip 0000000040000000 ");
	log_wants(fd, "rax 0000000001234567 ");
	log_wants(fd, "rsi 000000000badf00d ");
	log_wants(fd, "cr0 11 ");
	log_wants(fd, "efer 0 ");
	log_wants(fd, "cs   0010 base 0000000000000000 limit ffffffff");
	log_wants(fd, "code at 0000000040000000: not in memory");
	guest_destroy();
}
END_TEST

START_TEST(a_triple_fault_shows_its_code)
{
	static const uint8_t code[] = {
	        0x0f, 0x01, 0x1d, 0x00, 0x20, 0x00, 0x00, /* lidt [0x2000]: a limit of zero */
	        0x0f, 0x0b, 0xde, 0xad,                   /* ud2, and what is behind it */
	};
	int fd = log_caught();

	guest_create_mode(code, sizeof(code), false);
	guest_run();
	log_wants(fd, "triple fault, by which it resets itself");
	/* AMD's processors do not say what they were at; the others do */
	if (!strstr(log_read(fd), "has reset its registers"))
		log_wants(fd, "code at 0000000000001007: 0f 0b de ad");
	guest_destroy();
}
END_TEST

static const uint8_t panics[] = {
        0xba, 0x05, 0x05,       /* mov dx, 0x505 */
        0xec,                   /* in al, dx */
        0xa2, 0x02, 0x20,       /* mov [0x2002], al */
        0xb0, 0x01,             /* mov al, 1 */
        0xee,                   /* out dx, al */
        0xff, 0x06, 0x00, 0x20, /* inc word [0x2000] */
        0xba, 0x00, 0x06,       /* mov dx, 0x600 */
        0xb0, 0x34,             /* mov al, SLP_EN | S5 */
        0xee,                   /* out dx, al */
};

START_TEST(a_guest_that_panics_is_stopped_there)
{
	panic_action = VMM_ACTION_STOP;
	guest_create(panics, sizeof(panics));
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_PANIC);
	ck_assert_uint_eq(m.panics, 1);
	ck_assert_uint_eq(*(uint16_t *)machine_memory(&m, RESULT, 2), 0);
	ck_assert_uint_eq(*(uint8_t *)machine_memory(&m, RESULT + 2, 1), 3);
	guest_destroy();
}
END_TEST

static void *loop_main(void *machine)
{
	return (void *)(intptr_t)loop_run(machine);
}

/* Paused by its own vCPU, it stands where it was, and goes on from there. */
START_TEST(a_guest_that_panics_is_paused_there)
{
	pthread_t loop;

	panic_action = VMM_ACTION_PAUSE;
	guest_create(panics, sizeof(panics));
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	ck_assert_int_eq(pthread_create(&loop, NULL, loop_main, &m), 0);
	machine_lock(&m);
	while (m.state == VMM_RUNNING || !m.vcpus[0].parked)
		pthread_cond_wait(&m.parked, &m.lock);
	ck_assert_int_eq(m.state, VMM_PAUSED);
	ck_assert_int_eq(m.end, VMM_END_PANIC);
	ck_assert_uint_eq(*(uint16_t *)machine_memory(&m, RESULT, 2), 0);
	m.end = 0;
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	pthread_join(loop, NULL);
	vcpus_destroy(&m);
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	ck_assert_uint_eq(*(uint16_t *)machine_memory(&m, RESULT, 2), 1);
	guest_destroy();
}
END_TEST

/* A guest that never leaves by itself is stopped between two of its instructions, and goes on. */
START_TEST(a_spinning_guest_is_paused_and_ended)
{
	static const uint8_t code[] = {0xff, 0x06, 0x00, 0x20, /* 1: inc word [0x2000] */
	                               0xeb, 0xfa};            /*    jmp 1b */
	volatile uint16_t *counter;
	uint16_t seen;

	guest_create(code, sizeof(code));
	counter = machine_memory(&m, RESULT, 2);
	machine_lock(&m);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	while (*counter == 0)
		usleep(1000);
	machine_lock(&m);
	vm_state_set(&m, VMM_PAUSED);
	seen = *counter;
	usleep(20000);
	ck_assert_uint_eq(*counter, seen);
	vm_state_set(&m, VMM_RUNNING);
	machine_unlock(&m);
	while (*counter == seen)
		usleep(1000);
	machine_lock(&m);
	machine_end(&m, VMM_END_POWEROFF);
	machine_unlock(&m);
	guest_run();
	ck_assert_int_eq(m.end, VMM_END_POWEROFF);
	guest_destroy();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_guest");
	TCase *tests = tcase_create("native");
	SRunner *runner;
	struct machine probe;
	char why[WHY_MAX] = "";
	int failed;

	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0) {
		printf("skipped: no /dev/kvm here\n");
		return 77;
	}
	vm_init(&probe, "probe");
	if (vm_create(&probe, kvm, why) != 0) {
		printf("skipped: %s\n", why);
		return 77;
	}
	vm_destroy(&probe);
	tcase_add_test(tests, says_hello_and_powers_off);
	tcase_add_test(tests, unknown_ports_and_memory_read_as_ones);
	tcase_add_test(tests, firmware_device_answers);
	tcase_add_test(tests, triple_fault_ends_the_vm);
	tcase_add_test(tests, what_kvm_cannot_run_ends_with_the_registers);
	tcase_add_test(tests, a_triple_fault_shows_its_code);
	tcase_add_test(tests, a_guest_that_panics_is_stopped_there);
	tcase_add_test(tests, a_guest_that_panics_is_paused_there);
	tcase_add_test(tests, a_spinning_guest_is_paused_and_ended);
	tcase_set_timeout(tests, 60);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
