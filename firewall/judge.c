/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The rules of a policy, read by ourselves: what becomes of a packet, and which line says so. It follows the
 * chains in the order in which the kernel does (spoof.c at the tap, then quarantine, then what tables.c lets pass without
 * a rule, then policy.c and match.c), and a test sends the same packets through both.
 *
 * On a bridge, what is not the host's is taken to be behind another port. Where the guest's way into the world is
 * the host itself, a tap of another VMM's guest is judged the same; one of mode bridge meets the host's rules first.
 */
#include <netinet/in.h>

#include "base/base.h"
#include "firewall/rules.h"

enum {
	JUDGE_DHCP_CLIENT = 68,
	JUDGE_DHCP_SERVER = 67,
	JUDGE_DNS = 53,
	JUDGE_HTTPS = 443,
	JUDGE_DHCP6_CLIENT = 546,
	JUDGE_DHCP6_SERVER = 547
};
enum {
	JUDGE_ECHO4 = 8,
	JUDGE_ECHO6 = 128,
	JUDGE_LISTENERS =
	        130, /* who asks for listeners, and what they report: RFC 2710, RFC 3810 */
	JUDGE_LISTENS = 143,
	JUDGE_ROUTERS = 133,
	JUDGE_ADVERT = 134,
	JUDGE_SOLICIT = 135,
	JUDGE_NEIGHBOUR = 136,
	JUDGE_REDIRECT = 137
};

struct judge {
	const struct policy *policy;
	const struct firewall_nic *nic;
	const struct firewall_packet *packet;
	struct firewall_verdict *verdict;
	struct policy_cidr peer; /* the address of the other end */
	bool outward, local, bridged;
};

static bool say(struct judge *j, enum policy_action action, const char *what)
{
	j->verdict->action = action;
	base_copy_string(j->verdict->what, sizeof(j->verdict->what), what);
	return true;
}

static bool deny(struct judge *j, const char *what)
{
	return say(j, POLICY_DROP, what);
}

static struct policy_cidr address_of(const struct firewall_packet *packet, const uint8_t *bytes)
{
	struct policy_cidr address = {.family = packet->family};

	address.prefix = packet->family == 4 ? 32 : 128;
	memcpy(address.addr, bytes, address.prefix / 8);
	return address;
}

static bool same(const struct firewall_packet *packet, const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, packet->family == 4 ? 4 : 16) == 0;
}

static bool udp(const struct firewall_packet *packet, uint16_t sport, uint16_t dport)
{
	return packet->protocol == IPPROTO_UDP && packet->sport == sport && packet->dport == dport;
}

static bool icmp(const struct firewall_packet *packet, uint8_t type)
{
	return packet->protocol == (packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6) &&
	       packet->type == type;
}

/* ---- at the tap ---- */

static bool in_cidrs(const struct judge *j, struct policy_span cidrs, bool groups)
{
	struct policy_cidr to = address_of(j->packet, j->packet->to);

	for (size_t i = 0; i < cidrs.count; i++) {
		const struct policy_cidr *cidr = &j->policy->cidrs[cidrs.first + i];
		bool group = cidr->family == 4 ? cidr->addr[0] >= 224 && cidr->prefix >= 3
		                               : cidr->addr[0] == 0xff && cidr->prefix >= 8;

		if ((group || !groups) && firewall_cidr_covers(cidr, &to))
			return true;
	}
	return false;
}

/* A multicast or broadcast address that a rule allows by an address of its own. */
static bool group_allowed(const struct judge *j)
{
	const struct policy_firewall *firewall = &j->policy->firewall;

	for (size_t i = 0; i < firewall->egress_count; i++) {
		const struct policy_rule *rule = &firewall->egress[i];

		if (rule->action != POLICY_ALLOW)
			continue;
		if (in_cidrs(j, rule->cidrs, true))
			return true;
		for (size_t k = 0; k < rule->peers.count; k++) {
			const struct policy_peer *peer = &j->policy->peers[rule->peers.first + k];
			const struct policy_set *set = policy_set_find(j->policy, peer->name);

			if (peer->kind == POLICY_PEER_SET && set && in_cidrs(j, set->cidrs, true))
				return true;
		}
	}
	return false;
}

