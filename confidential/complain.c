// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * complain: what an errno means of a launch command. KVM has few numbers for many rules, and the AMD firmware and
 * Intel's module have numbers of their own beside: each is said in words, with the number.
 */
#include "base/base.h"
#include "confidential/flow_private.h"

/* SEV API table 3, SNP ABI table 5. */
static const char *complain_firmware(uint32_t error)
{
	static const char *const texts[] = {
	        [CC_FW_INVALID_PLATFORM_STATE] = "the platform is not initialised for this",
	        [CC_FW_INVALID_GUEST_STATE] = "the guest is not in the state for this",
	        [CC_FW_INVALID_CONFIG] = "the platform's configuration is not valid",
	        [CC_FW_INVALID_LENGTH] = "a length is wrong: 16 bytes at a time",
	        [CC_FW_ALREADY_OWNED] = "the platform has an owner already",
	        [CC_FW_INVALID_CERTIFICATE] = "a certificate is not valid",
	        [CC_FW_POLICY_FAILURE] =
	                "the guest's policy (abi, debug, smt) does not allow it here",
	        [CC_FW_INACTIVE] = "the guest is not active",
	        [CC_FW_INVALID_ADDRESS] = "an address is wrong: it has to be a multiple of 16",
	        [CC_FW_BAD_SIGNATURE] = "a signature is wrong",
	        [CC_FW_BAD_MEASUREMENT] = "the digest is not the one in the ID block",
	        [CC_FW_ASID_OWNED] = "the guest's ASID is another's: it was started twice",
	        [CC_FW_INVALID_ASID] = "the guest's ASID is out of range",
	        [CC_FW_WBINVD_REQUIRED] = "the caches have to be flushed first",
	        [CC_FW_DFFLUSH_REQUIRED] = "the data fabric has to be flushed first",
	        [CC_FW_INVALID_GUEST] = "there is no such guest: it was not started",
	        [CC_FW_INVALID_COMMAND] = "the firmware does not know the command",
	        [CC_FW_ACTIVE] = "the guest is active",
	        [CC_FW_HWERROR_PLATFORM] = "a hardware error",
	        [CC_FW_HWERROR_UNSAFE] = "a hardware error that leaves the platform unsafe",
	        [CC_FW_UNSUPPORTED] = "the firmware cannot do that",
	        [CC_FW_INVALID_PARAM] = "a parameter is not valid",
	        [CC_FW_RESOURCE_LIMIT] = "the firmware has no resources left",
	        [CC_FW_SECURE_DATA_INVALID] = "the part's own data is damaged",
	        [CC_FW_INVALID_PAGE_SIZE] = "a page has the wrong size",
	        [CC_FW_INVALID_PAGE_STATE] = "a page is not in the state for this",
	        [CC_FW_INVALID_MDATA_ENTRY] = "a metadata entry is not valid",
	        [CC_FW_INVALID_PAGE_OWNER] = "a page is another guest's",
	        [CC_FW_AEAD_OVERFLOW] = "a counter would overflow",
	        [CC_FW_RMP_INIT_REQUIRED] = "the reverse map table is not initialised",
	        [CC_FW_BAD_SVN] = "the firmware's security version is too low",
	        [CC_FW_BAD_VERSION] = "the firmware's version is too low",
	        [CC_FW_SHUTDOWN_REQUIRED] = "the platform has to be shut down first",
	};

	return error < BASE_COUNT(texts) && texts[error] ? texts[error] : "an error without a name";
}

struct complain_rule {
	uint32_t id;
	int err;
	const char *text;
};

static const char *complain_find(const struct complain_rule *rules, size_t count, uint32_t id,
                                 int err)
{
	for (size_t i = 0; i < count; i++)
		if (rules[i].id == id && rules[i].err == -err)
			return rules[i].text;
	return NULL;
}

static const char *complain_sev_name(uint32_t id)
{
	switch (id) {
	case CC_SEV_INIT: return "SEV_INIT";
	case CC_SEV_ES_INIT: return "SEV_ES_INIT";
	case CC_SEV_INIT2: return "SEV_INIT2";
	case CC_SEV_LAUNCH_START: return "LAUNCH_START";
	case CC_SEV_LAUNCH_UPDATE_DATA: return "LAUNCH_UPDATE_DATA";
	case CC_SEV_LAUNCH_UPDATE_VMSA: return "LAUNCH_UPDATE_VMSA";
	case CC_SEV_LAUNCH_MEASURE: return "LAUNCH_MEASURE";
	case CC_SEV_LAUNCH_FINISH: return "LAUNCH_FINISH";
	case CC_SEV_SNP_LAUNCH_START: return "SNP_LAUNCH_START";
	case CC_SEV_SNP_LAUNCH_UPDATE: return "SNP_LAUNCH_UPDATE";
	default: return "SNP_LAUNCH_FINISH";
	}
}

