// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Each rule of KVM and of the firmware, broken on purpose: a command is left out, given twice or spoilt on its way to
 * the model. The launch ends with the kernel's error number, and with a sentence that says what it is.
 */
#include <check.h>

#include "base/base.h"
#include "tests/unit/confidential_rig.h"

enum { ANY = -1 };
enum how { SKIP, TWICE, SPOIL, EARLY };

/* What is spoilt of a command before the model sees it. */
struct fault {
	const char *name;
	enum confidential_type type;
	uint32_t request; /* 0: CC_MEMORY_ENCRYPT_OP of `id` */
	int id;
	enum how how;
	/* SPOIL: where in what the command's data points to, or in the request's own struct; ANY: the command */
	size_t offset;
	uint64_t value;
	size_t size;
	int err;
	const char *words;
};

#define COMMAND(id)   0, CC_##id
#define REQUEST(name) CC_##name, 0
#define NOTHING       0, 0, 0
#define BECOMES(id)   (size_t) ANY, CC_##id, 4
#define FIELD(type, field, value) \
	offsetof(struct type, field), value, BASE_MIN(sizeof(((struct type *)0)->field), 8)
static const struct fault faults[] = {
        /* order */
        {"init skipped", CONFIDENTIAL_SEV, COMMAND(SEV_INIT2), SKIP, NOTHING, -ENOTTY, "pin"},
        {"init twice", CONFIDENTIAL_SEV_ES, COMMAND(SEV_INIT2), TWICE, NOTHING, -EINVAL,
         "initialised already"},
        {"snp init skipped", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_INIT2), SKIP, NOTHING, -ENOTTY,
         "not initialised"},
        {"snp init twice", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_INIT2), TWICE, NOTHING, -EPERM,
         "SEV-SNP one"},
        {"init after a vCPU", CONFIDENTIAL_SEV, COMMAND(SEV_INIT2), EARLY, NOTHING, -EINVAL,
         "has vCPUs"},
        {"start skipped", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_START), SKIP, NOTHING, -EIO,
         "was not started (error 0x10)"},
        {"start twice", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_START), TWICE, NOTHING, -EIO,
         "started twice (error 0xc)"},
        {"vmsa before start", CONFIDENTIAL_SEV_ES, COMMAND(SEV_LAUNCH_START), SKIP, NOTHING, -EIO,
         "was not started"},
        {"vmsas of sev", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_UPDATE_DATA), SPOIL,
         BECOMES(SEV_LAUNCH_UPDATE_VMSA), -ENOTTY, "has none of it"},
        {"measure skipped", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_MEASURE), SKIP, NOTHING, -EIO,
         "not in the state for this (error 0x2)"},
        {"measure twice", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_MEASURE), TWICE, NOTHING, -EIO,
         "not in the state"},
        {"finish twice", CONFIDENTIAL_SEV_ES, COMMAND(SEV_LAUNCH_FINISH), TWICE, NOTHING, -EIO,
         "not in the state"},
        {"snp start skipped", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SKIP, NOTHING,
         -EINVAL, "KVM refuses SNP_LAUNCH_UPDATE"},
        {"snp start twice", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), TWICE, NOTHING,
         -EINVAL, "started already"},
        {"measure of snp", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_FINISH), SPOIL,
         BECOMES(SEV_LAUNCH_MEASURE), -EPERM, "SEV-SNP one"},
        {"snp finish twice", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_FINISH), TWICE, NOTHING,
         -EIO, "not in the state"},
        {"td init skipped", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VM), SKIP, NOTHING, -EINVAL,
         "KVM refuses TDX_INIT_VCPU"},
        {"td init twice", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VM), TWICE, NOTHING, -EINVAL,
         "initialised already"},
        {"td vcpu skipped", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VCPU), SKIP, NOTHING, -EINVAL,
         "vCPU is not initialised"},
        {"td vcpu twice", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VCPU), TWICE, NOTHING, -EINVAL,
         "vCPU is already"},
        {"td page twice", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), TWICE, NOTHING, -EINVAL,
         "KVM refuses TDX_INIT_MEM_REGION"},
        {"td finished twice", CONFIDENTIAL_TDX, COMMAND(TDX_FINALIZE_VM), TWICE, NOTHING, -EINVAL,
         "finalised already"},
        /* fields */
        {"init2 flags", CONFIDENTIAL_SEV, COMMAND(SEV_INIT2), SPOIL, FIELD(cc_sev_init, flags, 1),
         -EINVAL, "KVM refuses SEV_INIT2"},
        {"sev with features", CONFIDENTIAL_SEV, COMMAND(SEV_INIT2), SPOIL,
         FIELD(cc_sev_init, vmsa_features, 2), -EINVAL, "SEV_FEATURES"},
        {"features of no host", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_INIT2), SPOIL,
         FIELD(cc_sev_init, vmsa_features, 1 << 9), -EINVAL, "SEV_FEATURES"},
        {"ghcb of sev", CONFIDENTIAL_SEV, COMMAND(SEV_INIT2), SPOIL,
         FIELD(cc_sev_init, ghcb_version, 1), -EINVAL, "SEV_INIT2"},
        {"ghcb 3", CONFIDENTIAL_SEV_ES, COMMAND(SEV_INIT2), SPOIL,
         FIELD(cc_sev_init, ghcb_version, 3), -EINVAL, "SEV_INIT2"},
        {"policy of a newer firmware", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_START), SPOIL,
         FIELD(cc_sev_launch_start, policy, 0x20000b), -EIO, "policy (abi, debug, smt)"},
        {"policy without es", CONFIDENTIAL_SEV_ES, COMMAND(SEV_LAUNCH_START), SPOIL,
         FIELD(cc_sev_launch_start, policy, 0xb), -EIO, "error 0x7"},
        {"data by 8 bytes", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_UPDATE_DATA), SPOIL,
         FIELD(cc_sev_launch_update_data, len, 8), -EIO, "16 bytes at a time (error 0x4)"},
        {"no data", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_UPDATE_DATA), SPOIL,
         FIELD(cc_sev_launch_update_data, len, 0), -EINVAL, "LAUNCH_UPDATE_DATA: Invalid argument"},
        {"too short a blob", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_MEASURE), SPOIL,
         FIELD(cc_sev_launch_measure, len, 16), -EIO, "LAUNCH_MEASURE: a length is wrong"},
        {"length asked for", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_MEASURE), SPOIL,
         FIELD(cc_sev_launch_measure, len, 0), -EIO, "LAUNCH_MEASURE: a length is wrong"},
        {"too long a blob", CONFIDENTIAL_SEV, COMMAND(SEV_LAUNCH_MEASURE), SPOIL,
         FIELD(cc_sev_launch_measure, len, 16385), -EINVAL, "KVM refuses LAUNCH_MEASURE"},
        {"snp start flags", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, flags, 1), -EINVAL, "bits that KVM does not take"},
        {"snp policy bit 17", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, policy, 0x10000), -EINVAL, "bits"},
        {"snp policy without smt", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, policy, 0x20000), -EINVAL, "bits"},
        {"snp migration agent", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, policy, 0x70000), -EINVAL, "bits"},
        {"snp single socket", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, policy, 0x130000), -EINVAL, "bits"},
        {"snp newer firmware", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_START), SPOIL,
         FIELD(cc_sev_snp_launch_start, policy, 0x30200), -EIO, "policy (abi, debug, smt)"},
        {"snp half a page", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, len, 2048), -EINVAL, "no whole pages"},
        {"snp update flags", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, flags, 1), -EINVAL, "SNP_LAUNCH_UPDATE"},
        {"snp type 0", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, type, 0), -EINVAL, "a type that it does not know"},
        {"snp type vmsa", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, type, 2), -EINVAL, "a type"},
        {"snp type 7", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, type, 7), -EINVAL, "a type"},
        {"snp no source", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, uaddr, 0), -EIO, "SNP_LAUNCH_UPDATE"},
        {"snp page twice", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, gfn_start, 0x800), -EIO, "in the launch twice"},
        {"snp no memory", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_UPDATE), SPOIL,
         FIELD(cc_sev_snp_launch_update, gfn_start, 0x100), -EINVAL, "without a guest_memfd"},
        {"snp finish flags", CONFIDENTIAL_SEV_SNP, COMMAND(SEV_SNP_LAUNCH_FINISH), SPOIL,
         FIELD(cc_sev_snp_launch_finish, flags, 1), -EINVAL, "SNP_LAUNCH_FINISH"},
        {"td attributes", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VM), SPOIL,
         FIELD(cc_tdx_init_vm, attributes, 2), -EINVAL, "attributes"},
        {"td xfam", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VM), SPOIL, FIELD(cc_tdx_init_vm, xfam, 1),
         -EINVAL, "XFAM"},
        {"td reserved", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_VM), SPOIL,
         FIELD(cc_tdx_init_vm, reserved, 1), -EINVAL, "TDX_INIT_VM"},
        {"td few leaves", CONFIDENTIAL_TDX, COMMAND(TDX_CAPABILITIES), SPOIL,
         FIELD(cc_tdx_capabilities, nent, 1), -E2BIG, "TDX_CAPABILITIES: Argument list too long"},
        {"td source", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), SPOIL,
         FIELD(cc_tdx_init_mem_region, source_addr, 8), -EINVAL, "no whole pages"},
        {"td half a page", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), SPOIL,
         FIELD(cc_tdx_init_mem_region, gpa, 0x800100), -EINVAL, "no whole pages"},
        {"td no pages", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), SPOIL,
         FIELD(cc_tdx_init_mem_region, nr_pages, 0), -EINVAL, "no whole pages"},
        {"td shared half", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), SPOIL,
         FIELD(cc_tdx_init_mem_region, gpa, 1ull << 47), -EINVAL, "beyond the private half"},
        {"td no memory", CONFIDENTIAL_TDX, COMMAND(TDX_INIT_MEM_REGION), SPOIL,
         FIELD(cc_tdx_init_mem_region, gpa, 0x1000), -EFAULT, "not private"},
        /* memory */
        {"memfd flags", CONFIDENTIAL_SEV_SNP, REQUEST(CREATE_GUEST_MEMFD), SPOIL,
         FIELD(cc_create_guest_memfd, flags, 8), -EINVAL, "gives no private memory"},
        {"memfd size", CONFIDENTIAL_TDX, REQUEST(CREATE_GUEST_MEMFD), SPOIL,
         FIELD(cc_create_guest_memfd, size, 100), -EINVAL, "gives no private memory"},
        {"no private pages", CONFIDENTIAL_SEV_SNP, REQUEST(SET_MEMORY_ATTRIBUTES), SKIP, NOTHING,
         -EIO, "a page is not private"},
        {"no private td pages", CONFIDENTIAL_TDX, REQUEST(SET_MEMORY_ATTRIBUTES), SKIP, NOTHING,
         -EFAULT, "not private"},
        {"attribute 1", CONFIDENTIAL_TDX, REQUEST(SET_MEMORY_ATTRIBUTES), SPOIL,
         FIELD(cc_memory_attributes, attributes, 1), -EINVAL, "does not make the memory"},
        {"attribute flags", CONFIDENTIAL_SEV_SNP, REQUEST(SET_MEMORY_ATTRIBUTES), SPOIL,
         FIELD(cc_memory_attributes, flags, 1), -EINVAL, "does not make the memory"},
        {"dirty log", CONFIDENTIAL_SEV_SNP, REQUEST(SET_USER_MEMORY_REGION2), SPOIL,
         FIELD(cc_memory_region2, flags, 5), -EINVAL, "refuses guest memory at 0x800000"},
        {"read-only", CONFIDENTIAL_TDX, REQUEST(SET_USER_MEMORY_REGION2), SPOIL,
         FIELD(cc_memory_region2, flags, 6), -EINVAL, "refuses guest memory"},
        {"no memfd", CONFIDENTIAL_SEV_SNP, REQUEST(SET_USER_MEMORY_REGION2), SPOIL,
         FIELD(cc_memory_region2, flags, 0), -EINVAL, "without a guest_memfd"},
        {"memfd of nobody", CONFIDENTIAL_TDX, REQUEST(SET_USER_MEMORY_REGION2), SPOIL,
         FIELD(cc_memory_region2, guest_memfd, 5), -EINVAL, "refuses guest memory"},
        {"overlap", CONFIDENTIAL_TDX, REQUEST(SET_USER_MEMORY_REGION2), TWICE, NOTHING, -EINVAL,
         "refuses guest memory"},
};

