/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the rules would do with a packet, and by which line of a policy. Where its other end is another guest
 * of this host, that guest's rules are asked too: both have to agree.
 */
#include "cordon/rules.h"

#include <ifaddrs.h>
#include <netinet/in.h>

#include "base/base.h"
#include "cordon/packet.h"

/* One guest's part in it. */
struct explain {
	struct host_vm vm;
	struct policy policy;
	char text[POLICY_SIZE_MAX + 1]; /* the policy's, for its lines */
	struct policy_cidr allow;
	bool runs; /* its rules are in the kernel */
};

static int explain_text(struct explain *part)
{
	BASE_AUTO_FREE char *text = NULL;
	char path[POLICY_PATH_MAX];
	ssize_t size;

	registry_path(path, part->vm.name, "policy.yaml");
	size = policy_read_file(path, &text);
	if (size < 0)
		return (int)size;
	memcpy(part->text, text, (size_t)size);
	part->text[size] = '\0';
	part->runs = true;
	return registry_policy(part->vm.name, &part->policy);
}

static bool explain_is(const struct firewall_packet *packet, const uint8_t *address,
                       const struct firewall_nic *nic)
{
	return packet->family == 4 ? memcmp(address, nic->ip4, 4) == 0
	                           : memcmp(address, nic->ip6, 16) == 0;
}

