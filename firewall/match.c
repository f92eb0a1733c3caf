/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy rule as nft rules: peers x protocols x ports. A small product is written out, a large one
 * uses named sets of the VM's own: anonymous sets make loading quadratic in the number of VMs.
 *
 * Other VMs are known by their taps, which no guest can forge, and not by their addresses: `vms`, and
 * for each VM and group that a rule names a set `peer_NAME` or `group_NAME` of interface names (vm.c
 * keeps them). So such a rule holds for both families, all NICs, and VMs that start later.
 *
 * Each rule is written for up to four chains, and for those that answer as well as for those that open
 * (see policy.c); what has no meaning in a chain is left out of it. To the host itself an allow rule
 * counts only where it names the host, or one exact address: "any" or 10.0.0.0/8 means the world, not
 * the machine that the VM runs on.
 */
#include <arpa/inet.h>

#include "base/base.h"
#include "firewall/rules.h"

enum { MATCH_MAX = 256 };

static bool cidr_exact(const struct policy_cidr *cidr)
{
	return cidr->prefix == (cidr->family == 4 ? 32 : 128);
}

static const struct policy_cidr *cidr_at(const struct firewall_writing *w, struct policy_span span,
                                         size_t i)
{
	return &w->plan->policy->cidrs[span.first + i];
}

static const char *family_word(int family)
{
	return family == 4 ? "ip" : "ip6";
}

/* Where the peer stands in a packet's header, and at which of the host's interfaces. */
static const char *address_word(const struct firewall_writing *w)
{
	return w->side->outward != w->back ? "daddr" : "saddr";
}
static const char *interface_word(const struct firewall_writing *w)
{
	return w->side->outward != w->back ? "oifname" : "iifname";
}

/* ---- one rule ---- */

static const char *chain_name(const struct firewall_writing *w, char to[FIREWALL_NAME_MAX])
{
	snprintf(to, FIREWALL_NAME_MAX, "%s%s", w->side->chain, w->back ? "_back" : "");
	return to;
}

static void write_log(const struct firewall_writing *w, const char *address, const char *service)
{
	char chain[FIREWALL_NAME_MAX], match[3 * MATCH_MAX];

	snprintf(match, sizeof(match), "%s%s%s", w->guard, address, service);
	if (w->rule->action != POLICY_ALLOW && (w->side->outward || !w->side->local) && !w->back)
		firewall_denied_log(w->plan, chain_name(w, chain), match, w->side->outward,
		                    w->rule->line);

	if (w->rule->log && !w->back)
		firewall_text_rule(
		        w->plan, chain_name(w, chain),
		        "%s%s%slimit rate 10/second burst 20 packets log prefix \"cordon "
		        "%s %s[%zu] line %u \" group %d",
		        w->guard, address, service, w->plan->policy->vm.name, w->side->name,
		        w->index, w->rule->line, FIREWALL_NFLOG_GROUP);
}

/* Address and service are matches that end with a space, or empty. */
static void write_rule(const struct firewall_writing *w, const char *address, const char *service,
                       bool tcp)
{
	unsigned int slot = firewall_mark_slot(w->plan->policy, w);
	char chain[FIREWALL_NAME_MAX], verdict[MATCH_MAX] = "counter drop", mark[96];
	const char *vm = w->plan->policy->vm.name, *name = w->side->name;

	write_log(w, address, service);
	firewall_mark_set(mark, sizeof(mark), w->plan, w->side->outward, slot);
	if (w->rule->action == POLICY_ALLOW && w->back && slot)
		snprintf(verdict, sizeof(verdict), "%s counter goto vm_%s_%s_r%u", mark, vm, name,
		         slot);
	else if (w->rule->action == POLICY_ALLOW && slot)
		snprintf(verdict, sizeof(verdict), "counter goto vm_%s_%s_a%u", vm, name, slot);
	else if (w->rule->action == POLICY_ALLOW && !w->back &&
	         firewall_mark_allows(w->plan->policy))
		snprintf(verdict, sizeof(verdict), "counter goto vm_%s_%s_allow", vm, name);
	else if (w->rule->action == POLICY_ALLOW)
		snprintf(verdict, sizeof(verdict), "%s counter return", mark);
	else if (w->rule->action == POLICY_REJECT && !w->back)
		snprintf(verdict, sizeof(verdict), "counter reject with %s",
		         tcp ? "tcp reset" : "icmpx admin-prohibited");
	firewall_text_rule(w->plan, chain_name(w, chain), "%s%s%s%s comment \"%s[%zu], line %u\"",
	                   w->guard, address, service, verdict, name, w->index, w->rule->line);
}

