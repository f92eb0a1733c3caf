/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong between the rules of a firewall: one that is never reached, a set that is not there, a
 * forward that no rule lets through. See cross.c for what is wrong within one rule.
 */
#include "policies/internal.h"

static bool peer_held(const struct policy *p, const struct policy_rule *earlier,
                      const struct policy_peer *later)
{
	for (size_t i = 0; i < earlier->peers.count; i++) {
		const struct policy_peer *peer = &p->peers[earlier->peers.first + i];
		bool of_vms = later->kind == POLICY_PEER_VM || later->kind == POLICY_PEER_GROUP;

		if ((peer->kind == later->kind && strcmp(peer->name, later->name) == 0) ||
		    (peer->kind == POLICY_PEER_VMS && of_vms))
			return true;
	}
	return false;
}

/* To allow any is to allow neither the host nor the metadata service: these have to be named. */
static bool any_covers(const struct policy *p, const struct policy_rule *earlier,
                       const struct policy_rule *later)
{
	if (earlier->action != POLICY_ALLOW)
		return true;
	for (size_t i = 0; i < later->peers.count; i++) {
		enum policy_peer_kind kind = p->peers[later->peers.first + i].kind;

		if (kind == POLICY_PEER_HOST || kind == POLICY_PEER_METADATA)
			return false;
	}
	return true;
}

static bool peers_covered(const struct policy *p, const struct policy_rule *earlier,
                          const struct policy_rule *later)
{
	if (earlier->any)
		return any_covers(p, earlier, later);
	if (later->any)
		return false;
	for (size_t i = 0; i < later->cidrs.count; i++) {
		bool held = false;

		for (size_t j = 0; j < earlier->cidrs.count && !held; j++)
			held = policy_cidr_contains(&p->cidrs[earlier->cidrs.first + j],
			                            &p->cidrs[later->cidrs.first + i]);
		if (!held)
			return false;
	}
	for (size_t i = 0; i < later->names.count; i++) {
		bool held = false;

		for (size_t j = 0; j < earlier->names.count && !held; j++)
			held = policy_name_covers(p->names[earlier->names.first + j],
			                          p->names[later->names.first + i]);
		if (!held)
			return false;
	}
	for (size_t i = 0; i < later->peers.count; i++)
		if (!peer_held(p, earlier, &p->peers[later->peers.first + i]))
			return false;
	return true;
}

static bool ports_covered(const struct policy *p, const struct policy_rule *earlier,
                          const struct policy_rule *later)
{
	if (earlier->ports.count && !later->ports.count)
		return false;
	for (size_t i = 0; earlier->ports.count && i < later->ports.count; i++) {
		const struct policy_ports *b = &p->ports[later->ports.first + i];
		bool held = false;

		for (size_t j = 0; j < earlier->ports.count && !held; j++) {
			const struct policy_ports *a = &p->ports[earlier->ports.first + j];

			held = a->first <= b->first && b->last <= a->last;
		}
		if (!held)
			return false;
	}
	return true;
}

static bool types_covered(const struct policy_rule *earlier, const struct policy_rule *later)
{
	bool limited = false, typed = false, within = true;

	for (size_t i = 0; i < sizeof(earlier->types4); i++) {
		limited |= earlier->types4[i] || earlier->types6[i];
		typed |= later->types4[i] || later->types6[i];
		within &= !(later->types4[i] & ~earlier->types4[i]) &&
		          !(later->types6[i] & ~earlier->types6[i]);
	}
	return !limited || (typed && within);
}

/* True when no packet can match `later` that `earlier` has not matched before. */
static bool covers(const struct policy *p, const struct policy_rule *earlier,
                   const struct policy_rule *later)
{
	if (!peers_covered(p, earlier, later))
		return false;
	if (earlier->services)
		return later->services && (later->services & ~earlier->services) == 0;
	if (earlier->proto == POLICY_PROTO_ANY)
		return true;
	if (later->services || earlier->proto != later->proto ||
	    earlier->protocol != later->protocol)
		return false;
	return ports_covered(p, earlier, later) && types_covered(earlier, later);
}

static void check_order(struct policy_walk *walk, const struct policy_node *list,
                        const struct policy_rule *rules, size_t count)
{
	static const char *const verbs[] = {"allows", "drops", "rejects"};
	struct policy_node *later = list ? list->first : NULL;

	for (size_t i = 0; i < count; i++, later = later->next) {
		struct policy_node *earlier = list->first;

		for (size_t j = 0; j < i; j++, earlier = earlier->next) {
			struct policy_error *error;

			if (later->bad || earlier->bad ||
			    !covers(walk->policy, &rules[j], &rules[i]))
				continue;
			error = policy_walk_refuse(walk, later, "rules that each can match");
			policy_error_found(error, "a rule that is never reached");
			policy_error_hint(error, "the rule of line %u %s all of this before",
			                  rules[j].line, verbs[rules[j].action]);
			break;
		}
	}
}