static bool explain_host(const struct firewall_packet *packet, const uint8_t *address)
{
	struct ifaddrs *list = NULL;
	bool found = false;

	if (getifaddrs(&list) < 0)
		return false;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		if (!at->ifa_addr)
			continue;
		if (packet->family == 4 && at->ifa_addr->sa_family == AF_INET)
			found |= memcmp(&((struct sockaddr_in *)at->ifa_addr)->sin_addr, address,
			                4) == 0;
		if (packet->family == 6 && at->ifa_addr->sa_family == AF_INET6)
			found |= memcmp(&((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, address,
			                16) == 0;
	}
	freeifaddrs(list);
	return found;
}

/* The other guest that has the address, or NULL; the caller's. */
static struct explain *explain_other(const struct firewall_packet *packet, const uint8_t *address)
{
	BASE_AUTO_FREE char(*names)[POLICY_NAME_MAX] = calloc(HOST_SLOTS_MAX, POLICY_NAME_MAX);
	struct explain *other = calloc(1, sizeof(*other));
	int count = names && other ? registry_list(names, HOST_SLOTS_MAX) : 0;

	for (int n = 0; n < BASE_MIN(count, HOST_SLOTS_MAX); n++) {
		if (registry_load(names[n], &other->vm) < 0)
			continue;
		for (size_t i = 0; i < other->vm.nic_count; i++)
			if (explain_is(packet, address, &other->vm.nics[i]) &&
			    explain_text(other) == 0)
				return other;
	}
	free(other);
	return NULL;
}

static int explain_part(struct explain *part, const struct firewall_packet *packet,
                        struct firewall_verdict *verdict, json_t *steps)
{
	static const char *const actions[] = {"allow", "drop", "reject"};
	const struct host_vm *vm = &part->vm;
	bool host_bits,
	        some = vm->quarantine_allow[0] &&
	               policy_value_cidr(vm->quarantine_allow, &part->allow, &host_bits) == 0;
	uint8_t names[POLICY_NAMES_MAX / 8];
	struct firewall_packet named = *packet;
	char line[128];
	int err;

	/* of a policy that no guest runs under, nobody has asked for a name yet */
	if (part->runs && !packet->name[0]) {
		firewall_vm_names_of(&part->policy, packet->family, packet->to, names);
		named.names = names;
	}
	err = firewall_judge(&part->policy, vm->nics, vm->nic_count, &named, vm->quarantined,
	                     some ? &part->allow : NULL, verdict);

	if (err)
		return err;
	rules_line(part->text, verdict->line, line, sizeof(line));
	json_array_append_new(steps,
	                      json_pack("{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:b}", "vm",
	                                part->policy.vm.name, "direction",
	                                verdict->sent ? "sent" : "received", "verdict",
	                                actions[verdict->action], "rule", verdict->what, "policy",
	                                vm->policy_path, "line", (int)verdict->line, "text", line,
	                                "limited", verdict->limited));
	return 0;
}

/* The NIC that has one end of the packet, or the first. */
static const struct firewall_nic *explain_nic(const struct explain *part,
                                              const struct firewall_packet *packet)
{
	for (size_t i = 0; i < part->vm.nic_count; i++)
		if (explain_is(packet, packet->from, &part->vm.nics[i]) ||
		    explain_is(packet, packet->to, &part->vm.nics[i]))
			return &part->vm.nics[i];
	return &part->vm.nics[0];
}

/* Ports of one bridge, or both where the host routes: of what leaves a bridge for another network of the host's, the
 * rules see no more than that it is the host's. */
static bool explain_together(const struct explain *own, const struct explain *other,
                             const struct firewall_packet *packet)
{
	const struct firewall_nic *a = explain_nic(own, packet), *b = explain_nic(other, packet);

	return a->mode == POLICY_NIC_BRIDGE
	               ? b->mode == POLICY_NIC_BRIDGE && strcmp(a->bridge, b->bridge) == 0
	               : b->mode != POLICY_NIC_BRIDGE;
}

/* Whose rules stand first: the sender's. `other` may be NULL. */
static json_t *explain_all(struct explain *own, struct explain *other,
                           struct firewall_packet *packet, struct host_error *error)
{
	static const char *const actions[] = {"allow", "drop", "reject"};
	struct firewall_packet mirror = *packet;
	struct firewall_verdict first, second = {0};
	json_t *steps = json_array();
	bool sent = false;
	int err = 0;

	if (other && !explain_together(own, other, packet)) {
		json_decref(steps);
		host_fail(error, -EOPNOTSUPP, 125,
		          "what passes between '%s' and '%s' is not foretold: they are not on one "
		          "bridge",
		          own->vm.name, other->vm.name);
		return NULL;
	}
	for (size_t i = 0; i < own->vm.nic_count; i++)
		sent |= explain_is(packet, packet->from, &own->vm.nics[i]);
	if (other) {
		packet->other = mirror.other = FIREWALL_END_VM;
		packet->vm = other->policy.vm.name;
		packet->groups = (const char(*)[POLICY_NAME_MAX])other->policy.vm.groups;
		packet->group_count = other->policy.vm.group_count;
		mirror.vm = own->policy.vm.name;
		mirror.groups = (const char(*)[POLICY_NAME_MAX])own->policy.vm.groups;
		mirror.group_count = own->policy.vm.group_count;
	}
	if (other && !sent)
		err = explain_part(other, &mirror, &first, steps);
	else
		err = explain_part(own, packet, &first, steps);
	if (!err && other && first.action == POLICY_ALLOW)
		err = sent ? explain_part(other, &mirror, &second, steps)
		           : explain_part(own, packet, &second, steps);
	if (err) {
		json_decref(steps);
		host_fail(error, err, 125, "the rules of '%s' cannot be read: %s", own->vm.name,
		          strerror(-err));
		return NULL;
	}
	return json_pack("{s:s, s:s, s:o}", "name", own->policy.vm.name, "verdict",
	                 actions[first.action != POLICY_ALLOW ? first.action : second.action],
	                 "steps", steps);
}

static json_t *explain_packet(struct explain *own, const char *text, struct host_error *error)
{
	BASE_AUTO_FREE struct explain *other = NULL;
	struct firewall_packet packet;
	const uint8_t *far = packet.to;

	if (own->vm.nic_count == 0) {
		host_fail(error, -ENODEV, 125, "'%s' has no NIC", own->vm.name);
		return NULL;
	}
	if (packet_parse(text, &own->vm.nics[0], &packet, error) < 0)
		return NULL;
	for (size_t i = 0; i < own->vm.nic_count; i++)
		if (explain_is(&packet, packet.to, &own->vm.nics[i]))
			far = packet.from;
	other = explain_other(&packet, far);
	if (other && strcmp(other->vm.name, own->vm.name) == 0) {
		free(other);
		other = NULL;
	}
	if (!other && explain_host(&packet, far))
		packet.other = FIREWALL_END_HOST;
	return explain_all(own, other, &packet, error);
}

json_t *explain_method(const json_t *params, struct host_error *error)
{
	BASE_AUTO_FREE struct explain *own = calloc(1, sizeof(*own));
	const char *packet = json_string_value(json_object_get(params, "packet"));
	int err;

	if (!own || method_vm(params, &own->vm, error) < 0)
		return NULL;
	if (!packet) {
		host_fail(error, -EINVAL, 125, "it takes name and packet");
		return NULL;
	}
	err = explain_text(own);
	if (err) {
		host_fail(error, err, 125, "cannot read the policy of '%s': %s", own->vm.name,
		          strerror(-err));
		return NULL;
	}
	return explain_packet(own, packet, error);
}

json_t *explain_policy(const char *text, size_t size, const char *path, const char *packet,
                       struct host_error *error)
{
	BASE_AUTO_FREE struct explain *own = calloc(1, sizeof(*own));
	int err;

	if (!own || size > POLICY_SIZE_MAX) {
		host_fail(error, -EFBIG, 125, "%s: a policy has at most 256 KiB", path);
		return NULL;
	}
	err = launch_parse(text, size, path, &own->policy, error);
	if (err) {
		error->exit = 125; /* 1 is a packet that is dropped */
		return NULL;
	}
	memcpy(own->text, text, size);
	base_copy_string(own->vm.name, sizeof(own->vm.name), own->policy.vm.name);
	base_copy_string(own->vm.policy_path, sizeof(own->vm.policy_path), path);
	own->vm.nic_count = own->policy.vm.nic_count;
	network_plan_first(&own->policy, own->vm.nics);
	return explain_packet(own, packet, error);
}
