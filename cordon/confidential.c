/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Of a policy's confidential guest: why this host cannot start it, always one sentence; and what cordon-vmm is handed to
 * start it with.
 */
#include "confidential/host.h"

#include <fcntl.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "cordon/launch.h"

const char *const host_confidential_limits = "from IGVM files, or from OVMF or TDVF images and a "
                                             "kernel; implemented to the ABI, never run "
                                             "on hardware";

static const enum confidential_type types[] = {
        [POLICY_CC_SEV] = CONFIDENTIAL_SEV,
        [POLICY_CC_SEV_ES] = CONFIDENTIAL_SEV_ES,
        [POLICY_CC_SEV_SNP] = CONFIDENTIAL_SEV_SNP,
        [POLICY_CC_TDX] = CONFIDENTIAL_TDX,
};

/* Private memory for tests needs KVM's type alone; what else that takes, cordon-vmm looks at. */
static int host_private(char *why)
{
	BASE_AUTO_FD int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int known = kvm < 0 ? 0 : ioctl(kvm, CC_CHECK_EXTENSION, CC_CAP_VM_TYPES);

	if (known > 0 && known & 1 << CC_X86_SW_PROTECTED_VM)
		return 0;
	return why_set(why, -ENOTSUP,
	               "KVM lacks the type KVM_X86_SW_PROTECTED_VM (CONFIG_KVM_SW_PROTECTED_VM of "
	               "Linux 6.8 or later)");
}

int host_confidential(enum policy_confidential_type type, char *why)
{
	if (type == POLICY_CC_SW_PROTECTED)
		return host_private(why);
	return cc_host_check(&cc_kernel, NULL, "", types[type], why);
}

int host_confidential_can(const struct policy *policy, struct host_error *error)
{
	const struct policy_confidential *c = &policy->confidential;
	char why[WHY_MAX];

	if (c->type == POLICY_CC_NONE)
		return 0;
	if (host_confidential(c->type, why) != 0)
		return host_fail(error, -ENOTSUP, 126,
		                 "policy line %u: this host has no %s guests: %s", c->line,
		                 c->type == POLICY_CC_SW_PROTECTED
		                         ? "sw-protected"
		                         : confidential_type_name(types[c->type]),
		                 why);
	return 0;
}

/* ---- what cordon-vmm is handed ---- */

int launch_confidential(struct launch *launch, const char *dir, struct host_error *error)
{
	const struct policy_confidential *c = &launch->policy->confidential;
	const struct {
		const char *path;
		int *fd;
	} files[] = {{c->firmware, &launch->firmware},
	             {c->id_block, &launch->id_block},
	             {c->id_auth, &launch->id_auth}};

	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		if (!files[i].path[0])
			continue;
		*files[i].fd = images_open_path(files[i].path, dir, O_RDONLY, error);
		if (*files[i].fd < 0)
			return *files[i].fd;
	}
	if (c->type == POLICY_CC_TDX)
		return 0;
	launch->sev = open("/dev/sev", O_RDWR | O_CLOEXEC);
	return launch->sev < 0
	               ? host_fail(error, -errno, 126, "cannot open /dev/sev: %s", strerror(errno))
	               : 0;
}

/* A page is pinned twice while it is encrypted. */
enum { LAUNCH_LOCKED_MORE = 64 << 20 };

size_t launch_confidential_plan(const struct launch *launch, int first,
                                struct isolate_process *process,
                                struct isolate_fd fds[LAUNCH_CC_FDS], char option[LAUNCH_CC_TEXT])
{
	const struct policy_confidential *c = &launch->policy->confidential;
	const uint64_t memory = launch->policy->vm.memory;
	const struct {
		const char *word;
		int fd;
	} files[LAUNCH_CC_FDS] = {{"firmware", launch->firmware},
	                          {"sev", launch->sev},
	                          {"id-block", launch->id_block},
	                          {"id-auth", launch->id_auth}};
	size_t count = 0, used;

	if (c->type == POLICY_CC_SEV || c->type == POLICY_CC_SEV_ES)
		process->memory_locked_max = memory + LAUNCH_LOCKED_MORE; /* all is pinned */
	else /* its map of shared pages: a bit a page, up to the end of memory */
		process->file_size_max += (memory + (4ull << 30)) / (8ull * 4096);
	if (c->type == POLICY_CC_SW_PROTECTED) {
		snprintf(option, LAUNCH_CC_TEXT, "--private=sw-protected");
		return 0;
	}
	used = (size_t)snprintf(option, LAUNCH_CC_TEXT, "--confidential=%s:abi=%u.%u%s%s",
	                        confidential_type_name(types[c->type]), c->abi_major, c->abi_minor,
	                        c->debug ? ",debug" : "", c->smt ? "" : ",no-smt");
	for (size_t i = 0; i < BASE_COUNT(files); i++) {
		if (files[i].fd < 0)
			continue;
		fds[count] = (struct isolate_fd){.from = files[i].fd, .to = first + (int)count};
		used += (size_t)snprintf(option + used, LAUNCH_CC_TEXT - used, ",%s=%d",
		                         files[i].word, fds[count].to);
		count++;
	}
	used += (size_t)snprintf(option + used, LAUNCH_CC_TEXT - used, ",host-data=");
	for (size_t i = 0; i < sizeof(c->host_data); i++)
		used += (size_t)snprintf(option + used, LAUNCH_CC_TEXT - used, "%02x",
		                         c->host_data[i]);
	return count;
}
