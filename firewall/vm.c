/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's rules come, change and go: each public function here reads what the kernel has, writes one
 * piece of text, and runs it as one transaction.
 *
 * A change keeps the chains and replaces their rules (flush and add in the same transaction), so no
 * packet meets an empty chain, and a netdev hook is never taken out and put back. Sets get new names,
 * because libnftables would merge the new elements with those it saw in the kernel.
 *
 * On older kernels a netdev chain dies with its device. The inet rules stay, and the tap can die between
 * our reading and our transaction: then the transaction fails as a whole, and is tried again.
 */
#include <arpa/inet.h>
#include <sys/random.h>

#include "base/base.h"
#include "firewall/rules.h"

enum { ATTEMPTS = 3 };

static void unlock(struct firewall **fw)
{
	if (*fw)
		firewall_unlock(*fw);
}
/* Text that grows; finished by take(). */
struct text {
	FILE *out;
	char *text;
	size_t size;
};
static int text_open(struct text *t)
{
	*t = (struct text){0};
	t->out = open_memstream(&t->text, &t->size);
	return t->out ? 0 : -ENOMEM;
}
static int text_finish(struct text *t)
{
	bool bad = ferror(t->out);

	bad |= fclose(t->out) != 0;
	t->out = NULL;
	return bad ? -ENOMEM : 0;
}
static void text_clear(struct text *t)
{
	base_fclose(&t->out);
	free(t->text);
}

static void drop_chain(FILE *out, const char *family, const char *vm, const char *suffix)
{
	fprintf(out, "delete chain %s cordon vm_%s_%s\n", family, vm, suffix);
}

static void quarantine_elements(FILE *out, const char *verb, const char *family, const char *vm,
                                const char *tap)
{
	static const char *const ways[] = {"from", "to"};

	for (size_t i = 0; i < BASE_COUNT(ways); i++)
		fprintf(out,
		        "%s element %s cordon quarantine_%s { \"%s\" : goto vm_%s_quarantine_%s "
		        "}\n",
		        verb, family, ways[i], tap, vm, ways[i]);
}

/* Takes NIC i's elements out of all shared sets and maps. */
static void detach_nic(FILE *out, const char *family, const char *vm,
                       const struct firewall_state *old, size_t i)
{
	const char *tap = old->nics[i].tap;

	for (size_t c = 0; c < firewall_vm_chain_count; c++)
		if (old->chains & 1u << c && firewall_vm_chains[c].verdict)
			fprintf(out, "delete element %s cordon map_%s { \"%s\" }\n", family,
			        firewall_vm_chains[c].suffix, tap);
	if (old->quarantined)
		quarantine_elements(out, "delete", family, vm, tap);
	/* added first, so that one that somebody else has deleted is no reason to fail */
	if (old->generation) {
		firewall_mark_elements(out, "add", family, tap, old->generation, NULL);
		firewall_mark_elements(out, "delete", family, tap, old->generation, NULL);
	}
	firewall_text_unnic(out, family, &old->nics[i].was);
	firewall_text_unspoof(out, vm, old, i);
}

/* What only the tap itself has: the hook, and its counters. */
static void drop_tap(FILE *out, const char *family, const char *vm,
                     const struct firewall_state *old, size_t i)
{
	if (old->nics[i].hooked)
		fprintf(out,
		        "flush chain netdev cordon vm_%s_%zu\ndelete chain netdev cordon "
		        "vm_%s_%zu\n",
		        vm, i, vm, i);
	firewall_denied_forget(out, family, old->nics[i].tap);
	firewall_tally_forget(out, family, old->nics[i].tap);
	firewall_tally_forget(out, "netdev", old->nics[i].tap);
}

