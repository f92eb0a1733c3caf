/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpuid: what a guest is told of its processors. */
#ifndef CORDON_VMM_CPUID_H
#define CORDON_VMM_CPUID_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

enum { CPUID_ENTRIES_MAX = 96 };

struct cpuid_table { /* laid out as struct kvm_cpuid2 with its entries */
	uint32_t count, padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};
_Static_assert(offsetof(struct cpuid_table, entries) == sizeof(struct kvm_cpuid2), "layout");

/*
 * Filters what KVM supports (`host`) to what vCPU `index` of `count` is given (`guest`): only leaves
 * and bits of the allow list, with ids and topology of this VM: one package of `count` cores.
 */
void cpuid_filter(const struct cpuid_table *host, unsigned int index, unsigned int count,
                  struct cpuid_table *guest);

#endif
