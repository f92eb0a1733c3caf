// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * msr: KVM answers for a few hundred MSRs, and for more in each version. A guest needs those of the list
 * below; the rest is not there for it, as its CPUID says: no performance counters, no VMX or SVM unless
 * it may have guests of its own, no resource director, no trace, no Hyper-V, no Xen. The x2APIC's
 * registers (0x800) pass any filter. Numbers: SDM vol. 4; APM vol. 2, appendix A; for KVM's own
 * Documentation/virt/kvm/x86/msr.rst.
 */
#include "vmm/msr.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "base/base.h"

enum {
	MSR_FEATURE_CONTROL = 0x3a,
	MSR_MISC_ENABLE = 0x1a0,
	MSR_MTRR_DEFAULT = 0x2ff,
	FEATURE_CONTROL_LOCKED = 1 << 0,
	FEATURE_CONTROL_VMX = 1 << 2,
	MISC_ENABLE_FAST_STRINGS = 1 << 0,
	MISC_ENABLE_NO_BTS = 1 << 11,
	MISC_ENABLE_NO_PEBS = 1 << 12,
	MTRR_ENABLED_WRITE_BACK = 1 << 11 | 6,

	MSR_BITMAP_MAX = 0x200 / 8, /* bytes of the widest range */
};

/* Ranges of KVM's filter; a row of msr_allowed lies in one of them. KVM takes 16. */
static const struct {
	uint32_t base, count;
} msr_ranges[] = {
        {0x0, 0x200},        {0x200, 0x100},     {0x400, 0x100},    {0x6e0, 0x8},
        {0xda0, 0x8},        {0x4b564d00, 0x10}, {0xc0000080, 0x8}, {0xc0000100, 0x8},
        {0xc0010000, 0x150}, {0xc0011020, 0x10},
};
_Static_assert(BASE_COUNT(msr_ranges) <= KVM_MSR_FILTER_MAX_RANGES, "KVM takes so many");

static const struct {
	uint32_t first, last;
	bool nested; /* only for guests that may have guests */
} msr_allowed[] = {
        {0x0, 0x1, false},   /* machine check address and type */
        {0x10, 0x12, false}, /* TSC; KVM's first clock */
        {0x17, 0x17, false}, /* platform id */
        {0x1b, 0x1b, false}, /* APIC base */
        {0x2a, 0x2a, false}, /* hard power-on */
        {MSR_FEATURE_CONTROL, MSR_FEATURE_CONTROL, true},
        {0x3b, 0x3b, false},             /* TSC adjust */
        {0x48, 0x49, false},             /* speculation control, prediction command */
        {0x79, 0x79, false},             /* microcode update: KVM ignores it */
        {0x8b, 0x8b, false},             /* microcode revision: KVM's own number */
        {0xcd, 0xce, false},             /* bus frequency; platform info */
        {0xfe, 0xfe, false},             /* MTRR capabilities */
        {0x10a, 0x10b, false},           /* architectural capabilities; flush command */
        {0x119, 0x119, false},           /* BBL_CR_CTL */
        {0x122, 0x122, false},           /* TSX control */
        {0x140, 0x140, false},           /* CPUID faulting */
        {0x174, 0x176, false},           /* SYSENTER */
        {0x179, 0x17b, false},           /* machine check capabilities, status, control */
        {0x198, 0x199, false},           /* performance state: KVM's constants */
        {0x1a0, 0x1a0, false},           /* miscellaneous enables */
        {0x1d9, 0x1d9, false},           /* debug control */
        {0x1db, 0x1de, false},           /* last branches */
        {0x1fc, 0x1fc, false},           /* power control */
        {0x200, 0x20f, false},           /* MTRRs */
        {0x250, 0x250, false},           /* ... fixed */
        {0x258, 0x259, false},           /* ... fixed */
        {0x268, 0x26f, false},           /* ... fixed */
        {0x277, 0x277, false},           /* page attributes */
        {0x280, 0x29f, false},           /* corrected machine checks */
        {0x2ff, 0x2ff, false},           /* MTRR default */
        {0x400, 0x47f, false},           /* machine check banks */
        {0x480, 0x493, true},            /* VMX capabilities */
        {0x6e0, 0x6e0, false},           /* TSC deadline */
        {0xda0, 0xda0, false},           /* XSS */
        {0x4b564d00, 0x4b564d08, false}, /* KVM's clock, faults, steal time, EOI, polling */
        {0xc0000080, 0xc0000084, false}, /* EFER, SYSCALL */
        {0xc0000100, 0xc0000103, false}, /* FS, GS and kernel GS base, TSC_AUX */
        {0xc0010010, 0xc0010010, false}, /* SYSCFG */
        {0xc0010015, 0xc001001d, false}, /* HWCR, IORRs, top of memory */
        {0xc001001f, 0xc001001f, false}, /* northbridge configuration */
        {0xc0010055, 0xc0010055, false}, /* interrupt pending messages */
        {0xc0010058, 0xc0010058, false}, /* MMIO configuration base */
        {0xc0010061, 0xc0010064, false}, /* P-states: KVM's constants */
        {0xc0010111, 0xc0010113, false}, /* SMM base and mask */
        {0xc0010114, 0xc0010117, true},  /* SVM: VM_CR, host save area */
        {0xc0010140, 0xc0010141, false}, /* OS visible workarounds */
        {0xc0011020, 0xc001102a, false}, /* load/store, cache and decode configuration */
};