/* ---- services ---- */

/* What answers a request of that type (RFC 792, RFC 4443 section 4.2). */
static unsigned int answer_type(unsigned int type, bool v6)
{
	if (v6)
		return type == 128 ? 129 : type;
	return type == 8 ? 0 : type == 13 ? 14 : type;
}

static void write_icmp(const struct firewall_writing *w, const char *address, bool v6,
                       unsigned int type)
{
	char service[MATCH_MAX];

	snprintf(service, sizeof(service), "%s type %u ", v6 ? "icmpv6" : "icmp",
	         w->back ? answer_type(type, v6) : type);
	write_rule(w, address, service, false);
}

static void write_icmp_family(const struct firewall_writing *w, const char *address, bool v6)
{
	const uint8_t *bits = v6 ? w->rule->types6 : w->rule->types4;
	bool any = true;

	for (size_t i = 0; i < sizeof(w->rule->types4); i++)
		any &= !w->rule->types4[i] && !w->rule->types6[i];
	if (any)
		write_rule(w, address, v6 ? "meta l4proto ipv6-icmp " : "meta l4proto icmp ",
		           false);
	for (unsigned int type = 0; type < 255 && !any; type++)
		if (bits[type / 8] & 1u << type % 8)
			write_icmp(w, address, v6, type);
}

static void write_ports(const struct firewall_writing *w, const char *address, const char *protocol,
                        uint16_t first, uint16_t last)
{
	char service[MATCH_MAX];

	snprintf(service, sizeof(service), first == last ? "%s %s %u " : "%s %s %u-%u ", protocol,
	         w->back ? "sport" : "dport", first, last);
	write_rule(w, address, service, strcmp(protocol, "tcp") == 0);
}

static void write_part(const struct firewall_writing *w, const char *address, int family,
                       const struct policy_service_part *part)
{
	char service[MATCH_MAX];

	switch (part->protocol) {
	case IPPROTO_TCP:
	case IPPROTO_UDP:
		write_ports(w, address, part->protocol == IPPROTO_TCP ? "tcp" : "udp", part->first,
		            part->last);
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if (family == 0 || (family == 6) == (part->protocol == IPPROTO_ICMPV6))
			write_icmp(w, address, part->protocol == IPPROTO_ICMPV6, part->first);
		break;
	default:
		snprintf(service, sizeof(service), "meta l4proto %u ", part->protocol);
		write_rule(w, address, service, false);
	}
}

static void write_transport(const struct firewall_writing *w, const char *address,
                            const char *protocol)
{
	const struct policy_rule *rule = w->rule;
	char service[MATCH_MAX], name[FIREWALL_NAME_MAX];
	bool tcp = rule->proto == POLICY_PROTO_TCP;

	if (rule->ports.count == 0) {
		snprintf(service, sizeof(service), "meta l4proto %s ", protocol);
		write_rule(w, address, service, tcp);
		return;
	}
	if (firewall_set_of_ports(w)) {
		firewall_set_name(name, w, "ports");
		snprintf(service, sizeof(service), "%s %s @%s ", protocol,
		         w->back ? "sport" : "dport", name);
		write_rule(w, address, service, tcp);
		return;
	}
	for (size_t i = 0; i < rule->ports.count; i++) {
		const struct policy_ports *range = &w->plan->policy->ports[rule->ports.first + i];

		write_ports(w, address, protocol, range->first, range->last);
	}
}

/* All services of the rule, for one address match of the family (0: both). */
static void write_services(const struct firewall_writing *w, const char *address, int family)
{
	const struct policy_rule *rule = w->rule;
	char service[MATCH_MAX];

	for (size_t i = 0; i < policy_service_count; i++)
		for (size_t k = 0; rule->services & 1ull << i && k < 4; k++)
			if (policy_services[i].parts[k].protocol)
				write_part(w, address, family, &policy_services[i].parts[k]);
	if (rule->services)
		return;
	switch (rule->proto) {
	case POLICY_PROTO_TCP: write_transport(w, address, "tcp"); break;
	case POLICY_PROTO_UDP: write_transport(w, address, "udp"); break;
	case POLICY_PROTO_SCTP: write_transport(w, address, "sctp"); break;
	case POLICY_PROTO_NUMBER:
		snprintf(service, sizeof(service), "meta l4proto %u ", rule->protocol);
		write_rule(w, address, service, false);
		break;
	case POLICY_PROTO_ICMP:
	case POLICY_PROTO_ICMPV4:
	case POLICY_PROTO_ICMPV6:
		if (family != 6 && rule->proto != POLICY_PROTO_ICMPV6)
			write_icmp_family(w, address, false);
		if (family != 4 && rule->proto != POLICY_PROTO_ICMPV4)
			write_icmp_family(w, address, true);
		break;
	case POLICY_PROTO_ANY:
	default: write_rule(w, address, "", false);
	}
}