static bool meddle_here(const struct fault *fault, uint32_t request, const void *argument)
{
	if (fault->request)
		return request == fault->request;
	return request == CC_MEMORY_ENCRYPT_OP &&
	       *(const uint32_t *)argument == (uint32_t)fault->id;
}

static bool meddle(struct fake *fake, int fd, uint32_t request, void *argument, int *result)
{
	const struct fault *fault = fake->meddle_data;
	uint8_t *at = argument;

	if (!meddle_here(fault, request, argument))
		return false;
	switch (fault->how) {
	case SKIP: *result = 0; return true;
	case EARLY: fake->vcpus_created = 1; return false;
	case TWICE: *result = fake_do(fake, fd, request, argument); return *result < 0;
	default: break;
	}
	if (!fault->request && fault->offset != (size_t)ANY)
		memcpy(&at, (uint8_t *)argument + 8,
		       sizeof(at)); /* `data` of both kinds of command */
	memcpy(at + (fault->offset == (size_t)ANY ? 0 : fault->offset), &fault->value, fault->size);
	return false;
}

START_TEST(test_fault)
{
	const struct fault *fault = &faults[_i];
	int err;

	rig_open(fault->type, 2);
	rig.fake.meddle = meddle;
	rig.fake.meddle_data = (void *)(uintptr_t)fault;
	err = rig_run();
	ck_assert_msg(err == fault->err, "%s: %d (%s), expected %d", fault->name, err, rig.why,
	              fault->err);
	ck_assert_msg(strstr(rig.why, fault->words), "%s: %s", fault->name, rig.why);
	rig_close();
}
END_TEST