/* True when the frame goes no further. */
static bool spoofed4(struct judge *j)
{
	static const uint8_t none[4], all[4] = {255, 255, 255, 255};
	const struct firewall_packet *packet = j->packet;
	bool dhcp =
	        udp(packet, JUDGE_DHCP_CLIENT, JUDGE_DHCP_SERVER) && same(packet, packet->to, all);

	if (memcmp(j->nic->ip4, none, 4) == 0)
		return deny(j, "other ethertype");
	if (dhcp && same(packet, packet->from, none))
		return false;
	if (!same(packet, packet->from, j->nic->ip4))
		return deny(j, "spoofed ipv4 source");
	if (dhcp)
		return false;
	if (packet->protocol == IPPROTO_UDP && packet->sport == JUDGE_DHCP_SERVER)
		return deny(j, "dhcp server");
	if (packet->to[0] >= 224 && !group_allowed(j))
		return deny(j, "ipv4 multicast or broadcast");
	return false;
}

static const uint8_t link_local[8] = {0xfe, 0x80};

/* What routers have to hear of each guest, and a switch that snoops of a member of a network. */
static bool of_link(const struct judge *j)
{
	static const uint8_t none[16], routers[16] = {0xff, 2, [15] = 2},
	                               reports[16] = {0xff, 2, [15] = 0x16};
	const struct firewall_packet *packet = j->packet;
	bool from = memcmp(packet->from, none, 16) == 0 ||
	            memcmp(packet->from, link_local, sizeof(link_local)) == 0;

	return from && ((icmp(packet, JUDGE_ROUTERS) && same(packet, packet->to, routers)) ||
	                ((j->bridged || j->nic->foreign) && icmp(packet, JUDGE_LISTENS) &&
	                 same(packet, packet->to, reports)));
}

/* What a neighbour message says is taken to be true. */
static bool spoofed6(struct judge *j)
{
	static const uint8_t none[16], solicited[13] = {0xff, 2, [11] = 1, [12] = 0xff},
	                               servers[16] = {0xff, 2, [13] = 1, [15] = 2};
	const struct firewall_packet *packet = j->packet;

	if (memcmp(j->nic->ip6, none, 16) == 0)
		return deny(j, "ipv6 without an address");
	if (of_link(j))
		return false;
	if (memcmp(packet->from, none, 16) == 0)
		return icmp(packet, JUDGE_SOLICIT) ? false : deny(j, "unspecified ipv6 source");
	if (!same(packet, packet->from, j->nic->ip6) && memcmp(packet->from, link_local, 8) != 0)
		return deny(j, "spoofed ipv6 source");
	if (icmp(packet, JUDGE_ADVERT))
		return deny(j, "router advertisement");
	if (icmp(packet, JUDGE_REDIRECT))
		return deny(j, "icmpv6 redirect");
	if (icmp(packet, JUDGE_NEIGHBOUR))
		return false;
	if (packet->protocol == IPPROTO_UDP && packet->sport == JUDGE_DHCP6_SERVER)
		return deny(j, "dhcp server");
	if (packet->to[0] != 0xff || group_allowed(j) ||
	    (icmp(packet, JUDGE_SOLICIT) && memcmp(packet->to, solicited, 13) == 0) ||
	    (udp(packet, JUDGE_DHCP6_CLIENT, JUDGE_DHCP6_SERVER) &&
	     same(packet, packet->to, servers)))
		return false;
	return deny(j, "ipv6 multicast");
}

/* ---- rules ---- */

static bool bit(const uint8_t *bits, unsigned int i)
{
	return bits[i / 8] & 1u << i % 8;
}

static bool part_matches(const struct firewall_packet *packet,
                         const struct policy_service_part *part)
{
	if (part->protocol != packet->protocol)
		return false;
	if (part->protocol == IPPROTO_ICMP || part->protocol == IPPROTO_ICMPV6)
		return packet->type == part->first;
	if (part->protocol == IPPROTO_TCP || part->protocol == IPPROTO_UDP)
		return packet->dport >= part->first && packet->dport <= part->last;
	return true;
}

