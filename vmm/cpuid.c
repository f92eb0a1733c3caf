// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cpuid: an allow list over KVM_GET_SUPPORTED_CPUID. A leaf, a subleaf or a feature bit that is not
 * named here does not reach the guest, so that a new host kernel or processor adds nothing to what a
 * guest sees until somebody has read what it is. Left out on purpose: VMX and SVM (guests of guests),
 * SGX, MPX, TSX, AMX, PT, performance counters, resource director, the processor's serial number.
 *
 * Bits: SDM vol. 2A, CPUID; APM vol. 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst.
 */
#include "vmm/cpuid.h"

#include <stdbool.h>
#include <string.h>

#include "base/base.h"

#define BIT(n) (1u << (n))

enum { ANY_INDEX = 0xffff };

#define EDX1_ALLOWED 0x178bfbffu /* FPU to CLFSH without PSN, MMX to SSE2, HTT */
#define ECX1_ALLOWED                                                                            \
	(BIT(0) | BIT(1) | BIT(9) | BIT(12) | BIT(13) | BIT(17) | BIT(19) | BIT(20) | BIT(21) | \
	 BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) | BIT(28) | BIT(29) | BIT(30))
#define EBX7_ALLOWED                                                                               \
	(BIT(0) | BIT(1) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) |        \
	 BIT(17) | BIT(18) | BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | \
	 BIT(30) | BIT(31))
#define ECX7_ALLOWED                                                                         \
	(BIT(1) | BIT(2) | BIT(3) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | \
	 BIT(14) | BIT(22) | BIT(27) | BIT(28))
#define EDX7_ALLOWED                                                                           \
	(BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(10) | BIT(14) | BIT(23) | BIT(26) | BIT(27) | \
	 BIT(28) | BIT(29) | BIT(31))
#define EAX7_1_ALLOWED (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12))
#define XCR0_ALLOWED   (BIT(0) | BIT(1) | BIT(2) | BIT(5) | BIT(6) | BIT(7) | BIT(9))
#define KVM_ALLOWED                                                                        \
	(BIT(0) | BIT(1) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(9) | BIT(10) | \
	 BIT(11) | BIT(12) | BIT(13) | BIT(14) | BIT(24))
#define ECX81_ALLOWED                                                                       \
	(BIT(0) | BIT(1) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | \
	 BIT(21) | BIT(22))
#define EDX81_ALLOWED                                                                        \
	(0x0183f3ffu | BIT(11) | BIT(20) | BIT(22) | BIT(24) | BIT(25) | BIT(26) | BIT(27) | \
	 BIT(29))
#define EBX88_ALLOWED   (BIT(0) | BIT(2) | BIT(9) | BIT(12) | BIT(14) | BIT(15) | BIT(24) | BIT(26))
#define EAX8_21_ALLOWED (BIT(2) | BIT(6) | BIT(8))

struct cpuid_rule {
	uint32_t function;
	uint32_t index; /* or ANY_INDEX */
	uint32_t eax, ebx, ecx, edx;
};

static const struct cpuid_rule cpuid_rules[] = {
        {0x0, 0, ~0u, ~0u, ~0u, ~0u},
        {0x1, 0, ~0u, 0x0000ff00u, ECX1_ALLOWED, EDX1_ALLOWED},
        {0x2, ANY_INDEX, ~0u, ~0u, ~0u, ~0u},
        {0x4, ANY_INDEX, 0x000003ffu, ~0u, ~0u, 0x7},
        {0x6, 0, BIT(2), 0, 0, 0}, /* ARAT: the APIC timer runs in idle states */
        {0x7, 0, 0x2, EBX7_ALLOWED, ECX7_ALLOWED, EDX7_ALLOWED},
        {0x7, 1, EAX7_1_ALLOWED, 0, 0, 0},
        {0x7, 2, 0, 0, 0, 0x3f},
        {0xd, 0, XCR0_ALLOWED, ~0u, ~0u, 0},
        {0xd, 1, 0xf, ~0u, 0, 0},
        {0xd, 2, ~0u, ~0u, ~0u, 0},
        {0xd, 5, ~0u, ~0u, ~0u, 0},
        {0xd, 6, ~0u, ~0u, ~0u, 0},
        {0xd, 7, ~0u, ~0u, ~0u, 0},
        {0xd, 9, ~0u, ~0u, ~0u, 0},
        {0x40000000, 0, 0, ~0u, ~0u, ~0u},
        {0x40000001, 0, KVM_ALLOWED, 0, 0, 0},
        {0x80000000, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000001, 0, ~0u, 0, ECX81_ALLOWED, EDX81_ALLOWED},
        {0x80000002, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000003, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000004, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000005, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000006, 0, ~0u, ~0u, ~0u, ~0u},
        {0x80000007, 0, 0, 0, 0, BIT(8)}, /* invariant TSC */
        {0x80000008, 0, 0x0000ffffu, EBX88_ALLOWED, 0, 0},
        {0x8000001d, ANY_INDEX, 0x000003ffu, ~0u, ~0u, 0x3},
        {0x8000001e, 0, 0, 0, 0, 0},
        {0x80000021, 0, EAX8_21_ALLOWED, 0, 0, 0},
};

