// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_life: what ends, pauses and resets a guest, register by register and exit by exit, without a
 * guest: panic port, watchdog under a clock of the test's own, reset ports, generation id, and every
 * kind of VM exit that a vCPU cannot go on from, made up here.
 */
#include <check.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/boot.h"
#include "vmm/console.h"
#include "vmm/generation.h"
#include "vmm/options.h"
#include "vmm/power.h"
#include "vmm/pvpanic.h"
#include "vmm/watchdog.h"

enum { MEMORY = 2 << 20 };

static struct machine m;
static int log_fd;
static bool line; /* the power registers' interrupt */

static void machine_new(void)
{
	char why[WHY_MAX] = "";

	log_fd = memfd_create("log", MFD_CLOEXEC);
	ck_assert_int_ge(dup2(log_fd, STDERR_FILENO), 0);
	vm_init(&m, "test");
	ck_assert_msg(vm_memory_map(&m, vmm_fixture_memfd(MEMORY), MEMORY, why) == 0, "%s", why);
	m.state = VMM_RUNNING;
	line = false;
}

/* How often the log has the text. */
static unsigned int logged(const char *text)
{
	static char log[16384];
	ssize_t size = pread(log_fd, log, sizeof(log) - 1, 0);
	unsigned int count = 0;

	ck_assert_int_ge(size, 0);
	log[size] = '\0';
	for (const char *at = log; (at = strstr(at, text)); at++)
		count++;
	return count;
}

static void put(const struct machine_io_ops *ops, void *self, uint64_t offset, unsigned int size,
                uint32_t value)
{
	ops->write(self, offset, &value, size);
}

static uint32_t get(const struct machine_io_ops *ops, void *self, uint64_t offset,
                    unsigned int size)
{
	uint32_t value = 0;

	ops->read(self, offset, &value, size);
	return value;
}

/* ---- panic ---- */

START_TEST(a_panic_does_what_was_asked)
{
	static const struct {
		enum vmm_action action;
		enum vmm_state state;
	} cases[] = {{VMM_ACTION_STOP, VMM_ENDED},
	             {VMM_ACTION_PAUSE, VMM_PAUSED},
	             {VMM_ACTION_LOG, VMM_RUNNING}};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		struct pvpanic pvpanic = {.machine = &m, .action = cases[i].action};

		m.state = VMM_RUNNING;
		m.end = VMM_END_POWEROFF;
		ck_assert_uint_eq(get(&pvpanic_io, &pvpanic, 0, 1), 3);
		put(&pvpanic_io, &pvpanic, 0, 1, 0);
		ck_assert_int_eq(m.state, VMM_RUNNING);
		put(&pvpanic_io, &pvpanic, 0, 1, PVPANIC_PANICKED);
		ck_assert_int_eq(m.state, cases[i].state);
		if (cases[i].action != VMM_ACTION_LOG)
			ck_assert_int_eq(m.end, VMM_END_PANIC);
		ck_assert_uint_eq(logged("has panicked"), i + 1);
	}
}
END_TEST

START_TEST(a_guest_cannot_fill_the_log_with_panics)
{
	struct pvpanic pvpanic = {.machine = &m, .action = VMM_ACTION_LOG};

	for (int i = 0; i < 1000; i++)
		put(&pvpanic_io, &pvpanic, 0, 1, i % 2 ? PVPANIC_PANICKED : PVPANIC_CRASH_LOADED);
	ck_assert_uint_eq(m.panics, 500);
	ck_assert_uint_eq(logged("panicked"), 1);
}
END_TEST

/* ---- reset ---- */

static void note_line(void *self, bool high)
{
	(void)self;
	line = high;
}

START_TEST(the_keyboard_controller_resets)
{
	static const uint8_t others[] = {0xff, 0xf1, 0x60, 0xd1, 0xee, 0x00};
	struct power power = {.machine = &m, .interrupt = note_line};

	ck_assert_uint_eq(get(&power_keyboard_io, &power, 0, 1), 0);
	for (size_t i = 0; i < BASE_COUNT(others); i++)
		put(&power_keyboard_io, &power, 0, 1, others[i]);
	ck_assert_int_eq(m.state, VMM_RUNNING);
	put(&power_keyboard_io, &power, 0, 1, 0xfe);
	put(&power_keyboard_io, &power, 0, 1, 0xfe);
	ck_assert_int_eq(m.end, VMM_END_RESET);
	ck_assert_uint_eq(logged("by way of the keyboard controller"), 1);
}
END_TEST

START_TEST(the_acpi_register_resets_at_its_value_only)
{
	struct power power = {.machine = &m, .interrupt = note_line};

	put(&power_io, &power, POWER_RESET, 1, 0x5b);
	put(&power_io, &power, POWER_RESET, 2, POWER_RESET_VALUE);
	ck_assert_int_eq(m.state, VMM_RUNNING);
	put(&power_io, &power, POWER_RESET, 1, POWER_RESET_VALUE);
	ck_assert_int_eq(m.end, VMM_END_RESET);
}
END_TEST

