/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way in which a firewall rule, and what rules refer to, may be written.
 */
#include <check.h>

#include "policies/internal.h"

#define VM "version: 1\nvm: {name: a, kernel: k, nics: [{}]}\n"

static struct policy policy;
static struct policy_errors errors;

static void parse(const char *text)
{
	int result = policy_parse(text, strlen(text), &policy, &errors);

	if (result)
		policy_errors_print(stdout, "text", &errors);
	ck_assert_int_eq(result, 0);
}

START_TEST(test_peers)
{
	static const char *const forms[] = {
	        "192.0.2.1",
	        "192.0.2.1/32",
	        "[192.0.2.1]",
	        "{cidrs: 192.0.2.1}",
	        "{cidrs: [192.0.2.1/32]}",
	};

	for (size_t i = 0; i < BASE_COUNT(forms); i++) {
		char text[256];

		snprintf(text, sizeof(text), VM "firewall: {egress: [{to: %s}]}\n", forms[i]);
		parse(text);
		ck_assert_uint_eq(policy.cidr_count, 1);
		ck_assert_uint_eq(policy.cidrs[0].prefix, 32);
		ck_assert_mem_eq(policy.cidrs[0].addr, "\xc0\x00\x02\x01", 4);
		ck_assert_uint_eq(policy.firewall.egress[0].cidrs.count, 1);
		ck_assert(!policy.firewall.egress[0].any);
		ck_assert_int_eq(policy.firewall.egress[0].proto, POLICY_PROTO_ANY);
	}
}
END_TEST

START_TEST(test_rules)
{
	const struct policy_rule *rule = policy.firewall.egress;

	parse(VM "firewall:\n"
	         "  dns: true\n"
	         "  ingress:\n"
	         "    - {from: [10.0.0.0/8, 2001:db8::/32], proto: tcp, ports: 22}\n"
	         "  egress:\n"
	         "    - {to: 192.0.2.0/24, proto: icmp, action: reject, log: true}\n"
	         "    - {to: {cidrs: 2001:db8::1, names: [A.example.org, b.example.org]}, proto: "
	         "udp,\n"
	         "       ports: [53, 8000-8080, \"123\"]}\n"
	         "    - {to: any, proto: tcp, action: drop}\n"
	         "    - to: any\n");
	ck_assert_uint_eq(policy.firewall.ingress[0].cidrs.count, 2);
	ck_assert_uint_eq(policy.cidrs[1].family, 6);
	ck_assert_uint_eq(policy.cidrs[1].prefix, 32);
	ck_assert_uint_eq(policy.firewall.ingress[0].ports.count, 1);

	ck_assert_uint_eq(policy.firewall.egress_count, 4);
	ck_assert_int_eq(rule[0].action, POLICY_REJECT);
	ck_assert_int_eq(rule[0].proto, POLICY_PROTO_ICMP);
	ck_assert(rule[0].log);
	ck_assert_uint_eq(rule[1].cidrs.first, 3);
	ck_assert_uint_eq(rule[1].cidrs.count, 1);
	ck_assert_uint_eq(policy.cidrs[3].prefix, 128);
	ck_assert_uint_eq(rule[1].names.count, 2);
	ck_assert_str_eq(policy.names[0], "a.example.org");
	ck_assert_uint_eq(rule[1].ports.first, 1);
	ck_assert_uint_eq(rule[1].ports.count, 3);
	ck_assert_uint_eq(policy.ports[2].first, 8000);
	ck_assert_uint_eq(policy.ports[2].last, 8080);
	ck_assert_int_eq(rule[2].action, POLICY_DROP);
	ck_assert(rule[2].any);
	ck_assert(rule[3].any);
	ck_assert_int_eq(rule[3].action, POLICY_ALLOW);
}
END_TEST

