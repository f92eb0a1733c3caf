// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_measured: cordon-vmm as it is, from its command line to its exit status, with confidential guests, against the
 * model of KVM and of the firmware below it: its ioctls come to this file. What the model hashed of them is the digest
 * that is measured offline of the same file; a step that fails ends cordon-vmm before the guest's first instruction,
 * says which step it was, and leaves nothing behind.
 *
 * Fds are real, as cordon-vmm maps and closes them: each stands for one of the model's by its inode.
 */
#include <check.h>
#include <fcntl.h>
#include <dirent.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/base.h"
#include "tests/unit/confidential_fake.h"
#include "tests/unit/igvm_fixture.h"
#include "tests/unit/vmm_fixture.h"
#include "vmm/measured.h"

enum { MEMORY = 4 << 20, BASE = 0x100000, FILES_MAX = 64, RUN_SIZE = 12288 };
enum { LEAF_SEV = 0x8000001f, C_BIT = 51 };

static const uint8_t code[] = {0xf4};

static struct fake fake;
static struct {
	ino_t inode;
	int number;
} files[FILES_MAX];
static size_t file_count;
static int kvm_fd, sev_fd;
static bool split, ran;
static struct cpuid_table told; /* what the first vCPU was told */
/* the one call that fails: an ioctl, and of KVM_MEMORY_ENCRYPT_OP a command */
static struct {
	unsigned long request;
	uint32_t command;
	int error;
	unsigned int after; /* so many that do not */
} fault;

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
		return number == fake.no_capability ? 0 : 1 << CC_HC_MAP_GPA_RANGE;
	if (number == CC_CAP_MEMORY_ATTRIBUTES)
		return CC_MEMORY_ATTRIBUTE_PRIVATE;
	return fake_do(&fake, FAKE_KVM, CC_CHECK_EXTENSION, (void *)(uintptr_t)number);
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
		made = fake_do(&fake, FAKE_KVM, CC_CREATE_VM, argument);
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
		split |= ((const struct kvm_enable_cap *)argument)->cap == KVM_CAP_SPLIT_IRQCHIP;
		return 0;
	case KVM_SET_IDENTITY_MAP_ADDR:
	case KVM_SET_TSS_ADDR:
	case KVM_X86_SET_MSR_FILTER: return 0;
	case KVM_CREATE_VCPU:
		/* tdx_vcpu_create(): the domain is there, and interrupts are split */
		if (fake.type == CC_X86_TDX_VM && (fake.td != FAKE_TD_INITIALIZED || !split))
			return -EINVAL;
		return stand_for(FAKE_VCPU + (int)fake.vcpus_created++, RUN_SIZE);
	case CC_CREATE_GUEST_MEMFD:
		result = fake_do(&fake, FAKE_VM, CC_CREATE_GUEST_MEMFD, argument);
		return result < 0 ? result : stand_for(result, MEMORY);
	case CC_SET_USER_MEMORY_REGION2:
		region = *(const struct cc_memory_region2 *)argument;
		region.guest_memfd = (uint32_t)model_of((int)region.guest_memfd);
		return fake_do(&fake, FAKE_VM, CC_SET_USER_MEMORY_REGION2, &region);
	case CC_MEMORY_ENCRYPT_OP:
		if (fake.type == CC_X86_TDX_VM)
			return fake_do(&fake, FAKE_VM, CC_MEMORY_ENCRYPT_OP, argument);
		real = (int)command->sev_fd;
		command->sev_fd = (uint32_t)model_of(real);
		result = fake_do(&fake, FAKE_VM, CC_MEMORY_ENCRYPT_OP, argument);
		command->sev_fd = (uint32_t)real;
		return result;
	default: return fake_do(&fake, FAKE_VM, (uint32_t)request, argument);
	}
}

/* The guest is off at its first instruction. */
static int run(int fd)
{
	struct kvm_run *area = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	bool leave;

	ck_assert(area != MAP_FAILED);
	leave = __atomic_load_n(&area->immediate_exit, __ATOMIC_ACQUIRE);
	ran = true;
	area->exit_reason = leave ? KVM_EXIT_INTR : KVM_EXIT_SYSTEM_EVENT;
	area->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	munmap(area, RUN_SIZE);
	return leave ? -EINTR : 0;
}

