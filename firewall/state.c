/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds of a VM, read from the kernel itself, so that a restarted daemon (or another
 * one) can change and remove rules that it did not make.
 *
 * Nothing is searched for: the names of a VM's chains follow from its own, the tap of each NIC stands
 * in the comment of the first rule of its chain I_from, its generation and its forwards in comments too,
 * and sets and quotas are those that its rules refer to. So reading one VM's state costs the same
 * however many VMs there are.
 */
#include <jansson.h>

#include "base/base.h"
#include "firewall/rules.h"

static void decref(json_t **json)
{
	json_decref(*json);
}
#define AUTO_JSON BASE_CLEANUP(decref)

bool firewall_names_hold(const struct firewall_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->list[i], name) == 0)
			return true;
	return false;
}

int firewall_names_add(struct firewall_names *names, const char *name)
{
	int error;

	if (firewall_names_hold(names, name))
		return 0;
	if (names->count == FIREWALL_NAMES_MAX)
		return -E2BIG;
	if (!names->list)
		names->list = calloc(FIREWALL_NAMES_MAX, sizeof(*names->list));
	if (!names->list)
		return -ENOMEM;
	error = base_copy_string(names->list[names->count], FIREWALL_NAME_MAX, name);
	names->count += !error;
	return error;
}

void firewall_state_clear(struct firewall_state *state)
{
	free(state->sets.list);
	free(state->quotas.list);
	free(state->groups.list);
	free(state->peers.list);
	*state = (struct firewall_state){0};
}

/* What is read of one VM, and whose it is. */
struct reading {
	struct firewall *fw;
	const char *family, *vm;
	char own[POLICY_NAME_MAX + 8]; /* "vm_NAME_" */
	struct firewall_state *state;
};

static int list_chain(const struct reading *r, const char *family, const char *suffix,
                      json_t **array)
{
	char command[FIREWALL_NAME_MAX + 64];

	snprintf(command, sizeof(command), "list chain %s cordon vm_%s_%s", family, r->vm, suffix);
	return firewall_list(r->fw, command, array);
}

static int scan_text(struct reading *r, const char *key, const char *text)
{
	struct firewall_state *state = r->state;

	if (strcmp(key, "quota") == 0 && strncmp(text, r->own, strlen(r->own)) == 0)
		return firewall_names_add(&state->quotas, text);
	if (strcmp(key, "comment") == 0) {
		unsigned int generation;

		if (sscanf(text, "generation %u", &generation) == 1 && generation &&
		    generation <= FIREWALL_GENERATIONS)
			state->generation = (uint16_t)generation;
		return 0;
	}
	if (text[0] == '@' && strncmp(text + 1, r->own, strlen(r->own)) == 0)
		return firewall_names_add(&state->sets, text + 1);
	if (strncmp(text, "@peer_", 6) == 0 || strncmp(text, "@group_", 7) == 0)
		return firewall_names_add(&state->peers, text + 1);
	return 0;
}

/* Every string anywhere in the rules. Bounded by jansson's own depth limit. */
static int scan(struct reading *r, const char *key, const json_t *json)
{
	const char *text = json_string_value(json), *name;
	json_t *child;
	size_t i;
	int error = text ? scan_text(r, key, text) : 0;

	json_array_foreach(json, i, child) error = error ? error : scan(r, key, child);
	json_object_foreach((json_t *)json, name, child) error =
	        error ? error : scan(r, name, child);
	return error;
}

/* Scans a chain; an absent one is none (*found says). */
static int scan_chain(struct reading *r, const char *suffix, bool *found)
{
	json_t *rules AUTO_JSON = NULL;
	int error = list_chain(r, r->family, suffix, &rules);

	*found = error == 0;
	return error == -ENOENT ? 0 : error ? error : scan(r, "", rules);
}

/* The comment of each rule of a list, to a function. */
static void each_comment(const json_t *array, struct reading *r, size_t nic,
                         void (*take)(struct reading *r, size_t nic, const char *comment))
{
	size_t i;
	const json_t *entry;

	json_array_foreach(array, i, entry)
	{
		const char *comment = json_string_value(
		        json_object_get(json_object_get(entry, "rule"), "comment"));

		if (comment)
			take(r, nic, comment);
	}
}

