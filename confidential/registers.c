// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * registers: a vCPU is given what stands in the VMSA that the walker made or the IGVM file has, so that KVM makes that
 * VMSA again when it measures the vCPU (sev_es_sync_vmsa() in arch/x86/kvm/svm/sev.c). What KVM puts there by itself
 * stays away: EFER.SVME, CR4.MCE, DR6 and DR7, XCR0, PAT and the FPU's words after its reset, SEV_FEATURES.
 *
 * A file may have more in it than that. What KVM would not make again would be measured otherwise than the file says,
 * so it is refused: registers_check() makes the page that KVM will make.
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
	REGISTERS_CPL = 0xcb,
	REGISTERS_EFER = 0xd0,
	REGISTERS_CR4 = 0x148,
	REGISTERS_CR3 = 0x150,
	REGISTERS_CR0 = 0x158,
	REGISTERS_RFLAGS = 0x170,
	REGISTERS_DR7 = 0x160,
	REGISTERS_DR6 = 0x168,
	REGISTERS_RIP = 0x178,
	REGISTERS_RSP = 0x1d8,
	REGISTERS_RAX = 0x1f8,
	REGISTERS_PAT = 0x268,
	REGISTERS_RCX = 0x308,
	REGISTERS_RDX = 0x310,
	REGISTERS_RBX = 0x318,
	REGISTERS_RBP = 0x328,
	REGISTERS_RSI = 0x330,
	REGISTERS_RDI = 0x338,
	REGISTERS_R8 = 0x340, /* and the others up to R15 behind it */
	REGISTERS_FEATURES = 0x3b0,
	REGISTERS_XCR0 = 0x3e8,
	REGISTERS_MXCSR = 0x408,
	REGISTERS_FCW = 0x410,
};
enum {
	REGISTERS_EFER_SVME = 1 << 12,
	REGISTERS_CR4_MCE = 1 << 6,
	REGISTERS_CR0_CACHE = 3 << 29, /* CD and NW, which KVM leaves out */
	REGISTERS_SEGMENT = 16,
	REGISTERS_TABLE_LIMIT =
	        2, /* bytes: of a GDTR or IDTR, selector and attributes are nothing */
};

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

static void registers_put(uint8_t *page, size_t offset, uint64_t value, size_t size)
{
	for (size_t i = 0; i < size; i++)
		page[offset + i] = (uint8_t)(value >> 8 * i);
}

/* What KVM will make of the registers that it is given from `page`. */
static void registers_made(const struct launch_input *input, const uint8_t page[CONFIDENTIAL_PAGE],
                           uint8_t made[CONFIDENTIAL_PAGE])
{
	static const struct {
		uint16_t at, size;
	} given[] = {
	        {REGISTERS_ES, 6 * REGISTERS_SEGMENT},
	        {REGISTERS_GDTR + 4, REGISTERS_TABLE_LIMIT},
	        {REGISTERS_GDTR + 8, 8},
	        {REGISTERS_LDTR, REGISTERS_SEGMENT},
	        {REGISTERS_IDTR + 4, REGISTERS_TABLE_LIMIT},
	        {REGISTERS_IDTR + 8, 8},
	        {REGISTERS_TR, REGISTERS_SEGMENT},
	        {REGISTERS_CR3, 8},
	        {REGISTERS_RIP, 8},
	        {REGISTERS_RSP, 8},
	        {REGISTERS_RAX, 8},
	        {REGISTERS_RCX, 3 * 8}, /* RCX, RDX, RBX */
	        {REGISTERS_RBP, 3 * 8}, /* RBP, RSI, RDI */
	        {REGISTERS_R8, 8 * 8},
	};

	static const uint16_t segments[] = {REGISTERS_ES,   REGISTERS_CS, REGISTERS_SS,
	                                    REGISTERS_DS,   REGISTERS_FS, REGISTERS_GS,
	                                    REGISTERS_LDTR, REGISTERS_TR};

	memset(made, 0, CONFIDENTIAL_PAGE);
	for (size_t i = 0; i < BASE_COUNT(given); i++)
		memcpy(made + given[i].at, page + given[i].at, given[i].size);
	for (size_t i = 0; i < BASE_COUNT(segments); i++)
		made[segments[i] + 3] &= 0xf; /* attributes are 12 bits */
	made[REGISTERS_CPL] = page[REGISTERS_SS + 2] >> 5 & 3;
	registers_put(made, REGISTERS_RFLAGS, base_le64(page + REGISTERS_RFLAGS) | 2, 8);
	registers_put(made, REGISTERS_EFER, base_le64(page + REGISTERS_EFER) | REGISTERS_EFER_SVME,
	              8);
	registers_put(made, REGISTERS_CR4, base_le64(page + REGISTERS_CR4) | REGISTERS_CR4_MCE, 8);
	registers_put(made, REGISTERS_CR0,
	              base_le64(page + REGISTERS_CR0) & ~(uint64_t)REGISTERS_CR0_CACHE, 8);
	registers_put(made, REGISTERS_DR7, 0x400, 8);
	registers_put(made, REGISTERS_DR6, 0xffff0ff0, 8);
	registers_put(made, REGISTERS_PAT, 0x0007040600070406, 8);
	if (input->type == CONFIDENTIAL_SEV_SNP)
		registers_put(made, REGISTERS_FEATURES, input->features, 8);
	registers_put(made, REGISTERS_XCR0, 1, 8);
	if (!input->es_init) {
		registers_put(made, REGISTERS_MXCSR, 0x1f80, 4);
		registers_put(made, REGISTERS_FCW, 0x37f, 2);
	}
}

