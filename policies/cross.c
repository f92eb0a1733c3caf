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

	const struct policy_node *addresses = policy_node_find(map, "addresses");
	const struct policy_node *forward = policy_node_find(map, "forward");
	bool bridged = nic->mode == POLICY_NIC_BRIDGE;

	if (map->bad)
		return;
	if (bridged && !bridge)
		policy_error_found(policy_walk_refuse(walk, policy_node_find(map, "mode"),
		                                      "bridge: the name of the host's bridge"),
		                   "mode bridge without a bridge");
	else if (!bridged && bridge)
		policy_error_found(policy_walk_refuse(walk, bridge, "mode: bridge beside it"),
		                   "a bridge for a NIC that joins none");
	else if (bridged && !addresses)
		policy_error_found(
		        policy_walk_refuse(walk, policy_node_find(map, "mode"),
		                           "addresses: the guest's own, which alone it may use"),
		        "mode bridge without addresses");
	if (!bridged && addresses)
		policy_error_found(policy_walk_refuse(walk, addresses, "mode: bridge beside it"),
		                   "addresses for a NIC that cordon gives some");
	if (nic->mode != POLICY_NIC_NAT && forward)
		policy_error_found(policy_walk_refuse(walk, forward, "mode: nat, or none of them"),
		                   "forwards for a NIC whose guest is reached by its own address");
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
	const struct policy_node *types = policy_node_find(map, "types");
	const struct policy_node *service = policy_node_find(map, "service");
	const struct policy_node *limits = policy_node_find(map, "limits");
	const struct policy_node *beside = proto ? proto : ports ? ports : types;
	bool icmp = rule->proto >= POLICY_PROTO_ICMP && rule->proto <= POLICY_PROTO_ICMPV6;
	bool transport = rule->proto == POLICY_PROTO_TCP || rule->proto == POLICY_PROTO_UDP ||
	                 rule->proto == POLICY_PROTO_SCTP;
	struct policy_error *error;

	if (map->bad)
		return;
	((struct policy_rule *)base)->limited = limits && limits->count > 0;
	if (limits && rule->action != POLICY_ALLOW)
		policy_error_found(policy_walk_refuse(walk, limits, "action: allow beside it"),
		                   "limits of a rule that allows nothing");
	if (service && beside) {
		policy_error_found(policy_walk_refuse(walk, beside, "either service or proto"),
		                   "%s beside service", beside->key->text);
		return;
	}
	if (types && !icmp)
		policy_error_found(policy_walk_refuse(walk, types,
		                                      "proto: icmp, icmpv4 or icmpv6 beside types"),
		                   "types of what is no ICMP");
	if (!ports || transport)
		return;
	error = policy_walk_refuse(walk, proto ? proto : ports,
	                           "proto: tcp or proto: udp beside ports");
	if (icmp)
		policy_error_found(error, "proto %s, which has no ports, with ports", proto->text);
	else if (rule->proto == POLICY_PROTO_NUMBER)
		policy_error_found(error, "ports of a protocol that is known by its number");
	else
		policy_error_found(error, proto ? "proto any with ports" : "ports without a proto");
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
#define DETECTOR_NAME(key, text)  #key,
#define DETECTOR_FIELD(key, text) &policy->monitor.key,
	static const char *const names[] = {POLICY_DETECTORS(DETECTOR_NAME)};
	struct policy *policy = base;
	const struct policy_detector *detectors[] = {POLICY_DETECTORS(DETECTOR_FIELD)};
	const struct policy_node *vm = policy_node_find(map, "vm");
	const struct policy_node *monitor = policy_node_find(map, "monitor");

	const struct policy_node *firewall = policy_node_find(map, "firewall");

	if (policy_check_guard(walk, policy, map))
		return;
	if (vm && !vm->bad)
		check_huge_pages(walk, policy, vm);
	if (vm && !vm->bad)
		policy_check_confidential(walk, policy, map);
	if (vm && !vm->bad && !(firewall && firewall->bad))
		policy_check_forwards(walk, policy, vm);
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
