// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * names: of the types, of the VMMs, and of processor models.
 *
 * A model's versions differ in features, not in family, model and stepping, so one line stands for all of
 * them. The numbers are those of QEMU's processor models.
 */
#include <strings.h>

#include "base/base.h"
#include "confidential/confidential.h"

static const char *const names_types[CONFIDENTIAL_TYPES] = {"sev", "sev-es", "sev-snp", "tdx"};
static const char *const names_vmms[CONFIDENTIAL_VMMS] = {"qemu", "ec2", "gce"};

static const struct names_cpu {
	const char *name;
	uint8_t family, model, stepping;
	char versions; /* the last one's digit, or 0 */
} names_cpus[] = {
        {"EPYC", 23, 1, 2, '5'},        {"EPYC-IBPB", 23, 1, 2, 0},
        {"EPYC-Rome", 23, 49, 0, '5'},  {"EPYC-Milan", 25, 1, 1, '3'},
        {"EPYC-Genoa", 25, 17, 0, '2'}, {"EPYC-Turin", 26, 0, 0, '1'},
};

static int names_find(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (strcasecmp(names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

const char *confidential_type_name(enum confidential_type type)
{
	return names_types[type];
}

int confidential_type_parse(const char *name, enum confidential_type *type)
{
	int index = names_find(names_types, BASE_COUNT(names_types), name);

	if (index >= 0)
		*type = (enum confidential_type)index;
	return BASE_MIN(index, 0);
}

int confidential_vmm_parse(const char *name, enum confidential_vmm *vmm)
{
	int index = names_find(names_vmms, BASE_COUNT(names_vmms), name);

	if (index >= 0)
		*vmm = (enum confidential_vmm)index;
	return BASE_MIN(index, 0);
}

/* CPUID Fn0000_0001_EAX: families above 15 are 15 and an extended family. */
static uint32_t names_signature(const struct names_cpu *cpu)
{
	return (uint32_t)(cpu->family - 0xf) << 20 | (uint32_t)(cpu->model >> 4) << 16 | 0xf00u |
	       (uint32_t)(cpu->model & 0xf) << 4 | cpu->stepping;
}

int confidential_cpu_signature(const char *name, uint32_t *signature)
{
	for (size_t i = 0; i < BASE_COUNT(names_cpus); i++) {
		const struct names_cpu *cpu = &names_cpus[i];
		size_t length = strlen(cpu->name);

		if (strncmp(name, cpu->name, length) != 0)
			continue;
		if (name[length] == '\0' ||
		    (strncmp(name + length, "-v", 2) == 0 && name[length + 2] >= '1' &&
		     name[length + 2] <= cpu->versions && name[length + 3] == '\0')) {
			*signature = names_signature(cpu);
			return 0;
		}
	}
	return -EINVAL;
}

const char *confidential_cpu_name(size_t index)
{
	return index < BASE_COUNT(names_cpus) ? names_cpus[index].name : NULL;
}
