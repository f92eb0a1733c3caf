// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Our definitions of KVM's interface against the system's own headers, as far as those have them: newer ones have
 * more. Numbers of ioctls are made again from what they consist of.
 */
#include <check.h>
#include <linux/kvm.h>

#include "base/base.h"
#include "confidential/uapi.h"

#define SAME_SIZE(ours, theirs) _Static_assert(sizeof(struct ours) == sizeof(struct theirs), #ours)
SAME_SIZE(cc_sev_cmd, kvm_sev_cmd);
SAME_SIZE(cc_sev_launch_start, kvm_sev_launch_start);
SAME_SIZE(cc_sev_launch_update_data, kvm_sev_launch_update_data);
SAME_SIZE(cc_sev_launch_secret, kvm_sev_launch_secret);
SAME_SIZE(cc_sev_launch_measure, kvm_sev_launch_measure);
SAME_SIZE(cc_sev_guest_status, kvm_sev_guest_status);
SAME_SIZE(cc_sev_attestation_report, kvm_sev_attestation_report);
SAME_SIZE(cc_enc_region, kvm_enc_region);
SAME_SIZE(cc_device_attr, kvm_device_attr);
SAME_SIZE(cc_cpuid_entry, kvm_cpuid_entry2);

START_TEST(test_numbers)
{
	static const struct {
		unsigned int ours;
		unsigned long theirs;
	} numbers[] = {
	        {CC_CREATE_VM, KVM_CREATE_VM},
	        {CC_CHECK_EXTENSION, KVM_CHECK_EXTENSION},
	        {CC_ENABLE_CAP, KVM_ENABLE_CAP},
	        {CC_GET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR},
	        {CC_MEMORY_ENCRYPT_OP, KVM_MEMORY_ENCRYPT_OP},
	        {CC_MEMORY_ENCRYPT_REG_REGION, KVM_MEMORY_ENCRYPT_REG_REGION},
	        {CC_SET_USER_MEMORY_REGION2, _IOW(KVMIO, 0x49, struct cc_memory_region2)},
	        {CC_SET_MEMORY_ATTRIBUTES, _IOW(KVMIO, 0xd2, struct cc_memory_attributes)},
	        {CC_CREATE_GUEST_MEMFD, _IOWR(KVMIO, 0xd4, struct cc_create_guest_memfd)},
	        {CC_SEV_ISSUE_CMD, _IOWR('S', 0, struct cc_sev_issue_cmd)},
	        {CC_CAP_EXIT_HYPERCALL, KVM_CAP_EXIT_HYPERCALL},
	        {CC_CAP_SYS_ATTRIBUTES, KVM_CAP_SYS_ATTRIBUTES},
	        {CC_EXIT_HYPERCALL, KVM_EXIT_HYPERCALL},
	        {CC_EXIT_SYSTEM_EVENT, KVM_EXIT_SYSTEM_EVENT},
	        {CC_SYSTEM_EVENT_SEV_TERM, KVM_SYSTEM_EVENT_SEV_TERM},
	        {CC_SEV_LAUNCH_START, KVM_SEV_LAUNCH_START},
	        {CC_SEV_LAUNCH_UPDATE_VMSA, KVM_SEV_LAUNCH_UPDATE_VMSA},
	        {CC_SEV_LAUNCH_SECRET, KVM_SEV_LAUNCH_SECRET},
	        {CC_SEV_LAUNCH_FINISH, KVM_SEV_LAUNCH_FINISH},
	        {CC_SEV_GUEST_STATUS, KVM_SEV_GUEST_STATUS},
	        {CC_SEV_GET_ATTESTATION_REPORT, KVM_SEV_GET_ATTESTATION_REPORT},
	};

	for (size_t i = 0; i < BASE_COUNT(numbers); i++)
		ck_assert_uint_eq(numbers[i].ours, numbers[i].theirs);
}
END_TEST

START_TEST(test_exits)
{
	ck_assert_uint_eq(offsetof(struct kvm_run, hypercall.args),
	                  offsetof(struct cc_exit_hypercall, args));
	ck_assert_uint_eq(offsetof(struct kvm_run, hypercall.ret),
	                  offsetof(struct cc_exit_hypercall, ret));
	ck_assert_uint_eq(offsetof(struct kvm_run, hw), CC_EXIT_UNION);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("confidential_uapi");
	TCase *tcase = tcase_create("headers");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, test_numbers);
	tcase_add_test(tcase, test_exits);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