/* Empties or deletes those of the VM's chains that are not among `kept`. */
static void old_chains(FILE *out, const char *verb, const char *family, const char *vm,
                       const struct firewall_state *old, unsigned int kept)
{
	for (size_t c = 0; c < firewall_vm_chain_count; c++)
		if (old->chains & ~kept & 1u << c)
			fprintf(out, "%s chain %s cordon vm_%s_%s\n", verb, family, vm,
			        firewall_vm_chains[c].suffix);
}

/* The host's ports that were the NIC's; its chain goes unless the new rules have one. */
static void drop_forwards(FILE *out, const char *vm, const struct firewall_state *old, size_t i,
                          bool chain)
{
	for (size_t f = 0; f < old->nics[i].forward_count; f++)
		fprintf(out, "delete element inet cordon forwards { %s . %u }\n",
		        old->nics[i].forwards[f].proto == POLICY_PROTO_TCP ? "tcp" : "udp",
		        old->nics[i].forwards[f].host);
	if (old->nics[i].forwarding && chain)
		fprintf(out,
		        "flush chain inet cordon vm_%s_%zu_forwards\ndelete chain inet cordon "
		        "vm_%s_%zu_forwards\n",
		        vm, i, vm, i);
}

/* Chains of rules with limits that the new rules (the first `kept` of each side) have no use for. */
static void surplus_chains(FILE *out, const char *verb, const char *family, const char *vm,
                           const struct firewall_state *old, const size_t kept[2], bool groups)
{
	static const char *const sides[] = {"ingress", "egress"};

	for (size_t side = 0; side < 2; side++) {
		if (old->slots[side] && !kept[side])
			fprintf(out, "%s chain %s cordon vm_%s_%s_known\n", verb, family, vm,
			        sides[side]);
		for (size_t slot = kept[side] + 1; slot <= old->slots[side]; slot++)
			fprintf(out,
			        "%s chain %s cordon vm_%s_%s_a%zu\n%s chain %s cordon "
			        "vm_%s_%s_r%zu\n",
			        verb, family, vm, sides[side], slot, verb, family, vm, sides[side],
			        slot);
	}
	if (old->groups.count && !groups)
		fprintf(out, "%s chain %s cordon vm_%s_groups\n", verb, family, vm);
}

/* Once no rule refers to them. What the new policy has too stays: the VM's own quota goes on counting, and a name
 * goes on standing for the addresses that the guest knows. */
static void drop_objects(FILE *out, const char *family, const char *vm,
                         const struct firewall_state *old, const struct policy *policy)
{
	bool quota = policy && policy->firewall.limits.quota > 0;
	char own[FIREWALL_NAME_MAX];

	snprintf(own, sizeof(own), "vm_%s_quota", vm);
	for (size_t i = 0; i < old->sets.count; i++)
		if (!firewall_named_keeps(policy, old->sets.list[i]))
			fprintf(out, "delete set %s cordon %s\n", family, old->sets.list[i]);
	for (size_t i = 0; i < old->quotas.count; i++)
		if (!quota || strcmp(old->quotas.list[i], own) != 0)
			fprintf(out, "delete quota %s cordon %s\n", family, old->quotas.list[i]);
}

static int write_nics(struct firewall *fw, const struct firewall_plan *plan,
                      const struct firewall_state *old)
{
	int error = firewall_peers_join(fw, plan);

	for (size_t i = 0; i < plan->nic_count; i++) {
		if (!firewall_nic_in(&plan->nics[i], plan->family))
			continue;
		if (plan->nics[i].mode == POLICY_NIC_BRIDGE)
			firewall_text_bridge(plan, i);
		else
			firewall_text_nic(plan, i);
		firewall_text_spoof(plan, i);
		firewall_mark_elements(plan->out, "add", plan->family, plan->nics[i].tap,
		                       plan->generation, plan->policy);
		if (old->quarantined)
			quarantine_elements(plan->out, "add", plan->family, plan->policy->vm.name,
			                    plan->nics[i].tap);
	}
	return error;
}