START_TEST(test_rule_language)
{
	const struct policy_rule *rule = policy.firewall.egress;
	const struct policy_firewall *firewall = &policy.firewall;

	parse("version: 1\nvm:\n  name: a\n  kernel: k\n  groups: [web, staging]\n"
	      "  nics: [{forward: [{host: 8080, guest: 80}, {host: 53, proto: udp}]}]\n"
	      "firewall:\n"
	      "  ingress:\n"
	      "    - {from: [group:front, set:offices], service: http, limits: {connections: 5}}\n"
	      "    - {from: world, proto: udp, ports: 53}\n"
	      "  egress:\n"
	      "    - {to: [host, 192.0.2.0/24, vm:db], proto: sctp, ports: 2905-2910}\n"
	      "    - {to: metadata, service: [http, ping]}\n"
	      "    - {to: vms, proto: icmp, types: [echo-request, 42]}\n"
	      "    - {to: world, proto: gre}\n"
	      "    - {to: world, proto: 17}\n"
	      "    - {to: world, proto: 253, limits: {new_connections: 2/s, connections: 3,\n"
	      "       bandwidth: 8Mbit, packets: 100/s, quota: 1G}}\n"
	      "  sets: {offices: [192.0.2.0/24, 2001:db8::/32], one: 192.0.2.9}\n"
	      "  routing_headers: [2, 4]\n"
	      "  limits: {packets: 1000/s, quota: 10G}\n");
	ck_assert_uint_eq(policy.vm.group_count, 2);
	ck_assert_str_eq(policy.vm.groups[1], "staging");
	ck_assert_uint_eq(policy.vm.nics[0].forward_count, 2);
	ck_assert_uint_eq(policy.vm.nics[0].forwards[0].guest, 80);
	ck_assert_uint_eq(policy.vm.nics[0].forwards[1].guest, 53);
	ck_assert_int_eq(policy.vm.nics[0].forwards[1].proto, POLICY_PROTO_UDP);
	ck_assert(firewall->ingress[0].limited && !firewall->ingress[1].limited);
	ck_assert_uint_eq(firewall->ingress[0].peers.count, 2);
	ck_assert_int_eq(policy.peers[0].kind, POLICY_PEER_GROUP);
	ck_assert_str_eq(policy.peers[0].name, "front");
	ck_assert_int_eq(policy.peers[1].kind, POLICY_PEER_SET);

	ck_assert_uint_eq(rule[0].peers.count, 2);
	ck_assert_uint_eq(rule[0].cidrs.count, 1);
	ck_assert_int_eq(policy.peers[rule[0].peers.first].kind, POLICY_PEER_HOST);
	ck_assert_str_eq(policy.peers[rule[0].peers.first + 1].name, "db");
	ck_assert_int_eq(rule[0].proto, POLICY_PROTO_SCTP);
	ck_assert_str_eq(policy_services[__builtin_ctzll(rule[1].services)].name, "http");
	ck_assert_int_eq(__builtin_popcountll(rule[1].services), 2);
	ck_assert(policy_bit(rule[2].types4, 8) && policy_bit(rule[2].types6, 128));
	ck_assert(policy_bit(rule[2].types4, 42) && !policy_bit(rule[2].types4, 0));
	ck_assert_int_eq(rule[3].proto, POLICY_PROTO_NUMBER);
	ck_assert_uint_eq(rule[3].protocol, 47);
	ck_assert_int_eq(rule[4].proto, POLICY_PROTO_UDP);
	ck_assert_uint_eq(rule[5].protocol, 253);
	ck_assert_uint_eq(rule[5].limits.new_connections, 2);
	ck_assert_uint_eq(rule[5].limits.bandwidth, 1000000);
	ck_assert_uint_eq(rule[5].limits.packets, 100);
	ck_assert_uint_eq(rule[5].limits.quota, 1ull << 30);
	ck_assert_uint_eq(firewall->set_count, 2);
	ck_assert_uint_eq(policy_set_find(&policy, "offices")->cidrs.count, 2);
	ck_assert_ptr_null(policy_set_find(&policy, "none"));
	ck_assert(policy_bit(firewall->routing_headers, 2) &&
	          policy_bit(firewall->routing_headers, 4));
	ck_assert_uint_eq(firewall->limits.packets, 1000);
}
END_TEST

/* Each name is one of the man page's, and stands for something that is whole. */
START_TEST(test_services)
{
	char *page BASE_AUTO_FREE = NULL, item[64];
	ssize_t size = policy_read_file(MAN_PAGE, &page);

	ck_assert_int_gt(size, 0);
	page[size - 1] = '\0';
	ck_assert_uint_ge(policy_service_count, 30);
	for (size_t i = 0; i < policy_service_count; i++) {
		const struct policy_service_part *part = policy_services[i].parts;

		snprintf(item, sizeof(item), "\n.It %s Ta ", policy_services[i].name);
		ck_assert_msg(strstr(page, item) != NULL, "%s is not in cordon-policy.5",
		              policy_services[i].name);
		ck_assert_uint_ne(part->protocol, 0);
		for (size_t k = 0; k < 4 && part[k].protocol; k++)
			ck_assert_uint_le(part[k].first, part[k].last);
		for (size_t k = 0; k < i; k++)
			ck_assert_str_ne(policy_services[i].name, policy_services[k].name);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policies_rules");
	TCase *rules = tcase_create("rules");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(rules, test_peers);
	tcase_add_test(rules, test_rules);
	tcase_add_test(rules, test_rule_language);
	tcase_add_test(rules, test_services);
	suite_add_tcase(suite, rules);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
