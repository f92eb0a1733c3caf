// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cpuid: the leaves that a guest sees, each made here. Features are those that cpuid_model.c chose; what
 * is no feature (family, sizes, caches, names) is the host's for the model `host`, and the same
 * everywhere for a named one. Only two things are the host's for all: the vendor, because instructions
 * differ by it, and where the processor puts each part of the XSAVE area. Topology and ids are this VM's
 * own, whatever the host's are; who shares a cache follows from them. There is no serial number, no
 * performance counter and no leaf that is not in this file.
 */
#include <errno.h>
#include <string.h>

#include "base/base.h"
#include "vmm/cpuid_model.h"
#include "base/why.h"

enum {
	CPUID_MAX = 0xd,
	CPUID_CLFLUSH = 0x0800, /* 64 bytes */
	CPUID_AMD_ALIASES = 0x0183f3ff,
	CPUID_LEAF4_IS_IT = 0x00feff01, /* leaf 2: look into leaf 4 */
	CPUID_ZEN = 0x00800f12,         /* family, model and stepping of named models */
	CPUID_NEHALEM = 0x000106a3,
	CPUID_HASWELL = 0x000306c3,
	CPUID_SKYLAKE_X = 0x00050654,
	XSAVE_LEGACY = 576, /* x87, SSE and the header */
	XSAVE_STATES = 10,  /* of XCR0 that are looked at */
	LINEAR_BITS = 48,
	LINEAR_BITS_AT = 8,
	HTT = 1 << 28,
	CMP_LEGACY = 1 << 1,
	LEVEL_TYPE_THREAD = 1 << 8,
	LEVEL_TYPE_CORE = 2 << 8,
};
#define CPUID_EXTENDED         0x80000000u
#define CPUID_EXTENDED_INTEL   0x80000008u
#define CPUID_EXTENDED_NAMED   0x8000001eu
#define CPUID_EXTENDED_MAX     0x80000021u
#define CPUID_ALWAYS           (1u << 31 | 1u << 24 | 1u << 21) /* hypervisor, TSC deadline, x2APIC */
#define CPUID_TOPOEXT          (1u << 22)
#define CPUID_PARAVIRT         0x40000000u
#define CPUID_CACHE_TYPE_LEVEL 0x3ffu

/* Named models: 32 KiB of L1 data and instructions, 512 KiB of L2, 16 MiB of L3, as leaf 4 and 0x8000001d say it. */
static const struct {
	uint32_t eax, ebx, ecx;
} cpuid_caches[] = {
        {0x121, 0x01c0003f, 63},
        {0x122, 0x01c0003f, 63},
        {0x143, 0x01c0003f, 1023},
        {0x163, 0x03c0003f, 16383},
};

struct cpuid_build {
	struct cpuid_table host; /* a copy, so that entries can be pointed at */
	struct cpuid_table *guest;
	unsigned int level;
	bool amd;
};

/* A new entry of the guest; a table has room for all that this file makes. */
static struct kvm_cpuid_entry2 *cpuid_put(struct cpuid_build *build, uint32_t function,
                                          uint32_t index, bool indexed)
{
	struct kvm_cpuid_entry2 *entry = &build->guest->entries[build->guest->count++];

	*entry = (struct kvm_cpuid_entry2){
	        .function = function,
	        .index = index,
	        .flags = indexed ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
	};
	return entry;
}

/* What the host says there, or zeros. */
static struct kvm_cpuid_entry2 cpuid_host(struct cpuid_build *build, uint32_t function,
                                          uint32_t index)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find(&build->host, function, index);

	return entry ? *entry : (struct kvm_cpuid_entry2){.function = function, .index = index};
}

