// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * digest: what the hardware would report of the regions of a launch.
 *
 *   SEV, SEV-ES   SHA-256 over all that LAUNCH_UPDATE_DATA and LAUNCH_UPDATE_VMSA were given
 *                 (SEV API sections 6.4 and 6.5)
 *   SEV-SNP       a chain: SHA-384 of a PAGE_INFO for each page, which holds the digest before it
 *                 (SNP ABI section 8.17)
 *   TDX           MRTD: SHA-384 over a block for each TDH.MEM.PAGE.ADD, and for each TDH.MR.EXTEND a block
 *                 and the 256 bytes that it measures (TDX module section 12.2)
 */
#include "base/base.h"
#include "confidential/confidential.h"
#include "confidential/hash.h"

enum {
	DIGEST_PAGE_INFO = 0x70,
	DIGEST_TDX_BLOCK = 128,
	DIGEST_TDX_GPA = 16,
	DIGEST_TDX_CHUNK = 256,
};
/* KVM has every VMSA at this address in the table of pages. */
#define DIGEST_VMSA_GPA 0xfffffffff000ull

struct digest {
	enum confidential_type type;
	bool igvm;
	struct hash hash;  /* SEV, SEV-ES, TDX */
	uint8_t chain[48]; /* SEV-SNP */
};

static void digest_put64(uint8_t *to, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		to[i] = (uint8_t)(value >> 8 * i);
}

/* The page at `offset` of a region: in place, or a copy with its zeros. */
static const uint8_t *digest_page(const struct launch_region *region, uint64_t offset,
                                  uint8_t copy[CONFIDENTIAL_PAGE])
{
	size_t have = region->filled > offset ? (size_t)(region->filled - offset) : 0;

	if (have >= CONFIDENTIAL_PAGE)
		return region->bytes + offset;
	memset(copy, 0, CONFIDENTIAL_PAGE);
	if (have > 0)
		memcpy(copy, region->bytes + offset, have);
	return copy;
}

/* PAGE_TYPE, SNP ABI table 63. */
static uint8_t digest_snp_type(enum launch_kind kind)
{
	switch (kind) {
	case LAUNCH_VMSA: return 2;
	case LAUNCH_ZERO: return 3;
	case LAUNCH_UNMEASURED: return 4;
	case LAUNCH_SECRETS: return 5;
	case LAUNCH_CPUID: return 6;
	default: return 1;
	}
}

static int digest_snp(struct digest *digest, const struct launch_region *region)
{
	const bool measured = region->kind == LAUNCH_DATA || region->kind == LAUNCH_VMSA;
	const bool vmsa = region->kind == LAUNCH_VMSA && !digest->igvm;
	uint8_t info[DIGEST_PAGE_INFO] = {0}, copy[CONFIDENTIAL_PAGE];
	int err = 0;

	info[96] = DIGEST_PAGE_INFO;
	info[98] = digest_snp_type(region->kind);
	for (uint64_t at = 0; at < region->size && !err; at += CONFIDENTIAL_PAGE) {
		memcpy(info, digest->chain, sizeof(digest->chain));
		if (measured)
			err = hash_once(HASH_SHA384, digest_page(region, at, copy),
			                CONFIDENTIAL_PAGE, info + 48);
		digest_put64(info + 104, vmsa ? DIGEST_VMSA_GPA : region->gpa + at);
		if (!err)
			err = hash_once(HASH_SHA384, info, sizeof(info), digest->chain);
	}
	return err;
}

static void digest_tdx_block(struct digest *digest, const char *operation, uint64_t gpa)
{
	uint8_t block[DIGEST_TDX_BLOCK] = {0};

	memcpy(block, operation, strlen(operation));
	digest_put64(block + DIGEST_TDX_GPA, gpa);
	hash_add(&digest->hash, block, sizeof(block));
}

static int digest_tdx(struct digest *digest, const struct launch_region *region)
{
	uint8_t copy[CONFIDENTIAL_PAGE];

	for (uint64_t at = 0; at < region->size; at += CONFIDENTIAL_PAGE) {
		if (!(region->attributes & TDVF_PAGE_AUG))
			digest_tdx_block(digest, "MEM.PAGE.ADD", region->gpa + at);
		if (!(region->attributes & TDVF_EXTEND))
			continue;
		const uint8_t *page = digest_page(region, at, copy);
		for (size_t chunk = 0; chunk < CONFIDENTIAL_PAGE; chunk += DIGEST_TDX_CHUNK) {
			digest_tdx_block(digest, "MR.EXTEND", region->gpa + at + chunk);
			hash_add(&digest->hash, page + chunk, DIGEST_TDX_CHUNK);
		}
	}
	return 0;
}

/* A vCPU's registers are a secret, and measured, from SEV-ES on. */
static int digest_sev(struct digest *digest, const struct launch_region *region)
{
	static const uint8_t zeros[CONFIDENTIAL_PAGE];

	if (region->kind == LAUNCH_VMSA && digest->type == CONFIDENTIAL_SEV)
		return 0;
	if (region->filled > 0)
		hash_add(&digest->hash, region->bytes, region->filled);
	for (uint64_t left = region->size - region->filled; left > 0;) {
		size_t size = (size_t)BASE_MIN(left, sizeof(zeros));

		hash_add(&digest->hash, zeros, size);
		left -= size;
	}
	return 0;
}

static int digest_region(void *data, const struct launch_region *region)
{
	struct digest *digest = data;

	if (region->kind == LAUNCH_SHARED)
		return 0;
	switch (digest->type) {
	case CONFIDENTIAL_SEV_SNP: return digest_snp(digest, region);
	case CONFIDENTIAL_TDX: return digest_tdx(digest, region);
	default: return digest_sev(digest, region);
	}
}

int confidential_measure(const struct launch_input *input, struct confidential_digest *out,
                         char *why)
{
	const bool snp = input->type == CONFIDENTIAL_SEV_SNP;
	const bool sha384 = snp || input->type == CONFIDENTIAL_TDX;
	struct digest digest = {.type = input->type, .igvm = input->igvm};
	int err;

	out->size = sha384 ? HASH_SHA384 : HASH_SHA256;
	if (!snp)
		hash_open(&digest.hash, out->size);
	why[0] = '\0';
	err = launch_walk(input, digest_region, &digest, why);
	if (snp)
		memcpy(out->bytes, digest.chain, sizeof(digest.chain));
	else if (err)
		hash_drop(&digest.hash);
	else
		err = hash_close(&digest.hash, out->bytes);
	if (err && !why[0])
		why_set(why, err, "libcrypto cannot hash: %s", strerror(-err));
	return err;
}
