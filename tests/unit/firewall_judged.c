/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * firewall_judge() where tests/traffic/firewall_judge.c has no kernel to compare it with: ports of bridges, which need
 * connection tracking on bridges, and taps of other VMMs' guests. Expected is what tables.c and spoof.c say of each.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>

#include "base/base.h"
#include "firewall/firewall.h"

static struct policy *policy;
static struct firewall_nic nic;

static void setup(void)
{
	static const char text[] =
	        "version: 1\nguard: {name: web0, mac: \"52:54:00:00:00:01\", addresses: "
	        "[192.0.2.20, \"2001:db8::20\"]}\n"
	        "firewall:\n"
	        "  egress:\n"
	        "    - {to: any, proto: tcp, ports: [80]}\n"
	        "    - {to: host, proto: tcp, ports: [22]}\n"
	        "    - {to: \"vm:db\", proto: tcp}\n"
	        "    - {to: 224.0.0.251, proto: udp, ports: [5353]}\n"
	        "  ingress:\n"
	        "    - {from: world, proto: tcp, ports: [443]}\n"
	        "    - {from: vms, proto: tcp, ports: [22]}\n";
	struct policy_errors *errors BASE_AUTO_FREE = calloc(1, sizeof(*errors));

	policy = calloc(1, sizeof(*policy));
	ck_assert_msg(policy_parse(text, sizeof(text) - 1, policy, errors) == 0, "%u: found %s",
	              errors->list[0].line, errors->list[0].found);
	nic = (struct firewall_nic){.tap = "vnet0",
	                            .bridge = "br0",
	                            .mode = POLICY_NIC_BRIDGE,
	                            .mac = {0x52, 0x54, 0, 0, 0, 1},
	                            .ip4 = {192, 0, 2, 20},
	                            .ip6 = {0x20, 0x01, 0x0d, 0xb8, [15] = 0x20}};
}

static void teardown(void)
{
	free(policy);
}

/* What is asked, and where it differs what is said of a tap that the host routes for: `routed`. */
struct asked {
	uint8_t protocol;
	const char *from, *to;
	uint16_t sport, dport; /* or, of ICMP, the type in dport */
	enum firewall_end other;
	bool allowed;
	const char *what, *routed;
};

#define ICMP6(from, to, type, allowed, what, routed)                                         \
	{                                                                                    \
		IPPROTO_ICMPV6, from, to, 0, type, FIREWALL_END_WORLD, allowed, what, routed \
	}

static const struct asked list[] = {
        {IPPROTO_TCP, "192.0.2.20", "203.0.113.1", 4000, 80, FIREWALL_END_WORLD, true, "egress[0]",
         NULL},
        {IPPROTO_TCP, "192.0.2.20", "203.0.113.1", 4000, 81, FIREWALL_END_WORLD, false,
         "egress default deny", NULL},
        {IPPROTO_TCP, "2001:db8::20", "2001:db8::77", 4000, 80, FIREWALL_END_WORLD, true,
         "egress[0]", NULL},
        /* `any` is not the host, which has to be named */
        {IPPROTO_TCP, "192.0.2.20", "192.0.2.1", 4000, 80, FIREWALL_END_HOST, false,
         "host default deny", NULL},
        {IPPROTO_TCP, "192.0.2.20", "192.0.2.1", 4000, 22, FIREWALL_END_HOST, true, "egress[1]",
         NULL},
        {IPPROTO_TCP, "192.0.2.20", "169.254.169.254", 4000, 80, FIREWALL_END_WORLD, false,
         "cloud metadata", NULL},
        {IPPROTO_TCP, "192.0.2.20", "192.0.2.30", 4000, 5432, FIREWALL_END_VM, true, "egress[2]",
         NULL},
        {IPPROTO_TCP, "192.0.2.99", "203.0.113.1", 4000, 80, FIREWALL_END_WORLD, false,
         "spoofed ipv4 source", NULL},
        {IPPROTO_UDP, "192.0.2.20", "224.0.0.251", 5353, 5353, FIREWALL_END_WORLD, true,
         "egress[3]", NULL},
        {IPPROTO_UDP, "192.0.2.20", "224.0.0.252", 5355, 5355, FIREWALL_END_WORLD, false,
         "ipv4 multicast or broadcast", NULL},
        /* what a member of a network needs */
        {IPPROTO_UDP, "0.0.0.0", "255.255.255.255", 68, 67, FIREWALL_END_WORLD, true, "dhcp", NULL},
        {IPPROTO_UDP, "192.0.2.20", "192.0.2.2", 68, 67, FIREWALL_END_WORLD, true, "dhcp",
         "egress default deny"},
        {IPPROTO_UDP, "192.0.2.20", "192.0.2.2", 67, 68, FIREWALL_END_WORLD, false, "dhcp server",
         NULL},
        {IPPROTO_UDP, "fe80::1", "ff02::1:2", 546, 547, FIREWALL_END_WORLD, true, "dhcp", NULL},
        ICMP6("fe80::1", "ff02::2", 133, true, "neighbour discovery", NULL),
        ICMP6("::", "ff02::16", 143, true, "neighbour discovery", NULL),
        ICMP6("fe80::1", "ff02::1", 134, false, "router advertisement", NULL),
        ICMP6("2001:db8::20", "ff02::2", 133, false, "ipv6 multicast", NULL),
        ICMP6("2001:db8::20", "2001:db8::77", 135, true, "neighbour discovery",
              "egress default deny"),
        /* and to it */
        {IPPROTO_TCP, "203.0.113.1", "192.0.2.20", 4000, 443, FIREWALL_END_WORLD, true,
         "ingress[0]", NULL},
        {IPPROTO_TCP, "203.0.113.1", "192.0.2.20", 4000, 22, FIREWALL_END_WORLD, false,
         "ingress default deny", NULL},
        {IPPROTO_TCP, "192.0.2.30", "192.0.2.20", 4000, 22, FIREWALL_END_VM, true, "ingress[1]",
         NULL},
        {IPPROTO_TCP, "192.0.2.1", "192.0.2.20", 4000, 443, FIREWALL_END_HOST, false,
         "ingress default deny", NULL},
        {IPPROTO_UDP, "192.0.2.2", "192.0.2.20", 67, 68, FIREWALL_END_WORLD, true, "dhcp answer",
         "ingress default deny"},
        {IPPROTO_UDP, "192.0.2.1", "192.0.2.20", 67, 68, FIREWALL_END_HOST, true, "dhcp answer",
         NULL},
        ICMP6("fe80::2", "2001:db8::20", 134, true, "neighbour discovery", "ingress default deny"),
};