/* The old NICs of this family; a tap that the new rules have too keeps its hook. */
static void write_old_nics(const struct firewall_plan *plan, const struct firewall_state *old)
{
	const char *vm = plan->policy->vm.name;

	for (size_t i = 0; i < old->nic_count; i++) {
		bool gone = i >= plan->nic_count || !firewall_nic_in(&plan->nics[i], plan->family);

		if (!old->nics[i].tap[0])
			continue;
		detach_nic(plan->out, plan->family, vm, old, i);
		if (gone || strcmp(old->nics[i].tap, plan->nics[i].tap) != 0)
			drop_tap(plan->out, plan->family, vm, old, i);
		drop_forwards(plan->out, vm, old, i,
		              gone || !plan->policy->vm.nics[i].forward_count);
	}
}

/* With no `fw`, nothing is asked of the kernel: what is written is what a first start would load. */
static int write_apply(struct firewall *fw, const struct firewall_plan *plan,
                       const struct firewall_state *old)
{
	const struct policy *policy = plan->policy;
	const char *vm = policy->vm.name, *family = plan->family;
	const size_t slots[2] = {firewall_mark_slots(policy, false),
	                         firewall_mark_slots(policy, true)};
	bool groups = policy->vm.group_count > 0;
	struct firewall_plan now = *plan; /* which notes what is written */
	static const size_t none[2];
	int error;

	if (!fw || !firewall_tables_there(fw, family))
		firewall_text_tables(plan->out, family);
	error = old->present ? firewall_peers_leave(fw, plan->out, family, vm, old) : 0;
	write_old_nics(plan, old);
	old_chains(plan->out, "flush", family, vm, old, 0);
	surplus_chains(plan->out, "flush", family, vm, old, none, groups);
	drop_objects(plan->out, family, vm, old, policy);
	error = error ? error : firewall_peers_name(fw, plan);
	error = error ? error : firewall_text_policy(&now);
	error = error ? error : write_nics(fw, plan, old);
	firewall_state_write(&now);
	old_chains(plan->out, "delete", family, vm, old, now.chains);
	surplus_chains(plan->out, "delete", family, vm, old, slots, groups);
	return error;
}

/* Not guessable, so that what an earlier VM of the same address left open is not open to this one. */
static uint16_t first_generation(void)
{
	uint16_t number = 0;

	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		number = (uint16_t)getpid();
	return (uint16_t)(number % (FIREWALL_GENERATIONS / 2) * 2 + 1); /* sets begin with 'a' */
}

/* True when the VM has, or is to have, rules in the family. */
static bool family_concerns(const struct firewall_plan *plan, const struct firewall_state *old)
{
	bool concerns = old->present || strcmp(plan->family, "inet") == 0;

	for (size_t i = 0; i < plan->nic_count; i++)
		concerns |= firewall_nic_in(&plan->nics[i], plan->family);
	return concerns;
}

static int apply_family(struct firewall *fw, struct firewall_plan *plan, struct firewall_state *old)
{
	int error = firewall_state_read(fw, plan->family, plan->policy->vm.name, old);

	if (error || !family_concerns(plan, old))
		return error;
	plan->replaces = old->present;
	/* a guest that ran before it was guarded has connections too */
	for (size_t i = 0; i < plan->nic_count; i++)
		plan->replaces |= plan->nics[i].foreign;
	/* one generation for all families: the first one's state decides */
	if (strcmp(plan->family, "inet") == 0)
		plan->generation = old->generation
		                           ? (uint16_t)(old->generation % FIREWALL_GENERATIONS + 1)
		                           : first_generation();
	return write_apply(fw, plan, old);
}

