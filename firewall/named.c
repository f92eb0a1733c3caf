/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who is known by name: a set of addresses for each name of a policy, in each family, which cordon-sets fills with
 * what the guest's resolver answers (names.h). A set's name comes from the VM's and from the name itself, so that
 * a change of the policy keeps those of the names that it keeps.
 *
 * A guest that asks another resolver would learn addresses that no set has, and tell somebody else's server what
 * it likes. Where a policy has names, the ports of DNS and of DNS over TLS and QUIC are closed, and HTTPS to
 * the addresses of public resolvers; a rule opens them that names the address exactly, or (not for HTTPS) the port.
 */
#include <netinet/in.h>

#include "base/base.h"
#include "firewall/names.h"
#include "firewall/rules.h"

#define V4(a, b, c, d)                                            \
	{                                                         \
		.family = 4, .prefix = 32, .addr = { a, b, c, d } \
	}
#define V6(...)                                                     \
	{                                                           \
		.family = 6, .prefix = 128, .addr = { __VA_ARGS__ } \
	}

/* Those that answer DNS over HTTPS to anybody, as their operators have published them. */
const struct policy_cidr firewall_resolvers[] = {
        /* Cloudflare, by address and as browsers know it */
        V4(1, 1, 1, 1),
        V4(1, 0, 0, 1),
        V4(1, 1, 1, 2),
        V4(1, 0, 0, 2),
        V4(1, 1, 1, 3),
        V4(1, 0, 0, 3),
        V4(104, 16, 248, 249),
        V4(104, 16, 249, 249),
        V4(162, 159, 61, 4),
        V4(172, 64, 41, 4),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x11, [15] = 0x11),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x10, [15] = 0x01),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x11, [15] = 0x12),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x10, [15] = 0x02),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x11, [15] = 0x13),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x10, [15] = 0x03),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [15] = 0x64),
        V6(0x26, 0x06, 0x47, 0, 0x47, 0, [14] = 0x64, [15] = 0x00),
        /* Google */
        V4(8, 8, 8, 8),
        V4(8, 8, 4, 4),
        V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, [15] = 0x88),
        V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x88, [15] = 0x44),
        V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [14] = 0x64, [15] = 0x64),
        V6(0x20, 0x01, 0x48, 0x60, 0x48, 0x60, [15] = 0x64),
        /* Quad9 */
        V4(9, 9, 9, 9),
        V4(149, 112, 112, 112),
        V4(9, 9, 9, 10),
        V4(149, 112, 112, 10),
        V4(9, 9, 9, 11),
        V4(149, 112, 112, 11),
        V6(0x26, 0x20, 0, 0xfe, [15] = 0xfe),
        V6(0x26, 0x20, 0, 0xfe, [15] = 0x09),
        V6(0x26, 0x20, 0, 0xfe, [15] = 0x10),
        V6(0x26, 0x20, 0, 0xfe, [13] = 0xfe, [15] = 0x10),
        V6(0x26, 0x20, 0, 0xfe, [15] = 0x11),
        V6(0x26, 0x20, 0, 0xfe, [13] = 0xfe, [15] = 0x11),
        /* OpenDNS */
        V4(208, 67, 222, 222),
        V4(208, 67, 220, 220),
        V4(208, 67, 222, 123),
        V4(208, 67, 220, 123),
        V4(208, 67, 222, 2),
        V4(208, 67, 220, 2),
        V4(146, 112, 41, 2),
        V6(0x26, 0x20, 0x01, 0x19, 0, 0x35, [15] = 0x35),
        V6(0x26, 0x20, 0x01, 0x19, 0, 0x53, [15] = 0x53),
        /* AdGuard */
        V4(94, 140, 14, 14),
        V4(94, 140, 15, 15),
        V4(94, 140, 14, 15),
        V4(94, 140, 15, 16),
        V4(94, 140, 14, 140),
        V4(94, 140, 14, 141),
        V6(0x2a, 0x10, 0x50, 0xc0, [12] = 0x0a, [13] = 0xd1, [15] = 0xff),
        V6(0x2a, 0x10, 0x50, 0xc0, [12] = 0x0a, [13] = 0xd2, [15] = 0xff),
        V6(0x2a, 0x10, 0x50, 0xc0, [12] = 0xba, [13] = 0xd1, [15] = 0xff),
        V6(0x2a, 0x10, 0x50, 0xc0, [12] = 0xba, [13] = 0xd2, [15] = 0xff),
        V6(0x2a, 0x10, 0x50, 0xc0, [13] = 1, [15] = 0xff),
        V6(0x2a, 0x10, 0x50, 0xc0, [13] = 2, [15] = 0xff),
        /* CleanBrowsing */
        V4(185, 228, 168, 9),
        V4(185, 228, 169, 9),
        V4(185, 228, 168, 10),
        V4(185, 228, 169, 11),
        V4(185, 228, 168, 168),
        V4(185, 228, 169, 168),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 1),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 2),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 1, [15] = 1),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 2, [15] = 1),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 1, [15] = 2),
        V6(0x2a, 0x0d, 0x2a, 0, 0, 2, [15] = 2),
        /* NextDNS, Control D */
        V4(45, 90, 28, 0),
        V4(45, 90, 30, 0),
        V6(0x2a, 0x07, 0xa8, 0xc0),
        V6(0x2a, 0x07, 0xa8, 0xc1),
        V4(76, 76, 2, 0),
        V4(76, 76, 10, 0),
        V4(76, 76, 2, 1),
        V4(76, 76, 10, 1),
        V4(76, 76, 2, 2),
        V4(76, 76, 10, 2),
        V4(76, 76, 2, 3),
        V4(76, 76, 10, 3),
        V4(76, 76, 2, 4),
        V4(76, 76, 10, 4),
        V4(76, 76, 2, 5),
        V4(76, 76, 10, 5),
        V4(76, 76, 2, 22),
        V6(0x26, 0x06, 0x1a, 0x40),
        V6(0x26, 0x06, 0x1a, 0x40, 0, 1),
        /* Mullvad, dns0.eu, DNS.SB, Wikimedia, Digitale Gesellschaft, Hurricane Electric */
        V4(194, 242, 2, 2),
        V4(194, 242, 2, 3),
        V4(194, 242, 2, 4),
        V4(194, 242, 2, 5),
        V4(194, 242, 2, 6),
        V4(194, 242, 2, 9),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 2),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 3),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 4),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 5),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 6),
        V6(0x2a, 0x07, 0xe3, 0x40, [15] = 9),
        V4(193, 110, 81, 0),
        V4(185, 253, 5, 0),
        V6(0x2a, 0x0f, 0xfc, 0x80),
        V6(0x2a, 0x0f, 0xfc, 0x81),
        V4(185, 222, 222, 222),
        V4(45, 11, 45, 11),
        V6(0x2a, 0x09),
        V6(0x2a, 0x11),
        V4(185, 71, 138, 138),
        V6(0x20, 0x01, 0x06, 0x7c, 0x09, 0x30, [15] = 1),
        V4(185, 95, 218, 42),
        V4(185, 95, 218, 43),
        V6(0x2a, 0x05, 0xfc, 0x84, [15] = 0x42),
        V6(0x2a, 0x05, 0xfc, 0x84, [15] = 0x43),
        V4(74, 82, 42, 42),
        V6(0x20, 0x01, 0x04, 0x70, 0, 0x20, [15] = 2),
        /* Alibaba, DNSPod, Quad101, Yandex */
        V4(223, 5, 5, 5),
        V4(223, 6, 6, 6),
        V6(0x24, 0, 0x32, 0, [15] = 1),
        V6(0x24, 0, 0x32, 0, 0xba, 0xba, [15] = 1),
        V4(1, 12, 12, 12),
        V4(120, 53, 53, 53),
        V4(101, 101, 101, 101),
        V4(101, 102, 103, 104),
        V4(77, 88, 8, 8),
        V4(77, 88, 8, 1),
        V4(77, 88, 8, 88),
        V4(77, 88, 8, 2),
        V4(77, 88, 8, 7),
        V4(77, 88, 8, 3),
};
const size_t firewall_resolver_count = BASE_COUNT(firewall_resolvers);

