/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is wrong between settings that are each right by themselves. A check is made only of parts
 * that were read without an error, so that one mistake is reported once.
 */
#include "policies/internal.h"

static struct policy_node *child(const struct policy_node *list, size_t index)
{
	struct policy_node *at = list ? list->first : NULL;

	while (at && index-- > 0)
		at = at->next;
	return at;
}

void policy_check_nic(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_nic *nic = base;
	const struct policy_node *bridge = policy_node_find(map, "bridge");

	if (map->bad)
		return;
	if (nic->mode == POLICY_NIC_BRIDGE && !bridge) {
		policy_error_found(policy_walk_refuse(walk, policy_node_find(map, "mode"),
		                                      "bridge: the name of the host's bridge"),
		                   "mode bridge without a bridge");
	} else if (nic->mode != POLICY_NIC_BRIDGE && bridge) {
		policy_error_found(policy_walk_refuse(walk, bridge, "mode: bridge beside it"),
		                   "a bridge for a NIC that joins none");
	}
}

void policy_check_limit(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_limit *limit = base;

	if (!map->bad && limit->burst && !limit->bandwidth)
		policy_error_found(policy_walk_refuse(walk, policy_node_find(map, "burst"),
		                                      "a bandwidth beside it"),
		                   "a burst without a bandwidth");
}

static void check_disks(struct policy_walk *walk, const struct policy_vm *vm,
                        const struct policy_node *list)
{
	for (size_t i = 1; i < vm->disk_count; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct policy_disk *a = &vm->disks[j], *b = &vm->disks[i];
			const struct policy_node *node = child(list, i);

			if (node->bad || child(list, j)->bad)
				continue;
			if (strcmp(a->path, b->path) == 0 && !(a->read_only && b->read_only))
				policy_error_hint(
				        policy_walk_refuse(walk, policy_node_find(node, "path"),
				                           "a file of its own, or both read_only"),
				        "the disk of line %u writes to the same file", a->line);
			if (b->serial[0] && strcmp(a->serial, b->serial) == 0)
				policy_error_hint(
				        policy_walk_refuse(walk, policy_node_find(node, "serial"),
				                           "a serial of its own"),
				        "the disk of line %u has the same", a->line);
		}
	}
}

static void check_macs(struct policy_walk *walk, const struct policy_vm *vm,
                       const struct policy_node *list)
{
	for (size_t i = 1; i < vm->nic_count; i++) {
		const struct policy_node *mac = policy_node_find(child(list, i), "mac");

		if (!mac || child(list, i)->bad)
			continue;
		for (size_t j = 0; j < i; j++)
			if (memcmp(vm->nics[i].mac, vm->nics[j].mac, 6) == 0)
				policy_error_hint(
				        policy_walk_refuse(walk, mac, "an address of its own"),
				        "the NIC of line %u has the same", vm->nics[j].line);
	}
}

/* Pages are reported over the balloon device: a VM without it gives none back. */
static void check_balloon(struct policy_walk *walk, struct policy_vm *vm,
                          const struct policy_node *map)
{
	const struct policy_node *reclaim = policy_node_find(map, "memory_reclaim");

	if (vm->balloon)
		return;
	if (reclaim && vm->memory_reclaim)
		policy_error_found(
		        policy_walk_refuse(walk, reclaim, "balloon: true, or no memory_reclaim"),
		        "memory_reclaim of a VM without a balloon");
	vm->memory_reclaim = false;
}

void policy_check_vm(struct policy_walk *walk, struct policy_node *map, void *base)
{
	check_disks(walk, base, policy_node_find(map, "disks"));
	check_macs(walk, base, policy_node_find(map, "nics"));
	if (!map->bad)
		check_balloon(walk, base, map);
}

void policy_check_rule(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_rule *rule = base;
	const struct policy_node *ports = policy_node_find(map, "ports");
	const struct policy_node *proto = policy_node_find(map, "proto");
	struct policy_error *error;

	if (map->bad || !ports || rule->proto == POLICY_PROTO_TCP ||
	    rule->proto == POLICY_PROTO_UDP)
		return;
	error = policy_walk_refuse(walk, proto ? proto : ports,
	                           "proto: tcp or proto: udp beside ports");
	if (rule->proto == POLICY_PROTO_ICMP)
		policy_error_found(error, "proto icmp, which has no ports, with ports");
	else
		policy_error_found(error, proto ? "proto any with ports" : "ports without a proto");
}