static bool types_match(const struct firewall_packet *packet, const struct policy_rule *rule)
{
	const uint8_t *types = packet->protocol == IPPROTO_ICMP ? rule->types4 : rule->types6;
	bool any = true;

	for (size_t i = 0; i < sizeof(rule->types4); i++)
		any &= !rule->types4[i] && !rule->types6[i];
	return any || (packet->type < 255 && bit(types, packet->type));
}

static bool ports_match(const struct judge *j, const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *range = &j->policy->ports[rule->ports.first + i];

		if (j->packet->dport >= range->first && j->packet->dport <= range->last)
			return true;
	}
	return rule->ports.count == 0;
}

static bool service_matches(const struct judge *j, const struct policy_rule *rule)
{
	const uint8_t protocol = j->packet->protocol;

	for (size_t i = 0; i < policy_service_count; i++)
		for (size_t k = 0; rule->services & 1ull << i && k < 4; k++)
			if (policy_services[i].parts[k].protocol &&
			    part_matches(j->packet, &policy_services[i].parts[k]))
				return true;
	if (rule->services)
		return false;
	switch (rule->proto) {
	case POLICY_PROTO_TCP: return protocol == IPPROTO_TCP && ports_match(j, rule);
	case POLICY_PROTO_UDP: return protocol == IPPROTO_UDP && ports_match(j, rule);
	case POLICY_PROTO_SCTP: return protocol == IPPROTO_SCTP && ports_match(j, rule);
	case POLICY_PROTO_NUMBER: return protocol == rule->protocol;
	case POLICY_PROTO_ICMP:
		return (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) &&
		       types_match(j->packet, rule);
	case POLICY_PROTO_ICMPV4: return protocol == IPPROTO_ICMP && types_match(j->packet, rule);
	case POLICY_PROTO_ICMPV6: return protocol == IPPROTO_ICMPV6 && types_match(j->packet, rule);
	case POLICY_PROTO_ANY:
	default: return true;
	}
}

static bool span_covers(const struct judge *j, struct policy_span cidrs, bool exact)
{
	for (size_t i = 0; i < cidrs.count; i++) {
		const struct policy_cidr *cidr = &j->policy->cidrs[cidrs.first + i];

		if (firewall_cidr_covers(cidr, &j->peer) &&
		    (!exact || cidr->prefix == j->peer.prefix))
			return true;
	}
	return false;
}

static bool is_one_of(const struct judge *j, const struct policy_cidr *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (firewall_cidr_covers(&list[i], &j->peer))
			return true;
	return false;
}

static bool is_metadata(const struct judge *j)
{
	return is_one_of(j, policy_metadata, policy_metadata_count);
}

static bool is_private(const struct judge *j)
{
	char *copy BASE_AUTO_FREE =
	        strdup(j->packet->family == 4 ? firewall_private4 : firewall_private6);
	char *rest = copy, *word;
	struct policy_cidr cidr;
	bool host_bits;

	while (copy && (word = strsep(&rest, ",")))
		if (policy_value_cidr(word + strspn(word, " "), &cidr, &host_bits) == 0 &&
		    firewall_cidr_covers(&cidr, &j->peer))
			return true;
	return !copy; /* what cannot be known is not the world */
}

static bool in_group(const struct firewall_packet *packet, const char *name)
{
	for (size_t i = 0; i < packet->group_count; i++)
		if (strcmp(packet->groups[i], name) == 0)
			return true;
	return false;
}

static bool peer_matches(const struct judge *j, const struct policy_peer *peer, bool exact)
{
	const struct policy_set *set = policy_set_find(j->policy, peer->name);
	bool vm = !j->local && j->packet->other == FIREWALL_END_VM;

	switch (peer->kind) {
	case POLICY_PEER_SET: return set && span_covers(j, set->cidrs, exact);
	case POLICY_PEER_HOST: return j->local;
	case POLICY_PEER_METADATA: return j->local && is_metadata(j);
	case POLICY_PEER_WORLD: return !j->local && !vm && !is_private(j);
	case POLICY_PEER_VMS: return vm;
	case POLICY_PEER_VM: return vm && strcmp(peer->name, j->packet->vm) == 0;
	case POLICY_PEER_GROUP: return vm && in_group(j->packet, peer->name);
	default: return false;
	}
}

