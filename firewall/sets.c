/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The sets that rules refer to. Those of one rule come and go with it, under names that tell two
 * generations of a VM's rules apart; the policy's own sets are shared by its rules; and two pairs are
 * shared by all VMs: the addresses of metadata services, and what is no part of the world.
 */
#include <arpa/inet.h>

#include "base/base.h"
#include "firewall/rules.h"

enum { PRODUCT_MAX = 4 };

/* What `world` is not (RFC 6890, and its registries), and multicast. Longest prefixes stand apart. */
const char firewall_private4[] =
        "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 168.63.129.16, 169.254.0.0/16, "
        "172.16.0.0/12, 192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3";
/* The same IPv4 networks behind NAT64 (RFC 6052) and 6to4 (RFC 3056) are no part of the world either. */
const char firewall_private6[] =
        "::/96, ::ffff:0:0/96, 64:ff9b::/104, 64:ff9b::a00:0/104, 64:ff9b::6440:0/106, "
        "64:ff9b::7f00:0/104, "
        "64:ff9b::a83f:8110, 64:ff9b::a9fe:0/112, 64:ff9b::ac10:0/108, 64:ff9b::c000:0/120, "
        "64:ff9b::c0a8:0/112, 64:ff9b::c612:0/111, 64:ff9b::e000:0/99, 64:ff9b:1::/48, 100::/64, "
        "2002::/24, 2002:a00::/24, 2002:6440::/26, 2002:7f00::/24, 2002:a9fe::/32, "
        "2002:ac10::/28, 2002:c0a8::/32, 2002:c612::/31, 2002:e000::/19, fc00::/7, fe80::/10, "
        "ff00::/8";

void firewall_text_address(char *to, size_t size, const struct policy_cidr *cidr)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(cidr->family == 4 ? AF_INET : AF_INET6, cidr->addr, text, sizeof(text));
	snprintf(to, size, "%s/%u", text, cidr->prefix);
}

bool firewall_cidr_covers(const struct policy_cidr *outer, const struct policy_cidr *inner)
{
	unsigned int whole = outer->prefix / 8, rest = outer->prefix % 8;

	if (outer->family != inner->family || outer->prefix > inner->prefix ||
	    memcmp(outer->addr, inner->addr, whole) != 0)
		return false;
	return rest == 0 || ((outer->addr[whole] ^ inner->addr[whole]) >> (8 - rest)) == 0;
}

static char set_letter(const struct firewall_plan *plan)
{
	return plan->generation % 2 ? 'a' : 'b';
}

/* The set's name, without the '@'. Two generations stand side by side for a moment. */
void firewall_set_name(char *to, const struct firewall_writing *w, const char *what)
{
	snprintf(to, FIREWALL_NAME_MAX, "vm_%s_%c_%s_%zu_%s", w->plan->policy->vm.name,
	         set_letter(w->plan), w->side->name, w->index, what);
}
void firewall_set_shared_name(char *to, const struct firewall_plan *plan,
                              const struct policy_set *set, int family)
{
	snprintf(to, FIREWALL_NAME_MAX, "vm_%s_%c_set_%s_%s", plan->policy->vm.name,
	         set_letter(plan), set->name, family == 4 ? "ip4" : "ip6");
}

size_t firewall_set_count(const struct policy *policy, struct policy_span cidrs, int family)
{
	size_t count = 0;

	for (size_t i = 0; i < cidrs.count; i++)
		count += policy->cidrs[cidrs.first + i].family == family;
	return count;
}

bool firewall_set_of_cidrs(const struct firewall_writing *w, int family)
{
	size_t ports = BASE_MAX(w->rule->ports.count, 1);
	size_t cidrs = firewall_set_count(w->plan->policy, w->rule->cidrs, family);

	return cidrs > 1 && cidrs * ports > PRODUCT_MAX;
}

bool firewall_set_of_ports(const struct firewall_writing *w)
{
	size_t cidrs = BASE_MAX(w->rule->cidrs.count, 1);

	return w->rule->ports.count > 1 && cidrs * w->rule->ports.count > PRODUCT_MAX;
}

static int compare_cidrs(const void *a, const void *b)
{
	const struct policy_cidr *x = a, *y = b;
	int order = memcmp(x->addr, y->addr, sizeof(x->addr));

	return order ? order : (int)x->prefix - (int)y->prefix;
}

static int compare_ports(const void *a, const void *b)
{
	const struct policy_ports *x = a, *y = b;

	return (int)x->first - (int)y->first;
}