bool firewall_dns_port(uint16_t port)
{
	return port == 53 || port == 853;
}

bool firewall_dns_explicit(const struct policy *policy, const struct policy_rule *rule)
{
	for (size_t i = 0; i < policy_service_count; i++)
		for (size_t k = 0; rule->services & 1ull << i && k < 4; k++) {
			const struct policy_service_part *part = &policy_services[i].parts[k];

			if (part->first == part->last && firewall_dns_port(part->first))
				return true;
		}
	for (size_t i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *ports = &policy->ports[rule->ports.first + i];

		if (ports->first == ports->last && firewall_dns_port(ports->first))
			return true;
	}
	return false;
}

bool firewall_named_any(const struct policy *policy)
{
	for (size_t i = 0; i < policy->firewall.egress_count; i++)
		if (policy->firewall.egress[i].names.count)
			return true;
	return false;
}

void firewall_named_set(char *to, const char *vm, const char *pattern, int family)
{
	snprintf(to, FIREWALL_NAME_MAX, NAMES_SET_FORMAT, vm, family,
	         (unsigned long long)names_hash(pattern));
}

/* Whether the rule says anything of packets of that family: one about ICMP may not. */
static bool rule_has_family(const struct policy_rule *rule, int family)
{
	const uint8_t other = family == 4 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;

	if (!rule->services)
		return rule->proto != (family == 4 ? POLICY_PROTO_ICMPV6 : POLICY_PROTO_ICMPV4);
	for (size_t i = 0; i < policy_service_count; i++)
		for (size_t k = 0; rule->services & 1ull << i && k < 4; k++)
			if (policy_services[i].parts[k].protocol &&
			    policy_services[i].parts[k].protocol != other)
				return true;
	return false;
}