static struct kvm_cpuid_entry2 *cpuid_copy(struct cpuid_build *build, uint32_t function,
                                           uint32_t index, bool indexed)
{
	struct kvm_cpuid_entry2 from = cpuid_host(build, function, index);
	struct kvm_cpuid_entry2 *entry = cpuid_put(build, function, index, indexed);

	entry->eax = from.eax;
	entry->ebx = from.ebx;
	entry->ecx = from.ecx;
	entry->edx = from.edx;
	return entry;
}

static uint32_t cpuid_signature(struct cpuid_build *build)
{
	static const uint32_t intel[] = {0, 0, CPUID_NEHALEM, CPUID_HASWELL, CPUID_SKYLAKE_X};

	if (build->level == 0)
		return cpuid_host(build, 1, 0).eax;
	return build->amd ? CPUID_ZEN : intel[build->level];
}

static void cpuid_put_caches(struct cpuid_build *build, uint32_t function)
{
	struct kvm_cpuid_entry2 *entry;
	uint32_t i = 0;

	for (; build->level > 0 && i < BASE_COUNT(cpuid_caches); i++) {
		entry = cpuid_put(build, function, i, true);
		entry->eax = cpuid_caches[i].eax;
		entry->ebx = cpuid_caches[i].ebx;
		entry->ecx = cpuid_caches[i].ecx;
	}
	for (; build->level == 0 && i < 8 && cpuid_host(build, function, i).eax & 0x1f; i++) {
		entry = cpuid_copy(build, function, i, true);
		entry->eax &= CPUID_CACHE_TYPE_LEVEL; /* the host's sharing is not the guest's */
		entry->edx &= 0x7;
	}
	cpuid_put(build, function, i, true); /* no more */
}

static void cpuid_put_basic(struct cpuid_build *build)
{
	struct kvm_cpuid_entry2 *entry = cpuid_copy(build, 0, 0, false);

	entry->eax = build->level ? CPUID_MAX : BASE_MIN(entry->eax, (uint32_t)CPUID_MAX);
	entry = cpuid_put(build, 1, 0, false);
	entry->eax = cpuid_signature(build);
	entry->ebx = CPUID_CLFLUSH;
	entry->ecx = CPUID_ALWAYS;
	if (!build->amd) {
		cpuid_put(build, 2, 0, false)->eax = CPUID_LEAF4_IS_IT;
		cpuid_put_caches(build, 4);
	}
	cpuid_put(build, 6, 0, false);
	for (uint32_t i = 0; i < 3; i++)
		cpuid_put(build, 7, i, true);
	for (uint32_t i = 0; i < 3; i++)
		cpuid_put(build, 0xb, i, true);
	entry = cpuid_copy(build, CPUID_PARAVIRT, 0, false); /* KVM's signature */
	entry->eax = CPUID_PARAVIRT + 1;
	cpuid_put(build, CPUID_PARAVIRT + 1, 0, false);
}

/* L1 and L2 in AMD's old form; Intel has only the L2 of it. */
static void cpuid_put_old_caches(struct cpuid_build *build)
{
	struct kvm_cpuid_entry2 *entry;

	if (build->level == 0) {
		cpuid_copy(build, CPUID_EXTENDED + 5, 0, false);
		cpuid_copy(build, CPUID_EXTENDED + 6, 0, false);
		return;
	}
	entry = cpuid_put(build, CPUID_EXTENDED + 5, 0, false);
	if (build->amd)
		entry->ecx = entry->edx = 0x20080140;
	entry = cpuid_put(build, CPUID_EXTENDED + 6, 0, false);
	entry->ecx = build->amd ? 0x02006140 : 0x02006040;
	entry->edx = build->amd ? 0x00808140 : 0;
}

static void cpuid_put_brand(struct cpuid_build *build)
{
	char brand[48] = "";

	snprintf(brand, sizeof(brand), "cordon x86-64-v%u", build->level);
	for (uint32_t i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *entry =
		        cpuid_copy(build, CPUID_EXTENDED + 2 + i, 0, false);

		for (unsigned int reg = EAX; build->level > 0 && reg <= EDX; reg++)
			*cpuid_register(entry, reg) = base_le32(brand + 16 * i + 4 * reg);
	}
}