static int apply_once(struct firewall *fw, struct firewall_plan *plan)
{
	struct firewall_state inet BASE_CLEANUP(firewall_state_clear) = {0};
	struct firewall_state bridge BASE_CLEANUP(firewall_state_clear) = {0};
	struct text t BASE_CLEANUP(text_clear) = {0};
	int error = text_open(&t);

	if (error)
		return error;
	plan->out = t.out;
	plan->family = "inet";
	error = apply_family(fw, plan, &inet);
	plan->family = "bridge";
	if (!error)
		error = apply_family(fw, plan, &bridge);
	if (!error)
		error = text_finish(&t);
	if (!error)
		error = firewall_run(fw, t.text);
	if (!error) {
		firewall_peers_sweep(fw, "inet", &inet, plan->policy);
		firewall_peers_sweep(fw, "bridge", &bridge, plan->policy);
	}
	return error;
}

/* The one thing of a VM that another one may have already, and that no name tells apart. */
static bool has_forwards(const struct policy *policy)
{
	for (size_t i = 0; i < policy->vm.nic_count; i++)
		if (policy->vm.nics[i].forward_count)
			return true;
	return false;
}

/* Where the kernel lacks something, its name says more than the kernel's error does. */
static void explain_failure(struct firewall *fw, const struct firewall_nic *nics, size_t nic_count)
{
	char words[200];
	const char *missing = NULL;
	bool bridged = false;

	for (size_t i = 0; i < nic_count; i++)
		bridged |= nics[i].mode == POLICY_NIC_BRIDGE;
	snprintf(words, sizeof(words), "%.199s", firewall_error(fw));
	if (!firewall_host_check(fw, &missing) ||
	    (bridged && !firewall_host_check_bridge(fw, &missing)))
		firewall_fail(fw, "this kernel lacks %s", missing);
	else
		firewall_fail(fw, "%s", words);
}

int firewall_vm_apply(struct firewall *fw, const struct policy *policy,
                      const struct firewall_nic *nics, size_t nic_count)
{
	struct firewall_plan plan = {.policy = policy, .nics = nics, .nic_count = nic_count};
	struct firewall *locked BASE_CLEANUP(unlock) = NULL;
	char why[160] = "";
	int error = firewall_check(policy, nics, nic_count, why, sizeof(why));

	if (error) {
		firewall_fail(fw, "%s", why);
		return error;
	}
	error = firewall_lock(fw);
	if (error)
		return error;
	locked = fw;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		error = apply_once(fw, &plan);
		if (error != -ENOENT && error != -EEXIST)
			break;
	}
	if (error)
		explain_failure(fw, nics, nic_count);
	if (error == -EEXIST && has_forwards(policy))
		firewall_fail(fw, "a port of the host's that it forwards is another VM's already");
	return error;
}

static int write_remove(struct firewall *fw, FILE *out, const char *family, const char *vm,
                        const struct firewall_state *old)
{
	static const size_t none[2];
	int error;

	if (!old->present)
		return 0;
	error = firewall_peers_leave(fw, out, family, vm, old);
	for (size_t i = 0; i < old->nic_count; i++)
		if (old->nics[i].tap[0]) {
			detach_nic(out, family, vm, old, i);
			drop_tap(out, family, vm, old, i);
			drop_forwards(out, vm, old, i, true);
		}
	old_chains(out, "flush", family, vm, old, 0);
	surplus_chains(out, "flush", family, vm, old, none, false);
	fprintf(out, "flush chain %s cordon vm_%s_is\n", family, vm);
	surplus_chains(out, "delete", family, vm, old, none, false);
	old_chains(out, "delete", family, vm, old, 0);
	drop_chain(out, family, vm, "is");
	if (old->quarantined) {
		fprintf(out, "flush chain %s cordon vm_%s_quarantine_from\n", family, vm);
		drop_chain(out, family, vm, "quarantine_from");
		drop_chain(out, family, vm, "quarantine_to");
	}
	drop_objects(out, family, vm, old, NULL);
	return error;
}

