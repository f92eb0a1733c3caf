// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vmsa: the save area with which a virtual processor of SEV-ES and SEV-SNP starts (APM volume 2, table B-4).
 * It is part of the measurement, so each register that a VMM sets before the launch counts: KVM's and each
 * VMM's own are told apart here.
 */
#include "base/base.h"
#include "confidential/confidential.h"

/* Offsets in the page. A segment is selector, attributes (16 bits), limit (32), base (64). */
enum vmsa_offset {
	VMSA_ES = 0x00,
	VMSA_CS = 0x10,
	VMSA_SS = 0x20,
	VMSA_DS = 0x30,
	VMSA_FS = 0x40,
	VMSA_GS = 0x50,
	VMSA_GDTR = 0x60,
	VMSA_LDTR = 0x70,
	VMSA_IDTR = 0x80,
	VMSA_TR = 0x90,
	VMSA_EFER = 0xd0,
	VMSA_CR4 = 0x148,
	VMSA_CR0 = 0x158,
	VMSA_DR7 = 0x160,
	VMSA_DR6 = 0x168,
	VMSA_RFLAGS = 0x170,
	VMSA_RIP = 0x178,
	VMSA_G_PAT = 0x268,
	VMSA_RDX = 0x310,
	VMSA_SEV_FEATURES = 0x3b0,
	VMSA_XCR0 = 0x3e8,
	VMSA_MXCSR = 0x408,
	VMSA_X87_FCW = 0x410,
};

enum {
	VMSA_LIMIT = 0xffff,
	VMSA_EFER_SVME = 0x1000, /* KVM sets it */
	VMSA_CR4_MCE = 0x40,     /* so does it this */
	VMSA_EC2_RDX = 0x600,
};

static void vmsa_put(uint8_t *page, size_t offset, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		page[offset + i] = (uint8_t)(value >> 8 * i);
}

static void vmsa_segment(uint8_t *page, size_t offset, uint16_t selector, uint16_t attributes,
                         uint64_t base)
{
	vmsa_put(page, offset, selector, 2);
	vmsa_put(page, offset + 2, attributes, 2);
	vmsa_put(page, offset + 4, VMSA_LIMIT, 4);
	vmsa_put(page, offset + 8, base, 8);
}

/* What the VMMs do not agree on. */
struct vmsa_start {
	uint16_t cs, ss, tr;
	uint64_t pat, rdx;
	uint32_t mxcsr;
	uint16_t fcw;
};

static struct vmsa_start vmsa_start(const struct launch_input *input, uint32_t eip)
{
	struct vmsa_start start = {
	        .cs = 0x9b, .ss = 0x93, .tr = 0x8b, .pat = 0x0007040600070406, .rdx = VMSA_EC2_RDX};

	if (input->vmm == CONFIDENTIAL_GCE)
		start.pat = 0x00070106;
	if (input->vmm == CONFIDENTIAL_EC2) {
		start.cs = eip == LAUNCH_RESET_EIP ? 0x9a : 0x9b;
		start.ss = 0x92;
		start.tr = 0x83;
	}
	if (input->vmm == CONFIDENTIAL_QEMU) {
		/* CPUID's signature is in EDX after a reset (APM volume 2, table 14-1) */
		start.rdx = input->cpu_signature;
		/* KVM_SEV_ES_INIT left the FPU's state out of the VMSA; KVM_SEV_INIT2 copies it */
		if (!(input->type == CONFIDENTIAL_SEV_ES && input->es_init)) {
			start.mxcsr = 0x1f80;
			start.fcw = 0x37f;
		}
	}
	return start;
}

void vmsa_fill(const struct launch_input *input, uint32_t eip, uint8_t page[CONFIDENTIAL_PAGE])
{
	const struct vmsa_start start = vmsa_start(input, eip);

	memset(page, 0, CONFIDENTIAL_PAGE);
	vmsa_segment(page, VMSA_ES, 0, 0x93, 0);
	vmsa_segment(page, VMSA_CS, 0xf000, start.cs, eip & 0xffff0000);
	vmsa_segment(page, VMSA_SS, 0, start.ss, 0);
	vmsa_segment(page, VMSA_DS, 0, 0x93, 0);
	vmsa_segment(page, VMSA_FS, 0, 0x93, 0);
	vmsa_segment(page, VMSA_GS, 0, 0x93, 0);
	vmsa_segment(page, VMSA_GDTR, 0, 0, 0);
	vmsa_segment(page, VMSA_LDTR, 0, 0x82, 0);
	vmsa_segment(page, VMSA_IDTR, 0, 0, 0);
	vmsa_segment(page, VMSA_TR, 0, start.tr, 0);
	vmsa_put(page, VMSA_EFER, VMSA_EFER_SVME, 8);
	vmsa_put(page, VMSA_CR4, VMSA_CR4_MCE, 8);
	vmsa_put(page, VMSA_CR0, 0x10, 8);
	vmsa_put(page, VMSA_DR7, 0x400, 8);
	vmsa_put(page, VMSA_DR6, 0xffff0ff0, 8);
	vmsa_put(page, VMSA_RFLAGS, 0x2, 8);
	vmsa_put(page, VMSA_RIP, eip & 0xffff, 8);
	vmsa_put(page, VMSA_G_PAT, start.pat, 8);
	vmsa_put(page, VMSA_RDX, start.rdx, 8);
	if (input->type == CONFIDENTIAL_SEV_SNP)
		vmsa_put(page, VMSA_SEV_FEATURES, input->features, 8);
	vmsa_put(page, VMSA_XCR0, 0x1, 8);
	vmsa_put(page, VMSA_MXCSR, start.mxcsr, 4);
	vmsa_put(page, VMSA_X87_FCW, start.fcw, 2);
}
