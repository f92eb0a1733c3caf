/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The gate in front of the text: after it, nothing that came from outside can be anything but a number,
 * an address, or a name made of harmless characters; and what the rules cannot do is refused here,
 * before any of it is loaded.
 */
#include <ctype.h>

#include "base/base.h"
#include "firewall/rules.h"

bool firewall_name_valid(const char *vm)
{
	size_t length = strnlen(vm, POLICY_NAME_MAX);

	if (length == 0 || length == POLICY_NAME_MAX || vm[0] == '-')
		return false;
	for (size_t i = 0; i < length; i++)
		if (!(vm[i] >= 'a' && vm[i] <= 'z') && !(vm[i] >= '0' && vm[i] <= '9') &&
		    vm[i] != '-')
			return false;
	return true;
}

static bool tap_valid(const char tap[16])
{
	size_t length = strnlen(tap, 16);

	if (length == 0 || length == 16 || !isalnum((unsigned char)tap[0]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!isalnum((unsigned char)tap[i]) && !strchr("._-", tap[i]))
			return false;
	return true;
}

static bool span_valid(struct policy_span span, size_t pool)
{
	return (size_t)span.first + span.count <= pool;
}

static int check_rules(const struct policy *policy, const struct policy_rule *rules, size_t count,
                       const char *side, char *why, size_t size)
{
	if (count > POLICY_RULES_MAX) {
		snprintf(why, size, "%zu %s rules, expected at most %d", count, side,
		         POLICY_RULES_MAX);
		return -EINVAL;
	}
	for (size_t i = 0; i < count; i++) {
		const struct policy_rule *rule = &rules[i];

		if (!span_valid(rule->cidrs, policy->cidr_count) ||
		    !span_valid(rule->peers, policy->peer_count) ||
		    !span_valid(rule->names, policy->name_count) ||
		    !span_valid(rule->ports, policy->port_count)) {
			snprintf(why, size,
			         "%s[%zu], line %u: a list that lies outside of its pool", side, i,
			         rule->line);
			return -EINVAL;
		}
		for (size_t c = 0; c < rule->cidrs.count; c++) {
			const struct policy_cidr *cidr = &policy->cidrs[rule->cidrs.first + c];

			if ((cidr->family == 4 && cidr->prefix <= 32) ||
			    (cidr->family == 6 && cidr->prefix <= 128))
				continue;
			snprintf(why, size,
			         "%s[%zu], line %u: family %u prefix %u, expected IPv4 or IPv6",
			         side, i, rule->line, cidr->family, cidr->prefix);
			return -EINVAL;
		}
	}
	return 0;
}

static int check_nic(const struct firewall_nic *nic, size_t i, char *why, size_t size)
{
	static const uint8_t none[16];

	if (!tap_valid(nic->tap)) {
		snprintf(why, size,
		         "nic %zu: the tap's name has to be 1 to 15 letters, digits, '.', '_' or "
		         "'-'",
		         i);
		return -EINVAL;
	}
	if (memcmp(nic->ip4, none, 4) == 0 && memcmp(nic->ip6, none, 16) == 0) {
		snprintf(why, size, "nic %zu: neither an IPv4 nor an IPv6 address", i);
		return -EINVAL;
	}
	return 0;
}

/* Names of other VMs, groups and sets become parts of names. */
static int check_names(const struct policy *policy, char *why, size_t size)
{
	const struct policy_firewall *firewall = &policy->firewall;
	bool valid = policy->peer_count <= POLICY_PEERS_MAX &&
	             firewall->set_count <= POLICY_SETS_MAX &&
	             policy->vm.group_count <= POLICY_GROUPS_MAX;

	for (size_t i = 0; valid && i < policy->peer_count; i++)
		valid = policy->peers[i].kind < POLICY_PEER_VM ||
		        firewall_name_valid(policy->peers[i].name);
	for (size_t i = 0; valid && i < firewall->set_count; i++)
		valid = firewall_name_valid(firewall->sets[i].name) &&
		        span_valid(firewall->sets[i].cidrs, policy->cidr_count);
	for (size_t i = 0; valid && i < policy->vm.group_count; i++)
		valid = firewall_name_valid(policy->vm.groups[i]);
	if (!valid)
		snprintf(why, size, "the name of a peer, a set or a group is not one");
	return valid ? 0 : -EINVAL;
}

/* On a bridge, the kernel can only reject what comes in for the host (nft_reject_bridge). */
static int check_rejects(const struct policy *policy, const struct firewall_nic *nics,
                         size_t nic_count, char *why, size_t size)
{
	const struct policy_firewall *rules = &policy->firewall;
	const struct policy_rule *reject = NULL;
	bool bridged = false;

	for (size_t i = 0; i < nic_count; i++)
		bridged |= nics[i].mode == POLICY_NIC_BRIDGE;
	for (size_t i = 0; i < rules->egress_count; i++)
		if (rules->egress[i].action == POLICY_REJECT)
			reject = &rules->egress[i];
	for (size_t i = 0; i < rules->ingress_count; i++)
		if (rules->ingress[i].action == POLICY_REJECT)
			reject = &rules->ingress[i];
	if (!bridged || !reject)
		return 0;
	snprintf(why, size,
	         "line %u: reject beside a NIC of mode bridge: what is switched cannot be "
	         "answered, use drop",
	         reject->line);
	return -EOPNOTSUPP;
}

/* A name means what this host's resolver says of it, on a NIC that is behind that. */
static int check_named(const struct policy *policy, const struct firewall_nic *nics,
                       size_t nic_count, char *why, size_t size)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789-.*";
	bool bridged = false, resolver = false;

	for (size_t i = 0; i < policy->name_count; i++)
		if (!memchr(policy->names[i], '\0', POLICY_DNS_NAME_MAX) ||
		    policy->names[i][strspn(policy->names[i], letters)]) {
			snprintf(why, size, "name %zu is no host name", i);
			return -EINVAL;
		}
	for (size_t i = 0; i < nic_count; i++) {
		bridged |= nics[i].mode == POLICY_NIC_BRIDGE;
		resolver |= nics[i].dns_port && policy->firewall.dns;
	}
	if (!firewall_named_any(policy) || (resolver && !bridged))
		return 0;
	snprintf(why, size, "destinations by name need cordon's resolver, which %s",
	         bridged ? "a NIC of mode bridge goes without" : "no NIC has: use cidrs");
	return -EOPNOTSUPP;
}