static void judge(const struct asked *asked, struct firewall_verdict *verdict)
{
	struct firewall_packet packet = {.family = strchr(asked->to, ':') ? 6 : 4,
	                                 .protocol = asked->protocol,
	                                 .other = asked->other,
	                                 .vm = asked->other == FIREWALL_END_VM ? "db" : NULL};
	const int family = packet.family == 6 ? AF_INET6 : AF_INET;

	if (asked->protocol == IPPROTO_ICMPV6) {
		packet.type = (uint8_t)asked->dport;
	} else {
		packet.sport = asked->sport;
		packet.dport = asked->dport;
	}
	ck_assert_int_eq(inet_pton(family, asked->from, packet.from), 1);
	ck_assert_int_eq(inet_pton(family, asked->to, packet.to), 1);
	ck_assert_int_eq(firewall_judge(policy, &nic, 1, &packet, false, NULL, verdict), 0);
}

START_TEST(on_a_bridge)
{
	struct firewall_verdict verdict;

	nic.foreign = _i == 1;
	for (size_t i = 0; i < BASE_COUNT(list); i++) {
		judge(&list[i], &verdict);
		ck_assert_msg(strcmp(verdict.what, list[i].what) == 0 &&
		                      (verdict.action == POLICY_ALLOW) == list[i].allowed,
		              "%zu: %s > %s: %s", i, list[i].from, list[i].to, verdict.what);
	}
}
END_TEST

START_TEST(behind_a_host_that_routes)
{
	struct firewall_verdict verdict;

	nic.foreign = true;
	nic.mode = POLICY_NIC_ROUTED;
	nic.bridge[0] = '\0';
	nic.dhcp_port = 67;
	for (size_t i = 0; i < BASE_COUNT(list); i++) {
		const char *what = list[i].routed ? list[i].routed : list[i].what;

		judge(&list[i], &verdict);
		ck_assert_msg(strcmp(verdict.what, what) == 0, "%zu: %s > %s: %s", i, list[i].from,
		              list[i].to, verdict.what);
	}
}
END_TEST

START_TEST(in_quarantine)
{
	struct policy_cidr allow = {.family = 4, .prefix = 32, .addr = {203, 0, 113, 1}};
	struct firewall_packet packet = {.family = 4,
	                                 .protocol = IPPROTO_TCP,
	                                 .from = {192, 0, 2, 20},
	                                 .to = {203, 0, 113, 1},
	                                 .dport = 81};
	struct firewall_verdict verdict;

	ck_assert_int_eq(firewall_judge(policy, &nic, 1, &packet, true, &allow, &verdict), 0);
	ck_assert_str_eq(verdict.what, "quarantine allows");
	packet.to[3] = 2;
	ck_assert_int_eq(firewall_judge(policy, &nic, 1, &packet, true, &allow, &verdict), 0);
	ck_assert_str_eq(verdict.what, "quarantine from guest");
}
END_TEST

int main(void)
{
	TCase *tests = tcase_create("judged");
	Suite *suite = suite_create("firewall judged");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, on_a_bridge, 0, 2);
	tcase_add_test(tests, behind_a_host_that_routes);
	tcase_add_test(tests, in_quarantine);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