static int on_vcpu(int number, int fd, unsigned long request, void *argument)
{
	const bool closed =
	        fake.type == CC_X86_TDX_VM || fake.vcpus[number - FAKE_VCPU].is_protected;

	switch (request) {
	case KVM_RUN: return run(fd);
	case KVM_SET_CPUID2:
		if (number == FAKE_VCPU)
			memcpy(&told, argument, sizeof(told));
		return 0;
	case KVM_ENABLE_CAP: return 0;
	case KVM_SET_MSRS:
	case KVM_GET_LAPIC:
	case KVM_SET_LAPIC: return closed ? -EINVAL : 0;
	default: return fake_do(&fake, number, (uint32_t)request, argument);
	}
}

static bool faulty(unsigned long request, const void *argument)
{
	if (!fault.error || request != fault.request ||
	    (request == CC_MEMORY_ENCRYPT_OP && *(const uint32_t *)argument != fault.command))
		return false;
	return fault.after-- == 0;
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
		result = -fault.error;
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

static void setup(void)
{
	fake_init(&fake);
	file_count = 0;
	split = ran = false;
	memset(&fault, 0, sizeof(fault));
	kvm_fd = stand_for(FAKE_KVM, 0);
	sev_fd = stand_for(FAKE_SEV, 0);
}

static void teardown(void)
{
	fake_free(&fake);
}

static int firmware(uint32_t vcpus, uint8_t **file, size_t *size)
{
	const struct igvm_guest guest = {
	        .base = BASE, .vcpus = vcpus, .code = code, .code_size = sizeof(code)};

	*file = igvm_fixture(&guest, size);
	return vmm_fixture_file(*file, *size);
}

/* Its command line, and what it says on its standard error. */
static int vmm(const char *confidential, uint32_t vcpus, char text[1024])
{
	char numbers[4][16];
	const char *argv[] = {"cordon-vmm", "--vcpus", numbers[0],     "--memory",
	                      numbers[1],   "--kvm",   numbers[2],     "--memfd",
	                      numbers[3],   "--stdio", "--no-sandbox", "--confidential",
	                      confidential, NULL};
	int log = vmm_fixture_file("", 0), old = dup(STDERR_FILENO), end;

	snprintf(numbers[0], sizeof(numbers[0]), "%u", vcpus);
	snprintf(numbers[1], sizeof(numbers[1]), "%d", MEMORY);
	snprintf(numbers[2], sizeof(numbers[2]), "%d", kvm_fd);
	snprintf(numbers[3], sizeof(numbers[3]), "%d", vmm_fixture_memfd(MEMORY));
	ck_assert_int_ge(dup2(log, STDERR_FILENO), 0);
	end = vmm_main(BASE_COUNT(argv) - 1, (char **)(uintptr_t)argv);
	ck_assert_int_ge(dup2(old, STDERR_FILENO), 0);
	text[0] = '\0';
	memset(text, 0, 1024);
	ck_assert_int_ge(pread(log, text, 1023, 0), 0);
	return end;
}

static const struct same {
	enum confidential_type type;
	uint32_t vcpus;
	const char *words;
} same[] = {
        {CONFIDENTIAL_SEV, 1, ""},
        {CONFIDENTIAL_SEV_ES, 3, ",abi=1.55"},
        {CONFIDENTIAL_SEV_SNP, 2, ""},
        {CONFIDENTIAL_SEV_SNP, 4,
         ",host-data=7700000000000000000000000000000000000000000000000000000000000077,abi=1.5"},
        {CONFIDENTIAL_TDX, 2, ""},
};

static const struct kvm_cpuid_entry2 *told_of(uint32_t function)
{
	return cpuid_find(&told, function, 0);
}

/* The whole of it, to the guest's end: what was hashed is what is measured of the file. */
START_TEST(the_digest_is_the_measured_one)
{
	const struct same *each = &same[_i];
	struct launch_input input = {
	        .type = each->type, .vcpus = each->vcpus, .features = 1, .igvm = true};
	BASE_AUTO_FREE uint8_t *file = NULL;
	char words[256], text[1024], why[WHY_MAX] = "";
	struct confidential_digest offline;
	int fd = firmware(each->vcpus, &file, &input.size), end;

	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d%s",
	         confidential_type_name(each->type), fd, sev_fd, each->words);
	end = vmm(words, each->vcpus, text);
	ck_assert_msg(end == VMM_END_POWEROFF && ran, "%d: %s", end, text);
	ck_assert_msg(strstr(text, "never run on such hardware") != NULL, "%s", text);
	input.bytes = file;
	ck_assert_int_eq(confidential_measure(&input, &offline, why), 0);
	ck_assert_mem_eq(fake.digest, offline.bytes, offline.size);
	ck_assert(each->type == CONFIDENTIAL_TDX ? fake.td == FAKE_TD_RUNNABLE
	                                         : fake.state == FAKE_RUNNING);
	ck_assert_uint_eq(fake.vcpus_created, each->vcpus);
	if (strstr(each->words, "host-data")) {
		ck_assert_uint_eq(fake.host_data[0], 0x77);
		ck_assert_uint_eq(fake.host_data[31], 0x77);
		ck_assert_uint_eq(fake.policy & 0xffff, 0x105);
	}
	if (each->type == CONFIDENTIAL_TDX) {
		ck_assert_ptr_null(told_of(LEAF_SEV));
		return;
	}
	ck_assert_uint_eq(told_of(LEAF_SEV)->ebx, C_BIT | 1 << 6);
	ck_assert_uint_eq(told_of(LEAF_SEV)->eax, each->type == CONFIDENTIAL_SEV      ? 0x2
	                                          : each->type == CONFIDENTIAL_SEV_ES ? 0xa
	                                                                              : 0x1a);
	ck_assert_uint_ge(told_of(0x80000000)->eax, LEAF_SEV);
}
END_TEST

