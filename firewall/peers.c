/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How rules know other VMs: sets of taps, `peer_NAME` for one VM and `group_NAME` for a group.
 *
 * peer_NAME is there as long as a rule names the VM, whether it runs or not: who comes to name it puts
 * the running VM's taps in, and the VM puts its own in when it starts. group_NAME is there as long as a
 * rule names it or a VM is in it; a VM's chain `groups`, which no packet passes, refers to those that it
 * is in, for the next reader of its state.
 *
 * So what nothing refers to may go: after a change, the sets that the old rules referred to are deleted
 * one by one, and the kernel refuses for those that others need.
 */
#include "base/base.h"
#include "firewall/rules.h"

/* True when somebody's rules name this VM. */
static int named_by_others(struct firewall *fw, const char *family, const char *vm, bool *named)
{
	char set[FIREWALL_NAME_MAX];
	int error;

	snprintf(set, sizeof(set), "peer_%s", vm);
	error = firewall_read_set(fw, family, set);
	*named = error == 0;
	if (error && error != -ENOENT)
		firewall_fail(fw, "the set %s cannot be read: %s", set, strerror(-error));
	return error == -ENOENT ? 0 : error;
}

static void add_element(FILE *out, const char *family, const char *set, const char *tap)
{
	fprintf(out, "add element %s cordon %s { \"%s\" }\n", family, set, tap);
}

/* Adding first: an element that somebody else has deleted is no reason to fail. */
static void drop_element(FILE *out, const char *family, const char *set, const char *tap)
{
	add_element(out, family, set, tap);
	fprintf(out, "delete element %s cordon %s { \"%s\" }\n", family, set, tap);
}

static void declare_set(FILE *out, const char *family, const char *set)
{
	fprintf(out, "add set %s cordon %s { type ifname ; }\n", family, set);
}

int firewall_peers_leave(struct firewall *fw, FILE *out, const char *family, const char *vm,
                         const struct firewall_state *old)
{
	char own[FIREWALL_NAME_MAX];
	bool named;
	int error = named_by_others(fw, family, vm, &named);

	if (error)
		return error;
	snprintf(own, sizeof(own), "peer_%s", vm);
	for (size_t i = 0; i < old->nic_count; i++) {
		if (!old->nics[i].tap[0])
			continue;
		drop_element(out, family, "vms", old->nics[i].tap);
		for (size_t g = 0; g < old->groups.count; g++)
			drop_element(out, family, old->groups.list[g], old->nics[i].tap);
		if (named)
			drop_element(out, family, own, old->nics[i].tap);
	}
	return 0;
}

/* The set of a VM that this one's rules name, with that VM's taps, if it runs. */
static int write_peer(struct firewall *fw, const struct firewall_plan *plan, const char *vm)
{
	struct firewall_state state = {0};
	char set[FIREWALL_NAME_MAX];
	int error = 0;

	snprintf(set, sizeof(set), "peer_%s", vm);
	declare_set(plan->out, plan->family, set);
	if (fw && strcmp(vm, plan->policy->vm.name) != 0)
		error = firewall_state_read(fw, plan->family, vm, &state);
	for (size_t i = 0; i < state.nic_count; i++)
		if (state.nics[i].tap[0])
			add_element(plan->out, plan->family, set, state.nics[i].tap);
	firewall_state_clear(&state);
	return error;
}

int firewall_peers_name(struct firewall *fw, const struct firewall_plan *plan)
{
	const struct policy *policy = plan->policy;
	int error = 0;

	for (size_t i = 0; i < policy->peer_count && !error; i++) {
		const struct policy_peer *peer = &policy->peers[i];
		char set[FIREWALL_NAME_MAX];
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= policy->peers[k].kind == peer->kind &&
			         strcmp(policy->peers[k].name, peer->name) == 0;
		snprintf(set, sizeof(set), "group_%s", peer->name);
		if (again)
			continue;
		if (peer->kind == POLICY_PEER_VM)
			error = write_peer(fw, plan, peer->name);
		else if (peer->kind == POLICY_PEER_GROUP)
			declare_set(plan->out, plan->family, set);
	}
	return error;
}

int firewall_peers_join(struct firewall *fw, const struct firewall_plan *plan)
{
	const struct policy_vm *vm = &plan->policy->vm;
	const char *family = plan->family;
	char set[FIREWALL_NAME_MAX];
	bool named = false;
	int error = fw ? named_by_others(fw, family, vm->name, &named) : 0;

	if (error)
		return error;
	for (size_t i = 0; i < plan->nic_count; i++) {
		if (!firewall_nic_in(&plan->nics[i], family))
			continue;
		add_element(plan->out, family, "vms", plan->nics[i].tap);
		snprintf(set, sizeof(set), "peer_%s", vm->name);
		if (named)
			add_element(plan->out, family, set, plan->nics[i].tap);
	}
	if (vm->group_count)
		fprintf(plan->out,
		        "add chain %s cordon vm_%s_groups\nflush chain %s cordon vm_%s_groups\n",
		        family, vm->name, family, vm->name);
	for (size_t g = 0; g < vm->group_count; g++) {
		snprintf(set, sizeof(set), "group_%s", vm->groups[g]);
		declare_set(plan->out, family, set);
		for (size_t i = 0; i < plan->nic_count; i++)
			if (firewall_nic_in(&plan->nics[i], family))
				add_element(plan->out, family, set, plan->nics[i].tap);
		firewall_text_rule(plan, "groups", "iifname @%s return", set);
	}
	return 0;
}

/* True when the policy's rules name the set, or its VM is in it. */
static bool still_named(const struct policy *policy, const char *set)
{
	char own[FIREWALL_NAME_MAX];

	for (size_t i = 0; policy && i < policy->vm.group_count; i++) {
		snprintf(own, sizeof(own), "group_%s", policy->vm.groups[i]);
		if (strcmp(own, set) == 0)
			return true;
	}
	for (size_t i = 0; policy && i < policy->peer_count; i++) {
		const struct policy_peer *peer = &policy->peers[i];

		snprintf(own, sizeof(own), "%s_%s",
		         peer->kind == POLICY_PEER_GROUP ? "group" : "peer", peer->name);
		if ((peer->kind == POLICY_PEER_GROUP || peer->kind == POLICY_PEER_VM) &&
		    strcmp(own, set) == 0)
			return true;
	}
	return false;
}

static void sweep(struct firewall *fw, const char *family, const struct firewall_names *names,
                  const struct policy *policy)
{
	char command[FIREWALL_NAME_MAX + 64];

	for (size_t i = 0; i < names->count; i++) {
		if (still_named(policy, names->list[i]))
			continue;
		snprintf(command, sizeof(command), "delete set %s cordon %s", family,
		         names->list[i]);
		firewall_try(fw, command); /* refused for what is still referred to */
	}
}

void firewall_peers_sweep(struct firewall *fw, const char *family, const struct firewall_state *old,
                          const struct policy *policy)
{
	sweep(fw, family, &old->groups, policy);
	sweep(fw, family, &old->peers, policy);
}