static int registers_check(const struct launch_input *input, const uint8_t page[CONFIDENTIAL_PAGE],
                           char *why)
{
	uint8_t made[CONFIDENTIAL_PAGE];
	size_t at = 0;

	registers_made(input, page, made);
	while (at < sizeof(made) && made[at] == page[at])
		at++;
	if (at == sizeof(made))
		return 0;
	at -= at % 8;
	return why_set(why, -ENOTSUP,
	               "the IGVM file has 0x%llx at 0x%zx of a processor's registers (VMSA), where "
	               "KVM puts 0x%llx",
	               (unsigned long long)base_le64(page + at), at,
	               (unsigned long long)base_le64(made + at));
}

int cc_registers(const struct cc_guest *guest, int vcpu, const uint8_t page[CONFIDENTIAL_PAGE],
                 char *why)
{
	struct kvm_sregs sregs = {0};
	struct kvm_regs regs = {.rip = base_le64(page + REGISTERS_RIP),
	                        .rsp = base_le64(page + REGISTERS_RSP),
	                        .rflags = base_le64(page + REGISTERS_RFLAGS),
	                        .rax = base_le64(page + REGISTERS_RAX),
	                        .rcx = base_le64(page + REGISTERS_RCX),
	                        .rdx = base_le64(page + REGISTERS_RDX),
	                        .rbx = base_le64(page + REGISTERS_RBX),
	                        .rbp = base_le64(page + REGISTERS_RBP),
	                        .rsi = base_le64(page + REGISTERS_RSI),
	                        .rdi = base_le64(page + REGISTERS_RDI),
	                        .r8 = base_le64(page + REGISTERS_R8),
	                        .r9 = base_le64(page + REGISTERS_R8 + 8),
	                        .r10 = base_le64(page + REGISTERS_R8 + 16),
	                        .r11 = base_le64(page + REGISTERS_R8 + 24),
	                        .r12 = base_le64(page + REGISTERS_R8 + 32),
	                        .r13 = base_le64(page + REGISTERS_R8 + 40),
	                        .r14 = base_le64(page + REGISTERS_R8 + 48),
	                        .r15 = base_le64(page + REGISTERS_R8 + 56)};
	/* a SEV guest's registers nobody measures: what of them KVM does not take it leaves out */
	int err = guest->input->type == CONFIDENTIAL_SEV ? 0
	                                                 : registers_check(guest->input, page, why);

	if (err)
		return err;
	err = cc_call(guest, vcpu, (uint32_t)KVM_GET_SREGS, &sregs);

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
