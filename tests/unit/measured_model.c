// SPDX-License-Identifier: GPL-2.0-or-later
/* measured_model: see measured_model.h. */
#include "tests/unit/measured_model.h"

#include <check.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"
#include "tests/unit/confidential_fixture.h"

enum { FILES_MAX = 64, RUN_SIZE = 12288 };
enum { LEAF_SEV = 0x8000001f, C_BIT = 51 };

struct model model;
static struct {
	ino_t inode;
	int number;
} files[FILES_MAX];
static size_t file_count;

int __real_ioctl(int fd, unsigned long request, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);
int vmm_main(int argc, char *argv[]);

/* ---- fds ---- */

static int stand_for(int number, size_t size)
{
	struct stat status;
	int fd = memfd_create("model", MFD_CLOEXEC);

	ck_assert(fd >= 0 && ftruncate(fd, (off_t)size) == 0 && fstat(fd, &status) == 0);
	ck_assert_uint_lt(file_count, FILES_MAX);
	files[file_count].inode = status.st_ino;
	files[file_count++].number = number;
	return fd;
}

/* -1: it is none of the model's. */
static int model_of(int fd)
{
	struct stat status;

	for (size_t i = 0; fd >= 0 && fstat(fd, &status) == 0 && i < file_count; i++)
		if (files[i].inode == status.st_ino)
			return files[i].number;
	return -1;
}

/* ---- what of KVM the model has not got ---- */

static int extension(int number)
{
	if (number == CC_CAP_EXIT_HYPERCALL)
		return number == model.fake.no_capability ? 0 : 1 << CC_HC_MAP_GPA_RANGE;
	if (number == CC_CAP_MEMORY_ATTRIBUTES)
		return CC_MEMORY_ATTRIBUTE_PRIVATE;
	return fake_do(&model.fake, FAKE_KVM, CC_CHECK_EXTENSION, (void *)(uintptr_t)number);
}

static int supported_cpuid(struct cpuid_table *table)
{
	static const struct kvm_cpuid_entry2 entries[] = {
	        {.function = 0,
	         .eax = 0xd,
	         .ebx = 0x68747541,
	         .ecx = 0x444d4163,
	         .edx = 0x69746e65},
	        {.function = 1, .eax = 0xa00f11, .ecx = 1 << 21, .edx = 0x78bfbff},
	        {.function = 0x80000000, .eax = LEAF_SEV},
	        {.function = 0x80000008, .eax = 0x3030},
	        {.function = LEAF_SEV, .eax = 0x1f, .ebx = C_BIT | 5 << 6},
	};

	table->count = BASE_COUNT(entries);
	memcpy(table->entries, entries, sizeof(entries));
	return 0;
}

static int on_kvm(unsigned long request, void *argument)
{
	int made;

	switch (request) {
	case KVM_GET_API_VERSION: return KVM_API_VERSION;
	case KVM_CHECK_EXTENSION: return extension((int)(intptr_t)argument);
	case KVM_GET_SUPPORTED_CPUID: return supported_cpuid(argument);
	case KVM_GET_VCPU_MMAP_SIZE: return RUN_SIZE;
	case KVM_CREATE_VM:
		made = fake_do(&model.fake, FAKE_KVM, CC_CREATE_VM, argument);
		return made < 0 ? made : stand_for(made, 0);
	default: ck_abort_msg("ioctl 0x%lx of /dev/kvm", request);
	}
}

static int on_vm(unsigned long request, void *argument)
{
	struct cc_memory_region2 region;
	struct cc_sev_cmd *command = argument;
	int result, real;

	switch (request) {
	case KVM_CHECK_EXTENSION: return extension((int)(intptr_t)argument);
	case KVM_ENABLE_CAP:
		model.split |=
		        ((const struct kvm_enable_cap *)argument)->cap == KVM_CAP_SPLIT_IRQCHIP;
		return 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
	case KVM_SET_TSS_ADDR:
	case KVM_X86_SET_MSR_FILTER: return 0;
	case KVM_CREATE_VCPU:
		/* tdx_vcpu_create(): the domain is there, and interrupts are split */
		if (model.fake.type == CC_X86_TDX_VM &&
		    (model.fake.td != FAKE_TD_INITIALIZED || !model.split))
			return -EINVAL;
		return stand_for(FAKE_VCPU + (int)model.fake.vcpus_created++, RUN_SIZE);
	case CC_CREATE_GUEST_MEMFD:
		result = fake_do(&model.fake, FAKE_VM, CC_CREATE_GUEST_MEMFD, argument);
		return result < 0 ? result : stand_for(result, model.memory + FIXTURE_SIZE);
	case CC_SET_USER_MEMORY_REGION2:
		region = *(const struct cc_memory_region2 *)argument;
		region.guest_memfd = (uint32_t)model_of((int)region.guest_memfd);
		return fake_do(&model.fake, FAKE_VM, CC_SET_USER_MEMORY_REGION2, &region);
	case CC_MEMORY_ENCRYPT_OP:
		if (model.fake.type == CC_X86_TDX_VM)
			return fake_do(&model.fake, FAKE_VM, CC_MEMORY_ENCRYPT_OP, argument);
		real = (int)command->sev_fd;
		command->sev_fd = (uint32_t)model_of(real);
		result = fake_do(&model.fake, FAKE_VM, CC_MEMORY_ENCRYPT_OP, argument);
		command->sev_fd = (uint32_t)real;
		return result;
	default: return fake_do(&model.fake, FAKE_VM, (uint32_t)request, argument);
	}
}

