// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_state: what firmware would have left in a processor. The boot processor starts in the mode
 * that its boot protocol asks for; the others wait for INIT and SIPI, as KVM makes them.
 */
#include "vmm/vcpu_state.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "base/base.h"
#include "confidential/uapi.h"
#include "vmm/boot.h"
#include "vmm/msr.h"

enum {
	CR0_PE = 1 << 0,
	CR0_ET = 1 << 4,
	CR4_PAE = 1 << 5,
	EFER_LME = 1 << 8,
	EFER_LMA = 1 << 10,
	RFLAGS_FIXED = 1 << 1,
	LAPIC_LVT_LINT0 = 0x350,
	LAPIC_LVT_LINT1 = 0x360,
	LVT_MASKED = 1 << 16,
	LVT_NMI = 4 << 8,

	/* in a native context (the IGVM format's IgvmNativeVpContextX64) */
	NATIVE_IDTR = 144,
	NATIVE_GDTR = 158,
	NATIVE_CODE = 168,
	NATIVE_DATA = 180,
	NATIVE_GS_BASE = 192,
};
_Static_assert((int)NATIVE_GS_BASE + 5 * 8 == (int)LAUNCH_NATIVE_CONTEXT, "its end");
#define CR0_PG (1ull << 31)

static int vcpu_cpuid(int fd, const struct cpuid_table *table, unsigned int index,
                      unsigned int count)
{
	struct cpuid_table guest = *table;

	cpuid_personal(&guest, index, count);
	return ioctl(fd, KVM_SET_CPUID2, &guest) < 0 ? -errno : 0;
}

/* No PIC: LINT0 is masked. LINT1 is NMI on every processor, as the MADT says. */
static int vcpu_lapic(int fd)
{
	struct kvm_lapic_state lapic;
	uint32_t lint0 = LVT_MASKED, lint1 = LVT_NMI;

	if (ioctl(fd, KVM_GET_LAPIC, &lapic) < 0)
		return -errno;
	memcpy(&lapic.regs[LAPIC_LVT_LINT0], &lint0, sizeof(lint0));
	memcpy(&lapic.regs[LAPIC_LVT_LINT1], &lint1, sizeof(lint1));
	return ioctl(fd, KVM_SET_LAPIC, &lapic) < 0 ? -errno : 0;
}

static void vcpu_flat(struct kvm_sregs *sregs, bool long_mode)
{
	struct kvm_segment data = {.limit = 0xffffffff,
	                           .selector = BOOT_SELECTOR_DATA,
	                           .type = 3,
	                           .present = 1,
	                           .db = 1,
	                           .s = 1,
	                           .g = 1};

	sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
	sregs->cs = data;
	sregs->cs.selector = BOOT_SELECTOR_CODE;
	sregs->cs.type = 11;
	sregs->cs.l = long_mode;
	sregs->cs.db = !long_mode;
	sregs->tr = (struct kvm_segment){
	        .limit = 0x67, .selector = BOOT_SELECTOR_TASK, .type = 11, .present = 1};
}

