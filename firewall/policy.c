/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy's rules as nft rules: the chains egress, ingress and host of one VM.
 *
 * Order in each chain: bandwidth (every packet); established and related return; invalid drops; cloud
 * metadata (egress); the policy's rules in their order; the default deny. To allow is to go to the
 * side's `_allow` chain, which holds the limits on new connections and then returns to the base chain,
 * so forbidden packets do not use up the limits, and nothing here accepts for the other side.
 *
 * A policy rule is addresses x protocols x ports. A small product is written out, a large one uses
 * named sets of the VM's own: anonymous sets make loading quadratic in the number of VMs.
 *
 * The host chain serves packets to the host itself. There, an allow rule counts only where it names
 * one exact address: "any" or 10.0.0.0/8 means the world, not the machine that the VM runs on.
 */
#include <arpa/inet.h>

#include "base/base.h"
#include "firewall/rules.h"

enum { PRODUCT_MAX = 4, MATCH_MAX = 192 };

/* Where clouds hand out credentials to whoever asks; denied unless a rule names exactly that address. */
static const struct policy_cidr metadata[] = {
        {.family = 4, .prefix = 32, .addr = {169, 254, 169, 254}},
        {.family = 4, .prefix = 32, .addr = {169, 254, 170, 2}},
        {.family = 4, .prefix = 32, .addr = {100, 100, 100, 200}},
        {.family = 6, .prefix = 128, .addr = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}},
};

const char *const firewall_vm_chains[] = {"egress", "egress_allow", "ingress", "ingress_allow",
                                          "host"};
const size_t firewall_vm_chain_count = BASE_COUNT(firewall_vm_chains);

struct side {
	const char *name;    /* in comments */
	const char *chain;   /* suffix of the chain */
	const char *allow;   /* suffix of the chain that allows */
	const char *address; /* "daddr" or "saddr": where the peer stands */
};
static const struct side sides[] = {
        [FIREWALL_EGRESS] = {"egress", "egress", "egress_allow", "daddr"},
        [FIREWALL_INGRESS] = {"ingress", "ingress", "ingress_allow", "saddr"},
        [FIREWALL_HOST] = {"egress", "host", "egress_allow", "daddr"},
};

/* One rule on its way into text. */
struct writing {
	const struct firewall_plan *plan;
	const struct side *side;
	const struct policy_rule *rule;
	size_t index;
};

void firewall_text_address(char *to, size_t size, const struct policy_cidr *cidr)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(cidr->family == 4 ? AF_INET : AF_INET6, cidr->addr, text, sizeof(text));
	snprintf(to, size, "%s/%u", text, cidr->prefix);
}

static bool cidr_exact(const struct policy_cidr *cidr)
{
	return cidr->prefix == (cidr->family == 4 ? 32 : 128);
}

static bool cidr_covers(const struct policy_cidr *outer, const struct policy_cidr *inner)
{
	unsigned int whole = outer->prefix / 8, rest = outer->prefix % 8;

	if (outer->family != inner->family || outer->prefix > inner->prefix ||
	    memcmp(outer->addr, inner->addr, whole) != 0)
		return false;
	return rest == 0 || ((outer->addr[whole] ^ inner->addr[whole]) >> (8 - rest)) == 0;
}

static const struct policy_cidr *rule_cidr(const struct writing *w, size_t i)
{
	return &w->plan->policy->cidrs[w->rule->cidrs.first + i];
}

/* The set's name, without the '@'. */
static void set_name(char *to, const struct writing *w, const char *what)
{
	snprintf(to, FIREWALL_NAME_MAX, "vm_%s_%c_%s_%zu_%s", w->plan->policy->vm.name,
	         w->plan->generation, w->side->name, w->index, what);
}

static void write_log(const struct writing *w, const char *address, const char *service)
{
	if (w->rule->log)
		fprintf(w->plan->out,
		        "add rule inet cordon vm_%s_%s%s%s limit rate 10/second burst 20 packets "
		        "log prefix \"cordon %s %s[%zu] line %u \" group %d\n",
		        w->plan->policy->vm.name, w->side->chain, address, service,
		        w->plan->policy->vm.name, w->side->name, w->index, w->rule->line,
		        FIREWALL_NFLOG_GROUP);
}

