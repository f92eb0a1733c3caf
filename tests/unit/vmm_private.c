// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_private: conversions of pages against a KVM that is made up here: its ioctls of one fd are functions of this
 * file, and its guest_memfd is a memfd that can be read, so that a test sees what a guest would. What a real
 * KVM does with the same calls is tests/rig/private_memory.sh's.
 */
#include <check.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "tests/unit/vmm_fixture.h"

#define HIGH_SIZE (8ull << 20)
#define SIZE      (MACHINE_LOW_RAM_MAX + HIGH_SIZE)
#define HIGH      MACHINE_HIGH_RAM_BASE
#define LOW_END   MACHINE_LOW_RAM_MAX
#define PAGE      ((uint64_t)PRIVATE_PAGE)
#define MOST      ((uint64_t)PRIVATE_PAGES_MAX)
#define PRIVATE   CC_MAP_GPA_RANGE_ENCRYPTED

enum { CHANGES_MAX = 8 };

static struct machine m;
static struct vcpu vcpu;
static struct { /* the made-up KVM */
	int fd, types, attributes, hypercalls, error;
	uint64_t exits, memfd_size;
	struct cc_memory_region2 slots[2];
	struct cc_memory_attributes changes[CHANGES_MAX];
	unsigned int changed;
} kvm;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

static int kvm_extension(long number)
{
	switch (number) {
	case CC_CAP_VM_TYPES: return kvm.types;
	case CC_CAP_MEMORY_ATTRIBUTES: return kvm.attributes;
	case CC_CAP_EXIT_HYPERCALL: return kvm.hypercalls;
	default: return 1;
	}
}

static int kvm_ioctl(unsigned long request, void *argument)
{
	const struct cc_memory_region2 *slot = argument;
	int fd;

	switch (request) {
	case KVM_CHECK_EXTENSION: return kvm_extension((long)(intptr_t)argument);
	case KVM_ENABLE_CAP:
		kvm.exits = ((const struct kvm_enable_cap *)argument)->args[0];
		return 0;
	case CC_CREATE_GUEST_MEMFD:
		kvm.memfd_size = ((const struct cc_create_guest_memfd *)argument)->size;
		fd = memfd_create("private", MFD_CLOEXEC);
		ck_assert_int_eq(ftruncate(fd, (off_t)kvm.memfd_size), 0);
		return fd;
	case CC_SET_USER_MEMORY_REGION2:
		ck_assert_uint_lt(slot->slot, 2);
		kvm.slots[slot->slot] = *slot;
		return 0;
	case CC_SET_MEMORY_ATTRIBUTES:
		if (kvm.error) {
			errno = kvm.error;
			return -1;
		}
		ck_assert_uint_lt(kvm.changed, CHANGES_MAX);
		kvm.changes[kvm.changed++] = *(const struct cc_memory_attributes *)argument;
		return 0;
	default: ck_abort_msg("ioctl 0x%lx", request);
	}
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	return fd == kvm.fd ? kvm_ioctl(request, argument) : __real_ioctl(fd, request, argument);
}

static void setup(void)
{
	char why[WHY_MAX] = "";

	memset(&kvm, 0, sizeof(kvm));
	kvm.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	kvm.types = 1 << CC_X86_DEFAULT_VM | 1 << CC_X86_SW_PROTECTED_VM;
	kvm.attributes = CC_MEMORY_ATTRIBUTE_PRIVATE;
	kvm.hypercalls = 1 << CC_HC_MAP_GPA_RANGE;
	vm_init(&m, "test");
	m.vm = kvm.fd;
	m.state = VMM_RUNNING;
	m.private.type = CC_X86_SW_PROTECTED_VM;
	ck_assert_int_eq(vm_memory_map(&m, vmm_fixture_memfd(SIZE), SIZE, why), 0);
	ck_assert_msg(private_create(&m, why) == 0, "%s", why);
	vcpu = (struct vcpu){.machine = &m, .run = calloc(1, 4096)};
}

static void teardown(void)
{
	free(vcpu.run);
	private_destroy(&m.private);
	vm_memory_unmap(&m);
	close(m.memfd);
	close(kvm.fd);
}

