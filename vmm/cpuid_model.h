/* SPDX-License-Identifier: GPL-2.0-or-later */
/* cpuid_model: the inside of cpuid.c and cpuid_model.c: the features as a table, and which of them are chosen. */
#ifndef CORDON_VMM_CPUID_MODEL_H
#define CORDON_VMM_CPUID_MODEL_H

#include "vmm/cpuid.h"

enum cpuid_register { EAX, EBX, ECX, EDX };
enum cpuid_class { BASE = 1, V2, V3, V4, HOST, NESTED, FIXED };

struct cpuid_feature {
	const char *name;
	uint32_t leaf, index;
	enum cpuid_register reg;
	unsigned int bit;
	enum cpuid_class class;
	const char *needs;
};
extern const struct cpuid_feature cpuid_features[CPU_FEATURES_COUNT];

uint32_t *cpuid_register(struct kvm_cpuid_entry2 *entry, enum cpuid_register reg);
bool cpuid_is_amd(const struct cpuid_table *table);

/* One bit a feature of the table. -ENOTSUP with the missing ones' names, when the host has not all of them. */
int cpuid_choose(const struct cpuid_table *host, const struct cpuid_model *model,
                 uint64_t chosen[CPU_FEATURES_WORDS], char *why);

#endif
