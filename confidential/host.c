// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * host: what a confidential guest needs of its host, from the outside in: KVM, its module, the module's parameter
 * (which is N where the processor or the firmware does not give the feature), a type of VM, private memory, and the
 * AMD firmware's device. The first thing that is missing is named.
 */
#include "confidential/host.h"

#include <fcntl.h>
#include <sys/utsname.h>

#include "base/base.h"

struct host_type {
	const char *module, *parameter;
	enum cc_vm_type vm;
	const char *since; /* the first Linux that starts such guests as cordon does */
	bool private_memory, device;
};

static const struct host_type host_types[CONFIDENTIAL_TYPES] = {
        [CONFIDENTIAL_SEV] = {"kvm_amd", "sev", CC_X86_SEV_VM, "6.10", false, true},
        [CONFIDENTIAL_SEV_ES] = {"kvm_amd", "sev_es", CC_X86_SEV_ES_VM, "6.10", false, true},
        [CONFIDENTIAL_SEV_SNP] = {"kvm_amd", "sev_snp", CC_X86_SNP_VM, "6.11", true, true},
        [CONFIDENTIAL_TDX] = {"kvm_intel", "tdx", CC_X86_TDX_VM, "6.16", true, false},
};

static const struct {
	int number;
	const char *name;
} host_private[] = {
        {CC_CAP_USER_MEMORY2, "KVM_CAP_USER_MEMORY2"},
        {CC_CAP_MEMORY_FAULT_INFO, "KVM_CAP_MEMORY_FAULT_INFO"},
        {CC_CAP_GUEST_MEMFD, "KVM_CAP_GUEST_MEMFD"},
        {CC_CAP_EXIT_HYPERCALL, "KVM_CAP_EXIT_HYPERCALL"},
};

/* The module's parameter: its first byte, 0 where there is no such file. */
static char host_parameter(const char *root, const struct host_type *type)
{
	char path[256], value = 0;
	int fd BASE_AUTO_FD = -1;

	snprintf(path, sizeof(path), "%s/sys/module/%s/parameters/%s", root, type->module,
	         type->parameter);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && read(fd, &value, 1) == 1 ? value : 0;
}

static bool host_module(const char *root, const struct host_type *type)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/sys/module/%s", root, type->module);
	return access(path, F_OK) == 0;
}

static int host_check_module(const char *root, const struct host_type *type, char *why)
{
	struct utsname kernel = {0};
	char value;

	if (!host_module(root, type))
		return why_set(why, -ENOTSUP,
		               "the module %s is not loaded: another processor, or it is off in "
		               "the BIOS",
		               type->module);
	value = host_parameter(root, type);
	if (value == 'Y' || value == '1')
		return 0;
	uname(&kernel);
	if (value == 0)
		return why_set(why, -ENOTSUP,
		               "%s has no parameter %s: Linux %s is here; %s or later, built with "
		               "it, is needed",
		               type->module, type->parameter, kernel.release, type->since);
	return why_set(why, -ENOTSUP,
	               "%s's parameter %s is %c: the processor, the firmware or the kernel's "
	               "command line does not give it",
	               type->module, type->parameter, value);
}

static int host_capability(const struct cc_ops *ops, void *self, int kvm, int number)
{
	int value = ops->call(self, kvm, CC_CHECK_EXTENSION, (void *)(uintptr_t)(unsigned)number);

	return BASE_MAX(value, 0);
}

static int host_check_kvm(const struct cc_ops *ops, void *self, int kvm,
                          const struct host_type *type, char *why)
{
	const int types = host_capability(ops, self, kvm, CC_CAP_VM_TYPES);
	struct utsname kernel = {0};

	uname(&kernel);
	if (!(types & 1 << type->vm))
		return why_set(why, -ENOTSUP,
		               "KVM_CAP_VM_TYPES is 0x%x, without type %d: Linux %s is here, %s or "
		               "later is needed",
		               types, type->vm, kernel.release, type->since);
	for (size_t i = 0; type->private_memory && i < BASE_COUNT(host_private); i++)
		if (!host_capability(ops, self, kvm, host_private[i].number))
			return why_set(why, -ENOTSUP, "KVM lacks %s", host_private[i].name);
	return 0;
}

int cc_host_check(const struct cc_ops *ops, void *self, const char *root,
                  enum confidential_type type, char *why)
{
	const struct host_type *need = &host_types[type];
	int kvm = ops->open(self, "/dev/kvm"), device, err;

	if (kvm < 0)
		return why_set(why, -ENOTSUP, "/dev/kvm cannot be opened: %s", strerror(-kvm));
	err = host_check_module(root, need, why);
	if (!err)
		err = host_check_kvm(ops, self, kvm, need, why);
	ops->close(self, kvm);
	if (err || !need->device)
		return err;
	device = ops->open(self, "/dev/sev");
	if (device < 0)
		return why_set(why, -ENOTSUP,
		               "/dev/sev, the AMD firmware's device, cannot be opened: %s",
		               strerror(-device));
	ops->close(self, device);
	return 0;
}
