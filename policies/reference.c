/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tables of keys in words: what `cordon check --keys` prints.
 */
#include "policies/internal.h"

static void print_type(FILE *out, const struct policy_key *key)
{
	char low[POLICY_FORMAT_MAX], high[POLICY_FORMAT_MAX], step[POLICY_FORMAT_MAX];

	if (key->words) {
		for (const struct policy_word *w = key->words; w->word; w++)
			fprintf(out, "%s%s", w == key->words ? "" : " | ", w->word);
		return;
	}
	if (key->kind == &policy_kind_list) {
		fprintf(out, "a list of at most %llu", (unsigned long long)key->max);
		return;
	}
	fputs(key->kind->noun, out);
	if (key->kind->format && key->min == key->max)
		fprintf(out, ", %s", key->kind->format(key->min, low));
	if (!key->kind->format || key->min == key->max)
		return;
	fprintf(out, ", %s to %s", key->kind->format(key->min, low),
	        key->kind->format(key->max, high));
	if (key->step)
		fprintf(out, ", a multiple of %s", key->kind->format(key->step, step));
}

static void print_map(FILE *out, const struct policy_map *map, int depth)
{
	for (size_t i = 0; i < map->count; i++) {
		const struct policy_key *key = &map->keys[i];

		fprintf(out, "%*s%s: ", depth * 2, "", key->name);
		print_type(out, key);
		if (key->required)
			fputs("  (required)", out);
		else if (key->fallback)
			fprintf(out, "  (default: %s)", key->fallback);
		fprintf(out, "\n%*s# %s\n", depth * 2 + 2, "", key->help);
		if (key->map)
			print_map(out, key->map, depth + 1);
	}
}

void policy_reference_print(FILE *out)
{
	print_map(out, &policy_map_policy, 0);
}
