// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * flow_snp: SEV-SNP. KVM copies what is launched to the guest's private memory, page by page; it may do less than
 * it was asked, and says how much is left. SNP_LAUNCH_FINISH measures the vCPUs by itself, after all pages.
 */
#include "base/base.h"
#include "confidential/flow_private.h"

enum {
	SNP_XSAVE_LEAF = 0xd,
	SNP_XSAVE_LEGACY = 0x240,
};

int cc_snp_start(struct cc_launch_state *state)
{
	struct cc_sev_snp_launch_start start = {.policy = cc_snp_policy(&state->guest->wishes)};

	return cc_sev_command(state->guest, CC_SEV_SNP_LAUNCH_START, &start, state->why);
}

/* --- the CPUID page (SNP ABI section 8.17.2.6): what the guest may trust, once the firmware agreed --- */

static int snp_cpuid(const struct cc_launch_state *state, struct cc_snp_cpuid *page)
{
	const struct cc_guest *guest = state->guest;

	memset(page, 0, sizeof(*page));
	for (size_t i = 0; i < guest->cpuid_count; i++) {
		const struct cc_cpuid_entry *from = &guest->cpuid[i];
		struct cc_snp_cpuid_entry *to = &page->entries[page->count];

		if (page->count == CC_SNP_CPUID_ENTRIES)
			return why_set(
			        state->why, -E2BIG,
			        "the guest's CPUID has %zu entries; a SEV-SNP guest's page has "
			        "room for %d",
			        guest->cpuid_count, CC_SNP_CPUID_ENTRIES);
		*to = (struct cc_snp_cpuid_entry){.function = from->function,
		                                  .index = from->index,
		                                  .eax = from->eax,
		                                  .ebx = from->ebx,
		                                  .ecx = from->ecx,
		                                  .edx = from->edx};
		/* EBX is the size of the state that is on: x87 alone, at the start (SNP ABI 7.1) */
		if (from->function == SNP_XSAVE_LEAF && from->index < 2) {
			to->xcr0 = 1;
			to->ebx = SNP_XSAVE_LEGACY;
		}
		page->count++;
	}
	return 0;
}

/* The firmware wrote what it would take to where it found what it does not. */
static int snp_cpuid_refused(const struct cc_launch_state *state, const struct cc_snp_cpuid *asked,
                             int err)
{
	const struct cc_snp_cpuid *said = (const struct cc_snp_cpuid *)state->stage;

	for (uint32_t i = 0; i < asked->count; i++) {
		const struct cc_snp_cpuid_entry *a = &asked->entries[i], *s = &said->entries[i];

		if (memcmp(a, s, sizeof(*a)) != 0)
			return why_set(
			        state->why, err,
			        "the AMD firmware refuses CPUID 0x%x/%u %08x %08x %08x %08x: it "
			        "would take %08x %08x %08x %08x",
			        a->function, a->index, a->eax, a->ebx, a->ecx, a->edx, s->eax,
			        s->ebx, s->ecx, s->edx);
	}
	return err;
}

/* --- pages --- */

/* Until KVM has done all of it. */
static int snp_update(struct cc_launch_state *state, struct cc_sev_snp_launch_update *update)
{
	int err = 0;

	for (int tries = 0; update->len > 0 && !err; tries++) {
		uint64_t left = update->len;

		err = cc_sev_command(state->guest, CC_SEV_SNP_LAUNCH_UPDATE, update, state->why);
		if ((err == -EAGAIN || err == -EINTR) && tries < CC_TRIES)
			err = 0;
		else if (!err && update->len >= left)
			err = why_set(state->why, -EIO,
			              "KVM made no progress in SNP_LAUNCH_UPDATE at 0x%llx",
			              (unsigned long long)update->gfn_start * CONFIDENTIAL_PAGE);
	}
	return err;
}

static int snp_pages(struct cc_launch_state *state, const struct launch_region *region,
                     enum cc_snp_page_type type)
{
	const bool zero = type == CC_SNP_PAGE_TYPE_ZERO;
	int err = 0;

	for (uint64_t at = 0; at < region->size && !err;) {
		size_t size = zero ? (size_t)region->size : cc_stage(state, region, at);
		struct cc_sev_snp_launch_update update = {
		        .gfn_start = (region->gpa + at) / CONFIDENTIAL_PAGE,
		        .uaddr = zero ? 0 : (uint64_t)(uintptr_t)state->stage,
		        .len = size,
		        .type = (uint8_t)type};

		err = snp_update(state, &update);
		at += size;
	}
	return err;
}

static int snp_cpuid_page(struct cc_launch_state *state, const struct launch_region *region)
{
	union {
		struct cc_snp_cpuid page;
		uint8_t bytes[CONFIDENTIAL_PAGE];
	} asked = {.bytes = {0}};
	struct launch_region filled = *region;
	int err = snp_cpuid(state, &asked.page);

	if (err)
		return err;
	filled.bytes = asked.bytes;
	filled.filled = sizeof(asked.bytes);
	err = snp_pages(state, &filled, CC_SNP_PAGE_TYPE_CPUID);
	return err == -EIO ? snp_cpuid_refused(state, &asked.page, err) : err;
}

int cc_snp_region(void *data, const struct launch_region *region)
{
	struct cc_launch_state *state = data;

	if (region->kind == LAUNCH_VMSA)
		return cc_vcpu(state, region);
	if (!cc_memory_at(state->guest, region->gpa, region->size))
		return why_set(
		        state->why, -EINVAL,
		        "the firmware wants 0x%llx bytes at 0x%llx, where the guest has no memory",
		        (unsigned long long)region->size, (unsigned long long)region->gpa);
	switch (region->kind) {
	case LAUNCH_ZERO: return snp_pages(state, region, CC_SNP_PAGE_TYPE_ZERO);
	case LAUNCH_UNMEASURED: return snp_pages(state, region, CC_SNP_PAGE_TYPE_UNMEASURED);
	case LAUNCH_SECRETS: return snp_pages(state, region, CC_SNP_PAGE_TYPE_SECRETS);
	case LAUNCH_CPUID: return snp_cpuid_page(state, region);
	default: return snp_pages(state, region, CC_SNP_PAGE_TYPE_NORMAL);
	}
}

int cc_snp_finish(struct cc_launch_state *state)
{
	const struct cc_wishes *wishes = &state->guest->wishes;
	struct cc_sev_snp_launch_finish finish = {
	        .id_block_uaddr = (uint64_t)(uintptr_t)wishes->id_block,
	        .id_auth_uaddr = (uint64_t)(uintptr_t)wishes->id_auth,
	        .id_block_en = wishes->id_block != NULL,
	        .auth_key_en = wishes->id_block && wishes->author};

	memcpy(finish.host_data, wishes->host_data, sizeof(finish.host_data));
	return cc_sev_command(state->guest, CC_SEV_SNP_LAUNCH_FINISH, &finish, state->why);
}