/* What the host does not have. */
START_TEST(test_host)
{
	static const char *const missing[] = {"no VMs of type sev-snp", "no VMs of type tdx"};

	for (int i = 0; i < 2; i++) {
		rig_open(i ? CONFIDENTIAL_TDX : CONFIDENTIAL_SEV_SNP, 1);
		rig.fake.vm_types = 1 | 1 << CC_X86_SEV_VM;
		ck_assert_int_eq(rig_run(), -ENOTSUP);
		ck_assert_msg(strstr(rig.why, missing[i]), "%s", rig.why);
		rig_close();
	}
	rig_open(CONFIDENTIAL_SEV, 1);
	rig.fake.no_device = true;
	ck_assert_int_eq(rig_run(), -ENOENT);
	ck_assert_ptr_nonnull(strstr(rig.why, "/dev/sev"));
	rig_close();
	rig_open(CONFIDENTIAL_SEV, 1);
	rig.fake.vm_types = 1;
	rig.input.es_init = true;
	ck_assert_int_eq(rig_run(), -ENOTTY);
	ck_assert_ptr_nonnull(strstr(rig.why, "this host has none of it"));
	rig_close();
	rig_open(CONFIDENTIAL_SEV, 1);
	rig.fake.locked_pages = 8;
	ck_assert_int_eq(rig_run(), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(rig.why, "RLIMIT_MEMLOCK"));
	rig_close();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_faults");
	TCase *test = tcase_create("faults");
	SRunner *runner;
	int failed;

	tcase_set_timeout(test, 120);
	tcase_add_loop_test(test, test_fault, 0, BASE_COUNT(faults));
	tcase_add_test(test, test_host);
	suite_add_tcase(suite, test);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