#define COMMAND(id) CC_MEMORY_ENCRYPT_OP, CC_##id

static const struct broken {
	const char *type;
	unsigned long request;
	uint32_t command;
	int error;
	unsigned int after;
	const char *why;
} broken[] = {
        {"sev", KVM_CREATE_VM, 0, ENOMEM, 0, "KVM cannot make a VM of type sev"},
        {"sev-snp", COMMAND(SEV_INIT2), EIO, 0, "SEV_INIT2"},
        {"sev", CC_MEMORY_ENCRYPT_REG_REGION, 0, ENOMEM, 0, "does not pin the memory at 0x0"},
        {"sev-snp", CC_CREATE_GUEST_MEMFD, 0, ENOMEM, 0, "no private memory of 4194304 bytes"},
        {"tdx", CC_SET_USER_MEMORY_REGION2, 0, EEXIST, 0, "refuses guest memory at 0x0"},
        {"sev-snp", CC_SET_MEMORY_ATTRIBUTES, 0, EINVAL, 0, "make the memory at 0x0 private"},
        {"sev-snp", CC_SET_MEMORY_ATTRIBUTES, 0, EINVAL, 1, "make the memory at 0x103000 shared"},
        {"tdx", COMMAND(TDX_CAPABILITIES), EIO, 0, "CAPABILITIES"},
        {"tdx", COMMAND(TDX_INIT_VM), EINVAL, 0, "INIT_VM"},
        {"tdx", KVM_CREATE_VCPU, 0, EIO, 1, "KVM cannot make vCPU 1"},
        {"tdx", COMMAND(TDX_INIT_VCPU), EIO, 1, "INIT_VCPU"},
        {"tdx", COMMAND(TDX_INIT_MEM_REGION), EIO, 0, "INIT_MEM_REGION"},
        {"tdx", COMMAND(TDX_FINALIZE_VM), EIO, 0, "FINALIZE_VM"},
        {"sev-es", COMMAND(SEV_LAUNCH_START), EIO, 0, "LAUNCH_START"},
        {"sev-es", COMMAND(SEV_LAUNCH_UPDATE_DATA), EIO, 1, "LAUNCH_UPDATE_DATA"},
        {"sev-es", KVM_SET_SREGS, 0, EINVAL, 1, "a vCPU's first registers"},
        {"sev-es", COMMAND(SEV_LAUNCH_UPDATE_VMSA), EIO, 0, "LAUNCH_UPDATE_VMSA"},
        {"sev", COMMAND(SEV_LAUNCH_MEASURE), EIO, 0, "LAUNCH_MEASURE"},
        {"sev", COMMAND(SEV_LAUNCH_FINISH), EIO, 0, "LAUNCH_FINISH"},
        {"sev-snp", COMMAND(SEV_SNP_LAUNCH_START), EIO, 0, "SNP_LAUNCH_START"},
        {"sev-snp", COMMAND(SEV_SNP_LAUNCH_UPDATE), EIO, 2, "SNP_LAUNCH_UPDATE"},
        {"sev-snp", COMMAND(SEV_SNP_LAUNCH_FINISH), EIO, 0, "SNP_LAUNCH_FINISH"},
};

