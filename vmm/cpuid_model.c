// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cpuid_model: which features a guest gets. The model `host` takes what there is of the allow list
 * (base/cpu_features.h). A named model is a fixed set, so that it is the same on every host that can give
 * it; on one that cannot, the guest does not start. What a feature needs and has not goes with it, unless
 * somebody asked for it by name.
 */
#include "vmm/cpuid_model.h"

#include <errno.h>

#include "base/base.h"
#include "base/why.h"

#define FEATURE(name, leaf, index, reg, bit, class, needs) \
	{name, leaf, index, reg, bit, class, needs},

const struct cpuid_feature cpuid_features[CPU_FEATURES_COUNT] = {CPU_FEATURES(FEATURE)};

static const char *const cpuid_models[] = {"host", NULL, "x86-64-v2", "x86-64-v3", "x86-64-v4"};

static bool bit_get(const uint64_t *bits, size_t i)
{
	return bits[i / 64] >> i % 64 & 1;
}

static void bit_set(uint64_t *bits, size_t i)
{
	bits[i / 64] |= 1ull << i % 64;
}

/* The feature's place in the table, or CPU_FEATURES_COUNT. */
static size_t cpuid_feature_at(const char *name, size_t length)
{
	for (size_t i = 0; i < CPU_FEATURES_COUNT; i++)
		if (strlen(cpuid_features[i].name) == length &&
		    memcmp(cpuid_features[i].name, name, length) == 0)
			return i;
	return CPU_FEATURES_COUNT;
}

static int cpuid_parse_part(struct cpuid_model *model, const char *part, size_t length, char *why)
{
	bool add = length > 0 && *part == '+';
	size_t feature;

	if (length == strlen("nested") && memcmp(part, "nested", length) == 0) {
		model->nested = true;
		return 0;
	}
	if (!add && (length == 0 || *part != '-'))
		return why_set(why, -EINVAL, "--cpu '%.*s': expected nested, +FEATURE or -FEATURE",
		               (int)BASE_MIN(length, 40u), part);
	feature = cpuid_feature_at(part + 1, length - 1);
	if (feature == CPU_FEATURES_COUNT || cpuid_features[feature].class >= NESTED)
		return why_set(why, -EINVAL,
		               "--cpu '%.*s': no feature that can be added or removed",
		               (int)BASE_MIN(length, 40u), part);
	bit_set(add ? model->add : model->remove, feature);
	return 0;
}

int cpuid_model_parse(struct cpuid_model *model, const char *text, char *why)
{
	size_t length = strcspn(text, ",");
	int error = 0;

	*model = (struct cpuid_model){.level = BASE_COUNT(cpuid_models)};
	for (unsigned int i = 0; i < BASE_COUNT(cpuid_models); i++)
		if (cpuid_models[i] && strlen(cpuid_models[i]) == length &&
		    memcmp(text, cpuid_models[i], length) == 0)
			model->level = i;
	if (model->level == BASE_COUNT(cpuid_models))
		return why_set(why, -EINVAL,
		               "--cpu '%.40s': expected host, x86-64-v2, x86-64-v3 or x86-64-v4",
		               text);
	while (!error && text[length] == ',') {
		text += length + 1;
		length = strcspn(text, ",");
		error = cpuid_parse_part(model, text, length, why);
	}
	return error;
}

uint32_t *cpuid_register(struct kvm_cpuid_entry2 *entry, enum cpuid_register reg)
{
	uint32_t *const registers[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};

	return registers[reg];
}

struct kvm_cpuid_entry2 *cpuid_find(struct cpuid_table *table, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < table->count && i < CPUID_ENTRIES_MAX; i++)
		if (table->entries[i].function == function && table->entries[i].index == index)
			return &table->entries[i];
	return NULL;
}

static bool cpuid_bit(const struct cpuid_table *table, const struct cpuid_feature *feature)
{
	/* found, not changed */
	struct kvm_cpuid_entry2 *entry =
	        cpuid_find((struct cpuid_table *)table, feature->leaf, feature->index);

	return entry && *cpuid_register(entry, feature->reg) >> feature->bit & 1;
}

bool cpuid_has(const struct cpuid_table *guest, const char *feature)
{
	size_t i = cpuid_feature_at(feature, strlen(feature));

	return i < CPU_FEATURES_COUNT && cpuid_bit(guest, &cpuid_features[i]);
}

bool cpuid_is_amd(const struct cpuid_table *table)
{
	const struct kvm_cpuid_entry2 *entry = cpuid_find((struct cpuid_table *)table, 0, 0);
	char vendor[13] = "";

	if (!entry)
		return false;
	memcpy(vendor, &entry->ebx, 4);
	memcpy(vendor + 4, &entry->edx, 4);
	memcpy(vendor + 8, &entry->ecx, 4);
	return strcmp(vendor, "AuthenticAMD") == 0 || strcmp(vendor, "HygonGenuine") == 0;
}

static bool cpuid_wanted(const struct cpuid_model *model, const struct cpuid_feature *feature,
                         bool have, bool amd)
{
	bool svm = feature->leaf != 1;

	switch (feature->class) {
	case FIXED: return false;
	case NESTED: return model->nested && svm == amd;
	case HOST: return model->level == 0 && have;
	default: return model->level == 0 ? have : feature->class <= model->level;
	}
}

/* "avx512f, avx512bw and 3 more" */
static void cpuid_missing(const uint64_t *missing, char *list, size_t size)
{
	size_t used = 0, left = 0;

	list[0] = '\0';
	for (size_t i = 0; i < CPU_FEATURES_COUNT; i++) {
		const char *name = cpuid_features[i].name;

		if (!bit_get(missing, i))
			continue;
		if (left > 0 || used + strlen(name) + sizeof(", ") + sizeof(" and 99 more") > size)
			left++;
		else
			used += (size_t)snprintf(list + used, size - used, "%s%s", used ? ", " : "",
			                         name);
	}
	if (left > 0)
		snprintf(list + used, size - used, " and %zu more", left);
}

int cpuid_choose(const struct cpuid_table *host, const struct cpuid_model *model,
                 uint64_t chosen[CPU_FEATURES_WORDS], char *why)
{
	uint64_t missing[CPU_FEATURES_WORDS] = {0};
	bool amd = cpuid_is_amd(host), any = false;
	char list[100];

	memset(chosen, 0, CPU_FEATURES_WORDS * sizeof(*chosen));
	for (size_t i = 0; i < CPU_FEATURES_COUNT; i++) {
		const struct cpuid_feature *feature = &cpuid_features[i];
		bool have = cpuid_bit(host, feature), added = bit_get(model->add, i);

		if ((!cpuid_wanted(model, feature, have, amd) && !added) ||
		    bit_get(model->remove, i))
			continue;
		if (*feature->needs &&
		    !bit_get(chosen, cpuid_feature_at(feature->needs, strlen(feature->needs)))) {
			if (added)
				return why_set(
				        why, -EINVAL,
				        "the processor feature %s is of no use without %s, which "
				        "the guest does not have",
				        feature->name, feature->needs);
			continue;
		}
		bit_set(chosen, i);
		if (have)
			continue;
		bit_set(missing, i);
		any = true;
	}
	if (!any)
		return 0;
	cpuid_missing(missing, list, sizeof(list));
	return why_set(why, -ENOTSUP, "this host cannot give the processor %s: it lacks %s",
	               cpuid_models[model->level], list);
}
