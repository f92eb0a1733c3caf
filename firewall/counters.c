/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading back: the counters of a VM's rules, told apart by the rules' comments, and the VMs that have
 * rules. Several nft rules may stand for one line of the policy; their counters are added up.
 */
#include <jansson.h>

#include "base/base.h"
#include "firewall/rules.h"

static void decref(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON BASE_CLEANUP(decref)

/* "WHAT, line N" or "WHAT, tap T" or "WHAT". */
static void parse_comment(const char *comment, struct firewall_counter *counter)
{
	const char *line = strstr(comment, ", line "), *end = strstr(comment, ", ");

	*counter = (struct firewall_counter){0};
	base_copy_string(counter->what, sizeof(counter->what), comment);
	if (end && (size_t)(end - comment) < sizeof(counter->what))
		counter->what[end - comment] = '\0';
	if (line)
		counter->line = (uint32_t)strtoul(line + strlen(", line "), NULL, 10);
}

struct gathering {
	struct firewall_counter *list;
	size_t max, count;
};

static void add(struct gathering *g, const struct firewall_counter *counter)
{
	for (size_t i = 0; i < g->count && i < g->max; i++) {
		struct firewall_counter *same = &g->list[i];

		if (same->line != counter->line || strcmp(same->what, counter->what) != 0)
			continue;
		same->packets += counter->packets;
		same->bytes += counter->bytes;
		return;
	}
	if (g->count < g->max)
		g->list[g->count] = *counter;
	g->count++;
}

static int gather(const struct firewall_rule *rule, void *data)
{
	struct firewall_counter counter;

	if (!rule->comment || !rule->counted)
		return 0;
	parse_comment(rule->comment, &counter);
	counter.packets = rule->packets;
	counter.bytes = rule->bytes;
	add(data, &counter);
	return 0;
}

/* An absent chain counts nothing: the tap may have taken its netdev chain along. */
static int gather_chain(struct firewall *fw, struct gathering *g, const char *family,
                        const char *vm, const char *suffix)
{
	char chain[FIREWALL_NAME_MAX];
	int error;

	snprintf(chain, sizeof(chain), "vm_%s%s%s", vm, suffix[0] ? "_" : "", suffix);
	error = firewall_read_chain(fw, family, chain, gather, g);
	if (error && error != -ENOENT)
		firewall_fail(fw, "the chain %s cannot be read: %s", chain, strerror(-error));
	return error == -ENOENT ? 0 : error;
}

static int gather_nic(struct firewall *fw, struct gathering *g, const char *family, const char *vm,
                      size_t nic, const char *tap)
{
	char suffix[32];
	int error;

	snprintf(suffix, sizeof(suffix), "%zu_forwards", nic);
	error = gather_chain(fw, g, family, vm, suffix);
	if (!error)
		error = firewall_tally_read(fw, family, tap, gather, g);
	return error ? error : firewall_tally_read(fw, "netdev", tap, gather, g);
}

static int gather_limits(struct firewall *fw, struct gathering *g, const char *family,
                         const char *vm, const char *side, size_t slots)
{
	char suffix[32];
	int error = 0;

	for (size_t slot = 1; slot <= slots && !error; slot++) {
		snprintf(suffix, sizeof(suffix), "%s_a%zu", side, slot);
		error = gather_chain(fw, g, family, vm, suffix);
		snprintf(suffix, sizeof(suffix), "%s_r%zu", side, slot);
		if (!error)
			error = gather_chain(fw, g, family, vm, suffix);
	}
	return error;
}

/* One family's part; `present` says whether there is one. */
static int gather_family(struct firewall *fw, struct gathering *g, const char *family,
                         const char *vm, bool *present)
{
	static const char *const quarantine[] = {"quarantine_from", "quarantine_to"};
	struct firewall_state state BASE_CLEANUP(firewall_state_clear) = {0};
	int error = firewall_state_read(fw, family, vm, &state);

	*present = state.present;
	if (error || !state.present)
		return error;
	for (size_t c = 0; c < firewall_vm_chain_count && !error; c++)
		if (state.chains & 1u << c)
			error = gather_chain(fw, g, family, vm, firewall_vm_chains[c].suffix);
	for (size_t side = 0; side < 2 && !error; side++)
		error = gather_limits(fw, g, family, vm, side ? "egress" : "ingress",
		                      state.slots[side]);
	for (size_t i = 0; i < state.nic_count && !error; i++)
		if (state.nics[i].tap[0])
			error = gather_nic(fw, g, family, vm, i, state.nics[i].tap);
	for (size_t c = 0; c < BASE_COUNT(quarantine) && !error; c++)
		error = gather_chain(fw, g, family, vm, quarantine[c]);
	return error;
}

int firewall_vm_counters(struct firewall *fw, const char *vm, struct firewall_counter *list,
                         size_t max)
{
	struct gathering g = {.list = list, .max = max};
	int error = 0;

	if (!firewall_name_valid(vm)) {
		firewall_fail(fw, "the VM's name has to be 1 to 31 of a-z, 0-9 and '-'");
		return -EINVAL;
	}
	for (size_t f = 0; f < BASE_COUNT(firewall_families) && !error; f++) {
		bool present;

		error = gather_family(fw, &g, firewall_families[f], vm, &present);
		if (!error && f == 0 && !present) {
			firewall_fail(fw, "no VM with the name '%s' has rules", vm);
			return -ENOENT;
		}
	}
	return error ? error : (int)g.count;
}

bool firewall_table_there(struct firewall *fw, const char *family)
{
	json_t *array AUTO_JSON = NULL;
	const json_t *entry;
	char command[32];
	size_t i;

	snprintf(command, sizeof(command), "list tables %s", family);
	if (firewall_list(fw, command, &array))
		return false;
	json_array_foreach(array, i, entry)
	{
		const char *name =
		        json_string_value(json_object_get(json_object_get(entry, "table"), "name"));

		if (name && strcmp(name, "cordon") == 0)
			return true;
	}
	return false;
}

struct vm_listing {
	char (*names)[POLICY_NAME_MAX];
	size_t max, count;
};

/* By the chain that each of them has. */
static int list_vm(const char *chain, void *data)
{
	static const char tail[] = "_egress";
	struct vm_listing *listing = data;
	size_t length = strlen(chain);

	if (strncmp(chain, "vm_", 3) != 0 || length <= 3 + strlen(tail) ||
	    length - 3 - strlen(tail) >= POLICY_NAME_MAX ||
	    strcmp(chain + length - strlen(tail), tail) != 0)
		return 0;
	if (listing->count < listing->max)
		snprintf(listing->names[listing->count], POLICY_NAME_MAX, "%.*s",
		         (int)(length - 3 - strlen(tail)), chain + 3);
	listing->count++;
	return 0;
}

int firewall_vm_list(struct firewall *fw, char (*names)[POLICY_NAME_MAX], size_t max)
{
	struct vm_listing listing = {.names = names, .max = max};
	int error = firewall_read_chains(fw, "inet", list_vm, &listing);

	if (error)
		firewall_fail(fw, "the chains cannot be listed: %s", strerror(-error));
	return error ? error : (int)listing.count;
}