static int vcpu_registers(int fd, const struct vcpu_start *start)
{
	struct kvm_regs regs = {
	        .rip = start->rip, .rbx = start->rbx, .rsi = start->rsi, .rflags = RFLAGS_FIXED};
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	if (start->real_mode) {
		sregs.cs.base = 0;
		sregs.cs.selector = 0;
	} else {
		vcpu_flat(&sregs, start->long_mode);
		sregs.gdt.base = start->gdt;
		sregs.gdt.limit = BOOT_GDT_ENTRIES * 8 - 1;
		sregs.cr0 = CR0_PE | CR0_ET;
	}
	if (start->long_mode) {
		sregs.cr0 |= CR0_PG;
		sregs.cr3 = start->cr3;
		sregs.cr4 = CR4_PAE;
		sregs.efer = EFER_LME | EFER_LMA;
	}
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

static struct kvm_segment vcpu_native_segment(const uint8_t *at, uint64_t base)
{
	const uint16_t bits = base_le16(at + 2); /* as in a descriptor, with the limit's between */

	return (struct kvm_segment){.selector = base_le16(at),
	                            .base = base,
	                            .limit = base_le32(at + 8),
	                            .type = bits & 0xf,
	                            .s = bits >> 4 & 1,
	                            .dpl = bits >> 5 & 3,
	                            .present = bits >> 7 & 1,
	                            .avl = bits >> 12 & 1,
	                            .l = bits >> 13 & 1,
	                            .db = bits >> 14 & 1,
	                            .g = bits >> 15 & 1};
}

/* The format's native context: registers of 8 bytes in this order, two tables, two segments, and what is left. */
static int vcpu_native(int fd, const uint8_t context[LAUNCH_NATIVE_CONTEXT])
{
	uint64_t general[NATIVE_IDTR / 8];
	struct kvm_regs regs;
	struct kvm_sregs sregs;

	if (ioctl(fd, KVM_GET_SREGS, &sregs) < 0)
		return -errno;
	for (size_t i = 0; i < BASE_COUNT(general); i++)
		general[i] = base_le64(context + 8 * i);
	regs = (struct kvm_regs){.rax = general[0],
	                         .rcx = general[1],
	                         .rdx = general[2],
	                         .rbx = general[3],
	                         .rsp = general[4],
	                         .rbp = general[5],
	                         .rsi = general[6],
	                         .rdi = general[7],
	                         .rip = general[16],
	                         .rflags = general[17] | RFLAGS_FIXED};
	memcpy(&regs.r8, &general[8], 8 * sizeof(regs.r8)); /* and those up to R15 behind it */
	sregs.idt.base = base_le64(context + NATIVE_IDTR);
	sregs.idt.limit = base_le16(context + NATIVE_IDTR + 8);
	sregs.gdt.limit = base_le16(context + NATIVE_GDTR);
	sregs.gdt.base = base_le64(context + NATIVE_GDTR + 2);
	sregs.cs = vcpu_native_segment(context + NATIVE_CODE, base_le32(context + NATIVE_CODE + 4));
	sregs.ds = vcpu_native_segment(context + NATIVE_DATA, base_le32(context + NATIVE_DATA + 4));
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.gs.base = base_le64(context + NATIVE_GS_BASE);
	sregs.cr0 = base_le64(context + NATIVE_GS_BASE + 8);
	sregs.cr3 = base_le64(context + NATIVE_GS_BASE + 16);
	sregs.cr4 = base_le64(context + NATIVE_GS_BASE + 24);
	sregs.efer = base_le64(context + NATIVE_GS_BASE + 32);
	if (ioctl(fd, KVM_SET_SREGS, &sregs) < 0 || ioctl(fd, KVM_SET_REGS, &regs) < 0)
		return -errno;
	return 0;
}

int vcpu_state_set(const struct machine *m, int fd, unsigned int index, unsigned int count,
                   const struct vcpu_start *start, char *why)
{
	int error = vcpu_cpuid(fd, m->cpuid, index, count);

	if (error)
		return why_set(why, error, "KVM refuses the CPUID of vCPU %u: %s", index,
		               strerror(-error));
	if (m->private.type == CC_X86_TDX_VM)
		return 0; /* the rest is the module's from the start */
	error = msr_set(m, fd);
	if (error)
		return why_set(why, error, "KVM refuses the MSRs of vCPU %u: %s", index,
		               strerror(-error));
	error = vcpu_lapic(fd);
	if (error)
		return why_set(why, error, "KVM refuses the local APIC of vCPU %u: %s", index,
		               strerror(-error));
	if (index == 0 && start)
		error = start->native ? vcpu_native(fd, start->context) : vcpu_registers(fd, start);
	if (error)
		return why_set(why, error, "KVM refuses the registers of vCPU %u: %s", index,
		               strerror(-error));
	return 0;
}
