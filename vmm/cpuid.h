/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpuid: what a guest is told of its processors. */
#ifndef CORDON_VMM_CPUID_H
#define CORDON_VMM_CPUID_H

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cpu_features.h"

enum { CPUID_ENTRIES_MAX = 256 }; /* as many as KVM itself takes */

struct cpuid_table { /* laid out as struct kvm_cpuid2 with its entries */
	uint32_t count, padding;
	struct kvm_cpuid_entry2 entries[CPUID_ENTRIES_MAX];
};
_Static_assert(offsetof(struct cpuid_table, entries) == sizeof(struct kvm_cpuid2), "layout");

/* A processor model. All zero: what the host has, of what is allowed. */
struct cpuid_model {
	unsigned int level; /* 0: host; 2 to 4: x86-64-v2 to -v4 */
	bool nested;        /* the guest may run guests of its own */
	uint64_t add[CPU_FEATURES_WORDS], remove[CPU_FEATURES_WORDS];
};

/* "x86-64-v3", then ",nested", ",+FEATURE", ",-FEATURE". 0, or -EINVAL with `why`. */
int cpuid_model_parse(struct cpuid_model *model, const char *text, char *why);

/*
 * The guest's table, made from what KVM supports (`host`): leaves and bits of the allow list only. `top` is
 * the end of guest memory. What depends on the vCPU is left to cpuid_personal(). -ENOTSUP, with a sentence
 * that names the missing features, when this host cannot give the model.
 */
int cpuid_build(const struct cpuid_table *host, const struct cpuid_model *model, uint64_t top,
                struct cpuid_table *guest, char *why);

/* Ids and topology of vCPU `index` of `count`: one package of `count` cores, one thread each. */
void cpuid_personal(struct cpuid_table *guest, unsigned int index, unsigned int count);

/* Whether the built table has the feature of that name. */
bool cpuid_has(const struct cpuid_table *guest, const char *feature);

/* Physical address bits that KVM gives guests on this host. */
unsigned int cpuid_address_bits(const struct cpuid_table *host);

/* The entry, or NULL. */
struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index);

#endif
