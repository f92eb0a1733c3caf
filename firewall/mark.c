/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which rules allowed a connection, and how much may pass it. Both are in the connection's mark, which
 * has a half for the VM that opened it (high) and one for the VM that was asked (low), as a connection
 * between two VMs needs the consent of both:
 *
 *   bits 15..4   the generation of the VM's rules that allowed it, never 0
 *   bits  3..0   the place of the rule among those with limits of their own, or 0
 *
 * What the rules of now have allowed is known by tap and generation in the shared sets known_out and known_in; if
 * rules of the VM's have limits of their own, its chains begin with a rule that tells them apart instead.
 *
 * A change of rules takes the next generation, so every older connection is looked at again, with its
 * next packet. A VM's first generation is chosen by chance, so that a connection to an earlier VM of the
 * same address does not pass for one of this one's.
 *
 * Limits on connections are met once, in SIDE_allow (the VM's, if it has any) and SIDE_aN (a rule's, which then
 * asks the VM's); limits on packets are met by each packet, in SIDE_head (the VM's) and in SIDE_rN
 * (a rule's, both ways). Quotas are objects: the VM's stays as long as the VM's rules, a rule's until
 * the rules are replaced.
 */
#include "base/base.h"
#include "firewall/rules.h"

/* An eighth of a second at full speed may come at once, but always a few full frames. */
enum { BURST_MIN = 262144 };

static const char *side_name(bool outward)
{
	return outward ? "egress" : "ingress";
}

static unsigned int half_shift(bool outward)
{
	return outward ? 16 : 0;
}

unsigned int firewall_mark_slot(const struct policy *policy, const struct firewall_writing *w)
{
	const struct policy_rule *rules =
	        w->side->outward ? policy->firewall.egress : policy->firewall.ingress;
	unsigned int slot = 0;

	for (size_t i = 0; i <= w->index; i++)
		slot += rules[i].limited;
	return w->rule->limited ? slot : 0;
}

size_t firewall_mark_slots(const struct policy *policy, bool outward)
{
	const struct policy_firewall *firewall = &policy->firewall;
	size_t count = outward ? firewall->egress_count : firewall->ingress_count, slots = 0;

	for (size_t i = 0; i < count; i++)
		slots += (outward ? firewall->egress : firewall->ingress)[i].limited;
	return slots;
}

void firewall_mark_set(char *to, size_t size, const struct firewall_plan *plan, bool outward,
                       unsigned int slot)
{
	unsigned int shift = half_shift(outward);

	snprintf(to, size, "ct mark set ct mark & 0x%08x | 0x%08x", 0xffff0000u >> shift,
	         ((unsigned int)plan->generation << 4 | slot) << shift);
}

void firewall_mark_known(const struct firewall_plan *plan, const char *chain, bool outward)
{
	unsigned int shift = half_shift(outward);

	if (firewall_mark_slots(plan->policy, outward))
		firewall_text_rule(plan, chain, "ct mark & 0x%08x == 0x%08x goto vm_%s_%s_known",
		                   0xfff0u << shift, (unsigned int)plan->generation << 4 << shift,
		                   plan->policy->vm.name, side_name(outward));
}

void firewall_mark_elements(FILE *out, const char *verb, const char *family, const char *tap,
                            uint16_t generation, const struct policy *policy)
{
	for (int outward = 0; outward < 2; outward++)
		if (!policy || !firewall_mark_slots(policy, outward))
			fprintf(out, "%s element %s cordon known_%s { \"%s\" . 0x%08x }\n", verb,
			        family, outward ? "out" : "in", tap,
			        (unsigned int)generation << 4 << half_shift(outward));
}

bool firewall_mark_allows(const struct policy *policy)
{
	return policy->firewall.limits.new_connections || policy->firewall.limits.connections;
}

void firewall_mark_chains(const struct firewall_plan *plan)
{
	char suffix[32];

	for (int outward = 0; outward < 2; outward++) {
		size_t slots = firewall_mark_slots(plan->policy, outward);

		snprintf(suffix, sizeof(suffix), "%s_allow", side_name(outward));
		if (firewall_mark_allows(plan->policy))
			firewall_text_chain(plan, suffix);
		if (slots) {
			snprintf(suffix, sizeof(suffix), "%s_known", side_name(outward));
			firewall_text_chain(plan, suffix);
		}
		for (size_t slot = 1; slot <= slots; slot++) {
			snprintf(suffix, sizeof(suffix), "%s_a%zu", side_name(outward), slot);
			firewall_text_chain(plan, suffix);
			snprintf(suffix, sizeof(suffix), "%s_r%zu", side_name(outward), slot);
			firewall_text_chain(plan, suffix);
		}
	}
}

/* What a limit is called in counters, and the line it came from. */
struct owner {
	const char *name;
	uint32_t line;
};

static void write_packets(const struct firewall_plan *plan, const char *chain,
                          const struct policy_limits *limits, const struct owner *owner)
{
	if (limits->bandwidth)
		firewall_text_rule(plan, chain,
		                   "limit rate over %llu bytes/second burst %llu bytes counter "
		                   "drop comment \"%s bandwidth, line %u\"",
		                   (unsigned long long)limits->bandwidth,
		                   (unsigned long long)BASE_MAX(limits->bandwidth / 8, BURST_MIN),
		                   owner->name, owner->line);
	if (limits->packets)
		firewall_text_rule(plan, chain,
		                   "limit rate over %u/second burst %u packets counter drop "
		                   "comment \"%s packets, line %u\"",
		                   limits->packets, BASE_MAX(limits->packets / 8, 1), owner->name,
		                   owner->line);
}

static void write_connections(const struct firewall_plan *plan, const char *chain,
                              const struct policy_limits *limits, const struct owner *owner)
{
	if (limits->new_connections)
		firewall_text_rule(plan, chain,
		                   "ct state new limit rate over %u/second burst %u packets "
		                   "counter drop comment \"%s new connections, line %u\"",
		                   limits->new_connections, limits->new_connections, owner->name,
		                   owner->line);
	if (limits->connections)
		firewall_text_rule(plan, chain,
		                   "ct state new ct count over %u counter drop comment \"%s "
		                   "connections, line %u\"",
		                   limits->connections, owner->name, owner->line);
}

void firewall_mark_head(const struct firewall_plan *plan, const char *side)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	struct owner owner = {side, firewall->line};
	char chain[32];

	snprintf(chain, sizeof(chain), "%s_head", side);
	write_packets(plan, chain, &firewall->limits, &owner);
	if (firewall->limits.quota)
		firewall_text_rule(plan, chain,
		                   "quota name \"vm_%s_quota\" counter drop comment \"quota, line "
		                   "%u\"",
		                   plan->policy->vm.name, firewall->line);
}