/* What a name stands for is neither private nor another VM, whatever was answered. */
static bool name_matches(const struct judge *j, const struct policy_rule *rule)
{
	const struct firewall_packet *packet = j->packet;

	if (!j->outward || j->local || packet->other == FIREWALL_END_VM)
		return false;
	for (size_t i = rule->names.first; i < (size_t)rule->names.first + rule->names.count; i++)
		if (packet->name[0] ? policy_name_covers(j->policy->names[i], packet->name)
		                    : packet->names && bit(packet->names, (unsigned int)i))
			return !is_private(j);
	return false;
}

static bool address_matches(const struct judge *j, const struct policy_rule *rule)
{
	bool exact = j->local && j->outward && rule->action == POLICY_ALLOW;

	if ((rule->any && !exact) || span_covers(j, rule->cidrs, exact))
		return true;
	for (size_t i = 0; i < rule->peers.count; i++)
		if (peer_matches(j, &j->policy->peers[rule->peers.first + i], exact))
			return true;
	return name_matches(j, rule);
}

/* Whether a rule that speaks of DNS, or of this very address, says something of the packet. */
static bool dns_matches(const struct judge *j, const struct policy_rule *rule)
{
	if (rule->action != POLICY_ALLOW || firewall_dns_explicit(j->policy, rule))
		return address_matches(j, rule);
	if (span_covers(j, rule->cidrs, true))
		return true;
	for (size_t i = 0; i < rule->peers.count; i++) {
		const struct policy_peer *peer = &j->policy->peers[rule->peers.first + i];
		const struct policy_set *set = policy_set_find(j->policy, peer->name);

		if (peer->kind == POLICY_PEER_SET && set && span_covers(j, set->cidrs, true))
			return true;
	}
	return false;
}

/* Whether the rule is one that speaks of the metadata address: only what names it exactly may allow it. */
static bool metadata_matches(const struct judge *j, const struct policy_rule *rule)
{
	bool exact = rule->action == POLICY_ALLOW;

	if ((rule->any && !exact) || span_covers(j, rule->cidrs, exact))
		return true;
	for (size_t i = 0; i < rule->peers.count; i++) {
		const struct policy_peer *peer = &j->policy->peers[rule->peers.first + i];
		const struct policy_set *set = policy_set_find(j->policy, peer->name);

		if (peer->kind == POLICY_PEER_METADATA ||
		    (peer->kind == POLICY_PEER_SET && set && span_covers(j, set->cidrs, exact)))
			return true;
	}
	return false;
}

static bool limited(const struct policy_limits *limits)
{
	return limits->new_connections || limits->connections || limits->bandwidth ||
	       limits->packets || limits->quota;
}

static bool rules_say(struct judge *j,
                      bool (*matches)(const struct judge *j, const struct policy_rule *rule))
{
	const struct policy_firewall *firewall = &j->policy->firewall;
	const struct policy_rule *rules = j->outward ? firewall->egress : firewall->ingress;
	size_t count = j->outward ? firewall->egress_count : firewall->ingress_count;
	char what[64];

	for (size_t i = 0; i < count; i++) {
		if (!service_matches(j, &rules[i]) || !matches(j, &rules[i]))
			continue;
		snprintf(what, sizeof(what), "%s[%zu]", j->outward ? "egress" : "ingress", i);
		j->verdict->line = rules[i].line;
		j->verdict->limited = rules[i].action == POLICY_ALLOW &&
		                      (rules[i].limited || limited(&firewall->limits));
		return say(j, rules[i].action, what);
	}
	return false;
}