/* Whether a rule refers to the set of policy.names[name] in that family: another would be found by nobody. */
static bool is_used(const struct policy *policy, size_t name, int family)
{
	for (size_t i = 0; i < policy->firewall.egress_count; i++) {
		const struct policy_rule *rule = &policy->firewall.egress[i];

		if (name - rule->names.first < rule->names.count && rule_has_family(rule, family))
			return true;
	}
	return false;
}

void firewall_named_declare(const struct firewall_plan *plan)
{
	const struct policy *policy = plan->policy;
	char set[FIREWALL_NAME_MAX];

	for (size_t i = 0; i < policy->name_count; i++)
		for (int family = 4; family <= 6; family += 2) {
			if (!is_used(policy, i, family))
				continue;
			firewall_named_set(set, policy->vm.name, policy->names[i], family);
			fprintf(plan->out, "# %s\n", policy->names[i]); /* for who reads them */
			fprintf(plan->out,
			        "add set %s cordon %s { type %s ; flags timeout ; size %d ; }\n",
			        plan->family, set, family == 4 ? "ipv4_addr" : "ipv6_addr",
			        NAMES_SET_SIZE);
		}
}

struct names_reading {
	struct firewall_named *list;
	size_t max, count;
	uint16_t name;
};

static void read_named(const void *key, size_t size, uint64_t left, void *data)
{
	struct names_reading *r = data;

	if (size != 4 && size != 16)
		return;
	if (r->count < r->max) {
		struct firewall_named *to = &r->list[r->count];

		*to = (struct firewall_named){.name = r->name, .seconds = (uint32_t)(left / 1000)};
		to->address.family = size == 4 ? 4 : 6;
		to->address.prefix = (uint8_t)(size * 8);
		memcpy(to->address.addr, key, size);
	}
	r->count++;
}

