/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host and this version say of a policy's confidential guest: why it cannot start, always one sentence. */
#include "confidential/host.h"

#include "base/base.h"
#include "cordon/host.h"

const char *const host_confidential_not_yet =
        "the launch is implemented to the ABI and never run on hardware, and cordon-vmm has no "
        "part "
        "yet through which such firmware gets its kernel (fw_cfg): not in this version";

static const enum confidential_type types[] = {
        [POLICY_CC_SEV] = CONFIDENTIAL_SEV,
        [POLICY_CC_SEV_ES] = CONFIDENTIAL_SEV_ES,
        [POLICY_CC_SEV_SNP] = CONFIDENTIAL_SEV_SNP,
        [POLICY_CC_TDX] = CONFIDENTIAL_TDX,
};

int host_confidential(enum policy_confidential_type type, char *why)
{
	return cc_host_check(&cc_kernel, NULL, "", types[type], why);
}

int host_confidential_can(const struct policy *policy, struct host_error *error)
{
	const struct policy_confidential *c = &policy->confidential;
	const char *name;
	char why[WHY_MAX];

	if (c->type == POLICY_CC_NONE)
		return 0;
	name = confidential_type_name(types[c->type]);
	if (host_confidential(c->type, why) != 0)
		return host_fail(error, -ENOTSUP, 126,
		                 "policy line %u: this host has no %s guests: %s", c->line, name,
		                 why);
	return host_fail(error, -ENOTSUP, 126, "policy line %u: %s: %s", c->line, name,
	                 host_confidential_not_yet);
}
