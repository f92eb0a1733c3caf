/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What this host and this version say of a policy's confidential guest: why it cannot start, always one sentence. */
#include "confidential/host.h"

#include <fcntl.h>
#include <sys/ioctl.h>

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

/* Private memory for tests needs KVM's type alone; what else that takes, cordon-vmm looks at. */
static int host_private_can(uint32_t line, struct host_error *error)
{
	BASE_AUTO_FD int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int known = kvm < 0 ? 0 : ioctl(kvm, CC_CHECK_EXTENSION, CC_CAP_VM_TYPES);

	if (known > 0 && known & 1 << CC_X86_SW_PROTECTED_VM)
		return 0;
	return host_fail(
	        error, -ENOTSUP, 126,
	        "policy line %u: this host has no sw-protected guests: KVM lacks the type "
	        "KVM_X86_SW_PROTECTED_VM (CONFIG_KVM_SW_PROTECTED_VM of Linux 6.8 or later)",
	        line);
}

int host_confidential_can(const struct policy *policy, struct host_error *error)
{
	const struct policy_confidential *c = &policy->confidential;
	const char *name;
	char why[WHY_MAX];

	if (c->type == POLICY_CC_NONE)
		return 0;
	if (c->type == POLICY_CC_SW_PROTECTED)
		return host_private_can(c->line, error);
	name = confidential_type_name(types[c->type]);
	if (host_confidential(c->type, why) != 0)
		return host_fail(error, -ENOTSUP, 126,
		                 "policy line %u: this host has no %s guests: %s", c->line, name,
		                 why);
	return host_fail(error, -ENOTSUP, 126, "policy line %u: %s: %s", c->line, name,
	                 host_confidential_not_yet);
}