/* The kernel refuses overlapping intervals: what another CIDR covers is left out. */
static int declare_cidrs(const struct firewall_plan *plan, const char *name,
                         struct policy_span cidrs, int family)
{
	struct policy_cidr *list BASE_AUTO_FREE = calloc(BASE_MAX(cidrs.count, 1), sizeof(*list));
	const char *separator = "";
	size_t count = 0, kept = 0;
	char text[INET6_ADDRSTRLEN + 4];

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < cidrs.count; i++)
		if (plan->policy->cidrs[cidrs.first + i].family == family)
			list[count++] = plan->policy->cidrs[cidrs.first + i];
	qsort(list, count, sizeof(*list), compare_cidrs);
	fprintf(plan->out, "add set %s cordon %s { type %s ; flags interval ; elements = { ",
	        plan->family, name, family == 4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && firewall_cidr_covers(&list[kept], &list[i]))
			continue;
		kept = i;
		firewall_text_address(text, sizeof(text), &list[i]);
		fprintf(plan->out, "%s%s", separator, text);
		separator = ", ";
	}
	fputs(" } ; }\n", plan->out);
	return 0;
}

static int declare_ports(const struct firewall_writing *w)
{
	struct policy_ports *list BASE_AUTO_FREE = calloc(w->rule->ports.count, sizeof(*list));
	const char *separator = "";
	char name[FIREWALL_NAME_MAX];

	if (!list)
		return -ENOMEM;
	memcpy(list, &w->plan->policy->ports[w->rule->ports.first],
	       w->rule->ports.count * sizeof(*list));
	qsort(list, w->rule->ports.count, sizeof(*list), compare_ports);
	firewall_set_name(name, w, "ports");
	fprintf(w->plan->out,
	        "add set %s cordon %s { type inet_service ; flags interval ; elements = { ",
	        w->plan->family, name);
	for (size_t i = 0; i < w->rule->ports.count;) {
		struct policy_ports range = list[i++];

		for (; i < w->rule->ports.count && list[i].first <= range.last; i++)
			range.last = BASE_MAX(range.last, list[i].last);
		fprintf(w->plan->out, range.first == range.last ? "%s%u" : "%s%u-%u", separator,
		        range.first, range.last);
		separator = ", ";
	}
	fputs(" } ; }\n", w->plan->out);
	return 0;
}

int firewall_set_rule(const struct firewall_writing *w)
{
	char name[FIREWALL_NAME_MAX];
	int error = 0;

	for (int family = 4; family <= 6 && !error; family += 2)
		if (firewall_set_of_cidrs(w, family)) {
			firewall_set_name(name, w, family == 4 ? "ip4" : "ip6");
			error = declare_cidrs(w->plan, name, w->rule->cidrs, family);
		}
	if (!error && firewall_set_of_ports(w))
		error = declare_ports(w);
	return error;
}

int firewall_set_policy(const struct firewall_plan *plan)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	char name[FIREWALL_NAME_MAX];
	int error = 0;

	for (size_t i = 0; i < firewall->set_count; i++)
		for (int family = 4; family <= 6 && !error; family += 2) {
			if (!firewall_set_count(plan->policy, firewall->sets[i].cidrs, family))
				continue;
			firewall_set_shared_name(name, plan, &firewall->sets[i], family);
			error = declare_cidrs(plan, name, firewall->sets[i].cidrs, family);
		}
	return error;
}

/* Single addresses of one family. */
static void declare_list(FILE *out, const char *family, const char *name, int version,
                         const struct policy_cidr *list, size_t count)
{
	const char *separator = "", *type = version == 4 ? "ipv4_addr" : "ipv6_addr";
	char text[INET6_ADDRSTRLEN];

	fprintf(out, "add set %s cordon %s%d { type %s ; elements = { ", family, name, version,
	        type);
	for (size_t i = 0; i < count; i++) {
		if (list[i].family != version)
			continue;
		inet_ntop(version == 4 ? AF_INET : AF_INET6, list[i].addr, text, sizeof(text));
		fprintf(out, "%s%s", separator, text);
		separator = ", ";
	}
	fputs(" } ; }\n", out);
}

void firewall_set_tables(FILE *out, const char *family)
{
	for (int version = 4; version <= 6; version += 2) {
		const char *type = version == 4 ? "ipv4_addr" : "ipv6_addr";

		declare_list(out, family, "metadata", version, policy_metadata,
		             policy_metadata_count);
		declare_list(out, family, "resolvers", version, firewall_resolvers,
		             firewall_resolver_count);
		fprintf(out,
		        "add set %s cordon private%d { type %s ; flags interval ; "
		        "elements = { %s } ; }\n",
		        family, version, type,
		        version == 4 ? firewall_private4 : firewall_private6);
	}
	fprintf(out,
	        "add set %s cordon vms { type ifname ; }\n"
	        "add set %s cordon dns_services { type inet_proto . inet_service ; elements = { "
	        "tcp . "
	        "53, udp . 53, tcp . 853, udp . 853 } ; }\n"
	        "add set %s cordon https_services { type inet_proto . inet_service ; elements = { "
	        "tcp "
	        ". 443, udp . 443 } ; }\n",
	        family, family, family);
}