/* arch/x86/kvm/svm/sev.c, where each has one meaning that can be said. */
static const struct complain_rule complain_sev_rules[] = {
        {CC_SEV_INIT, EINVAL,
         "the VM has vCPUs, was initialised already, or is not of the default type"},
        {CC_SEV_ES_INIT, EINVAL,
         "the VM has vCPUs, was initialised already, or is not of the default type"},
        {CC_SEV_INIT2, EINVAL,
         "the VM has vCPUs, was initialised already, or SEV_FEATURES has what this host cannot"},
        {CC_SEV_INIT2, EBUSY, "all ASIDs of this host are taken"},
        {CC_SEV_INIT, EBUSY, "all ASIDs of this host are taken"},
        {CC_SEV_ES_INIT, EBUSY, "all ASIDs of this host are taken"},
        {CC_SEV_LAUNCH_START, EBADF, "/dev/sev is not the device of the AMD firmware"},
        {CC_SEV_SNP_LAUNCH_START, EBADF, "/dev/sev is not the device of the AMD firmware"},
        {CC_SEV_LAUNCH_UPDATE_DATA, ENOMEM,
         "the pages cannot be pinned: too few may be locked (RLIMIT_MEMLOCK)"},
        {CC_SEV_LAUNCH_UPDATE_VMSA, EINVAL, "a vCPU is being debugged"},
        {CC_SEV_SNP_LAUNCH_START, EINVAL,
         "it was started already, or its policy has bits that KVM does not take"},
        {CC_SEV_SNP_LAUNCH_UPDATE, EINVAL,
         "no whole pages, a type that it does not know, or memory without a guest_memfd"},
        {CC_SEV_SNP_LAUNCH_UPDATE, EIO, "a page is not private, or is in the launch twice"},
        {CC_SEV_SNP_LAUNCH_FINISH, EINVAL, "it was not started, or a vCPU is being debugged"},
};

int cc_complain_sev(uint32_t id, int err, uint32_t firmware, char *why)
{
	const char *name = complain_sev_name(id);
	const char *text =
	        complain_find(complain_sev_rules, BASE_COUNT(complain_sev_rules), id, err);

	if (err == -EIO && firmware != CC_FW_SUCCESS)
		return why_set(why, err, "the AMD firmware refuses %s: %s (error 0x%x)", name,
		               complain_firmware(firmware), firmware);
	if (err == -ENOTTY)
		text = "the VM was not initialised for it, or this host has none of it";
	if (err == -EPERM)
		text = "it is a SEV command, and the guest is a SEV-SNP one";
	return why_set(why, err, "KVM refuses %s: %s%s%s", name, strerror(-err), text ? ": " : "",
	               text ? text : "");
}

/* arch/x86/kvm/vmx/tdx.c. */
static const struct complain_rule complain_tdx_rules[] = {
        {CC_TDX_INIT_VM, EINVAL,
         "it was initialised already, or attributes, XFAM or CPUID are not as the TDX module has "
         "them"},
        {CC_TDX_INIT_VCPU, EINVAL,
         "the trust domain is not initialised, the vCPU is already, or its CPUID has no x2APIC"},
        {CC_TDX_INIT_MEM_REGION, EINVAL,
         "no whole pages, beyond the private half, or the vCPU is not initialised"},
        {CC_TDX_INIT_MEM_REGION, EIO, "the TDX module does not take the page"},
        {CC_TDX_INIT_MEM_REGION, EFAULT, "the memory there is not private"},
        {CC_TDX_INIT_MEM_REGION, EEXIST, "a page is in the launch twice"},
        {CC_TDX_FINALIZE_VM, EINVAL,
         "the trust domain is not initialised, or was finalised already"},
};

int cc_complain_tdx(uint32_t id, int err, uint64_t module, char *why)
{
	static const char *const names[] = {"TDX_CAPABILITIES", "TDX_INIT_VM",
	                                    "TDX_INIT_VCPU",    "TDX_INIT_MEM_REGION",
	                                    "TDX_FINALIZE_VM",  "TDX_GET_CPUID"};
	const char *text =
	        complain_find(complain_tdx_rules, BASE_COUNT(complain_tdx_rules), id, err);

	if (module)
		return why_set(why, err, "the TDX module refuses %s: error 0x%llx", names[id],
		               (unsigned long long)module);
	if (err == -ENOTTY)
		text = "the VM is not a trust domain";
	return why_set(why, err, "KVM refuses %s: %s%s%s", names[id], strerror(-err),
	               text ? ": " : "", text ? text : "");
}
