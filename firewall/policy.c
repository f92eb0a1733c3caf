/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM's own chains. There are four kinds of connections: the guest opens one to somewhere (egress) or to the
 * host itself (host); somebody else (ingress) or the host (local) opens one to the guest. Each kind has a chain
 * for the packets of who opened it, and a chain, CHAIN_back, for the packets of who answers, in which every match
 * is turned round. tables.c says what a packet has met before it comes here.
 *
 * Chain:       the policy's rules in their order; the default deny. What the rules say of cloud metadata is in a
 *              chain of its own, which the addresses of metadata alone lead to.
 * Back chain:  metadata and rules, turned round; deny.
 *
 * So a connection that older rules allowed meets the rules of now with its next packet, whichever way
 * that goes: it either goes on or ends there, in the same transaction that brings the rules. The rules
 * of the back chains are written only where older rules can have been in force. A chain in which there is nothing
 * to say is not there at all, and the shared chains deny.
 *
 * To allow is to mark the connection and return to the base chain, by way of the side's `_allow` chain if there are
 * limits on new connections; so forbidden packets do not use up the limits, and nothing here accepts for the
 * other side.
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

enum kind { HEAD, RULES, BACK, KINDS }; /* of a side's chains */
enum { METADATA = FIREWALL_SIDES * KINDS, ALLOWS };

