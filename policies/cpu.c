/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vm.cpu: the processor that a guest is given. A model, and features that are added to it and removed from
 * it by the names of base/cpu_features.h; whether the host has them is found out when the VM starts. And
 * isolation.numa, where its memory is.
 */
#include "base/cpu_features.h"
#include "policies/internal.h"

enum class { BASE, V2, V3, V4, HOST, NESTED, FIXED };

#define FEATURE(name, leaf, index, reg, bit, class, needs) {name, class},
static const struct {
	const char *name;
	enum class class;
} features[] = {CPU_FEATURES(FEATURE)};
_Static_assert((size_t)POLICY_CPU_FEATURES_MAX == CPU_FEATURES_MAX, "as many bits");

static const struct policy_word words_model[] = {
        {"host", POLICY_CPU_HOST},
        {"x86-64-v2", POLICY_CPU_X86_64_V2},
        {"x86-64-v3", POLICY_CPU_X86_64_V3},
        {"x86-64-v4", POLICY_CPU_X86_64_V4},
        {NULL, 0},
};

static bool has(const uint8_t *bitmap, size_t i)
{
	return bitmap[i / 8] >> i % 8 & 1;
}

static void refuse_feature(struct policy_walk *walk, const struct policy_key *key,
                           const struct policy_node *node)
{
	const char *names[BASE_COUNT(features)], *near;
	struct policy_error *error = policy_walk_refuse(walk, node, "%s", key->kind->noun);
	size_t count = 0;

	if (node->type != POLICY_NODE_TEXT)
		return;
	for (size_t i = 0; i < BASE_COUNT(features); i++) {
		if (features[i].class < NESTED)
			names[count++] = features[i].name;
		else if (strcmp(features[i].name, node->text) == 0)
			policy_error_hint(error, features[i].class == NESTED
			                                 ? "it comes with nested: true"
			                                 : "each guest has it as it is");
	}
	near = policy_suggest(node->text, names, count);
	if (near && !error->hint[0])
		policy_error_hint(error, "did you mean %s?", near);
}

/* ---- isolation.numa ---- */

static void read_numa(struct policy_walk *walk, const struct policy_key *key,
                      struct policy_node *value, void *base)
{
	uint64_t node;

	if (!policy_walk_text(walk, key, value))
		return;
	if (!value->quoted && strcmp(value->text, "auto") == 0)
		policy_store(base, key, POLICY_NUMA_AUTO);
	else if (value->quoted || policy_value_uint(value->text, &node) || node >= POLICY_NODES)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_store(base, key, node + 1);
}

const struct policy_kind policy_kind_numa = {
        .noun = "auto, or a NUMA node's number, 0 to 1023",
        .read = read_numa,
};

/* ---- vm.cpu ---- */

/* A list of names, or one name. */
static void read_features(struct policy_walk *walk, const struct policy_key *key,
                          struct policy_node *value, void *base)
{
	struct policy_node *item = value->type == POLICY_NODE_LIST ? value->first : value;
	uint8_t *bitmap = (uint8_t *)base + key->offset;

	if (value->type == POLICY_NODE_REFUSED)
		return;
	if (value->type == POLICY_NODE_MAP || !item) {
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
		return;
	}
	/* what follows a single name is the mapping's next key */
	for (; item; item = item == value ? NULL : item->next) {
		size_t i = 0;

		if (item->type == POLICY_NODE_REFUSED)
			continue;
		while (item->type == POLICY_NODE_TEXT && i < BASE_COUNT(features) &&
		       (features[i].class >= NESTED || strcmp(features[i].name, item->text) != 0))
			i++;
		if (item->type != POLICY_NODE_TEXT || i == BASE_COUNT(features))
			refuse_feature(walk, key, item);
		else if (has(bitmap, i))
			policy_error_found(policy_walk_refuse(walk, item, "each feature once"),
			                   "\"%s\" a second time", item->text);
		else
			bitmap[i / 8] |= (uint8_t)(1u << i % 8);
	}
}

static const struct policy_kind kind_features = {
        .noun = "features such as [avx2, aes]: cordon-policy(5) lists them",
        .read = read_features,
};

static void check_features(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_cpu *cpu = base;

	for (size_t i = 0; i < BASE_COUNT(features) && !map->bad; i++)
		if (has(cpu->add, i) && has(cpu->remove, i))
			policy_error_found(policy_walk_refuse(walk, policy_node_find(map, "remove"),
			                                      "each feature in one of the two"),
			                   "%s both added and removed", features[i].name);
}

static const struct policy_key keys_features[] = {
        {"add", &kind_features, POLICY_FIELD(policy_cpu, add),
         .help = "features that the guest has beside those of the model, or does not start"},
        {"remove", &kind_features, POLICY_FIELD(policy_cpu, remove),
         .help = "features of the model that the guest does not see, and those that need them"},
};
static const struct policy_map map_features = {
        .what = "features",
        .keys = keys_features,
        .count = BASE_COUNT(keys_features),
        .line = POLICY_NO_OFFSET,
        .check = check_features,
};

static const struct policy_key keys_cpu[] = {
        {"model", &policy_kind_word, POLICY_FIELD(policy_cpu, model), .words = words_model,
         .fallback = "host",
         .help = "what the host has, or the same on each host that can give it"},
        {"nested", &policy_kind_bool, POLICY_FIELD(policy_cpu, nested), .fallback = "false",
         .help = "the guest may run guests of its own (VT-x, AMD-V)"},
        {"features", &policy_kind_map, 0, 0, .map = &map_features, .help = "changes to the model"},
};
const struct policy_map policy_map_cpu = {
        .what = "cpu",
        .keys = keys_cpu,
        .count = BASE_COUNT(keys_cpu),
        .line = offsetof(struct policy_cpu, line),
};

bool policy_cpu_valid(const struct policy_cpu *cpu)
{
	if (cpu->model > POLICY_CPU_X86_64_V4 || *(const volatile uint8_t *)&cpu->nested > 1)
		return false;
	for (size_t i = 0; i < POLICY_CPU_FEATURES_MAX; i++)
		if ((has(cpu->add, i) || has(cpu->remove, i)) &&
		    (i >= BASE_COUNT(features) || features[i].class >= NESTED))
			return false;
	return true;
}

void policy_cpu_text(const struct policy_cpu *cpu, char text[POLICY_CPU_TEXT_MAX])
{
	size_t used = (size_t)snprintf(text, POLICY_CPU_TEXT_MAX, "%s%s",
	                               words_model[cpu->model].word, cpu->nested ? ",nested" : "");

	for (size_t i = 0; i < BASE_COUNT(features); i++)
		if ((has(cpu->add, i) || has(cpu->remove, i)) && used < POLICY_CPU_TEXT_MAX)
			used += (size_t)snprintf(text + used, POLICY_CPU_TEXT_MAX - used, ",%c%s",
			                         has(cpu->add, i) ? '+' : '-', features[i].name);
}