/* Address and service are matches that begin with a space, or empty. */
static void write_rule(const struct writing *w, const char *address, const char *service)
{
	FILE *out = w->plan->out;
	const char *vm = w->plan->policy->vm.name;

	write_log(w, address, service);
	fprintf(out, "add rule inet cordon vm_%s_%s%s%s counter ", vm, w->side->chain, address,
	        service);
	switch (w->rule->action) {
	case POLICY_ALLOW: fprintf(out, "goto vm_%s_%s", vm, w->side->allow); break;
	case POLICY_REJECT:
		fputs(w->rule->proto == POLICY_PROTO_TCP ? "reject with tcp reset"
		                                         : "reject with icmpx admin-prohibited",
		      out);
		break;
	case POLICY_DROP:
	default: fputs("drop", out); break;
	}
	fprintf(out, " comment \"%s[%zu], line %u\"\n", w->side->name, w->index, w->rule->line);
}

/* All services of the rule, for one address match of the family (0: both). */
static void write_services(const struct writing *w, const char *address, int family,
                           bool ports_in_set)
{
	static const char *const protocols[] = {"tcp", "udp"};
	const struct policy_rule *rule = w->rule;
	char service[MATCH_MAX], name[FIREWALL_NAME_MAX];

	if (rule->proto == POLICY_PROTO_ICMP) {
		if (family != 6)
			write_rule(w, address, " meta l4proto icmp");
		if (family != 4)
			write_rule(w, address, " meta l4proto ipv6-icmp");
		return;
	}
	if (rule->proto == POLICY_PROTO_ANY && rule->ports.count == 0) {
		write_rule(w, address, "");
		return;
	}
	for (size_t p = 0; p < BASE_COUNT(protocols); p++) {
		if (rule->proto != POLICY_PROTO_ANY &&
		    rule->proto != (p == 0 ? POLICY_PROTO_TCP : POLICY_PROTO_UDP))
			continue;
		if (rule->ports.count == 0) {
			snprintf(service, sizeof(service), " meta l4proto %s", protocols[p]);
			write_rule(w, address, service);
			continue;
		}
		if (ports_in_set) {
			set_name(name, w, "ports");
			snprintf(service, sizeof(service), " %s dport @%s", protocols[p], name);
			write_rule(w, address, service);
			continue;
		}
		for (size_t i = 0; i < rule->ports.count; i++) {
			const struct policy_ports *range =
			        &w->plan->policy->ports[rule->ports.first + i];

			snprintf(service, sizeof(service),
			         range->first == range->last ? " %s dport %u" : " %s dport %u-%u",
			         protocols[p], range->first, range->last);
			write_rule(w, address, service);
		}
	}
}

static void write_for_cidr(const struct writing *w, const struct policy_cidr *cidr,
                           bool ports_in_set)
{
	char text[INET6_ADDRSTRLEN + 4], match[MATCH_MAX];

	firewall_text_address(text, sizeof(text), cidr);
	snprintf(match, sizeof(match), " %s %s %s", cidr->family == 4 ? "ip" : "ip6",
	         w->side->address, text);
	write_services(w, match, cidr->family, ports_in_set);
}

static size_t count_family(const struct writing *w, int family)
{
	size_t count = 0;

	for (size_t i = 0; i < w->rule->cidrs.count; i++)
		count += rule_cidr(w, i)->family == family;
	return count;
}

static bool cidrs_in_set(const struct writing *w, int family)
{
	size_t ports = BASE_MAX(w->rule->ports.count, 1), cidrs = count_family(w, family);

	return cidrs > 1 && cidrs * ports > PRODUCT_MAX;
}