/* "…, tap TAP" */
static void take_tap(struct reading *r, size_t nic, const char *comment)
{
	const char *at = strstr(comment, ", tap ");

	if (at && !r->state->nics[nic].tap[0])
		base_copy_string(r->state->nics[nic].tap, 16, at + strlen(", tap "));
}

/* "forward tcp 8080, line N" */
static void take_forward(struct reading *r, size_t nic, const char *comment)
{
	struct policy_forward forward = {0};
	size_t *count = &r->state->nics[nic].forward_count;
	char proto[4];

	if (sscanf(comment, "forward %3s %hu", proto, &forward.host) != 2)
		return;
	forward.proto = strcmp(proto, "tcp") == 0 ? POLICY_PROTO_TCP : POLICY_PROTO_UDP;
	for (size_t i = 0; i < *count; i++) /* one for each family */
		if (r->state->nics[nic].forwards[i].host == forward.host &&
		    r->state->nics[nic].forwards[i].proto == forward.proto)
			return;
	if (*count < POLICY_FORWARDS_MAX)
		r->state->nics[nic].forwards[(*count)++] = forward;
}

static int read_nic(struct reading *r, size_t i)
{
	json_t *from AUTO_JSON = NULL, *base AUTO_JSON = NULL, *forwards AUTO_JSON = NULL;
	char suffix[24];
	int error;

	snprintf(suffix, sizeof(suffix), "%zu_from", i);
	error = list_chain(r, r->family, suffix, &from);
	if (error)
		return error == -ENOENT ? 0 : error;
	each_comment(from, r, i, take_tap);
	snprintf(suffix, sizeof(suffix), "%zu_forwards", i);
	error = list_chain(r, r->family, suffix, &forwards);
	if (error && error != -ENOENT)
		return error;
	r->state->nics[i].forwarding = error == 0;
	each_comment(forwards, r, i, take_forward);
	snprintf(suffix, sizeof(suffix), "%zu", i);
	error = list_chain(r, "netdev", suffix, &base);
	if (error && error != -ENOENT)
		return error;
	r->state->nics[i].hooked = error == 0;
	r->state->nic_count = i + 1;
	return 0;
}

/* The chains of rules with limits are as many as SIDE_known tells apart. */
static int read_slots(struct reading *r, bool outward)
{
	const char *side = outward ? "egress" : "ingress";
	json_t *known AUTO_JSON = NULL;
	char suffix[32];
	bool found;
	size_t i, slots = 0;
	const json_t *entry;
	int error;

	snprintf(suffix, sizeof(suffix), "%s_known", side);
	error = list_chain(r, r->family, suffix, &known);
	if (error)
		return error == -ENOENT ? 0 : error;
	json_array_foreach(known, i, entry) slots += json_object_get(entry, "rule") != NULL;
	r->state->slots[outward] = slots;
	for (size_t slot = 1; slot <= slots && !error; slot++) {
		snprintf(suffix, sizeof(suffix), "%s_r%zu", side, slot);
		error = scan_chain(r, suffix, &found);
	}
	return error;
}

/* What the chain of groups refers to are the groups that the VM is in. */
static int read_groups(struct reading *r)
{
	struct firewall_names others = r->state->peers;
	bool found;
	int error;

	r->state->peers = (struct firewall_names){0};
	error = scan_chain(r, "groups", &found);
	r->state->groups = r->state->peers;
	r->state->peers = others;
	return error;
}

int firewall_state_read(struct firewall *fw, const char *family, const char *vm,
                        struct firewall_state *state)
{
	static const char *const with_sets[] = {"egress", "ingress", "host", "local"};
	struct reading r = {.fw = fw, .family = family, .vm = vm, .state = state};
	json_t *quarantine AUTO_JSON = NULL;
	int error;

	*state = (struct firewall_state){0};
	snprintf(r.own, sizeof(r.own), "vm_%s_", vm);
	for (size_t i = 0; i < BASE_COUNT(with_sets); i++) {
		bool found;

		error = scan_chain(&r, with_sets[i], &found);
		if (error || !found)
			return error;
	}
	state->present = true;
	error = read_groups(&r);
	for (size_t outward = 0; outward < 2 && !error; outward++)
		error = read_slots(&r, outward);
	for (size_t i = 0; i < POLICY_NICS_MAX && !error; i++)
		error = read_nic(&r, i);
	if (error)
		return error;
	error = list_chain(&r, family, "quarantine_from", &quarantine);
	state->quarantined = error == 0;
	return error == -ENOENT ? 0 : error;
}
