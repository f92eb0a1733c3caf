// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The firmware's part of the model: the state of a guest, and its digest over what it was given (SEV API sections
 * 6.2 to 6.6; SNP ABI sections 8.16 to 8.18; TDX module section 12.2).
 */
#include <openssl/hmac.h>

#include "base/base.h"
#include "tests/unit/confidential_fake.h"

static void put(uint8_t *to, uint64_t value, size_t size)
{
	memcpy(to, &value,
	       size); /* this machine is little-endian, as the firmware's structures are */
}

static void sha384(const void *bytes, size_t size, uint8_t out[48])
{
	if (EVP_Digest(bytes, size, out, NULL, EVP_sha384(), NULL) != 1)
		abort();
}

static void more(struct fake *fake, const void *bytes, size_t size)
{
	if (EVP_DigestUpdate(fake->hash, bytes, size) != 1)
		abort();
}

static void begin(struct fake *fake, const EVP_MD *method)
{
	fake->hash = EVP_MD_CTX_new();
	if (!fake->hash || EVP_DigestInit_ex(fake->hash, method, NULL) != 1)
		abort();
}

/* --- a VMSA, as KVM makes it of a vCPU (sev_es_sync_vmsa(), svm_set_segment()) --- */

static void segment(uint8_t *to, const struct kvm_segment *from)
{
	put(to, from->selector, 2);
	put(to + 2,
	    (uint64_t)(from->type | from->s << 4 | from->dpl << 5 |
	               (from->present && !from->unusable) << 7 | from->avl << 8 | from->l << 9 |
	               from->db << 10 | from->g << 11),
	    2);
	put(to + 4, from->limit, 4);
	put(to + 8, from->base, 8);
}

static void make_vmsa(const struct fake *fake, const struct fake_vcpu *vcpu, uint8_t page[4096])
{
	const struct kvm_sregs *sregs = &vcpu->sregs;
	const struct kvm_segment *const segments[] = {&sregs->es, &sregs->cs, &sregs->ss,
	                                              &sregs->ds, &sregs->fs, &sregs->gs};

	memset(page, 0, 4096);
	for (size_t i = 0; i < BASE_COUNT(segments); i++)
		segment(page + 16 * i, segments[i]);
	put(page + 0x64, sregs->gdt.limit, 4);
	put(page + 0x68, sregs->gdt.base, 8);
	segment(page + 0x70, &sregs->ldt);
	put(page + 0x84, sregs->idt.limit, 4);
	put(page + 0x88, sregs->idt.base, 8);
	segment(page + 0x90, &sregs->tr);
	put(page + 0xd0, sregs->efer | 1 << 12, 8); /* SVME */
	put(page + 0x148, sregs->cr4 | 1 << 6, 8);  /* MCE is the host's */
	put(page + 0x150, sregs->cr3, 8);
	put(page + 0x158, sregs->cr0 & ~(uint64_t)0x60000000, 8); /* CD, NW */
	put(page + 0x160, 0x400, 8);
	put(page + 0x168, 0xffff0ff0, 8);
	put(page + 0x170, vcpu->regs.rflags | 2, 8);
	put(page + 0x178, vcpu->regs.rip, 8);
	put(page + 0x1d8, vcpu->regs.rsp, 8);
	put(page + 0x1f8, vcpu->regs.rax, 8);
	put(page + 0x268, 0x0007040600070406, 8); /* PAT after a reset */
	put(page + 0x308, vcpu->regs.rcx, 8);
	put(page + 0x310, vcpu->regs.rdx, 8);
	put(page + 0x318, vcpu->regs.rbx, 8);
	put(page + 0x328, vcpu->regs.rbp, 8);
	put(page + 0x330, vcpu->regs.rsi, 8);
	put(page + 0x338, vcpu->regs.rdi, 8);
	memcpy(page + 0x340, &vcpu->regs.r8, 8 * 8); /* and those behind it */
	page[0xcb] = sregs->ss.dpl;
	put(page + 0x3b0, fake->vmsa_features, 8);
	put(page + 0x3e8, 1, 8);
	if (fake->type != CC_X86_DEFAULT_VM) {
		put(page + 0x408, 0x1f80, 4);
		put(page + 0x410, 0x37f, 2);
	}
}