/* ---- generation id ---- */

START_TEST(a_generation_is_new_and_told)
{
	struct power power = {.machine = &m, .interrupt = note_line};
	uint8_t first[GENERATION_SIZE], zero[GENERATION_SIZE] = {0};
	struct boot_map map[BOOT_MAP_MAX];
	size_t count = boot_map(&m, map);

	ck_assert_int_eq(generation_create(&m), 0);
	memcpy(first, machine_memory(&m, BOOT_GENERATION, GENERATION_SIZE), sizeof(first));
	ck_assert_mem_ne(first, zero, sizeof(first));
	ck_assert(!line);
	ck_assert_int_eq(generation_change(&m, &power), 0);
	ck_assert_mem_ne(machine_memory(&m, BOOT_GENERATION, GENERATION_SIZE), first,
	                 sizeof(first));
	ck_assert(line);
	ck_assert_uint_eq(get(&power_io, &power, POWER_EVENTS, 1), POWER_EVENT_GENERATION);
	ck_assert(!line);
	for (size_t i = 0; i < count; i++)
		if (map[i].type == BOOT_MAP_RAM)
			ck_assert(map[i].base + map[i].size <= BOOT_GENERATION ||
			          map[i].base >= BOOT_GENERATION + 4096);
}
END_TEST

/* ---- watchdog ---- */

static uint64_t now, armed;
static unsigned int expiries;

static uint64_t clock_now(void *self)
{
	(void)self;
	return now;
}

static void clock_arm(void *self, uint64_t deadline)
{
	(void)self;
	armed = deadline;
}

static void clock_expired(void *self)
{
	(void)self;
	expiries++;
}

static struct watchdog watchdog;

static void watchdog_new(bool fired)
{
	const struct watchdog_host host = {clock_now, clock_arm, clock_expired, NULL};

	now = 1000000;
	armed = 0;
	expiries = 0;
	watchdog_init(&watchdog, &host, fired);
}

/* The time passes; the timer goes off if it is due. */
static void pass(uint64_t ms)
{
	now += ms;
	if (armed && now >= armed)
		watchdog_check(&watchdog);
}

START_TEST(a_watchdog_that_is_reloaded_never_expires)
{
	watchdog_new(false);
	put(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4, 20); /* 2 s */
	pass(10000);
	ck_assert_uint_eq(armed, 0); /* it does not run yet */
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 1);
	for (int i = 0; i < 10; i++) {
		pass(1900);
		ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_LEFT, 4), 1);
		put(&watchdog_io, &watchdog, WATCHDOG_RELOAD, 1, 1);
	}
	pass(1999);
	ck_assert_uint_eq(expiries, 0);
	pass(1);
	ck_assert_uint_eq(expiries, 1);
	pass(100000);
	ck_assert_uint_eq(expiries, 1); /* once, until it is started again */
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 1);
	pass(2000);
	ck_assert_uint_eq(expiries, 2);
}
END_TEST

START_TEST(a_stopped_watchdog_does_not_expire)
{
	watchdog_new(false);
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 1);
	ck_assert_uint_ne(armed, 0);
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 0);
	ck_assert_uint_eq(armed, 0);
	pass(1000000);
	watchdog_check(&watchdog); /* a timer that had gone off already */
	ck_assert_uint_eq(expiries, 0);
}
END_TEST

START_TEST(a_timer_that_is_early_does_nothing)
{
	watchdog_new(false);
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 1);
	now += 1000;
	watchdog_check(&watchdog);
	ck_assert_uint_eq(expiries, 0);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1), 1);
}
END_TEST

START_TEST(its_time_stands_still_while_the_guest_is_paused)
{
	watchdog_new(false);
	put(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4, 50);
	put(&watchdog_io, &watchdog, WATCHDOG_CONTROL, 1, 1);
	pass(3000);
	watchdog_hold(&watchdog, true);
	ck_assert_uint_eq(armed, 0);
	pass(1000000);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_LEFT, 4), 20);
	watchdog_hold(&watchdog, false);
	ck_assert_uint_eq(armed, now + 2000);
	now += 2000; /* it is time, but the guest is paused before the timer is looked at */
	watchdog_hold(&watchdog, true);
	watchdog_check(&watchdog);
	ck_assert_uint_eq(expiries, 0);
	watchdog_hold(&watchdog, false);
	pass(0);
	ck_assert_uint_eq(expiries, 1);
}
END_TEST