static int drop_tables(struct firewall *fw)
{
	return firewall_run(fw, firewall_table_there(fw, "bridge")
	                                ? "delete table bridge cordon\ndelete table inet cordon\n"
	                                  "delete table netdev cordon\n"
	                                : "delete table inet cordon\ndelete table netdev "
	                                  "cordon\n");
}

static int remove_once(struct firewall *fw, const char *vm)
{
	struct firewall_state inet BASE_CLEANUP(firewall_state_clear) = {0};
	struct firewall_state bridge BASE_CLEANUP(firewall_state_clear) = {0};
	struct text t BASE_CLEANUP(text_clear) = {0};
	char name[1][POLICY_NAME_MAX];
	int error = firewall_state_read(fw, "inet", vm, &inet), vms;

	if (error || !inet.present)
		return error;
	vms = firewall_vm_list(fw, name, 1);
	if (vms < 0)
		return vms;
	if (vms == 1)
		return drop_tables(fw);
	error = firewall_state_read(fw, "bridge", vm, &bridge);
	if (!error)
		error = text_open(&t);
	if (!error)
		error = write_remove(fw, t.out, "inet", vm, &inet);
	if (!error)
		error = write_remove(fw, t.out, "bridge", vm, &bridge);
	if (!error)
		error = text_finish(&t);
	if (!error)
		error = firewall_run(fw, t.text);
	if (!error) {
		firewall_peers_sweep(fw, "inet", &inet, NULL);
		firewall_peers_sweep(fw, "bridge", &bridge, NULL);
	}
	return error;
}

int firewall_vm_remove(struct firewall *fw, const char *vm)
{
	struct firewall *locked BASE_CLEANUP(unlock) = NULL;
	int error;

	if (!firewall_name_valid(vm)) {
		firewall_fail(fw, "the VM's name has to be 1 to 31 of a-z, 0-9 and '-'");
		return -EINVAL;
	}
	error = firewall_lock(fw);
	if (error)
		return error;
	locked = fw;
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		error = remove_once(fw, vm);
		if (error != -ENOENT)
			break;
	}
	return error;
}

/* Who may talk on a bridge has to find each other first. */
static void write_quarantine_arp(FILE *out, const char *vm)
{
	fprintf(out,
	        "add rule bridge cordon vm_%s_quarantine_from ether type arp goto onward\n"
	        "add rule bridge cordon vm_%s_quarantine_to ether type arp accept\n",
	        vm, vm);
}

static void write_quarantine(FILE *out, const char *family, const char *vm,
                             const struct firewall_state *old, const struct policy_cidr *allow)
{
	static const char *const ways[] = {"from", "to"};
	char address[INET6_ADDRSTRLEN + 4];

	for (size_t i = 0; i < BASE_COUNT(ways); i++)
		fprintf(out,
		        "add chain %s cordon vm_%s_quarantine_%s\nflush chain %s cordon "
		        "vm_%s_quarantine_%s\n",
		        family, vm, ways[i], family, vm, ways[i]);
	/* without it a guest does not find its way to an IPv6 network that is left open */
	for (size_t i = 0; i < BASE_COUNT(ways) && allow && allow->family == 6; i++)
		fprintf(out,
		        "add rule %s cordon vm_%s_quarantine_%s icmpv6 type nd-neighbor-solicit "
		        "counter accept comment \"neighbour discovery\"\n"
		        "add rule %s cordon vm_%s_quarantine_%s icmpv6 type nd-neighbor-advert "
		        "counter accept comment \"neighbour discovery\"\n",
		        family, vm, ways[i], family, vm, ways[i]);
	if (allow) {
		const char *ip = allow->family == 4 ? "ip" : "ip6";

		firewall_text_address(address, sizeof(address), allow);
		fprintf(out,
		        "add rule %s cordon vm_%s_quarantine_from %s daddr %s counter goto onward "
		        "comment \"quarantine allows\"\n",
		        family, vm, ip, address);
		fprintf(out,
		        "add rule %s cordon vm_%s_quarantine_to %s saddr %s counter accept "
		        "comment \"quarantine allows\"\n",
		        family, vm, ip, address);
		if (strcmp(family, "bridge") == 0)
			write_quarantine_arp(out, vm);
	}
	for (size_t i = 0; i < BASE_COUNT(ways); i++)
		fprintf(out,
		        "add rule %s cordon vm_%s_quarantine_%s counter drop comment "
		        "\"quarantine %s guest\"\n",
		        family, vm, ways[i], ways[i]);
	for (size_t i = 0; i < old->nic_count; i++)
		if (old->nics[i].tap[0])
			quarantine_elements(out, "add", family, vm, old->nics[i].tap);
}

