/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Services by name, each with the protocols and ports that it is (Service Name and Transport Protocol
 * Port Number Registry, IANA). A name is short for what it stands for, and no more: https is TCP, and
 * its younger sister over QUIC is http3.
 */
#include "policies/internal.h"

enum { ICMP = 1, TCP = 6, UDP = 17, ESP = 50, ICMPV6 = 58 };

const struct policy_service policy_services[] = {
        {"amqp", {{TCP, 5671, 5672}}},
        {"bgp", {{TCP, 179, 179}}},
        {"cassandra", {{TCP, 9042, 9042}}},
        {"dns", {{UDP, 53, 53}, {TCP, 53, 53}}},
        {"dns-over-tls", {{TCP, 853, 853}}},
        {"elasticsearch", {{TCP, 9200, 9200}, {TCP, 9300, 9300}}},
        {"etcd", {{TCP, 2379, 2380}}},
        {"ftp", {{TCP, 21, 21}}},
        {"git", {{TCP, 9418, 9418}}},
        {"http", {{TCP, 80, 80}}},
        {"http3", {{UDP, 443, 443}}},
        {"https", {{TCP, 443, 443}}},
        {"imap", {{TCP, 143, 143}}},
        {"imaps", {{TCP, 993, 993}}},
        {"ipsec", {{UDP, 500, 500}, {UDP, 4500, 4500}, {ESP, 0, 0}}},
        {"kafka", {{TCP, 9092, 9092}}},
        {"kerberos", {{TCP, 88, 88}, {UDP, 88, 88}}},
        {"kubernetes", {{TCP, 6443, 6443}}},
        {"ldap", {{TCP, 389, 389}, {UDP, 389, 389}}},
        {"ldaps", {{TCP, 636, 636}}},
        {"mdns", {{UDP, 5353, 5353}}},
        {"memcached", {{TCP, 11211, 11211}}},
        {"mongodb", {{TCP, 27017, 27017}}},
        {"mqtt", {{TCP, 1883, 1883}}},
        {"mqtts", {{TCP, 8883, 8883}}},
        {"mysql", {{TCP, 3306, 3306}}},
        {"nfs", {{TCP, 2049, 2049}}},
        {"ntp", {{UDP, 123, 123}}},
        {"openvpn", {{UDP, 1194, 1194}, {TCP, 1194, 1194}}},
        {"ping", {{ICMP, 8, 8}, {ICMPV6, 128, 128}}},
        {"pop3", {{TCP, 110, 110}}},
        {"pop3s", {{TCP, 995, 995}}},
        {"postgresql", {{TCP, 5432, 5432}}},
        {"rdp", {{TCP, 3389, 3389}, {UDP, 3389, 3389}}},
        {"redis", {{TCP, 6379, 6379}}},
        {"rsync", {{TCP, 873, 873}}},
        {"smb", {{TCP, 445, 445}}},
        {"smtp", {{TCP, 25, 25}}},
        {"smtps", {{TCP, 465, 465}}},
        {"snmp", {{UDP, 161, 161}}},
        {"ssh", {{TCP, 22, 22}}},
        {"submission", {{TCP, 587, 587}}},
        {"syslog", {{UDP, 514, 514}, {TCP, 514, 514}}},
        {"syslog-tls", {{TCP, 6514, 6514}}},
        {"telnet", {{TCP, 23, 23}}},
        {"tftp", {{UDP, 69, 69}}},
        {"vnc", {{TCP, 5900, 5999}}},
        {"whois", {{TCP, 43, 43}}},
        {"wireguard", {{UDP, 51820, 51820}}},
};
const size_t policy_service_count = BASE_COUNT(policy_services);
_Static_assert(BASE_COUNT(policy_services) <= 64, "a rule holds its services as bits");

static void add_service(struct policy_walk *walk, struct policy_node *node,
                        struct policy_rule *rule)
{
	const char *names[BASE_COUNT(policy_services)], *near = NULL;
	struct policy_error *error;

	if (node->type == POLICY_NODE_REFUSED)
		return;
	for (size_t i = 0; i < policy_service_count; i++) {
		names[i] = policy_services[i].name;
		if (node->type != POLICY_NODE_TEXT || strcmp(node->text, names[i]) != 0)
			continue;
		if (rule->services & 1ull << i)
			policy_error_found(policy_walk_refuse(walk, node, "each service once"),
			                   "\"%s\" a second time", names[i]);
		rule->services |= 1ull << i;
		return;
	}
	error = policy_walk_refuse(walk, node, "%s", policy_kind_service.noun);
	if (node->type == POLICY_NODE_TEXT)
		near = policy_suggest(node->text, names, policy_service_count);
	if (near)
		policy_error_hint(error, "did you mean %s?", near);
}

static void read_services(struct policy_walk *walk, const struct policy_key *key,
                          struct policy_node *value, void *base)
{
	if (value->type == POLICY_NODE_MAP)
		policy_walk_refuse(walk, value, "%s", key->kind->noun);
	else
		policy_each_item(walk, value, base, add_service);
}

const struct policy_kind policy_kind_service = {
        .noun = "services such as [ssh, dns, https]: cordon-policy(5) lists them",
        .read = read_services,
};