struct msr_filter {
	struct kvm_msr_filter filter;
	uint8_t bitmaps[BASE_COUNT(msr_ranges)][MSR_BITMAP_MAX];
};

static void msr_range(struct kvm_msr_filter_range *range, uint8_t *bitmap, size_t at, bool nested)
{
	uint32_t base = msr_ranges[at].base, count = msr_ranges[at].count;

	*range = (struct kvm_msr_filter_range){
	        .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
	        .base = base,
	        .nmsrs = count,
	        .bitmap = bitmap,
	};
	for (size_t i = 0; i < BASE_COUNT(msr_allowed); i++) {
		if (msr_allowed[i].first < base || msr_allowed[i].first - base >= count ||
		    (msr_allowed[i].nested && !nested))
			continue;
		for (uint32_t msr = msr_allowed[i].first; msr <= msr_allowed[i].last; msr++)
			bitmap[(msr - base) / 8] |= (uint8_t)(1u << (msr - base) % 8);
	}
}

int msr_guard(struct machine *m)
{
	struct kvm_enable_cap pmu = {.cap = KVM_CAP_PMU_CAPABILITY, .args = {KVM_PMU_CAP_DISABLE}};
	BASE_AUTO_FREE struct msr_filter *all = calloc(1, sizeof(*all));

	if (!all)
		return -ENOMEM;
	/* Where KVM cannot switch them off, Intel's are off by CPUID already. */
	if (ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_PMU_CAPABILITY) & KVM_PMU_CAP_DISABLE &&
	    ioctl(m->vm, KVM_ENABLE_CAP, &pmu) < 0)
		return -errno;
	if (ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_MSR_FILTER) <= 0)
		return 0;
	all->filter.flags = KVM_MSR_FILTER_DEFAULT_DENY;
	for (size_t i = 0; i < BASE_COUNT(msr_ranges); i++)
		msr_range(&all->filter.ranges[i], all->bitmaps[i], i, m->cpu.nested);
	return ioctl(m->vm, KVM_X86_SET_MSR_FILTER, &all->filter) < 0 ? -errno : 0;
}

/*
 * MTRRs on with write-back as the default: with them off, Linux takes it that the PAT is unusable.
 * A host whose KVM does not know one of them sets those before it.
 */
int msr_set(const struct machine *m, int vcpu)
{
	struct kvm_enable_cap enforce = {.cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID, .args = {1}};
	struct {
		uint32_t count, padding; /* laid out as struct kvm_msrs */
		struct kvm_msr_entry entries[3];
	} msrs = {
	        .count = 2,
	        .entries = {{.index = MSR_MISC_ENABLE,
	                     .data = MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_NO_BTS |
	                             MISC_ENABLE_NO_PEBS},
	                    {.index = MSR_MTRR_DEFAULT, .data = MTRR_ENABLED_WRITE_BACK},
	                    {.index = MSR_FEATURE_CONTROL,
	                     .data = FEATURE_CONTROL_LOCKED | FEATURE_CONTROL_VMX}},
	};

	msrs.count += cpuid_has(m->cpuid, "vmx");
	if (ioctl(vcpu, KVM_SET_MSRS, &msrs) < 0)
		return -errno;
	if (ioctl(m->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ENFORCE_PV_FEATURE_CPUID) <= 0)
		return 0;
	return ioctl(vcpu, KVM_ENABLE_CAP, &enforce) < 0 ? -errno : 0;
}