/* Writes a byte where a guest or a device would have it. */
static void put(int fd, uint64_t at, uint8_t byte)
{
	ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
}

static uint8_t get(int fd, uint64_t at)
{
	uint8_t byte;

	ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
	return byte;
}

START_TEST(a_host_that_lacks_something_is_told)
{
	char why[WHY_MAX] = "";

	ck_assert_int_eq(private_check(kvm.fd, CC_X86_SW_PROTECTED_VM, why), 0);
	ck_assert_int_eq(private_check(kvm.fd, CC_X86_SNP_VM, why), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(why, "KVM_CAP_VM_TYPES"));
	kvm.hypercalls = 1;
	ck_assert_int_eq(private_check(kvm.fd, CC_X86_SW_PROTECTED_VM, why), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(why, "KVM_HC_MAP_GPA_RANGE"));
	kvm.types = 0;
	ck_assert_int_eq(private_check(kvm.fd, CC_X86_SW_PROTECTED_VM, why), -ENOTSUP);
	kvm.attributes = 0;
	ck_assert_int_eq(private_create(&m, why), -ENOTSUP);
}
END_TEST

START_TEST(what_kvm_is_handed)
{
	ck_assert_uint_eq(kvm.exits, 1 << CC_HC_MAP_GPA_RANGE);
	ck_assert_uint_eq(kvm.memfd_size, SIZE);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(private_slot(&m, i, &m.regions[i]), 0);
		ck_assert_uint_eq(kvm.slots[i].flags, CC_MEM_GUEST_MEMFD);
		ck_assert_uint_eq(kvm.slots[i].guest_phys_addr, i ? HIGH : 0);
		ck_assert_uint_eq(kvm.slots[i].memory_size, i ? HIGH_SIZE : LOW_END);
		ck_assert_uint_eq(kvm.slots[i].guest_memfd_offset, i ? LOW_END : 0);
		ck_assert_uint_eq(kvm.slots[i].guest_memfd, (uint32_t)m.private.memfd);
		ck_assert_uint_eq(kvm.slots[i].userspace_addr, (uintptr_t)m.regions[i].host);
	}
}
END_TEST