/* True when no packet can match `later` that `earlier` has not matched before. */
static bool covers(const struct policy *p, const struct policy_rule *earlier,
                   const struct policy_rule *later)
{
	if (earlier->proto != POLICY_PROTO_ANY && earlier->proto != later->proto)
		return false;
	if (later->any && !earlier->any)
		return false;
	for (size_t i = 0; !earlier->any && i < later->cidrs.count; i++) {
		bool held = false;

		for (size_t j = 0; j < earlier->cidrs.count && !held; j++)
			held = policy_cidr_contains(&p->cidrs[earlier->cidrs.first + j],
			                            &p->cidrs[later->cidrs.first + i]);
		if (!held)
			return false;
	}
	for (size_t i = 0; !earlier->any && i < later->names.count; i++) {
		bool held = false;

		for (size_t j = 0; j < earlier->names.count && !held; j++)
			held = strcmp(p->names[earlier->names.first + j],
			              p->names[later->names.first + i]) == 0;
		if (!held)
			return false;
	}
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

void policy_check_firewall(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_firewall *firewall = base;
	const struct policy_node *egress = policy_node_find(map, "egress");
	const struct policy_node *item = egress ? egress->first : NULL;

	check_order(walk, policy_node_find(map, "ingress"), firewall->ingress,
	            firewall->ingress_count);
	check_order(walk, egress, firewall->egress, firewall->egress_count);
	for (size_t i = 0; i < firewall->egress_count && !firewall->dns; i++, item = item->next) {
		if (item->bad || !firewall->egress[i].names.count)
			continue;
		policy_error_found(policy_walk_refuse(walk, policy_node_find(item, "to"),
		                                      "cidrs, or dns: true"),
		                   "a rule by name where the guest may not ask for names");
	}
}

void policy_check_monitor(struct policy_walk *walk, struct policy_node *map, void *base)
{
	const struct policy_monitor *monitor = base;
	const struct policy_node *list = policy_node_find(map, "sinks");

	for (size_t i = 1; i < monitor->sink_count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct policy_sink *a = &monitor->sinks[j], *b = &monitor->sinks[i];

			if (child(list, i)->bad || child(list, j)->bad || a->type != b->type ||
			    strcmp(a->target, b->target) != 0)
				continue;
			policy_error_found(
			        policy_walk_refuse(walk, child(list, i), "each sink once"),
			        "the sink of line %u a second time", a->line);
		}
}

/* Reserved huge pages stay with the VM: given back, they may be another's when they are wanted again. */
static void check_huge_pages(struct policy_walk *walk, struct policy *policy,
                             const struct policy_node *vm)
{
	static const char *const names[] = {"balloon", "memory_reclaim"};

	if (!policy->isolation.huge_pages || !policy->vm.balloon)
		return;
	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		const struct policy_node *node = policy_node_find(vm, names[i]);

		if (node && (i == 0 || policy->vm.memory_reclaim)) {
			policy_error_found(
			        policy_walk_refuse(walk, node, "no huge pages, or no %s", names[i]),
			        "%s beside huge pages, which are reserved", names[i]);
			return;
		}
	}
	policy->vm.balloon = policy->vm.memory_reclaim = false;
}

void policy_check_policy(struct policy_walk *walk, struct policy_node *map, void *base)
{
	static const char *const names[] = {"scan", "dns_tunnel", "exfiltration", "beacon"};
	struct policy *policy = base;
	const struct policy_detector *detectors[] = {
	        &policy->monitor.scan,
	        &policy->monitor.dns_tunnel,
	        &policy->monitor.exfiltration,
	        &policy->monitor.beacon,
	};
	const struct policy_node *vm = policy_node_find(map, "vm");
	const struct policy_node *monitor = policy_node_find(map, "monitor");

	if (vm && !vm->bad)
		check_huge_pages(walk, policy, vm);
	if (!vm || vm->bad || !monitor || monitor->bad || policy->vm.nic_count)
		return;
	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		const struct policy_node *detector = policy_node_find(monitor, names[i]);

		if (!detector ||
		    !(detectors[i]->respond & (POLICY_RESPOND_THROTTLE | POLICY_RESPOND_QUARANTINE |
		                               POLICY_RESPOND_CAPTURE)))
			continue;
		policy_error_found(policy_walk_refuse(walk, policy_node_find(detector, "respond"),
		                                      "alert or pause, or a NIC in vm.nics"),
		                   "a response on the network of a VM that has no NIC");
	}
}
