// SPDX-License-Identifier: GPL-2.0-or-later
/* wishes: what a policy asks for, as the numbers that each firmware is given and that each report has. */
#include "confidential/flow.h"

enum {
	SEV_POLICY_NODBG = 1 << 0,  /* the host cannot read or write it for debugging */
	SEV_POLICY_NOKS = 1 << 1,   /* shares its key with no other guest */
	SEV_POLICY_ES = 1 << 2,     /* its registers are encrypted too */
	SEV_POLICY_NOSEND = 1 << 3, /* is not sent to another platform */
	SEV_POLICY_API_MAJOR = 16,  /* a shift */
	SEV_POLICY_API_MINOR = 24,
};

uint32_t cc_sev_policy(enum confidential_type type, const struct cc_wishes *wishes)
{
	return (wishes->debug ? 0 : SEV_POLICY_NODBG) | SEV_POLICY_NOKS | SEV_POLICY_NOSEND |
	       (type == CONFIDENTIAL_SEV_ES ? SEV_POLICY_ES : 0) |
	       (uint32_t)wishes->abi_major << SEV_POLICY_API_MAJOR |
	       (uint32_t)wishes->abi_minor << SEV_POLICY_API_MINOR;
}

uint64_t cc_snp_policy(const struct cc_wishes *wishes)
{
	return wishes->abi_minor | (uint64_t)wishes->abi_major << SNP_POLICY_ABI_MAJOR |
	       SNP_POLICY_RESERVED_ONE | (wishes->smt ? SNP_POLICY_SMT : 0) |
	       (wishes->debug ? SNP_POLICY_DEBUG : 0);
}

uint64_t cc_tdx_attributes(const struct cc_wishes *wishes)
{
	return CC_TDX_ATTRIBUTE_SEPT_VE_DISABLE | (wishes->debug ? CC_TDX_ATTRIBUTE_DEBUG : 0);
}