/* ---- peers ---- */

static void write_for_cidr(const struct firewall_writing *w, const struct policy_cidr *cidr)
{
	char text[INET6_ADDRSTRLEN + 4], match[MATCH_MAX];

	firewall_text_address(text, sizeof(text), cidr);
	snprintf(match, sizeof(match), "%s %s %s ", family_word(cidr->family), address_word(w),
	         text);
	write_services(w, match, cidr->family);
}

static void write_for_set(const struct firewall_writing *w, int family, const char *name)
{
	char match[MATCH_MAX];

	snprintf(match, sizeof(match), "%s %s @%s ", family_word(family), address_word(w), name);
	write_services(w, match, family);
}

static void write_cidrs(const struct firewall_writing *w)
{
	char name[FIREWALL_NAME_MAX];

	for (int family = 4; family <= 6; family += 2)
		if (firewall_set_of_cidrs(w, family)) {
			firewall_set_name(name, w, family == 4 ? "ip4" : "ip6");
			write_for_set(w, family, name);
		}
	for (size_t i = 0; i < w->rule->cidrs.count; i++) {
		const struct policy_cidr *cidr = cidr_at(w, w->rule->cidrs, i);

		if (!firewall_set_of_cidrs(w, cidr->family))
			write_for_cidr(w, cidr);
	}
}

/* To allow, the host's own address has to be named exactly. */
static void write_exact(const struct firewall_writing *w, struct policy_span cidrs)
{
	for (size_t i = 0; i < cidrs.count; i++)
		if (cidr_exact(cidr_at(w, cidrs, i)))
			write_for_cidr(w, cidr_at(w, cidrs, i));
}

static void write_shared_set(const struct firewall_writing *w, const struct policy_set *set)
{
	char name[FIREWALL_NAME_MAX];

	for (int family = 4; family <= 6; family += 2)
		if (firewall_set_count(w->plan->policy, set->cidrs, family)) {
			firewall_set_shared_name(name, w->plan, set, family);
			write_for_set(w, family, name);
		}
}

static void write_world(const struct firewall_writing *w)
{
	char match[MATCH_MAX];

	for (int family = 4; family <= 6; family += 2) {
		snprintf(match, sizeof(match), "%s %s != @private%d %s != @vms ",
		         family_word(family), address_word(w), family, interface_word(w));
		write_services(w, match, family);
	}
}

static void write_interfaces(const struct firewall_writing *w, const char *prefix, const char *name)
{
	char match[MATCH_MAX];

	snprintf(match, sizeof(match), "%s @%s%s ", interface_word(w), prefix, name);
	write_services(w, match, 0);
}

/* The host is in its own chains, and there it is alone; metadata has rules of its own. */
static void write_peer(const struct firewall_writing *w, const struct policy_peer *peer)
{
	const struct policy_set *set = policy_set_find(w->plan->policy, peer->name);
	bool exact = w->side->local && w->side->outward && w->rule->action == POLICY_ALLOW;

	if (peer->kind == POLICY_PEER_SET && set && exact)
		write_exact(w, set->cidrs);
	else if (peer->kind == POLICY_PEER_SET && set)
		write_shared_set(w, set);
	else if (w->side->local && peer->kind == POLICY_PEER_HOST)
		write_services(w, "", 0);
	else if (w->side->local && peer->kind == POLICY_PEER_METADATA) {
		write_for_set(w, 4, "metadata4");
		write_for_set(w, 6, "metadata6");
	} else if (!w->side->local && peer->kind == POLICY_PEER_WORLD)
		write_world(w);
	else if (!w->side->local && peer->kind == POLICY_PEER_VMS)
		write_interfaces(w, "vms", "");
	else if (!w->side->local && peer->kind == POLICY_PEER_VM)
		write_interfaces(w, "peer_", peer->name);
	else if (!w->side->local && peer->kind == POLICY_PEER_GROUP)
		write_interfaces(w, "group_", peer->name);
}

/*
 * What the guest's resolver said of a name is a hint from outside: it opens neither what is private, nor
 * another VM; the host and metadata have rules of their own, in which names are not.
 */