START_TEST(its_registers_hold_what_they_may)
{
	watchdog_new(true);
	put(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4, 0);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4), WATCHDOG_COUNT_MIN);
	put(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4, UINT32_MAX);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4), WATCHDOG_COUNT_MAX);
	put(&watchdog_io, &watchdog, WATCHDOG_COUNT, 2, 20); /* a part of it is nothing */
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_COUNT, 4), WATCHDOG_COUNT_MAX);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_COUNT, 1), 0);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_REBOOT, 1), 1);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_STATUS, 1), 1);
	put(&watchdog_io, &watchdog, WATCHDOG_STATUS, 1, 0);
	ck_assert_uint_eq(get(&watchdog_io, &watchdog, WATCHDOG_STATUS, 1), 0);
}
END_TEST

/* ---- exits ---- */

/* Gives a vCPU that KVM knows nothing of an exit, and lets the run loop handle it. */
static void exit_with(uint32_t reason, void (*fill)(struct kvm_run *run))
{
	static struct kvm_run run;
	struct vcpu vcpu = {.machine = &m, .index = 3, .fd = -1, .run = &run};

	memset(&run, 0, sizeof(run));
	run.exit_reason = reason;
	if (fill)
		fill(&run);
	m.state = VMM_RUNNING;
	m.end = VMM_END_POWEROFF;
	vcpu_exit(&vcpu);
}

static void fill_internal(struct kvm_run *run)
{
	run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
	run->internal.ndata = UINT32_MAX; /* KVM would not, and a vmm would not read past it */
	run->internal.data[0] = 0xabcdef;
}

static void fill_entry(struct kvm_run *run)
{
	run->fail_entry.hardware_entry_failure_reason = 0x80000021;
	run->fail_entry.cpu = 7;
}

static void fill_event(struct kvm_run *run)
{
	run->system_event.type = 4711;
}

START_TEST(what_a_vcpu_cannot_go_on_from_ends_the_vm_with_a_report)
{
	static const struct {
		uint32_t reason;
		void (*fill)(struct kvm_run *run);
		enum vmm_end end;
		const char *text;
	} cases[] = {
	        {KVM_EXIT_INTERNAL_ERROR, fill_internal, VMM_END_KVM_ERROR,
	         "vCPU 3: KVM internal error: suberror 1, data abcdef 0"},
	        {KVM_EXIT_FAIL_ENTRY, fill_entry, VMM_END_KVM_ERROR,
	         "could not enter the guest: hardware reason 0x80000021 on CPU 7"},
	        {KVM_EXIT_SHUTDOWN, NULL, VMM_END_TRIPLE_FAULT, "triple fault"},
	        {KVM_EXIT_SYSTEM_EVENT, fill_event, VMM_END_KVM_ERROR,
	         "unknown system event: type 4711"},
	        {KVM_EXIT_DEBUG, NULL, VMM_END_KVM_ERROR, "unexpected VM exit: exit reason 4"},
	        {KVM_EXIT_UNKNOWN, NULL, VMM_END_KVM_ERROR, "unexpected VM exit: exit reason 0"},
	        {UINT32_MAX, NULL, VMM_END_KVM_ERROR, "exit reason 4294967295"},
	};

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		exit_with(cases[i].reason, cases[i].fill);
		ck_assert_int_eq(m.state, VMM_ENDED);
		ck_assert_int_eq(m.end, cases[i].end);
		ck_assert_msg(logged(cases[i].text) == 1, "not once in the log: %s", cases[i].text);
	}
}
END_TEST

/* ---- serial log ---- */

static struct console console;

static int log_file(void)
{
	int fd = memfd_create("serial", MFD_CLOEXEC);

	ck_assert_int_eq(fcntl(fd, F_SETFL, O_APPEND), 0);
	return fd;
}

static void no_route(void *self, unsigned int pin, const struct ioapic_message *message)
{
	(void)self;
	(void)pin;
	(void)message;
}

/* The guest writes `count` bytes; every 64th is a line feed, the others a letter that `from` moves. */
static void guest_writes(uint64_t from, uint64_t count)
{
	for (uint64_t at = from; at < from + count; at++) {
		char byte = at % 64 == 63 ? '\n' : (char)('a' + at / 64 % 26);

		serial_io.write(&console.serial, 0, &byte, 1);
	}
	console_flush(&console);
}

static void console_new(int log, int old)
{
	ck_assert_int_eq(loop_create(&m), 0);
	ioapic_init(&m.ioapic, &(struct ioapic_host){.route = no_route});
	ck_assert_int_eq(console_create(&console, &m, &(struct console_fds){-1, log, old, false}),
	                 0);
}