static bool ports_in_set(const struct writing *w)
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
static int declare_cidrs(const struct writing *w, int family)
{
	struct policy_cidr *list BASE_AUTO_FREE =
	        calloc(BASE_MAX(w->rule->cidrs.count, 1), sizeof(*list));
	const char *separator = "";
	size_t count = 0, kept = 0;
	char name[FIREWALL_NAME_MAX], text[INET6_ADDRSTRLEN + 4];

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < w->rule->cidrs.count; i++)
		if (rule_cidr(w, i)->family == family)
			list[count++] = *rule_cidr(w, i);
	qsort(list, count, sizeof(*list), compare_cidrs);
	set_name(name, w, family == 4 ? "ip4" : "ip6");
	fprintf(w->plan->out, "add set inet cordon %s { type %s ; flags interval ; elements = { ",
	        name, family == 4 ? "ipv4_addr" : "ipv6_addr");
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && cidr_covers(&list[kept], &list[i]))
			continue;
		kept = i;
		firewall_text_address(text, sizeof(text), &list[i]);
		fprintf(w->plan->out, "%s%s", separator, text);
		separator = ", ";
	}
	fputs(" } ; }\n", w->plan->out);
	return 0;
}

static int declare_ports(const struct writing *w)
{
	struct policy_ports *list BASE_AUTO_FREE = calloc(w->rule->ports.count, sizeof(*list));
	const char *separator = "";
	char name[FIREWALL_NAME_MAX];

	if (!list)
		return -ENOMEM;
	memcpy(list, &w->plan->policy->ports[w->rule->ports.first],
	       w->rule->ports.count * sizeof(*list));
	qsort(list, w->rule->ports.count, sizeof(*list), compare_ports);
	set_name(name, w, "ports");
	fprintf(w->plan->out,
	        "add set inet cordon %s { type inet_service ; flags interval ; elements = { ",
	        name);
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

static int declare_sets(const struct writing *w)
{
	int error = 0;

	if (cidrs_in_set(w, 4))
		error = declare_cidrs(w, 4);
	if (!error && cidrs_in_set(w, 6))
		error = declare_cidrs(w, 6);
	if (!error && ports_in_set(w))
		error = declare_ports(w);
	return error;
}

static void write_everywhere(const struct writing *w)
{
	bool ports = ports_in_set(w);
	char name[FIREWALL_NAME_MAX], match[MATCH_MAX];

	if (w->rule->any) {
		write_services(w, "", 0, ports);
		return;
	}
	for (int family = 4; family <= 6; family += 2) {
		if (!cidrs_in_set(w, family))
			continue;
		set_name(name, w, family == 4 ? "ip4" : "ip6");
		snprintf(match, sizeof(match), " %s %s @%s", family == 4 ? "ip" : "ip6",
		         w->side->address, name);
		write_services(w, match, family, ports);
	}
	for (size_t i = 0; i < w->rule->cidrs.count; i++)
		if (!cidrs_in_set(w, rule_cidr(w, i)->family))
			write_for_cidr(w, rule_cidr(w, i), ports);
}

/* Denials hold everywhere; to allow, the host's address has to be named exactly. */
static void write_for_host(const struct writing *w)
{
	if (w->rule->action != POLICY_ALLOW) {
		write_everywhere(w);
		return;
	}
	for (size_t i = 0; i < w->rule->cidrs.count; i++)
		if (cidr_exact(rule_cidr(w, i)))
			write_for_cidr(w, rule_cidr(w, i), ports_in_set(w));
}

/* What the rule says of one metadata address. */
static void write_for_metadata(const struct writing *w, const struct policy_cidr *address)
{
	bool concerns = w->rule->any && w->rule->action != POLICY_ALLOW;

	for (size_t i = 0; i < w->rule->cidrs.count && !concerns; i++) {
		const struct policy_cidr *cidr = rule_cidr(w, i);

		concerns = cidr_covers(cidr, address) &&
		           (w->rule->action != POLICY_ALLOW || cidr_exact(cidr));
	}
	if (concerns)
		write_for_cidr(w, address, ports_in_set(w));
}

static void write_metadata(const struct firewall_plan *plan)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	char text[INET6_ADDRSTRLEN + 4];

	for (size_t m = 0; m < BASE_COUNT(metadata); m++) {
		for (size_t i = 0; i < firewall->egress_count; i++) {
			struct writing w = {plan, &sides[FIREWALL_EGRESS], &firewall->egress[i], i};

			write_for_metadata(&w, &metadata[m]);
		}
		firewall_text_address(text, sizeof(text), &metadata[m]);
		fprintf(plan->out,
		        "add rule inet cordon vm_%s_egress %s daddr %s counter drop comment "
		        "\"cloud metadata\"\n",
		        plan->policy->vm.name, metadata[m].family == 4 ? "ip" : "ip6", text);
	}
}