/* Of the address of a public resolver: those who name it, and those who close the world. */
static bool resolver_matches(const struct judge *j, const struct policy_rule *rule)
{
	bool world = false;

	for (size_t i = 0; i < rule->peers.count; i++)
		world |= j->policy->peers[rule->peers.first + i].kind == POLICY_PEER_WORLD;
	return metadata_matches(j, rule) || (world && rule->action != POLICY_ALLOW);
}

/* What a policy with names says of those who would answer in place of cordon's resolver. */
static bool resolvers_say(struct judge *j)
{
	const uint8_t protocol = j->packet->protocol;
	bool ported = protocol == IPPROTO_TCP || protocol == IPPROTO_UDP;

	if (!firewall_named_any(j->policy))
		return false;
	if (ported && firewall_dns_port(j->packet->dport))
		return rules_say(j, dns_matches) || deny(j, "dns to another resolver");
	if (j->local || !is_one_of(j, firewall_resolvers, firewall_resolver_count))
		return false;
	return rules_say(j, resolver_matches) ||
	       (ported && j->packet->dport == JUDGE_HTTPS && deny(j, "https to a public resolver"));
}

static void judge_rules(struct judge *j)
{
	if (j->outward && !j->local && is_metadata(j)) {
		if (!rules_say(j, metadata_matches))
			deny(j, "cloud metadata");
	} else if (j->outward && resolvers_say(j)) {
		return;
	} else if (!rules_say(j, address_matches)) {
		deny(j, !j->outward ? "ingress default deny"
		        : j->local  ? "host default deny"
		                    : "egress default deny");
	}
}

/* ---- the host's own services ---- */

static bool to_gateway(const struct judge *j)
{
	const uint8_t *gateway = j->packet->family == 4 ? j->nic->gateway4 : j->nic->gateway6;

	return !j->nic->foreign && !j->bridged &&
	       same(j->packet, j->outward ? j->packet->to : j->packet->from, gateway);
}

/* In somebody else's network: what members and routers tell each other, and DHCP as a client. */
static bool network_says(struct judge *j)
{
	static const uint8_t servers[16] = {0xff, 2, [13] = 1, [15] = 2};
	const struct firewall_packet *packet = j->packet;
	bool neighbours = packet->family == 6 &&
	                  (icmp(packet, JUDGE_SOLICIT) || icmp(packet, JUDGE_NEIGHBOUR));

	if (packet->family == 6)
		neighbours |= icmp(packet, j->outward ? JUDGE_ROUTERS : JUDGE_ADVERT) ||
		              icmp(packet, j->outward ? JUDGE_LISTENS : JUDGE_LISTENERS);
	if (neighbours)
		return say(j, POLICY_ALLOW, "neighbour discovery");
	if (j->outward && (packet->family == 4 || j->bridged) &&
	    udp(packet, JUDGE_DHCP_CLIENT, JUDGE_DHCP_SERVER))
		return say(j, POLICY_ALLOW, "dhcp");
	if (j->outward && packet->family == 6 &&
	    udp(packet, JUDGE_DHCP6_CLIENT, JUDGE_DHCP6_SERVER) &&
	    (!j->bridged || same(packet, packet->to, servers)))
		return say(j, POLICY_ALLOW, "dhcp");
	if (!j->outward && (packet->family == 4 || j->bridged) &&
	    udp(packet, JUDGE_DHCP_SERVER, JUDGE_DHCP_CLIENT))
		return say(j, POLICY_ALLOW, "dhcp answer");
	if (!j->outward && (packet->family == 6 || j->bridged) &&
	    udp(packet, JUDGE_DHCP6_SERVER, JUDGE_DHCP6_CLIENT))
		return say(j, POLICY_ALLOW, "dhcp answer");
	return false;
}