/* However much a guest writes, two files of their size have the last of it, each byte once. */
START_TEST(a_full_serial_log_is_begun_anew)
{
	const uint64_t most = VMM_SERIAL_LOG_MAX;
	int log = log_file(), old = log_file();
	char first[64], last[64];
	off_t size;

	console_new(log, old);
	guest_writes(0, most);
	ck_assert_int_eq(lseek(log, 0, SEEK_END), most);
	ck_assert_int_eq(lseek(old, 0, SEEK_END), 0);
	guest_writes(most, 64);
	ck_assert_int_eq(lseek(old, 0, SEEK_END), most);
	ck_assert_int_eq(base_read_at(log, first, sizeof(first), 0), 0);
	ck_assert_int_eq(strncmp(first, "[cordon: the serial log was full, and is begun", 46), 0);
	size = lseek(log, 0, SEEK_END);
	ck_assert_int_eq(base_read_at(old, last, 64, most - 64), 0);
	ck_assert_int_eq(last[0], 'a' + (char)((most - 64) / 64 % 26));
	ck_assert_int_eq(base_read_at(log, last, 64, (uint64_t)size - 64), 0);
	ck_assert_int_eq(last[0], 'a' + (char)(most / 64 % 26));
	ck_assert_uint_eq(logged("begun anew"), 1);
	guest_writes(0, most);
	ck_assert_int_le(lseek(log, 0, SEEK_END), most);
	ck_assert_int_le(lseek(old, 0, SEEK_END), most);
	console_destroy(&console);
}
END_TEST

START_TEST(without_an_old_log_the_full_one_is_lost)
{
	int log = log_file();
	char first[80];

	console_new(log, -1);
	guest_writes(0, VMM_SERIAL_LOG_MAX + 64);
	ck_assert_int_eq(base_read_at(log, first, sizeof(first), 0), 0);
	ck_assert_ptr_nonnull(memmem(first, sizeof(first), "what it had is gone", 19));
	ck_assert_int_lt(lseek(log, 0, SEEK_END), 4096);
	console_destroy(&console);
}
END_TEST

/* A log that goes on, after a restart, is not begun from nothing, nor larger than it may be. */
START_TEST(a_log_that_goes_on_counts_what_it_has)
{
	int log = log_file(), old = log_file();

	ck_assert_int_eq(ftruncate(log, VMM_SERIAL_LOG_MAX - 10), 0);
	console_new(log, old);
	guest_writes(0, 64);
	ck_assert_int_eq(lseek(old, 0, SEEK_END), VMM_SERIAL_LOG_MAX - 10);
	ck_assert_int_lt(lseek(log, 0, SEEK_END), 4096);
	console_destroy(&console);
}
END_TEST

/* ---- options ---- */

START_TEST(options_of_a_guests_life)
{
	static const struct {
		const char *option, *value;
		bool right;
	} cases[] = {
	        {"--on-panic", "stop", true},  {"--on-panic", "pause", true},
	        {"--on-panic", "log", true},   {"--on-panic", "reset", false},
	        {"--watchdog", "reset", true}, {"--watchdog", "stop", true},
	        {"--watchdog", "pause", true}, {"--watchdog", "log", false},
	        {"--watchdog", "", false},     {"--private", "sw-protected", true},
	        {"--private", "sev", false},
	};
	struct options options;
	char why[WHY_MAX];

	for (size_t i = 0; i < BASE_COUNT(cases); i++) {
		const char *argv[] = {
		        "vmm",           "--kvm",       "3",        "--memfd", "4",
		        "--memory",      "67108864",    "--kernel", "5",       "--stdio",
		        cases[i].option, cases[i].value};
		int error = options_parse(&options, BASE_COUNT(argv), (char *const *)argv, why);

		ck_assert_msg((error == 0) == cases[i].right, "%s %s", cases[i].option,
		              cases[i].value);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_life");
	TCase *tests = tcase_create("life");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, machine_new, NULL);
	tcase_set_timeout(tests, 100);
	tcase_add_test(tests, a_panic_does_what_was_asked);
	tcase_add_test(tests, a_guest_cannot_fill_the_log_with_panics);
	tcase_add_test(tests, the_keyboard_controller_resets);
	tcase_add_test(tests, the_acpi_register_resets_at_its_value_only);
	tcase_add_test(tests, a_generation_is_new_and_told);
	tcase_add_test(tests, a_watchdog_that_is_reloaded_never_expires);
	tcase_add_test(tests, a_stopped_watchdog_does_not_expire);
	tcase_add_test(tests, a_timer_that_is_early_does_nothing);
	tcase_add_test(tests, its_time_stands_still_while_the_guest_is_paused);
	tcase_add_test(tests, its_registers_hold_what_they_may);
	tcase_add_test(tests, what_a_vcpu_cannot_go_on_from_ends_the_vm_with_a_report);
	tcase_add_test(tests, a_full_serial_log_is_begun_anew);
	tcase_add_test(tests, without_an_old_log_the_full_one_is_lost);
	tcase_add_test(tests, a_log_that_goes_on_counts_what_it_has);
	tcase_add_test(tests, options_of_a_guests_life);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
