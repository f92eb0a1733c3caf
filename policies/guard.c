/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A guest that another VMM runs, and whose tap cordon guards: who it is stands under `guard`, where a policy of
 * cordon's own guests has `vm`. It fills the same struct, with one NIC, so that the firewall and the monitor
 * need not know of it. What cordon could only do to a machine of its own is refused here by name.
 */
#include <arpa/inet.h>

#include "policies/internal.h"

enum {
	GUARD_MEMORY = 64 << 20
}; /* what is said of no memory at all has to be a memory all the same */

void policy_default_guard(void *base)
{
	struct policy_vm *vm = base;

	*vm = (struct policy_vm){.guard = true, .vcpus = 1, .memory = GUARD_MEMORY, .nic_count = 1};
	vm->on_panic = vm->on_reset = POLICY_THEN_STOP;
	vm->nics[0].mode = POLICY_NIC_ROUTED;
}

static void read_addresses(struct policy_walk *walk, const struct policy_key *key,
                           struct policy_node *value, void *base)
{
	struct policy_vm *vm = base;

	policy_kind_addresses.read(walk, key, value, &vm->nics[0]);
}

const struct policy_kind policy_kind_guard_addresses = {
        .noun = "addresses such as [192.0.2.20, 2001:db8::20]",
        .read = read_addresses,
};

/* A key that is about what cordon does not have here. */
static void refuse_key(struct policy_walk *walk, const struct policy_node *map, const char *key,
                       const char *found, const char *expected)
{
	const struct policy_node *node = policy_node_find(map, key);

	if (node)
		policy_error_found(policy_walk_refuse(walk, node->key, "%s", expected), "%s",
		                   found);
}

static void check_responses(struct policy_walk *walk, const struct policy *policy,
                            const struct policy_node *monitor)
{
#define GUARD_NAME(key, text)     #key,
#define GUARD_DETECTOR(key, text) &policy->monitor.key,
	static const char *const names[] = {POLICY_DETECTORS(GUARD_NAME)};
	const struct policy_detector *const detectors[] = {POLICY_DETECTORS(GUARD_DETECTOR)};

	for (size_t i = 0; i < BASE_COUNT(names); i++) {
		const struct policy_node *detector = policy_node_find(monitor, names[i]);

		if (detector && detectors[i]->respond & POLICY_RESPOND_PAUSE)
			policy_error_found(policy_walk_refuse(walk,
			                                      policy_node_find(detector, "respond"),
			                                      "alert or quarantine"),
			                   "pause, of a guest that another VMM runs");
	}
}

/* Names are dnsmasq's to know, and here there is none of cordon's. */
static void check_names(struct policy_walk *walk, const struct policy *policy,
                        const struct policy_node *firewall)
{
	const struct policy_node *egress = policy_node_find(firewall, "egress");
	const struct policy_node *item = egress ? egress->first : NULL;

	for (size_t i = 0; item && i < policy->firewall.egress_count; i++, item = item->next)
		if (policy->firewall.egress[i].names.count)
			policy_error_found(
			        policy_walk_refuse(walk, policy_node_find(item, "to"),
			                           "cidrs, or an entity"),
			        "names, for a guest that does not ask cordon's resolver");
}

bool policy_check_guard(struct policy_walk *walk, const struct policy *policy,
                        const struct policy_node *map)
{
	const struct policy_node *guard = policy_node_find(map, "guard");
	const struct policy_node *firewall = policy_node_find(map, "firewall");
	const struct policy_node *monitor = policy_node_find(map, "monitor");

	if (!guard)
		return false;
	refuse_key(walk, map, "vm", "vm beside guard",
	           "vm, of a guest that cordon runs, or guard, of one that another VMM does");
	refuse_key(walk, map, "isolation", "isolation of a guest that another VMM runs",
	           "no isolation beside guard: its processes are not cordon's");
	refuse_key(walk, map, "confidential", "confidential beside guard",
	           "no confidential: its memory is not cordon's");
	if (firewall && !firewall->bad) {
		refuse_key(walk, firewall, "dns", "dns beside guard",
		           "no dns: cordon has no resolver there; a rule allows another one");
		check_names(walk, policy, firewall);
	}
	if (monitor && !monitor->bad)
		check_responses(walk, policy, monitor);
	return true;
}

bool policy_guard_valid(const struct policy_vm *vm)
{
	static const uint8_t none[16];
	const struct policy_nic *nic = &vm->nics[0];

	return vm->nic_count == 1 && nic->mode == POLICY_NIC_ROUTED &&
	       memcmp(nic->mac, none, sizeof(nic->mac)) != 0 &&
	       (memcmp(nic->ip4, none, sizeof(nic->ip4)) != 0 ||
	        memcmp(nic->ip6, none, sizeof(nic->ip6)) != 0) &&
	       !vm->kernel[0] && !vm->disk_count && !vm->vhost_count && !vm->vsock.line;
}

void policy_guard_explain(FILE *out, const struct policy_vm *vm)
{
	static const uint8_t none[16];
	const struct policy_nic *nic = &vm->nics[0];
	char text[INET6_ADDRSTRLEN];

	fprintf(out, "Guest %s, of another VMM\n", vm->name);
	fprintf(out, "  nic 0        MAC %02x:%02x:%02x:%02x:%02x:%02x", nic->mac[0], nic->mac[1],
	        nic->mac[2], nic->mac[3], nic->mac[4], nic->mac[5]);
	if (memcmp(nic->ip4, none, sizeof(nic->ip4)) != 0)
		fprintf(out, ", %s", inet_ntop(AF_INET, nic->ip4, text, sizeof(text)));
	if (memcmp(nic->ip6, none, sizeof(nic->ip6)) != 0)
		fprintf(out, ", %s", inet_ntop(AF_INET6, nic->ip6, text, sizeof(text)));
	fputs("\n  network      the tap, its addresses, routes and bridge are its VMM's: none is "
	      "changed\n",
	      out);
}