/* --- SEV, SEV-ES --- */

uint32_t fake_psp_start(struct fake *fake, uint64_t policy)
{
	uint32_t api = (uint32_t)(policy >> 16 & 0xff) << 8 | (policy >> 24 & 0xff);

	if (api > (FAKE_API_MAJOR << 8 | FAKE_API_MINOR) || fake->es != (policy >> 2 & 1))
		return CC_FW_POLICY_FAILURE;
	if (fake->state != FAKE_NO_GUEST)
		return CC_FW_ASID_OWNED; /* of the ACTIVATE that follows */
	fake->policy = policy;
	fake->state = FAKE_LUPDATE;
	begin(fake, EVP_sha256());
	return CC_FW_SUCCESS;
}

uint32_t fake_psp_data(struct fake *fake, const void *bytes, size_t size)
{
	if (fake->state == FAKE_NO_GUEST)
		return CC_FW_INVALID_GUEST;
	if (fake->state != FAKE_LUPDATE)
		return CC_FW_INVALID_GUEST_STATE;
	if ((uintptr_t)bytes % 16)
		return CC_FW_INVALID_ADDRESS;
	if (size % 16)
		return CC_FW_INVALID_LENGTH;
	more(fake, bytes, size);
	return CC_FW_SUCCESS;
}

uint32_t fake_psp_vmsa(struct fake *fake, const struct fake_vcpu *vcpu)
{
	uint8_t page[4096];

	if (fake->state == FAKE_NO_GUEST)
		return CC_FW_INVALID_GUEST;
	if (fake->state != FAKE_LUPDATE)
		return CC_FW_INVALID_GUEST_STATE;
	make_vmsa(fake, vcpu, page);
	more(fake, page, sizeof(page));
	return CC_FW_SUCCESS;
}

void fake_psp_hmac(const struct fake *fake, const uint8_t digest[32], uint8_t out[32])
{
	uint8_t text[8 + 32 + 16] = {0x04, FAKE_API_MAJOR, FAKE_API_MINOR, FAKE_BUILD};

	put(text + 4, fake->policy, 4);
	memcpy(text + 8, digest, 32);
	memcpy(text + 40, fake->nonce, 16);
	if (!HMAC(EVP_sha256(), fake->tik, sizeof(fake->tik), text, sizeof(text), out, NULL))
		abort();
}

uint32_t fake_psp_measure(struct fake *fake, void *to, uint32_t *size)
{
	const uint32_t room = *size;
	struct cc_sev_measurement *out = to;

	if (fake->state == FAKE_NO_GUEST)
		return CC_FW_INVALID_GUEST;
	if (fake->state != FAKE_LUPDATE)
		return CC_FW_INVALID_GUEST_STATE;
	*size = sizeof(*out);
	if (room < sizeof(*out))
		return CC_FW_INVALID_LENGTH;
	if (EVP_DigestFinal_ex(fake->hash, fake->digest, NULL) != 1)
		abort();
	fake_psp_hmac(fake, fake->digest, out->measure);
	memcpy(out->nonce, fake->nonce, sizeof(out->nonce));
	fake->state = FAKE_LSECRET;
	return CC_FW_SUCCESS;
}

uint32_t fake_psp_finish(struct fake *fake)
{
	if (fake->state == FAKE_NO_GUEST)
		return CC_FW_INVALID_GUEST;
	if (fake->state != FAKE_LSECRET)
		return CC_FW_INVALID_GUEST_STATE;
	fake->state = FAKE_RUNNING;
	return CC_FW_SUCCESS;
}

/* --- SEV-SNP --- */

uint32_t fake_snp_start(struct fake *fake, uint64_t policy)
{
	if ((policy & 0xffff) > (FAKE_API_MAJOR << 8 | FAKE_API_MINOR))
		return CC_FW_POLICY_FAILURE;
	fake->policy = policy;
	fake->state = FAKE_LUPDATE;
	return CC_FW_SUCCESS;
}

