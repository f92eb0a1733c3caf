/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds of a VM, read from the kernel itself, so that a restarted daemon (or another
 * one) can change and remove rules that it did not make.
 *
 * Nothing is searched for: the names of a VM's chains follow from its own, the tap of each NIC stands
 * in the comment of the first rule of its chain I_from, and the sets are those that its rules refer to.
 * So reading one VM's state costs the same however many VMs there are.
 */
#include <jansson.h>

#include "base/base.h"
#include "firewall/rules.h"

static void decref(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON BASE_CLEANUP(decref)

void firewall_state_clear(struct firewall_state *state)
{
	free(state->sets);
	*state = (struct firewall_state){0};
}

static int list_chain(struct firewall *fw, const char *family, const char *vm, const char *suffix,
                      json_t **array)
{
	char command[FIREWALL_NAME_MAX + 64];

	snprintf(command, sizeof(command), "list chain %s cordon vm_%s_%s", family, vm, suffix);
	return firewall_list(fw, command, array);
}

/* "…, tap TAP" of any rule's comment. */
static void find_tap(const json_t *array, char tap[16])
{
	size_t i;
	const json_t *entry;

	json_array_foreach(array, i, entry)
	{
		const char *comment = json_string_value(
		        json_object_get(json_object_get(entry, "rule"), "comment"));
		const char *at = comment ? strstr(comment, ", tap ") : NULL;

		if (at && base_copy_string(tap, 16, at + strlen(", tap ")) == 0)
			return;
	}
}

static bool set_known(const struct firewall_state *state, const char *name)
{
	for (size_t i = 0; i < state->set_count; i++)
		if (strcmp(state->sets[i], name) == 0)
			return true;
	return false;
}

/* Every string "@vm_NAME_…" anywhere in the rules. Bounded by jansson's own depth limit. */
static int find_sets(struct firewall_state *state, const json_t *json, const char *prefix)
{
	const char *text = json_string_value(json), *key;
	json_t *child;
	size_t i;
	int error = 0;

	if (text && strncmp(text, prefix, strlen(prefix)) == 0 && !set_known(state, text + 1)) {
		if (state->set_count == FIREWALL_SETS_MAX)
			return -E2BIG;
		if (!state->sets)
			state->sets = calloc(FIREWALL_SETS_MAX, sizeof(*state->sets));
		if (!state->sets)
			return -ENOMEM;
		error = base_copy_string(state->sets[state->set_count], FIREWALL_NAME_MAX,
		                         text + 1);
		state->set_count += !error;
		/* "@vm_NAME_G_…": the generation follows the prefix */
		state->generation = text[strlen(prefix)];
	}
	json_array_foreach(json, i, child) error = error ? error : find_sets(state, child, prefix);
	json_object_foreach((json_t *)json, key, child) error =
	        error ? error : find_sets(state, child, prefix);
	return error;
}

static int read_nics(struct firewall *fw, const char *vm, struct firewall_state *state)
{
	for (size_t i = 0; i < POLICY_NICS_MAX; i++) {
		json_t *from AUTO_JSON = NULL, *base AUTO_JSON = NULL;
		char suffix[24];
		int error;

		snprintf(suffix, sizeof(suffix), "%zu_from", i);
		error = list_chain(fw, "inet", vm, suffix, &from);
		if (error == -ENOENT)
			return 0;
		if (error)
			return error;
		find_tap(from, state->nics[i].tap);
		snprintf(suffix, sizeof(suffix), "%zu", i);
		error = list_chain(fw, "netdev", vm, suffix, &base);
		if (error && error != -ENOENT)
			return error;
		state->nics[i].hooked = error == 0;
		state->nic_count = i + 1;
	}
	return 0;
}

int firewall_state_read(struct firewall *fw, const char *vm, struct firewall_state *state)
{
	static const char *const with_sets[] = {"egress", "ingress"};
	char prefix[POLICY_NAME_MAX + 8];
	json_t *quarantine AUTO_JSON = NULL;
	int error;

	*state = (struct firewall_state){0};
	snprintf(prefix, sizeof(prefix), "@vm_%s_", vm);
	for (size_t i = 0; i < BASE_COUNT(with_sets); i++) {
		json_t *rules AUTO_JSON = NULL;

		error = list_chain(fw, "inet", vm, with_sets[i], &rules);
		if (error == -ENOENT)
			return 0;
		if (!error)
			error = find_sets(state, rules, prefix);
		if (error)
			return error;
	}
	state->present = true;
	error = read_nics(fw, vm, state);
	if (error)
		return error;
	error = list_chain(fw, "inet", vm, "quarantine_from", &quarantine);
	state->quarantined = error == 0;
	return error == -ENOENT ? 0 : error;
}