static void cpuid_put_extended(struct cpuid_build *build)
{
	struct kvm_cpuid_entry2 *entry = cpuid_copy(build, CPUID_EXTENDED, 0, false);

	entry->eax = BASE_MIN(entry->eax, CPUID_EXTENDED_MAX);
	if (build->level > 0)
		entry->eax = build->amd ? CPUID_EXTENDED_NAMED : CPUID_EXTENDED_INTEL;
	if (!build->amd) { /* KVM says 0 where it has nothing to say */
		entry->ebx = entry->ecx = entry->edx = 0;
	}
	entry = cpuid_put(build, CPUID_EXTENDED + 1, 0, false);
	entry->eax = build->amd ? cpuid_signature(build) : 0;
	entry->ecx = build->amd ? CPUID_TOPOEXT : 0;
	cpuid_put_brand(build);
	cpuid_put_old_caches(build);
	cpuid_put(build, CPUID_EXTENDED + 7, 0, false);
	cpuid_put(build, CPUID_EXTENDED + 8, 0, false);
	if (!build->amd)
		return;
	cpuid_put_caches(build, 0x8000001d);
	cpuid_put(build, 0x8000001e, 0, false);
	if (build->level == 0)
		cpuid_put(build, 0x80000021, 0, false);
}

/* The XSAVE area (SDM vol. 1, 13.2): states of the chosen features, where this processor has them. */
static void cpuid_put_xsave(struct cpuid_build *build)
{
	uint32_t states = 3, size = XSAVE_LEGACY;
	struct kvm_cpuid_entry2 *entry;

	if (!cpuid_has(build->guest, "xsave"))
		return;
	states |= cpuid_has(build->guest, "avx") ? 1u << 2 : 0;
	states |= cpuid_has(build->guest, "avx512f") ? 7u << 5 : 0;
	states |= cpuid_has(build->guest, "pku") ? 1u << 9 : 0;
	states &= cpuid_host(build, 0xd, 0).eax;
	for (uint32_t i = 2; i < XSAVE_STATES; i++) {
		if (!(states >> i & 1))
			continue;
		entry = cpuid_copy(build, 0xd, i, true);
		entry->ecx &= 0x3;
		entry->edx = 0;
		size = BASE_MAX(size, entry->eax + entry->ebx);
	}
	entry = cpuid_put(build, 0xd, 0, true);
	entry->eax = states;
	entry->ebx = XSAVE_LEGACY; /* KVM keeps it up with XCR0 */
	entry->ecx = size;
}

static void cpuid_put_features(struct cpuid_build *build, const uint64_t *chosen)
{
	struct kvm_cpuid_entry2 *entry, *extended;

	cpuid_put(build, 0xd, 1, true);
	for (size_t i = 0; i < CPU_FEATURES_COUNT; i++) {
		const struct cpuid_feature *feature = &cpuid_features[i];

		entry = cpuid_find(build->guest, feature->leaf, feature->index);
		if (entry && chosen[i / 64] >> i % 64 & 1)
			*cpuid_register(entry, feature->reg) |= 1u << feature->bit;
	}
	entry = cpuid_find(build->guest, 7, 0);
	for (uint32_t i = 1; i < 3; i++) {
		struct kvm_cpuid_entry2 *sub = cpuid_find(build->guest, 7, i);

		if (sub->eax | sub->ebx | sub->ecx | sub->edx)
			entry->eax = i; /* the last subleaf with something in it */
	}
	extended = cpuid_find(build->guest, CPUID_EXTENDED + 1, 0);
	if (build->amd)
		extended->edx |= cpuid_find(build->guest, 1, 0)->edx & CPUID_AMD_ALIASES;
	if (cpuid_has(build->guest, "svm"))
		cpuid_copy(build, 0x8000000a, 0, false);
	cpuid_put_xsave(build);
}