static void snp_chain(struct fake *fake, uint8_t type, uint64_t gpa, const uint8_t *contents)
{
	uint8_t info[112] = {0};

	memcpy(info, fake->digest, 48);
	if (contents)
		sha384(contents, 4096, info + 48);
	put(info + 96, sizeof(info), 2);
	info[98] = type;
	put(info + 104, gpa, 8);
	sha384(info, sizeof(info), fake->digest);
}

/* It writes what it would take where it does not take what is there. */
static uint32_t snp_check_cpuid(uint8_t *bytes)
{
	struct cc_snp_cpuid *page = (struct cc_snp_cpuid *)bytes;
	uint32_t error = CC_FW_SUCCESS;

	if (page->count > CC_SNP_CPUID_ENTRIES)
		return CC_FW_INVALID_PARAM;
	for (uint32_t i = 0; i < page->count; i++) {
		if (page->entries[i].function != FAKE_CPUID_REFUSED || page->entries[i].eax == 0)
			continue;
		page->entries[i].eax = 0;
		error = CC_FW_INVALID_PARAM;
	}
	return error;
}

uint32_t fake_snp_page(struct fake *fake, uint8_t type, uint64_t gpa, uint8_t *bytes)
{
	uint32_t error = type == CC_SNP_PAGE_TYPE_CPUID ? snp_check_cpuid(bytes) : CC_FW_SUCCESS;

	if (fake->state != FAKE_LUPDATE)
		return CC_FW_INVALID_GUEST_STATE;
	if (!error)
		snp_chain(fake, type, gpa, type == CC_SNP_PAGE_TYPE_NORMAL ? bytes : NULL);
	return error;
}

uint32_t fake_snp_vmsa(struct fake *fake, const struct fake_vcpu *vcpu)
{
	uint8_t page[4096];

	if (fake->state != FAKE_LUPDATE)
		return CC_FW_INVALID_GUEST_STATE;
	make_vmsa(fake, vcpu, page);
	snp_chain(fake, 2, 0xfffffffff000, page);
	return CC_FW_SUCCESS;
}

uint32_t fake_snp_finish(struct fake *fake, const struct cc_sev_snp_launch_finish *finish)
{
	const uint8_t *block = (const uint8_t *)(uintptr_t)finish->id_block_uaddr;
	const uint8_t *auth = (const uint8_t *)(uintptr_t)finish->id_auth_uaddr;
	struct idblock_digests digests;
	struct idblock id;
	char why[WHY_MAX];

	if (finish->id_block_en) {
		if (idblock_check(block, IDBLOCK_SIZE, auth, IDBLOCK_AUTH_SIZE, &id, &digests,
		                  why) ||
		    digests.has_author != finish->auth_key_en)
			return CC_FW_BAD_SIGNATURE;
		if (memcmp(id.digest, fake->digest, sizeof(id.digest)) != 0)
			return CC_FW_BAD_MEASUREMENT;
		if (id.policy != fake->policy)
			return CC_FW_POLICY_FAILURE;
	}
	memcpy(fake->host_data, finish->host_data, sizeof(fake->host_data));
	fake->state = FAKE_RUNNING;
	return CC_FW_SUCCESS;
}

/* --- TDX --- */

void fake_td_add(struct fake *fake, uint64_t gpa, const uint8_t *page, bool extend)
{
	uint8_t record[128] = "MEM.PAGE.ADD";

	if (!fake->hash)
		begin(fake, EVP_sha384());
	put(record + 16, gpa, 8);
	more(fake, record, sizeof(record));
	for (unsigned int chunk = 0; extend && chunk < 4096; chunk += 256) {
		memset(record, 0, sizeof(record));
		memcpy(record, "MR.EXTEND", 9);
		put(record + 16, gpa + chunk, 8);
		more(fake, record, sizeof(record));
		more(fake, page + chunk, 256);
	}
}

void fake_td_finish(struct fake *fake)
{
	if (!fake->hash)
		begin(fake, EVP_sha384());
	if (EVP_DigestFinal_ex(fake->hash, fake->digest, NULL) != 1)
		abort();
}