const struct firewall_vm_chain firewall_vm_chains[] = {
        [FIREWALL_EGRESS * KINDS + HEAD] = {"egress_head", "jump"},
        [FIREWALL_EGRESS * KINDS + RULES] = {"egress", "goto"},
        [FIREWALL_EGRESS * KINDS + BACK] = {"egress_back", "goto"},
        [FIREWALL_INGRESS * KINDS + HEAD] = {"ingress_head", "jump"},
        [FIREWALL_INGRESS * KINDS + RULES] = {"ingress", "goto"},
        [FIREWALL_INGRESS * KINDS + BACK] = {"ingress_back", "goto"},
        [FIREWALL_HOST * KINDS + HEAD] = {"host_head", "jump"},
        [FIREWALL_HOST * KINDS + RULES] = {"host", "goto"},
        [FIREWALL_HOST * KINDS + BACK] = {"host_back", "goto"},
        [FIREWALL_LOCAL * KINDS + HEAD] = {"local_head", "jump"},
        [FIREWALL_LOCAL * KINDS + RULES] = {"local", "goto"},
        [FIREWALL_LOCAL * KINDS + BACK] = {"local_back", "goto"},
        [METADATA] = {"metadata", "goto"},
        [ALLOWS] = {"egress_allow", NULL},
        [ALLOWS + 1] = {"ingress_allow", NULL},
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

/* What the rules say of metadata addresses, and that nobody else may have them. */
static void write_metadata(const struct firewall_plan *plan, const struct firewall_side *side,
                           bool back)
{
	size_t count;
	const struct policy_rule *rules = rules_of(plan, side, &count);

	for (size_t i = 0; i < count; i++)
		firewall_match_metadata(
		        &(struct firewall_writing){plan, side, &rules[i], i, back, ""});
}

static void write_rules(const struct firewall_plan *plan, const struct firewall_side *side,
                        bool back)
{
	size_t count;
	const struct policy_rule *rules = rules_of(plan, side, &count);

	if (side->outward)
		firewall_named_resolvers(plan, side, back);
	for (size_t i = 0; i < count; i++)
		firewall_match_rule(&(struct firewall_writing){plan, side, &rules[i], i, back, ""});
}

/* A chain in the making: what is said in it goes to plan.out. */
struct chain {
	struct firewall_plan plan;
	char *text;
	size_t size;
};

static int chain_open(struct chain *chain, const struct firewall_plan *plan)
{
	*chain = (struct chain){.plan = *plan};
	chain->plan.out = open_memstream(&chain->text, &chain->size);
	return chain->plan.out ? 0 : -ENOMEM;
}

static bool chain_says(struct chain *chain)
{
	fflush(chain->plan.out);
	return chain->size > 0;
}

/* Writes it out with the elements that lead there, if there is anything in it. */
static int chain_close(struct chain *chain, struct firewall_plan *plan, size_t which)
{
	const struct firewall_vm_chain *kind = &firewall_vm_chains[which];
	const char *vm = plan->policy->vm.name;
	bool bad = ferror(chain->plan.out);

	bad |= fclose(chain->plan.out) != 0;
	if (!bad && chain->size) {
		plan->chains |= 1u << which;
		firewall_text_chain(plan, kind->suffix);
		fwrite(chain->text, 1, chain->size, plan->out);
	}
	for (size_t i = 0; i < plan->nic_count && !bad && chain->size; i++)
		if (firewall_nic_in(&plan->nics[i], plan->family))
			fprintf(plan->out,
			        "add element %s cordon map_%s { \"%s\" : %s vm_%s_%s }\n",
			        plan->family, kind->suffix, plan->nics[i].tap, kind->verdict, vm,
			        kind->suffix);
	free(chain->text);
	return bad ? -ENOMEM : 0;
}

static int write_back(struct firewall_plan *plan, enum firewall_side_index s)
{
	const struct firewall_side *side = &firewall_sides[s];
	struct chain chain;
	char name[32];
	int error = chain_open(&chain, plan);

	if (error)
		return error;
	snprintf(name, sizeof(name), "%s_back", side->chain);
	firewall_mark_known(&chain.plan, name, side->outward);
	if (plan->replaces && side->outward && !side->local) {
		write_metadata(&chain.plan, side, true);
		firewall_text_rule(&chain.plan, name,
		                   "ip saddr @metadata4 counter drop comment \"cloud metadata\"");
		firewall_text_rule(&chain.plan, name,
		                   "ip6 saddr @metadata6 counter drop comment \"cloud metadata\"");
	}
	if (plan->replaces)
		write_rules(&chain.plan, side, true);
	if (chain_says(&chain))
		firewall_text_rule(&chain.plan, name,
		                   "counter drop comment \"%s connection no longer allowed\"",
		                   side->name);
	return chain_close(&chain, plan, s * KINDS + BACK);
}

/* The one chain that each VM has is its egress: by it a VM is known. */
static int write_side(struct firewall_plan *plan, enum firewall_side_index s)
{
	const struct firewall_side *side = &firewall_sides[s];
	const char *what = side->local && !side->outward ? "ingress" : side->chain;
	struct chain chain;
	int error = chain_open(&chain, plan);

	if (error)
		return error;
	firewall_mark_head(&chain.plan, side->chain);
	error = chain_close(&chain, plan, s * KINDS + HEAD);
	if (!error)
		error = chain_open(&chain, plan);
	if (error)
		return error;
	firewall_mark_known(&chain.plan, side->chain, side->outward);
	write_rules(&chain.plan, side, false);
	if (chain_says(&chain) || s == FIREWALL_EGRESS)
		firewall_text_rule(&chain.plan, side->chain,
		                   "counter %s comment \"%s default deny\"",
		                   side->outward ? "goto denied"
		                   : side->local ? "drop"
		                                 : "goto denied_to",
		                   what);
	error = chain_close(&chain, plan, s * KINDS + RULES);
	return error ? error : write_back(plan, s);
}

/* Where rules have limits, what they have allowed is told apart here too. */
static int write_metadata_chain(struct firewall_plan *plan)
{
	struct firewall_side side = firewall_sides[FIREWALL_EGRESS];
	struct chain chain;
	int error = chain_open(&chain, plan);

	if (error)
		return error;
	side.chain = firewall_vm_chains[METADATA].suffix;
	firewall_mark_known(&chain.plan, side.chain, true);
	write_metadata(&chain.plan, &side, false);
	if (chain_says(&chain))
		firewall_text_rule(&chain.plan, side.chain,
		                   "counter goto denied comment \"cloud metadata\"");
	return chain_close(&chain, plan, METADATA);
}

int firewall_text_policy(struct firewall_plan *plan)
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
	if (firewall_mark_allows(plan->policy))
		plan->chains |= 3u << ALLOWS;
	firewall_mark_chains(plan);
	firewall_mark_limits(plan);
	for (size_t s = 0; s < FIREWALL_SIDES && !error; s++)
		error = write_side(plan, s);
	return error ? error : write_metadata_chain(plan);
}