int firewall_check(const struct policy *policy, const struct firewall_nic *nics, size_t nic_count,
                   char *why, size_t why_size)
{
	const struct policy_firewall *rules = &policy->firewall;
	int error;

	if (!firewall_name_valid(policy->vm.name)) {
		snprintf(why, why_size, "the VM's name has to be 1 to 31 of a-z, 0-9 and '-'");
		return -EINVAL;
	}
	if (nic_count > POLICY_NICS_MAX || policy->cidr_count > POLICY_CIDRS_MAX ||
	    policy->port_count > POLICY_PORTS_MAX || policy->name_count > POLICY_NAMES_MAX) {
		snprintf(why, why_size, "%zu NICs, expected at most %d", nic_count,
		         POLICY_NICS_MAX);
		return -EINVAL;
	}
	/* the kernel's token bucket counts nanoseconds in 64 bits */
	if (rules->limits.bandwidth > 10000000000ULL) {
		snprintf(why, why_size, "bandwidth of %llu bytes/s, expected at most 10000000000",
		         (unsigned long long)rules->limits.bandwidth);
		return -ERANGE;
	}
	for (size_t i = 0; i < nic_count; i++) {
		error = check_nic(&nics[i], i, why, why_size);
		if (error)
			return error;
		for (size_t k = 0; k < i; k++)
			if (strcmp(nics[i].tap, nics[k].tap) == 0) {
				snprintf(why, why_size, "nic %zu and nic %zu have the same tap", k,
				         i);
				return -EINVAL;
			}
	}
	error = check_names(policy, why, why_size);
	if (!error)
		error = check_rejects(policy, nics, nic_count, why, why_size);
	if (!error)
		error = check_named(policy, nics, nic_count, why, why_size);
	if (error)
		return error;
	error = check_rules(policy, rules->egress, rules->egress_count, "egress", why, why_size);
	if (error)
		return error;
	return check_rules(policy, rules->ingress, rules->ingress_count, "ingress", why, why_size);
}
