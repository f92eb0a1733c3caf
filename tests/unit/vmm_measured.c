// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmm_measured: cordon-vmm with confidential guests that start from an IGVM file, against the model of KVM and of the
 * firmware below it. What the model hashed is the digest that is measured offline of the same file; a step that fails
 * ends cordon-vmm before the guest's first instruction, says which step it was, and leaves nothing behind.
 */
#include <check.h>
#include <dirent.h>

#include "base/base.h"
#include "tests/unit/measured_model.h"

enum { BASE = 0x100000, LEAF_SEV = 0x8000001f, C_BIT = 51 };

static const uint8_t code[] = {0xf4};

static int firmware(uint32_t vcpus, uint8_t **file, size_t *size)
{
	const struct igvm_guest guest = {
	        .base = BASE, .vcpus = vcpus, .code = code, .code_size = sizeof(code)};

	*file = igvm_fixture(&guest, size);
	return vmm_fixture_file(*file, *size);
}

static int vmm(const char *confidential, uint32_t vcpus, char text[1024])
{
	static const struct model_given nothing = {.cmdline = ""};

	return model_vmm(confidential, vcpus, &nothing, text);
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
	         confidential_type_name(each->type), fd, model.sev_fd, each->words);
	end = vmm(words, each->vcpus, text);
	ck_assert_msg(end == VMM_END_POWEROFF && model.ran, "%d: %s", end, text);
	ck_assert_msg(strstr(text, "never run on such hardware") != NULL, "%s", text);
	input.bytes = file;
	ck_assert_int_eq(confidential_measure(&input, &offline, why), 0);
	ck_assert_mem_eq(model.fake.digest, offline.bytes, offline.size);
	ck_assert(each->type == CONFIDENTIAL_TDX ? model.fake.td == FAKE_TD_RUNNABLE
	                                         : model.fake.state == FAKE_RUNNING);
	ck_assert_uint_eq(model.fake.vcpus_created, each->vcpus);
	if (strstr(each->words, "host-data")) {
		ck_assert_uint_eq(model.fake.host_data[0], 0x77);
		ck_assert_uint_eq(model.fake.host_data[31], 0x77);
		ck_assert_uint_eq(model.fake.policy & 0xffff, 0x105);
	}
	if (each->type == CONFIDENTIAL_TDX) {
		ck_assert_ptr_null(model_told(LEAF_SEV));
		return;
	}
	ck_assert_uint_eq(model_told(LEAF_SEV)->ebx, C_BIT | 1 << 6);
	ck_assert_uint_eq(model_told(LEAF_SEV)->eax, each->type == CONFIDENTIAL_SEV      ? 0x2
	                                             : each->type == CONFIDENTIAL_SEV_ES ? 0xa
	                                                                                 : 0x1a);
	ck_assert_uint_ge(model_told(0x80000000)->eax, LEAF_SEV);
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
	error = vm_memory_map(m, memfd, MODEL_MEMORY, why);
	if (!error)
		error = measured_open(m, &options, 2, "", why);
	if (!error)
		error = vm_create(m, model.kvm_fd, why);
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
	int fd = firmware(2, &file, &size), memfd = vmm_fixture_memfd(MODEL_MEMORY), more;
	struct machine m;
	uint64_t map;

	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", kinds[_i], fd, model.sev_fd);
	more = (int)open_fds();
	ck_assert_msg(launch(&m, words, memfd, why) == 0, "%s", why);
	ck_assert(!m.measured && machine_hidden(&m) && machine_shared_map(&m, &map) >= 0);
	/* epoll and its eventfd, the VM, guest_memfd, the map, two vCPUs; and neither /dev/sev nor a file */
	more = (int)open_fds() - more;
	ck_assert_int_eq(more, 7);
	ck_assert(machine_shared(&m, BASE + IGVM_SHARED, 4096));
	ck_assert(!machine_shared(&m, BASE + IGVM_SHARED - 1, 1));
	ck_assert(!machine_shared(&m, BASE + IGVM_SHARED + 4096, 1));
	for (uint64_t at = 0; at < MODEL_MEMORY; at += 4096)
		ck_assert_int_eq(machine_shared(&m, at, 1), at == BASE + IGVM_SHARED);
	/* a page that the guest shares later, and takes back */
	ck_assert_int_eq(private_convert(&m, 0, 4096, false), 0);
	ck_assert(machine_shared(&m, 0, 4096) && !model.fake.slots[0].is_private[0]);
	ck_assert_int_eq(private_convert(&m, 0, 4096, true), 0);
	ck_assert(!machine_shared(&m, 0, 4096) && model.fake.slots[0].is_private[0]);
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

	snprintf(words, sizeof(words), "sev:firmware=%d,sev=%d", fd, model.sev_fd);
	ck_assert_msg(launch(&m, words, vmm_fixture_memfd(MODEL_MEMORY), why) == 0, "%s", why);
	at = machine_memory(&m, BASE + IGVM_PARAMETERS, 4096);
	ck_assert_uint_eq(base_le32(at + IGVM_AT_COUNT), 2);
	ck_assert_uint_eq(base_le32(at + IGVM_AT_ENVIRONMENT), 0);
	ck_assert_mem_eq(at + IGVM_AT_MADT, "APIC", 4);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP), 0);
	ck_assert_uint_eq(base_le64(at + IGVM_AT_MAP + 8),
	                  MODEL_MEMORY / 4096); /* all of it is memory */
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
	int fd = firmware(2, &file, &size), memfd = vmm_fixture_memfd(MODEL_MEMORY), error;
	unsigned int before;
	struct machine m;

	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, model.sev_fd);
	model.fault.request = each->request;
	model.fault.command = each->command;
	model.fault.error = each->error;
	model.fault.after = each->after;
	before = open_fds();
	error = launch(&m, words, memfd, why);
	ck_assert_msg(error < 0 && strstr(why, each->why), "%d: %s", error, why);
	vm_destroy(&m);
	ck_assert_uint_eq(open_fds(), before);
	ck_assert(!m.measured && m.region_count == 0 && !m.private.map);

	/* the same, as the whole program says it */
	model_teardown();
	model_setup();
	snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd, model.sev_fd);
	model.fault.request = each->request;
	model.fault.command = each->command;
	model.fault.error = each->error;
	model.fault.after = each->after;
	ck_assert_int_eq(vmm(words, 2, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, each->why) && !model.ran, "%s", text);
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
        {"sev-snp", 0x3f, 0, false, true, 2, "at 0x800000, where the guest has no memory"},
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
	model.fake.vm_types = each->vm_types;
	model.fake.no_capability = each->no_capability;
	if (each->no_device)
		snprintf(words, sizeof(words), "%s:firmware=%d", each->type, fd);
	else
		snprintf(words, sizeof(words), "%s:firmware=%d,sev=%d", each->type, fd,
		         model.sev_fd);
	ck_assert_int_eq(vmm(words, each->vcpus, text), VMM_END_FAILED);
	ck_assert_msg(strstr(text, each->why) && !model.ran, "%s", text);
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

	tcase_add_checked_fixture(tests, model_setup, model_teardown);
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