static bool service_says(struct judge *j)
{
	const struct firewall_packet *packet = j->packet;
	bool transport = packet->protocol == IPPROTO_UDP || packet->protocol == IPPROTO_TCP;

	if (j->bridged || j->nic->foreign)
		return network_says(j);
	if (j->nic->dhcp_port && j->outward &&
	    (packet->family == 4 ? udp(packet, JUDGE_DHCP_CLIENT, JUDGE_DHCP_SERVER)
	                         : udp(packet, JUDGE_DHCP6_CLIENT, JUDGE_DHCP6_SERVER)))
		return say(j, POLICY_ALLOW, "dhcp");
	if (j->nic->dhcp_port && !j->outward &&
	    udp(packet, j->nic->dhcp_port,
	        packet->family == 4 ? JUDGE_DHCP_CLIENT : JUDGE_DHCP6_CLIENT))
		return say(j, POLICY_ALLOW, "dhcp answer");
	if (packet->family == 6 && (icmp(packet, JUDGE_SOLICIT) || icmp(packet, JUDGE_NEIGHBOUR) ||
	                            icmp(packet, j->outward ? JUDGE_ROUTERS : JUDGE_ADVERT)))
		return say(j, POLICY_ALLOW, "neighbour discovery");
	if (!j->outward || !to_gateway(j))
		return false;
	if (transport && j->nic->dns_port && j->policy->firewall.dns &&
	    (packet->dport == JUDGE_DNS || packet->dport == j->nic->dns_port))
		return say(j, POLICY_ALLOW, "dns");
	if (icmp(packet, packet->family == 4 ? JUDGE_ECHO4 : JUDGE_ECHO6))
		return say(j, POLICY_ALLOW, "ping of the gateway");
	return false;
}

static bool quarantine_says(struct judge *j, const struct policy_cidr *allow)
{
	if (allow && allow->family == 6 &&
	    (icmp(j->packet, JUDGE_SOLICIT) || icmp(j->packet, JUDGE_NEIGHBOUR)))
		return say(j, POLICY_ALLOW, "neighbour discovery");
	if (allow && firewall_cidr_covers(allow, &j->peer))
		return say(j, POLICY_ALLOW, "quarantine allows");
	return deny(j, j->outward ? "quarantine from guest" : "quarantine to guest");
}

/* Which NIC it is at, and whether the guest sends it. */
static size_t find_nic(const struct firewall_packet *packet, const struct firewall_nic *nics,
                       size_t count, bool *sent)
{
	for (int to = 0; to < 2; to++)
		for (size_t i = 0; i < count; i++) {
			const uint8_t *own = packet->family == 4 ? nics[i].ip4 : nics[i].ip6;

			*sent = !to;
			if (same(packet, to ? packet->to : packet->from, own))
				return i;
		}
	*sent = true;
	return 0;
}

int firewall_judge(const struct policy *policy, const struct firewall_nic *nics, size_t nic_count,
                   const struct firewall_packet *packet, bool cut, const struct policy_cidr *allow,
                   struct firewall_verdict *verdict)
{
	static const uint8_t broadcast[4] = {255, 255, 255, 255};
	struct judge j = {.policy = policy, .packet = packet, .verdict = verdict};
	char why[160];

	*verdict = (struct firewall_verdict){0};
	if (nic_count == 0 || (packet->family != 4 && packet->family != 6) ||
	    firewall_check(policy, nics, nic_count, why, sizeof(why)))
		return -EINVAL;
	verdict->nic = find_nic(packet, nics, nic_count, &verdict->sent);
	j.nic = &nics[verdict->nic];
	j.bridged = j.nic->mode == POLICY_NIC_BRIDGE;
	j.outward = verdict->sent;
	j.peer = address_of(packet, j.outward ? packet->to : packet->from);
	j.local = packet->other == FIREWALL_END_HOST || to_gateway(&j) ||
	          (!j.bridged &&
	           (packet->family == 4 ? same(packet, packet->to, broadcast)
	                                : packet->to[0] == 0xff || packet->to[0] == 0xfe));
	if (j.outward && (packet->family == 4 ? spoofed4(&j) : spoofed6(&j)))
		return 0;
	if (cut)
		quarantine_says(&j, allow);
	else if ((j.local || j.bridged) && service_says(&j))
		return 0;
	else if (!j.local && j.nic->mode == POLICY_NIC_HOST_ONLY &&
	         packet->other != FIREWALL_END_VM)
		deny(&j, j.outward ? "egress of a host-only nic" : "ingress of a host-only nic");
	else
		judge_rules(&j);
	return 0;
}