static unsigned int open_fds(void)
{
	DIR *folder = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(folder))
		count++;
	closedir(folder);
	return count;
}

/* The machine alone, up to its launch. */
static int launch(struct machine *m, const char *words, int memfd, char *why)
{
	struct measured_options options;
	int error;

	vm_init(m, "test");
	ck_assert_int_eq(measured_parse(&options, words, why), 0);
	error = vm_memory_map(m, memfd, MEMORY, why);
	if (!error)
		error = measured_open(m, &options, 2, "", why);
	if (!error)
		error = vm_create(m, kvm_fd, why);
	if (!error)
		error = vcpus_create(m, 2, NULL, why);
	return error ? error : measured_launch(m, why);
}

/* Devices see what the file calls shared, and nothing else; of the launch nothing is left. */
START_TEST(what_devices_see)
{
	static const char *const kinds[] = {"sev-snp", "tdx"};
	BASE_AUTO_FREE uint8_t *file = NULL;
	char words[64], why[WHY_MAX] = "";
	size_t size;
	int fd = firmware(2, &file, &size), memfd = vmm_fixture_memfd(MEMORY), more;
	struct machine m;
	uint64_t map;

	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", kinds[_i], fd, sev_fd);
	more = (int)open_fds();
	ck_assert_msg(launch(&m, words, memfd, why) == 0, "%s", why);
	ck_assert(!m.measured && machine_hidden(&m) && machine_shared_map(&m, &map) >= 0);
	/* epoll and its eventfd, the VM, guest_memfd, the map, two vCPUs; and neither /dev/sev nor a file */
	more = (int)open_fds() - more;
	ck_assert_int_eq(more, 7);
	ck_assert(machine_shared(&m, BASE + IGVM_SHARED, 4096));
	ck_assert(!machine_shared(&m, BASE + IGVM_SHARED - 1, 1));
	ck_assert(!machine_shared(&m, BASE + IGVM_SHARED + 4096, 1));
	for (uint64_t at = 0; at < MEMORY; at += 4096)
		ck_assert_int_eq(machine_shared(&m, at, 1), at == BASE + IGVM_SHARED);
	/* a page that the guest shares later, and takes back */
	ck_assert_int_eq(private_convert(&m, 0, 4096, false), 0);
	ck_assert(machine_shared(&m, 0, 4096) && !fake.slots[0].is_private[0]);
	ck_assert_int_eq(private_convert(&m, 0, 4096, true), 0);
	ck_assert(!machine_shared(&m, 0, 4096) && fake.slots[0].is_private[0]);
	vm_destroy(&m);
}
END_TEST

/* What the file asks its host for: of SEV it is not encrypted, so it can be seen here. */
START_TEST(what_the_guest_is_told)
{
	BASE_AUTO_FREE uint8_t *file = NULL;
	char words[64], why[WHY_MAX] = "";
	const uint8_t *at;
	size_t size;
	int fd = firmware(2, &file, &size);
	struct machine m;

	snprintf(words, sizeof(words), "sev:firmware=%d,sev=%d", fd, sev_fd);
	ck_assert_msg(launch(&m, words, vmm_fixture_memfd(MEMORY), why) == 0, "%s", why);
	at = machine_memory(&m, BASE + IGVM_PARAMETERS, 4096);
	ck_assert_uint_eq(base_le32(at + IGVM_AT_COUNT), 2);
	ck_assert_uint_eq(base_le32(at + IGVM_AT_ENVIRONMENT), 0);
	ck_assert_mem_eq(at + IGVM_AT_MADT, "APIC", 4);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP), 0);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 8), MEMORY / 4096); /* all of it is memory */
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 24), MACHINE_ECAM_BASE / 4096);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 40), 1);
	vm_destroy(&m);
}
END_TEST

