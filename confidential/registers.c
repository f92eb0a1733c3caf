// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * registers: a vCPU is given what stands in the VMSA that the walker made, so that KVM makes that VMSA again when
 * it measures the vCPU (sev_es_sync_vmsa() in arch/x86/kvm/svm/sev.c). What KVM puts there by itself stays away:
 * EFER.SVME, CR4.MCE, DR6 and DR7, XCR0, PAT and the FPU's words after its reset, SEV_FEATURES.
 */
#include <linux/kvm.h>

#include "base/base.h"
#include "confidential/flow_private.h"

/* Offsets in APM volume 2, table B-4. */
enum registers_offset {
	REGISTERS_ES = 0x00,
	REGISTERS_CS = 0x10,
	REGISTERS_SS = 0x20,
	REGISTERS_DS = 0x30,
	REGISTERS_FS = 0x40,
	REGISTERS_GS = 0x50,
	REGISTERS_GDTR = 0x60,
	REGISTERS_LDTR = 0x70,
	REGISTERS_IDTR = 0x80,
	REGISTERS_TR = 0x90,
	REGISTERS_EFER = 0xd0,
	REGISTERS_CR4 = 0x148,
	REGISTERS_CR3 = 0x150,
	REGISTERS_CR0 = 0x158,
	REGISTERS_RFLAGS = 0x170,
	REGISTERS_RIP = 0x178,
	REGISTERS_RSP = 0x1d8,
	REGISTERS_RDX = 0x310,
};
enum { REGISTERS_EFER_SVME = 1 << 12, REGISTERS_CR4_MCE = 1 << 6 };

/* Selector, attributes (those of the descriptor, without the limit's bits between), limit, base. */
static struct kvm_segment registers_segment(const uint8_t *at)
{
	const uint16_t bits = base_le16(at + 2);

	return (struct kvm_segment){.selector = base_le16(at),
	                            .limit = base_le32(at + 4),
	                            .base = base_le64(at + 8),
	                            .type = bits & 0xf,
	                            .s = bits >> 4 & 1,
	                            .dpl = bits >> 5 & 3,
	                            .present = bits >> 7 & 1,
	                            .avl = bits >> 8 & 1,
	                            .l = bits >> 9 & 1,
	                            .db = bits >> 10 & 1,
	                            .g = bits >> 11 & 1,
	                            .unusable = !(bits >> 7 & 1)};
}

static struct kvm_dtable registers_table(const uint8_t *at)
{
	return (struct kvm_dtable){.base = base_le64(at + 8), .limit = base_le16(at + 4)};
}

int cc_registers(const struct cc_guest *guest, int vcpu, const uint8_t page[CONFIDENTIAL_PAGE],
                 char *why)
{
	struct kvm_sregs sregs = {0};
	struct kvm_regs regs = {.rip = base_le64(page + REGISTERS_RIP),
	                        .rsp = base_le64(page + REGISTERS_RSP),
	                        .rflags = base_le64(page + REGISTERS_RFLAGS),
	                        .rdx = base_le64(page + REGISTERS_RDX)};
	int err = cc_call(guest, vcpu, (uint32_t)KVM_GET_SREGS, &sregs);

	sregs.es = registers_segment(page + REGISTERS_ES);
	sregs.cs = registers_segment(page + REGISTERS_CS);
	sregs.ss = registers_segment(page + REGISTERS_SS);
	sregs.ds = registers_segment(page + REGISTERS_DS);
	sregs.fs = registers_segment(page + REGISTERS_FS);
	sregs.gs = registers_segment(page + REGISTERS_GS);
	sregs.ldt = registers_segment(page + REGISTERS_LDTR);
	sregs.tr = registers_segment(page + REGISTERS_TR);
	sregs.gdt = registers_table(page + REGISTERS_GDTR);
	sregs.idt = registers_table(page + REGISTERS_IDTR);
	sregs.cr0 = base_le64(page + REGISTERS_CR0);
	sregs.cr3 = base_le64(page + REGISTERS_CR3);
	sregs.cr4 = base_le64(page + REGISTERS_CR4) & ~(uint64_t)REGISTERS_CR4_MCE;
	sregs.efer = base_le64(page + REGISTERS_EFER) & ~(uint64_t)REGISTERS_EFER_SVME;
	if (!err)
		err = cc_call(guest, vcpu, (uint32_t)KVM_SET_SREGS, &sregs);
	if (!err)
		err = cc_call(guest, vcpu, (uint32_t)KVM_SET_REGS, &regs);
	return err ? why_set(why, err, "KVM refuses a vCPU's first registers: %s", strerror(-err))
	           : 0;
}