unsigned int cpuid_address_bits(const struct cpuid_table *host)
{
	const struct kvm_cpuid_entry2 *entry =
	        cpuid_find((struct cpuid_table *)host, CPUID_EXTENDED + 8, 0);

	return entry && entry->eax & 0xff ? entry->eax & 0xff : 36;
}

/* A named model has the fewest address bits of 39, 40 and 42 that hold the memory. */
static int cpuid_put_addresses(struct cpuid_build *build, uint64_t top, char *why)
{
	struct kvm_cpuid_entry2 *entry = cpuid_find(build->guest, CPUID_EXTENDED + 8, 0);
	unsigned int host = cpuid_address_bits(&build->host), bits = host;

	if (build->level > 0)
		bits = top <= 1ull << 39 ? 39 : top <= 1ull << 40 ? 40 : 42;
	if (bits > host || top > 1ull << BASE_MIN(bits, 52u))
		return why_set(why, -ENOTSUP,
		               "guest memory ends at %#llx; this host's processors have %u "
		               "address bits, which end at %#llx",
		               (unsigned long long)top, host, 1ull << BASE_MIN(host, 52u));
	entry->eax = bits | LINEAR_BITS << LINEAR_BITS_AT;
	return 0;
}

int cpuid_build(const struct cpuid_table *host, const struct cpuid_model *model, uint64_t top,
                struct cpuid_table *guest, char *why)
{
	struct cpuid_build build = {
	        .host = *host,
	        .guest = guest,
	        .level = model->level,
	        .amd = cpuid_is_amd(host),
	};
	uint64_t chosen[CPU_FEATURES_WORDS];
	int error = cpuid_choose(host, model, chosen, why);

	if (error)
		return error;
	memset(guest, 0, sizeof(*guest));
	cpuid_put_basic(&build);
	cpuid_put_extended(&build);
	cpuid_put_features(&build, chosen);
	return cpuid_put_addresses(&build, top, why);
}

/* Bits that hold `count` ids. */
static unsigned int cpuid_id_bits(unsigned int count)
{
	unsigned int bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* Leaf 0xb: threads (one a core), then cores, then no more. */
static void cpuid_topology(struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int count)
{
	entry->edx = id;
	entry->ecx = entry->index;
	if (entry->index == 0) {
		entry->ebx = 1;
		entry->ecx |= LEVEL_TYPE_THREAD;
	} else if (entry->index == 1) {
		entry->eax = cpuid_id_bits(count);
		entry->ebx = count;
		entry->ecx |= LEVEL_TYPE_CORE;
	}
}

void cpuid_personal(struct cpuid_table *guest, unsigned int index, unsigned int count)
{
	uint32_t others = (1u << cpuid_id_bits(count)) - 1;
	bool amd = cpuid_is_amd(guest);

	for (uint32_t i = 0; i < guest->count; i++) {
		struct kvm_cpuid_entry2 *entry = &guest->entries[i];

		switch (entry->function) {
		case 0x1:
			entry->ebx |= index << 24 | count << 16;
			entry->edx |= count > 1 ? HTT : 0;
			break;
		case 0x4:
		case 0x8000001d:
			/* the last level is shared by all cores, the others by none */
			if ((entry->eax >> 5 & 7) >= 3)
				entry->eax |= others << 14;
			if (entry->function == 0x4 && entry->eax)
				entry->eax |= others << 26;
			break;
		case 0xb: cpuid_topology(entry, index, count); break;
		case 0x80000001: entry->ecx |= amd && count > 1 ? CMP_LEGACY : 0; break;
		case 0x80000008:
			entry->ecx = amd ? cpuid_id_bits(count) << 12 | (count - 1) : 0;
			break;
		case 0x8000001e:
			entry->eax = index; /* APIC id */
			entry->ebx = index; /* core */
			break;
		default: break;
		}
	}
}