static const struct cpuid_rule *cpuid_rule(uint32_t function, uint32_t index)
{
	for (size_t i = 0; i < BASE_COUNT(cpuid_rules); i++)
		if (cpuid_rules[i].function == function &&
		    (cpuid_rules[i].index == index || cpuid_rules[i].index == ANY_INDEX))
			return &cpuid_rules[i];
	return NULL;
}

/* Bits that hold `count` ids. */
static unsigned int cpuid_id_bits(unsigned int count)
{
	unsigned int bits = 0;

	while (1u << bits < count)
		bits++;
	return bits;
}

/* Leaves 4 and 0x8000001d: the last-level cache is shared by all cores, the others by none. */
static void cpuid_cache(struct kvm_cpuid_entry2 *entry, unsigned int count)
{
	uint32_t level = entry->eax >> 5 & 7;

	if ((entry->eax & 0x1f) == 0)
		return;
	if (level >= 3)
		entry->eax |= ((1u << cpuid_id_bits(count)) - 1) << 14;
	if (entry->function == 0x4)
		entry->eax |= ((1u << cpuid_id_bits(count)) - 1) << 26;
}

/* What depends on the vCPU or on the VM, after the allow list. */
static void cpuid_personal(struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int count)
{
	switch (entry->function) {
	case 0x0: entry->eax = BASE_MIN(entry->eax, 0xdu); break;
	case 0x1:
		entry->ebx |= id << 24 | count << 16;
		entry->ecx |= BIT(31) | BIT(24) | BIT(21); /* hypervisor, TSC deadline, x2APIC */
		entry->edx = count > 1 ? entry->edx | BIT(28) : entry->edx & ~BIT(28);
		break;
	case 0x4:
	case 0x8000001d: cpuid_cache(entry, count); break;
	case 0x40000000: entry->eax = 0x40000001; break;
	case 0x80000000: entry->eax = BASE_MIN(entry->eax, 0x80000021u); break;
	case 0x80000001: entry->ecx = count > 1 ? entry->ecx | BIT(1) : entry->ecx & ~BIT(1); break;
	case 0x80000008: entry->ecx = cpuid_id_bits(count) << 12 | (count - 1); break;
	case 0x8000001e:
		entry->eax = id;
		entry->ebx = id;
		break;
	default: break;
	}
}

static void cpuid_append(struct cpuid_table *guest, const struct kvm_cpuid_entry2 *entry)
{
	if (guest->count < CPUID_ENTRIES_MAX)
		guest->entries[guest->count++] = *entry;
}

/* Leaf 0xb: threads (one a core), then cores. Made here, whatever the host's is. */
static void cpuid_topology(struct cpuid_table *guest, unsigned int id, unsigned int count)
{
	struct kvm_cpuid_entry2 entry = {
	        .function = 0xb, .flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX, .edx = id};

	entry.ebx = 1;
	entry.ecx = 1 << 8;
	cpuid_append(guest, &entry);
	entry.index = 1;
	entry.eax = cpuid_id_bits(count);
	entry.ebx = count;
	entry.ecx = 2 << 8 | 1;
	cpuid_append(guest, &entry);
	entry.index = 2;
	entry.eax = entry.ebx = 0;
	entry.ecx = 2;
	cpuid_append(guest, &entry);
}

void cpuid_filter(const struct cpuid_table *host, unsigned int index, unsigned int count,
                  struct cpuid_table *guest)
{
	memset(guest, 0, sizeof(*guest));
	for (uint32_t i = 0; i < host->count && i < CPUID_ENTRIES_MAX; i++) {
		struct kvm_cpuid_entry2 entry = host->entries[i];
		const struct cpuid_rule *rule = cpuid_rule(entry.function, entry.index);

		if (!rule)
			continue;
		entry.eax &= rule->eax;
		entry.ebx &= rule->ebx;
		entry.ecx &= rule->ecx;
		entry.edx &= rule->edx;
		cpuid_personal(&entry, index, count);
		cpuid_append(guest, &entry);
	}
	cpuid_topology(guest, index, count);
}