/* The guest is off at its first instruction. */
static int run(int fd)
{
	struct kvm_run *area = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool leave;

	ck_assert(area != MAP_FAILED);
	leave = __atomic_load_n(&area->immediate_exit, __ATOMIC_ACQUIRE);
	model.ran = true;
	area->exit_reason = leave ? KVM_EXIT_INTR : KVM_EXIT_SYSTEM_EVENT;
	area->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	munmap(area, RUN_SIZE);
	return leave ? -EINTR : 0;
}

static int on_vcpu(int number, int fd, unsigned long request, void *argument)
{
	const bool closed = model.fake.type == CC_X86_TDX_VM ||
	                    model.fake.vcpus[number - FAKE_VCPU].is_protected;

	switch (request) {
	case KVM_RUN: return run(fd);
	case KVM_SET_CPUID2:
		if (number == FAKE_VCPU)
			memcpy(&model.told, argument, sizeof(model.told));
		return 0;
	case KVM_ENABLE_CAP: return 0;
	case KVM_SET_MSRS:
	case KVM_GET_LAPIC:
	case KVM_SET_LAPIC: return closed ? -EINVAL : 0;
	default: return fake_do(&model.fake, number, (uint32_t)request, argument);
	}
}

static bool faulty(unsigned long request, const void *argument)
{
	if (!model.fault.error || request != model.fault.request ||
	    (request == CC_MEMORY_ENCRYPT_OP && *(const uint32_t *)argument != model.fault.command))
		return false;
	return model.fault.after-- == 0;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	va_list list;
	void *argument;
	int number, result;

	va_start(list, request);
	argument = va_arg(list, void *);
	va_end(list);
	number = model_of(fd);
	if (number < 0)
		return __real_ioctl(fd, request, argument);
	if (faulty(request, argument))
		result = -model.fault.error;
	else if (number == FAKE_KVM)
		result = on_kvm(request, argument);
	else if (number == FAKE_VM)
		result = on_vm(request, argument);
	else
		result = on_vcpu(number, fd, request, argument);
	if (result >= 0)
		return result;
	errno = -result;
	return -1;
}

/* ---- cordon-vmm ---- */

void model_setup(void)
{
	fake_init(&model.fake);
	file_count = 0;
	model.split = model.ran = false;
	model.memory = MODEL_MEMORY;
	memset(&model.fault, 0, sizeof(model.fault));
	model.kvm_fd = stand_for(FAKE_KVM, 0);
	model.sev_fd = stand_for(FAKE_SEV, 0);
}

void model_teardown(void)
{
	fake_free(&model.fake);
}

int model_vmm(const char *confidential, uint32_t vcpus, const struct model_given *given,
              char text[1024])
{
	char numbers[6][16];
	const char *argv[] = {"cordon-vmm",   "--vcpus",
	                      numbers[0],     "--memory",
	                      numbers[1],     "--kvm",
	                      numbers[2],     "--memfd",
	                      numbers[3],     "--cmdline",
	                      given->cmdline, "--stdio",
	                      "--no-sandbox", "--confidential",
	                      confidential,   NULL,
	                      NULL,           NULL,
	                      NULL,           NULL};
	int log = vmm_fixture_file("", 0), old = dup(STDERR_FILENO), end, count = 15;

	snprintf(numbers[0], sizeof(numbers[0]), "%u", vcpus);
	snprintf(numbers[1], sizeof(numbers[1]), "%llu", (unsigned long long)model.memory);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", model.kvm_fd);
	snprintf(numbers[3], sizeof(numbers[3]), "%d", vmm_fixture_memfd(model.memory));
	if (given->kernel) {
		snprintf(numbers[4], sizeof(numbers[4]), "%d",
		         vmm_fixture_file(given->kernel, given->kernel_size));
		argv[count++] = "--kernel";
		argv[count++] = numbers[4];
	}
	if (given->initrd) {
		snprintf(numbers[5], sizeof(numbers[5]), "%d",
		         vmm_fixture_file(given->initrd, strlen(given->initrd)));
		argv[count++] = "--initrd";
		argv[count++] = numbers[5];
	}
	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	end = vmm_main(count, (char **)(uintptr_t)argv);
	ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
	memset(text, 0, 1024);
	ck_assert_int_ge(pread(log, text, 1023, 0), 0);
	return end;
}

const struct kvm_cpuid_entry2 *model_told(uint32_t function)
{
	return cpuid_find(&model.told, function, 0);
}