int firewall_vm_names(struct firewall *fw, const struct policy *policy, struct firewall_named *list,
                      size_t max)
{
	struct names_reading r = {.list = list, .max = max};
	char set[FIREWALL_NAME_MAX];
	int error = 0;

	for (; r.name < policy->name_count && !error; r.name++)
		for (int family = 4; family <= 6 && !error; family += 2) {
			if (!is_used(policy, r.name, family))
				continue;
			firewall_named_set(set, policy->vm.name, policy->names[r.name], family);
			error = firewall_read_set_elements(fw, "inet", set, read_named, &r);
			if (error)
				firewall_fail(fw, "the set %s cannot be read: %s", set,
				              strerror(-error));
		}
	return error ? error : (int)r.count;
}

void firewall_vm_names_of(const struct policy *policy, uint8_t family, const uint8_t *address,
                          uint8_t bits[POLICY_NAMES_MAX / 8])
{
	struct firewall_rule unused = {0};
	char set[FIREWALL_NAME_MAX];

	memset(bits, 0, POLICY_NAMES_MAX / 8);
	for (size_t i = 0; i < policy->name_count; i++) {
		firewall_named_set(set, policy->vm.name, policy->names[i], family);
		if (firewall_read_element(NULL, "inet", set, address, family == 4 ? 4 : 16,
		                          &unused) == 0)
			bits[i / 8] |= (uint8_t)(1u << i % 8);
	}
}

void firewall_names_write(FILE *out, const struct policy *policy)
{
	for (size_t i = 0; i < policy->name_count; i++) {
		bool again = false;

		for (size_t k = 0; k < i; k++)
			again |= strcmp(policy->names[k], policy->names[i]) == 0;
		if (!again)
			fprintf(out, "%s\n", policy->names[i]);
	}
}

bool firewall_named_keeps(const struct policy *policy, const char *set)
{
	char own[FIREWALL_NAME_MAX];

	for (size_t i = 0; policy && i < policy->name_count; i++)
		for (int family = 4; family <= 6; family += 2) {
			firewall_named_set(own, policy->vm.name, policy->names[i], family);
			if (strcmp(own, set) == 0 && is_used(policy, i, family))
				return true;
		}
	return false;
}

void firewall_named_resolvers(const struct firewall_plan *plan, const struct firewall_side *side,
                              bool back)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	const char *word = back ? "saddr" : "daddr", *port = back ? "sport" : "dport";
	struct firewall_writing w = {plan, side, NULL, 0, back, ""};
	char dns[64], chain[32];

	if (!firewall_named_any(plan->policy))
		return;
	snprintf(chain, sizeof(chain), "%s%s", side->chain, back ? "_back" : "");
	snprintf(dns, sizeof(dns), "meta l4proto . th %s @dns_services ", port);
	for (w.index = 0; w.index < firewall->egress_count; w.index++) {
		w.rule = &firewall->egress[w.index];
		w.guard = dns;
		firewall_match_dns(&w);
	}
	firewall_text_rule(plan, chain, "%scounter %s comment \"dns to another resolver\"", dns,
	                   back ? "drop" : "goto denied");
	if (side->local)
		return; /* the host is no public resolver */
	for (w.index = 0; w.index < firewall->egress_count; w.index++) {
		w.rule = &firewall->egress[w.index];
		w.guard = "";
		firewall_match_resolvers(&w);
	}
	for (int family = 4; family <= 6; family += 2)
		firewall_text_rule(plan, chain,
		                   "%s %s @resolvers%d meta l4proto . th %s @https_services "
		                   "counter %s comment \"https to a public resolver\"",
		                   family == 4 ? "ip" : "ip6", word, family, port,
		                   back ? "drop" : "goto denied");
}