static void write_allow(const struct firewall_plan *plan, const struct side *side)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	const char *vm = plan->policy->vm.name;

	if (firewall->new_connections)
		fprintf(plan->out,
		        "add rule inet cordon vm_%s_%s limit rate over %u/second burst %u packets "
		        "counter drop "
		        "comment \"%s new connections, line %u\"\n",
		        vm, side->allow, firewall->new_connections, firewall->new_connections,
		        side->name, firewall->line);
	if (firewall->connections)
		fprintf(plan->out,
		        "add rule inet cordon vm_%s_%s ct count over %u counter drop "
		        "comment \"%s connections, line %u\"\n",
		        vm, side->allow, firewall->connections, side->name, firewall->line);
	fprintf(plan->out, "add rule inet cordon vm_%s_%s return\n", vm, side->allow);
}

static void write_head(const struct firewall_plan *plan, const struct side *side)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	const char *vm = plan->policy->vm.name;

	/* an eighth of a second at full speed may come at once, but always a few full frames */
	if (firewall->bandwidth)
		fprintf(plan->out,
		        "add rule inet cordon vm_%s_%s limit rate over %llu bytes/second burst "
		        "%llu bytes "
		        "counter drop comment \"%s bandwidth, line %u\"\n",
		        vm, side->chain, (unsigned long long)firewall->bandwidth,
		        (unsigned long long)BASE_MAX(firewall->bandwidth / 8, 262144), side->chain,
		        firewall->line);
	fprintf(plan->out, "add rule inet cordon vm_%s_%s ct state vmap @state\n", vm, side->chain);
	fprintf(plan->out,
	        "add rule inet cordon vm_%s_%s ct state invalid counter drop comment \"%s "
	        "invalid\"\n",
	        vm, side->chain, side->chain);
}

static void write_side(const struct firewall_plan *plan, enum firewall_side which)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	const struct side *side = &sides[which];
	bool ingress = which == FIREWALL_INGRESS;
	size_t count = ingress ? firewall->ingress_count : firewall->egress_count;

	write_head(plan, side);
	if (which == FIREWALL_EGRESS)
		write_metadata(plan);
	for (size_t i = 0; i < count; i++) {
		struct writing w = {plan, side,
		                    ingress ? &firewall->ingress[i] : &firewall->egress[i], i};

		if (which == FIREWALL_HOST)
			write_for_host(&w);
		else
			write_everywhere(&w);
	}
	fprintf(plan->out,
	        "add rule inet cordon vm_%s_%s counter drop comment \"%s default deny\"\n",
	        plan->policy->vm.name, side->chain, side->chain);
	if (which != FIREWALL_HOST)
		write_allow(plan, side);
}

int firewall_text_policy(const struct firewall_plan *plan)
{
	const struct policy_firewall *firewall = &plan->policy->firewall;
	int error = 0;

	for (size_t i = 0; i < firewall->egress_count && !error; i++)
		error = declare_sets(
		        &(struct writing){plan, &sides[FIREWALL_EGRESS], &firewall->egress[i], i});
	for (size_t i = 0; i < firewall->ingress_count && !error; i++)
		error = declare_sets(&(struct writing){plan, &sides[FIREWALL_INGRESS],
		                                       &firewall->ingress[i], i});
	if (error)
		return error;
	write_side(plan, FIREWALL_EGRESS);
	write_side(plan, FIREWALL_INGRESS);
	write_side(plan, FIREWALL_HOST);
	return 0;
}