/* Peers that name a set which is not there, each where its rule says whom it means. */
static void check_sets(struct policy_walk *walk, const struct policy_node *list,
                       const struct policy_rule *rules, size_t count, const char *key)
{
	const struct policy *policy = walk->policy;
	const struct policy_node *item = list ? list->first : NULL;

	for (size_t i = 0; i < count; i++, item = item->next)
		for (size_t k = 0; k < rules[i].peers.count && !item->bad; k++) {
			const struct policy_peer *peer = &policy->peers[rules[i].peers.first + k];

			if (peer->kind != POLICY_PEER_SET || policy_set_find(policy, peer->name))
				continue;
			policy_error_found(policy_walk_refuse(walk, policy_node_find(item, key),
			                                      "a set of firewall.sets"),
			                   "the set \"%s\", which is not there", peer->name);
		}
}

static void check_limited(struct policy_walk *walk, const struct policy_node *list,
                          const struct policy_rule *rules, size_t count)
{
	const struct policy_node *item = list ? list->first : NULL;
	size_t limited = 0;

	for (size_t i = 0; i < count; i++, item = item->next)
		if (rules[i].limited && ++limited > POLICY_LIMITED_MAX && !item->bad) {
			policy_error_found(
			        policy_walk_refuse(walk, policy_node_find(item, "limits"),
			                           "limits at no more than %d rules each way",
			                           POLICY_LIMITED_MAX),
			        "one more rule with limits");
			return;
		}
}

void policy_check_firewall(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_firewall *firewall = base;
	const struct policy_node *egress = policy_node_find(map, "egress");
	const struct policy_node *item = egress ? egress->first : NULL;

	const struct policy_node *ingress = policy_node_find(map, "ingress");

	check_sets(walk, ingress, firewall->ingress, firewall->ingress_count, "from");
	check_sets(walk, egress, firewall->egress, firewall->egress_count, "to");
	check_limited(walk, ingress, firewall->ingress, firewall->ingress_count);
	check_limited(walk, egress, firewall->egress, firewall->egress_count);
	check_order(walk, ingress, firewall->ingress, firewall->ingress_count);
	check_order(walk, egress, firewall->egress, firewall->egress_count);
	for (size_t i = 0; i < firewall->egress_count && !firewall->dns; i++, item = item->next) {
		if (item->bad || !firewall->egress[i].names.count)
			continue;
		policy_error_found(policy_walk_refuse(walk, policy_node_find(item, "to"),
		                                      "cidrs, or dns: true"),
		                   "a rule by name where the guest may not ask for names");
	}
}

/* ---- forwards: part of vm.nics, let through by firewall.ingress ---- */

static bool lets_through(const struct policy *policy, const struct policy_rule *rule,
                         const struct policy_forward *forward)
{
	uint8_t protocol = forward->proto == POLICY_PROTO_TCP ? 6 : 17;

	if (rule->action != POLICY_ALLOW)
		return false;
	for (size_t i = 0; i < policy_service_count; i++)
		for (size_t k = 0; rule->services & 1ull << i && k < 4; k++) {
			const struct policy_service_part *part = &policy_services[i].parts[k];

			if (part->protocol == protocol && part->first <= forward->guest &&
			    forward->guest <= part->last)
				return true;
		}
	if (rule->services || (rule->proto != POLICY_PROTO_ANY && rule->proto != forward->proto))
		return false;
	for (size_t i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports = &policy->ports[rule->ports.first + i];

		if (ports->first <= forward->guest && forward->guest <= ports->last)
			return true;
	}
	return rule->ports.count == 0;
}

void policy_check_forwards(struct policy_walk *walk, const struct policy *policy,
                           const struct policy_node *vm)
{
	const struct policy_firewall *firewall = &policy->firewall;
	const struct policy_node *nics = policy_node_find(vm, "nics");
	const struct policy_node *nic = nics ? nics->first : NULL;

	for (size_t i = 0; i < policy->vm.nic_count; i++, nic = nic->next) {
		const struct policy_node *list = policy_node_find(nic, "forward");
		const struct policy_node *item = list ? list->first : NULL;

		for (size_t k = 0; item && k < policy->vm.nics[i].forward_count;
		     k++, item = item->next) {
			const struct policy_forward *forward = &policy->vm.nics[i].forwards[k];
			bool open = false;

			for (size_t r = 0; r < firewall->ingress_count && !open; r++)
				open = lets_through(policy, &firewall->ingress[r], forward);
			if (!open)
				policy_error_found(
				        policy_walk_refuse(walk, item,
				                           "an ingress rule that allows it"),
				        "a forward to port %u that no rule lets through",
				        forward->guest);
		}
	}
}