static void write_allow(const struct firewall_plan *plan, bool outward)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	struct owner owner = {side_name(outward), firewall->line};
	char chain[32], mark[96];

	if (!firewall_mark_allows(plan->policy))
		return;
	snprintf(chain, sizeof(chain), "%s_allow", owner.name);
	write_connections(plan, chain, &firewall->limits, &owner);
	firewall_mark_set(mark, sizeof(mark), plan, outward, 0);
	firewall_text_rule(plan, chain, "%s return", mark);
}

static void write_rule_limits(const struct firewall_plan *plan, bool outward,
                              const struct policy_rule *rule, size_t index, unsigned int slot)
{
	const char *vm = plan->policy->vm.name, *side = side_name(outward);
	char chain[32], name[48], mark[96], quota[FIREWALL_NAME_MAX];
	struct owner owner = {name, rule->line};

	snprintf(name, sizeof(name), "%s[%zu]", side, index);
	snprintf(chain, sizeof(chain), "%s_a%u", side, slot);
	write_connections(plan, chain, &rule->limits, &owner);
	if (firewall_mark_allows(plan->policy))
		firewall_text_rule(plan, chain, "jump vm_%s_%s_allow", vm, side);
	firewall_mark_set(mark, sizeof(mark), plan, outward, slot);
	firewall_text_rule(plan, chain, "%s goto vm_%s_%s_r%u", mark, vm, side, slot);

	snprintf(chain, sizeof(chain), "%s_r%u", side, slot);
	write_packets(plan, chain, &rule->limits, &owner);
	if (!rule->limits.quota)
		return;
	snprintf(quota, sizeof(quota), "vm_%s_%c_quota_%s_%u", vm, plan->generation % 2 ? 'a' : 'b',
	         side, slot);
	fprintf(plan->out, "add quota %s cordon %s { over %llu bytes }\n", plan->family, quota,
	        (unsigned long long)rule->limits.quota);
	firewall_text_rule(plan, chain,
	                   "quota name \"%s\" counter drop comment \"%s quota, line %u\"", quota,
	                   name, rule->line);
}

static void write_slots(const struct firewall_plan *plan, bool outward)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	const struct policy_rule *rules = outward ? firewall->egress : firewall->ingress;
	size_t count = outward ? firewall->egress_count : firewall->ingress_count;
	unsigned int shift = half_shift(outward), slot = 0;
	char known[32];

	snprintf(known, sizeof(known), "%s_known", side_name(outward));
	for (size_t i = 0; i < count; i++) {
		if (!rules[i].limited)
			continue;
		slot++;
		write_rule_limits(plan, outward, &rules[i], i, slot);
		firewall_text_rule(plan, known, "ct mark & 0x%08x == 0x%08x goto vm_%s_%s_r%u",
		                   0xfu << shift, slot << shift, plan->policy->vm.name,
		                   side_name(outward), slot);
	}
}

void firewall_mark_limits(const struct firewall_plan *plan)
{
	if (plan->policy->firewall.limits.quota)
		fprintf(plan->out, "add quota %s cordon vm_%s_quota { over %llu bytes }\n",
		        plan->family, plan->policy->vm.name,
		        (unsigned long long)plan->policy->firewall.limits.quota);
	for (int outward = 0; outward < 2; outward++) {
		write_allow(plan, outward);
		write_slots(plan, outward);
	}
}
