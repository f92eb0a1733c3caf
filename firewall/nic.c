/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What one NIC adds to the shared sets and maps of `inet cordon`, which tables.c explains, and of `bridge cordon`; and
 * the chain I_forwards: ports of the host that are the guest's, if it has any.
 */
#include <arpa/inet.h>
#include <ifaddrs.h>

#include "base/base.h"
#include "firewall/rules.h"

static bool is_set(const uint8_t *address, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (address[i])
			return true;
	return false;
}

/* Elements of sets of names. */
static void write_name(FILE *out, const char *verb, const char *set, const char *tap)
{
	fprintf(out, "%s element inet cordon %s { \"%s\" }\n", verb, set, tap);
}

static void write_port(FILE *out, const char *verb, const char *set, const char *between,
                       const char *tap, uint16_t port)
{
	fprintf(out, "%s element inet cordon %s { \"%s\" %s %u }\n", verb, set, tap, between, port);
}

static void write_address(FILE *out, const char *verb, const char *set, const char *tap,
                          int version, const uint8_t *address)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(version == 4 ? AF_INET : AF_INET6, address, text, sizeof(text));
	fprintf(out, "%s element inet cordon %s%d { \"%s\" . %s }\n", verb, set, version, tap,
	        text);
}

static void write_version(FILE *out, const char *verb, const struct firewall_nic *nic, int version)
{
	const bool v4 = version == 4;

	if (!nic->foreign)
		write_address(out, verb, "gateways", nic->tap, version,
		              v4 ? nic->gateway4 : nic->gateway6);
	if (nic->mode == POLICY_NIC_NAT)
		write_address(out, verb, "nat", nic->tap, version, v4 ? nic->ip4 : nic->ip6);
}

static void write_elements(FILE *out, const char *verb, const struct firewall_nic *nic, bool dns)
{
	const bool has4 = is_set(nic->ip4, sizeof(nic->ip4)),
	           has6 = is_set(nic->ip6, sizeof(nic->ip6));

	if (has4)
		write_version(out, verb, nic, 4);
	if (has6)
		write_version(out, verb, nic, 6);
	if (has6)
		write_name(out, verb, "with6", nic->tap);
	if (nic->mode == POLICY_NIC_HOST_ONLY)
		write_name(out, verb, "host_only", nic->tap);
	if (nic->foreign)
		write_name(out, verb, "foreign", nic->tap);
	if (has4 && nic->dhcp_port && !nic->foreign)
		write_port(out, verb, "dhcp_ports", ":", nic->tap, nic->dhcp_port);
	if (has4 && nic->dhcp_port)
		write_port(out, verb, "dhcp_listens", ".", nic->tap, nic->dhcp_port);
	if (dns && nic->dns_port) {
		write_port(out, verb, "dns_ports", ":", nic->tap, nic->dns_port);
		write_port(out, verb, "dns_listens", ".", nic->tap, nic->dns_port);
	}
}

static void write_forwards(const struct firewall_plan *plan, size_t i, bool has4, bool has6)
{
	const struct policy_nic *policy = &plan->policy->vm.nics[i];
	const struct firewall_nic *nic = &plan->nics[i];
	char guest4[INET_ADDRSTRLEN], guest6[INET6_ADDRSTRLEN], chain[32];

	if (!policy->forward_count)
		return;
	inet_ntop(AF_INET, nic->ip4, guest4, sizeof(guest4));
	inet_ntop(AF_INET6, nic->ip6, guest6, sizeof(guest6));
	snprintf(chain, sizeof(chain), "%zu_forwards", i);
	firewall_text_chain(plan, chain);
	for (size_t k = 0; k < policy->forward_count; k++) {
		const struct policy_forward *f = &policy->forwards[k];
		const char *proto = f->proto == POLICY_PROTO_TCP ? "tcp" : "udp";

		if (has4)
			firewall_text_rule(plan, chain,
			                   "%s dport %u counter dnat ip to %s:%u comment \"forward "
			                   "%s %u, line %u\"",
			                   proto, f->host, guest4, f->guest, proto, f->host,
			                   f->line);
		if (has6)
			firewall_text_rule(plan, chain,
			                   "%s dport %u counter dnat ip6 to [%s]:%u comment "
			                   "\"forward %s %u, line %u\"",
			                   proto, f->host, guest6, f->guest, proto, f->host,
			                   f->line);
		fprintf(plan->out,
		        "add element inet cordon forwards { %s . %u : jump vm_%s_%zu_forwards }\n",
		        proto, f->host, plan->policy->vm.name, i);
	}
}

void firewall_text_nic(const struct firewall_plan *plan, size_t i)
{
	const struct firewall_nic *nic = &plan->nics[i];

	write_elements(plan->out, "add", nic, plan->policy->firewall.dns);
	write_forwards(plan, i, is_set(nic->ip4, sizeof(nic->ip4)),
	               is_set(nic->ip6, sizeof(nic->ip6)));
}

/* The host's own addresses; of those that cannot be read, none: nothing is let in for their want. */
static void write_host_sets(FILE *out)
{
	struct ifaddrs *list = NULL;
	char text[INET6_ADDRSTRLEN];

	fputs("flush set bridge cordon host4\nflush set bridge cordon host6\n", out);
	if (getifaddrs(&list) < 0)
		return;
	for (const struct ifaddrs *at = list; at; at = at->ifa_next) {
		int family = at->ifa_addr ? at->ifa_addr->sa_family : AF_UNSPEC;

		if (family == AF_INET &&
		    inet_ntop(AF_INET, &((struct sockaddr_in *)at->ifa_addr)->sin_addr, text,
		              sizeof(text)))
			fprintf(out, "add element bridge cordon host4 { %s }\n", text);
		if (family == AF_INET6 &&
		    inet_ntop(AF_INET6, &((struct sockaddr_in6 *)at->ifa_addr)->sin6_addr, text,
		              sizeof(text)))
			fprintf(out, "add element bridge cordon host6 { %s }\n", text);
	}
	freeifaddrs(list);
}

void firewall_text_bridge(const struct firewall_plan *plan, size_t i)
{
	if (!plan->nics[i].foreign)
		return;
	write_host_sets(plan->out);
	fprintf(plan->out, "add element bridge cordon foreign { \"%s\" }\n", plan->nics[i].tap);
}

/* Whatever it may have been: added first, so that what is not there is no error. */
void firewall_text_unnic(FILE *out, const char *family, const struct firewall_nic *was)
{
	static const char *const verbs[] = {"add", "delete"};
	struct firewall_nic all = *was;

	for (size_t v = 0; v < BASE_COUNT(verbs); v++) {
		if (strcmp(family, "bridge") == 0) {
			fprintf(out, "%s element bridge cordon foreign { \"%s\" }\n", verbs[v],
			        was->tap);
			continue;
		}
		all.mode = POLICY_NIC_NAT;
		all.foreign = false;
		write_elements(out, verbs[v], &all, true);
		write_name(out, verbs[v], "host_only", was->tap);
		write_name(out, verbs[v], "foreign", was->tap);
	}
}