/* All RAM, and no byte of the hole; sealed, and not to be written by others. */
START_TEST(the_map_as_it_is_made)
{
	uint64_t size;
	int fd = machine_shared_map(&m, &size);

	ck_assert_uint_eq(size, (HIGH + HIGH_SIZE) / PAGE / 8);
	ck_assert_uint_eq(get(fd, 0), 0xff);
	ck_assert_uint_eq(get(fd, LOW_END / PAGE / 8 - 1), 0xff);
	ck_assert_uint_eq(get(fd, LOW_END / PAGE / 8), 0);
	ck_assert_uint_eq(get(fd, HIGH / PAGE / 8 - 1), 0);
	ck_assert_uint_eq(get(fd, HIGH / PAGE / 8), 0xff);
	ck_assert_uint_eq(get(fd, size - 1), 0xff);
	ck_assert_int_eq(fcntl(fd, F_GET_SEALS),
	                 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL);
	ck_assert_ptr_eq(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	ck_assert_int_lt(pwrite(fd, "", 1, 0), 0);
	ck_assert(machine_shared(&m, 0, LOW_END));
	ck_assert(!machine_shared(&m, LOW_END, PAGE));
	ck_assert(!machine_shared(&m, LOW_END - 1, 2));
}
END_TEST

START_TEST(there_and_back)
{
	uint64_t at = _i ? HIGH : 0x10000, in_file = _i ? LOW_END : 0x10000;

	put(m.memfd, in_file + PAGE - 1, 1);
	put(m.memfd, in_file + PAGE, 2);
	put(m.memfd, in_file + 12 * PAGE - 1, 3);
	put(m.memfd, in_file + 12 * PAGE, 4);
	ck_assert_int_eq(private_convert(&m, at + PAGE, 11 * PAGE, true), 0);
	ck_assert_uint_eq(kvm.changed, 1);
	ck_assert_uint_eq(kvm.changes[0].address, at + PAGE);
	ck_assert_uint_eq(kvm.changes[0].size, 11 * PAGE);
	ck_assert_uint_eq(kvm.changes[0].attributes, CC_MEMORY_ATTRIBUTE_PRIVATE);
	ck_assert_uint_eq(kvm.changes[0].flags, 0);
	/* what it had shared is gone; its neighbours are as they were */
	ck_assert_uint_eq(get(m.memfd, in_file + PAGE - 1), 1);
	ck_assert_uint_eq(get(m.memfd, in_file + PAGE), 0);
	ck_assert_uint_eq(get(m.memfd, in_file + 12 * PAGE - 1), 0);
	ck_assert_uint_eq(get(m.memfd, in_file + 12 * PAGE), 4);
	for (unsigned int i = 0; i < 14; i++)
		ck_assert(machine_shared(&m, at + i * PAGE, PAGE) == (i < 1 || i > 11));
	ck_assert(!machine_shared(&m, at, PAGE + 1));
	ck_assert(machine_shared(&m, at, PAGE));

	/* A page in the middle comes back: of the private file that page alone is given up. */
	for (unsigned int i = 1; i < 12; i++)
		put(m.private.memfd, in_file + i * PAGE, 0x10);
	put(m.memfd, in_file + 5 * PAGE, 5);
	ck_assert_int_eq(private_convert(&m, at + 5 * PAGE, PAGE, false), 0);
	ck_assert_uint_eq(kvm.changes[1].attributes, 0);
	ck_assert_uint_eq(get(m.private.memfd, in_file + 4 * PAGE), 0x10);
	ck_assert_uint_eq(get(m.private.memfd, in_file + 5 * PAGE), 0);
	ck_assert_uint_eq(get(m.private.memfd, in_file + 6 * PAGE), 0x10);
	ck_assert_uint_eq(get(m.memfd, in_file + 5 * PAGE), 5);
	ck_assert(machine_shared(&m, at + 5 * PAGE, PAGE));
	ck_assert(!machine_shared(&m, at + 4 * PAGE, PAGE));
	ck_assert(!machine_shared(&m, at + 6 * PAGE, PAGE));
	/* To share what is shared loses nothing of it. */
	ck_assert_int_eq(private_convert(&m, at, 2 * PAGE, false), 0);
	ck_assert_uint_eq(get(m.memfd, in_file + PAGE - 1), 1);
}
END_TEST

START_TEST(what_kvm_refuses_changes_nothing)
{
	kvm.error = ENOMEM;
	put(m.memfd, 0x10000, 1);
	ck_assert_int_eq(private_convert(&m, 0x10000, PAGE, true), -ENOMEM);
	ck_assert_uint_eq(get(m.memfd, 0x10000), 1);
	ck_assert(machine_shared(&m, 0, LOW_END));
}
END_TEST

static const struct {
	const char *name;
	uint64_t guest, pages, flags;
	int64_t answer;
} requests[] = {
        {"a page", 0x10000, 1, PRIVATE, 0},
        {"a page, with a size of pages", 0x10000, 1, PRIVATE | 2, 0},
        {"as many as there may be", 0, MOST, PRIVATE, 0},
        {"the last page below the hole", LOW_END - PAGE, 1, PRIVATE, 0},
        {"the last page of all", HIGH + HIGH_SIZE - PAGE, 1, 0, 0},
        {"no page", 0x10000, 0, PRIVATE, -EINVAL},
        {"not aligned", 0x10001, 1, PRIVATE, -EINVAL},
        {"nearly aligned", 0x10fff, 1, PRIVATE, -EINVAL},
        {"one too many", 0, MOST + 1, PRIVATE, -E2BIG},
        {"into the hole", LOW_END - PAGE, 2, PRIVATE, -EINVAL},
        {"in the hole", LOW_END, 1, PRIVATE, -EINVAL},
        {"from the hole on", HIGH - PAGE, 2, PRIVATE, -EINVAL},
        {"an I/O APIC", MACHINE_IOAPIC_BASE, 1, PRIVATE, -EINVAL},
        {"a local APIC", MACHINE_LAPIC_BASE, 1, PRIVATE, -EINVAL},
        {"behind memory", HIGH + HIGH_SIZE, 1, PRIVATE, -EINVAL},
        {"past the end of memory", HIGH + HIGH_SIZE - PAGE, 2, PRIVATE, -EINVAL},
        {"bytes that wrap", 0x10000, 1ull << 52, PRIVATE, -EINVAL},
        {"bytes that wrap to a page", 0x10000, (1ull << 52) + 1, PRIVATE, -EINVAL},
        {"an end that wraps", UINT64_MAX - PAGE + 1, 1, PRIVATE, -EINVAL},
        {"an end that wraps into memory", UINT64_MAX - PAGE + 1, 2, PRIVATE, -EINVAL},
        {"all pages that there can be", 0, UINT64_MAX / PAGE, PRIVATE, -EINVAL},
        {"flags that there are not", 0x10000, 1, PRIVATE | 0x20, -EINVAL},
        {"flags far up", 0x10000, 1, 1ull << 63, -EINVAL},
};

START_TEST(a_request)
{
	struct cc_exit_hypercall *call = (struct cc_exit_hypercall *)vcpu.run;

	*call = (struct cc_exit_hypercall){
	        .nr = CC_HC_MAP_GPA_RANGE,
	        .args = {requests[_i].guest, requests[_i].pages, requests[_i].flags},
	        .ret = 1};
	vcpu.run->exit_reason = CC_EXIT_HYPERCALL;
	vcpu_exit(&vcpu);
	ck_assert_msg((int64_t)call->ret == requests[_i].answer, "%s: %lld", requests[_i].name,
	              (long long)call->ret);
	ck_assert_uint_eq(kvm.changed, requests[_i].answer == 0);
	ck_assert_uint_eq(m.private.requests, 1);
	ck_assert_uint_eq(m.private.refused, requests[_i].answer != 0);
	ck_assert_int_eq(m.state, VMM_RUNNING);
}
END_TEST

/* What encrypted guests end in beside that: one is answered already, two are the guest's word that it gives up. */
static const struct {
	uint32_t reason, type;
	enum vmm_state state;
} exits[] = {
        {CC_EXIT_TDX, 0, VMM_RUNNING},
        {CC_EXIT_SYSTEM_EVENT, CC_SYSTEM_EVENT_SEV_TERM, VMM_ENDED},
        {CC_EXIT_SYSTEM_EVENT, CC_SYSTEM_EVENT_TDX_FATAL, VMM_ENDED},
};

START_TEST(an_exit_of_an_encrypted_guest)
{
	vcpu.run->exit_reason = exits[_i].reason;
	vcpu.run->system_event.type = exits[_i].type;
	vcpu_exit(&vcpu);
	ck_assert_int_eq(m.state, exits[_i].state);
	ck_assert_int_eq(m.end, m.state == VMM_ENDED ? VMM_END_PANIC : 0);
}
END_TEST

START_TEST(other_calls_are_not_there)
{
	struct cc_exit_hypercall *call = (struct cc_exit_hypercall *)vcpu.run;
	int map = m.private.map_fd;

	vcpu.run->exit_reason = CC_EXIT_HYPERCALL;
	call->nr = 11;
	vcpu_exit(&vcpu);
	ck_assert_int_eq((int64_t)call->ret, -1000);
	call->nr = CC_HC_MAP_GPA_RANGE;
	call->args[1] = 1;
	m.private.map_fd = -1; /* a machine that has no private memory */
	vcpu_exit(&vcpu);
	ck_assert_int_eq((int64_t)call->ret, -1000);
	m.private.map_fd = map;
	kvm.error = ENOMEM;
	vcpu_exit(&vcpu);
	ck_assert_int_eq((int64_t)call->ret, -EFAULT);
	ck_assert_uint_eq(kvm.changed, 0);
}
END_TEST

static void fault(uint64_t guest, uint64_t flags, int error)
{
	struct cc_exit_memory_fault *exit = (struct cc_exit_memory_fault *)vcpu.run;

	*exit = (struct cc_exit_memory_fault){.gpa = guest, .size = PAGE, .flags = flags};
	vcpu.run->exit_reason = CC_EXIT_MEMORY_FAULT;
	private_fault(&vcpu, error);
}

START_TEST(a_page_becomes_what_it_is_touched_as)
{
	fault(0x10123, CC_MEMORY_EXIT_FLAG_PRIVATE, -EFAULT);
	ck_assert(!machine_shared(&m, 0x10000, PAGE));
	ck_assert(machine_shared(&m, 0xf000, PAGE) && machine_shared(&m, 0x11000, PAGE));
	fault(0x10000, 0, -EFAULT);
	ck_assert(machine_shared(&m, 0x10000, PAGE));
	ck_assert_uint_eq(kvm.changed, 2);
	ck_assert_int_eq(m.state, VMM_RUNNING);
}
END_TEST

/* Another vCPU was quicker: to try again is enough. But not without end. */
START_TEST(a_page_that_is_so_already_is_tried_again)
{
	for (unsigned int i = 0; i < PRIVATE_FAULTS_MAX; i++) {
		fault(0x10000, 0, -EFAULT);
		ck_assert_int_eq(m.state, VMM_RUNNING);
	}
	ck_assert_uint_eq(kvm.changed, 0);
	fault(0x10000, 0, -EFAULT);
	ck_assert_int_eq(m.state, VMM_ENDED);
	ck_assert_int_eq(m.end, VMM_END_MEMORY);
}
END_TEST

START_TEST(faults_that_end_the_vm)
{
	static const struct {
		uint64_t guest, flags;
		int error, kvm;
	} faults[] = {
	        {LOW_END, CC_MEMORY_EXIT_FLAG_PRIVATE, -EFAULT, 0},
	        {HIGH + HIGH_SIZE, CC_MEMORY_EXIT_FLAG_PRIVATE, -EFAULT, 0},
	        {UINT64_MAX, CC_MEMORY_EXIT_FLAG_PRIVATE, -EFAULT, 0},
	        {0x10000, CC_MEMORY_EXIT_FLAG_PRIVATE | 1, -EFAULT, 0},
	        {0x10000, CC_MEMORY_EXIT_FLAG_PRIVATE, -EHWPOISON, 0},
	        {0x10000, CC_MEMORY_EXIT_FLAG_PRIVATE, -EFAULT, ENOMEM},
	};

	kvm.error = faults[_i].kvm;
	fault(faults[_i].guest, faults[_i].flags, faults[_i].error);
	ck_assert_int_eq(m.state, VMM_ENDED);
	ck_assert_int_eq(m.end, VMM_END_MEMORY);
	ck_assert_uint_eq(kvm.changed, 0);
}
END_TEST

START_TEST(words_of_types)
{
	uint32_t type = 99;

	ck_assert(private_type_parse("sw-protected", &type));
	ck_assert_uint_eq(type, CC_X86_SW_PROTECTED_VM);
	ck_assert(!private_type_parse("sw", &type) && !private_type_parse("", &type));
	ck_assert_str_eq(vmm_end_text(VMM_END_MEMORY), "its private memory could not be given");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_private");
	TCase *tests = tcase_create("conversions");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_host_that_lacks_something_is_told);
	tcase_add_test(tests, what_kvm_is_handed);
	tcase_add_test(tests, the_map_as_it_is_made);
	tcase_add_loop_test(tests, there_and_back, 0, 2);
	tcase_add_test(tests, what_kvm_refuses_changes_nothing);
	tcase_add_loop_test(tests, a_request, 0, BASE_COUNT(requests));
	tcase_add_loop_test(tests, an_exit_of_an_encrypted_guest, 0, BASE_COUNT(exits));
	tcase_add_test(tests, other_calls_are_not_there);
	tcase_add_test(tests, a_page_becomes_what_it_is_touched_as);
	tcase_add_test(tests, a_page_that_is_so_already_is_tried_again);
	tcase_add_loop_test(tests, faults_that_end_the_vm, 0, 6);
	tcase_add_test(tests, words_of_types);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