static void write_release(FILE *out, const char *family, const char *vm,
                          const struct firewall_state *old)
{
	for (size_t i = 0; i < old->nic_count; i++)
		if (old->nics[i].tap[0])
			quarantine_elements(out, "delete", family, vm, old->nics[i].tap);
	fprintf(out, "flush chain %s cordon vm_%s_quarantine_from\n", family, vm);
	drop_chain(out, family, vm, "quarantine_from");
	drop_chain(out, family, vm, "quarantine_to");
}

static int set_quarantine(struct firewall *fw, const char *vm, bool on,
                          const struct policy_cidr *allow)
{
	struct firewall *locked BASE_CLEANUP(unlock) = NULL;
	struct text t BASE_CLEANUP(text_clear) = {0};
	int error = firewall_lock(fw);

	if (error)
		return error;
	locked = fw;
	error = text_open(&t);
	for (size_t f = 0; f < BASE_COUNT(firewall_families) && !error; f++) {
		struct firewall_state old BASE_CLEANUP(firewall_state_clear) = {0};
		const char *family = firewall_families[f];

		error = firewall_state_read(fw, family, vm, &old);
		if (!error && f == 0 && !old.present) {
			firewall_fail(fw, "no VM with the name '%s' has rules", vm);
			return -ENOENT;
		}
		if (!error && old.present && on)
			write_quarantine(t.out, family, vm, &old, allow);
		else if (!error && old.quarantined)
			write_release(t.out, family, vm, &old);
	}
	if (!error)
		error = text_finish(&t);
	return error ? error : firewall_run(fw, t.text);
}

int firewall_vm_quarantine(struct firewall *fw, const char *vm, const struct policy_cidr *allow)
{
	bool allow_valid = !allow || (allow->family == 4 && allow->prefix <= 32) ||
	                   (allow->family == 6 && allow->prefix <= 128);

	if (!firewall_name_valid(vm) || !allow_valid) {
		firewall_fail(fw, "a VM's name and an IPv4 or IPv6 network were expected");
		return -EINVAL;
	}
	return set_quarantine(fw, vm, true, allow);
}

int firewall_vm_release(struct firewall *fw, const char *vm)
{
	if (!firewall_name_valid(vm)) {
		firewall_fail(fw, "the VM's name has to be 1 to 31 of a-z, 0-9 and '-'");
		return -EINVAL;
	}
	return set_quarantine(fw, vm, false, NULL);
}

int firewall_explain(FILE *out, const struct policy *policy, const struct firewall_nic *nics,
                     size_t nic_count)
{
	struct firewall_plan plan = {.out = out,
	                             .policy = policy,
	                             .nics = nics,
	                             .nic_count = nic_count,
	                             .generation = 1};
	const struct firewall_state none = {0};
	char why[160];
	int error = firewall_check(policy, nics, nic_count, why, sizeof(why));

	if (error)
		fprintf(out, "# these rules would be refused: %s\n", why);
	for (size_t f = 0; f < BASE_COUNT(firewall_families) && !error; f++) {
		plan.family = firewall_families[f];
		if (family_concerns(&plan, &none))
			error = write_apply(NULL, &plan, &none);
	}
	return error ? error : ferror(out) ? -EIO : 0;
}
