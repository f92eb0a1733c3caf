/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of things in a VM's chains. There are four kinds of connections: the guest opens one to
 * somewhere (egress) or to the host itself (host); somebody else (ingress) or the host (local) opens one
 * to the guest. Each kind has a chain for the packets of who opened it, and a chain, CHAIN_back, for
 * the packets of who answers, in which every match is turned round.
 *
 * Chain:       the VM's limits on packets; what is an answer goes to the back chain of the other
 *              direction; what these very rules have allowed returns (mark.c); invalid drops; cloud
 *              metadata; the policy's rules in their order; the default deny.
 * Back chain:  what these very rules have allowed returns; metadata and rules, turned round; deny.
 *
 * So a connection that older rules allowed meets the rules of now with its next packet, whichever way
 * that goes: it either goes on or ends there, in the same transaction that brings the rules. The rules
 * of the back chains are written only where older rules can have been in force.
 *
 * To allow is to go to the side's `_allow` chain, which holds the limits on new connections, marks the
 * connection and returns to the base chain; so forbidden packets do not use up the limits, and nothing
 * here accepts for the other side.
 */
#include <stdarg.h>

#include "base/base.h"
#include "firewall/rules.h"

const struct firewall_side firewall_sides[FIREWALL_SIDES] = {
        [FIREWALL_EGRESS] = {"egress", "egress", true, false},
        [FIREWALL_INGRESS] = {"ingress", "ingress", false, false},
        [FIREWALL_HOST] = {"egress", "host", true, true},
        [FIREWALL_LOCAL] = {"ingress", "local", false, true},
};

const char *const firewall_vm_chains[] = {
        "egress",  "egress_back",  "egress_allow",  "host",  "host_back",
        "ingress", "ingress_back", "ingress_allow", "local", "local_back",
};
const size_t firewall_vm_chain_count = BASE_COUNT(firewall_vm_chains);

void firewall_text_rule(const struct firewall_plan *plan, const char *chain, const char *tail, ...)
{
	va_list arguments;

	fprintf(plan->out, "add rule %s cordon vm_%s_%s ", plan->family, plan->policy->vm.name,
	        chain);
	va_start(arguments, tail);
	vfprintf(plan->out, tail, arguments);
	va_end(arguments);
	fputc('\n', plan->out);
}

void firewall_text_chain(const struct firewall_plan *plan, const char *suffix)
{
	const char *vm = plan->policy->vm.name, *family = plan->family;

	fprintf(plan->out, "add chain %s cordon vm_%s_%s\nflush chain %s cordon vm_%s_%s\n", family,
	        vm, suffix, family, vm, suffix);
}

/* The list of rules that decides over this kind of connections. */
static const struct policy_rule *rules_of(const struct firewall_plan *plan,
                                          const struct firewall_side *side, size_t *count)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;

	*count = side->outward ? firewall->egress_count : firewall->ingress_count;
	return side->outward ? firewall->egress : firewall->ingress;
}

static void write_metadata(const struct firewall_plan *plan, const struct firewall_side *side,
                           bool back)
{
	const char *chain = back ? "egress_back" : "egress", *word = back ? "saddr" : "daddr";
	size_t count;
	const struct policy_rule *rules = rules_of(plan, side, &count);

	for (size_t i = 0; i < count; i++)
		firewall_match_metadata(
		        &(struct firewall_writing){plan, side, &rules[i], i, back, ""});
	firewall_text_rule(plan, chain, "ip %s @metadata4 counter drop comment \"cloud metadata\"",
	                   word);
	firewall_text_rule(plan, chain, "ip6 %s @metadata6 counter drop comment \"cloud metadata\"",
	                   word);
}

static void write_rules(const struct firewall_plan *plan, const struct firewall_side *side,
                        bool back)
{
	size_t count;
	const struct policy_rule *rules = rules_of(plan, side, &count);

	if (side->outward && !side->local) {
		write_metadata(plan, side, back);
		firewall_named_resolvers(plan, side, back);
	}
	for (size_t i = 0; i < count; i++)
		firewall_match_rule(&(struct firewall_writing){plan, side, &rules[i], i, back, ""});
}

/* The chain of answers to packets of this one: what comes from the guest answers what goes to it. */
static const char *answers_of(const struct firewall_side *side)
{
	return side->local ? (side->outward ? "local_back" : "host_back")
	                   : (side->outward ? "ingress_back" : "egress_back");
}

static void write_side(const struct firewall_plan *plan, const struct firewall_side *side)
{
	const char *chain = side->chain, *what = side->local && !side->outward ? "ingress" : chain;
	char back[32];

	firewall_mark_head(plan, chain);
	firewall_text_rule(plan, chain, "ct direction reply goto vm_%s_%s", plan->policy->vm.name,
	                   answers_of(side));
	firewall_mark_known(plan, chain, side->outward);
	firewall_text_rule(plan, chain, "ct state invalid counter drop comment \"%s invalid\"",
	                   what);
	write_rules(plan, side, false);
	firewall_text_rule(plan, chain, "counter drop comment \"%s default deny\"", what);

	snprintf(back, sizeof(back), "%s_back", chain);
	firewall_mark_known(plan, back, side->outward);
	if (plan->replaces)
		write_rules(plan, side, true);
	firewall_text_rule(plan, back, "counter drop comment \"%s connection no longer allowed\"",
	                   side->name);
}

int firewall_text_policy(const struct firewall_plan *plan)
{
	int error = firewall_set_policy(plan);

	firewall_named_declare(plan);
	for (size_t s = FIREWALL_EGRESS; s <= FIREWALL_INGRESS; s++) {
		size_t count;
		const struct policy_rule *rules = rules_of(plan, &firewall_sides[s], &count);

		for (size_t i = 0; i < count && !error; i++)
			error = firewall_set_rule(&(struct firewall_writing){
			        plan, &firewall_sides[s], &rules[i], i, false, ""});
	}
	if (error)
		return error;
	firewall_mark_limits(plan);
	for (size_t s = 0; s < FIREWALL_SIDES; s++)
		write_side(plan, &firewall_sides[s]);
	return 0;
}