static void write_names(const struct firewall_writing *w)
{
	char match[MATCH_MAX + FIREWALL_NAME_MAX], set[FIREWALL_NAME_MAX];

	for (size_t i = 0; i < w->rule->names.count; i++)
		for (int family = 4; family <= 6; family += 2) {
			const char *ip = family_word(family), *word = address_word(w);

			firewall_named_set(set, w->plan->policy->vm.name,
			                   w->plan->policy->names[w->rule->names.first + i],
			                   family);
			snprintf(match, sizeof(match), "%s %s @%s %s %s != @private%d %s != @vms ",
			         ip, word, set, ip, word, family, interface_word(w));
			write_services(w, match, family);
		}
}

void firewall_match_rule(const struct firewall_writing *w)
{
	bool exact = w->side->local && w->side->outward && w->rule->action == POLICY_ALLOW;

	if (w->rule->any && !exact)
		write_services(w, "", 0);
	if (exact)
		write_exact(w, w->rule->cidrs);
	else
		write_cidrs(w);
	for (size_t i = 0; i < w->rule->peers.count; i++)
		write_peer(w, &w->plan->policy->peers[w->rule->peers.first + i]);
	if (w->side->outward && !w->side->local)
		write_names(w);
}

void firewall_match_dns(const struct firewall_writing *w)
{
	if (w->rule->action != POLICY_ALLOW || firewall_dns_explicit(w->plan->policy, w->rule)) {
		firewall_match_rule(w);
		return;
	}
	write_exact(w, w->rule->cidrs);
	for (size_t i = 0; i < w->rule->peers.count; i++) {
		const struct policy_peer *peer = &w->plan->policy->peers[w->rule->peers.first + i];
		const struct policy_set *set = policy_set_find(w->plan->policy, peer->name);

		if (peer->kind == POLICY_PEER_SET && set)
			write_exact(w, set->cidrs);
	}
}

/* Addresses that only those who name them exactly may have. */
struct special {
	const struct policy_cidr *list;
	size_t count;
	const char *set; /* of all of them; without the family's number */
};

/* Of one such address, what a list of networks says. */
static void write_special_of(const struct firewall_writing *w, const struct special *special,
                             struct policy_span cidrs)
{
	for (size_t m = 0; m < special->count; m++) {
		bool concerns = false;

		for (size_t i = 0; i < cidrs.count; i++)
			concerns |= firewall_cidr_covers(cidr_at(w, cidrs, i), &special->list[m]) &&
			            (w->rule->action != POLICY_ALLOW ||
			             cidr_exact(cidr_at(w, cidrs, i)));
		if (concerns)
			write_for_cidr(w, &special->list[m]);
	}
}

/* What the rule says of them; `whole`: of all of them. */
static void match_special(const struct firewall_writing *w, const struct special *special,
                          bool whole)
{
	char set[32];

	write_special_of(w, special, w->rule->cidrs);
	for (size_t i = 0; i < w->rule->peers.count; i++) {
		const struct policy_peer *peer = &w->plan->policy->peers[w->rule->peers.first + i];
		const struct policy_set *own = policy_set_find(w->plan->policy, peer->name);

		if (peer->kind == POLICY_PEER_SET && own)
			write_special_of(w, special, own->cidrs);
	}
	for (int family = 4; family <= 6 && whole; family += 2) {
		snprintf(set, sizeof(set), "%s%d", special->set, family);
		write_for_set(w, family, set);
	}
}

static bool has_peer(const struct firewall_writing *w, enum policy_peer_kind kind)
{
	for (size_t i = 0; i < w->rule->peers.count; i++)
		if (w->plan->policy->peers[w->rule->peers.first + i].kind == kind)
			return true;
	return false;
}

void firewall_match_metadata(const struct firewall_writing *w)
{
	const struct special metadata = {policy_metadata, policy_metadata_count, "metadata"};

	match_special(w, &metadata,
	              (w->rule->any && w->rule->action != POLICY_ALLOW) ||
	                      has_peer(w, POLICY_PEER_METADATA));
}

/* They are a part of the world: who drops that drops them, who allows it does not mean them. */
void firewall_match_resolvers(const struct firewall_writing *w)
{
	const struct special resolvers = {firewall_resolvers, firewall_resolver_count, "resolvers"};

	match_special(w, &resolvers,
	              w->rule->action != POLICY_ALLOW &&
	                      (w->rule->any || has_peer(w, POLICY_PEER_WORLD)));
}