/* One step of the launch fails: nothing of the machine is left, and no instruction was run. */
START_TEST(a_step_that_fails_is_named)
{
	const struct broken *each = &broken[_i];
	BASE_AUTO_FREE uint8_t *file = NULL;
	char words[64], text[1024], why[WHY_MAX] = "";
	size_t size;
	int fd = firmware(2, &file, &size), memfd = vmm_fixture_memfd(MEMORY), error;
	unsigned int before;
	struct machine m;

	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, sev_fd);
	fault.request = each->request;
	fault.command = each->command;
	fault.error = each->error;
	fault.after = each->after;
	before = open_fds();
	error = launch(&m, words, memfd, why);
	ck_assert_msg(error < 0 && strstr(why, each->why), "%d: %s", error, why);
	vm_destroy(&m);
	ck_assert_uint_eq(open_fds(), before);
	ck_assert(!m.measured && m.region_count == 0 && !m.private.map);

	/* the same, as the whole program says it */
	teardown();
	setup();
	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, sev_fd);
	fault.request = each->request;
	fault.command = each->command;
	fault.error = each->error;
	fault.after = each->after;
	ck_assert_int_eq(vmm(words, 2, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, each->why) && !ran, "%s", text);
}
END_TEST

/* What the host or the file lacks. */
static const struct lack {
	const char *type;
	uint32_t vm_types;
	int no_capability;
	bool no_device, no_igvm;
	uint32_t vcpus;
	const char *why;
} lacks[] = {
        {"sev-snp", 0x2f, 0, false, false, 2, "KVM_CAP_VM_TYPES with this type"},
        {"sev", 0x1, 0, false, false, 2, "KVM on this host has no VMs of type sev"},
        {"tdx", 0x3f, CC_CAP_GUEST_MEMFD, false, false, 2, "needs KVM_CAP_GUEST_MEMFD"},
        {"sev-snp", 0x3f, CC_CAP_EXIT_HYPERCALL, false, false, 2, "KVM_HC_MAP_GPA_RANGE"},
        {"sev-es", 0x3f, 0, true, false, 2, "cannot open /dev/sev"},
        {"sev-snp", 0x3f, 0, false, true, 2, "the firmware is no IGVM file: other firmware"},
        {"sev-snp", 0x3f, 0, false, false, 3, "for 2 processors, and the guest has 3"},
};

START_TEST(what_is_missing_is_named)
{
	const struct lack *each = &lacks[_i];
	BASE_AUTO_FREE uint8_t *file = NULL;
	BASE_AUTO_FREE uint8_t *ovmf = fixture_ovmf(0);
	char words[64], text[1024];
	size_t size;
	int fd = firmware(2, &file, &size);

	if (each->no_igvm)
		fd = vmm_fixture_file(ovmf, FIXTURE_SIZE);
	fake.vm_types = each->vm_types;
	fake.no_capability = each->no_capability;
	if (each->no_device)
		snprintf(words, sizeof(words), "%s:firmware=%d", each->type, fd);
	else
		snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, sev_fd);
	ck_assert_int_eq(vmm(words, each->vcpus, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, each->why) && !ran, "%s", text);
}
END_TEST

static const struct {
	const char *text, *why;
} options_wrong[] = {
        {"sev-snp", "expected TYPE:key=value"},
        {"sw-protected:firmware=3", "expected sev, sev-es, sev-snp or tdx"},
        {"sev:debug", "without firmware=FD"},
        {"sev:firmware=x", "'firmware' is not known, or"},
        {"sev:firmware=3,no-debug", "'no-debug'"},
        {"sev:firmware=3,abi=1", "'abi'"},
        {"sev:firmware=3,abi=1.256", "'abi'"},
        {"sev:firmware=3,host-data=77", "'host-data'"},
        {"sev:firmware=99999999999", "'firmware'"},
};

START_TEST(options_that_are_none)
{
	struct measured_options options;
	char why[WHY_MAX] = "";

	ck_assert_int_eq(measured_parse(&options, options_wrong[_i].text, why), -EINVAL);
	ck_assert_msg(strstr(why, options_wrong[_i].why), "%s", why);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("vmm_measured");
	TCase *tests = tcase_create("launch");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, the_digest_is_the_measured_one, 0, BASE_COUNT(same));
	tcase_add_loop_test(tests, what_devices_see, 0, 2);
	tcase_add_test(tests, what_the_guest_is_told);
	tcase_add_loop_test(tests, a_step_that_fails_is_named, 0, BASE_COUNT(broken));
	tcase_add_loop_test(tests, what_is_missing_is_named, 0, BASE_COUNT(lacks));
	tcase_add_loop_test(tests, options_that_are_none, 0, BASE_COUNT(options_wrong));
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
